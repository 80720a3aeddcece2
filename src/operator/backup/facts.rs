//! What is seen of a backup in one pass: the backup itself, its ensemble, and its Job.

use jiff::Timestamp;

use crate::api::{BackupStatus, ZooKeeperBackupSpec};
use crate::model::Names;
use crate::model::observed::OperatorFacts;
use crate::operator::kit::job::JobFacts;
use crate::operator::subject::EnsembleFacts;
use crate::plan::Target;

/// Everything that was seen of one backup in one pass.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Names of the ensemble's objects.
    pub names: Names,
    /// The backup, as it was seen.
    pub target: Target,
    /// Its generation.
    pub generation: Option<i64>,
    /// When it was created, by the API server's clock.
    pub created: Timestamp,
    /// What time it is.
    pub now: Timestamp,
    /// What is wanted.
    pub spec: ZooKeeperBackupSpec,
    /// What was said of it.
    pub status: BackupStatus,
    /// What the operator knows about itself.
    pub operator: OperatorFacts,
    /// The ensemble, if there is one. Of a backup that is over, nobody asks.
    pub ensemble: Option<EnsembleFacts>,
    /// Its Job.
    pub job: Option<JobFacts>,
    /// The words with which the API server refused the last write.
    pub refused: Option<String>,
}
