//! Why a znode is left as it is, and what a user should know of one that is restored.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::restore::limits::QuotaLimits;
use crate::restore::quota::{LIMITS, QUOTAS, STATS};

/// Why a znode is left as it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// It belonged to a session.
    Ephemeral,
    /// What is there now belongs to a session.
    EphemeralInPlace,
    /// Its parent belongs to a session, and has no children.
    UnderEphemeral,
    /// It has no parent.
    NoParent,
    /// It exists and differs, and is kept.
    Kept,
    /// It exists and differs, and was set later than the point up to which it would be overwritten.
    Newer,
    /// Its ACL is not known.
    UnknownAcl,
    /// The server hides from us what its ACL is.
    HiddenAcl,
    /// Its parent's ACL lets not everybody create it.
    NeedsSuper,
    /// Its ACLs let not everybody change it.
    NeedsSuperToChange,
    /// Everybody could read its data until its ACL is set.
    NeedsSuperToHide,
    /// Its data differs, and the wanted ACL both gives and takes rights: no order of the two changes shows nobody too much.
    OpensAndCloses,
    /// Its parent's ACL lets not everybody delete it.
    NeedsSuperToDelete,
    /// An ACL lets clients from some addresses do it.
    ByAddress,
    /// It was not there, and belongs to a session.
    ExtraEphemeral,
    /// It was not there, and has children that stay.
    ExtraWithChildren,
    /// It is not as the transaction that is undone left it.
    ChangedSince,
    /// The transaction that is undone made it anew as another kind of znode.
    OtherKind,
    /// No server could read the quota's limits.
    UnreadableQuota,
    /// The quotas that are there could not be read.
    QuotasUnread,
    /// A path whose quota would end every server.
    NoQuotaThere,
    /// There is no znode that the quota is for.
    QuotaOfNothing,
    /// Another quota is above it, or below it.
    NestedQuota,
    /// There would be more than a restore reads.
    TooManyQuotas,
    /// Limits that no server can read are kept.
    KeptUnreadable,
    /// Servers would take its delete for that of a quota's limits.
    TakenForLimits,
    /// It counts for a quota whose statistics some server may not be able to read.
    UnreadableStatistics,
    /// The quota was not in force.
    QuotaNotInForce,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ephemeral => "ephemeral: it belonged to a session, and only a session makes it again",
            Self::EphemeralInPlace => "an ephemeral znode of a session is in its place now",
            Self::UnderEphemeral => "its parent is now an ephemeral znode, which has no children",
            Self::NoParent => "its parent does not exist, and is not restored: restore that too (--znode)",
            Self::Kept => "exists and differs: kept (--existing)",
            Self::Newer => "exists and differs, and was set later: kept",
            Self::UnknownAcl => "its ACL is not known, or is one that no client can set",
            Self::HiddenAcl => "its ACL is hidden from all but the super user: only its data is compared",
            Self::NeedsSuper => "its parent's ACL does not let everybody create it: give the super user's password",
            Self::NeedsSuperToChange => {
                "the ACL that is there or the wanted one does not let everybody make the change (WRITE for data, ADMIN for the ACL): \
                 give the super user's password"
            }
            Self::NeedsSuperToHide => {
                "its ACL closed it to everybody, and its data would be there before that ACL is: give the super user's password"
            }
            Self::OpensAndCloses => {
                "its data differs, and the wanted ACL both gives rights and takes some: between the two changes either those whom it lets \
                 in could read the old data, or those whom it shuts out the new data. Set its ACL by hand, or delete it, and plan again; \
                 or restore it under another path (--to)"
            }
            Self::NeedsSuperToDelete => "its parent's ACL does not let everybody delete it: give the super user's password",
            Self::ByAddress => {
                "an ACL lets some addresses do it, and whether ours is one only the servers know: give the super user's password"
            }
            Self::ExtraEphemeral => "was not there, and belongs to a session: not deleted",
            Self::ExtraWithChildren => "was not there, and has children that stay: not deleted",
            Self::ChangedSince => "is not as that transaction left it: others have changed it since",
            Self::OtherKind => {
                "that transaction deleted it and made it anew as another kind (persistent, container or TTL): delete it by hand first"
            }
            Self::UnreadableQuota => "its limits were none that a server can read: not written again",
            Self::QuotasUnread => "the quotas that are there could not be read, or are too many: set this one by hand",
            Self::NoQuotaThere => {
                "servers do not start with a quota at such a path (the root, or a name like those of limits and statistics), or take it for \
                 another one (a name of spaces)"
            }
            Self::QuotaOfNothing => "there is no znode that it would be for",
            Self::NestedQuota => {
                "another quota is above or below it, and servers count a znode for the nearest one alone: remove that one first (delquota)"
            }
            Self::TooManyQuotas => {
                "there would be more than 10000 znodes below /zookeeper/quota, more than a restore reads: remove some first (delquota)"
            }
            Self::KeptUnreadable => {
                "the limits that are there are none that a server can read, and are kept (--existing): with enforceQuota=true servers refuse \
                 each create and each set below"
            }
            Self::TakenForLimits => {
                "whoever deletes it ends every server: they take any zookeeper_limits whose path begins with the letters /zookeeper for those \
                 of a quota. It is neither made nor deleted: leave it where it is, or restore it under a path that begins in another way (--to)"
            }
            Self::UnreadableStatistics => {
                "it counts for a quota whose statistics a client has set, or no server can read, and might end servers"
            }
            Self::QuotaNotInForce => {
                "it was not in force, or not for good: limits without statistics, limits with children (servers that start do not see them), or \
                 a session's. Not made"
            }
        })
    }
}

/// A znode that is left as it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Skipped {
    /// The znode.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// With `UnreadableStatistics`, the path that the quota is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
}

impl Skipped {
    /// Why, and what helps.
    pub fn why(&self) -> String {
        self.quota.as_ref().map_or_else(|| self.reason.to_string(), |of| ends_servers(of))
    }
}

fn ends_servers(of: &str) -> String {
    let stats = format!("{QUOTAS}{of}/{STATS}");
    format!(
        "it counts for the quota of {of}, whose statistics a client has set, or no server can read: a server that cannot read its own would \
         end. As super user, delete {stats} and create it again (zkCli.sh: delete {stats}, then create {stats} \"\" world:anyone:r): each \
         server counts anew at once. Then plan again"
    )
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// The number of znodes.
    Znodes,
    /// The bytes of their data.
    Bytes,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Znodes => "znodes",
            Self::Bytes => "bytes",
        })
    }
}

/// What a user should know of a znode that is restored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Note {
    /// Its data is set, and the server hides from us whether its ACL is the wanted one.
    HiddenAcl {
        /// The znode.
        path: String,
    },
    /// Its data is set, and which ACL it had is not known.
    UnknownAcl {
        /// The znode.
        path: String,
    },
    /// The next sequence number of its children was higher.
    Counter {
        /// The znode.
        path: String,
        /// The number then.
        was: i64,
        /// The number after the restore.
        will_be: i64,
    },
    /// A quota allows less than the restore needs.
    Quota {
        /// The path that the quota is for.
        path: String,
        /// Of what.
        measure: Measure,
        /// How much there would be.
        needs: i64,
        /// The hard limit.
        allows: i64,
    },
    /// A quota below which something is changed has limits that no server can read.
    UnreadableLimits {
        /// The path that the quota is for.
        path: String,
    },
    /// A quota comes back, and how much there is below its path is not known.
    UnknownRoom {
        /// The path that the quota is for.
        path: String,
    },
    /// A quota that comes back leaves no room beside what there will be.
    LowQuota {
        /// The path that the quota is for.
        path: String,
        /// Of what.
        measure: Measure,
        /// How much there will be.
        there: i64,
        /// The hard limit.
        allows: i64,
    },
    /// A quota was another one, and is not restored because nobody asked for it.
    OtherQuota {
        /// The path that the quota is for.
        path: String,
        /// Its limits at the point.
        was: QuotaLimits,
        /// Its limits now; `None` if there is no quota, or none that a server can read.
        now: Option<QuotaLimits>,
    },
    /// A sequence counter that is not raised, because that would end every server.
    NotRaised {
        /// The znode.
        path: String,
        /// The path that the quota is for which it counts.
        quota: String,
    },
    /// The quotas could not be read.
    QuotasUnknown,
    /// Not all of a transaction is undone.
    Part {
        /// How many of the znodes that it changed are left as they are.
        left: usize,
        /// How many it changed.
        of: usize,
    },
    /// A TTL that begins anew.
    Ttl {
        /// The znode.
        path: String,
    },
    /// A container that nobody deletes before it has had a child.
    EmptyContainer {
        /// The znode.
        path: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter { path, was, will_be } => write!(
                f,
                "{path}: sequential znodes below it will go on with {will_be:010}, and had come to {was:010}: names can come twice"
            ),
            Self::HiddenAcl { path } => {
                write!(f, "{path}: its data is set under the ACL that is there, which only the super user can compare")
            }
            Self::UnknownAcl { path } => {
                write!(
                    f,
                    "{path}: its data is set under the ACL that is there: which one it had is not known, or no client can set it"
                )
            }
            Self::Quota { path, measure, needs, allows } => {
                write!(
                    f,
                    "{path}: there would be {needs} {measure}, and its quota allows {allows}: servers with enforceQuota=true refuse that, so \
                     raise the quota first, and plan again"
                )
            }
            Self::UnreadableLimits { path } => write!(
                f,
                "{path}: no server can read the limits of its quota: servers with enforceQuota=true refuse each create and each set below \
                 it. As super user, set {QUOTAS}{path}/{LIMITS} first, to count=-1,bytes=-1 for no limits"
            ),
            Self::UnknownRoom { path } => write!(
                f,
                "{path}: whether the quota that comes back has room for what is there is not known: what is below is not restored, and was not \
                 read"
            ),
            Self::LowQuota { path, measure, there, allows } => write!(
                f,
                "{path}: there will be {there} {measure}, and the quota that comes back allows {allows}: servers with enforceQuota=true \
                 then refuse what is more"
            ),
            Self::OtherQuota { path, was, now } => {
                let now = now.map_or_else(|| "there is none now".to_owned(), |now| format!("is {now} now"));
                write!(f, "{path}: its quota was {was}, and {now}: it stays so without --quotas (quotas: true)")
            }
            Self::NotRaised { path, quota } => {
                write!(f, "{path}: its sequence counter is not raised: {}", ends_servers(quota))
            }
            Self::QuotasUnknown => f.write_str(
                "whether a quota allows it, and whether servers can read its statistics, is not known: quotas are not ours to read, or there are \
                 too many (the super user's password helps). If they cannot, the first change below that quota ends them",
            ),
            Self::Part { left, of } if left == of => {
                write!(
                    f,
                    "nothing of the transaction is undone: all of the {of} znodes that it changed are left as they are"
                )
            }
            Self::Part { left, of } => write!(
                f,
                "only a part of the transaction is undone: of the {of} znodes that it changed, {left} are left as they are"
            ),
            Self::Ttl { path } => write!(f, "{path}: its TTL begins anew"),
            Self::EmptyContainer { path } => {
                write!(f, "{path}: an empty container; servers delete it only once it has had a child again")
            }
        }
    }
}
