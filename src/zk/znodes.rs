//! The znodes of an ensemble, read and changed for a restore: as super user, or as anybody.
//!
//! Invariant: a lost connection or answer is `Unknown`; only an answer of a server is a refusal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use zookeeper_client::{Acl as ZkAcl, Acls, AuthId, Client, CreateMode, Error as ZkError, Permission, Stat};
use zookeeper_files::ids::Zxid;
use zookeeper_files::snapshot::{self, Owner};

use super::ensemble::{CALL, Password};
use crate::restore::acl::{Acl, Entry};
use crate::restore::hash::Digest;
use crate::restore::live::LiveZnode;
use crate::restore::operation::{Kind, Operation};
use crate::restore::znodes::{Failure, Znodes};

const CONNECT: Duration = Duration::from_secs(10);
/// A znode that is deleted and created again and again between two reads.
const READS: usize = 5;
/// From here on, a server whose `jute.maxbuffer` is the default hangs up instead of answering.
const LARGE: usize = 1_000_000;
/// The child that comes and goes while a counter is raised.
const PASSING: &str = ".menagerie-counter";
/// So many come and go in one transaction, and with so many bytes: `jute.maxbuffer` is a million by default.
const RAISED: usize = 250;
const RAISED_BYTES: usize = 256 << 10;
/// What a create and a delete take besides their paths.
const PAIR_BYTES: usize = 150;

/// A session that is opened when it is needed, and again when it has ended.
pub struct Session {
    hosts: String,
    password: Option<Password>,
    client: Mutex<Option<Client>>,
}

impl Session {
    /// With these servers, each `HOST:PORT`. Nothing is asked yet.
    pub fn with(servers: &[String], password: Option<Password>) -> Self {
        Self { hosts: servers.join(","), password, client: Mutex::new(None) }
    }

    fn client(&self) -> Option<Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, client: Option<Client>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    async fn connected(&self) -> Result<Client, Failure> {
        if let Some(client) = self.client() {
            return Ok(client);
        }
        let connector = Client::connector().with_session_timeout(CALL).with_fail_eagerly();
        let connector = match &self.password {
            Some(password) => connector.with_auth("digest", format!("super:{}", password.text()).as_bytes()),
            None => connector,
        };
        let connected = timeout(CONNECT, connector.connect(&self.hosts)).await;
        let hosts = &self.hosts;
        match connected {
            Ok(Ok(client)) => {
                self.prove(&client).await?;
                self.keep(Some(client.clone()));
                Ok(client)
            }
            Ok(Err(error @ ZkError::BadArguments(_))) => Err(Failure::Refused(format!("{hosts}: {error}"))),
            Ok(Err(ZkError::AuthFailed | ZkError::NoAuth)) => {
                Err(Failure::Refused(format!("{hosts} refuse the super user's password")))
            }
            Ok(Err(error)) => Err(Failure::Unknown(format!("no session with {hosts}: {error}"))),
            Err(_) => Err(Failure::Unknown(format!("no session with {hosts} within {} s", CONNECT.as_secs()))),
        }
    }

    /// Servers take any password, and let who gives a wrong one go on as nobody. Each has its own `superDigest`.
    async fn prove(&self, client: &Client) -> Result<(), Failure> {
        if self.password.is_none() {
            return Ok(());
        }
        let users = self.call(client.list_auth_users()).await?.map_err(|error| self.refused(&error))?;
        // The user of the scheme `digest` has this name as well, whatever the password.
        let is_super = users.iter().any(|user| user.scheme() == "super");
        is_super.then_some(()).ok_or_else(|| {
            let hosts = &self.hosts;
            Failure::Refused(format!(
                "{hosts}: the servers do not take the password for the super user's: it is another one, or one of them has no superDigest"
            ))
        })
    }

    pub(super) async fn call<T>(
        &self,
        request: impl Future<Output = Result<T, ZkError>>,
    ) -> Result<Result<T, ZkError>, Failure> {
        match timeout(CALL, request).await {
            Ok(Err(error)) if is_lost(&error) => {
                // A session that reconnects by itself is given up with it: its requests would be sent behind the new ones.
                self.keep(None);
                Err(Failure::Unknown(error.to_string()))
            }
            Ok(answer) => Ok(answer),
            Err(_) => {
                self.keep(None);
                Err(Failure::Unknown(format!("no answer within {} s", CALL.as_secs())))
            }
        }
    }

    /// A counter rises with each child that is created: one comes and goes in the same transaction, so that nobody ever sees it.
    async fn raise(&self, client: &Client, path: &str, to: i64) -> Result<Result<(), ZkError>, Failure> {
        let stat = match self.call(client.check_stat(path)).await? {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(Err(ZkError::NoNode)),
            Err(error) => return Ok(Err(error)),
        };
        let child = format!("{}/{PASSING}", if path == "/" { "" } else { path });
        let acls = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let most = (RAISED_BYTES / (2 * child.len() + PAIR_BYTES)).clamp(1, RAISED);
        let mut left = usize::try_from(to.saturating_sub(counter(&stat))).unwrap_or_default();
        while left > 0 {
            let pairs = left.min(most);
            let mut multi = client.new_multi_writer();
            for _ in 0..pairs {
                if let Err(error) = multi.add_create(&child, b"", &acls).and_then(|()| multi.add_delete(&child, None)) {
                    return Ok(Err(error));
                }
            }
            if let Err(error) = self.call(async { multi.commit().await.map_err(ZkError::from) }).await? {
                return Ok(Err(error));
            }
            left -= pairs;
        }
        Ok(Ok(()))
    }

    fn refused(&self, error: &ZkError) -> Failure {
        match error {
            ZkError::Throttled => Failure::Unknown(error.to_string()),
            ZkError::NoAuth if self.password.is_none() => {
                Failure::Refused("the ACL does not let everybody: give the super user's password".to_owned())
            }
            ZkError::NoAuth => Failure::Refused("the servers do not take the password for the super user's".to_owned()),
            ZkError::InvalidAcl => Failure::Refused(
                "the servers know no scheme of its ACL, or take no such id: set their authProvider as it was then"
                    .to_owned(),
            ),
            ZkError::QuotaExceeded => {
                Failure::Refused("a quota with enforceQuota does not allow it: raise the quota first, and plan again if the plan sets that quota".to_owned())
            }
            // Whatever a server throws while it looks at a request is this to a client.
            ZkError::MarshallingError => Failure::Refused(
                "a server could not work it out; with enforceQuota=true that is so where no server can read the limits of its quota: set \
                 its zookeeper_limits first, as the super user"
                    .to_owned(),
            ),
            ZkError::Unimplemented => Failure::Refused(
                "the servers do not know such znodes: TTLs need zookeeper.extendedTypesEnabled=true".to_owned(),
            ),
            ZkError::NotReadOnly => Failure::Unknown("the server has no quorum, and is read-only".to_owned()),
            other => Failure::Refused(other.to_string()),
        }
    }
}

/// Whether the request may have been carried out.
pub(super) fn is_lost(error: &ZkError) -> bool {
    matches!(
        error,
        ZkError::ConnectionLoss
            | ZkError::SessionExpired
            | ZkError::SessionMoved
            | ZkError::ClientClosed
            | ZkError::NoHosts
            | ZkError::Timeout
            | ZkError::UnexpectedError(_)
            | ZkError::Custom(_)
    )
}

impl Znodes for Session {
    async fn refresh(&self) -> Result<(), Failure> {
        let client = self.connected().await?;
        self.call(client.sync("/")).await?.map_err(|error| self.refused(&error))
    }

    async fn get(&self, path: &str) -> Result<Option<LiveZnode>, Failure> {
        for _ in 0..READS {
            let client = self.connected().await?;
            let (data, acl) = (client.get_data(path), client.get_acl(path));
            let (data, acl) = futures::future::join(self.call(data), self.call(acl)).await;
            let ((data, stat), (acl, acl_stat)) = match (data?, acl?) {
                (Err(ZkError::NoNode), _) | (_, Err(ZkError::NoNode)) => return Ok(None),
                (Err(error), _) | (_, Err(error)) => return Err(self.refused(&error)),
                (Ok(data), Ok(acl)) => (data, acl),
            };
            if stat.czxid == acl_stat.czxid {
                return Ok(Some(live(&data, &acl, &stat, acl_stat.aversion)));
            }
        }
        Err(Failure::Unknown("it is created again and again".to_owned()))
    }

    async fn is_ephemeral(&self, path: &str) -> Result<Option<bool>, Failure> {
        let client = self.connected().await?;
        let stat = self.call(client.check_stat(path)).await?.map_err(|error| self.refused(&error))?;
        Ok(stat.map(|stat| is_ephemeral(&stat)))
    }

    async fn data(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let client = self.connected().await?;
        match self.call(client.get_data(path)).await? {
            Ok((data, _)) => Ok(Some(data)),
            Err(ZkError::NoNode) => Ok(None),
            Err(error) => Err(self.refused(&error)),
        }
    }

    async fn children(&self, path: &str) -> Result<Option<Vec<String>>, Failure> {
        let client = self.connected().await?;
        match self.call(client.list_children(path)).await? {
            Ok(children) => Ok(Some(children)),
            Err(ZkError::NoNode) => Ok(None),
            Err(error) => Err(self.refused(&error)),
        }
    }

    async fn pause(&self, time: Duration) {
        sleep(time).await;
    }

    async fn perform(&self, operation: &Operation, data: &[u8]) -> Result<(), Failure> {
        // Never a session of its own: a request that was given up may still arrive, but not behind a read of a later session.
        let Some(client) = self.client() else { return Err(Failure::Unknown("the session has ended".to_owned())) };
        let answer = match operation {
            Operation::SetAcl { path, aversion, acl, .. } => {
                self.call(client.set_acl(path, &entries(acl)?, Some(*aversion))).await.map(|answer| answer.map(|_| ()))
            }
            Operation::Delete { path, version, .. } => self.call(client.delete(path, Some(*version))).await,
            Operation::Raise { path, to } => self.raise(&client, path, *to).await,
            Operation::CreateQuota { path, limits } => self.create_quota(&client, path, limits).await,
            Operation::CountQuota { path, seen } => self.change_quota(&client, (path, *seen), None, true).await,
            Operation::SetQuota { path, seen, limits, counts, .. } => {
                self.change_quota(&client, (path, *seen), Some(limits), *counts).await
            }
            Operation::Set { path, version, .. } => {
                self.call(client.set_data(path, data, Some(*version))).await.map(|answer| answer.map(|_| ()))
            }
            Operation::Create { path, kind, acl, .. } => {
                let entries = entries(acl)?;
                let acls = Acls::new(&entries);
                let options = match kind {
                    Kind::Persistent => CreateMode::Persistent.with_acls(acls),
                    Kind::Container => CreateMode::Container.with_acls(acls),
                    Kind::Ttl(millis) => {
                        CreateMode::Persistent.with_acls(acls).with_ttl(Duration::from_millis(*millis))
                    }
                    Kind::Ephemeral => return Err(Failure::Refused("only its own session makes it".to_owned())),
                };
                self.call(client.create(path, data, &options)).await.map(|answer| answer.map(|_| ()))
            }
        };
        match answer {
            Err(Failure::Unknown(reason)) if data.len() >= LARGE => Err(Failure::Unknown(format!(
                "{reason}; its {} bytes may be more than the servers' jute.maxbuffer",
                data.len()
            ))),
            Err(failure) => Err(failure),
            Ok(Ok(())) => Ok(()),
            Ok(Err(
                error @ (ZkError::NoNode
                | ZkError::NodeExists
                | ZkError::BadVersion
                | ZkError::NotEmpty
                | ZkError::NoChildrenForEphemerals),
            )) => Err(Failure::Changed(error.to_string())),
            Ok(Err(error)) => Err(self.refused(&error)),
        }
    }
}

const RIGHTS: [Permission; 5] =
    [Permission::READ, Permission::WRITE, Permission::CREATE, Permission::DELETE, Permission::ADMIN];

fn entries(acl: &Acl) -> Result<Vec<ZkAcl>, Failure> {
    if acl.entries().is_empty() {
        return Err(Failure::Refused("its ACL has no entry".to_owned()));
    }
    let rights = |sum: i32| {
        let held = RIGHTS.iter().enumerate().filter(|(bit, _)| sum & (1 << bit) != 0);
        held.fold(Permission::NONE, |all, (_, right)| all | *right)
    };
    Ok(acl
        .entries()
        .iter()
        .map(|entry| ZkAcl::new(rights(entry.rights), AuthId::new(&entry.scheme, &entry.id)))
        .collect())
}

fn live(data: &[u8], acl: &[ZkAcl], stat: &Stat, aversion: i32) -> LiveZnode {
    let rights = |acl: &ZkAcl| {
        let held = RIGHTS.iter().enumerate().filter(|(_, right)| acl.permission().has(**right));
        held.fold(0, |sum, (bit, _)| sum | (1 << bit))
    };
    let entry = |acl: &ZkAcl| Entry { scheme: acl.scheme().to_owned(), id: acl.id().to_owned(), rights: rights(acl) };
    LiveZnode {
        data: Digest::of(data),
        bytes: data.len(),
        acl: acl.iter().map(entry).collect::<Vec<_>>().into(),
        version: stat.version,
        aversion,
        czxid: zxid(stat.czxid),
        mzxid: zxid(stat.mzxid),
        ctime: stat.ctime,
        ephemeral: is_ephemeral(stat),
        children: usize::try_from(stat.num_children).unwrap_or_default(),
        counter: counter(stat),
    }
}

pub(super) fn zxid(number: i64) -> Zxid {
    Zxid(number.cast_unsigned())
}

/// How many children were ever created: served is twice that, less the number of children.
fn counter(stat: &Stat) -> i64 {
    i64::from(stat.cversion).midpoint(stat.num_children.into())
}

/// Servers say 0 for containers and TTLs; without extended types they do not know a TTL when they load one.
fn is_ephemeral(stat: &Stat) -> bool {
    let owner = snapshot::Stat { ephemeral_owner: stat.ephemeral_owner, ..snapshot::Stat::default() }.owner();
    matches!(owner, Owner::Session(_))
}
