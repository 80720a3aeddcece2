//! A roll-up: segments of a chain that follow on one another, as one.
//!
//! It is a segment too, of a chain of its own (`MEMBER.DISK.rolled`), with the links of those that it is made of. So whoever reads an
//! archive reads roll-ups as one more disk's log: none of them hides what another chain has.
//!
//! Invariants: a roll-up says nothing that its segments did not say; it goes on into another epoch only where its one segment does, since
//! a name says in which epoch it begins; [`holds_all`] is only true if everything that the segments say is in the roll-up, to the byte, and
//! nothing else where they are.

use std::io;

use zookeeper_files::ids::Zxid;
use zookeeper_files::log::{LogItem, LogReader};

use super::key::Chain;
use super::segment::{Facts, Link, Segment, SegmentWriter};

/// A roll-up is closed before it has more bytes of log, of which a reader has some in memory, and a put 90 seconds for what is packed.
const MOST: usize = 16 << 20;
/// It has no more segments: at one a second those of an hour, so that a month of 2.6 million has 720 roll-ups.
pub const MOST_SEGMENTS: u32 = 3600;
/// In seconds: its segments were stored within a day.
const SPAN: u32 = 24 * 60 * 60;

/// Makes roll-ups of a chain's segments, in their order.
pub struct Roller {
    identity: String,
    /// Under whose name.
    chain: Chain,
    open: Option<Open>,
}

/// One that is being made.
struct Open {
    writer: SegmentWriter,
    /// In which epoch it begins.
    begins: u64,
    /// What its first segment says of what is before it.
    previous: Option<Link>,
    follows: bool,
    /// Its last segment.
    ends: Link,
    epoch: u64,
    /// When its first segment was stored, in seconds since 1970.
    stored: u32,
    segments: u32,
    /// Bytes of log.
    bytes: usize,
}

/// One that is made.
pub struct RollUp {
    /// What is known of it.
    pub facts: Facts,
    /// How many segments are in it.
    pub segments: u32,
    /// The object.
    pub object: Vec<u8>,
}

impl Roller {
    /// For the roll-ups of a disk.
    pub fn of(identity: &str, chain: &Chain) -> Self {
        Self { identity: identity.to_owned(), chain: chain.rolled(), open: None }
    }

    /// Takes the next segment, which was stored at this time, in seconds since 1970. If it does not belong to the one that is being made,
    /// that is done. One to which no other belongs yet is not: more may come.
    pub fn take(&mut self, segment: &Segment, stored: u32) -> io::Result<Option<RollUp>> {
        let joins = self.open.as_ref().is_some_and(|open| open.goes_on_with(segment, stored));
        let done = if joins { None } else { self.close()? };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::with(&segment.facts, stored)?,
        };
        open.add(segment)?;
        self.open = Some(open);
        Ok(done)
    }

    /// How many segments are in the one that is being made.
    pub fn open(&self) -> u32 {
        self.open.as_ref().map_or(0, |open| open.segments)
    }

    /// A segment between was not taken: what comes belongs to another one.
    pub fn close(&mut self) -> io::Result<Option<RollUp>> {
        let Some(open) = self.open.take() else { return Ok(None) };
        let Open { writer, previous, follows, ends, epoch, segments, .. } = open;
        let Some(facts) = writer.facts(&self.identity, &self.chain, epoch, previous, follows) else { return Ok(None) };
        let facts = Facts { ends: Some(ends), ..facts };
        let object = writer.pack(&facts)?;
        Ok(Some(RollUp { facts, segments, object }))
    }
}

impl Open {
    fn with(first: &Facts, stored: u32) -> io::Result<Self> {
        let (previous, follows) = (first.previous.clone(), first.follows);
        let (begins, ends, epoch) = (first.first.epoch(), first.link(), first.epoch);
        Ok(Self {
            writer: SegmentWriter::new()?,
            begins,
            previous,
            follows,
            ends,
            epoch,
            stored,
            segments: 0,
            bytes: 0,
        })
    }

    fn goes_on_with(&self, segment: &Segment, stored: u32) -> bool {
        let facts = &segment.facts;
        facts.follows
            && facts.last.epoch() == self.begins
            && facts.previous.as_ref() == Some(&self.ends)
            && self.segments < MOST_SEGMENTS
            && self.bytes + segment.log.len() <= MOST
            && stored.saturating_sub(self.stored) <= SPAN
    }

    fn add(&mut self, segment: &Segment) -> io::Result<()> {
        let mut reader = LogReader::new(&segment.log[..]).map_err(io::Error::other)?;
        while let Some(item) = reader.next()? {
            match item {
                LogItem::Record(record) => self.writer.append(&record)?,
                LogItem::Damage(damage) => return Err(io::Error::other(damage.to_string())),
            }
        }
        self.ends = segment.facts.link();
        self.epoch = self.epoch.max(segment.facts.epoch);
        self.segments += 1;
        self.bytes += segment.log.len();
        Ok(())
    }
}

/// Whether a roll-up has all of these segments, in the order of their names: their transactions with their digests, and all that they say of
/// what is before and behind them. Others of it may be gone before, but not the last one: it shows that nothing was added.
pub fn holds_all(rolled: &Segment, segments: &[Segment]) -> io::Result<bool> {
    let mut reader = LogReader::new(&rolled.log[..]).map_err(io::Error::other)?;
    let (mut number, mut before) = (0, None::<Zxid>);
    let mut piece = Piece::behind(None)?;
    while let Some(item) = reader.next()? {
        let LogItem::Record(record) = item else { return Ok(false) };
        let zxid = record.header.zxid;
        if let Some(segment) = segments.get(number).filter(|segment| segment.facts.last < zxid) {
            if !piece.is(segment, rolled) {
                return Ok(false);
            }
            (number, piece) = (number + 1, Piece::behind(before)?);
        }
        match segments.get(number) {
            Some(segment) if segment.facts.first <= zxid => piece.writer.append(&record)?,
            Some(_) => piece.before = Some(zxid),
            None => return Ok(false),
        }
        before = Some(zxid);
    }
    Ok(match segments.get(number..) {
        Some([last]) => last.facts.last == rolled.facts.last && piece.is(last, rolled),
        _ => false,
    })
}

/// The transactions of a roll-up that a segment should have.
struct Piece {
    /// The one before them in the roll-up.
    before: Option<Zxid>,
    writer: SegmentWriter,
}

impl Piece {
    fn behind(before: Option<Zxid>) -> io::Result<Self> {
        Ok(Self { before, writer: SegmentWriter::new()? })
    }

    fn is(self, segment: &Segment, rolled: &Segment) -> bool {
        let (facts, of) = (&segment.facts, &rolled.facts);
        let Facts { identity, chain, epoch, previous, follows, .. } = facts;
        // The same transactions, under the name of the same disk.
        let same = self.writer.facts(identity, chain, *epoch, previous.clone(), *follows).as_ref() == Some(facts)
            && *identity == of.identity
            && chain.rolled() == of.chain
            && *epoch <= of.epoch;
        let begins = match self.before {
            None => *follows == of.follows && *previous == of.previous,
            Some(before) => *follows && previous.as_ref().is_some_and(|previous| previous.last == before),
        };
        let ends = facts.last < of.last || Some(facts.link()) == of.ends;
        // The hash is of transactions without their digests, and these prove bases.
        same && begins && ends && self.writer.log() == segment.log
    }
}
