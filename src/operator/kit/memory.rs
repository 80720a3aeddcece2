//! What the operator remembers of each object of a kind, in memory only: after a restart it finds it out again.
//!
//! Each object has one memory, which is forgotten in one place when the object is gone. Separate maps would be left
//! behind then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::notes::Notes;
use super::pace::Pace;

/// What is remembered of an object, unless its kind needs more.
#[derive(Default)]
pub struct Memory {
    /// How soon again.
    pub pace: Pace,
    /// What failed.
    pub notes: Notes,
}

/// The memories of all objects of a kind, by namespace and name: of a deleted object nothing else is known.
#[derive(Default)]
pub struct Memories<M>(Mutex<HashMap<(String, String), M>>);

impl<M: Default> Memories<M> {
    /// Reads an object's memory, or changes it. The lock is held meanwhile, so whatever takes long is done outside.
    pub fn with<T>(&self, namespace: &str, name: &str, look: impl FnOnce(&mut M) -> T) -> T {
        look(self.all().entry((namespace.to_owned(), name.to_owned())).or_default())
    }

    /// How many objects there are.
    pub fn count(&self) -> u64 {
        u64::try_from(self.all().len()).unwrap_or(u64::MAX)
    }

    /// The object is gone. An object that cannot be decoded is not gone: it may be corrected.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.all().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<(String, String), M>> {
        // A panic while the lock was held costs at most one more look at, or try of, one object.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_an_object_goes_with_it_and_with_no_other() {
        let memories = Memories::<u32>::default();
        memories.with("ns", "a", |memory| *memory = 1);
        memories.with("ns", "b", |memory| *memory = 2);
        memories.with("other", "a", |memory| *memory = 3);
        memories.forget("ns", "a");
        assert_eq!(memories.count(), 2);
        assert_eq!(["a", "b"].map(|name| memories.with("ns", name, |memory| *memory)), [0, 2]);
        assert_eq!(memories.with("other", "a", |memory| *memory), 3);
    }
}
