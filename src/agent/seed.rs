//! What the operator gives a member before it starts: the charter, the static configuration, the super user's password.
//!
//! Invariants: after [`Seed::parse`] nothing in it can be wrong any more; the password itself is never kept, printed or
//! logged, only its digest is used.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tracing::warn;

use crate::model::charter::{ADDRESSES_KEY, CHARTER_KEY, STATIC_KEY};
use crate::model::password::{PASSWORD_KEY, password};
use crate::model::{Addresses, Beginning, Charter, ConfigVersion, Membership, ParentPoint, Server, ServerId};

use super::record::{takes_clients, usable, whole};

/// The charter and its companions, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Name of the ensemble, for messages.
    pub ensemble: String,
    /// Identity of the ensemble.
    pub identity: String,
    /// How the ensemble begins.
    pub beginning: Beginning,
    /// The membership that was last confirmed, or the one of the birth, with its version.
    pub membership: Membership,
    /// Text of the static configuration.
    pub statics: String,
    /// What authenticates the super user.
    pub digest: SuperDigest,
    /// Members that start empty once, each with a word that distinguishes one request from the next.
    pub resync: BTreeMap<ServerId, String>,
    /// Members that may vote with an empty volume, each with the last epoch that another one had joined.
    pub may_vote: BTreeMap<ServerId, u64>,
    /// What founders begin with, at a birth.
    pub parent: Option<ParentPoint>,
    /// Where members' names lead, if the operator said so.
    pub addresses: Addresses,
    joiner: String,
}

/// Key of [`Seed::config_line`].
pub const CONFIG_PROPERTY: &str = "menagerie.config";

/// `super:base64(sha1("super:" + password))`, in the form that the server needs. Its debug output shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SuperDigest(String);

/// Who an ensemble is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Its identity.
    pub identity: String,
    /// Its name.
    pub ensemble: String,
    /// Its namespace.
    pub namespace: String,
}

/// Why there is no seed to start from.
#[derive(Debug, thiserror::Error)]
pub enum NoSeed {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not contain what it should.
    #[error("{key} {reason}")]
    Wrong {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the seed and the super user's password are mounted.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// The `ConfigMap`.
    pub seed: PathBuf,
    /// The Secret.
    pub secret: PathBuf,
}

impl Seed {
    /// Reads what is mounted.
    pub fn read(Mounts { seed, secret }: &Mounts) -> Result<Self, NoSeed> {
        let read = |path: PathBuf| fs::read_to_string(&path).map_err(|source| NoSeed::Unreadable { path, source });
        let texts = (read(seed.join(CHARTER_KEY))?, read(seed.join(STATIC_KEY))?);
        let parsed = Self::parse(&texts.0, texts.1, &read(secret.join(PASSWORD_KEY))?)?;
        // It is advice: an older operator does not give it, and a newer one may give it in another form.
        let addresses = fs::read_to_string(seed.join(ADDRESSES_KEY)).unwrap_or_else(|_| "{}".to_owned());
        let addresses = serde_json::from_str(&addresses).unwrap_or_else(|error| {
            warn!(%error, "{ADDRESSES_KEY} is not understood, and not heeded");
            Addresses::new()
        });
        Ok(Self { addresses, ..parsed })
    }

    /// Who the ensemble is by its charter, for those who need no more of it.
    pub fn whose(seed: &Path) -> Result<Whose, NoSeed> {
        let path = seed.join(CHARTER_KEY);
        let text = fs::read_to_string(&path).map_err(|source| NoSeed::Unreadable { path, source })?;
        let charter: Charter = serde_json::from_str(&text)
            .map_err(|e| NoSeed::Wrong { key: CHARTER_KEY, reason: format!("is not a charter: {e}") })?;
        // Every member's host is SERVICE.NAMESPACE.svc.DOMAIN.
        let namespace = charter.joiner.split('.').nth(1).unwrap_or_default().to_owned();
        Ok(Whose { identity: charter.identity, ensemble: charter.ensemble, namespace })
    }

    /// Validates the texts.
    pub fn parse(charter: &str, statics: String, password: &str) -> Result<Self, NoSeed> {
        let wrong = |reason: String| NoSeed::Wrong { key: CHARTER_KEY, reason };
        let Charter { ensemble, identity, beginning, membership, version, joiner, resync, may_vote, parent } =
            serde_json::from_str(charter).map_err(|e| wrong(format!("is not a charter: {e}")))?;
        if identity.is_empty() {
            return Err(wrong("gives the ensemble no identity".into()));
        }
        let stated: ConfigVersion =
            version.parse().map_err(|e| wrong(format!("has a version that is not hexadecimal: {version:?}: {e}")))?;
        if i64::try_from(stated.0).is_err() {
            return Err(wrong(format!("has a version beyond what a server can read: {version:?}")));
        }
        let mut membership =
            Membership::parse(&membership).map_err(|e| wrong(format!("has no usable membership: {e}")))?;
        usable(&membership).map_err(|reason| wrong(format!("has no usable membership: {reason}")))?;
        if membership.version.0 != 0 && membership.version != stated {
            let inside = membership.version;
            return Err(wrong(format!("is of version {stated}, its membership of version {inside}")));
        }
        membership.version = stated;
        let digest = SuperDigest::of(password)?;
        let addresses = Addresses::new();
        let seed = Self {
            ensemble,
            identity,
            beginning,
            membership,
            statics,
            digest,
            resync,
            may_vote,
            parent,
            addresses,
            joiner,
        };
        seed.own_entry(ServerId(1)).map(|_| seed)
    }

    /// A line of `zoo.cfg` that identifies the static configuration. The server takes unknown keys for system
    /// properties, and keeps them when it rewrites the file.
    pub fn config_line(&self) -> String {
        format!("{CONFIG_PROPERTY}={:x}", Sha1::digest(&self.statics))
    }

    /// The server entry of a member that is not in the list yet.
    pub fn own_entry(&self, id: ServerId) -> Result<Server, NoSeed> {
        let spec = self.joiner.replace("{ordinal}", &id.seat().ordinal.to_string()).replace("{id}", &id.to_string());
        let wrong = |reason: &str| NoSeed::Wrong {
            key: CHARTER_KEY,
            reason: format!("has no usable joiner: {reason}: {:?}", self.joiner),
        };
        if spec.contains(['{', '}', '\n', '\r']) {
            return Err(wrong("something is left to fill in"));
        }
        let alone = Membership::parse(&format!("server.{id}={spec}")).map_err(|e| wrong(&e.to_string()))?;
        let ready = |server: &Server| whole(server.spec()) && takes_clients(server);
        alone.servers.into_values().find(ready).ok_or_else(|| wrong("it is not whole"))
    }
}

/// The super user's password in a mounted Secret, for what is derived from it at once.
pub(super) fn super_password(secret: &Path) -> Result<String, NoSeed> {
    let path = secret.join(PASSWORD_KEY);
    let value = fs::read_to_string(&path).map_err(|source| NoSeed::Unreadable { path, source })?;
    match password(&value) {
        "" => Err(NoSeed::Wrong { key: PASSWORD_KEY, reason: "is empty".into() }),
        password => Ok(password.to_owned()),
    }
}

impl SuperDigest {
    /// The digest of the password in a mounted Secret.
    pub fn read(secret: &Path) -> Result<Self, NoSeed> {
        let path = secret.join(PASSWORD_KEY);
        Self::of(&fs::read_to_string(&path).map_err(|source| NoSeed::Unreadable { path, source })?)
    }

    fn of(value: &str) -> Result<Self, NoSeed> {
        let password = password(value);
        if password.is_empty() {
            return Err(NoSeed::Wrong { key: PASSWORD_KEY, reason: "is empty".into() });
        }
        let hash = Sha1::digest(format!("super:{password}"));
        Ok(Self(format!("super:{}", STANDARD.encode(hash))))
    }

    /// The line of `zoo.cfg`.
    pub fn line(&self) -> String {
        format!("DigestAuthenticationProvider.superDigest={}", self.0)
    }
}

impl fmt::Debug for SuperDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuperDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Beginning, fixtures};

    const JOINER: &str = "a-{ordinal}.ns:2888:3888:participant;0.0.0.0:2181";

    fn charter(membership: &str, version: &str, joiner: &str) -> String {
        let charter = fixtures::charter(Beginning::Birth, membership, 0);
        serde_json::to_string(&Charter { version: version.into(), joiner: joiner.into(), ..charter }).unwrap()
    }

    #[test]
    fn a_whole_charter_is_read() {
        let text = charter("server.1=a-0.ns:2888:3888:participant;0.0.0.0:2181\nversion=1f", "1f", JOINER);
        let seed = Seed::parse(&text, String::new(), "pw\n").unwrap();
        assert_eq!(seed.membership.version, ConfigVersion(0x1f));
        assert_eq!(seed.own_entry(ServerId(4)).unwrap(), Server::voter("a-3.ns"));
    }

    #[test]
    fn a_server_that_somebody_added_without_a_client_port_leaves_the_charter_readable() {
        let text = "server.1=a-0.ns:2888:3888:participant;0.0.0.0:2181\nserver.9=b:2888:3888:participant\nversion=9";
        let seed = Seed::parse(&charter(text, "9", JOINER), String::new(), "pw").unwrap();
        assert_eq!(seed.membership.voters().collect::<Vec<_>>(), [ServerId(1), ServerId(9)]);
    }

    #[test]
    fn the_super_digest_is_the_one_the_server_computes() {
        // `DigestAuthenticationProvider.generateDigest("super:pw")` of ZooKeeper 3.9.5.
        let line = "DigestAuthenticationProvider.superDigest=super:0bX78nEegDzJM3ju0iLBEJdWzjg=";
        assert_eq!(SuperDigest::of("pw\r\n").unwrap().line(), line);
        assert_eq!(format!("{:?}", SuperDigest::of("pw").unwrap()), "SuperDigest");
    }

    #[test]
    fn a_charter_that_cannot_be_right_is_refused_in_one_line() {
        let server = "server.1=a-0:2888:3888:participant;2181";
        for (text, reason) in [
            (String::new(), "is not a charter"),
            ("{}".into(), "is not a charter"),
            ("[1\n,2]".into(), "is not a charter"),
            (charter("", "0", JOINER), "no voter"),
            (charter("server.1=a-0:2888", "0", JOINER), "server.1 is not whole"),
            (charter("nonsense", "0", JOINER), "no '='"),
            (charter(server, "zz", JOINER), "not hexadecimal"),
            (charter(server, "", JOINER), "not hexadecimal"),
            (charter(server, "ffffffffffffffff", JOINER), "beyond"),
            (charter(&format!("{server}\nversion=5"), "6", JOINER), "is of version 6, its membership of version 5"),
            (charter(server, "0", "a-{pod}:2888:3888:participant;2181"), "left to fill in"),
            (charter(server, "0", "a:1:2;3\nserver.9=b:1:2;3"), "left to fill in"),
            (charter(server, "0", "a-{ordinal}"), "not whole"),
            (charter(server, "0", "a-{ordinal}:2888:3888:participant"), "not whole"),
            (charter(server, "0", ""), "not whole"),
        ] {
            let error = Seed::parse(&text, String::new(), "pw").unwrap_err().to_string();
            assert!(error.starts_with("charter.json ") && error.contains(reason), "{error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn an_observer_may_join() {
        let text = charter("server.1=a-0:2888:3888:participant;2181", "0", "a-{ordinal}:2888:3888:observer;2181");
        assert!(!Seed::parse(&text, String::new(), "pw").unwrap().own_entry(ServerId(2)).unwrap().votes());
    }

    #[test]
    fn without_a_password_there_is_no_seed() {
        let text = charter("server.1=a-0:2888:3888:participant;2181", "0", JOINER);
        let error = Seed::parse(&text, String::new(), "\n").unwrap_err();
        assert_eq!(error.to_string(), "password is empty");
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let error = Seed::read(&Mounts { seed: "/nonexistent".into(), secret: "/nonexistent".into() }).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/charter.json: No such file or directory (os error 2)");
    }
}
