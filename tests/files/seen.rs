//! The tree that is replayed from the files is the one that a live client saw.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use menagerie::archive::tree_hash::tree_hash;
use serde_json::{Value, json};
use zookeeper_files::replay::Tree;
use zookeeper_files::snapshot::Owner;

use crate::scenes::{Scene, scenes};

/// What a client saw, by path.
pub fn seen(scene: &Scene) -> BTreeMap<String, Value> {
    let lines = fs::read_to_string(scene.folder.join("seen.jsonl")).unwrap();
    let parsed = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.map(|znode| (znode["path"].as_str().unwrap().to_owned(), znode)).collect()
}

/// A tree as a client sees it.
pub fn served(tree: &Tree) -> BTreeMap<String, Value> {
    let children = tree.children();
    let mut served = BTreeMap::new();
    for (path, znode) in tree.walk(b"/") {
        let stat = znode.stat();
        let count = children.get(path).copied().unwrap_or_default();
        let name = if path.is_empty() { "/".to_owned() } else { String::from_utf8(path.to_vec()).unwrap() };
        let acl: Vec<_> = tree.acls().get(znode.acl()).map_or_else(
            || vec![json!([31, "world", "anyone"])],
            |acls| acls.iter().map(|acl| json!([acl.perms, acl.scheme.to_string(), acl.id.to_string()])).collect(),
        );
        // Containers and TTLs are not told to clients.
        let owner = if let Owner::Session(session) = stat.owner() { session.0 } else { 0 };
        let znode = json!({
            "path": name, "data": znode.data().map(|data| BASE64_STANDARD.encode(data)), "acl": acl,
            "czxid": stat.czxid.0, "mzxid": stat.mzxid.0, "pzxid": stat.pzxid.0, "ctime": stat.ctime, "mtime": stat.mtime,
            "version": stat.version, "cversion": stat.served_cversion(count), "aversion": stat.aversion,
            "ephemeralOwner": owner, "numChildren": count,
        });
        served.insert(name, znode);
    }
    served
}

#[test]
fn from_every_snapshot_a_replay_ends_in_the_tree_that_a_live_client_saw() {
    let (mut replays, mut digests) = (0, 0);
    for scene in scenes() {
        let seen = seen(&scene);
        let mut never_committed = 0;
        for member in scene.members() {
            let snapshots = member.snapshots();
            let newest = member.replayed(snapshots.last());
            if newest.tree().get(b"/end").is_none() {
                never_committed += 1;
                assert!(newest.tree().get(b"/never0").is_some(), "{}", member.name);
                continue;
            }
            for snapshot in &snapshots {
                let replay = member.replayed(Some(snapshot));
                assert_eq!(replay.mismatch(), None, "{} from {}", member.name, snapshot.0);
                let mut served = served(replay.tree());
                // Each member sets it anew whenever there is a new leader, by its own clock and without a transaction.
                let mtime = seen.get("/zookeeper/config").map(|config| config["mtime"].clone());
                if let (Some(config), Some(mtime)) = (served.get_mut("/zookeeper/config"), mtime) {
                    config["mtime"] = mtime;
                }
                for (path, znode) in &seen {
                    assert_eq!(served.get(path), Some(znode), "{} from {}: {path}", member.name, snapshot.0);
                }
                assert_eq!(served.len(), seen.len(), "{} from {}", member.name, snapshot.0);
                replays += 1;
                digests += replay.checked();
            }
        }
        // The leader that died last wrote what nobody else has.
        assert_eq!(never_committed, usize::from(scene.name.ends_with("ensemble")), "{}", scene.name);
    }
    assert!(replays > 40 && digests > 2000, "{replays} replays, {digests} digests");
}

/// Also in which members differ each for itself: the time of `/zookeeper/config`, the statistics of quotas, the numbers of ACLs.
#[test]
fn our_own_hash_of_the_tree_is_the_same_from_every_snapshot_of_every_member() {
    let mut trees = 0;
    for scene in scenes() {
        let mut hashes = BTreeMap::<String, Vec<String>>::new();
        for member in scene.members() {
            let snapshots = member.snapshots();
            if member.replayed(snapshots.last()).tree().get(b"/end").is_none() {
                // It has what was never committed.
                continue;
            }
            for snapshot in &snapshots {
                let hash = tree_hash(member.replayed(Some(snapshot)).tree());
                hashes.entry(hash.text().to_owned()).or_default().push(format!("{} {}", member.name, snapshot.0));
                trees += 1;
            }
        }
        assert_eq!(hashes.len(), 1, "{}: {hashes:#?}", scene.name);
    }
    assert!(trees > 40, "{trees} trees");
}
