//! Builds and updates an index of logs.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::atomic::{Part, folder_of};
use crate::disk::{Progress, SnapshotCover};
use crate::ids::ZxidRange;
use crate::index::commits::Commits;
use crate::index::error::IndexError;
use crate::index::indexer::Indexer;
use crate::index::logs::{self, LogFile};
use crate::index::others::{self, CommitSurvey};
use crate::index::store::{LogState, Store};

/// The result of a build.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The number of indexed logs.
    pub logs: usize,
    /// The transactions that were read.
    pub transactions: u64,
    /// The entries that were added: one for each path, and for the beginning and end of each session.
    pub entries: u64,
    /// The bytes of log that were read.
    pub bytes: u64,
    /// Why an existing index was replaced.
    pub anew: Option<String>,
    /// Logs that are gone, and were removed from the index.
    pub gone: Vec<PathBuf>,
    /// Damage in the logs. The good records before and after it are indexed.
    pub damage: Vec<IndexedDamage>,
    /// Transactions in the logs that were never committed, by the files of the other members.
    pub never_committed: Vec<ZxidRange>,
    /// Transactions for which the files of all members do not show whether they were committed.
    pub unknown: Vec<ZxidRange>,
    /// An earlier build named other members and this one did not: it is unknown whether the new transactions were committed.
    pub unasked: bool,
}

/// Damage of a log.
#[derive(Clone, Debug)]
pub struct IndexedDamage {
    /// The log.
    pub path: PathBuf,
    /// Whether a server refuses to start on it, or starts and drops what follows.
    pub stops: bool,
    /// Its name for programs.
    pub name: String,
    /// What is wrong, and where.
    pub words: String,
}

/// Indexes the logs of members' folders or single files, named as for [`MemberFiles::find`](crate::disk::MemberFiles::find), in
/// the file `index`, or updates an existing index.
///
/// It only reads the logs. It writes a new index under another name and renames it when it is whole; it updates an index in one
/// transaction. If an index no longer fits the logs (a log was rewritten, or added between others), it is replaced.
///
/// `others` are the folders of the other members of the ensemble. They are not indexed: they show which indexed transactions
/// were never committed. Without them, the result of an earlier build stays.
///
/// ```no_run
/// let built = zookeeper_files::index::build(&["/member0".into()], &["/member1".into()], "zk.index".as_ref(), &mut |_| {})?;
/// println!("{} entries of {} transactions", built.entries, built.transactions);
/// # Ok::<(), zookeeper_files::index::IndexError>(())
/// ```
pub fn build(
    sources: &[String],
    others: &[String],
    index: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, IndexError> {
    build_of(BuildInput { paths: sources, others, max_record: None }, index, progress)
}

/// The input of a build.
#[derive(Clone, Copy, Debug)]
pub struct BuildInput<'a> {
    /// The member's folder, or single logs.
    pub paths: &'a [String],
    /// The other members' folders.
    pub others: &'a [String],
    /// The longest record that their servers read, in bytes, if it is not the default.
    pub max_record: Option<usize>,
}

/// The same, for servers that read longer records.
pub fn build_of(
    BuildInput { paths: sources, others, max_record }: BuildInput<'_>,
    index: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, IndexError> {
    let (logs, cover) = logs::find(sources, max_record)?;
    beside(index, logs.iter().map(|log| log.path.as_path()))?;
    let store = match Store::open(index, false) {
        Err(IndexError::Missing(_)) => None,
        other => Some(other?),
    };
    let survey = if others.is_empty() {
        None
    } else {
        Some(others::ask((sources, max_record), &logs, others, index, progress)?)
    };
    let (misfit, known) = match &store {
        Some(store) => (misfit(store, &logs, survey.as_ref())?, store.commits()?),
        None => (None, Commits::default()),
    };
    let grows = store.is_some() && misfit.is_none();
    drop(store);
    let unasked = survey.is_none() && !known.is_empty();
    let CommitSurvey { commits, member_history, unknown } = survey.unwrap_or_default();
    let never_committed = commits.never_committed(&member_history);
    let built = if grows {
        grow(index, (&logs, cover, max_record), if unasked { known } else { commits }, progress)?
    } else {
        create(index, (&logs, cover, max_record), commits, progress)?
    };
    Ok(Built { anew: misfit, never_committed, unknown, unasked, ..built })
}

/// Refuses an index in ZooKeeper's own folders.
pub(crate) fn beside<'a>(index: &Path, mut logs: impl Iterator<Item = &'a Path>) -> Result<(), IndexError> {
    let folder = folder_of(index);
    let folder = fs::canonicalize(folder).map_err(IndexError::io(folder))?;
    let at_home = crate::disk::is_at_home(index).map_err(IndexError::io(&folder))?;
    let inside = at_home || logs.any(|log| log.parent() == Some(&folder) || log == folder.join(index));
    if inside { Err(IndexError::Inside(index.to_owned())) } else { Ok(()) }
}

/// Why an index cannot be updated.
fn misfit(store: &Store, logs: &[LogFile], survey: Option<&CommitSurvey>) -> Result<Option<String>, IndexError> {
    let known = store.logs()?;
    let mut newest = None;
    for log in &known {
        let Some(found) = logs.iter().find(|found| found.path == log.path) else { continue };
        newest = newest.max(Some(found));
        let LogState { offset, checksum, zxids, .. } = log.state;
        if let Some(ZxidRange { last, .. }) = zxids
            && !logs::is_same(&log.path, offset, checksum, last)?
        {
            return Ok(Some(format!("{} was rewritten", log.path.display())));
        }
    }
    if newest.is_none() {
        return Ok(Some("none of the logs that were indexed is left".to_owned()));
    }
    let unknown = logs.iter().find(|log| Some(*log) < newest && known.iter().all(|known| known.path != log.path));
    if let Some(log) = unknown {
        return Ok(Some(format!("{} came in between", log.path.display())));
    }
    // The ephemeral znodes in the index depend on what was considered committed.
    let last = known.iter().filter_map(|log| log.state.zxids).map(|zxids| zxids.last).max().unwrap_or_default();
    let commits = store.commits()?;
    let moved = survey.is_some_and(|survey| commits.moved(&survey.commits, &survey.member_history, last));
    Ok(moved.then(|| "more is known of what was never committed".to_owned()))
}

fn locked(path: &Path, index: &Path) -> Result<File, IndexError> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(IndexError::io(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(IndexError::Busy(index.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(IndexError::io(path)(error)),
    }
}

fn create(
    index: &Path,
    (logs, cover, max_record): (&[LogFile], SnapshotCover, Option<usize>),
    commits: Commits,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, IndexError> {
    let mut name = index.as_os_str().to_owned();
    name.push(".partial");
    let beside = PathBuf::from(name);
    let part = Part::of(locked(&beside, index)?, beside, index);
    part.file().set_len(0).map_err(|error| full_or(index, error))?;
    let mut indexer = Indexer::new(Store::create(part.beside())?, (logs, max_record), cover, commits)?;
    indexer.all(logs, progress).map_err(|error| named(error, part.beside(), index))?;
    let built = indexer.finish().map_err(|error| named(error, part.beside(), index))?;
    part.keep().map_err(|error| full_or(index, error))?;
    Ok(built)
}

fn full_or(index: &Path, error: std::io::Error) -> IndexError {
    if error.kind() == ErrorKind::StorageFull {
        IndexError::Full(index.to_owned())
    } else {
        IndexError::io(index)(error)
    }
}

/// Replaces the name of the partial file by that of the index.
fn named(error: IndexError, partial: &Path, index: &Path) -> IndexError {
    match error {
        IndexError::Full(path) if path == partial => IndexError::Full(index.to_owned()),
        other => other,
    }
}

fn grow(
    index: &Path,
    (logs, cover, max_record): (&[LogFile], SnapshotCover, Option<usize>),
    commits: Commits,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, IndexError> {
    let _lock = locked(index, index)?;
    let mut indexer = Indexer::new(Store::open(index, true)?, (logs, max_record), cover, commits)?;
    indexer.purge(logs)?;
    indexer.all(logs, progress)?;
    indexer.finish()
}
