//! What tests of several rooms begin with.

use std::collections::BTreeMap;

use super::{Beginning, Charter, ConfigVersion, Names, Server};

/// Names of the ensemble `zk`.
pub fn names() -> Names {
    Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
}

/// What members of an ensemble of identity `one` are told.
pub fn charter(beginning: Beginning, membership: &str, version: u64) -> Charter {
    Charter {
        ensemble: "a".into(),
        identity: "one".into(),
        beginning,
        membership: membership.into(),
        version: ConfigVersion(version).to_string(),
        joiner: Server::voter("a-{ordinal}").spec().to_owned(),
        resync: BTreeMap::new(),
    }
}
