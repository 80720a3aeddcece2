//! Brings from an archive what is needed to build the tree at one point, into a folder for each chain, and no more.
//!
//! A point is asked for by several founders, at different times, while the archive may grow: only one that will stay what it is
//! counts. So a zxid has to be in the archive, and after a time something has to be.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zookeeper_files::atomic::Part;
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

use super::bases::{self, BaseError};
use super::chains;
use super::key::{Chain, SegmentKey};
use super::manifest::Manifest;
use super::segment::{Facts, Link};
use super::shipper::ShipError;
use super::store::{Store, StoreError};
use crate::view::time::iso_text;

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
        "the archive ends at {last:#} ({time}), and what belongs before the wanted time may still come: name an earlier time, or this zxid"
    )]
    Later {
        /// Its last transaction.
        last: Zxid,
        /// When that was.
        time: String,
    },
    /// What the chains have does not lead from the base to the point.
    #[error(
        "the archive has no unbroken log to there: what is after {from:#} is missing, or nothing shows that it is not"
    )]
    Broken {
        /// Up to here it leads.
        from: Zxid,
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
    /// A segment that was listed is gone.
    #[error("{name} was deleted meanwhile")]
    Gone {
        /// Its name.
        name: String,
    },
    /// An object that is not the segment of its name.
    #[error("{name} is another segment than its name says: menagerie archive verify shows what is wrong")]
    Other {
        /// Its name.
        name: String,
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
}

/// An ensemble's archive, as far as its lists tell.
pub struct Collection<'a> {
    store: &'a Store,
    identity: &'a str,
    chains: Vec<(Chain, Vec<SegmentKey>)>,
    bases: Vec<Manifest>,
    epoch: u64,
}

impl<'a> Collection<'a> {
    /// Lists what there is of an ensemble.
    pub async fn of(store: &'a Store, identity: &'a str) -> Result<Self, CollectError> {
        let mut found = Vec::new();
        for chain in chains::chains(store, identity).await? {
            let segments = chains::segments(store, identity, &chain).await?;
            if !segments.is_empty() {
                found.push((chain, segments));
            }
        }
        if found.is_empty() {
            return Err(CollectError::Nobody { target: store.target().to_string(), identity: identity.to_owned() });
        }
        let mut bases = Vec::new();
        for key in bases::keys(store, identity).await? {
            match bases::manifest(store, identity, &key).await {
                // One that cannot be read is no base: another one, or the log from its beginning, has to do.
                Ok(None) | Err(BaseError::Damaged { .. }) => {}
                Ok(Some(manifest)) => bases.push(manifest),
                Err(error) => return Err(error.into()),
            }
        }
        // What the last segments say of themselves: a name alone is nothing, whoever may put objects can make one.
        let mut epoch = 0;
        for (chain, _) in &found {
            let last = chains::last(store, identity, chain).await?;
            epoch = epoch.max(last.map_or(0, |facts| facts.last.epoch()));
        }
        Ok(Self { store, identity, chains: found, bases, epoch })
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

    /// The highest epoch in it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Writes a base and the log after it, up to just beyond the point, into folders of this one. `told` hears how far it is.
    pub async fn bring(
        &self,
        base: Option<&Manifest>,
        point: Point,
        to: &Path,
        told: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<PathBuf>, CollectError> {
        if let Some(base) = base {
            let (chain, proof) = (base.chain.clone(), base.proved_by);
            // Whoever may put objects could make one up.
            if !chains::holds(self.store, self.identity, &chain, proof).await? {
                return Err(CollectError::Unproved { zxid: base.zxid, chain, proof });
            }
            let folder = folder(to, &base.chain)?;
            let path = folder.join(base.file_name());
            let failed = |source| CollectError::Io { path: path.clone(), source };
            let mut file = Part::begin(&path, Some(0o600)).map_err(failed)?;
            bases::read(self.store, base, &mut |bytes| file.write_all(bytes)).await?;
            file.keep().map_err(failed)?;
        }
        let from = base.map_or(Zxid(0), |base| base.zxid);
        let (mut beyond, mut last) = (false, None);
        let wanted: Vec<_> = self.chains.iter().map(|(chain, segments)| (chain, since(segments, from))).collect();
        let of = wanted.iter().map(|(_, segments)| segments.len()).sum();
        let mut done = 0;
        let mut all = Vec::new();
        for (chain, segments) in wanted {
            let mut runs: Vec<Run> = Vec::new();
            let folder = folder(to, chain)?;
            for key in segments {
                told(done, of);
                done += 1;
                let name = || key.path(self.identity);
                let segment = chains::segment(self.store, self.identity, key).await?;
                let segment = segment.ok_or_else(|| CollectError::Gone { name: name() })?;
                let facts = &segment.facts;
                if facts.identity != self.identity || facts.key() != *key {
                    return Err(CollectError::Other { name: name() });
                }
                match runs.last_mut() {
                    Some(run) if run.goes_on(facts) => run.add(facts),
                    _ => runs.push(Run::begin(facts)),
                }
                let path = folder.join(format!("log.{}", key.first));
                let failed = |source| CollectError::Io { path: path.clone(), source };
                let mut file = Part::begin(&path, Some(0o600)).map_err(failed)?;
                file.write_all(&segment.log).map_err(failed)?;
                file.keep().map_err(failed)?;
                last = last.max(Some((facts.last, facts.latest)));
                let is_beyond = match point {
                    Point::Zxid(zxid) => key.first > zxid,
                    Point::Time(time) => facts.earliest > time,
                    Point::End => false,
                };
                if is_beyond {
                    beyond = true;
                    break;
                }
            }
            all.extend(runs);
        }
        Self::lead_there(all, base, point)?;
        match (point, last) {
            (Point::Time(time), Some((last, latest))) if !beyond && latest <= time => {
                Err(CollectError::Later { last, time: iso_text(latest) })
            }
            _ => Ok(self.chains.iter().map(|(chain, _)| to.join(chain.to_string())).collect()),
        }
    }

    /// Checks that the chains together have everything from the base to the point. Digests do not show it: nothing tells the last
    /// transactions of an epoch that are missing from those that never were.
    fn lead_there(mut runs: Vec<Run>, base: Option<&Manifest>, point: Point) -> Result<(), CollectError> {
        runs.sort_unstable_by_key(|run| run.first);
        let first = runs.first().map_or(Zxid(0), |run| run.first);
        // Without a base, the tree's own beginning is checked where it is built.
        let (mut reached, mut latest) = (base.map_or(first, |base| base.zxid), i64::MIN);
        for run in &runs {
            if run.first <= reached || run.first.0 == reached.0 + 1 {
                latest = latest.max(run.latest);
                reached = reached.max(run.last);
            }
        }
        let there = match point {
            Point::Zxid(zxid) => reached >= zxid,
            // Where nothing is later at all, that is said by its own words.
            Point::Time(time) => latest > time || runs.iter().all(|run| run.latest <= time),
            Point::End => true,
        };
        // A zxid beyond all that there is is said where the tree is built.
        let end = runs.iter().map(|run| run.last).max().unwrap_or_default();
        let beyond = matches!(point, Point::Zxid(zxid) if zxid > end) && reached == end;
        if there || beyond { Ok(()) } else { Err(CollectError::Broken { from: reached }) }
    }
}

/// Segments of a chain that follow on each other directly.
struct Run {
    /// Everything after this one is in it; it itself may be in what comes before.
    first: Zxid,
    before: Option<Link>,
    last: Zxid,
    latest: i64,
}

impl Run {
    fn begin(facts: &Facts) -> Self {
        let follows = facts.previous.as_ref().filter(|_| facts.follows).map(|previous| previous.last);
        let first = follows.unwrap_or(facts.first);
        Self { first, before: Some(facts.link()), last: facts.last, latest: facts.latest }
    }

    fn goes_on(&self, facts: &Facts) -> bool {
        facts.follows && facts.previous.is_some() && facts.previous == self.before
    }

    fn add(&mut self, facts: &Facts) {
        self.before = Some(facts.link());
        self.last = facts.last;
        self.latest = self.latest.max(facts.latest);
    }
}

/// The segments of a chain that hold what comes after a transaction.
fn since(segments: &[SegmentKey], from: Zxid) -> &[SegmentKey] {
    let after = segments.partition_point(|key| key.first <= from);
    &segments[after.saturating_sub(1)..]
}

fn folder(to: &Path, chain: &Chain) -> Result<PathBuf, CollectError> {
    let path = to.join(chain.to_string());
    fs::create_dir_all(&path).map_err(|source| CollectError::Io { path: path.clone(), source })?;
    Ok(path)
}
