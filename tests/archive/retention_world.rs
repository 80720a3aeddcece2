//! Archives as they come to be: with gaps, late segments, other disks, fuzzy, damaged and abandoned bases; and who deletes from them.

use std::collections::{BTreeMap, BTreeSet};

use menagerie::archive::doubt::Ends;
use menagerie::archive::key::{BaseKey, Chain, DiskId};
use menagerie::archive::retention::{Base, BaseState, Catalogue, ChainLog, StoredSegment};
use menagerie::model::ServerId;
use rand::Rng as _;
use rand::rngs::StdRng;
use zookeeper_files::ids::Zxid;

use super::retention::HOUR;
use super::shipping::at;

const STEPS: usize = 60;

/// What is in the store: by its name, when it was stored.
#[derive(Clone, Default)]
pub struct Archive {
    /// By chain and first transaction: what it holds.
    pub segments: BTreeMap<(usize, Zxid), (BTreeSet<Zxid>, i64)>,
    pub bases: BTreeMap<BaseKey, Stored>,
}

#[derive(Clone, Default)]
pub struct Stored {
    /// When, the end, and whether the bytes of all parts are right.
    pub manifest: Option<(i64, Zxid, bool)>,
    pub mark: Option<i64>,
    pub parts: BTreeMap<u32, i64>,
}

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Manifest(BaseKey),
    Part(BaseKey, u32),
    Mark(BaseKey),
    Segment(usize, Zxid),
}

pub fn chain(number: usize) -> Chain {
    Chain::of(ServerId(u32::try_from(number % 3).unwrap() + 1), DiskId::from_bits(number as u64))
}

impl Archive {
    pub fn catalogue(&self) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (&(number, first), (_, stored)) in &self.segments {
            while catalogue.chains.len() <= number {
                let chain = chain(catalogue.chains.len());
                catalogue.chains.push(ChainLog { chain, segments: Vec::new() });
            }
            let stored = u32::try_from(stored / 1000).unwrap();
            catalogue.chains[number].segments.push(StoredSegment { first, stored, bytes: 1 });
        }
        for (key, base) in &self.bases {
            let state = match (base.manifest, base.mark) {
                (Some((stored, end, sound)), mark) => {
                    BaseState::Complete { stored, end, sound, marked: mark.is_some() }
                }
                (None, Some(since)) => BaseState::Retired { since },
                (None, None) => match base.parts.values().max() {
                    Some(&latest) => BaseState::Begun { latest },
                    None => continue,
                },
            };
            let parts = base.parts.keys().copied().collect();
            let doubt = match state {
                BaseState::Complete { stored, end, .. } => Ends::of(&catalogue.chains).doubt(key, end, stored),
                _ => None,
            };
            catalogue.bases.push(Base { key: key.clone(), state, parts, bytes: 1, doubt });
        }
        catalogue
    }

    /// The transactions after which the tree can be built: from a base and all log from its name on, or from all log there ever was.
    pub fn points(&self, committed: &[(Zxid, i64)]) -> BTreeSet<Zxid> {
        let held: BTreeSet<Zxid> = self.segments.values().flat_map(|(zxids, _)| zxids.iter().copied()).collect();
        let mut starts = vec![(Zxid(0), Zxid(0))];
        for (key, base) in &self.bases {
            if let (Some((_, end, true)), true) = (base.manifest, base.parts.len() == 2) {
                starts.push((key.zxid, end));
            }
        }
        let mut points = BTreeSet::new();
        for (name, end) in starts {
            let mut whole = true;
            for &(zxid, _) in committed {
                whole &= zxid <= name || held.contains(&zxid);
                if whole && zxid >= end {
                    points.insert(zxid);
                }
            }
        }
        points
    }

    pub fn delete(&mut self, object: &Object) {
        match object {
            Object::Manifest(key) => drop(self.bases.get_mut(key).and_then(|base| base.manifest.take())),
            Object::Part(key, part) => drop(self.bases.get_mut(key).and_then(|base| base.parts.remove(part))),
            Object::Mark(key) => drop(self.bases.get_mut(key).and_then(|base| base.mark.take())),
            Object::Segment(chain, first) => drop(self.segments.remove(&(*chain, *first))),
        }
    }
}

pub struct World {
    pub committed: Vec<(Zxid, i64)>,
    pub archive: Archive,
    pub now: i64,
}

/// Some days of an ensemble.
pub fn world(rng: &mut StdRng) -> World {
    let mut world = World { committed: Vec::new(), archive: Archive::default(), now: 1_000_000_000 };
    let (mut epoch, mut counter) = (1, 0);
    // The chains that ship, and how much of the log each has seen.
    let mut chains: Vec<(usize, usize)> = vec![(0, 0), (1, 0)];
    let mut next_chain = 2;
    for _ in 0..STEPS {
        world.now += rng.random_range(0..3 * HOUR);
        if rng.random_bool(0.1) {
            (epoch, counter) = (epoch + 1, 0);
        }
        for _ in 0..rng.random_range(0..4) {
            counter += 1;
            world.committed.push((at(epoch, counter), world.now));
        }
        for (chain, seen) in &mut chains {
            if rng.random_bool(0.1) {
                // Purged before the store took it.
                *seen = rng.random_range(*seen..=world.committed.len());
            }
            while rng.random_bool(0.6) && *seen < world.committed.len() {
                let end = rng.random_range(*seen..world.committed.len()) + 1;
                let zxids: BTreeSet<Zxid> = world.committed[*seen..end].iter().map(|(zxid, _)| *zxid).collect();
                let first = *zxids.first().unwrap();
                world.archive.segments.insert((*chain, first), (zxids, world.now));
                *seen = end;
            }
        }
        if rng.random_bool(0.04) {
            let replaced = rng.random_range(0..chains.len());
            let behind = rng.random_range(0..4).min(world.committed.len());
            chains[replaced] = (next_chain, world.committed.len() - behind);
            next_chain += 1;
        }
        if rng.random_bool(0.3) {
            let (chain_number, _) = chains[rng.random_range(0..chains.len())];
            base(&mut world, rng, chain_number);
        }
        if rng.random_bool(0.02) {
            // Whoever may put an object stores a base that no other is newer than.
            let zxid = Zxid(i64::MAX.unsigned_abs() - rng.random_range(0..1000));
            let parts = BTreeMap::from([(0, world.now), (1, world.now)]);
            let forged = Stored { manifest: Some((world.now, zxid, true)), parts, mark: None };
            world.archive.bases.insert(BaseKey { zxid, chain: chain(0) }, forged);
        }
    }
    world.now += rng.random_range(0..30 * HOUR);
    world
}

/// Ships a base of a chain, or begins to.
fn base(world: &mut World, rng: &mut StdRng, number: usize) {
    let held: BTreeSet<Zxid> = world
        .archive
        .segments
        .iter()
        .filter(|((chain, _), _)| *chain == number)
        .flat_map(|(_, (zxids, _))| zxids.iter().copied())
        .collect();
    if world.committed.is_empty() {
        return;
    }
    let name_at = rng.random_range(0..world.committed.len());
    let end_at = (name_at + rng.random_range(0..3)).min(world.committed.len() - 1);
    let (name, end) = (world.committed[name_at].0, world.committed[end_at].0);
    let archived = world.committed[name_at..=end_at].iter().all(|(zxid, _)| held.contains(zxid));
    let key = BaseKey { zxid: name, chain: chain(number) };
    if name.epoch() != end.epoch() || world.archive.bases.contains_key(&key) {
        return;
    }
    let mut stored = Stored { parts: BTreeMap::from([(0, world.now)]), ..Stored::default() };
    if archived && rng.random_bool(0.9) {
        stored.parts.insert(1, world.now);
        stored.manifest = Some((world.now, end, rng.random_bool(0.85)));
        if rng.random_bool(0.05) {
            stored.mark = Some(world.now);
        }
    }
    world.archive.bases.insert(key, stored);
}

/// What a runner does, one request after the other.
#[derive(Clone, Debug)]
pub enum Request {
    Mark(BaseKey),
    Delete(Object),
    /// Looks at a base again, and leaves it alone if it has changed.
    Check(BaseKey, BaseState),
}

/// A runner of `menagerie archive prune`.
pub struct Runner {
    requests: std::vec::IntoIter<Request>,
    /// The base that it leaves alone.
    leaves: Option<BaseKey>,
}

impl Runner {
    pub fn new(requests: Vec<Request>) -> Self {
        Self { requests: requests.into_iter(), leaves: None }
    }

    /// Does its next request; `None` at its end.
    pub fn next(&mut self, archive: &mut Archive, now: i64) -> Option<Request> {
        let request = self.requests.next()?;
        match &request {
            // The younger one counts.
            Request::Mark(key) => archive.bases.entry(key.clone()).or_default().mark = Some(now),
            Request::Delete(Object::Part(key, _) | Object::Mark(key)) if self.leaves.as_ref() == Some(key) => {}
            Request::Delete(object) => archive.delete(object),
            Request::Check(key, state) => {
                let bases = archive.catalogue().bases;
                let same = bases.iter().any(|base| base.key == *key && base.state == *state);
                self.leaves = (!same).then(|| key.clone());
            }
        }
        Some(request)
    }
}
