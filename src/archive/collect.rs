//! Brings from an archive what is needed to build the tree at one point, into a folder for each chain, and no more.
//!
//! A point is asked for by several founders, at different times, while the archive may grow: only one that will stay what it is
//! counts. So a zxid has to be in the archive, and after a time something has to be.
//!
//! Invariant: an object that cannot be read is missing in its own chain only. Whether the others have what was in it, [`lead_there`] decides.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use tracing::warn;
use zookeeper_files::atomic::Part;
use zookeeper_files::disk::Point;
use zookeeper_files::ids::{Zxid, ZxidRange};

use super::ahead::Reader;
use super::bases::{self, BaseError};
use super::blocks::Blocks;
use super::chains;
use super::key::{BaseKey, Chain, SegmentKey};
use super::lost::Lost;
use super::manifest::Manifest;
use super::segment::Segment;
use super::shipper::ShipError;
use super::store::{Store, StoreError};
use super::way::{Run, Way, lead_there};
use crate::view::time::iso_text;

/// So many segments at the end of a chain are asked for one that can be read: of the epochs in the others, a few are missing at most.
const LAST: usize = 16;
/// After so many refusals in a row the rest of a chain is not asked for: the right is missing, or all of it is frozen.
pub(super) const MOST_REFUSALS: usize = 200;
/// The folder of the base. What a chain lacks must not seem to be what its member never had, and it does only beside a snapshot: what
/// others have of it would be taken for what was never committed.
const BASE: &str = "base";

/// Why a point's files are not there.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The archive has nothing of this ensemble.
    #[error("{target} has no archived log of ensemble {identity}: menagerie archive list shows whom it has")]
    Nobody {
        /// The archive.
        target: String,
        /// Whose log is not there.
        identity: String,
    },
    /// Nothing in the archive is later.
    #[error(
        "the archive ends at {last:#} ({time}), and what belongs before the wanted time may still come: name an earlier time, or this zxid{lost}"
    )]
    Later {
        /// Its last transaction.
        last: Zxid,
        /// When that was.
        time: String,
        /// What could not be read.
        lost: Lost,
    },
    /// What the chains have does not lead from the base to the point.
    #[error(
        "the archive has no unbroken log to there: what is after {from:#} is missing, or nothing shows that it is not{lost}"
    )]
    Broken {
        /// Up to here it leads.
        from: Zxid,
        /// What could not be read.
        lost: Lost,
    },
    /// A base whose member's own log does not have the transaction that is to prove it.
    #[error("base {zxid:#} is not proved: the log of its own disk, {chain}, has no {proof:#}")]
    Unproved {
        /// The zxid in its name.
        zxid: Zxid,
        /// Whose it is.
        chain: Chain,
        /// What is to prove it.
        proof: Zxid,
    },
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment is damaged, or could not be read.
    #[error(transparent)]
    Segment(#[from] ShipError),
    /// A base is damaged, or could not be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// It could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is more than may be brought.
    #[error("what the point needs is more than may be written to {}", path.display())]
    TooMuch {
        /// Where.
        path: PathBuf,
    },
}

impl CollectError {
    /// Whether the archive may give later what it does not give now.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Later { .. } | Self::Store(_) | Self::Io { .. } => true,
            Self::Segment(error) => matches!(error, ShipError::Store(_)),
            Self::Base(error) => matches!(error, BaseError::Store(_) | BaseError::Io(_)),
            Self::Broken { lost, .. } => lost.may_pass(),
            Self::Nobody { .. } | Self::Unproved { .. } | Self::TooMuch { .. } => false,
        }
    }

    /// Whether no other base can lead where this one does not.
    pub fn is_of_all_bases(&self) -> bool {
        let of_all = |error: &StoreError| !error.is_of_one_object();
        match self {
            Self::Later { .. } | Self::Io { .. } | Self::TooMuch { .. } | Self::Base(BaseError::Io(_)) => true,
            Self::Store(error) | Self::Base(BaseError::Store(error)) | Self::Segment(ShipError::Store(error)) => {
                of_all(error)
            }
            _ => false,
        }
    }
}

/// What was brought.
pub struct Brought {
    /// The folders with it.
    pub folders: Vec<PathBuf>,
    /// What could not be.
    pub lost: Lost,
}

/// An ensemble's archive, as far as its lists tell.
pub struct Collection<'a> {
    store: &'a Store,
    identity: &'a str,
    reader: Reader,
    /// So many bytes may still be brought.
    room: AtomicU64,
    chains: Vec<Blocks>,
    bases: Vec<Manifest>,
    /// Bases whose manifests cannot be read.
    lost: Lost,
    epoch: u64,
}

impl<'a> Collection<'a> {
    /// Lists what there is of an ensemble.
    pub async fn of(store: &'a Store, identity: &'a str) -> Result<Self, CollectError> {
        let (mut found, mut epoch) = (Vec::new(), 0);
        for chain in chains::chains(store, identity).await? {
            let blocks = Blocks::of(store, identity, &chain).await?;
            let last = blocks.last_segments(store, identity, LAST).await?;
            if !last.is_empty() {
                // What the last segments say of themselves: a name alone is nothing, whoever may put objects can make one.
                epoch = epoch.max(last_epoch(store, identity, &last).await?);
                found.push(blocks);
            }
        }
        if found.is_empty() {
            return Err(CollectError::Nobody { target: store.target().to_string(), identity: identity.to_owned() });
        }
        let (mut bases, mut lost) = (Vec::new(), Lost::default());
        for key in bases::keys(store, identity).await? {
            match bases::manifest(store, identity, &key).await {
                Ok(None) => {}
                Ok(Some(manifest)) => bases.push(manifest),
                // One that cannot be read is no base: another one, or the log from its beginning, has to do.
                Err(error) => lost.base(error)?,
            }
        }
        let (reader, room) = (Reader::of(store, identity), AtomicU64::new(u64::MAX));
        Ok(Self { store, identity, reader, room, chains: found, bases, lost, epoch })
    }

    /// The same, of which no more than so many bytes are brought.
    #[must_use]
    pub fn within(self, room: u64) -> Self {
        Self { room: AtomicU64::new(room), ..self }
    }

    /// What was brought is deleted again.
    pub fn begin_anew(&self, room: u64) {
        self.room.store(room, Ordering::Relaxed);
    }

    fn needs(&self, bytes: u64, folder: &Path) -> Result<(), CollectError> {
        let left = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        left.map(|_| ()).map_err(|_| CollectError::TooMuch { path: folder.to_owned() })
    }

    /// The bases of which no more is known than that they cannot be read.
    pub fn lost(&self) -> &Lost {
        &self.lost
    }

    /// The bases that a point may be built from, newest first, and after them none: the log from its beginning.
    pub fn bases(&self, point: Point) -> Vec<Option<&Manifest>> {
        let before = |base: &&Manifest| match point {
            Point::Zxid(zxid) => base.end <= zxid,
            Point::Time(time) => base.made <= time,
            Point::End => true,
        };
        let mut bases: Vec<_> = self.bases.iter().filter(before).map(Some).collect();
        bases.sort_unstable_by_key(|base| base.map(|base| std::cmp::Reverse((base.end, base.zxid))));
        bases.push(None);
        bases
    }

    /// How else the tree at a point may be built than from this base by all chains: by the log of one disk alone. First from another base,
    /// by a chain that is not this base's own; then from this base.
    pub async fn other_ways(
        &self,
        point: Point,
        used: Option<&BaseKey>,
    ) -> Result<Vec<(Option<&Manifest>, &Chain)>, StoreError> {
        let own = |chain: &Chain| used.is_some_and(|used| used.chain == *chain);
        let mut alone: Vec<(&Chain, Zxid)> = Vec::new();
        for blocks in &self.chains {
            let segments = blocks.clone().first(1).segments(self.store, self.identity).await?;
            let Some(first) = segments.first().map(|key| key.first) else { continue };
            // The roll-ups of a disk and what is not rolled up yet are one log.
            match alone.iter_mut().find(|(chain, _)| chain.is_of_the_disk_of(blocks.chain())) {
                Some((_, earliest)) => *earliest = first.min(*earliest),
                None => alone.push((blocks.chain(), first)),
            }
        }
        alone.sort_by_key(|(chain, _)| own(chain));
        let is_used = |base: Option<&Manifest>| base.map(Manifest::key).as_ref() == used;
        let (same, others): (Vec<_>, Vec<_>) = self.bases(point).into_iter().partition(|base| is_used(*base));
        let mut ways = Vec::new();
        for base in others.into_iter().chain(same) {
            let after = base.map_or(bases::BEGINNING, |base| Zxid(base.zxid.0.saturating_add(1)));
            for &(chain, first) in &alone {
                // What a later epoch begins with may follow directly: that is not seen here.
                let leads = first <= after || first.epoch() > after.epoch();
                // By its own chain alone is hardly another way.
                if leads && (!is_used(base) || (alone.len() > 1 && !own(chain))) {
                    ways.push((base, chain));
                }
            }
        }
        Ok(ways)
    }

    /// The highest epoch in it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Writes a base and the log after it, up to just beyond the point, into folders of this one: the log of all chains, or that of one
    /// `alone`. `told` hears how far it is.
    pub async fn bring(
        &self,
        (base, alone): (Option<&Manifest>, Option<&Chain>),
        point: Point,
        to: &Path,
        told: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Brought, CollectError> {
        let mut folders = Vec::new();
        if let Some(base) = base {
            folders.push(self.bring_base(base, to).await?);
        }
        let from = base.map_or(Zxid(0), |base| base.zxid);
        let mut way = Way::to(point);
        let until = match point {
            Point::Zxid(zxid) => zxid,
            Point::Time(_) | Point::End => Zxid(u64::MAX),
        };
        let mut wanted = Vec::new();
        for blocks in
            self.chains.iter().filter(|blocks| alone.is_none_or(|alone| alone.is_of_the_disk_of(blocks.chain())))
        {
            let near = blocks.clone().within(ZxidRange { first: from, last: until.max(from) });
            wanted.push((blocks.chain(), near.segments(self.store, self.identity).await?));
        }
        let wanted: Vec<_> = wanted.iter().map(|(chain, segments)| (chain, since(segments, from))).collect();
        let of = wanted.iter().map(|(_, segments)| segments.len()).sum();
        let (mut before, mut just_read) = (0, None::<(&Chain, &[SegmentKey])>);
        for (chain, segments) in wanted {
            let folder = folder(to, &chain.to_string())?;
            // What a disk's segments have, its roll-ups need not bring again.
            let wanted = match just_read.filter(|(of, _)| **chain == of.rolled()) {
                Some((_, just_read)) if chain.rolled => way.not_just_read(segments, just_read),
                _ => segments.to_vec(),
            };
            way.begin_chain();
            if self.bring_chain(&wanted, &folder, &mut way, &|done| told(before + done, of)).await? {
                folders.push(folder);
            }
            just_read = Some((chain, segments));
            before += segments.len();
        }
        let Way { beyond, last, runs, lost, .. } = way;
        if let Err(from) = lead_there(runs, base, point) {
            return Err(CollectError::Broken { from, lost });
        }
        match (point, last) {
            (Point::Time(time), Some((last, latest))) if !beyond && latest <= time => {
                Err(CollectError::Later { last, time: iso_text(latest), lost })
            }
            _ => Ok(Brought { folders, lost }),
        }
    }

    async fn bring_base(&self, base: &Manifest, to: &Path) -> Result<PathBuf, CollectError> {
        let (chain, proof) = (base.chain.clone(), base.proved_by);
        // Whoever may put objects could make one up.
        if !chains::holds(self.store, self.identity, &chain, proof).await? {
            return Err(CollectError::Unproved { zxid: base.zxid, chain, proof });
        }
        let folder = folder(to, BASE)?;
        self.needs(base.bytes, &folder)?;
        let path = folder.join(base.file_name());
        let failed = |source| CollectError::Io { path: path.clone(), source };
        let mut file = Part::begin(&path, Some(0o600)).map_err(failed)?;
        bases::read(self.store, base, &mut |bytes| file.write_all(bytes)).await?;
        file.keep().map_err(failed)?;
        Ok(folder)
    }

    /// Writes what a chain has, as far as it can be read; false if nothing can.
    async fn bring_chain(
        &self,
        segments: &[SegmentKey],
        folder: &Path,
        way: &mut Way,
        told: &(dyn Fn(usize) + Sync),
    ) -> Result<bool, CollectError> {
        let (mut run, mut brought, mut refused) = (None::<Run>, false, 0);
        let mut segments = pin!(self.reader.ahead(segments).enumerate());
        while let Some((number, (key, read))) = segments.next().await {
            told(number);
            let beyond = way.is_beyond(key, None);
            // What is beyond the point is missing to nobody.
            let lost = if beyond { &mut Lost::default() } else { &mut way.lost };
            let Some(segment) = self.sound(key, read, lost, &mut refused)? else {
                if refused == MOST_REFUSALS || beyond {
                    break;
                }
                continue;
            };
            let facts = &segment.facts;
            match &mut run {
                Some(run) if run.goes_on(facts) => run.add(facts),
                other => way.runs.extend(other.replace(Run::begin(facts))),
            }
            self.needs(segment.log.len() as u64, folder)?;
            let path = folder.join(format!("log.{}", key.first));
            let failed = |source| CollectError::Io { path: path.clone(), source };
            let mut file = Part::begin(&path, Some(0o600)).map_err(failed)?;
            file.write_all(&segment.log).map_err(failed)?;
            file.keep().map_err(failed)?;
            (brought, refused) = (true, 0);
            way.last = way.last.max(Some((facts.last, facts.latest)));
            if way.is_beyond(key, Some(facts)) {
                way.beyond = true;
                break;
            }
        }
        way.runs.extend(run);
        Ok(brought)
    }

    /// The segment that was read; `None` if it is lost.
    fn sound(
        &self,
        key: &SegmentKey,
        read: Result<Option<Segment>, ShipError>,
        lost: &mut Lost,
        refused: &mut usize,
    ) -> Result<Option<Segment>, CollectError> {
        let name = key.path(self.identity);
        match read {
            Ok(Some(segment)) if segment.facts.identity == self.identity && segment.facts.key() == *key => {
                return Ok(Some(segment));
            }
            Ok(Some(_)) => lost.add(format!("{name} is another segment than its name says"), false),
            // The list was older: the next one does not have it.
            Ok(None) => lost.add(format!("{name} was deleted meanwhile"), true),
            Err(error) => {
                *refused += usize::from(matches!(error, ShipError::Store(_)));
                warn!(segment = %name, "a segment cannot be read; another disk's log may have the same: {error}");
                lost.segment(error)?;
            }
        }
        Ok(None)
    }
}

/// The epoch of the last segment of a chain that can be read.
async fn last_epoch(store: &Store, identity: &str, segments: &[SegmentKey]) -> Result<u64, CollectError> {
    for key in segments.iter().rev().take(LAST) {
        match chains::facts(store, identity, key).await {
            Ok(Some(facts)) if facts.identity == identity && facts.key() == *key => return Ok(facts.last.epoch()),
            Ok(_) => {}
            Err(error) => {
                warn!(segment = %key.path(identity), "the last segment of a log cannot be read: {error}");
                Lost::default().segment(error)?;
            }
        }
    }
    Ok(0)
}

/// The segments of a chain that hold what comes after a transaction.
fn since(segments: &[SegmentKey], from: Zxid) -> &[SegmentKey] {
    let after = segments.partition_point(|key| key.first <= from);
    &segments[after.saturating_sub(1)..]
}

fn folder(to: &Path, name: &str) -> Result<PathBuf, CollectError> {
    let path = to.join(name);
    fs::create_dir_all(&path).map_err(|source| CollectError::Io { path: path.clone(), source })?;
    Ok(path)
}
