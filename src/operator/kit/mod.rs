//! What every kind of custom resource needs of the operator, and none has for itself.

pub mod controller;
pub mod events;
pub mod kept;
pub mod memory;
pub mod metrics;
pub mod namespaces;
pub mod notes;
pub mod pace;
pub mod pass;
pub mod read;
pub mod status;
pub mod timeout;
pub mod watched;
pub mod write;

use kube::Client;

/// Field manager of everything that is applied.
pub const MANAGER: &str = "menagerie";
/// Field manager of the status.
pub const STATUS_MANAGER: &str = "menagerie-status";

/// What all kinds share.
pub struct Kit {
    /// The API server.
    pub client: Client,
    /// Where people hear of what is done.
    pub events: events::Events,
    /// What is counted of passes.
    pub metrics: metrics::Metrics,
}

#[cfg(test)]
mod tests;
