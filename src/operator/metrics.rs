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

/// Every metric of the operator.
pub struct Metrics {
    registry: Registry,
    passes: Family<Kind, Counter>,
    steps: Family<Kind, Counter>,
    seconds: Histogram,
    wanted: Family<Of, Gauge>,
    synced: Family<Of, Gauge>,
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
        };
        let registry = &mut metrics.registry;
        registry.register("reconciles", "Passes over an ensemble, by outcome", metrics.passes.clone());
        registry.register("steps", "Steps decided on, by kind", metrics.steps.clone());
        registry.register("reconcile_seconds", "Duration of a pass", metrics.seconds.clone());
        registry.register("ensemble_voters_wanted", "Voters asked for", metrics.wanted.clone());
        registry.register("ensemble_voters_synced", "Voters that serve and are synced", metrics.synced.clone());
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
    pub fn plan(&self, namespace: &str, name: &str, plan: &Plan, wanted: u32) {
        self.steps.get_or_create(&Kind { kind: plan.step.word() }).inc();
        let of = Of { namespace: namespace.to_owned(), name: name.to_owned() };
        self.wanted.get_or_create(&of).set(i64::from(wanted));
        self.synced.get_or_create(&of).set(i64::from(plan.status.ready_replicas));
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
