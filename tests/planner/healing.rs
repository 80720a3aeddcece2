//! Restarts of members that do not serve, told as behaviour: how long counts, and not how old.

use menagerie::api::{ImageSpec, UpdateMode, UpdatePolicy};
use menagerie::model::truth::{DiskState, ServerState};
use menagerie::model::{Fact, MemberRequest, MemberTruth, Observation, PodFacts, PodRefusal, Pool, Seat, ServerId};
use menagerie::plan::{Plan, Step, plan};

use super::world::{World, zk};

const DEADLINE: u64 = 600;

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

/// A new image, applied and not restarted to by anybody yet.
fn with_a_new_image(world: &mut World) {
    world.spec.image = Some(ImageSpec { tag: Some("3.9.5-nonsense".into()), ..ImageSpec::default() });
    assert!(matches!(world.pass().step, Step::Apply(_)));
}

/// What is seen when nobody leads: every agent has said for so many seconds that its server elects.
fn electing(world: &World, seconds: u64) -> Observation {
    let mut seen = world.seen();
    let seats: Vec<Seat> = seen.pods.keys().copied().collect();
    for seat in seats {
        elects(&mut seen, seat, seconds);
    }
    seen
}

fn elects(seen: &mut Observation, seat: Seat, seconds: u64) {
    let id = ServerId::from(seat);
    let identity = seen.charter.as_ref().map(|charter| charter.identity.clone());
    let disk = DiskState { identity, database: true, ..DiskState::default() };
    let server = ServerState::Waiting { phase: "election".into(), version: None };
    seen.members.insert(
        id,
        Fact::Known(MemberTruth {
            id,
            disk,
            server,
            stalled: Some(seconds),
            still: Some(seconds),
            archive: None,
            unpurged: None,
        }),
    );
    let now = seen.now;
    let pod = pod(seen, seat.ordinal);
    (pod.ready, pod.served, pod.unready) = (false, true, Some(now - seconds));
}

fn pod(seen: &mut Observation, ordinal: u32) -> &mut PodFacts {
    seen.pods.get_mut(&Seat::voter(ordinal)).unwrap()
}

/// Its server ended so many seconds ago; the kubelet starts it again in place.
fn crashed(seen: &mut Observation, ordinal: u32, seconds: u64) {
    let now = seen.now;
    let pod = pod(seen, ordinal);
    (pod.running, pod.ready, pod.unready, pod.restarts) = (Some(false), false, Some(now - seconds), 1);
    seen.members.insert(ServerId(ordinal + 1), Fact::Unknown("connection refused".into()));
}

/// Its pod has the newest revision, whose image cannot be pulled.
fn stuck(seen: &mut Observation, ordinal: u32, seconds: u64) {
    let newest = seen.set(Pool::Voters).unwrap().update_revision.clone();
    crashed(seen, ordinal, seconds);
    let now = seen.now;
    let pod = pod(seen, ordinal);
    (pod.revision, pod.served, pod.unready, pod.since, pod.restarts) = (newest, false, None, now - seconds, 0);
    pod.trouble = Some("container zookeeper: ImagePullBackOff".into());
}

fn restarted(seen: &Observation) -> Option<ServerId> {
    match plan(seen).step {
        Step::Restart(restart) => Some(restart.id),
        step => {
            assert!(matches!(step, Step::Wait(_)), "{step:?}");
            None
        }
    }
}

fn degraded(plan: &Plan) -> &'static str {
    plan.conditions.iter().find(|condition| condition.name == "Degraded").unwrap().reason
}

#[test]
fn case_r01_a_halted_roll_and_one_crash_spread_nothing() {
    let mut world = settled(3);
    with_a_new_image(&mut world);
    for seconds in [0, 30, 10 * DEADLINE] {
        let mut seen = electing(&world, seconds);
        stuck(&mut seen, 2, 20 * DEADLINE);
        crashed(&mut seen, 1, seconds);
        assert_eq!(restarted(&seen), None, "after {seconds} s: both others served with what they have");
    }
}

#[test]
fn case_r01b_all_crash_under_supervision_and_nobody_gets_what_nobody_approved() {
    let mut world = settled(3);
    world.spec.update_policy = Some(UpdatePolicy { mode: Some(UpdateMode::Supervised), ..Default::default() });
    with_a_new_image(&mut world);
    let mut seen = electing(&world, 1);
    (0..3).for_each(|ordinal| crashed(&mut seen, ordinal, 1));
    assert_eq!(restarted(&seen), None);
    // One alone, while the others serve, is left the time to come back as well.
    let mut seen = world.seen();
    crashed(&mut seen, 0, 1);
    assert_eq!(restarted(&seen), None);
    crashed(&mut seen, 0, DEADLINE + 1);
    assert_eq!(restarted(&seen), Some(ServerId(1)), "one that does not serve is not made to wait for ever");
}

#[test]
fn beside_a_halted_roll_a_member_that_blips_is_left_as_it_is_for_the_deadline() {
    let mut world = settled(5);
    with_a_new_image(&mut world);
    let mut seen = world.seen();
    stuck(&mut seen, 0, 20 * DEADLINE);
    elects(&mut seen, Seat::voter(1), 2);
    assert_eq!(restarted(&seen), None);
    crashed(&mut seen, 1, 2);
    assert_eq!(restarted(&seen), None);
}

#[test]
fn a_member_that_served_and_blips_halts_no_roll() {
    let mut world = settled(3);
    world.spec.image = Some(ImageSpec { tag: Some("3.9.5-new".into()), ..ImageSpec::default() });
    while !world.trace.iter().any(|word| word.starts_with("restart")) {
        world.pass();
    }
    let newest = world.revision();
    let fresh = *world.made.iter().find(|(_, (revision, _))| *revision == newest).unwrap().0;
    let mut seen = world.seen();
    elects(&mut seen, Seat::voter(fresh), 5);
    assert_eq!(degraded(&plan(&seen)), "MemberNotSynced", "its pod is an hour old, and it has not served for 5 s");
    elects(&mut seen, Seat::voter(fresh), DEADLINE + 1);
    assert_eq!(degraded(&plan(&seen)), "RollHalted");
}

#[test]
fn without_a_leader_pods_that_never_served_are_made_anew_one_at_a_time() {
    let mut world = settled(3);
    with_a_new_image(&mut world);
    let mut seen = electing(&world, DEADLINE);
    let newest = seen.set(Pool::Voters).unwrap().update_revision.clone();
    for ordinal in [0, 1] {
        stuck(&mut seen, ordinal, 30);
        pod(&mut seen, ordinal).revision = Some("a bad one".into());
    }
    assert_eq!(restarted(&seen), Some(ServerId(1)), "two of three never served");
    pod(&mut seen, 0).revision = newest.clone();
    assert_eq!(restarted(&seen), None, "the first is on its way");
    pod(&mut seen, 0).since -= DEADLINE;
    assert_eq!(restarted(&seen), Some(ServerId(2)), "the first had its time");
    pod(&mut seen, 0).terminating = true;
    assert_eq!(restarted(&seen), None);
}

#[test]
fn without_a_leader_a_member_that_ends_again_and_again_gets_the_cure_after_the_deadline() {
    let mut world = settled(1);
    world.spec.jvm = Some(menagerie::api::JvmSpec { heap: Some("1Gi".into()), flags: None });
    world.pass();
    let mut seen = world.seen();
    crashed(&mut seen, 0, DEADLINE + 1);
    assert_eq!(restarted(&seen), None, "it ended once");
    pod(&mut seen, 0).restarts = 5;
    assert_eq!(restarted(&seen), Some(ServerId(1)));
    crashed(&mut seen, 0, DEADLINE - 1);
    pod(&mut seen, 0).restarts = 5;
    assert_eq!(restarted(&seen), None);
}

#[test]
fn without_a_leader_a_person_may_ask_for_what_the_operator_does_not_do() {
    let mut world = settled(3);
    with_a_new_image(&mut world);
    let mut seen = electing(&world, DEADLINE + 1);
    assert_eq!(restarted(&seen), None);
    pod(&mut seen, 1).request = Some(MemberRequest::Restart);
    assert_eq!(restarted(&seen), Some(ServerId(2)));
    let mut seen = electing(&world, 5);
    pod(&mut seen, 1).request = Some(MemberRequest::Restart);
    assert_eq!(restarted(&seen), None, "an election takes a moment");
}

#[test]
fn without_a_leader_a_member_that_is_merely_silent_is_not_restarted() {
    let mut world = settled(3);
    with_a_new_image(&mut world);
    let mut seen = electing(&world, 10 * DEADLINE);
    for id in 1..=3 {
        seen.members.insert(ServerId(id), Fact::Unknown("connect timed out".into()));
    }
    assert_eq!(restarted(&seen), None);
}

/// Kubernetes has refused to make this pod again for so many seconds, as for a quota that others have used up.
fn refused(seen: &mut Observation, ordinal: u32, seconds: u64) {
    seen.pods.remove(&Seat::voter(ordinal));
    seen.members.remove(&ServerId(ordinal + 1));
    let refusal = PodRefusal { since: Some(seen.now - seconds), words: "exceeded quota".into() };
    seen.hindrances.pods.insert(Seat::voter(ordinal), refusal);
}

#[test]
fn without_a_leader_a_pod_that_is_refused_for_long_keeps_nobody_from_being_cured() {
    let mut world = settled(3);
    with_a_new_image(&mut world);
    for (seconds, cured) in [(DEADLINE - 1, None), (DEADLINE + 1, Some(ServerId(2)))] {
        let mut seen = electing(&world, 2 * DEADLINE);
        stuck(&mut seen, 1, 2 * DEADLINE);
        pod(&mut seen, 1).revision = Some("a bad one".into());
        refused(&mut seen, 2, seconds);
        assert_eq!(restarted(&seen), cured, "a corrected spec, after {seconds} s");
        let mut seen = electing(&world, 2 * DEADLINE);
        pod(&mut seen, 1).request = Some(MemberRequest::Restart);
        refused(&mut seen, 2, seconds);
        assert_eq!(restarted(&seen), cured, "the annotation, after {seconds} s");
    }
    let mut seen = electing(&world, 2 * DEADLINE);
    pod(&mut seen, 1).request = Some(MemberRequest::Restart);
    refused(&mut seen, 2, 2 * DEADLINE);
    seen.hindrances.pods.clear();
    assert_eq!(restarted(&seen), None, "without a refusal it is on its way");
}

/// One founder of three has a pod, and is in election with a list of three; one is asked for by now.
fn misled(outdated: Option<&str>) -> Observation {
    let mut world = zk(3);
    world.down = (1..=3).map(ServerId).collect();
    world.settle();
    let mut seen = world.seen();
    let identity = seen.charter.as_ref().map(|charter| charter.identity.clone());
    let disk = DiskState { identity, outdated: outdated.map(str::to_owned), ..DiskState::default() };
    let server = ServerState::Waiting { phase: "election".into(), version: None };
    let truth = MemberTruth {
        id: ServerId(1),
        disk,
        server,
        stalled: Some(20),
        still: Some(20),
        archive: None,
        unpurged: None,
    };
    seen.members.insert(ServerId(1), Fact::Known(truth));
    let now = seen.now;
    let pod = pod(&mut seen, 0);
    (pod.running, pod.ready, pod.served, pod.unready, pod.since) = (Some(true), false, false, None, now - 20);
    seen
}

#[test]
fn before_the_birth_a_founder_with_another_list_is_restarted_at_once_and_one_that_only_waits_is_not() {
    assert_eq!(restarted(&misled(Some("it was started with other founders"))), Some(ServerId(1)));
    assert_eq!(restarted(&misled(None)), None);
    let mut receives = misled(Some("it was started with other founders"));
    if let Some(Fact::Known(truth)) = receives.members.get_mut(&ServerId(1)) {
        truth.still = Some(1);
    }
    assert_eq!(restarted(&receives), None, "two of three may be a quorum of the longer list");
    let mut joined = misled(Some("it was started with other founders"));
    if let Some(Fact::Known(truth)) = joined.members.get_mut(&ServerId(1)) {
        truth.disk.epoch = Some(1);
    }
    assert_eq!(restarted(&joined), None, "it has acknowledged a leader: there may be a quorum");
    let pending = plan(&joined).conditions.into_iter().find(|condition| condition.name == "RestartPending").unwrap();
    assert!(pending.message.contains("600 s") && pending.message.contains("menagerie.dev/restart=now"), "{pending:?}");
    let mut asked = misled(None);
    pod(&mut asked, 0).request = Some(MemberRequest::Restart);
    assert_eq!(restarted(&asked), Some(ServerId(1)), "a person need not wait");
}
