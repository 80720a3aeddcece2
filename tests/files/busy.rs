//! The files of a real server that is busy, and of one that a stranger ends. These need Java: `dev/test files`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::live::java;

/// A real server that writes, rolls, snapshots and purges as fast as it can. It ends with its input.
struct BusyServer(std::process::Child);

impl Drop for BusyServer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

fn busy(home: &Path) -> BusyServer {
    let classpath = std::env::var("MENAGERIE_CLASSPATH").expect("run this through `dev/test files`");
    let jars = PathBuf::from(std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`")).join("3.9.5");
    let mut child = Command::new("timeout")
        .args([
            "1800",
            "java",
            "-Xmx128m",
            "-cp",
            &classpath,
            "Busy",
            home.to_str().unwrap(),
            jars.to_str().unwrap(),
            "load",
        ])
        .args(["-Dzookeeper.snapCount=4000", "-Dzookeeper.preAllocSize=1024"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "busy\n");
    BusyServer(child)
}

#[test]
#[ignore = "needs Java: dev/test files, and dev/files busy for more rounds"]
fn of_a_busy_server_nothing_is_called_damaged() {
    let rounds = std::env::var("MENAGERIE_ROUNDS").map_or(10, |rounds| rounds.parse::<u32>().unwrap());
    let home = tempfile::tempdir().unwrap();
    let server = busy(home.path());
    let data = home.path().join("data");
    let commands =
        [&["log", "dump"][..], &["log", "stat"], &["log", "verify"], &["log", "tail"], &["snapshot", "tree"]];
    let mut wrong = Vec::new();
    for round in 0..rounds {
        for command in commands {
            let output = Command::new(env!("CARGO_BIN_EXE_menagerie")).args(command).arg(&data).output().unwrap();
            if output.status.code() != Some(0) {
                let said =
                    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
                let said: Vec<&str> = said
                    .lines()
                    .filter(|line| line.contains("damage") || line.contains("differs") || line.contains("menagerie "))
                    .collect();
                wrong.push(format!("{round} {command:?}: {}: {said:?}", output.status));
            }
        }
    }
    drop(server);
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), rounds * 5);
}

fn lines(program: &str, arguments: &[&str]) -> Value {
    serde_json::from_str(java(program, arguments).lines().last().unwrap()).unwrap()
}

/// What `log verify --replay` names, and what a server does on what `snapshot write` makes of the same files.
fn ended_by(deed: &str, path: &str) {
    let jars = PathBuf::from(std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`")).join("3.9.5");
    let jars = jars.to_str().unwrap();
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    assert_eq!(lines("Busy", &[home, jars, deed])["serves"], false, "{deed}: it starts again");
    let menagerie =
        |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_menagerie")).args(arguments).output().unwrap();
    let data = format!("{home}/data");
    let said = menagerie(&["log", "verify", "--replay", &data]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("the change of {path} by 0x")) && text.contains("a server does not start"),
        "{text}"
    );
    // The way out: a snapshot of all of it, in the place of the files.
    let new = tempfile::tempdir().unwrap();
    let new = new.path().to_str().unwrap();
    let written = menagerie(&["snapshot", "write", &data, "--to", &format!("{new}/data")]);
    assert_eq!(written.status.code(), Some(0), "{}", String::from_utf8_lossy(&written.stderr));
    assert_eq!(lines("Busy", &[new, jars, "start"])["serves"], true, "{deed}: not even from the snapshot");
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn a_log_that_ends_a_server_by_a_quotas_statistics_is_named_and_a_snapshot_leads_out() {
    ended_by("stats", "/app/a");
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn a_log_that_ends_a_server_by_limits_of_no_path_is_named_and_a_snapshot_leads_out() {
    ended_by("limits", "/zookeeper/a/zookeeper_limits");
}
