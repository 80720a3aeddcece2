//! What real ZooKeeper makes of our files, and of damaged ones. These need Java: `dev/test files` runs them, and names in
//! `MENAGERIE_CLASSPATH` what `dev/files classpath` prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use menagerie::files::{Member, verify};
use menagerie::log::AtStart;
use menagerie::model::ids::Zxid;
use serde_json::Value;

use crate::scenes::{Scene, scenes};
use crate::seen::{seen, served};

pub fn java(program: &str, arguments: &[&str]) -> String {
    let classpath =
        std::env::var("MENAGERIE_CLASSPATH").expect("run this through `dev/test files`, which names the class path");
    let mut command = Command::new("timeout");
    command.args(["300", "java", "-Xmx512m", "-Dfile.encoding=UTF-8", "-cp", &classpath, program]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn a_server_starts_from_a_snapshot_that_we_wrote_and_serves_that_tree() {
    let jars = PathBuf::from(std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`"));
    let mut served_by = Vec::new();
    for scene in scenes().iter().filter(|scene| scene.name.ends_with("/alone") || scene.name.ends_with("/ensemble")) {
        let version = scene.name.split('/').next().unwrap();
        let member = scene.members().into_iter().map(|member| member.replayed(member.snapshots().first()));
        let replay = member.into_iter().find(|replay| replay.tree().get(b"/end").is_some()).unwrap();
        let tree = replay.tree();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data/version-2");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join(format!("snapshot.{}", tree.last())), tree.write(Vec::new()).unwrap()).unwrap();
        java("Play", &[folder.path().to_str().unwrap(), jars.join(version).to_str().unwrap(), version, "look"]);
        let looked = seen(&Scene { name: scene.name.clone(), folder: folder.path().to_owned() });
        let ours = served(tree);
        for (path, znode) in &looked {
            assert_eq!(ours.get(path), Some(znode), "{}: {path}", scene.name);
        }
        assert_eq!(looked.len(), ours.len(), "{}", scene.name);
        served_by.push(version.to_owned());
    }
    served_by.dedup();
    assert!(served_by.len() >= 7, "only releases {served_by:?}");
}

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
    }

    fn last(&self) -> (usize, usize, Zxid) {
        let log = self.logs.len() - 1;
        let (offset, zxid) = *self.logs[log].1.last().unwrap();
        (log, offset, zxid)
    }
}

/// What a server's start makes of each folder.
fn loaded(folders: &[PathBuf]) -> Vec<Value> {
    let mut arguments = vec!["load"];
    arguments.extend(folders.iter().map(|folder| folder.to_str().unwrap()));
    java("Tools", &arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The worst that we say of a server's start on a folder.
fn verdict(folder: &Path) -> (AtStart, String) {
    let report = verify(&Member::look(folder.to_str().unwrap()).unwrap(), &mut |_| ()).unwrap();
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

#[test]
#[ignore = "needs Java: dev/test files"]
fn our_verdict_on_damaged_files_is_that_of_zookeepers_own_start_or_a_stricter_one() {
    let folder = tempfile::tempdir().unwrap();
    let new = |name: &str| patient(folder.path(), name);
    let mut cases: Vec<(&str, PathBuf)> = Vec::new();
    let mut case = |name: &'static str, hurt: &dyn Fn(&Patient)| {
        let patient = new(name);
        hurt(&patient);
        cases.push((name, patient.folder));
    };
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
        for entry in fs::read_dir(it.folder.join("version-2")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("snapshot.") {
                let bytes = fs::read(&path).unwrap();
                fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            }
        }
    });

    let sound_zxid = new("measure").last().2.0;
    let verdicts: Vec<_> = cases.iter().map(|(_, folder)| verdict(folder)).collect();
    let folders: Vec<_> = cases.iter().map(|(_, folder)| folder.clone()).collect();
    let (mut wrong, mut stricter) = (Vec::new(), Vec::new());
    for (((name, _), (ours, said)), theirs) in cases.iter().zip(&verdicts).zip(loaded(&folders)) {
        let loads = theirs["loads"] == true;
        let same = match ours {
            AtStart::Refuses => !loads,
            AtStart::DropsInSilence => loads && theirs["zxid"] != sound_zxid,
            AtStart::Harmless => loads,
        };
        match ours {
            _ if same => {}
            AtStart::Refuses => stricter.push(*name),
            _ => wrong.push(format!("{name}: ZooKeeper {theirs}; we {ours:?}: {said}")),
        }
        assert_eq!(*name == "sound", said.is_empty(), "{name}: {said}");
    }
    assert!(wrong.is_empty(), "laxer than ZooKeeper: {wrong:#?}");
    // docs/files.md: a server applies the same transaction twice, and passes by a stray file that is older than its snapshot.
    assert_eq!(stricter, ["a record twice", "a stray log"]);
}
