//! What an archive costs and what it gives back, without Kubernetes: `dev/bench archive [retention | rolled | ship | restore]…`.
//!
//! Real servers with a real agent beside each, and a real S3 store, all on loopback: the servers, the store, the agents and the clients
//! share the machine's cores. So what is compared is measured in turns, and each table says how busy the machine was.

#[expect(dead_code, reason = "the tests beside real servers use the rest")]
#[path = "../../servers/ensemble.rs"]
mod ensemble;
mod load;
mod meter;
mod restore;
mod retention;
mod rolled;
mod ship;
mod world;

use super::gateway;

/// All parts, or those that are named.
pub async fn archive(wanted: &[String], runs: usize) {
    const PARTS: [&str; 4] = ["retention", "rolled", "ship", "restore"];
    let all = !wanted.iter().any(|word| PARTS.contains(&word.as_str()));
    let asked = |part: &str| all || wanted.iter().any(|word| word == part);
    if asked("retention") {
        retention::retention();
    }
    if asked("rolled") {
        rolled::rolled().await;
    }
    if asked("ship") {
        ship::ship(runs).await;
    }
    if asked("restore") {
        restore::restore(runs).await;
    }
}
