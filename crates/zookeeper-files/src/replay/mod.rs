//! The tree at any point of the history, as a server has it. Pure.
//!
//! - [`Tree`] is what a server has in memory. It applies transactions as a server does, also on fuzzy snapshots.
//! - [`Replay`] applies logs to a tree: it skips what the snapshot already contains, and checks every digest in the files.
//! - [`decide`] finds the committed history in the logs of several members.
//!
//! ```
//! use zookeeper_files::jute::Text;
//! use zookeeper_files::log::{Create, LogItem, Header, Lifetime, LogReader, LogWriter, SessionId, Txn, Acls, encode_acls};
//! use zookeeper_files::ids::Zxid;
//! use zookeeper_files::replay::{Replay, Tree};
//!
//! let acl = encode_acls(&[]);
//! let txn = Txn::Create(Create {
//!     path: Text(b"/a"), data: Some(b"1"), acl: Acls::decode(&mut zookeeper_files::jute::Decoder::new(&acl))?,
//!     lifetime: Lifetime::Persistent, parent_cversion: Some(1), with_stat: false,
//! });
//! let mut log = LogWriter::new(Vec::new(), 0)?;
//! log.append(Header { session: SessionId(1), cxid: 1, zxid: Zxid(0x1_0000_0001), time: 0 }, &txn, None)?;
//! let bytes = log.into_inner();
//!
//! let mut replay = Replay::new(Tree::initial());
//! let mut reader = LogReader::new(&bytes[..])?;
//! while let Some(LogItem::Record(record)) = reader.next()? {
//!     replay.apply(&record);
//! }
//! assert_eq!(replay.tree().get(b"/a").unwrap().data(), Some(&b"1"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acls;
mod apply;
mod diff;
mod history;
mod quota;
mod run;
mod tree;

#[cfg(test)]
mod tests;

pub use acls::AclTable;
pub use apply::ApplyError;
pub use diff::{Difference, Sums, changes_since, differences};
pub use history::{CommitStatus, CommittedHistory, EpochBounds, EpochEnd, MemberHistory, decide};
pub use quota::{FatalCause, FatalChange};
pub use run::{ApplyResult, DigestMismatch, Replay};
pub use tree::{Journal, Tree, Znode};
