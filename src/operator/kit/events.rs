//! Events about custom resources. A repeated Event is counted with the first one. An Event with another text is a new
//! one, since the API server does not change the text of an Event.
//!
//! kube's own recorder ignores the text when it compares Events: an old text would get a new time.
//!
//! Limited to [`TEXTS`] texts of one topic within [`WINDOW`]. Otherwise a text with a number that changes on every look
//! would be a new Event on every look. The condition shows it anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as Stored, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use kube::{Client, ResourceExt as _};
use tracing::warn;

use super::timeout::ApiError;
use crate::model::words::{NOTE, cut};
use crate::plan::UntimedCondition;

/// How long publishing an Event may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// As long as client-go counts: Events of the same within it are one.
const WINDOW: Duration = Duration::from_mins(6);
/// Texts of one topic within it.
const TEXTS: usize = 8;

/// What an Event is about, and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Topic {
    uid: String,
    warning: bool,
    action: String,
    reason: String,
    related: String,
}

/// An Event that was published.
struct Published {
    note: String,
    stored: Stored,
    last: Instant,
}

/// What is to be done with an Event.
#[derive(Clone, Debug, PartialEq)]
enum Next {
    Create(Box<Stored>),
    Count(Box<Stored>),
    Leave,
}

/// Publishes Events.
pub struct Events {
    client: Client,
    controller: &'static str,
    instance: String,
    published: Ledger,
}

#[derive(Default)]
struct Ledger(Mutex<HashMap<Topic, Vec<Published>>>);

impl Events {
    /// For this controller, and this one of its pods.
    pub fn new(client: Client, controller: &'static str, instance: Option<String>) -> Self {
        Self {
            client,
            controller,
            instance: instance.unwrap_or_else(|| controller.to_owned()),
            published: Ledger::default(),
        }
    }

    /// Publishes what a condition says now.
    pub async fn tell(&self, condition: &UntimedCondition, wrong: bool, action: &str, about: &ObjectReference) {
        let event = Event {
            type_: if wrong { EventType::Warning } else { EventType::Normal },
            reason: condition.reason.to_owned(),
            note: Some(cut(&condition.message, NOTE)),
            action: action.to_owned(),
            secondary: None,
        };
        self.say(&event, about).await;
    }

    /// Publishes an Event. A lost Event is no reason to stop.
    pub async fn say(&self, event: &Event, about: &ObjectReference) {
        match tokio::time::timeout(PATIENCE, self.publish(event, about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(error = ApiError::of("publish an Event", error).with_cause(), "an Event is lost"),
            Err(_) => warn!("failed to publish an Event: no answer from the API server"),
        }
    }

    /// Creates it, or counts it with an equal one.
    async fn publish(&self, event: &Event, about: &ObjectReference) -> kube::Result<()> {
        let api: Api<Stored> = Api::namespaced(self.client.clone(), about.namespace.as_deref().unwrap_or("default"));
        let now = Instant::now();
        match self.published.next(event, || self.stored(event, about), about, now) {
            Next::Leave => return Ok(()),
            Next::Create(stored) => _ = api.create(&PostParams::default(), &stored).await?,
            Next::Count(stored) => {
                let params = PatchParams::default();
                match api.patch(&stored.name_any(), &params, &Patch::Merge(&*stored)).await {
                    // The API server keeps Events for an hour only, and somebody may have deleted this one.
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        self.published.forget(event, about);
                        _ = api.create(&PostParams::default(), &self.stored(event, about)).await?;
                    }
                    result => _ = result?,
                }
            }
        }
        Ok(())
    }

    fn stored(&self, event: &Event, about: &ObjectReference) -> Stored {
        let now = Timestamp::now();
        Stored {
            metadata: ObjectMeta {
                namespace: about.namespace.clone(),
                name: Some(format!("{}.{:x}", about.name.as_deref().unwrap_or(self.controller), now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            action: Some(event.action.clone()),
            reason: Some(event.reason.clone()),
            note: event.note.clone(),
            regarding: Some(about.clone()),
            related: event.secondary.clone(),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            event_time: Some(MicroTime(now)),
            type_: Some(if event.type_ == EventType::Warning { "Warning" } else { "Normal" }.to_owned()),
            ..Stored::default()
        }
    }
}

impl Ledger {
    fn next(&self, event: &Event, stored: impl FnOnce() -> Stored, about: &ObjectReference, now: Instant) -> Next {
        // A panic while the lock was held costs at most an Event.
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|_, published| {
            published.retain(|published| now.duration_since(published.last) < WINDOW);
            !published.is_empty()
        });
        let published = topics.entry(topic(event, about)).or_default();
        let note = event.note.as_deref().unwrap_or_default();
        if let Some(same) = published.iter_mut().find(|published| published.note == note) {
            let count = same.stored.series.as_ref().map_or(2, |series| series.count.saturating_add(1));
            same.stored.series = Some(EventSeries { count, last_observed_time: MicroTime(Timestamp::now()) });
            same.last = now;
            return Next::Count(Box::new(same.stored.clone()));
        }
        if published.len() >= TEXTS {
            return Next::Leave;
        }
        let stored = stored();
        published.push(Published { note: note.to_owned(), stored: stored.clone(), last: now });
        Next::Create(Box::new(stored))
    }

    fn forget(&self, event: &Event, about: &ObjectReference) {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(published) = topics.get_mut(&topic(event, about)) {
            published.retain(|published| Some(published.note.as_str()) != event.note.as_deref());
        }
    }
}

fn topic(event: &Event, about: &ObjectReference) -> Topic {
    Topic {
        uid: about.uid.clone().unwrap_or_default(),
        warning: event.type_ == EventType::Warning,
        action: event.action.clone(),
        reason: event.reason.clone(),
        related: event.secondary.as_ref().and_then(|related| related.name.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, note: &str) -> Event {
        Event {
            type_: EventType::Warning,
            reason: reason.into(),
            note: Some(note.into()),
            action: "Refuse".into(),
            secondary: None,
        }
    }

    fn next(ledger: &Ledger, note: &str, now: Instant) -> Next {
        let event = event("InvalidSpec", note);
        let stored = || Stored { note: event.note.clone(), ..Stored::default() };
        ledger.next(&event, stored, &ObjectReference::default(), now)
    }

    #[test]
    fn the_same_text_is_counted_and_another_one_is_an_event_of_its_own() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        assert!(matches!(next(&ledger, "forceSync", now), Next::Create(_)));
        assert!(
            matches!(next(&ledger, "the cron expression", now), Next::Create(stored) if stored.note.as_deref() == Some("the cron expression"))
        );
        for times in [2, 3] {
            let Next::Count(stored) = next(&ledger, "forceSync", now) else { panic!("it is not counted") };
            assert_eq!(stored.note.as_deref(), Some("forceSync"));
            assert_eq!(stored.series.unwrap().count, times);
        }
        assert!(matches!(next(&ledger, "forceSync", now + WINDOW), Next::Create(_)), "long ago is not the same time");
    }

    #[test]
    fn a_text_in_which_a_number_changes_makes_no_storm_and_holds_up_no_other_kind() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        let looks = (0..1_000).map(|n| next(&ledger, &format!("{n} of 3 voters"), now));
        assert_eq!(looks.filter(|next| *next != Next::Leave).count(), TEXTS);
        let other = ledger.next(&event("RollHalted", "a"), Stored::default, &ObjectReference::default(), now);
        assert!(matches!(other, Next::Create(_)));
        assert!(matches!(next(&ledger, "7 of 3 voters", now), Next::Count(_)), "what was said may be said again");
        assert!(matches!(next(&ledger, "new", now + WINDOW), Next::Create(_)));
    }

    #[test]
    fn what_is_deleted_meanwhile_is_told_anew() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        next(&ledger, "a", now);
        ledger.forget(&event("InvalidSpec", "a"), &ObjectReference::default());
        assert!(matches!(next(&ledger, "a", now), Next::Create(_)));
    }
}
