//! It must bite: operators and agents that are wrong in one way each, and the exploration that finds each of them.

use std::collections::BTreeMap;

use menagerie::agent::prepare::{self, INITIALIZE, Preparation, PrepareError, VolumeChange, VolumeContents};
use menagerie::agent::seed::Seed;
use menagerie::model::desired::Updates;
use menagerie::model::observed::Kind;
use menagerie::model::observed::ObjectKey;
use menagerie::model::truth::{Mode, ServerState};
use menagerie::model::{Fact, MemberTruth, Membership, Observation, Pool, Seat, ServerId};
use menagerie::plan::{Operation, Purpose, Resize, Restart, Step, Target};

use super::explore::{Course, explore};
use super::invariants::Wrong;
use super::mind::{Mind, Mutant, SOUND};

/// The exploration finds this mutant within so many courses, and for one of these reasons.
fn found(mutant: Mutant, course: &Course, courses: u64, expected: &[fn(String) -> Wrong]) {
    let mind = Mind::new(mutant);
    let kinds: Vec<_> = expected.iter().map(|kind| kind(String::new()).kind()).collect();
    let found = explore(&mind, course, courses, |wrong| kinds.contains(&wrong.kind()));
    let Some(failure) = found.failure else {
        panic!("{}: not found in {} interleavings", mutant.name, found.distinct);
    };
    println!("{}\n", failure.text);
}

/// The truth of a member that serves, as this one is made to look.
fn well(seen: &Observation, id: ServerId) -> Option<MemberTruth> {
    let model = seen.members.values().filter_map(Fact::known).find_map(|truth| match &truth.server {
        ServerState::Serving(serving) if serving.mode == Mode::Leader => Some((truth, serving.clone())),
        _ => None,
    })?;
    let (truth, serving) = model;
    let follower = menagerie::model::truth::Serving { mode: Mode::Follower, synced_voters: None, ..serving };
    Some(MemberTruth { id, server: ServerState::Serving(follower), ..truth.clone() })
}

/// Every member is taken for one that is synced, and the leader for one that counts them all.
fn everybody_well(seen: &mut Observation) {
    let ids: Vec<ServerId> = seen.pods.keys().map(|ordinal| ServerId::from(*ordinal)).collect();
    for id in ids {
        let serves =
            seen.members.get(&id).and_then(Fact::known).is_some_and(|t| matches!(t.server, ServerState::Serving(_)));
        if !serves && let Some(truth) = well(seen, id) {
            seen.members.insert(id, Fact::Known(truth));
        }
    }
    count_all(seen);
}

fn count_all(seen: &mut Observation) {
    for fact in seen.members.values_mut() {
        if let Fact::Known(MemberTruth { server: ServerState::Serving(serving), .. }) = fact
            && serving.mode == Mode::Leader
        {
            serving.synced_voters = Some(14);
        }
    }
}

/// Grow, shrink and roll, with members that fail.
fn shaky() -> Course {
    Course { faults: 5, changes: 8, events: 40, ..Course::everything() }
}

#[test]
fn a_dropped_quorum_check_is_found() {
    let mutant = Mutant { name: "quorum check dropped", doctor: everybody_well, ..SOUND };
    found(mutant, &shaky(), 1000, &[Wrong::Quorum]);
}

/// Members that still look for a leader or sync are taken for synced; silent ones are not.
fn starters_well(seen: &mut Observation) {
    let waiting: Vec<ServerId> = seen
        .members
        .iter()
        .filter(|(_, fact)| fact.known().is_some_and(|truth| matches!(truth.server, ServerState::Waiting { .. })))
        .map(|(id, _)| *id)
        .collect();
    for id in waiting {
        if let Some(truth) = well(seen, id) {
            seen.members.insert(id, Fact::Known(truth));
        }
    }
    count_all(seen);
}

#[test]
fn a_dropped_sync_check_is_found() {
    let mutant = Mutant { name: "sync check dropped", doctor: starters_well, ..SOUND };
    found(mutant, &shaky(), 1000, &[Wrong::Quorum]);
}

/// Shrinks by the set alone.
fn pod_first(seen: &Observation, step: Step) -> Step {
    match (step, seen.set(Pool::Voters)) {
        (Step::Leave { id, why: Purpose::Shrink, .. }, Some(set)) => lower(seen, id, set.replicas - 1),
        (step, _) => step,
    }
}

/// The set with fewer pods, as `RemovePod` has it.
fn lower(seen: &Observation, id: ServerId, pods: u32) -> Step {
    let key = ObjectKey { kind: Kind::StatefulSet, name: seen.names.ensemble.clone() };
    let (Some(menagerie::model::Live::Ours(live)), Some(set)) = (seen.objects.get(&key), seen.set(Pool::Voters)) else {
        return Step::Rest;
    };
    let mut json = live.clone();
    json["spec"]["replicas"] = pods.into();
    let object = menagerie::render::Rendered { key, json };
    let (uid, resource_version) = (set.uid.clone(), set.resource_version.clone());
    Step::RemovePod(Resize { id, object, uid, resource_version, from: None, via: Vec::new() })
}

fn without_reads(operations: Vec<Operation>) -> Vec<Operation> {
    operations
        .into_iter()
        .filter(|operation| !matches!(operation, Operation::LookAgain | Operation::Confirm { .. }))
        .collect()
}

#[test]
fn a_pod_that_is_stopped_before_its_member_left_is_found() {
    let mutant = Mutant { name: "pod stopped before it is removed", step: pod_first, act: without_reads, ..SOUND };
    found(mutant, &shaky(), 300, &[Wrong::Quorum]);
}

/// Two pods go at once.
fn two_at_once(seen: &Observation, step: Step) -> Step {
    match step {
        Step::RemovePod(resize) if resize.id.0 > 2 => match lower(seen, resize.id, resize.id.0 - 2) {
            Step::RemovePod(both) => Step::RemovePod(Resize { via: resize.via, ..both }),
            step => step,
        },
        step => step,
    }
}

#[test]
fn two_changes_at_once_are_found() {
    let mutant = Mutant { name: "two changes at once", step: two_at_once, ..SOUND };
    found(mutant, &shaky(), 300, &[Wrong::Changes, Wrong::Quorum]);
}

/// Writes the list of the days when there were three, whatever is on record.
fn old_list(found: &VolumeContents, seed: &Seed, id: ServerId) -> Result<Preparation, PrepareError> {
    let forgetful = VolumeContents { dynamics: BTreeMap::new(), ..found.clone() };
    let mut old = seed.clone();
    old.membership = super::names::names().seed(3);
    prepare::prepare(&forgetful, &old, id, "/data")
}

#[test]
fn a_stale_configuration_that_is_written_at_start_is_found() {
    let mutant = Mutant { name: "stale configuration written at start", prepare: Some(old_list), ..SOUND };
    let course = Course { from: vec![5], ..Course::servers() };
    found(mutant, &course, 1000, &[Wrong::History, Wrong::Loss]);
}

fn looked_once(operations: Vec<Operation>) -> Vec<Operation> {
    operations.into_iter().filter(|operation| !matches!(operation, Operation::LookAgain)).collect()
}

/// Only the version of the membership is confirmed, and that of the objects: whoever is missing meanwhile is not.
#[test]
fn a_dropped_second_look_is_found() {
    let mutant = Mutant { name: "second look dropped", act: looked_once, ..SOUND };
    found(mutant, &Course::late(), 500, &[Wrong::Quorum]);
}

/// Deletes whatever has the name, and does not look again: either alone would be enough here.
fn by_name(operations: Vec<Operation>) -> Vec<Operation> {
    let nameless = |operation| match operation {
        Operation::Delete(target) => {
            Operation::Delete(Target { uid: String::new(), resource_version: String::new(), ..target })
        }
        operation => operation,
    };
    looked_once(operations).into_iter().map(nameless).collect()
}

#[test]
fn a_claim_that_is_deleted_by_name_is_found() {
    let mutant = Mutant { name: "claim deleted by name", act: by_name, ..SOUND };
    let course = Course { reclaim: Some(true), rolls: 0, ..Course::late() };
    found(mutant, &course, 2000, &[Wrong::Claim]);
}

/// A member that does not answer is taken for one that does not run.
fn absent(seen: &mut Observation) {
    let unknown: Vec<ServerId> =
        seen.members.iter().filter(|(_, fact)| fact.known().is_none()).map(|(id, _)| *id).collect();
    for id in unknown {
        if let Some(pod) = seen.pods.get_mut(&id.seat()) {
            (pod.running, pod.ready, pod.served, pod.unready) = (Some(false), false, false, None);
        }
    }
}

#[test]
fn unknown_taken_for_absent_is_found() {
    let mutant = Mutant { name: "unknown taken for absent", doctor: absent, ..SOUND };
    found(mutant, &Course { silence: 3, ..shaky() }, 2000, &[Wrong::Quorum]);
}

/// Claims that could not be listed are taken for claims that do not exist.
fn no_claims(seen: &mut Observation) {
    if seen.set(Pool::Voters).is_none() {
        seen.claims.clear();
    }
}

#[test]
fn a_failed_list_taken_for_an_empty_one_is_found() {
    let mutant = Mutant { name: "a failed list of claims taken for an empty one", doctor: no_claims, ..SOUND };
    found(mutant, &Course { recreate: true, ..shaky() }, 1000, &[Wrong::Unsettled, Wrong::Initialize]);
}

/// Whoever is empty gets the marker of birth.
fn initialize_again(found: &VolumeContents, seed: &Seed, id: ServerId) -> Result<Preparation, PrepareError> {
    let mut plan = prepare::prepare(found, seed, id, "/data")?;
    if !found.database {
        plan.changes.push(VolumeChange::Write { path: INITIALIZE.into(), text: String::new(), secret: false });
    }
    Ok(plan)
}

#[test]
fn the_marker_of_birth_written_twice_is_found() {
    let mutant = Mutant { name: "initialize written twice", prepare: Some(initialize_again), ..SOUND };
    found(mutant, &Course::violent(), 1000, &[Wrong::Initialize]);
}

/// The leader is restarted as any other, and before all others.
fn leader_first(seen: &Observation, step: Step) -> Step {
    let due = matches!(&step, Step::Restart(_) | Step::Leave { why: Purpose::HandOver, .. });
    let leader = seen.members.iter().find_map(|(id, fact)| match &fact.known()?.server {
        ServerState::Serving(serving) if serving.mode == Mode::Leader => Some((*id, serving.membership.clone())),
        _ => None,
    });
    let Some((id, membership)) = leader.filter(|_| due) else { return step };
    let Some(pod) = seen.pods.get(&id.seat()) else { return step };
    let from = Membership::parse(&membership).ok();
    let key = ObjectKey { kind: Kind::Pod, name: pod.name.clone() };
    let pod = Target { key, uid: pod.uid.clone(), resource_version: pod.resource_version.clone() };
    let via = seen.pods.keys().map(|ordinal| ServerId::from(*ordinal)).collect();
    Step::Restart(Restart { id, pod, from, via, why: "leader first".into() })
}

#[test]
fn the_leader_first_is_found() {
    let mutant = Mutant { name: "leader first", step: leader_first, ..SOUND };
    found(mutant, &Course { from: vec![3, 5], ..Course::rolling() }, 300, &[Wrong::Leader]);
}

#[test]
fn a_dropped_fresh_quorum_read_is_found() {
    let mutant = Mutant { name: "fresh quorum read dropped", act: without_reads, ..SOUND };
    found(mutant, &Course::late(), 2000, &[Wrong::Quorum, Wrong::Changes]);
}

#[test]
fn a_reconfig_without_version_is_found() {
    let mutant = Mutant { name: "reconfig without version", act: without_reads, unfenced: true, ..SOUND };
    found(mutant, &Course::late(), 2000, &[Wrong::Changes, Wrong::Quorum]);
}

/// Claims go although they are to be kept.
fn greedy(seen: &mut Observation) {
    if let Ok(desired) = &mut seen.desired {
        desired.on_scale_down = menagerie::api::ReclaimPolicy::Delete;
    }
}

#[test]
fn claims_deleted_against_policy_are_found() {
    let mutant = Mutant { name: "claims deleted against policy", doctor: greedy, ..SOUND };
    found(mutant, &Course { reclaim: Some(false), ..shaky() }, 500, &[Wrong::Claim]);
}

/// Restarts do not wait for the last one.
fn all_at_once(seen: &mut Observation) {
    everybody_well(seen);
    let down: Vec<Seat> = seen.pods.iter().filter(|(_, pod)| pod.terminating).map(|(ordinal, _)| *ordinal).collect();
    for ordinal in down {
        seen.pods.remove(&ordinal);
    }
}

#[test]
fn a_roll_that_does_not_wait_is_found() {
    let mutant = Mutant { name: "the next restart does not wait", doctor: all_at_once, ..SOUND };
    found(mutant, &Course::rolling(), 500, &[Wrong::Quorum]);
}

/// Rolls whenever there is something to roll.
fn heedless(seen: &mut Observation) {
    if let Ok(desired) = &mut seen.desired {
        desired.updates = Updates::Automatic;
    }
}

#[test]
fn an_ignored_update_policy_is_found() {
    let mutant = Mutant { name: "policy ignored", doctor: heedless, ..SOUND };
    found(mutant, &Course::held(), 100, &[Wrong::Policy]);
}

/// Takes an approval of one revision for an approval of all that come.
fn approved_for_ever(seen: &mut Observation) {
    let newest = seen.set(Pool::Voters).and_then(|set| set.update_revision.clone());
    if seen.requests.approved.is_some() {
        seen.requests.approved = newest;
    }
}

#[test]
fn an_approval_of_any_revision_that_counts_is_found() {
    let mutant = Mutant { name: "approval of any revision counts", doctor: approved_for_ever, ..SOUND };
    found(mutant, &Course::held(), 500, &[Wrong::Policy]);
}

#[test]
fn an_approval_that_is_not_heard_is_found() {
    let deaf = |seen: &mut Observation| seen.requests.approved = None;
    let mutant = Mutant { name: "approval not heard", doctor: deaf, ..SOUND };
    found(mutant, &Course::held(), 200, &[Wrong::Unsettled]);
}

/// Opens the window and never closes it.
fn ajar(seen: &mut Observation) {
    if let Ok(desired) = &mut seen.desired
        && matches!(desired.updates, Updates::Windows(_))
    {
        desired.updates = Updates::Automatic;
    }
}

#[test]
fn a_window_that_does_not_close_is_found() {
    let mutant = Mutant { name: "window never closes", doctor: ajar, ..SOUND };
    found(mutant, &Course::held(), 500, &[Wrong::Policy]);
}

/// Restarts a member that is out before it joins, as if the policy were for voters alone.
fn voters_alone(seen: &Observation, step: Step) -> Step {
    let Step::Join { id, from, via, .. } = &step else { return step };
    let Some(pod) = seen.pods.get(&id.seat()) else { return step };
    if pod.revision == seen.set(Pool::Voters).and_then(|set| set.update_revision.clone()) {
        return step;
    }
    let key = ObjectKey { kind: Kind::Pod, name: pod.name.clone() };
    let pod = Target { key, uid: pod.uid.clone(), resource_version: pod.resource_version.clone() };
    Step::Restart(Restart { id: *id, pod, from: Some(from.clone()), via: via.clone(), why: "it is no voter".into() })
}

#[test]
fn a_policy_that_holds_for_voters_alone_is_found() {
    let mutant = Mutant { name: "policy for voters alone", step: voters_alone, ..SOUND };
    found(mutant, &Course::held(), 1000, &[Wrong::Policy]);
}

#[test]
fn silence_taken_for_a_reason_to_heal_against_the_policy_is_found() {
    let mutant = Mutant { name: "silence heals", doctor: absent, ..SOUND };
    found(mutant, &Course { silence: 3, ..Course::held() }, 1000, &[Wrong::Policy]);
}

/// Does not hear that a server was started with less than its pod was given.
fn content(seen: &mut Observation) {
    for fact in seen.members.values_mut() {
        if let Fact::Known(truth) = fact {
            truth.disk.outdated = None;
        }
    }
}

#[test]
fn a_kubelet_that_is_late_and_not_made_up_for_is_found() {
    let mutant = Mutant { name: "late kubelets forgotten", doctor: content, ..SOUND };
    found(mutant, &Course { late: 2, ..Course::rolling() }, 500, &[Wrong::Unsettled]);
}

/// Takes every pod whose server does not run at this moment for one that never served.
fn by_age(seen: &mut Observation) {
    for pod in seen.pods.values_mut().filter(|pod| pod.running == Some(false)) {
        (pod.served, pod.unready) = (false, None);
    }
}

#[test]
fn a_pods_age_taken_for_how_long_it_has_not_served_is_found() {
    let mutant = Mutant { name: "age taken for duration", doctor: by_age, ..SOUND };
    found(mutant, &Course { broken: 1, ..Course::rolling() }, 500, &[Wrong::Quorum]);
    found(mutant, &Course::held(), 500, &[Wrong::Policy]);
}

/// Takes whoever answers at an address for the member that was there.
fn credulous(_: &Observation, id: ServerId, answer: Result<MemberTruth, String>) -> Fact<MemberTruth> {
    answer.map_or_else(Fact::Unknown, |truth| Fact::Known(MemberTruth { id, ..truth }))
}

#[test]
fn another_ensembles_answer_that_is_believed_is_found() {
    let mutant = Mutant { name: "identity not compared", believe: credulous, act: without_reads, ..SOUND };
    found(mutant, &shaky(), 1000, &[Wrong::Foreign]);
}

/// Goes by the clock alone: whoever has not served for long does not move either.
fn impatient(seen: &mut Observation) {
    for fact in seen.members.values_mut() {
        if let Fact::Known(truth) = fact {
            truth.still = truth.stalled;
        }
    }
}

#[test]
fn a_slow_member_taken_for_a_hung_one_is_found() {
    let mutant = Mutant { name: "slow taken for hung", doctor: impatient, ..SOUND };
    found(mutant, &Course { faults: 3, events: 100, ..Course::everything() }, 2000, &[Wrong::Quorum]);
}

/// Takes one after the other out for a member that has no node yet, whoever left for it before.
fn room_at_any_price(seen: &Observation, step: Step) -> Step {
    let Step::Wait(_) = &step else { return step };
    let leads = seen.members.values().filter_map(Fact::known).find_map(|truth| match &truth.server {
        ServerState::Serving(serving) if serving.mode == Mode::Leader => Membership::parse(&serving.membership).ok(),
        _ => None,
    });
    let (Some(membership), Ok(desired)) = (leads, &seen.desired) else { return step };
    let homeless = |id: &ServerId| seen.pods.get(&id.seat()).is_some_and(|pod| pod.node.is_none());
    let waits = (1..=desired.replicas).map(ServerId).filter(|id| !membership.contains(*id)).any(|id| homeless(&id));
    let highest = membership.voters().last().filter(|id| id.0 > desired.replicas && waits);
    let Some(id) = highest.filter(|_| membership.voters().count() > 1) else { return step };
    let others = membership.voters().filter(|voter| *voter != id);
    let via = others.collect();
    let to = membership.without_for_good(id);
    Step::Leave { id, to, from: membership, via, why: Purpose::Shrink }
}

#[test]
fn room_that_is_made_at_any_price_is_found() {
    let mutant = Mutant { name: "room at any price", step: room_at_any_price, ..SOUND };
    found(mutant, &Course::crowded(), 500, &[Wrong::Copies]);
}

#[test]
fn a_write_in_vain_that_is_made_again_for_ever_is_found() {
    let forgetful = |seen: &mut Observation| seen.hindrances.objects.clear();
    let mutant = Mutant { name: "what came to nothing forgotten", doctor: forgetful, ..SOUND };
    found(mutant, &Course::meddled(), 50, &[Wrong::Unsettled]);
}

/// Knows what came out otherwise, and not what is refused.
#[test]
fn what_is_refused_and_tried_again_for_ever_is_found() {
    let stubborn = |seen: &mut Observation| {
        let refused =
            |hindrance: &menagerie::model::Hindrance| matches!(hindrance, menagerie::model::Hindrance::Refused { .. });
        seen.hindrances.objects.retain(|_, hindrance| !refused(hindrance));
    };
    let mutant = Mutant { name: "refusals forgotten", doctor: stubborn, ..SOUND };
    found(mutant, &Course::meddled(), 100, &[Wrong::Unsettled]);
}

#[test]
fn case_25_a_member_that_starts_with_a_name_that_nobody_can_look_up_is_found() {
    let mutant = Mutant { name: "names that resolve nowhere", may_start: |_, _, _| true, ..SOUND };
    found(mutant, &Course::astray(), 300, &[Wrong::Unsettled]);
}

/// Goes by the spec: a volume is one that stays.
fn by_the_spec(seen: &mut Observation) {
    for claim in seen.claims.values_mut() {
        claim.going = false;
    }
}

#[test]
fn a_claim_that_goes_with_its_pod_and_is_ignored_is_found() {
    let mutant = Mutant { name: "going ignored", doctor: by_the_spec, ..SOUND };
    found(mutant, &Course::marked(), 300, &[Wrong::Claim]);
}
