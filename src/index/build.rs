//! Makes an index of logs, and lets it grow as they grow.

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::index::deed::{Deed, operations, parts};
use crate::index::ephemerals::Ephemerals;
use crate::index::error::IndexError;
use crate::index::logs::{self, Log};
use crate::index::segment::{Draft, ENTRIES, Place};
use crate::index::store::{LogState, Store};
use crate::index::term::Term;
use crate::log::{AtStart, Event, LogReader, NotALog, Record};

/// What a build did.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The logs that are indexed now.
    pub logs: usize,
    /// The transactions that were read.
    pub transactions: u64,
    /// The entries that were added: one for each path and for each session's beginning and end.
    pub entries: u64,
    /// The bytes of log that were read.
    pub bytes: u64,
    /// Why the index was built anew though there was one.
    pub anew: Option<String>,
    /// Logs that are gone and no longer indexed.
    pub gone: Vec<PathBuf>,
    /// Damage in the logs. What is good before and after it is indexed.
    pub damage: Vec<FoundDamage>,
}

/// Damage of a log.
#[derive(Clone, Debug)]
pub struct FoundDamage {
    /// Which log.
    pub path: PathBuf,
    /// Whether a server refuses to start on it, or starts and drops what follows.
    pub stops: bool,
    /// What it is called, for programs.
    pub name: String,
    /// What is wrong and where.
    pub words: String,
}

/// How far a build is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The log that is being read.
    pub log: &'a Path,
    /// The bytes that were read of all logs.
    pub bytes: u64,
    /// The bytes that there are to read.
    pub of: u64,
}

/// Indexes the logs of members' folders or single files, named as for [`Member::look`](crate::files::Member::look), in the
/// file `index`, or lets an index that is there grow to their ends.
///
/// The logs are only read. A new index is written beside its name and renamed when it is whole; one that grows does so in
/// one transaction. An index that does not fit the logs any more (one was rewritten, or came in between) is built anew.
///
/// ```no_run
/// let built = menagerie::index::build(&["/data/version-2".into()], "zookeeper.index".as_ref(), &mut |_| {})?;
/// println!("{} entries of {} transactions", built.entries, built.transactions);
/// # Ok::<(), menagerie::index::IndexError>(())
/// ```
pub fn build(sources: &[String], index: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Built, IndexError> {
    let logs = logs::find(sources)?;
    beside(index, &logs)?;
    let anew = match Store::open(index, false) {
        Err(IndexError::Missing(_)) => None,
        Err(other) => return Err(other),
        Ok(store) => match misfit(&store, &logs)? {
            None => return grow(index, &logs, progress),
            reason => reason,
        },
    };
    let built = create(index, &logs, progress)?;
    Ok(Built { anew, ..built })
}

/// ZooKeeper's folders are not ours to write to.
fn beside(index: &Path, logs: &[Log]) -> Result<(), IndexError> {
    let folder = index.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(IndexError::io(folder))?;
    let inside = logs.iter().any(|log| log.path.parent() == Some(&folder) || log.path == folder.join(index));
    if inside { Err(IndexError::Inside(index.to_owned())) } else { Ok(()) }
}

/// Why an index cannot simply grow.
fn misfit(store: &Store, logs: &[Log]) -> Result<Option<String>, IndexError> {
    let known = store.logs()?;
    let mut newest = None;
    for log in &known {
        let Some(found) = logs.iter().find(|found| found.path == log.path) else { continue };
        newest = newest.max(Some(found));
        let LogState { offset, checksum, zxids, .. } = log.state;
        if let Some((_, last)) = zxids
            && !logs::is_same(&log.path, offset, checksum, last)?
        {
            return Ok(Some(format!("{} was rewritten", log.path.display())));
        }
    }
    if newest.is_none() {
        return Ok(Some("none of the logs that were indexed is left".to_owned()));
    }
    let unknown = logs.iter().find(|log| Some(*log) < newest && known.iter().all(|known| known.path != log.path));
    Ok(unknown.map(|log| format!("{} came in between", log.path.display())))
}

/// A file that is removed unless it is kept.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _ = fs::remove_file(&self.0);
    }
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

fn create(index: &Path, logs: &[Log], progress: &mut dyn FnMut(Progress<'_>)) -> Result<Built, IndexError> {
    let mut name = index.as_os_str().to_owned();
    name.push(".partial");
    let lock = locked(Path::new(&name), index)?;
    let partial = Partial(PathBuf::from(name));
    lock.set_len(0).map_err(|error| full_or(&partial.0, index, error))?;
    let mut feed = Feed::new(Store::create(&partial.0)?, logs)?;
    feed.all(logs, progress).map_err(|error| named(error, &partial.0, index))?;
    let built = feed.finish().map_err(|error| named(error, &partial.0, index))?;
    lock.sync_all().map_err(|error| full_or(&partial.0, index, error))?;
    fs::rename(&partial.0, index).map_err(IndexError::io(index))?;
    Ok(built)
}

fn full_or(path: &Path, index: &Path, error: std::io::Error) -> IndexError {
    if error.kind() == ErrorKind::StorageFull {
        IndexError::Full(index.to_owned())
    } else {
        IndexError::io(path)(error)
    }
}

/// What is said of the partial file is meant of the index.
fn named(error: IndexError, partial: &Path, index: &Path) -> IndexError {
    match error {
        IndexError::Full(path) if path == partial => IndexError::Full(index.to_owned()),
        other => other,
    }
}

fn grow(index: &Path, logs: &[Log], progress: &mut dyn FnMut(Progress<'_>)) -> Result<Built, IndexError> {
    let _lock = locked(index, index)?;
    let mut feed = Feed::new(Store::open(index, true)?, logs)?;
    for log in feed.store.logs()? {
        if logs.iter().all(|found| found.path != log.path) {
            feed.store.drop_log(log.id)?;
            feed.built.gone.push(log.path);
        }
    }
    feed.all(logs, progress)?;
    feed.finish()
}

/// Reads logs into a store.
struct Feed {
    store: Store,
    ephemerals: Ephemerals,
    built: Built,
    of: u64,
}

impl Feed {
    fn new(store: Store, logs: &[Log]) -> Result<Self, IndexError> {
        let ephemerals = Ephemerals::new(store.ephemerals()?);
        let built = Built { logs: logs.len(), ..Built::default() };
        Ok(Self { store, ephemerals, built, of: 0 })
    }

    fn finish(mut self) -> Result<Built, IndexError> {
        self.store.put_ephemerals(self.ephemerals.all())?;
        let damage = self.store.damage()?.into_iter();
        self.built.damage = damage.map(|(path, stops, name, words)| FoundDamage { path, stops, name, words }).collect();
        self.store.finish()?;
        Ok(self.built)
    }

    fn all(&mut self, logs: &[Log], progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), IndexError> {
        let mut work = Vec::new();
        let known = self.store.logs()?;
        let mut before: Option<&Log> = None;
        for log in logs {
            let file = File::open(&log.path).map_err(IndexError::io(&log.path))?;
            let found = file.metadata().map_err(IndexError::io(&log.path))?;
            let state =
                known.iter().find(|known| known.path == log.path).map_or_else(LogState::default, |known| known.state);
            let modified = found.mtime().wrapping_mul(1_000_000_000).wrapping_add(found.mtime_nsec());
            if (found.len(), modified) != (state.size, state.modified) || state.size == 0 {
                // What servers allocated ahead of the records is no disk space, and no work.
                self.of += found.len().min(found.blocks() * 512).saturating_sub(state.next);
                work.push((log, file, LogState { size: found.len(), modified, ..state }, before));
            }
            before = Some(log);
        }
        for (log, file, state, before) in work {
            self.log(log, file, state, before, progress)?;
        }
        Ok(())
    }

    fn log(
        &mut self,
        log: &Log,
        mut file: File,
        mut state: LogState,
        before: Option<&Log>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), IndexError> {
        let id = self.store.put_log(&log.path, &state)?;
        self.store.drop_damage(id, state.next)?;
        let mut reader = if state.next == 0 {
            LogReader::new(file).map_err(|source| match source {
                NotALog::Io(error) => IndexError::io(&log.path)(error),
                source @ NotALog::Magic(_) => IndexError::NotALog { path: log.path.clone(), source },
            })?
        } else {
            file.seek(SeekFrom::Start(state.next)).map_err(IndexError::io(&log.path))?;
            LogReader::resume(file, state.next, state.zxids.map(|(_, last)| last))
        };
        let mut earlier = match before {
            Some(before) => self.store.logs()?.into_iter().find(|known| known.path == before.path),
            None => None,
        };
        let began = self.built.bytes;
        let from = state.next;
        let mut draft = Draft::default();
        while let Some(event) = reader.next().map_err(IndexError::io(&log.path))? {
            match event {
                Event::Record(record) => {
                    if let Some(earlier) = earlier.take() {
                        follows(log, &record, &earlier.path, &earlier.state)?;
                    }
                    let zxid = record.header.zxid;
                    state.zxids = Some((state.zxids.map_or(zxid, |(first, _)| first), zxid));
                    (state.offset, state.checksum, state.next) = (record.offset, record.checksum, record.end());
                    self.record(id, &record, &mut draft)?;
                    self.built.transactions += 1;
                    if self.built.transactions.is_multiple_of(65_536) {
                        let bytes = began + (state.next - from);
                        progress(Progress { log: &log.path, bytes, of: self.of });
                    }
                }
                Event::Damage(damage) => {
                    // A log that is written to ends in what is not finished yet; another log behind it makes it no better.
                    let stops = damage.fault.at_start(true) != AtStart::Harmless;
                    self.store.put_damage(id, &damage, stops)?;
                }
            }
        }
        self.built.bytes = began + (state.next - from);
        progress(Progress { log: &log.path, bytes: self.built.bytes, of: self.of });
        self.join(id, draft)?;
        self.store.put_log(&log.path, &state)?;
        Ok(())
    }

    /// Writes the last entries of a log, joined with its small segments: of a log that grows often none stays small.
    fn join(&mut self, log: i64, mut draft: Draft) -> Result<(), IndexError> {
        let added = u64::from(draft.entries());
        if added == 0 {
            return Ok(());
        }
        for segment in self.store.segments()?.iter().rev().filter(|segment| segment.file == log) {
            let small = segment.entries <= draft.entries().saturating_mul(2);
            if !small || u64::from(segment.entries) + u64::from(draft.entries()) > u64::from(ENTRIES) {
                break;
            }
            draft = draft.prepend(&self.store.segment(segment)?).ok_or_else(|| self.store.damaged())?;
            self.store.drop_segment(segment.id)?;
        }
        self.built.entries += added;
        draft.seal().map_or(Ok(()), |sealed| self.store.put_segment(log, &sealed))
    }

    fn put(&mut self, log: i64, draft: Draft) -> Result<(), IndexError> {
        self.built.entries += u64::from(draft.entries());
        draft.seal().map_or(Ok(()), |sealed| self.store.put_segment(log, &sealed))
    }

    #[inline]
    fn record(&mut self, log: i64, record: &Record<'_>, draft: &mut Draft) -> Result<(), IndexError> {
        let session = record.header.session;
        let multi = operations(record).is_some();
        let mut last = 0;
        for part in parts(record) {
            // Here and not after the record: one record can name millions of paths.
            if draft.is_full() {
                self.put(log, std::mem::take(draft))?;
            }
            draft.add(Place { offset: record.offset, part: part.number }, &record.header);
            draft.lead(Term::session(session));
            draft.lead(Term::deed(part.deed));
            if matches!(part.deed, Deed::Opened | Deed::Closed) {
                draft.lead(Term::life(session));
            }
            if multi {
                draft.lead(Term::multi());
            }
            if let Some(path) = part.path() {
                Term::each_of_path(&path, |term| draft.lead(term));
            }
            self.ephemerals.follow(session, &part);
            last = part.number;
        }
        if matches!(record.txn, crate::log::Txn::CloseSession { .. }) {
            for (number, path) in (last + 1..).zip(self.ephemerals.end(session)) {
                draft.add(Place { offset: record.offset, part: number }, &record.header);
                draft.lead(Term::session(session));
                draft.lead(Term::deed(Deed::Ended));
                Term::each_of_path(&path, |term| draft.lead(term));
                self.store.put_ended(log, record.offset, number, &path)?;
            }
        }
        Ok(())
    }
}

fn follows(log: &Log, record: &Record<'_>, before: &Path, state: &LogState) -> Result<(), IndexError> {
    match state.zxids {
        Some((_, last)) if record.header.zxid <= last => Err(IndexError::Mixed {
            path: log.path.clone(),
            before: before.to_owned(),
            first: record.header.zxid,
            last,
        }),
        _ => Ok(()),
    }
}
