//! The Jobs of a restore.
//!
//! Invariants: they contain no secret and no secret is in their arguments; a Job is created once and never changed.

use serde_json::{Value, json};

use super::{Rendered, job};
use crate::api::{ExistingPolicy, ZooKeeperRestoreSpec};
use crate::model::Names;
use crate::model::archive::{ArchiveMounts, ArchivePlace};
use crate::model::names::{CHANGES_LABEL, MANAGED_BY, MANAGED_BY_LABEL, RESTORE_LABEL};
use crate::model::observed::OperatorFacts;

/// The container that reports.
pub const CONTAINER: &str = "restore";
const DEADLINE: i32 = 3600;
const SCRATCH_SIZE: &str = "10Gi";

/// Everything that a Job depends on.
#[derive(Clone, Debug)]
pub struct RestoreBlueprint<'a> {
    /// Name of the `ZooKeeperRestore`.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// What is wanted.
    pub spec: &'a ZooKeeperRestoreSpec,
    /// Names of the ensemble's objects.
    pub names: &'a Names,
    /// The point, or the transaction that is undone.
    pub at: &'a str,
    /// The hash that the tree has there, where a backup has proved it.
    pub tree_hash: Option<&'a str>,
    /// Where the archive is.
    pub place: &'a ArchivePlace,
    /// What its pods mount to reach it.
    pub mounts: &'a ArchiveMounts,
    /// Whose archive it is.
    pub identity: &'a str,
    /// Whether that is the ensemble itself.
    pub same: bool,
    /// The template of the members' pods.
    pub template: &'a Value,
    /// The ensemble's own account, by which a cloud may know its pods.
    pub account: &'a str,
    /// The Secrets with which its images are pulled.
    pub pull_secrets: &'a [String],
    /// What the operator knows about itself.
    pub operator: &'a OperatorFacts,
}

/// The Job that plans.
pub fn plan_job(blueprint: &RestoreBlueprint<'_>) -> Rendered {
    let mut args = vec!["job".to_owned(), "restore-plan".to_owned()];
    match &blueprint.spec.undo {
        Some(zxid) => args.push(format!("--undo={zxid}")),
        None => args.extend(of_a_point(blueprint)),
    }
    args.extend(blueprint.spec.raise_counters.unwrap_or_default().then(|| "--raise-counters".to_owned()));
    args.extend(blueprint.same.then(|| "--same-ensemble".to_owned()));
    job(blueprint, &plan_name(blueprint.name), args, false)
}

fn of_a_point(blueprint: &RestoreBlueprint<'_>) -> Vec<String> {
    let ZooKeeperRestoreSpec { exclusive, paths, znodes, to, existing, newer_than, delete_extra, quotas, .. } =
        blueprint.spec;
    let mut args = vec![format!("--at={}", blueprint.at)];
    args.extend(blueprint.tree_hash.map(|hash| format!("--tree-hash={hash}")));
    args.extend(exclusive.unwrap_or_default().then(|| "--exclusive".to_owned()));
    args.extend(paths.iter().flatten().map(|path| format!("--path={path}")));
    args.extend(znodes.iter().flatten().map(|path| format!("--znode={path}")));
    args.extend(to.iter().map(|path| format!("--to={path}")));
    let existing = match existing.unwrap_or_default() {
        ExistingPolicy::Keep => "keep",
        ExistingPolicy::KeepNewer => "keep-newer",
        ExistingPolicy::Overwrite => "overwrite",
    };
    args.push(format!("--existing={existing}"));
    args.extend(newer_than.iter().map(|zxid| format!("--newer-than={zxid}")));
    args.extend(delete_extra.unwrap_or_default().then(|| "--delete-extra".to_owned()));
    args.extend(quotas.unwrap_or_default().then(|| "--quotas".to_owned()));
    args
}

/// The Job that carries a plan out.
pub fn apply_job(blueprint: &RestoreBlueprint<'_>, hash: &str, replan: bool) -> Rendered {
    let mut args = vec!["job".to_owned(), "restore-apply".to_owned(), format!("--plan={hash}")];
    args.extend(replan.then(|| "--replan".to_owned()));
    job(blueprint, &apply_name(blueprint.name), args, true)
}

/// Name of the Job that plans.
pub fn plan_name(restore: &str) -> String {
    format!("{restore}-plan")
}

/// Name of the Job that carries the plan out.
pub fn apply_name(restore: &str) -> String {
    format!("{restore}-apply")
}

fn job(blueprint: &RestoreBlueprint<'_>, name: &str, mut args: Vec<String>, changes: bool) -> Rendered {
    let RestoreBlueprint { name: restore, uid, spec, names, place, mounts, identity, operator, .. } = blueprint;
    args.push(format!("--restore={uid}"));
    args.extend(job::whose(place, identity));
    args.extend([format!("--server={}", names.client_endpoint()), format!("--scratch={}", job::SCRATCH)]);
    let mut labels =
        json!({"app.kubernetes.io/name": "zookeeper-restore", RESTORE_LABEL: restore, MANAGED_BY_LABEL: MANAGED_BY});
    if changes {
        labels[CHANGES_LABEL] = json!(names.ensemble);
    }
    let work = job::Work {
        container: CONTAINER,
        args,
        env: Some(json!([job::super_password(names)])),
        resources: job::resources(spec.resources.as_ref()),
        scratch: Some(spec.scratch_size.as_deref().unwrap_or(SCRATCH_SIZE)),
        trial: None,
        place,
        mounts,
        template: blueprint.template,
        account: blueprint.account,
        pull_secrets: blueprint.pull_secrets,
        operator,
        deadline: spec.deadline_seconds.unwrap_or(DEADLINE),
        labels: &labels,
    };
    job::owned(name, &names.namespace, &job::Owner("ZooKeeperRestore", restore, uid), &work)
}
