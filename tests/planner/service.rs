//! Members that serve and that no client comes to: a container beside the server takes the pod out of every Service.

use menagerie::api::{JvmSpec, StorageSpec, UpdatePolicy};
use menagerie::model::Seat;
use menagerie::plan::{ConditionStatus, Plan, Step, UntimedCondition, plan};

use super::world::{World, zk};

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    world.spec.update_policy = Some(UpdatePolicy { deadline_seconds: Some(60), ..Default::default() });
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn heap(world: &mut World, heap: &str) {
    world.spec.jvm = Some(JvmSpec { heap: Some(heap.into()), flags: None });
}

fn condition<'a>(plan: &'a Plan, name: &str) -> &'a UntimedCondition {
    plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// The next revision has a container that ends again and again.
fn with_a_failing_container(world: &mut World) {
    heap(world, "1Gi");
    world.pass();
    world.failing.insert(world.revision());
}

#[test]
fn a_container_that_fails_beside_the_server_halts_the_roll_at_the_first_member_and_is_named() {
    let mut world = settled(3);
    with_a_failing_container(&mut world);
    let plan = world.settle();
    assert_eq!(world.trace, ["restart 2"]);
    let degraded = condition(&plan, "Degraded");
    assert_eq!(degraded.reason, "RollHalted");
    assert!(
        degraded.message.contains("pod zk-1") && degraded.message.contains("exporter ended with 1"),
        "{degraded:?}"
    );
    // In its first moments it is only waited for.
    let mut seen = world.seen();
    let now = seen.now;
    seen.pods.get_mut(&Seat::voter(1)).unwrap().since = now - 10;
    let Step::Wait(reason) = menagerie::plan::plan(&seen).step else { panic!() };
    assert_eq!(reason.code, "MemberNotReady");
    assert!(reason.message.contains("exporter ended with 1"), "{}", reason.message);
}

#[test]
fn between_two_ends_of_a_container_its_pod_is_not_taken_for_well() {
    let mut world = settled(3);
    with_a_failing_container(&mut world);
    while world.trace.is_empty() {
        world.pass();
    }
    let mut seen = world.seen();
    let now = seen.now;
    let restarted = seen.pods.get_mut(&Seat::voter(1)).unwrap();
    (restarted.shut, restarted.since) = (None, now - 20);
    restarted.shaky = Some((now - 2, "container exporter ended with 1".into()));
    assert!(matches!(plan(&seen).step, Step::Wait(reason) if reason.code == "MemberNotReady"));
    seen.pods.get_mut(&Seat::voter(1)).unwrap().shaky = Some((now - 700, "container exporter ended with 1".into()));
    assert!(matches!(plan(&seen).step, Step::Restart(_)), "it has run for long by now");
}

#[test]
fn a_spec_that_is_put_right_rolls_all_even_where_no_pod_is_ready() {
    let mut world = settled(3);
    world.failing.insert(world.revision());
    let plan = world.settle();
    let ready = condition(&plan, "Ready");
    assert_eq!((ready.status, ready.reason), (ConditionStatus::False, "NoEndpoint"), "{ready:?}");
    let warning = condition(&plan, "Warning");
    assert_eq!(warning.reason, "NotInService");
    assert!(warning.message.contains("pod zk-2: container exporter ended with 1"), "{}", warning.message);
    heap(&mut world, "1Gi");
    let plan = world.settle();
    assert_eq!(plan.step, Step::Rest, "{:?}", world.trace);
    assert_eq!(world.trace.iter().filter(|word| word.starts_with("restart")).count(), 3, "{:?}", world.trace);
    assert_eq!(condition(&plan, "Ready").status, ConditionStatus::True);
}

#[test]
fn a_halted_roll_goes_on_with_a_spec_that_is_put_right() {
    let mut world = settled(3);
    with_a_failing_container(&mut world);
    world.settle();
    heap(&mut world, "2Gi");
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert!(world.made.values().all(|(revision, _)| *revision == world.revision()));
}

#[test]
fn one_member_out_of_service_is_a_warning_and_the_ensemble_is_ready_for_the_others() {
    let world = settled(3);
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().shut = Some("container exporter ended with 1".into());
    let plan = plan(&seen);
    assert_eq!(condition(&plan, "Ready").status, ConditionStatus::True);
    assert_eq!(condition(&plan, "Warning").reason, "NotInService");
}

#[test]
fn a_limit_on_an_ephemeral_disk_is_warned_of() {
    let mut world = zk(3);
    world.spec.storage =
        Some(StorageSpec { ephemeral: Some(true), size: Some("1Gi".into()), ..StorageSpec::default() });
    let mut seen = settled(3).seen();
    seen.desired = menagerie::model::Desired::from_spec(&world.spec);
    let plan = plan(&seen);
    let warning = condition(&plan, "Warning");
    assert_eq!(warning.reason, "EphemeralLimit");
    assert!(warning.message.contains("1Gi") && warning.message.contains("evicted"), "{}", warning.message);
}
