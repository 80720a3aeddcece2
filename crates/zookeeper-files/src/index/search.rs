//! Finds entries by path, subtree, session, kind, zxid and time, newest or oldest first, page by page.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow::{self, Break, Continue};
use std::ops::RangeInclusive;
use std::path::Path;
use std::rc::Rc;

use crate::ids::ZxidRange;
use crate::index::commits::Commits;
use crate::index::entry::Entry;
use crate::index::entry_kind::{EntryKind, parts};
use crate::index::error::IndexError;
use crate::index::logs::OpenLogs;
use crate::index::segment::{Block, BlockSpan, EntryLocation, Span, block_spans, each_posting, first_terms};
use crate::index::store::{LogRow, SegmentRow, Store};
use crate::index::term::Term;
use crate::log::{Record, SessionId};
use crate::path::{is_at_or_under, key};

/// What to find. All conditions must hold.
#[derive(Clone, Debug)]
pub struct Query {
    /// This path.
    pub path: Option<String>,
    /// This path or anything below it.
    pub under: Option<String>,
    /// Made by this session.
    pub session: Option<SessionId>,
    /// One of these kinds; empty means any.
    pub kinds: Vec<EntryKind>,
    /// Only operations of a multi.
    pub multi: bool,
    /// In these transactions.
    pub zxids: ZxidRange,
    /// At these times, in milliseconds since 1970.
    pub times: RangeInclusive<i64>,
    /// Return the oldest first, not the newest.
    pub oldest_first: bool,
    /// The largest number of entries.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            path: None,
            under: None,
            session: None,
            kinds: Vec::new(),
            multi: false,
            zxids: ZxidRange::ALL,
            times: i64::MIN..=i64::MAX,
            oldest_first: false,
            limit: 100,
        }
    }
}

impl Query {
    /// Everything that happened to this path.
    pub fn path(path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..Self::default() }
    }

    fn admits(&self, entry: &Entry) -> bool {
        let path = entry.path.as_deref();
        let under = |root: &str| path.is_some_and(|path| is_at_or_under(path, key(root.as_bytes())));
        self.path.as_deref().is_none_or(|wanted| path == Some(wanted))
            && self.under.as_deref().is_none_or(under)
            && self.session.is_none_or(|session| entry.header.session == session)
            && (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && (!self.multi || entry.multi.is_some())
            && self.zxids.contains(entry.header.zxid)
            && self.times.contains(&entry.header.time)
    }

    fn meets(&self, span: &Span) -> bool {
        let (earliest, latest) = span.times;
        self.zxids.meets(span.zxids) && latest >= *self.times.start() && earliest <= *self.times.end()
    }

    /// The terms of an entry: it must have one term of each group.
    fn terms(&self) -> Vec<Vec<Term>> {
        let mut groups = Vec::new();
        groups.extend(self.path.as_deref().map(|path| vec![Term::path(path)]));
        // Everything that has a path is below the root.
        let under = self.under.as_deref().filter(|path| *path != "/");
        groups.extend(under.map(|path| vec![Term::path(path), Term::below(path)]));
        groups.extend(self.session.map(|session| vec![Term::session(session)]));
        if !self.kinds.is_empty() {
            groups.push(self.kinds.iter().map(|&kind| Term::kind(kind)).collect());
        }
        groups.extend(self.multi.then(|| vec![Term::multi()]));
        groups
    }
}

/// Receives each entry, and returns whether to continue.
pub type TakeEntry<'a, E> = &'a mut dyn FnMut(Entry) -> Result<ControlFlow<()>, E>;

/// An open index.
pub struct Index {
    store: Store,
    logs: HashMap<i64, LogRow>,
    segments: Vec<SegmentRow>,
    pub(crate) commits: Commits,
    open_logs: RefCell<OpenLogs>,
    firsts: RefCell<HashMap<i64, Rc<[Term]>>>,
}

impl Index {
    /// Opens an index.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let store = Store::open(path, false)?;
        let logs = store.logs()?.into_iter().map(|log| (log.id, log)).collect();
        let (segments, commits) = (store.segments()?, store.commits()?);
        Ok(Self { store, logs, segments, commits, open_logs: RefCell::default(), firsts: RefCell::default() })
    }

    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.entries)).sum()
    }

    /// The transactions that it covers, and the earliest and the latest time.
    pub fn covers(&self) -> Option<(ZxidRange, (i64, i64))> {
        let (first, last) = (self.segments.first()?, self.segments.last()?);
        let times = self.segments.iter().map(|segment| segment.span.times);
        let times = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some((ZxidRange { first: first.span.zxids.first, last: last.span.zxids.last }, times))
    }

    /// The entries that match the query, up to its limit.
    pub fn search(&self, query: &Query) -> Result<Vec<Entry>, IndexError> {
        let mut found = Vec::new();
        if query.limit == 0 {
            return Ok(found);
        }
        self.search_each(query, &mut |entry| {
            found.push(entry);
            Ok::<_, IndexError>(if found.len() < query.limit { Continue(()) } else { Break(()) })
        })?;
        Ok(found)
    }

    /// Calls `take` with each entry that matches the query, without its limit: a million entries at once took 400 MiB.
    pub fn search_each<E: From<IndexError>>(&self, query: &Query, take: TakeEntry<'_, E>) -> Result<(), E> {
        self.led_by(&query.terms(), query, take)
    }

    /// Calls `take` with each entry that matches the query and has one term of each group.
    pub(crate) fn led_by<E: From<IndexError>>(
        &self,
        groups: &[Vec<Term>],
        query: &Query,
        take: TakeEntry<'_, E>,
    ) -> Result<(), E> {
        let mut segments: Vec<_> = self.segments.iter().filter(|segment| query.meets(&segment.span)).collect();
        if !query.oldest_first {
            segments.reverse();
        }
        for segment in segments {
            let wanted = self.wanted(segment, groups)?;
            if wanted.as_ref().is_none_or(|wanted| !wanted.is_empty())
                && self.all_of(query, segment, wanted.as_deref(), take)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// The numbers of the entries that have one term of each group, ascending; `None` means all, if there is no group.
    fn wanted(&self, segment: &SegmentRow, groups: &[Vec<Term>]) -> Result<Option<Vec<u32>>, IndexError> {
        if groups.is_empty() {
            return Ok(None);
        }
        let firsts = self.first_terms(segment.id)?;
        let mut wanted: Option<Vec<u32>> = None;
        for group in groups {
            let mut numbers = Vec::new();
            for &term in group {
                self.numbers(segment, &firsts, term, &mut numbers)?;
            }
            numbers.sort_unstable();
            numbers.dedup();
            let both = match wanted {
                None => numbers,
                Some(wanted) => intersection(&wanted, &numbers),
            };
            if both.is_empty() {
                return Ok(Some(both));
            }
            wanted = Some(both);
        }
        Ok(wanted)
    }

    /// The first terms of a segment's pages, cached: a history looks up one session after the other.
    fn first_terms(&self, segment: i64) -> Result<Rc<[Term]>, IndexError> {
        if let Some(known) = self.firsts.borrow().get(&segment) {
            return Ok(known.clone());
        }
        let read: Rc<[Term]> = first_terms(&self.store.terms(segment)?).into();
        self.firsts.borrow_mut().insert(segment, read.clone());
        Ok(read)
    }

    fn numbers(&self, segment: &SegmentRow, firsts: &[Term], term: Term, to: &mut Vec<u32>) -> Result<(), IndexError> {
        // A list can begin in the page before the first one that begins with its term.
        let from = firsts.partition_point(|first| *first < term).saturating_sub(1);
        for (number, first) in (0_i64..).zip(firsts).skip(from).take_while(|(_, first)| **first <= term) {
            let lists = self.store.posting(segment.id, number)?;
            let collect = |found, number| to.extend((found == term).then_some(number));
            each_posting(*first, &lists, collect).ok_or_else(|| self.store.damaged())?;
        }
        Ok(())
    }

    /// Reads the wanted entries of a segment, block by block.
    fn all_of<E: From<IndexError>>(
        &self,
        query: &Query,
        segment: &SegmentRow,
        wanted: Option<&[u32]>,
        take: TakeEntry<'_, E>,
    ) -> Result<ControlFlow<()>, E> {
        let block_spans = block_spans(&self.store.block_spans(segment.id)?).ok_or_else(|| self.store.damaged())?;
        let mut blocks = Vec::with_capacity(block_spans.len());
        let mut start = 0;
        for (number, block) in (0_i64..).zip(block_spans) {
            blocks.push((number, start, block));
            start += block.entries;
        }
        if !query.oldest_first {
            blocks.reverse();
        }
        for (number, start, block) in blocks.into_iter().filter(|(.., block)| query.meets(&block.span)) {
            let mut inside = within(wanted, start, &block);
            if inside.is_empty() {
                continue;
            }
            if !query.oldest_first {
                inside.reverse();
            }
            let locations =
                Block::locations(&self.store.block(segment.id, number)?).ok_or_else(|| self.store.damaged())?;
            for within in inside {
                let location = locations.get(within as usize).ok_or_else(|| self.store.damaged())?;
                let entry = self.entry(segment.file, *location)?.filter(|entry| query.admits(entry));
                if let Some(entry) = entry
                    && take(entry)?.is_break()
                {
                    return Ok(Break(()));
                }
            }
        }
        Ok(Continue(()))
    }

    /// Reads an entry from its log. `None` if the record has no such part.
    fn entry(&self, log: i64, location: EntryLocation) -> Result<Option<Entry>, IndexError> {
        let row = self.logs.get(&log).ok_or_else(|| self.store.damaged())?;
        let (checksum, body, path) = self.open_logs.borrow_mut().record(log, &row.path, location.offset)?;
        let stale = || IndexError::Stale { path: row.path.clone(), offset: location.offset };
        let record = Record::decode(location.offset, checksum, &body).map_err(|_| stale())?;
        let commit_status = self.commits.commit_status(record.header.zxid);
        if let Some(part) = parts(&record).find(|part| part.number == location.part) {
            let name = part.path().map(std::borrow::Cow::into_owned);
            return Ok(Some(Entry { commit_status, ..Entry::of(&record, &part, name, &path) }));
        }
        // A session's end before 3.6: its record does not name the paths.
        let Some(ended) = self.store.ended(log, location.offset, location.part)? else { return Ok(None) };
        Ok(parts(&record).next().map(|part| Entry {
            kind: EntryKind::Ended,
            commit_status,
            ..Entry::of(&record, &part, Some(ended), &path)
        }))
    }
}

fn within(wanted: Option<&[u32]>, start: u32, block: &BlockSpan) -> Vec<u32> {
    let Some(wanted) = wanted else { return (0..block.entries).collect() };
    let from = wanted.partition_point(|&number| number < start);
    let inside = wanted[from..].iter().take_while(|&&number| number < start + block.entries);
    inside.map(|number| number - start).collect()
}

fn intersection(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().copied().filter(|number| many.binary_search(number).is_ok()).collect()
}
