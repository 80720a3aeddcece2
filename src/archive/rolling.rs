//! Makes roll-ups of what an archive has, and deletes the segments that roll-ups have. For whoever prunes: nobody else may delete, and so
//! nobody else has a use for them.
//!
//! Invariants: a roll-up is made of segments that were read and are proved; segments go only once their roll-up has been there for the
//! grace, was read again to its end, and has everything that any of them says ([`roll_up::holds_all`]); the last segment of a chain is left
//! alone. Killed anywhere, nothing is half done: the next run goes on.

use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use rand::seq::SliceRandom as _;
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
/// After so many in a row that cannot be read the rest of a chain is not asked for: a right is missing, or all of it is frozen.
const MOST_UNREAD: u32 = 200;
/// So many of those are told in their own words.
const TOLD: u64 = 3;
/// In milliseconds: a disk that has shipped nothing for so long is taken for one that is gone, or at rest.
const AT_REST: i64 = 24 * 60 * 60 * 1000;
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
    /// Disks of which no more is rolled up by this run, since the store does not answer for an object of theirs, or for too many.
    pub halted: u64,
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
    let mut chains: Vec<(usize, &ChainLog)> =
        catalogue.chains.iter().enumerate().filter(|(_, log)| !log.chain.rolled).collect();
    // Where one takes all of the time, another one is first the next time.
    chains.shuffle(&mut rand::rng());
    let (count, mut failed) = (chains.len(), 0);
    for (number, log) in chains {
        let gone = |at: usize| plan.cuts.iter().any(|cut| cut.chain == number && (cut.from..cut.to).contains(&at));
        let rolled = catalogue.chains.iter().find(|other| other.chain == log.chain.rolled());
        let Err(error) = rolling.disk(log, rolled, &gone).await else { continue };
        // One object that never comes holds up no other disk.
        failed += 1;
        if failed == count {
            return Err(error);
        }
        rolling.rolled.halted += 1;
        rolling.note(format!("{}: no more of it is rolled up: {error}", log.chain));
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
        let Self { made, segments, deleted, locked, halted, unproved } = *self;
        write!(f, "{segments} segments rolled up into {made} objects, {deleted} deleted that roll-ups have")?;
        if locked > 0 {
            write!(f, ", {locked} locked and not deleted")?;
        }
        if unproved > 0 {
            write!(f, ", {unproved} left that cannot be read or proved")?;
        }
        if halted > 0 {
            write!(f, ", of {halted} disks not all")?;
        }
        Ok(())
    }
}

impl Rolling<'_> {
    /// Deletes the segments of a disk that its roll-ups have, and makes others.
    async fn disk(
        &mut self,
        log: &ChainLog,
        rolled: Option<&ChainLog>,
        gone: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<(), StoreError> {
        let Some((last, segments)) = log.segments.split_last() else { return Ok(()) };
        let kept = segments.iter().enumerate().filter(|(at, _)| !gone(*at));
        let segments: Vec<StoredSegment> = kept.map(|(_, segment)| *segment).collect();
        let locked = match rolled {
            Some(rolled) => self.delete(log, &segments, rolled).await?,
            None => false,
        };
        // What cannot go would only be there twice.
        if !locked {
            self.make(log, (&segments, last), rolled).await?;
        }
        Ok(())
    }

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
        log: &ChainLog,
        segments: &[StoredSegment],
        rolled: &ChainLog,
    ) -> Result<bool, StoreError> {
        let chain = &log.chain;
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
            let proved = self.proved(log, under, &SegmentKey { chain: rolled.chain.clone(), first: of.first }).await?;
            // The last one at the end: without it nothing shows any more that the roll-up ends with it.
            if let Some((last, others)) = proved.split_last() {
                let before = self.rolled.locked;
                self.delete_all(others, &mut refused).await?;
                if self.rolled.locked == before {
                    self.delete_all(std::slice::from_ref(last), &mut refused).await?;
                }
            }
            if refused >= MOST_REFUSALS {
                let text = "the store refuses to delete segments that roll-ups have, as an object lock does; they go once it allows it, and nothing more is rolled up meanwhile";
                self.note(format!("{chain}: {text}"));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The segments that begin in a roll-up, if it has all of them.
    async fn proved(
        &mut self,
        log: &ChainLog,
        under: &[StoredSegment],
        of: &SegmentKey,
    ) -> Result<Vec<SegmentKey>, StoreError> {
        let Some(facts) = self.rolled(log, of).await? else { return Ok(Vec::new()) };
        let under = &under[..under.partition_point(|segment| segment.first <= facts.last)];
        if under.is_empty() {
            return Ok(Vec::new());
        }
        let name = of.path(self.identity);
        if under.len() > roll_up::MOST_SEGMENTS as usize {
            self.rolled.unproved += 1;
            self.note(format!("{name} is no roll-up of this log: no one has so many segments; delete it"));
            return Ok(Vec::new());
        }
        let read = chains::segment(self.store, self.identity, of).await;
        let Some(rolled) = self.of_one(read, &name)?.filter(|rolled| rolled.facts == facts) else {
            return Ok(Vec::new());
        };
        let keys: Vec<SegmentKey> =
            under.iter().map(|segment| SegmentKey { chain: log.chain.clone(), first: segment.first }).collect();
        let (reader, mut segments) = (self.reader.clone(), Vec::new());
        let mut reading = Box::pin(reader.ahead(&keys));
        let mut unread = 0;
        while let Some((key, read)) = reading.next().await {
            match self.of_one(read, &key.path(self.identity))? {
                Some(segment) => segments.push(segment),
                None => unread += 1,
            }
            if unread >= MOST_UNREAD {
                break;
            }
        }
        drop(reading);
        let own = segments.iter().map(|segment| segment.facts.key()).eq(keys.iter().cloned());
        let held = own
            && roll_up::holds_all(&rolled, &segments)
                .map_err(|error| self.store.failed("read", &name, &error.to_string()))?;
        if held {
            return Ok(keys);
        }
        self.rolled.unproved += keys.len() as u64;
        self.note(format!(
            "{name} is not proved to have all of the {} segments that begin in it, which stay: one of them cannot be read, or it is none of ours",
            keys.len()
        ));
        Ok(Vec::new())
    }

    /// What a roll-up says of itself, if it can be one of this chain's: the last segment of a chain is in none.
    async fn rolled(&mut self, log: &ChainLog, key: &SegmentKey) -> Result<Option<Facts>, StoreError> {
        let name = key.path(self.identity);
        let Some(facts) = self.of_one(chains::facts(self.store, self.identity, key).await, &name)? else {
            return Ok(None);
        };
        let end = log.segments.last().map(|last| last.first);
        if facts.identity == self.identity && facts.key() == *key && Some(facts.last) < end {
            return Ok(Some(facts));
        }
        self.rolled.unproved += 1;
        self.note(format!("{name} is no roll-up of this log: somebody else has stored it; delete it"));
        Ok(None)
    }

    /// What was read; `None` if it is not there, or cannot be read while others may be.
    fn of_one<T>(&mut self, read: Result<Option<T>, ShipError>, name: &str) -> Result<Option<T>, StoreError> {
        match read {
            Ok(read) => return Ok(read),
            Err(ShipError::Store(error)) if !error.is_of_one_object() => return Err(error),
            Err(error) => {
                self.rolled.unproved += 1;
                if self.rolled.unproved <= TOLD {
                    self.note(format!("{name} stays as it is: {error}"));
                }
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
    async fn make(
        &mut self,
        log: &ChainLog,
        (segments, last): (&[StoredSegment], &StoredSegment),
        before: Option<&ChainLog>,
    ) -> Result<(), StoreError> {
        let (chain, to) = (&log.chain, log.chain.rolled());
        // What begins later is none of ours.
        let made = before.and_then(|before| before.segments.iter().rfind(|made| made.first < last.first));
        let mut reached = None;
        if let Some(made) = made {
            let Some(facts) = self.rolled(log, &SegmentKey { chain: to.clone(), first: made.first }).await? else {
                self.rolled.halted += 1;
                self.note(format!("{to}: nothing is rolled up behind its last roll-up, which is not to be read"));
                return Ok(());
            };
            reached = Some(facts.last);
        }
        let from = segments.partition_point(|segment| Some(segment.first) <= reached);
        let old = segments[from..].iter().take_while(|segment| self.is_old(segment)).count();
        let segments = &segments[from..from + old];
        let reader = self.reader.clone();
        let (mut roller, mut unread) = (Roller::of(self.identity, chain), 0);
        for segments in segments.chunks(NAMES) {
            let keys: Vec<SegmentKey> =
                segments.iter().map(|segment| SegmentKey { chain: chain.clone(), first: segment.first }).collect();
            let mut reading = Box::pin(reader.ahead(&keys));
            for stored in segments {
                let Some((key, read)) = reading.next().await else { break };
                if matches!(read, Ok(None)) {
                    self.note(format!("{chain}: somebody else prunes it just now"));
                    return Ok(());
                }
                let segment = self.segment(key, read)?;
                unread = if segment.is_some() { 0 } else { unread + 1 };
                let done =
                    if let Some(segment) = segment { roller.take(&segment, stored.stored) } else { roller.close() };
                if !self.store_if(done, &to).await? || self.is_late(chain) {
                    return Ok(());
                }
                if unread >= MOST_UNREAD {
                    self.rolled.halted += 1;
                    self.note(format!(
                        "{chain}: {MOST_UNREAD} segments in a row cannot be read: no more of it is rolled up"
                    ));
                    return Ok(());
                }
            }
        }
        // Where nothing more is shipped, nothing else closes it.
        let at_rest = i64::from(last.stored).saturating_mul(1000).saturating_add(AT_REST) <= self.now;
        if at_rest && roller.open() > 1 {
            let done = roller.close();
            self.store_if(done, &to).await?;
        }
        Ok(())
    }

    /// Stores a roll-up that is done, if one is. Returns whether the next one can follow.
    async fn store_if(&mut self, done: io::Result<Option<RollUp>>, to: &Chain) -> Result<bool, StoreError> {
        let done = done.map_err(|error| self.store.failed("roll up", &to.to_string(), &error.to_string()))?;
        let Some(done) = done else { return Ok(true) };
        let stored = self.put(done).await?;
        if !stored {
            self.note(format!("{to}: somebody else rolls it up just now, or has stored something under a name of it"));
        }
        Ok(stored)
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
