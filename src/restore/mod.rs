//! Selective restore into a running ensemble: what was at a point, what is there now, what to do about it, and doing it.
//!
//! - [`scope`], [`wanted`], [`undo`], [`live`], [`quota`], [`limits`], `counters`, [`plan`], `plan_quotas`, [`operation`], [`moved`], [`plan_hash`] and [`plan_file`] are pure.
//! - [`reader`] reads the ensemble, [`apply`] changes it, both through [`znodes`], which `zk` implements.
//!
//! Invariants:
//! - outside the scope, below `/zookeeper` and of any session's ephemeral znode nothing is ever changed, but for the limits of quotas
//!   of what is in the scope, where that is asked for;
//! - every change of what exists carries the version that was seen;
//! - the state of the ensemble is the only record of progress: whoever is killed reads, plans and goes on.

pub mod acl;
pub mod apply;
pub(crate) mod arguments;
pub mod command;
mod counters;
pub mod hash;
pub mod limits;
pub mod live;
pub mod moved;
pub mod operation;
pub mod options;
pub mod plan;
pub mod plan_file;
pub mod plan_hash;
mod plan_quotas;
pub mod quota;
pub mod reader;
pub mod reason;
pub mod scope;
pub mod undo;
pub mod wanted;
pub mod znodes;
