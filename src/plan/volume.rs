//! Whether a member's data outlives its pod. Every restart depends on this, and on the member's own volume: the spec
//! says what a volume should be, not what has happened to it.
//!
//! - A claim that is deleted while its pod runs goes with that pod, and the data with it. Until then everything looks
//!   well.
//! - So a voter with such a claim gets a new volume, as if somebody had asked for it (`replace`), and at once: any
//!   drained node would lose it. If it is the only voter, there is no other copy, and it is left alone.

use super::view::{MemberView, View};
use super::{Reason, stop};
use crate::model::desired::Storage;
use crate::model::{Desired, Membership, Observation, Pool, ServerId};

/// Whether a member's data is still there when its pod is gone.
pub fn kept(view: &View<'_>, member: &MemberView<'_>) -> bool {
    view.desired.is_some_and(|desired| matches!(desired.storage, Storage::Claim { .. })) && member.passing.is_none()
}

/// Why a member's volume goes with its pod although it should stay; `None` if it stays, or was never meant to.
pub fn passing(seen: &Observation, desired: &Desired, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.seat()).filter(|_| matches!(desired.storage, Storage::Claim { .. }))?;
    let identity = seen.identity();
    match seen.claims.get(&id.seat()) {
        Some(claim) if claim.going && claim.identity.as_deref() == identity => {
            Some(format!("its volume claim {} is being deleted, and goes with its pod", claim.name))
        }
        // Somebody has removed the finalizers as well. A pod is created after its claim, so for a pod that is only
        // starting the claim was looked for too early.
        None if pod.running == Some(true) => {
            Some(format!("its volume claim {} is gone, and the volume goes with its pod", seen.names.claim(id.seat())))
        }
        Some(_) | None => None,
    }
}

/// Why the only voter is not restarted: that would lose the only copy of the data.
pub fn last_copy(view: &View<'_>) -> Option<Reason> {
    view.desired?;
    let id = only_voter(view)?;
    let member = view.member(id);
    let message = match &member.passing {
        Some(why) => format!("member {id} has all the data, and {why}: scale to 3 first"),
        None if kept(view, member) => return None,
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

/// Whether some voter's volume goes with its pod, so that an eviction loses its data.
pub fn any_passing(view: &View<'_>) -> bool {
    view.pods().any(|(_, member, _)| member.passing.is_some())
}

/// The warning from the moment that somebody deletes a claim in use.
pub fn warning(view: &View<'_>) -> Option<Reason> {
    let passing = view.pods().filter_map(|(id, member, _)| Some(format!("member {id}: {}", member.passing.as_ref()?)));
    let told: Vec<String> = passing.collect();
    if told.is_empty() {
        return None;
    }
    let heavy = view.committed().into_iter().find_map(|committed| {
        let mut passing = view.pods().filter(|(_, row, _)| row.passing.is_some());
        passing.find_map(|(id, ..)| stop::outweighs(view, committed, id))
    });
    let birth = view.origin().is_ok_and(|origin| origin.beginning.is_birth());
    let way_out = if birth {
        let pods = view.pods().filter(|(_, row, _)| row.passing.is_some()).map(|(.., pod)| pod.name.as_str());
        let pods: Vec<&str> = pods.collect();
        let namespace = &view.seen.names.namespace;
        format!(
            "nobody was born yet, and each gets a new volume once its pod goes: kubectl -n {namespace} delete pod {}",
            pods.join(" ")
        )
    } else if last_copy(view).is_some() {
        "it has all the data, and is neither restarted nor evicted: scale to 3; then it gets a new volume by itself, and you can scale down again".to_owned()
    } else if let Some(why) = heavy {
        format!("{why}; then each leaves, gets a new volume and comes back by itself; delete none of their pods before")
    } else {
        "each leaves, gets a new volume and comes back by itself, one at a time, once all the others are synced; delete none of their pods before".to_owned()
    };
    Some(Reason::new("ClaimInUseDeleted", format!("{}; {way_out}", told.join("; "))))
}
