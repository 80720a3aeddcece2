//! `spec.archive`: where and how committed transactions are archived.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::store::{AzureSpec, GcsSpec, ONE_STORE, ONE_STORE_WORDS, S3Spec, StoreSpec};

/// Where and how the ensemble's committed transactions are archived.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new(ONE_STORE).message(ONE_STORE_WORDS))]
pub struct ArchiveSpec {
    /// A bucket of S3, or of a store that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Spec>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsSpec>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureSpec>,
    /// Seconds from one look at the log to the next: what is committed is archived about that long after. A put for each look
    /// at which there is something: at 1, a busy month costs some 13 dollars of requests at Amazon. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: Option<i32>,
    /// How many members archive, each on its own, so that what one lacks the other has: the first voters, and while one of them
    /// is away for two minutes and more another one as well. Default: 2, or 1 where there is one voter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub copies: Option<i32>,
    /// Deletes what is older than is to be kept, by a `CronJob` of the ensemble. Default: nothing is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionSpec>,
}

/// What Kubernetes knows of cron: a schedule that is refused later stops everything else of the ensemble.
const SCHEDULE: &str = r"self.matches('(?i)^ *([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]{1,3})?(,([*]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]{1,3})?)* +([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]{1,3})?(,([*]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]{1,3})?)* +([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]{1,3})?(,([*]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]{1,3})?)* +([*]|(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)(-(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC))?)(/[0-9]{1,3})?(,([*]|(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)(-(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC))?)(/[0-9]{1,3})?)* +([*]|([0-6]|SUN|MON|TUE|WED|THU|FRI|SAT)(-([0-6]|SUN|MON|TUE|WED|THU|FRI|SAT))?)(/[0-9]{1,3})?(,([*]|([0-6]|SUN|MON|TUE|WED|THU|FRI|SAT)(-([0-6]|SUN|MON|TUE|WED|THU|FRI|SAT))?)(/[0-9]{1,3})?)* *$')";

/// How long what is archived is kept, and what deletes the rest.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionSpec {
    /// Every point of so many days can be built, before, while and after something is deleted. Points with a name (menagerie archive
    /// pin) stay longer.
    #[schemars(range(min = 1, max = 36500))]
    pub keep_days: i32,
    /// Secret with the keys of the store's own credentialsSecret, which may put, get, list and delete objects below the prefix. Default:
    /// that Secret, or the pod's own identity; better one of its own, so that members may delete nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("retention.credentialsSecret must be the name of a Secret"))]
    pub credentials_secret: Option<String>,
    /// When it runs, in UTC, as cron writes it: minute, hour, day of month, month, day of week. Default: once a day, at a minute that
    /// follows from the ensemble's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    #[x_kube(validation = kube::core::Rule::new(SCHEDULE)
        .message("retention.schedule must be a cron expression of five fields such as \"30 3 * * *\": minute (0 to 59), hour (0 to 23), day of month (1 to 31), month (1 to 12), day of week (0 to 6, Sunday is 0); each *, a number or a name, a range, or several of them with ',', and steps with '/'"))]
    pub schedule: Option<String>,
    /// Whether no run begins for now. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Resources of the container that does it, over its own. Default: 50m and 64Mi, at most 1Gi of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

/// The point of an archive that a new ensemble begins with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new(ONE_STORE).message(ONE_STORE_WORDS))]
pub struct FromSpec {
    /// The bucket of the archive, of S3 or of a store that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Spec>,
    /// The bucket of the archive, of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsSpec>,
    /// The container of the archive, of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureSpec>,
    /// The identity of the ensemble that was archived: its status.identity, and what menagerie archive list shows.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9-]+$')")
        .message("from.identity must be an identity, as status.identity of a ZooKeeperEnsemble: small letters, digits and '-'"))]
    pub identity: String,
    /// The point: a zxid such as "0x10000002a", of a transaction that is in the archive, or a time with its zone such as
    /// 2026-11-23T19:52:00Z, after which something is in the archive. A zxid needs the quotes: YAML takes it for a number without
    /// them.
    #[schemars(length(min = 3, max = 40))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^0x[1-9a-f][0-9a-f]{0,15}$') || (self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$') && timestamp(self).getFullYear() > 2000)")
        .message("from.at must be a zxid such as 0x10000002a or a time with its zone such as 2026-11-23T19:52:00Z"))]
    pub at: String,
    /// The hash that the tree has there: status.treeHash of the `ZooKeeperBackup`. If what is built has another one, nothing is founded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[0-9a-f]{64}$')")
        .message("from.treeHash must be status.treeHash of a ZooKeeperBackup: 64 hexadecimal digits in small letters"))]
    pub tree_hash: Option<String>,
}

impl ArchiveSpec {
    /// The one store that it names; `None` if that is none, or several, which the API server refuses.
    pub fn store(&self) -> Option<StoreSpec<'_>> {
        StoreSpec::one(self.s3.as_ref(), self.gcs.as_ref(), self.azure.as_ref())
    }
}

impl FromSpec {
    /// The one store that it names; `None` if that is none, or several, which the API server refuses.
    pub fn store(&self) -> Option<StoreSpec<'_>> {
        StoreSpec::one(self.s3.as_ref(), self.gcs.as_ref(), self.azure.as_ref())
    }
}
