//! Members that lost their data: a wiped volume, a dead node. Beside them ZooKeeper's own time to sync the same data.

use std::process::Command;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use kube::Client;
use tokio::time::sleep;
use zookeeper_client::{Acls, CreateMode};

use super::cluster::{Ensemble, eventually, in_namespace};
use super::contender::{LOOK, Pods, kubectl};
use super::measure::{Spread, handwritten_down, handwritten_up, spec};
use super::writers::connect;

const ZNODES: usize = 40_000;
const DATA: usize = 1 << 10;
const IN_FLIGHT: usize = 256;
const PATIENCE: Duration = Duration::from_mins(5);

async fn fill(address: &str) {
    let client = connect(address).await;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let data = vec![b'x'; DATA];
    client.create("/app", b"", &options).await.unwrap();
    let creations = (0..ZNODES).map(|n| {
        let (client, options, data) = (&client, &options, &data);
        async move { client.create(&format!("/app/data-{n:06}"), data, options).await.unwrap().0.czxid }
    });
    stream::iter(creations).buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await;
}

/// A follower whose whole volume is wiped and whose pod is deleted, until the next one has synced.
async fn wiped(pods: &Pods) -> Duration {
    let name = pods.follower().await;
    kubectl(&["-n", &pods.namespace, "exec", &name, "-c", "zookeeper", "--", "sh", "-c", "rm -rf /data/*"]);
    pods.delete_until_serving(&name).await
}

fn cluster(arguments: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/cluster");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "dev/cluster {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A follower's node loses its power. From the word that it will not come back until three voters are synced.
async fn dead_node(zk: &Ensemble, pods: &Pods) -> Duration {
    let name = pods.follower().await;
    let node = zk.space.pods().get(&name).await.unwrap().spec.unwrap().node_name.unwrap();
    cluster(&["off", node.rsplit('-').next().unwrap()]);
    eventually(PATIENCE, "the node to be lost", async || kubectl(&["get", "node", &node]).contains("NotReady")).await;
    let started = Instant::now();
    kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"]);
    loop {
        let elsewhere = zk.space.pods().get_opt(&name).await.unwrap().and_then(|pod| pod.spec?.node_name);
        let status = zk.status().await;
        let strong = status.ready_replicas == 3 && status.members.iter().filter(|member| member.confirmed).count() == 3;
        if strong && elsewhere.is_some_and(|now| now != node) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{name} does not come back elsewhere");
        sleep(LOOK).await;
    }
    let took = started.elapsed();
    kubectl(&["taint", "node", &node, "node.kubernetes.io/out-of-service-"]);
    cluster(&["up"]);
    spread_again(zk, &name, &node).await;
    took
}

/// Two members share a node now, and the next one to die would take both along: the one that moved goes home.
async fn spread_again(zk: &Ensemble, name: &str, home: &str) {
    zk.ready(3).await;
    zk.space.kubectl(&["annotate", "pod", name, "menagerie.dev/replace=volume"]);
    eventually(PATIENCE, "every member to have a node of its own", async || {
        let pod = zk.space.pods().get_opt(name).await.unwrap();
        pod.and_then(|pod| pod.spec?.node_name).is_some_and(|node| node == home)
    })
    .await;
    zk.ready(3).await;
}

/// Each way to lose data, in turns with ZooKeeper alone.
pub async fn recover(runs: usize) {
    handwritten_up();
    let client = Client::try_default().await.unwrap();
    let theirs = Pods::of_handwritten(&client);
    theirs.until_serving(3).await;
    let service = ["-n", "handwritten", "get", "service", "zookeeper-0", "-o", "jsonpath={.spec.clusterIP}"];
    fill(&format!("{}:2181", kubectl(&service))).await;
    in_namespace("bench-recover", |space| async move {
        let zk = space.ensemble("zk", spec(3)).await;
        zk.ready(3).await;
        fill(&zk.address("client").await).await;
        let ours = Pods::of_ensemble(&space.client, &space.name);
        let mut times: [Vec<Duration>; 3] = Default::default();
        for run in 0..runs {
            times[0].push(wiped(&theirs).await);
            theirs.until_serving(3).await;
            times[1].push(wiped(&ours).await);
            zk.ready(3).await;
            eprintln!("recover: run {} of {runs}", run + 1);
        }
        // Last: what runs on the dead node of the other contender's does not come back before the node does.
        for run in 0..runs {
            times[2].push(dead_node(&zk, &ours).await);
            eprintln!("recover: dead node {} of {runs}", run + 1);
        }
        println!("\n### A member without its data until it has synced again, {ZNODES} znodes of {DATA} bytes\n\n| seconds | min | median | max |\n|---|---|---|---|");
        let spreads = times.map(|times| Spread::of(&times));
        spreads[0].row("ZooKeeper alone: hand-written StatefulSet, volume wiped and pod deleted, until it serves");
        spreads[1].row("Menagerie: volume wiped and pod deleted, until it serves");
        spreads[2].row("Menagerie: node dead for good, from the taint that says so until three voters are synced elsewhere");
    })
    .await;
    handwritten_down();
}
