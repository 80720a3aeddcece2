//! The operator at its crash points, on a real cluster: `dev/crash`.
//!
//! The operator runs as a process of this machine, behind a proxy to the API server that lets chosen writes go wrong. An
//! undisturbed tour beside it says how everything has to be in the end.

#[expect(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../e2e/cluster.rs"]
mod cluster;
mod operator;
mod plan;
mod proxy;
mod scenario;
mod state;
mod tour;
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../e2e/writers.rs"]
mod writers;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::{Parser, Subcommand};
use futures::FutureExt as _;

use cluster::{Space, in_namespace};
use plan::{FaultKind, FaultPlan, Tour};
use scenario::Scenario;
use tour::{Log, Reference, Trip};

/// The operator killed, lied to and left without answers at each of its writes, on a real cluster.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints every plan, and how many there are.
    List {
        /// Only plans whose text contains this.
        #[arg(default_value = "")]
        filter: String,
    },
    /// Runs plans, two ensembles side by side: one of them undisturbed at first, to compare with.
    Run {
        /// Only plans whose text contains this.
        #[arg(default_value = "")]
        filter: String,
        /// That many, at least one of each kind as far as there is room, in one tour.
        #[arg(long)]
        sample: Option<usize>,
        /// Which sample, or the order in which plans are run.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// At most that many tours of up to six plans.
        #[arg(long, default_value_t = usize::MAX)]
        tours: usize,
    },
    /// Two undisturbed tours that have to end alike; writes tests/crash/writes.txt.
    Record,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::List { filter } => list(&filter),
        Command::Run { filter, sample, seed, tours } => {
            let mut plans: Vec<FaultPlan> = match sample {
                Some(count) => plan::sample(count, seed),
                None => plan::shuffled(seed),
            };
            plans.retain(|plan| plan.to_string().contains(&filter));
            if plans.is_empty() {
                eprintln!("error: no plan contains '{filter}': see dev/crash list");
                return ExitCode::FAILURE;
            }
            let tours = if sample.is_some() { vec![plan::one_tour(plans)] } else { plan::tours(plans, tours) };
            run(tours).await
        }
        Command::Record => record().await,
    }
}

fn list(filter: &str) -> ExitCode {
    let plans = plan::all();
    let chosen: Vec<&FaultPlan> = plans.iter().filter(|plan| plan.to_string().contains(filter)).collect();
    let mut kinds: BTreeMap<FaultKind, usize> = BTreeMap::new();
    for plan in &chosen {
        println!("{plan}");
        *kinds.entry(plan.kind).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let acting = chosen.iter().filter(|plan| plan.write.acts()).count();
    println!("{} plans, {acting} of them at writes that act: {}", chosen.len(), kinds.join(", "));
    ExitCode::SUCCESS
}

/// Runs a tour in a namespace of its own; whether it went through.
async fn travel(name: &str, tour: &Tour, undisturbed: bool, reference: &Reference) -> (Log, bool) {
    let log = Mutex::new(Log::default());
    let in_space = in_namespace(name, |space: Space| {
        let log = &log;
        async move { Trip { space, tour, undisturbed, reference, log }.go().await }
    });
    let went = AssertUnwindSafe(in_space).catch_unwind().await.is_ok();
    (log.into_inner().unwrap_or_else(PoisonError::into_inner), went)
}

/// One worker goes undisturbed first; all take tours until none is left.
async fn run(tours: Vec<Tour>) -> ExitCode {
    let planned: usize = tours.iter().flat_map(BTreeMap::values).map(Vec::len).sum();
    println!("{planned} plans in {} tours", tours.len());
    let reference = Reference::default();
    let left = Mutex::new(tours.into_iter().enumerate().collect::<Vec<_>>());
    let ends = Mutex::new((0usize, Vec::<FaultPlan>::new(), Vec::<String>::new()));
    let take = || {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        (!left.is_empty()).then(|| left.remove(0))
    };
    let worker = async |undisturbed: bool| {
        if undisturbed {
            let (_, went) = travel("crash-none", &Tour::new(), true, &reference).await;
            if !went {
                ends.lock().unwrap_or_else(PoisonError::into_inner).2.push("the undisturbed tour failed".to_owned());
                return;
            }
        }
        while let Some((n, tour)) = take() {
            let (log, went) = travel(&format!("crash-{n}"), &tour, false, &reference).await;
            let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.0 += log.passed.len();
            ends.1.extend(log.not_reached);
            if !went {
                let at = log.now.and_then(|scenario| tour.get(&scenario)).cloned().unwrap_or_default();
                let at: Vec<String> = at.iter().map(ToString::to_string).collect();
                let after: Vec<String> = log.passed.iter().map(ToString::to_string).collect();
                let scenario = log.now.map_or("nothing", Scenario::name);
                ends.2.push(format!("during {scenario}, with [{}], after [{}]", at.join("; "), after.join("; ")));
            }
        }
    };
    futures::join!(worker(true), worker(false));
    let (passed, not_reached, failed) = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    for failure in &failed {
        println!("FAILED {failure}");
    }
    let unrun = planned - passed - not_reached.len();
    println!(
        "{passed} of {planned} plans passed, {} not reached, {} tours failed, {unrun} plans failed or not run",
        not_reached.len(),
        failed.len()
    );
    // What nobody reaches proves nothing: the writes have changed since they were recorded.
    let stale = not_reached.iter().filter(|plan| plan.write.acts()).count() * 4 > planned;
    if stale {
        eprintln!("error: too many plans were not reached; if the operator's writes have changed: dev/crash record");
    }
    if failed.is_empty() && unrun == 0 && !stale { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn record() -> ExitCode {
    let (reference, none, same) = (Reference::default(), Tour::new(), plan::empty_tour());
    let (one, other) =
        futures::join!(travel("crash-none", &none, true, &reference), travel("crash-same", &same, false, &reference));
    if !one.1 || !other.1 {
        eprintln!("error: an undisturbed tour failed: see above");
        return ExitCode::FAILURE;
    }
    let both = plan::common(&one.0.writes, &other.0.writes);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/writes.txt");
    std::fs::write(file, plan::listed(&both)).unwrap();
    println!("{} writes in both tours: {file}", both.values().map(Vec::len).sum::<usize>());
    ExitCode::SUCCESS
}
