//! A segment: an indexed part of one log, with the location of each entry, and the entries of each term.
//!
//! Measured on 10 million transactions this takes 13 bytes an entry, where one row an entry with its SQL indexes took
//! over 90 and five times as long to write.

use crate::ids::{Zxid, ZxidRange};
use crate::index::term::Term;
use crate::index::varint::{put, put_signed, take, take_signed};
use crate::log::Header;

/// The entries of a segment: a key is a term and the number of an entry, in 64 bits.
const NUMBER_BITS: u32 = 20;
/// How many entries a segment holds at most.
pub(crate) const ENTRIES: u32 = 1 << NUMBER_BITS;
/// The largest number of keys of a segment in memory, which is 24 MiB; deep paths reach it first.
pub(crate) const KEYS: usize = 3 << 20;
/// The number of entries in a block.
const BLOCK: u32 = 128;
/// Lists are cut to fit into a page of 8 KiB.
pub(crate) const LISTS: usize = 8000;

/// The location of an entry: the offset of its record, and the part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryLocation {
    pub(crate) offset: u64,
    pub(crate) part: u32,
}

/// The zxids and times of several entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) zxids: ZxidRange,
    pub(crate) times: (i64, i64),
}

impl Span {
    fn of(header: &Header) -> Self {
        Self { zxids: ZxidRange::of(header.zxid), times: (header.time, header.time) }
    }

    fn join(self, other: Self) -> Self {
        let (a, b) = (self, other);
        Self { zxids: a.zxids.join(b.zxids), times: (a.times.0.min(b.times.0), a.times.1.max(b.times.1)) }
    }
}

/// Up to [`BLOCK`] consecutive entries.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) entries: u32,
    pub(crate) span: Span,
    bytes: Vec<u8>,
    last: u64,
}

impl Block {
    fn new(span: Span) -> Self {
        Self { entries: 0, span, bytes: Vec::new(), last: 0 }
    }

    fn push(&mut self, location: EntryLocation, span: Span) {
        let moved = location.offset - self.last;
        put(&mut self.bytes, (moved << 1) | u64::from(location.part > 0));
        if location.part > 0 {
            put(&mut self.bytes, u64::from(location.part));
        }
        self.last = location.offset;
        self.entries += 1;
        self.span = self.span.join(span);
    }

    /// The entries of a block, as [`Segment::blocks`] holds it.
    pub(crate) fn locations(mut bytes: &[u8]) -> Option<Vec<EntryLocation>> {
        let mut locations = Vec::with_capacity(BLOCK as usize);
        let mut offset = 0_u64;
        while !bytes.is_empty() {
            let head = take(&mut bytes)?;
            offset = offset.checked_add(head >> 1)?;
            let part = if head & 1 == 1 { u32::try_from(take(&mut bytes)?).ok()? } else { 0 };
            locations.push(EntryLocation { offset, part });
        }
        Some(locations)
    }
}

/// An unfinished segment.
#[derive(Debug, Default)]
pub(crate) struct SegmentBuilder {
    blocks: Vec<Block>,
    keys: Vec<u64>,
    entries: u32,
}

impl SegmentBuilder {
    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }

    /// How many keys it has.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Whether it must be written before the next entry.
    pub(crate) fn is_full(&self) -> bool {
        self.entries >= ENTRIES || self.keys.len() >= KEYS
    }

    /// Adds an entry; [`add_term`](Self::add_term) then adds its terms.
    #[inline]
    pub(crate) fn add(&mut self, location: EntryLocation, header: &Header) {
        let span = Span::of(header);
        if self.blocks.last().is_none_or(|block| block.entries >= BLOCK) {
            self.blocks.push(Block::new(span));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(location, span);
        }
        self.entries += 1;
    }

    /// Adds a term to the last entry.
    #[inline]
    pub(crate) fn add_term(&mut self, term: Term) {
        self.keys.push((term.value() << NUMBER_BITS) | u64::from(self.entries.saturating_sub(1)));
    }

    /// Puts the segment of the same log that ends where this one starts before it.
    pub(crate) fn prepend(self, earlier: &Segment) -> Option<Self> {
        let mut joined = Self { blocks: Vec::new(), keys: earlier.keys()?, entries: earlier.entries };
        let shift = u64::from(earlier.entries);
        joined.entries += self.entries;
        joined.keys.extend(self.keys.iter().map(|key| key + shift));
        let block_spans = block_spans(&earlier.block_spans)?;
        let earlier =
            block_spans.iter().zip(&earlier.blocks).map(|(block, bytes)| (block.span, Block::locations(bytes)));
        let own = self.blocks.iter().map(|block| (block.span, Block::locations(&block.bytes)));
        for (span, locations) in earlier.chain(own) {
            let locations = locations?;
            let room = |block: &Block| block.entries as usize + locations.len() <= BLOCK as usize;
            if !joined.blocks.last().is_some_and(room) {
                joined.blocks.push(Block::new(span));
            }
            let block = joined.blocks.last_mut()?;
            for location in locations {
                block.push(location, span);
            }
        }
        Some(joined)
    }

    /// Sorts and packs it, and leaves it empty. It passes the postings to `page` one by one: keeping all of them in memory took
    /// 10 MiB more.
    pub(crate) fn seal<E>(&mut self, page: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<Option<Segment>, E> {
        let Some(span) = self.blocks.iter().map(|block| block.span).reduce(Span::join) else { return Ok(None) };
        self.keys.sort_unstable();
        let mut sealed = Segment::new(self.entries, span);
        let mut before = 0;
        put_signed(&mut sealed.block_spans, span.times.0);
        for block in self.blocks.drain(..) {
            let ZxidRange { first, last } = block.span.zxids;
            put(&mut sealed.block_spans, u64::from(block.entries));
            put_signed(&mut sealed.block_spans, first.0.wrapping_sub(before).cast_signed());
            put(&mut sealed.block_spans, last.0.wrapping_sub(first.0));
            put_signed(&mut sealed.block_spans, block.span.times.0.wrapping_sub(span.times.0));
            put(&mut sealed.block_spans, block.span.times.1.wrapping_sub(block.span.times.0).cast_unsigned());
            before = first.0;
            sealed.blocks.push(block.bytes);
        }
        sealed.terms = pack(&self.keys, page)?;
        self.keys.clear();
        self.entries = 0;
        Ok(Some(sealed))
    }
}

/// Writes sorted keys as lists: a term's distance from the last, how many entries, their distances. Returns the first term of
/// each page.
fn pack<E>(keys: &[u64], page: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<Vec<u8>, E> {
    let (mut lists, mut terms) = (Vec::with_capacity(LISTS), Vec::new());
    let mut before = 0;
    for list in keys.chunk_by(|a, b| a >> NUMBER_BITS == b >> NUMBER_BITS) {
        let term = list[0] >> NUMBER_BITS;
        // A long list goes on in the next page under the same term.
        for stretch in list.chunks(500) {
            if lists.len() + 20 + 3 * stretch.len() > LISTS && !lists.is_empty() {
                page(&lists)?;
                lists.clear();
            }
            if lists.is_empty() {
                terms.extend_from_slice(&term.to_be_bytes()[3..]);
                before = term;
            }
            put(&mut lists, term - before);
            put(&mut lists, stretch.len() as u64);
            let mut last = 0;
            for key in stretch {
                let number = key & u64::from(ENTRIES - 1);
                put(&mut lists, number - last);
                last = number;
            }
            before = term;
        }
    }
    if !lists.is_empty() {
        page(&lists)?;
    }
    Ok(terms)
}

/// What a block covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockSpan {
    pub(crate) entries: u32,
    pub(crate) span: Span,
}

/// The spans of a segment's blocks, from [`Segment::block_spans`].
pub(crate) fn block_spans(mut bytes: &[u8]) -> Option<Vec<BlockSpan>> {
    let mut block_spans = Vec::new();
    let base = take_signed(&mut bytes)?;
    let mut before = 0_u64;
    while !bytes.is_empty() {
        let entries = u32::try_from(take(&mut bytes)?).ok()?;
        let first = before.wrapping_add(take_signed(&mut bytes)?.cast_unsigned());
        let last = first.wrapping_add(take(&mut bytes)?);
        let earliest = base.wrapping_add(take_signed(&mut bytes)?);
        let latest = earliest.wrapping_add(take(&mut bytes)?.cast_signed());
        before = first;
        let zxids = ZxidRange { first: Zxid(first), last: Zxid(last) };
        block_spans.push(BlockSpan { entries, span: Span { zxids, times: (earliest, latest) } });
    }
    Some(block_spans)
}

/// The first terms of a segment's postings, from [`Segment::terms`].
pub(crate) fn first_terms(bytes: &[u8]) -> Vec<Term> {
    let number = |five: &[u8]| five.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
    bytes.chunks_exact(5).map(|five| Term::stored(number(five))).collect()
}

/// A finished segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) entries: u32,
    pub(crate) span: Span,
    /// What each block covers.
    pub(crate) block_spans: Vec<u8>,
    /// The first term of each posting, 5 bytes each.
    pub(crate) terms: Vec<u8>,
    pub(crate) blocks: Vec<Vec<u8>>,
    /// The entries of each term, in pages; empty while it is written.
    pub(crate) postings: Vec<Vec<u8>>,
}

impl Segment {
    pub(crate) fn new(entries: u32, span: Span) -> Self {
        let (block_spans, terms, blocks, postings) = Default::default();
        Self { entries, span, block_spans, terms, blocks, postings }
    }

    fn keys(&self) -> Option<Vec<u64>> {
        let mut keys = Vec::new();
        for (first, lists) in first_terms(&self.terms).into_iter().zip(&self.postings) {
            each_posting(first, lists, |term, number| keys.push((term.value() << NUMBER_BITS) | u64::from(number)))?;
        }
        Some(keys)
    }
}

/// Calls `each` with every term of a page and its entries, ascending.
pub(crate) fn each_posting(first: Term, mut lists: &[u8], mut each: impl FnMut(Term, u32)) -> Option<()> {
    let mut term = first.value();
    while !lists.is_empty() {
        term = term.checked_add(take(&mut lists)?)?;
        let mut number = 0_u64;
        for _ in 0..take(&mut lists)? {
            number = number.checked_add(take(&mut lists)?)?;
            each(Term::stored(term), u32::try_from(number).ok().filter(|&number| number < ENTRIES)?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SessionId;

    fn header(number: u64) -> Header {
        let time = 1_700_000_000_000 + number.cast_signed() * 3 - i64::from(number.is_multiple_of(7));
        Header { session: SessionId(7), cxid: 0, zxid: Zxid(0x1_0000_0000 + number), time }
    }

    fn builder(entries: std::ops::Range<u64>) -> SegmentBuilder {
        let mut builder = SegmentBuilder::default();
        for number in entries {
            builder.add(
                EntryLocation { offset: 16 + number / 3 * 100, part: u32::try_from(number % 3).unwrap() },
                &header(number),
            );
            Term::each_of_path(&format!("/all/{}/{number}", number % 10), |term| builder.add_term(term));
        }
        builder
    }

    fn seal(mut builder: SegmentBuilder) -> Segment {
        let mut postings = Vec::new();
        let mut page = |lists: &[u8]| {
            postings.push(lists.to_vec());
            Ok::<_, ()>(())
        };
        let sealed = builder.seal(&mut page).unwrap().unwrap();
        assert_eq!((builder.entries(), builder.key_count()), (0, 0));
        Segment { postings, ..sealed }
    }

    fn read(sealed: &Segment, wanted: Term) -> Vec<u32> {
        let mut numbers = Vec::new();
        for (first, lists) in first_terms(&sealed.terms).into_iter().zip(&sealed.postings) {
            each_posting(first, lists, |term, number| numbers.extend((term == wanted).then_some(number))).unwrap();
        }
        numbers
    }

    fn locations(sealed: &Segment) -> Vec<EntryLocation> {
        sealed.blocks.iter().flat_map(|block| Block::locations(block).unwrap()).collect()
    }

    #[test]
    fn each_term_leads_to_its_entries_and_each_entry_to_its_place() {
        let sealed = seal(builder(0..5000));
        assert!(sealed.postings.len() > 2 && sealed.postings.iter().all(|lists| lists.len() <= LISTS));
        assert_eq!(read(&sealed, Term::below("/all")), (0..5000).collect::<Vec<_>>());
        assert_eq!(read(&sealed, Term::below("/all/3")), (0..500).map(|n| n * 10 + 3).collect::<Vec<_>>());
        assert_eq!(read(&sealed, Term::path("/all/3/4213")), [4213]);
        assert_eq!(locations(&sealed)[4213], EntryLocation { offset: 16 + 4213 / 3 * 100, part: 1 });
        let block_spans = block_spans(&sealed.block_spans).unwrap();
        assert_eq!(block_spans.iter().map(|block| block.entries).sum::<u32>(), 5000);
        assert_eq!(block_spans[1].span.zxids, ZxidRange { first: Zxid(0x1_0000_0080), last: Zxid(0x1_0000_00ff) });
        assert_eq!(block_spans[1].span.times, (header(128).time, header(255).time));
    }

    #[test]
    fn two_segments_joined_are_the_segment_of_both() {
        let whole = seal(builder(0..1000));
        let earlier = seal(builder(0..333));
        let joined = seal(builder(333..1000).prepend(&earlier).unwrap());
        assert_eq!((joined.entries, joined.span), (whole.entries, whole.span));
        assert_eq!(locations(&joined), locations(&whole));
        assert_eq!((&joined.terms, &joined.postings), (&whole.terms, &whole.postings));
    }

    #[test]
    fn a_damaged_segment_is_no_segment_and_no_panic() {
        let sealed = seal(builder(0..300));
        for length in 0..sealed.block_spans.len() {
            let _ = block_spans(&sealed.block_spans[..length]);
        }
        for at in 0..sealed.postings[0].len() {
            let mut lists = sealed.postings[0].clone();
            lists[at] = 0xff;
            let _ = each_posting(Term::stored(u64::MAX), &lists, |_, _| {});
            let _ = Block::locations(&lists);
        }
    }
}
