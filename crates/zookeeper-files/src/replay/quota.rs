//! Quotas. Each server counts them itself, does not log the counts, and counts again when it loads a snapshot.
//!
//! To count, servers parse the data of a znode that clients can write. If they cannot parse it, they stop at the next change
//! below the quota's path, and again whenever they replay that change.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::ids::Zxid;
use crate::jute::Text;
use crate::path::{is_at_or_under, parent, rest};
use crate::replay::tree::Tree;

const ZOOKEEPER: &[u8] = b"/zookeeper";
const QUOTA: &[u8] = b"/zookeeper/quota";
const LIMITS: &[u8] = b"/zookeeper_limits";
const STATS: &[u8] = b"/zookeeper_stats";

/// A transaction that stops every server that applies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatalChange {
    /// The transaction; 0 for the snapshot itself.
    pub zxid: Zxid,
    /// The path that it changes.
    pub path: String,
    /// Why a server stops.
    pub cause: FatalCause,
}

/// Why a server stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FatalCause {
    /// A client wrote statistics of this quota that servers cannot parse.
    Statistics(String),
    /// There are limits at a path that belongs to no quota.
    Limits,
}

impl fmt::Display for FatalChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.zxid.0 == 0 {
            write!(f, "no server starts on the snapshot, which has {}: ", self.path)?;
        } else {
            write!(f, "the change of {} by {:#} ends every server that applies it: ", self.path, self.zxid)?;
        }
        match &self.cause {
            FatalCause::Statistics(stats) => {
                write!(f, "it counts for a quota, and {stats} was set to what is no statistics")
            }
            FatalCause::Limits => f.write_str("limits stand there that are of no path"),
        }
    }
}

/// A server's state of quotas, besides the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas {
    /// Paths that have limits.
    limited: HashSet<Box<[u8]>>,
    /// Paths whose statistics cannot be parsed.
    spoiled: HashSet<Box<[u8]>>,
    pub(crate) fatal: Option<FatalChange>,
}

impl Quotas {
    /// As a server that loads a snapshot: it counts anew, whatever the statistics were. It looks for limits among the leaves
    /// below the quotas, and takes for their path what stands before the first place that could be their name:
    /// `/zookeeper_limits-x/zookeeper_limits` are limits of nothing, and end it.
    pub(crate) fn of_snapshot<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Self {
        let below = |path: &'p [u8]| rest(path, QUOTA).filter(|of| !of.is_empty());
        let all: Vec<&[u8]> = paths.filter_map(below).collect();
        let above: HashSet<&[u8]> = all.iter().filter_map(|of| parent(of)).collect();
        let mut limits: Vec<&[u8]> = all.into_iter().filter(|of| of.ends_with(LIMITS) && !above.contains(of)).collect();
        // The same is named each time.
        limits.sort_unstable();
        let mut quotas = Self::default();
        for of in limits {
            let end = of.windows(LIMITS.len()).position(|part| part == LIMITS).unwrap_or_default();
            if end == 0 {
                quotas.end(Zxid(0), &[QUOTA, of].concat(), FatalCause::Limits);
            }
            quotas.limited.insert(of[..end].into());
        }
        quotas
    }

    #[inline]
    pub(crate) fn created(&mut self, zxid: Zxid, path: &[u8]) {
        if let Some(of) = path.strip_prefix(QUOTA) {
            match of.strip_suffix(LIMITS) {
                Some([]) => self.end(zxid, path, FatalCause::Limits),
                Some(of) => {
                    self.limited.insert(of.into());
                }
                None => {}
            }
            if let Some(of) = of.strip_suffix(STATS) {
                self.spoiled.remove(of);
            }
        }
        self.count(zxid, path);
    }

    #[inline]
    pub(crate) fn set(&mut self, zxid: Zxid, path: &[u8], data: Option<&[u8]>) {
        if let Some(of) = path.strip_prefix(QUOTA).and_then(|of| of.strip_suffix(STATS)) {
            if data.is_some_and(is_readable) {
                self.spoiled.remove(of);
            } else {
                self.spoiled.insert(of.into());
            }
        }
        self.count(zxid, path);
    }

    #[inline]
    pub(crate) fn deleted(&mut self, zxid: Zxid, path: &[u8]) {
        if path.starts_with(ZOOKEEPER)
            && let Some(above) = path.strip_suffix(LIMITS)
        {
            // It cuts as many bytes off as /zookeeper/quota has, whatever stands there.
            match above.get(QUOTA.len()..) {
                None | Some([]) => self.end(zxid, path, FatalCause::Limits),
                Some(of) => {
                    self.limited.remove(of);
                }
            }
        }
        if let Some(of) = path.strip_prefix(QUOTA).and_then(|of| of.strip_suffix(STATS)) {
            self.spoiled.remove(of);
        }
        self.count(zxid, path);
    }

    /// Counts for the quota that is nearest above.
    fn count(&mut self, zxid: Zxid, path: &[u8]) {
        if self.spoiled.is_empty() || self.fatal.is_some() {
            return;
        }
        let above = std::iter::successors(Some(path), |path| parent(path).filter(|parent| !parent.is_empty()));
        if let Some(of) = above.into_iter().find(|path| self.limited.contains(*path))
            && self.spoiled.contains(of)
        {
            let stats = Text(&[QUOTA, of, STATS].concat()).to_string();
            self.end(zxid, path, FatalCause::Statistics(stats));
        }
    }

    fn end(&mut self, zxid: Zxid, path: &[u8], cause: FatalCause) {
        self.fatal.get_or_insert_with(|| FatalChange { zxid, path: Text(path).to_string(), cause });
    }
}

/// Whether a server of 3.9 can read statistics: `count=4,bytes=5`, with `;` for `,` and more of the kind.
fn is_readable(data: &[u8]) -> bool {
    let text = Text(data).decode();
    let mut pairs: Vec<&str> = text.split([',', ';']).collect();
    while pairs.last().is_some_and(|pair| pair.is_empty()) {
        pairs.pop();
    }
    let leads = pairs.first().is_some_and(|first| first.is_empty());
    let number = |pair: &str| match pair.trim_end_matches('=').split('=').nth(1) {
        Some("") => true,
        Some(number) => number.parse::<i64>().is_ok(),
        None => false,
    };
    !leads && pairs.into_iter().filter(|pair| !pair.is_empty()).all(number)
}

/// The data that a server gives to the znodes `zookeeper_stats`, by their paths.
pub(crate) fn counted(tree: &Tree) -> HashMap<Vec<u8>, Vec<u8>> {
    let limited: Vec<&[u8]> = tree
        .nodes
        .keys()
        .filter_map(|path| path.strip_prefix(QUOTA)?.strip_suffix(LIMITS))
        .filter(|path| tree.nodes.contains_key(&[QUOTA, path, STATS].concat()[..]))
        .collect();
    let mut counts: HashMap<&[u8], (u64, u64)> = limited.iter().map(|&path| (path, (0, 0))).collect();
    if !limited.is_empty() {
        for (path, node) in &tree.nodes {
            for top in limited.iter().filter(|top| is_at_or_under(path, top)) {
                let (count, bytes) = counts.entry(top).or_default();
                *count += 1;
                *bytes += node.data().map_or(0, <[u8]>::len) as u64;
            }
        }
    }
    let stats = |(path, (count, bytes)): (&[u8], (u64, u64))| {
        ([QUOTA, path, STATS].concat(), format!("count={count},bytes={bytes}").into_bytes())
    };
    counts.into_iter().map(stats).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_as_a_server_reads_them() {
        for good in ["", "count=4,bytes=5", "count=4,bytes=5=;countHardLimit=10", "a=-1", "a==", "a=+1", "a==5", ","] {
            assert_eq!(is_readable(good.as_bytes()), good != "a==", "{good}");
        }
        for bad in ["x", "x=", "=", "a=b", "a= 1", ",a=1", "a=1,x", "a=99999999999999999999"] {
            assert!(!is_readable(bad.as_bytes()), "{bad}");
        }
    }
}
