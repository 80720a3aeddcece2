//! A member's own files as an archive: for a backup that has a store of its own.
//!
//! The files are fetched from the member's agent, and go through the same gate as those that an agent ships: what is not proved to be
//! committed is not stored. A log is not read in one moment; what was read before an election may be cut off by it, and what comes after
//! it is in the next log. So what was fetched counts only if the server served before and after in the same epoch.
//!
//! Invariant: each backup has a chain of its own, named after its pin: it writes nothing that an agent, or another backup, writes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};
use zookeeper_files::ids::Zxid;

use super::backup::{Asked, asked};
use super::{Ended, Work, for_good, scratch};
use crate::agent::client::{FilesError, FilesReader};
use crate::agent::files::{CHUNK, FileFacts};
use crate::archive::about::About;
use crate::archive::backlog::Backlog;
use crate::archive::chains;
use crate::archive::key::{Chain, DiskId};
use crate::archive::probe::probed;
use crate::archive::prune;
use crate::archive::shipper::{Outcome, Shipper};
use crate::archive::snapshots::{Examined, Snapshots};
use crate::archive::store::Store;
use crate::archive::upload::{Step, Upload};
use crate::model::address;
use crate::model::layout::AGENT_PORT;
use crate::model::names::is_name;
use crate::restore::arguments::password;

/// So many snapshots are fetched: a newest one that is being written, or that nothing proves, is passed over.
const SNAPSHOTS: usize = 3;
/// A purge or an election may come in between so often.
const TRIES: usize = 3;

#[derive(Args, Debug)]
pub(super) struct CopyOptions {
    /// Make the archive from the files of a member of this ensemble; the environment has the super user's password
    #[arg(long, value_name = "NAMESPACE/ENSEMBLE", value_parser = whose, requires = "server")]
    copy: Option<(String, String)>,
}

impl CopyOptions {
    /// Whose files are copied, if any are.
    pub(super) fn whose(&self) -> Option<&(String, String)> {
        self.copy.as_ref()
    }
}

fn whose(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(namespace, ensemble)| is_name(namespace) && is_name(ensemble));
    parts
        .map(|(namespace, ensemble)| (namespace.to_owned(), ensemble.to_owned()))
        .ok_or_else(|| format!("{text:?} is not NAMESPACE/ENSEMBLE"))
}

/// What is copied to where.
pub(super) struct Copy<'a> {
    /// Namespace and name of the ensemble.
    pub whose: &'a (String, String),
    /// Its identity.
    pub identity: &'a str,
    /// The name of the pin.
    pub pin: &'a str,
    /// Its members' servers.
    pub servers: &'a [String],
    /// To where.
    pub store: &'a Store,
}

impl Copy<'_> {
    /// Copies one member's files. The transaction with which everything is committed that was acknowledged before.
    pub(super) async fn make(&self, work: &Work) -> Result<Zxid, Ended> {
        let password = password().ok_or_else(|| for_good("there is no password of the super user"))?;
        let mut failed = Vec::new();
        for server in self.servers {
            let Some((host, _)) = address::split(server) else { continue };
            let agent = address::with_port(host, AGENT_PORT);
            let Some(reader) = FilesReader::new(&agent, password.text()) else {
                return Err(for_good("no key comes of the super user's password"));
            };
            match self.of(server, &reader, &work.path("member")).await {
                Ok(zxid) => return Ok(zxid),
                Err(Ended::ForNow(why)) => {
                    warn!(%server, %why, "this member's files are not copied");
                    failed.push(format!("{server}: {why}"));
                }
                Err(ended) => return Err(ended),
            }
        }
        Err(Ended::ForNow(format!("no member's files could be copied: {}", failed.join("; "))))
    }

    async fn of(&self, server: &str, reader: &FilesReader, folder: &Path) -> Result<Zxid, Ended> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let before = asked(server, self.identity).await.map_err(Ended::ForNow)?;
            match fetched(reader, folder).await {
                Ok(()) => {}
                Err(NotFetched::Again(text)) => {
                    why = text;
                    continue;
                }
                Err(NotFetched::Ended(ended)) => return Err(ended),
            }
            let after = asked(server, self.identity).await.map_err(Ended::ForNow)?;
            if (after.id, after.epoch) == (before.id, before.epoch) {
                return self.shipped(&before, folder).await;
            }
            why = String::from("there was an election while its files were read");
        }
        Err(Ended::ForNow(why))
    }

    /// Ships the log of the folder, and a base.
    async fn shipped(&self, Asked { id, zxid, epoch }: &Asked, folder: &Path) -> Result<Zxid, Ended> {
        let later = |error: &dyn std::fmt::Display| Ended::ForNow(error.to_string());
        let chain = Chain { member: *id, disk: disk(self.pin) };
        let key = self.store.key().map_err(|error| later(&error))?;
        let (namespace, ensemble) = self.whose;
        let about = About::new(namespace, ensemble, key);
        about.agrees(self.store, self.identity).await.map_err(|error| later(&error))?;
        let (store, create_only) =
            probed(self.store.clone(), self.identity, &chain).await.map_err(|error| later(&error))?;
        let backlog = Backlog::of(folder);
        let shipper = Shipper::resume(store.clone(), self.identity, chain.clone(), backlog).await;
        let mut shipper = shipper.map_err(|error| later(&error))?;
        about.tell(&store, self.identity).await.map_err(|error| later(&error))?;
        info!(%chain, ?create_only, "the member's log is stored");
        let mut segments = 0_u32;
        while let Outcome::Shipped { zxids, unknown, gap, .. } =
            shipper.ship(*zxid, *epoch).await.map_err(|error| later(&error))?
        {
            segments += 1;
            info!(%zxids, ?unknown, ?gap, segments, "stored a segment");
        }
        let last = shipper.last().filter(|last| last >= zxid);
        let last = last.ok_or_else(|| {
            let had = shipper.last().map_or("nothing that is proved".to_owned(), |last| format!("{last:#}"));
            Ended::ForNow(format!("its log has {had}, and not {zxid:#} yet"))
        })?;
        let reason = match self.base(&store, &chain, folder, last).await? {
            Ok(()) => return Ok(*zxid),
            Err(reason) => reason,
        };
        // The log of an ensemble that is young leads there from the very beginning.
        match shipper.reaches(None) {
            Some(_) => Ok(*zxid),
            None => Err(Ended::ForNow(format!("none of its snapshots is proved, and its log begins later: {reason}"))),
        }
    }

    /// Ships the newest snapshot that is proved; or why none is.
    async fn base(&self, store: &Store, chain: &Chain, folder: &Path, last: Zxid) -> Result<Result<(), String>, Ended> {
        let later = |error: &dyn std::fmt::Display| Ended::ForNow(error.to_string());
        let snapshots = Snapshots::of(folder);
        let mut refused = Vec::new();
        for file in snapshots.list().map_err(|error| later(&error))?.iter().rev() {
            let examined = match snapshots.examine(file) {
                Ok(examined) => examined,
                Err(why) => {
                    refused.push(format!("{:#}: {why}", file.zxid));
                    continue;
                }
            };
            if !self.holds(store, chain, &examined, last).await? {
                refused.push(format!("{:#}: what proves it is not in the log", file.zxid));
                continue;
            }
            info!(zxid = %file.zxid, bytes = examined.bytes, "the member's snapshot is stored");
            let mut upload = Upload::new(store.clone(), self.identity, chain.clone(), examined, prune::now());
            loop {
                match upload.step().await.map_err(|error| later(&error))? {
                    Step::Part => {}
                    Step::Done(_) => return Ok(Ok(())),
                }
            }
        }
        Ok(Err(if refused.is_empty() { "it has none".to_owned() } else { refused.join("; ") }))
    }

    async fn holds(&self, store: &Store, chain: &Chain, examined: &Examined, last: Zxid) -> Result<bool, Ended> {
        if !examined.proved.is_archived(|zxid| zxid <= last) {
            return Ok(false);
        }
        let mut held = Vec::new();
        for wanted in examined.proved.needs().into_iter().flatten() {
            let there = chains::holds(store, self.identity, chain, wanted).await;
            held.push((wanted, there.map_err(|error| Ended::ForNow(error.to_string()))?));
        }
        Ok(examined.proved.is_archived(|zxid| held.contains(&(zxid, true))))
    }
}

/// The name of the chain's disk: no disk has it, and no other backup.
fn disk(pin: &str) -> DiskId {
    let digest = Sha256::digest(format!("menagerie backup {pin}"));
    let mut bits = [0; 8];
    bits.copy_from_slice(&digest[..8]);
    DiskId::from_bits(u64::from_be_bytes(bits))
}

enum NotFetched {
    /// Something moved meanwhile.
    Again(String),
    Ended(Ended),
}

impl From<FilesError> for NotFetched {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Gone(_) => Self::Again(error.to_string()),
            error => Self::Ended(Ended::ForNow(error.to_string())),
        }
    }
}

/// Fetches what is needed of a member's files.
async fn fetched(reader: &FilesReader, folder: &Path) -> Result<(), NotFetched> {
    let broken = |path: &Path| {
        let path = path.to_owned();
        move |error| NotFetched::Ended(scratch(&path, &error))
    };
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(broken(folder))?;
    }
    fs::create_dir_all(folder).map_err(broken(folder))?;
    let wanted = needed(&reader.list().await?);
    let bytes: u64 = wanted.iter().map(|file| file.length).sum();
    info!(files = wanted.len(), bytes, "the member's files are fetched");
    for file in &wanted {
        fetch(reader, file, &folder.join(&file.name)).await?;
    }
    let now = reader.list().await?;
    for file in &wanted {
        // It may have grown. A shorter one was cut, and another inode is another file.
        let same = |now: &FileFacts| now.name == file.name && now.inode == file.inode && now.length >= file.length;
        if !now.iter().any(same) {
            return Err(NotFetched::Again(format!("{} changed while it was read", file.name)));
        }
    }
    Ok(())
}

async fn fetch(reader: &FilesReader, file: &FileFacts, path: &PathBuf) -> Result<(), NotFetched> {
    let broken = |error: std::io::Error| NotFetched::Ended(scratch(path, &error));
    let mut to = File::create(path).map_err(broken)?;
    let mut from = 0;
    // A log that is written to meanwhile has more behind that: what is needed of it was there before.
    while from < file.length {
        let bytes = reader.chunk(&file.name, from).await?;
        to.write_all(&bytes).map_err(broken)?;
        from += bytes.len() as u64;
        if bytes.len() < CHUNK {
            break;
        }
    }
    to.sync_all().map_err(broken)
}

/// The newest snapshots, and the logs from the one on that has the oldest of them.
fn needed(files: &[FileFacts]) -> Vec<FileFacts> {
    let zxid = |file: &FileFacts, kind: &str| {
        let digits = file.name.strip_prefix(kind)?.split('.').next()?.to_owned();
        u64::from_str_radix(&digits, 16).ok()
    };
    let mut snapshots: Vec<(u64, FileFacts)> =
        files.iter().filter_map(|file| Some((zxid(file, "snapshot.")?, file.clone()))).collect();
    let mut logs: Vec<(u64, FileFacts)> =
        files.iter().filter_map(|file| Some((zxid(file, "log.")?, file.clone()))).collect();
    snapshots.sort_by_key(|(zxid, _)| *zxid);
    logs.sort_by_key(|(zxid, _)| *zxid);
    snapshots.drain(..snapshots.len().saturating_sub(SNAPSHOTS));
    let oldest = snapshots.first().map_or(0, |(zxid, _)| *zxid);
    logs.drain(..logs.partition_point(|(zxid, _)| *zxid <= oldest).saturating_sub(1));
    snapshots.into_iter().chain(logs).map(|(_, file)| file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> FileFacts {
        FileFacts { name: name.to_owned(), length: 1, inode: 1 }
    }

    #[test]
    fn the_newest_snapshots_are_fetched_and_the_logs_that_lead_on_from_the_oldest_of_them() {
        let names = |files: &[&str]| {
            let files: Vec<FileFacts> = files.iter().map(|name| file(name)).collect();
            let needed = needed(&files);
            needed.into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        let all =
            ["log.1", "log.2a", "log.100000001", "snapshot.0", "snapshot.29", "snapshot.200000000", "snapshot.30.gz"];
        assert_eq!(
            names(&all),
            ["snapshot.29", "snapshot.30.gz", "snapshot.200000000", "log.1", "log.2a", "log.100000001"]
        );
        let later = ["log.1", "log.2a", "log.31", "snapshot.30", "snapshot.2f", "snapshot.2b", "snapshot.0"];
        assert_eq!(names(&later), ["snapshot.2b", "snapshot.2f", "snapshot.30", "log.2a", "log.31"]);
        assert_eq!(names(&["log.100000001", "acceptedEpoch"]), ["log.100000001"]);
        assert!(names(&[]).is_empty());
    }

    /// Its name must not change between two pods of a Job, and never be that of a disk or of another backup.
    #[test]
    fn each_backup_has_a_chain_of_its_own() {
        assert_eq!(disk("nightly.1"), disk("nightly.1"));
        assert_ne!(disk("nightly.1"), disk("nightly.2"));
    }

    #[test]
    fn whose_files_are_copied_is_a_namespace_and_a_name() {
        assert_eq!(whose("prod/zk"), Ok(("prod".to_owned(), "zk".to_owned())));
        for wrong in ["zk", "/zk", "prod/", "prod/zk/x", "Prod/zk"] {
            assert!(whose(wrong).is_err(), "{wrong}");
        }
    }
}
