//! Ids with types of their own, so that they cannot be mixed up.
//!
//! ```
//! use zookeeper_files::ids::Zxid;
//!
//! let zxid = Zxid(0x1_0000_002a);
//! assert_eq!((zxid.epoch(), zxid.counter()), (1, 42));
//! assert_eq!(format!("log.{zxid} begins at {zxid:#}"), "log.10000002a begins at 0x10000002a");
//! assert_eq!("0x10000002a".parse(), Ok(zxid));
//! ```

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A transaction's id: the leader's epoch in the upper half, a counter in the lower.
///
/// It is printed in hexadecimal: `{}` prints it as in file names, `{:#}` with `0x` before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub u64);

impl Zxid {
    const COUNTER: u64 = 0xffff_ffff;

    /// The epoch of the leader that proposed it.
    pub fn epoch(self) -> u64 {
        self.0 >> 32
    }

    /// The number of the proposal within its epoch, from 1.
    pub fn counter(self) -> u64 {
        self.0 & Self::COUNTER
    }

    /// The last zxid that its epoch can have.
    pub(crate) fn last_of_epoch(self) -> Self {
        Self(self.0 | Self::COUNTER)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl FromStr for Zxid {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).map(Self)
    }
}

/// A range of transactions, both ends included. It is empty if `first` is above `last`.
///
/// ```
/// use zookeeper_files::ids::{Zxid, ZxidRange};
///
/// let range = ZxidRange { first: Zxid(0x1_0000_0001), last: Zxid(0x1_0000_0005) };
/// assert!(range.contains(Zxid(0x1_0000_0005)) && !range.meets(ZxidRange::of(Zxid(0x1_0000_0006))));
/// assert_eq!(range.to_string(), "0x100000001 to 0x100000005");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZxidRange {
    /// The first of them.
    pub first: Zxid,
    /// The last of them.
    pub last: Zxid,
}

impl ZxidRange {
    /// All zxids.
    pub const ALL: Self = Self { first: Zxid(0), last: Zxid(u64::MAX) };

    /// One transaction.
    pub fn of(zxid: Zxid) -> Self {
        Self { first: zxid, last: zxid }
    }

    /// Whether a transaction is in the range.
    pub fn contains(self, zxid: Zxid) -> bool {
        self.first <= zxid && zxid <= self.last
    }

    /// Whether the ranges overlap.
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The range that covers both.
    #[must_use]
    pub(crate) fn join(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl fmt::Display for ZxidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#} to {:#}", self.first, self.last)
    }
}

impl Serialize for Zxid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zxid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zxid_is_read_with_one_0x_before_it_or_none() {
        for text in ["100000001", "0x100000001"] {
            assert_eq!(text.parse(), Ok(Zxid(0x1_0000_0001)));
        }
        assert!("0x0x1".parse::<Zxid>().is_err() && "".parse::<Zxid>().is_err());
    }
}
