//! What an operator has read, small enough to be kept and compared; made whole into the planner's `Observation`.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use menagerie::agent::prepare;
use menagerie::model::names::IDENTITY_LABEL;
use menagerie::model::observed::{Kind, MemberRequest, NodeFacts, ObjectKey, OperatorFacts, PasswordFacts, Requests};
use menagerie::model::truth::{self, Mode, Serving};
use menagerie::model::{
    ClaimFacts, Desired, Fact, Hindrances, Live, MemberTruth, Observation, PodFacts, Pool, Seat, ServerId, SetFacts,
    Zxid,
};

use super::kube::{Ask, Pod, Stored};
use super::kubelet::Mount;
use super::membership::Config;
use super::names::names;
use super::server::{Role, Server};
use super::spec::Spec;
use super::world::{Status, World};

/// The custom resource as it was read.
#[derive(Clone, Debug)]
pub struct Resource {
    pub spec: Spec,
    pub generation: i64,
    pub uid: u32,
    pub status: Status,
    /// The revision that people approved of.
    pub approved: Option<u64>,
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.spec, self.generation, self.uid, self.status.digest, self.approved).hash(state);
    }
}

/// A pod as it was listed.
#[derive(Clone, Debug, Hash)]
pub struct PodSight {
    pub uid: u32,
    version: u32,
    revision: u64,
    terminating: bool,
    started: bool,
    running: bool,
    restarts: u32,
    unreadable: bool,
    since: u64,
    ready: bool,
    proven: bool,
    unready: Option<u64>,
    asked: Option<Ask>,
    cordoned: bool,
    placed: bool,
    trouble: Option<String>,
}

/// A claim as it was listed.
#[derive(Clone, Debug, Hash)]
pub struct ClaimSight {
    uid: u32,
    version: u32,
    identity: Option<String>,
    born: bool,
    ran: Option<String>,
    instance: Option<String>,
    owner: Option<u32>,
    terminating: bool,
    lost: bool,
}

/// How an answer is proven.
pub type Believe = fn(&Observation, ServerId, Result<MemberTruth, String>) -> Fact<MemberTruth>;

/// What an agent said of its member.
#[derive(Clone, Debug, Hash)]
pub struct Answer {
    identity: Option<String>,
    database: bool,
    record: Option<u64>,
    stalled: Option<u64>,
    still: Option<u64>,
    outdated: Option<String>,
    server: Option<ServerAnswer>,
}

#[derive(Clone, Debug, Hash)]
struct ServerAnswer {
    leads: bool,
    serving: bool,
    epoch: u64,
    config: Config,
    counted: u32,
}

/// Everything of one pass.
#[derive(Clone, Debug)]
pub struct Sight {
    pub resource: Resource,
    pub now: u64,
    /// The set's controller has not taken in the last change.
    behind: bool,
    objects: Arc<BTreeMap<ObjectKey, Stored>>,
    pub pods: BTreeMap<u32, PodSight>,
    claims: BTreeMap<u32, ClaimSight>,
    pub members: BTreeMap<u32, Option<Answer>>,
    /// What the operator knows of its earlier writes.
    pub hindrances: Hindrances,
}

impl Hash for Sight {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (key, object) in self.objects.iter() {
            (key.kind as u8, &key.name, object).hash(state);
        }
        (&self.resource, self.now, self.behind, &self.pods, &self.claims, &self.members).hash(state);
        if !self.hindrances.objects.is_empty() {
            format!("{:?}", self.hindrances).hash(state);
        }
    }
}

/// The address of a pod; another pod of the same name has another one.
fn address(uid: u32) -> String {
    format!("10.0.{}.{}", uid / 256, uid % 256)
}

/// The uid of the pod that has this address.
pub fn pod_at(address: &str) -> Option<u32> {
    let mut parts = address.split('.').skip(2).filter_map(|part| part.parse::<u32>().ok());
    Some(parts.next()? * 256 + parts.next()?)
}

impl World {
    pub fn resource(&self) -> Resource {
        Resource {
            spec: self.spec,
            generation: self.generation,
            uid: self.uid,
            status: self.status.clone(),
            approved: self.approval.given,
        }
    }

    /// What the API server lists; members are asked later.
    pub fn look(&self, resource: Resource) -> Sight {
        let set = self.kube.set().filter(|set| set.owner == Some(resource.uid)).map(|set| set.uid);
        let pods = self.kube.pods.iter().filter(|(_, pod)| Some(pod.set) == set);
        let claim = |claim: &super::kube::Claim| ClaimSight {
            uid: claim.uid,
            version: claim.version,
            identity: claim.identity.clone(),
            born: claim.born,
            ran: claim.ran.clone(),
            instance: claim.instance.clone(),
            owner: claim.owner,
            terminating: claim.terminating,
            lost: claim.lost,
        };
        Sight {
            now: self.kube.now,
            behind: self.kube.behind,
            objects: Arc::clone(&self.kube.objects),
            pods: pods.map(|(ordinal, pod)| (*ordinal, PodSight::of(pod))).collect(),
            claims: self.kube.claims.iter().map(|(ordinal, found)| (*ordinal, claim(found))).collect(),
            members: BTreeMap::new(),
            hindrances: Hindrances::default(),
            resource,
        }
    }

    /// What the agents of the pods that were listed say now.
    pub fn ask(&self, sight: &mut Sight) {
        sight.members = sight.pods.iter().map(|(ordinal, pod)| (ordinal + 1, self.answer(*ordinal, pod))).collect();
    }

    fn answer(&self, ordinal: u32, listed: &PodSight) -> Option<Answer> {
        let pod = self.kube.pods.get(&ordinal).filter(|pod| pod.uid == listed.uid && pod.prepared)?;
        if pod.silent || !listed.started {
            return None;
        }
        if pod.elsewhere {
            return Some(Answer::of_another_ensemble());
        }
        let disk = self.kube.disk(ordinal + 1)?;
        let truth::DiskState { identity, database, record, .. } = disk.truth();
        let talks = pod.server.as_ref().filter(|server| !server.paused);
        let server = talks.map(|server| ServerAnswer::of(server, disk.current, self.counted(ordinal + 1)));
        let receives = pod.slow && pod.server.as_ref().is_some_and(|server| server.follows().is_some());
        let idle = !pod.server.as_ref().is_some_and(Server::serving);
        let stalled = idle.then(|| self.kube.now - pod.served);
        // By the time that it is asked, its kubelet has heard of the last change.
        let outdated = self.seed(Mount::Current).and_then(|seed| {
            let late = || prepare::outdated(&disk.contents(), &seed, ServerId(ordinal + 1)).filter(|_| idle);
            disk.zoo_cfg().and_then(|zoo_cfg| prepare::unknown(zoo_cfg, &seed)).or_else(late)
        });
        // Nothing can be seen of a process that is not there.
        let still = if receives { Some(0) } else { stalled.filter(|_| pod.server.is_some()) };
        Some(Answer { still, outdated, identity, database, record: record.map(|version| version.0), stalled, server })
    }
}

impl PodSight {
    fn of(pod: &Pod) -> Self {
        let ready = pod.server.as_ref().is_some_and(|server| server.serving() && !server.paused);
        Self {
            ready,
            proven: pod.proven,
            unready: (pod.proven && !ready).then_some(pod.served),
            uid: pod.uid,
            version: pod.version,
            revision: pod.revision,
            terminating: pod.terminating,
            started: pod.prepared,
            running: pod.server.is_some(),
            restarts: pod.restarts,
            unreadable: pod.unreadable,
            since: pod.since,
            asked: pod.asked,
            cordoned: pod.cordoned,
            placed: pod.placed,
            trouble: pod.trouble.clone(),
        }
    }

    pub fn outdated(&self, revision: u64) -> bool {
        self.revision != revision
    }

    fn facts(&self, ordinal: u32) -> PodFacts {
        PodFacts {
            name: names().pod(Seat::voter(ordinal)),
            ip: self.placed.then(|| address(self.uid)),
            terminating: self.terminating,
            ending: None,
            revision: Some(revision_name(self.revision)),
            trouble: if self.placed { self.trouble.clone() } else { Some("it cannot be scheduled".to_owned()) },
            uid: self.uid.to_string(),
            resource_version: self.version.to_string(),
            node: self.placed.then(|| format!("node-{ordinal}")),
            since: self.since,
            running: Some(self.running),
            ready: self.ready,
            shut: None,
            shaky: None,
            served: self.proven,
            unready: self.unready,
            restarts: self.restarts,
            unreadable: self.unreadable,
            doubtful: false,
            in_spite_of: None,
            memory: None,
            creating: false,
            request: self.asked.map(|asked| match asked {
                Ask::Restart => MemberRequest::Restart,
                Ask::Replace => MemberRequest::Replace,
            }),
            ran: None,
        }
    }
}

impl ServerAnswer {
    fn of(server: &Server, epoch: u64, counted: u32) -> Self {
        let leads = matches!(server.role, Role::Leading { .. });
        Self {
            leads,
            serving: server.serving(),
            epoch,
            config: server.config,
            counted: if leads { counted } else { 0 },
        }
    }

    fn truth(&self, identity: Option<&str>) -> truth::ServerState {
        if !self.serving {
            return truth::ServerState::Waiting { phase: "election".into(), version: Some("3.9.5".into()) };
        }
        let membership = self.config.membership();
        let text = membership.text();
        // Of an ensemble of this name that was here before, with a server that somebody added: only its identity tells it apart.
        let text = if identity == Some(ANOTHER) { text.replace("zk-1.", "theirs-1.") } else { text };
        truth::ServerState::Serving(Serving {
            mode: if self.leads { Mode::Leader } else { Mode::Follower },
            epoch: self.epoch,
            // No decision looks at it; told exactly, hardly two looks would be alike.
            zxid: Zxid(self.epoch << 32),
            version: "3.9.5".into(),
            membership: format!("{}version={}", text, membership.version),
            synced_voters: self.leads.then_some(self.counted),
            commits_nothing: None,
        })
    }
}

/// Whose the answer is that comes from an address that was given away.
const ANOTHER: &str = "another-ensemble";

impl Answer {
    /// A leader of a later epoch and membership, with a majority behind it.
    fn of_another_ensemble() -> Self {
        let config = Config { version: 99 << 32, voters: (1..=3).collect(), ..Config::default() };
        let server = ServerAnswer { leads: true, serving: true, epoch: 99, config, counted: 2 };
        Self {
            identity: Some(ANOTHER.to_owned()),
            database: true,
            record: Some(config.version),
            stalled: None,
            still: None,
            outdated: None,
            server: Some(server),
        }
    }

    fn truth(&self, id: u32) -> MemberTruth {
        let silent = || truth::ServerState::Silent { reason: "connection refused".into() };
        MemberTruth {
            id: ServerId(id),
            disk: truth::DiskState {
                identity: self.identity.clone(),
                database: self.database,
                record: self.record.map(menagerie::model::ConfigVersion),
                // Only what is said of a lost majority looks at it, and nobody accepts a loss in this model.
                recorded: None,
                parent: None,
                // No decision looks at it; the other founders do.
                epoch: None,
                outdated: self.outdated.clone(),
                leader_serves: None,
                free: None,
            },
            stalled: self.stalled,
            // A server of this model receives, or does nothing at all.
            still: self.still,
            archive: None,
            unpurged: None,
            server: self.server.as_ref().map_or_else(silent, |server| server.truth(self.identity.as_deref())),
        }
    }
}

impl Sight {
    /// What the planner gets to see: as `observe` makes it.
    pub fn observation(&self, believe: Believe) -> Observation {
        let set = self.objects.get(&ObjectKey { kind: Kind::StatefulSet, name: "zk".into() });
        let set = set.filter(|set| set.owner == Some(self.resource.uid));
        let config = self.objects.get(&ObjectKey { kind: Kind::ConfigMap, name: "zk-config".into() });
        let config = config.filter(|config| config.owner == Some(self.resource.uid));
        let charter =
            config.and_then(|config| serde_json::from_str(config.json["data"]["charter.json"].as_str()?).ok());
        let node = |(ordinal, pod): (&u32, &PodSight)| {
            (format!("node-{ordinal}"), Fact::Known(NodeFacts { cordoned: pod.cordoned, lost: None }))
        };
        let mut seen = Observation {
            now: self.now,
            requests: Requests {
                restart: (self.resource.spec.wish > 0).then(|| self.resource.spec.wish.to_string()),
                approved: self.resource.approved.map(revision_name),
                accept_loss: None,
            },
            nodes: self.pods.iter().map(node).collect(),
            names: self.resource.spec.names(),
            uid: format!("ensemble-{}", self.resource.uid),
            generation: self.resource.generation,
            asked: u32::try_from(self.resource.spec.to_api().replicas).unwrap_or_default(),
            desired: Desired::from_spec(&self.resource.spec.to_api()),
            status: (*self.resource.status.value).clone(),
            operator: OperatorFacts { agent_image: "menagerie/operator:dev".into(), ..OperatorFacts::default() },
            sets: set.into_iter().map(|set| (Pool::Voters, set_facts(set, self.behind))).collect(),
            pods: self.pods.iter().map(|(ordinal, pod)| (Seat::voter(*ordinal), pod.facts(*ordinal))).collect(),
            claims: self
                .claims
                .iter()
                .map(|(ordinal, claim)| (Seat::voter(*ordinal), self.claim(*ordinal, claim)))
                .collect(),
            members: BTreeMap::new(),
            charter,
            objects: self.objects.iter().map(|(key, object)| (key.clone(), self.live(object))).collect(),
            hindrances: self.hindrances.clone(),
            restoring: None,
            backups: Vec::new(),
            password: PasswordFacts::default(),
        };
        let answers = self.members.iter().map(|(id, answer)| (ServerId(*id), told(*id, answer.as_ref())));
        seen.members = answers.map(|(id, answer)| (id, believe(&seen, id, answer))).collect();
        let span = seen.span();
        let needed = |key: &ObjectKey| seen.names.seat_of_pod(&key.name).is_none_or(|seat| seat.ordinal < span);
        let strangers: Vec<ObjectKey> = seen
            .objects
            .iter()
            .filter(|(key, live)| !matches!(live, Live::Ours(_)) && !needed(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in strangers {
            seen.objects.remove(&key);
        }
        seen
    }

    /// The template that pods were to be made from.
    pub fn revision(&self) -> u64 {
        let set = self.objects.get(&ObjectKey { kind: Kind::StatefulSet, name: "zk".into() });
        set.map_or(0, |set| super::kube::digest(&set.json["spec"]["template"]))
    }

    /// Whether a member's volume is lost, its claim was deleted, or somebody asked for another one.
    pub fn given_up(&self, ordinal: u32) -> bool {
        let asked = self.pods.get(&ordinal).is_some_and(|pod| pod.asked == Some(Ask::Replace));
        asked || self.claims.get(&ordinal).is_some_and(|claim| claim.lost || claim.terminating)
    }

    /// Whether a member's volume was seen to go with its pod.
    pub fn passing(&self, ordinal: u32) -> bool {
        self.claims.get(&ordinal).is_some_and(|claim| claim.terminating)
    }

    /// Whether somebody asked for this member's restart.
    pub fn asked(&self, ordinal: u32) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| pod.asked == Some(Ask::Restart))
    }

    /// Whether the operator knows that this pod may not be deleted.
    pub fn pinned(&self, ordinal: u32) -> bool {
        self.hindrances.objects.contains_key(&ObjectKey { kind: Kind::Pod, name: names().pod(Seat::voter(ordinal)) })
    }

    pub fn terminating(&self, ordinal: u32) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| pod.terminating)
    }

    pub fn cordoned(&self, ordinal: u32) -> bool {
        self.pods.get(&ordinal).is_some_and(|pod| pod.cordoned)
    }

    fn claim(&self, ordinal: u32, claim: &ClaimSight) -> ClaimFacts {
        ClaimFacts {
            name: names().claim(Seat::voter(ordinal)),
            uid: claim.uid.to_string(),
            resource_version: claim.version.to_string(),
            identity: claim.identity.clone(),
            born: claim.born,
            going: claim.terminating || claim.owner.is_some_and(|owner| owner != self.resource.uid),
            finalizers: Vec::new(),
            owned: claim.owner == Some(self.resource.uid),
            instance: claim.instance.clone(),
            ran: claim.ran.clone(),
            volume: Some(format!("volume-{}", claim.uid)),
            lost: claim.lost.then(|| "its node was deleted".to_owned()),
            managed: serde_json::Value::Null,
        }
    }

    fn live(&self, object: &Stored) -> Live {
        match object.owner {
            Some(owner) if owner == self.resource.uid => Live::Ours((*object.json).clone()),
            Some(_) => Live::Leftover { finalizers: Vec::new() },
            None => Live::Foreign { owner: "somebody".into() },
        }
    }
}

/// How the `StatefulSet` controller calls a template.
fn revision_name(revision: u64) -> String {
    format!("{revision:x}")
}

fn set_facts(set: &Stored, behind: bool) -> SetFacts {
    let labels = &set.json["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"];
    SetFacts {
        uid: set.uid.to_string(),
        resource_version: set.version.to_string(),
        replicas: set.json["spec"]["replicas"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        identity: labels[IDENTITY_LABEL].as_str().map(str::to_owned),
        update_revision: (!behind).then(|| revision_name(super::kube::digest(&set.json["spec"]["template"]))),
        version: Some("3.9.5".into()),
    }
}

fn told(id: u32, answer: Option<&Answer>) -> Result<MemberTruth, String> {
    answer.map(|answer| answer.truth(id)).ok_or_else(|| "its agent does not answer".to_owned())
}
