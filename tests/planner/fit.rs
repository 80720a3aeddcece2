//! What is said, and written, where the cluster is not what was thought.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use menagerie::api::{JvmSpec, StorageSpec};
use menagerie::model::observed::{Kind, MemoryFacts, ObjectKey};
use menagerie::model::truth::ServerState;
use menagerie::model::{Fact, Live, Seat, ServerId};
use menagerie::plan::{Plan, Step, Write, plan};
use serde_json::Value;

use super::scenarios::settled;
use super::world::{World, zk};

fn warning(plan: &Plan) -> Option<(&str, &str)> {
    let condition = plan.conditions.iter().find(|condition| condition.name == "Warning")?;
    Some((condition.reason, condition.message.as_str()))
}

fn limited(memory: &str, heap: Option<&str>) -> World {
    let mut world = zk(3);
    let limits = BTreeMap::from([("memory".to_owned(), Quantity(memory.to_owned()))]);
    world.spec.resources = Some(ResourceRequirements { limits: Some(limits), ..ResourceRequirements::default() });
    world.spec.jvm = Some(JvmSpec { heap: heap.map(str::to_owned), flags: None });
    world
}

#[test]
fn case_21_a_memory_limit_in_which_a_server_is_killed_under_load_is_named() {
    for (memory, heap) in [("256Mi", None), ("160Mi", None), ("1Gi", Some("768Mi")), ("256Mi", Some("128Mi"))] {
        assert_eq!(warning(&limited(memory, heap).settle()), None, "{memory} {heap:?}");
    }
    for (memory, heap) in [("128Mi", None), ("256Mi", Some("192Mi")), ("1Gi", Some("1000Mi"))] {
        let plan = limited(memory, heap).settle();
        assert_eq!(warning(&plan).map(|(reason, _)| reason), Some("TightMemory"), "{memory} {heap:?}");
    }
    let plan = limited("256Mi", Some("192Mi")).settle();
    assert!(warning(&plan).unwrap().1.contains("raise resources.limits.memory to 320Mi"), "{plan:?}");
}

#[test]
fn a_heap_in_the_flags_leaves_as_much_beside_it_as_one_in_its_own_field() {
    let flagged = |flag: &str| {
        let mut world = limited("768Mi", None);
        world.spec.jvm = Some(JvmSpec { heap: None, flags: Some(vec![flag.to_owned()]) });
        let plan = world.settle();
        warning(&plan).map(|(reason, message)| (reason.to_owned(), message.to_owned()))
    };
    assert_eq!(flagged("-Xmx640m"), None);
    for flag in ["-Xmx700m", "-XX:MaxHeapSize=700M"] {
        let (reason, message) = flagged(flag).unwrap_or_else(|| panic!("{flag}: nothing is said"));
        assert!(reason == "TightMemory" && message.contains("a heap of 700 MiB"), "{message}");
    }
}

#[test]
fn a_limit_that_admission_adds_to_the_pods_is_held_against_their_heap_before_the_first_is_killed() {
    let mut world = settled(3);
    world.spec.jvm = Some(JvmSpec { heap: None, flags: Some(vec!["-Xmx512m".into()]) });
    world.settle();
    let told = |limit_mib: u64, revision: Option<&str>| {
        let mut seen = world.seen();
        for pod in seen.pods.values_mut() {
            pod.memory = Some(MemoryFacts { limit_mib, heap_mib: Some(512) });
            pod.revision = revision.map(str::to_owned).or(pod.revision.take());
        }
        warning(&plan(&seen)).map(|(reason, message)| (reason.to_owned(), message.to_owned()))
    };
    let (reason, message) = told(256, None).unwrap();
    assert_eq!(reason, "TightMemory");
    for words in ["pod zk-0 has a memory limit of 256 MiB", "the spec has none", "LimitRange", "to 640Mi"] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(told(640, None), None);
    assert_eq!(told(256, Some("zk-older")), None, "it is made anew from another spec");
}

#[test]
fn an_ephemeral_ensemble_in_which_one_lost_copy_is_final_says_so() {
    for (replicas, said) in [(1, true), (2, true), (3, false)] {
        let mut world = zk(replicas);
        world.spec.storage = Some(StorageSpec { ephemeral: Some(true), ..StorageSpec::default() });
        let seen = world.seen();
        let reason = warning(&plan(&seen)).map(|(reason, _)| reason.to_owned());
        assert_eq!(reason.as_deref() == Some("LastCopy"), said, "{replicas}: {reason:?}");
    }
}

#[test]
fn case_25_names_that_did_not_resolve_are_told_of_a_server_that_waits_and_of_no_other() {
    let words = "the name zk-0.ns.svc.k8s.example and 2 more did not resolve within 60 s";
    let mut seen = settled(3).seen();
    for pod in seen.pods.values_mut() {
        pod.in_spite_of = Some(words.to_owned());
    }
    assert!(!format!("{:?}", plan(&seen).conditions).contains("did not resolve"), "they serve");
    for fact in seen.members.values_mut() {
        let Fact::Known(truth) = fact else { panic!("a member of this world does not answer") };
        truth.server = ServerState::Waiting { phase: "election".into(), version: None };
    }
    let told = plan(&seen);
    let quorum = told.conditions.iter().find(|condition| condition.name == "QuorumAvailable").unwrap();
    assert!(
        quorum.message.contains("members 1, 2, 3: it is in election; of pod zk-0, the name zk-0.ns.svc"),
        "{quorum:?}"
    );
    assert_eq!(quorum.message.matches("did not resolve").count(), 1, "once is enough: {quorum:?}");
}

#[test]
fn case_25_another_domain_than_that_of_the_operators_own_pod_is_said_before_any_pod_has_tried() {
    let mut seen = zk(3).seen();
    assert_eq!(warning(&plan(&seen)), None, "outside a cluster nothing is known");
    seen.operator.searched = Some("cluster.local".into());
    assert_eq!(warning(&plan(&seen)), None);
    seen.names.domain = "k8s.example".into();
    let plan = plan(&seen);
    let (reason, message) = warning(&plan).unwrap();
    assert_eq!(reason, "ClusterDomain");
    assert!(message.contains("clusterDomain=cluster.local"), "{message}");
}

/// The set as an earlier version made it.
fn with_old_claims(world: &mut World) {
    let set = ObjectKey { kind: Kind::StatefulSet, name: "zk".into() };
    let Some(Live::Ours(live)) = world.objects.get_mut(&set) else { panic!("there is no set") };
    live["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"]["app.kubernetes.io/instance"] = "zk".into();
    // What an earlier version rendered bears another seal.
    live["metadata"]["annotations"]["menagerie.dev/rendered"] = "earlier".into();
    for claim in world.claims.values_mut() {
        claim.instance = Some("zk".into());
    }
}

fn instance(write: &Write) -> Option<&Value> {
    let Write::Apply { object, .. } = write else { return None };
    object.json["metadata"]["labels"].get("app.kubernetes.io/instance")
}

#[test]
fn case_42_claims_lose_the_label_and_the_template_of_a_set_that_is_there_stays_what_it_is() {
    let mut world = settled(3);
    with_old_claims(&mut world);
    let Step::Apply(writes) = plan(&world.seen()).step else { panic!("nothing is written") };
    let claims: Vec<&Write> = writes.iter().filter(|write| kind(write) == Some(Kind::PersistentVolumeClaim)).collect();
    assert_eq!(claims.len(), 3);
    // Another manager's field: taken first, and left out the next time.
    assert!(claims.iter().all(|claim| instance(claim) == Some(&Value::from(""))), "{claims:?}");
    let set = writes.iter().find_map(|write| match write {
        Write::Apply { object, .. } if object.key.kind == Kind::StatefulSet => Some(&object.json),
        Write::Apply { .. } | Write::CreateSecret { .. } => None,
    });
    let template = &set.unwrap()["spec"]["volumeClaimTemplates"][0];
    assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/instance"], "zk");
    world.settle();
    world.claims.get_mut(&Seat::voter(1)).unwrap().instance = Some(String::new());
    let Step::Apply(writes) = plan(&world.seen()).step else { panic!("the label is left empty") };
    assert_eq!((writes.len(), instance(&writes[0])), (1, None));
    let plan = world.settle();
    assert_eq!((plan.step, &world.trace[..]), (Step::Rest, &[][..]), "nobody is restarted for it");
}

fn kind(write: &Write) -> Option<Kind> {
    match write {
        Write::Apply { object, .. } => Some(object.key.kind),
        Write::CreateSecret { .. } => None,
    }
}

#[test]
fn a_volume_that_fills_up_is_warned_of_in_bands_and_nothing_is_done_about_it() {
    let mut world = zk(3);
    assert_eq!(world.settle().step, Step::Rest);
    let warned = |world: &World| {
        let plan = plan(&world.seen());
        assert_eq!(plan.step, Step::Rest);
        plan.conditions.into_iter().find(|condition| condition.name == "Warning")
    };
    world.free = [(ServerId(1), 40), (ServerId(2), 10)].into();
    assert_eq!(warned(&world), None);
    world.free = [(ServerId(1), 40), (ServerId(2), 9), (ServerId(3), 1)].into();
    let told = warned(&world).unwrap();
    assert_eq!(told.reason, "VolumeFilling");
    for words in ["member 2 less than 10 % is free", "member 3 less than 2 %", "-n ns patch pvc data-zk-1", "\"SIZE\""]
    {
        assert!(told.message.contains(words), "{words}: {}", told.message);
    }
    world.free.insert(ServerId(2), 6);
    assert_eq!(warned(&world).unwrap(), told, "it changes with the band alone");
}
