//! A member's own files as an archive: for a backup that has a store of its own.
//!
//! The files are fetched from the member's agent, and go through the same gate as those that an agent ships: what is not proved to be
//! committed is not stored. A log is not read in one moment; what was read before an election may be cut off by it, and what comes after
//! it is in the next log. So what was fetched counts only if the server served before and after in the same epoch.
//!
//! Invariant: each backup has a chain of its own, named after its pin: it writes nothing that an agent, or another backup, writes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;
use tracing::{info, warn};
use zookeeper_files::ids::Zxid;

use super::backup::{Asked, asked};
use super::{Ended, Work, for_good, scratch};
use crate::agent::client::{self, FilesError, FilesReader};
use crate::agent::files::{CHUNK, FileFacts};
use crate::archive::about::About;
use crate::archive::backlog::Backlog;
use crate::archive::bases::BEGINNING;
use crate::archive::chains;
use crate::archive::key::{Chain, DiskId};
use crate::archive::probe::probed;
use crate::archive::prune;
use crate::archive::shipper::{Outcome, ShipError, Shipper};
use crate::archive::snapshots::{Examined, Snapshots};
use crate::archive::store::{Store, StoreError};
use crate::archive::upload::{Step, Upload, UploadError};
use crate::model::layout::AGENT_PORT;
use crate::model::names::is_name;
use crate::model::truth::{MemberTruth, Mode, ServerState};
use crate::model::{ServerId, address};
use crate::restore::arguments::password;

/// So many snapshots are fetched: a newest one that is being written, or that nothing proves, is passed over.
const SNAPSHOTS: usize = 3;
/// A purge or an election may come in between so often.
const TRIES: usize = 3;
/// Between requests for one chunk.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];

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
    /// Copies the files of a member that this pod has not copied yet, and notes which that is: of those that it has, something is missing. The
    /// transaction with which everything is committed that was acknowledged before.
    pub(super) async fn of_another(&self, work: &Work, copied: &mut Vec<String>) -> Result<Zxid, Ended> {
        let password = password().ok_or_else(|| for_good("there is no password of the super user"))?;
        let mut failed = Vec::new();
        for server in self.in_order().await.iter().filter(|server| !copied.contains(server)) {
            let Some((host, _)) = address::split(server) else { continue };
            let agent = address::with_port(host, AGENT_PORT);
            let Some(reader) = FilesReader::new(&agent, password.text()) else {
                return Err(for_good("no key comes of the super user's password"));
            };
            let folder = work.path("member");
            let made = self.of(server, &reader, &folder).await;
            if folder.exists() {
                fs::remove_dir_all(&folder).map_err(|error| scratch(&folder, &error))?;
            }
            match made {
                Ok(zxid) => {
                    copied.push(server.clone());
                    return Ok(zxid);
                }
                Err(Failed::Member(why)) => {
                    warn!(%server, %why, "this member's files are not copied");
                    failed.push(format!("{host}: {why}"));
                }
                Err(Failed::All(ended)) => return Err(ended),
            }
        }
        let cure = "if none answers: may pods with the label menagerie.dev/backup reach ports 2181 and 8079 of the members (NetworkPolicy)?";
        Err(Ended::ForNow(format!("no member's files could be copied: {}; {cure}", failed.join("; "))))
    }

    /// The leader last: reading a large snapshot beside its log may cost it its lead.
    async fn in_order(&self) -> Vec<String> {
        let looks = self.servers.iter().map(async |server| {
            let host = address::split(server).map_or("", |(host, _)| host);
            let truth = client::member(host, client::PATIENCE).await;
            let leads = |truth: MemberTruth| matches!(truth.server, ServerState::Serving(serving) if serving.mode == Mode::Leader);
            (truth.is_ok_and(leads), server.clone())
        });
        let mut looked = futures::future::join_all(looks).await;
        looked.sort_by_key(|(leads, _)| *leads);
        looked.into_iter().map(|(_, server)| server).collect()
    }

    async fn of(&self, server: &str, reader: &FilesReader, folder: &Path) -> Result<Zxid, Failed> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let before = asked(server, self.identity).await.map_err(Failed::Member)?;
            // What the store refuses is known before anything is fetched.
            let begun = self.begun(before.id).await?;
            match fetched(reader, folder).await {
                Ok(()) => {}
                Err(NotFetched::Again(text)) => {
                    why = text;
                    continue;
                }
                Err(NotFetched::Gone) => {
                    why = String::from("its files were purged while they were read");
                    continue;
                }
                Err(NotFetched::Failed(failed)) => return Err(failed),
            }
            let after = asked(server, self.identity).await.map_err(Failed::Member)?;
            if (after.id, after.epoch) == (before.id, before.epoch) {
                return self.shipped(&before, begun, folder).await;
            }
            why = String::from("there was an election while its files were read");
        }
        Err(Failed::Member(why))
    }

    /// Asks the store whether it takes what is to come.
    async fn begun(&self, member: ServerId) -> Result<(Store, Chain), Failed> {
        let chain = Chain::of(member, disk(self.pin));
        let (namespace, ensemble) = self.whose;
        let about = About::new(namespace, ensemble, self.store.key()?);
        about.agrees(self.store, self.identity).await?;
        let (store, create_only) = probed(self.store.clone(), self.identity, &chain).await?;
        about.tell(&store, self.identity).await?;
        info!(%chain, ?create_only, "the store takes it");
        Ok((store, chain))
    }

    /// Ships the log of the folder, and a base.
    async fn shipped(
        &self,
        Asked { zxid, epoch, .. }: &Asked,
        (store, chain): (Store, Chain),
        folder: &Path,
    ) -> Result<Zxid, Failed> {
        let backlog = Backlog::of(folder);
        let mut shipper = Shipper::resume(store.clone(), self.identity, chain.clone(), backlog).await?;
        // Of a chain that an earlier pod has begun, the shipper does not know where it begins.
        let begun = shipper.last().is_some();
        let mut segments = 0_u32;
        while let Outcome::Shipped { zxids, unknown, gap, .. } = shipper.ship(*zxid, *epoch).await? {
            segments += 1;
            info!(%zxids, ?unknown, ?gap, segments, "stored a segment");
        }
        let last = shipper.last().filter(|last| last >= zxid);
        let last = last.ok_or_else(|| {
            let had = shipper.last().map_or("nothing that is proved".to_owned(), |last| format!("{last:#}"));
            Failed::Member(format!("its log has {had}, and not {zxid:#} yet"))
        })?;
        let (base, reason) = match self.base(&store, &chain, folder, last).await? {
            Ok(base) => (Some(base), String::new()),
            Err(reason) => (None, reason),
        };
        // A follower that came back by a snapshot has a hole in its log: another one may have what is missing. The log of an ensemble that is
        // young leads there from the very beginning.
        match (shipper.reaches(base), base) {
            (Some(_), _) => Ok(*zxid),
            // Only the tree tells.
            (None, Some(_)) if begun => Ok(*zxid),
            (None, None) if begun && self.begins_with_the_ensemble(&store, &chain).await? => Ok(*zxid),
            (None, Some(base)) => Err(Failed::Member(format!(
                "its log has a gap behind its newest snapshot that is proved ({base:#}), as after a sync by snapshot"
            ))),
            (None, None) => Err(Failed::Member(format!(
                "none of its snapshots is proved, and its log begins later ({reason}): if zookeeper.digest.enabled is off, set it; otherwise the next snapshot is needed (after snapCount transactions, or a restart of the member)"
            ))),
        }
    }

    async fn begins_with_the_ensemble(&self, store: &Store, chain: &Chain) -> Result<bool, Failed> {
        let first = chains::first(store, self.identity, chain).await?;
        Ok(first.is_some_and(|facts| facts.first == BEGINNING))
    }

    /// Ships the newest snapshot that is proved; or why none is.
    async fn base(
        &self,
        store: &Store,
        chain: &Chain,
        folder: &Path,
        last: Zxid,
    ) -> Result<Result<Zxid, String>, Failed> {
        let snapshots = Snapshots::of(folder);
        let mut refused = Vec::new();
        for file in snapshots.list().map_err(|error| Failed::Member(error.to_string()))?.iter().rev() {
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
                match upload.step().await {
                    Ok(Step::Part) => {}
                    Ok(Step::Done(manifest)) => return Ok(Ok(manifest.zxid)),
                    Err(UploadError::Store(error)) => return Err(error.into()),
                    // An earlier pod's put was under way as well. The next try finds it, or stores it.
                    Err(error) if error.can_be_tried_again() => {
                        return Err(Failed::All(Ended::ForNow(error.to_string())));
                    }
                    // An earlier pod has stored another snapshot of that name: an election in which nothing was written makes one.
                    Err(error) => {
                        refused.push(format!("{:#}: {error}", file.zxid));
                        break;
                    }
                }
            }
        }
        Ok(Err(if refused.is_empty() { "it has none".to_owned() } else { refused.join("; ") }))
    }

    async fn holds(&self, store: &Store, chain: &Chain, examined: &Examined, last: Zxid) -> Result<bool, Failed> {
        if !examined.proved.is_archived(|zxid| zxid <= last) {
            return Ok(false);
        }
        let mut held = Vec::new();
        for wanted in examined.proved.needs().into_iter().flatten() {
            held.push((wanted, chains::holds(store, self.identity, chain, wanted).await?));
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

/// Why nothing came of one member.
enum Failed {
    /// Another one may give it.
    Member(String),
    /// None will.
    All(Ended),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::All(Ended::ForNow(error.to_string()))
    }
}

impl From<ShipError> for Failed {
    fn from(error: ShipError) -> Self {
        match error {
            ShipError::Store(error) => error.into(),
            // Stored by an earlier pod of this backup: the member's log was cut since, or is shorter.
            error => Self::Member(error.to_string()),
        }
    }
}

enum NotFetched {
    /// Something moved meanwhile.
    Again(String),
    /// It was purged.
    Gone,
    Failed(Failed),
}

impl From<FilesError> for NotFetched {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Gone(_) => Self::Gone,
            error => Self::Failed(Failed::Member(error.to_string())),
        }
    }
}

/// Fetches what is needed of a member's files. What was purged before it was fetched is older than what is needed; if not, that shows later.
async fn fetched(reader: &FilesReader, folder: &Path) -> Result<(), NotFetched> {
    let broken = |path: &Path| {
        let path = path.to_owned();
        move |error| NotFetched::Failed(Failed::All(scratch(&path, &error)))
    };
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(broken(folder))?;
    }
    fs::create_dir_all(folder).map_err(broken(folder))?;
    let wanted = needed(&reader.list().await?);
    let bytes: u64 = wanted.iter().map(|file| file.length).sum();
    info!(files = wanted.len(), bytes, "the member's files are fetched");
    for file in &wanted {
        match fetch(reader, file, &folder.join(&file.name)).await {
            Err(NotFetched::Gone) => fs::remove_file(folder.join(&file.name)).map_err(broken(folder))?,
            fetched => fetched?,
        }
    }
    let now = reader.list().await?;
    for file in &wanted {
        // It may have grown, or be purged. A shorter one was cut, and another inode is another file.
        let same = |now: &FileFacts| now.inode == file.inode && now.length >= file.length;
        if now.iter().find(|now| now.name == file.name).is_some_and(|now| !same(now)) {
            return Err(NotFetched::Again(format!("{} changed while it was read", file.name)));
        }
    }
    Ok(())
}

async fn fetch(reader: &FilesReader, file: &FileFacts, path: &PathBuf) -> Result<(), NotFetched> {
    let broken = |error: std::io::Error| NotFetched::Failed(Failed::All(scratch(path, &error)));
    let to = File::create(path).map_err(broken)?;
    let mut from = 0;
    // A log that is written to meanwhile has more behind that: what is needed of it was there before.
    while from < file.length {
        let bytes = chunk(reader, &file.name, from).await?;
        // The zeros at the end of a log take no room here either.
        if bytes.iter().any(|byte| *byte != 0) {
            to.write_all_at(&bytes, from).map_err(broken)?;
        }
        from += bytes.len() as u64;
        to.set_len(from).map_err(broken)?;
        if bytes.len() < CHUNK {
            break;
        }
    }
    to.sync_all().map_err(broken)
}

/// One lost request of ten thousand is none that ends all.
async fn chunk(reader: &FilesReader, name: &str, from: u64) -> Result<Vec<u8>, FilesError> {
    for pause in PAUSES {
        match reader.chunk(name, from).await {
            Err(FilesError::Http(error)) => {
                warn!(%error, "asked again");
                sleep(pause).await;
            }
            answer => return answer,
        }
    }
    reader.chunk(name, from).await
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
