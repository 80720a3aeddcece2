//! Whether clients come to a member through a Service. A server can serve and be synced behind a pod that is not ready: one
//! of its other containers, which `podTemplate` brought along, ends again and again, and takes the pod out of every Service.
//!
//! - Whether a server serves is said by itself and its own container, and `heal` goes by that alone.
//! - A roll is halted by what keeps clients away as well: restarted one after the other, all members would be out of reach.

use super::standing::Standing;
use super::{Reason, due, rolling};
use crate::model::{Membership, Observation, ServerId};

/// A container that ended runs again after five minutes at most: one that has run for this long may be well.
const SETTLED: u64 = 600;
/// A pod is given this long to start all that is in it before it is worth a warning.
const START: u64 = 60;

/// What halts a roll: a restarted member to which no Service sends clients yet, and whose caches are cold. With the leader gone
/// the same moment, a majority would have to wait for it. One of the older revision may never be ready, and its restart be
/// the cure.
pub fn blocker(seen: &Observation, committed: &Membership) -> Option<Reason> {
    let restarted = committed.voters().filter(|id| due::due(seen, *id).is_none());
    rolling::unready(seen, committed).or_else(|| {
        let (id, why) = restarted.into_iter().find_map(|id| Some((id, beside(seen, id)?)))?;
        let pod = seen.names.pod(id.ordinal());
        Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {pod} ready: {why}")))
    })
}

/// What is wrong beside a server that its own kubelet finds ready.
pub fn beside(seen: &Observation, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.ordinal()).filter(|pod| pod.ready && !pod.terminating)?;
    let shaky = || {
        let (since, why) = pod.shaky.as_ref()?;
        (seen.now.saturating_sub(*since) < SETTLED).then(|| why.clone())
    };
    pod.shut.clone().or_else(shaky)
}

/// Whether the Service for clients has an endpoint.
pub fn open(seen: &Observation, standing: &Standing) -> bool {
    let pods = standing.committed.iter().flat_map(Membership::voters).filter_map(|id| seen.pods.get(&id.ordinal()));
    pods.into_iter().any(|pod| pod.ready && pod.shut.is_none() && !pod.terminating)
}

/// Members that serve and that no client comes to.
pub fn warning(seen: &Observation, standing: &Standing) -> Option<Reason> {
    let long = |id: &ServerId| {
        let pod = seen.pods.get(&id.ordinal());
        pod.is_some_and(|pod| seen.now.saturating_sub(pod.since) > START)
    };
    let voters = standing.committed.iter().flat_map(Membership::voters).filter(long);
    let told: Vec<String> = voters
        .filter(|id| standing.unsynced(seen, *id).is_none())
        .filter_map(|id| Some(format!("pod {}: {}", seen.names.pod(id.ordinal()), beside(seen, id)?)))
        .collect();
    (!told.is_empty()).then(|| {
        let nobody = if open(seen, standing) { "" } else { "; the Service for clients has no endpoint" };
        Reason::new(
            "NotInService",
            format!(
                "no client comes through a Service to members that serve, since their pods are not ready: {}{nobody}",
                told.join("; ")
            ),
        )
    })
}
