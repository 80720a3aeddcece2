//! What Kubernetes says of a member's pod.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus,
};
use kube::ResourceExt as _;

use crate::model::names::{REPLACE_ANNOTATION, RESTART_ANNOTATION, VERSION_ANNOTATION};
use crate::model::observed::MemoryFacts;
use crate::model::{Asked, PodFacts, heap, quantity};

/// What a decision needs of a pod.
pub fn pod_facts(pod: &Pod) -> PodFacts {
    let (spec, status) = (pod.spec.clone().unwrap_or_default(), pod.status.clone().unwrap_or_default());
    let server = status.container_statuses.iter().flatten().find(|container| container.name == "zookeeper");
    let seconds = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| u64::try_from(time.0.as_second()).ok();
    let past = past(&status, server);
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
        shut: shut(&spec, &status),
        shaky: shaky(&spec, &status),
        served: past.served,
        unready: past.unready,
        restarts: server.and_then(|server| u32::try_from(server.restart_count).ok()).unwrap_or_default(),
        memory: pod.spec.as_ref().and_then(limits),
        creating: creating(&status),
        trouble: trouble(&spec, &status),
        in_spite_of: in_spite_of(&status),
        unreadable: server.is_some_and(unreadable),
        doubtful: server.and_then(last_words).is_some_and(|words| words.contains(NO_SNAPSHOT)),
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

/// What the server of this pod may use. Where the spec is silent, it is what admission made of the pod.
fn limits(spec: &PodSpec) -> Option<MemoryFacts> {
    let server = spec.containers.iter().find(|container| container.name == "zookeeper")?;
    let limit = server.resources.as_ref()?.limits.as_ref()?.get("memory")?;
    let heap_mib = flags(server).and_then(|flags| heap::largest_mib(flags.split_whitespace()));
    Some(MemoryFacts { limit_mib: quantity::bytes(&limit.0)? >> 20, heap_mib })
}

/// What a kubelet says of a container whose image, volumes or network are not there yet. It does not say which.
const CREATING: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// Whether the kubelet has none of the containers running, and is busy with one.
fn creating(status: &PodStatus) -> bool {
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let all: Vec<&ContainerState> = containers.filter_map(|container| container.state.as_ref()).collect();
    let waits = |state: &&ContainerState| {
        let reason = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
        reason.is_some_and(|reason| CREATING.contains(&reason))
    };
    all.iter().any(waits) && all.iter().all(|state| state.running.is_none())
}

/// Whether a pod was ready once, and since when it is not any more.
#[derive(Debug, PartialEq, Eq)]
struct Past {
    served: bool,
    unready: Option<u64>,
}

/// The kubelet writes its first word on readiness within this many seconds of taking the pod over. A later change came after
/// the pod was ready: no server is within so few.
const FIRST_WORD: i64 = 2;

/// Kubernetes keeps no record of it, but the time at which readiness last changed. Where another container keeps the pod from
/// being ready, that tells nothing of the server, and one that ran may have served.
fn past(status: &PodStatus, server: Option<&ContainerStatus>) -> Past {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    if server.is_some_and(|server| server.ready) || ready.is_some_and(|ready| ready.status == "True") {
        return Past { served: true, unready: None };
    }
    let changed = ready.and_then(|ready| Some(ready.last_transition_time.as_ref()?.0.as_second()));
    let start = status.start_time.as_ref().map(|start| start.0.as_second());
    // A slow kubelet speaks late of a container that it could not start, too.
    let may_have_run = server.is_none_or(has_run);
    let late = changed.filter(|changed| start.is_some_and(|start| *changed > start + FIRST_WORD));
    if let Some(changed) = late.filter(|_| may_have_run) {
        return Past { served: true, unready: u64::try_from(changed).ok() };
    }
    let ran = server.is_some_and(has_run);
    let others = status.container_statuses.iter().flatten().any(|other| other.name != "zookeeper" && !other.ready);
    Past { served: ran && others, unready: None }
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

/// Nor is a record that is larger than the server's limit: with the limit that it was written under, it is read.
const TOO_LARGE: &str = "Unreasonable length";

/// Why it can read no snapshot, a server said long before its last words: damage, or a limit.
const NO_SNAPSHOT: &str = "Not able to find valid snapshots";

fn unreadable(server: &ContainerStatus) -> bool {
    let sound = |words: &str| [DISK_FULL, TOO_LARGE].iter().any(|sign| words.contains(sign));
    let said = |words: &str| !sound(words) && UNREADABLE.iter().any(|sign| words.contains(sign));
    !server.ready && last_words(server).is_some_and(said)
}

fn last_words(server: &ContainerStatus) -> Option<&str> {
    let ends = [server.state.as_ref(), server.last_state.as_ref()];
    ends.into_iter().flatten().find_map(|state| state.terminated.as_ref()?.message.as_deref())
}

/// The words that `prepare` left behind when it ended well.
fn in_spite_of(status: &PodStatus) -> Option<String> {
    let prepare = status.init_container_statuses.iter().flatten().find(|container| container.name == "prepare")?;
    let ended = prepare.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code == 0)?;
    ended.message.as_deref().map(gist).filter(|words| !words.is_empty())
}

/// Why a pod as a whole is not ready: all its containers have to be. What one of them said last is nearest to the cause.
fn shut(spec: &PodSpec, status: &PodStatus) -> Option<String> {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    if ready.is_some_and(|ready| ready.status == "True") {
        return None;
    }
    let words = || ready.and_then(|ready| ready.message.clone()).filter(|words| !words.is_empty());
    Some(trouble(spec, status).or_else(words).unwrap_or_else(|| "the kubelet has not found it ready yet".to_owned()))
}

/// One of the user's containers that ended and runs again. Between two ends it looks well, and so does its pod.
fn shaky(spec: &PodSpec, status: &PodStatus) -> Option<(u64, String)> {
    let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let theirs = all.filter(|container| !["zookeeper", "agent"].contains(&container.name.as_str()));
    let ended = theirs.filter_map(|container| {
        let since = container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0.as_second();
        let last = container.last_state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
        let how = end(spec, &container.name, last);
        Some((u64::try_from(since).ok()?, format!("container {} {how}", container.name)))
    });
    ended.max_by_key(|(since, _)| *since)
}

/// What Kubernetes itself says is wrong with a pod.
fn trouble(spec: &PodSpec, status: &PodStatus) -> Option<String> {
    // The kubelet's own word: a node that runs short, or a disk that is full to its limit.
    if status.reason.as_deref() == Some("Evicted") {
        return Some(format!("it was evicted: {}", status.message.as_deref().map(gist).unwrap_or_default()));
    }
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("it cannot be scheduled: {}", condition.message.clone().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.filter(|container| !container.ready).find_map(|container| {
        let state = container.state.as_ref()?;
        if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
            return Some(format!("container {} {}", container.name, end(spec, &container.name, ended)));
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if CREATING.contains(&reason) {
            return None;
        }
        // How it last ended is nearer to the cause than "back-off restarting", whose pause grows from one look to the next.
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let message = match last.filter(|ended| ended.exit_code != 0) {
            Some(ended) => end(spec, &container.name, ended),
            None => waiting.message.as_deref().map(gist).unwrap_or_default(),
        };
        Some(format!("container {}: {reason}: {message}", container.name))
    })
}

const LIMIT_ADVICE: &str = " because a record on its disk is larger than it was told to read (set jute.maxbuffer and jute.maxbuffer.extrasize as high as they were)";

/// Exit code of a process that was killed: 128 and the signal.
const KILLED: i32 = 137;

/// How a container ended, and what it said last.
fn end(spec: &PodSpec, container: &str, ended: &ContainerStateTerminated) -> String {
    if ended.reason.as_deref() == Some("OOMKilled") {
        // Its last lines are of whatever it did at that moment: it had no time to say a word about this.
        return format!(
            "was killed because its memory was used up ({}): give it a higher limit, or a smaller heap",
            memory(spec, container)
        );
    }
    let how = if ended.exit_code == KILLED {
        "was killed (137): by hand, or for want of memory on its node".to_owned()
    } else {
        format!("ended with {}", ended.exit_code)
    };
    let words = ended.message.as_deref().unwrap_or_default();
    let advice = if words.contains(TOO_LARGE) { LIMIT_ADVICE } else { "" };
    match gist(words) {
        last if last.is_empty() => how,
        last => format!("{how}{advice}: {last}"),
    }
}

/// What a container may use, and how much of that its Java heap is.
fn memory(spec: &PodSpec, container: &str) -> String {
    let found = spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == container);
    let limits = found.and_then(|found| found.resources.as_ref()?.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory"));
    let limit = limit.map_or_else(|| "no limit of its own".to_owned(), |limit| format!("limit {}", limit.0));
    match found.and_then(flags).and_then(|flags| heap::largest_mib(flags.split_whitespace())) {
        Some(heap) => format!("{limit}, heap {heap}m"),
        None => limit,
    }
}

/// The flags of its JVM.
fn flags(container: &Container) -> Option<&str> {
    let mut environment = container.env.iter().flatten();
    environment.find(|variable| variable.name == "SERVER_JVMFLAGS")?.value.as_deref()
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

    /// Readiness that changed that many seconds after the pod's start, and the containers of the pod.
    fn past_of(ready: &str, changed: u32, containers: &serde_json::Value) -> Past {
        let status: PodStatus = serde_json::from_value(json!({
            "startTime": "2026-11-26T10:00:00Z",
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": format!("2026-11-26T10:00:{changed:02}Z")}],
            "containerStatuses": containers,
        }))
        .unwrap();
        let server =
            status.container_statuses.iter().flatten().find(|container| container.name == "zookeeper").cloned();
        past(&status, server.as_ref())
    }

    fn container(name: &str, ready: bool, restarts: i32) -> serde_json::Value {
        json!({"name": name, "ready": ready, "restartCount": restarts, "image": "", "imageID": ""})
    }

    #[test]
    fn a_pod_whose_readiness_changed_after_its_start_was_ready_once() {
        let down = || json!([container("zookeeper", false, 4), container("agent", true, 0)]);
        assert_eq!(
            past_of("False", 0, &down()),
            Past { served: false, unready: None },
            "its server ends again and again"
        );
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
        (exporter["state"], exporter["lastState"]) =
            (json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended.clone());
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
}
