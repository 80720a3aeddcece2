//! Snapshots that hold what was never committed, and what is made of them.

use zookeeper_files::replay::Replay;
use zookeeper_files::snapshot::SnapshotReader;

use super::*;

/// Three members that go on in epoch 2 after the third transaction. The last one had won an election with two more, and wrote a
/// snapshot of them; its log was cut, and it wrote its tree, which it did not cut, under the name of the third. The two set an
/// ACL, which leaves no zxid in the znode.
fn members() -> [World; 3] {
    let mut members = [World::new(), World::new(), World::new()];
    let [.., winner] = &mut members;
    winner.log(E1 + 1..=E1 + 3);
    for version in 1..=2 {
        let acl = encode_acls(&[Acl::new(version, "digest", "a:b")]);
        let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
        let zxid = E1 + 3 + u64::try_from(version).unwrap();
        winner.write(zxid, &Txn::SetAcl { path: Text(b"/n100000001"), acl, version });
        winner.close();
        fs::remove_file(winner.file(&format!("log.{zxid:x}"))).unwrap();
    }
    winner.snapshot();
    let written = fs::read(winner.file("snapshot.100000005")).unwrap();
    let cut = Replay::of_snapshot(&mut SnapshotReader::new(&written[..]).unwrap(), Zxid(E1 + 3)).unwrap();
    fs::write(winner.file("snapshot.100000003"), cut.into_tree().write(Vec::new()).unwrap()).unwrap();
    let [one, two, winner] = &mut members;
    for world in [&mut *one, two] {
        world.log(E1 + 1..=E1 + 3);
        world.snapshot();
        world.log(E2 + 1..=E2 + 3);
    }
    fs::copy(one.file("log.200000001"), winner.file("log.200000001")).unwrap();
    settle(&winner.file("log.200000001"));
    members
}

fn paths(members: &[World; 3]) -> [&str; 3] {
    members.each_ref().map(World::path)
}

/// The znodes, with a `!` after one whose ACL was set.
fn names(arguments: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let output = run(&[&["snapshot", "tree"], arguments, &["--output", "json"]].concat());
    let mut names = Vec::new();
    for line in text(&output.stdout).lines() {
        let znode: Value = serde_json::from_str(line).unwrap();
        let path = znode["path"].as_str().unwrap();
        let set = if znode["acl"][0] == "world:anyone:cdrwa" { "" } else { "!" };
        names.extend(path.starts_with("/n").then(|| format!("{path}{set}")));
    }
    (output.status.code(), names, text(&output.stderr))
}

fn of(zxids: impl IntoIterator<Item = u64>) -> Vec<String> {
    zxids.into_iter().map(|zxid| format!("/n{zxid:x}")).collect()
}

#[test]
fn a_snapshot_named_after_what_was_never_committed_is_dirty_and_no_tree_starts_from_it() {
    let members = members();
    let [one, two, winner] = paths(&members);
    for order in [[one, two, winner], [winner, one, two], [two, winner, one]] {
        let (code, lines, said) = names(&order);
        assert_eq!((code, lines), (Some(0), of((E1 + 1..=E1 + 3).chain(E2 + 1..=E2 + 3))), "{said}");
        assert!(said.contains("snapshot.100000005: it holds transactions that were never committed"), "{said}");
        assert_eq!(names(&[&order[..], &["--at", "0x100000003"]].concat()).1, of(E1 + 1..=E1 + 3));
    }
    let (code, lines) = json(&["log", "verify", one, two, winner]);
    let dirty: Vec<_> = lines.iter().filter(|line| line["finding"] == "dirty-snapshot").collect();
    assert_eq!((code, dirty.len()), (1, 1), "{lines:?}");
    assert!(dirty[0]["file"].as_str().unwrap().ends_with("snapshot.100000005") && dirty[0]["severity"] == "damage");
    let said = dirty[0]["text"].as_str().unwrap();
    assert!(said.contains("after 0x100000003 up to 0x100000005 that were never committed"), "{said}");
    assert!(lines.iter().all(|line| line["finding"] != "unknown" || line["text"].as_str().unwrap().contains("0x2")));
}

#[test]
fn a_dirty_snapshot_below_a_newer_one_is_a_notice() {
    let members = members();
    let [one, two, winner] = paths(&members);
    fs::write(members[2].file("snapshot.200000003"), members[0].tree.write(Vec::new()).unwrap()).unwrap();
    let (code, lines) = json(&["log", "verify", one, two, winner]);
    let dirty: Vec<_> = lines.iter().filter(|line| line["finding"] == "dirty-snapshot").collect();
    assert_eq!((code, dirty.len()), (0, 1), "{lines:?}");
    assert!(dirty[0]["severity"] == "notice" && dirty[0]["text"].as_str().unwrap().ends_with("--replay tells"));
    assert_eq!(json(&["log", "verify", one, two, winner, "--replay"]).0, 0, "the newer one is clean");
}

#[test]
fn a_snapshot_that_the_next_digest_contradicts_is_passed_over_also_at_its_own_point() {
    let members = members();
    let [.., winner] = paths(&members);
    // Its own files alone: the digests of the later leader show it.
    let (code, lines, said) = names(&[winner]);
    assert_eq!((code, lines), (Some(0), of((E1 + 1..=E1 + 3).chain(E2 + 1..=E2 + 3))), "{said}");
    assert!(said.contains("snapshot.100000005: it is not what the servers had"), "{said}");
    let (code, lines, said) = names(&[winner, "--at", "0x100000003"]);
    assert_eq!((code, lines), (Some(0), of(E1 + 1..=E1 + 3)), "{said}");
    assert!(said.contains("snapshot.100000003: it is not what the servers had"), "{said}");
    // What its server has is another matter.
    let (code, lines) = json(&["log", "verify", winner, "--replay"]);
    let wrong: Vec<_> = lines.iter().filter(|line| line["finding"] == "digest").collect();
    assert_eq!((code, wrong.len()), (1, 1), "{lines:?}");
    assert!(wrong[0]["file"].as_str().unwrap().ends_with("snapshot.100000005"), "{wrong:?}");
}

#[test]
fn a_snapshot_of_a_suspect_that_no_digest_clears_is_written_out_only_by_who_insists() {
    let members = members();
    let [one, two, winner] = paths(&members);
    // Epoch 2 as releases before 3.6 log it, and no other snapshot that can be read.
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    for zxid in E2 + 1..=E2 + 3 {
        let header = Header { session: SessionId(0x2002), cxid: 0, zxid: Zxid(zxid), time: 5 };
        log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
    }
    let log = log.into_inner();
    for world in &members {
        world.edit("log.200000001", |bytes| bytes.clone_from(&log));
        world.edit("snapshot.0", |bytes| bytes.truncate(30));
    }
    members[..2].iter().for_each(|world| world.edit("snapshot.100000003", |bytes| bytes.truncate(30)));
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let write = ["snapshot", "write", one, two, winner, "--at", "0x100000003", "--to", to];
    let output = run(&write);
    let said = text(&output.stderr);
    assert!(said.contains("snapshot.100000003: its member has a snapshot of what was never committed"), "{said}");
    assert_eq!((output.status.code(), target.path().join("version-2").exists()), (Some(1), false), "{said}");
    assert_eq!(run(&[&write[..], &["--unproved"]].concat()).status.code(), Some(0));
}
