//! A member's logs and snapshots, for a backup that is made from them.
//!
//! Who knows the super user's password may read every znode anyway. Nobody else is answered, and what is answered nobody else can read:
//! it is sealed with a key of that password, under the name by which it was asked for. Nothing of the network has to be trusted.
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
/// What the key is for.
const PURPOSE: &str = "menagerie agent: files of a member";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFacts {
    /// Its name: `log.ZXID` or `snapshot.ZXID`.
    pub name: String,
    /// How many bytes of it there are: a log ends in a hole of up to 64 MiB.
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
    keys.seal(name, &plain).map_err(Refused::Failed)
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
        Some(FileFacts { name, length: filled(&metadata), inode: metadata.ino() })
    };
    let all = files.logs.into_iter().chain(files.snapshots).rev().take(MOST);
    Ok(all.filter_map(|file| facts(file.path)).collect())
}

/// What is allocated.
fn filled(metadata: &Metadata) -> u64 {
    metadata.len().min(metadata.blocks().saturating_mul(512))
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
