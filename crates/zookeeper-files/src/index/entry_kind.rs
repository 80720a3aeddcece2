//! The kinds of entries of the index, and the parts of a record that become entries.

use std::borrow::Cow;
use std::fmt;

use crate::log::{Create, Lifetime, Record, Txn};

/// The kind of an entry: what happened to a path or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A znode was created.
    Created = 1,
    /// A client deleted it.
    Deleted = 2,
    /// The leader deleted it: an empty container or an expired TTL.
    Expired = 3,
    /// It was deleted with the session that owned it.
    Ended = 4,
    /// Its data was set.
    Set = 5,
    /// Its ACL was set.
    AclSet = 6,
    /// The membership was changed.
    Reconfigured = 7,
    /// A multi checked its version.
    Checked = 8,
    /// A session began.
    Opened = 9,
    /// A session ended.
    Closed = 10,
    /// A request failed, alone or as a multi, and changed nothing.
    Failed = 11,
}

impl EntryKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Deleted,
        Self::Expired,
        Self::Ended,
        Self::Set,
        Self::AclSet,
        Self::Reconfigured,
        Self::Checked,
        Self::Opened,
        Self::Closed,
        Self::Failed,
    ];

    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Ended => "ended",
            Self::Set => "set",
            Self::AclSet => "acl-set",
            Self::Reconfigured => "reconfigured",
            Self::Checked => "checked",
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }

    /// Whether the entry has a path.
    pub fn of_path(self) -> bool {
        !matches!(self, Self::Opened | Self::Closed | Self::Failed)
    }

    /// Whether the znode is gone after it.
    pub fn removes(self) -> bool {
        matches!(self, Self::Deleted | Self::Expired | Self::Ended)
    }

    fn of(txn: &Txn<'_>) -> Self {
        match *txn {
            Txn::Create(_) => Self::Created,
            Txn::Delete { container: false, .. } => Self::Deleted,
            Txn::Delete { container: true, .. } => Self::Expired,
            Txn::SetData { reconfig: false, .. } => Self::Set,
            Txn::SetData { reconfig: true, .. } => Self::Reconfigured,
            Txn::SetAcl { .. } => Self::AclSet,
            Txn::Check { .. } => Self::Checked,
            Txn::CreateSession { .. } => Self::Opened,
            Txn::CloseSession { .. } => Self::Closed,
            Txn::Multi(_) | Txn::Error { .. } => Self::Failed,
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One part of a record: all of it for most, one operation of a multi, one path of a session's end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPart<'a> {
    pub(crate) number: u32,
    pub(crate) kind: EntryKind,
    /// The logged transaction; for a path that is deleted with its session, the closeSession.
    pub(crate) txn: Txn<'a>,
    /// The path that is deleted with its session.
    ended: Option<crate::jute::Text<'a>>,
}

impl<'a> RecordPart<'a> {
    /// The path that it changes.
    pub(crate) fn path(&self) -> Option<Cow<'a, str>> {
        self.ended.or_else(|| self.txn.path()).map(crate::jute::Text::decode)
    }

    /// The path, if it is a new ephemeral znode.
    pub(crate) fn ephemeral(&self) -> Option<Cow<'a, str>> {
        match self.txn {
            Txn::Create(Create { path, lifetime: Lifetime::Ephemeral, .. }) => Some(path.decode()),
            _ => None,
        }
    }
}

/// Whether a record is a multi that took effect, and of how many operations.
pub(crate) fn operations(record: &Record<'_>) -> Option<usize> {
    record.txn.operations().map(|ops| ops.iter().count())
}

/// The parts of a record. Their numbers are part of the index on disk: 0 is the record itself, or a multi's first
/// operation; the paths of a session's end count from 1.
pub(crate) fn parts<'a>(record: &Record<'a>) -> impl Iterator<Item = RecordPart<'a>> + use<'a> {
    let txn = record.txn;
    let (multi, paths) = (txn.operations(), txn.ended());
    let whole = multi.is_none().then(|| RecordPart { number: 0, kind: EntryKind::of(&txn), txn, ended: None });
    let operations = multi.into_iter().flat_map(|ops| (0..).zip(ops.iter()));
    let ended = paths.into_iter().flat_map(|paths| (1..).zip(paths.iter()));
    whole
        .into_iter()
        .chain(operations.map(|(number, txn)| RecordPart { number, kind: EntryKind::of(&txn), txn, ended: None }))
        .chain(ended.map(move |(number, path)| RecordPart { number, kind: EntryKind::Ended, txn, ended: Some(path) }))
}
