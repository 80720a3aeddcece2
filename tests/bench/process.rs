//! Processes that are measured: time, processor and memory.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Between two looks at a process that is to end.
const LOOK: Duration = Duration::from_millis(5);
const TICKS_PER_SECOND: f64 = 100.0;

/// One that runs until it is dropped.
pub struct Running(Child);

impl Running {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One that has ended well.
pub struct Ran {
    pub took: Duration,
    /// The most that was resident, in mebibytes.
    pub peak: f64,
}

/// Runs a command to its end, which has to be a good one.
pub async fn run(command: &mut Command) -> Ran {
    let mut words = tempfile::tempfile().unwrap();
    let begun = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words.try_clone().unwrap()).spawn();
    let mut running = Running(spawned.unwrap());
    let mut peak = 0.0_f64;
    loop {
        peak = peak.max(memory(running.pid(), "VmHWM:"));
        if let Some(status) = running.0.try_wait().unwrap() {
            let took = begun.elapsed();
            assert!(status.success(), "{command:?}: {status}\n{}", said(&mut words));
            return Ran { took, peak };
        }
        sleep(LOOK).await;
    }
}

fn said(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).unwrap();
    text
}

/// Mebibytes of a process, by a line of its status.
pub fn memory(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

/// Seconds of a core that a process has used.
pub fn used(pid: u32) -> f64 {
    of_a_process(pid).1
}

/// The parent of a process, and the seconds of a core that it has used.
fn of_a_process(pid: u32) -> (u32, f64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let parent = fields.get(1).and_then(|parent| parent.parse().ok()).unwrap_or_default();
    (parent, ticks(fields.get(11..13).unwrap_or_default()))
}

/// Seconds of a core that this process and those that it started have used: clients, servers, agents and the store.
pub fn ours() -> f64 {
    let own = std::process::id();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let children = pids.map(of_a_process).filter(|(parent, _)| *parent == own);
    used(own) + children.map(|(_, used)| used).sum::<f64>()
}

/// Seconds of all cores in which something ran since the machine was started.
pub fn busy() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<&str> = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).collect();
    // user, nice, system; then idle and iowait; then irq, softirq, steal.
    ticks(&fields[0..3]) + ticks(&fields[5..8])
}

fn ticks(fields: &[&str]) -> f64 {
    fields.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}
