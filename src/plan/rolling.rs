//! Restarts, one member at a time.
//!
//! - A pod that does not serve comes first (`heal`): its restart takes nothing from the ensemble, and may heal it.
//! - A member that serves is stopped only while every voter is synced and the others are a majority. If they are not,
//!   and always for the leader, the member first leaves the membership. What remains tolerates as much as it would with
//!   the member stopped, and clients wait for one election instead of a timeout.
//! - The next restart waits for the last: a restarted member that does not come back halts the roll, and is the only
//!   one lost.
//! - Nothing records that a member left for a restart. It is not a member, and its pod is not as it should be, so it is
//!   restarted, and then joins like any other. If the policy no longer allows restarts by then, it joins as it is.

use super::stop::{self, leave, restart, stays};
use super::view::View;
use super::{Purpose, Reason, Step, mute, service, volume};
use crate::model::ServerId;
use crate::model::observed::MemberRequest;

/// The next restart of a member that serves, once the membership is as wanted.
pub fn roll(view: &View<'_>) -> Option<Step> {
    let committed = view.committed()?;
    if volume::last_copy(view).is_some() {
        return None;
    }
    // A stranger may have the id of a pod that is about to go.
    let ours = committed.own_voters(&view.seen.names);
    let mut waiting: Vec<ServerId> = ours.filter(|id| waits(view, *id)).collect();
    if waiting.is_empty() {
        return None;
    }
    if let Some(blocker) = view.blocker().or_else(|| service::blocker(view)) {
        return Some(Step::Wait(blocker));
    }
    // The leader last, the others from the highest down. After all of them, the one that cannot be spared.
    let outweighs = |id| stop::outweighs(view, committed, id);
    let kept = |id| view.seen.hindrances.denied || (committed.voters().count() > 1 && outweighs(id).is_some());
    let by_hand = |id| kept(id) && view.member(id).requested(MemberRequest::Restart);
    waiting.sort_by_key(|id| (outweighs(*id).is_none(), by_hand(*id), Some(*id) != view.quorum.leader, *id));
    let id = waiting.pop()?;
    let (pod, why) = (view.member(id).pod?, view.member(id).turn.clone()?);
    let leads = view.quorum.leader == Some(id);
    let alone = committed.voters().count() == 1;
    // If the membership cannot be changed for it, whoever requests a restart has been told what it costs.
    if alone || (!leads && stays(view, committed, id)) || by_hand(id) {
        return Some(restart(view, id, pod, why));
    }
    if let Some(instead) = mute::instead_of_leaving(view, id) {
        return Some(instead.map_or_else(Step::Wait, |()| restart(view, id, pod, why)));
    }
    if let Some(why) = outweighs(id) {
        return Some(Step::Refuse(not_spared(view, id, &why)));
    }
    let purpose = if leads { Purpose::HandOver } else { Purpose::Restart };
    Some(leave(view, id, committed, purpose))
}

fn not_spared(view: &View<'_>, id: ServerId, why: &str) -> Reason {
    let names = &view.seen.names;
    let message = format!(
        "{why}; or ask for its restart, which costs the quorum until it is back: kubectl -n {} annotate pod {} menagerie.dev/restart=now",
        names.namespace,
        names.pod(id.seat())
    );
    Reason::new("RestartRefused", message)
}

/// A change of the membership would be refused again; a restart needs nobody's permission.
pub fn while_denied(view: &View<'_>) -> Option<Step> {
    let step = view.seen.hindrances.denied.then(|| roll(view)).flatten();
    step.filter(|step| matches!(step, Step::Restart(_)))
}

/// Whether it is a voter's turn, and it can be stopped. A voter whose volume goes with its pod leaves before that, and
/// comes back with the new template (`replace`).
fn waits(view: &View<'_>, id: ServerId) -> bool {
    let member = view.member(id);
    member.turn.is_some() && member.passing.is_none() && !member.pinned
}

/// A restarted member that its kubelet has not found ready yet.
pub fn unready(view: &View<'_>) -> Option<Reason> {
    let restarted = view.voters().map(|id| view.member(id)).filter(|member| member.due.is_none());
    let mut pods = restarted.filter_map(|member| member.pod);
    let pod = pods.find(|pod| !pod.ready && !pod.terminating)?;
    Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {} ready", pod.name)))
}
