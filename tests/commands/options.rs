//! Options: what they take is said, and they have the names that users try.

use super::*;

fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    (output.status.code(), text(&output.stderr))
}

#[test]
fn where_only_a_time_is_taken_only_times_are_named_and_a_zxid_is_told_where_it_belongs() {
    let world = World::new();
    for option in ["--since", "--until"] {
        for command in [&["log", "dump", world.path()][..], &["index", "search"], &["index", "history", "/a"]] {
            for text in ["5", "0x100000005", "yesterday"] {
                let (code, error) = said(&[command, &[option, text]].concat());
                assert_eq!(code, Some(2), "{error}");
                assert!(error.contains("not a time like 2026-11-23T19:52:00Z"), "{error}");
                assert!(!error.contains("neither a zxid"), "{error}");
                assert_eq!(error.contains("zxids go with --from and --to"), text != "yesterday", "{error}");
            }
        }
    }
    let (code, error) = said(&["snapshot", "tree", world.path(), "--at", "yesterday"]);
    assert!(code == Some(2) && error.contains("neither a zxid like 0x10000002a nor a time like"), "{error}");
}

/// ZooKeeper's metrics and AdminServer print zxids in decimal.
#[test]
fn a_zxid_without_0x_is_refused_everywhere_with_what_it_may_mean() {
    let server = ["--server", "127.0.0.1:1", "--path", "/"];
    let archive = "file:///nowhere";
    for command in [
        &["log", "dump", "/nowhere", "--from"][..],
        &["log", "dump", "/nowhere", "--to"],
        &["index", "search", "--index", "/nowhere", "--from"],
        &["index", "history", "/a", "--index", "/nowhere", "--to"],
        &["snapshot", "tree", "/nowhere", "--at"],
        &["snapshot", "cat", "/nowhere", "--path", "/a", "--at"],
        &["snapshot", "write", "/nowhere", "--to", "/nowhere", "--at"],
        &["snapshot", "diff", "/nowhere", "--from"],
        &["snapshot", "diff", "/nowhere", "--from", "0x1", "--to"],
        &["archive", "pin", archive, "--name", "a", "--at"],
        &["archive", "prune", archive, "--keep", "30d", "--pin"],
        &[&["restore", "plan", "/nowhere"], &server[..], &["--at"]].concat(),
        &[&["restore", "plan", "/nowhere", "--at", "0x1"], &server[..], &["--newer-than"]].concat(),
        &["restore", "plan", "/nowhere", "--server", "127.0.0.1:1", "--undo"],
        &["restore", "create", "zk", "--undo"],
        &["restore", "create", "zk", "--at"],
        &["restore", "create", "zk", "--at", "0x1", "--newer-than"],
        &["backup", "create", "zk", "--at"],
    ] {
        let (code, error) = said(&[command, &["4294967301"]].concat());
        assert!(code == Some(2) && error.contains("write 0x4294967301 if it is hexadecimal"), "{command:?}: {error}");
        assert!(error.contains("in decimal, as in ZooKeeper's metrics, is 0x100000005"), "{command:?}: {error}");
    }
}

#[test]
fn a_path_and_a_subtree_are_asked_for_by_the_same_names_everywhere() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    world.set(E1 + 4, "/n100000002", b"other");
    let index = tempfile::tempdir().unwrap();
    let index = index.path().join("index");
    let index = index.to_str().unwrap();
    assert_eq!(run(&["index", "build", world.path(), "--index", index]).status.code(), Some(0));
    let count = |arguments: &[&str]| {
        let (code, lines) = json(arguments);
        assert_eq!(code, 0, "{arguments:?}");
        lines.len()
    };
    for (option, path, found) in
        [("--path", "/n100000002", 2), ("--subtree", "/n100000002", 2), ("--path", "/", 0), ("--subtree", "/", 4)]
    {
        assert_eq!(count(&["log", "dump", world.path(), option, path]), found, "log dump {option} {path}");
        assert_eq!(count(&["index", "search", "--index", index, option, path]), found, "index search {option} {path}");
    }
    for option in ["--path", "--subtree"] {
        assert_eq!(count(&["snapshot", "tree", world.path(), option, "/n100000002"]), 1);
        let diff = ["snapshot", "diff", world.path(), "--from", "0x100000003", option, "/n100000002"];
        assert_eq!(count(&diff), 1);
    }
    let history = ["index", "history", "--index", index];
    assert_eq!(count(&[&history[..], &["/n100000002"]].concat()), 2);
    assert_eq!(count(&[&history[..], &["--path", "/n100000002"]].concat()), 2);
    assert_eq!(said(&history).0, Some(2));
    assert_eq!(said(&[&history[..], &["/a", "--path", "/a"]].concat()).0, Some(2));
    for (command, option) in [(["snapshot", "tree"], "--subtree"), (["snapshot", "diff"], "--subtree")] {
        let help = text(&run(&[&command[..], &["--help"]].concat()).stdout);
        assert!(help.contains(option), "{command:?}: {help}");
    }
}

#[test]
fn data_is_exact_in_a_file_or_pipe_and_ends_its_line_on_a_terminal_alone() {
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 1).set(E1 + 2, "/n100000001", b"done\n");
    let cat = |at: &str, terminal: bool| {
        let arguments = ["snapshot", "cat", world.path(), "--path", "/n100000001", "--at", at];
        if !terminal {
            return text(&run(&arguments).stdout);
        }
        let command = format!("{} {} 2>/dev/null", env!("CARGO_BIN_EXE_menagerie"), arguments.join(" "));
        let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
        text(&output.stdout).replace("\r\n", "\n")
    };
    assert_eq!(
        (cat("0x100000001", false), cat("0x100000001", true)),
        ("some data".to_owned(), "some data\n".to_owned())
    );
    // Data that ends its line has its newline.
    assert_eq!((cat("0x100000002", false), cat("0x100000002", true)), ("done\n".to_owned(), "done\n".to_owned()));
}
