//! Restarts, one member at a time.
//!
//! - A pod that does not serve comes first (`heal`): a restart takes nothing from the ensemble, and may heal it.
//! - One that serves is stopped only while every voter is synced and those that stay are a majority. Where they would not
//!   be one, and for the leader, the member first leaves the membership: what is left of it tolerates what it would
//!   tolerate with the member stopped, and clients wait for one election instead of a timeout.
//! - The next waits for the last: a restarted member that does not come back halts everything, and is the only one lost.
//! - That a member leaves to be restarted is nowhere on record. It is no member, and its pod is not what it should be;
//!   so it is restarted, and then joins as any other. Where the policy has closed meanwhile, it joins as it is.

use super::due::{asked, due, turn};
use super::standing::Standing;
use super::stop::{leave, restart, stays};
use super::{Purpose, Reason, Step, hindered, mute, service, volume};
use crate::model::{Desired, Membership, Observation, ServerId};

/// The next restart of a member that serves, once the membership is what is wanted.
pub fn roll(seen: &Observation, standing: &Standing, desired: &Desired) -> Option<Step> {
    let committed = standing.committed.as_ref()?;
    if volume::last_copy(seen, standing, desired).is_some() {
        return None;
    }
    // One whose volume goes with its pod leaves before that, and comes back as what it should be (`replace`).
    let stay = committed.voters().filter(|id| volume::passing(seen, desired, *id).is_none());
    let mut waiting: Vec<(ServerId, String)> = stay.filter_map(|id| Some((id, turn(seen, desired, id)?))).collect();
    waiting.retain(|(id, _)| !hindered::pinned(seen, *id));
    if waiting.is_empty() {
        return None;
    }
    if let Some(blocker) = standing.blocker(seen).or_else(|| service::blocker(seen, committed)) {
        return Some(Step::Wait(blocker));
    }
    // The leader last, the others from the highest down.
    let by_hand = |id| seen.hindrances.denied && asked(seen, id);
    waiting.sort_by_key(|(id, _)| (by_hand(*id), Some(*id) != standing.leader, *id));
    let (id, why) = waiting.pop()?;
    let pod = seen.pods.get(&id.ordinal())?;
    let leads = standing.leader == Some(id);
    let alone = committed.voters().count() == 1;
    // Where no member lets the operator change the membership, who asks for a restart has been told what it costs.
    if alone || (!leads && stays(seen, standing, committed, id)) || by_hand(id) {
        return Some(restart(seen, standing, id, pod, Some(committed.version), why));
    }
    if let Some(instead) = mute::instead_of_leaving(seen, standing, desired, id) {
        return Some(
            instead.map_or_else(Step::Wait, |()| restart(seen, standing, id, pod, Some(committed.version), why)),
        );
    }
    let purpose = if leads { Purpose::HandOver } else { Purpose::Restart };
    Some(leave(seen, standing, id, committed.version, purpose))
}

/// A restarted member whose server its kubelet has not found ready yet.
pub fn unready(seen: &Observation, committed: &Membership) -> Option<Reason> {
    let restarted = committed.voters().filter(|id| due(seen, *id).is_none());
    let mut pods = restarted.filter_map(|id| seen.pods.get(&id.ordinal()));
    let pod = pods.find(|pod| !pod.ready && !pod.terminating)?;
    Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {} ready", pod.name)))
}
