//! What an ensemble that stands still costs: API writes, reads of members, processor and memory.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::cluster::in_namespace;
use super::contender::kubectl;
use super::process::{memory, used};

const WINDOW: Duration = Duration::from_mins(1);

pub struct ProcessUsage {
    pub pid: u32,
    used: f64,
}

impl ProcessUsage {
    pub fn of(pid: u32) -> Self {
        Self { pid, used: used(pid) }
    }
}

/// Processes of this operator by the first words of their command line.
fn processes(words: &str) -> Vec<ProcessUsage> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").starts_with(words)
    })
    .map(ProcessUsage::of)
    .collect()
}

pub fn percent(process: &ProcessUsage) -> f64 {
    100.0 * (used(process.pid) - process.used) / WINDOW.as_secs_f64()
}

/// Writes and reads of the operator's account, from the API server's audit log.
fn requests() -> (usize, usize) {
    let state = std::env::var("MENAGERIE_STATE").unwrap_or_else(|_| "/var/lib/menagerie-dev".into());
    let log = fs::read_to_string(format!("{state}/logs/audit.log")).expect("idle needs the audit log of dev/cluster");
    let ours = log.lines().filter(|line| line.contains("system:serviceaccount:menagerie-system:menagerie"));
    let (mut writes, mut reads) = (0, 0);
    for line in ours {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        match event["verb"].as_str() {
            Some("create" | "update" | "patch" | "delete" | "deletecollection") => writes += 1,
            Some("get" | "list") => reads += 1,
            _ => {}
        }
    }
    (writes, reads)
}

fn passes() -> u64 {
    let ip = kubectl(&[
        "-n",
        "menagerie-system",
        "get",
        "pod",
        "-l",
        "app.kubernetes.io/name=menagerie",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    ]);
    let output = std::process::Command::new("curl")
        .args(["-fsS", "--max-time", "5", &format!("http://{ip}:8080/metrics")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| line.starts_with("menagerie_reconciles_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// One ensemble of three, a minute after it became ready.
pub async fn idle() {
    in_namespace("bench-idle", |space| async move {
        let zk = space.ensemble("zk", json!({"replicas": 3, "jvm": {"flags": []}})).await;
        zk.ready(3).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (before, passes_before) = (requests(), passes());
        let (operator, agents, servers) =
            (processes("/menagerie operator"), processes("/menagerie agent serve"), processes("/opt/java"));
        tokio::time::sleep(WINDOW).await;
        let (after, passes_after) = (requests(), passes());
        let most =
            |processes: &[ProcessUsage], of: fn(&ProcessUsage) -> f64| processes.iter().map(of).fold(0.0, f64::max);
        println!("\n### One idle ensemble of 3 for {} s\n\n| what | measured |\n|---|---|", WINDOW.as_secs());
        println!("| writes of the operator at the API server | {} |", after.0 - before.0);
        println!("| reads of the operator at the API server | {} |", after.1 - before.1);
        println!("| reads of each member by the operator | {} |", passes_after - passes_before);
        println!("| operator, processor | {:.2} % of a core |", most(&operator, percent));
        println!("| operator, resident memory | {:.1} MiB |", most(&operator, |p| memory(p.pid, "VmRSS:")));
        println!("| agent, processor (the busiest) | {:.2} % of a core |", most(&agents, percent));
        println!("| agent, resident memory (the largest) | {:.1} MiB |", most(&agents, |p| memory(p.pid, "VmRSS:")));
        println!("| server's JVM, processor (the busiest) | {:.2} % of a core |", most(&servers, percent));
    })
    .await;
}
