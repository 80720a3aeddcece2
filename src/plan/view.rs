//! What all rules look at, computed once.

use super::hindered::{self, Held};
use super::objects;
use super::origin::{self, Origin};
use super::standing::Standing;
use super::step::{Obstacle, Purpose, Tell, Write};
use super::{departure, volume};
use crate::model::observed::Kind;
use crate::model::{Charter, Desired, Membership, Observation, ServerId, SetFacts};
use crate::render::{Blueprint, render};

/// One look at the ensemble, and what follows from it.
#[derive(Debug)]
pub struct View<'a> {
    /// What was seen.
    pub seen: &'a Observation,
    /// Who leads, and which membership is committed.
    pub standing: &'a Standing,
    /// What is wanted; nothing while the spec is invalid.
    pub desired: Option<&'a Desired>,
    /// Born, or to be born; or what keeps that from being told.
    pub origin: Result<&'a Origin, &'a Obstacle>,
    /// What the objects should be; nothing while one of the two above is missing.
    pub draft: Option<Draft<'a>>,
    /// Where the membership goes; nothing before there is one.
    pub course: Option<Course<'a>>,
}

/// What the objects should be.
#[derive(Debug)]
pub struct Draft<'a> {
    /// All of it, with the charter that members are to be told.
    pub blueprint: Blueprint<'a>,
    /// The charter without what a quorum has to confirm first.
    pub told: Charter,
    /// What is to be written, apart from that.
    pub writes: Vec<Write>,
    /// What of it is passed over.
    pub held: Vec<Held>,
    /// The new membership for the charter; or what keeps it from being written.
    pub news: Option<Result<Tell, Vec<Held>>>,
}

/// Where the membership goes.
#[derive(Debug)]
pub struct Course<'a> {
    /// The set of the members' pods.
    pub set: &'a SetFacts,
    /// The membership that the leader has committed.
    pub committed: &'a Membership,
    /// How many voters are wanted.
    pub wanted: u32,
    /// Who leaves next, and for what.
    pub leaver: Option<(ServerId, Purpose)>,
    /// Whether the last pod is no member's any more.
    pub unneeded: bool,
}

impl<'a> View<'a> {
    /// All that follows from what was seen.
    pub fn of(seen: &'a Observation, standing: &'a Standing, origin: Result<&'a Origin, &'a Obstacle>) -> Self {
        let desired = seen.desired.as_ref().ok();
        let draft = desired.zip(origin.ok()).map(|(desired, origin)| draft(seen, standing, desired, origin));
        let course = desired.and_then(|desired| course(seen, standing, desired));
        Self { seen, standing, desired, origin, draft, course }
    }

    /// Writes and deletes that are passed over.
    pub fn held(&self) -> Vec<Held> {
        let Some(draft) = &self.draft else { return hindered::undeleted(self.seen).collect() };
        let mut all = draft.held.clone();
        if let Some(Err(news)) = &draft.news {
            all.extend(news.iter().filter(|held| !draft.held.contains(held)).cloned());
        }
        all
    }
}

fn draft<'a>(seen: &'a Observation, standing: &Standing, desired: &'a Desired, origin: &Origin) -> Draft<'a> {
    let charter = origin.charter(seen, standing);
    let told = origin::told(seen, &charter).unwrap_or_else(|| charter.clone());
    let mut blueprint = Blueprint {
        names: &seen.names,
        uid: &seen.uid,
        desired,
        requests: &seen.requests,
        environment: &seen.environment,
        voters: charter.voters(),
        passing: volume::any_passing(seen, desired),
        charter: told.clone(),
        pods: origin::founding_pods(seen, origin)
            .unwrap_or_else(|| seen.set.as_ref().map_or(origin.first_pods, |set| set.replicas)),
        span: if seen.set.is_some() { seen.span() } else { seen.span().max(origin.first_pods) },
        old_claims: objects::old_claims(seen),
    };
    let (writes, held) = hindered::part(seen, objects::differing(seen, &render(&blueprint), &blueprint));
    let mut news = None;
    if told != charter && !seen.hindrances.denied {
        blueprint.charter = charter;
        news = tell(seen, standing, &blueprint).map(|tell| {
            let (made, held) = hindered::part(seen, vec![tell.write.clone()]);
            if made.is_empty() { Err(held) } else { Ok(tell) }
        });
    }
    Draft { blueprint, told, writes, held, news }
}

/// The charter's membership changes last, and behind a fresh quorum read.
fn tell(seen: &Observation, standing: &Standing, blueprint: &Blueprint<'_>) -> Option<Tell> {
    let mut differing = objects::differing(seen, &render(blueprint), blueprint).into_iter();
    let write = differing.find(|write| write.object().key.kind == Kind::ConfigMap)?;
    let version = standing.committed.as_ref()?.version;
    Some(Tell { write, version, via: standing.to_ask(seen, None) })
}

fn course<'a>(seen: &'a Observation, standing: &'a Standing, desired: &Desired) -> Option<Course<'a>> {
    let (set, committed, wanted) = (seen.set.as_ref()?, standing.committed.as_ref()?, desired.replicas);
    let leaver = departure::next(seen, standing, committed, wanted);
    let unneeded = set.replicas > committed.highest(&seen.names).max(wanted);
    Some(Course { set, committed, wanted, leaver, unneeded })
}
