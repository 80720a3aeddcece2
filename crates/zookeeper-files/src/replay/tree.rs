//! A server's state in memory: znodes by path, sessions, ephemeral znodes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Write};

use crate::ids::Zxid;
use crate::jute::Text;
use crate::log::SessionId;
use crate::path::{by_walk, is_at_or_under, key, parent};
use crate::replay::acls::AclTable;
use crate::replay::quota::{self, FatalChange, Quotas};
use crate::snapshot::{
    AclTableEntry, OPEN_ACL, Owner, Session, SnapshotError, SnapshotItem, SnapshotReader, SnapshotWriter,
    SnapshotZnode, Stat, Trailer, ZxidDigest,
};

/// The version of the digest algorithm since 3.6.
pub(crate) const DIGEST_VERSION: i32 = 2;

/// A znode in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub(crate) data: Option<Box<[u8]>>,
    pub(crate) acl: i64,
    pub(crate) stat: Stat,
    /// Its share in the tree's digest.
    pub(crate) sum: u32,
}

impl Znode {
    /// Its data.
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// Its stat.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The number of its ACL in the tree's table.
    pub fn acl(&self) -> i64 {
        self.acl
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A server's state in memory. The key of the root is the empty path, as on disk.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub(crate) nodes: Map<Box<[u8]>, Znode>,
    pub(crate) acls: AclTable,
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    pub(crate) ephemerals: Map<SessionId, HashSet<Box<[u8]>>>,
    digest: i64,
    pub(crate) last: Zxid,
    pub(crate) quotas: Quotas,
    /// The old znode of each path that was changed since the journal was begun.
    journal: Option<Journal>,
}

/// The znode at each changed path before its first change.
pub type Journal = HashMap<Box<[u8]>, Option<Znode>>;

impl Tree {
    /// The tree of a new ensemble.
    pub fn initial() -> Self {
        let mut tree = Self::default();
        for path in ["", "/zookeeper", "/zookeeper/quota"] {
            let node =
                SnapshotZnode { path: Text(path.as_bytes()), data: Some(b""), acl: OPEN_ACL, stat: Stat::default() };
            tree.load(&node);
        }
        tree
    }

    /// The tree of a snapshot, which is as fuzzy as the snapshot is.
    pub fn of_snapshot<R: Read>(snapshot: &mut SnapshotReader<R>) -> Result<Self, SnapshotError> {
        let mut tree = Self::default();
        while let Some(item) = snapshot.next()? {
            match item {
                SnapshotItem::Session(session) => {
                    tree.sessions.insert(session.id, session.timeout);
                }
                SnapshotItem::Acl(entry) => tree.acls.load(&entry),
                SnapshotItem::Znode(node) => tree.load(&node),
            }
        }
        tree.quotas = Quotas::of_snapshot(tree.nodes.keys().map(|path| &**path));
        Ok(tree)
    }

    /// What stops every server that loads a snapshot of this tree.
    pub fn fatal_to_load(&self) -> Option<FatalChange> {
        Quotas::of_snapshot(self.nodes.keys().map(|path| &**path)).fatal
    }

    /// Removes a znode and those below it, without a transaction. Returns how many there were.
    pub fn leave_out(&mut self, top: &[u8]) -> usize {
        let gone: Vec<Box<[u8]>> = self.nodes.keys().filter(|path| is_at_or_under(path, top)).cloned().collect();
        gone.iter().filter_map(|path| self.remove(path)).count()
    }

    /// Ends all sessions without a transaction, and removes their ephemeral znodes. Returns how many of these there were.
    pub fn end_sessions(&mut self) -> usize {
        self.sessions.clear();
        let gone: Vec<Box<[u8]>> = self
            .nodes
            .iter()
            .filter(|(_, node)| matches!(node.stat.owner(), Owner::Session(_)))
            .map(|(path, _)| path.clone())
            .collect();
        gone.iter().filter_map(|path| self.remove(path)).count()
    }

    /// Keeps only these znodes, and frees the other memory.
    pub(crate) fn keep_only(&mut self, mut keep: impl FnMut(&[u8], &Znode) -> bool) {
        self.nodes.retain(|path, node| keep(path, node));
        self.nodes.shrink_to_fit();
        self.ephemerals = Map::default();
    }

    fn load(&mut self, node: &SnapshotZnode<'_>) {
        self.insert(node.path.0, Znode { data: node.data.map(Into::into), acl: node.acl, stat: node.stat, sum: 0 });
    }

    /// Starts a journal of the old znodes of changed paths, to compare this state with a later one.
    pub(crate) fn begin_journal(&mut self) {
        self.journal = Some(Journal::new());
    }

    /// The journal since [`begin_journal`](Self::begin_journal).
    pub(crate) fn take_journal(&mut self) -> Journal {
        self.journal.take().unwrap_or_default()
    }

    #[inline]
    fn note(&mut self, path: &[u8]) {
        if let Some(journal) = &mut self.journal
            && !journal.contains_key(path)
        {
            journal.insert(path.into(), self.nodes.get(path).cloned());
        }
    }

    pub(crate) fn insert(&mut self, path: &[u8], mut node: Znode) {
        self.note(path);
        node.sum = node.stat.digest(path, node.data());
        self.digest = self.digest.wrapping_add(i64::from(node.sum));
        if let Owner::Session(session) = node.stat.owner() {
            self.ephemerals.entry(session).or_default().insert(path.into());
        }
        if let Some(old) = self.nodes.insert(path.into(), node) {
            self.digest = self.digest.wrapping_sub(i64::from(old.sum));
        }
    }

    pub(crate) fn remove(&mut self, path: &[u8]) -> Option<Znode> {
        self.note(path);
        let node = self.nodes.remove(path)?;
        self.digest = self.digest.wrapping_sub(i64::from(node.sum));
        if let Owner::Session(session) = node.stat.owner()
            && let Some(paths) = self.ephemerals.get_mut(&session)
        {
            paths.remove(path);
            if paths.is_empty() {
                self.ephemerals.remove(&session);
            }
        }
        Some(node)
    }

    /// Changes a znode and updates the digest.
    pub(crate) fn change(&mut self, path: &[u8], change: impl FnOnce(&mut Znode)) -> Option<&Znode> {
        self.note(path);
        let node = self.nodes.get_mut(path)?;
        change(node);
        let before = node.sum;
        node.sum = node.stat.digest(path, node.data.as_deref());
        self.digest = self.digest.wrapping_add(i64::from(node.sum)).wrapping_sub(i64::from(before));
        Some(node)
    }

    /// A znode; the root is `/`.
    pub fn get(&self, path: &[u8]) -> Option<&Znode> {
        self.nodes.get(key(path))
    }

    /// How many znodes there are, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no znode, not even the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The last transaction that was applied.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// ZooKeeper's digest of it.
    pub fn digest(&self) -> i64 {
        self.digest
    }

    /// The sessions that are alive, with their timeouts in milliseconds.
    pub fn sessions(&self) -> impl Iterator<Item = Session> {
        self.sessions.iter().map(|(&id, &timeout)| Session { id, timeout })
    }

    /// The table of ACLs.
    pub fn acls(&self) -> &AclTable {
        &self.acls
    }

    /// The znodes at and under a path in the order of a walk: a parent, then its children by name.
    pub fn walk(&self, top: &[u8]) -> Vec<(&[u8], &Znode)> {
        let top = key(top);
        let mut found: Vec<(&[u8], &Znode)> = self
            .nodes
            .iter()
            .map(|(path, node)| (&**path, node))
            .filter(|(path, _)| is_at_or_under(path, top))
            .collect();
        found.sort_unstable_by(|(a, _), (b, _)| by_walk(a, b));
        found
    }

    /// The number of children of each znode that has children.
    pub fn children(&self) -> HashMap<&[u8], usize> {
        let mut counts = HashMap::new();
        for path in self.nodes.keys().filter(|path| !path.is_empty()) {
            *counts.entry(parent(path).unwrap_or_default()).or_insert(0) += 1;
        }
        counts
    }

    /// Writes it as a snapshot that a server starts from. Name the file after [`last`](Self::last).
    ///
    /// The snapshot includes the digest, so the server can check it.
    pub fn write<W: Write>(&self, to: W) -> io::Result<W> {
        let walk: Vec<_> = self.rooted();
        let mut used: Vec<i64> = walk.iter().map(|(_, node)| node.acl).filter(|&acl| acl != OPEN_ACL).collect();
        used.sort_unstable();
        used.dedup();
        let acls: Vec<_> =
            used.iter().filter_map(|&key| Some(AclTableEntry { key, acls: self.acls.get(key)? })).collect();
        let sessions: Vec<_> = self.sessions().collect();
        let mut writer = SnapshotWriter::new(to, &sessions, &acls)?;
        for (path, node) in walk {
            writer.znode(&SnapshotZnode { path: Text(path), data: node.data(), acl: node.acl, stat: node.stat })?;
        }
        let digest = ZxidDigest { zxid: self.last, version: DIGEST_VERSION, tree: self.digest };
        writer.finish(&Trailer { digest: Some(digest), last: Some(self.last) })
    }

    /// Counts quotas as a server does: no log contains the counts.
    pub(crate) fn count_quotas(&mut self) {
        for (path, counts) in quota::counted(self) {
            self.change(&path, |node| node.data = Some(counts.into()));
        }
    }

    /// All znodes that are connected to the root, in the order of a walk: a server cannot reach others, and does not write them.
    pub fn rooted(&self) -> Vec<(&[u8], &Znode)> {
        let mut stack: Vec<&[u8]> = Vec::new();
        let walk = self.walk(b"");
        walk.into_iter()
            .filter(|&(path, _)| {
                while stack.last().is_some_and(|top| !is_at_or_under(path, top)) {
                    stack.pop();
                }
                let hangs = parent(path).is_none_or(|parent| stack.last() == Some(&parent));
                if hangs {
                    stack.push(path);
                }
                hangs
            })
            .collect()
    }
}
