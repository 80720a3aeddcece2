//! The only loop that reads logs: one after the other, each to its end, in constant memory.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::error::DiskError;
use crate::disk::live::{LiveLog, is_packing, unless_purged};
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::open::{OnProgress, Progress};
use crate::ids::Zxid;
use crate::log::{Damage, End, LogItem, RawItem, Record};

/// How many records are read between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 14;

/// An item of a scan of logs.
#[derive(Debug)]
pub enum ScanItem<'a> {
    /// A good record.
    Record(Record<'a>),
    /// Damage. The scan continues with the good records after it.
    Damage(Damage),
    /// The compressed log cannot be unpacked to its end: its data is damaged, not the disk.
    Unpackable(io::Error),
    /// The log was purged before it could be read.
    Purged,
    /// The log was read to its end.
    End {
        /// How many bytes were read.
        read: u64,
        /// Where the next record would begin.
        end: End,
        /// The last record.
        last: Option<Zxid>,
    },
}

/// Reads logs one after the other.
///
/// A server may be writing to them: see [`disk`](crate::disk). The last item of each log is its [`End`](ScanItem::End), unless
/// the log was purged.
///
/// ```no_run
/// use zookeeper_files::disk::{MemberFiles, ScanItem};
///
/// let member = MemberFiles::find("/var/lib/zookeeper")?;
/// let mut scan = member.scan(&member.logs);
/// while let Some(item) = scan.next(&mut |_| ())? {
///     match item {
///         ScanItem::Record(record) => println!("{:#} {}", record.header.zxid, record.txn.txn_type()),
///         ScanItem::Damage(damage) => println!("{damage}"),
///         ScanItem::Unpackable(error) => println!("{error}"),
///         ScanItem::Purged | ScanItem::End { .. } => {}
///     }
/// }
/// # Ok::<(), zookeeper_files::disk::DiskError>(())
/// ```
pub struct Scan {
    files: Vec<PathBuf>,
    /// How many of them were opened.
    begun: usize,
    limit: Option<usize>,
    /// Whether a single file was named: if it begins with other bytes, that is a mistake; in a folder it is damage.
    single: bool,
    log: Option<LiveLog>,
    at: ScanState,
    records: u64,
}

/// Where a scan is in a log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    /// There may be more items.
    Inside,
    /// The end, which was not reported yet.
    End,
    /// The end was reported.
    Past,
}

impl MemberFiles {
    /// Scans some of its logs.
    pub fn scan(&self, logs: &[DataFile]) -> Scan {
        Scan { single: self.single, ..Scan::new(logs, self.max_record) }
    }
}

impl Scan {
    /// Reads logs of folders, with records of up to `limit` bytes.
    pub(crate) fn new(logs: &[DataFile], limit: Option<usize>) -> Self {
        Self::of(logs.iter().map(|file| file.path.clone()).collect(), limit)
    }

    /// Reads one log.
    pub(crate) fn one(path: &Path, limit: Option<usize>) -> Self {
        Self::of(vec![path.to_owned()], limit)
    }

    fn of(files: Vec<PathBuf>, limit: Option<usize>) -> Self {
        Self { files, begun: 0, limit, single: false, log: None, at: ScanState::Inside, records: 0 }
    }

    /// Continues in an uncompressed log, at the offset of a record; `last` is the record before it. `None` if the log was
    /// purged.
    pub(crate) fn resume(
        path: &Path,
        offset: u64,
        last: Option<Zxid>,
        limit: Option<usize>,
    ) -> Result<Option<Self>, DiskError> {
        Self::resumed(path, limit, LiveLog::resume(path, offset, last, limit, false))
    }

    /// The same in a log that a server writes just now: it ends where its zeros begin, and what servers allocate ahead is not read.
    pub(crate) fn resume_growing(
        path: &Path,
        offset: u64,
        last: Option<Zxid>,
        limit: Option<usize>,
    ) -> Result<Option<Self>, DiskError> {
        Self::resumed(path, limit, LiveLog::resume(path, offset, last, limit, true))
    }

    fn resumed(path: &Path, limit: Option<usize>, log: Result<LiveLog, DiskError>) -> Result<Option<Self>, DiskError> {
        Ok(unless_purged(log)?.map(|log| Self { begun: 1, log: Some(log), ..Self::one(path, limit) }))
    }

    /// The log of the last item.
    pub fn path(&self) -> Option<&Path> {
        self.begun.checked_sub(1).and_then(|at| self.files.get(at)).map(PathBuf::as_path)
    }

    /// The next item; `None` after the last log.
    #[inline]
    pub fn next(&mut self, progress: OnProgress<'_>) -> Result<Option<ScanItem<'_>>, DiskError> {
        let found = loop {
            if self.at == ScanState::Past {
                (self.log, self.at) = (None, ScanState::Inside);
            }
            let Some(log) = &mut self.log else {
                let Some(path) = self.files.get(self.begun) else { return Ok(None) };
                self.begun += 1;
                self.log = if self.single {
                    Some(LiveLog::open(path, self.limit)?)
                } else {
                    unless_purged(LiveLog::of_folder(path, self.limit))?
                };
                if self.log.is_none() {
                    return Ok(Some(ScanItem::Purged));
                }
                continue;
            };
            if self.at == ScanState::End {
                log.check()?;
                self.at = ScanState::Past;
                let (read, end, last) = (log.offset(), log.end().unwrap_or_default(), log.last());
                return Ok(Some(ScanItem::End { read, end, last }));
            }
            match log.find() {
                Ok(RawItem::End) => self.at = ScanState::End,
                Ok(found) => break found,
                Err(error) if is_packing(&error) => {
                    self.at = ScanState::End;
                    return Ok(Some(ScanItem::Unpackable(error)));
                }
                Err(error) => return Err(DiskError::io(log.path(), error)),
            }
        };
        let Some(log) = &self.log else { return Ok(None) };
        if let RawItem::Record { offset, .. } = found {
            self.records += 1;
            if self.records.is_multiple_of(PROGRESS_EVERY) {
                progress(Progress { path: log.path(), done: offset, of: log.length() });
            }
        }
        Ok(log.deliver(found).map(|item| match item {
            LogItem::Record(record) => ScanItem::Record(record),
            LogItem::Damage(damage) => ScanItem::Damage(damage),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::log::{Header, LogWriter, SessionId, Txn};

    /// A log with these transactions, as it lies on a disk.
    fn log(folder: &Path, zxids: std::ops::RangeInclusive<u64>) -> DataFile {
        let path = folder.join(format!("log.{:x}", zxids.start()));
        let mut log = LogWriter::new(Vec::new(), 0).unwrap();
        for zxid in zxids.clone() {
            let header = Header { session: SessionId(1), cxid: 1, zxid: Zxid(zxid), time: 0 };
            log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
        }
        fs::write(&path, log.into_inner()).unwrap();
        DataFile { path, zxid: Some(Zxid(*zxids.start())) }
    }

    /// What is met: zxids, `!` for damage, `-` for what was purged, `.` for an end.
    fn item(mut scan: Scan) -> String {
        let mut text = Vec::new();
        while let Some(item) = scan.next(&mut |_| ()).unwrap() {
            text.push(match item {
                ScanItem::Record(record) => record.header.zxid.to_string(),
                ScanItem::Damage(_) | ScanItem::Unpackable(_) => "!".to_owned(),
                ScanItem::Purged => "-".to_owned(),
                ScanItem::End { .. } => ".".to_owned(),
            });
        }
        text.join(" ")
    }

    #[test]
    fn logs_are_read_one_after_the_other_and_each_is_told_to_end_or_to_be_gone() {
        let folder = tempfile::tempdir().unwrap();
        let logs = [log(folder.path(), 1..=2), log(folder.path(), 3..=3), log(folder.path(), 4..=5)];
        assert_eq!(item(Scan::new(&logs, None)), "1 2 . 3 . 4 5 .");
        fs::remove_file(&logs[1].path).unwrap();
        assert_eq!(item(Scan::new(&logs, None)), "1 2 . - 4 5 .");
    }

    #[test]
    fn a_walk_goes_on_where_another_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = log(folder.path(), 1..=3);
        let mut scan = Scan::one(&file.path, None);
        let Some(ScanItem::Record(record)) = scan.next(&mut |_| ()).unwrap() else { panic!("no record") };
        let resumed = Scan::resume(&file.path, record.end(), Some(Zxid(1)), None).unwrap().unwrap();
        assert_eq!(item(resumed), "2 3 .");
        let gap = Scan::resume(&file.path, scan.log.as_ref().unwrap().offset(), Some(Zxid(9)), None);
        assert_eq!(item(gap.unwrap().unwrap()), "! 2 3 .");
    }

    #[test]
    fn other_bytes_are_damage_of_a_folder_and_a_mistake_where_a_file_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = DataFile { path: folder.path().join("log.1"), zxid: Some(Zxid(1)) };
        fs::write(&file.path, b"no log at all").unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
        fs::File::options().append(true).open(&file.path).unwrap().set_modified(old).unwrap();
        let member = |single| MemberFiles { single, logs: vec![file.clone()], ..MemberFiles::default() };
        assert_eq!(item(member(false).scan(&member(false).logs)), "! .");
        let mut scan = member(true).scan(&member(true).logs);
        assert!(matches!(scan.next(&mut |_| ()), Err(DiskError::OtherFile { .. })));
    }
}
