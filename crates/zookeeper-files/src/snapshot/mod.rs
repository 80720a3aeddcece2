//! Reads, verifies and writes ZooKeeper's snapshots. Pure: bytes in, values out.
//!
//! A snapshot is *fuzzy*: servers write it while they apply transactions. It contains every transaction up to the zxid in its
//! name, and some later ones, up to its [`Trailer::end`].
//!
//! - [`SnapshotReader`] reads a snapshot of any size in constant memory; [`Compression`] unpacks gzip and snappy.
//! - [`SnapshotWriter`] writes a snapshot that servers start from.
//!
//! ```
//! use zookeeper_files::jute::Text;
//! use zookeeper_files::ids::Zxid;
//! use zookeeper_files::snapshot::{SnapshotItem, SnapshotZnode, SnapshotReader, SnapshotWriter, Stat, Trailer, OPEN_ACL};
//!
//! let mut snapshot = SnapshotWriter::new(Vec::new(), &[], &[])?;
//! let node = |path| SnapshotZnode { path: Text(path), data: Some(b"data"), acl: OPEN_ACL, stat: Stat::default() };
//! snapshot.znode(&node(b""))?;
//! snapshot.znode(&node(b"/a"))?;
//! let bytes = snapshot.finish(&Trailer { digest: None, last: Some(Zxid(7)) })?;
//!
//! let mut reader = SnapshotReader::new(&bytes[..])?;
//! while let Some(item) = reader.next()? {
//!     if let SnapshotItem::Znode(node) = item {
//!         println!("{} has {} bytes", node.path, node.data.map_or(0, <[u8]>::len));
//!     }
//! }
//! assert_eq!(reader.trailer().last, Some(Zxid(7)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compression;
mod damage;
mod reader;
mod trailer;
mod writer;
mod znode;

#[cfg(test)]
mod tests;

pub use compression::{Compression, Unpacked};
pub use damage::{SnapshotError, SnapshotFault};
pub use reader::{SnapshotItem, SnapshotReader};
pub use trailer::{Trailer, ZxidDigest};
pub use writer::{AclTableEntry, Session, SnapshotWriter};
pub use znode::{OPEN_ACL, Owner, SnapshotZnode, Stat};

/// The first four bytes of a snapshot, `ZKSN`.
pub(crate) const MAGIC: [u8; 4] = *b"ZKSN";
