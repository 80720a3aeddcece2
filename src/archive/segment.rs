//! A segment: a piece of a member's log as an object.
//!
//! It is a skippable frame of zstd with [`Facts`] as JSON and their SHA-256, and a zstd frame with a whole log file: unpacked with
//! any zstd, it is the `log.<first>` that ZooKeeper's own tools read. The facts come first, so that a few kilobytes tell all but the
//! transactions.
//!
//! Invariant: what [`Segment::unpack`] returns is what was packed: every fact is compared with the records.

use std::fmt::Write as _;
use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::log::{LogItem, LogReader, LogWriter, Record};

use super::key::{Chain, SegmentKey, is_identity};

/// What a skippable frame of zstd begins with (RFC 8878, 3.1.2).
const SKIPPABLE: [u8; 4] = [0x5a, 0x2a, 0x4d, 0x18];
const FRAME_HEAD: usize = 8;
/// A SHA-256 in hexadecimal.
const SEAL: usize = 64;
/// Facts have some 500 bytes.
const FACTS_LIMIT: usize = 16 << 10;
/// The most that has to be read to know the facts.
pub const FRONT: usize = FRAME_HEAD + FACTS_LIMIT;
/// The most that a segment unpacks to: the size at which it is cut, and one record of the largest kind.
pub const UNPACKED_LIMIT: usize = 64 << 20;
/// The format that this version writes.
const FORMAT: u32 = 1;
/// zstd's own default: a gigabyte takes some 3 s of one core.
const LEVEL: i32 = 3;

/// All that is known of a segment without its transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The version of this format.
    pub format: u32,
    /// The identity of the ensemble.
    pub identity: String,
    /// Who shipped it.
    #[serde(flatten)]
    pub chain: Chain,
    /// Its first transaction.
    pub first: Zxid,
    /// Its last transaction.
    pub last: Zxid,
    /// How many it has: there is no gap between them but from one epoch to the next.
    pub count: u64,
    /// The earliest time of a transaction, in milliseconds since 1970 by the leader's clock.
    pub earliest: i64,
    /// The latest.
    pub latest: i64,
    /// The epoch that the server had joined. Elections without a write leave no other trace.
    pub epoch: u64,
    /// SHA-256 over all records without their digests: these may differ from member to member.
    pub hash: Hash,
    /// The segment of the same chain before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Link>,
    /// Whether its first transaction is proved to follow directly on the last one of the segment before.
    pub follows: bool,
    /// Of a roll-up, the last segment in it: what is behind it names that one as the segment before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Link>,
}

/// The segment before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Its first transaction, by which it is named.
    pub first: Zxid,
    /// Its last.
    pub last: Zxid,
    /// Its hash.
    pub hash: Hash,
}

/// A SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// The SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&Sha256::digest(bytes))
    }

    /// Its digits; of one that was read, whatever stood there.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// A SHA-256 that was computed already.
    pub(super) fn from_digest(digest: &[u8]) -> Self {
        Self(hex(digest))
    }
}

/// A segment that is being made: a log, and what is said of it.
pub struct SegmentWriter {
    log: Option<LogWriter<Vec<u8>>>,
    hasher: Sha256,
    zxids: Option<ZxidRange>,
    count: u64,
    earliest: i64,
    latest: i64,
}

/// A segment that was read back, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What is known of it.
    pub facts: Facts,
    /// The log file.
    pub log: Vec<u8>,
}

/// Why an object is no segment.
#[derive(Debug, thiserror::Error)]
pub enum NotASegment {
    /// It has no facts, or others than a segment has.
    #[error("it does not begin with the facts of a segment: {0}")]
    Facts(String),
    /// A later version wrote it.
    #[error("it has format {0}, and this version reads up to {FORMAT}: use a newer menagerie")]
    Format(u32),
    /// It cannot be unpacked.
    #[error("it cannot be unpacked: {0}")]
    Packing(io::Error),
    /// Its records are not those that it was made of.
    #[error("{0}")]
    Damaged(String),
}

impl Facts {
    /// Its name.
    pub fn key(&self) -> SegmentKey {
        SegmentKey { chain: self.chain.clone(), first: self.first }
    }

    /// As the next segment names it.
    pub fn link(&self) -> Link {
        let own = || Link { first: self.first, last: self.last, hash: self.hash.clone() };
        self.ends.clone().unwrap_or_else(own)
    }

    /// Reads the facts at the beginning of an object, of which [`FRONT`] bytes are enough.
    pub fn read(front: &[u8]) -> Result<Self, NotASegment> {
        let wrong = |what: &str| NotASegment::Facts(what.to_owned());
        let (head, rest) = front.split_at_checked(FRAME_HEAD).ok_or_else(|| wrong("it is too short"))?;
        let length = head.strip_prefix(&SKIPPABLE).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
        let length = length.ok_or_else(|| wrong("it begins with other bytes"))? as usize;
        let sealed = rest.get(..length).filter(|_| length <= FACTS_LIMIT).ok_or_else(|| wrong("they are too long"))?;
        let (json, seal) =
            length.checked_sub(SEAL).map(|at| sealed.split_at(at)).ok_or_else(|| wrong("they are too short"))?;
        if seal != hex(&Sha256::digest(json)).as_bytes() {
            return Err(wrong("they are damaged"));
        }
        let format: Format = serde_json::from_slice(json).map_err(|e| NotASegment::Facts(e.to_string()))?;
        if format.format > FORMAT {
            return Err(NotASegment::Format(format.format));
        }
        let facts: Self = serde_json::from_slice(json).map_err(|e| NotASegment::Facts(e.to_string()))?;
        if !is_identity(&facts.identity) || facts.first > facts.last || facts.count == 0 {
            return Err(wrong("they contradict themselves"));
        }
        let ends = facts.ends.as_ref();
        if ends.is_some() != facts.chain.rolled
            || ends.is_some_and(|ends| ends.last != facts.last || ends.first < facts.first)
        {
            return Err(wrong("they are neither those of a segment nor those of a roll-up"));
        }
        Ok(facts)
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl SegmentWriter {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        Ok(Self { log: Some(LogWriter::new(Vec::new(), 0)?), ..Self::counting() })
    }

    /// One that only comes to know the facts, in constant memory.
    pub fn counting() -> Self {
        let (earliest, latest) = (i64::MAX, i64::MIN);
        Self { log: None, hasher: Sha256::new(), zxids: None, count: 0, earliest, latest }
    }

    /// Appends a record of a log, byte for byte.
    pub fn append(&mut self, record: &Record<'_>) -> io::Result<()> {
        if let Some(log) = &mut self.log {
            log.copy(record)?;
        }
        self.hasher.update(record.transaction());
        let zxid = ZxidRange::of(record.header.zxid);
        self.zxids = Some(self.zxids.map_or(zxid, |zxids| ZxidRange { first: zxids.first, last: zxid.last }));
        self.count += 1;
        self.earliest = self.earliest.min(record.header.time);
        self.latest = self.latest.max(record.header.time);
        Ok(())
    }

    /// The transactions in it.
    pub fn zxids(&self) -> Option<ZxidRange> {
        self.zxids
    }

    /// What is known of it; `None` while it is empty.
    pub fn facts(
        &self,
        identity: &str,
        chain: &Chain,
        epoch: u64,
        previous: Option<Link>,
        follows: bool,
    ) -> Option<Facts> {
        let zxids = self.zxids?;
        let hash = Hash(hex(&self.hasher.clone().finalize()));
        Some(Facts {
            format: FORMAT,
            identity: identity.to_owned(),
            chain: chain.clone(),
            first: zxids.first,
            last: zxids.last,
            count: self.count,
            earliest: self.earliest,
            latest: self.latest,
            epoch,
            hash,
            previous,
            follows,
            ends: None,
        })
    }

    /// The log file.
    pub fn log(self) -> Vec<u8> {
        self.log.map(LogWriter::into_inner).unwrap_or_default()
    }

    /// The object.
    pub fn pack(self, facts: &Facts) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(facts)?;
        let length = u32::try_from(json.len() + SEAL).map_err(io::Error::other)?;
        let mut object = Vec::with_capacity(FRONT);
        object.extend_from_slice(&SKIPPABLE);
        object.extend_from_slice(&length.to_le_bytes());
        object.extend_from_slice(&json);
        object.extend_from_slice(hex(&Sha256::digest(&json)).as_bytes());
        let mut packer = zstd::Encoder::new(object, LEVEL)?;
        packer.include_checksum(true)?;
        let log = self.log();
        packer.set_pledged_src_size(Some(log.len() as u64))?;
        io::copy(&mut log.as_slice(), &mut packer)?;
        packer.finish()
    }
}

impl Segment {
    /// Unpacks an object and compares its facts with its records.
    pub fn unpack(object: &[u8]) -> Result<Self, NotASegment> {
        let facts = Facts::read(object)?;
        let mut log = Vec::new();
        let unpacker = zstd::Decoder::with_buffer(object).map_err(NotASegment::Packing)?;
        unpacker.take(UNPACKED_LIMIT as u64 + 1).read_to_end(&mut log).map_err(NotASegment::Packing)?;
        if log.len() > UNPACKED_LIMIT {
            return Err(NotASegment::Damaged(format!("it unpacks to more than {UNPACKED_LIMIT} bytes")));
        }
        let found = Self::facts_of(&log, &facts)?;
        if found != facts {
            return Err(NotASegment::Damaged("its records are not those of its facts".to_owned()));
        }
        Ok(Self { facts, log })
    }

    /// The last of its transactions up to this one, and the first behind it.
    pub fn around(&self, zxid: Zxid) -> (Option<Zxid>, Option<Zxid>) {
        let mut before = None;
        let Ok(mut reader) = LogReader::new(&self.log[..]) else { return (None, None) };
        while let Ok(Some(LogItem::Record(record))) = reader.next() {
            if record.header.zxid > zxid {
                return (before, Some(record.header.zxid));
            }
            before = Some(record.header.zxid);
        }
        (before, None)
    }

    /// Whether this transaction is in it.
    pub fn has(&self, zxid: Zxid) -> bool {
        self.around(zxid).0 == Some(zxid)
    }

    /// The facts as the records have them.
    fn facts_of(log: &[u8], claimed: &Facts) -> Result<Facts, NotASegment> {
        let damaged = |what: String| NotASegment::Damaged(what);
        let mut reader = LogReader::new(log).map_err(|e| damaged(format!("it holds no log: {e}")))?;
        let mut writer = SegmentWriter::counting();
        while let Some(item) = reader.next().map_err(NotASegment::Packing)? {
            match item {
                LogItem::Record(record) => {
                    writer.append(&record).map_err(NotASegment::Packing)?;
                }
                LogItem::Damage(damage) => return Err(damaged(format!("its log is damaged: {damage}"))),
            }
        }
        let Facts { identity, chain, epoch, previous, follows, ends, .. } = claimed;
        let found = writer.facts(identity, chain, *epoch, previous.clone(), *follows);
        let found = found.map(|found| Facts { ends: ends.clone(), ..found });
        found.ok_or_else(|| damaged("its log is empty".to_owned()))
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
