//! Whose objects are whose.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use menagerie::model::MemberTruth;
use menagerie::model::truth::{Mode, ServerState};
use serde_json::json;

use super::cluster::{PATIENCE, condition, eventually, in_namespace};

#[tokio::test]
async fn a_foreign_object_is_never_overwritten_and_is_named_in_a_condition() {
    in_namespace("foreign", |space| async move {
        let api: Api<ConfigMap> = Api::namespaced(space.client.clone(), &space.name);
        let foreign: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "zk-config"}, "data": {"mine": "yes"}})).unwrap();
        api.create(&PostParams::default(), &foreign).await.unwrap();
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        let message = zk.condition("Degraded", "True", "ForeignObject").await;
        assert!(message.contains("ConfigMap zk-config"), "{message}");
        assert_eq!(api.get("zk-config").await.unwrap().data.unwrap()["mine"], "yes");
        assert!(space.kubectl(&["get", "sts", "-o", "name"]).is_empty());
        // Putting it right is enough.
        api.delete("zk-config", &DeleteParams::default()).await.unwrap();
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_claim_of_another_ensemble_of_that_name_is_refused_by_name() {
    in_namespace("claim", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        let api: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "data-zk-1", "labels": {"menagerie.dev/ensemble": "zk", "menagerie.dev/identity": "another"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .unwrap();
        api.create(&PostParams::default(), &claim).await.unwrap();
        zk.scale(3);
        let message = zk.condition("Degraded", "True", "ForeignClaim").await;
        assert!(message.contains("data-zk-1") && message.contains("another"), "{message}");
        assert_eq!(zk.status().await.replicas, 1);
        api.delete("data-zk-1", &DeleteParams::default()).await.unwrap();
        zk.ready(3).await;
    })
    .await;
}

#[tokio::test]
async fn two_ensembles_of_one_name_in_two_namespaces_do_not_meet() {
    in_namespace("twin-a", |a| async move {
        in_namespace("twin-b", |b| async move {
            let first = a.ensemble("zk", json!({"replicas": 1})).await;
            let second = b.ensemble("zk", json!({"replicas": 1})).await;
            let (first, second) = (first.ready(1).await, second.ready(1).await);
            assert_ne!(first.identity, second.identity);
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn regression_474_517_what_somebody_deletes_or_changes_is_put_back() {
    in_namespace("drift", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        space.kubectl(&["delete", "service", "zk-client"]);
        space.kubectl(&["patch", "pdb", "zk", "--type=merge", "-p", r#"{"spec":{"maxUnavailable":5}}"#]);
        eventually(PATIENCE, "both to be put back", async || {
            let pdb = space.kubectl(&["get", "pdb", "zk", "-o", "jsonpath={.spec.maxUnavailable}"]);
            pdb == "1" && space.kubectl(&["get", "service", "-o", "name"]).contains("service/zk-client")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn case_05_what_cascade_orphan_leaves_is_taken_up_again_under_the_charts_own_role_and_the_secret_is_used_as_it_is()
 {
    in_namespace("orphaned", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let before = zk.ready(3).await;
        let password = || space.kubectl(&["get", "secret", "zk-super", "-o", "jsonpath={.data.password}"]);
        let pods = || {
            space.kubectl(&[
                "get",
                "pods",
                "-l",
                "menagerie.dev/ensemble=zk",
                "-o",
                "jsonpath={.items[*].metadata.uid}",
            ])
        };
        let (secret, uids) = (password(), pods());
        space.kubectl(&["delete", "zke", "zk", "--cascade=orphan"]);
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let after = zk.ready(3).await;
        assert_eq!((after.identity, password(), pods()), (before.identity, secret, uids));
        assert!(condition(&zk.status().await, "Hindered").0.is_empty(), "{:?}", zk.status().await);
        let owners = |kind: &str, name: &str| {
            space.kubectl(&["get", kind, name, "-o", "jsonpath={.metadata.ownerReferences[*].uid}"])
        };
        assert_eq!(owners("sts", "zk"), zk.get().await.uid().unwrap());
        assert_eq!(owners("secret", "zk-super"), "", "the operator may not change it");
        // The super user is let in: a `reconfig` is his alone.
        zk.scale(1);
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_that_needs_a_restart_reaches_the_server_and_its_pod() {
    in_namespace("pending", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        let patch =
            json!({"spec": {"config": {"snapCount": "50000"}, "podTemplate": {"metadata": {"labels": {"team": "a"}}}}});
        space.ensembles().patch("zk", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        let status = zk.ready(1).await;
        eventually(PATIENCE, "the condition to go", async || {
            condition(&zk.status().await, "RestartPending").0.is_empty()
        })
        .await;
        assert_eq!(status.ready, "1/1");
        let file = space.kubectl(&["exec", "zk-0", "-c", "zookeeper", "--", "cat", "/data/conf/zoo.cfg"]);
        assert!(file.contains("snapCount=50000"), "{file}");
        assert!(space.kubectl(&["get", "pod", "zk-0", "--show-labels"]).contains("team=a"));
    })
    .await;
}

#[tokio::test]
async fn a_status_that_somebody_changed_makes_no_second_leader() {
    in_namespace("forged", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let before = zk.ready(3).await;
        let server = &before.membership.as_ref().unwrap().servers[0];
        let forged =
            json!({"status": {"identity": "nonsense", "membership": {"version": "f00000000", "servers": [server]}}});
        space.kubectl(&["patch", "zke", "zk", "--subresource=status", "--type=merge", "-p", &forged.to_string()]);
        zk.delete_pod("zk-0").await;
        eventually(PATIENCE, "the status to be true again", async || {
            let now = zk.status().await;
            now.identity == before.identity && now.membership.is_some_and(|m| m.servers.len() == 3)
        })
        .await;
        zk.ready(3).await;
        let truths = zk.truths().await;
        let leads =
            |truth: &&MemberTruth| matches!(&truth.server, ServerState::Serving(serving) if serving.mode == Mode::Leader);
        assert_eq!(truths.iter().filter(leads).count(), 1, "{truths:?}");
    })
    .await;
}

#[tokio::test]
async fn what_kubernetes_refuses_of_a_spec_is_said_in_its_words_and_heals_when_it_is_corrected() {
    in_namespace("refused", |space| async move {
        let bad =
            json!({"replicas": 1, "podTemplate": {"spec": {"tolerations": [{"key": "a", "effect": "Sometimes"}]}}});
        let zk = space.ensemble("zk", bad).await;
        let message = zk.condition("Degraded", "True", "ApplyRefused").await;
        assert!(message.contains("StatefulSet zk") && message.contains("Sometimes"), "{message}");
        assert_eq!(condition(&zk.status().await, "Ready").0, "False");
        space.apply("zk", json!({"replicas": 1})).await.unwrap();
        zk.ready(1).await;
    })
    .await;
}
