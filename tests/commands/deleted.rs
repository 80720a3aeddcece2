//! What is deleted by command, and what stays.

use serde_json::json;

use super::api_server::ApiServer;
use super::*;

#[test]
fn one_that_cannot_be_deleted_keeps_no_other_from_it_and_is_told_of() {
    for (group, plural) in [("backup", "zookeeperbackups"), ("restore", "zookeeperrestores")] {
        let api = ApiServer::start();
        for name in ["a", "c"] {
            api.has("prod", &format!("{plural}/{name}"), &json!({"spec": {"ensemble": "zk"}}));
        }
        let (code, out, told) = api.said(&[group, "delete", "a", "b", "c", "d"]);
        assert_eq!((code, out.as_str()), (2, "a deleted\nc deleted\n"), "{told}");
        assert!(["a", "c"].iter().all(|name| api.object(&format!("{plural}/{name}")).is_none()));
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines.len() == 3 && lines[0].starts_with("error: there is no ZooKeeper"), "{told}");
        assert!(lines[0].contains(" b in namespace prod") && lines[1].contains(" d in namespace prod"), "{told}");
        assert_eq!(lines[2], format!("menagerie {group} delete: 2 of 4 are not deleted: b, d"));
    }
}

#[test]
fn what_a_finalizer_holds_is_not_called_deleted() {
    let api = ApiServer::start();
    let metadata = json!({"name": "one", "namespace": "prod", "uid": "u-1", "finalizers": ["example.org/keep", "b"]});
    api.has("prod", "zookeeperbackups/one", &json!({"metadata": metadata, "spec": {"ensemble": "zk"}}));
    for _ in 0..2 {
        let (code, out, told) = api.said(&["backup", "delete", "one"]);
        assert_eq!(code, 0, "{told}");
        let expected = "one deleting (held by finalizers example.org/keep, b: it goes when they are taken away)\n";
        assert_eq!(out, expected);
    }
}

fn failed(spec: &Value) -> ApiServer {
    let api = ApiServer::start();
    let status = json!({
        "phase": "Failed", "pin": "one.u-1", "archive": "s3://b/zk/one.u-1 in eu at https://s3", "identity": "i",
        "conditions": [{"type": "Completed", "reason": "NotProved", "message": "no way"}],
    });
    api.has("prod", "zookeeperbackups/one", &json!({"spec": spec, "status": status}));
    api
}

#[test]
fn who_sees_a_backup_fail_is_told_what_it_leaves_and_how_that_is_taken_away() {
    let of_archive = "may keep its point until menagerie archive unpin s3://b/zk/one.u-1 --identity i --name one.u-1";
    let own = "which is its own folder, until somebody deletes that: aws s3 rm --recursive s3://b/zk/one.u-1/ --endpoint-url https://s3";
    for (spec, words) in [(json!({"ensemble": "zk"}), of_archive), (json!({"ensemble": "zk", "to": {"s3": {}}}), own)] {
        let api = failed(&spec);
        let (code, out, _) = api.said(&["backup", "watch", "one"]);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((code, lines[0]), (1, "backup one Failed (NotProved): no way"));
        assert!(lines[1].starts_with("what is left of it: ") && lines[1].contains(words), "{out}");
        let (code, out, _) = api.said(&["backup", "delete", "one"]);
        assert!(code == 0 && out.starts_with("one deleted; ") && out.contains(words), "{out}");
    }
}

#[test]
fn an_approval_that_is_taken_back_before_it_is_followed_is_no_success() {
    let api = ApiServer::start();
    let hash = "a".repeat(64);
    let planned = |generation: i64| {
        json!({
            "phase": "Planned", "observedGeneration": generation, "plan": {"hash": hash},
            "conditions": [{"type": "Completed", "reason": "DryRun", "message": "nothing is changed"}],
        })
    };
    let labels = json!({"kustomize.toolkit.fluxcd.io/name": "apps"});
    let metadata = json!({"name": "undo", "namespace": "prod", "uid": "u-1", "generation": 1, "labels": labels});
    let restore = json!({"metadata": metadata, "spec": {"ensemble": "zk"}, "status": planned(1)});
    api.has("prod", "zookeeperrestores/undo", &restore);
    // A change takes one of them, too.
    api.goes("zookeeperrestores/undo", [planned(1), planned(1), planned(2)]);
    let (code, _, told) = api.said(&["restore", "approve", "undo", "--hash", &hash, "--wait"]);
    assert!(code == 2 && told.contains("undo is not carried out: somebody has taken the approval back"), "{told}");
    assert!(told.contains("note: Flux applies this restore"), "{told}");
}
