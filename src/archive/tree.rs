//! The tree at a point, built from an archive in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;
use tracing::{info, warn};
use zookeeper_files::disk::{MemberFiles, Point, rebuild};
use zookeeper_files::replay::Tree;

use super::bases::BaseError;
use super::collect::{CollectError, Collection};
use super::manifest::Manifest;
use super::shipper::ShipError;

/// No archived transaction is larger.
const LONGEST_RECORD: usize = 16 << 20;
/// Whatever is wrong with so many bases in a row is hardly wrong with the bases.
const BASES: usize = 3;

/// Builds the tree, from the newest base before the point that will do, or from the beginning of the log. The folder is made, and emptied
/// before each try. `tell` hears how far it is.
pub async fn tree_at(
    collection: &Collection<'_>,
    point: Point,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Tree> {
    let mut failed = Vec::new();
    let bases = collection.bases(point);
    let beginning = bases.last().copied();
    for base in bases.iter().copied().flatten().take(BASES).map(Some).chain(beginning) {
        match on(base, collection, point, folder, tell).await {
            Ok(tree) => return Ok(tree),
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

async fn on(
    base: Option<&Manifest>,
    collection: &Collection<'_>,
    point: Point,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Tree> {
    emptied(folder).with_context(|| folder.display().to_string())?;
    let told = |done: usize, of: usize| {
        if done.is_multiple_of(100) {
            info!(done, of, "segments of the archive");
            tell(&format!("{done} of {of} segments"));
        }
    };
    let folders = collection.bring(base, point, folder, &told).await?;
    spawn_blocking(move || tree(&folders, point)).await?
}

fn emptied(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
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
    Ok(rebuilt.replay.into_tree())
}
