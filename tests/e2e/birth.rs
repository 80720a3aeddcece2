//! From a manifest to an ensemble that serves.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use menagerie::api::MemberRole;
use serde_json::json;
use zookeeper_client::{Acls, CreateMode};

use super::cluster::{PATIENCE, Space, condition, eventually, in_namespace};
use super::writers::connect;

async fn claims(space: &Space) -> Vec<PersistentVolumeClaim> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
    api.list(&ListParams::default()).await.unwrap().items
}

#[tokio::test]
async fn a_manifest_becomes_an_ensemble_that_serves_through_its_client_service() {
    in_namespace("birth", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3, "config": {"tickTime": "1500"}})).await;
        let status = zk.ready(3).await;
        assert_eq!(status.ready, "3/3");
        assert_eq!(status.members.iter().filter(|member| member.role == MemberRole::Leader).count(), 1);
        assert!(status.members.iter().all(|member| member.version.as_deref() == Some("3.9.5")), "{:?}", status.members);
        assert_eq!(condition(&status, "QuorumAvailable").0, "True");
        assert_eq!(condition(&status, "Degraded").0, "False");

        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/hello", b"world", &options).await.unwrap();
        let other = connect(&zk.address("1").await).await;
        other.sync("/hello").await.unwrap();
        assert_eq!(other.get_data("/hello").await.unwrap().0, b"world");

        // What a person sees.
        let row = space.kubectl(&["get", "zke", "zk", "--no-headers"]);
        assert!(row.contains("3/3") && row.contains("3.9.5") && row.contains("Ready"), "{row}");
        assert!(space.kubectl(&["get", "menagerie", "--no-headers"]).contains("zk"), "the category lists it");

        // The password stays what it was, and is in no argument or environment.
        let secrets: Api<Secret> = Api::namespaced(space.client.clone(), &space.name);
        let password = secrets.get("zk-super").await.unwrap().data.unwrap()["password"].0.clone();
        let password = String::from_utf8(password).unwrap();
        let pods = space.kubectl(&["get", "pods,sts,cm", "-o", "yaml"]);
        assert!(!pods.contains(&password), "the password is visible outside its Secret");
    })
    .await;
}

#[tokio::test]
async fn an_even_number_of_voters_is_allowed_and_its_cost_is_said() {
    in_namespace("even", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 2})).await;
        zk.ready(2).await;
        let message = zk.condition("Warning", "True", "TwoVoters").await;
        assert!(message.contains("3, which tolerate one"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn an_ensemble_created_again_has_its_data_with_its_claims_and_none_without() {
    in_namespace("again", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let identity = zk.ready(3).await.identity;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        connect(&zk.address("client").await).await.create("/kept", b"data", &options).await.unwrap();
        zk.delete().await;
        assert_eq!(claims(&space).await.len(), 3, "claims are kept by default");

        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        assert_eq!(zk.ready(3).await.identity, identity, "it is the same ensemble");
        let client = connect(&zk.address("client").await).await;
        assert_eq!(client.get_data("/kept").await.unwrap().0, b"data");

        zk.delete().await;
        let api: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
        for claim in claims(&space).await {
            api.delete(&claim.name_any(), &DeleteParams::default()).await.unwrap();
        }
        eventually(PATIENCE, "the claims to be gone", async || claims(&space).await.is_empty()).await;
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        assert_ne!(zk.ready(3).await.identity, identity, "it is another ensemble");
        let client = connect(&zk.address("client").await).await;
        assert!(client.check_stat("/kept").await.unwrap().is_none(), "there is a trace of the old one");
    })
    .await;
}

#[tokio::test]
async fn claims_are_deleted_with_the_ensemble_when_its_policy_says_so() {
    in_namespace("reclaim", |space| async move {
        let storage = json!({"reclaim": {"onDelete": "Delete", "onScaleDown": "Delete"}});
        let zk = space.ensemble("zk", json!({"replicas": 2, "storage": storage})).await;
        zk.ready(2).await;
        zk.scale(1);
        zk.ready(1).await;
        eventually(PATIENCE, "the claim of the second member to be gone", async || claims(&space).await.len() == 1)
            .await;
        zk.delete().await;
        eventually(PATIENCE, "the last claim to be gone", async || claims(&space).await.is_empty()).await;
    })
    .await;
}

#[tokio::test]
async fn an_ephemeral_member_that_loses_its_pod_rejoins_empty() {
    in_namespace("ephemeral", |space| async move {
        let spec = json!({"replicas": 3, "storage": {"ephemeral": true}});
        let zk = space.ensemble("zk", spec).await;
        zk.ready(3).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        connect(&zk.address("client").await).await.create("/kept", b"data", &options).await.unwrap();
        zk.delete_pod("zk-1").await;
        // The reason depends on whether it led.
        eventually(PATIENCE, "the loss to show", async || condition(&zk.status().await, "Ready").0 == "False").await;
        zk.ready(3).await;
        let client = connect(&zk.address("1").await).await;
        assert_eq!(client.get_data("/kept").await.unwrap().0, b"data");
    })
    .await;
}
