//! The first database of an ensemble that is made from an archive.

use std::fs;
use std::path::Path;

use menagerie::agent::build;
use menagerie::agent::volume::Volume;
use menagerie::archive::access::Mounted;
use menagerie::archive::backlog::Backlog;
use menagerie::archive::chains;
use menagerie::archive::key::{BaseKey, Chain, DiskId, SegmentKey};
use menagerie::archive::manifest::Manifest;
use menagerie::archive::shipper::{Outcome, Shipper};
use menagerie::archive::tree_hash::tree_hash;
use menagerie::model::ParentPoint;
use menagerie::model::ServerId;
use menagerie::model::archive::ArchivePlace;
use tempfile::TempDir;
use zookeeper_files::disk::{MemberFiles, Point, rebuild};
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Acls, Create, Digest, Header, Lifetime, LogItem, LogReader, LogWriter, SessionId, Txn};
use zookeeper_files::replay::{Replay, Tree};

use super::bases::{self, History, rounds};
use super::shipping::{IDENTITY, Place, at, chain};

fn parent(place: &Place, point: &str) -> ParentPoint {
    let target = place.store().target().to_string();
    let place = ArchivePlace { target, ..ArchivePlace::default() };
    ParentPoint { place, identity: IDENTITY.to_owned(), at: point.parse().unwrap(), tree_hash: None }
}

/// A pod that mounts nothing.
fn nowhere() -> Mounted {
    Mounted { credentials: "/nowhere".into(), ca: "/nowhere".into(), keys: "/nowhere".into(), secret: None }
}

async fn built(place: &Place, point: &str) -> Result<TempDir, String> {
    let folder = tempfile::tempdir().unwrap();
    let point = parent(place, point);
    let done = build::build(&point, &Volume::at(folder.path()), &nowhere(), &|_| ()).await;
    done.map(|()| folder).map_err(|error| format!("{error:#}"))
}

fn tree(folder: &Path) -> Tree {
    let member = MemberFiles::find(folder.join("from/version-2").to_str().unwrap()).unwrap();
    rebuild(&[member], Point::End, &mut |_| ()).unwrap().replay.into_tree()
}

async fn whole() -> (Place, History) {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    bases::ship(&place).await;
    (place, history)
}

#[tokio::test]
async fn a_founder_begins_with_the_tree_at_the_point_and_promises_an_epoch_far_above_all_in_the_archive() {
    let (place, history) = whole().await;
    for point in ["0x100000005", "0x100000009"] {
        let folder = built(&place, point).await.unwrap();
        let (tree, number) = (tree(folder.path()), usize::from(point.as_bytes()[10] - b'0'));
        assert_eq!((tree.last(), tree.digest()), (at(1, number as u64), history.trees[number].digest()));
        for (name, expected) in [("currentEpoch", "1"), ("acceptedEpoch", "65536")] {
            assert_eq!(fs::read_to_string(folder.path().join("from/version-2").join(name)).unwrap(), expected);
        }
        // Nothing is left of what was fetched.
        assert!(!folder.path().join("from/archive").exists());
        // Another one that starts later begins with the same bytes.
        let again = built(&place, point).await.unwrap();
        let file = format!("from/version-2/snapshot.{}", tree.last());
        assert_eq!(fs::read(folder.path().join(&file)).unwrap(), fs::read(again.path().join(&file)).unwrap());
    }
}

#[tokio::test]
async fn a_founder_begins_with_no_tree_but_the_one_that_a_backup_has_proved() {
    let (place, history) = whole().await;
    let folder = tempfile::tempdir().unwrap();
    let found = async |hash: &str| {
        let point = ParentPoint { tree_hash: Some(hash.to_owned()), ..parent(&place, "0x100000005") };
        build::build(&point, &Volume::at(folder.path()), &nowhere(), &|_| ()).await
    };
    let proved = tree_hash(&history.trees[5]);
    let error = format!("{:#}", found(tree_hash(&history.trees[4]).text()).await.unwrap_err());
    assert!(error.contains("is not the one that was proved") && error.contains(proved.text()), "{error}");
    assert!(!folder.path().join("from/version-2").exists() && !folder.path().join("version-2").exists());
    found(proved.text()).await.unwrap();
    assert_eq!(tree(folder.path()).last(), at(1, 5));
}

#[tokio::test]
async fn where_the_beginning_of_the_log_is_missing_a_base_before_the_point_will_do_and_no_later_one() {
    let (place, history) = bases::archived(10).await;
    assert_eq!(rounds(&mut bases::agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 5)));
    let folder = built(&place, "0x100000007").await.unwrap();
    assert_eq!(tree(folder.path()).digest(), history.trees[7].digest());
    let refused = built(&place, "0x100000004").await.unwrap_err();
    assert!(
        refused.contains("0x100000004 of ensemble") && refused.contains("no sound snapshot at or before 0x100000004"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_base_that_its_own_log_does_not_prove_is_nothing_to_begin_with() {
    let (place, _) = bases::archived(10).await;
    let mut shipper = Shipper::resume(place.store(), IDENTITY, other(), Backlog::of(&place.data())).await.unwrap();
    while shipper.ship(at(1, 9), 1).await.unwrap() != Outcome::Idle {}
    assert_eq!(rounds(&mut bases::agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 5)));
    built(&place, "0x100000007").await.unwrap();
    fs::remove_dir_all(place.archive().join(IDENTITY).join("log").join(chain().to_string())).unwrap();
    let refused = built(&place, "0x100000007").await.unwrap_err();
    assert!(refused.contains("base 0x100000005 is not proved: the log of its own disk"), "{refused}");
}

#[tokio::test]
async fn a_base_that_is_damaged_is_passed_over() {
    let (place, history) = whole().await;
    history.snapshot(&place.data(), 5);
    assert_eq!(rounds(&mut bases::agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 5)));
    for base in fs::read_dir(place.archive().join(IDENTITY).join("snap")).unwrap() {
        fs::write(base.unwrap().path().join("0000"), "other").unwrap();
    }
    let folder = built(&place, "0x100000007").await.unwrap();
    assert_eq!(tree(folder.path()).digest(), history.trees[7].digest());
}

#[tokio::test]
async fn a_point_that_may_still_change_or_is_not_there_is_refused_with_what_to_name_instead() {
    let (place, _) = whole().await;
    // A transaction a second.
    let folder = built(&place, "2023-11-14T22:13:25.5Z").await.unwrap();
    assert_eq!(tree(folder.path()).last(), at(1, 5));
    for (point, reason) in [
        ("0x10000000a", "the files end with 0x100000009, before 0x10000000a"),
        ("0x200000001", "the files end with 0x100000009"),
        ("2023-11-14T22:13:29Z", "the archive ends at 0x100000009 (2023-11-14T22:13:29"),
        ("2023-11-14T22:13:20Z", "no transaction at hand is as old"),
    ] {
        let refused = built(&place, point).await.unwrap_err();
        assert!(refused.contains(reason), "{point}: {refused}");
    }
    let mut other = parent(&place, "0x100000005");
    other.identity = "another".into();
    let volume = tempfile::tempdir().unwrap();
    let refused = build::build(&other, &Volume::at(volume.path()), &nowhere(), &|_| ()).await.unwrap_err();
    assert!(format!("{refused:#}").contains("has no archived log of ensemble another"), "{refused:#}");
}

#[tokio::test]
async fn a_missing_or_damaged_segment_is_no_shorter_history() {
    for damaged in [true, false] {
        let place = Place::new();
        place.log(1, 1..=9, "a");
        let mut shipper = place.shipper().await.unwrap();
        for applied in [3, 6, 9] {
            shipper.ship(at(1, applied), 1).await.unwrap();
        }
        let middle = chains::segments(&place.store(), IDENTITY, &chain()).await.unwrap().remove(1);
        let path = place.archive().join(middle.path(IDENTITY));
        if damaged {
            fs::write(path, "damaged").unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        let refused = built(&place, "0x100000009").await.unwrap_err();
        assert!(refused.contains("no unbroken log to there: what is after 0x100000003 is missing"), "{refused}");
        assert_eq!(refused.contains("100000004 is damaged"), damaged, "{refused}");
    }
}

pub fn other() -> Chain {
    Chain::of(ServerId(3), DiskId::from_bits(8))
}

/// Two disks with one history, each in three segments.
pub async fn twofold() -> (Place, History) {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    for chain in [chain(), other()] {
        let mut shipper = Shipper::resume(place.store(), IDENTITY, chain, Backlog::of(&place.data())).await.unwrap();
        for applied in [3, 6, 9] {
            shipper.ship(at(1, applied), 1).await.unwrap();
        }
    }
    (place, history)
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug)]
pub enum Ruin {
    Damaged,
    Another,
    Deleted,
}

/// Ruins one of three segments, and returns its name.
pub fn ruin(place: &Place, chain: &Chain, number: u64, ruin: Ruin) -> String {
    let key = |number: u64| SegmentKey { chain: chain.clone(), first: at(1, number * 3 + 1) }.path(IDENTITY);
    let (name, another) = (key(number), key((number + 1) % 3));
    let path = place.archive().join(&name);
    match ruin {
        Ruin::Damaged => fs::write(path, "damaged").unwrap(),
        Ruin::Another => drop(fs::copy(place.archive().join(another), path).unwrap()),
        Ruin::Deleted => fs::remove_file(path).unwrap(),
    }
    name
}

#[tokio::test]
async fn what_cannot_be_read_in_one_disks_log_is_taken_from_anothers_and_named_if_no_other_has_it() {
    for how in [Ruin::Damaged, Ruin::Another, Ruin::Deleted] {
        for number in 0..3 {
            let (place, history) = twofold().await;
            let name = ruin(&place, &chain(), number, how);
            for (point, last) in [("0x100000005", 5_usize), ("2023-11-14T22:13:25.5Z", 5), ("0x100000009", 9)] {
                let folder = built(&place, point).await.unwrap_or_else(|error| panic!("{how:?} {number}: {error}"));
                let tree = tree(folder.path());
                assert_eq!((tree.last(), tree.digest()), (at(1, last as u64), history.trees[last].digest()));
            }
            // Another range of the other disk does not matter.
            ruin(&place, &other(), (number + 1) % 3, how);
            let folder = built(&place, "0x100000009").await.unwrap();
            assert_eq!(tree(folder.path()).digest(), history.trees[9].digest());
            // Both are without this one.
            ruin(&place, &other(), number, Ruin::Damaged);
            let refused = built(&place, "0x100000009").await.unwrap_err();
            let named = matches!(how, Ruin::Deleted) || refused.contains(&name);
            assert!(named && refused.contains("is damaged"), "{how:?} {number}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_time_after_which_all_that_there_is_cannot_be_read_is_refused_with_what_that_is() {
    let (place, _) = twofold().await;
    let names = [chain(), other()].map(|chain| ruin(&place, &chain, 2, Ruin::Damaged));
    let refused = built(&place, "2023-11-14T22:13:27.5Z").await.unwrap_err();
    assert!(refused.contains("the archive ends at 0x100000006"), "{refused}");
    assert!(names.iter().all(|name| refused.contains(&format!("{name} is damaged"))), "{refused}");
}

/// Creates `/EPOCH-COUNTER` with each transaction.
fn log_of_creates(place: &Place, epoch: u64, counters: std::ops::RangeInclusive<u64>, replay: &mut Replay) {
    let path = place.data().join(format!("log.{}", at(epoch, *counters.start())));
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    for counter in counters {
        let (zxid, path) = (at(epoch, counter), format!("/{epoch}-{counter}"));
        let header = Header { session: SessionId(0x1001), cxid: 1, zxid, time: 1_700_000_000_000 };
        let acl = (-1_i32).to_be_bytes();
        let txn = Txn::Create(Create {
            path: Text(path.as_bytes()),
            data: None,
            acl: Acls::decode(&mut Decoder::new(&acl)).unwrap(),
            lifetime: Lifetime::Persistent,
            parent_cversion: Some(i32::try_from(replay.tree().len()).unwrap()),
            with_stat: false,
        });
        let mut alone = LogWriter::new(Vec::new(), 0).unwrap();
        alone.append(header, &txn, None).unwrap();
        let alone = alone.into_inner();
        let mut reader = LogReader::new(&alone[..]).unwrap();
        let Some(LogItem::Record(record)) = reader.next().unwrap() else { panic!() };
        replay.apply(&record);
        let digest = Digest { version: 2, tree: replay.tree().digest() };
        log.append(header, &txn, Some(digest)).unwrap();
    }
    fs::write(path, log.into_inner()).unwrap();
}

/// A log that goes on with the first transaction of a later epoch shows where the one before ended, if nothing is missing between.
#[tokio::test]
async fn what_one_disks_log_lacks_at_the_end_of_an_epoch_is_not_taken_for_what_was_never_committed() {
    let (place, mut replay) = (Place::new(), Replay::new(Tree::initial()));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    log_of_creates(&place, 1, 1..=2, &mut replay);
    // The beginning is purged: all depends on the base.
    fs::remove_file(place.data().join("log.100000001")).unwrap();
    log_of_creates(&place, 1, 3..=4, &mut replay);
    fs::write(place.data().join("snapshot.100000004"), replay.tree().write(Vec::new()).unwrap()).unwrap();
    log_of_creates(&place, 1, 5..=9, &mut replay);
    let ship = async |applied: &[Zxid]| {
        for chain in [chain(), other()] {
            let backlog = Backlog::of(&place.data());
            let mut shipper = Shipper::resume(place.store(), IDENTITY, chain, backlog).await.unwrap();
            for applied in applied {
                let outcome = shipper.ship(*applied, applied.epoch()).await.unwrap();
                assert!(matches!(outcome, Outcome::Shipped { .. }), "{outcome:?}");
            }
        }
    };
    ship(&[at(1, 5), at(1, 9)]).await;
    bases::finish(bases::upload(&place, place.store())).await.unwrap();
    log_of_creates(&place, 2, 1..=3, &mut replay);
    ship(&[at(2, 3)]).await;
    let middle = SegmentKey { chain: chain(), first: at(1, 6) };
    fs::write(place.archive().join(middle.path(IDENTITY)), "damaged").unwrap();
    let tree = tree(built(&place, "0x200000003").await.unwrap().path());
    assert_eq!((tree.last(), tree.digest()), (at(2, 3), replay.tree().digest()));
    assert!(tree.get(b"/1-9").is_some());
}

#[tokio::test]
async fn a_base_of_a_later_version_is_named_where_nothing_else_leads_to_the_point() {
    let (place, _) = bases::archived(10).await;
    assert_eq!(rounds(&mut bases::agent(&place, place.store(), chain()), at(1, 9)).await, Some(at(1, 5)));
    let key = BaseKey { zxid: at(1, 5), chain: chain() };
    let path = place.archive().join(key.manifest(IDENTITY));
    let mut manifest = Manifest::read(&fs::read(&path).unwrap()).unwrap();
    manifest.format += 1;
    fs::write(path, manifest.pack().unwrap()).unwrap();
    let refused = built(&place, "0x100000007").await.unwrap_err();
    assert!(refused.contains(&key.folder(IDENTITY)) && refused.contains("use a newer menagerie"), "{refused}");
}

#[tokio::test]
async fn the_end_of_an_epoch_that_is_in_no_chain_is_missing_though_no_digest_shows_it() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    shipper.ship(at(1, 5), 1).await.unwrap();
    // Its log was cut when it came back, and it was synced with what it then did not log.
    fs::remove_file(place.data().join("log.100000001")).unwrap();
    place.log(2, 1..=9, "a");
    let mut shipper = place.shipper().await.unwrap();
    while !matches!(shipper.ship(at(2, 9), 2).await.unwrap(), Outcome::Idle | Outcome::Waiting | Outcome::Held(_)) {}
    let segments = chains::segments(&place.store(), IDENTITY, &chain()).await.unwrap();
    assert_eq!(segments.len(), 2);
    for point in ["0x200000002", "2023-11-14T22:13:20.006Z"] {
        let refused = built(&place, point).await.unwrap_err();
        assert!(
            refused.contains("no unbroken log to there: what is after 0x100000005 is missing"),
            "{point}: {refused}"
        );
    }
    assert_eq!(tree(built(&place, "0x100000004").await.unwrap().path()).last(), at(1, 4));
}

#[tokio::test]
async fn a_founder_that_comes_late_is_in_the_same_epoch_and_promises_no_other_though_the_archive_has_grown() {
    let (place, _) = whole().await;
    let epochs = |folder: &TempDir| {
        let read = |name| fs::read_to_string(folder.path().join("from/version-2").join(name)).unwrap();
        ["currentEpoch", "acceptedEpoch"].map(read)
    };
    let first = built(&place, "0x100000005").await.unwrap();
    place.log(7, 1..=3, "a");
    let mut shipper = place.shipper().await.unwrap();
    while !matches!(shipper.ship(at(7, 3), 7).await.unwrap(), Outcome::Idle | Outcome::Waiting | Outcome::Held(_)) {}
    let late = built(&place, "0x100000005").await.unwrap();
    // In a later epoch it would lead a quorum that has acknowledged writes, and be without them.
    assert_eq!(epochs(&late), epochs(&first));
}
