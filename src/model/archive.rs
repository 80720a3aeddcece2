//! What is wanted of an ensemble's archive, and what members are told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::bounded::words;
use super::ids::{Seat, ServerId, Zxid};
use super::retention::Retention;
use crate::api::{ArchiveSpec, CaSpec, EncryptionSpec, KeysSpec, StoreSpec};

/// How many members archive, without a word of it.
const COPIES: u32 = 2;
/// In hours: how often old logs and snapshots are purged. The key, and its default.
pub const PURGE_INTERVAL: (&str, &str) = ("autopurge.purgeInterval", "1");
/// How many snapshots a purge keeps.
pub const SNAP_RETAIN_COUNT: (&str, &str) = ("autopurge.snapRetainCount", "3");
/// Key of the `ConfigMap`.
pub const ARCHIVE_KEY: &str = "archive.json";
/// The same of an archive that members encrypt. Agents that cannot do not look there: otherwise they would ship readable what is to be
/// encrypted, until their pods are made anew.
pub const ENCRYPTED_ARCHIVE_KEY: &str = "archive-encrypted.json";
/// Key of the Secret with credentials: the access key's id.
pub const ACCESS_KEY_ID: &str = "accessKeyId";
/// Key of the Secret with credentials: the secret.
pub const SECRET_ACCESS_KEY: &str = "secretAccessKey";
/// Key of the Secret with credentials of GCS: the JSON key of a service account.
pub const SERVICE_ACCOUNT_KEY: &str = "serviceAccountKey";
/// Key of the Secret with credentials of Azure: an access key of the storage account.
pub const ACCOUNT_KEY: &str = "accountKey";
/// The key of CAs, without a word of it, and in pods the name of their file.
pub const CA_FILE: &str = "ca.crt";

/// Whether a tree of this zxid and the log from `starts` on leave nothing out.
pub fn leads(base: Zxid, starts: Zxid) -> bool {
    base.0.saturating_add(1) >= starts.0
}

/// Where an archive is, and how it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivePlace {
    /// The archive, as `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://ACCOUNT/CONTAINER/PREFIX`.
    pub target: String,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its address, where it is not the kind's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether keys are mounted; otherwise the pod's own identity counts.
    pub credentials: bool,
    /// Whether CAs are mounted that are trusted beside the public ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ca: bool,
    /// The proxy by which it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// How the store encrypts what is stored, if it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<EncryptionSpec>,
    /// The keys with which we encrypt what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_keys: Option<KeysSpec>,
}

/// What pods mount to reach an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveMounts {
    /// The Secret with credentials.
    pub secret: Option<String>,
    /// The certificates of CAs.
    pub ca: Option<CaSource>,
    /// The Secret with the keys with which we encrypt.
    pub keys: Option<String>,
}

/// Where the certificates of CAs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaSource {
    /// The object.
    pub object: CaObject,
    /// Its key.
    pub key: String,
}

/// The object that has certificates of CAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaObject {
    /// A `ConfigMap` of this name.
    ConfigMap(String),
    /// A Secret of this name.
    Secret(String),
}

impl CaSource {
    /// None where the spec names no object: the API server refuses that, and pods say that the CA is missing.
    pub(super) fn of(spec: &CaSpec) -> Option<Self> {
        let CaSpec { config_map, secret, key } = spec;
        let object = match (config_map, secret) {
            (Some(name), _) => CaObject::ConfigMap(name.clone()),
            (None, Some(name)) => CaObject::Secret(name.clone()),
            (None, None) => return None,
        };
        Some(Self { object, key: key.clone().unwrap_or_else(|| CA_FILE.to_owned()) })
    }
}

impl fmt::Display for CaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            CaObject::ConfigMap(name) => write!(f, "key {} of ConfigMap {name}", self.key),
            CaObject::Secret(name) => write!(f, "key {} of Secret {name}", self.key),
        }
    }
}

impl ArchivePlace {
    /// A folder in it, which is an archive of its own.
    #[must_use]
    pub fn below(&self, folder: &str) -> Self {
        Self { target: format!("{}/{folder}", self.target.trim_end_matches('/')), ..self.clone() }
    }

    /// All that tells one place from another, no longer than an agent may say. How it is reached is none of it: what is in an archive
    /// stays the same when a proxy goes.
    pub fn described(&self) -> String {
        let Self { target, region, endpoint, credentials: _, ca: _, proxy: _, encryption: _, encryption_keys: _ } =
            self;
        let part = |word: &str, value: &Option<String>| value.as_ref().map(|value| format!(" {word} {value}"));
        let parts = [part("in", region), part("at", endpoint)];
        words(&std::iter::once(target.clone()).chain(parts.into_iter().flatten()).collect::<String>())
    }
}

/// Where the ensemble's archive is, and who ships to it: what members find in their `ConfigMap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveConfig {
    /// Where it is.
    #[serde(flatten)]
    pub place: ArchivePlace,
    /// The members that ship.
    pub members: BTreeSet<ServerId>,
    /// Seconds between two looks at the log.
    pub interval_seconds: u32,
    /// What the agents of all members purge, since their servers do not. Older operators do not say, and their servers purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge: Option<Purging>,
}

impl ArchiveConfig {
    /// Under which key of the `ConfigMap` members find it.
    pub fn key(&self) -> &'static str {
        if self.place.encryption_keys.is_some() { ENCRYPTED_ARCHIVE_KEY } else { ARCHIVE_KEY }
    }
}

/// Who archives without a word of it: they are there however the ensemble is scaled.
pub fn first_voters(copies: u32) -> BTreeSet<ServerId> {
    (0..copies).map(|ordinal| ServerId::from(Seat::voter(ordinal))).collect()
}

/// How an agent purges its member's logs and snapshots, in place of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purging {
    /// Hours from one purge to the next.
    pub hours: u32,
    /// So many snapshots stay.
    pub snapshots: u32,
}

impl Purging {
    /// What `config` says of it to ZooKeeper; `None` where nobody is to purge.
    pub fn of(config: &BTreeMap<String, String>) -> Option<Self> {
        let number = |(key, default): (&str, &str)| -> Option<i64> {
            config.get(key).map_or(default, String::as_str).trim().parse().ok()
        };
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let hours = number(PURGE_INTERVAL).filter(|hours| *hours > 0)?;
        // ZooKeeper keeps three where less is said.
        let snapshots = number(SNAP_RETAIN_COUNT)?.max(3);
        Some(Self { hours: count(hours), snapshots: count(snapshots) })
    }
}

/// An archive that is wanted, with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// What the members are told.
    pub config: ArchiveConfig,
    /// How many members are to archive.
    pub copies: u32,
    /// What pods mount to reach it.
    pub mounts: ArchiveMounts,
    /// What deletes from it, if something does.
    pub retention: Option<Retention>,
}

impl Archive {
    /// The archive of an ensemble with so many voters, in this store, whose zoo.cfg has these lines.
    pub fn of(
        spec: &ArchiveSpec,
        store: StoreSpec<'_>,
        voters: u32,
        retention: Option<Retention>,
        config: &BTreeMap<String, String>,
    ) -> Self {
        let ArchiveSpec { s3: _, gcs: _, azure: _, interval_seconds, copies, retention: _ } = spec;
        let copies = copies.and_then(|copies| u32::try_from(copies).ok()).unwrap_or(COPIES).clamp(1, voters.max(1));
        let config = ArchiveConfig {
            place: store.place(),
            members: first_voters(copies),
            interval_seconds: interval_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(1),
            purge: Purging::of(config),
        };
        Self { config, copies, mounts: store.mounts(), retention }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn archive(spec: serde_json::Value, voters: u32) -> ArchiveConfig {
        let spec: ArchiveSpec = serde_json::from_value(spec).unwrap();
        Archive::of(&spec, spec.store().unwrap(), voters, None, &BTreeMap::new()).config
    }

    #[test]
    fn without_a_word_of_it_two_members_archive_each_second() {
        let config = archive(json!({"s3": {"bucket": "backups"}}), 3);
        assert_eq!((config.place.target.as_str(), config.interval_seconds), ("s3://backups", 1));
        assert_eq!(config.members, BTreeSet::from([ServerId(1), ServerId(2)]));
        assert!(!config.place.credentials);
    }

    #[test]
    fn no_more_members_archive_than_there_are() {
        for (copies, voters, want) in [(2, 1, 1), (15, 3, 3), (1, 3, 1)] {
            let config = archive(json!({"s3": {"bucket": "backups", "prefix": "zk/a"}, "copies": copies}), voters);
            assert_eq!((config.place.target.as_str(), config.members.len()), ("s3://backups/zk/a", want));
        }
    }

    #[test]
    fn agents_purge_as_their_servers_were_told_to_and_never_where_nobody_is_to() {
        let purging = |config: &[(&str, &str)]| {
            let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Purging::of(&config).map(|Purging { hours, snapshots }| (hours, snapshots))
        };
        assert_eq!(purging(&[]), Some((1, 3)));
        let (interval, count) = (PURGE_INTERVAL.0, SNAP_RETAIN_COUNT.0);
        assert_eq!(purging(&[(interval, "24"), (count, "5")]), Some((24, 5)));
        assert_eq!(purging(&[(count, "1")]), Some((1, 3)), "ZooKeeper keeps three");
        for nobody in ["0", "-1", "never"] {
            assert_eq!(purging(&[(interval, nobody)]), None, "{nobody}");
        }
    }

    /// What an agent says of it is cut where it is decoded.
    #[test]
    fn a_place_is_described_by_all_that_can_be_corrected_and_stays_the_same_when_it_is_cut() {
        let place = |region: &str, endpoint: &str| {
            let spec = json!({"s3": {"bucket": "b-1", "region": region, "endpoint": endpoint}});
            archive(spec, 3).place.described()
        };
        assert_eq!(place("eu", "https://s3"), "s3://b-1 in eu at https://s3");
        assert!(
            place("us", "https://s3") != place("eu", "https://s3")
                && place("eu", "https://t") != place("eu", "https://s3")
        );
        for length in 250..320 {
            let long = place("eu", &"é".repeat(length));
            assert_eq!(words(&long), long);
        }
    }

    #[test]
    fn what_members_are_told_is_read_as_it_was_written() {
        let spec =
            json!({"s3": {"bucket": "b-1", "endpoint": "https://s3", "credentialsSecret": "s"}, "intervalSeconds": 5});
        let config = archive(spec, 3);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ArchiveConfig>(&text).unwrap(), config);
        assert_eq!(config.interval_seconds, 5);
        // An older operator's servers purge.
        let older = r#"{"target":"s3://b-1","credentials":false,"members":[1],"intervalSeconds":1}"#;
        assert_eq!(serde_json::from_str::<ArchiveConfig>(older).unwrap().purge, None);
    }
}
