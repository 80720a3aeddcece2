//! What the Jobs of restores and of retention have in common: a pod that does one thing, as narrow as a member's, and how often it is
//! tried.
//!
//! Invariants: they contain no secret and no secret is in their arguments.

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};

use super::Rendered;
use super::mounts::{At, Mount};
use super::pod::{pod_security, restricted};
use super::trial::{self, TrialServer};
use crate::api::KeysSpec;
use crate::model::Names;
use crate::model::archive::{ArchiveMounts, ArchivePlace};
use crate::model::layout::{ARCHIVE_CA_DIR, ARCHIVE_DIR, ARCHIVE_KEYS_DIR, TRIAL_DIR};
use crate::model::observed::{Kind, ObjectKey, OperatorFacts};
use crate::model::password::PASSWORD_KEY;

/// A folder of the pod.
pub(super) const SCRATCH: &str = "/scratch";
/// What its pod mounts to reach the archive.
const ARCHIVE: At = At {
    secret: ("archive", ARCHIVE_DIR),
    ca: ("archive-ca", ARCHIVE_CA_DIR),
    keys: ("archive-keys", ARCHIVE_KEYS_DIR),
};
/// In seconds, a week: so long a Job that has ended can be looked at. Policies that clear Jobs away leave those alone that say it themselves.
const KEPT: u32 = 7 * 24 * 60 * 60;
/// A Job that fails for a reason that may pass is tried so often, with pauses of 10 s, 20 s and so on.
const TRIES: u32 = 6;

/// What a Job's pod runs.
pub(super) struct Work<'a> {
    /// Name of its container that reports.
    pub container: &'a str,
    /// What it is asked to do, and of whose archive ([`whose`]).
    pub args: Vec<String>,
    /// Its environment.
    pub env: Option<Value>,
    /// Its resources.
    pub resources: Value,
    /// Size of the folder [`SCRATCH`], for what it fetches.
    pub scratch: Option<&'a str>,
    /// The server that runs beside it, if one does.
    pub trial: Option<&'a TrialServer>,
    /// Where the archive is.
    pub place: &'a ArchivePlace,
    /// What it mounts to reach the archive.
    pub mounts: &'a ArchiveMounts,
    /// The template of the members' pods: what of it says where a pod may run, and who looks after it, counts here as well.
    pub template: &'a Value,
    /// The account, by which a cloud may know the pod.
    pub account: &'a str,
    /// The Secrets with which its image is pulled.
    pub pull_secrets: &'a [String],
    /// What the operator knows about itself.
    pub operator: &'a OperatorFacts,
    /// Seconds after which all tries together are given up.
    pub deadline: i32,
    /// What its pods are found by.
    pub labels: &'a Value,
}

/// The `spec` of the Job.
pub(super) fn spec(work: &Work<'_>) -> Value {
    json!({
        "backoffLimit": TRIES,
        "activeDeadlineSeconds": work.deadline,
        "ttlSecondsAfterFinished": KEPT,
        // The exit codes 1 and 2 say that trying again does not help.
        "podFailurePolicy": {"rules": [
            {"action": "FailJob", "onExitCodes": {"containerName": work.container, "operator": "In", "values": [1, 2]}},
            // A drained node is no failure of the work.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]},
        "template": {"metadata": metadata(work), "spec": pod(work)},
    })
}

/// What of the members' template a pod has to have to run where they run: a node that is theirs alone, a proxy by its host alias, a mesh that
/// is told to stay out. Not what keeps members apart from each other.
const PLACE: [&str; 8] = [
    "nodeSelector",
    "tolerations",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
];

/// By this label of a pod Azure gives it its account's identity.
const AZURE_IDENTITY: &str = "azure.workload.identity/use";

/// Without the template's labels but that by which a cloud knows it: Services and budgets that choose members by them would take this pod for one.
fn metadata(work: &Work<'_>) -> Value {
    let mut annotations = work.template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    // Those are about single containers, which this pod does not have.
    annotations.retain(|key, _| !key.starts_with("container."));
    let mut labels = work.labels.clone();
    let known = &work.template["metadata"]["labels"][AZURE_IDENTITY];
    if !known.is_null() {
        labels[AZURE_IDENTITY] = known.clone();
    }
    // What is moved to fill nodes begins again from nothing.
    for (key, stays) in STAYS {
        annotations.entry(key).or_insert_with(|| json!(stays));
    }
    json!({"labels": labels, "annotations": annotations})
}

/// By these annotations autoscalers leave a pod where it is.
const STAYS: [(&str, &str); 2] =
    [("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"), ("karpenter.sh/do-not-disrupt", "true")];

/// In seconds: so long a Job's pod waits for a node that is lost, unless the template's wait for less.
const LOST: i64 = 300;

/// A node that is lost: a member may wait for it for ever, since its volume is there; a Job's pod begins on another one. Of a pod's tolerations
/// the first that fits a taint counts.
fn lost_nodes() -> [Value; 2] {
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        .map(|key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST}))
}

fn placed(pod: &mut Value, template: &Value) {
    for key in PLACE {
        if !template["spec"][key].is_null() {
            pod[key] = template["spec"][key].clone();
        }
    }
    if let Some(theirs) = pod["tolerations"].as_array().filter(|theirs| !theirs.is_empty()) {
        let is_shorter = |theirs: &Value| theirs["tolerationSeconds"].as_i64().is_some_and(|seconds| seconds <= LOST);
        let (shorter, others): (Vec<_>, Vec<_>) = theirs.iter().cloned().partition(is_shorter);
        pod["tolerations"] = shorter.into_iter().chain(lost_nodes()).chain(others).collect();
    }
    let nodes = &template["spec"]["affinity"]["nodeAffinity"];
    if !nodes.is_null() {
        pod["affinity"] = json!({"nodeAffinity": nodes});
    }
}

/// Requests and limits without a word of it.
pub(super) fn resources(asked: Option<&ResourceRequirements>) -> Value {
    let asked = asked.and_then(|resources| serde_json::to_value(resources).ok());
    asked.unwrap_or_else(|| json!({"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}))
}

/// The custom resource that a Job belongs to: its kind, name and uid.
pub(super) struct Owner<'a>(pub &'a str, pub &'a str, pub &'a str);

/// A Job of a custom resource.
pub(super) fn owned(name: &str, namespace: &str, Owner(kind, owner, uid): &Owner<'_>, work: &Work<'_>) -> Rendered {
    let key = ObjectKey { kind: Kind::Job, name: name.to_owned() };
    let json = json!({
        "apiVersion": key.kind.resource().api_version,
        "kind": key.kind.as_str(),
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": work.labels,
            "ownerReferences": [{
                "apiVersion": "menagerie.dev/v1alpha1", "kind": kind, "name": owner, "uid": uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": spec(work),
    });
    Rendered { key, json }
}

fn pod(work: &Work<'_>) -> Value {
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    if let Some(size) = work.scratch {
        mounts.push(json!({"name": "scratch", "mountPath": SCRATCH}));
        volumes.push(json!({"name": "scratch", "emptyDir": {"sizeLimit": size}}));
    }
    if work.trial.is_some() {
        mounts.push(json!({"name": "trial", "mountPath": TRIAL_DIR}));
        let limit = work.scratch.map_or(json!({}), |size| json!({"sizeLimit": size}));
        volumes.extend([json!({"name": "trial", "emptyDir": limit}), json!({"name": "tmp", "emptyDir": {}})]);
    }
    for Mount { volume, mount } in ARCHIVE.mounts(work.mounts) {
        mounts.push(mount);
        volumes.push(volume);
    }
    let pull_secrets: Vec<Value> = work.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    let mut pod = json!({
        "restartPolicy": "Never",
        // It stops anywhere.
        "terminationGracePeriodSeconds": 5,
        // The archive may be reached by the account's own identity.
        "serviceAccountName": work.account,
        "imagePullSecrets": pull_secrets,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": pod_security(work.operator),
        "containers": [container(work, &mounts)],
        "volumes": volumes,
    });
    if let Some(server) = work.trial {
        pod["initContainers"] = json!([trial::container(server)]);
    }
    placed(&mut pod, work.template);
    pod
}

fn container(work: &Work<'_>, mounts: &[Value]) -> Value {
    let ArchivePlace { target: _, region, endpoint, credentials: _, ca, proxy, encryption, encryption_keys } =
        work.place;
    let mut args = work.args.clone();
    args.extend(region.iter().map(|region| format!("--region={region}")));
    args.extend(endpoint.iter().map(|endpoint| format!("--endpoint={endpoint}")));
    if let Some(secret) = &work.mounts.secret {
        args.extend([format!("--credentials={ARCHIVE_DIR}"), format!("--credentials-secret={secret}")]);
    }
    args.extend(ca.then(|| format!("--ca={ARCHIVE_CA_DIR}")));
    args.extend(proxy.iter().map(|proxy| format!("--proxy={proxy}")));
    args.extend(encryption.iter().map(|encryption| format!("--encryption={}", encryption.type_.as_str())));
    let key = encryption.as_ref().and_then(|encryption| encryption.kms_key.as_ref());
    args.extend(key.map(|key| format!("--kms-key={key}")));
    if let Some(KeysSpec { secret, write_with }) = encryption_keys {
        args.extend([format!("--encryption-keys={ARCHIVE_KEYS_DIR}"), format!("--encryption-keys-secret={secret}")]);
        args.extend(write_with.iter().map(|name| format!("--write-with={name}")));
    }
    // A kubelet takes $(NAME) for the value of a variable, and the super user's password is one: it would stand in a path.
    let args: Vec<String> = args.into_iter().map(|arg| arg.replace('$', "$$")).collect();
    let mut container = json!({
        "name": work.container,
        "image": work.operator.agent_image,
        "args": args,
        "securityContext": restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": work.resources,
        "volumeMounts": mounts,
    });
    if let Some(env) = &work.env {
        container["env"] = env.clone();
    }
    if let Some(policy) = &work.operator.agent_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

/// The super user's password, from its Secret.
pub(super) fn super_password(names: &Names) -> Value {
    json!({
        "name": "MENAGERIE_SUPER_PASSWORD",
        "valueFrom": {"secretKeyRef": {"name": names.super_secret(), "key": PASSWORD_KEY}},
    })
}

/// The arguments that name an archive, and whose it is.
pub(super) fn whose(place: &ArchivePlace, identity: &str) -> [String; 2] {
    [format!("--archive={}", place.target), format!("--identity={identity}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_pod_leaves_a_lost_node_as_soon_as_the_template_says_and_within_five_minutes() {
        let toleration = |seconds: Option<i64>| {
            let mut toleration = json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists"});
            if let Some(seconds) = seconds {
                toleration["tolerationSeconds"] = json!(seconds);
            }
            toleration
        };
        for (theirs, first) in [(Some(30), Some(30)), (Some(86_400), Some(LOST)), (None, Some(LOST))] {
            let mut pod = json!({});
            placed(&mut pod, &json!({"spec": {"tolerations": [toleration(theirs)]}}));
            let fits = |toleration: &&Value| toleration["key"] == "node.kubernetes.io/unreachable";
            let counts = pod["tolerations"].as_array().unwrap().iter().find(fits).unwrap();
            assert_eq!(counts["tolerationSeconds"].as_i64(), first, "{theirs:?}");
        }
    }
}
