//! `menagerie archive`, as a person runs it.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Output};

use menagerie::archive::about::About;
use menagerie::archive::chains;
use menagerie::archive::plans::{self, PlanKey};

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

fn json(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_is_fetched_pinned_and_unpinned_is_said_as_json_where_that_is_asked_for() {
    let (place, target) = archived().await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    let fetched = json(&run(&["fetch", &target, "--to", to.to_str().unwrap(), "--output", "json"]));
    let logs = to.join(chain().to_string());
    assert_eq!(fetched.len(), 1, "{fetched:?}");
    let expected = serde_json::json!({
        "identity": IDENTITY, "member": chain().member.0, "disk": chain().disk.to_string(),
        "folder": logs.to_str().unwrap(), "logs": 3, "transactions": 9, "gaps": [], "pruned": [], "rolled": false, "damage": [],
    });
    assert_eq!(fetched[0], expected);

    let pin = ["pin", &target, "--at", "0x100000004", "--name", "four", "--for", "12m", "-o", "json"];
    let pinned = json(&run(&pin)).remove(0);
    assert!(pinned["until"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{pinned}");
    let zxid = "0x100000004";
    for (field, value) in [("identity", IDENTITY), ("name", "four"), ("from", zxid), ("to", zxid)] {
        assert_eq!(pinned[field], value);
    }
    assert_eq!(pinned["pinned"], true);
    let unpinned = json(&run(&["unpin", &target, "--name", "four", "-o", "json"])).remove(0);
    assert_eq!(unpinned, serde_json::json!({"identity": IDENTITY, "name": "four", "pinned": false}));

    let key = chains::segments(&place.store(), IDENTITY, &chain()).await.unwrap().remove(1);
    fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
    let damaged = run(&["fetch", &target, "--to", folder.path().join("other").to_str().unwrap(), "-o", "json"]);
    assert_eq!((damaged.status.code(), text(&damaged.stderr)), (Some(1), String::new()));
    assert_eq!(json(&damaged)[0]["damage"].as_array().unwrap().len(), 1);
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
        let name = ruin(&place, &chain(), number, Ruin::Damaged);
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
    let name = ruin(&place, &chain(), 1, Ruin::Damaged);
    let shown = prune();
    assert!(text(&shown.stderr).contains(&format!("{name} is damaged")), "{}", text(&shown.stderr));
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown.stdout).contains("pin 2023-11-14T22:13:25"), "{}", text(&shown.stdout));
    ruin(&place, &other(), 1, Ruin::Damaged);
    let refused = prune();
    assert!(text(&refused.stderr).contains("cannot be read there"), "{}", text(&refused.stderr));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn an_archive_that_is_not_there_is_an_error_in_one_line() {
    for (target, reason) in [
        ("file:///nowhere/at/all", "cannot open file:///nowhere/at/all"),
        ("s3://", "names no bucket"),
        ("ftp://bucket", "ftp is not supported"),
    ] {
        let output = run(&["list", target]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    let empty = tempfile::tempdir().unwrap();
    let output = run(&["list", &format!("file://{}", empty.path().display())]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("has no archived log"));
}

/// The library panicked when it signed the first request.
#[test]
fn an_address_that_is_none_is_refused_in_one_sentence() {
    let list = |endpoint: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
        command.args(["archive", "list", "s3://b/p"]).env("AWS_ENDPOINT_URL", endpoint);
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env_remove("AWS_ALLOW_HTTP");
        command.output().unwrap()
    };
    for (endpoint, reason) in [
        ("minio:9000", "AWS_ENDPOINT_URL must be https://HOST or https://HOST:PORT"),
        ("http://127.0.0.1:1", "set AWS_ALLOW_HTTP=true if that is meant, or use https://"),
    ] {
        let output = list(endpoint);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

/// `menagerie archive list` of a store in an environment of its own.
fn list_in(target: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
    command.args(["archive", "list", target]).env_clear().envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    text(&output.stderr)
}

#[test]
fn the_environment_is_named_where_it_is_wrong_and_an_empty_variable_says_nothing() {
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let dead =
        [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ALLOW_HTTP", "1"), ("ALL_PROXY", "http://u:p@127.0.0.1:2")];
    let said = list_in("s3://b/p", &[&keys[..], &dead[..]].concat());
    assert!(said.contains("at 127.0.0.1:1 (ALL_PROXY is 127.0.0.1:2)") && !said.contains("u:p"), "{said}");
    let copied = [("AWS_ENDPOINT_URL", "https://b-1.s3.eu-central-1.amazonaws.com")];
    let said = list_in("s3://b-1/p", &[&keys[..], &copied[..]].concat());
    assert!(
        said.contains("AWS_ENDPOINT_URL begins with the bucket's name") && said.contains("write https://s3.eu"),
        "{said}"
    );
    let bad = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json"), ("GOOGLE_SERVICE_ACCOUNT", "")];
    let said = list_in("gs://b/p", &bad);
    assert!(said.contains("It comes from GOOGLE_APPLICATION_CREDENTIALS"), "{said}");
    let said = list_in("az://a/c", &[("AZURE_STORAGE_ACCOUNT_KEY", ""), ("AZURE_STORAGE_SAS_TOKEN", "hunter2")]);
    assert!(said.contains("AZURE_STORAGE_SAS_TOKEN") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn who_names_a_folder_too_deep_or_too_high_is_told_which_one_is_meant() {
    let (_place, target) = archived().await;
    for command in [&["list"][..], &["stat"], &["verify"], &["prune", "--keep", "30d"]] {
        let output = run(&[command, &[&format!("{target}/{IDENTITY}")]].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(&format!("it is the folder of one ensemble; name {target} --identity {IDENTITY}")),
            "{error}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    assert!(run(&["fetch", &target, "--to", to.to_str().unwrap()]).status.success());
    let menagerie = Command::new(env!("CARGO_BIN_EXE_menagerie")).args(["snapshot", "tree"]).arg(&to).output().unwrap();
    let error = text(&menagerie.stderr);
    assert!(error.contains(&format!("did you mean {}?", to.join(chain().to_string()).display())), "{error}");
}

#[tokio::test]
async fn a_prune_of_an_archive_without_a_base_says_why_nothing_goes() {
    let (_place, target) = archived().await;
    let shown = text(&run(&["prune", &target, "--keep", "1h"]).stdout);
    assert!(shown.contains("there is no whole base: every point is built from the log alone"), "{shown}");
}

#[tokio::test]
async fn where_an_archive_has_several_ensembles_all_are_named() {
    let (place, target) = archived().await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    let other = IDENTITY.replace("0b5c", "ffff");
    copied(&place.archive().join(IDENTITY), &place.archive().join(&other));
    let refused = text(&run(&["fetch", &target, "--to", to.to_str().unwrap()]).stderr);
    assert!(refused.contains(&format!("more than one ensemble: {IDENTITY}, up to 2023-11-14T22:13:2")), "{refused}");
    assert!(refused.contains(&format!("; {other}, up to ")), "{refused}");
    let begins = text(&run(&["list", &target, "--identity", "ffff"]).stdout);
    assert!(begins.contains(&other) && !begins.contains(IDENTITY), "{begins}");
    let both = text(&run(&["list", &target, "--identity", "zk"]).stderr);
    assert!(both.contains("has no archived log of zk: it has"), "{both}");
    for identity in [IDENTITY, &other] {
        let about = About::new("prod", "zk", None);
        about.tell(&place.store(), identity).await.unwrap();
    }
    let both = text(&run(&["list", &target, "--identity", "prod/zk"]).stderr);
    assert!(both.contains("prod/zk may be") && both.contains("(prod/zk), up to"), "{both}");
}

/// The prefix was a letter short, and nobody was told which there are.
#[tokio::test]
async fn who_names_another_folder_is_told_which_are_there_and_an_ensemble_is_found_by_its_name() {
    let (place, target) = archived().await;
    let above = tempfile::tempdir().unwrap();
    copied(&place.archive(), &above.path().join("zk3"));
    fs::create_dir(above.path().join("zookeeper")).unwrap();
    let error = text(&run(&["list", &format!("file://{}", above.path().display())]).stderr);
    assert!(error.contains("has no archived log; below it are folders: zk3/, zookeeper/"), "{error}");
    About::new("prod", "zk", None).tell(&place.store(), IDENTITY).await.unwrap();
    for asked in ["zk", "prod/zk", &IDENTITY[..6], IDENTITY] {
        let listed = run(&["list", &target, "--identity", asked]);
        assert!(text(&listed.stdout).contains("3 segments"), "{asked}: {}", text(&listed.stderr));
    }
    // What is deleted is named by what is never another's.
    let refused = text(&run(&["prune", &target, "--keep", "30d", "--identity", "zk", "--delete"]).stderr);
    assert!(refused.contains(&format!("nothing is deleted by a name: give --identity {IDENTITY}")), "{refused}");
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copied(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Of a lost cluster, two readers had nothing but uids to choose from.
#[tokio::test]
async fn whose_an_archive_is_stands_in_it_and_nothing_that_no_ensemble_can_be_called() {
    let (place, target) = archived().await;
    let list = || text(&run(&["list", &target]).stdout);
    assert!(list().contains(&format!("ensemble {IDENTITY}\n")), "{}", list());
    About::new("", "b\u{1b}[31m", None).tell(&place.store(), IDENTITY).await.unwrap();
    About::new("prod", "zk", None).tell(&place.store(), IDENTITY).await.unwrap();
    About::new("prod", "later", None).tell(&place.store(), IDENTITY).await.unwrap();
    assert!(list().contains(&format!("ensemble {IDENTITY} (prod/zk)\n")), "{}", list());
    let stat = text(&run(&["stat", &target]).stdout);
    assert!(stat.contains(&format!("ensemble {IDENTITY} (prod/zk): ")), "{stat}");
    let json = text(&run(&["list", &target, "--output", "json"]).stdout);
    assert!(json.contains(r#""namespace":"prod","ensemble":"zk""#), "{json}");
    fs::write(place.archive().join(IDENTITY).join("ensemble"), r#"{"format":1,"namespace":"a\nb","ensemble":"zk"}"#)
        .unwrap();
    assert!(list().contains(&format!("ensemble {IDENTITY}\n")), "{}", list());
}

/// Stores a plan, and says that this was so many hours ago.
async fn planned(place: &Place, restore: &str, hash: &str, hours: u64) -> std::path::PathBuf {
    let mut packed = tempfile::tempfile().unwrap();
    packed.write_all(b"a packed plan").unwrap();
    packed.rewind().unwrap();
    let key = PlanKey { identity: IDENTITY.to_owned(), restore: restore.to_owned(), hash: hash.repeat(32) };
    let store = place.store();
    plans::store(&store, &key, &mut packed).await.unwrap();
    let root = store.target().to_string();
    let folder = Path::new(root.strip_prefix("file://").unwrap()).join(key.folder());
    let then = std::time::SystemTime::now() - std::time::Duration::from_hours(hours);
    for object in fs::read_dir(&folder).unwrap() {
        fs::File::options().append(true).open(object.unwrap().path()).unwrap().set_modified(then).unwrap();
    }
    folder
}

#[tokio::test]
async fn plans_of_restores_are_listed_and_deleted_by_their_age_or_restore_and_nothing_else_is() {
    let (place, target) = archived().await;
    let before = place.store().names("").await.unwrap();
    let old = planned(&place, "u-1", "aa", 50).await;
    let older = planned(&place, "u-1", "bb", 60).await;
    let young = planned(&place, "u-2", "aa", 2).await;
    let half = planned(&place, "u-3", "cc", 50).await;
    fs::remove_file(half.join("manifest")).unwrap();
    // Whoever may put into a bucket chooses names in it.
    let plans = place.archive().join(IDENTITY).join("plan");
    fs::write(half.join("x\u{202e}"), "").unwrap();
    fs::create_dir_all(plans.join("u-1").join("a\u{202e}")).unwrap();
    fs::write(plans.join("u-1").join("a\u{202e}").join("manifest"), "").unwrap();
    let output = run(&["plans", "list", &target]);
    let (listed, told) = (text(&output.stdout), text(&output.stderr));
    assert!(told.contains("2 strange objects") && !listed.contains('\u{202e}'), "{told} {listed}");
    fs::remove_file(half.join("x\u{202e}")).unwrap();
    fs::remove_dir_all(plans.join("u-1").join("a\u{202e}")).unwrap();
    assert!(listed.starts_with(&format!("ensemble {IDENTITY}: 4 plans, ")), "{listed}");
    let lines: Vec<&str> = listed.lines().skip(1).collect();
    assert!(lines[0].contains("restore u-1  plan bb") && lines[3].contains("restore u-2  plan aa"), "{listed}");
    assert!(lines[1..3].iter().any(|line| line.contains("u-3") && line.ends_with("NOT WHOLE")), "{listed}");

    let said = |arguments: &[&str]| {
        let output = run(&[&["plans", "delete", &target], arguments].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    for (arguments, words) in [
        (&[][..], "--older-than"),
        (&["--older-than", "10m"], "an hour at least"),
        (&["--older-than", "30d", "--identity", &IDENTITY[..3]], "nothing is deleted by a name"),
    ] {
        let (code, told) = said(arguments);
        assert!(code == Some(2) && told.contains(words), "{arguments:?}: {told}");
    }
    let (code, told) = said(&["--older-than", "2d"]);
    assert!(code == Some(0) && told.contains("3 plans deleted"), "{told}");
    assert!(!old.exists() && !older.exists() && !half.exists() && young.exists());
    let (code, told) = said(&["--restore", "u-1"]);
    assert!(code == Some(2) && told.contains("has no stored plan of restore u-1"), "{told}");
    let (code, told) = said(&["--restore", "u-2"]);
    assert!(code == Some(0) && told.contains("1 plans deleted"), "{told}");
    let mut after = place.store().names("").await.unwrap();
    after.retain(|name| !name.contains("/probe/"));
    assert_eq!(after, before);
}

#[tokio::test]
async fn plans_of_an_ensemble_whose_log_is_gone_are_deleted_as_they_are_listed() {
    let (place, target) = archived().await;
    planned(&place, "u-1", "aa", 50).await;
    let folder = place.archive().join(IDENTITY);
    fs::remove_dir_all(folder.join("log")).unwrap();
    // Another ensemble without plans is not meant.
    fs::create_dir_all(place.archive().join("other-one").join("base")).unwrap();
    fs::write(place.archive().join("other-one").join("base").join("x"), "").unwrap();
    let listed = text(&run(&["plans", "list", &target]).stdout);
    assert!(listed.contains("1 plans"), "{listed}");
    let refused = run(&["plans", "delete", &target, "--identity", &IDENTITY[..3], "--restore", "u-1"]);
    let told = text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && told.contains(&format!("give --identity {IDENTITY}")), "{told}");
    let nobody = run(&["plans", "delete", &target, "--identity", "nobody", "--restore", "u-1"]);
    assert_eq!(nobody.status.code(), Some(2));
    for more in [&["--identity", IDENTITY][..], &[]] {
        planned(&place, "u-1", "aa", 50).await;
        let deleted = run(&[&["plans", "delete", &target, "--restore", "u-1"], more].concat());
        let told = text(&deleted.stdout) + &text(&deleted.stderr);
        assert!(deleted.status.code() == Some(0) && told.contains("1 plans deleted"), "{told}");
    }
    let gone = run(&["plans", "delete", &target, "--older-than", "2d"]);
    assert!(gone.status.code() == Some(2) && text(&gone.stderr).contains("no stored plans"), "{}", text(&gone.stderr));
}
