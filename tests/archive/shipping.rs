//! Shipping a member's log to a store, and reading it back.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use menagerie::archive::backlog::Backlog;
use menagerie::archive::chains;
use menagerie::archive::key::{Chain, DiskId};
use menagerie::archive::segment::Segment;
use menagerie::archive::shipper::{Outcome, ShipError, Shipper};
use menagerie::archive::store::{Put, Store};
use menagerie::archive::target::Target;
use menagerie::model::ServerId;
use tempfile::TempDir;
use zookeeper_files::disk::{MemberFiles, Point, rebuild, verify};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::jute::Text;
use zookeeper_files::log::{Header, LogWriter, SessionId, Txn};
use zookeeper_files::replay::Tree;

pub const IDENTITY: &str = "0b5c7e0c-6f3e-4a53-9d0e-2f7b4f0f2a11";

/// A member's data folder and a store in another one.
pub struct Place {
    folder: TempDir,
    pub identity: String,
}

impl Place {
    pub fn new() -> Self {
        Self::of(IDENTITY)
    }

    /// Of an ensemble with that identity.
    pub fn of(identity: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), identity: identity.to_owned() };
        fs::create_dir_all(place.data()).unwrap();
        fs::create_dir_all(place.archive()).unwrap();
        fs::write(place.data().join("snapshot.0"), Tree::initial().write(Vec::new()).unwrap()).unwrap();
        place
    }

    pub fn archive(&self) -> std::path::PathBuf {
        self.folder.path().join("archive")
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data/version-2")
    }

    pub fn store(&self) -> Store {
        Store::open(&Target::File { folder: self.archive() }).unwrap()
    }

    /// Writes transactions of one epoch into a log of their own; `value` tells them from others of the same zxids.
    pub fn log(&self, epoch: u64, counters: std::ops::RangeInclusive<u64>, value: &str) {
        self.log_of(BEGUN, epoch, counters, value);
    }

    /// The same at another time, in milliseconds since 1970.
    pub fn log_of(&self, begun: i64, epoch: u64, counters: std::ops::RangeInclusive<u64>, value: &str) {
        write_log(&self.data(), begun, epoch, counters, value);
    }

    pub async fn shipper(&self) -> Result<Shipper, ShipError> {
        Shipper::resume(self.store(), IDENTITY, chain(), Backlog::of(&self.data())).await
    }
}

/// When the first transaction of a log is from, in milliseconds since 1970.
pub const BEGUN: i64 = 1_700_000_000_000;

fn write_log(folder: &Path, begun: i64, epoch: u64, counters: std::ops::RangeInclusive<u64>, value: &str) {
    let first = at(epoch, *counters.start());
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    for counter in counters {
        let zxid = at(epoch, counter);
        let time = begun + i64::try_from(zxid.0 & 0xffff).unwrap();
        let header = Header { session: SessionId(0x1001), cxid: 1, zxid, time };
        let set = Txn::SetData { path: Text(b"/zookeeper"), data: Some(value.as_bytes()), version: 1, reconfig: false };
        log.append(header, &set, None).unwrap();
    }
    let path = folder.join(format!("log.{first}"));
    fs::write(&path, log.into_inner()).unwrap();
    // An hour old: otherwise the reader waits for the rest of a half-written record.
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
}

pub fn chain() -> Chain {
    Chain::of(ServerId(2), DiskId::from_bits(7))
}

pub fn at(epoch: u64, counter: u64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

pub fn range(epoch: u64, first: u64, last: u64) -> ZxidRange {
    ZxidRange { first: at(epoch, first), last: at(epoch, last) }
}

pub fn shipped(zxids: ZxidRange) -> Outcome {
    Outcome::Shipped { zxids, unknown: Vec::new(), gap: None, more: false }
}

/// What every kind of store has to do with an object.
pub async fn keeps_what_is_put(store: &Store) {
    assert_eq!(store.put("a", Bytes::from_static(b"one")).await.unwrap(), Put::Stored);
    assert_eq!(store.put("a", Bytes::from_static(b"two")).await.unwrap(), Put::Taken);
    assert_eq!(store.get("a", Some(2)).await.unwrap().unwrap(), "on");
    assert_eq!((store.look("a").await.unwrap().unwrap().bytes, store.get("b", None).await.unwrap()), (3, None));
    store.delete("a").await.unwrap();
    store.delete("a").await.unwrap();
    assert_eq!(store.look("a").await.unwrap(), None);
}

pub async fn archived(store: &Store) -> Vec<Segment> {
    archived_of(store, IDENTITY).await
}

pub async fn archived_of(store: &Store, identity: &str) -> Vec<Segment> {
    let mut all = Vec::new();
    for key in chains::segments(store, identity, &chain()).await.unwrap() {
        all.push(chains::segment(store, identity, &key).await.unwrap().unwrap());
    }
    all
}

#[tokio::test]
async fn what_is_applied_is_shipped_and_what_is_not_waits() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    assert!(shipper.has_more().unwrap());
    assert_eq!(shipper.ship(at(1, 0), 1).await.unwrap(), Outcome::Waiting);
    assert_eq!(shipper.ship(at(1, 7), 1).await.unwrap(), shipped(range(1, 1, 7)));
    assert_eq!(shipper.ship(at(1, 7), 1).await.unwrap(), Outcome::Waiting);
    assert_eq!(shipper.ship(at(1, 9), 1).await.unwrap(), shipped(range(1, 8, 9)));
    assert_eq!(shipper.ship(at(1, 9), 1).await.unwrap(), Outcome::Idle);
    assert!(!shipper.has_more().unwrap());

    let segments = archived(&place.store()).await;
    let facts: Vec<_> = segments.iter().map(|segment| (segment.facts.count, segment.facts.follows)).collect();
    assert_eq!(facts, [(7, false), (2, true)]);
    assert_eq!(segments[1].facts.previous, Some(segments[0].facts.link()));
}

/// An archive that was switched on in an ensemble that nobody wrote to was empty, and said that it had everything.
#[tokio::test]
async fn the_end_of_an_epoch_that_is_over_is_held_and_the_next_write_of_anybody_brings_it() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    // What a leader says that has restarted and proposed nothing.
    assert_eq!(shipper.ship(at(2, 0), 2).await.unwrap(), Outcome::Held(range(1, 1, 9)));
    assert!(shipper.has_more().unwrap(), "it is looked at again");
    place.log(2, 1..=1, "b");
    // What is behind it is committed as well: the archive is not level yet.
    let more = Outcome::Shipped { zxids: range(1, 1, 9), unknown: Vec::new(), gap: None, more: true };
    assert_eq!(shipper.ship(at(2, 1), 2).await.unwrap(), more);
    assert_eq!(shipper.ship(at(2, 1), 2).await.unwrap(), shipped(range(2, 1, 1)));
    assert_eq!(shipper.ship(at(2, 1), 2).await.unwrap(), Outcome::Idle);
}

/// A member that was stopped under writes, and synced by a snapshot, was said to have archived everything until somebody wrote.
#[tokio::test]
async fn what_a_server_was_synced_with_and_has_not_logged_is_known_before_anything_is_written() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    shipper.ship(at(1, 9), 1).await.unwrap();
    assert_eq!(shipper.unlogged().unwrap(), None);
    let synced = |counter: u64| {
        let path = place.data().join(format!("snapshot.{}", at(1, counter)));
        fs::write(path, Tree::initial().write(Vec::new()).unwrap()).unwrap();
    };
    // Servers write one after so many transactions.
    synced(9);
    assert_eq!(shipper.unlogged().unwrap(), None);
    synced(20);
    assert!(!shipper.has_more().unwrap());
    assert_eq!(shipper.unlogged().unwrap(), Some(range(1, 10, 20)));
    // Nobody knows better after a restart.
    assert_eq!(place.shipper().await.unwrap().unlogged().unwrap(), Some(range(1, 10, 20)));
    place.log(1, 21..=22, "b");
    assert!(
        matches!(shipper.ship(at(1, 22), 1).await.unwrap(), Outcome::Shipped { gap: Some(last), .. } if last == at(1, 9))
    );
    assert_eq!(shipper.unlogged().unwrap(), None);
}

/// A segment's worth of an epoch that has ended, or more, was held for ever by an agent that had not seen it being applied: the reading
/// stopped before the transaction that proves it.
#[tokio::test]
async fn of_an_epoch_that_has_ended_however_much_is_shipped_once_a_later_one_was_applied() {
    let mebibyte = "v".repeat(1 << 20);
    for counts in [vec![2, 2], vec![3, 1], vec![4, 1], vec![5, 2], vec![9, 1, 1], vec![6, 5, 1], vec![2, 9, 2]] {
        let place = Place::new();
        for (epoch, count) in (1..).zip(&counts) {
            place.log(epoch, 1..=*count, &mebibyte);
        }
        let mut shipper = place.shipper().await.unwrap();
        let (epoch, last) = (counts.len() as u64, *counts.last().unwrap());
        loop {
            match shipper.ship(at(epoch, last), epoch).await.unwrap() {
                Outcome::Shipped { unknown, .. } => assert_eq!(unknown, [], "{counts:?}"),
                Outcome::Idle => break,
                other => panic!("{counts:?}: {other:?} behind {:?}", shipper.last()),
            }
        }
        let found: u64 = archived(&place.store()).await.iter().map(|segment| segment.facts.count).sum();
        assert_eq!((found, shipper.last()), (counts.iter().sum(), Some(at(epoch, last))), "{counts:?}");
    }
}

/// A follower was synced with its new leader before it serves: what it says then is committed.
#[tokio::test]
async fn a_follower_that_serves_in_a_new_epoch_proves_the_end_of_the_one_before_without_a_write() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    assert_eq!(shipper.ship(at(1, 9), 2).await.unwrap(), shipped(range(1, 1, 9)));
}

#[tokio::test]
async fn an_unpacked_archive_is_a_members_logs_again() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    place.log(2, 1..=3, "b");
    let mut shipper = place.shipper().await.unwrap();
    while shipper.ship(at(2, 3), 2).await.unwrap() != Outcome::Idle {}

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("snapshot.0"), Tree::initial().write(Vec::new()).unwrap()).unwrap();
    for segment in archived(&place.store()).await {
        fs::write(folder.path().join(format!("log.{}", segment.facts.first)), segment.log).unwrap();
    }
    let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(verify(&member, &mut |_| ()).unwrap().records, 12);
    let rebuilt = rebuild(&[member], Point::Zxid(at(1, 9)), &mut |_| ()).unwrap();
    assert_eq!(rebuilt.replay.tree().get(b"/zookeeper").unwrap().data(), Some(&b"a"[..]));
}

#[tokio::test]
async fn a_shipper_that_starts_again_goes_on_where_it_was() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    place.shipper().await.unwrap().ship(at(1, 5), 1).await.unwrap();
    let mut again = place.shipper().await.unwrap();
    assert_eq!(again.last(), Some(at(1, 5)));
    assert_eq!(again.ship(at(1, 9), 1).await.unwrap(), shipped(range(1, 6, 9)));
    assert!(archived(&place.store()).await.iter().skip(1).all(|segment| segment.facts.follows));
}

#[tokio::test]
async fn a_segment_that_was_stored_though_the_answer_was_lost_is_taken_for_ours() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut lost = place.shipper().await.unwrap();
    let mut other = place.shipper().await.unwrap();
    lost.ship(at(1, 5), 1).await.unwrap();
    // Shorter and longer than what is there.
    assert_eq!(other.ship(at(1, 3), 1).await.unwrap(), shipped(range(1, 1, 5)));
    assert_eq!(other.ship(at(1, 9), 1).await.unwrap(), shipped(range(1, 6, 9)));
    assert_eq!(archived(&place.store()).await.len(), 2);
}

#[tokio::test]
async fn test_6_a_copied_disk_meets_the_segments_of_the_other_and_stops_without_overwriting_any() {
    let place = Place::new();
    place.log(1, 1..=5, "a");
    place.shipper().await.unwrap().ship(at(1, 5), 1).await.unwrap();
    let copy = Place::new();
    copy.log(1, 1..=5, "a");
    write_log(&copy.data(), BEGUN, 1, 6..=9, "copy");
    place.log(1, 6..=9, "a");
    let mut copied = Shipper::resume(place.store(), IDENTITY, chain(), Backlog::of(&copy.data())).await.unwrap();
    let mut own = place.shipper().await.unwrap();
    own.ship(at(1, 9), 1).await.unwrap();
    let before = archived(&place.store()).await;
    let error = copied.ship(at(1, 9), 1).await.unwrap_err();
    assert!(matches!(error, ShipError::Conflict { .. }), "{error}");
    assert_eq!(archived(&place.store()).await, before);
    let resumed = Shipper::resume(place.store(), IDENTITY, chain(), Backlog::of(&copy.data())).await.map(|_| ());
    assert!(matches!(resumed, Err(ShipError::Conflict { .. })), "{resumed:?}");
}

#[tokio::test]
async fn a_disk_that_was_brought_back_from_an_older_time_ships_nothing_and_says_so() {
    let (place, back) = (Place::new(), Place::new());
    place.log(1, 1..=9, "a");
    place.shipper().await.unwrap().ship(at(1, 9), 1).await.unwrap();
    // It has less than the archive, and then goes on with something else.
    back.log(1, 1..=5, "a");
    let resume = || Shipper::resume(place.store(), IDENTITY, chain(), Backlog::of(&back.data()));
    assert!(matches!(resume().await.map(|_| ()), Err(ShipError::Ahead { ends: Some(ends), .. }) if ends == at(1, 5)));
    back.log(2, 1..=3, "b");
    assert!(matches!(resume().await.map(|_| ()), Err(ShipError::Conflict { .. })));
}

#[tokio::test]
async fn a_copy_whose_log_is_shorter_than_the_segment_in_its_way_does_not_take_it_for_its_own() {
    let (place, copy) = (Place::new(), Place::new());
    place.log(1, 1..=5, "a");
    place.shipper().await.unwrap().ship(at(1, 5), 1).await.unwrap();
    copy.log(1, 1..=5, "a");
    write_log(&copy.data(), BEGUN, 1, 6..=8, "copy");
    let mut copied = Shipper::resume(place.store(), IDENTITY, chain(), Backlog::of(&copy.data())).await.unwrap();
    let mut own = place.shipper().await.unwrap();
    place.log(1, 6..=10, "a");
    own.ship(at(1, 10), 1).await.unwrap();
    assert!(matches!(copied.ship(at(1, 8), 1).await, Err(ShipError::Ahead { .. })));
    write_log(&copy.data(), BEGUN, 1, 9..=10, "copy");
    assert!(matches!(copied.ship(at(1, 10), 1).await, Err(ShipError::Conflict { .. })));
}

#[tokio::test]
async fn where_the_log_was_purged_before_it_was_shipped_the_next_segment_does_not_follow() {
    let place = Place::new();
    place.log(1, 1..=5, "a");
    place.log(1, 6..=9, "a");
    place.log(1, 10..=12, "a");
    place.shipper().await.unwrap().ship(at(1, 5), 1).await.unwrap();
    for gone in ["log.100000001", "log.100000006"] {
        fs::remove_file(place.data().join(gone)).unwrap();
    }
    let mut again = place.shipper().await.unwrap();
    let outcome = Outcome::Shipped { zxids: range(1, 10, 12), unknown: Vec::new(), gap: Some(at(1, 5)), more: false };
    assert_eq!(again.ship(at(1, 12), 1).await.unwrap(), outcome);
    assert!(!archived(&place.store()).await[1].facts.follows);
}

/// Switched on late, or with the disk of a member that was synced by a snapshot: nothing leads to its log but a base.
#[tokio::test]
async fn a_chain_that_begins_late_leads_nowhere_without_a_base_that_it_begins_behind() {
    let place = Place::new();
    place.log(1, 5..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    assert_eq!(shipper.reaches(Some(at(1, 4))), None, "nothing is shipped");
    assert_eq!(shipper.ship(at(1, 9), 1).await.unwrap(), shipped(range(1, 5, 9)));
    let reaches = |base: Option<Zxid>| shipper.reaches(base).map(|(zxid, _)| zxid);
    assert_eq!(reaches(None), None);
    assert_eq!(reaches(Some(at(1, 3))), None, "the fourth may be missing");
    assert_eq!(reaches(Some(at(1, 4))), Some(at(1, 9)));
    assert_eq!(reaches(Some(at(1, 9))), Some(at(1, 9)));
    assert_eq!(reaches(Some(at(1, 10))), None, "that base is later");
}

#[tokio::test]
async fn a_chain_from_the_beginning_on_leads_to_its_end_without_a_base_as_long_as_it_is_known_to_have_no_gap() {
    let place = Place::new();
    place.log(1, 1..=5, "a");
    place.log(1, 6..=9, "a");
    place.log(1, 10..=12, "a");
    let mut shipper = place.shipper().await.unwrap();
    shipper.ship(at(1, 5), 1).await.unwrap();
    shipper.ship(at(1, 6), 1).await.unwrap();
    assert_eq!(shipper.reaches(None).map(|(zxid, _)| zxid), Some(at(1, 6)));
    // Another process has not seen how it began.
    let mut again = place.shipper().await.unwrap();
    assert_eq!(again.reaches(None), None);
    assert_eq!(again.reaches(Some(at(1, 5))).map(|(zxid, _)| zxid), Some(at(1, 6)));
    again.recall(&shipper.run().unwrap());
    assert_eq!(again.reaches(None).map(|(zxid, _)| zxid), Some(at(1, 6)));
    // What was known of another end counts for nothing.
    again.ship(at(1, 9), 1).await.unwrap();
    let mut later = place.shipper().await.unwrap();
    later.recall(&shipper.run().unwrap());
    assert_eq!(later.reaches(None), None);
}

#[tokio::test]
async fn a_gap_is_not_forgotten_by_a_shipper_that_starts_again() {
    let place = Place::new();
    place.log(1, 1..=5, "a");
    place.log(1, 6..=9, "a");
    place.log(1, 10..=12, "a");
    place.shipper().await.unwrap().ship(at(1, 5), 1).await.unwrap();
    for gone in ["log.100000001", "log.100000006"] {
        fs::remove_file(place.data().join(gone)).unwrap();
    }
    place.shipper().await.unwrap().ship(at(1, 11), 1).await.unwrap();
    for life in 0..2 {
        let mut again = place.shipper().await.unwrap();
        assert_eq!(again.reaches(Some(at(1, 5))), None, "{life}");
        assert!(again.reaches(Some(at(1, 11))).is_some(), "{life}");
        again.ship(at(1, 12), 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_shipper_knows_where_its_chain_starts_or_that_it_does_not() {
    let place = Place::new();
    place.log(1, 5..=8, "x");
    let mut shipper = place.shipper().await.unwrap();
    assert_eq!(shipper.starts(), None);
    shipper.ship(at(1, 6), 1).await.unwrap();
    shipper.ship(at(1, 8), 1).await.unwrap();
    assert_eq!(shipper.starts(), Some(at(1, 5)));
    let mut again = place.shipper().await.unwrap();
    assert_eq!(again.starts(), None, "what is before its last segment was not read");
    again.recall(&shipper.run().unwrap());
    assert_eq!(again.starts(), Some(at(1, 5)));

    let place = Place::new();
    place.log(1, 1..=8, "x");
    let mut shipper = place.shipper().await.unwrap();
    shipper.ship(at(1, 8), 1).await.unwrap();
    assert_eq!(shipper.starts(), None, "with the ensemble: it needs no base");
}

#[tokio::test]
async fn a_folder_without_a_log_yet_has_nothing_to_ship() {
    let place = Place::new();
    let mut shipper = place.shipper().await.unwrap();
    assert!(!shipper.has_more().unwrap());
    assert_eq!(shipper.ship(at(1, 1), 1).await.unwrap(), Outcome::Idle);
    place.log(1, 1..=2, "a");
    assert!(shipper.has_more().unwrap());
    assert_eq!(shipper.ship(at(1, 2), 1).await.unwrap(), shipped(range(1, 1, 2)));
}

#[tokio::test]
async fn a_log_that_was_quiet_and_grows_again_is_seen() {
    let place = Place::new();
    place.log(1, 1..=2, "a");
    let mut shipper = place.shipper().await.unwrap();
    assert_eq!(shipper.ship(at(1, 2), 1).await.unwrap(), shipped(range(1, 1, 2)));
    assert!(!shipper.has_more().unwrap() && !shipper.has_more().unwrap());
    let path = place.data().join("log.100000001");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    place.log(1, 1..=3, "a");
    // Later, as a server's write is.
    let later = before + std::time::Duration::from_secs(10);
    fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
    assert!(shipper.has_more().unwrap());
    assert_eq!(shipper.ship(at(1, 3), 1).await.unwrap(), shipped(range(1, 3, 3)));
}

#[tokio::test]
async fn a_long_log_is_cut_into_segments_of_a_few_megabytes() {
    let place = Place::new();
    place.log(1, 1..=120, &"x".repeat(100_000));
    let mut shipper = place.shipper().await.unwrap();
    while shipper.ship(at(1, 120), 1).await.unwrap() != Outcome::Idle {}
    let segments = archived(&place.store()).await;
    assert_eq!(segments.iter().map(|segment| segment.facts.count).collect::<Vec<_>>(), [41, 41, 38]);
    assert!(segments[1..].iter().all(|segment| segment.facts.follows));
}

#[tokio::test]
async fn nothing_is_overwritten_and_what_is_there_is_read_back() {
    let store = Place::new();
    let store = store.store();
    assert_eq!(store.put("a/b", Bytes::from_static(b"one")).await.unwrap(), Put::Stored);
    assert_eq!(store.put("a/b", Bytes::from_static(b"two")).await.unwrap(), Put::Taken);
    assert_eq!(store.get("a/b", None).await.unwrap().unwrap(), "one");
    assert_eq!(store.get("a/b", Some(2)).await.unwrap().unwrap(), "on");
    assert_eq!(store.get("a/c", None).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_segment_is_named_and_not_believed() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    place.shipper().await.unwrap().ship(at(1, 9), 1).await.unwrap();
    let key = chains::segments(&place.store(), IDENTITY, &chain()).await.unwrap().remove(0);
    let path = place.archive().join(key.path(IDENTITY));
    let object = fs::read(&path).unwrap();
    for at in 0..object.len() {
        let mut damaged = object.clone();
        damaged[at] ^= 0x10;
        // A few bits of zstd's own frame say nothing about what is in it.
        let same = |read: Segment| read == Segment::unpack(&object).unwrap();
        assert!(Segment::unpack(&damaged).is_ok_and(same) || Segment::unpack(&damaged).is_err(), "byte {at}");
    }
    fs::write(&path, &object[..object.len() - 1]).unwrap();
    let error = chains::segment(&place.store(), IDENTITY, &key).await.unwrap_err().to_string();
    assert!(error.contains("is damaged: it cannot be unpacked"), "{error}");
}

/// Of what servers allocate ahead, each look at a log under load read three times 64 MiB.
#[test]
fn a_look_at_a_log_under_load_reads_what_was_written_and_little_more() {
    use std::os::unix::fs::FileExt as _;
    let place = Place::new();
    place.log(1, 1..=1, "a");
    let path = place.data().join(format!("log.{}", at(1, 1)));
    let mut end = fs::metadata(&path).unwrap().len();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    let bytes_read = || -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    };
    let (mut backlog, mut last) = (Backlog::of(&place.data()), None);
    for counters in [2..=1000, 1001..=2000, 2001..=3000] {
        let mut log = LogWriter::go_on(Vec::new());
        for counter in counters.clone() {
            let header = Header { session: SessionId(0x1001), cxid: 1, zxid: at(1, counter), time: 1 };
            log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
        }
        let written = log.into_inner();
        file.write_all_at(&written, end).unwrap();
        end += written.len() as u64;
        // What a shipper does in a second.
        let before = bytes_read();
        assert!(backlog.has_more(last).unwrap());
        let pending = backlog.pending(last, 4 << 20, &|_| true).unwrap();
        let (_, shipped) = backlog.read(last, pending.runs[0], 4 << 20).unwrap();
        backlog.shipped(shipped);
        last = Some(pending.runs[0].last);
        assert_eq!((backlog.behind(last).unwrap(), last), (None, Some(at(1, *counters.end()))));
        let read = bytes_read() - before;
        assert!(read < 2 << 20, "{read}");
    }
}
