//! Members that cannot go on as they are: a volume that is gone, or goes with its pod (`volume`), data that cannot be read,
//! a server that hangs.
//!
//! - Only what is certain counts: a volume is lost when the API server says that it, or every node that could reach it, is
//!   gone. A node that is silent is only silent.
//! - One at a time, and never while another voter is missing: what is given up here is a copy, and the others have to
//!   have it.
//! - A member without its volume leaves the membership first and comes back by the joiners' door.

use std::collections::BTreeMap;

use super::view::{Row, View};
use super::{Purpose, Reason, ReplaceVolume, Step, Target, departure, due, hindered, stop};
use crate::api::ReclaimPolicy;
use crate::model::observed::Asked;
use crate::model::truth::ServerState;
use crate::model::{Membership, ServerId};

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
fn needed(view: &View<'_>, row: &Row<'_>) -> Option<String> {
    let (seen, desired) = (view.seen, view.desired?);
    let claim_stays = || row.claim.is_some_and(|claim| hindered::stays(seen, &Target::claim(claim)));
    let pod = row.pod.filter(|_| !row.pinned && !claim_stays())?;
    if pod.asked == Some(Asked::Replace) {
        return Some("its replacement was asked for".to_owned());
    }
    // Its server may serve as ever: what is lost with its pod is better given up while all the others are there.
    if let Some(passing) = &row.passing {
        return Some(passing.clone());
    }
    let lost = row.claim?.lost.clone()?;
    let waited = seen.now.saturating_sub(pod.since) > GRACE;
    (waited && pod.running != Some(true) && desired.on_loss == ReclaimPolicy::Delete).then_some(lost)
}

/// Takes a voter out that needs a new volume, when all the others are there.
pub fn next(view: &View<'_>) -> Option<Step> {
    let committed = view.committed()?;
    // One that does not serve comes first: everybody else waits for it.
    let ids: Vec<ServerId> = committed.voters().filter(|id| needed(view, view.row(*id)).is_some()).collect();
    let unsynced = |id: &&ServerId| !view.row(**id).synced();
    // Whoever comes back needs it to be there, or out. One whose volume goes with its pod and that is merely silent may serve,
    // and have the second copy of two (found by the simulation).
    let holds_up = |id: &&ServerId| match &view.row(**id).passing {
        Some(_) => departure::gone(view.row(**id)),
        None => unsynced(id),
    };
    // One at a time: a member that is out comes back first, unless somebody holds it up.
    let held_up = ids.iter().find(holds_up);
    if held_up.is_none() && (1..=view.desired?.replicas).any(|id| !committed.contains(ServerId(id))) {
        return None;
    }
    let follows = |id: &&ServerId| Some(**id) != view.quorum.leader;
    let mut found = [held_up, ids.iter().find(unsynced), ids.iter().find(follows), ids.first()].into_iter().flatten();
    let id = *found.next()?;
    if committed.voters().count() == 1 {
        let row = view.row(id);
        // Nobody asked for that, and all else goes on: `volume` says what becomes of it.
        if !row.asked(Asked::Replace) && row.passing.is_some() {
            return None;
        }
        return Some(Step::Refuse(Reason::new(
            "ReplaceRefused",
            format!(
                "member {id} is the only one and has all the data: scale to 3 first, or take the annotation from its pod"
            ),
        )));
    }
    if let Some(blocker) = view.blocker_but(id) {
        return Some(Step::Wait(blocker));
    }
    Some(stop::leave(view, id, committed, Purpose::Replace))
}

/// Gives a member that is in no membership a new volume.
pub fn volume(view: &View<'_>, id: ServerId) -> Option<Step> {
    let (seen, row) = (view.seen, view.row(id));
    let why = needed(view, row);
    let committed = view.committed()?;
    let pod = row.pod.filter(|pod| !pod.terminating && !row.pinned);
    match row.claim {
        // Whatever was asked for: a claim of another ensemble is not this one's to give up.
        Some(claim) if claim.identity != seen.charter.as_ref().map(|charter| charter.identity.clone()) => None,
        Some(claim) if !claim.going => {
            let (from, via) = (committed.version, view.to_ask(Some(id)));
            let (claim, pod) = (Target::claim(claim), pod.map(Target::pod));
            Some(Step::ReplaceVolume(ReplaceVolume { id, claim, pod, from, via, why: why? }))
        }
        // The claim goes only after its pod.
        Some(_) => {
            let why = why.unwrap_or_else(|| "its volume claim is being deleted".to_owned());
            Some(stop::restart(view, id, pod?, why))
        }
        None => Some(stop::restart(view, id, pod?, why?)),
    }
}

/// Why a server that runs has to be stopped for not serving, although the others have a quorum. The clock alone is no
/// reason: one that receives a large snapshot over a slow link does not serve either.
pub fn hung(row: &Row<'_>) -> Option<String> {
    let truth = row.report?;
    let still = truth.stalled.and(truth.still).filter(|seconds| *seconds > HUNG)? / 60;
    match &truth.server {
        ServerState::Serving(_) | ServerState::Unknown => None,
        ServerState::Waiting { phase, .. } => Some(format!(
            "it has been in {phase} and nothing has moved in it for {still} min, although the others have a quorum"
        )),
        ServerState::Silent { .. } => frozen(row),
    }
}

/// Why a server surely does nothing any more, whoever else serves: its process is there, answers nobody, has no connection
/// to the others, and nothing moves in it.
pub fn frozen(row: &Row<'_>) -> Option<String> {
    let truth = row.report?;
    let still = truth.stalled.and(truth.still).filter(|seconds| *seconds > HUNG)? / 60;
    let runs = row.pod.is_some_and(|pod| pod.running == Some(true));
    (runs && matches!(truth.server, ServerState::Silent { .. }))
        .then(|| format!("its server has not answered and nothing has moved in it for {still} min"))
}

/// What is wrong with a member and will not be mended by itself.
pub fn reported(view: &View<'_>) -> Option<Reason> {
    let (seen, desired) = (view.seen, view.desired?);
    view.pods().find_map(|(id, row, pod)| {
        let resynced = seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
        if pod.unreadable && resynced.is_some_and(|uid| *uid != pod.uid) && row.due.is_none() {
            return Some(Reason::new(
                "DataDamaged",
                format!(
                    "pod {} cannot read its data again after it had synced anew: its disk may be failing; give it another with kubectl -n {} annotate pod {} menagerie.dev/replace=volume",
                    pod.name, seen.names.namespace, pod.name
                ),
            ));
        }
        if let Some(lost) = row.claim.and_then(|claim| claim.lost.as_ref())
            && desired.on_loss == ReclaimPolicy::Retain
        {
            return Some(Reason::new(
                "VolumeLost",
                format!("member {id} cannot start: {lost}; storage.reclaim.onLoss keeps its claim: bring the node back, or delete the claim and the pod {}", pod.name),
            ));
        }
        slow(view, row)
    })
}

/// What is said of a member that has not served for long, and is left alone.
fn slow(view: &View<'_>, row: &Row<'_>) -> Option<Reason> {
    // Without a quorum there is nobody to catch up with.
    view.committed()?;
    let truth = row.report?;
    let long = truth.stalled.filter(|seconds| *seconds > SYNCING)?;
    let pod = &row.pod?.name;
    let (what, left) = match (&truth.server, truth.still) {
        (ServerState::Waiting { phase, .. }, Some(_)) => {
            (format!("has been in {phase}"), "it moves, and is left alone".to_owned())
        }
        // No process, no loading: why it does not run, Kubernetes says.
        (ServerState::Silent { .. }, Some(_)) => {
            ("has been loading its database".to_owned(), "it moves, and is left alone".to_owned())
        }
        (ServerState::Waiting { phase, .. }, None) => (
            format!("has been in {phase}"),
            format!(
                "whether anything moves in it cannot be seen, so it is left alone; if it hangs: kubectl -n {} delete pod {pod}",
                view.seen.names.namespace
            ),
        ),
        (ServerState::Serving(_) | ServerState::Unknown, _) | (ServerState::Silent { .. }, None) => return None,
    };
    // In steps of half an hour: what changes on every pass does not belong into a status.
    let minutes = long / SYNCING * SYNCING / 60;
    Some(Reason::new("StillSyncing", format!("pod {pod} {what} for more than {minutes} min: {left}")))
}

/// Members that start empty at their next start, once: those that were told before, without those that are well again,
/// and one that cannot read its data while all the others are synced.
pub fn resync(view: &View<'_>) -> BTreeMap<ServerId, String> {
    let seen = view.seen;
    let mut told = seen.charter.as_ref().map(|charter| charter.resync.clone()).unwrap_or_default();
    told.retain(|id, _| {
        let row = view.row(*id);
        row.pod.is_some_and(|pod| !row.synced() || seen.now.saturating_sub(pod.since) < WELL)
    });
    let Some(committed) = view.committed() else { return told };
    let unreadable = view.pods().find(|(id, _, pod)| {
        let doubtful = pod.doubtful && due::unproven(view, *id);
        let damaged =
            pod.unreadable && !doubtful && pod.restarts >= TRIES && !pod.terminating && !told.contains_key(id);
        damaged && others(committed, *id) && view.blocker_but(*id).is_none()
    });
    if let Some((id, _, pod)) = unreadable {
        told.insert(id, pod.uid.clone());
    }
    told
}

/// Whether there is anybody else to sync from.
fn others(committed: &Membership, id: ServerId) -> bool {
    committed.voters().any(|voter| voter != id)
}
