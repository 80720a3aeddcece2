//! Formats entries of the index, one per line: for a search, and for the history of one path.

use serde::Serialize;

use crate::view::escape::{push_data, push_escaped};
use crate::view::time::{Clock, iso_text};
use crate::view::txn::DataFields;
use zookeeper_files::index::{Before, Data, Entry, EntryKind, HistoryEntry, SessionTimes, ZnodeHistory};
use zookeeper_files::log::Lifetime;
use zookeeper_files::replay::CommitStatus;

/// Appends an entry as `TIME  ZXID  SESSION  KIND PATH DATA DETAILS`.
pub(crate) fn push_entry(entry: &Entry, data: usize, clock: &mut Clock, to: &mut Vec<u8>) {
    clock.push_millis(entry.header.time, to);
    to.extend_from_slice(format!("  {:#}  {}  {}", entry.header.zxid, entry.header.session, entry.kind).as_bytes());
    if let Some(path) = &entry.path {
        to.push(b' ');
        push_escaped(path.as_bytes(), to);
    }
    if sets_data(entry.kind) {
        to.push(b' ');
        push_data(bytes(entry.data.as_ref()), data, to);
    }
    push_details(entry, to);
    to.push(b'\n');
}

fn sets_data(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Created | EntryKind::Set | EntryKind::Reconfigured)
}

fn bytes(data: Option<&Data>) -> Option<&[u8]> {
    data.map(|data| &data.bytes[..])
}

fn push_details(entry: &Entry, to: &mut Vec<u8>) {
    let mut details: Vec<String> = Vec::new();
    match entry.lifetime {
        Some(Lifetime::Ephemeral) => details.push("ephemeral".to_owned()),
        Some(Lifetime::Container) => details.push("container".to_owned()),
        Some(Lifetime::Ttl(millis)) => details.push(format!("ttl {millis} ms")),
        Some(Lifetime::Persistent) | None => {}
    }
    details.extend(entry.acl.as_ref().map(|acl| acl.join(",")));
    match (entry.kind, entry.version, entry.number) {
        (EntryKind::Set | EntryKind::Reconfigured | EntryKind::AclSet | EntryKind::Checked, Some(version), _) => {
            details.push(format!("version {version}"));
        }
        (EntryKind::Opened, _, Some(timeout)) => details.push(format!("timeout {timeout} ms")),
        (EntryKind::Failed, _, Some(code)) => details.push(format!("{code}{}", failure(code))),
        _ => {}
    }
    details.extend(entry.multi.map(|(part, of)| format!("(operation {part} of {of} of a multi)")));
    details.extend(match entry.commit_status {
        Some(CommitStatus::NeverCommitted) => Some("(never committed)".to_owned()),
        Some(CommitStatus::Unknown) => Some("(committed or not: unknown)".to_owned()),
        Some(CommitStatus::Committed) | None => None,
    });
    for detail in details {
        to.push(b' ');
        push_escaped(detail.as_bytes(), to);
    }
}

/// ZooKeeper's name of an error code in a leader's log.
fn failure(code: i32) -> &'static str {
    match code {
        -101 => " (NoNode)",
        -102 => " (NoAuth)",
        -103 => " (BadVersion)",
        -108 => " (NoChildrenForEphemerals)",
        -110 => " (NodeExists)",
        -111 => " (NotEmpty)",
        -112 => " (SessionExpired)",
        -114 => " (InvalidACL)",
        -118 => " (SessionMoved)",
        -125 => " (QuotaExceeded)",
        _ => "",
    }
}

/// Appends the history of a path, and the sessions that changed it.
pub(crate) fn push_history(path: &str, history: &ZnodeHistory, data: usize, to: &mut Vec<u8>) {
    push_escaped(path.as_bytes(), to);
    let count = history.changes.len();
    if count == 0 {
        return to.extend_from_slice(b": nothing happened to it\n");
    }
    let earlier = if history.more { "; there is more before, see --limit and --to" } else { "" };
    let plural = if count == 1 { "" } else { "s" };
    to.extend_from_slice(format!(": {count} change{plural}{earlier}\n").as_bytes());
    let mut clock = Clock::iso();
    for change in &history.changes {
        push_change(change, data, &mut clock, to);
    }
    let mut sessions: Vec<_> = history.sessions.iter().collect();
    sessions.sort_by_key(|(id, session)| (session.opened, **id));
    for (id, session) in sessions {
        to.extend_from_slice(format!("session {id}: {}\n", session_text(*session)).as_bytes());
    }
}

fn session_text(session: SessionTimes) -> String {
    let opened = match session.opened {
        Some((time, timeout)) => format!("opened {}, timeout {timeout} ms", iso_text(time)),
        None => "opened before these logs, or the server itself".to_owned(),
    };
    match session.closed {
        Some(time) => format!("{opened}, closed {}", iso_text(time)),
        None => format!("{opened}, not closed in these logs"),
    }
}

fn push_change(change: &HistoryEntry, data: usize, clock: &mut Clock, to: &mut Vec<u8>) {
    let entry = &change.entry;
    clock.push_millis(entry.header.time, to);
    to.extend_from_slice(format!("  {:#}  {}  {}", entry.header.zxid, entry.header.session, entry.kind).as_bytes());
    if sets_data(entry.kind) && entry.kind != EntryKind::Created || entry.kind.removes() {
        to.push(b' ');
        match &change.before {
            Before::Absent => to.extend_from_slice(b"(absent)"),
            Before::Unknown => to.extend_from_slice(b"(unknown: before these logs)"),
            Before::Held(before) => push_data(bytes(before.as_ref()), data, to),
        }
        to.extend_from_slice(" →".as_bytes());
    }
    if entry.kind.removes() {
        to.extend_from_slice(b" gone");
    } else if sets_data(entry.kind) {
        to.push(b' ');
        push_data(bytes(entry.data.as_ref()), data, to);
    }
    push_details(entry, to);
    to.push(b'\n');
}

/// Data for programs, with its location in a log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DataLine<'a> {
    #[serde(flatten)]
    data: DataFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
}

impl<'a> DataLine<'a> {
    fn of(data: Option<&'a Data>) -> Self {
        Self {
            data: DataFields::of(bytes(data)),
            log: data.map(|data| data.log.display().to_string()),
            offset: data.map(|data| data.offset),
            length: data.map(|data| data.bytes.len()),
        }
    }
}

/// `false` or `"unknown"`; absent if the transaction was committed, or if the index knows one member only.
#[derive(Serialize)]
#[serde(untagged)]
enum Committed {
    Known(bool),
    Said(&'static str),
}

/// An entry of the index, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryLine<'a> {
    time: String,
    zxid: String,
    session: String,
    cxid: i32,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<DataLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<Committed>,
    log: String,
    offset: u64,
}

impl<'a> EntryLine<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let (lifetime, ttl) = match entry.lifetime {
            None => (None, None),
            Some(Lifetime::Persistent) => (Some("persistent"), None),
            Some(Lifetime::Ephemeral) => (Some("ephemeral"), None),
            Some(Lifetime::Container) => (Some("container"), None),
            Some(Lifetime::Ttl(millis)) => (Some("ttl"), Some(millis)),
        };
        Self {
            time: iso_text(entry.header.time),
            zxid: format!("{:#}", entry.header.zxid),
            session: entry.header.session.to_string(),
            cxid: entry.header.cxid,
            kind: entry.kind.name(),
            path: entry.path.as_deref(),
            after: sets_data(entry.kind).then(|| DataLine::of(entry.data.as_ref())),
            version: entry.version,
            acl: entry.acl.as_deref(),
            lifetime,
            ttl,
            timeout: entry.number.filter(|_| entry.kind == EntryKind::Opened),
            error: entry.number.filter(|_| entry.kind == EntryKind::Failed),
            operation: entry.multi.map(|multi| multi.0),
            operations: entry.multi.map(|multi| multi.1),
            committed: match entry.commit_status {
                Some(CommitStatus::NeverCommitted) => Some(Committed::Known(false)),
                Some(CommitStatus::Unknown) => Some(Committed::Said("unknown")),
                Some(CommitStatus::Committed) | None => None,
            },
            log: entry.log.display().to_string(),
            offset: entry.offset,
        }
    }
}

/// A change of a path for programs, with the data before it and the times of its session.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryLine<'a> {
    #[serde(flatten)]
    entry: EntryLine<'a>,
    /// What is known about the path before the change: `absent`, `held` or `unknown`.
    was: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<DataLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_opened: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_closed: Option<String>,
}

impl<'a> HistoryLine<'a> {
    pub(crate) fn of(change: &'a HistoryEntry, history: &ZnodeHistory) -> Self {
        let (was, before) = match &change.before {
            Before::Absent => ("absent", None),
            Before::Unknown => ("unknown", None),
            Before::Held(data) => ("held", Some(DataLine::of(data.as_ref()))),
        };
        let session = history.sessions.get(&change.entry.header.session).copied().unwrap_or_default();
        Self {
            entry: EntryLine::of(&change.entry),
            was,
            before,
            session_opened: session.opened.map(|(time, _)| iso_text(time)),
            session_timeout: session.opened.map(|(_, timeout)| timeout),
            session_closed: session.closed.map(iso_text),
        }
    }
}
