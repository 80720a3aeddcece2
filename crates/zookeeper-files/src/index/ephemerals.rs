//! The live ephemeral znodes, for logs before 3.6: there a closeSession does not contain the deleted paths.

use std::collections::{BTreeSet, HashMap};

use crate::index::entry_kind::RecordPart;
use crate::log::SessionId;

/// The ephemeral znodes that exist at a point of the history.
#[derive(Debug, Default)]
pub(crate) struct Ephemerals {
    owners: HashMap<String, SessionId>,
    paths: HashMap<SessionId, BTreeSet<String>>,
}

impl Ephemerals {
    pub(crate) fn new(all: impl IntoIterator<Item = (SessionId, String)>) -> Self {
        let mut ephemerals = Self::default();
        all.into_iter().for_each(|(session, path)| ephemerals.insert(session, &path));
        ephemerals
    }

    fn insert(&mut self, session: SessionId, path: &str) {
        self.owners.insert(path.to_owned(), session);
        self.paths.entry(session).or_default().insert(path.to_owned());
    }

    fn remove(&mut self, path: &str) {
        if self.owners.is_empty() {
            return;
        }
        if let Some(session) = self.owners.remove(path)
            && let Some(paths) = self.paths.get_mut(&session)
        {
            paths.remove(path);
        }
    }

    /// Applies a part of a record.
    #[inline]
    pub(crate) fn follow(&mut self, session: SessionId, part: &RecordPart<'_>) {
        if let Some(path) = part.ephemeral() {
            self.insert(session, &path);
        } else if part.kind.removes()
            && let Some(path) = part.path()
        {
            self.remove(&path);
        }
    }

    /// Ends a session, and returns its remaining paths, which the record did not contain.
    pub(crate) fn end(&mut self, session: SessionId) -> BTreeSet<String> {
        let paths = self.paths.remove(&session).unwrap_or_default();
        for path in &paths {
            // Where a deletion is missing from the logs, another session may have created it again.
            if self.owners.get(path) == Some(&session) {
                self.owners.remove(path);
            }
        }
        paths
    }

    /// The paths that a session's end would delete.
    pub(crate) fn of(&self, session: SessionId) -> BTreeSet<String> {
        self.paths.get(&session).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (SessionId, &str)> {
        self.owners.iter().map(|(path, session)| (*session, path.as_str()))
    }
}
