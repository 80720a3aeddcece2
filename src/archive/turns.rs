//! Which pod of a restore's Job carries its plan out: the one whose turn began last.
//!
//! Where a node is lost, Kubernetes begins another pod, and the first may still run behind a kubelet that is silent. Each of its changes is
//! fenced by versions; but it would read again what clients have written since the restore was completed, and plan that away. So each pod
//! takes a turn, stored beside the plan, and looks before it reads whether a later one was taken.

use bytes::Bytes;

use super::plans::PlanKey;
use super::store::{Put, Store, StoreError};

/// What stands before its number.
const TURN: &str = "turn-";
/// More pods than a Job makes.
const MOST: u32 = 10_000;

/// The turn of one pod.
#[derive(Clone, Debug)]
pub struct Turn {
    store: Store,
    folder: String,
    number: u32,
}

impl Turn {
    /// Begins one: whoever had one before has it no longer.
    pub async fn take(store: &Store, key: &PlanKey) -> Result<Self, StoreError> {
        let (store, folder) = (store.clone().looking_first(), key.folder());
        let taken = store.names(&folder).await?.iter().filter_map(|name| number(name)).max();
        let mut number = taken.map_or(0, |taken| taken.saturating_add(1));
        while number < MOST {
            if store.put(&name(&folder, number), Bytes::from_static(b"taken\n")).await? == Put::Stored {
                return Ok(Self { store, folder, number });
            }
            number += 1;
        }
        Err(store.failed("take a turn in", &folder, "there are more turns than pods"))
    }

    /// Whether nobody has taken a later one.
    pub async fn is_last(&self) -> Result<bool, StoreError> {
        let next = name(&self.folder, self.number + 1);
        Ok(self.store.get(&next, Some(1)).await?.is_none())
    }
}

fn name(folder: &str, number: u32) -> String {
    format!("{folder}/{TURN}{number:04}")
}

/// Whether an object beside a plan is one.
pub(super) fn is_turn(object: &str) -> bool {
    number(object).is_some_and(|number| object == format!("{TURN}{number:04}"))
}

fn number(name: &str) -> Option<u32> {
    name.rsplit('/').next()?.strip_prefix(TURN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::archive::target::Target;

    #[tokio::test]
    async fn the_last_turn_counts_and_whoever_had_one_before_sees_that() {
        assert!(is_turn("turn-0003") && !is_turn("turn-3") && !is_turn("turn-") && !is_turn("turn-x"));
        let folder = tempdir().unwrap();
        let store = Store::open(&Target::File { folder: folder.path().to_owned() }).unwrap();
        let key = |hash: &str| PlanKey { identity: "a".into(), restore: "u".into(), hash: hash.into() };
        let first = Turn::take(&store, &key("1")).await.unwrap();
        assert!(first.is_last().await.unwrap());
        let other = Turn::take(&store, &key("2")).await.unwrap();
        assert!(first.is_last().await.unwrap() && other.is_last().await.unwrap(), "of another plan");
        let second = Turn::take(&store, &key("1")).await.unwrap();
        let one = key("1");
        let (third, fourth) = tokio::join!(Turn::take(&store, &one), Turn::take(&store, &one));
        let last = [third.unwrap(), fourth.unwrap()];
        for before in [&first, &second] {
            assert!(!before.is_last().await.unwrap());
        }
        assert_eq!(last.iter().map(|turn| turn.number).max(), Some(3));
        let mut are_last = Vec::new();
        for turn in &last {
            are_last.push(turn.is_last().await.unwrap());
        }
        are_last.sort_unstable();
        assert_eq!(are_last, [false, true], "two at once: one of them");
    }
}
