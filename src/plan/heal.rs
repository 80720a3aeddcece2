//! Restarts of members that do not serve.
//!
//! - What counts against a member is how long it has not served, by its agent and by Kubernetes, never how old its pod is: in
//!   the first millisecond of an election every member of an old pod looked like one that had been down for ever, and a roll
//!   that had halted at a bad image plus one crash was a total outage.
//! - A server that ended is started again by its kubelet, in place and as it was. Whoever served in this pod is left that
//!   time, whatever revision or approval waits.
//! - While nobody leads, nothing shows which revision can serve: at most one member at a time gets the newest, and only one
//!   that has not served with what it has, or ends again and again.

use super::due::{due, turn};
use super::standing::Standing;
use super::stop::{restart, stays};
use super::{Step, hindered, replace, volume};
use crate::model::observed::Asked;
use crate::model::truth::Server as ServerTruth;
use crate::model::{Beginning, Desired, Fact, Membership, Observation, Ordinal, PodFacts, ServerId};

/// A server that ended so often in its pod, and has not served for the whole deadline, will not by itself.
const CRASHES: u32 = 3;

/// In a server that takes part in anything something moves within `syncLimit`, 10 s.
const STILL: u64 = 15;

/// The restart of a pod that does not serve. What stays synced without it has to be a majority; without a quorum, one that
/// nobody could need.
pub fn heal(seen: &Observation, standing: &Standing, desired: &Desired, beginning: Beginning) -> Option<Step> {
    let there = seen.pods.iter().filter(|(_, pod)| !pod.terminating);
    let candidates = there.map(|(ordinal, pod)| (ServerId::from(*ordinal), pod));
    let mut candidates = candidates.filter(|(id, _)| !hindered::pinned(seen, *id));
    let heals = |id: ServerId, pod: &PodFacts| -> Option<String> {
        match &standing.committed {
            Some(committed) => beside_a_leader(seen, standing, desired, (id, pod), committed),
            None => match beginning {
                Beginning::Birth => at_birth(seen, desired, (id, pod)),
                Beginning::TakenUp => without_a_leader(seen, desired, (id, pod)),
            },
        }
    };
    let (id, pod, why) = candidates.find_map(|(id, pod)| Some((id, pod, heals(id, pod)?)))?;
    let from = standing.committed.as_ref().map(|committed| committed.version);
    Some(restart(seen, standing, id, pod, from, why))
}

/// The others have a quorum, and keep it.
fn beside_a_leader(
    seen: &Observation,
    standing: &Standing,
    desired: &Desired,
    (id, pod): (ServerId, &PodFacts),
    committed: &Membership,
) -> Option<String> {
    let hangs = replace::hung(seen, id);
    let why = due(seen, id).or_else(|| hangs.clone())?;
    // Empty, it must not come back as one that is on record as a voter: it leaves first (`replace`).
    if volume::passing(seen, desired, id).is_some() {
        return None;
    }
    let spared = || turn(seen, desired, id).is_some() && standing.blocker_but(seen, id).is_none();
    let lost = hangs.is_some() || never_served(pod) || starts_anew(seen, id) || given_up(seen, desired, id) || spared();
    (lost && standing.unsynced(seen, id).is_some() && stays(seen, standing, committed, id)).then_some(why)
}

/// Nobody has written anything yet.
fn at_birth(seen: &Observation, desired: &Desired, (id, pod): (ServerId, &PodFacts)) -> Option<String> {
    let asked = pod.asked == Some(Asked::Restart);
    let down = pod.running == Some(false) || asked || misled(seen, id) || given_up(seen, desired, id);
    let passing = volume::passing(seen, desired, id);
    // A founder that may have voted must not come back empty and vote again; on what was never bound nobody has.
    let spare = passing.is_none() || seen.claims.get(&id.ordinal()).is_some_and(|claim| claim.volume.is_none());
    due(seen, id).or(passing).filter(|_| down && spare)
}

/// It was started with something else than its pod has now, other founders for one, has never followed anybody, and nothing
/// moves in it. Two of three may still be a quorum of the longer list: one that receives from such a leader is left alone
/// (found by the simulation). Its volume stays, whatever it may have promised meanwhile.
fn misled(seen: &Observation, id: ServerId) -> bool {
    let truth = seen.members.get(&id).and_then(Fact::known);
    truth.is_some_and(|truth| {
        let lived =
            truth.disk.record.is_some_and(|record| record.0 > 0) || truth.disk.epoch.is_some_and(|epoch| epoch > 0);
        let still = truth.still.is_some_and(|seconds| seconds > STILL);
        truth.disk.outdated.is_some() && !lived && still && !matches!(truth.server, ServerTruth::Serving(_))
    })
}

/// A quorum may come back by itself, as long as its members are left as they are.
fn without_a_leader(seen: &Observation, desired: &Desired, (id, pod): (ServerId, &PodFacts)) -> Option<String> {
    let long = idle(seen, id).is_some_and(|seconds| seconds > desired.deadline);
    let crashes = pod.running == Some(false) && pod.restarts >= CRASHES && long;
    let asked = pod.asked == Some(Asked::Restart) && long;
    let waits = |patience| in_the_air(seen, id, patience) || unmade(seen, desired.deadline);
    // What never served has nothing to lose but its turn: it does not wait for ever for one that cannot run for a reason of
    // its own, such as a volume that is gone (found by the simulation).
    let frozen = replace::frozen(seen, id);
    let gone = crashes || asked || frozen.is_some();
    let spare = if never_served(pod) { !waits(desired.deadline) } else { gone && !waits(u64::MAX) };
    due(seen, id).or(frozen).filter(|_| spare && volume::kept(seen, desired, id))
}

/// Nothing is lost with it: it does not run, and what its pod was made from never served there.
fn never_served(pod: &PodFacts) -> bool {
    pod.running == Some(false) && !pod.served
}

/// It cannot read its data, and has leave to begin without.
fn starts_anew(seen: &Observation, id: ServerId) -> bool {
    let granted = seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
    granted.is_some() && granted == seen.pods.get(&id.ordinal()).map(|pod| &pod.uid)
}

/// It has not served for the whole deadline: it does not run, or nothing has moved in it for as long.
fn given_up(seen: &Observation, desired: &Desired, id: ServerId) -> bool {
    let still = seen.members.get(&id).and_then(Fact::known).and_then(|truth| truth.still);
    let down = seen.pods.get(&id.ordinal()).is_some_and(|pod| pod.running == Some(false));
    let long = |seconds: u64| seconds > desired.deadline;
    (down || still.is_some_and(long)) && idle(seen, id).is_some_and(long)
}

/// For how many seconds a member has not served, as far as Kubernetes and its agent can tell; of two answers the shorter one.
/// `None` for one that serves, and where nobody can tell.
pub fn idle(seen: &Observation, id: ServerId) -> Option<u64> {
    let pod = seen.pods.get(&id.ordinal()).filter(|pod| !pod.ready)?;
    let since = if pod.served { pod.unready } else { Some(pod.since) };
    let by_kubernetes = since.map(|since| seen.now.saturating_sub(since));
    let by_agent = match seen.members.get(&id).and_then(Fact::known) {
        Some(truth) if matches!(truth.server, ServerTruth::Serving(_)) => return None,
        Some(truth) => truth.stalled,
        None => None,
    };
    match (by_kubernetes, by_agent) {
        (Some(kubernetes), Some(agent)) => Some(kubernetes.min(agent)),
        (one, other) => one.or(other),
    }
}

/// Another member has the newest revision and does not run with it, for no longer than this, or is on its way to it.
fn in_the_air(seen: &Observation, id: ServerId, patience: u64) -> bool {
    let newest = seen.set.as_ref().and_then(|set| set.update_revision.as_ref());
    let mut others = seen.pods.iter().filter(|(ordinal, _)| **ordinal != id.ordinal());
    others.any(|(other, pod)| {
        let fails = pod.revision.as_ref() == newest && pod.running != Some(true);
        let lately = || idle(seen, ServerId::from(*other)).is_none_or(|seconds| seconds <= patience);
        pod.terminating || (fails && lately())
    })
}

/// A pod is about to be made. One that has been refused for longer than a restart may take is not: a quota that others have used up
/// may stay so.
fn unmade(seen: &Observation, deadline: u64) -> bool {
    let refused = |ordinal: &Ordinal| seen.hindrances.pods.get(ordinal).and_then(|refusal| refusal.since);
    let long = |since: u64| seen.now.saturating_sub(since) > deadline;
    seen.unmanned().iter().any(|ordinal| !refused(ordinal).is_some_and(long))
}
