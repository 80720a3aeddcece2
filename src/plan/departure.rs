//! Decides who leaves next when there are more members than wanted, and when that is safe.
//!
//! - A member that serves leaves only while every voter is synced.
//! - A silent member may still serve, so it does not leave before it answers. A member that certainly does not serve
//!   may leave while the synced voters are a majority of the membership with it, and so of the membership without it.
//!   Without this rule, an ensemble founded with five members waited for ever for two that could never run.
//! - Members that do not serve leave first, because the rest then tolerates more failures. A wanted voter that no node
//!   has room for also leaves if it blocks the shrinking: the members that go may be on the node that it needs.
//! - A member that leaves only to free a node for a wanted one leaves while more members vote than are wanted. With
//!   exactly as many as wanted, one may leave, for a member that does not wait for its own node, once everybody who
//!   left before is gone; the next one may leave only when that member votes. So at most one of the wanted members is
//!   missing. Without this rule, five healthy voters, one of them on a drained node, shrank past three: each pass in
//!   which the scheduler had not caught up took out another, down to a single voter.

use super::quorum_view::serving;
use super::view::{MemberView, View};
use super::{Purpose, Reason};
use crate::model::{Membership, ServerId};

/// The fewest voters of which one may leave for another: with two, both are needed, and one may hold all the data.
const FEW: usize = 3;

/// Who leaves next, and for what. `None` if nobody is too many, or if too few would be left.
pub fn next(view: &View<'_>, committed: &Membership, wanted: u32) -> Option<(ServerId, Purpose)> {
    let voters: Vec<ServerId> = committed.own_voters(&view.seen.names).collect();
    let mut observers = committed.own_observers(&view.seen.names).filter(|id| id.0 > wanted);
    let observer = observers.next_back();
    let absent = |id: &&ServerId| gone(view.member(**id)) && blocker(view, **id).is_none();
    if let Some(id) = voters.iter().rev().filter(|id| id.0 > wanted).find(absent) {
        return Some((*id, Purpose::Shrink));
    }
    // Nothing is lost with one that somebody made an observer; but a voter that is gone goes first, as all wait for it.
    if let Some(id) = observer {
        return Some((id, Purpose::Shrink));
    }
    let highest = *voters.iter().rev().find(|id| id.0 > wanted)?;
    let more = voters.len() > wanted as usize;
    let enough = voters.len() >= FEW.max(wanted as usize);
    let for_room = |id: ServerId| more || (enough && unplaced(view.member(id)) && !awaits_its_node(view.member(id)));
    let homeless = voters.iter().rev().filter(|id| unplaced(view.member(**id)) && for_room(**id)).find(absent);
    if let Some(id) = homeless {
        return Some((*id, Purpose::Unplaced));
    }
    let missing = (1..=wanted).map(ServerId).find(|id| !voters.contains(id));
    let makes_room = missing.is_some_and(for_room) && !going(view, committed, wanted);
    (more || makes_room).then_some((highest, Purpose::Shrink))
}

/// Whether a member that left still has its pod: the scheduler cannot have used its node yet.
fn going(view: &View<'_>, committed: &Membership, wanted: u32) -> bool {
    let needed = committed.highest(&view.seen.names).max(wanted);
    view.seen.pods.iter().any(|(seat, pod)| pod.terminating || seat.ordinal >= needed)
}

/// Whether a member has run on its volume. If so, it may wait for the node of that volume, which is drained or gone,
/// and no other node would help. A member that never ran can run anywhere.
fn awaits_its_node(member: &MemberView<'_>) -> bool {
    member.claim.is_some_and(|claim| claim.lost.is_some() || claim.ran.is_some())
}

/// What has to happen before a member may leave; `None` if it may leave now.
pub fn blocker(view: &View<'_>, id: ServerId) -> Option<Reason> {
    let Some(committed) = view.committed().filter(|_| gone(view.member(id))) else {
        return view.blocker();
    };
    let stays = |voter| voter != id && view.member(voter).unconfirmed.is_none();
    let enough = committed.quorum(stays) && committed.without_for_good(id).quorum(stays);
    view.blocker_but(id).filter(|_| !enough)
}

/// Whether a member certainly does not serve, according to Kubernetes or its agent. A member whose pod is being deleted
/// may serve until the end.
pub fn gone(member: &MemberView<'_>) -> bool {
    let says_so = member.report.is_some_and(|truth| serving(truth).is_none());
    (member.stopped() || says_so) && !member.synced()
}

/// Whether Kubernetes says that no node has room for a member's pod.
pub fn unplaced(member: &MemberView<'_>) -> bool {
    member.stopped() && member.pod.is_some_and(|pod| pod.node.is_none())
}

/// What the user can change in the spec if no node has room for a member.
pub fn way_out(view: &View<'_>, wanted: u32) -> Option<String> {
    let names = &view.seen.names;
    let highest = view.committed().map_or(0, |committed| committed.highest(names));
    let member = (1..=wanted.max(highest)).map(ServerId).find(|id| unplaced(view.member(*id)))?;
    let synced = view.synced_voters().count();
    let pod = names.pod(member.seat());
    // The advice is never two: two tolerate no more than one, and need both volumes.
    let fewer = if synced.is_multiple_of(2) { synced.saturating_sub(1) } else { synced };
    let fewer = if fewer > 0 && fewer < wanted as usize {
        let (members, copies) =
            if fewer == 1 { ("member", ", and one copy of the data until then") } else { ("members", "") };
        format!(
            ", or ask for {fewer} {members} (replicas: {fewer}): then those that run are restarted where their podTemplate keeps others away, and replicas can be raised again{copies}"
        )
    } else {
        String::new()
    };
    let volume = if awaits_its_node(view.member(member)) {
        format!(
            ", or, if its volume is on a node that does not come back, give it another with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
            names.namespace
        )
    } else {
        String::new()
    };
    Some(format!("make room for pod {pod}{fewer}{volume}"))
}
