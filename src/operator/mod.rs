//! The operator: observe → plan → act → report, one controller for each kind. I/O lives here; decisions do not.

mod backup;
mod dns;
mod ensemble;
pub(crate) mod kit;
mod restore;
mod run;
mod schedule;
mod subject;

pub use ensemble::hindered;
pub use run::{Options, main};
