//! What came to nothing, of one ensemble: writes, rights that could not be taken away, a super user that is not let in. The
//! planner passes over what is noted here until the pause is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::api::Guarded;
use crate::model::words::{QUOTE, cut};
use crate::model::{Hindrances, Seat, Unguarded};
use crate::operator::kit::notes::{self, Pause};

const GUARD: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
const DENIED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// A pod that is restarted is missing for a moment. Longer than this, its Events are read.
const MOMENT: Duration = Duration::from_secs(2);

/// What came to nothing of what was done for one ensemble.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Its writes and deletes.
    pub objects: notes::Notes,
    guard: Option<(Guarded, String, Pause)>,
    denied: Option<Pause>,
    unmanned: BTreeMap<Seat, Instant>,
}

impl Notes {
    /// What is passed over now.
    pub fn hindrances(&self, now: Instant) -> Hindrances {
        let guard = self.guard.as_ref().map(|(mark, words, pause)| Unguarded {
            mark: mark.clone(),
            words: words.clone(),
            waits: pause.lasts(now),
        });
        let denied = self.denied.is_some_and(|pause| pause.lasts(now));
        Hindrances { objects: self.objects.hindrances(now), pods: BTreeMap::new(), denied, guard }
    }

    /// Rights could not be taken away, for whatever reason.
    pub fn unguarded(&mut self, mark: &Guarded, words: &str, now: Instant) {
        let before = self.guard.take().filter(|(before, ..)| before == mark).map(|(_, _, pause)| pause);
        self.guard = Some((mark.clone(), cut(words, QUOTE), Pause::after(before, GUARD, now)));
    }

    /// They were taken away, or are on the way to be.
    pub fn guarded(&mut self) {
        self.guard = None;
    }

    /// The membership was to be changed: whether the super user was let in.
    pub fn super_user(&mut self, denied: bool, now: Instant) {
        self.denied = denied.then(|| Pause::after(self.denied, DENIED, now));
    }

    /// Members without a pod now; gives those that have had none for longer than a moment.
    pub fn unmanned(&mut self, seats: &BTreeSet<Seat>, now: Instant) -> BTreeSet<Seat> {
        self.unmanned.retain(|seat, _| seats.contains(seat));
        for seat in seats {
            self.unmanned.entry(*seat).or_insert(now);
        }
        let long = self.unmanned.iter().filter(|(_, since)| now.duration_since(**since) >= MOMENT);
        long.map(|(seat, _)| *seat).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_user_who_was_let_in_again_is_not_denied() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        notes.super_user(true, now);
        assert!(notes.hindrances(now).denied && !notes.hindrances(now + DENIED.0).denied);
        notes.super_user(false, now);
        assert!(!notes.hindrances(now).denied);
    }

    #[test]
    fn a_pod_that_is_missing_for_a_moment_is_nothing_to_ask_about() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        let both = BTreeSet::from([Seat::voter(0), Seat::voter(1)]);
        assert!(notes.unmanned(&both, now).is_empty());
        let one = BTreeSet::from([Seat::voter(1)]);
        assert!(notes.unmanned(&one, now).is_empty());
        assert_eq!(notes.unmanned(&both, now + MOMENT), one);
    }
}
