//! Restarts and upgrades on a real cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::ListParams;
use menagerie::model::truth::ServerState;
use serde_json::json;

use super::cluster::{Ensemble, PATIENCE, condition, eventually, in_namespace};
use super::history::Recorder;
use super::writers::Writers;

/// The epoch that the members serve in: it counts the elections.
async fn epoch(zk: &Ensemble) -> u64 {
    let serving =
        |server: ServerState| if let ServerState::Serving(serving) = server { Some(serving.epoch) } else { None };
    zk.truths().await.into_iter().filter_map(|truth| serving(truth.server)).max().unwrap()
}

async fn uids(zk: &Ensemble) -> BTreeSet<String> {
    let listed = ListParams::default().labels(&format!("menagerie.dev/ensemble={}", zk.name));
    zk.space.pods().list(&listed).await.unwrap().items.iter().filter_map(kube::ResourceExt::uid).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_writes_changes_leadership_once_and_loses_nothing() {
    in_namespace("upgrade", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3, "version": "3.8.5"})).await;
        zk.ready(3).await;
        let (address, before, pods) = (zk.address("client").await, epoch(&zk).await, uids(&zk).await);
        let recorder = Recorder::start(&zk).await;
        let writers = Writers::start(&address, 3).await;
        space.ensemble("zk", json!({"replicas": 3, "version": "3.9.5"})).await;
        let status = zk.ready(3).await;
        let tally = writers.stop().await;
        let history = recorder.stop().await;
        history.assert_one_at_a_time();
        tally.assert_all_there(&address).await;
        assert_eq!(tally.expired, 0, "sessions expired");
        assert_eq!(epoch(&zk).await, before + 1, "leadership changed more than once");
        assert!(uids(&zk).await.is_disjoint(&pods), "every pod is a new one");
        assert!(status.members.iter().all(|member| member.version.as_deref() == Some("3.9.5")), "{:?}", status.members);
    })
    .await;
}

#[tokio::test]
async fn regression_547_493_a_bad_image_halts_at_the_first_member_and_putting_it_right_heals_it_without_a_hand() {
    in_namespace("canary", |space| async move {
        let policy = json!({"deadlineSeconds": 10});
        let zk = space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy})).await;
        zk.ready(3).await;
        let before = uids(&zk).await;
        let bad = json!({"replicas": 3, "updatePolicy": policy, "image": {"tag": "3.9.5-nonsense"}});
        space.ensemble("zk", bad).await;
        let message = zk.condition("Degraded", "True", "RollHalted").await;
        assert!(message.contains("2 more keep the older revision"), "{message}");
        let status = zk.status().await;
        assert_eq!(condition(&status, "QuorumAvailable").0, "True");
        assert_eq!(uids(&zk).await.intersection(&before).count(), 2, "only one was touched");
        space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy})).await;
        zk.ready(3).await;
        zk.condition("Degraded", "False", "AsExpected").await;
    })
    .await;
}

#[tokio::test]
async fn a_configuration_that_the_server_refuses_halts_with_its_own_words() {
    in_namespace("words", |space| async move {
        let policy = json!({"deadlineSeconds": 10});
        let zk = space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy})).await;
        zk.ready(3).await;
        space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy, "config": {"metricsProvider.className": "no.such.Provider"}})).await;
        let message = zk.condition("Degraded", "True", "RollHalted").await;
        eventually(PATIENCE, "the server's own words in the condition", async || {
            condition(&zk.status().await, "Degraded").2.contains("no.such.Provider")
        })
        .await;
        assert!(message.contains("zk-"), "{message}");
        space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy})).await;
        zk.ready(3).await;
    })
    .await;
}

#[tokio::test]
async fn one_member_restarts_on_request_and_a_changed_password_restarts_all() {
    in_namespace("asked", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let before = uids(&zk).await;
        space.kubectl(&["annotate", "pod", "zk-0", "menagerie.dev/restart=now"]);
        eventually(PATIENCE, "one new pod", async || uids(&zk).await.difference(&before).count() == 1).await;
        zk.ready(3).await;
        assert_eq!(uids(&zk).await.intersection(&before).count(), 2);
        let before = uids(&zk).await;
        space.kubectl(&["patch", "secret", "zk-super", "-p", r#"{"stringData":{"password":"another-one"}}"#]);
        eventually(PATIENCE, "three new pods", async || uids(&zk).await.is_disjoint(&before)).await;
        zk.ready(3).await;
        // The super user is known by the new one: the membership can be changed.
        zk.scale(1);
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_member_that_was_started_with_an_older_configuration_is_restarted_once_more_and_no_other() {
    in_namespace("late", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let before = uids(&zk).await;
        // As if its kubelet had not heard of the last change of the ConfigMap.
        let older = "s/^menagerie.config=.*/menagerie.config=older/";
        space.kubectl(&["exec", "zk-1", "-c", "zookeeper", "--", "sed", "-i", older, "/data/conf/zoo.cfg"]);
        eventually(PATIENCE, "one new pod", async || uids(&zk).await.difference(&before).count() == 1).await;
        zk.ready(3).await;
        zk.condition("Progressing", "False", "Steady").await;
        assert_eq!(uids(&zk).await.intersection(&before).count(), 2);
    })
    .await;
}

#[tokio::test]
async fn under_supervision_a_restart_waits_for_its_approval() {
    in_namespace("supervised", |space| async move {
        let spec = |heap: &str| json!({"replicas": 1, "updatePolicy": {"mode": "Supervised"}, "jvm": {"heap": heap}});
        let zk = space.ensemble("zk", spec("160Mi")).await;
        zk.ready(1).await;
        let before = uids(&zk).await;
        space.ensemble("zk", spec("170Mi")).await;
        let message = zk.condition("RestartPending", "True", "ApprovalNeeded").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(uids(&zk).await, before);
        assert_eq!(condition(&zk.status().await, "Ready").0, "True");
        // As the condition says it.
        let command = message.split("kubectl ").nth(1).unwrap();
        let words: Vec<&str> = command.split(' ').skip(2).collect();
        space.kubectl(&words);
        eventually(PATIENCE, "a new pod", async || uids(&zk).await.is_disjoint(&before)).await;
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_stuck_first_start_is_healed_by_putting_the_spec_right() {
    in_namespace("stuck", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3, "image": {"tag": "nonsense"}})).await;
        eventually(PATIENCE, "three pods", async || uids(&zk).await.len() == 3).await;
        space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
    })
    .await;
}
