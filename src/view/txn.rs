//! Formats transactions, one per line: as columns for people, as JSON for programs.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::view::escape::{push_0x, push_data, push_escaped};
use crate::view::time::{Clock, iso_text};
use zookeeper_files::log::{Acls, Create, Lifetime, Record, Txn};

/// Appends a transaction in columns: time, zxid, session, cxid, type, and what it does.
pub(crate) fn push_columns(record: &Record<'_>, data: usize, clock: &mut Clock, to: &mut Vec<u8>) {
    let header = &record.header;
    clock.push_millis(header.time, to);
    to.extend_from_slice(b"  ");
    push_0x(header.zxid.0, to);
    to.extend_from_slice(b"  ");
    push_0x(header.session.0.cast_unsigned(), to);
    to.push(b' ');
    push_number(header.cxid.into(), to);
    to.extend_from_slice(b"  ");
    push_txn(&record.txn, data, to);
    to.push(b'\n');
}

pub(crate) fn push_number(number: i64, to: &mut Vec<u8>) {
    if number < 0 {
        to.push(b'-');
    }
    let mut text = [0; 20];
    let mut at = text.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&text[at..]);
}

fn push_txn(txn: &Txn<'_>, data: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(txn.txn_type().name().as_bytes());
    if let Some(path) = txn.path() {
        to.push(b' ');
        push_escaped(path.0, to);
    }
    let push_named = |name: &[u8], number: i64, to: &mut Vec<u8>| {
        to.extend_from_slice(name);
        push_number(number, to);
    };
    match *txn {
        Txn::CreateSession { timeout } => {
            push_named(b" timeout ", timeout.into(), to);
            to.extend_from_slice(b" ms");
        }
        Txn::CloseSession { paths } => {
            for path in paths.into_iter().flat_map(zookeeper_files::log::Paths::iter) {
                to.push(b' ');
                push_escaped(path.0, to);
            }
        }
        Txn::Create(Create { data: content, acl, lifetime, .. }) => {
            to.push(b' ');
            push_data(content, data, to);
            match lifetime {
                Lifetime::Ephemeral => to.extend_from_slice(b" ephemeral"),
                Lifetime::Ttl(millis) => push_named(b" ttl ", millis, to),
                Lifetime::Persistent | Lifetime::Container => {}
            }
            to.push(b' ');
            push_acls(acl, to);
        }
        Txn::SetData { data: content, version, .. } => {
            to.push(b' ');
            push_data(content, data, to);
            push_named(b" version ", version.into(), to);
        }
        Txn::SetAcl { acl, version, .. } => {
            to.push(b' ');
            push_acls(acl, to);
            push_named(b" version ", version.into(), to);
        }
        Txn::Check { version, .. } => push_named(b" version ", i64::from(version) - 1, to),
        Txn::Multi(ops) => {
            let opening: &[u8] = if ops.failed() { b" failed {" } else { b" {" };
            to.extend_from_slice(opening);
            for (number, op) in ops.iter().enumerate() {
                let separator: &[u8] = if number == 0 { b" " } else { b"; " };
                to.extend_from_slice(separator);
                push_txn(&op, data, to);
            }
            to.extend_from_slice(b" }");
        }
        Txn::Error { code } => push_named(b" ", code.into(), to),
        Txn::Delete { .. } => {}
    }
}

pub(crate) fn push_acls(acls: Acls<'_>, to: &mut Vec<u8>) {
    for (number, acl) in acls.iter().enumerate() {
        if number > 0 {
            to.push(b',');
        }
        if acl.perms == 31 && acl.scheme.0 == b"world" && acl.id.0 == b"anyone" {
            to.extend_from_slice(b"world:anyone:cdrwa");
        } else {
            push_escaped(acl.scheme.0, to);
            to.push(b':');
            push_escaped(acl.id.0, to);
            to.push(b':');
            let letters = [(4, b'c'), (8, b'd'), (1, b'r'), (2, b'w'), (16, b'a')];
            to.extend(letters.iter().filter(|(bit, _)| acl.perms & bit != 0).map(|(_, letter)| *letter));
        }
    }
}

/// A transaction for programs.
#[derive(Serialize)]
pub(crate) struct RecordLine<'a> {
    offset: u64,
    length: u32,
    zxid: String,
    time: String,
    session: String,
    cxid: i32,
    #[serde(flatten)]
    txn: TxnLine<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// What a transaction does, for programs.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TxnLine<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(flatten)]
    data: DataFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_cversion: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ops: Option<Vec<TxnLine<'a>>>,
}

/// Data for programs: as text in `data`, or as base64 in `dataBase64` if it is not UTF-8.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataFields<'a> {
    #[serde(skip_serializing_if = "DataText::is_absent")]
    data: DataText<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

#[derive(Default, Serialize)]
#[serde(untagged)]
enum DataText<'a> {
    #[default]
    Absent,
    Null,
    Text(&'a str),
}

impl DataText<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'a> DataFields<'a> {
    pub(crate) fn of(data: Option<&'a [u8]>) -> Self {
        match data.map(std::str::from_utf8) {
            None => Self { data: DataText::Null, data_base64: None },
            Some(Ok(text)) => Self { data: DataText::Text(text), data_base64: None },
            Some(Err(_)) => Self { data: DataText::Absent, data_base64: data.map(|data| STANDARD.encode(data)) },
        }
    }
}

pub(crate) fn acl_texts(acls: Acls<'_>) -> Vec<String> {
    acls.iter().map(|acl| acl.to_string()).collect()
}

impl<'a> RecordLine<'a> {
    pub(crate) fn of(record: &Record<'a>) -> Self {
        let header = &record.header;
        Self {
            offset: record.offset,
            length: record.length,
            zxid: format!("{:#}", header.zxid),
            time: iso_text(header.time),
            session: header.session.to_string(),
            cxid: header.cxid,
            txn: TxnLine::of(&record.txn),
            digest: record.digest.map(|digest| format!("{:x}", digest.tree)),
        }
    }
}

impl<'a> TxnLine<'a> {
    fn of(txn: &Txn<'a>) -> Self {
        let line = Self {
            r#type: txn.txn_type().name(),
            path: txn.path().map(zookeeper_files::jute::Text::decode),
            ..Self::default()
        };
        match *txn {
            Txn::CreateSession { timeout } => Self { timeout: Some(timeout), ..line },
            Txn::CloseSession { paths } => Self {
                paths: paths.map(|paths| paths.iter().map(zookeeper_files::jute::Text::decode).collect()),
                ..line
            },
            Txn::Create(Create { data, acl, lifetime, parent_cversion, .. }) => {
                let (name, ttl) = match lifetime {
                    Lifetime::Persistent => ("persistent", None),
                    Lifetime::Ephemeral => ("ephemeral", None),
                    Lifetime::Container => ("container", None),
                    Lifetime::Ttl(millis) => ("ttl", Some(millis)),
                };
                let (data, acl) = (DataFields::of(data), Some(acl_texts(acl)));
                Self { data, acl, lifetime: Some(name), ttl, parent_cversion, ..line }
            }
            Txn::SetData { data, version, .. } => Self { data: DataFields::of(data), version: Some(version), ..line },
            Txn::SetAcl { acl, version, .. } => Self { acl: Some(acl_texts(acl)), version: Some(version), ..line },
            Txn::Check { version, .. } => Self { version: Some(version.wrapping_sub(1)), ..line },
            Txn::Multi(ops) => {
                let parts = ops.iter().map(|op| Self::of(&op)).collect();
                Self { failed: Some(ops.failed()), ops: Some(parts), ..line }
            }
            Txn::Error { code } => Self { error: Some(code), ..line },
            Txn::Delete { .. } => line,
        }
    }
}
