//! Numbers that must not be mistaken for each other.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
pub use zookeeper_files::ids::Zxid;

/// The position of a pod in its `StatefulSet`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordinal(pub u32);

/// A member's id in ZooKeeper, its ordinal + 1: ids of 0 are not allowed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub u32);

impl From<Ordinal> for ServerId {
    fn from(ordinal: Ordinal) -> Self {
        Self(ordinal.0 + 1)
    }
}

impl ServerId {
    /// The ordinal of this member's pod.
    pub fn ordinal(self) -> Ordinal {
        Ordinal(self.0.saturating_sub(1))
    }
}

/// The version of a membership: the zxid of the `reconfig` that made it. 0 is a list that nobody has agreed on yet.
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

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
