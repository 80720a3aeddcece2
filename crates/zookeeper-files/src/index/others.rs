//! The other members of an ensemble. They are not indexed: they show what was committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::{DataFile, MemberFiles, Progress, survey};
use crate::ids::ZxidRange;
use crate::index::build::beside;
use crate::index::commits::Commits;
use crate::index::error::IndexError;
use crate::index::logs::LogFile;
use crate::replay::MemberHistory;

/// What the files of all members show about commits.
#[derive(Debug, Default)]
pub(crate) struct CommitSurvey {
    pub(crate) commits: Commits,
    /// What the indexed logs have in each epoch.
    pub(crate) member_history: MemberHistory,
    /// Ranges for which the files do not show it.
    pub(crate) unknown: Vec<ZxidRange>,
}

/// Reads the logs of all members, and decides what was committed.
pub(crate) fn ask(
    (sources, max_record): (&[String], Option<usize>),
    logs: &[LogFile],
    others: &[String],
    index: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<CommitSurvey, IndexError> {
    let mut own = MemberFiles { max_record, ..MemberFiles::default() };
    for source in sources {
        let files = whole(source)?;
        own.snapshots.extend(files.snapshots);
        own.data = own.data.or(files.data);
    }
    own.logs.extend(logs.iter().map(|log| DataFile { path: log.path.clone(), zxid: log.zxid }));
    let mut members = vec![own];
    for other in others {
        members.push(MemberFiles { max_record, ..whole(other)? });
    }
    beside(index, each_once(&members)?.iter().map(PathBuf::as_path))?;
    let surveyed = survey(&members, None, progress)?;
    let of_others = surveyed.damaged.into_iter().find(|path| logs.iter().all(|log| log.path != *path));
    if let Some(path) = of_others {
        return Err(IndexError::DamagedOther(path));
    }
    let commits = Commits::of(&surveyed.history);
    let member_history = surveyed.member_histories.into_iter().next().unwrap_or_default();
    Ok(CommitSurvey { commits, member_history, unknown: surveyed.history.unknown() })
}

/// Refuses a single log: it does not show the snapshots that its member got from a leader.
fn whole(name: &str) -> Result<MemberFiles, IndexError> {
    let member = MemberFiles::find(name)?;
    if member.single { Err(IndexError::Single(name.into())) } else { Ok(member) }
}

/// Refuses a member that is named twice: it would be a majority with itself.
fn each_once(members: &[MemberFiles]) -> Result<BTreeSet<PathBuf>, IndexError> {
    let mut seen = BTreeSet::new();
    for file in members.iter().flat_map(|member| &member.logs) {
        let path = fs::canonicalize(&file.path).map_err(IndexError::io(&file.path))?;
        if !seen.insert(path) {
            return Err(IndexError::Twice(file.path.clone()));
        }
    }
    Ok(seen)
}
