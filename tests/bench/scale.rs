//! One operator and a thousand ensembles: memory, what it writes while nothing happens, how soon it follows a change.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use menagerie::api::ZooKeeperEnsemble;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster::condition;
use super::fleet::Fleet;
use super::idle::{ProcessUsage, percent};
use super::process::memory;

const NAMESPACES: usize = 10;
const WINDOW: Duration = Duration::from_mins(1);
const CHANGES: usize = 300;
/// Ten changes a second, as a pipeline that touches every team's ensemble makes them.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_mins(20);
/// The aim, in milliseconds.
const SLOW: f64 = 1000.0;
const OPERATOR: &str = "system:serviceaccount:menagerie-system:menagerie";

struct Operator(Child);

impl Operator {
    fn start() -> Self {
        let (program, kubeconfig) = (setting("OPERATOR"), setting("OPERATOR_KUBECONFIG"));
        let log = File::create(format!("{}/logs/operator.log", setting("MENAGERIE_STATE"))).unwrap();
        let child = Command::new(program)
            .args(["operator", "--image", "docker.io/menagerie/operator:dev", "--listen", "127.0.0.1:18080"])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run dev/bench scale"))
}

fn place(n: usize) -> (String, String) {
    (format!("team-{}", n % NAMESPACES), format!("zk-{n:04}"))
}

async fn create(client: Client, fleet: Fleet, n: usize) {
    let (namespace, name) = place(n);
    let api: Api<ZooKeeperEnsemble> = Api::namespaced(client, &namespace);
    let manifest = json!({
        "apiVersion": "menagerie.dev/v1alpha1",
        "kind": "ZooKeeperEnsemble",
        "metadata": {"name": name},
        // Supervised: a change is applied at once, and no pod restarts for it.
        "spec": {"replicas": 3, "version": "3.9.5", "storage": {"ephemeral": true}, "updatePolicy": {"mode": "Supervised"}},
    });
    let made = api.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    fleet.knows(&namespace, &name, &made.uid().unwrap());
}

async fn until_ready(client: &Client, count: usize) {
    let api: Api<ZooKeeperEnsemble> = Api::all(client.clone());
    let started = Instant::now();
    loop {
        let listed = api.list(&ListParams::default()).await.unwrap();
        let ready = |ensemble: &&ZooKeeperEnsemble| {
            ensemble.status.as_ref().is_some_and(|status| condition(status, "Ready").0 == "True")
        };
        let ready = listed.iter().filter(ready).count();
        if ready >= count {
            return;
        }
        eprintln!("  {ready} of {count} ensembles are ready after {} s", started.elapsed().as_secs());
        assert!(started.elapsed() < PATIENCE, "they do not become ready");
        sleep(Duration::from_secs(5)).await;
    }
}

/// Until the operator has taken in each of these changes, and the API server has written down what it did.
async fn until_followed(client: &Client, changed: &[(String, String)]) {
    let started = Instant::now();
    for (namespace, name) in changed {
        let api: Api<ZooKeeperEnsemble> = Api::namespaced(client.clone(), namespace);
        loop {
            let now = api.get(name).await.unwrap();
            if now.status.is_some_and(|status| status.observed_generation == now.metadata.generation) {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "the change of {name} is not followed");
            sleep(PAUSE).await;
        }
    }
    sleep(Duration::from_secs(3)).await;
}

/// Every write since the API server started, in the order in which they were asked for.
fn audit() -> Vec<Value> {
    let folder = format!("{}/logs", setting("MENAGERIE_STATE"));
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("audit"));
    let mut events: Vec<Value> = logs
        .flat_map(|log| fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect();
    events.sort_by_key(|event| event["requestReceivedTimestamp"].as_str().map(str::to_owned));
    events
}

fn by_operator(event: &Value) -> bool {
    event["user"]["username"] == OPERATOR
}

fn millis(event: &Value, field: &str) -> f64 {
    let time: jiff::Timestamp = event[field].as_str().unwrap().parse().unwrap();
    f64::from(u32::try_from(time.as_microsecond() % 1_000_000_000_000 / 1_000).unwrap())
}

/// From the moment at which a change is stored until the operator's first write for it is asked for.
fn latencies(events: &[Value], changed: &[(String, String)]) -> Vec<f64> {
    let first_write = |(namespace, name): &(String, String)| {
        let change = events.iter().position(|event| {
            let object = &event["objectRef"];
            event["verb"] == "patch"
                && object["resource"] == "zookeeperensembles"
                && object["subresource"].is_null()
                && object["namespace"] == namespace.as_str()
                && object["name"] == name.as_str()
        })?;
        let write = events[change..].iter().find(|event| {
            let object = &event["objectRef"];
            by_operator(event)
                && object["namespace"] == namespace.as_str()
                && object["name"].as_str().is_some_and(|object| object.starts_with(name.as_str()))
        })?;
        let since = millis(&events[change], "stageTimestamp");
        let took = (millis(write, "requestReceivedTimestamp") - since).max(0.0);
        if took > SLOW {
            eprintln!(
                "  {namespace}/{name}: changed at {}, followed after {took:.0} ms",
                events[change]["stageTimestamp"]
            );
        }
        Some(took)
    };
    let mut found: Vec<f64> = changed.iter().filter_map(first_write).collect();
    assert_eq!(found.len(), changed.len(), "the audit log lacks some");
    found.sort_by(f64::total_cmp);
    found
}

/// `which` of a hundred of these sorted values.
fn percentile(sorted: &[f64], which: usize) -> f64 {
    sorted[(sorted.len() * which).div_ceil(100) - 1]
}

/// Changes one key of the configuration of some of them.
async fn change(client: &Client, size: usize) -> Vec<(String, String)> {
    let mut places: Vec<usize> = (0..size).collect();
    places.shuffle(&mut StdRng::seed_from_u64(size as u64));
    let mut changed = Vec::new();
    for n in places.into_iter().take(CHANGES.min(size / 2)) {
        let (namespace, name) = place(n);
        let api: Api<ZooKeeperEnsemble> = Api::namespaced(client.clone(), &namespace);
        let patch = json!({"spec": {"config": {"snapCount": (50_000 + size).to_string()}}});
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        changed.push((namespace, name));
        sleep(PAUSE).await;
    }
    changed
}

/// Grows from nothing to the largest size, and measures at each.
pub async fn scale() {
    let client = Client::try_default().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for n in 0..NAMESPACES {
        let namespace = json!({"metadata": {"name": format!("team-{n}")}});
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
    }
    let fleet = Fleet::start(&client).await;
    let operator = Operator::start();
    println!(
        "\n### One operator, ensembles of 3 on fake nodes, {CHANGES} changes, ten a second (of 100 ensembles: 50)\n"
    );
    println!(
        "| ensembles | all ready after | resident memory | writes in {} s idle | processor, idle | change to first write: median | p99 | longest |\n|---|---|---|---|---|---|---|---|",
        WINDOW.as_secs()
    );
    let mut have = 0;
    let sizes = std::env::var("ENSEMBLES").unwrap_or_else(|_| "100 1000".to_owned());
    for size in sizes.split_whitespace().map(|size| size.parse().expect("ENSEMBLES: numbers")) {
        let started = Instant::now();
        let creations = (have..size).map(|n| create(client.clone(), fleet.clone(), n));
        futures::stream::iter(creations).buffer_unordered(4).collect::<()>().await;
        have = size;
        until_ready(&client, size).await;
        let ready = started.elapsed();
        sleep(Duration::from_secs(30)).await;
        let before = audit().iter().filter(|event| by_operator(event)).count();
        let process = ProcessUsage::of(operator.0.id());
        sleep(WINDOW).await;
        let (spent, resident) = (percent(&process), memory(process.pid, "VmRSS:"));
        let events = audit();
        let idle: Vec<&Value> = events.iter().filter(|event| by_operator(event)).skip(before).collect();
        for write in idle.iter().take(5) {
            eprintln!("  idle: {} {} {}", write["verb"], write["objectRef"]["resource"], write["objectRef"]["name"]);
        }
        let known = audit().len();
        let changed = change(&client, size).await;
        until_followed(&client, &changed).await;
        let found = latencies(&audit()[known..], &changed);
        println!(
            "| {size} | {:.0} s | {resident:.1} MiB | {} | {spent:.1} % of a core | {:.0} ms | {:.0} ms | {:.0} ms |",
            ready.as_secs_f64(),
            idle.len(),
            percentile(&found, 50),
            percentile(&found, 99),
            percentile(&found, 100),
        );
    }
    println!("\nResident memory after all of it: {:.1} MiB.", memory(operator.0.id(), "VmRSS:"));
}
