//! Why Kubernetes does not make a pod, or does not start one. The `StatefulSet` controller keeps the API server's words to
//! itself but for an Event; so does whoever provisions volumes, and a kubelet that has no volume, `ConfigMap` or network for it.
//!
//! Read only while a pod is missing or stuck, and bounded. Where Events may not be read, that is said once.

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
use crate::model::{ClaimFacts, Names, Observation, PodFacts, Pool, Refusal, Seat};
use crate::operator::kit::read::{PAGE, whole};
use crate::operator::kit::timeout::ApiError;

/// The controller's own limit is some forty an hour, and they are kept for an hour.
const EVENTS: usize = 200;
/// Longest message of one. Of what is told a quotation is made, and whom it speaks of stands before.
const MESSAGE: usize = 4 * QUOTE;

/// Seconds in which a pod has its volumes and its network where nothing is wrong.
const PATIENCE: u64 = 5;

static TOLD: AtomicBool = AtomicBool::new(false);

/// Adds what Events say of pods that are not there, and of what others wait for.
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
                Some(trouble) => format!("{trouble}; its volume: {words}"),
                None if pod.creating => format!("its containers are not made: {words}"),
                None => format!("its volume is not made: {words}"),
            });
        }
    }
}

/// Whose Events may tell why a pod does not come up: its claim's while it has no node, since it may wait for its volume; its own
/// while a kubelet is busy with it, and says nothing else. Nobody's where nothing is stuck.
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

/// What makes an older complaint of the kubelet obsolete: it got further. An image is pulled only once all volumes are there.
const FURTHER: [&str; 4] = ["Pulling", "Pulled", "Created", "Started"];

/// What the newest Warning says: `FailedMount`, `FailedAttachVolume`, `FailedCreatePodSandBox`, `ProvisioningFailed`, or what
/// else there may be.
fn complaint(events: &[Event]) -> Option<String> {
    // Of where it is put the scheduler's condition on the pod tells, and how it runs is the agent's to say.
    let warning =
        |event: &&Event| said(event.type_.as_ref()) == "Warning" && said(event.reason.as_ref()) != "FailedScheduling";
    let newest = events.iter().filter(warning).max_by_key(|event| last(event))?;
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
                info!(%error, "Events may not be read: why Kubernetes does not make or start a pod stands in them alone");
            }
            Vec::new()
        }
        Err(error) => {
            debug!(%error, "nothing is known of why a pod is not made");
            Vec::new()
        }
    }
}

/// Anybody who may write Events of a namespace may hang as much on one as an object may be long.
fn bare(event: Event) -> Event {
    Event {
        reason: event.reason.filter(|reason| reason.len() <= QUOTE),
        message: event.message.map(|message| cut(&message, MESSAGE)),
        event_time: event.event_time,
        first_timestamp: event.first_timestamp,
        last_timestamp: event.last_timestamp,
        series: event.series,
        ..Event::default()
    }
}

/// What the API server said of each pod, unless the pod was made since.
fn refusals(events: &[Event], missing: &BTreeSet<Seat>, names: &Names) -> BTreeMap<Seat, Refusal> {
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
            refusals.insert(*seat, Refusal { since, words: cut(words, QUOTE) });
        }
    }
    refusals
}

/// Whose pod an Event of the set speaks of: `create Pod zk-2 in StatefulSet zk …`, `create Claim data-zk-2 for Pod zk-2 …`.
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
