//! What we say of damaged files, beside what a real server does when it starts on them. These need Java: `dev/test files`.

use std::fs;
use std::path::{Path, PathBuf};

use menagerie::model::ids::Zxid;
use serde_json::Value;
use zookeeper_files::disk::{MemberFiles, verify};
use zookeeper_files::log::AtStart;

use crate::live::java;
use crate::scenes::{scenes, unpack};

/// A copy of the files of a server of 3.9.5, for damaging.
struct Patient {
    folder: PathBuf,
    /// Its logs, and the offsets and zxids of their records.
    logs: Vec<(PathBuf, Vec<(usize, Zxid)>)>,
}

fn patient(to: &Path, name: &str) -> Patient {
    let scenes = scenes();
    let scene = scenes.iter().find(|scene| scene.name == "3.9.5/alone").unwrap();
    let member = &scene.members()[0];
    let folder = to.join(name);
    let version = folder.join("version-2");
    fs::create_dir_all(&version).unwrap();
    // The first snapshot alone: every log is needed.
    let (_, snapshot) = &member.snapshots()[0];
    fs::copy(snapshot, version.join(snapshot.file_name().unwrap())).unwrap();
    let mut logs: Vec<(PathBuf, Vec<(usize, Zxid)>)> = Vec::new();
    for (_, log) in member.logs() {
        let copy = version.join(log.file_name().unwrap());
        fs::copy(&log, &copy).unwrap();
        logs.push((copy, Vec::new()));
    }
    member.each_record(|path, record| {
        let log = logs.iter_mut().find(|(log, _)| log.file_name() == path.file_name()).unwrap();
        log.1.push((usize::try_from(record.offset).unwrap(), record.header.zxid));
    });
    Patient { folder, logs }
}

impl Patient {
    /// Changes the bytes of a log.
    fn damage(&self, log: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(&self.logs[log].0).unwrap();
        change(&mut bytes);
        fs::write(&self.logs[log].0, bytes).unwrap();
        settle(&self.logs[log].0);
    }

    fn each_snapshot(&self, change: impl Fn(&Path)) {
        for entry in fs::read_dir(self.folder.join("version-2")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("snapshot.") {
                change(&path);
                if path.exists() {
                    settle(&path);
                }
            }
        }
    }

    fn last(&self) -> (usize, usize, Zxid) {
        let log = self.logs.len() - 1;
        let (offset, zxid) = *self.logs[log].1.last().unwrap();
        (log, offset, zxid)
    }
}

/// As if it had been left alone for an hour.
fn settle(path: &Path) {
    let hour = std::time::Duration::from_hours(1);
    fs::File::options().append(true).open(path).unwrap().set_modified(std::time::SystemTime::now() - hour).unwrap();
}

/// What a server's start makes of each folder.
fn loaded(folders: &[PathBuf]) -> Vec<Value> {
    let mut arguments = vec!["load"];
    arguments.extend(folders.iter().map(|folder| folder.to_str().unwrap()));
    java("Tools", &arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The worst that we say of a server's start on a folder.
fn verdict(folder: &Path) -> (AtStart, String) {
    let report = verify(&MemberFiles::find(folder.to_str().unwrap()).unwrap(), &mut |_| ()).unwrap();
    let said = report.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let worst = report.findings.iter().filter_map(|finding| finding.at_start).max_by_key(|at_start| *at_start as u8);
    (worst.unwrap_or(AtStart::Harmless), said)
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn a_server_starts_at_every_cut_of_the_last_record_with_all_before_it_and_so_do_we() {
    let folder = tempfile::tempdir().unwrap();
    let whole = patient(folder.path(), "whole");
    let (log, offset, last) = whole.last();
    let bytes = fs::read(&whole.logs[log].0).unwrap();
    let length = 13 + usize::try_from(u32::from_be_bytes(bytes[offset + 8..offset + 12].try_into().unwrap())).unwrap();
    let mut folders = Vec::new();
    for cut in 0..length {
        // Cut off, and cut with the zeros after it in place, as a crash leaves it.
        for padded in [false, true] {
            let patient = patient(folder.path(), &format!("{cut}-{padded}"));
            patient.damage(log, |bytes| {
                let full = bytes.len();
                bytes.truncate(offset + cut);
                if padded {
                    bytes.resize(full, 0);
                }
            });
            folders.push(patient.folder);
        }
    }
    assert!(folders.len() > 100);
    for (folder, theirs) in folders.iter().zip(loaded(&folders)) {
        let (ours, said) = verdict(folder);
        let name = folder.file_name().unwrap().to_string_lossy();
        assert_eq!(theirs["loads"], ours != AtStart::Refuses, "{name}: {theirs} and we: {said}");
        if ours == AtStart::Harmless {
            assert_eq!(theirs["zxid"], last.0 - 1, "{name}: {theirs}");
        }
    }
}

/// Damage within a log.
fn damaged_records(mut case: impl FnMut(&'static str, &dyn Fn(&Patient))) {
    case("sound", &|_| {});
    case("a flipped bit", &|it| it.damage(1, |bytes| bytes[it.logs[1].1[3].0 + 40] ^= 1));
    case("a flipped bit in the last record", &|it| {
        let (log, offset, _) = it.last();
        it.damage(log, |bytes| bytes[offset + 20] ^= 1);
    });
    case("a wrong end mark", &|it| it.damage(1, |bytes| bytes[it.logs[1].1[3].0 - 1] = b'C'));
    case("an absurd length", &|it| it.damage(1, |bytes| bytes[it.logs[1].1[3].0 + 8] = 0x7f));
    case("a negative length", &|it| it.damage(1, |bytes| bytes[it.logs[1].1[3].0 + 8] = 0xff));
    case("a wrong end mark in the newest log", &|it| {
        let (log, offset, _) = it.last();
        it.damage(log, |bytes| bytes[offset - 1] = b'C');
    });
    case("a zeroed record", &|it| it.damage(1, |bytes| bytes[it.logs[1].1[3].0..it.logs[1].1[4].0].fill(0)));
    case("a log cut at a record", &|it| it.damage(1, |bytes| bytes.truncate(it.logs[1].1[3].0)));
    case("a log missing between two", &|it| fs::remove_file(&it.logs[1].0).unwrap());
    case("an empty newest log", &|it| it.damage(it.logs.len() - 1, Vec::clear));
    case("an empty log in the middle", &|it| it.damage(1, Vec::clear));
    case("a log cut in its header", &|it| it.damage(1, |bytes| bytes.truncate(9)));
    case("ones behind the end", &|it| it.damage(1, |bytes| bytes.extend([0xff; 64])));
    case("sound, with zeros too few for a record", &|it| {
        let (log, offset, _) = it.last();
        it.damage(log, |bytes| {
            let length = u32::from_be_bytes(bytes[offset + 8..offset + 12].try_into().unwrap());
            bytes.truncate(offset + 13 + usize::try_from(length).unwrap() + 7);
        });
    });
    case("a length past the end", &|it| {
        it.damage(1, |bytes| bytes[it.logs[1].1[3].0 + 8..it.logs[1].1[3].0 + 12].copy_from_slice(&[0, 16, 0, 0]));
    });
    case("a length past the end in the last log", &|it| {
        let log = it.logs.len() - 1;
        it.damage(log, |bytes| {
            bytes[it.logs[log].1[1].0 + 8..it.logs[log].1[1].0 + 12].copy_from_slice(&[0, 16, 0, 0]);
        });
    });
    case("a length beyond what a server reads", &|it| {
        it.damage(1, |bytes| bytes[it.logs[1].1[3].0 + 8..it.logs[1].1[3].0 + 12].copy_from_slice(&[0, 48, 0, 0]));
    });
    case("a record beyond what a server reads", &|it| {
        it.damage(1, |bytes| {
            let at = it.logs[1].1[3].0;
            let mut body = bytes[at + 12..at + 12 + 32].to_vec();
            body.extend(vec![0; 2 << 20]);
            let sum = u64::from(simd_adler32::adler32(&&body[..]));
            let length = u32::try_from(body.len()).unwrap();
            let frame = [&sum.to_be_bytes()[..], &length.to_be_bytes(), &body, b"B"].concat();
            let next = it.logs[1].1[4].0;
            bytes.splice(at..next, frame);
        });
    });
}

/// Damage that shows in the folder.
fn damaged_folders(mut case: impl FnMut(&'static str, &dyn Fn(&Patient))) {
    case("a record twice", &|it| {
        it.damage(1, |bytes| {
            let (from, to) = (it.logs[1].1[3].0, it.logs[1].1[4].0);
            let again = bytes[from..to].to_vec();
            bytes.splice(to..to, again);
        });
    });
    case("a record left out", &|it| {
        it.damage(1, |bytes| drop(bytes.drain(it.logs[1].1[3].0..it.logs[1].1[4].0)));
    });
    case("a stray log", &|it| {
        fs::copy(&it.logs[0].0, it.folder.join("version-2/log.1.bak")).unwrap();
    });
    case("a truncated snapshot", &|it| {
        it.each_snapshot(|path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        });
    });

    case("a truncated snapshot", &|it| {
        it.each_snapshot(|path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        });
    });
    case("no snapshot", &|it| it.each_snapshot(|path| fs::remove_file(path).unwrap()));
    case("no snapshot that looks whole and no log", &|it| {
        it.each_snapshot(|path| fs::write(path, b"ZKSN").unwrap());
        it.logs.iter().for_each(|(log, _)| fs::remove_file(log).unwrap());
    });
    case("another file for the newest log", &|it| it.damage(it.logs.len() - 1, |bytes| bytes[..4].fill(0)));
    case("a record missing first", &|it| {
        it.damage(0, |bytes| drop(bytes.drain(it.logs[0].1[0].0..it.logs[0].1[1].0)));
    });
    case("a log that goes on into the next", &|it| {
        let (log, records) = &it.logs[1];
        let bytes = fs::read(log).unwrap();
        let more = bytes[records[0].0..records[2].0].to_vec();
        it.damage(0, |bytes| {
            let (last, _) = *it.logs[0].1.last().unwrap();
            let length = u32::from_be_bytes(bytes[last + 8..last + 12].try_into().unwrap());
            bytes.truncate(last + 13 + usize::try_from(length).unwrap());
            bytes.extend(&more);
        });
    });
    case("a stray beginning of a snapshot, the newest", &|it| {
        fs::write(it.folder.join("version-2/snapshot.ffff.tmp"), b"ZKSN and not much").unwrap();
    });
    case("a stray empty log, the newest", &|it| {
        fs::write(it.folder.join("version-2/log.ffff.bak"), b"").unwrap();
    });
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn our_verdict_on_damaged_files_is_that_of_zookeepers_own_start() {
    let folder = tempfile::tempdir().unwrap();
    let new = |name: &str| patient(folder.path(), name);
    let mut cases: Vec<(&str, PathBuf)> = Vec::new();
    let mut case = |name: &'static str, hurt: &dyn Fn(&Patient)| {
        let patient = new(name);
        hurt(&patient);
        cases.push((name, patient.folder));
    };
    damaged_records(&mut case);
    damaged_folders(&mut case);
    let sound_zxid = new("measure").last().2.0;
    let verdicts: Vec<_> = cases.iter().map(|(_, folder)| verdict(folder)).collect();
    let folders: Vec<_> = cases.iter().map(|(_, folder)| folder.clone()).collect();
    let mut wrong = Vec::new();
    for (((name, _), (ours, said)), theirs) in cases.iter().zip(&verdicts).zip(loaded(&folders)) {
        let loads = theirs["loads"] == true;
        let last = theirs["zxid"] == sound_zxid;
        let same = match ours {
            AtStart::Refuses => !loads,
            AtStart::DropsInSilence => loads && (!last || name.ends_with("first")),
            AtStart::Repeats => loads && last,
            AtStart::Harmless => loads && (last || name.contains("newest")),
        };
        if !same {
            wrong.push(format!("{name}: ZooKeeper {theirs}; we {ours:?}: {said}"));
        }
        assert_eq!(name.starts_with("sound"), said.is_empty(), "{name}: {said}");
    }
    assert!(wrong.is_empty(), "not what ZooKeeper does: {wrong:#?}");
}

/// What is found of a folder, each with what a server does.
fn found(folder: &Path) -> Vec<(String, AtStart)> {
    let report = verify(&MemberFiles::find(folder.to_str().unwrap()).unwrap(), &mut |_| ()).unwrap();
    report.findings.iter().map(|finding| (finding.name.to_owned(), finding.at_start.unwrap())).collect()
}

/// `currentEpoch`, `acceptedEpoch` and `currentEpoch.tmp` beside transactions of epoch 4, and what is found.
type EpochCase = (&'static str, [Option<&'static str>; 3], &'static [&'static str]);

const EPOCHS: &[EpochCase] = &[
    ("sound", [Some("4"), Some("4"), None], &[]),
    ("none", [None, None, None], &[]),
    ("beyond the last transaction", [Some("5"), Some("7"), None], &[]),
    ("beyond what a zxid can have", [Some("9999999999"), Some("9999999999"), None], &[]),
    ("with a sign and a second line", [Some("+4\r\n5"), Some("4\n"), None], &[]),
    ("0", [Some("0"), Some("4"), None], &["epoch-behind"]),
    ("3", [Some("3"), Some("4"), None], &["epoch-behind"]),
    ("-1", [Some("-1"), Some("4"), None], &["epoch-behind"]),
    ("accepted before current", [Some("4"), Some("3"), None], &["epoch-behind"]),
    ("both beyond, accepted before current", [Some("9"), Some("8"), None], &["epoch-behind"]),
    ("current empty", [Some(""), Some("4"), None], &["epoch-garbage"]),
    ("accepted empty", [Some("4"), Some(""), None], &["epoch-garbage"]),
    ("current text", [Some("four"), Some("4"), None], &["epoch-garbage"]),
    ("current with a blank", [Some("4 "), Some("4"), None], &["epoch-garbage"]),
    ("current in the second line", [Some("\n4"), Some("4"), None], &["epoch-garbage"]),
    ("accepted hexadecimal", [Some("4"), Some("0x4"), None], &["epoch-garbage"]),
    ("accepted too long", [Some("4"), Some("99999999999999999999"), None], &["epoch-garbage"]),
    ("current missing", [None, Some("4"), None], &["epoch-missing"]),
    ("current missing, accepted old", [None, Some("3"), None], &["epoch-missing", "epoch-behind"]),
    ("accepted missing", [Some("4"), None, None], &["epoch-missing"]),
    ("accepted missing, current beyond", [Some("5"), None, None], &["epoch-missing"]),
    ("unfinished", [Some("3"), Some("4"), Some("4")], &["epoch-unfinished"]),
    ("unfinished beyond accepted", [Some("3"), Some("4"), Some("5")], &["epoch-unfinished", "epoch-behind"]),
    ("unfinished empty", [Some("3"), Some("4"), Some("")], &["epoch-garbage"]),
    ("unfinished without need", [Some("4"), Some("4"), Some("garbage")], &[]),
    ("unfinished beside none", [None, Some("4"), Some("garbage")], &["epoch-missing"]),
    ("unfinished and old", [Some("2"), Some("4"), Some("3")], &["epoch-unfinished"]),
];

#[test]
#[ignore = "needs Java: dev/test files"]
fn our_verdict_on_epochs_is_that_of_a_members_own_start() {
    let root = tempfile::tempdir().unwrap();
    let scenes = scenes();
    let scene = scenes.iter().find(|scene| scene.name == "3.9.5/ensemble").unwrap();
    let member = &scene.members()[0];
    let folders: Vec<PathBuf> = EPOCHS.iter().map(|(name, ..)| root.path().join(name)).collect();
    for (folder, (_, epochs, _)) in folders.iter().zip(EPOCHS) {
        let version = folder.join("version-2");
        fs::create_dir_all(&version).unwrap();
        for (_, file) in member.logs().into_iter().chain(member.snapshots()) {
            let copy = version.join(file.file_name().unwrap());
            fs::copy(&file, &copy).unwrap();
            settle(&copy);
        }
        for (name, text) in ["currentEpoch", "acceptedEpoch", "currentEpoch.tmp"].into_iter().zip(epochs) {
            if let Some(text) = text {
                fs::write(version.join(name), text).unwrap();
            }
        }
    }
    let ours: Vec<_> = folders.iter().map(|folder| found(folder)).collect();
    let (first, again) = (loaded(&folders), loaded(&folders));
    for (at, (name, _, expected)) in EPOCHS.iter().enumerate() {
        let (ours, theirs) = (&ours[at], &first[at]);
        assert_eq!(ours.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), *expected, "{name}");
        let refuses = ours.iter().any(|(_, at_start)| *at_start == AtStart::Refuses);
        assert_eq!(theirs["loads"] == true, !refuses, "{name}: {theirs}; we {ours:?}");
        // What starts once starts again, but for an unfinished epoch that is too old itself.
        let once = *name == "unfinished and old";
        assert_eq!(again[at]["loads"] == true, !refuses && !once, "{name}: {}; we {ours:?}", again[at]);
        for finding in found(&folders[at]).iter().filter(|_| once) {
            assert_eq!(*finding, ("epoch-behind".to_owned(), AtStart::Refuses), "{name}");
        }
    }
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn our_verdict_on_logs_that_have_a_folder_of_their_own_is_that_of_zookeepers_own_start() {
    let root = tempfile::tempdir().unwrap();
    let whole = patient(root.path(), "data");
    let (data, logs) = (whole.folder.join("version-2"), root.path().join("logs/version-2"));
    fs::create_dir_all(&logs).unwrap();
    let named = PathBuf::from(format!("{},{}", whole.folder.display(), root.path().join("logs").display()));
    let same = |expected: AtStart| {
        let (ours, said) = verdict(&named);
        let theirs = loaded(std::slice::from_ref(&named)).remove(0);
        assert_eq!(ours, expected, "{said}");
        assert_eq!(theirs["loads"] == true, expected != AtStart::Refuses, "{theirs}; we {ours:?}: {said}");
    };
    let moved = |log: &Path| fs::rename(log, logs.join(log.file_name().unwrap())).unwrap();
    whole.logs[1..].iter().for_each(|(log, _)| moved(log));
    same(AtStart::Refuses);
    moved(&whole.logs[0].0);
    same(AtStart::Harmless);
    let snapshot = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = snapshot.into_iter().find(|path| path.to_str().unwrap().contains("snapshot.")).unwrap();
    fs::copy(&snapshot, logs.join(snapshot.file_name().unwrap())).unwrap();
    same(AtStart::Refuses);
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn of_each_case_our_verdict_is_what_a_server_does() {
    let folder = tempfile::tempdir().unwrap();
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases");
    unpack(&packed, folder.path());
    let mut folders: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let verdicts: Vec<_> = folders.iter().map(|folder| verdict(folder)).collect();
    let mut seen = Vec::new();
    for ((folder, (ours, said)), theirs) in folders.iter().zip(verdicts).zip(loaded(&folders)) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(theirs["loads"] == true, ours != AtStart::Refuses, "{name}: {theirs}; we {ours:?}: {said}");
        seen.push((name, theirs["zxid"].as_u64(), ours));
    }
    let drops: Vec<_> =
        seen.iter().filter(|(.., ours)| *ours == AtStart::DropsInSilence).map(|(name, ..)| name).collect();
    assert_eq!(drops, ["damage-gap-first", "damage-length-1m1"]);
    let refuses: Vec<_> = seen.iter().filter(|(_, zxid, _)| zxid.is_none()).map(|(name, ..)| name).collect();
    assert_eq!(refuses, ["no-snapshot-at-all", "zero-newest-log"]);
}
