//! The parsers of the crate, from its own sources, and what must hold for any bytes.
#![allow(dead_code, missing_docs, unused_imports)]

#[path = "../../tests/support/laws.rs"]
pub mod laws;

#[path = "../../src/jute.rs"]
pub mod jute;
#[path = "../../src/log/mod.rs"]
pub mod log;
pub mod model;
#[path = "../../src/replay/mod.rs"]
pub mod replay;
#[path = "../../src/snapshot/mod.rs"]
pub mod snapshot;

extern crate self as menagerie;
