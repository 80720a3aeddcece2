//! Counting quotas. Servers do it each on their own, log none of it, and count anew when they start.

use std::collections::HashMap;

use crate::replay::tree::{Tree, within};

const QUOTA: &[u8] = b"/zookeeper/quota";
const LIMITS: &[u8] = b"/zookeeper_limits";
const STATS: &[u8] = b"/zookeeper_stats";

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
            for top in limited.iter().filter(|top| within(path, top)) {
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
