//! Volumes that are lost together: what is left is no quorum.

use menagerie::model::{Fact, Seat, ServerId};
use menagerie::plan::{Plan, Step, plan};

use super::world::{World, zk};

fn emptied(members: i32, ids: &[u32]) -> World {
    let mut world = zk(members);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world.empty = ids.iter().copied().map(ServerId).collect();
    world
}

fn refusal(plan: &Plan) -> &str {
    let Step::Refuse(reason) = &plan.step else { panic!("{:?}", plan.step) };
    assert_eq!(reason.code, "MajorityLost");
    &reason.message
}

/// The value of the annotation that a message advises.
fn advised(message: &str) -> Option<String> {
    Some(message.split_once("menagerie.dev/accept-loss=")?.1.to_owned())
}

#[test]
fn a_lost_majority_is_said_with_who_has_data_and_what_can_be_done() {
    let mut world = emptied(3, &[1, 3]);
    let plan = world.settle();
    let message = refusal(&plan);
    for words in ["volumes of members 1, 3 are empty", "member 2 cannot elect", "annotate zke zk", "epoch-1-members-1"]
    {
        assert!(message.contains(words), "{words}: {message}");
    }
    let degraded = plan.conditions.iter().find(|condition| condition.name == "Degraded").unwrap();
    assert_eq!(degraded.reason, "MajorityLost");
    assert!(world.trace.is_empty(), "{:?}", world.trace);
}

#[test]
fn one_empty_volume_or_a_silent_member_is_no_lost_majority() {
    let mut world = emptied(3, &[1]);
    assert_eq!(world.settle().step, Step::Rest);
    let mut world = emptied(3, &[1, 3]);
    world.silent = [ServerId(3)].into();
    assert!(matches!(world.settle().step, Step::Wait(_)), "its volume may be there after all");
}

#[test]
fn who_accepts_exactly_this_loss_gets_what_is_left_and_no_more_empty_volumes_vote_than_are_needed() {
    for (members, ids, voting) in
        [(3, &[1, 3][..], 1), (5, &[1, 2, 3, 4], 2), (5, &[1, 3, 5], 1), (2, &[1], 1), (4, &[2, 3], 1)]
    {
        let mut world = emptied(members, ids);
        let value = advised(refusal(&world.settle())).unwrap();
        assert_eq!(value.split_once("members-").unwrap().1.split('-').count(), voting, "{value}");
        // Another loss, or an older one.
        for other in ["epoch-0-members-1", "1", "", "true"] {
            world.requests.accept_loss = Some(other.into());
            refusal(&world.settle());
            assert!(world.trace.is_empty(), "{other}: {:?}", world.trace);
        }
        world.requests.accept_loss = Some(value);
        assert_eq!(world.settle().step, Step::Rest, "{members} {ids:?}: {:?}", world.trace);
        assert_eq!(world.trace.len(), voting, "{:?}", world.trace);
        assert!(world.trace.iter().all(|step| step.starts_with("restart")), "{:?}", world.trace);
        assert!(world.seen().charter.unwrap().may_vote.is_empty(), "it is over");
        // The same members again: the word of before accepts nothing.
        world.trace.clear();
        world.empty = ids.iter().copied().map(ServerId).collect();
        refusal(&world.settle());
        assert!(world.trace.is_empty(), "{:?}", world.trace);
    }
}

#[test]
fn while_the_pod_of_one_that_may_vote_is_made_again_it_goes_on_being_told() {
    let mut world = emptied(5, &[1, 2, 3, 4]);
    world.requests.accept_loss = advised(refusal(&world.settle()));
    while world.seen().charter.unwrap().may_vote.is_empty() {
        world.pass();
    }
    world.silent.insert(ServerId(1));
    world.pass();
    let told = world.seen().charter.unwrap().may_vote;
    assert_eq!(told.into_keys().collect::<Vec<_>>(), [1, 2].map(ServerId));
}

#[test]
fn a_volume_that_has_voted_empty_is_not_data_and_two_acceptances_found_nothing() {
    let mut world = emptied(3, &[2, 3]);
    world.requests.accept_loss = advised(refusal(&world.settle()));
    // It has started, and written a snapshot of nothing, when the last copy is lost.
    world.blank.insert(ServerId(2));
    world.empty.insert(ServerId(1));
    let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
    assert_eq!(reason.code, "NoData", "{reason:?}");
}

#[test]
fn with_weights_a_member_with_data_could_be_missing_and_nothing_is_offered() {
    let mut world = emptied(3, &[]);
    let membership = world.membership.as_mut().unwrap();
    membership.votes.groups = (1..=3).map(|id| (ServerId(id), 1)).collect();
    membership.version.0 += 1;
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.empty = [1, 3].map(ServerId).into();
    let plan = world.settle();
    assert!(refusal(&plan).contains("groups and weights") && advised(refusal(&plan)).is_none(), "{:?}", plan.step);
}

/// Seen on a cluster: two claims were deleted under their pods. The operator took one member out, and the quorum was gone before it could
/// note that: who had to vote was "not known" for ever, though every member had answered.
#[test]
fn a_change_that_only_the_servers_have_on_record_decides_who_has_to_vote_once_all_have_answered() {
    let mut world = zk(3);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    let mut membership = world.membership.clone().unwrap();
    membership.servers.remove(&ServerId(2));
    membership.version.0 += 1;
    world.membership = Some(membership);
    world.empty = [2, 3].map(ServerId).into();
    world.silent = [ServerId(2)].into();
    assert!(matches!(world.settle().step, Step::Wait(_)), "member 2 may have a later record, and data");
    world.silent.clear();
    let plan = world.settle();
    let message = refusal(&plan);
    assert!(message.contains("volume of member 3 is empty, and member 1 cannot elect"), "{message}");
    let accepted = advised(message).unwrap();
    assert_eq!(accepted, "epoch-1-members-3");
    world.requests.accept_loss = Some(accepted);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert_eq!(world.membership.as_ref().unwrap().voters().count(), 3);
}

#[test]
fn where_there_is_an_archive_whoever_accepts_a_loss_hears_that_it_may_have_more() {
    let archive: menagerie::api::ArchiveSpec =
        serde_json::from_value(serde_json::json!({"s3": {"bucket": "backups"}})).unwrap();
    for (empty, reason) in [(&[1, 3][..], "MajorityLost"), (&[1, 2, 3], "NoData")] {
        let mut world = emptied(3, &[]);
        world.spec.archive = Some(archive.clone());
        assert_eq!(world.settle().step, Step::Rest);
        world.empty = empty.iter().copied().map(ServerId).collect();
        let Step::Refuse(told) = world.settle().step else { panic!("nothing is refused") };
        assert_eq!(told.code, reason);
        let words = "the archive s3://backups may have more than is left here (menagerie archive stat, identity";
        assert!(told.message.contains(words) && told.message.contains("spec.from"), "{}", told.message);
    }
}

#[test]
fn a_pod_outside_of_the_membership_that_may_have_later_writes_is_asked_first() {
    // The fourth was taken out by a change that the operator has not heard of, and two of the others lost their volumes.
    let mut world = emptied(4, &[2, 3]);
    let mut membership = world.membership.clone().unwrap();
    membership.servers.remove(&ServerId(4));
    membership.version.0 += 1;
    world.membership = Some(membership);
    world.settle();
    let mut seen = world.seen();
    let mut truth = seen.members[&ServerId(4)].known().cloned().unwrap();
    assert!(truth.disk.epoch.is_some() && advised(refusal(&plan(&seen))).is_some(), "it has nothing that they lack");
    truth.disk.epoch = truth.disk.epoch.map(|epoch| epoch + 1);
    seen.members.insert(ServerId(4), Fact::Known(truth));
    let told = plan(&seen);
    let message = refusal(&told);
    assert!(advised(message).is_none() && message.contains("may have writes that none of them has"), "{message}");
}

/// It was asked for ever, and its advice was to delete the pod that no node has room for.
#[test]
fn a_pod_that_never_ran_is_not_asked_before_a_loss_is_accepted() {
    let mut world = emptied(3, &[]);
    world.unplaced.insert(ServerId(4));
    world.scale(4).settle();
    world.claims.get_mut(&Seat::voter(3)).unwrap().volume = None;
    world.empty = [2, 3].map(ServerId).into();
    let plan = world.settle();
    let accepted = advised(refusal(&plan)).unwrap();
    world.requests.accept_loss = Some(accepted);
    world.settle();
    assert_eq!(world.membership.as_ref().unwrap().voters().count(), 3);
    assert!(world.leader().is_some());
}
