//! The history of one path: its changes, their sessions, the data before and after.

use std::collections::HashMap;
use std::collections::hash_map;
use std::ops::ControlFlow::{Break, Continue};

use crate::ids::{Zxid, ZxidRange};
use crate::index::entry::{Data, Entry};
use crate::index::entry_kind::EntryKind;
use crate::index::error::IndexError;
use crate::index::search::{Index, Query};
use crate::index::term::Term;
use crate::log::{Header, SessionId};

/// The data of a znode before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// The znode did not exist.
    Absent,
    /// It had this data; `None` is null.
    Held(Option<Data>),
    /// The logs do not go back that far.
    Unknown,
}

/// A change of a path.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// What.
    pub entry: Entry,
    /// What the znode held before.
    pub before: Before,
}

/// The times of a session, as far as the logs have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTimes {
    /// When it began, in milliseconds since 1970, and its timeout.
    pub opened: Option<(i64, i32)>,
    /// When it ended.
    pub closed: Option<i64>,
}

/// The history of one path.
#[derive(Clone, Debug)]
pub struct ZnodeHistory {
    /// Its changes, oldest first.
    pub changes: Vec<HistoryEntry>,
    /// Whether there are earlier changes.
    pub more: bool,
    /// The sessions that made the changes.
    pub sessions: HashMap<SessionId, SessionTimes>,
}

impl Index {
    /// The last changes of a path, up to the query's `limit`, within its times, zxids and kinds.
    ///
    /// ```no_run
    /// use zookeeper_files::index::{Index, Query};
    /// let index = Index::open("zookeeper.index".as_ref())?;
    /// for change in index.history("/app/config", &Query::default())?.changes {
    ///     println!("{:#} {} {:?}", change.entry.header.zxid, change.entry.kind, change.before);
    /// }
    /// # Ok::<(), zookeeper_files::index::IndexError>(())
    /// ```
    pub fn history(&self, path: &str, query: &Query) -> Result<ZnodeHistory, IndexError> {
        let mut asked = Query { path: Some(path.to_owned()), under: None, ..query.clone() };
        asked.limit = query.limit.saturating_add(1);
        let mut entries = self.search(&asked)?;
        let more = entries.len() > query.limit;
        entries.truncate(query.limit);
        if !query.oldest_first {
            entries.reverse();
        }
        let mut changes: Vec<HistoryEntry> = Vec::with_capacity(entries.len());
        // The previous change has the data before this one only if the query left out nothing between them.
        let complete = query.kinds.is_empty() && query.session.is_none() && !query.multi;
        for entry in entries {
            let preceded = |change: &&HistoryEntry| self.preceded(&change.entry, &entry);
            let before = match changes.iter().rev().find(preceded) {
                Some(last) if complete => after(last),
                _ => self.before(path, &entry)?,
            };
            changes.push(HistoryEntry { entry, before });
        }
        let mut sessions = HashMap::new();
        for change in &changes {
            if let hash_map::Entry::Vacant(unknown) = sessions.entry(change.entry.header.session) {
                let session = self.session(*unknown.key())?;
                unknown.insert(session);
            }
        }
        Ok(ZnodeHistory { changes, more, sessions })
    }

    /// The data of a path before an entry.
    fn before(&self, path: &str, entry: &Entry) -> Result<Before, IndexError> {
        if entry.kind == EntryKind::Created {
            return Ok(Before::Absent);
        }
        let kinds = vec![
            EntryKind::Created,
            EntryKind::Set,
            EntryKind::Reconfigured,
            EntryKind::Deleted,
            EntryKind::Expired,
            EntryKind::Ended,
        ];
        let query = Query { kinds, zxids: ZxidRange { first: Zxid(0), last: entry.header.zxid }, ..Query::path(path) };
        let mut before = Before::Unknown;
        self.search_each(&query, &mut |other| {
            if !self.preceded(&other, entry) {
                return Ok::<_, IndexError>(Continue(()));
            }
            before = held(&other);
            Ok(Break(()))
        })?;
        Ok(before)
    }

    /// Two operations of one multi can be about the same path.
    fn preceded(&self, earlier: &Entry, entry: &Entry) -> bool {
        let place = |entry: &Entry| (entry.header.zxid, entry.multi.map(|multi| multi.0));
        place(earlier) < place(entry) && self.commits.preceded(earlier.header.zxid, entry.header.zxid)
    }

    /// When a session began and ended.
    pub fn session(&self, session: SessionId) -> Result<SessionTimes, IndexError> {
        let kinds = vec![EntryKind::Opened, EntryKind::Closed];
        let query = Query { session: Some(session), kinds, ..Query::default() };
        let mut known = SessionTimes::default();
        self.led_by(&[vec![Term::life(session)]], &query, &mut |entry| {
            let Header { time, zxid, .. } = entry.header;
            match entry.kind {
                EntryKind::Opened => known.opened = Some((time, entry.number.unwrap_or_default())),
                // A leader without followers ends sessions that it does not hear from, but they live on.
                _ if self.commits.never(zxid) => {}
                _ => known.closed = known.closed.or(Some(time)),
            }
            Ok::<_, IndexError>(if known.opened.is_some() { Break(()) } else { Continue(()) })
        })?;
        Ok(known)
    }
}

fn after(change: &HistoryEntry) -> Before {
    match change.entry.kind {
        EntryKind::AclSet | EntryKind::Checked => change.before.clone(),
        _ => held(&change.entry),
    }
}

fn held(entry: &Entry) -> Before {
    if entry.kind.removes() { Before::Absent } else { Before::Held(entry.data.clone()) }
}
