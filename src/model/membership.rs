//! A membership: the text of `/zookeeper/config` and of the dynamic configuration files, parsed and printed.
//!
//! Invariant: `parse` of what `text` prints is the identity; lines that this operator would never write (observers,
//! multiple addresses, groups) survive unchanged in `rest` and `spec`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use super::address;
use super::ids::{ConfigVersion, ServerId};
use super::names::Names;

/// The servers of an ensemble and the version of that list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The version; 0 when nobody has agreed on this list yet.
    pub version: ConfigVersion,
    /// Every server, by id.
    pub servers: BTreeMap<ServerId, Server>,
    /// Lines that are neither servers nor the version: `group.N=…`, `weight.N=…`.
    pub rest: Vec<String>,
}

/// What stands behind `server.N=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The whole of it, as written.
    pub spec: String,
    /// Whether it votes.
    pub voter: bool,
}

/// A change of a membership: one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add a voter.
    Join(ServerId, Server),
    /// Take a server out.
    Leave(ServerId),
}

/// Why a text is no membership.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a membership: {reason} in line {line:?}")]
pub struct NotAMembership {
    line: String,
    reason: &'static str,
}

/// The ports of a member, the same for all: each has an address of its own.
pub const CLIENT_PORT: u16 = 2181;
/// The port on which followers connect to the leader.
pub const QUORUM_PORT: u16 = 2888;
/// The port of leader election.
pub const ELECTION_PORT: u16 = 3888;

impl Server {
    /// A voter at `host`, with the ports that every member has.
    pub fn voter(host: &str) -> Self {
        Self { spec: format!("{host}:{QUORUM_PORT}:{ELECTION_PORT}:participant;0.0.0.0:{CLIENT_PORT}"), voter: true }
    }

    /// The name or address that its peers connect to.
    pub fn host(&self) -> &str {
        address::split(&self.spec).map_or(&self.spec, |(host, _)| host)
    }

    fn parse(spec: &str) -> Self {
        let quorum = spec.split(';').next().unwrap_or(spec);
        Self { spec: spec.to_owned(), voter: !quorum.ends_with(":observer") }
    }
}

impl Membership {
    /// Reads the text of `/zookeeper/config`, of a dynamic configuration file, or the end of the answer to `conf`.
    pub fn parse(text: &str) -> Result<Self, NotAMembership> {
        let mut membership = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |reason| NotAMembership { line: line.to_owned(), reason };
            let (key, value) = line.split_once('=').ok_or_else(|| wrong("no '='"))?;
            if let Some(id) = key.strip_prefix("server.") {
                let id: u32 = id.parse().map_err(|_| wrong("the id is no number"))?;
                if membership.servers.insert(ServerId(id), Server::parse(value)).is_some() {
                    return Err(wrong("the id is there twice"));
                }
            } else if key == "version" {
                membership.version = value.parse().map_err(|_| wrong("the version is not hexadecimal"))?;
            } else {
                membership.rest.push(line.to_owned());
            }
        }
        Ok(membership)
    }

    /// The text of a dynamic configuration file: without the version, which its name bears.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines().iter().chain(&self.rest) {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// One `server.N=…` a server.
    pub fn lines(&self) -> Vec<String> {
        self.servers.iter().map(|(id, server)| format!("server.{id}={}", server.spec)).collect()
    }

    /// The ids of those that vote.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.servers.iter().filter(|(_, server)| server.voter).map(|(id, _)| *id)
    }

    /// How many voters a decision needs.
    pub fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// The highest id of an ensemble's own members, 0 when there is none. A server that somebody added by hand is none,
    /// whatever its id: no pod is started for it.
    pub fn highest(&self, names: &Names) -> u32 {
        self.servers.iter().rev().find(|(id, server)| names.owns(**id, server)).map_or(0, |(id, _)| id.0)
    }

    /// Servers that are elsewhere than this ensemble's members are.
    pub fn strangers<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = (ServerId, &'a Server)> + 'a {
        self.servers.iter().filter(|(id, server)| !names.owns(**id, server)).map(|(id, server)| (*id, server))
    }

    /// The voters among this ensemble's members.
    pub fn own_voters<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = ServerId> + 'a {
        self.voters().filter(|id| self.servers.get(id).is_some_and(|server| names.owns(*id, server)))
    }

    /// Whether this server is in the list.
    pub fn contains(&self, id: ServerId) -> bool {
        self.servers.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::*;

    const CONFIG: &str = "server.1=a-0.ns.svc.cluster.local:2888:3888:participant;0.0.0.0:2181\n\
                          server.2=a-1.ns.svc.cluster.local:2888:3888:observer;0.0.0.0:2181\n\
                          version=100000013";

    #[test]
    fn reads_what_zookeeper_writes() {
        let membership = Membership::parse(CONFIG).unwrap();
        assert_eq!(membership.version, ConfigVersion(0x1_0000_0013));
        assert_eq!(membership.voters().collect::<Vec<_>>(), [ServerId(1)]);
        assert_eq!(membership.servers[&ServerId(2)].host(), "a-1.ns.svc.cluster.local");
    }

    #[test]
    fn a_line_that_is_no_membership_is_named() {
        for (text, reason) in [
            ("server.x=h:1:2", "the id is no number"),
            ("server.1=h:1:2\nserver.1=h:1:2", "the id is there twice"),
            ("version=zz", "the version is not hexadecimal"),
            ("nonsense", "no '='"),
        ] {
            assert_eq!(Membership::parse(text).unwrap_err().reason, reason, "{text}");
        }
    }

    #[test]
    fn a_majority_is_more_than_half() {
        let majority = |n| {
            Membership { servers: (1..=n).map(|id| (ServerId(id), Server::voter("h"))).collect(), ..Default::default() }
                .majority()
        };
        assert_eq!([1, 2, 3, 4, 5].map(majority), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn hosts_of_version_six_keep_their_brackets() {
        assert_eq!(Server::parse("[fd00::1]:2888:3888").host(), "[fd00::1]");
    }

    fn memberships() -> impl Strategy<Value = Membership> {
        let server = ("[a-z][a-z0-9.-]{0,30}", any::<bool>()).prop_map(|(host, voter)| {
            let role = if voter { "participant" } else { "observer" };
            Server { spec: format!("{host}:2888:3888:{role};0.0.0.0:2181"), voter }
        });
        (any::<u64>(), prop::collection::btree_map((1u32..255).prop_map(ServerId), server, 0..16)).prop_map(
            |(version, servers)| Membership {
                version: ConfigVersion(version),
                servers,
                rest: vec!["weight.1=1".into()],
            },
        )
    }

    proptest! {
        #[test]
        fn reading_what_was_printed_is_the_identity(membership in memberships()) {
            let printed = format!("{}version={}", membership.text(), membership.version);
            prop_assert_eq!(Membership::parse(&printed).unwrap(), membership);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Membership::parse(&text);
        }
    }
}
