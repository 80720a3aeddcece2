//! The membership on record: the `zoo.cfg.dynamic.<version>` files that the server and this agent keep on the data volume.
//!
//! Invariants: a file counts only when the server could start from it; the highest version that counts is the record;
//! what does not count is named, never silently taken for something else.

use std::collections::BTreeMap;

use crate::model::{ConfigVersion, Membership, Role, address};

/// What every file of a membership is called, up to its version in hexadecimal.
pub const STEM: &str = "zoo.cfg.dynamic.";

/// The suffix under which the server keeps a membership that it has seen proposed and not yet committed.
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
        let mut membership = Membership::parse(text).map_err(|e| e.to_string())?;
        if text.lines().any(|line| line.trim_start().starts_with("version")) {
            return Err("a version inside: the server does not start from such a file".into());
        }
        usable(&membership)?;
        membership.version = version;
        if self.newest.as_ref().is_none_or(|newest| newest.version < version) {
            self.newest = Some(membership);
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

/// A version, when it is written exactly as the server writes it. From any other suffix it would read version 0.
fn version(suffix: &str) -> Option<ConfigVersion> {
    let version: ConfigVersion = suffix.parse().ok()?;
    (version.to_string() == suffix && i64::try_from(version.0).is_ok()).then_some(version)
}

/// Whether a server can start from this list; why not, otherwise.
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

/// Whether `host:port:port[:role][|…];[host:]port` is all there. The server writes the last line without a newline, so
/// only its shape tells that it was torn.
pub fn whole(spec: &str) -> bool {
    let Some((quorum, client)) = spec.split_once(';') else {
        return false;
    };
    let port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let client_whole = client.rsplit(':').next().is_some_and(port);
    let address_whole = |text: &str| {
        let Some((host, behind)) = address::split(text) else {
            return false;
        };
        let mut fields = behind.split(':');
        let both_ports = fields.next().is_some_and(port) && fields.next().is_some_and(port);
        let role = fields.next().is_none_or(|role| Role::parse(role).is_some());
        !host.is_empty() && both_ports && role && fields.next().is_none()
    };
    client_whole && quorum.split('|').all(address_whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

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
        ] {
            assert_eq!(read(&[("7", text)]).version(), ConfigVersion(7), "{text:?}");
        }
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

    proptest! {
        #[test]
        fn no_file_makes_it_panic(files in prop::collection::btree_map("[0-9a-fx.]{0,18}|next", "(server\\.[0-9]{1,3}=)?[\\PC:;|\\[\\]\n]{0,60}", 0..5)) {
            let _ = Records::read(&files);
        }

        #[test]
        fn no_prefix_of_a_line_but_those_that_end_in_a_port_counts(end in 0..LINE.len()) {
            let torn = &LINE[..end];
            assert!(read(&[("7", torn)]).newest.is_none() || torn.contains(":218") || torn.ends_with(":21") || torn.ends_with(":2"));
        }
    }
}
