//! The kubelet and the agent's `prepare`: from a pod to a server that runs, and back.

use menagerie::agent::prepare::{INITIALIZE, Preparation, PrepareError, configure};
use menagerie::agent::record::Records;
use menagerie::agent::resolve::{Missing, Why};
use menagerie::agent::seed::Seed;
use menagerie::model::charter::{CHARTER_KEY, STATIC_KEY};
use menagerie::model::observed::Kind;
use menagerie::model::{self, Beginning, Membership, ServerId};

use super::invariants::Wrong;
use super::kube::resolves;
use super::membership::Config;
use super::mind::Mind;
use super::server::Server;
use super::world::World;

/// What a kubelet mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mount {
    /// The `ConfigMap` as it is.
    Current,
    /// The one before: this kubelet has not heard of the last change.
    Before,
}

impl World {
    /// The next thing that happens to a pod.
    pub fn progress(&mut self, ordinal: u32, mount: Mount, mind: &Mind) -> bool {
        if let Some(word) = self.kube.control(ordinal) {
            self.kube.touch_set();
            self.tell(|| word);
            return true;
        }
        let Some(pod) = self.kube.pods.get_mut(&ordinal) else { return false };
        if pod.terminating {
            if pod.server.take().is_some() {
                pod.version += 1;
                self.tell(|| format!("the server in pod zk-{ordinal} stops"));
            } else {
                self.kube.pods.remove(&ordinal);
                self.tell(|| format!("pod zk-{ordinal} is gone"));
            }
            return true;
        }
        if self.kube.claims.get(&ordinal).is_none_or(|claim| claim.lost) {
            return false;
        }
        let Some(pod) = self.kube.pods.get_mut(&ordinal) else { return false };
        if !pod.placed {
            let Some(word) = self.kube.place(ordinal) else { return false };
            self.tell(|| word);
            return true;
        }
        if !pod.prepared {
            return self.prepare(ordinal, mount, None, mind);
        }
        if pod.server.is_none() {
            return self.start(ordinal);
        }
        false
    }

    pub fn seed(&self, mount: Mount) -> Option<Seed> {
        let config = match mount {
            Mount::Before if self.kube.config_before.is_some() => self.kube.config_before.clone(),
            Mount::Before | Mount::Current => self.kube.config_map(),
        }?;
        self.kube.get(Kind::Secret, "zk-super")?;
        let text = |key: &str| config["data"][key].as_str().unwrap_or_default().to_owned();
        Some(
            Seed::parse(&text(CHARTER_KEY), text(STATIC_KEY), "secret")
                .expect("the operator writes charters that can be read"),
        )
    }

    /// The init container, the whole of it or only its first `changes`.
    pub fn prepare(&mut self, ordinal: u32, mount: Mount, changes: Option<usize>, mind: &Mind) -> bool {
        let id = ordinal + 1;
        let ready = self.kube.pods.get(&ordinal).is_some_and(|pod| pod.placed && !pod.prepared && !pod.terminating);
        let Some(seed) = self.seed(mount).filter(|_| ready) else { return false };
        let founds = |world: &Self| world.kube.disk(id).is_some_and(|disk| disk.files.contains_key(INITIALIZE));
        let before = founds(self);
        let (plan, whole) = match self.make_ready(id, &seed, changes, mind) {
            Ok(done) => done,
            Err(refusal) => {
                let news = self
                    .kube
                    .pods
                    .get_mut(&ordinal)
                    .is_some_and(|pod| pod.trouble.replace(refusal.to_string()).is_none());
                if news {
                    self.tell(|| format!("prepare refuses in pod zk-{ordinal}: {refusal}"));
                }
                return news;
            }
        };
        let starts = whole && (mind.mutant.may_start)(&plan.using, ServerId(id), &self.missing(&plan.using));
        let trouble = (whole && !starts).then(|| "its name does not resolve".to_owned());
        let mut news = true;
        if let Some(pod) = self.kube.pods.get_mut(&ordinal) {
            // The kubelet writes its status. One that waits for its name tries again, and nothing has changed.
            news = trouble.is_none() || pod.trouble != trouble;
            pod.version += u32::from(news);
            pod.prepared = starts;
            pod.trouble = trouble;
        }
        let (using, marker) = (Config::of(&plan.using), founds(self) && !before);
        let word = match (whole, starts) {
            (true, true) => "prepares the volume",
            (true, false) => "prepares the volume and waits for its own name to resolve",
            (false, _) => "is cut short preparing the volume",
        };
        let birth = if marker { ", with the marker of birth" } else { "" };
        if news {
            self.tell(|| format!("pod zk-{ordinal} {word}: membership {using} from its {:?}{birth}", plan.from));
        }
        if marker && self.initialized.contains(id) {
            self.wrong(Wrong::Initialize(format!(
                "member {id} gets the marker of birth, and has started with it before"
            )));
        }
        news
    }

    /// As `agent::start`: what is planned, and whether all of it but the right to vote was done. That is given once names resolve, by
    /// what is mounted then: the agent reads it again after the last that it waits for, so that both are one event here.
    fn make_ready(
        &mut self,
        id: u32,
        seed: &Seed,
        changes: Option<usize>,
        mind: &Mind,
    ) -> Result<(Preparation, bool), PrepareError> {
        let found = self.kube.disk(id).map(super::disk::Disk::contents).unwrap_or_default();
        let plan = mind.prepare(&found, seed, ServerId(id))?;
        let (rest, all) = (plan.before_birth().len(), plan.changes.len());
        let whole = changes.is_none_or(|changes| changes >= all);
        if let Some(disk) = self.kube.disk_mut(id) {
            disk.apply(&plan, changes.map_or(rest, |changes| changes.min(rest)));
        }
        let resolve = (mind.mutant.may_start)(&plan.using, ServerId(id), &self.missing(&plan.using));
        let asked = self
            .kube
            .pods
            .get_mut(&(id - 1))
            .is_some_and(|pod| std::mem::replace(&mut pod.asked_early, mind.mutant.early));
        if !resolve
            && mind.mutant.stale
            && let Some(pod) = self.kube.pods.get_mut(&(id - 1))
        {
            pod.told_birth |= seed.beginning.is_birth();
        }
        if !whole || asked || !(resolve || mind.mutant.early) {
            return Ok((plan, whole));
        }
        let mut seed = seed.clone();
        if self.kube.pods.get(&(id - 1)).is_some_and(|pod| pod.told_birth) {
            seed.beginning = Beginning::Birth;
        }
        if seed.beginning.is_birth() && !found.database && self.witness(&seed, id) {
            seed.beginning = Beginning::TakenUp;
        }
        let found = self.kube.disk(id).map(super::disk::Disk::contents).unwrap_or_default();
        let plan = mind.prepare(&found, &seed, ServerId(id))?;
        if let Some(disk) = self.kube.disk_mut(id) {
            disk.apply(&plan, plan.changes.len());
        }
        Ok((plan, whole))
    }

    /// Names that nobody can look up: any while DNS is away, of another domain, or of a member that has no pod on a node.
    fn missing(&self, using: &Membership) -> Missing {
        let placed = |id: &ServerId| self.kube.pods.get(&id.seat().ordinal).is_some_and(|pod| pod.placed);
        let unknown =
            |(id, server): &(&ServerId, &model::Server)| self.nameless || !placed(id) || !resolves(server.host());
        let missing = using.servers.iter().filter(unknown);
        missing.map(|(_, server)| (server.host().to_owned(), Why::Nowhere)).collect()
    }

    /// As `agent::birth` asks: whether one of the other founders has seen the ensemble live.
    fn witness(&self, seed: &Seed, own: u32) -> bool {
        let named = seed.membership.servers.iter().filter(|(_, server)| !self.nameless && resolves(server.host()));
        named.map(|(id, _)| id.0).filter(|id| *id != own).any(|id| {
            let pod = self.kube.pods.get(&(id - 1)).filter(|pod| pod.prepared && !pod.cut);
            let Some((pod, disk)) = pod.zip(self.kube.disk(id)) else { return false };
            let truth = disk.truth();
            let lived = truth.record.is_some_and(|record| record.0 > 0)
                || truth.epoch.is_some_and(|epoch| epoch > 0)
                || pod.server.as_ref().is_some_and(|server| !server.paused && server.serving());
            truth.identity.as_deref() == Some(&*seed.identity) && lived
        })
    }

    fn start(&mut self, ordinal: u32) -> bool {
        let id = ordinal + 1;
        if let Some(pod) = self.kube.pods.get_mut(&ordinal).filter(|pod| pod.broken) {
            let news = pod.trouble.replace("ImagePullBackOff".to_owned()).is_none();
            if news {
                self.tell(|| format!("there is no image for the server of member {id}"));
            }
            return news;
        }
        self.rejoin(id);
        let Some(disk) = self.kube.disk_mut(id) else { return false };
        let initialize = disk.files.contains_key(INITIALIZE);
        let rotten = disk.rotten;
        let outcome = Server::start(id, disk);
        if initialize && outcome.is_ok() {
            self.initialized = self.initialized.with(id);
        }
        let Some(pod) = self.kube.pods.get_mut(&ordinal) else { return false };
        pod.version += 1;
        match outcome {
            Ok(server) => {
                let config = server.config;
                pod.server = Some(server);
                pod.trouble = None;
                self.tell(|| format!("the server of member {id} starts with membership {config}"));
                true
            }
            Err(reason) => {
                pod.unreadable = rotten;
                pod.restarts += u32::from(pod.restarts < 3);
                let news = pod.restarts < 3 || pod.trouble.replace(reason.clone()).is_none();
                if news {
                    self.tell(|| format!("the server of member {id} exits: {reason}"));
                }
                news
            }
        }
    }

    /// As `agent::rejoin`: beside a server that stopped in place, a record that lacks the member gets it again.
    fn rejoin(&mut self, id: u32) {
        let Some(seed) = self.seed(Mount::Current) else { return };
        let Some(disk) = self.kube.disk_mut(id) else { return };
        let contents = disk.contents();
        let lost = Records::read(&contents.dynamics).newest.is_some_and(|newest| !newest.contains(ServerId(id)));
        if lost && let Ok(plan) = configure(&contents, &seed, ServerId(id), "/data") {
            disk.apply(&plan, plan.changes.len());
        }
    }
}
