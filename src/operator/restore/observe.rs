//! Reads everything that a decision about a restore needs, and decides nothing.

use std::time::Instant;

use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Client, ResourceExt as _};

use super::Context;
use super::facts::{BackupPoint, Seen};
use crate::api::{BackupStatus, RestorePhase, ZooKeeperBackup, ZooKeeperRestore};
use crate::model::names::RESTORE_LABEL;
use crate::model::{Hindrance, Names};
use crate::operator::kit::job::Jobs;
use crate::operator::kit::read::{Fresh, Owner, fresh, pages};
use crate::operator::kit::timeout::ApiError;
use crate::operator::subject;
use crate::render::restore::{CONTAINER, apply_name, plan_name};

/// What helps where a Job's pod had too little memory, besides more of it.
const LESS: &str = ", or restore one subtree after the other";

/// Everything about one restore.
pub async fn observe(context: &Context, restore: &ZooKeeperRestore) -> Result<Seen, ApiError> {
    let (namespace, name) = (restore.namespace().unwrap_or_default(), restore.name_any());
    let uid = restore.uid().unwrap_or_default();
    let hindrances = context.memories.with(&namespace, &name, |memory| memory.notes.hindrances(Instant::now()));
    let refused = hindrances.into_values().find_map(|hindrance| match hindrance {
        Hindrance::Refused { words, .. } => Some(words),
        Hindrance::Overruled(_) => None,
    });
    let client = &context.kit.client;
    let ensemble = subject::read(client, &namespace, &restore.spec.ensemble).await?;
    let owner = Owner { kind: "ZooKeeperRestore", label: RESTORE_LABEL, name: &name, uid: &uid };
    let jobs = Jobs { client, namespace: &namespace, owner, container: CONTAINER, less: LESS };
    let planning = jobs.read(plan_name(&name)).await?;
    let applying = jobs.read(apply_name(&name)).await?;
    Ok(Seen {
        names: Names {
            ensemble: restore.spec.ensemble.clone(),
            namespace: namespace.clone(),
            domain: context.cluster_domain.clone(),
        },
        name: name.clone(),
        uid: uid.clone(),
        generation: restore.metadata.generation,
        spec: restore.spec.clone(),
        status: restore.status.clone().unwrap_or_default(),
        operator: context.operator.clone(),
        ensemble,
        backup: backup(client, &namespace, restore).await?,
        other: if about_to(restore) { other(client, &namespace, &uid, &restore.spec.ensemble).await? } else { None },
        planning,
        applying,
        refused,
    })
}

/// The backup that is named. Of one that cannot be decoded nothing is known.
async fn backup(client: &Client, namespace: &str, restore: &ZooKeeperRestore) -> Result<Option<BackupPoint>, ApiError> {
    let planned = restore.status.as_ref().is_some_and(|status| status.plan.is_some());
    let Some(name) = restore.spec.backup.as_ref().filter(|_| !planned) else { return Ok(None) };
    Ok(match fresh::<ZooKeeperBackup>(client, ("backup", namespace, name), &[]).await? {
        Fresh::Gone => None,
        Fresh::Undecodable(..) => Some(BackupPoint::default()),
        Fresh::Whole(backup) => {
            let BackupStatus { phase, conditions, identity, archive, zxid, .. } = backup.status.unwrap_or_default();
            let message = conditions.into_iter().next().map(|condition| condition.message).unwrap_or_default();
            Some(BackupPoint { phase: phase.unwrap_or_default(), message, identity, archive, zxid })
        }
    })
}

/// Another restore that changes znodes of this ensemble, as it says itself: what the operator remembers is gone with a restart.
async fn other(client: &Client, namespace: &str, uid: &str, ensemble: &str) -> Result<Option<String>, ApiError> {
    // Untyped: one that cannot be decoded is in nobody's way.
    let resource = ApiResource::erase::<ZooKeeperRestore>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let applying = |restore: &DynamicObject| {
        let other = restore.metadata.uid.as_deref() != Some(uid);
        let same = restore.data["spec"]["ensemble"] == ensemble;
        (other && same && restore.data["status"]["phase"] == "Applying").then(|| restore.metadata.name.clone())?
    };
    Ok(pages("list restores", &api, ListParams::default(), applying).await?.into_iter().next())
}

/// Whether it is to be carried out, and no Job does it yet.
fn about_to(restore: &ZooKeeperRestore) -> bool {
    let phase = restore.status.as_ref().and_then(|status| status.phase);
    phase == Some(RestorePhase::Planned) && restore.spec.dry_run == Some(false)
}
