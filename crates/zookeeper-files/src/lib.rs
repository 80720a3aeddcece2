//! Apache `ZooKeeper`'s transaction logs and snapshots: read, judged, replayed, searched and written.
//!
//! - [`jute`], [`log`], [`snapshot`]: the formats. Pure: bytes in, values out.
//! - [`replay`]: the tree at any point of a history, as a server would have it. Pure.
//! - [`disk`]: the files where they lie: a member's folders, a log that grows meanwhile, verdicts as a server would give them.
//! - [`index`]: where in the logs every change is, by path, subtree, time, session and kind.
//! - [`atomic`]: files that appear whole or not at all.
//! - [`ids`], [`path`]: numbers that must not be mistaken for each other, and the paths of znodes.
//!
//! Nothing here knows Kubernetes or a network. Whatever bytes a file holds, nothing panics and memory stays bounded.

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
