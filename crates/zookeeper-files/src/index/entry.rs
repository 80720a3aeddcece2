//! An entry of the index, read from its log.

use std::path::Path;
use std::rc::Rc;

use crate::index::entry_kind::{EntryKind, RecordPart, operations};
use crate::log::{Header, Lifetime, Record, Txn};
use crate::replay::CommitStatus;

/// An entry of the index: a change of a path, or the beginning or end of a session.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who and when.
    pub header: Header,
    /// What.
    pub kind: EntryKind,
    /// The path; `None` for sessions and failures.
    pub path: Option<String>,
    /// The number of the operation in a multi, from 1, and how many operations it has.
    pub multi: Option<(u32, usize)>,
    /// The log that contains it.
    pub log: Rc<Path>,
    /// Where its record begins there.
    pub offset: u64,
    /// The data that it set.
    pub data: Option<Data>,
    /// The new version of the data or ACL, or the version that a multi checks.
    pub version: Option<i32>,
    /// The ACL that it set.
    pub acl: Option<Vec<String>>,
    /// The lifetime of a created znode.
    pub lifetime: Option<Lifetime>,
    /// A session's timeout in milliseconds, or the code of a failure.
    pub number: Option<i32>,
    /// Whether it was committed; `None` if the index was never built with other members.
    pub commit_status: Option<CommitStatus>,
}

/// Data of a znode, and its location in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The data.
    pub bytes: Vec<u8>,
    /// The log that contains it.
    pub log: Rc<Path>,
    /// Where it begins there.
    pub offset: u64,
}

impl Entry {
    pub(crate) fn of(record: &Record<'_>, part: &RecordPart<'_>, path: Option<String>, log: &Rc<Path>) -> Self {
        let operations = operations(record);
        let data = part.txn.data().filter(|_| part.kind.of_path()).and_then(|bytes| {
            let offset = record.offset_of(bytes)?;
            Some(Data { bytes: bytes.to_vec(), log: log.clone(), offset })
        });
        let (mut version, mut acl, mut lifetime, mut number) = (None, None, None, None);
        match part.txn {
            Txn::Create(create) => {
                acl = Some(create.acl);
                lifetime = Some(create.lifetime);
                version = Some(0);
            }
            Txn::SetData { version: to, .. } => version = Some(to),
            Txn::SetAcl { acl: to, version: number, .. } => (acl, version) = (Some(to), Some(number)),
            // Servers log one more than what was asked for.
            Txn::Check { version: after, .. } => version = Some(after.wrapping_sub(1)),
            Txn::CreateSession { timeout } => number = Some(timeout),
            Txn::Error { code } => number = Some(code),
            Txn::Multi(ops) => number = ops.iter().find_map(|txn| failure(&txn)),
            Txn::Delete { .. } | Txn::CloseSession { .. } => {}
        }
        Self {
            header: record.header,
            kind: part.kind,
            path,
            multi: operations.map(|of| (part.number + 1, of)),
            log: log.clone(),
            offset: record.offset,
            data,
            version,
            acl: acl.map(|acl| acl.iter().map(|entry| entry.to_string()).collect()),
            lifetime,
            number,
            commit_status: None,
        }
    }
}

/// The error of a failed multi: servers log the operations before it as 0, and those after it as runtime inconsistencies.
fn failure(txn: &Txn<'_>) -> Option<i32> {
    match *txn {
        Txn::Error { code } if code != 0 && code != -2 => Some(code),
        _ => None,
    }
}
