//! What happened, as a line each: of a search, and of the life of one path.

use serde::Serialize;

use crate::view::escape::{push_data, push_escaped};
use crate::view::time::{Clock, iso_text};
use crate::view::txn::DataFields;
use zookeeper_files::index::{Before, Data, Deed, Event, History, Moment, Session};
use zookeeper_files::log::Lifetime;
use zookeeper_files::replay::Verdict;

/// `TIME  ZXID  SESSION  KIND PATH DETAILS`
pub(crate) fn push_moment(moment: &Moment, data: usize, clock: &mut Clock, to: &mut Vec<u8>) {
    clock.push_millis(moment.header.time, to);
    to.extend_from_slice(format!("  {:#}  {}  {}", moment.header.zxid, moment.header.session, moment.deed).as_bytes());
    if let Some(path) = &moment.path {
        to.push(b' ');
        push_escaped(path.as_bytes(), to);
    }
    if sets_data(moment.deed) {
        to.push(b' ');
        push_data(bytes(moment.data.as_ref()), data, to);
    }
    push_details(moment, to);
    to.push(b'\n');
}

fn sets_data(deed: Deed) -> bool {
    matches!(deed, Deed::Created | Deed::Set | Deed::Reconfigured)
}

fn bytes(data: Option<&Data>) -> Option<&[u8]> {
    data.map(|data| &data.bytes[..])
}

fn push_details(moment: &Moment, to: &mut Vec<u8>) {
    let mut details: Vec<String> = Vec::new();
    match moment.lifetime {
        Some(Lifetime::Ephemeral) => details.push("ephemeral".to_owned()),
        Some(Lifetime::Container) => details.push("container".to_owned()),
        Some(Lifetime::Ttl(millis)) => details.push(format!("ttl {millis} ms")),
        Some(Lifetime::Persistent) | None => {}
    }
    details.extend(moment.acl.as_ref().map(|acl| acl.join(",")));
    match (moment.deed, moment.version, moment.number) {
        (Deed::Set | Deed::Reconfigured | Deed::AclSet | Deed::Checked, Some(version), _) => {
            details.push(format!("version {version}"));
        }
        (Deed::Opened, _, Some(timeout)) => details.push(format!("timeout {timeout} ms")),
        (Deed::Failed, _, Some(code)) => details.push(format!("{code}{}", failure(code))),
        _ => {}
    }
    details.extend(moment.multi.map(|(part, of)| format!("(operation {part} of {of} of a multi)")));
    details.extend(match moment.verdict {
        Some(Verdict::NeverCommitted) => Some("(never committed)".to_owned()),
        Some(Verdict::Unknown) => Some("(committed or not: unknown)".to_owned()),
        Some(Verdict::Committed) | None => None,
    });
    for detail in details {
        to.push(b' ');
        push_escaped(detail.as_bytes(), to);
    }
}

/// The codes that a leader logs, in ZooKeeper's words.
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

/// The life of a path, and who had a part in it.
pub(crate) fn push_history(path: &str, history: &History, data: usize, to: &mut Vec<u8>) {
    push_escaped(path.as_bytes(), to);
    let count = history.events.len();
    if count == 0 {
        return to.extend_from_slice(b": nothing happened to it\n");
    }
    let earlier = if history.more { "; there is more before, see --limit and --to" } else { "" };
    let plural = if count == 1 { "" } else { "s" };
    to.extend_from_slice(format!(": {count} change{plural}{earlier}\n").as_bytes());
    let mut clock = Clock::iso();
    for event in &history.events {
        push_event(event, data, &mut clock, to);
    }
    let mut sessions: Vec<_> = history.sessions.iter().collect();
    sessions.sort_by_key(|(id, session)| (session.opened, **id));
    for (id, session) in sessions {
        to.extend_from_slice(format!("session {id}: {}\n", tell_session(*session)).as_bytes());
    }
}

fn tell_session(session: Session) -> String {
    let opened = match session.opened {
        Some((time, timeout)) => format!("opened {}, timeout {timeout} ms", iso_text(time)),
        None => "opened before these logs, or the server itself".to_owned(),
    };
    match session.closed {
        Some(time) => format!("{opened}, closed {}", iso_text(time)),
        None => format!("{opened}, not closed in these logs"),
    }
}

fn push_event(event: &Event, data: usize, clock: &mut Clock, to: &mut Vec<u8>) {
    let moment = &event.moment;
    clock.push_millis(moment.header.time, to);
    to.extend_from_slice(format!("  {:#}  {}  {}", moment.header.zxid, moment.header.session, moment.deed).as_bytes());
    if sets_data(moment.deed) && moment.deed != Deed::Created || moment.deed.removes() {
        to.push(b' ');
        match &event.before {
            Before::Absent => to.extend_from_slice(b"(absent)"),
            Before::Unknown => to.extend_from_slice(b"(unknown: before these logs)"),
            Before::Held(before) => push_data(bytes(before.as_ref()), data, to),
        }
        to.extend_from_slice(" →".as_bytes());
    }
    if moment.deed.removes() {
        to.extend_from_slice(b" gone");
    } else if sets_data(moment.deed) {
        to.push(b' ');
        push_data(bytes(moment.data.as_ref()), data, to);
    }
    push_details(moment, to);
    to.push(b'\n');
}

/// Data for programs, with the place where it lies.
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

/// `false` or `"unknown"`; what was committed, and what one member alone cannot know, goes without.
#[derive(Serialize)]
#[serde(untagged)]
enum Committed {
    Known(bool),
    Said(&'static str),
}

/// One thing that happened, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MomentLine<'a> {
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

impl<'a> MomentLine<'a> {
    pub(crate) fn of(moment: &'a Moment) -> Self {
        let (lifetime, ttl) = match moment.lifetime {
            None => (None, None),
            Some(Lifetime::Persistent) => (Some("persistent"), None),
            Some(Lifetime::Ephemeral) => (Some("ephemeral"), None),
            Some(Lifetime::Container) => (Some("container"), None),
            Some(Lifetime::Ttl(millis)) => (Some("ttl"), Some(millis)),
        };
        Self {
            time: iso_text(moment.header.time),
            zxid: format!("{:#}", moment.header.zxid),
            session: moment.header.session.to_string(),
            cxid: moment.header.cxid,
            kind: moment.deed.name(),
            path: moment.path.as_deref(),
            after: sets_data(moment.deed).then(|| DataLine::of(moment.data.as_ref())),
            version: moment.version,
            acl: moment.acl.as_deref(),
            lifetime,
            ttl,
            timeout: moment.number.filter(|_| moment.deed == Deed::Opened),
            error: moment.number.filter(|_| moment.deed == Deed::Failed),
            operation: moment.multi.map(|multi| multi.0),
            operations: moment.multi.map(|multi| multi.1),
            committed: match moment.verdict {
                Some(Verdict::NeverCommitted) => Some(Committed::Known(false)),
                Some(Verdict::Unknown) => Some(Committed::Said("unknown")),
                Some(Verdict::Committed) | None => None,
            },
            log: moment.log.display().to_string(),
            offset: moment.offset,
        }
    }
}

/// One thing that happened to a path, for programs: with what was before, and with the session's own times.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventLine<'a> {
    #[serde(flatten)]
    moment: MomentLine<'a>,
    /// `absent`, `held` or `unknown`.
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

impl<'a> EventLine<'a> {
    pub(crate) fn of(event: &'a Event, history: &History) -> Self {
        let (was, before) = match &event.before {
            Before::Absent => ("absent", None),
            Before::Unknown => ("unknown", None),
            Before::Held(data) => ("held", Some(DataLine::of(data.as_ref()))),
        };
        let session = history.sessions.get(&event.moment.header.session).copied().unwrap_or_default();
        Self {
            moment: MomentLine::of(&event.moment),
            was,
            before,
            session_opened: session.opened.map(|(time, _)| iso_text(time)),
            session_timeout: session.opened.map(|(_, timeout)| timeout),
            session_closed: session.closed.map(iso_text),
        }
    }
}
