//! What a spec may not say: refused with a sentence, before anything is made of it.

use menagerie::plan::{Plan, Step, plan};
use serde_json::{Value, json};

use super::world::zk;

fn planned(more: &Value) -> Plan {
    let mut spec = json!({"replicas": 3, "version": "3.9.5"});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let mut world = zk(3);
    world.spec = serde_json::from_value(spec).unwrap();
    plan(&world.seen())
}

fn refusal(more: &Value) -> Option<String> {
    match planned(more).step {
        Step::Refuse(reason) if reason.code == "InvalidSpec" => Some(reason.message),
        _ => None,
    }
}

/// A spec whose pods have this beside the server.
fn beside(container: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("exporter");
    json!({"podTemplate": {"spec": {"containers": [container]}}})
}

fn volume(volume: &Value) -> Value {
    let mut volume = volume.clone();
    volume["name"] = json!("scratch");
    json!({"podTemplate": {"spec": {"volumes": [volume]}}})
}

#[test]
fn what_is_no_quantity_is_refused_wherever_a_spec_has_one_and_the_place_is_named() {
    let wrong = "512M i";
    let divisor = json!({"resource": "limits.memory", "divisor": wrong});
    for (spec, place) in [
        (json!({"resources": {"requests": {"memory": wrong}}}), "spec.resources: requests.memory"),
        (json!({"resources": {"limits": {"cpu": wrong}}}), "spec.resources: limits.cpu"),
        (json!({"agent": {"resources": {"limits": {"cpu": wrong}}}}), "spec.agent.resources: limits.cpu"),
        (json!({"storage": {"size": wrong}}), "spec.storage.size"),
        (beside(&json!({"resources": {"limits": {"memory": wrong}}})), "containers.exporter.resources.limits.memory"),
        (
            json!({"podTemplate": {"spec": {"initContainers": [{"name": "first", "resources": {"requests": {"cpu": wrong}}}]}}}),
            "initContainers.first.resources.requests.cpu",
        ),
        (
            beside(&json!({"env": [{"name": "MAX", "valueFrom": {"resourceFieldRef": divisor}}]})),
            "containers.exporter.env.MAX",
        ),
        (volume(&json!({"emptyDir": {"sizeLimit": wrong}})), "volumes.scratch.emptyDir.sizeLimit"),
        (
            volume(
                &json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": wrong}}}}}}),
            ),
            "volumes.scratch.ephemeral",
        ),
        (
            volume(&json!({"downwardAPI": {"items": [{"path": "max", "resourceFieldRef": divisor}]}})),
            "volumes.scratch.downwardAPI",
        ),
    ] {
        let message = refusal(&spec).unwrap_or_else(|| panic!("{place} is accepted"));
        assert!(message.contains(place) && message.contains(wrong), "{place}: {message}");
    }
    assert!(refusal(&json!({"resources": {"limits": {"cpu": "-1"}}})).is_some(), "a negative quantity");
    for good in ["2", "500m", "0.5", "1e-1"] {
        assert_eq!(refusal(&json!({"resources": {"limits": {"cpu": good}}})), None, "{good}");
    }
}

#[test]
fn a_quantity_may_be_a_number_as_yaml_has_it() {
    assert_eq!(refusal(&json!({"resources": {"limits": {"cpu": 1}}})), None);
}

#[test]
fn a_memory_limit_in_which_nothing_runs_is_refused_and_the_unit_that_is_meant_is_named() {
    for (limit, hint) in [
        ("512", Some("did you mean 512Mi?")),
        ("768m", Some("did you mean 768Mi?")),
        ("1", Some("did you mean 1Mi?")),
        ("0", None),
        ("63Mi", None),
    ] {
        for spec in [
            json!({"resources": {"limits": {"memory": limit}}}),
            json!({"agent": {"resources": {"limits": {"memory": limit}}}}),
        ] {
            let message = refusal(&spec);
            if spec["agent"].is_object() && limit == "63Mi" {
                assert_eq!(message, None, "an agent lives well with it");
                continue;
            }
            let message = message.unwrap_or_else(|| panic!("{spec} is accepted"));
            assert!(message.contains("at least") && hint.is_none_or(|hint| message.contains(hint)), "{message}");
            assert_eq!(message.contains("did you mean"), hint.is_some(), "{message}");
        }
    }
    for good in ["64Mi", "256Mi", "268435456", "2Gi"] {
        assert_eq!(refusal(&json!({"resources": {"limits": {"memory": good, "cpu": "100m"}}})), None, "{good}");
    }
}

#[test]
fn a_heap_in_the_flags_is_held_against_the_memory_limit_as_one_in_its_own_field() {
    let spec = |flags: &[&str]| json!({"jvm": {"flags": flags}, "resources": {"limits": {"memory": "768Mi"}}});
    for flags in [
        &["-Xmx10g"][..],
        &["-Xmx768m"],
        &["-XX:MaxHeapSize=1g"],
        &["-Xmx256m", "-Xmx2G"],
        &["-Xms1g"],
        &["-Xmx256m", "-XX:InitialHeapSize=300m"],
        &["-Xmx512Mi"],
        &["-Xmx"],
        &["-XX:MaxRAMPercentage=80"],
    ] {
        let message = refusal(&spec(flags)).unwrap_or_else(|| panic!("{flags:?} is accepted"));
        assert!(message.starts_with("spec.jvm.flags: "), "{message}");
    }
    for flags in [&["-Xmx512m"][..], &["-Xmx2g", "-Xmx512m"], &["-XX:MaxHeapSize=536870912"], &["-Xmx512m", "-Xms64M"]]
    {
        assert_eq!(refusal(&spec(flags)), None, "{flags:?}");
    }
    let heap = json!({"jvm": {"heap": "2Gi"}, "resources": {"limits": {"memory": "768Mi"}}});
    assert!(refusal(&heap).unwrap().starts_with("spec.jvm.heap: "));
    let both = json!({"jvm": {"heap": "256Mi", "flags": ["-XX:MaxHeapSize=256m"]}});
    assert!(refusal(&both).unwrap().contains("contradict"));
}

#[test]
fn a_password_where_the_hash_of_one_belongs_is_refused_and_never_said() {
    let acl = |id: &str| json!({"rootAcl": [{"scheme": "digest", "id": id, "perms": "cdrwa"}]});
    for secret in ["secret", "hunter2hunter2hunter2hunter2", "c2VjcmV0", "a:b", "", "line\nbreak"] {
        let Some(message) = refusal(&acl(&format!("bob:{secret}"))) else { panic!("{secret:?} is accepted") };
        assert!(message.starts_with("spec.rootAcl: ") && message.contains("openssl"), "{message}");
        assert!(secret.is_empty() || !message.contains(secret), "{message}");
    }
    assert!(refusal(&acl("bob")).is_some() && refusal(&acl(":w6VYtT0xNVYzRzMyU1pGV0E9PQ==")).is_some());
    // bob:secret, as ZooKeeper's own DigestAuthenticationProvider makes it.
    assert_eq!(refusal(&acl("bob:fyVmFCwVbTJYrznoSu1koqYEYF0=")), None);
}

#[test]
fn an_ensemble_that_was_never_followed_still_says_how_many_are_asked_for() {
    assert_eq!(planned(&json!({"resources": {"limits": {"memory": "512"}}})).status.ready, "0/3");
}
