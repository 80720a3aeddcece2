//! What any client can do to an ensemble that is as `ZooKeeper` made it, and to one that is guarded. Real servers on
//! loopback: `dev/test files`.
//!
//! Statistics of quotas are in nobody's digest and are believed unread: a text without a number ends the server that adds
//! to it. The client's request is in every log by then, and who replays it ends again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use menagerie::model::acl::{Acl, NARROW, RootAcl};
use menagerie::model::ids::Zxid;
use menagerie::zk::ensemble::{Ensemble, EnsembleError, Password};
use menagerie::zk::guard::{Walk, Walked};
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;
use zookeeper_client::{Acls, Client, CreateMode, Error};
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Create, Header, Lifetime, SessionId, Txn, encode_acls};
use zookeeper_files::replay::Tree;

const PATIENCE: Duration = Duration::from_mins(2);
/// How long a server that cannot read its log takes to say so, on two busy cores.
const START: Duration = Duration::from_secs(40);
const PASSWORD: &str = "secret of this test";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// Three servers, each on an address of its own.
struct Servers {
    folder: TempDir,
    jars: PathBuf,
    /// The third number of their addresses: tests run side by side.
    net: u8,
    running: Vec<Option<Child>>,
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..3).for_each(|n| self.kill(n));
    }
}

impl Servers {
    fn start(version: &str, net: u8) -> Self {
        let mut servers = Self::laid_out(version, net);
        (0..3).for_each(|n| servers.run(n));
        servers
    }

    /// Their folders and configurations; none runs.
    fn laid_out(version: &str, net: u8) -> Self {
        let jars = PathBuf::from(std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`"));
        let folder = tempfile::tempdir().unwrap();
        let servers =
            Self { folder, jars: jars.join(version), net, running: (0..3).map(|_| None::<Child>).collect::<Vec<_>>() };
        for n in 0..3 {
            let home = servers.home(n);
            fs::create_dir_all(home.join("data")).unwrap();
            fs::write(home.join("data/myid"), format!("{}", n + 1)).unwrap();
            fs::write(home.join("data/initialize"), "").unwrap();
            let list = (0..3).map(|n| {
                let address = servers.address(n);
                format!("server.{}={address}:2888:3888:participant;{address}:2181\n", n + 1)
            });
            fs::write(home.join("servers"), list.collect::<String>()).unwrap();
            let config = format!(
                "tickTime=1000\ninitLimit=30\nsyncLimit=15\nstandaloneEnabled=false\nreconfigEnabled=true\n\
                 dataDir={home}/data\ndynamicConfigFile={home}/servers\n",
                home = home.display()
            );
            fs::write(home.join("zoo.cfg"), config).unwrap();
        }
        servers
    }

    fn address(&self, n: usize) -> String {
        format!("127.18.{}.{}", self.net, n + 1)
    }

    fn home(&self, n: usize) -> PathBuf {
        self.folder.path().join((n + 1).to_string())
    }

    fn run(&mut self, n: usize) {
        let out = File::options().create(true).append(true).open(self.home(n).join("out")).unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(format!("super:{PASSWORD}")));
        let server = Command::new("java")
            .args(["-Xmx160m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.admin.enableServer=false"])
            .arg("-Dzookeeper.db.autocreate=false")
            .arg(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest=super:{hash}"))
            .args(["-cp", &format!("{}/*", self.jars.display()), "org.apache.zookeeper.server.quorum.QuorumPeerMain"])
            .arg(self.home(n).join("zoo.cfg"))
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.running[n] = Some(server);
    }

    fn kill(&mut self, n: usize) {
        if let Some(mut server) = self.running[n].take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// A session of an ordinary client.
    async fn client(&self) -> Client {
        let hosts = (0..3).map(|n| format!("{}:2181", self.address(n))).collect::<Vec<_>>().join(",");
        let started = Instant::now();
        loop {
            match Client::connect(&hosts).await {
                Ok(client) => return client,
                Err(error) => assert!(started.elapsed() < PATIENCE, "no session: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn superuser(&self) -> Ensemble {
        self.client().await;
        let addresses: Vec<String> = (0..3).map(|n| self.address(n)).collect();
        Ensemble::connect(&addresses, &Password::of(PASSWORD).unwrap()).await.unwrap()
    }

    /// Kills each server and starts it again; those that end by themselves before they serve.
    async fn that_never_start_again(&mut self) -> Vec<usize> {
        let mut dead = Vec::new();
        for n in 0..3 {
            self.kill(n);
            self.run(n);
            if self.ends(n).await {
                dead.push(n + 1);
            }
        }
        dead
    }

    /// Whether a server ends by itself before it serves.
    async fn ends(&mut self, n: usize) -> bool {
        let started = Instant::now();
        while started.elapsed() < START && Client::connect(&format!("{}:2181", self.address(n))).await.is_err() {
            if self.running[n].as_mut().unwrap().try_wait().unwrap().is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        false
    }

    fn data(&self, n: usize) -> String {
        self.home(n).join("data").to_str().unwrap().to_owned()
    }
}

/// Everything happens, one after the other, until something is refused.
async fn all(client: &Client, deeds: &[Deed<'_>]) -> Result<(), Error> {
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for deed in deeds {
        match deed {
            Deed::Make(path, data) => drop(client.create(path, data.as_bytes(), &open).await?),
            Deed::Write(path, data) => drop(client.set_data(path, data.as_bytes(), None).await?),
            Deed::Delete(path) => client.delete(path, None).await?,
            Deed::Open(path) => drop(client.set_acl(path, &Acls::anyone_all(), None).await?),
        }
    }
    Ok(())
}

enum Deed<'a> {
    Make(&'a str, &'a str),
    Write(&'a str, &'a str),
    Delete(&'a str),
    Open(&'a str),
}

/// A quota for a path of the stranger's own, with statistics that are none.
const STATISTICS: [Deed<'static>; 6] = [
    Deed::Make("/mine", ""),
    Deed::Make("/zookeeper/quota/mine", ""),
    Deed::Make("/zookeeper/quota/mine/zookeeper_limits", "count=9,bytes=-1"),
    Deed::Make("/zookeeper/quota/mine/zookeeper_stats", ""),
    Deed::Write("/zookeeper/quota/mine/zookeeper_stats", "x"),
    Deed::Make("/mine/child", ""),
];
/// Limits for no path at all.
const NOWHERE: [Deed<'static>; 1] = [Deed::Make("/zookeeper/quota/zookeeper_limits", "")];
/// Limits beside the quotas: their path is cut where it has no such length.
const BESIDE: [Deed<'static>; 2] =
    [Deed::Make("/zookeeper/zookeeper_limits", ""), Deed::Delete("/zookeeper/zookeeper_limits")];
/// The same where any client may make a znode as long as it may make one below `/`.
const ALIKE: [Deed<'static>; 3] = [
    Deed::Make("/zookeeper-x", ""),
    Deed::Make("/zookeeper-x/zookeeper_limits", ""),
    Deed::Delete("/zookeeper-x/zookeeper_limits"),
];

/// The red half: what is guarded against is there. Where this fails, `ZooKeeper` has mended it.
#[tokio::test]
#[ignore = "needs Java: dev/test files"]
async fn anybody_can_end_an_ensemble_that_is_not_guarded_so_that_a_member_never_starts_again() {
    for (net, deeds) in [(21, &STATISTICS[..]), (22, &NOWHERE), (23, &BESIDE), (24, &ALIKE)] {
        let mut servers = Servers::start("3.9.5", net);
        let client = servers.client().await;
        let ended = all(&client, deeds).await;
        assert!(matches!(ended, Err(Error::ConnectionLoss | Error::SessionExpired)), "{net}: {ended:?}");
        assert_ne!(servers.that_never_start_again().await, [0; 0], "{net}");
    }
}

/// A snapshot of a tree with these znodes besides those of every tree.
fn snapshot(paths: &[&str], folder: &str) {
    let mut tree = Tree::initial();
    for (zxid, path) in (1..).zip(paths) {
        let acl = encode_acls(&[zookeeper_files::log::Acl::new(31, "world", "anyone")]);
        let acl = zookeeper_files::log::Acls::decode(&mut Decoder::new(&acl)).unwrap();
        let (path, data, lifetime) = (Text(path.as_bytes()), Some(&b""[..]), Lifetime::Persistent);
        let create = Create { path, data, acl, lifetime, parent_cversion: Some(1), with_stat: false };
        let header = Header { session: SessionId(1), cxid: 1, zxid: Zxid(zxid), time: 1 };
        tree.apply(&header, &Txn::Create(create)).unwrap();
    }
    let folder = Path::new(folder).join("version-2");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("snapshot.{}", tree.last())), tree.write(Vec::new()).unwrap()).unwrap();
}

/// What `snapshot write` refuses to write, and what it writes.
#[tokio::test]
#[ignore = "needs Java: dev/test files"]
async fn a_snapshot_with_limits_of_no_path_ends_whoever_loads_it_and_one_with_others_does_not() {
    let quota = "/zookeeper/quota";
    let limits = format!("{quota}/zookeeper_limits");
    let below = |path: &str| format!("{path}/zookeeper_limits");
    let near =
        [format!("{limits}-x"), format!("{quota}-x"), format!("{quota}/a"), format!("{quota}/x-zookeeper_limits")];
    let fatal = [vec![limits.clone()], vec![limits.clone(), below(&limits)], vec![near[0].clone(), below(&near[0])]];
    let harmless = [
        vec![limits.clone(), format!("{limits}/x")],
        vec![near[1].clone(), below(&near[1])],
        vec![near[2].clone(), below(&near[2])],
        vec![near[3].clone()],
    ];
    for (net, paths, ends) in (30..)
        .zip(fatal.iter().map(|paths| (paths, true)).chain(harmless.iter().map(|paths| (paths, false))))
        .map(|(net, (paths, ends))| (net, paths, ends))
    {
        let mut servers = Servers::laid_out("3.9.5", net);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        // Two are enough to serve, and one alone would never.
        for n in 0..2 {
            snapshot(&paths, &servers.data(n));
            servers.run(n);
        }
        assert_eq!(servers.ends(0).await, ends, "{paths:?}");
        let written = written(&[&servers.data(0)], &servers.home(2).join("restored"), &[]);
        assert_eq!(written, i32::from(ends), "{paths:?}");
    }
}

fn written(members: &[&str], to: &Path, more: &[&str]) -> i32 {
    let command = [&["snapshot", "write"], members, &["--to", to.to_str().unwrap()], more].concat();
    Command::new(env!("CARGO_BIN_EXE_menagerie")).args(command).status().unwrap().code().unwrap()
}

/// The page's way out, for a log on which no server starts because of limits of no path.
#[tokio::test]
#[ignore = "needs Java: dev/test files"]
async fn an_ensemble_that_limits_of_no_path_ended_starts_again_from_a_snapshot_without_them() {
    let mut servers = Servers::start("3.9.5", 28);
    let client = servers.client().await;
    all(&client, &[Deed::Make("/app", "kept")]).await.unwrap();
    all(&client, &NOWHERE).await.unwrap_err();
    assert_ne!(servers.that_never_start_again().await, [0; 0]);
    (0..3).for_each(|n| servers.kill(n));
    let data: Vec<String> = (0..3).map(|n| servers.data(n)).collect();
    let members: Vec<&str> = data.iter().map(String::as_str).collect();
    let to = servers.folder.path().join("restored");
    assert_eq!(written(&members, &to, &[]), 1, "no server starts on it");
    assert_eq!(written(&members, &to, &["--without", "/zookeeper/quota/zookeeper_limits"]), 0);
    let mut files = fs::read_dir(to.join("version-2")).unwrap().map(|file| file.unwrap());
    // The members keep their own epochs.
    let snapshot = files.find(|file| file.file_name().to_string_lossy().starts_with("snapshot.")).unwrap();
    for member in &members {
        let folder = Path::new(member).join("version-2");
        for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.starts_with("log.") || name.starts_with("snapshot.") {
                fs::remove_file(&file).unwrap();
            }
        }
        fs::copy(snapshot.path(), folder.join(snapshot.file_name())).unwrap();
    }
    (0..3).for_each(|n| servers.run(n));
    assert_eq!(servers.client().await.get_data("/app").await.unwrap().0, b"kept");
    assert_eq!(servers.that_never_start_again().await, [0; 0]);
}

/// In as many parts as it takes.
async fn walk(ensemble: &Ensemble, root: &RootAcl) -> Result<Walked, EnsembleError> {
    let mut walk = Walk::default();
    loop {
        if let Some(walked) = ensemble.guard(root, &mut walk).await? {
            return Ok(walked);
        }
    }
}

#[tokio::test]
#[ignore = "needs Java: dev/test files"]
async fn a_guarded_ensemble_refuses_all_of_it_and_goes_on_counting_for_super() {
    for (net, version) in versions() {
        let mut servers = Servers::start(&version, net);
        let ensemble = servers.superuser().await;
        let walked = walk(&ensemble, &RootAcl::Narrow { ours: Vec::new() }).await.unwrap();
        assert_eq!((walked.looked, walked.changed), (2, 2), "{walked:?}");
        assert_eq!(walk(&ensemble, &RootAcl::Narrow { ours: Vec::new() }).await.unwrap().changed, 0, "once is enough");

        let client = servers.client().await;
        for deeds in [&STATISTICS[..], &NOWHERE, &BESIDE, &[Deed::Make("/zookeeper/quota2", "")]] {
            assert_eq!(all(&client, deeds).await, Err(Error::NoAuth));
        }
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            assert_eq!(all(&client, &[Deed::Open(path)]).await, Err(Error::NoAuth), "{path}");
        }
        // What clients need of the root, and quotas that super sets.
        all(&client, &[Deed::Make("/app", ""), Deed::Delete("/app"), Deed::Make("/app", "")]).await.unwrap();
        assert!(client.list_children("/").await.unwrap().contains(&"app".to_owned()));
        quota(&servers, "/app").await;
        all(&client, &[Deed::Make("/app/a", "12345"), Deed::Make("/app/b", "")]).await.unwrap();
        client.sync("/app").await.unwrap();
        let counted = client.get_data("/zookeeper/quota/app/zookeeper_stats").await.unwrap().0;
        assert_eq!(String::from_utf8_lossy(&counted), "count=3,bytes=5", "{version}");
        assert_eq!(all(&client, &[Deed::Write("/zookeeper/quota/app/zookeeper_stats", "x")]).await, Err(Error::NoAuth));
        assert_eq!(servers.that_never_start_again().await, [0; 0], "{version}");
    }
}

#[tokio::test]
#[ignore = "needs Java: dev/test files"]
async fn a_trap_that_was_laid_before_is_taken_away_and_the_roots_acl_is_as_it_is_said() {
    let mut servers = Servers::start("3.9.5", 27);
    let client = servers.client().await;
    // Many quotas of people who could set their own, and a stranger's trap that has not been walked into.
    all(&client, &STATISTICS[..5]).await.unwrap();
    all(&client, &[Deed::Write("/zookeeper/quota/mine/zookeeper_limits", "y")]).await.unwrap();
    for n in 0..300 {
        all(&client, &[Deed::Make(&format!("/zookeeper/quota/q{n}"), "")]).await.unwrap();
    }
    // Statistics that cannot be deleted.
    let stuck = "/zookeeper/quota/q0/zookeeper_stats";
    let child = format!("{stuck}/child");
    all(&client, &[Deed::Make(stuck, ""), Deed::Make(&child, ""), Deed::Write(stuck, "x")]).await.unwrap();
    let ensemble = servers.superuser().await;
    let walked = walk(&ensemble, &RootAcl::Narrow { ours: Vec::new() }).await.unwrap();
    assert_eq!((walked.looked, walked.changed, walked.mended), (307, 307, 3));
    // Made anew, and counted at once by each server; or at least what all can read.
    client.sync("/").await.unwrap();
    for (path, counted) in [("/zookeeper/quota/mine/zookeeper_stats", "count=1,bytes=0"), (stuck, "count=-1,bytes=-1")]
    {
        assert_eq!(String::from_utf8_lossy(&client.get_data(path).await.unwrap().0), counted, "{path}");
    }
    // What the guard has made anew it leaves alone from then on.
    let again = walk(&ensemble, &RootAcl::Narrow { ours: Vec::new() }).await.unwrap();
    assert_eq!((again.changed, again.mended), (0, 1));
    all(&client, &[Deed::Make("/mine/child", "")]).await.unwrap();
    assert_eq!(root(&client).await, [NARROW]);

    let closed = [Acl { scheme: "world".into(), id: "anyone".into(), perms: "r".into() }];
    walk(&ensemble, &RootAcl::Set(closed.to_vec())).await.unwrap();
    // The one that an open root leaves.
    assert_eq!(all(&client, &ALIKE).await, Err(Error::NoAuth));
    // What somebody decided stays, and what was set for the spec gives way when the spec says nothing any more.
    walk(&ensemble, &RootAcl::Narrow { ours: Vec::new() }).await.unwrap();
    assert_eq!(root(&client).await, ["world:anyone:r"]);
    walk(&ensemble, &RootAcl::Narrow { ours: vec!["world:anyone:r".into()] }).await.unwrap();
    assert_eq!(root(&client).await, [NARROW]);
    let unknown = Acl { scheme: "no-such-scheme".into(), id: "x".into(), perms: "r".into() };
    let refused = walk(&ensemble, &RootAcl::Set(vec![unknown])).await.unwrap_err();
    assert!(refused.to_string().contains("no-such-scheme:x"), "{refused}");
    assert_eq!(servers.that_never_start_again().await, [0; 0]);
}

/// As `setquota -N 9 PATH` does it as super user.
async fn quota(servers: &Servers, path: &str) {
    let addresses: Vec<String> = (0..3).map(|n| format!("{}:2181", servers.address(n))).collect();
    let admin = Client::connector().with_auth("digest", format!("super:{PASSWORD}").as_bytes());
    let admin = admin.connect(&addresses.join(",")).await.unwrap();
    let options = CreateMode::Persistent.with_acls(Acls::anyone_read());
    let quota = format!("/zookeeper/quota{path}");
    admin.create(&quota, &[], &options).await.unwrap();
    admin.create(&format!("{quota}/{LIMITS}"), b"count=9,bytes=-1", &options).await.unwrap();
    admin.create(&format!("{quota}/{STATS}"), b"count=-1,bytes=-1", &options).await.unwrap();
}

async fn root(client: &Client) -> Vec<String> {
    client.sync("/").await.unwrap();
    let (acl, _) = client.get_acl("/").await.unwrap();
    let letters = |acl: &zookeeper_client::Acl| {
        let held = acl.permission().to_string();
        let words = [("CREATE", 'c'), ("DELETE", 'd'), ("READ", 'r'), ("WRITE", 'w'), ("ADMIN", 'a')];
        words
            .iter()
            .filter(|(word, _)| held == "ALL" || held.contains(word))
            .map(|(_, letter)| *letter)
            .collect::<String>()
    };
    acl.iter().map(|acl| format!("{}:{}:{}", acl.scheme(), acl.id(), letters(acl))).collect()
}

/// The oldest and the newest release that ensembles may be of.
fn versions() -> Vec<(u8, String)> {
    let jars = std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`");
    let here = |version: &str| Path::new(&jars).join(version).join("complete").exists();
    for version in ["3.8.5", "3.9.5"] {
        assert!(here(version), "the jars of {version} are missing: dev/test files");
    }
    vec![(25, "3.8.5".to_owned()), (26, "3.9.5".to_owned())]
}
