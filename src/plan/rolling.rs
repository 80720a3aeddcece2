//! Restarts, one member at a time.
//!
//! - A pod that does not serve comes first (`heal`): a restart takes nothing from the ensemble, and may heal it.
//! - One that serves is stopped only while every voter is synced and those that stay are a majority. Where they would not
//!   be one, and for the leader, the member first leaves the membership: what is left of it tolerates what it would
//!   tolerate with the member stopped, and clients wait for one election instead of a timeout.
//! - The next waits for the last: a restarted member that does not come back halts everything, and is the only one lost.
//! - That a member leaves to be restarted is nowhere on record. It is no member, and its pod is not what it should be;
//!   so it is restarted, and then joins as any other. Where the policy has closed meanwhile, it joins as it is.

use super::standing::Standing;
use super::{Purpose, Reason, Restart, Step, Target, heal, hindered, mute, replace, service, volume};
use crate::model::desired::Updates;
use crate::model::observed::Asked;
use crate::model::{ConfigVersion, Desired, Fact, Membership, Observation, Ordinal, PodFacts, ServerId};

/// The reason of a step that the members refused, since they do not take the operator for the super user.
pub const DENIED: &str = "SuperUserDenied";

/// Why a member's pod has to be made anew; `None` when it is as it should be, or that is not known.
pub fn due(seen: &Observation, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.ordinal())?;
    if asked(seen, id) {
        return Some("its restart was asked for".to_owned());
    }
    let wanted = seen.set.as_ref()?.update_revision.as_deref();
    if let (Some(revision), Some(wanted)) = (pod.revision.as_deref(), wanted)
        && revision != wanted
    {
        return Some("it is of an older revision".to_owned());
    }
    let resync = seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
    if resync == Some(&pod.uid) {
        return Some("it cannot read its data, and will sync anew".to_owned());
    }
    seen.members.get(&id).and_then(Fact::known).and_then(|truth| truth.disk.outdated.clone())
}

/// Whether nobody else has served with what this member's pod was made from: what it ends of may be that.
pub fn unproven(seen: &Observation, id: ServerId) -> bool {
    let revision = |ordinal: Ordinal| seen.pods.get(&ordinal).and_then(|pod| pod.revision.as_ref());
    let mut others = seen.pods.iter().filter(|(ordinal, _)| **ordinal != id.ordinal());
    due(seen, id).is_none() && !others.any(|(other, pod)| pod.ready && revision(*other) == revision(id.ordinal()))
}

/// Why a member is restarted now although it serves: it is due, and the policy does not hold it. Who asks for the restart of
/// one member does not approve of the others'.
pub fn turn(seen: &Observation, desired: &Desired, id: ServerId) -> Option<String> {
    due(seen, id).filter(|_| asked(seen, id) || closed(seen, desired).is_none())
}

/// Whether the voters that are synced without this one are a majority.
pub fn stays(seen: &Observation, standing: &Standing, committed: &Membership, id: ServerId) -> bool {
    let others = committed.voters().filter(|voter| *voter != id && standing.unsynced(seen, *voter).is_none());
    others.count() >= committed.majority()
}

/// The next restart of a member that serves, once the membership is what is wanted.
pub fn roll(seen: &Observation, standing: &Standing, desired: &Desired) -> Option<Step> {
    let committed = standing.committed.as_ref()?;
    if volume::last_copy(seen, standing, desired).is_some() {
        return None;
    }
    // One whose volume goes with its pod leaves before that, and comes back as what it should be (`replace`).
    let stay = committed.voters().filter(|id| volume::passing(seen, desired, *id).is_none());
    let mut waiting: Vec<(ServerId, String)> = stay.filter_map(|id| Some((id, turn(seen, desired, id)?))).collect();
    waiting.retain(|(id, _)| !hindered::pinned(seen, *id));
    if waiting.is_empty() {
        return None;
    }
    if let Some(blocker) = standing.blocker(seen).or_else(|| service::blocker(seen, committed)) {
        return Some(Step::Wait(blocker));
    }
    // The leader last, the others from the highest down.
    let by_hand = |id| seen.hindrances.denied && asked(seen, id);
    waiting.sort_by_key(|(id, _)| (by_hand(*id), Some(*id) != standing.leader, *id));
    let (id, why) = waiting.pop()?;
    let pod = seen.pods.get(&id.ordinal())?;
    let leads = standing.leader == Some(id);
    let alone = committed.voters().count() == 1;
    // Where no member lets the operator change the membership, who asks for a restart has been told what it costs.
    if alone || (!leads && stays(seen, standing, committed, id)) || by_hand(id) {
        return Some(restart(seen, standing, id, pod, Some(committed.version), why));
    }
    if let Some(instead) = mute::instead_of_leaving(seen, standing, desired, id) {
        return Some(
            instead.map_or_else(Step::Wait, |()| restart(seen, standing, id, pod, Some(committed.version), why)),
        );
    }
    let purpose = if leads { Purpose::HandOver } else { Purpose::Restart };
    Some(leave(seen, standing, id, committed.version, purpose))
}

/// A restarted member whose server its kubelet has not found ready yet.
pub fn unready(seen: &Observation, committed: &Membership) -> Option<Reason> {
    let restarted = committed.voters().filter(|id| due(seen, *id).is_none());
    let mut pods = restarted.filter_map(|id| seen.pods.get(&id.ordinal()));
    let pod = pods.find(|pod| !pod.ready && !pod.terminating)?;
    Some(Reason::new("MemberNotReady", format!("waiting for the kubelet to find pod {} ready", pod.name)))
}

/// Why members that serve are not restarted now, although some have to be.
pub fn held(seen: &Observation, standing: &Standing, desired: &Desired) -> Option<Reason> {
    volume::last_copy(seen, standing, desired).or_else(|| closed(seen, desired))
}

fn asked(seen: &Observation, id: ServerId) -> bool {
    seen.pods.get(&id.ordinal()).is_some_and(|pod| pod.asked == Some(Asked::Restart))
}

/// What the update policy waits for.
fn closed(seen: &Observation, desired: &Desired) -> Option<Reason> {
    let revision = seen.set.as_ref()?.update_revision.clone().unwrap_or_default();
    match &desired.updates {
        Updates::Supervised if seen.requests.approved.as_deref() != Some(revision.as_str()) => Some(Reason::new(
            "ApprovalNeeded",
            format!(
                "they wait for an approval: kubectl -n {} annotate zke {} --overwrite menagerie.dev/approve={revision}",
                seen.names.namespace, seen.names.ensemble
            ),
        )),
        Updates::Windows(windows) if !windows.iter().any(|window| window.open(seen.now)) => {
            let next = windows.iter().filter_map(|window| window.next(seen.now)).min();
            let next = next.map_or_else(|| "never".to_owned(), |(_, time)| time);
            Some(Reason::new("WindowClosed", format!("they wait for the next update window, which opens {next}")))
        }
        Updates::Automatic | Updates::Supervised | Updates::Windows(_) => None,
    }
}

/// What will not mend itself: a restarted member that did not come back in its time, a disk that fails.
pub fn failed(seen: &Observation, standing: &Standing) -> Option<Reason> {
    let desired = seen.desired.as_ref().ok()?;
    if let Some(reported) = replace::reported(seen, standing, desired) {
        return Some(reported);
    }
    if let Some(unmade) = hindered::unmade(seen, desired) {
        return Some(unmade);
    }
    let waiting = seen.pods.keys().filter(|ordinal| due(seen, ServerId::from(**ordinal)).is_some()).count();
    let (ordinal, pod) = seen.pods.iter().find(|(ordinal, pod)| {
        let id = ServerId::from(**ordinal);
        let late = heal::idle(seen, id).is_some_and(|seconds| seconds > desired.deadline)
            && (standing.unsynced(seen, id).is_some() || !pod.ready);
        let aged = || seen.now.saturating_sub(pod.since) > desired.deadline;
        (late || (service::beside(seen, id).is_some() && aged())) && !pod.terminating && due(seen, id).is_none()
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
