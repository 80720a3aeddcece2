//! The `CronJob` that deletes from the archive what is older than is to be kept.

use serde_json::json;

use super::{Blueprint, Rendered, job, merge};
use crate::model::archive::ArchiveMounts;
use crate::model::names::PRUNE_LABEL;
use crate::model::observed::Kind;

/// The container that reports.
const CONTAINER: &str = "prune";
/// Seconds for all tries of a run: bases are read to their ends before anything goes.
const DEADLINE: i32 = 6 * 3600;
/// Seconds for which a run that could not begin in time may still begin. Of a schedule of each minute that is less than the hundred
/// missed runs of which the controller complains.
const LATE: i32 = 3600;

/// There is none without a retention, and none before the birth: nothing is archived yet.
pub fn cron_job(blueprint: &Blueprint<'_>) -> Option<Rendered> {
    let archive = blueprint.desired.archive.as_ref()?;
    let retention = archive.retention.as_ref().filter(|_| !blueprint.charter.beginning.is_birth())?;
    let (names, identity) = (blueprint.names, blueprint.charter.identity.as_str());
    let mut args = vec!["job".to_owned(), "prune".to_owned(), format!("--keep-days={}", retention.keep_days)];
    args.extend(job::whose(&archive.config.place, identity));
    // The list of a busy month takes some 250 MB, and a chain has no more than 20 million segments.
    let mut resources = json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}});
    merge::strategic(&mut resources, &retention.resources);
    let mounts = ArchiveMounts { secret: retention.secret.clone(), ..archive.mounts.clone() };
    let template = &blueprint.desired.pod_template;
    let labels = json!({"app.kubernetes.io/name": "zookeeper-prune", PRUNE_LABEL: names.ensemble});
    let work = job::Work {
        container: CONTAINER,
        args,
        env: None,
        resources,
        scratch: None,
        trial: None,
        place: &archive.config.place,
        mounts: &mounts,
        template,
        account: template["spec"]["serviceAccountName"].as_str().unwrap_or(&names.ensemble),
        pull_secrets: &blueprint.desired.pull_secrets,
        operator: blueprint.operator,
        deadline: DEADLINE,
        labels: &labels,
    };
    let spec = json!({
        "schedule": retention.schedule(identity),
        // Otherwise that of the controller's machine.
        "timeZone": "Etc/UTC",
        "suspend": retention.suspend,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": LATE,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"metadata": {"labels": labels}, "spec": job::spec(&work)},
    });
    Some(blueprint.object(Kind::CronJob, &names.prune(), json!({"spec": spec})))
}
