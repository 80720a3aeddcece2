//! An index of transaction logs: every change by path and subtree, time, zxid, session and kind.
//!
//! You can delete it and build it again from the logs. It contains no paths and no data, only where they are in the logs: a
//! search reads each entry from its log, which also verifies it. So the logs must stay where they are. An update removes logs
//! that ZooKeeper purged.
//!
//! - [`build`] builds an index of one member's logs, or updates it. The logs of other members show what was never committed.
//! - [`Index::search`] finds entries, [`Index::history`] shows the history of one path.
//!
//! ```
//! use zookeeper_files::index::{Before, Index, Query, build};
//! # use zookeeper_files::{ids::Zxid, jute::Text, log::{Header, LogWriter, SessionId, Txn}, replay::Tree};
//! # let place = tempfile::tempdir()?;
//! # let folder = place.path().join("member").to_str().unwrap().to_owned();
//! # let version = place.path().join("member/version-2");
//! # std::fs::create_dir_all(&version)?;
//! # std::fs::write(version.join("snapshot.0"), Tree::initial().write(Vec::new())?)?;
//! # let mut log = LogWriter::new(Vec::new(), 0)?;
//! # let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(0x1_0000_0001), time: 1_700_000_000_000 };
//! # log.append(header, &Txn::SetData { path: Text(b"/zookeeper"), data: Some(b"1"), version: 1, reconfig: false }, None)?;
//! # std::fs::write(version.join("log.100000001"), log.into_inner())?;
//! # let file = place.path().join("zk.index");
//!
//! let built = build(&[folder], &[], &file, &mut |_| ())?;
//! assert_eq!((built.transactions, built.entries), (1, 1));
//! let index = Index::open(&file)?;
//! for entry in index.search(&Query { under: Some("/zookeeper".into()), ..Query::default() })? {
//!     println!("{:#} {} {}", entry.header.zxid, entry.header.session, entry.kind);
//! }
//! let history = index.history("/zookeeper", &Query::default())?;
//! assert_eq!(history.changes[0].before, Before::Unknown, "no log goes back so far");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On disk it is an `SQLite` database of packed lists, like a search engine: a *segment* covers a part of one log with up to a
//! million entries. Its *blocks* contain the location of each entry, its *postings* the entries of each *term* (a path, a
//! folder, a session, a kind). An entry takes about 13 bytes.

mod build;
mod commits;
mod entry;
mod entry_kind;
mod ephemerals;
mod error;
mod history;
mod indexer;
mod logs;
mod others;
mod search;
mod segment;
mod store;
mod term;
mod varint;

pub use build::{BuildInput, Built, IndexedDamage, build, build_of};
pub use entry::{Data, Entry};
pub use entry_kind::EntryKind;
pub use error::IndexError;
pub use history::{Before, HistoryEntry, SessionTimes, ZnodeHistory};
pub use search::{Index, Query, TakeEntry};
