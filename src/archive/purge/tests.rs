//! The laws of the purge.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest};

use super::*;

/// What ZooKeeper's own purge keeps (`PurgeTxnLog.purgeOlderSnapshots`), in its own words; all, where fewer snapshots are whole.
fn floor(files: &Files, keep: usize) -> BTreeSet<PathBuf> {
    let mut valid: Vec<Zxid> =
        files.snapshots.iter().filter(|snapshot| snapshot.whole).map(|snapshot| snapshot.zxid).collect();
    valid.sort_by(|a, b| b.cmp(a));
    let least = match valid.get(keep.max(3) - 1) {
        Some(least) => *least,
        None => Zxid(0),
    };
    let begins = files.logs.iter().map(|log| log.first).filter(|first| *first <= least).max().unwrap_or(Zxid(0));
    let logs = files.logs.iter().filter(|log| log.first >= begins || log.first >= least).map(|log| log.path.clone());
    // ZooKeeper may read what is broken off of a packed one.
    let (few, newest) = (valid.len() < 3, files.snapshots.last());
    let useless = |snapshot: &Snapshot| snapshot.torn && !(snapshot.packed && (few || Some(snapshot) == newest));
    let snapshots = files.snapshots.iter().filter(|snapshot| snapshot.zxid >= least && !useless(snapshot));
    logs.chain(snapshots.map(|snapshot| snapshot.path.clone())).collect()
}

/// Zxids of a few epochs, close together.
fn zxid() -> impl Strategy<Value = Zxid> {
    (1_u64..4, 0_u64..40).prop_map(|(epoch, counter)| Zxid(epoch << 32 | counter))
}

fn files() -> impl Strategy<Value = Files> {
    let log = (zxid(), any::<bool>(), 1_u64..100);
    let snapshot = (zxid(), prop::bool::weighted(0.8), any::<bool>(), any::<bool>(), 1_u64..100);
    (prop::collection::vec(log, 0..9), prop::collection::vec(snapshot, 0..9)).prop_map(|(logs, snapshots)| {
        let mut logs: Vec<_> = logs
            .into_iter()
            .map(|(first, looked, bytes)| Log {
                path: format!("log.{first}").into(),
                first,
                last: looked.then_some(first),
                bytes,
            })
            .collect();
        logs.sort_by_key(|log| log.first);
        logs.dedup_by_key(|log| log.first);
        let firsts: Vec<_> = logs.iter().map(|log| log.first).collect();
        for (at, log) in logs.iter_mut().enumerate() {
            // Half way to the next one, where somebody has looked.
            let next = firsts.get(at + 1).map_or(log.first.0 + 8, |next| next.0);
            log.last = log.last.map(|_| Zxid(log.first.0 + (next - log.first.0 - 1) / 2));
        }
        let mut snapshots: Vec<_> = snapshots
            .into_iter()
            .map(|(zxid, whole, left, packed, bytes)| Snapshot {
                path: format!("snapshot.{zxid}").into(),
                zxid,
                whole,
                torn: !whole && left,
                packed,
                bytes,
            })
            .collect();
        snapshots.sort_by_key(|snapshot| snapshot.zxid);
        snapshots.dedup_by_key(|snapshot| snapshot.zxid);
        Files { logs, snapshots }
    })
}

/// A segment that ends there.
fn segment(last: Zxid, span: u64) -> ZxidRange {
    ZxidRange { first: Zxid(last.0 - span), last }
}

fn duty() -> impl Strategy<Value = Duty> {
    let segment = (zxid(), 0_u64..30).prop_map(|(last, span)| segment(last, span));
    let ships = (prop::option::weighted(0.8, segment), prop::option::weighted(0.8, 1_u64..4));
    prop_oneof![1 => Just(Duty::Nothing), 4 => ships.prop_map(|(archived, epoch)| Duty::Ships { archived, epoch })]
}

fn room() -> impl Strategy<Value = Option<Room>> {
    prop::option::weighted(0.8, (0_u64..300).prop_map(|free| Room { size: 2000, free }))
}

fn gone(purge: &Purge) -> BTreeSet<PathBuf> {
    purge.goes.iter().map(|going| going.path.clone()).collect()
}

fn left(files: &Files, purge: &Purge, first: usize) -> Files {
    let gone: BTreeSet<_> = purge.goes[..first].iter().map(|going| &going.path).collect();
    Files {
        logs: files.logs.iter().filter(|log| !gone.contains(&log.path)).cloned().collect(),
        snapshots: files.snapshots.iter().filter(|snapshot| !gone.contains(&snapshot.path)).cloned().collect(),
    }
}

fn bytes(files: &Files, going: &[Going]) -> u64 {
    let logs = files.logs.iter().map(|log| (&log.path, log.bytes));
    let all = logs.chain(files.snapshots.iter().map(|snapshot| (&snapshot.path, snapshot.bytes)));
    all.filter(|(path, _)| going.iter().any(|going| going.path == **path)).map(|(_, bytes)| bytes).sum()
}

/// What a log may have and the archive has not.
fn lacks(files: &Files, path: &PathBuf, duty: Duty) -> Option<ZxidRange> {
    let at = files.logs.iter().position(|log| log.path == *path)?;
    let log = &files.logs[at];
    let last = log.last.unwrap_or_else(|| files.logs.get(at + 1).map_or(Zxid(u64::MAX), |next| Zxid(next.first.0 - 1)));
    let Duty::Ships { archived, .. } = duty else { return None };
    let first = archived.map_or(log.first, |archived| log.first.max(Zxid(archived.last.0 + 1)));
    (first <= last).then_some(ZxidRange { first, last })
}

/// So many snapshots stay: three, where there is no room for more.
fn kept(files: &Files, keep: usize, room: Option<Room>) -> usize {
    if room.is_some_and(|room| room.lacks(files.newest()) > 0) { LEAST } else { keep }
}

proptest! {
    #[test]
    fn nothing_goes_that_zookeeper_itself_would_keep(
        files in files(), keep in 0_usize..6, duty in duty(), room in room(),
    ) {
        let purge = purge(&files, keep, duty, room);
        prop_assert!(gone(&purge).is_disjoint(&floor(&files, kept(&files, keep, room))), "{purge:?}");
        let whole = files.snapshots.iter().rfind(|snapshot| !snapshot.torn);
        let newest = [files.logs.last().map(|log| &log.path), whole.map(|snapshot| &snapshot.path)];
        prop_assert!(purge.goes.iter().all(|going| !newest.contains(&Some(&going.path))));
    }

    #[test]
    fn a_member_that_ships_nothing_purges_as_zookeeper_does_while_there_is_room(files in files(), keep in 3_usize..6) {
        let purge = purge(&files, keep, Duty::Nothing, None);
        let whole = files.snapshots.iter().filter(|snapshot| snapshot.whole).count();
        prop_assume!(whole >= keep);
        let all: BTreeSet<_> = files.logs.iter().map(|log| log.path.clone()).chain(files.snapshots.iter().map(|snapshot| snapshot.path.clone())).collect();
        // What is torn is another matter: it goes where there is no room.
        let torn: BTreeSet<_> = files.snapshots.iter().filter(|snapshot| snapshot.torn).map(|snapshot| snapshot.path.clone()).collect();
        let expected: BTreeSet<_> = all.difference(&floor(&files, keep)).cloned().collect();
        let but_torn = |paths: BTreeSet<PathBuf>| paths.difference(&torn).cloned().collect::<BTreeSet<_>>();
        prop_assert_eq!(but_torn(gone(&purge)), but_torn(expected));
        prop_assert!(purge.goes.iter().all(|going| going.lost.is_none()) && purge.kept == 0);
    }

    #[test]
    fn nothing_that_is_not_archived_goes_while_there_is_room(files in files(), keep in 3_usize..6, duty in duty()) {
        for room in [None, Some(Room { size: 2000, free: 200 })] {
            for going in purge(&files, keep, duty, room).goes {
                prop_assert_eq!(lacks(&files, &going.path, duty), None);
                prop_assert_eq!(going.lost, None);
            }
        }
    }

    /// Without it, the first segment of an agent that starts again did not follow on the last one.
    #[test]
    fn the_log_with_the_last_segment_stays_while_there_is_room(files in files(), keep in 3_usize..6, duty in duty()) {
        let Duty::Ships { archived: Some(archived), .. } = duty else { return Ok(()) };
        let gone = gone(&purge(&files, keep, duty, None));
        for (at, log) in files.logs.iter().enumerate() {
            let last = log.last.unwrap_or_else(|| files.logs.get(at + 1).map_or(Zxid(u64::MAX), |next| Zxid(next.first.0 - 1)));
            prop_assert!(last < archived.first || !gone.contains(&log.path), "{log:?}");
        }
    }

    #[test]
    fn where_it_is_unknown_how_far_the_archive_reaches_all_stays(
        files in files(), keep in 3_usize..6, epoch in prop::option::of(1_u64..4),
    ) {
        let purge = purge(&files, keep, Duty::Ships { archived: None, epoch }, None);
        prop_assert_eq!(purge.goes, vec![]);
    }

    #[test]
    fn what_is_given_up_is_exactly_what_goes_and_is_not_archived(
        files in files(), keep in 3_usize..6, duty in duty(), room in room(),
    ) {
        for going in purge(&files, keep, duty, room).goes {
            prop_assert_eq!(going.lost, lacks(&files, &going.path, duty), "{:?}", going.path);
        }
    }

    #[test]
    fn no_more_is_given_up_than_is_needed_and_the_oldest_first(
        files in files(), keep in 3_usize..6, duty in duty(), room in room(),
    ) {
        let purge = purge(&files, keep, duty, room);
        let lacks = room.map_or(0, |room| room.lacks(files.newest()));
        if let Some(at) = purge.goes.iter().position(|going| going.lost.is_some()) {
            prop_assert!(purge.goes[at..].iter().all(|going| going.lost.is_some()), "after all others");
            prop_assert!(bytes(&files, &purge.goes[..purge.goes.len() - 1]) < lacks);
        }
        let logs = purge.goes.iter().filter(|going| going.path.to_string_lossy().starts_with("log")).count();
        for (going, log) in purge.goes[purge.goes.len() - logs..].iter().zip(&files.logs) {
            prop_assert_eq!(&going.path, &log.path);
        }
        let torn = |path: &PathBuf| files.snapshots.iter().any(|snapshot| snapshot.torn && snapshot.path == *path);
        let snapshots = &purge.goes[..purge.goes.len() - logs];
        // Below the oldest that stays, a torn one goes like any other; above it, before all others.
        let keep = kept(&files, keep, room);
        let whole = files.snapshots.iter().rev().filter(|snapshot| snapshot.whole).nth(keep - 1);
        let above = |path: &PathBuf| {
            let zxid = files.snapshots.iter().find(|snapshot| snapshot.path == *path).map(|snapshot| snapshot.zxid);
            zxid >= whole.map(|whole| whole.zxid)
        };
        let broken = snapshots.iter().take_while(|going| above(&going.path)).count();
        prop_assert!(snapshots[..broken].iter().all(|going| torn(&going.path)), "what is broken goes first");
        for (going, snapshot) in snapshots[broken..].iter().zip(&files.snapshots) {
            prop_assert_eq!(&going.path, &snapshot.path);
        }
    }

    #[test]
    fn serving_comes_first_where_the_volume_fills(files in files(), keep in 3_usize..6, duty in duty(), free in 0_u64..200) {
        let room = Room { size: 2000, free };
        let purge = purge(&files, keep, duty, Some(room));
        let needed = floor(&files, kept(&files, keep, Some(room)));
        let (logs, snapshots) = (files.logs.iter().map(|log| &log.path), files.snapshots.iter().map(|snapshot| &snapshot.path));
        let gone = gone(&purge);
        let all = logs.chain(snapshots).all(|path| needed.contains(path) || gone.contains(path));
        prop_assert!(bytes(&files, &purge.goes) >= room.lacks(files.newest()) || all, "{purge:?}");
    }

    #[test]
    fn each_file_goes_once_and_a_second_round_takes_nothing_more(
        files in files(), keep in 3_usize..6, duty in duty(), room in room(),
    ) {
        let once = purge(&files, keep, duty, room);
        prop_assert_eq!(gone(&once).len(), once.goes.len());
        // With fewer snapshots than are to stay, nothing is said to be kept.
        let calm = kept(&files, keep, room) == keep;
        let freed = bytes(&files, &once.goes);
        let room = room.map(|room| Room { free: room.free + freed, ..room });
        let again = purge(&left(&files, &once, once.goes.len()), keep, duty, room);
        prop_assert_eq!(again.goes, vec![]);
        prop_assert!(!calm || again.kept == once.kept);
    }

    /// A crash in the middle leaves what the next round takes.
    #[test]
    fn a_round_that_broke_off_is_finished_by_the_next_one(
        files in files(), keep in 3_usize..6, duty in duty(), room in room(), broken in any::<prop::sample::Index>(),
    ) {
        let whole = purge(&files, keep, duty, room);
        let done = broken.index(whole.goes.len() + 1);
        let freed = bytes(&files, &whole.goes[..done]);
        let room = room.map(|room| Room { free: room.free + freed, ..room });
        let rest = purge(&left(&files, &whole, done), keep, duty, room);
        // What only goes for want of room stays once there is some.
        prop_assert!(whole.goes[done..].starts_with(&rest.goes), "{rest:?} of {:?}", &whole.goes[done..]);
        let lacks = room.is_some_and(|room| room.lacks(files.newest()) > 0);
        prop_assert!(!lacks || rest.goes.len() == whole.goes.len() - done, "{rest:?} of {:?}", &whole.goes[done..]);
    }

    /// Whatever goes, in whichever order it is broken off: no snapshot is left whose log is gone.
    #[test]
    fn each_snapshot_that_is_left_has_all_of_its_log(
        files in files(), keep in 3_usize..6, duty in duty(), room in room(), broken in any::<prop::sample::Index>(),
    ) {
        let purge = purge(&files, keep, duty, room);
        let done = broken.index(purge.goes.len() + 1);
        let left = left(&files, &purge, done);
        for snapshot in &left.snapshots {
            let needed = files.logs.iter().rposition(|log| log.first <= snapshot.zxid).unwrap_or(0);
            for log in &files.logs[needed.min(files.logs.len())..] {
                prop_assert!(left.logs.contains(log), "{snapshot:?} without {log:?}: {purge:?}");
            }
        }
    }

    #[test]
    fn the_more_is_archived_the_more_goes_and_the_less_is_given_up(
        files in files(), keep in 3_usize..6, one in zxid(), other in zxid(), span in 0_u64..30, epoch in prop::option::of(1_u64..4), room in room(),
    ) {
        let ships = |archived| Duty::Ships { archived: Some(segment(archived, span)), epoch };
        let (less, more) = (ships(one.min(other)), ships(one.max(other)));
        let (with_less, with_more) = (purge(&files, keep, less, None), purge(&files, keep, more, None));
        prop_assert!(gone(&with_less).is_subset(&gone(&with_more)) && with_less.kept >= with_more.kept);
        let lost = |duty| -> BTreeSet<_> {
            purge(&files, keep, duty, room).goes.into_iter().filter(|going| going.lost.is_some()).map(|going| going.path).collect()
        };
        prop_assert!(lost(more).is_subset(&lost(less)));
    }

    #[test]
    fn the_fewer_snapshots_are_kept_and_the_less_is_free_the_more_goes(
        files in files(), keep in 3_usize..6, more in 0_usize..3, duty in duty(), free in 0_u64..300, less in 0_u64..300,
    ) {
        let with = |keep, free| gone(&purge(&files, keep, duty, Some(Room { size: 2000, free })));
        prop_assert!(with(keep, free.max(less)).is_subset(&with(keep, free.min(less))));
        let calm = |keep| gone(&purge(&files, keep, duty, None));
        prop_assert!(calm(keep + more).is_subset(&calm(keep)));
    }
}

fn at(epoch: u64, counter: u64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

fn folder(snapshots: &[Zxid], logs: &[Zxid]) -> Files {
    let snapshots = snapshots.iter().map(|zxid| Snapshot {
        path: format!("snapshot.{zxid}").into(),
        zxid: *zxid,
        whole: true,
        torn: false,
        packed: false,
        bytes: 10,
    });
    let logs =
        logs.iter().map(|first| Log { path: format!("log.{first}").into(), first: *first, last: None, bytes: 10 });
    Files { logs: logs.collect(), snapshots: snapshots.collect() }
}

fn names(purge: &Purge) -> Vec<String> {
    purge.goes.iter().map(|going| going.path.display().to_string()).collect()
}

/// Six hundred transactions of one epoch, with a snapshot before each hundred.
fn hundreds() -> Files {
    let names = |more: u64| (0..6).map(move |n| at(1, n * 100 + more)).collect::<Vec<_>>();
    folder(&names(0), &names(1))
}

#[test]
fn a_log_goes_once_the_archive_has_its_last_transaction() {
    let files = hundreds();
    let ships = |archived| Duty::Ships { archived: Some(segment(at(1, archived), 9)), epoch: Some(1) };
    let goes = |archived| names(&purge(&files, 3, ships(archived), None));
    let snapshots = ["snapshot.100000000", "snapshot.100000064", "snapshot.1000000c8"];
    assert_eq!(goes(99), snapshots);
    assert_eq!(goes(109), snapshots, "the last segment begins in the first log");
    assert_eq!(goes(110)[3..], ["log.100000001"]);
    assert_eq!(
        goes(600)[3..],
        ["log.100000001", "log.100000065"],
        "the third begins before the oldest snapshot of three"
    );
    assert_eq!(purge(&files, 3, ships(99), None).kept, 20);
    let full = purge(&files, 3, ships(109), Some(Room { size: 1000, free: 60 }));
    assert_eq!(
        (names(&full)[3..].to_vec(), full.goes[3].lost),
        (vec!["log.100000001".to_owned()], None),
        "it is archived"
    );
}

/// With ten snapshots, as the pages of some clients advise, a server ended for good though all of its log was archived.
#[test]
fn where_there_is_no_room_three_snapshots_are_enough_however_many_are_to_stay() {
    let files = hundreds();
    for duty in [Duty::Nothing, Duty::Ships { archived: Some(segment(at(1, 600), 9)), epoch: Some(1) }] {
        let goes = |free| names(&purge(&files, 10, duty, Some(Room { size: 1000, free })));
        assert_eq!(goes(100), Vec::<String>::new(), "{duty:?}");
        // No more than is needed, and the oldest first.
        assert_eq!(goes(90), ["snapshot.100000000"], "{duty:?}");
        assert_eq!(goes(60)[..3], ["snapshot.100000000", "snapshot.100000064", "snapshot.1000000c8"], "{duty:?}");
        assert_eq!(goes(0).len(), 5, "{duty:?}");
    }
}

/// A disk that others fill is never short of what one server needs.
#[test]
fn of_a_large_volume_no_tenth_has_to_be_free() {
    let (gib, files) = (1_u64 << 30, hundreds());
    let ships = Duty::Ships { archived: None, epoch: Some(1) };
    let goes = |free| purge(&files, 3, ships, Some(Room { size: 3 << 40, free })).goes.len();
    assert_eq!((goes(284 * gib), goes(4 * gib)), (0, 0));
    assert!(goes(4 * gib - 1) > 0);
}

#[test]
fn snapshots_by_which_the_gate_judges_an_epoch_that_is_over_stay_and_go_first_where_the_volume_fills() {
    let files = hundreds();
    let ships = Duty::Ships { archived: Some(segment(at(1, 150), 9)), epoch: Some(2) };
    assert_eq!(
        names(&purge(&files, 3, ships, None)),
        ["snapshot.100000000"],
        "and the log behind the second stays with it"
    );
    let filling = |lacks: u64| purge(&files, 3, ships, Some(Room { size: 1000, free: 100 - lacks }));
    let [one, two, three] = ["snapshot.100000000", "snapshot.100000064", "snapshot.1000000c8"];
    assert_eq!(
        names(&filling(11)),
        [one, two, "log.100000001"],
        "it is archived, and stayed for the second snapshot alone"
    );
    assert_eq!(names(&filling(31)), [one, two, three, "log.100000001"]);
    let all = filling(100);
    assert_eq!(names(&all)[3..], ["log.100000001", "log.100000065"]);
    let lost: Vec<_> = all.goes.iter().filter_map(|going| going.lost).collect();
    assert_eq!(lost, [ZxidRange { first: at(1, 151), last: at(1, 200) }]);
}

/// A log that was read ends where it ends, and not before the next one.
#[test]
fn a_log_whose_end_is_known_is_archived_by_that() {
    let mut files = folder(&[at(1, 0), at(3, 2), at(3, 5), at(3, 9)], &[at(1, 1), at(3, 1), at(3, 10)]);
    let ships = Duty::Ships { archived: Some(segment(at(1, 20), 9)), epoch: Some(1) };
    let full = Some(Room { size: 1000, free: 0 });
    let lost =
        |files: &Files| purge(files, 3, ships, full).goes.iter().filter_map(|going| going.lost).collect::<Vec<_>>();
    assert_eq!(lost(&files), [ZxidRange { first: at(1, 21), last: Zxid(at(3, 1).0 - 1) }]);
    files.logs[0].last = Some(at(1, 25));
    assert_eq!(lost(&files), [ZxidRange { first: at(1, 21), last: at(1, 25) }]);
    files.logs[0].last = Some(at(1, 20));
    assert_eq!(lost(&files), []);
}

/// A tree that is larger than a tenth of the volume left a torn snapshot behind at each start, and the server never had room for a whole one.
#[test]
fn there_is_room_for_the_next_snapshot_and_what_a_full_volume_broke_off_goes_first() {
    let mut files = folder(&[at(1, 0), at(1, 100), at(1, 200)], &[at(1, 1), at(1, 101), at(1, 201)]);
    for snapshot in &mut files.snapshots {
        snapshot.bytes = 300;
    }
    let ships = Duty::Ships { archived: None, epoch: Some(1) };
    let room = |free| Some(Room { size: 2000, free });
    assert_eq!(room(375).unwrap().lacks(files.newest()), 0);
    assert_eq!(room(374).unwrap().lacks(files.newest()), 1, "a tenth would be 200");
    let torn = |counter: u64, torn| Snapshot {
        path: format!("snapshot.{}", at(1, counter)).into(),
        zxid: at(1, counter),
        whole: false,
        torn,
        packed: false,
        bytes: 100,
    };
    files.snapshots.extend([torn(300, true), torn(301, true), torn(302, false)]);
    assert_eq!(names(&purge(&files, 3, ships, room(375))), [""; 0], "while there is room nothing is hurried");
    assert_eq!(names(&purge(&files, 3, ships, room(200))), ["snapshot.10000012c", "snapshot.10000012d"]);
    assert_eq!(names(&purge(&files, 3, ships, room(300))), ["snapshot.10000012c"], "no more than is needed");
    let mut packed = files.clone();
    packed.snapshots.pop();
    packed.snapshots.iter_mut().for_each(|snapshot| snapshot.packed = true);
    let goes = |files: &Files| names(&purge(files, 3, ships, room(200)));
    assert_eq!(goes(&packed), ["snapshot.10000012c"], "its server may be content with the newest");
    packed.snapshots.remove(0);
    assert_eq!(goes(&packed), [""; 0], "they may be all that there is");
    files.snapshots.drain(..2);
    assert_eq!(
        goes(&files),
        ["snapshot.10000012c", "snapshot.10000012d"],
        "of whole ones nothing goes, as there are few"
    );
}
