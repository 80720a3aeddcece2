//! `menagerie archive stat` and `prune`: in a folder, in a real S3 store, and where things go wrong.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use menagerie::archive::backlog::Backlog;
use menagerie::archive::bases;
use menagerie::archive::catalogue;
use menagerie::archive::key::BaseKey;
use menagerie::archive::pins::{self, NamedPin};
use menagerie::archive::prune::{Decision, PruneError, decide, now, time};
use menagerie::archive::pruner::{News, Pruner, Tally};
use menagerie::archive::retention::{self, BaseState, Fate, GRACE, Pin, Wish};
use menagerie::archive::shipper::Shipper;
use menagerie::archive::store::Store;
use zookeeper_files::ids::Zxid;

use super::bases::{History, finish, upload};
use super::gateway::{Gateway, KEY, SECRET, store_at};
use super::proxy::{Proxy, Trouble};
use super::shipping::{IDENTITY, Place, at, chain};

pub const DAY: i64 = 24 * 60 * 60 * 1000;
const KEEP: Wish = Wish { window: 30 * DAY, pins: Vec::new() };

/// Nine segments of one transaction each, and bases of the 2nd, the 5th and the 8th.
pub async fn archived(store: &Store) -> Place {
    shipped(store, 9, &[2, 5, 8]).await
}

/// So many segments of one transaction each, and these bases.
async fn shipped(store: &Store, count: usize, bases: &[usize]) -> Place {
    let (place, history) = (Place::new(), History::of(count, 10));
    fs::remove_file(place.data().join("snapshot.0")).unwrap();
    history.log(&place.data(), 1..=count);
    let mut shipper = Shipper::resume(store.clone(), IDENTITY, chain(), Backlog::of(&place.data())).await.unwrap();
    for counter in 1..count as u64 {
        shipper.ship(at(1, counter), 1).await.unwrap();
    }
    for &number in bases {
        history.snapshot(&place.data(), number);
        finish(upload(&place, store.clone())).await.unwrap();
    }
    // The log goes on: nothing else is relied on.
    shipper.ship(at(1, count as u64), 1).await.unwrap();
    place
}

/// In a folder, with bases of 40, 35 and 10 days, and log as old.
pub async fn aged() -> (Place, String) {
    let folder = Place::new();
    let place = archived(&folder.store()).await;
    // The folder of the store is the one that is asked for; the member's is another.
    fs::remove_dir(place.archive()).unwrap();
    fs::rename(folder.archive(), place.archive()).unwrap();
    for (counter, days) in [(2, 40), (5, 35), (8, 10)] {
        age(&base(&place, counter), days * DAY);
    }
    let key = |counter| menagerie::archive::key::SegmentKey { chain: chain(), first: at(1, counter) };
    for counter in 1..=9 {
        let days = match counter {
            ..6 => 45,
            6..9 => 12,
            _ => 9,
        };
        age(&place.archive().join(key(counter).path(IDENTITY)), days * DAY);
    }
    let target = place.store().target().to_string();
    (place, target)
}

pub fn base(place: &Place, counter: u64) -> PathBuf {
    let key = BaseKey { zxid: at(1, counter), chain: chain() };
    place.archive().join(key.folder(IDENTITY))
}

/// Makes a file, or all files of a folder, so much older.
pub fn age(path: &Path, millis: i64) {
    let time = SystemTime::now() - Duration::from_millis(millis.unsigned_abs());
    let files = if path.is_dir() {
        fs::read_dir(path).unwrap().map(|file| file.unwrap().path()).collect()
    } else {
        vec![path.to_owned()]
    };
    for file in files {
        fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    }
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menagerie")).args(arguments).output().unwrap()
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The counters of the segments that are there.
pub async fn log(store: &Store) -> Vec<u64> {
    let segments = menagerie::archive::chains::segments(store, IDENTITY, &chain()).await.unwrap();
    segments.iter().map(|key| key.first.counter()).collect()
}

/// That the tree of these points, and of no other, can be built from what is fetched.
fn builds(target: &str, counters: std::ops::RangeInclusive<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    let fetched = run(&["archive", "fetch", target, "--to", to.to_str().unwrap()]);
    assert!(fetched.status.success(), "{}", text(&fetched));
    let folders: Vec<PathBuf> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path()).collect();
    for counter in 1..=9 {
        let zxid = format!("{:#}", at(1, counter));
        let folders = folders.iter().map(|folder| folder.to_str().unwrap());
        let words: Vec<&str> = ["snapshot", "tree"].into_iter().chain(folders).chain(["--at", &zxid]).collect();
        let tree = run(&words);
        let built = tree.status.success() && text(&tree).contains(&format!("/{counter}"));
        assert_eq!(built, counters.contains(&counter), "{counter}: {}", text(&tree));
    }
}

#[tokio::test]
async fn a_month_is_kept_and_what_is_older_goes_in_two_runs() {
    let (place, target) = aged().await;
    let stat = text(&run(&["archive", "stat", &target]));
    for part in [
        "can be built from 0x100000008 to 0x100000009",
        "and from 0x100000001 (by ",
        "base 0x100000002 of 2.0000000000000007: complete",
        "all of the last 30d is built from it",
        "it is of the last 30d; it is the newest one that is whole",
    ] {
        assert!(stat.contains(part), "{part}: {stat}");
    }

    // Without --delete nothing is touched.
    let before = fs::read_dir(base(&place, 2)).unwrap().count();
    let shown = text(&run(&["archive", "prune", &target, "--keep", "30d"]));
    assert!(
        shown.contains("its manifest now, the rest an hour later") && shown.contains("--delete does it"),
        "{shown}"
    );
    assert_eq!(fs::read_dir(base(&place, 2)).unwrap().count(), before);
    assert!(!place.archive().join(IDENTITY).join("probe").exists());

    let prune = || run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
    let first = prune();
    assert!(first.status.success() && text(&first).contains(": 2 objects deleted\n"), "{}", text(&first));
    // The first segment ends before where the retired base begins. What that one needs stays for an hour.
    assert_eq!(log(&place.store()).await, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(base(&place, 2).join("0000").exists() && !base(&place, 2).join("manifest").exists());
    builds(&target, 5..=9);
    let again = prune();
    assert!(again.status.success() && text(&again).contains(": 0 objects deleted\n"), "{}", text(&again));

    age(&base(&place, 2).join("retired"), GRACE + 1000);
    let second = prune();
    assert!(second.status.success() && text(&second).contains(": 5 objects deleted\n"), "{}", text(&second));
    assert_eq!(log(&place.store()).await, [5, 6, 7, 8, 9]);
    assert!(!base(&place, 2).exists());
    builds(&target, 5..=9);
    let verified = run(&["archive", "verify", &target]);
    let said = text(&verified);
    assert!(verified.status.success() && said.contains("pruned: ") && !said.contains("damage"), "{said}");
    let stat = text(&run(&["archive", "stat", &target, "--output", "json"]));
    assert!(stat.contains(r#""firstRecoverabilityPoint":{"zxid":"0x100000005""#), "{stat}");

    // A segment that is lost where no base begins is damage still, once its roll-up is lost as well.
    let key = menagerie::archive::key::SegmentKey { chain: chain(), first: at(1, 6) };
    fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
    assert_eq!(run(&["archive", "verify", &target]).status.code(), Some(0));
    let rolled = menagerie::archive::key::SegmentKey { chain: chain().rolled(), ..key };
    fs::remove_file(place.archive().join(rolled.path(IDENTITY))).unwrap();
    assert_eq!(run(&["archive", "verify", &target]).status.code(), Some(1));
}

#[tokio::test]
async fn a_pin_keeps_its_point_by_zxid_or_by_time() {
    for (pin, kept) in [
        ("0x100000003", vec![2, 3, 5, 6, 7, 8, 9]),
        // Of a time, one segment more: it may have more of the same moment.
        ("2023-11-14T22:13:22Z", vec![2, 3, 5, 6, 7, 8, 9]),
        // There is no base before it.
        ("2023-11-14T22:13:21Z", vec![1, 2, 5, 6, 7, 8, 9]),
        ("2023-11-14T22:13:29Z", vec![5, 6, 7, 8, 9]),
    ] {
        let (place, target) = aged().await;
        for _ in 0..2 {
            let pruned = run(&["archive", "prune", &target, "--keep", "30d", "--pin", pin, "--delete"]);
            assert!(pruned.status.success(), "{}", text(&pruned));
            let mark = base(&place, 2).join("retired");
            if mark.exists() {
                age(&mark, 2 * GRACE);
            }
        }
        assert_eq!(log(&place.store()).await, kept, "{pin}");
        // What one run alone kept has no name: nobody can tell what is missing behind it from what is lost.
        let (verified, nothing_before) = (run(&["archive", "verify", &target]), kept[0] == 5);
        assert_eq!(verified.status.success(), nothing_before, "{}", text(&verified));
        if nothing_before {
            continue;
        }
        let named = run(&["archive", "pin", &target, "--at", pin, "--name", "kept"]);
        assert!(named.status.success(), "{}", text(&named));
        let verified = run(&["archive", "verify", &target]);
        assert!(verified.status.success(), "{}", text(&verified));
    }
    let (_place, target) = aged().await;
    let early = run(&["archive", "prune", &target, "--keep", "30d", "--pin", "2020-01-01T00:00:00Z"]);
    assert!(early.status.code() == Some(2) && text(&early).contains("nothing is archived of before that"));
}

/// It was called pruned and its chain whole, since the base behind it begins there; and `stat` promised every point.
#[tokio::test]
async fn a_segment_that_is_lost_in_the_middle_is_damage_and_no_point_around_it_is_promised() {
    let (place, target) = aged().await;
    let key = menagerie::archive::key::SegmentKey { chain: chain(), first: at(1, 4) };
    fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
    let verified = run(&["archive", "verify", &target]);
    let said = text(&verified);
    assert!(verified.status.code() == Some(1) && !said.contains("pruned: "), "{said}");
    assert!(said.contains("does not follow on the segment before it: 0000000100000004 is missing"), "{said}");
    let pinned = run(&["archive", "pin", &target, "--at", "0x100000004", "--name", "gone"]);
    assert_eq!(pinned.status.code(), Some(2), "{}", text(&pinned));
    assert!(text(&pinned).contains("0x100000004 is not archived: no log has it"), "{}", text(&pinned));
    assert!(run(&["archive", "pin", &target, "--at", "0x100000003", "--name", "before"]).status.success());
    let stat = text(&run(&["archive", "stat", &target]));
    for part in [
        "can be built from 0x100000008 to 0x100000009",
        "and from 0x100000001 (by ",
        "if no log is missing before 0x100000008, which `menagerie archive verify` tells",
        "built from base 0x100000002 if no log is missing between the two",
    ] {
        assert!(stat.contains(part), "{part}: {stat}");
    }
    // With that pin prune might have deleted it, and 1 to 3 are there. Nothing tells the two apart, and nothing that is kept lacks it.
    assert_eq!(run(&["archive", "verify", &target]).status.code(), Some(0));
}

#[tokio::test]
async fn a_point_that_no_archive_has_is_not_pinned() {
    let (_place, target) = aged().await;
    let early = run(&["archive", "pin", &target, "--at", "0x999", "--name", "early"]);
    assert_eq!(early.status.code(), Some(2), "{}", text(&early));
    assert!(text(&early).contains("0x999 is not archived: the archive begins at 0x100000001"), "{}", text(&early));
    let early = run(&["archive", "pin", &target, "--at", "2020-01-01T00:00:00Z", "--name", "early"]);
    let said = text(&early);
    assert!(said.contains("nothing is archived of before that") && !said.contains("--pin"), "{said}");
}

#[tokio::test]
async fn a_pin_with_a_name_is_kept_in_every_run_until_the_name_is_taken_back() {
    let (place, target) = aged().await;
    let prune = || run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
    let pin = |at: &str, name: &str| run(&["archive", "pin", &target, "--at", at, "--name", name]);
    let refused = pin("0x1000000ff", "never");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(
        text(&refused).contains("0x1000000ff is not archived: the archive ends at 0x100000009"),
        "{}",
        text(&refused)
    );
    let pinned = pin("0x100000003", "before-upgrade");
    assert!(text(&pinned).contains("pinned before-upgrade (0x100000003)"), "{}", text(&pinned));
    assert_eq!(pin("0x100000003", "before-upgrade").status.code(), Some(0), "the same again");
    let other = pin("0x100000004", "before-upgrade");
    assert!(text(&other).contains("another pin of the name before-upgrade"), "{}", text(&other));
    assert!(text(&run(&["archive", "stat", &target])).contains("pin before-upgrade (0x100000003)"));

    let kept = prune();
    assert_eq!(kept.status.code(), Some(0), "{}", text(&kept));
    assert_eq!(log(&place.store()).await, [2, 3, 5, 6, 7, 8, 9]);
    assert!(base(&place, 2).join("manifest").exists());

    // One that cannot be read may pin anything.
    let path = place.archive().join(IDENTITY).join("pin/odd");
    fs::write(&path, "{}").unwrap();
    let refused = prune();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("pin/odd is no pin that this version reads"), "{}", text(&refused));
    fs::remove_file(&path).unwrap();

    assert!(text(&run(&["archive", "unpin", &target, "--name", "before-upgrade"])).contains("no longer pinned"));
    assert_eq!(run(&["archive", "unpin", &target, "--name", "before-upgrade"]).status.code(), Some(2));
    prune();
    assert!(!base(&place, 2).join("manifest").exists());
}

#[tokio::test]
async fn a_pin_keeps_its_point_until_its_own_end_and_is_deleted_after_it() {
    let (place, target) = aged().await;
    let (store, now) = (place.store(), menagerie::archive::prune::now());
    let point = Pin { from: at(1, 3), to: at(1, 3) };
    let pin = NamedPin::new("nightly.u", point, now).until(Some(now + DAY));
    pins::keep(&store, IDENTITY, &pin).await.unwrap();
    let longer = pin.clone().until(None);
    assert!(pins::keep(&store, IDENTITY, &longer).await.is_err(), "a pin is never changed");
    let before = planned(&store, 0).await;
    assert_eq!((before.named.len(), before.over.len()), (1, 0));
    let stat = run(&["archive", "stat", &target]);
    assert!(text(&stat).contains("pin nightly.u (0x100000003 until "), "{}", text(&stat));
    let near = text(&run(&["archive", "unpin", &target, "--name", "nightly"]));
    assert!(near.contains("no pin of the name nightly; it has nightly.u"), "{near}");
    carried_out(&store, 0).await;
    assert!(base(&place, 2).join("manifest").exists());

    let after = planned(&store, 2).await;
    assert_eq!((after.named.len(), after.over.len()), (0, 1));
    carried_out(&store, 2).await;
    assert!(!base(&place, 2).join("manifest").exists());
    assert_eq!(pins::all(&store, IDENTITY).await.unwrap(), []);

    let short = run(&["archive", "pin", &target, "--at", "0x100000008", "--name", "short", "--for", "7d"]);
    assert_eq!(short.status.code(), Some(0), "{}", text(&short));
    let until = pins::read(&store, IDENTITY, "short").await.unwrap().unwrap().until.unwrap();
    assert!((until - now - 7 * DAY).abs() < DAY / 24, "{until}");
}

/// Of what was deleted after it, nobody would have known.
#[tokio::test]
async fn a_pin_that_comes_while_a_run_deletes_ends_it() {
    let (place, _) = aged().await;
    let store = place.store();
    let decided = planned(&store, 0).await;
    assert!(!decided.plan.is_empty());
    let pin = NamedPin::new("point.u", Pin { from: at(1, 3), to: at(1, 3) }, now());
    pins::keep(&store, IDENTITY, &pin).await.unwrap();
    let mut notes = Vec::new();
    let mut tell = |news: News<'_>| {
        if let News::Note(note) = news {
            notes.push(note);
        }
    };
    let tally = Pruner::new(&store, IDENTITY, &mut tell).carry_out(&decided).await;
    assert!(tally.deleted == 0 && tally.left > 0, "{tally:?}");
    assert!(notes[0].contains("a point was pinned meanwhile"), "{notes:?}");
}

/// A first run cuts for hours.
#[tokio::test]
async fn a_pin_that_comes_while_a_chain_is_cut_ends_the_cut_and_one_from_the_window_on_does_not() {
    for (point, ends) in [(90_u64, true), (198, false)] {
        let folder = Place::new();
        let place = shipped(&folder.store(), 200, &[195]).await;
        fs::remove_dir(place.archive()).unwrap();
        fs::rename(folder.archive(), place.archive()).unwrap();
        age(&base(&place, 195), 40 * DAY);
        for counter in 1..=200 {
            let key = menagerie::archive::key::SegmentKey { chain: chain(), first: at(1, counter) };
            age(&place.archive().join(key.path(IDENTITY)), if counter < 200 { 45 } else { 1 } * DAY);
        }
        let store = place.store();
        let decided = planned(&store, 0).await;
        let pin = NamedPin::new("late", Pin { from: at(1, point), to: at(1, point) }, now());
        let path = place.archive().join(IDENTITY).join("pin");
        let mut tell = |news: News<'_>| {
            if let News::Progress(tally) = news
                && tally.deleted == 20
            {
                fs::create_dir_all(&path).unwrap();
                fs::write(path.join("late"), serde_json::to_vec(&pin).unwrap()).unwrap();
            }
        };
        let tally = Pruner::new(&store, IDENTITY, &mut tell).looking_each(Duration::ZERO).carry_out(&decided).await;
        let left = log(&store).await;
        if ends {
            assert!(tally.deleted < 60 && left.len() > 140 && tally.left > 100, "{tally:?}");
        } else {
            assert!(tally.is_complete() && left.first() == Some(&195), "{tally:?} {left:?}");
        }
    }
}

/// Whoever takes a name back and gives it to another point was told to do so, and lost the new one.
#[tokio::test]
async fn a_pin_that_was_made_again_under_its_name_is_another_one() {
    let (place, _) = aged().await;
    let store = place.store();
    let pin = |zxid: u64, until| NamedPin::new("mine", Pin { from: at(1, zxid), to: at(1, zxid) }, now()).until(until);
    pins::keep(&store, IDENTITY, &pin(8, Some(1))).await.unwrap();
    let decided = planned(&store, 0).await;
    assert_eq!((decided.over.len(), decided.plan.is_empty()), (1, false));
    pins::take_back(&store, IDENTITY, "mine").await.unwrap();
    pins::keep(&store, IDENTITY, &pin(1, None)).await.unwrap();
    let tally = Pruner::new(&store, IDENTITY, &mut |_| ()).carry_out(&decided).await;
    let there = pins::read(&store, IDENTITY, "mine").await.unwrap().unwrap();
    assert_eq!((tally.deleted, there.to, there.until), (0, at(1, 1), None), "{tally:?}");
}

#[tokio::test]
async fn a_pin_by_a_time_at_which_time_goes_back_in_the_log_is_refused() {
    let (place, archive) = (Place::new(), Place::new());
    // Each epoch begins again with the same millisecond.
    place.log(1, 1..=3, "x");
    place.log(2, 1..=3, "x");
    let store = archive.store();
    let mut shipper = Shipper::resume(store.clone(), IDENTITY, chain(), Backlog::of(&place.data())).await.unwrap();
    for zxid in [1, 2].into_iter().flat_map(|epoch| (1..=3).map(move |counter| at(epoch, counter))) {
        shipper.ship(zxid, 1).await.unwrap();
    }
    assert!(menagerie::archive::chains::segments(&store, IDENTITY, &chain()).await.unwrap().len() > 2);
    let prune = |pin: &str| run(&["archive", "prune", &store.target().to_string(), "--keep", "30d", "--pin", pin]);
    let refused = prune("2023-11-14T22:13:20.001Z");
    assert!(refused.status.code() == Some(2) && text(&refused).contains("name a zxid"), "{}", text(&refused));
    assert!(prune("0x100000001").status.success());
}

#[tokio::test]
async fn a_base_that_is_damaged_is_not_relied_on_and_what_it_would_have_replaced_stays() {
    let (place, target) = aged().await;
    let part = base(&place, 5).join("0000");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    age(&base(&place, 5), 35 * DAY);
    let pruned = run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
    assert_eq!(pruned.status.code(), Some(1), "{}", text(&pruned));
    assert!(text(&pruned).contains("damage: "), "{}", text(&pruned));
    assert!(base(&place, 2).join("manifest").exists() && base(&place, 5).join("manifest").exists());
    assert_eq!(log(&place.store()).await, [2, 3, 4, 5, 6, 7, 8, 9]);
}

/// Bases are read to their ends in between, which may take hours.
#[tokio::test]
async fn nothing_is_deleted_where_a_point_was_named_after_it_was_decided_what_goes() {
    let (place, target) = aged().await;
    let store = place.store();
    let part = base(&place, 5).join("0000");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    age(&base(&place, 5), 35 * DAY);
    let wanted = || (30 * DAY, Vec::new(), now());
    let read = async || catalogue::read(&store, IDENTITY, &mut |_| {}).await.unwrap();
    let mut named = |_: &str| {
        let pinned = run(&["archive", "pin", &target, "--at", "0x100000001", "--name", "meanwhile"]);
        assert!(pinned.status.success(), "{}", text(&pinned));
    };
    let decided = decide(&store, IDENTITY, read().await, wanted(), true, &mut named).await;
    assert!(matches!(decided, Err(PruneError::PinsChanged)));
    // One from the base of the window on ends nothing: all of that stays, and schedules pin again and again.
    let mut named = |_: &str| {
        let pinned = run(&["archive", "pin", &target, "--at", "0x100000003", "--name", "later"]);
        assert!(pinned.status.success(), "{}", text(&pinned));
    };
    let decided = decide(&store, IDENTITY, read().await, wanted(), true, &mut named).await.unwrap();
    assert!(decided.known.iter().any(|pin| pin.name() == "later"), "{:?}", decided.known);
    assert!(run(&["archive", "unpin", &target, "--name", "later"]).status.success());
    let again = decide(&store, IDENTITY, read().await, wanted(), true, &mut |_| {}).await.unwrap();
    assert_eq!((again.named.len(), again.wish.pins.len()), (1, 1));
}

#[tokio::test]
async fn a_base_that_was_put_above_all_log_is_not_relied_on_and_stat_says_why() {
    for (proved_by, why) in [(u64::MAX >> 1, "its chain lacks the transaction that proves it"), (0, "log below it is")]
    {
        let (place, target) = aged().await;
        let store = place.store();
        let real = BaseKey { zxid: at(1, 5), chain: chain() };
        let mut forged = bases::manifest(&store, IDENTITY, &real).await.unwrap().unwrap();
        forged.zxid = Zxid(0x7fff_ffff_0000_0001);
        forged.end = forged.zxid;
        if proved_by > 0 {
            forged.proved_by = Zxid(proved_by);
        }
        for part in 0..forged.parts.len() {
            let bytes = store.get(&real.part(IDENTITY, part), None).await.unwrap().unwrap();
            store.put(&forged.key().part(IDENTITY, part), bytes).await.unwrap();
        }
        store.put(&forged.key().manifest(IDENTITY), forged.pack().unwrap().into()).await.unwrap();
        age(&place.archive().join(forged.key().folder(IDENTITY)), 33 * DAY);
        let stat = text(&run(&["archive", "stat", &target]));
        assert!(stat.contains("not relied on: ") && stat.contains(why), "{stat}");
        let pruned = run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
        assert!(pruned.status.success(), "{}", text(&pruned));
        assert!(base(&place, 5).join("manifest").exists() && base(&place, 8).join("manifest").exists());
        assert_eq!(log(&store).await, [2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[tokio::test]
async fn a_base_that_was_given_up_goes_after_a_day_and_one_on_its_way_stays() {
    for (days, goes) in [(0, false), (2, true)] {
        let (place, target) = aged().await;
        fs::remove_file(base(&place, 8).join("manifest")).unwrap();
        age(&base(&place, 8), days * DAY);
        let pruned = run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
        assert!(pruned.status.success(), "{}", text(&pruned));
        assert_eq!(base(&place, 8).exists(), !goes, "{}", text(&pruned));
    }
}

#[tokio::test]
async fn a_base_that_is_retired_anew_keeps_its_old_mark_and_the_younger_one_counts() {
    let (place, target) = aged().await;
    fs::write(base(&place, 2).join("retired"), "x").unwrap();
    age(&base(&place, 2), 40 * DAY);
    let prune = || run(&["archive", "prune", &target, "--keep", "30d", "--delete"]);
    let pruned = prune();
    assert!(pruned.status.success() && text(&pruned).contains(": 2 objects deleted\n"), "{}", text(&pruned));
    let old = fs::metadata(base(&place, 2).join("retired")).unwrap().modified().unwrap();
    assert!(old.elapsed().unwrap() > Duration::from_hours(24));
    let waits = prune();
    assert!(text(&waits).contains("waits until") && text(&waits).contains(": 0 objects deleted"), "{}", text(&waits));
    age(&base(&place, 2), 40 * DAY);
    assert!(prune().status.success() && !base(&place, 2).exists());
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_nothing_deleted() {
    let (place, target) = aged().await;
    let prune = |more: &[&str]| {
        let output = run(&[&["archive", "prune", &target, "--delete"], more].concat());
        (output.status.code(), text(&output))
    };
    let (code, said) = prune(&["--keep", "5m"]);
    assert!(code == Some(2) && said.contains("keep an hour at least"), "{said}");
    let (code, said) = prune(&["--keep", "30d", "--identity", "other"]);
    assert!(code == Some(2) && said.contains("has no archived log of other"), "{said}");
    let (code, said) = prune(&["--keep", "30d", "--pin", "end"]);
    assert!(code == Some(2) && said.contains("end is no pin"), "{said}");
    // A folder without logs is none of an ensemble.
    fs::create_dir(place.archive().join("empty")).unwrap();
    fs::create_dir_all(place.archive().join("other/log").join(chain().to_string())).unwrap();
    let (code, said) = prune(&["--keep", "30d"]);
    assert!(code == Some(2) && said.contains("more than one ensemble") && said.contains("--identity"), "{said}");
    assert_eq!(log(&place.store()).await.len(), 9);
    let (code, said) = prune(&["--keep", "30d", "--identity", IDENTITY]);
    assert!(code == Some(0), "{said}");
}

/// What a run would do in so many days.
async fn planned(store: &Store, days: i64) -> Decision {
    let catalogue = catalogue::read(store, IDENTITY, &mut |_| {}).await.unwrap();
    let now = menagerie::archive::prune::now() + days * DAY;
    let mut damaged = |what: &str| panic!("{what}");
    decide(store, IDENTITY, catalogue, (KEEP.window, Vec::new(), now), true, &mut damaged).await.unwrap()
}

async fn carried_out(store: &Store, days: i64) -> (Tally, usize) {
    let decided = planned(store, days).await;
    let mut errors = 0;
    let mut tell = |news: News<'_>| errors += usize::from(matches!(news, News::Error(_)));
    let tally = Pruner::new(store, IDENTITY, &mut tell).carry_out(&decided).await;
    (tally, errors)
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn in_a_bucket_what_is_older_than_the_window_goes_and_the_newest_base_stays_for_ever() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let store = gateway.store();
    let _place = archived(&store).await;
    let (store, now) = time(store, IDENTITY).await.unwrap();
    assert!(now.is_ok());
    assert!(store.names(&format!("{IDENTITY}/probe")).await.unwrap().is_empty());

    assert!(planned(&store, 29).await.plan.is_empty());
    let (tally, _) = carried_out(&store, 32).await;
    // Two manifests, and the log before the older one.
    assert_eq!(tally, Tally { deleted: 3, ..Tally::default() });
    let catalogue = planned(&store, 32).await.catalogue;
    assert!(matches!(catalogue.bases[0].state, BaseState::Retired { .. }));
    let (tally, _) = carried_out(&store, 400).await;
    // Two parts with two marks, and the log before the newest base.
    assert_eq!(tally, Tally { deleted: 4 + 6, ..Tally::default() });
    assert_eq!(log(&store).await, [8, 9]);
    assert!(planned(&store, 4000).await.plan.is_empty());

    let target = "s3://backups/zookeeper/a";
    let stat = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["archive", "stat", target])
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ENDPOINT_URL", format!("http://{}", gateway.address))
        .env("AWS_ALLOW_HTTP", "true")
        .output()
        .unwrap();
    assert!(text(&stat).contains("can be built from 0x100000008"), "{}", text(&stat));
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn test_11_what_is_locked_or_fails_is_counted_and_the_rest_goes() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let _place = archived(&gateway.store()).await;
    let store = store_at(proxy.address, SECRET, "backups").unwrap();

    proxy.trouble(Some(Trouble::DeletesRefused));
    let (tally, errors) = carried_out(&store, 32).await;
    assert_eq!((tally, errors), (Tally { refused: 3, ..Tally::default() }, 3));
    // A mark alone changes nothing.
    assert!(matches!(
        planned(&store, 29).await.catalogue.bases[0].state,
        BaseState::Complete { marked: true, sound: true, .. }
    ));
    proxy.trouble(None);
    let (tally, _) = carried_out(&store, 32).await;
    assert_eq!(tally, Tally { deleted: 3, ..Tally::default() });

    proxy.trouble(Some(Trouble::SomeDeletesFail));
    let (tally, errors) = carried_out(&store, 400).await;
    // Each of the two bases has the mark of the run that was refused as well.
    assert!(tally.failed == 3 && errors == 3 && tally.deleted == 9 && !tally.is_complete(), "{tally:?}");
    proxy.trouble(None);
    let (tally, _) = carried_out(&store, 400).await;
    assert!(tally.deleted == 3 && tally.is_complete(), "{tally:?}");
    assert_eq!(log(&store).await, [8, 9]);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn a_store_that_deletes_nothing_any_more_is_not_asked_for_ever() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let _place = shipped(&gateway.store(), 70, &[69]).await;
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    proxy.trouble(Some(Trouble::DeletesFail));
    let (tally, errors) = carried_out(&store, 32).await;
    assert_eq!((tally, errors), (Tally { failed: 32, left: 68 - 32, ..Tally::default() }, 3));
    proxy.trouble(None);
    assert_eq!(carried_out(&store, 32).await.0, Tally { deleted: 68, ..Tally::default() });
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn test_9_an_empty_list_deletes_nothing_and_an_old_one_what_is_deleted_already() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let _place = archived(&gateway.store()).await;
    let store = store_at(proxy.address, SECRET, "backups").unwrap();
    proxy.trouble(Some(Trouble::EmptyLists));
    assert!(planned(&store, 4000).await.plan.is_empty());
    proxy.trouble(None);

    // Two runners that have listed the same.
    let decided = planned(&store, 32).await;
    assert_eq!(decided.plan.bases.iter().filter(|(_, fate)| *fate == Fate::Retire).count(), 2);
    for _ in 0..2 {
        let tally = Pruner::new(&store, IDENTITY, &mut |_| {}).carry_out(&decided).await;
        assert!(tally.is_complete(), "{tally:?}");
    }
    // Somebody has stored something beside the parts meanwhile: then nothing of that base is touched.
    let decided = planned(&store, 400).await;
    let key = &decided.catalogue.bases[0].key;
    store.put(&key.manifest(IDENTITY), bytes::Bytes::from_static(b"x")).await.unwrap();
    let tally = Pruner::new(&store, IDENTITY, &mut |_| {}).carry_out(&decided).await;
    assert_eq!(tally.changed, 1);
    assert!(store.get(&key.part(IDENTITY, 0), None).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn test_13_a_clock_that_is_wrong_deletes_nothing() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    for clock in ["Fri, 01 Jan 2010 00:00:00 GMT", "Sun, 01 Jan 2090 00:00:00 GMT"] {
        proxy.trouble(Some(Trouble::Clock(clock)));
        let store = store_at(proxy.address, SECRET, "backups").unwrap();
        let (_, now) = time(store, IDENTITY).await.unwrap();
        assert!(matches!(now, Err(retention::Skew(_))), "{clock}: {now:?}");
    }
}
