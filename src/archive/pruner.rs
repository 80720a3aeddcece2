//! Deletes from an archive what was decided to go.
//!
//! Invariants: what is cleared is looked at once more; once a point is named that may need something of what goes, nothing more does; an
//! object that cannot be deleted is counted, and the others go. A store that does not answer ends it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use zookeeper_files::ids::Zxid;

use super::bases::BaseError;
use super::catalogue;
use super::key::{BaseKey, SegmentKey};
use super::pins::{self, PinError, StoredPin};
use super::prune::{Decision, stays};
use super::retention::{Base, BaseState, Catalogue, Cut, Fate};
use super::store::{Store, StoreError, StoreErrorKind};
use super::target::Target;

/// How many deletions are under way at once.
const AT_ONCE: usize = 16;
/// After so many refusals in a row the rest of a chain is not asked for: it has the same lock, or the right is missing.
const MOST_REFUSALS: u64 = 200;
/// After so many requests in a row without an answer nothing more is asked.
const MOST_SILENCE: u64 = 32;
/// So many errors are told in their own words.
const TOLD: u64 = 3;
/// While a chain is cut, it is asked as often whether a point was named.
const LOOK: Duration = Duration::from_secs(5);
/// After so long a run that had begun to delete before a point was named has heard of it.
pub const HEARD: Duration = Duration::from_secs(15);
const MARK: &[u8] = b"This base is retired: nothing is built from it any more. Its parts go with a later run of `menagerie archive prune`.\n";

/// What has become of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects that were deleted.
    pub deleted: u64,
    /// Objects that the store refused to delete: they are locked, or the right is missing.
    pub refused: u64,
    /// Objects of which it is not known.
    pub failed: u64,
    /// Objects that were not tried any more.
    pub left: u64,
    /// Bases that were not cleared, since they have changed meanwhile.
    pub changed: u64,
}

impl Tally {
    /// Whether all of the plan was carried out.
    pub fn is_complete(&self) -> bool {
        self.refused + self.failed + self.left + self.changed == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deleted, refused, failed, left, changed } = *self;
        write!(f, "{deleted} objects deleted")?;
        for (count, what) in [
            (refused, "refused by the store: locked, or the credentials may not delete"),
            (failed, "failed"),
            (left, "left for the next run"),
            (changed, "bases changed meanwhile"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// What is told while a plan is carried out.
pub enum News<'a> {
    /// So many objects were deleted.
    Progress(&'a Tally),
    /// One was not.
    Error(&'a StoreError),
    /// Something else is to be known.
    Note(String),
}

/// Carries out a plan.
pub struct Pruner<'a> {
    store: &'a Store,
    identity: &'a str,
    tell: &'a mut dyn FnMut(News<'_>),
    tally: Tally,
    /// Requests in a row without an answer.
    silent: u64,
    /// Refusals in a row.
    refused: u64,
    /// Whether a pin has come meanwhile.
    pinned: bool,
    /// The pins of which it is known that nothing of them goes.
    known: BTreeSet<StoredPin>,
    /// From here on all stays.
    floor: Option<Zxid>,
    /// How often it is asked for others while a chain is cut.
    look: Duration,
    looked: Instant,
}

impl<'a> Pruner<'a> {
    /// Nothing is deleted yet.
    pub fn new(store: &'a Store, identity: &'a str, tell: &'a mut dyn FnMut(News<'_>)) -> Self {
        Self {
            store,
            identity,
            tell,
            tally: Tally::default(),
            silent: 0,
            refused: 0,
            pinned: false,
            known: BTreeSet::new(),
            floor: None,
            look: LOOK,
            looked: Instant::now(),
        }
    }

    /// The same, which asks for pins as often as this.
    #[must_use]
    pub fn looking_each(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// Deletes what is to go.
    pub async fn carry_out(mut self, decision: &Decision) -> Tally {
        let Decision { catalogue, plan, over, known, floor, wish: _, named: _ } = decision;
        self.known.clone_from(known);
        self.floor = *floor;
        for step in [Fate::Retire, Fate::Clear] {
            for (base, (_, fate)) in catalogue.bases.iter().zip(&plan.bases) {
                if *fate == step && self.pins_are().await {
                    self.base(base, &step).await;
                }
            }
        }
        for cut in &plan.cuts {
            if self.pins_are().await {
                self.cut(catalogue, cut).await;
            }
        }
        self.refused = 0;
        for pin in over {
            if self.is_silent() {
                self.tally.left += 1;
                continue;
            }
            match pins::drop_over(self.store, self.identity, pin).await {
                Ok(false) => {}
                deleted => self.count(deleted.map(|_| ())),
            }
        }
        self.tally
    }

    /// Whether no pin has come that keeps anything which may go. If one has, or nobody knows, the rest is left for the next run.
    async fn pins_are(&mut self) -> bool {
        if self.pinned {
            self.tally.left += 1;
            return false;
        }
        self.looked = Instant::now();
        match self.come().await {
            Ok(false) => true,
            Ok(true) => {
                self.pinned = true;
                self.tally.left += 1;
                (self.tell)(News::Note("a point was pinned meanwhile: the rest is left for the next run".to_owned()));
                false
            }
            Err(error) => {
                self.count(Err(error));
                false
            }
        }
    }

    /// Whether a pin has come. One that was taken back and made again under its name is another one.
    async fn come(&mut self) -> Result<bool, StoreError> {
        let there = pins::listed(self.store, self.identity).await?;
        let new: Vec<StoredPin> = there.difference(&self.known).cloned().collect();
        for stored in new {
            match pins::read(self.store, self.identity, stored.name()).await {
                Ok(None) => {}
                Ok(Some(pin)) if stays(&pin, self.floor) => drop(self.known.insert(stored)),
                Err(PinError::Store(error)) => return Err(error),
                // Where it cannot be read, nobody knows what it keeps.
                Ok(Some(_)) | Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn base(&mut self, base: &Base, step: &Fate) {
        let objects = if *step == Fate::Retire { 1 } else { base.parts.len() as u64 };
        if self.is_silent() {
            self.tally.left += objects;
            return;
        }
        self.refused = 0;
        match step {
            Fate::Retire => self.retire(base).await,
            _ => self.clear(base).await,
        }
    }

    /// Marks a base and deletes its manifest.
    async fn retire(&mut self, base: &Base) {
        if let Err(error) = self.mark(&base.key).await {
            return self.count(Err(error));
        }
        // A store that stalls takes minutes for the mark.
        if !self.pins_are().await {
            return;
        }
        let deleted = self.store.delete(&base.key.manifest(self.identity)).await;
        self.count(deleted);
    }

    /// Stores a new mark: the grace begins now, and not when somebody began before. An older one stays meanwhile: without any, parts that
    /// are a day old would go at once.
    async fn mark(&mut self, key: &BaseKey) -> Result<(), StoreError> {
        let [first, again] = key.marks(self.identity);
        let name = match catalogue::marks(self.store, self.identity, key).await? {
            [None, _] => first,
            [Some(_), None] => again,
            [Some(one), Some(other)] => {
                let older = if one < other { first } else { again };
                self.store.delete(&older).await?;
                older
            }
        };
        self.store.put(&name, Bytes::from_static(MARK)).await.map(|_| ())
    }

    /// Deletes the parts of a base and then its mark, if it is still as it was listed.
    async fn clear(&mut self, base: &Base) {
        match catalogue::base(self.store, self.identity, base.key.clone(), &mut |_| {}).await {
            Ok(Some(again)) if again.state == base.state => {}
            // Somebody else has cleared it.
            Ok(None) => return,
            Ok(Some(_)) | Err(BaseError::Damaged { .. } | BaseError::Io(_)) => {
                self.tally.changed += 1;
                return (self.tell)(News::Note(format!(
                    "{} has changed meanwhile and stays",
                    base.key.folder(self.identity)
                )));
            }
            Err(BaseError::Store(error)) => return self.count(Err(error)),
        }
        let before = self.tally.clone();
        let names: Vec<String> = base.parts.iter().map(|&part| base.key.part(self.identity, part as usize)).collect();
        self.all(names.into_iter(), base.parts.len(), false).await;
        let undone = |tally: &Tally| tally.refused + tally.failed + tally.left;
        if undone(&self.tally) > undone(&before) {
            return;
        }
        if matches!(base.state, BaseState::Retired { .. }) {
            let there = match catalogue::marks(self.store, self.identity, &base.key).await {
                Ok(there) => there,
                Err(error) => return self.count(Err(error)),
            };
            for (name, _) in base.key.marks(self.identity).iter().zip(there).filter(|(_, stored)| stored.is_some()) {
                let deleted = self.store.delete(name).await;
                self.count(deleted);
            }
        }
        self.store.forget_folder(&base.key.folder(self.identity));
    }

    async fn cut(&mut self, catalogue: &Catalogue, cut: &Cut) {
        let Some(log) = catalogue.chains.get(cut.chain) else { return };
        self.refused = 0;
        let identity = self.identity;
        let name =
            |number: usize| SegmentKey { chain: log.chain.clone(), first: log.segments[number].first }.path(identity);
        self.all(cut.order().map(name), cut.to - cut.from, true).await;
        if matches!(self.store.target(), Target::File { .. }) {
            let mut empty = String::new();
            for block in cut.order().map(name).filter_map(|name| Some(name.rsplit_once('/')?.0.to_owned())) {
                if block != empty {
                    self.store.forget_folder(&block);
                    empty = block;
                }
            }
        }
    }

    /// Deletes them; of log, for as long as no pin comes that keeps any of it: a chain may take hours.
    async fn all(&mut self, names: impl Iterator<Item = String>, count: usize, log: bool) {
        let store = self.store;
        let mut deletions =
            stream::iter(names).map(|name| async move { store.delete(&name).await }).buffer_unordered(AT_ONCE);
        let mut tried = 0;
        while !self.is_silent() && self.refused < MOST_REFUSALS {
            if log && self.looked.elapsed() >= self.look && !self.pins_are().await {
                break;
            }
            let Some(deleted) = deletions.next().await else { break };
            tried += 1;
            self.count(deleted);
        }
        self.tally.left += (count as u64).saturating_sub(tried);
    }

    fn is_silent(&self) -> bool {
        self.silent >= MOST_SILENCE
    }

    fn count(&mut self, deleted: Result<(), StoreError>) {
        let Err(error) = deleted else {
            (self.silent, self.refused) = (0, 0);
            self.tally.deleted += 1;
            return (self.tell)(News::Progress(&self.tally));
        };
        let told = if error.kind == StoreErrorKind::Denied {
            (self.silent, self.refused) = (0, self.refused + 1);
            self.tally.refused += 1;
            self.tally.refused
        } else {
            self.silent += 1;
            self.tally.failed += 1;
            self.tally.failed
        };
        if told <= TOLD {
            (self.tell)(News::Error(&error));
        }
        if self.is_silent() {
            (self.tell)(News::Note(format!(
                "{MOST_SILENCE} requests in a row failed: the rest is left for the next run"
            )));
        } else if self.refused == MOST_REFUSALS {
            (self.tell)(News::Note(format!(
                "{MOST_REFUSALS} deletions in a row were refused: the rest of this chain is left for the next run"
            )));
        }
    }
}
