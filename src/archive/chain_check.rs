//! Walks through a chain, from its first segment to its last, and tells what is lost from what was deleted and from what was never there.

use std::io;

use crate::archive::chains;
use crate::archive::collect::MOST_REFUSALS;
use crate::archive::key::{Chain, SegmentKey};
use crate::archive::retention::Pin;
use crate::archive::segment::{Facts, Link, Segment};
use crate::archive::shipper::ShipError;
use crate::archive::store::Store;
use crate::cli::CommandError;
use zookeeper_files::ids::{Zxid, ZxidRange};

/// A chain of an ensemble.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) identity: String,
    pub(super) chain: Chain,
    pub(super) segments: Vec<SegmentKey>,
}

fn gone(identity: &str, key: &SegmentKey) -> CommandError {
    CommandError::Usage(format!("{} was deleted meanwhile: try again", key.path(identity)))
}

/// The facts of a segment, or why this one cannot be read while others may be.
pub(super) async fn facts(
    store: &Store,
    identity: &str,
    key: &SegmentKey,
) -> Result<Result<Facts, String>, CommandError> {
    match chains::facts(store, identity, key).await {
        Ok(Some(facts)) => Ok(Ok(facts)),
        Ok(None) => Ok(Err(format!("{} was deleted meanwhile", key.path(identity)))),
        Err(error @ ShipError::Damaged { .. }) => Ok(Err(error.to_string())),
        Err(ShipError::Store(error)) if error.is_of_one_object() => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// The facts of the first and the last of a chain's segments, where they can be read. `damaged` is told of those that cannot.
pub(super) async fn ends(
    store: &Store,
    identity: &str,
    keys: [&SegmentKey; 2],
    damaged: &mut dyn FnMut(&str),
) -> Result<[Option<Facts>; 2], CommandError> {
    let [first, last] = keys;
    let mut read = async |key| match facts(store, identity, key).await? {
        Ok(facts) => Ok::<_, CommandError>(Some(facts)),
        Err(what) => {
            damaged(&what);
            Ok(None)
        }
    };
    let begin = read(first).await?;
    let end = if first == last { begin.clone() } else { read(last).await? };
    Ok([begin, end])
}

/// What retention keeps log for.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The names of the bases that have a manifest.
    pub(super) bases: Vec<Zxid>,
    /// The points that somebody named.
    pub(super) pins: Vec<Pin>,
}

/// Transactions that roll-ups have one after the other.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Everything behind this one.
    from: Zxid,
    /// Up to this one.
    last: Zxid,
}

/// A walk through a chain, from its first segment to its last.
#[derive(Default)]
pub(super) struct Check {
    before: Option<Facts>,
    /// A segment before could not be read, so that nothing is known of what is before the next one.
    lost: bool,
    /// So many the store has just refused to give, one after the other.
    refused: usize,
    /// The names of the ensemble's bases, in their order.
    bases: Vec<Zxid>,
    /// The points that somebody named: what is before a hole stands for their sake, or the hole is no work of retention.
    pins: Vec<Pin>,
    /// The beginning of the chain is not there.
    cut: bool,
    /// What the roll-ups of the same disk have.
    rolled: Vec<Stretch>,
    /// What this chain has.
    stretches: Vec<Stretch>,
    /// What roll-ups lack, and what is said of it if the segments that are left have it not.
    holes: Vec<(Link, String)>,
    pub(super) gaps: Vec<String>,
    pub(super) pruned: Vec<String>,
    pub(super) damage: Vec<String>,
}

impl Check {
    fn with(kept: Option<&Kept>) -> Self {
        let Kept { bases, pins } = kept.cloned().unwrap_or_default();
        Self { bases, pins, ..Self::default() }
    }

    /// Walks through the log of a disk: its roll-ups, if it has any, and then what is left of their segments, each of which `take` hears of. What
    /// one lacks, the other may have.
    pub(super) async fn of_disk(
        store: &Store,
        kept: Option<&Kept>,
        disk: &[Place],
        take: &mut dyn FnMut(usize, &SegmentKey, &Segment) -> io::Result<()>,
    ) -> Result<Vec<Self>, CommandError> {
        let mut checks: Vec<Self> = Vec::new();
        for (number, place) in disk.iter().enumerate() {
            let mut check = Self::with(kept);
            if let Some(rolled) = checks.last_mut() {
                check.rolled.clone_from(&rolled.stretches);
                check.holes.append(&mut rolled.holes);
            }
            for key in &place.segments {
                if let Some(segment) = check.next(store, place, key).await? {
                    take(number, key, &segment)?;
                    let link = segment.facts.link();
                    check.holes.retain(|(missing, _)| place.chain.rolled || *missing != link);
                }
            }
            checks.push(check);
        }
        // Each is said of the chain that lacks it.
        let holes = checks.last_mut().map(|check| std::mem::take(&mut check.holes)).unwrap_or_default();
        if let Some(rolled) = checks.first_mut() {
            rolled.damage.extend(holes.into_iter().map(|(_, what)| what));
        }
        Ok(checks)
    }

    /// Whether roll-ups have the segment that is missing. What they lack before it, their own walk has told.
    fn is_rolled_up(&self, missing: &Link) -> bool {
        self.rolled.iter().any(|stretch| stretch.from < missing.first && missing.last <= stretch.last)
    }

    fn is_in_a_roll_up(&self, key: &SegmentKey) -> bool {
        self.rolled.iter().any(|stretch| stretch.from < key.first && key.first <= stretch.last)
    }

    /// Up to where the log is there before a segment that is missing.
    fn reached_before(&self, missing: &Link) -> Option<Zxid> {
        let rolled = self.rolled.iter().map(|stretch| stretch.last).filter(|last| *last < missing.first);
        self.before.as_ref().map(|before| before.last).into_iter().chain(rolled).max()
    }

    /// Notes what a segment has, behind the one before.
    fn reached(&mut self, facts: &Facts) {
        let joined = self.before.as_ref().is_some_and(|before| facts.previous.as_ref() == Some(&before.link()));
        match self.stretches.last_mut() {
            Some(stretch) if joined && facts.follows => stretch.last = facts.last,
            _ => {
                let previous = facts.previous.as_ref().filter(|_| facts.follows).map(|previous| previous.last);
                let from = previous.unwrap_or(Zxid(facts.first.0.saturating_sub(1)));
                self.stretches.push(Stretch { from, last: facts.last });
            }
        }
    }

    /// The base for whose sake retention has deleted what is missing before a segment. It deletes all of a chain up to where a base begins,
    /// but what pins need. Where it broke off, it is at the beginning of the chain, and no base is before.
    fn pruned_for(&self, missing: &Link, facts: &Facts) -> Option<Zxid> {
        let base = self.bases.iter().copied().find(|&base| missing.last <= base)?;
        let first = self.bases.first().is_some_and(|&first| missing.last <= first);
        let begins = facts.last >= base;
        let pruned = match self.reached_before(missing) {
            None => begins || (self.cut && first),
            Some(before) => (self.cut && first) || (begins && self.is_of_pins(before, missing)),
        };
        pruned.then_some(base)
    }

    /// Whether pins alone keep what stands up to here, before a hole: any base that nobody has pinned would have kept what is missing.
    fn is_of_pins(&self, end: Zxid, missing: &Link) -> bool {
        let keeps = |base: Zxid| self.pins.iter().any(|pin| base <= pin.to && pin.from <= end);
        let mut older = self.bases.iter().copied().filter(|&base| base < missing.last).peekable();
        if older.peek().is_none() { keeps(Zxid::default()) } else { older.all(keeps) }
    }

    /// Reads the next segment, and holds it against the one before; `None` if it is damaged.
    async fn next(&mut self, store: &Store, place: &Place, key: &SegmentKey) -> Result<Option<Segment>, CommandError> {
        let segment = match chains::segment(store, &place.identity, key).await {
            Ok(Some(segment)) => segment,
            // Who prunes deletes what roll-ups have, and this walk may take hours.
            Ok(None) if self.is_in_a_roll_up(key) => {
                (self.before, self.lost) = (None, false);
                return Ok(None);
            }
            Ok(None) => return Err(gone(&place.identity, key)),
            Err(error @ ShipError::Damaged { .. }) => {
                self.damage.push(error.to_string());
                (self.before, self.lost) = (None, true);
                return Ok(None);
            }
            Err(ShipError::Store(error)) if error.is_of_one_object() && self.refused < MOST_REFUSALS => {
                self.damage.push(error.to_string());
                (self.before, self.lost) = (None, true);
                self.refused += 1;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.refused = 0;
        let facts = &segment.facts;
        let name = key.path(&place.identity);
        if facts.identity != place.identity || facts.key() != *key {
            self.damage.push(format!("{name} is another segment: {}", facts.key().path(&facts.identity)));
        }
        match (&self.before, &facts.previous) {
            (before, Some(missing))
                if !self.lost && before.as_ref().is_none_or(|before| before.last < missing.first) =>
            {
                let rolled = self.is_rolled_up(missing);
                self.cut |= self.reached_before(missing).is_none() && !rolled;
                match self.pruned_for(missing, facts) {
                    _ if rolled => {}
                    Some(base) => self.pruned.push(format!(
                        "{}: the log up to {:#} is deleted, and base {base:#} has it",
                        place.chain, missing.last
                    )),
                    None => {
                        let missing_at = missing.first.0;
                        let what = if before.is_none() {
                            format!("the segment before {name} is missing, {missing_at:016x}")
                        } else {
                            format!("{name} does not follow on the segment before it: {missing_at:016x} is missing")
                        };
                        if place.chain.rolled {
                            self.holes.push((missing.clone(), what));
                        } else {
                            self.damage.push(what);
                        }
                    }
                }
            }
            (Some(before), previous) if previous.as_ref() != Some(&before.link()) => {
                self.damage.push(format!("{name} does not follow on the segment before it, {:016x}", before.first.0));
            }
            (Some(before), _) if !facts.follows => {
                let between = ZxidRange { first: before.last, last: facts.first };
                self.gaps.push(format!("{}: transactions may be missing between {between}", place.chain));
            }
            _ => {}
        }
        self.reached(&segment.facts);
        (self.before, self.lost) = (Some(segment.facts.clone()), false);
        Ok(Some(segment))
    }
}
