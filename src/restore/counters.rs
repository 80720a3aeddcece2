//! Sequence counters that will be lower than they were: told, or raised. Pure.
//!
//! A counter is the number of children that were ever created. It rises with each of them, and with nothing else; so it is raised by a
//! child that comes and goes for each number.

use std::collections::HashMap;

use crate::restore::acl::Acl;
use crate::restore::live::Live;
use crate::restore::operation::{Kind, Operation};
use crate::restore::reason::Note;
use crate::restore::wanted::{Wanted, WantedZnode};

/// So many are told one by one: of a tree of queues, more is read by nobody.
const MOST_TOLD: usize = 1000;
/// So far all of a plan together are raised. Each number costs a create and a delete: these are some 20 MB of each server's log.
const MOST_RAISED: i64 = 100_000;

/// Of what.
pub(super) struct Asked<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) live: &'a Live,
    /// How many children are created below each znode.
    pub(super) born: &'a HashMap<&'a str, i64>,
    /// The ACLs that are set before anything else is done.
    pub(super) first: &'a HashMap<&'a str, &'a Acl>,
}

/// What comes of it.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) raised: Vec<Operation>,
    /// How many stay lower.
    pub(super) lower: usize,
    /// The first of these.
    pub(super) told: Vec<Note>,
}

/// Looks at each wanted znode that will be there. `may_raise` says whether this one, with this ACL, may be raised at all.
pub(super) fn counters(
    asked: &Asked<'_>,
    will_be_there: impl Fn(&str) -> bool,
    may_raise: impl Fn(&str, &Acl) -> bool,
) -> Counters {
    let (mut found, mut left) = (Counters::default(), MOST_RAISED);
    for (path, znode) in asked.wanted.znodes.iter().filter(|(path, _)| will_be_there(path)) {
        let now = asked.live.znodes.get(path);
        let will_be = now.map_or(0, |now| now.counter) + asked.born.get(path.as_str()).copied().unwrap_or(0);
        let lacks = znode.counter.saturating_sub(will_be);
        if lacks <= 0 {
            continue;
        }
        let first = asked.first.get(path.as_str()).copied();
        let acl = first.or(now.map(|now| &now.acl)).or(znode.acl.as_ref());
        if lacks <= left && !asked.empties(path, znode) && acl.is_some_and(|acl| may_raise(path, acl)) {
            left -= lacks;
            found.raised.push(Operation::Raise { path: path.clone(), to: znode.counter });
            continue;
        }
        found.lower += 1;
        if found.told.len() < MOST_TOLD {
            found.told.push(Note::Counter { path: path.clone(), was: znode.counter, will_be });
        }
    }
    found
}

impl Asked<'_> {
    /// Whether it is a container without children: the leader deletes one that has had a child.
    fn empties(&self, path: &str, znode: &WantedZnode) -> bool {
        let has_children = self.live.znodes.get(path).is_some_and(|now| now.children > 0);
        znode.kind == Kind::Container && !has_children && !self.born.contains_key(path)
    }
}
