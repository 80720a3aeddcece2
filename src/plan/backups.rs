//! What became of the backups of an ensemble, and what they prove of its archive: as conditions, and as a part of the status.
//!
//! - A backup that is deleted takes nothing back: it ended as it did, and the conditions say when. Where backups expire faster than they
//!   are made, their age tells, in the conditions and in the metrics.
//! - A backup that could not be made says nothing against the archive. Only one whose Job has read what is there does.
//! - Backups of another identity, or in another archive, prove nothing of this one.

use super::status::{ConditionStatus, UntimedCondition};
use super::view::View;
use crate::api::{BackupsStatus, EndedBackup, ProofLevel};
use crate::model::backup_end::{BackupEnd, failed};

/// In seconds: so far two clocks may be apart. What ended later than that was dated by a clock that was wrong.
const SKEW: i64 = 300;

/// What is known of them: what the status has, and what has ended since. `None` where nothing is.
pub fn known(view: &View<'_>) -> Option<BackupsStatus> {
    let before = view.seen.status.backups.clone();
    // Of a spec that is refused nothing can be told, and nothing is taken back.
    let Some(desired) = view.desired else { return before };
    let archive = desired.archive.as_ref().map(|archive| archive.config.place.described());
    let identity = view.origin().ok().map(|origin| origin.identity.as_str()).or(view.seen.status.identity.as_deref());
    // A status that was restored with another ensemble's identity speaks of that one.
    let before = before.filter(|_| view.seen.status.identity.as_deref() == identity).unwrap_or_default();
    let now = i64::try_from(view.seen.now).unwrap_or(i64::MAX);
    let dated = |backup: &&EndedBackup| backup.ended.0.as_second() <= now.saturating_add(SKEW);
    let ours = |end: &&BackupEnd| end.identity.is_none() || end.identity.as_deref() == identity;
    let last = view.seen.backups.iter().filter(ours).map(|end| &end.said).chain(before.last.as_ref());
    let last = last.filter(dated).max_by_key(|backup| backup.order()).cloned();

    let here = |end: &&BackupEnd| end.identity.as_deref() == identity && end.archive == archive;
    let same = archive.is_some() && before.archive == archive;
    let known = view.seen.backups.iter().filter(here).map(|end| &end.said);
    let known = known.filter(|_| archive.is_some());
    let known: Vec<_> = known.chain(before.proofs.iter().filter(|_| same)).filter(dated).collect();
    let newest = |level: Option<ProofLevel>| {
        let of_level = known.iter().filter(|backup| backup.level == level && backup.tells());
        of_level.max_by_key(|backup| backup.order()).map(|backup| (*backup).clone())
    };
    let proofs: Vec<_> = ProofLevel::ALL.into_iter().map(Some).chain([None]).filter_map(newest).collect();
    let archive = archive.filter(|_| !proofs.is_empty());
    (last.is_some() || archive.is_some()).then_some(BackupsStatus { last, archive, proofs })
}

/// What they say. Of an archive that is not there nothing; and of backups that are made from members' files, once one has ended.
pub fn conditions(view: &View<'_>) -> impl Iterator<Item = UntimedCondition> {
    let archived = view.desired.is_some_and(|desired| desired.archive.is_some());
    let readable = view.desired.is_some();
    let known = known(view).unwrap_or_default();
    let last = (archived || (readable && known.last.is_some())).then(|| last_succeeded(known.last.as_ref()));
    last.into_iter().chain(archived.then(|| verified(&known.proofs)))
}

/// What became of the one that ended last.
fn last_succeeded(last: Option<&EndedBackup>) -> UntimedCondition {
    let said = |status, reason, message| UntimedCondition { name: "LastBackupSucceeded", status, reason, message };
    match last {
        None => said(ConditionStatus::Unknown, "NoneYet", "no backup of this ensemble has ended yet".to_owned()),
        Some(last) => match &last.reason {
            None => said(ConditionStatus::True, "Completed", told(last)),
            Some(reason) => said(ConditionStatus::False, failed(reason), told(last)),
        },
    }
}

/// What the newest one tells that has read the archive.
fn verified(proofs: &[EndedBackup]) -> UntimedCondition {
    let said = |status, reason, message| UntimedCondition { name: "ArchiveVerified", status, reason, message };
    let newest = proofs.iter().max_by_key(|proof| proof.order());
    let best = proofs.iter().filter(|proof| proof.level.is_some()).max_by_key(|proof| proof.level);
    let before = |newest: &EndedBackup| {
        let best = best.filter(|best| best.level > newest.level)?;
        let (level, zxid) = (best.level?.as_str(), best.zxid.as_deref().unwrap_or("a point"));
        Some(format!("; it was last proved at level {level} by {} at {} as of {zxid}", best.name, best.ended.0))
    };
    match newest {
        None => {
            let text = "no backup has proved this archive yet: create a ZooKeeperBackup, or a ZooKeeperBackupSchedule that makes them again and again";
            said(ConditionStatus::Unknown, "NotYetVerified", text.to_owned())
        }
        Some(newest) => {
            let (text, before) = (told(newest), before(newest).unwrap_or_default());
            match newest.level {
                Some(level) => {
                    let text = format!("proved at level {} by {text}{before}", level.as_str());
                    said(ConditionStatus::True, "Verified", text)
                }
                None => said(ConditionStatus::False, "NotProved", format!("not proved by {text}{before}")),
            }
        }
    }
}

fn told(backup: &EndedBackup) -> String {
    format!("{}, which ended at {}: {}", backup.name, backup.ended.0, backup.message)
}
