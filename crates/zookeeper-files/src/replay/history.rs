//! Finds the committed history in the logs of several members.
//!
//! A transaction is committed when a quorum has logged it in the epoch of one leader. No file records that, but the files show:
//!
//! - A log that continues in a later epoch was synced with the leader of that epoch first, and a quorum with it: a leader
//!   proposes nothing before. What the log has of the earlier epochs is what that leader had, and committed; what other logs
//!   have beyond it never was, nor will be.
//! - If the member was synced by a snapshot, this does not hold: its log may have transactions that the leader never had, and
//!   lack others. Such a member has a snapshot whose name is between the transactions of the two epochs. Servers purge
//!   snapshots before logs, so a log shows this only from its oldest snapshot on.
//! - A snapshot proves no commit. A server applies its whole log when it starts, and the winner of an election writes a snapshot
//!   of that before it proposes its epoch to anybody (`Leader.lead`). If others then win, the log is cut, and the snapshot stays.
//! - A log is cut after the first transaction at or above the one that the leader names (`FileTxnLog.truncate`). If the member
//!   got the named one in a snapshot, one transaction too many stays: one that stands alone after a gap proves nothing.
//! - Of an epoch whose end no log shows, what a majority has is committed, if all of them are in the same epoch: have synced with
//!   its leader, and accepted no later one. Without that, one member can have handed its uncommitted end to the others, as the
//!   winner of an election that came to nothing. What fewer members have may be committed or not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::Excluded;

use crate::ids::{Zxid, ZxidRange};

/// The transactions and snapshots that one member has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberHistory {
    /// For each epoch that its log has transactions of: the first and the last.
    pub epochs: BTreeMap<u64, ZxidRange>,
    /// The names of its snapshots. None of them is proof that what is in it was committed; they show where a log may lie.
    pub snapshots: BTreeSet<Zxid>,
    /// The epoch that it is in: it has synced with the leader of this epoch, and accepted no later one. `None` if its epoch
    /// files do not say so.
    pub epoch: Option<u64>,
    /// For each epoch: from here to the last, its log has every transaction.
    whole_from: BTreeMap<u64, Zxid>,
    /// For each epoch: the last transaction after which damage took some.
    lost_after: BTreeMap<u64, Zxid>,
    /// Whether damage took the first of its transactions.
    lost_first: bool,
}

impl MemberHistory {
    /// A member with these snapshots, in this epoch, whose log is empty.
    pub fn of(snapshots: impl IntoIterator<Item = Zxid>, epoch: Option<u64>) -> Self {
        Self { snapshots: snapshots.into_iter().collect(), epoch, ..Self::default() }
    }

    /// Adds a transaction.
    pub fn add(&mut self, zxid: Zxid) {
        self.add_all(ZxidRange::of(zxid), zxid);
    }

    /// Adds what is in a later log of the same member.
    pub(crate) fn append(&mut self, later: &Self) {
        if later.lost_first {
            self.lose_after(self.epochs.values().next_back().map(|range| range.last));
        }
        for (epoch, &range) in &later.epochs {
            self.add_all(range, later.whole_from.get(epoch).copied().unwrap_or(range.last));
        }
        later.lost_after.values().for_each(|&zxid| self.lose_after(Some(zxid)));
    }

    /// Notes that damage took transactions after this one; `None` before the first.
    pub(crate) fn lose_after(&mut self, zxid: Option<Zxid>) {
        let Some(zxid) = zxid else {
            self.lost_first = true;
            return;
        };
        let known = self.lost_after.entry(zxid.epoch()).or_insert(zxid);
        *known = zxid.max(*known);
    }

    fn add_all(&mut self, range: ZxidRange, whole_from: Zxid) {
        let epoch = range.last.epoch();
        let known = self.epochs.entry(epoch).or_insert(range);
        let follows = known.last.0 + 1 == range.first.0 && whole_from == range.first;
        *known = known.join(range);
        if !follows {
            self.whole_from.insert(epoch, whole_from);
        }
    }

    /// Whether its log shows that the leader of `next` had `last`, and nothing between the two.
    fn shows_end(&self, last: Zxid, next: u64) -> bool {
        let Some(first) = self.epochs.get(&next).map(|range| range.first).filter(|first| first.counter() == 1) else {
            return false;
        };
        let damaged = self.lost_after.get(&last.epoch()) == Some(&last);
        let since_then = self.snapshots.range(..=last).next_back().is_some();
        let synced_by_snapshot = self.snapshots.range((Excluded(last), Excluded(first))).next().is_some();
        since_then && !damaged && !synced_by_snapshot && !self.stands_alone(last)
    }

    /// Whether the last transaction of an epoch comes after others that are missing: the log may have been cut behind it, and
    /// should have been before.
    fn stands_alone(&self, last: Zxid) -> bool {
        if self.whole_from.get(&last.epoch()) != Some(&last) {
            return false;
        }
        let before = self.epochs.range(..last.epoch()).next_back().map(|(_, range)| range.last);
        last.counter() != 1 || before.is_none_or(|before| !self.shows_end(before, last.epoch()))
    }

    /// Where its log ends, if it ends in this epoch and all of it is what the member has accepted in the epoch that it is in.
    fn accepts(&self, epoch: u64) -> Option<(u64, Zxid)> {
        let (&newest, range) = self.epochs.last_key_value()?;
        // With a snapshot of a later epoch, what the log has of this one may be what the leader of that never had.
        let later = self.snapshots.last().is_some_and(|snapshot| snapshot.epoch() > epoch);
        let accepted = newest == epoch && !later && !self.stands_alone(range.last);
        Some((self.epoch.filter(|&is_in| accepted && is_in >= epoch)?, range.last))
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
    /// It may have been synced by a snapshot, or lost some: it proves nothing.
    pub proves_nothing: bool,
}

/// What is known about the commits of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochBounds {
    /// Everything up to here is committed.
    pub committed: Zxid,
    /// Nothing above this was ever committed, of what is in these files.
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
/// them. Observers must not be among them: what they have does not make a majority.
pub fn decide(members: &[MemberHistory], voters: Option<usize>) -> CommittedHistory {
    let of_logs = members.iter().flat_map(|member| member.epochs.keys().copied());
    // The epoch's own 0 is no transaction.
    let snapshots = members.iter().flat_map(|member| &member.snapshots).filter(|zxid| zxid.counter() != 0);
    let epochs: BTreeSet<u64> = of_logs.chain(snapshots.map(|zxid| zxid.epoch())).collect();
    CommittedHistory { epochs: epochs.into_iter().map(|epoch| (epoch, bounds(members, epoch, voters))).collect() }
}

fn bounds(members: &[MemberHistory], epoch: u64, voters: Option<usize>) -> EpochBounds {
    let ends = ends(members, epoch);
    let shown = ends.iter().filter(|end| !end.proves_nothing).map(|end| end.last);
    let (committed, possible) = if let (Some(least), Some(most)) = (shown.clone().min(), shown.max()) {
        (least, most)
    } else {
        let committed = held_by_majority(members, epoch, voters).unwrap_or(Zxid(epoch << 32));
        (committed, highest(members, epoch).max(committed))
    };
    EpochBounds { committed, possible, ends }
}

/// Where the logs that go on in a later epoch end this one.
fn ends(members: &[MemberHistory], epoch: u64) -> Vec<EpochEnd> {
    let mut ends = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let Some((&next, _)) = member.epochs.range(epoch + 1..).next() else { continue };
        // A log that begins later says nothing of what was before.
        let before = member.epochs.range(..=epoch).next_back().map(|(_, range)| range.last);
        let Some(before) = before else { continue };
        let last = member.epochs.get(&epoch).map_or(Zxid(epoch << 32), |range| range.last);
        ends.push(EpochEnd { member: number, last, proves_nothing: !member.shows_end(before, next) });
    }
    ends
}

/// The highest transaction of an epoch in any log or snapshot.
fn highest(members: &[MemberHistory], epoch: u64) -> Zxid {
    let in_logs = members.iter().filter_map(|member| member.epochs.get(&epoch)).map(|range| range.last);
    let in_snapshots = members.iter().flat_map(|member| &member.snapshots).filter(|zxid| zxid.epoch() == epoch);
    in_logs.chain(in_snapshots.copied()).max().unwrap_or(Zxid(epoch << 32))
}

/// The last transaction of an epoch that a majority has accepted, all of them in the same epoch.
fn held_by_majority(members: &[MemberHistory], epoch: u64, voters: Option<usize>) -> Option<Zxid> {
    // One log alone is the majority of an ensemble of one only if it is known to be that.
    if voters.is_none() && members.len() < 2 {
        return None;
    }
    let majority = voters.unwrap_or(members.len()).max(members.len()) / 2 + 1;
    let mut accepted: BTreeMap<u64, Vec<Zxid>> = BTreeMap::new();
    for (in_epoch, last) in members.iter().filter_map(|member| member.accepts(epoch)) {
        accepted.entry(in_epoch).or_default().push(last);
    }
    let held = accepted.into_values().filter_map(|mut lasts| {
        lasts.sort_unstable();
        lasts.iter().rev().nth(majority - 1).copied()
    });
    held.max()
}
