//! What a new ensemble is made from: the point of another one's archive at which it begins.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::archive::{ArchiveMounts, ArchivePlace};
use super::ids::Zxid;
use super::invalid::Invalid;
use super::store::ONE;
use crate::api::FromSpec;

/// The point of another ensemble's history that a new one begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentPoint {
    /// The archive.
    #[serde(flatten)]
    pub place: ArchivePlace,
    /// The identity of the ensemble that was archived.
    pub identity: String,
    /// The point.
    pub at: At,
    /// The hash that the tree has there, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_hash: Option<String>,
}

impl fmt::Display for ParentPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of ensemble {} in {}", self.at, self.identity, self.place.target)
    }
}

/// A point of a history that means the same whenever it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum At {
    /// After this transaction.
    Zxid(Zxid),
    /// After the last transaction that is not later.
    Time(Timestamp),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(digits) = text.strip_prefix("0x") {
            let plain = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let zxid = plain
                .then(|| u64::from_str_radix(digits, 16).ok())
                .flatten()
                .filter(|zxid| *zxid > 0 && i64::try_from(*zxid).is_ok());
            return zxid
                .map(|zxid| Self::Zxid(Zxid(zxid)))
                .ok_or_else(|| format!("{text:?} is no zxid such as 0x10000002a"));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| {
            format!(
                "{text:?} is neither a zxid such as 0x10000002a nor a time with its zone such as 2026-11-23T19:52:00Z"
            )
        })
    }
}

impl TryFrom<String> for At {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<At> for String {
    fn from(at: At) -> Self {
        at.to_string()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zxid(zxid) => write!(f, "0x{:x}", zxid.0),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

/// A wanted parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// What founders are told.
    pub point: ParentPoint,
    /// What founders mount to reach it.
    pub mounts: ArchiveMounts,
}

impl Parent {
    /// The parent that a spec names.
    pub fn of(spec: &FromSpec) -> Result<Self, Invalid> {
        let FromSpec { s3: _, gcs: _, azure: _, identity, at, tree_hash } = spec;
        let wrong = |field, reason| Invalid { field, reason };
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=64).contains(&identity.len()) || !identity.bytes().all(known) {
            return Err(wrong("from.identity", format!("{identity:?} is no identity: small letters, digits and '-'")));
        }
        let at = at.parse().map_err(|reason| wrong("from.at", reason))?;
        if tree_hash.as_ref().is_some_and(|hash| !is_hash(hash)) {
            let text =
                "it is no treeHash, as status.treeHash of a ZooKeeperBackup: 64 hexadecimal digits in small letters";
            return Err(wrong("from.treeHash", text.to_owned()));
        }
        let store = spec.store().ok_or_else(|| wrong("from", ONE.to_owned()))?;
        let point = ParentPoint { place: store.place(), identity: identity.clone(), at, tree_hash: tree_hash.clone() };
        Ok(Self { point, mounts: store.mounts() })
    }
}

/// Whether a text may be the hash of a tree.
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_zxid_or_a_time_with_its_zone() {
        for (text, shown) in [
            ("0x10000002a", "0x10000002a"),
            ("2026-11-23T19:52:00Z", "2026-11-23T19:52:00Z"),
            ("2026-11-23T20:52:00.5+01:00", "2026-11-23T19:52:00.5Z"),
        ] {
            assert_eq!(text.parse::<At>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "end",
            "1h",
            "10000002a",
            "0x",
            "0x0",
            "0xffffffffffffffff",
            "0x+1",
            "2026-11-23T19:52:00",
            "2026-11-23",
        ] {
            assert!(text.parse::<At>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_founders_are_told_is_read_as_it_was_written() {
        let spec =
            serde_json::json!({"s3": {"bucket": "backups", "credentialsSecret": "s"}, "identity": "a-1", "at": "0x5"});
        let parent = Parent::of(&serde_json::from_value(spec).unwrap()).unwrap();
        let text = serde_json::to_string(&parent.point).unwrap();
        assert_eq!(text, r#"{"target":"s3://backups","credentials":true,"identity":"a-1","at":"0x5"}"#);
        assert_eq!(serde_json::from_str::<ParentPoint>(&text).unwrap(), parent.point);
        let with = |hash: &str| {
            let spec =
                serde_json::json!({"s3": {"bucket": "backups"}, "identity": "a-1", "at": "0x5", "treeHash": hash});
            Parent::of(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(with(&"0a".repeat(32)).unwrap().point.tree_hash.unwrap().len(), 64);
        for wrong in ["", "0a", &"0A".repeat(32), &"0g".repeat(32)] {
            assert_eq!(with(wrong).unwrap_err().field, "from.treeHash", "{wrong}");
        }
    }
}
