//! The interface over a server that answers what real ones were seen to answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::extract;
use axum::routing::get;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::kubelet::{HAND_OVER, leads_others};
use super::*;
use crate::agent::fixtures::{free, nobody};
use crate::agent::member::MOMENT;
use crate::agent::truth::Ports;
use crate::agent::volume::Volume;
use crate::http::{self, HttpError};
use crate::model::layout::MEMBER_PATH;
use crate::model::truth::{Mode, ServerState, Serving};
use crate::model::{ConfigVersion, MemberTruth, ServerId, Zxid};

const LIMIT: Duration = Duration::from_secs(3);

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("../../../tests/fixtures/admin/", $path))
    };
}

/// What a server answers to `AdminServer` commands; to others nothing, and it stays connected.
type Script = BTreeMap<&'static str, &'static str>;

fn serving() -> Script {
    BTreeMap::from([
        ("server_stats", fixture!("3.9.5/follower-server_stats.json")),
        ("monitor", fixture!("3.9.5/follower-monitor.json")),
        ("voting_view", fixture!("3.9.5/voting_view.json")),
    ])
}

fn waiting() -> Script {
    BTreeMap::from([
        ("server_stats", fixture!("3.8.5/noquorum-server_stats.json")),
        ("environment", r#"{"zookeeper.version":"3.8.5-19f1842d, built on 2025-09-03 21:35 UTC","error":null}"#),
    ])
}

/// Nobody listens on its client port: no question may need it.
async fn server(script: Script) -> Ports {
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = Ports { admin: format!("http://{}", admin.local_addr().unwrap()), client: free().await, quorum: 2888 };
    let command = async move |extract::Path(name): extract::Path<String>| match script.get(name.as_str()) {
        Some(answer) => *answer,
        None => std::future::pending().await,
    };
    tokio::spawn(async move { axum::serve(admin, Router::new().route("/commands/{name}", get(command))).await });
    ports
}

/// A volume as a server of the fixtures leaves it.
fn disk(epoch: &str) -> TempDir {
    let disk = TempDir::new().unwrap();
    fs::create_dir(disk.path().join("version-2")).unwrap();
    fs::write(disk.path().join("version-2/currentEpoch"), epoch).unwrap();
    fs::write(disk.path().join("version-2/snapshot.0"), "").unwrap();
    let conf = disk.path().join("conf");
    fs::create_dir(&conf).unwrap();
    let (_, membership) = fixture!("3.9.5/follower-conf.txt").split_once("membership: \n").unwrap();
    let lines: Vec<_> = membership.lines().filter(|line| line.starts_with("server.")).collect();
    fs::write(conf.join("zoo.cfg.dynamic.100000000"), lines.join("\n")).unwrap();
    fs::write(conf.join("zoo.cfg"), "tickTime=2000\ndynamicConfigFile=/data/conf/zoo.cfg.dynamic.100000000\n").unwrap();
    fs::write(disk.path().join("menagerie.json"), r#"{"identity":"one","ensemble":"a","id":1}"#).unwrap();
    disk
}

async fn agent(ports: Ports, disk: &Path) -> String {
    let agent = Arc::new(Member::new(ServerId(1), ports, Volume::at(disk), None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(crate::serve::serve(listener, router(agent)));
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
    http::get_json(&format!("{url}{MEMBER_PATH}"), LIMIT).await.unwrap()
}

#[tokio::test]
async fn a_serving_server_passes_every_probe() {
    let disk = disk("3");
    let url = agent(server(serving()).await, disk.path()).await;
    assert_eq!(probe(&url, "/healthz").await, Ok("ok".into()));
    assert_eq!(probe(&url, "/ready").await, Ok("serving as follower in epoch 3".into()));
    let truth = truth(&url).await;
    assert_eq!(truth.id, ServerId(1));
    assert_eq!(truth.disk.identity.as_deref(), Some("one"));
    assert!(truth.disk.database && truth.disk.record == Some(ConfigVersion(0x1_0000_0000)));
    let ServerState::Serving(Serving { mode, epoch, zxid, version, membership, synced_voters, commits_nothing: None }) =
        truth.server
    else {
        panic!()
    };
    assert_eq!((mode, epoch, zxid, version.as_str(), synced_voters), (Mode::Follower, 3, Zxid(0), "3.9.5", None));
    assert!(membership.ends_with("version=100000000"), "{membership}");
}

#[tokio::test]
async fn a_server_without_quorum_is_not_ready() {
    let disk = disk("3");
    let url = agent(server(waiting()).await, disk.path()).await;
    assert_eq!(probe(&url, "/ready").await, Err("not serving: election".into()));
    let expected = ServerState::Waiting { phase: "election".into(), version: Some("3.8.5".into()) };
    assert_eq!(truth(&url).await.server, expected);
}

#[tokio::test]
async fn without_a_server_only_the_agent_is_healthy() {
    let disk = disk("3");
    let ports = nobody().await;
    let url = agent(ports.clone(), disk.path()).await;
    assert_eq!(probe(&url, "/healthz").await, Ok("ok".into()));
    let reason = format!("GET {}/commands/server_stats: connection refused", ports.admin);
    assert_eq!(probe(&url, "/ready").await, Err(reason.clone()));
    assert_eq!(truth(&url).await.server, ServerState::Silent { reason });
}

#[tokio::test]
async fn a_hung_server_fails_within_a_probes_patience() {
    let disk = disk("3");
    let url = agent(server(Script::new()).await, disk.path()).await;
    let (health, ready, truth) = tokio::join!(probe(&url, "/healthz"), probe(&url, "/ready"), truth(&url));
    assert_eq!(health, Ok("ok".into()));
    assert!(ready.unwrap_err().contains("no answer within 2"));
    assert!(matches!(truth.server, ServerState::Silent { .. }));
}

#[tokio::test]
async fn nobody_waits_to_hand_over_but_a_leader_whom_others_follow() {
    let disk = disk("3");
    for ports in [server(serving()).await, server(waiting()).await, nobody().await] {
        let url = agent(ports, disk.path()).await;
        assert_eq!(probe(&url, "/hand-over").await, Ok("it does not lead".into()));
    }
    let mut leads = serving();
    leads.insert("server_stats", fixture!("3.9.5/leader-server_stats.json"));
    leads.insert("monitor", fixture!("3.9.5/leader-monitor.json"));
    let url = agent(server(leads).await, disk.path()).await;
    // Any pod may ask, and none uses up the kubelet's turn: everybody who asks waits for the same result.
    let limit = HAND_OVER + Duration::from_secs(5);
    let path = format!("{url}/hand-over");
    let others = futures::future::join_all((0..20).map(|_| http::get(&path, limit)));
    let kubelet = async {
        sleep(HAND_OVER / 2).await;
        assert_eq!(probe(&url, "/healthz").await, Ok("ok".into()));
        let began = Instant::now();
        let answer = http::get(&path, limit).await.unwrap();
        assert!(began.elapsed() < HAND_OVER, "it waits no longer than what is left");
        answer
    };
    let (others, kubelet) = tokio::join!(others, kubelet);
    for answer in others.into_iter().map(Result::unwrap).chain([kubelet]) {
        assert_eq!(String::from_utf8(answer).unwrap(), "nobody took over\n");
    }
}

#[test]
fn a_leader_that_counts_nobody_because_it_cannot_be_asked_is_held_up_where_others_vote() {
    let leads = |voters: u64, synced_voters| {
        let ids = (1..=voters).map(|id| if id > 3 { id << 32 } else { id });
        let lines = ids.map(|id| format!("server.{id}=a-{id}:2888:3888:participant;2181\n"));
        leads_others(&ServerState::Serving(Serving {
            mode: Mode::Leader,
            epoch: 1,
            zxid: Zxid(1),
            version: "3.9.5".into(),
            membership: lines.chain(["version=1".to_owned()]).collect(),
            synced_voters,
            commits_nothing: None,
        }))
    };
    assert!(leads(3, None) && leads(3, Some(1)) && !leads(3, Some(0)));
    assert!(!leads(1, None), "nobody could take over");
    assert!(leads(4, None) && !leads(4, Some(0)), "an id that only Java can count is no reason to count nobody");
}

#[tokio::test]
async fn whether_a_leader_takes_clients_is_told_as_it_was_started() {
    let disk = disk("3");
    let url = agent(nobody().await, disk.path()).await;
    assert_eq!(truth(&url).await.disk.leader_serves, Some(true));
    let cfg = disk.path().join("conf/zoo.cfg");
    let text = fs::read_to_string(&cfg).unwrap();
    fs::write(&cfg, format!("leaderServes=no\n{text}")).unwrap();
    tokio::time::sleep(MOMENT * 2).await;
    assert_eq!(truth(&url).await.disk.leader_serves, Some(false));
    fs::remove_file(&cfg).unwrap();
    tokio::time::sleep(MOMENT * 2).await;
    assert_eq!(truth(&url).await.disk.leader_serves, None, "it was never started");
}

#[tokio::test]
async fn a_server_whose_admin_server_answered_is_not_looked_at_for_motion_though_it_is_silent() {
    // It may serve: of a lone voter that serves, nothing else moves.
    for (script, expected) in [(serving(), true), (waiting(), true), (Script::new(), false)] {
        let mut script = script;
        if script.contains_key("voting_view") {
            script.insert("voting_view", "<html>");
        }
        let disk = disk("3");
        let agent = Arc::new(Member::new(ServerId(1), server(script).await, Volume::at(disk.path()), None));
        let server = agent.server(MOMENT).await;
        assert!(!matches!(server, ServerState::Serving(_)));
        assert_eq!(agent.answered(), expected, "{server:?}");
    }
    let disk = disk("3");
    let gone = Arc::new(Member::new(ServerId(1), nobody().await, Volume::at(disk.path()), None));
    gone.server(MOMENT).await;
    assert!(!gone.answered());
}

#[tokio::test]
async fn a_server_that_says_half_is_silent() {
    for (question, answer) in [
        ("server_stats", "{"),
        ("server_stats", "[]"),
        ("monitor", "<html>"),
        ("monitor", "{\"server_state\":7}"),
        ("voting_view", "<html>"),
        ("voting_view", "{\"command\":\"voting_view\",\"error\":null}"),
    ] {
        let mut script = serving();
        script.insert(question, answer);
        let disk = disk("3");
        let url = agent(server(script).await, disk.path()).await;
        assert!(matches!(truth(&url).await.server, ServerState::Silent { .. }), "{question} {answer}");
        assert!(probe(&url, "/ready").await.is_err());
        assert!(probe(&url, "/healthz").await.is_ok());
    }
}

#[tokio::test]
async fn half_a_truth_is_not_told() {
    let disk = disk("3");
    fs::create_dir(disk.path().join("conf/zoo.cfg.dynamic.5")).unwrap();
    let url = agent(server(serving()).await, disk.path()).await;
    assert!(probe(&url, MEMBER_PATH).await.unwrap_err().starts_with("cannot read "));
    assert!(probe(&url, "/healthz").await.is_ok());
}

#[tokio::test]
async fn the_version_of_the_record_is_told() {
    let disk = disk("3");
    let line = "server.1=a-0:2888:3888:participant;0.0.0.0:2181";
    fs::write(disk.path().join("conf/zoo.cfg.dynamic.200000000"), line).unwrap();
    let url = agent(nobody().await, disk.path()).await;
    assert_eq!(truth(&url).await.disk.record, Some(ConfigVersion(0x2_0000_0000)));
}

#[tokio::test]
async fn case_01_a_leader_with_the_prometheus_provider_is_recognised() {
    let disk = disk("1");
    let mut leads = serving();
    leads.insert("server_stats", fixture!("3.9.5/leader-server_stats.json"));
    leads.insert("monitor", fixture!("3.9.5/leader-monitor-prometheus.json"));
    let url = agent(server(leads).await, disk.path()).await;
    let ServerState::Serving(Serving { mode, synced_voters, .. }) = truth(&url).await.server else { panic!() };
    assert_eq!((mode, synced_voters), (Mode::Leader, Some(2)));
}

/// `leaderServes=no`, `maxClientCnxns=1` and a shell, `maxCnxns` used up: whoever connects to the client port is hung up on.
#[tokio::test]
async fn case_02_07_08_a_client_port_that_takes_nobody_costs_a_server_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = port.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((taken, _)) = port.accept().await {
            drop(taken);
        }
    });
    let disk = disk("3");
    let mut leads = serving();
    leads.insert("server_stats", fixture!("3.9.5/leader-server_stats.json"));
    leads.insert("monitor", fixture!("3.9.5/leader-monitor.json"));
    for (script, line) in [(serving(), "serving as follower in epoch 3"), (leads, "serving as leader in epoch 3")] {
        let ports = Ports { client: client.clone(), ..server(script).await };
        assert!(ports.listens().await);
        let url = agent(ports, disk.path()).await;
        assert_eq!(probe(&url, "/ready").await, Ok(line.into()));
        assert!(matches!(truth(&url).await.server, ServerState::Serving(_)));
    }
    let stopped = Ports { client, ..nobody().await };
    assert!(stopped.listens().await, "a server that may be writing is not taken for one that is gone");
}

#[tokio::test]
async fn a_membership_that_is_proposed_is_not_the_one_that_is_told() {
    let disk = disk("3");
    let conf = disk.path().join("conf");
    fs::write(conf.join("zoo.cfg.dynamic.next"), "server.9=z:2888:3888:participant;2181\nversion=200000000").unwrap();
    let url = agent(server(serving()).await, disk.path()).await;
    let ServerState::Serving(serving) = truth(&url).await.server else { panic!() };
    assert!(serving.membership.ends_with("\nversion=100000000") && !serving.membership.contains("server.9"));
}
