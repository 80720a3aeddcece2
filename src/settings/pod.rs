//! Checks `podTemplate`: it may not go around `config` and `jvm`, set what nobody reads in the server's container, or
//! take names and ports of the operator's own.

use serde_json::Value;

use super::{RefusedSetting, port_fault};
use crate::model::layout::DATA_DIR;

const FLAGS: &str = "goes around the checks of jvm: use jvm.heap and jvm.flags";
const JMX: &str =
    "is not read, because JMX of zkServer.sh is off: use jvm.flags, such as -Dcom.sun.management.jmxremote.port=9010";
const PLACES: &str = "says where zkServer.sh finds its files: these are the operator's own";

const RUNS: &str = "could replace what runs in the server's place: build an image, and use image of the ensemble";

/// Variables that zkServer.sh, its shell, its linker or the JVM may read, and why each is refused. An empty reason
/// allows it.
const VARIABLES: [(&str, &str); 29] = [
    ("PATH", RUNS),
    ("BASH_ENV", RUNS),
    ("ENV", RUNS),
    ("SHELLOPTS", RUNS),
    ("BASHOPTS", RUNS),
    ("JAVA_HOME", RUNS),
    ("CLASSPATH", "stands behind ZooKeeper's own: mount a jar of yours below lib of the image"),
    ("SERVER_JVMFLAGS", FLAGS),
    ("JVMFLAGS", FLAGS),
    ("JDK_JAVA_OPTIONS", FLAGS),
    ("JAVA_TOOL_OPTIONS", FLAGS),
    ("_JAVA_OPTIONS", FLAGS),
    ("ZK_SERVER_HEAP", "is the heap: use jvm.heap"),
    ("JAVA_OPTS", "is not read by zkServer.sh: use jvm.flags"),
    ("JMXDISABLE", JMX),
    ("JMXPORT", JMX),
    ("JMXLOCALONLY", JMX),
    ("JMXAUTH", JMX),
    ("JMXSSL", JMX),
    ("JMXLOG4J", JMX),
    ("JMXHOSTNAME", JMX),
    ("ZOOCFG", PLACES),
    ("ZOOCFGDIR", PLACES),
    ("ZOOBINDIR", PLACES),
    ("ZOOPIDFILE", PLACES),
    ("ZOO_LOG_DIR", PLACES),
    ("ZOO_NOEXEC", "keeps the shell before the server, which then misses its signals"),
    ("ZOO_DATADIR_AUTOCREATE_DISABLE", "keeps a member with a new volume from starting"),
    // The file is in an emptyDir of the operator's own, but the user may choose its name.
    ("ZOO_LOG_FILE", ""),
];

/// Prefixes of variables that load code: `LD_` into every program that the linker loads, `BASH_FUNC_` into the shell,
/// as functions that replace commands.
const STARTS: [&str; 2] = ["LD_", "BASH_FUNC_"];

/// Folders of the system, or above ZooKeeper's home: a volume mounted there replaces the shell, Java or all of
/// ZooKeeper.
const SYSTEM: [&str; 14] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local",
    "/usr/share",
    "/opt",
    "/opt/java",
    "/etc",
];

/// Folders in which images place ZooKeeper's home. The empty one is the root, where the official image has it.
const HOMES: [&str; 6] = ["", "/opt", "/usr/local", "/usr/share", "/usr/lib", "/srv"];

/// Files that zkServer.sh runs: refused at any path.
const SCRIPTS: [&str; 4] = ["java.env", "zookeeper-env.sh", "zkEnv.sh", "zkServer.sh"];

const CONTAINER_FIELDS: [(&str, &str); 8] = [
    ("image", "use image of the ensemble"),
    ("command", "the server is started by the operator: use jvm and config"),
    ("args", "the server is started by the operator: use jvm and config"),
    ("resources", "use resources of the ensemble"),
    ("startupProbe", "the agent answers for the server"),
    ("livenessProbe", "the agent answers for the server"),
    ("readinessProbe", "the agent answers for the server"),
    ("lifecycle", "the agent is asked before a server stops"),
];

const CONTAINERS: [&str; 2] = ["prepare", "agent"];
const VOLUMES: [&str; 6] = ["data", "seed", "super", "logs", "tmp", "script-config"];

/// Everything that is refused in a `podTemplate`: in the container `zookeeper`, and of names and ports in the rest of
/// the pod.
pub fn pod_faults(template: &Value) -> Vec<RefusedSetting> {
    let spec = &template["spec"];
    let named = names(spec, "containers", "name").chain(names(spec, "initContainers", "name"));
    let taken = named.filter(|name| CONTAINERS.contains(name));
    let mut faults: Vec<String> =
        taken.map(|name| format!("a container must not be named {name}: that is one of the operator's own")).collect();
    let volumes = names(spec, "volumes", "name").filter(|name| VOLUMES.contains(name));
    faults.extend(volumes.map(|name| format!("the volume {name} must not be changed: it is the operator's own")));
    // A sidecar (an init container with `restartPolicy: Always`) keeps running beside the server and shares its ports.
    let beside = list(spec, "initContainers").filter(|container| container["restartPolicy"] == "Always");
    for container in list(spec, "containers").chain(beside) {
        if container["name"] == "zookeeper" {
            faults.extend(server_faults(container).map(|fault| format!("of the container zookeeper, {fault}")));
        } else {
            let ports = list(container, "ports").filter_map(|port| port["containerPort"].as_u64());
            let held = ports.filter_map(|port| port_fault(&port.to_string()));
            faults.extend(held.map(|fault| format!("the port of a container {fault}")));
        }
    }
    faults.into_iter().map(|reason| RefusedSetting { field: "podTemplate", reason }).collect()
}

fn server_faults(container: &Value) -> impl Iterator<Item = String> {
    part_faults(container)
        .chain(names(container, "env", "name").filter_map(variable_fault))
        .chain(names(container, "volumeMounts", "mountPath").filter_map(mount_fault))
        .chain(names(container, "volumeDevices", "devicePath").filter_map(mount_fault))
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[field].as_array().into_iter().flatten()
}

fn names<'a>(container: &'a Value, of: &str, field: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
    list(container, of).filter_map(move |item| item[field].as_str())
}

fn part_faults(container: &Value) -> impl Iterator<Item = String> {
    let brought = container["envFrom"].as_array().is_some_and(|from| !from.is_empty()).then(|| {
        "envFrom must not be set: nobody can tell which variables it brings; name each in env, with valueFrom"
            .to_owned()
    });
    let set = CONTAINER_FIELDS.iter().filter(|(part, _)| !container[*part].is_null());
    brought.into_iter().chain(set.map(|(part, instead)| format!("{part} must not be set: {instead}")))
}

fn variable_fault(name: &str) -> Option<String> {
    match VARIABLES.iter().find(|(variable, _)| *variable == name) {
        Some((_, "")) => None,
        Some((_, fault)) => Some(format!("env {name} must not be set: it {fault}")),
        None if STARTS.iter().any(|start| name.starts_with(start)) => {
            Some(format!("env {name} must not be set: it {RUNS}"))
        }
        None if name.starts_with("ZOOKEEPER_") => Some(format!("env {name} must not be set: it {PLACES}")),
        None if name.starts_with("ZOO_") => Some(format!(
            "env {name} must not be set: only the entrypoint of the official image reads it, and that is not run; use config"
        )),
        None => None,
    }
}

fn mount_fault(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let real = format!("/{}", parts.join("/"));
    let last = parts.last().copied().unwrap_or_default();
    let inside = parts.iter().rev().nth(1).is_some_and(|parent| parent.contains("zookeeper"));
    let parent = real.rsplit_once('/').map_or("", |(parent, _)| parent);
    let release = last.strip_prefix("zookeeper").map(|rest| rest.trim_start_matches('-'));
    let named = release.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()));
    let home = last.contains("apache-zookeeper") || (named && HOMES.contains(&parent));
    let why = if parts.is_empty() || real == DATA_DIR || real.starts_with(&format!("{DATA_DIR}/")) {
        "the members' data is there"
    } else if ["/logs", "/tmp"].contains(&real.as_str()) {
        "the operator mounts a volume there"
    } else if SCRIPTS.contains(&last) {
        "zkServer.sh would run it, and it could replace all that the operator says: use jvm and config"
    } else if SYSTEM.contains(&real.as_str()) || home || (inside && ["lib", "libexec"].contains(&last)) {
        "it could replace what runs: mount single files, such as a jar below lib of the image with a subPath"
    } else if real == "/conf" || (inside && ["bin", "conf"].contains(&last)) {
        "it could hold files that zkServer.sh runs: mount single files, such as /conf/logback.xml with a subPath"
    } else {
        return None;
    };
    let path: String = path.chars().take(128).flat_map(char::escape_default).collect();
    Some(format!("nothing may be mounted at {path}: {why}"))
}
