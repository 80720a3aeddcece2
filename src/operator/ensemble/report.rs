//! Tells people: the status when it differs, and an Event for each step taken and each refusal. A steady ensemble costs
//! no write.

use k8s_openapi::api::core::v1::ObjectReference;
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
use crate::plan::{GUARDING, Plan, Step};

/// Writes the status if it says anything new.
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

/// An Event and a log line for what was done or refused. An Event that is lost is no reason to stop.
pub async fn announce(
    context: &Context,
    ensemble: &ZooKeeperEnsemble,
    plan: &Plan,
    outcome: &Result<Acted, ActError>,
    refused: bool,
) {
    let Some(progressing) = plan.conditions.iter().find(|verdict| verdict.name == "Progressing") else { return };
    // Of a step that is done in parts it is said once all of it is done, or why it cannot be.
    let unsaid = matches!(outcome, Ok(Acted::Partly)) || outcome.as_ref().is_err_and(ActError::is_outdated);
    if plan.step == Step::Rest || unsaid {
        return;
    }
    let (action, secondary) = (capitalised(plan.step.word()), plan.step.member());
    let (type_, reason, note) = match (outcome, &plan.step) {
        (Err(_), _) if refused => (EventType::Warning, progressing.reason, progressing.message.clone()),
        (Err(error), _) => (EventType::Warning, "StepNotTaken", not_taken(&progressing.message, error)),
        (Ok(_), Step::Guard(_)) => (EventType::Normal, "Guarding", GUARDING.to_owned()),
        (Ok(_), Step::Refuse(_)) => (EventType::Warning, progressing.reason, progressing.message.clone()),
        (Ok(_), Step::Wait(reason)) if matches!(reason.code, "RollHalted" | "PodRefused" | "PodStuck") => {
            (EventType::Warning, progressing.reason, progressing.message.clone())
        }
        (Ok(_), _) => (EventType::Normal, progressing.reason, progressing.message.clone()),
    };
    // What lasts is said when it begins, and not on every pass or try.
    let lasts = outcome.is_err() || plan.step.idle();
    let before = ensemble.status.as_ref().map_or(&[][..], |status| &status.conditions);
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

/// As Events call what is done.
fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// The cause comes before what was meant to be done: an Event has no room for two long sentences.
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
