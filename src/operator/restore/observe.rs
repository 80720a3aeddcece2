//! Reads everything that a decision about a restore needs, and decides nothing.

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};

use super::Context;
use super::facts::{BackupPoint, Seen};
use crate::api::{BackupStatus, BackupTo, RestorePhase, ZooKeeperBackup, ZooKeeperRestore};
use crate::model::Names;
use crate::model::names::{CHANGES_LABEL, MANAGED_BY, MANAGED_BY_LABEL, RESTORE_LABEL, is_name};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::words::{QUOTE, cut};
use crate::operator::kit::job::{Jobs, is_over, runs};
use crate::operator::kit::read::{Fresh, Owner, fresh, pages, to_json};
use crate::operator::kit::timeout::ApiError;
use crate::operator::subject;
use crate::plan::Target;
use crate::render::restore::{CONTAINER, apply_name, plan_name};

/// What helps where a Job's pod had too little memory, besides more of it.
const LESS: &str = ", or restore one subtree after the other";

/// Everything about one restore.
pub async fn observe(context: &Context, restore: &ZooKeeperRestore) -> Result<Seen, ApiError> {
    let (namespace, name) = (restore.namespace().unwrap_or_default(), restore.name_any());
    let uid = restore.uid().unwrap_or_default();
    let refused = context.memories.with(&namespace, &name, |memory| memory.notes.refusal(Instant::now()));
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
        now: Timestamp::now(),
    })
}

/// The backup that is named. Of one that cannot be decoded nothing is known.
async fn backup(client: &Client, namespace: &str, restore: &ZooKeeperRestore) -> Result<Option<BackupPoint>, ApiError> {
    let phase = restore.status.as_ref().and_then(|status| status.phase);
    let over = matches!(phase, Some(RestorePhase::Completed | RestorePhase::Failed));
    let Some(name) = restore.spec.backup.as_ref().filter(|_| !over) else { return Ok(None) };
    Ok(match fresh::<ZooKeeperBackup>(client, ("backup", namespace, name), &[]).await? {
        Fresh::Gone => None,
        Fresh::Undecodable(..) => Some(BackupPoint::default()),
        Fresh::Whole(backup) => {
            let made = [&backup.metadata, &restore.metadata].map(|metadata| metadata.creation_timestamp.as_ref());
            let younger = backup.spec.at.is_none() && made[0] > made[1];
            let to = backup.spec.to.as_ref().and_then(BackupTo::store).map(|store| (store.place(), store.mounts()));
            // In a folder of its own there.
            let pin = backup.status.as_ref().and_then(|status| status.pin.clone()).filter(|pin| is_name(pin));
            let to = to.map(|(place, mounts)| (pin.map(|pin| place.below(&pin)).unwrap_or(place), mounts));
            let BackupStatus { phase, conditions, identity, archive, zxid, tree_hash, .. } =
                backup.status.unwrap_or_default();
            let message = conditions.into_iter().next().map(|condition| condition.message).unwrap_or_default();
            let phase = phase.unwrap_or_default();
            Some(BackupPoint { phase, message, identity, archive, zxid, to, tree_hash, younger })
        }
    })
}

/// Another Job that changes znodes of this ensemble. What restores say of themselves is another thing: one that is being deleted says that it
/// is carried out, and one whose Job was left behind is gone.
async fn other(client: &Client, namespace: &str, uid: &str, ensemble: &str) -> Result<Option<String>, ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    let changes = ListParams::default().labels(&format!("{CHANGES_LABEL}={ensemble}"));
    let theirs = |job: &Job| {
        let ours = job.owner_references().iter().any(|owner| owner.uid == uid);
        (!ours && runs(&to_json(job))).then(|| {
            let restore = job.labels().get(RESTORE_LABEL).map_or("", String::as_str);
            cut(&format!("Job {} of ZooKeeperRestore {restore}", job.name_any()), QUOTE)
        })
    };
    Ok(pages("list Jobs that change znodes", &api, changes, theirs).await?.into_iter().next())
}

/// A Job that goes on though its restore is gone, or being deleted; and the ensemble whose znodes it changes, if it does.
pub async fn left(
    client: &Client,
    namespace: &str,
    restore: &str,
) -> Result<Option<(Target, Option<String>)>, ApiError> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    let labels = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY},{RESTORE_LABEL}={restore}"));
    let goes_on = |job: &Job| {
        (!is_over(&to_json(job)) && job.metadata.deletion_timestamp.is_none()).then(|| {
            let key = ObjectKey { kind: Kind::Job, name: job.name_any() };
            let (uid, resource_version) = (job.uid().unwrap_or_default(), job.resource_version().unwrap_or_default());
            (Target { key, uid, resource_version }, job.labels().get(CHANGES_LABEL).cloned())
        })
    };
    Ok(pages("list Jobs of a restore", &api, labels, goes_on).await?.into_iter().next())
}

/// Whether it is to be carried out, and no Job does it yet.
fn about_to(restore: &ZooKeeperRestore) -> bool {
    let phase = restore.status.as_ref().and_then(|status| status.phase);
    phase == Some(RestorePhase::Planned) && restore.spec.dry_run == Some(false)
}
