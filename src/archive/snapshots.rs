//! A member's snapshots on its disk, and what its log says of them.
//!
//! The server may write, overwrite and purge them meanwhile. What was read is told from what is there later by its hash.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use zookeeper_files::disk::{DiskError, LogFollower, LogPosition, MemberFiles};
use zookeeper_files::ids::Zxid;
use zookeeper_files::log::{LogItem, Txn};
use zookeeper_files::snapshot::{Compression, SnapshotError, SnapshotItem, SnapshotReader};

use super::base::{Content, Effect, Proved, Testimony, Unproved};
use super::manifest::Packing;
use super::segment::Hash;

/// The version of the digest algorithm in all releases that log digests.
const DIGEST_VERSION: i32 = 2;
const CHUNK: usize = 64 << 10;

/// The snapshots of a data folder.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

/// A snapshot as it was when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The zxid in its name.
    pub zxid: Zxid,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    written: SystemTime,
}

/// A snapshot that was read to its end, and stays open: a purge does not take it away.
#[derive(Debug)]
pub struct Examined {
    /// The zxid in its name.
    pub zxid: Zxid,
    /// Why it can be a base.
    pub proved: Proved,
    /// How it is compressed.
    pub compression: Packing,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of all its bytes.
    pub hash: Hash,
    /// The file, at its beginning.
    pub file: File,
}

/// Why a snapshot is not to be shipped.
#[derive(Debug, thiserror::Error)]
pub enum NoBase {
    /// It is not whole.
    #[error("it cannot be read to its end: {0}")]
    Damaged(#[from] SnapshotError),
    /// Nothing proves it.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// The disk failed, or the log was purged meanwhile.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The disk failed, or the snapshot was purged meanwhile.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl NoBase {
    /// Whether it says nothing about the snapshot: the disk failed, a file was purged meanwhile, or the log is not that far yet.
    pub fn may_pass(&self) -> bool {
        match self {
            // What the system says is of the disk; all else is of the bytes that it gave, such as gzip that is damaged.
            Self::Damaged(SnapshotError::Io(error)) => error.raw_os_error().is_some(),
            Self::Damaged(_) => false,
            Self::Unproved(why) => *why == Unproved::Early,
            Self::Disk(_) | Self::Io(_) => true,
        }
    }
}

/// Ends a reading early.
enum Stop {
    Enough,
    Failed(DiskError),
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Self::Failed(error)
    }
}

impl Snapshots {
    /// The snapshots in a data folder.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn files(&self) -> Result<Option<MemberFiles>, DiskError> {
        match MemberFiles::find(&self.folder.to_string_lossy()) {
            Err(DiskError::Missing(_) | DiskError::Unused(_) | DiskError::NotZooKeeper { .. }) => Ok(None),
            files => files.map(Some),
        }
    }

    /// Lists them.
    pub fn list(&self) -> Result<Vec<SnapshotFile>, DiskError> {
        let Some(files) = self.files()? else { return Ok(Vec::new()) };
        let listed = files.snapshots.into_iter().filter_map(|file| {
            // Purged meanwhile.
            let metadata = file.path.metadata().ok().filter(Metadata::is_file)?;
            let (bytes, written) = (metadata.len(), metadata.modified().ok()?);
            Some(SnapshotFile { zxid: file.zxid?, path: file.path, bytes, written })
        });
        Ok(listed.collect())
    }

    /// Reads one to its end in constant memory, and holds it against the log.
    pub fn examine(&self, snapshot: &SnapshotFile) -> Result<Examined, NoBase> {
        let mut file = File::open(&snapshot.path)?;
        let mut head = [0; 8];
        let length = fill(&mut file, &mut head)?;
        file.rewind()?;
        let compression = Compression::sniff(&head[..length]);
        let hashing = Hashing { file: file.try_clone()?, seen: Rc::default() };
        let mut rest = hashing.clone_of()?;
        let mut reader = SnapshotReader::new(compression.unpack(hashing))?;
        let mut sum = 0_i64;
        while let Some(item) = reader.next()? {
            if let SnapshotItem::Znode(node) = item {
                sum = sum.wrapping_add(i64::from(node.stat.digest(node.path.0, node.data)));
            }
        }
        let trailer = reader.trailer();
        drop(reader);
        // What stands behind the end of what is packed.
        io::copy(&mut rest, &mut io::sink())?;
        let (hash, bytes) = rest.finish();
        file.rewind()?;
        let known = trailer.digest.filter(|digest| digest.zxid.0 != 0 && digest.version == DIGEST_VERSION);
        let server = known.map(|digest| (digest.zxid, digest.tree));
        let content = Content { name: snapshot.zxid, sum, server, last: trailer.last };
        let proved = self.testimony(content)?.judge()?;
        Ok(Examined { zxid: snapshot.zxid, proved, compression: compression.into(), bytes, hash, file })
    }

    /// What the log says of a snapshot.
    fn testimony(&self, content: Content) -> Result<Testimony, DiskError> {
        let mut testimony = Testimony::about(content);
        let enough = testimony.enough();
        self.follow(content.name, &mut |zxid, _, digest, effect| {
            testimony.hear(zxid, digest, effect);
            zxid < enough
        })?;
        Ok(testimony)
    }

    /// How many bytes of log there are after one transaction up to another; not more than `most`, by and large.
    pub fn log_between(&self, after: Zxid, to: Zxid, most: u64) -> Result<u64, DiskError> {
        let mut bytes = 0;
        self.follow(after, &mut |zxid, length, _, _| {
            if zxid > after && zxid <= to {
                bytes += u64::from(length);
            }
            zxid < to && bytes < most
        })?;
        Ok(bytes)
    }

    /// Reads the log from the file that has `from`, while `take` says so: zxid, length, digest, effect.
    fn follow(
        &self,
        from: Zxid,
        take: &mut dyn FnMut(Zxid, u32, Option<i64>, Effect) -> bool,
    ) -> Result<(), DiskError> {
        let Some(files) = self.files()? else { return Ok(()) };
        let begun = files.logs.partition_point(|log| log.zxid <= Some(from)).saturating_sub(1);
        let Some(log) = files.logs.get(begun).cloned() else { return Ok(()) };
        let mut follow = LogFollower::new(&files, LogPosition { log, offset: 0, last: None });
        let read = follow.poll(&mut |_, item| match item {
            LogItem::Record(record) => {
                let digest = record.digest.filter(|digest| digest.version == DIGEST_VERSION);
                let effect = match record.txn {
                    Txn::Error { .. } => Effect::Fails,
                    Txn::CreateSession { .. } => Effect::Session,
                    _ => Effect::Changes,
                };
                let more = take(record.header.zxid, record.length, digest.map(|digest| digest.tree), effect);
                if more { Ok(()) } else { Err(Stop::Enough) }
            }
            LogItem::Damage(_) => Ok(()),
        });
        match read {
            Ok(()) | Err(Stop::Enough) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

/// A file of which every byte that is read is counted and hashed.
struct Hashing {
    file: File,
    seen: Rc<RefCell<(Sha256, u64)>>,
}

impl Hashing {
    /// The same file at the same place.
    fn clone_of(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, seen: Rc::clone(&self.seen) })
    }

    fn finish(self) -> (Hash, u64) {
        let (hasher, bytes) = self.seen.take();
        (Hash::from_digest(&hasher.finalize()), bytes)
    }
}

impl Read for Hashing {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let end = to.len().min(CHUNK);
        let read = self.file.read(&mut to[..end])?;
        let mut seen = self.seen.borrow_mut();
        seen.0.update(&to[..read]);
        seen.1 += read as u64;
        Ok(read)
    }
}

/// Reads as much as there is, up to the length of `to`.
pub(super) fn fill(source: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < to.len() {
        match source.read(&mut to[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
