//! Doubt: why a base that is whole is not relied on.
//!
//! Whoever may put an object can store a small base of a far zxid, and no other would ever be newer. After a loss of a majority that was
//! accepted, the lost member's last base stands above what the others go on with. So log must go on above a base, and none below it:
//! then others have been where it says that it was.
//!
//! Invariant: in doubt a base only keeps more. It replaces none, and it stays if it is newer than one that is relied on.

use super::key::{BaseKey, Chain};
use super::retention::{ChainLog, GRACE, StoredSegment};
use zookeeper_files::ids::Zxid;

/// Why a base is not relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its own chain lacks the transaction that proves it.
    Unproved,
    /// No chain has gone on above it since: no other one, if others have shipped since it was stored.
    NotContinued,
    /// A chain goes on below it, an hour and more after it was stored.
    LeftBehind,
}

/// Where chains are: of each, what was stored last.
pub struct Ends<'a>(Vec<(&'a Chain, StoredSegment)>);

impl<'a> Ends<'a> {
    /// Looks at each segment once. Roll-ups say the same again, later.
    pub fn of(chains: &'a [ChainLog]) -> Self {
        let latest = |log: &'a ChainLog| {
            let latest = log.segments.iter().max_by_key(|segment| (segment.stored, segment.first))?;
            Some((&log.chain, *latest))
        };
        Self(chains.iter().filter(|log| !log.chain.rolled).filter_map(latest).collect())
    }

    /// Whether a base that is proved, with this end and stored at this time, in milliseconds since 1970, is in doubt.
    pub fn doubt(&self, key: &BaseKey, end: Zxid, stored: i64) -> Option<Doubt> {
        let below = |segment: &StoredSegment| {
            segment.first <= key.zxid && i64::from(segment.stored) * 1000 > stored.saturating_add(GRACE)
        };
        if self.0.iter().any(|(_, segment)| below(segment)) {
            return Some(Doubt::LeftBehind);
        }
        let since: Vec<_> =
            self.0.iter().filter(|(_, segment)| i64::from(segment.stored) >= stored.div_euclid(1000)).collect();
        let others = since.iter().any(|(chain, _)| **chain != key.chain);
        let goes_on = since.iter().any(|(chain, segment)| segment.first > end && (!others || **chain != key.chain));
        (!goes_on).then_some(Doubt::NotContinued)
    }
}
