//! Answers and servers that are none of this ensemble's.

use menagerie::api::JvmSpec;
use menagerie::model::truth::{ServerState, Serving};
use menagerie::model::{Fact, MemberTruth, Membership, Observation, Seat, Server, ServerId};
use menagerie::plan::{ConditionStatus, Expected, Operation, Plan, Step, plan};

use super::names::names;
use super::world::{World, zk};

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn stranger(world: &mut World, id: u32) {
    let server = Server::voter("zk.elsewhere.example");
    world.membership.as_mut().unwrap().servers.insert(ServerId(id), server);
}

fn degraded(plan: &Plan) -> (&'static str, String) {
    let condition = plan.conditions.iter().find(|condition| condition.name == "Degraded").unwrap();
    (condition.reason, condition.message.clone())
}

fn serving(truth: &mut MemberTruth) -> &mut Serving {
    match &mut truth.server {
        ServerState::Serving(serving) => serving,
        other => panic!("{other:?}"),
    }
}

/// What the agent of that member says.
fn answer(seen: &Observation, id: u32) -> MemberTruth {
    seen.members[&ServerId(id)].known().unwrap().clone()
}

#[test]
fn what_an_agent_of_another_version_says_in_its_own_words_only_ever_leads_to_waiting() {
    let mut world = settled(3);
    let unknown = |id: u32, seen: &Observation| {
        let truth =
            MemberTruth { server: ServerState::Unknown, stalled: Some(9_999), still: Some(9_999), ..answer(seen, id) };
        seen.believed(ServerId(id), Ok(truth))
    };
    for id in 1..=3 {
        let mut seen = world.seen();
        seen.members.insert(ServerId(id), unknown(id, &seen));
        let Step::Wait(reason) = plan(&seen).step else { panic!("{:?}", plan(&seen).step) };
        assert!(id == 3 || reason.message.contains("another version"), "{}", reason.message);
    }
    world.scale(5);
    let mut seen = world.seen();
    for id in 1..=3 {
        seen.members.insert(ServerId(id), unknown(id, &seen));
    }
    assert!(matches!(plan(&seen).step, Step::Wait(_) | Step::Apply(_)), "{:?}", plan(&seen).step);
    assert_eq!(plan(&seen).status.leader, None);
}

#[test]
fn case_r04_an_answer_of_another_ensemble_is_nobodys_word() {
    let world = settled(3);
    let mut seen = world.seen();
    let mut foreign = answer(&seen, 3);
    foreign.disk.identity = Some("another".into());
    serving(&mut foreign).epoch = 99;
    let believed = seen.believed(ServerId(3), Ok(foreign));
    let Fact::Unknown(reason) = &believed else { panic!("{believed:?}") };
    assert!(reason.contains("another ensemble"), "{reason}");
    seen.members.insert(ServerId(3), believed);
    assert!(matches!(plan(&seen).step, Step::Wait(_)), "{:?}", plan(&seen).step);
    assert_eq!(plan(&seen).status.leader, None, "the leader's pod is the one whose address was given away");
    let ours = answer(&world.seen(), 2);
    assert_eq!(world.seen().believed(ServerId(2), Ok(ours.clone())), Fact::Known(ours.clone()));
    assert!(matches!(world.seen().believed(ServerId(1), Ok(ours)), Fact::Unknown(_)), "it speaks for member 2");
}

#[test]
fn members_are_told_of_another_membership_only_behind_a_fresh_quorum_read_of_it() {
    let mut world = settled(3);
    world.scale(4);
    let told = (0..50).find_map(|_| {
        let step = plan(&world.seen()).step;
        world.pass();
        if let Step::Tell(tell) = step { Some(tell) } else { None }
    });
    let tell = told.unwrap();
    let membership = world.membership.clone().unwrap();
    assert_eq!(tell.membership, membership);
    let operations = Step::Tell(tell).operations();
    let expected = Expected { membership: Some(membership), without: None };
    assert!(
        matches!(&operations[..], [Operation::Confirm { expected: e, .. }, Operation::Write(_)] if *e == expected),
        "{operations:?}"
    );
}

#[test]
fn another_ensembles_membership_of_the_same_version_confirms_nothing() {
    let ours = names().seed(3);
    let theirs = menagerie::model::Names { ensemble: "other".into(), ..names() }.seed(3);
    let expected = Expected { membership: Some(ours.clone()), without: None };
    assert_eq!(expected.met(&ours, &names()), Ok(()));
    assert!(expected.met(&theirs, &names()).is_err());
}

#[test]
fn what_an_agent_makes_up_under_the_true_version_is_not_the_membership_that_a_quorum_has() {
    let lies: [(&str, &str); 4] = [
        ("version=", "server.9=zk.elsewhere.example:2888:3888:observer;2181\nversion="),
        ("version=", "group.1=1:2:3\nversion="),
        ("zk-0.ns.svc.cluster.local:2888:3888", "zk-0.ns.svc.cluster.local:2888:3999"),
        (";0.0.0.0:2181", ";0.0.0.0:2999"),
    ];
    for (truth, lie) in lies {
        for replicas in [2, 3] {
            let mut world = settled(3);
            world.asked = [ServerId(1)].into();
            world.scale(replicas);
            // Objects of another number of members come first.
            while matches!(plan(&world.seen()).step, Step::Apply(_)) {
                world.pass();
            }
            let mut seen = world.seen();
            let mut leader = answer(&seen, 3);
            let text = &mut serving(&mut leader).membership;
            assert!(text.contains(truth));
            *text = text.replace(truth, lie);
            seen.members.insert(ServerId(3), Fact::Known(leader));
            let step = plan(&seen).step;
            let asked = step.operations().into_iter().find_map(|operation| match operation {
                Operation::Confirm { expected, .. } => Some(expected),
                _ => None,
            });
            let met = asked.unwrap_or_else(|| panic!("{step:?}")).met(world.membership.as_ref().unwrap(), &names());
            assert!(met.is_err(), "{lie} passes for the truth: {step:?}");
        }
    }
}

#[test]
fn a_leader_whose_membership_nobody_here_can_read_is_no_lost_quorum_and_the_line_and_the_command_are_said() {
    let mut world = settled(3);
    world.spec.version = "3.9.4".into();
    world.asked = [ServerId(1)].into();
    // Objects come first.
    while matches!(plan(&world.seen()).step, Step::Apply(_)) {
        world.pass();
    }
    let mut seen = world.seen();
    for id in 1..=3 {
        let mut member = answer(&seen, id);
        let line = "server.5000000000=zk.elsewhere.example:2888:3888:observer;2181\nversion=";
        let text = &mut serving(&mut member).membership;
        *text = text.replace("version=", line);
        seen.members.insert(ServerId(id), Fact::Known(member));
    }
    let told = plan(&seen);
    let Step::Refuse(reason) = &told.step else { panic!("{:?}", told.step) };
    assert_eq!((reason.code, degraded(&told).0), ("MembershipUnread", "MembershipUnread"));
    for words in ["member 3 (pod zk-2)", "server.5000000000=", "reconfig -remove 5000000000"] {
        assert!(reason.message.contains(words), "{words}: {}", reason.message);
    }
    let quorum = told.conditions.iter().find(|condition| condition.name == "QuorumAvailable").unwrap();
    assert_eq!((quorum.status, quorum.reason), (ConditionStatus::Unknown, "MembershipUnread"));
    assert_eq!(told.status.membership, world.status.membership, "what was known is kept");
    // Nobody goes down meanwhile: whoever starts could not read it either.
    let mut gone = seen.clone();
    gone.members.insert(ServerId(1), Fact::Unknown("connect timed out".into()));
    assert!(matches!(plan(&gone).step, Step::Refuse(_)), "{:?}", plan(&gone).step);
}

#[test]
fn one_agent_alone_that_says_its_membership_cannot_be_read_keeps_nobody_down() {
    let mut world = settled(3);
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    while matches!(plan(&world.seen()).step, Step::Apply(_)) {
        world.pass();
    }
    let unread = |world: &World, others: u32| {
        let mut seen = world.seen();
        for id in 3 - others..=3 {
            let mut member = answer(&seen, id);
            serving(&mut member).membership.push_str("\nserver.5000000000=zk.elsewhere.example:2888:3888;2181");
            seen.members.insert(ServerId(id), Fact::Known(member));
        }
        // One that never served, and needs the newest revision.
        let pod = seen.pods.get_mut(&Seat::voter(0)).unwrap();
        (pod.running, pod.ready, pod.served, pod.unready) = (Some(false), false, false, None);
        seen.members.insert(ServerId(1), Fact::Unknown("connect refused".into()));
        seen
    };
    let alone = plan(&unread(&world, 0));
    assert!(matches!(&alone.step, Step::Restart(restart) if restart.id == ServerId(1)), "{:?}", alone.step);
    for name in ["Degraded", "QuorumAvailable"] {
        let condition = alone.conditions.iter().find(|condition| condition.name == name).unwrap();
        assert_eq!(condition.reason, "MembershipUnread");
        assert!(condition.message.starts_with("according to its agent alone, member 3"), "{}", condition.message);
    }
    // While nobody has to be restarted it is refused: nobody joins or leaves.
    let mut up = unread(&world, 0);
    up.members.insert(ServerId(1), Fact::Known(answer(&world.seen(), 1)));
    up.pods = world.seen().pods;
    assert!(matches!(&plan(&up).step, Step::Refuse(reason) if reason.code == "MembershipUnread"));
    let two = plan(&unread(&world, 1));
    assert!(matches!(&two.step, Step::Refuse(reason) if reason.code == "MembershipUnread"), "{:?}", two.step);
}

#[test]
fn a_member_whose_own_text_of_the_membership_cannot_be_read_has_not_confirmed_it() {
    let mut world = settled(3);
    world.asked = [ServerId(1)].into();
    let mut seen = world.seen();
    let mut member = answer(&seen, 2);
    serving(&mut member).membership.push_str("\nserver.5000000000=zk.elsewhere.example:2888:3888:observer;2181");
    seen.members.insert(ServerId(2), Fact::Known(member));
    let Step::Wait(reason) = plan(&seen).step else { panic!("{:?}", plan(&seen).step) };
    assert!(reason.message.contains("member 2") && reason.message.contains("5000000000"), "{}", reason.message);
}

#[test]
fn a_server_that_somebody_added_by_hand_gets_no_pod_is_named_and_keeps_its_vote() {
    let mut world = settled(3);
    stranger(&mut world, 9);
    let plan = world.settle();
    assert_eq!((world.pods(), world.voters()), (3, vec![1, 2, 3, 9]));
    let (reason, message) = degraded(&plan);
    assert_eq!(reason, "ForeignServer");
    assert!(message.contains("server 9") && message.contains("zk.elsewhere.example"), "{message}");
    assert!(plan.status.members.iter().all(|member| member.id != 9));
}

#[test]
fn a_server_at_the_id_of_a_member_that_is_to_come_is_in_the_way_and_the_way_out_is_said() {
    let mut world = settled(3);
    stranger(&mut world, 4);
    world.scale(5);
    let Step::Refuse(reason) = world.settle().step else { panic!() };
    assert_eq!(reason.code, "ForeignServer");
    assert!(reason.message.contains("reconfig -remove 4"), "{}", reason.message);
    world.scale(3);
    world.membership.as_mut().unwrap().servers.remove(&ServerId(4));
    assert_eq!(world.settle().step, Step::Rest);
}

#[test]
fn a_pod_whose_id_somebody_gave_to_a_server_of_his_own_goes_when_fewer_members_are_asked_for() {
    let mut world = settled(3);
    world.scale(4);
    while world.pods() < 4 {
        world.pass();
    }
    stranger(&mut world, 4);
    let Step::Refuse(reason) = world.settle().step else { panic!("{:?}", world.trace) };
    assert!(reason.message.contains("ask for fewer than 4 members"), "{}", reason.message);
    world.scale(3);
    let removal = (0..20).find_map(|_| Some(world.pass().step).filter(|step| matches!(step, Step::RemovePod(_))));
    let (step, membership) = (removal.unwrap(), world.membership.clone().unwrap());
    for operation in step.operations() {
        if let Operation::Confirm { expected, .. } = operation {
            assert_eq!(expected.met(&membership, &names()), Ok(()));
        }
    }
    assert!(matches!(world.settle().step, Step::Rest | Step::Wait(_)), "{:?}", world.trace);
    assert_eq!((world.pods(), world.voters()), (3, vec![1, 2, 3, 4]));
}

#[test]
fn a_server_of_somebody_else_is_neither_restarted_nor_given_a_volume_by_way_of_a_pod_of_its_id() {
    let mut world = settled(3);
    world.scale(4);
    while world.pods() < 4 {
        world.pass();
    }
    stranger(&mut world, 4);
    world.spec.replicas = 3;
    (world.asked, world.replace) = ([ServerId(4)].into(), [ServerId(4)].into());
    let step = (0..20).map(|_| world.pass().step).find(|step| step.member().is_some()).unwrap();
    assert!(matches!(step, Step::RemovePod(_)), "{step:?}");
    assert_eq!(world.voters(), [1, 2, 3, 4]);
}

#[test]
fn case_r04_a_member_that_joined_another_ensemble_leads_nobody_here_and_the_way_out_is_said() {
    let mut world = settled(3);
    world.epoch = 5;
    let mut seen = world.seen();
    let theirs = menagerie::model::Names { ensemble: "other".into(), ..names() }.seed(3);
    let mut lost = answer(&seen, 1);
    let leader = answer(&seen, 3);
    let ServerState::Serving(leads) = &leader.server else { panic!() };
    *serving(&mut lost) =
        Serving { epoch: 99, membership: format!("{}version=6300000000", theirs.text()), ..leads.clone() };
    seen.members.insert(ServerId(1), Fact::Known(lost));
    let plan = plan(&seen);
    assert_eq!(plan.status.leader.as_deref(), Some("zk-2"));
    let Step::Wait(reason) = &plan.step else { panic!("{:?}", plan.step) };
    assert!(
        reason.message.contains("other-0") && reason.message.contains("menagerie.dev/replace=volume"),
        "{}",
        reason.message
    );
}

#[test]
fn case_r04_another_ensembles_leader_is_no_quorum_of_this_one_and_its_membership_is_never_noted() {
    let mut world = settled(3);
    world.epoch = 5;
    let theirs = menagerie::model::Names { ensemble: "other".into(), ..names() }.seed(3);
    let mut seen = world.seen();
    let mut lost = answer(&seen, 1);
    let leader = answer(&seen, 3);
    let ServerState::Serving(leads) = &leader.server else { panic!() };
    *serving(&mut lost) =
        Serving { epoch: 99, membership: format!("{}version=6300000000", theirs.text()), ..leads.clone() };
    seen.members.insert(ServerId(1), Fact::Known(lost));
    for silent in [2, 3] {
        seen.members.insert(ServerId(silent), Fact::Unknown("connect timed out".into()));
    }
    let plan = plan(&seen);
    let Step::Refuse(reason) = &plan.step else { panic!("{:?}", plan.step) };
    assert_eq!(reason.code, "ForeignMembership");
    assert!(reason.message.contains("pod zk-0") && reason.message.contains("other-0"), "{}", reason.message);
    let quorum = plan.conditions.iter().find(|condition| condition.name == "QuorumAvailable").unwrap();
    assert_ne!(quorum.status, ConditionStatus::True, "{quorum:?}");
    assert_eq!(plan.status.membership, world.status.membership);
    assert_eq!(plan.status.leader, None);
}

#[test]
fn a_server_of_id_0_that_somebody_added_is_named_and_takes_no_members_pod_for_its_own() {
    for replicas in 1..=3 {
        let mut world = settled(replicas);
        let observer = "server.0=zk.elsewhere.example:2888:3888:observer;2181";
        let observer = Membership::parse(observer).unwrap().servers[&ServerId(0)].clone();
        world.membership.as_mut().unwrap().servers.insert(ServerId(0), observer);
        world.spec.version = "3.9.4".into();
        world.asked = [ServerId(1)].into();
        let plan = world.pass();
        let plan = if matches!(plan.step, Step::Apply(_)) { world.pass() } else { plan };
        assert_eq!(degraded(&plan).0, "ForeignServer", "{:?}", plan.step);
        assert!(!matches!(plan.step, Step::Restart(_)), "{replicas} members: {:?}", plan.step);
    }
}
