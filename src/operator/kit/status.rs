//! The status of a custom resource: its conditions with times, and a write that fails if somebody has changed the
//! object since.

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
use crate::plan::{ConditionStatus, UntimedCondition};

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
        // For a status the API server checks only the version, not the uid (1.35: another object of the same name got
        // this one's status, and was called ready at its birth).
        "metadata": {"name": name, "resourceVersion": read.resource_version},
        "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    within("write the status", api.patch_status(name, &params, &Patch::Apply(&patch))).await?;
    Ok(())
}

/// Says in these conditions of a kind that the operator does not follow an object that its types cannot hold. The rest of its status
/// stays.
pub async fn say_undecodable<K>(
    client: &Client,
    object: &DynamicObject,
    error: &str,
    conditions_of: &[(&'static str, ConditionStatus)],
) -> Result<(), ApiError>
where
    K: Resource<DynamicType = ()>,
{
    let mut status = object.data["status"].clone();
    let before: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
    let message =
        cut(&format!("the object cannot be decoded, and is left alone until it is corrected: {error}"), CONDITION);
    let untimed = |(name, status): &(&'static str, ConditionStatus)| UntimedCondition {
        name,
        status: *status,
        reason: "InvalidSpec",
        message: message.clone(),
    };
    let untimed: Vec<UntimedCondition> = conditions_of.iter().map(untimed).collect();
    let now = conditions(&before, &untimed, object.metadata.generation);
    if now.iter().all(|condition| before.contains(condition)) {
        return Ok(());
    }
    let others = before.into_iter().filter(|before| now.iter().all(|now| now.type_ != before.type_));
    let all: Vec<Condition> = others.chain(now.clone()).collect();
    status["conditions"] = json!(all);
    write::<K>(client, &object.metadata, &status).await
}

/// Conditions with times. A time changes only if the status of its condition changes.
pub fn conditions(before: &[Condition], untimed: &[UntimedCondition], generation: Option<i64>) -> Vec<Condition> {
    let with_time = |condition: &UntimedCondition| {
        let same = before.iter().find(|c| c.type_ == condition.name && c.status == condition.status.as_str());
        Condition {
            type_: condition.name.to_owned(),
            status: condition.status.as_str().to_owned(),
            reason: condition.reason.to_owned(),
            message: condition.message.clone(),
            observed_generation: generation,
            last_transition_time: same.map_or_else(|| Time(Timestamp::now()), |c| c.last_transition_time.clone()),
        }
    };
    let mut conditions: Vec<Condition> = untimed.iter().map(with_time).collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// Whether the condition says it already. For errors the text counts as well: after one malformed field is corrected,
/// the next is another fault with the same reason.
pub fn said_before(before: &[Condition], now: &UntimedCondition, wrong: bool) -> bool {
    let before = before.iter().find(|before| before.type_ == now.name);
    before.is_some_and(|before| before.reason == now.reason && (!wrong || before.message == now.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_fault_under_the_same_reason_is_said_anew_and_another_moment_of_a_wait_is_not() {
        let condition = |message: &str| UntimedCondition {
            name: "Progressing",
            status: ConditionStatus::False,
            reason: "InvalidSpec",
            message: message.to_owned(),
        };
        assert!(!said_before(&[], &condition("forceSync"), false), "nothing was said yet");
        let before = conditions(&[], &[condition("forceSync")], None);
        assert!(said_before(&before, &condition("forceSync"), true));
        assert!(!said_before(&before, &condition("the cron expression"), true));
        assert!(said_before(&before, &condition("the cron expression"), false));
    }
}
