//! Birth, growth and restarts. Runs of the two contenders alternate, so that a machine that slows down slows both.

use std::time::{Duration, Instant};

use kube::Client;
use serde_json::json;
use tokio::time::sleep;

use super::cluster::{Ensemble, Space, in_namespace};
use super::contender::{LOOK, Pods, kubectl, mode};
use super::writers::Writers;

const HANDWRITTEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/bench.d/handwritten.yaml");

/// The settings of the hand-written ensemble.
pub fn spec(replicas: i32) -> serde_json::Value {
    json!({
        "replicas": replicas,
        // The JVM as shipped.
        "jvm": {"heap": "512Mi", "flags": []},
        "resources": {"requests": {"cpu": "100m", "memory": "768Mi"}, "limits": {"memory": "1Gi"}},
    })
}

pub fn handwritten_up() {
    kubectl(&["apply", "-f", HANDWRITTEN]);
}

pub fn handwritten_down() {
    kubectl(&["delete", "-f", HANDWRITTEN, "--ignore-not-found", "--wait=true", "--timeout=180s"]);
}

/// Minimum, median and maximum, in seconds.
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn of(times: &[Duration]) -> Self {
        let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    pub fn row(&self, what: &str) {
        println!("| {what} | {:.2} | {:.2} | {:.2} |", self.0[0], self.median(), self.0[self.0.len() - 1]);
    }
}

fn table(title: &str) {
    println!("\n### {title}\n\n| seconds | min | median | max |\n|---|---|---|---|");
}

async fn client() -> Client {
    Client::try_default().await.unwrap()
}

/// From `apply` to a quorum that serves, three members.
pub async fn birth(runs: usize) {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let client = client().await;
        let pods = Pods::of_handwritten(&client);
        let started = Instant::now();
        handwritten_up();
        pods.until_serving(2).await;
        theirs.push(started.elapsed());
        handwritten_down();
        let (send, receive) = tokio::sync::oneshot::channel();
        in_namespace("bench-birth", |space| async move {
            let pods = Pods::of_ensemble(&space.client, &space.name);
            let started = Instant::now();
            let zk = space.ensemble("zk", spec(3)).await;
            pods.until_serving(2).await;
            send.send(started.elapsed()).unwrap();
            zk.ready(3).await;
        })
        .await;
        ours.push(receive.await.unwrap());
    }
    table(&format!("Apply to a quorum that serves, 3 members, {runs} runs each"));
    let (theirs, ours) = (Spread::of(&theirs), Spread::of(&ours));
    theirs.row("hand-written StatefulSet");
    ours.row("Menagerie");
    println!("\nratio of the medians: {:.2}", ours.median() / theirs.median());
}

/// Of one growth: until it was confirmed, each joiner, the longest gaps of one writer and of all, and the writes.
type Growth = (Duration, [Duration; 2], Duration, Duration, usize);

/// Three to five under writes.
pub async fn grow(runs: usize) {
    let mut rows = Vec::new();
    for run in 0..runs {
        let (send, receive) = tokio::sync::oneshot::channel();
        in_namespace("bench-grow", |space| async move {
            let zk = space.ensemble("zk", spec(3)).await;
            zk.ready(3).await;
            let address = zk.address("client").await;
            let writers = Writers::start(&address, 3).await;
            sleep(Duration::from_secs(3)).await;
            let started = Instant::now();
            let joiners = tokio::spawn(joiners(space.clone()));
            zk.scale(5);
            voters(&zk, 5).await;
            let total = started.elapsed();
            let floor = joiners.await.unwrap();
            sleep(Duration::from_secs(2)).await;
            let tally = writers.stop().await;
            tally.assert_all_there(&address).await;
            send.send((total, floor, tally.longest_gap_of_one, tally.longest_gap_of_all, tally.acknowledged.len()))
                .unwrap();
        })
        .await;
        rows.push(receive.await.unwrap());
        eprintln!("grow: run {} of {runs}", run + 1);
    }
    table(&format!("3 → 5 under writes (3 writers, one write every 10 ms each), {runs} runs"));
    let column = |pick: fn(&Growth) -> Duration| Spread::of(&rows.iter().map(pick).collect::<Vec<_>>());
    column(|row| row.0).row("`kubectl scale` until 5 voters are confirmed");
    column(|row| row.1[0] + row.1[1]).row("floor: the two joiners, each from its pod's creation until it serves");
    column(|row| row.2).row("longest gap of any one writer");
    column(|row| row.3).row("longest time without any acknowledged write");
    println!("\nacknowledged writes in all runs: {}, lost: 0", rows.iter().map(|row| row.4).sum::<usize>());
}

async fn voters(zk: &Ensemble, count: usize) {
    while zk.status().await.members.iter().filter(|member| member.confirmed).count() < count {
        sleep(LOOK).await;
    }
}

/// How long each joiner took from its pod's appearance until its server serves.
async fn joiners(space: Space) -> [Duration; 2] {
    let mut took = [Duration::ZERO; 2];
    for (joiner, took) in ["zk-3", "zk-4"].iter().zip(&mut took) {
        let api = space.pods();
        while api.get_opt(joiner).await.unwrap().is_none() {
            sleep(LOOK).await;
        }
        let created = Instant::now();
        loop {
            let ip = api.get_opt(joiner).await.unwrap().and_then(|pod| pod.status?.pod_ip);
            if let Some(ip) = ip
                && mode(&ip).await.is_some()
            {
                break;
            }
            sleep(LOOK).await;
        }
        *took = created.elapsed();
    }
    took
}

/// A follower's pod deleted until it serves again, with a user's DNS caches, beside its process killed in place.
pub async fn restart(runs: usize) {
    handwritten_up();
    let client = client().await;
    let theirs = Pods::of_handwritten(&client);
    theirs.until_serving(3).await;
    in_namespace("bench-restart", |space| async move {
        let zk = space.ensemble("zk", spec(3)).await;
        zk.ready(3).await;
        let ours = Pods::of_ensemble(&space.client, &space.name);
        let mut times: [Vec<Duration>; 4] = Default::default();
        for run in 0..runs {
            // The kubelet looks at its containers once a second: every run meets another part of that second.
            let calm = Duration::from_secs(5)
                + Duration::from_secs(1) * u32::try_from(run).unwrap() / u32::try_from(runs).unwrap();
            for (column, pods) in [(0, &theirs), (2, &ours)] {
                times[column].push(pods.delete_until_serving(&pods.follower().await).await);
                pods.until_serving(3).await;
                sleep(calm).await;
                times[column + 1].push(pods.kill_until_serving(&pods.follower().await).await);
                pods.until_serving(3).await;
                sleep(calm).await;
            }
            zk.ready(3).await;
            eprintln!("restart: run {} of {runs}", run + 1);
        }
        table(&format!("A follower until it serves again, CoreDNS with a TTL of 30 s, {runs} runs each"));
        let spreads = times.map(|times| Spread::of(&times));
        spreads[0].row("hand-written StatefulSet, pod deleted");
        spreads[1].row("hand-written StatefulSet, process killed in place");
        spreads[2].row("Menagerie, pod deleted");
        spreads[3].row("Menagerie, process killed in place (JVM start and sync alone)");
        println!("\nMenagerie, pod deleted / JVM alone: {:.2}", spreads[2].median() / spreads[3].median());
    })
    .await;
    handwritten_down();
}
