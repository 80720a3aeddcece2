//! A roll-up: segments of a chain that follow on one another, as one.
//!
//! It is a segment too, of a chain of its own (`MEMBER.DISK.rolled`), with the links of those that it is made of. So whoever reads an
//! archive reads roll-ups as one more disk's log: none of them hides what another chain has.
//!
//! Invariants: a roll-up says nothing that its segments did not say; [`held`] is only true of a segment if everything that it says is in
//! the roll-up as well.

use std::io;

use zookeeper_files::ids::Zxid;
use zookeeper_files::log::{LogItem, LogReader};

use super::key::Chain;
use super::segment::{Facts, Link, Segment, SegmentWriter};

/// A roll-up is closed before it has more bytes of log. A reader has two of them in memory.
const MOST: usize = 32 << 20;
/// It has no more segments: at one a second those of an hour, so that a month of 2.6 million has 720 roll-ups.
const MOST_SEGMENTS: u32 = 3600;
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
        let (ends, epoch) = (first.link(), first.epoch);
        Ok(Self { writer: SegmentWriter::new()?, previous, follows, ends, epoch, stored, segments: 0, bytes: 0 })
    }

    fn goes_on_with(&self, segment: &Segment, stored: u32) -> bool {
        let facts = &segment.facts;
        facts.follows
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

/// Which of these segments, in the order of their names, a roll-up has: all of their transactions, and all that they say of what is before
/// and behind them.
pub fn held(rolled: &Segment, segments: &[Facts]) -> io::Result<Vec<bool>> {
    let mut held = vec![false; segments.len()];
    let mut reader = LogReader::new(&rolled.log[..]).map_err(io::Error::other)?;
    let (mut number, mut before) = (0, None::<Zxid>);
    let mut piece = Piece::behind(None);
    while let Some(item) = reader.next()? {
        let LogItem::Record(record) = item else { continue };
        let zxid = record.header.zxid;
        while let Some(facts) = segments.get(number).filter(|facts| facts.last < zxid) {
            held[number] = piece.is(facts, rolled);
            (number, piece) = (number + 1, Piece::behind(before));
        }
        match segments.get(number) {
            Some(facts) if facts.first <= zxid => piece.writer.append(&record)?,
            Some(_) => piece.before = Some(zxid),
            None => break,
        }
        before = Some(zxid);
    }
    if let Some(facts) = segments.get(number) {
        held[number] = piece.is(facts, rolled);
    }
    Ok(held)
}

/// The transactions of a roll-up that a segment should have.
struct Piece {
    /// The one before them in the roll-up.
    before: Option<Zxid>,
    writer: SegmentWriter,
}

impl Piece {
    fn behind(before: Option<Zxid>) -> Self {
        Self { before, writer: SegmentWriter::counting() }
    }

    fn is(&self, segment: &Facts, rolled: &Segment) -> bool {
        let of = &rolled.facts;
        let Facts { identity, chain, epoch, previous, follows, .. } = segment;
        // The same transactions, under the name of the same disk.
        let same = self.writer.facts(identity, chain, *epoch, previous.clone(), *follows).as_ref() == Some(segment)
            && *identity == of.identity
            && chain.rolled() == of.chain
            && *epoch <= of.epoch;
        let begins = match self.before {
            None => *follows == of.follows && *previous == of.previous,
            Some(before) => *follows && previous.as_ref().is_some_and(|previous| previous.last == before),
        };
        let ends = segment.last < of.last || Some(segment.link()) == of.ends;
        same && begins && ends
    }
}
