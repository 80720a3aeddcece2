//! Restore into a running ensemble: the laws of the planner and of whoever carries its plans out, on a model of an ensemble.
//!
//! The same on real servers is in `tests/servers/restore.rs`.

mod applying;
mod cases;
mod laws;
mod model;
mod quotas;
mod server;
mod statistics;
mod undo;
mod undo_laws;
