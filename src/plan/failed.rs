//! Failures that need a person.

use super::view::View;
use super::{Reason, due, heal, hindered, replace, service};

/// What will not recover by itself: a restarted member that did not come back in time, or a failing disk.
pub fn failed(view: &View<'_>) -> Option<Reason> {
    let (now, desired) = (view.seen.now, view.desired?);
    if let Some(known) = replace::reported(view).or_else(|| hindered::unmade(view)) {
        return Some(known);
    }
    let waiting = due::count(view);
    let (id, member, pod) = view.pods().find(|(_, member, pod)| {
        let late = heal::idle(now, member).is_some_and(|seconds| seconds > desired.deadline)
            && (!member.synced() || !pod.ready);
        let aged = || now.saturating_sub(pod.since) > desired.deadline;
        (late || (service::beside(now, member).is_some() && aged())) && !pod.terminating && member.due.is_none()
    })?;
    let why = member.unsynced.clone().or_else(|| service::beside(now, member));
    let why = why.unwrap_or_else(|| "the kubelet does not find it ready".to_owned());
    (waiting > 0).then(|| {
        let (name, deadline) = (&pod.name, desired.deadline);
        // It has not been restarted: it has never been in service.
        let joins = !pod.served && view.committed().is_some_and(|committed| !committed.contains(id));
        let message = if joins {
            format!(
                "pod {name} of member {id}, which is to join, is not in service {deadline} s after it was made; {waiting} more keep the older revision until it is, or until you correct the spec or ask for fewer members: {why}"
            )
        } else {
            format!(
                "pod {name} was restarted and is not in service after {deadline} s; {waiting} more keep the older revision until it is, or until you correct the spec: {why}"
            )
        };
        Reason::new("RollHalted", message)
    })
}
