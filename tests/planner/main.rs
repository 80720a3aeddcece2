//! The planner against a small world of its own: objects, pods and members that do what they are told.

mod addresses;
mod archive;
mod backups;
mod barred;
mod exits;
mod fit;
mod groups;
mod guard;
mod healing;
mod held;
mod hindered;
mod laws;
mod leader_serves;
mod lost;
mod meddler;
mod meddling;
#[path = "../support/names.rs"]
mod names;
mod observers;
mod orders;
mod origin;
mod passing;
mod password;
mod refused;
mod regressions;
mod replacing;
mod restoring;
mod retention;
#[path = "../support/rights.rs"]
mod rights;
mod rolling;
mod room;
mod scenarios;
mod service;
mod strangers;
mod world;
