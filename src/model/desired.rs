//! A validated spec: it is read once, here, and every later stage uses only this.

use std::collections::BTreeMap;

use serde_json::Value;

use super::acl::Acl;
use super::archive::Archive;
use super::heap::Heap;
use super::invalid::{Invalid, InvalidSpec, all_of};
use super::parent::Parent;
use super::retention::Retention;
use super::store::ONE;
use super::window::Window;
use super::{amounts, quantity};
use crate::api::{
    AclEntry, ArchiveSpec, ImageSpec, PullPolicy, ReclaimPolicy, StorageSpec, StoreSpec, UpdateMode, UpdatePolicy,
    ZooKeeperEnsembleSpec,
};
use crate::settings::{self, UserSettings};

/// The most voters that an ensemble may have.
pub const MAX_REPLICAS: u32 = 15;
const DEFAULT_REPOSITORY: &str = "docker.io/library/zookeeper";
/// Stands for one that is wrong, while the rest is looked at.
const ANY_VERSION: &str = "3.9.5";
const DEFAULT_SIZE: &str = "10Gi";
const DEFAULT_DEADLINE: u64 = 600;
const MIB: u64 = 1 << 20;

/// A spec with its defaults, in which nothing is left to check.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Number of voters.
    pub replicas: u32,
    /// ZooKeeper's version.
    pub version: String,
    /// Image reference.
    pub image: String,
    /// When to pull the image.
    pub pull_policy: Option<PullPolicy>,
    /// Secrets with registry credentials.
    pub pull_secrets: Vec<String>,
    /// Keys of zoo.cfg.
    pub config: BTreeMap<String, String>,
    /// The server's heap.
    pub heap: Heap,
    /// Flags of the JVM, those among them that `config` asks for.
    pub jvm_flags: Vec<String>,
    /// What is passed on and unwise, or unknown: a sentence each.
    pub advice: Vec<String>,
    /// The members' volumes.
    pub storage: Storage,
    /// What becomes of claims after scaling down.
    pub on_scale_down: ReclaimPolicy,
    /// What becomes of a claim whose volume is gone for good.
    pub on_loss: ReclaimPolicy,
    /// What becomes of claims after the ensemble's deletion.
    pub on_delete: ReclaimPolicy,
    /// `resources` of the ZooKeeper container.
    pub resources: Value,
    /// The ACL of `/`, if the spec says it.
    pub root_acl: Option<Vec<Acl>>,
    /// Where committed transactions are archived, if anywhere.
    pub archive: Option<Archive>,
    /// What it is made from, if from something.
    pub parent: Option<Parent>,
    /// `resources` of the agent and of what prepares the volume, to be merged.
    pub agent_resources: Value,
    /// When members that serve may be restarted.
    pub updates: Updates,
    /// Seconds after which a restarted member that does not serve is called failed.
    pub deadline: u64,
    /// `podTemplate`, to be merged.
    pub pod_template: Value,
}

/// When members that serve may be restarted.
#[derive(Clone, Debug, PartialEq)]
pub enum Updates {
    /// At once.
    Automatic,
    /// After an approval of the revision.
    Supervised,
    /// While one of these is open.
    Windows(Vec<Window>),
}

/// Where members keep their data.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// A volume claim each.
    Claim {
        /// Requested size.
        size: String,
        /// Storage class; the cluster's default without one.
        class: Option<String>,
    },
    /// The pod's own disk.
    Ephemeral {
        /// The most that it may hold.
        limit: Option<String>,
    },
}

impl Storage {
    /// How large a member's volume is to be; nothing where it has no limit.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Claim { size, .. } => quantity::bytes(size),
            Self::Ephemeral { limit } => quantity::bytes(limit.as_ref()?),
        }
    }
}

impl Desired {
    /// Checks a spec and fills in its defaults, or returns everything that is wrong with it.
    pub fn from_spec(spec: &ZooKeeperEnsembleSpec) -> Result<Self, InvalidSpec> {
        // Destructured without `..`, so that a new field does not compile before it is followed or refused.
        let ZooKeeperEnsembleSpec {
            replicas,
            version,
            image,
            config,
            jvm,
            storage,
            resources,
            root_acl,
            archive,
            from,
            agent,
            update_policy,
            pod_template,
        } = spec;
        let mut invalid = InvalidSpec::default();
        let image = image.clone().unwrap_or_default();
        let jvm = jvm.clone().unwrap_or_default();
        let storage = storage.clone().unwrap_or_default();
        let reclaim = storage.reclaim.clone().unwrap_or_default();
        let flags = jvm.flags.unwrap_or_default();
        let config = config.clone().unwrap_or_default();

        let replicas = invalid.keep(replicas_of(*replicas));
        let proven_version = invalid.keep(version_of(version));
        // If the version is wrong, it is not reported as a wrong tag as well.
        let reference = invalid.keep(image_of(&image, proven_version.as_deref().unwrap_or(ANY_VERSION)));
        let user = UserSettings { config: &config, flags: &flags, version, replicas: replicas.unwrap_or(MAX_REPLICAS) };
        let settled = invalid.keep_all(settings::check(user));
        let amounts = amounts::faults(spec);
        // A refused limit says nothing about the heap.
        let measured = amounts.iter().all(|fault| fault.field != "resources");
        invalid.note(amounts);
        let resources = invalid.keep(to_value("resources", resources.as_ref())).unwrap_or_default();
        let limit = memory_limit(&resources).filter(|_| measured);
        let heap = invalid.keep(Heap::of(jvm.heap.as_deref(), &flags, limit));
        let storage = invalid.keep(storage_of(storage));
        let store = invalid.keep(archive.as_ref().map(store_of).transpose()).flatten();
        let secret = store.and_then(|store| store.mounts().secret);
        let retention = archive.as_ref().and_then(|archive| archive.retention.as_ref());
        let retention = retention.map(|retention| Retention::of(retention, secret.as_deref())).transpose();
        let retention = invalid.keep_all(retention);
        let parent = invalid.keep(from.as_ref().map(Parent::of).transpose());
        let root_acl = invalid.keep_all(root_acl.as_deref().map(root_acl_of).transpose());
        let agent_resources = agent.as_ref().and_then(|agent| agent.resources.as_ref());
        let agent_resources = invalid.keep(to_value("agent", agent_resources)).unwrap_or_default();
        let updates = invalid.keep_all(updates_of(update_policy.as_ref()));
        let pod_template = invalid.keep(to_value("podTemplate", pod_template.as_ref())).unwrap_or_default();
        invalid.note(settings::pod_faults(&pod_template));

        let proven = (replicas, proven_version, reference, settled, heap, storage, root_acl, updates);
        let (
            true,
            (
                Some(replicas),
                Some(version),
                Some(reference),
                Some(settled),
                Some(heap),
                Some(storage),
                Some(root_acl),
                Some(updates),
            ),
        ) = (invalid.is_empty(), proven)
        else {
            return Err(invalid);
        };
        let number = replicas;
        Ok(Self {
            replicas,
            version,
            image: reference,
            pull_policy: image.pull_policy,
            pull_secrets: image.pull_secrets.unwrap_or_default(),
            heap,
            archive: archive
                .as_ref()
                .zip(store)
                .map(|(archive, store)| Archive::of(archive, store, number, retention.flatten(), &settled.config)),
            config: settled.config,
            jvm_flags: settled.flags,
            advice: settled.advice,
            on_scale_down: reclaim.on_scale_down.unwrap_or_default(),
            on_loss: reclaim.on_loss.unwrap_or(ReclaimPolicy::Delete),
            on_delete: reclaim.on_delete.unwrap_or_default(),
            storage,
            resources,
            root_acl,
            parent: parent.flatten(),
            agent_resources,
            deadline: update_policy
                .as_ref()
                .and_then(|policy| u64::try_from(policy.deadline_seconds?).ok())
                .unwrap_or(DEFAULT_DEADLINE),
            updates,
            pod_template,
        })
    }
}

impl Desired {
    /// The server's memory limit in MiB, if it has one.
    pub fn memory_limit_mib(&self) -> Option<u64> {
        memory_limit(&self.resources).map(|bytes| bytes / MIB)
    }
}

fn store_of(archive: &ArchiveSpec) -> Result<StoreSpec<'_>, Invalid> {
    archive.store().ok_or_else(|| Invalid { field: "archive", reason: ONE.to_owned() })
}

fn replicas_of(replicas: i32) -> Result<u32, Invalid> {
    u32::try_from(replicas)
        .ok()
        .filter(|n| (1..=MAX_REPLICAS).contains(n))
        .ok_or_else(|| Invalid { field: "replicas", reason: format!("{replicas} is not between 1 and {MAX_REPLICAS}") })
}

fn version_of(version: &str) -> Result<String, Invalid> {
    let parts: Vec<&str> = version.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if parts.len() == 3 && numbers {
        return Ok(version.to_owned());
    }
    Err(Invalid { field: "version", reason: format!("{version:?} is not MAJOR.MINOR.PATCH such as 3.9.5") })
}

/// `ZooKeeper` takes an empty list for open to everybody.
fn root_acl_of(entries: &[AclEntry]) -> Result<Vec<Acl>, Vec<Invalid>> {
    let invalid = |reason| Invalid { field: "rootAcl", reason };
    if entries.is_empty() {
        return Err(vec![invalid("it has no entry: give somebody a right".to_owned())]);
    }
    let mut acls = Vec::new();
    for acl in all_of(entries.iter().map(|entry| Acl::of(entry).map_err(invalid)))? {
        if !acls.contains(&acl) {
            acls.push(acl);
        }
    }
    Ok(acls)
}

/// An image reference: the repository has neither tag nor digest, and a digest may follow the tag.
fn image_of(image: &ImageSpec, version: &str) -> Result<String, Invalid> {
    let repository = image.repository.as_deref().unwrap_or(DEFAULT_REPOSITORY);
    let name = repository.rsplit('/').next().unwrap_or_default();
    if name.is_empty() || repository.contains('@') || name.contains(':') {
        let reason = format!("{repository:?} is not a repository without tag and digest: put these into image.tag");
        return Err(Invalid { field: "image.repository", reason });
    }
    let tag = image.tag.as_deref().unwrap_or(version);
    let (bare, digest) = tag.split_once('@').map_or((tag, None), |(bare, digest)| (bare, Some(digest)));
    let hexadecimal = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    let pinned = digest.is_none_or(|digest| digest.strip_prefix("sha256:").is_some_and(hexadecimal));
    if bare.is_empty() || bare.contains([':', '/']) || !pinned {
        let reason = format!("{tag:?} is not a tag such as 3.9.5 or 3.9.5@sha256:…");
        return Err(Invalid { field: "image.tag", reason });
    }
    Ok(format!("{repository}:{tag}"))
}

fn updates_of(policy: Option<&UpdatePolicy>) -> Result<Updates, Vec<Invalid>> {
    let Some(policy) = policy else { return Ok(Updates::Automatic) };
    match policy.mode.unwrap_or_default() {
        UpdateMode::Automatic => Ok(Updates::Automatic),
        UpdateMode::Supervised => Ok(Updates::Supervised),
        UpdateMode::Windows => {
            let windows = policy.windows.iter().flatten().map(Window::parse);
            let invalid = |reason| Invalid { field: "updatePolicy.windows", reason };
            all_of(windows.map(|window| window.map_err(invalid))).map(Updates::Windows)
        }
    }
}

fn memory_limit(resources: &Value) -> Option<u64> {
    resources.pointer("/limits/memory").and_then(Value::as_str).and_then(quantity::bytes)
}

fn storage_of(storage: StorageSpec) -> Result<Storage, Invalid> {
    if let Some(size) = storage.size.as_deref().filter(|size| quantity::bytes(size).is_none()) {
        return Err(Invalid { field: "storage.size", reason: format!("{size:?} is not a quantity such as 10Gi") });
    }
    if storage.ephemeral == Some(true) {
        return Ok(Storage::Ephemeral { limit: storage.size });
    }
    Ok(Storage::Claim { size: storage.size.unwrap_or_else(|| DEFAULT_SIZE.to_owned()), class: storage.class })
}

fn to_value<T: serde::Serialize>(field: &'static str, part: Option<&T>) -> Result<Value, Invalid> {
    part.map_or(Ok(Value::Null), serde_json::to_value).map_err(|error| Invalid { field, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn desired(spec: Value) -> Result<Desired, InvalidSpec> {
        Desired::from_spec(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let desired = desired(json!({"replicas": 3, "version": "3.9.5"})).unwrap();
        assert_eq!(desired.image, "docker.io/library/zookeeper:3.9.5");
        assert_eq!((desired.heap.passed_mib, desired.heap.largest_mib), (Some(512), 512));
        assert_eq!(desired.storage, Storage::Claim { size: "10Gi".into(), class: None });
        assert_eq!((desired.on_scale_down, desired.on_delete), (ReclaimPolicy::Retain, ReclaimPolicy::Retain));
    }

    #[test]
    fn case_15_an_image_is_named_by_tag_by_digest_or_by_both() {
        let image = |image: Value| {
            desired(json!({"replicas": 1, "version": "3.9.5", "image": image})).map(|desired| desired.image)
        };
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let pinned = format!("3.9.5@{digest}");
        assert_eq!(image(json!({"tag": pinned})).unwrap(), format!("docker.io/library/zookeeper:{pinned}"));
        let port = json!({"repository": "r.example:5000/zk", "tag": "3.9.5-jre-17"});
        assert_eq!(image(port).unwrap(), "r.example:5000/zk:3.9.5-jre-17");
        // The schema's two sentences lead to the same place: a digest stands behind the tag.
        for repository in [format!("zookeeper@{digest}"), "zookeeper:3.9.5".into(), "r/".into(), String::new()] {
            let error = image(json!({"repository": repository})).unwrap_err().faults()[0].clone();
            assert!(error.field == "image.repository" && error.reason.contains("image.tag"), "{error}");
        }
        for tag in [digest.as_str(), "3.9.5@sha256:12", "3.9.5@", "@", "", "a:b", "3.9.5@md5:0"] {
            assert_eq!(image(json!({"tag": tag})).unwrap_err().faults()[0].field, "image.tag", "{tag}");
        }
    }

    /// A spec that says this of the zookeeper container.
    fn around(mut container: Value) -> Value {
        container["name"] = json!("zookeeper");
        json!({"replicas": 1, "version": "3.9.5", "podTemplate": {"spec": {"containers": [container]}}})
    }

    fn rooted(scheme: &str, id: &str, perms: &str) -> Value {
        json!({"replicas": 1, "version": "3.9.5", "rootAcl": [{"scheme": scheme, "id": id, "perms": perms}]})
    }

    #[test]
    fn a_spec_that_the_schema_would_refuse_is_refused_here_too() {
        for (spec, field) in [
            (json!({"replicas": 0, "version": "3.9.5"}), "replicas"),
            (json!({"replicas": 16, "version": "3.9.5"}), "replicas"),
            (json!({"replicas": 1, "version": "latest"}), "version"),
            (json!({"replicas": 1, "version": "3.9.5", "config": {"a": "b\nserver.9=x"}}), "config"),
            (json!({"replicas": 1, "version": "3.9.5", "storage": {"size": "big"}}), "storage.size"),
            (around(json!({"env": [{"name": "SERVER_JVMFLAGS", "value": "-Dzookeeper.skipACL=yes"}]})), "podTemplate"),
            (around(json!({"volumeMounts": [{"name": "x", "mountPath": "/data/"}]})), "podTemplate"),
            (around(json!({"readinessProbe": {}})), "podTemplate"),
            (json!({"replicas": 1, "version": "3.9.5", "rootAcl": []}), "rootAcl"),
            (rooted("auth", "x", "r"), "rootAcl"),
            (rooted("world", "anyone", "rwx"), "rootAcl"),
        ] {
            assert_eq!(desired(spec.clone()).unwrap_err().faults()[0].field, field, "{spec}");
        }
    }

    #[test]
    fn each_fault_of_a_spec_is_named_and_what_only_follows_from_another_is_not() {
        let fields = |spec: Value| -> Vec<&str> {
            desired(spec).unwrap_err().faults().iter().map(|fault| fault.field).collect()
        };
        let windows = |opens: [&str; 2]| json!({"mode": "Windows", "windows": opens.map(|opens| json!({"opens": opens, "minutes": 5}))});
        let everything = json!({
            "replicas": 0,
            "version": "latest:1",
            "image": {"repository": "zookeeper:3.9.5"},
            "config": {"skipAcl": "no", "snapCount": "many"},
            "jvm": {"heap": "lots", "flags": ["-cp", "-Xrs"]},
            "storage": {"size": "big"},
            "resources": {"limits": {"cpu": "much", "memory": "512"}},
            "rootAcl": [{"scheme": "auth", "id": "x", "perms": "r"}, {"scheme": "world", "id": "anyone", "perms": "rwx"}],
            "updatePolicy": windows(["61 3 * * *", "0 24 * * *"]),
            "podTemplate": {"spec": {"containers": [{"name": "zookeeper", "command": ["x"], "args": ["x"]}]}},
        });
        assert_eq!(
            fields(everything),
            [
                "replicas",
                "version",
                "image.repository",
                "config",
                "config",
                "jvm.flags",
                "resources",
                "resources",
                "jvm.heap",
                "storage.size",
                "rootAcl",
                "rootAcl",
                "updatePolicy.windows",
                "updatePolicy.windows",
                "podTemplate",
                "podTemplate",
            ]
        );
        // A memory limit that no server can run with is not compared with the heap as well, nor a wrong version with
        // the tag.
        assert_eq!(
            fields(json!({"replicas": 1, "version": "3.9.5", "resources": {"limits": {"memory": "512"}}})),
            ["resources"]
        );
        assert_eq!(fields(json!({"replicas": 1, "version": "a:b"})), ["version"]);
        // A wrong number of replicas is not compared with leaderServes.
        assert_eq!(fields(json!({"replicas": 0, "version": "3.9.5", "config": {"leaderServes": "no"}})), ["replicas"]);
    }
}
