//! Golden files of what users get: every object of an ensemble, as it is applied.

use menagerie::api::{EncryptionSpec, EncryptionType, KeysSpec, PullPolicy, ZooKeeperBackupSpec, ZooKeeperRestoreSpec};
use menagerie::model::archive::{ArchiveMounts, ArchivePlace, CaObject, CaSource};
use menagerie::model::observed::OperatorFacts;
use menagerie::model::{Beginning, Names};
use menagerie::render::Blueprint;
use menagerie::render::backup::{BackupBlueprint, backup_job};
use menagerie::render::restore::{RestoreBlueprint, apply_job, plan_job};
use menagerie::render::trial::TrialServer;
use serde_json::{Value, json};

use rendered::objects;

#[path = "support/names.rs"]
mod names;
#[path = "support/rendered.rs"]
mod rendered;

fn rendered(spec: Value) -> String {
    serde_saphyr::to_string(&objects(spec, |_| {})).unwrap()
}

/// It had a quorum before.
fn born(blueprint: &mut Blueprint<'_>) {
    blueprint.charter.beginning = Beginning::TakenUp;
}

fn of_kind(objects: Vec<Value>, kind: &str) -> Value {
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
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
    let spec = json!({
            "replicas": 3,
            "version": "3.9.4",
            "image": {"repository": "example.org/zk", "tag": "3.9.4-jre-17", "pullPolicy": "Always", "pullSecrets": ["regcred"]},
            "config": {"tickTime": "1000", "snapCount": "50000"},
            "jvm": {"heap": "1Gi", "flags": ["-XX:+UseZGC"]},
            "storage": {"size": "20Gi", "class": "fast", "reclaim": {"onScaleDown": "Delete", "onDelete": "Delete"}},
            "resources": {"requests": {"cpu": "500m", "memory": "1536Mi"}, "limits": {"memory": "1536Mi"}},
            "archive": {
                "s3": {
                    "bucket": "backups",
                    "prefix": "zookeeper/prod",
                    "region": "eu-central-1",
                    "endpoint": "https://s3.example.org",
                    "credentialsSecret": "backup-keys",
                },
                "intervalSeconds": 5,
                "copies": 1,
                "retention": {
                    "keepDays": 30,
                    "credentialsSecret": "pruner-keys",
                    "schedule": "30 3 * * *",
                    "suspend": true,
                    "resources": {"limits": {"cpu": "500m"}},
                },
            },
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
    });
    golden("everything", &serde_saphyr::to_string(&objects(spec, born)).unwrap());
}

fn pruned(retention: &Value, change: impl FnOnce(&mut Blueprint<'_>)) -> Option<Value> {
    let archive = json!({"s3": {"bucket": "backups", "credentialsSecret": "keys"}, "retention": retention});
    let spec = json!({"replicas": 3, "version": "3.9.5", "archive": archive});
    objects(spec, change).into_iter().find(|object| object["kind"] == "CronJob")
}

#[test]
fn what_prunes_is_a_cron_job_of_a_born_ensemble_whose_pods_no_service_selects() {
    assert_eq!(pruned(&json!({"keepDays": 30}), |_| {}), None, "nothing is archived of before the birth");
    assert_eq!(pruned(&Value::Null, born), None);
    let job = pruned(&json!({"keepDays": 30}), born).unwrap();
    assert_eq!((&job["metadata"]["name"], &job["spec"]["concurrencyPolicy"]), (&json!("zk-prune"), &json!("Forbid")));
    let run = &job["spec"]["jobTemplate"];
    let pod = &run["spec"]["template"];
    // Neither the members' Services nor the operator's watches see them.
    assert_eq!(run["metadata"]["labels"], pod["metadata"]["labels"]);
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "zookeeper-prune", "menagerie.dev/prune": "zk"})
    );
    assert_eq!(
        pod["spec"]["containers"][0]["args"],
        json!([
            "job",
            "prune",
            "--keep-days=30",
            "--archive=s3://backups",
            "--identity=identity",
            "--credentials=/archive",
            "--credentials-secret=keys"
        ])
    );
    assert_eq!(pod["spec"]["volumes"][0]["secret"]["secretName"], "keys");
}

#[test]
fn two_ensembles_are_pruned_at_minutes_of_their_own_in_utc() {
    let of = |identity: &str| {
        let change = |blueprint: &mut Blueprint<'_>| {
            born(blueprint);
            blueprint.charter.identity = identity.to_owned();
        };
        let job = pruned(&json!({"keepDays": 30}), change).unwrap();
        assert_eq!(job["spec"]["timeZone"], "Etc/UTC");
        job["spec"]["schedule"].as_str().unwrap().to_owned()
    };
    let one = of("0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11");
    assert_ne!(one, of("0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a12"));
    assert_eq!(one, of("0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11"));
}

/// A container of a member as a Job has it: the hardening is one.
#[test]
fn a_pod_that_prunes_may_no_more_than_a_member_and_knows_no_password() {
    let pod =
        pruned(&json!({"keepDays": 30}), born).unwrap()["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    let member = server(json!({"replicas": 3, "version": "3.9.5"}));
    for field in ["securityContext", "automountServiceAccountToken", "enableServiceLinks"] {
        assert_eq!(pod[field], member[field], "{field}");
    }
    assert_eq!(pod["containers"][0]["securityContext"], member["containers"][0]["securityContext"]);
    assert!(pod["containers"][0]["env"].is_null() && !pod.to_string().contains("zk-super"), "{pod}");
}

#[test]
fn the_jobs_of_a_restore() {
    let spec: ZooKeeperRestoreSpec = serde_json::from_value(json!({
        "ensemble": "zk", "at": "0x10000002a", "exclusive": true, "paths": ["/app", "/$(HOME)"], "znodes": ["/one"], "to": "/old",
        "existing": "KeepNewer", "newerThan": "0x5", "deleteExtra": true, "raiseCounters": true, "quotas": true, "deadlineSeconds": 60, "scratchSize": "1Gi",
        "resources": {"limits": {"cpu": "1", "memory": "4Gi"}},
    }))
    .unwrap();
    let plain: ZooKeeperRestoreSpec =
        serde_json::from_value(json!({"ensemble": "zk", "at": "2026-11-23T19:52:00Z", "paths": ["/"]})).unwrap();
    let names = names::names();
    let place = ArchivePlace {
        target: "s3://backups/zookeeper/prod".into(),
        region: Some("eu-central-1".into()),
        endpoint: Some("https://s3.example.org".into()),
        credentials: true,
        ca: true,
        proxy: Some("http://proxy:3128".into()),
        encryption: Some(EncryptionSpec { type_: EncryptionType::Kms, kms_key: Some("alias/zk".into()) }),
        encryption_keys: Some(KeysSpec { secret: "sealing".into(), write_with: Some("k-2".into()) }),
    };
    let ca = CaSource { object: CaObject::Secret("store-ca".into()), key: "bundle.pem".into() };
    let (keys, none) = (
        ArchiveMounts { secret: Some("keys".into()), ca: Some(ca), keys: Some("sealing".into()) },
        ArchiveMounts::default(),
    );
    let bare = ArchivePlace { target: "s3://b-1".into(), ..ArchivePlace::default() };
    let operator = OperatorFacts { agent_image: "menagerie/operator:1".into(), ..OperatorFacts::default() };
    let pulls = ["regcred".to_owned()];
    let template = json!({
        "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}, "labels": {"team": "a"}},
        "spec": {
            "nodeSelector": {"pool": "zk"}, "tolerations": [{"key": "zk", "operator": "Exists"}],
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["s3.example.org"]}], "priorityClassName": "high",
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}, "podAntiAffinity": {}},
            "securityContext": {"runAsUser": 0}, "hostNetwork": true, "containers": [{"name": "zookeeper"}],
        },
    });
    let full = RestoreBlueprint {
        at: "0x10000002a",
        tree_hash: None,
        template: &template,
        name: "undo",
        uid: "uid",
        spec: &spec,
        names: &names,
        place: &place,
        mounts: &keys,
        identity: "identity",
        same: true,
        account: "zk",
        pull_secrets: &pulls,
        operator: &operator,
    };
    let least = RestoreBlueprint {
        at: "2026-11-23T19:52:00Z",
        template: &Value::Null,
        spec: &plain,
        place: &bare,
        mounts: &none,
        same: false,
        pull_secrets: &[],
        operator: &OperatorFacts { agent_pull_policy: Some("Never".into()), assigned_ids: true, ..operator.clone() },
        ..full.clone()
    };
    let undo = serde_json::from_value(json!({"ensemble": "zk", "undo": "0x10000002a"})).unwrap();
    let undo = RestoreBlueprint { at: "0x10000002a", spec: &undo, same: true, ..least.clone() };
    let jobs = [plan_job(&full), apply_job(&full, &"ab".repeat(32), true), plan_job(&least), plan_job(&undo)];
    golden("restore", &serde_saphyr::to_string(&jobs.map(|job| job.json)).unwrap());
}

/// Where a member's pod may run and who looks after it counts for a Job's pod as well; what the server's pod may do does not.
#[test]
fn the_job_of_a_backup_runs_where_members_may_and_knows_no_password() {
    let spec: ZooKeeperBackupSpec = serde_json::from_value(json!({"ensemble": "zk", "keepDays": 3})).unwrap();
    let place = ArchivePlace { target: "s3://backups".into(), credentials: true, ..ArchivePlace::default() };
    let keys = ArchiveMounts { secret: Some("keys".into()), ..ArchiveMounts::default() };
    let operator = OperatorFacts { agent_image: "menagerie/operator:1".into(), ..OperatorFacts::default() };
    let labels = json!({"azure.workload.identity/use": "true", "team": "a"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"nodeSelector": {"pool": "zk"}, "hostNetwork": true, "automountServiceAccountToken": true}});
    let blueprint = BackupBlueprint {
        name: "nightly",
        namespace: "ns",
        uid: "uid",
        spec: &spec,
        trial: None,
        place: &place,
        mounts: &keys,
        identity: "identity",
        pin: "nightly.uid",
        until: Some("2026-12-05T03:00:00Z".into()),
        copied: None,
        servers: &["zk-0.ns.svc.cluster.local:2181".to_owned()],
        template: &template,
        account: "zk",
        pull_secrets: &[],
        operator: &operator,
    };
    let job = backup_job(&blueprint).json;
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["azure.workload.identity/use"], &labels["team"]), (&json!("true"), &Value::Null));
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!((&pod["nodeSelector"]["pool"], &pod["hostNetwork"]), (&json!("zk"), &Value::Null));
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert!(pod["containers"][0]["env"].is_null() && !job.to_string().contains("super"), "{job}");
    assert_eq!(pod["volumes"][1]["secret"]["optional"], true);
    assert!(job["spec"]["ttlSecondsAfterFinished"].as_u64().is_some_and(|kept| kept > 24 * 3600));
    assert!(pod["initContainers"].is_null(), "{pod}");

    // One that is made from a member's files asks the agents as who knows the password, from its Secret.
    let names = Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() };
    let job = backup_job(&BackupBlueprint { copied: Some(&names), ..blueprint.clone() }).json;
    let own = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(own["env"][0]["valueFrom"]["secretKeyRef"], json!({"name": "zk-super", "key": "password"}));
    assert!(own["args"].as_array().unwrap().contains(&json!("--copy=ns/zk")), "{own}");

    // The server that starts from it: one that a Job waits for at its end would never let it come to one.
    let server = TrialServer {
        image: "zookeeper:3.9.5".into(),
        pull_policy: Some(PullPolicy::Never),
        resources: json!({"limits": {"memory": "1Gi"}}),
        heap_mib: 512,
    };
    let spec = serde_json::from_value(json!({"ensemble": "zk", "level": "Server", "scratchSize": "3Gi"})).unwrap();
    let job = backup_job(&BackupBlueprint { spec: &spec, trial: Some(&server), ..blueprint.clone() }).json;
    golden("backup", &serde_saphyr::to_string(&job).unwrap());
    let pod = &job["spec"]["template"]["spec"];
    let (ours, beside) = (&pod["containers"][0], &pod["initContainers"][0]);
    assert_eq!((pod["containers"].as_array().unwrap().len(), &beside["restartPolicy"]), (1, &json!("Always")));
    assert_eq!((&beside["ports"], &beside["securityContext"]), (&Value::Null, &ours["securityContext"]));
    let mounts = beside["volumeMounts"].to_string();
    assert!(!mounts.contains("archive") && !mounts.contains("scratch"), "it reads nothing of an archive: {mounts}");
}

#[test]
fn an_ephemeral_ensemble_has_no_claims() {
    let text = rendered(json!({"replicas": 1, "version": "3.9.5", "storage": {"ephemeral": true, "size": "2Gi"}}));
    assert!(!text.contains("volumeClaimTemplates") && text.contains("sizeLimit: 2Gi"), "{text}");
}

#[test]
fn the_keys_of_an_archive_are_in_the_agent_alone_and_no_start_waits_for_them() {
    let archive =
        json!({"s3": {"bucket": "b-1", "credentialsSecret": "keys", "encryptionKeys": {"secret": "sealing"}}});
    let from = json!({"bucket": "old", "credentialsSecret": "old-keys", "encryptionKeys": {"secret": "old-sealing"}});
    let pod = server(json!({
        "replicas": 3, "version": "3.9.5", "archive": archive,
        "from": {"s3": from, "identity": "a-1", "at": "0x5"},
    }));
    for (name, only) in [("keys", "agent"), ("sealing", "agent"), ("old-keys", "prepare"), ("old-sealing", "prepare")] {
        let secret = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["secret"]["secretName"] == name);
        let secret = secret.unwrap();
        assert_eq!(secret["secret"]["optional"], true);
        let containers =
            ["initContainers", "containers"].map(|list| pod[list].as_array().unwrap()).into_iter().flatten();
        let mounted = containers.filter(|container| {
            let mounts = container["volumeMounts"].as_array().unwrap();
            mounts.iter().any(|mount| mount["name"] == secret["name"])
        });
        assert_eq!(mounted.map(|container| container["name"].as_str().unwrap()).collect::<Vec<_>>(), [only]);
    }
}

/// An agent of an older version would ship readable what is to be encrypted, until its pod is made anew.
#[test]
fn an_agent_that_cannot_encrypt_is_told_of_no_archive_that_is_to_be() {
    let told = |s3: Value| {
        let spec = json!({"replicas": 3, "version": "3.9.5", "archive": {"s3": s3}});
        let config = of_kind(objects(spec, |_| {}), "ConfigMap");
        ["archive.json", "archive-encrypted.json"].map(|key| config["data"][key].is_string())
    };
    assert_eq!(told(json!({"bucket": "b-1"})), [true, false]);
    assert_eq!(told(json!({"bucket": "b-1", "encryptionKeys": {"secret": "sealing"}})), [false, true]);
}

#[test]
fn a_ca_of_an_archive_is_its_one_key_where_the_archive_is_reached_and_no_start_waits_for_it() {
    let s3 = json!({"bucket": "backups", "ca": {"configMap": "corporate"}, "proxy": "http://proxy:3128"});
    let from = json!({"bucket": "old", "ca": {"secret": "old-ca", "key": "tls.pem"}});
    let pod = server(json!({
        "replicas": 3, "version": "3.9.5", "archive": {"s3": s3},
        "from": {"s3": from, "identity": "a-1", "at": "0x5"},
    }));
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = |name: &str| volumes.iter().find(|volume| volume["name"] == name).unwrap();
    let one = json!({"name": "corporate", "optional": true, "items": [{"key": "ca.crt", "path": "ca.crt"}]});
    assert_eq!(volume("menagerie-archive-ca")["configMap"], one);
    let other = &volume("menagerie-parent-ca")["secret"];
    assert_eq!((&other["secretName"], &other["optional"]), (&json!("old-ca"), &json!(true)));
    assert_eq!(other["items"], json!([{"key": "tls.pem", "path": "ca.crt"}]));
    let containers = ["initContainers", "containers"].map(|list| pod[list].as_array().unwrap()).into_iter().flatten();
    let mounted = |container: &Value| {
        let mounts = container["volumeMounts"].as_array().unwrap().clone();
        let mounts = mounts.into_iter().filter(|mount| mount["name"].as_str().unwrap().ends_with("-ca"));
        mounts.map(|mount| mount["mountPath"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all: Vec<_> = containers.map(|container| (container["name"].as_str().unwrap(), mounted(container))).collect();
    let want = [("prepare", vec!["/parent-ca".into()]), ("zookeeper", vec![]), ("agent", vec!["/archive-ca".into()])];
    assert_eq!(all, want);
}

#[test]
fn without_keys_an_archive_changes_no_pod() {
    let spec = json!({"replicas": 3, "version": "3.9.5"});
    let mut archived = spec.clone();
    archived["archive"] = json!({"s3": {"bucket": "backups"}});
    assert_eq!(server(archived), server(spec));
}

#[test]
fn an_operator_upgrade_without_a_new_agent_changes_no_byte() {
    let spec = json!({"replicas": 3, "version": "3.9.5"});
    assert_eq!(rendered(spec.clone()), rendered(spec));
}

/// The server's container of an ensemble.
fn server(spec: Value) -> Value {
    of_kind(objects(spec, |_| {}), "StatefulSet")["spec"]["template"]["spec"].clone()
}

/// The pod of an ensemble with that pod template.
fn pod_with(spec: &Value) -> Value {
    server(json!({"replicas": 3, "version": "3.9.5", "podTemplate": {"spec": spec}}))
}

fn names_of(containers: &Value) -> Vec<&str> {
    containers.as_array().unwrap().iter().map(|container| container["name"].as_str().unwrap()).collect()
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

/// The kubelet kills for each answer that it does not get: a start that takes long, an agent that is down.
#[test]
fn regression_491_516_376_case_07_case_08_no_probe_can_end_a_server() {
    let pod = server(json!({"replicas": 1, "version": "3.9.5"}));
    let container = &pod["containers"][0];
    assert_eq!(container["name"], "zookeeper");
    assert!(container["startupProbe"].is_null() && container["livenessProbe"].is_null());
    let ready = &container["readinessProbe"];
    assert_eq!(ready["httpGet"]["path"], "/ready");
    let patience = ready["periodSeconds"].as_u64().unwrap() * ready["failureThreshold"].as_u64().unwrap();
    assert!(patience >= 3, "an agent that is restarted in place is not felt: {patience} s");
}

#[test]
fn case_03_a_quota_on_limits_is_met_by_every_container_when_somebody_says_so() {
    let plain = server(json!({"replicas": 1, "version": "3.9.5"}));
    let limited = server(json!({"replicas": 1, "version": "3.9.5",
        "resources": {"limits": {"cpu": "500m", "memory": "300Mi"}},
        "agent": {"resources": {"limits": {"cpu": "100m"}}},
    }));
    for place in ["/initContainers/0", "/containers/0", "/containers/1"] {
        assert!(limited.pointer(&format!("{place}/resources/limits/cpu")).is_some(), "{place}");
        // A limit of processor time that nobody asked for slows a start for nothing.
        assert!(plain.pointer(&format!("{place}/resources/limits/cpu")).is_none(), "{place}");
    }
    // What is given in part leaves the other defaults as they are.
    let (before, mut after) = (&plain["containers"][1]["resources"], limited["containers"][1]["resources"].clone());
    after["limits"].as_object_mut().unwrap().remove("cpu");
    assert_eq!(&after, before);
}

#[test]
fn case_13_the_users_init_containers_come_before_the_last_gate() {
    let chown = json!({"name": "chown", "image": "busybox", "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let sidecar = json!({"name": "proxy", "image": "proxy", "restartPolicy": "Always"});
    let pod = pod_with(&json!({"initContainers": [chown, sidecar]}));
    assert_eq!(names_of(&pod["initContainers"]), ["chown", "proxy", "prepare"]);
    assert_eq!(names_of(&pod_with(&json!({}))["initContainers"]), ["prepare"]);
}

#[test]
fn case_28_zk_server_status_finds_the_server_without_an_argument() {
    let mounts = |pod: &Value| pod["containers"][0]["volumeMounts"].to_string();
    let set = of_kind(objects(json!({"replicas": 1, "version": "3.9.5"}), |_| {}), "StatefulSet");
    let template = &set["spec"]["template"];
    assert!(mounts(&template["spec"]).contains("/conf/zoo.cfg"));
    let text = template["metadata"]["annotations"]["menagerie.dev/scripts"].as_str().unwrap();
    assert_eq!(text, "clientPort=2181\ndataDir=/data\nstandaloneEnabled=false\n");
    // What the user puts there stays.
    for (path, ours) in [("/conf/zoo.cfg", false), ("/conf/logback.xml", true), ("/config", true)] {
        let mount = json!({"name": "x", "mountPath": path, "subPath": "y"});
        let pod = pod_with(&json!({"containers": [{"name": "zookeeper", "volumeMounts": [mount]}]}));
        assert_eq!(mounts(&pod).contains("script-config"), ours, "{path}");
    }
}

#[test]
fn case_29_only_who_places_members_in_relation_to_each_other_replaces_the_default_spreading() {
    let default = pod_with(&json!({}))["topologySpreadConstraints"].clone();
    assert_eq!(default.as_array().unwrap().len(), 2);
    for same in [
        json!({"affinity": {}, "topologySpreadConstraints": []}),
        json!({"affinity": {"podAntiAffinity": {}}}),
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}}),
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}}}}),
    ] {
        assert_eq!(pod_with(&same)["topologySpreadConstraints"], default, "{same}");
    }
    let apart = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]});
    let apart = pod_with(&json!({"affinity": {"podAntiAffinity": apart}}));
    assert!(apart["topologySpreadConstraints"].is_null());
    let own = json!([{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]);
    assert_eq!(pod_with(&json!({"topologySpreadConstraints": own}))["topologySpreadConstraints"], own);
}

#[test]
fn case_30_an_empty_class_is_none_and_no_class_is_the_clusters_default() {
    let class = |storage: Value| {
        let spec = json!({"replicas": 1, "version": "3.9.5", "storage": storage});
        of_kind(objects(spec, |_| {}), "StatefulSet")["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"]
            .clone()
    };
    assert_eq!(class(json!({"class": ""})), json!(""));
    assert_eq!(class(json!({"class": "fast"})), json!("fast"));
    assert_eq!(class(json!({})), Value::Null);
}

#[test]
fn case_42_a_claim_bears_no_label_by_which_another_tool_takes_it_for_its_own() {
    let labels = |old_claims: bool| {
        let change = |blueprint: &mut Blueprint<'_>| blueprint.old_claims = old_claims;
        let set = of_kind(objects(json!({"replicas": 1, "version": "3.9.5"}), change), "StatefulSet");
        set["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"].clone()
    };
    let mut old = labels(true);
    assert_eq!(old["app.kubernetes.io/instance"], "zk", "the template of a set that is there cannot be changed");
    old.as_object_mut().unwrap().remove("app.kubernetes.io/instance");
    assert_eq!(labels(false), old);
    assert_eq!(old["menagerie.dev/identity"], "identity");
}

#[test]
fn nobody_may_be_evicted_where_one_lost_copy_is_final() {
    let budget = |replicas: u32, voters: u32, storage: Value| {
        let spec = json!({"replicas": replicas, "version": "3.9.5", "storage": storage});
        let change = |blueprint: &mut Blueprint<'_>| blueprint.voters = voters;
        of_kind(objects(spec, change), "PodDisruptionBudget")["spec"]["maxUnavailable"].as_u64().unwrap()
    };
    let passing = |replicas: u32| {
        let change = |blueprint: &mut Blueprint<'_>| blueprint.passing = true;
        let spec = json!({"replicas": replicas, "version": "3.9.5"});
        of_kind(objects(spec, change), "PodDisruptionBudget")["spec"]["maxUnavailable"].as_u64().unwrap()
    };
    assert_eq!([1, 2, 3, 5].map(passing), [0, 0, 1, 2], "a claim that was deleted goes with its pod");
    let (volumes, ephemeral) = (json!({}), json!({"ephemeral": true}));
    for (replicas, voters, with_volumes, without) in [
        (1, 1, 1, 0),
        (2, 2, 1, 0),
        (3, 3, 1, 1),
        (4, 4, 1, 1),
        (5, 5, 2, 2),
        (15, 15, 7, 7),
        // On the way, and while one has left to be restarted.
        (3, 2, 0, 0),
        (5, 4, 1, 1),
        (5, 3, 1, 1),
        (3, 5, 1, 1),
        (1, 3, 1, 0),
    ] {
        assert_eq!(budget(replicas, voters, volumes.clone()), with_volumes, "{replicas} wanted, {voters} vote");
        assert_eq!(
            budget(replicas, voters, ephemeral.clone()),
            without,
            "{replicas} wanted, {voters} vote, no volumes"
        );
    }
}

/// `OpenShift` gives every namespace a range of ids, and refuses a pod that asks for others.
#[test]
fn ids_that_the_cluster_assigns_are_left_out_unless_the_ensemble_says_its_own() {
    static ASSIGNED: OperatorFacts =
        OperatorFacts { agent_image: String::new(), agent_pull_policy: None, assigned_ids: true, searched: None };
    let context = |security: Value| {
        let spec = json!({"replicas": 1, "version": "3.9.5", "podTemplate": {"spec": {"securityContext": security}}});
        let objects = objects(spec, |blueprint| blueprint.operator = &ASSIGNED);
        let set = of_kind(objects, "StatefulSet");
        set["spec"]["template"]["spec"]["securityContext"].clone()
    };
    let bare = json!({
        "runAsNonRoot": true,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(context(json!({})), bare);
    assert_eq!(context(json!({"runAsUser": 1_000_680_000}))["runAsUser"], 1_000_680_000);
}
