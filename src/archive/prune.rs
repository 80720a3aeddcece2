//! Has [`super::retention`] decide on what is stored, and carries it out: for the command, and for the Jobs of an ensemble.
//!
//! Invariants: before anything goes, the bases that are relied on are read to their ends; what is cleared is looked at once more; an object
//! that cannot be deleted is counted, and the others go. A store that does not answer ends it.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use rand::RngCore as _;

use super::bases::{self, BaseError};
use super::catalogue;
use super::key::{BaseKey, SegmentKey};
use super::pins::{self, NamedPin, PinError};
use super::retention::{self, Base, BaseState, Catalogue, Cut, Fate, Pin, Plan, Skew, Wish};
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

const CLOCK: &[u8] = b"Menagerie asks here for the time of the store. It may be deleted.\n";
const MARK: &[u8] = b"This base is retired: nothing is built from it any more. Its parts go with a later run of `menagerie archive prune`.\n";

/// What time it is, by our clock and by the store's: that of an object that was not there before. Returns the store in the way in which it
/// takes puts.
pub async fn time(store: Store, identity: &str) -> Result<(Store, Result<i64, Skew>), StoreError> {
    let name = format!("{identity}/probe/prune-{:016x}", rand::rng().next_u64());
    let before = now();
    let store = match store.put(&name, Bytes::from_static(CLOCK)).await {
        Err(error) if error.kind == StoreErrorKind::NotImplemented => {
            let store = store.looking_first();
            store.put(&name, Bytes::from_static(CLOCK)).await?;
            store
        }
        put => put.map(|_| store)?,
    };
    let after = now().max(before);
    let Some(stored) = store.look(&name).await? else {
        return Err(store.failed("read", &name, "what was stored there a moment ago is missing"));
    };
    // Whoever may delete nothing hears of it from what is to go.
    let _ = store.delete(&name).await;
    let time = retention::now(stored.stored.clamp(before, after), stored.stored).map(|now| now.min(before));
    Ok((store, time))
}

/// Our clock.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Decides what goes, and reads the bases that this relies on. One that is damaged is relied on no more; `damaged` is told of it.
pub async fn proved_plan(
    store: &Store,
    identity: &str,
    catalogue: &mut Catalogue,
    wish: &Wish,
    now: i64,
    damaged: &mut dyn FnMut(&str),
) -> Result<Plan, BaseError> {
    let mut read: Vec<BaseKey> = Vec::new();
    loop {
        let plan = retention::plan(catalogue, wish, now);
        let next = plan.relied_on().find(|key| !read.contains(key)).cloned();
        let Some(key) = next.filter(|_| !plan.is_empty()) else { return Ok(plan) };
        let whole = match bases::manifest(store, identity, &key).await {
            Ok(Some(manifest)) => bases::read(store, &manifest, &mut |_| Ok(())).await.map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        match whole {
            Ok(true) => {}
            Ok(false) => catalogue.distrust(&key),
            Err(error @ BaseError::Damaged { .. }) => {
                damaged(&error.to_string());
                catalogue.distrust(&key);
            }
            Err(error) => return Err(error),
        }
        read.push(key);
    }
}

/// Why nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A base could not be read.
    #[error(transparent)]
    Base(BaseError),
    /// The points with a name are not known.
    #[error(transparent)]
    Pins(PinError),
    /// Two clocks say different things.
    #[error("nothing is deleted: {0}. Set the clock right")]
    Skew(Skew),
    /// Somebody named a point, or took one back.
    #[error("nothing is deleted: pins have changed meanwhile; run it again")]
    PinsChanged,
}

impl From<BaseError> for PruneError {
    fn from(error: BaseError) -> Self {
        match error {
            BaseError::Store(error) => Self::Store(error),
            error => Self::Base(error),
        }
    }
}

impl From<PinError> for PruneError {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Store(error) => Self::Store(error),
            error => Self::Pins(error),
        }
    }
}

impl PruneError {
    /// Whether the same may end well in a few minutes, or elsewhere. A right that is missing is given by somebody.
    pub fn may_pass(&self) -> bool {
        match self {
            // A pod's identity may come a moment after the pod.
            Self::Store(error) => {
                matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::NoCredentials)
            }
            Self::Base(error) => matches!(error, BaseError::Io(_)),
            Self::Pins(_) => false,
            Self::Skew(_) | Self::PinsChanged => true,
        }
    }
}

/// What is to be kept, and what goes.
pub struct Decision {
    /// What is stored.
    pub catalogue: Catalogue,
    /// What is to be kept.
    pub wish: Wish,
    /// The points with a name that are among it.
    pub named: Vec<NamedPin>,
    /// The points with a name that is over.
    pub over: Vec<NamedPin>,
    /// Their names in the store. Once there is another one, nothing more is deleted.
    pub known: BTreeSet<String>,
    /// What becomes of what is stored.
    pub plan: Plan,
}

/// Decides what goes, if every point since `window` milliseconds ago, these and those with a name are kept. Where it is to be deleted,
/// the bases that this relies on are `proved`, which may take hours: nothing goes if points were named meanwhile.
pub async fn decide(
    store: &Store,
    identity: &str,
    mut catalogue: Catalogue,
    (window, mut pins, now): (i64, Vec<Pin>, i64),
    proved: bool,
    damaged: &mut dyn FnMut(&str),
) -> Result<Decision, PruneError> {
    let before = pins::names(store, identity).await?;
    let all = pins::all(store, identity).await?;
    let (named, over): (Vec<NamedPin>, Vec<NamedPin>) = all.iter().cloned().partition(|pin| pin.counts(now));
    pins.extend(named.iter().map(NamedPin::pin));
    let wish = Wish { window, pins };
    let plan = if proved {
        proved_plan(store, identity, &mut catalogue, &wish, now, damaged).await?
    } else {
        retention::plan(&catalogue, &wish, now)
    };
    let mut known = before;
    if proved {
        // Proving bases may take hours, and a schedule pins meanwhile.
        let anchor = catalogue.bases.iter().find(|base| plan.anchor.as_ref() == Some(&base.key));
        let anchor = anchor.and_then(|base| match base.state {
            BaseState::Complete { end, .. } => Some(end),
            BaseState::Retired { .. } | BaseState::Begun { .. } => None,
        });
        let now_there = pins::names(store, identity).await?;
        for pin in pins::all(store, identity).await? {
            let counted = all.contains(&pin);
            // From the base of the window on all stays anyway.
            if !counted && anchor.is_none_or(|anchor| pin.from < anchor) {
                return Err(PruneError::PinsChanged);
            }
        }
        known.extend(now_there);
    }
    Ok(Decision { catalogue, wish, named, over, known, plan })
}

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
}

impl<'a> Pruner<'a> {
    /// Nothing is deleted yet.
    pub fn new(store: &'a Store, identity: &'a str, tell: &'a mut dyn FnMut(News<'_>)) -> Self {
        Self { store, identity, tell, tally: Tally::default(), silent: 0, refused: 0, pinned: false }
    }

    /// Deletes what is to go.
    pub async fn carry_out(mut self, decision: &Decision) -> Tally {
        let Decision { catalogue, plan, over, known, wish: _, named: _ } = decision;
        for step in [Fate::Retire, Fate::Clear] {
            for (base, (_, fate)) in catalogue.bases.iter().zip(&plan.bases) {
                if *fate == step && self.pins_are(known).await {
                    self.base(base, &step).await;
                }
            }
        }
        for cut in &plan.cuts {
            if self.pins_are(known).await {
                self.cut(catalogue, cut).await;
            }
        }
        self.refused = 0;
        for pin in over {
            if self.is_silent() {
                self.tally.left += 1;
                continue;
            }
            let deleted = pins::drop_over(self.store, self.identity, pin).await;
            self.count(deleted);
        }
        self.tally
    }

    /// Whether no pin has come. If one has, or nobody knows, the rest is left for the next run.
    async fn pins_are(&mut self, known: &BTreeSet<String>) -> bool {
        if self.pinned {
            self.tally.left += 1;
            return false;
        }
        match pins::names(self.store, self.identity).await {
            Ok(now) if now.is_subset(known) => true,
            Ok(_) => {
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
        match catalogue::base(self.store, self.identity, base.key.clone()).await {
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
        self.all(names.into_iter(), base.parts.len()).await;
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
        self.all(cut.order().map(name), cut.to - cut.from).await;
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

    async fn all(&mut self, names: impl Iterator<Item = String>, count: usize) {
        let store = self.store;
        let mut deletions =
            stream::iter(names).map(|name| async move { store.delete(&name).await }).buffer_unordered(AT_ONCE);
        let mut tried = 0;
        while !self.is_silent() && self.refused < MOST_REFUSALS {
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
