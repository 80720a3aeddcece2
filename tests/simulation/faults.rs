//! What can break, and how much of it an ensemble has to bear.

use menagerie::model::observed::{Kind, ObjectKey};
use serde_json::json;

use super::disk::Disk;
use super::kube::Ask;
use super::kubelet::Mount;
use super::meddling::KINDS;
use super::membership::{Config, Ids};
use super::operator::Doing;
use super::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The process ends and is started again in place.
    Kill(u32),
    /// The pod is deleted by somebody.
    Evict(u32),
    /// The process is stopped and lives.
    Pause(u32),
    Resume(u32),
    /// No other member is reached.
    Cut(u32),
    Mend(u32),
    /// The operator does not reach the agent.
    Silence(u32),
    Hear(u32),
    /// The address that is listed for its pod is another ensemble's by now, and answers.
    Reuse(u32),
    /// The leader's history reaches it slowly.
    Slow(u32),
    /// The pod and everything on its volume is lost; it comes back empty.
    Wipe(u32),
    /// A kubelet that has not heard of the last change of the `ConfigMap` starts the pod.
    Late(u32),
    /// The files of the server cannot be read any more.
    Rot(u32),
    /// The node that has the volume is deleted.
    Lose(u32),
    /// Somebody deletes the claim of a pod that runs: it goes with the pod.
    Unclaim(u32),
    /// Somebody asks for a restart or a new volume by annotation.
    Ask(u32, Ask),
    /// The node is about to be drained.
    Cordon(u32),
    /// From now on there is a node for so many pods; those that have one keep it.
    Nodes(u32),
    /// Time passes.
    Later,
    /// Somebody makes a Service of a member's name.
    Intrude(u32),
    /// DNS goes away, or is back.
    Nameless(bool),
    /// The custom resource is deleted and made again.
    Recreate,
    /// The API server refuses a kind of objects, or none any more.
    Refuse(Option<u8>),
    /// It does not let anybody but people delete this pod, or lets everybody.
    Protect(Option<u32>),
}

impl World {
    pub fn strike(&mut self, fault: Fault) -> bool {
        let done = match fault {
            Fault::Kill(id) => self.kill(id),
            // Whoever deletes the pod deletes the copy.
            Fault::Evict(id) => {
                (!self.passing(id) || self.bearable(id))
                    && self.pod(id, |pod| !std::mem::replace(&mut pod.terminating, true))
            }
            Fault::Pause(id) => self.server(id, |server| !std::mem::replace(&mut server.paused, true)),
            Fault::Resume(id) => self.server(id, |server| std::mem::replace(&mut server.paused, false)),
            Fault::Cut(id) => self.pod(id, |pod| !std::mem::replace(&mut pod.cut, true)),
            Fault::Mend(id) => self.pod(id, |pod| std::mem::replace(&mut pod.cut, false)),
            Fault::Silence(id) => self.pod(id, |pod| !std::mem::replace(&mut pod.silent, true)),
            Fault::Hear(id) => self.pod(id, |pod| std::mem::replace(&mut pod.silent, false)),
            Fault::Reuse(id) => self.pod(id, |pod| !std::mem::replace(&mut pod.elsewhere, true)),
            Fault::Slow(id) => self.pod(id, |pod| !std::mem::replace(&mut pod.slow, true)),
            Fault::Wipe(id) => return self.wipe(id),
            Fault::Late(ordinal) => return self.kube.config_before.is_some() && self.late(ordinal),
            Fault::Rot(id) => {
                self.bearable(id) && self.unharmed() && {
                    self.kill(id);
                    self.kube.disk_mut(id).is_some_and(|disk| !std::mem::replace(&mut disk.rotten, true))
                }
            }
            Fault::Lose(id) => {
                self.bearable(id) && self.unharmed() && {
                    self.kill(id);
                    self.kube.claims.get_mut(&(id - 1)).is_some_and(|claim| !std::mem::replace(&mut claim.lost, true))
                }
            }
            Fault::Unclaim(id) => {
                // Between a second look and its write nothing in Kubernetes fences a pod's end against its claim's.
                let acting = self.operators.iter().any(|operator| matches!(operator.doing, Doing::Acting(_)));
                let used = self.kube.pods.get(&(id - 1)).is_some_and(|pod| !pod.terminating || self.bearable(id));
                used && !acting
                    && self.born()
                    && self.kube.claims.get_mut(&(id - 1)).is_some_and(|claim| {
                        claim.version += 1;
                        !std::mem::replace(&mut claim.terminating, true)
                    })
            }
            Fault::Ask(id, ask) => self.pod(id, |pod| {
                pod.version += 1;
                pod.asked.replace(ask).is_none()
            }),
            Fault::Cordon(id) => self.pod(id, |pod| !std::mem::replace(&mut pod.cordoned, true)),
            Fault::Nodes(nodes) => self.kube.nodes.replace(nodes) != Some(nodes),
            Fault::Later => {
                self.later(400);
                true
            }
            Fault::Intrude(ordinal) => {
                let key = ObjectKey { kind: Kind::Service, name: format!("zk-{ordinal}") };
                self.kube.create(&key, &json!({"metadata": {"name": key.name}, "spec": {"theirs": true}}), None).is_ok()
            }
            Fault::Refuse(kind) => std::mem::replace(&mut self.meddling.refused, kind) != kind,
            Fault::Protect(ordinal) => std::mem::replace(&mut self.meddling.held, ordinal) != ordinal,
            Fault::Nameless(away) => std::mem::replace(&mut self.nameless, away) != away,
            Fault::Recreate => {
                self.uid += 1;
                self.generation = 1;
                self.status = super::world::Status::default();
                self.approval.given = None;
                true
            }
        };
        if done {
            self.tell(|| describe(fault));
        }
        done
    }

    /// Time passes, and agents notice who serves.
    pub fn later(&mut self, seconds: u64) {
        self.kube.now += seconds;
        for pod in self.kube.pods.values_mut() {
            if pod.server.as_ref().is_some_and(super::server::Server::serving) {
                pod.served = self.kube.now;
            }
        }
    }

    fn late(&mut self, ordinal: u32) -> bool {
        let sound = super::mind::Mind::new(super::mind::SOUND);
        let fresh = self.kube.pods.get(&ordinal).is_some_and(|pod| !pod.prepared && !pod.terminating);
        if fresh {
            self.tell(|| format!("the kubelet of zk-{ordinal} has not heard of the last ConfigMap"));
        }
        fresh && self.prepare(ordinal, Mount::Before, None, &sound)
    }

    fn kill(&mut self, id: u32) -> bool {
        self.pod(id, |pod| {
            pod.restarts += 1;
            pod.version += 1;
            pod.server.take().is_some()
        })
    }

    fn pod(&mut self, id: u32, change: impl FnOnce(&mut super::kube::Pod) -> bool) -> bool {
        self.kube.pods.get_mut(&(id - 1)).is_some_and(change)
    }

    fn server(&mut self, id: u32, change: impl FnOnce(&mut super::server::Server) -> bool) -> bool {
        self.kube.member_mut(id).is_some_and(|(server, _)| change(server))
    }

    fn wipe(&mut self, id: u32) -> bool {
        if !self.bearable(id) {
            return false;
        }
        self.kube.pods.remove(&(id - 1));
        if let Some(disk) = self.kube.disk_mut(id) {
            *disk = Disk::default();
        }
        self.tell(|| format!("the node of member {id} burns down: its pod is gone and its volume is empty"));
        true
    }

    /// Whether the others still have everything without this one: each majority of each membership that counts has a
    /// copy of what was acknowledged, and a majority has data at all. Losing more than that no operator can mend.
    pub fn bearable(&self, id: u32) -> bool {
        let have: Ids = self.holders().without(id);
        let whole = self.kube.disk(id).is_some_and(|disk| disk.database && !disk.rotten);
        whole
            && self.kube.claims.get(&(id - 1)).is_some_and(|claim| !claim.lost)
            && self.born()
            && self.memberships().iter().chain(&self.believed()).all(|config| config.quorum(have))
    }

    /// Whether a member's volume goes with its pod.
    pub fn passing(&self, id: u32) -> bool {
        self.kube.claims.get(&(id - 1)).is_some_and(|claim| claim.terminating)
    }

    /// Whether no other volume waits to be replaced: two at a time are left to people.
    fn unharmed(&self) -> bool {
        self.kube.claims.values().all(|claim| !claim.lost && !claim.disk.rotten)
    }

    /// Memberships that some server still goes by: it may not have heard of a newer one.
    fn believed(&self) -> Vec<Config> {
        let ids = self.kube.claims.keys().map(|ordinal| ordinal + 1);
        ids.filter_map(|id| Some(self.kube.disk(id)?.configs()?.0)).filter(|config| config.version > 0).collect()
    }

    /// Members whose disks have everything that was committed.
    fn holders(&self) -> Ids {
        let whole =
            |disk: &Disk| disk.log.len() >= self.history.len() && disk.log[..self.history.len()] == self.history[..];
        let ids = self.kube.claims.keys().map(|ordinal| ordinal + 1);
        let goes = |id: u32| self.passing(id) && self.kube.pods.get(&(id - 1)).is_none_or(|pod| pod.terminating);
        let kept = ids.filter(|id| self.kube.claims.get(&(id - 1)).is_some_and(|claim| !claim.lost && !goes(*id)));
        kept.filter(|id| self.kube.disk(*id).is_some_and(|disk| disk.database && !disk.rotten && whole(disk))).collect()
    }

    /// Everything that broke is well again, except what is lost.
    pub fn heal(&mut self) {
        for pod in self.kube.pods.values_mut() {
            pod.cut = false;
            pod.silent = false;
            (pod.elsewhere, pod.slow) = (false, false);
            if let Some(server) = &mut pod.server {
                server.paused = false;
            }
        }
        self.nameless = false;
        self.tell(|| "faults stop".to_owned());
    }
}

fn describe(fault: Fault) -> String {
    match fault {
        Fault::Kill(id) => format!("the server of member {id} is killed"),
        Fault::Evict(id) => format!("somebody deletes pod zk-{}", id - 1),
        Fault::Pause(id) => format!("the server of member {id} is stopped (SIGSTOP)"),
        Fault::Resume(id) => format!("the server of member {id} goes on"),
        Fault::Cut(id) => format!("member {id} is cut off from the other members"),
        Fault::Mend(id) => format!("member {id} reaches the other members again"),
        Fault::Silence(id) => format!("the agent of member {id} does not reach the operator any more"),
        Fault::Hear(id) => format!("the agent of member {id} reaches the operator again"),
        Fault::Reuse(id) => format!("at the address of pod zk-{} another ensemble answers", id - 1),
        Fault::Slow(id) => format!("what member {id} receives arrives slowly"),
        Fault::Wipe(id) => format!("the volume of member {id} is lost"),
        Fault::Late(ordinal) => format!("the kubelet of zk-{ordinal} is late"),
        Fault::Rot(id) => format!("the disk of member {id} cannot be read any more"),
        Fault::Lose(id) => format!("the node that has the volume of member {id} is deleted"),
        Fault::Unclaim(id) => format!("somebody deletes claim data-zk-{}, which goes with its pod", id - 1),
        Fault::Ask(id, Ask::Restart) => format!("somebody asks for a restart of member {id}"),
        Fault::Ask(id, Ask::Replace) => format!("somebody asks for a new volume for member {id}"),
        Fault::Cordon(id) => format!("the node of member {id} is cordoned"),
        Fault::Nodes(nodes) => format!("there is a node for {nodes} pods"),
        Fault::Later => "time passes".to_owned(),
        Fault::Intrude(ordinal) => format!("somebody makes a Service zk-{ordinal}"),
        Fault::Refuse(kind) => match kind.and_then(|kind| KINDS.into_iter().find(|known| *known as u8 == kind)) {
            Some(kind) => format!("every {} is refused", kind.as_str()),
            None => "no object is refused any more".to_owned(),
        },
        Fault::Protect(Some(ordinal)) => format!("the operator may not delete pod zk-{ordinal}"),
        Fault::Protect(None) => "every pod may be deleted again".to_owned(),
        Fault::Nameless(true) => "DNS goes away".to_owned(),
        Fault::Nameless(false) => "DNS is back".to_owned(),
        Fault::Recreate => "the custom resource is deleted and made again".to_owned(),
    }
}
