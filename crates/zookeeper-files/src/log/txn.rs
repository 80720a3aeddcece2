//! Transactions: every type that ZooKeeper 3.4 to 3.9 logs.

use std::fmt;

use crate::jute::{Decoder, Encode, Malformed, Text};
use crate::log::acl::Acls;
use crate::log::ops::Ops;
use crate::log::paths::Paths;

/// The type of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum TxnType {
    /// A session began.
    CreateSession = -10,
    /// A session ended.
    CloseSession = -11,
    /// A znode was created.
    Create = 1,
    /// The same, for a client that asked for the stat.
    Create2 = 15,
    /// A container was created: the leader deletes it some time after its last child.
    CreateContainer = 19,
    /// A TTL znode was created: the leader deletes it if it has no children and is not modified for a time.
    CreateTtl = 21,
    /// A znode was deleted.
    Delete = 2,
    /// An empty container or an expired TTL znode was deleted by the leader.
    DeleteContainer = 20,
    /// A znode's data was set.
    SetData = 5,
    /// The membership changed: the data of `/zookeeper/config` was set.
    Reconfig = 16,
    /// A znode's ACL was set.
    SetAcl = 7,
    /// A version was checked. Part of a multi.
    Check = 13,
    /// Several operations, all or none.
    Multi = 14,
    /// A request that failed: it takes a zxid and changes nothing.
    Error = -1,
}

impl TxnType {
    /// The type with this number in a file.
    #[inline]
    pub(crate) fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            -10 => Self::CreateSession,
            -11 => Self::CloseSession,
            1 => Self::Create,
            15 => Self::Create2,
            19 => Self::CreateContainer,
            21 => Self::CreateTtl,
            2 => Self::Delete,
            20 => Self::DeleteContainer,
            5 => Self::SetData,
            16 => Self::Reconfig,
            7 => Self::SetAcl,
            13 => Self::Check,
            14 => Self::Multi,
            -1 => Self::Error,
            _ => return None,
        })
    }

    /// Its number in a file.
    pub(crate) fn code(self) -> i32 {
        self as i32
    }

    /// ZooKeeper's own name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateSession => "createSession",
            Self::CloseSession => "closeSession",
            Self::Create => "create",
            Self::Create2 => "create2",
            Self::CreateContainer => "createContainer",
            Self::CreateTtl => "createTTL",
            Self::Delete => "delete",
            Self::DeleteContainer => "deleteContainer",
            Self::SetData => "setData",
            Self::Reconfig => "reconfig",
            Self::SetAcl => "setACL",
            Self::Check => "check",
            Self::Multi => "multi",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for TxnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How long a created znode lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// Until it is deleted.
    Persistent,
    /// As long as the session that created it.
    Ephemeral,
    /// Until some time after its last child is gone.
    Container,
    /// Until it has no children and was not modified for this many milliseconds.
    Ttl(i64),
}

/// A znode was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Create<'a> {
    /// Its path; that of a sequential znode includes the number.
    pub path: Text<'a>,
    /// Its data.
    pub data: Option<&'a [u8]>,
    /// Its ACL.
    pub acl: Acls<'a>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The parent's `cversion` after it. `None` in files older than 3.4, where the parent's simply rises.
    pub parent_cversion: Option<i32>,
    /// `create2` and not `create`: the same effect.
    pub with_stat: bool,
}

/// A transaction, with text and data borrowed from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Txn<'a> {
    /// `createSession`
    CreateSession {
        /// In milliseconds.
        timeout: i32,
    },
    /// `closeSession`
    CloseSession {
        /// The ephemeral znodes that it deletes. `None` before 3.6: all of the session.
        paths: Option<Paths<'a>>,
    },
    /// `create`, `create2`, `createContainer`, `createTTL`
    Create(Create<'a>),
    /// `delete`, `deleteContainer`
    Delete {
        /// What is deleted.
        path: Text<'a>,
        /// By the leader, not by a client.
        container: bool,
    },
    /// `setData`, `reconfig`
    SetData {
        /// Whose data.
        path: Text<'a>,
        /// The new data.
        data: Option<&'a [u8]>,
        /// The resulting version.
        version: i32,
        /// A change of the membership.
        reconfig: bool,
    },
    /// `setACL`
    SetAcl {
        /// Whose ACL.
        path: Text<'a>,
        /// The new one.
        acl: Acls<'a>,
        /// The resulting ACL version.
        version: i32,
    },
    /// `check`
    Check {
        /// Whose version was checked.
        path: Text<'a>,
        /// The expected version plus one.
        version: i32,
    },
    /// `multi`
    Multi(Ops<'a>),
    /// `error`
    Error {
        /// ZooKeeper's error code, e.g. −101 for a missing znode.
        code: i32,
    },
}

impl<'a> Txn<'a> {
    /// The operations of a multi that was carried out.
    pub(crate) fn operations(self) -> Option<Ops<'a>> {
        match self {
            Self::Multi(ops) if !ops.failed() => Some(ops),
            _ => None,
        }
    }

    /// What the end of a session deleted, if the record contains it.
    pub(crate) fn ended(self) -> Option<Paths<'a>> {
        match self {
            Self::CloseSession { paths } => paths,
            _ => None,
        }
    }

    /// Decodes a transaction of this type.
    #[inline]
    pub(crate) fn decode(txn_type: TxnType, from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(match txn_type {
            TxnType::CreateSession => Self::CreateSession { timeout: from.i32()? },
            TxnType::CloseSession => Self::CloseSession { paths: close_session(from)? },
            TxnType::Create | TxnType::Create2 | TxnType::CreateContainer | TxnType::CreateTtl => {
                Self::Create(Create::decode(txn_type, from)?)
            }
            TxnType::Delete | TxnType::DeleteContainer => {
                Self::Delete { path: from.text()?, container: txn_type == TxnType::DeleteContainer }
            }
            TxnType::SetData | TxnType::Reconfig => Self::SetData {
                path: from.text()?,
                data: from.buffer()?,
                version: from.i32()?,
                reconfig: txn_type == TxnType::Reconfig,
            },
            TxnType::SetAcl => Self::SetAcl { path: from.text()?, acl: Acls::decode(from)?, version: from.i32()? },
            TxnType::Check => Self::Check { path: from.text()?, version: from.i32()? },
            TxnType::Multi => Self::Multi(Ops::decode(from)?),
            TxnType::Error => Self::Error { code: from.i32()? },
        })
    }

    /// Its type.
    pub fn txn_type(&self) -> TxnType {
        match self {
            Self::CreateSession { .. } => TxnType::CreateSession,
            Self::CloseSession { .. } => TxnType::CloseSession,
            Self::Create(create) => create.txn_type(),
            Self::Delete { container: false, .. } => TxnType::Delete,
            Self::Delete { container: true, .. } => TxnType::DeleteContainer,
            Self::SetData { reconfig: false, .. } => TxnType::SetData,
            Self::SetData { reconfig: true, .. } => TxnType::Reconfig,
            Self::SetAcl { .. } => TxnType::SetAcl,
            Self::Check { .. } => TxnType::Check,
            Self::Multi(_) => TxnType::Multi,
            Self::Error { .. } => TxnType::Error,
        }
    }

    /// The one path it is about; `None` for sessions, errors and a multi, which can have several.
    pub fn path(&self) -> Option<Text<'a>> {
        match *self {
            Self::Create(Create { path, .. })
            | Self::Delete { path, .. }
            | Self::SetData { path, .. }
            | Self::SetAcl { path, .. }
            | Self::Check { path, .. } => Some(path),
            Self::CreateSession { .. } | Self::CloseSession { .. } | Self::Multi(_) | Self::Error { .. } => None,
        }
    }

    /// The data that it sets.
    pub fn data(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Create(Create { data, .. }) | Self::SetData { data, .. } => data,
            _ => None,
        }
    }

    /// Appends it as it is on disk.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        match *self {
            Self::CreateSession { timeout: number } | Self::Error { code: number } => to.put_i32(number),
            Self::CloseSession { paths } => to.extend_from_slice(paths.map_or(&[], Paths::encoded)),
            Self::Create(create) => create.encode(to),
            Self::Delete { path, container: _ } => to.put_buffer(Some(path.0)),
            Self::SetData { path, data, version, reconfig: _ } => {
                to.put_buffer(Some(path.0));
                to.put_buffer(data);
                to.put_i32(version);
            }
            Self::SetAcl { path, acl, version } => {
                to.put_buffer(Some(path.0));
                to.extend_from_slice(acl.encoded());
                to.put_i32(version);
            }
            Self::Check { path, version } => {
                to.put_buffer(Some(path.0));
                to.put_i32(version);
            }
            Self::Multi(ops) => to.extend_from_slice(ops.encoded()),
        }
    }
}

impl<'a> Create<'a> {
    #[inline]
    fn decode(txn_type: TxnType, from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        let (path, data, acl) = (from.text()?, from.buffer()?, Acls::decode(from)?);
        let with_stat = txn_type == TxnType::Create2;
        let lifetime = match txn_type {
            TxnType::CreateContainer => Lifetime::Container,
            // Its time to live comes last.
            TxnType::CreateTtl => Lifetime::Ttl(0),
            _ if from.bool()? => Lifetime::Ephemeral,
            _ => Lifetime::Persistent,
        };
        let parent_cversion = match txn_type {
            TxnType::Create if from.rest().len() < 4 => None,
            _ => Some(from.i32()?),
        };
        let lifetime = if txn_type == TxnType::CreateTtl { Lifetime::Ttl(from.i64()?) } else { lifetime };
        Ok(Self { path, data, acl, lifetime, parent_cversion, with_stat })
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.put_buffer(Some(self.path.0));
        to.put_buffer(self.data);
        to.extend_from_slice(self.acl.encoded());
        if let Lifetime::Persistent | Lifetime::Ephemeral = self.lifetime {
            to.put_bool(self.lifetime == Lifetime::Ephemeral);
        }
        if let Some(version) = self.parent_cversion {
            to.put_i32(version);
        }
        if let Lifetime::Ttl(milliseconds) = self.lifetime {
            to.put_i64(milliseconds);
        }
    }

    /// Its type.
    pub(crate) fn txn_type(&self) -> TxnType {
        match self.lifetime {
            Lifetime::Container => TxnType::CreateContainer,
            Lifetime::Ttl(_) => TxnType::CreateTtl,
            Lifetime::Persistent | Lifetime::Ephemeral if self.with_stat => TxnType::Create2,
            Lifetime::Persistent | Lifetime::Ephemeral => TxnType::Create,
        }
    }
}

/// Servers before 3.6 write nothing; those with `closeSessionTxn.enabled=false` nothing but the digest after it.
fn close_session<'a>(from: &mut Decoder<'a>) -> Result<Option<Paths<'a>>, Malformed> {
    let rest = from.rest();
    let only_a_digest = rest.len() == 12 && rest.starts_with(&2_i32.to_be_bytes());
    if rest.is_empty() || only_a_digest { Ok(None) } else { Paths::decode(from).map(Some) }
}
