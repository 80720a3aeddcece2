//! An index of transaction logs: every change by path and subtree, time, zxid, session and kind.
//!
//! It is disposable: all of it comes from the logs and can be built from them again. It keeps no path and no data, only
//! where in the logs they are: an entry that is found is read from its log, which also proves it. The logs must therefore
//! stay where they were; those that ZooKeeper purged drop out of the index when it grows.
//!
//! - [`build`] makes an index of one member's logs and lets it grow; other members tell it what was never committed.
//! - [`Index::search`] finds, [`Index::history`] tells the life of one path.
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
//! On disk it is an `SQLite` database of packed lists, after the manner of a search engine: a *segment* is a stretch of one
//! log with up to a million entries; its *blocks* say where each entry lies, its *postings* which entries a *term* (a
//! path, a folder, a session, a kind) leads to. An entry takes about 13 bytes.

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
