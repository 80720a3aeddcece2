//! A membership: the text of `/zookeeper/config` and of the dynamic configuration files, parsed and printed.
//!
//! Invariant: the role, group and weight of each server are known for every text that ZooKeeper accepts, and the
//! printed text means the same; `parse` of the output of `text` is the identity. What this operator would never write
//! (observers, several addresses, groups) survives.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use super::address;
use super::ids::{ConfigVersion, ServerId};
use super::names::Names;
use super::quorum::Votes;

/// The servers of an ensemble, how their votes are counted, and the version of that list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The version; 0 when nobody has agreed on this list yet.
    pub version: ConfigVersion,
    /// Every server, by id.
    pub servers: BTreeMap<ServerId, Server>,
    /// How votes are counted.
    pub votes: Votes,
    /// Lines that no server accepts.
    pub rest: Vec<String>,
}

/// What stands behind `server.N=`, as it is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    spec: String,
    role: Role,
}

/// What a server is in its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It votes.
    Participant,
    /// It follows, and has no vote.
    Observer,
}

impl Role {
    /// Reads it as ZooKeeper does: in letters of any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "participant" => Some(Self::Participant),
            "observer" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// A change of a membership: one server comes or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// That server.
    pub id: ServerId,
    /// The membership on which this was decided.
    pub from: Membership,
    /// The whole new membership.
    pub to: Membership,
}

impl Change {
    /// Whether that server comes.
    pub fn joins(&self) -> bool {
        self.to.contains(self.id)
    }
}

/// Why a text is no membership.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a membership: {reason} in line {line:?}")]
pub struct NotAMembership {
    line: String,
    reason: &'static str,
}

/// `ZooKeeper` counts ids in 64 bits, also below zero. Whoever adds a server by hand may give it any of them.
const FOREIGN_ID: &str = "the id is none that this operator counts (0 to 4294967295)";

impl NotAMembership {
    /// What takes the line out of the membership, if `ZooKeeper` can read it and only this operator cannot.
    pub fn command(&self) -> Option<String> {
        let (key, _) = self.line.split_once('=')?;
        let id: i64 = key.trim().strip_prefix("server.")?.parse().ok()?;
        u32::try_from(id).is_err().then(|| format!("reconfig -remove {id}"))
    }
}

/// The ports of a member, the same for all, since each has an address of its own.
pub const CLIENT_PORT: u16 = 2181;
/// The port on which followers connect to the leader.
pub const QUORUM_PORT: u16 = 2888;
/// The port of leader election.
pub const ELECTION_PORT: u16 = 3888;

impl Server {
    /// A voter at `host`, with the ports that every member has.
    pub fn voter(host: &str) -> Self {
        Self::parse(&format!("{host}:{QUORUM_PORT}:{ELECTION_PORT}:participant;0.0.0.0:{CLIENT_PORT}"))
    }

    /// Reads `host:port:port[:role][|…][;client]`. It does not check that everything is there. Several addresses share
    /// one role; without one it is a participant.
    pub fn parse(spec: &str) -> Self {
        let quorum = spec.split(';').next().unwrap_or(spec);
        let role = |address| Role::parse(address::split(address)?.1.split(':').nth(2)?);
        let role = quorum.split('|').find_map(role).unwrap_or(Role::Participant);
        Self { spec: spec.to_owned(), role }
    }

    /// All of it.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// Its hosts and ports for the other servers, and its role, without the client's part.
    pub fn peers(&self) -> (&str, Role) {
        let quorum = self.spec.split(';').next().unwrap_or(&self.spec);
        let addresses = quorum.rsplit_once(':').filter(|(_, role)| Role::parse(role).is_some());
        (addresses.map_or(quorum, |(addresses, _)| addresses), self.role)
    }

    /// Whether its client's part is missing, or is the one that every member has, in any of its spellings.
    pub fn usual_clients(&self) -> bool {
        let Some((_, clients)) = self.spec.split_once(';') else { return true };
        let (host, port) = clients.rsplit_once(':').unwrap_or(("", clients));
        port.parse() == Ok(CLIENT_PORT) && ["", "0.0.0.0", "[::]", "[0:0:0:0:0:0:0:0]"].contains(&host)
    }

    /// What it is in its ensemble.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it votes.
    pub fn votes(&self) -> bool {
        self.role == Role::Participant
    }

    /// The name or address that its peers connect to.
    pub fn host(&self) -> &str {
        address::split(&self.spec).map_or(&self.spec, |(host, _)| host)
    }
}

impl Membership {
    /// Reads the text of `/zookeeper/config`, of a dynamic configuration file, or the end of the answer to `conf`.
    pub fn parse(text: &str) -> Result<Self, NotAMembership> {
        let mut membership = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |reason| NotAMembership { line: line.to_owned(), reason };
            let (key, value) = line.split_once('=').ok_or_else(|| wrong("no '='"))?;
            membership.add(line, key.trim(), value.trim()).map_err(wrong)?;
        }
        Ok(membership)
    }

    fn add(&mut self, line: &str, key: &str, value: &str) -> Result<(), &'static str> {
        let uncounted = |text: &str| if text.parse::<i64>().is_ok() { FOREIGN_ID } else { "the id is not a number" };
        let id = |text: &str| text.parse().map(ServerId).map_err(|_| uncounted(text));
        match key.split_once('.') {
            Some(("server", server)) => {
                let before = self.servers.insert(id(server)?, Server::parse(value));
                return before.map_or(Ok(()), |_| Err("the id is there twice"));
            }
            Some(("group", group)) => {
                let group = group.parse().map_err(|_| "the group is not a number")?;
                for server in value.split(':') {
                    if self.votes.groups.insert(id(server)?, group).is_some() {
                        return Err("a server is in a group already");
                    }
                }
            }
            Some(("weight", server)) => {
                let weight = value.parse().map_err(|_| "the weight is not a number")?;
                self.votes.weights.insert(id(server)?, weight);
            }
            None if key == "version" => {
                self.version = value.parse().map_err(|_| "the version is not hexadecimal")?;
            }
            _ => self.rest.push(line.to_owned()),
        }
        Ok(())
    }

    /// The text of a dynamic configuration file, without the version, which is in the file's name.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines().iter().chain(&self.rest) {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// One `server.N=…` for each server, and how their votes are counted if not by majority.
    pub fn lines(&self) -> Vec<String> {
        let servers = self.servers.iter().map(|(id, server)| format!("server.{id}={}", server.spec));
        let mut groups: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, group) in &self.votes.groups {
            groups.entry(*group).or_default().push(id.to_string());
        }
        let groups = groups.into_iter().map(|(group, ids)| format!("group.{group}={}", ids.join(":")));
        let weights = self.votes.weights.iter().map(|(id, weight)| format!("weight.{id}={weight}"));
        servers.chain(groups).chain(weights).collect()
    }

    /// The ids of those that vote.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.servers.iter().filter(|(_, server)| server.votes()).map(|(id, _)| *id)
    }

    /// Whether the voters that are `present` are a quorum.
    pub fn quorum(&self, present: impl Fn(ServerId) -> bool) -> bool {
        self.votes.quorum(self.voters(), present)
    }

    /// The highest id of the ensemble's own members; 0 if there is none. A server that somebody added by hand does not
    /// count, whatever its id: no pod is started for it.
    pub fn highest(&self, names: &Names) -> u32 {
        self.servers.iter().rev().find(|(id, server)| names.owns(**id, server)).map_or(0, |(id, _)| id.0)
    }

    /// Servers with other addresses than this ensemble's members.
    pub fn strangers<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = (ServerId, &'a Server)> + 'a {
        self.servers.iter().filter(|(id, server)| !names.owns(**id, server)).map(|(id, server)| (*id, server))
    }

    /// The voters among this ensemble's members.
    pub fn own_voters<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = ServerId> + 'a {
        self.voters().filter(|id| self.servers.get(id).is_some_and(|server| names.owns(*id, server)))
    }

    /// Those among this ensemble's members that only observe.
    pub fn own_observers<'a>(&'a self, names: &'a Names) -> impl DoubleEndedIterator<Item = ServerId> + 'a {
        let observes = |id: &ServerId, server: &Server| !server.votes() && names.owns(*id, server);
        self.servers.iter().filter(move |(id, server)| observes(id, server)).map(|(id, _)| *id)
    }

    /// The list with this server added, in the group that is kept for it. Nobody has agreed on it yet.
    #[must_use]
    pub fn with(&self, id: ServerId, server: Server) -> Self {
        let mut to = Self { version: ConfigVersion(0), ..self.clone() };
        to.servers.insert(id, server);
        to
    }

    /// The list without this server. Its group and weight stay: it comes back, and until then the others are a quorum
    /// exactly if they would be one with that server stopped.
    #[must_use]
    pub fn without(&self, id: ServerId) -> Self {
        let mut to = Self { version: ConfigVersion(0), ..self.clone() };
        to.servers.remove(&id);
        to
    }

    /// The list without this server, which does not come back.
    #[must_use]
    pub fn without_for_good(&self, id: ServerId) -> Self {
        let mut to = self.without(id);
        to.votes.groups.remove(&id);
        to.votes.weights.remove(&id);
        to
    }

    /// Whether the vote of a server that joins would count: with groups, only if it has a group.
    pub fn has_place_for(&self, id: ServerId) -> bool {
        self.votes.by_majority() || self.votes.groups.contains_key(&id)
    }

    /// Whether this server is in the list.
    pub fn contains(&self, id: ServerId) -> bool {
        self.servers.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, proptest};

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
            ("server.x=h:1:2", "the id is not a number"),
            ("server.1=h:1:2\nserver.1=h:1:2", "the id is there twice"),
            ("version=zz", "the version is not hexadecimal"),
            ("nonsense", "no '='"),
            ("group.1=1:2\ngroup.2=2:3", "a server is in a group already"),
            ("group.x=1", "the group is not a number"),
            ("group.1=1:", "the id is not a number"),
            ("weight.1=heavy", "the weight is not a number"),
            ("server.5000000000=h:1:2", "the id is none that this operator counts (0 to 4294967295)"),
            ("server.99999999999999999999=h:1:2", "the id is not a number"),
        ] {
            assert_eq!(Membership::parse(text).unwrap_err().reason, reason, "{text}");
        }
    }

    #[test]
    fn an_id_that_only_java_can_count_is_told_with_the_command_that_removes_it() {
        let command = |text: &str| Membership::parse(text).unwrap_err().command();
        let remove = |id: &str| Some(format!("reconfig -remove {id}"));
        for id in ["5000000000", "-1", "4294967296", "9223372036854775807"] {
            assert_eq!(command(&format!("server.1=h:1:2\nserver.{id}=h:1:2:observer")), remove(id));
        }
        for other in ["server.x=h:1:2", "group.1=1:5000000000", "weight.5000000000=1", "server.9223372036854775808=h"] {
            assert_eq!(command(other), None, "{other}");
        }
    }

    #[test]
    fn the_role_is_read_as_zookeeper_reads_it() {
        for (spec, votes) in [
            ("h:2888:3888", true),
            ("h:2888:3888;2181", true),
            ("h:2888:3888:participant;2181", true),
            ("h:2888:3888:OBSERVER", false),
            ("[fd00::1]:2888:3888:observer;[::]:2181", false),
            ("h:2888:3888:observer|i:2888:3888", false),
            ("h:2888:3888|i:2888:3888:observer;2181", false),
            ("observer:2888:3888;observer:2181", true),
        ] {
            assert_eq!(Server::parse(spec).votes(), votes, "{spec}");
        }
    }

    #[test]
    fn hosts_of_version_six_keep_their_brackets() {
        assert_eq!(Server::parse("[fd00::1]:2888:3888").host(), "[fd00::1]");
    }

    #[test]
    fn one_that_comes_back_keeps_its_group_and_weight_and_one_that_goes_for_good_leaves_nothing_behind() {
        let text = "server.1=a:1:2;3\nserver.2=b:1:2;3\ngroup.1=1:2\nweight.1=1\nweight.2=4\nversion=7\n";
        let before = Membership::parse(text).unwrap();
        let away = before.without(ServerId(2));
        assert_eq!(
            (away.version, away.text().as_str()),
            (ConfigVersion(0), "server.1=a:1:2;3\ngroup.1=1:2\nweight.1=1\nweight.2=4\n")
        );
        assert!(!away.quorum(|_| true), "4 of 5 are missing, as with that server stopped");
        let back = away.with(ServerId(2), Server::parse("b:1:2;3"));
        assert_eq!(Membership { version: before.version, ..back }, before);
        let gone = before.without_for_good(ServerId(2));
        assert_eq!(gone.text(), "server.1=a:1:2;3\ngroup.1=1\nweight.1=1\n");
        assert!(gone.quorum(|_| true) && !gone.has_place_for(ServerId(2)) && away.has_place_for(ServerId(2)));
    }

    /// What ZooKeeper accepts behind `server.N=`, and whether that server votes.
    fn servers() -> impl Strategy<Value = (String, bool)> {
        let host = "[a-z][a-z0-9.-]{0,20}|10\\.0\\.0\\.[1-9]|\\[fd00::[1-9]\\]";
        let role = prop::sample::select(&["", ":participant", ":observer", ":Observer", ":PARTICIPANT"]);
        let client = prop::sample::select(&["", ";2181", ";0.0.0.0:2181", ";[::]:2181", ";;2182", ";h:2181;h:2182"]);
        (prop::collection::vec(host, 1..3), role, client).prop_map(|(hosts, role, client)| {
            let addresses: Vec<String> = hosts.iter().map(|host| format!("{host}:2888:3888{role}")).collect();
            (format!("{}{client}", addresses.join("|")), !role.eq_ignore_ascii_case(":observer"))
        })
    }

    type Accepted = BTreeMap<u32, ((String, bool), Option<i64>, Option<i64>)>;

    /// The servers of such a text, each with its group and weight. Without a group nobody has one, nor a weight.
    fn accepted() -> impl Strategy<Value = Accepted> {
        let of = |groups: bool| {
            let (group, weight) = (0i64..4, prop::option::of(0i64..9));
            let one = (servers(), group, weight)
                .prop_map(move |(spec, group, weight)| (spec, groups.then_some(group), weight.filter(|_| groups)));
            prop::collection::btree_map(1u32..255, one, 0..9)
        };
        any::<bool>().prop_flat_map(of)
    }

    fn lines(accepted: &Accepted) -> Vec<String> {
        let mut lines = Vec::new();
        let mut groups: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, ((spec, _), group, weight)) in accepted {
            lines.push(format!("server.{id}={spec}"));
            lines.extend(weight.map(|weight| format!("weight.{id}={weight}")));
            if let Some(group) = group {
                groups.entry(*group).or_default().push(id.to_string());
            }
        }
        lines.extend(groups.iter().map(|(group, ids)| format!("group.{group}={}", ids.join(":"))));
        lines
    }

    proptest! {
        #[test]
        fn of_every_text_that_zookeeper_accepts_role_group_and_weight_are_known_and_what_is_printed_says_the_same(
            (accepted, order) in accepted().prop_flat_map(|it| (Just(it.clone()), Just(lines(&it)).prop_shuffle())),
            version in any::<u64>(),
        ) {
            let mut written = order;
            written.push(format!("version={}", ConfigVersion(version)));
            let membership = Membership::parse(&written.join("\n")).unwrap();
            for (id, ((_, votes), group, weight)) in &accepted {
                let id = ServerId(*id);
                prop_assert_eq!(membership.servers[&id].votes(), *votes);
                prop_assert_eq!(membership.votes.groups.get(&id), group.as_ref());
                prop_assert_eq!(membership.votes.weight(id), weight.unwrap_or(1));
            }
            let printed = format!("{}version={}", membership.text(), membership.version);
            let sorted = |mut lines: Vec<String>| { lines.sort_unstable(); lines };
            prop_assert_eq!(sorted(printed.lines().map(str::to_owned).collect()), sorted(written));
            prop_assert_eq!(Membership::parse(&printed).unwrap(), membership);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Membership::parse(&text);
        }
    }
}
