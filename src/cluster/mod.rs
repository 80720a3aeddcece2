//! The commands that ask the API server, with the kubeconfig of whoever runs them: `menagerie backup`, and of `menagerie restore` what is
//! about a `ZooKeeperRestore`.
//!
//! Invariants: every call ends within its timeout, and every wait within one that its user can set; what the operator or the API server
//! decides is not decided here; a cluster with an older or newer operator is understood as far as it goes, since objects are read without
//! their types.

pub mod backup;
mod connection;
mod created;
mod followed;
mod listed;
mod login;
mod objects;
mod paste;
mod problem;
pub mod restore;
mod restores;
mod shown;
mod table;
mod teller;
