//! What becomes of data when a setting that was used on it is taken back, and that what the operator owns keeps it
//! (`src/settings/tests/taken_back.rs` has the list).

use std::fs;
use std::time::Duration;

use menagerie::settings;
use tokio::time::{Instant, sleep};
use zookeeper_client::{Acls, Client, CreateMode};
use zookeeper_files::log::{LogItem, LogReader, Record, Txn};

use crate::ensemble::{Ensemble, leads, serves};

const DAY: Duration = Duration::from_hours(24);
const PATIENCE: Duration = Duration::from_mins(4);

/// What every `zoo.cfg` of the operator's says of these.
fn owned(names: &[&str]) -> String {
    let lines: Vec<_> = settings::owned()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(lines.len(), names.len(), "{lines:?}");
    lines.join("\n")
}

struct Setup {
    ensemble: Ensemble,
    agents: Vec<String>,
}

impl Setup {
    async fn new(version: &str, net: u8, settings: &str) -> Self {
        let mut ensemble = Ensemble::new(version, net, "");
        let mut agents = Vec::new();
        for id in 1..=3 {
            ensemble.configure(id, settings);
            ensemble.start(id);
            agents.push(ensemble.agent(id, 2888).await);
        }
        let setup = Self { ensemble, agents };
        for id in 1..=3 {
            setup.serves(id).await;
        }
        setup
    }

    async fn serves(&self, id: u8) {
        self.ensemble.until(&self.agents[usize::from(id) - 1], "it serves", serves).await;
    }

    async fn leader(&self) -> u8 {
        for (id, agent) in (1..).zip(&self.agents) {
            if leads(&self.ensemble.until(agent, "it serves", serves).await) {
                return id;
            }
        }
        panic!("nobody leads\n{}", self.ensemble.words());
    }

    fn restart(&mut self, id: u8, settings: &str) {
        self.ensemble.stop(id);
        self.ensemble.configure(id, settings);
        self.ensemble.start(id);
    }

    /// One after the other, the leader last.
    async fn roll(&mut self, settings: &str) {
        let leader = self.leader().await;
        for id in (1..=3).filter(|id| *id != leader).chain([leader]) {
            self.restart(id, settings);
            self.serves(id).await;
        }
    }

    async fn client(&self, id: u8) -> Client {
        let end = Instant::now() + PATIENCE;
        loop {
            match Client::connect(&self.ensemble.address(id, 2181).to_string()).await {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < end, "{error}\n{}", self.ensemble.words()),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Which members have it.
    async fn has(&self, path: &str) -> [bool; 3] {
        let mut there = [false; 3];
        for (id, there) in (1..).zip(&mut there) {
            *there = self.client(id).await.check_stat(path).await.unwrap().is_some();
        }
        there
    }

    /// Sessions that take a znode along when they are closed, and some that stays.
    async fn write(&self) {
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        for n in 0..4 {
            let client = self.client(1).await;
            client.create(&format!("/stays{n}"), b"x", &persistent).await.unwrap();
            client.create(&format!("/goes{n}"), b"x", &ephemeral).await.unwrap();
            drop(client);
            let watch = self.client(2).await;
            while watch.check_stat(&format!("/goes{n}")).await.unwrap().is_some() {
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// The digests behind the `closeSession` records of a server's log that name no znodes.
    fn closed_digests(&self, id: u8) -> Vec<u64> {
        let version_2 = self.ensemble.data(id).join("version-2");
        let mut digests = Vec::new();
        for file in fs::read_dir(version_2).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(mut log) = LogReader::new(fs::File::open(file).unwrap()) else { continue };
            while let Some(item) = log.next().unwrap() {
                if let LogItem::Record(Record {
                    txn: Txn::CloseSession { paths: None }, digest: Some(digest), ..
                }) = item
                {
                    digests.push(digest.tree.cast_unsigned());
                }
            }
        }
        digests
    }

    /// Waits until a server has said so at its end.
    async fn ends_with(&self, id: u8, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !fs::read_to_string(self.ensemble.data(id).join("out")).unwrap_or_default().contains(words) {
            assert!(Instant::now() < end, "server {id} does not say {words:?}\n{}", self.ensemble.words());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// A follower that is restarted with other settings cannot read what is on its disk, which is sound: with the old ones it
    /// serves again.
    async fn cannot_read(&mut self, before: &str, after: &str) {
        let leader = self.leader().await;
        let follower = (1..=3).find(|id| *id != leader).unwrap();
        self.restart(follower, after);
        self.ends_with(follower, "Unable to load database on disk").await;
        self.restart(follower, before);
        self.serves(follower).await;
    }
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn ttl_znodes_are_deleted_by_each_leader_alone_once_extended_types_are_taken_back_and_kept_while_they_are_owned()
{
    let ours = owned(&["extendedTypesEnabled"]);
    let mut setup = Setup::new("3.9.5", 31, &ours).await;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all()).with_ttl(DAY);
    setup.client(1).await.create("/ttl", b"x", &options).await.unwrap();
    setup.roll(&ours).await;
    assert_eq!(setup.has("/ttl").await, [true; 3], "owned, it is lost nowhere");
    // As ZooKeeper does it where the key is taken back.
    setup.roll("extendedTypesEnabled=false").await;
    let has = setup.has("/ttl").await;
    assert!(has.contains(&false) && has.contains(&true), "this ZooKeeper keeps the members the same: {has:?}");
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn logs_that_do_not_name_the_znodes_of_closed_sessions_are_read_by_who_expects_them_beside_many_znodes() {
    for (version, net) in [("3.9.5", 32), ("3.8.5", 33)] {
        let mut setup = Setup::new(version, net, "closeSessionTxn.enabled=false").await;
        let client = setup.client(1).await;
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for n in 0..16 {
            client.create(&format!("/many{n}"), b"x", &persistent).await.unwrap();
        }
        setup.write().await;
        setup.roll("").await;
        assert_eq!(setup.has("/stays3").await, [true; 3], "{version}");
        assert_eq!(setup.has("/goes3").await, [false; 3], "{version}");
    }
}

/// The digest behind such a record is taken for a list of paths, its upper half for the length of the first. It is a sum of
/// one CRC32 a znode: below 2^32 it is an empty path and then a length that nobody believes. Seen in one run of thirty, when
/// the test above had eight znodes.
#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn logs_that_do_not_name_the_znodes_of_closed_sessions_may_be_unreadable_beside_few_and_the_old_value_reads_them()
{
    let (before, after) = ("closeSessionTxn.enabled=false", "");
    let mut setup = Setup::new("3.9.5", 37, before).await;
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    // From 16 MiB on no length is believed.
    let unreadable = |digest: u64| (1 << 24..1 << 32).contains(&digest);
    for n in 0.. {
        assert!(n < 200, "no digest below 2^32: {:x?}", setup.closed_digests(1));
        let client = setup.client(1).await;
        if n > 0 {
            client.delete("/few", None).await.unwrap();
        }
        // The root is changed too: it counts twice.
        client.create("/few", b"x", &persistent).await.unwrap();
        drop(client);
        sleep(Duration::from_millis(100)).await;
        if setup.closed_digests(1).into_iter().any(unreadable) {
            break;
        }
    }
    setup.cannot_read(before, after).await;
    assert_eq!(setup.has("/few").await, [true; 3]);
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn a_snapshot_with_a_zxid_behind_its_digest_can_be_read_with_digests_or_without_them_and_never_by_both() {
    for (net, before, after) in
        [(34, "digest.enabled=true", "digest.enabled=false"), (35, "digest.enabled=false", "digest.enabled=true")]
    {
        let mut setup = Setup::new("3.9.5", net, before).await;
        setup.write().await;
        setup.cannot_read(before, after).await;
    }
    // As the operator has it, digests can be given up and taken back.
    let ours = owned(&["serializeLastProcessedZxid.enabled"]);
    let with = |digests: bool| format!("{ours}\ndigest.enabled={digests}");
    let mut setup = Setup::new("3.9.5", 36, &with(true)).await;
    setup.write().await;
    for digests in [false, true] {
        setup.roll(&with(digests)).await;
        assert_eq!(setup.has("/stays3").await, [true; 3]);
    }
}
