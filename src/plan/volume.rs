//! Whether a member's data outlives its pod. Every restart asks this, and asks it of the member's own volume: the spec says
//! what a volume should be, not what has become of it.
//!
//! - A claim that is marked deleted while its pod runs goes with that pod, and the data with it. It looks well until then.
//! - So a voter with such a claim is given a new volume as if somebody had asked for it (`replace`), at once: any node that is
//!   drained would end it. Of the only voter nobody has a copy, and it is left alone.

use super::Reason;
use super::view::{Row, View};
use crate::model::desired::Storage;
use crate::model::{Desired, Membership, Observation, Pool, ServerId};

/// Whether a member's data is still there when its pod is gone.
pub fn kept(view: &View<'_>, row: &Row<'_>) -> bool {
    view.desired.is_some_and(|desired| matches!(desired.storage, Storage::Claim { .. })) && row.passing.is_none()
}

/// Why a member's volume goes with its pod, although it is one that stays; `None` where it stays, or never was to.
pub fn passing(seen: &Observation, desired: &Desired, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.seat()).filter(|_| matches!(desired.storage, Storage::Claim { .. }))?;
    let identity = seen.identity();
    match seen.claims.get(&id.seat()) {
        Some(claim) if claim.going && claim.identity.as_deref() == identity => {
            Some(format!("its volume claim {} is being deleted, and goes with its pod", claim.name))
        }
        // Somebody took the finalizers away as well. A pod is made after its claim: of one that only comes, the claim was
        // looked for too early.
        None if pod.running == Some(true) => {
            Some(format!("its volume claim {} is gone, and the volume goes with its pod", seen.names.claim(id.seat())))
        }
        Some(_) | None => None,
    }
}

/// Why the only voter is not restarted: its data would be gone, and it is all there is.
pub fn last_copy(view: &View<'_>) -> Option<Reason> {
    view.desired?;
    let id = only_voter(view)?;
    let row = view.row(id);
    let message = match &row.passing {
        Some(why) => format!("member {id} has all the data, and {why}: scale to 3 first"),
        None if kept(view, row) => return None,
        None => "a single ephemeral member loses its data with its pod: scale to 3 first".to_owned(),
    };
    Some(Reason::new("WouldLoseData", message))
}

fn only_voter(view: &View<'_>) -> Option<ServerId> {
    let membership = view.committed().cloned().or_else(|| view.seen.noted_membership());
    let voters: Vec<ServerId> = membership.iter().flat_map(Membership::voters).collect();
    match voters[..] {
        [id] => Some(id),
        [] => view.seen.set(Pool::Voters).filter(|set| set.replicas == 1).map(|_| ServerId(1)),
        _ => None,
    }
}

/// Whether a voter's volume goes with its pod: whoever evicts it evicts its data.
pub fn any_passing(view: &View<'_>) -> bool {
    view.pods().any(|(_, row, _)| row.passing.is_some())
}

/// What is said from the moment on at which somebody deletes a claim that is in use.
pub fn warning(view: &View<'_>) -> Option<Reason> {
    let passing = view.pods().filter_map(|(id, row, _)| Some(format!("member {id}: {}", row.passing.as_ref()?)));
    let told: Vec<String> = passing.collect();
    if told.is_empty() {
        return None;
    }
    let way_out = if last_copy(view).is_some() {
        "it has all the data, and is neither restarted nor evicted: scale to 3; then it gets a new volume by itself, and you can scale down again"
    } else {
        "each leaves, gets a new volume and comes back by itself, one at a time, once all the others are synced; delete none of their pods before"
    };
    Some(Reason::new("ClaimInUseDeleted", format!("{}; {way_out}", told.join("; "))))
}
