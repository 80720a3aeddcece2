//! What the operator tells every member before it starts, through the `ConfigMap`: who the ensemble is, how it begins,
//! and the membership that was last confirmed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ids::ServerId;
use super::membership::Membership;
use super::parent::ParentPoint;

/// Key of the `ConfigMap` under which the charter stands.
pub const CHARTER_KEY: &str = "charter.json";
/// Key of the `ConfigMap` under which the addresses of members' Services stand, by their hosts.
pub const ADDRESSES_KEY: &str = "addresses.json";
/// Key of the `ConfigMap` with the static configuration, without `dynamicConfigFile` and secrets.
pub const STATIC_KEY: &str = "zoo.cfg";

/// Where members' names lead: the addresses that the API server gave their Services, by their hosts.
pub type Addresses = BTreeMap<String, Vec<IpAddr>>;

/// How an ensemble begins, with the disks that its members find. Code that depends on the kind of beginning matches on
/// it; if only the vote of an empty disk matters, it asks `is_birth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum Beginning {
    /// It never had a quorum. Only now may an empty disk vote.
    Birth,
    /// It had one before: the data is on the disks of a majority, and an empty disk waits for theirs.
    TakenUp,
}

impl Beginning {
    /// Whether empty disks may vote.
    pub fn is_birth(self) -> bool {
        match self {
            Self::Birth => true,
            Self::TakenUp => false,
        }
    }
}

/// The value that agents of every version know. Whatever other beginnings there may be, `true` lets empty disks vote.
impl From<Beginning> for bool {
    fn from(beginning: Beginning) -> Self {
        beginning.is_birth()
    }
}

impl From<bool> for Beginning {
    fn from(birth: bool) -> Self {
        if birth { Self::Birth } else { Self::TakenUp }
    }
}

/// The charter of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charter {
    /// Name of the ensemble, for messages.
    pub ensemble: String,
    /// Identity of the ensemble, which its disks have too.
    pub identity: String,
    /// How it begins: as a birth only until it first had a quorum.
    #[serde(rename = "birth")]
    pub beginning: Beginning,
    /// Text of the membership: the seed at birth, the confirmed one after.
    pub membership: String,
    /// Its version in hexadecimal, 0 for a seed.
    pub version: String,
    /// The `server.N` entry of a member that is not in the list, with `{ordinal}` and `{id}` to fill in.
    pub joiner: String,
    /// Members that cannot read their own data and start empty once, each with the uid of the pod that could not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resync: BTreeMap<ServerId, String>,
    /// Members that may vote although their volume is empty, since somebody accepted the loss of a majority; each with the last
    /// epoch that another member had joined then. Whoever has joined a later one proves that this is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub may_vote: BTreeMap<ServerId, u64>,
    /// What founders begin with, at a birth: a point of another ensemble's archive. Without it, with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentPoint>,
}

impl Charter {
    /// How many vote in it.
    pub fn voters(&self) -> u32 {
        let membership = Membership::parse(&self.membership).unwrap_or_default();
        u32::try_from(membership.voters().count()).unwrap_or(u32::MAX)
    }

    /// The membership in it, if ZooKeeper confirmed it and it is not a seed.
    pub fn confirmed(&self) -> Option<Membership> {
        let mut membership = Membership::parse(&self.membership).ok()?;
        membership.version = self.version.parse().ok()?;
        (!self.beginning.is_birth() && membership.version.0 > 0).then_some(membership)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As operators and agents of every version write and read it.
    const WIRE: &str = r#"{"ensemble":"a","identity":"one","birth":true,"membership":"server.1=a:2888:3888:participant;2181","version":"0","joiner":"b"}"#;

    #[test]
    fn agents_and_operators_of_other_versions_read_the_beginning_as_birth() {
        for (text, beginning) in
            [(WIRE.to_owned(), Beginning::Birth), (WIRE.replace("true", "false"), Beginning::TakenUp)]
        {
            let charter: Charter = serde_json::from_str(&text).unwrap();
            assert_eq!(charter.beginning, beginning);
            assert_eq!(serde_json::to_string(&charter).unwrap(), text);
        }
    }
}
