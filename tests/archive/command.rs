//! `menagerie archive`, as a person runs it.

use std::fs;
use std::process::{Command, Output};

use menagerie::archive::chains;

use super::build::{Ruin, other, ruin, twofold};
use super::shipping::{IDENTITY, Place, at, chain};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menagerie")).arg("archive").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Three segments.
async fn archived() -> (Place, String) {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    for applied in [3, 6, 9] {
        shipper.ship(at(1, applied), 1).await.unwrap();
    }
    let target = place.store().target().to_string();
    (place, target)
}

#[tokio::test]
async fn what_is_archived_is_listed_verified_and_fetched_as_logs_that_the_other_commands_read() {
    let (_place, target) = archived().await;
    let listed = text(&run(&["list", &target]).stdout);
    assert!(listed.contains(IDENTITY) && listed.contains("3 segments  0x100000001"), "{listed}");
    let verified = run(&["verify", &target]);
    assert_eq!((verified.status.code(), text(&verified.stderr)), (Some(0), String::new()));
    assert!(
        text(&verified.stdout).contains("whole: 9 transactions in 3 segments, 0 gaps"),
        "{}",
        text(&verified.stdout)
    );
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    let fetched = run(&["fetch", &target, "--to", to.to_str().unwrap()]);
    assert_eq!(fetched.status.code(), Some(0), "{}", text(&fetched.stderr));
    let logs = to.join(chain().to_string());
    let counted = Command::new(env!("CARGO_BIN_EXE_menagerie")).args(["log", "stat"]).arg(logs).output().unwrap();
    assert!(text(&counted.stdout).contains('9') && counted.status.success(), "{}", text(&counted.stdout));
    let again = run(&["fetch", &target, "--to", to.to_str().unwrap()]);
    assert!(again.status.code() == Some(2) && text(&again.stderr).contains("is not empty"), "{}", text(&again.stderr));
}

#[tokio::test]
async fn a_missing_segment_is_damage_wherever_it_was() {
    for missing in 0..2 {
        let (place, target) = archived().await;
        let key = chains::segments(&place.store(), IDENTITY, &chain()).await.unwrap().remove(missing);
        fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
        let verified = run(&["verify", &target]);
        assert_eq!(verified.status.code(), Some(1), "{}", text(&verified.stdout));
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("new");
        assert_eq!(run(&["fetch", &target, "--to", to.to_str().unwrap()]).status.code(), Some(1));
    }
}

#[tokio::test]
async fn an_end_that_cannot_be_read_is_shown_and_what_is_behind_it_is_listed() {
    let (place, _) = twofold().await;
    let target = place.store().target().to_string();
    for number in [0, 2] {
        let name = ruin(&place, chain(), number, Ruin::Damaged);
        for command in ["list", "stat"] {
            let listed = run(&[command, &target]);
            assert_eq!(listed.status.code(), Some(1), "{}", text(&listed.stderr));
            assert!(text(&listed.stderr).contains(&format!("{name} is damaged")), "{}", text(&listed.stderr));
            let listed = text(&listed.stdout);
            assert!(listed.contains(&chain().to_string()) && listed.contains('?'), "{listed}");
            assert!(listed.contains(&other().to_string()) && listed.contains("0x100000009"), "{listed}");
        }
    }
}

#[tokio::test]
async fn a_pinned_time_is_found_in_another_disks_log_where_one_cannot_be_read() {
    let (place, _) = twofold().await;
    let target = place.store().target().to_string();
    let prune = || run(&["prune", &target, "--keep", "30d", "--pin", "2023-11-14T22:13:25.5Z"]);
    let name = ruin(&place, chain(), 1, Ruin::Damaged);
    let shown = prune();
    assert!(text(&shown.stderr).contains(&format!("{name} is damaged")), "{}", text(&shown.stderr));
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown.stdout).contains("pin 2023-11-14T22:13:25"), "{}", text(&shown.stdout));
    ruin(&place, other(), 1, Ruin::Damaged);
    let refused = prune();
    assert!(text(&refused.stderr).contains("cannot be read there"), "{}", text(&refused.stderr));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn an_archive_that_is_not_there_is_an_error_in_one_line() {
    for (target, reason) in [
        ("file:///nowhere/at/all", "cannot open file:///nowhere/at/all"),
        ("s3://", "names no bucket"),
        ("gs://bucket", "gs is not supported"),
    ] {
        let output = run(&["list", target]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    let empty = tempfile::tempdir().unwrap();
    let output = run(&["list", &format!("file://{}", empty.path().display())]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("has no archived log"));
}
