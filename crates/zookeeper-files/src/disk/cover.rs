//! Snapshots that cover transactions that are missing in the logs.

use std::fmt;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::disk::member_files::{DataFile, MemberFiles};
use crate::ids::Zxid;
use crate::log::{Damage, LogFault};
use crate::snapshot::Compression;

/// The snapshots that contain the changes of missing transactions.
#[derive(Clone, Debug, Default)]
pub struct SnapshotCover(Vec<Zxid>);

/// Why missing transactions are no loss: a snapshot contains their changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoveredBy {
    /// A snapshot that ends where the logs continue: the member got it from its leader.
    FromLeader,
    /// This later snapshot.
    Later(Zxid),
}

impl fmt::Display for CoveredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromLeader => f.write_str("this member got a snapshot from the leader, which has what they did"),
            Self::Later(snapshot) => {
                write!(f, "the snapshot {snapshot:#} has what they did, their history is not here")
            }
        }
    }
}

impl MemberFiles {
    /// The snapshots that look whole to a server, which checks only their ends. For a single log, the snapshots in its folder.
    pub fn cover(&self) -> SnapshotCover {
        let files = if self.single { &self.beside } else { &self.snapshots };
        SnapshotCover::of(files.iter().filter(|file| looks_whole(&file.path)).filter_map(|file| file.zxid))
    }
}

impl SnapshotCover {
    pub(crate) fn of(snapshots: impl IntoIterator<Item = Zxid>) -> Self {
        Self(snapshots.into_iter().collect())
    }

    /// Adds the snapshots of another member.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Why the transactions that are missing before `next` are no loss.
    pub(crate) fn of_gap(&self, before: Zxid, next: Zxid) -> Option<CoveredBy> {
        if self.0.iter().any(|&snapshot| snapshot > before && snapshot.0 == next.0.wrapping_sub(1)) {
            return Some(CoveredBy::FromLeader);
        }
        let newest = self.0.iter().max().filter(|newest| newest.0 >= next.0.saturating_sub(1));
        newest.map(|&newest| CoveredBy::Later(newest))
    }

    /// The same for damage.
    pub fn of_damage(&self, damage: &Damage) -> Option<CoveredBy> {
        match (&damage.fault, damage.zxid) {
            (LogFault::Gap { before }, Some(zxid)) => self.of_gap(*before, zxid),
            _ => None,
        }
    }
}

/// Whether a server would try to load this snapshot: it checks the end of an uncompressed one, and the beginning of a
/// compressed one.
pub(crate) fn looks_whole(path: &Path) -> bool {
    let look = || -> std::io::Result<bool> {
        let mut file = fs::File::open(path)?;
        let mut head = [0; Compression::SNIFFED];
        let packed = Compression::by_name(&path.to_string_lossy());
        if packed != Compression::Plain {
            file.read_exact(&mut head)?;
            return Ok(Compression::sniff(&head) == packed);
        }
        let mut tail = [0; 5];
        file.read_exact(&mut head)?;
        file.seek(SeekFrom::End(-5))?;
        file.read_exact(&mut tail)?;
        Ok(head.starts_with(&crate::snapshot::MAGIC) && tail == *b"\0\0\0\x01/")
    };
    look().unwrap_or(false)
}

impl DataFile {
    /// The name without its folder.
    pub(crate) fn short(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
