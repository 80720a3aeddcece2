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
use super::standing::{Standing, serving};
use super::{Reason, Resize, Step, denied, departure, drain, hindered, mute, objects, replace, rolling, strangers};
use crate::model::truth::Mode;
use crate::model::{Fact, Observation, ServerId, SetFacts};
use crate::render::{Blueprint, stateful_set};

/// The next step towards the wanted number of voters. One that has to wait says which way it was going.
pub fn next(seen: &Observation, standing: &Standing, blueprint: &Blueprint<'_>) -> Step {
    let wanted = blueprint.desired.replicas;
    let membership = standing.committed.clone().or_else(|| seen.noted_membership());
    let voters = membership.map(|membership| u32::try_from(membership.voters().count()).unwrap_or(u32::MAX));
    let step = match step(seen, standing, blueprint) {
        Step::Wait(reason) => {
            let Reason { code, message } = rolling::failed(seen, standing).unwrap_or(reason);
            let way_out = departure::way_out(seen, standing, wanted).map(|out| format!("; {out}"));
            Step::Wait(Reason::new(code, format!("{message}{}", way_out.unwrap_or_default())))
        }
        step => step,
    };
    match (step, voters) {
        (Step::Wait(reason), Some(voters)) if voters != wanted => {
            Step::Wait(Reason::new(reason.code, format!("going from {voters} to {wanted} voters: {}", reason.message)))
        }
        (step, _) => step,
    }
}

fn step(seen: &Observation, standing: &Standing, blueprint: &Blueprint<'_>) -> Step {
    let Some(set) = &seen.set else {
        return Step::Wait(Reason::new("Applying", "waiting for the StatefulSet to appear"));
    };
    let context = Context { seen, standing, blueprint, set };
    let Some(committed) = &standing.committed else {
        return context.without_quorum();
    };
    let wanted = blueprint.desired.replicas;
    if let Some(stranger) = strangers::in_the_way(seen, committed, wanted) {
        return Step::Refuse(stranger);
    }
    if set.replicas < committed.highest(&seen.names) {
        return context.raise();
    }
    if let Some(step) = drain::relieve(seen, standing) {
        return step;
    }
    // A change of the membership would be refused again; a restart asks nobody's leave.
    if seen.hindrances.denied
        && let Some(step @ Step::Restart(_)) = rolling::roll(seen, standing, blueprint.desired)
    {
        return step;
    }
    if let Some(step) = replace::next(seen, standing, blueprint.desired) {
        return step;
    }
    let voters: Vec<ServerId> = committed.voters().collect();
    let leaver = departure::next(seen, standing, committed, wanted);
    let unneeded = set.replicas > committed.highest(&seen.names).max(wanted);
    if let Some(joiner) = (1..=wanted).map(ServerId).find(|id| !voters.contains(id)) {
        // One that no node is found for may wait for the node of one that goes; one whose volume is lost has none before that is
        // given up, whoever goes.
        let lacks = replace::renew(seen, standing, blueprint.desired, joiner).is_some();
        let waits = departure::unplaced(seen, joiner) && !lacks && (leaver.is_some() || unneeded);
        // One that does not serve holds up whoever joins.
        let held_up = leaver.is_some_and(|(id, _)| {
            departure::gone(seen, standing, id) && departure::blocker(seen, standing, id).is_none()
        });
        if !waits && !held_up {
            return context.grow(joiner);
        }
    }
    let lower = unneeded.then(|| context.lower());
    // A pod that may not go holds up nobody.
    let kept = match &lower {
        Some(Step::Lower(resize)) => hindered::unresizable(seen, &resize.object),
        _ => None,
    };
    let lower = lower.filter(|_| kept.is_none());
    // Two voters are passed by at once: the next leaves before the pod of the last one is stopped.
    let first = leaver.is_some() && voters.len() == 2 && wanted == 1;
    if let Some(step) = lower.as_ref().filter(|step| !first && !matches!(step, Step::Wait(_))) {
        return step.clone();
    }
    if let Some((id, why)) = leaver {
        if let Some(step) = mute::before_few(seen, standing, blueprint.desired, id) {
            return step;
        }
        return match departure::blocker(seen, standing, id) {
            Some(blocker) => Step::Wait(blocker),
            None if seen.hindrances.denied => context.meanwhile(Reason::new(rolling::DENIED, denied(seen))),
            None => rolling::leave(seen, standing, id, committed.version, why),
        };
    }
    if let Some(step) = lower {
        return step;
    }
    let unused = objects::unused(seen, blueprint);
    if !unused.is_empty() {
        return Step::Delete(unused);
    }
    if set.update_revision.is_none() {
        return Step::Wait(Reason::new("Applying", "waiting for the StatefulSet's controller to take the change in"));
    }
    if let Some(step) = drain::hand_over(seen, standing) {
        return step;
    }
    if let Some(step) = rolling::roll(seen, standing, blueprint.desired) {
        return step;
    }
    let wait = standing.blocker(seen).map(Step::Wait);
    wait.or(kept.map(Step::Refuse)).unwrap_or(Step::Rest)
}

struct Context<'a> {
    seen: &'a Observation,
    standing: &'a Standing,
    blueprint: &'a Blueprint<'a>,
    set: &'a SetFacts,
}

impl Context<'_> {
    /// Nothing that takes anything away, but members whose pods are missing get them back.
    fn without_quorum(&self) -> Step {
        let recorded = self.seen.noted_membership().map_or(0, |membership| membership.highest(&self.seen.names));
        if self.set.replicas < recorded {
            return self.raise();
        }
        if self.nobody_has_data() {
            return Step::Refuse(Reason::new(
                "NoData",
                "no member's volume holds a database, and this ensemble was born before: bring its volumes back, or delete the ensemble and its claims to begin anew",
            ));
        }
        Step::Wait(self.standing.no_quorum(self.seen))
    }

    /// Every pod has answered, and none has anything. One that is silent may have all of it.
    fn nobody_has_data(&self) -> bool {
        let pods = (0..self.set.replicas).map(|ordinal| ServerId(ordinal + 1));
        let empty = |id| self.seen.members.get(&id).and_then(Fact::known).is_some_and(|truth| !truth.disk.database);
        self.set.replicas > 0 && pods.into_iter().all(empty)
    }

    fn grow(&self, joiner: ServerId) -> Step {
        if let Some(blocker) = self.standing.blocker(self.seen) {
            return Step::Wait(blocker);
        }
        let second = self.second(joiner);
        if self.set.replicas < second.unwrap_or(joiner).0 {
            return self.raise();
        }
        // What one of them lacks is mended, whoever of them the other waits for (found by the simulation).
        let joiners = || [Some(joiner), second].into_iter().flatten();
        let renew = |id| replace::renew(self.seen, self.standing, self.blueprint.desired, id);
        if let Some(step) = joiners().find_map(renew) {
            return step;
        }
        let waits_for = joiners().find_map(|id| Some((id, self.not_ready_to_join(id)?)));
        // Of two voters neither may be lost: the third comes back first, and is restarted in its place.
        let at_stake = self.voters() == 2 && self.blueprint.desired.replicas > 2;
        if at_stake && waits_for.is_none() {
            return self.join(joiner);
        }
        // It has no vote: this takes nothing from anybody but its own clients, for whose sake it waits for the policy as a
        // member does. A leader that gave up its seat comes by here.
        let restart = |id: ServerId| {
            let pod = self.seen.pods.get(&id.ordinal()).filter(|pod| !pod.terminating)?;
            let why = rolling::turn(self.seen, self.blueprint.desired, id)?;
            if hindered::pinned(self.seen, id) {
                return None;
            }
            let from = self.standing.committed.as_ref()?.version;
            Some(rolling::restart(self.seen, self.standing, id, pod, Some(from), why))
        };
        if let Some(step) = joiners().find_map(restart) {
            return step;
        }
        if let Some((id, reason)) = waits_for {
            let pod = self.seen.names.pod(id.ordinal());
            return Step::Wait(Reason::new(
                "Joining",
                format!("waiting for member {id} (pod {pod}) to sync: {reason}"),
            ));
        }
        self.join(joiner)
    }

    /// On the way from one voter to three, the one that joins right after this one: both are started and synced before the first
    /// votes. Two that vote tolerate less than one does, and a member takes seconds to start and to sync.
    fn second(&self, joiner: ServerId) -> Option<ServerId> {
        let (wanted, committed) = (self.blueprint.desired.replicas, self.standing.committed.as_ref()?);
        let mut others = (joiner.0 + 1..=wanted).map(ServerId).filter(|id| !committed.contains(*id));
        others.next().filter(|_| self.voters() == 1)
    }

    fn voters(&self) -> usize {
        self.standing.committed.as_ref().map_or(0, |committed| committed.voters().count())
    }

    fn join(&self, joiner: ServerId) -> Step {
        let Some(committed) = &self.standing.committed else {
            return Step::Wait(self.standing.no_quorum(self.seen));
        };
        if self.seen.hindrances.denied {
            return self.meanwhile(Reason::new(rolling::DENIED, denied(self.seen)));
        }
        Step::Join {
            id: joiner,
            server: self.seen.names.server(joiner),
            from: committed.version,
            via: self.standing.endpoints(self.seen, Some(joiner)),
        }
    }

    /// The membership cannot be changed, and what does not depend on that goes on: after a changed password or a setting that was
    /// taken back, the restarts are what lets the super user in again.
    fn meanwhile(&self, held: Reason) -> Step {
        // That takes a `reconfig` as well.
        let step = if self.seen.hindrances.denied { None } else { drain::hand_over(self.seen, self.standing) };
        step.or_else(|| rolling::roll(self.seen, self.standing, self.blueprint.desired)).unwrap_or(Step::Refuse(held))
    }

    fn not_ready_to_join(&self, joiner: ServerId) -> Option<String> {
        if let Some(reason) = self.standing.unsynced(self.seen, joiner) {
            return Some(reason);
        }
        let truth = self.seen.members.get(&joiner).and_then(Fact::known)?;
        if truth.disk.identity.as_deref() != Some(self.blueprint.charter.identity.as_str()) {
            return Some("its volume belongs to another ensemble".to_owned());
        }
        (serving(truth)?.mode != Mode::Follower).then(|| "it does not follow".to_owned())
    }

    fn raise(&self) -> Step {
        let id = ServerId(self.set.replicas + 1);
        match usable_claim(self.seen, id, &self.blueprint.charter.identity) {
            Ok(()) => {
                let resize = self.resize(id, self.set.replicas + 1, Vec::new());
                match hindered::unraisable(self.seen, id, &resize.object) {
                    Some(refused) => self.meanwhile(refused),
                    None => Step::Raise(resize),
                }
            }
            Err(obstacle) => obstacle.into(),
        }
    }

    /// Only the pod beyond the highest member goes, and `act` reads the membership afresh through a quorum before. Nobody
    /// waits for one that does not run.
    fn lower(&self) -> Step {
        let id = ServerId(self.set.replicas);
        let runs = self.seen.pods.get(&id.ordinal()).is_none_or(|pod| pod.running != Some(false));
        if let Some(blocker) = self.standing.blocker(self.seen).filter(|_| runs) {
            return Step::Wait(blocker);
        }
        Step::Lower(self.resize(id, self.set.replicas - 1, self.standing.endpoints(self.seen, Some(id))))
    }

    fn resize(&self, id: ServerId, pods: u32, via: Vec<String>) -> Resize {
        Resize {
            id,
            object: stateful_set(&Blueprint { pods, ..self.blueprint.clone() }),
            uid: self.set.uid.clone(),
            resource_version: self.set.resource_version.clone(),
            via,
        }
    }
}
