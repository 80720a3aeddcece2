//! Has [`super::retention`] decide on what is stored, for the command, and for the Jobs of an ensemble. `pruner` carries it out.
//!
//! Invariant: before anything goes, the bases that are relied on are read to their ends.

use std::collections::BTreeSet;

use bytes::Bytes;
use rand::RngCore as _;

use super::bases::{self, BaseError};
use super::key::BaseKey;
use super::pins::{self, NamedPin, PinError, StoredPin};
use super::retention::{self, BaseState, Catalogue, Pin, Plan, Skew, Wish};
use super::store::{Store, StoreError, StoreErrorKind};
use zookeeper_files::ids::Zxid;

const CLOCK: &[u8] = b"Menagerie asks here for the time of the store. It may be deleted.\n";

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
            Err(error) if error.is_of_one_base() => {
                damaged(&error.to_string());
                catalogue.leave(&key);
            }
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
    /// All that are stored. Once there is another one, nothing more is deleted.
    pub known: BTreeSet<StoredPin>,
    /// From here on all stays, whoever names a point there.
    pub floor: Option<Zxid>,
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
    let before = pins::listed(store, identity).await?;
    let all = pins::all(store, identity).await?;
    let (named, over): (Vec<NamedPin>, Vec<NamedPin>) = all.iter().cloned().partition(|pin| pin.counts(now));
    pins.extend(named.iter().map(NamedPin::pin));
    let wish = Wish { window, pins };
    let plan = if proved {
        proved_plan(store, identity, &mut catalogue, &wish, now, damaged).await?
    } else {
        retention::plan(&catalogue, &wish, now)
    };
    let anchor = catalogue.bases.iter().find(|base| plan.anchor.as_ref() == Some(&base.key));
    let floor = anchor.and_then(|base| match base.state {
        BaseState::Complete { end, .. } => Some(end),
        BaseState::Retired { .. } | BaseState::Begun { .. } | BaseState::Unread => None,
    });
    let mut known = before;
    if proved {
        // Proving bases may take hours, and a schedule pins meanwhile.
        let there = pins::listed(store, identity).await?;
        for pin in pins::all(store, identity).await? {
            if !all.contains(&pin) && !stays(&pin, floor) {
                return Err(PruneError::PinsChanged);
            }
        }
        known.extend(there);
    }
    Ok(Decision { catalogue, wish, named, over, known, floor, plan })
}

/// Whether what a pin keeps stays without it.
pub(super) fn stays(pin: &NamedPin, floor: Option<Zxid>) -> bool {
    floor.is_some_and(|floor| pin.from >= floor)
}
