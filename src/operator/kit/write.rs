//! Writes and deletes. Each carries what it was decided on, and the API server refuses it if that no longer holds.

use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};
use tracing::info;

use super::MANAGER;
use super::read::{objects, to_json};
use super::timeout::{ApiError, within};
use crate::model::observed::ObjectKey;
use crate::plan::Target;
use crate::render::Rendered;

/// The precondition of a write.
#[derive(Clone, Copy, Debug)]
pub enum Fence<'a> {
    /// The object did not exist. It is applied without force: if somebody else's object has taken the name since, that
    /// one holds its fields, and the API server answers with a conflict.
    Absent,
    /// This object: the API server refuses to touch another that has taken the name since.
    Uid(&'a str),
    /// This object, as it was seen.
    Version(&'a str, &'a str),
}

/// Applies an object, and returns the result.
pub async fn apply(client: &Client, namespace: &str, object: &Rendered, fence: Fence<'_>) -> Result<Value, ApiError> {
    let (mut json, mut params) = (object.json.clone(), PatchParams::apply(MANAGER));
    match fence {
        Fence::Absent => {}
        Fence::Uid(uid) => json["metadata"]["uid"] = json!(uid),
        Fence::Version(uid, version) => {
            json["metadata"]["uid"] = json!(uid);
            json["metadata"]["resourceVersion"] = json!(version);
        }
    }
    params.force = !matches!(fence, Fence::Absent);
    let (kind, name) = (object.key.kind, &object.key.name);
    let patch = Patch::Apply(&json);
    let call = async { objects(client, kind, namespace).patch(name, &params, &patch).await };
    let answer = within(format!("apply {} {name}", kind.as_str()), call).await?;
    info!(kind = kind.as_str(), object = name, "applied");
    Ok(to_json(&answer))
}

/// Creates an object, and never changes one: if one already exists, this fails, and the next pass sees it.
pub async fn create(client: &Client, namespace: &str, key: &ObjectKey, json: Value) -> Result<(), ApiError> {
    let what = format!("apply {} {}", key.kind.as_str(), key.name);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let create = async {
        let object = serde_json::from_value(json).map_err(kube::Error::SerdeError)?;
        objects(client, key.kind, namespace).create(&params, &object).await
    };
    within(what, create).await?;
    info!(kind = key.kind.as_str(), object = key.name, "created");
    Ok(())
}

/// Deletes an object, if it still is the one that was seen, as it was seen.
pub async fn delete(client: &Client, namespace: &str, target: &Target) -> Result<(), ApiError> {
    let Target { key, uid, resource_version } = target;
    let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: Some(resource_version.clone()) };
    // Of a Job the default would leave its pods without an owner, for ever.
    let propagation_policy = Some(PropagationPolicy::Background);
    let params = DeleteParams { preconditions: Some(preconditions), propagation_policy, ..DeleteParams::default() };
    let what = format!("delete {} {}", key.kind.as_str(), key.name);
    within(what, objects(client, key.kind, namespace).delete(&key.name, &params)).await?;
    info!(kind = key.kind.as_str(), object = key.name, "deleted");
    Ok(())
}

/// Says of a pod that it has failed, if it still is the one that was seen, as it was seen: as Kubernetes does where a node was deleted. Whatever
/// waits for the pod's end goes on. If its node comes back, its kubelet ends it all the same.
pub async fn failed(client: &Client, namespace: &str, pod: &Target) -> Result<(), ApiError> {
    let Target { key, uid, resource_version } = pod;
    let status = json!({
        "metadata": {"uid": uid, "resourceVersion": resource_version},
        "status": {"phase": "Failed", "reason": "NodeLost", "message": "its kubelet did not say that it ended"},
    });
    let (params, patch) =
        (PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }, Patch::Merge(&status));
    let call = async { objects(client, key.kind, namespace).patch_status(&key.name, &params, &patch).await };
    within(format!("give up Pod {}", key.name), call).await?;
    info!(pod = key.name, "given up");
    Ok(())
}
