//! The archive: the commit gate in a model of Zab, and shipping to real stores.

mod agent;
mod authority;
mod azure;
mod azurite;
mod base_gate;
mod bases;
mod blocks;
mod build;
mod command;
mod encryption;
mod fake_gcs;
mod gate;
#[path = "../support/gateway.rs"]
mod gateway;
mod gcs;
mod job;
mod own_ca;
mod proof;
mod proxy;
mod prune;
mod purge;
mod real;
mod retention;
mod retention_world;
mod rolling;
mod s3;
mod sealed;
mod shipping;
mod source;
mod tunnel;
mod unread;
mod zab;
