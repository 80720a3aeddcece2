//! Znodes that were deleted by mistake come back into a running ensemble, from a server's own logs (`docs/restore.md`).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use menagerie::restore::acl::{Acl, Entry};
use menagerie::restore::apply::{ChangedSincePlan, Progress, apply};
use menagerie::restore::hash::Digest;
use menagerie::restore::live::Live;
use menagerie::restore::operation::Kind;
use menagerie::restore::options::{Access, Existing, Options};
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::PlanFile;
use menagerie::restore::reader::read;
use menagerie::restore::reason::Note;
use menagerie::restore::scope::{Scope, Top};
use menagerie::restore::wanted::{Limits, Wanted, WantedZnode};
use menagerie::zk::ensemble::Password;
use menagerie::zk::znodes::Session;
use sha1::{Digest as _, Sha1};
use zookeeper_client::{Acls, Client, CreateMode, Error as ZkError};
use zookeeper_files::disk::{MemberFiles, Point, rebuild};
use zookeeper_files::ids::Zxid;
use zookeeper_files::snapshot::Owner;

use crate::ensemble::{Ensemble, serves};

pub const PASSWORD: &str = "restore";
const MANY: usize = 1000;
const HOUR: Duration = Duration::from_hours(1);

pub fn settings(more: &str) -> String {
    let hash = STANDARD.encode(Sha1::digest(format!("super:{PASSWORD}")));
    format!("DigestAuthenticationProvider.superDigest=super:{hash}\n{more}")
}

pub struct Scene {
    pub ensemble: Ensemble,
    pub app: Client,
    files: tempfile::TempDir,
}

impl Scene {
    pub async fn new(version: &str, net: u8, more: &str) -> Self {
        let mut ensemble = Ensemble::new(version, net, &settings(more));
        for id in 1..=3 {
            ensemble.start(id);
        }
        for id in 1..=3 {
            let agent = ensemble.agent(id, 2888).await;
            ensemble.until(&agent, "it serves", serves).await;
        }
        let connector =
            Client::connector().with_session_timeout(Duration::from_secs(20)).with_auth("digest", b"app:secret");
        let app = connector.connect(&ensemble.address(1, 2181).to_string()).await.unwrap();
        Self { ensemble, app, files: tempfile::tempdir().unwrap() }
    }

    fn servers(&self) -> Vec<String> {
        (1..=3).map(|id| self.ensemble.address(id, 2181).to_string()).collect()
    }

    pub fn session(&self) -> Session {
        Session::with(&self.servers(), Password::of(PASSWORD))
    }

    async fn live(&self) -> Live {
        read(&self.session(), &scope(), Limits::default(), &mut |_| ()).await.unwrap()
    }

    pub fn file(&self) -> PathBuf {
        self.files.path().join("plan")
    }

    pub fn command(&self, words: &[&str]) -> Command {
        Self::command_to(&self.servers().join(","), words)
    }

    pub fn command_to(servers: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
        command.arg("restore").args(words).args(["--server", servers]);
        command.env("MENAGERIE_SUPER_PASSWORD", PASSWORD).stdin(Stdio::null());
        command
    }

    pub async fn create(&self, path: &str, data: &str, options: &zookeeper_client::CreateOptions<'_>) {
        self.app.create(path, data.as_bytes(), options).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// All kinds of znodes, and the zxid of the last transaction.
    async fn fill(&self) -> Zxid {
        let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let closed = CreateMode::Persistent.with_acls(Acls::creator_all());
        for path in ["/beside", "/app", "/app/items", "/app/live", "/app/queue"] {
            self.create(path, "", &open).await;
        }
        self.create("/app/secret", "s3cret", &closed).await;
        self.create("/app/secret/deep", "deeper", &closed).await;
        self.create("/app/closed", "stays", &closed).await;
        self.create("/app/acl", "same", &closed).await;
        self.create("/app/set", "good", &open).await;
        self.create("/app/ttl", "ttl", &open.clone().with_ttl(HOUR)).await;
        let container = CreateMode::Container.with_acls(Acls::anyone_all());
        for path in ["/app/full", "/app/empty"] {
            self.create(path, "", &container).await;
        }
        self.create("/app/full/one", "1", &open).await;
        for n in 0..5 {
            self.create(
                "/app/queue/n-",
                &n.to_string(),
                &CreateMode::PersistentSequential.with_acls(Acls::anyone_all()),
            )
            .await;
        }
        for n in 0..3 {
            self.create(&format!("/app/live/{n}"), "", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await;
        }
        let items = (0..MANY).map(|n| {
            let options = if n % 3 == 0 { &closed } else { &open };
            async move { self.create(&format!("/app/items/{n:04}"), &format!("item {n}"), options).await }
        });
        futures::future::join_all(items).await;
        let stat = self.app.set_data("/beside", b"now", None).await.unwrap();
        Zxid(stat.mzxid.cast_unsigned())
    }

    /// Somebody's script, in the wrong environment.
    async fn mistake(&self) {
        let gone = |path: String| async move {
            let deleted = self.app.delete(&path, None).await;
            assert!(matches!(deleted, Ok(()) | Err(ZkError::NoNode)), "{path}: {deleted:?}");
        };
        futures::future::join_all((0..MANY).map(|n| gone(format!("/app/items/{n:04}")))).await;
        for path in ["secret/deep", "secret", "ttl", "full/one", "full", "empty", "live/0", "queue/n-0000000004"] {
            gone(format!("/app/{path}")).await;
        }
        self.app.set_data("/app/set", b"bad", None).await.unwrap();
        self.app
            .set_acl(
                "/app/acl",
                &[zookeeper_client::Acl::new(zookeeper_client::Permission::ALL, zookeeper_client::AuthId::anyone())],
                None,
            )
            .await
            .unwrap();
    }

    /// Writes beside and between what is restored, until it is told to stop; how many znodes it made.
    fn others(&self, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
        let (client, stop) = (self.app.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
            let mut made = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut lost = false;
                for top in ["/beside", "/app/items"] {
                    let path = format!("{top}/other-{made}");
                    lost |= !matches!(client.create(&path, b"theirs", &open).await, Ok(_) | Err(ZkError::NodeExists));
                }
                // On a busy machine an answer can be lost: it is asked again.
                if lost {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                made += 1;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            made
        })
    }
}

fn scope() -> Scope {
    Scope::new(vec![Top { path: "/app".to_owned(), subtree: true }], None).unwrap()
}

/// What a client can see of them, but for those that the mistake's own session cannot get back.
fn seen(live: &Live) -> BTreeMap<&str, (Digest, &Acl, bool)> {
    let znodes = live.znodes.iter().filter(|(path, _)| !path.contains("/other-") && *path != "/app/live/0");
    znodes.map(|(path, znode)| (&**path, (znode.data, &znode.acl, znode.ephemeral))).collect()
}

pub fn ended(output: &Output, code: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("create /app/items/")).collect();
    let text = lines.join("\n");
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// Begins to carry out a plan, and is gone after so many changes.
async fn killed_after(session: &Session, file: &PlanFile, count: usize) -> usize {
    let done = Cell::new(0);
    let mut on_progress = |progress| {
        if let Progress::Done(answered, _) = progress {
            done.set(answered);
        }
    };
    let mut running = pin!(apply(session, file, ChangedSincePlan::Fail, Limits::default(), &mut on_progress));
    std::future::poll_fn(|context| match running.as_mut().poll(context) {
        Poll::Ready(ended) => panic!("it ended: {ended:?}"),
        Poll::Pending if done.get() >= count => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
    done.get()
}

async fn comes_back(version: &str, net: u8) {
    let scene = Scene::new(version, net, "extendedTypesEnabled=true").await;
    let point = scene.fill().await;
    let before = scene.live().await;
    assert!(before.znodes.len() > MANY, "{}", before.znodes.len());
    let stop = Arc::new(AtomicBool::new(false));
    let others = scene.others(&stop);
    scene.mistake().await;

    let (data, file) = (scene.ensemble.data(1), scene.file());
    let (data, at) = (data.to_str().unwrap(), format!("{point:#}"));
    let words =
        ["plan", data, "--at", &at, "--path", "/app", "--existing", "overwrite", "--save", file.to_str().unwrap()];
    // Without the password, what is closed cannot even be read: one sentence, and nothing is written.
    let refused = ended(&scene.command(&words).env_remove("MENAGERIE_SUPER_PASSWORD").output().unwrap(), 2);
    assert!(refused.contains("give the super user's password"), "{refused}");
    assert!(!file.exists());
    let planned = ended(&scene.command(&words).output().unwrap(), 0);
    for words in [
        "create /app/secret/deep",
        "create container /app/empty",
        "create /app/ttl with a TTL of 3600000 ms",
        "skip /app/live/0  ephemeral",
        "set /app/set (version 1)",
        "acl /app/acl to digest:app:",
        "1007 to create, 1 to set, 1 ACLs to set, 0 to delete",
    ] {
        assert!(planned.contains(words), "{words}\n{planned}");
    }

    let approved = PlanFile::read(&std::fs::read(&file).unwrap(), Limits::default()).unwrap();
    let done = killed_after(&scene.session(), &approved, 300).await;
    assert!(done < MANY, "killed in the middle: {done}");
    let apply = ["apply", file.to_str().unwrap()];
    let mut process = scene.command(&apply).stdout(Stdio::null()).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    process.kill().unwrap();
    process.wait().unwrap();
    let finished = ended(&scene.command(&apply).output().unwrap(), 0);
    println!("killed after {done}, then {finished}");
    let zxids = |live: &Live| {
        live.znodes
            .iter()
            .filter(|(path, _)| !path.contains("/other-"))
            .map(|(path, znode)| (path.clone(), znode.mzxid, znode.aversion))
            .collect::<Vec<_>>()
    };
    let after = scene.live().await;
    assert_eq!(seen(&after), seen(&before));
    let again = ended(&scene.command(&apply).output().unwrap(), 0);
    assert!(again.contains("done, 0 changes in this run"), "{again}");
    assert_eq!(zxids(&scene.live().await), zxids(&after));

    stop.store(true, Ordering::Relaxed);
    let made = others.await.unwrap();
    let after = scene.live().await;
    let theirs = after.znodes.keys().filter(|path| path.contains("/other-")).count();
    assert!(made > 0 && (made..=made + 1).contains(&theirs), "others' znodes stay: {theirs} of {made}");
    kinds(Path::new(data), &scene).await;
    moved(&scene, &apply).await;
}

/// Servers do not tell which znodes are containers or have a TTL: their logs do.
async fn kinds(data: &Path, scene: &Scene) {
    scene.app.sync("/").await.unwrap();
    let member = MemberFiles::find(data.to_str().unwrap()).unwrap();
    let tree = rebuild(&[member], Point::End, &mut |_| ()).unwrap().replay.into_tree();
    let owner = |path: &str| tree.get(path.as_bytes()).unwrap().stat().owner();
    assert_eq!(owner("/app/ttl"), Owner::Ttl(3_600_000));
    assert_eq!((owner("/app/full"), owner("/app/empty")), (Owner::Container, Owner::Container));
    assert_eq!(owner("/app/items/0000"), Owner::Persistent);
}

/// Once somebody has changed what was restored, the plan is no longer what was approved.
async fn moved(scene: &Scene, apply: &[&str]) {
    scene.app.set_data("/app/set", b"newer", None).await.unwrap();
    let stopped = ended(&scene.command(apply).output().unwrap(), 1);
    assert!(stopped.contains("would now set /app/set (version 3)"), "{stopped}");
    assert_eq!(scene.app.get_data("/app/set").await.unwrap().0, b"newer");
    let replanned = ended(&scene.command(apply).args(["--changed", "replan"]).output().unwrap(), 0);
    assert!(replanned.contains("1 changes in this run"), "{replanned}");
    assert_eq!(scene.app.get_data("/app/set").await.unwrap().0, b"good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn restored_znodes_are_what_a_client_saw_though_others_write_and_it_is_killed_3_9_5() {
    comes_back("3.9.5", 57).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn restored_znodes_are_what_a_client_saw_though_others_write_and_it_is_killed_3_8_5() {
    comes_back("3.8.5", 58).await;
}

/// A plan that makes these znodes in an ensemble that has none of them.
async fn plan_of(scene: &Scene, znodes: &[(String, Kind, usize)]) -> PlanFile {
    let znodes = znodes.iter().map(|(path, kind, bytes)| {
        let (data, acl) = (vec![b'x'; *bytes], Some(Acl::open()));
        (path.clone(), WantedZnode { kind: *kind, data, acl, czxid: Zxid(1), ctime: 1, counter: 0 })
    });
    plan_to(scene, znodes, Existing::Keep).await
}

async fn plan_to(
    scene: &Scene,
    znodes: impl IntoIterator<Item = (String, WantedZnode)>,
    existing: Existing,
) -> PlanFile {
    let znodes = znodes.into_iter().collect();
    let (left, quotas) = (BTreeMap::new(), BTreeMap::new());
    let idle_quotas = BTreeSet::new();
    let wanted = Wanted { zxid: Zxid(1), scope: scope(), znodes, own: 0, unnameable: 0, left, quotas, idle_quotas };
    let options = Options { access: Access::Super, existing, ..Options::default() };
    let planned = plan(&wanted, &scene.live().await, &options).unwrap();
    PlanFile::of(wanted, options, planned)
}

async fn applied(scene: &Scene, plan: &PlanFile) -> Result<usize, String> {
    let ended = apply(&scene.session(), plan, ChangedSincePlan::Fail, Limits::default(), &mut |_| ()).await;
    ended.map(|applied| applied.done).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn what_servers_refuse_is_said_with_its_cure_and_servers_that_go_away_are_waited_for() {
    let mut scene = Scene::new("3.9.5", 59, "enforceQuota=true").await;
    let app = |kind| ("/app".to_owned(), kind, 0);
    // Without extended types there is no TTL.
    let refused = applied(&scene, &plan_of(&scene, &[app(Kind::Ttl(1000))]).await).await.unwrap_err();
    assert!(refused.contains("extendedTypesEnabled=true"), "{refused}");
    // As much data as a request can have.
    let large = ("/app/large".to_owned(), Kind::Persistent, 1_048_575 - 200);
    assert_eq!(applied(&scene, &plan_of(&scene, &[app(Kind::Persistent), large]).await).await, Ok(2));
    // More makes the server hang up.
    let larger = ("/app/larger".to_owned(), Kind::Persistent, 1_100_000);
    let refused = applied(&scene, &plan_of(&scene, &[app(Kind::Persistent), larger]).await).await.unwrap_err();
    assert!(refused.contains("1 changes left: /app/larger") && refused.contains("jute.maxbuffer"), "{refused}");
    // With another's password we are nobody: that is said though everybody may do everything here.
    let other = Session::with(&scene.servers(), Password::of("other"));
    let refused = read(&other, &scope(), Limits::default(), &mut |_| ()).await.unwrap_err().to_string();
    assert!(refused.contains("do not take the password for the super user's"), "{refused}");

    // An ACL that closes, before its data; one that opens and closes, only where the data is as it was.
    let digest = |user: &str, rights| Entry { scheme: "digest".to_owned(), id: format!("{user}:hash="), rights };
    scene.create("/app/twice", "old", &CreateMode::Persistent.with_acls(Acls::anyone_all())).await;
    let closed = |path: &str, user: &str, data: &str| {
        let acl = Some(vec![digest(user, 31)].into());
        let (kind, data) = (Kind::Persistent, data.into());
        [(path.to_owned(), WantedZnode { kind, data, acl, czxid: Zxid(1), ctime: 1, counter: 0 })]
    };
    for (user, steps) in [("a", 2), ("b", 0)] {
        let plan = plan_to(&scene, closed("/app/twice", user, user), Existing::Overwrite).await;
        assert_eq!((plan.plan.operations.len(), applied(&scene, &plan).await), (steps, Ok(steps)));
        let live = scene.live().await;
        let now = &live.znodes["/app/twice"];
        assert_eq!((now.data, now.acl.entries()), (Digest::of(b"a"), &[digest("a", 31)][..]));
    }

    // The server that we speak to is gone, and then the leader, whichever that is.
    let many: Vec<_> =
        (0..3 * MANY).map(|n| (format!("/app/{n:04}"), Kind::Persistent, 100)).chain([app(Kind::Persistent)]).collect();
    let plan = plan_of(&scene, &many).await;
    let (session, mut answers) = (scene.session(), 0);
    let mut meddle = |progress| {
        answers += usize::from(matches!(progress, Progress::Done(..)));
        if let Some(id) =
            [(300, 1), (1000, 2), (2000, 3)].into_iter().find_map(|(at, id)| (at == answers).then_some(id))
        {
            println!("after {answers} answers, without {id}");
            scene.ensemble.stop(id);
            scene.ensemble.start(id);
        }
    };
    apply(&session, &plan, ChangedSincePlan::Fail, Limits::default(), &mut meddle).await.unwrap();
    assert!(answers >= 2000);
    let mut live = scene.live().await;
    live.znodes
        .retain(|path, znode| many.iter().any(|(wanted, ..)| wanted == path) && (path == "/app" || znode.bytes == 100));
    assert_eq!(live.znodes.len(), many.len());

    // A quota that is enforced.
    let super_user = Client::connector().with_auth("digest", format!("super:{PASSWORD}").as_bytes());
    let super_user = super_user.connect(&scene.servers().join(",")).await.unwrap();
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for (path, data) in [
        ("", ""),
        ("/zookeeper_limits", "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=10"),
        ("/zookeeper_stats", "count=0,bytes=0"),
    ] {
        super_user.create(&format!("/zookeeper/quota/app{path}"), data.as_bytes(), &open).await.unwrap();
    }
    let more = ("/app/more".to_owned(), Kind::Persistent, 1);
    let plan = plan_of(&scene, &[app(Kind::Persistent), more]).await;
    let told = plan.plan.notes.iter().find(|note| matches!(note, Note::Quota { .. })).map(ToString::to_string);
    assert!(told.as_ref().is_some_and(|told| told.contains("znodes, and its quota allows 10")), "{told:?}");
    let refused = applied(&scene, &plan).await.unwrap_err();
    assert!(refused.contains("raise the quota first"), "{refused}");
}
