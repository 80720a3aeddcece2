//! Somebody between the operator and the objects: policies that change what is written, that refuse, and controllers that
//! delete. What comes of it is noted as `operator::ensemble::act` notes it, and so comes back with the next observation.

use std::time::{Duration, Instant};

use menagerie::api::Guarded;
use menagerie::model::observed::ObjectKey;
use menagerie::model::{FieldDifference, Hindrances};
use menagerie::operator::hindered::EnsembleNotes;
use menagerie::plan::{Target, came_out_otherwise};
use menagerie::render::Rendered;
use serde_json::Value;

/// What is asked of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Apply,
    Delete,
}

#[derive(Clone)]
pub struct Meddler {
    /// What becomes of an object that is written.
    pub mutate: fn(&ObjectKey, &mut Value),
    /// In which words a request is refused.
    pub refuses: fn(&ObjectKey, Verb) -> Option<&'static str>,
    /// What is deleted as soon as it is made.
    pub deletes: fn(&ObjectKey) -> bool,
    /// In which words ZooKeeper refuses that rights are taken away.
    pub unguarded: Option<&'static str>,
    pub notes: EnsembleNotes,
    pub start: Instant,
}

impl Default for Meddler {
    fn default() -> Self {
        let (notes, start) = (EnsembleNotes::default(), Instant::now());
        Self { mutate: |_, _| {}, refuses: |_, _| None, deletes: |_| false, unguarded: None, notes, start }
    }
}

impl Meddler {
    fn at(&self, now: u64) -> Instant {
        self.start + Duration::from_secs(now)
    }

    /// What the operator knows of it at that second.
    pub fn hindrances(&self, now: u64) -> Hindrances {
        self.notes.hindrances(self.at(now))
    }

    /// What a write comes to; `None` when it is refused.
    pub fn written(&mut self, object: &Rendered, meant: Vec<FieldDifference>, now: u64) -> Option<Value> {
        let now = self.at(now);
        if let Some(words) = (self.refuses)(&object.key, Verb::Apply) {
            self.notes.objects.refused(&object.key, &object.seal(), words, now);
            return None;
        }
        let mut answer = object.json.clone();
        (self.mutate)(&object.key, &mut answer);
        let otherwise = came_out_otherwise(&answer, object);
        self.notes.objects.written(&object.key, meant, otherwise, now);
        Some(answer)
    }

    /// Whether rights may be taken away.
    pub fn guards(&mut self, mark: &Guarded, now: u64) -> bool {
        let Some(words) = self.unguarded else {
            self.notes.guarded();
            return true;
        };
        let now = self.at(now);
        self.notes.unguarded(mark, words, now);
        false
    }

    /// Whether it may be deleted.
    pub fn lets_go(&mut self, target: &Target, now: u64) -> bool {
        let Some(words) = (self.refuses)(&target.key, Verb::Delete) else { return true };
        let now = self.at(now);
        self.notes.objects.refused(&target.key, &target.uid, words, now);
        false
    }
}
