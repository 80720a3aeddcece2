//! What outlives a pod, and what stands beside a server in it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, EvictParams, ListParams};
use serde_json::json;
use tokio::time::timeout;

use super::cluster::{Ensemble, PATIENCE, Space, condition, eventually, in_namespace};
use super::writers::Writers;

async fn volumes(zk: &Ensemble) -> Vec<Option<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(zk.space.client.clone(), &zk.space.name);
    let claims = claims.list(&ListParams::default()).await.unwrap().items;
    claims
        .into_iter()
        .filter(|claim| claim.metadata.deletion_timestamp.is_none())
        .map(|claim| claim.metadata.uid)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_that_somebody_deletes_under_their_pods_are_made_anew_one_at_a_time_and_nothing_is_lost() {
    in_namespace("claims-deleted", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let writers = Writers::start(&address, 1).await;
        let before = volumes(&zk).await;
        space.kubectl(&["delete", "pvc", "--all", "--wait=false"]);
        eventually(PATIENCE, "three other volumes", async || {
            let now = volumes(&zk).await;
            now.len() == 3 && now.iter().all(|uid| !before.contains(uid))
        })
        .await;
        zk.ready(3).await;
        writers.stop().await.assert_all_there(&address).await;

        // Of a single one there is no copy: it stays until there are some.
        let single = space.ensemble("single", json!({"replicas": 1})).await;
        single.ready(1).await;
        space.kubectl(&["delete", "pvc", "data-single-0", "--wait=false"]);
        let message = single.condition("Warning", "True", "ClaimInUseDeleted").await;
        assert!(message.contains("scale to 3"), "{message}");
        let pod = space.pods().get("single-0").await.unwrap().metadata.uid;
        space.kubectl(&[
            "patch",
            "zke",
            "single",
            "--type=merge",
            "-p",
            r#"{"spec":{"config":{"snapCount":"20000"}}}"#,
        ]);
        single.condition("RestartPending", "True", "WouldLoseData").await;
        assert_eq!(space.pods().get("single-0").await.unwrap().metadata.uid, pod);
        zk.scale(1);
        zk.ready(1).await;
        single.scale(3);
        single.ready(3).await;
        assert_eq!(condition(&single.status().await, "Warning").1, "");
    })
    .await;
}

/// Waits until the budget has counted the ready pods as they are.
async fn counted(space: &Space) {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(space.client.clone(), &space.name);
    eventually(PATIENCE, "the budget to have counted", async || {
        let there = space.pods().list(&ListParams::default()).await.unwrap().items;
        let ready = there.iter().filter(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none()).count();
        let status = budgets.get("zk").await.unwrap().status;
        status.is_some_and(|status| usize::try_from(status.current_healthy) == Ok(ready))
    })
    .await;
}

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[tokio::test]
async fn a_container_that_ends_beside_the_server_halts_the_roll_and_no_majority_can_be_evicted() {
    in_namespace("sidecar", |space| async move {
        let policy = json!({"deadlineSeconds": 15});
        let zk = space.ensemble("zk", json!({"replicas": 3, "updatePolicy": policy})).await;
        zk.ready(3).await;
        // As an exporter without its configuration. Started again it ends at once: for as long as it ran, its pod would be ready
        // and another one could be evicted.
        let command = ["sh", "-c", "echo no configuration; [ -e /side/ran ] || { touch /side/ran; sleep 4; }; exit 1"];
        let rights = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        let side = json!({
            "name": "side", "image": "docker.io/library/zookeeper:3.9.5", "command": command, "securityContext": rights,
            "volumeMounts": [{"name": "side", "mountPath": "/side"}],
        });
        let volume = json!({"name": "side", "emptyDir": {}});
        let change = json!({"spec": {"podTemplate": {"spec": {"containers": [side], "volumes": [volume]}}}});
        space.kubectl(&["patch", "zke", "zk", "--type=merge", "-p", &change.to_string()]);
        // On a busy machine the deadline is over before the container has begun.
        eventually(PATIENCE, "a halted roll that names the container", async || {
            let (status, reason, message) = condition(&zk.status().await, "Degraded");
            status == "True" && reason == "RollHalted" && message.contains("side")
        })
        .await;
        // All servers vote. Each start of the container makes its pod ready for a moment, and with three ready pods one may be
        // evicted (seen in CI). A second one never: the majority stays.
        // The unready ones come first, since a budget that judged them by themselves would let all of them go. Kubernetes judges by
        // what it has last counted: a pod that was ready for a moment counts for some time after (two went, in CI).
        let mut pods: Vec<Pod> = space.pods().list(&ListParams::default()).await.unwrap().items;
        pods.sort_by_key(is_ready);
        let running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        pods.retain(running);
        assert!(pods.len() >= 2, "of three pods two are halted in the middle of a roll");
        let mut evicted = Vec::new();
        for name in pods.iter().filter_map(|pod| pod.metadata.name.clone()) {
            counted(&space).await;
            // A client asks again where it is to come later.
            let answer = timeout(Duration::from_secs(3), space.pods().evict(&name, &EvictParams::default())).await;
            if matches!(answer, Ok(Ok(_))) {
                evicted.push(name);
            }
        }
        assert!(evicted.len() <= 1, "{evicted:?} were evicted");
        space.kubectl(&["patch", "zke", "zk", "--type=merge", "-p", r#"{"spec":{"podTemplate":null}}"#]);
        zk.ready(3).await;
    })
    .await;
}
