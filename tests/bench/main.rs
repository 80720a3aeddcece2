//! Measurements on the real cluster, side by side with a hand-written StatefulSet: `dev/bench [NAME…]`. Prints tables.

mod archive;
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
#[path = "../e2e/cluster.rs"]
mod cluster;
mod contender;
mod fleet;
#[path = "../support/gateway.rs"]
mod gateway;
mod idle;
mod lose;
#[path = "../support/lost.rs"]
mod lost;
mod measure;
mod process;
mod recover;
mod roll;
mod scale;
mod two;
#[path = "../e2e/writers.rs"]
mod writers;

use std::env;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs: usize = env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(5);
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    if asked("birth") {
        measure::birth(runs).await;
    }
    if asked("grow") {
        measure::grow(runs).await;
    }
    if asked("restart") {
        measure::restart(runs).await;
    }
    if asked("lose") {
        lose::lose(runs).await;
    }
    if asked("recover") {
        recover::recover(runs).await;
    }
    if asked("roll") {
        roll::roll(runs).await;
    }
    if asked("two") {
        two::two(runs).await;
    }
    if asked("idle") {
        idle::idle().await;
    }
    // Without a cluster.
    if wanted.iter().any(|word| word == "archive") {
        archive::archive(&wanted, runs).await;
    }
    // On a control plane of its own.
    if wanted.iter().any(|word| word == "scale") {
        scale::scale().await;
    }
}
