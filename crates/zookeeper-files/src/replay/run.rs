//! Replays logs onto a tree.

use std::io::Read;

use crate::ids::Zxid;
use crate::log::Record;
use crate::replay::apply::ApplyError;
use crate::replay::quota::FatalChange;
use crate::replay::tree::{DIGEST_VERSION, Journal, Tree};
use crate::snapshot::{SnapshotError, SnapshotReader, Trailer, ZxidDigest};

/// The tree differs from that of the server that wrote the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestMismatch {
    /// After this transaction.
    pub zxid: Zxid,
    /// The digest in the files.
    pub logged: i64,
    /// The digest of the replayed tree.
    pub replayed: i64,
}

/// The result of applying a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyResult {
    /// The snapshot already contains it.
    Old,
    /// It was applied.
    Applied,
    /// It changed nothing. Servers ignore it as well.
    Refused(ApplyError),
}

/// Applies logs to a tree, and checks every digest in the files.
#[derive(Clone, Debug)]
pub struct Replay {
    tree: Tree,
    /// Up to here the tree is fuzzy: the snapshot already contains some of these transactions.
    fuzzy_until: Zxid,
    /// The digest in the snapshot that is still to be checked.
    awaited: Option<ZxidDigest>,
    checked: u64,
    mismatch: Option<DigestMismatch>,
    /// Of a snapshot, the first digest that was not the tree's. A transaction is in the tree before it is counted, so that a
    /// snapshot can hold one more than it says, and not every one shows. The next digest that is right takes it back.
    doubt: Option<DigestMismatch>,
    /// Whether that was allowed for.
    forgiven: bool,
    /// Whether a digest of a log was the tree's.
    confirmed: bool,
}

impl Replay {
    /// Starts from a tree that is not fuzzy.
    pub fn new(tree: Tree) -> Self {
        let fuzzy_until = tree.last();
        Self {
            tree,
            fuzzy_until,
            awaited: None,
            checked: 0,
            mismatch: None,
            doubt: None,
            forgiven: true,
            confirmed: false,
        }
    }

    /// Starts from the snapshot of this name.
    pub fn of_snapshot<R: Read>(snapshot: &mut SnapshotReader<R>, name: Zxid) -> Result<Self, SnapshotError> {
        let mut tree = Tree::of_snapshot(snapshot)?;
        tree.last = name;
        let trailer = snapshot.trailer();
        // A server that has just synced writes a digest for zxid 0, and a new leader one of the epoch before.
        let known = |digest: &ZxidDigest| digest.zxid.0 != 0 && digest.version == DIGEST_VERSION;
        // With a later transaction in it already, the content is not the one that the digest is of.
        let least = name.max(snapshot.newest());
        let awaited = trailer.digest.filter(|digest| digest.zxid >= least && known(digest));
        let fuzzy_until = fuzzy_until(trailer, name, snapshot.newest());
        let mut replay = Self { fuzzy_until, awaited, forgiven: false, ..Self::new(tree) };
        replay.check_snapshot(name);
        Ok(replay)
    }

    /// Applies a record, unless the snapshot contains it.
    #[inline]
    pub fn apply(&mut self, record: &Record<'_>) -> ApplyResult {
        let zxid = record.header.zxid;
        if zxid <= self.tree.last() {
            return ApplyResult::Old;
        }
        let result = self.tree.apply(&record.header, &record.txn);
        self.check_snapshot(zxid);
        if zxid >= self.fuzzy_until
            && let Some(digest) = record.digest.filter(|digest| digest.version == DIGEST_VERSION)
        {
            self.compare(zxid, digest.tree);
        }
        match result {
            Ok(()) => ApplyResult::Applied,
            Err(refused) => ApplyResult::Refused(refused),
        }
    }

    fn check_snapshot(&mut self, zxid: Zxid) {
        if let Some(digest) = self.awaited.take_if(|digest| digest.zxid == zxid) {
            self.checked += 1;
            if let Some(mismatch) = self.differs(zxid, digest.tree) {
                self.forgive(mismatch);
            }
        }
    }

    fn differs(&self, zxid: Zxid, logged: i64) -> Option<DigestMismatch> {
        let replayed = self.tree.digest();
        (logged != replayed).then_some(DigestMismatch { zxid, logged, replayed })
    }

    fn forgive(&mut self, mismatch: DigestMismatch) {
        (self.doubt, self.forgiven) = (Some(mismatch), true);
        self.fuzzy_until = Zxid(mismatch.zxid.0 + 1);
    }

    fn compare(&mut self, zxid: Zxid, logged: i64) {
        self.checked += 1;
        match self.differs(zxid, logged) {
            None => (self.doubt, self.confirmed) = (None, true),
            Some(mismatch) if zxid == self.fuzzy_until && !self.forgiven => self.forgive(mismatch),
            Some(mismatch) => {
                self.mismatch.get_or_insert(mismatch);
            }
        }
    }

    /// Counts quotas, once all is applied: see [`Tree::count_quotas`].
    pub(crate) fn count_quotas(&mut self) {
        self.tree.count_quotas();
    }

    /// See [`Tree::begin_journal`].
    pub(crate) fn begin_journal(&mut self) {
        self.tree.begin_journal();
    }

    /// The old znode of each changed path, for a tree that `disk::rebuild_on` led from one point to another.
    pub fn take_journal(&mut self) -> Journal {
        self.tree.take_journal()
    }

    /// The tree so far.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the tree.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Up to here no server ever had exactly this tree.
    pub fn fuzzy_until(&self) -> Zxid {
        self.fuzzy_until
    }

    /// The number of compared digests.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// The first transaction that stops every server that applies it.
    pub fn fatal(&self) -> Option<&FatalChange> {
        self.tree.quotas.fatal.as_ref()
    }

    /// The first digest that differs from the tree's.
    pub fn mismatch(&self) -> Option<DigestMismatch> {
        self.mismatch
    }

    /// Whether a digest of a log was the tree's: a leader had this tree.
    pub(crate) fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// The snapshot's own digest was not the tree's, and none came that takes it back: it is damaged, or it holds the next
    /// transaction already.
    pub(crate) fn doubt(&self) -> Option<DigestMismatch> {
        self.doubt
    }
}

/// Releases before 3.6 do not say where a snapshot ends. What its znodes show is the least.
fn fuzzy_until(trailer: Trailer, name: Zxid, newest: Zxid) -> Zxid {
    trailer.end(name).unwrap_or(name).max(newest)
}
