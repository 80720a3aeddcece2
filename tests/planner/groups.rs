//! Memberships that count votes by weights in groups: somebody made them with `reconfig -file`, and members come and go in them.

use menagerie::api::JvmSpec;
use menagerie::model::{Fact, ServerId};
use menagerie::plan::{Step, plan};

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
    world.scale(1);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    let membership = world.membership.unwrap();
    assert_eq!(membership.text().lines().skip(1).collect::<Vec<_>>(), ["group.1=1", "weight.1=1"]);
}
