//! Out of states that could be final, on the real thing: with the spec alone.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use menagerie::model::truth::{Mode, ServerState};
use serde_json::{Value, json};

use super::cluster::{Ensemble, PATIENCE, condition, eventually, in_namespace};

/// Two of a kind on one node are not wanted at any price.
fn apart(name: &str, more: &Value) -> Value {
    let term = json!({
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"menagerie.dev/ensemble": name}},
    });
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let mut spec = json!({"affinity": affinity});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"spec": spec})
}

fn patch(zk: &Ensemble, change: &Value) {
    zk.space.kubectl(&["patch", "zke", &zk.name, "--type=merge", "-p", &change.to_string()]);
}

#[tokio::test]
async fn case_04_of_five_on_three_nodes_those_two_that_never_ran_are_taken_out() {
    in_namespace("five-on-three", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 5, "podTemplate": apart("zk", &json!({}))})).await;
        zk.condition("QuorumAvailable", "True", "Quorum").await;
        zk.scale(3);
        zk.ready(3).await;
        // And none of the three that served left on the way.
        assert!(zk.status().await.members.iter().all(|member| member.confirmed));
    })
    .await;
}

#[tokio::test]
async fn case_r06_a_version_that_never_ran_can_be_taken_back() {
    in_namespace("no-such-version", |space| async move {
        let deadline = json!({"deadlineSeconds": 10});
        let zk = space.ensemble("zk", json!({"replicas": 3, "updatePolicy": deadline})).await;
        let newborn = space.ensemble("typo", json!({"replicas": 1, "version": "3.95.0"})).await;
        zk.ready(3).await;
        patch(&zk, &json!({"spec": {"version": "3.10.0"}}));
        zk.condition("Degraded", "True", "RollHalted").await;
        patch(&zk, &json!({"spec": {"version": "3.9.5"}}));
        patch(&newborn, &json!({"spec": {"version": "3.9.5"}}));
        zk.ready(3).await;
        newborn.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn case_r09_two_voters_take_a_new_password() {
    in_namespace("two-password", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 2})).await;
        zk.ready(2).await;
        let pods = async || {
            let list = space.pods().list(&ListParams::default()).await.unwrap();
            list.items.into_iter().filter_map(|pod| pod.metadata.uid).collect::<BTreeSet<_>>()
        };
        let before = pods().await;
        space.kubectl(&["patch", "secret", "zk-super", "-p", r#"{"stringData":{"password":"another-one"}}"#]);
        // Neither can leave before it is restarted, and stopping one costs the quorum: a person says when.
        let message = zk.condition("Degraded", "True", "SuperUserDenied").await;
        let command = format!("kubectl -n {} annotate pod zk-0 menagerie.dev/restart=now", space.name);
        assert!(message.contains(&command), "{message}");
        space.kubectl(&["annotate", "pod", "zk-0", "menagerie.dev/restart=now"]);
        eventually(PATIENCE, "both to be restarted", async || {
            let now = pods().await;
            now.len() == 2 && now.is_disjoint(&before)
        })
        .await;
        zk.ready(2).await;
    })
    .await;
}

#[tokio::test]
async fn case_r15_fewer_founders_than_were_asked_for_first() {
    in_namespace("fewer-founders", |space| async move {
        let one_node = json!({"nodeSelector": {"kubernetes.io/hostname": "menagerie-1"}});
        let zk = space.ensemble("zk", json!({"replicas": 3, "podTemplate": apart("zk", &one_node)})).await;
        eventually(PATIENCE, "one pod of three to run", async || {
            let list = space.pods().list(&ListParams::default()).await.unwrap();
            let running =
                |pod: &&Pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
            list.items.len() == 3 && list.items.iter().filter(running).count() == 1
        })
        .await;
        zk.scale(1);
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn case_r15_a_statefulset_that_somebody_scales_at_birth_is_scaled_back() {
    in_namespace("sts-at-birth", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3, "image": {"tag": "nonsense"}})).await;
        eventually(PATIENCE, "three pods", async || {
            space.pods().list(&ListParams::default()).await.unwrap().items.len() == 3
        })
        .await;
        space.kubectl(&["scale", "sts/zk", "--replicas=1"]);
        patch(&zk, &json!({"spec": {"image": null}}));
        zk.ready(3).await;
    })
    .await;
}

#[tokio::test]
async fn case_01_02_a_leader_that_serves_no_client_and_prometheus_are_rolled_in_and_out() {
    in_namespace("prometheus", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        patch(
            &zk,
            &json!({"spec": {"config": {
                "leaderServes": "no",
                "metricsProvider.className": "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
                "metricsProvider.httpPort": "7000",
            }}}),
        );
        zk.ready(3).await;
        let leaders = zk
            .truths()
            .await
            .into_iter()
            .filter(|truth| matches!(&truth.server, ServerState::Serving(serving) if serving.mode == Mode::Leader));
        assert_eq!(leaders.count(), 1);
        zk.scale(5);
        zk.ready(5).await;
        zk.scale(3);
        zk.ready(3).await;
        patch(&zk, &json!({"spec": {"config": null}}));
        zk.ready(3).await;
        assert_eq!(condition(&zk.status().await, "Degraded").0, "False");
    })
    .await;
}
