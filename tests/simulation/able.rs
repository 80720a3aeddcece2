//! Who could serve, whatever happens at this moment: a quorum that is in the middle of an election is still one. What was judged
//! by who is synced alone saw nothing of an operator that replaced every member in the first millisecond without a leader.

use super::invariants::Wrong;
use super::kube::Pod;
use super::membership::Ids;
use super::operator::Pass;
use super::world::World;

/// A member that has not served for this long is not one that merely blips. Less than the operator's own patience, so that
/// what it heals as hung is no roll.
const BLIP: u64 = 300;
/// The deadline of an update policy that says none.
const DEADLINE: u64 = 600;

impl World {
    /// Notes who serves, and under which revision.
    pub fn note_service(&mut self) {
        let now = self.kube.now;
        for pod in self.kube.pods.values_mut() {
            if pod.server.as_ref().is_some_and(|server| server.serving() && !server.paused) {
                (pod.served, pod.proven) = (now, true);
                self.proven.insert(pod.revision);
            }
        }
    }

    /// Members whose pods have served and are there, and whose data can be read: they elect, or are restarted in place. One whose
    /// process has been stopped for long is none.
    pub fn able(&self) -> Ids {
        let now = self.kube.now;
        let frozen = |pod: &Pod| now - pod.served > BLIP && pod.server.as_ref().is_some_and(|server| server.paused);
        let pods =
            self.kube.pods.iter().filter(|(_, pod)| pod.proven && !pod.broken && !pod.terminating && !frozen(pod));
        let whole = |ordinal: u32| {
            let claim = self.kube.claims.get(&ordinal);
            claim.is_some_and(|claim| !claim.lost && claim.disk.database && !claim.disk.rotten)
        };
        pods.filter(|(ordinal, _)| whole(**ordinal)).map(|(ordinal, _)| ordinal + 1).collect()
    }

    /// Those of them that served a moment ago.
    pub fn recent(&self) -> Ids {
        let served = |id: &u32| self.kube.pods.get(&(id - 1)).is_some_and(|pod| self.kube.now - pod.served < BLIP);
        self.able().iter().filter(served).collect()
    }

    /// One that receives its leader's history, however slowly, is not stopped for being slow.
    pub fn judge_patience(&mut self, id: u32, pass: &Pass) {
        let revision = self.kube.revision();
        let receives = self.kube.pods.get(&(id - 1)).is_some_and(|pod| {
            pod.slow && pod.revision == revision && pod.server.as_ref().is_some_and(|server| server.follows().is_some())
        });
        let wanted = pass.sight.asked(id - 1) || pass.sight.given_up(id - 1);
        if receives && !wanted && self.configured(id - 1) {
            self.wrong(Wrong::Quorum(format!("member {id} is stopped while it receives its leader's history")));
        }
    }

    /// A pod is deleted, and comes back with the newest revision: not one that a quorum could be made of, to a revision
    /// that nobody has served under; and without a leader one at a time, and none that would serve again by itself.
    pub fn judge_spreading(&mut self, id: u32, pass: &Pass) {
        if !self.born() || pass.decided.voters.len() == 1 || pass.sight.given_up(id - 1) {
            return;
        }
        // A person may ask for it, once the member has not served for as long as a restart may take.
        let long = self.kube.pods.get(&(id - 1)).is_none_or(|pod| self.kube.now - pod.served > DEADLINE);
        if pass.sight.asked(id - 1) && long {
            return;
        }
        let proven = self.proven.contains(&self.kube.revision());
        let remaining = pass.able.without(id);
        let broken = self.memberships().into_iter().find(|it| it.quorum(pass.able) && !it.quorum(remaining));
        if let Some(config) = broken.filter(|_| !proven && pass.able.contains(id)) {
            return self.wrong(Wrong::Quorum(format!(
                "member {id} gets a revision that nobody has served under, and of membership {config} only {} could still serve",
                remaining.and(config.voters)
            )));
        }
        if pass.leader.is_some() {
            return;
        }
        if pass.recent.contains(id) && !pass.sight.asked(id - 1) {
            return self
                .wrong(Wrong::Quorum(format!("member {id} is stopped while nobody leads, and would serve again")));
        }
        let revision = self.kube.revision();
        let other = self.kube.pods.iter().find(|(ordinal, pod)| {
            **ordinal + 1 != id && !pod.terminating && pod.revision == revision && pod.server.is_none()
        });
        if let Some((ordinal, _)) = other.filter(|_| !proven && pass.able.contains(id)) {
            self.wrong(Wrong::Quorum(format!(
                "nobody leads, and member {id} gets a revision that nobody has served under while member {} does not run with it",
                ordinal + 1
            )));
        }
    }
}
