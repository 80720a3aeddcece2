//! Errors of reading files. Each is one line that says what to do.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::ids::Zxid;
use crate::time::iso_text;

/// Why files could not be read or judged.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// There is no file of this name.
    #[error("{}: there is no such file or folder", .0.display())]
    Missing(PathBuf),
    /// The system denies permission.
    #[error("{}: no permission to read it; run as the user that ZooKeeper runs as", .0.display())]
    Permission(PathBuf),
    /// Reading failed.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has none of ZooKeeper's files.
    #[error("{}: no transaction log (log.*) or snapshot (snapshot.*) here, nor in version-2 below{hint}", path.display())]
    NotZooKeeper {
        /// The folder.
        path: PathBuf,
        /// What it looks like instead, or where they are.
        hint: String,
    },
    /// A version-2 without a file.
    #[error("{}: it is empty: a server was never started on it, or its files are gone or elsewhere", .0.display())]
    Unused(PathBuf),
    /// The file begins with other bytes.
    #[error("{}: {what}", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What it is not.
        what: String,
    },
    /// The point is before every transaction in the logs.
    #[error("no transaction at hand is as old: the oldest in these logs is {zxid:#} of {}", iso_text(*time))]
    TooEarly {
        /// The oldest one.
        zxid: Zxid,
        /// Its time, in milliseconds since 1970.
        time: i64,
    },
    /// A server is writing to it.
    #[error("{}: it changes while it is read; read a copy, or stop the server", .0.display())]
    Changed(PathBuf),
    /// Two files have different transactions of the same zxid.
    #[error("{} and {}: they have different transactions {zxid:#}, so they are of two ensembles", one.display(), other.display())]
    Mixed {
        /// One.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// The transaction.
        zxid: Zxid,
    },
    /// These files do not lead to the tree at this point.
    #[error("the tree cannot be rebuilt: {0}")]
    NoTree(String),
}

impl DiskError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::NotFound => Self::Missing(path.to_owned()),
            ErrorKind::PermissionDenied => Self::Permission(path.to_owned()),
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}
