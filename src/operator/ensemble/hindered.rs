//! What failed for one ensemble: writes, rights that could not be taken away, a refused super user. The planner passes
//! over what is noted here until the pause is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::api::Guarded;
use crate::model::words::{QUOTE, cut};
use crate::model::{Hindrances, Seat, ServerId, Unguarded, Unproven, Zxid};
use crate::operator::kit::notes::{self, Pause};

const GUARD: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
const DENIED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// A write for the archive's sake: a member that holds nothing back any more says so within seconds.
const UNPROVEN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(16));
/// A restarted pod is missing for a moment. If it is missing for longer, its Events are read.
const MOMENT: Duration = Duration::from_secs(2);
/// Steps in a row that failed, or were outdated before they were done, after which it is said: with the pauses of `pace` a quarter of a
/// minute. One or two are what a busy moment costs.
const IN_VAIN: u32 = 6;

/// What failed of everything that was done for one ensemble.
#[derive(Clone, Debug, Default)]
pub struct EnsembleNotes {
    /// Its writes and deletes.
    pub objects: notes::Notes,
    guard: Option<(Guarded, String, Pause)>,
    denied: Option<Pause>,
    /// As in [`Unproven`], and until when nothing more is written.
    tried: BTreeMap<ServerId, (Zxid, u32)>,
    wrote: Option<Pause>,
    unmanned: BTreeMap<Seat, Instant>,
    failed: u32,
}

impl EnsembleNotes {
    /// What is passed over now.
    pub fn hindrances(&self, now: Instant) -> Hindrances {
        let guard = self.guard.as_ref().map(|(mark, words, pause)| Unguarded {
            mark: mark.clone(),
            words: words.clone(),
            waits: pause.lasts(now),
        });
        let denied = self.denied.is_some_and(|pause| pause.lasts(now));
        let waits = self.wrote.is_some_and(|pause| pause.lasts(now));
        let unproven = Unproven { tried: self.tried.clone(), waits };
        Hindrances { objects: self.objects.hindrances(now), denied, guard, unproven, ..Hindrances::default() }
    }

    /// Rights could not be taken away, for whatever reason.
    pub fn unguarded(&mut self, mark: &Guarded, words: &str, now: Instant) {
        let before = self.guard.take().filter(|(before, ..)| before == mark).map(|(_, _, pause)| pause);
        self.guard = Some((mark.clone(), cut(words, QUOTE), Pause::after(before, GUARD, now)));
    }

    /// They were taken away, or that is under way.
    pub fn guarded(&mut self) {
        self.guard = None;
    }

    /// The membership was to be changed: records whether the members accepted the super user.
    pub fn super_user(&mut self, denied: bool, now: Instant) {
        self.denied = denied.then(|| Pause::after(self.denied, DENIED, now));
    }

    /// Something was to be committed, so that what these members hold back up to there is proved. However it ended, it counts.
    pub fn proved(&mut self, held: &BTreeMap<ServerId, Zxid>, now: Instant) {
        let times = |id, last| self.tried.get(id).filter(|(of, _)| of == last).map_or(0, |(_, times)| *times);
        let tried: BTreeMap<_, _> =
            held.iter().map(|(id, last)| (*id, (*last, times(id, last).saturating_add(1)))).collect();
        let same = tried.values().any(|(_, times)| *times > 1);
        self.wrote = Some(Pause::after(self.wrote.filter(|_| same), UNPROVEN, now));
        self.tried = tried;
    }

    /// Records whether the step of this pass came to nothing, and returns whether that has gone on for too long.
    pub fn in_vain(&mut self, failed: bool) -> bool {
        self.failed = if failed { self.failed.saturating_add(1) } else { 0 };
        self.failed >= IN_VAIN
    }

    /// Records the members without a pod, and returns those that have had none for longer than a moment.
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
        let (mut notes, now) = (EnsembleNotes::default(), Instant::now());
        notes.super_user(true, now);
        assert!(notes.hindrances(now).denied && !notes.hindrances(now + DENIED.0).denied);
        notes.super_user(false, now);
        assert!(!notes.hindrances(now).denied);
    }

    #[test]
    fn writes_for_the_archive_are_a_minute_apart_at_least_and_counted_for_the_same_that_is_held() {
        let (mut notes, now) = (EnsembleNotes::default(), Instant::now());
        let minutes = |minutes| now + Duration::from_mins(minutes);
        assert_eq!(notes.hindrances(now).unproven, Unproven::default());
        let held = |last| BTreeMap::from([(ServerId(1), Zxid(last))]);
        notes.proved(&held(7), now);
        notes.proved(&held(7), minutes(1));
        let tried = notes.hindrances(minutes(2)).unproven;
        assert_eq!(
            (tried.tried, tried.waits),
            (BTreeMap::from([(ServerId(1), (Zxid(7), 2))]), true),
            "longer each time"
        );
        assert!(!notes.hindrances(minutes(3)).unproven.waits);
        notes.proved(&held(9), minutes(4));
        let other = notes.hindrances(minutes(4) + Duration::from_secs(59)).unproven;
        assert_eq!((other.tried, other.waits), (BTreeMap::from([(ServerId(1), (Zxid(9), 1))]), true));
        assert!(!notes.hindrances(minutes(5)).unproven.waits);
    }

    #[test]
    fn a_step_that_fails_each_time_it_is_tried_is_told_and_a_busy_moment_is_not() {
        let mut notes = EnsembleNotes::default();
        let early: Vec<bool> = (1..IN_VAIN).map(|_| notes.in_vain(true)).collect();
        assert!(!early.contains(&true) && notes.in_vain(true) && notes.in_vain(true));
        assert!(!notes.in_vain(false) && !notes.in_vain(true), "one that was done ends it");
    }

    #[test]
    fn a_pod_that_is_missing_for_a_moment_is_nothing_to_ask_about() {
        let (mut notes, now) = (EnsembleNotes::default(), Instant::now());
        let both = BTreeSet::from([Seat::voter(0), Seat::voter(1)]);
        assert!(notes.unmanned(&both, now).is_empty());
        let one = BTreeSet::from([Seat::voter(1)]);
        assert!(notes.unmanned(&one, now).is_empty());
        assert_eq!(notes.unmanned(&both, now + MOMENT), one);
    }
}
