//! What may exist of a member: objects that a watch or an earlier look has found. A hint only says which names to ask
//! for. The API server says whether an object exists, and whose it is.
//!
//! There is a reason to look by name instead of listing by label. A list that has to be current waits until the
//! server's cache has caught up with etcd, 40 to 75 ms whenever anything in the cluster is written. With a thousand
//! ensembles, each list counts for up to ten requests in the server's queues (API Priority and Fairness).

use std::collections::BTreeMap;

use crate::model::Seat;
use crate::model::names::Names;
use crate::model::observed::Kind;

/// When something was last found, as a number that only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

/// The hints of one ensemble.
#[derive(Default)]
pub struct Hints {
    count: u64,
    met: BTreeMap<(Kind, Seat), Stamp>,
}

impl Hints {
    /// A watch reported an object of this ensemble.
    pub fn heard(&mut self, names: &Names, kind: Kind, name: &str) {
        if let Some(seat) = seat(names, kind, name) {
            self.met(kind, seat);
        }
    }

    /// A member's object was found.
    pub fn met(&mut self, kind: Kind, seat: Seat) {
        self.count += 1;
        self.met.insert((kind, seat), Stamp(self.count));
    }

    /// The members that may have an object of this kind.
    pub fn of(&self, kind: Kind) -> BTreeMap<Seat, Stamp> {
        self.met.iter().filter(|((of, _), _)| *of == kind).map(|((_, seat), stamp)| (*seat, *stamp)).collect()
    }

    /// It was looked for and does not exist, unless it was found again since.
    pub fn gone(&mut self, kind: Kind, seat: Seat, asked: Stamp) {
        if self.met.get(&(kind, seat)) == Some(&asked) {
            self.met.remove(&(kind, seat));
        }
    }
}

fn seat(names: &Names, kind: Kind, name: &str) -> Option<Seat> {
    match kind {
        Kind::Pod | Kind::Service => names.seat_of_pod(name),
        Kind::PersistentVolumeClaim => names.seat_of_claim(name),
        // Always asked for, or no ensemble's.
        Kind::ServiceAccount
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::PodDisruptionBudget
        | Kind::StatefulSet
        | Kind::Job
        | Kind::Backup => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pool;
    use crate::model::fixtures::names;

    #[test]
    fn what_was_met_is_asked_for_until_it_is_gone() {
        let (mut hints, names) = (Hints::default(), names());
        hints.heard(&names, Kind::PersistentVolumeClaim, "data-zk-4");
        hints.heard(&names, Kind::Service, "zk-client");
        assert!(hints.of(Kind::Service).is_empty() && hints.of(Kind::Pod).is_empty());
        let met: Vec<_> = hints.of(Kind::PersistentVolumeClaim).into_iter().collect();
        let [(Seat { pool: Pool::Voters, ordinal: 4 }, stamp)] = met[..] else { panic!("{met:?}") };
        hints.gone(Kind::PersistentVolumeClaim, Seat::voter(4), stamp);
        assert!(hints.of(Kind::PersistentVolumeClaim).is_empty());
    }

    #[test]
    fn what_is_met_again_while_it_was_asked_for_is_not_forgotten() {
        let (mut hints, names) = (Hints::default(), names());
        hints.heard(&names, Kind::Pod, "zk-2");
        let asked = hints.of(Kind::Pod)[&Seat::voter(2)];
        hints.heard(&names, Kind::Pod, "zk-2");
        hints.gone(Kind::Pod, Seat::voter(2), asked);
        assert_eq!(hints.of(Kind::Pod).len(), 1);
    }
}
