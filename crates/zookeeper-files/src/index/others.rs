//! The other members of an ensemble: nothing of theirs is indexed, they only tell what was committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::{File, Member, survey};
use crate::ids::ZxidRange;
use crate::index::build::{Progress, beside};
use crate::index::error::IndexError;
use crate::index::logs::Log;
use crate::index::verdicts::Verdicts;
use crate::replay::Strand;

/// What all members' files tell.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) verdicts: Verdicts,
    /// What the indexed logs have of each epoch.
    pub(crate) strand: Strand,
    /// Stretches of which the files do not tell.
    pub(crate) unknown: Vec<ZxidRange>,
}

/// Reads the logs of all members, and decides what was committed.
pub(crate) fn ask(
    (sources, max_record): (&[String], Option<usize>),
    logs: &[Log],
    others: &[String],
    index: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Told, IndexError> {
    let mut own = Member { max_record, ..Member::default() };
    for source in sources {
        own.snapshots.extend(whole(source)?.snapshots);
    }
    own.logs.extend(logs.iter().map(|log| File { path: log.path.clone(), zxid: log.zxid }));
    let mut members = vec![own];
    for other in others {
        members.push(Member { max_record, ..whole(other)? });
    }
    beside(index, each_once(&members)?.iter().map(PathBuf::as_path))?;
    let mut pass = |at: crate::disk::Progress<'_>| progress(Progress { log: at.path, bytes: at.done, of: at.of });
    let surveyed = survey(&members, None, &mut pass)?;
    let of_others = surveyed.damaged.into_iter().find(|path| logs.iter().all(|log| log.path != *path));
    if let Some(path) = of_others {
        return Err(IndexError::DamagedOther(path));
    }
    let verdicts = Verdicts::of(&surveyed.history);
    let strand = surveyed.strands.into_iter().next().unwrap_or_default();
    Ok(Told { verdicts, strand, unknown: surveyed.history.unknown() })
}

/// A single log says nothing of the snapshots that its member got from a leader.
fn whole(name: &str) -> Result<Member, IndexError> {
    let member = Member::look(name)?;
    if member.single { Err(IndexError::Single(name.into())) } else { Ok(member) }
}

/// A member that is named twice would be a majority with itself.
fn each_once(members: &[Member]) -> Result<BTreeSet<PathBuf>, IndexError> {
    let mut seen = BTreeSet::new();
    for file in members.iter().flat_map(|member| &member.logs) {
        let path = fs::canonicalize(&file.path).map_err(IndexError::io(&file.path))?;
        if !seen.insert(path) {
            return Err(IndexError::Twice(file.path.clone()));
        }
    }
    Ok(seen)
}
