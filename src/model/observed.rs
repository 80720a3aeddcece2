//! What was seen, as one plain value. Nothing is decided here, and what could not be seen is unknown.

mod kind;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::backup_end::BackupEnd;
use super::charter::Charter;
use super::desired::{Desired, MAX_REPLICAS};
use super::hindrance::Hindrances;
use super::ids::{Pool, Seat, ServerId};
use super::invalid::InvalidSpec;
use super::membership::Membership;
use super::names::Names;
use super::truth::MemberTruth;
use crate::api::EnsembleStatus;

pub use kind::{Field, Kind, ObjectKey, ResourceInfo};

/// The answer to a question, or why there is none. A missing answer is never an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// The answer.
    Known(T),
    /// Why there is none.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// An object with a name that the ensemble needs, as it is on the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Live {
    /// It is this ensemble's.
    Ours(Value),
    /// It has this ensemble's labels and no owner: a backup tool restored it, or its owner was deleted without it
    /// (`--cascade=orphan`).
    Orphan(Value),
    /// It belonged to an earlier ensemble of that name, or is being deleted: the garbage collector deletes it.
    Leftover {
        /// What somebody else wants to do before it goes; the first few.
        finalizers: Vec<String>,
    },
    /// It is somebody else's.
    Foreign {
        /// Whose, as far as it says.
        owner: String,
    },
}

impl Live {
    /// What it holds, when it is this ensemble's or may become so.
    pub fn held(&self) -> Option<&Value> {
        match self {
            Self::Ours(json) | Self::Orphan(json) => Some(json),
            Self::Leftover { .. } | Self::Foreign { .. } => None,
        }
    }
}

/// The `StatefulSet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFacts {
    /// Its uid.
    pub uid: String,
    /// Its version, opaque, for preconditions.
    pub resource_version: String,
    /// `spec.replicas`.
    pub replicas: u32,
    /// The identity in its claim template; `None` without claims.
    pub identity: Option<String>,
    /// The revision that new pods get; `None` until its controller has observed the last change.
    pub update_revision: Option<String>,
    /// The version of ZooKeeper that new pods get.
    pub version: Option<String>,
}

/// A member's pod.
#[expect(clippy::struct_excessive_bools, reason = "each is one word of Kubernetes")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version, opaque, for preconditions.
    pub resource_version: String,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// The node that it was put on.
    pub node: Option<String>,
    /// When it was created, in seconds since 1970.
    pub since: u64,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// What is left of it, if it is being deleted.
    pub ending: Option<Ending>,
    /// The revision of its template.
    pub revision: Option<String>,
    /// Whether the server's container runs, according to the kubelet; `None` if it has not said.
    pub running: Option<bool>,
    /// Whether the kubelet found the server's container ready.
    pub ready: bool,
    /// Why no client reaches it through a Service: the pod as a whole is not ready. `None` if they do.
    pub shut: Option<String>,
    /// A container beside the server that ended and runs again: since when, in seconds since 1970, and how it ended.
    pub shaky: Option<(u64, String)>,
    /// Whether it was ever ready, so its template has served. True if in doubt.
    pub served: bool,
    /// Since when it is no longer ready, in seconds since 1970, if it ever was.
    pub unready: Option<u64>,
    /// How often the server ended and was restarted in this pod.
    pub restarts: u32,
    /// How much memory its server may use, whoever limits it: a `LimitRange` may if the spec says nothing.
    pub memory: Option<MemoryFacts>,
    /// Whether the kubelet is still creating its containers, without saying why that takes long.
    pub creating: bool,
    /// What keeps it from running, in Kubernetes' own words.
    pub trouble: Option<String>,
    /// What `prepare` let the server start in spite of.
    pub in_spite_of: Option<String>,
    /// Whether its server said, when it last ended, that it cannot read its own files.
    pub unreadable: bool,
    /// Whether its settings may also be the reason, such as a lowered size limit: it could read no snapshot, and its
    /// last words do not say why.
    pub doubtful: bool,
    /// What an annotation on it asks for.
    pub request: Option<MemberRequest>,
    /// The version of ZooKeeper that has run in it, on its volume.
    pub ran: Option<String>,
}

/// A pod that is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// When it has to have ended, in seconds since 1970.
    pub until: u64,
    /// Whether none of its containers runs any more, according to its kubelet.
    pub ended: bool,
    /// What somebody else wants to do before it goes; the first few.
    pub finalizers: Vec<String>,
}

/// The memory of a server, as its pod has it, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFacts {
    /// The limit of its container.
    pub limit_mib: u64,
    /// The largest heap that its flags name.
    pub heap_mib: Option<u64>,
}

/// What an annotation on a pod can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRequest {
    /// A restart.
    Restart,
    /// A new, empty volume.
    Replace,
}

/// A node that a member's pod is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Whether it takes no new pods: it is about to be drained.
    pub cordoned: bool,
    /// Why it will not come back, if somebody said so.
    pub lost: Option<String>,
}

/// What is known about the super user's password, without the password itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordFacts {
    /// Whether its Secret holds none.
    pub lacking: bool,
    /// When the password was last found changed, in seconds since 1970.
    pub changed: Option<u64>,
}

/// What was asked for by annotations on the custom resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// A word that changes with each wish to restart every member.
    pub restart: Option<String>,
    /// The revision that may be restarted to.
    pub approved: Option<String>,
    /// The loss of volumes that is accepted.
    pub accept_loss: Option<String>,
}

/// A member's volume claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version, opaque, for preconditions.
    pub resource_version: String,
    /// The identity of the ensemble in its label.
    pub identity: Option<String>,
    /// Whether its ensemble was born: only then its data brings that ensemble back.
    pub born: bool,
    /// Whether it is being deleted, or the garbage collector will delete it with an earlier ensemble of that name.
    pub going: bool,
    /// What somebody else wants to do before it goes, while it is being deleted; the first few.
    pub finalizers: Vec<String>,
    /// Whether it will be deleted with this ensemble.
    pub owned: bool,
    /// Its instance label, which only claims of earlier versions have.
    pub instance: Option<String>,
    /// The recorded version of ZooKeeper that last ran on it.
    pub ran: Option<String>,
    /// The volume that it is bound to; a claim that never was bound is empty.
    pub volume: Option<String>,
    /// Why its volume is gone for good, if that is certain.
    pub lost: Option<String>,
    /// Who holds which of its fields, by the API server's record.
    pub managed: Value,
}

/// What the operator knows about itself and its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorFacts {
    /// The operator's own image: the agent in every pod.
    pub agent_image: String,
    /// Its pull policy.
    pub agent_pull_policy: Option<String>,
    /// Whether the cluster assigns uid, gid and fsGroup to pods, and refuses others.
    pub assigned_ids: bool,
    /// The cluster's DNS domain, according to what the kubelet wrote into the operator's own pod.
    pub searched: Option<String>,
}

/// Everything that was seen of one ensemble in one pass.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The time of the observation, in seconds since 1970: the only clock that a decision has.
    pub now: u64,
    /// What its objects are called.
    pub names: Names,
    /// Uid of the custom resource.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// How many voters it asks for, whether or not the rest of it is valid.
    pub asked: u32,
    /// The spec, proven or refused.
    pub desired: Result<Desired, InvalidSpec>,
    /// The status that was last written.
    pub status: EnsembleStatus,
    /// What was asked for by annotation.
    pub requests: Requests,
    /// What the operator knows about itself and its cluster.
    pub operator: OperatorFacts,
    /// The `StatefulSet` of each pool, where there is one of ours.
    pub sets: BTreeMap<Pool, SetFacts>,
    /// Its pods.
    pub pods: BTreeMap<Seat, PodFacts>,
    /// The nodes that they are on.
    pub nodes: BTreeMap<String, Fact<NodeFacts>>,
    /// Claims of the members' names, whoever made them.
    pub claims: BTreeMap<Seat, ClaimFacts>,
    /// Each pod's answer.
    pub members: BTreeMap<ServerId, Fact<MemberTruth>>,
    /// The charter in the `ConfigMap`, if there is one of ours.
    pub charter: Option<Charter>,
    /// Every object with a name that the ensemble needs. What is missing here does not exist: it was looked for by
    /// name.
    pub objects: BTreeMap<ObjectKey, Live>,
    /// What is known of the super user's password.
    pub password: PasswordFacts,
    /// What others keep from happening, as far as is known.
    pub hindrances: Hindrances,
    /// The restore that changes its znodes now.
    pub restoring: Option<String>,
    /// Its backups that have ended, as far as the operator has seen them since it was started.
    pub backups: Vec<BackupEnd>,
}

impl Observation {
    /// The `StatefulSet` of a pool, if there is one.
    pub fn set(&self, pool: Pool) -> Option<&SetFacts> {
        self.sets.get(&pool)
    }

    /// Where a member's pod is reached.
    pub fn address(&self, id: ServerId) -> Option<&str> {
        self.pods.get(&id.seat())?.ip.as_deref()
    }

    /// How many member Services there are or should be. `observe` looks for exactly these by name.
    pub fn span(&self) -> u32 {
        let desired = self.desired.as_ref().map_or(0, |desired| desired.replicas);
        let set = self.set(Pool::Voters).map_or(0, |set| set.replicas);
        let noted = self.noted_membership().map_or(0, |membership| membership.highest(&self.names));
        let claims = if self.set(Pool::Voters).is_none() { self.highest_claim() } else { 0 };
        desired.max(set).max(noted).max(claims).min(MAX_REPLICAS)
    }

    /// The number of members up to the highest claim with an identity.
    pub fn highest_claim(&self) -> u32 {
        let marked = self.claims.iter().filter(|(_, claim)| claim.identity.is_some());
        marked.map(|(seat, _)| seat.ordinal + 1).max().unwrap_or(0)
    }

    /// The last confirmed membership on record: in the charter, which members start from, else in the status, which
    /// anybody with the right to can write.
    pub fn noted_membership(&self) -> Option<Membership> {
        self.charter.as_ref().and_then(Charter::confirmed).or_else(|| self.recorded_membership())
    }

    fn recorded_membership(&self) -> Option<Membership> {
        let recorded = self.status.membership.as_ref()?;
        let mut membership = Membership::parse(&recorded.servers.join("\n")).ok()?;
        membership.version = recorded.version.parse().ok()?;
        Some(membership)
    }

    /// An identity that is on record for this very object.
    pub fn identity(&self) -> Option<&str> {
        // Ordered by how hard they are to change by mistake: a claim template is immutable, a status is not.
        let set = self.set(Pool::Voters).and_then(|set| set.identity.as_deref());
        set.or_else(|| self.charter.as_ref().map(|charter| charter.identity.as_str()))
            .or(self.status.identity.as_deref())
    }

    /// The answer from the address of a member's pod. It counts only if it is from this member of this ensemble: other
    /// pods get old addresses, and for a third of a second another ensemble's leader of a later epoch was taken for
    /// this one's, whose members then joined the other (case r04).
    pub fn believed(&self, id: ServerId, answer: Result<MemberTruth, String>) -> Fact<MemberTruth> {
        match answer {
            Err(reason) => Fact::Unknown(reason),
            Ok(truth) if truth.id != id => {
                Fact::Unknown(format!("the agent at its address speaks for member {}", truth.id))
            }
            Ok(truth) if self.identity().is_some_and(|ours| truth.disk.identity.as_deref() != Some(ours)) => {
                let theirs = truth.disk.identity.unwrap_or_else(|| "nobody".to_owned());
                Fact::Unknown(format!("the agent at its address speaks for another ensemble (identity {theirs})"))
            }
            Ok(truth) if truth.server.unknown() => Fact::Unknown(
                "its agent has another version than the operator, which does not understand it".to_owned(),
            ),
            Ok(truth) => Fact::Known(truth),
        }
    }

    /// The answer of a member, or why there is none.
    pub fn truth(&self, id: ServerId) -> Fact<&MemberTruth> {
        match self.members.get(&id) {
            Some(Fact::Known(truth)) => Fact::Known(truth),
            Some(Fact::Unknown(reason)) => Fact::Unknown(reason.clone()),
            None => Fact::Unknown(self.no_pod(id.seat())),
        }
    }

    fn no_pod(&self, seat: Seat) -> String {
        if let Some(other) = self.hindrances.in_the_way.get(&seat) {
            return format!("it has no pod: {}", other.told(&self.names.pod(seat), &self.names));
        }
        match self.hindrances.pods.get(&seat) {
            Some(refusal) => format!("it has no pod: the API server says: {}", refusal.words),
            None => "it has no pod".to_owned(),
        }
    }

    /// Members that have a pod or should have one.
    pub fn manned(&self) -> BTreeSet<Seat> {
        let wanted = (0..self.set(Pool::Voters).map_or(0, |set| set.replicas.min(MAX_REPLICAS))).map(Seat::voter);
        self.pods.keys().copied().chain(wanted).collect()
    }

    /// Members that should have a pod and have none.
    pub fn unmanned(&self) -> BTreeSet<Seat> {
        let mut seats = self.manned();
        seats.retain(|seat| !self.pods.contains_key(seat));
        seats
    }
}
