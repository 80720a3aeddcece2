//! What a transaction does to each znode.

use crate::jute::Text;
use crate::log::acl::Acls;
use crate::log::txn::{Create, Lifetime, Txn};

/// A change of one znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZnodeChange<'a> {
    /// The path.
    pub path: Text<'a>,
    /// What happened to it.
    pub effect: Effect<'a>,
    /// Its number within the transaction: the part of a multi, or the path of a session's end.
    pub part: u32,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect<'a> {
    /// It was created.
    Created {
        /// With this data.
        data: Option<&'a [u8]>,
        /// With this ACL.
        acl: Acls<'a>,
        /// With this lifetime.
        lifetime: Lifetime,
    },
    /// A client deleted it.
    Deleted,
    /// The leader deleted it: an empty container, an expired TTL.
    Expired,
    /// It was deleted with the session that owned it. Logs before 3.6 do not contain these paths: only a replay knows them.
    SessionEnded,
    /// Its data was set.
    DataSet {
        /// The new data.
        data: Option<&'a [u8]>,
        /// The resulting version.
        version: i32,
    },
    /// The membership was changed, which is the data of `/zookeeper/config`.
    Reconfigured {
        /// The new membership.
        data: Option<&'a [u8]>,
        /// The resulting version.
        version: i32,
    },
    /// Its ACL was set.
    AclSet {
        /// The new ACL.
        acl: Acls<'a>,
        /// The resulting ACL version.
        version: i32,
    },
}

impl<'a> Effect<'a> {
    /// The new data, if it sets data.
    pub fn data(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Created { data, .. } | Self::DataSet { data, .. } | Self::Reconfigured { data, .. } => data,
            Self::Deleted | Self::Expired | Self::SessionEnded | Self::AclSet { .. } => None,
        }
    }
}

fn of_one<'a>(txn: &Txn<'a>, part: u32) -> Option<ZnodeChange<'a>> {
    let (path, effect) = match *txn {
        Txn::Create(Create { path, data, acl, lifetime, parent_cversion: _, with_stat: _ }) => {
            (path, Effect::Created { data, acl, lifetime })
        }
        Txn::Delete { path, container: false } => (path, Effect::Deleted),
        Txn::Delete { path, container: true } => (path, Effect::Expired),
        Txn::SetData { path, data, version, reconfig: false } => (path, Effect::DataSet { data, version }),
        Txn::SetData { path, data, version, reconfig: true } => (path, Effect::Reconfigured { data, version }),
        Txn::SetAcl { path, acl, version } => (path, Effect::AclSet { acl, version }),
        Txn::Check { .. }
        | Txn::CreateSession { .. }
        | Txn::CloseSession { .. }
        | Txn::Multi(_)
        | Txn::Error { .. } => return None,
    };
    Some(ZnodeChange { path, effect, part })
}

pub(crate) fn changes(txn: Txn<'_>) -> impl Iterator<Item = ZnodeChange<'_>> {
    let parts =
        txn.operations().into_iter().flat_map(|ops| (0..).zip(ops.iter())).filter_map(|(part, txn)| of_one(&txn, part));
    let ended = txn.ended().into_iter().flat_map(|paths| (0..).zip(paths.iter())).map(|(part, path)| ZnodeChange {
        path,
        effect: Effect::SessionEnded,
        part,
    });
    of_one(&txn, 0).into_iter().chain(parts).chain(ended)
}
