//! Tells people: the status when it differs, and an Event for each step taken and each refusal. A steady ensemble costs
//! no write.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::events::{Event, EventType};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;
use tracing::{info, warn};

use super::act::{ActError, Acted};
use super::reconcile::chain;
use super::timeout::{ApiError, within};
use super::{Context, STATUS_MANAGER};
use crate::api::{EnsembleStatus, ZooKeeperEnsemble};
use crate::model::ServerId;
use crate::model::words::{CONDITION, NOTE, cut, steady};
use crate::plan::{GUARDING, Plan, Step, Truth, Verdict};

/// How long an Event may take before it is given up.
const EVENT: Duration = Duration::from_secs(5);

/// Writes the status if it says anything new.
pub async fn record(context: &Context, ensemble: &ZooKeeperEnsemble, plan: &Plan) -> Result<(), ApiError> {
    let before = ensemble.status.clone().unwrap_or_default();
    let status = EnsembleStatus {
        conditions: conditions(&before.conditions, &plan.conditions, ensemble.metadata.generation),
        ..plan.status.clone()
    };
    if ensemble.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let api: Api<ZooKeeperEnsemble> =
        Api::namespaced(context.client.clone(), &ensemble.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": ZooKeeperEnsemble::api_version(&()),
        "kind": ZooKeeperEnsemble::kind(&()),
        // Of a status the API server does not check the uid (1.35: another object of the same name took this one's, and was
        // called ready at its birth), only the version.
        "metadata": {"name": ensemble.name_any(), "resourceVersion": ensemble.resource_version()},
        "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    within("write the status", api.patch_status(&ensemble.name_any(), &params, &Patch::Apply(&patch))).await?;
    Ok(())
}

/// Says of an object that these types cannot hold that it is not followed. What else its status says is left as it is.
pub async fn say_undecodable(context: &Context, object: &DynamicObject, error: &str) -> Result<(), ApiError> {
    let mut status = object.data["status"].clone();
    let before: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
    let message =
        cut(&format!("the object cannot be decoded, and is left alone until it is corrected: {error}"), CONDITION);
    let verdicts = [("Degraded", Truth::True), ("Progressing", Truth::False), ("Ready", Truth::False)];
    let verdicts =
        verdicts.map(|(name, truth)| Verdict { name, truth, reason: "InvalidSpec", message: message.clone() });
    let now = conditions(&before, &verdicts, object.metadata.generation);
    if now.iter().all(|condition| before.contains(condition)) {
        return Ok(());
    }
    let others = before.into_iter().filter(|before| now.iter().all(|now| now.type_ != before.type_));
    let all: Vec<Condition> = others.chain(now.clone()).collect();
    status["conditions"] = json!(all);
    let resource = ApiResource::erase::<ZooKeeperEnsemble>(&());
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let patch = json!({
        "apiVersion": ZooKeeperEnsemble::api_version(&()),
        "kind": ZooKeeperEnsemble::kind(&()),
        "metadata": {"name": object.name_any(), "resourceVersion": object.resource_version()},
        "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    within("write the status", api.patch_status(&object.name_any(), &params, &Patch::Apply(&patch))).await?;
    Ok(())
}

/// Conditions with times. A time moves only when the status of its condition flips.
fn conditions(before: &[Condition], verdicts: &[Verdict], generation: Option<i64>) -> Vec<Condition> {
    let with_time = |verdict: &Verdict| {
        let same = before.iter().find(|c| c.type_ == verdict.name && c.status == verdict.truth.as_str());
        Condition {
            type_: verdict.name.to_owned(),
            status: verdict.truth.as_str().to_owned(),
            reason: verdict.reason.to_owned(),
            message: verdict.message.clone(),
            observed_generation: generation,
            last_transition_time: same.map_or_else(|| Time(Timestamp::now()), |c| c.last_transition_time.clone()),
        }
    };
    let mut conditions: Vec<Condition> = verdicts.iter().map(with_time).collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
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
    if lasts && said_before(ensemble, progressing, type_ == EventType::Warning && reason == progressing.reason) {
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
    let ensemble = ensemble.object_ref(&());
    match tokio::time::timeout(EVENT, context.events.publish(&event, &ensemble)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = ApiError::of("publish an Event", error).told(), "an Event is lost"),
        Err(_) => warn!("failed to publish an Event: no answer from the API server"),
    }
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

/// Whether the condition says it already. Of what is wrong the words count as well: one malformed field corrected, and the
/// next is another fault under the same reason.
fn said_before(ensemble: &ZooKeeperEnsemble, now: &Verdict, wrong: bool) -> bool {
    let before = ensemble.status.iter().flat_map(|status| &status.conditions).find(|c| c.type_ == now.name);
    before.is_some_and(|before| before.reason == now.reason && (!wrong || before.message == now.message))
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

    #[test]
    fn another_fault_under_the_same_reason_is_said_anew_and_another_moment_of_a_wait_is_not() {
        let verdict = |message: &str| Verdict {
            name: "Progressing",
            truth: Truth::False,
            reason: "InvalidSpec",
            message: message.to_owned(),
        };
        let mut ensemble = ZooKeeperEnsemble::new("zk", crate::api::ZooKeeperEnsembleSpec::default());
        assert!(!said_before(&ensemble, &verdict("forceSync"), false), "nothing was said yet");
        let conditions = conditions(&[], &[verdict("forceSync")], None);
        ensemble.status = Some(EnsembleStatus { conditions, ..EnsembleStatus::default() });
        assert!(said_before(&ensemble, &verdict("forceSync"), true));
        assert!(!said_before(&ensemble, &verdict("the cron expression"), true));
        assert!(said_before(&ensemble, &verdict("the cron expression"), false));
    }
}
