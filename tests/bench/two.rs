//! How long an ensemble has two voters on its way from one to three, back, and while a member of three gets another volume: a disk
//! that is lost then is final. The times are the leader's own, from the transaction log of the member that stays.

use std::time::Duration;

use jiff::Timestamp;
use menagerie::model::Membership;
use serde_json::Value;

use super::cluster::{Ensemble, in_namespace};
use super::contender::kubectl;
use super::measure::{Spread, spec};

/// Each time at which there were two voters, and how long.
fn windows(zk: &Ensemble) -> Vec<Duration> {
    let log = kubectl(&[
        "-n",
        &zk.space.name,
        "exec",
        "zk-0",
        "-c",
        "agent",
        "--",
        "/menagerie",
        "log",
        "dump",
        "/data",
        "--path",
        "/zookeeper/config",
        "-o",
        "json",
    ]);
    let change = |line: &str| -> (Timestamp, usize) {
        let line: Value = serde_json::from_str(line).unwrap();
        let membership = Membership::parse(line["data"].as_str().unwrap()).unwrap();
        (line["time"].as_str().unwrap().parse().unwrap(), membership.voters().count())
    };
    let changes: Vec<_> = log.lines().map(change).collect();
    let with_two = changes.windows(2).filter(|pair| pair[0].1 == 2);
    with_two.map(|pair| pair[1].0.duration_since(pair[0].0).unsigned_abs()).collect()
}

/// One to three, another volume for a member, and back to one.
pub async fn two(runs: usize) {
    let mut columns: [Vec<Duration>; 3] = Default::default();
    for run in 0..runs {
        let (send, receive) = tokio::sync::oneshot::channel();
        in_namespace("bench-two", |space| async move {
            let zk = space.ensemble("zk", spec(1)).await;
            zk.ready(1).await;
            zk.scale(3);
            zk.ready(3).await;
            let before = zk.space.pods().get("zk-1").await.unwrap().metadata.uid;
            kubectl(&["-n", &space.name, "annotate", "pod", "zk-1", "menagerie.dev/replace=volume"]);
            while zk.space.pods().get_opt("zk-1").await.unwrap().is_none_or(|pod| pod.metadata.uid == before) {
                tokio::time::sleep(super::contender::LOOK).await;
            }
            zk.ready(3).await;
            zk.scale(1);
            zk.ready(1).await;
            send.send(windows(&zk)).unwrap();
        })
        .await;
        let found = receive.await.unwrap();
        assert_eq!(found.len(), columns.len(), "{found:?}");
        for (column, window) in columns.iter_mut().zip(found) {
            column.push(window);
        }
        eprintln!("two: run {} of {runs}", run + 1);
    }
    println!("\n### Two voters, {runs} runs\n\n| seconds | min | median | max |\n|---|---|---|---|");
    let rows = ["one becomes three", "a member of three gets another volume", "three become one"];
    for (column, what) in columns.iter().zip(rows) {
        Spread::of(column).row(what);
    }
}
