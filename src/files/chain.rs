//! The logs of a member, read as one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::files::error::CannotLook;
use crate::files::member::File;
use crate::files::open::{Progress, Source, Steady, open_log};
use crate::files::survey::{OnProgress, is_packing};
use crate::jute::Malformed;
use crate::log::{Damage, Event, Fault, LogReader, Record};
use crate::model::ids::Zxid;

/// The logs of a member, read as one. The record at hand is kept, so that several chains can be compared.
pub struct Chain {
    files: VecDeque<PathBuf>,
    open: Option<(LogReader<Source>, Steady, PathBuf)>,
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
    /// Reads these logs one after the other, and stands at the first record.
    pub fn new(files: &[File], progress: OnProgress<'_>) -> Result<Self, CannotLook> {
        let files = files.iter().map(|file| file.path.clone()).collect();
        let mut chain = Self { files, open: None, head: None, body: Vec::new(), damage: Vec::new(), records: 0 };
        chain.advance(progress)?;
        Ok(chain)
    }

    /// The zxid of the record at hand; `None` at the end.
    pub fn zxid(&self) -> Option<Zxid> {
        self.head.map(|head| head.zxid)
    }

    /// The file of the record at hand.
    pub fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|(_, _, path)| path.as_path())
    }

    /// The record at hand.
    pub fn record(&self) -> Option<Result<Record<'_>, Malformed>> {
        self.head.map(|head| Record::decode(head.offset, head.checksum, &self.body))
    }

    /// Goes to the next record.
    pub fn advance(&mut self, progress: OnProgress<'_>) -> Result<(), CannotLook> {
        self.head = None;
        loop {
            let Some((reader, steady, path)) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(()) };
                let (reader, steady) = open_log(&path)?;
                self.open = Some((reader, steady, path));
                continue;
            };
            match reader.next() {
                Ok(Some(Event::Record(record))) => {
                    self.body.clear();
                    self.body.extend_from_slice(record.body);
                    let zxid = record.header.zxid;
                    self.head = Some(Head { zxid, offset: record.offset, checksum: record.checksum });
                    self.records += 1;
                    if self.records.is_multiple_of(1 << 14) {
                        progress(Progress { path, done: record.offset, of: steady.length() });
                    }
                    return Ok(());
                }
                Ok(Some(Event::Damage(damage))) if matches!(damage.fault, Fault::Gap { .. }) => {}
                Ok(Some(Event::Damage(damage))) if self.damage.len() < 1000 => self.damage.push((path.clone(), damage)),
                Ok(Some(Event::Damage(_))) => {}
                Err(error) if !is_packing(&error) => return Err(CannotLook::io(path, error)),
                Ok(None) | Err(_) => {
                    if steady.shrank() {
                        return Err(CannotLook::Changed(path.clone()));
                    }
                    self.open = None;
                }
            }
        }
    }
}
