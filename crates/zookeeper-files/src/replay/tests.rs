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
fn sessions_can_be_ended_without_a_transaction_and_then_nothing_of_them_is_left() {
    let acl = open();
    let mut tree = Tree::initial();
    tree.apply(&header(1), &Txn::CreateSession { timeout: 1000 }).unwrap();
    tree.apply(&header(2), &create("/p", Lifetime::Persistent, &acl, 1)).unwrap();
    tree.apply(&header(3), &create("/e", Lifetime::Ephemeral, &acl, 2)).unwrap();
    tree.apply(&header(4), &create("/t", Lifetime::Ttl(1000), &acl, 3)).unwrap();
    assert_eq!(tree.end_sessions(), 1);
    assert!(tree.sessions().next().is_none() && tree.get(b"/e").is_none());
    assert!(tree.get(b"/p").is_some() && tree.get(b"/t").is_some() && tree.last() == Zxid(4));
    let written = tree.write(Vec::new()).unwrap();
    let read = Tree::of_snapshot(&mut SnapshotReader::new(&written[..]).unwrap()).unwrap();
    assert_eq!((read.digest(), read.sessions().count()), (tree.digest(), 0));
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

/// A member with these transactions and snapshots, besides the one that it began with, which is in the epoch of its last
/// transaction.
fn member_history(ranges: &[(u64, u64)], snapshots: &[u64]) -> MemberHistory {
    let snapshots = snapshots.iter().chain([&0]).map(|&zxid| Zxid(zxid));
    let epoch = ranges.last().map(|(_, last)| Zxid(*last).epoch());
    let mut member_history = MemberHistory::of(snapshots, epoch);
    for zxid in ranges.iter().flat_map(|&(first, last)| first..=last) {
        member_history.add(Zxid(zxid));
    }
    member_history
}

fn in_epoch(member_history: &MemberHistory, epoch: Option<u64>) -> MemberHistory {
    let mut in_epoch = member_history.clone();
    in_epoch.epoch = epoch;
    in_epoch
}

const E1: u64 = 1 << 32;
const E2: u64 = 2 << 32;
const E3: u64 = 3 << 32;

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
fn the_snapshot_of_a_winner_that_never_led_does_not_prove_its_end_committed() {
    // It won an election with two transactions that nobody else has, wrote a snapshot of all it had, and died. The others went on
    // without it; then its log was cut, or not yet.
    let others = member_history(&[(E1 + 1, E1 + 7), (E2 + 1, E2 + 3)], &[E1 + 7]);
    let cut = member_history(&[(E1 + 1, E1 + 7), (E2 + 1, E2 + 3)], &[E1 + 9]);
    let dead = member_history(&[(E1 + 1, E1 + 9)], &[E1 + 9]);
    for winner in [cut.clone(), dead.clone()] {
        let history = decide(&[others.clone(), others.clone(), winner], None);
        let status = [E1 + 7, E1 + 8, E1 + 9, E2 + 3].map(|zxid| history.commit_status(Zxid(zxid)));
        let (yes, never) = (CommitStatus::Committed, CommitStatus::NeverCommitted);
        assert_eq!(status, [yes, never, never, yes]);
    }
    // Alone, neither knows: the snapshot can as well be its leader's, and the log lack what is in it.
    for winner in [cut, dead] {
        assert_eq!(decide(&[winner], None).commit_status(Zxid(E1 + 9)), CommitStatus::Unknown);
    }
    // No log has an epoch of which all was lost; a snapshot still does.
    let cut = member_history(&[(E1 + 1, E1 + 7), (E3 + 1, E3 + 2)], &[E2 + 2]);
    let others = member_history(&[(E1 + 1, E1 + 7), (E3 + 1, E3 + 2)], &[]);
    let history = decide(&[cut, others.clone(), others], None);
    assert_eq!(history.commit_status(Zxid(E2 + 2)), CommitStatus::NeverCommitted);
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
fn a_log_older_than_all_snapshots_of_its_member_proves_nothing() {
    // The snapshot that it got from its leader was purged, and the log before it was kept, as servers do it.
    let mut purged = member_history(&[(E1 + 1, E1 + 9), (E2 + 1, E2 + 6)], &[E2 + 2, E2 + 4, E2 + 6]);
    purged.snapshots.remove(&Zxid(0));
    assert_eq!(decide(&[purged], None).commit_status(Zxid(E1 + 9)), CommitStatus::Unknown);
}

#[test]
fn a_transaction_that_stands_alone_after_a_gap_proves_nothing() {
    // The leader had its log cut after the 7th, which it has in a snapshot: the 8th stays.
    let cut_too_late = member_history(&[(E1 + 1, E1 + 4), (E1 + 8, E1 + 8), (E2 + 1, E2 + 3)], &[E1 + 7]);
    let history = decide(std::slice::from_ref(&cut_too_late), None);
    assert_eq!(history.commit_status(Zxid(E1 + 8)), CommitStatus::Unknown);
    let clean = member_history(&[(E1 + 1, E1 + 7), (E2 + 1, E2 + 3)], &[]);
    let history = decide(&[cut_too_late, clean], None);
    assert_eq!(history.commit_status(Zxid(E1 + 8)), CommitStatus::NeverCommitted);
    // In the last epoch as well.
    let alone = member_history(&[(E1 + 1, E1 + 4), (E1 + 8, E1 + 8)], &[E1 + 7]);
    assert_eq!(decide(&[alone.clone(), alone], None).commit_status(Zxid(E1 + 8)), CommitStatus::Unknown);
    // With two after the gap it was not cut there.
    let whole = member_history(&[(E1 + 1, E1 + 4), (E1 + 8, E1 + 9), (E2 + 1, E2 + 3)], &[E1 + 7]);
    assert_eq!(decide(&[whole], None).commit_status(Zxid(E1 + 9)), CommitStatus::Committed);
}

#[test]
fn a_log_that_lost_the_end_of_an_epoch_does_not_show_where_it_was() {
    let mut damaged = member_history(&[(E1 + 1, E1 + 5), (E2 + 1, E2 + 3)], &[]);
    let longer = member_history(&[(E1 + 1, E1 + 7)], &[]);
    let status = |damaged: &MemberHistory| decide(&[damaged.clone(), longer.clone()], None).commit_status(Zxid(E1 + 7));
    assert_eq!(status(&damaged), CommitStatus::NeverCommitted);
    damaged.lose_after(Some(Zxid(E1 + 3)));
    assert_eq!(status(&damaged), CommitStatus::NeverCommitted, "what is lost before does not matter");
    damaged.lose_after(Some(Zxid(E1 + 5)));
    assert_eq!(status(&damaged), CommitStatus::Unknown);
}

#[test]
fn the_logs_of_one_member_are_one_history_wherever_they_were_rolled() {
    let whole = member_history(&[(E1 + 1, E1 + 5), (E2 + 1, E2 + 3)], &[]);
    for at in [E1 + 3, E1 + 5, E2 + 1] {
        let mut joined = MemberHistory::of(whole.snapshots.clone(), whole.epoch);
        let zxids: Vec<u64> = (E1 + 1..=E1 + 5).chain(E2 + 1..=E2 + 3).collect();
        for later in [false, true] {
            let mut log = MemberHistory::default();
            zxids.iter().filter(|zxid| (**zxid > at) == later).for_each(|&zxid| log.add(Zxid(zxid)));
            joined.append(&log);
        }
        assert_eq!(joined, whole);
    }
    // The beginning of the second is lost: so may be the end of the epoch.
    let (mut first, mut second) = (member_history(&[(E1 + 1, E1 + 5)], &[]), member_history(&[(E2 + 1, E2 + 3)], &[]));
    second.lose_after(None);
    first.append(&second);
    assert_eq!(decide(&[first], None).commit_status(Zxid(E1 + 5)), CommitStatus::Unknown);
}

#[test]
fn of_the_last_epoch_a_majority_decides_and_no_snapshot() {
    let short = member_history(&[(E1 + 1, E1 + 5)], &[]);
    let long = member_history(&[(E1 + 1, E1 + 7)], &[]);
    let open = [ZxidRange { first: Zxid(E1 + 6), last: Zxid(E1 + 7) }];
    let history = decide(&[short.clone(), short.clone(), long.clone()], None);
    assert_eq!(history.unknown(), open);
    assert_eq!(decide(&[short.clone(), long.clone(), long], None).unknown(), []);
    let with_snapshot = member_history(&[(E1 + 1, E1 + 7)], &[E1 + 7]);
    assert_eq!(decide(&[short.clone(), short.clone(), with_snapshot], None).unknown(), open);
    // Two of five are no majority.
    assert_eq!(decide(&[short.clone(), short], Some(5)).commit_status(Zxid(E1 + 1)), CommitStatus::Unknown);
}

#[test]
fn a_majority_that_is_not_in_one_epoch_proves_nothing() {
    // One won an election with the 7th, handed it to a second one, and both died before that one was in the new epoch. A third
    // one has won an election between, without it, and wins the next one.
    let handed = member_history(&[(E1 + 1, E1 + 7)], &[]);
    let winner = in_epoch(&handed, Some(3));
    let third = in_epoch(&member_history(&[(E1 + 1, E1 + 6)], &[]), Some(2));
    let status = |handed: &MemberHistory| {
        decide(&[handed.clone(), winner.clone(), third.clone()], None).commit_status(Zxid(E1 + 7))
    };
    assert_eq!(status(&handed), CommitStatus::Unknown);
    assert_eq!(status(&in_epoch(&handed, None)), CommitStatus::Unknown);
    assert_eq!(status(&in_epoch(&handed, Some(3))), CommitStatus::Committed);
    // What lies in a log below a snapshot of a later epoch, that epoch's leader may never have had.
    let left = member_history(&[(E1 + 1, E1 + 7)], &[E2]);
    let left = in_epoch(&left, Some(2));
    assert_eq!(decide(&[left.clone(), left, third], None).commit_status(Zxid(E1 + 7)), CommitStatus::Unknown);
}

#[test]
fn one_log_alone_does_not_know_whether_its_end_was_committed() {
    let history = decide(&[member_history(&[(E1 + 1, E1 + 5), (E2 + 1, E2 + 2)], &[])], None);
    assert_eq!(history.commit_status(Zxid(E1 + 5)), CommitStatus::Committed);
    assert_eq!(history.unknown(), [ZxidRange { first: Zxid(E2 + 1), last: Zxid(E2 + 2) }]);
}
