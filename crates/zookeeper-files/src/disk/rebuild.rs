//! Rebuilds the tree at a point of the history from snapshots and logs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::disk::base::{Base, Bases, Preference};
use crate::disk::cursor::LogCursor;
use crate::disk::error::DiskError;
use crate::disk::live::unless_purged;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::merge::{Merge, survey};
use crate::disk::open::{OnProgress, open_snapshot};
use crate::disk::scan::{Scan, ScanItem};
use crate::ids::Zxid;
use crate::log::jump;
use crate::replay::{CommittedHistory, Replay};

/// How many transactions after the point are asked for a digest: old releases write none.
const BEYOND: u64 = 1000;

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
    /// The snapshots that were left out, because the first digest after them differs.
    pub passed_over: BTreeSet<PathBuf>,
    /// How many transactions were applied.
    pub applied: u64,
    /// How many were left out because they were never committed.
    pub dropped: u64,
    /// What is not certain, in sentences.
    pub doubts: Vec<String>,
    /// The transaction after which a digest proves that the tree is not the server's.
    pub differs: Option<Zxid>,
    /// The transaction of a snapshot's digest that does not match the content, if no log here shows why; or the name of a
    /// snapshot of a member that held what was never committed, if no digest shows that this one does not.
    pub unproved: Option<Zxid>,
    /// How many digests were compared.
    pub checked: u64,
    /// When its last transaction was, in milliseconds since 1970, if a log here has it.
    pub time: Option<i64>,
    /// The body of the record of the transaction that the point names, if a log here has it: see
    /// [`Record::decode`](crate::log::Record::decode).
    pub body: Option<Box<[u8]>>,
    /// Whether the point is a time after all that is in the files: what belongs before it may be missing.
    pub beyond: bool,
}

/// Rebuilds the tree at a point from the files of one member, or of several of the same ensemble.
pub fn rebuild(members: &[MemberFiles], point: Point, progress: OnProgress<'_>) -> Result<RebuiltTree, DiskError> {
    from(members, point, JournalFrom::Never, Preference::Newest, progress)
}

/// Rebuilds the tree at a point, then continues to a later one. The journal has the changed znodes as they were at the first
/// point. `None` if the logs do not lead from one to the other.
pub fn rebuild_on(
    members: &[MemberFiles],
    (first, second): (Point, Point),
    progress: OnProgress<'_>,
) -> Result<Option<RebuiltTree>, DiskError> {
    match from(members, second, JournalFrom::Point(first), Preference::Newest, progress) {
        Err(DiskError::NoTree(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Rebuilds the tree after one transaction. The journal has the znodes that it changed as they were just before it.
pub fn rebuild_around(members: &[MemberFiles], zxid: Zxid, progress: OnProgress<'_>) -> Result<RebuiltTree, DiskError> {
    from(members, Point::Zxid(zxid), JournalFrom::JustBefore, Preference::Newest, progress)
}

/// Replays everything, starting from the oldest snapshot, to compare every digest.
pub fn replay_all(members: &[MemberFiles], progress: OnProgress<'_>) -> Result<RebuiltTree, DiskError> {
    from(members, Point::End, JournalFrom::Never, Preference::Oldest, progress)
}

/// The tree that a server of these files alone has after its start: from its newest snapshot, whatever that holds, and with
/// all that is in its logs.
pub fn started(member: &MemberFiles, progress: OnProgress<'_>) -> Result<RebuiltTree, DiskError> {
    from(std::slice::from_ref(member), Point::End, JournalFrom::Never, Preference::AsServers, progress)
}

/// Where the journal of a replay begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JournalFrom {
    /// There is none.
    Never,
    /// At an earlier point.
    Point(Point),
    /// Just before the transaction that the point names.
    JustBefore,
}

fn from(
    members: &[MemberFiles],
    point: Point,
    journal: JournalFrom,
    preference: Preference,
    progress: OnProgress<'_>,
) -> Result<RebuiltTree, DiskError> {
    let mut doubts = Vec::new();
    let committed = members.iter().all(|member| member.committed);
    let history = if members.len() > 1 {
        let surveyed = survey(members, None, progress)?;
        for range in surveyed.history.unknown().into_iter().filter(|_| !committed) {
            doubts.push(format!("whether {range} were committed, these files do not tell; they are applied"));
        }
        Some(surveyed.history)
    } else if committed {
        None
    } else {
        doubts.push("whether the last transactions were committed, one member's files do not tell".to_owned());
        None
    };
    let until = at(members, point, progress)?;
    let first = match journal {
        JournalFrom::Never => None,
        JournalFrom::Point(first) => Some(at(members, first, progress)?),
        JournalFrom::JustBefore => Some(Zxid(until.0.saturating_sub(1))),
    };
    let just_before = journal == JournalFrom::JustBefore;
    let mut bases = Bases::new(members, history.as_ref(), preference);
    let oldest = preference == Preference::Oldest;
    let way = Way { members, history: history.as_ref(), point, until, first, just_before, oldest };
    let before = doubts.len();
    loop {
        match way.go(&bases, doubts.clone(), progress) {
            Ok(WayEnd { wrong: Some(path), .. }) if bases.tries_others => {
                let text = "it is not what the servers had: a digest after it differs; another snapshot is taken";
                doubts.push(format!("{}: {text}", path.display()));
                bases.leave_out(path);
            }
            Ok(end) => return Ok(RebuiltTree { passed_over: bases.left_out().clone(), ..end.rebuilt }),
            // No other leads there: it is the logs.
            Err(DiskError::NoTree(_)) if !bases.left_out().is_empty() => {
                doubts.truncate(before);
                bases.settle();
            }
            Err(error) => return Err(error),
        }
    }
}

/// Between which points a replay leads.
struct Way<'a> {
    members: &'a [MemberFiles],
    history: Option<&'a CommittedHistory>,
    point: Point,
    until: Zxid,
    /// Where the journal begins.
    first: Option<Zxid>,
    /// Whether that is just before the point. The first of an epoch has no transaction with the zxid before its own.
    just_before: bool,
    /// Whether it begins as early as it can.
    oldest: bool,
}

/// Where it led.
struct WayEnd {
    rebuilt: RebuiltTree,
    /// The snapshot that it started from, if the first digest after it differs.
    wrong: Option<PathBuf>,
}

impl Way<'_> {
    fn go(&self, bases: &Bases<'_>, mut doubts: Vec<String>, progress: OnProgress<'_>) -> Result<WayEnd, DiskError> {
        let (members, until) = (self.members, self.until);
        let mut floor = self.oldest.then_some(Zxid(0));
        let (mut replay, mut base) = bases.begin(self.first.unwrap_or(until), floor, &mut doubts)?;
        let mut before = 0;
        if let Some(first) = self.first {
            let led = run(members, self.history, first, &mut replay, progress)?;
            let short = first.0 < u64::MAX && replay.tree().last() < first && !self.just_before;
            if first > until || short || !matches!(led, RunEnd::Whole(_)) {
                return Err(match led {
                    RunEnd::Missing(last, next) if self.just_before => missing(last, next),
                    _ => DiskError::NoTree("the logs do not lead there".to_owned()),
                });
            }
            if self.just_before && replay.fuzzy_until() > first {
                let text = format!("the snapshot may hold {until:#} already, and none before it is at hand");
                return Err(DiskError::NoTree(text));
            }
            replay.count_quotas();
            replay.begin_journal();
        }
        let RunSummary { applied, dropped, next, seen, time, body } = loop {
            match run(members, self.history, until, &mut replay, progress)? {
                RunEnd::Whole(outcome) => break outcome,
                // After missing transactions, continue from a later snapshot.
                RunEnd::Missing(_, next) if self.oldest && bases.later(next) && replay.mismatch().is_none() => {
                    before += replay.checked();
                    floor = Some(Zxid(next.0 - 1));
                    (replay, base) = bases.begin(until, floor, &mut doubts)?;
                }
                RunEnd::Missing(last, next) => return Err(missing(last, next)),
            }
        };
        // The last transaction up to a time is one of them, too.
        let exact = !matches!(self.point, Point::End);
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
        let mut shown = Shown::of(&replay, seen);
        let wrong = self.is_wrong(base.as_ref(), &replay, next, progress)?;
        if let Some(base) = base.as_ref().filter(|base| base.suspect && !replay.confirmed() && !wrong) {
            doubts.push(format!(
                "{}: its member has a snapshot of what was never committed, and no digest after this one shows that it holds \
                 nothing of that",
                base.file.path.display()
            ));
            shown.unproved = shown.unproved.or(base.file.zxid);
        } else {
            doubts.extend(shown.says());
        }
        doubts.extend(away(members, replay.tree().last()));
        replay.count_quotas();
        let checked = before + replay.checked();
        let base = base.map(|base| base.file.path);
        let wrong = base.clone().filter(|_| wrong);
        let Shown { differs, unproved } = shown;
        let passed_over = BTreeSet::new();
        let later = matches!(self.point, Point::Time(wanted) if time.is_none_or(|time| time < wanted));
        let beyond = later && next.is_none();
        let rebuilt = RebuiltTree {
            replay,
            base,
            passed_over,
            applied,
            dropped,
            doubts,
            differs,
            unproved,
            checked,
            time,
            body,
            beyond,
        };
        Ok(WayEnd { rebuilt, wrong })
    }

    /// Whether the first digest after the snapshot differs: it is the snapshot that is wrong, and not a transaction.
    fn is_wrong(
        &self,
        base: Option<&Base>,
        replay: &Replay,
        next: Option<Zxid>,
        progress: OnProgress<'_>,
    ) -> Result<bool, DiskError> {
        match base {
            Some(_) if replay.mismatch().is_some() => Ok(!replay.confirmed()),
            // The point is before the first digest: what comes after it in the logs tells as well.
            Some(base) if next.is_some() && !replay.confirmed() => self.differs_beyond(base, progress),
            _ => Ok(false),
        }
    }

    fn differs_beyond(&self, base: &Base, progress: OnProgress<'_>) -> Result<bool, DiskError> {
        let name = base.file.zxid.unwrap_or_default();
        let limit = self.members.first().and_then(|member| member.max_record);
        let Some(reader) = unless_purged(open_snapshot(&base.file.path, limit))? else { return Ok(false) };
        let Ok(mut replay) = reader.and_then(|mut reader| Replay::of_snapshot(&mut reader, name)) else {
            return Ok(false);
        };
        let mut merge = Merge::after(name, self.members, self.history, progress)?;
        let mut beyond = 0;
        while let Some(zxid) = merge.advance(progress)? {
            let last = replay.tree().last();
            if zxid <= last {
                continue;
            }
            beyond += u64::from(zxid > replay.fuzzy_until());
            if (jump(last, zxid).is_some() && last.0 > 0) || beyond > BEYOND {
                break;
            }
            if let Some(record) = merge.record() {
                replay.apply(&record);
            }
            if replay.confirmed() || replay.mismatch().is_some() {
                break;
            }
        }
        Ok(replay.mismatch().is_some())
    }
}

fn missing(last: Zxid, next: Zxid) -> DiskError {
    DiskError::NoTree(format!("transactions are missing between {last:#} and {next:#}; up to {last:#} it can be"))
}

/// What the digests show.
struct Shown {
    differs: Option<Zxid>,
    unproved: Option<Zxid>,
}

impl Shown {
    fn of(replay: &Replay, seen: Option<Zxid>) -> Self {
        // Servers log before they apply: if the log ends here, the snapshot cannot be ahead of it.
        let unproved = replay.doubt().filter(|doubt| seen != Some(doubt.zxid));
        let differs = replay.mismatch().or(replay.doubt().filter(|_| unproved.is_none())).map(|mismatch| mismatch.zxid);
        Self { differs, unproved: unproved.filter(|_| differs.is_none()).map(|doubt| doubt.zxid) }
    }

    fn says(&self) -> Option<String> {
        if let Some(zxid) = self.differs {
            return Some(format!("after {zxid:#} the tree is not the one that the server had: a digest differs"));
        }
        let zxid = self.unproved?;
        Some(format!(
            "the snapshot's digest, after {zxid:#}, is not that of its content: it holds the next transaction already, or it is \
             damaged; the log that tells is not here"
        ))
    }
}

/// The last transaction up to a point.
fn at(members: &[MemberFiles], point: Point, progress: OnProgress<'_>) -> Result<Zxid, DiskError> {
    match point {
        Point::End => Ok(Zxid(u64::MAX)),
        Point::Zxid(zxid) => Ok(zxid),
        Point::Time(time) => at_time(members, time, progress),
    }
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
    /// When the last transaction of the tree was, if a log has it.
    time: Option<i64>,
    /// The body of the record of the transaction at the point, if that names one.
    body: Option<Box<[u8]>>,
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
    let (mut next, mut seen, mut time, mut body) = (None, None, None, None);
    while let Some(zxid) = merge.advance(progress)? {
        if zxid > until {
            next = Some(zxid);
            break;
        }
        seen = Some(zxid);
        let last = replay.tree().last();
        if zxid <= last {
            if zxid == last {
                time = merge.record().map(|record| record.header.time);
            }
            continue;
        }
        if let (Some(_), true) = (jump(last, zxid), last.0 > 0) {
            return Ok(RunEnd::Missing(last, zxid));
        }
        if let Some(record) = merge.record() {
            time = Some(record.header.time);
            if zxid == until {
                body = Some(record.body.into());
            }
            replay.apply(&record);
            applied += 1;
        }
    }
    Ok(RunEnd::Whole(RunSummary { applied, dropped: merge.dropped(), next, seen, time, body }))
}

/// The last transaction before the first that is later than `time`.
fn at_time(members: &[MemberFiles], time: i64, progress: OnProgress<'_>) -> Result<Zxid, DiskError> {
    let (mut best, mut oldest) = (None, None::<(i64, Zxid)>);
    for member in members {
        let mut begun = Vec::new();
        for file in &member.logs {
            let first = first(file, member.max_record)?;
            begun.push(first.is_some_and(|(first, _)| first <= time));
            oldest = oldest.into_iter().chain(first).min();
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
    best.ok_or_else(|| match oldest {
        Some((time, zxid)) => DiskError::TooEarly { zxid, time },
        None => DiskError::NoTree("no transaction at hand is as old: there is no log here".to_owned()),
    })
}

/// Time and zxid of the first transaction in a log.
fn first(file: &DataFile, limit: Option<usize>) -> Result<Option<(i64, Zxid)>, DiskError> {
    let mut scan = Scan::one(&file.path, limit);
    while let Some(item) = scan.next(&mut |_| ())? {
        match item {
            ScanItem::Record(record) => return Ok(Some((record.header.time, record.header.zxid))),
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
