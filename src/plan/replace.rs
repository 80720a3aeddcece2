//! Members that cannot go on as they are: a volume that is gone, or goes with its pod (`volume`), data that cannot be read,
//! a server that hangs.
//!
//! - Only what is certain counts: a volume is lost when the API server says that it, or every node that could reach it, is
//!   gone. A node that is silent is only silent.
//! - One at a time, and never while another voter is missing: what is given up here is a copy, and the others have to
//!   have it.
//! - A member without its volume leaves the membership first and comes back by the joiners' door.

use std::collections::BTreeMap;

use super::standing::Standing;
use super::{Purpose, Reason, Renew, Step, Target, departure, due, hindered, stop, volume};
use crate::api::ReclaimPolicy;
use crate::model::observed::Asked;
use crate::model::truth::Server as ServerTruth;
use crate::model::{Desired, Fact, Membership, Observation, ServerId};

/// A pod is given this long to find its volume: nodes are deleted and come back when a cloud replaces them.
const GRACE: u64 = 60;
/// A server that does not serve, and in which nothing has moved for this long, hangs: no file, nothing that it reads. The
/// longest that a healthy one is still is `syncLimit`, 10 s, or a collection of its garbage.
const HUNG: u64 = 300;
/// A snapshot of many gigabytes may take this long to arrive, and as long to load. Later it is reported, and never stopped.
const SYNCING: u64 = 1_800;
/// Unreadable at the first start in a pod may be a moment's trouble of the disk.
const TRIES: u32 = 2;
/// A member that was made to sync anew and has been well for this long may be helped again.
const WELL: u64 = 3_600;

/// Why a member needs a new volume; `None` when it does not, or policy keeps the old one, or the API server does.
fn needed(seen: &Observation, desired: &Desired, id: ServerId) -> Option<String> {
    let pod = seen.pods.get(&id.ordinal()).filter(|_| !hindered::immovable(seen, id))?;
    if pod.asked == Some(Asked::Replace) {
        return Some("its replacement was asked for".to_owned());
    }
    // Its server may serve as ever: what is lost with its pod is better given up while all the others are there.
    if let Some(passing) = volume::passing(seen, desired, id) {
        return Some(passing);
    }
    let lost = seen.claims.get(&id.ordinal())?.lost.clone()?;
    let waited = seen.now.saturating_sub(pod.since) > GRACE;
    (waited && pod.running != Some(true) && desired.on_loss == ReclaimPolicy::Delete).then_some(lost)
}

/// Takes a voter out that needs a new volume, when all the others are there.
pub fn next(seen: &Observation, standing: &Standing, desired: &Desired) -> Option<Step> {
    let committed = standing.committed.as_ref()?;
    // One that does not serve comes first: everybody else waits for it.
    let ids: Vec<ServerId> = committed.voters().filter(|id| needed(seen, desired, *id).is_some()).collect();
    let unsynced = ids.iter().find(|id| standing.unsynced(seen, **id).is_some());
    // Whoever comes back needs it to be there, or out. One whose volume goes with its pod and that is merely silent may serve,
    // and have the second copy of two (found by the simulation).
    let holds_up = |id: &&ServerId| match volume::passing(seen, desired, **id) {
        Some(_) => departure::gone(seen, standing, **id),
        None => standing.unsynced(seen, **id).is_some(),
    };
    // One at a time: a member that is out comes back first, unless somebody holds it up.
    let held_up = ids.iter().find(holds_up);
    if held_up.is_none() && (1..=desired.replicas).any(|id| !committed.contains(ServerId(id))) {
        return None;
    }
    let id = *held_up.or(unsynced).or(ids.iter().find(|id| Some(**id) != standing.leader)).or(ids.first())?;
    if committed.voters().count() == 1 {
        let asked = seen.pods.get(&id.ordinal()).is_some_and(|pod| pod.asked == Some(Asked::Replace));
        // Nobody asked for that, and all else goes on: `volume` says what becomes of it.
        if !asked && volume::passing(seen, desired, id).is_some() {
            return None;
        }
        return Some(Step::Refuse(Reason::new(
            "ReplaceRefused",
            format!(
                "member {id} is the only one and has all the data: scale to 3 first, or take the annotation from its pod"
            ),
        )));
    }
    if let Some(blocker) = standing.blocker_but(seen, id) {
        return Some(Step::Wait(blocker));
    }
    Some(stop::leave(seen, standing, id, committed.version, Purpose::Replace))
}

/// Gives a member that is in no membership a new volume.
pub fn renew(seen: &Observation, standing: &Standing, desired: &Desired, id: ServerId) -> Option<Step> {
    let why = needed(seen, desired, id);
    let committed = standing.committed.as_ref()?;
    let pod = seen.pods.get(&id.ordinal()).filter(|pod| !pod.terminating && !hindered::pinned(seen, id));
    match seen.claims.get(&id.ordinal()) {
        // Whatever was asked for: a claim of another ensemble is not this one's to give up.
        Some(claim) if claim.identity != seen.charter.as_ref().map(|charter| charter.identity.clone()) => None,
        Some(claim) if !claim.going => {
            let (from, via) = (committed.version, standing.to_ask(seen, Some(id)));
            let (claim, pod) = (Target::claim(claim), pod.map(Target::pod));
            Some(Step::Renew(Renew { id, claim, pod, from, via, why: why? }))
        }
        // The claim goes only after its pod.
        Some(_) => {
            let why = why.unwrap_or_else(|| "its volume claim is being deleted".to_owned());
            Some(stop::restart(seen, standing, id, pod?, Some(committed.version), why))
        }
        None => Some(stop::restart(seen, standing, id, pod?, Some(committed.version), why?)),
    }
}

/// Why a server that runs has to be stopped for not serving, although the others have a quorum. The clock alone is no
/// reason: one that receives a large snapshot over a slow link does not serve either.
pub fn hung(seen: &Observation, id: ServerId) -> Option<String> {
    let truth = seen.members.get(&id).and_then(Fact::known)?;
    let still = truth.stalled.and(truth.still).filter(|seconds| *seconds > HUNG)? / 60;
    match &truth.server {
        ServerTruth::Serving(_) | ServerTruth::Unknown => None,
        ServerTruth::Waiting { phase, .. } => Some(format!(
            "it has been in {phase} and nothing has moved in it for {still} min, although the others have a quorum"
        )),
        ServerTruth::Silent { .. } => frozen(seen, id),
    }
}

/// Why a server surely does nothing any more, whoever else serves: its process is there, answers nobody, has no connection
/// to the others, and nothing moves in it.
pub fn frozen(seen: &Observation, id: ServerId) -> Option<String> {
    let truth = seen.members.get(&id).and_then(Fact::known)?;
    let still = truth.stalled.and(truth.still).filter(|seconds| *seconds > HUNG)? / 60;
    let runs = seen.pods.get(&id.ordinal()).is_some_and(|pod| pod.running == Some(true));
    (runs && matches!(truth.server, ServerTruth::Silent { .. }))
        .then(|| format!("its server has not answered and nothing has moved in it for {still} min"))
}

/// What is wrong with a member and will not be mended by itself.
pub fn reported(seen: &Observation, standing: &Standing, desired: &Desired) -> Option<Reason> {
    seen.pods.iter().find_map(|(ordinal, pod)| {
        let id = ServerId::from(*ordinal);
        let resynced = seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
        if pod.unreadable && resynced.is_some_and(|uid| *uid != pod.uid) && due::due(seen, id).is_none() {
            return Some(Reason::new(
                "DataDamaged",
                format!(
                    "pod {} cannot read its data again after it had synced anew: its disk may be failing; give it another with kubectl -n {} annotate pod {} menagerie.dev/replace=volume",
                    pod.name, seen.names.namespace, pod.name
                ),
            ));
        }
        let claim = seen.claims.get(ordinal);
        if let Some(lost) = claim.and_then(|claim| claim.lost.as_ref())
            && desired.on_loss == ReclaimPolicy::Retain
        {
            return Some(Reason::new(
                "VolumeLost",
                format!("member {id} cannot start: {lost}; storage.reclaim.onLoss keeps its claim: bring the node back, or delete the claim and the pod {}", pod.name),
            ));
        }
        slow(seen, standing, id)
    })
}

/// What is said of a member that has not served for long, and is left alone.
fn slow(seen: &Observation, standing: &Standing, id: ServerId) -> Option<Reason> {
    // Without a quorum there is nobody to catch up with.
    standing.committed.as_ref()?;
    let truth = seen.members.get(&id).and_then(Fact::known)?;
    let long = truth.stalled.filter(|seconds| *seconds > SYNCING)?;
    let pod = &seen.pods.get(&id.ordinal())?.name;
    let (what, left) = match (&truth.server, truth.still) {
        (ServerTruth::Waiting { phase, .. }, Some(_)) => {
            (format!("has been in {phase}"), "it moves, and is left alone".to_owned())
        }
        // No process, no loading: why it does not run, Kubernetes says.
        (ServerTruth::Silent { .. }, Some(_)) => {
            ("has been loading its database".to_owned(), "it moves, and is left alone".to_owned())
        }
        (ServerTruth::Waiting { phase, .. }, None) => (
            format!("has been in {phase}"),
            format!(
                "whether anything moves in it cannot be seen, so it is left alone; if it hangs: kubectl -n {} delete pod {pod}",
                seen.names.namespace
            ),
        ),
        (ServerTruth::Serving(_) | ServerTruth::Unknown, _) | (ServerTruth::Silent { .. }, None) => return None,
    };
    // In steps of half an hour: what changes on every pass does not belong into a status.
    let minutes = long / SYNCING * SYNCING / 60;
    Some(Reason::new("StillSyncing", format!("pod {pod} {what} for more than {minutes} min: {left}")))
}

/// Members that start empty at their next start, once: those that were told before, without those that are well again,
/// and one that cannot read its data while all the others are synced.
pub fn resync(seen: &Observation, standing: &Standing) -> BTreeMap<ServerId, String> {
    let mut told = seen.charter.as_ref().map(|charter| charter.resync.clone()).unwrap_or_default();
    told.retain(|id, _| {
        let Some(pod) = seen.pods.get(&id.ordinal()) else { return false };
        standing.unsynced(seen, *id).is_some() || seen.now.saturating_sub(pod.since) < WELL
    });
    let Some(committed) = &standing.committed else { return told };
    let unreadable = seen.pods.iter().find(|(ordinal, pod)| {
        let id = ServerId::from(**ordinal);
        let doubtful = pod.doubtful && due::unproven(seen, id);
        let damaged =
            pod.unreadable && !doubtful && pod.restarts >= TRIES && !pod.terminating && !told.contains_key(&id);
        damaged && others(committed, id) && standing.blocker_but(seen, id).is_none()
    });
    if let Some((ordinal, pod)) = unreadable {
        told.insert(ServerId::from(*ordinal), pod.uid.clone());
    }
    told
}

/// Whether there is anybody else to sync from.
fn others(committed: &Membership, id: ServerId) -> bool {
    committed.voters().any(|voter| voter != id)
}
