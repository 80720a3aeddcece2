//! An archive as the PATH of the commands on files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use menagerie::archive::backlog::Backlog;
use menagerie::archive::collect::Collection;
use menagerie::archive::shipper::Shipper;
use menagerie::archive::tree::tree_around;
use menagerie::restore::undo::{Left, undone};
use menagerie::restore::wanted::Limits;
use proptest::prelude::{prop, proptest};
use zookeeper_files::ids::Zxid;

use super::bases::{self, History, rounds};
use super::build::{Ruin, other, ruin, twofold};
use super::shipping::{IDENTITY, Place, at, chain};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menagerie")).args(arguments).output().unwrap()
}

pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn target(place: &Place) -> String {
    place.store().target().to_string()
}

/// The zxids of `log dump`.
pub fn dumped(arguments: &[&str]) -> (Vec<String>, Output) {
    let output = run(&[&["log", "dump", "--output", "json"], arguments].concat());
    let line =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["zxid"].as_str().unwrap().to_owned();
    let zxids = String::from_utf8_lossy(&output.stdout).lines().map(line).collect();
    (zxids, output)
}

fn zxids(counters: impl IntoIterator<Item = u64>) -> Vec<String> {
    counters.into_iter().map(|counter| format!("{:#}", at(1, counter))).collect()
}

fn left_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn the_log_of_an_archive_is_dumped_with_each_transaction_once_and_nothing_of_it_stays() {
    let (place, _) = twofold().await;
    let (target, scratch) = (target(&place), tempfile::tempdir().unwrap());
    let in_scratch = ["--scratch", scratch.path().to_str().unwrap()];
    for (range, expected) in [
        (&[][..], 1..=9),
        (&["--from", "0x100000005"], 5..=9),
        (&["--to", "0x100000004"], 1..=4),
        (&["--from", "0x100000005", "--to", "0x100000005"], 5..=5),
        (&["--since", "2023-11-14T22:13:25Z", "--until", "2023-11-14T22:13:27Z"], 5..=6),
    ] {
        let (found, output) = dumped(&[&[target.as_str()], range, &in_scratch].concat());
        assert_eq!((found, told(&output)), (zxids(expected), String::new()), "{range:?}");
        assert_eq!((output.status.code(), left_in(scratch.path())), (Some(0), 0));
    }
}

#[tokio::test]
async fn what_one_disk_lacks_is_taken_from_another_and_what_all_lack_is_a_gap() {
    for number in 0..3 {
        for how in [Ruin::Damaged, Ruin::Another, Ruin::Deleted] {
            let (place, _) = twofold().await;
            ruin(&place, &chain(), number, how);
            ruin(&place, &other(), (number + 1) % 3, how);
            let (found, output) = dumped(&[&target(&place)]);
            assert_eq!(found, zxids(1..=9), "{how:?} {number}: {}", told(&output));
            ruin(&place, &other(), number, how);
            let (found, output) = dumped(&[&target(&place)]);
            let missing = number * 3 + 1..=number * 3 + 3;
            assert_eq!(found, zxids((1..=9).filter(|counter| !missing.contains(counter))), "{how:?} {number}");
            assert_eq!(told(&output).contains("gap: between 0x"), number == 1, "{}", told(&output));
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]

    #[test]
    fn of_disks_that_cut_their_logs_anywhere_and_lack_some_each_transaction_that_one_has_is_there_once(
        cuts in prop::collection::vec(prop::collection::btree_set(1_u64..30, 1..8), 3),
        lacks in prop::collection::vec(prop::collection::vec(0_usize..8, 0..4), 3),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (place, history) = (Place::new(), History::of(30, 4));
            history.log(&place.data(), 1..=30);
            let mut expected = std::collections::BTreeSet::new();
            for ((disk, cuts), lacks) in (0..).zip(&cuts).zip(&lacks) {
                let disk_id = menagerie::archive::key::DiskId::from_bits(disk.into());
                let chain = menagerie::archive::key::Chain::of(menagerie::model::ServerId(disk + 1), disk_id);
                let mut shipper =
                    Shipper::resume(place.store(), IDENTITY, chain.clone(), Backlog::of(&place.data())).await.unwrap();
                let mut first = 1;
                for (number, cut) in cuts.iter().copied().chain([30]).enumerate() {
                    shipper.ship(at(1, cut), 1).await.unwrap();
                    let key = menagerie::archive::key::SegmentKey { chain: chain.clone(), first: at(1, first) };
                    if lacks.contains(&number) {
                        fs::remove_file(place.archive().join(key.path(IDENTITY))).unwrap();
                    } else {
                        expected.extend(first..=cut);
                    }
                    first = cut + 1;
                }
            }
            if expected.is_empty() {
                return;
            }
            let (found, output) = dumped(&[&target(&place)]);
            assert_eq!(found, zxids(expected.iter().copied()), "{}", told(&output));
            let last = *expected.last().unwrap();
            let missing = (*expected.first().unwrap()..last).any(|counter| !expected.contains(&counter));
            assert_eq!(told(&output).contains("gap: "), missing, "{expected:?}: {}", told(&output));
        });
    }
}

#[tokio::test]
async fn the_tree_of_an_archive_is_shown_compared_and_written_at_a_point() {
    let (place, history) = bases::archived(10).await;
    rounds(&mut bases::agent(&place, place.store(), chain()), at(1, 9)).await;
    let (target, folder) = (target(&place), tempfile::tempdir().unwrap());
    let shown = run(&["snapshot", "tree", &target, "--at", "0x100000007", "--output", "json"]);
    let count = String::from_utf8_lossy(&shown.stdout).lines().count();
    assert_eq!((count, shown.status.code()), (history.trees[7].len(), Some(0)), "{}", told(&shown));
    // All that is in an archive was committed.
    assert!(!told(&shown).contains("committed"), "{}", told(&shown));
    let data = run(&["snapshot", "cat", &target, "--path", "/6"]);
    assert_eq!(data.stdout.len(), 10, "{}", told(&data));
    let compared =
        run(&["snapshot", "diff", &target, "--from", "0x100000006", "--to", "0x100000008", "--output", "json"]);
    let lines = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(
        lines.contains("\"/7\"") && lines.contains("\"/8\"") && !lines.contains("\"/9\""),
        "{lines}{}",
        told(&compared)
    );
    let to = folder.path().join("written");
    let written = run(&["snapshot", "write", &target, "--at", "0x100000007", "--to", to.to_str().unwrap()]);
    let line = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(line.contains(&format!("digest {:x}, epoch 1", history.trees[7].digest())), "{line}{}", told(&written));
    let early = run(&["snapshot", "tree", &target, "--at", "0x100000004"]);
    assert!(early.status.code() == Some(2), "before the first base: {}", told(&early));
}

#[tokio::test]
async fn a_transaction_of_an_archive_is_undone_and_one_that_it_does_not_have_is_told() {
    let (place, history) = bases::archived(10).await;
    rounds(&mut bases::agent(&place, place.store(), chain()), at(1, 9)).await;
    let (target, store) = (target(&place), place.store());
    let collection = Collection::of(&store, IDENTITY).await.unwrap();
    for number in 6..=9 {
        let (zxid, work) = (at(1, number), tempfile::tempdir().unwrap());
        let built = tree_around(&collection, zxid, &work.path().join("archive"), &|_| ()).await.unwrap();
        let wanted = undone(zxid, built.body.as_deref(), &built.before, &built.tree, Limits::default()).unwrap();
        let number = usize::try_from(number).unwrap();
        assert_eq!((built.tree.digest(), wanted.zxid), (history.trees[number].digest(), Zxid(zxid.0 - 1)));
        let created = format!("/{number}");
        assert_eq!(wanted.left.keys().collect::<Vec<_>>(), [&created]);
        assert!(wanted.znodes.is_empty() && matches!(wanted.left[&created], Left::There(_)));
    }
    let plan = |zxid: &str| {
        let words = ["restore", "plan", &target, "--undo", zxid, "--same-ensemble", "--server", "127.0.0.1:1"];
        let output = run(&words);
        assert_eq!(output.status.code(), Some(2));
        told(&output)
    };
    assert!(plan("0x100000008").contains("127.0.0.1:1"), "only the servers are missing: {}", plan("0x100000008"));
    for (zxid, words) in [
        ("0x100000005", "no sound snapshot at or before 0x100000004"),
        ("0x100000003", "no sound snapshot"),
        ("0x100000010", "the files end with 0x100000009, before 0x100000010"),
        ("0x200000001", "the files end with 0x100000009"),
    ] {
        let told = plan(zxid);
        assert!(told.contains(words), "{zxid}: {told}");
        // The Job of a ZooKeeperRestore says the same, and is not tried again.
        let (scratch, report) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["job", "--report", report.path().to_str().unwrap(), "restore-plan", "--archive", &target])
            .args(["--identity", IDENTITY, "--restore", "uid", "--undo", zxid, "--same-ensemble"])
            .args(["--server", "127.0.0.1:1", "--scratch", scratch.path().to_str().unwrap()])
            .env("MENAGERIE_SUPER_PASSWORD", "secret")
            .output()
            .unwrap();
        let told = fs::read_to_string(report.path()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(words), "{zxid}: {told}");
    }
}

#[tokio::test]
async fn a_written_snapshot_of_the_past_has_the_highest_epoch_of_the_archive() {
    let place = Place::new();
    place.log(1, 1..=9, "a");
    place.log(3, 1..=2, "b");
    place.log(5, 1..=2, "c");
    let mut shipper = place.shipper().await.unwrap();
    for applied in [at(1, 9), at(3, 2), at(5, 2)] {
        shipper.ship(applied, applied.epoch()).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("written");
    let arguments =
        ["snapshot", "write", &target(&place), "--at", "0x100000004", "--unproved", "--to", to.to_str().unwrap()];
    let written = run(&arguments);
    assert_eq!(written.status.code(), Some(0), "{}", told(&written));
    assert_eq!(
        fs::read_to_string(to.join("version-2/currentEpoch")).unwrap(),
        "5",
        "a server would reuse zxids otherwise"
    );
}

#[tokio::test]
async fn an_index_of_an_archive_grows_with_what_is_new_in_it() {
    let (place, history) = (Place::new(), History::of(9, 10));
    history.log(&place.data(), 1..=9);
    let mut shipper = place.shipper().await.unwrap();
    shipper.ship(at(1, 4), 1).await.unwrap();
    let (target, folder) = (target(&place), tempfile::tempdir().unwrap());
    let index = folder.path().join("zk.index");
    let build = ["index", "build", &target, "--index", index.to_str().unwrap()];
    let history_of = |path: &str| {
        let output = run(&["index", "history", path, "--index", index.to_str().unwrap(), "--output", "json"]);
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    let first = run(&build);
    assert_eq!(first.status.code(), Some(0), "{}", told(&first));
    assert_eq!([history_of("/4"), history_of("/5")], [1, 0]);
    shipper.ship(at(1, 9), 1).await.unwrap();
    let second = run(&build);
    let line = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(line.contains("from 5 transactions") && !line.contains("rebuilt"), "{line}{}", told(&second));
    assert_eq!([history_of("/4"), history_of("/9")], [1, 1]);
    assert!(told(&second).contains("zk.index.logs: the index points into them"), "{}", told(&second));
    // The folder is that of one ensemble.
    fs::write(folder.path().join("zk.index.logs/identity"), "another").unwrap();
    let refused = run(&build);
    assert!(
        refused.status.code() == Some(2) && told(&refused).contains("delete it, or name another"),
        "{}",
        told(&refused)
    );
}

#[tokio::test]
async fn more_than_the_limit_is_not_fetched_and_it_is_said_how_to_raise_it() {
    let (place, _) = twofold().await;
    for command in [&["log", "dump"][..], &["snapshot", "tree"]] {
        let target = target(&place);
        let output = run(&[command, &[target.as_str(), "--scratch-limit", "100"]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(told(&output).contains("(100 bytes): raise --scratch-limit"), "{}", told(&output));
    }
}

#[tokio::test]
async fn an_archive_where_it_does_not_belong_is_refused_with_what_does() {
    let (place, _) = twofold().await;
    let target = target(&place);
    for (arguments, reason) in [
        (&["log", "verify", &target][..], "menagerie archive verify"),
        (&["log", "tail", &target], "archive fetch"),
        (&["log", "stat", &target], "menagerie archive stat"),
        (&["snapshot", "dump", &target], "`snapshot tree` shows the tree of an archive"),
        (&["log", "dump", &target, "/data"], "stand alone"),
        (&["snapshot", "diff", &target, &target], "give --from"),
        (&["index", "build", &target, "--others", "/data"], "leave --others out"),
        (&["log", "dump", "ftp://there"], "ftp is not supported"),
        (&["log", "dump", "file:///nowhere/at/all"], "cannot open"),
        (&["log", "dump", &target, "--identity", "another"], "has no archived log"),
    ] {
        let output = run(arguments);
        assert!(output.status.code() == Some(2) && told(&output).contains(reason), "{arguments:?}: {}", told(&output));
    }
}

/// The folder that its log was fetched into was named, and was gone.
#[tokio::test]
async fn what_no_transaction_is_in_is_said_with_where_the_archive_ends() {
    let (place, _) = twofold().await;
    let target = target(&place);
    let beyond = run(&["log", "dump", &target, "--from", "0x100000063"]);
    let said = told(&beyond);
    assert!(
        said.contains(&format!("{target} has no transaction of that range: the archive ends at 0x100000009 (2023")),
        "{said}"
    );
    assert_eq!(beyond.status.code(), Some(2));
    let none = run(&["log", "dump", &target, "--subtree", "/nothing"]);
    assert_eq!((none.status.code(), told(&none).trim()), (Some(0), "notice: 0 of 9 transactions match"));
    let turned = run(&["log", "dump", &target, "--since", "2023-11-15T00:00:00Z", "--until", "2023-11-14T00:00:00Z"]);
    assert!(
        turned.status.code() == Some(2) && told(&turned).contains("the first has to be the earlier"),
        "{}",
        told(&turned)
    );
    let turned = run(&["log", "dump", &target, "--from", "0x100000005", "--to", "0x100000004"]);
    assert!(
        turned.status.code() == Some(2) && told(&turned).contains("the first has to be the lower"),
        "{}",
        told(&turned)
    );
}

/// With files it was 1, as --help says, and with an archive 2.
#[tokio::test]
async fn a_restore_of_a_time_after_the_archives_end_is_not_planned_as_with_files() {
    let (place, _) = twofold().await;
    let target = target(&place);
    let plan =
        run(&["restore", "plan", &target, "--at", "2030-01-01T00:00:00Z", "--path", "/", "--server", "127.0.0.1:1"]);
    let said = told(&plan);
    assert!(said.contains("damage: nothing is planned: the archive ends at 0x100000009"), "{said}");
    assert_eq!(plan.status.code(), Some(1));
}

#[test]
fn a_command_that_is_interrupted_leaves_nothing_of_the_archive_behind() {
    let scratch = tempfile::tempdir().unwrap();
    // It never answers.
    let store = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"))
        .args(["log", "dump", "s3://backups", "--scratch", scratch.path().to_str().unwrap()])
        .env("AWS_ENDPOINT_URL", format!("http://{}", store.local_addr().unwrap()))
        .envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_ALLOW_HTTP", "true")])
        .spawn()
        .unwrap();
    let _asked = store.accept().unwrap();
    assert_eq!(left_in(scratch.path()), 1, "it is at work");
    assert!(Command::new("kill").arg(command.id().to_string()).status().unwrap().success());
    assert_eq!(command.wait().unwrap().code(), Some(130));
    assert_eq!(left_in(scratch.path()), 0);
}

/// The log of a lost disk has what never was, once the loss was accepted.
#[tokio::test]
async fn two_histories_in_one_archive_are_refused_with_what_to_leave_out() {
    let (lost, survives) = (Place::new(), Place::new());
    lost.log(1, 1..=12, "a");
    survives.log(1, 1..=9, "a");
    survives.log(2, 1..=3, "b");
    let store = survives.store();
    let mut of_lost = Shipper::resume(store.clone(), IDENTITY, chain(), Backlog::of(&lost.data())).await.unwrap();
    of_lost.ship(at(1, 12), 1).await.unwrap();
    let mut of_other = Shipper::resume(store.clone(), IDENTITY, other(), Backlog::of(&survives.data())).await.unwrap();
    for applied in [at(1, 9), at(2, 3)] {
        of_other.ship(applied, applied.epoch()).await.unwrap();
    }
    let (_, output) = dumped(&[&target(&survives)]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("two histories") && told(&output).contains("0x10000000c"), "{}", told(&output));
    // What both have is one.
    let (found, output) = dumped(&[&target(&survives), "--to", "0x100000009"]);
    assert_eq!(found, zxids(1..=9), "{}", told(&output));
}
