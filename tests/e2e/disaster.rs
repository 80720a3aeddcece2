//! Nodes, disks and pods that are lost.

use std::process::Command;

use serde_json::json;
use zookeeper_client::{Acls, CreateMode};

use super::cluster::{Ensemble, KILL_SERVER, PATIENCE, condition, eventually, in_namespace};
use super::writers::connect;

/// Cuts a node off the network, and joins it again when dropped, also when the test fails.
pub(super) struct CutOff {
    node: String,
}

impl CutOff {
    /// `node` is the name of one of the nodes that `dev/cluster` starts: it ends in their number.
    pub(super) fn new(node: &str) -> Self {
        let number = node.rsplit('-').next().unwrap().to_owned();
        cluster(&["cut", &number]);
        Self { node: number }
    }
}

impl Drop for CutOff {
    fn drop(&mut self) {
        cluster(&["heal", &self.node]);
    }
}

fn cluster(arguments: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/cluster");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "dev/cluster {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn node_of(zk: &Ensemble, pod: &str) -> String {
    zk.space.pods().get(pod).await.unwrap().spec.unwrap().node_name.unwrap()
}

#[tokio::test]
async fn with_a_members_node_cut_off_scaling_down_waits_says_why_and_goes_on_when_it_is_back() {
    in_namespace("cut", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let nodes = [node_of(&zk, "zk-0").await, node_of(&zk, "zk-1").await, node_of(&zk, "zk-2").await];
        assert!(
            nodes[0] != nodes[1] && nodes[1] != nodes[2] && nodes[0] != nodes[2],
            "not spread over nodes: {nodes:?}"
        );
        let cut = CutOff::new(&nodes[1]);
        zk.scale(1);
        // A pass before the scaling may have said already that the member is silent.
        eventually(PATIENCE, "the wait to be said with its reason", async || {
            let (_, reason, message) = condition(&zk.status().await, "Progressing");
            reason == "MemberNotSynced" && message.contains("going from 3 to 1 voters") && message.contains("zk-1")
        })
        .await;
        // The kubelet's silence becomes NotReady; the operator still has not moved.
        eventually(PATIENCE, "the node to be reported lost", async || {
            space.kubectl(&["get", "node", &nodes[1], "--no-headers"]).contains("NotReady")
        })
        .await;
        let status = zk.status().await;
        assert_eq!(status.members.iter().filter(|member| member.confirmed).count(), 3);
        assert_eq!(condition(&status, "QuorumAvailable").0, "True");
        assert_eq!(condition(&status, "Degraded").0, "True");
        drop(cut);
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn regression_577_a_wiped_leader_of_ordinal_zero_rejoins_loses_nothing_and_founds_nothing() {
    in_namespace("wiped", |space| async move {
        let zk = space.three_led_by_the_first("zk").await;
        let status = zk.status().await;
        let client = connect(&zk.address("1").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for n in 0..50 {
            client.create(&format!("/n{n}"), b"x", &options).await.unwrap();
        }
        space.kubectl(&["exec", "zk-0", "-c", "zookeeper", "--", "sh", "-c", "rm -rf /data/* "]);
        zk.delete_pod("zk-0").await;
        let after = zk.ready(3).await;
        assert_eq!(after.identity, status.identity);
        assert_eq!(after.membership.map(|m| m.servers), status.membership.map(|m| m.servers));
        let client = connect(&zk.address("0").await).await;
        client.sync("/").await.unwrap();
        let children = client.list_children("/").await.unwrap();
        assert_eq!(children.iter().filter(|name| name.starts_with('n')).count(), 50, "{children:?}");
    })
    .await;
}

#[tokio::test]
async fn of_a_majority_of_wiped_volumes_the_way_out_is_said_and_leads_back_to_what_is_left() {
    in_namespace("majority", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let client = connect(&zk.address("client").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for n in 0..50 {
            client.create(&format!("/n{n}"), b"x", &options).await.unwrap();
        }
        drop(client);
        let leader = zk.status().await.leader.unwrap();
        let pods: Vec<_> = ["zk-0", "zk-1", "zk-2"].into_iter().filter(|pod| *pod != leader).collect();
        for pod in &pods {
            space.kubectl(&["exec", pod, "-c", "zookeeper", "--", "sh", "-c", "rm -rf /data/* "]);
        }
        space.kubectl(&["delete", "pod", pods[0], pods[1], "--force", "--grace-period=0"]);
        let message = zk.condition("Degraded", "True", "MajorityLost").await;
        let (_, annotation) = message.split_once("--overwrite ").unwrap();
        // Nothing is done before somebody says so.
        space.kubectl(&["annotate", "zke", "zk", "--overwrite", "menagerie.dev/accept-loss=true"]);
        let same = zk.condition("Degraded", "True", "MajorityLost").await;
        assert!(same.ends_with(annotation), "{same}");
        space.kubectl(&["annotate", "zke", "zk", "--overwrite", annotation]);
        zk.ready(3).await;
        let client = connect(&zk.address("client").await).await;
        client.sync("/").await.unwrap();
        let children = client.list_children("/").await.unwrap();
        assert_eq!(children.iter().filter(|name| name.starts_with('n')).count(), 50, "{children:?}");
    })
    .await;
}

/// The operator begins to replace one of them, and the quorum is gone before it can note the change: which members had to vote was "not known"
/// for ever, though all of them answered.
#[tokio::test]
async fn a_majority_whose_claims_somebody_deletes_can_be_given_up_though_a_change_was_never_noted() {
    in_namespace("claims-gone", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        connect(&zk.address("client").await).await.create("/kept", b"data", &options).await.unwrap();
        space.kubectl(&["delete", "pvc", "data-zk-1", "data-zk-2", "--wait=false"]);
        space.kubectl(&["delete", "pod", "zk-1", "zk-2", "--force", "--grace-period=0"]);
        let mut word = None;
        eventually(PATIENCE, "a way out", async || {
            let message = condition(&zk.status().await, "Degraded").2;
            word = message.split_once("accept-loss=").map(|(_, word)| word.to_owned());
            word.is_some()
        })
        .await;
        let annotation = format!("menagerie.dev/accept-loss={}", word.unwrap());
        space.kubectl(&["annotate", "zke", "zk", "--overwrite", &annotation]);
        zk.ready(3).await;
        let client = connect(&zk.address("client").await).await;
        assert_eq!(client.get_data("/kept").await.unwrap().0, b"data");
    })
    .await;
}

#[tokio::test]
async fn regression_72_93_all_pods_at_once_come_back_with_their_data() {
    in_namespace("all", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        connect(&zk.address("client").await).await.create("/kept", b"data", &options).await.unwrap();
        let before: Vec<_> = pods(&zk).await;
        space.kubectl(&["delete", "pods", "-l", "menagerie.dev/ensemble=zk", "--force", "--grace-period=0"]);
        eventually(PATIENCE, "other pods", async || {
            let now = pods(&zk).await;
            now.len() == 3 && now.iter().all(|uid| !before.contains(uid))
        })
        .await;
        zk.ready(3).await;
        let client = connect(&zk.address("client").await).await;
        assert_eq!(client.get_data("/kept").await.unwrap().0, b"data");
    })
    .await;
}

async fn pods(zk: &Ensemble) -> Vec<String> {
    let params = kube::api::ListParams::default().labels("menagerie.dev/ensemble=zk");
    zk.space.pods().list(&params).await.unwrap().iter().filter_map(kube::ResourceExt::uid).collect()
}

#[tokio::test]
async fn a_joiner_whose_server_dies_before_it_is_added_joins_all_the_same() {
    in_namespace("joiner", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        zk.scale(2);
        eventually(PATIENCE, "the joiner's container", async || {
            let pod = space.pods().get_opt("zk-1").await.unwrap();
            let statuses =
                pod.and_then(|pod| pod.status).and_then(|status| status.container_statuses).unwrap_or_default();
            statuses.iter().any(|container| container.started == Some(true))
        })
        .await;
        // The server dies in place: `prepare` does not run again.
        // Its death may take the shell along, so that only the count of restarts tells that it worked.
        let _ = Command::new("kubectl")
            .args(["-n", &space.name, "exec", "zk-1", "-c", "zookeeper", "--", "sh", "-c", KILL_SERVER])
            .output();
        eventually(PATIENCE, "the server to be restarted in place", async || {
            let pod = space.pods().get("zk-1").await.unwrap();
            let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
            statuses.iter().any(|container| container.restart_count > 0)
        })
        .await;
        zk.ready(2).await;
    })
    .await;
}
