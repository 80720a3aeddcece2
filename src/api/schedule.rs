//! `ZooKeeperBackupSchedule`: backups that are made again and again.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::backup::BackupTo;
use super::proof::WantedLevel;

/// Backups of an ensemble, made again and again. Each is a `ZooKeeperBackup` of now, which is proved and expires.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "menagerie.dev",
    version = "v1alpha1",
    kind = "ZooKeeperBackupSchedule",
    plural = "zookeeperbackupschedules",
    shortname = "zkbs",
    category = "menagerie",
    namespaced,
    status = "ScheduleStatus",
    derive = "PartialEq",
    printcolumn(name = "Ensemble", type_ = "string", json_path = ".spec.backup.ensemble"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.timeZone", priority = 1),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(name = "Last", type_ = "string", json_path = ".status.lastBackup", description = "The backup that was made last"),
    printcolumn(name = "Last Success", type_ = "date", json_path = ".status.lastSuccessfulTime", description = "How long ago a backup was completed"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Scheduled\")].reason"),
    printcolumn(name = "Succeeded", type_ = "string", json_path = ".status.conditions[?(@.type==\"LastBackupSucceeded\")].status", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = kube::core::Rule::new("self.metadata.name.size() <= 37")
        .message("metadata.name must be at most 37 characters: backups are named after it, with their time behind it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ZooKeeperBackupScheduleSpec {
    /// When a backup is due, as a cron expression of five fields (minute, hour, day of month, month, day of week) such as "0 3 * * *".
    #[schemars(length(min = 9, max = 100))]
    #[x_kube(validation = kube::core::Rule::new("self.trim().matches('^[^ ]+( +[^ ]+){4}$')")
        .message("schedule must be a cron expression of five fields such as \"0 3 * * *\": minute, hour, day of month, month, day of week. There is none for seconds"))]
    pub schedule: String,

    /// The time zone of the schedule, such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// Whether no backups are made. What came due meanwhile is not made up for. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Whether one is made as soon as the schedule is created, besides those that are due. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immediate: Option<bool>,

    /// What the backups are like.
    pub backup: BackupTemplate,
}

/// What the backups of a schedule are like.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupTemplate {
    /// The `ZooKeeperEnsemble` in this namespace. It has spec.archive, or the backups have to.
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("ensemble must be the name of a ZooKeeperEnsemble in this namespace: small letters, digits and '-'"))]
    pub ensemble: String,

    /// A store of the backups' own: each is made there from the files of a member, as spec.to of a `ZooKeeperBackup`. Default: the ensemble's
    /// archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BackupTo>,

    /// Days for which each of them is kept, failed ones too.
    #[schemars(range(min = 1, max = 36500))]
    pub keep_days: i32,

    /// How thoroughly each is checked: Replay, `TwoWays` or Server, as spec.level of a `ZooKeeperBackup`. Replay: the tree is built from the
    /// archive, and compared with every checksum that the servers wrote into their log. `TwoWays`: after that it is built a second time in
    /// another way, and has to be the same; this takes about twice as long. Server: after that a `ZooKeeper` server starts from it, with the
    /// image and the resources of a member, and has to serve the same znodes. Default: Replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<WantedLevel>,

    /// CPU and memory of the Jobs. Default: requests of 100m and 256Mi, and a limit of 2Gi of memory. The tree has to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Disk that a Job may use for what it fetches. Default: 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = kube::core::Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))")
        .message("scratchSize must be a size such as 10Gi"))]
    pub scratch_size: Option<String>,

    /// Seconds after which a Job that has not ended is stopped. Default: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 604_800))]
    pub deadline_seconds: Option<i32>,
}

/// What a schedule has come to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Scheduled, and `LastBackupSucceeded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The schedule and its zone as they were seen last, or that it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_schedule: Option<String>,
    /// Since when that is so: times before it are not made up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The last time that a backup was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// The backup that was made last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<String>,
    /// The last one that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_backup: Option<String>,
    /// When that was seen to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
}
