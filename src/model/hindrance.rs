//! What others prevent: objects that are written without effect or refused, pods that are refused, a super user that is
//! refused. It is noted while acting and forgotten after a while, so that it is tried again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ids::{Seat, ServerId, Zxid};
use super::names::Names;
use super::observed::ObjectKey;
use super::words::held;
use crate::api::Guarded;

/// Everything that is known to be hindered at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hindrances {
    /// Writes and deletes of the ensemble's objects.
    pub objects: BTreeMap<ObjectKey, Hindrance>,
    /// Pods that Kubernetes refuses to create.
    pub pods: BTreeMap<Seat, PodRefusal>,
    /// Pods of members' names that are not the `StatefulSet`'s, so that its controller can create none.
    pub in_the_way: BTreeMap<Seat, OtherPod>,
    /// Whether the members refused the super user at the last change of the membership.
    pub denied: bool,
    /// Rights that the last attempt could not take away.
    pub guard: Option<Unguarded>,
    /// What was written for the archive's sake.
    pub unproven: Unproven,
}

/// Writes that were to show what members hold back from the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unproven {
    /// By member: the last transaction of what it held back at the last try, and how often it was tried for that.
    pub tried: BTreeMap<ServerId, (Zxid, u32)>,
    /// Whether it is too early for another try.
    pub waits: bool,
}

/// Why rights could not be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unguarded {
    /// What was to be.
    pub mark: Guarded,
    /// Why it could not, in a sentence.
    pub words: String,
    /// Whether it is too early to try the same again.
    pub waits: bool,
}

/// Why an object is not what it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Hindrance {
    /// The API server refuses what has this seal, in these words.
    Refused {
        /// Seal of the rendering; the uid, if it was a delete.
        seal: String,
        /// The API server's own words.
        words: String,
    },
    /// What is written comes out differently, or does not stay.
    Overruled(Vec<FieldDifference>),
}

/// A field of an object that is not what it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDifference {
    /// The fields that lead there; items of lists by their names.
    pub path: Vec<String>,
    /// What it should be.
    pub ours: Value,
    /// What it is.
    pub theirs: Value,
    /// Whether the field is to be left alone whatever is wanted of it: that changed too often.
    pub whatever: bool,
}

impl FieldDifference {
    /// Whether both want the same value in the same field, whatever the field holds now. A label that should be empty should be gone.
    pub fn wants_the_same(&self, other: &Self) -> bool {
        let none = |value: &Value| value.is_null() || value == "";
        let any = self.whatever || other.whatever;
        self.path == other.path && (any || self.ours == other.ours || (none(&self.ours) && none(&other.ours)))
    }
}

/// A pod that has a member's name and is not the `StatefulSet`'s. Whatever runs in it, it is not asked, and never deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherPod {
    /// What controls it, as `Kind name`; `None` if nothing does.
    pub owner: Option<String>,
    /// Whether it was the `StatefulSet`'s before: it has the label that only its controller gives.
    pub released: bool,
    /// The labels that it lacks to be the `StatefulSet`'s, as `key=value`.
    pub lacks: Vec<String>,
    /// Whether it goes by itself: it is being deleted, or an earlier `StatefulSet` of that name left it.
    pub going: bool,
    /// What somebody else wants to do before it goes, while it is being deleted; the first few.
    pub finalizers: Vec<String>,
}

impl OtherPod {
    /// What it is, and what gets it out of the way.
    pub fn told(&self, pod: &str, names: &Names) -> String {
        let (namespace, set) = (&names.namespace, &names.ensemble);
        let exists = format!("pod {pod} exists and does not belong to StatefulSet {set}");
        match &self.owner {
            _ if self.going => {
                format!("{exists}: it is being deleted{}", held(&self.finalizers, namespace, "pod", pod))
            }
            Some(owner) => {
                format!("{exists} but to {owner}: delete it, or see to it that nothing else makes a pod of that name")
            }
            None if self.released && self.lacks.is_empty() => format!("{exists}: its controller takes it up by itself"),
            None if self.released => {
                let labels = self.lacks.join(" ");
                format!(
                    "{exists}: put the label {labels} back (kubectl -n {namespace} label --overwrite pod {pod} {labels}), or delete the pod"
                )
            }
            None => format!("{exists}: delete or rename it"),
        }
    }
}

/// Why there is no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRefusal {
    /// When it was first refused, in seconds since 1970; `None` if nobody says.
    pub since: Option<u64>,
    /// The API server's own words.
    pub words: String,
}
