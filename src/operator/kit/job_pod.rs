//! The pods of a Job: how far their work is, and what is in its way.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use crate::model::observed::{Kind, ObjectKey};
use crate::model::report::Report;
use crate::model::words::{QUOTE, cut};
use crate::plan::Target;

/// The most of a pod's last words.
const WORDS: usize = 512;
/// In seconds: so long after its time a pod that was told to end is believed to be on its way.
const OVERDUE: i64 = 60;

/// A Job's pod.
#[derive(Clone, Debug, Default)]
pub struct PodFacts {
    /// What it reported at its end.
    pub report: Option<Report>,
    /// What keeps it from running, or ended it.
    pub trouble: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether our container has not begun yet, without a word of why.
    pub starting: bool,
    /// Whether our container has begun, or that of a pod before it.
    pub begun: bool,
    /// Whether our container has ended well, whatever else is in the pod.
    pub done: bool,
    /// Why the pod before it ended: what it waited for may be the same.
    pub earlier: Option<String>,
    /// Itself, where it was told to end and has not, although its time is over by a minute: its node is lost, or does not answer.
    pub overdue: Option<Target>,
}

/// The pod that was made last, with what the one before it that ended with an error has said.
pub(super) fn newest(mut pods: Vec<(i64, String, PodFacts)>) -> Option<(String, PodFacts)> {
    pods.sort_by_key(|(since, ..)| *since);
    let (_, uid, pod) = pods.pop()?;
    let begun = pod.begun || pods.iter().any(|(_, _, before)| before.begun);
    let earlier = pods.into_iter().rev().find_map(|(_, _, before)| before.report.and_then(|report| report.error));
    Some((uid, PodFacts { begun, earlier, ..pod }))
}

/// What is known of a pod.
pub(super) fn facts(pod: &Pod, name: &str, less: &str, now: Timestamp) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    // A policy may have put another one beside it.
    let container = status.container_statuses.iter().flatten().find(|container| container.name == name);
    let state = container.and_then(|container| container.state.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let waiting =
        waiting.filter(|waiting| !matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing")));
    let quoted = |text: Option<&String>| cut(text.map(String::as_str).unwrap_or_default(), QUOTE);
    let trouble = if status.reason.as_deref() == Some("Evicted") {
        let words = quoted(status.message.as_ref());
        let cure = if words.contains("emptyDir") || words.contains("ephemeral") { ": raise scratchSize" } else { "" };
        Some(format!("its pod was evicted: {words}{cure}"))
    } else if let Some(condition) = unscheduled {
        Some(format!("its pod cannot be scheduled: {}", quoted(condition.message.as_ref())))
    } else if let Some(waiting) = waiting {
        Some(format!("its pod: {}: {}", quoted(waiting.reason.as_ref()), quoted(waiting.message.as_ref())))
    } else {
        ended.filter(|ended| ended.exit_code != 0 && report(ended).is_none()).map(|ended| killed(ended, less))
    };
    let done = ended.is_some_and(|ended| ended.exit_code == 0);
    let begun = state.is_some_and(|state| state.running.is_some() || ended.is_some());
    let starting = !begun && trouble.is_none();
    PodFacts {
        report: ended.and_then(report),
        trouble,
        name: pod.name_any(),
        starting,
        begun,
        done,
        earlier: None,
        overdue: overdue(pod, now),
    }
}

/// A Job with a failure policy waits for the last word on a pod before it makes the next, and a lost node does not say it. That a pod is
/// held only by the finalizer of its Job's controller, or has ended, is no reason: the controller sees to that.
fn overdue(pod: &Pod, now: Timestamp) -> Option<Target> {
    // What is stored is when its time to end is over.
    let end = pod.metadata.deletion_timestamp.as_ref()?.0;
    let ended = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    if ended || now.duration_since(end).as_secs() < OVERDUE {
        return None;
    }
    let key = ObjectKey { kind: Kind::Pod, name: pod.name_any() };
    Some(Target { key, uid: pod.uid()?, resource_version: pod.resource_version()? })
}

/// A container that ended without a report.
fn killed(ended: &ContainerStateTerminated, less: &str) -> String {
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let cure = if reason == "OOMKilled" { format!(": raise resources.limits.memory{less}") } else { String::new() };
    let words = ended.message.as_deref().map(|words| format!(": {}", cut(words.trim(), WORDS))).unwrap_or_default();
    format!("its pod ended with {} ({}){cure}{words}", ended.exit_code, cut(reason, 64))
}

pub(super) fn since(pod: &Pod) -> i64 {
    pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_millisecond())
}

fn report(ended: &ContainerStateTerminated) -> Option<Report> {
    Report::read(ended.message.as_deref()?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(containers: &Value) -> PodFacts {
        let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": containers}});
        facts(&serde_json::from_value(pod).unwrap(), "backup", "", Timestamp::UNIX_EPOCH)
    }

    fn container(name: &str, state: &Value) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    /// portworx/kdmp 334, mariadb-operator 448: a proxy that a mesh puts into the pod runs on, and the Job with it.
    #[test]
    fn what_our_container_has_done_counts_whatever_runs_beside_it() {
        let report = json!({"backup": {"zxid": "0x10000002a", "znodes": 4, "digests": 2}}).to_string();
        let done = json!({"terminated": {"exitCode": 0, "message": report}});
        let running = json!({"running": {}});
        let facts = pod(&json!([container("proxy", &running), container("backup", &done)]));
        assert!(facts.done && !facts.starting && facts.trouble.is_none(), "{facts:?}");
        assert_eq!(facts.report.unwrap().backup.unwrap().zxid, "0x10000002a");
        // That of another container is none of ours.
        let facts = pod(&json!([container("proxy", &done), container("backup", &running)]));
        assert!(!facts.done && facts.report.is_none(), "{facts:?}");
    }

    /// velero 991, tidb-operator 5484: why a container is not created stands in an Event of the pod alone.
    #[test]
    fn a_container_that_is_being_created_is_starting_and_one_with_words_of_its_own_is_not() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "m"}});
        assert!(pod(&json!([container("backup", &waiting("ContainerCreating"))])).starting);
        assert!(pod(&json!([])).starting);
        let refused = pod(&json!([container("backup", &waiting("ErrImagePull"))]));
        assert!(!refused.starting && refused.trouble.unwrap().contains("ErrImagePull"));
        assert!(!pod(&json!([container("backup", &json!({"running": {}}))])).starting);
    }

    /// With a failure policy a Job makes no other pod while one is `Terminating`, which that of a lost node stays.
    #[test]
    fn a_pod_that_was_told_to_end_and_has_not_a_minute_after_its_time_is_overdue() {
        let told =
            json!({"name": "p", "uid": "u", "resourceVersion": "7", "deletionTimestamp": "2026-11-28T09:36:28Z"});
        let of = |metadata: &Value, phase: &str, now: &str| {
            let pod = json!({"metadata": metadata, "status": {"phase": phase}});
            facts(&serde_json::from_value(pod).unwrap(), "backup", "", now.parse().unwrap()).overdue
        };
        let overdue = of(&told, "Running", "2026-11-28T09:37:28Z").unwrap();
        assert_eq!((&*overdue.key.name, &*overdue.uid, &*overdue.resource_version), ("p", "u", "7"));
        assert_eq!(of(&told, "Pending", "2026-11-28T10:37:28Z"), Some(overdue));
        // Its kubelet has time, and more of it; or said its last word.
        for (phase, now) in [
            ("Running", "2026-11-28T09:37:27Z"),
            ("Running", "2026-11-28T08:37:28Z"),
            ("Failed", "2026-11-28T10:37:28Z"),
            ("Succeeded", "2026-11-28T10:37:28Z"),
        ] {
            assert_eq!(of(&told, phase, now), None, "{phase} {now}");
        }
        assert_eq!(
            of(&json!({"name": "p", "uid": "u", "resourceVersion": "7"}), "Running", "2026-11-28T10:37:28Z"),
            None
        );
    }
}
