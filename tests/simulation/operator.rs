//! An operator: one pass at a time, stopped anywhere.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use menagerie::operator::hindered::EnsembleNotes;
use menagerie::plan::{Operation, Step};

use super::act::Wire;
use super::kube::hash;
use super::membership::{Config, Ids};
use super::mind::{Mind, Thought};
use super::sight::{Resource, Sight};
use super::world::World;

#[derive(Clone, Debug, Default)]
pub struct Operator {
    pub doing: Doing,
    /// What came to nothing. No two states are told apart by it alone: it is there only where somebody meddles.
    pub notes: EnsembleNotes,
}

impl Hash for Operator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.doing.hash(state);
    }
}

#[derive(Clone, Debug, Default, Hash)]
pub enum Doing {
    #[default]
    Idle,
    /// It has read the custom resource.
    Begun(Resource),
    /// It has listed the objects.
    Looked(Box<Sight>),
    /// It has decided and acts.
    Acting(Box<Pass>),
}

/// A decision on its way.
#[derive(Clone)]
pub struct Pass {
    /// Whose it is.
    pub who: usize,
    pub sight: Sight,
    /// The custom resource as it was read first, as a hash: the version that the status is written on.
    read: u64,
    pub thought: Rc<Thought>,
    /// The operation that comes next.
    pub next: usize,
    /// Whether one did not go through.
    failed: bool,
    /// Members that were synced when it began to act, whatever it was told. Who fails later is no fault of the operator's.
    pub synced: Ids,
    /// Members that could serve when it began to act, whatever they did at that moment, and those of them that had just served.
    pub able: Ids,
    pub recent: Ids,
    /// The membership that was committed when it decided.
    pub decided: Config,
    /// Who led when it began to act.
    pub leader: Option<u32>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass({:x} at {})", self.thought.digest, self.next)
    }
}

impl Pass {
    /// Who acts.
    pub fn name(&self) -> &'static str {
        name(self.who)
    }
}

impl Hash for Pass {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.thought.digest, self.next, self.failed, self.synced, self.able, self.recent, self.decided, self.leader)
            .hash(state);
    }
}

impl World {
    /// One stage of a pass: read the resource, list, ask and decide, one operation after the other, write the status.
    pub fn proceed(&mut self, who: usize, mind: &Mind, wire: Wire) -> bool {
        self.note_service();
        let doing = std::mem::take(&mut self.operators[who].doing);
        self.operators[who].doing = match doing {
            Doing::Idle => Doing::Begun(self.resource()),
            Doing::Begun(resource) => Doing::Looked(Box::new(self.looks(who, resource))),
            Doing::Looked(mut sight) => {
                self.ask(&mut sight);
                let thought = mind.think(&sight);
                self.tell(|| format!("{} looks and decides: {}", name(who), decision(&thought)));
                let (synced, decided, leader) = (self.synced(), self.committed, self.leader());
                Doing::Acting(Box::new(Pass {
                    who,
                    read: hash(&sight.resource),
                    sight: *sight,
                    thought,
                    next: 0,
                    failed: false,
                    synced,
                    able: self.able(),
                    recent: self.recent(),
                    decided,
                    leader,
                }))
            }
            Doing::Acting(pass) => return self.go_on(who, pass, mind, wire),
        };
        true
    }

    fn looks(&self, who: usize, resource: Resource) -> Sight {
        let mut sight = self.look(resource);
        sight.hindrances = self.noted(who);
        sight
    }

    fn go_on(&mut self, who: usize, mut pass: Box<Pass>, mind: &Mind, wire: Wire) -> bool {
        let thought = Rc::clone(&pass.thought);
        let Some(operation) = thought.operations.get(pass.next) else {
            return self.record_status(&pass);
        };
        if pass.next == 0 {
            (pass.synced, pass.leader) = (self.synced(), self.leader());
            (pass.able, pass.recent) = (self.able(), self.recent());
        }
        let goes_on = match operation {
            Operation::LookAgain => self.look_again(&mut pass, mind, wire),
            operation => self.carry_out(operation, &pass, wire),
        };
        // Whatever became of the step, the status is written at the end.
        pass.failed |= !goes_on;
        pass.next = if goes_on { pass.next + 1 } else { thought.operations.len() };
        self.operators[who].doing = Doing::Acting(pass);
        true
    }

    /// It goes on if it comes to the same step, and is judged by what it sees now.
    fn look_again(&mut self, pass: &mut Pass, mind: &Mind, wire: Wire) -> bool {
        if wire != Wire::Fine {
            return false;
        }
        let mut sight = self.looks(pass.who, self.resource());
        self.ask(&mut sight);
        let again = mind.think(&sight);
        let same = again.step == pass.thought.step;
        if same {
            pass.sight = sight;
        } else {
            self.tell(|| {
                format!("{} looks again, would decide otherwise ({}), and does nothing", pass.name(), decision(&again))
            });
        }
        same
    }

    fn record_status(&mut self, pass: &Pass) -> bool {
        let status = if pass.failed { &pass.thought.status } else { &pass.thought.done };
        if pass.read == hash(&self.resource()) && self.status.digest != status.digest {
            self.status = status.clone();
        }
        true
    }

    /// A whole pass without anything between.
    pub fn pass(&mut self, who: usize, mind: &Mind) -> Option<Rc<Thought>> {
        if !matches!(self.operators[who].doing, Doing::Acting(_)) {
            while !matches!(self.operators[who].doing, Doing::Acting(_)) {
                self.proceed(who, mind, Wire::Fine);
            }
        }
        let Doing::Acting(pass) = &self.operators[who].doing else { return None };
        let thought = Rc::clone(&pass.thought);
        while matches!(self.operators[who].doing, Doing::Acting(_)) {
            self.proceed(who, mind, Wire::Fine);
        }
        Some(thought)
    }
}

fn decision(thought: &Thought) -> String {
    match &thought.step {
        Step::Apply(writes) => format!("apply {} objects", writes.len()),
        Step::Tell(tell) => format!("tell members of membership {}", tell.membership.version),
        Step::Delete(targets) => {
            let names: Vec<&str> = targets.iter().map(|target| target.key.name.as_str()).collect();
            format!("delete {}", names.join(", "))
        }
        Step::AddPod(resize) => format!("a pod for member {}", resize.id),
        Step::RemovePod(resize) => format!("take away the pod of member {}", resize.id),
        Step::Join { id, from, .. } => format!("add member {id} to membership {}", from.version),
        Step::Leave { id, from, why, .. } => format!("remove member {id} from membership {} ({why:?})", from.version),
        Step::Restart(restart) => format!("restart member {} ({})", restart.id, restart.why),
        Step::ReplaceVolume(replacement) => {
            format!("give member {} a new volume ({})", replacement.id, replacement.why)
        }
        Step::Guard(_) => "take /zookeeper from everybody".to_owned(),
        Step::Prove(prove) => prove.words(),
        Step::Wait(reason) => format!("wait ({}: {})", reason.code, reason.message),
        Step::Refuse(reason) => format!("refuse ({}: {})", reason.code, reason.message),
        Step::Rest => "nothing".to_owned(),
    }
}

fn name(who: usize) -> &'static str {
    if who == 0 { "the operator" } else { "a second operator" }
}
