//! The operator prunes an archive: a Job of the ensemble's `CronJob`, on a real store.

use std::fs;
use std::time::Duration;

use menagerie::archive::chains;
use menagerie::archive::key::BaseKey;
use menagerie::archive::store::Store;
use serde_json::{Value, json};
use zookeeper_files::ids::Zxid;

use super::cluster::{BRIDGE, PATIENCE, Space, eventually, in_namespace};
use super::gateway::{BUCKET, Gateway, KEY, PREFIX, SECRET};

fn write_pruner(space: &Space, secret: &str) {
    let manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pruner"},
        "stringData": {"accessKeyId": KEY, "secretAccessKey": secret},
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), manifest.to_string()).unwrap();
    space.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
}

/// What the pods of a Job have reported, one after the other.
fn reports(space: &Space, job: &str) -> Vec<Value> {
    let message = "jsonpath={range .items[*]}{.status.containerStatuses[*].state.terminated.message}{\"\\n\"}{end}";
    let said = space.kubectl(&["get", "pods", "-l", &format!("job-name={job}"), "-o", message]);
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn run(space: &Space, job: &str) {
    space.kubectl(&["create", "job", "--from=cronjob/zk-prune", job]);
}

/// Waits for a condition of a Job.
async fn ended(space: &Space, job: &str, condition: &str) {
    let status = format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].status}}");
    let what = format!("Job {job} to be {condition}");
    eventually(PATIENCE, &what, async || space.kubectl(&["get", "job", job, "-o", &status]) == "True").await;
}

/// Puts a part of a base there that nobody went on with, two days ago.
async fn stray(gateway: &Gateway, store: &Store, identity: &str) -> String {
    let chain = chains::chains(store, identity).await.unwrap().remove(0);
    let part = BaseKey { zxid: Zxid(1), chain }.part(identity, 0);
    store.put(&part, "part".into()).await.unwrap();
    gateway.age(&part, Duration::from_hours(48));
    part
}

#[tokio::test]
async fn an_ensemble_with_a_retention_is_pruned_by_jobs_that_say_what_came_of_it_until_it_is_taken_out() {
    in_namespace("retention", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let endpoint = format!("http://{}", gateway.address);
        let s3 = json!({"bucket": BUCKET, "prefix": PREFIX, "endpoint": endpoint, "credentialsSecret": "keys"});
        let retention = json!({"keepDays": 1, "credentialsSecret": "pruner"});
        let zk = space.ensemble("zk", json!({"replicas": 1, "archive": {"s3": s3, "retention": retention}})).await;
        let identity = zk.ready(1).await.identity.unwrap();
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        let there = || space.fails(&["get", "cronjob", "zk-prune"]).is_none();
        eventually(PATIENCE, "the CronJob", async || there()).await;
        let store = gateway.store();
        eventually(PATIENCE, "a segment", async || !chains::chains(&store, &identity).await.unwrap().is_empty()).await;
        let part = stray(&gateway, &store, &identity).await;
        let pods = || space.kubectl(&["get", "pod", "zk-0", "-o", "jsonpath={.metadata.uid}"]);
        let before = pods();

        // Whoever looks hears what is missing, and the same Job goes on when it is there.
        run(&space, "first");
        let words = "Secret pruner of credentialsSecret is missing or has no key accessKeyId";
        let missing = |report: &Value| report["error"].as_str().is_some_and(|error| error.contains(words));
        eventually(PATIENCE, "the missing Secret", async || reports(&space, "first").iter().any(missing)).await;
        write_pruner(&space, SECRET);
        ended(&space, "first", "Complete").await;
        let pruned = |report: &Value| report["pruned"]["deleted"] == 1;
        assert!(reports(&space, "first").iter().any(pruned), "{:?}", reports(&space, "first"));
        assert!(store.get(&part, None).await.unwrap().is_none());
        eventually(PATIENCE, "the success in the CronJob's status", async || {
            !space.kubectl(&["get", "cronjob", "zk-prune", "-o", "jsonpath={.status.lastSuccessfulTime}"]).is_empty()
        })
        .await;

        // Keys that the store refuses are tried once.
        write_pruner(&space, "wrong");
        run(&space, "second");
        ended(&space, "second", "Failed").await;
        let refused = reports(&space, "second");
        assert!(refused.len() == 1 && refused[0]["error"].to_string().contains("SignatureDoesNotMatch"), "{refused:?}");
        let logs = space.kubectl(&["logs", "-l", "menagerie.dev/prune=zk", "--tail=50"]);
        assert!(logs.contains("SignatureDoesNotMatch") && !logs.contains(SECRET), "{logs}");

        // A CronJob that somebody deletes comes back, and one that nobody wants goes, with its Jobs.
        let uid = || space.kubectl(&["get", "cronjob", "-o", "jsonpath={.items[*].metadata.uid}"]);
        let old = uid();
        space.kubectl(&["delete", "cronjob", "zk-prune"]);
        eventually(PATIENCE, "another CronJob", async || there() && uid() != old).await;
        let patch = json!({"spec": {"archive": {"retention": null}}}).to_string();
        space.kubectl(&["patch", "zke", "zk", "--type", "merge", "-p", &patch]);
        eventually(PATIENCE, "the CronJob to be gone", async || !there()).await;
        eventually(PATIENCE, "its Jobs to be gone", async || space.kubectl(&["get", "jobs", "-o", "name"]).is_empty())
            .await;
        zk.ready(1).await;
        assert_eq!(pods(), before, "no member is restarted for any of it");
    })
    .await;
}
