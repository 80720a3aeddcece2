//! An ensemble that is lost with all of its volumes under load, at a random moment: what is missing then, and when it serves again.

use std::time::Duration;

use super::cluster::{BRIDGE, in_namespace};
use super::gateway::Gateway;
use super::lost::{Loss, everything};
use super::measure::Spread;

/// When a run's loss comes, in milliseconds: spread over a second and more of shipping, the same in every run of this command.
fn after(run: usize) -> Duration {
    const STEP: u64 = 2_717;
    Duration::from_millis(8_000 + (run as u64 * STEP) % 10_000)
}

/// Everything destroyed, again and again.
pub async fn lose(runs: usize) {
    let mut losses = Vec::new();
    for run in 0..runs {
        let (send, receive) = tokio::sync::oneshot::channel();
        in_namespace("bench-lose", |space| async move {
            let mut gateway = Gateway::start(BRIDGE).await;
            send.send(everything(&space, &mut gateway, after(run)).await).unwrap();
        })
        .await;
        let loss = receive.await.unwrap();
        eprintln!("lose: run {} of {runs}: {loss:?}", run + 1);
        losses.push(loss);
    }
    println!("\n### Everything lost under load: 3 members, 3 writers, one write every 10 ms each, {runs} runs\n");
    println!("| | min | median | max |\n|---|---|---|---|");
    row("acknowledged writes", &losses, |loss| loss.acknowledged);
    row("acknowledged writes that are missing", &losses, |loss| loss.missing);
    let spread = |of: fn(&Loss) -> Duration| Spread::of(&losses.iter().map(of).collect::<Vec<_>>());
    spread(|loss| loss.behind).row("seconds from the oldest of those to the loss (RPO)");
    spread(|loss| loss.serves).row("seconds from the new manifest to the first acknowledged write (RTO)");
    spread(|loss| loss.back).row("seconds from there until the last of the old clients writes");
}

fn row(what: &str, losses: &[Loss], of: fn(&Loss) -> usize) {
    let mut counts: Vec<usize> = losses.iter().map(of).collect();
    counts.sort_unstable();
    println!("| {what} | {} | {} | {} |", counts[0], counts[counts.len() / 2], counts[counts.len() - 1]);
}
