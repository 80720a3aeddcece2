//! Shipping snapshots to a store, and building a tree from what is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use bytes::Bytes;
use menagerie::agent::bases::{Bases, Pace};
use menagerie::archive::backlog::Backlog;
use menagerie::archive::bases;
use menagerie::archive::key::{BaseKey, Chain, DiskId};
use menagerie::archive::manifest::{Manifest, PART};
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::snapshots::{Examined, NoBase, Snapshots};
use menagerie::archive::store::Store;
use menagerie::archive::upload::{Step, Upload, UploadError};
use menagerie::model::ServerId;
use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Acls, Create, Digest, Header, Lifetime, LogItem, LogReader, LogWriter, SessionId, Txn};
use zookeeper_files::replay::{Replay, Tree};

use super::shipping::{IDENTITY, Place, at, chain};

/// A history with digests, as servers log it: the n-th transaction creates `/n`.
pub struct History {
    datas: Vec<Vec<u8>>,
    pub trees: Vec<Tree>,
}

impl History {
    /// Of so many transactions, each with so many bytes that cannot be packed.
    pub fn of(count: usize, bytes: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let mut random = || {
            let mut data = vec![0; bytes];
            rng.fill_bytes(&mut data);
            data
        };
        let datas: Vec<Vec<u8>> = (0..count).map(|_| random()).collect();
        let mut replay = Replay::new(Tree::initial());
        let mut trees = vec![replay.tree().clone()];
        for (number, data) in datas.iter().enumerate() {
            let log = record(number + 1, data, None, LogWriter::new(Vec::new(), 0).unwrap()).into_inner();
            let mut reader = LogReader::new(&log[..]).unwrap();
            let Some(LogItem::Record(record)) = reader.next().unwrap() else { panic!() };
            replay.apply(&record);
            trees.push(replay.tree().clone());
        }
        Self { datas, trees }
    }

    /// Writes some of it as one log.
    pub fn log(&self, folder: &Path, numbers: std::ops::RangeInclusive<usize>) {
        let first = at(1, *numbers.start() as u64);
        let mut log = LogWriter::new(Vec::new(), 0).unwrap();
        for number in numbers {
            log = record(number, &self.datas[number - 1], Some(self.trees[number].digest()), log);
        }
        old(&folder.join(format!("log.{first}")), &log.into_inner());
    }

    /// Writes the snapshot of the tree after a transaction.
    pub fn snapshot(&self, folder: &Path, number: usize) -> PathBuf {
        self.snapshot_as(folder, number, at(1, number as u64))
    }

    pub fn snapshot_as(&self, folder: &Path, number: usize, name: Zxid) -> PathBuf {
        let path = folder.join(format!("snapshot.{name}"));
        old(&path, &self.trees[number].write(Vec::new()).unwrap());
        path
    }
}

fn record(number: usize, data: &[u8], digest: Option<i64>, mut log: LogWriter<Vec<u8>>) -> LogWriter<Vec<u8>> {
    // A second after the one before.
    let time = 1_700_000_000_000 + i64::try_from(number).unwrap() * 1000;
    let header = Header { session: SessionId(0x1001), cxid: 1, zxid: at(1, number as u64), time };
    let path = format!("/{number}");
    // Open to everybody.
    let acl = (-1_i32).to_be_bytes();
    let txn = Txn::Create(Create {
        path: Text(path.as_bytes()),
        data: Some(data),
        acl: Acls::decode(&mut Decoder::new(&acl)).unwrap(),
        lifetime: Lifetime::Persistent,
        parent_cversion: Some(i32::try_from(number).unwrap()),
        with_stat: false,
    });
    log.append(header, &txn, digest.map(|tree| Digest { version: 2, tree })).unwrap();
    log
}

/// A file as it was left an hour ago.
fn old(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let time = std::time::SystemTime::now() - Duration::from_hours(1);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A member with a history of 9 and the snapshot of the 5th, whose log is archived.
pub async fn archived(bytes: usize) -> (Place, History) {
    let (place, history) = (Place::new(), History::of(9, bytes));
    // As on an old disk: what is before its oldest snapshot is purged.
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 4..=9);
    history.snapshot(&place.data(), 5);
    ship(&place).await;
    (place, history)
}

pub async fn ship(place: &Place) -> Shipper {
    let mut shipper = place.shipper().await.unwrap();
    while !matches!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Idle | Outcome::Waiting | Outcome::Held(_)) {}
    shipper
}

fn examine(place: &Place) -> Result<Examined, NoBase> {
    let snapshots = Snapshots::of(&place.data());
    snapshots.examine(snapshots.list().unwrap().last().unwrap())
}

pub fn upload(place: &Place, store: Store) -> Upload {
    Upload::new(store, &place.identity, chain(), examine(place).unwrap(), 1_700_000_000_000)
}

pub async fn finish(mut upload: Upload) -> Result<Manifest, UploadError> {
    loop {
        if let Step::Done(manifest) = upload.step().await? {
            return Ok(*manifest);
        }
    }
}

const FAST: Pace = Pace { look: Duration::ZERO, soon: Duration::ZERO, pause: Duration::ZERO, longest: Duration::ZERO };

pub fn agent(place: &Place, store: Store, chain: Chain) -> Bases {
    Bases::new(store, &place.identity, chain, &place.data(), FAST)
}

/// Lets an agent do all that it will about bases.
pub async fn rounds(bases: &mut Bases, shipped: Zxid) -> Option<Zxid> {
    for _ in 0..50 {
        while bases.go_on(Some(shipped)).await {}
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    bases.newest()
}

fn objects(place: &Place) -> Vec<String> {
    let folder = place.archive().join(IDENTITY).join("snap");
    let mut names = Vec::new();
    for base in fs::read_dir(folder).into_iter().flatten().flatten() {
        names.extend(fs::read_dir(base.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()));
    }
    names.sort();
    names
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menagerie")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn an_archive_that_was_switched_on_late_is_enough_to_build_the_tree() {
    let (place, _) = archived(10).await;
    let mut bases = agent(&place, place.store(), chain());
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 5)));
    assert_eq!(objects(&place), ["0000", "manifest"]);

    let target = place.store().target().to_string();
    let listed = text(&run(&["archive", "list", &target]));
    assert!(listed.contains("base 0x100000005 of 2.0000000000000007: ") && listed.contains("in 1 parts"), "{listed}");
    let verified = run(&["archive", "verify", &target]);
    assert!(
        verified.status.success() && text(&verified).contains("base 0x100000005 of 2.0000000000000007: whole: "),
        "{}",
        text(&verified)
    );

    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    let fetched = run(&["archive", "fetch", &target, "--to", to.to_str().unwrap()]);
    assert!(fetched.status.success(), "{}", text(&fetched));
    let member = to.join(chain().to_string());
    let bases = to.join(format!("{}.bases", chain()));
    assert_eq!(
        fs::read(bases.join("snapshot.100000005")).unwrap(),
        fs::read(place.data().join("snapshot.100000005")).unwrap()
    );
    for (zxid, last) in [("0x100000005", "/5"), ("0x100000009", "/9")] {
        let tree = run(&["snapshot", "tree", bases.to_str().unwrap(), member.to_str().unwrap(), "--at", zxid]);
        assert!(tree.status.success() && text(&tree).contains(last), "{}", text(&tree));
    }
    let index = folder.path().join("index");
    let built = run(&["index", "build", member.to_str().unwrap(), "--index", index.to_str().unwrap()]);
    assert!(built.status.success(), "{}", text(&built));
}

#[tokio::test]
async fn a_fuzzy_snapshot_is_one_only_once_all_that_it_may_hold_is_archived() {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    history.snapshot_as(&place.data(), 7, at(1, 5));
    let mut shipper = place.shipper().await.unwrap();
    shipper.ship(at(1, 7), 1).await.unwrap();
    let mut bases = agent(&place, place.store(), chain());
    assert_eq!(rounds(&mut bases, at(1, 7)).await, None, "it may hold the 8th");
    shipper.ship(at(1, 8), 1).await.unwrap();
    assert_eq!(rounds(&mut bases, at(1, 8)).await, Some(at(1, 5)));
    let manifest = bases::newest(&place.store(), IDENTITY).await.unwrap().unwrap();
    assert_eq!((manifest.zxid, manifest.proved_by, manifest.end), (at(1, 5), at(1, 7), at(1, 8)));
}

#[tokio::test]
async fn test_25_a_snapshot_that_no_leader_had_is_no_base_whatever_its_name() {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    let mut dirty = history.trees[5].clone();
    dirty.leave_out(b"/3");
    old(&place.data().join("snapshot.100000005"), &dirty.write(Vec::new()).unwrap());
    assert!(matches!(examine(&place), Err(NoBase::Unproved(_))));
    ship(&place).await;
    assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(1, 9)).await, None);
    // Nor one that is damaged or not written to its end, and an older one will do.
    let path = history.snapshot(&place.data(), 8);
    let whole = fs::read(&path).unwrap();
    old(&path, &whole[..whole.len() - 20]);
    assert!(matches!(examine(&place), Err(NoBase::Damaged(_))));
    history.snapshot(&place.data(), 2);
    assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 2)));
}

#[tokio::test]
async fn what_this_log_has_but_the_archive_has_not_proves_nothing() {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=4);
    ship(&place).await;
    history.log(&place.data(), 5..=9);
    history.snapshot(&place.data(), 9);
    assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(1, 4)).await, None);
    // However far the shipper is: a transaction that it passed over is not there.
    assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(2, 1)).await, None);
    assert!(objects(&place).is_empty());
}

/// The disk failed once, and the snapshot was refused until the agent started again.
#[tokio::test]
async fn a_snapshot_that_cannot_be_read_just_now_is_said_and_becomes_a_base_once_it_can() {
    let (place, history) = archived(10).await;
    let mut bases = agent(&place, place.store(), chain());
    // What the system says of a folder that is read like a file: an error that says nothing of the snapshot.
    let log = place.data().join("log.100000004");
    let away = place.data().join("away");
    fs::rename(&log, &away).unwrap();
    fs::create_dir(&log).unwrap();
    assert_eq!(rounds(&mut bases, at(1, 9)).await, None);
    let trouble = bases.trouble().unwrap();
    assert!(trouble.starts_with("snapshot 0x100000005: "), "{trouble}");
    fs::remove_dir(&log).unwrap();
    fs::rename(&away, &log).unwrap();
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 5)));
    assert_eq!(bases.trouble(), None);
    drop(history);
}

/// A store that does not answer was known to the agent's log alone.
#[tokio::test]
async fn trouble_with_bases_is_said_until_it_has_passed() {
    let (place, _) = archived(10).await;
    let mut bases = agent(&place, place.store(), chain());
    let away = place.archive().with_extension("away");
    fs::rename(place.archive(), &away).unwrap();
    fs::write(place.archive(), "no folder").unwrap();
    assert_eq!(rounds(&mut bases, at(1, 9)).await, None);
    assert!(bases.trouble().is_some());
    fs::remove_file(place.archive()).unwrap();
    fs::rename(&away, place.archive()).unwrap();
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 5)));
    assert_eq!(bases.trouble(), None);
}

#[tokio::test]
async fn a_second_member_ships_none_while_the_newest_is_recent_enough_and_nothing_is_asked_in_vain() {
    let (place, history) = archived(10).await;
    let other = Chain::of(ServerId(3), DiskId::from_bits(8));
    let backlog = Backlog::of(&place.data());
    let mut shipper = Shipper::resume(place.store(), IDENTITY, other.clone(), backlog).await.unwrap();
    while shipper.ship(at(1, 9), 1).await.unwrap() != Outcome::Idle {}
    let mut first = agent(&place, place.store(), chain());
    let mut second = agent(&place, place.store(), other);
    // It has asked while there was none, and then another is faster.
    assert_eq!(rounds(&mut second, at(1, 4)).await, None);
    assert_eq!(rounds(&mut first, at(1, 9)).await, Some(at(1, 5)));
    assert_eq!(rounds(&mut second, at(1, 9)).await, Some(at(1, 5)));
    history.snapshot(&place.data(), 8);
    for bases in [&mut first, &mut second] {
        assert_eq!(rounds(bases, at(1, 9)).await, Some(at(1, 5)));
    }
    assert_eq!(bases::keys(&place.store(), IDENTITY).await.unwrap().len(), 1);
    // It knows what it needs: without the store it looks on.
    fs::rename(place.archive(), place.archive().with_extension("away")).unwrap();
    assert_eq!(rounds(&mut first, at(1, 9)).await, Some(at(1, 5)));
}

/// It waited for a day, while nothing of what this member shipped could be built from its chain.
#[tokio::test]
async fn a_chain_to_which_no_base_leads_gets_one_at_once() {
    let (place, history) = archived(10).await;
    assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 5)));
    // A new volume, as after an accepted loss: its log begins behind a gap.
    let new = Place::new();
    history.log(&new.data(), 7..=9);
    history.snapshot(&new.data(), 8);
    let other = Chain::of(ServerId(3), DiskId::from_bits(8));
    let backlog = Backlog::of(&new.data());
    let mut shipper = Shipper::resume(place.store(), IDENTITY, other.clone(), backlog).await.unwrap();
    while shipper.ship(at(1, 9), 1).await.unwrap() != Outcome::Idle {}
    // Whoever begins anew asks the archive how its chain begins.
    let mut second = Bases::new(place.store(), IDENTITY, other, &new.data(), FAST);
    assert!(shipper.reaches(second.newest()).is_none());
    assert_eq!(rounds(&mut second, at(1, 9)).await, Some(at(1, 8)));
    assert_eq!((shipper.starts(), second.starts()), (Some(at(1, 7)), Some(at(1, 7))));
    assert!(shipper.reaches(second.newest()).is_some());
    // Once there is one, the next waits as ever.
    history.snapshot(&new.data(), 9);
    assert_eq!(rounds(&mut second, at(1, 9)).await, Some(at(1, 8)));
}

/// The gap is within the chain, and the shipper has seen it.
#[tokio::test]
async fn a_gap_behind_the_newest_base_makes_the_next_snapshot_one_at_once() {
    let (place, history) = archived(10).await;
    let mut bases = agent(&place, place.store(), chain());
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 5)));
    history.snapshot(&place.data(), 8);
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 5)), "whoever does not know of a gap waits");
    bases.starts_at(Some(at(1, 7)));
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 8)));
}

/// It said that the tree can be built up to the last transaction, whatever was missing before.
#[tokio::test]
async fn stat_follows_the_links_and_names_no_point_behind_a_gap() {
    let (place, _) = archived(10).await;
    let target = place.store().target().to_string();
    let stat = || run(&["archive", "stat", &target]);
    let none = stat();
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
    assert!(text(&none).contains("cannot be built"), "{}", text(&none));

    finish(upload(&place, place.store())).await.unwrap();
    let whole = stat();
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole));
    assert!(text(&whole).contains("to 0x100000009 ("), "{}", text(&whole));

    // A new volume, whose log begins behind a gap.
    let new = Place::new();
    let long = History::of(20, 10);
    long.log(&new.data(), 15..=20);
    let other = Chain::of(ServerId(3), DiskId::from_bits(8));
    let backlog = Backlog::of(&new.data());
    let mut shipper = Shipper::resume(place.store(), IDENTITY, other, backlog).await.unwrap();
    while shipper.ship(at(1, 20), 1).await.unwrap() != Outcome::Idle {}
    let gap = text(&stat());
    assert!(
        gap.contains("to 0x100000009 (") && gap.contains("not what the log has behind a gap, up to 0x100000014"),
        "{gap}"
    );
    let json = text(&run(&["archive", "stat", &target, "--output", "json"]));
    assert!(json.contains(r#""lastRecoverabilityPoint":{"zxid":"0x100000009""#), "{json}");
}

/// Each member asked its own chain alone, and said a later point than the others.
#[tokio::test]
async fn the_earliest_point_is_the_beginning_of_any_chain() {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    ship(&place).await;
    history.snapshot(&place.data(), 5);
    let other = Chain::of(ServerId(3), DiskId::from_bits(8));
    let mut bases = agent(&place, place.store(), other);
    assert!(!bases.asked());
    rounds(&mut bases, at(1, 9)).await;
    assert!(bases.asked());
    assert_eq!(bases.earliest().map(|point| point.zxid), Some(at(1, 1)));
}

#[tokio::test]
async fn the_earliest_point_is_taken_back_once_its_base_is_deleted() {
    let (place, history) = archived(10).await;
    finish(upload(&place, place.store())).await.unwrap();
    history.snapshot(&place.data(), 8);
    let mut bases = agent(&place, place.store(), chain());
    assert_eq!(rounds(&mut bases, at(1, 7)).await, Some(at(1, 5)));
    assert_eq!(bases.earliest().map(|point| point.zxid), Some(at(1, 5)));
    // As `archive prune` would, if it was too old.
    fs::remove_dir_all(place.archive().join(IDENTITY).join("snap")).unwrap();
    assert_eq!(rounds(&mut bases, at(1, 9)).await, Some(at(1, 8)));
    assert_eq!(bases.earliest().map(|point| point.zxid), Some(at(1, 8)));
}

/// Whether this process has the file open, deleted or not.
fn is_open(path: &std::path::Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    open.into_iter().any(|open| open.to_string_lossy().starts_with(&*path.to_string_lossy()))
}

#[tokio::test]
async fn a_snapshot_that_was_read_and_is_purged_is_closed() {
    let (place, _) = archived(10).await;
    let mut bases = agent(&place, place.store(), chain());
    let snapshot = place.data().join("snapshot.100000005");
    // It lists, lists again, and reads.
    for _ in 0..2 {
        assert!(!bases.go_on(Some(at(1, 9))).await);
    }
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if is_open(&snapshot) {
            break;
        }
    }
    assert!(is_open(&snapshot));
    fs::remove_file(&snapshot).unwrap();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bases.let_go().await;
    }
    assert!(!is_open(&snapshot));
}

#[tokio::test]
async fn test_22_killed_at_any_part_it_goes_on_and_without_a_manifest_there_is_no_base() {
    let (place, _) = archived(1_000_000).await;
    let parts = examine(&place).unwrap().bytes.div_ceil(PART);
    assert!(parts >= 3, "{parts}");
    for _ in 0..parts {
        // Each life ends one part later than the one before.
        let mut life = upload(&place, place.store());
        for _ in 0..=objects(&place).len() {
            assert_eq!(life.step().await.unwrap(), Step::Part);
        }
        assert_eq!(bases::newest(&place.store(), IDENTITY).await.unwrap(), None);
        let listed = text(&run(&["archive", "list", &place.store().target().to_string()]));
        assert!(listed.contains("begun, and not complete"), "{listed}");
    }
    let manifest = finish(upload(&place, place.store())).await.unwrap();
    assert_eq!(manifest.parts.len() as u64, parts);
    // A life that never heard that the manifest was stored takes it for its own.
    assert_eq!(finish(upload(&place, place.store())).await.unwrap(), manifest);
    let mut bytes = Vec::new();
    bases::read(&place.store(), &manifest, &mut |more| {
        bytes.extend_from_slice(more);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(bytes, fs::read(place.data().join("snapshot.100000005")).unwrap());
}

#[tokio::test]
async fn other_bytes_under_a_name_end_the_base_and_nothing_is_overwritten() {
    for name in ["0000", "0001", "manifest"] {
        let (place, _) = archived(1_000_000).await;
        let key = BaseKey { zxid: at(1, 5), chain: chain() };
        let path = format!("{}/{name}", key.folder(IDENTITY));
        place.store().put(&path, Bytes::from_static(b"other")).await.unwrap();
        let error = finish(upload(&place, place.store())).await.unwrap_err();
        assert!(matches!(&error, UploadError::Other(there) if *there == path), "{name}: {error}");
        assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(1, 9)).await, None);
        assert_eq!(place.store().get(&path, None).await.unwrap().unwrap(), "other");
    }
}

/// After an upgrade of the operator, its zstd packed the same bytes otherwise, and a base that was begun was given up.
#[tokio::test]
async fn a_part_that_another_release_has_packed_is_taken_for_the_same_content() {
    let (place, _) = archived(1_000_000).await;
    let snapshot = fs::read(place.data().join("snapshot.100000005")).unwrap();
    let key = BaseKey { zxid: at(1, 5), chain: chain() };
    let packed = zstd::encode_all(&snapshot[..usize::try_from(PART).unwrap()], 1).unwrap();
    place.store().put(&key.part(IDENTITY, 0), packed.clone().into()).await.unwrap();
    let manifest = finish(upload(&place, place.store())).await.unwrap();
    assert_eq!(manifest.parts[0].bytes, packed.len() as u64);
    let mut bytes = Vec::new();
    let mut take = |more: &[u8]| {
        bytes.extend_from_slice(more);
        Ok(())
    };
    bases::read(&place.store(), &manifest, &mut take).await.unwrap();
    assert_eq!(bytes, snapshot);
}

#[tokio::test]
async fn a_base_that_is_newer_than_all_and_has_no_proof_in_its_chain_does_not_count() {
    let (place, _) = archived(10).await;
    let mut forged = finish(upload(&place, place.store())).await.unwrap();
    let key = BaseKey { zxid: at(1, 5), chain: chain() };
    fs::remove_file(place.archive().join(key.manifest(IDENTITY))).unwrap();
    (forged.zxid, forged.end, forged.proved_by) = (Zxid(u64::MAX), Zxid(u64::MAX), Zxid(u64::MAX));
    for disk in [7, 8] {
        forged.chain.disk = DiskId::from_bits(disk);
        let name = forged.key().manifest(IDENTITY);
        place.store().put(&name, forged.pack().unwrap().into()).await.unwrap();
    }
    assert_eq!(rounds(&mut agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 5)));
}

#[tokio::test]
async fn a_snapshot_that_is_written_again_meanwhile_is_not_shipped_as_what_it_was() {
    let (place, history) = archived(1_000_000).await;
    let mut life = upload(&place, place.store());
    assert_eq!(life.step().await.unwrap(), Step::Part);
    // As a server does it: the same file, from its beginning.
    let other = history.trees[6].write(Vec::new()).unwrap();
    fs::write(place.data().join("snapshot.100000005"), &other).unwrap();
    assert!(matches!(finish(life).await, Err(UploadError::Changed)));
    assert_eq!(bases::newest(&place.store(), IDENTITY).await.unwrap(), None);
}

#[tokio::test]
async fn a_purged_snapshot_is_shipped_to_its_end() {
    let (place, _) = archived(1_000_000).await;
    let mut life = upload(&place, place.store());
    assert_eq!(life.step().await.unwrap(), Step::Part);
    fs::remove_file(place.data().join("snapshot.100000005")).unwrap();
    assert_eq!(finish(life).await.unwrap().zxid, at(1, 5));
}

#[tokio::test]
async fn a_damaged_base_is_named_and_not_fetched() {
    let (place, _) = archived(1_000_000).await;
    finish(upload(&place, place.store())).await.unwrap();
    let target = place.store().target().to_string();
    let base = place.archive().join(BaseKey { zxid: at(1, 5), chain: chain() }.folder(IDENTITY));
    let check = |what: &str| {
        let verified = run(&["archive", "verify", &target]);
        assert!(verified.status.code() == Some(1) && text(&verified).contains(what), "{}", text(&verified));
        let folder = tempfile::tempdir().unwrap();
        let fetched = run(&["archive", "fetch", &target, "--to", folder.path().to_str().unwrap()]);
        assert!(fetched.status.code() == Some(1) && text(&fetched).contains(what), "{}", text(&fetched));
        let member = folder.path().join(chain().to_string());
        let bases = folder.path().join(format!("{}.bases", chain()));
        assert!(!bases.join("snapshot.100000005").exists() && member.join("log.100000004").exists());
    };
    let part = fs::read(base.join("0001")).unwrap();
    let mut damaged = part.clone();
    damaged[part.len() / 2] ^= 1;
    fs::write(base.join("0001"), damaged).unwrap();
    check("part 1 has other bytes than its manifest says");
    fs::remove_file(base.join("0001")).unwrap();
    check("part 1 is missing");
    fs::write(base.join("0001"), part).unwrap();
    let manifest = fs::read(base.join("manifest")).unwrap();
    fs::write(base.join("manifest"), &manifest[..manifest.len() - 3]).unwrap();
    check("its manifest is damaged");
    // Whoever can write manifests can write any: the snapshot itself must be one.
    let mut wrong = Manifest::read(&manifest).unwrap();
    let last = wrong.parts.pop().unwrap();
    wrong.bytes -= last.unpacked;
    fs::write(base.join("manifest"), wrong.pack().unwrap()).unwrap();
    check("its parts are not the snapshot of its manifest");
}
