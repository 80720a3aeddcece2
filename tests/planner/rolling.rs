//! Restarts, told as behaviour.

use menagerie::api::{UpdateMode, UpdatePolicy, UpdateWindow};
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Fact, Live, MemberRequest, NodeFacts, Pool, Seat, ServerId};
use menagerie::plan::{Plan, Step, plan};

use super::world::{World, zk};

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn supervised(replicas: i32) -> World {
    let mut world = settled(replicas);
    world.spec.update_policy = Some(UpdatePolicy { mode: Some(UpdateMode::Supervised), ..Default::default() });
    world
}

fn heap(world: &mut World, heap: &str) {
    world.spec.jvm = Some(menagerie::api::JvmSpec { heap: Some(heap.into()), flags: None });
}

fn condition(plan: &Plan, name: &str) -> (&'static str, String) {
    let condition =
        plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}"));
    (condition.reason, condition.message.clone())
}

#[test]
fn a_change_restarts_followers_from_the_highest_down_and_the_leader_last_after_it_gave_up_its_seat() {
    let mut world = settled(3);
    assert_eq!(world.leader(), Some(ServerId(3)));
    heap(&mut world, "1Gi");
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["restart 2", "restart 1", "leave 3", "join 3", "restart 3"]);
}

#[test]
fn nothing_is_restarted_for_what_the_pods_do_not_hold() {
    let mut world = settled(3);
    let before = world.revision();
    world.scale(5).settle();
    world.scale(3).settle();
    assert_eq!(world.revision(), before);
    assert!(!world.trace.iter().any(|step| step.starts_with("restart")), "{:?}", world.trace);
}

#[test]
fn a_change_of_the_template_is_announced_with_what_it_changes_before_anything_restarts() {
    let mut world = settled(3);
    heap(&mut world, "1Gi");
    let plan = world.pass();
    assert!(matches!(plan.step, Step::Apply(_)));
    let (reason, message) = condition(&plan, "Progressing");
    assert_eq!(reason, "TemplateChanged");
    assert!(message.contains("spec.containers.zookeeper.env.SERVER_JVMFLAGS.value"), "{message}");
    assert_eq!(condition(&plan, "Ready").0, "TemplateChanged", "who waits for Ready would be told so before the roll");
}

#[test]
fn of_two_voters_each_leaves_before_it_is_stopped() {
    let mut world = settled(2);
    heap(&mut world, "1Gi");
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["leave 1", "restart 1", "join 1", "leave 2", "restart 2", "join 2"]);
}

#[test]
fn a_single_voter_is_restarted_in_its_place() {
    let mut world = settled(1);
    heap(&mut world, "1Gi");
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["restart 1"]);
}

#[test]
fn a_single_ephemeral_voter_is_not_restarted_because_it_is_all_the_data_there_is() {
    let mut world = zk(1);
    world.spec.storage = Some(menagerie::api::StorageSpec { ephemeral: Some(true), ..Default::default() });
    let mut seen = settled(1).seen();
    seen.desired = menagerie::model::Desired::from_spec(&world.spec);
    seen.pods.get_mut(&Seat::voter(0)).unwrap().revision = Some("older".into());
    let plan = plan(&seen);
    assert!(!matches!(plan.step, Step::Restart(_)), "{:?}", plan.step);
    assert_eq!(condition(&plan, "RestartPending").0, "WouldLoseData");
}

#[test]
fn the_next_waits_until_the_last_serves_and_a_late_one_halts_the_roll() {
    let mut world = settled(3);
    heap(&mut world, "1Gi");
    while world.trace.is_empty() {
        world.pass();
    }
    world.down.insert(ServerId(2));
    let plan = world.settle();
    assert_eq!(world.trace, ["restart 2"]);
    let (reason, message) = condition(&plan, "Degraded");
    assert_eq!(reason, "RollHalted");
    assert!(message.contains("pod zk-1") && message.contains("2 more"), "{message}");
}

#[test]
fn putting_the_spec_right_heals_a_halted_roll_beginning_with_the_pod_that_is_stuck() {
    let mut world = settled(3);
    heap(&mut world, "1Gi");
    while world.trace.is_empty() {
        world.pass();
    }
    world.down.insert(ServerId(2));
    world.settle();
    heap(&mut world, "512Mi");
    world.settle();
    assert_eq!(world.trace, ["restart 2", "restart 2"]);
    world.down.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert!(world.trace.len() <= 6, "the others were of that revision all the time: {:?}", world.trace);
}

#[test]
fn pods_that_do_not_run_are_replaced_even_before_there_ever_was_a_quorum() {
    let mut world = zk(3);
    world.spec.version = "3.9.4".into();
    world.down = (1..=3).map(ServerId).collect();
    world.settle();
    world.spec.version = "3.9.5".into();
    world.settle();
    assert_eq!(world.trace.len(), 3, "{:?}", world.trace);
    world.down.clear();
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn a_member_is_not_stopped_while_another_voter_is_missing() {
    let mut world = settled(5);
    world.down.insert(ServerId(2));
    heap(&mut world, "1Gi");
    world.settle();
    assert_eq!(world.trace, ["restart 2"]);
}

#[test]
fn a_restart_of_one_member_can_be_asked_for() {
    let world = settled(3);
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Restart);
    let Step::Restart(restart) = plan(&seen).step else { panic!("{:?}", plan(&seen).step) };
    assert_eq!((restart.id, restart.why.as_str()), (ServerId(1), "somebody asked for its restart"));
}

#[test]
fn a_restart_of_all_can_be_asked_for_and_each_new_word_is_a_new_wish() {
    let mut world = settled(3);
    for word in ["1", "2"] {
        world.trace.clear();
        world.requests.restart = Some(word.into());
        assert_eq!(world.settle().step, Step::Rest);
        assert_eq!(world.trace.iter().filter(|step| step.starts_with("restart")).count(), 3, "{:?}", world.trace);
    }
}

#[test]
fn under_supervision_nothing_that_serves_restarts_before_its_revision_is_approved() {
    let mut world = supervised(3);
    heap(&mut world, "1Gi");
    world.requests.approved = Some("zk-of-last-week".into());
    let plan = world.settle();
    assert_eq!((plan.step.clone(), world.trace.len()), (Step::Rest, 0));
    let (reason, message) = condition(&plan, "RestartPending");
    assert_eq!(reason, "ApprovalNeeded");
    assert!(message.contains(&format!("menagerie.dev/approve={}", world.revision())), "{message}");
    world.requests.approved = Some(world.revision());
    world.settle();
    assert_eq!(world.trace.len(), 5, "{:?}", world.trace);
}

#[test]
fn the_next_restart_waits_until_clients_are_sent_to_the_restarted_member_but_not_for_one_of_the_older_revision() {
    let mut world = settled(3);
    heap(&mut world, "1Gi");
    while !world.trace.iter().any(|word| word.starts_with("restart")) {
        world.pass();
    }
    let mut seen = world.seen();
    let (due, fresh): (Vec<Seat>, Vec<Seat>) = {
        let newest = seen.set(Pool::Voters).unwrap().update_revision.clone();
        seen.pods.keys().partition(|ordinal| seen.pods[*ordinal].revision != newest)
    };
    assert_eq!((due.len(), fresh.len()), (2, 1));
    let now = seen.now;
    let restarted = seen.pods.get_mut(&fresh[0]).unwrap();
    (restarted.ready, restarted.since) = (false, now);
    let Step::Wait(reason) = plan(&seen).step else { panic!("{:?}", plan(&seen).step) };
    assert_eq!(reason.code, "MemberNotReady");
    seen.pods.get_mut(&fresh[0]).unwrap().ready = true;
    for ordinal in due {
        seen.pods.get_mut(&ordinal).unwrap().ready = false;
    }
    assert!(matches!(plan(&seen).step, Step::Restart(_)), "{:?}", plan(&seen).step);
}

#[test]
fn who_asks_for_the_restart_of_one_member_does_not_approve_of_the_others() {
    let mut world = supervised(3);
    heap(&mut world, "1Gi");
    world.settle();
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Restart);
    let Step::Restart(restart) = plan(&seen).step else { panic!("{:?}", plan(&seen).step) };
    assert_eq!(restart.id, ServerId(1), "the others are of an older revision, and of a higher ordinal");
}

#[test]
fn a_leader_that_gave_up_its_seat_joins_as_it_is_when_a_revision_has_come_that_nobody_approved() {
    let mut world = supervised(3);
    heap(&mut world, "1Gi");
    world.settle();
    world.requests.approved = Some(world.revision());
    while world.trace.last().is_none_or(|step| step != "leave 3") {
        world.pass();
    }
    heap(&mut world, "2Gi");
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["restart 2", "restart 1", "leave 3", "join 3"]);
    world.requests.approved = Some(world.revision());
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace.iter().filter(|step| step.starts_with("restart")).count(), 5, "{:?}", world.trace);
}

#[test]
fn a_joiner_that_serves_is_not_restarted_to_a_revision_that_nobody_approved() {
    let mut world = supervised(3);
    world.scale(4);
    while world.pods() < 4 {
        world.pass();
    }
    heap(&mut world, "1Gi");
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["add-pod 4", "join 4"]);
}

#[test]
fn a_member_that_is_merely_silent_waits_for_an_approval_as_one_that_serves_and_one_that_is_down_does_not() {
    let mut world = supervised(3);
    world.silent.insert(ServerId(2));
    heap(&mut world, "1Gi");
    world.settle();
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    world.down.insert(ServerId(2));
    world.settle();
    assert_eq!(world.trace, ["restart 2"]);
}

#[test]
fn restarts_begin_only_while_a_window_is_open() {
    let mut world = settled(3);
    let window = UpdateWindow { opens: "0 3 * * *".into(), time_zone: None, minutes: 60 };
    world.spec.update_policy =
        Some(UpdatePolicy { mode: Some(UpdateMode::Windows), windows: Some(vec![window]), deadline_seconds: None });
    heap(&mut world, "1Gi");
    let plan = world.settle();
    assert!(world.trace.is_empty());
    let (reason, message) = condition(&plan, "RestartPending");
    assert_eq!(reason, "WindowClosed");
    assert!(message.contains("2026-11-24 03:00 UTC"), "{message}");
    world.now += 15 * 3_600;
    world.settle();
    assert_eq!(world.trace.len(), 5);
}

#[test]
fn a_version_that_may_not_follow_is_refused_and_changes_nothing() {
    let mut world = settled(3);
    let before = world.objects.clone();
    world.spec.version = "3.11.0".into();
    let Step::Refuse(reason) = world.settle().step else { panic!() };
    assert_eq!(reason.code, "VersionRefused");
    assert!(reason.message.contains("3.10"), "{}", reason.message);
    assert!(world.objects == before);
}

#[test]
fn a_member_that_cannot_read_its_data_with_the_newest_revision_halts_the_roll_and_keeps_its_copy() {
    // A size limit that was lowered, digests that were switched: what the others would end of as well.
    let mut world = settled(3);
    heap(&mut world, "1Gi");
    while !world.trace.iter().any(|step| step == "restart 2") {
        world.pass();
    }
    world.down.insert(ServerId(2));
    let unreadable = |world: &World| {
        let mut seen = world.seen();
        let pod = seen.pods.get_mut(&Seat::voter(1)).unwrap();
        (pod.unreadable, pod.doubtful, pod.restarts, pod.running) = (true, true, 9, Some(false));
        plan(&seen)
    };
    let halted = unreadable(&world);
    assert!(matches!(&halted.step, Step::Wait(reason) if reason.code == "RollHalted"), "{:?}", halted.step);
    // Where the others have the same revision, and serve, it is the disk.
    for n in 0..3 {
        world.made.get_mut(&n).unwrap().0 = world.revision();
    }
    assert!(matches!(unreadable(&world).step, Step::Apply(_)), "the charter tells it to sync anew");
}

#[test]
fn a_roll_beside_a_leader_whose_node_is_cordoned_ends_and_the_seat_does_not_go_back_and_forth() {
    let mut world = settled(3);
    for n in 0..3 {
        let node = NodeFacts { cordoned: n == 2, ..NodeFacts::default() };
        world.nodes.insert(format!("node-{n}"), Fact::Known(node));
    }
    assert_eq!(world.settle().step, Step::Rest);
    heap(&mut world, "1Gi");
    world.trace.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert!(world.trace.iter().filter(|step| step.starts_with("leave")).count() <= 2, "{:?}", world.trace);
}

#[test]
fn restarts_that_nobody_takes_up_are_not_said_to_be_in_turn() {
    let mut world = settled(3);
    heap(&mut world, "1Gi");
    world.pass();
    assert_eq!(condition(&plan(&world.seen()), "RestartPending").0, "InTurn");
    let mut broken = world.clone();
    broken.spec.config = Some([("forceSync".to_owned(), "no".to_owned())].into());
    let refused = plan(&broken.seen());
    assert!(matches!(refused.step, Step::Refuse(_)), "{:?}", refused.step);
    let (reason, message) = condition(&refused, "RestartPending");
    assert!(reason == "InvalidSpec" && message.contains("forceSync"), "{reason}: {message}");
    // A member that joins comes before them.
    world.unplaced.insert(ServerId(4));
    world.spec.replicas = 5;
    while !matches!(plan(&world.seen()).step, Step::Wait(_)) {
        world.pass();
    }
    let mut seen = world.seen();
    let joiner = seen.pods.get_mut(&Seat::voter(3)).unwrap();
    (joiner.since, joiner.served, joiner.unready) = (seen.now, false, None);
    let (reason, message) = condition(&plan(&seen), "RestartPending");
    assert!(reason == "Joining" && message.contains("member 4"), "{reason}: {message}");
}

#[test]
fn a_rollout_restart_by_kubectl_restarts_one_after_the_other_and_the_leader_last() {
    let mut world = settled(3);
    let key = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
    let Some(Live::Ours(set)) = world.objects.get_mut(&key) else { panic!("no StatefulSet") };
    set["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
        serde_json::json!("2026-11-27T04:00:00Z");
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["restart 2", "restart 1", "leave 3", "join 3", "restart 3"]);
    let Some(Live::Ours(set)) = world.objects.get(&key) else { panic!("no StatefulSet") };
    let restarted = &set["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert!(restarted.is_string(), "what kubectl wrote stays");
}

#[test]
fn the_version_in_the_status_is_the_oldest_that_runs_and_not_the_one_that_is_asked_for() {
    let mut world = settled(3);
    world.spec.version = "3.8.4".into();
    world.spec.update_policy = Some(UpdatePolicy { mode: Some(UpdateMode::Supervised), ..Default::default() });
    assert_eq!(world.settle().status.version.as_deref(), Some("3.9.5"), "an approval is awaited");
    world.asked = [ServerId(1)].into();
    assert!(matches!(world.pass().step, Step::Restart(_)));
    assert_eq!(plan(&world.seen()).status.version.as_deref(), Some("3.8.4"), "one of them has it");
    world.silent = (1..=3).map(ServerId).collect();
    assert_eq!(plan(&world.seen()).status.version.as_deref(), Some("3.8.4"), "silence makes it no newer");
    let mut unborn = zk(3);
    assert_eq!(unborn.pass().status.version, None);
}

#[test]
fn a_joiner_that_never_came_up_is_not_said_to_have_been_restarted() {
    let mut world = settled(3);
    world.unplaced.insert(ServerId(4));
    world.scale(4).settle();
    heap(&mut world, "300Mi");
    world.pass();
    let mut seen = world.seen();
    let pod = seen.pods.get_mut(&Seat::voter(3)).unwrap();
    (pod.revision, pod.served, pod.unready) = (Some(world.revision()), false, None);
    let halted = plan(&seen);
    let degraded = halted.conditions.iter().find(|condition| condition.name == "Degraded").unwrap();
    assert_eq!(degraded.reason, "RollHalted", "{}", degraded.message);
    for words in ["pod zk-3 of member 4, which is to join, is not in service", "0/3 nodes are available"] {
        assert!(degraded.message.contains(words), "{words}: {}", degraded.message);
    }
    assert!(!degraded.message.contains("was restarted"), "{}", degraded.message);
}
