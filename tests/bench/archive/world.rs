//! Three servers, an agent beside each, and a store with a meter before it.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use menagerie::agent::seed::SuperDigest;
use menagerie::http;
use menagerie::model::layout::READY_PATH;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use zookeeper_client::Client;
use zookeeper_files::ids::Zxid;

use super::ensemble::Ensemble;
use super::gateway::{Gateway, KEY, SECRET};
use super::load;
use super::meter::Meter;
use crate::process::Running;

pub const IDENTITY: &str = "0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11";
pub const PASSWORD: &str = "bench";
pub const TARGET: &str = "s3://backups/zookeeper/a";
/// `spec.archive.copies`, as it is without a word of it.
pub const COPIES: usize = 2;
const PATIENCE: Duration = Duration::from_mins(4);
/// `readinessProbe.periodSeconds`.
const PROBES: Duration = Duration::from_secs(2);

pub struct World {
    pub ensemble: Ensemble,
    pub gateway: Gateway,
    pub meter: Meter,
    seeds: Seeds,
    agents: Vec<Running>,
    probes: JoinHandle<()>,
}

/// What pods find mounted.
pub struct Seeds(TempDir);

impl Seeds {
    pub fn new() -> Self {
        let seeds = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("super/password", PASSWORD),
            ("keys/accessKeyId", KEY),
            ("keys/secretAccessKey", SECRET),
            ("seed/zoo.cfg", ""),
        ] {
            seeds.write(name, text);
        }
        seeds
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A line of `zoo.cfg`.
    pub fn password_line(&self) -> String {
        SuperDigest::read(&self.path("super")).unwrap().line()
    }

    /// The charter of an ensemble of three at these addresses.
    pub fn charter(ensemble: &Ensemble, identity: &str, parent: Option<&Value>) -> Value {
        let servers = (1..=3).map(|id| {
            let ip = ensemble.address(id, 0).ip();
            format!("server.{id}={ip}:2888:3888:participant;{ip}:2181\n")
        });
        let mut charter = json!({
            "ensemble": "zk", "identity": identity, "birth": parent.is_some(), "membership": servers.collect::<String>(),
            "version": "0", "joiner": "zk-{ordinal}.ns.svc.cluster.local:2888:3888:participant;0.0.0.0:2181",
        });
        if let Some(parent) = parent {
            charter["parent"] = parent.clone();
        }
        charter
    }
}

/// The command, as it runs in its image.
pub fn menagerie() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
    let lines = include_str!("../../../deploy/Dockerfile").lines();
    command.envs(lines.filter_map(|line| line.strip_prefix("ENV ")?.split_once('=')));
    command.env("RUST_LOG", "info").env("MENAGERIE_SUPER_PASSWORD", PASSWORD);
    command
}

impl World {
    /// Servers that serve, and agents that archive nothing.
    pub async fn start(net: u8, settings: &str, jvm: &[&str]) -> Self {
        let seeds = Seeds::new();
        let settings = format!("{}\n{settings}", seeds.password_line());
        let mut ensemble = Ensemble::new("3.9.5", net, &settings);
        ensemble.jvm = jvm.iter().map(|flag| (*flag).to_owned()).collect();
        seeds.write("seed/charter.json", &Seeds::charter(&ensemble, IDENTITY, None).to_string());
        let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
        let meter = Meter::before(gateway.address).await;
        let probes =
            tokio::spawn(probe([1, 2, 3].map(|id| format!("http://{}{READY_PATH}", ensemble.address(id, 8079)))));
        let mut world = Self { ensemble, gateway, meter, seeds, agents: Vec::new(), probes };
        world.run_servers().await;
        world.run_agents(false);
        world
    }

    /// Starts the servers and waits until all of them serve; how long that took.
    pub async fn run_servers(&mut self) -> Duration {
        up(&mut self.ensemble).await
    }

    pub fn stop(&mut self) {
        self.agents.clear();
        (1..=3).for_each(|id| self.ensemble.stop(id));
    }

    /// The agents anew, with an archive or without one.
    pub fn run_agents(&mut self, archive: bool) {
        self.agents.clear();
        let config = json!({
            "target": TARGET, "endpoint": self.endpoint(), "credentials": true, "members": [1, 2], "intervalSeconds": 1,
        });
        let file = self.seeds.path("seed/archive.json");
        let _ = fs::remove_file(&file);
        if archive {
            fs::write(file, config.to_string()).unwrap();
        }
        self.agents = (1..=3).map(|id| self.agent(id)).collect();
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.meter.address)
    }

    pub fn keys(&self) -> PathBuf {
        self.seeds.path("keys")
    }

    fn agent(&self, id: u8) -> Running {
        let log = File::create(self.seeds.path(&format!("agent-{id}"))).unwrap();
        let mut command = menagerie();
        command.args(["agent", "serve", "--pod-name", &format!("zk-{}", id - 1)]);
        folders(&mut command, &self.ensemble.data(id), &self.seeds, "seed");
        command.arg("--archive").arg(self.keys());
        command.args(["--listen", &self.ensemble.address(id, 8079).to_string()]);
        command.args(["--admin", &format!("http://{}", self.ensemble.address(id, 8080))]);
        command.args(["--client", &self.ensemble.address(id, 2181).to_string()]);
        Running::spawn(command.stdout(log.try_clone().unwrap()).stderr(log))
    }

    /// The processes of the agents that may archive.
    pub fn archiving(&self) -> Vec<u32> {
        self.agents.iter().take(COPIES).map(Running::pid).collect()
    }

    pub fn servers(&self) -> Vec<String> {
        (1..=3).map(|id| self.ensemble.address(id, 2181).to_string()).collect()
    }

    /// Two sessions at each server.
    pub async fn clients(&self) -> Vec<Client> {
        let mut clients = Vec::new();
        for server in self.servers().iter().cycle().take(6) {
            clients.push(load::connect(server, PASSWORD).await);
        }
        clients
    }

    /// A write, and once the store has it in all copies, its zxid.
    pub async fn level(&self, client: &Client) -> Zxid {
        let zxid = Zxid(client.set_data("/", b"", None).await.unwrap().mzxid.cast_unsigned());
        let begun = Instant::now();
        while self.meter.copies(zxid) < COPIES {
            assert!(begun.elapsed() < PATIENCE, "{zxid:#} is not archived\n{}", self.words());
            sleep(Duration::from_millis(20)).await;
        }
        zxid
    }

    /// What the agents said last.
    pub fn words(&self) -> String {
        let said = |id| fs::read_to_string(self.seeds.path(&format!("agent-{id}"))).unwrap_or_default();
        [1, 2, 3].map(|id| format!("agent {id}:\n{}", said(id))).concat()
    }

    pub fn store(&self) -> menagerie::archive::store::Store {
        self.gateway.store()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.probes.abort();
    }
}

/// What a kubelet asks, as often: with an archive or without one, servers are asked how they are.
async fn probe(urls: [String; 3]) {
    loop {
        for url in &urls {
            // While it is started anew, nobody answers.
            let _ = http::get(url, PROBES).await;
        }
        sleep(PROBES).await;
    }
}

/// Options of every agent.
pub fn folders(command: &mut Command, data: &Path, seeds: &Seeds, seed: &str) {
    command.arg("--data").arg(data).arg("--seed").arg(seeds.path(seed)).arg("--super").arg(seeds.path("super"));
}

/// Starts all servers and waits until each of them serves; how long that took.
pub async fn up(ensemble: &mut Ensemble) -> Duration {
    let begun = Instant::now();
    (1..=3).for_each(|id| ensemble.start(id));
    for id in 1..=3 {
        serving(ensemble, id).await;
    }
    begun.elapsed()
}

/// Waits until a server serves: it says so on the port of its `AdminServer` once it has synced.
async fn serving(ensemble: &Ensemble, id: u8) {
    let url = format!("http://{}/commands/monitor", ensemble.address(id, 8080));
    let begun = Instant::now();
    loop {
        let state = http::get_json::<Value>(&url, Duration::from_secs(10)).await.ok();
        let state = state.and_then(|state| state["peer_state"].as_str().map(str::to_owned));
        if state.is_some_and(|state| state.ends_with("broadcast")) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "server {id} does not serve\n{}", ensemble.words());
        sleep(Duration::from_millis(50)).await;
    }
}
