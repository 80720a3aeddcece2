//! The tree at a point, as far as it is wanted: at the paths where it will be written.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zookeeper_files::ids::Zxid;
use zookeeper_files::path::{self, shown};
use zookeeper_files::replay::{Tree, Znode};
use zookeeper_files::snapshot::{OPEN_ACL, Owner, Stat};

use crate::restore::acl::{Acl, Shared};
use crate::restore::limits::QuotaLimits;
use crate::restore::operation::Kind;
use crate::restore::quota::{LIMITS, QUOTAS, STATS};
use crate::restore::scope::{OWN, Scope, under};
use crate::restore::undo::Left;

/// How much is restored at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// This many znodes, of the wanted tree and of the ensemble.
    pub znodes: usize,
    /// This many bytes of paths, data and different ACLs.
    pub bytes: usize,
}

impl Default for Limits {
    /// What fits into memory and into a plan that people can look at.
    fn default() -> Self {
        Self { znodes: 1_000_000, bytes: 512 << 20 }
    }
}

/// A znode as it was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedZnode {
    /// How long it lives.
    pub kind: Kind,
    /// Its data; none was the same for clients as an empty one. Of ephemerals it is left out.
    #[serde(serialize_with = "write_data", deserialize_with = "read_data")]
    pub data: Vec<u8>,
    /// Who may do what; `None` if it is not known, or no client can set it.
    pub acl: Option<Acl>,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// When that was.
    pub ctime: i64,
    /// How many children were created below it: the next sequence number.
    pub counter: i64,
}

fn write_data<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(data))
}

fn read_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// What was at the point.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// The last transaction in it.
    pub zxid: Zxid,
    /// What of it is wanted.
    pub scope: Scope,
    /// The znodes, at the paths where they will be.
    pub znodes: BTreeMap<String, WantedZnode>,
    /// How many were left out because they are `ZooKeeper`'s own, quotas among them.
    pub own: usize,
    /// How many were left out because their names are no UTF-8, so that no client of ours can write them.
    pub unnameable: usize,
    /// How the transaction that is undone left each znode that it changed; empty where none is undone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<String, Left>,
    /// The limits of quotas, by the paths that they will be for; `None` if no server could read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<String, Option<QuotaLimits>>,
    /// The paths of those that servers did not enforce, or not once they had started.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub idle_quotas: BTreeSet<String>,
}

/// Why nothing is wanted.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum WantedError {
    /// A path that was not there.
    #[error("{path}: no such znode at {zxid:#}; nothing is restored, and what is there now is not deleted for it")]
    NoZnode {
        /// The path.
        path: String,
        /// The point.
        zxid: Zxid,
    },
    /// Too many.
    #[error("more than {0} znodes are wanted: restore one subtree after the other")]
    TooMany(usize),
    /// Too large.
    #[error("more than {0} bytes are wanted: restore one subtree after the other")]
    TooLarge(usize),
}

impl Wanted {
    /// What a tree has in a scope.
    pub fn of(tree: &Tree, scope: &Scope, limits: Limits) -> Result<Self, WantedError> {
        let mut gathered = Gathered::begin(tree.last(), scope.clone(), limits);
        (gathered.wanted.quotas, gathered.wanted.idle_quotas) = quotas(tree, scope);
        for top in scope.sources() {
            let Some(node) = tree.get(top.path.as_bytes()) else {
                return Err(WantedError::NoZnode { path: top.path.clone(), zxid: tree.last() });
            };
            let found = if top.subtree { tree.walk(top.path.as_bytes()) } else { vec![(top.path.as_bytes(), node)] };
            for (path, node) in found {
                let Some(path) = gathered.name(path) else { continue };
                let Some(target) = scope.target(path) else { continue };
                if under(&target, OWN) {
                    gathered.wanted.own += 1;
                    continue;
                }
                gathered.add(target, znode(tree, node))?;
            }
        }
        Ok(gathered.wanted)
    }
}

/// What is wanted, as far as it was found, and how much of what may be wanted it is.
pub(super) struct Gathered {
    pub(super) wanted: Wanted,
    limits: Limits,
    bytes: usize,
    shared: Shared,
}

impl Gathered {
    pub(super) fn begin(zxid: Zxid, scope: Scope, limits: Limits) -> Self {
        let (znodes, left, quotas) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let wanted = Wanted { zxid, scope, znodes, own: 0, unnameable: 0, left, quotas, idle_quotas: BTreeSet::new() };
        Self { wanted, limits, bytes: 0, shared: Shared::default() }
    }

    /// A path as clients write it; `None` if it is none that is restored, which is counted.
    pub(super) fn name<'p>(&mut self, path: &'p [u8]) -> Option<&'p str> {
        let name = std::str::from_utf8(shown(path));
        let own = name.is_ok_and(|name| under(name, OWN));
        self.wanted.unnameable += usize::from(name.is_err());
        self.wanted.own += usize::from(own);
        name.ok().filter(|_| !own)
    }

    pub(super) fn add(&mut self, target: String, mut znode: WantedZnode) -> Result<(), WantedError> {
        self.bytes += target.len() + znode.data.len();
        znode.acl = znode.acl.map(|acl| {
            let (acl, more) = self.shared.share(acl);
            self.bytes += more;
            acl
        });
        self.wanted.znodes.insert(target, znode);
        if self.wanted.znodes.len() > self.limits.znodes {
            return Err(WantedError::TooMany(self.limits.znodes));
        }
        if self.bytes > self.limits.bytes {
            return Err(WantedError::TooLarge(self.limits.bytes));
        }
        Ok(())
    }
}

/// The limits at the paths of the scope, as they were, and the paths of those that were not in force. What was counted is not: servers count.
fn quotas(tree: &Tree, scope: &Scope) -> (BTreeMap<String, Option<QuotaLimits>>, BTreeSet<String>) {
    let (mut quotas, mut idle) = (BTreeMap::new(), BTreeSet::new());
    let all = tree.walk(QUOTAS.as_bytes());
    let above: HashSet<&[u8]> = all.iter().filter_map(|(path, _)| path::parent(path)).collect();
    for &(path, node) in &all {
        let Some(at) = std::str::from_utf8(path).ok().and_then(|path| path.strip_suffix(LIMITS)?.strip_suffix('/'))
        else {
            continue;
        };
        let of = at.strip_prefix(QUOTAS).map(|of| if of.is_empty() { "/" } else { of });
        let Some(target) = of.and_then(|of| scope.target(of)).filter(|target| scope.has(target)) else { continue };
        let stats = tree.get(format!("{at}/{STATS}").as_bytes());
        let stay =
            [Some(node), stats].into_iter().all(|node| node.is_some_and(|node| kind(node.stat()) != Kind::Ephemeral));
        // Servers that load a snapshot look for limits among the leaves (`DataTree.traverseNode`).
        if stay && !above.contains(path) {
            quotas.insert(target, node.data().and_then(QuotaLimits::read));
        } else {
            idle.insert(target);
        }
    }
    (quotas, idle)
}

pub(super) fn kind(stat: &Stat) -> Kind {
    match stat.owner() {
        Owner::Persistent => Kind::Persistent,
        Owner::Container => Kind::Container,
        Owner::Ttl(millis) => Kind::Ttl(millis.cast_unsigned()),
        Owner::Session(_) => Kind::Ephemeral,
    }
}

pub(super) fn znode(tree: &Tree, node: &Znode) -> WantedZnode {
    let stat = node.stat();
    let kind = kind(stat);
    let acl = match node.acl() {
        OPEN_ACL => Some(Acl::open()),
        number => tree.acls().get(number).and_then(Acl::of),
    };
    let data = if kind == Kind::Ephemeral { Vec::new() } else { node.data().unwrap_or_default().to_vec() };
    WantedZnode { kind, data, acl, czxid: stat.czxid, ctime: stat.ctime, counter: stat.cversion.into() }
}
