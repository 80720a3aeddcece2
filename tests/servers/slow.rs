//! A follower that needs long for its snapshot, and servers in which nothing moves.

use std::time::Duration;

use menagerie::model::truth::ServerState;
use tokio::time::{Instant, sleep};
use zookeeper_client::{Acls, Client, CreateMode};

use crate::ensemble::{Ensemble, leads, serves, truth};
use crate::link;

/// Of one znode, a little below what a request may have.
const ZNODE: usize = 950_000;
const ZNODES: usize = 60;
/// Seconds without motion, longer than any load of this machine makes a server pause.
const STILL: u64 = 15;

/// How long the transfer takes at least. Ten minutes, with `dev/test servers 600`.
fn seconds() -> u64 {
    std::env::var("MENAGERIE_SYNC_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(30)
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn case_r03_a_follower_behind_a_slow_link_moves_and_one_that_is_stopped_or_alone_does_not() {
    let seconds = seconds();
    // What the planner's five minutes are to ten minutes of a sync.
    let hung = seconds / 2;
    // A follower tries its leader five times, 100 ms apart, and one that was started a moment before listens later than that on
    // a busy machine. The follower then looks around, and the leader waits for it as long as `initLimit` says.
    let patient = "leaderConnectDelayDuringRetryMs=2000\n";
    let mut ensemble = Ensemble::that_wait("3.9.5", 23, patient, seconds * 2 + 30);
    for id in 1..=2 {
        ensemble.start(id);
    }
    let leader = ensemble.agent(2, 2888).await;
    let leading = ensemble.until(&leader, "it leads", leads).await;
    let client = Client::connect(&ensemble.address(1, 2181).to_string()).await.unwrap();
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for n in 0..ZNODES {
        client.create(&format!("/big{n}"), &vec![b'x'; ZNODE], &options).await.unwrap();
    }
    drop(client);

    // The third member reaches its leader only over the link. Its list has the version of the others', so that it does not take theirs
    // over and pass by the link. (With `reconfigEnabled=false` and an older one it began its election anew at each vote that told
    // it of theirs, for minutes: what looked like an election that hangs.)
    let link = ensemble.address(2, 2988);
    let speed = ZNODES * ZNODE / usize::try_from(seconds).unwrap();
    link::slow(link, ensemble.address(2, 2888), speed).await;
    let version = leading.disk.record.expect("the version of its membership");
    ensemble.list(3, version, |peer| if peer == 2 { link } else { ensemble.address(peer, 2888) });
    let follower = ensemble.agent(3, 2988).await;
    ensemble.start(3);
    let (begun, mut longest, mut phases) = (Instant::now(), 0, Vec::new());
    loop {
        let Some(truth) = truth(&follower).await else { continue };
        if serves(&truth) {
            break;
        }
        // Until it has found its leader it elects, and on a busy machine that takes some seconds in which nothing moves.
        if matches!(&truth.server, ServerState::Waiting { phase, .. } if phase == "synchronization") {
            longest = longest.max(truth.still.unwrap_or(0));
        }
        assert!(longest <= hung, "after {:?} it is taken for hung: {truth:?}\n{}", begun.elapsed(), ensemble.words());
        if let ServerState::Waiting { phase, .. } = truth.server
            && phases.last() != Some(&phase)
        {
            phases.push(phase);
        }
        assert!(begun.elapsed() < Duration::from_secs(seconds * 4 + 300), "it never came\n{}", ensemble.words());
        sleep(Duration::from_millis(500)).await;
    }
    println!(
        "synced after {:?} with {speed} bytes a second, never still for more than {longest} s: {phases:?}",
        begun.elapsed()
    );
    assert!(begun.elapsed() >= Duration::from_secs(seconds), "the link was not slow, and nothing is shown");
    assert!(phases.contains(&"synchronization".to_owned()), "{phases:?}");

    // Stopped, it answers nobody, and its leader has given it up.
    let still = |truth: &menagerie::model::MemberTruth| truth.still.is_some_and(|still| still > STILL);
    ensemble.signal(3, "-STOP");
    let stopped = ensemble.until(&follower, "it is stopped, and still", still).await;
    assert!(matches!(stopped.server, ServerState::Silent { .. }), "{stopped:?}");
    ensemble.signal(3, "-CONT");
    // What it says of itself at first is from before it was stopped.
    let moves = |truth: &menagerie::model::MemberTruth| truth.still.is_none_or(|still| still <= 2);
    ensemble.until(&follower, "it goes on, and serves", |truth| serves(truth) && moves(truth)).await;

    // Alone it elects, and nothing moves in it.
    ensemble.stop(1);
    ensemble.stop(2);
    let electing = |truth: &menagerie::model::MemberTruth| matches!(&truth.server, ServerState::Waiting { phase, .. } if phase == "election");
    ensemble.until(&follower, "it elects, and is still", |truth| electing(truth) && still(truth)).await;
}
