//! A namespace on the cluster, and an ensemble in it.

use std::fmt::Write as _;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use menagerie::agent::client;
use menagerie::api::{EnsembleStatus, ZooKeeperEnsemble};
use menagerie::archive::seal::Keys;
use menagerie::model::MemberTruth;
use serde_json::{Value, json};

/// Longest that any one step of a test may take on two busy cores.
pub const PATIENCE: Duration = Duration::from_mins(4);
/// A server of a test lives for a minute: what it would gain by compiling better costs two cores more than it gives.
pub const FLAGS: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
/// For a shell in the server's container: the server ends, whichever process of the pod it is.
pub const KILL_SERVER: &str =
    r#"for p in /proc/[0-9]*; do if grep -qs "[Q]uorumPeerMain" "$p/cmdline"; then kill "${p#/proc/}"; fi; done"#;
/// Where pods reach this machine: the bridge of `dev/cluster`.
pub const BRIDGE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
/// The version that tests run.
pub const VERSION: &str = "3.9.5";

/// A namespace of one test.
#[derive(Clone)]
pub struct Space {
    pub client: Client,
    pub name: String,
}

/// Runs a test in a fresh namespace and removes it, whatever happens; a failure is told with what the cluster shows.
pub async fn in_namespace<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Space) -> F) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_default().await.expect("no cluster: run `dev/test e2e`, which starts one");
    let space = Space { client, name: format!("e2e-{name}") };
    space.create().await;
    let result = AssertUnwindSafe(test(space.clone())).catch_unwind().await;
    if result.is_err() {
        eprintln!("{}", space.story());
    }
    space.remove().await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

impl Space {
    async fn create(&self) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        self.remove().await;
        let namespace = serde_json::from_value(json!({"metadata": {
            "name": self.name,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted", "menagerie.dev/test": "e2e"},
        }}))
        .unwrap();
        api.create(&PostParams::default(), &namespace).await.unwrap();
    }

    async fn remove(&self) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let _ = api.delete(&self.name, &DeleteParams::default()).await;
        eventually(PATIENCE, "the namespace to be gone", async || api.get_opt(&self.name).await.unwrap().is_none())
            .await;
    }

    /// Creates an ensemble of that name from the fields of a spec.
    pub async fn ensemble(&self, name: &str, spec: Value) -> Ensemble {
        let ensemble = Ensemble { space: self.clone(), name: name.to_owned() };
        self.apply(name, spec).await.unwrap();
        ensemble
    }

    /// Creates an ensemble that grows from one to three, so that its first member leads.
    pub async fn three_led_by_the_first(&self, name: &str) -> Ensemble {
        let ensemble = self.ensemble(name, json!({"replicas": 1})).await;
        ensemble.ready(1).await;
        ensemble.scale(3);
        let status = ensemble.ready(3).await;
        assert_eq!(status.leader, Some(format!("{name}-0")));
        ensemble
    }

    /// Applies a manifest as `kubectl apply --server-side` does.
    pub async fn apply(&self, name: &str, spec: Value) -> kube::Result<ZooKeeperEnsemble> {
        let mut all = json!({"version": VERSION, "storage": {"size": "1Gi"}, "jvm": {"heap": "160Mi", "flags": FLAGS}});
        merge(&mut all, spec);
        let mut manifest = json!({
            "apiVersion": "menagerie.dev/v1alpha1",
            "kind": "ZooKeeperEnsemble",
            "metadata": {"name": name, "namespace": self.name},
            "spec": all,
        });
        // For an operator with `--selector menagerie.dev/by=…` beside the one that is installed.
        if let Ok(by) = std::env::var("MENAGERIE_BY") {
            manifest["metadata"]["labels"] = json!({"menagerie.dev/by": by});
        }
        let params = PatchParams::apply("e2e").force();
        self.ensembles().patch(name, &params, &Patch::Apply(&manifest)).await
    }

    /// Writes the Secret `keys`, for a store.
    pub fn keys(&self, key: &str, secret: &str) {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
            "stringData": {"accessKeyId": key, "secretAccessKey": secret},
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest.to_string()).unwrap();
        self.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
    }

    /// The Secret with the key of [`SEALING_KEY`].
    pub fn sealing_key(&self) {
        let key = format!("--from-literal=k1={SEALING_KEY}");
        self.kubectl(&["create", "secret", "generic", "sealing", &key]);
    }

    pub fn ensembles(&self) -> Api<ZooKeeperEnsemble> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// `kubectl` in this namespace; its output, or a panic with its error.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("kubectl").args(["-n", &self.name]).args(arguments).output().expect("kubectl is missing");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `menagerie` in this namespace: its exit code, and what it says on standard output and standard error.
    pub fn menagerie(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
        // Without rights to any archive.
        let output = command.args(arguments).args(["-n", &self.name]).env_remove("AWS_ACCESS_KEY_ID").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// What `kubectl` says when it fails.
    pub fn fails(&self, arguments: &[&str]) -> Option<String> {
        let output =
            Command::new("kubectl").args(["-n", &self.name]).args(arguments).output().expect("kubectl is missing");
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What the cluster shows of this namespace, for a person who reads a failure.
    fn story(&self) -> String {
        let mut story = format!("--- what the cluster shows of {}\n", self.name);
        let of_operator = ["-n", "menagerie-system", "logs", "deploy/menagerie", "--tail=60"];
        let looks: [&[&str]; 5] = [
            &["-n", &self.name, "get", "zke,sts,pods,pvc,svc", "-o", "wide"],
            &[
                "-n",
                &self.name,
                "get",
                "zke",
                "-o",
                "jsonpath={range .items[*].status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}",
            ],
            &["-n", &self.name, "get", "events", "--sort-by=.lastTimestamp"],
            &[
                "-n",
                &self.name,
                "logs",
                "-l",
                "app.kubernetes.io/managed-by=menagerie",
                "--all-containers",
                "--prefix",
                "--tail=25",
            ],
            &of_operator,
        ];
        for arguments in looks {
            let output = Command::new("kubectl").args(arguments).output();
            let text =
                output.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
            let _ = writeln!(story, "$ kubectl {}\n{}", arguments.join(" "), text.unwrap_or_default());
        }
        story
    }
}

/// An ensemble under test.
#[derive(Clone)]
pub struct Ensemble {
    pub space: Space,
    pub name: String,
}

impl Ensemble {
    pub async fn get(&self) -> ZooKeeperEnsemble {
        self.space.ensembles().get(&self.name).await.unwrap()
    }

    pub async fn status(&self) -> EnsembleStatus {
        self.get().await.status.unwrap_or_default()
    }

    /// As `kubectl scale zke/NAME --replicas=N` does.
    pub fn scale(&self, replicas: u32) {
        self.space.kubectl(&["scale", &format!("zke/{}", self.name), &format!("--replicas={replicas}")]);
    }

    /// Waits until the ensemble is ready with that many voters, for the present spec.
    pub async fn ready(&self, voters: u32) -> EnsembleStatus {
        let what = format!("{} to be ready with {voters} voters", self.name);
        eventually(PATIENCE, &what, async || {
            let ensemble = self.get().await;
            let status = ensemble.status.clone().unwrap_or_default();
            status.observed_generation == ensemble.metadata.generation
                && condition(&status, "Ready").0 == "True"
                && status.replicas == i32::try_from(voters).unwrap()
                && status.members.iter().filter(|member| member.confirmed).count() == voters as usize
        })
        .await;
        self.status().await
    }

    /// Waits for a condition to have that status and reason, and gives its message.
    pub async fn condition(&self, name: &str, status: &str, reason: &str) -> String {
        let what = format!("condition {name} to be {status} for {reason}");
        let mut message = String::new();
        eventually(PATIENCE, &what, async || {
            let now = self.status().await;
            let (is, why, text) = condition(&now, name);
            message = text;
            is == status && why == reason
        })
        .await;
        message
    }

    /// Address of a Service's client port.
    pub async fn address(&self, service: &str) -> String {
        let api: Api<Service> = Api::namespaced(self.space.client.clone(), &self.space.name);
        let service = api.get(&format!("{}-{service}", self.name)).await.unwrap();
        format!("{}:2181", service.spec.unwrap().cluster_ip.unwrap())
    }

    /// What each member says of itself, as far as it answers.
    pub async fn truths(&self) -> Vec<MemberTruth> {
        let selector = format!("menagerie.dev/ensemble={}", self.name);
        let pods = self.space.pods().list(&ListParams::default().labels(&selector)).await.unwrap();
        let addresses = pods.items.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone());
        let asked = addresses.map(|ip| async move { client::member(&ip, Duration::from_secs(1)).await.ok() });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// Deletes a pod as `kubectl delete pod` does, and waits until another one is in its place.
    pub async fn delete_pod(&self, name: &str) {
        let pods = self.space.pods();
        let Some(uid) = pods.get_opt(name).await.unwrap().and_then(|pod| pod.uid()) else { return };
        let _ = pods.delete(name, &DeleteParams::default()).await;
        eventually(PATIENCE, "the pod to be replaced", async || {
            pods.get_opt(name).await.unwrap().is_none_or(|pod| pod.uid() != Some(uid.clone()))
        })
        .await;
    }

    pub async fn delete(&self) {
        let api = self.space.ensembles();
        api.delete(&self.name, &DeleteParams::foreground()).await.unwrap();
        eventually(PATIENCE, "the ensemble to be gone", async || api.get_opt(&self.name).await.unwrap().is_none())
            .await;
    }
}

/// `s3` of a spec, for the test's store at an address.
pub fn s3(address: SocketAddr) -> Value {
    json!({"bucket": "backups", "prefix": "zookeeper/a", "endpoint": format!("http://{address}"), "credentialsSecret": "keys"})
}

/// A key of tests, with which members encrypt what they archive.
const SEALING_KEY: &str = "5f0c17f7b9f3a1be27d6bde7a7e0a9d8c3f6e5b4a39281706f5e4d3c2b1a0918";

/// The same archive, encrypted by members.
pub fn sealed(mut s3: Value) -> Value {
    s3["encryptionKeys"] = json!({"secret": "sealing"});
    s3
}

/// The key, as members have it.
pub fn sealing() -> Keys {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("k1"), SEALING_KEY).unwrap();
    Keys::of_folder(folder.path(), "the tests' keys".to_owned(), None).unwrap()
}

/// Status, reason and message of a condition.
pub fn condition(status: &EnsembleStatus, name: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == name);
    found.map(|c| (c.status.clone(), c.reason.clone(), c.message.clone())).unwrap_or_default()
}

/// Asks again and again until it is so.
pub async fn eventually(patience: Duration, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !so().await {
        assert!(started.elapsed() < patience, "waited {} s for {what}", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Kills the operator's pod without grace; its Deployment brings another.
pub async fn kill_operator(client: &Client) {
    let api: Api<Pod> = Api::namespaced(client.clone(), "menagerie-system");
    let params = ListParams::default().labels("app.kubernetes.io/name=menagerie");
    for pod in api.list(&params).await.unwrap() {
        let _ = api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
    }
}

fn merge(base: &mut Value, patch: Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}
