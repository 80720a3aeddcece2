//! The DNS domain that the operator's own pod shows, to compare it with the configured one.

use std::fs;

/// What a kubelet writes for the pods of its cluster: `search NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN …`.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The cluster's domain; `None` outside a pod, and in a pod with a DNS policy of its own.
pub fn searched() -> Option<String> {
    domain(&fs::read_to_string(RESOLV_CONF).ok()?)
}

/// The three of a cluster stand in that order. One alone may be the node's own: `svc.acme.io` gave a false warning.
fn domain(resolv_conf: &str) -> Option<String> {
    let lines = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("search"));
    let domains: Vec<&str> = lines.flat_map(str::split_whitespace).map(|domain| domain.trim_end_matches('.')).collect();
    let found = domains.windows(3).find_map(|three| {
        let [namespace, services, domain] = three else { return None };
        let ordered = services.strip_prefix("svc.") == Some(domain) && namespace.ends_with(&format!(".{services}"));
        ordered.then_some(*domain)
    });
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_25_the_domain_is_the_one_behind_svc_and_a_host_outside_a_cluster_has_none() {
        let of = |text: &str| domain(text);
        let pod = "search team-a.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.0.0.10\noptions ndots:5\n";
        assert_eq!(of(pod).as_deref(), Some("cluster.local"));
        let in_svc = "search svc.svc.k8s.example. svc.k8s.example. k8s.example.\n";
        assert_eq!(of(in_svc).as_deref(), Some("k8s.example"));
        for host in ["", "nameserver 1.1.1.1\n", "search corp.example\n", "search svc. \n", "# search svc.x\n"] {
            assert_eq!(of(host), None, "{host:?}");
        }
    }

    #[test]
    fn a_nodes_own_search_domain_that_begins_with_svc_is_not_the_clusters_domain() {
        for own in ["svc.acme.io", "svc.acme.io acme.io", "svc.a a"] {
            let pod = format!("search team.svc.cluster.local svc.cluster.local cluster.local {own}\n");
            assert_eq!(domain(&pod).as_deref(), Some("cluster.local"), "{own}");
            assert_eq!(domain(&format!("search {own}\n")), None, "{own}");
        }
    }
}
