//! Reads a log in constant memory, and continues after damage if it can.

use std::io::{self, Read};

use crate::ids::Zxid;
use crate::jute::Decoder;
use crate::log::damage::{Damage, LogFault};
use crate::log::frame::{Front, body, checksums, front};
use crate::log::read_buffer::ReadBuffer;
use crate::log::record::{FRAME_HEAD, Header, Record};
use crate::log::seek::{candidate, claimed, first_nonzero, jump, length};
use crate::log::{HEADER_LENGTH, MAGIC, RECORD_LIMIT, SERVER_LIMIT};

/// An item of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem<'a> {
    /// A good record.
    Record(Record<'a>),
    /// Damage. The reader continues with the records after it, which servers would not reach.
    Damage(Damage),
}

/// Where a log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Where the next record would begin.
    pub offset: u64,
    /// The zeros from there to the end of the file, which servers allocate ahead.
    pub zeros: u64,
}

/// Why something cannot be read as a log at all.
#[derive(Debug, thiserror::Error)]
pub enum NotALog {
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It begins with other bytes.
    #[error("not a transaction log: it begins with {} and not with ZKLG", .0.escape_ascii())]
    Magic(Vec<u8>),
}

/// Reads a log from its start, or from any record's offset.
///
/// It needs 256 KiB of memory, and more for longer records; it allocates memory only for bytes that it has read.
pub struct LogReader<R> {
    buffer: ReadBuffer<R>,
    limit: usize,
    /// A server refuses a longer record; if a shorter one is incomplete, it treats it as the end.
    server_limit: usize,
    version: i32,
    dbid: i64,
    last: Option<Zxid>,
    /// The gap before the next record was reported already, or is explained by damage.
    jump_told: bool,
    ahead: Option<Damage>,
    end: Option<End>,
    /// How many bytes the search after damage may still checksum for false starts.
    patience: u64,
    /// Zeros end the log, whatever is behind those that were read already.
    stops_at_zeros: bool,
}

pub(crate) enum RawItem {
    Record { start: usize, whole: usize, checksum: u32, offset: u64, after: Option<Zxid> },
    Damage(Damage),
    End,
}

enum Neighbour {
    Good(Zxid),
    End,
    Bad,
}

impl<R: Read> LogReader<R> {
    /// Reads the header of a log. An empty or cut file is a damaged log; a file that begins with other bytes is not a log.
    pub fn new(source: R) -> Result<Self, NotALog> {
        let mut reader = Self::resume(source, 0, None);
        let buffer = &mut reader.buffer;
        buffer.fill(HEADER_LENGTH)?;
        let seen = buffer.bytes();
        let length = seen.len().min(HEADER_LENGTH);
        let head = &seen[..length];
        if !MAGIC.starts_with(&head[..length.min(MAGIC.len())]) && !head.starts_with(&MAGIC) {
            return Err(NotALog::Magic(head[..length.min(MAGIC.len())].to_vec()));
        }
        let mut fields = Decoder::new(head.get(MAGIC.len()..).unwrap_or_default());
        if let (Ok(version), Ok(dbid)) = (fields.i32(), fields.i64()) {
            (reader.version, reader.dbid) = (version, dbid);
            buffer.skip(HEADER_LENGTH);
            reader.ahead = (version != 2).then(|| reader.damage(4, 0, LogFault::Version(version)));
        } else {
            let fault = if length == 0 { LogFault::Empty } else { LogFault::HeaderCut };
            reader.ahead = Some(reader.damage(0, length as u64, fault));
            reader.end = Some(End::default());
        }
        Ok(reader)
    }

    /// Continues a log at the offset of a record, which is the position of `source`. `last` is the record before it.
    pub(crate) fn resume(source: R, offset: u64, last: Option<Zxid>) -> Self {
        Self {
            buffer: ReadBuffer::new(source, offset),
            limit: RECORD_LIMIT,
            server_limit: SERVER_LIMIT,
            version: 2,
            dbid: 0,
            last,
            jump_told: false,
            ahead: None,
            end: None,
            patience: 256 << 20,
            stops_at_zeros: false,
        }
    }

    /// Takes zeros for the end without reading all that servers allocate ahead. A hole with records behind it is then not found: for
    /// logs that grow, whose next record begins where the zeros begin.
    #[must_use]
    pub(crate) fn stopping_at_zeros(self) -> Self {
        Self { stops_at_zeros: true, ..self }
    }

    /// Accepts records of up to `limit` bytes, for ensembles with a large `jute.maxbuffer`.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, server_limit: limit, ..self }
    }

    /// The header's version, 2 in all releases.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// The header's id of the database.
    pub fn dbid(&self) -> i64 {
        self.dbid
    }

    /// The zxid of the last record.
    pub(crate) fn last(&self) -> Option<Zxid> {
        self.last
    }

    /// The offset up to which it has read.
    pub(crate) fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// Where the log ends, once [`next`](Self::next) has returned `None`.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The next record or damage; `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend its buffer")]
    pub fn next(&mut self) -> io::Result<Option<LogItem<'_>>> {
        let found = self.find()?;
        Ok(self.deliver(found))
    }

    /// Decodes what was found; the record borrows from the buffer.
    #[inline]
    pub(crate) fn deliver(&self, found: RawItem) -> Option<LogItem<'_>> {
        match found {
            RawItem::End => None,
            RawItem::Damage(damage) => Some(LogItem::Damage(damage)),
            RawItem::Record { start, whole, checksum, offset, after } => {
                let body = body(self.buffer.past(start, whole));
                Some(Record::decode(offset, checksum, body).map_or_else(
                    |error| {
                        let fault = LogFault::Malformed(error.what);
                        let zxid = claimed(body).map(|header| header.zxid);
                        LogItem::Damage(Damage { offset, length: whole as u64, zxid, after, resumes: None, fault })
                    },
                    LogItem::Record,
                ))
            }
        }
    }

    fn damage(&self, offset: u64, length: u64, fault: LogFault) -> Damage {
        Damage { offset, length, zxid: None, after: self.last, resumes: None, fault }
    }

    /// The next record or damage, not decoded yet.
    pub(crate) fn find(&mut self) -> io::Result<RawItem> {
        if let Some(damage) = self.ahead.take() {
            return Ok(RawItem::Damage(damage));
        }
        if self.end.is_some() {
            return Ok(RawItem::End);
        }
        loop {
            match front(self.buffer.bytes(), self.limit) {
                Front::Short(needed) => {
                    if self.buffer.fill(needed)? {
                        continue;
                    }
                    let (offset, left) = (self.buffer.offset(), self.buffer.bytes());
                    // What servers allocate ahead may end with less than a record's head.
                    if left.len() < FRAME_HEAD && left.iter().all(|&byte| byte == 0) {
                        self.end = Some(End { offset, zeros: left.len() as u64 });
                        let left = left.len();
                        self.buffer.skip(left);
                        return Ok(RawItem::End);
                    }
                    let fault = match length(left) {
                        Some(length) if needed > FRAME_HEAD + self.server_limit + 1 => LogFault::Length(length),
                        _ => LogFault::TornTail,
                    };
                    return self.search(fault, u64::MAX).map(RawItem::Damage);
                }
                Front::Whole(whole) => return self.whole(whole),
                Front::Empty => return self.zeros(),
                Front::Length(length) => return self.search(LogFault::Length(length), u64::MAX).map(RawItem::Damage),
                Front::EndMark(whole, _) if whole > FRAME_HEAD + self.server_limit + 1 => {
                    let length = length(self.buffer.bytes()).unwrap_or(i32::MAX);
                    return self.search(LogFault::Length(length), u64::MAX).map(RawItem::Damage);
                }
                Front::EndMark(whole, byte) => {
                    let mark = self.buffer.offset() + whole as u64 - 1;
                    return self.search(LogFault::EndMark(byte), mark).map(RawItem::Damage);
                }
            }
        }
    }

    #[inline]
    fn whole(&mut self, whole: usize) -> io::Result<RawItem> {
        let frame = &self.buffer.bytes()[..whole];
        let (stored, computed) = checksums(frame);
        let offset = self.buffer.offset();
        let header = claimed(body(frame));
        if stored != u64::from(computed) {
            let fault = LogFault::Checksum { stored, computed };
            return match self.neighbour(whole)? {
                Neighbour::Bad => self.search(fault, u64::MAX).map(RawItem::Damage),
                _ if self.swallows(whole) => {
                    let fault = LogFault::Length(length(self.buffer.bytes()).unwrap_or_default());
                    self.search(fault, u64::MAX).map(RawItem::Damage)
                }
                neighbour => {
                    self.buffer.skip(whole);
                    self.jump_told = true;
                    let resumes = if let Neighbour::Good(zxid) = neighbour { Some(zxid) } else { None };
                    let zxid = header.map(|header| header.zxid);
                    Ok(RawItem::Damage(Damage { zxid, resumes, ..self.damage(offset, whole as u64, fault) }))
                }
            };
        }
        let after = self.last;
        if let Some(zxid) = header.map(|header| header.zxid) {
            if let (Some(before), false) = (self.last, self.jump_told)
                && let Some(fault) = jump(before, zxid)
            {
                self.jump_told = true;
                let damage = self.damage(offset, 0, fault);
                return Ok(RawItem::Damage(Damage { zxid: Some(zxid), resumes: Some(zxid), ..damage }));
            }
            self.last = Some(zxid);
        }
        self.jump_told = false;
        let start = self.buffer.skip(whole);
        Ok(RawItem::Record { start, whole, checksum: computed, offset, after })
    }

    /// What follows directly after a damaged frame: if it is good, the length of the frame is right.
    fn neighbour(&mut self, at: usize) -> io::Result<Neighbour> {
        loop {
            match front(&self.buffer.bytes()[at..], self.limit) {
                Front::Short(needed) => {
                    if !self.buffer.fill(at + needed)? {
                        let ended = self.buffer.bytes().len() == at;
                        return Ok(if ended { Neighbour::End } else { Neighbour::Bad });
                    }
                }
                Front::Empty => return Ok(Neighbour::End),
                Front::Whole(whole) => {
                    let frame = &self.buffer.bytes()[at..at + whole];
                    let (stored, computed) = checksums(frame);
                    return Ok(match claimed(body(frame)) {
                        Some(header) if stored == u64::from(computed) => Neighbour::Good(header.zxid),
                        _ => Neighbour::Bad,
                    });
                }
                Front::Length(_) | Front::EndMark(..) => return Ok(Neighbour::Bad),
            }
        }
    }

    /// Whether the damaged frame contains good records that end where it ends. Then the length is what is damaged: one wrong
    /// bit in 6,000 makes it the length of several records. Records in the data of a znode do not end there.
    fn swallows(&mut self, whole: usize) -> bool {
        let mut at = 1;
        while let Some((skip, length)) =
            self.buffer.bytes().get(at..whole).and_then(|rest| candidate(rest, self.limit, self.last))
        {
            at += skip;
            let mut end = at;
            let mut next = Some(length);
            while let Some(length) = next.filter(|length| end + length <= whole) {
                let Some(left) = self.patience.checked_sub(length as u64) else { return false };
                self.patience = left;
                if self.proven(end, length).is_none() {
                    break;
                }
                end += length;
                next = match front(&self.buffer.bytes()[end..], self.limit) {
                    Front::Whole(length) => Some(length),
                    _ => None,
                };
                if end == whole {
                    return true;
                }
            }
            at += 1;
        }
        false
    }

    /// Searches for a good record after damage. If all bytes from `tail` on are zero, it is a torn tail.
    fn search(&mut self, fault: LogFault, tail: u64) -> io::Result<Damage> {
        let began = self.buffer.offset();
        let zxid = self.buffer.bytes().get(FRAME_HEAD..).and_then(claimed).map(|header| header.zxid);
        let claimed = length(self.buffer.bytes());
        let mut written = began;
        let found = self.scan(1, &mut written)?;
        let fault = match (found, fault) {
            (None, _) if written <= tail && tail < u64::MAX => LogFault::TornTail,
            // With good records behind it, it is not the end that is torn: the length is wrong.
            (Some(_), LogFault::TornTail) => LogFault::Length(claimed.unwrap_or_default()),
            (_, fault) => fault,
        };
        Ok(Damage { zxid, ..self.searched(began, written, found, fault) })
    }

    fn searched(&mut self, began: u64, written: u64, found: Option<Zxid>, fault: LogFault) -> Damage {
        let here = self.buffer.offset();
        self.jump_told = true;
        if found.is_some() {
            return Damage { resumes: found, ..self.damage(began, here - began, fault) };
        }
        self.end = Some(End { offset: began, zeros: here - written });
        self.damage(began, written - began, fault)
    }

    /// A length of 0 ends the log, unless something follows the zeros.
    fn zeros(&mut self) -> io::Result<RawItem> {
        let began = self.buffer.offset();
        let torn_head = self.buffer.bytes().iter().take(8).any(|&byte| byte != 0);
        let mut written = if torn_head { began + 8 } else { began };
        let content = loop {
            let bytes = self.buffer.bytes();
            if let Some(at) = first_nonzero(bytes) {
                // A checksum begins with four zeros and can have more.
                self.buffer.skip(at.saturating_sub(7));
                break true;
            }
            let seen = bytes.len();
            self.buffer.skip(seen);
            if (self.stops_at_zeros && !torn_head) || !self.buffer.fill(1)? {
                break false;
            }
        };
        let found = if content { self.scan(0, &mut written)? } else { None };
        if !content {
            self.end = Some(End { offset: began, zeros: self.buffer.offset() - began });
            return Ok(RawItem::End);
        }
        let fault = match found {
            Some(_) => LogFault::Hole,
            None if torn_head && written == began + 8 => LogFault::TornTail,
            None => LogFault::Garbage,
        };
        Ok(RawItem::Damage(self.searched(began, written, found, fault)))
    }

    /// Skips `first` bytes, then goes to the next good record. `written` becomes the end of the last byte that is not zero
    /// of those skipped, if it is higher.
    fn scan(&mut self, first: usize, written: &mut u64) -> io::Result<Option<Zxid>> {
        let mut skip = first;
        loop {
            let skipped = &self.buffer.bytes()[..skip];
            if let Some(at) = skipped.iter().rposition(|&byte| byte != 0) {
                *written = (*written).max(self.buffer.offset() + at as u64 + 1);
            }
            self.buffer.skip(skip);
            if !self.buffer.fill(FRAME_HEAD + Header::LENGTH)? {
                skip = self.buffer.bytes().len();
                if skip == 0 {
                    return Ok(None);
                }
                continue;
            }
            let bytes = self.buffer.bytes();
            match candidate(bytes, self.limit, self.last) {
                None => skip = bytes.len() - (FRAME_HEAD + Header::LENGTH) + 1,
                Some((at, _)) if at > 0 => skip = at,
                Some((_, whole)) => {
                    skip = 1;
                    // A file made to have a false start at every byte must not cost the square of its size.
                    if let Some(left) = self.patience.checked_sub(whole as u64) {
                        self.patience = left;
                        if self.buffer.fill(whole)?
                            && let Some(zxid) = self.proven(0, whole)
                        {
                            return Ok(Some(zxid));
                        }
                    }
                }
            }
        }
    }

    fn proven(&self, at: usize, whole: usize) -> Option<Zxid> {
        let frame = &self.buffer.bytes()[at..at + whole];
        if !matches!(front(frame, self.limit), Front::Whole(_)) {
            return None;
        }
        let (stored, computed) = checksums(frame);
        let header = claimed(body(frame))?;
        (stored == u64::from(computed)).then_some(header.zxid)
    }
}
