//! Takes away, as super user, rights that everybody has in a new ensemble.
//!
//! Invariants:
//! - from the top down: nothing can be created below a closed znode, so the walk comes to an end;
//! - ACLs first, data after: setting an ACL counts for no quota, and ends no server that cannot read its statistics;
//! - data is changed only by the version that was read.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::time::timeout;
use zookeeper_client::{Acl as ZkAcl, AuthId, Error as ZkError, Permission};

use super::ensemble::{CALL, Ensemble, EnsembleError, call};
use super::quota::{NO_LIMITS, Numbers, next_to_mend, recount, seen};
use super::znodes::is_lost;
use crate::model::acl::{self, Acl, NARROW, OPEN, RootAcl};
use crate::restore::quota::Seen;

/// `ZooKeeper`'s own part of the tree.
const TOP: &str = "/zookeeper";
/// In a new ensemble only super has rights to it; if others have more, super gave it to them.
const CONFIG: &str = "/zookeeper/config";
/// Limits and statistics, at the paths that they are for.
pub const QUOTA: &str = "/zookeeper/quota";
const READ_ONLY: [ZkAcl; 1] = [ZkAcl::new_const(Permission::READ, "world", "anyone")];
/// The time for a part of the walk. The next pass continues: meanwhile a leader may be evicted, and its agent keeps its
/// server running for only five seconds.
const PART: Duration = Duration::from_secs(2);
/// Requests in flight at the same time.
const AT_ONCE: usize = 64;
/// How often numbers are read that somebody else sets meanwhile.
const TRIES: usize = 3;
/// More children than quotas have. Their names would all be in one answer, and somebody else created them.
const CHILDREN: i32 = 10_000;

/// The result of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Znodes that were looked at.
    pub looked: usize,
    /// Znodes whose ACL was changed.
    pub changed: usize,
    /// Limits that no server could read, and that were reset; statistics that some server may not have been able to read, and that were made
    /// anew.
    pub mended: usize,
}

/// How far a walk has come. It can be continued later: once a znode is closed, only super creates anything below it.
#[derive(Debug, Default)]
pub struct Walk {
    /// Znodes that still have to be closed, once the walk has begun.
    open: Option<Vec<String>>,
    /// Those with numbers of a quota that some server may not be able to read.
    broken: Vec<String>,
    walked: Walked,
}

/// One znode, once it is closed.
#[derive(Default)]
struct Closed {
    changed: bool,
    children: Vec<String>,
    /// Whether it has numbers of a quota that some server may not be able to read.
    broken: bool,
}

impl Ensemble {
    /// Gives `/zookeeper` and everything below it to the super user, where everybody may read, and sets the wanted ACL
    /// of `/`. `None` if there was no time for all of it: the same walk has to be continued.
    pub async fn guard(&self, root: &RootAcl, walk: &mut Walk) -> Result<Option<Walked>, EnsembleError> {
        if !self.close_all(walk, Instant::now()).await? {
            return Ok(None);
        }
        self.guard_root(root).await?;
        Ok(Some(walk.walked))
    }

    /// Whether all of it is closed.
    async fn close_all(&self, walk: &mut Walk, start: Instant) -> Result<bool, EnsembleError> {
        let open = walk.open.get_or_insert_with(|| vec![TOP.to_owned()]);
        let before = walk.walked.looked;
        while !open.is_empty() {
            let Some(left) = PART.checked_sub(start.elapsed()) else { return Ok(false) };
            let paths = open.split_off(open.len().saturating_sub(AT_ONCE));
            let closing = timeout(left, try_join_all(paths.iter().map(|path| self.close(path))));
            let Ok(closed) = closing.await else {
                open.extend(paths);
                let moved = walk.walked.looked > before;
                return if moved { Ok(false) } else { Err(EnsembleError::timed_out("close a znode of /zookeeper")) };
            };
            for (path, closed) in paths.into_iter().zip(closed?) {
                walk.walked.looked += 1;
                walk.walked.changed += usize::from(closed.changed);
                let children = closed.children.iter().map(|child| format!("{path}/{child}"));
                open.extend(children.filter(|child| child != CONFIG));
                if closed.broken {
                    walk.broken.push(path);
                }
            }
        }
        while let Some(path) = next_to_mend(&mut walk.broken) {
            walk.walked.mended += usize::from(self.mend(&path).await?);
        }
        if walk.broken.is_empty() { Ok(true) } else { Err(EnsembleError::BrokenQuotas(walk.broken.len())) }
    }

    /// Closes one znode, and returns what is below it. If it is gone by now, that is nothing.
    async fn close(&self, path: &str) -> Result<Closed, EnsembleError> {
        let (stat, changed) = match timeout(CALL, self.client.get_acl(path)).await {
            Ok(Ok((acl, stat))) if acl == READ_ONLY => (Some(stat), false),
            Ok(Err(ZkError::NoNode)) => (None, false),
            // An ACL that cannot be read, because it has unknown rights, is not the right one either.
            _ => (found("close a znode of /zookeeper", self.client.set_acl(path, &READ_ONLY, None)).await?, true),
        };
        let Some(stat) = stat else { return Ok(Closed::default()) };
        if stat.num_children > CHILDREN {
            return Err(EnsembleError::Crowded { path: path.chars().take(200).collect(), children: stat.num_children });
        }
        let children = match stat.num_children {
            0 => Vec::new(),
            _ => found("list a znode of /zookeeper", self.client.list_children(path)).await?.unwrap_or_default(),
        };
        Ok(Closed { changed, children, broken: self.broken(path).await?.is_some() })
    }

    /// Its numbers, and what tells them from later ones, if some server may not be able to read them.
    async fn broken(&self, path: &str) -> Result<Option<(Numbers, Seen)>, EnsembleError> {
        let Some(numbers) = Numbers::at(path) else { return Ok(None) };
        let read = found("read the numbers of a quota", self.client.get_data(path)).await?;
        let broken = read.filter(|(text, stat)| !numbers.readable(text, seen(stat)));
        Ok(broken.map(|(_, stat)| (numbers, seen(&stat))))
    }

    /// Whether the numbers of a quota were still broken, and are no longer. Who is super may set them meanwhile.
    async fn mend(&self, path: &str) -> Result<bool, EnsembleError> {
        for _ in 0..TRIES {
            let Some((numbers, Seen { version, .. })) = self.broken(path).await? else { return Ok(false) };
            let answer = match numbers {
                Numbers::Limits => self.set(path, NO_LIMITS, version).await?,
                Numbers::Statistics => match self.recount(path, version).await? {
                    // They have children, or a quota that counts this one as well is enforced and cannot be read: what can be had is a
                    // text that all servers can read.
                    Err(error) if !is_other_by_now(&error) => self.set(path, NO_LIMITS, version).await?,
                    answer => answer,
                },
            };
            match answer {
                Ok(()) => return Ok(true),
                Err(error) if is_other_by_now(&error) => {}
                Err(error) => return Err(EnsembleError::from_zookeeper("reset the numbers of a quota", &error)),
            }
        }
        Err(EnsembleError::from_zookeeper("reset the numbers of a quota", &ZkError::BadVersion))
    }

    async fn recount(&self, path: &str, version: i32) -> Result<Result<(), ZkError>, EnsembleError> {
        let mut multi = match recount(&self.client, path, version) {
            Ok(multi) => multi,
            Err(error) => return Ok(Err(error)),
        };
        answered(async { multi.commit().await.map(|_| ()).map_err(ZkError::from) }).await
    }

    async fn set(&self, path: &str, text: &[u8], version: i32) -> Result<Result<(), ZkError>, EnsembleError> {
        answered(async { self.client.set_data(path, text, Some(version)).await.map(|_| ()) }).await
    }

    async fn guard_root(&self, root: &RootAcl) -> Result<(), EnsembleError> {
        let read = match timeout(CALL, self.client.get_acl("/")).await {
            Ok(Ok((acl, stat))) => Some((sorted(acl.iter().map(text).collect()), stat.aversion)),
            _ => None,
        };
        let before = read.as_ref().map(|(acl, _)| acl);
        let wanted = match root {
            RootAcl::Set(acl) => sorted(acl.iter().map(ToString::to_string).collect()),
            RootAcl::Narrow { ours } if before.is_some_and(|acl| *acl == [OPEN] || *acl == sorted(ours.clone())) => {
                vec![NARROW.to_owned()]
            }
            RootAcl::Narrow { .. } => return Ok(()),
        };
        if before == Some(&wanted) {
            return Ok(());
        }
        let entries: Vec<ZkAcl> = match root {
            RootAcl::Set(acl) => acl.iter().map(entry).collect(),
            RootAcl::Narrow { .. } => vec![ZkAcl::new(rights("cdr"), AuthId::anyone())],
        };
        let version = read.as_ref().map(|(_, version)| *version);
        match timeout(CALL, self.client.set_acl("/", &entries, version)).await {
            Ok(Err(ZkError::InvalidAcl)) => Err(EnsembleError::RootAcl(match root {
                RootAcl::Set(acl) => acl::doubts(acl),
                RootAcl::Narrow { .. } => NARROW.to_owned(),
            })),
            Ok(Err(error)) => Err(EnsembleError::from_zookeeper("set the ACL of /", &error)),
            Ok(Ok(_)) => Ok(()),
            Err(_) => Err(EnsembleError::timed_out("set the ACL of /")),
        }
    }
}

/// An answer of a server, which may be a refusal.
async fn answered(request: impl Future<Output = Result<(), ZkError>>) -> Result<Result<(), ZkError>, EnsembleError> {
    const WHAT: &str = "reset the numbers of a quota";
    match timeout(CALL, request).await {
        Ok(Err(error)) if is_lost(&error) => Err(EnsembleError::from_zookeeper(WHAT, &error)),
        Ok(answer) => Ok(answer),
        Err(_) => Err(EnsembleError::timed_out(WHAT)),
    }
}

/// Whether somebody has changed or deleted it since it was read.
fn is_other_by_now(error: &ZkError) -> bool {
    matches!(error, ZkError::BadVersion | ZkError::NoNode)
}

/// The answer, or `None` if the znode is gone by now.
async fn found<T>(
    what: &'static str,
    request: impl Future<Output = Result<T, ZkError>>,
) -> Result<Option<T>, EnsembleError> {
    let request = async {
        match request.await {
            Err(ZkError::NoNode) => Ok(None),
            answer => answer.map(Some),
        }
    };
    call(what, request).await
}

/// Entries have no order.
fn sorted(mut acl: Vec<String>) -> Vec<String> {
    acl.sort();
    acl
}

const RIGHTS: [(char, Permission); 5] = [
    ('c', Permission::CREATE),
    ('d', Permission::DELETE),
    ('r', Permission::READ),
    ('w', Permission::WRITE),
    ('a', Permission::ADMIN),
];

fn text(acl: &ZkAcl) -> String {
    let perms = RIGHTS.iter().filter(|(_, right)| acl.permission().has(*right)).map(|(letter, _)| *letter).collect();
    Acl { scheme: acl.scheme().to_owned(), id: acl.id().to_owned(), perms }.to_string()
}

fn entry(acl: &Acl) -> ZkAcl {
    ZkAcl::new(rights(&acl.perms), AuthId::new(&acl.scheme, &acl.id))
}

fn rights(letters: &str) -> Permission {
    let held = RIGHTS.iter().filter(|(letter, _)| letters.contains(*letter));
    held.fold(Permission::NONE, |all, (_, right)| all | *right)
}
