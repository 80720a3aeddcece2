//! A backup that has ended, as it is known to the ensemble that it names.

use super::words::{QUOTE, cut};
use crate::api::{BackupPhase, BackupStatus, EndedBackup};

/// The reason of a backup that failed because of what its archive holds, and not because that could not be read.
pub const NOT_PROVED: &str = "NotProved";

/// With what reasons backups fail, but for `BackupFailed`.
const REASONS: [&str; 6] = ["TooLate", NOT_PROVED, "NotYet", "ReportLost", "ArchiveMoved", "EnsembleReplaced"];

/// The reason of a backup that failed, for the conditions of others. It stands in an object that others may write.
pub fn failed(reason: &str) -> &'static str {
    REASONS.into_iter().find(|known| *known == reason).unwrap_or("BackupFailed")
}

/// A backup that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupEnd {
    /// The ensemble that it was of; `None` if it failed before that was known.
    pub identity: Option<String>,
    /// The archive.
    pub archive: Option<String>,
    /// What is said of it.
    pub said: EndedBackup,
}

impl BackupEnd {
    /// That of a backup, once it has ended. One in a store of its own proves nothing of any archive but that one, which no other shares.
    pub fn of(name: &str, in_its_own_store: bool, status: &BackupStatus) -> Option<Self> {
        let completed = match status.phase? {
            BackupPhase::Completed => true,
            BackupPhase::Failed => false,
            BackupPhase::Pending | BackupPhase::Running => return None,
        };
        let condition = status.conditions.iter().find(|condition| condition.type_ == "Completed");
        let text = |text: &String| cut(text, QUOTE);
        Some(Self {
            identity: status.identity.clone(),
            archive: status.archive.clone().filter(|_| !in_its_own_store),
            said: EndedBackup {
                name: name.to_owned(),
                ended: status.ended.clone()?,
                zxid: status.zxid.as_ref().map(text),
                level: status.verified.as_ref().filter(|_| completed).map(|verified| verified.level),
                reason: condition.filter(|_| !completed).map(|condition| text(&condition.reason)),
                message: condition.map(|condition| text(&condition.message)).unwrap_or_default(),
            },
        })
    }
}

impl EndedBackup {
    /// Whether its Job looked at what the archive holds, and found it whole or not.
    pub fn tells(&self) -> bool {
        self.level.is_some() || self.reason.as_deref() == Some(NOT_PROVED)
    }

    /// When it ended. Two that ended within a second are told apart by their names.
    pub fn order(&self) -> (i64, &str) {
        (self.ended.0.as_second(), &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Time;

    #[test]
    fn of_backups_in_stores_of_their_own_no_archive_is_remembered_for_each() {
        let status = BackupStatus {
            phase: Some(BackupPhase::Completed),
            ended: Some(Time("2026-11-28T12:00:00Z".parse().unwrap())),
            archive: Some("s3://backups/zookeeper/nightly.uid".to_owned()),
            ..BackupStatus::default()
        };
        let archive = |own| BackupEnd::of("nightly", own, &status).unwrap().archive;
        assert_eq!((archive(true), archive(false)), (None, status.archive.clone()));
    }
}
