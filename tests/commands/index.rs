//! `menagerie index`: built, asked, and refused.

use super::*;

struct IndexFolder {
    folder: tempfile::TempDir,
}

impl IndexFolder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn index(&self) -> String {
        self.folder.path().join("test.index").to_str().unwrap().to_owned()
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn world() -> World {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 5).log(E1 + 6..=E1 + 9);
    world
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut contents: Vec<_> = files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    contents.sort();
    contents
}

#[test]
fn a_history_is_told_with_time_session_and_data_and_the_logs_stay_as_they_are() {
    let (world, folder) = (world(), IndexFolder::new());
    let before = contents(&world.folder.path().join("version-2"));
    let (code, lines) = json(&["index", "build", world.path(), "--index", &folder.index()]);
    assert_eq!((code, &lines[0]["transactions"], &lines[0]["entries"]), (0, &9.into(), &9.into()));
    let output = run(&["index", "history", "/n100000003", "--index", &folder.index()]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "/n100000003: 1 change",
            "2023-11-14T22:13:23.000Z  0x100000003  0x1001  created \"some data\" world:anyone:cdrwa",
            "session 0x1001: opened before these logs, or the server itself, not closed in these logs",
        ]
    );
    let (code, lines) = json(&["index", "history", "/n100000003", "--index", &folder.index()]);
    assert_eq!((code, lines.len()), (0, 1));
    assert_eq!((&lines[0]["was"], &lines[0]["after"]["data"]), (&"absent".into(), &"some data".into()));
    let log = fs::read(lines[0]["after"]["log"].as_str().unwrap()).unwrap();
    let offset = usize::try_from(lines[0]["after"]["offset"].as_u64().unwrap()).unwrap();
    assert_eq!(&log[offset..offset + 9], b"some data");
    assert_eq!(contents(&world.folder.path().join("version-2")), before);
}

#[test]
fn a_search_is_narrowed_by_zxid_time_and_kind_and_says_when_there_is_more() {
    let (world, folder) = (world(), IndexFolder::new());
    run(&["index", "build", world.path(), "--index", &folder.index()]);
    let found = |arguments: &[&str]| {
        let (code, lines) = json(&[&["index", "search", "--index", &folder.index()], arguments].concat());
        assert_eq!(code, 0, "{arguments:?}");
        lines.iter().map(|line| line["path"].as_str().unwrap()[2..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["--limit", "2"]), ["100000009", "100000008"]);
    assert_eq!(found(&["--from", "0x100000005", "--to", "0x100000006", "--oldest-first"]), ["100000005", "100000006"]);
    assert_eq!(
        found(&["--since", "2023-11-14T22:13:22Z", "--until", "2023-11-14T22:13:24Z"]),
        ["100000003", "100000002"]
    );
    assert_eq!(found(&["--subtree", "/", "--kind", "created", "--session", "0x1001"]).len(), 9);
    assert!(found(&["--kind", "deleted"]).is_empty() && found(&["--session", "7"]).is_empty());
    let output = run(&["index", "search", "--index", &folder.index(), "--limit", "4"]);
    assert!(text(&output.stderr).contains("there are more: --to 0x100000006"), "{output:?}");
}

#[test]
fn damage_exits_with_1_and_what_is_good_is_indexed() {
    let (world, folder) = (world(), IndexFolder::new());
    world.edit("log.100000001", |bytes| bytes[60] ^= 1);
    let (code, lines) = json(&["index", "build", world.path(), "--index", &folder.index()]);
    assert_eq!((code, &lines[0]["finding"], &lines[1]["transactions"]), (1, &"checksum".into(), &8.into()));
}

#[test]
fn what_cannot_be_built_or_asked_is_one_line_and_exits_with_2() {
    let (world, folder) = (world(), IndexFolder::new());
    let refused = |arguments: &[&str], expected: &str| {
        let output = run(arguments);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    };
    let index = folder.index();
    refused(&["index", "history", "/a", "--index", &index], "there is no index: make it with `menagerie index build`");
    refused(&["index", "build", "/nowhere", "--index", &index], "no such file or folder");
    let inside = world.file("test.index");
    refused(&["index", "build", world.path(), "--index", inside.to_str().unwrap()], "ZooKeeper's own folder");
    assert!(folder.files().is_empty());
    run(&["index", "build", world.path(), "--index", &index]);
    fs::remove_file(world.file("log.100000006")).unwrap();
    refused(&["index", "history", "/n100000007", "--index", &index], "log.100000006: ");
    fs::write(&index, vec![7; 9000]).unwrap();
    refused(&["index", "history", "/a", "--index", &index], "not an index of this release");
    refused(&["index", "build", world.path(), "--index", &index], "not an index of this release");
}

/// An index has more than 40 KiB.
fn cramped_build(world: &World, index: &str) -> Output {
    cramped(40, &["index", "build", world.path(), "--index", index])
}

#[test]
fn a_build_that_fails_half_way_leaves_what_was_there_before() {
    let (mut world, folder) = (world(), IndexFolder::new());
    let index = folder.index();
    let output = cramped_build(&world, &index);
    assert_eq!((output.status.code(), text(&output.stderr).lines().count()), (Some(2), 1), "{output:?}");
    assert!(folder.files().is_empty(), "{:?}", folder.files());
    run(&["index", "build", world.path(), "--index", &index]);
    let whole = fs::read(&index).unwrap();
    world.log(E1 + 10..=E1 + 11);
    let output = run(&["index", "history", "/n100000009", "--index", &index]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(cramped_build(&world, &index).status.code(), Some(2));
    assert_eq!((fs::read(&index).unwrap() == whole, folder.files()), (true, vec!["test.index".to_owned()]));
}

/// A majority in one epoch: what they have in common is committed.
fn in_epoch_2(members: &[&World]) {
    for file in members.iter().flat_map(|member| ["currentEpoch", "acceptedEpoch"].map(|name| member.file(name))) {
        fs::write(file, "2").unwrap();
    }
}

/// A leader whose last two transactions nobody else has, and which then got a snapshot and went on; and a follower.
fn parted() -> (World, World) {
    let (mut leader, mut follower) = (World::new(), World::new());
    for world in [&mut leader, &mut follower] {
        world.log(E1 + 1..=E1 + 3).set(E1 + 4, "/n100000002", b"kept");
    }
    leader.set(E1 + 5, "/n100000002", b"lost").set(E1 + 6, "/n100000002", b"lost too");
    fs::write(leader.file("snapshot.200000000"), follower.tree.write(Vec::new()).unwrap()).unwrap();
    follower.set(E2 + 1, "/n100000002", b"new").log([E2 + 2]);
    for log in ["log.200000001", "log.200000002"] {
        fs::copy(follower.file(log), leader.file(log)).unwrap();
    }
    in_epoch_2(&[&leader, &follower]);
    (leader, follower)
}

#[test]
fn what_was_never_committed_is_marked_and_what_came_after_begins_without_it() {
    let ((leader, follower), folder) = (parted(), IndexFolder::new());
    let build = ["index", "build", leader.path(), "--index", &folder.index(), "--others", follower.path()];
    let (code, lines) = json(&build);
    assert_eq!((code, &lines[0]["finding"]), (0, &"never-committed".into()));
    assert!(lines[0]["text"].as_str().unwrap().contains("0x100000005 to 0x100000006"), "{lines:?}");
    let output = run(&["index", "history", "/n100000002", "--index", &folder.index()]);
    let told = text(&output.stdout);
    let changes: Vec<_> = told.lines().skip(1).filter_map(|line| line.split("0x1001  ").nth(1)).collect();
    assert_eq!(
        changes,
        [
            "created \"some data\" world:anyone:cdrwa",
            "set \"some data\" → \"kept\" version 1",
            // Its leader went on from what it had itself.
            "set \"kept\" → \"lost\" version 2 (never committed)",
            "set \"lost\" → \"lost too\" version 3 (never committed)",
            "set \"kept\" → \"new\" version 2",
        ]
    );
    let (_, lines) = json(&["index", "history", "/n100000002", "--kind", "set", "--index", &folder.index()]);
    let before: Vec<_> = lines.iter().map(|line| line["before"]["data"].as_str().unwrap()).collect();
    assert_eq!(before, ["some data", "kept", "lost", "kept"], "the same where not all was asked for");
    let committed: Vec<_> = lines.iter().map(|line| line.get("committed").cloned()).collect();
    assert_eq!(committed, [None, Some(false.into()), Some(false.into()), None]);
    let (_, lines) = json(&["index", "search", "--path", "/n100000002", "--limit", "2", "--index", &folder.index()]);
    assert_eq!((lines[0].get("committed"), &lines[1]["committed"]), (None, &false.into()));
}

#[test]
fn what_others_told_stays_when_they_are_not_named_again_and_what_is_added_is_unknown() {
    let ((mut leader, follower), folder) = (parted(), IndexFolder::new());
    let index = folder.index();
    let alone = ["index", "build", leader.path(), "--index", &index];
    let committed = |path: &str| {
        let (_, lines) = json(&["index", "search", "--path", path, "--index", &index]);
        lines.into_iter().map(|line| line.get("committed").cloned()).collect::<Vec<_>>()
    };
    run(&alone);
    assert_eq!(committed("/n100000002"), [None, None, None, None, None], "one member does not know");
    let (_, lines) = json(&[&alone[..], &["--others", follower.path()]].concat());
    assert_eq!(lines.last().unwrap()["anew"], "more is known of what was never committed");
    let known = [None, Some(false.into()), Some(false.into()), None, None];
    assert_eq!(committed("/n100000002"), known);
    leader.log([E2 + 3]);
    let (code, lines) = json(&["index", "build", leader.path(), "--index", &index]);
    assert_eq!((code, &lines[0]["finding"], &lines[1]["transactions"]), (0, &"unknown".into(), &1.into()));
    assert_eq!((committed("/n100000002"), committed("/n200000003")), (known.to_vec(), vec![Some("unknown".into())]));
    let told = text(&run(&["index", "history", "/n200000003", "--index", &index]).stdout);
    assert!(told.contains("(committed or not: unknown)"), "{told}");
}

#[test]
fn a_session_that_only_a_lost_leader_ended_lives_on_until_it_is_ended_by_all() {
    let ((mut leader, mut follower), folder) = ((World::new(), World::new()), IndexFolder::new());
    let acl = encode_acls(&[Acl::new(31, "world", "anyone")]);
    for world in [&mut leader, &mut follower] {
        let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
        let (path, lifetime) = (Text(b"/mine"), Lifetime::Ephemeral);
        let create = Create { path, data: None, acl, lifetime, parent_cversion: Some(1), with_stat: false };
        world.log([E1 + 1]).write(E1 + 2, &Txn::Create(create));
        world.close();
    }
    // As before 3.6: the paths that go with it are not named.
    let ends = Txn::CloseSession { paths: None };
    leader.write(E1 + 3, &ends);
    leader.close();
    fs::write(leader.file("snapshot.200000000"), follower.tree.write(Vec::new()).unwrap()).unwrap();
    follower.write(E2 + 1, &ends);
    follower.append(E2 + 2);
    follower.close();
    fs::copy(follower.file("log.200000001"), leader.file("log.200000001")).unwrap();
    in_epoch_2(&[&leader, &follower]);
    run(&["index", "build", leader.path(), "--index", &folder.index(), "--others", follower.path()]);
    let told = text(&run(&["index", "history", "/mine", "--index", &folder.index()]).stdout);
    let changes: Vec<_> = told.lines().skip(1).filter_map(|line| line.split("0x1001").nth(1)).collect();
    assert_eq!(
        changes,
        [
            "  created null ephemeral world:anyone:cdrwa",
            "  ended null → gone (never committed)",
            "  ended null → gone",
            ": opened before these logs, or the server itself, closed 2023-11-14T22:13:21.000Z",
        ]
    );
}

#[test]
fn others_that_cannot_tell_are_refused() {
    let ((leader, follower), folder) = (parted(), IndexFolder::new());
    let index = folder.index();
    let refused = |others: &[&str], expected: &str| {
        let output = run(&[&["index", "build", leader.path(), "--index", &index, "--others"], others].concat());
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{others:?}: {error}");
        assert!(error.contains(expected), "{others:?}: {error}");
    };
    refused(&[leader.path()], "is named twice");
    refused(&[follower.path(), follower.path()], "is named twice");
    refused(&[follower.file("log.100000001").to_str().unwrap()], "name the member's whole folder");
    refused(&["/nowhere"], "no such file or folder");
    let inside = follower.file("test.index");
    let output =
        run(&["index", "build", leader.path(), "--index", inside.to_str().unwrap(), "--others", follower.path()]);
    assert!(text(&output.stderr).contains("ZooKeeper's own folder") && !inside.exists(), "{output:?}");
    follower.edit("log.200000001", |bytes| bytes[60] ^= 1);
    refused(&[follower.path()], "leave this member out");
    assert!(folder.files().is_empty());
    let stranger = World::new();
    let header = Header { session: SessionId(0x2002), cxid: 9, zxid: Zxid(E1 + 1), time: 5 };
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
    fs::write(stranger.file("log.100000001"), log.into_inner()).unwrap();
    refused(&[stranger.path()], "they are of two ensembles");
}
