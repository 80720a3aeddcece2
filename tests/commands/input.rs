//! Bad input: one clear line, exit code 2, and nothing of the source changed.

use std::io;
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::Duration;

use super::*;

fn refused(arguments: &[&str], expected: &str) {
    let output = run(arguments);
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{arguments:?}: {error}");
    assert!(error.contains(expected), "{arguments:?}: {error}");
}

#[test]
fn what_is_not_there_or_not_zookeepers_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let other = format!("{path}/other");
    fs::write(&other, b"some other file").unwrap();
    for command in [["log", "dump"], ["log", "stat"], ["log", "verify"], ["snapshot", "tree"], ["snapshot", "verify"]] {
        let with = |path: &str, expected: &str| refused(&[command[0], command[1], path], expected);
        with("/nowhere/at/all", "no such file or folder");
        with(path, "no transaction log (log.*) or snapshot (snapshot.*) here");
        with(&other, "neither a transaction log (ZKLG) nor a snapshot (ZKSN)");
    }
    refused(&["log", "tail", "/nowhere"], "no such file or folder");
    refused(&["snapshot", "dump", "/nowhere"], "no such file or folder");
    refused(&["snapshot", "dump", &other], "not a snapshot: it begins with some");
}

#[test]
fn a_snapshot_is_no_log_and_a_packed_log_that_is_cut_is_damaged() {
    let mut world = World::new();
    let snapshot = world.file("snapshot.0");
    refused(&["log", "dump", snapshot.to_str().unwrap()], "no transaction log here");
    world.log(E1 + 1..=E1 + 50);
    let log = world.file("log.100000001");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &fs::read(&log).unwrap()).unwrap();
    let packed = packed.finish().unwrap();
    fs::remove_file(&log).unwrap();
    fs::write(world.file("log.100000001.gz"), &packed).unwrap();
    assert_eq!(json(&["log", "dump", world.path()]).1.len(), 50);
    fs::write(world.file("log.100000001.gz"), &packed[..packed.len() - 5]).unwrap();
    assert_eq!(findings(&[world.path()]), (1, vec!["packing".to_owned()]));
    let (code, lines) = json(&["log", "dump", world.path()]);
    assert_eq!((code, lines.len()), (1, 50));
}

#[test]
fn a_zxid_between_two_epochs_is_no_point_of_the_history() {
    let mut world = World::new();
    world.log((E1 + 1..=E1 + 3).chain(E2 + 1..=E2 + 2));
    refused(&["snapshot", "tree", world.path(), "--at", "0x100000009"], "goes on from 0x100000003 with 0x200000001");
}

#[test]
fn another_product_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("meta.properties"), b"").unwrap();
    refused(&["log", "verify", folder.path().to_str().unwrap()], "(this looks like Kafka)");
}

#[test]
fn no_permission_is_said_with_what_to_do() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 2);
    let log = world.file("log.100000001");
    readable(&log, 0o000);
    let expected = "run as the user that ZooKeeper runs as";
    if fs::File::open(&log).is_err() {
        return refused(&["log", "verify", world.path()], expected);
    }
    // Whoever runs this may read everything: it is run as nobody, from a folder that nobody can reach.
    let menagerie = world.folder.path().join("menagerie");
    fs::copy(env!("CARGO_BIN_EXE_menagerie"), &menagerie).unwrap();
    readable(world.folder.path(), 0o755);
    let mut command = Command::new(menagerie);
    command.args(["log", "verify", world.path()]).uid(65_534).gid(65_534);
    // A process that another test starts meanwhile holds the copy open for writing, until it becomes what it is to be.
    let busy = |output: &io::Result<Output>| {
        output.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ExecutableFileBusy)
    };
    let mut tries = (0..500).map(|_| command.output()).inspect(|_| thread::sleep(Duration::from_millis(10)));
    let output = tries.find(|output| !busy(output)).unwrap().unwrap();
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn nothing_of_the_source_is_ever_changed() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 5).log(E1 + 6..=E1 + 6);
    world.edit("log.100000006", Vec::clear);
    let listing = || {
        let mut files: Vec<_> = fs::read_dir(world.file("")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
            .into_iter()
            .map(|path| (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap()))
            .collect::<Vec<_>>()
    };
    let before = listing();
    for command in [
        ["log", "dump"],
        ["log", "stat"],
        ["log", "verify"],
        ["log", "tail"],
        ["snapshot", "tree"],
        ["snapshot", "verify"],
    ] {
        run(&[command[0], command[1], world.path()]);
    }
    assert_eq!(listing(), before);
}
