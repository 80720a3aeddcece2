//! How soon to look again, for each ensemble on its own: a broken one must not slow down the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::plan::Step;

/// A step was taken: the next is decided as soon as its effect can be seen.
const AFTER_STEP: Duration = Duration::from_millis(100);
/// Nothing to do. Changes of Kubernetes objects come by watch; only ZooKeeper's own changes wait for this.
const STEADY: Duration = Duration::from_secs(15);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const FIRST_FAILURE: Duration = Duration::from_millis(500);
const LONGEST_FAILURE: Duration = Duration::from_mins(1);
/// Waits are short at first: most end within seconds.
const WAITS_BEFORE_DOUBLING: u32 = 20;

#[derive(Default)]
struct History {
    failures: u32,
    waits: u32,
    waiting_for: Option<&'static str>,
}

/// The recent history of every ensemble, by uid.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<String, History>>);

impl Backoff {
    /// After a pass that went through.
    pub fn after(&self, uid: &str, step: &Step) -> Duration {
        self.with(uid, |history| {
            history.failures = 0;
            let Step::Wait(reason) = step else {
                history.waits = 0;
                return if matches!(step, Step::Rest | Step::Refuse(_)) { STEADY } else { AFTER_STEP };
            };
            if history.waiting_for.replace(reason.code) != Some(reason.code) {
                history.waits = 0;
            }
            history.waits = history.waits.saturating_add(1);
            doubled(FIRST_WAIT, history.waits.saturating_sub(WAITS_BEFORE_DOUBLING), LONGEST_WAIT)
        })
    }

    /// After a pass that failed.
    pub fn after_failure(&self, uid: &str) -> Duration {
        self.with(uid, |history| {
            history.failures = history.failures.saturating_add(1);
            doubled(FIRST_FAILURE, history.failures - 1, LONGEST_FAILURE)
        })
    }

    /// The ensemble is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn with<T>(&self, uid: &str, act: impl FnOnce(&mut History) -> T) -> T {
        // A panic while the lock was held cannot leave a history half-written.
        let mut histories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(histories.entry(uid.to_owned()).or_default())
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Reason;

    #[test]
    fn failures_of_one_ensemble_do_not_slow_down_another() {
        let backoff = Backoff::default();
        let delays: Vec<_> = (0..12).map(|_| backoff.after_failure("a")).collect();
        assert!(delays.is_sorted() && delays[0] == FIRST_FAILURE && delays[11] == LONGEST_FAILURE);
        assert_eq!(backoff.after_failure("b"), FIRST_FAILURE);
        backoff.after("a", &Step::Rest);
        assert_eq!(backoff.after_failure("a"), FIRST_FAILURE);
    }

    #[test]
    fn a_long_wait_is_looked_at_less_often_until_it_changes() {
        let backoff = Backoff::default();
        let wait = |code| Step::Wait(Reason { code, message: String::new() });
        assert_eq!(backoff.after("a", &wait("Joining")), FIRST_WAIT);
        let last = (0..40).map(|_| backoff.after("a", &wait("Joining"))).last();
        assert_eq!(last, Some(LONGEST_WAIT));
        assert_eq!(backoff.after("a", &wait("NoQuorum")), FIRST_WAIT);
    }
}
