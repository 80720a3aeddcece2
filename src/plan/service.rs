//! Whether clients come to a member through a Service. A server can serve and be synced behind a pod that is not ready: one
//! of its other containers, which `podTemplate` brought along, ends again and again, and takes the pod out of every Service.
//!
//! - Whether a server serves is said by itself and its own container, and `heal` goes by that alone.
//! - A roll is halted by what keeps clients away as well: restarted one after the other, all members would be out of reach.

use super::view::{Row, View};
use super::{Reason, rolling};

/// A container that ended runs again after five minutes at most: one that has run for this long may be well.
const SETTLED: u64 = 600;
/// A pod is given this long to start all that is in it before it is worth a warning.
const START: u64 = 60;

/// What halts a roll: a restarted member to which no Service sends clients yet, and whose caches are cold. With the leader gone
/// the same moment, a majority would have to wait for it. One of the older revision may never be ready, and its restart be
/// the cure.
pub fn blocker(view: &View<'_>) -> Option<Reason> {
    let mut restarted = view.voters().filter(|id| view.row(*id).due.is_none());
    rolling::unready(view).or_else(|| {
        let (id, why) = restarted.find_map(|id| Some((id, beside(view.seen.now, view.row(id))?)))?;
        let pod = view.seen.names.pod(id.seat());
        Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {pod} ready: {why}")))
    })
}

/// What is wrong beside a server that its own kubelet finds ready.
pub fn beside(now: u64, row: &Row<'_>) -> Option<String> {
    let pod = row.pod.filter(|pod| pod.ready && !pod.terminating)?;
    let shaky = || {
        let (since, why) = pod.shaky.as_ref()?;
        (now.saturating_sub(*since) < SETTLED).then(|| why.clone())
    };
    pod.shut.clone().or_else(shaky)
}

/// Whether the Service for clients has an endpoint.
pub fn open(view: &View<'_>) -> bool {
    let mut pods = view.voters().filter_map(|id| view.row(id).pod);
    pods.any(|pod| pod.ready && pod.shut.is_none() && !pod.terminating)
}

/// Members that serve and that no client comes to.
pub fn warning(view: &View<'_>) -> Option<Reason> {
    let seen = view.seen;
    let long = |row: &Row<'_>| row.pod.is_some_and(|pod| seen.now.saturating_sub(pod.since) > START);
    let voters = view.synced_voters().filter(|id| long(view.row(*id)));
    let told: Vec<String> = voters
        .filter_map(|id| Some(format!("pod {}: {}", seen.names.pod(id.seat()), beside(seen.now, view.row(id))?)))
        .collect();
    (!told.is_empty()).then(|| {
        let nobody = if open(view) { "" } else { "; the Service for clients has no endpoint" };
        Reason::new(
            "NotInService",
            format!(
                "no client comes through a Service to members that serve, since their pods are not ready: {}{nobody}",
                told.join("; ")
            ),
        )
    })
}
