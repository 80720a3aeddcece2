use serde_json::json;

use super::*;

/// Readiness that changed that many seconds after the pod's start, and the containers of the pod.
fn past_of(ready: &str, changed: u32, containers: &serde_json::Value) -> Past {
    let status: PodStatus = serde_json::from_value(json!({
        "startTime": "2026-11-26T10:00:00Z",
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": format!("2026-11-26T10:00:{changed:02}Z")}],
        "containerStatuses": containers,
    }))
    .unwrap();
    let server = status.container_statuses.iter().flatten().find(|container| container.name == "zookeeper").cloned();
    past(&status, server.as_ref())
}

fn container(name: &str, ready: bool, restarts: i32) -> serde_json::Value {
    json!({"name": name, "ready": ready, "restartCount": restarts, "image": "", "imageID": ""})
}

#[test]
fn a_pod_whose_readiness_changed_after_its_start_was_ready_once() {
    let down = || json!([container("zookeeper", false, 4), container("agent", true, 0)]);
    assert_eq!(past_of("False", 0, &down()), Past { served: false, unready: None }, "its server ends again and again");
    let since = "2026-11-26T10:00:40Z".parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(past_of("False", 40, &down()), Past { served: true, unready: u64::try_from(since).ok() });
    assert_eq!(past_of("True", 7, &json!([container("zookeeper", true, 0)])), Past { served: true, unready: None });
}

#[test]
fn a_server_that_was_never_started_has_not_served_however_late_the_kubelet_speaks() {
    let waiting = |reason: &str| {
        let mut server = container("zookeeper", false, 0);
        server["state"] = json!({"waiting": {"reason": reason}});
        json!([server, container("agent", true, 0)])
    };
    for reason in ["ImagePullBackOff", "PodInitializing", "CreateContainerConfigError"] {
        assert_eq!(past_of("False", 5, &waiting(reason)), Past { served: false, unready: None }, "{reason}");
    }
    // Of which nothing is said, nothing is known either.
    assert!(past_of("False", 5, &json!([])).served);
}

#[test]
fn of_a_server_beside_a_container_that_is_not_ready_it_is_not_known_whether_it_served() {
    let beside = |restarts| json!([container("zookeeper", false, restarts), container("exporter", false, 9)]);
    assert_eq!(past_of("False", 0, &beside(1)), Past { served: true, unready: None });
    assert_eq!(past_of("False", 0, &beside(0)), Past { served: false, unready: None }, "it never ran");
}

fn pod(status: &serde_json::Value) -> PodFacts {
    pod_facts(&serde_json::from_value(serde_json::json!({"metadata": {"name": "a-0"}, "status": status})).unwrap())
}

#[test]
fn a_pod_is_out_of_every_service_while_any_of_its_containers_is_not_ready_and_says_which() {
    let of = |ready: &str, exporter: serde_json::Value| {
        pod(&json!({
            "conditions": [{"type": "Ready", "status": ready, "message": "containers with unready status: [exporter]"}],
            "containerStatuses": [container("zookeeper", true, 0), exporter],
        }))
    };
    let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "no such file\n"}});
    let mut exporter = container("exporter", false, 3);
    (exporter["state"], exporter["lastState"]) = (json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended.clone());
    let out = of("False", exporter);
    assert!(out.ready, "the server's own container is");
    assert_eq!(out.shut.as_deref(), Some("container exporter: CrashLoopBackOff: ended with 1: no such file"));
    let silent = of("False", container("exporter", false, 0));
    assert_eq!(silent.shut.as_deref(), Some("containers with unready status: [exporter]"));
    let mut between = container("exporter", true, 3);
    (between["state"], between["lastState"]) = (json!({"running": {"startedAt": "1970-01-01T00:01:40Z"}}), ended);
    let between = of("True", between);
    assert_eq!(between.shut, None);
    assert_eq!(between.shaky, Some((100, "container exporter ended with 1: no such file".to_owned())));
}

#[test]
fn an_eviction_is_named_with_the_kubelets_words() {
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "Usage of EmptyDir volume \"data\" exceeds the limit \"1Gi\". "});
    let trouble = pod(&evicted).trouble.unwrap();
    assert_eq!(trouble, "it was evicted: Usage of EmptyDir volume \"data\" exceeds the limit \"1Gi\".");
}

#[test]
fn case_25_what_prepare_says_when_it_ends_well_is_no_trouble_and_is_kept() {
    let prepare = |exit: i32, message: Option<&str>| {
        pod(&serde_json::json!({"initContainerStatuses": [
            {"name": "chown", "ready": true, "image": "", "imageID": "", "restartCount": 0,
             "state": {"terminated": {"exitCode": 0, "message": "done"}}},
            {"name": "prepare", "ready": exit == 0, "image": "", "imageID": "", "restartCount": 0,
             "state": {"terminated": {"exitCode": exit, "message": message}}},
        ]}))
    };
    let told = prepare(0, Some("a-0.ns does not resolve\n"));
    assert_eq!((told.in_spite_of.as_deref(), told.trouble), (Some("a-0.ns does not resolve"), None));
    assert_eq!(prepare(0, None).in_spite_of, None);
    let waits = pod(&json!({"initContainerStatuses": [
        {"name": "prepare", "ready": false, "image": "", "imageID": "", "restartCount": 1, "state": {"running": {}},
         "lastState": {"terminated": {"exitCode": 1, "message": "the name a-0.ns did not resolve"}}},
    ]}));
    assert_eq!(waits.trouble.as_deref(), Some("container prepare ended with 1: the name a-0.ns did not resolve"));
    let failed = prepare(1, Some("cannot write /data/menagerie.json: Permission denied"));
    assert_eq!(failed.in_spite_of, None);
    assert!(failed.trouble.unwrap().contains("Permission denied"));
}

#[test]
fn a_version_has_run_once_its_process_was_started_and_not_when_its_image_is_missing() {
    let ran = |state: serde_json::Value, restarts: i32| {
        let status = json!({
            "name": "zookeeper", "image": "i", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state,
        });
        let pod = json!({
            "metadata": {"name": "zk-0", "annotations": {VERSION_ANNOTATION: "3.10.0"}},
            "status": {"containerStatuses": [status]},
        });
        pod_facts(&serde_json::from_value(pod).unwrap()).ran
    };
    assert_eq!(ran(json!({"waiting": {"reason": "ImagePullBackOff"}}), 0), None);
    assert_eq!(ran(json!({"waiting": {"reason": "CrashLoopBackOff"}}), 3).as_deref(), Some("3.10.0"));
    assert_eq!(ran(json!({"running": {}}), 0).as_deref(), Some("3.10.0"));
    assert_eq!(ran(json!({"terminated": {"exitCode": 1}}), 0).as_deref(), Some("3.10.0"));
}

#[test]
fn a_pod_is_being_created_while_none_of_its_containers_runs_and_the_kubelet_says_no_more() {
    let of = |prepare: serde_json::Value, server: serde_json::Value| {
        let status = |name: &str, state| json!({"name": name, "ready": false, "image": "", "imageID": "", "restartCount": 0, "state": state});
        pod(&json!({
            "initContainerStatuses": [status("prepare", prepare)],
            "containerStatuses": [status("zookeeper", server)],
        }))
    };
    let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
    let done = || json!({"terminated": {"exitCode": 0}});
    assert!(of(waiting("PodInitializing"), waiting("PodInitializing")).creating);
    assert!(of(done(), waiting("ContainerCreating")).creating);
    for told in [
        of(json!({"running": {}}), waiting("PodInitializing")),
        of(done(), json!({"running": {}})),
        of(done(), waiting("ImagePullBackOff")),
        pod(&json!({})),
    ] {
        assert!(!told.creating, "{told:?}");
    }
}

#[test]
fn what_a_server_may_use_is_read_from_its_pod() {
    let memory = |resources: serde_json::Value| {
        let server = json!({
            "name": "zookeeper", "resources": resources,
            "env": [{"name": "SERVER_JVMFLAGS", "value": "-Xrs -Xmx192m -Xms192m"}],
        });
        let agent = json!({"name": "agent", "resources": {"limits": {"memory": "96Mi"}}});
        let pod = json!({"metadata": {"name": "zk-0"}, "spec": {"containers": [agent, server]}});
        pod_facts(&serde_json::from_value(pod).unwrap()).memory
    };
    assert_eq!(
        memory(json!({"limits": {"memory": "256Mi"}})),
        Some(MemoryFacts { limit_mib: 256, heap_mib: Some(192) })
    );
    assert_eq!((memory(json!({})), memory(json!({"limits": {"cpu": "1"}}))), (None, None));
}

#[test]
fn of_a_stack_trace_its_causes_are_told_and_not_its_places() {
    let log = "INFO start\nERROR Invalid config, exiting abnormally\nConfigException: Error processing /data/conf/zoo.cfg\n\tat a.B.c(B.java:1)\nCaused by: java.lang.NumberFormatException: For input string: \"soon\"\n\tat d.E.f(E.java:2)\n\t... 2 more\nInvalid config, exiting abnormally\n";
    assert_eq!(
        gist(log),
        "ERROR Invalid config, exiting abnormally | ConfigException: Error processing /data/conf/zoo.cfg | Caused by: java.lang.NumberFormatException: For input string: \"soon\" | Invalid config, exiting abnormally"
    );
}

fn ended(reason: &str, code: i32, state: &str) -> Pod {
    let ended = json!({"terminated": {"exitCode": code, "reason": reason, "message": "INFO last words\n"}});
    let waiting =
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}});
    let (now, last) = if state == "waiting" { (waiting, ended) } else { (ended, json!({})) };
    serde_json::from_value(json!({
        "metadata": {"name": "zk-0"},
        "spec": {"containers": [{
            "name": "zookeeper",
            "env": [{"name": "SERVER_JVMFLAGS", "value": "-Xrs -Xmx192m -Xms192m"}],
            "resources": {"limits": {"memory": "256Mi"}},
        }]},
        "status": {"containerStatuses": [{
            "name": "zookeeper", "image": "x", "imageID": "x", "ready": false, "restartCount": 3,
            "state": now, "lastState": last,
        }]},
    }))
    .unwrap()
}

#[test]
fn a_server_that_was_killed_for_memory_is_told_with_its_limit_and_its_heap() {
    for (state, start) in
        [("terminated", "container zookeeper was"), ("waiting", "container zookeeper: CrashLoopBackOff: was")]
    {
        let told = pod_facts(&ended("OOMKilled", 137, state)).trouble.unwrap();
        assert!(told.starts_with(start), "{told}");
        assert!(told.contains("memory") && told.contains("limit 256Mi, heap 192m"), "{told}");
        assert!(!told.contains("INFO last words") && !told.contains("40s"), "{told}");
    }
    let killed = pod_facts(&ended("Error", 137, "terminated")).trouble.unwrap();
    assert!(killed.contains("killed (137)") && !killed.contains("probe"), "the server has none: {killed}");
    let failed = pod_facts(&ended("Error", 1, "terminated")).trouble;
    assert_eq!(failed.as_deref(), Some("container zookeeper ended with 1: INFO last words"));
}

#[test]
fn a_record_that_is_larger_than_the_limit_is_no_damage_and_the_limit_is_named() {
    let ended = |message: &str| {
        pod(&json!({"containerStatuses": [{
            "name": "zookeeper", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"terminated": {"exitCode": 1, "message": message}},
        }]}))
    };
    let damaged = "ERROR Unable to load database on disk\njava.io.IOException: CRC check failed";
    assert!(ended(damaged).unreadable);
    let limit = "ERROR Unable to load database on disk\njava.io.IOException: Unreasonable length = 3000000\n\tat org.apache.jute";
    let facts = ended(limit);
    assert!(!facts.unreadable);
    assert!(facts.trouble.unwrap().contains("jute.maxbuffer"));
}

fn set_facts() -> SetFacts {
    SetFacts {
        uid: "set".into(),
        resource_version: "1".into(),
        replicas: 3,
        identity: None,
        update_revision: None,
        version: None,
    }
}

#[test]
fn a_pod_that_is_not_the_sets_is_told_with_whose_it_is_and_what_would_make_it_the_sets_again() {
    let other = |metadata: serde_json::Value| {
        let pod = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        other_pod(&pod, &set_facts(), &crate::model::fixtures::names())
    };
    let owned = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    assert_eq!(other(json!({"name": "zk-1", "ownerReferences": owned("StatefulSet", "zk", "set")})), None);
    let labels = json!({"app.kubernetes.io/name": "zookeeper", "statefulset.kubernetes.io/pod-name": "zk-1"});
    let released = other(json!({"name": "zk-1", "labels": labels})).unwrap();
    assert_eq!((released.released, &released.lacks[..]), (true, &["menagerie.dev/ensemble=zk".to_owned()][..]));
    let told = released.told("zk-1", &crate::model::fixtures::names());
    assert!(told.contains("label --overwrite pod zk-1 menagerie.dev/ensemble=zk"), "{told}");
    let bare = other(json!({"name": "zk-1"})).unwrap();
    let told = bare.told("zk-1", &crate::model::fixtures::names());
    assert_eq!(told, "pod zk-1 exists and does not belong to StatefulSet zk: delete or rename it");
    let job = other(json!({"name": "zk-1", "ownerReferences": owned("Job", "copy", "job")})).unwrap();
    assert_eq!((job.owner.as_deref(), job.going), (Some("Job copy"), false));
    let earlier = other(json!({"name": "zk-1", "ownerReferences": owned("StatefulSet", "zk", "earlier")})).unwrap();
    let going = other(json!({"name": "zk-1", "deletionTimestamp": "2026-11-26T10:00:00Z"})).unwrap();
    assert!(earlier.going && going.going, "they go by themselves");
}

#[test]
fn of_a_pod_that_is_being_deleted_it_is_told_until_when_whether_it_has_ended_and_who_holds_it() {
    let of = |state: serde_json::Value| {
        let status =
            json!({"name": "zookeeper", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let pod = json!({
            "metadata": {"name": "zk-1", "deletionTimestamp": "1970-01-01T00:01:40Z", "finalizers": ["example.com/job-tracking"]},
            "status": {"containerStatuses": [status]},
        });
        pod_facts(&serde_json::from_value(pod).unwrap()).ending.unwrap()
    };
    let ended = of(json!({"terminated": {"exitCode": 143}}));
    let finalizers = vec!["example.com/job-tracking".to_owned()];
    assert_eq!(ended, Ending { until: 100, ended: true, finalizers });
    assert!(!of(json!({"running": {}})).ended);
    assert_eq!(pod(&json!({})).ending, None);
}
