//! One change of a restore.

use std::fmt;

use serde::{Deserialize, Serialize};
use zookeeper_files::ids::Zxid;

use crate::restore::acl::Acl;
use crate::restore::hash::{Digest, Sum};
use crate::restore::limits::QuotaLimits;
use crate::restore::quota::{QUOTAS, Seen};
use crate::restore::scope::depth;

/// How long a znode lives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Until it is deleted.
    Persistent,
    /// Until some time after its last child is gone.
    Container,
    /// Until it has no children and was not set for this many milliseconds.
    Ttl(u64),
    /// As long as its session.
    Ephemeral,
}

impl Kind {
    pub(super) fn sum(self, sum: &mut Sum) {
        match self {
            Self::Persistent => sum.text("persistent"),
            Self::Container => sum.text("container"),
            Self::Ephemeral => sum.text("ephemeral"),
            Self::Ttl(millis) => sum.text("ttl").text(&millis.to_string()),
        };
    }
}

/// When an ACL is set, seen from the data of its znode.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Turn {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// A change. The data is in the wanted tree, at the same path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Operation {
    /// Gives a znode its ACL, if that was not set since.
    SetAcl {
        /// The znode.
        path: String,
        /// The `aversion` that was seen.
        aversion: i32,
        /// The transaction that created it: one that is made anew has the same versions again.
        czxid: Zxid,
        /// The ACL.
        acl: Acl,
        /// When.
        turn: Turn,
    },
    /// Deletes a znode without children, if its data was not set since.
    Delete {
        /// The znode.
        path: String,
        /// The `version` that was seen.
        version: i32,
        /// The transaction that created it: one that is made anew has the same versions again.
        czxid: Zxid,
        /// The transaction that last set its data.
        mzxid: Zxid,
    },
    /// Creates a znode where there is none.
    Create {
        /// The znode.
        path: String,
        /// How long it lives.
        kind: Kind,
        /// The hash of its data.
        data: Digest,
        /// Its ACL, from its first moment.
        acl: Acl,
    },
    /// Sets the data, if it was not set since.
    Set {
        /// The znode.
        path: String,
        /// The `version` that was seen.
        version: i32,
        /// The transaction that created it: one that is made anew has the same versions again.
        czxid: Zxid,
        /// The transaction that last set its data.
        mzxid: Zxid,
        /// The hash of the data.
        data: Digest,
    },
    /// Raises the number of children that were ever created below it, from which sequential names are made. It never becomes lower.
    Raise {
        /// The znode.
        path: String,
        /// The number.
        to: i64,
    },
    /// Makes a quota where there is none, with the znodes above it. Its statistics are the servers' own.
    CreateQuota {
        /// `/zookeeper/quota/PATH`.
        path: String,
        /// Its limits.
        limits: QuotaLimits,
    },
    /// Sets the limits of a quota, if they were not set since.
    SetQuota {
        /// `/zookeeper/quota/PATH`.
        path: String,
        /// What was seen of the limits that are there.
        seen: Seen,
        /// Those; `None` if no server can read them.
        from: Option<QuotaLimits>,
        /// Those that come back.
        limits: QuotaLimits,
        /// Whether it has no statistics, and gets them in the same transaction: without, servers count nothing and enforce nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        counts: bool,
    },
    /// Makes the statistics of a quota that has limits, if those were not set since.
    CountQuota {
        /// `/zookeeper/quota/PATH`.
        path: String,
        /// What was seen of the limits that are there.
        seen: Seen,
    },
}

impl Operation {
    /// The znode that it changes.
    pub fn path(&self) -> &str {
        let (Self::SetAcl { path, .. }
        | Self::Delete { path, .. }
        | Self::Create { path, .. }
        | Self::Set { path, .. }
        | Self::Raise { path, .. }
        | Self::CreateQuota { path, .. }
        | Self::SetQuota { path, .. }
        | Self::CountQuota { path, .. }) = self;
        path
    }

    /// The znode whose quota it makes or sets.
    pub fn quota_of(&self) -> Option<&str> {
        let (Self::CreateQuota { path, .. } | Self::SetQuota { path, .. } | Self::CountQuota { path, .. }) = self
        else {
            return None;
        };
        path.strip_prefix(QUOTAS)
    }

    /// Whether servers that enforce quotas look first whether there is room for it.
    pub(super) fn is_checked(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Set { .. } | Self::Raise { .. })
    }

    /// Whether servers count it for a quota, and end where they cannot.
    pub(super) fn is_counted(&self) -> bool {
        self.is_checked() || matches!(self, Self::Delete { .. })
    }

    /// The transaction that created what it changes; `None` if it creates something.
    pub fn czxid(&self) -> Option<Zxid> {
        match self {
            Self::Create { .. } | Self::Raise { .. } | Self::CreateQuota { .. } => None,
            Self::SetQuota { seen, .. } | Self::CountQuota { seen, .. } => Some(seen.czxid),
            Self::SetAcl { czxid, .. } | Self::Delete { czxid, .. } | Self::Set { czxid, .. } => Some(*czxid),
        }
    }

    /// What can be done at the same time has the same stage; a lower one comes first.
    ///
    /// An ACL that takes rights away comes before the data that they must not reach, one that gives rights after the data that
    /// they must not reach any more. Those that would shut us out come last as well, the deepest first: clients without the super
    /// user's password need the rights that they take away. Quotas come after all that they could refuse, but for limits of which none becomes
    /// lower: what follows may need them. Those that servers only begin to enforce are lower than none.
    pub fn stage(&self) -> (u8, usize) {
        let depth = depth(self.path());
        match self {
            Self::SetQuota { from, limits, counts: false, .. } if !limits.lowers(from.as_ref()) => (0, 0),
            Self::SetAcl { turn: Turn::Before, .. } => (0, depth),
            Self::Delete { .. } => (1, usize::MAX - depth),
            Self::Create { .. } => (2, depth),
            Self::Set { .. } | Self::Raise { .. } => (3, depth),
            Self::SetAcl { turn: Turn::After, .. } => (4, usize::MAX - depth),
            Self::CreateQuota { .. } | Self::SetQuota { .. } | Self::CountQuota { .. } => (5, 0),
        }
    }

    pub(super) fn sum(&self, sum: &mut Sum) {
        match self {
            Self::SetAcl { path, aversion, czxid, acl, turn } => {
                let turn = match turn {
                    Turn::Before => "before",
                    Turn::After => "after",
                };
                sum.text("acl").text(path).number((*aversion).into()).zxid(*czxid).text(turn);
                sum_acl(acl, sum);
            }
            Self::Delete { path, version, czxid, mzxid } => {
                sum.text("delete").text(path).number((*version).into()).zxid(*czxid).zxid(*mzxid);
            }
            Self::Create { path, kind, data, acl } => {
                sum.text("create").text(path);
                kind.sum(sum);
                sum.digest(*data);
                sum_acl(acl, sum);
            }
            Self::Set { path, version, czxid, mzxid, data } => {
                sum.text("set").text(path).number((*version).into()).zxid(*czxid).zxid(*mzxid).digest(*data);
            }
            Self::Raise { path, to } => _ = sum.text("raise").text(path).number(*to),
            Self::CountQuota { path, seen } => seen.sum(sum.text("count quota").text(path)),
            Self::CreateQuota { path, limits } => limits.sum(sum.text("create quota").text(path)),
            Self::SetQuota { path, seen, from, limits, counts } => {
                seen.sum(sum.text(if *counts { "set and count quota" } else { "set quota" }).text(path));
                sum_limits(from.as_ref(), sum);
                limits.sum(sum);
            }
        }
    }
}

pub(super) fn sum_limits(limits: Option<&QuotaLimits>, sum: &mut Sum) {
    match limits {
        Some(limits) => limits.sum(sum.text("limits")),
        None => _ = sum.text("unreadable"),
    }
}

pub(super) fn sum_acl(acl: &Acl, sum: &mut Sum) {
    sum.count(acl.entries().len());
    for entry in acl.entries() {
        sum.text(&entry.scheme).text(&entry.id).number(entry.rights.into());
    }
}

impl Operation {
    /// Without the entries of an ACL, which have the hashes of passwords: for logs, conditions and Events, which others read.
    pub fn brief(&self) -> String {
        match self {
            Self::SetAcl { path, aversion, .. } => format!("acl {path} (aversion {aversion})"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetAcl { path, aversion, acl, .. } => write!(f, "acl {path} to {acl} (aversion {aversion})"),
            Self::Delete { path, version, .. } => write!(f, "delete {path} (version {version})"),
            Self::Create { path, kind, .. } => match kind {
                Kind::Persistent => write!(f, "create {path}"),
                Kind::Container => write!(f, "create container {path}"),
                Kind::Ephemeral => write!(f, "create ephemeral {path}"),
                Kind::Ttl(millis) => write!(f, "create {path} with a TTL of {millis} ms"),
            },
            Self::Set { path, version, .. } => write!(f, "set {path} (version {version})"),
            Self::Raise { path, to } => write!(f, "raise the sequence counter of {path} to {to:010}"),
            Self::CreateQuota { limits, .. } => {
                write!(f, "create the quota of {}: {limits}", self.quota_of().unwrap_or("/"))
            }
            Self::CountQuota { seen, .. } => {
                let (of, version) = (self.quota_of().unwrap_or("/"), seen.version);
                write!(f, "let servers count for the quota of {of} (version {version})")
            }
            Self::SetQuota { seen, from, limits, counts, .. } => {
                let from = from.map_or_else(|| "what no server can read".to_owned(), |from| from.to_string());
                let (of, version) = (self.quota_of().unwrap_or("/"), seen.version);
                let count = if *counts { ", and let servers count" } else { "" };
                write!(f, "set the quota of {of} from {from} to {limits}{count} (version {version})")
            }
        }
    }
}
