//! What will not mend itself.

use super::view::View;
use super::{Reason, due, heal, hindered, replace, service};

/// What will not mend itself: a restarted member that did not come back in its time, a disk that fails.
pub fn failed(view: &View<'_>) -> Option<Reason> {
    let (now, desired) = (view.seen.now, view.desired?);
    if let Some(known) = replace::reported(view).or_else(|| hindered::unmade(view)) {
        return Some(known);
    }
    let waiting = due::count(view);
    let (_, row, pod) = view.pods().find(|(_, row, pod)| {
        let late =
            heal::idle(now, row).is_some_and(|seconds| seconds > desired.deadline) && (!row.synced() || !pod.ready);
        let aged = || now.saturating_sub(pod.since) > desired.deadline;
        (late || (service::beside(now, row).is_some() && aged())) && !pod.terminating && row.due.is_none()
    })?;
    let why = row.unsynced.clone().or_else(|| service::beside(now, row));
    let why = why.unwrap_or_else(|| "the kubelet does not find it ready".to_owned());
    (waiting > 0).then(|| {
        Reason::new(
            "RollHalted",
            format!(
                "pod {} was restarted and is not in service after {} s; {waiting} more keep the older revision until it does, or until the spec is put right: {why}",
                pod.name, desired.deadline
            ),
        )
    })
}
