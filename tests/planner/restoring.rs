//! While znodes are restored, members stay as they are, unless one is in trouble.

use menagerie::api::JvmSpec;
use menagerie::model::ServerId;
use menagerie::plan::{Plan, Step};

use super::world::{World, zk};

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn waits(plan: &Plan) -> &str {
    match &plan.step {
        Step::Wait(reason) => reason.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_is_added_taken_out_or_restarted_while_znodes_are_restored_and_all_of_it_is_done_afterwards() {
    let mut world = settled(3);
    world.restoring = Some("undo".to_owned());
    assert_eq!(world.settle().step, Step::Rest, "with nothing to do, a restore is nothing to wait for");
    let plan = world.scale(5).settle();
    assert_eq!(waits(&plan), "Restoring");
    let said = plan.conditions.iter().find(|condition| condition.name == "Progressing").unwrap();
    assert!(said.message.contains("while ZooKeeperRestore undo changes znodes"), "{}", said.message);
    assert!(said.message.contains("kubectl -n ns delete zkr undo"), "{}", said.message);
    let plan = world.scale(1).settle();
    assert_eq!(waits(&plan), "Restoring");
    world.scale(3);
    world.spec.jvm = Some(JvmSpec { heap: Some("1Gi".into()), flags: None });
    let plan = world.settle();
    assert_eq!(waits(&plan), "Restoring");
    // The Services of members that were not made, after the change of mind.
    assert!(world.trace.iter().all(|step| step.starts_with("delete ")), "{:?}", world.trace);

    world.trace.clear();
    world.restoring = None;
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["restart 2", "restart 1", "leave 3", "join 3", "restart 3"]);
}

#[test]
fn a_leader_that_gave_up_its_seat_has_it_back_although_a_restore_began() {
    let mut world = settled(3);
    assert_eq!(world.leader(), Some(ServerId(3)));
    world.spec.jvm = Some(JvmSpec { heap: Some("1Gi".into()), flags: None });
    for _ in 0..200 {
        if world.trace.last().is_some_and(|step| step == "leave 3") {
            break;
        }
        world.pass();
    }
    world.restoring = Some("undo".to_owned());
    let plan = world.settle();
    assert_eq!(waits(&plan), "Restoring");
    assert_eq!(world.trace.last().map(String::as_str), Some("join 3"), "{:?}", world.trace);
}
