//! Which quotas come back, and which do not. Pure.
//!
//! Only limits do: statistics are each server's own, counted as soon as they are there. A quota that came later than the point stays.

use std::collections::{BTreeMap, HashMap};

use crate::restore::limits::QuotaLimits;
use crate::restore::live::Live;
use crate::restore::operation::Operation;
use crate::restore::options::{Existing, Options};
use crate::restore::quota::{LIMITS, QUOTAS, Quota, STATS};
use crate::restore::reason::{Note, Reason, Skipped};
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
    let changed: HashMap<&str, bool> = operations.iter().filter_map(after).collect();
    let is_there = |of: &str| changed.get(of).copied().unwrap_or_else(|| live.znodes.contains_key(of));
    if !options.quotas {
        let there = live.quotas.as_ref();
        let told = wanted.quotas.iter().filter(|(of, _)| is_there(of));
        planned.notes = told.filter_map(|(of, limits)| other(of, (*limits)?, there?)).collect();
        return planned;
    }
    let mut made: Vec<&str> = Vec::new();
    for (of, limits) in &wanted.quotas {
        let path = format!("{QUOTAS}{}", if of == "/" { "" } else { of });
        let free = |there: &BTreeMap<String, Quota>| {
            !there.keys().map(String::as_str).chain(made.iter().copied()).any(|other| nest(of, other))
        };
        let reason = match (*limits, &live.quotas) {
            (None, _) => Reason::UnreadableQuota,
            (Some(_), _) if !can_have_a_quota(of) => Reason::NoQuotaThere,
            (Some(_), None) => Reason::QuotasUnread,
            (Some(limits), Some(there)) => match (there.get(of), options.existing) {
                (Some(now), _) if now.limits == Some(limits) => continue,
                _ if !is_there(of) => Reason::QuotaOfNothing,
                (Some(_), Existing::Keep | Existing::Undo { .. }) => Reason::Kept,
                (Some(now), Existing::KeepNewer { than }) if now.seen.mzxid > than => Reason::Newer,
                (Some(now), Existing::KeepNewer { .. } | Existing::Overwrite) => {
                    planned.operations.push(Operation::SetQuota { path, seen: now.seen, from: now.limits, limits });
                    continue;
                }
                (None, _) if free(there) => {
                    made.push(of);
                    planned.operations.push(Operation::CreateQuota { path, limits });
                    continue;
                }
                (None, _) => Reason::NestedQuota,
            },
        };
        planned.skipped.push(Skipped { path, reason });
    }
    planned
}

/// Whether a znode is there once this is done.
fn after(operation: &Operation) -> Option<(&str, bool)> {
    match operation {
        Operation::Create { path, .. } => Some((path, true)),
        Operation::Delete { path, .. } => Some((path, false)),
        _ => None,
    }
}

fn other(of: &str, was: QuotaLimits, there: &BTreeMap<String, Quota>) -> Option<Note> {
    let now = there.get(of).and_then(|now| now.limits);
    (now != Some(was)).then(|| Note::OtherQuota { path: of.to_owned(), was, now })
}

/// Whether one quota would be in the other. One of the root counts nothing.
fn nest(of: &str, other: &str) -> bool {
    other.len() > 1 && of != other && (under(of, other) || under(other, of))
}

/// Whether servers load a quota of this path. They end at limits without one, and look for its end where a name begins as that of limits
/// does; what stands in the place of limits or statistics would be taken for them.
pub(super) fn can_have_a_quota(of: &str) -> bool {
    of.len() > 1 && !of.split('/').any(|name| name.starts_with(LIMITS) || name == STATS)
}
