//! What all rules look at, computed once: a row for each member, and what follows from all of them together.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::hindered::{self, Held};
use super::origin::{self, Origin};
use super::quorum_view::{self, QuorumView};
use super::step::{Obstacle, Purpose, Reason, Target, Tell, Write};
use super::{departure, due, objects, volume};
use crate::model::observed::{Asked, Kind};
use crate::model::{
    Charter, ClaimFacts, Desired, Fact, MemberTruth, Membership, Observation, PodFacts, Pool, ServerId, SetFacts,
};
use crate::render::{Blueprint, render};

/// One look at the ensemble, and what follows from it. The last three are worked out when they are first asked for.
#[derive(Debug)]
pub struct View<'a> {
    /// What was seen.
    pub seen: &'a Observation,
    /// Who leads, and which membership is committed.
    pub quorum: QuorumView,
    /// What is wanted; nothing while the spec is invalid.
    pub desired: Option<&'a Desired>,
    /// What the update policy waits for.
    pub closed: Option<Reason>,
    rows: BTreeMap<ServerId, Row<'a>>,
    nobody: Row<'a>,
    origin: OnceCell<Result<Origin, Obstacle>>,
    draft: OnceCell<Option<Draft<'a>>>,
    course: OnceCell<Option<Course<'a>>>,
}

/// One member: what was seen of it, and what follows from that.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its pod.
    pub pod: Option<&'a PodFacts>,
    /// Its volume claim.
    pub claim: Option<&'a ClaimFacts>,
    /// What its agent says, if it says anything.
    pub report: Option<&'a MemberTruth>,
    /// Why it is not synced with the leader; `None` when it is.
    pub unsynced: Option<String>,
    /// Why it has not taken part in the committed membership yet; `None` when it has.
    pub unconfirmed: Option<String>,
    /// Why its pod has to be made anew; `None` when it is as it should be, or that is not known.
    pub due: Option<String>,
    /// Why it is restarted now although it serves: it is due, and the policy does not hold it.
    pub turn: Option<String>,
    /// Whether the API server refuses to delete its pod.
    pub pinned: bool,
    /// Why its volume goes with its pod, although it is one that stays; `None` where it stays, or never was to.
    pub passing: Option<String>,
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
    pub committed: Membership,
    /// How many voters are wanted.
    pub wanted: u32,
    /// Who leaves next, and for what.
    pub leaver: Option<(ServerId, Purpose)>,
    /// Whether the last pod is no member's any more.
    pub unneeded: bool,
}

/// An id that no member has.
const NOBODY: ServerId = ServerId(u32::MAX);

impl<'a> View<'a> {
    /// Reads who leads, and fills in a row for each member that has anything, votes, or is wanted.
    pub fn of(seen: &'a Observation) -> Self {
        let (quorum, desired) = (QuorumView::of(seen), seen.desired.as_ref().ok());
        let closed = desired.and_then(|desired| due::closed(seen, desired));
        let mut ids: BTreeSet<ServerId> = seen.manned().into_iter().map(ServerId::from).collect();
        ids.extend(seen.claims.keys().map(|seat| ServerId::from(*seat)).chain(seen.members.keys().copied()));
        ids.extend(quorum.committed.iter().flat_map(|committed| committed.servers.keys().copied()));
        ids.extend((1..=desired.map_or(0, |desired| desired.replicas)).map(ServerId));
        let rows = ids.into_iter().map(|id| (id, Row::of(seen, &quorum, closed.as_ref(), id))).collect();
        let nobody = Row::of(seen, &quorum, closed.as_ref(), NOBODY);
        let (origin, draft, course) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { seen, quorum, desired, closed, rows, nobody, origin, draft, course }
    }

    /// What is known of a member.
    pub fn row(&self, id: ServerId) -> &Row<'a> {
        self.rows.get(&id).unwrap_or(&self.nobody)
    }

    /// Members that have a pod.
    pub fn pods(&self) -> impl Iterator<Item = (ServerId, &Row<'a>, &'a PodFacts)> {
        self.rows.iter().filter_map(|(id, row)| Some((*id, row, row.pod?)))
    }

    /// The membership that the leader has committed.
    pub fn committed(&self) -> Option<&Membership> {
        self.quorum.committed.as_ref()
    }

    /// The ids of those that vote in it.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> {
        self.committed().into_iter().flat_map(Membership::voters)
    }

    /// Those of them that are synced with the leader.
    pub fn synced_voters(&self) -> impl Iterator<Item = ServerId> {
        self.voters().filter(|id| self.row(*id).synced())
    }

    /// Born, or to be born; or what keeps that from being told.
    pub fn origin(&self) -> Result<&Origin, &Obstacle> {
        self.origin.get_or_init(|| origin::origin(self)).as_ref()
    }

    /// What the objects should be; nothing while the spec is invalid or the origin not known.
    pub fn draft(&self) -> Option<&Draft<'a>> {
        self.draft.get_or_init(|| Some(draft(self, self.desired?, self.origin().ok()?))).as_ref()
    }

    /// Where the membership goes; nothing before there is one.
    pub fn course(&self) -> Option<&Course<'a>> {
        self.course.get_or_init(|| course(self)).as_ref()
    }

    /// Writes and deletes that are passed over.
    pub fn held(&self) -> Vec<Held> {
        let Some(draft) = self.draft() else { return hindered::undeleted(self.seen).collect() };
        let mut all = draft.held.clone();
        if let Some(Err(news)) = &draft.news {
            all.extend(news.iter().filter(|held| !draft.held.contains(held)).cloned());
        }
        all
    }
}

impl<'a> Row<'a> {
    fn of(seen: &'a Observation, quorum: &QuorumView, closed: Option<&Reason>, id: ServerId) -> Self {
        let pod = seen.pods.get(&id.seat());
        let unsynced = quorum_view::unsynced(seen, quorum.epoch, id);
        let row = Self {
            pod,
            claim: seen.claims.get(&id.seat()),
            report: seen.members.get(&id).and_then(Fact::known),
            unconfirmed: unsynced.clone().or_else(|| quorum_view::behind(seen, quorum, id)),
            unsynced,
            due: due::due(seen, id),
            turn: None,
            pinned: pod.is_some_and(|pod| hindered::stays(seen, &Target::pod(pod))),
            passing: seen.desired.as_ref().ok().and_then(|desired| volume::passing(seen, desired, id)),
        };
        // Who asks for the restart of one member does not approve of the others'.
        let turn = row.due.clone().filter(|_| row.asked(Asked::Restart) || closed.is_none());
        Self { turn, ..row }
    }

    /// Whether it is synced with the leader.
    pub fn synced(&self) -> bool {
        self.unsynced.is_none()
    }

    /// Whether somebody asked for this by an annotation on its pod.
    pub fn asked(&self, what: Asked) -> bool {
        self.pod.is_some_and(|pod| pod.asked == Some(what))
    }

    /// Whether its container does not run, in its kubelet's words.
    pub fn stopped(&self) -> bool {
        self.pod.is_some_and(|pod| pod.running == Some(false))
    }
}

fn draft<'a>(view: &View<'a>, desired: &'a Desired, origin: &Origin) -> Draft<'a> {
    let seen = view.seen;
    let charter = origin.charter(view);
    let told = origin::told(seen, &charter).unwrap_or_else(|| charter.clone());
    let mut blueprint = Blueprint {
        names: &seen.names,
        uid: &seen.uid,
        desired,
        requests: &seen.requests,
        environment: &seen.environment,
        voters: charter.voters(),
        passing: volume::any_passing(view),
        charter: told.clone(),
        pods: origin::founding_pods(seen, origin)
            .unwrap_or_else(|| seen.set(Pool::Voters).map_or(origin.first_pods, |set| set.replicas)),
        span: if seen.set(Pool::Voters).is_some() { seen.span() } else { seen.span().max(origin.first_pods) },
        old_claims: objects::old_claims(seen),
    };
    let (writes, held) = hindered::part(seen, objects::differing(seen, &render(&blueprint), &blueprint));
    let mut news = None;
    if told != charter && !seen.hindrances.denied {
        blueprint.charter = charter;
        news = tell(view, &blueprint).map(|tell| {
            let (made, held) = hindered::part(seen, vec![tell.write.clone()]);
            if made.is_empty() { Err(held) } else { Ok(tell) }
        });
    }
    Draft { blueprint, told, writes, held, news }
}

/// The charter's membership changes last, and behind a fresh quorum read.
fn tell(view: &View<'_>, blueprint: &Blueprint<'_>) -> Option<Tell> {
    let mut differing = objects::differing(view.seen, &render(blueprint), blueprint).into_iter();
    let write = differing.find(|write| write.object().key.kind == Kind::ConfigMap)?;
    let version = view.committed()?.version;
    Some(Tell { write, version, via: view.to_ask(None) })
}

fn course<'a>(view: &View<'a>) -> Option<Course<'a>> {
    let (set, committed, wanted) = (view.seen.set(Pool::Voters)?, view.committed()?, view.desired?.replicas);
    let leaver = departure::next(view, committed, wanted);
    let unneeded = set.replicas > committed.highest(&view.seen.names).max(wanted);
    Some(Course { set, committed: committed.clone(), wanted, leaver, unneeded })
}
