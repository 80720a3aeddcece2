//! What Kubernetes says of a member's pod.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use kube::ResourceExt as _;

use crate::model::names::{REPLACE_ANNOTATION, RESTART_ANNOTATION, VERSION_ANNOTATION};
use crate::model::{Asked, PodFacts};

/// What a decision needs of a pod.
pub fn pod_facts(pod: &Pod) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    let server = status.container_statuses.iter().flatten().find(|container| container.name == "zookeeper");
    let seconds = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| u64::try_from(time.0.as_second()).ok();
    PodFacts {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        resource_version: pod.resource_version().unwrap_or_default(),
        ip: status.pod_ip.clone(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        since: pod.metadata.creation_timestamp.as_ref().and_then(seconds).unwrap_or_default(),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        revision: pod.labels().get("controller-revision-hash").cloned(),
        running: running(&status, server),
        ready: server.is_some_and(|server| server.ready),
        restarts: server.and_then(|server| u32::try_from(server.restart_count).ok()).unwrap_or_default(),
        trouble: trouble(&status),
        unreadable: server.is_some_and(unreadable),
        asked: asked(pod),
        ran: server.is_some_and(has_run).then(|| pod.annotations().get(VERSION_ANNOTATION).cloned()).flatten(),
    }
}

/// A pod that was never put on a node runs nothing; of one that was, the kubelet says it.
fn running(status: &PodStatus, server: Option<&ContainerStatus>) -> Option<bool> {
    let unscheduled = status.conditions.iter().flatten().any(|c| c.type_ == "PodScheduled" && c.status == "False");
    match server.and_then(|server| server.state.as_ref()) {
        Some(state) => Some(state.running.is_some()),
        None => unscheduled.then_some(false),
    }
}

/// Whether its process was ever started, however it ended: an image that is not there starts none.
fn has_run(server: &ContainerStatus) -> bool {
    let states = [server.state.as_ref(), server.last_state.as_ref()];
    let started = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    server.restart_count > 0 || states.into_iter().flatten().any(started)
}

/// What somebody wrote on this one pod. What it got from the template has another name.
fn asked(pod: &Pod) -> Option<Asked> {
    match pod.annotations().get(REPLACE_ANNOTATION).map(String::as_str) {
        Some("volume") => Some(Asked::Replace),
        _ => pod.annotations().contains_key(RESTART_ANNOTATION).then_some(Asked::Restart),
    }
}

/// What ZooKeeper logs last when it ends because of its own files (`QuorumPeer.loadDataBase`).
const UNREADABLE: [&str; 2] = ["Unable to load database on disk", "Unable to run quorum server"];

/// A full disk is no damage: a second database would not fit either.
const DISK_FULL: &str = "No space left on device";

fn unreadable(server: &ContainerStatus) -> bool {
    let ends = [server.state.as_ref(), server.last_state.as_ref()];
    let last = ends.into_iter().flatten().find_map(|state| state.terminated.as_ref()?.message.as_deref());
    !server.ready
        && last
            .is_some_and(|message| !message.contains(DISK_FULL) && UNREADABLE.iter().any(|sign| message.contains(sign)))
}

/// What Kubernetes itself says is wrong with a pod.
fn trouble(status: &PodStatus) -> Option<String> {
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("it cannot be scheduled: {}", condition.message.clone().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.filter(|container| !container.ready).find_map(|container| {
        let state = container.state.as_ref()?;
        if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
            let message = gist(ended.message.as_deref().unwrap_or_default());
            return Some(format!("container {} ended with {}: {message}", container.name, ended.exit_code));
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if matches!(reason, "PodInitializing" | "ContainerCreating") {
            return None;
        }
        // What it said when it last stopped is nearer to the cause than "back-off restarting".
        let last =
            container.last_state.as_ref().and_then(|state| state.terminated.as_ref()).and_then(|t| t.message.clone());
        let message = last.or_else(|| waiting.message.clone()).unwrap_or_default();
        Some(format!("container {}: {reason}: {}", container.name, gist(&message)))
    })
}

/// Lines of a log that a condition has room for.
const LINES: usize = 4;

/// The end of a log in one line: without the places in a stack trace, which only those who have the source can read.
fn gist(log: &str) -> String {
    let lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("at ") && !line.starts_with("...")).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    fn of_a_stack_trace_its_causes_are_told_and_not_its_places() {
        let log = "INFO start\nERROR Invalid config, exiting abnormally\nConfigException: Error processing /data/conf/zoo.cfg\n\tat a.B.c(B.java:1)\nCaused by: java.lang.NumberFormatException: For input string: \"soon\"\n\tat d.E.f(E.java:2)\n\t... 2 more\nInvalid config, exiting abnormally\n";
        assert_eq!(
            gist(log),
            "ERROR Invalid config, exiting abnormally | ConfigException: Error processing /data/conf/zoo.cfg | Caused by: java.lang.NumberFormatException: For input string: \"soon\" | Invalid config, exiting abnormally"
        );
    }
}
