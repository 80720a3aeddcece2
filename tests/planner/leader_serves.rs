//! A leader that was started with `leaderServes=no` takes no session: whoever asks it alone waits for ever.

use menagerie::api::{UpdateMode, UpdatePolicy};
use menagerie::model::{Fact, NodeFacts, ServerId};
use menagerie::plan::{Purpose, Step, plan};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::world::{World, zk};

const KEY: &str = "leaderServes";

fn serves(world: &mut World, value: Option<&str>) {
    let config = world.spec.config.get_or_insert_default();
    match value {
        Some(value) => drop(config.insert(KEY.into(), value.into())),
        None => drop(config.remove(KEY)),
    }
}

fn settled(replicas: i32, value: Option<&str>) -> World {
    let mut world = zk(replicas);
    serves(&mut world, value);
    rests(&mut world);
    world
}

fn rests(world: &mut World) {
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    assert!(!world.trace.iter().any(|step| step.contains("nobody")), "{:?}", world.trace);
    world.trace.clear();
}

/// As an operator made them that did not know of this: they run with `no`, and the spec does not say so any more.
fn from_before(replicas: i32) -> World {
    let mut world = settled(replicas, None);
    for n in 0..world.pods() {
        world.mute.insert(ServerId(n + 1));
        world.made.get_mut(&n).unwrap().0 = "older".into();
    }
    world
}

fn cordon(world: &mut World, node: &str) {
    for n in 0..world.pods() {
        let node = format!("node-{n}");
        world.nodes.insert(node, Fact::Known(NodeFacts::default()));
    }
    world.nodes.insert(node.into(), Fact::Known(NodeFacts { cordoned: true, ..NodeFacts::default() }));
}

#[test]
fn three_whose_leader_takes_no_session_are_rolled_scaled_and_drained_by_way_of_its_followers() {
    let mut world = settled(3, Some("no"));
    assert_eq!(world.mute.len(), 3);
    cordon(&mut world, "node-2");
    rests(&mut world);
    world.nodes.clear();
    world.spec.config.as_mut().unwrap().insert("snapCount".into(), "7".into());
    rests(&mut world);
    world.scale(5);
    rests(&mut world);
    world.scale(3);
    rests(&mut world);
    assert_eq!(world.voters(), [1, 2, 3]);
}

#[test]
fn members_that_were_not_rolled_yet_are_asked_when_the_only_one_that_was_leads_and_takes_no_session() {
    let mut world = settled(3, Some("no"));
    world.spec.config.as_mut().unwrap().insert("snapCount".into(), "7".into());
    while !world.trace.iter().any(|step| step == "restart 2") {
        world.pass();
    }
    // The old leader dies, and is back at once; the first of the newer revision leads.
    world.down.insert(ServerId(3));
    world.pass();
    world.down.clear();
    world.epoch += 1;
    assert_eq!(world.leader(), Some(ServerId(2)));
    rests(&mut world);
    assert_eq!(world.voters(), [1, 2, 3]);
}

#[test]
fn fewer_than_three_come_only_after_those_that_run_with_it_were_restarted() {
    for (first, last) in [(3, 1), (3, 2), (5, 1), (5, 2), (4, 2)] {
        let mut world = settled(first, Some("no"));
        serves(&mut world, None);
        world.spec.replicas = last;
        rests(&mut world);
        assert_eq!((world.voters().len(), world.mute.len()), (last.unsigned_abs() as usize, 0), "{first} to {last}");
    }
}

#[test]
fn fewer_than_three_wait_for_the_restarts_that_the_policy_holds_back_and_say_so() {
    let mut world = settled(3, Some("no"));
    world.spec.update_policy = Some(UpdatePolicy { mode: Some(UpdateMode::Supervised), ..Default::default() });
    serves(&mut world, None);
    world.scale(1);
    let Step::Wait(reason) = world.settle().step else { panic!("{:?}", world.trace) };
    assert_eq!(reason.code, "LeaderServesNobody");
    assert!(reason.message.contains("leaderServes") && reason.message.contains("menagerie.dev/approve="), "{reason:?}");
    assert_eq!(world.voters(), [1, 2, 3]);
    world.requests.approved = Some(world.revision());
    rests(&mut world);
    assert_eq!(world.voters(), [1]);
}

#[test]
fn growing_from_one_with_it_in_the_same_edit_comes_to_an_end() {
    for first in [1, 2] {
        let mut world = settled(first, None);
        serves(&mut world, Some("no"));
        world.scale(3);
        rests(&mut world);
        assert_eq!((world.voters().len(), world.mute.len()), (3, 3));
    }
}

#[test]
fn with_fewer_than_three_it_is_refused() {
    for few in [1, 2] {
        let mut world = settled(few, None);
        serves(&mut world, Some("no"));
        assert!(matches!(world.settle().step, Step::Refuse(reason) if reason.code == "InvalidSpec"));
    }
}

#[test]
fn of_two_that_run_with_it_none_is_left_alone_and_the_follower_is_restarted_in_its_place() {
    for drained in [false, true] {
        let mut world = from_before(2);
        if drained {
            cordon(&mut world, "node-1");
        }
        while !world.trace.iter().any(|step| step.starts_with("restart")) {
            let step = plan(&world.seen()).step;
            assert!(!matches!(step, Step::Leave { why: Purpose::HandOver, .. }), "{step:?}");
            world.pass();
        }
        assert_eq!(world.trace, ["restart 1"]);
        rests(&mut world);
        assert_eq!((world.voters().len(), world.mute.len()), (2, 0));
    }
}

#[test]
fn one_that_leads_alone_and_serves_nobody_is_restarted_whatever_else_is_wanted() {
    for wanted in [1, 2, 3] {
        for pods in [1, 3] {
            let mut world = from_before(pods);
            for id in 2..=world.pods() {
                world.membership.as_mut().unwrap().servers.remove(&ServerId(id));
            }
            world.scale(wanted);
            rests(&mut world);
            assert_eq!(world.voters().len(), wanted.unsigned_abs() as usize);
            assert!(world.mute.is_empty());
        }
    }
}

#[test]
fn one_that_leads_alone_and_serves_nobody_as_its_revision_has_it_is_said() {
    let mut world = settled(1, None);
    world.mute.insert(ServerId(1));
    world.scale(3);
    let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
    assert_eq!(reason.code, "LeaderServesNobody");
    assert!(reason.message.contains("delete pod zk-0"), "{reason:?}");
}

/// Up to here its agent has seen that nothing comes of its requests.
const LONG: u64 = 30;

#[test]
fn a_leader_that_commits_nothing_is_restarted_though_another_member_cannot_come_back_meanwhile() {
    for (down, long) in [(None, LONG), (Some(ServerId(1)), 10 * LONG)] {
        let mut world = settled(3, None);
        let leader = world.leader().unwrap();
        world.stuck.insert(leader, long);
        world.down.extend(down);
        let Step::Restart(restart) = plan(&world.seen()).step else { panic!("{:?}", plan(&world.seen()).step) };
        assert_eq!((restart.id, restart.via.len()), (leader, 0), "nobody takes a session");
        assert!(restart.why.contains(&format!("committed nothing for more than {long} s")), "{}", restart.why);
        world.pass();
        assert!(world.stuck.is_empty(), "{:?}", world.trace);
    }
}

#[test]
fn one_that_has_just_begun_to_lead_and_one_whose_requests_an_older_agent_does_not_count_are_left_alone() {
    let mut world = settled(3, None);
    world.stuck.insert(world.leader().unwrap(), LONG - 1);
    assert!(!matches!(plan(&world.seen()).step, Step::Restart(_)));
    world.stuck.clear();
    rests(&mut world);
}

#[test]
fn one_that_commits_nothing_and_whose_data_goes_with_its_pod_is_restarted_beside_a_quorum_and_otherwise_said() {
    let mut world = settled(3, None);
    let leader = world.leader().unwrap();
    world.claims.get_mut(&leader.seat()).unwrap().going = true;
    world.stuck.insert(leader, LONG);
    assert!(matches!(plan(&world.seen()).step, Step::Restart(restart) if restart.id == leader));
    world.down.insert(ServerId(1));
    world.stuck.insert(leader, 10 * LONG);
    let Step::Refuse(reason) = plan(&world.seen()).step else { panic!("{:?}", plan(&world.seen()).step) };
    assert_eq!(reason.code, "LeaderCommitsNothing");
    assert!(reason.message.contains("delete pod zk-"), "{reason:?}");
}

#[test]
fn a_leader_that_commits_nothing_goes_before_whoever_needs_a_session_for_his_restart_and_is_decided_the_same_a_moment_later()
 {
    let mut world = settled(3, None);
    let leader = world.leader().unwrap();
    // It never served, and the spec that was the reason is corrected.
    world.down.insert(ServerId(1));
    world.made.get_mut(&0).unwrap().0 = "older".into();
    let long = 10 * LONG;
    let decided = [long, long + 1, long + 7_200].map(|seconds| {
        world.stuck.insert(leader, seconds);
        plan(&world.seen()).step
    });
    assert!(matches!(&decided[0], Step::Restart(restart) if restart.id == leader), "{:?}", decided[0]);
    assert!(decided.iter().all(|step| *step == decided[0]), "{decided:?}");
}

/// A server that starts to lead writes a snapshot without waiting for the disk, and then waits for it with its first transaction. For its
/// own acknowledgement nobody sets a limit. A restart after half a minute would never let it come to an end.
#[test]
fn a_leader_whose_own_disk_may_be_what_is_slow_is_given_minutes() {
    let alone = settled(1, None);
    let mut beside_a_dead_one = settled(3, None);
    beside_a_dead_one.down.insert(ServerId(1));
    for mut world in [alone, beside_a_dead_one] {
        let leader = world.leader().unwrap();
        for (seconds, restarted) in [(LONG, false), (10 * LONG - 1, false), (10 * LONG, true)] {
            world.stuck.insert(leader, seconds);
            let restarts = |step: &Step| matches!(step, Step::Restart(restart) if restart.id == leader);
            assert_eq!(restarts(&plan(&world.seen()).step), restarted, "{seconds}");
        }
    }
}

#[test]
fn where_followers_may_be_slow_for_longer_a_leader_gets_three_times_as_long() {
    let mut world = settled(3, None);
    let config = [("tickTime", "2000"), ("syncLimit", "60")];
    world.spec.config.get_or_insert_default().extend(config.map(|(key, value)| (key.to_owned(), value.to_owned())));
    rests(&mut world);
    let leader = world.leader().unwrap();
    for (seconds, restarted) in [(359, false), (360, true)] {
        world.stuck.insert(leader, seconds);
        assert_eq!(matches!(plan(&world.seen()).step, Step::Restart(_)), restarted, "{seconds}");
    }
}

/// What people do between two passes, and what befalls members.
#[derive(Clone, Debug)]
enum MemberEvent {
    Pass,
    Scale(i32),
    Serves(bool),
    Restart(i32),
    Crash(u32),
}

fn events() -> impl Strategy<Value = Vec<MemberEvent>> {
    let one = prop_oneof![
        12 => Just(MemberEvent::Pass),
        2 => (1i32..=5).prop_map(MemberEvent::Scale),
        2 => any::<bool>().prop_map(MemberEvent::Serves),
        1 => (0i32..100).prop_map(MemberEvent::Restart),
        1 => (1u32..=5).prop_map(MemberEvent::Crash),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Nothing is ever asked of a leader that takes no session, and whatever was asked for, it comes to an end.
    #[test]
    fn whatever_happens_nobody_asks_a_leader_that_takes_no_session_and_it_ends(events in events()) {
        let mut world = zk(3);
        for event in events {
            match event {
                MemberEvent::Pass => drop(world.pass()),
                MemberEvent::Scale(replicas) => world.spec.replicas = replicas,
                MemberEvent::Serves(value) => serves(&mut world, Some(if value { "yes" } else { "no" })),
                MemberEvent::Restart(n) => drop(world.spec.config.get_or_insert_default().insert("snapCount".into(), n.to_string())),
                MemberEvent::Crash(id) => {
                    world.down.insert(ServerId(id));
                    world.pass();
                    world.down.clear();
                    world.epoch += 1;
                }
            }
        }
        if world.spec.replicas < 3 {
            serves(&mut world, None);
        }
        let plan = world.settle();
        prop_assert_eq!(&plan.step, &Step::Rest, "{:?}", world.trace);
        prop_assert!(!world.trace.iter().any(|step| step.contains("nobody")), "{:?}", world.trace);
        prop_assert_eq!(world.voters().len(), world.spec.replicas.unsigned_abs() as usize);
    }
}
