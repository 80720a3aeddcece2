//! Members that somebody made observers by hand.

use menagerie::model::{Server, ServerId};
use menagerie::plan::Step;

use super::names::names;
use super::orders::Order;
use super::world::{World, zk};

/// Three members, of which these only observe.
fn observed(ids: &[u32]) -> World {
    observed_of(3, ids)
}

fn observed_of(members: i32, ids: &[u32]) -> World {
    let mut world = zk(members);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    for id in ids.iter().copied().map(ServerId) {
        let spec = names().server(id).spec().replace(":participant", ":observer");
        world.membership.as_mut().unwrap().servers.insert(id, Server::parse(&spec));
    }
    world.trace.clear();
    world
}

#[test]
fn a_member_that_somebody_made_an_observer_is_made_a_voter_again() {
    for id in 1..=3 {
        let mut world = observed(&[id]);
        assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
        assert_eq!(world.trace, [format!("join {id}")]);
        assert_eq!(world.voters(), [1, 2, 3]);
    }
}

#[test]
fn beside_a_single_voter_one_that_observes_waits_and_the_way_out_is_said() {
    let mut world = observed(&[2, 3]);
    let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
    assert!(reason.code == "OnlyObserves" && reason.message.contains("reconfig -remove 2"), "{reason:?}");
    world.membership.as_mut().unwrap().servers.remove(&ServerId(2));
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert_eq!(world.voters(), [1, 2, 3]);
}

/// Found by an adversary: a member that observed counted as there, so that another one left beside it, down to a single voter; and
/// a new volume for one that observed was never confirmed.
#[test]
fn whatever_happens_beside_one_that_observes_all_vote_in_the_end() {
    for (members, id) in [3, 5].into_iter().flat_map(|members| (1..=members).map(move |id| (members, id))) {
        for order in Order::all(u32::try_from(members).unwrap()) {
            for down in [false, true] {
                let mut world = observed_of(members, &[u32::try_from(id).unwrap()]);
                if down {
                    world.down.insert(ServerId(u32::try_from(id).unwrap()));
                }
                let plan = order.give(&mut world);
                let doing = format!("{members}, {id} observes, down: {down}, {order:?}: {:?}", world.trace);
                assert_eq!(plan.step, Step::Rest, "{doing}");
                assert_eq!(world.voters(), (1..=u32::try_from(members).unwrap()).collect::<Vec<_>>(), "{doing}");
            }
        }
    }
}

#[test]
fn those_that_observe_and_are_too_many_leave_with_their_pods() {
    for (members, ids, wanted) in
        [(4, &[4][..], 3), (3, &[3], 1), (5, &[4, 5], 3), (5, &[5], 4), (5, &[1, 5], 3), (4, &[3], 1)]
    {
        let mut world = observed_of(members, ids);
        world.scale(wanted);
        assert_eq!(world.settle().step, Step::Rest, "{members} {ids:?} {wanted}: {:?}", world.trace);
        let wanted = u32::try_from(wanted).unwrap();
        assert_eq!(world.voters(), (1..=wanted).collect::<Vec<_>>(), "{:?}", world.trace);
        assert_eq!(world.pods(), wanted, "{:?}", world.trace);
        assert_eq!(world.membership.as_ref().unwrap().servers.len(), wanted as usize);
    }
}

#[test]
fn a_voter_that_is_gone_leaves_before_an_observer_that_is_too_many_as_all_wait_for_it() {
    let mut world = observed_of(5, &[5]);
    world.down.insert(ServerId(4));
    world.scale(3);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert_eq!((world.voters(), world.pods()), (vec![1, 2, 3], 3), "{:?}", world.trace);
}
