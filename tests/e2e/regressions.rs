//! What broke other operators, by the number under which it was reported: `docs/regressions.md` has the whole list.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode};

use super::cluster::{Ensemble, PATIENCE, Space, condition, eventually, in_namespace, kill_operator};
use super::writers::{Writers, connect};

/// Claims by name, with their uids.
async fn claims(space: &Space) -> BTreeMap<String, String> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
    let listed = api.list(&ListParams::default()).await.unwrap();
    listed.iter().map(|claim| (claim.name_any(), claim.uid().unwrap())).collect()
}

/// Every znode with its data and version, but for what ZooKeeper keeps for itself.
async fn tree(client: &Client, root: &str) -> BTreeMap<String, (Vec<u8>, i64, i32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let (data, stat) = client.get_data(&path).await.unwrap();
        let children = client.list_children(&path).await.unwrap();
        let below = if path == "/" { "" } else { path.as_str() };
        open.extend(children.iter().filter(|name| *name != "zookeeper").map(|name| format!("{below}/{name}")));
        found.insert(path, (data, stat.mzxid, stat.version));
    }
    found
}

/// Restarts of every server in place: one that is not in its own list ends again and again.
async fn restarts(zk: &Ensemble) -> Vec<i32> {
    let pods = zk.space.pods().list(&ListParams::default()).await.unwrap();
    let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    statuses.filter(|container| container.name == "zookeeper").map(|container| container.restart_count).collect()
}

#[tokio::test]
async fn regression_312_the_claims_of_an_ensemble_that_is_created_again_at_once_are_not_taken_for_the_old_ones() {
    in_namespace("r312", |space| async move {
        let spec = json!({"replicas": 3, "storage": {"reclaim": {"onDelete": "Delete", "onScaleDown": "Delete"}}});
        let zk = space.ensemble("zk", spec.clone()).await;
        let (identity, old) = (zk.ready(3).await.identity, claims(&space).await);
        space.kubectl(&["delete", "zke", "zk", "--wait=false"]);
        // What starts now lists the world while the old one is still going.
        kill_operator(&space.client).await;
        eventually(PATIENCE, "the name to be free", async || space.ensembles().get_opt("zk").await.unwrap().is_none())
            .await;
        let zk = space.ensemble("zk", spec).await;
        assert_ne!(zk.ready(3).await.identity, identity, "it is another ensemble");
        let new = claims(&space).await;
        assert_eq!(new.len(), 3);
        assert!(new.iter().all(|(name, uid)| old.get(name) != Some(uid)), "an old claim is used again");
        kill_operator(&space.client).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(claims(&space).await, new);
    })
    .await;
}

#[tokio::test]
async fn regression_314_an_operator_that_starts_after_a_scale_up_takes_no_pod_and_no_claim_back() {
    in_namespace("r314", |space| async move {
        let storage = json!({"reclaim": {"onScaleDown": "Delete"}});
        let zk = space.ensemble("zk", json!({"replicas": 1, "storage": storage})).await;
        zk.ready(1).await;
        zk.scale(3);
        let (mut most, mut seen) = (0, BTreeSet::new());
        let mut killed = 0;
        eventually(PATIENCE, "three voters", async || {
            let sets = space.kubectl(&["get", "sts", "zk", "-o", "jsonpath={.spec.replicas}"]);
            let pods: u32 = sets.parse().unwrap();
            assert!(pods >= most, "from {most} pods to {pods} while growing");
            most = pods;
            let now: BTreeSet<String> = claims(&space).await.into_values().collect();
            assert!(seen.is_subset(&now), "a claim went while growing");
            seen = now;
            if pods > killed {
                killed = pods;
                kill_operator(&space.client).await;
            }
            zk.status().await.members.iter().filter(|member| member.confirmed).count() == 3
        })
        .await;
        zk.ready(3).await;
        assert_eq!(claims(&space).await.into_values().collect::<BTreeSet<_>>(), seen);
    })
    .await;
}

/// Names of objects of a kind that come into being from now on.
fn created(space: &Space, group: &str, kind: &str) -> tokio::task::JoinHandle<Vec<String>> {
    let version = kube::api::GroupVersionKind::gvk(group, "v1", kind);
    let api: Api<DynamicObject> =
        Api::namespaced_with(space.client.clone(), &space.name, &ApiResource::from_gvk(&version));
    let kind = kind.to_owned();
    tokio::spawn(async move {
        let listed = api.list_metadata(&ListParams::default()).await.unwrap();
        let since = listed.metadata.resource_version.unwrap();
        let mut events = api.watch(&WatchParams::default().timeout(20), &since).await.unwrap().boxed();
        let mut names = Vec::new();
        while let Some(event) = events.next().await {
            if let WatchEvent::Added(object) = event.unwrap() {
                names.push(format!("{kind} {}", object.name_any()));
            }
        }
        names
    })
}

#[tokio::test]
async fn regression_410_nothing_is_created_for_an_ensemble_that_is_being_deleted() {
    in_namespace("r410", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        let kinds = [
            ("", "ConfigMap"),
            ("", "Service"),
            ("", "Secret"),
            ("", "ServiceAccount"),
            ("", "PersistentVolumeClaim"),
            ("apps", "StatefulSet"),
            ("policy", "PodDisruptionBudget"),
        ];
        let watched: Vec<_> = kinds.iter().map(|(group, kind)| created(&space, group, kind)).collect();
        // With `foreground` the object stays until its dependents are gone: long enough to be looked at again.
        space.kubectl(&["delete", "zke", "zk", "--cascade=foreground", "--wait=false"]);
        kill_operator(&space.client).await;
        for created in watched {
            assert_eq!(created.await.unwrap(), Vec::<String>::new());
        }
        assert!(space.ensembles().get_opt("zk").await.unwrap().is_none(), "it is gone");
        assert_eq!(space.kubectl(&["get", "sts,svc,pdb,pods", "-o", "name"]), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regression_453_513_448_94_315_down_and_up_again_quickly_or_unseen_finds_every_member_in_its_list() {
    in_namespace("r453", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let address = zk.address("client").await;
        let writers = Writers::start(&address, 1).await;
        // Never seen: by the time that an operator is back, all is as it was.
        kill_operator(&space.client).await;
        zk.scale(1);
        zk.scale(3);
        zk.ready(3).await;
        for gone in [3, 2, 1] {
            zk.scale(1);
            eventually(PATIENCE, "the way down", async || {
                let status = zk.status().await;
                status.members.iter().filter(|member| member.confirmed).count() <= gone
            })
            .await;
            zk.scale(3);
            zk.ready(3).await;
        }
        assert_eq!(restarts(&zk).await, [0, 0, 0], "a server ended");
        writers.stop().await.assert_all_there(&address).await;
    })
    .await;
}

#[tokio::test]
async fn regression_569_216_a_birth_that_is_interrupted_anywhere_converges_and_leaves_nothing_in_the_tree() {
    in_namespace("r569", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            kill_operator(&space.client).await;
        }
        zk.ready(3).await;
        // State of the operator in the tree that it manages is what those operators stumbled over.
        let client = connect(&zk.address("client").await).await;
        assert_eq!(client.list_children("/").await.unwrap(), ["zookeeper"]);
    })
    .await;
}

/// Servers of all pods but one, as processes of this machine.
async fn stop_all_but_one(zk: &Ensemble) -> Vec<String> {
    let mut stopped = Vec::new();
    for pod in zk.space.pods().list(&ListParams::default()).await.unwrap().into_iter().skip(1) {
        stopped.extend(super::replacing::servers(&pod.uid().unwrap()).iter().map(ToString::to_string));
    }
    stopped
}

#[tokio::test]
async fn regression_398_575_174_going_from_three_to_two_without_a_quorum_is_refused_and_can_be_recovered() {
    in_namespace("r398", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        zk.ready(3).await;
        let stopped = stop_all_but_one(&zk).await;
        assert_eq!(stopped.len(), 2, "{stopped:?}");
        assert!(Command::new("kill").arg("-STOP").args(&stopped).status().unwrap().success());
        eventually(PATIENCE, "the quorum to be missed", async || {
            condition(&zk.status().await, "QuorumAvailable").0 != "True"
        })
        .await;
        zk.scale(2);
        eventually(PATIENCE, "the wait to be said with its reason", async || {
            let (_, reason, message) = condition(&zk.status().await, "Progressing");
            reason == "NoQuorum" && message.contains("going from 3 to 2 voters")
        })
        .await;
        assert_eq!(zk.space.pods().list(&ListParams::default()).await.unwrap().items.len(), 3);
        // Whom liveness has restarted meanwhile is not there to go on.
        let _ = Command::new("kill").arg("-CONT").args(&stopped).output();
        zk.ready(2).await;
    })
    .await;
}

#[tokio::test]
async fn regression_577_a_restarted_leader_of_ordinal_zero_loses_nothing() {
    in_namespace("r577", |space| async move {
        let zk = space.three_led_by_the_first("zk").await;
        let status = zk.status().await;
        let client = connect(&zk.address("1").await).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for n in 0..20 {
            client.create(&format!("/n{n}"), format!("data {n}").as_bytes(), &options).await.unwrap();
        }
        let before = tree(&client, "/").await;
        assert_eq!(before.len(), 21);
        zk.delete_pod("zk-0").await;
        let after = zk.ready(3).await;
        assert_eq!(after.identity, status.identity);
        for member in ["0", "1", "2"] {
            let client = connect(&zk.address(member).await).await;
            client.sync("/").await.unwrap();
            assert_eq!(tree(&client, "/").await, before, "member {member}");
        }
    })
    .await;
}

/// What a server says that it runs with.
async fn conf(address: &str) -> String {
    let mut answer = String::new();
    let asked = async {
        let mut server = TcpStream::connect(address).await?;
        server.write_all(b"conf").await?;
        server.read_to_string(&mut answer).await
    };
    timeout(Duration::from_secs(5), asked).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn regression_454_a_changed_configuration_reaches_every_server_and_the_leader_last() {
    in_namespace("r454", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3})).await;
        let leader = zk.ready(3).await.leader.unwrap();
        let generation = zk.get().await.metadata.generation;
        space.ensemble("zk", json!({"replicas": 3, "config": {"minSessionTimeout": "5000"}})).await;
        eventually(PATIENCE, "the roll", async || {
            let now = zk.get().await;
            let status = now.status.unwrap_or_default();
            now.metadata.generation != generation
                && status.observed_generation == now.metadata.generation
                && condition(&status, "RestartPending").0.is_empty()
                && condition(&status, "Progressing").1 == "Steady"
        })
        .await;
        zk.ready(3).await;
        let mut pods = space.pods().list(&ListParams::default()).await.unwrap().items;
        pods.sort_by_key(|pod| pod.creation_timestamp().unwrap().0);
        assert_eq!(pods.last().unwrap().name_any(), leader, "the leader last");
        for pod in pods {
            let address = format!("{}:2181", pod.status.unwrap().pod_ip.unwrap());
            let conf = conf(&address).await;
            assert!(conf.lines().any(|line| line == "minSessionTimeout=5000"), "{conf}");
        }
    })
    .await;
}

#[tokio::test]
async fn regression_542_a_probe_that_kubernetes_does_not_allow_is_said_in_its_words_and_the_ensemble_goes_on() {
    in_namespace("r542", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 1})).await;
        zk.ready(1).await;
        let exporter = json!({
            "name": "exporter",
            "image": "docker.io/library/zookeeper:3.9.5",
            "command": ["sleep", "600"],
            "livenessProbe": {"tcpSocket": {"port": 2181}, "successThreshold": 2},
        });
        let bad = json!({"replicas": 1, "podTemplate": {"spec": {"containers": [exporter]}}});
        space.apply("zk", bad).await.unwrap();
        let message = zk.condition("Degraded", "True", "ApplyRefused").await;
        assert!(message.contains("successThreshold"), "{message}");
        assert_eq!(condition(&zk.status().await, "QuorumAvailable").0, "True");
        space.apply("zk", json!({"replicas": 1})).await.unwrap();
        zk.condition("Degraded", "False", "AsExpected").await;
        zk.ready(1).await;
    })
    .await;
}

#[tokio::test]
async fn regression_400_300_101_a_namespace_with_an_ensemble_can_be_deleted_while_nobody_operates() {
    in_namespace("r400", |space| async move {
        let reclaim = json!({"onDelete": "Delete", "onScaleDown": "Delete"});
        let zk = space.ensemble("zk", json!({"replicas": 1, "storage": {"reclaim": reclaim}})).await;
        zk.ready(1).await;
        assert_eq!(zk.get().await.finalizers(), Vec::<String>::new(), "nothing of ours holds it up");
        let namespaces: Api<Namespace> = Api::all(space.client.clone());
        kill_operator(&space.client).await;
        namespaces.delete(&space.name, &DeleteParams::default()).await.unwrap();
        eventually(PATIENCE, "the namespace to be gone", async || {
            namespaces.get_opt(&space.name).await.unwrap().is_none()
        })
        .await;
    })
    .await;
}
