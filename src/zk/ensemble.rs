//! An ensemble as its super user sees it, over ZooKeeper's own protocol.
//!
//! Invariant: an outcome that is not known is `Unknown`, never success or failure. Every call has a timeout: requests of
//! a disconnected session wait in a queue for as long as it takes.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode, EnsembleUpdate, Error as ZkError};

use crate::model::membership::CLIENT_PORT;
use crate::model::password::password;
use crate::model::{Change, ConfigVersion, Membership, address};

const CONNECT: Duration = Duration::from_secs(5);
pub(super) const CALL: Duration = Duration::from_secs(10);
/// A `reconfig` that adds a member waits for the new quorum to acknowledge it.
const RECONFIG: Duration = Duration::from_secs(20);
/// Under `/zookeeper`, where no client watches; the super user may write there whatever the ACLs are.
const COMMIT_NODE: &str = "/zookeeper/menagerie-commit";
const NEW_CONFIG_NO_QUORUM: i32 = -13;
const RECONFIG_IN_PROGRESS: i32 = -14;

/// A password. It is not printed.
pub struct Password(String);

impl Password {
    /// That of a Secret, without the end of the line that `echo` puts there: the members' agents leave it out as well.
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
pub enum Outcome {
    /// It was answered: this is the membership now.
    Done(Membership),
    /// The membership has changed since it was read. Nothing was done.
    Stale,
    /// Another change is under way. Nothing was done.
    Busy,
    /// A majority of the new membership is not synced. Nothing was done.
    NoQuorum,
    /// The connection or the answer was lost. It may have been done; only reading tells.
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
    /// The password is not the servers'.
    #[error("the servers refuse the super user: they were started with another password than the Secret holds")]
    Denied,
    /// A server without `reconfigEnabled=true` or an old standalone server.
    #[error("the servers refuse to change the membership: reconfigEnabled is not true")]
    ReconfigDisabled,
    /// An entry of the wanted ACL that no provider of the servers takes, and why.
    #[error("the servers refuse spec.rootAcl: {0}")]
    RootAcl(String),
    /// Statistics of quotas that end every server that counts by them, each counted by another.
    #[error(
        "{0} broken statistics below /zookeeper/quota count each other, and cannot be mended while the servers run"
    )]
    BrokenQuotas(usize),
    /// Far more znodes than quotas have, in a place that was open to everybody.
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

    /// The membership behind the session that was just opened: its creation is a transaction that a majority has acknowledged
    /// (local sessions are refused, `settings`), and the server that answers has applied it. It takes no right: members that
    /// were started with another password than the Secret holds now answer as well, and those are restarted behind this.
    pub async fn confirmed_membership(&self) -> Result<Membership, EnsembleError> {
        let (text, _) = call("read /zookeeper/config", self.client.get_config()).await?;
        Membership::parse(&String::from_utf8_lossy(&text))
            .map_err(|error| EnsembleError::Call { what: "read /zookeeper/config", reason: error.to_string() })
    }

    /// The membership as a majority of it has it: a write is committed first, on the same session. `sync` and a read
    /// alone can be answered by a leader that was cut off (ZOOKEEPER-1675).
    pub async fn committed_membership(&self) -> Result<Membership, EnsembleError> {
        self.commit_one_write().await?;
        self.confirmed_membership().await
    }

    /// One more committed transaction: that a `reconfig` was committed does not prove that a majority of the new
    /// membership has taken it over; a later write does.
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

    /// Changes the membership, if it still is the one of that version.
    pub async fn reconfigure(&self, change: &Change, from: ConfigVersion) -> Result<Outcome, EnsembleError> {
        let lines = change.to.lines();
        let update = EnsembleUpdate::New { ensemble: lines.iter().map(String::as_str) };
        let version = i64::try_from(from.0).unwrap_or(i64::MAX);
        match timeout(RECONFIG, self.client.update_ensemble(update, Some(version))).await {
            Ok(Ok((text, _))) => Ok(Membership::parse(&String::from_utf8_lossy(&text))
                .map_or_else(|error| Outcome::Unknown(error.to_string()), Outcome::Done)),
            Ok(Err(ZkError::BadVersion)) => Ok(Outcome::Stale),
            Ok(Err(ZkError::UnexpectedErrorCode(NEW_CONFIG_NO_QUORUM))) => Ok(Outcome::NoQuorum),
            Ok(Err(ZkError::UnexpectedErrorCode(RECONFIG_IN_PROGRESS))) => Ok(Outcome::Busy),
            Ok(Err(ZkError::ReconfigDisabled | ZkError::Unimplemented)) => Err(EnsembleError::ReconfigDisabled),
            Ok(Err(ZkError::NoAuth | ZkError::AuthFailed)) => Err(EnsembleError::Denied),
            // A role change closes that server's client connections, the caller's perhaps among them.
            Ok(Err(error)) => Ok(Outcome::Unknown(error.to_string())),
            Err(_) => Ok(Outcome::Unknown(format!("no answer within {} s", RECONFIG.as_secs()))),
        }
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

    #[test]
    fn case_r08_the_newline_at_a_passwords_end_is_no_part_of_it() {
        for text in ["pw", "pw\n", "pw\r\n"] {
            assert_eq!(Password::of(text).unwrap().text(), "pw", "{text:?}");
        }
        assert!(Password::of("\n").is_none() && Password::of("").is_none());
        assert_eq!(Password::of(" p w ").unwrap().text(), " p w ", "a space is");
    }
}
