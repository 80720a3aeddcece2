//! Real servers whose agents purge in their place, while the archive is there, away, and back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use menagerie::agent::archive::{Folders, ship};
use menagerie::agent::member::Member;
use menagerie::agent::purging::{self, Pace};
use menagerie::agent::truth::Ports;
use menagerie::agent::volume::Volume;
use menagerie::model::ServerId;
use menagerie::model::truth::{ArchiveReason, ArchiveState, GivenUp, ServerState};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use zookeeper_client::{Acls, Client, CreateMode};
use zookeeper_files::disk::{MemberFiles, ScanItem};
use zookeeper_files::ids::Zxid;

use crate::ensemble::Ensemble;

const PATIENCE: Duration = Duration::from_mins(4);
const IDENTITY: &str = "0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11";

/// An ensemble of which the first member ships to a folder, and the second only purges.
struct Scene {
    client: Client,
    agents: Vec<Agent>,
    ensemble: Ensemble,
    place: TempDir,
}

struct Agent {
    member: Arc<Member>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Agent {
    fn beside(ensemble: &Ensemble, id: u8, seed: &Path) -> Self {
        let ports = Ports {
            admin: format!("http://{}", ensemble.address(id, 8080)),
            client: ensemble.address(id, 2181).to_string(),
            quorum: 2888,
        };
        let data = ensemble.data(id);
        let member = Arc::new(Member::new(ServerId(id.into()), ports, Volume::at(&data), None));
        let mounted = menagerie::archive::access::Mounted {
            credentials: PathBuf::new(),
            ca: PathBuf::new(),
            keys: PathBuf::new(),
            secret: None,
        };
        let folders = Folders { data, seed: seed.to_owned(), mounted };
        let pace = Pace { look: Duration::from_millis(50), hour: Duration::from_secs(1) };
        let tasks = [
            tokio::spawn(ship(Arc::clone(&member), folders.clone())),
            tokio::spawn(purging::watch(Arc::clone(&member), folders, pace)),
        ];
        Self { member, tasks }
    }
}

impl Scene {
    async fn of(mut ensemble: Ensemble) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (seed, store) = (place.path().join("seed"), place.path().join("store"));
        fs::create_dir(&seed).unwrap();
        fs::create_dir(&store).unwrap();
        let config = json!({
            "target": format!("file://{}", store.display()), "credentials": false, "members": [1], "intervalSeconds": 1,
            "purge": {"hours": 1, "snapshots": 3},
        });
        fs::write(seed.join("archive.json"), config.to_string()).unwrap();
        let charter = json!({
            "ensemble": "zk", "identity": IDENTITY, "birth": false, "membership": "", "version": "0",
            "joiner": "zk-{ordinal}.ns.svc.cluster.local:2888:3888:participant;2181",
        });
        fs::write(seed.join("charter.json"), charter.to_string()).unwrap();
        for id in 1..=3 {
            ensemble.start(id);
        }
        let agents = [1, 2].map(|id| Agent::beside(&ensemble, id, &seed)).into();
        let client = connect(&ensemble).await;
        client.create("/a", b"", &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.unwrap();
        Self { client, agents, ensemble, place }
    }

    async fn write(&self, times: usize, bytes: usize) {
        for _ in 0..times {
            self.client.set_data("/a", &vec![7; bytes], None).await.unwrap();
        }
    }

    fn files(&self, id: u8) -> MemberFiles {
        MemberFiles::find(&self.ensemble.data(id).to_string_lossy()).unwrap()
    }

    fn says(&self) -> ArchiveState {
        self.agents[0].member.archiving.state().unwrap_or_else(|| ArchiveState::of(ArchiveReason::Unknown))
    }

    async fn until(&self, what: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is() {
            let files = |id| {
                let files = self.files(id);
                (files.logs.len(), files.snapshots.len())
            };
            let seen = (self.says(), files(1), files(2));
            assert!(Instant::now() < end, "{what}: {seen:?}\n{}", self.ensemble.words());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// No more than ZooKeeper itself would keep: three snapshots, and no log that begins before the one behind the oldest.
    fn at_the_floor(&self, id: u8) -> bool {
        let files = self.files(id);
        let oldest = files.snapshots.first().and_then(|snapshot| snapshot.zxid);
        files.snapshots.len() == 3 && files.logs.iter().filter(|log| log.zxid <= oldest).count() <= 1
    }

    /// Waits until the archive has all, in segments, and the first member keeps no more than ZooKeeper would. Its last segment stays
    /// in its log: so that this is a short one, one more write comes after the others.
    async fn settles(&self) {
        self.until("all is archived", || self.says().last == Some(self.last_logged())).await;
        self.write(1, 10).await;
        self.until("all is archived, and purged", || {
            self.says().last == Some(self.last_logged()) && self.at_the_floor(1)
        })
        .await;
    }

    fn last_logged(&self) -> Zxid {
        zxids(&self.files(1)).last().copied().unwrap_or(Zxid(0))
    }

    fn away(&self, away: bool) {
        let (store, aside) = (self.place.path().join("store"), self.place.path().join("aside"));
        if away {
            fs::rename(&store, aside).unwrap();
            fs::write(&store, "no folder").unwrap();
        } else {
            fs::remove_file(&store).unwrap();
            fs::rename(aside, store).unwrap();
        }
    }

    /// What the archive says of its only chain.
    fn verified(&self) -> (bool, Vec<Value>) {
        let store = format!("file://{}", self.place.path().join("store").display());
        let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["archive", "verify", &store, "--output", "json"])
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// All transactions of the archive's only chain.
    fn archived(&self) -> Vec<Zxid> {
        let (store, to) =
            (format!("file://{}", self.place.path().join("store").display()), self.place.path().join("to"));
        let fetched = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["archive", "fetch", &store, "--to", to.to_str().unwrap()])
            .output()
            .unwrap();
        let folders = fs::read_dir(&to).unwrap_or_else(|error| panic!("{error}: {fetched:?}"));
        let mut folders = folders.map(|folder| folder.unwrap().path());
        let log =
            folders.find(|folder| folder.is_dir() && folder.extension().is_none_or(|end| end != "bases")).unwrap();
        zxids(&MemberFiles::find(&log.to_string_lossy()).unwrap())
    }
}

async fn connect(ensemble: &Ensemble) -> Client {
    let end = Instant::now() + PATIENCE;
    loop {
        let connector = Client::connector().with_session_timeout(Duration::from_mins(2));
        match connector.connect(&ensemble.address(1, 2181).to_string()).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < end, "{error}\n{}", ensemble.words()),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// What its logs have, in their order.
fn zxids(files: &MemberFiles) -> Vec<Zxid> {
    let (mut scan, mut zxids) = (files.scan(&files.logs), Vec::new());
    while let Some(item) = scan.next(&mut |_| ()).unwrap() {
        if let ScanItem::Record(record) = item {
            zxids.push(record.header.zxid);
        }
    }
    zxids
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn logs_stay_while_the_store_is_away_and_go_once_it_has_them_and_the_server_starts_from_what_is_left() {
    let mut scene = Scene::of(Ensemble::new(
        "3.9.5",
        51,
        "maxSessionTimeout=120000\nautopurge.purgeInterval=0\nsnapCount=20\npreAllocSize=64",
    ))
    .await;
    scene.write(200, 10).await;
    scene.settles().await;

    scene.away(true);
    let last = scene.says().last.unwrap();
    scene.write(300, 10).await;
    scene.until("it is said", || scene.says().reason == ArchiveReason::TargetUnreachable).await;
    scene.until("who ships nothing purges", || scene.at_the_floor(2)).await;
    // A few more rounds.
    sleep(Duration::from_secs(5)).await;
    let left = zxids(&scene.files(1));
    let wanted: Vec<_> = (last.0 + 1..=scene.last_logged().0).map(Zxid).collect();
    assert!(wanted.len() >= 300 && left.ends_with(&wanted), "{last}: {left:?}");
    let said = scene.says();
    assert!(said.given_up.is_none() && said.unarchived.is_some_and(|bytes| bytes > 0), "{said:?}");

    scene.away(false);
    scene.settles().await;
    let (sound, lines) = scene.verified();
    assert!(sound, "{lines:?}");
    let archived = scene.archived();
    assert!(archived.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "the archive has no gap");

    let last = scene.last_logged();
    scene.ensemble.stop(1);
    scene.ensemble.start(1);
    let member = Arc::clone(&scene.agents[0].member);
    let end = Instant::now() + PATIENCE;
    loop {
        match member.server(Duration::ZERO).await {
            ServerState::Serving(serving) if serving.zxid >= last => break,
            other => assert!(Instant::now() < end, "{other:?}\n{}", scene.ensemble.words()),
        }
        sleep(Duration::from_millis(200)).await;
    }
    let client = connect(&scene.ensemble).await;
    assert_eq!(client.get_data("/a").await.unwrap().0, [7; 10]);
}

/// A small volume of its own, as long as this lives.
struct Mount(TempDir);

impl Mount {
    /// `None` where nobody may mount.
    fn of(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", path]).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn on_a_volume_that_fills_while_the_store_is_away_the_server_goes_on_and_what_is_in_no_archive_is_named() {
    let Some(mount) = Mount::of("64m") else {
        println!("left out: only root may mount a small volume");
        return;
    };
    let ensemble = Ensemble::new(
        "3.9.5",
        52,
        "maxSessionTimeout=120000\nautopurge.purgeInterval=0\nsnapCount=500\npreAllocSize=64",
    );
    std::os::unix::fs::symlink(mount.0.path(), ensemble.data(1).join("version-2")).unwrap();
    let scene = Scene::of(ensemble).await;
    scene.until("it ships", || scene.says().last.is_some()).await;
    scene.away(true);
    // Twice the size of the volume.
    scene.write(13_000, 10_000).await;
    scene.until("it is said", || scene.says().given_up.is_some()).await;
    assert!(scene.says().reason != ArchiveReason::Shipping, "{:?}", scene.says());
    scene.away(false);
    scene.until("the rest is archived", || scene.says().last == Some(scene.last_logged())).await;

    let GivenUp { first, last } = scene.says().given_up.unwrap();
    let archived = scene.archived();
    let lost: Vec<_> = archived.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1).collect();
    assert_eq!(lost, [[Zxid(first.0 - 1), Zxid(last.0 + 1)]], "what is given up, and nothing else");
    assert!(last.0 - first.0 > 3000 && archived.last() == Some(&scene.last_logged()));
    println!("given up {first} to {last} of {}", scene.last_logged());
}
