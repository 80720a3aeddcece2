//! Deletes this member's old logs and snapshots in place of its server, where there is an archive: `archive::purge` says which.
//!
//! Invariants: nothing is deleted before the server has served since this agent's start, since a start reads these files, unless the volume
//! is nearly full for a while, so that it may never come to serve: no start needs what goes; nor where the folder cannot be listed wholly; and nothing but regular files that the rule named. For that no write, store or API server is
//! needed. What was deleted before a crash is gone, and the next round finds the rest.

mod whole;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use zookeeper_files::disk::{DataFile, DiskError, MemberFiles, ScanItem};
use zookeeper_files::ids::{Zxid, ZxidRange};

use crate::archive::purge::{Duty, Files, Log, Room, Snapshot, purge};
use crate::model::archive::{ArchiveConfig, Purging};
use crate::model::truth::{ArchiveReason, GivenUp, ServerState};

use super::archive::{Folders, on_a_thread, told};
use super::archiving::{Archiving, Purged};
use super::member::{MOMENT, Member};
use whole::{Known, is_packed};

/// How soon again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one look at the volume to the next.
    pub look: Duration,
    /// What counts as an hour from one purge to the next.
    pub hour: Duration,
}

/// A volume of a few gigabytes takes longer to fill up from a tenth, and the room of a deleted file that somebody reads is free later.
pub const PACE: Pace = Pace { look: Duration::from_secs(10), hour: Duration::from_hours(1) };

/// A server that writes a snapshot writes to it all the time.
const LEFT: Duration = Duration::from_mins(2);
/// After so many looks a server that has not served may need room for it. Until then the shipper has found out what is archived.
const STARVED: u32 = 6;

/// What is remembered from one round to the next.
#[derive(Default)]
struct Memory {
    served: bool,
    /// What was to be purged when that was last said. While an archive is taken out of the spec, the server that still runs does not purge
    /// before it is restarted.
    purging: Option<Purging>,
    /// How many looks in a row found a volume that is nearly full beside a server that has not served.
    starved: u32,
    last: Option<Instant>,
    given_up: Option<Lost>,
    unarchived: Option<u64>,
    trouble: Option<String>,
    /// Of which archive it is said.
    place: Option<String>,
    known: Arc<Known>,
}

/// What was given up last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lost {
    range: GivenUp,
    /// Where the archive ended then.
    archived: Option<Zxid>,
}

/// Purges for as long as the agent runs.
pub async fn watch(member: Arc<Member>, folders: Folders, pace: Pace) {
    let mut memory = Memory::default();
    loop {
        sleep(pace.look).await;
        let seed = folders.seed.clone();
        match on_a_thread(move || told(&seed)).await.and_then(|told| told) {
            Ok(Some(config)) => {
                memory.purging = config.purge;
                look(&member, &folders, Some(&config), pace, &mut memory).await;
            }
            Ok(None) => look(&member, &folders, None, pace, &mut memory).await,
            Err(error) => memory.wrong(Some(error.to_string())),
        }
        member.archiving.purged(memory.said());
    }
}

/// Looks at the volume, and purges if it is time.
async fn look(
    member: &Arc<Member>,
    folders: &Folders,
    config: Option<&ArchiveConfig>,
    pace: Pace,
    memory: &mut Memory,
) {
    let target = config.map(|config| config.place.described());
    if memory.place != target {
        let known = Arc::clone(&memory.known);
        let Memory { served, purging, last, .. } = *memory;
        *memory = Memory { served, purging, last, known, place: target.clone(), ..Memory::default() };
    }
    let Some(Purging { hours, snapshots }) = memory.purging else { return memory.wrong(None) };
    let folder = folders.data.join("version-2");
    let (volume, known) = (folder.clone(), Arc::clone(&memory.known));
    let filling = on_a_thread(move || is_filling(&volume, &known)).await.unwrap_or_default();
    if !filling && memory.last.is_some_and(|last| last.elapsed() < pace.hour.saturating_mul(hours)) {
        return;
    }
    let epoch = match member.server(MOMENT).await {
        ServerState::Serving(serving) => Some(serving.epoch),
        _ => None,
    };
    memory.served |= epoch.is_some();
    memory.starved = if filling && !memory.served { memory.starved.saturating_add(1) } else { 0 };
    if !memory.served && memory.starved < STARVED {
        return;
    }
    let archived = target.as_ref().and_then(|target| archived(&member.archiving, target));
    let ships = config.is_some_and(|config| config.members.contains(&member.id));
    let duty = if ships { Duty::Ships { archived, epoch } } else { Duty::Nothing };
    let keep = usize::try_from(snapshots).unwrap_or(usize::MAX);
    let known = Arc::clone(&memory.known);
    let done = on_a_thread(move || round(&folder, keep, duty, room(&folder), &known)).await;
    let done = done.map_err(|error| error.to_string());
    let archived = archived.map(|segment| segment.last);
    memory.reached(archived);
    match done.and_then(|done| done) {
        Ok(Done { lost, kept, trouble }) => {
            // What went wrong is tried again at the next look.
            memory.last = trouble.is_none().then(Instant::now);
            memory.unarchived = ships.then_some(kept);
            if let Some(range) = lost {
                memory.lost(range, archived);
            }
            memory.wrong(trouble);
        }
        Err(trouble) => memory.wrong(Some(trouble)),
    }
}

/// The last segment of this member's log that the store has said to have: `None` where the archive may be another one, or not this
/// disk's.
fn archived(archiving: &Archiving, place: &str) -> Option<ZxidRange> {
    let state = archiving.shipped().filter(|state| state.place.as_deref() == Some(place))?;
    match state.reason {
        ArchiveReason::Shipping
        | ArchiveReason::TargetUnreachable
        | ArchiveReason::AccessDenied
        | ArchiveReason::NoCredentials
        | ArchiveReason::NoCa
        | ArchiveReason::NoKey => archiving.segment(),
        ArchiveReason::NoSuchBucket
        | ArchiveReason::Conflict
        | ArchiveReason::NotEncrypted
        | ArchiveReason::ArchiveDamaged
        | ArchiveReason::DiskUnreadable
        | ArchiveReason::Unknown => None,
    }
}

impl Memory {
    fn said(&self) -> Purged {
        Purged {
            given_up: self.given_up.map(|lost| lost.range),
            unarchived: self.unarchived,
            trouble: self.trouble.clone(),
        }
    }

    fn wrong(&mut self, trouble: Option<String>) {
        if let Some(trouble) = trouble.as_ref().filter(|trouble| self.trouble.as_ref() != Some(*trouble)) {
            warn!(trouble, "logs and snapshots are not purged");
        }
        self.trouble = trouble;
    }

    /// A range more is lost. It is one with the one before, where nothing was archived in between.
    fn lost(&mut self, range: ZxidRange, archived: Option<Zxid>) {
        let before = self.given_up.filter(|before| before.archived == archived && before.range.last < range.first);
        let first = before.map_or(range.first, |before| before.range.first);
        self.given_up = Some(Lost { range: GivenUp { first, last: range.last }, archived });
    }

    /// A segment that was on its way when its log was deleted has arrived.
    fn reached(&mut self, archived: Option<Zxid>) {
        let (Some(lost), Some(archived)) = (&mut self.given_up, archived) else { return };
        if archived == lost.range.last {
            self.given_up = None;
        } else if archived >= lost.range.first && archived < lost.range.last {
            lost.range.first = Zxid(archived.0 + 1);
        }
    }
}

/// What came of one round.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    lost: Option<ZxidRange>,
    kept: u64,
    /// Why it ended before its end.
    trouble: Option<String>,
}

/// Deletes what the rule names. Where one file cannot be deleted, the later ones stay.
fn round(folder: &Path, keep: usize, duty: Duty, room: Option<Room>, known: &Known) -> Result<Done, String> {
    let mut files = files(folder, known)?;
    let planned = purge(&files, keep, duty, room);
    // Only what would be given up is worth the reading: it is named exactly.
    let lost: BTreeSet<_> = planned.goes.iter().filter(|going| going.lost.is_some()).map(|going| &going.path).collect();
    for log in files.logs.iter_mut().filter(|log| lost.contains(&log.path)) {
        log.last = last(&log.path);
    }
    let planned = purge(&files, keep, duty, room);
    let mut done = Done { kept: planned.kept, ..Done::default() };
    for going in planned.goes {
        let path = going.path.display();
        if let Err(error) = delete(&going.path) {
            done.trouble = Some(format!("cannot delete {path}: {error}"));
            break;
        }
        if let Some(range) = going.lost {
            warn!(%path, %range, "deleted though it is in no archive: the volume is nearly full");
        } else {
            info!(%path, "purged");
        }
        done.lost = match (done.lost, going.lost) {
            (Some(before), Some(range)) => Some(ZxidRange { first: before.first, last: range.last }),
            (before, range) => range.or(before),
        };
    }
    Ok(done)
}

/// Deletes a regular file, and nothing else of that name. What somebody else has deleted meanwhile is gone.
fn delete(path: &Path) -> io::Result<()> {
    let done = fs::symlink_metadata(path).and_then(|metadata| {
        if metadata.is_file() { fs::remove_file(path) } else { Err(io::Error::other("it is no regular file")) }
    });
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// All logs and snapshots of a data folder; nothing where there are none.
fn files(folder: &Path, known: &Known) -> Result<Files, String> {
    let found = match MemberFiles::find(&folder.to_string_lossy()) {
        Err(DiskError::Missing(_) | DiskError::Unused(_)) => return Ok(Files::default()),
        found => found.map_err(|error| error.to_string())?,
    };
    if found.data.as_deref() != Some(folder) {
        return Err(format!("its files are not in {}", folder.display()));
    }
    let named = |files: Vec<DataFile>| files.into_iter().filter_map(|file| Some((file.path, file.zxid?)));
    let logs = named(found.logs).map(|(path, first)| Ok(Log { bytes: taken(&path)?, path, first, last: None }));
    let snapshots = named(found.snapshots).map(|(path, zxid)| {
        let packed = is_packed(&path);
        let whole = match known.whole(&path) {
            Ok(whole) => Some(whole),
            // A bad sector in one of them is no reason to purge nothing.
            Err(_) if packed => None,
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let left = fs::metadata(&path).and_then(|metadata| metadata.modified()).is_ok_and(is_left);
        let (torn, whole) = (whole == Some(false) && left, whole == Some(true));
        Ok(Snapshot { bytes: taken(&path)?, path, zxid, whole, torn, packed })
    });
    let snapshots = snapshots.collect::<Result<Vec<_>, String>>()?;
    known.only(|path| snapshots.iter().any(|snapshot| snapshot.path == path));
    Ok(Files { logs: logs.collect::<Result<_, String>>()?, snapshots })
}

/// Whether nobody has written to a file for a while.
fn is_left(written: SystemTime) -> bool {
    written.elapsed().is_ok_and(|age| age >= LEFT)
}

/// The room that a regular file takes. What a server has allocated ahead takes none.
fn taken(path: &Path) -> Result<u64, String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
    if !metadata.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    Ok(metadata.blocks().saturating_mul(512))
}

/// Whether a volume has too little room for its server.
fn is_filling(folder: &Path, known: &Known) -> bool {
    let newest = files(folder, known).map_or(0, |files| files.newest());
    room(folder).is_some_and(|room| room.lacks(newest) > 0)
}

/// What is free on the volume; `None` where that cannot be seen.
fn room(folder: &Path) -> Option<Room> {
    let room = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Some(Room { size: bytes(room.f_blocks), free: bytes(room.f_bavail) })
}

/// The last transaction of a log; `None` where it cannot be read.
fn last(path: &Path) -> Option<Zxid> {
    let (files, log) = (MemberFiles::default(), DataFile { path: path.to_owned(), zxid: None });
    let mut scan = files.scan(&[log]);
    loop {
        match scan.next(&mut |_| ()).ok()?? {
            ScanItem::End { last, .. } => return last,
            ScanItem::Record(_) | ScanItem::Damage(_) => {}
            ScanItem::Unpackable(_) | ScanItem::Purged => return None,
        }
    }
}

#[cfg(test)]
mod tests;
