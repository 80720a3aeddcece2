//! Kubernetes as far as the operator touches it: objects with uid and resourceVersion, the `StatefulSet` controller, the
//! kubelet, the garbage collector, claims that are protected while a pod uses them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use menagerie::model::names::{BORN_LABEL, IDENTITY_LABEL, INSTANCE_LABEL, VERSION_ANNOTATION};
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Names, Seat};
use menagerie::plan::Target;
use serde_json::{Value, json};

use super::disk::Disk;
use super::names::names;
use super::server::Server;
use super::spec::cannot_start;

/// What a policy calls every instance.
const LABEL: &str = "by-policy";

/// Below it no name resolves.
const NOWHERE: &str = "k8s.example";

/// The names that an operator gives which was told another domain than the cluster's.
pub fn names_astray() -> Names {
    Names { domain: NOWHERE.into(), ..names() }
}

/// Whether nobody can look this name up.
pub fn resolves(host: &str) -> bool {
    !host.ends_with(NOWHERE)
}

/// An object that the operator applied, or a stranger's.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub uid: u32,
    pub version: u32,
    /// Uid of the custom resource that owns it; `None` for a stranger's.
    pub owner: Option<u32>,
    pub json: Arc<Value>,
    digest: u64,
}

impl Hash for Stored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.uid, self.version, self.owner, self.digest).hash(state);
    }
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Pod {
    pub uid: u32,
    pub version: u32,
    /// Uid of the set that made it.
    pub set: u32,
    /// The template that it was made from.
    pub revision: u64,
    pub terminating: bool,
    /// Its init container has run.
    pub prepared: bool,
    /// Why its init container or its server ended.
    pub trouble: Option<String>,
    pub server: Option<Server>,
    pub restarts: u32,
    pub unreadable: bool,
    /// When it was made, and when its server last served.
    pub since: u64,
    pub served: u64,
    /// Its server has served.
    pub proven: bool,
    /// There is no such image: its server never starts.
    pub broken: bool,
    pub asked: Option<Ask>,
    /// Its node takes no new pods.
    pub cordoned: bool,
    /// Its agent does not answer the operator.
    pub silent: bool,
    /// Its address was given to a pod of another ensemble, which answers there.
    pub elsewhere: bool,
    /// What its server receives arrives slowly: it cannot be synced yet.
    pub slow: bool,
    /// It hears no other member, and none hears it.
    pub cut: bool,
    /// It has a node, and keeps it until it is gone.
    pub placed: bool,
    /// Its agent has asked the other founders, and does not again: a mutant's.
    pub asked_early: bool,
    /// Its agent read that the ensemble is to be born, waits for names, and goes by that: a mutant's.
    pub told_birth: bool,
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Claim {
    pub uid: u32,
    pub version: u32,
    pub identity: Option<String>,
    pub born: bool,
    /// The version that last ran on it.
    pub ran: Option<String>,
    /// The label of an instance, which the operator takes away.
    pub instance: Option<String>,
    /// Uid of the custom resource that it is deleted with.
    pub owner: Option<u32>,
    pub terminating: bool,
    /// The node that had it is gone for good.
    pub lost: bool,
    pub disk: Disk,
}

/// What somebody asks of one member, by an annotation on its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    Restart,
    Replace,
}

/// Why the API server refuses a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict(pub String);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kube {
    pub objects: Arc<BTreeMap<ObjectKey, Stored>>,
    pub pods: BTreeMap<u32, Pod>,
    pub claims: BTreeMap<u32, Claim>,
    /// The `ConfigMap` before the last change: a kubelet may still have it.
    pub config_before: Option<Arc<Value>>,
    /// The `StatefulSet` controller has not taken in the last change.
    pub behind: bool,
    /// A policy gives every claim that is made or written the label of an instance, where it has none.
    pub labelled: bool,
    pub now: u64,
    /// How many pods there is a node for, as with a required anti-affinity; `None` for as many as are made.
    pub nodes: Option<u32>,
    next_uid: u32,
}

impl Hash for Kube {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (key, object) in self.objects.iter() {
            (key.kind as u8, &key.name, object).hash(state);
        }
        (&self.pods, &self.claims, self.behind, self.now, self.nodes).hash(state);
        self.config_before.as_ref().map(|json| json["metadata"]["annotations"].to_string()).hash(state);
    }
}

impl Kube {
    pub fn uid(&mut self) -> u32 {
        self.next_uid += 1;
        self.next_uid
    }

    pub fn get(&self, kind: Kind, name: &str) -> Option<&Stored> {
        self.objects.get(&ObjectKey { kind, name: name.to_owned() })
    }

    pub fn set(&self) -> Option<&Stored> {
        self.get(Kind::StatefulSet, "zk").filter(|set| set.owner.is_some())
    }

    pub fn replicas(&self) -> u32 {
        self.set().and_then(|set| set.json["spec"]["replicas"].as_u64()).map_or(0, |n| u32::try_from(n).unwrap())
    }

    /// Digest of the pod template.
    pub fn revision(&self) -> u64 {
        self.set().map_or(0, |set| digest(&set.json["spec"]["template"]))
    }

    pub fn config_map(&self) -> Option<Arc<Value>> {
        self.get(Kind::ConfigMap, "zk-config").map(|stored| Arc::clone(&stored.json))
    }

    /// Server-side apply: a uid or a version in the metadata is a precondition.
    pub fn apply(&mut self, key: &ObjectKey, json: &Value, owner: u32) -> Result<(), Conflict> {
        let metadata = &json["metadata"];
        if key.kind == Kind::PersistentVolumeClaim {
            return self.apply_claim(key, metadata, owner);
        }
        let existing = self.objects.get(key);
        check(metadata, existing.map(|found| (found.uid, found.version)), key)?;
        if existing.is_some_and(|found| found.json["spec"] == json["spec"] && *metadata == strip(&found.json)) {
            return Ok(());
        }
        self.behind |= key.kind == Kind::StatefulSet;
        if key.kind == Kind::ConfigMap {
            self.config_before = existing.map(|found| Arc::clone(&found.json));
        }
        let uid = existing.map(|found| found.uid);
        let (version, owner) =
            (existing.map_or(1, |found| found.version + 1), existing.map_or(Some(owner), |found| found.owner));
        let uid = uid.unwrap_or_else(|| self.uid());
        self.store(key.clone(), json.clone(), (uid, version, owner));
        Ok(())
    }

    pub fn create(&mut self, key: &ObjectKey, json: &Value, owner: Option<u32>) -> Result<(), Conflict> {
        if self.objects.contains_key(key) {
            return Err(Conflict(format!("{} exists", key.name)));
        }
        let uid = self.uid();
        self.store(key.clone(), json.clone(), (uid, 1, owner));
        Ok(())
    }

    fn store(&mut self, key: ObjectKey, mut json: Value, (uid, version, owner): (u32, u32, Option<u32>)) {
        // Of a Secret only the metadata is ever read.
        if key.kind == Kind::Secret {
            json = json!({"metadata": json["metadata"]});
        }
        let digest = digest(&json);
        json["metadata"]["uid"] = json!(uid.to_string());
        json["metadata"]["resourceVersion"] = json!(version.to_string());
        Arc::make_mut(&mut self.objects).insert(key, Stored { uid, version, owner, json: Arc::new(json), digest });
    }

    fn apply_claim(&mut self, key: &ObjectKey, metadata: &Value, owner: u32) -> Result<(), Conflict> {
        let labelled = self.labelled;
        let claim = self.claim_mut(&key.name);
        check(metadata, claim.as_ref().map(|claim| (claim.uid, claim.version)), key)?;
        let Some(claim) = claim else { return Err(Conflict(format!("{}: not a whole claim", key.name))) };
        let bound = !metadata["ownerReferences"].as_array().is_none_or(Vec::is_empty);
        claim.owner = bound.then_some(owner);
        claim.born = !metadata["labels"][BORN_LABEL].is_null();
        claim.ran = metadata["annotations"][VERSION_ANNOTATION].as_str().map(str::to_owned);
        let mut instance = metadata["labels"][INSTANCE_LABEL].as_str().map(str::to_owned);
        if labelled {
            instance.get_or_insert_with(|| LABEL.to_owned());
        }
        claim.instance = instance;
        claim.version += 1;
        Ok(())
    }

    /// What the policy makes of a claim that is written.
    pub fn label(&self, claim: &mut Value) {
        if self.labelled && claim["metadata"]["labels"][INSTANCE_LABEL].is_null() {
            claim["metadata"]["labels"][INSTANCE_LABEL] = json!(LABEL);
        }
    }

    pub fn claim_mut(&mut self, name: &str) -> Option<&mut Claim> {
        self.claims.get_mut(&names().seat_of_claim(name)?.ordinal)
    }

    /// Deletes under preconditions. A claim or a pod only begins to go.
    pub fn delete(&mut self, target: &Target) -> Result<(), Conflict> {
        let wanted = json!({"uid": target.uid, "resourceVersion": target.resource_version});
        if target.key.kind == Kind::PersistentVolumeClaim {
            let claim = self.claim_mut(&target.key.name);
            check(&wanted, claim.as_ref().map(|claim| (claim.uid, claim.version)), &target.key)?;
            if let Some(claim) = claim {
                claim.terminating = true;
                claim.version += 1;
            }
            return Ok(());
        }
        if target.key.kind == Kind::Pod {
            let ordinal = names().seat_of_pod(&target.key.name).map_or(u32::MAX, |seat| seat.ordinal);
            let pod = self.pods.get_mut(&ordinal);
            check(&wanted, pod.as_ref().map(|pod| (pod.uid, pod.version)), &target.key)?;
            if let Some(pod) = pod {
                pod.terminating = true;
                pod.version += 1;
            }
            return Ok(());
        }
        check(&wanted, self.objects.get(&target.key).map(|found| (found.uid, found.version)), &target.key)?;
        Arc::make_mut(&mut self.objects).remove(&target.key);
        Ok(())
    }

    /// What the `StatefulSet` controller does next about a pod; what it did, in words.
    pub fn control(&mut self, ordinal: u32) -> Option<String> {
        let set =
            self.set().map(|set| (set.uid, set.json["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"].clone()));
        if std::mem::replace(&mut self.behind, false) {
            return Some("the StatefulSet controller takes in the last change".to_owned());
        }
        let wanted = ordinal < self.replicas();
        let Some(pod) = self.pods.get_mut(&ordinal) else {
            let (set, labels) = set.filter(|_| wanted)?;
            return self.create_pod(ordinal, set, labels[IDENTITY_LABEL].as_str());
        };
        let orphan = set.is_none_or(|(set, _)| set != pod.set);
        if pod.terminating || (wanted && !orphan) {
            return None;
        }
        pod.terminating = true;
        pod.version += 1;
        Some(format!("the StatefulSet controller deletes pod zk-{ordinal}"))
    }

    /// The controller writes the set's status: its version moves, and a resize that was decided before is outdated.
    pub fn touch_set(&mut self) {
        let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
        if let Some(set) = Arc::make_mut(&mut self.objects).get_mut(&key) {
            set.version += 1;
            Arc::make_mut(&mut set.json)["metadata"]["resourceVersion"] = json!(set.version.to_string());
        }
    }

    fn create_pod(&mut self, ordinal: u32, set: u32, identity: Option<&str>) -> Option<String> {
        let mut word = "";
        match self.claims.get(&ordinal) {
            Some(claim) if claim.terminating => return None,
            Some(_) => {}
            None => {
                word = " and its claim";
                let claim = Claim {
                    uid: self.uid(),
                    version: 1,
                    identity: identity.map(str::to_owned),
                    born: false,
                    ran: None,
                    instance: self.labelled.then(|| LABEL.to_owned()),
                    owner: None,
                    terminating: false,
                    lost: false,
                    disk: Disk::default(),
                };
                self.claims.insert(ordinal, claim);
            }
        }
        let pod = Pod {
            uid: self.uid(),
            version: 1,
            set,
            revision: self.revision(),
            terminating: false,
            prepared: false,
            trouble: None,
            server: None,
            restarts: 0,
            unreadable: false,
            since: self.now,
            served: self.now,
            proven: false,
            broken: self.set().is_some_and(|set| cannot_start(&set.json["spec"]["template"])),
            asked: None,
            cordoned: false,
            silent: false,
            elsewhere: false,
            slow: false,
            cut: false,
            placed: self.nodes.is_none(),
            asked_early: false,
            told_birth: false,
        };
        self.pods.insert(ordinal, pod);
        Some(format!("the StatefulSet controller creates pod zk-{ordinal}{word}"))
    }

    /// The scheduler finds a node for a pod, if there is one that nobody has.
    pub fn place(&mut self, ordinal: u32) -> Option<String> {
        let taken = self.pods.values().filter(|pod| pod.placed).count();
        let free = self.nodes.is_none_or(|nodes| taken < nodes as usize);
        let pod = self.pods.get_mut(&ordinal).filter(|pod| free && !pod.placed)?;
        pod.placed = true;
        pod.version += 1;
        Some(format!("a node is found for pod zk-{ordinal}"))
    }

    /// Takes away what nobody protects any more: claims without a pod, objects without their owner.
    pub fn collect(&mut self, owner: Option<u32>) -> Option<String> {
        let orphaned: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(_, object)| object.owner.is_some_and(|uid| Some(uid) != owner))
            .map(|(key, _)| key.clone())
            .collect();
        if let Some(key) = orphaned.first() {
            Arc::make_mut(&mut self.objects).remove(key);
            return Some(format!("the garbage collector deletes {} {}", key.kind.as_str(), key.name));
        }
        for claim in self.claims.values_mut() {
            if !claim.terminating && claim.owner.is_some_and(|uid| Some(uid) != owner) {
                claim.terminating = true;
                claim.version += 1;
            }
        }
        let gone = self.claims.iter().find(|(ordinal, claim)| claim.terminating && !self.pods.contains_key(ordinal));
        let ordinal = *gone?.0;
        self.claims.remove(&ordinal);
        Some(format!("claim {} and its volume are gone", names().claim(Seat::voter(ordinal))))
    }

    /// Strangers take their objects away.
    pub fn evict_strangers(&mut self) {
        Arc::make_mut(&mut self.objects).retain(|_, object| object.owner.is_some());
    }

    /// The uid of a pod.
    pub fn clone_of(&self, name: &str) -> Option<u32> {
        Some(self.pods.get(&names().seat_of_pod(name)?.ordinal)?.uid)
    }

    pub fn disk_mut(&mut self, id: u32) -> Option<&mut Disk> {
        self.claims.get_mut(&(id - 1)).map(|claim| &mut claim.disk)
    }

    pub fn disk(&self, id: u32) -> Option<&Disk> {
        self.claims.get(&(id - 1)).map(|claim| &claim.disk)
    }

    pub fn server(&self, id: u32) -> Option<&Server> {
        self.pods.get(&(id - 1))?.server.as_ref()
    }

    /// A server and its disk.
    pub fn member_mut(&mut self, id: u32) -> Option<(&mut Server, &mut Disk)> {
        let server = self.pods.get_mut(&(id - 1))?.server.as_mut()?;
        Some((server, &mut self.claims.get_mut(&(id - 1))?.disk))
    }

    /// Ids of the servers that run.
    pub fn running(&self) -> impl Iterator<Item = (u32, &Server)> {
        self.pods.iter().filter_map(|(ordinal, pod)| Some((ordinal + 1, pod.server.as_ref()?)))
    }

    /// Whether its leader's history reaches it slowly.
    pub fn slow(&self, id: u32) -> bool {
        id.checked_sub(1).and_then(|ordinal| self.pods.get(&ordinal)).is_some_and(|pod| pod.slow)
    }

    /// Whether it runs and takes part in the network of the members.
    pub fn awake(&self, id: u32) -> bool {
        let pod = id.checked_sub(1).and_then(|ordinal| self.pods.get(&ordinal));
        pod.is_some_and(|pod| !pod.cut && pod.server.as_ref().is_some_and(|server| !server.paused))
    }
}

fn check(wanted: &Value, found: Option<(u32, u32)>, key: &ObjectKey) -> Result<(), Conflict> {
    let uid = wanted["uid"].as_str();
    let version = wanted["resourceVersion"].as_str();
    let differs = |wanted: Option<&str>, found: Option<u32>| {
        wanted.is_some_and(|wanted| !wanted.is_empty() && Some(wanted) != found.map(|n| n.to_string()).as_deref())
    };
    if differs(uid, found.map(|(uid, _)| uid)) || differs(version, found.map(|(_, version)| version)) {
        return Err(Conflict(format!("{} {} is not the one that was seen", key.kind.as_str(), key.name)));
    }
    Ok(())
}

fn strip(json: &Value) -> Value {
    let mut metadata = json["metadata"].clone();
    if let Some(map) = metadata.as_object_mut() {
        map.remove("uid");
        map.remove("resourceVersion");
    }
    metadata
}

pub fn digest(json: &Value) -> u64 {
    hash(&json.to_string())
}

pub fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
