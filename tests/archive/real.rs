//! Snapshots of real servers, held against their logs.

use std::fs::{self, File};
use std::path::Path;

use flate2::read::GzDecoder;
use menagerie::archive::snapshots::{SnapshotFile, Snapshots};

/// Unpacks a folder of gzipped files.
fn unpack(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let mut file = File::create(to.join(name.strip_suffix(".gz").unwrap())).unwrap();
        std::io::copy(&mut GzDecoder::new(File::open(entry.path()).unwrap()), &mut file).unwrap();
    }
}

/// How each snapshot of a member is judged, oldest first: its name, what proves it, and until where it may be fuzzy.
fn judged(member: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files");
    unpack(&fixtures.join(member).join("version-2"), folder.path());
    let snapshots = Snapshots::of(folder.path());
    let judge = |file: &SnapshotFile| match snapshots.examine(file) {
        Ok(examined) => format!("{} {} {}", examined.zxid, examined.proved.by, examined.proved.until),
        Err(why) => format!("{}: {why}", file.zxid),
    };
    snapshots.list().unwrap().iter().map(judge).collect()
}

/// Every server begins with an empty one that no log speaks of.
const EMPTY: &str = "0: the log has no digest with which to compare it";

#[test]
fn what_servers_write_at_rest_and_under_load_and_after_elections_is_proved_by_their_logs() {
    let exact = ["100000032 100000032 100000032", "200000035 200000035 200000035"];
    let fuzzy = ["300000008 30000000c 30000000d", "300000038 300000038 300000038", "400000018 400000020 400000021"];
    assert_eq!(judged("3.9.5/ensemble/1"), [&[EMPTY][..], &exact, &fuzzy].concat());
    // A new leader's is named after no transaction.
    assert_eq!(judged("3.9.5/ensemble/2")[2], "200000000 100000032 200000000");
    let zxids = "38 71 ae c9";
    let packed = judged("3.9.5/gzip/1");
    assert_eq!(packed[1..].iter().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>().join(" "), zxids);
    assert_eq!(packed[2], "71 99 9a");
    for member in ["3.6.4/alone/1", "3.7.2/alone/1", "3.8.5/ensemble/1", "3.8.5/ensemble/3", "3.9.4/alone/1"] {
        assert!(judged(member)[1..].iter().all(|line| !line.contains(':')), "{member}: {:?}", judged(member));
    }
}

#[test]
fn a_snapshot_that_has_more_than_its_server_says_without_a_word_is_left_out() {
    // It had applied the next transaction and not counted it yet.
    let judged = judged("3.8.5/alone/1");
    assert_eq!(judged[3], "80: it is not what the leader had: its digest differs from the one in the log");
    assert_eq!(judged.iter().filter(|line| line.contains(':')).count(), 2, "{judged:?}");
}

#[test]
fn where_servers_write_no_digests_nothing_is_proved() {
    for member in ["3.4.14/alone/1", "3.5.10/alone/1", "3.9.5/undigested/1"] {
        let judged = judged(member);
        assert!(judged.len() > 1 && judged.iter().all(|line| line.ends_with(&EMPTY[3..])), "{member}: {judged:?}");
    }
}
