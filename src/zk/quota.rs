//! Limits and statistics of quotas: whether servers can read them, and how they are made and changed.
//!
//! A server updates the statistics with each znode that is created, written or deleted below the quota's path. If it
//! cannot read a number from the text, it ends (`StatsTrack`, the same in 3.8.5 and 3.9.5), also where there is no text
//! at all (null), which for clients looks like an empty one. If either text is unreadable, `monitor` answers only with HTTP 500, and a server that is asked this way looks as if it did not serve.
//!
//! Each member updates its own, without a transaction. It counts anew when it loads a snapshot, and when the statistics are created,
//! whatever a client gives to that create (`DataTree`): so statistics that are deleted and created in one transaction are true on every
//! member at once. When they are set, nobody counts, and a member that starts sets them again if its log is newer than its snapshot.

use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error as ZkError, MultiWriter, Stat};
use zookeeper_files::path::is_at_or_under;

use super::guard::QUOTA;
use super::znodes::{Session, zxid};
use crate::restore::limits::QuotaLimits;
use crate::restore::quota::{LIMITS, QUOTAS, STATS, Seen, Statistics};
use crate::restore::znodes::Failure;

/// A readable text without limits.
pub const NO_LIMITS: &[u8] = b"count=-1,bytes=-1";
/// Statistics of a quota, until the servers count, as soon as they are created.
const NONE_COUNTED: &[u8] = b"count=0,bytes=0";

fn options() -> CreateOptions<'static> {
    CreateMode::Persistent.with_acls(Acls::anyone_read())
}

/// What is in a znode that holds numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbers {
    /// Limits, the same on every member.
    Limits,
    /// Statistics, each member's own.
    Statistics,
}

impl Numbers {
    /// Which of them servers read from a znode of this path.
    pub fn at(path: &str) -> Option<Self> {
        match path.strip_prefix(QUOTA)?.rsplit_once('/')?.1 {
            LIMITS => Some(Self::Limits),
            STATS => Some(Self::Statistics),
            _ => None,
        }
    }

    /// Whether every server can certainly read them. It can read an empty text; but so do we read null, at which it ends.
    pub fn readable(self, text: &[u8], seen: Seen) -> bool {
        match self {
            Self::Limits => !text.is_empty() && QuotaLimits::read(text).is_some(),
            Self::Statistics => Statistics::of(Some((text, seen))) == Statistics::Counted,
        }
    }
}

/// What a server tells of a znode's changes.
pub fn seen(stat: &Stat) -> Seen {
    Seen { version: stat.version, czxid: zxid(stat.czxid), mzxid: zxid(stat.mzxid) }
}

/// The path that a quota is for, by the path of its statistics.
fn limited(statistics: &str) -> Option<&str> {
    statistics.strip_prefix(QUOTA)?.strip_suffix(STATS)?.strip_suffix('/')
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

/// Statistics made anew, as far as they are of this version.
pub fn recount<'c>(client: &'c Client, path: &str, version: i32) -> Result<MultiWriter<'c>, ZkError> {
    let mut multi = client.new_multi_writer();
    multi.add_delete(path, Some(version))?;
    multi.add_create(path, NONE_COUNTED, &options())?;
    Ok(multi)
}

impl Session {
    /// A quota as `setquota` makes it, but with an ACL by which only the super user changes it, and with limits and statistics in one
    /// transaction. Servers count as soon as both are there, whatever stands in the statistics.
    pub(super) async fn create_quota(
        &self,
        client: &Client,
        path: &str,
        limits: &QuotaLimits,
    ) -> Result<Result<(), ZkError>, Failure> {
        let options = options();
        let above = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|above| above.len() > QUOTAS.len());
        for above in above.chain([path]) {
            match self.call(client.create(above, b"", &options)).await? {
                Ok(_) | Err(ZkError::NodeExists) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        let [limits_path, stats_path] = [LIMITS, STATS].map(|name| format!("{path}/{name}"));
        let left = match self.call(client.check_stat(&stats_path)).await? {
            Ok(left) => left,
            Err(error) => return Ok(Err(error)),
        };
        let mut multi = client.new_multi_writer();
        // Statistics that somebody has left without limits: servers count only when they are made.
        let added = left
            .map_or(Ok(()), |left| multi.add_delete(&stats_path, Some(left.version)))
            .and_then(|()| multi.add_create(&limits_path, limits.text().as_bytes(), &options))
            .and_then(|()| multi.add_create(&stats_path, NONE_COUNTED, &options));
        if let Err(error) = added {
            return Ok(Err(error));
        }
        Ok(self.call(async { multi.commit().await.map_err(ZkError::from) }).await?.map(|_| ()))
    }

    /// Sets the limits of a quota, or lets servers count for it, or both, if its limits are those that were seen. ZooKeeper compares versions
    /// alone, and limits that somebody has made anew have the same one: of those, the transactions tell, just before.
    pub(super) async fn change_quota(
        &self,
        client: &Client,
        (path, seen): (&str, Seen),
        limits: Option<&QuotaLimits>,
        counts: bool,
    ) -> Result<Result<(), ZkError>, Failure> {
        let [limits_path, stats_path] = [LIMITS, STATS].map(|name| format!("{path}/{name}"));
        // The server that is asked may be behind.
        if let Err(error) = self.call(client.sync(&limits_path)).await? {
            return Ok(Err(error));
        }
        match self.call(client.check_stat(&limits_path)).await? {
            Ok(Some(stat)) if zxid(stat.czxid) == seen.czxid && zxid(stat.mzxid) == seen.mzxid => {}
            Ok(Some(_)) => return Ok(Err(ZkError::BadVersion)),
            Ok(None) => return Ok(Err(ZkError::NoNode)),
            Err(error) => return Ok(Err(error)),
        }
        let mut multi = client.new_multi_writer();
        let added = match limits {
            Some(limits) => multi.add_set_data(&limits_path, limits.text().as_bytes(), Some(seen.version)),
            None => multi.add_check_version(&limits_path, seen.version),
        };
        let options = options();
        let added =
            added.and_then(|()| if counts { multi.add_create(&stats_path, NONE_COUNTED, &options) } else { Ok(()) });
        if let Err(error) = added {
            return Ok(Err(error));
        }
        Ok(self.call(async { multi.commit().await.map_err(ZkError::from) }).await?.map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use zookeeper_files::ids::Zxid;

    use super::*;

    fn readable(text: &[u8]) -> bool {
        let new = Seen { version: 0, czxid: Zxid(7), mzxid: Zxid(7) };
        let [limits, statistics] = [Numbers::Limits, Numbers::Statistics].map(|numbers| numbers.readable(text, new));
        assert_eq!(limits, statistics);
        limits
    }

    #[test]
    fn statistics_that_a_client_has_set_are_made_anew_and_limits_that_it_has_set_are_its_own() {
        let set = Seen { version: 1, czxid: Zxid(7), mzxid: Zxid(8) };
        let text = b"count=1,bytes=2";
        assert!(Numbers::Limits.readable(text, set) && !Numbers::Statistics.readable(text, set));
    }

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
        assert!(readable(NO_LIMITS) && readable(NONE_COUNTED));
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
        for (path, numbers) in [
            ("/zookeeper/quota/app/zookeeper_stats", Some(Numbers::Statistics)),
            ("/zookeeper/quota/zookeeper_stats", Some(Numbers::Statistics)),
            ("/zookeeper/quota/app/zookeeper_limits", Some(Numbers::Limits)),
            ("/zookeeper/quota/app/zookeeper_stats/zookeeper_limits", Some(Numbers::Limits)),
            ("/zookeeper/quota/app", None),
            ("/zookeeper/quota/app/zookeeper_stats/a", None),
            ("/app/zookeeper_stats", None),
            ("/zookeeper/zookeeper_limits", None),
        ] {
            assert_eq!(Numbers::at(path), numbers, "{path}");
        }
    }
}
