//! What clients can do to servers as `ZooKeeper` makes them, and what is seen of it.

use std::time::Duration;

use menagerie::model::truth::{Mode, ServerState};
use tokio::time::{Instant, sleep};
use zookeeper_client::{Acls, Client, CreateMode};

use crate::ensemble::{Ensemble, serves};

/// `render::config::DEFAULTS` has it.
const EXTRA: &str = "jute.maxbuffer.extrasize=67108864";
/// Names of one session, 3 MB: three times `jute.maxbuffer`, and more than servers read back by default.
const EPHEMERALS: usize = 20_000;
const NAME: usize = 150;

fn three(net: u8, settings: &str) -> Ensemble {
    let mut ensemble = Ensemble::new("3.9.5", net, settings);
    for id in 1..=3 {
        ensemble.start(id);
    }
    ensemble
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn a_leader_leads_though_a_broken_quota_ended_its_monitor() {
    let ensemble = three(24, "");
    let mut agents = Vec::new();
    for id in 1..=3 {
        agents.push(ensemble.agent(id, 2888).await);
        ensemble.until(&agents[usize::from(id) - 1], "it serves", serves).await;
    }
    let client = Client::connect(&ensemble.address(1, 2181).to_string()).await.unwrap();
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for (path, data) in [("", ""), ("/zookeeper_limits", "count=9,bytes=-1"), ("/zookeeper_stats", "")] {
        client.create(&format!("/zookeeper/quota/mine{path}"), data.as_bytes(), &open).await.unwrap();
    }
    // Servers count for themselves when it is made; what is written after that is believed.
    client.set_data("/zookeeper/quota/mine/zookeeper_stats", b"x", None).await.unwrap();
    let mut leaders = 0;
    for agent in &agents {
        let uncounted =
            |server: &ServerState| matches!(server, ServerState::Serving(serving) if serving.synced_voters.is_none());
        let truth = ensemble.until(agent, "it serves, and nobody counts", |truth| uncounted(&truth.server)).await;
        leaders += usize::from(matches!(truth.server, ServerState::Serving(serving) if serving.mode == Mode::Leader));
    }
    assert_eq!(leaders, 1);
}

async fn nothing_left(address: &str) -> bool {
    let Ok(client) = Client::connect(address).await else { return false };
    // Only ZooKeeper's own.
    client.list_children("/").await.is_ok_and(|children| children.len() == 1)
}

/// Many ephemeral znodes whose session then ends; whether all servers that start again serve. Some may without what one of them logged.
async fn starts_again(net: u8, settings: &str) -> bool {
    let mut ensemble = three(net, settings);
    let mut agents = Vec::new();
    for id in 1..=3 {
        agents.push(ensemble.agent(id, 2888).await);
    }
    ensemble.until(&agents[0], "it serves", serves).await;
    let client = Client::connect(&ensemble.address(1, 2181).to_string()).await.unwrap();
    let open = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    for first in (0..EPHEMERALS).step_by(500) {
        let made = (first..first + 500).map(|n| format!("/{n:0NAME$}"));
        let made: Vec<_> = made
            .map(|path| {
                let (client, open) = (&client, &open);
                async move { client.create(&path, b"", open).await }
            })
            .collect();
        futures::future::try_join_all(made).await.unwrap();
    }
    drop(client);
    // The last word of the session is written, or too long for those that are to hear of it.
    let end = Instant::now() + Duration::from_mins(2);
    while !(ensemble.says("Unreasonable length") || nothing_left(&ensemble.address(1, 2181).to_string()).await) {
        assert!(Instant::now() < end, "the session never ended\n{}", ensemble.words());
        sleep(Duration::from_secs(1)).await;
    }
    // The first follower that hears of it says so; beside other work the others had not logged it yet, and served without it.
    sleep(Duration::from_secs(3)).await;
    for id in 1..=3 {
        ensemble.stop(id);
    }
    for id in 1..=3 {
        ensemble.start(id);
    }
    for _ in 0..120 {
        if (1..=3).any(|id| ensemble.ended(id)) {
            return false;
        }
        let mut serving = 0;
        for agent in &agents {
            serving += usize::from(crate::ensemble::truth(agent).await.is_some_and(|truth| serves(&truth)));
        }
        if serving == agents.len() {
            return true;
        }
        sleep(Duration::from_millis(500)).await;
    }
    false
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn the_end_of_a_session_with_many_ephemerals_is_read_again() {
    assert!(starts_again(25, EXTRA).await);
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn without_our_default_a_server_that_has_logged_it_never_starts_again() {
    assert!(!starts_again(26, "").await);
}
