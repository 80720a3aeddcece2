//! Who leaves next when there are more members than wanted, and when that is safe.
//!
//! - One that serves leaves while every voter is synced.
//! - One that is silent may serve: it leaves no earlier than it answers. One that surely does not serve takes nothing along:
//!   it may leave while those that are synced are a majority of the membership with it, and so of the one without it. Five
//!   founded where three could run were waiting for two that never came, for ever.
//! - Those that do not serve leave first: what is left tolerates more. A voter that Kubernetes has no node for, and that
//!   is wanted, leaves as well where it holds up a smaller ensemble: those that go may have the node that it needs.
//! - Whoever leaves only so that a wanted member has a node leaves while more vote than are wanted. With as many as are wanted
//!   one may leave, for a member that waits for no node of its own, once everybody who left before is gone; the next only when
//!   that member votes. So never are more than one missing of those that are wanted. Five healthy voters, one on a drained node,
//!   were to become three: each pass in which the scheduler had not caught up took another one out, down to a single voter.

use super::quorum_view::serving;
use super::view::{Row, View};
use super::{Purpose, Reason};
use crate::model::{Membership, ServerId};

/// Fewest voters of which one may leave for another: of two both are needed, and one has all the data there is.
const FEW: usize = 3;

/// Who leaves next, and for what; `None` while nobody is too many, and while it would take too many.
pub fn next(view: &View<'_>, committed: &Membership, wanted: u32) -> Option<(ServerId, Purpose)> {
    let voters: Vec<ServerId> = committed.own_voters(&view.seen.names).collect();
    let highest = *voters.iter().rev().find(|id| id.0 > wanted)?;
    let absent = |id: &&ServerId| gone(view.row(**id)) && blocker(view, **id).is_none();
    if let Some(id) = voters.iter().rev().filter(|id| id.0 > wanted).find(absent) {
        return Some((*id, Purpose::Shrink));
    }
    let more = voters.len() > wanted as usize;
    let enough = voters.len() >= FEW.max(wanted as usize);
    let for_room = |id: ServerId| more || (enough && unplaced(view.row(id)) && !awaits_its_node(view.row(id)));
    let homeless = voters.iter().rev().filter(|id| unplaced(view.row(**id)) && for_room(**id)).find(absent);
    if let Some(id) = homeless {
        return Some((*id, Purpose::Unplaced));
    }
    let missing = (1..=wanted).map(ServerId).find(|id| !voters.contains(id));
    let makes_room = missing.is_some_and(for_room) && !going(view, committed, wanted);
    (more || makes_room).then_some((highest, Purpose::Shrink))
}

/// Whether somebody who left is still there: the scheduler cannot have found that node yet.
fn going(view: &View<'_>, committed: &Membership, wanted: u32) -> bool {
    let needed = committed.highest(&view.seen.names).max(wanted);
    view.seen.pods.iter().any(|(seat, pod)| pod.terminating || seat.ordinal >= needed)
}

/// Whether a member has run on its volume: it may wait for the node that the volume is on, which is drained for a while or gone,
/// and no other would help. What never ran can be put anywhere.
fn awaits_its_node(row: &Row<'_>) -> bool {
    row.claim.is_some_and(|claim| claim.lost.is_some() || claim.ran.is_some())
}

/// What a member's departure has to wait for; `None` when it may leave.
pub fn blocker(view: &View<'_>, id: ServerId) -> Option<Reason> {
    let Some(committed) = view.committed().filter(|_| gone(view.row(id))) else {
        return view.blocker();
    };
    let stays = |voter| voter != id && view.row(voter).unconfirmed.is_none();
    let enough = committed.quorum(stays) && committed.without_for_good(id).quorum(stays);
    view.blocker_but(id).filter(|_| !enough)
}

/// Whether a member surely does not serve, by Kubernetes' word or its agent's. One whose pod is being deleted may serve to its
/// last moment.
pub fn gone(row: &Row<'_>) -> bool {
    let says_so = row.report.is_some_and(|truth| serving(truth).is_none());
    (row.stopped() || says_so) && !row.synced()
}

/// Whether Kubernetes itself says that it has no node for a member's pod.
pub fn unplaced(row: &Row<'_>) -> bool {
    row.stopped() && row.pod.is_some_and(|pod| pod.node.is_none())
}

/// What the spec can do about a member that no node is found for: an end to the wait.
pub fn way_out(view: &View<'_>, wanted: u32) -> Option<String> {
    let names = &view.seen.names;
    let highest = view.committed().map_or(0, |committed| committed.highest(names));
    let member = (1..=wanted.max(highest)).map(ServerId).find(|id| unplaced(view.row(*id)))?;
    let synced = view.synced_voters().count();
    let pod = names.pod(member.seat());
    // Two tolerate as little as one, and need the volumes of both: they are never advised.
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
    let volume = if awaits_its_node(view.row(member)) {
        format!(
            ", or, if its volume is on a node that does not come back, give it another with kubectl -n {} annotate pod {pod} menagerie.dev/replace=volume",
            names.namespace
        )
    } else {
        String::new()
    };
    Some(format!("make room for pod {pod}{fewer}{volume}"))
}
