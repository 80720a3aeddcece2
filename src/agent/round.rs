//! One round of questions, shared by everybody who asks within a moment: however many probes, operators and founders
//! there are, the server is asked once at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The result, and when it came.
type Outcome<T> = Option<(T, Instant)>;

/// The last round.
pub struct Round<T> {
    last: Mutex<Option<watch::Receiver<Outcome<T>>>>,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T: Clone + Send + Sync + 'static> Round<T> {
    /// The result of the round that is under way, or of the last one while that still counts; otherwise that of a new
    /// round. Nothing if the round broke off.
    pub async fn join<F>(&self, counts: impl Fn(&T, Duration) -> bool, ask: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut round = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let usable = last.clone().filter(|round| match &*round.borrow() {
                Some((found, at)) => counts(found, at.elapsed()),
                None => round.has_changed().is_ok(),
            });
            usable.unwrap_or_else(|| {
                let (tell, round) = watch::channel(None);
                let asking = ask();
                // On a task of its own: it ends in time even if whoever started it has gone away.
                tokio::spawn(async move { tell.send_replace(Some((asking.await, Instant::now()))) });
                *last = Some(round.clone());
                round
            })
        };
        let outcome = round.wait_for(Option::is_some).await.ok()?;
        outcome.as_ref().map(|(found, _)| found.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_within_a_moment_share_one_round() {
        let (round, asked, answer) = (Round::default(), Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move {
                answer.notified().await;
                asked.fetch_add(1, Ordering::Relaxed)
            }
        };
        let never = |_: &u32, _| false;
        answer.notify_one();
        let all = join_all((0..100).map(|_| round.join(never, ask))).await;
        assert!(all.iter().all(|found| *found == Some(0)));
        // A result counts for as long as the asker says, and is asked for again after that.
        assert_eq!(round.join(|_, _| true, ask).await, Some(0));
        answer.notify_one();
        assert_eq!(round.join(never, ask).await, Some(1));
    }

    #[tokio::test]
    async fn who_begins_a_round_may_go_away() {
        let (round, answer) = (Arc::new(Round::default()), Arc::new(Notify::new()));
        let first = {
            let (round, answer) = (Arc::clone(&round), Arc::clone(&answer));
            tokio::spawn(async move { round.join(|(), _| false, || async move { answer.notified().await }).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        let _ = first.await;
        answer.notify_one();
        let joined = round.join(|(), _| true, || async { panic!("asked again") }).await;
        assert_eq!(joined, Some(()));
    }

    #[tokio::test]
    async fn what_nobody_waited_for_is_as_old_as_it_is() {
        let (round, ended) = (Arc::new(Round::default()), Arc::new(Notify::new()));
        let begun = {
            let (round, ended) = (Arc::clone(&round), Arc::clone(&ended));
            let ask = || async move {
                tokio::task::yield_now().await;
                ended.notify_one();
                2
            };
            tokio::spawn(async move { round.join(|_, _| false, ask).await })
        };
        tokio::task::yield_now().await;
        begun.abort();
        ended.notified().await;
        tokio::task::yield_now().await;
        assert_eq!(round.join(|_, _| false, || async { 3 }).await, Some(3), "it has ended, and does not count");
    }

    #[tokio::test]
    async fn a_round_that_breaks_off_is_no_answer_and_the_next_one_asks() {
        let round = Round::default();
        let broken: Option<u8> = round.join(|_, _| true, || async { panic!("as if") }).await;
        assert_eq!(broken, None);
        assert_eq!(round.join(|_, _| true, || async { 1 }).await, Some(1));
    }
}
