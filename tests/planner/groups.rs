//! Memberships that count votes by weights in groups: somebody made them with `reconfig -file`, and members come and go in them.

use menagerie::api::JvmSpec;
use menagerie::model::{Fact, NodeFacts, Seat, ServerId};
use menagerie::plan::{Plan, Step, plan};

use super::orders::Order;
use super::world::{World, zk};

/// Three voters of one group, which are of these weights.
fn settled(weights: [i64; 3]) -> World {
    let mut world = zk(3);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    let votes = &mut world.membership.as_mut().unwrap().votes;
    votes.groups = (1..=3).map(|id| (ServerId(id), 1)).collect();
    votes.weights = (1..=3).map(ServerId).zip(weights).collect();
    world
}

/// Server 1 has more weight than the others together, and leads where that is asked for.
fn heavy(leads: bool) -> World {
    let mut world = settled([3, 1, 1]);
    if leads {
        world.down = [2, 3].map(ServerId).into();
        world.pass();
        world.down.clear();
    }
    assert_eq!(world.leader() == Some(ServerId(1)), leads);
    world
}

fn refusal(plan: &Plan) -> (&'static str, &str) {
    let Step::Refuse(reason) = &plan.step else { panic!("{:?}", plan.step) };
    (reason.code, &reason.message)
}

#[test]
fn one_that_leaves_to_be_restarted_comes_back_into_its_group() {
    let mut world = settled([1, 1, 1]);
    let votes = world.membership.as_ref().unwrap().votes.clone();
    let leader = world.leader().unwrap();
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    let changes: Vec<_> = world.trace.iter().filter(|step| step.contains("join") || step.contains("leave")).collect();
    assert_eq!(changes, [&format!("leave {leader}"), &format!("join {leader}")]);
    assert_eq!(world.membership.unwrap().votes, votes);
}

#[test]
fn one_without_which_the_others_have_no_majority_of_the_weight_is_not_counted_as_one_of_three() {
    let mut world = settled([1, 1, 1]);
    let silent = |world: &World| {
        let mut seen = world.seen();
        seen.members.insert(ServerId(1), Fact::Unknown("timed out".into()));
        plan(&seen).status.leader
    };
    assert!(world.leader() != Some(ServerId(1)) && silent(&world).is_some());
    world.membership.as_mut().unwrap().votes.weights.insert(ServerId(1), 2);
    assert_eq!(silent(&world), None, "2 of 4 may be on either side");
}

#[test]
fn nobody_is_added_of_whom_no_group_is_known_and_who_goes_for_good_leaves_none_behind() {
    let mut world = settled([1, 1, 1]);
    world.scale(4);
    let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
    assert!(reason.code == "NoGroup" && reason.message.contains("member 4 "), "{reason:?}");
    assert!(world.trace.is_empty() && world.pods() == 3, "its server would not start: {:?}", world.trace);
    world.scale(1);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    let membership = world.membership.unwrap();
    assert_eq!(membership.text().lines().skip(1).collect::<Vec<_>>(), ["group.1=1", "weight.1=1"]);
}

#[test]
fn a_pod_of_whose_member_no_group_is_known_stays_and_holds_up_no_restart_of_the_others() {
    let mut world = settled([1, 1, 1]);
    let votes = std::mem::take(&mut world.membership.as_mut().unwrap().votes);
    world.scale(4);
    while world.pods() < 4 {
        world.pass();
    }
    world.membership.as_mut().unwrap().votes = votes;
    for heap in [None, Some("300Mi")] {
        world.spec.jvm = heap.map(|heap| JvmSpec { heap: Some(heap.into()), ..JvmSpec::default() });
        let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
        assert!(reason.code == "NoGroup" && world.pods() == 4, "{reason:?}");
    }
    for id in 1..=3 {
        assert!(world.trace.contains(&format!("restart {id}")), "{:?}", world.trace);
    }
}

#[test]
fn of_two_that_would_join_one_after_the_other_neither_is_started_while_either_has_no_group() {
    for (groups, lacks) in [(vec![1], 2), (vec![1, 2], 3)] {
        let mut world = zk(1);
        assert_eq!(world.settle().step, Step::Rest);
        // What those weigh that are to come is counted from the first.
        world.membership.as_mut().unwrap().votes.weights = [(ServerId(1), 3)].into();
        world.membership.as_mut().unwrap().votes.groups = groups.into_iter().map(|id| (ServerId(id), 1)).collect();
        world.scale(3);
        let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
        assert!(reason.message.contains(&format!("member {lacks} ")) && world.pods() == 1, "{reason:?}");
        world.membership.as_mut().unwrap().votes.groups = (1..=3).map(|id| (ServerId(id), 1)).collect();
        assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
        assert_eq!(world.voters(), [1, 2, 3]);
    }
}

#[test]
fn one_without_whose_weight_the_others_are_no_quorum_is_restarted_only_when_somebody_asks_for_it_and_after_them() {
    for leads in [false, true] {
        let mut world = heavy(leads);
        world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
        let plan = world.settle();
        let (code, message) = refusal(&plan);
        assert_eq!(code, "RestartRefused");
        for words in
            ["member 1 (pod zk-0)", "weight 3 of 5", "reconfig -file", "annotate pod zk-0 menagerie.dev/restart"]
        {
            assert!(message.contains(words), "{words}: {message}");
        }
        let done = |world: &World, step: &str| world.trace.iter().any(|word| word == step);
        assert!(done(&world, "restart 2") && done(&world, "restart 3"), "{:?}", world.trace);
        assert!(!done(&world, "leave 1") && !done(&world, "restart 1"), "{:?}", world.trace);
        world.asked.insert(ServerId(1));
        assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
        assert!(done(&world, "restart 1") && !done(&world, "leave 1"), "{:?}", world.trace);
    }
}

#[test]
fn a_leader_without_whose_weight_the_others_are_no_quorum_keeps_its_seat_on_a_node_that_is_drained() {
    let mut world = heavy(true);
    for n in 0..3 {
        world.nodes.insert(format!("node-{n}"), Fact::Known(NodeFacts { cordoned: n == 0, ..NodeFacts::default() }));
    }
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.going.insert(0);
    assert!(matches!(world.settle().step, Step::Wait(_)), "{:?}", world.trace);
    assert!(world.trace.is_empty(), "{:?}", world.trace);
}

#[test]
fn one_without_whose_weight_the_others_are_no_quorum_keeps_its_volume_and_it_is_said() {
    let mut world = heavy(false);
    world.replace.insert(ServerId(1));
    let plan = world.settle();
    let (code, message) = refusal(&plan);
    assert!(code == "ReplaceRefused" && message.contains("weight 3 of 5"), "{message}");
    world.replace.clear();
    world.claims.get_mut(&Seat::voter(0)).unwrap().going = true;
    world.asked.insert(ServerId(2));
    let plan = world.settle();
    assert!(!world.trace.contains(&"leave 1".to_owned()), "{:?}", world.trace);
    assert!(world.trace.contains(&"restart 2".to_owned()), "the others are looked after: {:?}", world.trace);
    let warning = plan.conditions.iter().find(|verdict| verdict.name == "Warning").unwrap();
    assert!(warning.message.contains("weight 3 of 5"), "{}", warning.message);
}

/// Found by an adversary: the lowest id that did not vote was always the next to join. While that one had no group, restarts and
/// drained nodes took one member after the other out, and none came back.
#[test]
fn whoever_leaves_while_another_has_no_group_votes_again() {
    for (members, out) in (3..=5u32).flat_map(|members| (1..=members).map(move |out| (members, out))) {
        for order in Order::all(members).filter(|order| !matches!(order, Order::Replace(id) if *id == out)) {
            let mut world = zk(i32::try_from(members).unwrap());
            assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
            world.trace.clear();
            let membership = world.membership.as_mut().unwrap();
            membership.servers.remove(&ServerId(out));
            membership.votes.groups = membership.servers.keys().map(|id| (*id, 1)).collect();
            let voters = world.voters();
            let plan = order.give(&mut world);
            let doing = format!("{members}, {out} is in no group, {order:?}: {:?}", world.trace);
            refusal(&plan);
            assert_eq!(world.voters(), voters, "{doing}");
        }
    }
}

#[test]
fn one_that_comes_back_to_a_single_voter_does_not_wait_for_one_without_a_group() {
    let mut world = settled([3, 1, 1]);
    world.membership.as_mut().unwrap().servers.remove(&ServerId(3));
    world.membership.as_mut().unwrap().votes.groups.remove(&ServerId(3));
    world.membership.as_mut().unwrap().votes.weights.remove(&ServerId(3));
    world.pass();
    let plan = Order::Roll.give(&mut world);
    refusal(&plan);
    assert_eq!(world.voters(), [1, 2], "{:?}", world.trace);
}

#[test]
fn one_that_cannot_be_spared_is_restarted_after_those_that_can_also_where_somebody_asks_for_it() {
    let mut world = heavy(false);
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    world.asked.insert(ServerId(1));
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    let restarts: Vec<_> = world.trace.iter().filter(|step| step.starts_with("restart")).collect();
    assert_eq!((restarts.len(), restarts[2].as_str()), (3, "restart 1"), "{:?}", world.trace);
}
