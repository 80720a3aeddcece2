//! What Prometheus can read of each ensemble.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Of {
    namespace: String,
    name: String,
}

/// The voters of all ensembles.
#[derive(Default)]
pub struct Voters {
    wanted: Family<Of, Gauge>,
    synced: Family<Of, Gauge>,
}

impl Voters {
    /// Has them read with the others.
    pub fn registered(registry: &mut Registry) -> Self {
        let voters = Self::default();
        registry.register("ensemble_voters_wanted", "Voters asked for", voters.wanted.clone());
        registry.register("ensemble_voters_synced", "Voters that serve and are synced", voters.synced.clone());
        voters
    }

    /// Voters asked for, by the spec as it stands: one that is refused takes no alarm away.
    pub fn wanted(&self, namespace: &str, name: &str, wanted: i64) {
        self.wanted.get_or_create(&of(namespace, name)).set(wanted);
    }

    /// Voters that serve and are synced.
    pub fn synced(&self, namespace: &str, name: &str, synced: i64) {
        self.synced.get_or_create(&of(namespace, name)).set(synced);
    }

    /// An ensemble is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let of = of(namespace, name);
        self.wanted.remove(&of);
        self.synced.remove(&of);
    }
}

fn of(namespace: &str, name: &str) -> Of {
    Of { namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::kit::metrics::text;

    #[test]
    fn an_ensemble_that_is_gone_leaves_no_line_behind() {
        let mut registry = Registry::with_prefix("menagerie");
        let voters = Voters::registered(&mut registry);
        voters.wanted("ns", "zk", 3);
        assert!(text(&registry).contains(r#"menagerie_ensemble_voters_wanted{namespace="ns",name="zk"} 3"#));
        voters.forget("ns", "zk");
        assert!(!text(&registry).contains(r#"name="zk""#));
    }
}
