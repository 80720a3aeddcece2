//! Finds the committed history in the logs of several members.
//!
//! A transaction is committed when a quorum has logged it. No file records that, but the files show:
//!
//! - A log that continues in a later epoch was synced with the leader of that epoch first. What it has of the earlier epoch is
//!   what that leader had; what other logs have beyond it was never committed.
//! - If it was synced by a snapshot, this does not hold: it may have transactions that the leader never had, and lack others.
//!   Such a member has a snapshot whose name is between the transactions of the two epochs.
//! - A snapshot contains only committed transactions: servers apply no others.
//! - In the last epoch, what a majority has is committed; what fewer members have may be committed or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Zxid, ZxidRange};

/// The transactions and snapshots that one member has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberHistory {
    /// For each epoch that its log has transactions of: the first and the last.
    pub epochs: BTreeMap<u64, ZxidRange>,
    /// The names of its snapshots.
    pub snapshots: BTreeSet<Zxid>,
}

impl MemberHistory {
    /// Adds a transaction.
    pub fn add(&mut self, zxid: Zxid) {
        self.add_all(ZxidRange::of(zxid));
    }

    /// Adds a range of one epoch.
    pub(crate) fn add_all(&mut self, range: ZxidRange) {
        let known = self.epochs.entry(range.last.epoch()).or_insert(range);
        *known = known.join(range);
    }

    /// Whether it was, or may have been, synced with this epoch by a snapshot.
    fn synced_by_snapshot(&self, epoch: u64, before: Zxid) -> bool {
        let Some(range) = self.epochs.get(&epoch) else { return true };
        let counted_from_one = range.first.counter() == 1;
        !counted_from_one || self.snapshots.iter().any(|&snapshot| snapshot > before && snapshot < range.first)
    }
}

/// Whether a transaction was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitStatus {
    /// It was committed.
    Committed,
    /// It was proposed, but never committed.
    NeverCommitted,
    /// These files do not show it.
    Unknown,
}

/// Where one member's log ends an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochEnd {
    /// The member, by its index.
    pub member: usize,
    /// The last transaction of the epoch in it; the epoch's own 0 if it has none.
    pub last: Zxid,
    /// It may have been synced by a snapshot, and proves nothing.
    pub by_snapshot: bool,
}

/// What is known about the commits of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochBounds {
    /// Everything up to here is committed.
    pub committed: Zxid,
    /// Nothing above this was ever committed.
    pub possible: Zxid,
    /// The evidence.
    pub ends: Vec<EpochEnd>,
}

/// The committed history of an ensemble, as far as the files show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommittedHistory {
    /// By epoch.
    pub epochs: BTreeMap<u64, EpochBounds>,
}

impl CommittedHistory {
    /// Whether a transaction was committed.
    pub fn commit_status(&self, zxid: Zxid) -> CommitStatus {
        match self.epochs.get(&zxid.epoch()) {
            Some(epoch) if zxid <= epoch.committed => CommitStatus::Committed,
            Some(epoch) if zxid > epoch.possible => CommitStatus::NeverCommitted,
            _ => CommitStatus::Unknown,
        }
    }

    /// The transactions for which these files do not show it.
    pub fn unknown(&self) -> Vec<ZxidRange> {
        let open = self.epochs.values().filter(|epoch| epoch.committed < epoch.possible);
        open.map(|epoch| ZxidRange { first: Zxid(epoch.committed.0 + 1), last: epoch.possible }).collect()
    }
}

/// Decides which transactions were committed. `voters` is the number of voters, if known; otherwise `members` counts as all of
/// them.
pub fn decide(members: &[MemberHistory], voters: Option<usize>) -> CommittedHistory {
    let epochs: BTreeSet<u64> = members.iter().flat_map(|member| member.epochs.keys().copied()).collect();
    let latest = epochs.last().copied();
    let decided = epochs.iter().map(|&epoch| {
        let known = if Some(epoch) == latest { last_epoch(members, epoch, voters) } else { past(members, epoch) };
        (epoch, known)
    });
    CommittedHistory { epochs: decided.collect() }
}

/// The highest transaction of an epoch in any log, and the one that a snapshot proves.
fn bounds(members: &[MemberHistory], epoch: u64) -> (Zxid, Zxid) {
    let none = Zxid(epoch << 32);
    let highest = members.iter().filter_map(|member| member.epochs.get(&epoch)).map(|range| range.last).max();
    let proven = members.iter().flat_map(|member| &member.snapshots).filter(|zxid| zxid.epoch() == epoch).max();
    (highest.unwrap_or(none), proven.copied().unwrap_or(none))
}

fn past(members: &[MemberHistory], epoch: u64) -> EpochBounds {
    let none = Zxid(epoch << 32);
    let (highest, proven) = bounds(members, epoch);
    let mut ends = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let Some((&next, _)) = member.epochs.range(epoch + 1..).next() else { continue };
        // A log that begins later says nothing of what was before.
        let before = member.epochs.range(..=epoch).next_back().map(|(_, range)| range.last);
        let Some(before) = before else { continue };
        let last = member.epochs.get(&epoch).map_or(none, |range| range.last);
        ends.push(EpochEnd { member: number, last, by_snapshot: member.synced_by_snapshot(next, before) });
    }
    let clean = ends.iter().filter(|end| !end.by_snapshot).map(|end| end.last);
    let (least, most) = (clean.clone().min(), clean.max());
    let (committed, possible) = match (least, most) {
        (Some(least), Some(most)) => (least.max(proven), most.max(proven)),
        // Nobody shows the epoch's end. What all that left it have in common was in their leader's log.
        _ => (proven, highest.max(proven)),
    };
    EpochBounds { committed, possible, ends }
}

fn last_epoch(members: &[MemberHistory], epoch: u64, voters: Option<usize>) -> EpochBounds {
    let (highest, proven) = bounds(members, epoch);
    let majority = voters.unwrap_or(members.len()).max(members.len()) / 2 + 1;
    let mut lasts: Vec<Zxid> =
        members.iter().filter_map(|member| member.epochs.get(&epoch)).map(|range| range.last).collect();
    lasts.sort_unstable();
    // One log alone is the majority of an ensemble of one only if it is known to be that.
    let known = voters.is_some() || members.len() > 1;
    let held = lasts.iter().rev().nth(majority - 1).filter(|_| known).copied();
    let committed = held.unwrap_or(Zxid(epoch << 32)).max(proven);
    EpochBounds { committed, possible: highest.max(committed), ends: Vec::new() }
}
