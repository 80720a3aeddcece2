//! What one transaction changed, as it was before, and what shows that nobody has changed it since. Pure.
//!
//! A transaction is undone znode by znode, and each only if it is still as that transaction left it: what others have written since is
//! theirs. So an undo that was carried out, or in part, is not carried out again over what came later.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zookeeper_files::ids::Zxid;
use zookeeper_files::log::{Record, Txn};
use zookeeper_files::path::{key, shown};
use zookeeper_files::replay::{Journal, Tree, Znode};

use crate::restore::acl::Acl;
use crate::restore::hash::Sum;
use crate::restore::live::LiveZnode;
use crate::restore::operation::Kind;
use crate::restore::scope::{MOST_TOPS, OWN, Scope, ScopeError, Top, under};
use crate::restore::wanted::{Gathered, Limits, Wanted, WantedError, kind, znode};

/// How a transaction left a znode that it changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Left {
    /// It deleted it.
    Gone,
    /// It created it, or set its data or its ACL.
    There(LeftZnode),
}

/// What tells a znode from one that was changed since.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeftZnode {
    /// How long it lives.
    pub kind: Kind,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// When that was.
    pub ctime: i64,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// How often its data was set.
    pub version: i32,
    /// How often its ACL was set.
    pub aversion: i32,
    /// How many children were ever created below it.
    pub counter: i64,
}

impl LeftZnode {
    fn of(node: &Znode) -> Self {
        let stat = node.stat();
        Self {
            kind: kind(stat),
            czxid: stat.czxid,
            ctime: stat.ctime,
            mzxid: stat.mzxid,
            version: stat.version,
            aversion: stat.aversion,
            counter: stat.cversion.into(),
        }
    }

    fn has_its_data(&self, now: &LiveZnode) -> bool {
        (self.version, self.mzxid) == (now.version, now.mzxid)
    }

    /// Whether nobody has changed it since, but for what is below it.
    pub(super) fn is_still(&self, now: &LiveZnode) -> bool {
        self.czxid == now.czxid && self.has_its_data(now) && self.aversion == now.aversion
    }

    /// The same. One that the transaction `of` made anew has both to be set, data and ACL, and one of them may be as before already: a
    /// run that was killed between the two has set it.
    pub(super) fn is_still_or_half_undone(&self, of: Zxid, now: &LiveZnode, data: bool, acl: Option<&Acl>) -> bool {
        let half = self.czxid == of && self.czxid == now.czxid;
        let data = !data || self.has_its_data(now);
        let acl = acl == Some(&now.acl) || self.aversion == now.aversion;
        self.is_still(now) || (half && data && acl)
    }

    pub(super) fn sum(&self, sum: &mut Sum) {
        let Self { kind, czxid, ctime, mzxid, version, aversion, counter } = *self;
        kind.sum(sum);
        sum.zxid(czxid).number(ctime).zxid(mzxid).number(version.into()).number(aversion.into()).number(counter);
    }
}

/// Why a transaction is not undone.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum UndoError {
    /// A session began.
    #[error("{0:#} began a session (createSession) and changed no znode: there is nothing to undo")]
    CreateSession(Zxid),
    /// A session ended.
    #[error(
        "{0:#} ended a session (closeSession), which took its ephemeral znodes with it: only a session makes those again, so this is not undone"
    )]
    CloseSession(Zxid),
    /// The membership changed.
    #[error(
        "{0:#} changed who is a member (reconfig): that is not undone here, but by another change of the membership"
    )]
    Reconfig(Zxid),
    /// A part of a multi failed.
    #[error("{0:#} is a multi of which a part failed, so that nothing of it took effect: there is nothing to undo")]
    FailedMulti(Zxid),
    /// A request failed.
    #[error("{zxid:#} is a request that failed (error {code}) and changed nothing: there is nothing to undo")]
    Failed {
        /// The transaction.
        zxid: Zxid,
        /// `ZooKeeper`'s number of the error.
        code: i32,
    },
    /// It changed nothing of the scope.
    #[error("{0:#} changed no znode: there is nothing to undo")]
    Nothing(Zxid),
    /// Nothing of what it changed is restored.
    #[error(
        "{0:#} changed only znodes that are never restored: those below /zookeeper, quotas among them, and those whose names are no UTF-8"
    )]
    NotRestored(Zxid),
    /// It changed more than can be named.
    #[error(
        "{zxid:#} changed {count} znodes, more than {MOST_TOPS}: restore the subtree that they are in, with --at {zxid:#} --exclusive"
    )]
    TooMany {
        /// The transaction.
        zxid: Zxid,
        /// How many.
        count: usize,
    },
    /// No log has it.
    #[error("no log at hand has {0:#}: there is nothing that says what it changed")]
    NoRecord(Zxid),
    /// It cannot be read.
    #[error("the record of {zxid:#} cannot be read: {reason}")]
    Unreadable {
        /// The transaction.
        zxid: Zxid,
        /// Why.
        reason: String,
    },
    /// It is too much.
    #[error(transparent)]
    Wanted(#[from] WantedError),
    /// A path is none.
    #[error(transparent)]
    Scope(#[from] ScopeError),
}

/// What has to be wanted so that a transaction is undone: the znodes that it changed, as they were before it. `body` is its record's,
/// `before` what it changed, and `after` the tree after it.
pub fn undone(
    zxid: Zxid,
    body: Option<&[u8]>,
    before: &Journal,
    after: &Tree,
    limits: Limits,
) -> Result<Wanted, UndoError> {
    let body = body.ok_or(UndoError::NoRecord(zxid))?;
    let record = Record::decode(0, 0, body);
    let record = record.map_err(|error| UndoError::Unreadable { zxid, reason: error.to_string() })?;
    match record.txn {
        Txn::CreateSession { .. } => return Err(UndoError::CreateSession(zxid)),
        Txn::CloseSession { .. } => return Err(UndoError::CloseSession(zxid)),
        Txn::SetData { reconfig: true, .. } => return Err(UndoError::Reconfig(zxid)),
        Txn::Multi(parts) if parts.failed() => return Err(UndoError::FailedMulti(zxid)),
        Txn::Error { code } => return Err(UndoError::Failed { zxid, code }),
        Txn::Create(_)
        | Txn::Delete { .. }
        | Txn::SetData { .. }
        | Txn::SetAcl { .. }
        | Txn::Check { .. }
        | Txn::Multi(_) => {}
    }
    // A part of a multi may take another part back.
    let paths: BTreeSet<&[u8]> = record.changes().map(|change| key(change.path.0)).collect();
    let sides = paths.into_iter().map(|path| {
        let new = after.get(path);
        (path, before.get(path).map_or(new, Option::as_ref), new)
    });
    let changed: Vec<_> = sides.filter(|(_, old, new)| old.is_some() || new.is_some()).collect();
    if changed.is_empty() {
        return Err(UndoError::Nothing(zxid));
    }
    if changed.len() > MOST_TOPS {
        return Err(UndoError::TooMany { zxid, count: changed.len() });
    }
    let tops = changed.iter().filter_map(|(path, ..)| std::str::from_utf8(shown(path)).ok());
    let tops = tops.filter(|path| !under(path, OWN)).map(|path| Top { path: path.to_owned(), subtree: false });
    let tops: Vec<Top> = tops.collect();
    if tops.is_empty() {
        return Err(UndoError::NotRestored(zxid));
    }
    let mut gathered = Gathered::begin(Zxid(zxid.0.saturating_sub(1)), Scope::new(tops, None)?, limits);
    for (path, old, new) in changed {
        let Some(path) = gathered.name(path) else { continue };
        gathered.wanted.left.insert(path.to_owned(), new.map_or(Left::Gone, |node| Left::There(LeftZnode::of(node))));
        if let Some(old) = old {
            gathered.add(path.to_owned(), znode(after, old))?;
        }
    }
    Ok(gathered.wanted)
}
