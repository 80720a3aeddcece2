//! `menagerie restore` up to where it needs an ensemble; the rest is in `tests/servers`.

use std::collections::BTreeSet;

use menagerie::restore::live::Live;
use menagerie::restore::options::Options;
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::PlanFile;
use menagerie::restore::scope::{Scope, Top};
use menagerie::restore::wanted::{Limits, Wanted};
use zookeeper_files::replay::Tree;
use zookeeper_files::snapshot::{AclTableEntry, OPEN_ACL, SnapshotWriter, SnapshotZnode, Stat, Trailer, ZxidDigest};

use super::*;

/// Nobody listens there.
const SERVER: &str = "127.0.0.1:1";

fn said(arguments: &[&str], code: i32) -> String {
    let output = run(&[&["restore"], arguments].concat());
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    error
}

fn refused(folder: &str, more: &[&str], expected: &str) {
    let error = said(&[&["plan", folder], more].concat(), 2);
    assert!(error.contains(expected), "{more:?}: {error}");
}

#[test]
fn what_cannot_be_planned_is_said_before_any_server_is_asked() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 6).log(E2 + 1..=E2 + 2);
    let at = ["--at", "0x100000005", "--server", SERVER];
    let with = |more: &[&str], expected: &str| refused(world.path(), &[&at, more].concat(), expected);
    with(&[], "no path is named");
    with(&["--path", "app"], "a path begins with /");
    with(&["--path", "/a//b"], "not the path of a znode");
    with(&["--path", "/zookeeper/quota"], "ZooKeeper's own");
    with(&["--path", "/a", "--path", "/b", "--to", "/c"], "one other path for 2 paths");
    with(&["--path", "/nowhere"], "/nowhere: no such znode at 0x100000005");
    with(&["--path", "/", "--existing", "keep-newer"], "--same-ensemble");
    with(&["--path", "/", "--delete-extra"], "only with overwrite");
    with(&["--path", "/", "--newer-than", "0x1"], "goes with --existing keep-newer");
    with(&["--path", "/", "--save", &format!("{}/version-2/plan", world.path())], "ZooKeeper's own folder");
    let here = [&["--path", "/"], &at[2..]].concat();
    let at = |at: &str, expected: &str| refused(world.path(), &[&["--at", at], &here[..]].concat(), expected);
    at("0x100000099", "0x100000099");
    at("2026-11-23T19:52:00", "without its zone: write 2026-11-23T19:52:00Z");
    at("yesterday", "neither a zxid like");
    at("1970-01-01T00:00:00Z", "no transaction at hand is as old");
    refused(
        world.path(),
        &["--at", "0x200000001", "--exclusive", "--path", "/", "--server", SERVER],
        "first transaction of its epoch",
    );
    refused(world.path(), &["--at", "end", "--path", "/", "--server", "zk-0"], "a server is HOST:PORT");
    refused("/nowhere", &["--at", "end", "--path", "/", "--server", SERVER], "no such file or folder");
    assert!(said(&["plan", world.path(), "--path", "/", "--server", SERVER], 2).contains("--at"));
}

#[test]
fn a_transaction_that_cannot_be_undone_is_said_before_any_server_is_asked() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 6).log(E2 + 1..=E2 + 2);
    world.write(E2 + 3, &Txn::CreateSession { timeout: 1 });
    world.close();
    let more = ["--same-ensemble", "--server", SERVER];
    let undo = |zxid: &str, expected: &str| refused(world.path(), &[&["--undo", zxid], &more[..]].concat(), expected);
    undo("0x200000003", "0x200000003 began a session (createSession)");
    undo("0x200000099", "the files end with 0x200000003, before 0x200000099");
    undo(
        "0x100000099",
        "0x100000099 is no transaction of the history, which goes on from 0x100000006 with 0x200000001",
    );
    undo("0x200000000", "0x200000000 is no transaction of the history");
    undo("0x0", "no log at hand has 0x0");
    undo("soon", "invalid value 'soon'");
    // These are there, also the first of the history and of an epoch: only the servers are missing.
    for zxid in ["0x100000001", "0x100000006", "0x200000001", "0x200000002"] {
        undo(zxid, SERVER);
    }
    refused(world.path(), &["--undo", "0x100000002", "--server", SERVER], "--same-ensemble");
    for other in [
        &["--at", "end"][..],
        &["--exclusive"],
        &["--path", "/"],
        &["--znode", "/n100000001"],
        &["--to", "/x"],
        &["--existing", "overwrite"],
        &["--newer-than", "0x1"],
        &["--delete-extra"],
    ] {
        refused(world.path(), &[&["--undo", "0x100000002"], &more[..], other].concat(), "cannot be used with");
    }
}

/// What came before the oldest snapshot was purged.
#[test]
fn a_transaction_before_the_files_cannot_be_undone() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    world.snapshot();
    world.log(E1 + 4..=E1 + 6);
    for purged in ["snapshot.0", "log.100000001"] {
        fs::remove_file(world.file(purged)).unwrap();
    }
    let more = ["--same-ensemble", "--server", SERVER, "--undo"];
    for zxid in ["0x100000002", "0x100000003"] {
        refused(world.path(), &[&more[..], &[zxid]].concat(), "no sound snapshot at or before");
    }
    refused(world.path(), &[&more[..], &["0x100000004"]].concat(), SERVER);
}

/// A server deletes a znode before it counts the transaction: a snapshot that it writes meanwhile lacks the znode, and says that the
/// transaction is still to come. From it alone, the transaction would have changed nothing.
#[test]
fn a_transaction_that_the_only_snapshot_may_hold_already_is_not_undone() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    let digest = world.tree.digest();
    world.write(E1 + 4, &Txn::Delete { path: Text(b"/n100000002"), container: false });
    world.close();
    let tree = &world.tree;
    let walk = tree.walk(b"");
    let acls: BTreeSet<i64> = walk.iter().map(|(_, node)| node.acl()).filter(|acl| *acl != OPEN_ACL).collect();
    let acls = acls.into_iter().map(|key| AclTableEntry { key, acls: tree.acls().get(key).unwrap() });
    let mut snapshot = SnapshotWriter::new(Vec::new(), &[], &acls.collect::<Vec<_>>()).unwrap();
    for (path, node) in walk {
        // Its parent was written before.
        let stat = Stat { pzxid: node.stat().pzxid.min(Zxid(E1 + 3)), ..*node.stat() };
        let znode = SnapshotZnode { path: Text(path), data: node.data(), acl: node.acl(), stat };
        snapshot.znode(&znode).unwrap();
    }
    let (zxid, version) = (Zxid(E1 + 3), 2);
    let trailer = Trailer { digest: Some(ZxidDigest { zxid, version, tree: digest }), last: Some(zxid) };
    fs::write(world.file("snapshot.100000002"), snapshot.finish(&trailer).unwrap()).unwrap();
    world.log(E1 + 5..=E1 + 6);
    let more = ["--same-ensemble", "--server", SERVER, "--undo"];
    let undo = |world: &World, zxid: &str, words: &str| refused(world.path(), &[&more[..], &[zxid]].concat(), words);
    undo(&world, "0x100000005", SERVER);
    fs::remove_file(world.file("snapshot.0")).unwrap();
    undo(&world, "0x100000004", "the snapshot may hold 0x100000004 already, and none before it is at hand");
    undo(&world, "0x100000005", SERVER);
}

#[test]
fn an_ensemble_that_nobody_reaches_is_named_and_no_plan_is_written() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 6);
    let target = tempfile::tempdir().unwrap();
    let plan = target.path().join("plan");
    let plan = plan.to_str().unwrap();
    refused(world.path(), &["--at", "end", "--path", "/", "--server", SERVER, "--save", plan], SERVER);
    assert!(!Path::new(plan).exists());
    fs::write(plan, "{}").unwrap();
    refused(world.path(), &["--at", "end", "--path", "/", "--server", SERVER, "--save", plan], "exists already");
}

#[test]
fn a_file_that_is_no_plan_is_not_carried_out() {
    let target = tempfile::tempdir().unwrap();
    let file = target.path().join("plan");
    let with = |content: &str, expected: &str| {
        fs::write(&file, content).unwrap();
        let error = said(&["apply", file.to_str().unwrap(), "--server", SERVER], 2);
        assert!(error.contains(expected), "{content}: {error}");
    };
    with("", "not a plan of");
    with("{\"version\":5}", "not a plan of");
    for other in [1, 2, 3, 4, 7] {
        let expected = format!("version {other}, and this release reads 5: plan again");
        with(&format!("{{\"version\":{other},\"more\":{{}}}}"), &expected);
    }
    assert!(said(&["apply", "/nowhere", "--server", SERVER], 2).contains("/nowhere"));
}

#[test]
fn a_snapshot_that_reaches_beyond_the_logs_is_no_tree_to_plan_from() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 5);
    let target = tempfile::tempdir().unwrap();
    fs::create_dir(target.path().join("version-2")).unwrap();
    // Begun after the third transaction, done after the fifth, and no log has the last two.
    fs::write(target.path().join("version-2/snapshot.100000003"), world.tree.write(Vec::new()).unwrap()).unwrap();
    let words = ["plan", target.path().to_str().unwrap(), "--at", "end", "--path", "/", "--server", SERVER];
    let refused = said(&words, 1);
    assert!(refused.contains("parts of transactions that no log here has"), "{refused}");
    assert!(said(&[&words[..], &["--unproved"]].concat(), 2).contains(SERVER));
}

/// It planned the tree of the files' end, and said nothing.
#[test]
fn a_time_after_the_end_of_the_files_plans_nothing() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 6);
    let late = format!("@{}", time_of(6) + 1);
    let words = ["plan", world.path(), "--path", "/", "--server", SERVER, "--at"];
    let refused = said(&[&words[..], &[&late]].concat(), 1);
    assert!(
        refused.contains("nothing is planned: the files end with 0x100000006 (2023-11-14T22:13:26.000Z)"),
        "{refused}"
    );
    for there in [&format!("@{}", time_of(6)), "0x100000006", "end"] {
        assert!(said(&[&words[..], &[there]].concat(), 2).contains(SERVER));
    }
}

#[test]
fn only_the_plan_with_the_hash_that_was_approved_is_carried_out() {
    let scope = Scope::new(vec![Top { path: "/".to_owned(), subtree: true }], None).unwrap();
    let wanted = Wanted::of(&Tree::initial(), &scope, Limits::default()).unwrap();
    let options = Options::default();
    let planned = plan(&wanted, &Live::default(), &options).unwrap();
    let hash = planned.hash.to_string();
    let plan = PlanFile::of(wanted, options, planned);
    let target = tempfile::tempdir().unwrap();
    let file = target.path().join("plan");
    fs::write(&file, serde_json::to_vec(&plan).unwrap()).unwrap();
    let with = |hash: &str| said(&["apply", file.to_str().unwrap(), "--server", SERVER, "--hash", hash], 2);
    let other = with(&"0".repeat(64));
    assert!(other.contains(&format!("its hash is {hash}")) && other.contains("another plan"), "{other}");
    assert!(with("abc").contains("64 hexadecimal digits"));
}

#[test]
fn a_password_is_no_option() {
    for command in ["plan", "apply"] {
        let help = text(&run(&["restore", command, "--help"]).stdout);
        assert!(!help.contains("--password") && help.contains("--server"), "{help}");
    }
}
