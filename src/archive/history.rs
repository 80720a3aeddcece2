//! One history out of all chains of an archive, as log files: each transaction once, where any of the chains has it.
//!
//! It goes along one chain for as long as each segment follows on the one before, and changes to another where something is missing. What
//! is in a chain was committed, so that it does not matter which of them has it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io::{self, BufWriter, IntoInnerError, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use zookeeper_files::atomic::Part;
use zookeeper_files::disk::{DiskError, MemberFiles};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::log::{LogItem, LogReader, LogWriter};

use super::ahead::Reader;
use super::blocks::Blocks;
use super::key::{Chain, SegmentKey};
use super::live::{Chains, is_long_before};
use super::lost::Lost;
use super::segment::{Facts, Segment};
use super::shipper::ShipError;
use super::store::{Store, StoreError};

/// A log is begun anew after so many bytes, as ZooKeeper's own are by default.
const LOG: u64 = 64 << 20;
/// The file that says whose logs are in a folder.
const WHOSE: &str = "identity";
/// The clocks of leaders differ: so many segments around a time are read besides.
const NEIGHBOURS: usize = 8;

/// Why the history is not there.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment could not be read.
    #[error(transparent)]
    Segment(#[from] ShipError),
    /// What was written before cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two chains have different histories.
    #[error(
        "the archive has two histories: {chain} goes on at {next:#} directly behind {after:#}, and another disk's log has up to {reached:#}. After an accepted loss the log of a lost disk has what never was: menagerie archive fetch writes each disk's log into a folder of its own, and its roll-ups into one more; leave those of that disk out"
    )]
    Forked {
        /// The chain that goes on.
        chain: Chain,
        /// The transaction before, by it.
        after: Zxid,
        /// The next one, by it.
        next: Zxid,
        /// What another chain has.
        reached: Zxid,
    },
    /// Something else is where it would be written.
    #[error("{} has something else than the archived log of {identity}: delete it, or name another folder", path.display())]
    Others {
        /// Where.
        path: PathBuf,
        /// Whose log was to be there.
        identity: String,
    },
    /// There is more of it than may be written.
    #[error("it is more than may be written to {}", path.display())]
    TooMuch {
        /// Where.
        path: PathBuf,
    },
}

/// Which part of the history.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The transactions.
    pub zxids: ZxidRange,
    /// From this time on, in milliseconds since 1970.
    pub since: i64,
    /// Up to this time.
    pub until: i64,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    /// How many transactions.
    pub transactions: u64,
    /// So many bytes of log.
    pub bytes: u64,
    /// Between which transactions it cannot be proved that nothing is missing.
    pub gaps: Vec<(Zxid, Zxid)>,
    /// What could not be read.
    pub lost: Lost,
}

/// The chains of an ensemble, and how they are read.
pub struct History {
    reader: Reader,
    chains: Vec<Arc<[SegmentKey]>>,
    lost: HashSet<(Chain, Zxid)>,
    /// Roll-ups that have nothing between what was reached and the next segment of their disk.
    dry: HashSet<(Chain, Zxid, Option<Zxid>)>,
}

impl History {
    /// Lists what there is of a part and next to it; `None` if nothing is.
    pub async fn of(store: &Store, identity: &str, span: Span) -> Result<Option<Self>, HistoryError> {
        let (mut all, mut near) = (Vec::new(), None::<ZxidRange>);
        let Chains { live, ended } = Chains::since(store, identity, span.since).await?;
        for chain in live {
            let blocks = Blocks::of(store, identity, &chain).await?;
            let of_one = blocks.of_time(store, identity, span.since, span.until).await?;
            // Of all chains the same: what one lacks is looked for in the others.
            near = Some(near.map_or(of_one, |near| ZxidRange {
                first: near.first.min(of_one.first),
                last: near.last.max(of_one.last),
            }));
            all.push(blocks);
        }
        let near = near.unwrap_or(ZxidRange::ALL);
        let first = near.first.max(span.zxids.first);
        let near = ZxidRange { first, last: near.last.min(span.zxids.last).max(first) };
        // What the others lack there, one that has ended may have.
        for (chain, _) in ended.iter().filter(|(_, last)| *last >= near.first) {
            all.push(Blocks::of(store, identity, chain).await?);
        }
        let mut found = Vec::new();
        for blocks in all {
            let segments = blocks.within(near).segments(store, identity).await?;
            if !segments.is_empty() {
                found.push(segments.into());
            }
        }
        let reader = Reader::of(store, identity);
        Ok((!found.is_empty()).then_some(Self { reader, chains: found, lost: HashSet::new(), dry: HashSet::new() }))
    }

    /// Writes a part of it into a folder, behind what the folder has. A few transactions around the part come with it. `told` hears how
    /// many segments were read.
    pub async fn write(
        &mut self,
        span: Span,
        to: &mut Logs,
        told: &(dyn Fn(usize) + Sync),
    ) -> Result<Written, HistoryError> {
        let mut written = Written::default();
        let mut reached = to.last;
        let mut begun = reached.is_some();
        if !begun {
            reached = self.before(span).await?;
        }
        let (mut read, mut late) = (0, 0);
        let mut next = self.filler(reached, Zxid(u64::MAX), None).await?;
        'chains: while let Some((chain, at)) = next {
            let keys = Arc::clone(&self.chains[chain]);
            let reader = self.reader.clone();
            let mut segments = Box::pin(reader.ahead(&keys[at..]).enumerate());
            while let Some((number, (key, segment))) = segments.next().await {
                told(read);
                read += 1;
                let there = self.not_rolled_up(key, reached);
                if let Some((chain, at, _)) = there.filter(|(.., first)| *first <= key.first) {
                    next = Some((chain, at));
                    continue 'chains;
                }
                let Some(segment) = self.sound(key, segment, &mut written.lost)? else {
                    let bound = keys.get(at + number + 1).map_or(Zxid(u64::MAX), |key| key.first);
                    next = self.filler(reached, bound, Some(chain)).await?;
                    if next.is_some() {
                        continue 'chains;
                    }
                    continue;
                };
                let facts = &segment.facts;
                if Some(facts.last) <= reached {
                    continue;
                }
                late += usize::from(facts.earliest > span.until);
                let beyond = facts.first > span.zxids.last;
                if beyond || late > NEIGHBOURS {
                    // What this chain lacks before that, another one may have.
                    if let Some(reached) = reached.filter(|reached| !joins(*reached, facts)) {
                        let bound = facts.first.min(Zxid(span.zxids.last.0.saturating_add(1)));
                        next = self.filler(Some(reached), bound, Some(chain)).await?;
                        if next.is_some() {
                            continue 'chains;
                        }
                        if begun && beyond && reached < span.zxids.last {
                            written.gaps.push((reached, facts.first));
                        }
                    }
                    break 'chains;
                }
                if begun && let Some(reached) = reached {
                    whole(reached, &segment)?;
                }
                if let Some(reached) = reached.filter(|reached| !joins(*reached, facts)) {
                    next = self.filler(Some(reached), facts.first, Some(chain)).await?;
                    if next.is_some() {
                        continue 'chains;
                    }
                    if begun {
                        written.gaps.push((reached, facts.first));
                    }
                }
                let there = self.readable(key, reached, facts.last).await?;
                if let Some((source, at, first)) = there {
                    next = Some((source, at));
                    let before = Zxid(first.0.saturating_sub(1));
                    let taken = to.take(&segment, reached, before)?;
                    if taken == 0 {
                        self.dry.insert((key.chain.clone(), key.first, reached));
                        continue 'chains;
                    }
                    written.transactions += taken;
                    (reached, begun) = (segment.around(before).0, true);
                    continue 'chains;
                }
                written.transactions += to.take(&segment, reached, facts.last)?;
                (reached, begun) = (Some(facts.last), true);
            }
            next = self.filler(reached, Zxid(u64::MAX), Some(chain)).await?;
        }
        to.keep()?;
        written.bytes = to.written;
        Ok(written)
    }

    /// The next segment behind what was reached of a roll-up's disk, and its first transaction. While it is there it is read, and not the roll-up:
    /// whoever may put objects can make one up.
    fn not_rolled_up(&self, key: &SegmentKey, reached: Option<Zxid>) -> Option<(usize, usize, Zxid)> {
        let of = |keys: &Arc<[SegmentKey]>| {
            keys.first().is_some_and(|first| !first.chain.rolled && first.chain.rolled() == key.chain)
        };
        let chain = self.chains.iter().position(of).filter(|_| key.chain.rolled)?;
        let keys = &self.chains[chain];
        let behind = keys.partition_point(|key| Some(key.first) <= reached);
        let there = |key: &SegmentKey| !self.lost.contains(&(key.chain.clone(), key.first));
        let at = behind + keys[behind..].iter().position(there)?;
        Some((chain, at, keys[at].first))
    }

    /// The same, of those that begin in the roll-up, up to its last transaction: the first one that can be read. A roll-up is not read again for each
    /// one that cannot.
    async fn readable(
        &mut self,
        key: &SegmentKey,
        reached: Option<Zxid>,
        last: Zxid,
    ) -> Result<Option<(usize, usize, Zxid)>, HistoryError> {
        while let Some(there) = self.not_rolled_up(key, reached).filter(|(.., first)| *first <= last) {
            let segment = self.chains[there.0][there.1].clone();
            match self.reader.facts(&segment).await {
                Ok(Some(_)) => return Ok(Some(there)),
                Ok(None) => {}
                Err(error) => Lost::default().segment(error)?,
            }
            self.lose(&segment);
        }
        Ok(None)
    }

    /// This one is lost, and what its roll-up has counts again.
    fn lose(&mut self, key: &SegmentKey) {
        self.lost.insert((key.chain.clone(), key.first));
        self.dry.retain(|(chain, ..)| *chain != key.chain.rolled());
    }

    /// The segment, unless it alone cannot be read.
    fn sound(
        &mut self,
        key: &SegmentKey,
        read: Result<Option<Segment>, ShipError>,
        lost: &mut Lost,
    ) -> Result<Option<Segment>, HistoryError> {
        let name = || key.path(self.reader.identity());
        match read {
            Ok(Some(segment)) if segment.facts.identity == self.reader.identity() && segment.facts.key() == *key => {
                return Ok(Some(segment));
            }
            Ok(Some(_)) => lost.add(format!("{} is another segment than its name says", name()), false),
            Ok(None) => lost.add(format!("{} was deleted meanwhile", name()), true),
            Err(error) => lost.segment(error)?,
        }
        self.lose(key);
        Ok(None)
    }

    /// Another chain that has something after `reached` and before `bound`, and the number of its segment with that. The one that goes on
    /// soonest; of two, the segments of a disk before their roll-ups.
    async fn filler(
        &self,
        reached: Option<Zxid>,
        bound: Zxid,
        but: Option<usize>,
    ) -> Result<Option<(usize, usize)>, HistoryError> {
        let mut best = None::<(Zxid, bool, usize, usize)>;
        for (number, keys) in self.chains.iter().enumerate().filter(|(number, _)| Some(*number) != but) {
            let known = |key: &SegmentKey| {
                self.lost.contains(&(key.chain.clone(), key.first))
                    || self.dry.contains(&(key.chain.clone(), key.first, reached))
            };
            let after = keys.partition_point(|key| Some(key.first) <= reached);
            let holds = match after.checked_sub(1).map(|before| &keys[before]).filter(|key| !known(key)) {
                Some(key) => match self.reader.facts(key).await {
                    Ok(facts) => facts.is_some_and(|facts| Some(facts.last) > reached),
                    // Of one that cannot be read nothing is known; the next one may do.
                    Err(error) => {
                        Lost::default().segment(error)?;
                        false
                    }
                },
                None => false,
            };
            let found = if holds {
                Some((reached.map_or(Zxid(0), |reached| Zxid(reached.0 + 1)), after - 1))
            } else {
                let later = keys[after..].iter().position(|key| !known(key)).map(|more| after + more);
                later.map(|at| (keys[at].first, at)).filter(|(first, _)| *first < bound)
            };
            if let Some((first, at)) = found
                && best.is_none_or(|(sooner, rolled, ..)| (first, keys[at].chain.rolled) < (sooner, rolled))
            {
                best = Some((first, keys[at].chain.rolled, number, at));
            }
        }
        Ok(best.map(|(_, _, number, at)| (number, at)))
    }

    /// What is directly before a part; `None` if the part begins with what there is.
    async fn before(&self, span: Span) -> Result<Option<Zxid>, HistoryError> {
        let directly = |zxid: Zxid| zxid.0.checked_sub(1).filter(|before| *before > 0).map(Zxid);
        let by_zxid = directly(span.zxids.first);
        if span.since == i64::MIN {
            return Ok(by_zxid);
        }
        let (mut earliest, mut ended) = (None::<Zxid>, None::<Zxid>);
        for keys in &self.chains {
            // All before `low` end before the time. One that cannot be read says nothing: what is before it is read as well.
            let (mut low, mut high) = (0, keys.len());
            while low < high {
                let middle = low + (high - low) / 2;
                match self.reader.facts(&keys[middle]).await {
                    Ok(Some(facts)) if facts.latest < span.since => low = middle + 1,
                    Ok(_) | Err(ShipError::Damaged { .. }) => high = middle,
                    Err(error) => return Err(error.into()),
                }
            }
            let first = keys.get(low.saturating_sub(NEIGHBOURS)).map_or(Zxid(u64::MAX), |key| key.first);
            if low == keys.len() && self.is_long_over(keys, span.since).await? {
                ended = ended.max(Some(first));
                continue;
            }
            earliest = Some(earliest.map_or(first, |earliest| earliest.min(first)));
        }
        Ok(by_zxid.max(earliest.or(ended).and_then(directly)))
    }

    /// Whether the last of these segments ends long before a time.
    async fn is_long_over(&self, keys: &[SegmentKey], since: i64) -> Result<bool, HistoryError> {
        let Some(last) = keys.last() else { return Ok(false) };
        match self.reader.facts(last).await {
            Ok(facts) => Ok(facts.is_some_and(|facts| is_long_before(&facts, since))),
            Err(ShipError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a segment's history is the one that was written: nothing that it leaves out is there.
fn whole(reached: Zxid, segment: &Segment) -> Result<(), HistoryError> {
    let facts = &segment.facts;
    let forked = |after, next| Err(HistoryError::Forked { chain: facts.chain.clone(), after, next, reached });
    match facts.previous.as_ref().filter(|_| facts.follows) {
        Some(previous) if previous.last < reached && reached < facts.first => forked(previous.last, facts.first),
        // Within an epoch there is no gap.
        _ if facts.first.epoch() == facts.last.epoch() => Ok(()),
        _ => match segment.around(reached) {
            (Some(before), Some(next)) if before < reached => forked(before, next),
            _ => Ok(()),
        },
    }
}

/// Whether nothing is missing between what was reached and a segment.
fn joins(reached: Zxid, facts: &Facts) -> bool {
    let linked = facts.follows && facts.previous.as_ref().is_some_and(|previous| previous.last == reached);
    facts.first <= reached || linked || facts.first.epoch() == reached.epoch() && facts.first.0 == reached.0 + 1
}

/// Log files that are written one after the other.
pub struct Logs {
    folder: PathBuf,
    room: u64,
    written: u64,
    file: Option<(PathBuf, LogWriter<BufWriter<Part>>, u64)>,
    /// The last transaction in them.
    last: Option<Zxid>,
}

impl Logs {
    /// The logs of an ensemble in a folder, which is made if it is not there. No more than so many bytes are added. Logs of anything else are
    /// left alone.
    pub fn in_folder(folder: &Path, identity: &str, room: u64) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Io { path: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let (whose, empty) = (folder.join(WHOSE), fs::read_dir(folder).map_err(failed)?.next().is_none());
        if empty {
            fs::write(&whose, identity).map_err(failed)?;
        } else if !fs::read_to_string(&whose).is_ok_and(|whose| whose == identity) {
            return Err(HistoryError::Others { path: folder.to_owned(), identity: identity.to_owned() });
        }
        let newest = match MemberFiles::find(&folder.to_string_lossy()) {
            Ok(files) => files.logs.into_iter().next_back(),
            Err(DiskError::Unused(_) | DiskError::NotZooKeeper { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let last = newest.map(|log| last_of(&log.path)).transpose()?.flatten();
        Ok(Self { folder: folder.to_owned(), room, written: 0, file: None, last })
    }

    /// What is missing of a part behind what is in them.
    pub fn rest(&self, span: Span) -> Span {
        let first = self.last.map_or(span.zxids.first, |last| span.zxids.first.max(last));
        Span { zxids: ZxidRange { first, last: span.zxids.last.max(first) }, ..span }
    }

    /// Takes what is later than `reached` from a segment, up to there, and says how many transactions that is.
    fn take(&mut self, segment: &Segment, reached: Option<Zxid>, until: Zxid) -> Result<u64, HistoryError> {
        let failed = |folder: &Path, source| HistoryError::Io { path: folder.to_owned(), source };
        let unread = |text: &str| failed(&self.folder, io::Error::other(text.to_owned()));
        let mut count = 0;
        let mut reader = LogReader::new(&segment.log[..]).map_err(|error| unread(&error.to_string()))?;
        while let Some(item) = reader.next().map_err(|source| failed(&self.folder, source))? {
            let LogItem::Record(record) = item else { continue };
            if Some(record.header.zxid) <= reached {
                continue;
            }
            if record.header.zxid > until {
                break;
            }
            let bytes = u64::from(record.length);
            if self.written + bytes > self.room {
                return Err(HistoryError::TooMuch { path: self.folder.clone() });
            }
            if self.file.as_ref().is_some_and(|(_, _, length)| *length >= LOG) {
                self.keep()?;
            }
            let (path, mut writer, length) = match self.file.take() {
                Some(open) => open,
                None => begin(&self.folder, record.header.zxid)?,
            };
            writer.copy(&record).map_err(|source| HistoryError::Io { path: path.clone(), source })?;
            self.file = Some((path, writer, length + bytes));
            self.written += bytes;
            count += 1;
        }
        Ok(count)
    }

    /// Gives the log that is being written its name.
    fn keep(&mut self) -> Result<(), HistoryError> {
        let Some((path, writer, _)) = self.file.take() else { return Ok(()) };
        let kept = writer.into_inner().into_inner().map_err(IntoInnerError::into_error).and_then(|mut part| {
            part.flush()?;
            part.keep()
        });
        kept.map_err(|source| HistoryError::Io { path, source })
    }
}

type Begun = (PathBuf, LogWriter<BufWriter<Part>>, u64);

fn begin(folder: &Path, first: Zxid) -> Result<Begun, HistoryError> {
    let path = folder.join(format!("log.{first}"));
    let begun = Part::begin(&path, Some(0o600)).and_then(|part| LogWriter::new(BufWriter::new(part), 0));
    let writer = begun.map_err(|source| HistoryError::Io { path: path.clone(), source })?;
    Ok((path, writer, 0))
}

/// The last transaction of a log that was written before.
fn last_of(path: &Path) -> Result<Option<Zxid>, HistoryError> {
    let failed = |source| HistoryError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let mut reader =
        LogReader::new(io::BufReader::new(file)).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut last = None;
    while let Some(item) = reader.next().map_err(failed)? {
        if let LogItem::Record(record) = item {
            last = Some(record.header.zxid);
        }
    }
    Ok(last)
}
