//! Policies at work, from the write through the note to the next decision: what does not depend on it goes on.

use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Seat, ServerId};
use menagerie::plan::{ConditionStatus, Plan, Step, UntimedCondition, plan};
use serde_json::{Value, json};

use super::meddler::{Meddler, Verb};
use super::world::{World, zk};

const INSTANCE: &str = "app.kubernetes.io/instance";
const VERSION: &str = "menagerie.dev/version";
const BORN: &str = "menagerie.dev/born";
const DENIED: &str = "admission webhook \"validate.kyverno.svc-fail\" denied the request";

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn condition<'a>(plan: &'a Plan, name: &str) -> &'a UntimedCondition {
    plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}: {plan:?}"))
}

/// Its server does not run, and its pod is to be made anew.
fn down_and_due(world: &mut World, id: u32) {
    world.down.insert(ServerId(id));
    world.asked.insert(ServerId(id));
}

/// As many passes as a minute has room for.
fn passes(world: &mut World) -> Plan {
    for _ in 0..20 {
        world.pass();
    }
    plan(&world.seen())
}

fn labels<'a>(key: &ObjectKey, json: &'a mut Value) -> Option<&'a mut serde_json::Map<String, Value>> {
    (key.kind == Kind::PersistentVolumeClaim).then(|| json["metadata"]["labels"].as_object_mut()).flatten()
}

fn adds_an_instance(key: &ObjectKey, json: &mut Value) {
    if let Some(labels) = labels(key, json) {
        labels.entry(INSTANCE).or_insert_with(|| json!("by-policy"));
    }
}

fn sets_an_instance(key: &ObjectKey, json: &mut Value) {
    if let Some(labels) = labels(key, json) {
        labels.insert(INSTANCE.into(), json!("by-policy"));
    }
}

fn strips_the_version(key: &ObjectKey, json: &mut Value) {
    if key.kind == Kind::PersistentVolumeClaim {
        json["metadata"]["annotations"].as_object_mut().unwrap().remove(VERSION);
    }
}

fn strips_the_birth(key: &ObjectKey, json: &mut Value) {
    if let Some(labels) = labels(key, json) {
        labels.remove(BORN);
    }
}

/// A policy, and the field of a claim that it wants otherwise.
type Policy = (fn(&ObjectKey, &mut Value), &'static str);

const POLICIES: [Policy; 4] = [
    (adds_an_instance, INSTANCE),
    (sets_an_instance, INSTANCE),
    (strips_the_version, VERSION),
    (strips_the_birth, BORN),
];

#[test]
fn what_a_policy_makes_of_a_claims_metadata_holds_up_neither_healing_nor_growth_and_is_named() {
    for (mutate, field) in POLICIES {
        let mut world = settled(3);
        world.meddler = Some(Meddler { mutate, ..Meddler::default() });
        // As the claims look that were made under it.
        for claim in world.claims.values_mut() {
            claim.instance = (field == INSTANCE).then(|| "by-policy".to_owned());
            claim.ran = None;
            claim.born = field != BORN;
        }
        down_and_due(&mut world, 2);
        let held = passes(&mut world);
        assert!(world.trace.contains(&"restart 2".to_owned()), "{field}: {:?} {:?}", held.step, world.trace);
        world.down.clear();
        world.scale(5);
        let rest = world.settle();
        assert_eq!((&rest.step, world.voters()), (&Step::Rest, vec![1, 2, 3, 4, 5]), "{field}: {:?}", world.trace);
        assert_eq!(condition(&rest, "Ready").status, ConditionStatus::True);
        let said = condition(&rest, "Hindered");
        assert_eq!(said.reason, "Overruled");
        for words in ["PersistentVolumeClaim data-zk-0", field, "webhook"] {
            assert!(said.message.contains(words), "{field}: {}", said.message);
        }
    }
}

#[test]
fn who_holds_a_claims_field_is_named_by_the_api_servers_record() {
    let mut world = settled(3);
    world.meddler = Some(Meddler { mutate: sets_an_instance, ..Meddler::default() });
    for claim in world.claims.values_mut() {
        claim.instance = Some("by-policy".into());
        claim.managed = json!([{
            "manager": "team-tool", "operation": "Update",
            "fieldsV1": {"f:metadata": {"f:labels": {format!("f:{INSTANCE}"): {}}}},
        }]);
    }
    let rest = world.settle();
    let message = &condition(&rest, "Hindered").message;
    assert!(message.contains("changed by team-tool"), "{message}");
}

#[test]
fn two_policies_that_take_turns_are_recognised_place_by_place() {
    let mut world = settled(3);
    world.meddler = Some(Meddler { mutate: adds_an_instance, ..Meddler::default() });
    down_and_due(&mut world, 2);
    for pass in 0..20 {
        for claim in world.claims.values_mut() {
            claim.instance = Some("by-policy".into());
            claim.owned = pass % 2 == 0;
        }
        world.pass();
    }
    assert!(world.trace.contains(&"restart 2".to_owned()), "{:?}", world.trace);
}

#[test]
fn an_object_that_somebody_deletes_each_time_it_is_made_holds_up_nobody_else() {
    let mut world = settled(3);
    let gone = |key: &ObjectKey| key.kind == Kind::PodDisruptionBudget || key.name == "zk-client";
    world.meddler = Some(Meddler { deletes: gone, ..Meddler::default() });
    world.objects.retain(|key, _| !gone(key));
    down_and_due(&mut world, 2);
    let held = passes(&mut world);
    assert!(world.trace.contains(&"restart 2".to_owned()), "{:?} {:?}", held.step, world.trace);
    let message = &condition(&held, "Hindered").message;
    assert!(message.contains("PodDisruptionBudget zk is gone each time"), "{message}");
    // Whoever did it has stopped, and the pause is over.
    world.meddler.as_mut().unwrap().deletes = |_| false;
    world.down.clear();
    world.now += 600;
    assert_eq!(world.settle().step, Step::Rest);
    assert!(world.objects.contains_key(&ObjectKey { kind: Kind::PodDisruptionBudget, name: "zk".into() }));
}

/// Nobody may delete this member's pod.
fn protects_the_third(key: &ObjectKey, verb: Verb) -> Option<&'static str> {
    (verb == Verb::Delete && key.kind == Kind::Pod && key.name == "zk-2").then_some(DENIED)
}

#[test]
fn a_pod_whose_deletion_is_refused_is_passed_over_and_another_one_is_healed() {
    let mut world = settled(5);
    world.meddler = Some(Meddler { refuses: protects_the_third, ..Meddler::default() });
    down_and_due(&mut world, 3);
    down_and_due(&mut world, 4);
    passes(&mut world);
    assert_eq!(world.trace, ["restart 4"]);
    world.down.remove(&ServerId(4));
    let held = passes(&mut world);
    assert!(matches!(&held.step, Step::Wait(reason) if reason.code == "MemberNotSynced"), "{:?}", held.step);
    let said = condition(&held, "Hindered");
    assert_eq!(said.reason, "ApplyRefused");
    assert!(said.message.contains("failed to delete Pod zk-2") && said.message.contains(DENIED), "{}", said.message);
    // Another pod of that name is another one, and so is a later moment.
    world.meddler = Some(Meddler::default());
    passes(&mut world);
    assert_eq!(world.trace, ["restart 4", "restart 3"]);
}

#[test]
fn a_pod_whose_deletion_is_refused_holds_up_neither_a_roll_of_the_others_nor_growth() {
    let mut world = settled(3);
    world.meddler = Some(Meddler { refuses: protects_the_third, ..Meddler::default() });
    world.asked.extend([1, 2, 3].map(ServerId));
    passes(&mut world);
    assert!(world.trace.contains(&"restart 1".to_owned()) && world.trace.contains(&"restart 2".to_owned()));
    assert_eq!(world.voters(), [1, 2, 3], "it joined as it is: {:?}", world.trace);
    world.scale(4);
    let held = passes(&mut world);
    assert_eq!(world.voters(), [1, 2, 3, 4], "{:?} {:?}", held.step, world.trace);
    assert!(matches!(&held.step, Step::Refuse(reason) if reason.message.contains(DENIED)), "{:?}", held.step);
    assert_eq!(condition(&held, "QuorumAvailable").status, ConditionStatus::True);
}

#[test]
fn a_claim_that_may_not_be_deleted_keeps_its_member_in_the_membership() {
    let mut world = settled(3);
    let refuses = |key: &ObjectKey, verb: Verb| {
        (verb == Verb::Delete && key.kind == Kind::PersistentVolumeClaim).then_some(DENIED)
    };
    world.meddler = Some(Meddler { refuses, ..Meddler::default() });
    world.replace.insert(ServerId(2));
    let held = passes(&mut world);
    assert_eq!(world.voters(), [1, 2, 3], "it came back as it is: {:?}", world.trace);
    assert!(condition(&held, "Hindered").message.contains("failed to delete PersistentVolumeClaim data-zk-1"));
    assert!(!world.trace.iter().any(|done| done.starts_with("replace-volume")), "{:?}", world.trace);
}

#[test]
fn a_set_that_is_not_let_shrink_holds_up_no_restart() {
    let mut world = settled(5);
    let refuses =
        |key: &ObjectKey, verb: Verb| (verb == Verb::Apply && key.kind == Kind::StatefulSet).then_some(DENIED);
    world.meddler = Some(Meddler { refuses, ..Meddler::default() });
    world.scale(3);
    passes(&mut world);
    world.asked.insert(ServerId(1));
    let held = passes(&mut world);
    assert!(world.trace.contains(&"restart 1".to_owned()), "{:?} {:?}", held.step, world.trace);
    assert!(matches!(&held.step, Step::Refuse(reason) if reason.message.contains(DENIED)), "{:?}", held.step);
}

#[test]
fn claims_that_were_never_bound_and_may_not_be_deleted_are_refused_with_the_words_and_the_command() {
    let mut world = zk(3);
    world.unplaced = [1, 2, 3].map(ServerId).into();
    world.settle();
    world.orphan("the next");
    world.objects.clear();
    let refuses = |_: &ObjectKey, verb: Verb| (verb == Verb::Delete).then_some(DENIED);
    world.meddler = Some(Meddler { refuses, ..Meddler::default() });
    let held = passes(&mut world);
    let Step::Refuse(reason) = &held.step else { panic!("{:?}", held.step) };
    assert_eq!(reason.code, "ApplyRefused");
    for words in [DENIED, "kubectl -n ns delete pvc data-zk-0 data-zk-1 data-zk-2"] {
        assert!(reason.message.contains(words), "{}", reason.message);
    }
    assert!(world.claims.contains_key(&Seat::voter(0)));
}
