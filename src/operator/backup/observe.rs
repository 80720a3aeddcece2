//! Reads everything that a decision about a backup needs, and decides nothing.

use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::Context;
use super::facts::Seen;
use crate::api::{BackupPhase, ZooKeeperBackup};
use crate::model::Names;
use crate::model::names::BACKUP_LABEL;
use crate::model::observed::{Kind, ObjectKey};
use crate::operator::kit::job::Jobs;
use crate::operator::kit::read::Owner;
use crate::operator::kit::timeout::ApiError;
use crate::operator::subject;
use crate::plan::Target;
use crate::render::backup::{CONTAINER, job_name};

/// Everything about one backup.
pub async fn observe(context: &Context, backup: &ZooKeeperBackup) -> Result<Seen, ApiError> {
    let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
    let uid = backup.uid().unwrap_or_default();
    let refused = context.memories.with(&namespace, &name, |memory| memory.notes.refusal(Instant::now()));
    let (client, status) = (&context.kit.client, backup.status.clone().unwrap_or_default());
    let over = status.phase.is_some_and(BackupPhase::is_over);
    let ensemble = if over { None } else { subject::read(client, &namespace, &backup.spec.ensemble).await? };
    let owner = Owner { kind: "ZooKeeperBackup", label: BACKUP_LABEL, name: &name, uid: &uid };
    let job =
        Jobs { client, namespace: &namespace, owner, container: CONTAINER, less: "" }.read(job_name(&name)).await?;
    let now = Timestamp::now();
    Ok(Seen {
        names: Names {
            ensemble: backup.spec.ensemble.clone(),
            namespace: namespace.clone(),
            domain: context.cluster_domain.clone(),
        },
        target: Target {
            key: ObjectKey { kind: Kind::Backup, name },
            uid,
            resource_version: backup.resource_version().unwrap_or_default(),
        },
        generation: backup.metadata.generation,
        // An object that the API server has not dated is none of long ago.
        created: backup.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
        now,
        spec: backup.spec.clone(),
        status,
        operator: context.operator.clone(),
        ensemble,
        job,
        refused,
    })
}
