//! `spec.archive`: where and how committed transactions are archived.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where and how the ensemble's committed transactions are archived.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveSpec {
    /// A bucket of S3, or of a store that speaks its protocol.
    pub s3: S3Spec,
    /// Seconds from one look at the log to the next: what is committed is archived about that long after. A put for each look
    /// at which there is something: at 1, a busy month costs some 13 dollars of requests at Amazon. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: Option<i32>,
    /// How many members archive, each on its own, so that what one lacks the other has. Default: 2, or 1 where there is one
    /// voter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub copies: Option<i32>,
    /// Deletes what is older than is to be kept, by a `CronJob` of the ensemble. Default: nothing is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionSpec>,
}

/// How long what is archived is kept, and what deletes the rest.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionSpec {
    /// Every point of so many days can be built, before, while and after something is deleted. Points with a name (menagerie archive
    /// pin) stay longer.
    #[schemars(range(min = 1, max = 36500))]
    pub keep_days: i32,
    /// Secret with the keys accessKeyId and secretAccessKey, which may put, get, list and delete objects below the prefix. Default:
    /// that of s3.credentialsSecret, or the pod's own identity; better one of its own, so that members may delete nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("retention.credentialsSecret must be the name of a Secret"))]
    pub credentials_secret: Option<String>,
    /// When it runs, in UTC, as cron writes it: minute, hour, day of month, month, day of week. Default: once a day, at a minute that
    /// follows from the ensemble's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    #[x_kube(validation = kube::core::Rule::new(r"self.matches('^ *[^ ]+( +[^ ]+){4} *$')")
        .message("retention.schedule must be a cron expression of five fields such as \"30 3 * * *\": minute, hour, day of month, month, day of week"))]
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
pub struct FromSpec {
    /// The bucket of the archive.
    pub s3: S3Spec,
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
}

/// A bucket.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Spec {
    /// Its name.
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9][a-z0-9.-]*[a-z0-9]$')")
        .message("s3.bucket must be the name of a bucket: small letters, digits, '.' and '-'"))]
    pub bucket: String,
    /// What all names in it begin with, such as backups/zookeeper. Ensembles may share it: each has a folder of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$') && !self.matches('(^|/)[.]+(/|$)')")
        .message("s3.prefix must be names of letters, digits, '.', '_' and '-' with '/' between them"))]
    pub prefix: Option<String>,
    /// Its region. Default: us-east-1, which most stores but Amazon's ignore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9-]+$')")
        .message("s3.region must be a region such as eu-central-1"))]
    pub region: Option<String>,
    /// Address of the store, where it is not Amazon's: https://HOST:PORT. With http:// everything in the ensemble crosses the network
    /// readable, and the condition Warning says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^https?://[A-Za-z0-9.:_\\\\[\\\\]-]+/?$')")
        .message("s3.endpoint must be https://HOST or https://HOST:PORT (or http://, with a warning), without credentials, path or query"))]
    pub endpoint: Option<String>,
    /// Secret with the keys accessKeyId and secretAccessKey. Where it is archived to, and to plan a restore, they may put, get and list
    /// objects below the prefix; to make a new ensemble from it, get and list. They need not be able to delete any. Default: the pod's own identity, such as EKS gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("s3.credentialsSecret must be the name of a Secret"))]
    pub credentials_secret: Option<String>,
    /// Certificates of CAs of your own, beside the public ones: for a store with a certificate of such a CA, or a proxy that looks into
    /// what it passes on. Read again when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSpec>,
    /// A proxy by which the store is reached: http://HOST:PORT. Default: none, or the one that HTTPS_PROXY of the container names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^http://[A-Za-z0-9.:_\\\\[\\\\]-]+/?$')")
        .message("s3.proxy must be http://HOST:PORT, without credentials, path or query"))]
    pub proxy: Option<String>,
    /// How the store encrypts what is stored, where its own default is not wanted. What is there already stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<EncryptionSpec>,
}

/// How a store encrypts what is stored.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new("!has(self.kmsKey) || self.type == 'aws:kms'")
    .message("encryption.kmsKey goes with type: aws:kms"))]
pub struct EncryptionSpec {
    /// AES256: with keys of the store. aws:kms: with a key of the store's key management.
    #[serde(rename = "type")]
    pub type_: EncryptionType,
    /// The key: its ARN, id or alias. Default: the store's own for S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[A-Za-z0-9:/_.-]+$')")
        .message("encryption.kmsKey must be the ARN, the id or the alias of a key"))]
    pub kms_key: Option<String>,
}

/// Whose keys a store encrypts with.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncryptionType {
    /// The store's.
    #[default]
    #[serde(rename = "AES256")]
    Aes256,
    /// Those of its key management.
    #[serde(rename = "aws:kms")]
    Kms,
}

impl EncryptionType {
    /// As S3 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "aws:kms",
        }
    }
}

/// Where the certificates of CAs are, as PEM.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new("has(self.configMap) != has(self.secret)")
    .message("name one of ca.configMap and ca.secret"))]
pub struct CaSpec {
    /// A ConfigMap that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("ca.configMap must be the name of a ConfigMap"))]
    pub config_map: Option<String>,
    /// A Secret that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("ca.secret must be the name of a Secret"))]
    pub secret: Option<String>,
    /// The key under which it has them. Default: ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[-._a-zA-Z0-9]+$') && !self.matches('^[.]')")
        .message("ca.key must be a key of a ConfigMap or Secret"))]
    pub key: Option<String>,
}
