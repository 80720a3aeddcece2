//! What a member's agent holds back, and for how long.
//!
//! After a restart nobody can prove the end of the epoch before until something is committed in the new one (`archive::gate`). Where
//! nobody writes, that would take for ever. Nor does a log show what its server was synced with by a snapshot, until something follows on it. So both are said, and the operator sees to it (`plan::held`).

use tokio::time::Instant;
use zookeeper_files::ids::ZxidRange;

use super::archive::Looked;
use crate::model::truth::HeldBack;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Held(Option<(ZxidRange, Instant, bool)>);

impl Held {
    /// The log was looked at. Where the server did not serve, or the log changed, nothing was learned.
    pub fn looked(&mut self, looked: &Looked, now: Instant) {
        match looked {
            Looked::Held(zxids) | Looked::Unlogged(zxids) => {
                let same = self.0.filter(|(before, ..)| before.last == zxids.last);
                self.0 = Some((*zxids, same.map_or(now, |(_, since, _)| since), matches!(looked, Looked::Unlogged(_))));
            }
            Looked::Level(_) | Looked::Shipped(_) | Looked::More => self.0 = None,
            Looked::Changed | Looked::Nothing => {}
        }
    }

    /// What is said of it.
    pub fn said(&self, now: Instant) -> Option<HeldBack> {
        let (ZxidRange { first, last }, since, unlogged) = self.0?;
        Some(HeldBack { first, last, seconds: now.saturating_duration_since(since).as_secs(), unlogged })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use zookeeper_files::ids::Zxid;

    #[test]
    fn the_same_end_is_held_since_it_was_first_seen_and_not_any_more_once_it_is_shipped() {
        let (begun, end) =
            (Instant::now(), |first, last| Looked::Held(ZxidRange { first: Zxid(first), last: Zxid(last) }));
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut held = Held::default();
        assert_eq!(held.said(at(0)), None);
        held.looked(&end(5, 9), at(0));
        held.looked(&Looked::Nothing, at(10));
        held.looked(&Looked::Changed, at(15));
        held.looked(&end(7, 9), at(20));
        assert_eq!(held.said(at(20)), Some(HeldBack { first: Zxid(7), last: Zxid(9), seconds: 20, unlogged: false }));
        held.looked(&end(7, 12), at(21));
        assert_eq!(
            held.said(at(25)),
            Some(HeldBack { first: Zxid(7), last: Zxid(12), seconds: 4, unlogged: false }),
            "another end"
        );
        held.looked(&Looked::Shipped(at(30)), at(30));
        assert_eq!(held.said(at(30)), None);
    }
}
