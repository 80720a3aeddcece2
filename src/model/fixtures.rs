//! What tests of several rooms begin with.

use std::collections::BTreeMap;

use super::archive::ArchivePlace;
use super::{Beginning, Charter, ConfigVersion, Names, ParentPoint, Server};

/// Names of the ensemble `zk`.
pub fn names() -> Names {
    Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
}

/// A charter of an ensemble with the identity `one`.
pub fn charter(beginning: Beginning, membership: &str, version: u64) -> Charter {
    Charter {
        ensemble: "a".into(),
        identity: "one".into(),
        beginning,
        membership: membership.into(),
        version: ConfigVersion(version).to_string(),
        joiner: Server::voter("a-{ordinal}").spec().to_owned(),
        resync: BTreeMap::new(),
        may_vote: BTreeMap::new(),
        parent: None,
    }
}

/// A point of the archive of an ensemble with the identity `old`.
pub fn parent() -> ParentPoint {
    let place = ArchivePlace { target: "s3://backups".into(), ..ArchivePlace::default() };
    ParentPoint { place, identity: "old".into(), at: "0x500000001".parse().unwrap(), tree_hash: None }
}
