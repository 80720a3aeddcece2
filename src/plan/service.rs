//! Whether clients can reach a member through a Service. A server can serve and be synced in a pod that is not ready:
//! another container, from `podTemplate`, ends again and again, and takes the pod out of every Service.
//!
//! - Only the server and its own container say whether it serves, and `heal` uses only that.
//! - What keeps clients away also halts a roll: otherwise, one after the other, all members would become unreachable.

use super::view::{MemberView, View};
use super::{Reason, rolling};

/// A container that ended is restarted after at most five minutes, so one that has run for this long is probably well.
const SETTLED: u64 = 600;
/// How long a pod may take to start all its containers before there is a warning.
const START: u64 = 60;

/// What halts a roll: a restarted member to which no Service sends clients yet, and whose caches are cold. If the
/// leader went at the same moment, a majority would have to wait for it. A member of the older revision may never
/// become ready, and its restart may be the cure.
pub fn blocker(view: &View<'_>) -> Option<Reason> {
    let mut restarted = view.voters().filter(|id| view.member(*id).due.is_none());
    rolling::unready(view).or_else(|| {
        let (id, why) = restarted.find_map(|id| Some((id, beside(view.seen.now, view.member(id))?)))?;
        let pod = view.seen.names.pod(id.seat());
        Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {pod} ready: {why}")))
    })
}

/// What is wrong in a pod whose server the kubelet finds ready.
pub fn beside(now: u64, member: &MemberView<'_>) -> Option<String> {
    let pod = member.pod.filter(|pod| pod.ready && !pod.terminating)?;
    let shaky = || {
        let (since, why) = pod.shaky.as_ref()?;
        (now.saturating_sub(*since) < SETTLED).then(|| why.clone())
    };
    pod.shut.clone().or_else(shaky)
}

/// Whether the Service for clients has an endpoint.
pub fn open(view: &View<'_>) -> bool {
    let mut pods = view.voters().filter_map(|id| view.member(id).pod);
    pods.any(|pod| pod.ready && pod.shut.is_none() && !pod.terminating)
}

/// Members that serve but that clients cannot reach.
pub fn warning(view: &View<'_>) -> Option<Reason> {
    let seen = view.seen;
    let long = |member: &MemberView<'_>| member.pod.is_some_and(|pod| seen.now.saturating_sub(pod.since) > START);
    let voters = view.synced_voters().filter(|id| long(view.member(*id)));
    let told: Vec<String> = voters
        .filter_map(|id| Some(format!("pod {}: {}", seen.names.pod(id.seat()), beside(seen.now, view.member(id))?)))
        .collect();
    (!told.is_empty()).then(|| {
        let nobody = if open(view) { "" } else { "; the Service for clients has no endpoint" };
        Reason::new(
            "NotInService",
            format!(
                "clients cannot reach members that serve through a Service, since their pods are not ready: {}{nobody}",
                told.join("; ")
            ),
        )
    })
}
