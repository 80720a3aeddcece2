//! Grows and shrinks the ensemble, one member at a time.
//!
//! - Before each step, every voter of the committed membership serves, is synced and has that membership.
//! - Grow: add one pod, wait until its member is synced, add the member. It votes only then. Two voters tolerate less
//!   than one. So between one and three, both new members are synced before the first of them votes, and both leave
//!   before a pod goes.
//! - Shrink: take the highest member out of the membership, then delete its pod, then, by policy, its claim. Never the
//!   other way round: deleting the pod of a voter loses a vote, and a second loss costs the quorum. Members that do not
//!   serve leave first (`departure`).
//! - A changed spec is no special case: each pass looks only at the membership, the pods and what is wanted.

use super::origin::usable_claim;
use super::quorum_view::serving;
use super::view::{ScalingView, View};
use super::{
    Purpose, Reason, Resize, Step, barred, denied, departure, drain, hindered, lost, mute, replace, rolling, stop,
};
use crate::model::truth::{DiskState, Mode};
use crate::model::{Pool, Server, ServerId, SetFacts};
use crate::render::{Blueprint, stateful_set};

/// Nothing is known about members before their StatefulSet exists.
pub fn no_set(view: &View<'_>) -> Option<Step> {
    let missing = view.seen.set(Pool::Voters).is_none();
    missing.then(|| Step::Wait(Reason::new("Applying", "waiting for the StatefulSet to appear")))
}

/// Nothing is taken away, but members without a pod get one.
pub fn without_quorum(view: &View<'_>) -> Option<Step> {
    let seen = view.seen;
    let set = seen.set(Pool::Voters).filter(|_| view.committed().is_none())?;
    let recorded = seen.noted_membership().map_or(0, |membership| membership.highest(&seen.names));
    if set.replicas < recorded {
        return add_pod(view, set);
    }
    if let Some(unread) = view.unread() {
        return Some(Step::Refuse(unread));
    }
    if nobody_has_data(view, set) {
        return Some(Step::Refuse(Reason::new(
            "NoData",
            format!(
                "no member's volume holds a database, although this ensemble was born before: bring its volumes back, or delete the ensemble and its claims to start over{}",
                lost::archived(view)
            ),
        )));
    }
    let lost = lost::majority(view).or_else(|| barred::majority(view));
    Some(lost.map_or_else(|| Step::Wait(view.no_quorum()), Step::Refuse))
}

/// Every pod has answered, and none has data. A silent one may have all of it.
fn nobody_has_data(view: &View<'_>, set: &SetFacts) -> bool {
    // A volume that was allowed to vote empty has a snapshot of nothing, and its server has joined no epoch.
    let nothing = |disk: &DiskState| !disk.database || disk.epoch == Some(0);
    let empty = |id| view.member(id).report.is_some_and(|truth| nothing(&truth.disk));
    set.replicas > 0 && (1..=set.replicas).map(ServerId).all(empty)
}

/// A member without a pod in the StatefulSet.
pub fn missing_pods(view: &View<'_>) -> Option<Step> {
    let scaling = view.scaling()?;
    let missing = scaling.set.replicas < scaling.committed.highest(&view.seen.names);
    missing.then(|| add_pod(view, scaling.set)).flatten()
}

/// A wanted member that does not vote yet.
pub fn grow(view: &View<'_>) -> Option<Step> {
    let scaling = view.scaling()?;
    let joiner = joiner(view, scaling)?;
    // A member that no node has room for may wait for the node of a member that goes. A member that lost its volume
    // must give it up first.
    let lacks = replace::volume(view, joiner).is_some();
    let waits = departure::unplaced(view.member(joiner)) && !lacks && (scaling.leaver.is_some() || scaling.unneeded);
    // A member that does not serve holds up every new one.
    let held_up = scaling
        .leaver
        .is_some_and(|(id, _)| departure::gone(view.member(id)) && departure::blocker(view, id).is_none());
    if waits || held_up { None } else { admit(view, scaling, joiner) }
}

/// Wanted members that do not vote.
fn out(scaling: &ScalingView<'_>) -> impl Iterator<Item = ServerId> {
    let votes = |id: ServerId| scaling.committed.servers.get(&id).is_some_and(Server::votes);
    (1..=scaling.wanted).map(ServerId).filter(move |id| !votes(*id))
}

/// Which of them joins next: the lowest that is ready, then the lowest that can become ready. When the lowest always came first,
/// one that can never join kept out those that had only left to be restarted.
fn joiner(view: &View<'_>, scaling: &ScalingView<'_>) -> Option<ServerId> {
    let placed = |id: ServerId| {
        (scaling.set.replicas + 1..=id.0).chain([id.0]).map(ServerId).all(|id| scaling.committed.has_place_for(id))
    };
    let able = |id: &ServerId| placed(*id) && only_observes(view, *id).is_none();
    let ready = |id: &ServerId| not_ready_to_join(view, *id).is_none();
    let mut able_ones = out(scaling).filter(able);
    let first = able_ones.next().or_else(|| out(scaling).next())?;
    Some(out(scaling).filter(able).find(ready).unwrap_or(first))
}

/// The next step for a member that joins.
fn admit(view: &View<'_>, scaling: &ScalingView<'_>, joiner: ServerId) -> Option<Step> {
    if let Some(blocker) = view.blocker() {
        return Some(Step::Wait(blocker));
    }
    // ZooKeeper starts no server that such a list leaves out: the operator would wait for a pod that can never join.
    let homeless = |id: &ServerId| !scaling.committed.has_place_for(*id);
    // One that has been there before does not wait for it.
    let comes_back = scaling.set.replicas >= joiner.0;
    let second = second(scaling, joiner).filter(|id| !(comes_back && homeless(id)));
    if let Some(id) = [Some(joiner), second].into_iter().flatten().find(homeless) {
        return Some(meanwhile(view, no_group(id)));
    }
    if scaling.set.replicas < second.unwrap_or(joiner).0 {
        return add_pod(view, scaling.set);
    }
    // Whatever one of them lacks is repaired, whichever of them the other waits for (found by the simulation).
    if let Some(step) = out(scaling).find_map(|id| volume(view, scaling, id)) {
        return Some(step);
    }
    let joiners = || [Some(joiner), second].into_iter().flatten();
    let waits_for = joiners().find_map(|id| Some((id, not_ready_to_join(view, id)?)));
    if let Some(reason) = only_observes(view, joiner).filter(|_| waits_for.is_none()) {
        return Some(meanwhile(view, reason));
    }
    // With two voters neither may be lost: the third joins first, and is restarted later, while it is a member.
    let at_stake = scaling.committed.voters().count() == 2 && scaling.wanted > 2;
    if at_stake && waits_for.is_none() {
        return Some(join(view, scaling, joiner));
    }
    // It has no vote, so the restart affects only its own clients. For their sake it waits for the policy, as a member
    // does. A leader that handed over leadership is restarted here.
    let restart = |id: ServerId| {
        let member = view.member(id);
        let pod = member.pod.filter(|pod| !pod.terminating && !member.pinned)?;
        Some(stop::restart(view, id, pod, member.turn.clone()?))
    };
    if let Some(step) = joiners().find_map(restart) {
        return Some(step);
    }
    if let Some((id, reason)) = waits_for {
        let pod = view.seen.names.pod(id.seat());
        let message = format!("waiting for member {id} (pod {pod}) to sync: {reason}");
        return Some(Step::Wait(Reason::new("Joining", message)));
    }
    Some(join(view, scaling, joiner))
}

/// A new volume for a member that does not vote. One that observes is in the membership, and leaves it first.
fn volume(view: &View<'_>, scaling: &ScalingView<'_>, id: ServerId) -> Option<Step> {
    let step = replace::volume(view, id)?;
    Some(match scaling.committed.contains(id) {
        false => step,
        true if view.seen.hindrances.denied => meanwhile(view, Reason::new(stop::DENIED, denied(view.seen))),
        true => stop::leave(view, id, &scaling.committed, Purpose::Replace),
    })
}

/// On the way from one voter to three: the member that joins right after this one. Both are started and synced before
/// the first of them votes. Two voters tolerate less than one, and a member takes seconds to start and to sync.
fn second(scaling: &ScalingView<'_>, joiner: ServerId) -> Option<ServerId> {
    let mut others = out(scaling).filter(|id| *id != joiner && !scaling.committed.contains(*id));
    others.next().filter(|_| scaling.committed.voters().count() == 1)
}

fn join(view: &View<'_>, scaling: &ScalingView<'_>, joiner: ServerId) -> Step {
    if view.seen.hindrances.denied {
        return meanwhile(view, Reason::new(stop::DENIED, denied(view.seen)));
    }
    let committed = &scaling.committed;
    let to = committed.with(joiner, view.seen.names.server(joiner));
    Step::Join { id: joiner, to, from: committed.clone(), via: view.to_ask(Some(joiner)) }
}

fn no_group(id: ServerId) -> Reason {
    let message = format!(
        "the membership counts votes by groups, and member {id} is in none: write its id into a group, and its weight, with `reconfig -file` as super, or leave groups and weights out of it"
    );
    Reason::new("NoGroup", message)
}

/// The membership cannot be changed now, but everything that does not depend on it continues. After a changed password,
/// or a setting that was taken back, those restarts let the super user in again.
fn meanwhile(view: &View<'_>, held: Reason) -> Step {
    // This needs a `reconfig` as well.
    let step = if view.seen.hindrances.denied { None } else { drain::hand_over(view) };
    step.or_else(|| rolling::roll(view)).unwrap_or(Step::Refuse(held))
}

fn not_ready_to_join(view: &View<'_>, joiner: ServerId) -> Option<String> {
    let member = view.member(joiner);
    if let Some(reason) = &member.unsynced {
        return Some(reason.clone());
    }
    let truth = member.report?;
    if truth.disk.identity.as_deref() != Some(view.origin().ok()?.identity.as_str()) {
        return Some("its volume belongs to another ensemble".to_owned());
    }
    match serving(truth)?.mode {
        Mode::Follower | Mode::Observer => None,
        Mode::Leader | Mode::Unknown => Some("it does not follow".to_owned()),
    }
}

/// Why one that somebody made an observer cannot be made a voter now. That takes the same change as any joiner needs, but it
/// acknowledges nothing before: where the voters alone would be no quorum with it, ZooKeeper refuses the change.
fn only_observes(view: &View<'_>, id: ServerId) -> Option<Reason> {
    let committed = view.committed().filter(|committed| committed.contains(id))?;
    let to = committed.with(id, view.seen.names.server(id));
    let enough = to.quorum(|id| committed.voters().any(|voter| voter == id));
    let message = format!(
        "member {id} (pod {}) only observes, and the voters are no quorum with it before it votes: take it out with `reconfig -remove {id}` as super, and it joins by itself",
        view.seen.names.pod(id.seat())
    );
    (!enough).then(|| Reason::new("OnlyObserves", message))
}

fn add_pod(view: &View<'_>, set: &SetFacts) -> Option<Step> {
    let id = ServerId(set.replicas + 1);
    // Its controller could not make a pod of a name that another has. A member's is raised all the same: those above it come.
    let new = view.committed().is_some_and(|committed| committed.highest(&view.seen.names) < id.0);
    if let Some(reason) = hindered::name_taken(view.seen, id).filter(|_| new) {
        return Some(meanwhile(view, reason));
    }
    Some(match usable_claim(view.seen, id, &view.origin().ok()?.identity) {
        Ok(()) => {
            let from = view.committed().cloned();
            let via = from.as_ref().map_or_else(Vec::new, |_| view.to_ask(None));
            let resize = Resize { from, ..resize(view, set, id, set.replicas + 1, via)? };
            match hindered::unraisable(view.seen, id, &resize.object) {
                Some(refused) => meanwhile(view, refused),
                None => Step::AddPod(resize),
            }
        }
        Err(obstacle) => obstacle.into(),
    })
}

/// The last pod, which belongs to no member. An ensemble does not stay at two voters: the next one leaves before that
/// pod is stopped.
pub fn lower_now(view: &View<'_>) -> Option<Step> {
    let scaling = view.scaling()?;
    let first = scaling.leaver.is_some() && scaling.committed.voters().count() == 2 && scaling.wanted == 1;
    remove_pod(view).filter(|step| !first && !matches!(step, Step::Wait(_)))
}

/// The last pod, or what it waits for. A pod that cannot be deleted holds up nobody.
pub fn remove_pod(view: &View<'_>) -> Option<Step> {
    last_pod(view).filter(|step| stays(view, step).is_none())
}

/// A pod that the API server refuses to delete.
pub fn kept(view: &View<'_>) -> Option<Step> {
    stays(view, &last_pod(view)?).map(Step::Refuse)
}

fn stays(view: &View<'_>, step: &Step) -> Option<Reason> {
    match step {
        Step::RemovePod(resize) => hindered::unresizable(view.seen, &resize.object),
        _ => None,
    }
}

/// Only the pod above the highest member goes, and the operator first reads the membership afresh through a quorum.
/// Nobody waits for a pod that does not run.
fn last_pod(view: &View<'_>) -> Option<Step> {
    let scaling = view.scaling().filter(|scaling| scaling.unneeded)?;
    let id = ServerId(scaling.set.replicas);
    let runs = !view.member(id).stopped();
    if let Some(blocker) = view.blocker().filter(|_| runs) {
        return Some(Step::Wait(blocker));
    }
    let via = view.to_ask(Some(id));
    Some(Step::RemovePod(resize(view, scaling.set, id, scaling.set.replicas - 1, via)?))
}

/// A member that is too many, or that blocks one that is wanted.
pub fn leave(view: &View<'_>) -> Option<Step> {
    let scaling = view.scaling()?;
    let (id, why) = scaling.leaver?;
    if let Some(step) = mute::before_few(view, id) {
        return Some(step);
    }
    Some(match departure::blocker(view, id) {
        Some(blocker) => Step::Wait(blocker),
        None if view.seen.hindrances.denied => meanwhile(view, Reason::new(stop::DENIED, denied(view.seen))),
        None => stop::leave(view, id, &scaling.committed, why),
    })
}

fn resize(view: &View<'_>, set: &SetFacts, id: ServerId, pods: u32, via: Vec<ServerId>) -> Option<Resize> {
    Some(Resize {
        id,
        object: stateful_set(&Blueprint { pods, ..view.object_changes()?.blueprint.clone() }),
        uid: set.uid.clone(),
        resource_version: set.resource_version.clone(),
        from: None,
        via,
    })
}
