//! Reads logs into an index.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk::{Progress, Scan, ScanItem, SnapshotCover};
use crate::ids::ZxidRange;
use crate::index::build::{Built, IndexedDamage};
use crate::index::commits::Commits;
use crate::index::entry_kind::{EntryKind, operations, parts};
use crate::index::ephemerals::Ephemerals;
use crate::index::error::IndexError;
use crate::index::logs::LogFile;
use crate::index::segment::{ENTRIES, EntryLocation, KEYS, SegmentBuilder};
use crate::index::store::{LogState, Store};
use crate::index::term::Term;
use crate::log::{LogFault, Record, Txn};

/// Reads logs into a store.
pub(crate) struct Indexer {
    store: Store,
    ephemerals: Ephemerals,
    commits: Commits,
    cover: SnapshotCover,
    /// The longest record that the logs' servers read.
    max_record: Option<usize>,
    /// Shared by all logs, to allocate its 24 MiB of keys only once.
    builder: SegmentBuilder,
    built: Built,
    of: u64,
}

impl Indexer {
    pub(crate) fn new(
        store: Store,
        (logs, max_record): (&[LogFile], Option<usize>),
        cover: SnapshotCover,
        commits: Commits,
    ) -> Result<Self, IndexError> {
        let ephemerals = Ephemerals::new(store.ephemerals()?);
        let built = Built { logs: logs.len(), ..Built::default() };
        Ok(Self { store, ephemerals, commits, cover, max_record, builder: SegmentBuilder::default(), built, of: 0 })
    }

    pub(crate) fn finish(mut self) -> Result<Built, IndexError> {
        self.store.put_ephemerals(self.ephemerals.all())?;
        self.store.put_verdicts(&self.commits)?;
        let damage = self.store.damage()?.into_iter();
        self.built.damage =
            damage.map(|(path, stops, name, words)| IndexedDamage { path, stops, name, words }).collect();
        self.store.finish()?;
        Ok(self.built)
    }

    /// Removes the logs that are gone.
    pub(crate) fn purge(&mut self, logs: &[LogFile]) -> Result<(), IndexError> {
        for log in self.store.logs()? {
            if logs.iter().all(|found| found.path != log.path) {
                self.store.drop_log(log.id)?;
                self.built.gone.push(log.path);
            }
        }
        Ok(())
    }

    pub(crate) fn all(&mut self, logs: &[LogFile], progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), IndexError> {
        let mut work = Vec::new();
        let known = self.store.logs()?;
        let mut before: Option<&LogFile> = None;
        for log in logs {
            let found = match fs::metadata(&log.path) {
                // Purged since the folder was listed: the next build removes it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.map_err(IndexError::io(&log.path))?,
            };
            let state =
                known.iter().find(|known| known.path == log.path).map_or_else(LogState::default, |known| known.state);
            let modified = found.mtime().wrapping_mul(1_000_000_000).wrapping_add(found.mtime_nsec());
            if (found.len(), modified) != (state.size, state.modified) || state.size == 0 {
                // Preallocated zeros take no disk space and no work.
                self.of += found.len().min(found.blocks() * 512).saturating_sub(state.next);
                work.push((log, LogState { size: found.len(), modified, ..state }, before));
            }
            before = Some(log);
        }
        for (log, state, before) in work {
            self.log(log, state, before, progress)?;
        }
        Ok(())
    }

    fn log(
        &mut self,
        log: &LogFile,
        mut state: LogState,
        before: Option<&LogFile>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), IndexError> {
        let id = self.store.put_log(&log.path, &state)?;
        self.store.drop_damage(id, state.next)?;
        let last = state.zxids.map(|zxids| zxids.last);
        let Some(mut scan) = Scan::resume(&log.path, state.next, last, self.max_record)? else { return Ok(()) };
        let mut earlier = match before {
            Some(before) => self.store.logs()?.into_iter().find(|known| known.path == before.path),
            None => None,
        };
        let began = self.built.bytes;
        let (from, of) = (state.next, self.of);
        let mut pass = |at: Progress<'_>| {
            progress(Progress { path: at.path, done: began + at.done.saturating_sub(from), of });
        };
        let mut builder = std::mem::take(&mut self.builder);
        while let Some(item) = scan.next(&mut pass)? {
            match item {
                ScanItem::Record(record) => {
                    if let Some(earlier) = earlier.take() {
                        follows(log, &record, &earlier.path, &earlier.state)?;
                    }
                    let zxid = record.header.zxid;
                    let first = state.zxids.map_or(zxid, |zxids| zxids.first);
                    state.zxids = Some(ZxidRange { first, last: zxid });
                    (state.offset, state.checksum, state.next) = (record.offset, record.checksum, record.end());
                    self.record(id, &record, &mut builder)?;
                    self.built.transactions += 1;
                }
                ScanItem::Damage(damage) => {
                    // A gap that a snapshot covers is no damage.
                    if self.cover.of_damage(&damage).is_none() {
                        let stops =
                            !matches!(damage.fault, LogFault::TornTail | LogFault::Garbage | LogFault::Version(_));
                        self.store.put_damage(id, &damage, stops)?;
                    }
                }
                ScanItem::Unpackable(error) => return Err(IndexError::io(&log.path)(error)),
                ScanItem::Purged | ScanItem::End { .. } => {}
            }
        }
        self.built.bytes = began + (state.next - from);
        progress(Progress { path: &log.path, done: self.built.bytes, of: self.of });
        self.join(id, &mut builder)?;
        self.builder = builder;
        self.store.put_log(&log.path, &state)?;
        Ok(())
    }

    /// Writes the last entries of a log, joined with its small segments, so that frequent updates leave no small segments.
    fn join(&mut self, log: i64, builder: &mut SegmentBuilder) -> Result<(), IndexError> {
        let added = u64::from(builder.entries());
        if added == 0 {
            return Ok(());
        }
        for segment in self.store.segments()?.iter().rev().filter(|segment| segment.file == log) {
            let small = segment.entries <= builder.entries().saturating_mul(2);
            // Both are in memory during the join: that took 92 MiB when only the number of entries was limited.
            let entries = u64::from(segment.entries) + u64::from(builder.entries());
            let keys = segment.keys_at_most().saturating_add(builder.key_count());
            if !small || entries > u64::from(ENTRIES) || keys > KEYS {
                break;
            }
            let earlier = self.store.segment(segment)?;
            *builder = std::mem::take(builder).prepend(&earlier).ok_or_else(|| self.store.damaged())?;
            self.store.drop_segment(segment.id)?;
        }
        self.built.entries += added;
        self.store.put_segment(log, builder)
    }

    fn put(&mut self, log: i64, builder: &mut SegmentBuilder) -> Result<(), IndexError> {
        self.built.entries += u64::from(builder.entries());
        self.store.put_segment(log, builder)
    }

    #[inline]
    fn record(&mut self, log: i64, record: &Record<'_>, builder: &mut SegmentBuilder) -> Result<(), IndexError> {
        let session = record.header.session;
        let happened = !self.commits.never(record.header.zxid);
        let multi = operations(record).is_some();
        let mut last = 0;
        for part in parts(record) {
            // Here and not after the record: one record can name millions of paths.
            if builder.is_full() {
                self.put(log, builder)?;
            }
            builder.add(EntryLocation { offset: record.offset, part: part.number }, &record.header);
            builder.add_term(Term::session(session));
            builder.add_term(Term::kind(part.kind));
            if matches!(part.kind, EntryKind::Opened | EntryKind::Closed) {
                builder.add_term(Term::life(session));
            }
            if multi {
                builder.add_term(Term::multi());
            }
            if let Some(path) = part.path() {
                Term::each_of_path(&path, |term| builder.add_term(term));
            }
            if happened {
                self.ephemerals.follow(session, &part);
            }
            last = part.number;
        }
        if matches!(record.txn, Txn::CloseSession { .. }) {
            let paths = if happened { self.ephemerals.end(session) } else { self.ephemerals.of(session) };
            for (number, path) in (last + 1..).zip(paths) {
                builder.add(EntryLocation { offset: record.offset, part: number }, &record.header);
                builder.add_term(Term::session(session));
                builder.add_term(Term::kind(EntryKind::Ended));
                Term::each_of_path(&path, |term| builder.add_term(term));
                self.store.put_ended(log, record.offset, number, &path)?;
            }
        }
        Ok(())
    }
}

fn follows(log: &LogFile, record: &Record<'_>, before: &Path, state: &LogState) -> Result<(), IndexError> {
    match state.zxids {
        Some(ZxidRange { last, .. }) if record.header.zxid <= last => Err(IndexError::Mixed {
            path: log.path.clone(),
            before: before.to_owned(),
            first: record.header.zxid,
            last,
        }),
        _ => Ok(()),
    }
}
