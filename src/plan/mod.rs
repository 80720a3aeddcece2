//! Decides. From one observation comes exactly one step; all safety rules live here and nowhere else.
//!
//! Invariants:
//! - pure: no clock, no I/O, no async, no randomness;
//! - at most one membership change a step, fenced by the version that it was decided on;
//! - what is unknown only ever leads to waiting, never to removing, deleting or restarting.

mod deed;
mod departure;
mod drain;
mod guard;
mod heal;
mod hindered;
mod membership;
mod mute;
mod objects;
mod origin;
mod password;
mod replace;
mod rolling;
mod service;
mod standing;
mod status;
mod strangers;
mod version;
mod volume;
mod warning;

use crate::api::EnsembleStatus;
use crate::model::observed::{Kind, ObjectKey};
use crate::model::{ClaimFacts, ConfigVersion, Membership, Observation, PodFacts, Server, ServerId};
use crate::render::{Blueprint, Rendered, render};

pub use deed::{Deed, Expected};
pub use guard::Guard;
pub use hindered::{Held, came_out_otherwise, refusal};
pub use objects::places;
pub use password::lacking as no_password;
pub use rolling::DENIED;
pub use standing::Standing;
pub use status::{GUARDING, Truth, Verdict, denied, refused};

/// The one thing to do next, with everything that doing it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Bring objects to what they should be. Safe at any time, and in this order.
    Apply(Vec<Write>),
    /// Tell members the membership that they are to start from, once a quorum has confirmed it.
    Tell(Tell),
    /// Delete what nobody uses any more.
    Delete(Vec<Target>),
    /// Give the `StatefulSet` one pod more.
    Raise(Resize),
    /// Take from the `StatefulSet` its last pod, which is no member any more.
    Lower(Resize),
    /// Add a synced learner to the membership.
    Join {
        /// Who joins.
        id: ServerId,
        /// As what.
        server: Server,
        /// The version that this was decided on.
        from: ConfigVersion,
        /// Members to ask, by the addresses of their pods.
        via: Vec<String>,
    },
    /// Take a member out of the membership.
    Leave {
        /// Who leaves.
        id: ServerId,
        /// The version that this was decided on.
        from: ConfigVersion,
        /// Members to ask, by the addresses of their pods; never the one that leaves.
        via: Vec<String>,
        /// What for.
        why: Purpose,
    },
    /// Delete a member's pod, so that it is made anew.
    Restart(Restart),
    /// Delete the claim and the pod of a member that is in no membership, so that it comes back empty.
    Renew(Renew),
    /// Take rights away that everybody has from birth.
    Guard(Guard),
    /// Nothing can be done before something else happens.
    Wait(Reason),
    /// Nothing will be done until somebody changes something.
    Refuse(Reason),
    /// Everything is as it is wanted.
    Rest,
}

impl Step {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Tell(_) => "tell",
            Self::Delete(_) => "delete",
            Self::Raise(_) => "raise",
            Self::Lower(_) => "lower",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Renew(_) => "renew",
            Self::Restart(_) => "restart",
            Self::Guard(_) => "guard",
            Self::Wait(_) => "wait",
            Self::Refuse(_) => "refuse",
            Self::Rest => "rest",
        }
    }
}

/// An object to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply. With the uid of the object that was seen, if there was one.
    Apply {
        /// What it should be.
        object: Rendered,
        /// Uid of the object that is replaced; `None` when there was none.
        uid: Option<String>,
    },
    /// Create the Secret with a fresh password. Its content is never rendered, so that it is never replaced.
    CreateSuperSecret(Rendered),
}

impl Write {
    /// What is written.
    pub fn object(&self) -> &Rendered {
        match self {
            Self::Apply { object, .. } | Self::CreateSuperSecret(object) => object,
        }
    }
}

/// The charter with another membership than members have been told.
#[derive(Clone, Debug, PartialEq)]
pub struct Tell {
    /// The `ConfigMap`.
    pub write: Write,
    /// The version of the membership that it says.
    pub version: ConfigVersion,
    /// Members to ask for a fresh quorum read, by the addresses of their pods.
    pub via: Vec<String>,
}

/// An object to delete, if it still is the one that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

impl Target {
    fn pod(pod: &PodFacts) -> Self {
        let key = ObjectKey { kind: Kind::Pod, name: pod.name.clone() };
        Self { key, uid: pod.uid.clone(), resource_version: pod.resource_version.clone() }
    }

    fn claim(claim: &ClaimFacts) -> Self {
        let key = ObjectKey { kind: Kind::PersistentVolumeClaim, name: claim.name.clone() };
        Self { key, uid: claim.uid.clone(), resource_version: claim.resource_version.clone() }
    }
}

/// A change of the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// The member whose pod comes or goes.
    pub id: ServerId,
    /// The `StatefulSet` as it should be.
    pub object: Rendered,
    /// Its uid.
    pub uid: String,
    /// Its version, on which this was decided.
    pub resource_version: String,
    /// Members to ask for a fresh quorum read, by the addresses of their pods.
    pub via: Vec<String>,
}

/// What a member leaves the membership for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For good: there are more members than wanted.
    Shrink,
    /// To give up leadership before it is stopped; it comes back.
    HandOver,
    /// To be given a new volume; it comes back.
    Replace,
    /// Kubernetes has no node for it, and those that are to go wait for it; it comes back once it has one.
    Unplaced,
    /// To be restarted where the others would be no majority of a membership with it; it comes back.
    Restart,
}

/// A volume to give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// The member; it is in no membership.
    pub id: ServerId,
    /// Its claim, as it was seen.
    pub claim: Target,
    /// Its pod, as it was seen: a claim goes only after its pod.
    pub pod: Option<Target>,
    /// The membership's version on which this was decided.
    pub from: ConfigVersion,
    /// Members to ask for a fresh quorum read, by the addresses of their pods.
    pub via: Vec<String>,
    /// Why.
    pub why: String,
}

/// A pod to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The member.
    pub id: ServerId,
    /// Its pod, as it was seen.
    pub pod: Target,
    /// The membership's version on which this was decided; `None` where nothing is committed, and nobody serves.
    pub from: Option<ConfigVersion>,
    /// Members to ask for a fresh quorum read, by the addresses of their pods.
    pub via: Vec<String>,
    /// Why.
    pub why: String,
}

/// What keeps an ensemble from being started or from growing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    Wait(Reason),
    Refuse(Reason),
}

impl From<Obstacle> for Step {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Wait(reason) => Self::Wait(reason),
            Obstacle::Refuse(reason) => Self::Refuse(reason),
        }
    }
}

/// Why nothing is done: a word for machines and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// One CamelCase word, for conditions and Events.
    pub code: &'static str,
    /// What is waited for, or what would have to change.
    pub message: String,
}

impl Reason {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What to do, and what to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The step.
    pub step: Step,
    /// The status, without conditions.
    pub status: EnsembleStatus,
    /// The conditions, without times.
    pub conditions: Vec<Verdict>,
}

impl Plan {
    /// The step was carried out: what the status may say of it that no look at the world would tell.
    pub fn carried_out(&mut self) {
        if let Step::Guard(guard) = &self.step {
            self.status.guarded = Some(guard.mark.clone());
        }
    }
}

/// Decides on one step and describes the state that it starts from.
pub fn plan(seen: &Observation) -> Plan {
    let standing = Standing::of(seen);
    let origin = origin::origin(seen, &standing);
    let mut aside = Aside::default();
    let step = decide(seen, &standing, origin.as_ref(), &mut aside).or_nobody(&seen.names);
    let status = status::status(seen, &standing, origin.as_ref().ok());
    let conditions = status::conditions(seen, &standing, &step, &aside);
    Plan { step, status, conditions }
}

/// What is said beside the step.
#[derive(Default)]
struct Aside {
    /// Writes and deletes that are passed over on the way to it.
    held: Vec<Held>,
    /// Why rights could not be taken away.
    unguarded: Option<Reason>,
    /// What there would be to do, if they were not taken away now.
    otherwise: Option<Step>,
}

/// The step, and what is to be said beside it.
fn decide(
    seen: &Observation,
    standing: &Standing,
    origin: Result<&origin::Origin, &Obstacle>,
    aside: &mut Aside,
) -> Step {
    let desired = match &seen.desired {
        Ok(desired) => desired,
        Err(invalid) => return Step::Refuse(Reason::new("InvalidSpec", invalid.to_string())),
    };
    if let Some(collision) = objects::collision(seen) {
        return collision;
    }
    let (stuck, empty): (Vec<Target>, Vec<Target>) =
        origin::empty_claims(seen).into_iter().partition(|claim| hindered::stays(seen, claim));
    if !empty.is_empty() {
        return Step::Delete(empty);
    }
    if let Some(reason) = hindered::in_the_way(seen, &stuck) {
        aside.held = hindered::undeleted(seen).collect();
        return Step::Refuse(reason);
    }
    let origin = match origin {
        Ok(origin) => origin,
        Err(obstacle) => return obstacle.clone().into(),
    };
    if let Some(refusal) = version::refusal(seen, desired, origin) {
        return Step::Refuse(refusal);
    }
    let charter = origin.charter(seen, standing);
    let told = origin::told(seen, &charter);
    let mut blueprint = Blueprint {
        names: &seen.names,
        uid: &seen.uid,
        desired,
        requests: &seen.requests,
        environment: &seen.environment,
        voters: charter.voters(),
        passing: volume::any_passing(seen, desired),
        charter: told.unwrap_or_else(|| charter.clone()),
        pods: origin::founding_pods(seen, origin)
            .unwrap_or_else(|| seen.set.as_ref().map_or(origin.first_pods, |set| set.replicas)),
        span: if seen.set.is_some() { seen.span() } else { seen.span().max(origin.first_pods) },
        old_claims: objects::old_claims(seen),
    };
    let (writes, passed_over) = hindered::part(seen, objects::differing(seen, &render(&blueprint), &blueprint));
    aside.held = passed_over;
    if !writes.is_empty() {
        return Step::Apply(writes);
    }
    let untold = hindered::untold(seen, &aside.held, &blueprint.charter);
    if (untold.is_none() || hindered::may_start(seen, &blueprint.charter))
        && let Some(healing) = heal::heal(seen, standing, desired, origin.birth)
    {
        return healing;
    }
    if let Some(lacking) = untold.or_else(|| hindered::unfounded(seen, &aside.held)) {
        return Step::Refuse(lacking);
    }
    if let Some(foreign) = strangers::leads_elsewhere(seen, standing) {
        return Step::Refuse(foreign);
    }
    if let Some(step) = mute::alone(seen, standing, desired) {
        return step;
    }
    if blueprint.charter != charter && !seen.hindrances.denied {
        blueprint.charter = charter;
        if let Some(tell) = tell(seen, standing, &blueprint) {
            let (made, passed_over) = hindered::part(seen, vec![tell.write.clone()]);
            if !made.is_empty() {
                return Step::Tell(tell);
            }
            aside.held = passed_over;
            if let Some(lacking) = hindered::untold(seen, &aside.held, &blueprint.charter) {
                return Step::Refuse(lacking);
            }
        }
    }
    if origin.birth {
        return Step::Wait(origin::founding(seen, standing, origin));
    }
    let step = membership::next(seen, standing, &blueprint);
    aside.unguarded = guard::refused(seen, desired, &origin.identity);
    let step = match (step, hindered::lacking(&aside.held).or_else(|| aside.unguarded.clone())) {
        (Step::Rest, Some(lacking)) => Step::Refuse(lacking),
        (step, _) => password::instead(step, seen),
    };
    match guard::instead(&step, seen, standing, desired, &origin.identity) {
        Some(guard) => {
            aside.otherwise = Some(step);
            Step::Guard(guard)
        }
        None => step,
    }
}

/// The charter's membership changes last, and behind a fresh quorum read.
fn tell(seen: &Observation, standing: &Standing, blueprint: &Blueprint<'_>) -> Option<Tell> {
    let mut differing = objects::differing(seen, &render(blueprint), blueprint).into_iter();
    let write = differing.find(|write| write.object().key.kind == Kind::ConfigMap)?;
    let version = standing.committed.as_ref()?.version;
    Some(Tell { write, version, via: standing.endpoints(seen, None) })
}

/// The membership that counts: the leader's, else the last that was noted.
///
/// A note that is newer than what the leader has may mean a leader that was cut off, or a note that somebody changed.
/// Once every voter agrees with the leader there is no doubt left, and a false note goes: left in the charter, it would
/// make a restarted member the leader of a list of its own.
fn confirmed(seen: &Observation, standing: &Standing) -> Option<Membership> {
    let noted = seen.noted_membership();
    match (&standing.committed, noted) {
        (Some(committed), Some(noted)) if noted.version > committed.version && standing.blocker(seen).is_some() => {
            Some(noted)
        }
        (Some(committed), _) => Some(committed.clone()),
        (None, noted) => noted,
    }
}
