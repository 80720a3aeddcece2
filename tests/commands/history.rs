//! Several members, and points of their history.

use super::*;

fn tree(paths: &[&str], at: &str) -> (i32, Vec<String>) {
    let (code, lines) = json(&[&["snapshot", "tree"], paths, &["--at", at]].concat());
    let shown = lines.iter().map(|line| line["path"].as_str().unwrap().to_owned());
    (code, shown.filter(|path| path.starts_with("/n")).collect())
}

#[test]
fn the_tree_at_a_zxid_and_at_a_time_has_what_was_created_by_then() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    world.snapshot();
    world.log(E1 + 4..=E1 + 6);
    let names = |last: u64| (0, (1..=last).map(|number| format!("/n{:x}", E1 + number)).collect::<Vec<_>>());
    assert_eq!(tree(&[world.path()], "end"), names(6));
    assert_eq!(tree(&[world.path()], "0x100000002"), names(2));
    assert_eq!(tree(&[world.path()], "0x100000004"), names(4));
    assert_eq!(tree(&[world.path()], &format!("@{}", time_of(5))), names(5));
    assert_eq!(tree(&[world.path()], &format!("@{}", time_of(6) - 1)), names(5));
    assert_eq!(tree(&[world.path()], "2023-11-14T22:13:25Z"), names(5));
    assert_eq!(tree(&[world.path()], "0x100000007").0, 2, "it is not there yet");
    for (time, beyond) in [(time_of(5), false), (time_of(6), false), (time_of(6) + 1, true)] {
        let output = run(&["snapshot", "tree", world.path(), "--at", &format!("@{time}")]);
        assert_eq!(output.status.code(), Some(0));
        let note = "the files end with 0x100000006 (2023-11-14T22:13:26.000Z): what belongs before the wanted time";
        assert_eq!(text(&output.stderr).contains(note), beyond, "{}", text(&output.stderr));
    }
    let early = run(&["snapshot", "tree", world.path(), "--at", "@0"]);
    assert_eq!(early.status.code(), Some(2));
    let told = text(&early.stderr);
    assert!(told.contains("as old: the oldest in these logs is 0x100000001 of 2023-11-14T22:13:21.000Z"), "{told}");
}

#[test]
fn what_was_never_committed_is_left_out_and_named() {
    let (mut leader, mut follower) = (World::new(), World::new());
    leader.log(E1 + 1..=E1 + 5);
    follower.log((E1 + 1..=E1 + 3).chain(E2 + 1..=E2 + 2));
    let both = [leader.path(), follower.path()];
    let (code, names) = tree(&both, "end");
    assert_eq!((code, names.len()), (0, 5));
    assert!(!names.contains(&format!("/n{:x}", E1 + 4)), "{names:?}");
    let (code, found) = findings(&both);
    assert!(code == 0 && found.contains(&"never-committed".to_owned()), "{found:?}");
    let (_, lines) = json(&["log", "dump", both[0], both[1]]);
    assert_eq!(lines.len(), 5);
    // Alone, the dead leader's files do not know.
    assert_eq!(tree(&both[..1], "end").1.len(), 5);
    let output = run(&["snapshot", "tree", leader.path()]);
    assert!(text(&output.stderr).contains("one member's files do not tell"), "{}", text(&output.stderr));
}

#[test]
fn transactions_that_are_missing_stop_the_replay_and_another_member_may_have_them() {
    let (mut one, mut other) = (World::new(), World::new());
    one.log(E1 + 1..=E1 + 3).log(E1 + 4..=E1 + 6).log(E1 + 7..=E1 + 9);
    other.log(E1 + 1..=E1 + 9);
    fs::remove_file(one.file("log.100000004")).unwrap();
    let output = run(&["snapshot", "tree", one.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("missing between 0x100000003 and 0x100000007"), "{}", text(&output.stderr));
    assert_eq!(tree(&[one.path()], "0x100000003").0, 0);
    assert_eq!(tree(&[one.path(), other.path()], "end").1.len(), 9);
}

#[test]
fn members_of_two_ensembles_are_refused() {
    let (mut one, mut other) = (World::new(), World::new());
    one.log(E1 + 1..=E1 + 3);
    other.append(E1 + 1);
    other.close();
    let header = Header { session: SessionId(0x2002), cxid: 9, zxid: Zxid(E1 + 1), time: 5 };
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
    fs::write(other.file("log.100000001"), log.into_inner()).unwrap();
    for command in [&["snapshot", "tree"][..], &["log", "verify"], &["log", "dump"]] {
        let output = run(&[command, &[one.path(), other.path()]].concat());
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(text(&output.stderr).contains("they are of two ensembles"), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
}

#[test]
fn a_written_snapshot_is_the_tree_at_its_point_and_is_never_written_over() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 6);
    let to = tempfile::tempdir().unwrap();
    let to = to.path().to_str().unwrap();
    let write = || run(&["snapshot", "write", world.path(), "--at", "0x100000004", "--to", to]);
    assert_eq!(write().status.code(), Some(0));
    let written = format!("{to}/version-2/snapshot.100000004");
    assert_eq!(run(&["snapshot", "verify", &written]).status.code(), Some(0));
    let (code, lines) = json(&["snapshot", "diff", world.path(), "--from", "0x100000004", "--to", "end"]);
    let created = lines.iter().filter(|line| line["difference"] == "created").count();
    assert_eq!((code, created), (0, 2));
    assert_eq!(tree(&[&written], "end").1.len(), 4);
    let again = write();
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("already exists"), "{}", text(&again.stderr));
    assert_eq!(fs::read_dir(format!("{to}/version-2")).unwrap().count(), 3, "nothing half-written is left");
}

#[test]
fn members_that_differ_in_one_transaction_alone_are_refused_too() {
    let (mut one, mut other) = (World::new(), World::new());
    one.log(E1 + 1..=E1 + 3);
    other.append(E1 + 1);
    let (_, log) = other.log.as_mut().unwrap();
    let header = Header { session: SessionId(0x2002), cxid: 9, zxid: Zxid(E1 + 2), time: 5 };
    log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
    other.close();
    let output = run(&["snapshot", "tree", one.path(), other.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("different transactions 0x100000002"), "{}", text(&output.stderr));
}

#[test]
fn a_snapshot_that_finds_no_room_is_not_left_half_written() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 300);
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    let arguments = ["snapshot", "write", world.path(), "--to", to];
    let output = cramped(8, &arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.lines().last().unwrap().contains("version-2/snapshot.10000012c"), "{error}");
    let left = || fs::read_dir(target.path().join("version-2")).unwrap().count();
    assert_eq!(left(), 0);
    assert_eq!((run(&arguments).status.code(), left()), (Some(0), 3));
}

#[test]
fn a_snapshot_that_holds_later_transactions_is_no_base_for_a_point_before_them() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 5);
    // Begun after the third transaction, done after the fifth.
    fs::write(world.file("snapshot.100000003"), world.tree.write(Vec::new()).unwrap()).unwrap();
    world.log(E1 + 6..=E1 + 7);
    assert_eq!(tree(&[world.path()], "0x100000004").1.len(), 4);
    assert_eq!(
        tree(&[world.path()], "0x100000006"),
        (0, (1..=6).map(|number| format!("/n{:x}", E1 + number)).collect())
    );
    fs::remove_file(world.file("snapshot.0")).unwrap();
    let output = run(&["snapshot", "tree", world.path(), "--at", "0x100000004"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("holds some transactions up to 0x100000005"), "{}", text(&output.stderr));
}

#[test]
fn two_snapshots_are_compared_with_what_stood_in_each_and_how_many_children_it_has() {
    let (mut one, mut other) = (World::new(), World::new());
    one.log(E1 + 1..=E1 + 4);
    other.log(E1 + 1..=E1 + 3).set(E1 + 4, "/n100000002", b"other").log([E1 + 5, E1 + 6]);
    one.snapshot();
    other.snapshot();
    let (one, other) = (one.file("snapshot.100000004"), other.file("snapshot.100000006"));
    let (code, lines) = json(&["snapshot", "diff", one.to_str().unwrap(), other.to_str().unwrap()]);
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            let side = if line["after"].is_null() { &line["before"] } else { &line["after"] };
            (line["difference"].as_str().unwrap(), side["path"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("stat", "/"),
        ("data", "/n100000002"),
        ("deleted", "/n100000004"),
        ("created", "/n100000005"),
        ("created", "/n100000006"),
    ];
    assert_eq!((code, told), (0, expected.to_vec()));
    let (before, after) = (&lines[1]["before"]["data"], &lines[1]["after"]["data"]);
    assert_eq!((before.as_str(), after.as_str()), (Some("some data"), Some("other")));
    // Where neither data nor ACL differ, two lines would look the same.
    let human = run(&["snapshot", "diff", one.to_str().unwrap(), other.to_str().unwrap()]);
    let human: Vec<String> = text(&human.stdout).lines().map(str::to_owned).collect();
    assert_eq!(human[0], "stat      /");
    for words in ["children 5 → 6", "cversion 4 → 5", "pzxid 0x100000004 → 0x100000006"] {
        assert!(human[1].contains(words), "{words}: {}", human[1]);
    }
    assert!(human[2].starts_with("data ") && !human[1].contains("mzxid"), "{human:?}");
    let children = |side: &str| lines[0][side]["children"].as_u64();
    assert_eq!((children("before"), children("after")), (Some(5), Some(6)));
}
