//! Whether the ensemble is to be born, or was born before.
//!
//! The status alone does not decide this: a restore of the Kubernetes objects drops it. A claim with the label of a
//! born ensemble, a charter that says so, or a member's record also count. If the evidence disagrees, nothing is
//! started.

use std::collections::BTreeMap;

use super::quorum_view::serving;
use super::view::View;
use super::{Obstacle, Reason, Step, Target, confirmed, hindered, lost, replace};
use crate::model::desired::{MAX_REPLICAS, Storage};
use crate::model::{
    Beginning, Charter, ClaimFacts, ConfigVersion, Fact, Membership, Observation, ParentPoint, PodFacts, Pool, Seat,
    ServerId,
};

/// Who the ensemble is and how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its identity: the uid of the object that founded it.
    pub identity: String,
    /// How it begins: as a birth only until it first has a quorum.
    pub beginning: Beginning,
    /// The number of pods of a new `StatefulSet`.
    pub first_pods: u32,
}

impl Origin {
    /// What members start from.
    pub fn charter(&self, view: &View<'_>) -> Charter {
        let seen = view.seen;
        let pods = seen.set(Pool::Voters).map_or(self.first_pods, |set| set.replicas);
        // The founders with which some members may already have started: a second list could form a second quorum. They
        // have today's names, whatever the operator took for the cluster's domain before: a majority counts ids.
        let founders = seen.charter.as_ref().filter(|charter| charter.identity == self.identity).and_then(seed_size);
        let founders = founders.filter(|founders| !may_be_fewer(seen, self, *founders)).unwrap_or(pods);
        let birth = self.beginning.is_birth();
        let noted = confirmed(view).filter(|_| !birth);
        let membership = noted.unwrap_or_else(|| seen.names.seed(founders));
        Charter {
            ensemble: seen.names.ensemble.clone(),
            identity: self.identity.clone(),
            beginning: self.beginning,
            version: membership.version.to_string(),
            membership: membership.text(),
            joiner: seen.names.joiner(),
            resync: if birth { BTreeMap::new() } else { replace::resync(view) },
            may_vote: if birth { BTreeMap::new() } else { lost::may_vote(view) },
            parent: if birth { self.parent(seen) } else { None },
        }
    }

    /// What founders begin with. The spec's cannot be changed; what is told can be, by whoever may write a `ConfigMap`.
    fn parent(&self, seen: &Observation) -> Option<ParentPoint> {
        let told = || seen.charter.as_ref().filter(|charter| charter.identity == self.identity)?.parent.clone();
        match &seen.desired {
            Ok(desired) => desired.parent.as_ref().map(|parent| parent.point.clone()),
            Err(_) => told(),
        }
    }
}

/// The charter with the membership that members already know, if a quorum has to confirm the new one first. The end of
/// the birth needs only one member's word: until members know of it, an empty disk may vote.
pub fn awaiting_confirmation(seen: &Observation, charter: &Charter) -> Option<Charter> {
    let before = seen.charter.as_ref().filter(|before| before.identity == charter.identity)?;
    let confirmed: ConfigVersion = charter.version.parse().ok()?;
    let otherwise = before.version != charter.version || before.membership != charter.membership;
    (confirmed > ConfigVersion(0) && otherwise).then(|| Charter {
        membership: before.membership.clone(),
        version: before.version.clone(),
        ..charter.clone()
    })
}

/// Reads the origin from all the evidence, or says what to wait for, or why to refuse.
pub fn origin(view: &View<'_>) -> Result<Origin, Obstacle> {
    let seen = view.seen;
    let recorded = seen.identity().map(str::to_owned);
    if seen.set(Pool::Voters).is_none() {
        going_claims(seen)?;
    }
    let identity = match &recorded {
        Some(identity) => identity.clone(),
        None => claimed_identity(seen)?.unwrap_or_else(|| seen.uid.clone()),
    };
    // Claims have an identity from their creation, so a claim of an ensemble that never had a quorum proves no birth.
    // Whatever the other records say: a pass that only waited has written the identity to the status of a new object.
    let revived = seen.claims.values().any(|claim| claim.born && claim.identity.as_ref() == Some(&identity));
    let beginning = if revived || was_born(view, &identity) { Beginning::TakenUp } else { Beginning::Birth };
    let wanted = seen.desired.as_ref().map_or(1, |desired| desired.replicas);
    let first_pods = match beginning {
        Beginning::Birth => {
            seen.charter.as_ref().filter(|charter| charter.identity == identity).and_then(seed_size).unwrap_or(wanted)
        }
        Beginning::TakenUp => {
            confirmed(view).map_or(0, |membership| membership.highest(&seen.names)).max(seen.highest_claim()).max(1)
        }
    };
    if seen.set(Pool::Voters).is_none() {
        for seat in 0..first_pods {
            usable_claim(seen, ServerId(seat + 1), &identity)?;
        }
    }
    Ok(Origin { identity, beginning, first_pods })
}

/// Whether this ensemble may use a member's claim: there is none, or it has this identity.
pub fn usable_claim(seen: &Observation, id: ServerId, identity: &str) -> Result<(), Obstacle> {
    let Some(claim) = seen.claims.get(&id.seat()) else { return Ok(()) };
    let refuse = |message: String| Err(Obstacle::Refuse(Reason::new("ForeignClaim", message)));
    match claim.identity.as_deref() {
        _ if claim.going => Err(Obstacle::Wait(Reason::new(
            "ClaimTerminating",
            format!("waiting until claim {} is gone: it is being deleted{}", claim.name, holders(claim)),
        ))),
        Some(theirs) if theirs == identity => Ok(()),
        Some(theirs) => refuse(format!(
            "claim {} holds data of another ensemble of this name (identity {theirs}, this one is {identity}): delete the claim to start member {id} empty, or restore that ensemble",
            claim.name
        )),
        None => refuse(format!(
            "claim {} was not made for an ensemble: delete or rename it, or give the ensemble another name",
            claim.name
        )),
    }
}

/// The one identity that all claims have, if there are claims.
fn claimed_identity(seen: &Observation) -> Result<Option<String>, Obstacle> {
    let mut identities: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // A claim that was never bound holds nothing, and is no evidence.
    for claim in seen.claims.values().filter(|claim| claim.born || !never_bound(claim)) {
        if let Some(identity) = &claim.identity {
            identities.entry(identity).or_default().push(&claim.name);
        }
    }
    if identities.len() > 1 {
        let found: Vec<String> = identities.iter().map(|(id, names)| format!("{} of {id}", names.join(", "))).collect();
        return Err(Obstacle::Refuse(Reason::new(
            "ClaimsDisagree",
            format!(
                "volume claims of this name belong to different ensembles: {}; keep those of one and delete the others",
                found.join("; ")
            ),
        )));
    }
    Ok(identities.keys().next().map(|identity| (*identity).to_owned()))
}

/// Claims that are being deleted are no evidence, and new pods must not use them.
fn going_claims(seen: &Observation) -> Result<(), Obstacle> {
    match seen.claims.values().find(|claim| claim.going) {
        None => Ok(()),
        Some(claim) => Err(Obstacle::Wait(Reason::new(
            "ClaimTerminating",
            format!(
                "waiting until claim {} of an earlier ensemble is gone: it is being deleted{}",
                claim.name,
                holders(claim)
            ),
        ))),
    }
}

/// Who keeps a claim from going.
fn holders(claim: &ClaimFacts) -> String {
    if claim.finalizers.is_empty() {
        return String::new();
    }
    format!(", and stays until somebody takes away its finalizers ({})", claim.finalizers.join(", "))
}

fn was_born(view: &View<'_>, identity: &str) -> bool {
    let seen = view.seen;
    let by_record =
        seen.status.membership.is_some() || seen.charter.as_ref().is_some_and(|charter| !charter.beginning.is_birth());
    let by_truth = seen.members.values().filter_map(Fact::known).any(|truth| {
        let ours = truth.disk.identity.as_deref() == Some(identity);
        ours && (truth.disk.record.is_some_and(|record| record > ConfigVersion(0)) || serving(truth).is_some())
    });
    by_record || view.committed().is_some() || by_truth
}

/// Trouble in the first seconds of a founder's pod is no reason for an alarm.
const BIRTH: u64 = 60;

/// What prevents the birth for longer than a scheduler or a volume takes: Kubernetes creates no pod, or a pod has been
/// in trouble for a minute.
pub fn stillborn(view: &View<'_>) -> Option<Reason> {
    let seen = view.seen;
    let long = |pod: &PodFacts| pod.trouble.is_some() && seen.now.saturating_sub(pod.since) > BIRTH;
    let stuck = || seen.pods.values().any(long).then(|| Reason::new("PodStuck", view.no_quorum().message));
    hindered::unmade(view).or_else(stuck)
}

/// The evidence does not agree.
pub fn unknown(view: &View<'_>) -> Option<Step> {
    view.origin().err().map(|obstacle| obstacle.clone().into())
}

/// The ensemble is being born.
pub fn founding(view: &View<'_>) -> Option<Step> {
    let origin = view.origin().ok().filter(|origin| origin.beginning.is_birth())?;
    Some(Step::Wait(missing(view, origin)))
}

/// Who is still missing at the birth, and what the user can still change.
fn missing(view: &View<'_>, origin: &Origin) -> Reason {
    let seen = view.seen;
    let Reason { code, message } = stillborn(view).unwrap_or_else(|| Reason::new("Founding", view.no_quorum().message));
    let wanted = seen.desired.as_ref().map_or(0, |desired| desired.replicas);
    let founders = seen.charter.as_ref().and_then(seed_size).unwrap_or(origin.first_pods);
    if wanted >= founders || wanted == 0 {
        return Reason { code, message };
    }
    let (namespace, name) = (&seen.names.namespace, &seen.names.ensemble);
    Reason::new(
        code,
        format!(
            "{message}; the ensemble is born with {founders} members and shrinks to {wanted} afterwards, since some of those that would go had a volume and may have voted; to start over with {wanted} instead, delete it and its claims, which hold no acknowledged write: kubectl -n {namespace} delete zke {name} && kubectl -n {namespace} delete pvc -l menagerie.dev/ensemble={name}"
        ),
    )
}

/// How many pods there should be before the birth; `None` if the number is right. All founders, whatever somebody did
/// to the `StatefulSet`; or fewer, if fewer are wanted by now and those that go never had a volume or a node.
pub fn founding_pods(seen: &Observation, origin: &Origin) -> Option<u32> {
    let pods = seen.set(Pool::Voters)?.replicas;
    let founders = seen.charter.as_ref().filter(|charter| charter.beginning.is_birth()).and_then(seed_size)?;
    let wanted = seen.desired.as_ref().ok()?.replicas;
    let pods_wanted = if wanted < founders && never_anywhere(seen, wanted, founders) { wanted } else { founders };
    (origin.beginning.is_birth() && pods != pods_wanted && (pods < founders || pods_wanted < founders))
        .then_some(pods_wanted)
}

/// Whether the list of founders may become shorter: the pods above are gone and never had a volume, so their servers
/// never started. Those that stay may have started with the longer list. A majority of it is more than one of the
/// shorter, so the two lists cannot both have a quorum.
fn may_be_fewer(seen: &Observation, origin: &Origin, founders: u32) -> bool {
    let Some(set) = seen.set(Pool::Voters) else { return false };
    let wanted = seen.desired.as_ref().map_or(founders, |desired| desired.replicas);
    // Its controller creates no more of them.
    let gone = set.update_revision.is_some() && seen.pods.keys().all(|seat| seat.ordinal < wanted);
    origin.beginning.is_birth()
        && wanted < founders
        && set.replicas == wanted
        && gone
        && never_anywhere(seen, wanted, founders)
}

/// Whether these members never had a volume, and so never ran: they have no claims, or claims that were never bound.
fn never_anywhere(seen: &Observation, from: u32, to: u32) -> bool {
    let claims = seen.desired.as_ref().is_ok_and(|desired| matches!(desired.storage, Storage::Claim { .. }));
    let nowhere = |seat| seen.claims.get(&Seat::voter(seat)).is_none_or(never_bound);
    let unplaced = |seat| seen.pods.get(&Seat::voter(seat)).is_none_or(|pod| pod.node.is_none());
    claims && (from..to).all(|seat| nowhere(seat) && unplaced(seat))
}

/// Deletes claims that may be deleted.
pub fn give_up_empty(view: &View<'_>) -> Option<Step> {
    let mut empty = empty_claims(view.seen);
    empty.retain(|claim| !hindered::stays(view.seen, claim));
    (!empty.is_empty()).then_some(Step::Delete(empty))
}

/// Claims that a new `StatefulSet` must not use, and that are certainly empty: they were created for an ensemble that
/// was never born, and never bound to a volume, perhaps because of the class or size that they ask for.
pub fn empty_claims(seen: &Observation) -> Vec<Target> {
    let made_here = seen.claims.values().filter(|claim| claim.identity.is_some() && !claim.born && !claim.going);
    let empty = made_here.filter(|claim| seen.set(Pool::Voters).is_none() && never_bound(claim));
    empty.map(Target::claim).collect()
}

fn never_bound(claim: &ClaimFacts) -> bool {
    claim.volume.is_none() && claim.lost.is_none()
}

fn seed_size(charter: &Charter) -> Option<u32> {
    let membership = Membership::parse(&charter.membership).ok()?;
    // By ids alone: the names may have another cluster domain.
    membership.servers.keys().map(|id| id.0).filter(|id| *id <= MAX_REPLICAS).max()
}
