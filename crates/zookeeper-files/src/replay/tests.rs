//! Trees made by transactions, and histories made of several logs.

use super::*;
use crate::ids::{Zxid, ZxidRange};
use crate::jute::{Decoder, Text};
use crate::log::{
    Acl, Acls, Create, Header, Lifetime, Ops, Paths, SessionId, Txn, encode_acls, encode_ops, encode_paths,
};
use crate::snapshot::{Owner, SnapshotReader};

fn header(zxid: u64) -> Header {
    Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(zxid), time: 1000 + i64::try_from(zxid).unwrap() }
}

fn acls(bytes: &[u8]) -> Acls<'_> {
    Acls::decode(&mut Decoder::new(bytes)).unwrap()
}

fn open() -> Vec<u8> {
    encode_acls(&[Acl::new(31, "world", "anyone")])
}

fn create<'a>(path: &'a str, lifetime: Lifetime, acl: &'a [u8], parent_cversion: i32) -> Txn<'a> {
    let (path, parent_cversion) = (Text(path.as_bytes()), Some(parent_cversion));
    Txn::Create(Create { path, data: Some(b"x"), acl: acls(acl), lifetime, parent_cversion, with_stat: false })
}

fn delete(path: &str) -> Txn<'_> {
    Txn::Delete { path: Text(path.as_bytes()), container: false }
}

#[test]
fn an_ephemeral_goes_with_its_session_and_raises_the_parents_pzxid() {
    let acl = open();
    let mut tree = Tree::initial();
    tree.apply(&header(1), &Txn::CreateSession { timeout: 1000 }).unwrap();
    tree.apply(&header(2), &create("/e", Lifetime::Ephemeral, &acl, 1)).unwrap();
    assert_eq!(tree.get(b"/e").unwrap().stat().owner(), Owner::Session(SessionId(0x1001)));
    let named = encode_paths([&b"/e"[..]].into_iter());
    let paths = Paths::decode(&mut Decoder::new(&named)).unwrap();
    for paths in [None, Some(paths)] {
        let mut tree = tree.clone();
        tree.apply(&header(3), &Txn::CloseSession { paths }).unwrap();
        assert!(tree.get(b"/e").is_none() && tree.sessions().next().is_none());
        assert_eq!((tree.get(b"/").unwrap().stat().pzxid, tree.get(b"/").unwrap().stat().cversion), (Zxid(3), 1));
    }
}

#[test]
fn a_multi_with_a_failed_part_changes_nothing() {
    let acl = open();
    let failed = [create("/a", Lifetime::Persistent, &acl, 1), Txn::Error { code: -101 }];
    let (good, bad) = (encode_ops(&failed[..1]), encode_ops(&failed));
    let mut tree = Tree::initial();
    tree.apply(&header(1), &Txn::Multi(Ops::decode(&mut Decoder::new(&bad)).unwrap())).unwrap();
    assert!(tree.get(b"/a").is_none());
    tree.apply(&header(2), &Txn::Multi(Ops::decode(&mut Decoder::new(&good)).unwrap())).unwrap();
    assert!(tree.get(b"/a").is_some());
}

#[test]
fn on_a_fuzzy_tree_the_delete_of_what_is_gone_still_raises_the_parents_pzxid() {
    let acl = open();
    let mut tree = Tree::initial();
    assert_eq!(tree.apply(&header(5), &delete("/gone")), Err(ApplyError::NoNode));
    assert_eq!(tree.get(b"/").unwrap().stat().pzxid, Zxid(5));
    tree.apply(&header(6), &create("/a", Lifetime::Persistent, &acl, 9)).unwrap();
    // The same again, as when the snapshot had it: the ACL and the parent are mended, and nothing else changes.
    let private = encode_acls(&[Acl::new(1, "digest", "a:b")]);
    let again = create("/a", Lifetime::Persistent, &private, 12);
    assert_eq!(tree.apply(&header(7), &again), Err(ApplyError::NodeExists));
    let root = tree.get(b"/").unwrap().stat();
    assert_eq!((root.cversion, root.pzxid, tree.get(b"/a").unwrap().stat().czxid), (12, Zxid(7), Zxid(6)));
    assert_eq!(tree.acls().get(tree.get(b"/a").unwrap().acl()).unwrap(), acls(&private));
}

#[test]
fn a_cversion_never_falls() {
    let acl = open();
    let mut tree = Tree::initial();
    tree.apply(&header(1), &create("/a", Lifetime::Persistent, &acl, 5)).unwrap();
    tree.apply(&header(2), &create("/b", Lifetime::Persistent, &acl, 3)).unwrap();
    let root = tree.get(b"/").unwrap().stat();
    assert_eq!((root.cversion, root.pzxid), (5, Zxid(1)));
}

#[test]
fn the_digest_is_that_of_the_same_tree_made_in_another_way() {
    let acl = open();
    let mut tree = Tree::initial();
    let empty = tree.digest();
    tree.apply(&header(1), &create("/a", Lifetime::Persistent, &acl, 1)).unwrap();
    tree.apply(&header(2), &create("/a/b", Lifetime::Ttl(5), &acl, 1)).unwrap();
    let set = Txn::SetData { path: Text(b"/"), data: None, version: 1, reconfig: false };
    tree.apply(&header(3), &set).unwrap();
    assert_ne!(tree.digest(), empty);
    let written = tree.write(Vec::new()).unwrap();
    let read = Tree::of_snapshot(&mut SnapshotReader::new(&written[..]).unwrap()).unwrap();
    assert_eq!((read.digest(), read.len()), (tree.digest(), tree.len()));
    assert!(differences(&tree, &read, b"/").is_empty());
    // Quotas are not part of it.
    tree.apply(&header(4), &create("/zookeeper/quota/a", Lifetime::Persistent, &acl, 1)).unwrap();
    assert_eq!(tree.digest(), read.digest());
}

#[test]
fn quotas_are_counted_as_a_server_counts_them() {
    let acl = open();
    let mut tree = Tree::initial();
    let paths = ["/a", "/a/b", "/ab", "/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits"];
    for (zxid, path) in (1..).zip(paths.into_iter().chain(["/zookeeper/quota/a/zookeeper_stats"])) {
        tree.apply(&header(zxid), &create(path, Lifetime::Persistent, &acl, 1)).unwrap();
    }
    tree.count_quotas();
    assert_eq!(tree.get(b"/zookeeper/quota/a/zookeeper_stats").unwrap().data(), Some(&b"count=2,bytes=2"[..]));
}

#[test]
fn a_walk_goes_to_the_children_before_the_next_sibling() {
    let acl = open();
    let mut tree = Tree::initial();
    for (zxid, path) in (1..).zip(["/a", "/a-b", "/a/c"]) {
        tree.apply(&header(zxid), &create(path, Lifetime::Persistent, &acl, 1)).unwrap();
    }
    let names = |top: &[u8]| -> Vec<String> { tree.walk(top).iter().map(|(path, _)| Text(path).to_string()).collect() };
    assert_eq!(names(b"/"), ["", "/a", "/a/c", "/a-b", "/zookeeper", "/zookeeper/quota"]);
    assert_eq!(names(b"/a"), ["/a", "/a/c"]);
    assert_eq!(differences(&Tree::initial(), &tree, b"/").len(), 4, "three znodes and their parent's stat");
}

#[test]
fn what_a_journal_kept_tells_the_same_as_two_trees() {
    let acl = open();
    let mut tree = Tree::initial();
    for (zxid, path) in (1..).zip(["/a", "/a/b", "/a/c", "/d"]) {
        tree.apply(&header(zxid), &create(path, Lifetime::Persistent, &acl, 1)).unwrap();
    }
    let before = tree.clone();
    tree.begin_journal();
    let set =
        |path: &'static str, data| Txn::SetData { path: Text(path.as_bytes()), data, version: 1, reconfig: false };
    let gone = |path: &'static str| Txn::Delete { path: Text(path.as_bytes()), container: false };
    let list = encode_acls(&[Acl::new(1, "world", "anyone")]);
    let only = Acls::decode(&mut Decoder::new(&list)).unwrap();
    let txns = [
        create("/a/new", Lifetime::Persistent, &acl, 3),
        set("/a/b", Some(b"1")),
        set("/a/b", Some(b"2")),
        gone("/a/c"),
        create("/passing", Lifetime::Persistent, &acl, 9),
        gone("/passing"),
        Txn::SetAcl { path: Text(b"/d"), acl: only, version: 1 },
    ];
    for (zxid, txn) in (10..).zip(&txns) {
        tree.apply(&header(zxid), txn).unwrap();
    }
    let journal = tree.take_journal();
    let shown = |found: Vec<Difference<'_>>| -> Vec<String> { found.iter().map(|one| format!("{one:?}")).collect() };
    for top in ["/", "/a"] {
        let two = shown(differences(&before, &tree, top.as_bytes()));
        assert_eq!(shown(changes_since(&journal, &tree, top.as_bytes())), two, "{top}");
        assert!(two.len() >= 4, "{two:?}");
    }
}

fn member_history(ranges: &[(u64, u64)], snapshots: &[u64]) -> MemberHistory {
    let mut member_history =
        MemberHistory { snapshots: snapshots.iter().map(|&zxid| Zxid(zxid)).collect(), ..MemberHistory::default() };
    for zxid in ranges.iter().flat_map(|&(first, last)| first..=last) {
        member_history.add(Zxid(zxid));
    }
    member_history
}

const E1: u64 = 1 << 32;
const E2: u64 = 2 << 32;

#[test]
fn what_a_dead_leader_alone_had_was_never_committed() {
    let dead = member_history(&[(E1 + 1, E1 + 9)], &[]);
    let others = member_history(&[(E1 + 1, E1 + 7), (E2 + 1, E2 + 3)], &[]);
    let history = decide(&[dead, others.clone(), others], None);
    assert_eq!(history.commit_status(Zxid(E1 + 7)), CommitStatus::Committed);
    assert_eq!(history.commit_status(Zxid(E1 + 8)), CommitStatus::NeverCommitted);
    assert_eq!(history.commit_status(Zxid(E2 + 3)), CommitStatus::Committed);
    assert!(history.unknown().is_empty());
}

#[test]
fn a_log_that_was_brought_into_line_by_a_snapshot_proves_nothing() {
    // It keeps two transactions that nobody else has, got a snapshot of the next epoch, and goes on from there.
    let by_snapshot = member_history(&[(E1 + 1, E1 + 9), (E2 + 5, E2 + 6)], &[E2 + 4]);
    let clean = member_history(&[(E1 + 1, E1 + 7), (E2 + 1, E2 + 6)], &[]);
    let history = decide(&[by_snapshot.clone(), clean], None);
    assert_eq!(history.commit_status(Zxid(E1 + 8)), CommitStatus::NeverCommitted);
    // Alone, it cannot tell.
    let history = decide(&[by_snapshot], None);
    assert_eq!(history.commit_status(Zxid(E1 + 8)), CommitStatus::Unknown);
}

#[test]
fn of_the_last_epoch_a_majority_decides_and_a_snapshot_proves() {
    let short = member_history(&[(E1 + 1, E1 + 5)], &[]);
    let long = member_history(&[(E1 + 1, E1 + 7)], &[]);
    let history = decide(&[short.clone(), short.clone(), long.clone()], None);
    assert_eq!(history.unknown(), [ZxidRange { first: Zxid(E1 + 6), last: Zxid(E1 + 7) }]);
    assert_eq!(decide(&[short.clone(), long.clone(), long], None).unknown(), []);
    let proven = member_history(&[(E1 + 1, E1 + 7)], &[E1 + 7]);
    assert_eq!(decide(&[short.clone(), short.clone(), proven], None).unknown(), []);
    // Two of five are no majority.
    assert_eq!(decide(&[short.clone(), short], Some(5)).commit_status(Zxid(E1 + 1)), CommitStatus::Unknown);
}

#[test]
fn one_log_alone_does_not_know_whether_its_end_was_committed() {
    let history = decide(&[member_history(&[(E1 + 1, E1 + 5), (E2 + 1, E2 + 2)], &[])], None);
    assert_eq!(history.commit_status(Zxid(E1 + 5)), CommitStatus::Committed);
    assert_eq!(history.unknown(), [ZxidRange { first: Zxid(E2 + 1), last: Zxid(E2 + 2) }]);
}
