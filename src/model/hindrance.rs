//! What others keep from happening: objects that are written in vain or refused, pods that are refused, a super user that
//! is not let in. Noted while acting and forgotten with time, so that it is tried again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ids::Seat;
use super::observed::ObjectKey;
use crate::api::Guarded;

/// Everything that is known to be hindered at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hindrances {
    /// Writes and deletes of the ensemble's objects.
    pub objects: BTreeMap<ObjectKey, Hindrance>,
    /// Pods that Kubernetes does not make.
    pub pods: BTreeMap<Seat, Refusal>,
    /// Whether the members refused the super user when the membership was last to be changed.
    pub denied: bool,
    /// Rights that could not be taken away when that was last tried.
    pub guard: Option<Unguarded>,
}

/// Why rights could not be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unguarded {
    /// What was to be.
    pub mark: Guarded,
    /// Why it could not, in a sentence.
    pub words: String,
    /// Whether it is too early to try the same again.
    pub waits: bool,
}

/// Why an object is not what it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Hindrance {
    /// The API server refuses what has this seal, in these words.
    Refused {
        /// Seal of the rendering; the uid, if it was a delete.
        seal: String,
        /// The API server's own words.
        words: String,
    },
    /// What is written here comes out otherwise, or does not stay.
    Overruled(Vec<Place>),
}

/// A place in an object that is not what it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The fields that lead there; items of lists by their names.
    pub path: Vec<String>,
    /// What it should be.
    pub ours: Value,
    /// What it is.
    pub theirs: Value,
}

impl Place {
    /// Whether the same is wanted at the same place, whatever is there. A label that is made empty is one that is to go.
    pub fn wants_the_same(&self, other: &Self) -> bool {
        let none = |value: &Value| value.is_null() || value == "";
        self.path == other.path && (self.ours == other.ours || (none(&self.ours) && none(&other.ours)))
    }
}

/// Why there is no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When it was first refused, in seconds since 1970; `None` when nobody says.
    pub since: Option<u64>,
    /// The API server's own words.
    pub words: String,
}
