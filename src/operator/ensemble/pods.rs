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
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let last = last.filter(|ended| ended.exit_code != 0);
        let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0);
        // One that waits for names says so when it gives up, and is started again, after a pause, to wait once more: the same words
        // for all of that.
        if let Some(ended) = ended.or_else(|| last.filter(|_| container.name == "prepare")) {
            return Some(format!("container {} {}", container.name, end(spec, &container.name, ended)));
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if CREATING.contains(&reason) {
            return None;
        }
        // How it last ended is nearer to the cause than "back-off restarting", whose pause grows from one look to the next.
        let message = match last {
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
mod tests;
