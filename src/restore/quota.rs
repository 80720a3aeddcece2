//! Quotas that allow less than a restore needs, and those below which nothing may be changed. Pure.
//!
//! Whether servers enforce quotas (`enforceQuota`), they tell nobody: so this is told, and refuses nothing. They compare each create and
//! each set with the hard limits of the quota that is nearest above, and of that one only. For the same one they count each create, set
//! and delete, whether they enforce it or not: a server that cannot read the statistics then ends, and ends again at each start. So none
//! of those is ever planned.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use crate::restore::hash::Sum;
use crate::restore::limits::QuotaLimits;
use crate::restore::live::{Live, LiveZnode};
use crate::restore::operation::Operation;
use crate::restore::reason::{Measure, Note};
use crate::restore::scope::{OWN, parent};
use crate::restore::wanted::Wanted;

/// Where quotas are, at the paths that they are for.
pub const QUOTAS: &str = "/zookeeper/quota";
/// The znode with the limits.
pub const LIMITS: &str = "zookeeper_limits";
/// The znode with what is there.
pub const STATS: &str = "zookeeper_stats";

/// Znodes below [`QUOTAS`], without limits and statistics, and more than anybody has: each is a request to whoever reads them.
pub const MOST_QUOTAS: usize = 10_000;

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
    /// Whether servers can go on counting.
    pub statistics: Statistics,
    /// Whether the limits have children. Servers that load such a quota from a snapshot do not see it.
    pub odd: bool,
    /// All limits; `None` if no server can read them.
    pub limits: Option<QuotaLimits>,
    /// What tells these limits from later ones.
    pub seen: Seen,
}

/// The znode in which servers count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Statistics {
    /// It has numbers.
    #[default]
    Counted,
    /// It is not there: servers count nothing, and enforce nothing.
    Missing,
    /// Some server may not be able to read it: a client has set it, or the one that was asked has no numbers there. None at all (null) ends
    /// a server too, and cannot be told from an empty text, which would not.
    Unreadable,
}

impl Statistics {
    /// By the text that one server has, and by what all have of its changes.
    pub fn of(stats: Option<(&[u8], Seen)>) -> Self {
        match stats {
            None => Self::Missing,
            Some(([], _)) => Self::Unreadable,
            Some((_, seen)) if seen.was_set() => Self::Unreadable,
            Some((text, _)) => QuotaLimits::read(text).map_or(Self::Unreadable, |_| Self::Counted),
        }
    }
}

/// What tells limits that were read from those that somebody sets later, or makes anew.
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

impl Seen {
    /// Of a znode that was read.
    pub fn of(znode: &LiveZnode) -> Self {
        Self { version: znode.version, czxid: znode.czxid, mzxid: znode.mzxid }
    }

    pub(super) fn sum(self, sum: &mut Sum) {
        sum.number(self.version.into()).zxid(self.czxid).zxid(self.mzxid);
    }

    /// Whether a client has set it since it was created, in a transaction of its own or in that which created it.
    pub fn was_set(self) -> bool {
        self.version != 0 || self.mzxid != self.czxid
    }
}

impl Quota {
    /// As servers read the data of the two znodes, of which the second may not be there: what is no number is no limit.
    pub fn of(limits: &[u8], stats: Option<(&[u8], Seen)>, seen: Seen) -> Self {
        let there = |name| stats.and_then(|(text, _)| number(text, name)).unwrap_or_default();
        // None at all (null) cannot be told from an empty text, which a server could read.
        let limits = QuotaLimits::read(limits).filter(|_| !limits.is_empty());
        Self {
            most_znodes: limits.and_then(|limits| limits.hard_znodes),
            most_bytes: limits.and_then(|limits| limits.hard_bytes),
            znodes: there("count"),
            bytes: there("bytes"),
            statistics: Statistics::of(stats),
            odd: false,
            limits,
            seen,
        }
    }
}

/// One number of `count=4,bytes=5=;byteHardLimit=6;countHardLimit=7`; of two of a name servers take the last.
fn number(text: &[u8], name: &str) -> Option<i64> {
    let pairs = std::str::from_utf8(text).ok()?.split([',', ';']);
    let mut found = pairs.filter_map(|pair| {
        let mut parts = pair.split('=');
        (parts.next() == Some(name)).then(|| parts.next()?.parse().ok()).flatten()
    });
    found.next_back()
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
    /// Whether servers that enforce quotas look at the limits: they do not for what is deleted.
    checked: bool,
}

/// What a user should know of quotas before these operations are carried out: deletes come first, and what becomes smaller may do so last.
pub(super) fn told(operations: &[Operation], wanted: &Wanted, live: &Live) -> Vec<Note> {
    let Some(quotas) = &live.quotas else {
        return if operations.iter().any(Operation::is_counted) { vec![Note::QuotasUnknown] } else { Vec::new() };
    };
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let sizes: HashMap<&str, i64> =
        wanted.znodes.iter().map(|(path, znode)| (&**path, length(znode.data.len()))).collect();
    for operation in operations {
        let path = operation.path();
        let Some((of, _)) = nearest(path, quotas) else { continue };
        let need = needs.entry(of).or_default();
        need.checked |= operation.is_checked();
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
            Operation::SetAcl { .. }
            | Operation::CreateQuota { .. }
            | Operation::SetQuota { .. }
            | Operation::CountQuota { .. } => {}
        }
    }
    // Limits of which none becomes lower are there before all this.
    let first = operations.iter().filter_map(|operation| match operation {
        Operation::SetQuota { limits, .. } if operation.stage().0 == 0 => Some((operation.quota_of()?, *limits)),
        _ => None,
    });
    let first: HashMap<&str, QuotaLimits> = first.collect();
    let then = |path: &str, now: &Quota| {
        first.get(path).map_or(*now, |limits| Quota {
            most_znodes: limits.hard_znodes,
            most_bytes: limits.hard_bytes,
            limits: Some(*limits),
            ..*now
        })
    };
    needs.iter().filter_map(|(path, need)| Some((*path, then(path, quotas.get(*path)?), need))).flat_map(over).collect()
}

fn over((path, quota, need): (&str, Quota, &Need)) -> Vec<Note> {
    if quota.limits.is_none() && need.checked {
        return vec![Note::UnreadableLimits { path: path.to_owned() }];
    }
    // Without numbers nothing is refused.
    if quota.statistics != Statistics::Counted {
        return Vec::new();
    }
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
fn nearest<'q>(path: &str, quotas: &'q BTreeMap<String, Quota>) -> Option<(&'q str, &'q Quota)> {
    if quotas.is_empty() {
        return None;
    }
    let path = without_blanks(path);
    at_and_above(&path).find_map(|path| quotas.get_key_value(path)).map(|(path, quota)| (&**path, quota))
}

/// A path and those above, but for the root's.
pub(super) fn at_and_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| parent(path)).filter(|path| *path != "/")
}

/// Servers leave names of spaces alone out before they look for quotas (`PathTrie`).
fn without_blanks(path: &str) -> Cow<'_, str> {
    let is_blank = |name: &&str| name.chars().all(|letter| letter == ' ');
    let names = || path.split('/').skip(1);
    if !names().any(|name| is_blank(&name)) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(names().filter(|name| !is_blank(name)).fold(String::new(), |path, name| format!("{path}/{name}")))
}

/// The quota that a change of this znode would count for, if that might end a server.
pub(super) fn unreadable<'q>(path: &str, live: &'q Live) -> Option<&'q str> {
    let quotas = live.quotas.as_ref()?;
    if quotas.is_empty() {
        return None;
    }
    let path = without_blanks(path);
    if let Some(stray) = at_and_above(&path).find_map(|path| live.stray_quotas.get(path)) {
        return Some(stray);
    }
    for (of, quota) in at_and_above(&path).filter_map(|path| quotas.get_key_value(path)) {
        if quota.statistics == Statistics::Unreadable {
            return Some(of);
        }
        // Some servers count for this one, and others for the next.
        if !quota.odd {
            return None;
        }
    }
    None
}

/// The paths whose statistics servers may count in because they take limits at another one for theirs, and of which some server may not be
/// able to read them: a path without its names of spaces, and, when they load a snapshot, as far as the first place where the name of
/// limits begins.
pub(super) fn strays<'q>(
    limited: impl Iterator<Item = &'q str>,
    statistics: &BTreeMap<String, Statistics>,
) -> BTreeSet<String> {
    let limits = format!("/{LIMITS}");
    let taken = limited.flat_map(|of| {
        let loaded = of.split(&limits).next().filter(|loaded| *loaded != of);
        let blank = Some(of).filter(|of| matches!(without_blanks(of), Cow::Owned(_)));
        loaded.into_iter().chain(blank).map(|of| without_blanks(of).into_owned())
    });
    taken.filter(|of| statistics.get(of) == Some(&Statistics::Unreadable)).collect()
}

/// Whether servers take the delete of this znode for that of a quota's limits, and end: from the path of its parent, which only has to begin
/// with the letters `/zookeeper`, they cut as many as `/zookeeper/quota` has (`DataTree`). Where there are more, a quota of another path is
/// forgotten. What is created or set is compared with `/zookeeper/quota`, where nothing of ours is: so it could be made, and would be a trap
/// for whoever deletes it.
pub(super) fn is_taken_for_limits(path: &str) -> bool {
    path.strip_suffix(LIMITS).is_some_and(|above| above.starts_with(OWN) && above.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As of what was created, and never set.
    const NEW: Seen = Seen { version: 0, czxid: Zxid(7), mzxid: Zxid(7) };

    #[test]
    fn limits_are_read_as_servers_write_them() {
        let of = |limits: &[u8], stats: &[u8]| Quota {
            limits: None,
            seen: Seen::default(),
            ..Quota::of(limits, Some((stats, NEW)), NEW)
        };
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
            assert_eq!(quota(text, "count=0"), Quota::default(), "{text}");
        }
        assert_eq!(of(&[0xff], b"bytes=0"), Quota::default());
        // Of two of a name the last counts.
        let twice =
            quota("countHardLimit=3,countHardLimit=4,byteHardLimit=5,byteHardLimit=-1", "count=1,bytes=1,count=2");
        assert_eq!(twice, Quota { most_znodes: Some(4), znodes: 2, bytes: 1, ..Quota::default() });
    }

    #[test]
    fn of_statistics_what_is_not_there_and_what_no_server_can_read_are_two_things() {
        let statistics = |stats: Option<&[u8]>| Quota::of(b"", stats.map(|stats| (stats, NEW)), NEW).statistics;
        assert_eq!(statistics(None), Statistics::Missing);
        for good in ["count=3,bytes=40", "count=-1,bytes=-1", "count=3,bytes=4=;x=1"] {
            assert_eq!(statistics(Some(good.as_bytes())), Statistics::Counted, "{good}");
        }
        for bad in ["", "x", "count=", "count=3,bytes=forty", "count=3,bytes"] {
            assert_eq!(statistics(Some(bad.as_bytes())), Statistics::Unreadable, "{bad}");
        }
        assert_eq!(statistics(Some(&[0xff])), Statistics::Unreadable);
    }

    #[test]
    fn statistics_that_a_client_has_set_are_those_of_one_server_alone() {
        let statistics = |version, mzxid| {
            let seen = Seen { version, mzxid: Zxid(mzxid), ..NEW };
            Statistics::of(Some((b"count=3,bytes=40", seen)))
        };
        assert_eq!(statistics(0, 7), Statistics::Counted);
        // Also within the transaction that created it, or as often as there are versions.
        for (version, mzxid) in [(1, 8), (1, 7), (0, 8), (-1, 8)] {
            assert_eq!(statistics(version, mzxid), Statistics::Unreadable, "{version} {mzxid}");
        }
    }

    #[test]
    fn servers_may_count_in_statistics_of_a_path_whose_limits_stand_elsewhere() {
        let statistics = ["/app", "/b", "/deep/zookeeper_limits/x"].map(|of| (of.to_owned(), Statistics::Unreadable));
        let statistics = statistics.into_iter().chain([("/good".to_owned(), Statistics::Counted)]).collect();
        let of = |limited: &'static str| strays([limited].into_iter(), &statistics).into_iter().next();
        assert_eq!(
            [of("/app/ "), of("/ /app"), of("/app/zookeeper_limits/x")],
            [const { Some("/app") }; 3].map(|of| of.map(str::to_owned))
        );
        assert_eq!(of("/b/zookeeper_limits-x").as_deref(), Some("/b"));
        // Those that stand where they belong are no strays.
        assert_eq!([of("/app"), of("/good/ "), of("/other/ "), of("/zookeeper_limits")], [const { None }; 4]);
    }

    #[test]
    fn what_is_taken_for_limits_has_their_name_and_a_parent_whose_path_begins_as_their_own() {
        for path in ["/zookeeper-a", "/zookeeperx/y", "/zookeeper-123456/app"] {
            assert!(is_taken_for_limits(&format!("{path}/zookeeper_limits")), "{path}");
        }
        for path in [
            "/zookeeper_limits",
            "/a/zookeeper_limits",
            "/zookeeper-a/zookeeper_limit",
            "/zookeeper-a/x_zookeeper_limits",
        ] {
            assert!(!is_taken_for_limits(path), "{path}");
        }
    }

    #[test]
    fn a_znode_counts_for_the_nearest_quota_as_servers_name_it() {
        let quotas = ["/app", "/app/a/b"].map(|of| (of.to_owned(), Quota::default())).into();
        let of = |path| nearest(path, &quotas).map(|(of, _)| of);
        assert_eq!([of("/app"), of("/app/x"), of("/app/a"), of("/app/ /a")], [Some("/app"); 4]);
        assert_eq!([of("/app/a/b"), of("/app/a/b/c"), of("/ /app/a/  /b"), of("/app/a/b/ ")], [Some("/app/a/b"); 4]);
        assert_eq!([of("/"), of("/ "), of("/appl"), of("/b/app")], [None; 4]);
    }
}
