//! The transaction logs of a folder, and single records of them. Opened for reading only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{LiveLog, MemberFiles, SnapshotCover};
use crate::ids::Zxid;
use crate::index::error::IndexError;
use crate::log::Record;

/// A log to be indexed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogFile {
    /// The zxid of its name; `None` for a single file of another name.
    pub(crate) zxid: Option<Zxid>,
    pub(crate) path: PathBuf,
}

/// The logs of members' folders or single files, oldest first, and the snapshots that cover their gaps.
pub(crate) fn find(sources: &[String], max_record: Option<usize>) -> Result<(Vec<LogFile>, SnapshotCover), IndexError> {
    let (mut logs, mut cover) = (Vec::new(), SnapshotCover::default());
    for source in sources {
        let member = MemberFiles::find(source)?;
        cover.extend(&member.cover());
        if member.logs.is_empty() {
            return Err(IndexError::NoLogs(source.into()));
        }
        for log in member.logs {
            if log.path.extension().is_some_and(|extension| extension == "gz") {
                return Err(IndexError::Packed(log.path));
            }
            if member.single {
                LiveLog::open(&log.path, max_record)?;
            }
            let path = match fs::canonicalize(&log.path) {
                // Purged since the folder was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.map_err(IndexError::io(&log.path))?,
            };
            logs.push(LogFile { zxid: log.zxid, path });
        }
    }
    logs.sort();
    logs.dedup();
    Ok((logs, cover))
}

/// The body of the record at an offset of a log; `None` if there is no good record.
pub(crate) fn body_at(file: &File, offset: u64) -> std::io::Result<Option<(u32, Vec<u8>)>> {
    let mut head = [0; 12];
    let read = |bytes: &mut [u8], offset| match file.read_exact_at(bytes, offset) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    };
    if !read(&mut head, offset)? {
        return Ok(None);
    }
    let [stored @ .., l0, l1, l2, l3] = head;
    let stored = u64::from_be_bytes(stored);
    let length = usize::try_from(i32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(0);
    // The build has read this record, whatever its length, but it cannot reach past the end of the file.
    let left = file.metadata()?.len().saturating_sub(offset + 12);
    if length == 0 || length as u64 > left {
        return Ok(None);
    }
    let mut body = vec![0; length];
    if !read(&mut body, offset + 12)? {
        return Ok(None);
    }
    let checksum = simd_adler32::adler32(&&body[..]);
    Ok((stored == u64::from(checksum)).then_some((checksum, body)))
}

/// Opened logs, by their number in the index.
#[derive(Default)]
pub(crate) struct OpenLogs {
    open: HashMap<i64, (File, Rc<Path>)>,
}

impl OpenLogs {
    /// The record at an offset, as bytes to be decoded, with the log's path.
    pub(crate) fn record(
        &mut self,
        log: i64,
        path: &Path,
        offset: u64,
    ) -> Result<(u32, Vec<u8>, Rc<Path>), IndexError> {
        let stale = || IndexError::Stale { path: path.to_owned(), offset };
        let (file, path) = match self.open.entry(log) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => closed.insert((File::open(path).map_err(IndexError::io(path))?, Rc::from(path))),
        };
        let (checksum, body) = body_at(file, offset).map_err(IndexError::io(path))?.ok_or_else(stale)?;
        Ok((checksum, body, path.clone()))
    }
}

/// Whether the record at an offset has this checksum. Also true if the log was purged.
pub(crate) fn is_same(path: &Path, offset: u64, checksum: u32, zxid: Zxid) -> Result<bool, IndexError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        other => other.map_err(IndexError::io(path))?,
    };
    let Some((found, body)) = body_at(&file, offset).map_err(IndexError::io(path))? else { return Ok(false) };
    Ok(found == checksum && Record::decode(offset, found, &body).is_ok_and(|record| record.header.zxid == zxid))
}
