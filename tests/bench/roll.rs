//! A rolling restart of three under writes, beside what a plain `StatefulSet` does.

use std::collections::BTreeSet;
use std::env;
use std::process::{self, Child, Command};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::time::sleep;

use super::cluster::in_namespace;
use super::contender::{LOOK, Pods, kubectl};
use super::measure::{Spread, handwritten_down, handwritten_up, spec};
use super::writers::Writers;

const WRITERS: usize = 3;

/// What the rolls of one contender came to.
#[derive(Default)]
struct Rolls {
    took: Vec<Duration>,
    gap_of_one: Vec<Duration>,
    gap_of_all: Vec<Duration>,
    elections: Vec<u64>,
    expired: usize,
    acknowledged: usize,
}

impl Rolls {
    /// One roll: every pod is another one afterwards, and all of them serve.
    async fn roll(&mut self, pods: &Pods, address: &str, begin: impl FnOnce()) {
        let before: BTreeSet<String> = pods.addresses().await.into_iter().map(|(_, uid, _)| uid).collect();
        let epoch = pods.epoch().await;
        let writers = Writers::start(address, WRITERS).await;
        sleep(Duration::from_secs(2)).await;
        let started = Instant::now();
        begin();
        loop {
            let now = pods.modes().await;
            if now.len() == before.len() && now.values().all(|(uid, _)| !before.contains(uid)) {
                break;
            }
            assert!(started.elapsed() < Duration::from_mins(5), "the roll does not end");
            sleep(LOOK).await;
        }
        self.took.push(started.elapsed());
        sleep(Duration::from_secs(3)).await;
        let tally = writers.stop().await;
        tally.assert_all_there(address).await;
        self.gap_of_one.push(tally.longest_gap_of_one);
        self.gap_of_all.push(tally.longest_gap_of_all);
        self.expired += tally.expired;
        self.acknowledged += tally.acknowledged.len();
        self.elections.push(pods.epoch().await - epoch);
    }

    fn rows(&self, who: &str) {
        Spread::of(&self.took).row(&format!("{who}: the whole roll"));
        Spread::of(&self.gap_of_one).row(&format!("{who}: longest gap of any one writer"));
        Spread::of(&self.gap_of_all).row(&format!("{who}: longest time without any acknowledged write"));
    }

    fn counts(&self, who: &str) {
        println!(
            "{who}: elections in each roll {:?}, sessions expired {}, writes acknowledged {}, lost 0.",
            self.elections, self.expired, self.acknowledged
        );
    }
}

/// Both in turns; with `BUSY=1` beside as many busy loops as there are cores.
pub async fn roll(runs: usize) {
    let busy = env::var("BUSY").is_ok().then(BusyLoops::start);
    handwritten_up();
    let client = Client::try_default().await.unwrap();
    let theirs = Pods::of_handwritten(&client);
    theirs.until_serving(3).await;
    in_namespace("bench-roll", |space| async move {
        let zk = space.ensemble("zk", spec(3)).await;
        zk.ready(3).await;
        let ours = Pods::of_ensemble(&space.client, &space.name);
        let their_address = members("handwritten", "zookeeper");
        let our_address = members(&space.name, "zk");
        let (mut plain, mut rolled) = (Rolls::default(), Rolls::default());
        for run in 0..runs {
            let restart = || drop(kubectl(&["-n", "handwritten", "rollout", "restart", "sts/zookeeper"]));
            plain.roll(&theirs, &their_address, restart).await;
            let word = format!("menagerie.dev/restart={run}");
            let annotate = || drop(space.kubectl(&["annotate", "zke", "zk", "--overwrite", &word]));
            rolled.roll(&ours, &our_address, annotate).await;
            zk.ready(3).await;
            eprintln!("roll: run {} of {runs}", run + 1);
        }
        println!("\n### Rolling restart of 3 under {WRITERS} writers with a write every 10 ms each{}, {runs} rolls each\n\n| seconds | min | median | max |\n|---|---|---|---|", if busy.is_some() { ", every core busy" } else { "" });
        plain.rows("plain StatefulSet");
        rolled.rows("Menagerie");
        println!();
        plain.counts("Plain StatefulSet");
        rolled.counts("Menagerie");
    })
    .await;
    handwritten_down();
}

/// The members' own Services, so that there is a writer on each.
fn members(namespace: &str, name: &str) -> String {
    let address = |n| {
        let service = format!("{name}-{n}");
        kubectl(&["-n", namespace, "get", "service", &service, "-o", "jsonpath={.spec.clusterIP}"]) + ":2181"
    };
    (0..3).map(address).collect::<Vec<_>>().join(",")
}

/// Loops that take what processor they can get, until dropped. Each is a process with a session of its own, which the kernel's
/// scheduler weighs by itself (`sched_autogroup`): as threads of this one they slowed the writers and their clock, not
/// only the cluster. One whose benchmark is gone ends within a second.
struct BusyLoops(Vec<Child>);

const LOOP: &str = "while [ -d /proc/$0 ]; do n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done; done";

impl BusyLoops {
    fn start() -> Self {
        let cores = available_parallelism().map_or(2, usize::from);
        let parent = process::id().to_string();
        let start = |_| Command::new("setsid").args(["sh", "-c", LOOP, &parent]).spawn().unwrap();
        Self((0..cores).map(start).collect())
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
