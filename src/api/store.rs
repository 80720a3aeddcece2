//! Where an archive may be: a spec for each kind of store.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Wherever a store may be named, by a field for each kind.
pub(super) const ONE_STORE: &str = "[has(self.s3), has(self.gcs), has(self.azure)].exists_one(named, named)";
/// An address with the bucket before it, as consoles show it, of a store that is known to have such: the bucket goes into the path.
const ENDPOINT_OF_BUCKET: &str = "!has(self.endpoint) \
     || !(self.endpoint.startsWith('https://' + self.bucket + '.') || self.endpoint.startsWith('http://' + self.bucket + '.')) \
     || !(self.endpoint.startsWith('https://' + self.bucket + '.s3') || self.endpoint.startsWith('http://' + self.bucket + '.s3') \
     || self.endpoint.matches('[.](amazonaws|digitaloceanspaces|backblazeb2|wasabisys|aliyuncs|linodeobjects|vultrobjects|your-objectstorage|cloudflarestorage)[.]com(:[0-9]+)?/?$'))";
/// What is said otherwise.
const ENDPOINT_OF_BUCKET_WORDS: &str =
    "s3.endpoint begins with the bucket's name: write the address without it, since the bucket goes into the path";
/// What is said otherwise.
pub(super) const ONE_STORE_WORDS: &str = "name one of s3, gcs and azure";

/// A bucket of S3, or of a store that speaks its protocol.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new(ENDPOINT_OF_BUCKET).message(ENDPOINT_OF_BUCKET_WORDS))]
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
    /// A proxy by which the store is reached: http://HOST:PORT. Default: none, or the one that `HTTPS_PROXY` of the container names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^http://[A-Za-z0-9.:_\\\\[\\\\]-]+/?$')")
        .message("s3.proxy must be http://HOST:PORT, without credentials, path or query"))]
    pub proxy: Option<String>,
    /// How the store encrypts what is stored, where its own default is not wanted. What is there already stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<EncryptionSpec>,
    /// Encrypts what is archived before it leaves the pod, with keys of your own that the store never has. An archive is encrypted from its
    /// beginning or not at all. Whoever loses the keys loses the archive: keep a copy of them outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_keys: Option<KeysSpec>,
}

/// Keys with which menagerie itself encrypts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeysSpec {
    /// Secret of which each entry is a key: 64 hexadecimal digits or the Base64 of 32 random bytes. All of them read. Read again when it
    /// changes.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("encryptionKeys.secret must be the name of a Secret"))]
    pub secret: String,
    /// The entry that encrypts what is stored from now on. Default: the only one; of several, one has to be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[-._a-zA-Z0-9]+$') && !self.matches('^[.]')")
        .message("encryptionKeys.writeWith must be a key of the Secret"))]
    pub write_with: Option<String>,
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

/// A bucket of Google Cloud Storage.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GcsSpec {
    /// Its name.
    #[schemars(length(min = 3, max = 222))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9][a-z0-9._-]*[a-z0-9]$')")
        .message("gcs.bucket must be the name of a bucket: small letters, digits, '.', '_' and '-'"))]
    pub bucket: String,
    /// What all names in it begin with, such as backups/zookeeper. Ensembles may share it: each has a folder of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$') && !self.matches('(^|/)[.]+(/|$)')")
        .message("gcs.prefix must be names of letters, digits, '.', '_' and '-' with '/' between them"))]
    pub prefix: Option<String>,
    /// Address of the store, where it is not Google's public one: https://HOST:PORT. With http:// everything in the ensemble crosses the
    /// network readable, and the condition Warning says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^https?://[A-Za-z0-9.:_\\\\[\\\\]-]+/?$')")
        .message("gcs.endpoint must be https://HOST or https://HOST:PORT (or http://, with a warning), without credentials, path or query"))]
    pub endpoint: Option<String>,
    /// Secret with the key serviceAccountKey: the JSON key of a service account. Where it is archived to, and to plan a restore, the
    /// account may create, get and list objects below the prefix; to make a new ensemble from it, get and list. It need not be able to
    /// delete any. Default: the pod's own identity, as Workload Identity of GKE gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("gcs.credentialsSecret must be the name of a Secret"))]
    pub credentials_secret: Option<String>,
    /// Certificates of CAs of your own, beside the public ones. Read again when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSpec>,
    /// A proxy by which the store is reached: http://HOST:PORT. Default: none, or the one that `HTTPS_PROXY` of the container names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^http://[A-Za-z0-9.:_\\\\[\\\\]-]+/?$')")
        .message("gcs.proxy must be http://HOST:PORT, without credentials, path or query"))]
    pub proxy: Option<String>,
    /// Encrypts what is archived before it leaves the pod, with keys of your own that the store never has. An archive is encrypted from its
    /// beginning or not at all. Whoever loses the keys loses the archive: keep a copy of them outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_keys: Option<KeysSpec>,
}

/// A container of Azure Blob Storage.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AzureSpec {
    /// The storage account that has it.
    #[schemars(length(min = 3, max = 24))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]+$')")
        .message("azure.account must be the name of a storage account: small letters and digits"))]
    pub account: String,
    /// Its name.
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')")
        .message("azure.container must be the name of a container: small letters, digits and '-'"))]
    pub container: String,
    /// What all names in it begin with, such as backups/zookeeper. Ensembles may share it: each has a folder of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$') && !self.matches('(^|/)[.]+(/|$)')")
        .message("azure.prefix must be names of letters, digits, '.', '_' and '-' with '/' between them"))]
    pub prefix: Option<String>,
    /// Address of the store, where it is not ACCOUNT.blob.core.windows.net: https://HOST:PORT, or https://HOST:PORT/ACCOUNT where accounts
    /// are below a path. With http:// everything in the ensemble crosses the network readable, and the condition Warning says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^https?://[A-Za-z0-9.:_\\\\[\\\\]-]+(/[a-z0-9]+)?/?$')")
        .message("azure.endpoint must be https://HOST:PORT or https://HOST:PORT/ACCOUNT (or http://, with a warning), without credentials or query"))]
    pub endpoint: Option<String>,
    /// Secret with the key accountKey: an access key of the storage account. Default: the pod's own identity, as Workload Identity of
    /// AKS gives it; where it is archived to, and to plan a restore, that may read, list and create blobs, and to make a new ensemble
    /// from it, read and list. It need not be able to delete any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("azure.credentialsSecret must be the name of a Secret"))]
    pub credentials_secret: Option<String>,
    /// Certificates of CAs of your own, beside the public ones. Read again when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSpec>,
    /// A proxy by which the store is reached: http://HOST:PORT. Default: none, or the one that `HTTPS_PROXY` of the container names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^http://[A-Za-z0-9.:_\\\\[\\\\]-]+/?$')")
        .message("azure.proxy must be http://HOST:PORT, without credentials, path or query"))]
    pub proxy: Option<String>,
    /// Encrypts what is archived before it leaves the pod, with keys of your own that the store never has. An archive is encrypted from its
    /// beginning or not at all. Whoever loses the keys loses the archive: keep a copy of them outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_keys: Option<KeysSpec>,
}

/// The store that a spec names, of one kind or another.
#[derive(Clone, Copy, Debug)]
pub enum StoreSpec<'a> {
    /// S3, or what speaks its protocol.
    S3(&'a S3Spec),
    /// Google Cloud Storage.
    Gcs(&'a GcsSpec),
    /// Azure Blob Storage.
    Azure(&'a AzureSpec),
}

impl<'a> StoreSpec<'a> {
    /// The one of these that is named; `None` if that is none, or several.
    pub(super) fn one(s3: Option<&'a S3Spec>, gcs: Option<&'a GcsSpec>, azure: Option<&'a AzureSpec>) -> Option<Self> {
        match (s3, gcs, azure) {
            (Some(s3), None, None) => Some(Self::S3(s3)),
            (None, Some(gcs), None) => Some(Self::Gcs(gcs)),
            (None, None, Some(azure)) => Some(Self::Azure(azure)),
            _ => None,
        }
    }
}
