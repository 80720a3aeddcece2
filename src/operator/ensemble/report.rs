//! Reports to people: the status when it changes, and an Event for each step and each refusal. A steady ensemble costs
//! no write.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use kube::{Resource as _, ResourceExt as _};
use tracing::info;

use super::Context;
use super::act::{ActError, Acted};
use crate::api::{EnsembleStatus, ZooKeeperEnsemble};
use crate::model::ServerId;
use crate::model::words::{NOTE, cut, steady};
use crate::operator::kit::pass::chain;
use crate::operator::kit::status;
use crate::operator::kit::timeout::ApiError;
use crate::plan::{ConditionStatus, GIVING_UP, GUARDING, PROVING, Plan, Step, UntimedCondition};

/// Writes the status if it has changed.
pub async fn record(context: &Context, ensemble: &ZooKeeperEnsemble, plan: &Plan) -> Result<(), ApiError> {
    let before = ensemble.status.clone().unwrap_or_default();
    let status = EnsembleStatus {
        conditions: status::conditions(&before.conditions, &plan.conditions, ensemble.metadata.generation),
        ..plan.status.clone()
    };
    if ensemble.status.as_ref() == Some(&status) {
        return Ok(());
    }
    status::write::<ZooKeeperEnsemble>(&context.kit.client, &ensemble.metadata, &status).await
}

/// An Event and a log line for a step or a refusal. A lost Event is no reason to stop.
pub async fn announce(
    context: &Context,
    ensemble: &ZooKeeperEnsemble,
    plan: &Plan,
    outcome: &Result<Acted, ActError>,
    refused: bool,
) {
    let before = ensemble.status.as_ref().map_or(&[][..], |status| &status.conditions);
    if let Some((type_, archiving)) = turned(before, &plan.conditions) {
        let (reason, note) = (archiving.reason, archiving.message.as_str());
        info!(action = ARCHIVE, reason, note, "archive");
        let (reason, note, action) = (reason.to_owned(), Some(cut(note, NOTE)), ARCHIVE.to_owned());
        let event = Event { type_, reason, note, action, secondary: None };
        context.kit.events.say(&event, &ensemble.object_ref(&())).await;
    }
    let Some(progressing) = plan.conditions.iter().find(|condition| condition.name == "Progressing") else { return };
    // A step that is done in parts is reported once all of it is done, or when it fails.
    let passing = outcome.as_ref().is_err_and(ActError::is_outdated) && !refused;
    let unsaid = passing || matches!(outcome, Ok(Acted::Partly));
    if plan.step == Step::Rest || unsaid {
        return;
    }
    let (action, secondary) = (camel_case(plan.step.word()), plan.step.member());
    let (type_, reason, note) = match (outcome, &plan.step) {
        _ if refused => (EventType::Warning, progressing.reason, progressing.message.clone()),
        (Err(error), _) => (EventType::Warning, "StepNotTaken", not_taken(&progressing.message, error)),
        (Ok(_), Step::Guard(_)) => (EventType::Normal, "Guarding", GUARDING.to_owned()),
        (Ok(_), Step::Prove(prove)) => (EventType::Normal, PROVING, prove.words()),
        (Ok(_), Step::Refuse(_)) => (EventType::Warning, progressing.reason, progressing.message.clone()),
        (Ok(_), Step::Wait(reason))
            if matches!(reason.code, "RollHalted" | "PodRefused" | "PodStuck" | "ForeignPod") =>
        {
            (EventType::Warning, progressing.reason, progressing.message.clone())
        }
        (Ok(_), _) => (EventType::Normal, progressing.reason, progressing.message.clone()),
    };
    // What lasts is reported when it begins, and not on every pass or try.
    let lasts = refused || outcome.is_err() || plan.step.idle();
    if lasts && status::said_before(before, progressing, type_ == EventType::Warning && reason == progressing.reason) {
        return;
    }
    info!(action, reason, note, "step");
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(cut(&note, NOTE)),
        action,
        secondary: secondary.map(|id| pod_reference(ensemble, id)),
    };
    context.kit.events.say(&event, &ensemble.object_ref(&())).await;
}

/// The action of an Event about the archive: no step of the operator makes it work or fail.
const ARCHIVE: &str = "Archive";

/// That the archive began to fail, or fails for another reason, or works again, and each range of log that is given up.
fn turned<'a>(before: &[Condition], now: &'a [UntimedCondition]) -> Option<(EventType, &'a UntimedCondition)> {
    let now = now.iter().find(|condition| condition.name == "ContinuousArchiving")?;
    let before = before.iter().find(|condition| condition.type_ == now.name);
    let was = |status: ConditionStatus| before.is_some_and(|before| before.status == status.as_str());
    let same = before.is_some_and(|before| {
        before.reason == now.reason && (now.reason != GIVING_UP || before.message == now.message)
    });
    match now.status {
        ConditionStatus::True => (!was(ConditionStatus::True)).then_some((EventType::Normal, now)),
        // Nobody serves at a birth.
        ConditionStatus::False if now.reason == "NotServing" && !was(ConditionStatus::True) => None,
        ConditionStatus::False => (!was(ConditionStatus::False) || !same).then_some((EventType::Warning, now)),
        ConditionStatus::Unknown => None,
    }
}

/// The step as the action of an Event.
fn camel_case(word: &str) -> String {
    let capitalised = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    word.split('-').map(capitalised).collect()
}

/// The cause comes before the intention: an Event has no room for two long sentences.
fn not_taken(doing: &str, error: &ActError) -> String {
    format!("{}, while {doing}", steady(&chain(error)))
}

fn pod_reference(ensemble: &ZooKeeperEnsemble, id: ServerId) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: ensemble.namespace(),
        name: Some(format!("{}-{}", ensemble.name_any(), id.seat().ordinal)),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They were `Add-pod` and `Replace-volume`, and the reference said `AddPod`. `tests/docs.rs` holds the words to the code.
    #[test]
    fn the_action_of_each_step_is_the_one_in_the_reference() {
        let page = include_str!("../../../docs/reference.md");
        let metric = page.lines().find(|line| line.starts_with("| `menagerie_steps_total`")).unwrap();
        let words: Vec<&str> = metric
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
            .collect();
        assert!(words.contains(&"add-pod") && words.len() > 10, "{words:?}");
        let events = page.split("## Events").nth(1).unwrap().split("## Objects").next().unwrap();
        for word in words.into_iter().filter(|word| !["kind", "rest"].contains(word)) {
            let action = camel_case(word);
            assert!(events.contains(&format!("`{action}`")), "{action}");
        }
    }

    #[test]
    fn an_archive_that_fails_or_works_again_is_an_event_once_and_one_that_waits_for_a_birth_is_none() {
        let at = |status, reason| UntimedCondition {
            name: "ContinuousArchiving",
            status,
            reason,
            message: "nobody archives to s3://backups".to_owned(),
        };
        let (works, fails) = (at(ConditionStatus::True, "Shipping"), at(ConditionStatus::False, "AccessDenied"));
        let elsewhere = at(ConditionStatus::False, "TargetUnreachable");
        let nobody = at(ConditionStatus::False, "NotServing");
        let unknown = at(ConditionStatus::Unknown, "NobodyToAsk");
        let said = |before: Option<&UntimedCondition>, now: &UntimedCondition| {
            let before = status::conditions(&[], before.map(std::slice::from_ref).unwrap_or_default(), None);
            let now = [now.clone()];
            turned(&before, &now).map(|(type_, condition)| (type_ == EventType::Warning, condition.reason))
        };
        for before in [None, Some(&unknown), Some(&works), Some(&elsewhere), Some(&nobody)] {
            assert_eq!(said(before, &fails), Some((true, "AccessDenied")), "{before:?}");
        }
        assert_eq!(said(Some(&fails), &fails), None, "it was said");
        for before in [&fails, &nobody, &unknown] {
            assert_eq!(said(Some(before), &works), Some((false, "Shipping")), "{before:?}");
        }
        assert_eq!((said(Some(&works), &works), said(Some(&works), &unknown)), (None, None));
        assert_eq!(said(Some(&works), &nobody), Some((true, "NotServing")));
        assert_eq!((said(Some(&unknown), &nobody), said(None, &nobody)), (None, None), "nobody serves at a birth");
        // Each Event names what is given up, and nobody has to have looked at the condition just then.
        let lost =
            |range: &str| UntimedCondition { message: range.to_owned(), ..at(ConditionStatus::False, GIVING_UP) };
        let (one, more) = (lost("0x5 to 0x9"), lost("0x5 to 0xc"));
        assert_eq!(said(Some(&elsewhere), &one), Some((true, "GivingUp")));
        assert_eq!((said(Some(&one), &one), said(Some(&one), &more)), (None, Some((true, "GivingUp"))));
    }
}
