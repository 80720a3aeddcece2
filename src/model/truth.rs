//! A member's truth: what the agent beside it reports, in one JSON document.
//!
//! Invariant: a question that could not be answered is `None`, never a default.

use serde::{Deserialize, Serialize};

use super::ids::{ConfigVersion, ServerId, Zxid};

/// Why a server is outdated that was started with another super user's password than there is now.
pub const PASSWORD_CHANGED: &str = "the super user's password was changed";

/// One member as its agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberTruth {
    /// Its server id.
    pub id: ServerId,
    /// What the disk says.
    pub disk: Disk,
    /// What the running server says.
    pub server: Server,
    /// For how many seconds it has not served, as far as its agent saw; `None` while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<u64>,
}

/// What a member's volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Identity of the ensemble that it belongs to.
    pub identity: Option<String>,
    /// Whether it holds a snapshot or a transaction log.
    pub database: bool,
    /// Version of the membership on record.
    pub record: Option<ConfigVersion>,
    /// The last epoch that its server has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Why the server has to be started anew to take over what its pod was given meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
}

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Server {
    /// It could not be asked: it does not run, starts, or hangs.
    Silent {
        /// What was tried and how it ended.
        reason: String,
    },
    /// It runs and does not serve: it elects, discovers or synchronizes.
    Waiting {
        /// ZooKeeper's word for where it is: election, discovery, synchronization.
        phase: String,
        /// The version of ZooKeeper.
        version: Option<String>,
    },
    /// It serves, and is synced with the leader of its epoch.
    Serving(Serving),
}

/// A server that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Leader, follower, observer.
    pub mode: Mode,
    /// The epoch in which it serves.
    pub epoch: u64,
    /// Its last transaction.
    pub zxid: Zxid,
    /// The version of ZooKeeper.
    pub version: String,
    /// Text of the membership that it believes in, the version included.
    pub membership: String,
    /// On the leader: voters that are synced with it, itself not counted.
    pub synced_voters: Option<u32>,
}

/// The part that a serving server plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// It proposes.
    Leader,
    /// It follows; whether it votes, the membership says.
    Follower,
    /// It follows without a vote.
    Observer,
}
