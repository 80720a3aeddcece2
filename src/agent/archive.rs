//! Ships what this member's disk has of the committed history to the ensemble's archive.
//!
//! What is to be shipped and where stands in the seed (`archive.json`), the credentials in a mounted Secret; both are read again
//! now and then, so that a change needs no restart. Nothing is asked of server and store while the log does not grow. `base_task` ships
//! snapshots meanwhile.
//!
//! Invariant: whatever the archive does, the server's own life and the answers to probes do not wait for it: what takes time is done
//! on other threads.

use std::fs;
use std::io::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};
use zookeeper_files::atomic::Part;
use zookeeper_files::ids::ZxidRange;

use crate::archive::about::About;
use crate::archive::access::{Access, Mounted};
use crate::archive::backlog::{Backlog, Behind, ReadError};
use crate::archive::key::{Chain, DiskId};
use crate::archive::probe::{CreateOnly, probed};
use crate::archive::seal::Keys;
use crate::archive::shipper::{Outcome, Run, ShipError, Shipper};
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::model::archive::{ARCHIVE_KEY, ArchiveConfig, ENCRYPTED_ARCHIVE_KEY};
use crate::model::truth::{ArchiveLag, ArchiveReason, ArchiveState, HeldBack, Point, ServerState};

use super::base_task::{self, BaseTask, Place};
use super::bases::Pace;
use super::held::Held;
use super::lag::Lag;
use super::member::{MOMENT, Member};
use super::not_shipping::NotShipping;
use super::seed::{Seed, Whose};

/// Where a volume says which disk it is.
const DISK: &str = "archive.json";
/// How often the seed and the Secret are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// So many looks in a row at a log that changes are said: an election ends before.
const MANY: u32 = 5;
/// After an error.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// After an error of a base.
const LONGEST_BASE_PAUSE: Duration = Duration::from_hours(1);
/// For bases.
const PACE: Pace =
    Pace { look: LOOK_AGAIN, soon: Duration::from_secs(1), pause: LONGEST_PAUSE, longest: LONGEST_BASE_PAUSE };

/// Where things are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The data volume.
    pub data: PathBuf,
    /// The mounted seed.
    pub seed: PathBuf,
    /// What is mounted to reach the archive.
    pub mounted: Mounted,
}

/// All that a shipper is made from; when it changes, another one is made.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    whose: Whose,
    config: ArchiveConfig,
    target: Target,
    access: Access,
    keys: Option<Keys>,
}

/// What stays while one shipper is made after another.
#[derive(Default)]
struct Kept {
    bases: Option<BaseTask>,
    /// What the last shipper knew of its chain, and where that is.
    run: Option<(String, Run)>,
}

/// Ships for as long as the agent runs.
pub async fn ship(member: Arc<Member>, folders: Folders) {
    let mut pause = SHORTEST_PAUSE;
    let mut kept = Kept::default();
    loop {
        let begun = Instant::now();
        // Whatever goes wrong in it, the probes are answered.
        let ended = AssertUnwindSafe(ship_once(&member, &folders, &mut kept)).catch_unwind().await;
        if let Some(bases) = &kept.bases {
            bases.rest();
        }
        let ended = ended.unwrap_or_else(|_| Err(NotShipping::Disk("archiving broke off: this is a bug".to_owned())));
        if begun.elapsed() > LONGEST_PAUSE {
            pause = SHORTEST_PAUSE;
        }
        match ended {
            Ok(()) => pause = SHORTEST_PAUSE,
            Err(error) => {
                say(&member, &error, None);
                pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            }
        }
        sleep(pause).await;
    }
}

/// Ships until something else is wanted; where nothing is, looks again after a while.
async fn ship_once(member: &Arc<Member>, folders: &Folders, kept: &mut Kept) -> Result<(), NotShipping> {
    if let Some(wanted) = wanted(member, folders).await? {
        return ship_as(member, folders, wanted, kept).await;
    }
    *kept = Kept::default();
    member.archiving.say(None);
    sleep(LOOK_AGAIN).await;
    Ok(())
}

fn say(member: &Member, error: &NotShipping, lag: Option<ArchiveLag>) {
    let text = error.to_string();
    let reason = error.reason();
    let before = member.archiving.shipped();
    if !before.as_ref().is_some_and(|before| (before.reason, before.words.as_ref()) == (reason, Some(&text))) {
        warn!(%text, "archiving does not go on");
    }
    let place = member.archiving.place();
    let known = before.unwrap_or_else(|| ArchiveState::of(reason));
    let state = ArchiveState { reason, words: Some(text), lag, place, ..known };
    member.archiving.say(Some(state));
}

/// What is to be shipped where; `None` where there is no archive, or others ship.
async fn wanted(member: &Member, folders: &Folders) -> Result<Option<Wanted>, NotShipping> {
    let (id, seed) = (member.id, folders.seed.clone());
    let config = on_a_thread(move || told(&seed)).await??;
    let Some(config) = config.filter(|config| config.members.contains(&id)) else { return Ok(None) };
    member.archiving.about(&config.place);
    let folders = folders.clone();
    let read = move || {
        let whose = Seed::whose(&folders.seed).map_err(|error| NotShipping::Disk(error.to_string()))?;
        let target = config.place.target.parse().map_err(NotShipping::Config)?;
        let access = Access::of(&target, &config.place, &folders.mounted)?;
        let keys = folders.mounted.keys(&config.place)?;
        Ok(Some(Wanted { whose, config, target, access, keys }))
    };
    on_a_thread(read).await?
}

/// What the operator told all members of the archive, if there is one.
pub(super) fn told(seed: &Path) -> Result<Option<ArchiveConfig>, NotShipping> {
    // Once more at the end: the kubelet may bring the one in place of the other between two looks.
    for key in [ENCRYPTED_ARCHIVE_KEY, ARCHIVE_KEY, ENCRYPTED_ARCHIVE_KEY] {
        let text = match fs::read_to_string(seed.join(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|error| NotShipping::Disk(format!("cannot read {key}: {error}")))?,
        };
        let config = serde_json::from_str(&text)
            .map_err(|error| NotShipping::Config(format!("{key} is none that this version reads: {error}")))?;
        return Ok(Some(config));
    }
    Ok(None)
}

/// Ships until something else is wanted.
async fn ship_as(member: &Arc<Member>, folders: &Folders, now: Wanted, kept: &mut Kept) -> Result<(), NotShipping> {
    let interval = interval(&now.config);
    let data = folders.data.clone();
    let disk = on_a_thread(move || disk(&data)).await?.map_err(|error| NotShipping::Disk(error.to_string()))?;
    let chain = Chain::of(member.id, disk);
    let store = Store::open_with(&now.target, &now.access).map_err(ShipError::Store)?.sealing(now.keys.clone());
    let key = store.key().map_err(ShipError::Store)?;
    let about = About::new(&now.whose.namespace, &now.whose.ensemble, key);
    about.agrees(&store, &now.whose.identity).await.map_err(NotShipping::of_beginning)?;
    let (store, create_only) = probed(store, &now.whose.identity, &chain).await.map_err(ShipError::Store)?;
    let data = folders.data.join("version-2");
    let backlog = Backlog::of(&data);
    let (identity, named, to) = (now.whose.identity.clone(), chain.clone(), store.clone());
    let mut shipper = blocking(move |handle| handle.block_on(Shipper::resume(to, &identity, named, backlog))).await??;
    // Once what it has of this disk is as it is to be: where nobody has said how an archive was begun, its objects have.
    about.tell(&store, &now.whose.identity).await.map_err(ShipError::Store)?;
    // Another member may have been told otherwise a moment ago, and was first.
    about.agrees(&store, &now.whose.identity).await.map_err(NotShipping::of_beginning)?;
    if let Some((_, run)) = kept.run.take().filter(|(of, _)| *of == now.config.place.target) {
        shipper.recall(&run);
    }
    let place = Place {
        target: now.config.place.target.clone(),
        endpoint: now.config.place.endpoint.clone(),
        identity: now.whose.identity.clone(),
        chain: chain.clone(),
        data,
    };
    let bases = BaseTask::kept(&mut kept.bases, place, &store, PACE, member.archiving.stops());
    info!(%chain, target = %now.config.place.target, last = ?shipper.last(), ?create_only, "archiving");
    let (mut gap, mut lag, mut held, mut changes) = (None, Lag::default(), Held::default(), 0_u32);
    let (mut checked, mut due, mut pause) = (Instant::now(), Instant::now(), Duration::ZERO);
    loop {
        let mut more = false;
        if Instant::now() >= due {
            due = Instant::now() + interval;
            let (back, looked) = look(member, shipper, &mut gap).await?;
            shipper = back;
            match looked {
                Ok(looked) => {
                    pause = Duration::ZERO;
                    more = looked == Looked::More;
                    changes = if looked == Looked::Changed { changes.saturating_add(1) } else { 0 };
                    if let Looked::Level(at) | Looked::Shipped(at) = looked {
                        lag.level(at);
                    }
                    held.looked(&looked, Instant::now());
                    if let (Looked::Unlogged(_), Some(held)) = (looked, held.said(Instant::now())) {
                        lag.behind(Some(Behind::for_seconds(held.seconds)), None);
                    }
                    if matches!(looked, Looked::Shipped(_) | Looked::More | Looked::Changed | Looked::Held(_)) {
                        (shipper, ()) = measure(shipper, &mut lag, None).await?;
                    }
                    bases.go_on(&store, &shipper);
                    kept.run = shipper.run().map(|run| (now.config.place.target.clone(), run));
                    // Of the store nothing was learned where the server does not serve, or the log changed.
                    if !matches!(looked, Looked::Nothing | Looked::Changed) || !failing(member) {
                        let changes = changes >= MANY;
                        let said =
                            Said { gap, bases: bases.said(), create_only, changes, held: held.said(Instant::now()) };
                        say_shipping(member, &shipper, &said, &lag);
                    }
                }
                // The same put is tried again: nothing else has to be asked first.
                Err(error) if error.may_pass() => {
                    bases.rest();
                    (shipper, ()) = measure(shipper, &mut lag, Some(error.to_string())).await?;
                    // One failure is the lag's cause and nothing more, or each would turn the condition.
                    if pause.is_zero() && !failing(member) {
                        still(member, lag.said());
                    } else {
                        say(member, &error, lag.said());
                    }
                    pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                    due = Instant::now() + pause;
                }
                Err(error) => return Err(error),
            }
        }
        if checked.elapsed() >= LOOK_AGAIN {
            checked = Instant::now();
            if wanted(member, folders).await?.as_ref() != Some(&now) {
                return Ok(());
            }
            // Between two looks that are far apart, what is not archived grows older all the same.
            if interval > LOOK_AGAIN && pause.is_zero() && !failing(member) {
                shipper = grown_older(member, shipper, &mut lag, &held).await?;
            }
        }
        if more {
            due = Instant::now();
        } else {
            sleep_until((checked + LOOK_AGAIN).min(due)).await;
        }
    }
}

/// Says how far it is behind, and for how long something is held back, without a look that ships anything.
async fn grown_older(member: &Member, shipper: Shipper, lag: &mut Lag, held: &Held) -> Result<Shipper, NotShipping> {
    let (mut shipper, more) = step(shipper, |shipper, _| shipper.has_more()).await?;
    if more.is_ok_and(|more| more) {
        (shipper, ()) = measure(shipper, lag, None).await?;
    }
    if let Some(before) = member.archiving.shipped() {
        let (lag, held) = (lag.said(), held.said(Instant::now()));
        member.archiving.say(Some(ArchiveState { lag, held, ..before }));
    }
    Ok(shipper)
}

/// What was said stays, but for the lag.
fn still(member: &Member, lag: Option<ArchiveLag>) {
    if let Some(before) = member.archiving.shipped() {
        member.archiving.say(Some(ArchiveState { lag, ..before }));
    }
}

/// Whether it was said that nothing is shipped.
fn failing(member: &Member) -> bool {
    member.archiving.shipped().is_some_and(|state| state.reason != ArchiveReason::Shipping)
}

/// What one look at the log has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// The archive has all that is proved to be committed.
    Level(Instant),
    /// It has all that was proved then, before a segment was on its way.
    Shipped(Instant),
    /// It has not: a segment was too small for all of it.
    More,
    /// It has all that is proved, and nobody adds to what the log has beyond that.
    Held(ZxidRange),
    /// It has all that the log has, and the server was synced with more.
    Unlogged(ZxidRange),
    /// The log changed under the reading, or the store has and has not what was put.
    Changed,
    /// The server does not serve.
    Nothing,
}

/// Notes how far the archive is behind, and why if something failed.
async fn measure(shipper: Shipper, lag: &mut Lag, cause: Option<String>) -> Result<(Shipper, ()), NotShipping> {
    let (shipper, behind) = step(shipper, |shipper, _| shipper.behind()).await?;
    // A log that changes just now is measured the next time.
    lag.behind(behind.ok().flatten(), cause);
    Ok((shipper, ()))
}

/// Looks at the log once, and ships a segment if there is one.
async fn look(
    member: &Arc<Member>,
    shipper: Shipper,
    gap: &mut Option<ZxidRange>,
) -> Result<(Shipper, Result<Looked, NotShipping>), NotShipping> {
    let begun = Instant::now();
    let (shipper, has_more) = step(shipper, |shipper, _| shipper.has_more()).await?;
    match has_more {
        Ok(true) => {}
        Ok(false) => {
            let (shipper, unlogged) = step(shipper, |shipper, _| shipper.unlogged()).await?;
            let looked = unlogged.map(|range| range.map_or(Looked::Level(begun), Looked::Unlogged));
            return Ok((shipper, looked.map_err(NotShipping::from)));
        }
        Err(error) => return Ok((shipper, Err(error.into()))),
    }
    let ServerState::Serving(serving) = member.server(MOMENT).await else { return Ok((shipper, Ok(Looked::Nothing))) };
    let (applied, epoch) = (serving.zxid, serving.epoch);
    let (shipper, outcome) =
        step(shipper, move |shipper, handle| handle.block_on(shipper.ship(applied, epoch))).await?;
    let looked = match outcome {
        Ok(Outcome::Shipped { unknown, gap: before, more, zxids }) => {
            for range in unknown {
                warn!(%range, "may never have been committed, and this log cannot show it: not archived by this member");
            }
            if let Some(before) = before {
                let range = ZxidRange { first: before, last: zxids.first };
                warn!(%range, "between these two, transactions may be missing from this member's archive");
                *gap = Some(range);
            }
            Ok(if more { Looked::More } else { Looked::Shipped(begun) })
        }
        Ok(Outcome::Idle | Outcome::Waiting) => Ok(Looked::Level(begun)),
        Ok(Outcome::Held(zxids)) => Ok(Looked::Held(zxids)),
        // An election, or a race in the store: the next look sees what is there now.
        Err(ShipError::Read(ReadError::Changed)) => {
            let (shipper, ()) = step(shipper, |shipper, _| shipper.look_again()).await?;
            return Ok((shipper, Ok(Looked::Changed)));
        }
        Err(error) => Err(error.into()),
    };
    Ok((shipper, looked))
}

/// From one look at the log to the next.
fn interval(config: &ArchiveConfig) -> Duration {
    Duration::from_secs(config.interval_seconds.max(1).into())
}

/// What is said of an archive that is shipped to.
struct Said {
    gap: Option<ZxidRange>,
    bases: base_task::Said,
    create_only: CreateOnly,
    /// Whether the log changed at each of the last looks.
    changes: bool,
    held: Option<HeldBack>,
}

fn say_shipping(member: &Member, shipper: &Shipper, said: &Said, lag: &Lag) {
    let overwrites = said.create_only.words().map(str::to_owned);
    let missing = said.gap.map(|ZxidRange { first, last }| {
        format!("transactions may be missing from its archive between {first:#} and {last:#}")
    });
    let trouble = said.bases.trouble.as_ref().map(|why| format!("no base is shipped just now: {why}"));
    let changes = said.changes.then(|| "its log changes each time it is read, so that nothing is shipped".to_owned());
    let words: Vec<_> = missing.into_iter().chain(changes).chain(overwrites).chain(trouble).collect();
    let words = (!words.is_empty()).then(|| words.join("; "));
    let (last, base, reason) = (shipper.last(), said.bases.newest, ArchiveReason::Shipping);
    let reaches = shipper.reaches(base).map(|(zxid, time)| Point { zxid, time });
    let first = said.bases.earliest;
    let starts = shipper.starts().or(said.bases.starts).filter(|_| said.bases.asked);
    let place = member.archiving.place();
    let (lag, held) = (lag.said(), said.held);
    let shipping = ArchiveState::of(reason);
    let state = ArchiveState { last, base, words, lag, held, first, reaches, starts, place, ..shipping };
    member.archiving.ships(state, shipper.segment());
}

/// Lets a shipper do something on a thread of its own: it reads the disk.
async fn step<T: Send + 'static>(
    mut shipper: Shipper,
    work: impl FnOnce(&mut Shipper, &Handle) -> T + Send + 'static,
) -> Result<(Shipper, T), NotShipping> {
    blocking(move |handle| {
        let done = work(&mut shipper, handle);
        (shipper, done)
    })
    .await
}

/// Does something on a thread of its own that can wait for the store.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Handle) -> T + Send + 'static,
) -> Result<T, NotShipping> {
    let handle = Handle::current();
    on_a_thread(move || work(&handle)).await
}

/// Does something on a thread of its own: it reads the disk.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotShipping> {
    spawn_blocking(work).await.map_err(|error| NotShipping::Disk(format!("the reading broke off: {error}")))
}

#[derive(Serialize, Deserialize)]
struct DiskMark {
    disk: DiskId,
}

/// The id of the disk, minted when nobody did it before.
fn disk(data: &Path) -> io::Result<DiskId> {
    let path = data.join(DISK);
    match fs::read_to_string(&path) {
        Ok(text) => return Ok(serde_json::from_str::<DiskMark>(&text)?.disk),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mark = DiskMark { disk: DiskId::from_bits(rand::rng().random()) };
    let mut file = Part::begin(&path, None)?;
    serde_json::to_writer(&mut file, &mark)?;
    file.write_all(b"\n")?;
    file.keep()?;
    Ok(mark.disk)
}
