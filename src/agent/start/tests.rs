//! Runs of a founder, with names that resolve late.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::agent::prepare::{INITIALIZE, MARK};
use crate::agent::resolve::Why;
use crate::agent::volume::Made;
use crate::model::{Charter, Server, fixtures};

const BOUND: Duration = Duration::from_millis(20);

/// A pod of the first of three founders, and what becomes of whom it asks.
struct Pod {
    directory: TempDir,
    /// Names of another domain than this never resolve.
    domain: &'static str,
    /// How often nothing resolves, before DNS is back.
    away: Cell<u32>,
    /// What it is told from then on.
    corrected: Option<&'static str>,
    witness: Option<ServerId>,
    /// Whether it is made from an archive.
    parent: Cell<bool>,
    asked: RefCell<Vec<&'static str>>,
    told: RefCell<Vec<String>>,
}

impl Pod {
    fn told(domain: &str) -> Self {
        let directory = TempDir::new().unwrap();
        for (path, text) in [("seed/zoo.cfg", "tickTime=2000\n"), ("super/password", "pw"), ("data/x", "")] {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let pod = Self {
            directory,
            domain: "good",
            away: Cell::new(0),
            corrected: None,
            witness: None,
            parent: Cell::new(false),
            asked: RefCell::default(),
            told: RefCell::default(),
        };
        pod.charter(domain);
        pod
    }

    fn charter(&self, domain: &str) {
        let line = |n: u32| format!("server.{}={}\n", n + 1, Server::voter(&format!("a-{n}.{domain}")).spec());
        let charter = fixtures::charter(Beginning::Birth, &(0..3).map(line).collect::<String>(), 0);
        let joiner = Server::voter(&format!("a-{{ordinal}}.{domain}")).spec().to_owned();
        let parent = self.parent.get().then(fixtures::parent);
        let text = serde_json::to_string(&Charter { joiner, parent, ..charter }).unwrap();
        fs::write(self.path("seed/charter.json"), text).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn may_vote(&self) -> bool {
        self.path("data").join(INITIALIZE).exists()
    }

    async fn run(&self, patience: Duration) -> Result<(), String> {
        self.asked.take();
        self.told.take();
        let mounts = Mounts { seed: self.path("seed"), secret: self.path("super") };
        let volume = Volume::at(&self.path("data"));
        let start = Start { id: ServerId(1), mounts, volume, bound: BOUND, patience };
        start.ready(self).await.map_err(|e| e.to_string())
    }
}

impl Others for Pod {
    async fn missing(&self, using: &Membership, _: &Seed, bound: Duration) -> Missing {
        self.asked.borrow_mut().push("names");
        let away = self.away.get() > 0;
        self.away.set(self.away.get().saturating_sub(1));
        if let Some(domain) = self.corrected.filter(|_| self.away.get() == 0) {
            self.charter(domain);
        }
        let hosts = using.servers.values().map(Server::host);
        let missing: Missing = hosts
            .filter(|host| away || !host.ends_with(self.domain))
            .map(|host| (host.to_owned(), Why::Unanswered))
            .collect();
        if !missing.is_empty() {
            tokio::time::sleep(bound).await;
        }
        missing
    }

    async fn still_lost(&self, _: &Seed, _: ServerId, _: u64) -> bool {
        false
    }
    async fn witness(&self, _: &Seed, own: ServerId) -> Option<ServerId> {
        assert_ne!(self.witness, Some(own));
        self.asked.borrow_mut().push("founders");
        self.witness
    }

    async fn build(&self, parent: &ParentPoint, volume: &Volume) -> anyhow::Result<()> {
        self.asked.borrow_mut().push("archive");
        let folder = volume.workshop()?.join("version-2");
        fs::create_dir(&folder)?;
        for (name, text) in [("acceptedEpoch", "65536"), ("currentEpoch", "5"), ("snapshot.500000001", "tree")] {
            fs::write(folder.join(name), text)?;
        }
        Ok(volume.built(&Made { from: parent.to_string(), epoch: 5 })?)
    }

    fn tell(&self, words: &str) {
        self.told.borrow_mut().push(words.to_owned());
    }
}

#[tokio::test]
async fn names_are_waited_for_before_founders_are_asked_and_the_right_to_vote_comes_last() {
    let pod = Pod::told("good");
    pod.away.set(1);
    let refused = pod.run(PATIENCE).await.unwrap_err();
    assert!(refused.contains("the name a-0.good"), "{refused}");
    assert_eq!(*pod.asked.borrow(), ["names"], "the first run says soon what is wrong");
    assert!(!pod.may_vote(), "nobody has been asked");
    assert!(pod.path("data").join(MARK).exists());
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    assert_eq!(*pod.asked.borrow(), ["names", "founders"]);
    assert!(pod.may_vote());
}

#[tokio::test]
async fn a_name_that_appears_late_is_waited_for_in_one_run() {
    let pod = Pod::told("good");
    pod.away.set(1);
    pod.run(PATIENCE).await.unwrap_err();
    pod.away.set(2);
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    assert_eq!(*pod.asked.borrow(), ["names", "names", "names", "founders"]);
    let told = pod.told.borrow();
    assert!(told.len() == 3 && told[0].contains("the name a-0.good") && told[2].is_empty(), "{told:?}");
    assert!(pod.may_vote());
}

#[tokio::test]
async fn what_it_is_told_is_read_anew_while_it_waits() {
    let mut pod = Pod::told("bad");
    pod.run(PATIENCE).await.unwrap_err();
    pod.corrected = Some("good");
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    let list = fs::read_to_string(pod.path("data/conf/zoo.cfg.dynamic.0")).unwrap();
    assert!(list.contains("a-0.good:2888") && !list.contains("bad"), "{list}");
    assert!(pod.may_vote());
}

/// Others who change a file of what the pod is told while it waits for them, once.
struct Late<'a> {
    pod: &'a Pod,
    asked: &'static str,
    change: (&'static str, &'static str, &'static str),
    times: Cell<u32>,
}

impl Late<'_> {
    fn asks(&self, what: &str) {
        let (path, before, after) = self.change;
        let text = fs::read_to_string(self.pod.path(path)).unwrap();
        if what == self.asked && text.contains(before) {
            self.times.set(self.times.get() + 1);
            fs::write(self.pod.path(path), text.replace(before, after)).unwrap();
        }
    }
}

impl Others for Late<'_> {
    async fn missing(&self, _: &Membership, _: &Seed, _: Duration) -> Missing {
        self.asks("names");
        Missing::new()
    }

    async fn still_lost(&self, _: &Seed, _: ServerId, _: u64) -> bool {
        false
    }
    async fn witness(&self, _: &Seed, _: ServerId) -> Option<ServerId> {
        self.asks("founders");
        None
    }

    async fn build(&self, parent: &ParentPoint, volume: &Volume) -> anyhow::Result<()> {
        self.pod.build(parent, volume).await
    }

    fn tell(&self, _: &str) {}
}

async fn told_late(asked: &'static str, change: (&'static str, &'static str, &'static str)) -> Pod {
    let pod = Pod::told("good");
    let mounts = Mounts { seed: pod.path("seed"), secret: pod.path("super") };
    let volume = Volume::at(&pod.path("data"));
    let start = Start { id: ServerId(1), mounts, volume, bound: BOUND, patience: PATIENCE };
    let late = Late { pod: &pod, asked, change, times: Cell::new(0) };
    start.ready(&late).await.unwrap();
    assert_eq!(late.times.get(), 1, "{asked} were never asked");
    pod
}

#[tokio::test]
async fn a_charter_that_forbids_the_vote_counts_though_it_came_while_names_or_founders_were_waited_for() {
    let born = ("seed/charter.json", "\"birth\":true", "\"birth\":false");
    for asked in ["names", "founders"] {
        let pod = told_late(asked, born).await;
        assert!(!pod.may_vote(), "{asked}");
    }
}

#[tokio::test]
async fn names_settings_and_a_password_that_came_meanwhile_are_what_the_server_starts_with() {
    let names = ("seed/charter.json", "a-0.good:2888", "a-0.other:2888");
    let pod = told_late("founders", names).await;
    let list = fs::read_to_string(pod.path("data/conf/zoo.cfg.dynamic.0")).unwrap();
    assert!(list.contains("a-0.other:2888"), "{list}");
    for change in [("seed/zoo.cfg", "2000", "3000"), ("super/password", "pw", "another")] {
        let pod = told_late("names", change).await;
        let zoo_cfg = fs::read_to_string(pod.path("data/conf/zoo.cfg")).unwrap();
        let mounts = Mounts { seed: pod.path("seed"), secret: pod.path("super") };
        let now = Seed::read(&mounts).unwrap();
        assert!(zoo_cfg.contains(now.statics.trim()) && zoo_cfg.contains(&now.digest.line()), "{change:?}: {zoo_cfg}");
    }
}

#[tokio::test]
async fn who_hears_of_a_witness_does_not_vote_whatever_an_earlier_run_left_behind() {
    let mut pod = Pod::told("good");
    pod.run(PATIENCE).await.unwrap();
    assert!(pod.may_vote());
    pod.witness = Some(ServerId(2));
    pod.run(PATIENCE).await.unwrap();
    assert!(!pod.may_vote());
}

#[tokio::test]
async fn a_name_that_never_resolves_ends_the_run_once_patience_has_run_out() {
    let pod = Pod::told("bad");
    let begun = Instant::now();
    pod.run(PATIENCE).await.unwrap_err();
    assert!(begun.elapsed() < 20 * BOUND, "nothing is waited for that was not told");
    let begun = Instant::now();
    let refused = pod.run(4 * BOUND).await.unwrap_err();
    assert!(refused.contains("the name a-0.bad") && refused.ends_with("is tried again."), "{refused}");
    assert!(begun.elapsed() >= 4 * BOUND, "{:?}", begun.elapsed());
    assert!(pod.asked.borrow().iter().all(|asked| *asked == "names") && !pod.may_vote());
}

#[tokio::test]
async fn founders_of_an_ensemble_that_is_made_from_an_archive_begin_with_what_was_built_and_are_asked_before_and_after()
{
    let pod = Pod::told("good");
    pod.parent.set(true);
    pod.charter("good");
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    assert_eq!(*pod.asked.borrow(), ["names", "founders", "archive", "names", "founders"]);
    assert!(!pod.may_vote(), "an empty disk never votes in it");
    let data = pod.path("data");
    assert_eq!(fs::read_to_string(data.join("version-2/snapshot.500000001")).unwrap(), "tree");
    assert!(!data.join("from").exists());
    // Nobody takes that for an epoch that it has joined.
    assert_eq!(Volume::at(&data).epoch().unwrap(), Some(0));
    fs::write(data.join("version-2/currentEpoch"), "65537").unwrap();
    assert_eq!(Volume::at(&data).epoch().unwrap(), Some(65537));
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    assert_eq!(*pod.asked.borrow(), ["names"]);
}

#[tokio::test]
async fn a_founder_that_loses_its_disk_after_the_birth_does_not_vote_with_what_the_archive_had_before_it() {
    let mut pod = Pod::told("good");
    pod.parent.set(true);
    pod.charter("good");
    pod.witness = Some(ServerId(2));
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    assert_eq!(*pod.asked.borrow(), ["names", "founders"]);
    assert!(!pod.may_vote() && !pod.path("data/version-2").exists());
}

#[tokio::test]
async fn what_was_taken_over_while_nobody_answered_is_set_aside_once_somebody_has_seen_the_ensemble_live() {
    let mut pod = Pod::told("good");
    pod.parent.set(true);
    pod.charter("good");
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    pod.witness = Some(ServerId(2));
    assert_eq!(pod.run(PATIENCE).await, Ok(()));
    assert!(!pod.may_vote() && !pod.path("data/version-2").exists());
    assert!(pod.path("data/version-2.set-aside/snapshot.500000001").exists());
}
