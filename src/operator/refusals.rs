//! Why Kubernetes does not make a pod. The `StatefulSet` controller keeps the API server's words to itself but for an Event,
//! and so does whoever provisions volumes.
//!
//! Read only while a pod is missing or cannot be scheduled, and bounded. Where Events may not be read, that is said once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::core::ObjectList;
use tracing::{debug, info};

use super::Context;
use super::objects::{PAGE, whole};
use super::timeout::ApiError;
use crate::model::words::{QUOTE, cut};
use crate::model::{Names, Observation, Ordinal, Refusal};

/// The controller's own limit is some forty an hour, and they are kept for an hour.
const EVENTS: usize = 200;
/// Longest message of one. Of what is told a quotation is made, and whom it speaks of stands before.
const MESSAGE: usize = 4 * QUOTE;

static TOLD: AtomicBool = AtomicBool::new(false);

/// Adds what Events say of pods that are not there, and of volumes that pods wait for.
pub async fn look(context: &Context, seen: &mut Observation) {
    let missing = context.hindered.unmanned(&seen.names, &seen.unmanned(), Instant::now());
    if let Some(set) = seen.set.as_ref().filter(|_| !missing.is_empty()) {
        let events = events(context, &seen.names, &set.uid).await;
        seen.hindrances.pods = refusals(&events, &missing, &seen.names);
    }
    let unbound = seen.pods.iter().filter(|(_, pod)| pod.node.is_none() && pod.trouble.is_some());
    let unbound = unbound.filter_map(|(ordinal, _)| Some((*ordinal, seen.claims.get(ordinal)?)));
    let unbound = unbound.filter(|(_, claim)| claim.volume.is_none());
    let names = &seen.names;
    let asked = unbound.map(|(ordinal, claim)| async move { (ordinal, events(context, names, &claim.uid).await) });
    let told: Vec<(Ordinal, Vec<Event>)> = join_all(asked).await;
    for (ordinal, events) in told {
        let newest = events
            .iter()
            .filter(|event| said(event.reason.as_ref()) == "ProvisioningFailed")
            .max_by_key(|event| last(event));
        let trouble = seen.pods.get_mut(&ordinal).and_then(|pod| pod.trouble.as_mut());
        if let (Some(event), Some(trouble)) = (newest, trouble) {
            trouble.push_str("; its volume: ");
            trouble.push_str(&cut(said(event.message.as_ref()), QUOTE));
        }
    }
}

async fn events(context: &Context, names: &Names, uid: &str) -> Vec<Event> {
    let api: Api<Event> = Api::namespaced(context.client.clone(), &names.namespace);
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
                info!(%error, "Events may not be read: why Kubernetes does not make a pod stands in those of its StatefulSet alone");
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
fn refusals(events: &[Event], missing: &BTreeSet<Ordinal>, names: &Names) -> BTreeMap<Ordinal, Refusal> {
    let mut refusals = BTreeMap::new();
    for ordinal in missing {
        let of_it: Vec<&Event> =
            events.iter().filter(|event| subject(said(event.message.as_ref()), names) == Some(*ordinal)).collect();
        let with = |reason: &'static str| of_it.iter().filter(move |event| said(event.reason.as_ref()) == reason);
        let made = with("SuccessfulCreate").map(|event| last(event)).max().flatten();
        let failed = with("FailedCreate").filter(|event| last(event) > made);
        let since = failed.clone().filter_map(|event| first(event)).min();
        if let Some(newest) = failed.max_by_key(|event| last(event)) {
            let words = said(newest.message.as_ref());
            let words = words.split_once("failed error: ").map_or(words, |(_, words)| words);
            refusals.insert(*ordinal, Refusal { since, words: cut(words, QUOTE) });
        }
    }
    refusals
}

/// Whose pod an Event of the set speaks of: `create Pod zk-2 in StatefulSet zk …`, `create Claim data-zk-2 for Pod zk-2 …`.
fn subject(message: &str, names: &Names) -> Option<Ordinal> {
    let (_, rest) = message.split_once("Pod ")?;
    names.ordinal_of_pod(rest.split_whitespace().next()?)
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

    const PSA: &str = r#"pods "zk-2" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#;

    fn names() -> Names {
        Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
    }

    fn event(reason: &str, message: &str, first: &str, last: &str) -> Event {
        let object: Value = json!({
            "metadata": {"name": "e", "namespace": "ns"}, "involvedObject": {}, "reason": reason, "message": message,
            "firstTimestamp": format!("2026-11-26T{first}Z"), "lastTimestamp": format!("2026-11-26T{last}Z"),
        });
        serde_json::from_value(object).unwrap()
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
        let found = refusals(&events, &BTreeSet::from([Ordinal(2), Ordinal(0)]), &names());
        let [(Ordinal(2), refusal)] = &found.into_iter().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((refusal.words.as_str(), refusal.since), (PSA, Some(1_795_687_200)));
    }

    #[test]
    fn what_was_refused_before_the_pod_was_made_counts_no_more() {
        let events = [
            failed("zk-2", PSA, "10:00:00", "10:01:00"),
            event("SuccessfulCreate", "create Pod zk-2 in StatefulSet zk successful", "09:00:00", "10:02:00"),
        ];
        assert!(refusals(&events, &BTreeSet::from([Ordinal(2)]), &names()).is_empty());
    }

    #[test]
    fn a_claim_that_is_refused_is_its_pods_trouble_and_nobodys_words_are_unbounded() {
        let words = "persistentvolumeclaims \"data-zk-0\" is forbidden: exceeded quota ".repeat(400);
        let message = format!("create Claim data-zk-0 for Pod zk-0 in StatefulSet zk failed error: {words}");
        let found = refusals(
            &[event("FailedCreate", &message, "10:00:00", "10:00:00")],
            &BTreeSet::from([Ordinal(0)]),
            &names(),
        );
        assert!(
            found[&Ordinal(0)].words.starts_with("persistentvolumeclaims") && found[&Ordinal(0)].words.len() <= QUOTE
        );
    }
}
