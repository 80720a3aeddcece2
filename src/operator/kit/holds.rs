//! Which objects of one kind hold an object of another: a restore holds its ensemble.
//!
//! In memory only. After a restart of the operator, or with a second operator, an object may be let go for a moment: a hold keeps two
//! things from being done at once, and nothing that is unsafe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Object = (String, String);

/// By namespace and name of who is held: the names of those who hold.
#[derive(Default)]
pub struct Holds(Mutex<BTreeMap<Object, BTreeSet<String>>>);

impl Holds {
    /// Takes hold, and lets all others of that holder go. Returns another one who has held it before.
    pub fn take(&self, namespace: &str, held: &str, by: &str) -> Option<String> {
        let mut all = self.all();
        let_go(&mut all, namespace, by);
        let holders = all.entry((namespace.to_owned(), held.to_owned())).or_default();
        let other = holders.first().cloned();
        holders.insert(by.to_owned());
        other
    }

    /// Lets go.
    pub fn let_go(&self, namespace: &str, by: &str) {
        let_go(&mut self.all(), namespace, by);
    }

    /// Who holds this one.
    pub fn of(&self, namespace: &str, held: &str) -> Option<String> {
        self.all().get(&(namespace.to_owned(), held.to_owned()))?.first().cloned()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Object, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn let_go(all: &mut BTreeMap<Object, BTreeSet<String>>, namespace: &str, by: &str) {
    all.retain(|(place, _), holders| {
        if place == namespace {
            holders.remove(by);
        }
        !holders.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_stays_so_until_the_last_one_lets_go() {
        let holds = Holds::default();
        assert_eq!(holds.take("ns", "zk", "one"), None);
        assert_eq!(holds.take("ns", "zk", "one"), None, "it is its own");
        assert_eq!(holds.take("ns", "zk", "two").as_deref(), Some("one"));
        assert_eq!(holds.take("other", "zk", "one"), None);
        holds.let_go("ns", "one");
        assert_eq!(holds.of("ns", "zk").as_deref(), Some("two"));
        holds.let_go("ns", "two");
        assert_eq!((holds.of("ns", "zk"), holds.of("other", "zk").as_deref()), (None, Some("one")));
    }
}
