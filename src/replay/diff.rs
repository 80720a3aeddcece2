//! What is different between two trees.

use std::cmp::Ordering;

use crate::log::Acls;
use crate::replay::tree::{Tree, Znode, by_walk};

/// A path at which two trees differ.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The path; the root's is empty.
    pub path: &'a [u8],
    /// The znode of the first tree.
    pub before: Option<&'a Znode>,
    /// The znode of the second.
    pub after: Option<&'a Znode>,
    /// The data differs, or is there once only.
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
        let (before_node, after_node) = (gone.map(|(_, node)| node), came.map(|(_, node)| node));
        let data = before_node.map(Znode::data) != after_node.map(Znode::data);
        let list = |tree: &'a Tree, node: &Znode| tree.acls().get(node.acl()).map(Acls::encoded);
        let acl = before_node.map(|node| list(before, node)) != after_node.map(|node| list(after, node));
        if data || acl || before_node.map(Znode::stat) != after_node.map(Znode::stat) {
            found.push(Difference { path, before: before_node, after: after_node, data, acl });
        }
    }
}
