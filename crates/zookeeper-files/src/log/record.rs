//! One transaction of a log, and its location.

use std::fmt;

use crate::ids::Zxid;
use crate::jute::{Decoder, Encode, Malformed};
use crate::log::txn::{Txn, TxnType};
use crate::log::znode_change::{self, ZnodeChange};

/// The id of a client's session, or, before its first request, of the server that created it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// The header of a transaction: who did it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The session that asked for it.
    pub session: SessionId,
    /// The session's number of the request.
    pub cxid: i32,
    /// Its id.
    pub zxid: Zxid,
    /// The leader's clock, in milliseconds since 1970.
    pub time: i64,
}

impl Header {
    /// The bytes of a header, type included.
    pub(crate) const LENGTH: usize = 32;

    #[inline]
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<(Self, i32), Malformed> {
        let (session, cxid) = (SessionId(from.i64()?), from.i32()?);
        let (zxid, time) = (Zxid(from.i64()?.cast_unsigned()), from.i64()?);
        Ok((Self { session, cxid, zxid, time }, from.i32()?))
    }

    pub(crate) fn encode(&self, txn_type: TxnType, to: &mut Vec<u8>) {
        to.put_i64(self.session.0);
        to.put_i32(self.cxid);
        to.put_i64(self.zxid.0.cast_signed());
        to.put_i64(self.time);
        to.put_i32(txn_type.code());
    }
}

/// The leader's digest of the whole tree after a transaction. Logged since 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    /// The version of the algorithm; 2 in all releases that log it.
    pub version: i32,
    /// The digest of the tree.
    pub tree: i64,
}

impl Digest {
    /// The bytes of a digest.
    pub(crate) const LENGTH: usize = 12;

    pub(crate) fn encode(self, to: &mut Vec<u8>) {
        to.put_i32(self.version);
        to.put_i64(self.tree);
    }
}

/// One transaction. Everything in it is borrowed from the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where its frame begins in the file.
    pub offset: u64,
    /// The bytes of its frame: checksum, length, body and end mark.
    pub length: u32,
    /// Adler-32 of the body, as stored and as computed.
    pub checksum: u32,
    /// Its header.
    pub header: Header,
    /// The transaction.
    pub txn: Txn<'a>,
    /// The tree's digest after it.
    pub digest: Option<Digest>,
    /// Unknown bytes at the end of the body. No known server writes any.
    pub surplus: u32,
    /// The body as it is on disk.
    pub body: &'a [u8],
}

/// The bytes of a frame before its body: checksum and length.
pub(crate) const FRAME_HEAD: usize = 12;

impl<'a> Record<'a> {
    /// Decodes a body whose checksum was right.
    #[inline]
    pub fn decode(offset: u64, checksum: u32, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(body);
        let (header, code) = Header::decode(&mut from)?;
        let txn_type =
            TxnType::from_code(code).ok_or_else(|| from.malformed("the type of the transaction is unknown"))?;
        if txn_type == TxnType::Check {
            // Servers of 3.4 and 3.6 log one that a raw client sends, and then never start again.
            return Err(from.malformed("a check stands outside a multi, on which no server starts"));
        }
        let txn = Txn::decode(txn_type, &mut from)?;
        let digest = match from.rest().len() {
            0..Digest::LENGTH => None,
            _ => Some(Digest { version: from.i32()?, tree: from.i64()? }),
        };
        let surplus = u32::try_from(from.rest().len()).unwrap_or(u32::MAX);
        let length = u32::try_from(FRAME_HEAD + body.len() + 1).unwrap_or(u32::MAX);
        Ok(Self { offset, length, checksum, header, txn, digest, surplus, body })
    }

    /// The offset in the file of a slice of this record, for example of its data.
    ///
    /// ```no_run
    /// # fn f(record: zookeeper_files::log::Record<'_>) {
    /// if let Some(data) = record.txn.data() {
    ///     println!("{} bytes at {:?}", data.len(), record.offset_of(data));
    /// }
    /// # }
    /// ```
    pub fn offset_of(&self, part: &[u8]) -> Option<u64> {
        let within = (part.as_ptr() as usize).checked_sub(self.body.as_ptr() as usize)?;
        (within + part.len() <= self.body.len()).then(|| self.offset + (FRAME_HEAD + within) as u64)
    }

    /// The part of its body that is the same in every member's log: the header and the transaction. The digest after them may
    /// differ from one release to another.
    pub fn transaction(&self) -> &'a [u8] {
        let digest = if self.digest.is_some() { Digest::LENGTH } else { 0 };
        &self.body[..self.body.len().saturating_sub(digest + self.surplus as usize)]
    }

    /// Where the next record begins.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }

    /// Its changes of znodes: one for most types, several for a multi and for a session's end, none for other types and for
    /// failed requests.
    pub fn changes(&self) -> impl Iterator<Item = ZnodeChange<'a>> + use<'a> {
        znode_change::changes(self.txn)
    }
}
