//! The logs of a member, read as one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::disk::error::CannotLook;
use crate::disk::live::{LiveLog, is_packing, unless_purged};
use crate::disk::member::File;
use crate::disk::open::Progress;
use crate::disk::survey::OnProgress;
use crate::ids::Zxid;
use crate::jute::Malformed;
use crate::log::{Damage, Event, Fault, Record};

/// The logs of a member, read as one. The record at hand is kept, so that several chains can be compared.
pub struct Chain {
    files: VecDeque<PathBuf>,
    limit: Option<usize>,
    open: Option<LiveLog>,
    purged: Vec<PathBuf>,
    head: Option<Head>,
    body: Vec<u8>,
    /// Damage that was met, with the file it is in.
    pub damage: Vec<(PathBuf, Damage)>,
    records: u64,
}

#[derive(Clone, Copy)]
struct Head {
    zxid: Zxid,
    offset: u64,
    checksum: u32,
}

impl Chain {
    /// Reads these logs one after the other, with records of up to `limit` bytes, and stands at the first record.
    pub fn new(files: &[File], limit: Option<usize>, progress: OnProgress<'_>) -> Result<Self, CannotLook> {
        let files = files.iter().map(|file| file.path.clone()).collect();
        let (open, head, body, damage, purged) = (None, None, Vec::new(), Vec::new(), Vec::new());
        let mut chain = Self { files, limit, open, purged, head, body, damage, records: 0 };
        chain.advance(progress)?;
        Ok(chain)
    }

    /// The zxid of the record at hand; `None` at the end.
    pub fn zxid(&self) -> Option<Zxid> {
        self.head.map(|head| head.zxid)
    }

    /// The file of the record at hand.
    pub fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(LiveLog::path)
    }

    /// The record at hand.
    pub fn record(&self) -> Option<Result<Record<'_>, Malformed>> {
        self.head.map(|head| Record::decode(head.offset, head.checksum, &self.body))
    }

    /// The logs that were purged before they could be read.
    pub fn purged(&self) -> &[PathBuf] {
        &self.purged
    }

    /// Goes to the next record.
    pub fn advance(&mut self, progress: OnProgress<'_>) -> Result<(), CannotLook> {
        self.head = None;
        loop {
            let Some(log) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(()) };
                match unless_purged(LiveLog::of_folder(&path, self.limit))? {
                    Some(log) => self.open = Some(log),
                    None => self.purged.push(path),
                }
                continue;
            };
            let length = log.length();
            match log.next() {
                Ok(Some(Event::Record(record))) => {
                    self.body.clear();
                    self.body.extend_from_slice(record.body);
                    let zxid = record.header.zxid;
                    self.head = Some(Head { zxid, offset: record.offset, checksum: record.checksum });
                    self.records += 1;
                    if self.records.is_multiple_of(1 << 14) {
                        let done = record.offset;
                        progress(Progress { path: log.path(), done, of: length });
                    }
                    return Ok(());
                }
                Ok(Some(Event::Damage(damage))) if matches!(damage.fault, Fault::Gap { .. }) => {}
                Ok(Some(Event::Damage(damage))) if self.damage.len() < 1000 => {
                    self.damage.push((log.path().to_owned(), damage));
                }
                Ok(Some(Event::Damage(_))) => {}
                Err(error) if !is_packing(&error) => return Err(CannotLook::io(log.path(), error)),
                Ok(None) | Err(_) => {
                    log.check()?;
                    self.open = None;
                }
            }
        }
    }
}
