//! End to end, on a real cluster with the operator installed: `dev/test e2e [FILTER]`.
//!
//! Every test has a namespace of its own that enforces the `restricted` Pod Security level, so that they may run side by
//! side. A test that fails prints what the cluster says of its namespace.

mod archive;
mod backup;
mod birth;
mod cluster;
mod disaster;
mod exits;
mod fit;
#[path = "../support/gateway.rs"]
mod gateway;
mod guard;
mod helm;
mod hindered;
mod history;
#[path = "../support/lost.rs"]
mod lost;
mod outlive;
mod own_store;
mod ownership;
mod parent;
mod refusals;
mod regressions;
mod replacing;
mod restore;
mod retention;
mod rolling;
mod scaling;
mod undo;
mod writers;
