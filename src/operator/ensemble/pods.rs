//! What Kubernetes says about a member's pod.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus,
};
use kube::ResourceExt as _;

use crate::model::names::{REPLACE_ANNOTATION, RESTART_ANNOTATION, VERSION_ANNOTATION};
use crate::model::observed::{Ending, MemoryFacts};
use crate::model::words::{NAMED, QUOTE, cut};
use crate::model::{MemberRequest, Names, OtherPod, PodFacts, SetFacts, heap, quantity};

/// What a decision needs to know about a pod.
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
        ending: ending(pod, &status),
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
        request: request(pod),
        ran: server.is_some_and(has_run).then(|| pod.annotations().get(VERSION_ANNOTATION).cloned()).flatten(),
    }
}

/// The label that the StatefulSet controller alone gives.
const OF_A_SET: &str = "statefulset.kubernetes.io/pod-name";

/// The pod, if it is not this StatefulSet's: its controller lets go a pod that has lost a label, and takes none that
/// another controls.
pub fn other_pod(pod: &Pod, set: &SetFacts, names: &Names) -> Option<OtherPod> {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    if owner.is_some_and(|owner| owner.uid == set.uid) {
        return None;
    }
    let selector = crate::render::selector(names);
    let wanted = selector.as_object().into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)));
    let lacks = wanted.filter(|(key, value)| pod.labels().get(*key).is_none_or(|found| found != value));
    let earlier = owner.is_some_and(|owner| owner.kind == "StatefulSet" && owner.name == names.ensemble);
    Some(OtherPod {
        owner: owner.map(|owner| cut(&format!("{} {}", owner.kind, owner.name), QUOTE)),
        released: pod.labels().contains_key(OF_A_SET),
        lacks: lacks.map(|(key, value)| format!("{key}={value}")).collect(),
        going: pod.metadata.deletion_timestamp.is_some() || earlier,
        finalizers: pod.metadata.deletion_timestamp.as_ref().map_or_else(Vec::new, |_| holders(pod)),
    })
}

/// Who may keep a pod from going.
fn holders(pod: &Pod) -> Vec<String> {
    pod.finalizers().iter().take(NAMED).map(|name| cut(name, QUOTE)).collect()
}

/// What is left of a pod that is being deleted.
fn ending(pod: &Pod, status: &PodStatus) -> Option<Ending> {
    let until = pod.metadata.deletion_timestamp.as_ref()?.0.as_second();
    let containers =
        || status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let over = |container: &ContainerStatus| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_none() && (state.terminated.is_some() || state.waiting.is_some()))
    };
    Some(Ending {
        until: u64::try_from(until).unwrap_or_default(),
        ended: matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"))
            || (containers().next().is_some() && containers().all(over)),
        finalizers: holders(pod),
    })
}

/// A pod without a node runs nothing; for a pod with a node, the kubelet says whether it runs.
fn running(status: &PodStatus, server: Option<&ContainerStatus>) -> Option<bool> {
    let unscheduled = status.conditions.iter().flatten().any(|c| c.type_ == "PodScheduled" && c.status == "False");
    match server.and_then(|server| server.state.as_ref()) {
        Some(state) => Some(state.running.is_some()),
        None => unscheduled.then_some(false),
    }
}

/// How much memory the server of this pod may use. If the spec says nothing, admission may have set it.
fn limits(spec: &PodSpec) -> Option<MemoryFacts> {
    let server = spec.containers.iter().find(|container| container.name == "zookeeper")?;
    let limit = server.resources.as_ref()?.limits.as_ref()?.get("memory")?;
    let heap_mib = flags(server).and_then(|flags| heap::largest_mib(flags.split_whitespace()));
    Some(MemoryFacts { limit_mib: quantity::bytes(&limit.0)? >> 20, heap_mib })
}

/// What a kubelet says about a container while its image, volumes or network are missing. It does not say which.
const CREATING: [&str; 2] = ["PodInitializing", "ContainerCreating"];

/// Whether none of the containers runs, and the kubelet is busy with one.
fn creating(status: &PodStatus) -> bool {
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let all: Vec<&ContainerState> = containers.filter_map(|container| container.state.as_ref()).collect();
    let waits = |state: &&ContainerState| {
        let reason = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
        reason.is_some_and(|reason| CREATING.contains(&reason))
    };
    all.iter().any(waits) && all.iter().all(|state| state.running.is_none())
}

/// Whether a pod was ever ready, and since when it is not.
#[derive(Debug, PartialEq, Eq)]
struct Past {
    served: bool,
    unready: Option<u64>,
}

/// The kubelet writes the first readiness within this many seconds of taking over the pod. A later change means that
/// the pod was ready: no server is ready this soon.
const FIRST_WORD: i64 = 2;

/// Kubernetes records only when readiness last changed. If another container keeps the pod from being ready, that says
/// nothing about the server, and a server that ran may have served.
fn past(status: &PodStatus, server: Option<&ContainerStatus>) -> Past {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    if server.is_some_and(|server| server.ready) || ready.is_some_and(|ready| ready.status == "True") {
        return Past { served: true, unready: None };
    }
    let changed = ready.and_then(|ready| Some(ready.last_transition_time.as_ref()?.0.as_second()));
    let start = status.start_time.as_ref().map(|start| start.0.as_second());
    // A slow kubelet is also late with a container that it could not start.
    let may_have_run = server.is_none_or(has_run);
    let late = changed.filter(|changed| start.is_some_and(|start| *changed > start + FIRST_WORD));
    if let Some(changed) = late.filter(|_| may_have_run) {
        return Past { served: true, unready: u64::try_from(changed).ok() };
    }
    let ran = server.is_some_and(has_run);
    let others = status.container_statuses.iter().flatten().any(|other| other.name != "zookeeper" && !other.ready);
    Past { served: ran && others, unready: None }
}

/// Whether its process was ever started, however it ended. With a missing image it was not.
fn has_run(server: &ContainerStatus) -> bool {
    let states = [server.state.as_ref(), server.last_state.as_ref()];
    let started = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    server.restart_count > 0 || states.into_iter().flatten().any(started)
}

/// What somebody wrote on this one pod. Annotations from the template have another name.
fn request(pod: &Pod) -> Option<MemberRequest> {
    match pod.annotations().get(REPLACE_ANNOTATION).map(String::as_str) {
        Some("volume") => Some(MemberRequest::Replace),
        _ => pod.annotations().contains_key(RESTART_ANNOTATION).then_some(MemberRequest::Restart),
    }
}

/// What ZooKeeper logs last if it ends because of its own files (`QuorumPeer.loadDataBase`).
const UNREADABLE: [&str; 2] = ["Unable to load database on disk", "Unable to run quorum server"];

/// A full disk is no damage: a second database would not fit either.
const DISK_FULL: &str = "No space left on device";

/// Nor is a record that is larger than the server's limit: with the limit under which it was written, it is readable.
const TOO_LARGE: &str = "Unreasonable length";

/// A server says long before its last words why it can read no snapshot: damage, or a limit.
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

/// The message that `prepare` left when it succeeded.
fn in_spite_of(status: &PodStatus) -> Option<String> {
    let prepare = status.init_container_statuses.iter().flatten().find(|container| container.name == "prepare")?;
    let ended = prepare.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code == 0)?;
    ended.message.as_deref().map(gist).filter(|words| !words.is_empty())
}

/// Why the pod as a whole is not ready: all its containers have to be. The last message of one of them is closest to
/// the cause.
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
    // The kubelet's own reason: a node that runs short of something, or a disk that is full to its limit.
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
        // A container that waits for names says so when it gives up. It is then restarted, after a pause, to wait
        // again: the message is the same for all of that.
        if let Some(ended) = ended.or_else(|| last.filter(|_| container.name == "prepare")) {
            return Some(format!("container {} {}", container.name, end(spec, &container.name, ended)));
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if CREATING.contains(&reason) {
            return None;
        }
        // How it last ended is closer to the cause than "back-off restarting", whose pause grows from one look to the
        // next.
        let message = match last {
            Some(ended) => end(spec, &container.name, ended),
            None => waiting.message.as_deref().map(gist).unwrap_or_default(),
        };
        Some(format!("container {}: {reason}: {message}", container.name))
    })
}

const LIMIT_ADVICE: &str = " because a record on its disk is larger than its settings let it read (set jute.maxbuffer and jute.maxbuffer.extrasize as high as they were)";

/// The exit code of a killed process: 128 plus the signal.
const KILLED: i32 = 137;

/// How a container ended, and what it said last.
fn end(spec: &PodSpec, container: &str, ended: &ContainerStateTerminated) -> String {
    if ended.reason.as_deref() == Some("OOMKilled") {
        // Its last lines are about whatever it did at that moment: it had no time to say anything about this.
        return format!(
            "was killed because its memory was used up ({}): give it a higher limit, or a smaller heap",
            memory(spec, container)
        );
    }
    let how = if ended.exit_code == KILLED {
        "was killed (137): by hand, or because its node ran out of memory".to_owned()
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

/// The lines of a log that fit into a condition.
const LINES: usize = 4;

/// The end of a log in one line, without the source lines of a stack trace, which only help those who have the source.
fn gist(log: &str) -> String {
    let lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("at ") && !line.starts_with("...")).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" | ")
}

#[cfg(test)]
mod tests;
