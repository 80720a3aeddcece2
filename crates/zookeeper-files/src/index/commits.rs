//! Which transactions were committed, as far as the files of several members show it.

use std::collections::BTreeMap;

use crate::ids::{Zxid, ZxidRange};
use crate::replay::{CommitStatus, CommittedHistory, EpochBounds, MemberHistory};

/// For each epoch: the zxid up to which all is committed, and the zxid above which nothing is. Empty if only one member is
/// known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commits {
    epochs: BTreeMap<u64, (Zxid, Zxid)>,
}

impl Commits {
    /// Loads the stored bounds of each epoch.
    pub(crate) fn stored(bounds: impl IntoIterator<Item = (Zxid, Zxid)>) -> Self {
        Self { epochs: bounds.into_iter().map(|bounds| (bounds.0.epoch(), bounds)).collect() }
    }

    /// What stays true while logs grow: if no log shows the end of an epoch, it may still get transactions, and they may be
    /// committed.
    pub(crate) fn of(history: &CommittedHistory) -> Self {
        let shown = |epoch: &EpochBounds| epoch.ends.iter().any(|end| !end.proves_nothing);
        let bounds = history.epochs.iter().map(|(number, epoch)| {
            let possible = if shown(epoch) { epoch.possible } else { Zxid(number << 32).last_of_epoch() };
            (*number, (epoch.committed, possible))
        });
        Self { epochs: bounds.collect() }
    }

    /// The two bounds of each epoch.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = (Zxid, Zxid)> {
        self.epochs.values().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// The status of a transaction; `None` if only one member is known.
    pub(crate) fn commit_status(&self, zxid: Zxid) -> Option<CommitStatus> {
        if self.is_empty() {
            return None;
        }
        Some(match self.epochs.get(&zxid.epoch()) {
            Some((committed, _)) if zxid <= *committed => CommitStatus::Committed,
            Some((_, possible)) if zxid > *possible => CommitStatus::NeverCommitted,
            _ => CommitStatus::Unknown,
        })
    }

    pub(crate) fn never(&self, zxid: Zxid) -> bool {
        self.commit_status(zxid) == Some(CommitStatus::NeverCommitted)
    }

    /// Whether an earlier transaction of a log was applied on the server that logged a later one. A transaction that was never
    /// committed was applied only by the leader that proposed it, in its own epoch.
    pub(crate) fn preceded(&self, earlier: Zxid, later: Zxid) -> bool {
        !self.never(earlier) || (self.never(later) && earlier.epoch() == later.epoch())
    }

    /// The transactions of a log that were never committed.
    pub(crate) fn never_committed(&self, member_history: &MemberHistory) -> Vec<ZxidRange> {
        let after =
            |epoch: &u64, first: Zxid| self.epochs.get(epoch).map_or(first, |bounds| first.max(Zxid(bounds.1.0 + 1)));
        let stretches =
            member_history.epochs.iter().map(|(epoch, range)| ZxidRange { first: after(epoch, range.first), ..*range });
        stretches.filter(|range| self.never(range.last)).collect()
    }

    /// Whether a different set of a log's transactions, up to `newest`, now counts as never committed.
    pub(crate) fn moved(&self, now: &Self, member_history: &MemberHistory, newest: Zxid) -> bool {
        let reach = |commits: &Self, epoch, last: Zxid| {
            commits.epochs.get(&epoch).map_or(last, |(_, possible)| last.min(*possible))
        };
        let mut ends = member_history.epochs.iter().map(|(&epoch, range)| (epoch, range.last.min(newest)));
        ends.any(|(epoch, last)| reach(self, epoch, last) != reach(now, epoch, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::decide;

    fn member_history(ranges: &[(u64, u64)]) -> MemberHistory {
        let mut member_history = MemberHistory::of([Zxid(0)], None);
        for zxid in ranges.iter().flat_map(|&(first, last)| first..=last) {
            member_history.add(Zxid(zxid));
        }
        member_history
    }

    const E1: u64 = 1 << 32;
    const E2: u64 = 2 << 32;

    #[test]
    fn what_the_next_epoch_went_on_without_was_never_committed_and_the_last_epoch_stays_open() {
        let member_histories =
            [member_history(&[(E1 + 1, E1 + 5)]), member_history(&[(E1 + 1, E1 + 3), (E2 + 1, E2 + 2)])];
        let commits = Commits::of(&decide(&member_histories, None));
        let commit_status = |zxid| commits.commit_status(Zxid(zxid)).unwrap();
        assert_eq!(commit_status(E1 + 3), CommitStatus::Committed);
        assert_eq!(commit_status(E1 + 4), CommitStatus::NeverCommitted);
        // Beyond all logs, as one will be that grows.
        assert_eq!(commit_status(E2 + 99), CommitStatus::Unknown);
        assert_eq!(
            commits.never_committed(&member_histories[0]),
            [ZxidRange { first: Zxid(E1 + 4), last: Zxid(E1 + 5) }]
        );
        assert_eq!(Commits::stored(commits.bounds()), commits);
    }

    #[test]
    fn what_was_never_committed_had_happened_for_its_own_leader_alone() {
        let member_histories =
            [member_history(&[(E1 + 1, E1 + 5)]), member_history(&[(E1 + 1, E1 + 3), (E2 + 1, E2 + 2)])];
        let commits = Commits::of(&decide(&member_histories, None));
        let preceded = |earlier, later| commits.preceded(Zxid(earlier), Zxid(later));
        assert!(preceded(E1 + 3, E1 + 4) && preceded(E1 + 4, E1 + 5) && preceded(E1 + 3, E2 + 1));
        assert!(!preceded(E1 + 4, E2 + 1));
        assert!(Commits::default().preceded(Zxid(E1 + 4), Zxid(E2 + 1)), "one member alone does not tell");
    }

    #[test]
    fn a_decision_moves_only_what_was_indexed() {
        let (own, other) = (member_history(&[(E1 + 1, E1 + 5)]), member_history(&[(E1 + 1, E1 + 3), (E2 + 1, E2 + 1)]));
        let decided = Commits::of(&decide(&[own.clone(), other], None));
        let moved = |newest| Commits::default().moved(&decided, &own, Zxid(newest));
        assert_eq!([E1 + 3, E1 + 4, E1 + 5, E2 + 1].map(moved), [false, true, true, true]);
        assert!(!decided.moved(&decided, &own, Zxid(E2)));
    }
}
