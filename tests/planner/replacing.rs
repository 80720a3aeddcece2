//! Members that cannot go on as they are, and nodes that are drained, told as behaviour.

use std::collections::BTreeMap;

use menagerie::api::{Reclaim, ReclaimPolicy, StorageSpec};
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::truth::ServerState;
use menagerie::model::{Fact, MemberRequest, NodeFacts, Observation, Seat, ServerId};
use menagerie::plan::{Plan, Purpose, Step, plan};

use super::world::{World, zk};

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn degraded(plan: &Plan) -> (&'static str, String) {
    let condition = plan.conditions.iter().find(|condition| condition.name == "Degraded").unwrap();
    (condition.reason, condition.message.clone())
}

/// The volume of member 1 is gone with its node, and its pod cannot be put anywhere.
fn lose(world: &mut World) {
    world.down.insert(ServerId(1));
    world.claims.get_mut(&Seat::voter(0)).unwrap().lost =
        Some("its volume can be reached only from n1, which is gone".into());
}

fn lost(world: &mut World) -> Observation {
    lose(world);
    world.seen()
}

#[test]
fn a_member_whose_volume_is_gone_for_good_leaves_gives_up_its_claim_and_comes_back() {
    let mut world = settled(3);
    let Step::Leave { id, why, .. } = plan(&lost(&mut world)).step else { panic!() };
    assert_eq!((id, why), (ServerId(1), Purpose::Replace));
    while world.trace.len() < 2 {
        let plan = world.pass();
        if let Step::ReplaceVolume(replacement) = plan.step {
            assert_eq!(replacement.claim.uid, "claim-0");
            assert_eq!(replacement.pod.unwrap().key, ObjectKey { kind: Kind::Pod, name: "zk-0".into() });
        }
    }
    world.down.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["leave 1", "replace-volume 1", "join 1"]);
}

#[test]
fn a_volume_is_not_given_up_while_another_voter_is_missing() {
    let mut world = settled(5);
    world.down.insert(ServerId(4));
    assert!(matches!(plan(&lost(&mut world)).step, Step::Wait(reason) if reason.code == "MemberNotSynced"));
    let mut world = settled(3);
    world.silent.insert(ServerId(2));
    assert!(matches!(plan(&lost(&mut world)).step, Step::Wait(_)));
}

#[test]
fn the_next_volume_is_given_up_only_after_the_last_member_is_back() {
    let mut world = settled(5);
    world.membership.as_mut().unwrap().servers.remove(&ServerId(3));
    world.down.insert(ServerId(3));
    assert!(!matches!(plan(&lost(&mut world)).step, Step::Leave { .. } | Step::ReplaceVolume(_)));
}

#[test]
fn a_lost_volume_that_policy_keeps_is_reported_and_nothing_is_deleted() {
    let mut world = zk(3);
    let reclaim = Reclaim { on_loss: Some(ReclaimPolicy::Retain), ..Reclaim::default() };
    world.spec.storage = Some(StorageSpec { reclaim: Some(reclaim), ..StorageSpec::default() });
    world.settle();
    let plan = plan(&lost(&mut world));
    assert!(matches!(plan.step, Step::Wait(_)), "{:?}", plan.step);
    assert_eq!(degraded(&plan).0, "VolumeLost");
}

#[test]
fn the_volume_of_a_pod_that_runs_or_has_only_just_come_is_not_given_up() {
    let mut world = settled(3);
    let mut seen = lost(&mut world);
    seen.pods.get_mut(&Seat::voter(0)).unwrap().since = seen.now - 5;
    assert!(!matches!(plan(&seen).step, Step::Leave { .. }));
    let mut seen = lost(&mut world);
    seen.pods.get_mut(&Seat::voter(0)).unwrap().running = Some(true);
    assert!(!matches!(plan(&seen).step, Step::Leave { .. }));
}

#[test]
fn a_new_volume_can_be_asked_for_but_not_for_the_only_member() {
    for (replicas, refused) in [(3, false), (1, true)] {
        let mut seen = settled(replicas).seen();
        seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Replace);
        match plan(&seen).step {
            Step::Leave { id, why: Purpose::Replace, .. } => assert!(id == ServerId(1) && !refused),
            Step::Refuse(reason) => assert!(reason.code == "ReplaceRefused" && refused),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn a_claim_of_another_ensemble_is_not_given_up_whatever_was_asked_for() {
    let mut world = settled(3);
    world.membership.as_mut().unwrap().servers.remove(&ServerId(1));
    world.pass();
    world.claims.get_mut(&Seat::voter(0)).unwrap().identity = Some("somebody".into());
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Replace);
    assert!(!matches!(plan(&seen).step, Step::ReplaceVolume(_)), "{:?}", plan(&seen).step);
}

fn unreadable(world: &World, restarts: u32) -> Observation {
    let mut seen = world.seen();
    let pod = seen.pods.get_mut(&Seat::voter(0)).unwrap();
    (pod.unreadable, pod.restarts, pod.running) = (true, restarts, Some(false));
    seen
}

#[test]
fn a_member_that_cannot_read_its_data_syncs_anew_once_and_is_then_reported() {
    let mut world = settled(3);
    world.down.insert(ServerId(1));
    assert!(!matches!(plan(&unreadable(&world, 1)).step, Step::Apply(_)), "once may be a moment's trouble");
    let Step::Apply(writes) = plan(&unreadable(&world, 2)).step else { panic!() };
    assert_eq!(writes.len(), 1, "the charter");
    let mut told = unreadable(&world, 2);
    let uid = told.pods[&Seat::voter(0)].uid.clone();
    told.charter.as_mut().unwrap().resync = BTreeMap::from([(ServerId(1), uid)]);
    apply_charter(&mut told);
    let Step::Restart(restart) = plan(&told).step else { panic!("{:?}", plan(&told).step) };
    assert_eq!(restart.id, ServerId(1));
    told.pods.get_mut(&Seat::voter(0)).unwrap().uid = "the next pod".into();
    let again = plan(&told);
    assert!(matches!(again.step, Step::Wait(_)), "{:?}", again.step);
    assert_eq!(degraded(&again).0, "DataDamaged");
}

/// The charter as an object, as it would be rendered.
fn apply_charter(seen: &mut Observation) {
    for _ in 0..3 {
        let Step::Apply(writes) = plan(seen).step else { return };
        for write in writes {
            if let menagerie::plan::Write::Apply { object, .. } = write {
                let mut json = object.json;
                json["metadata"]["uid"] = serde_json::json!("uid");
                seen.objects.insert(object.key, menagerie::model::Live::Ours(json));
            }
        }
    }
}

#[test]
fn data_is_never_given_up_while_another_voter_is_missing_or_there_is_none() {
    let mut world = settled(3);
    world.down = [ServerId(1), ServerId(2)].into();
    assert!(!matches!(plan(&unreadable(&world, 5)).step, Step::Apply(_) | Step::Restart(_)));
    let mut alone = settled(1);
    alone.down.insert(ServerId(1));
    assert!(!matches!(plan(&unreadable(&alone, 5)).step, Step::Apply(_) | Step::Restart(_)));
}

/// Member 1 runs and does not serve, and has not for an hour.
fn idle(world: &World, server: ServerState, still: Option<u64>) -> Observation {
    let mut seen = world.seen();
    if let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(1)) {
        (truth.server, truth.stalled, truth.still) = (server, Some(3_600), still);
    }
    seen
}

fn in_phase(phase: &str) -> ServerState {
    ServerState::Waiting { phase: phase.into(), version: None }
}

fn silent() -> ServerState {
    ServerState::Silent { reason: "no answer within 2500 ms".into() }
}

#[test]
fn case_r03_a_server_in_which_nothing_moves_is_restarted_and_one_that_is_slow_never() {
    let world = settled(3);
    for server in [in_phase("election"), in_phase("synchronization"), in_phase("discovery"), silent()] {
        for moves in [Some(0), Some(300)] {
            let slow = plan(&idle(&world, server.clone(), moves));
            assert!(matches!(slow.step, Step::Wait(_)), "{server:?} {moves:?}: {:?}", slow.step);
            assert_eq!(degraded(&slow).0, "StillSyncing");
            assert!(degraded(&slow).1.contains("it makes progress, and is left alone"), "{}", degraded(&slow).1);
        }
        let Step::Restart(restart) = plan(&idle(&world, server, Some(301))).step else { panic!() };
        assert!(restart.why.contains("has made no progress for 5 min"), "{}", restart.why);
    }
}

#[test]
fn case_r03_a_server_of_which_nobody_sees_whether_it_moves_is_left_alone_and_named() {
    let world = settled(3);
    let unseen = plan(&idle(&world, in_phase("election"), None));
    assert!(matches!(unseen.step, Step::Wait(_)));
    let (reason, message) = degraded(&unseen);
    assert_eq!(reason, "StillSyncing");
    assert!(message.contains("cannot be seen") && message.contains("delete pod zk-0"), "{message}");
    assert!(matches!(plan(&idle(&world, silent(), None)).step, Step::Wait(_)));
}

#[test]
fn servers_that_elect_because_there_is_no_quorum_are_not_taken_for_hung() {
    let mut world = settled(3);
    world.down = [ServerId(2), ServerId(3)].into();
    assert!(!matches!(plan(&idle(&world, in_phase("election"), Some(9_999))).step, Step::Restart(_)));
}

/// No probe kills it: nobody else would.
#[test]
fn a_server_that_is_frozen_is_restarted_also_when_there_is_no_quorum_without_it() {
    let world = settled(1);
    let Step::Restart(restart) = plan(&idle(&world, silent(), Some(301))).step else { panic!() };
    assert!(restart.why.contains("its server has not answered"), "{}", restart.why);
    assert!(!matches!(plan(&idle(&world, silent(), Some(300))).step, Step::Restart(_)));
    assert!(!matches!(plan(&idle(&world, silent(), None)).step, Step::Restart(_)));
}

fn cordoned(world: &mut World, ordinals: &[u32]) {
    world.nodes = (0..5)
        .map(|n| (format!("node-{n}"), Fact::Known(NodeFacts { cordoned: ordinals.contains(&n), lost: None })))
        .collect();
}

#[test]
fn the_leader_gives_up_its_seat_when_its_node_is_cordoned_and_is_a_voter_again_at_once() {
    let mut world = settled(3);
    assert_eq!(world.leader(), Some(ServerId(3)));
    cordoned(&mut world, &[2]);
    while world.trace.len() < 2 {
        world.pass();
    }
    assert_eq!(world.trace, ["leave 3", "join 3"]);
}

#[test]
fn no_seat_is_given_up_for_a_follower_for_two_cordoned_nodes_or_for_one_that_is_unknown() {
    for ordinals in [&[0][..], &[1, 2][..]] {
        let mut world = settled(3);
        cordoned(&mut world, ordinals);
        assert_eq!(world.settle().step, Step::Rest);
    }
    let mut world = settled(3);
    cordoned(&mut world, &[2]);
    world.nodes.insert("node-0".into(), Fact::Unknown("forbidden".into()));
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn a_leader_whose_pod_is_being_deleted_gives_up_its_seat_while_its_server_still_runs() {
    let mut world = settled(3);
    world.going.insert(2);
    let Step::Leave { id, why, via, .. } = world.pass().step else { panic!() };
    assert_eq!((id, why, via.len()), (ServerId(3), Purpose::HandOver, 2));
    // It does not come back before its pod does.
    assert!(matches!(world.settle().step, Step::Wait(_)));
    assert_eq!(world.trace, ["leave 3"]);
    world.going.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["leave 3", "join 3"]);
}

#[test]
fn nobody_is_relieved_who_does_not_lead_is_alone_or_is_needed() {
    let mut follower = settled(3);
    follower.going.insert(0);
    let mut alone = settled(1);
    alone.going.insert(0);
    let mut needed = settled(3);
    needed.going.insert(2);
    needed.down.insert(ServerId(1));
    let mut both = settled(3);
    both.going.extend([0, 2]);
    for world in [&mut follower, &mut alone, &mut needed, &mut both] {
        assert!(matches!(world.settle().step, Step::Wait(reason) if reason.code == "MemberNotSynced"));
        assert!(world.trace.is_empty(), "{:?}", world.trace);
    }
}
