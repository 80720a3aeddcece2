//! The epochs that a member keeps beside its snapshots: a server that finds them older than its transactions does not start.
//! `tests/files` asks real servers about the same cases.

use super::*;

/// A folder whose last transaction is of epoch 2, with these epochs in it. A `None` is a file that is not there.
fn world(current: Option<&str>, accepted: Option<&str>) -> World {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3).log(E2 + 1..=E2 + 3);
    for (name, text) in [("currentEpoch", current), ("acceptedEpoch", accepted)] {
        if let Some(text) = text {
            put(&world, name, text);
        }
    }
    world
}

fn put(world: &World, name: &str, text: &str) {
    fs::write(world.file(name), text).unwrap();
    settle(&world.file(name));
}

/// The exit code, and of each finding its file, its name and what a server does.
fn said(world: &World) -> (i32, Vec<String>) {
    for entry in fs::read_dir(world.file("")).unwrap() {
        settle(&entry.unwrap().path());
    }
    let hour = std::time::Duration::from_hours(1);
    fs::File::open(world.file("")).unwrap().set_modified(std::time::SystemTime::now() - hour).unwrap();
    let (code, lines) = json(&["log", "verify", world.path()]);
    let found = lines.iter().filter(|line| line["finding"].is_string()).map(|line| {
        let file = Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap();
        format!("{file} {} {}", line["finding"].as_str().unwrap(), line["atStart"].as_str().unwrap_or("-"))
    });
    (code, found.collect())
}

fn expect(current: Option<&str>, accepted: Option<&str>, code: i32, found: &[&str]) {
    let found: Vec<_> = found.iter().map(|found| (*found).to_owned()).collect();
    assert_eq!(said(&world(current, accepted)), (code, found), "{current:?} {accepted:?}");
}

#[test]
fn epochs_that_are_not_behind_the_last_transaction_are_sound() {
    for (current, accepted) in
        [("2", "2"), ("2", "3"), ("7", "9"), ("+2\n", "2\r\nand more"), ("9999999999", "9999999999")]
    {
        expect(Some(current), Some(accepted), 0, &[]);
    }
    // A server that is alone keeps none.
    expect(None, None, 0, &[]);
}

#[test]
fn a_current_epoch_before_that_of_the_last_transaction_keeps_a_server_from_starting() {
    for current in ["0", "1", "-1"] {
        expect(Some(current), Some("2"), 1, &["currentEpoch epoch-behind refuses"]);
    }
    // A snapshot counts as the logs do.
    let world = world(Some("2"), Some("2"));
    let snapshot = world.file("snapshot.300000000");
    fs::write(snapshot, world.tree.write(Vec::new()).unwrap()).unwrap();
    let found = said(&world).1;
    assert!(found.contains(&"currentEpoch epoch-behind refuses".to_owned()), "{found:?}");
}

#[test]
fn an_accepted_epoch_before_the_current_one_keeps_a_server_from_starting() {
    expect(Some("2"), Some("1"), 1, &["acceptedEpoch epoch-behind refuses"]);
    expect(Some("9"), Some("2"), 1, &["acceptedEpoch epoch-behind refuses"]);
}

#[test]
fn an_epoch_that_is_no_number_keeps_a_server_from_starting() {
    for text in ["", "\n2", "two", " 2", "2 ", "0x2", "2.0", "99999999999999999999"] {
        expect(Some(text), Some("2"), 1, &["currentEpoch epoch-garbage refuses"]);
        expect(Some("2"), Some(text), 1, &["acceptedEpoch epoch-garbage refuses"]);
    }
    let world = world(Some("2"), Some("2"));
    fs::write(world.file("currentEpoch"), b"\xff\x1b[2J\n").unwrap();
    let (code, lines) = json(&["log", "verify", world.path()]);
    assert!(code == 1 && lines[0]["text"].as_str().unwrap().starts_with("it begins with "), "{lines:?}");
}

#[test]
fn an_epoch_that_is_missing_is_made_from_the_last_transaction_unless_the_other_is_beyond() {
    expect(None, Some("2"), 0, &["currentEpoch epoch-missing harmless"]);
    expect(Some("2"), None, 0, &["acceptedEpoch epoch-missing harmless"]);
    expect(Some("3"), None, 1, &["acceptedEpoch epoch-missing refuses"]);
    expect(None, Some("1"), 1, &["currentEpoch epoch-missing harmless", "acceptedEpoch epoch-behind refuses"]);
}

#[test]
fn a_server_that_died_as_it_wrote_its_epoch_takes_it_from_the_unfinished_file() {
    let found = |current: &str, accepted: &str, tmp: &str| {
        let world = world(Some(current), Some(accepted));
        put(&world, "currentEpoch.tmp", tmp);
        put(&world, "acceptedEpoch.tmp", "garbage");
        said(&world)
    };
    let one = |code: i32, text: &str| (code, vec![text.to_owned()]);
    assert_eq!(found("1", "2", "2"), one(0, "currentEpoch.tmp epoch-unfinished harmless"));
    // It does so once: then the file is gone, and the epoch still behind.
    assert_eq!(found("0", "2", "1"), one(1, "currentEpoch.tmp epoch-unfinished harmless"));
    assert_eq!(found("1", "2", ""), one(1, "currentEpoch.tmp epoch-garbage refuses"));
    let both = ["currentEpoch.tmp epoch-unfinished harmless", "acceptedEpoch epoch-behind refuses"];
    assert_eq!(found("1", "2", "3"), (1, both.map(str::to_owned).to_vec()));
    // Where it is not needed, nobody looks.
    assert_eq!(found("2", "2", "garbage"), (0, vec![]));
}

#[test]
fn what_a_server_never_reaches_needs_no_epoch() {
    let world = world(Some("1"), Some("1"));
    // An end mark that is wrong in the first record of epoch 2: nothing of that epoch is applied.
    world.edit("log.200000001", |bytes| {
        let length = u32::from_be_bytes(bytes[16 + 8..16 + 12].try_into().unwrap());
        bytes[16 + 12 + usize::try_from(length).unwrap()] = b'C';
    });
    assert_eq!(said(&world), (1, vec!["log.200000001 end-mark drops-in-silence".to_owned()]));
}

#[test]
fn epochs_are_those_beside_the_snapshots_whichever_folder_is_named_first() {
    let world = world(Some("1"), Some("2"));
    let logs = tempfile::tempdir().unwrap();
    fs::create_dir(logs.path().join("version-2")).unwrap();
    for name in ["log.100000001", "log.200000001"] {
        fs::rename(world.file(name), logs.path().join("version-2").join(name)).unwrap();
    }
    // Nobody reads this one.
    fs::write(logs.path().join("version-2/acceptedEpoch"), "garbage").unwrap();
    for names in [[world.path(), logs.path().to_str().unwrap()], [logs.path().to_str().unwrap(), world.path()]] {
        let (code, found) = findings(&[&names.join(",")]);
        assert_eq!((code, found), (1, vec!["epoch-behind".to_owned()]));
    }
}
