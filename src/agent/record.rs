//! The membership on record: the `zoo.cfg.dynamic.<version>` files that the server and this agent keep on the data
//! volume.
//!
//! Invariants: a file counts only if the server could start from it, whoever else is in it; the highest version that counts is the record; a
//! file that does not count is named, never silently taken for something else.

use std::collections::BTreeMap;

use crate::model::{ConfigVersion, Membership, Role, Server, address};

/// The name of every file of a membership, up to its version in hexadecimal.
pub const STEM: &str = "zoo.cfg.dynamic.";

/// The suffix of the file in which the server keeps a membership that was proposed to it and not yet committed.
pub const NEXT: &str = "next";

/// The memberships of one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The record: the one with the highest version, its version set.
    pub newest: Option<Membership>,
    /// Every version that has a file, complete or not, ascending.
    pub versions: Vec<ConfigVersion>,
    /// Version of the proposed membership, when there is one that can be read.
    pub next: Option<ConfigVersion>,
    /// Files that do not count, and why.
    pub ignored: Vec<String>,
    /// The newest of them that is a membership's by its name, and why it does not count.
    pub unread: Option<(ConfigVersion, String)>,
}

/// The name of the file of a version.
pub fn file_name(version: ConfigVersion) -> String {
    format!("{STEM}{version}")
}

impl Records {
    /// Reads the texts of all files, by what follows [`STEM`] in their names.
    pub fn read(texts: &BTreeMap<String, String>) -> Self {
        let mut records = Self::default();
        for (suffix, text) in texts {
            let outcome = if suffix == NEXT { records.add_next(text) } else { records.add(suffix, text) };
            if let Err(reason) = outcome {
                records.ignored.push(format!("{STEM}{suffix}: {reason}"));
            }
        }
        records.versions.sort_unstable();
        records
    }

    /// The version of the record, 0 without one.
    pub fn version(&self) -> ConfigVersion {
        self.newest.as_ref().map_or(ConfigVersion(0), |newest| newest.version)
    }

    fn add(&mut self, suffix: &str, text: &str) -> Result<(), String> {
        let version = version(suffix).ok_or("the name does not end in a version")?;
        self.versions.push(version);
        match listed(text) {
            Ok(membership) if self.newest.as_ref().is_none_or(|newest| newest.version < version) => {
                self.newest = Some(Membership { version, ..membership });
            }
            Ok(_) => {}
            Err(reason) => {
                if self.unread.as_ref().is_none_or(|(newest, _)| *newest < version) {
                    self.unread = Some((version, reason.clone()));
                }
                return Err(reason);
            }
        }
        Ok(())
    }

    fn add_next(&mut self, text: &str) -> Result<(), String> {
        let membership = Membership::parse(text).map_err(|e| e.to_string())?;
        usable(&membership)?;
        self.next = Some(membership.version);
        Ok(())
    }
}

/// The membership that a server uses, as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// From the file's name.
    pub version: ConfigVersion,
    /// Its lines, the version not among them.
    pub text: String,
}

impl From<&Membership> for Active {
    fn from(membership: &Membership) -> Self {
        Self { version: membership.version, text: membership.text() }
    }
}

impl Active {
    /// Reads a file, by what follows [`STEM`] in its name. A text that this version cannot read, for example because of a huge
    /// id, is passed on as it is: the server still serves, and whoever decides by it cannot read it either.
    pub fn read(suffix: &str, text: &str) -> Option<Self> {
        let version = version(suffix)?;
        match Membership::parse(text) {
            Ok(_) => Some(Self { version, text: listed(text).ok()?.text() }),
            Err(_) => Some(Self { version, text: format!("{}\n", text.trim_end()) }),
        }
    }
}

/// The list in a file that bears its version in its name.
fn listed(text: &str) -> Result<Membership, String> {
    let membership = Membership::parse(text).map_err(|e| e.to_string())?;
    if text.lines().any(|line| line.trim_start().starts_with("version")) {
        return Err("a version inside: the server does not start from such a file".into());
    }
    usable(&membership).map(|()| membership)
}

/// A version, if it is written exactly as the server writes it. From any other suffix the server would read version 0.
fn version(suffix: &str) -> Option<ConfigVersion> {
    let version: ConfigVersion = suffix.parse().ok()?;
    (version.to_string() == suffix && i64::try_from(version.0).is_ok()).then_some(version)
}

/// Whether a server can start from this list; else why not.
pub fn usable(membership: &Membership) -> Result<(), String> {
    if membership.voters().next().is_none() {
        return Err("no voter".into());
    }
    if let Some((id, server)) = membership.servers.iter().find(|(_, server)| !whole(server.spec())) {
        return Err(format!("server.{id} is not whole: {:?}", server.spec()));
    }
    let votes = &membership.votes;
    if let Some(id) = membership.voters().find(|id| !votes.by_majority() && !votes.groups.contains_key(id)) {
        return Err(format!("server.{id} is in no group"));
    }
    match membership.rest.first() {
        Some(line) => Err(format!("a line that no server accepts: {line:?}")),
        None => Ok(()),
    }
}

/// Whether `host:port:port[:role][|…];[host:]port` is complete, or the part before the `;` with its role. A server always
/// writes the role. It writes a client address only for servers whose client address it knows: not for a server that was
/// added without one, nor for one that has it in its static configuration. The server writes the last line without a
/// newline, so only its form shows that it was cut off.
pub fn whole(spec: &str) -> bool {
    let (quorum, client) = spec.split_once(';').map_or((spec, None), |(quorum, client)| (quorum, Some(client)));
    let port = |text: &str| text.parse::<u16>().is_ok();
    let address_whole = |text: &str| {
        let Some((host, behind)) = address::split(text) else {
            return false;
        };
        let mut fields = behind.split(':');
        let both_ports = fields.next().is_some_and(port) && fields.next().is_some_and(port);
        let role = fields.next().is_none_or(|role| Role::parse(role).is_some());
        !host.is_empty() && both_ports && role && fields.next().is_none()
    };
    // Several addresses have one role together, behind the last.
    let role = || quorum.rsplit(':').next().is_some_and(|role| Role::parse(role).is_some());
    let ended = client.map_or_else(role, |client| client.rsplit(':').next().is_some_and(port));
    ended && quorum.split('|').all(address_whole)
}

/// Whether that server listens for clients by this list alone.
pub fn takes_clients(server: &Server) -> bool {
    let port = |client: &str| client.rsplit(':').next()?.parse::<u16>().ok();
    server.spec().split_once(';').and_then(|(_, client)| port(client)).is_some_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::model::ServerId;

    const LINE: &str = "server.1=a-0.ns.svc.cluster.local:2888:3888:participant;0.0.0.0:2181";

    fn read(files: &[(&str, &str)]) -> Records {
        Records::read(&files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn the_highest_version_is_the_record() {
        let records = read(&[("9", LINE), ("100000000", LINE), ("a", LINE)]);
        assert_eq!(records.version(), ConfigVersion(0x1_0000_0000));
        assert!(records.newest.unwrap().contains(ServerId(1)));
        assert_eq!(records.versions, [ConfigVersion(9), ConfigVersion(10), ConfigVersion(0x1_0000_0000)]);
        assert_eq!(records.ignored, [""; 0]);
    }

    #[test]
    fn what_the_server_cannot_start_from_is_ignored_and_named() {
        for text in [
            "",
            "\0\0\0\0",
            "server.1",
            "server.1=",
            "server.1=a-0.ns.svc.cluster.loc",
            "server.1=a-0:2888",
            "server.1=a-0:2888:38",
            "server.1=a-0:2888:3888:part",
            "server.1=a-0:2888:3888",
            "server.1=a-0:2888:3888|b:2889:3889",
            "server.1=a-0:2888:3888:participant;",
            "server.1=a-0:2888:3888:participant;0.0.0.0:",
            "server.1=a-0:2888:3888:observer;2181",
            "server.1=:2888:3888;2181",
            "server.1=a-0:2888:3888:participant;2181\nversion=3",
            "server.1=a-0:2888:3888:participant;2181\nclientPort=3",
            "server.1=a-0:2888:3888:participant:x;2181",
        ] {
            let records = read(&[("3", LINE), ("7", text)]);
            assert_eq!(records.version(), ConfigVersion(3), "{text:?}");
            assert_eq!(records.versions.len(), 2, "{text:?}");
            assert!(records.ignored[0].starts_with("zoo.cfg.dynamic.7: "), "{text:?}");
        }
    }

    #[test]
    fn what_the_server_can_start_from_counts() {
        for text in [
            "server.1=a-0:2888:3888;2181",
            "server.1=[fd00::1]:2888:3888:participant;[::]:2181",
            "server.1=a:2888:3888|b:2889:3889:participant;2181",
            "server.1=a-0:2888:3888:participant;2181\nserver.2=a-1:2888:3888:observer;2181\ngroup.1=1\nweight.1=1\n",
            "server.1=a-0:2888:3888:participant;2181\nserver.9=b:2888:3888:participant",
            "server.1=a-0:2888:3888:participant;2181\nserver.9=[fd00::9]:2888:3888|b:2889:3889:observer",
        ] {
            assert_eq!(read(&[("7", text)]).version(), ConfigVersion(7), "{text:?}");
        }
    }

    #[test]
    fn of_the_files_that_do_not_count_the_newest_is_known() {
        let records = read(&[("3", LINE), ("7", ""), ("a", "torn"), ("8", "")]);
        assert_eq!(
            (records.version(), records.unread.map(|(version, _)| version)),
            (ConfigVersion(3), Some(ConfigVersion(10)))
        );
        assert_eq!(read(&[("3", LINE), ("next", "torn"), ("backup", "")]).unread, None);
    }

    #[test]
    fn only_the_name_that_the_server_would_write_is_a_version() {
        for name in
            ["", "00", "0A", "0x5", "+5", "-1", "5.tmp", "next.tmp", "backup", "ffffffffffffffff", "10000000000000000"]
        {
            let records = read(&[(name, LINE)]);
            assert_eq!((records.newest, records.versions.len(), records.ignored.len()), (None, 0, 1), "{name}");
        }
    }

    #[test]
    fn a_proposed_membership_has_its_version_inside_and_is_no_record() {
        let records = read(&[("3", LINE), ("next", &format!("{LINE}\nversion=5"))]);
        assert_eq!((records.version(), records.next), (ConfigVersion(3), Some(ConfigVersion(5))));
        assert_eq!(read(&[("next", "")]).next, None);
        assert_eq!(read(&[("next", "garbage")]).ignored.len(), 1);
    }

    /// What `QuorumServer.toString` of ZooKeeper 3.8 and 3.9 puts together: the role behind all addresses, and the client's address
    /// where that is neither missing nor in the static configuration.
    fn written() -> impl Strategy<Value = (Vec<String>, &'static str, &'static str)> {
        let host = "[a-z][a-z0-9.-]{0,20}|10\\.0\\.0\\.[1-9]|\\[fd00::[1-9]\\]";
        let address = (host, any::<u16>(), any::<u16>())
            .prop_map(|(host, quorum, election)| format!("{host}:{quorum}:{election}"));
        let client = prop::sample::select(&["", ";0.0.0.0:2181", ";[0:0:0:0:0:0:0:0]:2181", ";h.example:0"]);
        (prop::collection::vec(address, 1..4), prop::sample::select(&["participant", "observer"]), client)
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(files in prop::collection::btree_map("[0-9a-fx.]{0,18}|next", "(server\\.[0-9]{1,3}=)?[\\PC:;|\\[\\]\n]{0,60}", 0..5)) {
            let _ = Records::read(&files);
        }

        #[test]
        fn no_prefix_of_a_line_but_those_that_end_in_a_port_or_a_role_counts(end in 0..LINE.len()) {
            let torn = &LINE[..end];
            let whole = torn.ends_with(":participant") || torn.ends_with(";0") || torn.contains(";0.0.0.0:2");
            assert_eq!(read(&[("7", torn)]).newest.is_some(), whole, "{torn}");
        }

        #[test]
        fn whatever_a_server_writes_of_another_one_is_whole_and_no_less_of_its_addresses_and_role(
            (addresses, role, client) in written(), cut in any::<prop::sample::Index>(),
        ) {
            let quorum = format!("{}:{role}", addresses.join("|"));
            let spec = format!("{quorum}{client}");
            prop_assert!(whole(&spec), "{}", spec);
            let voter = format!("server.1=a:2888:3888:participant;2181\nserver.9={spec}");
            prop_assert_eq!(read(&[("7", &voter)]).version(), ConfigVersion(7), "{}", voter);
            let torn = &quorum[..cut.index(quorum.len())];
            prop_assert!(!whole(torn), "{}", torn);
        }
    }
}
