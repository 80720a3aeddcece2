//! A cursor over the logs of a member.

use std::path::{Path, PathBuf};

use crate::disk::error::DiskError;
use crate::disk::member_files::DataFile;
use crate::disk::open::OnProgress;
use crate::disk::scan::{Scan, ScanItem};
use crate::disk::survey::MAX_DAMAGE;
use crate::ids::Zxid;
use crate::jute::Malformed;
use crate::log::{Damage, LogFault, Record};

/// A cursor over the logs of a member. It keeps a copy of its current record, so that several cursors can be compared.
pub(crate) struct LogCursor {
    scan: Scan,
    purged: Vec<PathBuf>,
    head: Option<Head>,
    body: Vec<u8>,
    /// The damage so far, with its file.
    pub(crate) damage: Vec<(PathBuf, Damage)>,
}

#[derive(Clone, Copy)]
struct Head {
    zxid: Zxid,
    offset: u64,
    checksum: u32,
}

impl LogCursor {
    /// Opens the logs, with records of up to `limit` bytes, and moves to the first record.
    pub(crate) fn new(files: &[DataFile], limit: Option<usize>, progress: OnProgress<'_>) -> Result<Self, DiskError> {
        let (head, body, damage, purged) = (None, Vec::new(), Vec::new(), Vec::new());
        let mut cursor = Self { scan: Scan::new(files, limit), purged, head, body, damage };
        cursor.advance(progress)?;
        Ok(cursor)
    }

    /// The zxid of the current record; `None` at the end.
    pub(crate) fn zxid(&self) -> Option<Zxid> {
        self.head.map(|head| head.zxid)
    }

    /// The file of the current record.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.scan.path()
    }

    /// The current record.
    pub(crate) fn record(&self) -> Option<Result<Record<'_>, Malformed>> {
        self.head.map(|head| Record::decode(head.offset, head.checksum, &self.body))
    }

    /// The logs that were purged before they could be read.
    pub(crate) fn purged(&self) -> &[PathBuf] {
        &self.purged
    }

    /// Moves to the next record.
    pub(crate) fn advance(&mut self, progress: OnProgress<'_>) -> Result<(), DiskError> {
        self.head = None;
        while let Some(item) = self.scan.next(progress)? {
            let damage = match item {
                ScanItem::Record(record) => {
                    self.body.clear();
                    self.body.extend_from_slice(record.body);
                    let zxid = record.header.zxid;
                    self.head = Some(Head { zxid, offset: record.offset, checksum: record.checksum });
                    return Ok(());
                }
                ScanItem::Damage(damage) => Some(damage),
                ScanItem::Purged => None,
                ScanItem::Unpackable(_) | ScanItem::End { .. } => continue,
            };
            let Some(path) = self.scan.path().map(Path::to_owned) else { continue };
            match damage {
                None => self.purged.push(path),
                Some(Damage { fault: LogFault::Gap { .. }, .. }) => {}
                Some(damage) if self.damage.len() < MAX_DAMAGE => self.damage.push((path, damage)),
                Some(_) => {}
            }
        }
        Ok(())
    }
}
