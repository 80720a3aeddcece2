//! Walks through `/zookeeper` that had no time to come to an end. They are kept in memory alone: after a restart the operator
//! begins them anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::Guarded;
use crate::model::Names;
use crate::zk::guard::Walk;

/// The walks of all ensembles, each for what is to be at its end.
#[derive(Default)]
pub struct Walks(Mutex<HashMap<(String, String), (Guarded, Walk)>>);

impl Walks {
    /// The walk to go on with, or a new one.
    pub fn take(&self, names: &Names, mark: &Guarded) -> Walk {
        let kept = self.walks().remove(&names.key());
        kept.filter(|(before, _)| before == mark).map(|(_, walk)| walk).unwrap_or_default()
    }

    /// It is gone on with later.
    pub fn keep(&self, names: &Names, mark: &Guarded, walk: Walk) {
        self.walks().insert(names.key(), (mark.clone(), walk));
    }

    /// The ensemble is gone.
    pub fn forget(&self, namespace: &str, ensemble: &str) {
        self.walks().remove(&(namespace.to_owned(), ensemble.to_owned()));
    }

    fn walks(&self) -> MutexGuard<'_, HashMap<(String, String), (Guarded, Walk)>> {
        // A panic while the lock was held costs at worst a walk from the beginning.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
