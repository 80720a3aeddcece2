//! A founder whose own name leads elsewhere by the time it leads: it serves, its followers are synced, and it commits nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use menagerie::model::MemberTruth;
use menagerie::model::truth::ServerState;
use tokio::time::{sleep, timeout};
use zookeeper_client::Client;

use crate::ensemble::{Ensemble, leads, serves};

/// JVMs remember an address for as long.
const REMEMBERED: Duration = Duration::from_secs(1);

/// A file in the form of /etc/hosts, for JVMs, in which server 3 is at the address that ends so.
fn hosts(ensemble: &Ensemble, file: &str, third: u8) -> PathBuf {
    let path = ensemble.data(3).join(file);
    let ends = [(1, 1), (2, 2), (3, third)];
    let lines = ends.map(|(id, end)| format!("{} m-{id}.test\n", ensemble.address(end, 0).ip()));
    fs::write(&path, format!("127.0.0.1 localhost\n{}", lines.concat())).unwrap();
    path
}

/// Starts it with the names that are in that file.
fn start(ensemble: &mut Ensemble, id: u8, hosts: &Path) {
    let before = ensemble.jvm.len();
    ensemble.jvm.extend([
        format!("-Djdk.net.hosts.file={}", hosts.display()),
        format!("-Dsun.net.inetaddr.ttl={}", REMEMBERED.as_secs()),
    ]);
    ensemble.start(id);
    ensemble.jvm.truncate(before);
}

fn commits_nothing(truth: &MemberTruth) -> Option<u64> {
    match &truth.server {
        ServerState::Serving(serving) => serving.commits_nothing,
        ServerState::Silent { .. } | ServerState::Waiting { .. } | ServerState::Unknown => None,
    }
}

async fn gets_a_session(ensemble: &Ensemble, id: u8) -> bool {
    timeout(Duration::from_secs(5), Client::connect(&ensemble.address(id, 2181).to_string()))
        .await
        .is_ok_and(|client| client.is_ok())
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn a_founder_whose_name_leads_elsewhere_by_the_time_it_leads_is_seen_to_commit_nothing_until_it_is_started_again()
{
    let mut ensemble = Ensemble::new("3.9.5", 62, "");
    for id in 1..=3 {
        let lines = (1..=3).map(|peer| {
            format!("server.{peer}=m-{peer}.test:2888:3888:participant;{}\n", ensemble.address(peer, 2181))
        });
        fs::write(ensemble.data(id).join("conf/zoo.cfg.dynamic.0"), lines.collect::<String>()).unwrap();
    }
    // As a cache has it that remembers the Service before.
    let own = hosts(&ensemble, "own", 13);
    start(&mut ensemble, 3, &own);
    while !ensemble.says("LOOKING") {
        sleep(Duration::from_millis(200)).await;
    }
    hosts(&ensemble, "own", 3);
    sleep(2 * REMEMBERED).await;
    let others = hosts(&ensemble, "others", 3);
    let agent = ensemble.agent(3, 2888).await;
    start(&mut ensemble, 1, &others);
    let truth = ensemble.until(&agent, "it leads", leads).await;
    assert_eq!(commits_nothing(&truth), None, "nobody has asked it for anything");
    assert!(ensemble.says("it will be initialized with allowedToCommit = false"), "{}", ensemble.words());

    // Also where it is a follower's client that waits.
    assert!(!gets_a_session(&ensemble, 1).await);
    let stuck = |truth: &MemberTruth| commits_nothing(truth).is_some_and(|seconds| seconds >= 3);
    ensemble.until(&agent, "it commits nothing", stuck).await;

    ensemble.stop(3);
    start(&mut ensemble, 3, &own);
    let back = async { while !gets_a_session(&ensemble, 1).await {} };
    timeout(Duration::from_mins(4), back)
        .await
        .unwrap_or_else(|_| panic!("nobody gets a session\n{}", ensemble.words()));
    let truth = ensemble.until(&agent, "it serves", serves).await;
    assert_eq!(commits_nothing(&truth), None);
}
