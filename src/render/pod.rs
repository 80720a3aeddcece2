//! A member's pod: `prepare`, then the agent beside the unmodified ZooKeeper image.

use serde_json::{Value, json};

use super::mounts::At;
use super::{Blueprint, digest, labels, merge, static_lines};
use crate::model::Desired;
use crate::model::archive::ArchiveMounts;
use crate::model::desired::Storage;
use crate::model::layout::{
    AGENT_PORT, ARCHIVE_CA_DIR, ARCHIVE_DIR, ARCHIVE_KEYS_DIR, CONFIG_FILE, DATA_DIR, HAND_OVER_PATH, HEALTH_PATH,
    PARENT_CA_DIR, PARENT_DIR, PARENT_KEYS_DIR, READY_PATH, SEED_DIR, SUPER_DIR,
};
use crate::model::membership::{CLIENT_PORT, ELECTION_PORT, QUORUM_PORT};
use crate::model::names::{
    ARCHIVE_CA_VOLUME, ARCHIVE_KEYS_VOLUME, ARCHIVE_VOLUME, DATA_VOLUME, PARENT_CA_VOLUME, PARENT_KEYS_VOLUME,
    PARENT_VOLUME, RESTARTED_ANNOTATION, SCRIPTS_ANNOTATION, SCRIPTS_VOLUME, VERSION_ANNOTATION,
};
use crate::model::observed::OperatorFacts;
use crate::settings;

/// Where `zkServer.sh` looks in the official image by default.
const SCRIPTS_FILE: &str = "/conf/zoo.cfg";

/// What the agent mounts to reach the archive.
const ARCHIVE: At = At {
    secret: (ARCHIVE_VOLUME, ARCHIVE_DIR),
    ca: (ARCHIVE_CA_VOLUME, ARCHIVE_CA_DIR),
    keys: (ARCHIVE_KEYS_VOLUME, ARCHIVE_KEYS_DIR),
};
/// What prepares the volume mounts to reach the archive that the ensemble is made from.
const PARENT: At = At {
    secret: (PARENT_VOLUME, PARENT_DIR),
    ca: (PARENT_CA_VOLUME, PARENT_CA_DIR),
    keys: (PARENT_KEYS_VOLUME, PARENT_KEYS_DIR),
};

/// Uid of the `zookeeper` user in the official image; also the group that owns the volume.
const ZOOKEEPER_USER: u32 = 1000;

/// The pod template, with the user's changes merged over it and the operator's labels over those.
pub fn template(blueprint: &Blueprint<'_>) -> Value {
    let mut template = json!({
        "metadata": {
            "annotations": {
                // A new static configuration is a new revision of the pods.
                "menagerie.dev/config": digest(&static_lines(blueprint.desired)),
                "kubectl.kubernetes.io/default-container": "zookeeper",
                VERSION_ANNOTATION: blueprint.desired.version,
                SCRIPTS_ANNOTATION: scripts_config(),
            },
        },
        "spec": {
            "serviceAccountName": blueprint.names.ensemble,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            // Members' names are looked up as they are first. With the default of 5, every search domain is tried
            // before, and if one of them has a wildcard (a company's zone, nip.io), each name leads to a stranger.
            "dnsConfig": {"options": [{"name": "ndots", "value": dots(blueprint).to_string()}]},
            "terminationGracePeriodSeconds": 30,
            // As process 1 of its container, the server would not get the signal that -Xrs leaves to the kernel.
            "shareProcessNamespace": true,
            "securityContext": pod_security(blueprint.operator),
            "initContainers": [prepare(blueprint)],
            // The kubelet starts them in this order, a fifth of a second apart: clients wait for the server.
            "containers": [zookeeper(blueprint), agent(blueprint)],
            "volumes": volumes(blueprint),
        },
    });
    if let Some(wish) = &blueprint.requests.restart {
        template["metadata"]["annotations"][RESTARTED_ANNOTATION] = json!(wish);
    }
    let spec = &mut template["spec"];
    if !blueprint.desired.pull_secrets.is_empty() {
        spec["imagePullSecrets"] = blueprint.desired.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    }
    merge::strategic(&mut template, &blueprint.desired.pod_template);
    merge::strategic(&mut template, &json!({"metadata": {"labels": labels(blueprint.names)}}));
    let spec = &mut template["spec"];
    if !placed_by_user(&blueprint.desired.pod_template["spec"]) {
        spec["topologySpreadConstraints"] =
            json!([spread(blueprint, "kubernetes.io/hostname"), spread(blueprint, "topology.kubernetes.io/zone")]);
    }
    // The last check before the server: it sees what the user's own containers did to the volume.
    if let Some(Value::Array(containers)) = spec.get_mut("initContainers") {
        containers.rotate_left(1);
    }
    template
}

/// How many dots a member's name has.
fn dots(blueprint: &Blueprint<'_>) -> usize {
    blueprint.names.dns(&blueprint.names.ensemble).matches('.').count()
}

/// What the restricted Pod Security Standard requires of a pod.
pub(super) fn pod_security(operator: &OperatorFacts) -> Value {
    let mut context = json!({
        "runAsNonRoot": true,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if !operator.assigned_ids {
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            context[id] = json!(ZOOKEEPER_USER);
        }
    }
    context
}

/// Whether the user says where members go in relation to each other. Choosing nodes does not count, nor does anything
/// empty.
fn placed_by_user(spec: &Value) -> bool {
    let places = ["/topologySpreadConstraints", "/affinity/podAffinity", "/affinity/podAntiAffinity"];
    places.iter().filter_map(|place| spec.pointer(place)).any(|place| !is_empty(place))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What `zkServer.sh status` needs to find the server: its own configuration is on the volume, where the script does
/// not look. No server starts from this one: without standalone mode it lacks servers.
fn scripts_config() -> String {
    format!("clientPort={CLIENT_PORT}\ndataDir={DATA_DIR}\nstandaloneEnabled=false\n")
}

/// Preferred, not required: five members on three nodes are better than three members.
fn spread(blueprint: &Blueprint<'_>, topology: &str) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": super::selector(blueprint.names)},
    })
}

pub(super) fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

fn of_the_operators_image(blueprint: &Blueprint<'_>, name: &str, command: &str) -> Value {
    let mut container = json!({
        "name": name,
        "image": blueprint.operator.agent_image,
        "args": ["agent", command],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
        "securityContext": restricted(),
        "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"memory": "96Mi"}},
        "volumeMounts": [
            {"name": DATA_VOLUME, "mountPath": DATA_DIR},
            {"name": "seed", "mountPath": SEED_DIR, "readOnly": true},
            {"name": "super", "mountPath": SUPER_DIR, "readOnly": true},
        ],
    });
    if let Some(policy) = &blueprint.operator.agent_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    merge::strategic(&mut container, &json!({"resources": blueprint.desired.agent_resources}));
    container
}

fn prepare(blueprint: &Blueprint<'_>) -> Value {
    let mut prepare = of_the_operators_image(blueprint, "prepare", "prepare");
    let Some(parent) = &blueprint.desired.parent else { return prepare };
    // It builds the tree in memory, as the server does. It ends before the server starts, so that a pod needs no more than before.
    prepare["resources"] = blueprint.desired.resources.clone();
    if blueprint.desired.resources.is_null() {
        prepare["resources"] = json!({});
    }
    if let Value::Array(mounts) = &mut prepare["volumeMounts"] {
        mounts.extend(PARENT.mounts(&parent.mounts).into_iter().map(|mount| mount.mount));
    }
    prepare
}

/// A container like the server's, not a native sidecar: the kubelet starts the containers of one stage together, and
/// checks once a second whether the next may begin. A stage of its own made every restart of a member a second longer.
fn agent(blueprint: &Blueprint<'_>) -> Value {
    let mut agent = of_the_operators_image(blueprint, "agent", "serve");
    agent["ports"] = json!([{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}]);
    agent["livenessProbe"] = probe(HEALTH_PATH, 10, 3);
    if let (Some(archive), Value::Array(mounts)) = (archive_mounts(blueprint), &mut agent["volumeMounts"]) {
        mounts.extend(ARCHIVE.mounts(archive).into_iter().map(|mount| mount.mount));
    }
    agent
}

fn zookeeper(blueprint: &Blueprint<'_>) -> Value {
    let desired = blueprint.desired;
    let port = |name: &str, number: u16| json!({"name": name, "containerPort": number, "protocol": "TCP"});
    let mut container = json!({
        "name": "zookeeper",
        "image": desired.image,
        "command": ["zkServer.sh", "start-foreground", CONFIG_FILE],
        "env": env(blueprint),
        "ports": [port("client", CLIENT_PORT), port("quorum", QUORUM_PORT), port("election", ELECTION_PORT)],
        // No liveness probe: the agent would answer it, and an agent that is down would cost its server its life;
        // `agent/routes/kubelet.rs` says why the kubelet cannot ask anybody else. No startup probe either: a large
        // database takes its time to load. Four seconds of readiness are longer than a restart of the agent.
        "readinessProbe": probe(READY_PATH, 1, 4),
        // A leader is held up until another leads, for a few seconds at most; all others stop at once.
        "lifecycle": {"preStop": {"httpGet": {"path": HAND_OVER_PATH, "port": AGENT_PORT, "scheme": "HTTP"}}},
        "securityContext": restricted(),
        // Its last lines if it ends with an error: a condition can show them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(desired),
    });
    if !desired.resources.is_null() {
        container["resources"] = desired.resources.clone();
    }
    if let Some(policy) = desired.pull_policy {
        container["imagePullPolicy"] = json!(policy.as_str());
    }
    container
}

fn mounts(desired: &Desired) -> Value {
    let mut mounts = json!([
        {"name": DATA_VOLUME, "mountPath": DATA_DIR},
        {"name": "logs", "mountPath": "/logs"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]);
    // Not into a folder of the user's: it may be read-only, and the container would not start.
    if let (Value::Array(mounts), false) = (&mut mounts, configured_by_user(&desired.pod_template["spec"])) {
        mounts.push(json!({"name": SCRIPTS_VOLUME, "mountPath": SCRIPTS_FILE, "subPath": "zoo.cfg", "readOnly": true}));
    }
    mounts
}

/// Whether the user mounts something where the image has its configuration.
fn configured_by_user(spec: &Value) -> bool {
    let containers = spec["containers"].as_array().into_iter().flatten();
    let server = containers.filter(|container| container["name"] == "zookeeper");
    let mounts = server.flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten());
    let mut paths = mounts.filter_map(|mount| mount["mountPath"].as_str());
    paths.any(|path| {
        SCRIPTS_FILE
            .strip_prefix(path.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Probes ask the agent over HTTP: an `exec` probe starts a process every period, 5–10 % of a core while idle.
fn probe(path: &str, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": AGENT_PORT, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
        "successThreshold": 1,
    })
}

fn env(blueprint: &Blueprint<'_>) -> Value {
    let mut flags = vec![
        // A JVM that handles SIGTERM stops its threads and then waits 300 ms for those in native code, of which
        // ZooKeeper always has some, with every connection open (HotSpot's VM_Exit): clients hang, and the leader
        // counts on it. ZooKeeper does nothing else at a stop, so the kernel may end it: measured 12 ms instead of 327.
        "-Xrs".to_owned(),
        // By default the JVM caches names for 30 s and failures for 10 s.
        "-Dsun.net.inetaddr.ttl=5".to_owned(),
        "-Dsun.net.inetaddr.negative.ttl=0".to_owned(),
    ];
    let mut env =
        vec![json!({"name": "JMXDISABLE", "value": "true"}), json!({"name": "ZOO_LOG_DIR", "value": "/logs"})];
    if let Some(heap) = blueprint.desired.heap.passed_mib {
        // zkEnv.sh puts its own -Xmx of 1000 MB before SERVER_JVMFLAGS; the JVM uses the last one.
        flags.push(format!("-Xmx{heap}m"));
        flags.push(format!("-Xms{heap}m"));
    }
    flags.extend(blueprint.desired.jvm_flags.iter().cloned());
    flags.extend(settings::last_flags());
    env.push(json!({"name": "SERVER_JVMFLAGS", "value": flags.join(" ")}));
    Value::Array(env)
}

fn archive_mounts<'a>(blueprint: &Blueprint<'a>) -> Option<&'a ArchiveMounts> {
    Some(&blueprint.desired.archive.as_ref()?.mounts)
}

fn volumes(blueprint: &Blueprint<'_>) -> Value {
    let mut volumes = vec![
        json!({"name": "seed", "configMap": {"name": blueprint.names.config()}}),
        json!({"name": "super", "secret": {"secretName": blueprint.names.super_secret(), "defaultMode": 0o440}}),
        json!({"name": "logs", "emptyDir": {}}),
        json!({"name": "tmp", "emptyDir": {}}),
        json!({"name": SCRIPTS_VOLUME, "downwardAPI": {"items": [{
            "path": "zoo.cfg",
            "fieldRef": {"fieldPath": format!("metadata.annotations['{SCRIPTS_ANNOTATION}']"), "apiVersion": "v1"},
        }]}}),
    ];
    // Without them there is no archive, and still a server.
    let archive = archive_mounts(blueprint).map(|mounts| ARCHIVE.mounts(mounts));
    // Once the ensemble was born, nobody needs them.
    let parent = blueprint.desired.parent.as_ref().map(|parent| PARENT.mounts(&parent.mounts));
    volumes.extend(archive.into_iter().chain(parent).flatten().map(|mount| mount.volume));
    if let Storage::Ephemeral { limit } = &blueprint.desired.storage {
        let limit = limit.as_ref().map_or(json!({}), |limit| json!({"sizeLimit": limit}));
        volumes.push(json!({"name": DATA_VOLUME, "emptyDir": limit}));
    }
    Value::Array(volumes)
}
