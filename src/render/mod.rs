//! The Kubernetes objects of an ensemble: from a blueprint to JSON for server-side apply.
//!
//! Invariants: byte-stable, so that an upgrade of the operator restarts nothing; contains no secret; cannot fail.

pub mod backup;
mod claim;
mod config;
mod job;
mod merge;
mod mounts;
mod pod;
mod prune;
pub mod restore;
pub mod schedule;
mod services;
mod set;
pub mod trial;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::charter::{ADDRESSES_KEY, CHARTER_KEY, STATIC_KEY};
use crate::model::desired::Storage;
use crate::model::generated::GENERATED;
use crate::model::names::{ENSEMBLE_LABEL, INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL};
use crate::model::observed::{Kind, ObjectKey, OperatorFacts, Requests};
use crate::model::{Addresses, Charter, Desired, Names, Seat};

pub use claim::{OnClaim, claim};
pub use config::static_config;

/// Everything that the rendering depends on.
#[derive(Clone, Debug)]
pub struct Blueprint<'a> {
    /// Names of the objects.
    pub names: &'a Names,
    /// Uid of the custom resource, which owns them.
    pub uid: &'a str,
    /// What is wanted.
    pub desired: &'a Desired,
    /// What annotations ask for.
    pub requests: &'a Requests,
    /// What the operator knows about itself and its cluster.
    pub operator: &'a OperatorFacts,
    /// What members start from.
    pub charter: Charter,
    /// Where members' names lead, as far as their Services are there.
    pub addresses: Addresses,
    /// The number of pods that the `StatefulSet` should have now. Only the planner changes it.
    pub pods: u32,
    /// How many vote now, or will at the birth.
    pub voters: u32,
    /// Whether some member's volume goes with its pod, because its claim was deleted.
    pub passing: bool,
    /// How many member Services there are.
    pub span: u32,
    /// Whether the claims of the `StatefulSet` have [`INSTANCE_LABEL`]: their template cannot be changed.
    pub old_claims: bool,
}

/// An object to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Its kind and name.
    pub key: ObjectKey,
    /// All of it that the operator manages.
    pub json: Value,
}

impl Rendered {
    /// What distinguishes this rendering of the object from every other, whatever it was decided on.
    pub fn seal(&self) -> String {
        match self.json["metadata"]["annotations"][SEAL].as_str() {
            Some(seal) => seal.to_owned(),
            None => digest(&self.json.to_string()),
        }
    }
}

/// Annotation on every object: a digest of its rendering.
pub(crate) const SEAL: &str = "menagerie.dev/rendered";

/// What the zoo.cfg of all members has in common.
fn static_lines(desired: &Desired) -> String {
    config::static_config(&desired.config, &desired.jvm_flags, desired.archive.is_some(), desired.storage.bytes())
}

/// What members find in their `ConfigMap`.
fn told(blueprint: &Blueprint<'_>) -> Value {
    let mut data = json!({
        CHARTER_KEY: serde_json::to_string_pretty(&blueprint.charter).unwrap_or_default(),
        STATIC_KEY: static_lines(blueprint.desired),
    });
    if !blueprint.addresses.is_empty() {
        data[ADDRESSES_KEY] = json!(serde_json::to_string(&blueprint.addresses).unwrap_or_default());
    }
    if let Some(archive) = &blueprint.desired.archive {
        data[archive.config.key()] = json!(serde_json::to_string_pretty(&archive.config).unwrap_or_default());
    }
    data
}

/// Every object of an ensemble, in the order in which they are applied.
pub fn render(blueprint: &Blueprint<'_>) -> Vec<Rendered> {
    let names = blueprint.names;
    let account = json!({"automountServiceAccountToken": false});
    let mut objects = vec![blueprint.object(Kind::ServiceAccount, &names.ensemble, account)];
    objects.extend(
        GENERATED.iter().map(|secret| blueprint.object(Kind::Secret, &(secret.name)(names), json!({"type": "Opaque"}))),
    );
    objects.extend([
        blueprint.object(Kind::ConfigMap, &names.config(), json!({"data": told(blueprint)})),
        services::client(blueprint),
        services::headless(blueprint),
    ]);
    objects.extend((0..blueprint.span).map(|n| services::member(blueprint, Seat::voter(n))));
    objects.push(blueprint.object(
        Kind::PodDisruptionBudget,
        &names.ensemble,
        json!({"spec": {"maxUnavailable": evictable(blueprint), "selector": {"matchLabels": selector(names)}, "unhealthyPodEvictionPolicy": "IfHealthyBudget"}}),
    ));
    objects.push(set::stateful_set(blueprint));
    objects.extend(prune::cron_job(blueprint));
    objects.into_iter().map(sealed).collect()
}

/// How many members may be evicted at once, so that a majority of the current voters remains. A pod that is not ready
/// counts as evicted, although its server may serve and vote beside a failing container. Such pods can also be evicted
/// while enough others are ready; if none are, a person deletes the pod.
///
/// One or two voters tolerate no eviction. With volumes it costs them the quorum until the pod is back, but a budget of
/// none would block each drain for ever. An ephemeral pod takes its copy along, and of two copies one is not enough:
/// `ZooKeeper` ignores the vote of an empty server. Such pods may not be evicted, nor may pods whose claim was deleted
/// and lasts only as long as the pod.
fn evictable(blueprint: &Blueprint<'_>) -> u32 {
    let wanted = blueprint.desired.replicas;
    let voters = blueprint.voters.min(wanted);
    let tolerated = voters.saturating_sub(1) / 2;
    // An ensemble that shrinks has two voters only for a moment: no drain waits for that.
    let between = blueprint.voters == 2 && wanted == 1;
    let kept = matches!(blueprint.desired.storage, Storage::Claim { .. }) && !blueprint.passing;
    let for_good = wanted < 3 && !between && kept;
    if for_good { 1 } else { tolerated }
}

/// Only the `StatefulSet`: membership steps change nothing but its number of pods.
pub fn stateful_set(blueprint: &Blueprint<'_>) -> Rendered {
    sealed(set::stateful_set(blueprint))
}

/// Puts a digest of the rendering on the object, so that a field that is no longer rendered shows as well.
fn sealed(mut object: Rendered) -> Rendered {
    let seal = digest(&object.json.to_string());
    object.json["metadata"]["annotations"][SEAL] = json!(seal);
    object
}

/// A short digest, to tell renderings apart.
fn digest(text: &str) -> String {
    let mut short = format!("{:x}", Sha256::digest(text));
    short.truncate(16);
    short
}

impl Blueprint<'_> {
    fn object(&self, kind: Kind, name: &str, body: Value) -> Rendered {
        let mut json = json!({
            "apiVersion": kind.resource().api_version,
            "kind": kind.as_str(),
            "metadata": {
                "name": name,
                "namespace": self.names.namespace,
                "labels": labels(self.names),
                "ownerReferences": [self.owner_reference()],
            },
        });
        merge::fold(&mut json, body);
        Rendered { key: ObjectKey { kind, name: name.to_owned() }, json }
    }

    /// The reference that makes the custom resource the owner of an object.
    pub fn owner_reference(&self) -> Value {
        json!({
            "apiVersion": "menagerie.dev/v1alpha1",
            "kind": "ZooKeeperEnsemble",
            "name": self.names.ensemble,
            "uid": self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }
}

/// Labels that select the members' pods.
pub fn selector(names: &Names) -> Value {
    json!({"app.kubernetes.io/name": "zookeeper", ENSEMBLE_LABEL: names.ensemble})
}

/// The same selector as one string, for the scale subresource.
pub fn selector_text(names: &Names) -> String {
    format!("app.kubernetes.io/name=zookeeper,{ENSEMBLE_LABEL}={}", names.ensemble)
}

fn labels(names: &Names) -> Value {
    let mut labels = selector(names);
    labels[INSTANCE_LABEL] = json!(names.ensemble);
    labels[MANAGED_BY_LABEL] = json!(MANAGED_BY);
    labels
}
