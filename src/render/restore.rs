//! The Jobs of a restore.
//!
//! Invariants: they contain no secret and no secret is in their arguments; a Job is created once and never changed.

use serde_json::{Value, json};

use super::Rendered;
use super::merge;
use super::pod::{pod_security, restricted};
use crate::api::{ExistingPolicy, ZooKeeperRestoreSpec};
use crate::model::Names;
use crate::model::archive::ArchivePlace;
use crate::model::names::{MANAGED_BY, MANAGED_BY_LABEL, RESTORE_LABEL};
use crate::model::observed::{Kind, ObjectKey, OperatorFacts};

/// The container that reports.
pub const CONTAINER: &str = "restore";
const SCRATCH: &str = "/scratch";
const CREDENTIALS: &str = "/archive";
/// A Job that fails for a reason that may pass is tried so often, with pauses of 10 s, 20 s and so on.
const TRIES: u32 = 6;
const DEADLINE: i32 = 3600;
const SCRATCH_SIZE: &str = "10Gi";

/// Everything that a Job depends on.
#[derive(Clone, Debug)]
pub struct RestoreBlueprint<'a> {
    /// Name of the `ZooKeeperRestore`.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// What is wanted.
    pub spec: &'a ZooKeeperRestoreSpec,
    /// Names of the ensemble's objects.
    pub names: &'a Names,
    /// The point.
    pub at: &'a str,
    /// Where the archive is.
    pub place: &'a ArchivePlace,
    /// The Secret with its credentials.
    pub secret: Option<&'a str>,
    /// Whose archive it is.
    pub identity: &'a str,
    /// Whether that is the ensemble itself.
    pub same: bool,
    /// The ensemble's own account, by which a cloud may know its pods.
    pub account: &'a str,
    /// The Secrets with which its images are pulled.
    pub pull_secrets: &'a [String],
    /// What the operator knows about itself.
    pub operator: &'a OperatorFacts,
}

/// The Job that plans.
pub fn plan_job(blueprint: &RestoreBlueprint<'_>) -> Rendered {
    let ZooKeeperRestoreSpec { exclusive, paths, znodes, to, existing, newer_than, delete_extra, .. } = blueprint.spec;
    let at = blueprint.at;
    let mut args = vec!["job".to_owned(), "restore-plan".to_owned(), format!("--at={at}")];
    args.extend(exclusive.unwrap_or_default().then(|| "--exclusive".to_owned()));
    args.extend(paths.iter().flatten().map(|path| format!("--path={path}")));
    args.extend(znodes.iter().flatten().map(|path| format!("--znode={path}")));
    args.extend(to.iter().map(|path| format!("--to={path}")));
    let existing = match existing.unwrap_or_default() {
        ExistingPolicy::Keep => "keep",
        ExistingPolicy::KeepNewer => "keep-newer",
        ExistingPolicy::Overwrite => "overwrite",
    };
    args.push(format!("--existing={existing}"));
    args.extend(newer_than.iter().map(|zxid| format!("--newer-than={zxid}")));
    args.extend(delete_extra.unwrap_or_default().then(|| "--delete-extra".to_owned()));
    args.extend(blueprint.same.then(|| "--same-ensemble".to_owned()));
    job(blueprint, &plan_name(blueprint.name), args)
}

/// The Job that carries a plan out.
pub fn apply_job(blueprint: &RestoreBlueprint<'_>, hash: &str, replan: bool) -> Rendered {
    let mut args = vec!["job".to_owned(), "restore-apply".to_owned(), format!("--plan={hash}")];
    args.extend(replan.then(|| "--replan".to_owned()));
    job(blueprint, &apply_name(blueprint.name), args)
}

/// Name of the Job that plans.
pub fn plan_name(restore: &str) -> String {
    format!("{restore}-plan")
}

/// Name of the Job that carries the plan out.
pub fn apply_name(restore: &str) -> String {
    format!("{restore}-apply")
}

fn job(blueprint: &RestoreBlueprint<'_>, name: &str, mut args: Vec<String>) -> Rendered {
    let RestoreBlueprint { name: restore, uid, spec, names, place, secret, identity, operator, .. } = blueprint;
    args.extend([
        format!("--restore={uid}"),
        format!("--archive={}", place.target),
        format!("--identity={identity}"),
        format!("--server={}", names.client_endpoint()),
        format!("--scratch={SCRATCH}"),
    ]);
    args.extend(place.region.iter().map(|region| format!("--region={region}")));
    args.extend(place.endpoint.iter().map(|endpoint| format!("--endpoint={endpoint}")));
    args.extend(secret.map(|_| format!("--credentials={CREDENTIALS}")));
    // A kubelet takes $(NAME) for the value of a variable, and the super user's password is one: it would stand in a path.
    let args: Vec<String> = args.into_iter().map(|arg| arg.replace('$', "$$")).collect();
    let mut container = json!({
        "name": CONTAINER,
        "image": operator.agent_image,
        "args": args,
        "env": [{
            "name": "MENAGERIE_SUPER_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": names.super_secret(), "key": "password"}},
        }],
        "securityContext": restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    });
    if let Some(policy) = &operator.agent_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    if let Some(resources) = &spec.resources {
        container["resources"] = serde_json::to_value(resources).unwrap_or_default();
    }
    let size = spec.scratch_size.as_deref().unwrap_or(SCRATCH_SIZE);
    let mut volumes = vec![json!({"name": "scratch", "emptyDir": {"sizeLimit": size}})];
    if let Some(secret) = secret {
        volumes.push(json!({"name": "archive", "secret": {"secretName": secret, "defaultMode": 0o440}}));
        if let Value::Array(mounts) = &mut container["volumeMounts"] {
            mounts.push(json!({"name": "archive", "mountPath": CREDENTIALS, "readOnly": true}));
        }
    }
    let labels =
        json!({"app.kubernetes.io/name": "zookeeper-restore", RESTORE_LABEL: restore, MANAGED_BY_LABEL: MANAGED_BY});
    let key = ObjectKey { kind: Kind::Job, name: name.to_owned() };
    let mut json = json!({
        "apiVersion": key.kind.resource().api_version,
        "kind": key.kind.as_str(),
        "metadata": {
            "name": name,
            "namespace": names.namespace,
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "menagerie.dev/v1alpha1", "kind": "ZooKeeperRestore", "name": restore, "uid": uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
    });
    let pull_secrets: Vec<Value> = blueprint.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    let pod = json!({
        "restartPolicy": "Never",
        // It stops anywhere.
        "terminationGracePeriodSeconds": 5,
        // The archive may be reached by the account's own identity.
        "serviceAccountName": blueprint.account,
        "imagePullSecrets": pull_secrets,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": pod_security(operator),
        "containers": [container],
        "volumes": volumes,
    });
    merge::fold(
        &mut json,
        json!({"spec": {
            "backoffLimit": TRIES,
            "activeDeadlineSeconds": spec.deadline_seconds.unwrap_or(DEADLINE),
            // The exit codes 1 and 2 say that trying again does not help.
            "podFailurePolicy": {"rules": [
                {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [1, 2]}},
                // A drained node is no failure of the restore.
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }}),
    );
    Rendered { key, json }
}
