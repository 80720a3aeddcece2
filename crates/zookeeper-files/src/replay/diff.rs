//! The differences between two trees.

use std::cmp::Ordering;
use std::hash::{BuildHasher as _, Hash};

use crate::log::Acls;
use crate::path::{by_walk, is_at_or_under, key};
use crate::replay::acls::AclTable;
use crate::replay::tree::{Journal, Map, Tree, Znode};

/// A path at which two trees differ.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The path; the root's is empty.
    pub path: &'a [u8],
    /// The znode of the first tree.
    pub before: Option<&'a Znode>,
    /// The znode of the second.
    pub after: Option<&'a Znode>,
    /// The data differs, or exists in only one tree.
    pub data: bool,
    /// The ACL differs.
    pub acl: bool,
}

/// The paths at and under `top` at which two trees differ, in the order of a walk.
pub fn differences<'a>(before: &'a Tree, after: &'a Tree, top: &[u8]) -> Vec<Difference<'a>> {
    let (mut old, mut new) = (before.walk(top).into_iter().peekable(), after.walk(top).into_iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => by_walk(a, b),
        };
        let gone = if order.is_le() { old.next() } else { None };
        let came = if order.is_ge() { new.next() } else { None };
        let Some((path, _)) = gone.or(came) else { return found };
        let (gone, came) = (gone.map(|(_, node)| node), came.map(|(_, node)| node));
        found.extend(difference(path, (before, gone), (after, came)));
    }
}

/// The differences since a journal was begun: this needs only one tree.
pub fn changes_since<'a>(journal: &'a Journal, tree: &'a Tree, top: &[u8]) -> Vec<Difference<'a>> {
    let top = key(top);
    let changed =
        journal.iter().map(|(path, old)| (&**path, old.as_ref())).filter(|(path, _)| is_at_or_under(path, top));
    let mut changed: Vec<(&[u8], Option<&Znode>)> = changed.collect();
    changed.sort_unstable_by(|(a, _), (b, _)| by_walk(a, b));
    let both = |(path, old): (&'a [u8], _)| difference(path, (tree, old), (tree, tree.nodes.get(path)));
    changed.into_iter().filter_map(both).collect()
}

/// Hashes of all znodes of a tree, to compare two trees with only one of them in memory. The hash keys are random for each
/// process, so that nobody can create collisions.
#[derive(Debug)]
pub struct Sums {
    keys: [foldhash::quality::RandomState; 2],
    sums: Map<u128, u128>,
}

impl Sums {
    /// Hashes all znodes of a tree.
    pub fn of(tree: &Tree) -> Self {
        let mut sums = Self { keys: Default::default(), sums: Map::default() };
        sums.sums.reserve(tree.len());
        for (path, node) in &tree.nodes {
            let (at, what) = (sums.sum(&**path), sums.content(&tree.acls, node));
            sums.sums.insert(at, what);
        }
        sums
    }

    /// Removes from the tree, and from the sums, the znodes that are equal in both.
    pub fn sift(&mut self, tree: &mut Tree) {
        let acls = std::mem::take(&mut tree.acls);
        tree.keep_only(|path, node| {
            let at = self.sum(path);
            let same = self.sums.get(&at) == Some(&self.content(&acls, node));
            if same {
                self.sums.remove(&at);
            }
            !same
        });
        tree.acls = acls;
    }

    /// Keeps only the znodes of the tree whose sums are left.
    pub fn keep_left(&self, tree: &mut Tree) {
        tree.keep_only(|path, _| self.sums.contains_key(&self.sum(path)));
    }

    fn content(&self, acls: &AclTable, node: &Znode) -> u128 {
        self.sum(&(node.data(), acls.get(node.acl()).map(Acls::encoded), node.stat()))
    }

    fn sum(&self, what: &(impl Hash + ?Sized)) -> u128 {
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(what)));
        high << 64 | low
    }
}

fn difference<'a>(
    path: &'a [u8],
    (tree_before, before): (&'a Tree, Option<&'a Znode>),
    (tree_after, after): (&'a Tree, Option<&'a Znode>),
) -> Option<Difference<'a>> {
    let list = |tree: &'a Tree, node: &Znode| tree.acls().get(node.acl()).map(Acls::encoded);
    let data = before.map(Znode::data) != after.map(Znode::data);
    let acl = before.map(|node| list(tree_before, node)) != after.map(|node| list(tree_after, node));
    let stat = before.map(Znode::stat) != after.map(Znode::stat);
    (data || acl || stat).then_some(Difference { path, before, after, data, acl })
}
