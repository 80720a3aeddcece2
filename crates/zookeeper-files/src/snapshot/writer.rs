//! Writes snapshots that servers start from.

use std::io::{self, Write};

use crate::jute::Encode;
use crate::log::{Acls, SessionId};
use crate::snapshot::MAGIC;
use crate::snapshot::trailer::Trailer;
use crate::snapshot::znode::SnapshotZnode;

/// A session that was alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its timeout, in milliseconds.
    pub timeout: i32,
}

/// An ACL of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AclTableEntry<'a> {
    /// The key that znodes refer to. Servers count from 1.
    pub key: i64,
    /// The list.
    pub acls: Acls<'a>,
}

/// Writes a snapshot: sessions, ACLs, then the znodes, parents first. It neither buffers nor syncs.
pub struct SnapshotWriter<W> {
    to: W,
    sum: simd_adler32::Adler32,
    buffer: Vec<u8>,
}

impl<W: Write> SnapshotWriter<W> {
    /// Writes what comes before the znodes.
    pub fn new(to: W, sessions: &[Session], acls: &[AclTableEntry<'_>]) -> io::Result<Self> {
        let mut writer = Self { to, sum: simd_adler32::Adler32::new(), buffer: Vec::new() };
        let buffer = &mut writer.buffer;
        buffer.extend_from_slice(&MAGIC);
        buffer.put_i32(2);
        buffer.put_i64(-1);
        buffer.put_count(sessions.len());
        for session in sessions {
            buffer.put_i64(session.id.0);
            buffer.put_i32(session.timeout);
        }
        buffer.put_count(acls.len());
        for acl in acls {
            buffer.put_i64(acl.key);
            buffer.extend_from_slice(acl.acls.encoded());
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Appends a znode. The root comes first, with an empty path.
    pub fn znode(&mut self, node: &SnapshotZnode<'_>) -> io::Result<()> {
        self.buffer.put_buffer(Some(node.path.0));
        self.buffer.put_buffer(node.data);
        self.buffer.put_i64(node.acl);
        node.stat.encode(&mut self.buffer);
        self.flush()
    }

    /// Finishes the snapshot.
    pub fn finish(mut self, trailer: &Trailer) -> io::Result<W> {
        self.buffer.put_buffer(Some(b"/"));
        self.seal()?;
        if let Some(digest) = trailer.digest {
            self.buffer.put_i64(digest.zxid.0.cast_signed());
            self.buffer.put_i32(digest.version);
            if digest.version < 2 {
                self.buffer.put_buffer(Some(format!("{:x}", digest.tree).as_bytes()));
            } else {
                self.buffer.put_i64(digest.tree);
            }
            self.seal()?;
        }
        if let Some(last) = trailer.last {
            self.buffer.put_i64(last.0.cast_signed());
            self.seal()?;
        }
        Ok(self.to)
    }

    fn seal(&mut self) -> io::Result<()> {
        self.flush()?;
        self.buffer.put_i64(i64::from(self.sum.finish()));
        self.buffer.put_buffer(Some(b"/"));
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sum.write(&self.buffer);
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
