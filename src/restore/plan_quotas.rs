//! Which quotas come back, and which do not. Pure.
//!
//! Only limits do: statistics are each server's own, counted as soon as they are there. A quota that came later than the point stays.

use std::collections::{BTreeMap, BTreeSet};

use crate::restore::limits::QuotaLimits;
use crate::restore::live::Live;
use crate::restore::operation::Operation;
use crate::restore::options::{Existing, Options};
use crate::restore::quota::{LIMITS, MOST_QUOTAS, QUOTAS, Quota, STATS, Statistics, at_and_above, unreadable};
use crate::restore::reason::{Measure, Note, Reason, Skipped};
use crate::restore::scope::under;
use crate::restore::wanted::Wanted;

/// What comes of them.
#[derive(Default)]
pub(super) struct Quotas {
    pub(super) operations: Vec<Operation>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) notes: Vec<Note>,
}

/// Plans the quotas, after these operations. Where nobody asked for them, what differs is told.
pub(super) fn quotas(wanted: &Wanted, live: &Live, options: &Options, operations: &[Operation]) -> Quotas {
    let mut planned = Quotas::default();
    let after = After::of(wanted, live, operations);
    if !options.quotas {
        let there = live.quotas.as_ref();
        let told = wanted.quotas.iter().filter(|(of, _)| after.has(of) && can_have_a_quota(of));
        planned.notes = told.filter_map(|(of, limits)| other(of, (*limits)?, there?)).collect();
        return planned;
    }
    planned.skipped.extend(wanted.idle_quotas.iter().map(|of| {
        let path = format!("{QUOTAS}{}", if of == "/" { "" } else { of });
        Skipped { path, reason: Reason::QuotaNotInForce, quota: None }
    }));
    let mut places = Places::of(live);
    for (of, limits) in &wanted.quotas {
        let path = format!("{QUOTAS}{}", if of == "/" { "" } else { of });
        let reason = match (*limits, &live.quotas) {
            (None, _) => Reason::UnreadableQuota,
            (Some(_), _) if !can_have_a_quota(of) => Reason::NoQuotaThere,
            (Some(_), None) => Reason::QuotasUnread,
            (Some(limits), Some(there)) => match (there.get(of), options.existing) {
                (Some(now), _)
                    if now.limits == Some(limits) && (now.statistics != Statistics::Missing || !after.has(of)) =>
                {
                    continue;
                }
                _ if !after.has(of) => Reason::QuotaOfNothing,
                // Quotas of `/zookeeper` count those znodes as well.
                _ if unreadable(&path, live).is_some() => Reason::UnreadableStatistics,
                // Servers begin to enforce it.
                (Some(now), _) if now.limits == Some(limits) => {
                    planned.notes.extend(after.low(of, &limits));
                    planned.operations.push(Operation::CountQuota { path, seen: now.seen });
                    continue;
                }
                (Some(now), Existing::Keep | Existing::Undo { .. }) => match now.limits {
                    Some(_) => Reason::Kept,
                    None => Reason::KeptUnreadable,
                },
                (Some(now), Existing::KeepNewer { than }) if now.seen.mzxid > than => Reason::Newer,
                (Some(now), Existing::KeepNewer { .. } | Existing::Overwrite) => {
                    planned.notes.extend(after.low(of, &limits));
                    let (seen, from, counts) = (now.seen, now.limits, now.statistics == Statistics::Missing);
                    planned.operations.push(Operation::SetQuota { path, seen, from, limits, counts });
                    continue;
                }
                (None, _) if places.nests(of) => Reason::NestedQuota,
                (None, _) if !places.take(of) => Reason::TooManyQuotas,
                (None, _) => {
                    planned.notes.extend(after.low(of, &limits));
                    planned.operations.push(Operation::CreateQuota { path, limits });
                    continue;
                }
            },
        };
        let quota = if reason == Reason::UnreadableStatistics { unreadable(&path, live) } else { None };
        planned.skipped.push(Skipped { quota: quota.map(str::to_owned), path, reason });
    }
    planned
}

/// The scope once the operations are done.
struct After<'a> {
    /// What of it is there with all that is below.
    subtrees: Vec<String>,
    live: &'a Live,
    /// What they change: how long its data is then; `None` of what is gone.
    changed: BTreeMap<&'a str, Option<usize>>,
}

impl<'a> After<'a> {
    fn of(wanted: &'a Wanted, live: &'a Live, operations: &'a [Operation]) -> Self {
        let changed = operations.iter().filter_map(|operation| match operation {
            Operation::Create { path, .. } | Operation::Set { path, .. } => {
                Some((&**path, wanted.znodes.get(path).map(|znode| znode.data.len())))
            }
            Operation::Delete { path, .. } => Some((&**path, None)),
            _ => None,
        });
        let subtrees = wanted.scope.targets().into_iter().filter(|top| top.subtree).map(|top| top.path);
        Self { subtrees: subtrees.collect(), live, changed: changed.collect() }
    }

    fn has(&self, path: &str) -> bool {
        self.changed.get(path).map_or_else(|| self.live.znodes.contains_key(path), Option::is_some)
    }

    /// Which limits leave no room beside what there will be. Where not all of it was read, what the servers have counted says how much is
    /// there.
    fn low(&self, of: &str, limits: &QuotaLimits) -> Vec<Note> {
        if limits.hard_znodes.is_none() && limits.hard_bytes.is_none() {
            return Vec::new();
        }
        let Some((znodes, bytes)) = self.size(of) else { return vec![Note::UnknownRoom { path: of.to_owned() }] };
        let both = [(Measure::Znodes, znodes, limits.hard_znodes), (Measure::Bytes, bytes, limits.hard_bytes)];
        let low = both.into_iter().filter_map(|(measure, there, allows)| {
            let allows = allows.filter(|allows| there >= *allows)?;
            Some(Note::LowQuota { path: of.to_owned(), measure, there, allows })
        });
        low.collect()
    }

    /// How much there will be at and below a path: znodes and bytes.
    fn size(&self, of: &str) -> Option<(i64, i64)> {
        // Those below are side by side in the order of the paths.
        let below = format!("{of}/");
        let there = self.live.znodes.get_key_value(of).into_iter();
        let there =
            there.chain(self.live.znodes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below)));
        let come = self.changed.get_key_value(of).into_iter();
        let come = come.chain(self.changed.range(&*below..).take_while(|(path, _)| path.starts_with(&below)));
        let come = come.filter_map(|(_, bytes)| *bytes).fold((0, 0), add);
        let (mut all, mut stay, mut children) = ((0, 0), (0, 0), 0);
        for (path, znode) in there {
            all = add(all, znode.bytes);
            children += znode.children;
            if !self.changed.contains_key(&**path) {
                stay = add(stay, znode.bytes);
            }
        }
        // The uppermost is nobody's child here.
        let has_all = i64::try_from(children).is_ok_and(|children| all.0 == 0 || all.0 == children + 1);
        if has_all || self.subtrees.iter().any(|top| under(of, top)) {
            return Some((stay.0 + come.0, stay.1 + come.1));
        }
        let counted = self.live.quotas.as_ref()?.get(of).filter(|quota| quota.statistics == Statistics::Counted)?;
        Some((counted.znodes - all.0 + stay.0 + come.0, counted.bytes - all.1 + stay.1 + come.1))
    }
}

fn add((znodes, bytes): (i64, i64), length: usize) -> (i64, i64) {
    (znodes + 1, bytes.saturating_add(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn other(of: &str, was: QuotaLimits, there: &BTreeMap<String, Quota>) -> Option<Note> {
    let now = there.get(of).and_then(|now| now.limits);
    (now != Some(was)).then(|| Note::OtherQuota { path: of.to_owned(), was, now })
}

/// Where quotas are, and will be. One of the root counts nothing.
struct Places<'a> {
    quotas: BTreeSet<&'a str>,
    /// The znodes below `/zookeeper/quota`, by the paths that they are for, without limits and statistics.
    znodes: BTreeSet<&'a str>,
}

impl<'a> Places<'a> {
    fn of(live: &'a Live) -> Self {
        let quotas = live.quotas.iter().flatten().map(|(of, _)| of.as_str()).filter(|of| of.len() > 1);
        Self { quotas: quotas.collect(), znodes: live.below_quota.iter().map(String::as_str).collect() }
    }

    /// Whether one quota would be in the other.
    fn nests(&self, of: &str) -> bool {
        let below = format!("{of}/");
        // Those below are side by side in the order of the paths.
        at_and_above(of).skip(1).any(|above| self.quotas.contains(above))
            || self.quotas.range(&*below..).next().is_some_and(|other| other.starts_with(&below))
    }

    /// Makes room for one, unless there are too many for a restore to read again.
    fn take(&mut self, of: &'a str) -> bool {
        let new: Vec<&str> = at_and_above(of).filter(|path| !self.znodes.contains(path)).collect();
        let fits = self.znodes.len() + new.len() <= MOST_QUOTAS;
        if fits {
            self.quotas.insert(of);
            self.znodes.extend(new);
        }
        fits
    }
}

/// Whether servers load a quota of this path. They end at limits without one, and look for its end where a name begins as that of limits
/// does; what stands in the place of limits or statistics would be taken for them. Names of spaces they leave out, and count for another path.
pub(super) fn can_have_a_quota(of: &str) -> bool {
    let is_odd = |name: &str| name.starts_with(LIMITS) || name == STATS || name.chars().all(|letter| letter == ' ');
    of.len() > 1 && !of.split('/').skip(1).any(is_odd)
}
