//! What was seen, as one plain value. Nothing here is decided, and what could not be seen is said to be unknown.

mod kind;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::charter::Charter;
use super::desired::{Desired, MAX_REPLICAS};
use super::hindrance::Hindrances;
use super::ids::{Pool, Seat, ServerId};
use super::invalid::InvalidSpec;
use super::membership::Membership;
use super::names::Names;
use super::truth::MemberTruth;
use crate::api::EnsembleStatus;

pub use kind::{Field, Kind, ObjectKey, Row};

/// Something that was asked for: the answer, or why there is none. The absence of an answer is never an answer.
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

/// An object of a name that the ensemble needs, as it is on the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Live {
    /// It is this ensemble's.
    Ours(Value),
    /// It bears this ensemble's labels and has no owner: a backup tool brought it back, or its owner was deleted and it was
    /// not (`--cascade=orphan`).
    Orphan(Value),
    /// It was an earlier ensemble's of that name, or is being deleted: the garbage collector takes it.
    Leftover,
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
            Self::Leftover | Self::Foreign { .. } => None,
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
    /// Identity that its claim template bears; `None` without claims.
    pub identity: Option<String>,
    /// Revision that pods get when they are created now; `None` until its controller has taken in the last change.
    pub update_revision: Option<String>,
    /// Version of ZooKeeper that its pods get when they are created now.
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
    /// Revision of the template that it was made from.
    pub revision: Option<String>,
    /// Whether the server's container runs, in the kubelet's words; `None` when it has not said.
    pub running: Option<bool>,
    /// Whether the kubelet found the server's container ready.
    pub ready: bool,
    /// Why no client comes to it through a Service: the pod as a whole is not ready. `None` where they do.
    pub shut: Option<String>,
    /// A container beside the server that ended and runs again: since when, in seconds since 1970, and how it had ended.
    pub shaky: Option<(u64, String)>,
    /// Whether it was ready once: what it was made from has served. True when in doubt.
    pub served: bool,
    /// Since when it is not ready any more, in seconds since 1970, where it was once.
    pub unready: Option<u64>,
    /// How often the server ended and was started again in this pod.
    pub restarts: u32,
    /// What its server may use of memory, whoever limited it: a `LimitRange` does so where the spec says nothing.
    pub memory: Option<MemoryFacts>,
    /// Whether the kubelet is still making its containers, and says nothing of why that takes long.
    pub creating: bool,
    /// What keeps it from running, in Kubernetes' own words.
    pub trouble: Option<String>,
    /// What `prepare` let the server start in spite of.
    pub in_spite_of: Option<String>,
    /// Whether its server said, when it last ended, that it cannot read its own files.
    pub unreadable: bool,
    /// Whether its settings may be the reason as well, such as a size limit that was lowered: it could read no snapshot, and
    /// its last words do not have why.
    pub doubtful: bool,
    /// What somebody asked for by an annotation on it.
    pub asked: Option<Asked>,
    /// The version of ZooKeeper that has run in it, on its volume.
    pub ran: Option<String>,
}

/// The memory of a server, as its pod has it, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFacts {
    /// The limit of its container.
    pub limit_mib: u64,
    /// The largest heap that its flags name.
    pub heap_mib: Option<u64>,
}

/// What can be asked for a single member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
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

/// What is known of the super user's password, which is nobody's business before it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordFacts {
    /// Whether its Secret holds none.
    pub lacking: bool,
    /// When another one was found there than before, in seconds since 1970.
    pub changed: Option<u64>,
}

/// What was asked for by annotations on the custom resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// A word that changes with each wish to restart every member.
    pub restart: Option<String>,
    /// The revision that may be restarted to.
    pub approved: Option<String>,
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
    /// Identity of the ensemble that it bears.
    pub identity: Option<String>,
    /// Whether its ensemble was born: only then its data brings that ensemble back.
    pub born: bool,
    /// Whether it is being deleted, or the garbage collector will delete it with an earlier ensemble of that name.
    pub going: bool,
    /// Whether it will be deleted with this ensemble.
    pub owned: bool,
    /// Its label of an instance, which only claims of earlier versions have.
    pub instance: Option<String>,
    /// The version of ZooKeeper that last ran on it, as it was noted.
    pub ran: Option<String>,
    /// The volume that it is bound to; one that never was holds nothing.
    pub volume: Option<String>,
    /// Why its volume is gone for good, if that is certain.
    pub lost: Option<String>,
    /// Who holds which of its fields, by the API server's record.
    pub managed: Value,
}

/// What the operator knows of its own surroundings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The operator's own image: the agent in every pod.
    pub agent_image: String,
    /// Its pull policy.
    pub agent_pull_policy: Option<String>,
    /// Whether the cluster gives pods their uid, gid and fsGroup, and refuses others.
    pub assigned_ids: bool,
    /// The cluster's DNS domain, by what the kubelet wrote into the operator's own pod.
    pub searched: Option<String>,
}

/// Everything that was seen of one ensemble in one pass.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When it was seen, in seconds since 1970: the only clock that a decision has.
    pub now: u64,
    /// What its objects are called.
    pub names: Names,
    /// Uid of the custom resource.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// How many voters it asks for, whether the rest of it can be followed or not.
    pub asked: u32,
    /// The spec, proven or refused.
    pub desired: Result<Desired, InvalidSpec>,
    /// The status that was last written.
    pub status: EnsembleStatus,
    /// What was asked for by annotation.
    pub requests: Requests,
    /// The operator's surroundings.
    pub environment: Environment,
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
    /// Every object whose name the ensemble needs. What is not here does not exist: it was looked for by name.
    pub objects: BTreeMap<ObjectKey, Live>,
    /// What is known of the super user's password.
    pub password: PasswordFacts,
    /// What others keep from happening, as far as is known.
    pub hindrances: Hindrances,
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

    /// How many members' Services there are or should be. `observe` looks for exactly these by name.
    pub fn span(&self) -> u32 {
        let desired = self.desired.as_ref().map_or(0, |desired| desired.replicas);
        let set = self.set(Pool::Voters).map_or(0, |set| set.replicas);
        let noted = self.noted_membership().map_or(0, |membership| membership.highest(&self.names));
        let claims = if self.set(Pool::Voters).is_none() { self.highest_claim() } else { 0 };
        desired.max(set).max(noted).max(claims).min(MAX_REPLICAS)
    }

    /// Number of members up to the highest claim that bears an identity.
    pub fn highest_claim(&self) -> u32 {
        let marked = self.claims.iter().filter(|(_, claim)| claim.identity.is_some());
        marked.map(|(seat, _)| seat.ordinal + 1).max().unwrap_or(0)
    }

    /// The membership that was last confirmed, as it was noted: in the charter, which members start from, else in the
    /// status, which anybody with a right to it may write.
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
        // In the order in which they are hard to change by mistake: a claim template is immutable, a status is not.
        let set = self.set(Pool::Voters).and_then(|set| set.identity.as_deref());
        set.or_else(|| self.charter.as_ref().map(|charter| charter.identity.as_str()))
            .or(self.status.identity.as_deref())
    }

    /// What came from the address of a member's pod. It counts only when it is this member's, of this ensemble: addresses are
    /// given to other pods, and for a third of a second another ensemble's leader of a later epoch was this one's, whose
    /// members then joined the other (case r04).
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
                "its agent is of another version than the operator, and says what that does not understand".to_owned(),
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
