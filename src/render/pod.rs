//! A member's pod: `prepare`, then the agent beside the unmodified ZooKeeper image.

use serde_json::{Value, json};

use super::{Blueprint, config, digest, labels, merge};
use crate::api::PullPolicy;
use crate::model::desired::Storage;
use crate::model::layout::{AGENT_PORT, CONFIG_FILE, DATA_DIR, SEED_DIR, SUPER_DIR};
use crate::model::membership::{CLIENT_PORT, ELECTION_PORT, QUORUM_PORT};
use crate::model::names::{DATA_VOLUME, RESTARTED_ANNOTATION, VERSION_ANNOTATION};
use crate::settings;

/// Uid of the `zookeeper` user in the official image; also the group that owns the volume.
const ZOOKEEPER_USER: u32 = 1000;

/// The pod template, with the user's changes merged over it and the operator's labels over those.
pub fn template(blueprint: &Blueprint<'_>) -> Value {
    let mut template = json!({
        "metadata": {
            "annotations": {
                // A new static configuration is a new revision of the pods.
                "menagerie.dev/config": digest(&config::static_config(&blueprint.desired.config)),
                "kubectl.kubernetes.io/default-container": "zookeeper",
                VERSION_ANNOTATION: blueprint.desired.version,
            },
        },
        "spec": {
            "serviceAccountName": blueprint.names.ensemble,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 30,
            // As process 1 of its container, the server would not get the signal that -Xrs leaves to the kernel.
            "shareProcessNamespace": true,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": ZOOKEEPER_USER,
                "runAsGroup": ZOOKEEPER_USER,
                "fsGroup": ZOOKEEPER_USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [prepare(blueprint)],
            // The kubelet starts them in this order, a fifth of a second apart: the server is what clients wait for.
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
    let scheduled_by_user = ["affinity", "topologySpreadConstraints"]
        .iter()
        .any(|field| !blueprint.desired.pod_template["spec"][*field].is_null());
    if !scheduled_by_user {
        spec["topologySpreadConstraints"] =
            json!([spread(blueprint, "kubernetes.io/hostname"), spread(blueprint, "topology.kubernetes.io/zone")]);
    }
    merge::strategic(&mut template, &blueprint.desired.pod_template);
    merge::strategic(&mut template, &json!({"metadata": {"labels": labels(blueprint.names)}}));
    template
}

/// Soft: five members on three nodes are better than three members.
fn spread(blueprint: &Blueprint<'_>, topology: &str) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": super::selector(blueprint.names)},
    })
}

fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

fn of_the_operators_image(blueprint: &Blueprint<'_>, name: &str, command: &str) -> Value {
    let mut container = json!({
        "name": name,
        "image": blueprint.environment.agent_image,
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
    if let Some(policy) = &blueprint.environment.agent_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

fn prepare(blueprint: &Blueprint<'_>) -> Value {
    of_the_operators_image(blueprint, "prepare", "prepare")
}

/// A container like the server's, not a native sidecar: the kubelet starts containers of one stage together, and looks
/// once a second whether the next may begin. A stage of its own made every restart of a member a second longer.
fn agent(blueprint: &Blueprint<'_>) -> Value {
    let mut agent = of_the_operators_image(blueprint, "agent", "serve");
    agent["ports"] = json!([{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}]);
    agent["livenessProbe"] = probe("/healthz", 10, 3);
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
        // The client port opens only after the database is loaded: half an hour for a large one. Then liveness takes
        // over, which asks whether the server answers, never whether there is a quorum.
        "startupProbe": probe("/startup", 1, 1800),
        "livenessProbe": probe("/live", 10, 6),
        // Each costs the server 5–8 ms: once a second would be most of what an idle one uses.
        "readinessProbe": probe("/ready", 2, 2),
        // A leader is held up until another leads, for some seconds at most; all others stop at once.
        "lifecycle": {"preStop": {"httpGet": {"path": "/hand-over", "port": AGENT_PORT, "scheme": "HTTP"}}},
        "securityContext": restricted(),
        // Its last lines, when it ends in error: what a condition can say about it.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": DATA_VOLUME, "mountPath": DATA_DIR},
            {"name": "logs", "mountPath": "/logs"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    });
    if !desired.resources.is_null() {
        container["resources"] = desired.resources.clone();
    }
    if let Some(policy) = desired.pull_policy {
        container["imagePullPolicy"] = json!(match policy {
            PullPolicy::Always => "Always",
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Never => "Never",
        });
    }
    container
}

/// Probes go to the agent, over HTTP: an `exec` probe starts a process every period, 5–10 % of a core while idle.
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
        // A JVM that handles SIGTERM stops its threads and then waits 300 ms for those in native code, of which ZooKeeper
        // has some at any time, with every connection open (HotSpot's VM_Exit): clients hang, and the leader counts on
        // it. ZooKeeper does nothing else at a stop, so it ends as the kernel ends it: measured 12 ms instead of 327.
        "-Xrs".to_owned(),
        // The JVM keeps names for 30 s and failures for 10 s as shipped.
        "-Dsun.net.inetaddr.ttl=5".to_owned(),
        "-Dsun.net.inetaddr.negative.ttl=0".to_owned(),
    ];
    let mut env =
        vec![json!({"name": "JMXDISABLE", "value": "true"}), json!({"name": "ZOO_LOG_DIR", "value": "/logs"})];
    if let Some(heap) = blueprint.desired.heap_mib {
        // zkEnv.sh puts its own -Xmx of 1000 MB before SERVER_JVMFLAGS; of two, the JVM takes the last.
        flags.push(format!("-Xmx{heap}m"));
        flags.push(format!("-Xms{heap}m"));
    }
    flags.extend(blueprint.desired.jvm_flags.iter().cloned());
    flags.extend(settings::last_flags());
    env.push(json!({"name": "SERVER_JVMFLAGS", "value": flags.join(" ")}));
    Value::Array(env)
}

fn volumes(blueprint: &Blueprint<'_>) -> Value {
    let mut volumes = vec![
        json!({"name": "seed", "configMap": {"name": blueprint.names.config()}}),
        json!({"name": "super", "secret": {"secretName": blueprint.names.super_secret(), "defaultMode": 0o440}}),
        json!({"name": "logs", "emptyDir": {}}),
        json!({"name": "tmp", "emptyDir": {}}),
    ];
    if let Storage::Ephemeral { limit } = &blueprint.desired.storage {
        let limit = limit.as_ref().map_or(json!({}), |limit| json!({"sizeLimit": limit}));
        volumes.push(json!({"name": DATA_VOLUME, "emptyDir": limit}));
    }
    Value::Array(volumes)
}
