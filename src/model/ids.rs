//! Numbers that must not be mistaken for each other.

use std::fmt;
use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
pub use zookeeper_files::ids::Zxid;

/// Members that are alike: each pool has a `StatefulSet` of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// Members that should vote.
    Voters,
    /// Members that only follow. The spec cannot ask for any yet.
    Observers,
}

impl Pool {
    /// The ids of its members. They never overlap with another pool's, and end where ZooKeeper's ids end once it
    /// creates znodes with a time to live.
    pub const fn ids(self) -> RangeInclusive<u32> {
        match self {
            Self::Voters => 1..=127,
            Self::Observers => 128..=254,
        }
    }
}

/// Which pod of which pool a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// Its pool.
    pub pool: Pool,
    /// The position of its pod in the `StatefulSet`, from 0.
    pub ordinal: u32,
}

impl Seat {
    /// A voter's.
    pub const fn voter(ordinal: u32) -> Self {
        Self { pool: Pool::Voters, ordinal }
    }
}

/// A member's id in ZooKeeper: for a voter its ordinal + 1, so that no member of ours has the id 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub u32);

impl From<Seat> for ServerId {
    fn from(seat: Seat) -> Self {
        Self(seat.pool.ids().start().saturating_add(seat.ordinal))
    }
}

impl ServerId {
    /// The seat of the member with this id. Above the last pool's ids there are only servers that somebody else added.
    /// The same is true for a server 0, which ZooKeeper allows: its seat is one that no pod can have, and not the first
    /// voter's.
    pub fn seat(self) -> Seat {
        let pool = if self.0 < *Pool::Observers.ids().start() { Pool::Voters } else { Pool::Observers };
        Seat { pool, ordinal: self.0.checked_sub(*pool.ids().start()).unwrap_or(u32::MAX) }
    }
}

/// The version of a membership: the zxid of the `reconfig` that made it. Version 0 is a list that nobody has agreed on
/// yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Zxid", into = "Zxid")]
pub struct ConfigVersion(pub u64);

impl From<Zxid> for ConfigVersion {
    fn from(zxid: Zxid) -> Self {
        Self(zxid.0)
    }
}

impl From<ConfigVersion> for Zxid {
    fn from(version: ConfigVersion) -> Self {
        Self(version.0)
    }
}

impl fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Zxid(self.0).fmt(f)
    }
}

impl FromStr for ConfigVersion {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Zxid::into)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_one_seats_and_every_seat_has_one_id() {
        let mut met = BTreeSet::new();
        for pool in [Pool::Voters, Pool::Observers] {
            for (ordinal, id) in (0..).zip(pool.ids()) {
                let seat = Seat { pool, ordinal };
                assert_eq!((ServerId::from(seat), ServerId(id).seat()), (ServerId(id), seat));
                assert!(met.insert(id), "{id} is in two pools");
            }
        }
        assert_eq!(met.into_iter().collect::<Vec<_>>(), (1..=254).collect::<Vec<_>>());
    }

    #[test]
    fn a_voter_has_the_id_that_it_always_had_and_a_strangers_is_no_voters_of_ours() {
        for (ordinal, id) in [(0, 1), (14, 15), (126, 127)] {
            assert_eq!(ServerId::from(Seat::voter(ordinal)), ServerId(id));
        }
        for id in [128, 254, 255, u32::MAX] {
            assert_eq!(ServerId(id).seat().pool, Pool::Observers, "{id}");
        }
        assert_ne!(ServerId::from(ServerId(0).seat()), ServerId(1));
        assert_ne!(ServerId::from(ServerId(0).seat()), ServerId(0), "nobody's");
    }
}
