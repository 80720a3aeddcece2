//! What is seen of a restore in one pass: the restore itself, its ensemble, and its Jobs.

use jiff::Timestamp;

use crate::api::{BackupPhase, RestoreStatus, ZooKeeperRestoreSpec};
use crate::model::Names;
use crate::model::archive::{ArchiveMounts, ArchivePlace};
use crate::model::observed::OperatorFacts;
use crate::operator::kit::job::JobFacts;
use crate::operator::subject::EnsembleFacts;

/// Everything that was seen of one restore in one pass.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Names of the ensemble's objects.
    pub names: Names,
    /// The restore's name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// What is wanted.
    pub spec: ZooKeeperRestoreSpec,
    /// What was said of it.
    pub status: RestoreStatus,
    /// What the operator knows about itself.
    pub operator: OperatorFacts,
    /// The ensemble, if there is one.
    pub ensemble: Option<EnsembleFacts>,
    /// The backup that is named, if there is one of that name.
    pub backup: Option<BackupPoint>,
    /// Another restore that changes its znodes now.
    pub other: Option<String>,
    /// The Job that plans.
    pub planning: Option<JobFacts>,
    /// The Job that carries the plan out.
    pub applying: Option<JobFacts>,
    /// The words with which the API server refused the last write.
    pub refused: Option<String>,
    /// The operator's clock.
    pub now: Timestamp,
}

/// What a restore needs to know of a backup.
#[derive(Clone, Debug, Default)]
pub struct BackupPoint {
    /// How far it is.
    pub phase: BackupPhase,
    /// What its condition says.
    pub message: String,
    /// Whose point it is.
    pub identity: Option<String>,
    /// In which archive.
    pub archive: Option<String>,
    /// The point.
    pub zxid: Option<String>,
    /// The store of its own that it was made in, if it has one, and what pods mount to reach that.
    pub to: Option<(ArchivePlace, ArchiveMounts)>,
    /// The hash that its tree has.
    pub tree_hash: Option<String>,
    /// Whether it is of now, and was created after the restore: it has what the restore was to bring back the loss of.
    pub younger: bool,
}
