//! The backups of a schedule.

use std::collections::BTreeMap;

use serde_json::json;

use super::Rendered;
use crate::api::ZooKeeperBackupSpec;
use crate::model::names::{MANAGED_BY, MANAGED_BY_LABEL, SCHEDULE_LABEL, SCHEDULED_BY_ANNOTATION};
use crate::model::observed::{Kind, ObjectKey};

/// Who makes a backup.
#[derive(Clone, Debug)]
pub struct Scheduler<'a> {
    /// Namespace of the schedule.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// The labels without which this operator would not manage the backup.
    pub selected: &'a BTreeMap<String, String>,
}

/// A backup. It has no owner: it outlives its schedule. Nothing of the schedule's own labels is on it: tools that look after the schedule
/// would take it for a stray and delete it.
pub fn backup(by: &Scheduler<'_>, name: &str, spec: &ZooKeeperBackupSpec) -> Rendered {
    let Scheduler { namespace, name: schedule, uid, selected } = by;
    let key = ObjectKey { kind: Kind::Backup, name: name.to_owned() };
    let mut labels = json!(selected);
    labels[SCHEDULE_LABEL] = json!(schedule);
    labels[MANAGED_BY_LABEL] = json!(MANAGED_BY);
    let json = json!({
        "apiVersion": key.kind.resource().api_version,
        "kind": key.kind.as_str(),
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {SCHEDULED_BY_ANNOTATION: uid},
        },
        "spec": spec,
    });
    Rendered { key, json }
}
