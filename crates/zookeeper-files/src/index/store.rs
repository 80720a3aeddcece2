//! The index's database: files, segments, their blocks and postings.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::ids::{Zxid, ZxidRange};
use crate::index::commits::Commits;
use crate::index::error::IndexError;
use crate::index::segment::{LISTS, Segment, SegmentBuilder, Span};
use crate::log::{Damage, SessionId};

/// Change it whenever the layout changes: an index of another layout is built again.
const LAYOUT: i64 = 2;
/// `mngr`: tells an index from any other database.
const APPLICATION: i64 = 0x6d6e_6772;
/// Blocks and postings are numbered within their segment.
const WITHIN: u32 = 20;

const TABLES: &str = "
    CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, modified INTEGER NOT NULL,
        next INTEGER NOT NULL, offset INTEGER NOT NULL, checksum INTEGER NOT NULL, first INTEGER, last INTEGER);
    CREATE TABLE damage (file INTEGER NOT NULL, offset INTEGER NOT NULL, stops INTEGER NOT NULL, name TEXT NOT NULL, words TEXT NOT NULL);
    CREATE TABLE segment (id INTEGER PRIMARY KEY, file INTEGER NOT NULL, entries INTEGER NOT NULL,
        first_zxid INTEGER NOT NULL, last_zxid INTEGER NOT NULL, first_time INTEGER NOT NULL, last_time INTEGER NOT NULL,
        blocks INTEGER NOT NULL, postings INTEGER NOT NULL, fences BLOB NOT NULL, terms BLOB NOT NULL);
    CREATE TABLE block (id INTEGER PRIMARY KEY, places BLOB NOT NULL);
    CREATE TABLE posting (id INTEGER PRIMARY KEY, lists BLOB NOT NULL);
    CREATE TABLE ended (file INTEGER, offset INTEGER, part INTEGER, path TEXT NOT NULL, PRIMARY KEY (file, offset, part))
        WITHOUT ROWID;
    CREATE TABLE ephemeral (session INTEGER, path TEXT, PRIMARY KEY (session, path)) WITHOUT ROWID;
    CREATE TABLE epoch (committed INTEGER PRIMARY KEY, possible INTEGER NOT NULL);
";

/// Of blocks; a segment has far fewer than a million.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A log as it was indexed.
#[derive(Clone, Debug)]
pub(crate) struct LogRow {
    pub(crate) id: i64,
    pub(crate) path: PathBuf,
    pub(crate) state: LogState,
}

/// How far a log was indexed, and how to tell that it is still the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogState {
    /// The file's size and time of change when it was read to its end.
    pub(crate) size: u64,
    pub(crate) modified: i64,
    /// Where the next record will begin.
    pub(crate) next: u64,
    /// The last record: where it is, and its checksum.
    pub(crate) offset: u64,
    pub(crate) checksum: u32,
    /// The first and the last transaction.
    pub(crate) zxids: Option<ZxidRange>,
}

/// A segment without its contents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRow {
    pub(crate) id: i64,
    pub(crate) file: i64,
    pub(crate) entries: u32,
    pub(crate) span: Span,
    blocks: i64,
    postings: i64,
}

impl SegmentRow {
    /// No lead takes less than a byte of its page.
    pub(crate) fn keys_at_most(&self) -> usize {
        usize::try_from(self.postings).unwrap_or(usize::MAX).saturating_mul(LISTS)
    }
}

/// An open index.
pub(crate) struct Store {
    pub(crate) database: Connection,
    pub(crate) path: PathBuf,
}

impl Store {
    /// Creates an index in a temporary file: nothing is synced before [`Self::finish`].
    pub(crate) fn create(path: &Path) -> Result<Self, IndexError> {
        let database = Connection::open(path).map_err(IndexError::database(path))?;
        let store = Self { database, path: path.to_owned() };
        store.run("PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
        store.run(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LAYOUT}; BEGIN;"))?;
        store.run(TABLES)?;
        Ok(store)
    }

    /// Opens an existing index; with `grow`, to update it in one transaction.
    pub(crate) fn open(path: &Path, grow: bool) -> Result<Self, IndexError> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(IndexError::Missing(path.to_owned()));
            }
            Err(error) => return Err(IndexError::io(path)(error)),
            Ok(found) if !found.is_file() => return Err(IndexError::NotAnIndex(path.to_owned())),
            Ok(_) => {}
        }
        let flags = if grow { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
        let database = Connection::open_with_flags(path, flags).map_err(IndexError::database(path))?;
        let store = Self { database, path: path.to_owned() };
        let pragma = |name: &str| {
            store.database.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).map_err(store.failed())
        };
        if (pragma("application_id")?, pragma("user_version")?) != (APPLICATION, LAYOUT) {
            return Err(IndexError::NotAnIndex(path.to_owned()));
        }
        if grow {
            store.run("BEGIN IMMEDIATE")?;
        }
        Ok(store)
    }

    /// Commits what [`Self::create`] or [`Self::open`] began: all of it, or nothing if there is an error.
    pub(crate) fn finish(self) -> Result<(), IndexError> {
        self.run("COMMIT")?;
        let Self { database, path } = self;
        database.close().map_err(|(_, error)| IndexError::database(&path)(error))
    }

    fn run(&self, statements: &str) -> Result<(), IndexError> {
        self.database.execute_batch(statements).map_err(self.failed())
    }

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> IndexError + '_ {
        IndexError::database(&self.path)
    }

    pub(crate) fn damaged(&self) -> IndexError {
        IndexError::Damaged(self.path.clone())
    }

    /// All rows of a query.
    pub(crate) fn rows<T>(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, IndexError> {
        let mut statement = self.database.prepare_cached(query).map_err(self.failed())?;
        let rows = statement.query_map(parameters, row).map_err(self.failed())?;
        rows.collect::<Result<_, _>>().map_err(self.failed())
    }

    fn write(&self, statement: &str, parameters: impl rusqlite::Params) -> Result<(), IndexError> {
        let mut statement = self.database.prepare_cached(statement).map_err(self.failed())?;
        statement.execute(parameters).map(|_| ()).map_err(self.failed())
    }

    /// The logs, oldest first.
    pub(crate) fn logs(&self) -> Result<Vec<LogRow>, IndexError> {
        let columns = "SELECT id, path, size, modified, next, offset, checksum, first, last FROM file ORDER BY id";
        self.rows(columns, [], |row| {
            let zxid = |column| {
                Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(|zxid| Zxid(zxid.cast_unsigned())))
            };
            let state = LogState {
                size: row.get::<_, i64>(2)?.cast_unsigned(),
                modified: row.get(3)?,
                next: row.get::<_, i64>(4)?.cast_unsigned(),
                offset: row.get::<_, i64>(5)?.cast_unsigned(),
                checksum: row.get(6)?,
                zxids: zxid(7)?.zip(zxid(8)?).map(|(first, last)| ZxidRange { first, last }),
            };
            Ok(LogRow { id: row.get(0)?, path: PathBuf::from(row.get::<_, String>(1)?), state })
        })
    }

    /// Stores how far a log was indexed; returns its id.
    pub(crate) fn put_log(&self, path: &Path, state: &LogState) -> Result<i64, IndexError> {
        let path = path.to_string_lossy();
        self.write(
            "INSERT INTO file (path, size, modified, next, offset, checksum, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (path) DO UPDATE SET size = ?2, modified = ?3, next = ?4, offset = ?5, checksum = ?6, first = ?7, last = ?8",
            params![
                path,
                state.size.cast_signed(),
                state.modified,
                state.next.cast_signed(),
                state.offset.cast_signed(),
                state.checksum,
                state.zxids.map(|zxids| zxids.first.0.cast_signed()),
                state.zxids.map(|zxids| zxids.last.0.cast_signed())
            ],
        )?;
        self.database.query_row("SELECT id FROM file WHERE path = ?", [path], |row| row.get(0)).map_err(self.failed())
    }

    /// Removes a log that is gone.
    pub(crate) fn drop_log(&self, log: i64) -> Result<(), IndexError> {
        for segment in self.segments()?.into_iter().filter(|segment| segment.file == log) {
            self.drop_segment(segment.id)?;
        }
        self.write("DELETE FROM ended WHERE file = ?", [log])?;
        self.drop_damage(log, 0)?;
        self.write("DELETE FROM file WHERE id = ?", [log])
    }

    /// The segments, oldest first.
    pub(crate) fn segments(&self) -> Result<Vec<SegmentRow>, IndexError> {
        let columns =
            "SELECT id, file, entries, first_zxid, last_zxid, first_time, last_time, blocks, postings FROM segment
            ORDER BY file, id";
        self.rows(columns, [], |row| {
            let zxid = |column| Ok::<_, rusqlite::Error>(Zxid(row.get::<_, i64>(column)?.cast_unsigned()));
            Ok(SegmentRow {
                id: row.get(0)?,
                file: row.get(1)?,
                entries: row.get(2)?,
                span: Span { zxids: ZxidRange { first: zxid(3)?, last: zxid(4)? }, times: (row.get(5)?, row.get(6)?) },
                blocks: row.get(7)?,
                postings: row.get(8)?,
            })
        })
    }

    /// Adds a segment after all others, and leaves the builder empty.
    pub(crate) fn put_segment(&self, log: i64, builder: &mut SegmentBuilder) -> Result<(), IndexError> {
        let last = "SELECT coalesce(max(id), 0) FROM segment";
        let id = self.database.query_row(last, [], |row| row.get::<_, i64>(0)).map_err(self.failed())? + 1;
        let first = id << WITHIN;
        let mut postings = 0;
        let mut page = |lists: &[u8]| -> Result<(), IndexError> {
            self.write("INSERT INTO posting VALUES (?, ?)", params![first + postings, lists])?;
            postings += 1;
            Ok(())
        };
        let Some(sealed) = builder.seal(&mut page)? else { return Ok(()) };
        for (id, places) in (first..).zip(&sealed.blocks) {
            self.write("INSERT INTO block VALUES (?, ?)", params![id, places])?;
        }
        let (zxids, times) = (sealed.span.zxids, sealed.span.times);
        self.write(
            "INSERT INTO segment (id, file, entries, first_zxid, last_zxid, first_time, last_time, blocks, postings, fences, terms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                id,
                log,
                sealed.entries,
                zxids.first.0.cast_signed(),
                zxids.last.0.cast_signed(),
                times.0,
                times.1,
                count(sealed.blocks.len()),
                postings,
                sealed.block_spans,
                sealed.terms
            ],
        )
    }

    /// A whole segment.
    pub(crate) fn segment(&self, segment: &SegmentRow) -> Result<Segment, IndexError> {
        let mut sealed = Segment::new(segment.entries, segment.span);
        (sealed.block_spans, sealed.terms) = (self.block_spans(segment.id)?, self.terms(segment.id)?);
        sealed.blocks = (0..segment.blocks).map(|number| self.block(segment.id, number)).collect::<Result<_, _>>()?;
        sealed.postings =
            (0..segment.postings).map(|number| self.posting(segment.id, number)).collect::<Result<_, _>>()?;
        Ok(sealed)
    }

    pub(crate) fn drop_segment(&self, segment: i64) -> Result<(), IndexError> {
        let range = [segment << WITHIN, (segment + 1) << WITHIN];
        self.write("DELETE FROM block WHERE id >= ? AND id < ?", range)?;
        self.write("DELETE FROM posting WHERE id >= ? AND id < ?", range)?;
        self.write("DELETE FROM segment WHERE id = ?", [segment])
    }

    fn blob(&self, query: &str, id: i64) -> Result<Vec<u8>, IndexError> {
        let mut statement = self.database.prepare_cached(query).map_err(self.failed())?;
        let found = statement.query_row([id], |row| row.get(0)).optional().map_err(self.failed())?;
        found.ok_or_else(|| self.damaged())
    }

    pub(crate) fn block_spans(&self, segment: i64) -> Result<Vec<u8>, IndexError> {
        self.blob("SELECT fences FROM segment WHERE id = ?", segment)
    }

    pub(crate) fn terms(&self, segment: i64) -> Result<Vec<u8>, IndexError> {
        self.blob("SELECT terms FROM segment WHERE id = ?", segment)
    }

    pub(crate) fn block(&self, segment: i64, number: i64) -> Result<Vec<u8>, IndexError> {
        self.blob("SELECT places FROM block WHERE id = ?", (segment << WITHIN) + number)
    }

    pub(crate) fn posting(&self, segment: i64, number: i64) -> Result<Vec<u8>, IndexError> {
        self.blob("SELECT lists FROM posting WHERE id = ?", (segment << WITHIN) + number)
    }

    /// Damage of a log; `stops`: a server does not get past it.
    pub(crate) fn put_damage(&self, log: i64, damage: &Damage, stops: bool) -> Result<(), IndexError> {
        let (offset, name, words) = (damage.offset.cast_signed(), damage.fault.name(), damage.to_string());
        self.write("INSERT INTO damage VALUES (?, ?, ?, ?, ?)", params![log, offset, stops, name, words])
    }

    /// Removes the damage of a log from an offset on: the log is read again from there.
    pub(crate) fn drop_damage(&self, log: i64, from: u64) -> Result<(), IndexError> {
        self.write("DELETE FROM damage WHERE file = ? AND offset >= ?", params![log, from.cast_signed()])
    }

    /// The damage of all logs: which, whether a server stops at it, its name, in words.
    pub(crate) fn damage(&self) -> Result<Vec<(PathBuf, bool, String, String)>, IndexError> {
        let query = "SELECT path, stops, name, words FROM damage JOIN file ON file.id = damage.file ORDER BY file.id, damage.offset";
        self.rows(query, [], |row| Ok((PathBuf::from(row.get::<_, String>(0)?), row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    /// Stores the path of an entry whose record does not contain it.
    pub(crate) fn put_ended(&self, log: i64, offset: u64, part: u32, path: &str) -> Result<(), IndexError> {
        self.write("INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)", params![log, offset.cast_signed(), part, path])
    }

    pub(crate) fn ended(&self, log: i64, offset: u64, part: u32) -> Result<Option<String>, IndexError> {
        let query = "SELECT path FROM ended WHERE file = ? AND offset = ? AND part = ?";
        let found = self.rows(query, params![log, offset.cast_signed(), part], |row| row.get(0))?;
        Ok(found.into_iter().next())
    }

    /// The ephemeral znodes that exist at the end of the logs.
    pub(crate) fn ephemerals(&self) -> Result<Vec<(SessionId, String)>, IndexError> {
        self.rows("SELECT session, path FROM ephemeral", [], |row| Ok((SessionId(row.get(0)?), row.get(1)?)))
    }

    pub(crate) fn put_ephemerals<'a>(&self, all: impl Iterator<Item = (SessionId, &'a str)>) -> Result<(), IndexError> {
        self.write("DELETE FROM ephemeral", [])?;
        for (session, path) in all {
            self.write("INSERT OR REPLACE INTO ephemeral VALUES (?, ?)", params![session.0, path])?;
        }
        Ok(())
    }

    /// Which transactions were committed, by the last decision.
    pub(crate) fn commits(&self) -> Result<Commits, IndexError> {
        let zxid = |number: i64| Zxid(number.cast_unsigned());
        let query = "SELECT committed, possible FROM epoch";
        let bounds = self.rows(query, [], |row| Ok((zxid(row.get(0)?), zxid(row.get(1)?))))?;
        Ok(Commits::stored(bounds))
    }

    pub(crate) fn put_verdicts(&self, commits: &Commits) -> Result<(), IndexError> {
        self.write("DELETE FROM epoch", [])?;
        for (committed, possible) in commits.bounds() {
            self.write("INSERT INTO epoch VALUES (?, ?)", [committed.0.cast_signed(), possible.0.cast_signed()])?;
        }
        Ok(())
    }
}
