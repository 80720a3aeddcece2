//! Why Kubernetes does not create a pod, or does not start one. The `StatefulSet` controller repeats the API server's
//! words only in an Event. So do the provisioner of volumes, and a kubelet that lacks a volume, a `ConfigMap` or the
//! network.
//!
//! They are read only while a pod is missing or stuck, and limited. If the operator may not read Events, it says so
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::core::ObjectList;
use tracing::{debug, info};

use super::Context;
use crate::model::words::{QUOTE, cut};
use crate::model::{ClaimFacts, Names, Observation, PodFacts, PodRefusal, Pool, Seat};
use crate::operator::kit::read::{PAGE, whole};
use crate::operator::kit::timeout::ApiError;

/// The controller itself writes at most about forty an hour, and they are kept for an hour.
const EVENTS: usize = 200;
/// The longest message that is read. The condition quotes it, and names the pod before it.
const MESSAGE: usize = 4 * QUOTE;

/// Seconds within which a pod has its volumes and its network if nothing is wrong.
const PATIENCE: u64 = 5;

static TOLD: AtomicBool = AtomicBool::new(false);

/// Adds what Events say about missing pods, and about what other pods wait for.
pub async fn look(context: &Context, seen: &mut Observation) {
    let (unmanned, now) = (seen.unmanned(), Instant::now());
    let missing = context.memory(&seen.names, |memory| memory.notes.unmanned(&unmanned, now));
    if let Some(set) = seen.set(Pool::Voters).filter(|_| !missing.is_empty()) {
        let events = events(context, &seen.names, &set.uid).await;
        seen.hindrances.pods = refusals(&events, &missing, &seen.names);
    }
    let (names, now) = (&seen.names, seen.now);
    let asked = seen.pods.iter();
    let asked = asked.filter_map(|(seat, pod)| Some((*seat, suspect(pod, seen.claims.get(seat), now)?)));
    let asked = asked.map(|(seat, uid)| async move { (seat, events(context, names, uid).await) });
    let told: Vec<(Seat, Vec<Event>)> = join_all(asked).await;
    for (seat, events) in told {
        if let (Some(pod), Some(words)) = (seen.pods.get_mut(&seat), complaint(&events)) {
            pod.trouble = Some(match pod.trouble.take() {
                None if pod.creating => format!("its containers are not created: {words}"),
                scheduler => without_volume(&words, scheduler),
            });
        }
    }
}

/// Whose Events may say why a pod does not start: those of its claim while it has no node, since it may wait for its
/// volume; its own while a kubelet is busy with it and says nothing else. Nobody's if nothing is stuck.
fn suspect<'a>(pod: &'a PodFacts, claim: Option<&'a ClaimFacts>, now: u64) -> Option<&'a str> {
    let long = now.saturating_sub(pod.since) >= PATIENCE;
    if pod.terminating {
        return None;
    }
    if pod.node.is_none() {
        let unbound = claim.filter(|claim| claim.volume.is_none());
        return unbound.filter(|_| pod.trouble.is_some() || long).map(|claim| claim.uid.as_str());
    }
    (pod.creating && pod.trouble.is_none() && long).then_some(pod.uid.as_str())
}

/// What the scheduler says of a pod whose volume does not exist, whatever is wrong with it.
const UNBOUND: &str = "unbound immediate PersistentVolumeClaims";

/// Why a pod has no volume. The claim's own words are closer to the cause than the scheduler's, who only misses it.
fn without_volume(words: &str, scheduler: Option<String>) -> String {
    let cure = if words.contains("storageclass") && words.contains("not found") {
        "; create that class. storage.class cannot be changed in place: an ensemble that was never born can be deleted, with its claims, and made again with another class"
    } else if words.contains("no storage class is set") {
        "; make a storage class the cluster's default, or provide volumes"
    } else {
        ""
    };
    let scheduler = scheduler.filter(|words| !words.contains(UNBOUND)).map(|words| format!("; {words}"));
    format!("its volume is not created: {words}{cure}{}", scheduler.unwrap_or_default())
}

/// What a claim waits for that nobody warns of.
const WAITS: [&str; 2] = ["FailedBinding", "ExternalProvisioning"];

/// Events that make an older complaint of the kubelet obsolete, because it got further. It pulls an image only once all
/// volumes are there.
const FURTHER: [&str; 4] = ["Pulling", "Pulled", "Created", "Started"];

/// The message of the newest Warning: `FailedMount`, `FailedAttachVolume`, `FailedCreatePodSandBox`,
/// `ProvisioningFailed`, or any other; or what a claim waits for.
fn complaint(events: &[Event]) -> Option<String> {
    // The scheduler's condition on the pod says where it is put, and the agent says how the server runs.
    let warning =
        |event: &&Event| said(event.type_.as_ref()) == "Warning" && said(event.reason.as_ref()) != "FailedScheduling";
    let waits = |event: &&Event| WAITS.contains(&said(event.reason.as_ref()));
    let newest = events.iter().filter(warning).max_by_key(|event| last(event));
    let newest = newest.or_else(|| events.iter().filter(waits).max_by_key(|event| last(event)))?;
    let further = events.iter().filter(|event| FURTHER.contains(&said(event.reason.as_ref())));
    if further.map(last).max().is_some_and(|further| further > last(newest)) {
        return None;
    }
    Some(format!("{}: {}", said(newest.reason.as_ref()), cut(said(newest.message.as_ref()).trim(), QUOTE)))
}

async fn events(context: &Context, names: &Names, uid: &str) -> Vec<Event> {
    let api: Api<Event> = Api::namespaced(context.kit.client.clone(), &names.namespace);
    let mut about = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(PAGE);
    let mut found = Vec::new();
    let all = async {
        while found.len() < EVENTS {
            let page = async { api.list(&about).await.map(Some) };
            let bare = |list: ObjectList<Event>| {
                (list.items.into_iter().map(bare).collect::<Vec<_>>(), list.metadata.continue_)
            };
            let Some((events, more)) = whole("list Events".to_owned(), page, bare).await? else { break };
            found.extend(events);
            let Some(more) = more.filter(|more| !more.is_empty()) else { break };
            about = about.clone().continue_token(&more);
        }
        Ok::<(), ApiError>(())
    };
    match all.await {
        Ok(()) => found,
        Err(error) if error.refusal().is_some() => {
            if !TOLD.swap(true, Ordering::Relaxed) {
                info!(%error, "the operator may not read Events: only they say why Kubernetes does not create or start a pod");
            }
            Vec::new()
        }
        Err(error) => {
            debug!(%error, "nothing is known about why a pod is not created");
            Vec::new()
        }
    }
}

/// Whoever may write Events in a namespace can make one as long as an object may be.
fn bare(event: Event) -> Event {
    Event {
        type_: event.type_.filter(|type_| type_.len() <= QUOTE),
        reason: event.reason.filter(|reason| reason.len() <= QUOTE),
        message: event.message.map(|message| cut(&message, MESSAGE)),
        event_time: event.event_time,
        first_timestamp: event.first_timestamp,
        last_timestamp: event.last_timestamp,
        series: event.series,
        ..Event::default()
    }
}

/// What the API server said about each pod, unless the pod was created since.
fn refusals(events: &[Event], missing: &BTreeSet<Seat>, names: &Names) -> BTreeMap<Seat, PodRefusal> {
    let mut refusals = BTreeMap::new();
    for seat in missing {
        let of_it: Vec<&Event> =
            events.iter().filter(|event| subject(said(event.message.as_ref()), names) == Some(*seat)).collect();
        let with = |reason: &'static str| of_it.iter().filter(move |event| said(event.reason.as_ref()) == reason);
        let made = with("SuccessfulCreate").map(|event| last(event)).max().flatten();
        let failed = with("FailedCreate").filter(|event| last(event) > made);
        let since = failed.clone().filter_map(|event| first(event)).min();
        if let Some(newest) = failed.max_by_key(|event| last(event)) {
            let words = said(newest.message.as_ref());
            let words = words.split_once("failed error: ").map_or(words, |(_, words)| words);
            refusals.insert(*seat, PodRefusal { since, words: cut(words, QUOTE) });
        }
    }
    refusals
}

/// The pod that an Event of the StatefulSet is about: `create Pod zk-2 in StatefulSet zk …`, `create Claim data-zk-2
/// for Pod zk-2 …`.
fn subject(message: &str, names: &Names) -> Option<Seat> {
    let (_, rest) = message.split_once("Pod ")?;
    names.seat_of_pod(rest.split_whitespace().next()?)
}

fn said(text: Option<&String>) -> &str {
    text.map(String::as_str).unwrap_or_default()
}

fn last(event: &Event) -> Option<u64> {
    let micro =
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).or(event.event_time.as_ref());
    let seconds = event.last_timestamp.as_ref().map(|time| time.0.as_second()).or(micro.map(|time| time.0.as_second()));
    seconds.and_then(|seconds| u64::try_from(seconds).ok())
}

fn first(event: &Event) -> Option<u64> {
    let seconds = event.first_timestamp.as_ref().map(|time| time.0.as_second());
    seconds.or(event.event_time.as_ref().map(|time| time.0.as_second())).and_then(|seconds| u64::try_from(seconds).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::fixtures::names;

    const PSA: &str = r#"pods "zk-2" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#;

    fn event(reason: &str, message: &str, first: &str, last: &str) -> Event {
        let object: Value = json!({
            "metadata": {"name": "e", "namespace": "ns"}, "involvedObject": {}, "reason": reason, "message": message,
            "firstTimestamp": format!("2026-11-26T{first}Z"), "lastTimestamp": format!("2026-11-26T{last}Z"),
        });
        serde_json::from_value(object).unwrap()
    }

    fn told(type_: &str, reason: &str, message: &str, at: &str) -> Event {
        Event { type_: Some(type_.into()), ..event(reason, message, at, at) }
    }

    #[test]
    fn what_a_kubelet_complains_of_is_told_until_it_gets_further() {
        let missing = "MountVolume.SetUp failed for volume \"logback\" : configmap \"zk-logback\" not found";
        let mut events = vec![
            told("Warning", "FailedScheduling", "0/3 nodes are available", "10:00:09"),
            told("Normal", "Scheduled", "assigned to node-1", "10:00:01"),
            told("Warning", "FailedAttachVolume", "older", "10:00:02"),
            told("Warning", "FailedMount", missing, "10:00:08"),
        ];
        assert_eq!(complaint(&events), Some(format!("FailedMount: {missing}")));
        events.push(told("Normal", "Pulling", "pulling an image", "10:00:10"));
        assert_eq!(complaint(&events), None);
        assert_eq!(complaint(&events[..2]), None);
        let endless = [told("Warning", "FailedCreatePodSandBox", &"no network ".repeat(1_000), "10:00:00")];
        assert!(complaint(&endless).unwrap().len() < QUOTE + 40);
        let storage = [told("Warning", "ProvisioningFailed", "storageclass \"fast\" not found", "10:00:00")];
        assert!(complaint(&storage).unwrap().contains("\"fast\" not found"));
    }

    #[test]
    fn a_class_that_does_not_exist_is_named_in_place_of_what_the_scheduler_says_and_with_the_way_out() {
        let words = "storageclass.storage.k8s.io \"fast-sdd\" not found";
        let kept = bare(told("Warning", "ProvisioningFailed", words, "10:00:00"));
        let words = complaint(&[kept]).unwrap();
        let scheduler = "it cannot be scheduled: 0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found";
        let trouble = without_volume(&words, Some(scheduler.into()));
        assert!(trouble.starts_with("its volume is not created: ProvisioningFailed: storageclass.storage.k8s.io \"fast-sdd\" not found; create that class"), "{trouble}");
        assert!(trouble.contains("storage.class cannot be changed in place") && !trouble.contains("0/3"), "{trouble}");
        // What else the scheduler says may matter as well, and another refusal is not cured by a class.
        let full = without_volume("ProvisioningFailed: out of space", Some("it cannot be scheduled: too few".into()));
        assert_eq!(
            full,
            "its volume is not created: ProvisioningFailed: out of space; it cannot be scheduled: too few"
        );
    }

    #[test]
    fn what_a_claim_waits_for_is_told_although_nobody_warns_of_it_and_a_warning_comes_first() {
        let waits = |reason, message| bare(told("Normal", reason, message, "10:00:09"));
        let without = "no persistent volumes available for this claim and no storage class is set";
        let mut events = vec![waits("WaitForFirstConsumer", "a consumer"), waits("FailedBinding", without)];
        let words = complaint(&events).unwrap();
        assert!(
            without_volume(&words, None)
                .ends_with("no storage class is set; make a storage class the cluster's default, or provide volumes")
        );
        events.push(bare(told("Warning", "ProvisioningFailed", "no quota", "10:00:01")));
        assert_eq!(complaint(&events).as_deref(), Some("ProvisioningFailed: no quota"));
        assert_eq!(complaint(&events[..1]), None);
    }

    #[test]
    fn nobodys_events_are_read_while_nothing_is_stuck() {
        let pod = |creating: bool, node: Option<&str>| PodFacts {
            uid: "pod".into(),
            node: node.map(str::to_owned),
            creating,
            since: 100,
            ..PodFacts::default()
        };
        let claim = |volume: Option<&str>| ClaimFacts {
            uid: "claim".into(),
            volume: volume.map(str::to_owned),
            ..ClaimFacts::default()
        };
        let asked = |pod: &PodFacts, claim: &ClaimFacts, now: u64| suspect(pod, Some(claim), now).map(str::to_owned);
        let (bound, unbound) = (claim(Some("volume")), claim(None));
        let stuck = pod(true, Some("node-1"));
        assert_eq!(asked(&stuck, &bound, 104), None, "it is being made");
        assert_eq!(asked(&stuck, &bound, 105).as_deref(), Some("pod"));
        assert_eq!(asked(&pod(false, Some("node-1")), &bound, 500), None, "it runs, or says itself why not");
        assert_eq!(asked(&pod(false, None), &unbound, 104), None);
        assert_eq!(asked(&pod(false, None), &unbound, 105).as_deref(), Some("claim"));
        assert_eq!(asked(&pod(false, None), &bound, 500), None, "the scheduler says why on the pod");
        let known = PodFacts { trouble: Some("ImagePullBackOff".into()), ..stuck.clone() };
        assert_eq!(asked(&known, &bound, 500), None);
        assert_eq!(asked(&PodFacts { terminating: true, ..stuck }, &bound, 500), None);
    }

    #[test]
    fn what_is_kept_of_an_event_is_enough_to_tell_a_complaint() {
        let missing = "MountVolume.SetUp failed for volume \"logback\" : configmap \"zk-logback\" not found";
        let kept = bare(told("Warning", "FailedMount", missing, "10:00:08"));
        assert_eq!(complaint(&[kept]), Some(format!("FailedMount: {missing}")));
    }

    fn failed(pod: &str, words: &str, first: &str, last: &str) -> Event {
        event("FailedCreate", &format!("create Pod {pod} in StatefulSet zk failed error: {words}"), first, last)
    }

    #[test]
    fn case_r17_the_api_servers_words_are_taken_from_the_events_of_the_set() {
        let events = [
            event("SuccessfulCreate", "create Pod zk-2 in StatefulSet zk successful", "09:00:00", "09:00:00"),
            failed("zk-2", "older", "10:00:00", "10:01:00"),
            failed("zk-2", PSA, "10:02:00", "10:05:00"),
            failed("zk-1", "another's", "10:02:00", "10:06:00"),
        ];
        let found = refusals(&events, &BTreeSet::from([Seat::voter(2), Seat::voter(0)]), &names());
        let [(Seat { pool: Pool::Voters, ordinal: 2 }, refusal)] = &found.into_iter().collect::<Vec<_>>()[..] else {
            panic!()
        };
        assert_eq!((refusal.words.as_str(), refusal.since), (PSA, Some(1_795_687_200)));
    }

    #[test]
    fn what_was_refused_before_the_pod_was_made_counts_no_more() {
        let events = [
            failed("zk-2", PSA, "10:00:00", "10:01:00"),
            event("SuccessfulCreate", "create Pod zk-2 in StatefulSet zk successful", "09:00:00", "10:02:00"),
        ];
        assert!(refusals(&events, &BTreeSet::from([Seat::voter(2)]), &names()).is_empty());
    }

    #[test]
    fn a_claim_that_is_refused_is_its_pods_trouble_and_nobodys_words_are_unbounded() {
        let words = "persistentvolumeclaims \"data-zk-0\" is forbidden: exceeded quota ".repeat(400);
        let message = format!("create Claim data-zk-0 for Pod zk-0 in StatefulSet zk failed error: {words}");
        let found = refusals(
            &[event("FailedCreate", &message, "10:00:00", "10:00:00")],
            &BTreeSet::from([Seat::voter(0)]),
            &names(),
        );
        assert!(
            found[&Seat::voter(0)].words.starts_with("persistentvolumeclaims")
                && found[&Seat::voter(0)].words.len() <= QUOTE
        );
    }
}
