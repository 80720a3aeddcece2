//! What the planner does, told as behaviour.

use std::collections::BTreeSet;

use menagerie::api::{Reclaim, ReclaimPolicy, StorageSpec};
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Live, Seat, ServerId};
use menagerie::plan::{ConditionStatus, MEMBERSHIP_RULES, PRECONDITION_RULES, Plan, Step};
use serde_json::json;

use super::world::{UID, World, zk};

pub fn reason(plan: &Plan) -> (&'static str, &str) {
    match &plan.step {
        Step::Wait(reason) | Step::Refuse(reason) => (reason.code, &reason.message),
        step => panic!("it does not wait: {step:?}"),
    }
}

pub fn condition(plan: &Plan, name: &str) -> Option<ConditionStatus> {
    plan.conditions.iter().find(|condition| condition.name == name).map(|condition| condition.status)
}

pub fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

pub fn ids(ids: &[u32]) -> BTreeSet<ServerId> {
    ids.iter().copied().map(ServerId).collect()
}

/// Five voters of which these never had a node.
pub fn five_without(unplaced: &[u32]) -> World {
    let mut world = zk(5);
    world.unplaced = ids(unplaced);
    assert_eq!(reason(&world.settle()).0, "MemberNotSynced");
    world.trace.clear();
    world
}

#[test]
fn a_new_ensemble_starts_all_its_voters_at_once_and_then_rests() {
    let mut world = zk(3);
    let plan = world.settle();
    assert_eq!(plan.step, Step::Rest);
    assert_eq!((world.voters(), world.pods()), (vec![1, 2, 3], 3));
    assert!(world.trace.is_empty(), "a birth needs no membership step: {:?}", world.trace);
    assert_eq!(plan.status.ready, "3/3");
    assert_eq!(plan.status.identity.as_deref(), Some(UID));
    for (name, truth) in [
        ("Ready", ConditionStatus::True),
        ("QuorumAvailable", ConditionStatus::True),
        ("Progressing", ConditionStatus::False),
        ("Degraded", ConditionStatus::False),
    ] {
        assert_eq!(condition(&plan, name), Some(truth), "{name}");
    }
}

#[test]
fn growing_starts_a_pod_and_adds_its_member_before_the_next() {
    let mut world = settled(3);
    world.scale(5).settle();
    assert_eq!(world.trace, ["add-pod 4", "join 4", "add-pod 5", "join 5"]);
}

/// A quota that no server can read ends `monitor`; a metrics provider without gauges has no count in it.
#[test]
fn where_the_leader_cannot_say_who_follows_it_those_who_serve_in_its_epoch_are_counted() {
    let mut world = zk(3);
    world.uncounted = true;
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert_eq!(world.guarded, 1);
    world.scale(5).settle();
    assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
    world.spec.config = Some([("snapCount".to_owned(), "200000".to_owned())].into());
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    // Who is silent is counted by nobody.
    let followers = (1..=5).map(ServerId).filter(|id| Some(*id) != world.leader());
    let followers: Vec<ServerId> = followers.collect();
    world.silent = followers[..2].iter().copied().collect();
    let plan = world.pass();
    assert_eq!(condition(&plan, "QuorumAvailable"), Some(ConditionStatus::True));
    world.silent = followers[..3].iter().copied().collect();
    let plan = world.pass();
    assert_eq!((reason(&plan).0, condition(&plan, "QuorumAvailable")), ("NoQuorum", Some(ConditionStatus::False)));
}

#[test]
fn a_joiner_is_added_only_once_it_has_synced() {
    let mut world = settled(1);
    world.down.insert(ServerId(2));
    let plan = world.scale(2).settle();
    assert_eq!(reason(&plan).0, "Joining");
    assert!(reason(&plan).1.contains("member 2 (pod zk-1)"), "{}", reason(&plan).1);
    assert_eq!(world.voters(), [1]);
    world.down.clear();
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn shrinking_takes_the_member_out_before_its_pod_and_the_highest_first() {
    let mut world = settled(5);
    world.scale(3).settle();
    assert_eq!(world.trace, ["leave 5", "remove-pod 5", "leave 4", "remove-pod 4", "delete zk-3", "delete zk-4"]);
    assert_eq!(world.claims.len(), 5, "claims are kept by default");
}

#[test]
fn one_to_five_to_three_to_one_is_the_same_mechanism() {
    let mut world = settled(1);
    for replicas in [5, 3, 1, 2] {
        assert_eq!(world.scale(replicas).settle().step, Step::Rest);
        assert_eq!(world.voters().len(), usize::try_from(replicas).unwrap());
    }
}

#[test]
fn claims_are_deleted_after_scaling_down_only_by_policy_and_after_their_pod() {
    let mut world = zk(3);
    let reclaim = Reclaim { on_scale_down: Some(ReclaimPolicy::Delete), ..Reclaim::default() };
    world.spec.storage = Some(StorageSpec { reclaim: Some(reclaim), ..StorageSpec::default() });
    world.settle();
    world.scale(1).settle();
    assert_eq!(world.claims.keys().copied().collect::<Vec<_>>(), [Seat::voter(0)]);
    let lowered = world.trace.iter().position(|step| step == "remove-pod 2").unwrap();
    let deleted = world.trace.iter().position(|step| step == "delete data-zk-1").unwrap();
    assert!(lowered < deleted, "{:?}", world.trace);
}

#[test]
fn a_change_of_mind_is_followed_from_wherever_it_is() {
    let mut world = settled(3);
    world.scale(5);
    while world.trace.last().map(String::as_str) != Some("add-pod 4") {
        world.pass();
    }
    world.scale(3).settle();
    assert_eq!(world.trace, ["remove-pod 4", "delete zk-3", "delete zk-4"]);
    world.scale(5);
    while world.trace.last().map(String::as_str) != Some("join 4") {
        world.pass();
    }
    world.scale(3).settle();
    assert_eq!(&world.trace[..2], ["leave 4", "remove-pod 4"]);
}

#[test]
fn no_step_is_taken_while_a_voter_is_not_synced_and_the_condition_names_it() {
    for change in [1, 5] {
        let mut world = settled(3);
        world.silent.insert(ServerId(2));
        let plan = world.scale(change).settle();
        assert!(world.trace.is_empty(), "{:?}", world.trace);
        let (code, message) = reason(&plan);
        assert_eq!(code, "MemberNotSynced");
        assert!(message.contains("member 2") && message.contains("zk-1"), "{message}");
        world.silent.clear();
        assert_eq!(world.settle().step, Step::Rest);
    }
}

#[test]
fn scaling_down_without_a_quorum_waits_and_goes_on_once_it_is_back() {
    let mut world = settled(3);
    world.down = [ServerId(1), ServerId(3)].into();
    let plan = world.scale(1).settle();
    assert_eq!(reason(&plan).0, "NoQuorum");
    assert!(reason(&plan).1.starts_with("going from 3 to 1 voters:"), "{}", reason(&plan).1);
    assert_eq!(condition(&plan, "QuorumAvailable"), Some(ConditionStatus::False));
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    world.down.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.voters(), [1]);
}

#[test]
fn silence_of_everybody_is_unknown_and_not_a_lost_quorum() {
    let mut world = settled(3);
    world.silent = (1..=3).map(ServerId).collect();
    let plan = world.settle();
    assert_eq!(condition(&plan, "QuorumAvailable"), Some(ConditionStatus::Unknown));
    assert_eq!(plan.status.membership, world.status.membership, "what was confirmed is not forgotten");
    assert!(plan.status.membership.is_some());
}

#[test]
fn a_leaders_word_is_enough_for_a_quorum_and_not_for_a_step() {
    let mut world = settled(3);
    let leader = world.leader().unwrap();
    world.silent = (1..=3).map(ServerId).filter(|id| *id != leader).collect();
    let plan = world.scale(1).settle();
    assert_eq!(condition(&plan, "QuorumAvailable"), Some(ConditionStatus::True));
    assert_eq!(reason(&plan).0, "MemberNotSynced");
    assert!(world.trace.is_empty(), "{:?}", world.trace);
}

#[test]
fn of_two_that_claim_to_lead_the_later_epoch_counts() {
    let world = settled(3);
    let mut seen = world.seen();
    let leader = world.leader().unwrap();
    let mut stale = seen.members[&leader].known().unwrap().clone();
    stale.id = ServerId(1);
    if let menagerie::model::truth::ServerState::Serving(serving) = &mut stale.server {
        serving.epoch = 0;
    }
    seen.members.insert(ServerId(1), menagerie::model::Fact::Known(stale));
    let plan = menagerie::plan::plan(&seen);
    assert_eq!(plan.status.leader.as_deref(), Some("zk-2"));
    assert_eq!(reason(&plan).0, "MemberNotSynced");
}

#[test]
fn a_foreign_object_is_named_and_nothing_is_touched() {
    let mut world = zk(3);
    let key = ObjectKey { kind: Kind::Service, name: "zk-client".into() };
    world.objects.insert(key.clone(), Live::Foreign { owner: "Deployment web".into() });
    let plan = world.settle();
    let (code, message) = reason(&plan);
    assert_eq!(code, "ForeignObject");
    assert!(message.contains("Service zk-client") && message.contains("Deployment web"), "{message}");
    assert_eq!(world.objects.keys().collect::<Vec<_>>(), [&key]);
}

#[test]
fn leftovers_of_an_earlier_ensemble_are_waited_for() {
    let mut world = zk(3);
    world
        .objects
        .insert(ObjectKey { kind: Kind::StatefulSet, name: "zk".into() }, Live::Leftover { finalizers: Vec::new() });
    let words = "waiting until what an earlier ensemble left is gone: StatefulSet zk";
    assert_eq!(reason(&world.settle()), ("LeftoverTerminating", words));
    let held = Live::Leftover { finalizers: vec!["example.com/backup".to_owned()] };
    world.objects.insert(ObjectKey { kind: Kind::StatefulSet, name: "zk".into() }, held);
    let plan = world.settle();
    let (code, message) = reason(&plan);
    assert!(code == "LeftoverTerminating" && message.contains("(example.com/backup)"), "{message}");
    assert!(message.contains("kubectl -n ns patch statefulset zk --type merge"), "{message}");
}

#[test]
fn a_pod_too_few_for_the_membership_is_given_back_first() {
    let mut world = settled(3);
    let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
    if let Some(Live::Ours(json)) = world.objects.get_mut(&key) {
        json["spec"]["replicas"] = json!(1);
    }
    world.trace.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["add-pod 2", "add-pod 3"]);
}

#[test]
fn a_field_that_somebody_changed_is_put_back() {
    let mut world = settled(3);
    let key = ObjectKey { kind: Kind::PodDisruptionBudget, name: "zk".into() };
    if let Some(Live::Ours(json)) = world.objects.get_mut(&key) {
        json["spec"]["maxUnavailable"] = json!(3);
    }
    assert!(matches!(world.pass().step, Step::Apply(writes) if writes.len() == 1));
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn an_even_number_of_voters_is_allowed_and_warned_of() {
    let mut world = zk(4);
    let plan = world.settle();
    assert_eq!(plan.step, Step::Rest);
    let warning = plan.conditions.iter().find(|condition| condition.name == "Warning").unwrap();
    assert!(warning.message.contains("use 3 or 5"), "{}", warning.message);
    assert!(condition(&settled(3).settle(), "Warning").is_none());
}

#[test]
fn a_lost_status_is_found_again_from_charter_and_members() {
    let mut world = settled(3);
    world.status = menagerie::api::EnsembleStatus::default();
    let plan = world.settle();
    assert_eq!(plan.step, Step::Rest);
    assert_eq!(plan.status.identity.as_deref(), Some(UID));
}

#[test]
fn claims_go_with_the_ensemble_only_by_policy() {
    let mut world = settled(3);
    let reclaim = |policy| {
        Some(StorageSpec {
            reclaim: Some(Reclaim { on_delete: Some(policy), ..Reclaim::default() }),
            ..StorageSpec::default()
        })
    };
    world.spec.storage = reclaim(ReclaimPolicy::Delete);
    world.settle();
    assert!(world.claims.values().all(|claim| claim.owned));
    world.spec.storage = reclaim(ReclaimPolicy::Retain);
    world.settle();
    assert!(world.claims.values().all(|claim| !claim.owned));
}

#[test]
fn case_24_all_that_is_unwise_is_said_in_one_condition() {
    let mut world = settled(2);
    world.spec.config = Some([("datum", "x"), ("sslQuorum", "true")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let plan = world.settle();
    let warning = plan.conditions.iter().find(|condition| condition.name == "Warning").unwrap();
    assert_eq!(warning.reason, "TwoVoters");
    for words in ["2 voters tolerate no failure", "sslQuorum: members with TLS", "know no datum"] {
        assert!(warning.message.contains(words), "{words:?} is not in {:?}", warning.message);
    }
    world.scale(3);
    let plan = world.settle();
    let warning = plan.conditions.iter().find(|condition| condition.name == "Warning").unwrap();
    assert_eq!(warning.reason, "UnwiseSetting");
}

#[test]
fn a_plan_says_which_rules_it_passed_over_on_the_way_to_its_step() {
    let names = |plan: &Plan| plan.considered.iter().map(|rule| rule.name).collect::<Vec<_>>();
    let page: Vec<&str> = PRECONDITION_RULES.iter().chain(MEMBERSHIP_RULES).map(|rule| rule.name).collect();
    let mut world = settled(3);
    assert_eq!(names(&world.pass()), page, "at rest every rule was asked");
    world.scale(5);
    let plan = world.pass();
    let objects = page.iter().position(|name| *name == "objects").unwrap();
    assert_eq!(names(&plan), page[..objects], "{:?}", plan.step);
    let plan = world.pass();
    assert!(matches!(plan.step, Step::AddPod(_)), "{:?}", plan.step);
    let grow = page.iter().position(|name| *name == "grow").unwrap();
    assert_eq!(names(&plan), page[..grow]);
}
