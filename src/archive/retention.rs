//! Retention: what of an archive is kept and why, and what goes, in which order.
//!
//! What is needed for a point of the past is a base that was whole before it, and all log from the base's name on. When a base was
//! stored, the archive had all that it holds. So the newest base that is as old as the window, by the store's own clock, gives the
//! tree at every point of the window: the *anchor*. It needs no segment to be read: lists tell enough.
//!
//! - Without an anchor nothing goes that a tree can be built from. With one, what is newer than it stays, and all log from its name on.
//! - A base in [`doubt`](super::doubt) is no anchor: the next older one is, which only keeps more.
//! - A base that cannot be read is no anchor either, and stays with all log from its name on.
//! - A pin keeps the newest base that was whole before it, and the log between the two.
//! - A base goes in two steps. First it is retired: a mark is stored and its manifest deleted, and nobody begins to build from it. Its
//!   parts, and the log that it needs, go an hour later: whoever is building from it has that long.
//! - A roll-up waits until the segments that it was made of are gone: without it, one of them that is left would stand before a hole.
//! - A segment goes only if the list has a later one of its chain that begins at or before where the log is needed: so it ends before
//!   that. The last one of a chain stays for ever: by it an agent knows where to go on.
//!
//! Invariant: what a list lacks is no reason to delete anything else. It may be old, or cut short.

use zookeeper_files::ids::Zxid;

use super::doubt::Doubt;
use super::key::{BaseKey, Chain};
use crate::model::archive::leads;

/// In milliseconds: so long after it was retired a base's parts and log stay, and so much older than the window is what goes.
pub const GRACE: i64 = 60 * 60 * 1000;
/// In milliseconds: after so long without a new part, a base without a manifest was given up.
pub const ABANDONED: i64 = 24 * 60 * 60 * 1000;
/// In milliseconds: so much our clock and the store's may differ.
pub const MOST_SKEW: i64 = 5 * 60 * 1000;

/// What is stored of an ensemble. All times are the store's, in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Bases, in the order of their names.
    pub bases: Vec<Base>,
    /// Chains.
    pub chains: Vec<ChainLog>,
}

/// What is stored under the name of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub key: BaseKey,
    /// How far it is there.
    pub state: BaseState,
    /// The numbers of its parts that are there.
    pub parts: Vec<u32>,
    /// All bytes that are there.
    pub bytes: u64,
    /// Why nothing goes for its sake.
    pub doubt: Option<Doubt>,
}

/// How far a base is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseState {
    /// It has a manifest.
    Complete {
        /// When that was stored.
        stored: i64,
        /// From here on the tree can be built; the name of one whose manifest is damaged.
        end: Zxid,
        /// Whether the manifest can be read and every part is there with its size. If not, nothing is built on it.
        sound: bool,
        /// Whether it has the mark of one that is retired as well: somebody began to.
        marked: bool,
    },
    /// It has no manifest, and the mark of one that is retired.
    Retired {
        /// Since when.
        since: i64,
    },
    /// It has no manifest: it is on its way, or was given up.
    Begun {
        /// When the last of its parts was stored.
        latest: i64,
    },
    /// What is stored under its name cannot be read. Nobody knows what it is: nothing is built on it, and nothing goes that it may need.
    Unread,
}

/// What is stored of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLog {
    /// The chain.
    pub chain: Chain,
    /// Its segments, in the order of their names.
    pub segments: Vec<StoredSegment>,
}

impl ChainLog {
    /// Whether a segment is listed that begins there, and is not the last one of its chain, which is never rolled up.
    fn has_between(&self, from: Zxid, to: Zxid) -> bool {
        let before = |zxid| self.segments.partition_point(|segment| segment.first < zxid);
        before(from) < before(to).min(self.segments.len().saturating_sub(1))
    }
}

/// What a list says of a segment. There may be millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its first transaction.
    pub first: Zxid,
    /// When it was stored, in seconds since 1970.
    pub stored: u32,
    /// Its size.
    pub bytes: u32,
}

/// What is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// In milliseconds: for so long back the tree can be built at every point.
    pub window: i64,
    /// Points that stay, whatever their age.
    pub pins: Vec<Pin>,
}

/// A point that stays: a zxid, or all zxids that a time may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The first of them.
    pub from: Zxid,
    /// The last of them.
    pub to: Zxid,
}

/// What is done with an archive, in this order: `retire`, `clear`, `cuts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The base from which every point of the window can be built.
    pub anchor: Option<BaseKey>,
    /// What becomes of each base, in the order of their names.
    pub bases: Vec<(BaseKey, Fate)>,
    /// The segments that go.
    pub cuts: Vec<Cut>,
    /// For each pin the base from which it can be built. Where there is none, all log up to the pin stays.
    pub pinned: Vec<Option<BaseKey>>,
}

/// What becomes of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Keep(Vec<Reason>),
    /// Its manifest goes now, the rest after the grace.
    Retire,
    /// It is retired, and the rest goes when this time has come.
    Waits(i64),
    /// Its parts go.
    Clear,
}

/// Why a base stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is the newest one from which a tree can be built.
    Newest,
    /// All points of the window are built from it, until this time if there is a newer one.
    Window(Option<i64>),
    /// It is younger than the one from which the window is built, and will be that until this time if there is a newer one.
    Younger(Option<i64>),
    /// None is as old as the window yet.
    NoneOlder,
    /// The pin with this number is built from it, or might be.
    Pin(usize),
    /// Its parts were stored a short time ago: it may be on its way.
    Begun,
    /// Nobody knows what it is.
    Unread,
}

/// Segments of a chain that go, one after the other: all from one place in it up to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The number of the chain in the catalogue.
    pub chain: usize,
    /// The first that goes.
    pub from: usize,
    /// The first after it that stays.
    pub to: usize,
}

impl Cut {
    /// In which order they go: at the beginning of a chain the oldest first. In the middle the newest first, so that what is left
    /// ends where the next base begins, whenever it breaks off.
    pub fn order(&self) -> Box<dyn Iterator<Item = usize>> {
        if self.from == 0 { Box::new(self.from..self.to) } else { Box::new((self.from..self.to).rev()) }
    }
}

/// Why nothing may be deleted by these clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clocks of this machine and of the store are {} s apart", .0 / 1000)]
pub struct Skew(pub i64);

/// What time it is: the earlier of our clock and the store's, both in milliseconds since 1970.
pub fn now(ours: i64, stores: i64) -> Result<i64, Skew> {
    let apart = ours.saturating_sub(stores).saturating_abs();
    if apart > MOST_SKEW { Err(Skew(apart)) } else { Ok(ours.min(stores)) }
}

/// Transactions whose log stays.
#[derive(Clone, Copy)]
struct Needed {
    first: Zxid,
    last: Zxid,
}

/// Decides what becomes of an archive.
pub fn plan(catalogue: &Catalogue, wish: &Wish, now: i64) -> Plan {
    // A list without any log is no list of an archive.
    if catalogue.chains.iter().all(|chain| chain.segments.is_empty()) {
        let bases =
            catalogue.bases.iter().map(|base| (base.key.clone(), Fate::Keep(vec![Reason::NoneOlder]))).collect();
        return Plan { bases, ..Plan::default() };
    }
    let horizon = now.saturating_sub(wish.window).saturating_sub(GRACE);
    let anchor =
        catalogue.bases.iter().rfind(|base| catalogue.relied_on(base).is_some_and(|whole| whole.stored <= horizon));
    let newest = catalogue.bases.iter().rfind(|base| catalogue.relied_on(base).is_some());
    let pinned = Pinned::of(catalogue, &wish.pins);
    // From here on all log stays.
    let mut floor = Zxid(u64::MAX);
    let mut bases = Vec::new();
    for (number, base) in catalogue.bases.iter().enumerate() {
        let mut reasons: Vec<Reason> = pinned.of_base(number).collect();
        let fate = match base.state {
            BaseState::Complete { stored, .. } => {
                let until =
                    catalogue.next_relied_on(number).map(|next| next.saturating_add(wish.window).saturating_add(GRACE));
                match anchor {
                    None => reasons.push(Reason::NoneOlder),
                    Some(anchor) if anchor.key == base.key => reasons.push(Reason::Window(until)),
                    Some(anchor) if base.key > anchor.key || stored > horizon => reasons.push(Reason::Younger(until)),
                    Some(_) => {}
                }
                if newest.is_some_and(|newest| newest.key == base.key) {
                    reasons.push(Reason::Newest);
                }
                if reasons.is_empty() { Fate::Retire } else { Fate::Keep(reasons) }
            }
            BaseState::Retired { since } => match since.saturating_add(GRACE) {
                until if until > now => Fate::Waits(until),
                _ => Fate::Clear,
            },
            BaseState::Begun { latest } if latest.saturating_add(ABANDONED) > now => Fate::Keep(vec![Reason::Begun]),
            BaseState::Begun { .. } => Fate::Clear,
            BaseState::Unread => {
                reasons.push(Reason::Unread);
                Fate::Keep(reasons)
            }
        };
        let pinned_only = matches!(&fate, Fate::Keep(why) if why.iter().all(|why| matches!(why, Reason::Pin(_))));
        if fate != Fate::Clear && !pinned_only {
            floor = floor.min(base.key.zxid);
        }
        bases.push((base.key.clone(), fate));
    }
    let mut needed = pinned.needed;
    needed.push(Needed { first: floor, last: Zxid(u64::MAX) });
    let cuts = if anchor.is_some() { cuts(catalogue, &needed, horizon) } else { Vec::new() };
    Plan { anchor: anchor.map(|base| base.key.clone()), bases, cuts, pinned: pinned.built_from }
}

/// A base from which a tree can be built.
#[derive(Clone, Copy)]
struct Whole {
    stored: i64,
    end: Zxid,
}

impl Plan {
    /// Whether it deletes anything.
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty() && !self.bases.iter().any(|(_, fate)| matches!(fate, Fate::Retire | Fate::Clear))
    }

    /// The bases for whose sake others go, and log.
    pub fn relied_on(&self) -> impl Iterator<Item = &BaseKey> {
        self.anchor.iter().chain(self.pinned.iter().flatten())
    }
}

impl Catalogue {
    /// The oldest base from which a tree can be built.
    pub fn oldest_whole(&self) -> Option<&Base> {
        self.bases.iter().find(|base| self.whole(base).is_some())
    }

    /// Takes a base for one from which nothing can be built: it was read, and is damaged.
    pub fn distrust(&mut self, key: &BaseKey) {
        for base in self.bases.iter_mut().filter(|base| base.key == *key) {
            if let BaseState::Complete { sound, .. } = &mut base.state {
                *sound = false;
            }
        }
    }

    /// Takes a base for one of which nobody knows what it is: it was to be read, and could not be.
    pub fn leave(&mut self, key: &BaseKey) {
        for base in self.bases.iter_mut().filter(|base| base.key == *key) {
            base.state = BaseState::Unread;
        }
    }

    fn whole(&self, base: &Base) -> Option<Whole> {
        match base.state {
            BaseState::Complete { stored, end, sound: true, .. } => {
                // What it needs was in the archive when it was stored: a list without any of it lacks something.
                let has_log =
                    |chain: &ChainLog| chain.segments.first().is_some_and(|segment| leads(end, segment.first));
                self.chains.iter().any(has_log).then_some(Whole { stored, end })
            }
            _ => None,
        }
    }

    /// Of two that are whole, the newer one makes the older one needless only if it is in no doubt.
    fn relied_on(&self, base: &Base) -> Option<Whole> {
        self.whole(base).filter(|_| base.doubt.is_none())
    }

    /// When the next base that can be relied on was stored.
    fn next_relied_on(&self, number: usize) -> Option<i64> {
        self.bases[number + 1..].iter().find_map(|base| self.relied_on(base)).map(|whole| whole.stored)
    }
}

/// What pins keep.
struct Pinned {
    /// For each pin, the numbers of the first and the last base that it keeps.
    bases: Vec<Option<(usize, usize)>>,
    needed: Vec<Needed>,
    built_from: Vec<Option<BaseKey>>,
}

impl Pinned {
    fn of(catalogue: &Catalogue, pins: &[Pin]) -> Self {
        let mut pinned = Self { bases: Vec::new(), needed: Vec::new(), built_from: Vec::new() };
        for pin in pins {
            let before = |base: &Base| catalogue.relied_on(base).is_some_and(|whole| whole.end <= pin.from);
            let from = catalogue.bases.iter().rposition(before);
            let first = from.map_or(Zxid::default(), |from| catalogue.bases[from].key.zxid);
            pinned.needed.push(Needed { first, last: pin.to });
            pinned.built_from.push(from.map(|from| catalogue.bases[from].key.clone()));
            // One that is not whole by this list may be so by the next.
            let last = catalogue.bases.iter().rposition(|base| base.key.zxid <= pin.to);
            pinned.bases.push(last.map(|last| (from.unwrap_or_default(), last)));
        }
        pinned
    }

    fn of_base(&self, number: usize) -> impl Iterator<Item = Reason> {
        let pins = self.bases.iter().enumerate();
        let keeps =
            move |range: &Option<(usize, usize)>| range.is_some_and(|(from, last)| (from..=last).contains(&number));
        pins.filter(move |(_, range)| keeps(range)).map(|(pin, _)| Reason::Pin(pin))
    }
}

/// The segments that nothing needs and that are old enough.
fn cuts(catalogue: &Catalogue, needed: &[Needed], horizon: i64) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = Vec::new();
    for (chain, log) in catalogue.chains.iter().enumerate() {
        let rolled = catalogue.chains.iter().find(|source| log.chain.rolled && source.chain.rolled() == log.chain);
        for (number, pair) in log.segments.windows(2).enumerate() {
            let [segment, next] = pair else { continue };
            if rolled.is_some_and(|source| source.has_between(segment.first, next.first)) {
                continue;
            }
            // It ends before the next one begins. The one with the transaction of the name stays: it shows that the log goes on there.
            let keeps = |needed: &Needed| next.first > needed.first && segment.first <= needed.last;
            if i64::from(segment.stored) * 1000 + 999 > horizon || needed.iter().any(keeps) {
                continue;
            }
            match cuts.last_mut() {
                Some(cut) if cut.chain == chain && cut.to == number => cut.to = number + 1,
                _ => cuts.push(Cut { chain, from: number, to: number + 1 }),
            }
        }
    }
    cuts
}
