//! The tree at a point, built from an archive in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;
use tracing::{info, warn};
use zookeeper_files::disk::{MemberFiles, Point, RebuiltTree, rebuild, rebuild_around};
use zookeeper_files::ids::Zxid;
use zookeeper_files::replay::{Journal, Tree};

use super::collect::{Brought, CollectError, Collection};
use super::key::{BaseKey, Chain};
use super::lost::Lost;
use super::manifest::Manifest;

/// No archived transaction is larger.
const LONGEST_RECORD: usize = 16 << 20;
/// Whatever is wrong with so many bases in a row is hardly wrong with the bases.
const BASES: usize = 3;
/// So many other ways are tried: each may cost as much as the first.
const WAYS: usize = 4;

/// Why nothing in an archive leads to a point.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct NoTree {
    text: String,
    may_pass: bool,
    /// Whether it is not the tree that the servers had.
    differs: bool,
}

/// Whether an archive may give later what it does not give now.
pub fn may_pass(error: &anyhow::Error) -> bool {
    let here = error.downcast_ref::<NoTree>().is_some_and(|error| error.may_pass);
    here || error.downcast_ref::<CollectError>().is_some_and(CollectError::may_pass)
}

/// Whether an archive leads to another tree than the servers had.
pub fn differs(error: &anyhow::Error) -> bool {
    error.downcast_ref::<NoTree>().is_some_and(|error| error.differs)
}

/// Whether it is what an archive holds, and neither the store nor the room for what was fetched.
pub fn is_of_content(error: &anyhow::Error) -> bool {
    !may_pass(error) && !matches!(error.downcast_ref(), Some(CollectError::TooMuch { .. }))
}

/// The tree at a point.
pub struct Built {
    /// The tree.
    pub tree: Tree,
    /// When its last transaction was, in milliseconds since 1970, if the log that was read has it.
    pub time: Option<i64>,
    /// How many of the servers' digests were compared with it on the way.
    pub checked: u64,
    /// The base that it was built from; `None` if it was the beginning of the log.
    pub base: Option<BaseKey>,
    /// The body of the record of the transaction that the point names.
    pub body: Option<Box<[u8]>>,
    /// What that transaction changed, as it was before, if that is what was asked for.
    pub before: Journal,
}

/// What is built.
#[derive(Clone, Copy)]
enum Aim {
    /// The tree at a point.
    Point(Point),
    /// The tree after a transaction, and what that changed.
    Around(Zxid),
}

impl Aim {
    /// What a base is of at most.
    fn from(self) -> Point {
        match self {
            Self::Point(point) => point,
            Self::Around(zxid) => Point::Zxid(Zxid(zxid.0.saturating_sub(1))),
        }
    }

    fn to(self) -> Point {
        match self {
            Self::Point(point) => point,
            Self::Around(zxid) => Point::Zxid(zxid),
        }
    }
}

/// Builds the tree after a transaction, with what that changed, as [`tree_at`].
pub async fn tree_around(
    collection: &Collection<'_>,
    zxid: Zxid,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Built> {
    build(collection, Aim::Around(zxid), folder, tell).await
}

/// Builds the tree, from the newest base before the point that will do, or from the beginning of the log. The folder is made, and emptied
/// before each try. `tell` hears how far it is.
pub async fn tree_at(
    collection: &Collection<'_>,
    point: Point,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Built> {
    build(collection, Aim::Point(point), folder, tell).await
}

async fn build(
    collection: &Collection<'_>,
    aim: Aim,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Built> {
    let mut failed = Vec::new();
    let (mut passes, mut wrong) = (collection.lost().may_pass(), false);
    let bases = collection.bases(aim.from());
    let beginning = bases.last().copied();
    let mut left = BASES;
    for base in bases.iter().copied().flatten().map(Some).chain(beginning) {
        if left == 0 && base.is_some() {
            continue;
        }
        match on((base, None), collection, aim, folder, tell).await {
            Ok(built) => return Ok(built),
            // Another base does not help against it.
            Err(error) if error.downcast_ref().is_some_and(CollectError::is_of_all_bases) => return Err(error),
            Err(error) => {
                let from = start_of(base);
                warn!(%from, "the tree cannot be built: {error:#}");
                passes |= may_pass(&error);
                wrong |= differs(&error);
                // One that cannot be had itself cost a request, and says nothing of the next one, which another disk may have.
                let cheap = matches!(error.downcast_ref(), Some(CollectError::Unproved { .. } | CollectError::Base(_)));
                left = left.saturating_sub(usize::from(!cheap));
                failed.push(format!("from {from}: {error:#}"));
            }
        }
    }
    // The first is about the newest base, the last about the whole log; those between them say the same.
    let last = failed.len().saturating_sub(1);
    failed.drain(1.min(last)..last);
    Err(NoTree { text: format!("{}{}", failed.join("; "), collection.lost()), may_pass: passes, differs: wrong }.into())
}

/// The tree at a point that was built before, built by another way.
pub enum Second {
    /// It was; and how, in words.
    Built(Box<Built>, String),
    /// The archive has no other, or none that leads there: why.
    None(String),
}

/// Builds it by another way than from this base by all chains: by the log of one disk alone. What is wrong with that way is said, and is
/// nothing against the first.
pub async fn second_tree(
    collection: &Collection<'_>,
    (point, used): (Point, Option<&BaseKey>),
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Second> {
    let mut failed = Vec::new();
    let ways = collection.other_ways(point, used).await.map_err(CollectError::from)?;
    let left = ways.len().saturating_sub(WAYS);
    for (base, chain) in ways.into_iter().take(WAYS) {
        let way = format!("from {} by the log of {chain} alone", start_of(base));
        match on((base, Some(chain)), collection, Aim::Point(point), folder, tell).await {
            Ok(built) => return Ok(Second::Built(Box::new(built), way)),
            Err(error) if may_pass(&error) || error.downcast_ref().is_some_and(CollectError::is_of_all_bases) => {
                return Err(error);
            }
            Err(error) => {
                warn!(%way, "the tree cannot be built a second time: {error:#}");
                failed.push(format!("{way}: {error:#}"));
            }
        }
    }
    if failed.is_empty() {
        failed.push("the archive has no other base before the point, and the log of no other disk".to_owned());
    } else if left > 0 {
        failed.push(format!("{left} more ways were not tried"));
    }
    Ok(Second::None(failed.join("; ")))
}

fn start_of(base: Option<&Manifest>) -> String {
    base.map_or("the beginning of the log".to_owned(), |base| format!("base {:#}", base.zxid))
}

async fn on(
    (base, alone): (Option<&Manifest>, Option<&Chain>),
    collection: &Collection<'_>,
    aim: Aim,
    folder: &Path,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Built> {
    emptied(folder).with_context(|| folder.display().to_string())?;
    let told = |done: usize, of: usize| {
        if done.is_multiple_of(100) {
            info!(done, of, "segments of the archive");
            tell(&format!("{done} of {of} segments"));
        }
    };
    let Brought { folders, lost } = collection.bring((base, alone), aim.to(), folder, &told).await?;
    let built = spawn_blocking(move || tree(&folders, aim)).await?;
    let built = built.map_err(|error| if lost.is_empty() { error } else { without(&error, &lost) })?;
    Ok(Built { base: base.map(Manifest::key), ..built })
}

/// The error with what could not be read, which may be its cause.
fn without(error: &anyhow::Error, lost: &Lost) -> anyhow::Error {
    NoTree { text: format!("{error:#}{lost}"), may_pass: lost.may_pass(), differs: differs(error) }.into()
}

fn emptied(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
}

fn tree(folders: &[PathBuf], aim: Aim) -> anyhow::Result<Built> {
    let find = |folder: &PathBuf| {
        let member = MemberFiles::find(&folder.to_string_lossy())?;
        anyhow::Ok(MemberFiles { max_record: Some(LONGEST_RECORD), ..member })
    };
    let members: Vec<_> = folders.iter().map(find).collect::<anyhow::Result<_>>()?;
    let mut rebuilt = match aim {
        Aim::Point(point) => rebuild(&members, point, &mut |_| ())?,
        Aim::Around(zxid) => rebuild_around(&members, zxid, &mut |_| ())?,
    };
    if let Some(zxid) = rebuilt.differs {
        let text = format!("after {zxid:#} the tree is not the one that the server had: a digest differs");
        return Err(NoTree { text, may_pass: false, differs: true }.into());
    }
    if let Some(zxid) = rebuilt.unproved {
        bail!("nothing in the archive shows that the snapshot is the tree that the server had at {zxid:#}");
    }
    let before = rebuilt.replay.take_journal();
    let RebuiltTree { time, checked, body, replay, .. } = rebuilt;
    Ok(Built { time, checked, base: None, body, before, tree: replay.into_tree() })
}
