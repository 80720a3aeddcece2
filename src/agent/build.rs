//! Builds the first database of an ensemble that is made from another one's archive.
//!
//! Each founder builds it on its own disk, from the same point: the trees are equal, and so are their zxids, so that it does not
//! matter who leads.
//!
//! - Sessions of the other ensemble end, and their ephemeral znodes with them: a lock that nobody holds would lock everybody out.
//! - Clients that have seen a higher zxid are refused by every server, for ever. So founders promise an epoch far above all that the
//!   archive knows: the first leader's zxids are higher than any that the other ensemble can have given, also if it lives on.
//! - The epoch that a founder is *in* is the one of the tree's last transaction, as of all others. If it came from what the archive
//!   knows when the founder happens to look, one that comes late could be in a later one than a quorum that has acknowledged writes,
//!   and would lead it, without them.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;
use tracing::{info, warn};
use zookeeper_files::atomic::Part;
use zookeeper_files::disk::{EpochFiles, MemberFiles, Point, rebuild};
use zookeeper_files::replay::Tree;

use crate::archive::bases::BaseError;
use crate::archive::collect::{CollectError, Collection};
use crate::archive::manifest::Manifest;
use crate::archive::shipper::ShipError;
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::model::ParentPoint;
use crate::model::parent::At;

use super::archive::access;
use super::volume::{Made, Volume};

/// How far above the archive's last epoch the new one begins, at least. Each election takes one: this many are more than an ensemble
/// that lives on has in years.
const ABOVE: u64 = 1024;
/// It begins at a multiple of this, so that founders promise the same, though the archive grows while they look. One that had
/// promised more could not follow the others' leader.
const STEP: u64 = 1 << 16;
/// Servers keep epochs in 31 bits.
const HIGHEST: u64 = 1 << 30;
/// No archived transaction is larger.
const LONGEST_RECORD: usize = 16 << 20;

/// Builds the database at a point, in the volume's workshop.
pub async fn build(
    parent: &ParentPoint,
    volume: &Volume,
    credentials: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<()> {
    let target: Target = parent.place.target.parse().map_err(anyhow::Error::msg)?;
    let store = Store::open_with(&target, &access(&parent.place, credentials)?)?;
    let built = attempt(&store, parent, volume, tell).await;
    built.with_context(|| format!("the ensemble is to begin with {parent}, which cannot be built"))
}

async fn attempt(
    store: &Store,
    parent: &ParentPoint,
    volume: &Volume,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<()> {
    let point = match parent.at {
        At::Zxid(zxid) => Point::Zxid(zxid),
        At::Time(time) => Point::Time(time.as_millisecond()),
    };
    let collection = Collection::of(store, &parent.identity).await?;
    let promise = (collection.epoch() + ABOVE).next_multiple_of(STEP);
    if promise > HIGHEST {
        bail!("the archive knows epoch {:#x}, above which there is no room for another ensemble's", collection.epoch());
    }
    let mut failed = Vec::new();
    let bases = collection.bases(point);
    let beginning = bases.last().copied();
    // Whatever is wrong with three of them in a row is hardly wrong with the bases.
    for base in bases.iter().copied().flatten().take(3).map(Some).chain(beginning) {
        match on(base, &collection, point, volume, tell).await {
            Ok(tree) => return keep(tree, promise, parent, volume).await,
            // Another base does not help against it.
            Err(error) if hopeless(&error) => return Err(error),
            Err(error) => {
                let from = base.map_or("the beginning of the log".to_owned(), |base| format!("base {:#}", base.zxid));
                warn!(%from, "the tree cannot be built: {error:#}");
                failed.push(format!("from {from}: {error:#}"));
            }
        }
    }
    // The first is about the newest base, the last about the whole log; those between them say the same.
    let last = failed.len().saturating_sub(1);
    failed.drain(1.min(last)..last);
    bail!("{}", failed.join("; "))
}

/// Whether no other base can lead where this one does not.
fn hopeless(error: &anyhow::Error) -> bool {
    let collect = error.downcast_ref::<CollectError>();
    collect.is_some_and(|error| {
        matches!(
            error,
            CollectError::Later { .. } | CollectError::Gone { .. } | CollectError::Store(_) | CollectError::Io { .. }
        ) || matches!(error, CollectError::Base(BaseError::Store(_) | BaseError::Io(_)))
            || matches!(error, CollectError::Segment(ShipError::Store(_)))
    })
}

/// The tree at a point, built on a base or from the beginning.
async fn on(
    base: Option<&Manifest>,
    collection: &Collection<'_>,
    point: Point,
    volume: &Volume,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Tree> {
    let folder = volume.workshop()?.join("archive");
    let told = |done: usize, of: usize| {
        if done.is_multiple_of(100) {
            info!(done, of, "segments of the archive");
            tell(&format!("reading the archive that the ensemble is made from: {done} of {of} segments"));
        }
    };
    let folders = collection.bring(base, point, &folder, &told).await?;
    spawn_blocking(move || tree(&folders, point)).await?
}

fn tree(folders: &[PathBuf], point: Point) -> anyhow::Result<Tree> {
    let find = |folder: &PathBuf| {
        let member = MemberFiles::find(&folder.to_string_lossy())?;
        anyhow::Ok(MemberFiles { max_record: Some(LONGEST_RECORD), ..member })
    };
    let members: Vec<_> = folders.iter().filter(|folder| folder.exists()).map(find).collect::<anyhow::Result<_>>()?;
    let rebuilt = rebuild(&members, point, &mut |_| ())?;
    if let Some(zxid) = rebuilt.differs {
        bail!("after {zxid:#} the tree is not the one that the server had: a digest differs");
    }
    if let Some(zxid) = rebuilt.unproved {
        bail!("nothing in the archive shows that the snapshot is the tree that the server had at {zxid:#}");
    }
    let tree = rebuilt.replay.into_tree();
    if let Some(fatal) = tree.fatal_to_load() {
        bail!("no server starts with this tree: {fatal}; an earlier point may do");
    }
    Ok(tree)
}

/// Writes the tree as a database.
async fn keep(mut tree: Tree, promise: u64, parent: &ParentPoint, volume: &Volume) -> anyhow::Result<()> {
    let epoch = tree.last().epoch();
    let (made, volume) = (Made { from: parent.to_string(), epoch }, volume.clone());
    spawn_blocking(move || {
        // What was brought is not needed any more, and its room is.
        let workshop = volume.workshop()?;
        let folder = workshop.join("version-2");
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let ended = tree.end_sessions();
        EpochFiles::write(&folder, epoch, promise)?;
        let path = folder.join(format!("snapshot.{}", tree.last()));
        let buffered = tree.write(BufWriter::with_capacity(1 << 20, Part::begin(&path, None)?))?;
        buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?.keep()?;
        info!(znodes = tree.len(), last = %tree.last(), promise, ended, from = %made.from, "a database was built");
        anyhow::Ok(volume.built(&made)?)
    })
    .await?
}
