//! What the operator tells every member before it starts, through the `ConfigMap`: who the ensemble is, whether it is
//! being born, and the membership that was last confirmed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::ServerId;
use super::membership::Membership;

/// Key of the `ConfigMap` under which the charter stands.
pub const CHARTER_KEY: &str = "charter.json";
/// Key of the `ConfigMap` under which the static configuration stands, without `dynamicConfigFile` and secrets.
pub const STATIC_KEY: &str = "zoo.cfg";

/// The charter of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charter {
    /// Name of the ensemble, for messages.
    pub ensemble: String,
    /// Identity of the ensemble: its disks bear it too.
    pub identity: String,
    /// True only until the ensemble first had a quorum. Only then may an empty disk vote.
    pub birth: bool,
    /// Text of the membership: the seed at birth, the confirmed one after.
    pub membership: String,
    /// Its version in hexadecimal, 0 for a seed.
    pub version: String,
    /// `server.N` entry of any member, with `{ordinal}` and `{id}` to fill in, for a member that is not in the list.
    pub joiner: String,
    /// Members that cannot read their own data and start empty once, each with the uid of the pod that could not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resync: BTreeMap<ServerId, String>,
}

impl Charter {
    /// How many vote in it.
    pub fn voters(&self) -> u32 {
        let membership = Membership::parse(&self.membership).unwrap_or_default();
        u32::try_from(membership.voters().count()).unwrap_or(u32::MAX)
    }

    /// The membership in it, if it is one that ZooKeeper confirmed and no seed.
    pub fn confirmed(&self) -> Option<Membership> {
        let mut membership = Membership::parse(&self.membership).ok()?;
        membership.version = self.version.parse().ok()?;
        (!self.birth && membership.version.0 > 0).then_some(membership)
    }
}
