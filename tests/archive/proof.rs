//! `menagerie job backup`: how well a point is proved, and what no digest of a server shows.

use std::fs;
use std::process::Command;

use menagerie::archive::backlog::Backlog;
use menagerie::archive::key::{Chain, DiskId};
use menagerie::archive::pins::{self, NamedPin};
use menagerie::archive::retention::Pin;
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::tree_hash::tree_hash;
use menagerie::model::ServerId;
use serde_json::Value;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Acl, Acls, encode_acls};
use zookeeper_files::replay::Tree;
use zookeeper_files::snapshot::{AclTableEntry, SnapshotWriter, SnapshotZnode, Trailer, ZxidDigest};

use super::bases::{self, History, agent, rounds};
use super::shipping::{IDENTITY, Place, at, chain};

/// Its exit code and its report.
fn backup(place: &Place, arguments: &[&str]) -> (Option<i32>, Value) {
    let (report, scratch) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
    let target = place.store().target().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["job", "--report", report.path().to_str().unwrap(), "backup", "--archive", &target])
        .args(["--identity", IDENTITY, "--pin", "p.u", "--at", "0x100000009"])
        .args(["--scratch", scratch.path().to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let said = fs::read_to_string(report.path()).unwrap();
    let words = || panic!("{said}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_str(&said).unwrap_or_else(|_| words()))
}

/// As an earlier pod of the Job has pinned it: a new pin is waited for.
async fn pinned(place: Place) -> Place {
    let point = Pin { from: at(1, 9), to: at(1, 9) };
    pins::keep(&place.store(), IDENTITY, &NamedPin::new("p.u", point, 1_700_000_000_000)).await.unwrap();
    place
}

/// A snapshot of a tree in which `/3` belongs to somebody else. ZooKeeper's digest is the same.
fn taken_over(tree: &Tree) -> Vec<u8> {
    let list = encode_acls(&[Acl::new(31, "digest", "somebody:else")]);
    let acls = [AclTableEntry { key: 1, acls: Acls::decode(&mut Decoder::new(&list)).unwrap() }];
    let mut writer = SnapshotWriter::new(Vec::new(), &[], &acls).unwrap();
    for (path, node) in tree.walk(b"") {
        let acl = if path == b"/3" { 1 } else { node.acl() };
        writer.znode(&SnapshotZnode { path: Text(path), data: node.data(), acl, stat: *node.stat() }).unwrap();
    }
    let digest = ZxidDigest { zxid: tree.last(), version: 2, tree: tree.digest() };
    writer.finish(&Trailer { digest: Some(digest), last: Some(tree.last()) }).unwrap()
}

/// The whole log, and the snapshot of the 5th transaction as a base.
async fn archived(history: &History, spoil: impl FnOnce(&std::path::Path)) -> Place {
    let place = Place::new();
    history.log(&place.data(), 1..=9);
    spoil(&history.snapshot(&place.data(), 5));
    bases::ship(&place).await;
    let mut bases = agent(&place, place.store(), chain());
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 5)), "it is proved by all digests after it");
    pinned(place).await
}

/// What a second member ships.
async fn also_by(place: &Place, history: &History) {
    let other = Chain::of(ServerId(3), DiskId::from_bits(8));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("snapshot.0"), Tree::initial().write(Vec::new()).unwrap()).unwrap();
    history.log(folder.path(), 4..=9);
    let mut shipper = Shipper::resume(place.store(), IDENTITY, other, Backlog::of(folder.path())).await.unwrap();
    while !matches!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Idle | Outcome::Waiting | Outcome::Held(_)) {}
}

#[tokio::test]
async fn a_backup_says_the_hash_of_its_tree_and_by_which_other_way_it_is_the_same() {
    let history = History::of(9, 10);
    let place = archived(&history, |_| ()).await;
    let expected = tree_hash(&history.trees[9]);
    let (code, report) = backup(&place, &[]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["backup"]["treeHash"], expected.text());
    assert_eq!((&report["backup"]["second"], &report["backup"]["noSecond"]), (&Value::Null, &Value::Null));

    let (code, report) = backup(&place, &["--level", "TwoWays"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["backup"]["treeHash"], expected.text());
    assert_eq!(report["backup"]["second"], format!("from the beginning of the log by the log of {} alone", chain()));
    assert_eq!(report["backup"]["znodes"], history.trees[9].len());

    // With the log of another disk, the same base will do where there is no other.
    let (place, history) = bases::archived(10).await;
    let place = pinned(place).await;
    rounds(&mut agent(&place, place.store(), chain()), at(1, 9)).await;
    let (code, report) = backup(&place, &["--level", "TwoWays"]);
    assert_eq!(code, Some(0), "what an archive cannot show is no failure: {report}");
    assert!(report["backup"]["noSecond"].as_str().unwrap().contains("has no other base"), "{report}");
    also_by(&place, &history).await;
    let (code, report) = backup(&place, &["--level", "TwoWays"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["backup"]["second"], "from base 0x100000005 by the log of 3.0000000000000008 alone", "{report}");
}

#[tokio::test]
async fn an_acl_that_is_another_one_in_a_base_is_seen_by_no_digest_and_by_the_second_way() {
    let history = History::of(9, 10);
    let spoil = |path: &std::path::Path| {
        let old = fs::metadata(path).unwrap().modified().unwrap();
        fs::write(path, taken_over(&history.trees[5])).unwrap();
        fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
    };
    let place = archived(&history, spoil).await;
    let (code, report) = backup(&place, &[]);
    assert_eq!(code, Some(0), "every digest is right: {report}");
    assert_ne!(report["backup"]["treeHash"], tree_hash(&history.trees[9]).text());

    let (code, report) = backup(&place, &["--level", "TwoWays"]);
    assert_eq!((code, &report["notProved"]), (Some(1), &true.into()), "{report}");
    let error = report["error"].as_str().unwrap();
    assert!(
        error.contains("than from base 0x100000005 by all logs") && error.ends_with("they differ in /3"),
        "{error}"
    );
    let kept = pins::all(&place.store(), IDENTITY).await.unwrap();
    assert_eq!(kept.len(), 1, "what is in doubt stays where somebody can look at it");
}
