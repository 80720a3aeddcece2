//! Damage of a snapshot.

use std::fmt;
use std::io;

/// Why a snapshot could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It begins with other bytes.
    #[error("not a snapshot: it begins with {} and not with ZKSN", .0.escape_ascii())]
    Magic(Vec<u8>),
    /// It is damaged.
    #[error("{fault} at byte {offset}{}", after(last.as_ref()))]
    Damaged {
        /// The offset in the uncompressed content.
        offset: u64,
        /// The path of the last good znode.
        last: Option<String>,
        /// What is wrong.
        fault: SnapshotFault,
    },
}

fn after(path: Option<&String>) -> String {
    path.map(|path| format!(", after {}", if path.is_empty() { "/" } else { path })).unwrap_or_default()
}

/// What is wrong with a snapshot. Servers use an older snapshot for all of these but `Surplus` and a cut within the trailers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotFault {
    /// The file is empty.
    Empty,
    /// The file ends early.
    Cut,
    /// A checksum is not that of the bytes before it.
    Checksum {
        /// What the file says.
        stored: u64,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// A length or count is negative or beyond the limit.
    Length(i32),
    /// A value has the wrong form.
    Malformed(&'static str),
    /// A znode comes without its parent.
    Orphan(String),
    /// Bytes follow the end.
    Surplus,
    /// It cannot be unpacked.
    Packing(String),
}

impl SnapshotFault {
    /// Its name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Cut => "cut",
            Self::Checksum { .. } => "checksum",
            Self::Length(_) => "length",
            Self::Malformed(_) => "malformed",
            Self::Orphan(_) => "orphan",
            Self::Surplus => "surplus",
            Self::Packing(_) => "packing",
        }
    }
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::Cut => f.write_str("the file ends early"),
            Self::Checksum { stored, computed } => {
                write!(f, "the checksum is {stored:08x} in the file and {computed:08x} by its bytes")
            }
            Self::Length(length) => write!(f, "an absurd length or count of {length}"),
            Self::Malformed(what) => f.write_str(what),
            Self::Orphan(path) => write!(f, "{path} comes without its parent"),
            Self::Surplus => f.write_str("bytes follow the end"),
            Self::Packing(what) => write!(f, "it cannot be unpacked ({what})"),
        }
    }
}
