//! Menagerie: a Kubernetes operator that runs Apache `ZooKeeper` ensembles with nobody watching.
//!
//! One direction: observe → plan → act → report. `model`, `plan` and `render` are pure: no I/O, clock, async, kube or
//! zookeeper-client in them (`tests/architecture.rs` greps that it stays so). `docs/architecture.md` is the map.

pub mod agent;
pub mod api;
pub mod http;
pub mod model;
pub mod operator;
pub mod plan;
pub mod render;
pub mod zk;
