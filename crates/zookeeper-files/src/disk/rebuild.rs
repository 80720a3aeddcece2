//! Rebuilds the tree at a point of the history from snapshots and logs.

use std::path::PathBuf;

use crate::disk::cursor::LogCursor;
use crate::disk::error::DiskError;
use crate::disk::live::unless_purged;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::merge::{Merge, survey};
use crate::disk::open::{OnProgress, open_snapshot};
use crate::disk::scan::{Scan, ScanItem};
use crate::ids::Zxid;
use crate::log::jump;
use crate::replay::{CommittedHistory, Replay, Tree};
use crate::snapshot::SnapshotError;

/// A point of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// After everything in the files.
    End,
    /// After this transaction.
    Zxid(Zxid),
    /// Before the first transaction later than this time, in milliseconds since 1970.
    Time(i64),
}

/// A rebuilt tree, and how sure it is.
#[derive(Debug)]
pub struct RebuiltTree {
    /// The tree, and the result of its digest checks.
    pub replay: Replay,
    /// The snapshot that the replay started from; `None` if it started from an empty tree.
    pub base: Option<PathBuf>,
    /// How many transactions were applied.
    pub applied: u64,
    /// How many were left out because they were never committed.
    pub dropped: u64,
    /// What is not certain, in sentences.
    pub doubts: Vec<String>,
    /// The transaction after which a digest proves that the tree is not the server's.
    pub differs: Option<Zxid>,
    /// The transaction of a snapshot's digest that does not match the content, if no log here shows why.
    pub unproved: Option<Zxid>,
    /// How many digests were compared.
    pub checked: u64,
}

/// Rebuilds the tree at a point from the files of one member, or of several of the same ensemble.
pub fn rebuild(members: &[MemberFiles], point: Point, progress: OnProgress<'_>) -> Result<RebuiltTree, DiskError> {
    from(members, point, None, false, progress)
}

/// Rebuilds the tree at a point, then continues to a later one. The journal has the changed znodes as they were at the first
/// point. `None` if the logs do not lead from one to the other.
pub fn rebuild_on(
    members: &[MemberFiles],
    (first, second): (Point, Point),
    progress: OnProgress<'_>,
) -> Result<Option<RebuiltTree>, DiskError> {
    match from(members, second, Some(first), false, progress) {
        Err(DiskError::NoTree(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Replays everything, starting from the oldest snapshot, to compare every digest.
pub fn replay_all(members: &[MemberFiles], progress: OnProgress<'_>) -> Result<RebuiltTree, DiskError> {
    from(members, Point::End, None, true, progress)
}

fn from(
    members: &[MemberFiles],
    point: Point,
    first: Option<Point>,
    oldest: bool,
    progress: OnProgress<'_>,
) -> Result<RebuiltTree, DiskError> {
    let mut doubts = Vec::new();
    let history = if members.len() > 1 {
        let surveyed = survey(members, None, progress)?;
        for range in surveyed.history.unknown() {
            doubts.push(format!("whether {range} were committed, these files do not tell; they are applied"));
        }
        Some(surveyed.history)
    } else {
        doubts.push("whether the last transactions were committed, one member's files do not tell".to_owned());
        None
    };
    let until = at(members, point, progress)?;
    let first = first.map(|first| at(members, first, progress)).transpose()?;
    let mut floor = oldest.then_some(Zxid(0));
    let (mut replay, mut base) = begin(members, first.unwrap_or(until), floor, &mut doubts)?;
    let mut before = 0;
    if let Some(first) = first {
        let led = run(members, history.as_ref(), first, &mut replay, progress)?;
        if !matches!(led, RunEnd::Whole(_)) || first > until || (first.0 < u64::MAX && replay.tree().last() < first) {
            return Err(DiskError::NoTree("the logs do not lead there".to_owned()));
        }
        replay.count_quotas();
        replay.begin_journal();
    }
    let RunSummary { applied, dropped, next, seen } = loop {
        match run(members, history.as_ref(), until, &mut replay, progress)? {
            RunEnd::Whole(outcome) => break outcome,
            // After missing transactions, continue from a later snapshot.
            RunEnd::Missing(_, next) if oldest && later(members, next) && replay.mismatch().is_none() => {
                before += replay.checked();
                floor = Some(Zxid(next.0 - 1));
                (replay, base) = begin(members, until, floor, &mut doubts)?;
            }
            RunEnd::Missing(last, next) => {
                return Err(DiskError::NoTree(format!(
                    "transactions are missing between {last:#} and {next:#}; up to {last:#} it can be"
                )));
            }
        }
    };
    let exact = matches!(point, Point::Zxid(_));
    if exact && replay.tree().last() < until {
        let last = replay.tree().last();
        return Err(DiskError::NoTree(next.map_or_else(
            || format!("the files end with {last:#}, before {until:#}"),
            |next| format!("{until:#} is no transaction of the history, which goes on from {last:#} with {next:#}"),
        )));
    }
    if replay.fuzzy_until() > replay.tree().last() {
        let (end, last) = (replay.fuzzy_until(), replay.tree().last());
        doubts.push(format!("the snapshot holds some transactions up to {end:#}, and the logs end with {last:#}"));
    }
    // Servers log before they apply: if the log ends here, the snapshot cannot be ahead of it.
    let unproved = replay.doubt().filter(|doubt| seen != Some(doubt.zxid));
    let differs = replay.mismatch().or(replay.doubt().filter(|_| unproved.is_none())).map(|mismatch| mismatch.zxid);
    if let Some(zxid) = differs {
        doubts.push(format!("after {zxid:#} the tree is not the one that the server had: a digest differs"));
    } else if let Some(doubt) = unproved {
        doubts.push(format!(
            "the snapshot's digest, after {:#}, is not that of its content: it holds the next transaction already, or it is \
             damaged; the log that tells is not here",
            doubt.zxid
        ));
    }
    doubts.extend(away(members, replay.tree().last()));
    replay.count_quotas();
    let checked = before + replay.checked();
    let unproved = unproved.filter(|_| differs.is_none()).map(|doubt| doubt.zxid);
    Ok(RebuiltTree { replay, base, applied, dropped, doubts, differs, unproved, checked })
}

/// The last transaction up to a point.
fn at(members: &[MemberFiles], point: Point, progress: OnProgress<'_>) -> Result<Zxid, DiskError> {
    match point {
        Point::End => Ok(Zxid(u64::MAX)),
        Point::Zxid(zxid) => Ok(zxid),
        Point::Time(time) => at_time(members, time, progress),
    }
}

/// Whether a snapshot contains everything before `next`.
fn later(members: &[MemberFiles], next: Zxid) -> bool {
    members.iter().flat_map(|member| &member.snapshots).any(|file| file.zxid.is_some_and(|zxid| zxid.0 >= next.0 - 1))
}

/// The newest sound snapshot that is not fuzzy past the point; with `least`, the oldest one from there.
fn begin(
    members: &[MemberFiles],
    until: Zxid,
    least: Option<Zxid>,
    doubts: &mut Vec<String>,
) -> Result<(Replay, Option<PathBuf>), DiskError> {
    let mut candidates: Vec<&DataFile> = members.iter().flat_map(|member| &member.snapshots).collect();
    candidates.sort_by_key(|file| std::cmp::Reverse(file.zxid));
    if let Some(least) = least {
        candidates.retain(|file| file.zxid.unwrap_or_default() >= least);
        candidates.reverse();
    }
    let mut fuzzy = None;
    for file in &candidates {
        let name = file.zxid.unwrap_or_default();
        if name > until {
            continue;
        }
        let opened = match open_snapshot(&file.path, members.first().and_then(|member| member.max_record)) {
            // A server also takes an older one.
            Err(DiskError::OtherFile { what, .. }) if members.iter().all(|member| !member.single) => {
                doubts.push(format!("{}: {what}; an older snapshot is taken", file.path.display()));
                continue;
            }
            other => unless_purged(other)?,
        };
        let Some(reader) = opened else { continue };
        match reader.and_then(|mut reader| Replay::of_snapshot(&mut reader, name)) {
            Ok(replay) if replay.fuzzy_until() <= until => return Ok((replay, Some(file.path.clone()))),
            Ok(replay) => fuzzy = fuzzy.or(Some((name, replay.fuzzy_until()))),
            Err(SnapshotError::Io(error)) => return Err(DiskError::io(&file.path, error)),
            Err(unsound) => doubts.push(format!("{}: {unsound}; an older snapshot is taken", file.path.display())),
        }
    }
    if let Some((name, end)) = fuzzy {
        let text =
            format!("the snapshot {name:#} holds some transactions up to {end:#}, and none before it is at hand");
        return Err(DiskError::NoTree(text));
    }
    let first = members.iter().filter_map(|member| member.logs.first()?.zxid).min();
    let from_the_beginning = first.is_none_or(|first| first.counter() == 1 && first.epoch() <= 1);
    if candidates.is_empty() && from_the_beginning && first.is_some() {
        return Ok((Replay::new(Tree::initial()), None));
    }
    Err(DiskError::NoTree(format!("no sound snapshot at or before {}", shown(until))))
}

fn shown(zxid: Zxid) -> String {
    if zxid.0 == u64::MAX { "the end".to_owned() } else { format!("{zxid:#}") }
}

/// How far the logs lead.
enum RunEnd {
    /// To the point, or to their end.
    Whole(RunSummary),
    /// To missing transactions between these two.
    Missing(Zxid, Zxid),
}

struct RunSummary {
    applied: u64,
    dropped: u64,
    /// The first transaction after the point.
    next: Option<Zxid>,
    /// The last transaction in a log up to the point.
    seen: Option<Zxid>,
}

fn run(
    members: &[MemberFiles],
    history: Option<&CommittedHistory>,
    until: Zxid,
    replay: &mut Replay,
    progress: OnProgress<'_>,
) -> Result<RunEnd, DiskError> {
    let from = replay.tree().last();
    let mut merge = Merge::after(from, members, history, progress)?;
    let mut applied = 0;
    let (mut next, mut seen) = (None, None);
    while let Some(zxid) = merge.advance(progress)? {
        if zxid > until {
            next = Some(zxid);
            break;
        }
        seen = Some(zxid);
        let last = replay.tree().last();
        if zxid <= last {
            continue;
        }
        if let (Some(_), true) = (jump(last, zxid), last.0 > 0) {
            return Ok(RunEnd::Missing(last, zxid));
        }
        if let Some(record) = merge.record() {
            replay.apply(&record);
            applied += 1;
        }
    }
    Ok(RunEnd::Whole(RunSummary { applied, dropped: merge.dropped(), next, seen }))
}

/// The last transaction before the first that is later than `time`.
fn at_time(members: &[MemberFiles], time: i64, progress: OnProgress<'_>) -> Result<Zxid, DiskError> {
    let mut best = None;
    for member in members {
        let mut begun = Vec::new();
        for file in &member.logs {
            begun.push(first_time(file, member.max_record)?.is_some_and(|first| first <= time));
        }
        // Only the last file that begins before the point can contain it.
        let Some(at) = begun.iter().rposition(|&begun| begun) else { continue };
        let mut cursor = LogCursor::new(&member.logs[at..=at], member.max_record, progress)?;
        while let (Some(zxid), Some(Ok(record))) = (cursor.zxid(), cursor.record()) {
            if record.header.time > time {
                break;
            }
            best = best.max(Some(zxid));
            cursor.advance(progress)?;
        }
    }
    best.ok_or_else(|| DiskError::NoTree("no transaction at hand is as old".to_owned()))
}

fn first_time(file: &DataFile, limit: Option<usize>) -> Result<Option<i64>, DiskError> {
    let mut scan = Scan::one(&file.path, limit);
    while let Some(item) = scan.next(&mut |_| ())? {
        match item {
            ScanItem::Record(record) => return Ok(Some(record.header.time)),
            ScanItem::Unpackable(error) => return Err(DiskError::io(&file.path, error)),
            ScanItem::Damage(_) | ScanItem::Purged | ScanItem::End { .. } => {}
        }
    }
    Ok(None)
}

/// A dataDir without its logs is outdated, and does not show it.
fn away(members: &[MemberFiles], last: Zxid) -> Option<String> {
    let split = members.iter().all(|member| !member.single && member.logs.is_empty());
    (split && last.0 > 0).then(|| {
        format!(
            "there is no log here: this is the tree of a snapshot, {last:#}, and what came after it is missing; if the logs \
             have a folder of their own (dataLogDir), name it too: DATA,LOG"
        )
    })
}
