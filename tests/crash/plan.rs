//! What can go wrong, and at which write: the plans, enumerated from the writes of an undisturbed tour.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::mem::discriminant;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::scenario::Scenario;

/// The writes of an undisturbed tour, one a line: `dev/crash record` writes them.
const WRITES: &str = include_str!("writes.txt");
/// How the operator's reading of the super user's password shows: a moment later it speaks to `ZooKeeper`.
pub const ZOOKEEPER: &str = "ZOOKEEPER";
/// Faults that one scenario of a sample meets, one after the other.
const FAULTS_PER_SCENARIO: usize = 2;

/// What happens at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Killed before the request reaches the API server.
    KillBefore,
    /// Killed when the write is committed, before the answer is seen.
    KillCommitted,
    /// Killed right after the answer.
    KillAnswered,
    /// Killed after the answer; what starts again lists the world as it was when the scenario began, once.
    StaleLists,
    /// 409, and nothing written.
    Conflict,
    /// 429 with `Retry-After`, and nothing written.
    Throttled,
    /// Committed, and answered with 500.
    ErrorAfterCommit,
    /// Committed, and never answered.
    SilenceAfterCommit,
    /// From here on no watch tells anything, and none ends.
    UnseenEvents,
    /// Every watch ends, and its resumption is too old (410).
    ExpiredWatches,
    /// Stopped before the request reaches anybody; another one starts and goes on, and then it wakes up, and both go on.
    WokenLate,
    /// Killed that many milliseconds after the password was read: before, while and after `ZooKeeper` is asked.
    KillAfterPassword(u64),
}

const AT_OBJECTS: [FaultKind; 11] = [
    FaultKind::KillBefore,
    FaultKind::KillCommitted,
    FaultKind::KillAnswered,
    FaultKind::StaleLists,
    FaultKind::Conflict,
    FaultKind::Throttled,
    FaultKind::ErrorAfterCommit,
    FaultKind::SilenceAfterCommit,
    FaultKind::UnseenEvents,
    FaultKind::ExpiredWatches,
    FaultKind::WokenLate,
];
/// The status is told, never read back to decide on a write: fewer ways to go wrong.
const AT_STATUS: [FaultKind; 5] = [
    FaultKind::KillBefore,
    FaultKind::KillCommitted,
    FaultKind::Conflict,
    FaultKind::Throttled,
    FaultKind::ErrorAfterCommit,
];
const AT_EVENTS: [FaultKind; 2] = [FaultKind::KillCommitted, FaultKind::ErrorAfterCommit];
const AT_ZOOKEEPER: [FaultKind; 5] = [
    FaultKind::KillAfterPassword(0),
    FaultKind::KillAfterPassword(10),
    FaultKind::KillAfterPassword(40),
    FaultKind::KillAfterPassword(120),
    FaultKind::WokenLate,
];

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillBefore => f.write_str("kill-before"),
            Self::KillCommitted => f.write_str("kill-committed"),
            Self::KillAnswered => f.write_str("kill-answered"),
            Self::StaleLists => f.write_str("stale-lists"),
            Self::Conflict => f.write_str("conflict"),
            Self::Throttled => f.write_str("throttled"),
            Self::ErrorAfterCommit => f.write_str("error-after-commit"),
            Self::SilenceAfterCommit => f.write_str("silence-after-commit"),
            Self::UnseenEvents => f.write_str("unseen-events"),
            Self::ExpiredWatches => f.write_str("expired-watches"),
            Self::WokenLate => f.write_str("woken-late"),
            Self::KillAfterPassword(ms) => write!(f, "kill-after-{ms}-ms"),
        }
    }
}

/// A write, told apart from others of its scenario by what it writes and how often that was written before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedWrite {
    /// `PATCH statefulsets/tour`, `DELETE pods/tour-*`, [`ZOOKEEPER`].
    pub what: String,
    /// From 1.
    pub nth: u32,
}

impl fmt::Display for RecordedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.what, self.nth)
    }
}

impl RecordedWrite {
    /// Whether it belongs to what the operator does, not to what it tells.
    pub fn acts(&self) -> bool {
        !self.what.ends_with("/status") && !self.what.ends_with("events")
    }

    fn kinds(&self) -> &'static [FaultKind] {
        match self.what.as_str() {
            ZOOKEEPER => &AT_ZOOKEEPER,
            status if status.ends_with("/status") => &AT_STATUS,
            events if events.ends_with("events") => &AT_EVENTS,
            _ => &AT_OBJECTS,
        }
    }
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultPlan {
    pub scenario: Scenario,
    pub write: RecordedWrite,
    pub kind: FaultKind,
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.scenario.name(), self.write, self.kind)
    }
}

/// The writes of each scenario, in the order in which they came.
pub type RecordedWrites = BTreeMap<Scenario, Vec<RecordedWrite>>;

/// The writes that the repository holds.
pub fn recorded() -> RecordedWrites {
    let mut writes = RecordedWrites::new();
    for line in WRITES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let parsed = line.split_once(": ").and_then(|(scenario, write)| {
            let (what, nth) = write.rsplit_once(" #")?;
            Some((Scenario::named(scenario)?, RecordedWrite { what: what.to_owned(), nth: nth.parse().ok()? }))
        });
        let (scenario, write) = parsed.unwrap_or_else(|| panic!("tests/crash/writes.txt: not a write: {line}"));
        writes.entry(scenario).or_default().push(write);
    }
    writes
}

/// As `tests/crash/writes.txt` holds them.
pub fn listed(writes: &RecordedWrites) -> String {
    let lines = writes.iter().flat_map(|(s, writes)| writes.iter().map(|w| format!("{}: {w}\n", s.name())));
    format!(
        "# The operator's writes in an undisturbed tour. Written by `dev/crash record`.\n{}",
        lines.collect::<String>()
    )
}

/// Every plan.
pub fn all() -> Vec<FaultPlan> {
    let of_write = |scenario, write: RecordedWrite| {
        write
            .kinds()
            .iter()
            .map(move |kind| FaultPlan { scenario, write: write.clone(), kind: *kind })
            .collect::<Vec<_>>()
    };
    let each = recorded().into_iter().flat_map(|(scenario, writes)| writes.into_iter().map(move |w| (scenario, w)));
    each.flat_map(|(scenario, write)| of_write(scenario, write)).collect()
}

/// Every plan, in an order by that seed.
pub fn shuffled(seed: u64) -> Vec<FaultPlan> {
    let mut plans = all();
    plans.shuffle(&mut StdRng::seed_from_u64(seed));
    plans
}

/// At least one plan of each kind, by that seed, among the writes that act; no scenario has more than two, at different
/// writes.
pub fn sample(count: usize, seed: u64) -> Vec<FaultPlan> {
    let rest: Vec<FaultPlan> = shuffled(seed).into_iter().filter(|plan| plan.write.acts()).collect();
    let mut chosen: Vec<FaultPlan> = Vec::new();
    let mut kinds = HashSet::new();
    for new_kinds_only in [true, false] {
        for plan in &rest {
            let same: Vec<&FaultPlan> = chosen.iter().filter(|other| other.scenario == plan.scenario).collect();
            let fits = same.len() < FAULTS_PER_SCENARIO && same.iter().all(|other| other.write.what != plan.write.what);
            if chosen.len() < count && fits && (!new_kinds_only || !kinds.contains(&discriminant(&plan.kind))) {
                kinds.insert(discriminant(&plan.kind));
                chosen.push(plan.clone());
            }
        }
    }
    chosen.sort();
    chosen
}

/// One tour's faults: for each scenario those that it meets.
pub type Tour = BTreeMap<Scenario, Vec<FaultPlan>>;

/// Tours of one plan for each scenario, until no plan is left.
pub fn tours(mut left: Vec<FaultPlan>, at_most: usize) -> Vec<Tour> {
    let mut tours = Vec::new();
    while !left.is_empty() && tours.len() < at_most {
        let mut tour = Tour::new();
        left.retain(|plan| {
            let taken = !tour.contains_key(&plan.scenario);
            if taken {
                tour.insert(plan.scenario, vec![plan.clone()]);
            }
            !taken
        });
        tours.push(tour);
    }
    tours
}

/// Through all scenarios, and nothing goes wrong.
pub fn empty_tour() -> Tour {
    Scenario::ALL.into_iter().map(|scenario| (scenario, Vec::new())).collect()
}

/// Writes that come in both.
pub fn common(one: &RecordedWrites, other: &RecordedWrites) -> RecordedWrites {
    let of = |scenario, write: &RecordedWrite| other.get(scenario).is_some_and(|writes| writes.contains(write));
    let both = one
        .iter()
        .map(|(scenario, writes)| (*scenario, writes.iter().filter(|write| of(scenario, write)).cloned().collect()));
    both.collect()
}

/// All of a sample in one tour.
pub fn one_tour(sample: Vec<FaultPlan>) -> Tour {
    let mut tour = Tour::new();
    for plan in sample {
        tour.entry(plan.scenario).or_default().push(plan);
    }
    tour
}
