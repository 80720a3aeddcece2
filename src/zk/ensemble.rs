//! An ensemble as its super user sees it, over ZooKeeper's own protocol.
//!
//! Invariant: an unknown outcome is `Unknown`, never success or failure. Every call has a timeout: requests of a
//! disconnected session would wait in a queue for ever.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode, EnsembleUpdate, Error as ZkError};

use crate::model::membership::CLIENT_PORT;
use crate::model::password::password;
use crate::model::words::{QUOTE, cut};
use crate::model::{Change, Membership, address};

const CONNECT: Duration = Duration::from_secs(5);
pub(super) const CALL: Duration = Duration::from_secs(10);
/// A `reconfig` that adds a member waits for the new quorum to acknowledge it.
const RECONFIG: Duration = Duration::from_secs(20);
/// Under `/zookeeper`, where no client watches. The super user may write there whatever the ACLs are.
const COMMIT_NODE: &str = "/zookeeper/menagerie-commit";
const NEW_CONFIG_NO_QUORUM: i32 = -13;
const RECONFIG_IN_PROGRESS: i32 = -14;

/// A password. It is not printed.
pub struct Password(String);

impl Password {
    /// The password in a Secret, without the newline that `echo` adds: the members' agents leave it out as well.
    pub fn of(text: &str) -> Option<Self> {
        let text = password(text);
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The password itself.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How a `reconfig` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconfigOutcome {
    /// It was answered: this is the membership now.
    Done(Membership),
    /// The membership has changed since it was read. Nothing was done.
    Stale,
    /// Another change is under way. Nothing was done.
    Busy,
    /// A majority of the new membership is not synced. Nothing was done.
    NoQuorum,
    /// The connection or the answer was lost. It may have been done; only a read shows it.
    Unknown(String),
}

/// Why an ensemble could not be asked.
#[derive(Debug, Error)]
pub enum EnsembleError {
    /// No session.
    #[error("failed to connect to {hosts}: {reason}")]
    Connect {
        /// Where it was tried.
        hosts: String,
        /// How it ended.
        reason: String,
    },
    /// A call that failed.
    #[error("failed to {what}: {reason}")]
    Call {
        /// What was tried.
        what: &'static str,
        /// How it ended.
        reason: String,
    },
    /// The servers have another password.
    #[error("the servers refuse the super user: they were started with another password than the Secret holds")]
    Denied,
    /// A server without `reconfigEnabled=true` or an old standalone server.
    #[error("the servers refuse to change the membership: reconfigEnabled is not true")]
    ReconfigDisabled,
    /// A change that no server takes, and what it was. Servers say no more than that. A leader goes on with the addresses that it looked
    /// up once (`checkAddressDuplicate`); of the whole list it would look up all names anew, which once cost a quorum.
    #[error(
        "the servers call this change of the membership bad: {0}; they take no two servers with one address, and the leader counts \
         that of a Service that was made anew until it has looked its name up again: its log says which they are, and a restart \
         of its pod ends it"
    )]
    BadArguments(String),
    /// An entry of the wanted ACL that no provider of the servers accepts, and why.
    #[error("the servers refuse spec.rootAcl: {0}")]
    RootAcl(String),
    /// Statistics of quotas that end every server that updates them, and that count each other.
    #[error(
        "{0} broken statistics below /zookeeper/quota count each other, and cannot be repaired while the servers run"
    )]
    BrokenQuotas(usize),
    /// Far more znodes than there are quotas, in a part of the tree that was open to everybody.
    #[error("{path} has {children} children, more than quotas have: delete as super user what does not belong there")]
    Crowded {
        /// Where.
        path: String,
        /// How many.
        children: i32,
    },
}

/// A session of the super user.
pub struct Ensemble {
    pub(super) client: Client,
}

impl Ensemble {
    /// Connects to any of these addresses.
    pub async fn connect(addresses: &[String], password: &Password) -> Result<Self, EnsembleError> {
        let hosts: Vec<String> = addresses.iter().map(|host| address::with_port(host, CLIENT_PORT)).collect();
        let hosts = hosts.join(",");
        let failed = |reason: String| EnsembleError::Connect { hosts: hosts.clone(), reason };
        if addresses.is_empty() {
            return Err(failed("nobody serves".to_owned()));
        }
        let connector = Client::connector()
            .with_session_timeout(CALL)
            .with_auth("digest", format!("super:{}", password.0).as_bytes())
            .with_fail_eagerly();
        match timeout(CONNECT, connector.connect(&hosts)).await {
            Ok(Ok(client)) => Ok(Self { client }),
            Ok(Err(ZkError::AuthFailed | ZkError::NoAuth)) => Err(EnsembleError::Denied),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no session within {} s", CONNECT.as_secs()))),
        }
    }

    /// The membership after the session was opened: its creation is a transaction that a majority has acknowledged
    /// (local sessions are refused, `settings`), and the server that answers has applied it. It needs no rights:
    /// members that were started with another password than the Secret holds now also answer, and this confirms the
    /// membership before they are restarted.
    pub async fn confirmed_membership(&self) -> Result<Membership, EnsembleError> {
        let (text, _) = call("read /zookeeper/config", self.client.get_config()).await?;
        Membership::parse(&String::from_utf8_lossy(&text))
            .map_err(|error| EnsembleError::Call { what: "read /zookeeper/config", reason: error.to_string() })
    }

    /// The membership as a majority has it: a write is committed first, in the same session. A leader that was cut off
    /// can answer a `sync` and a read (ZOOKEEPER-1675).
    pub async fn committed_membership(&self) -> Result<Membership, EnsembleError> {
        self.commit_one_write().await?;
        self.confirmed_membership().await
    }

    /// Commits one more transaction: a committed `reconfig` does not prove that a majority of the new membership uses
    /// it; a later write does.
    async fn commit_one_write(&self) -> Result<(), EnsembleError> {
        let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        let create = timeout(CALL, self.client.create(COMMIT_NODE, &[], &options)).await;
        match create {
            Ok(Ok(_)) => call("delete the commit node", self.client.delete(COMMIT_NODE, None)).await,
            // Another session of ours left it; it ends with that session. Changing it is a write as well.
            Ok(Err(ZkError::NodeExists)) => {
                call("write the commit node", self.client.set_data(COMMIT_NODE, &[], None)).await.map(|_| ())
            }
            Ok(Err(error)) => Err(EnsembleError::from_zookeeper("commit a write", &error)),
            Err(_) => Err(EnsembleError::timed_out("commit a write")),
        }
    }

    /// Changes the membership, if it still has the version on which this was decided.
    pub async fn reconfigure(&self, change: &Change) -> Result<ReconfigOutcome, EnsembleError> {
        let request = Request::of(change);
        let version = i64::try_from(change.from.version.0).unwrap_or(i64::MAX);
        let update = match &request {
            Request::Difference { joining, leaving } => EnsembleUpdate::Incremental {
                joinings: joining.iter().map(String::as_str),
                leavings: leaving.iter().map(String::as_str),
            },
            Request::Whole(lines) => EnsembleUpdate::New { ensemble: lines.iter().map(String::as_str) },
        };
        match timeout(RECONFIG, self.client.update_ensemble(update, Some(version))).await {
            Ok(Ok((text, _))) => Ok(Membership::parse(&String::from_utf8_lossy(&text))
                .map_or_else(|error| ReconfigOutcome::Unknown(error.to_string()), ReconfigOutcome::Done)),
            Ok(Err(ZkError::BadVersion)) => Ok(ReconfigOutcome::Stale),
            Ok(Err(ZkError::UnexpectedErrorCode(NEW_CONFIG_NO_QUORUM))) => Ok(ReconfigOutcome::NoQuorum),
            Ok(Err(ZkError::UnexpectedErrorCode(RECONFIG_IN_PROGRESS))) => Ok(ReconfigOutcome::Busy),
            Ok(Err(ZkError::ReconfigDisabled | ZkError::Unimplemented)) => Err(EnsembleError::ReconfigDisabled),
            Ok(Err(ZkError::NoAuth | ZkError::AuthFailed)) => Err(EnsembleError::Denied),
            // Nothing was done.
            Ok(Err(ZkError::BadArguments(_))) => Err(EnsembleError::BadArguments(request.words())),
            // A role change closes that server's client connections, perhaps this one too.
            Ok(Err(error)) => Ok(ReconfigOutcome::Unknown(error.to_string())),
            Err(_) => Ok(ReconfigOutcome::Unknown(format!("no answer within {} s", RECONFIG.as_secs()))),
        }
    }
}

/// What ZooKeeper is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// Only what differs. The leader goes on with the servers that it has. Of a whole list it would look up every name anew, in the
    /// thread that all requests wait for; where none can be looked up, it does not find itself in it any more, hands over to
    /// nobody, and there is no quorum until names resolve again.
    Difference {
        /// `server.N=…` of those that come, or are something else than before.
        joining: Vec<String>,
        /// The ids of those that go.
        leaving: Vec<String>,
    },
    /// The whole list: of single servers ZooKeeper takes no word where votes are counted by weights in groups.
    Whole(Vec<String>),
}

impl Request {
    fn of(Change { id: _, from, to }: &Change) -> Self {
        if !(from.votes.by_majority() && to.votes.by_majority()) {
            return Self::Whole(to.lines());
        }
        let joining = to.servers.iter().filter(|(id, server)| from.servers.get(id) != Some(server));
        let leaving = from.servers.keys().filter(|id| !to.contains(**id));
        Self::Difference {
            joining: joining.map(|(id, server)| format!("server.{id}={}", server.spec())).collect(),
            leaving: leaving.map(ToString::to_string).collect(),
        }
    }

    /// What is asked for, in words.
    fn words(&self) -> String {
        let words = match self {
            Self::Difference { joining, leaving } => {
                let parts =
                    [("joining", joining), ("leaving", leaving)].into_iter().filter(|(_, some)| !some.is_empty());
                parts.map(|(what, some)| format!("{what} {}", some.join(", "))).collect::<Vec<_>>().join("; ")
            }
            Self::Whole(lines) => format!("the whole list {}", lines.join(", ")),
        };
        cut(&words, QUOTE)
    }
}

impl EnsembleError {
    pub(super) fn from_zookeeper(what: &'static str, error: &ZkError) -> Self {
        match error {
            ZkError::NoAuth | ZkError::AuthFailed => Self::Denied,
            error => Self::Call { what, reason: error.to_string() },
        }
    }

    pub(super) fn timed_out(what: &'static str) -> Self {
        Self::Call { what, reason: format!("no answer within {} s", CALL.as_secs()) }
    }
}

pub(super) async fn call<T>(
    what: &'static str,
    request: impl Future<Output = Result<T, ZkError>>,
) -> Result<T, EnsembleError> {
    match timeout(CALL, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(EnsembleError::from_zookeeper(what, &error)),
        Err(_) => Err(EnsembleError::timed_out(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerId;

    /// Servers of these ids, the observers marked with a minus.
    fn membership(ids: &[i32], votes: &str) -> Membership {
        let role = |id: i32| if id < 0 { "observer" } else { "participant" };
        let server = |id: &i32| format!("server.{0}=zk-{0}:2888:3888:{1};0.0.0.0:2181\n", id.abs(), role(*id));
        let servers: String = ids.iter().map(server).collect();
        Membership::parse(&format!("{servers}{votes}version=7")).unwrap()
    }

    fn request(id: u32, from: Membership, to: Membership) -> Request {
        Request::of(&Change { id: ServerId(id), from, to })
    }

    #[test]
    fn where_votes_are_by_majority_exactly_the_difference_is_sent_and_nothing_else() {
        let of = |ids: &[i32]| membership(ids, "");
        let comes = |id: i32| format!("server.{id}=zk-{id}:2888:3888:participant;0.0.0.0:2181");
        for (id, from, to, joining, leaving) in [
            (4, &[1, 2, 3][..], &[1, 2, 3, 4][..], vec![comes(4)], vec![]),
            (3, &[1, 2, 3, 9], &[1, 2, 9], vec![], vec!["3"]),
            // One that somebody made an observer.
            (2, &[1, -2, 3, -9], &[1, 2, 3, -9], vec![comes(2)], vec![]),
            (2, &[1], &[1, 2, 3], vec![comes(2), comes(3)], vec![]),
            (3, &[1, 2, 3], &[1], vec![], vec!["2", "3"]),
            (4, &[1, 2, 3], &[1, 2, 4], vec![comes(4)], vec!["3"]),
        ] {
            let leaving = leaving.into_iter().map(str::to_owned).collect();
            assert_eq!(request(id, of(from), of(to)), Request::Difference { joining, leaving }, "{from:?} {to:?}");
        }
    }

    #[test]
    fn of_a_change_that_servers_call_bad_it_is_said_what_was_asked_for() {
        let of = |ids: &[i32]| membership(ids, "");
        let words = request(4, of(&[1, 2, 3]), of(&[1, 2, 4])).words();
        assert_eq!(words, "joining server.4=zk-4:2888:3888:participant;0.0.0.0:2181; leaving 3");
        assert_eq!(request(3, of(&[1, 2, 3]), of(&[1, 2])).words(), "leaving 3");
        let many: Vec<i32> = (1..=200).collect();
        let whole = request(1, membership(&many, "group.1=1\n"), membership(&many, "")).words();
        assert!(whole.starts_with("the whole list server.1=zk-1:") && whole.len() <= QUOTE, "{whole}");
        let said = EnsembleError::BadArguments(words).to_string();
        assert!(said.contains("joining server.4=") && said.contains("restart of its pod"), "{said}");
    }

    #[test]
    fn where_votes_are_by_groups_and_weights_the_whole_membership_is_sent() {
        let votes = "group.1=1:2:3\nweight.1=2\n";
        let (from, to) = (membership(&[1, 2, 3], votes), membership(&[1, 2], votes));
        let lines = to.lines();
        assert!(lines.contains(&"group.1=1:2:3".to_owned()) && lines.len() == 4, "{lines:?}");
        assert_eq!(request(3, from.clone(), to), Request::Whole(lines));
        let without = membership(&[1, 2], "");
        assert_eq!(request(3, from.clone(), without.clone()), Request::Whole(without.lines()));
        assert_eq!(request(3, without, from.clone()), Request::Whole(from.lines()));
    }

    #[test]
    fn case_r08_the_newline_at_a_passwords_end_is_no_part_of_it() {
        for text in ["pw", "pw\n", "pw\r\n"] {
            assert_eq!(Password::of(text).unwrap().text(), "pw", "{text:?}");
        }
        assert!(Password::of("\n").is_none() && Password::of("").is_none());
        assert_eq!(Password::of(" p w ").unwrap().text(), " p w ", "a space is");
    }
}
