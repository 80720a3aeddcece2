//! The same part of the tree as the ensemble has it now.

use std::collections::{BTreeMap, BTreeSet};

use zookeeper_files::ids::Zxid;

use crate::restore::acl::Acl;
use crate::restore::hash::Digest;
use crate::restore::quota::Quota;

/// A znode of the ensemble. Whether it is a container or has a TTL, servers do not tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveZnode {
    /// The hash of its data.
    pub data: Digest,
    /// How long its data is.
    pub bytes: usize,
    /// Who may do what.
    pub acl: Acl,
    /// How often the data was set.
    pub version: i32,
    /// How often the ACL was set.
    pub aversion: i32,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// When it was created.
    pub ctime: i64,
    /// Whether it belongs to a session.
    pub ephemeral: bool,
    /// How many children it has.
    pub children: usize,
    /// How many children were ever created: the next sequence number.
    pub counter: i64,
}

/// What stands where a znode of the scope would be created, outside of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parent {
    /// A znode that can have children.
    Plain,
    /// A session's znode, which cannot.
    Ephemeral,
}

/// What was read. It is of no single moment: each write is fenced by the versions in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Live {
    /// The znodes of the scope, by path.
    pub znodes: BTreeMap<String, LiveZnode>,
    /// The parents of the scope's tops, where they exist.
    pub parents: BTreeMap<String, Parent>,
    /// All quotas, by the paths that they are for; `None` if they could not be read.
    pub quotas: Option<BTreeMap<String, Quota>>,
    /// All znodes below `/zookeeper/quota` but limits and statistics that have no children, by the paths that they are for.
    pub below_quota: BTreeSet<String>,
    /// Paths below which nothing may be changed because servers may take limits that stand elsewhere for theirs.
    pub stray_quotas: BTreeSet<String>,
}
