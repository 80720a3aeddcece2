//! A majority of the volumes is lost for certain, and why nobody is asked to accept that yet.
//!
//! - Certain is what an agent says of its disk, and what the API server says of a claim: its volume is gone, can be reached
//!   from no node, or never was. A silent member may have all of the data.
//! - Nothing follows from this but words. What a person can do makes a member answer, and ends with the acceptance (`lost`).

use std::collections::BTreeMap;

use super::Reason;
use super::lost::{archived, epoch_of_voters, last_membership, may_vote, outsiders};
use super::view::{MemberView, View};
use crate::model::desired::Storage;
use crate::model::{ConfigVersion, Membership, Server, ServerId};

/// Why there will be no quorum, if so many volumes are lost for certain, and what keeps the loss from being accepted.
pub fn majority(view: &View<'_>) -> Option<Reason> {
    if view.committed().is_some() || view.origin().ok()?.beginning.is_birth() {
        return None;
    }
    // Somebody has accepted a loss, and the pods of those that may vote are made again.
    if !may_vote(view).is_empty() {
        return None;
    }
    let membership = last_membership(view)?;
    let lost: BTreeMap<ServerId, String> =
        membership.voters().filter_map(|id| Some((id, without_data(view, &membership, id)?))).collect();
    if lost.is_empty() || membership.quorum(|id| !lost.contains_key(&id)) {
        return None;
    }
    let lacks: Vec<String> = lost.iter().map(|(id, why)| format!("member {id}: {why}")).collect();
    let steps = in_the_way(view, &membership);
    let then = if steps.is_empty() {
        String::new()
    } else {
        format!("; what keeps the loss from being accepted: {}", steps.join("; "))
    };
    let message = format!(
        "so many volumes are lost that no quorum is left ({}); {}: bring the lost volumes back{then}{}",
        lacks.join("; "),
        left(view, &membership, &lost),
        archived(view)
    );
    Some(Reason::new("MajorityLost", message))
}

/// Who has data, or may have.
fn left(view: &View<'_>, membership: &Membership, lost: &BTreeMap<ServerId, String>) -> String {
    let others = || membership.voters().filter(|id| !lost.contains_key(id));
    let names = |ids: Vec<ServerId>, words: &str| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        (!ids.is_empty()).then(|| format!("{words} {}", ids.join(", ")))
    };
    let answers = |id: &ServerId| view.member(*id).report.is_some();
    let sure = names(others().filter(answers).collect(), "data is on");
    let unsure = names(others().filter(|id| !answers(id)).collect(), "silent, and data may be on");
    let told: Vec<String> = [sure, unsure].into_iter().flatten().collect();
    if told.is_empty() {
        return "no voter is left that may have data".to_owned();
    }
    told.join("; ")
}

/// Why this member certainly has no data.
fn without_data(view: &View<'_>, membership: &Membership, id: ServerId) -> Option<String> {
    let server = membership.servers.get(&id)?;
    if !view.seen.names.owns(id, server) {
        return None;
    }
    let member = view.member(id);
    if let Some(truth) = member.report {
        let joined = truth.disk.epoch.unwrap_or_default();
        // An older agent does not say in which epoch it is.
        let has = truth.disk.database && (truth.disk.epoch.is_none() || joined > 0);
        return (!has).then(|| "its volume is empty".to_owned());
    }
    gone(view, member)
}

/// Why a silent member certainly has no data. An agent that answered would know better.
pub fn gone(view: &View<'_>, member: &MemberView<'_>) -> Option<String> {
    if !matches!(view.desired?.storage, Storage::Claim { .. }) {
        return None;
    }
    let claim = member.claim.filter(|claim| claim.identity.as_deref() == view.seen.identity())?;
    // Whatever runs has a volume, also if its claim was made anew since.
    let runs = member.pod.is_some_and(|pod| pod.running == Some(true));
    match (&claim.lost, &claim.volume) {
        _ if runs => None,
        (Some(lost), _) => Some(lost.clone()),
        (None, None) if !claim.going => Some(format!("its claim {} is new and has no volume yet", claim.name)),
        (None, _) => None,
    }
}

/// Everything that keeps the loss from being accepted, each with what a person can do.
fn in_the_way(view: &View<'_>, membership: &Membership) -> Vec<String> {
    if !membership.votes.by_majority() {
        return vec![
            "votes are counted by groups and weights, so that a member with data could be missing in a quorum: without those volumes, make a new ensemble, and bring the znodes into it from the files that are left (menagerie restore)".to_owned(),
        ];
    }
    let bars = membership.servers.iter().filter_map(|(id, server)| bar(view, membership, *id, server));
    bars.chain(outsiders(view, membership).into_iter().map(|id| outsider(view, id))).collect()
}

/// What a pod that is no member has to do with it.
fn outsider(view: &View<'_>, id: ServerId) -> String {
    let (pod, claim) = (view.seen.names.pod(id.seat()), view.seen.names.claim(id.seat()));
    let namespace = &view.seen.names.namespace;
    let anew =
        format!("kubectl -n {namespace} delete pvc {claim} --wait=false && kubectl -n {namespace} delete pod {pod}");
    let member = view.member(id);
    match &member.report {
        None => format!(
            "pod {pod} is not in the membership that the others know, and does not answer ({}): it may have later writes; bring it back, or, only if its data is gone for good, let it come back empty: {anew}",
            member.unsynced.clone().unwrap_or_default()
        ),
        Some(_) => format!(
            "pod {pod} is not in the membership, and has data of a later one or of a later epoch than any voter: it may have writes that none of them has; take them from its files (menagerie restore), or give them up and let it come back empty: {anew}"
        ),
    }
}

/// What one server has to do with it.
fn bar(view: &View<'_>, membership: &Membership, id: ServerId, server: &Server) -> Option<String> {
    let names = &view.seen.names;
    if !names.owns(id, server) {
        return Some(format!(
            "server {id} at {} is not one of this ensemble's members, and nobody here can ask what it has: start it again",
            server.host()
        ));
    }
    let member = view.member(id);
    let (pod, claim, namespace) = (names.pod(id.seat()), names.claim(id.seat()), &names.namespace);
    let anew =
        format!("kubectl -n {namespace} delete pvc {claim} --wait=false && kubectl -n {namespace} delete pod {pod}");
    let Some(truth) = member.report else {
        let silence = member.unsynced.clone().unwrap_or_default();
        return Some(match gone(view, member) {
            Some(_) if member.claim.is_some_and(|claim| claim.lost.is_none()) => {
                format!(
                    "member {id} (pod {pod}) has a new volume to come, and has to run before it can be counted: {silence}"
                )
            }
            Some(_) => {
                format!("member {id} (pod {pod}) cannot run on a volume that is gone: let it come back empty: {anew}")
            }
            None => format!(
                "member {id} (pod {pod}) does not answer and may have all of the data ({silence}): bring it back; only if its data is gone for good, let it come back empty: {anew}"
            ),
        });
    };
    let disk = &truth.disk;
    if disk.identity.as_deref() != view.origin().ok().map(|origin| origin.identity.as_str()) {
        return Some(format!("the volume of member {id} (pod {pod}) is not marked as this ensemble's yet"));
    }
    if let Some(newer) = disk.record.filter(|record| *record > membership.version) {
        return Some(newer_record(id, newer, membership.version));
    }
    if disk.database && disk.epoch.is_none() {
        return Some(format!(
            "the agent of member {id} is of an older version and does not say what its volume holds: kubectl -n {namespace} delete pod {pod}"
        ));
    }
    let (joined, latest) = (disk.epoch.unwrap_or_default(), epoch_of_voters(view, membership));
    if server.votes() && !disk.database && joined > 0 {
        return Some(format!(
            "the volume of member {id} has joined epoch {joined:x} and has no data any more: somebody has taken files from it; bring them back, or let it come back empty: {anew}"
        ));
    }
    (!server.votes() && joined > latest).then(|| {
        format!(
            "member {id} has no vote, and has joined epoch {joined:x}, later than any voter that answers: it may have writes that none of them has; bring a volume of that epoch back, or give these writes up and let it come back empty: {anew}"
        )
    })
}

fn newer_record(id: ServerId, newer: ConfigVersion, known: ConfigVersion) -> String {
    format!(
        "member {id} has membership {newer} on record, and the operator knows {known}: who has to vote is known once every pod answers, and the agents of all that have it on record say the same (one of an older version does not say it: delete its pod)"
    )
}
