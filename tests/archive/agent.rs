//! The agent's own archiving, beside a server that says that it serves.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use menagerie::agent::archive::{Folders, ship};
use menagerie::agent::member::Member;
use menagerie::agent::truth::Ports;
use menagerie::agent::volume::Volume;
use menagerie::archive::about::About;
use menagerie::archive::access::Mounted;
use menagerie::archive::bases;
use menagerie::archive::chains;
use menagerie::archive::store::Store;
use menagerie::model::truth::{ArchiveReason, ArchiveState};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zookeeper_files::ids::Zxid;

use super::bases::History;
use super::gateway::{BUCKET, Gateway, KEY, SECRET};
use super::proxy::{Proxy, Rule};
use super::shipping::{IDENTITY, Place, at, chain};

/// However slow the machine is.
const PATIENCE: Duration = Duration::from_mins(2);

/// An agent that archives a member's folder, beside a server that has applied what it is told.
pub struct Agent {
    member: Arc<Member>,
    applied: Arc<AtomicU64>,
    tasks: [JoinHandle<()>; 2],
    folder: tempfile::TempDir,
}

impl Agent {
    /// That ships to the store at this address.
    pub async fn start(place: &Place, store: SocketAddr) -> Self {
        Self::start_at(place, &json!({"endpoint": format!("http://{store}")})).await
    }

    /// The same, which looks at the log so many seconds after the last time.
    pub async fn start_each(place: &Place, store: SocketAddr, seconds: u32) -> Self {
        Self::start_at(place, &json!({"endpoint": format!("http://{store}"), "intervalSeconds": seconds})).await
    }

    /// With this said of where the store is.
    pub async fn start_at(place: &Place, says: &Value) -> Self {
        let applied = Arc::new(AtomicU64::new(0));
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = admin.local_addr().unwrap();
        let router = Router::new()
            .route("/commands/server_stats", get(stats))
            .route(
                "/commands/monitor",
                get(async || Json(json!({"server_state": "follower", "peer_state": "following - broadcast"}))),
            )
            .route(
                "/commands/voting_view",
                get(async || Json(json!({"current_config": {"2": {"server_addresses": ["b:2888"]}}}))),
            )
            .with_state(Arc::clone(&applied));
        let serving = tokio::spawn(async move { axum::serve(admin, router).await.unwrap() });

        let root = place.data().parent().unwrap().to_owned();
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(root.join("version-2/currentEpoch"), "1\n");
        write(root.join("conf/zoo.cfg"), "dynamicConfigFile=/data/conf/zoo.cfg.dynamic.100000000\n");
        write(root.join("conf/zoo.cfg.dynamic.100000000"), "server.2=b:2888:3888:participant;2181\n");
        write(root.join("archive.json"), &json!({"disk": chain().disk}).to_string());
        let folder = tempfile::tempdir().unwrap();
        let [seed, credentials, ca, keys] = ["seed", "keys", "ca", "sealing"].map(|name| folder.path().join(name));
        let mut config = json!({
            "target": format!("s3://{BUCKET}/zookeeper/a"), "credentials": true, "members": [2], "intervalSeconds": 1,
        });
        config.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
        let key = if config["encryptionKeys"].is_object() { "archive-encrypted.json" } else { "archive.json" };
        write(seed.join(key), &config.to_string());
        let charter = json!({
            "ensemble": "zk", "identity": IDENTITY, "birth": false, "membership": "", "version": "0",
            "joiner": "zk-{ordinal}.ns.svc.cluster.local:2888:3888:participant;2181",
        });
        write(seed.join("charter.json"), &charter.to_string());
        write(credentials.join("accessKeyId"), KEY);
        write(credentials.join("secretAccessKey"), SECRET);

        let ports = Ports { admin: format!("http://{address}"), client: address.to_string(), quorum: 2888 };
        let member = Arc::new(Member::new(chain().member, ports, Volume::at(&root), None));
        let mounted = Mounted { credentials, ca, keys, secret: None };
        let folders = Folders { data: root, seed, mounted };
        let shipping = tokio::spawn(ship(Arc::clone(&member), folders));
        Self { member, applied, tasks: [serving, shipping], folder }
    }

    pub fn applies(&self, zxid: Zxid) {
        self.applied.store(zxid.0, Ordering::Relaxed);
    }

    /// Puts this into what is mounted.
    pub fn mounts(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn stops(&self) {
        self.member.archiving.stop();
    }

    pub fn says(&self) -> Option<ArchiveState> {
        self.member.archiving.state()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn stats(State(applied): State<Arc<AtomicU64>>) -> Json<Value> {
    let zxid = applied.load(Ordering::Relaxed);
    Json(
        json!({"error": null, "version": "3.9.5-x", "server_stats": {"server_state": "follower", "last_processed_zxid": zxid}}),
    )
}

pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{what} did not come");
}

async fn last(store: &Store) -> Option<Zxid> {
    chains::last(store, IDENTITY, &chain()).await.unwrap().map(|facts| facts.last)
}

fn puts(proxy: &Proxy, words: &str) -> usize {
    proxy.asked().iter().filter(|asked| asked.starts_with("PUT") && asked.contains(words)).count()
}

/// A member with a history of 9 that its server has applied, and a snapshot of the 5th in three parts.
async fn begun(proxy: &Proxy) -> (Place, History, Agent) {
    let (place, history) = (Place::new(), History::of(12, 1_000_000));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 4..=6);
    history.snapshot(&place.data(), 5);
    let agent = Agent::start(&place, proxy.address).await;
    agent.applies(at(1, 6));
    (place, history, agent)
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_base_goes_on_where_it_was_when_a_segment_has_failed_and_no_part_is_sent_twice() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    proxy.rule(&[("PUT /snap/ /0001", Rule::Hold)]);
    let (place, history, agent) = begun(&proxy).await;
    until("the second part", async || puts(&proxy, "/0001") > 0).await;
    history.log(&place.data(), 7..=9);
    agent.applies(at(1, 9));
    // The segment waits for its turn by now, or else this shows less.
    sleep(Duration::from_secs(3)).await;
    proxy.rule(&[("PUT /log/", Rule::Refuse)]);
    until("a segment that fails", async || agent.says().is_some_and(|state| state.words.is_some())).await;
    proxy.rule(&[]);
    let store = gateway.store();
    until("the segment", async || last(&store).await == Some(at(1, 9))).await;
    until("the base", async || bases::newest(&store, IDENTITY).await.unwrap().is_some()).await;
    for name in ["/0000", "/0001", "/0002", "/manifest"] {
        let name = format!("/snap/0000000100000005.{}{name}", chain());
        assert_eq!(puts(&proxy, &name), 1, "{name}: {:?}", proxy.asked());
    }
    assert_eq!(About::read(&store, IDENTITY).await.unwrap(), Some(About::new("ns", "zk", None)));
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_part_that_is_on_its_way_is_broken_off_when_the_agent_is_to_end() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    proxy.rule(&[("PUT /snap/ /0001", Rule::Hold)]);
    let (place, history, agent) = begun(&proxy).await;
    until("the second part", async || puts(&proxy, "/0001") > 0).await;
    agent.stops();
    proxy.rule(&[]);
    history.log(&place.data(), 7..=9);
    agent.applies(at(1, 9));
    let store = gateway.store();
    until("the segment", async || last(&store).await == Some(at(1, 9))).await;
    assert_eq!(puts(&proxy, "/0002"), 0);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn segments_go_out_while_a_list_for_a_base_takes_its_time() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    proxy.rule(&[("GET prefix= snap", Rule::Hold)]);
    let (place, history, agent) = begun(&proxy).await;
    until("the list", async || proxy.asked().iter().any(|asked| asked.contains("snap"))).await;
    history.log(&place.data(), 7..=9);
    agent.applies(at(1, 9));
    let store = gateway.store();
    until("the segment", async || last(&store).await == Some(at(1, 9))).await;
    assert_eq!(proxy.held(), 1);
    proxy.rule(&[]);
    until("the base", async || bases::newest(&store, IDENTITY).await.unwrap().is_some()).await;
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_that_is_away_makes_a_lag_with_its_cause_and_the_same_put_goes_on_later() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let (place, history, agent) = begun(&proxy).await;
    let lag = || agent.says().and_then(|state| state.lag);
    until("no lag", async || lag().is_some_and(|lag| lag.bytes == 0)).await;
    proxy.rule(&[("PUT /log/", Rule::Deny)]);
    history.log(&place.data(), 7..=9);
    agent.applies(at(1, 9));
    until("a lag", async || lag().is_some_and(|lag| lag.bytes > 3_000_000 && lag.cause.is_some())).await;
    // One failure is a cause of the lag, and turns no condition.
    until("the reason", async || agent.says().is_some_and(|state| state.reason == ArchiveReason::AccessDenied)).await;
    let probes = puts(&proxy, "/probe/");
    proxy.rule(&[]);
    until("no lag any more", async || lag().is_some_and(|lag| lag.bytes == 0)).await;
    assert_eq!(agent.says().unwrap().last, Some(at(1, 9)));
    assert_eq!(puts(&proxy, "/probe/"), probes, "what is known of the store is not asked again");
}

/// Switched on late, and the only snapshot proves nothing: archiving was True without a word.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_says_that_nothing_leads_to_its_log_until_a_base_does() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let (place, history) = (Place::new(), History::of(9, 10));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 4..=9);
    history.snapshot_as(&place.data(), 3, at(1, 7));
    let agent = Agent::start(&place, gateway.address).await;
    agent.applies(at(1, 9));
    let says = || agent.says().filter(|state| state.starts.is_some());
    until("it says where its chain starts", async || says().is_some()).await;
    let state = says().unwrap();
    assert_eq!((state.base, state.reaches, state.starts), (None, None, Some(at(1, 4))));
    let target = format!("s3://{BUCKET}/zookeeper/a at http://{}", gateway.address);
    assert_eq!(state.place, Some(target));
    history.snapshot(&place.data(), 8);
    until("a base leads there", async || says().is_some_and(|state| state.reaches.is_some())).await;
    assert_eq!(says().unwrap().base, Some(at(1, 8)));
}

/// The lag was 0 while nothing of the log was archived.
#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_whose_server_was_synced_without_its_log_says_so_at_rest_until_something_is_written() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let agent = Agent::start(&place, gateway.address).await;
    agent.applies(at(1, 9));
    let level = |state: ArchiveState| state.held.is_none() && state.lag.is_some_and(|lag| lag.seconds == 0);
    until("all of it", async || agent.says().is_some_and(|state| state.last == Some(at(1, 9)) && level(state))).await;
    fs::copy(place.data().join("snapshot.0"), place.data().join(format!("snapshot.{}", at(1, 20)))).unwrap();
    agent.applies(at(1, 20));
    let said = |state: ArchiveState| {
        let held = state.held.filter(|held| held.unlogged && held.seconds > 1)?;
        (state.lag?.seconds > 0).then_some((held.first, held.last))
    };
    until("what it was synced with", async || agent.says().and_then(said) == Some((at(1, 10), at(1, 20)))).await;
    place.log(1, 21..=21, "b");
    agent.applies(at(1, 21));
    until("the next write", async || agent.says().is_some_and(|state| state.last == Some(at(1, 21)) && level(state)))
        .await;
    let words = agent.says().unwrap().words.unwrap();
    assert!(words.contains("may be missing from its archive between 0x100000009 and 0x100000015"), "{words}");
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn what_is_not_archived_grows_older_between_two_looks_that_are_far_apart() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let agent = Agent::start_each(&place, gateway.address, 3600).await;
    agent.applies(at(1, 9));
    until("the first look", async || agent.says().is_some_and(|state| state.last == Some(at(1, 9)))).await;
    place.log(1, 10..=11, "b");
    agent.applies(at(1, 11));
    let late = |state: ArchiveState| state.lag.is_some_and(|lag| lag.seconds > 0 && lag.bytes > 0);
    until("its age", async || agent.says().is_some_and(late)).await;
    assert_eq!(agent.says().unwrap().last, Some(at(1, 9)));
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn an_agent_says_what_it_holds_back_and_counts_it_in_the_lag_until_the_next_write() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let agent = Agent::start(&place, gateway.address).await;
    // The server has restarted, leads, and has proposed nothing.
    fs::write(place.data().join("currentEpoch"), "2\n").unwrap();
    agent.applies(at(2, 0));
    until("what is held", async || agent.says().is_some_and(|state| state.held.is_some())).await;
    let state = agent.says().unwrap();
    let held = state.held.unwrap();
    assert_eq!((held.first, held.last, state.last), (at(1, 1), at(1, 9), None));
    let lag = state.lag.unwrap();
    assert!(lag.seconds > 60 && lag.bytes > 0, "{lag:?}");
    until("its age", async || agent.says().is_some_and(|state| state.held.is_some_and(|held| held.seconds > 1))).await;
    place.log(2, 1..=1, "b");
    agent.applies(at(2, 1));
    let level = |state: ArchiveState| state.held.is_none() && state.lag.is_some_and(|lag| lag.bytes == 0);
    until("all of it", async || agent.says().is_some_and(level)).await;
    assert_eq!(last(&gateway.store()).await, Some(at(2, 1)));
}
