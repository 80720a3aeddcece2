//! Where commands write: never among what ZooKeeper has.

use super::*;

fn refused(arguments: &[&str], expected: &str) {
    let output = run(arguments);
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{arguments:?}: {error}");
    assert!(error.contains(expected), "{arguments:?}: {error}");
}

fn world() -> World {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 6);
    world
}

/// All below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for folder in found.clone().into_iter().filter(|path| path.is_dir()) {
        found.extend(below(&folder));
    }
    found.sort();
    found
}

#[test]
fn a_snapshot_is_not_written_beside_others_or_logs_since_a_server_starts_from_the_newest() {
    let (world, target) = (world(), tempfile::tempdir().unwrap());
    let write = |to: &Path, at: &str| {
        let to = to.to_str().unwrap().to_owned();
        run(&["snapshot", "write", world.path(), "--at", at, "--to", &to])
    };
    let to = target.path();
    // What a new member has is in nobody's way.
    fs::write(to.join("myid"), "1").unwrap();
    assert_eq!(write(to, "0x100000005").status.code(), Some(0));
    for at in ["0x100000003", "0x100000005", "0x100000006"] {
        let output = write(to, at);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{at}: {error}");
        assert!(error.contains("snapshot.100000005") && error.contains("name an empty folder"), "{error}");
    }
    assert_eq!(fs::read_dir(to.join("version-2")).unwrap().count(), 3);
    for name in ["log.100000007", "log.1.bak", "snapshot.0.gz", "snapshot.ffff.tmp"] {
        let target = tempfile::tempdir().unwrap();
        fs::create_dir(target.path().join("version-2")).unwrap();
        fs::write(target.path().join("version-2").join(name), "").unwrap();
        assert_eq!(write(target.path(), "end").status.code(), Some(2), "{name}");
        assert_eq!(below(target.path()).len(), 2, "{name}");
        // The folder version-2 itself gets no other one in it.
        assert_eq!(write(&target.path().join("version-2"), "end").status.code(), Some(2), "{name}");
        assert_eq!(below(target.path()).len(), 2, "{name}");
    }
}

#[test]
fn a_snapshot_is_not_written_into_the_folder_that_it_is_made_from() {
    let world = world();
    let before = below(world.folder.path());
    refused(&["snapshot", "write", world.path(), "--to", world.path()], "name an empty folder");
    let version = world.file("");
    refused(&["snapshot", "write", world.path(), "--to", version.to_str().unwrap()], "name an empty folder");
    assert_eq!(below(world.folder.path()), before);
}

#[test]
fn a_snapshot_is_not_written_beside_an_epoch_with_which_no_server_starts_on_it() {
    let (world, target) = (world(), tempfile::tempdir().unwrap());
    let (to, version) = (target.path().to_str().unwrap(), target.path().join("version-2"));
    fs::create_dir(&version).unwrap();
    fs::write(version.join("currentEpoch"), "0").unwrap();
    let output = run(&["snapshot", "write", world.path(), "--to", to]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("currentEpoch: it says 0") && error.ends_with("name an empty folder\n"), "{error}");
    assert_eq!(below(&version).len(), 1);
    fs::write(version.join("currentEpoch"), "1").unwrap();
    assert_eq!(run(&["snapshot", "write", world.path(), "--to", to]).status.code(), Some(0));
    // What is there stays.
    assert_eq!((fs::read_to_string(version.join("currentEpoch")).unwrap().as_str(), below(&version).len()), ("1", 2));
}

#[test]
fn a_written_snapshot_has_the_highest_epoch_that_its_members_know_of() {
    let (mut one, other) = (world(), world());
    let written = |at: &str| {
        let target = tempfile::tempdir().unwrap();
        let to = target.path().to_str().unwrap();
        let output = run(&["snapshot", "write", one.path(), other.path(), "--at", at, "--to", to]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let read = |name| fs::read_to_string(target.path().join("version-2").join(name)).unwrap();
        let epochs = [read("currentEpoch"), read("acceptedEpoch")];
        assert!(text(&output.stdout).ends_with(&format!(", epoch {}\n", epochs[0])), "{}", text(&output.stdout));
        assert_eq!(run(&["snapshot", "verify", to]).status.code(), Some(0));
        epochs
    };
    assert_eq!(written("end"), ["1", "1"]);
    // An election without a write leaves its epoch in these files alone.
    fs::write(other.file("currentEpoch"), "4").unwrap();
    fs::write(other.file("acceptedEpoch"), "5").unwrap();
    assert_eq!(written("0x100000003"), ["5", "5"]);
    one.log((7 << 32) + 1..=(7 << 32) + 2);
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_str().unwrap();
    assert_eq!(run(&["snapshot", "write", one.path(), "--at", "0x100000003", "--to", to]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(target.path().join("version-2/acceptedEpoch")).unwrap(), "7");
}

#[test]
fn neither_an_index_nor_a_znodes_data_is_written_into_zookeepers_folders() {
    let (world, other) = (world(), tempfile::tempdir().unwrap());
    fs::create_dir(other.path().join("version-2")).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    fs::write(fresh.path().join("myid"), "1").unwrap();
    let folders = [world.folder.path(), &world.file(""), other.path(), &other.path().join("version-2"), fresh.path()];
    let before = below(world.folder.path());
    for folder in folders {
        let file = folder.join("zk.index");
        let file = file.to_str().unwrap();
        refused(&["index", "build", world.path(), "--index", file], "ZooKeeper's own folder");
        refused(&["snapshot", "cat", world.path(), "--path", "/n100000001", "--to", file], "ZooKeeper's own folder");
        assert!(!Path::new(file).exists());
    }
    assert_eq!(below(world.folder.path()), before);
    // By another name it is the same.
    let link = fresh.path().join("link");
    std::os::unix::fs::symlink(world.folder.path(), &link).unwrap();
    let file = link.join("zk.index");
    refused(&["index", "build", world.path(), "--index", file.to_str().unwrap()], "ZooKeeper's own folder");
    let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["index", "build", world.path()])
        .current_dir(world.path())
        .output()
        .unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("own folder"), "{output:?}");
}
