//! The DNS domain that the operator's own pod shows, to be held against the one that it was told.

use std::fs;

/// What a kubelet writes for pods of its cluster: `search NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN …`.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The cluster's domain; `None` outside a pod, and in one with a DNS policy of its own.
pub fn searched() -> Option<String> {
    domain(&fs::read_to_string(RESOLV_CONF).ok()?)
}

fn domain(resolv_conf: &str) -> Option<String> {
    let searches = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("search"));
    let found = searches.flat_map(str::split_whitespace).filter_map(|domain| domain.strip_prefix("svc."));
    // In a namespace called svc the first one begins so as well.
    let found = found.map(|domain| domain.trim_end_matches('.')).filter(|domain| !domain.is_empty());
    found.min_by_key(|domain| domain.len()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_25_the_domain_is_the_one_behind_svc_and_a_host_outside_a_cluster_has_none() {
        let of = |text: &str| domain(text);
        let pod = "search team-a.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.0.0.10\noptions ndots:5\n";
        assert_eq!(of(pod).as_deref(), Some("cluster.local"));
        assert_eq!(of("search svc.svc.k8s.example. svc.k8s.example.\n").as_deref(), Some("k8s.example"));
        for host in ["", "nameserver 1.1.1.1\n", "search corp.example\n", "search svc. \n", "# search svc.x\n"] {
            assert_eq!(of(host), None, "{host:?}");
        }
    }
}
