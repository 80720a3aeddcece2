//! The Job of a backup.
//!
//! Invariants: it contains no secret and no secret is in its arguments; it is created once and never changed.

use serde_json::{Value, json};

use super::Rendered;
use super::job::{self, Owner, SCRATCH, Work};
use super::trial::TrialServer;
use crate::api::{WantedLevel, ZooKeeperBackupSpec};
use crate::model::Names;
use crate::model::archive::{ArchiveMounts, ArchivePlace};
use crate::model::layout::TRIAL_DIR;
use crate::model::names::{BACKUP_LABEL, MANAGED_BY, MANAGED_BY_LABEL};
use crate::model::observed::OperatorFacts;

/// The container that reports.
pub const CONTAINER: &str = "backup";
/// In seconds: how long all tries of a Job may take together, without a word of it.
pub const DEADLINE: i32 = 3600;
const SCRATCH_SIZE: &str = "10Gi";

/// Everything that a Job depends on.
#[derive(Clone, Debug)]
pub struct BackupBlueprint<'a> {
    /// Name of the `ZooKeeperBackup`.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// What is wanted.
    pub spec: &'a ZooKeeperBackupSpec,
    /// Where the archive is.
    pub place: &'a ArchivePlace,
    /// What its pods mount to reach it.
    pub mounts: &'a ArchiveMounts,
    /// Whose archive it is.
    pub identity: &'a str,
    /// The name of the pin.
    pub pin: &'a str,
    /// From when on that keeps nothing.
    pub until: Option<String>,
    /// Whose files it is made from, if not from an archive.
    pub copied: Option<&'a Names>,
    /// The members, as `HOST:PORT`.
    pub servers: &'a [String],
    /// The server that is to start from it, if one is.
    pub trial: Option<&'a TrialServer>,
    /// The template of the members' pods.
    pub template: &'a Value,
    /// The ensemble's own account, by which a cloud may know its pods.
    pub account: &'a str,
    /// The Secrets with which its images are pulled.
    pub pull_secrets: &'a [String],
    /// What the operator knows about itself.
    pub operator: &'a OperatorFacts,
}

/// Name of the Job.
pub fn job_name(backup: &str) -> String {
    format!("{backup}-backup")
}

/// The Job.
pub fn backup_job(blueprint: &BackupBlueprint<'_>) -> Rendered {
    let BackupBlueprint { name, namespace, uid, spec, place, mounts, identity, pin, until, servers, .. } = blueprint;
    let mut args = vec!["job".to_owned(), "backup".to_owned(), format!("--pin={pin}")];
    args.extend(job::whose(place, identity));
    args.extend(until.iter().map(|until| format!("--until={until}")));
    match &spec.at {
        Some(at) => args.push(format!("--at={at}")),
        None => args.extend(servers.iter().map(|server| format!("--server={server}"))),
    }
    args.extend(blueprint.copied.map(|names| format!("--copy={}/{}", names.namespace, names.ensemble)));
    let level = spec.level.filter(|level| *level != WantedLevel::default());
    args.extend(level.map(|level| format!("--level={}", level.as_str())));
    args.extend(blueprint.trial.map(|_| format!("--trial={TRIAL_DIR}")));
    args.push(format!("--scratch={SCRATCH}"));
    let labels =
        json!({"app.kubernetes.io/name": "zookeeper-backup", BACKUP_LABEL: name, MANAGED_BY_LABEL: MANAGED_BY});
    let work = Work {
        container: CONTAINER,
        args,
        env: blueprint.copied.map(|names| json!([job::super_password(names)])),
        resources: job::resources(spec.resources.as_ref()),
        scratch: Some(spec.scratch_size.as_deref().unwrap_or(SCRATCH_SIZE)),
        trial: blueprint.trial,
        place,
        mounts,
        template: blueprint.template,
        account: blueprint.account,
        pull_secrets: blueprint.pull_secrets,
        operator: blueprint.operator,
        deadline: spec.deadline_seconds.unwrap_or(DEADLINE),
        labels: &labels,
    };
    job::owned(&job_name(name), namespace, &Owner("ZooKeeperBackup", name, uid), &work)
}
