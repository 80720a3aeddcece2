//! Everything that speaks to a `ZooKeeper` server: its client protocol and its `AdminServer`.
//!
//! The latter is asked on loopback only, by the agent in the same pod. Four-letter words are not: each takes a place among
//! the server's clients, and there may be none left.

pub mod admin;
pub mod ensemble;
pub mod guard;
mod quota;
