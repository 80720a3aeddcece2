//! A backup that is made from a member's files, as the Job of a `ZooKeeperBackup` with a store of its own does it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use menagerie::archive::chains::chains;
use menagerie::archive::collect::Collection;
use menagerie::archive::store::Store;
use menagerie::archive::target::Target;
use menagerie::archive::tree::tree_at;
use menagerie::archive::tree_hash::tree_hash;
use menagerie::archive::{bases, pins};
use menagerie::http::{self, HttpError};
use serde_json::Value;
use zookeeper_client::{Acls, Client, CreateMode};
use zookeeper_files::disk::{MemberFiles, Point, rebuild};
use zookeeper_files::ids::Zxid;

use crate::ensemble::{Ensemble, PATIENCE, serves};
use crate::restore::{PASSWORD, settings};

struct Backups {
    ensemble: Ensemble,
    folder: tempfile::TempDir,
}

impl Backups {
    async fn new(version: &str, net: u8) -> Self {
        // A snapshot after some hundred transactions: the logs of the beginning are not enough.
        let mut ensemble = Ensemble::new(version, net, &settings("snapCount=200\nautopurge.snapRetainCount=3"));
        for id in 1..=3 {
            ensemble.knows(id, PASSWORD);
            ensemble.start(id);
        }
        for id in 1..=3 {
            let agent = ensemble.agent(id, 2888).await;
            ensemble.until(&agent, "it serves", serves).await;
        }
        Self { ensemble, folder: tempfile::tempdir().unwrap() }
    }

    fn servers(&self, ids: &[u8]) -> String {
        ids.iter().map(|id| self.ensemble.address(*id, 2181).to_string()).collect::<Vec<_>>().join(",")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn store(&self) -> Store {
        Store::open(&Target::File { folder: self.target() }).unwrap()
    }

    /// The exit code and the report of a Job's pod.
    fn backup(&self, pin: &str, password: &str, servers: &str) -> (Option<i32>, Value) {
        fs::create_dir_all(self.target()).unwrap();
        let (report, scratch) = (self.folder.path().join("report"), self.folder.path().join("scratch"));
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["job", "--report", &path(&report), "backup", "--identity", "one", "--copy", "ns/zk"])
            .args(["--archive", &format!("file://{}", path(&self.target())), "--pin", pin])
            .args(["--server", servers, "--scratch", &path(&scratch)])
            .env("MENAGERIE_SUPER_PASSWORD", password)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!words.contains(PASSWORD), "{words}");
        println!("{words}");
        (output.status.code(), serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap())
    }
}

/// What a member's own files give at a zxid.
fn expected(data: &Path, zxid: Zxid) -> String {
    let member = MemberFiles::find(&data.join("version-2").to_string_lossy()).unwrap();
    let tree = rebuild(&[member], Point::Zxid(zxid), &mut |_| ()).unwrap().replay.into_tree();
    tree_hash(&tree).text().to_owned()
}

async fn is_made(version: &str, net: u8) {
    let backups = Backups::new(version, net).await;
    let client = Client::connect(&backups.servers(&[1])).await.unwrap();
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for number in 0..1000 {
        client.create(&format!("/n{number}"), b"data", &options).await.unwrap();
    }
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create("/lives", b"", &ephemeral).await.unwrap();
    let (last, _) = client.create("/last", b"", &options).await.unwrap();
    // Others write on meanwhile.
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (stop, client) = (Arc::clone(&stop), client.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.set_data("/n0", b"more", None).await.unwrap();
            }
        })
    };
    let backups = Arc::new(backups);
    let of = async |pin: &'static str, servers: &[u8]| {
        let (backups, servers) = (Arc::clone(&backups), backups.servers(servers));
        tokio::task::spawn_blocking(move || backups.backup(pin, PASSWORD, &servers)).await.unwrap()
    };
    let (code, report) = of("first.1", &[2, 3, 1]).await;
    assert_eq!(code, Some(0), "{report}");
    let backup = &report["backup"];
    let zxid = u64::from_str_radix(backup["zxid"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(zxid >= last.czxid.cast_unsigned(), "{report}");
    assert!(backup["digests"].as_i64().unwrap() > 0, "{report}");
    assert_eq!(backup["treeHash"], expected(&backups.ensemble.data(1), Zxid(zxid)), "{report}");
    let kept = pins::all(&backups.store(), "one").await.unwrap();
    assert_eq!(kept.iter().map(|pin| (&*pin.name, pin.to.0)).collect::<Vec<_>>(), [("first.1", zxid)]);
    assert!(bases::newest(&backups.store(), "one").await.unwrap().is_some(), "there is a base");
    // The next one does not lean on it, and what it stores is whole without it.
    let (code, report) = of("second.2", &[3]).await;
    assert_eq!(code, Some(0), "{report}");
    let second = u64::from_str_radix(report["backup"]["zxid"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!(second > zxid);
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    assert_eq!(chains(&backups.store(), "one").await.unwrap().len(), 2);
    // The same pod again finds all of it there.
    let (code, again) = of("second.2", &[3]).await;
    assert_eq!((code, &again["backup"]["treeHash"]), (Some(0), &report["backup"]["treeHash"]), "{again}");
    let store = backups.store();
    let collection = Collection::of(&store, "one").await.unwrap();
    let work = backups.folder.path().join("built");
    let built = tree_at(&collection, Point::Zxid(Zxid(zxid)), &work, &|_: &str| ()).await.unwrap();
    assert_eq!(tree_hash(&built.tree).text(), expected(&backups.ensemble.data(1), Zxid(zxid)));
    are_given_to_nobody_without_the_password(&backups).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn a_backup_is_made_from_a_members_files_while_others_write_3_9_5() {
    is_made("3.9.5", 94).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn long_a_backup_is_made_from_a_members_files_while_others_write_3_8_5() {
    is_made("3.8.5", 95).await;
}

/// ZOOKEEPER-5094, ZOOKEEPER-4925: a follower that was away for more than the leader has in memory is synced by a snapshot, and its log has a
/// hole from then on. An older snapshot that is proved is no base for what is behind the hole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn where_a_members_log_has_a_hole_the_backup_is_made_from_another_one() {
    let mut backups = Backups::new("3.9.5", 97).await;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let client = Client::connect(&backups.servers(&[1, 3])).await.unwrap();
    let fill = async |client: &Client, of: &str, count: u32| {
        for number in 0..count {
            client.create(&format!("/{of}{number}"), b"data", &options).await.unwrap();
        }
    };
    fill(&client, "a", 1000).await;
    backups.ensemble.stop(2);
    fill(&client, "b", 1000).await;
    backups.ensemble.start(2);
    let agent = format!("http://{}", backups.ensemble.address(2, 8079));
    backups.ensemble.until(&agent, "it serves", serves).await;
    fill(&client, "c", 20).await;
    let (code, report) = backups.backup("holed.1", PASSWORD, &backups.servers(&[2]));
    assert_eq!(code, Some(3), "{report}");
    assert!(report["error"].as_str().unwrap().contains("its log has a gap behind"), "{report}");
    // The next pod finds what that one has stored, and neither believes it nor leaves the others out.
    let (code, report) = backups.backup("holed.1", PASSWORD, &backups.servers(&[2, 3, 1]));
    assert_eq!(code, Some(0), "{report}");
    let zxid = u64::from_str_radix(report["backup"]["zxid"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert_eq!(report["backup"]["treeHash"], expected(&backups.ensemble.data(1), Zxid(zxid)), "{report}");
}

/// Znodes have secrets in them.
async fn are_given_to_nobody_without_the_password(backups: &Backups) {
    let agent = format!("http://{}/v1/files", backups.ensemble.address(1, 8079));
    for url in [agent.clone(), format!("{agent}/snapshot.0/0"), format!("{agent}/..%2f..%2fmyid/0")] {
        for token in [None, Some(""), Some("0000000000000000")] {
            let answer = http::get_as(&url, token, PATIENCE, 1 << 20).await;
            assert!(matches!(answer, Err(HttpError::Status { status: 401, .. })), "{url}: {answer:?}");
        }
    }
    let (code, report) = backups.backup("p.1", "another", &backups.servers(&[1]));
    assert_eq!(code, Some(3), "{report}");
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("does not take the super user's password"), "{error}");
}
