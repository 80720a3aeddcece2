//! Members that no node is found for, and who leaves so that they have one: one at a time, and never more than that takes.

use menagerie::api::{Reclaim, ReclaimPolicy, StorageSpec};
use menagerie::model::{Fact, Live, MemberRequest, PodFacts, Seat, Server, ServerId, truth};
use menagerie::plan::{Plan, Step, Write, plan};

use super::scenarios::{five_without, ids, reason, settled};
use super::world::{World, zk};

/// How many may be missing of those that are wanted, or were there, while one makes room for another.
fn floor(start: usize, wanted: i32) -> usize {
    start.min(usize::try_from(wanted).unwrap()).saturating_sub(1).max(1)
}

/// Passes, with nodes for so many pods; one that comes free is found many passes later.
fn among_nodes(world: &mut World, nodes: usize) {
    let (start, mut free) = (world.voters().len(), 0);
    for _ in 0..400 {
        world.pass();
        let waits = world.unplaced.iter().copied().filter(|id| id.0 <= world.pods()).collect::<Vec<_>>();
        free = if world.pods() as usize - waits.len() < nodes { free + 1 } else { 0 };
        if free > 20
            && let Some(id) = waits.first()
        {
            world.unplaced.remove(id);
            free = 0;
        }
        let floor = floor(start, world.spec.replicas);
        assert!(world.has_quorum() && world.voters().len() >= floor, "{:?}: {:?}", world.voters(), world.trace);
    }
}

#[test]
fn case_04_whichever_three_of_five_run_three_can_be_asked_for() {
    for stuck in [[1, 2], [2, 3], [3, 4], [1, 5], [2, 4]] {
        let mut world = five_without(&stuck);
        world.scale(3);
        among_nodes(&mut world, 3);
        assert_eq!(world.settle().step, Step::Rest, "{stuck:?}: {:?}", world.trace);
        assert_eq!(world.voters(), [1, 2, 3], "{stuck:?}");
    }
}

#[test]
fn one_is_asked_for_where_two_of_three_run_whichever_they_are() {
    for stuck in [1, 2, 3] {
        let mut world = zk(3);
        world.unplaced = ids(&[stuck]);
        world.settle();
        world.scale(1);
        among_nodes(&mut world, 2);
        assert_eq!((world.settle().step, world.voters()), (Step::Rest, vec![1]), "{stuck}: {:?}", world.trace);
    }
}

#[test]
fn nobody_leaves_for_a_member_that_may_wait_for_its_own_node_when_as_many_vote_as_are_wanted() {
    let mut world = settled(5);
    // Its node was drained for a reboot, and its volume is there.
    world.unplaced = ids(&[1]);
    let plan = world.scale(3).settle();
    assert_eq!((world.voters(), reason(&plan).0), (vec![2, 3, 4], "Joining"), "{:?}", world.trace);
    assert!(reason(&plan).1.contains("make room for pod zk-0"), "{}", reason(&plan).1);
    assert!(reason(&plan).1.contains("annotate pod zk-0 menagerie.dev/replace=volume"), "{}", reason(&plan).1);
    world.unplaced.clear();
    assert_eq!((world.settle().step, world.voters()), (Step::Rest, vec![1, 2, 3]), "{:?}", world.trace);
}

#[test]
fn a_person_may_give_up_the_volume_for_whose_node_a_member_waits() {
    let mut world = settled(5);
    world.unplaced = ids(&[1]);
    world.scale(3).settle();
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Replace);
    assert!(
        matches!(plan(&seen).step, Step::ReplaceVolume(replacement) if replacement.id == ServerId(1)),
        "{:?}",
        plan(&seen).step
    );
    // Its new volume is nowhere yet: whoever goes may have the node that it needs.
    world.claims.get_mut(&Seat::voter(0)).unwrap().ran = None;
    assert!(matches!(plan(&world.seen()).step, Step::Leave { id, .. } if id == ServerId(4)));
}

#[test]
fn while_the_last_one_is_still_going_away_the_next_does_not_leave_for_its_node() {
    let mut world = five_without(&[1]);
    world.scale(3);
    while world.trace.last().map(String::as_str) != Some("remove-pod 5") {
        world.pass();
    }
    while !matches!(plan(&world.seen()).step, Step::Leave { .. }) {
        world.pass();
    }
    for terminating in [true, false] {
        let mut seen = world.seen();
        let going = PodFacts { terminating, node: Some("node-4".into()), ..seen.pods[&Seat::voter(3)].clone() };
        seen.pods.insert(Seat::voter(4), going);
        assert!(matches!(plan(&seen).step, Step::Wait(_)), "{:?}", plan(&seen).step);
    }
}

#[test]
fn one_that_is_too_many_and_does_not_run_leaves_before_another_joins() {
    let mut world = settled(5);
    world.unplaced = ids(&[1]);
    world.scale(3).settle();
    world.unplaced.clear();
    world.down = ids(&[4]);
    assert_eq!((world.settle().step, world.voters()), (Step::Rest, vec![1, 2, 3]), "{:?}", world.trace);
}

#[test]
fn a_lost_volume_of_a_member_that_is_wanted_is_given_up_before_anybody_leaves_for_it() {
    let mut world = settled(3);
    world.unplaced = ids(&[1]);
    world.claims.get_mut(&Seat::voter(0)).unwrap().lost = Some("its node is gone".into());
    world.scale(1);
    for _ in 0..10 {
        if matches!(world.pass().step, Step::ReplaceVolume(_)) {
            world.unplaced.clear();
        }
    }
    assert_eq!((world.settle().step, world.voters()), (Step::Rest, vec![1]), "{:?}", world.trace);
    assert_eq!(world.trace[..3], ["leave 1", "replace-volume 1", "join 1"]);
}

#[test]
fn nobody_leaves_for_a_member_whose_volume_is_lost_and_kept_by_policy() {
    let mut world = zk(5);
    let reclaim = Reclaim { on_loss: Some(ReclaimPolicy::Retain), ..Reclaim::default() };
    world.spec.storage = Some(StorageSpec { reclaim: Some(reclaim), ..StorageSpec::default() });
    world.settle();
    world.unplaced = ids(&[1]);
    world.claims.get_mut(&Seat::voter(0)).unwrap().lost = Some("its node is gone".into());
    assert_eq!(reason(&world.scale(3).settle()).0, "VolumeLost");
    assert_eq!(world.voters(), [2, 3, 4], "no node helps it: {:?}", world.trace);
}

#[test]
fn no_step_is_planned_that_nobody_could_confirm_and_it_is_said() {
    let mut world = settled(1);
    world.going = [0].into();
    let mut seen = world.seen();
    // It is to leave before it is stopped, and the other voter, which somebody added, has no agent that could be asked.
    let mut membership = world.membership.clone().unwrap();
    membership.servers.insert(ServerId(9), Server::voter("zk.elsewhere"));
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(1)) else { panic!("{:?}", seen.members) };
    let truth::ServerState::Serving(serving) = &mut truth.server else { panic!("{truth:?}") };
    serving.membership = format!("{}version={}", membership.text(), membership.version);
    serving.synced_voters = Some(1);
    seen.charter.as_mut().unwrap().membership = membership.text();
    while let Step::Apply(writes) = plan(&seen).step {
        let objects = writes.iter().map(Write::object);
        seen.objects.extend(objects.map(|object| (object.key.clone(), Live::Ours(object.json.clone()))));
    }
    let plan = plan(&seen);
    assert_eq!(reason(&plan).0, "NobodyToAsk", "{:?}", plan.step);
    assert!(reason(&plan).1.contains("leave member 1 (pod zk-0)"), "{}", reason(&plan).1);
}

#[test]
fn two_members_are_never_advised() {
    let advice = |replicas: i32, unplaced: &[u32]| {
        let mut world = settled(replicas);
        world.unplaced = ids(unplaced);
        let plan: Plan = world.settle();
        reason(&plan).1.to_owned()
    };
    for (replicas, unplaced, said) in [
        (3, &[3][..], "(replicas: 1)"),
        (5, &[5], "(replicas: 3)"),
        (5, &[4, 5], "(replicas: 3)"),
        (7, &[6, 7], "(replicas: 5)"),
    ] {
        let message = advice(replicas, unplaced);
        assert!(message.contains(said) && !message.contains("replicas: 2"), "{message}");
    }
}
