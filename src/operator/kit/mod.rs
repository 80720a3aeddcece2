//! What every kind of custom resource needs of the operator, and none has for itself.

pub mod events;
pub mod kept;
pub mod namespaces;
pub mod pace;
pub mod timeout;
pub mod watched;

/// Field manager of everything that is applied.
pub const MANAGER: &str = "menagerie";
/// Field manager of the status.
pub const STATUS_MANAGER: &str = "menagerie-status";
