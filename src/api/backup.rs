//! `ZooKeeperBackup`: a point of an ensemble's history that is kept, and proved to be whole.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::proof::{Verified, WantedLevel};
use super::store::{AzureSpec, GcsSpec, ONE_STORE, ONE_STORE_WORDS, S3Spec, StoreSpec};

/// A point of an ensemble's archive that is kept whatever its age, or a copy of all that a member has in a store of its own; and proved: the
/// tree is built from what is stored, and every digest checked. A backup cannot be changed: create another one.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "menagerie.dev",
    version = "v1alpha1",
    kind = "ZooKeeperBackup",
    plural = "zookeeperbackups",
    shortname = "zkb",
    category = "menagerie",
    namespaced,
    status = "BackupStatus",
    derive = "PartialEq",
    printcolumn(name = "Ensemble", type_ = "string", json_path = ".spec.ensemble"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Completed\")].reason"),
    printcolumn(name = "Zxid", type_ = "string", json_path = ".status.zxid"),
    printcolumn(name = "Time", type_ = "string", json_path = ".status.time", description = "When its last transaction was"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expires"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Identity", type_ = "string", json_path = ".status.identity", priority = 1, description = "Of the ensemble: another one may have the same name now"),
    printcolumn(name = "Znodes", type_ = "integer", json_path = ".status.znodes", priority = 1),
    printcolumn(name = "Archive", type_ = "string", json_path = ".status.archive", priority = 1),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.verified.level", priority = 1, description = "How well it is proved"),
    validation = kube::core::Rule::new("self.metadata.name.size() <= 50")
        .message("metadata.name must be at most 50 characters: a Job is named after it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = kube::core::Rule::new(
        "self.ensemble == oldSelf.ensemble && has(self.at) == has(oldSelf.at) && (!has(self.at) || self.at == oldSelf.at) && has(self.to) == has(oldSelf.to) && (!has(self.to) || self.to == oldSelf.to) && has(self.keepDays) == has(oldSelf.keepDays) && (!has(self.keepDays) || self.keepDays == oldSelf.keepDays)"
    ).message("what is kept, where, and how long, cannot be changed: create another ZooKeeperBackup"),
    validation = kube::core::Rule::new("!has(self.to) || !has(self.at)")
        .message("at and to do not go together: leave at out for a copy of now in a store of its own, or to for a point of the ensemble's own archive")
)]
pub struct ZooKeeperBackupSpec {
    /// The `ZooKeeperEnsemble` in this namespace. It has spec.archive, or this backup has spec.to.
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("ensemble must be the name of a ZooKeeperEnsemble in this namespace: small letters, digits and '-'"))]
    pub ensemble: String,

    /// The point: a zxid such as "0x10000002a", or a time with its zone such as 2026-11-23T19:52:00Z. A zxid needs the quotes: YAML
    /// takes it for a number without them. Default: now, with all that was acknowledged to clients before the backup was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 40))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^0x([1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$') || (self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$') && timestamp(self).getFullYear() > 2000)")
        .message("at must be a zxid such as 0x10000002a or a time with its zone such as 2026-11-23T19:52:00Z; without it, the backup is of now"))]
    pub at: Option<String>,

    /// A store of the backup's own: it is made there from the files of a member, as it is now, whether or not the ensemble archives. What
    /// lies there afterwards, in the folder NAME.UID, is an archive: restores and new ensembles read it like any other. Default: the ensemble's archive, where only
    /// a pin is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<BackupTo>,

    /// Days from its creation after which it expires: the archive keeps its point no longer than everything else, and the
    /// `ZooKeeperBackup` is deleted. Default: it is kept until somebody takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36500))]
    pub keep_days: Option<i32>,

    /// How thoroughly the backup is checked. Replay: the tree is built from the archive, and compared with every checksum that the servers
    /// wrote into their log. `TwoWays`: after that it is built a second time in another way, by the log of one disk alone, and has to be the
    /// same; this takes about twice as long. Server: after that a `ZooKeeper` server starts from it in the Job's pod, with the image and the
    /// resources of a member, and has to serve the same znodes. What was reached is in status.verified.level. Default: Replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<WantedLevel>,

    /// CPU and memory of the Job. Default: requests of 100m and 256Mi, and a limit of 2Gi of memory. The tree has to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Disk that the Job may use for what it fetches. Default: 10Gi.
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

/// The store of a backup that is made from a member's files.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new(ONE_STORE).message(ONE_STORE_WORDS))]
pub struct BackupTo {
    /// A bucket of S3, or of a store that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Spec>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsSpec>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureSpec>,
}

impl BackupTo {
    /// The one store that it names; `None` if that is none, or several, which the API server refuses.
    pub fn store(&self) -> Option<StoreSpec<'_>> {
        StoreSpec::one(self.s3.as_ref(), self.gcs.as_ref(), self.azure.as_ref())
    }
}

/// How far a backup is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pending, Running, Completed or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// Completed; and Ended, which is true when it was completed and when it has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Identity of the ensemble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Name of the pin that keeps the point there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The last transaction that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zxid: Option<String>,
    /// When that was, by the leader's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How many znodes there are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub znodes: Option<i64>,
    /// Hash of the tree in it: of each znode with its ACL and kind, and of the sessions that own some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_hash: Option<String>,
    /// How well it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// How often the Job's pod was gone before its report was read. After five times no Job is made any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports_lost: Option<i32>,
    /// When it was seen to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// When it is no longer kept. Absent where it is kept until somebody takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// How far a backup is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupPhase {
    /// Something that it needs is not there.
    #[default]
    Pending,
    /// A Job waits for the archive, or copies a member's files; and proves what is there.
    Running,
    /// The point is kept and proved.
    Completed,
    /// It ended before that.
    Failed,
}

impl BackupPhase {
    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}
