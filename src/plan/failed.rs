//! What will not mend itself.

use super::standing::Standing;
use super::{Reason, due, heal, hindered, replace, service};
use crate::model::{Observation, ServerId};

/// What will not mend itself: a restarted member that did not come back in its time, a disk that fails.
pub fn failed(seen: &Observation, standing: &Standing) -> Option<Reason> {
    let desired = seen.desired.as_ref().ok()?;
    if let Some(reported) = replace::reported(seen, standing, desired) {
        return Some(reported);
    }
    if let Some(unmade) = hindered::unmade(seen, desired) {
        return Some(unmade);
    }
    let waiting = seen.pods.keys().filter(|ordinal| due::due(seen, ServerId::from(**ordinal)).is_some()).count();
    let (ordinal, pod) = seen.pods.iter().find(|(ordinal, pod)| {
        let id = ServerId::from(**ordinal);
        let late = heal::idle(seen, id).is_some_and(|seconds| seconds > desired.deadline)
            && (standing.unsynced(seen, id).is_some() || !pod.ready);
        let aged = || seen.now.saturating_sub(pod.since) > desired.deadline;
        (late || (service::beside(seen, id).is_some() && aged())) && !pod.terminating && due::due(seen, id).is_none()
    })?;
    let id = ServerId::from(*ordinal);
    let why = standing.unsynced(seen, id).or_else(|| service::beside(seen, id));
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
