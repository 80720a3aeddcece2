//! How far a member's archive is behind its log.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::archive::backlog::Behind;
use crate::model::truth::ArchiveLag;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// When the archive had all that was committed, if this agent has seen that.
    level: Option<Instant>,
    behind: Option<Behind>,
    /// Why a segment failed since then.
    cause: Option<String>,
}

impl Lag {
    /// The archive has all that was committed at this time.
    pub fn level(&mut self, at: Instant) {
        *self = Self { level: Some(at), behind: None, cause: None };
    }

    /// It has not, and maybe because of this.
    pub fn behind(&mut self, behind: Option<Behind>, cause: Option<String>) {
        self.behind = behind.or(self.behind);
        self.cause = cause.or(self.cause.take());
    }

    /// What is said of it; `None` while nothing is known.
    pub fn said(&self) -> Option<ArchiveLag> {
        let since = self.level.map(|level| level.elapsed());
        let Some(Behind { oldest, bytes }) = self.behind else {
            return since.map(|_| ArchiveLag { seconds: 0, bytes: 0, cause: None });
        };
        let seconds = age(oldest, SystemTime::now(), since).as_secs();
        Some(ArchiveLag { seconds, bytes, cause: self.cause.clone() })
    }
}

/// How old the oldest transaction is that is not archived: by its own time, which a leader's clock has given it, but not older than the
/// moment in which this agent saw that everything was archived. So a clock that is wrong makes no lag out of nothing.
fn age(oldest: i64, now: SystemTime, since: Option<Duration>) -> Duration {
    let made = u64::try_from(oldest).ok().map(|oldest| SystemTime::UNIX_EPOCH + Duration::from_millis(oldest));
    match (made.and_then(|made| now.duration_since(made).ok()), since) {
        (Some(age), Some(since)) => age.min(since),
        (Some(age), None) => age,
        // It is from a time to come.
        (None, since) => since.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_makes_no_lag_out_of_nothing() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let seconds = Duration::from_secs;
        assert_eq!(age(900_000, now, None), seconds(100));
        assert_eq!(age(900_000, now, Some(seconds(7))), seconds(7));
        assert_eq!(age(995_000, now, Some(seconds(70))), seconds(5), "it is younger than the last look");
        assert_eq!(age(2_000_000, now, Some(seconds(7))), seconds(7));
        assert_eq!(age(i64::MIN, now, None), Duration::ZERO);
    }

    #[test]
    fn nothing_is_said_before_anything_is_known_and_the_cause_goes_with_the_lag() {
        let mut lag = Lag::default();
        assert_eq!(lag.said(), None);
        lag.behind(Some(Behind { oldest: 0, bytes: 5 }), Some("no answer".to_owned()));
        lag.behind(Some(Behind { oldest: 0, bytes: 9 }), None);
        let said = lag.said().unwrap();
        assert_eq!((said.bytes, said.cause.as_deref()), (9, Some("no answer")));
        lag.level(Instant::now());
        assert_eq!(lag.said(), Some(ArchiveLag { seconds: 0, bytes: 0, cause: None }));
    }

    /// A put can take minutes, and the log grows meanwhile.
    #[test]
    fn what_was_committed_while_a_segment_was_on_its_way_is_behind() {
        let mut lag = Lag::default();
        lag.level(Instant::now().checked_sub(Duration::from_secs(100)).unwrap());
        lag.behind(Some(Behind { oldest: 0, bytes: 9 }), None);
        let said = lag.said().unwrap();
        assert!((100..1000).contains(&said.seconds) && said.bytes == 9, "{said:?}");
    }
}
