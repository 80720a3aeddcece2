//! A time in which restarts may begin.
//!
//! Invariant: a window that was parsed opens some day.

use jiff::SignedDuration;

use super::cron::Cron;
use crate::api::UpdateWindow;

/// A window.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    opens: Cron,
    length: SignedDuration,
}

impl Window {
    /// Reads it, and proves that it opens.
    pub fn parse(window: &UpdateWindow) -> Result<Self, String> {
        let UpdateWindow { opens, time_zone, minutes } = window;
        let opens = Cron::parse(opens, time_zone.as_deref())?;
        Ok(Self { opens, length: SignedDuration::from_mins(i64::from((*minutes).max(1))) })
    }

    /// Whether it is open at that second.
    pub fn open(&self, now: u64) -> bool {
        let Ok(now) = i64::try_from(now) else { return false };
        let opened = now.checked_sub(self.length.as_secs()).and_then(|since| self.opens.after(since));
        opened.is_some_and(|opened| opened.timestamp().as_second() <= now)
    }

    /// When it opens next, for people.
    pub fn next(&self, now: u64) -> Option<(i64, String)> {
        let next = self.opens.after(i64::try_from(now).ok()?)?;
        Some((next.timestamp().as_second(), next.strftime("%Y-%m-%d %H:%M %Z").to_string()))
    }
}

#[cfg(test)]
mod tests;
