//! What may be there of a member: objects that a watch or an earlier look has met. A hint only says which names to ask for;
//! whether something is there, and whose it is, is the API server's answer.
//!
//! Looking by name instead of listing by label is not for its own sake. A list that has to be current waits until the
//! server's cache has caught up with etcd, 40 to 75 ms whenever anything in the cluster is written, and with a thousand
//! ensembles each counts for up to ten requests in the server's queues (API Priority and Fairness).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Seat;
use crate::model::names::Names;
use crate::model::observed::Kind;

/// The moment at which something was last met, as a number that only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

type Known = BTreeMap<(Kind, Seat), Stamp>;

#[derive(Default)]
struct Inner {
    met: u64,
    ensembles: HashMap<(String, String), Known>,
}

/// The hints of all ensembles.
#[derive(Default)]
pub struct Hints(Mutex<Inner>);

impl Hints {
    /// A watch told of an object of this ensemble.
    pub fn heard(&self, names: &Names, kind: Kind, name: &str) {
        if let Some(seat) = seat(names, kind, name) {
            self.met(names, kind, seat);
        }
    }

    /// A member's object was met.
    pub fn met(&self, names: &Names, kind: Kind, seat: Seat) {
        let mut inner = self.inner();
        inner.met += 1;
        let stamp = Stamp(inner.met);
        inner.ensembles.entry(names.key()).or_default().insert((kind, seat), stamp);
    }

    /// The members that may have an object of this kind.
    pub fn of(&self, names: &Names, kind: Kind) -> Vec<(Seat, Stamp)> {
        let inner = self.inner();
        let known = inner.ensembles.get(&names.key()).into_iter().flatten();
        known.filter(|((of, _), _)| *of == kind).map(|((_, seat), stamp)| (*seat, *stamp)).collect()
    }

    /// It was asked for and is not there, unless it was met again meanwhile.
    pub fn gone(&self, names: &Names, kind: Kind, seat: Seat, asked: Stamp) {
        if let Some(known) = self.inner().ensembles.get_mut(&names.key())
            && known.get(&(kind, seat)) == Some(&asked)
        {
            known.remove(&(kind, seat));
        }
    }

    /// The ensemble is gone. One that cannot be decoded is not: it may be corrected.
    pub fn forget(&self, namespace: &str, ensemble: &str) {
        self.inner().ensembles.remove(&(namespace.to_owned(), ensemble.to_owned()));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves at worst a hint too many or too few of one object.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seat(names: &Names, kind: Kind, name: &str) -> Option<Seat> {
    match kind {
        Kind::Pod | Kind::Service => names.seat_of_pod(name),
        Kind::PersistentVolumeClaim => names.seat_of_claim(name),
        // Always asked for.
        Kind::ServiceAccount | Kind::Secret | Kind::ConfigMap | Kind::PodDisruptionBudget | Kind::StatefulSet => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
    }

    #[test]
    fn what_was_met_is_asked_for_until_it_is_gone() {
        let (hints, names) = (Hints::default(), names());
        hints.heard(&names, Kind::PersistentVolumeClaim, "data-zk-4");
        hints.heard(&names, Kind::Service, "zk-client");
        assert!(hints.of(&names, Kind::Service).is_empty() && hints.of(&names, Kind::Pod).is_empty());
        let [(seat, stamp)] = hints.of(&names, Kind::PersistentVolumeClaim)[..] else { panic!() };
        assert_eq!(seat, Seat::voter(4));
        hints.gone(&names, Kind::PersistentVolumeClaim, seat, stamp);
        assert!(hints.of(&names, Kind::PersistentVolumeClaim).is_empty());
    }

    #[test]
    fn what_is_met_again_while_it_was_asked_for_is_not_forgotten() {
        let (hints, names) = (Hints::default(), names());
        hints.heard(&names, Kind::Pod, "zk-2");
        let asked = hints.of(&names, Kind::Pod)[0].1;
        hints.heard(&names, Kind::Pod, "zk-2");
        hints.gone(&names, Kind::Pod, Seat::voter(2), asked);
        assert_eq!(hints.of(&names, Kind::Pod).len(), 1);
        hints.forget("ns", "zk");
        assert!(hints.of(&names, Kind::Pod).is_empty());
    }
}
