//! What all rules look at, computed once: one view for each member, and what follows from all of them together.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::hindered::{self, Held};
use super::origin::{self, Origin};
use super::quorum_view::{self, QuorumView};
use super::step::{Obstacle, Purpose, Reason, Target, Tell, Write};
use super::{addresses, departure, due, objects, volume};
use crate::model::observed::{Kind, MemberRequest};
use crate::model::{
    Charter, ClaimFacts, Desired, Fact, MemberTruth, Membership, Observation, PodFacts, Pool, ServerId, SetFacts,
};
use crate::render::{Blueprint, render};

/// One observation of the ensemble, and what follows from it. The last three fields are computed when they are first
/// needed.
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
    members: BTreeMap<ServerId, MemberView<'a>>,
    nobody: MemberView<'a>,
    origin: OnceCell<Result<Origin, Obstacle>>,
    object_changes: OnceCell<Option<ObjectChanges<'a>>>,
    scaling: OnceCell<Option<ScalingView<'a>>>,
}

/// One member: what was seen of it, and what follows from that.
#[derive(Debug)]
pub struct MemberView<'a> {
    /// Its pod.
    pub pod: Option<&'a PodFacts>,
    /// Its volume claim.
    pub claim: Option<&'a ClaimFacts>,
    /// What its agent says, if it says anything.
    pub report: Option<&'a MemberTruth>,
    /// Why it is not synced with the leader; `None` when it is.
    pub unsynced: Option<String>,
    /// Why it does not have the committed membership yet; `None` if it has.
    pub unconfirmed: Option<String>,
    /// Why its pod has to be recreated; `None` if it is as it should be, or if that is not known.
    pub due: Option<String>,
    /// Why it may be restarted now although it serves: it is due, and the policy allows it.
    pub turn: Option<String>,
    /// Whether the API server refuses to delete its pod.
    pub pinned: bool,
    /// Why its volume goes with its pod although it should stay; `None` if it stays, or was never meant to.
    pub passing: Option<String>,
}

/// What the objects should be, and what has to be written for that.
#[derive(Debug)]
pub struct ObjectChanges<'a> {
    /// The input of the rendering, with the charter that members should have.
    pub blueprint: Blueprint<'a>,
    /// That charter without what a quorum has to confirm first.
    pub confirmed_charter: Charter,
    /// What is to be written, apart from `new_membership`.
    pub writes: Vec<Write>,
    /// Those writes that are passed over.
    pub held: Vec<Held>,
    /// The new membership for the charter, or what prevents writing it.
    pub new_membership: Option<Result<Tell, Vec<Held>>>,
}

/// How the membership gets to the number of voters that is wanted.
#[derive(Debug)]
pub struct ScalingView<'a> {
    /// The set of the members' pods.
    pub set: &'a SetFacts,
    /// The membership that the leader has committed.
    pub committed: Membership,
    /// How many voters are wanted.
    pub wanted: u32,
    /// Who leaves next, and for what.
    pub leaver: Option<(ServerId, Purpose)>,
    /// Whether the last pod belongs to no member any more.
    pub unneeded: bool,
}

/// An id that no member has.
const NOBODY: ServerId = ServerId(u32::MAX);

impl<'a> View<'a> {
    /// Finds out who leads, and makes a view of each member that has a pod, a claim or an answer, votes, or is wanted.
    pub fn of(seen: &'a Observation) -> Self {
        let (quorum, desired) = (QuorumView::of(seen), seen.desired.as_ref().ok());
        let closed = desired.and_then(|desired| due::closed(seen, desired));
        let mut ids: BTreeSet<ServerId> = seen.manned().into_iter().map(ServerId::from).collect();
        ids.extend(seen.claims.keys().map(|seat| ServerId::from(*seat)).chain(seen.members.keys().copied()));
        ids.extend(quorum.committed.iter().flat_map(|committed| committed.servers.keys().copied()));
        ids.extend((1..=desired.map_or(0, |desired| desired.replicas)).map(ServerId));
        let members = ids.into_iter().map(|id| (id, MemberView::of(seen, &quorum, closed.as_ref(), id))).collect();
        let nobody = MemberView::of(seen, &quorum, closed.as_ref(), NOBODY);
        let (origin, object_changes, scaling) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { seen, quorum, desired, closed, members, nobody, origin, object_changes, scaling }
    }

    /// What is known about a member.
    pub fn member(&self, id: ServerId) -> &MemberView<'a> {
        self.members.get(&id).unwrap_or(&self.nobody)
    }

    /// Members that have a pod.
    pub fn pods(&self) -> impl Iterator<Item = (ServerId, &MemberView<'a>, &'a PodFacts)> {
        self.members.iter().filter_map(|(id, member)| Some((*id, member, member.pod?)))
    }

    /// The membership that the leader has committed.
    pub fn committed(&self) -> Option<&Membership> {
        self.quorum.committed.as_ref()
    }

    /// The ids of its voters.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> {
        self.committed().into_iter().flat_map(Membership::voters)
    }

    /// The voters that are synced with the leader.
    pub fn synced_voters(&self) -> impl Iterator<Item = ServerId> {
        self.voters().filter(|id| self.member(*id).synced())
    }

    /// Whether the ensemble is born or to be born; or why that is not known.
    pub fn origin(&self) -> Result<&Origin, &Obstacle> {
        self.origin.get_or_init(|| origin::origin(self)).as_ref()
    }

    /// What the objects should be; nothing while the spec is invalid or the origin unknown.
    pub fn object_changes(&self) -> Option<&ObjectChanges<'a>> {
        self.object_changes.get_or_init(|| Some(object_changes(self, self.desired?, self.origin().ok()?))).as_ref()
    }

    /// How the membership gets to the number of voters that is wanted; nothing before there is a membership.
    pub fn scaling(&self) -> Option<&ScalingView<'a>> {
        self.scaling.get_or_init(|| scaling(self)).as_ref()
    }

    /// Writes and deletes that are passed over.
    pub fn held(&self) -> Vec<Held> {
        let Some(changes) = self.object_changes() else { return hindered::undeleted(self.seen).collect() };
        let mut all = changes.held.clone();
        if let Some(Err(held)) = &changes.new_membership {
            all.extend(held.iter().filter(|held| !changes.held.contains(held)).cloned());
        }
        all
    }
}

impl<'a> MemberView<'a> {
    fn of(seen: &'a Observation, quorum: &QuorumView, closed: Option<&Reason>, id: ServerId) -> Self {
        let pod = seen.pods.get(&id.seat());
        let unsynced = quorum_view::unsynced(seen, quorum.epoch, id);
        let member = Self {
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
        // A request to restart one member does not approve the restart of the others.
        let turn = member.due.clone().filter(|_| member.requested(MemberRequest::Restart) || closed.is_none());
        Self { turn, ..member }
    }

    /// Whether it is synced with the leader.
    pub fn synced(&self) -> bool {
        self.unsynced.is_none()
    }

    /// Whether somebody asked for this by an annotation on its pod.
    pub fn requested(&self, what: MemberRequest) -> bool {
        self.pod.is_some_and(|pod| pod.request == Some(what))
    }

    /// Whether its container does not run, according to its kubelet.
    pub fn stopped(&self) -> bool {
        self.pod.is_some_and(|pod| pod.running == Some(false))
    }
}

fn object_changes<'a>(view: &View<'a>, desired: &'a Desired, origin: &Origin) -> ObjectChanges<'a> {
    let seen = view.seen;
    let charter = origin.charter(view);
    let confirmed_charter = origin::awaiting_confirmation(seen, &charter).unwrap_or_else(|| charter.clone());
    let mut blueprint = Blueprint {
        names: &seen.names,
        uid: &seen.uid,
        desired,
        requests: &seen.requests,
        operator: &seen.operator,
        voters: charter.voters(),
        passing: volume::any_passing(view),
        charter: confirmed_charter.clone(),
        addresses: addresses::of(seen),
        pods: origin::founding_pods(seen, origin)
            .unwrap_or_else(|| seen.set(Pool::Voters).map_or(origin.first_pods, |set| set.replicas)),
        span: if seen.set(Pool::Voters).is_some() { seen.span() } else { seen.span().max(origin.first_pods) },
        old_claims: objects::old_claims(seen),
    };
    let (writes, held) = hindered::part(seen, objects::differing(seen, &render(&blueprint), &blueprint));
    let writes = addresses::first(seen, writes);
    let mut new_membership = None;
    if confirmed_charter != charter && !seen.hindrances.denied {
        blueprint.charter = charter;
        new_membership = tell(view, &blueprint).map(|tell| {
            let (made, held) = hindered::part(seen, vec![tell.write.clone()]);
            if made.is_empty() { Err(held) } else { Ok(tell) }
        });
    }
    ObjectChanges { blueprint, confirmed_charter, writes, held, new_membership }
}

/// The charter's membership changes last, and after a fresh quorum read.
fn tell(view: &View<'_>, blueprint: &Blueprint<'_>) -> Option<Tell> {
    let mut differing = objects::differing(view.seen, &render(blueprint), blueprint).into_iter();
    let write = differing.find(|write| write.object().key.kind == Kind::ConfigMap)?;
    let membership = blueprint.charter.confirmed()?;
    Some(Tell { write, membership, via: view.to_ask(None) })
}

fn scaling<'a>(view: &View<'a>) -> Option<ScalingView<'a>> {
    let (set, committed, wanted) = (view.seen.set(Pool::Voters)?, view.committed()?, view.desired?.replicas);
    let leaver = departure::next(view, committed, wanted);
    let unneeded = set.replicas > committed.highest(&view.seen.names).max(wanted);
    Some(ScalingView { set, committed: committed.clone(), wanted, leaver, unneeded })
}
