//! Writes logs that servers read.

use std::io::{self, Write};

use crate::jute::Encode;
use crate::log::frame::END_MARK;
use crate::log::record::{Digest, Header, Record};
use crate::log::txn::Txn;
use crate::log::{HEADER_LENGTH, MAGIC};

/// Writes a log: its header, then record after record. It neither buffers nor syncs.
pub struct LogWriter<W> {
    to: W,
    frame: Vec<u8>,
}

impl<W: Write> LogWriter<W> {
    /// Writes the header. Servers write 0 for the database's id.
    pub fn new(mut to: W, dbid: i64) -> io::Result<Self> {
        let mut header = Vec::with_capacity(HEADER_LENGTH);
        header.extend_from_slice(&MAGIC);
        header.put_i32(2);
        header.put_i64(dbid);
        to.write_all(&header)?;
        Ok(Self { to, frame: Vec::new() })
    }

    /// Continues a log that already has its header.
    pub fn go_on(to: W) -> Self {
        Self { to, frame: Vec::new() }
    }

    /// Appends a transaction.
    pub fn append(&mut self, header: Header, txn: &Txn<'_>, digest: Option<Digest>) -> io::Result<()> {
        let mut body = Vec::new();
        header.encode(txn.txn_type(), &mut body);
        txn.encode(&mut body);
        if let Some(digest) = digest {
            digest.encode(&mut body);
        }
        self.append_body(&body)
    }

    /// Appends a record of another log, byte for byte.
    pub fn copy(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.append_body(record.body)
    }

    fn append_body(&mut self, body: &[u8]) -> io::Result<()> {
        self.frame.clear();
        self.frame.put_i64(i64::from(simd_adler32::adler32(&body)));
        self.frame.put_buffer(Some(body));
        self.frame.push(END_MARK);
        self.to.write_all(&self.frame)
    }

    /// The underlying writer.
    pub fn into_inner(self) -> W {
        self.to
    }
}
