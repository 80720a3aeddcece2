//! Which writes and deletes for one custom resource failed: fields that come out differently or do not stay, and
//! refusals. The planner passes over what is noted here until the pause is over. The notes are in memory only: after a
//! restart the operator finds them out again, at the cost of one more try.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kept::shortened;
use super::timeout::ApiError;
use crate::model::observed::ObjectKey;
use crate::model::words::{QUOTE, cut};
use crate::model::{FieldDifference, Hindrance};
use crate::plan::came_out_otherwise;
use crate::render::Rendered;

/// After this many equal writes to the same field that did not stay, somebody else is taken to be against it.
const TRIES: u32 = 3;
/// After this many internal errors of the API server for the same write, the write is taken for their cause. With the
/// pauses of `pace` that is about eight seconds, in which a restarted server would have answered differently.
const FAILURES: u32 = 5;
/// The longest time between two of them. Whoever resets a field more rarely than this is not a controller that fights
/// for it.
const WINDOW: Duration = Duration::from_mins(10);
/// After this many writes of another value to the same field, each soon after the one before, the field is left alone for a
/// while: what is wanted of it changes with each pass. A roll with a hand-over at each restart comes to less than twenty.
const TURNS: u32 = 100;
/// A try has a cost: a policy whose value differs each time changes the pod template with it.
const OVERRULED: (Duration, Duration) = (Duration::from_mins(5), Duration::from_hours(1));
const REFUSED: (Duration, Duration) = (Duration::from_secs(15), Duration::from_mins(5));

/// What failed, by object.
#[derive(Clone, Debug, Default)]
pub struct Notes(BTreeMap<ObjectKey, Note>);

#[derive(Clone, Debug)]
enum Note {
    /// The object with this seal is refused.
    Refused { seal: String, words: String, failures: u32, pause: Option<Pause> },
    /// Fields that did not come out as written, or did not stay.
    Overruled(Vec<Tried>),
}

/// A field that was written without effect at least once. Each has its own count: two policies that take turns would
/// not show if whole writes were counted.
#[derive(Clone, Debug)]
struct Tried {
    difference: FieldDifference,
    /// How often it was written and did not stay.
    times: u32,
    /// How often another value was wanted of it than before.
    turns: u32,
    /// Whether the API server's own answer showed it, rather than a later look.
    answered: bool,
    last: Instant,
    pause: Option<Pause>,
}

/// For how long something is not tried again: longer each time.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    times: u32,
    /// `None`: until something else is wanted.
    until: Option<Instant>,
}

impl Pause {
    /// The next pause: first this long, then twice as long each time.
    pub fn after(before: Option<Self>, (first, longest): (Duration, Duration), now: Instant) -> Self {
        let times = before.map_or(0, |before| before.times.saturating_add(1));
        let length = first.saturating_mul(1 << times.min(10)).min(longest);
        Self { times, until: Some(now + length) }
    }

    /// Whether the pause is not over yet.
    pub fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Notes {
    /// Records the answer to a write: what the write was for, and what came out.
    pub fn answered(
        &mut self,
        object: &Rendered,
        meant: Vec<FieldDifference>,
        answer: Result<&Value, &ApiError>,
        now: Instant,
    ) {
        let short = |differences: Vec<FieldDifference>| differences.into_iter().map(shortened).collect();
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

    /// The words with which one of them was refused.
    pub fn refusal(&self, now: Instant) -> Option<String> {
        self.0.values().find_map(|note| match note.hindrance(now)? {
            Hindrance::Refused { words, .. } => Some(words),
            Hindrance::Overruled(_) => None,
        })
    }

    /// A write or a delete was refused.
    pub fn refused(&mut self, object: &ObjectKey, seal: &str, words: &str, now: Instant) {
        let (failures, pause) = self.before(object, seal);
        self.note(object, seal, words, (failures, Some(Pause::after(pause, REFUSED, now))));
    }

    /// Records an internal error of the API server. The first few may go away with the next try. One that stays is a
    /// refusal: the server cannot handle this content.
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

    /// Records an accepted write: the fields that it was for, and those that the API server's answer shows otherwise.
    pub fn written(
        &mut self,
        object: &ObjectKey,
        meant: Vec<FieldDifference>,
        otherwise: Vec<FieldDifference>,
        now: Instant,
    ) {
        let before = match self.0.remove(object) {
            Some(Note::Overruled(tried)) => tried,
            Some(Note::Refused { .. }) | None => Vec::new(),
        };
        let shown = otherwise.len();
        let unseen =
            meant.into_iter().filter(|difference| !otherwise.iter().any(|shown| shown.wants_the_same(difference)));
        let unseen: Vec<FieldDifference> = unseen.collect();
        let differences = otherwise.into_iter().chain(unseen).enumerate();
        let mut tried: Vec<Tried> =
            differences.map(|(n, difference)| Tried::again(difference, n < shown, &before, now)).collect();
        // What stayed this time is forgotten after a while. What an answer showed before and no longer shows is over. And where
        // something else is wanted of a field than before, nobody else has changed it back: a disruption budget that went
        // 1 → 0 → 1 three times in ten minutes, with each hand-over, was taken for a webhook's and left at 0.
        let stayed = before.into_iter().filter(|old| !old.answered && old.lately(now));
        let stayed = stayed.filter(|old| !tried.iter().any(|new| new.rewrites(old)));
        let stayed: Vec<Tried> =
            stayed.filter(|old| !tried.iter().any(|new| new.difference.wants_the_same(&old.difference))).collect();
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
                let differences: Vec<FieldDifference> = known.map(Tried::known).collect();
                (!differences.is_empty()).then_some(Hindrance::Overruled(differences))
            }
        }
    }

    /// Whether an earlier try still counts.
    fn counts(&self, now: Instant) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Overruled(tried) => tried.iter().any(|tried| tried.lately(now)),
        }
    }
}

impl Tried {
    /// Records a field that was written again, or for the first time.
    fn again(difference: FieldDifference, answered: bool, before: &[Self], now: Instant) -> Self {
        let turns = before.iter().filter(|tried| tried.difference.path == difference.path && tried.lately(now));
        let turns = turns.map(|old| old.turns + u32::from(!old.difference.wants_the_same(&difference))).max();
        let turns = turns.unwrap_or_default();
        let wavers = before.iter().filter(|tried| tried.difference.path == difference.path && tried.turns >= TURNS);
        let wavers = wavers.filter(|tried| tried.lately(now)).find_map(|tried| tried.pause);
        let before = before.iter().find(|tried| tried.difference.wants_the_same(&difference));
        let before = before.filter(|tried| (answered || !tried.answered) && tried.lately(now));
        let pause = before.and_then(|tried| tried.pause);
        let times = before.map_or(1, |tried| tried.times.saturating_add(1));
        let lengths = if difference.path.is_empty() { REFUSED } else { OVERRULED };
        let pause = match before {
            // A policy that makes another value each time would restart every member with each try.
            Some(tried) if answered && tried.difference.theirs != difference.theirs => {
                Some(Pause { times: 0, until: None })
            }
            _ if turns >= TURNS => Some(Pause::after(wavers, lengths, now)),
            _ if answered || times >= TRIES => Some(Pause::after(pause, lengths, now)),
            _ => None,
        };
        Self { difference, times, turns, answered, last: now, pause }
    }

    /// What is left alone: this value in this field, or the field, whatever is wanted of it.
    fn known(&self) -> FieldDifference {
        FieldDifference { whatever: self.turns >= TURNS, ..self.difference.clone() }
    }

    /// Whether this is a write of another value to the same field, or to a part of it.
    fn rewrites(&self, old: &Self) -> bool {
        let (new, old) = (&self.difference, &old.difference);
        let one_is_missing = new.path.is_empty() || old.path.is_empty();
        let same_field = new.path.iter().zip(&old.path).all(|(new, old)| new == old);
        !one_is_missing && same_field && !new.wants_the_same(old)
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

    fn difference(theirs: u32) -> Vec<FieldDifference> {
        vec![FieldDifference {
            path: vec!["spec".into(), "grace".into()],
            ours: json!(30),
            theirs: json!(theirs),
            whatever: false,
        }]
    }

    fn known(notes: &Notes, now: Instant) -> bool {
        notes.hindrances(now).contains_key(&set())
    }

    #[test]
    fn what_a_webhook_changes_is_known_from_the_answer_and_tried_again_with_growing_pauses() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let mut now = start;
        for minutes in [5, 10, 20, 40, 60, 60] {
            notes.written(&set(), difference(45), difference(45), now);
            let (before, after) = (now + Duration::from_mins(minutes - 1), now + Duration::from_mins(minutes));
            assert!(known(&notes, before) && !known(&notes, after), "after {minutes} min");
            now = after;
        }
        // The policy is gone.
        notes.written(&set(), difference(45), Vec::new(), now);
        assert!(!known(&notes, now));
    }

    #[test]
    fn what_a_controller_sets_back_is_known_after_some_writes_that_did_not_stay_and_a_persons_change_is_not() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        for n in 0..TRIES {
            assert!(!known(&notes, start));
            notes.written(&set(), difference(5), Vec::new(), start + Duration::from_secs(u64::from(n)));
        }
        assert!(known(&notes, start + Duration::from_mins(1)));
        let mut seldom = Notes::default();
        for n in 0..6 {
            let now = start + WINDOW * n;
            seldom.written(&set(), difference(5), Vec::new(), now);
            assert!(!known(&seldom, now));
        }
    }

    #[test]
    fn a_field_of_which_the_operator_itself_wants_now_this_and_now_that_is_nobody_elses() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let budget = |ours: u32, theirs: u32| {
            vec![FieldDifference {
                path: vec!["spec".into(), "maxUnavailable".into()],
                ours: json!(ours),
                theirs: json!(theirs),
                whatever: false,
            }]
        };
        let owners = |ours: serde_json::Value, theirs| {
            vec![FieldDifference {
                path: vec!["metadata".into(), "ownerReferences".into()],
                ours,
                theirs,
                whatever: false,
            }]
        };
        for n in 0..10 {
            let now = start + Duration::from_secs(30 * n);
            notes.written(&set(), budget(0, 1), Vec::new(), now);
            notes.written(&set(), budget(1, 0), Vec::new(), now + Duration::from_secs(5));
            notes.written(&set(), owners(json!(null), json!(["zk"])), Vec::new(), now + Duration::from_secs(10));
            notes.written(&set(), owners(json!(["zk"]), json!(null)), Vec::new(), now + Duration::from_secs(15));
            assert!(!known(&notes, now + Duration::from_secs(15)), "after {n} rounds");
        }
        // Once it wants one thing alone, whoever changes it back is found as before.
        for n in 0..u64::from(TRIES) {
            notes.written(&set(), budget(0, 1), Vec::new(), start + Duration::from_secs(400 + n));
        }
        assert!(known(&notes, start + Duration::from_secs(410)));
    }

    /// Nothing that the operator does may go on for ever, also where it is the operator that cannot make up its mind.
    #[test]
    fn a_field_of_which_something_else_is_wanted_at_each_pass_is_left_alone_in_the_end_whatever_is_wanted() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let wanted = |ours: u64| {
            vec![FieldDifference {
                path: vec!["spec".into(), "grace".into()],
                ours: json!(ours),
                theirs: json!(ours.saturating_sub(1)),
                whatever: false,
            }]
        };
        let left_alone = |notes: &Notes, now: Instant, ours: u64| {
            let Some(Hindrance::Overruled(known)) = notes.hindrances(now).remove(&set()) else { return false };
            known.iter().any(|known| known.wants_the_same(&wanted(ours)[0]))
        };
        let mut now = start;
        let mut writes = 0;
        for pass in 0..2_000 {
            now += Duration::from_secs(1);
            if !left_alone(&notes, now, pass) {
                notes.written(&set(), wanted(pass), Vec::new(), now);
                writes += 1;
            }
        }
        assert!(writes < 2 * u64::from(TURNS), "{writes} writes in {} s", now.duration_since(start).as_secs());
        // Once it wants the same for a while, it is written as ever.
        now += OVERRULED.1 + WINDOW;
        assert!(!left_alone(&notes, now, 7));
        notes.written(&set(), wanted(7), Vec::new(), now);
        assert!(!left_alone(&notes, now, 7));
    }

    #[test]
    fn a_policy_that_makes_another_value_each_time_is_not_tried_again() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        notes.written(&set(), difference(1), difference(2), start);
        let later = start + OVERRULED.0;
        notes.written(&set(), difference(2), difference(3), later);
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
