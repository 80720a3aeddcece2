//! The planner, with a memory: what was seen before is decided as before. A mutant is a mind that is not right.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use menagerie::agent::prepare;
use menagerie::agent::resolve::{self, Missing};
use menagerie::agent::seed::Seed;
use menagerie::model::{Membership, Observation, Seat, ServerId};
use menagerie::plan::{Operation, Step, plan};

use super::kube::hash;
use super::sight::{Believe, Sight};
use super::world::Status;

/// What is wrong with an operator or an agent. By default, nothing.
#[derive(Clone, Copy)]
pub struct Mutant {
    /// What it is called.
    pub name: &'static str,
    /// How answers of agents are proven.
    pub believe: Believe,
    /// What the planner sees instead.
    pub doctor: fn(&mut Observation),
    /// What is done instead of the step.
    pub step: fn(&Observation, Step) -> Step,
    /// What is written instead, one after the other.
    pub act: fn(Vec<Operation>) -> Vec<Operation>,
    /// Whether its `reconfig` is without a version.
    pub unfenced: bool,
    /// What the agent does instead.
    pub prepare: Option<Prepare>,
    /// Whether a server is started although these names do not resolve.
    pub may_start: fn(&Membership, ServerId, &Missing) -> bool,
    /// Whether its agent asks the other founders once, before names resolve.
    pub early: bool,
    /// Whether its agent ends with the beginning that it read before it waited for names.
    pub stale: bool,
}

pub type Prepare = fn(&prepare::VolumeContents, &Seed, ServerId) -> Result<prepare::Preparation, prepare::PrepareError>;

/// The real thing.
pub const SOUND: Mutant = Mutant {
    name: "the operator as it is",
    believe: Observation::believed,
    doctor: |_| {},
    step: |_, step| step,
    act: |operations| operations,
    unfenced: false,
    prepare: None,
    may_start: resolve::may_start,
    early: false,
    stale: false,
};

/// What came of one look.
pub struct Thought {
    pub step: Step,
    pub operations: Vec<Operation>,
    /// Where members' pods were.
    pub addresses: BTreeMap<ServerId, String>,
    pub unfenced: bool,
    pub status: Status,
    /// What it says once the step was carried out.
    pub done: Status,
    pub digest: u64,
}

pub struct Mind {
    pub mutant: Mutant,
    memory: RefCell<HashMap<u64, Rc<Thought>>>,
}

impl Mind {
    pub fn new(mutant: Mutant) -> Self {
        Self { mutant, memory: RefCell::default() }
    }

    pub fn think(&self, sight: &Sight) -> Rc<Thought> {
        let key = hash(sight);
        if let Some(thought) = self.memory.borrow().get(&key) {
            return Rc::clone(thought);
        }
        let mut seen = sight.observation(self.mutant.believe);
        (self.mutant.doctor)(&mut seen);
        let mut plan = plan(&seen);
        plan.step = (self.mutant.step)(&seen, plan.step);
        let (step, status) = (plan.step.clone(), Status::of(plan.status.clone()));
        plan.carried_out();
        let done = Status::of(plan.status);
        let operations = (self.mutant.act)(step.operations());
        let unfenced = self.mutant.unfenced;
        let address = |ordinal: &Seat| {
            let id = ServerId::from(*ordinal);
            Some((id, seen.address(id)?.to_owned()))
        };
        let addresses = seen.pods.keys().filter_map(address).collect();
        let thought = Rc::new(Thought { operations, addresses, unfenced, status, done, digest: key, step });
        self.memory.borrow_mut().insert(key, Rc::clone(&thought));
        thought
    }

    pub fn prepare(
        &self,
        contents: &prepare::VolumeContents,
        seed: &Seed,
        id: ServerId,
    ) -> Result<prepare::Preparation, prepare::PrepareError> {
        match self.mutant.prepare {
            Some(prepare) => prepare(contents, seed, id),
            None => prepare::prepare(contents, seed, id, "/data"),
        }
    }
}
