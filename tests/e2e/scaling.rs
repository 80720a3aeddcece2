//! Scaling under writes, undisturbed and disturbed.

use std::time::Duration;

use rand::Rng as _;
use serde_json::json;

use super::cluster::{Ensemble, PATIENCE, eventually, in_namespace, kill_operator};
use super::history::Recorder;
use super::writers::Writers;

/// 1 → 3 → 5 → 3 → 1 with everybody watching.
async fn up_and_down(zk: &Ensemble) {
    zk.ready(1).await;
    let address = zk.address("client").await;
    let recorder = Recorder::start(zk).await;
    let writers = Writers::start(&address, 2).await;
    for voters in [3, 5, 3, 1] {
        zk.scale(voters);
        zk.ready(voters).await;
    }
    let tally = writers.stop().await;
    let history = recorder.stop().await;
    let sizes: Vec<usize> = history.voters().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 2, 3, 4, 5, 4, 3, 2, 1], "{:?}", history.voters());
    history.assert_one_at_a_time();
    history.assert_all_synced_before_each();
    tally.assert_all_there(&address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_three_five_three_one_under_writes_loses_nothing_and_goes_one_at_a_time() {
    in_namespace("scaling", |space| async move {
        up_and_down(&space.ensemble("zk", json!({"replicas": 1})).await).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_operator_at_random_moments_changes_nothing_of_the_result() {
    in_namespace("killed", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        let killer = tokio::spawn({
            let client = space.client.clone();
            async move {
                loop {
                    let pause = rand::rng().random_range(2_000..12_000);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    kill_operator(&client).await;
                }
            }
        });
        up_and_down(&zk).await;
        killer.abort();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_random_members_pod_while_scaling_loses_nothing() {
    in_namespace("shaken", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let recorder = Recorder::start(&zk).await;
        let writers = Writers::start(&address, 2).await;
        for voters in [5, 3] {
            zk.scale(voters);
            let victim = rand::rng().random_range(0..3);
            tokio::time::sleep(Duration::from_millis(rand::rng().random_range(500..6_000))).await;
            zk.delete_pod(&format!("zk-{victim}")).await;
            zk.ready(voters).await;
        }
        let tally = writers.stop().await;
        recorder.stop().await.assert_one_at_a_time();
        tally.assert_all_there(&address).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_mind_in_the_middle_is_followed_and_kept_claims_are_rejoined() {
    in_namespace("mind", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        zk.scale(5);
        eventually(PATIENCE, "the fourth pod", async || zk.status().await.replicas >= 4).await;
        zk.scale(3);
        zk.ready(3).await;
        zk.scale(5);
        eventually(PATIENCE, "the fourth voter", async || {
            zk.status().await.members.iter().filter(|m| m.confirmed).count() >= 4
        })
        .await;
        zk.scale(3);
        zk.ready(3).await;
        // 3 → 5 → 3 left claims behind: they are used again, and safely.
        zk.scale(4);
        let status = zk.ready(4).await;
        assert_eq!(status.members.len(), 4);
    })
    .await;
}
