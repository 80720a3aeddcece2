//! Whether what the chains of an archive have leads to a point.

use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;

use super::key::SegmentKey;
use super::lost::Lost;
use super::manifest::Manifest;
use super::segment::{Facts, Link};

/// Where the chains lead, while they are read.
pub(super) struct Way {
    point: Point,
    /// Whether something beyond the point was found.
    pub(super) beyond: bool,
    /// The last transaction, and when the latest one of its segment was.
    pub(super) last: Option<(Zxid, i64)>,
    pub(super) runs: Vec<Run>,
    /// How many runs there were before the chain that is read.
    before: usize,
    /// What could not be read.
    pub(super) lost: Lost,
}

impl Way {
    pub(super) fn to(point: Point) -> Self {
        Self { point, beyond: false, last: None, runs: Vec::new(), before: 0, lost: Lost::default() }
    }

    /// From here on another chain is read.
    pub(super) fn begin_chain(&mut self) {
        self.before = self.runs.len();
    }

    /// Those of a disk's roll-ups, in their order, of which its segments, which were just read up to the last of these names, do not have all.
    pub(super) fn not_just_read(&self, rolled: &[SegmentKey], segments: &[SegmentKey]) -> Vec<SegmentKey> {
        let Some(end) = segments.last() else { return rolled.to_vec() };
        // A roll-up ends before the next one begins, and the last one before its chain ends.
        let ends = rolled.iter().skip(1).chain([end]).map(|next| next.first);
        let has = |(key, end): &(&SegmentKey, Zxid)| {
            let runs = self.runs[self.before..].iter();
            runs.clone().any(|run| run.first < key.first && *end <= run.last)
        };
        rolled.iter().zip(ends).filter(|roll_up| !has(roll_up)).map(|(key, _)| key.clone()).collect()
    }

    /// Whether all of a segment is beyond the point. Of one that is lost, only its name is known.
    pub(super) fn is_beyond(&self, key: &SegmentKey, facts: Option<&Facts>) -> bool {
        match self.point {
            Point::Zxid(zxid) => key.first > zxid,
            Point::Time(time) => facts.is_some_and(|facts| facts.earliest > time),
            Point::End => false,
        }
    }
}

/// Checks that the chains together have everything from the base to the point, and says up to where they lead if not. Digests do not show
/// it: nothing tells the last transactions of an epoch that are missing from those that never were.
pub(super) fn lead_there(mut runs: Vec<Run>, base: Option<&Manifest>, point: Point) -> Result<(), Zxid> {
    runs.sort_unstable_by_key(|run| run.first);
    let first = runs.first().map_or(Zxid(0), |run| run.first);
    // Without a base, the tree's own beginning is checked where it is built.
    let (mut reached, mut latest) = (base.map_or(first, |base| base.zxid), i64::MIN);
    for run in &runs {
        if run.first <= reached {
            latest = latest.max(run.latest);
            reached = reached.max(run.last);
        }
    }
    let there = match point {
        Point::Zxid(zxid) => reached >= zxid,
        // Where nothing is later at all, that is said by its own words.
        Point::Time(time) => latest > time || (!runs.is_empty() && runs.iter().all(|run| run.latest <= time)),
        Point::End => true,
    };
    // A zxid beyond all that there is is said where the tree is built.
    let end = runs.iter().map(|run| run.last).max();
    let beyond = matches!(point, Point::Zxid(zxid) if end.is_some_and(|end| zxid > end)) && end == Some(reached);
    if there || beyond { Ok(()) } else { Err(reached) }
}

/// Segments of a chain that follow on each other directly.
pub(super) struct Run {
    /// Everything after this one is in it.
    first: Zxid,
    before: Option<Link>,
    last: Zxid,
    latest: i64,
}

impl Run {
    pub(super) fn begin(facts: &Facts) -> Self {
        let follows = facts.previous.as_ref().filter(|_| facts.follows).map(|previous| previous.last);
        let first = follows.unwrap_or(Zxid(facts.first.0.saturating_sub(1)));
        Self { first, before: Some(facts.link()), last: facts.last, latest: facts.latest }
    }

    pub(super) fn goes_on(&self, facts: &Facts) -> bool {
        facts.follows && facts.previous.is_some() && facts.previous == self.before
    }

    pub(super) fn add(&mut self, facts: &Facts) {
        self.before = Some(facts.link());
        self.last = facts.last;
        self.latest = self.latest.max(facts.latest);
    }
}
