//! Waits until the names of all members resolve: a server that starts earlier keeps what it failed to learn.
//!
//! `ZooKeeper` 3.8 and 3.9 hang when a leader cannot resolve itself (ZOOKEEPER-4708), and a JVM remembers failures. Names that
//! nobody has agreed on yet can still be put right: a member whose own is one of those is not started before it resolves. One
//! that was went on to lead, and its names, which nobody could look up, were the membership from then on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::model::{ConfigVersion, Membership, ServerId, address};

/// The first lookups follow each other closely: a start is measured against a `StatefulSet` that has none.
const BRISK: Duration = Duration::from_millis(250);
/// After [`PATIENCE`], a name is probably not about to appear.
const CALM: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
const REPORT: Duration = Duration::from_secs(5);
/// One lookup: what the resolver does by itself when a name server does not answer takes longer.
const LOOKUP: Duration = Duration::from_secs(3);

/// Waits for every host of `membership`, at most `bound`; the names that did not resolve by then.
pub async fn wait(membership: &Membership, bound: Duration) -> BTreeSet<String> {
    let mut missing: BTreeSet<String> = membership.servers.values().map(|server| server.host().to_owned()).collect();
    let start = Instant::now();
    let mut reported = start;
    loop {
        missing = unresolved(missing, bound.saturating_sub(start.elapsed()).min(LOOKUP)).await;
        if missing.is_empty() {
            info!(after = ?start.elapsed(), "every member's name resolves");
            return missing;
        }
        if start.elapsed() >= bound {
            warn!(?missing, after = ?bound, "some members' names do not resolve");
            return missing;
        }
        if reported.elapsed() >= REPORT {
            info!(?missing, after = ?start.elapsed(), "waiting for members' names to resolve");
            reported = Instant::now();
        }
        let pause = if start.elapsed() < PATIENCE { BRISK } else { CALM };
        sleep(pause.min(bound.saturating_sub(start.elapsed()))).await;
    }
}

/// Whether a server may start although these names did not resolve. One of version 0 is a founder's list or a joiner's: the name
/// that it has there for itself would become part of the membership.
pub fn may_start(using: &Membership, own: ServerId, missing: &BTreeSet<String>) -> bool {
    using.version > ConfigVersion(0) || using.servers.get(&own).is_some_and(|server| !missing.contains(server.host()))
}

/// What is said of names that did not resolve: to the kubelet, which keeps it for the operator.
pub fn words(missing: &BTreeSet<String>, bound: Duration) -> Option<String> {
    let first = missing.first()?;
    let more = missing.len() - 1;
    let names = if more == 0 { format!("the name {first}") } else { format!("the name {first} and {more} more") };
    Some(format!(
        "{names} did not resolve within {} s: does DNS work, and does the name end in the cluster's DNS domain (the operator's clusterDomain)?",
        bound.as_secs()
    ))
}

async fn unresolved(hosts: BTreeSet<String>, limit: Duration) -> BTreeSet<String> {
    let lookups = hosts.into_iter().map(|host| async move {
        let found = matches!(timeout(limit, resolves(&host)).await, Ok(true));
        (!found).then_some(host)
    });
    join_all(lookups).await.into_iter().flatten().collect()
}

async fn resolves(host: &str) -> bool {
    lookup_host((address::bare(host), 0)).await.is_ok_and(|mut addresses| addresses.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Server;

    fn members(hosts: &[&str]) -> Membership {
        let servers = (1..).map(ServerId).zip(hosts.iter().map(|host| Server::voter(host))).collect();
        Membership { servers, ..Membership::default() }
    }

    #[tokio::test]
    async fn addresses_resolve_at_once() {
        let missing = wait(&members(&["127.0.0.1", "[::1]", "localhost"]), Duration::from_mins(1)).await;
        assert_eq!(missing, BTreeSet::new());
    }

    #[test]
    fn case_25_names_that_do_not_resolve_are_told_in_one_line_of_any_number() {
        let host = |n: u32| format!("zk-{n}.ns.svc.k8s.example");
        let bound = Duration::from_mins(1);
        assert_eq!(words(&BTreeSet::new(), bound), None);
        let one = words(&[host(0)].into(), bound).unwrap();
        assert!(one.starts_with("the name zk-0.ns.svc.k8s.example did not resolve within 60 s"), "{one}");
        assert!(one.contains("clusterDomain") && !one.contains('\n'), "{one}");
        let all = words(&(0..15).map(host).collect(), bound).unwrap();
        assert!(all.starts_with("the name zk-0.ns.svc.k8s.example and 14 more did not") && all.len() < 400, "{all}");
    }

    #[test]
    fn case_25_a_name_that_nobody_has_agreed_on_has_to_resolve_before_its_member_starts() {
        let agreed = |version| Membership { version: ConfigVersion(version), ..members(&["a.k8s.example", "b", "c"]) };
        let missing: BTreeSet<String> = ["a.k8s.example".to_owned()].into();
        assert!(!may_start(&agreed(0), ServerId(1), &missing), "a founder, or one that joins");
        assert!(may_start(&agreed(0), ServerId(2), &missing), "another founder may have no pod yet");
        assert!(may_start(&agreed(0), ServerId(1), &BTreeSet::new()));
        assert!(may_start(&agreed(7), ServerId(1), &missing), "whoever is on record may be needed for a quorum");
    }

    #[tokio::test]
    async fn a_name_that_never_resolves_costs_no_more_than_the_bound() {
        let start = Instant::now();
        let missing = wait(&members(&["127.0.0.1", "nobody.invalid", ""]), Duration::from_millis(300)).await;
        assert_eq!(missing, BTreeSet::from([String::new(), "nobody.invalid".to_owned()]));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
