//! Pods without machines: what a kubelet, an agent and a server would say of every pod on an API server that has no nodes.
//! It stands in for ensembles by the thousand, of which only the operator is measured.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use menagerie::model::layout::{AGENT_PORT, MEMBER_PATH};
use menagerie::model::truth::{DiskState, Mode, ServerState, Serving};
use menagerie::model::{ConfigVersion, MemberTruth, Names, Seat, ServerId, Zxid};
use serde_json::{Value, json};

/// All of it is routed to this machine alone (`dev/bench.d/scale.sh`).
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 64, 1);
const NODES: u32 = 30;
const AT_ONCE: usize = 32;
const BORN: ConfigVersion = ConfigVersion(1 << 32);

type Shared<T> = Arc<Mutex<T>>;

/// All pods, and what stands behind their addresses.
#[derive(Clone)]
pub struct Fleet {
    client: Client,
    /// Uid of an ensemble by namespace and name.
    identities: Shared<HashMap<(String, String), String>>,
    truths: Shared<HashMap<String, MemberTruth>>,
    next: Arc<AtomicU32>,
}

impl Fleet {
    /// Makes the nodes, and runs every pod that comes.
    pub async fn start(client: &Client) -> Self {
        let fleet =
            Self { client: client.clone(), identities: Arc::default(), truths: Arc::default(), next: Arc::default() };
        let nodes: Api<Node> = Api::all(client.clone());
        for n in 0..NODES {
            let node = json!({"metadata": {"name": format!("fake-{n}"), "labels": {"kubernetes.io/hostname": format!("fake-{n}")}}});
            nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        }
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, AGENT_PORT)).await.unwrap();
        let routes = Router::new().route(MEMBER_PATH, get(answer)).with_state(fleet.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let kubelet = fleet.clone();
        tokio::spawn(async move {
            let pods: Api<Pod> = Api::all(kubelet.client.clone());
            let seen = watcher(pods, watcher::Config::default()).default_backoff().touched_objects();
            let run = |pod: Result<Pod, watcher::Error>| {
                let kubelet = kubelet.clone();
                async move {
                    match pod {
                        Ok(pod) => kubelet.sync(&pod).await,
                        Err(error) => eprintln!("the pods are not watched: {error}"),
                    }
                }
            };
            seen.for_each_concurrent(AT_ONCE, run).await;
        });
        fleet
    }

    /// An ensemble was made: its members know whose they are.
    pub fn knows(&self, namespace: &str, name: &str, uid: &str) {
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        identities.insert((namespace.to_owned(), name.to_owned()), uid.to_owned());
    }

    async fn sync(&self, pod: &Pod) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
        let name = pod.name_any();
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
            return;
        }
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            return;
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let node = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": format!("fake-{}", n % NODES)},
        });
        let bound: kube::Result<Value> = api.create_subresource("binding", &name, &PostParams::default(), &node).await;
        if let Err(error) = bound {
            eprintln!("pod {name} cannot be bound: {error}");
            return;
        }
        let address = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + n).to_string();
        self.truths.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone(), self.truth(pod));
        if let Err(error) = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(running(&address))).await {
            eprintln!("the status of pod {name} cannot be written: {error}");
        }
    }

    /// A member of an ensemble that was born, and in which nothing happens.
    fn truth(&self, pod: &Pod) -> MemberTruth {
        let names = Names {
            ensemble: pod.labels()["menagerie.dev/ensemble"].clone(),
            namespace: pod.namespace().unwrap(),
            domain: "cluster.local".into(),
        };
        let identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = identities.get(&(names.namespace.clone(), names.ensemble.clone())).cloned();
        let ordinal = names.seat_of_pod(&pod.name_any()).unwrap();
        let leads = ordinal == Seat::voter(0);
        MemberTruth {
            id: ServerId::from(ordinal),
            disk: DiskState { identity, database: true, record: Some(BORN), epoch: Some(1), ..DiskState::default() },
            server: ServerState::Serving(Serving {
                mode: if leads { Mode::Leader } else { Mode::Follower },
                epoch: 1,
                zxid: Zxid(BORN.0),
                version: "3.9.5".into(),
                membership: format!("{}version={BORN}", names.seed(3).text()),
                synced_voters: leads.then_some(2),
                commits_nothing: None,
            }),
            stalled: None,
            still: None,
            archive: None,
            unpurged: None,
        }
    }
}

/// What a kubelet says of a pod that runs and is ready.
fn running(address: &str) -> Value {
    let now = "2026-01-01T00:00:00Z";
    let container = |name: &str| {
        json!({
            "name": name, "image": "fake", "imageID": "fake", "ready": true, "started": true, "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        })
    };
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    json!({"status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": conditions.map(|name| json!({"type": name, "status": "True", "lastTransitionTime": now})),
        "containerStatuses": [container("zookeeper"), container("agent")],
    }})
}

/// Every agent at once: whose answer it is says the address that was asked.
async fn answer(State(fleet): State<Fleet>, headers: HeaderMap) -> Response {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let address = host.split(':').next().unwrap_or_default();
    let truths = fleet.truths.lock().unwrap_or_else(PoisonError::into_inner);
    match truths.get(address) {
        Some(truth) => Json(truth.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
