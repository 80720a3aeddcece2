//! Errors of building and searching an index.

use std::io;
use std::path::PathBuf;

use crate::disk::DiskError;
use crate::ids::Zxid;

/// An error of building or searching an index. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The logs cannot be found.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder without a single transaction log.
    #[error("{}: no transaction log in it", .0.display())]
    NoLogs(PathBuf),
    /// A log is compressed: its records cannot be read one by one.
    #[error("{}: a compressed log cannot be indexed: unpack it first", .0.display())]
    Packed(PathBuf),
    /// Two logs hold the same stretch of history.
    #[error(
        "{}: begins at {first:#} where {} has already ended at {last:#}: files of several members or ensembles are mixed; \
         index one member's folder, and name the other members' with --others",
        path.display(), before.display()
    )]
    Mixed {
        /// The later one.
        path: PathBuf,
        /// The earlier one.
        before: PathBuf,
        /// The first transaction of the later one.
        first: Zxid,
        /// The last transaction of the earlier one.
        last: Zxid,
    },
    /// The same log was named twice.
    #[error("{}: is named twice: --others are the folders of the other members", .0.display())]
    Twice(PathBuf),
    /// A single log where a member's folder is needed.
    #[error("{}: name the member's whole folder: without its snapshots its logs do not tell what was committed", .0.display())]
    Single(PathBuf),
    /// Another member's log is damaged.
    #[error("{}: it is damaged (see `menagerie log verify`) and does not tell what was committed: leave this member out", .0.display())]
    DamagedOther(PathBuf),
    /// The file is not an index of this release.
    #[error("{}: not an index of this release: remove it or name another file with --index", .0.display())]
    NotAnIndex(PathBuf),
    /// There is no index yet.
    #[error("{}: there is no index: make it with `menagerie index build`", .0.display())]
    Missing(PathBuf),
    /// The index is damaged.
    #[error("{}: the index is damaged: remove it and build it again", .0.display())]
    Damaged(PathBuf),
    /// The index would be in a folder of ZooKeeper.
    #[error("{}: an index does not belong into ZooKeeper's own folder: name another place with --index", .0.display())]
    Inside(PathBuf),
    /// Another process is building it.
    #[error("{}: another process is building this index: wait for it", .0.display())]
    Busy(PathBuf),
    /// The disk of the index is full.
    #[error("{}: no space left for the index: free some, or name another place with --index", .0.display())]
    Full(PathBuf),
    /// A log is not what it was when it was indexed.
    #[error("{}: changed since it was indexed, at byte {offset}: run `menagerie index build` again", path.display())]
    Stale {
        /// Which log.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The index's database failed in another way.
    #[error("{}: {source}", path.display())]
    Database {
        /// The index.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl IndexError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn database(path: &std::path::Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full(path.to_owned()),
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::Busy(path.to_owned()),
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => Self::Damaged(path.to_owned()),
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotAnIndex(path.to_owned()),
            _ => Self::Database { path: path.to_owned(), source },
        }
    }
}
