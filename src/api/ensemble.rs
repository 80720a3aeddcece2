//! `ZooKeeperEnsemble`: the spec that users write.
//!
//! Invariant: the operator follows every field, or refuses it with a sentence that says why. It computes defaults
//! whenever it reads a spec, and never writes them into the spec.

#![expect(
    clippy::struct_field_names,
    reason = "`onScaleDown`, `onLoss` and `onDelete` each name the event that they are about"
)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::archive::{ArchiveSpec, FromSpec};
use super::pod_template::PodTemplate;
use super::status::EnsembleStatus;

/// A ZooKeeper ensemble: how many voters, which version, how they are configured and stored.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "menagerie.dev",
    version = "v1alpha1",
    kind = "ZooKeeperEnsemble",
    plural = "zookeeperensembles",
    shortname = "zke",
    category = "menagerie",
    namespaced,
    status = "EnsembleStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready", description = "Voters that serve and are synced, of those that vote or are asked for"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "The oldest version of ZooKeeper that a member runs"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader"),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Archive", type_ = "string", json_path = r#".status.conditions[?(@.type=="ContinuousArchiving")].reason"#, description = "Whether what is committed is archived, or why not; nothing without an archive"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Wanted", type_ = "string", json_path = ".spec.version", priority = 1, description = "The version of ZooKeeper that is asked for"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoints.client", priority = 1),
    validation = kube::core::Rule::new("self.metadata.name.size() <= 50")
        .message("metadata.name must be at most 50 characters: pods, Services and labels are made from it"),
    validation = kube::core::Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must start with a letter and hold only a-z, 0-9 and '-': Services are named after it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = kube::core::Rule::new(
        "(has(self.storage) && has(self.storage.class) ? self.storage.class : 'the default') == (has(oldSelf.storage) && has(oldSelf.storage.class) ? oldSelf.storage.class : 'the default')"
    ).message("storage.class cannot be changed: the volumes exist already; delete an ensemble that never had a quorum and create it again, or create a new one with the other class"),
    validation = kube::core::Rule::new(
        "(has(self.storage) && has(self.storage.ephemeral) && self.storage.ephemeral) == (has(oldSelf.storage) && has(oldSelf.storage.ephemeral) && oldSelf.storage.ephemeral)"
    ).message("storage.ephemeral cannot be changed: the members' data would be left behind; create a new ensemble"),
    validation = kube::core::Rule::new(
        "(has(self.storage) && has(self.storage.size) ? self.storage.size : '') == (has(oldSelf.storage) && has(oldSelf.storage.size) ? oldSelf.storage.size : '')"
    ).message("storage.size cannot be changed yet: expanding volumes is not supported by this version of the operator"),
    validation = kube::core::Rule::new("has(self.from) == has(oldSelf.from) && (!has(self.from) || self.from == oldSelf.from)")
        .message("from cannot be changed: it is what the ensemble was made from; to make one from another point, create a new one"),
    validation = kube::core::Rule::new(
        "!has(self.jvm) || !has(self.jvm.heap) || !has(self.resources) || !has(self.resources.limits) || !('memory' in self.resources.limits) || !isQuantity(self.jvm.heap) || !isQuantity(string(self.resources.limits['memory'])) || quantity(self.jvm.heap).isLessThan(quantity(string(self.resources.limits['memory'])))"
    ).message("jvm.heap must be smaller than resources.limits.memory: the JVM needs memory besides its heap")
)]
pub struct ZooKeeperEnsembleSpec {
    /// Number of voters, 1 to 15. Odd numbers are best: a fourth voter tolerates no failure more than three do.
    #[x_kube(validation = kube::core::Rule::new("self >= 1 && self <= 15")
        .message("replicas must be between 1 and 15: none serves nobody, and beyond 15 every write waits for too many voters"))]
    pub replicas: i32,

    /// ZooKeeper version, MAJOR.MINOR.PATCH such as 3.9.5; also the image's tag unless `image.tag` says otherwise.
    #[schemars(length(max = 16))]
    #[x_kube(
        validation = kube::core::Rule::new(r"self.matches('^3\\.[0-9]{1,2}\\.[0-9]{1,3}$')")
            .message("version must be a ZooKeeper version MAJOR.MINOR.PATCH such as 3.9.5"),
        validation = kube::core::Rule::new(r"!self.matches('^3\\.[0-7]\\.')")
            .message("version must be 3.8.0 or later: older servers are no longer maintained and lose data in known ways")
    )]
    pub version: String,

    /// Where the ZooKeeper image comes from. Default: `docker.io/library/zookeeper`, tagged with `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,

    /// Options of ZooKeeper, under their names in zoo.cfg. docs/settings.md says of each whether it is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 100, "additionalProperties" = serde_json::json!({"type": "string", "maxLength": 1024})))]
    #[x_kube(
        validation = kube::core::Rule::new("self.all(k, !(k in ['dataDir', 'dataLogDir', 'dynamicConfigFile', 'peerType', 'oraclePath']))")
            .message("config must not set dataDir, dataLogDir, dynamicConfigFile, peerType or oraclePath: the operator places the files and keeps the membership"),
        validation = kube::core::Rule::new("self.all(k, !(k.startsWith('server.') || k.startsWith('group.') || k.startsWith('weight.')))")
            .message("config must not name servers, groups or weights: set replicas, and the operator changes the membership one step at a time"),
        validation = kube::core::Rule::new("self.all(k, !(k in ['clientPort', 'clientPortAddress', 'secureClientPort', 'secureClientPortAddress', 'quorumListenOnAllIPs', 'electionPortBindRetry']))")
            .message("config must not set ports or listen addresses: Services and the membership depend on them"),
        validation = kube::core::Rule::new("self.all(k, !(k in ['standaloneEnabled', 'reconfigEnabled', 'skipACL', 'localSessionsEnabled', 'localSessionsUpgradingEnabled']))")
            .message("config must not set standaloneEnabled, reconfigEnabled, skipACL or local sessions: scaling without losing a write depends on them"),
        validation = kube::core::Rule::new("self.all(k, !(k.endsWith('db.autocreate') || k.endsWith('datadir.autocreate') || k in ['snapshot.trust.empty', 'forceSync']))")
            .message("config must not set db.autocreate, datadir.autocreate, snapshot.trust.empty or forceSync: acknowledged writes could be lost"),
        validation = kube::core::Rule::new("self.all(k, !(k.startsWith('admin.') || k.startsWith('DigestAuthenticationProvider.') || k.startsWith('enforce.auth.') || k == 'sessionRequireClientSASLAuth'))")
            .message("config must not set admin.*, DigestAuthenticationProvider.*, enforce.auth.* or sessionRequireClientSASLAuth: the operator and its agents ask and log in that way"),
        validation = kube::core::Rule::new(r"self.all(k, k.matches('^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'))")
            .message("config keys may hold only letters, digits, '.', '_' and '-'"),
        validation = kube::core::Rule::new(r"self.all(k, !self[k].contains('\n') && !self[k].contains('\r'))")
            .message("config values must be one line"),
        validation = kube::core::Rule::new(r"self.all(k, !self[k].contains('\\'))")
            .message("config values must not hold a backslash: ZooKeeper writes zoo.cfg anew without escaping, and the next line would be swallowed"),
        validation = kube::core::Rule::new("self.all(k, !k.startsWith('zookeeper.') && !k.startsWith('menagerie.'))")
            .message("config keys must not begin with 'zookeeper.', which ZooKeeper adds by itself, nor with 'menagerie.', which is the agent's")
    )]
    pub config: Option<BTreeMap<String, String>>,

    /// The server's Java virtual machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jvm: Option<JvmSpec>,

    /// The members' volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,

    /// Resources of the ZooKeeper container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// The ACL of `/`. Default: everybody may create, read and delete top-level znodes, and nobody may set the ACL of `/`;
    /// an ACL that somebody else has set is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub root_acl: Option<Vec<AclEntry>>,

    /// Keeps every committed transaction in an object store. Default: none is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,

    /// What a new ensemble begins with: another one's tree, from its archive. It cannot be changed. Default: an empty tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<FromSpec>,

    /// The agent beside each server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSpec>,

    /// When members may be restarted to take a change over. Default: at once, one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,

    /// Changes to the members' pods, merged over what the operator renders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// An entry of an access control list.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = kube::core::Rule::new("self.scheme != 'world' || self.id == 'anyone'")
        .message("the only id of the scheme world is anyone"),
    validation = kube::core::Rule::new(r"self.scheme != 'digest' || self.id.matches('^[^:]+:[A-Za-z0-9+/]{27}=$')")
        .message("a digest id is USER:HASH, with the SHA-1 of USER:PASSWORD in base64 (28 characters) and never the password itself: printf '%s' 'USER:PASSWORD' | openssl dgst -sha1 -binary | base64")
)]
pub struct AclEntry {
    /// `world`, `digest`, `ip`, `sasl`, `x509`, or that of another provider.
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = kube::core::Rule::new("self.matches('^[A-Za-z0-9._-]+$')").message("rootAcl[].scheme must be the name of a scheme such as world, digest or sasl"),
        validation = kube::core::Rule::new("self != 'auth'")
            .message("the scheme auth stands for whoever asks, which here is the operator: name a digest, sasl or x509 id")
    )]
    pub scheme: String,
    /// Whom, in the scheme's own form; `anyone` for `world`.
    #[schemars(length(min = 1, max = 1024))]
    pub id: String,
    /// Rights: `c` create and `d` delete children, `r` read, `w` write data, `a` set the ACL.
    #[schemars(length(max = 5))]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[cdrwa]+$')")
        .message("rootAcl[].perms must be made of c, d, r, w and a"))]
    pub perms: String,
}

/// When members that serve may be restarted. Those that do not serve are never made to wait.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = kube::core::Rule::new("(has(self.mode) && self.mode == 'Windows') == has(self.windows)")
        .message("updatePolicy.windows belongs to updatePolicy.mode Windows: set both or neither")
)]
pub struct UpdatePolicy {
    /// At once, after an approval, or in windows. Default: Automatic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<UpdateMode>,
    /// When restarts may begin, under `mode: Windows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub windows: Option<Vec<UpdateWindow>>,
    /// Seconds after which a restarted member that does not serve is called failed; the others are not restarted before
    /// it serves. Default: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86400))]
    pub deadline_seconds: Option<i32>,
}

/// Who decides when members are restarted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMode {
    /// At once.
    #[default]
    Automatic,
    /// After somebody approved of the revision by annotation.
    Supervised,
    /// While a window is open.
    Windows,
}

/// A time in which restarts may begin.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateWindow {
    /// When it opens, as cron writes it: minute, hour, day of month, month, day of week.
    #[schemars(length(min = 9, max = 128))]
    pub opens: String,
    /// Time zone such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// For how long it is open.
    #[schemars(range(min = 1, max = 10080))]
    pub minutes: i32,
}

/// Where the ZooKeeper image comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageSpec {
    /// Repository without a tag. Any image with `zkServer.sh` on its PATH will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = kube::core::Rule::new(r"!self.matches('.*(@|:[^/]*$)')")
        .message("image.repository must not hold a tag or digest: put them into image.tag, as 3.9.5 or 3.9.5@sha256:…"))]
    pub repository: Option<String>,
    /// Tag, with a digest behind it if you like: 3.9.5@sha256:…. Default: `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    #[x_kube(validation = kube::core::Rule::new(r"self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-f]{64})?$')")
        .message("image.tag must be a tag such as 3.9.5-jre-17, with or without a digest behind it: 3.9.5@sha256:…"))]
    pub tag: Option<String>,
    /// When to pull. Default: the kubelet's own rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Names of Secrets with registry credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub pull_secrets: Option<Vec<String>>,
}

/// The operator's own containers in each member's pod: `prepare` and `agent`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSpec {
    /// Resources of each of them, merged over the defaults: requests of 10m and 24Mi, a memory limit of 96Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

/// When the kubelet pulls the image.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When it is not there.
    IfNotPresent,
    /// Never.
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Heap and flags of the server's Java virtual machine.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = kube::core::Rule::new(
        "!has(self.heap) || !has(self.flags) || self.flags.all(f, !f.startsWith('-Xmx') && !f.startsWith('-Xms') && !f.startsWith('-XX:MaxHeapSize') && !f.startsWith('-XX:InitialHeapSize'))"
    ).message("jvm.heap and -Xmx, -Xms, -XX:MaxHeapSize or -XX:InitialHeapSize in jvm.flags contradict each other: set one of them"))]
pub struct JvmSpec {
    /// Heap, such as 1Gi. Default: the memory limit less a quarter of it, and less 128Mi at least; 512Mi without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = kube::core::Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('32Mi')) >= 0")
        .message("jvm.heap must be a quantity of at least 32Mi, such as 1Gi"))]
    pub heap: Option<String>,
    /// Further flags, one an entry, such as -XX:+UseZGC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    #[x_kube(
        validation = kube::core::Rule::new(r"self.all(f, f.matches('^-[^\\s]+$'))")
            .message("jvm.flags must be flags: each starts with '-' and holds no space"),
        validation = kube::core::Rule::new("self.all(f, !f.contains('RAMPercentage'))")
            .message("jvm.flags must not set RAM percentages: zkServer.sh always sets -Xmx, which wins; use jvm.heap"),
        validation = kube::core::Rule::new("self.all(f, !f.startsWith('-Dzookeeper.') || !(f.contains('DigestAuthenticationProvider') || f.contains('autocreate') || f.contains('skipACL') || f.contains('.admin.') || f.contains('trust.empty') || f.contains('forceSync')))")
            .message("jvm.flags must not set DigestAuthenticationProvider.*, autocreate, skipACL, admin.*, snapshot.trust.empty or forceSync: the operator owns them")
    )]
    pub flags: Option<Vec<String>>,
}

/// The members' volumes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = kube::core::Rule::new("!(has(self.ephemeral) && self.ephemeral) || (!has(self.class) && !has(self.reclaim))")
        .message("storage.ephemeral contradicts storage.class and storage.reclaim: an ephemeral member has no volume claim")
)]
pub struct StorageSpec {
    /// Size of each member's volume. Default: 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = kube::core::Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('64Mi')) >= 0")
        .message("storage.size must be a quantity of at least 64Mi, such as 10Gi"))]
    pub size: Option<String>,
    /// Storage class; empty for volumes without a class. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = kube::core::Rule::new(r"self.matches('^[a-z0-9.-]*$')")
        .message("storage.class must be the name of a StorageClass, or empty for volumes without one"))]
    pub class: Option<String>,
    /// Keep the data in the pod only. A member that loses its pod rejoins empty; losing all of them loses the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<bool>,
    /// What becomes of the claims. Default: they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim: Option<Reclaim>,
}

/// What becomes of a member's claim once nobody uses it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reclaim {
    /// After the member was removed by scaling down. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_scale_down: Option<ReclaimPolicy>,
    /// After its volume became unreachable for good: the node that alone could reach it was deleted or marked out of
    /// service, and all other voters are synced. Default: Delete; the member begins anew elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_loss: Option<ReclaimPolicy>,
    /// After the ensemble was deleted. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<ReclaimPolicy>,
}

/// Keep a claim or delete it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReclaimPolicy {
    /// Keep the claim and its data.
    #[default]
    Retain,
    /// Delete the claim.
    Delete,
}
