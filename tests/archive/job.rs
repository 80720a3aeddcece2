//! `menagerie job prune`: what the `CronJob` of an ensemble runs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use menagerie::archive::key::BaseKey;
use menagerie::archive::retention::GRACE;
use serde_json::Value;

use super::gateway::{BUCKET, Gateway, KEY, PREFIX, SECRET};
use super::proxy::{Proxy, Trouble};
use super::prune::{DAY, age, aged, archived, base, log, run, text};
use super::shipping::{IDENTITY, at, chain};

/// Its exit code and its report.
fn prune(target: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let report = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["job", "--report", report.path().to_str().unwrap(), "prune", "--archive", target])
        .args(arguments)
        .output()
        .unwrap();
    let said = fs::read_to_string(report.path()).unwrap();
    (output.status.code(), serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}: {}", text(&output))))
}

fn month(target: &str) -> (Option<i32>, Value) {
    prune(target, &["--identity", IDENTITY, "--keep-days", "30"])
}

#[tokio::test]
async fn the_job_deletes_what_the_command_deletes_and_reports_how_much() {
    let (place, target) = aged().await;
    let pinned = run(&["archive", "pin", &target, "--at", "0x100000003", "--name", "before-upgrade"]);
    assert!(pinned.status.success(), "{}", text(&pinned));
    let (code, report) = month(&target);
    assert_eq!((code, &report["pruned"]["deleted"]), (Some(0), &2.into()), "{report}");
    assert_eq!(log(&place.store()).await, [2, 3, 5, 6, 7, 8, 9], "a pin is kept");
    assert_eq!(report["pruned"]["rolledUp"], 6, "all but the last: {report}");

    let unpinned = run(&["archive", "unpin", &target, "--name", "before-upgrade"]);
    assert!(unpinned.status.success());
    assert_eq!(month(&target).1["pruned"]["deleted"], 1, "the manifest");
    age(&base(&place, 2).join("retired"), GRACE + 1000);
    let (code, report) = month(&target);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(log(&place.store()).await, [5, 6, 7, 8, 9]);
    let (code, report) = month(&target);
    assert_eq!((code, &report["pruned"]["deleted"]), (Some(0), &0.into()), "{report}");
}

#[tokio::test]
async fn whoever_keeps_more_days_loses_nothing() {
    let (place, target) = aged().await;
    let (code, report) = prune(&target, &["--identity", IDENTITY, "--keep-days", "60"]);
    assert_eq!((code, &report["pruned"]["deleted"]), (Some(0), &0.into()), "{report}");
    assert_eq!(log(&place.store()).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for days in ["0", "36501", "30d"] {
        let refused = run(&["job", "prune", "--archive", &target, "--identity", IDENTITY, "--keep-days", days]);
        assert_eq!(refused.status.code(), Some(2), "{days}: {}", text(&refused));
    }
}

#[tokio::test]
async fn an_archive_without_that_ensemble_is_touched_by_nothing_and_may_have_it_later() {
    let (place, target) = aged().await;
    let (code, report) = prune(&target, &["--identity", "another", "--keep-days", "30"]);
    assert_eq!(code, Some(3));
    assert!(
        report["error"].as_str().unwrap().contains("has no archived log of another: nothing is deleted"),
        "{report}"
    );
    assert!(!place.archive().join("another").exists());
}

#[tokio::test]
async fn a_secret_that_is_missing_is_said_by_its_name_its_field_and_key() {
    let empty = tempfile::tempdir().unwrap();
    let credentials = empty.path().to_str().unwrap();
    let (code, report) = prune(
        "s3://backups",
        &["--identity", IDENTITY, "--keep-days", "30", "--credentials", credentials, "--credentials-secret=pruner"],
    );
    assert_eq!(code, Some(3));
    let words = "Secret pruner of credentialsSecret is missing or has no key accessKeyId";
    assert!(report["error"].as_str().unwrap().contains(words), "{report}");
}

#[tokio::test]
async fn a_pin_that_cannot_be_read_and_damage_are_no_success_and_are_not_tried_again() {
    let (place, target) = aged().await;
    let pins = place.archive().join(IDENTITY).join("pin");
    fs::create_dir_all(&pins).unwrap();
    fs::write(pins.join("odd"), "{}").unwrap();
    let (code, report) = month(&target);
    assert_eq!(code, Some(1));
    assert!(report["error"].as_str().unwrap().contains("pin/odd is no pin that this version reads"), "{report}");
    assert_eq!(log(&place.store()).await.len(), 9, "nothing went");
    fs::remove_dir_all(&pins).unwrap();

    spoil(&base(&place, 5).join("0000"));
    let (code, report) = month(&target);
    assert_eq!(code, Some(1), "{report}");
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("objects deleted; but ") && error.contains("it is not relied on"), "{error}");
}

// The proxy answers while this waits for the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a store: `dev/test archive`"]
async fn keys_that_may_not_delete_are_no_success_and_the_stores_own_words_are_reported() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let store = gateway.store();
    let _place = archived(&store).await;
    // A part of a base that nobody went on with.
    let part = BaseKey { zxid: at(1, 3), chain: chain() }.part(IDENTITY, 0);
    store.put(&part, "part".into()).await.unwrap();
    gateway.age(&part, Duration::from_hours(48));
    let keys = tempfile::tempdir().unwrap();
    fs::write(keys.path().join("accessKeyId"), KEY).unwrap();
    fs::write(keys.path().join("secretAccessKey"), SECRET).unwrap();
    let (target, endpoint) = (format!("s3://{BUCKET}/{PREFIX}"), format!("http://{}", proxy.address));
    let credentials = keys.path().to_str().unwrap();
    let of_a_month =
        ["--identity", IDENTITY, "--keep-days", "30", "--endpoint", &endpoint, "--credentials", credentials];

    proxy.trouble(Some(Trouble::DeletesRefused));
    let (code, report) = prune(&target, &of_a_month);
    assert_eq!(code, Some(1), "{report}");
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("1 refused by the store: locked, or the credentials may not delete"), "{error}");
    assert!(error.contains("the first error: cannot delete s3://backups/zookeeper/a/"), "{error}");
    proxy.trouble(Some(Trouble::DeletesFail));
    assert_eq!(prune(&target, &of_a_month).0, Some(3));
    proxy.trouble(Some(Trouble::Clock("Mon, 01 Jan 2024 00:00:00 GMT")));
    let (code, report) = prune(&target, &of_a_month);
    assert!(code == Some(3) && report["error"].as_str().unwrap().contains("nothing is deleted: "), "{report}");
    assert!(store.get(&part, None).await.unwrap().is_some());

    proxy.trouble(None);
    let (code, report) = prune(&target, &of_a_month);
    assert_eq!((code, &report["pruned"]["deleted"]), (Some(0), &1.into()), "{report}");
    assert!(store.get(&part, None).await.unwrap().is_none());

    fs::write(keys.path().join("secretAccessKey"), "wrong").unwrap();
    let (code, report) = prune(&target, &of_a_month);
    let error = report["error"].as_str().unwrap();
    assert!(code == Some(1) && error.contains("SignatureDoesNotMatch") && !error.contains("wrong"), "{error}");
}

/// Other content of the same size and age.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    age(path, 35 * DAY);
}
