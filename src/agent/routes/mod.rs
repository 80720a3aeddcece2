//! The agent's HTTP interface, in one file for each kind of client.
//!
//! Invariants: every answer comes within a probe's three seconds, also when the disk hangs ([`Queue`](super::queue::Queue));
//! however many ask, the server and the disk are asked once at a time ([`Round`](super::round::Round)).

pub mod backup;
pub mod kubelet;
pub mod operator;

use std::sync::Arc;

use axum::Router;

use super::member::Member;

/// All of them.
pub fn router(member: Arc<Member>) -> Router {
    kubelet::routes().merge(operator::routes()).merge(backup::routes()).with_state(member)
}

#[cfg(test)]
mod tests;
