//! Rounds on a folder.

use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;
use zookeeper_files::log::{Header, LogWriter, SessionId, Txn};

use super::*;
use crate::agent::fixtures::nobody;
use crate::agent::volume::Volume;
use crate::model::ServerId;
use crate::model::truth::ArchiveState;

fn round(folder: &Path, keep: usize, duty: Duty, room: Option<Room>) -> Result<Done, String> {
    super::round(folder, keep, duty, room, &Known::default())
}

/// Nobody has written to it for a while, and it is so many seconds older.
fn left(path: &Path, seconds: u64) {
    let old = SystemTime::now() - LEFT - Duration::from_secs(seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
}

fn at(epoch: u64, counter: u64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

/// A data folder with a log of ten transactions of the first epoch behind each of so many snapshots.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of(snapshots: u64) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        fs::create_dir(disk.data()).unwrap();
        for number in 0..snapshots {
            disk.snapshot(number * 10, true);
            disk.log(number * 10 + 1..=number * 10 + 10);
        }
        disk
    }

    fn log(&self, counters: RangeInclusive<u64>) {
        let path = self.data().join(format!("log.{}", at(1, *counters.start())));
        let mut log = LogWriter::new(Vec::new(), 0).unwrap();
        for counter in counters {
            let header = Header { session: SessionId(1), cxid: 1, zxid: at(1, counter), time: 0 };
            log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
        }
        fs::write(&path, log.into_inner()).unwrap();
        // An hour old: otherwise the reader waits for the rest of a half-written record.
        let old = std::time::SystemTime::now() - Duration::from_hours(1);
        fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("version-2")
    }

    fn snapshot(&self, counter: u64, whole: bool) {
        let end: &[u8] = if whole { b"\0\0\0\x01/" } else { b"torn" };
        fs::write(self.data().join(format!("snapshot.{}", at(1, counter))), [&b"ZKSN"[..], &[0; 12], end].concat())
            .unwrap();
    }

    /// The counters in the names of its logs and snapshots.
    fn left(&self) -> (Vec<u64>, Vec<u64>) {
        let found = MemberFiles::find(&self.data().to_string_lossy()).unwrap();
        let counters = |files: Vec<DataFile>| files.iter().filter_map(|file| Some(file.zxid?.counter())).collect();
        (counters(found.logs), counters(found.snapshots))
    }
}

/// A member whose last segment is of this one transaction.
fn ships(archived: u64) -> Duty {
    Duty::Ships { archived: Some(ZxidRange::of(at(1, archived))), epoch: Some(1) }
}

/// With this many of its files too many: each takes a block.
fn lacking(disk: &Disk, files: u64) -> Room {
    let block = taken(&disk.data().join(format!("log.{}", at(1, 51)))).unwrap();
    Room { size: 1000 * block, free: (100 - files) * block }
}

#[test]
fn a_member_that_ships_deletes_what_is_archived_and_keeps_the_rest_until_the_volume_fills() {
    let disk = Disk::of(6);
    let round = |archived, room| round(&disk.data(), 3, ships(archived), Some(room)).unwrap();
    let first = round(11, lacking(&disk, 0));
    assert_eq!(disk.left(), (vec![11, 21, 31, 41, 51], vec![30, 40, 50]));
    assert!(first.lost.is_none() && first.kept > 0, "{first:?}");
    disk.log(11..=18);
    let second = round(15, lacking(&disk, 1));
    assert_eq!(second.lost, Some(ZxidRange { first: at(1, 16), last: at(1, 18) }), "the log was read to say that");
    assert_eq!(
        (disk.left().0, second.kept),
        (vec![21, 31, 41, 51], 0),
        "the log before the oldest snapshot is the floor"
    );
    assert_eq!(round(15, lacking(&disk, 50)), Done::default());
    assert_eq!(disk.left(), (vec![21, 31, 41, 51], vec![30, 40, 50]));
}

#[test]
fn a_member_that_ships_nothing_keeps_what_its_server_would() {
    let disk = Disk::of(6);
    assert_eq!(round(&disk.data(), 4, Duty::Nothing, None).unwrap(), Done::default());
    assert_eq!(disk.left(), (vec![11, 21, 31, 41, 51], vec![20, 30, 40, 50]));
}

/// A torn snapshot is none for a start, and so none of those that stay.
#[test]
fn a_snapshot_that_was_not_written_to_its_end_is_not_counted_among_those_that_stay() {
    let disk = Disk::of(6);
    disk.snapshot(30, false);
    disk.snapshot(60, false);
    round(&disk.data(), 3, Duty::Nothing, None).unwrap();
    assert_eq!(disk.left(), (vec![11, 21, 31, 41, 51], vec![20, 30, 40, 50, 60]));
}

/// ZooKeeper counts it by its first bytes. One whole snapshot was left of three, and the log of the others was gone.
#[test]
fn a_packed_snapshot_is_whole_if_it_can_be_read_to_its_end_and_each_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let (known, times) = (Known::default(), std::cell::Cell::new(0));
    let whole = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        left(&path, times.get());
        times.set(times.get() + 1);
        known.whole(&path).unwrap()
    };
    let end = b"ZKSN12345\0\0\0\x01/";
    assert!(whole("snapshot.1", end));
    assert!(
        !whole("snapshot.2", b"\0\0\0\x01/")
            && !whole("snapshot.2", b"ZKSN12345\0\0\0\x02/")
            && !whole("snapshot.2", b"")
    );
    let packed = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packer, bytes).unwrap();
        packer.finish().unwrap()
    };
    let gz = packed(end);
    assert!(whole("snapshot.1.gz", &gz));
    assert!(!whole("snapshot.2.gz", &gz[..gz.len() - 9]), "a full volume broke it off");
    assert!(!whole("snapshot.2.gz", &packed(b"ZKSN12345\0\0\0\x02/")), "it ends in the middle of a tree");
    assert!(!whole("snapshot.3.gz", end) && !whole("snapshot.3.snappy", b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\xff"));
    // It is told anew once it has changed.
    assert!(whole("snapshot.2.gz", &gz));
    fs::remove_file(folder.path().join("snapshot.1.gz")).unwrap();
    assert!(known.whole(&folder.path().join("snapshot.1.gz")).is_err());
}

#[test]
fn what_is_broken_off_of_packed_snapshots_is_not_counted_among_those_that_stay_and_goes_where_there_is_no_room() {
    let disk = Disk::of(6);
    for counter in [70, 80] {
        let path = disk.data().join(format!("snapshot.{}.gz", at(1, counter)));
        fs::write(&path, b"\x1f\x8b\x08\0\0\0\0\0\0\0").unwrap();
        left(&path, 0);
    }
    let before = disk.left();
    round(&disk.data(), 6, Duty::Nothing, None).unwrap();
    assert_eq!(disk.left(), before, "six are whole");
    round(&disk.data(), 6, Duty::Nothing, Some(lacking(&disk, 1))).unwrap();
    assert_eq!(disk.left().1, [0, 10, 20, 30, 40, 50, 80], "the newest may be readable to its server all the same");
}

/// ZooKeeper stops at its own end, and may be content with a file that we are not: where too few are whole, it may be all that there is.
#[test]
fn what_is_broken_off_of_packed_snapshots_stays_where_too_few_are_whole() {
    let disk = Disk::of(6);
    for counter in [0, 10, 20, 30] {
        fs::remove_file(disk.data().join(format!("snapshot.{}", at(1, counter)))).unwrap();
        let path = disk.data().join(format!("snapshot.{}.gz", at(1, counter)));
        fs::write(&path, b"\x1f\x8b\x08\0\0\0\0\0\0\0").unwrap();
        left(&path, 0);
    }
    let before = disk.left();
    round(&disk.data(), 3, Duty::Nothing, Some(lacking(&disk, 50))).unwrap();
    assert_eq!(disk.left(), before);
}

#[test]
fn other_files_are_nobodys_business_and_what_is_no_regular_file_ends_the_round() {
    let disk = Disk::of(6);
    for name in ["log.100000001.bak", "snapshot.100000000.tmp", "currentEpoch", "notes"] {
        fs::write(disk.data().join(name), "x").unwrap();
    }
    fs::create_dir(disk.data().join("snapshot.5")).unwrap();
    let elsewhere = disk.0.path().join("elsewhere");
    fs::rename(disk.data().join(format!("snapshot.{}", at(1, 10))), &elsewhere).unwrap();
    symlink(&elsewhere, disk.data().join(format!("snapshot.{}", at(1, 10)))).unwrap();
    let error = round(&disk.data(), 3, Duty::Nothing, None).unwrap_err();
    assert!(error.contains("is no regular file"), "{error}");
    assert_eq!(disk.left().0.len(), 6);
    fs::remove_file(disk.data().join(format!("snapshot.{}", at(1, 10)))).unwrap();
    round(&disk.data(), 3, Duty::Nothing, None).unwrap();
    assert_eq!(disk.left().1, [30, 40, 50]);
    for name in ["log.100000001.bak", "snapshot.100000000.tmp", "currentEpoch", "notes", "snapshot.5"] {
        assert!(disk.data().join(name).exists(), "{name}");
    }
    assert!(elsewhere.exists());
}

#[test]
fn a_folder_that_is_empty_or_nested_in_another_one_is_left_alone() {
    let disk = Disk::of(0);
    assert_eq!(round(&disk.data(), 3, Duty::Nothing, None).unwrap(), Done::default());
    let disk = Disk::of(6);
    let nested = disk.data().join("version-2");
    fs::create_dir(&nested).unwrap();
    fs::write(nested.join("log.1"), "").unwrap();
    assert!(round(&disk.data(), 3, Duty::Nothing, None).unwrap_err().contains("its files are not in"));
}

#[test]
fn what_is_given_up_in_several_rounds_is_one_range_unless_something_was_archived_in_between() {
    let range = |first, last| ZxidRange { first: Zxid(first), last: Zxid(last) };
    let mut memory = Memory::default();
    let said = |memory: &Memory| memory.said().given_up.map(|lost| (lost.first.0, lost.last.0));
    memory.lost(range(5, 9), Some(Zxid(4)));
    memory.lost(range(10, 12), Some(Zxid(4)));
    assert_eq!(said(&memory), Some((5, 12)));
    // A segment that was on its way.
    memory.reached(Some(Zxid(6)));
    assert_eq!(said(&memory), Some((7, 12)));
    memory.reached(Some(Zxid(20)));
    assert_eq!(said(&memory), Some((7, 12)), "the archive goes on behind it");
    memory.lost(range(21, 30), Some(Zxid(20)));
    assert_eq!(said(&memory), Some((21, 30)));
    memory.reached(Some(Zxid(30)));
    assert_eq!(said(&memory), None);
}

#[tokio::test]
async fn what_another_archive_has_or_one_that_is_not_this_disks_is_not_known_to_be_archived() {
    let member = Member::new(ServerId(1), nobody().await, Volume::at(Path::new("/nonexistent")), None);
    let known = |reason, place: &str| {
        let state = ArchiveState { place: Some("s3://a".to_owned()), ..ArchiveState::of(reason) };
        member.archiving.ships(state, Some(ZxidRange::of(Zxid(7))));
        archived(&member.archiving, place)
    };
    for reason in [ArchiveReason::Shipping, ArchiveReason::TargetUnreachable, ArchiveReason::AccessDenied] {
        assert_eq!(known(reason, "s3://a"), Some(ZxidRange::of(Zxid(7))), "{reason:?}");
    }
    for reason in [ArchiveReason::Conflict, ArchiveReason::NoSuchBucket, ArchiveReason::ArchiveDamaged] {
        assert_eq!(known(reason, "s3://a"), None, "{reason:?}");
    }
    assert_eq!(known(ArchiveReason::Shipping, "s3://b"), None);
}

/// A server reads once whether it purges: until it is restarted, nobody did after its archive was taken out of the spec.
#[tokio::test]
async fn while_a_server_runs_that_does_not_purge_its_agent_does_though_there_is_no_archive_any_more() {
    let (disk, seed) = (Disk::of(6), tempfile::tempdir().unwrap());
    let member = Arc::new(Member::new(ServerId(1), nobody().await, Volume::at(disk.0.path()), None));
    let mounted = crate::archive::access::Mounted {
        credentials: PathBuf::new(),
        ca: PathBuf::new(),
        keys: PathBuf::new(),
        secret: None,
    };
    let folders = Folders { data: disk.0.path().to_owned(), seed: seed.path().to_owned(), mounted };
    let pace = Pace { look: Duration::from_millis(10), hour: Duration::from_millis(10) };
    let mut memory = Memory { served: true, ..Memory::default() };
    look(&member, &folders, None, pace, &mut memory).await;
    assert_eq!(disk.left().1.len(), 6, "its server purges");
    memory.purging = Some(Purging { hours: 1, snapshots: 3 });
    look(&member, &folders, None, pace, &mut memory).await;
    assert_eq!(disk.left().1, [30, 40, 50]);
}

/// A start reads all of these files, and what is wrong with the volume is found out by `prepare`.
#[tokio::test]
async fn nothing_is_deleted_before_the_server_has_served() {
    let disk = Disk::of(6);
    let seed = tempfile::tempdir().unwrap();
    let config = json!({
        "target": "s3://a", "credentials": false, "members": [1], "intervalSeconds": 1, "purge": {"hours": 1, "snapshots": 3},
    });
    fs::write(seed.path().join("archive.json"), config.to_string()).unwrap();
    let member = Arc::new(Member::new(ServerId(2), nobody().await, Volume::at(disk.0.path()), None));
    let mounted = crate::archive::access::Mounted {
        credentials: PathBuf::new(),
        ca: PathBuf::new(),
        keys: PathBuf::new(),
        secret: None,
    };
    let folders = Folders { data: disk.0.path().to_owned(), seed: seed.path().to_owned(), mounted };
    let pace = Pace { look: Duration::from_millis(10), hour: Duration::from_millis(10) };
    let purging = tokio::spawn(watch(member, folders, pace));
    sleep(Duration::from_secs(1)).await;
    purging.abort();
    // The disk of this machine may be so full that a server could not start.
    assert!(disk.left().0.len() == 6 || is_filling(&disk.data(), &Known::default()));
}
