//! A member's data volume: looked at as plain values, changed file by file, each change whole or not at all.
//!
//! Invariant: a file is written whole or not at all (`zookeeper_files::atomic`), so that power may fail anywhere.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tracing::{info, warn};
use zookeeper_files::atomic::{Part, sync_folder};

use crate::model::Membership;
use crate::model::truth::Disk;

use super::prepare::{CONF, Found, INITIALIZE, MARK, Mark, VolumeChange, ZOO_CFG};
use super::record::{Records, STEM};

/// Where the server keeps snapshots, logs and epochs.
const VERSION_2: &str = "version-2";

/// Where a database that could not be read is kept.
const ASIDE: &str = "version-2.set-aside";

/// No file that is read here has more than a few kilobytes; one that is longer is not what it should be.
const LIMIT: u64 = 1 << 20;

/// A volume, by its mount point.
#[derive(Clone, Debug)]
pub struct Volume {
    root: PathBuf,
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

    /// Its mount point, as it stands in `zoo.cfg`.
    pub fn root(&self) -> String {
        self.root.to_string_lossy().trim_end_matches('/').to_owned()
    }

    /// Where the server finds its configuration.
    pub fn config(&self) -> String {
        format!("{}/{CONF}/{ZOO_CFG}", self.root())
    }

    /// Names, sizes and times of the files of the database, as one number: another one when any of them has changed.
    pub fn fingerprint(&self) -> Result<u64, VolumeError> {
        let mut names = self.names(VERSION_2)?;
        names.sort_unstable();
        let mut hasher = DefaultHasher::new();
        for name in names {
            // One that has gone meanwhile is a change by itself.
            let metadata = fs::symlink_metadata(self.root.join(VERSION_2).join(&name)).ok();
            let seen = metadata.map(|metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
            (name, seen).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    /// What it holds.
    pub fn look(&self) -> Result<Found, VolumeError> {
        let mut dynamics = BTreeMap::new();
        for name in self.names(CONF)? {
            // What is neither a version nor `next` is not read: the server's and our own unfinished files, and copies.
            let Some(suffix) = name.strip_prefix(STEM).filter(|suffix| !suffix.contains('.')) else { continue };
            if let Some(text) = self.text(&format!("{CONF}/{name}"))? {
                dynamics.insert(suffix.to_owned(), text);
            }
        }
        Ok(Found { mark: self.text(MARK)?, database: self.database()?, initialize: self.exists(INITIALIZE), dynamics })
    }

    /// What was found, as far as the operator wants to know.
    pub fn disk(&self, found: Found) -> Result<Disk, VolumeError> {
        let Found { mark, database, initialize: _, dynamics } = found;
        let identity = mark.and_then(|text| serde_json::from_str::<Mark>(&text).ok()).map(|mark| mark.identity);
        let record = Records::read(&dynamics).newest.map(|newest| newest.version);
        Ok(Disk {
            identity,
            database,
            record,
            epoch: self.epoch()?,
            outdated: None,
            leader_serves: self.leader_serves()?,
        })
    }

    /// The configuration that the server was started with, and rewrites at each change of the membership.
    pub fn zoo_cfg(&self) -> Result<Option<String>, VolumeError> {
        self.text(&format!("{CONF}/{ZOO_CFG}"))
    }

    /// Whether the server takes clients while it leads, by the configuration that it was started with.
    fn leader_serves(&self) -> Result<Option<bool>, VolumeError> {
        Ok(self.zoo_cfg()?.map(|cfg| !cfg.lines().any(|line| line.trim() == "leaderServes=no")))
    }

    /// The membership that the server goes by, its version set: the one that its `zoo.cfg` points to.
    ///
    /// It is the active one, and so a committed one. `QuorumPeer.setQuorumVerifier` is the only way to activate one; it writes
    /// the dynamic file and then the pointer, under the lock under which the server tells whom it lets vote, and it is called
    /// at start (with what stands here), for a committed reconfig (`Leader.tryToCommit`, `Follower.processPacket`), with a
    /// leader's at `UPTODATE`, and with the active one of a peer during an election. A proposed one goes to
    /// `zoo.cfg.dynamic.next` (`setLastSeenQuorumVerifier`), which nothing points to.
    pub fn active(&self) -> Result<Option<Membership>, VolumeError> {
        let Some(cfg) = self.zoo_cfg()? else { return Ok(None) };
        let pointed = cfg.lines().rev().find_map(|line| line.trim().strip_prefix("dynamicConfigFile="));
        let name = pointed.and_then(|path| Path::new(path.trim()).file_name()).map(|name| name.to_string_lossy());
        let Some(suffix) = name.as_deref().and_then(|name| name.strip_prefix(STEM)) else { return Ok(None) };
        let Some(text) = self.text(&format!("{CONF}/{STEM}{suffix}"))? else { return Ok(None) };
        Ok(Records::read(&BTreeMap::from([(suffix.to_owned(), text)])).newest)
    }

    /// The epoch that the server has joined, which it writes before it says that it is synced.
    pub fn epoch(&self) -> Result<Option<u64>, VolumeError> {
        let text = self.text(&format!("{VERSION_2}/currentEpoch"))?;
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Makes the changes, in their order. A file that already is as it should be is not written again.
    pub fn apply(&self, changes: &[VolumeChange]) -> Result<(), VolumeError> {
        for change in changes {
            match change {
                VolumeChange::Write { path, text, secret } => {
                    let path = self.root.join(path);
                    write(&path, text, mode(*secret)).map_err(failed("write", &path))?;
                }
                VolumeChange::SetAside => self.set_aside().map_err(failed("set aside", &self.root.join(VERSION_2)))?,
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
            VolumeChange::SetAside => false,
            VolumeChange::Remove { path } => !self.exists(path),
        })
    }

    /// Moves the database beside its place. What was set aside before goes, and so does this, where it would take the
    /// room that the new one needs.
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

    fn database(&self) -> Result<bool, VolumeError> {
        let names = self.names(VERSION_2)?;
        Ok(names.iter().any(|name| name.starts_with("snapshot.") || name.starts_with("log.")))
    }

    fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.root.join(name)).is_ok()
    }

    /// Names in a directory, none when it is not there.
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

    /// Text of a file, none when it is not there; bytes that are no text become marks of that.
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
