//! An index of transaction logs: every change by path and subtree, time, zxid, session and deed.
//!
//! It is disposable: all of it comes from the logs and can be built from them again. It keeps no path and no data, only
//! where in the logs they are: an entry that is found is read from its log, which also proves it. The logs must therefore
//! stay where they were; those that ZooKeeper purged drop out of the index when it grows.
//!
//! - [`build`] makes an index of one member's logs and lets it grow; other members tell it what was never committed.
//! - [`Index::search`] finds, [`Index::history`] tells the life of one path.
//!
//! On disk it is an `SQLite` database of packed lists, after the manner of a search engine: a *segment* is a stretch of one
//! log with up to a million entries; its *blocks* say where each entry lies, its *postings* which entries a *term* (a
//! path, a folder, a session, a deed) leads to. An entry takes about 13 bytes.

mod build;
mod deed;
mod ephemerals;
mod error;
mod feed;
mod history;
mod logs;
mod moment;
mod others;
mod search;
mod segment;
mod store;
mod term;
mod varint;
mod verdicts;

pub use build::{Built, FoundDamage, Progress, Sources, build, build_of};
pub use deed::Deed;
pub use error::IndexError;
pub use history::{Before, Event, History, Session};
pub use moment::{Data, Moment};
pub use search::{Index, Query, Take};
