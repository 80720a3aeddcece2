//! Reads, verifies and writes ZooKeeper's transaction logs. Pure: bytes in, values out.
//!
//! - [`LogReader`] reads a log of any size in constant memory, and tells damage from the end of the log. It returns the good
//!   records before and after damage.
//! - [`Record`] is one transaction with its location in the file; [`Txn`] is what it does; [`ZnodeChange`] what it does to one
//!   path.
//! - [`LogWriter`] writes logs that servers read.
//!
//! ```
//! use zookeeper_files::log::{Digest, LogItem, Header, LogReader, LogWriter, SessionId, Txn};
//! use zookeeper_files::ids::Zxid;
//!
//! let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(0x1_0000_0001), time: 1_700_000_000_000 };
//! let mut log = LogWriter::new(Vec::new(), 0)?;
//! log.append(header, &Txn::CreateSession { timeout: 30_000 }, Some(Digest { version: 2, tree: 42 }))?;
//! let bytes = log.into_inner();
//!
//! let mut reader = LogReader::new(&bytes[..])?;
//! while let Some(item) = reader.next()? {
//!     match item {
//!         LogItem::Record(record) => println!("{:#} {} at byte {}", record.header.zxid, record.txn.txn_type(), record.offset),
//!         LogItem::Damage(damage) => println!("damage: {damage}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acl;
mod damage;
mod frame;
mod ops;
mod paths;
pub(crate) mod read_buffer;
mod reader;
mod record;
mod seek;
mod txn;
mod writer;
mod znode_change;

#[cfg(test)]
mod tests;

pub use acl::{Acl, Acls, encode_acls};
pub(crate) use damage::Reading;
pub use damage::{AtStart, Damage, LogFault};
pub use ops::{Ops, encode_ops};
pub use paths::{Paths, encode_paths};
pub(crate) use reader::RawItem;
pub use reader::{End, LogItem, LogReader, NotALog};
pub use record::{Digest, Header, Record, SessionId};
pub(crate) use seek::jump;
pub use txn::{Create, Lifetime, Txn, TxnType};
pub use writer::LogWriter;
pub use znode_change::{Effect, ZnodeChange};

/// The first four bytes of a log, `ZKLG`.
pub(crate) const MAGIC: [u8; 4] = *b"ZKLG";
/// The bytes before the first record: magic, version, database id.
pub const HEADER_LENGTH: usize = 16;
/// The longest record that a reader accepts by default: 16 times `jute.maxbuffer`'s default.
pub(crate) const RECORD_LIMIT: usize = 16 << 20;
/// The longest record that a server reads back by default: `jute.maxbuffer` and `jute.maxbuffer.extrasize` together, of which
/// the second is as much as the first where it is not set.
pub(crate) const SERVER_LIMIT: usize = 2 * 0xf_ffff;
/// The same for members that this operator starts, by default. The files do not show which servers wrote them.
pub(crate) const MEMBER_LIMIT: usize = 0xf_ffff + (64 << 20);
