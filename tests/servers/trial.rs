//! Real servers start from a backup, and what they serve is compared with it.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use menagerie::archive::backlog::Backlog;
use menagerie::archive::key::{Chain, DiskId};
use menagerie::archive::pins::{self, NamedPin};
use menagerie::archive::retention::Pin;
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::store::Store;
use menagerie::archive::target::Target;
use menagerie::archive::tree_hash::tree_hash;
use menagerie::model::ServerId;
use menagerie::model::layout::{TRIAL_CONFIG, TRIAL_FLAGS, TRIAL_OUTPUT};
use serde_json::Value;
use tempfile::TempDir;
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{
    Acl, Acls, Create, Digest, Header, Lifetime, LogItem, LogReader, LogWriter, SessionId, Txn, encode_acls,
};
use zookeeper_files::replay::{Replay, Tree};

const IDENTITY: &str = "0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11";

fn create<'a>(path: &'a str, data: &'a [u8], acl: &'a [u8], lifetime: Lifetime, cversion: i32) -> Txn<'a> {
    Txn::Create(Create {
        path: Text(path.as_bytes()),
        data: Some(data),
        acl: Acls::decode(&mut Decoder::new(acl)).unwrap(),
        lifetime,
        parent_cversion: Some(cversion),
        with_stat: false,
    })
}

/// A log with the kinds of znodes that there are: one of a session, which ends, a TTL that is long over, a container that was emptied,
/// a quota, and one that nobody may read. Its tree.
fn log(folder: &Path) -> Tree {
    let (open, shut) =
        (encode_acls(&[Acl::new(31, "world", "anyone")]), encode_acls(&[Acl::new(0, "world", "anyone")]));
    let admin = encode_acls(&[Acl::new(31, "digest", "admin:x"), Acl::new(1, "ip", "10.0.0.0/8")]);
    let text = |path: &'static str| Text(path.as_bytes());
    let stays = Lifetime::Persistent;
    let large = vec![7; 1 << 20];
    let txns = [
        Txn::CreateSession { timeout: 4000 },
        create("/a", b"1", &open, stays, 1),
        create("/a/large", &large, &open, stays, 1),
        create("/of-a-session", b"", &open, Lifetime::Ephemeral, 2),
        create("/ttl", b"", &open, Lifetime::Ttl(1000), 3),
        create("/container", b"", &open, Lifetime::Container, 4),
        create("/container/x", b"", &open, stays, 1),
        Txn::Delete { path: text("/container/x"), container: false },
        create("/zookeeper/quota/a", b"", &open, stays, 1),
        create("/zookeeper/quota/a/zookeeper_limits", b"count=9,bytes=-1", &open, stays, 1),
        create("/zookeeper/quota/a/zookeeper_stats", b"count=1,bytes=1", &open, stays, 2),
        Txn::SetData { path: text("/a"), data: Some(b"2"), version: 1, reconfig: false },
        create("/shut", b"secret", &shut, stays, 5),
        Txn::SetAcl { path: text("/a"), acl: Acls::decode(&mut Decoder::new(&admin)).unwrap(), version: 1 },
        create("/last", "\u{e9}".as_bytes(), &admin, stays, 6),
    ];
    let (mut replay, mut log) = (Replay::new(Tree::initial()), LogWriter::new(Vec::new(), 0).unwrap());
    for (number, txn) in (1..).zip(txns) {
        let time = 1_700_000_000_000 + i64::try_from(number).unwrap() * 1000;
        let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(1 << 32 | number), time };
        let mut alone = LogWriter::new(Vec::new(), 0).unwrap();
        alone.append(header, &txn, None).unwrap();
        let bytes = alone.into_inner();
        let mut reader = LogReader::new(&bytes[..]).unwrap();
        let Some(LogItem::Record(record)) = reader.next().unwrap() else { panic!() };
        replay.apply(&record);
        log.append(header, &txn, Some(Digest { version: 2, tree: replay.tree().digest() })).unwrap();
    }
    let path = folder.join("log.100000001");
    fs::write(&path, log.into_inner()).unwrap();
    File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    replay.into_tree()
}

/// Its archive, the tree at its end, and that point.
async fn archived() -> (TempDir, Tree, String) {
    let folder = tempfile::tempdir().unwrap();
    let (data, archive) = (folder.path().join("data"), folder.path().join("archive"));
    fs::create_dir_all(&data).unwrap();
    fs::create_dir_all(&archive).unwrap();
    fs::write(data.join("snapshot.0"), Tree::initial().write(Vec::new()).unwrap()).unwrap();
    let tree = log(&data);
    let store = Store::open(&Target::File { folder: archive }).unwrap();
    let chain = Chain::of(ServerId(1), DiskId::from_bits(7));
    let mut shipper = Shipper::resume(store.clone(), IDENTITY, chain, Backlog::of(&data)).await.unwrap();
    while !matches!(shipper.ship(tree.last(), 1).await.unwrap(), Outcome::Idle | Outcome::Waiting | Outcome::Held(_)) {}
    let pin = NamedPin::new("p.u", Pin { from: tree.last(), to: tree.last() }, 1_700_000_000_000);
    pins::keep(&store, IDENTITY, &pin).await.unwrap();
    let point = format!("{:#}", tree.last());
    (folder, tree, point)
}

/// A server as it is beside the Job: it waits for its configuration.
struct Server(Child);

impl Server {
    fn beside(folder: &Path, version: &str, flags: &[&str]) -> Self {
        let jars =
            std::env::var("MENAGERIE_SERVERS").expect("run this through `dev/test servers`, which names the jars");
        let classpath = format!("{}/*", Path::new(&jars).join(version).display());
        let config = folder.join(TRIAL_CONFIG);
        let (config, out) = (config.display(), folder.join(TRIAL_OUTPUT));
        let java = format!(
            "java -Xmx300m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC {} -cp '{classpath}' org.apache.zookeeper.server.quorum.QuorumPeerMain {config}",
            flags.join(" ")
        );
        let wait = format!("until [ -e {config} ]; do sleep 0.1; done; exec {java} >> {} 2>&1", out.display());
        Self(Command::new("sh").args(["-c", &wait]).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The exit code and the report of the Job, beside a server of that release, which has an address of its own.
async fn tried(version: &str, net: u8, flags: &[&str]) -> (Option<i32>, Value, Tree) {
    let (folder, tree, point) = archived().await;
    let (trial, scratch) = (folder.path().join("trial"), folder.path().join("scratch"));
    fs::create_dir_all(&trial).unwrap();
    let _server = Server::beside(&trial, version, flags);
    let report = folder.path().join("report");
    let target = Store::open(&Target::File { folder: folder.path().join("archive") }).unwrap().target().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["job", "--report", report.to_str().unwrap(), "backup", "--archive", &target, "--identity", IDENTITY])
        .args(["--pin", "p.u", "--at", &point, "--level", "Server", "--trial", trial.to_str().unwrap()])
        .args(["--trial-address", &Ipv4Addr::new(127, 77, net, 1).to_string()])
        .args(["--scratch", scratch.to_str().unwrap()])
        .output()
        .unwrap();
    let said = fs::read_to_string(&report).unwrap();
    let words = || panic!("{said}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_str(&said).unwrap_or_else(|_| words()), tree)
}

async fn serves_the_same(version: &str, net: u8) {
    let (code, report, tree) = tried(version, net, &TRIAL_FLAGS).await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["backup"]["server"], version);
    assert_eq!(report["backup"]["treeHash"], tree_hash(&tree).text(), "with the sessions that it had");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper's jars: `dev/test servers`"]
async fn a_real_server_that_starts_from_a_backup_serves_each_of_its_znodes_3_9() {
    serves_the_same("3.9.5", 90).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper's jars: `dev/test servers`"]
async fn a_real_server_that_starts_from_a_backup_serves_each_of_its_znodes_3_8() {
    serves_the_same("3.8.5", 91).await;
}

/// Without the extended types it takes a TTL for the znode of a session that is over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper's jars: `dev/test servers`"]
async fn a_server_that_serves_something_else_is_no_proof_and_the_znode_is_named() {
    let flags: Vec<&str> = TRIAL_FLAGS.into_iter().filter(|flag| !flag.contains("extendedTypes")).collect();
    let (code, report, _) = tried("3.9.5", 92, &flags).await;
    assert_eq!((code, &report["notProved"]), (Some(1), &true.into()), "{report}");
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("a server 3.9.5 that starts from it") && error.contains("/ttl"), "{error}");
}
