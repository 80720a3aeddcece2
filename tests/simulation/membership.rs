//! Memberships as small numbers: every member is a voter of the usual address, or of one that resolves nowhere, so ids and a
//! version say it all.

use menagerie::model::{ConfigVersion, Membership, ServerId, Votes};

use super::kube::{names_astray, resolves};
use super::names::names;

/// A set of server ids below 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ids(u32);

impl Ids {
    pub fn with(self, id: u32) -> Self {
        Self(self.0 | 1 << id)
    }

    pub fn without(self, id: u32) -> Self {
        Self(self.0 & !(1 << id))
    }

    pub fn contains(self, id: u32) -> bool {
        self.0 & (1 << id) != 0
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..32).filter(move |id| self.contains(*id))
    }
}

impl FromIterator<u32> for Ids {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        ids.into_iter().fold(Self::default(), Self::with)
    }
}

impl std::fmt::Display for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<String> = self.iter().map(|id| id.to_string()).collect();
        write!(f, "{{{}}}", ids.join(","))
    }
}

/// A membership: its version, who votes, and whose name resolves nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Config {
    pub version: u64,
    pub voters: Ids,
    pub astray: Ids,
}

impl Config {
    pub fn of(membership: &Membership) -> Self {
        let astray = membership.servers.iter().filter(|(_, server)| !resolves(server.host()));
        Self {
            version: membership.version.0,
            voters: membership.voters().map(|id| id.0).collect(),
            astray: astray.map(|(id, _)| id.0).collect(),
        }
    }

    pub fn membership(self) -> Membership {
        let name = |id: u32| if self.astray.contains(id) { names_astray() } else { names() }.server(ServerId(id));
        let servers = self.voters.iter().map(|id| (ServerId(id), name(id)));
        Membership { version: ConfigVersion(self.version), servers: servers.collect(), ..Membership::default() }
    }

    pub fn quorum(self, ids: Ids) -> bool {
        Votes::default().quorum(self.voters.iter().map(ServerId), |id| ids.contains(id.0))
    }
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:x}", self.voters, self.version)?;
        if self.astray.len() > 0 { write!(f, " (nobody can look {} up)", self.astray) } else { Ok(()) }
    }
}
