//! The two that are compared: an ensemble of this operator, and a StatefulSet that a careful user writes by hand.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::cluster::KILL_SERVER;

/// How often a state is looked at: the resolution of every time here.
pub const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_mins(3);

/// Members' pods in a namespace.
pub struct Pods {
    api: Api<Pod>,
    selector: &'static str,
    pub namespace: String,
}

impl Pods {
    pub fn of_handwritten(client: &Client) -> Self {
        Self {
            api: Api::namespaced(client.clone(), "handwritten"),
            selector: "app=zookeeper",
            namespace: "handwritten".into(),
        }
    }

    pub fn of_ensemble(client: &Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            selector: "app.kubernetes.io/name=zookeeper",
            namespace: namespace.into(),
        }
    }

    /// Name, uid and address of each pod that has an address.
    pub async fn addresses(&self) -> Vec<(String, String, String)> {
        let list = self.api.list(&ListParams::default().labels(self.selector)).await.unwrap();
        let found = list
            .items
            .iter()
            .filter_map(|pod| Some((pod.name_any(), pod.uid()?, pod.status.as_ref()?.pod_ip.clone()?)));
        found.collect()
    }

    /// What each server says it is: those that serve.
    pub async fn modes(&self) -> BTreeMap<String, (String, String)> {
        let mut modes = BTreeMap::new();
        for (name, uid, ip) in self.addresses().await {
            if let Some(mode) = mode(&ip).await {
                modes.insert(name, (uid, mode));
            }
        }
        modes
    }

    /// The highest epoch that any server's last transaction is of: it counts elections.
    pub async fn epoch(&self) -> u64 {
        let mut epoch = 0;
        for (_, _, ip) in self.addresses().await {
            let zxid = srvr(&ip, "Zxid: 0x").await.and_then(|text| u64::from_str_radix(&text, 16).ok());
            epoch = epoch.max(zxid.unwrap_or_default() >> 32);
        }
        epoch
    }

    /// How long until that many servers serve.
    pub async fn until_serving(&self, count: usize) -> Duration {
        let started = Instant::now();
        while self.modes().await.len() < count {
            assert!(started.elapsed() < PATIENCE, "{count} servers in {} do not serve", self.namespace);
            sleep(LOOK).await;
        }
        started.elapsed()
    }

    /// A follower's pod, the highest.
    pub async fn follower(&self) -> String {
        let modes = self.modes().await;
        modes
            .iter()
            .filter(|(_, (_, mode))| mode == "follower")
            .map(|(name, _)| name.clone())
            .next_back()
            .expect("no follower")
    }

    /// From the deletion of a pod, as the API server has it, until the one that replaces it serves. Only that one is asked:
    /// a peer whose address hangs would be in the time otherwise.
    pub async fn delete_until_serving(&self, name: &str) -> Duration {
        let before = self.api.get(name).await.unwrap().uid().unwrap();
        self.api.delete(name, &DeleteParams::default()).await.unwrap();
        let started = Instant::now();
        loop {
            let pod = self.api.get_opt(name).await.unwrap().filter(|pod| pod.uid().as_ref() != Some(&before));
            let ip = pod.and_then(|pod| pod.status?.pod_ip);
            if let Some(ip) = ip
                && mode(&ip).await.is_some()
            {
                return started.elapsed();
            }
            assert!(started.elapsed() < PATIENCE, "{name} does not serve again");
            sleep(LOOK).await;
        }
    }

    /// From the death of a server's process until the one that the kubelet starts in its place, in the same pod, serves:
    /// the time that a JVM takes to start and sync, with nothing else around it.
    pub async fn kill_until_serving(&self, name: &str) -> Duration {
        let ip = self.addresses().await.into_iter().find(|(pod, ..)| pod == name).unwrap().2;
        let _ = Command::new("kubectl")
            .args(["-n", &self.namespace, "exec", name, "-c", "zookeeper", "--", "sh", "-c", KILL_SERVER])
            .output();
        let started = Instant::now();
        while mode(&ip).await.is_some() {
            assert!(started.elapsed() < PATIENCE, "{name} does not stop");
            sleep(LOOK).await;
        }
        let down = Instant::now();
        while mode(&ip).await.is_none() {
            assert!(down.elapsed() < PATIENCE, "{name} does not serve again");
            sleep(LOOK).await;
        }
        down.elapsed()
    }
}

/// The answer to `srvr`: leader, follower, or nothing while it does not serve.
pub async fn mode(ip: &str) -> Option<String> {
    srvr(ip, "Mode: ").await
}

/// What follows that word in the answer to `srvr`.
async fn srvr(ip: &str, word: &str) -> Option<String> {
    let ask = async {
        let mut stream = TcpStream::connect((ip, 2181)).await.ok()?;
        stream.write_all(b"srvr").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.lines().find_map(|line| line.strip_prefix(word))?.to_owned())
    };
    timeout(Duration::from_millis(400), ask).await.ok().flatten()
}

pub fn kubectl(arguments: &[&str]) -> String {
    let output = Command::new("kubectl").args(arguments).output().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
