//! How a member is stopped: it leaves the membership, or its pod is deleted.

use super::view::View;
use super::{Purpose, Restart, Step, Target};
use crate::model::{Membership, PodFacts, ServerId};

/// The reason of a step that the members refused because they do not accept the operator as super user.
pub const DENIED: &str = "SuperUserDenied";

/// Whether the voters that are synced without this one are a quorum.
pub fn stays(view: &View<'_>, committed: &Membership, id: ServerId) -> bool {
    committed.quorum(|voter| voter != id && view.member(voter).synced())
}

/// Why a member that is to come back cannot leave, whoever of the others is synced: by weights they may be no quorum without it.
/// ZooKeeper refuses such a change, and would be asked for it for ever.
pub fn outweighs(view: &View<'_>, committed: &Membership, id: ServerId) -> Option<String> {
    if committed.without(id).quorum(|_| true) {
        return None;
    }
    let votes = &committed.votes;
    let all = votes.groups.keys().map(|id| votes.weight(*id)).fold(0i64, i64::saturating_add);
    let (weight, pod) = (votes.weight(id), view.seen.names.pod(id.seat()));
    Some(format!(
        "member {id} (pod {pod}) has weight {weight} of {all}, and the others are no quorum without it: give it less with `reconfig -file` as super, or leave groups and weights out of the membership"
    ))
}

/// Takes a member out of the membership, so that it can be stopped.
pub fn leave(view: &View<'_>, id: ServerId, committed: &Membership, why: Purpose) -> Step {
    let to = match why {
        Purpose::Shrink => committed.without_for_good(id),
        Purpose::HandOver | Purpose::Replace | Purpose::Unplaced | Purpose::Restart => committed.without(id),
    };
    Step::Leave { id, to, from: committed.clone(), via: view.to_ask(Some(id)), why }
}

/// Deletes a member's pod; its `StatefulSet` recreates it.
pub fn restart(view: &View<'_>, id: ServerId, pod: &PodFacts, why: String) -> Step {
    let others = view.to_ask(Some(id));
    let via = if others.is_empty() { view.to_ask(None) } else { others };
    Step::Restart(Restart { id, pod: Target::pod(pod), from: view.committed().cloned(), via, why })
}
