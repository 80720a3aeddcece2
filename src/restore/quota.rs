//! Quotas that allow less than a restore needs. Pure.
//!
//! Whether servers enforce quotas (`enforceQuota`), they tell nobody: so this is told, and refuses nothing. They compare each create and
//! each set with the hard limits of the quota that is nearest above, and of that one only.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use crate::restore::limits::QuotaLimits;
use crate::restore::live::Live;
use crate::restore::operation::Operation;
use crate::restore::reason::{Measure, Note};
use crate::restore::scope::parent;
use crate::restore::wanted::Wanted;

/// Where quotas are, at the paths that they are for.
pub const QUOTAS: &str = "/zookeeper/quota";
/// The znode with the limits.
pub const LIMITS: &str = "zookeeper_limits";
/// The znode with what is there.
pub const STATS: &str = "zookeeper_stats";

/// Hard limits, and what is there. A limit that is not set is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// The most znodes, the quota's own path included.
    pub most_znodes: Option<i64>,
    /// The most bytes of data.
    pub most_bytes: Option<i64>,
    /// How many znodes there are.
    pub znodes: i64,
    /// How many bytes.
    pub bytes: i64,
    /// All limits; `None` if no server can read them.
    pub limits: Option<QuotaLimits>,
    /// What tells these limits from later ones.
    pub seen: Seen,
}

/// What tells limits that were read from those that somebody sets later.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// How often they were set.
    pub version: i32,
    /// The transaction that created them.
    pub czxid: Zxid,
    /// The transaction that last set them.
    pub mzxid: Zxid,
}

impl Quota {
    /// As servers read the data of the two znodes: what is not there or no number is no limit.
    pub fn of(limits: &[u8], stats: &[u8], seen: Seen) -> Self {
        let limit = |name| number(limits, name).filter(|limit| *limit >= 0);
        let there = |name| number(stats, name).unwrap_or_default();
        Self {
            most_znodes: limit("countHardLimit"),
            most_bytes: limit("byteHardLimit"),
            znodes: there("count"),
            bytes: there("bytes"),
            limits: QuotaLimits::read(limits),
            seen,
        }
    }
}

/// One number of `count=4,bytes=5=;byteHardLimit=6;countHardLimit=7`.
fn number(text: &[u8], name: &str) -> Option<i64> {
    let pairs = std::str::from_utf8(text).ok()?.split([',', ';']);
    let mut found = pairs.filter_map(|pair| {
        let mut parts = pair.split('=');
        (parts.next() == Some(name)).then(|| parts.next()?.parse().ok()).flatten()
    });
    found.next()
}

#[derive(Default)]
struct Need {
    created: i64,
    /// Whether a counter is raised, by children that come and go.
    raised: bool,
    deleted: i64,
    deleted_bytes: i64,
    more_bytes: i64,
    /// Of the changes that make data shorter, the least.
    fewer_bytes: Option<i64>,
}

/// What a user should know of quotas before these operations are carried out: deletes come first, and what becomes smaller may do so last.
pub(super) fn told(operations: &[Operation], wanted: &Wanted, live: &Live) -> Vec<Note> {
    let Some(quotas) = &live.quotas else {
        let grows = |operation: &Operation| matches!(operation, Operation::Create { .. } | Operation::Set { .. });
        return if operations.iter().any(grows) { vec![Note::QuotasUnknown] } else { Vec::new() };
    };
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let sizes: HashMap<&str, i64> =
        wanted.znodes.iter().map(|(path, znode)| (&**path, length(znode.data.len()))).collect();
    for operation in operations {
        let path = operation.path();
        let Some(of) = nearest(path, quotas) else { continue };
        let need = needs.entry(of).or_default();
        let (now, then) = (live.znodes.get(path).map_or(0, |now| length(now.bytes)), sizes.get(path).copied());
        match operation {
            Operation::Create { .. } => {
                need.created += 1;
                need.more_bytes += then.unwrap_or_default();
            }
            Operation::Set { .. } => match then.unwrap_or_default() - now {
                0 => {}
                more @ 1.. => need.more_bytes += more,
                fewer => need.fewer_bytes = need.fewer_bytes.max(Some(fewer)),
            },
            Operation::Delete { .. } => {
                need.deleted += 1;
                need.deleted_bytes += now;
            }
            Operation::Raise { .. } => need.raised = true,
            // Quotas come last.
            Operation::SetAcl { .. } | Operation::CreateQuota { .. } | Operation::SetQuota { .. } => {}
        }
    }
    needs.iter().filter_map(|(path, need)| Some((*path, quotas.get(*path)?, need))).flat_map(over).collect()
}

fn over((path, quota, need): (&str, &Quota, &Need)) -> Vec<Note> {
    let created = need.created + i64::from(need.raised);
    let znodes = (created > 0).then_some((quota.znodes.saturating_add(created - need.deleted), quota.most_znodes));
    // Shorter data is refused as well, where there is still too much after it.
    let grown = Some(need.more_bytes).filter(|more| *more > 0).or(need.fewer_bytes);
    let bytes = grown.map(|more| (quota.bytes.saturating_add(more - need.deleted_bytes), quota.most_bytes));
    let both = [(Measure::Znodes, znodes), (Measure::Bytes, bytes)].into_iter();
    let over = both.filter_map(|(measure, needed)| {
        let (needs, allows) = needed?;
        let allows = allows.filter(|allows| needs > *allows)?;
        Some(Note::Quota { path: path.to_owned(), measure, needs, allows })
    });
    over.collect()
}

/// The quota that servers count a znode for. One of the root counts nothing.
fn nearest<'q>(path: &str, quotas: &'q BTreeMap<String, Quota>) -> Option<&'q str> {
    let above = std::iter::successors(Some(path), |path| parent(path)).filter(|path| *path != "/");
    above.into_iter().find_map(|path| quotas.get_key_value(path)).map(|(path, _)| &**path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_servers_write_them() {
        let of = |limits: &[u8], stats: &[u8]| Quota { limits: None, ..Quota::of(limits, stats, Seen::default()) };
        let quota = |limits: &str, stats: &str| of(limits.as_bytes(), stats.as_bytes());
        let full = quota("count=-1,bytes=-1=;byteHardLimit=500;countHardLimit=10", "count=3,bytes=40");
        assert_eq!(
            full,
            Quota { most_znodes: Some(10), most_bytes: Some(500), znodes: 3, bytes: 40, ..Quota::default() }
        );
        // Soft limits refuse nothing; what is no number is no limit.
        for text in
            ["count=5,bytes=5", "", "countHardLimit=-1", "countHardLimit=x,byteHardLimit=", "x;=;countHardLimit"]
        {
            assert_eq!(quota(text, ""), Quota::default(), "{text}");
        }
        assert_eq!(of(&[0xff], &[0xff]), Quota::default());
    }
}
