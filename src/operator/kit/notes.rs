//! What came to nothing of what is written and deleted for one custom resource: what comes out otherwise or does not stay,
//! and what is refused. The planner passes over what is noted here until the pause is over. It is kept in memory alone:
//! after a restart the operator finds it out again, at the price of one more try.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kept::shortened;
use super::timeout::ApiError;
use crate::model::observed::ObjectKey;
use crate::model::words::{QUOTE, cut};
use crate::model::{Hindrance, Place};
use crate::plan::came_out_otherwise;
use crate::render::Rendered;

/// Writes of the same to the same place that did not stay, after which somebody else is taken to be against it.
const TRIES: u32 = 3;
/// Errors of the API server's own with the same write, after which the write is taken for their cause: with the pauses of
/// `pace` some eight seconds, in which a server that is started again has answered otherwise.
const FAILURES: u32 = 5;
/// Between two of them. Whoever sets a field back more seldom than this is no controller that fights for it.
const WINDOW: Duration = Duration::from_mins(10);
/// A try costs what it overrules: a policy whose value is another one each time changes the pods' template with it.
const OVERRULED: (Duration, Duration) = (Duration::from_mins(5), Duration::from_hours(1));
const REFUSED: (Duration, Duration) = (Duration::from_secs(15), Duration::from_mins(5));

/// What came to nothing, by the object that it was for.
#[derive(Clone, Debug, Default)]
pub struct Notes(BTreeMap<ObjectKey, Note>);

#[derive(Clone, Debug)]
enum Note {
    /// It is refused, for what has this seal.
    Refused { seal: String, words: String, failures: u32, pause: Option<Pause> },
    /// Places that did not come out as they were written, or did not stay so.
    Overruled(Vec<Tried>),
}

/// A place that was written in vain at least once. Each has a count of its own: two policies that take turns would be known for
/// neither by what a whole write was for.
#[derive(Clone, Debug)]
struct Tried {
    place: Place,
    /// How often it was written and did not stay.
    times: u32,
    /// Whether the API server's own answer showed it, and not a later look.
    answered: bool,
    last: Instant,
    pause: Option<Pause>,
}

/// For how long something is not tried again: longer with each time.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    times: u32,
    /// `None`: until something else is wanted.
    until: Option<Instant>,
}

impl Pause {
    /// The next one: of the first length, then twice as long each time.
    pub fn after(before: Option<Self>, (first, longest): (Duration, Duration), now: Instant) -> Self {
        let times = before.map_or(0, |before| before.times.saturating_add(1));
        let length = first.saturating_mul(1 << times.min(10)).min(longest);
        Self { times, until: Some(now + length) }
    }

    /// Whether it is not over yet.
    pub fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Notes {
    /// A write was answered: what it was for, and what came of it.
    pub fn answered(&mut self, object: &Rendered, meant: Vec<Place>, answer: Result<&Value, &ApiError>, now: Instant) {
        let short = |places: Vec<Place>| places.into_iter().map(shortened).collect();
        match answer {
            Ok(json) => self.written(&object.key, short(meant), short(came_out_otherwise(json, object)), now),
            Err(error) => self.error(&object.key, &object.seal(), error, now),
        }
    }

    /// A write was not made.
    fn error(&mut self, object: &ObjectKey, seal: &str, error: &ApiError, now: Instant) {
        match (error.refusal(), error.failure()) {
            (Some(words), _) => self.refused(object, seal, words, now),
            (None, Some(words)) => self.failed(object, seal, words, now),
            (None, None) => {}
        }
    }

    /// What is passed over now.
    pub fn hindrances(&self, now: Instant) -> BTreeMap<ObjectKey, Hindrance> {
        self.0.iter().filter_map(|(key, note)| Some((key.clone(), note.hindrance(now)?))).collect()
    }

    /// A write or a delete was refused.
    pub fn refused(&mut self, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        let (failures, pause) = self.before(object, seal);
        self.note(object, seal, words, (failures, Some(Pause::after(pause, REFUSED, now))));
    }

    /// A write was answered with an error of the server's own. The first few may be gone with the next try; one that stays is
    /// a refusal: the content is what the server cannot take.
    pub fn failed(&mut self, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        let (failures, pause) = self.before(object, seal);
        let failures = failures.saturating_add(1);
        self.note(object, seal, words, (failures, (failures >= FAILURES).then(|| Pause::after(pause, REFUSED, now))));
    }

    fn before(&self, object: &ObjectKey, seal: &str) -> (u32, Option<Pause>) {
        match self.0.get(object) {
            Some(Note::Refused { seal: before, failures, pause, .. }) if before == seal => (*failures, *pause),
            _ => (0, None),
        }
    }

    fn note(&mut self, object: &ObjectKey, seal: &str, words: &str, (failures, pause): (u32, Option<Pause>)) {
        let (seal, words) = (seal.to_owned(), cut(words, QUOTE));
        self.0.insert(object.clone(), Note::Refused { seal, words, failures, pause });
    }

    /// A write was accepted: which places it was for, and which are not what was written by the API server's own answer.
    pub fn written(&mut self, object: &ObjectKey, meant: Vec<Place>, otherwise: Vec<Place>, now: Instant) {
        let before = match self.0.remove(object) {
            Some(Note::Overruled(tried)) => tried,
            Some(Note::Refused { .. }) | None => Vec::new(),
        };
        let shown = otherwise.len();
        let unseen = meant.into_iter().filter(|place| !otherwise.iter().any(|shown| shown.wants_the_same(place)));
        let unseen: Vec<Place> = unseen.collect();
        let places = otherwise.into_iter().chain(unseen).enumerate();
        let mut tried: Vec<Tried> = places.map(|(n, place)| Tried::again(place, n < shown, &before, now)).collect();
        // What stayed this time is forgotten with time. What an answer showed before and does not show any more is over.
        let stayed = before.into_iter().filter(|old| !old.answered && old.lately(now));
        let stayed: Vec<Tried> =
            stayed.filter(|old| !tried.iter().any(|new| new.place.wants_the_same(&old.place))).collect();
        tried.extend(stayed);
        if !tried.is_empty() {
            self.0.insert(object.clone(), Note::Overruled(tried));
        }
        self.0.retain(|_, note| note.counts(now));
    }
}

impl Note {
    fn hindrance(&self, now: Instant) -> Option<Hindrance> {
        match self {
            Self::Refused { seal, words, pause, .. } => pause
                .is_some_and(|pause| pause.lasts(now))
                .then(|| Hindrance::Refused { seal: seal.clone(), words: words.clone() }),
            Self::Overruled(tried) => {
                let known = tried.iter().filter(|tried| tried.pause.is_some_and(|pause| pause.lasts(now)));
                let places: Vec<Place> = known.map(|tried| tried.place.clone()).collect();
                (!places.is_empty()).then_some(Hindrance::Overruled(places))
            }
        }
    }

    /// Whether what is tried again is held against it.
    fn counts(&self, now: Instant) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Overruled(tried) => tried.iter().any(|tried| tried.lately(now)),
        }
    }
}

impl Tried {
    /// A place that was written once more, or for the first time.
    fn again(place: Place, answered: bool, before: &[Self], now: Instant) -> Self {
        let before = before.iter().find(|tried| tried.place.wants_the_same(&place));
        let before = before.filter(|tried| (answered || !tried.answered) && tried.lately(now));
        let pause = before.and_then(|tried| tried.pause);
        let times = before.map_or(1, |tried| tried.times.saturating_add(1));
        let lengths = if place.path.is_empty() { REFUSED } else { OVERRULED };
        let pause = match before {
            // A policy that makes another value of it each time would restart every member with each try.
            Some(tried) if answered && tried.place.theirs != place.theirs => Some(Pause { times: 0, until: None }),
            _ if answered || times >= TRIES => Some(Pause::after(pause, lengths, now)),
            _ => None,
        };
        Self { place, times, answered, last: now, pause }
    }

    fn lately(&self, now: Instant) -> bool {
        match self.pause {
            Some(Pause { until: Some(until), .. }) => now < until + WINDOW,
            Some(Pause { until: None, .. }) => true,
            None => now.duration_since(self.last) < WINDOW,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::observed::Kind;

    fn set() -> ObjectKey {
        ObjectKey { kind: Kind::StatefulSet, name: "zk".into() }
    }

    fn place(theirs: u32) -> Vec<Place> {
        vec![Place { path: vec!["spec".into(), "grace".into()], ours: json!(30), theirs: json!(theirs) }]
    }

    fn known(notes: &Notes, now: Instant) -> bool {
        notes.hindrances(now).contains_key(&set())
    }

    #[test]
    fn what_a_webhook_changes_is_known_from_the_answer_and_tried_again_with_growing_pauses() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let mut now = start;
        for minutes in [5, 10, 20, 40, 60, 60] {
            notes.written(&set(), place(45), place(45), now);
            let (before, after) = (now + Duration::from_mins(minutes - 1), now + Duration::from_mins(minutes));
            assert!(known(&notes, before) && !known(&notes, after), "after {minutes} min");
            now = after;
        }
        // The policy is gone.
        notes.written(&set(), place(45), Vec::new(), now);
        assert!(!known(&notes, now));
    }

    #[test]
    fn what_a_controller_sets_back_is_known_after_some_writes_that_did_not_stay_and_a_persons_change_is_not() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        for n in 0..TRIES {
            assert!(!known(&notes, start));
            notes.written(&set(), place(5), Vec::new(), start + Duration::from_secs(u64::from(n)));
        }
        assert!(known(&notes, start + Duration::from_mins(1)));
        let mut seldom = Notes::default();
        for n in 0..6 {
            let now = start + WINDOW * n;
            seldom.written(&set(), place(5), Vec::new(), now);
            assert!(!known(&seldom, now));
        }
    }

    #[test]
    fn a_policy_that_makes_another_value_each_time_is_not_tried_again() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        notes.written(&set(), place(1), place(2), start);
        let later = start + OVERRULED.0;
        notes.written(&set(), place(2), place(3), later);
        assert!(known(&notes, later + Duration::from_hours(1_000)));
    }

    #[test]
    fn what_is_refused_is_tried_again_later_and_another_rendering_at_once() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        notes.refused(&set(), "seal", "no", now);
        let Some(Hindrance::Refused { seal, words }) = notes.hindrances(now).remove(&set()) else { panic!() };
        assert_eq!((seal.as_str(), words.as_str()), ("seal", "no"));
        assert!(!known(&notes, now + REFUSED.0));
    }

    #[test]
    fn an_error_of_the_api_server_that_stays_with_a_write_is_a_refusal_of_it_and_a_passing_one_is_not() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        for _ in 1..FAILURES {
            notes.failed(&set(), "seal", "quantities must match", now);
            assert!(!known(&notes, now));
        }
        notes.failed(&set(), "another", "quantities must match", now);
        assert!(!known(&notes, now), "another rendering is another try");
        for _ in 1..FAILURES {
            notes.failed(&set(), "another", "quantities must match", now);
        }
        assert!(known(&notes, now) && !known(&notes, now + REFUSED.0));
        notes.failed(&set(), "another", "quantities must match", now + REFUSED.0);
        assert!(known(&notes, now + REFUSED.0 * 2), "once more is enough, and the pause grows");
        notes.written(&set(), Vec::new(), Vec::new(), now + REFUSED.1);
        notes.failed(&set(), "another", "quantities must match", now + REFUSED.1);
        assert!(!known(&notes, now + REFUSED.1), "it was taken in between");
    }
}
