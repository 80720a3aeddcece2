//! Who leaves next when there are more members than wanted, and when that is safe.
//!
//! - One that serves leaves while every voter is synced.
//! - One that is silent may serve: it leaves no earlier than it answers. One that surely does not serve takes nothing along:
//!   it may leave while those that are synced are a majority of the membership with it, and so of the one without it. Five
//!   founded where three could run were waiting for two that never came, for ever.
//! - Those that do not serve leave first: what is left tolerates more. A voter that Kubernetes has no node for, and that
//!   is wanted, leaves as well where it holds up a smaller ensemble: those that go may have the node that it needs.

use super::standing::{Standing, serving};
use super::{Purpose, Reason};
use crate::model::{Fact, Membership, Observation, ServerId};

/// Who leaves next, and for what; `None` while nobody is too many.
pub fn next(
    seen: &Observation,
    standing: &Standing,
    committed: &Membership,
    wanted: u32,
) -> Option<(ServerId, Purpose)> {
    let voters: Vec<ServerId> = committed.own_voters(&seen.names).collect();
    let highest = *voters.iter().rev().find(|id| id.0 > wanted)?;
    let absent = |id: &&ServerId| gone(seen, standing, **id) && blocker(seen, standing, **id).is_none();
    if let Some(id) = voters.iter().rev().filter(|id| id.0 > wanted).find(absent) {
        return Some((*id, Purpose::Shrink));
    }
    let homeless = voters.iter().rev().filter(|id| unplaced(seen, **id)).find(absent);
    homeless.map(|id| (*id, Purpose::Unplaced)).or(Some((highest, Purpose::Shrink)))
}

/// What a member's departure has to wait for; `None` when it may leave.
pub fn blocker(seen: &Observation, standing: &Standing, id: ServerId) -> Option<Reason> {
    let Some(committed) = standing.committed.as_ref().filter(|_| gone(seen, standing, id)) else {
        return standing.blocker(seen);
    };
    let synced = committed.voters().filter(|voter| *voter != id && standing.agrees(seen, *voter)).count();
    standing.blocker_but(seen, id).filter(|_| synced < committed.majority())
}

/// Whether a member surely does not serve, by Kubernetes' word or its agent's. One whose pod is being deleted may serve to its
/// last moment.
pub fn gone(seen: &Observation, standing: &Standing, id: ServerId) -> bool {
    let stopped = seen.pods.get(&id.ordinal()).is_some_and(|pod| pod.running == Some(false));
    let truth = seen.members.get(&id).and_then(Fact::known);
    let says_so = truth.is_some_and(|truth| serving(truth).is_none());
    (stopped || says_so) && standing.unsynced(seen, id).is_some()
}

/// Whether Kubernetes itself says that it has no node for a member's pod.
pub fn unplaced(seen: &Observation, id: ServerId) -> bool {
    seen.pods.get(&id.ordinal()).is_some_and(|pod| pod.node.is_none() && pod.running == Some(false))
}

/// What the spec can do about a member that no node is found for: an end to the wait.
pub fn way_out(seen: &Observation, standing: &Standing, wanted: u32) -> Option<String> {
    let member = (1..=wanted.max(standing.committed.as_ref().map_or(0, |committed| committed.highest(&seen.names))))
        .map(ServerId)
        .find(|id| unplaced(seen, *id))?;
    let voters = standing.committed.iter().flat_map(Membership::voters);
    let synced = voters.filter(|id| standing.unsynced(seen, *id).is_none()).count();
    let pod = seen.names.pod(member.ordinal());
    let fewer = if synced > 0 && synced < wanted as usize {
        format!(
            ", or ask for {synced} members (replicas: {synced}): then those that run are restarted where their podTemplate keeps others away, and replicas can be raised again"
        )
    } else {
        String::new()
    };
    Some(format!("make room for pod {pod}{fewer}"))
}
