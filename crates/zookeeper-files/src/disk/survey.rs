//! Reads one file once: its content, and what is wrong with it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::disk::error::DiskError;
use crate::disk::live::{PATIENCE, SETTLED};
use crate::disk::open::{OnProgress, OpenFile, Progress, open_snapshot_file};
use crate::disk::scan::{Scan, ScanItem};
use crate::ids::Zxid;
use crate::log::{Damage, End, Header, LogFault, SERVER_LIMIT, TxnType};
use crate::replay::MemberHistory;
use crate::snapshot::{self, Compression, SnapshotError, SnapshotItem, Trailer};

/// How many places of damage are kept: memory must not grow with them.
pub(crate) const MAX_DAMAGE: usize = 1000;
/// One transaction of this many is kept, to compare it with other files.
const SAMPLE_EVERY: u64 = 1 << 12;

/// What is in a log.
#[derive(Debug, Default)]
pub(crate) struct LogSurvey {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Option<Zxid>,
    pub(crate) last: Option<Zxid>,
    pub(crate) end: End,
    pub(crate) damage: Vec<Damage>,
    pub(crate) more_damage: u64,
    pub(crate) unpacking: Option<String>,
    pub(crate) surplus: u64,
    /// The first record that is too long for servers: offset, zxid, length.
    pub(crate) too_long: Option<(u64, Zxid, usize)>,
    pub(crate) member_history: MemberHistory,
    pub(crate) samples: Vec<(Zxid, (Header, TxnType))>,
}

/// What is in a snapshot.
#[derive(Debug, Default)]
pub(crate) struct SnapshotSurvey {
    pub(crate) znodes: u64,
    pub(crate) sessions: u64,
    pub(crate) bytes: u64,
    pub(crate) digest: i64,
    pub(crate) newest: Zxid,
    pub(crate) trailer: Trailer,
    pub(crate) unsound: Option<(u64, snapshot::SnapshotFault, String)>,
    /// How it is packed.
    pub(crate) packed: Compression,
    /// Whether it seems cut because a server is still writing it.
    pub(crate) being_written: bool,
    /// The length of the longest data that is too long for servers.
    pub(crate) too_long: Option<usize>,
}

/// Reads a log to its end. `None` if it was purged.
pub(crate) fn log(
    path: &Path,
    max_record: Option<usize>,
    progress: OnProgress<'_>,
) -> Result<Option<LogSurvey>, DiskError> {
    let mut survey = LogSurvey::default();
    let limit = max_record.unwrap_or(SERVER_LIMIT);
    let mut scan = Scan::one(path, max_record);
    while let Some(item) = scan.next(progress)? {
        match item {
            ScanItem::Record(record) => {
                let zxid = record.header.zxid;
                survey.first.get_or_insert(zxid);
                survey.last = Some(zxid);
                survey.records += 1;
                survey.surplus += u64::from(record.surplus > 0);
                if record.body.len() > limit && survey.too_long.is_none() {
                    survey.too_long = Some((record.offset, zxid, record.body.len()));
                }
                if zxid.0 % SAMPLE_EVERY == 1 {
                    survey.samples.push((zxid, (record.header, record.txn.txn_type())));
                }
                survey.member_history.add(zxid);
            }
            ScanItem::Damage(damage) => {
                if loses_some(&damage.fault) {
                    survey.member_history.lose_after(damage.after);
                }
                if survey.damage.len() < MAX_DAMAGE {
                    survey.damage.push(damage);
                } else {
                    survey.more_damage += 1;
                }
            }
            ScanItem::Unpackable(error) => {
                survey.member_history.lose_after(survey.last);
                survey.unpacking = Some(error.to_string());
            }
            ScanItem::Purged => return Ok(None),
            ScanItem::End { read, end, .. } => (survey.bytes, survey.end) = (read, end),
        }
    }
    Ok(Some(survey))
}

/// Reads a snapshot to its end, and computes its digest. A snapshot that is being written seems cut: it is read again.
pub(crate) fn snapshot(
    path: &Path,
    max_record: Option<usize>,
    progress: OnProgress<'_>,
) -> Result<SnapshotSurvey, DiskError> {
    let began = Instant::now();
    loop {
        let (mut survey, opened) = snapshot_once(path, max_record, progress)?;
        // A server rewrites a snapshot of the same name if nothing has changed since.
        let anew = opened.shrank();
        let unfinished = anew || (survey.unsound.is_some() && opened.age().is_some_and(|age| age < SETTLED));
        if anew && began.elapsed() >= PATIENCE {
            return Err(DiskError::Changed(path.to_owned()));
        }
        if !unfinished || began.elapsed() >= PATIENCE {
            survey.being_written = unfinished;
            return Ok(survey);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn snapshot_once(
    path: &Path,
    max_record: Option<usize>,
    progress: OnProgress<'_>,
) -> Result<(SnapshotSurvey, OpenFile), DiskError> {
    let (reader, opened) = open_snapshot_file(path, max_record)?;
    let mut survey = SnapshotSurvey { packed: opened.packed, ..SnapshotSurvey::default() };
    let limit = max_record.unwrap_or(SERVER_LIMIT);
    let judged = reader.and_then(|mut reader| {
        while let Some(item) = reader.next()? {
            match item {
                SnapshotItem::Znode(node) => {
                    survey.znodes += 1;
                    let digest = node.stat.digest(node.path.0, node.data);
                    survey.digest = survey.digest.wrapping_add(i64::from(digest));
                    let length = node.data.map_or(0, <[u8]>::len);
                    if length > limit {
                        survey.too_long = survey.too_long.max(Some(length));
                    }
                }
                SnapshotItem::Session(_) => survey.sessions += 1,
                SnapshotItem::Acl(_) => {}
            }
            if survey.znodes % (1 << 14) == 1 {
                progress(Progress { path, done: reader.offset(), of: opened.length() });
            }
        }
        survey.trailer = reader.trailer();
        survey.newest = reader.newest();
        survey.bytes = reader.offset();
        Ok(())
    });
    match judged {
        Ok(()) => {}
        Err(SnapshotError::Io(error)) => return Err(DiskError::io(path, error)),
        Err(other @ SnapshotError::Magic(_)) => {
            return Err(DiskError::OtherFile { path: path.to_owned(), what: other.to_string() });
        }
        Err(SnapshotError::Damaged { offset, last, fault }) => {
            let text = SnapshotError::Damaged { offset, last, fault: fault.clone() }.to_string();
            survey.unsound = Some((offset, fault, text));
        }
    }
    Ok((survey, opened))
}

fn loses_some(fault: &LogFault) -> bool {
    !(fault.is_unfinished() || matches!(fault, LogFault::Gap { .. } | LogFault::Version(_)))
}

impl LogSurvey {
    /// Whether it lost transactions. A record that a server never finished does not count.
    pub(crate) fn lost_some(&self) -> bool {
        self.unpacking.is_some() || self.more_damage > 0 || self.damage.iter().any(|damage| loses_some(&damage.fault))
    }

    /// The first transaction. If it is damaged, the name of the file tells.
    pub(crate) fn begins(&self, name: Option<Zxid>) -> Option<Zxid> {
        let damaged = self.damage.iter().any(|damage| damage.after.is_none() && damage.length > 0);
        if damaged { name.or(self.first) } else { self.first }
    }

    /// Whether its end was cut off: servers leave preallocated zeros there.
    pub(crate) fn ends_bare(&self) -> bool {
        self.end.zeros == 0 && !self.damage.iter().any(|damage| damage.fault == LogFault::Empty)
    }
}
