//! The metrics of the passes of all kinds. Labels come from closed sets, never from error texts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Word {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Namespace {
    namespace: String,
}

/// An object, by which the metrics of its kind are told apart.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Of {
    namespace: String,
    name: String,
}

/// The labels of an object.
pub fn of(namespace: &str, name: &str) -> Of {
    Of { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// An object, and what of it is meant: a word of a closed set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfLevel {
    namespace: String,
    name: String,
    level: &'static str,
}

/// The labels of a level of an object.
pub fn of_level(namespace: &str, name: &str, level: &'static str) -> OfLevel {
    OfLevel { namespace: namespace.to_owned(), name: name.to_owned(), level }
}

/// Counts passes, and managed namespaces.
pub struct Metrics {
    passes: Family<Word, Counter>,
    steps: Family<Word, Counter>,
    seconds: Histogram,
    watched: Family<Namespace, Gauge>,
}

impl Metrics {
    /// Registers them with the others.
    pub fn registered(registry: &mut Registry) -> Self {
        let metrics = Self {
            passes: Family::default(),
            steps: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            watched: Family::default(),
        };
        registry.register("reconciles", "Passes over an ensemble, by outcome", metrics.passes.clone());
        registry.register("steps", "Steps decided on, by kind", metrics.steps.clone());
        registry.register("reconcile_seconds", "Duration of a pass", metrics.seconds.clone());
        let watched = "Whether the operator may manage a namespace of the list: 1, or 0 while it is refused";
        registry.register("namespace_watched", watched, metrics.watched.clone());
        metrics
    }

    /// A pass has ended.
    pub fn pass(&self, outcome: &'static str, seconds: f64) {
        self.passes.get_or_create(&Word { kind: outcome }).inc();
        self.seconds.observe(seconds);
    }

    /// A step was decided on.
    pub fn step(&self, step: &'static str) {
        self.steps.get_or_create(&Word { kind: step }).inc();
    }

    /// Whether the objects of a namespace in the operator's list can be managed.
    pub fn watched(&self, namespace: &str, watched: bool) {
        let of = Namespace { namespace: namespace.to_owned() };
        self.watched.get_or_create(&of).set(i64::from(watched));
    }
}

/// The text that Prometheus reads.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        text.clear();
    }
    text
}
