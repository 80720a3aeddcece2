//! How a member is stopped: it leaves the membership, or its pod is deleted.

use super::standing::Standing;
use super::{Purpose, Restart, Step, Target};
use crate::model::{ConfigVersion, Membership, Observation, PodFacts, ServerId};

/// The reason of a step that the members refused, since they do not take the operator for the super user.
pub const DENIED: &str = "SuperUserDenied";

/// Whether the voters that are synced without this one are a majority.
pub fn stays(seen: &Observation, standing: &Standing, committed: &Membership, id: ServerId) -> bool {
    let others = committed.voters().filter(|voter| *voter != id && standing.unsynced(seen, *voter).is_none());
    others.count() >= committed.majority()
}

/// Takes a member out of the membership, so that it can be stopped.
pub fn leave(seen: &Observation, standing: &Standing, id: ServerId, from: ConfigVersion, why: Purpose) -> Step {
    Step::Leave { id, from, via: standing.to_ask(seen, Some(id)), why }
}

/// Deletes a member's pod; its `StatefulSet` makes it anew.
pub fn restart(
    seen: &Observation,
    standing: &Standing,
    id: ServerId,
    pod: &PodFacts,
    from: Option<ConfigVersion>,
    why: String,
) -> Step {
    let others = standing.to_ask(seen, Some(id));
    let via = if others.is_empty() { standing.to_ask(seen, None) } else { others };
    Step::Restart(Restart { id, pod: Target::pod(pod), from, via, why })
}
