//! A member's truth: what the agent beside it reports, in one JSON document.
//!
//! Invariants: a question that could not be answered is `None`, never a default; no text in it is longer than people read,
//! whoever sent it.

use serde::{Deserialize, Serialize};

use super::bounded;
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
    pub server: ServerState,
    /// For how many seconds it has not served, as far as its agent saw; `None` while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<u64>,
    /// For how many seconds nothing has moved in it, while it does not serve: no file of its database, nothing that it reads,
    /// no work. `None` when that cannot be seen, and while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<u64>,
}

/// What a member's volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Identity of the ensemble that it belongs to.
    #[serde(default, deserialize_with = "bounded::optional")]
    pub identity: Option<String>,
    /// Whether it holds a snapshot or a transaction log.
    pub database: bool,
    /// Version of the membership on record.
    pub record: Option<ConfigVersion>,
    /// The last epoch that its server has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Why the server has to be started anew to take over what its pod was given meanwhile.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// Whether its server takes clients while it leads, by what it was started with; `None` where an older agent does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_serves: Option<bool>,
}

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ServerState {
    /// It could not be asked: it does not run, starts, or hangs.
    Silent {
        /// What was tried and how it ended.
        #[serde(deserialize_with = "bounded::text")]
        reason: String,
    },
    /// It runs and does not serve: it elects, discovers or synchronizes.
    Waiting {
        /// ZooKeeper's word for where it is: election, discovery, synchronization.
        #[serde(deserialize_with = "bounded::text")]
        phase: String,
        /// The version of ZooKeeper.
        #[serde(default, deserialize_with = "bounded::optional")]
        version: Option<String>,
    },
    /// It serves, and is synced with the leader of its epoch.
    Serving(Serving),
    /// What an agent of another version says, in a word of its own.
    #[serde(other)]
    Unknown,
}

impl ServerState {
    /// Whether it is told in words that this version does not know: nothing can be decided by it.
    pub fn unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Serving(serving) => serving.mode == Mode::Unknown,
            Self::Silent { .. } | Self::Waiting { .. } => false,
        }
    }
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
    #[serde(deserialize_with = "bounded::text")]
    pub version: String,
    /// Text of the membership that it believes in, the version included.
    #[serde(deserialize_with = "bounded::membership")]
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
    /// What an agent of another version calls it.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(phase: &str) -> String {
        format!(
            r#"{{"id":1,"disk":{{"identity":null,"database":false,"record":null}},"server":{{"state":"waiting","version":null,"phase":"{phase}"}}}}"#
        )
    }

    /// While the operator is upgraded, one version reads what the other says.
    #[test]
    fn what_an_agent_of_another_version_says_in_its_own_words_is_unknown_and_the_rest_of_it_is_read() {
        let disk = r#""disk":{"identity":"one","database":true,"record":null,"new":[1]}"#;
        let serving = |mode: &str| {
            format!(
                r#"{{"state":"serving","mode":"{mode}","version":"3.9.5","epoch":1,"zxid":"1","membership":"","syncedVoters":null,"new":{{}}}}"#
            )
        };
        for (server, unknown) in [
            (r#"{"state":"hibernating","until":5}"#.to_owned(), true),
            (serving("witness"), true),
            (serving("observer"), false),
            (r#"{"state":"silent","reason":"x","new":1}"#.to_owned(), false),
        ] {
            let text = format!(r#"{{"id":1,{disk},"server":{server},"new":"x"}}"#);
            let truth: MemberTruth = serde_json::from_str(&text).unwrap();
            assert_eq!((truth.server.unknown(), truth.disk.identity.as_deref()), (unknown, Some("one")), "{text}");
        }
    }

    #[test]
    fn case_r02_of_what_an_agent_says_no_text_is_longer_than_people_read() {
        let truth: MemberTruth = serde_json::from_str(&waiting(&"x".repeat(60_000))).unwrap();
        let ServerState::Waiting { phase, .. } = truth.server else { panic!() };
        assert!(phase.len() < 400, "{}", phase.len());
        let long = "y".repeat(60_000);
        let disk: Disk = serde_json::from_str(&format!(
            r#"{{"identity":"{long}","database":true,"record":null,"outdated":"{long}"}}"#
        ))
        .unwrap();
        assert!(disk.identity.unwrap().len() < 400 && disk.outdated.unwrap().len() < 400);
        let silent: ServerState = serde_json::from_str(&format!(r#"{{"state":"silent","reason":"{long}"}}"#)).unwrap();
        let ServerState::Silent { reason } = silent else { panic!() };
        assert!(reason.len() < 400);
    }

    #[test]
    fn case_r02_a_membership_is_whole_or_no_answer() {
        let serving = |servers: usize, name: &str| {
            let lines: Vec<_> = (1..=servers).map(|id| format!("server.{id}={name}:2888:3888;2181")).collect();
            let serving = Serving {
                mode: Mode::Follower,
                epoch: 1,
                zxid: Zxid(1),
                version: "3.9.5".into(),
                membership: lines.join("\n"),
                synced_voters: None,
            };
            serde_json::to_string(&serving).unwrap()
        };
        assert!(serde_json::from_str::<Serving>(&serving(255, "a-0.a.svc.cluster.local")).is_ok());
        assert!(serde_json::from_str::<Serving>(&serving(256, "a")).is_err());
        assert!(serde_json::from_str::<Serving>(&serving(3, &"a".repeat(20_000))).is_err());
    }
}
