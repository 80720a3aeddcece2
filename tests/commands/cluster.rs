//! `menagerie backup`, and `menagerie restore` by the operator, on an API server in memory.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::process::Stdio;

use menagerie::archive::plans::{self, PlanKey};
use menagerie::archive::store::Store;
use menagerie::restore::live::Live;
use menagerie::restore::options::Options;
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::{LONGEST, PlanFile};
use menagerie::restore::scope::{Scope, Top};
use menagerie::restore::wanted::{Limits, Wanted};
use serde_json::json;

use super::api_server::{ApiServer, forbidden};
use super::*;

fn status(phase: &str, reason: &str, message: &str) -> Value {
    json!({
        "phase": phase, "observedGeneration": 1,
        "conditions": [{"type": "Completed", "reason": reason, "message": message}],
    })
}

#[test]
fn a_backup_is_created_by_its_ensembles_name_and_followed_until_it_is_completed() {
    let api = ApiServer::start();
    api.has_ensemble("zk");
    api.goes(
        "zookeeperbackups/zk-abcde",
        [
            status("Running", "Running", "a Job"),
            status("Running", "Running", "a Job"),
            status("Completed", "Completed", "as of 0x1"),
        ],
    );
    let create = ["backup", "create", "zk", "--keep-days", "7", "--level", "server", "--at", "0x10000002a", "--wait"];
    let (code, name, told) = api.said(&create);
    assert_eq!((code, name.as_str()), (0, "zk-abcde\n"), "its name alone, for scripts: {told}");
    assert_eq!(told, "backup zk-abcde Running: a Job\nbackup zk-abcde Completed: as of 0x1\n");
    let spec = &api.object("zookeeperbackups/zk-abcde").unwrap()["spec"];
    assert_eq!(*spec, json!({"ensemble": "zk", "at": "0x10000002a", "keepDays": 7, "level": "Server"}));
    // It is over: whoever looks later is told at once.
    let (code, told, _) = api.said(&["backup", "watch", "zk-abcde"]);
    assert_eq!((code, told.as_str()), (0, "backup zk-abcde Completed: as of 0x1\n"));
    let (code, _, told) = api.said(&["backup", "create", "zk", "--name", "zk-abcde"]);
    assert!(code == 2 && told.contains("Take another --name"), "{told}");
}

#[test]
fn a_backup_that_fails_ends_with_another_code_and_the_operators_words() {
    let api = ApiServer::start();
    api.has_ensemble("zk");
    api.goes("zookeeperbackups/one", [status("Failed", "NotProved", "no way")]);
    let (code, _, told) = api.said(&["backup", "create", "zk", "--name", "one", "--wait"]);
    assert_eq!((code, told.as_str()), (1, "backup one Failed (NotProved): no way\n"));
    let (code, told, _) = api.said(&["backup", "watch", "one", "--timeout", "5s"]);
    assert_eq!((code, told.as_str()), (1, "backup one Failed (NotProved): no way\n"));
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let api = ApiServer::start();
    let said = |arguments: &[&str], expected: &[&str]| {
        let (code, _, told) = api.said(arguments);
        for words in expected {
            assert!(code == 2 && told.contains(words), "{arguments:?}: {told}");
        }
    };
    said(&["backup", "create", "zk"], &["no ZooKeeperEnsemble zk in namespace prod, and none in any other"]);
    api.has("other", "zookeeperensembles/zk", &json!({"spec": {}}));
    said(&["backup", "create", "zk"], &["Name another --namespace: there is other/zk"]);
    said(&["backup", "create", "zk", "-n", "other"], &["ensemble zk has no spec.archive", "spec.to"]);
    let paths = ["restore", "create", "zk", "-n", "other", "--path", "/app"];
    said(&[&paths[..], &["--at", "0x1"]].concat(), &["ensemble zk has no spec.archive", "--backup NAME"]);
    // A backup may have a store of its own.
    let (code, _, told) = api.said(&[&paths[..], &["--backup", "copy"]].concat());
    assert_eq!(code, 0, "{told}");
    api.has_ensemble("orders");
    said(&["restore", "create", "zk", "--undo", "0x1"], &["no ZooKeeperEnsemble zk", "it has orders"]);
    api.has("prod", "zookeeperbackups/nightly", &json!({"spec": {}}));
    for command in ["watch", "delete"] {
        said(&["backup", command, "night"], &["no ZooKeeperBackup night in namespace prod: it has nightly"]);
    }
    said(&["backup", "list", "--context", "nowhere"], &["nowhere", "kubectl config get-contexts"]);
    said(&["backup", "list", "--context", "away"], &["http://127.0.0.1:1", "Is the API server up at", "--context"]);
    said(&["backup", "watch", "a/../b"], &["a name has small letters"]);
    said(&["backup", "create", "zk", "--at", "2026-11-23T19:52:00"], &["without its zone: write 2026-11-23T19:52:00Z"]);
    said(&["backup", "create", "zk", "--at", "2126-11-23T19:52:00Z"], &["still to come", "is its zone right?"]);
    said(&["backup", "create", "zk", "--keep-days", "0"], &["--keep-days"]);
    for command in [&["backup", "create", "zk"][..], &["restore", "approve", "undo", "--hash", &"a".repeat(64)]] {
        said(&[command, &["--timeout", "5m"]].concat(), &["--wait"]);
    }
    said(&["backup", "watch", "b", "--timeout", "1"], &["is no time span", "1m (minutes)"]);
}

#[test]
fn a_refusal_is_said_with_what_can_be_done() {
    let api = ApiServer::start();
    let list = ["backup", "list"];
    for (code, body, words) in [
        (404, "404 page not found", "does not know ZooKeeperBackup: is it the one that you mean"),
        (401, "Unauthorized", "log in again"),
        (403, &forbidden("User \"a\" cannot list resource \"zookeeperbackups\""), "Who may view the namespace"),
    ] {
        api.refuses(code, body);
        let (exit, _, told) = api.said(&list);
        assert!(exit == 2 && told.contains(words), "{code}: {told}");
    }
    // Who may not see ensembles may make backups; and who may neither is told by whom it is done.
    api.refuses(403, &forbidden("User \"a\" cannot create resource \"zookeeperrestores\""));
    let (exit, _, told) = api.said(&["restore", "create", "zk", "--undo", "0x1"]);
    assert!(exit == 2 && told.contains("bound to the ClusterRole menagerie-restore"), "{told}");
    assert!(api.asked().last().unwrap().starts_with("POST "), "{:?}", api.asked());
}

#[test]
fn what_has_not_come_to_its_end_in_time_or_is_interrupted_goes_on_and_that_is_said() {
    let api = ApiServer::start();
    api.has("prod", "zookeeperbackups/one", &json!({"spec": {}, "status": status("Running", "Running", "a Job")}));
    let (code, _, told) = api.said(&["backup", "watch", "one", "--timeout", "2s"]);
    assert!(code == 2 && told.contains("within 2s (Running, Running); the backup goes on by itself"), "{told}");
    assert!(told.contains("menagerie backup watch one --namespace prod looks again"), "{told}");
    let mut child = api.command(&["backup", "watch", "one"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "backup one Running: a Job\n");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(told.contains("interrupted; the backup goes on by itself"), "{told}");
}

#[test]
fn one_that_the_operator_does_not_see_is_told_why_that_may_be() {
    let api = ApiServer::start();
    api.has("prod", "zookeeperbackups/one", &json!({"spec": {}}));
    let (code, told, _) = api.said(&["backup", "watch", "one", "--timeout", "1s"]);
    assert!(code == 2 && told.contains("the operator has said nothing of it yet"), "{told}");
}

#[test]
fn one_that_is_deleted_while_it_is_watched_is_not_completed() {
    let api = ApiServer::start();
    api.has_ensemble("zk");
    api.has("prod", "zookeeperbackups/one", &json!({"spec": {}, "status": status("Running", "Running", "a Job")}));
    let mut child = api.command(&["backup", "watch", "one"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (code, told, _) = api.said(&["backup", "delete", "one"]);
    assert_eq!((code, told.as_str()), (0, "one deleted\n"));
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(told.contains("one was deleted meanwhile"), "{told}");
}

#[test]
fn backups_are_listed_and_who_deletes_one_is_told_what_its_archive_keeps() {
    let api = ApiServer::start();
    let done = json!({
        "phase": "Completed", "zxid": "0x10000002a", "time": "2026-11-23T19:52:00Z", "verified": {"level": "Replay"},
        "pin": "one.u-1", "archive": "s3://b/zk in eu", "identity": "i", "expires": "2026-12-23T19:52:00Z",
        "conditions": [{"type": "Completed", "reason": "Completed", "message": "as of 0x10000002a"}],
    });
    api.has("prod", "zookeeperbackups/one", &json!({"spec": {"ensemble": "zk"}, "status": done}));
    api.has("prod", "zookeeperbackups/two", &json!({"spec": {"ensemble": "other"}}));
    let (code, all, _) = api.said(&["backup", "list"]);
    assert_eq!((code, all.lines().count()), (0, 3), "{all}");
    assert!(all.starts_with("NAME   ENSEMBLE   PHASE       REASON      LEVEL    ZXID"), "{all}");
    let (_, lines) = {
        let (code, out, _) = api.said(&["backup", "list", "zk", "--output", "json"]);
        (code, out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>())
    };
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["zxid"], &lines[0]["level"]), (&json!("0x10000002a"), &json!("Replay")));
    let (code, told, _) = api.said(&["backup", "delete", "one"]);
    let unpin = "until menagerie archive unpin s3://b/zk --identity i --name one.u-1";
    assert!(code == 0 && told.contains("until 2026-12-23T19:52:00Z, or until") && told.contains(unpin), "{told}");
    assert!(api.object("zookeeperbackups/one").is_none());
}

fn planned(hash: &str) -> Value {
    json!({
        "phase": "Planned", "observedGeneration": 1, "identity": "i", "archive": "s3://b in eu at https://s3",
        "plan": {"hash": hash, "pod": "undo-plan-x"},
        "conditions": [
            {"type": "Planned", "reason": "Planned", "message": "as of 0x1: 1 to create"},
            {"type": "Completed", "reason": "DryRun", "message": "nothing is changed"},
        ],
    })
}

#[test]
fn a_restore_is_planned_shown_and_carried_out_only_as_it_was_shown() {
    let api = ApiServer::start();
    api.has_ensemble("zk");
    let hash = "a".repeat(64);
    api.goes("zookeeperrestores/undo", [status("Planning", "Planning", "a Job"), planned(&hash)]);
    let create = ["restore", "create", "zk", "--at", "0x10000002a", "--path", "/app", "--name", "undo", "--wait"];
    let (code, name, told) = api.said(&create);
    assert_eq!((code, name.as_str()), (0, "undo\n"), "{told}");
    assert!(told.contains("restore undo Planned: as of 0x1: 1 to create"), "{told}");
    let approve = format!("menagerie restore approve undo --namespace prod --hash {hash}");
    assert!(told.contains(&approve) && told.contains("menagerie restore show undo --namespace prod"), "{told}");
    let spec = |api: &ApiServer| api.object("zookeeperrestores/undo").unwrap()["spec"].clone();
    assert!(spec(&api)["dryRun"].is_null(), "nothing is changed by itself");

    // The differences are in the log of the Job's pod.
    let show = |api: &ApiServer| api.said(&["restore", "show", "undo"]);
    let (code, _, told) = show(&api);
    assert!(code == 2 && told.contains("in s3://b in eu at https://s3, under i/plan/u-1/aaaa"), "{told}");
    assert!(told.contains("AWS_REGION=eu, AWS_ENDPOINT_URL=https://s3, and run menagerie restore show undo"), "{told}");
    let said = format!("2026-11-28T02:10:39.1Z  INFO reading\ncreate /app/a  1 bytes\nplan {hash}\n");
    api.logs("undo-plan-x", "u-1", &said);
    let (code, shown, told) = show(&api);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("what the log of pod undo-plan-x says") && told.contains("it is not proved"), "{told}");
    assert!(shown.ends_with(&format!("create /app/a  1 bytes\nplan {hash}\n")) && !shown.contains("INFO"), "{shown}");
    let (code, shown, _) = api.said(&["restore", "show", "undo", "--output", "json"]);
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, shown.len(), &shown[0]["name"]), (0, 2, &json!("undo")));
    let lines = ["create /app/a  1 bytes".to_owned(), format!("plan {hash}")];
    assert_eq!(shown[1], json!({"hash": hash, "lines": lines}));
    // The log of another plan is not this one's.
    for other in ["create /other\nplan b\n".to_owned(), format!("plan {hash}\ncreate /other\nplan b\n")] {
        api.logs("undo-plan-x", "u-1", &other);
        let (code, shown, told) = show(&api);
        assert!(code == 2 && told.contains("does not end with this plan") && !shown.contains("/other"), "{told}");
    }
    // Nor is a pod that the status names, and that is another's.
    api.logs("undo-plan-x", "u-2", &said);
    let (code, _, told) = show(&api);
    assert!(code == 2 && told.contains("pod undo-plan-x is of no Job of this restore"), "{told}");
    api.forgets_jobs();
    let (code, _, told) = show(&api);
    assert!(code == 0 && told.contains("its Job cannot be read"), "{told}");

    let other = "b".repeat(64);
    let (code, _, told) = api.said(&["restore", "approve", "undo", "--hash", &other]);
    assert!(code == 2 && told.contains(&format!("is {hash}, and not {other}: nothing is approved")), "{told}");
    assert!(spec(&api)["dryRun"].is_null());
    // Its status speaks of the time before the approval at first.
    api.goes(
        "zookeeperrestores/undo",
        [
            planned(&hash),
            planned(&hash),
            status("Applying", "Applying", "a Job"),
            status("Completed", "Completed", "done"),
        ],
    );
    let (code, told, _) = api.said(&["restore", "approve", "undo", "--hash", &hash, "--wait"]);
    assert!(code == 0 && told.ends_with("restore undo Completed: done\n"), "{told}");
    assert_eq!((&spec(&api)["dryRun"], &spec(&api)["approvedPlan"]), (&json!(false), &json!(hash)));
    let (code, _, told) = api.said(&["restore", "approve", "undo", "--hash", &hash]);
    assert!(code == 2 && told.contains("completed already"), "{told}");
}

#[test]
fn restores_are_listed_and_who_deletes_one_is_told_what_stays() {
    let api = ApiServer::start();
    let hash = "a".repeat(64);
    let mut done = planned(&hash);
    done["plan"]["changes"] = json!(7);
    let spec = |more: Value| json!({"spec": more, "status": done});
    api.has("prod", "zookeeperrestores/a", &spec(json!({"ensemble": "zk", "at": "0x10000002a", "paths": ["/app"]})));
    api.has("prod", "zookeeperrestores/b", &spec(json!({"ensemble": "zk", "undo": "0x100000009"})));
    api.has("prod", "zookeeperrestores/c", &json!({"spec": {"ensemble": "other", "backup": "before", "paths": ["/"]}}));
    let (code, all, _) = api.said(&["restore", "list"]);
    assert_eq!((code, all.lines().count()), (0, 4), "{all}");
    assert!(all.starts_with("NAME   ENSEMBLE   POINT              PHASE     REASON    CHANGES   CREATED\n"), "{all}");
    for words in ["0x10000002a        Planned   Planned   7", "undo 0x100000009", "backup before"] {
        assert!(all.contains(words), "{words}: {all}");
    }
    let (_, lines, _) = api.said(&["restore", "list", "zk", "--output", "json"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let expected = json!({
        "name": "b", "ensemble": "zk", "undo": "0x100000009", "phase": "Planned", "reason": "Planned", "changes": 7,
        "hash": hash, "created": "", "message": "as of 0x1: 1 to create",
    });
    assert_eq!(lines[1], expected);

    let plans = "its plan until menagerie archive plans delete s3://b --identity i --restore u-1";
    let (code, told, _) = api.said(&["restore", "delete", "a"]);
    assert!(code == 0 && told.starts_with("a deleted; ") && told.contains(plans), "{told}");
    assert!(!told.contains("carried out"), "{told}");
    let mut applying = done.clone();
    applying["phase"] = json!("Applying");
    api.has("prod", "zookeeperrestores/b", &json!({"spec": {"ensemble": "zk"}, "status": applying}));
    let (code, told, _) = api.said(&["restore", "delete", "b", "c"]);
    assert!(
        code == 0 && told.contains("b deleted; it was being carried out") && told.ends_with("c deleted\n"),
        "{told}"
    );
    assert!(["a", "b", "c"].iter().all(|name| api.object(&format!("zookeeperrestores/{name}")).is_none()));
    let (code, told, said) = api.said(&["restore", "list"]);
    assert_eq!((code, told.as_str(), said.as_str()), (0, "", "there is no ZooKeeperRestore in namespace prod\n"));
    let (_, _, said) = api.said(&["restore", "list", "zk"]);
    assert_eq!(said, "there is no ZooKeeperRestore of ensemble zk in namespace prod\n");
    let (code, _, said) = api.said(&["restore", "delete", "a"]);
    assert!(code == 2 && said.contains("there is no ZooKeeperRestore a in namespace prod"), "{said}");
}

fn full(api: &ApiServer, arguments: &[&str]) -> (Option<i32>, String) {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = api.command(arguments).stdout(full()).output().unwrap();
    let code = api.command(&["backup", "watch", "none"]).stderr(full()).output().unwrap().status.code();
    assert_eq!(code, Some(2), "an error that nobody can read is an error all the same");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_after_all_was_done() {
    let api = ApiServer::start();
    api.has_ensemble("zk");
    for name in ["a", "b", "c"] {
        api.has("prod", &format!("zookeeperbackups/{name}"), &json!({"spec": {"ensemble": "zk"}}));
    }
    let (code, told) = full(&api, &["backup", "delete", "a", "b", "c"]);
    assert!(code == Some(2) && told.contains("a, b, c: deleted; cannot write"), "{told}");
    assert!(["a", "b", "c"].iter().all(|name| api.object(&format!("zookeeperbackups/{name}")).is_none()));
    let (code, told) = full(&api, &["backup", "create", "zk", "--name", "one"]);
    assert!(code == Some(2) && told.contains("backup one is created; cannot write"), "{told}");
    let hash = "a".repeat(64);
    api.has("prod", "zookeeperrestores/undo", &json!({"spec": {"ensemble": "zk"}, "status": planned(&hash)}));
    let (code, told) = full(&api, &["restore", "approve", "undo", "--hash", &hash]);
    assert!(code == Some(2) && told.contains("is approved; cannot write"), "{told}");
    assert_eq!(api.object("zookeeperrestores/undo").unwrap()["spec"]["approvedPlan"], json!(hash));
}

#[test]
fn a_status_has_no_words_in_the_commands_that_are_pasted_nor_does_it_reach_the_terminal() {
    let api = ApiServer::start();
    let deleted = |status: Value| {
        api.has("prod", "zookeeperbackups/one", &json!({"spec": {"ensemble": "zk"}, "status": status}));
        let (code, told, _) = api.said(&["backup", "delete", "one"]);
        assert!(code == 0 && !told.contains('\u{1b}') && told.lines().count() == 1, "{told}");
        told
    };
    let status = |pin: &str, archive: &str, identity: &str, expires: &str| json!({"phase": "Completed", "pin": pin, "archive": archive, "identity": identity, "expires": expires});
    let told = deleted(status("one.u", "s3://b/$(a)", "i", "\u{1b}[31m\n"));
    assert!(told.contains("unpin 's3://b/$(a)' --identity i --name one.u"), "{told}");
    for wrong in [
        status("p;reboot", "s3://b", "i", "later"),
        status("p", "s3://b", "i\nreboot", "later"),
        status("p", "\u{1b}[2J;reboot", "i", "later"),
    ] {
        let told = deleted(wrong);
        assert!(!told.contains("archive unpin"), "{told}");
    }
    let restore = json!({"spec": {"ensemble": "zk"}, "status": planned("a; reboot")});
    api.has("prod", "zookeeperrestores/undo", &restore);
    let (_, told, _) = api.said(&["restore", "watch", "undo"]);
    assert!(!told.contains("reboot"), "{told}");
    let (code, _, told) = api.said(&["restore", "show", "undo"]);
    assert!(code == 2 && told.contains("status.plan.hash: not 64 hexadecimal digits"), "{told}");
}

#[test]
fn a_spec_that_was_corrected_is_no_invalid_one_and_what_is_over_is_over() {
    let api = ApiServer::start();
    let watched = |generation: i64, phase: &str| {
        let mut status = status(phase, "InvalidSpec", "keepDays");
        status["conditions"][0]["observedGeneration"] = json!(1);
        let metadata = json!({"name": "one", "namespace": "prod", "uid": "u-1", "generation": generation});
        api.has("prod", "zookeeperbackups/one", &json!({"metadata": metadata, "spec": {}, "status": status}));
        api.said(&["backup", "watch", "one", "--timeout", "1s"])
    };
    let (code, told, _) = watched(1, "Pending");
    assert_eq!((code, told.as_str()), (1, "backup one Pending (InvalidSpec): keepDays\n"));
    let (code, told, _) = watched(2, "Pending");
    assert!(code == 2 && told.contains("has not seen the corrected spec yet"), "{told}");
    assert_eq!((watched(1, "Completed").0, watched(2, "Completed").0, watched(2, "Failed").0), (0, 0, 1));
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_not_passed_over_for_a_pods_account() {
    let api = ApiServer::start();
    let folder = tempfile::tempdir().unwrap();
    let in_a_pod = |config: Option<&std::path::Path>| {
        let mut command = api.command(&["backup", "list"]);
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", "1");
        command.env("HOME", folder.path()).env_remove("KUBECONFIG");
        if let Some(config) = config {
            command.env("KUBECONFIG", config);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let account = "failed to read the default namespace";
    assert!(in_a_pod(None).contains(account), "{}", in_a_pod(None));
    let told = in_a_pod(Some(&folder.path().join("none")));
    assert!(told.contains("none") && !told.contains(account), "{told}");
    std::fs::create_dir(folder.path().join(".kube")).unwrap();
    std::fs::write(folder.path().join(".kube").join("config"), "clusters: 7").unwrap();
    let told = in_a_pod(None);
    assert!(told.starts_with("menagerie backup list: no cluster: ") && !told.contains(account), "{told}");
}

#[test]
fn a_list_that_expires_is_begun_anew_once_and_one_that_is_cut_says_so() {
    let api = ApiServer::start();
    api.has("prod", "zookeeperbackups/one", &json!({"spec": {"ensemble": "zk"}}));
    api.lists(1, 0);
    let (code, all, told) = api.said(&["backup", "list"]);
    assert_eq!((code, all.lines().count(), told.as_str()), (0, 2, ""));
    api.lists(2, 0);
    let (code, _, told) = api.said(&["backup", "list"]);
    assert!(code == 2 && told.contains("no longer kept"), "{told}");
    api.lists(0, 200);
    let (code, all, told) = api.said(&["backup", "list"]);
    assert_eq!((code, all.lines().count()), (0, 101));
    assert!(told.contains("there are more"), "{told}");
}

#[test]
fn a_stored_plan_is_shown_whole_where_the_archive_can_be_read() {
    let scope = Scope::new(vec![Top { path: "/".to_owned(), subtree: true }], None).unwrap();
    let mut world = World::new();
    world.log(E1 + 1..=E1 + 3);
    let wanted = Wanted::of(&world.tree, &scope, Limits::default()).unwrap();
    let options = Options::default();
    let made = plan(&wanted, &Live::default(), &options).unwrap();
    let hash = made.hash.to_string();
    let file = PlanFile::of(wanted, options, made);
    let mut packed = tempfile::tempfile().unwrap();
    let mut encoder = zstd::Encoder::new(&packed, 3).unwrap();
    file.write(&mut encoder, LONGEST).unwrap();
    encoder.finish().unwrap();
    packed.rewind().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().display());
    let store = Store::open(&archive.parse().unwrap()).unwrap();
    let key = PlanKey { identity: "i".to_owned(), restore: "u-1".to_owned(), hash: hash.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(plans::store(&store, &key, &mut packed)).unwrap();

    let api = ApiServer::start();
    let mut status = planned(&hash);
    status["archive"] = json!(archive);
    api.has("prod", "zookeeperrestores/undo", &json!({"spec": {"ensemble": "zk"}, "status": status}));
    let (code, shown, told) = api.said(&["restore", "show", "undo"]);
    assert_eq!((code, told.as_str()), (0, ""));
    assert!(shown.starts_with("restore undo of ensemble zk: Planned: as of 0x1"), "{shown}");
    assert!(shown.contains("/n100000002") && shown.ends_with(&format!("plan {hash}\n")), "{shown}");
    let (code, shown, _) = api.said(&["restore", "show", "undo", "-o", "json"]);
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, shown.len(), &shown[0]["phase"]), (0, 2, &json!("Planned")));
    assert_eq!((&shown[1]["hash"], &shown[1]["zxid"]), (&json!(hash), &json!("0x100000003")));
}

#[test]
fn the_commands_of_a_cluster_say_what_their_exit_codes_mean_and_give_examples() {
    for (group, command) in
        [("backup", "create"), ("backup", "watch"), ("restore", "create"), ("restore", "watch"), ("restore", "approve")]
    {
        let help = text(&run(&[group, command, "--help"]).stdout);
        assert!(help.contains(&format!("Examples:\n  menagerie {group} {command} ")), "{help}");
        assert!(help.contains("--timeout <TIME>") && help.contains("[default: 1h]"), "{help}");
    }
    for words in [&["backup", "--help"][..], &["restore", "create", "--help"], &["restore", "watch", "--help"]] {
        let help = text(&run(words).stdout);
        assert!(help.contains("Exit codes:") && help.contains("1 it has failed"), "{help}");
    }
}
