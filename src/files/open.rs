//! Opening files, and telling whether they changed while they were read.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::error::CannotLook;
use crate::log::{LogReader, NotALog};
use crate::snapshot::{Compression, SnapshotReader, Unpacked, Unsound};

/// How long work has come along.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file at hand.
    pub path: &'a Path,
    /// The bytes of it that were read.
    pub done: u64,
    /// Its size.
    pub of: u64,
}

/// What a log or snapshot is read from.
pub type Source = Unpacked<File>;

/// A file as it was when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steady {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Steady {
    fn of(path: &Path, file: &File) -> Result<Self, CannotLook> {
        let metadata = file.metadata().map_err(|error| CannotLook::io(path, error))?;
        Ok(Self { path: path.to_owned(), length: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Its size when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is still the same: a server appends to its newest log all the time.
    pub fn holds(&self) -> bool {
        fs::metadata(&self.path)
            .is_ok_and(|metadata| metadata.len() == self.length && metadata.modified().ok() == self.modified)
    }

    /// Whether it became shorter, or is gone: what was read of it may never have been there at one time.
    pub fn shrank(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |metadata| metadata.len() < self.length)
    }
}

fn open(path: &Path) -> Result<(Source, Steady), CannotLook> {
    let failed = |error| CannotLook::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let steady = Steady::of(path, &file)?;
    let mut head = [0; Compression::SNIFFED];
    let length = read_head(&mut file, &mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok((Compression::sniff(&head[..length]).unpack(file), steady))
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

/// The first four bytes of what is in a file.
pub(crate) fn magic(path: &Path) -> Result<Option<[u8; 4]>, CannotLook> {
    let (mut source, _) = open(path)?;
    let mut head = [0; 4];
    let length = read_head(&mut source, &mut head).map_err(|error| CannotLook::io(path, error))?;
    Ok((length == head.len()).then_some(head))
}

/// Opens a log, packed or not.
pub fn open_log(path: &Path) -> Result<(LogReader<Source>, Steady), CannotLook> {
    let (source, steady) = open(path)?;
    let reader = LogReader::new(source).map_err(|error| match error {
        NotALog::Io(error) => CannotLook::io(path, error),
        other @ NotALog::Magic(_) => CannotLook::OtherFile { path: path.to_owned(), what: other.to_string() },
    })?;
    Ok((reader, steady))
}

/// Opens a snapshot, packed or not. What is wrong with its header is for the caller to judge.
pub fn open_snapshot(path: &Path) -> Result<(Result<SnapshotReader<Source>, Unsound>, Steady), CannotLook> {
    let (source, steady) = open(path)?;
    match SnapshotReader::new(source) {
        Err(Unsound::Io(error)) => Err(CannotLook::io(path, error)),
        Err(other @ Unsound::Magic(_)) => Err(CannotLook::OtherFile { path: path.to_owned(), what: other.to_string() }),
        other => Ok((other, steady)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_another_and_one_that_shrinks_or_goes_was_never_seen_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        let steady = |length: usize| {
            fs::write(&path, vec![0; 100]).unwrap();
            let (_, steady) = open(&path).unwrap();
            fs::write(&path, vec![0; length]).unwrap();
            steady
        };
        let grown = steady(200);
        assert!(!grown.holds() && !grown.shrank());
        let shrunk = steady(50);
        assert!(!shrunk.holds() && shrunk.shrank());
        let gone = steady(100);
        fs::remove_file(&path).unwrap();
        assert!(!gone.holds() && gone.shrank());
    }
}
