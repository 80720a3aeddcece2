//! What went wrong once: in other operators, by the number under which it was reported (`docs/regressions.md`), and in this
//! planner, as the simulation found it.

use menagerie::api::JvmSpec;
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Fact, Pool, Seat, ServerId};
use menagerie::plan::{Purpose, Step, Write, plan};
use serde_json::json;

use super::world::{World, zk};

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn heap(world: &mut World, heap: &str) {
    world.spec.jvm = Some(JvmSpec { heap: Some(heap.into()), ..JvmSpec::default() });
}

#[test]
fn regression_314_a_smaller_number_of_pods_is_fenced_by_the_set_that_it_was_decided_on_and_a_fresh_quorum_read() {
    let mut world = settled(3);
    world.scale(1);
    let lowered = loop {
        let seen = world.seen();
        let version = seen.set(Pool::Voters).unwrap().resource_version.clone();
        if let Step::RemovePod(resize) = plan(&seen).step {
            break (resize, version);
        }
        world.pass();
    };
    let (resize, version) = lowered;
    assert_eq!(resize.resource_version, version);
    assert!(!resize.uid.is_empty() && !resize.via.is_empty());
}

#[test]
fn regression_anvil_b_c_no_pod_goes_for_a_removal_that_was_not_confirmed_and_a_late_one_is_fenced() {
    let mut world = settled(3);
    world.scale(2);
    for _ in 0..5 {
        // The answer is lost, and so was the request.
        let Step::Leave { id, from, .. } = plan(&world.seen()).step else { panic!() };
        assert_eq!(id, ServerId(3));
        assert_eq!(&from, world.membership.as_ref().unwrap());
    }
    // It arrives at last, when another change was made meanwhile: the version that it bears is not the present one.
    let Step::Leave { from: late, .. } = world.pass().step else { panic!() };
    assert!(world.membership.as_ref().unwrap().version > late.version);
    while world.trace.len() < 2 {
        world.pass();
    }
    assert_eq!(world.trace, ["leave 3", "remove-pod 3"]);
}

#[test]
fn an_ensemble_that_comes_back_while_an_old_claim_is_going_is_not_taken_for_unborn_once_that_is_gone() {
    let mut world = settled(3);
    world.recreate("another-uid");
    world.claims.get_mut(&Seat::voter(2)).unwrap().going = true;
    // This pass only waits, and notes the identity in the status of the new object.
    assert!(matches!(world.pass().step, Step::Wait(reason) if reason.code == "ClaimTerminating"));
    world.claims.remove(&Seat::voter(2));
    assert!(matches!(world.pass().step, Step::Apply(_)), "the Services, whose addresses members are told");
    let Step::Apply(writes) = world.pass().step else { panic!() };
    let charter = writes.iter().find_map(|write| match write {
        Write::Apply { object, .. } if object.key.kind == Kind::ConfigMap => {
            object.json["data"]["charter.json"].as_str()
        }
        _ => None,
    });
    assert!(charter.unwrap().contains("\"birth\": false"), "{charter:?}");
}

#[test]
fn a_template_is_applied_only_to_the_set_that_was_seen_because_it_bears_the_number_of_pods() {
    let mut world = settled(3);
    heap(&mut world, "300Mi");
    let version = world.seen().sets[&Pool::Voters].resource_version.clone();
    let Step::Apply(writes) = plan(&world.seen()).step else { panic!() };
    let set = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
    let applied = writes.iter().find_map(|write| match write {
        Write::Apply { object, .. } if object.key == set => {
            Some(object.json["metadata"]["resourceVersion"].to_string())
        }
        _ => None,
    });
    assert_eq!(applied, Some(version));
}

#[test]
fn a_member_that_is_merely_silent_is_not_restarted_beside_one_that_is_missing() {
    let mut world = settled(5);
    world.down.insert(ServerId(4));
    world.silent.insert(ServerId(3));
    heap(&mut world, "300Mi");
    world.pass();
    let healed = plan(&world.seen()).step;
    assert!(matches!(&healed, Step::Restart(restart) if restart.id == ServerId(4)), "{healed:?}");
    world.made.get_mut(&3).unwrap().0 = world.revision();
    let silent = plan(&world.seen()).step;
    assert!(matches!(&silent, Step::Wait(_)), "{silent:?}");
}

#[test]
fn a_member_whose_volume_is_lost_does_not_wait_for_one_that_waits_for_it() {
    let mut world = settled(5);
    // Member 2 is out to be given a new volume, and cannot come back as long as member 1 holds up everything.
    world.membership.as_mut().unwrap().servers.remove(&ServerId(2));
    world.down = [ServerId(1), ServerId(2)].into();
    world.claims.get_mut(&Seat::voter(0)).unwrap().lost = Some("its node is gone".into());
    // Members are told of the membership first.
    assert!(matches!(world.pass().step, Step::Apply(_)));
    assert!(matches!(world.pass().step, Step::Tell(_)));
    let Step::Leave { id, why, .. } = plan(&world.seen()).step else { panic!() };
    assert_eq!((id, why), (ServerId(1), Purpose::Replace));
}

#[test]
fn regression_569_216_objects_of_which_only_some_were_made_are_completed() {
    let whole = settled(3);
    for key in whole.objects.keys() {
        let mut world = whole.clone();
        world.objects.remove(key);
        if key.kind == Kind::StatefulSet {
            world.down = (1..=3).map(ServerId).collect();
        }
        let Step::Apply(writes) = plan(&world.seen()).step else { panic!("{key:?}") };
        let made = writes.iter().any(|write| match write {
            Write::Apply { object, uid } => object.key == *key && uid.is_none(),
            Write::CreateSecret { object, .. } => object.key == *key,
        });
        assert!(made, "{key:?} is not made again");
    }
}

#[test]
fn regression_398_575_nothing_shrinks_while_it_is_unknown_who_leads() {
    let mut world = settled(3);
    world.silent = (1..=3).map(ServerId).collect();
    world.scale(2);
    for _ in 0..5 {
        assert!(matches!(world.pass().step, Step::Wait(_)));
    }
    assert!(world.seen().members.values().all(|fact| matches!(fact, Fact::Unknown(_))));
    world.silent.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.voters(), [1, 2]);
}

#[test]
fn regression_pdb_the_budget_follows_the_number_of_voters() {
    let mut world = settled(3);
    for (replicas, tolerated) in [(5, 2), (3, 1), (1, 1)] {
        world.scale(replicas).settle();
        let budget = ObjectKey { kind: Kind::PodDisruptionBudget, name: "zk".into() };
        let menagerie::model::Live::Ours(live) = &world.objects[&budget] else { panic!() };
        assert_eq!(live["spec"]["maxUnavailable"], json!(tolerated), "of {replicas}");
    }
}
