//! Makes roll-ups of what an archive has, and deletes the segments that roll-ups have. For whoever prunes: nobody else may delete, and so
//! nobody else has a use for them.
//!
//! Invariants: a roll-up is made of segments that were read and are proved; a segment goes only once its roll-up has been there for the
//! grace, was read again to its end, and has everything that the segment says ([`roll_up::held`]); the last segment of a chain is left
//! alone. Killed anywhere, nothing is half done: the next run goes on.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use zookeeper_files::ids::Zxid;

use super::ahead::Reader;
use super::chains;
use super::key::{Chain, SegmentKey};
use super::pruner::News;
use super::retention::{Catalogue, ChainLog, GRACE, Plan, StoredSegment};
use super::roll_up::{self, RollUp, Roller};
use super::segment::{Facts, Segment};
use super::shipper::ShipError;
use super::store::{Put, Store, StoreError, StoreErrorKind};

/// So long a run goes on at most: some 3 million segments, where a request takes 20 ms.
pub const LONGEST: Duration = Duration::from_hours(2);
/// So many requests are under way at once.
const AT_ONCE: usize = 16;
/// After so many refusals in a row no more is asked for: the rest of the chain is younger, and locked for longer.
const MOST_REFUSALS: u32 = 16;
/// So many names of segments are made at once: a chain may have millions.
const NAMES: usize = 10_000;

/// What has become of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rolled {
    /// Roll-ups that were made.
    pub made: u64,
    /// Segments that are in them.
    pub segments: u64,
    /// Segments that were deleted, since older roll-ups have them.
    pub deleted: u64,
    /// Segments that the store refused to delete: they are locked. Roll-ups have them, and they go once the lock is over.
    pub locked: u64,
    /// Segments that are not rolled up or stay beside their roll-up, since they cannot be read or say something else.
    pub unproved: u64,
}

/// Rolls up the log of an ensemble, by the time `now`, in milliseconds since 1970. What `plan` has deleted is left alone.
pub async fn roll_up(
    store: &Store,
    identity: &str,
    (catalogue, plan): (&Catalogue, &Plan),
    (now, longest): (i64, Duration),
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Rolled, StoreError> {
    let until = Instant::now() + longest;
    let mut rolling =
        Rolling { store, identity, reader: Reader::of(store, identity), now, until, tell, rolled: Rolled::default() };
    for (number, log) in catalogue.chains.iter().enumerate().filter(|(_, log)| !log.chain.rolled) {
        let gone = |at: usize| plan.cuts.iter().any(|cut| cut.chain == number && (cut.from..cut.to).contains(&at));
        let last = log.segments.len().saturating_sub(1);
        let kept = log.segments[..last].iter().enumerate().filter(|(at, _)| !gone(*at));
        let segments: Vec<StoredSegment> = kept.map(|(_, segment)| *segment).collect();
        let rolled = catalogue.chains.iter().find(|other| other.chain == log.chain.rolled());
        let locked = match rolled {
            Some(rolled) => rolling.delete(&log.chain, &segments, rolled).await?,
            None => false,
        };
        // What cannot go would only be there twice.
        if !locked {
            rolling.make(&log.chain, &segments).await?;
        }
    }
    Ok(rolling.rolled)
}

struct Rolling<'a> {
    store: &'a Store,
    identity: &'a str,
    reader: Reader,
    now: i64,
    until: Instant,
    tell: &'a mut dyn FnMut(News<'_>),
    rolled: Rolled,
}

impl fmt::Display for Rolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, segments, deleted, locked, unproved } = *self;
        write!(f, "{segments} segments rolled up into {made} objects, {deleted} deleted that roll-ups have")?;
        if locked > 0 {
            write!(f, ", {locked} of them locked")?;
        }
        if unproved > 0 {
            write!(f, ", {unproved} left that cannot be read or proved")?;
        }
        Ok(())
    }
}

impl Rolling<'_> {
    fn is_old(&self, segment: &StoredSegment) -> bool {
        i64::from(segment.stored) * 1000 + 999 <= self.now.saturating_sub(GRACE)
    }

    fn is_late(&mut self, chain: &Chain) -> bool {
        let late = Instant::now() >= self.until;
        if late {
            self.note(format!("{chain}: the rest is rolled up by the next run"));
        }
        late
    }

    fn note(&mut self, text: String) {
        (self.tell)(News::Note(text));
    }

    /// Deletes the segments that a roll-up has. Returns whether the store refuses it.
    async fn delete(
        &mut self,
        chain: &Chain,
        segments: &[StoredSegment],
        rolled: &ChainLog,
    ) -> Result<bool, StoreError> {
        let mut refused = 0;
        let next = rolled.segments.iter().skip(1).map(|next| next.first).chain([Zxid(u64::MAX)]);
        for (of, next) in rolled.segments.iter().zip(next) {
            let at = |zxid| segments.partition_point(|segment| segment.first < zxid);
            let under = &segments[at(of.first)..at(next)];
            if under.is_empty() || !self.is_old(of) {
                continue;
            }
            if self.is_late(chain) {
                return Ok(false);
            }
            let proved =
                self.proved(chain, under, &SegmentKey { chain: rolled.chain.clone(), first: of.first }).await?;
            self.delete_all(&proved, &mut refused).await?;
            if refused >= MOST_REFUSALS {
                let text = "the store refuses to delete segments that roll-ups have, as an object lock does; they go once it allows it, and nothing more is rolled up meanwhile";
                self.note(format!("{chain}: {text}"));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Which of the segments that begin where a roll-up may be are in it.
    async fn proved(
        &mut self,
        chain: &Chain,
        under: &[StoredSegment],
        of: &SegmentKey,
    ) -> Result<Vec<SegmentKey>, StoreError> {
        let name = of.path(self.identity);
        let end = match self.of_one(chains::facts(self.store, self.identity, of).await, &name)? {
            Some(facts) => facts.last,
            None => return Ok(Vec::new()),
        };
        let under = &under[..under.partition_point(|segment| segment.first <= end)];
        if under.is_empty() {
            return Ok(Vec::new());
        }
        let Some(rolled) = self.of_one(chains::segment(self.store, self.identity, of).await, &name)? else {
            return Ok(Vec::new());
        };
        if rolled.facts.identity != self.identity || rolled.facts.key() != *of {
            self.note(format!("{name} is another roll-up than its name says: nothing goes for its sake"));
            return Ok(Vec::new());
        }
        let keys = under.iter().map(|segment| SegmentKey { chain: chain.clone(), first: segment.first });
        let (identity, stores) = (self.identity, (0..AT_ONCE).map(|_| self.store.beside()).collect::<Vec<_>>());
        let read = |(number, key): (usize, SegmentKey)| {
            let store = stores[number % AT_ONCE].clone();
            async move {
                let read = chains::facts(&store, identity, &key).await;
                (key, read)
            }
        };
        let mut reading = stream::iter(keys.enumerate()).map(read).buffered(AT_ONCE).boxed();
        let (mut there, mut facts) = (Vec::new(), Vec::<Facts>::new());
        while let Some((key, read)) = reading.next().await {
            let name = key.path(identity);
            // One that says something else is not in the roll-up: it is not compared with another one's place.
            if let Some(found) = self.of_one(read, &name)?.filter(|found| found.key() == key) {
                facts.push(found);
                there.push(key);
            }
        }
        let held =
            roll_up::held(&rolled, &facts).map_err(|error| self.store.failed("read", &name, &error.to_string()))?;
        let unproved = held.iter().filter(|held| !**held).count() as u64;
        if unproved > 0 {
            self.rolled.unproved += unproved;
            self.note(format!("{name} does not have all of {unproved} segments that begin in it: they stay"));
        }
        Ok(there.into_iter().zip(held).filter(|(_, held)| *held).map(|(key, _)| key).collect())
    }

    /// What was read; `None` if it is not there, or cannot be read while others may be.
    fn of_one<T>(&mut self, read: Result<Option<T>, ShipError>, name: &str) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => return Ok(read),
            Err(ShipError::Store(error)) if !error.is_of_one_object() => return Err(error),
            Err(error) => {
                self.rolled.unproved += 1;
                self.note(format!("{name} stays as it is: {error}"));
            }
        }
        Ok(None)
    }

    /// Deletes them. `refused` counts refusals in a row.
    async fn delete_all(&mut self, keys: &[SegmentKey], refused: &mut u32) -> Result<(), StoreError> {
        let store = self.store;
        let names = keys.iter().map(|key| key.path(self.identity));
        let mut deletions = stream::iter(names)
            .map(|name| async move {
                let deleted = store.delete(&name).await;
                (name, deleted)
            })
            .buffered(AT_ONCE)
            .boxed();
        let mut block = String::new();
        while let Some((name, deleted)) = deletions.next().await {
            match deleted {
                Ok(()) => {
                    (*refused, self.rolled.deleted) = (0, self.rolled.deleted + 1);
                    let folder = name.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
                    if folder != block {
                        store.forget_folder(&block);
                        folder.clone_into(&mut block);
                    }
                }
                Err(error) if error.kind == StoreErrorKind::Denied => {
                    (*refused, self.rolled.locked) = (*refused + 1, self.rolled.locked + 1);
                    if *refused == 1 {
                        self.note(error.to_string());
                    }
                    if *refused >= MOST_REFUSALS {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if !block.is_empty() {
            store.forget_folder(&block);
        }
        Ok(())
    }

    /// Makes roll-ups of what is behind the last one.
    async fn make(&mut self, chain: &Chain, segments: &[StoredSegment]) -> Result<(), StoreError> {
        let to = chain.rolled();
        let last = match chains::last(self.store, self.identity, &to).await {
            Ok(last) => last,
            Err(ShipError::Store(error)) if !error.is_of_one_object() => return Err(error),
            Err(error) => {
                self.note(format!("{to}: nothing is rolled up behind its last roll-up, which cannot be read: {error}"));
                return Ok(());
            }
        };
        let reached = last.map(|facts| facts.last);
        let from = segments.partition_point(|segment| Some(segment.first) <= reached);
        let old = segments[from..].iter().take_while(|segment| self.is_old(segment)).count();
        let segments = &segments[from..from + old];
        let reader = self.reader.clone();
        let mut roller = Roller::of(self.identity, chain);
        for segments in segments.chunks(NAMES) {
            let keys: Vec<SegmentKey> =
                segments.iter().map(|segment| SegmentKey { chain: chain.clone(), first: segment.first }).collect();
            let mut reading = Box::pin(reader.ahead(&keys));
            for stored in segments {
                let Some((key, read)) = reading.next().await else { break };
                let done = match self.segment(key, read)? {
                    Some(segment) => roller.take(&segment, stored.stored),
                    None => roller.close(),
                };
                let done =
                    done.map_err(|error| self.store.failed("roll up", &key.path(self.identity), &error.to_string()))?;
                if let Some(done) = done
                    && !self.put(done).await?
                {
                    self.note(format!("{to}: somebody else rolls it up just now"));
                    return Ok(());
                }
                if self.is_late(chain) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn segment(
        &mut self,
        key: &SegmentKey,
        read: Result<Option<Segment>, ShipError>,
    ) -> Result<Option<Segment>, StoreError> {
        let name = key.path(self.identity);
        let segment = self.of_one(read, &name)?;
        let own = |segment: &Segment| segment.facts.identity == self.identity && segment.facts.key() == *key;
        Ok(segment.filter(own))
    }

    /// Returns whether it is stored, by us or by somebody who has made the same.
    async fn put(&mut self, RollUp { facts, segments, object }: RollUp) -> Result<bool, StoreError> {
        let name = facts.key().path(self.identity);
        if self.store.put(&name, Bytes::from(object)).await? == Put::Taken {
            let theirs = chains::facts(self.store, self.identity, &facts.key()).await;
            return Ok(self.of_one(theirs, &name)?.as_ref() == Some(&facts));
        }
        self.rolled.made += 1;
        self.rolled.segments += u64::from(segments);
        Ok(true)
    }
}
