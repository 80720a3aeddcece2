//! Reads a snapshot in constant memory.

use std::io::{self, ErrorKind, Read};

use crate::ids::Zxid;
use crate::jute::{Decoder, Text};
use crate::log::read_buffer::ReadBuffer;
use crate::log::{Acls, RECORD_LIMIT, SessionId};
use crate::path::{is_at_or_under, parent};
use crate::snapshot::damage::{SnapshotError, SnapshotFault};
use crate::snapshot::trailer::{Trailer, ZxidDigest};
use crate::snapshot::znode::{SnapshotZnode, Stat};
use crate::snapshot::{AclTableEntry, MAGIC, Session};

/// An item of a snapshot, in the order of the file: sessions, the table of ACLs, znodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotItem<'a> {
    /// A session that was alive.
    Session(Session),
    /// An ACL that znodes refer to by its key.
    Acl(AclTableEntry<'a>),
    /// A znode. A parent comes before its children.
    Znode(SnapshotZnode<'a>),
}

#[derive(Clone, Copy)]
enum Stage {
    Sessions(u32),
    AclCount,
    Acls(u32),
    Nodes,
    Done,
}

/// Reads an uncompressed snapshot from its start.
pub struct SnapshotReader<R> {
    buffer: ReadBuffer<R>,
    sum: simd_adler32::Adler32,
    limit: usize,
    stage: Stage,
    trailer: Trailer,
    /// The path of the last znode, which tells whether the next one's parent was seen.
    last: Option<Vec<u8>>,
    newest: Zxid,
}

/// The bytes of a checksum and the `/` after it.
const SEAL: usize = 13;

impl<R: Read> SnapshotReader<R> {
    /// Reads the header.
    pub fn new(source: R) -> Result<Self, SnapshotError> {
        let mut reader = Self {
            buffer: ReadBuffer::new(source, 0),
            sum: simd_adler32::Adler32::new(),
            limit: RECORD_LIMIT,
            stage: Stage::Sessions(0),
            trailer: Trailer::default(),
            last: None,
            newest: Zxid(0),
        };
        reader.fill(4)?;
        let seen = reader.buffer.bytes();
        let head = seen[..seen.len().min(4)].to_vec();
        if head.is_empty() {
            return Err(reader.damaged(SnapshotFault::Empty));
        }
        if !MAGIC.starts_with(&head) {
            return Err(SnapshotError::Magic(head));
        }
        reader.need(16 + 4)?;
        let mut from = reader.decoder(4);
        let fields = (from.i32(), from.i64(), from.i32());
        let (Ok(_version), Ok(_dbid), Ok(sessions)) = fields else { return Err(reader.damaged(SnapshotFault::Cut)) };
        reader.stage = Stage::Sessions(reader.positive(sessions)?);
        reader.consume(20);
        Ok(reader)
    }

    /// Accepts data and paths of up to `limit` bytes.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// What followed the znodes, once [`next`](Self::next) has returned `None`.
    pub fn trailer(&self) -> Trailer {
        self.trailer
    }

    /// The highest zxid in any znode so far.
    pub(crate) fn newest(&self) -> Zxid {
        self.newest
    }

    /// The offset up to which it has read.
    pub(crate) fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// The next item; `None` at the end, if every checksum was right.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend its buffer")]
    pub fn next(&mut self) -> Result<Option<SnapshotItem<'_>>, SnapshotError> {
        loop {
            match self.stage {
                Stage::Sessions(0) => self.stage = Stage::AclCount,
                Stage::Sessions(left) => {
                    self.stage = Stage::Sessions(left - 1);
                    return self.session().map(|session| Some(SnapshotItem::Session(session)));
                }
                Stage::AclCount => {
                    self.need(4)?;
                    let count = self.decoder(0).i32().unwrap_or(-1);
                    self.stage = Stage::Acls(self.positive(count)?);
                    self.consume(4);
                }
                Stage::Acls(0) => self.stage = Stage::Nodes,
                Stage::Acls(left) => {
                    self.stage = Stage::Acls(left - 1);
                    return self.acl().map(|acl| Some(SnapshotItem::Acl(acl)));
                }
                Stage::Nodes => {
                    let Some((start, length)) = self.node_ahead()? else {
                        self.trailers()?;
                        self.stage = Stage::Done;
                        return Ok(None);
                    };
                    let node = decode_node(self.buffer.past(start, length));
                    return node
                        .map(|node| Some(SnapshotItem::Znode(node)))
                        .map_err(|_| self.damaged(SnapshotFault::Cut));
                }
                Stage::Done => return Ok(None),
            }
        }
    }

    fn session(&mut self) -> Result<Session, SnapshotError> {
        self.need(12)?;
        let mut from = self.decoder(0);
        let (Ok(id), Ok(timeout)) = (from.i64(), from.i32()) else { return Err(self.damaged(SnapshotFault::Cut)) };
        self.consume(12);
        Ok(Session { id: SessionId(id), timeout })
    }

    fn acl(&mut self) -> Result<AclTableEntry<'_>, SnapshotError> {
        // Only decoding tells its length: try with more and more bytes.
        let mut wanted = 64;
        let length = loop {
            let whole = self.fill(wanted)?;
            let mut from = self.decoder(0);
            match from.i64().and_then(|_| Acls::decode(&mut from)) {
                Ok(_) => break from.position(),
                Err(_) if whole && wanted < self.limit => wanted = self.buffer.bytes().len().max(wanted) * 2,
                Err(error) if whole => return Err(self.damaged(SnapshotFault::Malformed(error.what))),
                Err(_) => return Err(self.damaged(SnapshotFault::Cut)),
            }
        };
        let start = self.consume(length);
        let mut from = Decoder::new(self.buffer.past(start, length));
        match (from.i64(), Acls::decode(&mut from)) {
            (Ok(key), Ok(acls)) => Ok(AclTableEntry { key, acls }),
            _ => Err(self.damaged(SnapshotFault::Cut)),
        }
    }

    /// Takes a znode into the window; `None` at the path that ends them.
    fn node_ahead(&mut self) -> Result<Option<(usize, usize)>, SnapshotError> {
        let path = self.length_at(0)?.ok_or_else(|| self.damaged(SnapshotFault::Malformed("a path is null")))?;
        self.need(4 + path)?;
        if path == 1 && self.buffer.bytes()[4] == b'/' {
            self.consume(5);
            return Ok(None);
        }
        let data = self.length_at(4 + path)?.unwrap_or(0);
        let length = 4 + path + 4 + data + 8 + Stat::LENGTH;
        self.need(length)?;
        let bytes = self.buffer.bytes();
        let path = &bytes[4..4 + path];
        if !follows(self.last.as_deref(), path) {
            let fault = SnapshotFault::Orphan(Text(path).to_string());
            return Err(self.damaged(fault));
        }
        if let Ok(stat) = Stat::decode(&mut Decoder::new(&bytes[length - Stat::LENGTH..length])) {
            self.newest = self.newest.max(stat.newest());
        }
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(path);
        let start = self.consume(length);
        Ok(Some((start, length)))
    }

    fn trailers(&mut self) -> Result<(), SnapshotError> {
        self.seal()?;
        self.fill(55)?;
        match self.buffer.bytes().len() {
            0 => return self.nothing_left(),
            // With digests off, 3.9 writes the last zxid alone.
            length if length == 8 + SEAL => {}
            _ => self.digest()?,
        }
        if self.fill(1)? {
            self.need(8)?;
            self.trailer.last = self.decoder(0).i64().ok().map(|zxid| Zxid(zxid.cast_unsigned()));
            self.consume(8);
            self.seal()?;
        }
        self.nothing_left()
    }

    fn digest(&mut self) -> Result<(), SnapshotError> {
        self.need(8 + 4)?;
        let mut from = self.decoder(0);
        let (Ok(zxid), Ok(version)) = (from.i64(), from.i32()) else { return Err(self.damaged(SnapshotFault::Cut)) };
        // The first version was written as text.
        let length = if version < 2 { 4 + self.length_at(12)?.unwrap_or(0) } else { 8 };
        self.need(12 + length)?;
        let mut from = self.decoder(12);
        let tree = if version < 2 {
            let text = from.buffer().ok().flatten().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
            i64::from_str_radix(text, 16)
                .map_err(|_| self.damaged(SnapshotFault::Malformed("a digest is no number")))?
        } else {
            from.i64().map_err(|_| self.damaged(SnapshotFault::Cut))?
        };
        self.trailer.digest = Some(ZxidDigest { zxid: Zxid(zxid.cast_unsigned()), version, tree });
        self.consume(12 + length);
        self.seal()
    }

    fn seal(&mut self) -> Result<(), SnapshotError> {
        self.need(SEAL)?;
        let computed = self.sum.finish();
        let mut from = self.decoder(0);
        let stored = from.i64().unwrap_or_default().cast_unsigned();
        if stored != u64::from(computed) {
            return Err(self.damaged(SnapshotFault::Checksum { stored, computed }));
        }
        if from.rest()[..5] != *b"\0\0\0\x01/" {
            return Err(self.damaged(SnapshotFault::Malformed("a checksum is not followed by its end mark")));
        }
        self.consume(SEAL);
        Ok(())
    }

    fn nothing_left(&mut self) -> Result<(), SnapshotError> {
        if self.fill(1)? { Err(self.damaged(SnapshotFault::Surplus)) } else { Ok(()) }
    }

    fn damaged(&self, fault: SnapshotFault) -> SnapshotError {
        let last = self.last.as_deref().map(|path| Text(path).to_string());
        SnapshotError::Damaged { offset: self.buffer.offset(), last, fault }
    }

    fn decoder(&self, at: usize) -> Decoder<'_> {
        Decoder::new(self.buffer.bytes().get(at..).unwrap_or_default())
    }

    fn positive(&self, count: i32) -> Result<u32, SnapshotError> {
        u32::try_from(count).map_err(|_| self.damaged(SnapshotFault::Length(count)))
    }

    fn length_at(&mut self, at: usize) -> Result<Option<usize>, SnapshotError> {
        self.need(at + 4)?;
        let length = self.decoder(at).i32().unwrap_or(i32::MIN);
        match usize::try_from(length) {
            _ if length == -1 => Ok(None),
            Ok(fits) if fits <= self.limit => Ok(Some(fits)),
            _ => Err(self.damaged(SnapshotFault::Length(length))),
        }
    }

    fn consume(&mut self, length: usize) -> usize {
        self.sum.write(&self.buffer.bytes()[..length]);
        self.buffer.skip(length)
    }

    fn need(&mut self, length: usize) -> Result<(), SnapshotError> {
        if self.fill(length)? { Ok(()) } else { Err(self.damaged(SnapshotFault::Cut)) }
    }

    fn fill(&mut self, length: usize) -> Result<bool, SnapshotError> {
        self.buffer.fill(length).map_err(|error: io::Error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::InvalidInput => self.damaged(SnapshotFault::Packing(error.to_string())),
            ErrorKind::UnexpectedEof => self.damaged(SnapshotFault::Cut),
            _ => SnapshotError::Io(error),
        })
    }
}

/// Whether the parent of `path` is the znode before it, or above that one. Servers write depth first.
fn follows(last: Option<&[u8]>, path: &[u8]) -> bool {
    let Some(last) = last else { return path.is_empty() };
    parent(path).is_some_and(|parent| is_at_or_under(last, parent))
}

fn decode_node(bytes: &[u8]) -> Result<SnapshotZnode<'_>, crate::jute::Malformed> {
    let mut from = Decoder::new(bytes);
    Ok(SnapshotZnode { path: from.text()?, data: from.buffer()?, acl: from.i64()?, stat: Stat::decode(&mut from)? })
}
