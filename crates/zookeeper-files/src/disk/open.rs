//! Opens files, and detects changes during the read.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::disk::error::DiskError;
use crate::log::RECORD_LIMIT;
use crate::snapshot::{Compression, SnapshotError, SnapshotReader, Unpacked};

/// The progress of long work.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The current file.
    pub path: &'a Path,
    /// How many of its bytes were read.
    pub done: u64,
    /// Its size.
    pub of: u64,
}

/// Receives the progress.
pub(crate) type OnProgress<'a> = &'a mut dyn FnMut(Progress<'_>);

/// What a log or snapshot is read from.
pub type UnpackedFile = Unpacked<File>;

/// A file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    length: u64,
    pub(crate) packed: Compression,
}

impl OpenFile {
    /// Its size when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the file became shorter: the bytes that were read may never have existed at one time. A purged file stays
    /// readable while it is open.
    pub(crate) fn shrank(&self) -> bool {
        self.file.metadata().is_ok_and(|now| now.len() < self.length)
    }

    /// The time since the last write; `None` if unknown.
    pub(crate) fn age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.file.metadata().ok()?.modified().ok()?).ok()
    }
}

/// Opens a file: its uncompressed content, and the file itself.
pub(crate) fn open(path: &Path) -> Result<(UnpackedFile, OpenFile), DiskError> {
    let failed = |error| DiskError::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut head = [0; Compression::SNIFFED];
    let length = read_head(&mut file, &mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let packed = Compression::sniff(&head[..length]);
    let same = file.try_clone().map_err(failed)?;
    let opened = OpenFile { file: same, length: metadata.len(), packed };
    Ok((packed.unpack(file), opened))
}

fn read_head(source: &mut impl Read, head: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < head.len() {
        match source.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The first four bytes of the content.
pub(crate) fn magic(path: &Path) -> Result<Option<[u8; 4]>, DiskError> {
    let (mut source, _) = open(path)?;
    let mut head = [0; 4];
    let length = read_head(&mut source, &mut head).map_err(|error| DiskError::io(path, error))?;
    Ok((length == head.len()).then_some(head))
}

/// Opens a snapshot, compressed or not. The caller judges errors in its header. `limit` is for
/// [`SnapshotReader::with_limit`].
pub fn open_snapshot(
    path: &Path,
    limit: Option<usize>,
) -> Result<Result<SnapshotReader<UnpackedFile>, SnapshotError>, DiskError> {
    open_snapshot_file(path, limit).map(|(reader, _)| reader)
}

/// The same, and the file itself.
pub(crate) fn open_snapshot_file(
    path: &Path,
    limit: Option<usize>,
) -> Result<(Result<SnapshotReader<UnpackedFile>, SnapshotError>, OpenFile), DiskError> {
    let (source, opened) = open(path)?;
    let limited = |reader: SnapshotReader<UnpackedFile>| reader.with_limit(limit.unwrap_or(RECORD_LIMIT));
    match SnapshotReader::new(source).map(limited) {
        Err(SnapshotError::Io(error)) => Err(DiskError::io(path, error)),
        Err(other @ SnapshotError::Magic(_)) => {
            Err(DiskError::OtherFile { path: path.to_owned(), what: other.to_string() })
        }
        other => Ok((other, opened)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_became_shorter_is_another_and_one_that_grows_or_is_purged_is_still_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let opened = |length: usize| {
            fs::write(&path, vec![0; 100]).unwrap();
            let (_, opened) = open(&path).unwrap();
            fs::write(&path, vec![0; length]).unwrap();
            opened
        };
        assert!(!opened(200).shrank() && opened(50).shrank());
        fs::write(&path, vec![0; 100]).unwrap();
        let (_, purged) = open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!purged.shrank());
    }
}
