//! What `log verify` tells apart, and with what it exits.

use super::*;

#[test]
fn a_log_beside_the_snapshots_or_a_snapshot_beside_the_logs_of_another_folder_keeps_a_server_from_starting() {
    let logs = tempfile::tempdir().unwrap();
    let version = logs.path().join("version-2");
    fs::create_dir(&version).unwrap();
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3).log(E1 + 4..=E1 + 6);
    let there = |name: &str| version.join(name);
    fs::rename(world.file("log.100000004"), there("log.100000004")).unwrap();
    let names = format!("{},{}", world.path(), logs.path().to_str().unwrap());
    let found = || {
        let (code, lines) = json(&["log", "verify", &names]);
        let found = lines.iter().filter(|line| line["finding"].is_string()).map(|line| {
            let file = Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap();
            format!("{file} {} {}", line["finding"].as_str().unwrap(), line["atStart"].as_str().unwrap_or("-"))
        });
        (code, found.collect::<Vec<_>>())
    };
    assert_eq!(found(), (1, vec!["log.100000001 misplaced refuses".to_owned()]));
    fs::rename(world.file("log.100000001"), there("log.100000001")).unwrap();
    assert_eq!(found(), (0, vec![]));
    fs::copy(world.file("snapshot.0"), there("snapshot.0")).unwrap();
    assert_eq!(found(), (1, vec!["snapshot.0 misplaced refuses".to_owned()]));
}

fn world() -> World {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 5).log(E1 + 6..=E1 + 9).log(E1 + 10..=E1 + 12);
    world
}

#[test]
fn a_sound_folder_is_sound() {
    let world = world();
    assert_eq!(findings(&[world.path()]), (0, vec![]));
    let output = run(&["log", "verify", "--replay", world.path()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("12 digests were compared, and all agree"), "{}", text(&output.stdout));
}

#[test]
fn a_torn_tail_is_told_from_a_cut_at_the_end_of_a_transaction() {
    let world = world();
    world.edit("log.10000000a", |bytes| bytes.truncate(written(bytes) - 3));
    assert_eq!(findings(&[world.path()]), (1, vec!["torn-tail".to_owned()]));
    // Cut right behind a transaction, the file looks sound: only the next one tells.
    let world = self::world();
    world.edit("log.100000006", |bytes| {
        let record = (written(bytes) - 16) / 4;
        bytes.truncate(16 + 2 * record);
    });
    assert_eq!(findings(&[world.path()]), (1, vec!["missing".to_owned()]));
    let output = text(&run(&["log", "verify", world.path()]).stdout);
    assert!(output.contains("between its 0x100000007 and 0x10000000a"), "{output}");
    assert!(output.contains("it was cut at the end of a transaction, or a log between is gone"), "{output}");
    assert!(output.contains("a server does not start"), "{output}");
}

#[test]
fn a_log_missing_between_two_others_is_named_by_its_transactions() {
    let world = world();
    fs::remove_file(world.file("log.100000006")).unwrap();
    let output = run(&["log", "verify", world.path()]);
    assert_eq!(output.status.code(), Some(1));
    let output = text(&output.stdout);
    assert!(
        output.contains("between its 0x100000005 and 0x10000000a of log.10000000a: a log between is gone"),
        "{output}"
    );
    // Not if a snapshot has them: then the member was synced by its leader.
    let mut jumped = World::new();
    jumped.log(E1 + 1..=E1 + 5);
    (E1 + 6..=E1 + 9).for_each(|zxid| jumped.append(zxid));
    jumped.log = None;
    jumped.snapshot();
    jumped.log(E1 + 10..=E1 + 12);
    assert_eq!(findings(&[jumped.path()]), (0, vec!["synced".to_owned()]));
}

#[test]
fn a_bad_record_with_good_ones_after_it_says_where_they_go_on() {
    let world = world();
    world.edit("log.100000001", |bytes| bytes[16 + 60] ^= 1);
    let (code, lines) = json(&["log", "verify", world.path()]);
    assert_eq!((code, lines[0]["finding"].as_str()), (1, Some("checksum")));
    assert_eq!((lines[0]["offset"].as_u64(), lines[0]["zxid"].as_str()), (Some(16), Some("0x100000001")));
    assert!(lines[0]["text"].as_str().unwrap().contains("before 0x100000002"), "{}", lines[0]);
    assert_eq!(lines[0]["atStart"], "refuses");
}

#[test]
fn each_kind_of_damage_has_its_name() {
    type Case = (&'static str, fn(&mut Vec<u8>), &'static [&'static str]);
    let cases: [Case; 7] = [
        ("log.10000000a", Vec::clear, &["empty"]),
        ("log.10000000a", |bytes| bytes.truncate(9), &["header-cut"]),
        ("log.10000000a", |bytes| bytes[0] = b'X', &["magic"]),
        ("log.100000006", |bytes| bytes[24..28].fill(0xff), &["length"]),
        ("log.100000001", |bytes| bytes[16..100].fill(0), &["hole"]),
        ("log.100000001", |bytes| bytes[7] = 3, &["version"]),
        ("snapshot.0", |bytes| bytes.truncate(40), &["cut", "no-snapshot"]),
    ];
    for (name, edit, expected) in cases {
        let world = world();
        world.edit(name, edit);
        let (code, found) = findings(&[world.path()]);
        assert_eq!((code, found.iter().map(String::as_str).collect::<Vec<_>>()), (1, expected.to_vec()), "{name}");
    }
}

#[test]
fn a_stray_copy_that_a_server_takes_for_a_log_is_found() {
    let world = world();
    fs::copy(world.file("log.100000006"), world.file("log.100000006.bak")).unwrap();
    assert_eq!(findings(&[world.path()]), (1, vec!["stray".to_owned()]));
}

#[test]
fn a_snapshot_under_a_higher_name_would_hide_transactions() {
    let world = world();
    fs::rename(world.file("snapshot.0"), world.file("snapshot.100000008")).unwrap();
    let (code, found) = findings(&[world.path()]);
    assert_eq!((code, found[0].as_str()), (1, "renamed"));
}

#[test]
fn a_snapshot_whose_content_is_not_the_servers_is_found_by_its_digest() {
    let world = world();
    world.snapshot();
    let name = format!("snapshot.{:x}", E1 + 12);
    // As if the disk had lost a write that both checksums and lengths survive: another tree under the same trailer.
    let mut other = World::new();
    other.log(E1 + 1..=E1 + 12);
    let forged = other.tree.write(Vec::new()).unwrap();
    let honest = fs::read(world.file(&name)).unwrap();
    assert_eq!(forged, honest, "the same history gives the same bytes");
    let mut forged = Tree::initial();
    forged
        .apply(&Header { session: SessionId(1), cxid: 1, zxid: Zxid(E1 + 12), time: 0 }, &Txn::Error { code: -1 })
        .unwrap();
    let mut bytes = forged.write(Vec::new()).unwrap();
    let digest = bytes.len() - 13 - 8 - 13 - 8;
    bytes[digest + 7] ^= 1;
    reseal(&mut bytes);
    fs::write(world.file(&name), &bytes).unwrap();
    assert_eq!(findings(&[world.path()]), (1, vec!["digest".to_owned()]));
    unproved(&name, &bytes);
}

/// Without the log nobody knows whether it is damaged or a transaction ahead of its digest.
fn unproved(name: &str, bytes: &[u8]) {
    let (alone, to) = (World::new(), tempfile::tempdir().unwrap());
    fs::remove_file(alone.file("snapshot.0")).unwrap();
    fs::write(alone.file(name), bytes).unwrap();
    let write = |more: &[&str]| {
        run(&[&["snapshot", "write", alone.path(), "--to", to.path().to_str().unwrap()], more].concat())
    };
    let refused = write(&[]);
    let said = text(&refused.stderr);
    assert_eq!((refused.status.code(), to.path().join("version-2").exists()), (Some(1), false), "{said}");
    assert!(said.contains("--unproved"), "{said}");
    assert_eq!(write(&["--unproved"]).status.code(), Some(0));
}

/// Computes the last two checksums of a snapshot anew.
fn reseal(bytes: &mut [u8]) {
    let length = bytes.len();
    for at in [length - 13 - 8 - 13, length - 13] {
        let sum = simd_adler32::adler32(&&bytes[..at]);
        bytes[at..at + 8].copy_from_slice(&u64::from(sum).to_be_bytes());
    }
}

#[test]
fn a_digest_that_differs_is_found_by_a_replay_alone() {
    let world = world();
    world.edit("log.100000006", |bytes| {
        let record = (written(bytes) - 16) / 4;
        let (start, end) = (16 + 12, 16 + record - 1);
        bytes[end - 1] ^= 1;
        let sum = simd_adler32::adler32(&&bytes[start..end]);
        bytes[16..24].copy_from_slice(&u64::from(sum).to_be_bytes());
    });
    assert_eq!(findings(&[world.path()]), (0, vec![]));
    let output = run(&["log", "verify", "--replay", world.path()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("after 0x100000006 the replayed tree is not"), "{}", text(&output.stdout));
}
