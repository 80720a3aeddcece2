//! Shipping: what the archive costs the writers and the agents, how late it is, and what it asks of the store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use zookeeper_client::Client;

use super::load::{self, Ack, Change};
use super::meter::Stored;
use super::world::{COPIES, World};
use crate::process::{busy, memory, ours, used};

const RATES: [u32; 2] = [1000, 5000];
const ZNODES: usize = 10_000;
/// Writes that are not measured come before those that are.
const BEFORE: Duration = Duration::from_secs(3);
const TIME: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_mins(1);
/// S3's list price.
const DOLLARS_PER_PUT: f64 = 0.005 / 1000.0;
const SECONDS_PER_MONTH: f64 = 365.25 / 12.0 * 86_400.0;

/// Numbers of one turn.
#[derive(Default)]
struct Turn {
    per_second: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
    /// Cores that clients, servers, agents and the store used.
    cores: f64,
    /// Cores that others used meanwhile.
    others: f64,
    /// Of the agents that archive, or would: percent of a core of the busiest, mebibytes of the largest.
    agent: f64,
    peak: f64,
    /// Seconds from the acknowledgement of a write until the store has one copy of it, and all.
    lags: [Vec<f64>; 2],
    requests: BTreeMap<&'static str, usize>,
    stored: usize,
}

struct Bench {
    world: World,
    clients: Vec<Client>,
    paths: Vec<String>,
}

pub async fn ship(runs: usize) {
    let world = World::start(101, "", &["-Xmx512m"]).await;
    let clients = world.clients().await;
    let paths: Vec<String> = (0..ZNODES).map(|n| format!("/load/{n:05}")).collect();
    clients[0].create("/load", b"", &load::open()).await.unwrap();
    load::many(&clients, paths.clone(), Change::Create).await;
    let mut bench = Bench { world, clients, paths };
    // The servers' code is compiled while they run.
    load::paced(&bench.clients, &bench.paths, RATES[0], TIME).await;
    load::paced(&bench.clients, &bench.paths, RATES[1], TIME / 2).await;
    let mut turns = BTreeMap::<(u32, bool), Vec<Turn>>::new();
    for rate in RATES {
        for run in 0..runs {
            for archive in if run % 2 == 0 { [false, true] } else { [true, false] } {
                let turn = bench.turn(rate, archive).await;
                eprintln!("  {rate}/s, archive {archive}: p50 {:.2} p99 {:.2} ms", turn.p50, turn.p99);
                turns.entry((rate, archive)).or_default().push(turn);
            }
        }
    }
    writers(&turns);
    agents(&turns);
    requests(&turns);
    idle(&mut bench).await;
}

impl Bench {
    async fn turn(&mut self, rate: u32, archive: bool) -> Turn {
        self.world.run_agents(archive);
        if archive {
            self.world.level(&self.clients[0]).await;
        }
        load::paced(&self.clients, &self.paths, rate, BEFORE).await;
        let agents = self.world.archiving();
        let usage = || agents.iter().map(|pid| used(*pid)).collect::<Vec<_>>();
        self.world.meter.take();
        let (begun, before, all, own) = (Instant::now(), usage(), busy(), ours());
        let mut acks = load::paced(&self.clients, &self.paths, rate, TIME).await;
        let (seconds, after, own) = (begun.elapsed().as_secs_f64(), usage(), ours() - own);
        let others = busy() - all - own;
        let (mut requests, mut segments) = self.world.meter.take();
        if archive {
            self.world.level(&self.clients[0]).await;
            // What was on its way at the end is no cost of this window, but it has the last of its writes.
            segments.extend(self.world.meter.take().1);
        }
        requests.retain(|_, count| *count > 0);
        let spent = before.iter().zip(&after).map(|(before, after)| 100.0 * (after - before) / seconds);
        let mut took: Vec<f64> = acks.iter().map(|ack| ack.took.as_secs_f64() * 1000.0).collect();
        acks.sort_unstable_by_key(|ack| ack.zxid);
        Turn {
            per_second: f64::from(u32::try_from(acks.len()).unwrap()) / seconds,
            p50: percentile(&mut took, 0.50),
            p99: percentile(&mut took, 0.99),
            cores: own / seconds,
            others: others / seconds,
            agent: spent.fold(0.0, f64::max),
            peak: agents.iter().map(|pid| memory(*pid, "VmHWM:")).fold(0.0, f64::max),
            lags: lags(&acks, &segments),
            requests,
            stored: segments.iter().map(|segment| segment.bytes).sum(),
        }
    }
}

fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or_default()
}

/// Of each write, until its first copy and its last one. One of which the client hears after the store has it is not late.
fn lags(acks: &[Ack], segments: &[Stored]) -> [Vec<f64>; 2] {
    let mut lags = vec![Vec::with_capacity(COPIES); acks.len()];
    for segment in segments {
        let from = acks.partition_point(|ack| ack.zxid < segment.first);
        let to = acks.partition_point(|ack| ack.zxid <= segment.last);
        for (ack, lags) in acks[from..to].iter().zip(&mut lags[from..to]) {
            lags.push(segment.at.saturating_duration_since(ack.at).as_secs_f64());
        }
    }
    assert!(segments.is_empty() || lags.iter().all(|lags| lags.len() == COPIES), "a write is not archived");
    [f64::min, f64::max].map(|of| lags.iter().filter_map(|lags| lags.iter().copied().reduce(of)).collect())
}

/// `min / median / max`, with so many digits.
fn spread(turns: &[Turn], digits: usize, of: impl Fn(&Turn) -> f64) -> String {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    let (first, middle, last) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    format!("{first:.digits$} / {middle:.digits$} / {last:.digits$}")
}

fn median(turns: &[Turn], of: impl Fn(&Turn) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn name(archive: bool) -> &'static str {
    if archive { "with an archive" } else { "without" }
}

fn writers(turns: &BTreeMap<(u32, bool), Vec<Turn>>) {
    let count = turns.values().next().map_or(0, Vec::len);
    println!(
        "\n### Writes of {} bytes with and without an archive, {count} turns of {} s each\n",
        load::BYTES,
        TIME.as_secs()
    );
    println!(
        "| min / median / max | writes/s | p50, ms | p99, ms | cores in use | by others |\n|---|---|---|---|---|---|"
    );
    for ((rate, archive), turns) in turns {
        println!(
            "| {rate}/s, {} | {} | {} | {} | {} | {} |",
            name(*archive),
            spread(turns, 0, |turn| turn.per_second),
            spread(turns, 2, |turn| turn.p50),
            spread(turns, 2, |turn| turn.p99),
            spread(turns, 2, |turn| turn.cores),
            spread(turns, 2, |turn| turn.others),
        );
    }
    for rate in RATES {
        let (without, with) = (&turns[&(rate, false)], &turns[&(rate, true)]);
        let ratio = |of: fn(&Turn) -> f64| median(with, of) / median(without, of);
        let pairs = with.iter().zip(without).map(|(with, without)| format!("{:.2}", with.p99 / without.p99));
        println!(
            "\n{rate}/s: p50 {:.2} ×, p99 {:.2} × (of the medians; p99 of each pair of turns: {}; the aim: at most 1.05).",
            ratio(|turn| turn.p50),
            ratio(|turn| turn.p99),
            pairs.collect::<Vec<_>>().join(", "),
        );
    }
}

fn agents(turns: &BTreeMap<(u32, bool), Vec<Turn>>) {
    println!("\n### The agents meanwhile, the busiest and the largest of {COPIES}\n");
    println!("| min / median / max | processor, % of a core | peak resident, MiB |\n|---|---|---|");
    for ((rate, archive), turns) in turns {
        let agent = spread(turns, 1, |turn| turn.agent);
        println!("| {rate}/s, {} | {agent} | {} |", name(*archive), spread(turns, 1, |turn| turn.peak));
    }
    println!("\n### How late the store has an acknowledged write, seconds\n");
    println!("| min / median / max of the turns | p50 | p99 | longest |\n|---|---|---|---|");
    for rate in RATES {
        for (copies, what) in ["one copy", "all copies"].iter().enumerate() {
            let turns = &turns[&(rate, true)];
            let of = |part: f64| spread(turns, 2, |turn| percentile(&mut turn.lags[copies].clone(), part));
            println!("| {rate}/s, {what} | {} | {} | {} |", of(0.50), of(0.99), of(1.0));
        }
    }
}

fn requests(turns: &BTreeMap<(u32, bool), Vec<Turn>>) {
    println!(
        "\n### Requests in {} s, {COPIES} copies together\n\n| | requests | KiB stored as segments |\n|---|---|---|",
        TIME.as_secs()
    );
    let (mut puts, mut seconds) = (0, 0.0);
    for rate in RATES {
        for turn in &turns[&(rate, true)] {
            let kinds: Vec<String> = turn.requests.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
            println!("| {rate}/s | {} | {} |", kinds.join(", "), turn.stored / 1024);
            puts += turn.requests.get("put of a segment").copied().unwrap_or_default();
            seconds += TIME.as_secs_f64();
        }
    }
    let each = f64::from(u32::try_from(puts).unwrap()) / seconds / f64::from(u32::try_from(COPIES).unwrap());
    println!(
        "\nA copy puts {each:.2} segments a second: $ {:.2} a month if every second of it has a write, at $ 0.005 for 1,000 puts.",
        each * SECONDS_PER_MONTH * DOLLARS_PER_PUT
    );
}

/// Sessions stay open, and nobody writes.
async fn idle(bench: &mut Bench) {
    bench.world.run_agents(true);
    bench.world.level(&bench.clients[0]).await;
    // A base that is due is shipped, and looks at files that were purged end.
    sleep(IDLE / 2).await;
    let agents = bench.world.archiving();
    let usage = || agents.iter().map(|pid| used(*pid)).collect::<Vec<_>>();
    bench.world.meter.take();
    let before = usage();
    sleep(IDLE).await;
    let (requests, _) = bench.world.meter.take();
    let spent = before.iter().zip(usage()).map(|(before, after)| 100.0 * (after - before) / IDLE.as_secs_f64());
    println!("\n### {} s without a write\n\n| | |\n|---|---|", IDLE.as_secs());
    println!("| requests to the store | {} |", requests.values().sum::<usize>());
    println!("| agent, processor (the busiest) | {:.2} % of a core |", spent.fold(0.0, f64::max));
    let largest = |line| agents.iter().map(|pid| memory(*pid, line)).fold(0.0, f64::max);
    println!("| agent, resident memory (the largest) | {:.1} MiB |", largest("VmRSS:"));
    println!("| agent, peak resident memory since its start | {:.1} MiB |", largest("VmHWM:"));
    for (kind, count) in requests {
        println!("| {kind} | {count} |");
    }
}
