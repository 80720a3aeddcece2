//! Members that cannot go on as they are, and nodes that are drained or lost.

use std::fs;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::Api;
use menagerie::archive::chains;
use serde_json::json;

use super::cluster::{BRIDGE, Ensemble, KILL_SERVER, PATIENCE, condition, eventually, in_namespace, s3};
use super::gateway::{Gateway, KEY, SECRET};
use super::writers::Writers;

pub async fn claim(zk: &Ensemble, name: &str) -> Option<String> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(zk.space.client.clone(), &zk.space.name);
    api.get_opt(name).await.unwrap().and_then(|claim| claim.uid())
}

async fn follower(zk: &Ensemble) -> String {
    let leader = zk.status().await.leader.unwrap();
    ["zk-0", "zk-1", "zk-2"].into_iter().find(|pod| *pod != leader).unwrap().to_owned()
}

async fn uid(zk: &Ensemble, pod: &str) -> Option<String> {
    zk.space.pods().get_opt(pod).await.unwrap().and_then(|pod| pod.uid())
}

async fn node_of(zk: &Ensemble, pod: &str) -> Option<String> {
    zk.space.pods().get_opt(pod).await.unwrap()?.spec?.node_name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_cannot_read_its_data_syncs_anew_and_the_bad_data_is_kept_beside() {
    in_namespace("damaged", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let writers = Writers::start(&address, 1).await;
        let pod = follower(&zk).await;
        let (before, volume) = (uid(&zk, &pod).await, claim(&zk, &format!("data-{pod}")).await);
        let damage =
            format!("cd /data/version-2; for f in log.* snapshot.*; do echo nonsense > $f; done; {KILL_SERVER}");
        space.kubectl(&["exec", &pod, "-c", "zookeeper", "--", "sh", "-c", &damage]);
        eventually(PATIENCE, "another pod in its place", async || {
            let now = uid(&zk, &pod).await;
            now.is_some() && now != before
        })
        .await;
        zk.ready(3).await;
        let kept = space.kubectl(&["exec", &pod, "-c", "zookeeper", "--", "ls", "/data/version-2.set-aside"]);
        assert!(kept.contains("snapshot."), "{kept}");
        assert_eq!(claim(&zk, &format!("data-{pod}")).await, volume, "the claim is the same");
        writers.stop().await.assert_all_there(&address).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_gets_a_new_volume_on_request() {
    in_namespace("renewed", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let writers = Writers::start(&address, 1).await;
        let leader = zk.status().await.leader.unwrap();
        let volume = claim(&zk, &format!("data-{leader}")).await;
        space.kubectl(&["annotate", "pod", &leader, "menagerie.dev/replace=volume"]);
        eventually(PATIENCE, "another claim", async || {
            let now = claim(&zk, &format!("data-{leader}")).await;
            now.is_some() && now != volume
        })
        .await;
        zk.ready(3).await;
        writers.stop().await.assert_all_there(&address).await;
    })
    .await;
}

/// Processes of a pod's server, as this machine sees them: the nodes of `dev/cluster` run here.
pub fn servers(uid: &str) -> Vec<i32> {
    let mark = uid.replace('-', "_");
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let of_pod = |id: &i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let group = read("cgroup");
        (group.contains(uid) || group.contains(&mark)) && read("cmdline").contains("QuorumPeerMain")
    };
    processes.filter(of_pod).collect()
}

#[tokio::test]
async fn a_server_that_lives_and_answers_nobody_is_started_again_and_meanwhile_another_member_archives() {
    in_namespace("hung", |space| async move {
        let gateway = Gateway::start(BRIDGE).await;
        space.keys(KEY, SECRET);
        let s3 = s3(gateway.address);
        let zk = space.ensemble("zk", json!({"replicas": 3, "archive": {"s3": s3}})).await;
        let identity = zk.ready(3).await.identity.unwrap();
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        // The first of them, which is one of the two that archive.
        let pod = follower(&zk).await;
        let stopped = servers(&uid(&zk, &pod).await.unwrap());
        assert_eq!(stopped.len(), 1, "{stopped:?}");
        let signal = Command::new("kill").args(["-STOP", &stopped[0].to_string()]).status().unwrap();
        assert!(signal.success());
        zk.condition("Degraded", "True", "MemberNotSynced").await;
        eventually(PATIENCE, "member 3 to be told to archive", async || {
            condition(&zk.status().await, "ContinuousArchiving").2.contains("member 3 archives")
        })
        .await;
        let third = async || {
            let chains = chains::chains(&gateway.store(), &identity).await.unwrap();
            chains.iter().any(|chain| chain.to_string().starts_with("3."))
        };
        eventually(PATIENCE, "member 3 to archive", third).await;
        zk.condition("ContinuousArchiving", "True", "Shipping").await;
        // Nothing may have moved in it for five minutes before it is taken for hung.
        eventually(PATIENCE + Duration::from_mins(5), "another process", async || {
            let now = uid(&zk, &pod).await.map(|uid| servers(&uid)).unwrap_or_default();
            now.len() == 1 && now != stopped
        })
        .await;
        zk.ready(3).await;
    })
    .await;
}

/// Puts a node back as it was, also when the test fails.
pub(super) struct Restored(Vec<String>);

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = Command::new("kubectl").args(&self.0).output();
    }
}

pub(super) fn restored(arguments: &[&str]) -> Restored {
    Restored(arguments.iter().map(|argument| (*argument).to_owned()).collect())
}

/// `kubectl drain` evicts the pods of every namespace, so that an ensemble beside it would lose a member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_drained_node_loses_the_leader_first_and_the_ensemble_keeps_its_quorum() {
    in_namespace("drained", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let writers = Writers::start(&address, 1).await;
        // In one go: the leader is evicted in the moment in which its node is cordoned.
        let leader = zk.status().await.leader.unwrap();
        let node = node_of(&zk, &leader).await.unwrap();
        let cordon = restored(&["uncordon", &node]);
        drain(&zk, &node, &leader).await;
        let events = space.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
        assert!(events.split(' ').any(|reason| reason == "HandingOver"), "{events}");
        drop(cordon);
        zk.ready(3).await;
        // Cordoned first: it has given up its seat, and has it back as a follower, before anybody is evicted.
        let leader = zk.status().await.leader.unwrap();
        let node = node_of(&zk, &leader).await.unwrap();
        let cordon = restored(&["uncordon", &node]);
        space.kubectl(&["cordon", &node]);
        eventually(PATIENCE, "another leader and a complete membership", async || {
            let status = zk.status().await;
            status.leader.as_ref().is_some_and(|now| *now != leader)
                && status.members.iter().filter(|member| member.confirmed).count() == 3
        })
        .await;
        drain(&zk, &node, &leader).await;
        eventually(PATIENCE, "the condition to say where the pod hangs", async || {
            let (is, reason, message) = condition(&zk.status().await, "Degraded");
            (is.as_str(), reason.as_str()) == ("True", "MemberNotSynced") && message.contains("cannot be scheduled")
        })
        .await;
        drop(cordon);
        zk.ready(3).await;
        let tally = writers.stop().await;
        tally.assert_all_there(&address).await;
        assert_eq!(tally.expired, 0, "sessions expired");
    })
    .await;
}

/// `kubectl drain`, until that pod is not on the node any more.
async fn drain(zk: &Ensemble, node: &str, pod: &str) {
    let before = uid(zk, pod).await;
    let ours = "--pod-selector=menagerie.dev/ensemble=zk";
    zk.space.kubectl(&["drain", node, ours, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s"]);
    assert_ne!(uid(zk, pod).await, before);
}

/// Takes every pod off a node: nothing else may run beside it. `dev/test` runs tests of this name on their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_member_whose_node_is_out_of_service_begins_anew_elsewhere() {
    in_namespace("lost", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let writers = Writers::start(&address, 1).await;
        let pod = follower(&zk).await;
        let (node, volume) = (node_of(&zk, &pod).await.unwrap(), claim(&zk, &format!("data-{pod}")).await);
        let nodes: Api<Node> = Api::all(space.client.clone());
        assert!(nodes.list(&kube::api::ListParams::default()).await.unwrap().items.len() >= 3);
        let taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";
        let back = restored(&["taint", "node", &node, "node.kubernetes.io/out-of-service-"]);
        space.kubectl(&["taint", "node", &node, taint]);
        eventually(PATIENCE, "another claim and node", async || {
            let now = claim(&zk, &format!("data-{pod}")).await;
            let elsewhere = node_of(&zk, &pod).await.is_some_and(|now| now != node);
            now.is_some() && now != volume && elsewhere
        })
        .await;
        zk.ready(3).await;
        drop(back);
        writers.stop().await.assert_all_there(&address).await;
    })
    .await;
}
