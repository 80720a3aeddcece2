//! What somebody else keeps from happening: a policy, a quota, a webhook, another controller.

use std::collections::BTreeMap;

use menagerie::api::{JvmSpec, ReclaimPolicy};
use menagerie::model::observed::{Ending, Kind, MemberRequest, ObjectKey};
use menagerie::model::{FieldDifference, Hindrance, Live, Observation, OtherPod, PodRefusal, Seat, ServerId};
use menagerie::plan::{ConditionStatus, Plan, Step, UntimedCondition, Write, differences, plan};
use serde_json::{Value, json};

use super::world::{World, zk};

const QUOTA: &str = "services \"zk-3\" is forbidden: exceeded quota: services";
const PSA: &str = "pods \"zk-1\" is forbidden: violates PodSecurity \"restricted:latest\"";

fn settled(replicas: i32) -> World {
    let mut world = zk(replicas);
    assert_eq!(world.settle().step, Step::Rest, "{:?}", world.trace);
    world.trace.clear();
    world
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { kind, name: name.into() }
}

fn condition<'a>(plan: &'a Plan, name: &str) -> &'a UntimedCondition {
    plan.conditions.iter().find(|condition| condition.name == name).unwrap_or_else(|| panic!("no {name}: {plan:?}"))
}

fn writes(plan: &Plan) -> &[Write] {
    match &plan.step {
        Step::Apply(writes) => writes,
        Step::Tell(tell) => std::slice::from_ref(&tell.write),
        other => panic!("{other:?}"),
    }
}

/// What `act` notes when the API server refuses the writes to these objects.
fn refuse(world: &mut World, refused: &[ObjectKey], words: &str) {
    let plan = plan(&world.seen());
    for write in writes(&plan) {
        let object = write.object();
        if refused.contains(&object.key) {
            let hindrance = Hindrance::Refused { seal: object.seal(), words: words.into() };
            world.hindrances.objects.insert(object.key.clone(), hindrance);
        }
    }
}

fn live_mut<'a>(world: &'a mut World, key: &ObjectKey) -> &'a mut Value {
    match world.objects.get_mut(key) {
        Some(Live::Ours(live)) => live,
        other => panic!("{other:?}"),
    }
}

/// Somebody sets these, and `act` has noted that what is written does not come out.
fn overrule(world: &mut World, key: &ObjectKey, pointer: &str, theirs: Value) {
    *live_mut(world, key).pointer_mut(pointer).unwrap() = theirs;
    let seen = world.seen();
    let differences: Vec<FieldDifference> =
        writes(&plan(&seen)).iter().flat_map(|write| differences(&seen, write)).collect();
    assert!(!differences.is_empty());
    world.hindrances.objects.insert(key.clone(), Hindrance::Overruled(differences));
}

fn set() -> ObjectKey {
    key(Kind::StatefulSet, "zk")
}

const GRACE: &str = "/spec/template/spec/terminationGracePeriodSeconds";

#[test]
fn case_16_a_policys_value_is_named_and_lived_with_and_scaling_goes_on() {
    let mut world = settled(3);
    overrule(&mut world, &set(), GRACE, json!(45));
    // Its pods are of the set as it is: nobody is restarted for the policy again and again.
    let revision = world.revision();
    world.made.values_mut().for_each(|made| made.0.clone_from(&revision));
    let calm = plan(&world.seen());
    assert_eq!(calm.step, Step::Rest);
    let said = condition(&calm, "Hindered");
    assert_eq!((said.status, said.reason), (ConditionStatus::True, "Overruled"));
    for words in
        ["StatefulSet zk", "spec.template.spec.terminationGracePeriodSeconds should be 30, but is 45", "policy"]
    {
        assert!(said.message.contains(words), "{}", said.message);
    }
    assert_eq!(
        (condition(&calm, "Ready").status, condition(&calm, "Degraded").status),
        (ConditionStatus::True, ConditionStatus::False)
    );
    world.scale(4);
    loop {
        let plan = world.pass();
        if world.pods() == 4 {
            break;
        }
        assert!(matches!(plan.step, Step::Apply(_) | Step::AddPod(_)), "{:?}", plan.step);
    }
    // The policy is at work with every write.
    *live_mut(&mut world, &set()).pointer_mut(GRACE).unwrap() = json!(45);
    let next = plan(&world.seen()).step;
    let again = matches!(&next, Step::Apply(writes) if writes.iter().any(|write| write.object().key == set()));
    assert!(!again, "the same is tried again with another number of pods: {next:?}");
}

#[test]
fn case_16_another_wish_at_a_place_that_a_policy_holds_is_tried_at_once() {
    let mut world = settled(3);
    overrule(&mut world, &set(), GRACE, json!(45));
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    let plan = plan(&world.seen());
    assert!(writes(&plan).iter().any(|write| write.object().key == set()));
}

#[test]
fn who_overrules_is_named_by_the_api_servers_record() {
    let mut world = settled(3);
    let budget = key(Kind::PodDisruptionBudget, "zk");
    live_mut(&mut world, &budget)["metadata"]["managedFields"] =
        json!([{"manager": "team-tool", "operation": "Update", "fieldsV1": {"f:spec": {"f:maxUnavailable": {}}}}]);
    overrule(&mut world, &budget, "/spec/maxUnavailable", json!(0));
    let plan = plan(&world.seen());
    assert_eq!(plan.step, Step::Rest);
    let message = &condition(&plan, "Hindered").message;
    assert!(message.contains("spec.maxUnavailable should be 1, but is 0; changed by team-tool"), "{message}");
}

#[test]
fn case_r13_an_owner_that_somebody_gave_a_claim_does_not_stop_growth_and_is_told() {
    let mut world = settled(3);
    world.claims.get_mut(&Seat::voter(0)).unwrap().owned = true;
    let seen = world.seen();
    let differences: Vec<FieldDifference> =
        writes(&plan(&seen)).iter().flat_map(|write| differences(&seen, write)).collect();
    world.hindrances.objects.insert(key(Kind::PersistentVolumeClaim, "data-zk-0"), Hindrance::Overruled(differences));
    let calm = plan(&world.seen());
    assert_eq!(calm.step, Step::Rest);
    let message = &condition(&calm, "Hindered").message;
    assert!(message.contains("data-zk-0") && message.contains("is deleted with the ensemble"), "{message}");
    assert_eq!(world.scale(5).settle().step, Step::Rest);
    assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
}

#[test]
fn case_r13_a_quota_of_services_holds_the_new_member_and_not_the_restart_that_was_asked_for() {
    let mut world = settled(3);
    world.scale(5);
    let refused = ["zk-3", "zk-4"].map(|name| key(Kind::Service, name));
    world.objects.remove(&key(Kind::PodDisruptionBudget, "zk"));
    refuse(&mut world, &refused, QUOTA);
    // What stands behind them in the list is written.
    let others = world.pass();
    assert!(writes(&others).iter().all(|write| !refused.contains(&write.object().key)));
    assert!(writes(&others).iter().any(|write| write.object().key.kind == Kind::PodDisruptionBudget));
    let held = plan(&world.seen());
    let Step::Refuse(reason) = &held.step else { panic!("{:?}", held.step) };
    assert!(reason.code == "ApplyRefused" && reason.message.contains(QUOTA), "{reason:?}");
    let degraded = condition(&held, "Degraded");
    assert_eq!((degraded.status, degraded.reason), (ConditionStatus::True, "ApplyRefused"));
    assert_eq!(condition(&held, "Ready").status, ConditionStatus::False);
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Restart);
    let asked = plan(&seen).step;
    assert!(matches!(&asked, Step::Restart(restart) if restart.id == ServerId(1)), "{asked:?}");
    // The quota is lifted, and the pause is over.
    world.hindrances.objects.clear();
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_set_that_is_not_let_grow_holds_nobody_else_up() {
    let mut world = settled(3);
    world.scale(5);
    let raises = (0..50).find_map(|_| {
        if let Step::AddPod(resize) = plan(&world.seen()).step {
            return Some(resize);
        }
        world.pass();
        None
    });
    let resize = raises.unwrap();
    let hindrance = Hindrance::Refused { seal: resize.object.seal(), words: "denied by a policy".into() };
    world.hindrances.objects.insert(set(), hindrance);
    let Step::Refuse(reason) = plan(&world.seen()).step else { panic!() };
    assert!(reason.message.contains("failed to apply StatefulSet zk: the API server says: denied by a policy"));
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(1)).unwrap().request = Some(MemberRequest::Restart);
    assert!(matches!(plan(&seen).step, Step::Restart(_)));
}

#[test]
fn a_refused_template_leaves_healing_to_go_on_and_another_template_is_tried_at_once() {
    let mut world = settled(3);
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    refuse(&mut world, &[set()], "no");
    let held = plan(&world.seen());
    assert!(matches!(&held.step, Step::Refuse(reason) if reason.code == "ApplyRefused"), "{:?}", held.step);
    let mut seen = world.seen();
    world.down.insert(ServerId(2));
    seen.pods.get_mut(&Seat::voter(1)).unwrap().request = Some(MemberRequest::Restart);
    assert!(matches!(plan(&seen).step, Step::Restart(_)));
    world.down.clear();
    world.spec.jvm = Some(JvmSpec { heap: Some("301Mi".into()), ..JvmSpec::default() });
    assert!(matches!(plan(&world.seen()).step, Step::Apply(_)));
}

#[test]
fn a_charter_that_is_refused_holds_the_membership_and_restarts_and_says_so() {
    let mut world = settled(3);
    world.scale(5);
    // The fourth is a member, and those that start now would not be told.
    while world.voters().len() < 4 {
        world.pass();
    }
    let config = key(Kind::ConfigMap, "zk-config");
    refuse(&mut world, std::slice::from_ref(&config), "denied by a policy");
    // What does not hang on it is written.
    world.settle();
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(0)).unwrap().request = Some(MemberRequest::Restart);
    let held = plan(&seen);
    assert!(
        matches!(&held.step, Step::Refuse(reason) if reason.message.contains("denied by a policy")),
        "{:?}",
        held.step
    );
    assert_eq!(world.pods(), 4);
    // A member that is down comes back all the same: what it finds is old, and not false.
    world.down.insert(ServerId(2));
    let mut seen = world.seen();
    seen.pods.get_mut(&Seat::voter(1)).unwrap().revision = Some("old".into());
    assert!(matches!(plan(&seen).step, Step::Restart(_)));
    world.down.clear();
    world.hindrances.objects.remove(&config);
    assert_eq!(world.settle().step, Step::Rest);
    assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_static_configuration_that_is_refused_keeps_the_template_that_belongs_to_it_back() {
    let mut world = settled(3);
    world.spec.config = Some(BTreeMap::from([("snapCount".into(), "50000".into())]));
    let config = key(Kind::ConfigMap, "zk-config");
    refuse(&mut world, &[config], "no");
    let plan = plan(&world.seen());
    assert!(matches!(&plan.step, Step::Refuse(reason) if reason.code == "ApplyRefused"), "{:?}", plan.step);
}

#[test]
fn a_set_is_made_only_when_everything_that_its_pods_need_is_there() {
    for (kind, name) in [(Kind::Secret, "zk-super"), (Kind::ServiceAccount, "zk"), (Kind::Service, "zk-1")] {
        let mut world = zk(3);
        refuse(&mut world, &[key(kind, name)], "exceeded quota");
        let plan = world.settle();
        let Step::Refuse(reason) = &plan.step else { panic!("{:?}", plan.step) };
        assert!(reason.code == "ApplyRefused" && reason.message.contains("exceeded quota"), "{reason:?}");
        assert!(!world.objects.contains_key(&set()), "{name}");
        assert!(world.objects.contains_key(&key(Kind::PodDisruptionBudget, "zk")));
        world.hindrances.objects.clear();
        assert_eq!(world.settle().step, Step::Rest);
    }
}

#[test]
fn a_service_that_may_not_be_deleted_holds_up_nothing_but_its_own_end() {
    let mut world = settled(5);
    world.scale(3);
    let targets = loop {
        if let Step::Delete(targets) = plan(&world.seen()).step {
            break targets;
        }
        world.pass();
    };
    let hindrance = Hindrance::Refused { seal: targets[0].uid.clone(), words: "denied by a policy".into() };
    world.hindrances.objects.insert(targets[0].key.clone(), hindrance);
    let plan = world.settle();
    assert!(
        matches!(&plan.step, Step::Refuse(reason) if reason.message.contains("failed to delete Service")),
        "{plan:?}"
    );
    assert_eq!(world.objects.keys().filter(|key| key.name == "zk-3" || key.name == "zk-4").count(), 1);
}

fn unmade(world: &World, pod: u32, since: Option<u64>) -> Observation {
    let mut seen = world.seen();
    seen.pods.remove(&Seat::voter(pod));
    seen.members.remove(&ServerId(pod + 1));
    seen.hindrances.pods.insert(Seat::voter(pod), PodRefusal { since, words: PSA.into() });
    seen
}

#[test]
fn case_06_a_roll_halts_at_a_pod_that_is_refused_with_the_api_servers_words() {
    let mut world = settled(3);
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    world.pass();
    for (since, reason) in
        [(Some(world.now - 601), "RollHalted"), (Some(world.now - 10), "PodRefused"), (None, "PodRefused")]
    {
        let plan = plan(&unmade(&world, 1, since));
        assert!(matches!(&plan.step, Step::Wait(_)), "{:?}", plan.step);
        for name in ["Degraded", "Ready", "Progressing"] {
            let condition = condition(&plan, name);
            assert_eq!(condition.reason, reason, "{name}");
            assert!(condition.message.contains(PSA), "{}", condition.message);
        }
        assert_eq!(condition(&plan, "Degraded").status, ConditionStatus::True);
    }
}

#[test]
fn case_r17_without_the_words_it_is_still_said_that_there_is_no_pod() {
    let world = settled(3);
    let mut seen = unmade(&world, 1, None);
    seen.hindrances.pods.clear();
    let plan = plan(&seen);
    assert_eq!(condition(&plan, "Degraded").reason, "MemberNotSynced");
    assert!(condition(&plan, "Degraded").message.ends_with("it has no pod"));
}

#[test]
fn case_03_an_ensemble_no_pod_of_which_is_made_is_not_called_well() {
    let mut world = zk(3);
    world.pass();
    world.pass();
    let mut seen = world.seen();
    seen.pods.clear();
    seen.members.clear();
    let born = plan(&seen);
    assert_eq!(condition(&born, "Degraded").message, "the ensemble is being born");
    let words = "pods \"zk-0\" is forbidden: failed quota: compute: must specify limits.cpu for: agent,prepare";
    seen.hindrances.pods.insert(Seat::voter(0), PodRefusal { since: Some(seen.now), words: words.into() });
    let refused = plan(&seen);
    let degraded = condition(&refused, "Degraded");
    assert_eq!((degraded.status, degraded.reason), (ConditionStatus::True, "PodRefused"));
    assert!(degraded.message.contains(words), "{}", degraded.message);
    // `kubectl get` shows the reason of Ready, and an Event that of Progressing.
    for name in ["Progressing", "Ready"] {
        let condition = condition(&refused, name);
        assert!(condition.reason == "PodRefused" && condition.message.contains(words), "{condition:?}");
    }
}

#[test]
fn a_founder_that_has_been_in_trouble_for_a_minute_is_the_reason_everywhere_and_not_before() {
    let mut world = zk(3);
    world.pass();
    world.pass();
    let words = "container zookeeper: ImagePullBackOff: no such image";
    let told = |seconds: u64| {
        let mut stuck = world.seen();
        stuck.members.clear();
        let founder = stuck.pods.get_mut(&Seat::voter(1)).unwrap();
        (founder.trouble, founder.since) = (Some(words.into()), stuck.now - seconds);
        plan(&stuck)
    };
    let fresh = told(60);
    assert_eq!(condition(&fresh, "Degraded").status, ConditionStatus::False);
    for name in ["Progressing", "Ready"] {
        assert_eq!(condition(&fresh, name).reason, "Founding");
        assert!(condition(&fresh, name).message.contains(words));
    }
    let long = told(61);
    for name in ["Degraded", "Progressing", "Ready"] {
        let condition = condition(&long, name);
        assert!(condition.reason == "PodStuck" && condition.message.contains(words), "{condition:?}");
    }
    assert_eq!(condition(&long, "Degraded").status, ConditionStatus::True);
    assert!(matches!(long.step, Step::Wait(_)), "it may come up yet: {:?}", long.step);
}

#[test]
fn a_super_user_who_is_not_let_in_holds_growth_and_not_the_restarts_that_let_him_in() {
    let mut world = settled(3);
    world.spec.config = Some(BTreeMap::from([(
        "authProvider.sasl".into(),
        "org.apache.zookeeper.server.auth.SASLAuthenticationProvider".into(),
    )]));
    world.settle();
    world.scale(4);
    let joins = (0..50).any(|_| {
        let joins = matches!(plan(&world.seen()).step, Step::Join { .. });
        if !joins {
            world.pass();
        }
        joins
    });
    assert!(joins, "{:?}", plan(&world.seen()).step);
    world.hindrances.denied = true;
    let held = plan(&world.seen());
    let Step::Refuse(reason) = &held.step else { panic!("{:?}", held.step) };
    assert_eq!(reason.code, "SuperUserDenied");
    assert!(reason.message.contains("authProvider.sasl"), "{}", reason.message);
    world.spec.config = None;
    world.settle();
    assert!(world.trace.iter().any(|done| done.starts_with("restart")), "{:?}", world.trace);
}

#[test]
fn whatever_others_say_stays_within_what_a_condition_takes_and_does_not_change_with_a_clock() {
    let world = settled(3);
    let message = |words: String| {
        let mut seen = unmade(&world, 1, None);
        seen.hindrances.pods.get_mut(&Seat::voter(1)).unwrap().words = words;
        condition(&plan(&seen), "Degraded").message.clone()
    };
    let long = message("ä".repeat(50_000));
    assert!(long.len() <= 32_768 && long.ends_with('…'), "{}", long.len());
    assert_eq!(message("no answer within 1873 ms".into()), message("no answer within 22 ms".into()));
}

#[test]
fn a_claim_that_policy_wants_owned_and_somebody_takes_from_the_ensemble_is_told() {
    let mut world = settled(3);
    world.spec.storage.get_or_insert_default().reclaim.get_or_insert_default().on_delete = Some(ReclaimPolicy::Delete);
    let seen = world.seen();
    let all: Vec<FieldDifference> = writes(&plan(&seen)).iter().flat_map(|write| differences(&seen, write)).collect();
    for n in 0..3 {
        let claim = key(Kind::PersistentVolumeClaim, &format!("data-zk-{n}"));
        world.hindrances.objects.insert(claim, Hindrance::Overruled(all.clone()));
    }
    let plan = plan(&world.seen());
    assert_eq!(plan.step, Step::Rest);
    assert!(condition(&plan, "Hindered").message.contains("data-zk-2"));
}

/// A pod of a member's name that the StatefulSet controller does not take for its own.
fn taken(world: &World, ordinal: u32, other: OtherPod) -> Observation {
    let mut seen = world.seen();
    seen.pods.remove(&Seat::voter(ordinal));
    seen.members.remove(&ServerId(ordinal + 1));
    seen.hindrances.in_the_way.insert(Seat::voter(ordinal), other);
    seen
}

#[test]
fn a_pod_that_the_stateful_set_has_let_go_is_named_with_its_label_and_nothing_is_done_to_it() {
    let mut world = settled(3);
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    world.pass();
    let label = "menagerie.dev/ensemble=zk".to_owned();
    let let_go = OtherPod { released: true, lacks: vec![label], ..OtherPod::default() };
    let held = plan(&taken(&world, 1, let_go));
    assert!(matches!(&held.step, Step::Wait(_)), "{:?}", held.step);
    for name in ["Degraded", "Ready", "Progressing", "RestartPending"] {
        let condition = condition(&held, name);
        assert_eq!(condition.reason, "ForeignPod", "{name}");
        for words in
            ["pod zk-1 exists and does not belong to StatefulSet zk", "put the label menagerie.dev/ensemble=zk back"]
        {
            assert!(condition.message.contains(words), "{name}: {}", condition.message);
        }
    }
    let fewer = OtherPod { going: true, ..OtherPod::default() };
    let goes = plan(&taken(&world, 1, fewer));
    assert_eq!(condition(&goes, "Degraded").reason, "MemberNotSynced", "it goes by itself");
    assert!(condition(&goes, "Degraded").message.ends_with("zk: it is being deleted"));
    let held = OtherPod { going: true, finalizers: vec!["example.com/job".to_owned()], ..OtherPod::default() };
    let held = condition(&plan(&taken(&world, 1, held)), "Degraded").message.clone();
    assert!(held.contains("(example.com/job)") && held.contains("kubectl -n ns patch pod zk-1"), "{held}");
}

#[test]
fn a_strangers_pod_of_a_name_that_growth_needs_is_named_and_so_is_one_at_a_birth() {
    let mut world = settled(3);
    world.silent.insert(ServerId(4));
    world.scale(4).settle();
    let grows = plan(&taken(&world, 3, OtherPod { owner: Some("Job copy".into()), ..OtherPod::default() }));
    assert!(matches!(&grows.step, Step::Wait(_)), "{:?}", grows.step);
    let ready = condition(&grows, "Ready");
    assert!(ready.reason == "ForeignPod" && ready.message.contains("pod zk-3 exists"), "{ready:?}");
    assert!(ready.message.contains("but to Job copy"), "{}", ready.message);
    let mut born = zk(3);
    born.down = (1..=3).map(ServerId).collect();
    born.settle();
    let born = plan(&taken(&born, 2, OtherPod::default()));
    let degraded = condition(&born, "Degraded");
    assert_eq!((degraded.status, degraded.reason), (ConditionStatus::True, "ForeignPod"));
    assert!(degraded.message.ends_with("zk: delete or rename it"), "{}", degraded.message);
}

#[test]
fn a_strangers_pod_is_said_before_the_set_is_raised_and_restarts_go_on() {
    let mut world = settled(3);
    let job = OtherPod { owner: Some("Job copy".into()), ..OtherPod::default() };
    world.hindrances.in_the_way.insert(Seat::voter(3), job);
    let held = world.scale(5).settle();
    assert!(matches!(&held.step, Step::Refuse(reason) if reason.code == "ForeignPod"), "{:?}", held.step);
    assert_eq!(world.pods(), 3, "nobody is asked to make a pod that cannot be made: {:?}", world.trace);
    let degraded = condition(&held, "Degraded");
    assert!(degraded.message.contains("pod zk-3 exists") && degraded.message.contains("Job copy"), "{degraded:?}");
    world.asked.insert(ServerId(1));
    world.settle();
    assert!(world.trace.contains(&"restart 1".to_owned()), "{:?}", world.trace);
    // One that goes by itself is waited for by the controller.
    world.hindrances.in_the_way.get_mut(&Seat::voter(3)).unwrap().going = true;
    world.settle();
    assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
}

#[test]
fn without_a_leader_a_pod_in_the_way_does_not_hold_up_the_restart_of_another() {
    let mut world = settled(3);
    world.down = (1..=3).map(ServerId).collect();
    world.spec.jvm = Some(JvmSpec { heap: Some("300Mi".into()), ..JvmSpec::default() });
    let restarts = |other: OtherPod| {
        let mut world = world.clone();
        world.pass();
        let mut seen = taken(&world, 1, other);
        for pod in seen.pods.values_mut() {
            (pod.served, pod.unready) = (false, None);
        }
        matches!(plan(&seen).step, Step::Restart(_))
    };
    assert!(restarts(OtherPod::default()), "nobody knows when it goes");
    assert!(!restarts(OtherPod { going: true, ..OtherPod::default() }), "another is about to be created");
}

#[test]
fn a_pod_that_does_not_go_is_told_with_who_holds_it_or_with_its_node() {
    let world = settled(3);
    let told = |late: u64, ended: bool, finalizers: &[&str]| {
        let mut seen = world.seen();
        let finalizers = finalizers.iter().map(|name| (*name).to_owned()).collect();
        let pod = seen.pods.get_mut(&Seat::voter(1)).unwrap();
        pod.terminating = true;
        pod.ending = Some(Ending { until: seen.now - late, ended, finalizers });
        condition(&plan(&seen), "Degraded").message.clone()
    };
    let ordinary = "waiting for member 2 (pod zk-1): its pod is being deleted";
    assert_eq!(told(0, false, &["example.com/job-tracking"]), ordinary, "it runs, and has its time");
    assert_eq!(told(0, true, &[]), ordinary);
    for held in [told(0, true, &["example.com/job-tracking"]), told(31, false, &["example.com/job-tracking"])] {
        assert!(held.contains("(example.com/job-tracking)") && held.contains("patch pod zk-1"), "{held}");
    }
    let node = told(31, false, &[]);
    assert!(node.contains("node node-1 does not say that it has ended"), "{node}");
}
