//! Restarts, one member at a time.
//!
//! - A pod that does not serve comes first (`heal`): a restart takes nothing from the ensemble, and may heal it.
//! - One that serves is stopped only while every voter is synced and those that stay are a majority. Where they would not
//!   be one, and for the leader, the member first leaves the membership: what is left of it tolerates what it would
//!   tolerate with the member stopped, and clients wait for one election instead of a timeout.
//! - The next waits for the last: a restarted member that does not come back halts everything, and is the only one lost.
//! - That a member leaves to be restarted is nowhere on record. It is no member, and its pod is not what it should be;
//!   so it is restarted, and then joins as any other. Where the policy has closed meanwhile, it joins as it is.

use super::stop::{leave, restart, stays};
use super::view::View;
use super::{Purpose, Reason, Step, mute, service, volume};
use crate::model::ServerId;
use crate::model::observed::Asked;

/// The next restart of a member that serves, once the membership is what is wanted.
pub fn roll(view: &View<'_>) -> Option<Step> {
    let committed = view.committed()?;
    if volume::last_copy(view).is_some() {
        return None;
    }
    let mut waiting: Vec<ServerId> = committed.voters().filter(|id| waits(view, *id)).collect();
    if waiting.is_empty() {
        return None;
    }
    if let Some(blocker) = view.blocker().or_else(|| service::blocker(view)) {
        return Some(Step::Wait(blocker));
    }
    // The leader last, the others from the highest down.
    let by_hand = |id| view.seen.hindrances.denied && view.row(id).asked(Asked::Restart);
    waiting.sort_by_key(|id| (by_hand(*id), Some(*id) != view.quorum.leader, *id));
    let id = waiting.pop()?;
    let (pod, why) = (view.row(id).pod?, view.row(id).turn.clone()?);
    let leads = view.quorum.leader == Some(id);
    let alone = committed.voters().count() == 1;
    // Where no member lets the operator change the membership, who asks for a restart has been told what it costs.
    if alone || (!leads && stays(view, committed, id)) || by_hand(id) {
        return Some(restart(view, id, pod, why));
    }
    if let Some(instead) = mute::instead_of_leaving(view, id) {
        return Some(instead.map_or_else(Step::Wait, |()| restart(view, id, pod, why)));
    }
    let purpose = if leads { Purpose::HandOver } else { Purpose::Restart };
    Some(leave(view, id, committed, purpose))
}

/// A change of the membership would be refused again; a restart asks nobody's leave.
pub fn while_denied(view: &View<'_>) -> Option<Step> {
    let step = view.seen.hindrances.denied.then(|| roll(view)).flatten();
    step.filter(|step| matches!(step, Step::Restart(_)))
}

/// Whether it is a voter's turn, and it can be stopped. One whose volume goes with its pod leaves before that, and comes back as
/// what it should be (`replace`).
fn waits(view: &View<'_>, id: ServerId) -> bool {
    let row = view.row(id);
    row.turn.is_some() && row.passing.is_none() && !row.pinned
}

/// A restarted member whose server its kubelet has not found ready yet.
pub fn unready(view: &View<'_>) -> Option<Reason> {
    let restarted = view.voters().map(|id| view.row(id)).filter(|row| row.due.is_none());
    let mut pods = restarted.filter_map(|row| row.pod);
    let pod = pods.find(|pod| !pod.ready && !pod.terminating)?;
    Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {} ready", pod.name)))
}
