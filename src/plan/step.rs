//! The steps: the one thing to do next, and what is needed for it.

use serde_json::Value;

use crate::model::observed::{Kind, ObjectKey};
use crate::model::{ClaimFacts, Membership, PodFacts, ServerId};
use crate::plan::guard::Guard;
use crate::plan::held::Prove;
use crate::render::Rendered;

/// The one thing to do next, with everything that is needed for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Change objects to what they should be. Safe at any time, and in this order.
    Apply(Vec<Write>),
    /// Write the membership that members start from to the charter, once a quorum has confirmed it.
    Tell(Tell),
    /// Delete what nobody uses any more.
    Delete(Vec<Target>),
    /// Give the `StatefulSet` one more pod.
    AddPod(Resize),
    /// Remove the last pod of the `StatefulSet`, which belongs to no member any more.
    RemovePod(Resize),
    /// Add a synced learner to the membership.
    Join {
        /// Who joins.
        id: ServerId,
        /// The whole new membership.
        to: Membership,
        /// The membership on which this was decided.
        from: Membership,
        /// Members to ask.
        via: Vec<ServerId>,
    },
    /// Take a member out of the membership.
    Leave {
        /// Who leaves.
        id: ServerId,
        /// The whole new membership.
        to: Membership,
        /// The membership on which this was decided.
        from: Membership,
        /// Members to ask; never the one that leaves.
        via: Vec<ServerId>,
        /// The purpose.
        why: Purpose,
    },
    /// Delete a member's pod, so that it is recreated.
    Restart(Restart),
    /// Delete the claim and the pod of a member that is in no membership, so that it comes back empty.
    ReplaceVolume(ReplaceVolume),
    /// Take away rights that everybody has in a new ensemble.
    Guard(Guard),
    /// Commit something, so that members can show what of their logs is committed.
    Prove(Prove),
    /// Nothing can be done before something else happens.
    Wait(Reason),
    /// Nothing will be done until somebody changes something.
    Refuse(Reason),
    /// Everything is as it is wanted.
    Rest,
}

impl Step {
    /// The step in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Tell(_) => "tell",
            Self::Delete(_) => "delete",
            Self::AddPod(_) => "add-pod",
            Self::RemovePod(_) => "remove-pod",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::ReplaceVolume(_) => "replace-volume",
            Self::Restart(_) => "restart",
            Self::Guard(_) => "guard",
            Self::Prove(_) => "prove",
            Self::Wait(_) => "wait",
            Self::Refuse(_) => "refuse",
            Self::Rest => "rest",
        }
    }

    /// The one member that the step is about, if there is one.
    pub fn member(&self) -> Option<ServerId> {
        match self {
            Self::Join { id, .. } | Self::Leave { id, .. } => Some(*id),
            Self::AddPod(resize) | Self::RemovePod(resize) => Some(resize.id),
            Self::ReplaceVolume(replacement) => Some(replacement.id),
            Self::Restart(restart) => Some(restart.id),
            Self::Apply(_)
            | Self::Tell(_)
            | Self::Delete(_)
            | Self::Guard(_)
            | Self::Prove(_)
            | Self::Wait(_)
            | Self::Refuse(_)
            | Self::Rest => None,
        }
    }

    /// Whether the step itself changes nothing.
    pub fn idle(&self) -> bool {
        match self {
            Self::Wait(_) | Self::Refuse(_) | Self::Rest => true,
            Self::Apply(_)
            | Self::Tell(_)
            | Self::Delete(_)
            | Self::AddPod(_)
            | Self::RemovePod(_)
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Restart(_)
            | Self::ReplaceVolume(_)
            | Self::Guard(_)
            | Self::Prove(_) => false,
        }
    }
}

/// An object to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply, with the uid of the object that was seen, if there was one.
    Apply {
        /// What it should be.
        object: Rendered,
        /// Uid of the object that is replaced; `None` when there was none.
        uid: Option<String>,
    },
    /// Create a Secret with a generated value. The value is never rendered, so it is never replaced.
    CreateSecret {
        /// The rest of it.
        object: Rendered,
        /// The key of the generated value.
        key: &'static str,
    },
}

impl Write {
    /// What is written.
    pub fn object(&self) -> &Rendered {
        match self {
            Self::Apply { object, .. } | Self::CreateSecret { object, .. } => object,
        }
    }
}

/// The charter with a membership that members do not know yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Tell {
    /// The `ConfigMap`.
    pub write: Write,
    /// The membership in it.
    pub membership: Membership,
    /// Members to ask for a fresh quorum read.
    pub via: Vec<ServerId>,
}

/// An object to delete, if it still is the one that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

impl Target {
    /// An object as it was read.
    pub(super) fn of(key: ObjectKey, live: &Value) -> Option<Self> {
        let text = |field: &str| live["metadata"][field].as_str().map(str::to_owned);
        Some(Self { key, uid: text("uid")?, resource_version: text("resourceVersion")? })
    }

    pub(super) fn pod(pod: &PodFacts) -> Self {
        let key = ObjectKey { kind: Kind::Pod, name: pod.name.clone() };
        Self { key, uid: pod.uid.clone(), resource_version: pod.resource_version.clone() }
    }

    pub(super) fn claim(claim: &ClaimFacts) -> Self {
        let key = ObjectKey { kind: Kind::PersistentVolumeClaim, name: claim.name.clone() };
        Self { key, uid: claim.uid.clone(), resource_version: claim.resource_version.clone() }
    }
}

/// A change of the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// The member whose pod comes or goes.
    pub id: ServerId,
    /// The `StatefulSet` as it should be.
    pub object: Rendered,
    /// Its uid.
    pub uid: String,
    /// Its version, on which this was decided.
    pub resource_version: String,
    /// The membership that a new pod is for; `None` where a pod goes, or nobody leads.
    pub from: Option<Membership>,
    /// Members to ask for a fresh quorum read.
    pub via: Vec<ServerId>,
}

/// Why a member leaves the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For good: there are more members than wanted.
    Shrink,
    /// To give up leadership before it is stopped; it comes back.
    HandOver,
    /// To be given a new volume; it comes back.
    Replace,
    /// No node has room for it, and the members that have to go wait for it; it comes back once a node has room.
    Unplaced,
    /// To be restarted, where the others would be no majority of a membership with it; it comes back.
    Restart,
}

/// A volume to give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceVolume {
    /// The member; it is in no membership.
    pub id: ServerId,
    /// Its claim, as it was seen.
    pub claim: Target,
    /// Its pod, as it was seen: a claim goes only after its pod.
    pub pod: Option<Target>,
    /// The membership that this was decided on.
    pub from: Membership,
    /// Members to ask for a fresh quorum read.
    pub via: Vec<ServerId>,
    /// Why.
    pub why: String,
}

/// A pod to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The member.
    pub id: ServerId,
    /// Its pod, as it was seen.
    pub pod: Target,
    /// The membership that this was decided on; `None` where nothing is committed, and nobody serves.
    pub from: Option<Membership>,
    /// Members to ask for a fresh quorum read.
    pub via: Vec<ServerId>,
    /// Why.
    pub why: String,
}

/// What prevents an ensemble from starting or growing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Something else has to happen first.
    Wait(Reason),
    /// Somebody has to change something.
    Refuse(Reason),
}

impl From<Obstacle> for Step {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Wait(reason) => Self::Wait(reason),
            Obstacle::Refuse(reason) => Self::Refuse(reason),
        }
    }
}

/// Why nothing is done: a word for machines and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// One CamelCase word, for conditions and Events.
    pub code: &'static str,
    /// What the operator waits for, or what has to change.
    pub message: String,
}

impl Reason {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
