//! What came to nothing, for each ensemble: a write that comes out otherwise or does not stay, one that is refused, a super
//! user that is not let in. The planner passes over what is noted here until the pause is over. It is kept in memory alone:
//! after a restart the operator finds it out again, at the price of one more try.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::observed::ObjectKey;
use crate::model::words::{QUOTE, cut};
use crate::model::{Hindrance, Hindrances, Names, Ordinal, Place};

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
const DENIED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// A pod that is restarted is missing for a moment. Longer than this, its Events are read.
const MOMENT: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Memory {
    objects: BTreeMap<ObjectKey, Tried>,
    denied: Option<Pause>,
    unmanned: HashMap<Ordinal, Instant>,
}

/// A write that came to nothing at least once.
struct Tried {
    what: Hindrance,
    /// How often it was written and did not stay.
    times: u32,
    /// Whether the API server's own answer showed it, and not a later look.
    answered: bool,
    last: Instant,
    pause: Option<Pause>,
}

#[derive(Clone, Copy)]
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

/// The hindrances of all ensembles.
#[derive(Default)]
pub struct Hindered(Mutex<HashMap<(String, String), Memory>>);

impl Hindered {
    /// What is passed over now.
    pub fn of(&self, names: &Names, now: Instant) -> Hindrances {
        let memories = self.memories();
        let Some(memory) = memories.get(&key(names)) else { return Hindrances::default() };
        let lasting = memory.objects.iter().filter(|(_, tried)| tried.pause.is_some_and(|pause| pause.lasts(now)));
        Hindrances {
            objects: lasting.map(|(key, tried)| (key.clone(), tried.what.clone())).collect(),
            pods: BTreeMap::new(),
            denied: memory.denied.is_some_and(|pause| pause.lasts(now)),
        }
    }

    /// A write or a delete was refused.
    pub fn refused(&self, names: &Names, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        let what = Hindrance::Refused { seal: seal.to_owned(), words: cut(words, QUOTE) };
        self.with(names, |memory| {
            let before = memory
                .objects
                .get(object)
                .filter(|tried| matches!(&tried.what, Hindrance::Refused { seal: before, .. } if before == seal));
            let pause = Pause::after(before.and_then(|tried| tried.pause), REFUSED, now);
            memory
                .objects
                .insert(object.clone(), Tried { what, times: 1, answered: true, last: now, pause: Some(pause) });
        });
    }

    /// A write was answered with an error of the server's own. The first few may be gone with the next try; one that stays is
    /// a refusal: the content is what the server cannot take.
    pub fn failed(&self, names: &Names, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        let what = Hindrance::Refused { seal: seal.to_owned(), words: cut(words, QUOTE) };
        self.with(names, |memory| {
            let before = memory
                .objects
                .get(object)
                .filter(|tried| matches!(&tried.what, Hindrance::Refused { seal: before, .. } if before == seal));
            let times = before.map_or(1, |tried| tried.times.saturating_add(1));
            let pause = before.and_then(|tried| tried.pause);
            let pause = (times >= FAILURES).then(|| Pause::after(pause, REFUSED, now));
            memory.objects.insert(object.clone(), Tried { what, times, answered: true, last: now, pause });
        });
    }

    /// A write was accepted: which places it was for, and which are not what was written by the API server's own answer.
    pub fn written(&self, names: &Names, object: &ObjectKey, meant: Vec<Place>, otherwise: Vec<Place>, now: Instant) {
        let answered = !otherwise.is_empty();
        let places = if answered { otherwise } else { meant };
        self.with(names, |memory| {
            // What an answer showed before and does not show any more is over.
            let before = memory.objects.remove(object).filter(|tried| answered || !tried.answered);
            if places.is_empty() {
                return;
            }
            let before = before.filter(|tried| tried.wanted(&places));
            let pause = before.as_ref().and_then(|tried| tried.pause);
            let lately = before.as_ref().filter(|tried| pause.is_some() || now.duration_since(tried.last) < WINDOW);
            let times = lately.map_or(1, |tried| tried.times.saturating_add(1));
            let what = Hindrance::Overruled(places);
            let pause = match before {
                // A policy that makes another value of it each time would restart every member with each try.
                Some(tried) if answered && tried.what != what => Some(Pause { times: 0, until: None }),
                _ if answered || times >= TRIES => Some(Pause::after(pause, OVERRULED, now)),
                _ => None,
            };
            memory.objects.insert(object.clone(), Tried { what, times, answered, last: now, pause });
        });
    }

    /// The membership was to be changed: whether the super user was let in.
    pub fn super_user(&self, names: &Names, denied: bool, now: Instant) {
        self.with(names, |memory| memory.denied = denied.then(|| Pause::after(memory.denied, DENIED, now)));
    }

    /// Members without a pod now; gives those that have had none for longer than a moment.
    pub fn unmanned(&self, names: &Names, ordinals: &BTreeSet<Ordinal>, now: Instant) -> BTreeSet<Ordinal> {
        self.with(names, |memory| {
            memory.unmanned.retain(|ordinal, _| ordinals.contains(ordinal));
            let since = ordinals.iter().map(|ordinal| (*ordinal, *memory.unmanned.entry(*ordinal).or_insert(now)));
            since.filter(|(_, since)| now.duration_since(*since) >= MOMENT).map(|(ordinal, _)| ordinal).collect()
        })
    }

    /// The ensemble is gone.
    pub fn forget(&self, namespace: &str, ensemble: &str) {
        self.memories().remove(&(namespace.to_owned(), ensemble.to_owned()));
    }

    fn with<T>(&self, names: &Names, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(self.memories().entry(key(names)).or_default())
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<(String, String), Memory>> {
        // A panic while the lock was held costs at worst one more try.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    /// Whether the same was wanted at these places before.
    fn wanted(&self, places: &[Place]) -> bool {
        match &self.what {
            Hindrance::Overruled(known) => {
                places.iter().all(|place| known.iter().any(|known| known.wants_the_same(place)))
            }
            Hindrance::Refused { .. } => false,
        }
    }
}

fn key(names: &Names) -> (String, String) {
    (names.namespace.clone(), names.ensemble.clone())
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
        let both = BTreeSet::from([Ordinal(0), Ordinal(1)]);
        assert!(hindered.unmanned(&names(), &both, now).is_empty());
        let one = BTreeSet::from([Ordinal(1)]);
        assert!(hindered.unmanned(&names(), &one, now).is_empty());
        assert_eq!(hindered.unmanned(&names(), &both, now + MOMENT), one);
    }
}
