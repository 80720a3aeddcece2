//! The commit gate: which transactions of a member's log may be archived, because they are committed.
//!
//! A log runs ahead of what is committed, and after an election it can keep what never was. What proves a commit (by ZooKeeper's
//! source):
//!
//! - **A server that serves has applied only what is committed.** An epoch has one leader and one order. So if a server serves
//!   and has applied `(e,n)`, what its log has of epoch `e` up to `n` is committed.
//! - **A leader proposes only after a quorum has taken over its history.** So once a log has the first proposal of a later epoch,
//!   what it has of the epochs before is what that leader had, and is committed, if the log was synced with that leader by
//!   transactions. If it was synced by a snapshot, the end of the old epoch stayed as it was and proves nothing; the name of
//!   that snapshot is between the two epochs.
//!
//! What a server has applied is no upper bound: a follower serves a moment before it has applied the last of what it was synced
//! with (`Learner.syncWithLeader` commits them after `UPTODATE`).
//!
//! It does not matter when the server was asked: what it says counts for its own epoch. But a log is not read in one moment. `(3,105)`
//! may be read before an election cuts it off, and `(4,1)` after it, in the next log. So what is admitted is read again, and only what
//! is still there is shipped.
//!
//! Invariant: what is not proved is not shipped.

use std::collections::{BTreeMap, BTreeSet};

use zookeeper_files::ids::{Zxid, ZxidRange};

/// What a member's server and files prove of its commits. It only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// By epoch: the last transaction that a server said it has applied while it served.
    applied: BTreeMap<u64, Zxid>,
}

/// What becomes of transactions that stand in a log one after the other, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are committed.
    Committed {
        /// The transactions.
        zxids: ZxidRange,
        /// Whether they are proved to follow directly on what is before them. Otherwise the log may lack some between.
        follows: bool,
    },
    /// They may never have been committed, and this log will not show it any more.
    Unknown(ZxidRange),
}

impl Gate {
    /// Takes note of what a server said that serves. `(e,0)` is no transaction, but what a leader says before its first one.
    pub fn hear(&mut self, applied: Zxid) {
        let known = self.applied.entry(applied.epoch()).or_insert(applied);
        *known = applied.max(*known);
    }

    /// Whether it is known already that a transaction was applied.
    pub fn has_applied(&self, zxid: Zxid) -> bool {
        self.applied.get(&zxid.epoch()).is_some_and(|&applied| zxid <= applied)
    }

    /// Decides on transactions of a log, oldest first, up to the first of which nothing can be said yet.
    ///
    /// `runs` are transactions without a gap, each of one epoch, as they stand in the log one after the other. `before` is the archived transaction that the log has directly before the first run.
    /// `snapshots` are the names of the member's snapshots, listed after the log was read.
    pub fn admit(&self, before: Option<Zxid>, runs: &[ZxidRange], snapshots: &BTreeSet<Zxid>) -> Vec<Admission> {
        let mut admitted = Vec::new();
        let mut before = before;
        for (number, &run) in runs.iter().enumerate() {
            let follows = before.is_some_and(|before| follows(before, run.first, snapshots));
            let later = &runs[number + 1..];
            // Where a server cuts its log behind a transaction that the log lacks, one too many stays (`FileTxnLog.truncate`).
            let left_over = run.first == run.last && !follows;
            let inherited = !left_over && inherited(run, later, snapshots);
            let committed = if inherited { run.last } else { self.applied_of(run) };
            if committed >= run.first {
                let zxids = ZxidRange { first: run.first, last: committed };
                admitted.push(Admission::Committed { zxids, follows });
            }
            before = (committed == run.last).then_some(committed);
            if before.is_none() {
                if later.iter().all(|next| next.first.epoch() == run.first.epoch()) {
                    // The server may apply the rest yet.
                    break;
                }
                let first = run.first.max(Zxid(committed.0 + 1));
                admitted.push(Admission::Unknown(ZxidRange { first, last: run.last }));
            }
        }
        admitted
    }

    /// What stands at the end of a log and belongs to an epoch that has ended, where nothing of the log was admitted, and the server
    /// serves in `epoch`: nobody adds to it or applies it any more, so that only a transaction behind it decides. Of the epoch in which the
    /// server serves, it may apply the rest in a moment.
    pub fn held(runs: &[ZxidRange], epoch: u64) -> Option<ZxidRange> {
        let last = runs.last().filter(|run| run.last.epoch() < epoch)?;
        let first = runs.iter().find(|run| run.last.epoch() == last.last.epoch())?;
        Some(ZxidRange { first: first.first, last: last.last })
    }

    /// Up to where a server has applied a run while it served; below its first transaction if none of it.
    fn applied_of(&self, run: ZxidRange) -> Zxid {
        let none = Zxid(run.first.0.saturating_sub(1));
        self.applied.get(&run.first.epoch()).map_or(none, |&applied| applied.min(run.last).max(none))
    }
}

/// Whether the leader of a later epoch had a run in its history, and proposed something on top of it.
fn inherited(run: ZxidRange, later: &[ZxidRange], snapshots: &BTreeSet<Zxid>) -> bool {
    let mut last = run.last;
    for next in later {
        if next.first.epoch() == last.epoch() {
            // A gap within the epoch: whoever had what is behind it had the run too.
            last = next.last;
            continue;
        }
        return synced_by_transactions(last, next.first, snapshots);
    }
    false
}

/// Whether a transaction is proved to be the next one after another that stands directly before it in the log.
fn follows(before: Zxid, next: Zxid, snapshots: &BTreeSet<Zxid>) -> bool {
    if before.epoch() == next.epoch() {
        return next.0 == before.0 + 1;
    }
    synced_by_transactions(before, next, snapshots)
}

/// Whether a log that has `next`, of a later epoch, directly behind `last` was synced with the later leader by transactions alone.
/// Snapshots are purged oldest first: with one from before `last` still there, none after it is missing.
fn synced_by_transactions(last: Zxid, next: Zxid, snapshots: &BTreeSet<Zxid>) -> bool {
    let complete = snapshots.range(..=last).next().is_some();
    complete && last < next && next.counter() == 1 && snapshots.range(Zxid(last.0 + 1)..next).next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(epoch: u64, first: u64, last: u64) -> ZxidRange {
        ZxidRange { first: Zxid(epoch << 32 | first), last: Zxid(epoch << 32 | last) }
    }

    fn at(epoch: u64, counter: u64) -> Zxid {
        Zxid(epoch << 32 | counter)
    }

    fn admit(applied: &[Zxid], before: Option<Zxid>, runs: &[ZxidRange], snapshots: &[Zxid]) -> Vec<Admission> {
        let mut gate = Gate::default();
        for &applied in applied {
            gate.hear(applied);
        }
        gate.admit(before, runs, &[Zxid(0)].iter().chain(snapshots).copied().collect())
    }

    fn committed(zxids: ZxidRange, follows: bool) -> Admission {
        Admission::Committed { zxids, follows }
    }

    #[test]
    fn what_a_server_has_applied_in_the_epoch_is_committed_and_what_it_has_not_waits() {
        let admitted = admit(&[at(3, 7)], Some(at(3, 4)), &[run(3, 5, 9)], &[]);
        assert_eq!(admitted, [committed(run(3, 5, 7), true)]);
        assert!(admit(&[at(3, 4)], Some(at(3, 4)), &[run(3, 5, 9)], &[]).is_empty());
        assert!(admit(&[], None, &[run(3, 1, 9)], &[]).is_empty());
    }

    #[test]
    fn test_23_an_uncommitted_tail_is_not_shipped_because_a_later_epoch_was_applied() {
        // (3,105) stayed behind a sync by snapshot, and (4,7) was applied after it.
        let runs = [run(3, 100, 105), run(4, 5, 7)];
        let admitted = admit(&[at(4, 7)], Some(at(3, 99)), &runs, &[at(4, 4)]);
        assert_eq!(admitted, [Admission::Unknown(run(3, 100, 105)), committed(run(4, 5, 7), false)]);
    }

    #[test]
    fn the_end_of_an_epoch_is_committed_once_the_next_leader_has_proposed_on_top_of_it() {
        let runs = [run(3, 100, 105), run(4, 1, 1)];
        let admitted = admit(&[at(4, 0)], Some(at(3, 99)), &runs, &[at(3, 105)]);
        assert_eq!(admitted, [committed(run(3, 100, 105), true)], "(4,1) is not applied yet");
        assert!(
            admit(&[at(4, 0)], Some(at(3, 99)), &runs[..1], &[]).is_empty(),
            "nothing shows the end of epoch 3 yet"
        );
    }

    #[test]
    fn test_24_a_snapshot_between_two_epochs_makes_the_end_of_the_first_unknown() {
        for snapshot in [at(3, 110), at(4, 0)] {
            let admitted = admit(&[at(4, 2)], Some(at(3, 99)), &[run(3, 100, 105), run(4, 1, 2)], &[snapshot]);
            assert_eq!(admitted, [Admission::Unknown(run(3, 100, 105)), committed(run(4, 1, 2), false)]);
        }
    }

    #[test]
    fn where_snapshots_were_purged_nobody_knows_whether_one_was_between() {
        let gate = Gate { applied: BTreeMap::from([(4, at(4, 2))]) };
        let admitted = gate.admit(Some(at(3, 99)), &[run(3, 100, 105), run(4, 1, 2)], &BTreeSet::from([at(4, 1)]));
        assert_eq!(admitted, [Admission::Unknown(run(3, 100, 105)), committed(run(4, 1, 2), false)]);
    }

    #[test]
    fn what_was_applied_before_an_election_stays_committed_after_it() {
        let runs = [run(3, 100, 105), run(4, 5, 7)];
        let admitted = admit(&[at(3, 102), at(4, 7)], Some(at(3, 99)), &runs, &[at(4, 4)]);
        let unknown = Admission::Unknown(run(3, 103, 105));
        assert_eq!(admitted, [committed(run(3, 100, 102), true), unknown, committed(run(4, 5, 7), false)]);
    }

    #[test]
    fn only_the_end_of_an_epoch_that_is_over_is_held_and_what_the_server_may_apply_in_a_moment_is_not() {
        assert_eq!(Gate::held(&[], 4), None);
        assert_eq!(Gate::held(&[run(3, 100, 105)], 4), Some(run(3, 100, 105)));
        assert_eq!(Gate::held(&[run(3, 100, 105)], 3), None);
        assert_eq!(Gate::held(&[run(3, 100, 105), run(4, 1, 1)], 4), None, "the write that decides is under way");
        let runs = [run(2, 7, 9), run(3, 100, 105), run(3, 108, 108)];
        assert_eq!(Gate::held(&runs, 4), Some(run(3, 100, 108)), "of what is before it, another epoch says enough");
    }

    #[test]
    fn a_gap_within_an_epoch_is_a_loss_that_is_said() {
        let admitted = admit(&[at(3, 9)], Some(at(3, 1)), &[run(3, 2, 4), run(3, 7, 9)], &[]);
        assert_eq!(admitted, [committed(run(3, 2, 4), true), committed(run(3, 7, 9), false)]);
    }

    #[test]
    fn a_lone_transaction_behind_a_gap_may_be_one_that_a_cut_left_over() {
        let runs = [run(3, 2, 4), run(3, 9, 9), run(4, 1, 2)];
        let admitted = admit(&[at(4, 2)], Some(at(3, 1)), &runs, &[]);
        let unknown = Admission::Unknown(run(3, 9, 9));
        assert_eq!(admitted, [committed(run(3, 2, 4), true), unknown, committed(run(4, 1, 2), false)]);
    }

    #[test]
    fn without_what_is_before_it_nothing_follows() {
        assert_eq!(admit(&[at(3, 9)], None, &[run(3, 2, 4)], &[]), [committed(run(3, 2, 4), false)]);
    }
}
