//! A world in which every step works at once, unless a test says otherwise. It stands for Kubernetes and ZooKeeper only
//! as far as a decision can see them.

use std::collections::{BTreeMap, BTreeSet};

use menagerie::api::{EnsembleStatus, ZooKeeperEnsembleSpec};
use menagerie::model::observed::{Kind, ObjectKey, OperatorFacts, PasswordFacts};
use menagerie::model::truth::{DiskState, Mode, PASSWORD_CHANGED, ServerState, Serving};
use menagerie::model::{
    Charter, ClaimFacts, ConfigVersion, Desired, Fact, FieldDifference, Hindrances, Live, MemberRequest, MemberTruth,
    Membership, Names, NodeFacts, Observation, PodFacts, Pool, Requests, Role, Seat, Server, ServerId, SetFacts, Zxid,
};
use menagerie::plan::{DENIED, Operation, Plan, Resize, Step, Target, Write, differences, plan, refused};
use menagerie::render::Rendered;
use serde_json::{Value, json};

use super::meddler::Meddler;
use super::names::names;
use super::rights::granted;

pub const UID: &str = "uid-of-the-ensemble";

/// The world.
#[derive(Clone)]
pub struct World {
    pub spec: ZooKeeperEnsembleSpec,
    pub uid: String,
    pub status: EnsembleStatus,
    pub objects: BTreeMap<ObjectKey, Live>,
    pub claims: BTreeMap<Seat, ClaimFacts>,
    /// The committed membership, once there was a quorum.
    pub membership: Option<Membership>,
    pub epoch: u64,
    led: Option<ServerId>,
    /// Members that do not answer, whatever they do.
    pub silent: BTreeSet<ServerId>,
    /// Members whose server does not run.
    pub down: BTreeSet<ServerId>,
    /// Revisions with a container beside the server that ends again and again.
    pub failing: BTreeSet<String>,
    /// The domain that the operator takes the cluster's for.
    pub domain: String,
    /// Members that Kubernetes has no node for.
    pub unplaced: BTreeSet<ServerId>,
    /// Members whose volumes are empty: they do not vote.
    pub empty: BTreeSet<ServerId>,
    /// Those of them whose servers have started all the same, and have written a snapshot of nothing.
    pub blank: BTreeSet<ServerId>,
    /// What was done, in one word each.
    pub trace: Vec<String>,
    /// Revision and uid of each pod.
    pub made: BTreeMap<u32, (String, u64)>,
    /// The version of ZooKeeper that each pod was made for.
    versions: BTreeMap<u32, String>,
    /// Versions that there is no image of.
    pub nowhere: BTreeSet<String>,
    pub requests: Requests,
    pub nodes: BTreeMap<String, Fact<NodeFacts>>,
    /// Members that do not take the operator for the super user, until they are restarted.
    pub refusing: BTreeSet<ServerId>,
    /// Members that were started with `leaderServes=no`: while one of them leads, it takes no session.
    pub mute: BTreeSet<ServerId>,
    /// Members that lead, as soon as they do, without committing anything, each with for how many seconds.
    pub stuck: BTreeMap<ServerId, u64>,
    /// Members whose restart somebody asks for, by an annotation on the pod.
    pub asked: BTreeSet<ServerId>,
    /// Ordinals of pods that are being deleted, and whose servers still run.
    pub going: BTreeSet<u32>,
    pub now: u64,
    /// Whether leaders do not say how many follow them: a broken quota, or a metrics provider that keeps no gauges.
    pub uncounted: bool,
    /// How often rights were taken away.
    pub guarded: u32,
    pub hindrances: Hindrances,
    /// What the volumes say that their databases began with.
    pub parent: Option<String>,
    /// The restore that changes znodes.
    pub restoring: Option<String>,
    /// Somebody between the operator and the objects.
    pub meddler: Option<Meddler>,
    /// How much of its volume is free, in percent, of the members that say so.
    pub free: BTreeMap<ServerId, u8>,
    /// Members that are to get a new volume, by an annotation on the pod.
    pub replace: BTreeSet<ServerId>,
    next: u64,
}

pub fn zk(replicas: i32) -> World {
    World {
        spec: ZooKeeperEnsembleSpec { replicas, version: "3.9.5".into(), ..Default::default() },
        uid: UID.into(),
        status: EnsembleStatus::default(),
        objects: BTreeMap::new(),
        claims: BTreeMap::new(),
        membership: None,
        epoch: 1,
        led: None,
        silent: BTreeSet::new(),
        down: BTreeSet::new(),
        failing: BTreeSet::new(),
        domain: names().domain,
        unplaced: BTreeSet::new(),
        empty: BTreeSet::new(),
        blank: BTreeSet::new(),
        trace: Vec::new(),
        made: BTreeMap::new(),
        versions: BTreeMap::new(),
        uncounted: false,
        nowhere: BTreeSet::new(),
        requests: Requests::default(),
        nodes: BTreeMap::new(),
        refusing: BTreeSet::new(),
        mute: BTreeSet::new(),
        stuck: BTreeMap::new(),
        asked: BTreeSet::new(),
        going: BTreeSet::new(),
        now: 1_795_435_200,
        guarded: 0,
        hindrances: Hindrances::default(),
        parent: None,
        restoring: None,
        meddler: None,
        free: BTreeMap::new(),
        replace: BTreeSet::new(),
        next: 1,
    }
}

impl World {
    /// Runs until it rests or waits for something that does not come.
    pub fn settle(&mut self) -> Plan {
        for _ in 0..200 {
            let plan = self.pass();
            if matches!(plan.step, Step::Rest | Step::Refuse(_) | Step::Wait(_)) {
                return plan;
            }
        }
        panic!("it does not settle: {:?}", self.trace);
    }

    /// One pass: observe, plan, record, act.
    pub fn pass(&mut self) -> Plan {
        let (pods, unplaced) = (self.pods(), self.unplaced.clone());
        let placed = |seat: &Seat| seat.ordinal < pods && !unplaced.contains(&ServerId::from(*seat));
        for (seat, claim) in self.claims.iter_mut().filter(|(seat, _)| placed(seat)) {
            claim.volume.get_or_insert_with(|| format!("volume-{}", seat.ordinal));
        }
        self.elect();
        self.led = self.leader();
        let mut plan = plan(&self.seen());
        granted(&plan.step.operations());
        let denied = self.denies(&plan.step);
        self.hindrances.denied =
            denied || (self.hindrances.denied && !matches!(plan.step, Step::Join { .. } | Step::Leave { .. }));
        if denied {
            refused(&mut plan.conditions, DENIED, "denied");
        } else if !self.hears(&plan.step) {
            self.trace.push("nobody takes a session".into());
        } else {
            let whole = self.act(&plan.step);
            if whole {
                plan.carried_out();
            }
        }
        self.status = plan.status.clone();
        plan
    }

    /// Whether somebody who is asked to change the membership does not take the operator for the super user.
    fn denies(&self, step: &Step) -> bool {
        let (Step::Join { via, .. } | Step::Leave { via, .. }) = step else { return false };
        self.refusing.iter().any(|id| via.contains(id))
    }

    /// Whether some member takes the session that a step needs.
    fn hears(&self, step: &Step) -> bool {
        let commits = !self.leader().is_some_and(|leader| self.stuck.contains_key(&leader));
        let takes =
            |id: &ServerId| commits && self.running(*id) && !(self.mute.contains(id) && self.leader() == Some(*id));
        step.operations().iter().all(|operation| match operation {
            Operation::Confirm { via, .. } | Operation::Reconfig { via, .. } => via.iter().any(takes),
            _ => true,
        })
    }

    /// What a pod that is made now is started with.
    fn start(&mut self, id: ServerId) {
        self.stuck.remove(&id);
        let key = ObjectKey { kind: Kind::ConfigMap, name: "zk-config".into() };
        let text = self.objects.get(&key).and_then(Live::held).and_then(|json| json["data"]["zoo.cfg"].as_str());
        if text.is_some_and(|text| text.lines().any(|line| line == "leaderServes=no")) {
            self.mute.insert(id);
        } else {
            self.mute.remove(&id);
        }
    }

    pub fn scale(&mut self, replicas: i32) -> &mut Self {
        self.spec.replicas = replicas;
        self.trace.clear();
        self
    }

    pub fn pods(&self) -> u32 {
        self.set().map_or(0, |set| u32::try_from(set["spec"]["replicas"].as_u64().unwrap()).unwrap())
    }

    pub fn voters(&self) -> Vec<u32> {
        self.membership.iter().flat_map(Membership::voters).map(|id| id.0).collect()
    }

    fn set(&self) -> Option<&Value> {
        self.objects.get(&ObjectKey { kind: Kind::StatefulSet, name: "zk".into() })?.held()
    }

    fn charter(&self) -> Option<Charter> {
        let json = self.objects.get(&ObjectKey { kind: Kind::ConfigMap, name: "zk-config".into() })?.held()?;
        serde_json::from_str(json["data"]["charter.json"].as_str()?).ok()
    }

    fn running(&self, id: ServerId) -> bool {
        id.0 <= self.pods()
            && !self.down.contains(&id)
            && !self.unplaced.contains(&id)
            && self.starts(id)
            && self.grouped(id)
    }

    /// ZooKeeper does not start a server by a list with groups in which it has none.
    fn grouped(&self, id: ServerId) -> bool {
        self.membership.as_ref().is_none_or(|membership| membership.has_place_for(id))
    }

    /// Whether there is an image of the version that its pod was made for.
    fn starts(&self, id: ServerId) -> bool {
        !self.versions.get(&id.seat().ordinal).is_some_and(|version| self.nowhere.contains(version))
    }

    /// The version that pods are made for now.
    fn version(&self) -> Option<String> {
        let set = self.set()?;
        set["spec"]["template"]["metadata"]["annotations"]["menagerie.dev/version"].as_str().map(Into::into)
    }

    /// Founds the ensemble when a majority of the seed runs with empty disks that may vote.
    fn elect(&mut self) {
        // Who has no data gets it from those that lead.
        if self.has_quorum() {
            let holds = |id: &ServerId| self.running(*id) && !self.empty.contains(id);
            assert!(self.membership.as_ref().unwrap().voters().any(|id| holds(&id)), "empty volumes founded something");
            // Whoever is elected begins another epoch.
            self.epoch += u64::from(!self.blank.is_empty());
            self.empty.clear();
            self.blank.clear();
        }
        let Some(charter) = self.charter() else { return };
        if self.membership.is_none() && charter.beginning.is_birth() {
            let mut seed = Membership::parse(&charter.membership).unwrap();
            if seed.quorum(|id| self.running(id)) {
                seed.version = ConfigVersion(1 << 32);
                self.membership = Some(seed);
            }
        }
    }

    pub fn has_quorum(&self) -> bool {
        let votes = |id| self.running(id) && (!self.empty.contains(&id) || self.blank.contains(&id));
        self.membership.as_ref().is_some_and(|membership| membership.quorum(votes))
    }

    pub fn leader(&self) -> Option<ServerId> {
        let membership = self.membership.as_ref().filter(|_| self.has_quorum())?;
        // Who leads goes on leading, whoever joins.
        let leads = self.led.filter(|id| membership.voters().any(|voter| voter == *id) && self.running(*id));
        leads.or_else(|| membership.voters().filter(|id| self.running(*id) && !self.empty.contains(id)).last())
    }

    pub fn seen(&self) -> Observation {
        let pods: BTreeMap<Seat, PodFacts> = (0..self.pods()).map(|n| (Seat::voter(n), self.pod(n))).collect();
        let members =
            pods.keys().map(|ordinal| (ServerId::from(*ordinal), self.answer(ServerId::from(*ordinal)))).collect();
        Observation {
            now: self.now,
            requests: self.requests.clone(),
            nodes: self.nodes.clone(),
            names: Names { domain: self.domain.clone(), ..names() },
            uid: self.uid.clone(),
            generation: 1,
            asked: u32::try_from(self.spec.replicas).unwrap_or_default(),
            desired: Desired::from_spec(&self.spec),
            status: self.status.clone(),
            operator: OperatorFacts { agent_image: "menagerie/operator:dev".into(), ..OperatorFacts::default() },
            sets: self
                .set()
                .into_iter()
                .map(|set| {
                    (
                        Pool::Voters,
                        SetFacts {
                            uid: "set".into(),
                            resource_version: set["metadata"]["resourceVersion"].to_string(),
                            replicas: self.pods(),
                            identity: Some(
                                set["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"]["menagerie.dev/identity"]
                                    .as_str()
                                    .unwrap()
                                    .into(),
                            ),
                            update_revision: Some(self.revision()),
                            version: self.version(),
                        },
                    )
                })
                .collect(),
            pods,
            claims: self.claims.clone(),
            members,
            charter: self.charter(),
            objects: self.objects.clone(),
            hindrances: self.hindrances(),
            restoring: self.restoring.clone(),
            backups: Vec::new(),
            password: PasswordFacts::default(),
        }
    }

    /// What the test says, and what became of earlier writes.
    fn hindrances(&self) -> Hindrances {
        let mut all = self.hindrances.clone();
        if let Some(meddler) = &self.meddler {
            let known = meddler.hindrances(self.now);
            all.objects.extend(known.objects);
            all.guard = known.guard;
        }
        all
    }

    fn lets_go(&mut self, target: &Target) -> bool {
        self.meddler.as_mut().is_none_or(|meddler| meddler.lets_go(target, self.now))
    }

    /// What a write comes to; `None` when it is refused.
    fn answer_to(&mut self, object: &Rendered, meant: Vec<FieldDifference>) -> Option<Value> {
        match &mut self.meddler {
            Some(meddler) => meddler.written(object, meant, self.now),
            None => Some(object.json.clone()),
        }
    }

    /// What pods are made from now, in short.
    pub fn revision(&self) -> String {
        let template = self.set().map(|set| set["spec"]["template"].to_string()).unwrap_or_default();
        format!("zk-{}", template.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))))
    }

    fn pod(&self, ordinal: u32) -> PodFacts {
        let (revision, uid) = self.made.get(&ordinal).cloned().unwrap_or_default();
        let id = ServerId::from(Seat::voter(ordinal));
        let placed = !self.unplaced.contains(&id);
        PodFacts {
            name: names().pod(Seat::voter(ordinal)),
            uid: uid.to_string(),
            resource_version: "1".into(),
            ip: placed.then(|| format!("198.18.1.{}", ordinal + 2)),
            node: placed.then(|| format!("node-{ordinal}")),
            since: self.now - 3_600,
            terminating: self.going.contains(&ordinal),
            shut: self.failing.contains(&revision).then(|| "container exporter ended with 1: no such file".to_owned()),
            revision: Some(revision),
            running: Some(self.running(id)),
            ready: self.running(id),
            served: true,
            unready: (!self.running(id)).then_some(self.now - 3_600),
            request: if self.replace.contains(&id) {
                Some(MemberRequest::Replace)
            } else {
                self.asked.contains(&id).then_some(MemberRequest::Restart)
            },
            ran: self.versions.get(&ordinal).filter(|_| self.running(id)).cloned(),
            trouble: (!placed).then(|| "it cannot be scheduled: 0/3 nodes are available".to_owned()),
            ..PodFacts::default()
        }
    }

    fn answer(&self, id: ServerId) -> Fact<MemberTruth> {
        if self.silent.contains(&id) {
            return Fact::Unknown("connect timed out".into());
        }
        if self.unplaced.contains(&id) {
            return Fact::Unknown("its pod has no address yet".into());
        }
        let server = match (&self.membership, self.leader()) {
            _ if !self.running(id) => ServerState::Silent { reason: "connection refused".into() },
            (Some(membership), Some(leader)) => ServerState::Serving(Serving {
                mode: match membership.servers.get(&id).map(Server::role) {
                    _ if id == leader => Mode::Leader,
                    Some(Role::Observer) => Mode::Observer,
                    _ => Mode::Follower,
                },
                epoch: self.epoch,
                zxid: Zxid(self.epoch << 32),
                version: self.versions.get(&id.seat().ordinal).cloned().unwrap_or_default(),
                membership: format!("{}version={}", membership.text(), membership.version),
                synced_voters: (id == leader && !self.uncounted)
                    .then(|| u32::try_from(membership.voters().filter(|id| self.running(*id)).count() - 1).unwrap()),
                commits_nothing: self.stuck.get(&id).copied().filter(|_| id == leader),
            }),
            _ => ServerState::Waiting { phase: "election".into(), version: None },
        };
        let identity = self.charter().map(|charter| charter.identity);
        let filled = !self.empty.contains(&id);
        let record = self.membership.as_ref().filter(|_| filled).map(|membership| membership.version);
        Fact::Known(MemberTruth {
            id,
            disk: DiskState {
                identity,
                database: record.is_some() || self.blank.contains(&id),
                record,
                parent: self.parent.clone().filter(|_| record.is_some()),
                recorded: self.membership.as_ref().filter(|_| record.is_some()).map(Membership::text),
                epoch: record.map(|_| self.epoch).or_else(|| self.blank.contains(&id).then_some(0)),
                outdated: self.outdated(id),
                leader_serves: Some(!self.mute.contains(&id)),
                free: self.free.get(&id).copied(),
            },
            server,
            stalled: None,
            still: None,
            archive: None,
            unpurged: None,
        })
    }

    /// What the agent of a member says that was started with another password.
    fn outdated(&self, id: ServerId) -> Option<String> {
        let allowed = self.empty.contains(&id)
            && !self.blank.contains(&id)
            && self.charter().is_some_and(|charter| charter.may_vote.contains_key(&id));
        let allowed = allowed.then(|| "it may vote with its empty volume, and learned of it too late".to_owned());
        allowed.or_else(|| self.refusing.contains(&id).then(|| PASSWORD_CHANGED.to_owned()))
    }

    /// Whether all of it was done.
    fn act(&mut self, step: &Step) -> bool {
        if let (Step::Guard(guard), Some(meddler)) = (step, &mut self.meddler)
            && !meddler.guards(&guard.mark, self.now)
        {
            return false;
        }
        self.carry_out(step);
        true
    }

    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::Apply(writes) => writes.iter().for_each(|write| self.write(write)),
            Step::Tell(tell) => {
                assert!(self.has_quorum() && !tell.via.is_empty(), "members are told what no quorum has confirmed");
                self.write(&tell.write);
            }
            Step::Delete(targets) => {
                for target in targets {
                    if !self.lets_go(target) {
                        return;
                    }
                    self.trace.push(format!("delete {}", target.key.name));
                    self.objects.remove(&target.key);
                    self.claims.retain(|_, claim| claim.name != target.key.name);
                }
            }
            Step::AddPod(resize) => self.resize("add-pod", resize),
            Step::RemovePod(resize) => {
                assert!(!self.owned(resize.id), "the pod of a member is stopped");
                self.resize("remove-pod", resize);
            }
            Step::Join { id, to, from, via } => {
                assert_eq!(self.reconfigure(from, to, via), [*id], "somebody else comes or goes");
                self.trace.push(format!("join {id}"));
            }
            Step::Leave { id, to, from, via, why: _ } => {
                assert_eq!(self.reconfigure(from, to, via), [*id], "somebody else comes or goes");
                self.trace.push(format!("leave {id}"));
            }
            Step::Restart(restart) => {
                if !self.lets_go(&restart.pod) {
                    return;
                }
                let made = self.made.get_mut(&restart.id.seat().ordinal).unwrap();
                assert_eq!(restart.pod.uid, made.1.to_string(), "another pod than the one that was seen");
                self.next += 1;
                let revision = self.revision();
                self.made.insert(restart.id.seat().ordinal, (revision, self.next));
                self.refusing.remove(&restart.id);
                if self.charter().is_some_and(|charter| charter.may_vote.contains_key(&restart.id)) {
                    self.blank.insert(restart.id);
                }
                self.start(restart.id);
                self.led = self.led.filter(|id| *id != restart.id);
                self.asked.remove(&restart.id);
                self.versions.extend(self.version().map(|version| (restart.id.seat().ordinal, version)));
                if self.claims.get(&restart.id.seat()).is_none_or(|claim| claim.going) {
                    let votes = self.membership.as_ref().is_some_and(|membership| membership.contains(restart.id));
                    assert!(!votes, "the volume of member {}, who votes, goes with its pod", restart.id);
                    self.renew(restart.id.seat());
                }
                self.trace.push(format!("restart {}", restart.id));
            }
            Step::ReplaceVolume(replacement) => {
                assert!(!self.owned(replacement.id), "the volume of a member is given up");
                if !self.lets_go(&replacement.claim) {
                    return;
                }
                self.renew(replacement.id.seat());
                self.replace.remove(&replacement.id);
                self.trace.push(format!("replace-volume {}", replacement.id));
            }
            Step::Guard(guard) => {
                assert!(self.has_quorum() && !guard.via.is_empty(), "nobody to ask");
                self.guarded += 1;
            }
            Step::Prove(prove) => {
                assert!(self.has_quorum() && !prove.via.is_empty(), "nobody to ask");
                self.trace.push("prove".into());
            }
            Step::Wait(_) | Step::Refuse(_) | Step::Rest => {}
        }
    }

    /// Whether the server of that id in the membership is this ensemble's member.
    fn owned(&self, id: ServerId) -> bool {
        let server = self.membership.as_ref().and_then(|membership| membership.servers.get(&id));
        server.is_some_and(|server| names().owns(id, server))
    }

    /// Whose entry is another one after the change.
    fn reconfigure(&mut self, from: &Membership, to: &Membership, via: &[ServerId]) -> Vec<ServerId> {
        assert!(!via.is_empty(), "nobody to ask");
        assert!(self.has_quorum(), "a change without quorum");
        let before = self.membership.take().unwrap();
        assert_eq!(before, *from, "decided on another membership");
        // One that only observes acknowledges nothing before it votes.
        let observes = |id: ServerId| before.servers.get(&id).is_some_and(|server| !server.votes());
        assert!(to.quorum(|id| self.running(id) && !observes(id)), "no quorum of the new membership: {to:?}");
        let ids: BTreeSet<ServerId> = before.servers.keys().chain(to.servers.keys()).copied().collect();
        self.next += 1;
        self.membership = Some(Membership { version: ConfigVersion((self.epoch << 32) + self.next), ..to.clone() });
        ids.into_iter().filter(|id| before.servers.get(id) != to.servers.get(id)).collect()
    }

    /// Another claim of that name.
    fn renew(&mut self, seat: Seat) {
        self.next += 1;
        let identity = self.charter().map(|charter| charter.identity);
        let uid = format!("claim-{}-{}", seat.ordinal, self.next);
        self.claims.insert(seat, ClaimFacts { uid, ..claim(seat.ordinal, identity.as_deref()) });
    }

    fn resize(&mut self, word: &str, resize: &Resize) {
        let Some(json) = self.answer_to(&resize.object, Vec::new()) else { return };
        self.trace.push(format!("{word} {}", resize.id));
        self.store(&resize.object.key, json);
    }

    fn write(&mut self, write: &Write) {
        let meant = differences(&self.seen(), write);
        let Some(json) = self.answer_to(write.object(), meant) else { return };
        match write {
            Write::Apply { object, .. } if object.key.kind == Kind::PersistentVolumeClaim => {
                let metadata = &json["metadata"];
                let claim = self.claims.values_mut().find(|claim| claim.name == object.key.name).unwrap();
                claim.owned = !metadata["ownerReferences"].as_array().unwrap().is_empty();
                claim.born = !metadata["labels"]["menagerie.dev/born"].is_null();
                claim.instance = metadata["labels"]["app.kubernetes.io/instance"].as_str().map(str::to_owned);
                claim.ran = metadata["annotations"]["menagerie.dev/version"].as_str().map(Into::into);
            }
            Write::Apply { object, .. }
                if object.key.kind == Kind::Secret && !matches!(self.objects[&object.key], Live::Orphan(_)) =>
            {
                panic!("the Secret is written a second time: {:?}", object.key);
            }
            Write::Apply { object, .. } | Write::CreateSecret { object, .. } => {
                self.store(&object.key, json);
                if self.meddler.as_ref().is_some_and(|meddler| (meddler.deletes)(&object.key)) {
                    self.objects.remove(&object.key);
                }
            }
        }
    }

    fn store(&mut self, key: &ObjectKey, mut json: Value) {
        self.next += 1;
        // Of a Secret only the metadata is ever read.
        if key.kind == Kind::Secret {
            json = json!({"metadata": json["metadata"]});
        }
        json["metadata"]["uid"] = json!(format!("uid-{}", key.name));
        json["metadata"]["resourceVersion"] = json!(self.next.to_string());
        self.objects.insert(key.clone(), Live::Ours(json.clone()));
        if key.kind == Kind::StatefulSet {
            let identity = json["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"]["menagerie.dev/identity"]
                .as_str()
                .unwrap();
            let (pods, revision, uid) = (self.pods(), self.revision(), self.next);
            self.made.retain(|n, _| *n < pods);
            self.versions.retain(|n, _| *n < pods);
            let version = self.version().unwrap_or_default();
            self.mute.retain(|id| id.0 <= pods);
            for n in 0..pods {
                if !self.made.contains_key(&n) {
                    self.start(ServerId(n + 1));
                }
                self.versions.entry(n).or_insert_with(|| version.clone());
                self.made.entry(n).or_insert_with(|| (revision.clone(), uid));
                let volume = !self.unplaced.contains(&ServerId(n + 1));
                let made = || ClaimFacts { volume: volume.then(|| format!("volume-{n}")), ..claim(n, Some(identity)) };
                self.claims.entry(Seat::voter(n)).or_insert_with(made);
            }
        }
    }

    /// Deletes the custom resource and leaves all that it owned, as `--cascade=orphan` does it, and as objects look that a
    /// backup tool brought back; a new one of that name comes.
    pub fn orphan(&mut self, uid: &str) {
        self.uid = uid.into();
        self.status = EnsembleStatus::default();
        for live in self.objects.values_mut() {
            let mut json = live.held().cloned().unwrap_or_default();
            json["metadata"]["ownerReferences"] = json!([]);
            *live = Live::Orphan(json);
        }
        self.trace.clear();
    }

    /// Deletes the custom resource; its claims stay, and a new object of that name comes.
    pub fn recreate(&mut self, uid: &str) {
        *self = World {
            uid: uid.into(),
            claims: self.claims.clone(),
            membership: self.membership.clone(),
            epoch: self.epoch + 1,
            ..zk(self.spec.replicas)
        };
    }
}

pub fn claim(ordinal: u32, identity: Option<&str>) -> ClaimFacts {
    ClaimFacts {
        name: names().claim(Seat::voter(ordinal)),
        uid: format!("claim-{ordinal}"),
        resource_version: "1".into(),
        identity: identity.map(str::to_owned),
        born: false,
        going: false,
        owned: false,
        instance: None,
        ran: None,
        volume: Some(format!("volume-{ordinal}")),
        ..ClaimFacts::default()
    }
}
