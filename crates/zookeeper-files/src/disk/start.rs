//! What a server of 3.9 does with a folder when it starts.
//!
//! It loads the newest snapshot that it can, the last log that begins at or before it, and all later logs. It applies what is
//! above the snapshot, and keeps the transactions in a list that must have no gap within an epoch: at a gap it stops. What
//! comes before the first applied transaction is not in the list, so it ignores a gap there silently. If it treats something as
//! the end of a log, it continues with the next log.

use crate::disk::member_files::DataFile;
use crate::ids::Zxid;
use crate::log::{AtStart, Damage, LogFault, Reading, jump};

/// What a server does with a folder when it starts.
#[derive(Debug)]
pub(crate) struct ServerStart {
    /// The snapshot that it loads; without one it does not start.
    base: Option<Zxid>,
    /// The name of the first log that it reads.
    oldest: Option<Zxid>,
    /// The longest record that it reads.
    limit: usize,
}

/// A log that it reads, and its neighbours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogContext {
    /// The name of the log.
    pub(crate) name: Option<Zxid>,
    /// The last good transaction before the damage, in this log or an earlier one.
    pub(crate) before: Option<Zxid>,
    /// The last good one of this log.
    pub(crate) last: Option<Zxid>,
    /// The first transaction after this log.
    pub(crate) next: Option<Zxid>,
    /// Whether this is the newest log.
    pub(crate) newest: bool,
}

impl ServerStart {
    pub(crate) fn new(base: Option<Zxid>, logs: &[DataFile], limit: usize) -> Self {
        let oldest = logs.iter().rev().map(|file| file.zxid).find(|&name| name <= Some(base.unwrap_or_default()));
        Self { base, oldest: oldest.flatten(), limit }
    }

    /// Whether it reads the log of this name at all.
    pub(crate) fn reads(&self, name: Option<Zxid>) -> bool {
        name.is_none() || name >= self.oldest
    }

    /// What it does if transactions are missing.
    pub(crate) fn gap(&self, before: Zxid, next: Zxid) -> AtStart {
        let base = self.base.unwrap_or_default();
        match jump(before.max(base), next) {
            _ if base.0 >= next.0.saturating_sub(1) => AtStart::Harmless,
            None => AtStart::Harmless,
            Some(_) if before <= base || next.epoch() > before.epoch() => AtStart::DropsInSilence,
            Some(_) => AtStart::Refuses,
        }
    }

    /// What it does with damage of a log.
    pub(crate) fn damage(&self, damage: &Damage, context: &LogContext) -> AtStart {
        if !self.reads(context.name) {
            return AtStart::Harmless;
        }
        if let (LogFault::Gap { before }, Some(zxid)) = (&damage.fault, damage.zxid) {
            return self.gap(*before, zxid);
        }
        match damage.fault.reading(self.limit) {
            Reading::GoesOn if matches!(damage.fault, LogFault::Backwards { .. }) => self.again(damage.zxid),
            Reading::GoesOn => AtStart::Harmless,
            // An empty newest log it deletes.
            Reading::Stops if damage.fault == LogFault::Empty && context.newest => AtStart::Harmless,
            Reading::Stops => AtStart::Refuses,
            Reading::TakesForEnd => {
                let last = context.last.max(damage.resumes).max(damage.zxid);
                let nothing_lost =
                    damage.resumes.is_none() && matches!(damage.fault, LogFault::TornTail | LogFault::Garbage);
                if nothing_lost || last <= self.base {
                    return AtStart::Harmless;
                }
                let before = context.before.unwrap_or_default();
                context.next.map_or(AtStart::DropsInSilence, |next| self.gap(before, next))
            }
        }
    }

    /// The last transaction that it reads of a log with this damage, whose last good one is `last`.
    pub(crate) fn reaches(&self, damage: &[Damage], last: Option<Zxid>) -> Option<Zxid> {
        let end = damage.iter().find(|damage| damage.fault.reading(self.limit) == Reading::TakesForEnd);
        end.map_or(last, |end| end.after)
    }

    /// What it does if a log contains the same transactions again.
    pub(crate) fn again(&self, zxid: Option<Zxid>) -> AtStart {
        if zxid <= self.base { AtStart::Harmless } else { AtStart::Repeats }
    }
}
