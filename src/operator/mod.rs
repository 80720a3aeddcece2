//! The operator: observe → plan → act → report, one controller over all ensembles. I/O lives here; decisions do not.

mod act;
mod backoff;
mod events;
pub mod hindered;
mod hints;
mod kept;
mod metrics;
mod namespaces;
mod objects;
mod observe;
mod passwords;
mod pods;
mod reconcile;
mod refusals;
mod report;
mod run;
mod surroundings;
mod timeout;
mod walks;
mod watched;

pub use run::{Options, main};

use kube::Client;

use crate::model::observed::Environment;

/// Field manager of everything that is applied.
const MANAGER: &str = "menagerie";
/// Field manager of the status.
const STATUS_MANAGER: &str = "menagerie-status";

/// What every reconcile shares.
struct Context {
    client: Client,
    events: events::Events,
    environment: Environment,
    cluster_domain: String,
    metrics: metrics::Metrics,
    backoff: backoff::Backoff,
    hints: hints::Hints,
    hindered: hindered::Hindered,
    walks: walks::Walks,
    passwords: passwords::Passwords,
}

impl Context {
    /// The ensemble is gone, or is looked after no more.
    fn forget(&self, namespace: &str, name: &str) {
        self.hints.forget(namespace, name);
        self.metrics.forget(namespace, name);
        self.backoff.forget(namespace, name);
        self.hindered.forget(namespace, name);
        self.walks.forget(namespace, name);
        self.passwords.forget(namespace, name);
    }
}
