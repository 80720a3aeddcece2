//! Every wait has a way out: what a person changes in the spec is followed from wherever the ensemble is stuck. The states
//! are listed in `docs/states.md`.

use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Live, Seat, ServerId};
use menagerie::plan::{ConditionStatus, Plan, Step, Write, plan};
use serde_json::json;

use super::rights::{granted, may};
use super::scenarios::{condition, five_without, ids, reason, settled};
use super::world::{UID, World, zk};

#[test]
fn case_04_two_of_five_that_never_ran_are_taken_out_when_three_are_asked_for() {
    let mut world = five_without(&[4, 5]);
    assert!(reason(&world.settle()).1.contains("replicas: 3"), "{}", reason(&world.settle()).1);
    assert_eq!(world.scale(3).settle().step, Step::Rest, "{:?}", world.trace);
    assert_eq!(world.trace[..4], ["leave 5", "remove-pod 5", "leave 4", "remove-pod 4"]);
    assert_eq!(world.voters(), [1, 2, 3]);
}

#[test]
fn case_04_an_affinity_that_keeps_members_away_is_got_rid_of_by_way_of_three() {
    let mut world = five_without(&[4, 5]);
    world.spec.jvm = Some(menagerie::api::JvmSpec { heap: Some("300Mi".into()), flags: None });
    let plan = world.settle();
    assert_eq!(world.trace, ["restart 4", "restart 5"], "with two of five missing nobody else can be spared");
    assert!(reason(&plan).1.contains("replicas: 3"), "{}", reason(&plan).1);
    assert_eq!(world.scale(3).settle().step, Step::Rest);
    assert_eq!(world.trace.iter().filter(|step| step.starts_with("restart")).count(), 3, "{:?}", world.trace);
    world.unplaced.clear();
    assert_eq!(world.scale(5).settle().step, Step::Rest);
}

#[test]
fn a_member_that_serves_does_not_leave_while_another_is_missing() {
    let mut world = settled(5);
    world.down.insert(ServerId(2));
    assert_eq!(reason(&world.scale(4).settle()).0, "MemberNotSynced");
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    world.down = ids(&[2, 5]);
    world.scale(4).settle();
    assert_eq!(world.trace, ["leave 5", "remove-pod 5", "delete zk-4"], "one that does not serve takes nothing along");
}

#[test]
fn one_that_is_merely_silent_does_not_leave() {
    let mut world = settled(5);
    world.silent = ids(&[5]);
    assert_eq!(world.leader(), Some(ServerId(5)), "and may lead, for all that is known");
    for silent in [5, 4] {
        world.silent = ids(&[silent]);
        world.scale(3).settle();
        assert!(world.trace.is_empty(), "{:?}", world.trace);
    }
}

#[test]
fn case_r06_a_mistyped_version_that_never_ran_is_taken_back() {
    let mut world = settled(3);
    world.nowhere = ["3.10.0".into()].into();
    world.spec.version = "3.10.0".into();
    world.settle();
    assert_eq!(world.trace, ["restart 2"], "the roll halts at the first that does not come back");
    world.spec.version = "3.9.5".into();
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert_eq!(world.trace, ["restart 2", "restart 2"]);
}

#[test]
fn case_r06_at_a_birth_any_version_may_follow_any_other() {
    let mut world = zk(1);
    world.nowhere = ["3.95.0".into()].into();
    world.spec.version = "3.95.0".into();
    assert_eq!(reason(&world.settle()).0, "Founding");
    world.spec.version = "3.9.5".into();
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn a_version_that_ran_on_a_volume_stays_on_record_when_its_pod_is_gone_and_when_the_ensemble_is_made_again() {
    let mut world = settled(1);
    world.spec.version = "3.10.0".into();
    world.settle();
    assert_eq!(world.claims[&Seat::voter(0)].ran.as_deref(), Some("3.10.0"));
    world.unplaced = ids(&[1]);
    world.spec.version = "3.9.5".into();
    assert_eq!(reason(&world.settle()).0, "VersionRefused", "its files are of 3.10 wherever its pod is");
    world.recreate("another-uid");
    world.spec.version = "3.9.5".into();
    assert_eq!(reason(&world.settle()).0, "VersionRefused");
    world.spec.version = "3.10.1".into();
    world.unplaced.clear();
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn a_volume_of_which_an_older_operator_noted_no_version_has_that_of_the_template() {
    let mut world = settled(1);
    world.claims.get_mut(&Seat::voter(0)).unwrap().ran = None;
    world.unplaced = ids(&[1]);
    world.spec.version = "3.11.0".into();
    assert_eq!(reason(&world.settle()).0, "VersionRefused");
}

#[test]
fn case_05_objects_without_their_owner_are_taken_up_again_and_nothing_is_restarted() {
    let mut world = settled(3);
    let (revision, charter) = (world.revision(), world.seen().charter);
    world.orphan("another-uid");
    let Step::Apply(writes) = world.pass().step else { panic!("{:?}", plan(&world.seen()).step) };
    assert_eq!(writes.len() + 1, world.objects.len(), "all of them at once, but the Secret");
    for write in &writes {
        let Write::Apply { object, uid } = write else { panic!("the password that members know is lost: {write:?}") };
        assert_ne!(object.key.kind, Kind::Secret, "the operator may not change one");
        assert_eq!(object.json["metadata"]["ownerReferences"][0]["uid"], "another-uid", "{:?}", object.key);
        assert!(uid.is_some(), "{:?}: another object of that name could be taken", object.key);
    }
    let plan = world.settle();
    assert_eq!((plan.step, world.trace.len()), (Step::Rest, 0), "a Secret without an owner is no lack");
    let secret = ObjectKey { kind: Kind::Secret, name: "zk-super".into() };
    assert!(matches!(world.objects[&secret], Live::Orphan(_)));
    assert_eq!(
        (plan.status.identity.as_deref(), world.revision(), world.seen().charter),
        (Some(UID), revision, charter)
    );
}

#[test]
fn whatever_is_there_of_an_object_nothing_is_done_that_the_chart_gives_no_right_to() {
    let world = settled(3);
    for key in world.objects.keys() {
        let live = world.objects[key].held().unwrap();
        let mut changed = live.clone();
        changed["metadata"]["annotations"] = json!({});
        for other in [
            None,
            Some(Live::Ours(changed.clone())),
            Some(Live::Orphan(changed.clone())),
            Some(Live::Orphan(live.clone())),
        ] {
            let mut seen = world.seen();
            match other {
                Some(live) => drop(seen.objects.insert(key.clone(), live)),
                None => drop(seen.objects.remove(key)),
            }
            granted(&plan(&seen).step.operations());
        }
    }
    let kinds = world.objects.keys().map(|key| key.kind).chain([Kind::Pod, Kind::PersistentVolumeClaim]);
    for kind in kinds {
        assert!(["get", "list", "watch"].iter().all(|verb| may(kind, verb)), "{}", kind.as_str());
    }
    assert!(!may(Kind::Secret, "patch") && !may(Kind::Secret, "delete"), "a password is nobody's to change here");
}

#[test]
fn case_05_objects_without_an_owner_that_bear_another_identity_than_the_claims_start_nothing() {
    let mut world = settled(3);
    world.orphan("another-uid");
    world.claims.get_mut(&Seat::voter(1)).unwrap().identity = Some("somebody".into());
    let before = world.objects.clone();
    let plan = world.settle();
    assert_eq!(reason(&plan).0, "ForeignObject");
    assert!(reason(&plan).1.contains("data-zk-1 of somebody"), "{}", reason(&plan).1);
    assert!(world.objects == before);
}

#[test]
fn case_05_all_that_is_in_the_way_is_named_at_once() {
    let mut world = zk(3);
    for name in ["zk-client", "zk-0", "zk-1"] {
        let key = ObjectKey { kind: Kind::Service, name: name.into() };
        world.objects.insert(key, Live::Foreign { owner: format!("Deployment of {name}") });
    }
    let plan = world.settle();
    for name in ["zk-client", "zk-0", "zk-1"] {
        assert!(
            reason(&plan).1.contains(&format!("Service {name} belongs to Deployment of {name}")),
            "{}",
            reason(&plan).1
        );
    }
}

#[test]
fn case_r15_a_stateful_set_that_somebody_scaled_at_a_birth_gets_its_founders_back() {
    let mut world = zk(3);
    world.down = ids(&[1, 2, 3]);
    world.settle();
    let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
    if let Some(Live::Ours(json)) = world.objects.get_mut(&key) {
        json["spec"]["replicas"] = json!(1);
    }
    world.down.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.voters(), [1, 2, 3]);
}

#[test]
fn case_r15_fewer_are_born_when_those_that_go_were_never_anywhere() {
    let mut world = zk(3);
    world.unplaced = ids(&[2, 3]);
    assert_eq!(reason(&world.settle()).0, "PodStuck");
    assert_eq!(world.scale(1).settle().step, Step::Rest);
    assert_eq!((world.voters(), world.pods()), (vec![1], 1));
}

#[test]
fn case_r15_fewer_are_not_born_when_one_of_those_that_go_had_a_volume_and_the_way_out_is_said() {
    let mut world = zk(3);
    world.down = ids(&[1, 2]);
    world.settle();
    let plan = world.scale(1).settle();
    assert_eq!((reason(&plan).0, world.pods()), ("Founding", 3));
    assert!(reason(&plan).1.contains("kubectl -n ns delete pvc -l menagerie.dev/ensemble=zk"), "{}", reason(&plan).1);
}

#[test]
fn case_r15_a_claim_that_was_never_bound_is_not_taken_up_by_the_next_ensemble_of_that_name() {
    let mut world = zk(1);
    world.unplaced = ids(&[1]);
    world.settle();
    world.recreate("another-uid");
    assert!(world.claims[&Seat::voter(0)].volume.is_none());
    let plan = world.settle();
    assert_eq!((plan.step, world.trace.clone()), (Step::Rest, vec!["delete data-zk-0".to_owned()]));
    assert_eq!(plan.status.identity.as_deref(), Some("another-uid"), "nothing of the first is left");
}

#[test]
fn case_25_a_corrected_domain_gives_the_founders_their_names_until_they_are_born() {
    let mut world = zk(3);
    world.down = ids(&[1, 2, 3]);
    world.settle();
    let mut seen = world.seen();
    seen.names.domain = "k8s.example".into();
    let Step::Apply(writes) = plan(&seen).step else { panic!("{:?}", plan(&seen).step) };
    let told = writes.iter().find_map(|write| match write {
        Write::Apply { object, .. } => object.json["data"]["charter.json"].as_str(),
        Write::CreateSecret { .. } => None,
    });
    let told = told.unwrap();
    assert!(told.contains("zk-2.ns.svc.k8s.example") && !told.contains("cluster.local"), "{told}");
    world.down.clear();
    world.settle();
    let mut seen = world.seen();
    seen.names.domain = "k8s.example".into();
    let confirmed = plan(&seen).status.membership.unwrap();
    assert!(confirmed.servers[0].contains("cluster.local"), "a membership that was agreed on is what it is");
}

fn said(plan: &Plan, name: &str) -> (&'static str, String) {
    let condition =
        plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}"));
    (condition.reason, condition.message.clone())
}

#[test]
fn case_r09_of_two_voters_that_know_an_old_password_one_is_restarted_in_its_place_when_somebody_asks_for_it() {
    let mut world = settled(2);
    world.refusing = ids(&[1, 2]);
    for _ in 0..3 {
        assert_eq!(said(&world.pass(), "Degraded").0, "SuperUserDenied");
    }
    assert!(world.trace.is_empty(), "the operator does not take the quorum away by itself: {:?}", world.trace);
    world.asked = ids(&[1]);
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["restart 1", "leave 2", "restart 2", "join 2"]);
}

#[test]
fn case_10_who_refuses_the_super_user_is_restarted_before_a_member_is_added_or_taken_out() {
    for replicas in [5, 2] {
        let mut world = settled(3);
        world.refusing = ids(&[1, 2, 3]);
        assert_eq!(world.scale(replicas).settle().step, Step::Rest, "{:?}", world.trace);
        assert!(world.refusing.iter().all(|id| id.0 > world.pods()), "{:?}", world.trace);
        let changes = |step: &&String| step.starts_with("join") || step.starts_with("leave");
        let before: Vec<_> = world.trace.iter().take_while(|step| !changes(step)).collect();
        assert!(before.contains(&&"restart 2".to_owned()), "a restart asks nobody's leave: {:?}", world.trace);
    }
}

#[test]
fn two_voters_are_passed_by_with_both_joiners_synced_and_no_pod_stopped_in_between() {
    let mut world = settled(1);
    world.scale(3).settle();
    assert_eq!(world.trace, ["add-pod 2", "add-pod 3", "join 2", "join 3"]);
    world.scale(1).settle();
    assert_eq!(world.trace[..4], ["leave 3", "leave 2", "remove-pod 3", "remove-pod 2"]);
    world.scale(3);
    world.down = ids(&[3]);
    world.settle();
    assert_eq!(
        world.voters(),
        [1],
        "one voter tolerates as little as two, and loses nothing with the volume of the other"
    );
}

#[test]
fn while_two_vote_it_is_said_what_is_at_stake_and_nobody_is_evicted() {
    let mut world = settled(3);
    world.spec.jvm = Some(menagerie::api::JvmSpec { heap: Some("300Mi".into()), flags: None });
    while world.voters().len() != 2 {
        world.pass();
    }
    let plan = world.pass();
    assert_eq!(said(&plan, "Warning").0, "TwoVoters");
    assert!(said(&plan, "Warning").1.contains("members 1 and 2 vote now"), "{}", said(&plan, "Warning").1);
    let budget = |world: &World| {
        let key = ObjectKey { kind: Kind::PodDisruptionBudget, name: "zk".into() };
        world.objects[&key].held().unwrap()["spec"]["maxUnavailable"].clone()
    };
    while budget(&world) != json!(0) {
        world.pass();
        assert_eq!(world.voters().len(), 2, "the third is back, and the budget never said so: {:?}", world.trace);
    }
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(budget(&world), json!(1));
    assert!(world.settle().conditions.iter().all(|condition| condition.name != "Warning"));
    assert_eq!(
        budget(&{
            let mut two = settled(2);
            two.settle();
            two
        }),
        json!(1),
        "two that are asked for: a budget of none would block a drain for ever"
    );
}

#[test]
fn from_three_to_one_nobody_is_evicted_while_two_vote() {
    let mut world = settled(3);
    world.scale(1);
    let key = ObjectKey { kind: Kind::PodDisruptionBudget, name: "zk".into() };
    loop {
        let before = (world.voters().len(), world.objects[&key].held().unwrap()["spec"]["maxUnavailable"].clone());
        if world.pass().step == Step::Rest {
            assert_eq!(
                before,
                (1, json!(1)),
                "one that is asked for may be evicted, or no node with it could be drained"
            );
            break;
        }
        if before.0 == 2 && world.voters().len() == 1 {
            assert_eq!(before.1, json!(0), "{:?}", world.trace);
        }
    }
}

#[test]
fn ready_is_not_said_between_the_first_restart_of_a_roll_and_the_last() {
    for replicas in [1, 2, 3, 5] {
        let mut world = settled(replicas);
        world.spec.jvm = Some(menagerie::api::JvmSpec { heap: Some("300Mi".into()), flags: None });
        let mut ready = Vec::new();
        for _ in 0..60 {
            if world.pass().step == Step::Rest {
                break;
            }
            ready.push(condition(&plan(&world.seen()), "Ready") == Some(ConditionStatus::True));
        }
        let first = ready.iter().position(|ready| *ready).unwrap();
        assert!(ready[first..].iter().all(|ready| *ready), "{replicas}: {ready:?}");
        assert!(world.made.values().all(|(revision, _)| *revision == world.revision()));
    }
}

#[test]
fn ready_counts_those_that_vote_as_well_as_those_that_are_wanted() {
    let mut world = settled(5);
    world.down = ids(&[1, 2]);
    world.scale(3);
    assert_eq!(world.pass().status.ready, "3/5", "three of five that vote");
    assert_eq!(settled(3).scale(5).pass().status.ready, "3/5", "three of five that are wanted");
}

#[test]
fn what_a_restart_waits_for_is_said_as_it_is() {
    let mut world = settled(5);
    world.silent = ids(&[2, 3]);
    world.spec.jvm = Some(menagerie::api::JvmSpec { heap: Some("300Mi".into()), flags: None });
    let (code, message) = said(&world.settle(), "RestartPending");
    assert_eq!(code, "MemberNotSynced");
    assert!(message.contains("not restarted before every voter serves") && message.contains("member 2"), "{message}");
}

#[test]
fn of_two_that_are_to_join_together_each_gets_the_volume_that_it_lacks() {
    let mut world = settled(1);
    world.scale(3);
    while world.pods() < 3 {
        world.pass();
    }
    world.down = ids(&[3]);
    world.claims.get_mut(&Seat::voter(2)).unwrap().lost = Some("its node is gone".into());
    let renewed = (0..5).find_map(|_| match world.pass().step {
        Step::ReplaceVolume(replacement) => Some(replacement.id),
        _ => None,
    });
    assert_eq!(renewed, Some(ServerId(3)), "the first would wait for it for ever: {:?}", world.trace);
}

#[test]
fn a_server_that_somebody_added_where_a_member_is_to_be_is_named_and_fewer_members_get_out_of_it() {
    let mut world = settled(3);
    let stranger = menagerie::model::Server::voter("zk.elsewhere");
    world.membership.as_mut().unwrap().servers.insert(ServerId(4), stranger);
    let plan = world.scale(5).settle();
    assert_eq!(reason(&plan).0, "ForeignServer");
    assert!(reason(&plan).1.contains("fewer than 4 members"), "{}", reason(&plan).1);
    world.trace.clear();
    world.scale(3).settle();
    assert!(!world.trace.iter().any(|step| step.starts_with("add-pod")), "{:?}", world.trace);
}

#[test]
fn a_membership_of_another_domain_is_named_with_the_flag_that_puts_it_right() {
    let mut world = settled(3);
    world.domain = "k8s.example".into();
    let plan = world.settle();
    assert_eq!(reason(&plan).0, "ForeignMembership");
    assert!(reason(&plan).1.contains("--cluster-domain"), "{}", reason(&plan).1);
    world.domain = "cluster.local".into();
    assert_eq!(world.settle().step, Step::Rest, "put right, it goes on");
}

#[test]
fn a_member_whose_pod_is_being_deleted_serves_to_its_last_moment_and_does_not_leave_beside_one_that_is_missing() {
    let mut world = settled(5);
    world.down = ids(&[4]);
    world.going = [2].into();
    world.scale(1);
    for _ in 0..5 {
        world.pass();
    }
    assert!(!world.trace.contains(&"leave 3".to_owned()), "{:?}", world.trace);
}
