//! Volumes in temporary directories, prepared for real.

use std::fs::Permissions;

use tempfile::TempDir;

use super::*;
use crate::agent::fixtures;
use crate::agent::prepare::{MYID, Preparation, ZOO_CFG, prepare};
use crate::agent::seed::Seed;
use crate::model::fixtures::charter;
use crate::model::{ConfigVersion, Membership, Server, ServerId};

const OWN: ServerId = ServerId(1);

fn seed(hosts: &[&str], version: u64, birth: bool) -> Seed {
    let lines = (1..).zip(hosts).map(|(id, host)| format!("server.{id}={}", Server::voter(host).spec()));
    let list = lines.collect::<Vec<_>>().join("\n");
    fixtures::seed(&charter(birth.into(), &list, version))
}

fn plan(volume: &Volume, seed: &Seed) -> Preparation {
    prepare(&volume.look().unwrap(), seed, OWN, &volume.root()).unwrap()
}

fn empty() -> (TempDir, Volume) {
    let directory = TempDir::new().unwrap();
    let volume = Volume::at(directory.path());
    (directory, volume)
}

/// Every file, its mode and text; unfinished ones are nobody's.
fn contents(directory: &Path) -> BTreeMap<String, (u32, String)> {
    let mut contents = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            contents.extend(self::contents(&path).into_iter().map(|(below, file)| (format!("{name}/{below}"), file)));
        } else if path.extension() != Some("part".as_ref()) {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            contents.insert(name, (mode, fs::read_to_string(&path).unwrap()));
        }
    }
    contents
}

#[test]
fn an_empty_volume_becomes_one_that_a_server_starts_from() {
    let (directory, volume) = empty();
    let plan = plan(&volume, &seed(&["a-0", "a-1"], 0, true));
    volume.apply(&plan.changes).unwrap();
    let files = contents(directory.path());
    let names: Vec<_> = files.iter().map(|(name, (mode, _))| (name.as_str(), *mode)).collect();
    assert_eq!(
        names,
        [
            ("conf/zoo.cfg", 0o600),
            ("conf/zoo.cfg.dynamic.0", 0o644),
            ("initialize", 0o644),
            ("menagerie.json", 0o644),
            ("myid", 0o644)
        ]
    );
    let dynamic = format!("dynamicConfigFile={}/conf/zoo.cfg.dynamic.0\n", directory.path().display());
    assert!(files["conf/zoo.cfg"].1.ends_with(&dynamic));
    assert!(volume.holds(&plan.changes));
}

#[test]
fn a_stop_between_any_two_changes_is_made_good_by_the_next_start() {
    for (before, after) in [
        (None, seed(&["a-0", "a-1"], 0, true)),
        (Some(seed(&["a-0", "a-1"], 0, true)), seed(&["a-0", "a-1", "a-2"], 7, false)),
        (Some(seed(&["a-0", "a-1"], 5, false)), seed(&["a-0"], 3, false)),
    ] {
        let prepared = |stop: Option<usize>| {
            let (directory, volume) = empty();
            if let Some(before) = &before {
                volume.apply(&plan(&volume, before).changes).unwrap();
            }
            let changes = plan(&volume, &after).changes;
            if let Some(stop) = stop {
                volume.apply(&changes[..stop.min(changes.len())]).unwrap();
                // The next file was being written.
                fs::create_dir_all(directory.path().join(CONF)).unwrap();
                for name in [MYID, "conf/zoo.cfg", "conf/zoo.cfg.dynamic.7"] {
                    let path = directory.path().join(name);
                    let name = format!(".{}.part", path.file_name().unwrap().to_string_lossy());
                    fs::write(path.with_file_name(name), "half").unwrap();
                }
            }
            volume.apply(&plan(&volume, &after).changes).unwrap();
            let root = directory.path().to_string_lossy().into_owned();
            let relative = |(name, (mode, text)): (String, (u32, String))| (name, (mode, text.replace(&root, "")));
            contents(directory.path()).into_iter().map(relative).collect::<BTreeMap<_, _>>()
        };
        let whole = prepared(None);
        for stop in 0..8 {
            assert_eq!(prepared(Some(stop)), whole, "{stop}");
        }
    }
}

#[test]
fn what_is_as_it_should_be_is_not_written_again() {
    let (directory, volume) = empty();
    let seed = seed(&["a-0"], 5, false);
    volume.apply(&plan(&volume, &seed).changes).unwrap();
    let path = directory.path().join(CONF).join(ZOO_CFG);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let first = inode(&path);
    volume.apply(&plan(&volume, &seed).changes).unwrap();
    assert_eq!(inode(&path), first);
    // The server writes it again readable by all, with the digest in it.
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(!volume.holds(&plan(&volume, &seed).changes));
    volume.apply(&plan(&volume, &seed).changes).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn torn_files_and_bytes_that_are_no_text_are_passed_over_where_they_are_older_than_the_record() {
    let (directory, volume) = empty();
    volume.apply(&plan(&volume, &seed(&["a-0"], 5, false)).changes).unwrap();
    let conf = directory.path().join(CONF);
    fs::write(conf.join("zoo.cfg.dynamic.3"), [0xff, 0, 0xfe]).unwrap();
    fs::write(conf.join("zoo.cfg.dynamic.4"), "").unwrap();
    fs::write(conf.join("zoo.cfg.dynamic.b.tmp"), "server.1=a-9:2888:3888:participant;2181").unwrap();
    fs::write(conf.join("zoo.cfg.bak"), "").unwrap();
    let plan = plan(&volume, &seed(&["a-0"], 5, false));
    assert_eq!((plan.using.version, plan.ignored.len()), (ConfigVersion(5), 2));
}

#[test]
fn a_foreign_volume_is_left_as_it_is() {
    let (directory, volume) = empty();
    fs::write(directory.path().join(MARK), r#"{"identity":"two","ensemble":"b","id":1}"#).unwrap();
    let before = contents(directory.path());
    let found = volume.look().unwrap();
    assert!(prepare(&found, &seed(&["a-0"], 0, true), OWN, "/data").is_err());
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn the_disk_says_whose_it_is_and_what_it_holds() {
    let (directory, volume) = empty();
    let free = volume.disk(volume.look().unwrap()).unwrap().free;
    assert!(free.is_some_and(|percent| percent <= 100), "{free:?}");
    let disk = || DiskState { free: None, ..volume.disk(volume.look().unwrap()).unwrap() };
    assert_eq!(disk(), DiskState::default());
    volume.apply(&plan(&volume, &seed(&["a-0"], 0x1_0000_0000, false)).changes).unwrap();
    fs::create_dir(directory.path().join(VERSION_2)).unwrap();
    fs::write(directory.path().join("version-2/acceptedEpoch"), "4").unwrap();
    let record = Some(ConfigVersion(0x1_0000_0000));
    assert_eq!(
        disk(),
        DiskState {
            identity: Some("one".into()),
            record,
            // Whose votes count is decided by it, if the operator has not heard of it.
            recorded: disk().recorded.filter(|text| Membership::parse(text).unwrap().servers.len() == 1),
            leader_serves: Some(true),
            ..DiskState::default()
        }
    );
    assert!(disk().recorded.is_some());
    assert_eq!(volume.epoch().unwrap(), None);
    fs::write(directory.path().join("version-2/currentEpoch"), "4").unwrap();
    fs::write(directory.path().join("version-2/log.100000001"), "").unwrap();
    assert!(volume.disk(volume.look().unwrap()).unwrap().database);
    assert_eq!(volume.epoch().unwrap(), Some(4));
}

#[test]
fn the_membership_that_the_server_goes_by_is_known_whoever_was_added_to_it() {
    let (directory, volume) = empty();
    volume.apply(&plan(&volume, &seed(&["a-0"], 4, false)).changes).unwrap();
    assert_eq!(volume.active().unwrap().unwrap().version, ConfigVersion(4));
    // As the server writes it where a server was added without a client port.
    let text = format!("server.1={}\nserver.9=b:2888:3888:participant", Server::voter("a-0").spec());
    fs::write(directory.path().join("conf/zoo.cfg.dynamic.9"), text).unwrap();
    fs::write(directory.path().join("conf/zoo.cfg"), "dynamicConfigFile=/data/conf/zoo.cfg.dynamic.9\n").unwrap();
    let active = volume.active().unwrap().unwrap();
    assert_eq!((active.version, active.text.lines().count()), (ConfigVersion(9), 2));
}

#[test]
fn a_membership_with_an_id_that_only_java_can_count_is_handed_on_as_it_is() {
    let (directory, volume) = empty();
    volume.apply(&plan(&volume, &seed(&["a-0"], 4, false)).changes).unwrap();
    let text = format!("server.1={}\nserver.5000000000=b:2888:3888:participant", Server::voter("a-0").spec());
    fs::write(directory.path().join("conf/zoo.cfg.dynamic.9"), &text).unwrap();
    fs::write(directory.path().join("conf/zoo.cfg"), "dynamicConfigFile=/data/conf/zoo.cfg.dynamic.9\n").unwrap();
    let active = volume.active().unwrap().unwrap();
    assert_eq!((active.version, active.text), (ConfigVersion(9), format!("{text}\n")));
    let refusal = prepare(&volume.look().unwrap(), &seed(&["a-0"], 4, false), OWN, "/data").unwrap_err().to_string();
    assert!(refusal.contains("zoo.cfg.dynamic.9 cannot be read") && refusal.contains("server.5000000000"), "{refusal}");
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named() {
    let (directory, volume) = empty();
    fs::create_dir_all(directory.path().join("conf/zoo.cfg.dynamic.5")).unwrap();
    let error = volume.look().unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("/conf/zoo.cfg.dynamic.5: "), "{error}");
    fs::create_dir(directory.path().join(MYID)).unwrap();
    let write = VolumeChange::Write { path: MYID.into(), text: "1\n".into(), secret: false };
    let error = volume.apply(&[write]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.contains("/myid: "), "{error}");
}

#[test]
fn a_database_is_set_aside_whole_and_the_one_before_it_goes() {
    let directory = TempDir::new().unwrap();
    let volume = Volume::at(directory.path());
    for content in ["old", "new"] {
        fs::create_dir(directory.path().join("version-2")).unwrap();
        fs::write(directory.path().join("version-2/log.1"), content).unwrap();
        volume.apply(&[VolumeChange::SetAside]).unwrap();
        assert!(!volume.look().unwrap().database);
        let kept = fs::read_to_string(directory.path().join("version-2.set-aside/log.1")).unwrap();
        assert_eq!(kept, content);
    }
}
