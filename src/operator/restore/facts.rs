//! What is seen of a restore in one pass: the restore itself, its ensemble, and its Jobs.

use crate::api::{RestoreStatus, ZooKeeperRestoreSpec};
use crate::model::Names;
use crate::model::archive::ArchivePlace;
use crate::model::observed::OperatorFacts;
use crate::model::report::Report;
use crate::plan::Target;

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
    /// Another restore that changes its znodes now.
    pub other: Option<String>,
    /// The Job that plans.
    pub planning: Option<JobFacts>,
    /// The Job that carries the plan out.
    pub applying: Option<JobFacts>,
    /// The words with which the API server refused the last write.
    pub refused: Option<String>,
}

/// What a restore needs to know of its ensemble. By default it is there and cannot be read.
#[derive(Clone, Debug, Default)]
pub struct EnsembleFacts {
    /// Whether it can be read.
    pub readable: bool,
    /// Its identity, once it was born, and if it can be read.
    pub identity: Option<String>,
    /// Whether a quorum serves.
    pub quorum: bool,
    /// Where its archive is, and the Secret with the credentials.
    pub archive: Option<(ArchivePlace, Option<String>)>,
    /// The account of its pods.
    pub account: String,
    /// The Secrets with which its images are pulled.
    pub pull_secrets: Vec<String>,
}

/// A Job, as it was seen.
#[derive(Clone, Debug)]
pub enum JobFacts {
    /// Somebody else's.
    Foreign(String),
    /// It is being deleted, or of an earlier restore of that name; and who keeps it, with the command.
    Leaving(String),
    /// This restore's.
    Ours(Box<OwnJob>),
}

/// A Job of this restore.
#[derive(Clone, Debug)]
pub struct OwnJob {
    /// The Job, as it was seen.
    pub target: Target,
    /// How it ended, if it has.
    pub outcome: Outcome,
    /// Its newest pod.
    pub pod: Option<PodFacts>,
    /// Whether a pod of it runs or may come, so that it changes znodes or soon will.
    pub active: bool,
    /// Why no pod of it is created, in the words of an Event.
    pub refused: Option<String>,
}

impl JobFacts {
    /// What its pod reported, if it ended well.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Ours(job) if job.outcome == Outcome::Complete => job.pod.as_ref()?.report.as_ref(),
            _ => None,
        }
    }
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// Well.
    Complete,
    /// Otherwise.
    Failed {
        /// Kubernetes' word for it.
        reason: String,
        /// And its sentence.
        message: String,
    },
}

/// A Job's pod.
#[derive(Clone, Debug, Default)]
pub struct PodFacts {
    /// What it reported at its end.
    pub report: Option<Report>,
    /// What keeps it from running, or ended it.
    pub trouble: Option<String>,
}
