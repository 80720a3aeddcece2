//! Grow and shrink, one member at a time.
//!
//! - Before each step every voter of the committed membership serves, is synced and has that membership.
//! - Grow: raise the set by one, wait until the joiner is synced, add it. Its voice counts only then. Two voters tolerate less
//!   than one does: between one and three both joiners are synced before the first votes, and both leave before a pod goes.
//! - Shrink: take the highest out of the membership, then its pod, then by policy its claim. Never the other way round:
//!   a pod deleted while it votes is a lost vote, and with a second loss the quorum. Those that do not serve leave first
//!   (`departure`).
//! - A change of mind is no special case: each pass looks only at the membership, the pods and what is wanted.

use super::origin::usable_claim;
use super::quorum_view::serving;
use super::view::{Course, View};
use super::{Reason, Resize, Step, denied, departure, drain, hindered, mute, replace, rolling, stop};
use crate::model::truth::Mode;
use crate::model::{Pool, ServerId, SetFacts};
use crate::render::{Blueprint, stateful_set};

/// Nothing can be said of members before there is a set of their pods.
pub fn no_set(view: &View<'_>) -> Option<Step> {
    let missing = view.seen.set(Pool::Voters).is_none();
    missing.then(|| Step::Wait(Reason::new("Applying", "waiting for the StatefulSet to appear")))
}

/// Nothing that takes anything away, but members whose pods are missing get them back.
pub fn without_quorum(view: &View<'_>) -> Option<Step> {
    let seen = view.seen;
    let set = seen.set(Pool::Voters).filter(|_| view.committed().is_none())?;
    let recorded = seen.noted_membership().map_or(0, |membership| membership.highest(&seen.names));
    if set.replicas < recorded {
        return add_pod(view, set);
    }
    if nobody_has_data(view, set) {
        return Some(Step::Refuse(Reason::new(
            "NoData",
            "no member's volume holds a database, and this ensemble was born before: bring its volumes back, or delete the ensemble and its claims to begin anew",
        )));
    }
    Some(Step::Wait(view.no_quorum()))
}

/// Every pod has answered, and none has anything. One that is silent may have all of it.
fn nobody_has_data(view: &View<'_>, set: &SetFacts) -> bool {
    let empty = |id| view.row(id).report.is_some_and(|truth| !truth.disk.database);
    set.replicas > 0 && (1..=set.replicas).map(ServerId).all(empty)
}

/// A member whose pod the set does not have.
pub fn missing_pods(view: &View<'_>) -> Option<Step> {
    let course = view.course()?;
    let missing = course.set.replicas < course.committed.highest(&view.seen.names);
    missing.then(|| add_pod(view, course.set)).flatten()
}

/// A wanted member that does not vote yet.
pub fn grow(view: &View<'_>) -> Option<Step> {
    let course = view.course()?;
    let voters: Vec<ServerId> = course.committed.voters().collect();
    let joiner = (1..=course.wanted).map(ServerId).find(|id| !voters.contains(id))?;
    // One that no node is found for may wait for the node of one that goes; one whose volume is lost has none before that is
    // given up, whoever goes.
    let lacks = replace::volume(view, joiner).is_some();
    let waits = departure::unplaced(view.row(joiner)) && !lacks && (course.leaver.is_some() || course.unneeded);
    // One that does not serve holds up whoever joins.
    let held_up =
        course.leaver.is_some_and(|(id, _)| departure::gone(view.row(id)) && departure::blocker(view, id).is_none());
    if waits || held_up { None } else { admit(view, course, joiner) }
}

/// The next step on the way of a member into the membership.
fn admit(view: &View<'_>, course: &Course<'_>, joiner: ServerId) -> Option<Step> {
    if let Some(blocker) = view.blocker() {
        return Some(Step::Wait(blocker));
    }
    let second = second(course, joiner);
    if course.set.replicas < second.unwrap_or(joiner).0 {
        return add_pod(view, course.set);
    }
    // What one of them lacks is mended, whoever of them the other waits for (found by the simulation).
    let joiners = || [Some(joiner), second].into_iter().flatten();
    if let Some(step) = joiners().find_map(|id| replace::volume(view, id)) {
        return Some(step);
    }
    let waits_for = joiners().find_map(|id| Some((id, not_ready_to_join(view, id)?)));
    // Of two voters neither may be lost: the third comes back first, and is restarted in its place.
    let at_stake = course.committed.voters().count() == 2 && course.wanted > 2;
    if at_stake && waits_for.is_none() {
        return Some(join(view, course, joiner));
    }
    // It has no vote: this takes nothing from anybody but its own clients, for whose sake it waits for the policy as a
    // member does. A leader that gave up its seat comes by here.
    let restart = |id: ServerId| {
        let row = view.row(id);
        let pod = row.pod.filter(|pod| !pod.terminating && !row.pinned)?;
        Some(stop::restart(view, id, pod, row.turn.clone()?))
    };
    if let Some(step) = joiners().find_map(restart) {
        return Some(step);
    }
    if let Some((id, reason)) = waits_for {
        let pod = view.seen.names.pod(id.seat());
        let message = format!("waiting for member {id} (pod {pod}) to sync: {reason}");
        return Some(Step::Wait(Reason::new("Joining", message)));
    }
    Some(join(view, course, joiner))
}

/// On the way from one voter to three, the one that joins right after this one: both are started and synced before the first
/// votes. Two that vote tolerate less than one does, and a member takes seconds to start and to sync.
fn second(course: &Course<'_>, joiner: ServerId) -> Option<ServerId> {
    let mut others = (joiner.0 + 1..=course.wanted).map(ServerId).filter(|id| !course.committed.contains(*id));
    others.next().filter(|_| course.committed.voters().count() == 1)
}

fn join(view: &View<'_>, course: &Course<'_>, joiner: ServerId) -> Step {
    if view.seen.hindrances.denied {
        return meanwhile(view, Reason::new(stop::DENIED, denied(view.seen)));
    }
    let committed = &course.committed;
    if !committed.has_place_for(joiner) {
        let message = format!(
            "the membership counts votes by groups, and member {joiner} is in none: write its id into a group, and its weight, with `reconfig -file` as super, or leave groups and weights out of it"
        );
        return meanwhile(view, Reason::new("NoGroup", message));
    }
    let to = committed.with(joiner, view.seen.names.server(joiner));
    Step::Join { id: joiner, to, from: committed.version, via: view.to_ask(Some(joiner)) }
}

/// The membership cannot be changed now, and what does not depend on that goes on: after a changed password or a setting that was
/// taken back, the restarts are what lets the super user in again.
fn meanwhile(view: &View<'_>, held: Reason) -> Step {
    // That takes a `reconfig` as well.
    let step = if view.seen.hindrances.denied { None } else { drain::hand_over(view) };
    step.or_else(|| rolling::roll(view)).unwrap_or(Step::Refuse(held))
}

fn not_ready_to_join(view: &View<'_>, joiner: ServerId) -> Option<String> {
    let row = view.row(joiner);
    if let Some(reason) = &row.unsynced {
        return Some(reason.clone());
    }
    let truth = row.report?;
    if truth.disk.identity.as_deref() != Some(view.origin().ok()?.identity.as_str()) {
        return Some("its volume belongs to another ensemble".to_owned());
    }
    (serving(truth)?.mode != Mode::Follower).then(|| "it does not follow".to_owned())
}

fn add_pod(view: &View<'_>, set: &SetFacts) -> Option<Step> {
    let id = ServerId(set.replicas + 1);
    Some(match usable_claim(view.seen, id, &view.origin().ok()?.identity) {
        Ok(()) => {
            let resize = resize(view, set, id, set.replicas + 1, Vec::new())?;
            match hindered::unraisable(view.seen, id, &resize.object) {
                Some(refused) => meanwhile(view, refused),
                None => Step::AddPod(resize),
            }
        }
        Err(obstacle) => obstacle.into(),
    })
}

/// The last pod, which is no member's. Two voters are passed by at once: the next leaves before that pod is stopped.
pub fn lower_now(view: &View<'_>) -> Option<Step> {
    let course = view.course()?;
    let first = course.leaver.is_some() && course.committed.voters().count() == 2 && course.wanted == 1;
    remove_pod(view).filter(|step| !first && !matches!(step, Step::Wait(_)))
}

/// The last pod, or what it waits for. One that may not go holds up nobody.
pub fn remove_pod(view: &View<'_>) -> Option<Step> {
    last_pod(view).filter(|step| stays(view, step).is_none())
}

/// A pod that the API server does not let go.
pub fn kept(view: &View<'_>) -> Option<Step> {
    stays(view, &last_pod(view)?).map(Step::Refuse)
}

fn stays(view: &View<'_>, step: &Step) -> Option<Reason> {
    match step {
        Step::RemovePod(resize) => hindered::unresizable(view.seen, &resize.object),
        _ => None,
    }
}

/// Only the pod beyond the highest member goes, and `act` reads the membership afresh through a quorum before. Nobody
/// waits for one that does not run.
fn last_pod(view: &View<'_>) -> Option<Step> {
    let course = view.course().filter(|course| course.unneeded)?;
    let id = ServerId(course.set.replicas);
    let runs = !view.row(id).stopped();
    if let Some(blocker) = view.blocker().filter(|_| runs) {
        return Some(Step::Wait(blocker));
    }
    let via = view.to_ask(Some(id));
    Some(Step::RemovePod(resize(view, course.set, id, course.set.replicas - 1, via)?))
}

/// A member that is too many, or in the way of one that is not.
pub fn leave(view: &View<'_>) -> Option<Step> {
    let course = view.course()?;
    let (id, why) = course.leaver?;
    if let Some(step) = mute::before_few(view, id) {
        return Some(step);
    }
    Some(match departure::blocker(view, id) {
        Some(blocker) => Step::Wait(blocker),
        None if view.seen.hindrances.denied => meanwhile(view, Reason::new(stop::DENIED, denied(view.seen))),
        None => stop::leave(view, id, &course.committed, why),
    })
}

fn resize(view: &View<'_>, set: &SetFacts, id: ServerId, pods: u32, via: Vec<ServerId>) -> Option<Resize> {
    Some(Resize {
        id,
        object: stateful_set(&Blueprint { pods, ..view.draft()?.blueprint.clone() }),
        uid: set.uid.clone(),
        resource_version: set.resource_version.clone(),
        via,
    })
}
