//! How soon to look again, separately for each object: a broken one must not slow down the others.

use std::time::Duration;

use rand::Rng as _;

/// After a step, the next one is decided as soon as its effect can be seen.
const AFTER_STEP: Duration = Duration::from_millis(100);
/// With nothing to do. Watches report changes of Kubernetes objects; only changes inside ZooKeeper wait for this.
const STEADY: Duration = Duration::from_secs(15);
/// The number of objects at rest that are looked at in a second. One look at an ensemble is a dozen requests, and with
/// a thousand ensembles in [`STEADY`] the API server spent a whole core on them.
const LOOKS_A_SECOND: u64 = 32;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const FIRST_FAILURE: Duration = Duration::from_millis(500);
const LONGEST_FAILURE: Duration = Duration::from_mins(1);
/// Waits are short at first: most end within seconds.
const WAITS_BEFORE_DOUBLING: u32 = 20;
const APPLIES_BEFORE_DOUBLING: u32 = 4;

/// The outcome of a pass that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// There is nothing to do, or nothing that may be done.
    Rest,
    /// The operator waits for something, in one word.
    Wait(&'static str),
    /// Objects were written.
    Apply,
    /// Another step was taken.
    Step,
}

/// The recent history of one object.
#[derive(Default)]
pub struct Pace {
    failures: u32,
    times: u32,
    doing: Option<&'static str>,
}

impl Pace {
    /// After a pass that succeeded, with this many objects of the kind.
    pub fn after(&mut self, after: After, objects: u64) -> Duration {
        self.failures = 0;
        let (what, first, patience) = match after {
            After::Rest => {
                *self = Self::default();
                return STEADY.max(Duration::from_secs(objects / LOOKS_A_SECOND));
            }
            After::Wait(code) => (code, FIRST_WAIT, WAITS_BEFORE_DOUBLING),
            // A write that is decided on again and again has no effect.
            After::Apply => ("Apply", AFTER_STEP, APPLIES_BEFORE_DOUBLING),
            After::Step => ("Step", AFTER_STEP, WAITS_BEFORE_DOUBLING),
        };
        if self.doing.replace(what) != Some(what) {
            self.times = 0;
        }
        self.times = self.times.saturating_add(1);
        if self.times == 1 {
            // A wait that has just begun may be over at once: an election after a hand-over takes a fifth of a second.
            return AFTER_STEP;
        }
        doubled(first, self.times.saturating_sub(patience), LONGEST_WAIT)
    }

    /// After a pass that failed.
    pub fn after_failure(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        doubled(FIRST_FAILURE, self.failures - 1, LONGEST_FAILURE)
    }
}

/// Shortens a delay by up to a tenth: objects that failed together, for example while the API server was away, are not
/// all retried together.
pub fn spread(delay: Duration) -> Duration {
    delay.mul_f64(rand::rng().random_range(0.9..=1.0))
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_goes_through_ends_the_pauses_of_failures() {
        let mut pace = Pace::default();
        let delays: Vec<_> = (0..12).map(|_| pace.after_failure()).collect();
        assert!(delays.is_sorted() && delays[0] == FIRST_FAILURE && delays[11] == LONGEST_FAILURE);
        pace.after(After::Rest, 1);
        assert_eq!(pace.after_failure(), FIRST_FAILURE);
    }

    #[test]
    fn many_objects_at_rest_are_looked_at_less_often_each() {
        let after = |objects| Pace::default().after(After::Rest, objects);
        assert_eq!([after(1), after(1_001)], [STEADY, Duration::from_secs(31)]);
    }

    #[test]
    fn applying_without_effect_does_not_go_on_at_full_speed() {
        let mut pace = Pace::default();
        let delays: Vec<_> = (0..14).map(|_| pace.after(After::Apply, 1)).collect();
        assert!(delays[3] == AFTER_STEP && delays[13] == LONGEST_WAIT, "{delays:?}");
    }

    #[test]
    fn a_long_wait_is_looked_at_less_often_until_it_changes() {
        let mut pace = Pace::default();
        let first: Vec<_> = (0..2).map(|_| pace.after(After::Wait("Joining"), 1)).collect();
        assert_eq!(first, [AFTER_STEP, FIRST_WAIT]);
        let last = (0..40).map(|_| pace.after(After::Wait("Joining"), 1)).last();
        assert_eq!(last, Some(LONGEST_WAIT));
        assert_eq!(pace.after(After::Wait("NoQuorum"), 1), AFTER_STEP);
    }

    #[test]
    fn objects_that_failed_together_are_not_tried_again_together() {
        let delays: Vec<Duration> = (0..100).map(|_| spread(STEADY)).collect();
        assert!(delays.iter().all(|delay| (STEADY.mul_f64(0.9)..=STEADY).contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }
}
