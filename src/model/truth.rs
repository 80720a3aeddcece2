//! What the agent of a member reports about it, in one JSON document.
//!
//! Invariants: an unanswered question is `None`, never a default; no text in it is longer than people read, whoever
//! sent it.

use serde::{Deserialize, Serialize};

use super::bounded;
use super::ids::{ConfigVersion, ServerId, Zxid};

/// Why a server is outdated if it was started with another super user's password than there is now.
pub const PASSWORD_CHANGED: &str = "the super user's password was changed";

/// One member as its agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberTruth {
    /// Its server id.
    pub id: ServerId,
    /// What the disk says.
    pub disk: DiskState,
    /// What the running server says.
    pub server: ServerState,
    /// For how many seconds it has not served, as far as its agent saw; `None` while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<u64>,
    /// For how many seconds nothing has moved in it while it does not serve: no database file, nothing that it reads,
    /// no work. `None` if that cannot be seen, and while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<u64>,
    /// What it has shipped to the ensemble's archive, if it is one of those that ship.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveState>,
    /// Why its agent, which is to, deletes none of its old logs and snapshots.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub unpurged: Option<String>,
}

/// What a member's agent says of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveState {
    /// The last transaction that it has shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Zxid>,
    /// The newest base that it knows of in the archive, whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Zxid>,
    /// Whether it ships, or why not.
    pub reason: ArchiveReason,
    /// Why not, in words.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// How far it is behind; unknown while the agent has not looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<ArchiveLag>,
    /// What it holds back, if anything. Older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldBack>,
    /// The earliest point that it knows the archive to lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Point>,
    /// The latest point that its own chain leads to. Absent while its newest gap is behind the newest base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches: Option<Point>,
    /// Where its chain begins behind its newest gap, and not with the ensemble: without a base up to there, nothing that it has shipped
    /// since can be built. Absent while it does not know that, or whether there is a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Zxid>,
    /// What of its log it deleted though no archive that it knows of had it, since its volume was nearly full: the newest such range.
    /// Older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
    /// So many bytes of its log and snapshots it keeps only because they are not archived. Older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unarchived: Option<u64>,
    /// Of which archive it says that: [`ArchivePlace::described`](super::archive::ArchivePlace::described). Older agents do not say.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl ArchiveState {
    /// Nothing but this is known.
    pub fn of(reason: ArchiveReason) -> Self {
        Self {
            last: None,
            base: None,
            reason,
            words: None,
            lag: None,
            held: None,
            first: None,
            reaches: None,
            starts: None,
            given_up: None,
            unarchived: None,
            place: None,
        }
    }
}

/// Transactions that a member deleted before they were archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenUp {
    /// The first one.
    pub first: Zxid,
    /// The last one.
    pub last: Zxid,
}

/// A point in the history of an ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The transaction.
    pub zxid: Zxid,
    /// Its time, in milliseconds since 1970.
    pub time: i64,
}

/// How far a member's archive is behind its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveLag {
    /// The age of the oldest transaction that is committed and not archived.
    pub seconds: u64,
    /// About so many bytes of log are not archived.
    pub bytes: u64,
    /// The last error since all was archived.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What a member's server has and its archive has not, until something else is committed: the end of its log, of an epoch that is over, which
/// may never have been committed, and only a transaction behind it shows that; or what the server was synced with and has not logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBack {
    /// The first transaction that is not archived because of that.
    pub first: Zxid,
    /// The last one.
    pub last: Zxid,
    /// For how many seconds its agent has seen that.
    pub seconds: u64,
    /// Whether the log does not have it. Older agents do not look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlogged: bool,
}

/// Whether a member ships to the archive, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArchiveReason {
    /// It does.
    Shipping,
    /// The store does not answer, or with an error.
    TargetUnreachable,
    /// The store refuses the credentials, or a right is missing.
    AccessDenied,
    /// The Secret lacks a key, the pod has no identity of its own, or the configuration is wrong.
    NoCredentials,
    /// The certificates of CAs that are to be trusted are missing, or are none.
    NoCa,
    /// A key is missing with which it is to be encrypted, or with which what is there was encrypted.
    NoKey,
    /// The archive was begun without encryption, and is to be encrypted.
    NotEncrypted,
    /// The store has no such bucket.
    NoSuchBucket,
    /// The archive has other transactions under this disk's name.
    Conflict,
    /// An object of this disk's chain cannot be read.
    ArchiveDamaged,
    /// The member's own log cannot be read.
    DiskUnreadable,
    /// What an agent of another version calls it.
    #[serde(other)]
    Unknown,
}

/// What a member's volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskState {
    /// Identity of the ensemble that it belongs to.
    #[serde(default, deserialize_with = "bounded::optional")]
    pub identity: Option<String>,
    /// Whether it holds a snapshot or a transaction log.
    pub database: bool,
    /// Version of the membership on record.
    pub record: Option<ConfigVersion>,
    /// That membership, but for its version.
    #[serde(default, deserialize_with = "bounded::optional_membership", skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// The point of another ensemble's archive that its database began with.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The last epoch that its server has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Why the server has to be restarted to use what its pod was given since its start.
    #[serde(default, deserialize_with = "bounded::optional", skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// Whether its server accepts clients while it leads, with the settings it was started with; `None` if an older
    /// agent does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_serves: Option<bool>,
    /// How much of its file system is free, in percent; `None` if that cannot be seen, or an older agent does not say. It is told
    /// anew only when it has moved by some percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u8>,
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
    /// Whether it uses words that this version does not know: nothing can be decided by it.
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
    /// Text of the membership that it uses, with the version.
    #[serde(deserialize_with = "bounded::membership")]
    pub membership: String,
    /// On the leader: voters that are synced with it, without itself.
    pub synced_voters: Option<u32>,
    /// On the leader: for how many seconds it has proposed, and nothing has been committed in its epoch, not even the first
    /// transaction. Absent otherwise. Older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits_nothing: Option<u64>,
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
    fn an_agent_that_says_nothing_of_what_it_holds_back_is_read_and_so_is_one_that_says_more_of_it() {
        let read = |text: &str| serde_json::from_str::<ArchiveState>(text).unwrap().held;
        assert_eq!(read(r#"{"reason":"shipping"}"#), None);
        let held = HeldBack { first: Zxid(5), last: Zxid(7), seconds: 3, unlogged: false };
        let state = ArchiveState { held: Some(held), ..ArchiveState::of(ArchiveReason::Shipping) };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(read(&text), Some(held));
        assert_eq!(read(&text.replace(r#""held":{"#, r#""held":{"why":"new","#)), Some(held));
    }

    #[test]
    fn an_agent_that_says_nothing_of_what_it_gave_up_is_read() {
        let older: ArchiveState = serde_json::from_str(r#"{"reason":"shipping"}"#).unwrap();
        assert_eq!((older.given_up, older.unarchived), (None, None));
        let given_up = Some(GivenUp { first: Zxid(5), last: Zxid(7) });
        let state = ArchiveState { given_up, unarchived: Some(9), ..older };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<ArchiveState>(&text).unwrap(), state);
    }

    #[test]
    fn case_r02_of_what_an_agent_says_no_text_is_longer_than_people_read() {
        let truth: MemberTruth = serde_json::from_str(&waiting(&"x".repeat(60_000))).unwrap();
        let ServerState::Waiting { phase, .. } = truth.server else { panic!() };
        assert!(phase.len() < 400, "{}", phase.len());
        let long = "y".repeat(60_000);
        let disk: DiskState = serde_json::from_str(&format!(
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
                commits_nothing: None,
            };
            serde_json::to_string(&serving).unwrap()
        };
        assert!(serde_json::from_str::<Serving>(&serving(255, "a-0.a.svc.cluster.local")).is_ok());
        assert!(serde_json::from_str::<Serving>(&serving(256, "a")).is_err());
        assert!(serde_json::from_str::<Serving>(&serving(3, &"a".repeat(20_000))).is_err());
    }
}
