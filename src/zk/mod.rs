//! Everything that speaks to a `ZooKeeper` server: its client protocol, four-letter words, `AdminServer`.
//!
//! The last two are asked on loopback only, by the agent in the same pod.

pub mod admin;
pub mod ensemble;
pub mod fourletter;
pub mod guard;
mod quota;
