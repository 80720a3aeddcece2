//! `ZooKeeperRestore`: znodes of a running ensemble brought back from an archive.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::{AzureSpec, GcsSpec, ONE_STORE, ONE_STORE_WORDS, S3Spec, StoreSpec};

/// Znodes of a running ensemble brought back to how they were at a point of an archive. First it shows a plan, which changes nothing; with
/// dryRun: false that plan is carried out.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "menagerie.dev",
    version = "v1alpha1",
    kind = "ZooKeeperRestore",
    plural = "zookeeperrestores",
    shortname = "zkr",
    category = "menagerie",
    namespaced,
    status = "RestoreStatus",
    derive = "PartialEq",
    printcolumn(name = "Ensemble", type_ = "string", json_path = ".spec.ensemble"),
    printcolumn(name = "At", type_ = "string", json_path = ".spec.at"),
    printcolumn(name = "Undo", type_ = "string", json_path = ".spec.undo"),
    printcolumn(name = "Backup", type_ = "string", json_path = ".spec.backup"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Completed")].reason"#),
    printcolumn(name = "Changes", type_ = "integer", json_path = ".status.plan.changes", description = "What the plan would create, set and delete"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".status.plan.hash", priority = 1),
    validation = kube::core::Rule::new("self.metadata.name.size() <= 50")
        .message("metadata.name must be at most 50 characters: Jobs are named after it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = kube::core::Rule::new(
        "self.ensemble == oldSelf.ensemble && has(self.at) == has(oldSelf.at) && (!has(self.at) || self.at == oldSelf.at) && has(self.backup) == has(oldSelf.backup) && (!has(self.backup) || self.backup == oldSelf.backup) && has(self.undo) == has(oldSelf.undo) && (!has(self.undo) || self.undo == oldSelf.undo) && has(self.from) == has(oldSelf.from) && (!has(self.from) || self.from == oldSelf.from) && has(self.exclusive) == has(oldSelf.exclusive) && (!has(self.exclusive) || self.exclusive == oldSelf.exclusive) && has(self.paths) == has(oldSelf.paths) && (!has(self.paths) || self.paths == oldSelf.paths) && has(self.znodes) == has(oldSelf.znodes) && (!has(self.znodes) || self.znodes == oldSelf.znodes) && has(self.to) == has(oldSelf.to) && (!has(self.to) || self.to == oldSelf.to) && has(self.existing) == has(oldSelf.existing) && (!has(self.existing) || self.existing == oldSelf.existing) && has(self.newerThan) == has(oldSelf.newerThan) && (!has(self.newerThan) || self.newerThan == oldSelf.newerThan) && has(self.deleteExtra) == has(oldSelf.deleteExtra) && (!has(self.deleteExtra) || self.deleteExtra == oldSelf.deleteExtra) && has(self.raiseCounters) == has(oldSelf.raiseCounters) && (!has(self.raiseCounters) || self.raiseCounters == oldSelf.raiseCounters) && has(self.quotas) == has(oldSelf.quotas) && (!has(self.quotas) || self.quotas == oldSelf.quotas)"
    ).message("what is restored, and from where, cannot be changed: create another ZooKeeperRestore (dryRun, approvedPlan and changedSincePlan can be changed)"),
    validation = kube::core::Rule::new("(has(self.at) ? 1 : 0) + (has(self.backup) ? 1 : 0) + (has(self.undo) ? 1 : 0) == 1")
        .message("name one of at (a zxid or a time), backup (a ZooKeeperBackup) and undo (the zxid of a transaction)"),
    validation = kube::core::Rule::new("!has(self.undo) || (!has(self.from) && !has(self.exclusive) && !has(self.paths) && !has(self.znodes) && !has(self.to) && !has(self.existing) && !has(self.newerThan) && !has(self.deleteExtra) && !has(self.quotas))")
        .message("undo is of a transaction in the ensemble's own archive, and of exactly the znodes that it changed: from, exclusive, paths, znodes, to, existing, newerThan, deleteExtra and quotas do not go with it"),
    validation = kube::core::Rule::new("!has(self.backup) || (!has(self.from) && !has(self.exclusive))")
        .message("backup is a point with its last transaction, in the ensemble's own archive or the backup's own store: use at instead, with from or exclusive"),
    validation = kube::core::Rule::new("has(self.undo) || (has(self.paths) && size(self.paths) > 0) || (has(self.znodes) && size(self.znodes) > 0)")
        .message("name at least one of paths (subtrees; / is everything) and znodes (single ones)"),
    validation = kube::core::Rule::new("!has(self.to) || (has(self.paths) ? size(self.paths) : 0) + (has(self.znodes) ? size(self.znodes) : 0) == 1")
        .message("to is one other path for one path: restore one after the other"),
    validation = kube::core::Rule::new("!has(self.newerThan) || (has(self.existing) && self.existing == 'KeepNewer')")
        .message("newerThan goes with existing: KeepNewer"),
    validation = kube::core::Rule::new("!has(self.deleteExtra) || !self.deleteExtra || (has(self.existing) && self.existing == 'Overwrite')")
        .message("deleteExtra goes with existing: Overwrite: what was not there at the point came later, so Keep and KeepNewer keep it"),
    validation = kube::core::Rule::new("!has(self.dryRun) || self.dryRun || has(self.approvedPlan) || (!has(self.undo) && (!has(self.existing) || self.existing == 'Keep') && (!has(self.quotas) || !self.quotas))")
        .message("with undo, with existing: Overwrite or KeepNewer, and with quotas, dryRun: false needs approvedPlan, the hash of a plan that somebody has looked at (status.plan.hash): a manifest that is applied again months later would overwrite what was written since, or bring back a limit that refuses the next write"),
    validation = kube::core::Rule::new("!has(self.deleteExtra) || !self.deleteExtra || !has(self.changedSincePlan) || self.changedSincePlan == 'Fail'")
        .message("deleteExtra goes with changedSincePlan: Fail: a new plan would delete what nobody has seen in the approved one"),
    validation = kube::core::Rule::new("!has(self.from) || !has(self.existing) || self.existing != 'KeepNewer'")
        .message("existing: KeepNewer compares zxids, which mean something only within one ensemble's history: use Keep or Overwrite with from")
)]
pub struct ZooKeeperRestoreSpec {
    /// The `ZooKeeperEnsemble` in this namespace whose znodes are brought back.
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("ensemble must be the name of a ZooKeeperEnsemble in this namespace: small letters, digits and '-'"))]
    pub ensemble: String,

    /// The archive of another ensemble. Default: the ensemble's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RestoreFrom>,

    /// The point: a zxid such as "0x10000002a", or a time with its zone such as 2026-11-23T19:52:00Z. A zxid needs the quotes: YAML
    /// takes it for a number without them. Either this, or backup, or undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 40))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^0x([1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$') || (self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$') && timestamp(self).getFullYear() > 2000)")
        .message("at must be a zxid such as 0x10000002a or a time with its zone such as 2026-11-23T19:52:00Z"))]
    pub at: Option<String>,

    /// The `ZooKeeperBackup` in this namespace whose point it is. It is waited for until it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("backup must be the name of a ZooKeeperBackup in this namespace: small letters, digits, '-' and '.'"))]
    pub backup: Option<String>,

    /// Undoes one transaction, instead of going back to a point. Write its zxid in quotes, such as "0x10000002a"; menagerie log dump shows
    /// the zxid of each transaction in the archive. Znodes that it created are deleted, those that it deleted are created again, and those
    /// that it set get the data and the ACL back that they had before. What somebody has changed since stays as it is, and the plan lists
    /// it. Sessions' znodes, the membership and what is below /zookeeper are never undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 18))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^0x([1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$')")
        .message("undo must be a zxid such as 0x10000002a"))]
    pub undo: Option<String>,

    /// Whether the point is just before that transaction or time. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<bool>,

    /// Znodes with all below them; / is everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    #[x_kube(validation = kube::core::Rule::new("self.all(path, path.startsWith('/') && (path == '/' || !path.endsWith('/')) && !path.contains('//') && !path.contains('\\u0000') && !path.matches('/[.][.]?(/|$)') && !path.matches('^/zookeeper(/|$)'))")
        .message("paths must be znodes' paths such as /app, and not below /zookeeper, which is ZooKeeper's own"))]
    pub paths: Option<Vec<String>>,

    /// Znodes without those below them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    #[x_kube(validation = kube::core::Rule::new("self.all(path, path.startsWith('/') && (path == '/' || !path.endsWith('/')) && !path.contains('//') && !path.contains('\\u0000') && !path.matches('/[.][.]?(/|$)') && !path.matches('^/zookeeper(/|$)'))")
        .message("znodes must be znodes' paths such as /app/config, and not below /zookeeper, which is ZooKeeper's own"))]
    pub znodes: Option<Vec<String>>,

    /// Restore to this path instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = kube::core::Rule::new("self.startsWith('/') && (self == '/' || !self.endsWith('/')) && !self.contains('//') && !self.contains('\\u0000') && !self.matches('/[.][.]?(/|$)') && !self.matches('^/zookeeper(/|$)')")
        .message("to must be a znode's path such as /app-before, and not below /zookeeper, which is ZooKeeper's own"))]
    pub to: Option<String>,

    /// What happens to znodes that exist and differ: Keep (they stay, default), `KeepNewer` (they stay if their data was set after newerThan)
    /// or Overwrite (they become as they were).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingPolicy>,

    /// With `KeepNewer`: up to this transaction znodes are overwritten. Default: the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 18))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^0x([1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$')")
        .message("newerThan must be a zxid such as 0x10000002a"))]
    pub newer_than: Option<String>,

    /// Whether znodes that were not there at the point are deleted. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_extra: Option<bool>,

    /// Whether sequence counters that would be lower than they were at the point are raised, so that no sequential name comes twice. At
    /// most 100000 numbers in all; what is beyond stays lower, and the plan says so. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise_counters: Option<bool>,

    /// Whether the limits of quotas come back as well, of the znodes that are restored: first those of which no hard limit becomes lower, so
    /// that what comes back has room, and the others after all else. Default: false. Quotas do not go with the znodes that they are for, so
    /// most of them are still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<bool>,

    /// Whether nothing is changed: there is a plan, and no more. Default: true. false carries the plan out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,

    /// Carry out only the plan with this hash, which status.plan.hash shows; with changedSincePlan: Replan, what others have changed since
    /// is planned anew. Needed with undo, and with existing: Overwrite and `KeepNewer`; default: whatever was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[0-9a-f]{64}$')")
        .message("approvedPlan must be the hash of a plan, as status.plan.hash: 64 hexadecimal digits"))]
    pub approved_plan: Option<String>,

    /// What happens if others have changed the same znodes since the plan was made: Fail (default) or Replan, which goes on with a new
    /// plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_since_plan: Option<ChangedPolicy>,

    /// CPU and memory of the Jobs. Default: requests of 100m and 256Mi, and a limit of 2Gi of memory. The tree at the point has to fit.
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

/// The archive of another ensemble.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new(ONE_STORE).message(ONE_STORE_WORDS))]
pub struct RestoreFrom {
    /// The bucket of the archive, of S3 or of a store that speaks its protocol. The credentials may also put: the plan is stored there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Spec>,
    /// The bucket of the archive, of Google Cloud Storage. The credentials may also put: the plan is stored there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsSpec>,
    /// The container of the archive, of Azure Blob Storage. The credentials may also put: the plan is stored there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureSpec>,
    /// The identity of the ensemble that was archived: its status.identity, and what menagerie archive list shows.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9-]+$')")
        .message("from.identity must be an identity, as status.identity of a ZooKeeperEnsemble: small letters, digits and '-'"))]
    pub identity: String,
}

impl RestoreFrom {
    /// The one store that it names; `None` if that is none, or several, which the API server refuses.
    pub fn store(&self) -> Option<StoreSpec<'_>> {
        StoreSpec::one(self.s3.as_ref(), self.gcs.as_ref(), self.azure.as_ref())
    }
}

/// What happens to znodes that exist and differ.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExistingPolicy {
    /// They stay.
    #[default]
    Keep,
    /// They stay if their data was set after newerThan.
    KeepNewer,
    /// They become as they were.
    Overwrite,
}

/// What happens if others have changed the same znodes since the plan was made.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangedPolicy {
    /// Nothing more is done.
    #[default]
    Fail,
    /// It goes on with a new plan.
    Replan,
}

/// How far a restore is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pending, Planning, Planned, Applying, Completed or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// Planned; Completed; and Ended, which is true when it was completed and when it has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The archive with the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Identity of the ensemble that the plan is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How often the Job's pod was gone before its report was read. After five times no plan is made any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports_lost: Option<i32>,
    /// What is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<RestorePlan>,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<RestoreApplied>,
}

/// How far a restore is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestorePhase {
    /// Something that it needs is not there.
    #[default]
    Pending,
    /// A Job makes the plan.
    Planning,
    /// The plan is there, and nothing is changed before dryRun is false.
    Planned,
    /// A Job carries the plan out.
    Applying,
    /// The plan is carried out.
    Completed,
    /// It ended before that.
    Failed,
}

/// A plan, in numbers. The whole plan is an object of the archive, and its first lines are in the planning Job's log.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RestorePlan {
    /// The pod whose log shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Its SHA-256, over the point, the wanted znodes with their data, and every change.
    pub hash: String,
    /// The last transaction before the point; of an undo, the zxid just before the transaction's.
    pub zxid: String,
    /// Changes in all.
    pub changes: i64,
    /// Znodes to create.
    pub create: i64,
    /// Znodes whose data is to be set.
    pub set: i64,
    /// Znodes whose ACL is to be set.
    pub set_acl: i64,
    /// Znodes to delete.
    pub delete: i64,
    /// Znodes that are as they were.
    pub equal: i64,
    /// Znodes that are left alone, for a reason each.
    pub skipped: i64,
    /// Znodes that were not there at the point.
    pub extra: i64,
    /// Znodes below which sequence numbers will be lower than they were at the point.
    #[serde(default)]
    pub counters: i64,
    /// Sequence counters to raise.
    #[serde(default)]
    pub raise: i64,
    /// Hard limits of quotas that are lower than what there would be, and quotas whose limits no server can read: servers with
    /// enforceQuota=true refuse that.
    #[serde(default)]
    pub quotas: i64,
    /// Quotas to make, or whose limits are to be set.
    #[serde(default)]
    pub set_quota: i64,
}

/// What was done.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreApplied {
    /// Changes that the last Job's last pod was told are done. What earlier ones did is not in it.
    pub changes: i64,
    /// Znodes that others had changed since the plan was made, with changedSincePlan: Replan.
    pub changed_by_others: i64,
}
