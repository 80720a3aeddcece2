//! The world: Kubernetes, the servers, people, the operator's passes, and what has gone wrong.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use menagerie::api::EnsembleStatus;

use super::disk::Entry;
use super::invariants::Wrong;
use super::kube::{Kube, hash};
use super::meddling::Meddling;
use super::membership::{Config, Ids};
use super::operator::Operator;
use super::policy::Approval;
use super::spec::Spec;

/// How many operators there may be: one that acts, and one that was stopped in the middle of a pass and goes on later.
pub const OPERATORS: usize = 2;

#[derive(Clone, Debug)]
pub struct World {
    pub spec: Spec,
    pub generation: i64,
    /// Uid of the custom resource.
    pub uid: u32,
    pub status: Status,
    pub approval: Approval,
    pub kube: Kube,
    pub operators: [Operator; OPERATORS],
    /// All that was ever committed, whoever led.
    pub history: Vec<Entry>,
    /// The membership of the last leader that committed anything.
    pub committed: Config,
    /// Most members that ever voted since another number of them was wanted.
    pub voted: u32,
    /// Members that were given the marker of birth once.
    pub initialized: Ids,
    /// Client writes that were proposed.
    pub writes: u32,
    /// Revisions under which somebody has served.
    pub proven: BTreeSet<u64>,
    /// Claims that policy may have given up: an operator that saw such a spec may still be deleting them.
    pub reclaimed: bool,
    /// Nobody whom the operator asks commits a write: it does not reach the members' port for clients.
    pub deaf: bool,
    /// DNS is away: no name resolves.
    pub nameless: bool,
    /// Somebody between the operator and the objects.
    pub meddling: Meddling,
    /// The first thing that went wrong.
    pub wrong: Option<Wrong>,
    /// What happened, in sentences, when somebody wants to read it.
    pub tale: Option<Vec<String>>,
}

/// The status on the API server.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub value: Arc<EnsembleStatus>,
    pub digest: u64,
}

impl Status {
    pub fn of(value: EnsembleStatus) -> Self {
        let digest = hash(&format!("{value:?}"));
        Self { value: Arc::new(value), digest }
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.spec, self.generation, self.uid, self.status.digest, self.approval, self.reclaimed).hash(state);
        (&self.kube, &self.operators, &self.history, self.committed, self.initialized, &self.proven).hash(state);
        (self.voted, self.nameless).hash(state);
        self.meddling.hash(state);
    }
}

impl World {
    /// Nothing but a custom resource.
    pub fn new(spec: Spec) -> Self {
        Self {
            spec,
            generation: 1,
            uid: 1,
            status: Status::default(),
            approval: Approval::default(),
            kube: Kube::default(),
            operators: Default::default(),
            history: Vec::new(),
            committed: Config::default(),
            voted: 0,
            initialized: Ids::default(),
            writes: 0,
            proven: BTreeSet::new(),
            reclaimed: spec.reclaim,
            deaf: false,
            nameless: false,
            meddling: Meddling::default(),
            wrong: None,
            tale: None,
        }
    }

    /// Adds a sentence to the tale.
    pub fn tell(&mut self, sentence: impl FnOnce() -> String) {
        if let Some(tale) = &mut self.tale {
            let sentence = sentence();
            // Who waits says the same at every pass.
            if !tale.iter().rev().take(4).any(|said| *said == sentence) {
                tale.push(sentence);
            }
        }
    }

    /// Notes that something is wrong, if nothing was before.
    pub fn wrong(&mut self, wrong: Wrong) {
        if self.wrong.is_none() {
            self.tell(|| format!("*** {wrong}"));
            self.wrong = Some(wrong);
        }
    }

    /// Whether there ever was a quorum.
    pub fn born(&self) -> bool {
        self.committed.version > 0
    }
}
