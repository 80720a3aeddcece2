//! What a member's log has and its archive has not, read from the disk.
//!
//! The server's log is the queue: nothing is kept of it from one reading to the next but where the last shipped transaction ends.
//! What was read before an election may be gone after it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zookeeper_files::disk::{DataFile, DiskError, LogFollower, LogPosition, MemberFiles};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::log::LogItem;

use super::segment::{Facts, SegmentWriter};

/// After which a file's time tells one write from the next.
const SETTLED: Duration = Duration::from_secs(2);

/// A member's log, and how far it was shipped.
#[derive(Clone, Debug)]
pub struct Backlog {
    folder: PathBuf,
    /// Behind the last transaction that was shipped, as far as the log still has it.
    position: Option<LogPosition>,
    /// The newest log when nothing was found behind the position: while it stays as it was, nothing is.
    quiet: Option<LogState>,
}

/// What changes when a server writes to its newest log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LogState {
    path: PathBuf,
    length: u64,
    written: SystemTime,
}

/// Transactions that are not shipped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The shipped transaction that the log has directly before them.
    pub before: Option<Zxid>,
    /// The transactions, one run for each epoch and after each gap.
    pub runs: Vec<ZxidRange>,
    /// The names of the member's snapshots, listed after that.
    pub snapshots: BTreeSet<Zxid>,
    /// Whether the log has more of which it is known that it was applied.
    pub more: bool,
}

/// What is not shipped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The time of the oldest transaction of it, in milliseconds since 1970 by the clock of its leader.
    pub oldest: i64,
    /// About so many bytes of log.
    pub bytes: u64,
}

impl Behind {
    /// Something that is in no log, and so has neither a size nor a time.
    pub fn for_seconds(seconds: u64) -> Self {
        let since = SystemTime::now().checked_sub(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH);
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { oldest: i64::try_from(since.as_millis()).unwrap_or(i64::MAX), bytes: 0 }
    }
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed, or a file was replaced while it was read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log has other transactions than a moment ago.
    #[error("the log changed while it was read")]
    Changed,
    /// A segment could not be made in memory.
    #[error("{0}")]
    Packing(#[from] std::io::Error),
}

/// Ends a reading early.
enum Stop {
    Enough,
    Failed(ReadError),
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Self::Failed(error.into())
    }
}

impl Backlog {
    /// The log in a data folder, of which nothing is known to be shipped.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), position: None, quiet: None }
    }

    fn files(&self) -> Result<Option<MemberFiles>, DiskError> {
        match MemberFiles::find(&self.folder.to_string_lossy()) {
            Err(DiskError::Missing(_) | DiskError::Unused(_) | DiskError::NotZooKeeper { .. }) => Ok(None),
            files => files.map(Some),
        }
    }

    /// Goes on behind a transaction that was shipped, where the log has it; otherwise with the first one after it.
    pub fn go_on_behind(&mut self, last: Option<Zxid>) -> Result<(), ReadError> {
        self.position = None;
        let Some(files) = self.files()? else { return Ok(()) };
        let begun = last.map_or(0, |last| files.logs.partition_point(|log| log.zxid <= Some(last)).saturating_sub(1));
        let Some(log) = files.logs.get(begun) else { return Ok(()) };
        let mut follow = LogFollower::new(&files, start_of(log));
        stopped(follow.poll(&mut |_, item| match item {
            LogItem::Record(record) if Some(record.header.zxid) > last => Err(Stop::Enough),
            _ => Ok(()),
        }))?;
        self.position = Some(follow.position().clone());
        Ok(())
    }

    fn follow(&mut self, last: Option<Zxid>) -> Result<Option<LogFollower>, ReadError> {
        if self.position.is_none() {
            self.go_on_behind(last)?;
        }
        let (Some(files), Some(position)) = (self.files()?, self.position.clone()) else { return Ok(None) };
        Ok(Some(LogFollower::new(&files, position)))
    }

    /// Whether the log has anything behind `last`, the last transaction that was shipped.
    pub fn has_more(&mut self, last: Option<Zxid>) -> Result<bool, ReadError> {
        // A log ends in tens of megabytes of zeros, which would be read each time.
        let now = self.newest();
        if now.is_some() && now == self.quiet {
            return Ok(false);
        }
        let Some(mut follow) = self.follow(last)? else { return Ok(false) };
        let mut more = false;
        stopped(follow.poll(&mut |_, item| {
            more |= matches!(item, LogItem::Record(_));
            if more { Err(Stop::Enough) } else { Ok(()) }
        }))?;
        // The clock of a file moves in steps: of two writes within one, the second would not show.
        let settled = |state: &LogState| state.written.elapsed().is_ok_and(|age| age >= SETTLED);
        self.quiet = now.filter(|state| !more && settled(state));
        Ok(more)
    }

    fn newest(&self) -> Option<LogState> {
        let path = self.files().ok()??.logs.pop()?.path;
        let metadata = fs::metadata(&path).ok()?;
        Some(LogState { path, length: metadata.len(), written: metadata.modified().ok()? })
    }

    /// The name of the newest snapshot: the server has had all up to there, in its log or not.
    pub fn newest_snapshot(&self) -> Result<Option<Zxid>, ReadError> {
        Ok(self.files()?.and_then(|files| files.snapshots.iter().filter_map(|snapshot| snapshot.zxid).max()))
    }

    /// The oldest transaction behind `last`, and how much log is; `None` if nothing is. It reads no more than that one.
    pub fn behind(&mut self, last: Option<Zxid>) -> Result<Option<Behind>, ReadError> {
        let Some(mut follow) = self.follow(last)? else { return Ok(None) };
        let mut oldest = None;
        stopped(follow.poll(&mut |_, item| match item {
            LogItem::Record(record) => {
                oldest = Some(record.header.time);
                Err(Stop::Enough)
            }
            LogItem::Damage(_) => Ok(()),
        }))?;
        let (Some(oldest), Some(files), Some(position)) = (oldest, self.files()?, &self.position) else {
            return Ok(None);
        };
        let later = files.logs.iter().filter(|log| log.zxid >= position.log.zxid);
        let bytes = later.filter_map(|log| {
            // A log ends in a hole of up to 64 MiB: what is allocated counts.
            let metadata = fs::metadata(&log.path).ok()?;
            let filled = metadata.len().min(metadata.blocks().saturating_mul(512));
            Some(if log.zxid == position.log.zxid { filled.saturating_sub(position.offset) } else { filled })
        });
        Ok(Some(Behind { oldest, bytes: bytes.sum() }))
    }

    /// Reads which transactions are behind `last`: at least as many as `enough` bytes hold, and on until `decided` says of one that
    /// its commit needs no look at later ones. Of each epoch that is begun the first one is read: it decides on the epoch before.
    pub fn pending(
        &mut self,
        last: Option<Zxid>,
        enough: u64,
        decided: &dyn Fn(Zxid) -> bool,
    ) -> Result<Pending, ReadError> {
        let mut pending = Pending { before: None, runs: Vec::new(), snapshots: BTreeSet::new(), more: false };
        let Some(mut follow) = self.follow(last)? else { return Ok(pending) };
        pending.before = follow.position().last.filter(|before| Some(*before) == last);
        let mut bytes = 0;
        stopped(follow.poll(&mut |_, item| {
            match item {
                LogItem::Record(record) => {
                    let zxid = record.header.zxid;
                    let enough = bytes >= enough && decided(zxid);
                    // The first of a later epoch is what proves the end of the one before, whatever is known of itself.
                    let begins = pending.runs.last().is_none_or(|run| run.last.epoch() != zxid.epoch());
                    if enough && !begins {
                        pending.more = true;
                        return Err(Stop::Enough);
                    }
                    bytes += u64::from(record.length);
                    match pending.runs.last_mut() {
                        Some(run) if run.last.epoch() == zxid.epoch() && run.last.0 + 1 == zxid.0 => run.last = zxid,
                        _ => pending.runs.push(ZxidRange::of(zxid)),
                    }
                    if enough {
                        pending.more = true;
                        return Err(Stop::Enough);
                    }
                }
                LogItem::Damage(_) => {}
            }
            Ok(())
        }))?;
        if let Some(files) = self.files()? {
            pending.snapshots = files.snapshots.iter().filter_map(|snapshot| snapshot.zxid).collect();
        }
        Ok(pending)
    }

    /// Reads transactions again, up to `limit` bytes and at least one, for a segment. The second value is where they end: for
    /// [`Backlog::shipped`]. If they are not all there any more, none counts: a cut leaves one too many.
    pub fn read(
        &mut self,
        last: Option<Zxid>,
        zxids: ZxidRange,
        limit: u64,
    ) -> Result<(SegmentWriter, Shipped), ReadError> {
        let mut writer = SegmentWriter::new()?;
        let Some(mut follow) = self.follow(last)? else { return Err(ReadError::Changed) };
        let (mut next, mut bytes, mut whole) = (zxids.first, 0, false);
        stopped(follow.poll(&mut |_, item| {
            let LogItem::Record(record) = item else { return Ok(()) };
            let (zxid, length) = (record.header.zxid, u64::from(record.length));
            if zxid < zxids.first {
                return Ok(());
            }
            let full = bytes > 0 && bytes + length > limit;
            whole = next > zxids.last || (zxid == next && full);
            if zxid != next || next > zxids.last || full {
                return Err(Stop::Enough);
            }
            writer.append(&record).map_err(|error| Stop::Failed(error.into()))?;
            (next, bytes) = (Zxid(zxid.0 + 1), bytes + length);
            Ok(())
        }))?;
        if !whole && next <= zxids.last {
            return Err(ReadError::Changed);
        }
        Ok((writer, Shipped(follow.position().clone())))
    }

    /// What a range of the log is, compared with what an archive says that it was.
    pub fn prove(&self, facts: &Facts) -> Result<Proof, ReadError> {
        let Some(files) = self.files()? else { return Ok(Proof::NotYet(None)) };
        let begins = files.logs.first().and_then(|log| log.zxid);
        let Some(begins) = begins else { return Ok(Proof::NotYet(None)) };
        if begins > facts.first {
            return Ok(Proof::Gone);
        }
        let begun = files.logs.partition_point(|log| log.zxid <= Some(facts.first)).saturating_sub(1);
        let mut follow = LogFollower::new(&files, start_of(&files.logs[begun]));
        let (mut found, mut last) = (SegmentWriter::counting(), None);
        stopped(follow.poll(&mut |_, item| {
            let LogItem::Record(record) = item else { return Ok(()) };
            last = Some(record.header.zxid);
            if record.header.zxid > facts.last {
                return Err(Stop::Enough);
            }
            if record.header.zxid >= facts.first {
                found.append(&record).map_err(|error| Stop::Failed(error.into()))?;
            }
            Ok(())
        }))?;
        let found = found.facts(&facts.identity, &facts.chain, facts.epoch, facts.previous.clone(), facts.follows);
        Ok(match found {
            Some(found) if found == *facts => Proof::Same,
            _ if last.is_none_or(|last| last < facts.last) => Proof::NotYet(last),
            _ => Proof::Different,
        })
    }

    /// What was read is shipped.
    pub fn shipped(&mut self, Shipped(position): Shipped) {
        (self.position, self.quiet) = (Some(position), None);
    }

    /// Looks for its place anew at the next reading.
    pub fn forget(&mut self) {
        (self.position, self.quiet) = (None, None);
    }
}

/// What a log has where an archive has a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The same transactions.
    Same,
    /// Others, or not all of them.
    Different,
    /// Its logs of that time were purged.
    Gone,
    /// It ends before: with this transaction, or without any.
    NotYet(Option<Zxid>),
}

/// Where the transactions of a segment end in the log.
#[derive(Clone, Debug)]
pub struct Shipped(LogPosition);

fn start_of(log: &DataFile) -> LogPosition {
    LogPosition { log: log.clone(), offset: 0, last: None }
}

fn stopped(read: Result<(), Stop>) -> Result<(), ReadError> {
    match read {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}
