//! What came to nothing, for each ensemble: a write that comes out otherwise or does not stay, one that is refused, a super
//! user that is not let in. The planner passes over what is noted here until the pause is over. It is kept in memory alone:
//! after a restart the operator finds it out again, at the price of one more try.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::Guarded;
use crate::model::observed::ObjectKey;
use crate::model::words::{QUOTE, cut};
use crate::model::{Hindrance, Hindrances, Names, Place, Seat, Unguarded};

/// Writes of the same to the same place that did not stay, after which somebody else is taken to be against it.
const TRIES: u32 = 3;
/// Errors of the API server's own with the same write, after which the write is taken for their cause: with the pauses of
/// `backoff` some eight seconds, in which a server that is started again has answered otherwise.
const FAILURES: u32 = 5;
/// Between two of them. Whoever sets a field back more seldom than this is no controller that fights for it.
const WINDOW: Duration = Duration::from_mins(10);
/// A try costs what it overrules: a policy whose value is another one each time changes the pods' template with it.
const OVERRULED: (Duration, Duration) = (Duration::from_mins(5), Duration::from_hours(1));
const REFUSED: (Duration, Duration) = (Duration::from_secs(15), Duration::from_mins(5));
const GUARD: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
const DENIED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// A pod that is restarted is missing for a moment. Longer than this, its Events are read.
const MOMENT: Duration = Duration::from_secs(2);

/// What came to nothing of one ensemble's writes and deletes.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    objects: BTreeMap<ObjectKey, Note>,
    guard: Option<(Guarded, String, Pause)>,
}

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

#[derive(Default)]
struct Memory {
    notes: Notes,
    denied: Option<Pause>,
    unmanned: HashMap<Seat, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    times: u32,
    /// `None`: until something else is wanted.
    until: Option<Instant>,
}

impl Pause {
    fn after(before: Option<Self>, (first, longest): (Duration, Duration), now: Instant) -> Self {
        let times = before.map_or(0, |before| before.times.saturating_add(1));
        let length = first.saturating_mul(1 << times.min(10)).min(longest);
        Self { times, until: Some(now + length) }
    }

    fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Notes {
    /// What is passed over now.
    pub fn hindrances(&self, now: Instant) -> Hindrances {
        let objects = self.objects.iter().filter_map(|(key, note)| Some((key.clone(), note.hindrance(now)?))).collect();
        let guard = self.guard.as_ref().map(|(mark, words, pause)| Unguarded {
            mark: mark.clone(),
            words: words.clone(),
            waits: pause.lasts(now),
        });
        Hindrances { objects, guard, ..Hindrances::default() }
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
        match self.objects.get(object) {
            Some(Note::Refused { seal: before, failures, pause, .. }) if before == seal => (*failures, *pause),
            _ => (0, None),
        }
    }

    fn note(&mut self, object: &ObjectKey, seal: &str, words: &str, (failures, pause): (u32, Option<Pause>)) {
        let (seal, words) = (seal.to_owned(), cut(words, QUOTE));
        self.objects.insert(object.clone(), Note::Refused { seal, words, failures, pause });
    }

    /// Rights could not be taken away, for whatever reason.
    pub fn unguarded(&mut self, mark: &Guarded, words: &str, now: Instant) {
        let before = self.guard.take().filter(|(before, ..)| before == mark).map(|(_, _, pause)| pause);
        self.guard = Some((mark.clone(), cut(words, QUOTE), Pause::after(before, GUARD, now)));
    }

    /// They were taken away, or are on the way to be.
    pub fn guarded(&mut self) {
        self.guard = None;
    }

    /// A write was accepted: which places it was for, and which are not what was written by the API server's own answer.
    pub fn written(&mut self, object: &ObjectKey, meant: Vec<Place>, otherwise: Vec<Place>, now: Instant) {
        let before = match self.objects.remove(object) {
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
            self.objects.insert(object.clone(), Note::Overruled(tried));
        }
        self.objects.retain(|_, note| note.counts(now));
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

/// The hindrances of all ensembles.
#[derive(Default)]
pub struct Hindered(Mutex<HashMap<(String, String), Memory>>);

impl Hindered {
    /// What is passed over now.
    pub fn of(&self, names: &Names, now: Instant) -> Hindrances {
        let memories = self.memories();
        let Some(memory) = memories.get(&names.key()) else { return Hindrances::default() };
        let denied = memory.denied.is_some_and(|pause| pause.lasts(now));
        Hindrances { denied, ..memory.notes.hindrances(now) }
    }

    /// A write or a delete was refused.
    pub fn refused(&self, names: &Names, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        self.with(names, |memory| memory.notes.refused(object, seal, words, now));
    }

    /// A write was answered with an error of the server's own.
    pub fn failed(&self, names: &Names, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        self.with(names, |memory| memory.notes.failed(object, seal, words, now));
    }

    /// A write was accepted: which places it was for, and which are not what was written by the API server's own answer.
    pub fn written(&self, names: &Names, object: &ObjectKey, meant: Vec<Place>, otherwise: Vec<Place>, now: Instant) {
        self.with(names, |memory| memory.notes.written(object, meant, otherwise, now));
    }

    /// Rights were to be taken away: why they were not, or that they were.
    pub fn guard(&self, names: &Names, mark: &Guarded, refused: Option<&str>, now: Instant) {
        self.with(names, |memory| match refused {
            Some(words) => memory.notes.unguarded(mark, words, now),
            None => memory.notes.guarded(),
        });
    }

    /// The membership was to be changed: whether the super user was let in.
    pub fn super_user(&self, names: &Names, denied: bool, now: Instant) {
        self.with(names, |memory| memory.denied = denied.then(|| Pause::after(memory.denied, DENIED, now)));
    }

    /// Members without a pod now; gives those that have had none for longer than a moment.
    pub fn unmanned(&self, names: &Names, seats: &BTreeSet<Seat>, now: Instant) -> BTreeSet<Seat> {
        self.with(names, |memory| {
            memory.unmanned.retain(|seat, _| seats.contains(seat));
            let since = seats.iter().map(|seat| (*seat, *memory.unmanned.entry(*seat).or_insert(now)));
            since.filter(|(_, since)| now.duration_since(*since) >= MOMENT).map(|(seat, _)| seat).collect()
        })
    }

    /// The ensemble is gone.
    pub fn forget(&self, namespace: &str, ensemble: &str) {
        self.memories().remove(&(namespace.to_owned(), ensemble.to_owned()));
    }

    fn with<T>(&self, names: &Names, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(self.memories().entry(names.key()).or_default())
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<(String, String), Memory>> {
        // A panic while the lock was held costs at worst one more try.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::observed::Kind;

    fn names() -> Names {
        Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
    }

    fn set() -> ObjectKey {
        ObjectKey { kind: Kind::StatefulSet, name: "zk".into() }
    }

    fn place(theirs: u32) -> Vec<Place> {
        vec![Place { path: vec!["spec".into(), "grace".into()], ours: json!(30), theirs: json!(theirs) }]
    }

    fn known(hindered: &Hindered, now: Instant) -> bool {
        hindered.of(&names(), now).objects.contains_key(&set())
    }

    #[test]
    fn what_a_webhook_changes_is_known_from_the_answer_and_tried_again_with_growing_pauses() {
        let (hindered, start) = (Hindered::default(), Instant::now());
        let mut now = start;
        for minutes in [5, 10, 20, 40, 60, 60] {
            hindered.written(&names(), &set(), place(45), place(45), now);
            let (before, after) = (now + Duration::from_mins(minutes - 1), now + Duration::from_mins(minutes));
            assert!(known(&hindered, before) && !known(&hindered, after), "after {minutes} min");
            now = after;
        }
        // The policy is gone.
        hindered.written(&names(), &set(), place(45), Vec::new(), now);
        assert!(!known(&hindered, now));
    }

    #[test]
    fn what_a_controller_sets_back_is_known_after_some_writes_that_did_not_stay_and_a_persons_change_is_not() {
        let (hindered, start) = (Hindered::default(), Instant::now());
        for n in 0..TRIES {
            assert!(!known(&hindered, start));
            hindered.written(&names(), &set(), place(5), Vec::new(), start + Duration::from_secs(u64::from(n)));
        }
        assert!(known(&hindered, start + Duration::from_mins(1)));
        let seldom = Hindered::default();
        for n in 0..6 {
            let now = start + WINDOW * n;
            seldom.written(&names(), &set(), place(5), Vec::new(), now);
            assert!(!known(&seldom, now));
        }
    }

    #[test]
    fn a_policy_that_makes_another_value_each_time_is_not_tried_again() {
        let (hindered, start) = (Hindered::default(), Instant::now());
        hindered.written(&names(), &set(), place(1), place(2), start);
        let later = start + OVERRULED.0;
        hindered.written(&names(), &set(), place(2), place(3), later);
        assert!(known(&hindered, later + Duration::from_hours(1_000)));
    }

    #[test]
    fn what_is_refused_is_tried_again_later_and_another_rendering_at_once() {
        let (hindered, now) = (Hindered::default(), Instant::now());
        hindered.refused(&names(), &set(), "seal", "no", now);
        let Some(Hindrance::Refused { seal, words }) = hindered.of(&names(), now).objects.remove(&set()) else {
            panic!()
        };
        assert_eq!((seal.as_str(), words.as_str()), ("seal", "no"));
        assert!(!known(&hindered, now + REFUSED.0));
        hindered.forget("ns", "zk");
        assert!(!known(&hindered, now));
    }

    #[test]
    fn an_error_of_the_api_server_that_stays_with_a_write_is_a_refusal_of_it_and_a_passing_one_is_not() {
        let (hindered, now) = (Hindered::default(), Instant::now());
        for _ in 1..FAILURES {
            hindered.failed(&names(), &set(), "seal", "quantities must match", now);
            assert!(!known(&hindered, now));
        }
        hindered.failed(&names(), &set(), "another", "quantities must match", now);
        assert!(!known(&hindered, now), "another rendering is another try");
        for _ in 1..FAILURES {
            hindered.failed(&names(), &set(), "another", "quantities must match", now);
        }
        assert!(known(&hindered, now) && !known(&hindered, now + REFUSED.0));
        hindered.failed(&names(), &set(), "another", "quantities must match", now + REFUSED.0);
        assert!(known(&hindered, now + REFUSED.0 * 2), "once more is enough, and the pause grows");
        hindered.written(&names(), &set(), Vec::new(), Vec::new(), now + REFUSED.1);
        hindered.failed(&names(), &set(), "another", "quantities must match", now + REFUSED.1);
        assert!(!known(&hindered, now + REFUSED.1), "it was taken in between");
    }

    #[test]
    fn a_super_user_who_was_let_in_again_is_not_denied() {
        let (hindered, now) = (Hindered::default(), Instant::now());
        hindered.super_user(&names(), true, now);
        assert!(hindered.of(&names(), now).denied && !hindered.of(&names(), now + DENIED.0).denied);
        hindered.super_user(&names(), false, now);
        assert!(!hindered.of(&names(), now).denied);
    }

    #[test]
    fn a_pod_that_is_missing_for_a_moment_is_nothing_to_ask_about() {
        let (hindered, now) = (Hindered::default(), Instant::now());
        let both = BTreeSet::from([Seat::voter(0), Seat::voter(1)]);
        assert!(hindered.unmanned(&names(), &both, now).is_empty());
        let one = BTreeSet::from([Seat::voter(1)]);
        assert!(hindered.unmanned(&names(), &one, now).is_empty());
        assert_eq!(hindered.unmanned(&names(), &both, now + MOMENT), one);
    }
}
