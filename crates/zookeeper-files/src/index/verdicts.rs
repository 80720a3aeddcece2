//! Which transactions were committed, as far as the files of several members tell.

use std::collections::BTreeMap;

use crate::ids::{Zxid, ZxidRange};
use crate::replay::{Epoch, History, Strand, Verdict};

/// For each epoch: up to where all is committed, and above where nothing is. Empty if one member alone is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    epochs: BTreeMap<u64, (Zxid, Zxid)>,
}

impl Verdicts {
    /// Verdicts that were stored: the two bounds of each epoch.
    pub(crate) fn stored(bounds: impl IntoIterator<Item = (Zxid, Zxid)>) -> Self {
        Self { epochs: bounds.into_iter().map(|bounds| (bounds.0.epoch(), bounds)).collect() }
    }

    /// What stays true when logs go on: an epoch of which nobody shows the end may still get transactions, and they may be
    /// committed.
    pub(crate) fn of(history: &History) -> Self {
        let shown = |epoch: &Epoch| epoch.claims.iter().any(|claim| !claim.jumped);
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

    /// What is known of a transaction; `None` if one member alone is known.
    pub(crate) fn verdict(&self, zxid: Zxid) -> Option<Verdict> {
        if self.is_empty() {
            return None;
        }
        Some(match self.epochs.get(&zxid.epoch()) {
            Some((committed, _)) if zxid <= *committed => Verdict::Committed,
            Some((_, possible)) if zxid > *possible => Verdict::NeverCommitted,
            _ => Verdict::Unknown,
        })
    }

    pub(crate) fn never(&self, zxid: Zxid) -> bool {
        self.verdict(zxid) == Some(Verdict::NeverCommitted)
    }

    /// Whether an earlier transaction of a log had happened for the server that logged a later one. What was never committed
    /// had happened for the leader that proposed it, and for nobody after.
    pub(crate) fn preceded(&self, earlier: Zxid, later: Zxid) -> bool {
        !self.never(earlier) || (self.never(later) && earlier.epoch() == later.epoch())
    }

    /// What a log holds that was never committed.
    pub(crate) fn never_committed(&self, strand: &Strand) -> Vec<ZxidRange> {
        let after =
            |epoch: &u64, first: Zxid| self.epochs.get(epoch).map_or(first, |bounds| first.max(Zxid(bounds.1.0 + 1)));
        let stretches =
            strand.epochs.iter().map(|(epoch, range)| ZxidRange { first: after(epoch, range.first), ..*range });
        stretches.filter(|range| self.never(range.last)).collect()
    }

    /// Whether other ones of a log's transactions, up to `newest`, are now known to be never committed.
    pub(crate) fn moved(&self, now: &Self, strand: &Strand, newest: Zxid) -> bool {
        let reach = |verdicts: &Self, epoch, last: Zxid| {
            verdicts.epochs.get(&epoch).map_or(last, |(_, possible)| last.min(*possible))
        };
        let mut ends = strand.epochs.iter().map(|(&epoch, range)| (epoch, range.last.min(newest)));
        ends.any(|(epoch, last)| reach(self, epoch, last) != reach(now, epoch, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::decide;

    fn strand(zxids: &[u64]) -> Strand {
        let mut strand = Strand::default();
        for &zxid in zxids {
            strand.add(Zxid(zxid));
        }
        strand
    }

    const E1: u64 = 1 << 32;
    const E2: u64 = 2 << 32;

    #[test]
    fn what_the_next_epoch_went_on_without_was_never_committed_and_the_last_epoch_stays_open() {
        let strands = [strand(&[E1 + 1, E1 + 5]), strand(&[E1 + 1, E1 + 3, E2 + 1, E2 + 2])];
        let verdicts = Verdicts::of(&decide(&strands, None));
        let verdict = |zxid| verdicts.verdict(Zxid(zxid)).unwrap();
        assert_eq!(verdict(E1 + 3), Verdict::Committed);
        assert_eq!(verdict(E1 + 4), Verdict::NeverCommitted);
        // Beyond all logs, as one will be that grows.
        assert_eq!(verdict(E2 + 99), Verdict::Unknown);
        assert_eq!(verdicts.never_committed(&strands[0]), [ZxidRange { first: Zxid(E1 + 4), last: Zxid(E1 + 5) }]);
        assert_eq!(Verdicts::stored(verdicts.bounds()), verdicts);
    }

    #[test]
    fn what_was_never_committed_had_happened_for_its_own_leader_alone() {
        let strands = [strand(&[E1 + 1, E1 + 5]), strand(&[E1 + 1, E1 + 3, E2 + 1, E2 + 2])];
        let verdicts = Verdicts::of(&decide(&strands, None));
        let preceded = |earlier, later| verdicts.preceded(Zxid(earlier), Zxid(later));
        assert!(preceded(E1 + 3, E1 + 4) && preceded(E1 + 4, E1 + 5) && preceded(E1 + 3, E2 + 1));
        assert!(!preceded(E1 + 4, E2 + 1));
        assert!(Verdicts::default().preceded(Zxid(E1 + 4), Zxid(E2 + 1)), "one member alone does not tell");
    }

    #[test]
    fn a_decision_moves_only_what_was_indexed() {
        let (own, other) = (strand(&[E1 + 1, E1 + 5]), strand(&[E1 + 1, E1 + 3, E2 + 1]));
        let decided = Verdicts::of(&decide(&[own.clone(), other], None));
        let moved = |newest| Verdicts::default().moved(&decided, &own, Zxid(newest));
        assert_eq!([E1 + 3, E1 + 4, E1 + 5, E2 + 1].map(moved), [false, true, true, true]);
        assert!(!decided.moved(&decided, &own, Zxid(E2)));
    }
}
