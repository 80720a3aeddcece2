//! The names that every ensemble has in tests without a cluster.

use menagerie::model::Names;

pub fn names() -> Names {
    Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() }
}
