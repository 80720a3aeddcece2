//! Limits of a quota come back into a running ensemble, and its servers count, enforce them and start with them (`docs/restore.md`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use menagerie::model::acl::RootAcl;
use menagerie::restore::limits::QuotaLimits;
use menagerie::restore::operation::Operation;
use menagerie::restore::quota::Seen;
use menagerie::restore::znodes::{Failure, Znodes as _};
use menagerie::zk::ensemble::{Ensemble, Password};
use menagerie::zk::guard::Walk;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Error as ZkError, Permission};
use zookeeper_files::ids::Zxid;

use crate::restore::{PASSWORD, Scene, ended};

const NODE: &str = "/zookeeper/quota/app";
const LIMITS: &str = "/zookeeper/quota/app/zookeeper_limits";
const STATS: &str = "/zookeeper/quota/app/zookeeper_stats";

const SET_NULL: &str = r#"
    import org.apache.zookeeper.ZooKeeper;

    class SetNull {
        public static void main(String[] words) throws Exception {
            try (ZooKeeper zk = new ZooKeeper(words[0], 20000, event -> {})) {
                zk.addAuthInfo("digest", ("super:" + words[2]).getBytes());
                zk.setData(words[1], null, -1);
            }
        }
    }
"#;
/// No limits, and statistics as of nothing.
const NONE: &str = "count=-1,bytes=-1";

impl Scene {
    /// ZooKeeper's own command line, as super user.
    fn cli(&self, words: &str) -> String {
        let mut cli = Command::new("java");
        cli.args(["-cp", &self.ensemble.classpath(1), "org.apache.zookeeper.ZooKeeperMain", "-server"]);
        cli.arg(self.ensemble.address(1, 2181).to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cli = cli.stderr(Stdio::piped()).spawn().unwrap();
        let script = format!("addauth digest super:{PASSWORD}\n{words}\nquit\n");
        cli.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = cli.wait_with_output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// A plan from the server's own files, and what came of it.
    fn back(&self, point: &str, more: &[&str]) -> (String, String) {
        let _was_there = std::fs::remove_file(self.file());
        let (data, file) = (self.ensemble.data(1), self.file());
        let words = ["plan", data.to_str().unwrap(), "--at", point, "--path", "/app", "--save", file.to_str().unwrap()];
        let planned = ended(&self.command(&[&words[..], more].concat()).output().unwrap(), 0);
        (planned, self.apply())
    }

    /// Sets no data at all, which our client cannot send.
    fn set_null(&self, path: &str) {
        let source = self.file().with_file_name("SetNull.java");
        std::fs::write(&source, SET_NULL).unwrap();
        let mut java = Command::new("java");
        java.args(["-cp", &self.ensemble.classpath(1)]).arg(&source);
        java.args([&self.ensemble.address(1, 2181).to_string(), path, PASSWORD]);
        assert!(java.stdout(Stdio::null()).status().unwrap().success(), "{path}");
    }

    /// That server loads what the leader has in memory, as one that was away for long.
    async fn load_snapshot(&mut self, id: u8) {
        self.ensemble.stop(id);
        std::fs::remove_dir_all(self.ensemble.data(id).join("version-2")).unwrap();
        self.ensemble.start(id);
        self.serves(id).await;
    }

    fn leads(&self, id: u8) -> bool {
        let mut server = TcpStream::connect(self.ensemble.address(id, 2181)).unwrap();
        server.write_all(b"srvr").unwrap();
        let mut said = String::new();
        server.read_to_string(&mut said).unwrap();
        said.contains("Mode: leader")
    }

    /// Waits until that server takes sessions.
    async fn serves(&self, id: u8) {
        let end = tokio::time::Instant::now() + Duration::from_mins(2);
        let connector = || Client::connector().with_session_timeout(Duration::from_secs(20));
        while connector().connect(&self.ensemble.address(id, 2181).to_string()).await.is_err() {
            assert!(tokio::time::Instant::now() < end, "{}", self.ensemble.words());
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Waits until each server has ended by what it could not do.
    async fn all_end(&self) {
        let end = tokio::time::Instant::now() + Duration::from_mins(2);
        for id in 1..=3 {
            let out = self.ensemble.data(id).join("out");
            while !std::fs::read_to_string(&out).unwrap().contains("Severe unrecoverable error, from thread") {
                assert!(tokio::time::Instant::now() < end, "{id}: {}", self.ensemble.words());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    fn apply(&self) -> String {
        ended(&self.command(&["apply", self.file().to_str().unwrap()]).output().unwrap(), 0)
    }

    /// Limits with the version that was seen, which somebody has made anew, are neither set nor counted.
    async fn of_others(&self) {
        let (session, path, limits) = (self.session(), NODE.to_owned(), QuotaLimits::default());
        session.refresh().await.unwrap();
        let stat = self.app.check_stat(LIMITS).await.unwrap().unwrap();
        let [czxid, mzxid] = [stat.czxid, stat.mzxid].map(|zxid| Zxid(zxid.cast_unsigned()));
        for (czxid, mzxid) in [(Zxid(czxid.0 - 1), mzxid), (czxid, Zxid(mzxid.0 - 1))] {
            let seen = Seen { version: stat.version, czxid, mzxid };
            let set = Operation::SetQuota { path: path.clone(), seen, from: None, limits, counts: true };
            for operation in [set, Operation::CountQuota { path: path.clone(), seen }] {
                let answer = session.perform(&operation, b"").await;
                assert!(matches!(answer, Err(Failure::Changed(_))), "{operation}: {answer:?}");
            }
        }
        assert_eq!(self.app.check_stat(LIMITS).await.unwrap().unwrap().mzxid, stat.mzxid);
        assert_eq!(self.app.check_stat(STATS).await.unwrap(), None);
    }

    async fn create_app(&self, names: &[&str]) {
        let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for name in names {
            self.create(&format!("/app{name}"), "12345", &open).await;
        }
    }

    /// What each server has counted.
    async fn counted(&self, stats: &str) {
        for id in 1..=3 {
            assert_eq!(self.counted_by(id).await, stats, "server {id}");
        }
    }

    async fn counted_by(&self, id: u8) -> String {
        let client = Client::connect(&self.ensemble.address(id, 2181).to_string()).await.unwrap();
        client.sync("/").await.unwrap();
        String::from_utf8_lossy(&client.get_data(STATS).await.unwrap().0).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn limits_that_were_set_and_removed_come_back_are_counted_and_enforced_and_servers_start_with_them_3_9_5() {
    come_back("3.9.5", 63).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn limits_that_were_set_and_removed_come_back_are_counted_and_enforced_and_servers_start_with_them_3_8_5() {
    come_back("3.8.5", 64).await;
}

async fn come_back(version: &str, net: u8) {
    let mut scene = Scene::new(version, net, "enforceQuota=true").await;
    let read_only = vec![Acl::new(Permission::READ, AuthId::anyone())];
    scene.create_app(&["", "/a", "/b"]).await;
    // As the operator guards it.
    scene.cli("setAcl /zookeeper/quota world:anyone:r");
    let told = scene.cli("setquota -N 5 /app\nsetAcl -R /zookeeper/quota world:anyone:r");
    assert_eq!(scene.app.get_acl(LIMITS).await.unwrap().0, read_only, "{told}");
    scene.counted("count=3,bytes=15").await;
    let stat = scene.app.set_data("/app/a", b"12345", None).await.unwrap();
    let point = format!("{:#x}", stat.mzxid);

    // A script deletes the subtree: its quota stays. Another one takes that too.
    for name in ["/a", "/b", ""] {
        scene.app.delete(&format!("/app{name}"), None).await.unwrap();
    }
    let limits = String::from_utf8(scene.app.get_data(LIMITS).await.unwrap().0).unwrap();
    scene.cli(&format!("delete {LIMITS}\ndelete {STATS}\ndelete {NODE}"));
    assert!(matches!(scene.app.get_data(NODE).await, Err(ZkError::NoNode)));

    // Unless it is asked for, it is told and stays away.
    let (planned, done) = scene.back(&point, &[]);
    assert!(planned.contains("note /app: its quota was 5 znodes, and there is none now"), "{planned}");
    assert!(done.contains("done, 3 changes in this run"), "{done}");
    assert!(matches!(scene.app.get_data(NODE).await, Err(ZkError::NoNode)));
    let (planned, done) = scene.back(&point, &["--quotas"]);
    for words in ["create the quota of /app: 5 znodes", "3 equal", "1 quotas to set"] {
        assert!(planned.contains(words), "{words}\n{planned}");
    }
    assert!(done.contains("done, 1 changes in this run"), "{done}");
    assert!(scene.apply().contains("done, 0 changes in this run"));
    for path in [NODE, LIMITS, STATS] {
        assert_eq!(scene.app.get_acl(path).await.unwrap().0, read_only, "{path}");
    }
    let now = String::from_utf8(scene.app.get_data(LIMITS).await.unwrap().0).unwrap();
    assert!(now.contains("countHardLimit=5") && limits.contains("countHardLimit=5"), "{limits}, {now}");
    scene.counted("count=3,bytes=15").await;
    let listed = scene.cli("listquota /app");
    assert!(listed.contains("countHardLimit=5") && listed.contains("count=3,bytes=15"), "{listed}");

    // They are enforced. What the tool itself makes of them, is equal.
    scene.create_app(&["/c", "/d"]).await;
    // The leader decides by what it has counted itself, and may apply a change after the follower that answered.
    scene.counted("count=5,bytes=25").await;
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let refused = scene.app.create("/app/e", b"", &open).await;
    assert!(matches!(refused, Err(ZkError::QuotaExceeded)), "{refused:?}");
    let told = scene.cli("setquota -N 100 /app");
    let (planned, _) = scene.back(&point, &["--quotas"]);
    assert!(planned.contains("skip /zookeeper/quota/app  exists and differs: kept"), "{told}{planned}");
    let (planned, done) = scene.back(&point, &["--quotas", "--existing", "overwrite"]);
    assert!(planned.contains("set the quota of /app from 100 znodes to 5 znodes (version "), "{planned}");
    assert!(done.contains("done, 1 changes in this run"), "{done}");
    let told = scene.cli("setquota -N 5 /app");
    let (planned, _) = scene.back(&point, &["--quotas", "--existing", "overwrite"]);
    assert!(planned.contains("0 skipped") && !planned.contains("quotas to set"), "{told}{planned}");
    // The tool refuses a nested one; so does a restore, which finds one in the way.
    let told = scene.cli("setquota -N 3 /app/a");
    assert!(told.contains("has a parent") || told.contains("already"), "{told}");
    // Statistics that were left without limits are no obstacle.
    scene.cli(&format!("delete {LIMITS}"));
    scene.back(&point, &["--quotas"]);
    scene.counted("count=5,bytes=25").await;
    // Limits without statistics enforce nothing, until those are made: alone, or with the limits that there were.
    let (limits, words) = match version {
        "3.9.5" => (String::new(), "let servers count for the quota of /app"),
        _ => (format!("\nset {LIMITS} countHardLimit=100"), "from 100 znodes to 5 znodes, and let servers count"),
    };
    scene.cli(&format!("delete {STATS}{limits}"));
    scene.create_app(&["/e"]).await;
    scene.app.delete("/app/e", None).await.unwrap();
    scene.of_others().await;
    let (planned, done) = scene.back(&point, &["--quotas", "--existing", "overwrite"]);
    assert!(planned.contains(words), "{planned}");
    assert!(done.contains("done, 1 changes in this run"), "{done}");
    assert_eq!(scene.app.get_acl(STATS).await.unwrap().0, read_only);
    scene.counted("count=5,bytes=25").await;
    let refused = scene.app.create("/app/e", b"", &open).await;
    assert!(matches!(refused, Err(ZkError::QuotaExceeded)), "{refused:?}");

    // All servers start again: on their logs, and count anew.
    for id in 1..=3 {
        scene.ensemble.stop(id);
    }
    for id in 1..=3 {
        scene.ensemble.start(id);
    }
    scene.serves(2).await;
    scene.counted("count=5,bytes=25").await;
    let again = Client::connect(&scene.ensemble.address(3, 2181).to_string()).await.unwrap();
    let refused = again.create("/app/e", b"", &open).await;
    assert!(matches!(refused, Err(ZkError::QuotaExceeded)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn nothing_is_changed_below_a_quota_whose_statistics_would_end_every_server_3_9_5() {
    unreadable_statistics("3.9.5", 65).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn long_nothing_is_changed_below_a_quota_whose_statistics_would_end_every_server_3_8_5() {
    unreadable_statistics("3.8.5", 66).await;
}

async fn unreadable_statistics(version: &str, net: u8) {
    let mut scene = Scene::new(version, net, "").await;
    scene.create_app(&["", "/a", "/b"]).await;
    let stat = scene.app.set_data("/app/a", b"12345", None).await.unwrap();
    let point = format!("{:#x}", stat.mzxid);
    scene.cli("setquota -n 100 /app");
    let why = "skip /app/a  it counts for the quota of /app, whose statistics a client has set, or no server can read";
    let anew = [format!("delete {STATS}"), format!("create {STATS} \"\" world:anyone:r")];
    for null in [false, true] {
        scene.app.delete("/app/a", None).await.unwrap();
        if null {
            scene.set_null(STATS);
            assert_eq!(scene.app.get_data(STATS).await.unwrap().0, b"");
        } else {
            scene.app.set_data(STATS, b"x", None).await.unwrap();
        }
        let (planned, done) = scene.back(&point, &[]);
        assert!(planned.contains(why) && anew.iter().all(|words| planned.contains(words)), "{planned}");
        assert!(done.contains("done, 0 changes in this run; 1 znodes skipped"), "{done}");
        // Each server counts at once, whatever a client gives.
        let given = if null { "\"\"" } else { "x" };
        let told = scene.cli(&anew.join("\n").replace("\"\"", given));
        assert_eq!(scene.counted_by(1).await, "count=2,bytes=10", "{told}");
        scene.counted("count=2,bytes=10").await;
        let (planned, done) = scene.back(&point, &[]);
        assert!(planned.contains("create /app/a") && done.contains("done, 1 changes in this run"), "{planned}{done}");
        scene.app.check_stat("/app/a").await.unwrap().unwrap();
    }
    // A server that loads a snapshot counts anew, and the others still have what was set: to look at one alone is not enough.
    scene.app.delete("/app/a", None).await.unwrap();
    let admin = Client::connector().with_auth("digest", format!("super:{PASSWORD}").as_bytes());
    let admin = admin.connect(&scene.ensemble.address(1, 2181).to_string()).await.unwrap();
    admin.set_data(STATS, b"x", None).await.unwrap();
    let away = if scene.leads(3) { 2 } else { 3 };
    scene.load_snapshot(away).await;
    assert_eq!([scene.counted_by(away).await, scene.counted_by(1).await], ["count=2,bytes=10", "x"]);
    let data = scene.ensemble.data(1);
    let words = ["plan", data.to_str().unwrap(), "--at", &point, "--path", "/app"];
    let planned = Scene::command_to(&scene.ensemble.address(away, 2181).to_string(), &words).output().unwrap();
    let planned = ended(&planned, 0);
    assert!(planned.contains(why) && !planned.contains("create /app/a"), "{planned}");
    // What the guard finds before it closes the door, it resets.
    scene.set_null(LIMITS);
    let server = [scene.ensemble.address(away, 2181).ip().to_string()];
    let guard = Ensemble::connect(&server, &Password::of(PASSWORD).unwrap()).await.unwrap();
    let mut walk = Walk::default();
    let root = RootAcl::Narrow { ours: Vec::new() };
    let walked = loop {
        if let Some(walked) = guard.guard(&root, &mut walk).await.unwrap() {
            break walked;
        }
    };
    assert_eq!(walked.mended, 2);
    scene.counted("count=2,bytes=10").await;
    scene.create_app(&["/c"]).await;
    // That is what it would have come to.
    scene.set_null(STATS);
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let ended = tokio::time::timeout(Duration::from_mins(1), scene.app.create("/app/end", b"", &open)).await;
    assert!(!matches!(ended, Ok(Ok(_))), "{ended:?}");
    scene.all_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn limits_that_no_server_can_read_refuse_each_create_and_set_where_they_are_enforced_3_9_5() {
    unreadable_limits("3.9.5", 67).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn long_limits_that_no_server_can_read_refuse_each_create_and_set_where_they_are_enforced_3_8_5() {
    unreadable_limits("3.8.5", 68).await;
}

async fn unreadable_limits(version: &str, net: u8) {
    let scene = Scene::new(version, net, "enforceQuota=true").await;
    scene.create_app(&["", "/a", "/b", "/c"]).await;
    let stat = scene.app.set_data("/app/a", b"12345", None).await.unwrap();
    let point = format!("{:#x}", stat.mzxid);
    scene.cli("setquota -n 100 /app");
    for null in [false, true] {
        scene.app.delete("/app/a", None).await.unwrap();
        if null {
            scene.set_null(LIMITS);
        } else {
            scene.app.set_data(LIMITS, b"x", None).await.unwrap();
        }
        // What is deleted is not looked at.
        scene.app.delete("/app/c", None).await.unwrap();
        let same = scene.app.set_data("/app/b", b"54321", None).await;
        assert!(matches!(same, Err(ZkError::MarshallingError)), "{same:?}");
        let (data, file) = (scene.ensemble.data(1), scene.file());
        let _was_there = std::fs::remove_file(&file);
        let words =
            ["plan", data.to_str().unwrap(), "--at", &point, "--path", "/app", "--save", file.to_str().unwrap()];
        let planned = ended(&scene.command(&words).output().unwrap(), 0);
        assert!(planned.contains("note /app: no server can read the limits of its quota"), "{planned}");
        let refused = scene.command(&["apply", file.to_str().unwrap()]).output().unwrap();
        let refused = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.contains("set its zookeeper_limits first"), "{refused}");
        scene.app.set_data(LIMITS, NONE.as_bytes(), None).await.unwrap();
        let (planned, done) = scene.back(&point, &[]);
        assert!(!planned.contains("no server can read") && done.contains("done, 2 changes"), "{planned}{done}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn a_delete_that_servers_take_for_that_of_limits_is_not_planned_3_9_5() {
    let scene = Scene::new("3.9.5", 69, "").await;
    scene.create_app(&[""]).await;
    let point = scene.app.create("/trap", b"", &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.unwrap();
    let trap = "/zookeeper-a/zookeeper_limits";
    for path in ["/zookeeper-a", trap, "/zookeeper-a/b"] {
        scene.create(path, "", &CreateMode::Persistent.with_acls(Acls::anyone_all())).await;
    }
    let (data, file, at) = (scene.ensemble.data(1), scene.file(), format!("{:#x}", point.0.czxid));
    let words = ["plan", data.to_str().unwrap(), "--at", &at, "--path", "/", "--save", file.to_str().unwrap()];
    let words = [&words[..], &["--existing", "overwrite", "--delete-extra"]].concat();
    let planned = ended(&scene.command(&words).output().unwrap(), 0);
    assert!(
        planned.contains("delete /zookeeper-a/b") && planned.contains(&format!("skip {trap}  whoever deletes it")),
        "{planned}"
    );
    assert!(scene.apply().contains("done, 1 changes in this run"));
    assert!(scene.app.check_stat(trap).await.unwrap().is_some());
    let deleted = tokio::time::timeout(Duration::from_mins(1), scene.app.delete(trap, None)).await;
    assert!(!matches!(deleted, Ok(Ok(()))), "{deleted:?}");
    scene.all_end().await;
}
