//! Which part of the tree is restored, and where to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zookeeper_files::path::{is_at_or_under, key};

/// `ZooKeeper`'s own part of the tree.
pub const OWN: &str = "/zookeeper";
/// More than anybody names.
pub const MOST_TOPS: usize = 10_000;

/// A znode, alone or with all that is below it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Top {
    /// The znode's path; the root's is `/`.
    pub path: String,
    /// Whether those below it are meant too.
    pub subtree: bool,
}

/// What is restored. Nothing outside is touched.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", try_from = "Raw", into = "Raw")]
pub struct Scope {
    tops: Vec<Top>,
    to: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    tops: Vec<Top>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl TryFrom<Raw> for Scope {
    type Error = ScopeError;

    fn try_from(raw: Raw) -> Result<Self, ScopeError> {
        Self::new(raw.tops, raw.to)
    }
}

impl From<Scope> for Raw {
    fn from(Scope { tops, to }: Scope) -> Self {
        Self { tops, to }
    }
}

/// What cannot be a scope.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ScopeError {
    /// Not a path of a znode.
    #[error("{0}: not the path of a znode: it begins with /, and no part of it is empty, . or ..")]
    Path(String),
    /// Below `/zookeeper`.
    #[error(
        "{0}: /zookeeper is ZooKeeper's own, and is not restored: quotas come back with the znodes that they are for, with --quotas"
    )]
    Own(String),
    /// Another path for several.
    #[error("one other path for {0} paths: restore one after the other")]
    OneTarget(usize),
    /// Nothing.
    #[error("no path is named: name one, or / for everything")]
    Empty,
    /// Too much.
    #[error("{0} paths are named, more than {MOST_TOPS}: name the subtree that they are in")]
    TooMany(usize),
}

impl Scope {
    /// These znodes and subtrees; with `to`, under that path instead of their own.
    pub fn new(tops: Vec<Top>, to: Option<String>) -> Result<Self, ScopeError> {
        if tops.len() > MOST_TOPS {
            return Err(ScopeError::TooMany(tops.len()));
        }
        for path in tops.iter().map(|top| &top.path).chain(&to) {
            if !is_path(path) {
                return Err(ScopeError::Path(path.clone()));
            }
            if under(path, OWN) {
                return Err(ScopeError::Own(path.clone()));
            }
        }
        let subtrees: BTreeSet<String> = tops.iter().filter(|top| top.subtree).map(|top| top.path.clone()).collect();
        let covered = |top: &Top| {
            let own = top.subtree.then_some(&*top.path);
            above(&top.path)
                .chain((!top.subtree).then_some(&*top.path))
                .any(|path| Some(path) != own && subtrees.contains(path))
        };
        let mut kept: Vec<Top> = tops.into_iter().filter(|top| !covered(top)).collect();
        kept.sort();
        kept.dedup();
        match (kept.len(), &to) {
            (0, _) => Err(ScopeError::Empty),
            (2.., Some(_)) => Err(ScopeError::OneTarget(kept.len())),
            _ => Ok(Self { tops: kept, to }),
        }
    }

    /// Where it is read at the point.
    pub fn sources(&self) -> &[Top] {
        &self.tops
    }

    /// Where it is written, and compared with what is there.
    pub fn targets(&self) -> Vec<Top> {
        let tops = self.tops.iter();
        tops.map(|top| Top { path: self.to.clone().unwrap_or_else(|| top.path.clone()), subtree: top.subtree })
            .collect()
    }

    /// Where a znode at the point is written; `None` if it is not in the scope.
    pub fn target(&self, source: &str) -> Option<String> {
        let top = self.tops.iter().find(|top| is_in(source, &top.path, top.subtree))?;
        let Some(to) = &self.to else { return Some(source.to_owned()) };
        let rest = key_of(source).strip_prefix(key_of(&top.path))?;
        let path = format!("{}{rest}", key_of(to));
        Some(if path.is_empty() { "/".to_owned() } else { path })
    }

    /// Whether this path may be written.
    pub fn has(&self, target: &str) -> bool {
        is_path(target)
            && !under(target, OWN)
            && self.tops.iter().any(|top| is_in(target, self.to.as_ref().unwrap_or(&top.path), top.subtree))
    }
}

fn is_in(path: &str, top: &str, subtree: bool) -> bool {
    top == path || (subtree && under(path, top))
}

fn key_of(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

/// Whether a path is `top` or below it.
pub fn under(path: &str, top: &str) -> bool {
    is_at_or_under(key(path.as_bytes()), key(top.as_bytes()))
}

/// The path of the parent; `None` for the root.
pub fn parent(path: &str) -> Option<&str> {
    let slash = path.rfind('/').filter(|_| path != "/")?;
    Some(if slash == 0 { "/" } else { &path[..slash] })
}

/// The paths above, from the parent to the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

/// How many znodes are above.
pub fn depth(path: &str) -> usize {
    key_of(path).matches('/').count()
}

fn is_path(path: &str) -> bool {
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0')))
}
