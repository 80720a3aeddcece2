//! The end: faults stop, and everything comes to what was last wanted.

use menagerie::model::charter::STATIC_KEY;
use menagerie::plan::Step;

use super::disk::Disk;
use super::invariants::Wrong;
use super::kube::Ask;
use super::kubelet::Mount;
use super::membership::Ids;
use super::mind::Mind;
use super::operator::Doing;
use super::spec::Spec;
use super::world::World;

/// How many rounds it may take. Twenty members' steps fit into it five times.
const ROUNDS: usize = 150;

impl World {
    /// Heals, and runs until the operator rests; what is wrong otherwise goes to `wrong`.
    pub fn settle(&mut self, mind: &Mind) {
        self.heal();
        if self.spec.broken || self.spec.astray {
            self.want(Spec { broken: false, astray: false, ..self.spec });
        }
        for operator in &mut self.operators {
            operator.doing = Doing::Idle;
        }
        self.heal_among_meddlers(mind);
        let mut last = None;
        for _ in 0..ROUNDS {
            let moved = self.round(mind);
            let thought = self.pass(0, mind);
            self.check();
            if self.wrong.is_some() {
                return;
            }
            let Some(thought) = thought else { continue };
            if matches!(&thought.step, Step::Refuse(reason) if reason.code == "ReplaceRefused") {
                self.take_back();
            }
            if matches!(&thought.step, Step::Refuse(reason) if reason.code == "ForeignObject") {
                self.kube.evict_strangers();
                self.tell(|| "the stranger's object is taken away by its owner".to_owned());
            }
            let refused = matches!(&thought.step, Step::Refuse(reason) if reason.code == "ApplyRefused");
            let rests = self.rests(&thought.step);
            if !moved && (matches!(thought.step, Step::Wait(_)) || (refused && !rests)) {
                self.make_room();
                self.later(400);
            }
            // People do as they were told: of all the data there is, there have to be copies before its claim goes.
            if thought.step == Step::Rest && self.spec.replicas == 1 && self.passing(1) {
                self.want(Spec { replicas: 3, ..self.spec });
                continue;
            }
            if rests && !moved && self.status.digest == thought.status.digest {
                let held = self.held();
                // A kubelet is late by seconds: at rest each has heard of the last change.
                self.kube.config_before = None;
                self.rested(mind, held);
                if !held || self.wrong.is_some() {
                    return;
                }
                self.wait_in_vain(mind);
                self.permit();
            }
            last = Some(thought);
        }
        let doing = last.map(|thought| format!("{:?}", thought.step).chars().take(300).collect::<String>());
        self.wrong(Wrong::Unsettled(format!(
            "{ROUNDS} passes after the last fault it still does not rest, where {} are wanted: {}",
            self.spec,
            doing.unwrap_or_default()
        )));
    }

    /// People do as they were told: they take the annotation from the pod.
    fn take_back(&mut self) {
        for pod in self.kube.pods.values_mut().filter(|pod| pod.asked == Some(Ask::Replace)) {
            pod.asked = None;
            pod.version += 1;
        }
        self.tell(|| "somebody takes the annotation from the pod".to_owned());
    }

    /// People do as they were told: where a pod has no node, there is one more.
    fn make_room(&mut self) {
        if self.kube.pods.values().any(|pod| !pod.placed)
            && let Some(nodes) = &mut self.kube.nodes
        {
            *nodes += 1;
            self.tell(|| "somebody adds a node".to_owned());
        }
    }

    /// Everything but the operator gets its turn.
    pub fn round(&mut self, mind: &Mind) -> bool {
        let mut moved = false;
        for ordinal in 0..20 {
            for _ in 0..6 {
                let again = self.progress(ordinal, Mount::Current, mind);
                moved |= again;
                if !again {
                    break;
                }
            }
        }
        while let Some(word) = self.kube.collect(Some(self.uid)) {
            self.tell(|| word);
            moved = true;
        }
        self.calm() || moved
    }

    /// Judges a rest: the last one, or one in which a roll is held and everything else is as it is wanted.
    fn rested(&mut self, mind: &Mind, held: bool) {
        let wanted: Ids = (1..=self.spec.replicas).collect();
        let (version, replicas) = (self.committed, self.kube.replicas());
        if version.voters != wanted || replicas != self.spec.replicas || self.synced() != wanted {
            return self.wrong(Wrong::Unsettled(format!(
                "it rests with {replicas} pods, membership {version} and {} synced, where {} are wanted",
                self.synced(),
                self.spec
            )));
        }

        let revision = self.kube.revision();
        let late = |revised: u64| !held && revised != revision;
        let outdated = self.kube.pods.iter().find(|(_, pod)| late(pod.revision) || pod.asked.is_some());
        if let Some((ordinal, _)) = outdated {
            return self.wrong(Wrong::Unsettled(format!("it rests and pod zk-{ordinal} is not as it is wanted")));
        }
        let stale = self.kube.pods.keys().find(|ordinal| !held && !self.configured(**ordinal));
        if let Some(ordinal) = stale {
            return self
                .wrong(Wrong::Unsettled(format!("it rests and zk-{ordinal} was started with an older zoo.cfg")));
        }
        let passing = wanted.iter().find(|id| self.passing(*id));
        if let Some(id) = passing {
            return self.wrong(Wrong::Unsettled(format!("it rests and the claim of member {id} goes with its pod")));
        }
        let unused = self
            .kube
            .claims
            .iter()
            .find(|(ordinal, claim)| **ordinal >= self.spec.replicas && claim.identity.is_some());
        if let Some((ordinal, _)) = unused.filter(|_| self.spec.reclaim) {
            return self.wrong(Wrong::Unsettled(format!("it rests and claim data-zk-{ordinal} is still there")));
        }
        let before = (super::kube::hash(&self.kube), self.status.digest, self.history.len());
        self.pass(0, mind);
        if before != (super::kube::hash(&self.kube), self.status.digest, self.history.len()) {
            self.wrong(Wrong::Unsettled("a pass after it has come to rest changes something".to_owned()));
        }
    }

    /// Whether a member's server knows the configuration as it is.
    pub fn configured(&self, ordinal: u32) -> bool {
        let statics = self.kube.config_map().and_then(|config| Some(config["data"][STATIC_KEY].as_str()?.to_owned()));
        let zoo_cfg = self.kube.disk(ordinal + 1).and_then(Disk::zoo_cfg);
        statics.zip(zoo_cfg).is_some_and(|(statics, zoo_cfg)| {
            statics.lines().all(|line| zoo_cfg.lines().any(|started_with| started_with == line))
        })
    }
}
