//! Our own hash of a tree. ZooKeeper's digest is a sum of CRC32s, and covers neither ACLs nor sessions nor anything below `/zookeeper`.
//!
//! - It covers each znode: path, data, ACL, and the whole stat, and with that its kind (persistent, ephemeral and of which session,
//!   container, TTL and how long); quotas with their limits; and the timeout of each session that owns an ephemeral znode.
//! - It does not cover what each server keeps for itself: the statistics of quotas, and `/zookeeper/config`, which a server replaces by its
//!   own at each start. Nor sessions that own nothing: a server's table may hold one whose beginning was never committed.
//! - It is the same in whichever order a snapshot has its znodes, and whatever numbers its ACLs have there.
//!
//! Each text has its length before it, so that nothing can be read in two ways.

use sha2::{Digest as _, Sha256};
use zookeeper_files::log::{Acl, Acls, encode_acls};
use zookeeper_files::replay::{Tree, Znode};
use zookeeper_files::snapshot::{OPEN_ACL, Owner, Stat};

use super::segment::Hash;

/// The version of the form. A hash of another one cannot be compared.
const FORM: &[u8] = b"menagerie-tree-1\n";
const CONFIG: &[u8] = b"/zookeeper/config";
const QUOTA: &[u8] = b"/zookeeper/quota/";
const STATISTICS: &[u8] = b"/zookeeper_stats";

/// The hash of a tree. Beside the tree it needs the order of its znodes: 24 bytes for each.
pub fn tree_hash(tree: &Tree) -> Hash {
    let open = encode_acls(&[Acl::new(31, "world", "anyone")]);
    let mut hasher = Sha256::new();
    hasher.update(FORM);
    let mut owners = Vec::new();
    for (path, node) in tree.rooted().into_iter().filter(|(path, _)| !is_config(path)) {
        text(&mut hasher, path);
        optional(&mut hasher, node.data().filter(|_| !is_statistics(path)));
        optional(&mut hasher, acl(tree, node, &open));
        stat(&mut hasher, node.stat());
        if let Owner::Session(session) = node.stat().owner() {
            owners.push(session);
        }
    }
    owners.sort_unstable();
    for session in tree.sessions().filter(|session| owners.binary_search(&session.id).is_ok()) {
        hasher.update(session.id.0.to_be_bytes());
        hasher.update(session.timeout.to_be_bytes());
    }
    Hash::from_digest(&hasher.finalize())
}

/// Whether it is the membership, which each server sets itself when it starts.
pub fn is_config(path: &[u8]) -> bool {
    path == CONFIG
}

/// Whether its data are the statistics of a quota, which each server counts itself.
pub fn is_statistics(path: &[u8]) -> bool {
    path.starts_with(QUOTA) && path.ends_with(STATISTICS)
}

/// Whether a tree is the one that a backup has proved, by its hash.
pub fn is_still(tree: &Tree, proved: &str) -> Result<(), String> {
    let hash = tree_hash(tree);
    if hash.text() == proved {
        return Ok(());
    }
    Err(format!(
        "the tree at {:#} is not the one that was proved: its hash is {}, and that of the backup {proved}. No digest of the servers tells which of them is theirs; a backup of level TwoWays shows whether the archive is one with itself. To have it all the same, name its zxid alone: at, without a backup or a treeHash",
        tree.last(),
        hash.text()
    ))
}

fn text(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn optional(hasher: &mut Sha256, bytes: Option<&[u8]>) {
    hasher.update([u8::from(bytes.is_some())]);
    text(hasher, bytes.unwrap_or_default());
}

/// Its list; none for a number that a snapshot names and does not explain. Servers take a list that is null, and the number that is in no
/// table, for the open one.
fn acl<'a>(tree: &'a Tree, node: &Znode, open: &'a [u8]) -> Option<&'a [u8]> {
    if node.acl() == OPEN_ACL {
        return Some(open);
    }
    tree.acls().get(node.acl()).map(|list: Acls<'a>| if list.is_null() { open } else { list.encoded() })
}

fn stat(hasher: &mut Sha256, stat: &Stat) {
    let Stat { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner } = *stat;
    for zxid in [czxid, mzxid, pzxid] {
        hasher.update(zxid.0.to_be_bytes());
    }
    for time in [ctime, mtime, ephemeral_owner] {
        hasher.update(time.to_be_bytes());
    }
    for version in [version, cversion, aversion] {
        hasher.update(version.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use zookeeper_files::ids::Zxid;
    use zookeeper_files::jute::{Decoder, Text};
    use zookeeper_files::log::{Create, Header, Lifetime, SessionId, Txn};
    use zookeeper_files::snapshot::{AclTableEntry, Session, SnapshotReader, SnapshotWriter, SnapshotZnode, Trailer};

    use super::*;

    const ADMIN: (i32, &str, &str) = (31, "digest", "admin:x");
    const READER: (i32, &str, &str) = (1, "ip", "10.0.0.0/8");

    fn list(entries: &[(i32, &str, &str)]) -> Vec<u8> {
        encode_acls(&entries.iter().map(|(perms, scheme, id)| Acl::new(*perms, scheme, id)).collect::<Vec<_>>())
    }

    /// A snapshot of these znodes in this order, with ACLs by these numbers.
    fn tree(acls: &[(i64, Vec<u8>)], sessions: &[(i64, i32)], nodes: &[(&str, Option<&str>, i64, Stat)]) -> Tree {
        let sessions: Vec<_> =
            sessions.iter().map(|(id, timeout)| Session { id: SessionId(*id), timeout: *timeout }).collect();
        let acls: Vec<_> = acls
            .iter()
            .map(|(key, bytes)| AclTableEntry { key: *key, acls: Acls::decode(&mut Decoder::new(bytes)).unwrap() })
            .collect();
        let mut writer = SnapshotWriter::new(Vec::new(), &sessions, &acls).unwrap();
        for (path, data, acl, stat) in nodes {
            let data = data.map(str::as_bytes);
            writer.znode(&SnapshotZnode { path: Text(path.as_bytes()), data, acl: *acl, stat: *stat }).unwrap();
        }
        let bytes = writer.finish(&Trailer { digest: None, last: None }).unwrap();
        Tree::of_snapshot(&mut SnapshotReader::new(&bytes[..]).unwrap()).unwrap()
    }

    fn small(nodes: &[(&str, Option<&str>, i64, Stat)]) -> Hash {
        let all = [&[("", Some(""), OPEN_ACL, Stat::default())], nodes].concat();
        tree(&[(1, list(&[ADMIN])), (2, list(&[ADMIN, READER]))], &[(7, 4000)], &all).hash()
    }

    trait Hashed {
        fn hash(self) -> Hash;
    }

    impl Hashed for Tree {
        fn hash(self) -> Hash {
            tree_hash(&self)
        }
    }

    #[test]
    fn each_property_of_a_znode_changes_it_also_those_that_zookeepers_digest_does_not_cover() {
        let stat = Stat { ephemeral_owner: 7, ..Stat::default() };
        let plain = small(&[("/a", Some("1"), 1, Stat::default())]);
        let others = [
            ("path", small(&[("/b", Some("1"), 1, Stat::default())])),
            ("data", small(&[("/a", Some("2"), 1, Stat::default())])),
            ("no data", small(&[("/a", None, 1, Stat::default())])),
            ("empty data", small(&[("/a", Some(""), 1, Stat::default())])),
            ("ACL", small(&[("/a", Some("1"), 2, Stat::default())])),
            ("open ACL", small(&[("/a", Some("1"), OPEN_ACL, Stat::default())])),
            ("ACL that is in no table", small(&[("/a", Some("1"), 9, Stat::default())])),
            ("version of the ACL", small(&[("/a", Some("1"), 1, Stat { aversion: 1, ..Stat::default() })])),
            ("session", small(&[("/a", Some("1"), 1, stat)])),
            ("container", small(&[("/a", Some("1"), 1, Stat { ephemeral_owner: i64::MIN, ..stat })])),
            ("TTL", small(&[("/a", Some("1"), 1, Stat { ephemeral_owner: (0xff << 56) | 0x1000, ..stat })])),
            ("longer TTL", small(&[("/a", Some("1"), 1, Stat { ephemeral_owner: (0xff << 56) | 0x1001, ..stat })])),
            ("time", small(&[("/a", Some("1"), 1, Stat { mtime: 1, ..Stat::default() })])),
            ("transaction", small(&[("/a", Some("1"), 1, Stat { pzxid: Zxid(1), ..Stat::default() })])),
            ("nothing", small(&[])),
        ];
        for (what, hash) in &others {
            assert_ne!(hash, &plain, "{what}");
            assert_eq!(others.iter().filter(|(_, other)| other == hash).count(), 1, "{what}");
        }
    }

    #[test]
    fn neither_the_order_of_a_snapshot_nor_its_numbers_of_acls_change_it() {
        let (root, plain) = (("", Some(""), OPEN_ACL, Stat::default()), Stat::default());
        let one = tree(
            &[(1, list(&[ADMIN])), (2, list(&[READER]))],
            &[],
            &[root, ("/a", None, 1, plain), ("/b", None, 2, plain), ("/c", None, OPEN_ACL, plain)],
        );
        let other = tree(
            &[(5, list(&[READER])), (8, list(&[ADMIN])), (9, (-1_i32).to_be_bytes().to_vec()), (10, list(&[]))],
            &[],
            &[root, ("/c", None, 9, plain), ("/b", None, 5, plain), ("/a", None, 8, plain)],
        );
        assert_eq!(tree_hash(&one), tree_hash(&other));
    }

    #[test]
    fn a_session_counts_with_its_timeout_as_long_as_it_owns_something() {
        let owned = Stat { ephemeral_owner: 7, ..Stat::default() };
        let of = |sessions: &[(i64, i32)]| {
            tree(&[], sessions, &[("", None, OPEN_ACL, Stat::default()), ("/e", None, OPEN_ACL, owned)]).hash()
        };
        assert_ne!(of(&[(7, 4000)]), of(&[(7, 5000)]));
        assert_ne!(of(&[(7, 4000)]), of(&[]));
        assert_eq!(of(&[(7, 4000)]), of(&[(7, 4000), (8, 9000)]), "it may never have been committed");
    }

    #[test]
    fn limits_of_quotas_count_and_what_a_server_keeps_for_itself_does_not() {
        let of = |path: &str, data: &str| {
            let plain = Stat::default();
            let above = ["", "/zookeeper", "/zookeeper/quota", "/zookeeper/quota/a"];
            let mut nodes: Vec<_> = above.map(|path| (path, Some(""), OPEN_ACL, plain)).to_vec();
            nodes.push((path, Some(data), OPEN_ACL, plain));
            tree(&[], &[], &nodes).hash()
        };
        let limits = "/zookeeper/quota/a/zookeeper_limits";
        assert_ne!(of(limits, "count=4,bytes=-1"), of(limits, "count=5,bytes=-1"));
        let statistics = "/zookeeper/quota/a/zookeeper_stats";
        assert_eq!(of(statistics, "count=4,bytes=9"), of(statistics, "count=5,bytes=9"));
        assert_eq!(of(CONFIG_PATH, "version=100000000"), of(CONFIG_PATH, "version=200000000"));
        assert_ne!(of("/zookeeper/configuration", "1"), of("/zookeeper/configuration", "2"));
    }

    const CONFIG_PATH: &str = "/zookeeper/config";

    #[test]
    fn it_is_the_same_in_the_next_version() {
        let mut tree = Tree::initial();
        let acl = list(&[ADMIN]);
        let create = Create {
            path: Text(b"/a"),
            data: Some(b"1"),
            acl: Acls::decode(&mut Decoder::new(&acl)).unwrap(),
            lifetime: Lifetime::Persistent,
            parent_cversion: Some(1),
            with_stat: false,
        };
        let header = Header { session: SessionId(1), cxid: 1, zxid: Zxid(0x1_0000_0001), time: 5 };
        tree.apply(&header, &Txn::Create(create)).unwrap();
        let known = "a640e20c1d3841d3813fa0d8dda54d4785303f47e5c077b8e032a46b0505ba46";
        assert_eq!(tree_hash(&tree).text(), known, "another form needs another name: FORM");
    }
}
