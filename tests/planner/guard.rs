//! What anybody may do from birth is taken away, once.

use menagerie::api::{AclEntry, Guarded, JvmSpec};
use menagerie::model::acl::{NARROW, RootAcl};
use menagerie::model::{Acl, ServerId};
use menagerie::plan::{ConditionStatus, Operation, Plan, Step, UntimedCondition, plan};

use super::meddler::Meddler;
use super::world::{UID, World, zk};

fn entry(scheme: &str, id: &str, perms: &str) -> AclEntry {
    AclEntry { scheme: scheme.into(), id: id.into(), perms: perms.into() }
}

fn condition<'a>(plan: &'a Plan, name: &str) -> &'a UntimedCondition {
    plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}: {plan:?}"))
}

fn ready(world: &World) -> ConditionStatus {
    let conditions = plan(&world.seen()).conditions;
    conditions.into_iter().find(|condition| condition.name == "Ready").unwrap().status
}

/// Until rights are taken away; what becomes of the root's ACL.
fn guarded(world: &mut World) -> RootAcl {
    for _ in 0..20 {
        if let Step::Guard(guard) = world.pass().step {
            return guard.root;
        }
    }
    panic!("nothing is guarded: {:?}", world.trace);
}

#[test]
fn a_new_ensemble_is_guarded_before_it_is_called_ready_and_once() {
    let mut world = zk(3);
    while world.guarded == 0 {
        assert_eq!(ready(&world), ConditionStatus::False, "{:?}", world.trace);
        world.pass();
    }
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(ready(&world), ConditionStatus::True);
    world.scale(5).settle();
    world.scale(1).settle();
    assert_eq!(world.guarded, 1);
    let guarded = world.status.guarded.unwrap();
    assert_eq!(guarded, Guarded { identity: UID.into(), zookeeper: "world:anyone:r".into(), root: None });
}

#[test]
fn an_ensemble_that_runs_is_guarded_once_and_so_is_one_whose_status_was_lost_or_is_another_ones() {
    let mut world = zk(3);
    world.settle();
    world.status.guarded = None;
    world.settle();
    assert_eq!(world.guarded, 2);
    world.status.guarded.as_mut().unwrap().identity = "another".into();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!((world.guarded, world.status.guarded.unwrap().identity.as_str()), (3, UID));
}

#[test]
fn it_waits_for_a_quorum_and_not_for_a_member_that_is_missing() {
    let mut world = zk(3);
    world.down = [ServerId(1), ServerId(2)].into();
    world.settle();
    assert_eq!(world.guarded, 0, "there was nobody to ask");
    world.down = [ServerId(1)].into();
    assert!(matches!(world.settle().step, Step::Wait(_)));
    assert_eq!(world.guarded, 1, "a quorum is enough");
}

#[test]
fn a_second_look_stands_before_it_and_what_is_more_urgent_too() {
    let mut world = zk(3);
    world.settle();
    world.status.guarded = None;
    let operations = plan(&world.seen()).step.operations();
    // An address that was given to another ensemble's member would have that one's rights taken away: its super user may have
    // the same password.
    let [Operation::LookAgain, Operation::Confirm { expected, .. }, Operation::Guard(_)] = &operations[..] else {
        panic!("{operations:?}")
    };
    assert_eq!(expected.membership, world.membership);
    world.scale(5);
    world.pass();
    assert_eq!(world.guarded, 1, "growth waits for nothing here: {:?}", world.trace);
}

#[test]
fn an_acl_of_the_root_that_somebody_else_set_is_left_to_them_unless_the_spec_says_one() {
    let mut world = zk(1);
    assert_eq!(guarded(&mut world), RootAcl::Narrow { ours: Vec::new() });
    world.settle();
    world.spec.root_acl = Some(vec![entry("world", "anyone", "r"), entry("sasl", "solr", "adcrw")]);
    let texts: Vec<String> = match guarded(&mut world) {
        RootAcl::Set(acl) => acl.iter().map(Acl::to_string).collect(),
        narrow @ RootAcl::Narrow { .. } => panic!("{narrow:?}"),
    };
    assert_eq!(texts, ["world:anyone:r", "sasl:solr:cdrwa"]);
    assert_eq!(world.settle().step, Step::Rest);
    // The same again, written otherwise, is nothing new.
    world.spec.root_acl.as_mut().unwrap()[1].perms = "cdrwaa".into();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.guarded, 2);
    // Taken out of the spec: what this operator set is known as its own, and gives way to the default.
    world.spec.root_acl = None;
    assert_eq!(guarded(&mut world), RootAcl::Narrow { ours: texts });
    assert_eq!(NARROW, "world:anyone:cdr");
}

#[test]
fn an_acl_that_names_nobody_is_refused_before_anything_is_done() {
    let mut world = zk(1);
    world.settle();
    world.spec.root_acl = Some(vec![entry("auth", "x", "r")]);
    let Step::Refuse(reason) = world.settle().step else { panic!("it is not refused") };
    assert!(reason.code == "InvalidSpec" && reason.message.contains("rootAcl"), "{}", reason.message);
}

const NO_PROVIDER: &str = "the servers refuse spec.rootAcl (sasl:solr:cdrwa): a scheme is unknown to them";

/// At rest, and from now on with an entry that no provider of the servers takes.
fn with_a_scheme_that_nobody_knows(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest);
    world.meddler = Some(Meddler { unguarded: Some(NO_PROVIDER), ..Meddler::default() });
    world.spec.root_acl = Some(vec![entry("sasl", "solr", "cdrwa")]);
    world
}

#[test]
fn a_guard_that_is_refused_hides_no_roll_that_halted_and_is_tried_again_with_growing_pauses() {
    let mut world = with_a_scheme_that_nobody_knows(3);
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    let restarted = (0..10).find_map(|_| match world.pass().step {
        Step::Restart(restart) => Some(restart.id),
        _ => None,
    });
    world.down.insert(restarted.unwrap());
    let mut tries = Vec::new();
    for second in 0..120 {
        let plan = world.pass();
        match &plan.step {
            Step::Guard(_) => tries.push(second),
            Step::Wait(reason) => assert_eq!(reason.code, "RollHalted"),
            step => panic!("{step:?}"),
        }
        for name in ["Degraded", "Ready", "Progressing"] {
            assert_eq!(condition(&plan, name).reason, "RollHalted", "{name} in second {second}");
        }
        if second > 0 {
            let hindered = condition(&plan, "Hindered");
            assert!(hindered.reason == "GuardRefused" && hindered.message.contains(NO_PROVIDER), "{hindered:?}");
        }
        world.now += 1;
    }
    assert!(tries[0] == 0 && (3..8).contains(&tries.len()), "{tries:?}");
    let pauses: Vec<i32> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.is_sorted() && pauses.last() > pauses.first(), "{pauses:?}");
}

#[test]
fn a_guard_that_is_refused_at_rest_is_said_all_the_time_and_another_acl_is_tried_at_once() {
    let mut world = with_a_scheme_that_nobody_knows(3);
    world.pass();
    for _ in 0..60 {
        let plan = world.pass();
        let degraded = condition(&plan, "Degraded");
        assert_eq!((degraded.status, degraded.reason), (ConditionStatus::True, "GuardRefused"));
        assert_eq!(
            (condition(&plan, "Ready").status, condition(&plan, "Progressing").status),
            (ConditionStatus::False, ConditionStatus::False)
        );
        world.now += 1;
    }
    world.meddler.as_mut().unwrap().unguarded = None;
    world.spec.root_acl = Some(vec![entry("world", "anyone", "r")]);
    assert!(matches!(plan(&world.seen()).step, Step::Guard(_)));
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(ready(&world), ConditionStatus::True);
}

#[test]
fn a_guard_that_is_refused_holds_up_no_restart_that_is_asked_for() {
    let mut world = with_a_scheme_that_nobody_knows(3);
    world.pass();
    world.asked.insert(ServerId(1));
    assert!(matches!(plan(&world.seen()).step, Step::Restart(_)));
}
