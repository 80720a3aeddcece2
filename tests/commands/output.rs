//! What is printed, for people and for programs.

use super::*;

fn world() -> World {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    world
}

#[test]
fn a_dump_has_a_line_for_each_transaction_in_each_form() {
    let world = world();
    let dump = |form: &str| text(&run(&["log", "dump", world.path(), "--output", form]).stdout);
    let human = dump("human");
    assert_eq!(human.lines().count(), 3);
    assert_eq!(
        human.lines().next().unwrap(),
        "2023-11-14T22:13:21.000Z  0x100000001  0x1001 1  create /n100000001 \"some data\" world:anyone:cdrwa"
    );
    let toolkit = dump("toolkit");
    let expected = "11/14/23, 10:13:21 PM UTC session 0x1001 cxid 0x1 zxid 0x100000001 create \
        /n100000001,some data,[31,s{'world,'anyone}\n],false,1\n";
    assert!(toolkit.starts_with(expected), "{toolkit}");
    let (code, lines) = json(&["log", "dump", world.path()]);
    assert_eq!((code, lines.len(), lines[2]["data"].as_str()), (0, 3, Some("some data")));
    assert_eq!((lines[0]["offset"].as_u64(), lines[0]["type"].as_str()), (Some(16), Some("create")));
}

#[test]
fn a_dump_is_narrowed_by_zxid_time_subtree_and_session() {
    let world = world();
    let count = |filter: &[&str]| json(&[&["log", "dump", world.path()], filter].concat()).1.len();
    assert_eq!(count(&["--from", "0x100000002"]), 2);
    assert_eq!(count(&["--to", "0x100000002"]), 2);
    assert_eq!(count(&["--since", &format!("@{}", time_of(2))]), 2);
    assert_eq!(count(&["--until", &format!("@{}", time_of(2))]), 1);
    assert_eq!(count(&["--subtree", "/n100000003"]), 1);
    assert_eq!(count(&["--subtree", "/n10000000"]), 0, "a part of a name is no subtree");
    assert_eq!(count(&["--subtree", "/"]), 3);
    assert_eq!((count(&["--session", "0x1001"]), count(&["--session", "0x1002"])), (3, 0));
}

#[test]
fn the_last_transactions_are_printed_and_a_torn_tail_is_a_server_that_writes() {
    let world = world();
    world.edit("log.100000001", |bytes| bytes.truncate(written(bytes) - 2));
    let output = run(&["log", "tail", "-n", "1", world.path()]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(0), 1));
    assert!(text(&output.stdout).contains("0x100000002"));
}

#[test]
fn the_tail_is_followed_into_the_next_log() {
    let mut world = world();
    let out = world.folder.path().join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["log", "tail", "--follow", "-n", "1", world.path()])
        .stdout(fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let wait_for = |zxid: &str| {
        let seen = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            fs::read_to_string(&out).unwrap().contains(zxid)
        });
        assert!(seen, "{zxid} never came: {}", fs::read_to_string(&out).unwrap());
    };
    wait_for("0x100000003");
    world.log(E1 + 4..=E1 + 5);
    wait_for("0x100000005");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 3, "none is printed twice");
}

#[test]
fn counts_are_by_type() {
    let world = world();
    let (code, lines) = json(&["log", "stat", world.path()]);
    assert_eq!(
        (code, lines[0]["transactions"].as_u64(), lines[0]["byType"]["create"][0].as_u64()),
        (0, Some(3), Some(3))
    );
}

#[test]
fn a_snapshot_is_dumped_in_its_order_and_the_tree_with_what_clients_are_served() {
    let world = world();
    world.snapshot();
    let snapshot = world.file("snapshot.100000003");
    let (code, lines) = json(&["snapshot", "dump", snapshot.to_str().unwrap()]);
    assert_eq!((code, lines.last().unwrap()["lastZxid"].as_str()), (0, Some("0x100000003")));
    let (_, lines) = json(&["snapshot", "tree", world.path(), "--path", "/", "--depth", "0"]);
    assert_eq!((lines.len(), lines[0]["path"].as_str()), (1, Some("/")));
    // Three created, and four children with /zookeeper, which was born and never created.
    assert_eq!((lines[0]["cversion"].as_i64(), lines[0]["servedCversion"].as_i64()), (Some(3), Some(2)));
}
