//! Limits and statistics of quotas, and whether a server can read them.
//!
//! A server updates the statistics with each znode that is created, written or deleted below the quota's path. If it
//! cannot read a number from the text, it ends (`StatsTrack`, the same in 3.8.5 and 3.9.5), also where there is no text
//! at all (null), which for clients looks like an empty one. If either text is unreadable, `monitor` answers only with HTTP 500, and a server that is asked this way looks as if it did not serve.

use zookeeper_files::path::is_at_or_under;

use super::guard::QUOTA;
use crate::restore::limits::QuotaLimits;

/// The znodes that hold them.
const STATS: &str = "/zookeeper_stats";
const LIMITS: &str = "/zookeeper_limits";
/// A readable text without limits: a server counts again when it starts, and nothing is limited.
pub const ANEW: &[u8] = b"count=-1,bytes=-1";

/// The path that a quota is for, by the path of its statistics.
fn limited(statistics: &str) -> Option<&str> {
    statistics.strip_prefix(QUOTA)?.strip_suffix(STATS)
}

/// Whether this znode holds numbers that servers read.
pub fn holds_numbers(path: &str) -> bool {
    path.strip_prefix(QUOTA).is_some_and(|rest| rest.ends_with(STATS) || rest.ends_with(LIMITS))
}

/// Whether a server can certainly read them. It can read an empty text; but so do we read null, at which it ends.
pub fn readable(text: &[u8]) -> bool {
    !text.is_empty() && QuotaLimits::read(text).is_some()
}

/// Takes the next one to reset: one that no other broken quota counts, because writing it would end the servers too.
pub fn next_to_mend(broken: &mut Vec<String>) -> Option<String> {
    let counted = |at: usize| {
        broken.iter().enumerate().any(|(other, statistics)| {
            other != at && limited(statistics).is_some_and(|quota| covers(quota, &broken[at]))
        })
    };
    let free = (0..broken.len()).find(|at| !counted(*at))?;
    Some(broken.swap_remove(free))
}

/// A quota for `/` itself counts nothing.
fn covers(quota: &str, path: &str) -> bool {
    !quota.is_empty() && path != quota && is_at_or_under(path, quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_readable_where_a_server_can_count_by_them() {
        for text in ["count=1,bytes=2", "count=-1,bytes=-1=;byteHardLimit=5", "count==1,bytes=1=", "count=1,,;bytes=2,"]
        {
            assert!(readable(text.as_bytes()), "{text:?}");
        }
        for text in [
            "",
            "x",
            "count=x",
            "bytes=",
            "count==",
            "count=1,x",
            ",count=1",
            "count=1 ",
            "count=99999999999999999999",
            "=",
            ",",
        ] {
            assert!(!readable(text.as_bytes()), "{text:?}");
        }
        assert!(!readable(&[0xff]));
        assert!(readable(ANEW));
    }

    #[test]
    fn one_that_another_broken_quota_counts_is_mended_after_it() {
        let stats = |quota: &str| format!("/zookeeper/quota{quota}/zookeeper_stats");
        let mut broken = vec![stats("/app"), stats("/zookeeper"), stats("")];
        let order: Vec<String> = std::iter::from_fn(|| next_to_mend(&mut broken)).collect();
        assert_eq!(order[0], stats("/zookeeper"));
        assert_eq!((order.len(), broken.len()), (3, 0));
        // Each counts the other: neither can be written.
        let (a, b) = (stats("/zookeeper/quota/zookeeper/quota"), stats("/zookeeper/quota/zookeeper"));
        let mut broken = vec![a, b];
        assert_eq!(next_to_mend(&mut broken), None);
        assert_eq!(broken.len(), 2);
    }

    #[test]
    fn only_what_is_below_the_quotas_holds_their_numbers() {
        assert!(
            holds_numbers("/zookeeper/quota/app/zookeeper_stats") && holds_numbers("/zookeeper/quota/zookeeper_stats")
        );
        assert!(holds_numbers("/zookeeper/quota/app/zookeeper_limits") && !holds_numbers("/zookeeper/quota/app"));
        assert!(!holds_numbers("/app/zookeeper_stats") && !holds_numbers("/zookeeper/zookeeper_limits"));
    }
}
