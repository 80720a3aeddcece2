//! What every kind of custom resource needs from the operator, and none implements itself.

pub mod controller;
pub mod events;
pub mod holds;
pub mod job;
mod job_pod;
pub mod kept;
pub mod managed;
pub mod memory;
pub mod metrics;
pub mod namespaces;
pub mod notes;
pub mod pace;
pub mod pass;
pub mod read;
pub mod status;
pub mod step;
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
    /// Where people hear about what is done.
    pub events: events::Events,
    /// Counts passes.
    pub metrics: metrics::Metrics,
}

#[cfg(test)]
mod tests;
