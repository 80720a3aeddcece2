//! Claims that somebody deleted while their pods run: the volume goes with the pod, whatever the spec says of volumes.

use menagerie::api::{JvmSpec, UpdateMode, UpdatePolicy};
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

/// `kubectl delete pvc --wait=false`: each hangs until its pod has ended.
fn marked(replicas: i32, ordinals: &[u32]) -> World {
    let mut world = settled(replicas);
    for ordinal in ordinals {
        world.claims.get_mut(&Seat::voter(*ordinal)).unwrap().going = true;
    }
    world
}

fn heap(world: &mut World) {
    world.spec.jvm = Some(JvmSpec { heap: Some("1Gi".into()), flags: None });
}

fn said(plan: &Plan, name: &str) -> (&'static str, String) {
    let condition =
        plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}"));
    (condition.reason, condition.message.clone())
}

fn is_true(plan: &Plan, name: &str) -> bool {
    plan.conditions
        .iter()
        .any(|condition| condition.name == name && condition.status == menagerie::plan::ConditionStatus::True)
}

#[test]
fn the_only_member_is_not_restarted_when_its_claim_is_being_deleted_and_three_get_out_of_it() {
    let mut world = marked(1, &[0]);
    let plan = world.settle();
    let (reason, message) = said(&plan, "Warning");
    assert_eq!(reason, "ClaimInUseDeleted", "from the first moment");
    assert!(message.contains("data-zk-0") && message.contains("scale to 3"), "{message}");
    heap(&mut world);
    let plan = world.settle();
    assert!(world.trace.is_empty(), "{:?}", world.trace);
    assert_eq!((plan.step.clone(), said(&plan, "RestartPending").0), (Step::Rest, "WouldLoseData"));
    assert!(said(&plan, "RestartPending").1.contains("scale to 3 first"));
    assert_eq!(world.scale(3).settle().step, Step::Rest);
    assert_eq!(world.scale(1).settle().step, Step::Rest);
    assert!(!world.claims[&Seat::voter(0)].going && world.voters() == [1], "{:?}", world.voters());
    assert!(!is_true(&world.settle(), "RestartPending"), "its pod is of the newest revision as well");
}

/// Why a restart is due, and what is seen of that.
type RestartCause = (&'static str, fn(&mut Observation));

/// Whatever makes a restart due: nobody asks the spec what has become of a volume.
#[test]
fn no_reason_to_restart_the_only_member_is_good_enough_to_lose_its_data() {
    let silent = || ServerState::Silent { reason: "no answer within 2500 ms".into() };
    let changes: [RestartCause; 5] = [
        ("roll", |seen| seen.pods.get_mut(&Seat::voter(0)).unwrap().revision = Some("older".into())),
        ("asked", |seen| seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Restart)),
        ("password", |seen| truth(seen).disk.outdated = Some("the password was changed".into())),
        ("frozen", |seen| (truth(seen).stalled, truth(seen).still) = (Some(3_600), Some(3_600))),
        ("drained", |seen| {
            let node = seen.pods[&Seat::voter(0)].node.clone().unwrap();
            seen.nodes.insert(node, Fact::Known(NodeFacts { cordoned: true, lost: None }));
        }),
    ];
    for (why, change) in changes {
        let mut seen = marked(1, &[0]).seen();
        if why == "frozen" {
            truth(&mut seen).server = silent();
        }
        change(&mut seen);
        let step = plan(&seen).step;
        assert!(!matches!(step, Step::Restart(_) | Step::ReplaceVolume(_) | Step::Leave { .. }), "{why}: {step:?}");
    }
}

fn truth(seen: &mut Observation) -> &mut menagerie::model::MemberTruth {
    match seen.members.get_mut(&ServerId(1)) {
        Some(Fact::Known(truth)) => truth,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_voter_whose_claim_is_being_deleted_leaves_at_once_gets_a_new_one_and_comes_back() {
    let mut world = marked(3, &[0]);
    let plan = world.pass();
    assert_eq!(said(&plan, "Warning").0, "ClaimInUseDeleted");
    while world.pass().step != Step::Rest {}
    assert_eq!(world.trace, ["leave 1", "restart 1", "join 1"]);
    assert!(!is_true(&world.settle(), "Warning"));
}

#[test]
fn claims_of_all_that_are_being_deleted_are_replaced_one_at_a_time_the_leaders_last_whatever_else_is_due() {
    let mut world = marked(3, &[0, 1, 2]);
    world.spec.update_policy = Some(UpdatePolicy { mode: Some(UpdateMode::Supervised), ..Default::default() });
    heap(&mut world);
    assert_eq!(world.settle().step, Step::Rest);
    let one = |id: u32| [format!("leave {id}"), format!("restart {id}"), format!("join {id}")];
    assert_eq!(world.trace, [one(1), one(2), one(3)].concat());
    assert!(world.claims.values().all(|claim| !claim.going));
}

#[test]
fn of_two_each_leaves_before_its_claim_goes() {
    let mut world = marked(2, &[0, 1]);
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["leave 1", "restart 1", "join 1", "leave 2", "restart 2", "join 2"]);
}

#[test]
fn nobody_is_given_a_new_claim_or_restarted_in_place_while_another_voter_is_missing() {
    for down in [1, 2] {
        let mut world = marked(3, &[0]);
        heap(&mut world);
        world.down.insert(ServerId(2));
        if down == 2 {
            world.silent.insert(ServerId(3));
        }
        world.settle();
        assert!(!world.trace.iter().any(|word| word.ends_with(" 1")), "{:?}", world.trace);
    }
}

/// In place it would come back empty, while it is on record as a voter.
#[test]
fn a_member_that_does_not_serve_leaves_before_it_is_made_anew_without_its_claim() {
    let mut world = marked(3, &[0]);
    heap(&mut world);
    world.down.insert(ServerId(1));
    while world.trace.is_empty() {
        let plan = world.pass();
        assert!(matches!(plan.step, Step::Apply(_) | Step::Leave { why: Purpose::Replace, .. }), "{:?}", plan.step);
    }
    assert_eq!(world.trace, ["leave 1"]);
}

#[test]
fn without_a_leader_nobody_is_restarted_whose_claim_is_being_deleted() {
    let world = marked(3, &[0, 1, 2]);
    let mut seen = world.seen();
    let now = seen.now;
    for (ordinal, pod) in &mut seen.pods {
        (pod.running, pod.ready, pod.restarts, pod.unready) = (Some(false), false, 9, Some(now - 3_600));
        pod.revision = Some("older".into());
        seen.members.insert(ServerId::from(*ordinal), Fact::Unknown("connection refused".into()));
    }
    assert!(matches!(plan(&seen).step, Step::Wait(_)), "{:?}", plan(&seen).step);
}

#[test]
fn at_a_birth_only_a_claim_that_was_never_bound_goes_with_a_founders_pod() {
    for bound in [false, true] {
        let mut world = zk(3);
        world.down = (1..=3).map(ServerId).collect();
        world.settle();
        let mut seen = world.seen();
        let claim = seen.claims.get_mut(&Seat::voter(0)).unwrap();
        (claim.going, claim.volume) = (true, bound.then(|| "volume".to_owned()));
        let step = plan(&seen).step;
        assert_eq!(matches!(&step, Step::Restart(restart) if restart.id == ServerId(1)), !bound, "{step:?}");
    }
}

#[test]
fn the_pod_of_a_single_member_may_not_be_evicted_once_its_claim_goes_with_it() {
    let budget = |world: &World| {
        let key = ObjectKey { kind: Kind::PodDisruptionBudget, name: "zk".into() };
        world.objects[&key].held().unwrap()["spec"]["maxUnavailable"].clone()
    };
    let mut world = settled(1);
    assert_eq!(budget(&world), 1);
    world.claims.get_mut(&Seat::voter(0)).unwrap().going = true;
    world.settle();
    assert_eq!(budget(&world), 0);
}

#[test]
fn a_claim_that_is_gone_while_its_pod_runs_is_as_one_that_is_going() {
    let mut world = settled(3);
    world.claims.remove(&Seat::voter(0));
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.trace, ["leave 1", "restart 1", "join 1"]);
    let mut seen = settled(1).seen();
    seen.claims.clear();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Restart);
    assert!(!matches!(plan(&seen).step, Step::Restart(_)));
}
