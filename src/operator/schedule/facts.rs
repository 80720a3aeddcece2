//! What is seen of a schedule in one pass: the schedule itself, the backup that it made last, and the one that is due.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::{BackupPhase, ScheduleStatus, ZooKeeperBackupScheduleSpec};

/// Everything that was seen of one schedule in one pass.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// The labels without which this operator manages nothing.
    pub selected: BTreeMap<String, String>,
    /// When it was created, by the API server's clock.
    pub created: Timestamp,
    /// What time it is.
    pub now: Timestamp,
    /// What is wanted.
    pub spec: ZooKeeperBackupScheduleSpec,
    /// What was said of it.
    pub status: ScheduleStatus,
    /// The backup that it made last, if it is still there.
    pub last: Option<BackupFacts>,
    /// What has the name of the backup that is due.
    pub taken: Option<BackupFacts>,
    /// What a backup of now would wait for: a reason, and a sentence.
    pub obstacle: Option<(&'static str, String)>,
    /// The words with which the API server refused the last write.
    pub refused: Option<String>,
}

/// A backup.
#[derive(Clone, Debug)]
pub struct BackupFacts {
    /// Its name.
    pub name: String,
    /// Whether this schedule made it.
    pub ours: bool,
    /// When it was created, by the API server's clock.
    pub created: Timestamp,
    /// How far it is.
    pub phase: BackupPhase,
    /// The reason of its condition.
    pub reason: String,
    /// What its condition says.
    pub message: String,
    /// When it was seen to have ended.
    pub ended: Option<Timestamp>,
}
