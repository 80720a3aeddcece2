//! The status of a custom resource: its conditions with their times, and the write that is refused when somebody changed the
//! object meanwhile.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::json;

use super::STATUS_MANAGER;
use super::timeout::{ApiError, within};
use crate::model::words::{CONDITION, cut};
use crate::plan::{ConditionStatus, Verdict};

/// Writes the status of an object that was read.
pub async fn write<K>(client: &Client, read: &ObjectMeta, status: &impl Serialize) -> Result<(), ApiError>
where
    K: Resource<DynamicType = ()>,
{
    let (namespace, name) = (read.namespace.as_deref().unwrap_or_default(), read.name.as_deref().unwrap_or_default());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // Of a status the API server does not check the uid (1.35: another object of the same name took this one's, and was
        // called ready at its birth), only the version.
        "metadata": {"name": name, "resourceVersion": read.resource_version},
        "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    within("write the status", api.patch_status(name, &params, &Patch::Apply(&patch))).await?;
    Ok(())
}

/// Says of an object that these types cannot hold that it is not followed. What else its status says is left as it is.
pub async fn say_undecodable<K>(client: &Client, object: &DynamicObject, error: &str) -> Result<(), ApiError>
where
    K: Resource<DynamicType = ()>,
{
    let mut status = object.data["status"].clone();
    let before: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
    let message =
        cut(&format!("the object cannot be decoded, and is left alone until it is corrected: {error}"), CONDITION);
    let verdicts = [
        ("Degraded", ConditionStatus::True),
        ("Progressing", ConditionStatus::False),
        ("Ready", ConditionStatus::False),
    ];
    let verdicts =
        verdicts.map(|(name, truth)| Verdict { name, truth, reason: "InvalidSpec", message: message.clone() });
    let now = conditions(&before, &verdicts, object.metadata.generation);
    if now.iter().all(|condition| before.contains(condition)) {
        return Ok(());
    }
    let others = before.into_iter().filter(|before| now.iter().all(|now| now.type_ != before.type_));
    let all: Vec<Condition> = others.chain(now.clone()).collect();
    status["conditions"] = json!(all);
    write::<K>(client, &object.metadata, &status).await
}

/// Conditions with times. A time moves only when the status of its condition flips.
pub fn conditions(before: &[Condition], verdicts: &[Verdict], generation: Option<i64>) -> Vec<Condition> {
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

/// Whether the condition says it already. Of what is wrong the words count as well: one malformed field corrected, and the
/// next is another fault under the same reason.
pub fn said_before(before: &[Condition], now: &Verdict, wrong: bool) -> bool {
    let before = before.iter().find(|before| before.type_ == now.name);
    before.is_some_and(|before| before.reason == now.reason && (!wrong || before.message == now.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_fault_under_the_same_reason_is_said_anew_and_another_moment_of_a_wait_is_not() {
        let verdict = |message: &str| Verdict {
            name: "Progressing",
            truth: ConditionStatus::False,
            reason: "InvalidSpec",
            message: message.to_owned(),
        };
        assert!(!said_before(&[], &verdict("forceSync"), false), "nothing was said yet");
        let before = conditions(&[], &[verdict("forceSync")], None);
        assert!(said_before(&before, &verdict("forceSync"), true));
        assert!(!said_before(&before, &verdict("the cron expression"), true));
        assert!(said_before(&before, &verdict("the cron expression"), false));
    }
}
