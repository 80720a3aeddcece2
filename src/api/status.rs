//! `ZooKeeperEnsemble`: the status that the operator writes.
//!
//! Invariant: nothing here changes while the ensemble itself does not change, so there is no age, and no zxid but in `archive`, which
//! changes once an hour at most. Otherwise the operator would write the status on every pass, and each write would start the next pass.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use super::proof::BackupsStatus;

/// What was last observed of an ensemble.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EnsembleStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, `QuorumAvailable`, Progressing, Degraded, and Warning or `RestartPending` when there is something to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The oldest version of `ZooKeeper` that a member runs, or ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Pods of voters that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Voters of the confirmed membership that serve and are synced.
    #[serde(default)]
    pub ready_replicas: i32,
    /// `readyReplicas` of the voters, or of `spec.replicas` where that is more, for people.
    #[serde(default)]
    pub ready: String,
    /// Selector of the members' pods, for the scale subresource.
    #[serde(default)]
    pub selector: String,
    /// The leader's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Each member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberStatus>,
    /// The membership that ZooKeeper last confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<MembershipStatus>,
    /// Identity of the ensemble, borne by its volume claims. It outlives this object: claims that are kept bring it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What was taken from everybody: the ACLs that the super user last gave to `ZooKeeper`'s own znodes and to `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded: Option<Guarded>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// What can be built from the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveStatus>,
    /// What became of the backups that have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupsStatus>,
}

/// What can be built from the archive, as far as the members know. What is unknown is absent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveStatus {
    /// The archive.
    pub target: String,
    /// Its address, where it is not Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The earliest point: the oldest base, or the first transaction of the ensemble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_recoverability_point: Option<RecoverabilityPoint>,
    /// The latest point: written when archiving begins to work or to fail, and otherwise once an hour at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_recoverability_point: Option<RecoverabilityPoint>,
}

/// A point in the history of an ensemble.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecoverabilityPoint {
    /// The transaction, as `0x` and hexadecimal digits.
    pub zxid: String,
    /// Its time.
    // With milliseconds: cut to the second, it would name a point before its transaction.
    pub time: MicroTime,
}

impl RecoverabilityPoint {
    /// That of a transaction at a time in milliseconds since 1970. `None` for a time beyond all calendars.
    pub fn at(zxid: Zxid, time: i64) -> Option<Self> {
        let time = Timestamp::from_millisecond(time).ok()?;
        Some(Self { zxid: format!("{zxid:#}"), time: MicroTime(time) })
    }

    /// The transaction; `None` if somebody has written something else there.
    pub fn transaction(&self) -> Option<Zxid> {
        u64::from_str_radix(self.zxid.strip_prefix("0x")?, 16).ok().map(Zxid)
    }

    /// Its time in seconds since 1970.
    pub fn seconds(&self) -> i64 {
        self.time.0.as_second()
    }
}

/// One member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Server id.
    pub id: i32,
    /// Its pod.
    pub pod: String,
    /// What it does in the ensemble.
    pub role: MemberRole,
    /// How it is.
    pub state: MemberState,
    /// Version that the running server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is in the confirmed membership.
    pub confirmed: bool,
}

/// What a member does in the ensemble.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// It leads.
    Leader,
    /// It follows and votes.
    Follower,
    /// It follows without a vote: it joins, or was removed.
    Learner,
    /// It does not serve, or has not answered.
    None,
}

/// How a member is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It serves and is synced with the leader.
    Synced,
    /// It runs without serving: it elects, or catches up.
    NotServing,
    /// It has a pod that does not run yet.
    Starting,
    /// It is in the membership and has no pod.
    Missing,
    /// It did not answer. It may be well.
    Unknown,
}

/// A membership as ZooKeeper confirmed it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MembershipStatus {
    /// Version of the configuration, in hexadecimal as ZooKeeper writes it.
    pub version: String,
    /// One line a server, as in `/zookeeper/config`.
    pub servers: Vec<String>,
}

/// ACLs that the super user gave, each as `scheme:id:rights`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Guarded {
    /// Identity of the ensemble that they were given in.
    pub identity: String,
    /// The ACL of `/zookeeper` and all below it but `/zookeeper/config`.
    pub zookeeper: String,
    /// The ACL of `/`, where `spec.rootAcl` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Vec<String>>,
}

/// Where clients connect.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The client Service: any member that is ready.
    pub client: String,
    /// The connection string that names each member.
    pub connection_string: String,
}
