//! Waits until the names of all members resolve: a server that starts earlier keeps what it failed to learn.
//!
//! `ZooKeeper` 3.8 and 3.9 hang when a leader cannot resolve itself (ZOOKEEPER-4708), and a JVM remembers failures. Names that
//! nobody has agreed on yet can still be put right: a member whose own is one of those is not started before it resolves. One
//! that was went on to lead, and its names, which nobody could look up, were the membership from then on.

use std::collections::BTreeMap;
use std::net::IpAddr;
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
/// One lookup at first, when a lost packet is likelier than a slow answer.
const LOOKUP: Duration = Duration::from_secs(3);
/// And after [`PATIENCE`]: behind a name server that is down, each question takes the resolver 5 s.
const SLOW_LOOKUP: Duration = Duration::from_secs(20);

/// Hosts that did not resolve, each with why.
pub type Missing = BTreeMap<String, Why>;

/// Why a host counts as one that does not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody knows it.
    Nowhere,
    /// No name server has ever answered.
    Unanswered,
    /// It leads here by one of the pod's search domains alone.
    Elsewhere(IpAddr),
}

/// Waits for every host of `membership`, at most `bound`; those that did not resolve by then.
pub async fn wait(membership: &Membership, bound: Duration) -> Missing {
    let hosts = membership.servers.values().map(|server| (server.host().to_owned(), Why::Unanswered));
    let mut missing: Missing = hosts.collect();
    let start = Instant::now();
    let mut reported = start;
    loop {
        let limit = if start.elapsed() < PATIENCE { LOOKUP } else { SLOW_LOOKUP };
        missing = unresolved(missing, bound.saturating_sub(start.elapsed()).min(limit)).await;
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
pub fn may_start(using: &Membership, own: ServerId, missing: &Missing) -> bool {
    using.version > ConfigVersion(0)
        || using.servers.get(&own).is_some_and(|server| !missing.contains_key(server.host()))
}

/// Why a member is not started.
pub fn refusal(using: &Membership, own: ServerId, missing: &Missing, bound: Duration) -> Option<String> {
    let words = words(using, own, missing, bound)?;
    (!may_start(using, own, missing))
        .then(|| format!("{words} A new member is not started until its own name resolves, and is tried again."))
}

/// What is said of names that did not resolve, the member's own first: to the kubelet, which keeps it for the operator.
pub fn words(using: &Membership, own: ServerId, missing: &Missing, bound: Duration) -> Option<String> {
    let own = using.servers.get(&own).and_then(|server| missing.get_key_value(server.host()));
    let (first, why) = own.or_else(|| missing.first_key_value())?;
    let more = missing.len() - 1;
    let names = if more == 0 { format!("the name {first}") } else { format!("the name {first} and {more} more") };
    let seconds = bound.as_secs();
    Some(match why {
        Why::Nowhere => format!(
            "{names} did not resolve within {seconds} s: check that the operator's clusterDomain is the cluster's DNS domain (the pod's /etc/resolv.conf says: search svc.DOMAIN)."
        ),
        Why::Unanswered => format!(
            "of {names} no name server has said anything within {seconds} s: check that the pod reaches DNS (a NetworkPolicy, a mesh whose proxy does not run yet, a name server that is down)."
        ),
        Why::Elsewhere(address) => format!(
            "{names} leads to {address}, by a search domain in which every name has an answer, and to no Service: check that the operator's clusterDomain is the cluster's DNS domain, and that dnsConfig of podTemplate leaves ndots as it is."
        ),
    })
}

async fn unresolved(hosts: Missing, limit: Duration) -> Missing {
    let lookups = hosts.into_iter().map(|(host, before)| async move {
        let bare = address::bare(&host);
        let why = if bare.parse::<IpAddr>().is_ok() {
            None
        } else {
            // The dot at its end keeps the search domains out.
            let absolute = format!("{bare}.");
            let (found, absolute) = tokio::join!(addresses(bare, limit), addresses(&absolute, limit));
            judge(before, found.as_deref(), absolute.as_deref())
        };
        why.map(|why| (host, why))
    });
    join_all(lookups).await.into_iter().flatten().collect()
}

/// What a name leads to, as the server will look it up, and without search domains. Where there is no answer this time, the one from
/// before counts: the last lookup has next to no time.
fn judge(before: Why, found: Option<&[IpAddr]>, absolute: Option<&[IpAddr]>) -> Option<Why> {
    let (Some(found), Some(absolute)) = (found, absolute) else { return Some(before) };
    let first = found.first().copied();
    let known = found.iter().any(|address| absolute.contains(address));
    (!known).then(|| first.map_or(Why::Nowhere, Why::Elsewhere))
}

/// None of them where the resolver says that there are none; `None` where it has not said anything.
async fn addresses(host: &str, limit: Duration) -> Option<Vec<IpAddr>> {
    match timeout(limit, lookup_host((host, 0))).await {
        Ok(Ok(found)) => Some(found.map(|address| address.ip()).collect()),
        Ok(Err(_)) => Some(Vec::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Server;

    fn members(hosts: &[&str]) -> Membership {
        let servers = (1..).map(ServerId).zip(hosts.iter().map(|host| Server::voter(host))).collect();
        Membership { servers, ..Membership::default() }
    }

    fn nowhere(hosts: &[&str]) -> Missing {
        hosts.iter().map(|host| ((*host).to_owned(), Why::Nowhere)).collect()
    }

    #[tokio::test]
    async fn addresses_resolve_at_once() {
        assert_eq!(wait(&members(&["127.0.0.1", "[::1]"]), Duration::from_mins(1)).await, Missing::new());
    }

    #[test]
    fn case_25_names_that_do_not_resolve_are_told_in_one_line_of_any_number() {
        let hosts: Vec<String> = (0..15).map(|n| format!("zk-{n}.ns.svc.k8s.example")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let (all, bound) = (members(&hosts), Duration::from_mins(1));
        let said = |own, missing: &[&str]| words(&all, ServerId(own), &nowhere(missing), bound);
        assert_eq!(said(1, &[]), None);
        let one = said(1, &hosts[..1]).unwrap();
        assert!(one.starts_with("the name zk-0.ns.svc.k8s.example did not resolve within 60 s"), "{one}");
        assert!(one.contains("clusterDomain") && !one.contains('\n'), "{one}");
        let many = said(3, &hosts).unwrap();
        assert!(many.starts_with("the name zk-2.ns.svc.k8s.example and 14 more did not"), "its own first: {many}");
        let refused = refusal(&all, ServerId(3), &nowhere(&hosts), bound).unwrap();
        assert!(refused.ends_with("is tried again.") && refused.len() < 450, "{refused}");
    }

    #[test]
    fn case_25_a_name_that_nobody_has_agreed_on_has_to_resolve_before_its_member_starts() {
        let agreed = |version| Membership { version: ConfigVersion(version), ..members(&["a.k8s.example", "b", "c"]) };
        let missing = nowhere(&["a.k8s.example"]);
        assert!(!may_start(&agreed(0), ServerId(1), &missing), "a founder, or one that joins");
        assert!(may_start(&agreed(0), ServerId(2), &missing), "another founder may have no pod yet");
        assert!(may_start(&agreed(0), ServerId(1), &Missing::new()));
        assert!(may_start(&agreed(7), ServerId(1), &missing), "whoever is on record may be needed for a quorum");
        assert_eq!(refusal(&agreed(7), ServerId(1), &missing, LOOKUP), None);
    }

    #[test]
    fn a_name_that_leads_elsewhere_by_a_search_domain_does_not_resolve() {
        let [service, stranger]: [IpAddr; 2] = ["10.96.0.7".parse().unwrap(), "10.9.9.9".parse().unwrap()];
        let judge = |found: &[IpAddr], absolute: &[IpAddr]| judge(Why::Unanswered, Some(found), Some(absolute));
        assert_eq!(judge(&[service], &[service]), None);
        assert_eq!(judge(&[stranger, service], &[service]), None, "of two families one is enough");
        assert_eq!(judge(&[], &[service]), Some(Why::Nowhere), "the server would not find it");
        assert_eq!(judge(&[stranger], &[service]), Some(Why::Elsewhere(stranger)), "a wildcard comes first");
        assert_eq!(judge(&[stranger], &[]), Some(Why::Elsewhere(stranger)), "and the domain is wrong");
        for before in [Why::Unanswered, Why::Nowhere] {
            assert_eq!(super::judge(before, None, Some(&[service])), Some(before), "silence says nothing new");
        }
        let missing = [("a.k8s.example".to_owned(), Why::Elsewhere(stranger))].into();
        let said = words(&members(&["a.k8s.example"]), ServerId(1), &missing, LOOKUP).unwrap();
        assert!(said.contains("leads to 10.9.9.9") && said.contains("ndots"), "{said}");
    }

    #[tokio::test]
    async fn a_name_that_never_resolves_costs_no_more_than_the_bound() {
        let start = Instant::now();
        let missing = wait(&members(&["127.0.0.1", "nobody.invalid", ""]), Duration::from_millis(300)).await;
        assert!(missing.keys().eq(["", "nobody.invalid"]), "{missing:?}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
