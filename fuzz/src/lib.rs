//! What must hold for any bytes.
#![allow(missing_docs)]

#[path = "../../crates/zookeeper-files/tests/support/laws.rs"]
pub mod laws;
