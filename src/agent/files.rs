//! A member's logs and snapshots, for a backup that is made from them.
//!
//! Who knows the super user's password may read every znode anyway. Nobody else is answered, and what is answered nobody else can read:
//! it is sealed with a key of that password, under the name by which it was asked for. (An answer of before can be given again; that a tree is
//! the servers' is shown by their digests.)
//!
//! Invariant: nothing is read but logs and snapshots, and never more than [`CHUNK`] at a time.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zookeeper_files::disk::{DiskError, MemberFiles};

use super::queue::Queue;
use super::seed::{Mounts, super_password};
use super::volume::Volume;
use crate::archive::seal::{Key, Keys};

/// The most that is read at once.
pub const CHUNK: usize = 1 << 20;
/// Under this name the list is sealed.
pub const LIST: &str = "files";
/// A server keeps three snapshots and the logs since then; what flapping elections leave are hundreds.
const MOST: usize = 10_000;
/// The fastest: half a gigabyte a second.
const LEVEL: i32 = 1;
/// What the key is for.
const PURPOSE: &str = "menagerie agent: files of a member";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFacts {
    /// Its name: `log.ZXID` or `snapshot.ZXID`.
    pub name: String,
    /// How many bytes it has: a log ends in up to 64 MiB of zeros. How many are allocated says nothing: ZFS packs them.
    pub length: u64,
    /// What tells it from another of its name.
    pub inode: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refused {
    /// Who asks does not have the key.
    Stranger,
    /// There is no such file (any more).
    Gone,
    /// The disk failed.
    Failed(String),
}

/// The key of those who know the super user's password.
pub fn key(password: &str) -> Option<Keys> {
    Key::of_secret(password, PURPOSE).map(|key| Keys::one("the super user's password", key))
}

/// What was packed before it was sealed; never more than `most` bytes.
pub fn unpacked(packed: &[u8], most: usize) -> io::Result<Vec<u8>> {
    zstd::bulk::decompress(packed, most)
}

/// The name under which a chunk is sealed.
pub fn chunk_name(name: &str, from: u64) -> String {
    format!("{LIST}/{name}/{from}")
}

/// The files of a member.
pub struct Files {
    /// Of its own: a disk that is slow to read delays no probe.
    queue: Queue,
    mounts: Option<Mounts>,
}

impl Files {
    /// Those on a volume.
    pub fn of(volume: Volume, mounts: Option<Mounts>) -> Self {
        Self { queue: Queue::to(volume), mounts }
    }

    /// The list, sealed.
    pub async fn list(&self, token: &str) -> Result<Bytes, Refused> {
        self.sealed(token, LIST.to_owned(), |folder| {
            let list = list(folder).map_err(io::Error::other)?;
            Ok(Some(serde_json::to_vec(&list)?))
        })
        .await
    }

    /// Up to [`CHUNK`] bytes of a file, sealed; none behind its end.
    pub async fn chunk(&self, token: &str, name: String, from: u64) -> Result<Bytes, Refused> {
        self.sealed(token, chunk_name(&name, from), move |folder| chunk(folder, &name, from)).await
    }

    async fn sealed(
        &self,
        token: &str,
        name: String,
        read: impl FnOnce(&Path) -> io::Result<Option<Vec<u8>>> + Send + 'static,
    ) -> Result<Bytes, Refused> {
        let Some(Mounts { secret, .. }) = self.mounts.clone() else { return Err(Refused::Stranger) };
        let token = token.to_owned();
        let work = move |volume: &Volume| Ok(answer(&secret, &token, &name, || read(&volume.database_folder())));
        self.queue.run(work).await.map_err(Refused::Failed)?
    }
}

fn answer(
    secret: &Path,
    token: &str,
    name: &str,
    read: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
) -> Result<Bytes, Refused> {
    let failed = |why: String| Refused::Failed(why);
    let password = super_password(secret).map_err(|error| failed(error.to_string()))?;
    let keys = key(&password).ok_or_else(|| failed("no key comes of the super user's password".to_owned()))?;
    let ours = keys.id().map_err(|why| failed(why.to_owned()))?.to_string();
    if aws_lc_rs::constant_time::verify_slices_are_equal(ours.as_bytes(), token.as_bytes()).is_err() {
        return Err(Refused::Stranger);
    }
    let plain = read().map_err(|error| failed(error.to_string()))?.ok_or(Refused::Gone)?;
    // Of 64 MiB of zeros some kilobytes remain, and of a snapshot a quarter.
    let packed = zstd::bulk::compress(&plain, LEVEL).map_err(|error| failed(error.to_string()))?;
    keys.seal(name, &packed).map_err(Refused::Failed)
}

fn list(folder: &Path) -> Result<Vec<FileFacts>, DiskError> {
    let files = match MemberFiles::find(&folder.to_string_lossy()) {
        Err(DiskError::Missing(_) | DiskError::Unused(_) | DiskError::NotZooKeeper { .. }) => return Ok(Vec::new()),
        files => files?,
    };
    let facts = |path: PathBuf| {
        // Purged meanwhile.
        let metadata = fs::symlink_metadata(&path).ok().filter(Metadata::is_file)?;
        let name = path.file_name()?.to_str()?.to_owned();
        Some(FileFacts { name, length: metadata.len(), inode: metadata.ino() })
    };
    let all = files.logs.into_iter().chain(files.snapshots).rev().take(MOST);
    Ok(all.filter_map(|file| facts(file.path)).collect())
}

fn chunk(folder: &Path, name: &str, from: u64) -> io::Result<Option<Vec<u8>>> {
    // By its list: nothing else in the folder, and nothing outside of it, has such a name.
    let known = list(folder).map_err(io::Error::other)?;
    let Some(facts) = known.into_iter().find(|facts| facts.name == name) else { return Ok(None) };
    let file = match File::open(folder.join(&facts.name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; CHUNK];
    let mut length = 0;
    while length < CHUNK {
        match file.read_at(&mut bytes[length..], from.saturating_add(length as u64)) {
            Ok(0) => break,
            Ok(some) => length += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::seal::Sealed;

    const PASSWORD: &str = "a password";

    /// A volume with a log that ends in a hole, a snapshot, and what is nobody's business.
    fn volume() -> (tempfile::TempDir, Files) {
        let disk = tempfile::tempdir().unwrap();
        let database = disk.path().join("version-2");
        fs::create_dir(&database).unwrap();
        fs::write(database.join("log.1"), vec![7; CHUNK + 10]).unwrap();
        File::options().write(true).open(database.join("log.1")).unwrap().set_len(64 << 20).unwrap();
        fs::write(database.join("snapshot.0"), b"snapshot").unwrap();
        fs::write(database.join("currentEpoch"), b"1").unwrap();
        let secret = disk.path().join("super");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("password"), format!("{PASSWORD}\n")).unwrap();
        let mounts = Mounts { seed: disk.path().to_owned(), secret };
        let files = Files::of(Volume::at(disk.path()), Some(mounts));
        (disk, files)
    }

    fn opened(keys: &Keys, name: &str, sealed: &[u8]) -> Vec<u8> {
        let opened = keys.open(name, Sealed { bytes: sealed, length: sealed.len() as u64 }).unwrap();
        unpacked(&opened, CHUNK).unwrap()
    }

    /// openzfs 11532, 14420: what is allocated is less than what there is.
    #[tokio::test]
    async fn a_file_is_as_long_as_it_is_whatever_is_allocated_and_its_zeros_cost_nothing() {
        let (_disk, files) = volume();
        let keys = key(PASSWORD).unwrap();
        let token = keys.id().unwrap().to_string();
        let list = opened(&keys, LIST, &files.list(&token).await.unwrap());
        let mut list: Vec<FileFacts> = serde_json::from_slice(&list).unwrap();
        list.sort_by(|one, other| one.name.cmp(&other.name));
        let found: Vec<_> = list.iter().map(|file| (&*file.name, file.length)).collect();
        assert_eq!(found, [("log.1", 64 << 20), ("snapshot.0", 8)]);
        let from = CHUNK as u64;
        let sealed = files.chunk(&token, "log.1".to_owned(), from).await.unwrap();
        assert!(sealed.len() < 1000, "{} bytes for zeros", sealed.len());
        let chunk = opened(&keys, &chunk_name("log.1", from), &sealed);
        assert_eq!((chunk.len(), &chunk[..11]), (CHUNK, &[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0][..]));
        let past = files.chunk(&token, "snapshot.0".to_owned(), 8).await.unwrap();
        assert!(opened(&keys, &chunk_name("snapshot.0", 8), &past).is_empty());
    }

    #[tokio::test]
    async fn nothing_is_given_but_logs_and_snapshots_and_to_nobody_without_the_password() {
        let (_disk, files) = volume();
        let token = key(PASSWORD).unwrap().id().unwrap().to_string();
        for name in ["currentEpoch", "../super/password", "log.2", "", "/etc/hostname"] {
            assert!(matches!(files.chunk(&token, name.to_owned(), 0).await, Err(Refused::Gone)), "{name}");
        }
        for token in ["", "0000000000000000", &key("another").unwrap().id().unwrap().to_string()] {
            assert!(matches!(files.list(token).await, Err(Refused::Stranger)));
            assert!(matches!(files.chunk(token, "log.1".to_owned(), 0).await, Err(Refused::Stranger)));
        }
        let without = Files::of(Volume::at(Path::new("/nowhere")), None);
        assert!(matches!(without.list(&token).await, Err(Refused::Stranger)));
    }
}
