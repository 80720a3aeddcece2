//! Ships bases of this member to the archive, between the segments of its log.
//!
//! Snapshots are looked for now and then; the archive is only asked when one is wanted: once to know its newest base, and again before
//! one is shipped, since another member may have been faster.
//!
//! Invariants: a base never holds up a segment for longer than one part takes; whatever goes wrong with one is said and tried again, and
//! the log is shipped all the same; a file that was purged is not kept on a full disk for a store that does not answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::select;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{info, warn};
use zookeeper_files::disk::DiskError;
use zookeeper_files::ids::Zxid;

use crate::archive::base::{Decision, LEAST_LOG, Newest, Seen, State, decide};
use crate::archive::bases::{self, BEGINNING, BaseError};
use crate::archive::chains;
use crate::archive::key::Chain;
use crate::archive::manifest::Manifest;
use crate::archive::shipper::ShipError;
use crate::archive::snapshots::{Examined, NoBase, SnapshotFile, Snapshots};
use crate::archive::store::Store;
use crate::archive::upload::{Step, Upload, UploadError};
use crate::model::truth::Point;

use super::archive::{blocking, on_a_thread};
use super::not_shipping::NotShipping;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one look at the snapshots to the next.
    pub look: Duration,
    /// From one look at whether a snapshot is read to the next.
    pub soon: Duration,
    /// After something went wrong. It doubles each time.
    pub pause: Duration,
    /// It grows to this.
    pub longest: Duration,
}

impl Pace {
    fn longer(&self, pause: Duration) -> Duration {
        (pause * 2).clamp(self.pause, self.longest)
    }
}

/// What this member does about bases.
pub struct Bases {
    store: Store,
    identity: String,
    chain: Chain,
    snapshots: Snapshots,
    /// Whether the archive was asked for its newest base.
    asked: bool,
    /// That.
    newest: Option<Newest>,
    /// The earliest point to which the archive leads, once it was asked for it.
    earliest: Option<Point>,
    /// Whether it has answered that.
    answered: bool,
    /// Where this member's chain is known to begin, behind its newest gap.
    starts: Option<Zxid>,
    /// Its first transaction, once the archive was asked for it.
    first: Option<Zxid>,
    looked: BTreeMap<Zxid, Looked>,
    reading: Option<(SnapshotFile, JoinHandle<Result<Examined, NoBase>>)>,
    upload: Option<Upload>,
    pace: Pace,
    /// When to look again.
    next: Instant,
    /// How long it rested after the last thing that went wrong; nothing if that has passed.
    paused: Duration,
    /// What was said last, so that it is not said again.
    trouble: Option<String>,
    stop: watch::Receiver<bool>,
}

/// A snapshot, as far as it is known.
struct Looked {
    file: SnapshotFile,
    settled: bool,
    /// Bytes of log between the newest base and it, once they were counted.
    log: Option<u64>,
    known: Known,
    /// How long it was left alone after it could not be read.
    paused: Duration,
}

enum Known {
    Unread,
    /// It could not be read or be compared, and that may pass: the next time, and why.
    Later(Instant, String),
    /// It is proved to be none, or the archive has something else under its name.
    Refused,
    Proved(Examined),
}

/// Why nothing comes of it just now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error(transparent)]
    Chain(#[from] ShipError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Broken(#[from] NotShipping),
}

impl Bases {
    /// Of the disk with this data folder. Asks the store nothing yet.
    pub fn new(store: Store, identity: &str, chain: Chain, data: &Path, pace: Pace) -> Self {
        Self {
            store,
            identity: identity.to_owned(),
            chain,
            snapshots: Snapshots::of(data),
            asked: false,
            newest: None,
            earliest: None,
            answered: false,
            starts: None,
            first: None,
            looked: BTreeMap::new(),
            reading: None,
            upload: None,
            pace,
            next: Instant::now(),
            paused: Duration::ZERO,
            trouble: None,
            stop: watch::channel(false).1,
        }
    }

    /// The same, and a part that is on its way is broken off once this says so.
    #[must_use]
    pub fn until(self, stop: watch::Receiver<bool>) -> Self {
        Self { stop, ..self }
    }

    /// Ships to this store from now on: the same one, maybe with other keys.
    pub fn ship_to(&mut self, store: Store) {
        if let Some(upload) = &mut self.upload {
            upload.ship_to(store.clone());
        }
        self.store = store;
    }

    /// This member's chain is known to begin here, behind its newest gap.
    pub fn starts_at(&mut self, starts: Option<Zxid>) {
        self.starts = starts;
    }

    /// Where nothing but a base leads to, as far as it is known: the end of its newest gap, or at least the first transaction of the chain.
    pub fn starts(&self) -> Option<Zxid> {
        self.starts.or(self.first.filter(|first| *first != BEGINNING))
    }

    /// Why no base is shipped just now, though one may be wanted.
    pub fn trouble(&self) -> Option<String> {
        let later = self.looked.values().rev().filter(|looked| Some(looked.file.zxid) > self.newest());
        let mut later = later.filter_map(|looked| match &looked.known {
            Known::Later(_, why) => Some(format!("snapshot {:#}: {why}", looked.file.zxid)),
            _ => None,
        });
        self.trouble.clone().or_else(|| later.next())
    }

    /// When there is something to do at the earliest.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Closes what was purged: while it is open, a purge frees no space.
    pub async fn let_go(&mut self) {
        let snapshots = self.snapshots.clone();
        // A disk that cannot be listed says nothing about what it has.
        let Ok(Ok(listed)) = on_a_thread(move || snapshots.list()).await else { return };
        let there = |zxid: Zxid| listed.iter().any(|file| file.zxid == zxid);
        self.upload = self.upload.take().filter(|upload| there(upload.snapshot()));
        self.reading = self.reading.take().filter(|(file, reading)| !reading.is_finished() || listed.contains(file));
        self.looked.retain(|zxid, _| there(*zxid));
    }

    /// The newest base of the archive, as far as this member knows.
    pub fn newest(&self) -> Option<Zxid> {
        self.newest.map(|newest| newest.zxid)
    }

    /// The earliest point to which the archive leads, as far as this member knows.
    pub fn earliest(&self) -> Option<Point> {
        self.earliest
    }

    /// Whether the archive was asked for both, and has answered.
    pub fn asked(&self) -> bool {
        self.asked && self.answered
    }

    /// Does the next thing, if there is one, while nothing of the log waits. `shipped` is the last transaction that the archive has of
    /// this disk. Returns whether there is more to do at once.
    pub async fn go_on(&mut self, shipped: Option<Zxid>) -> bool {
        if Instant::now() < self.next {
            return false;
        }
        match self.next_thing(shipped).await {
            Ok(more) => {
                (self.trouble, self.paused) = (None, Duration::ZERO);
                more
            }
            Err(trouble) => {
                self.paused = self.pace.longer(self.paused);
                self.next = Instant::now() + self.paused;
                let text = trouble.to_string();
                if self.trouble.as_ref() != Some(&text) {
                    warn!(%text, "no base is shipped just now");
                }
                self.trouble = Some(text);
                false
            }
        }
    }

    async fn next_thing(&mut self, shipped: Option<Zxid>) -> Result<bool, Trouble> {
        if let Some(upload) = self.upload.take() {
            return self.step(upload).await;
        }
        self.next = Instant::now() + self.pace.look;
        if !self.take_reading().await? {
            return Ok(false);
        }
        self.list().await?;
        if self.looked.is_empty() || shipped.is_none() {
            return Ok(false);
        }
        if !self.asked {
            self.ask(shipped).await?;
        }
        self.count().await?;
        match self.decide(shipped) {
            Decision::Read(zxid) => self.read(zxid),
            Decision::Ship(zxid) => return self.begin(zxid, shipped).await,
            Decision::Hold | Decision::Skip => {}
        }
        Ok(false)
    }

    fn decide(&self, shipped: Option<Zxid>) -> Decision {
        let state = |looked: &Looked| match &looked.known {
            Known::Refused => State::Refused,
            _ if !looked.settled => State::Changing,
            Known::Later(at, _) if Instant::now() < *at => State::Waits,
            Known::Unread | Known::Later(..) => State::Unread,
            Known::Proved(examined) => {
                // Whether the archive has it and no gap there, is only asked before it is shipped.
                let there = examined.proved.is_archived(|zxid| Some(zxid) <= shipped);
                if there { State::Base } else { State::Waits }
            }
        };
        let seen = self.looked.values().map(|looked| {
            let SnapshotFile { zxid, bytes, .. } = looked.file;
            Seen { zxid, bytes, log: looked.log.unwrap_or_default(), state: state(looked) }
        });
        decide(&seen.collect::<Vec<_>>(), self.newest, self.starts(), now())
    }

    /// Notes which snapshots there are, and whether they are as they were.
    async fn list(&mut self) -> Result<(), Trouble> {
        let snapshots = self.snapshots.clone();
        let listed = on_a_thread(move || snapshots.list()).await??;
        let mut before = std::mem::take(&mut self.looked);
        for file in listed {
            let looked = match before.remove(&file.zxid) {
                Some(looked) if looked.file == file => Looked { settled: true, ..looked },
                _ => Looked { file, settled: false, log: None, known: Known::Unread, paused: Duration::ZERO },
            };
            self.looked.insert(looked.file.zxid, looked);
        }
        Ok(())
    }

    /// Asks the archive for its newest base, and where it begins.
    async fn ask(&mut self, shipped: Option<Zxid>) -> Result<(), Trouble> {
        let newest = bases::believed(&self.store, &self.identity, shipped).await?;
        // It is for people alone, and holds up nothing. What it was may be deleted by now.
        if let Ok(beginning) = bases::beginning(&self.store, &self.identity, &self.chain).await {
            self.earliest = beginning.earliest.map(|(zxid, time)| Point { zxid, time });
            // Who began anew has not seen how the chain began.
            (self.first, self.answered) = (beginning.own, true);
        }
        self.note(newest.map(|manifest| Newest { zxid: manifest.zxid, made: manifest.made }));
        Ok(())
    }

    fn note(&mut self, newest: Option<Newest>) {
        self.asked = true;
        if self.newest != newest {
            self.newest = newest;
            self.looked.values_mut().for_each(|looked| looked.log = None);
        }
    }

    /// Counts the log between the newest base and each snapshot after it.
    async fn count(&mut self) -> Result<(), Trouble> {
        let Some(Newest { zxid: newest, .. }) = self.newest else { return Ok(()) };
        for looked in self.looked.values_mut().filter(|looked| looked.log.is_none() && looked.file.zxid > newest) {
            let (snapshots, to, most) = (self.snapshots.clone(), looked.file.zxid, looked.file.bytes.max(LEAST_LOG));
            looked.log = Some(on_a_thread(move || snapshots.log_between(newest, to, most)).await??);
        }
        Ok(())
    }

    /// Reads a snapshot while the log goes on being shipped.
    fn read(&mut self, zxid: Zxid) {
        let Some(looked) = self.looked.get(&zxid) else { return };
        let (snapshots, file) = (self.snapshots.clone(), looked.file.clone());
        self.reading = Some((file.clone(), spawn_blocking(move || snapshots.examine(&file))));
        self.next = Instant::now() + self.pace.soon;
    }

    /// Notes what the reading has shown; false while it goes on.
    async fn take_reading(&mut self) -> Result<bool, Trouble> {
        let Some((file, reading)) = self.reading.take() else { return Ok(true) };
        if !reading.is_finished() {
            self.reading = Some((file, reading));
            self.next = Instant::now() + self.pace.soon;
            return Ok(false);
        }
        let read = reading.await;
        if !self.looked.get(&file.zxid).is_some_and(|looked| looked.file == file) {
            return Ok(true);
        }
        match read {
            Ok(Ok(examined)) => self.know(file.zxid, Known::Proved(examined)),
            Ok(Err(why)) if !why.may_pass() => {
                info!(zxid = %file.zxid, %why, "this snapshot is no base");
                self.know(file.zxid, Known::Refused);
            }
            Ok(Err(why)) => self.later(file.zxid, why.to_string()),
            Err(error) => self.later(file.zxid, format!("the reading broke off: {error}")),
        }
        Ok(true)
    }

    fn know(&mut self, zxid: Zxid, known: Known) {
        if let Some(looked) = self.looked.get_mut(&zxid) {
            (looked.known, looked.paused) = (known, Duration::ZERO);
        }
    }

    /// Reads a snapshot again after a while, and later each time.
    fn later(&mut self, zxid: Zxid, why: String) {
        if let Some(looked) = self.looked.get_mut(&zxid) {
            warn!(%zxid, %why, "this snapshot cannot be judged just now");
            looked.paused = self.pace.longer(looked.paused);
            looked.known = Known::Later(Instant::now() + looked.paused, why);
        }
    }

    /// Begins to ship a snapshot, if no other member was faster and the archive has what makes it a base.
    async fn begin(&mut self, zxid: Zxid, shipped: Option<Zxid>) -> Result<bool, Trouble> {
        self.ask(shipped).await?;
        self.count().await?;
        if self.decide(shipped) != Decision::Ship(zxid) {
            return Ok(false);
        }
        let proved = match self.looked.get(&zxid).map(|looked| &looked.known) {
            Some(Known::Proved(examined)) => examined.proved,
            _ => return Ok(false),
        };
        let mut held = Vec::new();
        for wanted in proved.needs().into_iter().flatten() {
            held.push((wanted, chains::holds(&self.store, &self.identity, &self.chain, wanted).await?));
        }
        let Some(looked) = self.looked.get_mut(&zxid) else { return Ok(false) };
        let Known::Proved(examined) = std::mem::replace(&mut looked.known, Known::Refused) else { return Ok(false) };
        if !proved.is_archived(|zxid| held.contains(&(zxid, true))) {
            let by = proved.by;
            info!(%zxid, %by, "this snapshot is no base: this member's archive lacks the transactions that prove it");
            return Ok(false);
        }
        info!(%zxid, bytes = examined.bytes, "shipping a base");
        self.upload = Some(Upload::new(self.store.clone(), &self.identity, self.chain.clone(), examined, now()));
        self.next = Instant::now();
        Ok(true)
    }

    /// Ships the next part.
    async fn step(&mut self, mut upload: Upload) -> Result<bool, Trouble> {
        let end = self.stop.clone();
        let (upload, step) = blocking(move |handle| {
            let step = handle.block_on(async {
                select! {
                    biased;
                    () = stopped(end) => None,
                    step = upload.step() => Some(step),
                }
            });
            (upload, step)
        })
        .await?;
        let Some(step) = step else {
            self.upload = Some(upload);
            return Ok(false);
        };
        match step {
            Ok(Step::Part) => {
                self.upload = Some(upload);
                Ok(true)
            }
            Ok(Step::Done(manifest)) => {
                let Manifest { zxid, end, made, bytes, parts, .. } = *manifest;
                info!(%zxid, %end, bytes, parts = parts.len(), "shipped a base");
                self.note(Some(Newest { zxid, made }));
                self.earliest = self.earliest.or(Some(Point { zxid: end, time: made }));
                Ok(false)
            }
            Err(error) if error.can_be_tried_again() => {
                self.upload = Some(upload);
                self.let_go().await;
                Err(error.into())
            }
            Err(error) => {
                // Other bytes under its name are a proof that it cannot be shipped. A disk that failed is none.
                if !matches!(error, UploadError::Other(_)) {
                    self.later(upload.snapshot(), error.to_string());
                }
                Err(error.into())
            }
        }
    }
}

/// Returns once this says so.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

/// In milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
