//! Which files of a member's data folder go: the rule of the purge that an agent does in place of its server, where there is an archive.
//!
//! **The floor** is what ZooKeeper's own purge keeps (`PurgeTxnLog`): the newest snapshots that are whole, three at least, and every
//! log that may hold what follows the oldest of them, which is also what a leader syncs a follower with by DIFF. Where fewer are
//! whole, nothing goes.
//!
//! **A member that ships** also keeps each log that is not wholly archived, and the one with its last segment: by that an agent that
//! starts again sees that the next one follows. While its archive ends in an epoch that is over, it keeps the snapshots since then as
//! well: whether the end of an epoch was committed, the gate tells by the names of snapshots, and only if none of them is missing
//! (`gate`). A snapshot that stays keeps the log behind it, so that each one can be replayed, and snapshots go before the log, oldest
//! first.
//!
//! **Serving comes first.** With less than a tenth of the volume free, or 4 GiB if that is less, or less than the next snapshot needs, what
//! is kept beyond the floor goes, oldest first, and no more than is needed: a server ends when it
//! cannot write, and without the next snapshot nothing else becomes free. The floor is then that of three snapshots, also where more are
//! to stay: with ten of them a server whose log was archived to the end did not start any more. What a full volume broke off goes first; of packed snapshots, which ZooKeeper may read all the same, only
//! where enough are whole, and never the newest. Snapshots go before logs: without one, the end of an
//! epoch may stay unproved; without a log its transactions are gone. What is lost to the archive is named.
//!
//! What is not known keeps: how far the archive reaches, how much is free.

use std::path::PathBuf;

use zookeeper_files::ids::{Zxid, ZxidRange};

/// ZooKeeper keeps no fewer snapshots either.
pub const LEAST: usize = 3;
/// In bytes: a tenth of a large volume is more than any server needs. On one of 3 TiB that others filled, 284 GiB were free, and what was
/// not archived went for the sake of some KiB.
const ENOUGH: u64 = 4 << 30;

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where it is.
    pub path: PathBuf,
    /// The zxid in its name.
    pub first: Zxid,
    /// Its last transaction, where somebody has looked: otherwise it ends somewhere before the next log.
    pub last: Option<Zxid>,
    /// The room that it takes.
    pub bytes: u64,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it is.
    pub path: PathBuf,
    /// The zxid in its name.
    pub zxid: Zxid,
    /// Whether it can be read to its end.
    pub whole: bool,
    /// Whether it is known not to be whole, and nobody writes it any more.
    pub torn: bool,
    /// Whether it is packed. ZooKeeper may be content with less of such a one than its end.
    pub packed: bool,
    /// The room that it takes.
    pub bytes: u64,
}

/// All logs and snapshots of a member, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The logs.
    pub logs: Vec<Log>,
    /// The snapshots.
    pub snapshots: Vec<Snapshot>,
}

/// What a member owes to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Others ship.
    Nothing,
    /// It ships its log.
    Ships {
        /// The last segment that the store has of it, as far as that is known.
        archived: Option<ZxidRange>,
        /// The epoch in which its server serves, if it does.
        epoch: Option<u64>,
    },
}

/// The volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it.
    pub size: u64,
    /// What is free for the server.
    pub free: u64,
}

/// A file that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    /// Where it is.
    pub path: PathBuf,
    /// What it has and no archive that the member knows of: its log was not shipped.
    pub lost: Option<ZxidRange>,
}

/// What goes, in the order in which it has to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// The files. Where one cannot be deleted, the later ones stay.
    pub goes: Vec<Going>,
    /// Bytes that stay beyond the floor, since they are not archived.
    pub kept: u64,
}

impl Room {
    /// What has to become free: a tenth, but no more than 4 GiB, or room for the next snapshot, which is a little larger than the newest one. A larger one than a
    /// third of the volume would never fit beside those that stay.
    pub fn lacks(self, snapshot: u64) -> u64 {
        let next = (snapshot + snapshot / 4).min(self.size / 3);
        (self.size / 10).min(ENOUGH).max(next).saturating_sub(self.free)
    }
}

/// What goes of a member's files, of which the newest `keep` snapshots stay while there is room for them.
pub fn purge(files: &Files, keep: usize, duty: Duty, room: Option<Room>) -> Purge {
    let lacks = room.map_or(0, |room| room.lacks(files.newest()));
    // So many snapshots and logs would go if nothing had to be archived and there was room.
    let (wanted, ends) = files.mark(keep).map_or((0, 0), |mark| (files.before(mark), files.begins(mark)));
    let mark = files.mark(if lacks > 0 { LEAST } else { keep });
    // What a full volume broke off, again at each start of the server, is of no use to anybody.
    let (mut broken, mut freed) = (Vec::new(), 0);
    for snapshot in files.broken() {
        if freed < lacks && mark.is_none_or(|mark| snapshot.zxid >= mark) {
            freed += snapshot.bytes;
            broken.push(Going { path: snapshot.path.clone(), lost: None });
        }
    }
    let lacks = lacks.saturating_sub(freed);
    let Some(mark) = mark else { return Purge { goes: broken, kept: 0 } };
    let below = files.before(mark);
    let needless = files.needless(duty).min(wanted);
    // The fewest snapshots with which enough goes, or all.
    let steps = (needless..=below).map(|snapshots| files.without(snapshots, mark, duty));
    let mut step = Step::default();
    for next in steps {
        step = next;
        if step.freed >= lacks {
            break;
        }
    }
    let floor = files.begins(mark);
    let mut lost = step.logs;
    while lost < floor && step.freed < lacks {
        step.freed += files.logs[lost].bytes;
        lost += 1;
    }
    let snapshots = files.snapshots[..step.snapshots].iter();
    let snapshots = snapshots.map(|snapshot| Going { path: snapshot.path.clone(), lost: None });
    let logs = files.logs[..lost]
        .iter()
        .enumerate()
        .map(|(at, log)| Going { path: log.path.clone(), lost: files.unarchived(at, duty) });
    let goes = broken.into_iter().chain(snapshots).chain(logs).collect();
    let logs = files.logs[lost..ends.max(lost)].iter().map(|log| log.bytes);
    let kept = files.snapshots[step.snapshots..wanted.max(step.snapshots)]
        .iter()
        .map(|snapshot| snapshot.bytes)
        .chain(logs)
        .sum();
    Purge { goes, kept }
}

/// How many go, and what that brings.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    snapshots: usize,
    /// The archive has more than them.
    logs: usize,
    freed: u64,
}

impl Files {
    /// How large the newest snapshot is.
    pub fn newest(&self) -> u64 {
        self.snapshots.iter().rev().find(|snapshot| snapshot.whole).map_or(0, |snapshot| snapshot.bytes)
    }

    /// What was broken off and is of no use to any server.
    fn broken(&self) -> impl Iterator<Item = &Snapshot> {
        let (enough, newest) = (self.mark(LEAST).is_some(), self.snapshots.last());
        let useless = move |snapshot: &&Snapshot| !snapshot.packed || (enough && Some(*snapshot) != newest);
        self.snapshots.iter().filter(|snapshot| snapshot.torn).filter(useless)
    }

    /// The oldest of the newest snapshots that are whole.
    fn mark(&self, keep: usize) -> Option<Zxid> {
        let whole = self.snapshots.iter().rev().filter(|snapshot| snapshot.whole);
        whole.map(|snapshot| snapshot.zxid).nth(keep.max(LEAST) - 1)
    }

    /// How many snapshots are older than this one.
    fn before(&self, mark: Zxid) -> usize {
        self.snapshots.partition_point(|snapshot| snapshot.zxid < mark)
    }

    /// How many snapshots prove nothing to the gate.
    fn needless(&self, duty: Duty) -> usize {
        match duty {
            Duty::Nothing => self.snapshots.len(),
            Duty::Ships { archived: None, .. } => 0,
            Duty::Ships { archived: Some(ZxidRange { last: archived, .. }), epoch } => {
                // Of the epoch that lasts, no end has to be proved yet.
                if epoch.is_some_and(|epoch| archived.epoch() >= epoch) {
                    return self.snapshots.len();
                }
                self.snapshots.partition_point(|snapshot| snapshot.zxid <= archived).saturating_sub(1)
            }
        }
    }

    /// Where the logs begin that may hold what follows a snapshot.
    fn begins(&self, snapshot: Zxid) -> usize {
        self.logs.partition_point(|log| log.first <= snapshot).saturating_sub(1)
    }

    /// These oldest snapshots go, and the archived logs that nothing needs then.
    fn without(&self, snapshots: usize, mark: Zxid, duty: Duty) -> Step {
        let oldest = self.snapshots.get(snapshots).map_or(mark, |snapshot| snapshot.zxid.min(mark));
        let floor = self.begins(oldest);
        let logs = (0..floor).take_while(|at| self.is_archived(*at, duty)).count();
        let freed = self.snapshots[..snapshots].iter().map(|snapshot| snapshot.bytes);
        let freed = freed.chain(self.logs[..logs].iter().map(|log| log.bytes)).sum();
        Step { snapshots, logs, freed }
    }

    /// No transaction of a log is behind this one. Logs are named by their first transaction, and zxids only grow from one to the next.
    fn end(&self, at: usize) -> Zxid {
        let log = &self.logs[at];
        let next = self.logs[at..].iter().find(|next| next.first > log.first);
        log.last.unwrap_or_else(|| next.map_or(Zxid(u64::MAX), |next| Zxid(next.first.0 - 1)))
    }

    fn is_archived(&self, at: usize, duty: Duty) -> bool {
        match duty {
            Duty::Nothing => true,
            Duty::Ships { archived, .. } => archived.is_some_and(|archived| archived.first > self.end(at)),
        }
    }

    /// What a log may have and the archive has not.
    fn unarchived(&self, at: usize, duty: Duty) -> Option<ZxidRange> {
        let Duty::Ships { archived, .. } = duty else { return None };
        let (first, last) = (self.logs[at].first, self.end(at));
        let first = archived.map_or(first, |archived| first.max(Zxid(archived.last.0.saturating_add(1))));
        (first <= last).then_some(ZxidRange { first, last })
    }
}

#[cfg(test)]
mod tests;
