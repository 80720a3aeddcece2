//! A log on disk that a server may be writing to.

use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::error::DiskError;
use crate::disk::open::{OpenFile, UnpackedFile, open};
use crate::ids::Zxid;
use crate::log::{Damage, End, HEADER_LENGTH, LogFault, LogItem, LogReader, NotALog, RawItem};
use crate::snapshot::{Compression, Unpacked};

/// A file that nobody has written to for this time is not being written: servers finish a record within milliseconds, on an
/// overloaded machine within a second.
pub(crate) const SETTLED: Duration = Duration::from_secs(3);
/// How long the reader looks again at a busy file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often the reader looks again if good records follow: what is before them was finished long ago.
const LOOKS: u32 = 4;

/// A log on a disk.
///
/// A log that is being written can show half of a record, or zeros with records after them that came later. So damage counts
/// only if it is still there after nobody has written to the file for a while.
pub(crate) struct LiveLog {
    path: PathBuf,
    opened: OpenFile,
    reader: Option<LogReader<UnpackedFile>>,
    /// The file begins with other bytes, which was not reported yet.
    magic: Option<[u8; 4]>,
    limit: Option<usize>,
    /// Whether zeros end it: see [`LogReader::stopping_at_zeros`].
    grows: bool,
    doubt: Option<Doubt>,
}

struct Doubt {
    offset: u64,
    since: Instant,
    looks: u32,
}

impl LiveLog {
    /// Opens a log, compressed or not. `limit` is for [`LogReader::with_limit`].
    pub(crate) fn open(path: &Path, limit: Option<usize>) -> Result<Self, DiskError> {
        let log = Self::of_folder(path, limit)?;
        match log.magic {
            None => Ok(log),
            Some(magic) => {
                Err(DiskError::OtherFile { path: path.to_owned(), what: LogFault::Magic(magic).to_string() })
            }
        }
    }

    /// Opens a file that is named like a log. If it begins with other bytes, that is damage.
    pub(crate) fn of_folder(path: &Path, limit: Option<usize>) -> Result<Self, DiskError> {
        let (source, mut log) = Self::opened(path, limit)?;
        log.begin(source).map_err(|error| DiskError::io(path, error))?;
        Ok(log)
    }

    fn opened(path: &Path, limit: Option<usize>) -> Result<(UnpackedFile, Self), DiskError> {
        let (source, opened) = open(path)?;
        let log = Self { path: path.to_owned(), opened, reader: None, magic: None, limit, grows: false, doubt: None };
        Ok((source, log))
    }

    /// Continues in an uncompressed log, at the offset of a record; `last` is the record before it. One that `grows` ends where its
    /// zeros begin.
    pub(crate) fn resume(
        path: &Path,
        offset: u64,
        last: Option<Zxid>,
        limit: Option<usize>,
        grows: bool,
    ) -> Result<Self, DiskError> {
        let (source, log) = Self::opened(path, limit)?;
        let mut log = Self { grows, ..log };
        if log.length() < offset {
            return Err(DiskError::Changed(path.to_owned()));
        }
        // Who is behind the header has read it.
        let begun = if offset >= HEADER_LENGTH as u64 { log.again(offset, last) } else { log.begin(source) };
        begun.map_err(|error| DiskError::io(path, error))?;
        Ok(log)
    }

    fn begin(&mut self, source: UnpackedFile) -> io::Result<()> {
        (self.reader, self.magic) = match LogReader::new(source) {
            Ok(reader) => (Some(self.adjusted(reader)), None),
            Err(NotALog::Io(error)) => return Err(error),
            Err(NotALog::Magic(bytes)) => {
                let mut magic = [0; 4];
                magic.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
                (None, Some(magic))
            }
        };
        Ok(())
    }

    /// Reads again from an offset: the old reader's buffer holds outdated bytes.
    fn again(&mut self, offset: u64, last: Option<Zxid>) -> io::Result<()> {
        let mut file = self.opened.file.try_clone()?;
        if offset < HEADER_LENGTH as u64 {
            file.seek(SeekFrom::Start(0))?;
            return self.begin(Unpacked::Plain(file));
        }
        file.seek(SeekFrom::Start(offset))?;
        let reader = LogReader::resume(Unpacked::Plain(file), offset, last);
        self.reader = Some(self.adjusted(reader));
        Ok(())
    }

    fn adjusted(&self, reader: LogReader<UnpackedFile>) -> LogReader<UnpackedFile> {
        let reader = if self.grows { reader.stopping_at_zeros() } else { reader };
        match self.limit {
            Some(limit) => reader.with_limit(limit),
            None => reader,
        }
    }

    /// Finds the next record or damage; [`deliver`](Self::deliver) decodes it.
    pub(crate) fn find(&mut self) -> io::Result<RawItem> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(magic) = self.magic else { return Ok(RawItem::End) };
                let fault = LogFault::Magic(magic);
                let damage = Damage { offset: 0, length: 0, zxid: None, after: None, resumes: None, fault };
                if self.believes(&damage)? {
                    self.magic = None;
                    return Ok(RawItem::Damage(damage));
                }
                continue;
            };
            match reader.find()? {
                RawItem::Damage(damage) => {
                    if self.believes(&damage)? {
                        return Ok(RawItem::Damage(damage));
                    }
                }
                found => return Ok(found),
            }
        }
    }

    /// Decodes what was found, borrowed; `None` at the end.
    #[inline]
    pub(crate) fn deliver(&self, found: RawItem) -> Option<LogItem<'_>> {
        match (&self.reader, found) {
            (Some(reader), found) => reader.deliver(found),
            (None, RawItem::Damage(damage)) => Some(LogItem::Damage(damage)),
            (None, _) => None,
        }
    }

    /// Whether damage is permanent; if not, the reader goes back to it.
    fn believes(&mut self, damage: &Damage) -> io::Result<bool> {
        let written = !matches!(damage.fault, LogFault::Gap { .. } | LogFault::Backwards { .. } | LogFault::Version(_));
        if !written || self.opened.packed != Compression::Plain {
            return Ok(true);
        }
        let doubt = match &mut self.doubt {
            Some(doubt) if doubt.offset == damage.offset => doubt,
            other => other.insert(Doubt { offset: damage.offset, since: Instant::now(), looks: 0 }),
        };
        let still = self.opened.age().is_none_or(|age| age >= SETTLED);
        let looked = doubt.looks > 0 && (still || doubt.since.elapsed() >= PATIENCE);
        if looked || (damage.resumes.is_some() && doubt.looks >= LOOKS) {
            self.doubt = None;
            return Ok(true);
        }
        if doubt.looks > 0 || !still {
            std::thread::sleep(Duration::from_millis(20 << doubt.looks.min(4)));
        }
        doubt.looks += 1;
        self.again(damage.offset, damage.after)?;
        Ok(false)
    }

    /// The offset up to which it has read.
    pub(crate) fn offset(&self) -> u64 {
        self.reader.as_ref().map_or(0, LogReader::offset)
    }

    /// The zxid of the last record that was delivered.
    pub(crate) fn last(&self) -> Option<Zxid> {
        self.reader.as_ref().and_then(LogReader::last)
    }

    /// Where the log ends, once it was found.
    pub(crate) fn end(&self) -> Option<End> {
        self.reader.as_ref().and_then(LogReader::end)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its size when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.opened.length()
    }

    /// Fails if the file became shorter: the bytes that were read may never have existed at one time.
    pub(crate) fn check(&self) -> Result<(), DiskError> {
        if self.opened.shrank() { Err(DiskError::Changed(self.path.clone())) } else { Ok(()) }
    }
}

/// `None` if a listed file no longer exists: it was purged.
pub(crate) fn unless_purged<T>(opened: Result<T, DiskError>) -> Result<Option<T>, DiskError> {
    match opened {
        Err(DiskError::Missing(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Whether an error means that the compressed data is damaged, not the disk.
pub(crate) fn is_packing(error: &io::Error) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}
