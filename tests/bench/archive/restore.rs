//! What an archive gives back: an ensemble of a million znodes, and some of its znodes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use menagerie::archive::bases;
use menagerie::archive::manifest::Manifest;
use serde_json::{Value, json};
use zookeeper_client::Client;
use zookeeper_files::ids::Zxid;

use super::ensemble::Ensemble;
use super::load::{self, Change};
use super::world::{IDENTITY, PASSWORD, Seeds, TARGET, World, folders, menagerie, up};
use crate::process::{Ran, memory, run};

const FOLDERS: usize = 100;
const IN_EACH: usize = 10_000;
/// The folder whose znodes are deleted.
const GONE: &str = "/app/folder-07";
/// Some snapshots, and a log after the base.
const SNAP_COUNT: usize = 50_000;
const PATIENCE: Duration = Duration::from_mins(4);
/// Runs of three servers at once, which take long.
const TOGETHER: usize = 2;
const NET: u8 = 102;
/// As the user of an ensemble of that size would have it.
const HEAP: &str = "-Xmx2g";
const JVM: [&str; 1] = [HEAP];

/// Runs of one thing that was measured.
#[derive(Default)]
struct Row {
    what: &'static str,
    runs: Vec<Ran>,
}

impl Row {
    fn of(what: &'static str) -> Self {
        Self { what, runs: Vec::new() }
    }

    fn print(mut self) {
        self.runs.sort_unstable_by_key(|ran| ran.took);
        let seconds: Vec<f64> = self.runs.iter().map(|ran| ran.took.as_secs_f64()).collect();
        let peak = self.runs.iter().map(|ran| ran.peak).fold(0.0, f64::max);
        let (first, middle, last) = (seconds[0], seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
        println!("| {} | {first:.2} | {middle:.2} | {last:.2} | {peak:.0} |", self.what);
    }
}

pub async fn restore(runs: usize) {
    let mut world = World::start(NET, &format!("snapCount={SNAP_COUNT}"), &JVM).await;
    let clients = world.clients().await;
    let base = archived(&mut world, &clients).await;
    selective(&world, &clients, runs).await;
    let last = world.level(&clients[0]).await;
    let all = FOLDERS * IN_EACH;
    println!(
        "\n### An ensemble of {all} znodes of {} bytes from its archive\n\nThe base has {} MiB in {} parts; after it {} transactions of log are read.\n",
        load::BYTES,
        base.bytes >> 20,
        base.parts.len(),
        last.0 - base.zxid.0,
    );
    drop(clients);
    cold(&mut world, last, runs).await;
}

fn paths(folder: &str) -> Vec<String> {
    (0..IN_EACH).map(|n| format!("{folder}/znode-{n:05}")).collect()
}

/// A million znodes, an archive of them, and a base that has all of them.
async fn archived(world: &mut World, clients: &[Client]) -> Manifest {
    let begun = Instant::now();
    clients[0].create("/app", b"", &load::open()).await.unwrap();
    for folder in 0..FOLDERS {
        let folder = format!("/app/folder-{folder:02}");
        clients[0].create(&folder, b"", &load::open()).await.unwrap();
        load::many(clients, paths(&folder), Change::Create).await;
    }
    let full = Zxid(clients[0].set_data("/", b"", None).await.unwrap().mzxid.cast_unsigned());
    eprintln!("  {} znodes made in {:.1} s", FOLDERS * IN_EACH, begun.elapsed().as_secs_f64());
    world.run_agents(true);
    let store = world.store();
    let begun = Instant::now();
    loop {
        load::set(clients, &paths("/app/folder-42"), SNAP_COUNT / 2).await;
        world.level(&clients[0]).await;
        match bases::newest(&store, IDENTITY).await.unwrap() {
            Some(base) if base.zxid >= full => {
                let peak = world.archiving().iter().map(|pid| memory(*pid, "VmHWM:")).fold(0.0, f64::max);
                println!(
                    "\nSwitched on late, two agents shipped all log of {} znodes and a base of them within {:.0} s; peak resident {peak:.1} MiB.",
                    FOLDERS * IN_EACH,
                    begun.elapsed().as_secs_f64()
                );
                return base;
            }
            _ => assert!(begun.elapsed() < PATIENCE, "no base comes\n{}", world.words()),
        }
    }
}

/// Znodes that were deleted come back, as a Job of the operator brings them.
async fn selective(world: &World, clients: &[Client], runs: usize) {
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("report");
    let mut plan = Row::of("`job restore-plan`: the tree at the point, the live znodes, the plan stored");
    let mut apply = Row::of("`job restore-apply`: the znodes are there again");
    let mut floor = Row::of("beside: one client creates as many znodes, 64 at a time");
    for number in 0..runs {
        let point = world.level(&clients[0]).await;
        load::many(clients, paths(GONE), Change::Delete).await;
        let job = |name: &str| {
            let mut command = menagerie();
            command.args(["job", name, "--archive", TARGET, "--identity", IDENTITY, "--endpoint", &world.endpoint()]);
            command
                .arg("--credentials")
                .arg(world.keys())
                .arg("--scratch")
                .arg(scratch.path())
                .arg("--report")
                .arg(&report);
            command.args(["--restore", &format!("bench-{number}"), "--server", &world.servers().join(",")]);
            command
        };
        plan.runs.push(run(job("restore-plan").args(["--at", &format!("{point:#}"), "--path", GONE])).await);
        let planned: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
        assert_eq!(planned["plan"]["create"], IN_EACH, "{planned}");
        let hash = planned["plan"]["hash"].as_str().unwrap().to_owned();
        apply.runs.push(run(job("restore-apply").args(["--plan", &hash])).await);
        assert_eq!(clients[0].list_children(GONE).await.unwrap().len(), IN_EACH);
        floor.runs.push(create_alone(&clients[0], &format!("/floor-{number}")).await);
    }
    println!(
        "\n### {IN_EACH} deleted znodes of {} come back into the running ensemble\n\n| seconds | min | median | max | peak resident, MiB |\n|---|---|---|---|---|",
        FOLDERS * IN_EACH
    );
    for row in [plan, apply, floor] {
        row.print();
    }
}

async fn create_alone(client: &Client, folder: &str) -> Ran {
    use futures::stream::StreamExt as _;
    client.create(folder, b"", &load::open()).await.unwrap();
    let begun = Instant::now();
    let paths = paths(folder);
    let creates = paths.iter().map(|path| async move { client.create(path, &load::data(), &load::open()).await });
    futures::stream::iter(creates)
        .buffer_unordered(64)
        .for_each(async |answer| {
            answer.unwrap();
        })
        .await;
    Ran { took: begun.elapsed(), peak: 0.0 }
}

/// Founders of a new ensemble beside `ZooKeeper`'s own start from the same tree.
async fn cold(world: &mut World, point: Zxid, runs: usize) {
    let mut load = Row::of("ZooKeeper 3.9.5 loads it from a member's disk, alone, as when it starts");
    let mut build = Row::of("`menagerie agent prepare` builds it from the archive, alone");
    let mut restart = Row::of("the three servers start again on their own disks, until all serve");
    let mut found = Row::of("three founders at once: `prepare` from the archive, then the servers, until all serve");
    world.stop();
    let folder = world.ensemble.data(1);
    for number in 0..runs {
        load.runs.push(run(&mut loading(&folder)).await);
        build.runs.push(Founders::new(world, point).prepare(1).await);
        if number >= TOGETHER {
            continue;
        }
        let took = world.run_servers().await;
        world.stop();
        restart.runs.push(Ran { took, peak: 0.0 });
        let founders = Founders::new(world, point);
        found.runs.push(founders.found(number).await);
    }
    println!("| seconds | min | median | max | peak resident, MiB |\n|---|---|---|---|---|");
    for row in [load, build, restart, found] {
        row.print();
    }
}

fn loading(folder: &PathBuf) -> Command {
    let classpath = std::env::var("MENAGERIE_CLASSPATH").expect("run this through `dev/bench archive`");
    let mut command = Command::new("java");
    command.args([HEAP, "-cp", &classpath, "Tools", "load"]).arg(folder);
    command
}

/// Three members to be, with empty disks.
struct Founders {
    ensemble: Ensemble,
    seeds: Seeds,
}

impl Founders {
    fn new(world: &World, point: Zxid) -> Self {
        let seeds = Seeds::new();
        let mut ensemble = Ensemble::new("3.9.5", NET + 1, &seeds.password_line());
        ensemble.jvm = JVM.map(str::to_owned).into();
        let parent = json!({
            "target": TARGET, "endpoint": world.endpoint(), "credentials": true, "identity": IDENTITY, "at": format!("{point:#}"),
        });
        let charter = Seeds::charter(&ensemble, "0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a12", Some(&parent));
        for id in 1..=3 {
            // What an agent finds is an empty disk: the configuration is given, as the operator gives it.
            let data = ensemble.data(id);
            let config = fs::read_to_string(data.join("conf/zoo.cfg")).unwrap();
            let lines =
                config.lines().filter(|line| !line.starts_with("dynamicConfigFile") && !line.contains("superDigest"));
            seeds.write(&format!("seed-{id}/zoo.cfg"), &(lines.collect::<Vec<_>>().join("\n") + "\n"));
            seeds.write(&format!("seed-{id}/charter.json"), &charter.to_string());
            for file in ["conf/zoo.cfg", "conf/zoo.cfg.dynamic.0", "myid", "initialize"] {
                fs::remove_file(data.join(file)).unwrap();
            }
        }
        Self { ensemble, seeds }
    }

    async fn prepare(&self, id: u8) -> Ran {
        let mut command = menagerie();
        command.args(["agent", "prepare", "--pod-name", &format!("zk-{}", id - 1)]);
        folders(&mut command, &self.ensemble.data(id), &self.seeds, &format!("seed-{id}"));
        command.arg("--parent").arg(self.seeds.path("keys"));
        run(&mut command).await
    }

    /// All three, until they serve with all znodes.
    async fn found(mut self, number: usize) -> Ran {
        let begun = Instant::now();
        let (one, two, three) = tokio::join!(self.prepare(1), self.prepare(2), self.prepare(3));
        up(&mut self.ensemble).await;
        let took = begun.elapsed();
        let client = load::connect(&self.ensemble.address(1, 2181).to_string(), PASSWORD).await;
        let folder = format!("/app/folder-{:02}", number % FOLDERS);
        assert_eq!(client.list_children(&folder).await.unwrap().len(), IN_EACH);
        Ran { took, peak: one.peak.max(two.peak).max(three.peak) }
    }
}
