//! How a member is stopped: it leaves the membership, or its pod is deleted.

use super::view::View;
use super::{Purpose, Restart, Step, Target};
use crate::model::{Membership, PodFacts, ServerId};

/// The reason of a step that the members refused, since they do not take the operator for the super user.
pub const DENIED: &str = "SuperUserDenied";

/// Whether the voters that are synced without this one are a quorum.
pub fn stays(view: &View<'_>, committed: &Membership, id: ServerId) -> bool {
    committed.quorum(|voter| voter != id && view.row(voter).synced())
}

/// Takes a member out of the membership, so that it can be stopped.
pub fn leave(view: &View<'_>, id: ServerId, committed: &Membership, why: Purpose) -> Step {
    let to = match why {
        Purpose::Shrink => committed.without_for_good(id),
        Purpose::HandOver | Purpose::Replace | Purpose::Unplaced | Purpose::Restart => committed.without(id),
    };
    Step::Leave { id, to, from: committed.version, via: view.to_ask(Some(id)), why }
}

/// Deletes a member's pod; its `StatefulSet` makes it anew.
pub fn restart(view: &View<'_>, id: ServerId, pod: &PodFacts, why: String) -> Step {
    let others = view.to_ask(Some(id));
    let via = if others.is_empty() { view.to_ask(None) } else { others };
    let from = view.committed().map(|committed| committed.version);
    Step::Restart(Restart { id, pod: Target::pod(pod), from, via, why })
}
