//! Folders on which we once said something else than ZooKeeper 3.9.5 does when it starts; `tests/files` starts real servers
//! on all of them.

use super::*;

/// A case of `tests/fixtures/cases`, unpacked, and as old as what nobody writes to.
fn case(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name);
    unpack(&packed, folder.path());
    folder
}

fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            unpack(&path, &to.join(name));
            continue;
        }
        let to = to.join(name.strip_suffix(".gz").unwrap());
        let mut file = fs::File::create(&to).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(fs::File::open(&path).unwrap()), &mut file).unwrap();
        settle(&to);
    }
}

/// Exit code, and each finding with what a server does at its start.
fn said(name: &str, command: &[&str]) -> (i32, Vec<(String, String)>) {
    let folder = case(name);
    let (code, lines) = json(&[command, &[folder.path().to_str().unwrap()]].concat());
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let findings = lines.iter().filter(|line| line["finding"].is_string() && line["member"] != "replay");
    (code, findings.map(|line| (text(line, "finding"), text(line, "atStart"))).collect())
}

fn expect(name: &str, code: i32, findings: &[(&str, &str)]) {
    let owned: Vec<_> = findings.iter().map(|(name, start)| ((*name).to_owned(), (*start).to_owned())).collect();
    assert_eq!(said(name, &["log", "verify"]), (code, owned.clone()), "{name}");
    assert_eq!(said(name, &["log", "verify", "--replay"]), (code, owned), "{name} with --replay");
}

#[test]
fn case_digest_race_a_snapshot_that_holds_the_next_transaction_is_sound() {
    expect("digest-race", 0, &[]);
    expect("real-digest-race", 0, &[]);
    for (name, zxid) in [("digest-race", "0x6"), ("real-digest-race", "0x1000008dd")] {
        let folder = case(name);
        let output = run(&["snapshot", "tree", folder.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(&format!("the tree at {zxid},")), "{}", text(&output.stderr));
        assert_eq!(said(name, &["snapshot", "verify"]), (0, vec![]), "{name}");
    }
}

#[test]
fn case_damage_pad_7_zeros_that_are_too_short_for_a_record_are_the_end() {
    expect("damage-pad-7", 0, &[]);
}

#[test]
fn case_stray_snapshot_tmp_what_a_server_passes_by_is_no_damage() {
    expect("stray-snapshot-tmp-partial", 0, &[("stray", "harmless")]);
}

#[test]
fn case_gap_cover_purged_what_a_later_snapshot_covers_is_no_damage_to_any_command() {
    expect("gap-cover-purged", 0, &[("gap", "harmless")]);
    expect("real-gap-cover-purged", 0, &[("gap", "harmless")]);
    for name in ["gap-cover-purged", "real-gap-cover-purged", "old-log-gap"] {
        let folder = case(name);
        let path = folder.path().to_str().unwrap();
        for command in [&["log", "dump"][..], &["log", "stat"], &["log", "tail", "-n", "1000"]] {
            let output = run(&[command, &[path]].concat());
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name}: {command:?}: {error}");
            assert!(error.contains("notice: ") && !error.contains("damage: "), "{name}: {command:?}: {error}");
        }
        let place = tempfile::tempdir().unwrap();
        let index = place.path().join("index");
        let output = run(&["index", "build", path, "--index", index.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stdout));
    }
}

#[test]
fn case_old_log_gap_is_the_same_notice_to_dump_and_verify() {
    expect("old-log-gap", 0, &[("gap", "harmless")]);
}

#[test]
fn case_no_snapshot_at_all_is_damage_on_which_no_server_starts() {
    expect("no-snapshot-at-all", 1, &[("no-snapshot", "refuses")]);
}

#[test]
fn case_damage_length_a_length_past_the_end_drops_what_follows() {
    expect("damage-length-1m1", 1, &[("length", "drops-in-silence")]);
}

#[test]
fn case_damage_gap_first_right_behind_the_snapshot_a_server_loses_in_silence() {
    expect("damage-gap-first", 1, &[("renamed", ""), ("missing", "drops-in-silence")]);
}

#[test]
fn case_zero_newest_log_does_not_hide_the_good_ones() {
    expect("zero-newest-log", 1, &[("magic", "refuses")]);
    let folder = case("zero-newest-log");
    let path = folder.path().to_str().unwrap();
    assert_eq!(json(&["log", "dump", path]).1.len(), 12);
    let (code, lines) = json(&["log", "stat", path]);
    assert_eq!((code, lines[0]["transactions"].as_u64()), (1, Some(12)));
    let output = run(&["log", "tail", path, "-n", "3"]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(1), 3));
}

#[test]
fn case_zero_newest_snapshot_the_tree_falls_back_as_a_server_does() {
    expect("zero-newest-snapshot", 1, &[("magic", "harmless")]);
    let folder = case("zero-newest-snapshot");
    let output = run(&["snapshot", "tree", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the tree at 0x16,"), "{}", text(&output.stderr));
}

#[test]
fn case_ttl_353_a_ttl_of_3_5_3_is_one() {
    let folder = case("ttl-353");
    let (_, lines) = json(&["snapshot", "tree", folder.path().to_str().unwrap()]);
    let count = |lifetime: &str| lines.iter().filter(|line| line["lifetime"] == lifetime).count();
    assert!(count("ttl") > 0, "{lines:?}");
    assert_eq!(count("ephemeral"), 0, "{lines:?}");
}

#[test]
fn case_escapes_no_path_tells_a_terminal_anything() {
    let folder = case("escapes");
    let path = folder.path().to_str().unwrap();
    for command in [&["log", "stat"][..], &["log", "dump"], &["log", "tail"], &["snapshot", "tree"], &["log", "verify"]]
    {
        let output = run(&[command, &[path]].concat());
        let shown = [output.stdout, output.stderr].concat();
        let raw = shown.iter().any(|&byte| byte.is_ascii_control() && byte != b'\n');
        assert!(!raw, "{command:?}: {}", text(&shown).escape_debug());
    }
}

#[test]
fn a_split_members_data_folder_alone_is_not_called_sound() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    world.snapshot();
    fs::remove_file(world.file("log.100000001")).unwrap();
    for command in [["log", "verify"], ["log", "dump"], ["log", "stat"]] {
        let output = run(&[command[0], command[1], world.path()]);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(text(&output.stderr).contains("DATA,LOG"), "{}", text(&output.stderr));
    }
    let output = run(&["snapshot", "tree", world.path()]);
    assert!(text(&output.stderr).contains("there is no log here"), "{}", text(&output.stderr));
    assert_eq!(run(&["snapshot", "verify", world.path()]).status.code(), Some(0));
}

#[test]
fn a_record_that_no_server_reads_back_is_found_unless_the_limit_was_raised() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 2);
    let session = SessionId(0x1001);
    let header = Header { session, cxid: 9, zxid: Zxid(E1 + 3), time: 5 };
    let paths: Vec<String> = (0..120_000).map(|number| format!("/ephemerals/number-{number}")).collect();
    let paths = zookeeper_files::log::encode_paths(paths.iter().map(String::as_bytes));
    let paths = zookeeper_files::log::Paths::decode(&mut Decoder::new(&paths)).ok();
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    log.append(header, &Txn::CloseSession { paths }, None).unwrap();
    fs::write(world.file("log.100000003"), log.into_inner()).unwrap();
    let (code, lines) = json(&["log", "verify", world.path()]);
    assert_eq!(
        (code, lines[0]["finding"].as_str(), lines[0]["atStart"].as_str()),
        (1, Some("too-long"), Some("refuses"))
    );
    // What decides it, and what members of this operator have.
    let words = lines[0]["text"].as_str().unwrap();
    for name in ["jute.maxbuffer", "jute.maxbuffer.extrasize", "--max-record 68157439"] {
        assert!(words.contains(name), "{words}");
    }
    assert_eq!(json(&["log", "verify", world.path(), "--max-record", "4M"]).0, 0);
    assert_eq!(json(&["log", "dump", world.path(), "--max-record", "1M"]).0, 1);
}

#[test]
fn a_record_beyond_16_mib_is_read_if_that_is_allowed() {
    let world = World::new();
    let header = Header { session: SessionId(1), cxid: 1, zxid: Zxid(1), time: 5 };
    let data = vec![b'x'; 17 << 20];
    let set = Txn::SetData { path: Text(b"/zookeeper"), data: Some(&data), version: 1, reconfig: false };
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    log.append(header, &set, None).unwrap();
    fs::write(world.file("log.1"), log.into_inner()).unwrap();
    settle(&world.file("log.1"));
    let (code, lines) = json(&["log", "verify", world.path()]);
    let words = lines[0]["text"].as_str().unwrap();
    assert!(code == 1 && words.contains("impossible length") && words.contains("--max-record"), "{words}");
    assert_eq!(json(&["log", "dump", world.path()]).0, 1);
    let (code, lines) = json(&["log", "dump", world.path(), "--max-record", "32M"]);
    assert_eq!((code, lines.len()), (0, 1));
    let cat = run(&["snapshot", "cat", world.path(), "--path", "/zookeeper", "--max-record", "32M"]);
    assert_eq!((cat.status.code(), cat.stdout.len()), (Some(0), data.len()));
    let place = tempfile::tempdir().unwrap();
    let index = place.path().join("index");
    let index = index.to_str().unwrap();
    assert_eq!(run(&["index", "build", world.path(), "--index", index]).status.code(), Some(1));
    fs::remove_file(index).unwrap();
    let built = run(&["index", "build", world.path(), "--index", index, "--max-record", "32M"]);
    assert_eq!(built.status.code(), Some(0), "{}", text(&built.stderr));
    let (code, lines) = json(&["index", "search", "--path", "/zookeeper", "--index", index]);
    assert_eq!((code, lines.len(), lines[0]["after"]["length"].as_u64()), (0, 1, Some(17 << 20)), "{lines:?}");
}

#[test]
fn one_znodes_old_data_comes_out_byte_for_byte() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 1).set(E1 + 2, "/n100000001", b"old\0\xff").set(E1 + 3, "/n100000001", b"new");
    let cat =
        |arguments: &[&str]| run(&[&["snapshot", "cat", world.path(), "--path", "/n100000001"], arguments].concat());
    assert_eq!(cat(&["--at", "0x100000002"]).stdout, b"old\0\xff");
    assert_eq!(cat(&[]).stdout, b"new");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("data");
    let to = to.to_str().unwrap();
    assert_eq!(cat(&["--at", "0x100000002", "--to", to]).status.code(), Some(0));
    assert_eq!(fs::read(to).unwrap(), b"old\0\xff");
    assert_eq!(cat(&["--to", to]).status.code(), Some(2), "nothing is written over");
    let none = run(&["snapshot", "cat", world.path(), "--path", "/none"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(2), 0));
}

#[test]
fn what_was_printed_before_an_error_comes_out() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3).log(E1 + 4..=E1 + 5);
    fs::remove_file(world.file("log.100000004")).unwrap();
    fs::create_dir(world.file("target")).unwrap();
    // A link in a circle can be listed and not be opened.
    std::os::unix::fs::symlink("log.100000004", world.file("log.100000004")).unwrap();
    let output = run(&["log", "dump", world.path()]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(2), 3), "{}", text(&output.stderr));
}

#[test]
fn nothing_is_called_sound_before_the_replay_found_its_damage() {
    let world = spoiled();
    let (code, lines) = json(&["log", "verify", world.path()]);
    assert_eq!((code, lines.len()), (0, 1), "{lines:?}");
    let (code, lines) = json(&["log", "verify", "--replay", world.path()]);
    let (finding, summary) = (&lines[0], &lines[1]);
    assert_eq!((code, summary["sound"].as_bool()), (1, Some(false)), "{lines:?}");
    assert_eq!((finding["finding"].as_str(), finding["atStart"].as_str()), (Some("fatal"), Some("refuses")));
}

fn create(world: &mut World, zxid: u64, path: &str) {
    let acl = encode_acls(&[Acl::new(31, "world", "anyone")]);
    let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
    let above = path.rsplit_once('/').unwrap().0;
    let parent_cversion = Some(world.tree.get(above.as_bytes()).unwrap().stat().cversion + 1);
    let (path, data, lifetime) = (Text(path.as_bytes()), Some(&b""[..]), Lifetime::Persistent);
    world.write(zxid, &Txn::Create(Create { path, data, acl, lifetime, parent_cversion, with_stat: false }));
}

/// A log with broken statistics of a quota and a change below its path, on which no server starts.
fn spoiled() -> World {
    let mut world = World::new();
    let quota = "/zookeeper/quota/app";
    let (limits, stats) = (format!("{quota}/zookeeper_limits"), format!("{quota}/zookeeper_stats"));
    for (zxid, path) in (1..).zip(["/app", quota, &limits, &stats]) {
        create(&mut world, zxid, path);
    }
    world.close();
    world.set(5, &stats, b"x");
    create(&mut world, 6, "/app/a");
    world.close();
    world
}

#[test]
fn a_log_on_which_no_server_starts_is_named_and_left_by_a_snapshot_behind_it() {
    let world = spoiled();
    let output = text(&run(&["log", "verify", "--replay", world.path()]).stdout);
    assert!(output.contains("the change of /app/a by 0x6 ends every server that applies it"), "{output}");
    assert!(output.contains("/zookeeper/quota/app/zookeeper_stats was set to what is no statistics"), "{output}");
    let to = tempfile::tempdir().unwrap();
    let to = to.path().to_str().unwrap();
    let written = run(&["snapshot", "write", world.path(), "--to", to]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let (code, lines) = json(&["snapshot", "tree", to]);
    let stats = lines.iter().find(|line| line["path"] == "/zookeeper/quota/app/zookeeper_stats").unwrap();
    assert_eq!((code, stats["data"].as_str()), (0, Some("count=2,bytes=0")));
    // With that snapshot in the member's own folder, a server begins behind it.
    fs::copy(format!("{to}/version-2/snapshot.6"), world.file("snapshot.6")).unwrap();
    let (code, lines) = json(&["log", "verify", "--replay", world.path()]);
    assert_eq!((code, lines[0]["finding"].as_str(), lines[0]["severity"].as_str()), (0, Some("fatal"), Some("notice")));
}

/// A log in which these znodes are created, from the first transaction on.
fn created(paths: &[&str]) -> World {
    let mut world = World::new();
    for (zxid, path) in (1..).zip(paths) {
        create(&mut world, zxid, path);
    }
    world.close();
    world
}

/// A server looks for the limits among the leaves, and takes for the path what stands before the first place that could be
/// their name: nothing, and it ends.
const NOWHERE: [&[&str]; 3] = [
    &["/zookeeper/quota/zookeeper_limits"],
    &["/zookeeper/quota/zookeeper_limits", "/zookeeper/quota/zookeeper_limits/zookeeper_limits"],
    &["/zookeeper/quota/zookeeper_limits-x", "/zookeeper/quota/zookeeper_limits-x/zookeeper_limits"],
];

#[test]
fn a_snapshot_on_which_no_server_starts_is_not_written() {
    for paths in NOWHERE {
        let world = created(&[&["/app"], paths].concat());
        let to = tempfile::tempdir().unwrap();
        let write = |more: &[&str]| {
            run(&[&["snapshot", "write", world.path(), "--to", to.path().to_str().unwrap()], more].concat())
        };
        let refused = write(&[]);
        let (said, trap) = (text(&refused.stderr), paths.last().unwrap());
        assert_eq!((refused.status.code(), to.path().join("version-2").exists()), (Some(1), false), "{said}");
        assert!(said.contains(trap) && said.contains("no server starts on the snapshot"), "{said}");
        assert!(said.contains(&format!("--without {trap}")) && said.contains("--at 0x"), "{said}");
        // The way that loses nothing else.
        let written = write(&["--without", paths[0]]);
        assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
        let (_, lines) = json(&["snapshot", "tree", to.path().to_str().unwrap()]);
        let shown: Vec<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
        assert_eq!(shown, ["/", "/app", "/zookeeper", "/zookeeper/quota"]);
    }
}

#[test]
fn limits_that_no_server_takes_for_those_of_nothing_are_no_reason_to_refuse() {
    for paths in [
        &["/zookeeper/quota/app", "/zookeeper/quota/app/zookeeper_limits"][..],
        &["/zookeeper/quota-x", "/zookeeper/quota-x/zookeeper_limits"],
        &["/zookeeper/quota/x-zookeeper_limits"],
    ] {
        let (world, to) = (created(paths), tempfile::tempdir().unwrap());
        let written = run(&["snapshot", "write", world.path(), "--to", to.path().to_str().unwrap()]);
        assert_eq!(written.status.code(), Some(0), "{paths:?}: {}", text(&written.stderr));
    }
}

#[test]
fn a_snapshot_that_ends_whoever_loads_it_is_found_though_each_of_its_transactions_can_be_borne() {
    let world = created(NOWHERE[2]);
    world.snapshot();
    let (code, lines) = json(&["log", "verify", "--replay", world.path()]);
    assert_eq!((code, lines[0]["finding"].as_str(), lines[0]["atStart"].as_str()), (1, Some("fatal"), Some("refuses")));
    let words = lines[0]["text"].as_str().unwrap();
    assert!(words.contains(NOWHERE[2][1]) && words.contains("no server starts on the snapshot"), "{words}");
}

#[test]
fn whether_a_member_starts_is_decided_by_its_own_snapshot() {
    let (behind, beyond) = (spoiled(), spoiled());
    beyond.snapshot();
    for members in [[behind.path(), beyond.path()], [beyond.path(), behind.path()]] {
        let (code, lines) = json(&[&["log", "verify", "--replay"][..], &members].concat());
        let found = |member: &str| {
            let of = |line: &&Value| line["finding"] == "fatal" && line["file"].as_str() == Some(member);
            let line = lines.iter().find(of).unwrap_or_else(|| panic!("{member}: {lines:?}"));
            (line["severity"].as_str().unwrap().to_owned(), line["atStart"].as_str().unwrap().to_owned())
        };
        assert_eq!(code, 1);
        assert_eq!(found(behind.path()), ("damage".to_owned(), "refuses".to_owned()));
        assert_eq!(found(beyond.path()).0, "notice");
    }
}

#[test]
fn a_file_without_digests_is_not_said_to_agree() {
    let world = World::new();
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    log.append(
        Header { session: SessionId(1), cxid: 1, zxid: Zxid(1), time: 5 },
        &Txn::CreateSession { timeout: 1 },
        None,
    )
    .unwrap();
    fs::write(world.file("log.1"), log.into_inner()).unwrap();
    fs::write(world.file("snapshot.0"), {
        let bytes = fs::read(world.file("snapshot.0")).unwrap();
        bytes[..bytes.len() - 21 - 33].to_vec()
    })
    .unwrap();
    let output = run(&["log", "verify", "--replay", world.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("no digests to compare"), "{}", text(&output.stdout));
}
