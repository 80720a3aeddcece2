//! Everything that speaks to a `ZooKeeper` server: its client protocol and its `AdminServer`.
//!
//! Only the agent in the same pod asks the AdminServer, on loopback. Four-letter words are not used: each needs a
//! client connection, and there may be none left.

pub mod admin;
pub mod ensemble;
pub mod guard;
mod quota;
pub mod znodes;
