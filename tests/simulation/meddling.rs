//! Somebody between the operator and the API server's objects: a policy that puts a label on every claim that is written, kinds
//! that are refused, a pod that may not be deleted. What does not depend on it goes on.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use menagerie::model::Hindrances;
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::plan::{Step, Write, came_out_otherwise, differences};
use menagerie::render::Rendered;

use super::invariants::Wrong;
use super::mind::Mind;
use super::operator::Pass;
use super::world::World;

/// Rounds in which whoever can be healed is.
const ROUNDS: usize = 60;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meddling {
    /// Disruption budgets are refused for ever: nothing waits for one.
    pub budgets: bool,
    /// A kind that is refused for a while.
    pub refused: Option<u8>,
    /// The ordinal whose pod may not be deleted, for a while.
    pub held: Option<u32>,
}

/// What is refused for a while, at most one at a time.
pub const KINDS: [Kind; 3] = [Kind::Service, Kind::ConfigMap, Kind::StatefulSet];

const WORDS: &str = "denied by a policy";

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn at(now: u64) -> Instant {
    *START + Duration::from_secs(now)
}

impl Meddling {
    fn refuses(self, kind: Kind) -> bool {
        (self.budgets && kind == Kind::PodDisruptionBudget) || self.refused == Some(kind as u8)
    }
}

impl World {
    /// What this operator has noted of earlier writes.
    pub fn noted(&self, who: usize) -> Hindrances {
        self.operators[who].notes.hindrances(at(self.kube.now))
    }

    /// Whether the API server takes this write; what it refuses is noted.
    pub fn admits(&mut self, object: &Rendered, pass: &Pass) -> Result<(), String> {
        if !self.meddling.refuses(object.key.kind) {
            return Ok(());
        }
        let now = at(self.kube.now);
        self.operators[pass.who].notes.objects.refused(&object.key, &object.seal(), WORDS, now);
        Err(WORDS.to_owned())
    }

    /// Whether it lets this pod be deleted.
    pub fn releases(&mut self, key: &ObjectKey, uid: &str, pass: &Pass) -> Result<(), String> {
        let ordinal = super::names::names().seat_of_pod(&key.name).map(|seat| seat.ordinal);
        if key.kind != Kind::Pod || ordinal.is_none() || ordinal != self.meddling.held {
            return Ok(());
        }
        let now = at(self.kube.now);
        self.operators[pass.who].notes.objects.refused(key, uid, WORDS, now);
        Err(WORDS.to_owned())
    }

    /// A write was accepted: what it was for, and what came of it, as `operator::ensemble::act` notes it.
    pub fn note(&mut self, write: &Write, pass: &Pass) {
        if self.meddling == Meddling::default() && !self.kube.labelled {
            return;
        }
        let object = write.object();
        let meant = differences(&pass.sight.observation(menagerie::model::Observation::believed), write);
        let mut answer = object.json.clone();
        if object.key.kind == Kind::PersistentVolumeClaim {
            self.kube.label(&mut answer);
        }
        let (otherwise, now) = (came_out_otherwise(&answer, object), at(self.kube.now));
        self.operators[pass.who].notes.objects.written(&object.key, meant, otherwise, now);
    }

    /// Whether nothing is hindered but what nothing depends on.
    pub fn only_bystanders(&self) -> bool {
        let bystander = |kind: Kind| matches!(kind, Kind::PodDisruptionBudget | Kind::PersistentVolumeClaim);
        self.noted(0).objects.keys().all(|key| bystander(key.kind))
    }

    /// Whether an operator that does this has come to rest.
    pub fn rests(&self, step: &Step) -> bool {
        let lacks = matches!(step, Step::Refuse(reason) if reason.code == "ApplyRefused");
        *step == Step::Rest || (lacks && self.meddling.budgets && self.only_bystanders())
    }

    /// Whoever votes is healed, whatever is refused that no restart depends on; then what is refused for a while is not any more.
    pub fn heal_among_meddlers(&mut self, mind: &Mind) {
        let services = self.meddling.refused.is_none_or(|kind| kind == Kind::Service as u8);
        let hindered = self.meddling.refused.is_some() && services && self.meddling.held.is_none();
        if hindered && self.born() {
            for _ in 0..ROUNDS {
                let moved = self.round(mind);
                let thought = self.pass(0, mind);
                self.check();
                if !moved && thought.is_some_and(|thought| matches!(thought.step, Step::Wait(_) | Step::Refuse(_))) {
                    self.later(400);
                }
            }
            let missing = self.committed.voters.iter().find(|id| !self.synced().contains(*id));
            if let Some(id) = missing {
                self.wrong(Wrong::Unsettled(format!(
                    "member {id} is not healed while Services are refused, which no restart depends on"
                )));
            }
        }
        (self.meddling.refused, self.meddling.held) = (None, None);
    }
}
