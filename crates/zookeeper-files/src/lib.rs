#![doc = include_str!("../README.md")]
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod atomic;
pub mod disk;
pub mod ids;
pub mod index;
pub mod jute;
pub mod log;
pub mod path;
pub mod replay;
pub mod snapshot;
pub mod time;
