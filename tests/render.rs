//! Golden files of what users get: every object of an ensemble, as it is applied.

use menagerie::model::observed::Environment;
use menagerie::model::{Charter, Desired, Names};
use menagerie::render::{Blueprint, render};
use serde_json::{Value, json};

fn rendered(spec: Value) -> String {
    let desired = Desired::from_spec(&serde_json::from_value(spec).unwrap()).unwrap();
    let names = Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() };
    let environment = Environment { agent_image: "menagerie/operator:1".into(), agent_pull_policy: None };
    let seed = names.seed(desired.replicas);
    let charter = Charter {
        ensemble: "zk".into(),
        identity: "identity".into(),
        birth: true,
        membership: seed.text(),
        version: "0".into(),
        joiner: names.joiner(),
        resync: std::collections::BTreeMap::default(),
    };
    let pods = desired.replicas;
    let blueprint = Blueprint {
        names: &names,
        uid: "uid",
        desired: &desired,
        requests: &menagerie::model::Requests::default(),
        environment: &environment,
        charter,
        pods,
        voters: pods,
        span: pods,
    };
    let objects: Vec<Value> = render(&blueprint).into_iter().map(|object| object.json).collect();
    assert_eq!(objects, render(&blueprint).into_iter().map(|object| object.json).collect::<Vec<_>>(), "not stable");
    serde_saphyr::to_string(&objects).unwrap()
}

/// Compares with the golden file of that name; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, text: &str) {
    let file = format!("{}/tests/golden/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{file} is not what is rendered now: look at the difference, then UPDATE_GOLDEN=1 cargo test --test render"
    );
}

#[test]
fn the_least_that_one_can_say() {
    golden("minimal", &rendered(json!({"replicas": 1, "version": "3.9.5"})));
}

#[test]
fn everything_that_one_can_say() {
    golden(
        "everything",
        &rendered(json!({
            "replicas": 3,
            "version": "3.9.4",
            "image": {"repository": "example.org/zk", "tag": "3.9.4-jre-17", "pullPolicy": "Always", "pullSecrets": ["regcred"]},
            "config": {"tickTime": "1000", "snapCount": "50000"},
            "jvm": {"heap": "1Gi", "flags": ["-XX:+UseZGC"]},
            "storage": {"size": "20Gi", "class": "fast", "reclaim": {"onScaleDown": "Delete", "onDelete": "Delete"}},
            "resources": {"requests": {"cpu": "500m", "memory": "1536Mi"}, "limits": {"memory": "1536Mi"}},
            "podTemplate": {
                "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
                "spec": {
                    "affinity": {"nodeAffinity": {}},
                    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                    "nodeSelector": {"disk": "ssd"},
                    "priorityClassName": "high",
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": {"runAsUser": 1234},
                    "containers": [
                        {"name": "zookeeper", "env": [{"name": "TZ", "value": "UTC"}], "volumeMounts": [{"name": "extra", "mountPath": "/extra"}]},
                        {"name": "exporter", "image": "example.org/exporter"},
                    ],
                    "volumes": [{"name": "extra", "emptyDir": {}}],
                },
            },
        })),
    );
}

#[test]
fn an_ephemeral_ensemble_has_no_claims() {
    let text = rendered(json!({"replicas": 1, "version": "3.9.5", "storage": {"ephemeral": true, "size": "2Gi"}}));
    assert!(!text.contains("volumeClaimTemplates") && text.contains("sizeLimit: 2Gi"), "{text}");
}

#[test]
fn an_operator_upgrade_without_a_new_agent_changes_no_byte() {
    let spec = json!({"replicas": 3, "version": "3.9.5"});
    assert_eq!(rendered(spec.clone()), rendered(spec));
}

/// The server's container of an ensemble.
fn server(spec: Value) -> Value {
    let objects: Vec<Value> = serde_saphyr::from_str(&rendered(spec)).unwrap();
    let set = objects.into_iter().find(|object| object["kind"] == "StatefulSet").unwrap();
    set["spec"]["template"]["spec"].clone()
}

/// The kernel drops a signal that process 1 of a namespace has no handler for: such a server would run until the grace ends.
#[test]
fn a_server_that_leaves_signals_to_the_kernel_is_not_process_1_and_a_flag_of_the_user_has_the_last_word() {
    let pod = server(json!({"replicas": 1, "version": "3.9.5", "jvm": {"flags": ["-XX:-ReduceSignalUsage"]}}));
    let env = pod["containers"][0]["env"].as_array().unwrap();
    let flags = env.iter().find(|variable| variable["name"] == "SERVER_JVMFLAGS").unwrap()["value"].as_str().unwrap();
    let (ours, theirs) = (flags.find("-Xrs ").unwrap(), flags.find("-XX:-ReduceSignalUsage").unwrap());
    assert!(ours < theirs, "{flags}");
    assert_eq!(pod["shareProcessNamespace"], true);
}

#[test]
fn regression_541_a_setting_that_is_given_in_part_leaves_the_other_defaults_as_they_are() {
    let plain = server(json!({"replicas": 1, "version": "3.9.5"}));
    let pod = json!({"spec": {"securityContext": {"runAsUser": 1234}}});
    let changed = server(json!({"replicas": 1, "version": "3.9.5", "podTemplate": pod}));
    let mut expected = plain["securityContext"].clone();
    expected["runAsUser"] = json!(1234);
    assert_eq!(changed["securityContext"], expected);
    assert_eq!(changed["containers"], plain["containers"]);
}

#[test]
fn regression_491_516_376_a_slow_start_has_a_probe_of_its_own_and_no_probe_starts_a_process() {
    let pod = server(json!({"replicas": 1, "version": "3.9.5"}));
    let container = &pod["containers"][0];
    for (name, path) in [("startupProbe", "/startup"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")] {
        assert_eq!(container[name]["httpGet"]["path"], path);
        assert!(container[name]["exec"].is_null());
    }
    let start = &container["startupProbe"];
    let patience = start["periodSeconds"].as_u64().unwrap() * start["failureThreshold"].as_u64().unwrap();
    assert!(patience >= 1800, "a large database takes its time: {patience} s");
}
