//! Roll-ups: the same log in fewer objects, for all who read it, whenever whoever makes them is killed.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use menagerie::archive::backlog::Backlog;
use menagerie::archive::catalogue;
use menagerie::archive::chains;
use menagerie::archive::collect::Collection;
use menagerie::archive::key::{Chain, SegmentKey};
use menagerie::archive::prune::now;
use menagerie::archive::pruner::News;
use menagerie::archive::retention::{GRACE, Plan};
use menagerie::archive::roll_up::{Roller, holds_all};
use menagerie::archive::rolling::{self, Rolled};
use menagerie::archive::segment::{Facts, Hash, Link, Segment, SegmentWriter};
use menagerie::archive::shipper::Shipper;
use menagerie::archive::store::Store;
use menagerie::archive::tree::tree_at;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use zookeeper_files::disk::Point;
use zookeeper_files::ids::Zxid;
use zookeeper_files::log::{LogItem, LogReader, LogWriter};

use super::bases::History;
use super::build::other;
use super::gateway::{Gateway, SECRET, store_at};
use super::proxy::{Proxy, Trouble};
use super::prune::run;
use super::shipping::{IDENTITY, Place, at, chain};
use super::source::{dumped, told};

const LONG: Duration = Duration::from_mins(5);
/// What somebody else's segment says.
type Change = &'static dyn Fn(&mut Facts);

async fn segments(store: &Store, chain: &Chain) -> Vec<u64> {
    let segments = chains::segments(store, IDENTITY, chain).await.unwrap();
    segments.iter().map(|key| key.first.counter()).collect()
}

/// All that is stored of a chain is so many milliseconds older.
fn age(place: &Place, chain: &Chain, millis: i64) {
    fn each(path: &Path, older: Duration) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                each(&entry.unwrap().path(), older);
            }
        } else {
            let file = fs::File::options().append(true).open(path).unwrap();
            let time = file.metadata().unwrap().modified().unwrap();
            file.set_modified(time - older).unwrap();
        }
    }
    each(&place.archive().join(SegmentKey::folder(IDENTITY, chain)), Duration::from_millis(millis.unsigned_abs()));
}

/// A run at this time, for so long, and what it said.
async fn rolled(store: &Store, at: i64, longest: Duration) -> (Rolled, Vec<String>) {
    let catalogue = catalogue::read(store, IDENTITY, &mut |_| {}).await.unwrap();
    let mut notes = Vec::new();
    let mut tell = |news: News<'_>| match news {
        News::Note(note) => notes.push(note),
        News::Error(error) => notes.push(error.to_string()),
        News::Progress(_) => {}
    };
    let rolled = rolling::roll_up(store, IDENTITY, (&catalogue, &Plan::default()), (at, longest), &mut tell).await;
    (rolled.unwrap(), notes)
}

/// Two days of one chain: nine segments of one transaction each, six and three.
async fn shipped() -> Place {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    ship(&place, &chain(), 1..=6).await;
    age(&place, &chain(), 3 * 24 * GRACE);
    ship(&place, &chain(), 7..=9).await;
    age(&place, &chain(), 2 * GRACE);
    place
}

async fn ship(place: &Place, chain: &Chain, counters: std::ops::RangeInclusive<u64>) {
    let mut shipper =
        Shipper::resume(place.store(), IDENTITY, chain.clone(), Backlog::of(&place.data())).await.unwrap();
    for counter in counters {
        shipper.ship(at(1, counter), 1).await.unwrap();
    }
}

fn target(place: &Place) -> String {
    place.store().target().to_string()
}

fn zxids(counters: impl IntoIterator<Item = u64>) -> Vec<String> {
    counters.into_iter().map(|counter| format!("{:#}", at(1, counter))).collect()
}

#[tokio::test]
async fn old_segments_become_one_and_go_an_hour_later_and_the_log_is_the_same_all_the_while() {
    let place = shipped().await;
    let store = place.store();
    let (first, notes) = rolled(&store, now(), LONG).await;
    assert_eq!(first, Rolled { made: 1, segments: 6, ..Rolled::default() }, "{notes:?}");
    assert_eq!(segments(&store, &chain().rolled()).await, [1]);
    assert_eq!(segments(&store, &chain()).await.len(), 9, "whoever has begun to read has listed them");
    let same = async || {
        let (found, output) = dumped(&[&target(&place)]);
        assert_eq!((found, told(&output)), (zxids(1..=9), String::new()));
        let verified = run(&["archive", "verify", &target(&place)]);
        let said = format!("{}{}", String::from_utf8_lossy(&verified.stdout), told(&verified));
        assert!(verified.status.success() && !said.contains("gap:") && !said.contains("pruned"), "{said}");
        for counter in 1..=9 {
            let collection = Collection::of(&store, IDENTITY).await.unwrap();
            let work = tempfile::tempdir().unwrap();
            let built = tree_at(&collection, Point::Zxid(at(1, counter)), &work.path().join("archive"), &|_| ()).await;
            let number = usize::try_from(counter).unwrap();
            assert_eq!(built.unwrap().tree.digest(), History::of(9, 10).trees[number].digest(), "{counter}");
        }
        for counter in 0..=10 {
            let has = chains::holds(&store, IDENTITY, &chain(), at(1, counter)).await.unwrap();
            assert_eq!(has, (1..=9).contains(&counter), "{counter}");
        }
    };
    same().await;
    let (collection, work) = (Collection::of(&store, IDENTITY).await.unwrap(), tempfile::tempdir().unwrap());
    collection.bring((None, None), Point::Zxid(at(1, 9)), work.path(), &|_, _| ()).await.unwrap();
    let brought = fs::read_dir(work.path().join(chain().rolled().to_string())).unwrap().count();
    assert_eq!(brought, 0, "the segments have it all");
    // Another run a moment later has nothing to do.
    assert_eq!(rolled(&store, now(), LONG).await, (Rolled::default(), Vec::new()));
    age(&place, &chain().rolled(), GRACE + 2000);
    let (second, notes) = rolled(&store, now(), LONG).await;
    assert_eq!(second, Rolled { deleted: 6, ..Rolled::default() }, "{notes:?}");
    assert_eq!(segments(&store, &chain()).await, [7, 8, 9]);
    same().await;
    // The member goes on where it was.
    History::of(12, 10).log(&place.data(), 10..=12);
    ship(&place, &chain(), 10..=12).await;
    assert_eq!(segments(&store, &chain()).await, [7, 8, 9, 10, 11, 12]);
}

#[tokio::test]
async fn the_end_of_a_chain_and_what_is_young_are_left_alone() {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    ship(&place, &chain(), 1..=9).await;
    assert_eq!(rolled(&place.store(), now(), LONG).await.0, Rolled::default());
    age(&place, &chain(), 400 * 24 * GRACE);
    // Nobody has shipped for more than a day: the last one stays, by which an agent knows where to go on.
    let (made, _) = rolled(&place.store(), now(), LONG).await;
    assert_eq!((made.made, made.segments), (1, 8));
    age(&place, &chain().rolled(), 2 * GRACE);
    assert_eq!(rolled(&place.store(), now(), LONG).await.0.deleted, 8);
    assert_eq!(segments(&place.store(), &chain()).await, [9]);
}

async fn segment(store: &Store, chain: Chain, counter: u64) -> Segment {
    let key = SegmentKey { chain, first: at(1, counter) };
    chains::segment(store, IDENTITY, &key).await.unwrap().unwrap()
}

/// A roll-up, and the segments in it.
async fn made(place: &Place) -> (Segment, Vec<Segment>) {
    let store = place.store();
    rolled(&store, now(), LONG).await;
    let mut segments = Vec::new();
    for counter in 1..=6 {
        segments.push(segment(&store, chain(), counter).await);
    }
    (segment(&store, chain().rolled(), 1).await, segments)
}

#[tokio::test]
async fn segments_are_only_in_a_roll_up_if_all_that_they_say_is() {
    let place = shipped().await;
    let (of, segments) = made(&place).await;
    // Whichever of them are left, but for the last, by which it is seen that nothing was added.
    for left in 0..64_u32 {
        let is_left = |number: &usize| left >> number & 1 == 1;
        let some: Vec<Segment> = (0..6).filter(is_left).map(|number| segments[number].clone()).collect();
        assert_eq!(holds_all(&of, &some).unwrap(), is_left(&5), "{left:b}");
    }
    let wrong: [(&str, Change); 8] = [
        ("hash", &|facts| facts.hash = Hash::of(b"other")),
        ("last", &|facts| facts.last = Zxid(facts.last.0 + 1)),
        ("count", &|facts| facts.count += 1),
        ("follows", &|facts| facts.follows = !facts.follows),
        ("epoch", &|facts| facts.epoch += 1),
        ("identity", &|facts| facts.identity = "another".to_owned()),
        ("chain", &|facts| facts.chain = other()),
        ("previous", &|facts| {
            facts.previous = match facts.previous.take() {
                None => Some(facts.link()),
                Some(previous) => Some(Link { last: Zxid(previous.last.0 + 7), ..previous }),
            }
        }),
    ];
    for (what, change) in wrong {
        for number in 0..6 {
            let mut changed = segments.clone();
            change(&mut changed[number].facts);
            assert!(!holds_all(&of, &changed).unwrap(), "{what} of {number}");
        }
    }
    // What names another end than its last segment is none that goes on to the next.
    let mut other_end = of.clone();
    other_end.facts.ends = segments[4].facts.previous.clone();
    assert!(!holds_all(&other_end, &segments).unwrap());
    // Digests are no part of the hash, and prove bases.
    let mut stripped = of.clone();
    stripped.log = without_digests(&of.log);
    assert!(stripped.log.len() < of.log.len() && !holds_all(&stripped, &segments).unwrap());
    // A tail that nobody shipped.
    assert!(!holds_all(&of, &segments[..5]).unwrap());
}

fn without_digests(log: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = (LogReader::new(log).unwrap(), LogWriter::new(Vec::new(), 0).unwrap());
    while let Some(LogItem::Record(record)) = reader.next().unwrap() {
        writer.append(record.header, &record.txn, None).unwrap();
    }
    writer.into_inner()
}

/// A roll-up of these segments, as whoever may put objects can make one: its first ones, and what is changed in them.
fn forged(segments: &[Segment], change: impl Fn(&[u8]) -> Vec<u8>) -> (String, bytes::Bytes) {
    let mut writer = SegmentWriter::new().unwrap();
    for segment in segments {
        let log = change(&segment.log);
        let mut reader = LogReader::new(&log[..]).unwrap();
        while let Some(LogItem::Record(record)) = reader.next().unwrap() {
            writer.append(&record).unwrap();
        }
    }
    let (first, last) = (&segments[0].facts, &segments.last().unwrap().facts);
    let facts = writer.facts(IDENTITY, &chain().rolled(), 1, first.previous.clone(), first.follows).unwrap();
    let facts = Facts { ends: Some(last.link()), ..facts };
    (facts.key().path(IDENTITY), writer.pack(&facts).unwrap().into())
}

/// With the digests gone from each disk's log, no base would ever be proved again.
#[tokio::test]
async fn a_roll_up_without_the_digests_takes_no_segment_away() {
    let place = shipped().await;
    let store = place.store();
    let mut segments_of = Vec::new();
    for counter in 1..=6 {
        segments_of.push(segment(&store, chain(), counter).await);
    }
    let (name, object) = forged(&segments_of, without_digests);
    store.put(&name, object).await.unwrap();
    age(&place, &chain().rolled(), 2 * GRACE);
    let (run, notes) = rolled(&store, now(), LONG).await;
    assert_eq!((run.deleted, run.unproved), (0, 6), "{notes:?}");
    assert_eq!(segments(&store, &chain()).await.len(), 9);
}

/// What was rolled up and deleted leads on to the segments that are there, and not to a roll-up of them that somebody made up.
#[tokio::test]
async fn where_segments_are_there_a_roll_up_of_them_is_not_read_in_their_place() {
    let place = shipped().await;
    let store = place.store();
    rolled(&store, now(), LONG).await;
    age(&place, &chain().rolled(), 2 * GRACE);
    assert_eq!(rolled(&store, now(), LONG).await.0.deleted, 6);
    let elsewhere = Place::new();
    elsewhere.log(1, 1..=9, "forged");
    ship(&elsewhere, &chain(), 1..=9).await;
    let (true_one, wrong) = (segment(&store, chain(), 7).await.facts, segment(&elsewhere.store(), chain(), 7).await);
    let wrong = Segment { facts: Facts { previous: true_one.previous, ..wrong.facts }, ..wrong };
    let (name, object) = forged(&[wrong, segment(&elsewhere.store(), chain(), 8).await], <[u8]>::to_vec);
    store.put(&name, object).await.unwrap();
    let (found, output) = dumped(&[&target(&place)]);
    assert_eq!((found, told(&output)), (zxids(1..=9), String::new()));
    let dump = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!dump.contains("forged") && dump.contains("/7"), "{dump}");
}

/// A reader went from the segments to their roll-up and back again, for ever.
#[tokio::test]
async fn whatever_is_lost_of_segments_that_are_rolled_up_is_read_from_their_roll_up() {
    let remove = |place: &Place, counter: u64| {
        let key = SegmentKey { chain: chain(), first: at(1, counter) };
        fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
    };
    for left in [0b0_u64, 0b1, 0b10, 0b100_000, 0b10_1010, 0b1_0101, 0b11_1011, 0b01_1111, 0b11_1110] {
        let place = shipped().await;
        made(&place).await;
        (1..=6).filter(|counter| left >> (counter - 1) & 1 == 0).for_each(|counter| remove(&place, counter));
        let (found, output) = dumped(&[&target(&place)]);
        assert_eq!((found, told(&output)), (zxids(1..=9), String::new()), "{left:b}");
        // And what is between cannot be read.
        for damaged in (1..=6).filter(|counter| left >> (counter - 1) & 1 == 1) {
            let key = SegmentKey { chain: chain(), first: at(1, damaged) };
            fs::write(place.archive().join(key.path(IDENTITY)), b"damaged").unwrap();
            assert_eq!(dumped(&[&target(&place)]).0, zxids(1..=9), "{left:b} without {damaged}");
        }
    }
    let place = shipped().await;
    made(&place).await;
    fs::remove_dir_all(place.archive().join(SegmentKey::folder(IDENTITY, &chain()))).unwrap();
    assert_eq!(dumped(&[&target(&place)]).0, zxids(1..=6), "nothing but the roll-up is left");
}

/// The walk ended where the log of one disk goes on behind the range, and what is missing before that was not looked for.
#[tokio::test]
async fn what_a_disk_lacks_at_the_end_of_a_range_another_one_or_a_roll_up_is_asked_for() {
    let (place, history) = (Place::new(), History::of(15, 10));
    history.log(&place.data(), 1..=15);
    for of in [chain(), other()] {
        let mut shipper = Shipper::resume(place.store(), IDENTITY, of, Backlog::of(&place.data())).await.unwrap();
        for counter in [5, 10, 15] {
            shipper.ship(at(1, counter), 1).await.unwrap();
        }
    }
    let name = |of: &Chain, counter| SegmentKey { chain: of.clone(), first: at(1, counter) }.path(IDENTITY);
    let dump = || dumped(&[&target(&place), "--to", "0x100000008"]);
    for lacks in [chain(), other()] {
        let (path, aside) = (place.archive().join(name(&lacks, 6)), place.archive().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let (found, output) = dump();
        assert_eq!((found, told(&output)), (zxids(1..=8), String::new()), "{lacks}");
        fs::rename(&aside, &path).unwrap();
    }
    for lacks in [chain(), other()] {
        fs::remove_file(place.archive().join(name(&lacks, 6))).unwrap();
    }
    let (found, output) = dump();
    assert_eq!(found, zxids(1..=5));
    assert!(told(&output).contains("gap: between 0x"), "{}", told(&output));
}

/// The point was built without the only transaction of an epoch: its roll-up was taken for one that the segments behind it have.
#[tokio::test]
async fn each_point_is_built_from_roll_ups_of_one_transaction_and_what_is_behind_them() {
    let place = Place::new();
    let epochs = [(1, 3), (2, 1), (3, 4)];
    for (epoch, last) in epochs {
        place.log(epoch, 1..=last, &format!("of {epoch}"));
    }
    let store = place.store();
    let mut shipper = place.shipper().await.unwrap();
    for (epoch, last) in epochs {
        for counter in 1..=last {
            shipper.ship(at(epoch, counter), epoch).await.unwrap();
        }
    }
    age(&place, &chain(), 3 * GRACE);
    let built = async || {
        let collection = Collection::of(&store, IDENTITY).await.unwrap();
        let mut digests = Vec::new();
        for (epoch, last) in epochs {
            for counter in 1..=last {
                let work = tempfile::tempdir().unwrap();
                let folder = work.path().join("archive");
                let built = tree_at(&collection, Point::Zxid(at(epoch, counter)), &folder, &|_| ()).await;
                digests.push(built.map(|built| built.tree.digest()).map_err(|error| error.to_string()));
            }
        }
        digests
    };
    let before = built().await;
    let (made, notes) = rolled(&store, now(), LONG).await;
    assert_eq!((made.made, made.segments), (2, 2), "{notes:?}");
    assert_eq!(built().await, before);
    age(&place, &chain().rolled(), 2 * GRACE);
    assert_eq!(rolled(&store, now(), LONG).await.0.deleted, 2);
    assert_eq!(built().await, before);
    assert!(before.iter().all(Result::is_ok), "{before:?}");
    let key = SegmentKey { chain: chain().rolled(), first: at(2, 1) };
    fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
    let without = built().await;
    assert!(without[..3] == before[..3] && without[3..].iter().all(Result::is_err), "{without:?}");
}

/// It was called damaged for ever: the roll-ups go on behind a segment that could not be read then, and it is there.
#[tokio::test]
async fn a_segment_that_could_not_be_read_once_stays_between_roll_ups_and_the_log_is_whole() {
    let (place, history) = (Place::new(), History::of(12, 10));
    history.log(&place.data(), 1..=12);
    ship(&place, &chain(), 1..=10).await;
    age(&place, &chain(), 3 * 24 * GRACE);
    ship(&place, &chain(), 11..=12).await;
    age(&place, &chain(), 2 * GRACE);
    let store = place.store();
    let name = place.archive().join(SegmentKey { chain: chain(), first: at(1, 5) }.path(IDENTITY));
    let bytes = fs::read(&name).unwrap();
    fs::write(&name, b"not now").unwrap();
    age(&place, &chain(), 4 * 24 * GRACE);
    let (made, notes) = rolled(&store, now(), LONG).await;
    assert_eq!((made.made, made.segments, made.unproved), (2, 9, 1), "{notes:?}");
    age(&place, &chain().rolled(), 2 * GRACE);
    fs::write(&name, bytes).unwrap();
    assert_eq!(rolled(&store, now(), LONG).await.0.deleted, 9);
    assert_eq!(segments(&store, &chain()).await, [5, 11, 12]);
    let verified = run(&["archive", "verify", &target(&place)]);
    let said = format!("{}{}", String::from_utf8_lossy(&verified.stdout), told(&verified));
    assert!(verified.status.success() && !said.contains("damage"), "{said}");
    assert_eq!(dumped(&[&target(&place)]).0, zxids(1..=12));
    fs::remove_file(&name).unwrap();
    let verified = run(&["archive", "verify", &target(&place)]);
    let said = format!("{}{}", String::from_utf8_lossy(&verified.stdout), told(&verified));
    assert!(verified.status.code() == Some(1) && said.contains("rolled: DAMAGED: 9 transactions"), "{said}");
}

/// Who may put an object stores a roll-up of other transactions: nothing goes for its sake, and nobody reads it in place of what is there.
#[tokio::test]
async fn a_roll_up_that_somebody_made_up_hides_nothing_and_takes_nothing_away() {
    let place = shipped().await;
    let elsewhere = Place::new();
    elsewhere.log(1, 1..=9, "forged");
    ship(&elsewhere, &chain(), 1..=9).await;
    let mut roller = Roller::of(IDENTITY, &chain());
    for key in chains::segments(&elsewhere.store(), IDENTITY, &chain()).await.unwrap() {
        let segment = chains::segment(&elsewhere.store(), IDENTITY, &key).await.unwrap().unwrap();
        assert!(roller.take(&segment, 0).unwrap().is_none());
    }
    let forged = roller.close().unwrap().unwrap();
    let store = place.store();
    store.put(&forged.facts.key().path(IDENTITY), forged.object.into()).await.unwrap();
    let before = dumped(&[&target(&place)]);
    let dump = String::from_utf8_lossy(&before.1.stdout).into_owned();
    assert_eq!(before.0, zxids(1..=9));
    assert!(!dump.contains("forged"), "{dump}");
    age(&place, &chain().rolled(), 2 * GRACE);
    let (run, notes) = rolled(&store, now(), LONG).await;
    assert_eq!((run.deleted, run.made), (0, 0), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("somebody else has stored it; delete it")), "{notes:?}");
    assert_eq!(segments(&store, &chain()).await.len(), 9);
}

#[tokio::test]
#[ignore = "needs a store: `dev/test archive`"]
async fn test_11_where_segments_are_locked_nothing_more_is_rolled_up_and_nothing_fails() {
    let gateway = Gateway::start(Ipv4Addr::LOCALHOST.into()).await;
    let proxy = Proxy::before(gateway.address).await;
    let through = store_at(proxy.address, SECRET, "backups").unwrap();
    let (place, history) = (Place::new(), History::of(40, 10));
    history.log(&place.data(), 1..=40);
    let mut shipper = Shipper::resume(through.clone(), IDENTITY, chain(), Backlog::of(&place.data())).await.unwrap();
    for counter in 1..=40 {
        shipper.ship(at(1, counter), 1).await.unwrap();
    }
    // Nothing closes a roll-up but that a day has passed.
    let catalogue = catalogue::read(&through, IDENTITY, &mut |_| {}).await.unwrap();
    let mut old = catalogue.clone();
    for (number, segment) in old.chains[0].segments.iter_mut().enumerate() {
        segment.stored -= if number < 30 { 3 * 86_400 } else { 7200 };
    }
    let quiet = &mut |_: News<'_>| {};
    let when = (now(), LONG);
    let made = rolling::roll_up(&through, IDENTITY, (&old, &Plan::default()), when, quiet).await.unwrap();
    assert_eq!((made.made, made.segments), (1, 30));
    let mut old = catalogue::read(&through, IDENTITY, &mut |_| {}).await.unwrap();
    for log in &mut old.chains {
        for (number, segment) in log.segments.iter_mut().enumerate() {
            segment.stored -= if number < 35 { 3 * 86_400 } else { 7200 };
        }
    }
    proxy.trouble(Some(Trouble::DeletesRefused));
    let mut notes = Vec::new();
    let mut tell = |news: News<'_>| {
        if let News::Note(note) = news {
            notes.push(note);
        }
    };
    let locked = rolling::roll_up(&through, IDENTITY, (&old, &Plan::default()), when, &mut tell).await.unwrap();
    assert_eq!((locked.made, locked.deleted, locked.locked), (0, 0, 16));
    assert!(notes.iter().any(|note| note.contains("object lock")), "{notes:?}");
}

/// Chains with gaps, more than one epoch and other cuts, rolled up by runs that are killed: what can be read never changes.
#[tokio::test]
async fn runs_that_are_killed_anywhere_leave_the_same_log() {
    let mut deleted = 0;
    for seed in 0..5 {
        let mut rng = StdRng::seed_from_u64(seed);
        let place = Place::new();
        let store = place.store();
        let epochs: Vec<u64> = (1..=rng.random_range(1..4)).map(|_| rng.random_range(3..25)).collect();
        let mut all = BTreeSet::new();
        for (epoch, last) in (1..).zip(&epochs) {
            place.log(epoch, 1..=*last, "a");
            all.extend((1..=*last).map(|counter| at(epoch, counter)));
        }
        for of in [chain(), other()] {
            let mut shipper =
                Shipper::resume(store.clone(), IDENTITY, of.clone(), Backlog::of(&place.data())).await.unwrap();
            for zxid in &all {
                if rng.random_bool(0.6) {
                    while shipper.has_more().unwrap() && shipper.last() < Some(*zxid) {
                        if shipper.ship(*zxid, zxid.epoch()).await.unwrap()
                            == menagerie::archive::shipper::Outcome::Waiting
                        {
                            break;
                        }
                    }
                    age(&place, &of, rng.random_range(0..30) * GRACE);
                }
            }
            age(&place, &of, 2 * GRACE);
            // One is lost.
            let there = chains::segments(&store, IDENTITY, &of).await.unwrap();
            if there.len() > 3 && rng.random_bool(0.5) {
                let lost = &there[rng.random_range(1..there.len() - 1)];
                fs::remove_file(place.archive().join(lost.path(IDENTITY))).unwrap();
            }
        }
        let read = || {
            let (found, output) = dumped(&[&target(&place)]);
            (found, told(&output))
        };
        let verify = || {
            let said = run(&["archive", "verify", &target(&place), "--output", "json"]);
            let lines = String::from_utf8_lossy(&said.stdout).into_owned();
            let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
            let lines: Vec<_> = lines.lines().map(line).filter(|line| line["damage"].is_array()).collect();
            let gaps = |line: &serde_json::Value| line["gaps"].as_array().unwrap().clone();
            let damage: usize = lines.iter().map(|line| line["damage"].as_array().unwrap().len()).sum();
            (damage > 0, lines.iter().flat_map(gaps).map(|gap| gap.to_string()).collect::<BTreeSet<_>>())
        };
        let held = async || {
            let mut held = Vec::new();
            for epoch in 1..=epochs.len() as u64 {
                for counter in 0..27 {
                    held.push(chains::holds(&store, IDENTITY, &chain(), at(epoch, counter)).await.unwrap());
                }
            }
            held
        };
        let (before, verified, has) = (read(), verify(), held().await);
        for _ in 0..8 {
            let killed = Duration::from_micros(rng.random_range(0..20_000));
            let longest = if rng.random_bool(0.3) { Duration::ZERO } else { LONG };
            if let Ok((run, _)) = tokio::time::timeout(killed, rolled(&store, now(), longest)).await {
                deleted += run.deleted;
            }
            for of in [chain(), other()] {
                if place.archive().join(SegmentKey::folder(IDENTITY, &of.rolled())).exists() && rng.random_bool(0.5) {
                    age(&place, &of.rolled(), GRACE + 2000);
                }
            }
            assert_eq!(read(), before, "{seed}");
            assert_eq!(verify(), verified, "{seed}");
        }
        let (ended, notes) = rolled(&store, now(), LONG).await;
        assert_eq!((read(), verify(), held().await), (before, verified, has), "{seed}: {ended:?} {notes:?}");
        deleted += ended.deleted;
    }
    assert!(deleted > 0);
}
