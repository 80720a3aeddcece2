//! What a cluster may ask of a pod, on the real thing.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, ResourceQuota};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;

use super::cluster::{PATIENCE, eventually, in_namespace};

/// For a shell with `/dev/tcp`: whether something listens on loopback of both families.
const DOORS: &str =
    "for port in 2181 8079; do for ip in 127.0.0.1 ::1; do (exec 3<>/dev/tcp/$ip/$port) && echo $ip $port; done; done";

#[tokio::test]
async fn case_12_28_in_a_members_pod_both_families_are_answered_and_zookeepers_own_scripts_find_the_server() {
    in_namespace("scripts", |space| async move {
        space.ensemble("zk", json!({"replicas": 1})).await.ready(1).await;
        let inside = |command: &[&str]| space.kubectl(&[&["exec", "zk-0", "-c", "zookeeper", "--"], command].concat());
        let doors = inside(&["bash", "-c", DOORS]);
        // Without IPv6 on the node there is nothing to answer on.
        let has_ipv6 = !inside(&["cat", "/proc/net/if_inet6"]).trim().is_empty();
        assert_eq!(doors.lines().count(), if has_ipv6 { 4 } else { 2 }, "{doors}");
        assert!(inside(&["zkServer.sh", "status"]).contains("Mode: leader"));
        assert!(inside(&["bash", "-c", "echo 'ls /' | zkCli.sh 2>&1"]).contains("[zookeeper]"));
    })
    .await;
}

#[tokio::test]
async fn case_42_a_claim_that_bears_the_label_of_an_instance_loses_it() {
    in_namespace("instance", |space| async move {
        space.ensemble("zk", json!({"replicas": 1})).await.ready(1).await;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
        let label = "app.kubernetes.io/instance";
        assert!(!claims.get("data-zk-0").await.unwrap().labels().contains_key(label));
        // As the claims of earlier versions.
        space.kubectl(&["label", "pvc", "data-zk-0", "app.kubernetes.io/instance=zk"]);
        eventually(PATIENCE, "the label to be gone", async || {
            !claims.get("data-zk-0").await.unwrap().labels().contains_key(label)
        })
        .await;
        assert_eq!(claims.get("data-zk-0").await.unwrap().labels()["menagerie.dev/born"], "true");
    })
    .await;
}

#[tokio::test]
async fn case_03_13_30_a_quota_on_limits_and_a_volume_of_roots_without_a_class_are_met() {
    in_namespace("bare", |space| async move {
        // An init container of root's is what this namespace has to admit for it.
        space.kubectl(&["label", "ns", &space.name, "--overwrite", "pod-security.kubernetes.io/enforce=privileged"]);
        let quota = json!({"metadata": {"name": "all"}, "spec": {"hard": {"limits.cpu": "4", "limits.memory": "4Gi"}}});
        let quotas: Api<ResourceQuota> = Api::namespaced(space.client.clone(), &space.name);
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        let stamp = space.kubectl(&["get", "ns", &space.name, "-o", "jsonpath={.metadata.uid}"]);
        let name = format!("e2e-bare-{stamp}");
        let volume = json!({"metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": space.name, "name": "data-zk-0"},
            "hostPath": {"path": format!("/var/tmp/{name}"), "type": "DirectoryOrCreate"},
        }});
        let volumes: Api<PersistentVolume> = Api::all(space.client.clone());
        volumes.create(&PostParams::default(), &serde_json::from_value(volume).unwrap()).await.unwrap();
        let limits = json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
        let owner = json!({
            "name": "owner",
            "image": "docker.io/library/zookeeper:3.9.5",
            "command": ["chown", "-R", "1000:1000", "/data"],
            "securityContext": {"runAsUser": 0, "runAsNonRoot": false},
            "resources": limits,
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        });
        let zk = space
            .ensemble(
                "zk",
                json!({
                    "replicas": 1,
                    "storage": {"class": ""},
                    "resources": {"limits": {"cpu": "1", "memory": "384Mi"}},
                    "agent": {"resources": {"limits": {"cpu": "500m"}}},
                    "podTemplate": {"spec": {"initContainers": [owner]}},
                }),
            )
            .await;
        zk.ready(1).await;
        volumes.delete(&name, &DeleteParams::default()).await.unwrap();
    })
    .await;
}
