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

use anyhow::{Context as _, anyhow, bail};
use tokio::task::spawn_blocking;
use tracing::info;
use zookeeper_files::atomic::Part;
use zookeeper_files::disk::{EpochFiles, Point};
use zookeeper_files::replay::Tree;

use crate::archive::access::{Access, Mounted, MountedError};
use crate::archive::collect::Collection;
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::archive::tree::tree_at;
use crate::archive::tree_hash;
use crate::model::ParentPoint;
use crate::model::parent::At;

use super::volume::{Made, Volume};

/// How far above the archive's last epoch the new one begins, at least. Each election takes one: this many are more than an ensemble
/// that lives on has in years.
const ABOVE: u64 = 1024;
/// It begins at a multiple of this, so that founders promise the same, though the archive grows while they look. One that had
/// promised more could not follow the others' leader.
const STEP: u64 = 1 << 16;
/// Servers keep epochs in 31 bits.
const HIGHEST: u64 = 1 << 30;

/// Builds the database at a point, in the volume's workshop.
pub async fn build(
    parent: &ParentPoint,
    volume: &Volume,
    mounted: &Mounted,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<()> {
    let target: Target = parent.place.target.parse().map_err(anyhow::Error::msg)?;
    let wanting = |what: MountedError| anyhow!("{what}; the kubelet needs up to two minutes to bring a new one");
    let store = Store::open_with(&target, &Access::of(&target, &parent.place, mounted).map_err(wanting)?)?;
    let store = store.sealing(mounted.keys(&parent.place).map_err(wanting)?);
    let built = attempt(&store, parent, volume, tell).await;
    // `from` cannot be changed, and claims that were never born are taken up by the next ensemble of this name.
    built.with_context(|| format!("the ensemble is to begin with {parent}, which cannot be built (it is tried again; if `from` is wrong, delete the ensemble and its claims, and create it with the right one)"))
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
    let known = promise(collection.epoch())?;
    let folder = volume.workshop()?.join("archive");
    let told = |far: &str| tell(&format!("reading the archive that the ensemble is made from: {far}"));
    let tree = tree_at(&collection, point, &folder, &told).await?.tree;
    let tree = proved(tree, parent.tree_hash.clone()).await?;
    if let Some(fatal) = tree.fatal_to_load() {
        bail!("no server starts with this tree: {fatal}; an earlier point may do");
    }
    // Where the ends of all logs cannot be read, the archive seems older than the tree.
    let promise = known.max(promise(tree.last().epoch())?);
    keep(tree, promise, parent, volume).await
}

/// The tree, if it has that hash. It takes a second for some million znodes.
async fn proved(tree: Tree, hash: Option<String>) -> anyhow::Result<Tree> {
    let Some(hash) = hash else { return Ok(tree) };
    spawn_blocking(move || tree_hash::is_still(&tree, &hash).map_err(anyhow::Error::msg).map(|()| tree)).await?
}

/// The epoch to promise where this one is known.
fn promise(epoch: u64) -> anyhow::Result<u64> {
    let promise = (epoch + ABOVE).next_multiple_of(STEP);
    if promise > HIGHEST {
        bail!("the archive knows epoch {epoch:#x}, above which there is no room for another ensemble's");
    }
    Ok(promise)
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
