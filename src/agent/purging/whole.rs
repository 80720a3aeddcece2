//! Which snapshots are whole.
//!
//! ZooKeeper counts a plain one by its last bytes, and a packed one by its first (`SnapStream.isValidSnapshot`): of those that a full volume
//! breaks off it counts all. A purge that believed that left one whole snapshot of three. So packed ones are read to their end, each once.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use zookeeper_files::snapshot::Compression;

use super::LEFT;

/// The path that ends the walk through the tree.
const END: [u8; 5] = *b"\0\0\0\x01/";
/// A shorter file is none.
const SHORTEST: u64 = 10;
const CHUNK: usize = 64 << 10;

/// What is known of packed snapshots.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<PathBuf, Looked>>);

/// A packed snapshot as it was when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looked {
    written: Option<SystemTime>,
    bytes: u64,
    whole: bool,
}

impl Known {
    /// Whether a server could read it, as far as its bytes tell.
    pub(super) fn whole(&self, path: &Path) -> io::Result<bool> {
        let metadata = fs::metadata(path)?;
        if metadata.len() < SHORTEST {
            return Ok(false);
        }
        let Some(packed) = packed(path) else { return plain(path) };
        // One that is written just now would be read again and again.
        if metadata.modified().is_ok_and(|written| written.elapsed().is_ok_and(|age| age < LEFT)) {
            return Ok(false);
        }
        if let Some(looked) = self.known(path).filter(|looked| looked.is_of(&metadata)) {
            return Ok(looked.whole);
        }
        let whole = ends_like_one(packed.unpack(BufReader::new(fs::File::open(path)?)))?;
        let looked = Looked { written: metadata.modified().ok(), bytes: metadata.len(), whole };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), looked);
        Ok(whole)
    }

    fn known(&self, path: &Path) -> Option<Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }

    /// Forgets those that are gone.
    pub(super) fn only(&self, there: impl Fn(&Path) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|path, _| there(path));
    }
}

impl Looked {
    fn is_of(&self, metadata: &Metadata) -> bool {
        self.bytes == metadata.len() && self.written.is_some() && self.written == metadata.modified().ok()
    }
}

fn packed(path: &Path) -> Option<Compression> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => Some(Compression::Gzip),
        Some("snappy") => Some(Compression::Snappy),
        _ => None,
    }
}

/// Whether a snapshot is packed, by its name.
pub(super) fn is_packed(path: &Path) -> bool {
    packed(path).is_some()
}

fn plain(path: &Path) -> io::Result<bool> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::End(-5))?;
    let mut found = [0; 5];
    file.read_exact(&mut found)?;
    Ok(found == END)
}

/// Whether what is packed can be read to its end, and ends like a snapshot. What the system says is of the disk; all else is of the bytes.
fn ends_like_one(mut source: impl Read) -> io::Result<bool> {
    let (mut tail, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(tail == END),
            Ok(read) => {
                tail.extend_from_slice(&chunk[..read]);
                tail.drain(..tail.len().saturating_sub(END.len()));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(_) => return Ok(false),
        }
    }
}
