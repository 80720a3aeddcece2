//! Reads what is stored of an ensemble, as [`super::retention`] wants it: lists, and the manifest of each base.
//!
//! Invariant: whether a base has a manifest is asked by its name. A list may be older than the manifest.

use std::collections::HashMap;

use super::bases::{self, BaseError};
use super::chains;
use super::doubt::{Doubt, Ends};
use super::key::{BaseKey, Chain, SegmentKey};
use super::manifest::{Manifest, NotABase};
use super::retention::{Base, BaseState, Catalogue, ChainLog, StoredSegment};
use super::shipper::ShipError;
use super::store::{Listed, Store, StoreError};

/// How many segments a chain may have here: 16 bytes each. At one a second, seven months.
const MOST_SEGMENTS: usize = 20_000_000;
/// How many objects a base may have: one of 100 GiB has 53,000.
const MOST_PARTS: usize = 100_000;

/// What is heard of a reading.
pub enum Told<'a> {
    /// So many segments of a chain are listed.
    Listed(&'a Chain, usize),
    /// A base is damaged: nothing is built on it.
    Damaged(&'a str),
    /// A base cannot be read, while others may be: it stays, and what it may need.
    Unread(&'a str),
}

/// Reads what is stored of an ensemble, and tells what cannot be read.
pub async fn read(store: &Store, identity: &str, told: &mut dyn FnMut(Told<'_>)) -> Result<Catalogue, BaseError> {
    let mut catalogue = Catalogue::default();
    // The log first: what is stored meanwhile is younger than what counts.
    for chain in chains::chains(store, identity).await? {
        let segments = segments(store, identity, &chain, told).await?;
        catalogue.chains.push(ChainLog { chain, segments });
    }
    let ends = Ends::of(&catalogue.chains);
    for key in bases::keys(store, identity).await? {
        let found = match base(store, identity, key.clone(), &mut |what| told(Told::Damaged(what))).await {
            Err(error) if error.is_of_one_base() => {
                told(Told::Unread(&format!(
                    "base {:#} of {} stays, and what it may need: {error}",
                    key.zxid, key.chain
                )));
                Some(Base { key, state: BaseState::Unread, parts: Vec::new(), bytes: 0, doubt: None })
            }
            found => found?,
        };
        let Some(mut base) = found else { continue };
        if let BaseState::Complete { stored, end, .. } = base.state {
            base.doubt = base.doubt.or_else(|| ends.doubt(&base.key, end, stored));
        }
        catalogue.bases.push(base);
    }
    Ok(catalogue)
}

async fn segments(
    store: &Store,
    identity: &str,
    chain: &Chain,
    told: &mut dyn FnMut(Told<'_>),
) -> Result<Vec<StoredSegment>, StoreError> {
    let mut segments = Vec::new();
    let take = |object: Listed| {
        let Some(key) = SegmentKey::parse(identity, &object.name) else { return };
        // A time that is none is the latest: it counts as young.
        let stored = u32::try_from(object.stored.div_euclid(1000)).unwrap_or(u32::MAX);
        segments.push(StoredSegment {
            first: key.first,
            stored,
            bytes: u32::try_from(object.bytes).unwrap_or(u32::MAX),
        });
        if segments.len().is_multiple_of(10_000) {
            told(Told::Listed(chain, segments.len()));
        }
    };
    store.entries(&SegmentKey::folder(identity, chain), MOST_SEGMENTS, take).await?;
    segments.sort_unstable_by_key(|segment| segment.first);
    segments.dedup_by_key(|segment| segment.first);
    Ok(segments)
}

/// What there is of a base; `None` if nothing. In doubt it is only for what its own chain lacks. `damaged` hears of one that is.
pub async fn base(
    store: &Store,
    identity: &str,
    key: BaseKey,
    damaged: &mut dyn FnMut(&str),
) -> Result<Option<Base>, BaseError> {
    let mut listed = Parts::of(store, identity, &key).await?;
    let mut doubt = None;
    let state = match bases::manifest(store, identity, &key).await {
        Ok(Some(manifest)) => {
            let proved = match chains::holds(store, identity, &key.chain, manifest.proved_by).await {
                Err(ShipError::Store(error)) => return Err(error.into()),
                holds => holds.unwrap_or(false),
            };
            doubt = (!proved).then_some(Doubt::Unproved);
            // It may have been completed since.
            if !listed.are_all_of(&manifest) {
                listed = Parts::of(store, identity, &key).await?;
            }
            let whole = listed.are_all_of(&manifest);
            if !whole {
                let folder = key.folder(identity);
                damaged(&format!("{folder} is damaged: a part is missing, or not as long as its manifest says"));
            }
            Some((manifest.end, whole))
        }
        Ok(None) => None,
        // What a later version wrote is not ours to judge.
        Err(error @ BaseError::Damaged { why: NotABase::Format(_), .. }) => return Err(error),
        Err(error @ BaseError::Damaged { .. }) => {
            damaged(&error.to_string());
            Some((key.zxid, false))
        }
        Err(error) => return Err(error),
    };
    let Parts { sizes, latest, bytes } = listed;
    let mut parts: Vec<u32> = sizes.into_keys().collect();
    parts.sort_unstable();
    let [mark, again] = marks(store, identity, &key).await?;
    let mark = mark.max(again);
    let state = match (state, mark) {
        (Some((end, sound)), mark) => match store.look(&key.manifest(identity)).await? {
            Some(manifest) => BaseState::Complete { stored: manifest.stored, end, sound, marked: mark.is_some() },
            // Somebody else retires it just now.
            None => BaseState::Complete { stored: i64::MAX, end, sound: false, marked: mark.is_some() },
        },
        (None, Some(since)) => BaseState::Retired { since },
        (None, None) if parts.is_empty() => return Ok(None),
        (None, None) => BaseState::Begun { latest },
    };
    Ok(Some(Base { key, state, parts, bytes, doubt }))
}

/// When each of its marks was stored.
pub(super) async fn marks(store: &Store, identity: &str, key: &BaseKey) -> Result<[Option<i64>; 2], StoreError> {
    let mut times = [None; 2];
    for (time, name) in times.iter_mut().zip(key.marks(identity)) {
        *time = store.look(&name).await?.map(|mark| mark.stored);
    }
    Ok(times)
}

/// What a list has of a base.
struct Parts {
    sizes: HashMap<u32, u64>,
    /// When the last part was stored.
    latest: i64,
    /// All bytes that are there.
    bytes: u64,
}

impl Parts {
    async fn of(store: &Store, identity: &str, key: &BaseKey) -> Result<Self, StoreError> {
        let folder = key.folder(identity);
        let mut parts = Self { sizes: HashMap::new(), latest: i64::MIN, bytes: 0 };
        let take = |object: Listed| {
            parts.bytes += object.bytes;
            let name = object.name.strip_prefix(&folder).and_then(|rest| rest.strip_prefix('/'));
            let number = name.and_then(|name| name.parse::<u32>().ok());
            // Only one spelling of a number is a part.
            if let Some(number) = number.filter(|&number| key.part(identity, number as usize) == object.name) {
                parts.latest = parts.latest.max(object.stored);
                parts.sizes.insert(number, object.bytes);
            }
        };
        store.entries(&folder, MOST_PARTS, take).await?;
        Ok(parts)
    }

    /// Whether every part of a base is there with its size.
    fn are_all_of(&self, manifest: &Manifest) -> bool {
        let there = |(number, bytes): (u32, u64)| self.sizes.get(&number) == Some(&bytes);
        (0..).zip(manifest.parts.iter().map(|part| part.bytes)).all(there)
    }
}
