//! How far the tree can be built from an archive: along the links from one segment to the next, in any of its chains.
//!
//! Invariant: what is not proved to follow on what is before it leads nowhere by itself.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use zookeeper_files::ids::Zxid;

use super::chains;
use super::collect::MOST_REFUSALS;
use super::doubt::Doubt;
use super::key::SegmentKey;
use super::retention::{BaseState, Catalogue, ChainLog, StoredSegment};
use super::segment::{Facts, Link};
use super::shipper::ShipError;
use super::store::{Store, StoreError};
use crate::model::archive::leads;

/// Transactions of a chain of which each follows on the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first.
    pub first: Zxid,
    /// The last.
    pub last: Zxid,
    /// Its time, in milliseconds since 1970.
    pub time: i64,
}

/// A tree that is there, and the log after it is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// From here on the log is needed.
    pub zxid: Zxid,
    /// It is a whole tree once the log is applied up to here.
    pub end: Zxid,
    /// When it was stored, in milliseconds since 1970.
    pub stored: i64,
}

/// The bases from which the newest points are built: the newest one that is relied on, and those after it that nothing speaks against. Where
/// none is relied on, all that are whole.
pub fn starts(catalogue: &Catalogue) -> Vec<Start> {
    let whole = || {
        catalogue.bases.iter().filter_map(|base| match base.state {
            BaseState::Complete { sound: true, end, stored, .. } => {
                Some((base.doubt, Start { zxid: base.key.zxid, end, stored }))
            }
            _ => None,
        })
    };
    let Some(relied) = whole().filter(|(doubt, _)| doubt.is_none()).map(|(_, start)| start.zxid).max() else {
        return whole().map(|(_, start)| start).collect();
    };
    let counts = |doubt: &Option<Doubt>| !matches!(doubt, Some(Doubt::Unproved | Doubt::LeftBehind));
    whole().filter(|(doubt, start)| counts(doubt) && start.zxid >= relied).map(|(_, start)| start).collect()
}

/// The last point to which these lead, with its time. An archive without a base leads from the first transaction of an ensemble on.
pub fn last(starts: &[Start], runs: &[Run]) -> Option<(Zxid, i64)> {
    if starts.is_empty() {
        let founding = runs.iter().filter(|run| is_founding(run.first));
        return founding.filter_map(|run| follow(Zxid(run.first.0 - 1), runs)).max();
    }
    let built = starts.iter().filter_map(|start| {
        let led = follow(start.zxid, runs).filter(|(zxid, _)| *zxid >= start.end);
        led.or_else(|| (start.end <= start.zxid).then_some((start.end, start.stored)))
    });
    built.max()
}

/// Whether an ensemble begins with this transaction.
pub fn is_founding(first: Zxid) -> bool {
    first.counter() == 1 && first.epoch() <= 1
}

fn follow(from: Zxid, runs: &[Run]) -> Option<(Zxid, i64)> {
    let (mut end, mut led) = (from, None);
    while let Some(run) = runs.iter().filter(|run| leads(end, run.first) && run.last > end).max_by_key(|run| run.last) {
        (end, led) = (run.last, Some((run.last, run.time)));
    }
    led
}

/// Puts segments together that follow on one another, from the newest to the oldest. One that cannot be read is a gap.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    /// On what the oldest one so far follows.
    wanted: Option<Link>,
}

impl Runs {
    fn take(&mut self, facts: Option<&Facts>) {
        let wanted = self.wanted.take();
        let Some(facts) = facts else { return };
        match self.runs.last_mut() {
            Some(run) if wanted.as_ref() == Some(&facts.link()) => run.first = facts.first,
            _ => self.runs.push(Run { first: facts.first, last: facts.last, time: facts.latest }),
        }
        self.wanted = facts.previous.clone().filter(|_| facts.follows);
        // Nothing is between, also where an epoch ends: what is before may be in a roll-up.
        if let (Some(run), Some(previous)) = (self.runs.last_mut(), &self.wanted) {
            run.first = Zxid(previous.last.0.saturating_add(1)).min(facts.first);
        }
    }
}

/// The runs of a chain from this transaction on. It reads the facts of each segment, and asks all stores at once: each of them reads one
/// object after the other. `damaged` is told what cannot be read, `seen` how many were.
pub async fn runs(
    stores: &[Store],
    identity: &str,
    log: &ChainLog,
    from: Zxid,
    told: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<Vec<Run>, ShipError> {
    let facts = async |(number, segment): (usize, &StoredSegment)| {
        let Some(store) = stores.get(number % stores.len().max(1)) else { return Ok(Read::Gone) };
        let key = SegmentKey { chain: log.chain.clone(), first: segment.first };
        match chains::facts(store, identity, &key).await {
            Ok(facts) => Ok(facts.map_or(Read::Gone, Read::Facts)),
            Err(error @ ShipError::Damaged { .. }) => Ok(Read::Damaged(error.to_string())),
            Err(ShipError::Store(error)) if error.is_of_one_object() => Ok(Read::Refused(error)),
            Err(error) => Err(error),
        }
    };
    let mut reading =
        stream::iter(log.segments.iter().rev().enumerate()).map(facts).buffered(stores.len().max(1)).boxed();
    let (mut runs, mut count, mut refused) = (Runs::default(), 0, 0);
    while let Some(read) = reading.try_next().await? {
        count += 1;
        told(Told::Read(count));
        refused = if matches!(read, Read::Refused(_)) { refused + 1 } else { 0 };
        match read {
            Read::Facts(facts) => {
                runs.take(Some(&facts));
                if leads(from, facts.first) {
                    break;
                }
            }
            Read::Damaged(what) => {
                told(Told::Damage(&what));
                runs.take(None);
            }
            // All of the rest may be refused: it may be many.
            Read::Refused(error) if refused > MOST_REFUSALS => return Err(error.into()),
            Read::Refused(error) => {
                told(Told::Damage(&error.to_string()));
                runs.take(None);
            }
            Read::Gone => runs.take(None),
        }
    }
    Ok(runs.runs)
}

/// What is heard of a reading.
pub enum Told<'a> {
    /// So many segments were read.
    Read(usize),
    /// One is damaged, or the store does not give it.
    Damage(&'a str),
}

enum Read {
    Facts(Facts),
    Damaged(String),
    Refused(StoreError),
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, counter: u64) -> Zxid {
        Zxid(epoch << 32 | counter)
    }

    fn run(first: Zxid, last: Zxid) -> Run {
        Run { first, last, time: last.counter().cast_signed() }
    }

    fn base(zxid: Zxid, end: Zxid) -> Start {
        Start { zxid, end, stored: 1000 }
    }

    fn leads_to(starts: &[Start], runs: &[Run]) -> Option<Zxid> {
        last(starts, runs).map(|(zxid, _)| zxid)
    }

    #[test]
    fn one_chain_leads_over_the_gap_of_another_and_nobody_over_a_gap_of_all() {
        let base = [base(at(1, 5), at(1, 6))];
        let one = [run(at(1, 1), at(1, 9)), run(at(1, 12), at(1, 20))];
        assert_eq!(leads_to(&base, &one), Some(at(1, 9)), "10 and 11 are missing");
        let both = [one[0], one[1], run(at(1, 9), at(1, 11))];
        assert_eq!(leads_to(&base, &both), Some(at(1, 20)));
        assert_eq!(leads_to(&base, &[run(at(2, 1), at(2, 9))]), None, "it is not whole before the sixth");
    }

    #[test]
    fn an_archive_without_a_base_leads_nowhere_but_from_the_beginning_on() {
        assert_eq!(leads_to(&[], &[run(at(1, 1), at(2, 7)), run(at(3, 1), at(3, 5))]), Some(at(2, 7)));
        assert_eq!(leads_to(&[], &[run(at(1, 2), at(2, 7))]), None);
        assert_eq!(leads_to(&[], &[]), None);
    }

    #[test]
    fn an_exact_base_is_a_point_without_any_log_after_it() {
        assert_eq!(last(&[base(at(4, 0), at(4, 0))], &[run(at(1, 1), at(3, 9))]), Some((at(4, 0), 1000)));
        assert_eq!(leads_to(&[base(at(4, 0), at(4, 0))], &[run(at(4, 1), at(4, 2))]), Some(at(4, 2)));
    }
}
