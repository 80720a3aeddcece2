//! Reads the scope from the ensemble: level by level, with a bounded number of requests in flight.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use thiserror::Error;

use crate::restore::acl::Shared;
use crate::restore::live::{Live, LiveZnode, Parent};
use crate::restore::quota::{LIMITS, MOST_QUOTAS, QUOTAS, Quota, STATS, Seen, Statistics, strays};
use crate::restore::scope::{OWN, Scope, parent};
use crate::restore::wanted::Limits;
use crate::restore::znodes::{Failure, Znodes};

/// Requests in flight at the same time.
const AT_ONCE: usize = 64;

/// Why the ensemble could not be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ReadError {
    /// Perhaps later.
    #[error("failed to read {path}: {reason}")]
    Unknown {
        /// Where.
        path: String,
        /// How it ended.
        reason: String,
    },
    /// Not at all.
    #[error("failed to read {path}: {reason}")]
    Refused {
        /// Where.
        path: String,
        /// The cause and the cure.
        reason: String,
    },
    /// Too many.
    #[error("the ensemble has more than {0} znodes there: restore one subtree after the other")]
    TooMany(usize),
    /// Too large.
    #[error("the ensemble has more than {0} bytes there: restore one subtree after the other")]
    TooLarge(usize),
}

/// Told now and then how many znodes were read.
pub type OnRead<'a> = &'a mut dyn FnMut(usize);

/// Reads what is there. A znode that goes meanwhile is not there.
pub async fn read<Z: Znodes>(
    znodes: &Z,
    scope: &Scope,
    limits: Limits,
    on_read: OnRead<'_>,
) -> Result<Live, ReadError> {
    znodes.refresh().await.map_err(|failure| error("/", failure))?;
    let mut live = Live::default();
    let targets = scope.targets();
    let above: BTreeSet<&str> = targets.iter().filter_map(|top| parent(&top.path)).collect();
    for above in above {
        let there = znodes.is_ephemeral(above).await.map_err(|failure| error(above, failure))?;
        if let Some(ephemeral) = there {
            live.parents.insert(above.to_owned(), if ephemeral { Parent::Ephemeral } else { Parent::Plain });
        }
    }
    if let Some(AllQuotas { quotas, statistics, looked }) = quotas(znodes).await? {
        live.stray_quotas = strays(quotas.keys().map(String::as_str), &statistics);
        (live.quotas, live.below_quota) = (Some(quotas), looked);
    }
    let mut open: Vec<(String, bool)> = targets.into_iter().map(|top| (top.path, top.subtree)).collect();
    let (mut bytes, mut shared) = (0, Shared::default());
    while !open.is_empty() {
        // As many as were found: names that are not read yet count as well.
        if live.znodes.len() + open.len() > limits.znodes {
            return Err(ReadError::TooMany(limits.znodes));
        }
        let level = std::mem::take(&mut open);
        let mut reads = stream::iter(level).map(|(path, subtree)| one(znodes, path, subtree)).buffer_unordered(AT_ONCE);
        while let Some(read) = reads.next().await {
            let Some((path, mut znode, children)) = read? else { continue };
            let (acl, more) = shared.share(znode.acl);
            znode.acl = acl;
            bytes += more + path.len() + znode.bytes + children.iter().map(String::len).sum::<usize>();
            if bytes > limits.bytes {
                return Err(ReadError::TooLarge(limits.bytes));
            }
            open.extend(children.into_iter().map(|child| (child, true)));
            live.znodes.insert(path, znode);
            on_read(live.znodes.len());
        }
    }
    Ok(live)
}

/// What is below `/zookeeper/quota`.
#[derive(Default)]
struct AllQuotas {
    quotas: BTreeMap<String, Quota>,
    /// Of limits and of none.
    statistics: BTreeMap<String, Statistics>,
    /// Where a quota could be.
    looked: BTreeSet<String>,
}

/// All quotas, and the paths of all znodes where one could be; `None` if they may not be read, or are more than anybody has.
async fn quotas<Z: Znodes>(znodes: &Z) -> Result<Option<AllQuotas>, ReadError> {
    let (mut all, mut open) = (AllQuotas::default(), vec![String::new()]);
    while !open.is_empty() {
        all.looked.extend(open.iter().filter(|of| !of.is_empty()).cloned());
        if all.looked.len() > MOST_QUOTAS {
            return Ok(None);
        }
        let level = std::mem::take(&mut open);
        let mut reads = stream::iter(level).map(|of| at_quota(znodes, of)).buffer_unordered(AT_ONCE);
        while let Some(read) = reads.next().await {
            match read {
                Ok((of, AtQuota { quota, statistics, below })) => {
                    all.quotas.extend(quota.map(|quota| (of.clone(), quota)));
                    open.extend(below.into_iter().map(|name| format!("{of}/{name}")));
                    all.statistics.insert(of, statistics);
                }
                Err(ReadError::Refused { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Some(all))
}

/// What is at a path below `/zookeeper/quota`.
struct AtQuota {
    quota: Option<Quota>,
    statistics: Statistics,
    /// The names of those below which there may be more.
    below: Vec<String>,
}

async fn at_quota<Z: Znodes>(znodes: &Z, of: String) -> Result<(String, AtQuota), ReadError> {
    let path = format!("{QUOTAS}{of}");
    let mut below = znodes.children(&path).await.map_err(|failure| error(&path, failure))?.unwrap_or_default();
    let own = |name: &str| below.iter().any(|other| other == name);
    let (limited, counted) = (own(LIMITS), own(STATS));
    below.retain(|name| name != LIMITS && name != STATS);
    let path = |name: &str| format!("{path}/{name}");
    let (limits_path, stats_path) = (path(LIMITS), path(STATS));
    let data = async |path: &str| znodes.data(path).await.map_err(|failure| error(path, failure));
    let get = async |path: &str| znodes.get(path).await.map_err(|failure| error(path, failure));
    // Its stat after it: what somebody sets in between counts as set.
    let text = if counted { data(&stats_path).await? } else { None };
    let stats = match text {
        Some(text) => get(&stats_path).await?.map(|stat| (text, stat)),
        None => None,
    };
    let children = |stat: &LiveZnode, name: &str| (stat.children > 0).then(|| name.to_owned());
    below.extend(stats.as_ref().and_then(|(_, stat)| children(stat, STATS)));
    let stats = stats.as_ref().map(|(text, stat)| (&**text, Seen::of(stat)));
    let mut quota = None;
    // Before their data: limits that somebody sets in between have a later version than this, and no change of ours fits them.
    if limited && let Some(stat) = get(&limits_path).await? {
        let limits = data(&limits_path).await?.unwrap_or_default();
        quota = Some(Quota { odd: stat.children > 0, ..Quota::of(&limits, stats, Seen::of(&stat)) });
        below.extend(children(&stat, LIMITS));
    }
    Ok((of, AtQuota { quota, statistics: Statistics::of(stats), below }))
}

async fn one<Z: Znodes>(
    znodes: &Z,
    path: String,
    subtree: bool,
) -> Result<Option<(String, LiveZnode, Vec<String>)>, ReadError> {
    let Some(znode) = znodes.get(&path).await.map_err(|failure| error(&path, failure))? else { return Ok(None) };
    let mut children = Vec::new();
    if subtree && znode.children > 0 {
        let names = znodes.children(&path).await.map_err(|failure| error(&path, failure))?.unwrap_or_default();
        let base = if path == "/" { "" } else { &path };
        children.extend(names.into_iter().map(|name| format!("{base}/{name}")).filter(|child| child != OWN));
    }
    Ok(Some((path, znode, children)))
}

fn error(path: &str, failure: Failure) -> ReadError {
    let path = path.to_owned();
    match failure {
        Failure::Unknown(reason) | Failure::Changed(reason) => ReadError::Unknown { path, reason },
        Failure::Refused(reason) => ReadError::Refused { path, reason },
    }
}
