//! The operator: observe → plan → act → report, one controller over all ensembles. I/O lives here; decisions do not.

mod dns;
mod ensemble;
mod kit;
mod run;

pub use ensemble::hindered;
pub use run::{Options, main};
