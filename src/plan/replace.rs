//! Members that cannot continue: their volume is gone or goes with its pod (`volume`), their data cannot be read, or
//! their server hangs.
//!
//! - Only certain knowledge counts: a volume is lost if the API server says that it is gone, or that every node that
//!   could reach it is gone. A silent node is only silent.
//! - One at a time, and never while another voter is missing: this gives up a copy, so the others must have it.
//! - A member without its volume leaves the membership first, and comes back like a new member.

use std::collections::BTreeMap;

use super::view::{MemberView, View};
use super::{Purpose, Reason, ReplaceVolume, Step, Target, departure, due, hindered, stop};
use crate::api::ReclaimPolicy;
use crate::model::observed::MemberRequest;
use crate::model::truth::ServerState;
use crate::model::{Membership, Server, ServerId};

/// How long a pod may take to find its volume: nodes are deleted and come back when a cloud replaces them.
const GRACE: u64 = 60;
/// A server hangs if it does not serve and nothing has moved in it for this long: no file, and nothing that it reads. A
/// healthy server is never still for longer than `syncLimit`, 10 s, or a garbage collection.
const HUNG: u64 = 300;
/// A snapshot of many gigabytes may take this long to arrive, and as long to load. After that the member is reported,
/// but never stopped.
const SYNCING: u64 = 1_800;
/// If data is unreadable at the first start in a pod, the disk may only have had a moment's trouble.
const TRIES: u32 = 2;
/// A member that synced again and has been well for this long may be helped again.
const WELL: u64 = 3_600;

/// Why a member needs a new volume. `None` if it does not, or if the policy or the API server keeps the old one.
fn needed(view: &View<'_>, member: &MemberView<'_>) -> Option<String> {
    let (seen, desired) = (view.seen, view.desired?);
    let claim_stays = || member.claim.is_some_and(|claim| hindered::stays(seen, &Target::claim(claim)));
    let pod = member.pod.filter(|_| !member.pinned && !claim_stays())?;
    if pod.request == Some(MemberRequest::Replace) {
        return Some("somebody asked for its replacement".to_owned());
    }
    // Its server may still serve. What its pod's end would lose is better given up while all the others are there.
    if let Some(passing) = &member.passing {
        return Some(passing.clone());
    }
    let lost = member.claim?.lost.clone()?;
    let waited = seen.now.saturating_sub(pod.since) > GRACE;
    (waited && pod.running != Some(true) && desired.on_loss == ReclaimPolicy::Delete).then_some(lost)
}

/// Takes a voter that needs a new volume out of the membership, once all the others are there.
pub fn next(view: &View<'_>) -> Option<Step> {
    let committed = view.committed()?;
    // A member that does not serve comes first: all the others wait for it.
    let ours = committed.own_voters(&view.seen.names);
    let needy = |id: &ServerId| needed(view, view.member(*id)).is_some();
    // A member that cannot leave, and whose replacement nobody requested, stays as it is; `volume` reports it.
    let can = |id: &ServerId| {
        view.member(*id).requested(MemberRequest::Replace) || stop::outweighs(view, committed, *id).is_none()
    };
    let ids: Vec<ServerId> = ours.filter(needy).filter(can).collect();
    let unsynced = |id: &&ServerId| !view.member(**id).synced();
    // A member can come back only while this one is there, or out of the membership. A silent member whose volume goes
    // with its pod may still serve, and hold the second of two copies (found by the simulation).
    let holds_up = |id: &&ServerId| match &view.member(**id).passing {
        Some(_) => departure::gone(view.member(**id)),
        None => unsynced(id),
    };
    // One at a time: a member that is out comes back first, unless another holds it up.
    let held_up = ids.iter().find(holds_up);
    let votes = |id| committed.servers.get(&ServerId(id)).is_some_and(Server::votes);
    if held_up.is_none() && !(1..=view.desired?.replicas).all(votes) {
        return None;
    }
    let follows = |id: &&ServerId| Some(**id) != view.quorum.leader;
    let mut found = [held_up, ids.iter().find(unsynced), ids.iter().find(follows), ids.first()].into_iter().flatten();
    let id = *found.next()?;
    if committed.voters().count() == 1 {
        return Some(Step::Refuse(Reason::new(
            "ReplaceRefused",
            format!(
                "member {id} is the only one and has all the data: scale to 3 first, or remove the annotation from its pod"
            ),
        )));
    }
    if let Some(why) = stop::outweighs(view, committed, id) {
        let message = format!("{why}; or take the annotation from its pod");
        return Some(Step::Refuse(Reason::new("ReplaceRefused", message)));
    }
    if let Some(blocker) = view.blocker_but(id) {
        return Some(Step::Wait(blocker));
    }
    Some(stop::leave(view, id, committed, Purpose::Replace))
}

/// Gives a member that is in no membership a new volume.
pub fn volume(view: &View<'_>, id: ServerId) -> Option<Step> {
    let (seen, member) = (view.seen, view.member(id));
    let why = needed(view, member);
    let committed = view.committed()?;
    let pod = member.pod.filter(|pod| !pod.terminating && !member.pinned);
    match member.claim {
        // Even if somebody asks for it: a claim of another ensemble is not this one's to give up.
        Some(claim) if claim.identity != seen.charter.as_ref().map(|charter| charter.identity.clone()) => None,
        Some(claim) if !claim.going => {
            let (from, via) = (committed.clone(), view.to_ask(Some(id)));
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

/// Why a running server has to be stopped for not serving, although the others have a quorum. Time alone is no reason:
/// a server that receives a large snapshot over a slow link does not serve either.
pub fn hung(member: &MemberView<'_>) -> Option<String> {
    let truth = member.report?;
    let still = truth.stalled.and(truth.still).filter(|seconds| *seconds > HUNG)? / 60;
    match &truth.server {
        ServerState::Serving(_) | ServerState::Unknown => None,
        ServerState::Waiting { phase, .. } => Some(format!(
            "it has been in {phase} and has made no progress for {still} min, although the others have a quorum"
        )),
        ServerState::Silent { .. } => frozen(member),
    }
}

/// Why a server certainly does nothing any more, whether or not others serve: its process exists, but it answers
/// nobody, has no connection to the others, and nothing moves in it.
pub fn frozen(member: &MemberView<'_>) -> Option<String> {
    let truth = member.report?;
    let still = truth.stalled.and(truth.still).filter(|seconds| *seconds > HUNG)? / 60;
    let runs = member.pod.is_some_and(|pod| pod.running == Some(true));
    (runs && matches!(truth.server, ServerState::Silent { .. }))
        .then(|| format!("its server has not answered and has made no progress for {still} min"))
}

/// A fault of a member that does not go away by itself.
pub fn reported(view: &View<'_>) -> Option<Reason> {
    let (seen, desired) = (view.seen, view.desired?);
    view.pods().find_map(|(id, member, pod)| {
        let resynced = seen.charter.as_ref().and_then(|charter| charter.resync.get(&id));
        if pod.unreadable && resynced.is_some_and(|uid| *uid != pod.uid) && member.due.is_none() {
            return Some(Reason::new(
                "DataDamaged",
                format!(
                    "pod {} has synced again and still cannot read its data: its disk may be failing; give it another with kubectl -n {} annotate pod {} menagerie.dev/replace=volume",
                    pod.name, seen.names.namespace, pod.name
                ),
            ));
        }
        if let Some(lost) = member.claim.and_then(|claim| claim.lost.as_ref())
            && desired.on_loss == ReclaimPolicy::Retain
        {
            return Some(Reason::new(
                "VolumeLost",
                format!("member {id} cannot start: {lost}; storage.reclaim.onLoss keeps its claim: bring the node back, or delete the claim and the pod {}", pod.name),
            ));
        }
        slow(view, member)
    })
}

/// What the condition says about a member that has not served for long and is left alone.
fn slow(view: &View<'_>, member: &MemberView<'_>) -> Option<Reason> {
    // Without a quorum there is nobody to sync from.
    view.committed()?;
    let truth = member.report?;
    let long = truth.stalled.filter(|seconds| *seconds > SYNCING)?;
    let pod = &member.pod?.name;
    let (what, left) = match (&truth.server, truth.still) {
        (ServerState::Waiting { phase, .. }, Some(_)) => {
            (format!("has been in {phase}"), "it makes progress, and is left alone".to_owned())
        }
        // Without a process it loads nothing: Kubernetes says why it does not run.
        (ServerState::Silent { .. }, Some(_)) => {
            ("has been loading its database".to_owned(), "it makes progress, and is left alone".to_owned())
        }
        (ServerState::Waiting { phase, .. }, None) => (
            format!("has been in {phase}"),
            format!(
                "its progress cannot be seen, so it is left alone; if it hangs: kubectl -n {} delete pod {pod}",
                view.seen.names.namespace
            ),
        ),
        (ServerState::Serving(_) | ServerState::Unknown, _) | (ServerState::Silent { .. }, None) => return None,
    };
    // In steps of half an hour: a status must not change on every pass.
    let minutes = long / SYNCING * SYNCING / 60;
    Some(Reason::new("StillSyncing", format!("pod {pod} {what} for more than {minutes} min: {left}")))
}

/// Members that start empty at their next start, once: those from before that are not well yet, and one that cannot
/// read its data while all the others are synced.
pub fn resync(view: &View<'_>) -> BTreeMap<ServerId, String> {
    let seen = view.seen;
    let mut told = seen.charter.as_ref().map(|charter| charter.resync.clone()).unwrap_or_default();
    told.retain(|id, _| {
        let member = view.member(*id);
        member.pod.is_some_and(|pod| !member.synced() || seen.now.saturating_sub(pod.since) < WELL)
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
