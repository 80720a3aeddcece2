//! How soon to look again, for each ensemble on its own: a broken one must not slow down the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Names;
use crate::plan::Step;

/// A step was taken: the next is decided as soon as its effect can be seen.
const AFTER_STEP: Duration = Duration::from_millis(100);
/// Nothing to do. Changes of Kubernetes objects come by watch; only ZooKeeper's own changes wait for this.
const STEADY: Duration = Duration::from_secs(15);
/// Of many ensembles at rest so many are looked at in a second: a look is a dozen requests, and at a thousand ensembles in
/// [`STEADY`] the API server spent a whole core on them.
const LOOKS_A_SECOND: u64 = 32;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const FIRST_FAILURE: Duration = Duration::from_millis(500);
const LONGEST_FAILURE: Duration = Duration::from_mins(1);
/// Waits are short at first: most end within seconds.
const WAITS_BEFORE_DOUBLING: u32 = 20;
const APPLIES_BEFORE_DOUBLING: u32 = 4;

#[derive(Default)]
struct History {
    failures: u32,
    times: u32,
    doing: Option<&'static str>,
}

/// The recent history of every ensemble, by namespace and name: of one that is gone nothing else is known.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<(String, String), History>>);

impl Backoff {
    /// After a pass that went through.
    pub fn after(&self, names: &Names, step: &Step) -> Duration {
        self.with(&names.namespace, &names.ensemble, |history, count| {
            history.failures = 0;
            let (what, first, patience) = match step {
                Step::Rest | Step::Refuse(_) => {
                    *history = History::default();
                    return STEADY.max(Duration::from_secs(count / LOOKS_A_SECOND));
                }
                Step::Wait(reason) => (reason.code, FIRST_WAIT, WAITS_BEFORE_DOUBLING),
                // One that is decided on again and again has no effect.
                Step::Apply(_) => ("Apply", AFTER_STEP, APPLIES_BEFORE_DOUBLING),
                Step::Tell(_)
                | Step::Delete(_)
                | Step::Raise(_)
                | Step::Lower(_)
                | Step::Join { .. }
                | Step::Leave { .. }
                | Step::Restart(_)
                | Step::Renew(_)
                | Step::Guard(_) => ("Step", AFTER_STEP, WAITS_BEFORE_DOUBLING),
            };
            if history.doing.replace(what) != Some(what) {
                history.times = 0;
            }
            history.times = history.times.saturating_add(1);
            if history.times == 1 {
                // What just began may be over at once: an election after a hand-over takes a fifth of a second.
                return AFTER_STEP;
            }
            doubled(first, history.times.saturating_sub(patience), LONGEST_WAIT)
        })
    }

    /// After a pass that failed.
    pub fn after_failure(&self, namespace: &str, ensemble: &str) -> Duration {
        self.with(namespace, ensemble, |history, _| {
            history.failures = history.failures.saturating_add(1);
            doubled(FIRST_FAILURE, history.failures - 1, LONGEST_FAILURE)
        })
    }

    /// The ensemble is gone.
    pub fn forget(&self, namespace: &str, ensemble: &str) {
        let mut histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histories.remove(&(namespace.to_owned(), ensemble.to_owned()));
    }

    /// Gives its history, and how many ensembles have one.
    fn with<T>(&self, namespace: &str, ensemble: &str, act: impl FnOnce(&mut History, u64) -> T) -> T {
        // A panic while the lock was held cannot leave a history half-written.
        let mut histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = u64::try_from(histories.len()).unwrap_or(u64::MAX);
        act(histories.entry((namespace.to_owned(), ensemble.to_owned())).or_default(), count)
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Reason;

    fn named(ensemble: &str) -> Names {
        Names { ensemble: ensemble.into(), namespace: "ns".into(), domain: "cluster.local".into() }
    }

    #[test]
    fn failures_of_one_ensemble_do_not_slow_down_another() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..12).map(|_| backoff.after_failure("ns", "a")).collect();
        assert!(delays.is_sorted() && delays[0] == FIRST_FAILURE && delays[11] == LONGEST_FAILURE);
        assert_eq!(backoff.after_failure("ns", "b"), FIRST_FAILURE);
        backoff.after(&named("a"), &Step::Rest);
        assert_eq!(backoff.after_failure("ns", "a"), FIRST_FAILURE);
    }

    #[test]
    fn many_ensembles_at_rest_are_looked_at_less_often_each() {
        let backoff = Backoff::default();
        let last = (0..=1_000).map(|n| backoff.after(&named(&n.to_string()), &Step::Rest)).last();
        assert_eq!(
            (backoff.after(&named("0"), &Step::Rest), last),
            (Duration::from_secs(31), Some(Duration::from_secs(31)))
        );
        assert_eq!(Backoff::default().after(&named("0"), &Step::Rest), STEADY);
    }

    #[test]
    fn applying_without_effect_does_not_go_on_at_full_speed() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..14).map(|_| backoff.after(&named("a"), &Step::Apply(Vec::new()))).collect();
        assert!(delays[3] == AFTER_STEP && delays[13] == LONGEST_WAIT, "{delays:?}");
    }

    #[test]
    fn a_long_wait_is_looked_at_less_often_until_it_changes() {
        let backoff = Backoff::default();
        let wait = |code| Step::Wait(Reason { code, message: String::new() });
        let first: Vec<_> = (0..2).map(|_| backoff.after(&named("a"), &wait("Joining"))).collect();
        assert_eq!(first, [AFTER_STEP, FIRST_WAIT]);
        let last = (0..40).map(|_| backoff.after(&named("a"), &wait("Joining"))).last();
        assert_eq!(last, Some(LONGEST_WAIT));
        assert_eq!(backoff.after(&named("a"), &wait("NoQuorum")), AFTER_STEP);
    }

    #[test]
    fn an_ensemble_that_is_gone_does_not_stretch_the_pace_of_the_others() {
        let backoff = Backoff::default();
        for n in 0..=1_000 {
            backoff.after(&named(&n.to_string()), &Step::Rest);
        }
        for n in 1..=1_000 {
            backoff.forget("ns", &n.to_string());
        }
        assert_eq!(backoff.after(&named("0"), &Step::Rest), STEADY);
    }
}
