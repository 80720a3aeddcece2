//! A member's data volume: read as plain values, and changed file by file.
//!
//! Invariant: a file is written whole or not at all (`zookeeper_files::atomic`), so the power may fail at any point.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use zookeeper_files::atomic::{Part, sync_folder};

use crate::model::truth::DiskState;

use super::prepare::{
    ACCEPTED_EPOCH, CONF, CURRENT_EPOCH, INITIALIZE, MARK, Mark, VolumeChange, VolumeContents, ZOO_CFG,
};
use super::record::{Active, Records, STEM};

/// Where the server keeps snapshots, logs and epochs.
const VERSION_2: &str = "version-2";

/// Where a database that could not be read is kept.
const ASIDE: &str = "version-2.set-aside";

/// Where the first database of an ensemble that is made from an archive is built.
const BUILT: &str = "from";
/// What it was built from, and the epoch in which it is; written when it is whole.
const BUILT_FROM: &str = "from/parent.json";
/// The same of the volume's own database.
const PARENT: &str = "parent.json";

/// No file that is read here has more than a few kilobytes; a longer one is not what it should be.
const LIMIT: u64 = 1 << 20;

/// A volume, by its mount point.
#[derive(Clone, Debug)]
pub struct Volume {
    root: PathBuf,
}

/// What a database was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The point of an archive, in words.
    pub from: String,
    /// The epoch that it begins in: nobody has led in it.
    pub epoch: u64,
}

/// What could not be done to which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}", path.display())]
pub struct VolumeError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Volume {
    /// The volume that is mounted there.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Its mount point, as in `zoo.cfg`.
    pub fn root(&self) -> String {
        self.root.to_string_lossy().trim_end_matches('/').to_owned()
    }

    /// Where the server finds its configuration.
    pub fn config(&self) -> String {
        format!("{}/{CONF}/{ZOO_CFG}", self.root())
    }

    /// The folder with its logs and snapshots.
    pub fn database_folder(&self) -> PathBuf {
        self.root.join(VERSION_2)
    }

    /// Names, sizes and times of the database files as one number, which changes if any of them changes.
    pub fn fingerprint(&self) -> Result<u64, VolumeError> {
        let mut names = self.names(VERSION_2)?;
        names.sort_unstable();
        let mut hasher = DefaultHasher::new();
        for name in names {
            // A file that has just gone is a change too.
            let metadata = fs::symlink_metadata(self.root.join(VERSION_2).join(&name)).ok();
            let seen = metadata.map(|metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
            (name, seen).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    /// What it holds.
    pub fn look(&self) -> Result<VolumeContents, VolumeError> {
        let mut dynamics = BTreeMap::new();
        for name in self.names(CONF)? {
            // Other suffixes than a version or `next` are not read: unfinished files of the server and of this agent,
            // and copies.
            let Some(suffix) = name.strip_prefix(STEM).filter(|suffix| !suffix.contains('.')) else { continue };
            if let Some(text) = self.text(&format!("{CONF}/{name}"))? {
                dynamics.insert(suffix.to_owned(), text);
            }
        }
        Ok(VolumeContents {
            mark: self.text(MARK)?,
            database: self.database()?,
            initialize: self.exists(INITIALIZE),
            promised: self.promised()?,
            built: self.made(BUILT_FROM)?.map(|made| made.from),
            parent: self.made(PARENT)?.map(|made| made.from),
            untouched: self.untouched()?,
            dynamics,
        })
    }

    /// The contents, as far as the operator needs them.
    pub fn disk(&self, contents: VolumeContents) -> Result<DiskState, VolumeError> {
        let VolumeContents { mark, database, initialize: _, promised: _, built: _, parent, untouched: _, dynamics } =
            contents;
        let identity = mark.and_then(|text| serde_json::from_str::<Mark>(&text).ok()).map(|mark| mark.identity);
        let newest = Records::read(&dynamics).newest;
        Ok(DiskState {
            identity,
            database,
            record: newest.as_ref().map(|newest| newest.version),
            recorded: newest.map(|newest| newest.text()),
            parent,
            epoch: self.epoch()?,
            outdated: None,
            leader_serves: self.leader_serves()?,
            free: self.free(),
        })
    }

    /// How much of the file system is free for the server, in percent.
    fn free(&self) -> Option<u8> {
        let room = rustix::fs::statvfs(&self.root).ok()?;
        let percent = room.f_bavail.saturating_mul(100).checked_div(room.f_blocks)?;
        u8::try_from(percent.min(100)).ok()
    }

    /// The configuration that the server was started with. It rewrites it at each change of the membership.
    pub fn zoo_cfg(&self) -> Result<Option<String>, VolumeError> {
        self.text(&format!("{CONF}/{ZOO_CFG}"))
    }

    /// Whether the server accepts clients while it leads, by the configuration that it was started with.
    fn leader_serves(&self) -> Result<Option<bool>, VolumeError> {
        Ok(self.zoo_cfg()?.map(|cfg| !cfg.lines().any(|line| line.trim() == "leaderServes=no")))
    }

    /// The membership that the server uses: the one that its `zoo.cfg` points to.
    ///
    /// It is the active one, and so a committed one. Only `QuorumPeer.setQuorumVerifier` activates one. It writes the
    /// dynamic file and then the pointer, under the lock under which the server reports its voters. It is called at
    /// start (with what is on the disk), for a committed reconfig (`Leader.tryToCommit`, `Follower.processPacket`),
    /// with a leader's at `UPTODATE`, and with a peer's active one during an election. A proposed one goes to
    /// `zoo.cfg.dynamic.next` (`setLastSeenQuorumVerifier`), which nothing points to.
    pub fn active(&self) -> Result<Option<Active>, VolumeError> {
        let Some(cfg) = self.zoo_cfg()? else { return Ok(None) };
        let pointed = cfg.lines().rev().find_map(|line| line.trim().strip_prefix("dynamicConfigFile="));
        let name = pointed.and_then(|path| Path::new(path.trim()).file_name()).map(|name| name.to_string_lossy());
        let Some(suffix) = name.as_deref().and_then(|name| name.strip_prefix(STEM)) else { return Ok(None) };
        let Some(text) = self.text(&format!("{CONF}/{STEM}{suffix}"))? else { return Ok(None) };
        Ok(Active::read(suffix, &text))
    }

    /// The epoch that the server has joined, which it writes before it says that it is synced. The one that a built database begins
    /// in is none: nobody of this ensemble has led in it.
    pub fn epoch(&self) -> Result<Option<u64>, VolumeError> {
        let text = self.text(CURRENT_EPOCH)?;
        let epoch = text.and_then(|text| text.trim().parse().ok());
        let Some(made) = self.made(PARENT)? else { return Ok(epoch) };
        Ok(epoch.map(|epoch| if epoch > made.epoch { epoch } else { 0 }))
    }

    /// Whether its database is the one that was built for it, and its server has not followed anybody with it.
    fn untouched(&self) -> Result<bool, VolumeError> {
        let logs = self.names(VERSION_2)?.iter().any(|name| name.starts_with("log."));
        Ok(!logs && self.made(PARENT)?.is_some() && self.epoch()? == Some(0) && self.database()?)
    }

    /// What a database was made from; `None` if from nothing, or if it is not whole.
    fn made(&self, path: &str) -> Result<Option<Made>, VolumeError> {
        Ok(self.text(path)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The last epoch that the server has promised to follow.
    fn promised(&self) -> Result<Option<u64>, VolumeError> {
        Ok(self.text(ACCEPTED_EPOCH)?.and_then(|text| text.trim().parse().ok()))
    }

    /// Makes the changes, in their order. A file that is already as it should be is not written again.
    pub fn apply(&self, changes: &[VolumeChange]) -> Result<(), VolumeError> {
        for change in changes {
            match change {
                VolumeChange::Write { path, text, secret } => {
                    let path = self.root.join(path);
                    write(&path, text, mode(*secret)).map_err(failed("write", &path))?;
                }
                VolumeChange::SetAside => self.set_aside().map_err(failed("set aside", &self.root.join(VERSION_2)))?,
                VolumeChange::Adopt => self.adopt().map_err(failed("take over", &self.root.join(BUILT)))?,
                VolumeChange::Remove { path } => {
                    let path = self.root.join(path);
                    remove(&path).map_err(failed("remove", &path))?;
                }
            }
        }
        Ok(())
    }

    /// Whether it already is as these changes would make it.
    pub fn holds(&self, changes: &[VolumeChange]) -> bool {
        changes.iter().all(|change| match change {
            VolumeChange::Write { path, text, secret } => is_as(&self.root.join(path), text, mode(*secret)),
            VolumeChange::SetAside | VolumeChange::Adopt => false,
            VolumeChange::Remove { path } => !self.exists(path),
        })
    }

    /// Sets the database aside. An earlier one that was set aside is deleted, and so is this one if the new one would
    /// not have room beside it.
    fn set_aside(&self) -> io::Result<()> {
        let (from, to) = (self.root.join(VERSION_2), self.root.join(ASIDE));
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::rename(&from, &to)?;
        sync_folder(&self.root)?;
        let mut size = 0;
        for entry in fs::read_dir(&to)? {
            size += entry?.metadata()?.len();
        }
        let room = rustix::fs::statvfs(&self.root)?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        info!(size, free, "the database was set aside");
        if free < size {
            warn!("there is no room for a second database: the one that was set aside is deleted");
            fs::remove_dir_all(&to)?;
        }
        Ok(())
    }

    /// An empty folder for a database that is built. What an earlier attempt left there is deleted.
    pub fn workshop(&self) -> Result<PathBuf, VolumeError> {
        self.clear()?;
        let path = self.root.join(BUILT);
        fs::create_dir(&path).map_err(failed("make", &path))?;
        Ok(path)
    }

    /// Says that the database in the workshop is whole.
    pub fn built(&self, made: &Made) -> Result<(), VolumeError> {
        let path = self.root.join(BUILT_FROM);
        let text = serde_json::to_string(made).map_err(io::Error::from);
        text.and_then(|text| write(&path, &format!("{text}\n"), mode(false))).map_err(failed("write", &path))
    }

    /// Deletes what was built and is not needed: the ensemble was born meanwhile.
    pub fn clear(&self) -> Result<(), VolumeError> {
        let path = self.root.join(BUILT);
        // First what says that the rest is whole.
        let cleared = remove(&self.root.join(BUILT_FROM)).and_then(|()| fs::remove_dir_all(&path));
        match cleared {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Makes the database that was built the volume's own. The snapshot comes last: with it there is a database.
    fn adopt(&self) -> io::Result<()> {
        let (from, to) = (self.root.join(BUILT).join(VERSION_2), self.root.join(VERSION_2));
        fs::create_dir_all(&to)?;
        // Before its epochs are there: with them alone, it would seem to have joined one.
        write(&self.root.join(PARENT), &fs::read_to_string(self.root.join(BUILT_FROM))?, mode(false))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&from)? {
            names.push(entry?.file_name());
        }
        names.sort_unstable_by_key(|name| name.to_string_lossy().starts_with("snapshot."));
        let promise = |folder: &Path| fs::read_to_string(folder.join("acceptedEpoch")).ok()?.trim().parse::<u64>().ok();
        for name in names {
            // A promise is never taken back.
            if name == "acceptedEpoch" && promise(&to) > promise(&from) {
                continue;
            }
            fs::rename(from.join(&name), to.join(&name))?;
            sync_folder(&to)?;
        }
        sync_folder(&self.root)?;
        fs::remove_dir_all(self.root.join(BUILT))
    }

    fn database(&self) -> Result<bool, VolumeError> {
        let names = self.names(VERSION_2)?;
        Ok(names.iter().any(|name| name.starts_with("snapshot.") || name.starts_with("log.")))
    }

    fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.root.join(name)).is_ok()
    }

    /// The names in a directory; none if it does not exist.
    fn names(&self, directory: &str) -> Result<Vec<String>, VolumeError> {
        let path = self.root.join(directory);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed("read", &path)(e)),
        };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<io::Result<_>>().map_err(failed("read", &path))
    }

    /// The text of a file; none if it does not exist. Bytes that are not text are replaced.
    fn text(&self, name: &str) -> Result<Option<String>, VolumeError> {
        let path = self.root.join(name);
        let read = File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LIMIT).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        });
        match read {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path)(e)),
        }
    }
}

fn mode(secret: bool) -> u32 {
    if secret { 0o600 } else { 0o644 }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    move |source| VolumeError { verb, path: path.to_owned(), source }
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if is_as(path, text, mode) {
        return Ok(());
    }
    let Some(directory) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    if !directory.exists() {
        fs::create_dir_all(directory)?;
        directory.parent().map_or(Ok(()), sync_folder)?;
    }
    let mut part = Part::begin(path, Some(mode))?;
    part.write_all(text.as_bytes())?;
    part.keep()
}

fn is_as(path: &Path, text: &str, mode: u32) -> bool {
    let same_mode = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o777 == mode);
    same_mode && fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
