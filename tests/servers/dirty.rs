//! A server that wins an election snapshots its whole log before anybody agrees. What becomes of that snapshot when the others go
//! on without it, and what the commands make of it; and an ensemble that starts from what they write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use menagerie::model::ConfigVersion;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use zookeeper_client::{Acls, Client, CreateMode};
use zookeeper_files::disk::{MemberFiles, ScanItem};
use zookeeper_files::ids::Zxid;

use crate::ensemble::{Ensemble, leads, serves};

const PATIENCE: Duration = Duration::from_mins(4);
/// Longer than the test lasts: that a session expires is a transaction, too.
const SESSION: Duration = Duration::from_mins(20);

struct Scene {
    ensemble: Ensemble,
    agents: Vec<String>,
    /// Who has what nobody else has.
    winner: u8,
    others: [u8; 2],
    version: ConfigVersion,
}

impl Scene {
    async fn new(version: &str, net: u8) -> Self {
        let mut ensemble = Ensemble::new(version, net, "maxSessionTimeout=1200000");
        let mut agents = Vec::new();
        for id in 1..=3 {
            ensemble.start(id);
            agents.push(ensemble.agent(id, 2888).await);
        }
        let mut found = None;
        for (id, agent) in (1..).zip(&agents) {
            let truth = ensemble.until(agent, "it serves", serves).await;
            if leads(&truth) {
                found = Some((id, truth.disk.record.expect("the version of its membership")));
            }
        }
        let (winner, version) = found.unwrap_or_else(|| panic!("nobody leads\n{}", ensemble.words()));
        let others: Vec<u8> = (1..=3).filter(|id| *id != winner).collect();
        Self { ensemble, agents, winner, others: others.try_into().unwrap(), version }
    }

    async fn serves(&self, id: u8) {
        self.ensemble.until(&self.agents[usize::from(id) - 1], "it serves", serves).await;
    }

    fn folder(&self, id: u8) -> String {
        self.ensemble.data(id).display().to_string()
    }

    fn file(&self, id: u8, name: &str) -> PathBuf {
        self.ensemble.data(id).join("version-2").join(name)
    }

    async fn until(&self, what: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is() {
            assert!(Instant::now() < end, "{what}\n{}", self.ensemble.words());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The leader alone logs three transactions: the others are stopped, and die before they go on.
    async fn end_that_nobody_else_has(&mut self) -> (Zxid, Zxid) {
        let client = connect(&self.ensemble, self.winner).await;
        let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for n in 0..5 {
            client.create(&format!("/kept{n}"), b"x", &open).await.unwrap();
        }
        // What two followers have logged is committed: the leader may be the last to log it.
        let end_of = |id: u8| last_logged(&self.ensemble.data(id));
        self.until("they do not log the same", || end_of(1) == end_of(2) && end_of(2) == end_of(3)).await;
        let cut = end_of(self.winner);
        for id in self.others {
            self.ensemble.signal(id, "-STOP");
        }
        let lost: Vec<_> = ["/lost0", "/lost1", "/lost2"].map(|path| client.create(path, b"x", &open)).into();
        let answers = timeout(Duration::from_secs(2), futures::future::join_all(lost)).await;
        assert!(answers.is_err(), "nobody can have agreed");
        let logged = || last_logged(&self.ensemble.data(self.winner)).0 >= cut.0 + 3;
        self.until("the leader does not log what it proposes", logged).await;
        // With these gone, what lies in their sockets is gone as well.
        for id in self.others.into_iter().chain([self.winner]) {
            self.ensemble.stop(id);
        }
        (cut, last_logged(&self.ensemble.data(self.winner)))
    }

    /// The winner of an election, and one that votes for it and then never says a word: in its list, the winner's port for
    /// followers is another one, where nobody answers. So no epoch is ever proposed, and nothing depends on time.
    async fn wins_and_never_leads(&mut self, last: Zxid) {
        let [voter, _] = self.others;
        let mute = self.ensemble.address(self.winner, 2988);
        let _listener = TcpListener::bind(mute).await.unwrap();
        let winner = self.winner;
        let quorum = |peer| self.ensemble.address(peer, 2888);
        self.ensemble.list(voter, self.version, |peer| if peer == winner { mute } else { quorum(peer) });
        self.ensemble.start(winner);
        self.ensemble.start(voter);
        let snapshot = self.file(winner, &format!("snapshot.{last}"));
        let whole = || run(&["snapshot", "verify", snapshot.to_str().unwrap()]).status.code() == Some(0);
        self.until("the winner writes no snapshot", || snapshot.exists() && whole()).await;
        self.ensemble.stop(winner);
        self.ensemble.stop(voter);
        self.ensemble.list(voter, self.version, |peer| self.ensemble.address(peer, 2888));
    }
}

async fn connect(ensemble: &Ensemble, id: u8) -> Client {
    let end = Instant::now() + PATIENCE;
    loop {
        let connector = Client::connector().with_session_timeout(SESSION);
        match connector.connect(&ensemble.address(id, 2181).to_string()).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < end, "{error}\n{}", ensemble.words()),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn last_logged(folder: &Path) -> Zxid {
    let member = MemberFiles::find(folder.to_str().unwrap()).unwrap();
    let (mut scan, mut last) = (member.scan(&member.logs), Zxid(0));
    while let Some(item) = scan.next(&mut |_| ()).unwrap() {
        if let ScanItem::Record(record) = item {
            last = record.header.zxid;
        }
    }
    last
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menagerie")).args(arguments).output().unwrap()
}

/// The exit code and the lines of JSON.
fn json(arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = run(&[arguments, &["--output", "json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Which of its paths a tree has, of those that were kept and of those that were lost.
fn tree(arguments: &[&str]) -> (usize, usize) {
    let (code, lines) = json(&[&["snapshot", "tree"], arguments].concat());
    assert_eq!(code, Some(0), "{arguments:?}");
    let count = |prefix| lines.iter().filter(|line| line["path"].as_str().unwrap().starts_with(prefix)).count();
    (count("/kept"), count("/lost"))
}

/// What is found of snapshots, by their names.
fn found(lines: &[Value], finding: &str) -> Vec<String> {
    let of_name = lines.iter().filter(|line| line["finding"] == finding);
    let name =
        |line: &Value| Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
    of_name.map(name).collect()
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn the_snapshot_of_a_winner_that_never_led_is_called_dirty_and_no_tree_is_made_from_it_3_9_5() {
    called_dirty("3.9.5", 41).await;
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn the_snapshot_of_a_winner_that_never_led_is_called_dirty_and_no_tree_is_made_from_it_3_8_5() {
    called_dirty("3.8.5", 42).await;
}

async fn called_dirty(version: &str, net: u8) {
    let mut scene = Scene::new(version, net).await;
    let (cut, last) = scene.end_that_nobody_else_has().await;
    scene.wins_and_never_leads(last).await;
    let folders = [1, 2, 3].map(|id| scene.folder(id));
    let folders = folders.each_ref().map(String::as_str);
    let winner = scene.folder(scene.winner);
    let dirty = format!("snapshot.{last}");
    assert_eq!(tree(&[scene.file(scene.winner, &dirty).to_str().unwrap()]), (5, 3), "it holds what nobody agreed to");
    // Nobody has gone on yet: it can still win, and all it has be committed.
    let (_, lines) = json(&[&["log", "verify"], &folders[..]].concat());
    assert!(found(&lines, "dirty-snapshot").is_empty(), "{lines:?}");
    let unknown = lines.iter().find(|line| line["finding"] == "unknown").expect("it is not known");
    assert!(unknown["text"].as_str().unwrap().contains(&format!("{last:#}")), "{unknown}");

    // The others go on; its log is cut, and it loads its newest snapshot again.
    for id in scene.others {
        scene.ensemble.start(id);
    }
    for id in scene.others {
        scene.serves(id).await;
    }
    scene.ensemble.start(scene.winner);
    let out = scene.ensemble.data(scene.winner).join("out");
    let said =
        || fs::read_to_string(&out).unwrap_or_default().contains("Truncating log to get in sync with the leader");
    scene.until("its log is not cut", said).await;
    scene.serves(scene.winner).await;
    // What was cut is gone. The client that lost its servers may have ended its session by now, in the new epoch.
    let end = last_logged(&scene.ensemble.data(scene.winner));
    assert!(end == cut || end.epoch() > cut.epoch(), "{end} behind {cut}");
    let client = connect(&scene.ensemble, scene.others[0]).await;
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for n in 5..8 {
        client.create(&format!("/kept{n}"), b"x", &open).await.unwrap();
    }
    for id in 1..=3 {
        let client = connect(&scene.ensemble, id).await;
        client.sync("/").await.unwrap();
        let has = client.check_stat("/lost2").await.unwrap().is_some();
        assert_eq!(
            has,
            id == scene.winner,
            "this ZooKeeper takes what it cut out of its tree, or keeps it everywhere: {id}"
        );
    }
    drop(client);
    let ends = || [1, 2, 3].map(|id| last_logged(&scene.ensemble.data(id)));
    let logged = || ends()[0].counter() >= 4 && ends().iter().all(|end| *end == ends()[0]);
    scene.until("the members do not log what is written", logged).await;
    for id in 1..=3 {
        scene.ensemble.stop(id);
    }
    let cut_name = format!("snapshot.{cut}");
    let polluted = scene.file(scene.winner, &cut_name);
    assert_eq!(tree(&[polluted.to_str().unwrap()]), (5, 3), "by its name it has nothing of the lost");

    // What the commands make of it.
    let (code, lines) = json(&[&["log", "verify"], &folders[..]].concat());
    assert_eq!((code, found(&lines, "dirty-snapshot")), (Some(1), vec![dirty.clone()]), "{lines:?}");
    if version == "3.9.5" {
        // It says where it ends, and its znodes are newer.
        assert_eq!(found(&lines, "renamed"), [cut_name], "{lines:?}");
    } else {
        // Releases before 3.9 do not say that: what comes after is replayed.
        let (code, lines) = json(&[&["log", "verify", "--replay"], &folders[..]].concat());
        assert_eq!((code, found(&lines, "digest")), (Some(1), vec![dirty.clone()]), "{lines:?}");
    }
    assert_eq!(tree(&folders), (8, 0));
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let order = order.map(|at| folders[at]);
        assert_eq!(tree(&[&order[..], &["--at", &format!("{cut:#}")]].concat()), (5, 0));
    }
    // Alone as well: a leader's digests are in its log.
    assert_eq!(tree(&[&winner]), (8, 0));
    assert_eq!(tree(&[&winner, "--at", &format!("{cut:#}")]), (5, 0));
    let place = tempfile::tempdir().unwrap();
    let index = place.path().join("index");
    let others = scene.others.map(|id| scene.folder(id));
    let (code, lines) =
        json(&["index", "build", &winner, "--index", index.to_str().unwrap(), "--others", &others[0], &others[1]]);
    assert!(code == Some(0) && found_any(&lines, "never-committed").is_none(), "its log is cut: {lines:?}");
}

fn found_any<'a>(lines: &'a [Value], finding: &str) -> Option<&'a Value> {
    lines.iter().find(|line| line["finding"] == finding)
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn an_ensemble_that_starts_from_a_written_snapshot_goes_on_above_every_epoch_that_was() {
    let mut scene = Scene::new("3.9.5", 43).await;
    let (cut, _) = scene.end_that_nobody_else_has().await;
    let epoch = |file: &Path| fs::read_to_string(file).unwrap().trim().parse::<u64>().unwrap();
    // Two elections without a write: no log has their epochs.
    for next in cut.epoch() + 1..=cut.epoch() + 2 {
        for id in scene.others {
            scene.ensemble.start(id);
        }
        let led = || scene.others.iter().all(|id| epoch(&scene.file(*id, "currentEpoch")) >= next);
        scene.until("they elect nobody", led).await;
        for id in scene.others {
            scene.ensemble.stop(id);
        }
    }
    let was = epoch(&scene.file(scene.others[0], "acceptedEpoch"));
    assert!(was >= cut.epoch() + 2, "{was}");
    let restored = tempfile::tempdir().unwrap();
    let folders = scene.others.map(|id| scene.folder(id));
    let to = restored.path().to_str().unwrap();
    let output = run(&["snapshot", "write", &folders[0], &folders[1], "--at", &format!("{cut:#}"), "--to", to]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let version = restored.path().join("version-2");
    assert_eq!(["currentEpoch", "acceptedEpoch"].map(|name| epoch(&version.join(name))), [was, was]);
    drop(scene);

    let mut ensemble = Ensemble::new("3.9.5", 44, "");
    for id in 1..=3 {
        let own = ensemble.data(id).join("version-2");
        fs::create_dir_all(&own).unwrap();
        for entry in fs::read_dir(&version).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
        }
        ensemble.start(id);
    }
    for id in 1..=3 {
        let agent = ensemble.agent(id, 2888).await;
        ensemble.until(&agent, "it serves", serves).await;
    }
    let client = connect(&ensemble, 1).await;
    assert!(client.check_stat("/kept4").await.unwrap().is_some());
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let (stat, _) = client.create("/new", b"x", &open).await.unwrap();
    assert_eq!(Zxid(u64::try_from(stat.czxid).unwrap()).epoch(), was + 1);
}
