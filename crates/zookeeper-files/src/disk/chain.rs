//! The logs of a member, read as one.

use std::path::{Path, PathBuf};

use crate::disk::error::CannotLook;
use crate::disk::member::File;
use crate::disk::open::OnProgress;
use crate::disk::survey::KEPT;
use crate::disk::walk::{Met, Walk};
use crate::ids::Zxid;
use crate::jute::Malformed;
use crate::log::{Damage, Fault, Record};

/// The logs of a member, read as one. The record at hand is kept, so that several chains can be compared.
pub(crate) struct Chain {
    walk: Walk,
    purged: Vec<PathBuf>,
    head: Option<Head>,
    body: Vec<u8>,
    /// Damage that was met, with the file it is in.
    pub(crate) damage: Vec<(PathBuf, Damage)>,
}

#[derive(Clone, Copy)]
struct Head {
    zxid: Zxid,
    offset: u64,
    checksum: u32,
}

impl Chain {
    /// Reads these logs one after the other, with records of up to `limit` bytes, and stands at the first record.
    pub(crate) fn new(files: &[File], limit: Option<usize>, progress: OnProgress<'_>) -> Result<Self, CannotLook> {
        let (head, body, damage, purged) = (None, Vec::new(), Vec::new(), Vec::new());
        let mut chain = Self { walk: Walk::new(files, limit), purged, head, body, damage };
        chain.advance(progress)?;
        Ok(chain)
    }

    /// The zxid of the record at hand; `None` at the end.
    pub(crate) fn zxid(&self) -> Option<Zxid> {
        self.head.map(|head| head.zxid)
    }

    /// The file of the record at hand.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.walk.path()
    }

    /// The record at hand.
    pub(crate) fn record(&self) -> Option<Result<Record<'_>, Malformed>> {
        self.head.map(|head| Record::decode(head.offset, head.checksum, &self.body))
    }

    /// The logs that were purged before they could be read.
    pub(crate) fn purged(&self) -> &[PathBuf] {
        &self.purged
    }

    /// Goes to the next record.
    pub(crate) fn advance(&mut self, progress: OnProgress<'_>) -> Result<(), CannotLook> {
        self.head = None;
        while let Some(met) = self.walk.next(progress)? {
            let damage = match met {
                Met::Record(record) => {
                    self.body.clear();
                    self.body.extend_from_slice(record.body);
                    let zxid = record.header.zxid;
                    self.head = Some(Head { zxid, offset: record.offset, checksum: record.checksum });
                    return Ok(());
                }
                Met::Damage(damage) => Some(damage),
                Met::Purged => None,
                Met::Unpackable(_) | Met::End { .. } => continue,
            };
            let Some(path) = self.walk.path().map(Path::to_owned) else { continue };
            match damage {
                None => self.purged.push(path),
                Some(Damage { fault: Fault::Gap { .. }, .. }) => {}
                Some(damage) if self.damage.len() < KEPT => self.damage.push((path, damage)),
                Some(_) => {}
            }
        }
        Ok(())
    }
}
