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
    /// The `CronJob` that a watch has reported, by its uid and generation.
    cron_job: Option<(Option<String>, Option<i64>)>,
}

impl Hints {
    /// A watch reported an object of this ensemble.
    pub fn heard(&mut self, names: &Names, kind: Kind, name: &str) {
        if let Some(seat) = seat(names, kind, name) {
            self.met(kind, seat);
        }
    }

    /// A watch reported the ensemble's `CronJob`. Whether that is news: each of its runs changes its status twice, and no decision waits
    /// for that. A `CronJob` that somebody deletes is no news either: at rest the operator looks every few seconds anyway.
    pub fn heard_of_cron_job(&mut self, uid: Option<String>, generation: Option<i64>) -> bool {
        let now = Some((uid, generation));
        let news = self.cron_job != now;
        self.cron_job = now;
        news
    }

    /// Whether there is or was a `CronJob` of the ensemble, as far as watches say.
    pub fn has_cron_job(&self) -> bool {
        self.cron_job.is_some()
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
        // Asked for without a hint, or no ensemble's.
        Kind::ServiceAccount
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::PodDisruptionBudget
        | Kind::StatefulSet
        | Kind::CronJob
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
    fn a_run_of_the_cron_job_is_no_news_and_another_spec_of_it_is() {
        let mut hints = Hints::default();
        assert!(!hints.has_cron_job());
        let mut heard = |uid: &str, generation| hints.heard_of_cron_job(Some(uid.to_owned()), Some(generation));
        assert_eq!(
            [("a", 1), ("a", 1), ("a", 1), ("a", 2), ("a", 2), ("b", 2)]
                .map(|(uid, generation)| heard(uid, generation)),
            [true, false, false, true, false, true]
        );
        assert!(hints.has_cron_job());
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
