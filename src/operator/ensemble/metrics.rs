//! What Prometheus can read. Labels come from closed sets, never from error texts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::plan::Plan;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Of {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Namespace {
    namespace: String,
}

/// Every metric of the operator.
pub struct Metrics {
    registry: Registry,
    passes: Family<Kind, Counter>,
    steps: Family<Kind, Counter>,
    seconds: Histogram,
    wanted: Family<Of, Gauge>,
    synced: Family<Of, Gauge>,
    watched: Family<Namespace, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("menagerie"),
            passes: Family::default(),
            steps: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            wanted: Family::default(),
            synced: Family::default(),
            watched: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("reconciles", "Passes over an ensemble, by outcome", metrics.passes.clone());
        registry.register("steps", "Steps decided on, by kind", metrics.steps.clone());
        registry.register("reconcile_seconds", "Duration of a pass", metrics.seconds.clone());
        registry.register("ensemble_voters_wanted", "Voters asked for", metrics.wanted.clone());
        registry.register("ensemble_voters_synced", "Voters that serve and are synced", metrics.synced.clone());
        let watched = "Whether a namespace of the list may be looked after: 1, or 0 while it is refused";
        registry.register("namespace_watched", watched, metrics.watched.clone());
        metrics
    }
}

impl Metrics {
    /// A pass has ended.
    pub fn pass(&self, outcome: &'static str, seconds: f64) {
        self.passes.get_or_create(&Kind { kind: outcome }).inc();
        self.seconds.observe(seconds);
    }

    /// A plan was made.
    pub fn plan(&self, namespace: &str, name: &str, plan: &Plan, wanted: i64) {
        self.steps.get_or_create(&Kind { kind: plan.step.word() }).inc();
        self.wanted(namespace, name, Some(wanted));
        let of = Of { namespace: namespace.to_owned(), name: name.to_owned() };
        self.synced.get_or_create(&of).set(i64::from(plan.status.ready_replicas));
    }

    /// Voters asked for, by the spec as it stands: one that is refused takes no alarm away.
    pub fn wanted(&self, namespace: &str, name: &str, wanted: Option<i64>) {
        if let Some(wanted) = wanted {
            let of = Of { namespace: namespace.to_owned(), name: name.to_owned() };
            self.wanted.get_or_create(&of).set(wanted);
        }
    }

    /// Whether the ensembles of a namespace of the operator's list can be looked after.
    pub fn watched(&self, namespace: &str, watched: bool) {
        let of = Namespace { namespace: namespace.to_owned() };
        self.watched.get_or_create(&of).set(i64::from(watched));
    }

    /// An ensemble is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let of = Of { namespace: namespace.to_owned(), name: name.to_owned() };
        self.wanted.remove(&of);
        self.synced.remove(&of);
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ensemble_that_is_gone_leaves_no_line_behind_and_one_that_cannot_be_read_keeps_what_is_asked_for() {
        let metrics = Metrics::default();
        metrics.wanted("ns", "zk", Some(3));
        metrics.wanted("ns", "zk", None);
        assert!(metrics.text().contains(r#"menagerie_ensemble_voters_wanted{namespace="ns",name="zk"} 3"#));
        metrics.forget("ns", "zk");
        assert!(!metrics.text().contains(r#"name="zk""#));
    }
}
