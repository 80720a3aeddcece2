//! Waits until the names of all members resolve: a server that starts earlier remembers its failures.
//!
//! `ZooKeeper` 3.8 and 3.9 hang if a leader cannot resolve its own name (ZOOKEEPER-4708), and a JVM remembers failures.
//! Names that nobody has agreed on yet can still be corrected: a member with such a name is not started before it
//! resolves. One that was started became leader, and its names, which nobody could look up, were the membership from
//! then on.
//!
//! A name can also lead to where it led before: DNS caches have the address of a deleted Service for up to their TTL, 30 s by
//! default, and each name server has a cache of its own. A founder that starts with such an address for itself commits nothing
//! once it leads (`plan/mute`). So names that nobody has agreed on yet are waited for until they lead to the Services that there
//! are, and nothing else has been answered for a while. Who waits in vain starts all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::model::{Addresses, ConfigVersion, Membership, Server, ServerId, address};

use super::seed::Seed;

/// The first lookups follow each other closely: a start is compared with that of a `StatefulSet` without any.
const BRISK: Duration = Duration::from_millis(250);
/// After [`PATIENCE`], a name will probably not appear soon.
const CALM: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// So long after the last answer from a cache that is old, none is: some twenty lookups, each at any of the name servers.
const STEADY: Duration = Duration::from_secs(5);
const REPORT: Duration = Duration::from_secs(5);
/// One lookup at first, when a lost packet is likelier than a slow answer.
const LOOKUP: Duration = Duration::from_secs(3);
/// One lookup after [`PATIENCE`]: with a name server that is down, each question takes the resolver 5 s.
const SLOW_LOOKUP: Duration = Duration::from_secs(20);
/// Where the kubelet writes `hostAliases`.
const HOSTS: &str = "/etc/hosts";
/// How much of it is read.
const HOSTS_LIMIT: u64 = 1 << 20;

/// Hosts that did not resolve, each with why.
pub type Missing = BTreeMap<String, Why>;

/// Why a host counts as one that does not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no such name.
    Nowhere,
    /// No name server has ever answered.
    Unanswered,
    /// The resolver reported an error.
    Failed,
    /// It resolves only in one of the pod's search domains.
    Elsewhere(IpAddr),
    /// It leads to another address than its Service has.
    Stale(IpAddr),
}

/// What the resolver says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// Its addresses; none if nobody knows the name.
    Addresses(Vec<IpAddr>),
    /// It could not find out.
    Failed,
    /// It did not answer in time.
    Silence,
}

/// Waits for every host of `membership`, for at most `bound`; returns those that did not resolve by then.
pub async fn wait(membership: &Membership, seed: &Seed, bound: Duration) -> Missing {
    let ours = ours(membership, seed, &hosts_file());
    // Whoever is on record takes its own address from the same list as that of the others, whatever it is.
    let none = Addresses::new();
    let told = if membership.version == ConfigVersion(0) { &seed.addresses } else { &none };
    let hosts = membership.servers.values().map(|server| (server.host().to_owned(), Why::Unanswered));
    let all: Missing = hosts.collect();
    let (mut missing, mut steady) = (all.clone(), Steady::default());
    let start = Instant::now();
    let mut reported = start;
    loop {
        let limit = if start.elapsed() < PATIENCE { LOOKUP } else { SLOW_LOOKUP };
        missing = unresolved(missing, &ours, told, bound.saturating_sub(start.elapsed()).min(limit)).await;
        let settling = !steady.is(&missing, Instant::now());
        if missing.is_empty() && !settling {
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
        let pause = if settling || start.elapsed() < PATIENCE { BRISK } else { CALM };
        sleep(pause.min(bound.saturating_sub(start.elapsed()))).await;
        if settling {
            // Also those that were right a moment ago: another name server may answer.
            let again = all.iter().map(|(host, why)| (host.clone(), missing.get(host).copied().unwrap_or(*why)));
            missing = again.collect();
        }
    }
}

/// Whether answers have come from caches that are old, and when the last of them did.
#[derive(Default)]
struct Steady(Option<Instant>);

impl Steady {
    /// After these answers.
    fn is(&mut self, missing: &Missing, now: Instant) -> bool {
        // Two answers that differ may be of two caches, the one old and the other not.
        if missing.values().any(|why| matches!(why, Why::Stale(_) | Why::Elsewhere(_))) {
            self.0 = Some(now);
        }
        self.0.is_none_or(|last| now.saturating_duration_since(last) >= STEADY)
    }
}

/// Whether a server may start although these names did not resolve. A list of version 0 is a founder's or a joining
/// member's: its own name in it would become part of the membership.
pub fn may_start(using: &Membership, own: ServerId, missing: &Missing) -> bool {
    let leads = |server: &Server| matches!(missing.get(server.host()), None | Some(Why::Stale(_)));
    using.version > ConfigVersion(0) || using.servers.get(&own).is_some_and(leads)
}

/// Why a member is not started.
pub fn refusal(using: &Membership, own: ServerId, missing: &Missing, bound: Duration) -> Option<String> {
    let words = words(using, own, missing, bound)?;
    (!may_start(using, own, missing))
        .then(|| format!("{words} A new member is not started until its own name resolves, and is tried again."))
}

/// The message about names that did not resolve, the member's own first: for the kubelet, which keeps it for the
/// operator.
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
            "no name server has answered for {names} within {seconds} s: check that the pod reaches DNS (a NetworkPolicy, a mesh whose proxy does not run yet, a name server that is down)."
        ),
        Why::Failed => format!(
            "{names} could not be looked up within {seconds} s, and whether there is such a name is not known: check the cluster's DNS, and that the operator's clusterDomain is the cluster's DNS domain (for another one, name servers outside are asked)."
        ),
        Why::Elsewhere(address) => format!(
            "{names} resolves to {address}, through a search domain that answers every name, and not to a Service: check that the operator's clusterDomain is the cluster's DNS domain, and that dnsConfig of podTemplate leaves ndots as it is."
        ),
        Why::Stale(address) => format!(
            "{names} still leads to {address} after {seconds} s, and its Service has another address: check how long DNS caches keep their answers, and who else answers for this name."
        ),
    })
}

/// Hosts that are called as this ensemble calls its members: full names of Services. One that `hostAliases` gives is where a person
/// wants it: no search domain has answered for it, and without them there may be no such name.
fn ours(membership: &Membership, seed: &Seed, hosts_file: &str) -> BTreeSet<String> {
    let servers = membership.servers.iter();
    let own = servers.filter(|(id, server)| seed.own_entry(**id).is_ok_and(|own| own.host() == server.host()));
    let own = own.map(|(_, server)| server.host().to_owned());
    own.filter(|host| !aliased(hosts_file, address::bare(host))).collect()
}

/// Whether a file in the form of /etc/hosts has an address for a name.
fn aliased(hosts_file: &str, name: &str) -> bool {
    let lines = hosts_file.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split_whitespace().skip(1)).any(|known| known.eq_ignore_ascii_case(name))
}

/// Without it no name counts as given by hand.
fn hosts_file() -> String {
    let mut text = Vec::new();
    let read = File::open(HOSTS).and_then(|file| file.take(HOSTS_LIMIT).read_to_end(&mut text));
    if let Err(error) = read {
        warn!(%error, "cannot read {HOSTS}");
    }
    String::from_utf8_lossy(&text).into_owned()
}

async fn unresolved(hosts: Missing, ours: &BTreeSet<String>, told: &Addresses, limit: Duration) -> Missing {
    let lookups = hosts.into_iter().map(|(host, before)| async move {
        let bare = address::bare(&host);
        let why = if bare.parse::<IpAddr>().is_ok() {
            None
        } else if ours.contains(&host) {
            let absolute = absolute(bare);
            let (found, absolute) = tokio::join!(addresses(bare, limit), addresses(&absolute, limit));
            our_own(before, &found, &absolute, told.get(&host).map_or(&[], Vec::as_slice))
        } else {
            judge(before, &addresses(bare, limit).await, None)
        };
        why.map(|why| (host, why))
    });
    join_all(lookups).await.into_iter().flatten().collect()
}

/// The name without search domains.
fn absolute(bare: &str) -> String {
    format!("{}.", bare.trim_end_matches('.'))
}

/// What a name resolves to, in the way the server will look it up, and, for our own names, without search domains. A name
/// from /etc/hosts, or a short name of a stranger, has no answer without them. If there is no answer this time, the last one
/// counts: the last lookup has almost no time.
fn judge(before: Why, found: &Answer, absolute: Option<&Answer>) -> Option<Why> {
    match (found, absolute.unwrap_or(found)) {
        (Answer::Addresses(found), Answer::Addresses(absolute)) => {
            let known = found.iter().any(|address| absolute.contains(address));
            (!known).then(|| found.first().map_or(Why::Nowhere, |first| Why::Elsewhere(*first)))
        }
        (Answer::Failed, _) | (_, Answer::Failed) if before == Why::Unanswered => Some(Why::Failed),
        _ => Some(before),
    }
}

/// What the name of one of this ensemble's Services resolves to, with search domains and without, where the Service has these addresses.
/// Without any, nothing is known of them.
fn our_own(before: Why, found: &Answer, absolute: &Answer, told: &[IpAddr]) -> Option<Why> {
    // First: with two name servers this answer may be from before, and the other one not.
    stale(absolute, told).or_else(|| judge(before, found, Some(absolute))).or_else(|| stale(found, told))
}

/// Whether a name leads to an address that its Service has not. Of a family of addresses in which the Service has none, nothing is known:
/// a name server may translate them.
fn stale(answer: &Answer, told: &[IpAddr]) -> Option<Why> {
    let Answer::Addresses(found) = answer else { return None };
    let known = |address: &IpAddr| told.iter().any(|told| told.is_ipv4() == address.is_ipv4());
    // Java takes any of them.
    found.iter().find(|address| known(address) && !told.contains(address)).copied().map(Why::Stale)
}

async fn addresses(host: &str, limit: Duration) -> Answer {
    match timeout(limit, lookup_host((host, 0))).await {
        Ok(Ok(found)) => Answer::Addresses(found.map(|address| address.ip()).collect()),
        Ok(Err(error)) => failure(&error.to_string()),
        Err(_) => Answer::Silence,
    }
}

/// glibc's words for a name that nobody knows, and for one that has no address.
const NO_SUCH_NAME: [&str; 2] = ["Name or service not known", "No address associated with hostname"];

/// What an error of the resolver says: there is nothing but its text.
fn failure(error: &str) -> Answer {
    let unknown = NO_SUCH_NAME.iter().any(|words| error.contains(words));
    if unknown { Answer::Addresses(Vec::new()) } else { Answer::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fixtures;
    use crate::model::fixtures::charter;
    use crate::model::{Beginning, Charter};

    fn members(hosts: &[&str]) -> Membership {
        let servers = (1..).map(ServerId).zip(hosts.iter().map(|host| Server::voter(host))).collect();
        Membership { servers, ..Membership::default() }
    }

    fn nowhere(hosts: &[&str]) -> Missing {
        hosts.iter().map(|host| ((*host).to_owned(), Why::Nowhere)).collect()
    }

    /// In which server 1 is at a-0.ns, server 2 at a-1.ns.
    fn seed() -> Seed {
        let joiner = Server::voter("a-{ordinal}.ns").spec().to_owned();
        let charter = charter(Beginning::Birth, "server.1=a-0.ns:2888:3888:participant;2181", 0);
        fixtures::seed(&Charter { joiner, ..charter })
    }

    #[tokio::test]
    async fn addresses_resolve_at_once() {
        assert_eq!(wait(&members(&["127.0.0.1", "[::1]"]), &seed(), Duration::from_mins(1)).await, Missing::new());
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
        let said = |addresses: &[IpAddr]| Answer::Addresses(addresses.to_vec());
        let judge = |found: &[IpAddr], absolute: &[IpAddr]| judge(Why::Unanswered, &said(found), Some(&said(absolute)));
        assert_eq!(judge(&[service], &[service]), None);
        assert_eq!(judge(&[stranger, service], &[service]), None, "of two families one is enough");
        assert_eq!(judge(&[], &[service]), Some(Why::Nowhere), "the server would not find it");
        assert_eq!(judge(&[stranger], &[service]), Some(Why::Elsewhere(stranger)), "a wildcard comes first");
        assert_eq!(judge(&[stranger], &[]), Some(Why::Elsewhere(stranger)), "and the domain is wrong");
        for before in [Why::Unanswered, Why::Nowhere] {
            let silence = super::judge(before, &Answer::Silence, Some(&said(&[service])));
            assert_eq!(silence, Some(before), "silence says nothing new");
        }
        let missing = [("a.k8s.example".to_owned(), Why::Elsewhere(stranger))].into();
        let said = words(&members(&["a.k8s.example"]), ServerId(1), &missing, LOOKUP).unwrap();
        assert!(said.contains("resolves to 10.9.9.9") && said.contains("ndots"), "{said}");
    }

    #[test]
    fn a_name_that_leads_to_where_its_service_was_before_is_waited_for_and_then_its_member_starts() {
        let [now, before]: [IpAddr; 2] = ["10.96.0.7".parse().unwrap(), "10.96.0.3".parse().unwrap()];
        let found = |addresses: &[IpAddr]| Answer::Addresses(addresses.to_vec());
        assert_eq!(stale(&found(&[before]), &[now]), Some(Why::Stale(before)));
        assert_eq!(stale(&found(&[now]), &[now]), None);
        assert_eq!(
            stale(&found(&[now, before]), &[now]),
            Some(Why::Stale(before)),
            "one of two families is from before"
        );
        assert_eq!(stale(&Answer::Silence, &[now]), None, "silence says nothing new");
        let (all, missing) = (members(&["a-0.ns"]), [("a-0.ns".to_owned(), Why::Stale(before))].into());
        assert!(may_start(&all, ServerId(1), &missing));
        assert_eq!(refusal(&all, ServerId(1), &missing, LOOKUP), None);
        let said = words(&all, ServerId(1), &missing, LOOKUP).unwrap();
        assert!(said.contains("still leads to 10.96.0.3 after 3 s"), "{said}");
    }

    /// `CoreDNS` has two pods, each with a cache of its own; and one that translates gives an IPv6 address for each IPv4 one.
    #[test]
    fn two_answers_of_which_one_is_old_are_no_right_one_and_a_translated_address_is_no_old_one() {
        let [now, before]: [IpAddr; 2] = ["10.96.0.7".parse().unwrap(), "10.96.0.3".parse().unwrap()];
        let translated: IpAddr = "64:ff9b::a60:7".parse().unwrap();
        let of = |found: &[IpAddr], absolute: &[IpAddr], told: &[IpAddr]| {
            let [found, absolute] = [found, absolute].map(|addresses| Answer::Addresses(addresses.to_vec()));
            our_own(Why::Unanswered, &found, &absolute, told)
        };
        assert_eq!(of(&[now], &[before], &[now]), Some(Why::Stale(before)));
        assert_eq!(of(&[before], &[before], &[now]), Some(Why::Stale(before)));
        let mixed = of(&[before], &[now], &[now]).unwrap();
        let mut steady = Steady::default();
        assert!(
            !steady.is(&Missing::from([("a".to_owned(), mixed)]), Instant::now()),
            "the next may be right by chance"
        );
        assert!(!steady.is(&Missing::new(), Instant::now()));
        assert_eq!(of(&[translated, now], &[now, translated], &[now]), None);
        assert_eq!(of(&[now], &[now], &[]), None, "nobody has told");
        assert_eq!(of(&[], &[], &[now]), Some(Why::Nowhere));
    }

    #[test]
    fn one_right_answer_is_not_enough_while_another_name_server_may_answer_from_before() {
        let (begin, stale) = (Instant::now(), Missing::from([("a".to_owned(), Why::Stale([10, 96, 0, 3].into()))]));
        let mut steady = Steady::default();
        let mut is = |missing: &Missing, millis| steady.is(missing, begin + Duration::from_millis(millis));
        assert!(is(&Missing::new(), 0) && is(&nowhere(&["a"]), 10), "where nothing is old, one is");
        assert!(!is(&stale, 20) && !is(&Missing::new(), 270) && !is(&stale, 520));
        assert!(!is(&Missing::new(), 5_519) && is(&Missing::new(), 5_520));
    }

    #[test]
    fn a_name_that_is_none_of_this_ensembles_own_may_be_short_or_stand_in_etc_hosts() {
        let there = Answer::Addresses(vec!["10.9.9.9".parse().unwrap()]);
        assert_eq!(judge(Why::Unanswered, &there, None), None);
        assert_eq!(judge(Why::Unanswered, &Answer::Addresses(Vec::new()), None), Some(Why::Nowhere));
        assert_eq!(judge(Why::Nowhere, &Answer::Silence, None), Some(Why::Nowhere));
        let all = members(&["a-0.ns", "a-0.ns.svc", "zk-stranger"]);
        assert!(ours(&all, &seed(), "").iter().eq(["a-0.ns"]), "server 2 is elsewhere than a-1.ns, server 3 nobody's");
    }

    #[test]
    fn one_of_its_own_names_that_stands_in_etc_hosts_is_where_that_says_and_no_search_domain_is_suspected() {
        let text = "# Kubernetes-managed\n127.0.0.1 localhost\n10.1.2.3\tA-0.ns  other # a-1.ns\n\n10.9.9.9\n";
        assert!(aliased(text, "a-0.ns") && aliased(text, "other"));
        assert!(!aliased(text, "a-1.ns") && !aliased(text, "10.9.9.9") && !aliased(text, "a-0"));
        let all = members(&["a-0.ns", "a-1.ns"]);
        assert!(
            ours(&all, &seed(), text).iter().eq(["a-1.ns"]),
            "what is given by hand is looked up as the server does"
        );
        assert!(ours(&all, &seed(), "").iter().eq(["a-0.ns", "a-1.ns"]));
    }

    #[test]
    fn a_name_is_looked_up_without_search_domains_by_one_dot_at_its_end() {
        assert_eq!(absolute("a-0.ns.svc"), "a-0.ns.svc.");
        assert_eq!(absolute("a-0.ns.svc."), "a-0.ns.svc.");
    }

    #[test]
    fn only_where_the_resolver_says_that_there_is_no_such_name_there_is_none() {
        let unknown = ["Name or service not known", "No address associated with hostname"];
        for text in unknown {
            let text = format!("failed to lookup address information: {text}");
            assert_eq!(failure(&text), Answer::Addresses(Vec::new()), "{text}");
        }
        let failed = ["Temporary failure in name resolution", "Non-recoverable failure in name resolution"];
        for text in failed {
            let text = format!("failed to lookup address information: {text}");
            assert_eq!(failure(&text), Answer::Failed, "{text}");
        }
        assert_eq!(failure("Too many open files (os error 24)"), Answer::Failed);
    }

    #[test]
    fn a_name_server_that_failed_is_told_as_that_and_not_as_a_name_that_nobody_knows() {
        let there = Answer::Addresses(vec!["10.96.0.7".parse().unwrap()]);
        for (found, absolute) in
            [(&Answer::Failed, Some(&there)), (&there, Some(&Answer::Failed)), (&Answer::Failed, None)]
        {
            assert_eq!(judge(Why::Unanswered, found, absolute), Some(Why::Failed));
            assert_eq!(judge(Why::Nowhere, found, absolute), Some(Why::Nowhere), "what was said before counts");
        }
        assert_eq!(judge(Why::Failed, &Answer::Silence, None), Some(Why::Failed));
        let missing = [("a".to_owned(), Why::Failed)].into();
        let said = words(&members(&["a"]), ServerId(1), &missing, LOOKUP).unwrap();
        assert!(said.contains("could not be looked up") && said.contains("clusterDomain"), "{said}");
    }

    #[tokio::test]
    async fn a_name_that_never_resolves_costs_no_more_than_the_bound() {
        let start = Instant::now();
        let missing = wait(&members(&["127.0.0.1", "nobody.invalid", ""]), &seed(), Duration::from_millis(300)).await;
        assert!(missing.keys().eq(["", "nobody.invalid"]), "{missing:?}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
