//! Menagerie: a Kubernetes operator that runs Apache `ZooKeeper` ensembles with nobody watching.
//!
//! One direction: observe → plan → act → report. `model`, `plan` and `render` are pure: no I/O, clock, async, kube or
//! zookeeper-client in them (`tests/architecture.rs` greps that it stays so). `docs/architecture.md` is the map.

// Not in Cargo.toml: integration tests are made of unwraps, in helpers that clippy does not know as tests.
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod agent;
pub mod api;
pub mod archive;
pub mod cli;
pub mod cluster;
pub mod http;
pub mod job;
mod kubeconfig;
pub mod listen;
pub mod model;
pub mod operator;
pub mod plan;
pub mod render;
pub mod restore;
pub mod serve;
pub mod settings;
mod view;
pub mod zk;
