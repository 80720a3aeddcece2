//! The interface over a server that answers what real ones were seen to answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use axum::extract;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::http::{self, HttpError};
use crate::model::truth::{Mode, Serving};
use crate::model::{ConfigVersion, Zxid};

const LIMIT: Duration = Duration::from_secs(3);

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("../../../tests/fixtures/admin/", $path))
    };
}

/// What a server answers to `AdminServer` commands and four-letter words; to others nothing, and it stays connected.
type Script = BTreeMap<&'static str, &'static str>;

fn serving() -> Script {
    BTreeMap::from([
        ("server_stats", fixture!("3.9.5/follower-server_stats.json")),
        ("monitor", fixture!("3.9.5/follower-monitor.json")),
        ("conf", fixture!("3.9.5/follower-conf.txt")),
        ("ruok", "imok"),
    ])
}

fn waiting() -> Script {
    BTreeMap::from([
        ("server_stats", fixture!("3.8.5/noquorum-server_stats.json")),
        ("environment", r#"{"zookeeper.version":"3.8.5-19f1842d, built on 2025-09-03 21:35 UTC","error":null}"#),
        ("conf", fixture!("3.8.5/noquorum-conf.txt")),
        ("ruok", "imok"),
    ])
}

async fn server(script: Script) -> Place {
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place {
        admin: format!("http://{}", admin.local_addr().unwrap()),
        client: client.local_addr().unwrap().to_string(),
    };
    let answers = script.clone();
    let command = async move |extract::Path(name): extract::Path<String>| match answers.get(name.as_str()) {
        Some(answer) => *answer,
        None => std::future::pending().await,
    };
    tokio::spawn(async move { axum::serve(admin, Router::new().route("/commands/{name}", get(command))).await });
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = client.accept().await {
            let mut word = [0; 4];
            if socket.read_exact(&mut word).await.is_err() {
                continue;
            }
            let answer = std::str::from_utf8(&word).ok().and_then(|word| script.get(word));
            let Some(answer) = answer else { std::future::pending().await };
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    place
}

async fn nobody() -> Place {
    let free = async || TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Place { admin: format!("http://{}", free().await), client: free().await.to_string() }
}

fn disk(epoch: &str) -> TempDir {
    let disk = TempDir::new().unwrap();
    fs::create_dir(disk.path().join("version-2")).unwrap();
    fs::write(disk.path().join("version-2/currentEpoch"), epoch).unwrap();
    fs::write(disk.path().join("version-2/snapshot.0"), "").unwrap();
    fs::write(disk.path().join("menagerie.json"), r#"{"identity":"one","ensemble":"a","id":1}"#).unwrap();
    disk
}

async fn agent(place: Place, disk: &Path) -> String {
    let agent = Arc::new(Agent::new(ServerId(1), place, Volume::at(disk), None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router(agent)).await });
    url
}

async fn probe(url: &str, path: &str) -> Result<String, String> {
    match http::get(&format!("{url}{path}"), LIMIT).await {
        Ok(body) => Ok(String::from_utf8(body).unwrap().trim_end().to_owned()),
        Err(HttpError::Status { status: 503, text, .. }) => Err(text),
        Err(e) => panic!("{e}"),
    }
}

async fn truth(url: &str) -> MemberTruth {
    http::get_json(&format!("{url}/v1/member"), LIMIT).await.unwrap()
}

#[tokio::test]
async fn a_serving_server_passes_every_probe() {
    let disk = disk("3");
    let url = agent(server(serving()).await, disk.path()).await;
    for path in ["/healthz", "/startup", "/live"] {
        assert_eq!(probe(&url, path).await, Ok("ok".into()), "{path}");
    }
    assert_eq!(probe(&url, "/ready").await, Ok("serving as follower in epoch 3".into()));
    let truth = truth(&url).await;
    assert_eq!(truth.id, ServerId(1));
    assert_eq!(truth.disk.identity.as_deref(), Some("one"));
    assert!(truth.disk.database && truth.disk.record.is_none());
    let Server::Serving(Serving { mode, epoch, zxid, version, membership, synced_voters }) = truth.server else {
        panic!()
    };
    assert_eq!((mode, epoch, zxid, version.as_str(), synced_voters), (Mode::Follower, 3, Zxid(0), "3.9.5", None));
    assert!(membership.ends_with("version=100000000"), "{membership}");
}

#[tokio::test]
async fn a_server_without_quorum_lives_and_is_not_ready() {
    let disk = disk("3");
    let url = agent(server(waiting()).await, disk.path()).await;
    for path in ["/startup", "/live"] {
        assert_eq!(probe(&url, path).await, Ok("ok".into()), "{path}");
    }
    assert_eq!(probe(&url, "/ready").await, Err("not serving: election".into()));
    let expected = Server::Waiting { phase: "election".into(), version: Some("3.8.5".into()) };
    assert_eq!(truth(&url).await.server, expected);
}

#[tokio::test]
async fn without_a_server_only_the_agent_is_healthy() {
    let disk = disk("3");
    let place = nobody().await;
    let url = agent(place.clone(), disk.path()).await;
    assert_eq!(probe(&url, "/healthz").await, Ok("ok".into()));
    let refused = format!("ruok at {}: connection refused", place.client);
    assert_eq!(probe(&url, "/live").await, Err(refused.clone()));
    assert_eq!(probe(&url, "/startup").await, Err(refused));
    let reason = format!("GET {}/commands/server_stats: connection refused", place.admin);
    assert_eq!(probe(&url, "/ready").await, Err(reason.clone()));
    assert_eq!(truth(&url).await.server, Server::Silent { reason });
}

#[tokio::test]
async fn a_hung_server_fails_within_a_probes_patience() {
    let disk = disk("3");
    let url = agent(server(Script::new()).await, disk.path()).await;
    let (live, ready, truth) = tokio::join!(probe(&url, "/live"), probe(&url, "/ready"), truth(&url));
    assert!(live.unwrap_err().ends_with("no answer within 2000 ms"));
    assert!(ready.unwrap_err().contains("no answer within 2"));
    assert!(matches!(truth.server, Server::Silent { .. }));
}

#[tokio::test]
async fn nobody_waits_to_hand_over_but_a_leader_whom_others_follow() {
    let disk = disk("3");
    for place in [server(serving()).await, server(waiting()).await, nobody().await] {
        let url = agent(place, disk.path()).await;
        assert_eq!(probe(&url, "/hand-over").await, Ok("it does not lead".into()));
    }
    let mut leads = serving();
    leads.insert("server_stats", fixture!("3.9.5/leader-server_stats.json"));
    leads.insert("monitor", fixture!("3.9.5/leader-monitor.json"));
    leads.insert("conf", fixture!("3.9.5/leader-conf.txt"));
    let url = agent(server(leads).await, disk.path()).await;
    let limit = HAND_OVER + Duration::from_secs(5);
    let answer = http::get(&format!("{url}/hand-over"), limit).await.unwrap();
    assert_eq!(answer, b"nobody took over\n");
}

#[tokio::test]
async fn a_server_that_says_half_is_silent() {
    for (question, answer) in [
        ("server_stats", "{"),
        ("server_stats", "[]"),
        ("monitor", "<html>"),
        ("monitor", "{\"server_state\":7}"),
        ("conf", "clientPort=2181\n"),
        ("conf", "conf is not executed because it is not in the whitelist.\n"),
    ] {
        let mut script = serving();
        script.insert(question, answer);
        let disk = disk("3");
        let url = agent(server(script).await, disk.path()).await;
        assert!(matches!(truth(&url).await.server, Server::Silent { .. }), "{question} {answer}");
        assert!(probe(&url, "/ready").await.is_err());
        assert!(probe(&url, "/live").await.is_ok());
    }
}

#[tokio::test]
async fn half_a_truth_is_not_told() {
    let disk = disk("3");
    fs::create_dir(disk.path().join("conf")).unwrap();
    fs::create_dir(disk.path().join("conf/zoo.cfg.dynamic.5")).unwrap();
    let url = agent(server(serving()).await, disk.path()).await;
    assert!(probe(&url, "/v1/member").await.unwrap_err().starts_with("cannot read "));
    assert!(probe(&url, "/live").await.is_ok());
}

#[tokio::test]
async fn a_disk_that_hangs_costs_one_thread_and_no_liveness() {
    let disk = disk("3");
    let agent = Arc::new(Agent::new(ServerId(1), server(serving()).await, Volume::at(disk.path()), None));
    let (hang, release) = std::sync::mpsc::channel::<()>();
    let (signal, reading) = tokio::sync::oneshot::channel();
    let reader = Arc::clone(&agent);
    let stuck = tokio::spawn(async move {
        let hangs = move |_: &Volume| Ok((signal.send(()), release.recv().is_ok()).1);
        reader.disk(hangs).await
    });
    reading.await.unwrap();
    let error = agent.disk(|_| Ok(())).await.unwrap_err();
    assert_eq!(error, "the data volume does not answer within 2 s");
    assert!(live(State(Arc::clone(&agent))).await.0.is_success());
    assert_eq!(stuck.await.unwrap().unwrap_err(), error);
    drop(hang);
    assert_eq!(agent.disk(Volume::epoch).await, Ok(Some(3)));
}

#[tokio::test]
async fn the_version_of_the_record_is_told() {
    let disk = disk("3");
    fs::create_dir(disk.path().join("conf")).unwrap();
    let line = "server.1=a-0:2888:3888:participant;0.0.0.0:2181";
    fs::write(disk.path().join("conf/zoo.cfg.dynamic.100000000"), line).unwrap();
    let url = agent(nobody().await, disk.path()).await;
    assert_eq!(truth(&url).await.disk.record, Some(ConfigVersion(0x1_0000_0000)));
}
