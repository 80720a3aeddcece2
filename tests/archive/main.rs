//! The archive: the commit gate in a model of Zab, and shipping to real stores.

mod agent;
mod authority;
mod base_gate;
mod bases;
mod build;
mod command;
mod encryption;
mod gate;
#[path = "../support/gateway.rs"]
mod gateway;
mod job;
mod own_ca;
mod proxy;
mod prune;
mod real;
mod retention;
mod retention_world;
mod s3;
mod shipping;
mod tunnel;
mod zab;
