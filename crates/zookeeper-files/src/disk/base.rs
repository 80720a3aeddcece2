//! The snapshots that a replay can start from.
//!
//! The winner of an election writes a snapshot of its whole log before anybody agrees. If others then win, its log is cut, and it
//! loads its newest snapshot again, whatever that holds (`ZKDatabase.truncateLog`), and may write what it has then under the
//! name of the transaction at which the log was cut. So a snapshot with the name of a committed transaction may hold more. Only
//! a digest that comes after it in the logs shows that it does not: leaders write them, from trees of their own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::disk::error::DiskError;
use crate::disk::live::unless_purged;
use crate::disk::member_files::{DataFile, MemberFiles};
use crate::disk::open::open_snapshot;
use crate::ids::Zxid;
use crate::replay::{CommitStatus, CommittedHistory, Replay, Tree};
use crate::snapshot::SnapshotError;

/// Which snapshot is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// The newest that can be trusted.
    Newest,
    /// The oldest that can be trusted.
    Oldest,
    /// The newest: what a server takes, right or wrong.
    AsServers,
}

/// A snapshot, and whether it may hold what was never committed.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) file: DataFile,
    pub(crate) suspect: bool,
}

/// The snapshots of all members.
pub(crate) struct Bases<'a> {
    members: &'a [MemberFiles],
    /// The best first.
    all: Vec<Base>,
    /// Those whose names are of transactions that were never committed.
    dirty: Vec<DataFile>,
    /// Those that a digest showed to be wrong.
    wrong: BTreeSet<PathBuf>,
    /// Whether another one is taken after a wrong one.
    pub(crate) tries_others: bool,
}

impl<'a> Bases<'a> {
    pub(crate) fn new(members: &'a [MemberFiles], history: Option<&CommittedHistory>, preference: Preference) -> Self {
        let (mut all, mut dirty) = (Vec::new(), Vec::new());
        for member in members {
            let never = |file: &&DataFile| history.is_some_and(|history| is_dirty(history, file));
            let of_member: Vec<DataFile> = member.snapshots.iter().filter(never).cloned().collect();
            let cut = of_member.iter().filter_map(|file| Some(cut_at(history?, file.zxid?))).min();
            all.extend(member.snapshots.iter().map(|file| {
                let suspect = cut.is_some_and(|cut| file.zxid.unwrap_or_default() >= cut);
                Base { file: file.clone(), suspect }
            }));
            dirty.extend(of_member);
        }
        all.sort_by_key(|base| std::cmp::Reverse(base.file.zxid));
        if preference == Preference::Oldest {
            all.reverse();
        }
        all.sort_by_key(|base| base.suspect);
        Self { members, all, dirty, wrong: BTreeSet::new(), tries_others: preference != Preference::AsServers }
    }

    /// Leaves one out from now on.
    pub(crate) fn leave_out(&mut self, path: PathBuf) {
        self.wrong.insert(path);
    }

    /// Those that were left out.
    pub(crate) fn left_out(&self) -> &BTreeSet<PathBuf> {
        &self.wrong
    }

    /// Takes each as it is, also one that was left out.
    pub(crate) fn settle(&mut self) {
        self.wrong.clear();
        self.tries_others = false;
    }

    /// Whether a snapshot contains everything before `next`.
    pub(crate) fn later(&self, next: Zxid) -> bool {
        self.all.iter().any(|base| base.file.zxid.is_some_and(|zxid| zxid.0 >= next.0 - 1))
    }

    /// The best sound snapshot that is not fuzzy past the point; with `least`, not below it.
    pub(crate) fn begin(
        &self,
        until: Zxid,
        least: Option<Zxid>,
        doubts: &mut Vec<String>,
    ) -> Result<(Replay, Option<Base>), DiskError> {
        let mut fuzzy = None;
        for base in self.all.iter().filter(|base| least.is_none_or(|least| base.file.zxid >= Some(least))) {
            let (path, name) = (&base.file.path, base.file.zxid.unwrap_or_default());
            if name > until || self.wrong.contains(path) {
                continue;
            }
            let opened = match open_snapshot(path, self.members.first().and_then(|member| member.max_record)) {
                // A server also takes an older one.
                Err(DiskError::OtherFile { what, .. }) if self.members.iter().all(|member| !member.single) => {
                    doubts.push(format!("{}: {what}; an older snapshot is taken", path.display()));
                    continue;
                }
                other => unless_purged(other)?,
            };
            let Some(reader) = opened else { continue };
            match reader.and_then(|mut reader| Replay::of_snapshot(&mut reader, name)) {
                Ok(replay) if replay.fuzzy_until() <= until => {
                    self.say_dirty(until, base, doubts);
                    return Ok((replay, Some(base.clone())));
                }
                Ok(replay) => fuzzy = fuzzy.or(Some((name, replay.fuzzy_until()))),
                Err(SnapshotError::Io(error)) => return Err(DiskError::io(path, error)),
                Err(unsound) => doubts.push(format!("{}: {unsound}; an older snapshot is taken", path.display())),
            }
        }
        self.none(until, fuzzy)
    }

    /// Without a snapshot, logs that begin with the first transaction of all are enough.
    fn none(&self, until: Zxid, fuzzy: Option<(Zxid, Zxid)>) -> Result<(Replay, Option<Base>), DiskError> {
        if let Some((name, end)) = fuzzy {
            let text =
                format!("the snapshot {name:#} holds some transactions up to {end:#}, and none before it is at hand");
            return Err(DiskError::NoTree(text));
        }
        let first = self.members.iter().filter_map(|member| member.logs.first()?.zxid).min();
        let from_the_beginning = first.is_some_and(|first| first.counter() == 1 && first.epoch() <= 1);
        if self.all.is_empty() && from_the_beginning {
            return Ok((Replay::new(Tree::initial()), None));
        }
        Err(DiskError::NoTree(format!("no sound snapshot at or before {}", shown(until))))
    }

    /// Says which newer ones were passed over.
    fn say_dirty(&self, until: Zxid, taken: &Base, doubts: &mut Vec<String>) {
        for file in self.dirty.iter().filter(|file| file.zxid > taken.file.zxid && file.zxid <= Some(until)) {
            let text = "it holds transactions that were never committed; another snapshot is taken";
            doubts.push(format!("{}: {text}", file.path.display()));
        }
    }
}

/// Whether a snapshot is named after a transaction that was never committed.
pub(crate) fn is_dirty(history: &CommittedHistory, file: &DataFile) -> bool {
    // The epoch's own 0 is no transaction: only leaders that a quorum follows have it.
    let name = file.zxid.filter(|name| name.counter() != 0);
    name.is_some_and(|name| history.commit_status(name) == CommitStatus::NeverCommitted)
}

/// Where the log of a member with a snapshot of this name was cut, or will be: after the last transaction that can be committed.
pub(crate) fn cut_at(history: &CommittedHistory, dirty: Zxid) -> Zxid {
    let mut ends = history.epochs.range(..=dirty.epoch()).rev().map(|(_, epoch)| epoch.possible);
    ends.find(|end| end.counter() != 0).unwrap_or_default()
}

fn shown(zxid: Zxid) -> String {
    if zxid.0 == u64::MAX { "the end".to_owned() } else { format!("{zxid:#}") }
}
