//! Three servers with an agent beside each, on addresses of their own below 127.0.0.0/8.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use menagerie::agent::member::Member;
use menagerie::agent::motion;
use menagerie::agent::queue::Queue;
use menagerie::agent::routes::router;
use menagerie::agent::seed::Mounts;
use menagerie::agent::truth::Ports;
use menagerie::agent::volume::Volume;
use menagerie::http::{self, HttpError};
use menagerie::model::layout::MEMBER_PATH;
use menagerie::model::truth::{Mode, ServerState};
use menagerie::model::{ConfigVersion, MemberTruth, ServerId};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// However slow the machine is.
pub const PATIENCE: Duration = Duration::from_mins(4);

pub struct Ensemble {
    folder: TempDir,
    jars: PathBuf,
    net: u8,
    settings: String,
    init_limit: u64,
    /// Flags of their JVMs.
    pub jvm: Vec<String>,
    servers: Vec<Option<Child>>,
}

/// Little memory, and soon up.
const JVM: [&str; 3] = ["-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

impl Ensemble {
    /// Of that release, with these lines in every `zoo.cfg`. Nothing runs yet.
    pub fn new(version: &str, net: u8, settings: &str) -> Self {
        Self::that_wait(version, net, settings, 60)
    }

    /// The same, whose leader and followers wait so many seconds for each other's first sync. A first election that goes wrong
    /// lasts as long: a leader without followers looks around again only then (seen once, with 20 minutes).
    pub fn that_wait(version: &str, net: u8, settings: &str, seconds: u64) -> Self {
        let jars =
            std::env::var("MENAGERIE_SERVERS").expect("run this through `dev/test servers`, which names the jars");
        let jars = Path::new(&jars).join(version);
        assert!(jars.is_dir(), "no jars in {}", jars.display());
        let folder = tempfile::tempdir().unwrap();
        let servers = (0..3).map(|_| None).collect();
        let (settings, jvm) = (settings.to_owned(), JVM.map(str::to_owned).into());
        let ensemble = Self { folder, jars, net, settings, init_limit: seconds * 4, jvm, servers };
        for id in 1..=3 {
            let conf = ensemble.data(id).join("conf");
            fs::create_dir_all(&conf).unwrap();
            fs::write(ensemble.data(id).join("myid"), id.to_string()).unwrap();
            fs::write(ensemble.data(id).join("initialize"), "").unwrap();
            fs::write(conf.join("logback.xml"), LOGBACK).unwrap();
            ensemble.configure(id, "reconfigEnabled=true");
            ensemble.list(id, ConfigVersion(0), |peer| ensemble.address(peer, 2888));
        }
        ensemble
    }

    pub fn data(&self, id: u8) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    pub fn address(&self, id: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([127, 77, self.net, id], port))
    }

    /// Where one member finds the others' quorum ports, in a list of this version.
    pub fn list(&self, id: u8, version: ConfigVersion, quorum: impl Fn(u8) -> SocketAddr) {
        let lines = (1..=3).map(|peer| {
            let client = self.address(peer, 2181);
            format!("server.{peer}={}:3888:participant;{client}\n", quorum(peer))
        });
        let conf = self.data(id).join("conf");
        fs::write(conf.join(format!("zoo.cfg.dynamic.{version}")), lines.collect::<String>()).unwrap();
        let zoo_cfg = fs::read_to_string(conf.join("zoo.cfg")).unwrap();
        let named = zoo_cfg.replace("zoo.cfg.dynamic.0", &format!("zoo.cfg.dynamic.{version}"));
        fs::write(conf.join("zoo.cfg"), named).unwrap();
    }

    pub fn configure(&self, id: u8, more: &str) {
        let data = self.data(id);
        let text = format!(
            "dataDir={0}\ntickTime=250\ninitLimit={3}\nsyncLimit=20\nstandaloneEnabled=false\ndb.autocreate=false\n\
             admin.serverAddress={1}\nadmin.serverPort=8080\nmetricsProvider.httpHost={1}\n{2}\n{more}\n\
             dynamicConfigFile={0}/conf/zoo.cfg.dynamic.0\n",
            data.display(),
            self.address(id, 0).ip(),
            self.settings,
            self.init_limit,
        );
        fs::write(data.join("conf/zoo.cfg"), text).unwrap();
    }

    pub fn start(&mut self, id: u8) {
        let data = self.data(id);
        let out = File::create(data.join("out")).unwrap();
        let child = Command::new("java")
            .args(&self.jvm)
            .args(["-cp", &self.classpath(id)])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(data.join("conf/zoo.cfg"))
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        self.servers[usize::from(id) - 1] = Some(child);
    }

    /// What a JVM of that member loads.
    pub fn classpath(&self, id: u8) -> String {
        format!("{}/*:{}", self.jars.display(), self.data(id).join("conf").display())
    }

    pub fn stop(&mut self, id: u8) {
        if let Some(mut child) = self.servers[usize::from(id) - 1].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether its process is over.
    pub fn ended(&mut self, id: u8) -> bool {
        self.servers[usize::from(id) - 1].as_mut().is_none_or(|server| server.try_wait().unwrap().is_some())
    }

    pub fn signal(&self, id: u8, signal: &str) {
        let pid = self.servers[usize::from(id) - 1].as_ref().unwrap().id();
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    }

    /// What the operator gives a member beside its configuration: who the ensemble is, and the super user's password.
    pub fn knows(&self, id: u8, password: &str) {
        let mark = format!(r#"{{"identity":"one","ensemble":"zk","id":{id}}}"#);
        fs::write(self.data(id).join("menagerie.json"), mark).unwrap();
        fs::create_dir(self.secret(id)).unwrap();
        fs::write(self.secret(id).join("password"), password).unwrap();
    }

    fn secret(&self, id: u8) -> PathBuf {
        self.data(id).join("super")
    }

    /// An agent beside that server; the URL at which it answers.
    pub async fn agent(&self, id: u8, quorum: u16) -> String {
        let ports = Ports {
            admin: format!("http://{}", self.address(id, 8080)),
            client: self.address(id, 2181).to_string(),
            quorum,
        };
        let volume = Volume::at(&self.data(id));
        let mounts =
            self.secret(id).exists().then(|| Mounts { seed: self.data(id).join("seed"), secret: self.secret(id) });
        let member = Arc::new(Member::new(ServerId(id.into()), ports, volume.clone(), mounts));
        let listener = TcpListener::bind(self.address(id, 8079)).await.unwrap();
        tokio::spawn(motion::watch(Arc::clone(&member), Queue::to(volume), Duration::from_secs(1)));
        tokio::spawn(menagerie::serve::serve(listener, router(member)));
        format!("http://{}", self.address(id, 8079))
    }

    /// Whether any server has said that.
    pub fn says(&self, words: &str) -> bool {
        let said = |id: u8| fs::read_to_string(self.data(id).join("out")).is_ok_and(|text| text.contains(words));
        (1..=3).any(said)
    }

    /// What all servers said last, for a failure.
    pub fn words(&self) -> String {
        let mut words = String::new();
        for id in 1..=3 {
            let text = fs::read_to_string(self.data(id).join("out")).unwrap_or_default();
            let lines: Vec<_> = text.lines().filter(|line| !line.contains(" Commands - ")).collect();
            let _ = writeln!(words, "server {id}:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        words
    }

    /// Waits until an agent tells what is waited for.
    pub async fn until(&self, agent: &str, what: &str, is: impl Fn(&MemberTruth) -> bool) -> MemberTruth {
        let begun = Instant::now();
        let end = begun + PATIENCE;
        loop {
            let truth = truth(agent).await;
            match truth {
                Some(truth) if is(&truth) => {
                    println!("{what}: after {:?}", begun.elapsed());
                    return truth;
                }
                _ => assert!(Instant::now() < end, "{what}: {truth:?}\n{}", self.words()),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for id in 1..=3 {
            self.stop(id);
        }
    }
}

/// On a machine that is busy with something else, a disk may not answer in its time, and there is no truth.
pub async fn truth(agent: &str) -> Option<MemberTruth> {
    match http::get_json(&format!("{agent}{MEMBER_PATH}"), Duration::from_secs(10)).await {
        Ok(truth) => Some(truth),
        Err(HttpError::Status { status: 503, .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

pub fn serves(truth: &MemberTruth) -> bool {
    matches!(truth.server, ServerState::Serving(_))
}

pub fn leads(truth: &MemberTruth) -> bool {
    matches!(&truth.server, ServerState::Serving(serving) if serving.mode == Mode::Leader && serving.synced_voters.is_some())
}

const LOGBACK: &str = r#"<configuration>
  <appender name="C" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d %p %c{1} - %m%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="C"/></root>
</configuration>"#;
