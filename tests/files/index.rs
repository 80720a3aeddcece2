//! What the index finds in the files of real servers is what a scan of them finds.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::index::{Before, Entry, EntryKind, Index, IndexError, Query, build};
use zookeeper_files::log::{Effect, SessionId, Txn};
use zookeeper_files::replay::{ApplyResult, CommitStatus, Replay, Tree};
use zookeeper_files::snapshot::Owner;

use crate::scenes::{Member, scenes};

fn name(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A change of one path, found without the index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scanned {
    zxid: Zxid,
    time: i64,
    session: SessionId,
    path: String,
    kind: EntryKind,
    data: Option<Vec<u8>>,
}

fn scan(member: &Member) -> Vec<Scanned> {
    let mut found = Vec::new();
    // 3.4 writes no snapshot.0.
    let mut replay = member.snapshots().iter().find(|(zxid, _)| *zxid == Zxid(0)).map_or_else(
        || Replay::new(Tree::initial()),
        |(zxid, path)| Replay::of_snapshot(&mut crate::scenes::open_snapshot(path), *zxid).unwrap(),
    );
    member.each_record(|_, record| {
        let header = record.header;
        let mut add = |path: String, kind, data: Option<&[u8]>| {
            let data = data.map(<[u8]>::to_vec);
            found.push(Scanned { zxid: header.zxid, time: header.time, session: header.session, path, kind, data });
        };
        for change in record.changes() {
            let kind = match change.effect {
                Effect::Created { .. } => EntryKind::Created,
                Effect::Deleted => EntryKind::Deleted,
                Effect::Expired => EntryKind::Expired,
                Effect::SessionEnded => EntryKind::Ended,
                Effect::DataSet { .. } => EntryKind::Set,
                Effect::Reconfigured { .. } => EntryKind::Reconfigured,
                Effect::AclSet { .. } => EntryKind::AclSet,
            };
            add(change.path.to_string(), kind, change.effect.data());
        }
        if let Txn::CloseSession { paths: None } = record.txn {
            let owned = |stat: &zookeeper_files::snapshot::Stat| stat.owner() == Owner::Session(header.session);
            for (path, _) in replay.tree().walk(b"/").iter().filter(|(_, znode)| owned(znode.stat())) {
                add(String::from_utf8(path.to_vec()).unwrap(), EntryKind::Ended, None);
            }
        }
        assert!(!matches!(replay.apply(record), ApplyResult::Refused(_)), "{}: {record:?}", member.name);
    });
    found
}

fn found(entries: Vec<Entry>) -> Vec<Scanned> {
    let plain = |entry: Entry| Scanned {
        zxid: entry.header.zxid,
        time: entry.header.time,
        session: entry.header.session,
        path: entry.path.unwrap(),
        kind: entry.kind,
        data: entry.data.map(|data| data.bytes),
    };
    entries.into_iter().map(plain).collect()
}

fn all() -> Query {
    let kinds = EntryKind::ALL.into_iter().filter(|kind| kind.of_path() && *kind != EntryKind::Checked).collect();
    Query { oldest_first: true, limit: usize::MAX, kinds, ..Query::default() }
}

#[test]
fn the_index_finds_what_a_scan_finds_by_path_subtree_session_time_and_zxid() {
    let folder = tempfile::tempdir().unwrap();
    let (mut changes, mut derived) = (0, 0);
    for scene in scenes() {
        for member in scene.members() {
            let file = folder.path().join(member.name.replace(['/', ' '], "-"));
            let built = build(&[name(&member.folder)], &[], &file, &mut |_| {}).unwrap();
            assert!(built.damage.is_empty(), "{}: {:?}", member.name, built.damage);
            let (index, scanned) = (Index::open(&file).unwrap(), scan(&member));
            assert!(index.entries() >= scanned.len() as u64);
            check(&index, &scanned, &member.name);
            changes += scanned.len();
            derived += scanned.iter().filter(|change| change.kind == EntryKind::Ended).count();
        }
    }
    assert!(changes > 2000 && derived > 30, "only {changes} changes, {derived} of them by a session's end");
}

fn check(index: &Index, scanned: &[Scanned], name: &str) {
    let only =
        |keep: &dyn Fn(&Scanned) -> bool| scanned.iter().filter(|change| keep(change)).cloned().collect::<Vec<_>>();
    let same = |query: Query, expected: &[Scanned], what: &str| {
        let found = found(index.search(&query).unwrap());
        let odd = found.iter().zip(expected).find(|(found, expected)| found != expected);
        assert!(
            odd.is_none() && found.len() == expected.len(),
            "{name}: {what}: {} of {}: {odd:?}",
            found.len(),
            expected.len()
        );
    };
    same(all(), scanned, "all");
    let paths: BTreeSet<&str> = scanned.iter().map(|change| change.path.as_str()).collect();
    let folders = paths.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at.max(1)]));
    for path in folders.chain(paths.iter().copied()).collect::<BTreeSet<_>>() {
        let below = format!("{}/", path.trim_end_matches('/'));
        let under = only(&|change| change.path == path || change.path.starts_with(&below));
        same(Query { under: Some(path.to_owned()), ..all() }, &under, &format!("under {path}"));
        let at = only(&|change| change.path == path);
        same(Query { path: Some(path.to_owned()), ..all() }, &at, path);
        tell(index, path, &at, name);
    }
    for session in scanned.iter().map(|change| change.session).collect::<BTreeSet<_>>() {
        let by = only(&|change| change.session == session);
        same(Query { session: Some(session), ..all() }, &by, &format!("by {session}"));
    }
    let (early, late) = (&scanned[scanned.len() / 3], &scanned[scanned.len() / 2]);
    let times = only(&|change| change.time >= early.time && change.time <= late.time);
    same(Query { times: early.time..=late.time, ..all() }, &times, "times");
    let zxids = only(&|change| change.zxid >= early.zxid && change.zxid <= late.zxid);
    same(Query { zxids: ZxidRange { first: early.zxid, last: late.zxid }, ..all() }, &zxids, "zxids");
    let newest: Vec<_> = scanned.iter().rev().take(7).cloned().collect();
    same(Query { oldest_first: false, limit: 7, ..all() }, &newest, "the newest");
}

/// The story of a path: each event begins with what the one before it left.
fn tell(index: &Index, path: &str, changes: &[Scanned], name: &str) {
    let history = index.history(path, &Query { limit: usize::MAX, ..Query::default() }).unwrap();
    let told: Vec<_> = history.changes.iter().filter(|change| change.entry.kind != EntryKind::Checked).collect();
    assert_eq!(told.len(), changes.len(), "{name}: {path}");
    let mut held: Option<Option<Vec<u8>>> = None;
    let mut known = false;
    for (told, change) in told.iter().zip(changes) {
        assert_eq!((told.entry.header.zxid, told.entry.kind), (change.zxid, change.kind), "{name}: {path}");
        match &told.before {
            Before::Unknown => assert!(!known && change.kind != EntryKind::Created, "{name}: {path} {change:?}"),
            Before::Absent => assert!(held.is_none(), "{name}: {path} {change:?}"),
            Before::Held(data) => {
                let before = data.as_ref().map(|data| data.bytes.clone());
                assert_eq!(Some(before), held, "{name}: {path} {change:?}");
            }
        }
        // Data is where it is said to be.
        if let Some(data) = &told.entry.data {
            let log = fs::read(&data.log).unwrap();
            let from = usize::try_from(data.offset).unwrap();
            assert_eq!(&log[from..from + data.bytes.len()], data.bytes, "{name}: {path}");
        }
        known = true;
        match change.kind {
            EntryKind::AclSet => {}
            kind if kind.removes() => held = None,
            _ => held = Some(change.data.clone()),
        }
        assert!(history.sessions.contains_key(&change.session));
    }
}

#[test]
fn a_multi_is_found_by_each_of_its_paths_and_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    for scene in scenes().into_iter().filter(|scene| scene.name.ends_with("/alone")) {
        let member = &scene.members()[0];
        let file = folder.path().join("index");
        let _ = fs::remove_file(&file);
        build(&[name(&member.folder)], &[], &file, &mut |_| {}).unwrap();
        let index = Index::open(&file).unwrap();
        let whole = index.search(&Query { multi: true, oldest_first: true, ..Query::default() }).unwrap();
        let told: Vec<_> = whole.iter().map(|entry| (entry.kind, entry.path.as_deref().unwrap())).collect();
        let expected = [
            (EntryKind::Checked, "/multi"),
            (EntryKind::Created, "/multi/a"),
            (EntryKind::Created, "/multi/b"),
            (EntryKind::Set, "/multi/a"),
            (EntryKind::Created, "/multi/c0000000002"),
            (EntryKind::Deleted, "/multi/b"),
        ];
        assert_eq!(told, expected, "{}", scene.name);
        for (number, entry) in (1..).zip(&whole) {
            assert_eq!(entry.multi, Some((number, 6)));
            let path = entry.path.as_deref().unwrap();
            let by_path = index.search(&Query { multi: true, ..Query::path(path) }).unwrap();
            assert!(by_path.iter().any(|other| other.multi == entry.multi), "{}: {path}", scene.name);
        }
        let failed = index.search(&Query { kinds: vec![EntryKind::Failed], ..Query::default() }).unwrap();
        assert!(failed.len() >= 5, "{}: {failed:?}", scene.name);
    }
}

#[test]
fn what_a_real_ensemble_never_committed_is_marked_and_no_client_ever_saw_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut marked, mut agreed) = (0, 0);
    for scene in scenes().into_iter().filter(|scene| scene.name.ends_with("/ensemble")) {
        let (members, seen) = (scene.members(), crate::seen::seen(&scene));
        for member in &members {
            let others: Vec<_> = members.iter().map(|other| name(&other.folder)).collect();
            let others: Vec<_> = others.into_iter().filter(|other| *other != name(&member.folder)).collect();
            let file = folder.path().join("index");
            let _ = fs::remove_file(&file);
            build(&[name(&member.folder)], &others, &file, &mut |_| {}).unwrap();
            let index = Index::open(&file).unwrap();
            let everything = index.search(&all()).unwrap();
            let never = |entry: &Entry| entry.commit_status == Some(CommitStatus::NeverCommitted);
            for entry in everything.iter().filter(|entry| never(entry)) {
                let path = entry.path.as_deref().unwrap();
                assert!(path.starts_with("/never") && !seen.contains_key(path), "{}: {entry:?}", member.name);
                marked += 1;
            }
            // One that died before the end does not know it.
            if index.search(&Query::path("/end")).unwrap().is_empty() {
                continue;
            }
            for (path, znode) in &seen {
                let history = index.history(path, &Query::default()).unwrap();
                let set = history.changes.iter().rev().filter(|change| !never(&change.entry));
                let mut data =
                    set.filter(|change| change.entry.kind != EntryKind::AclSet).map(|change| &change.entry.data);
                if let Some(data) = data.find(|data| data.is_some()) {
                    let held = data.as_ref().map(|data| BASE64_STANDARD.encode(&data.bytes));
                    assert_eq!(held.as_deref(), znode["data"].as_str(), "{}: {path}", member.name);
                    agreed += 1;
                }
            }
        }
    }
    assert!(marked >= 10 && agreed > 100, "{marked} marked, {agreed} as a client saw them");
}

/// Copies of a member's logs whose last one is cut, so that they can grow.
fn grown(member: &Member, to: &Path, parts: usize, mut each: impl FnMut(usize)) {
    let logs = member.logs();
    for (number, (_, log)) in logs.iter().enumerate() {
        let bytes = fs::read(log).unwrap();
        let mut copy = File::create(to.join(log.file_name().unwrap())).unwrap();
        for part in 1..=parts {
            let end = bytes.len() * part / parts;
            // As a server does it: zeros first, then records over them.
            copy.set_len(bytes.len() as u64).unwrap();
            copy.seek(SeekFrom::Start(0)).unwrap();
            copy.write_all(&bytes[..end]).unwrap();
            each(number * parts + part);
        }
    }
}

#[test]
fn an_index_that_grew_with_its_logs_is_the_index_of_the_whole() {
    let scenes = scenes();
    let scene = scenes.iter().find(|scene| scene.name == "3.5.10/alone").unwrap();
    let member = &scene.members()[0];
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let file = folder.path().join("index");
    grown(member, &logs, 23, |_| {
        let built = build(&[name(&logs)], &[], &file, &mut |_| {}).unwrap();
        assert_eq!(built.anew, None);
    });
    check(&Index::open(&file).unwrap(), &scan(member), "grown");

    // A log that is purged drops out, one that is rewritten makes it begin anew.
    fs::remove_file(logs.join(member.logs()[0].1.file_name().unwrap())).unwrap();
    let built = build(&[name(&logs)], &[], &file, &mut |_| {}).unwrap();
    assert_eq!((built.gone.len(), built.anew), (1, None));
    let first = Index::open(&file).unwrap().covers().unwrap().0.first;
    assert_eq!(first, member.logs()[1].0);
    let last = logs.join(member.logs().last().unwrap().1.file_name().unwrap());
    let bytes = fs::read(&last).unwrap();
    let (_, whole) = bytes.split_at(16);
    let length = 13 + usize::try_from(u32::from_be_bytes(whole[8..12].try_into().unwrap())).unwrap();
    let mut cut = bytes[..16 + length].to_vec();
    cut.resize(bytes.len(), 0);
    fs::write(&last, cut).unwrap();
    let built = build(&[name(&logs)], &[], &file, &mut |_| {}).unwrap();
    assert!(built.anew.is_some_and(|why| why.contains("rewritten")));
}

#[test]
fn what_cannot_be_indexed_is_refused_and_nothing_is_left_behind() {
    let scenes = scenes();
    let member = |name: &str| scenes.iter().find(|scene| scene.name == name).unwrap().members().swap_remove(0);
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    let refuses = |sources: &[&Path], index: &Path| {
        let sources: Vec<_> = sources.iter().map(|source| name(source)).collect();
        build(&sources, &[], index, &mut |_| {}).unwrap_err()
    };
    let (one, other) = (member("3.9.5/alone").folder, member("3.8.5/alone").folder);
    assert!(matches!(refuses(&[Path::new("/nowhere")], &index), IndexError::Disk(_)));
    assert!(matches!(refuses(&[folder.path()], &index), IndexError::Disk(_)));
    assert!(matches!(refuses(&[&one, &other], &index), IndexError::Mixed { .. }));
    assert!(matches!(refuses(&[&one], &one.join("version-2/index")), IndexError::Inside(_)));
    let strange = folder.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("log.1"), b"something else altogether").unwrap();
    // Named by itself it is a mistake; in a folder it is damage, and hides nothing of the others.
    assert!(matches!(refuses(&[&strange.join("log.1")], &index), IndexError::Disk(_)));
    let built = build(&[name(&strange)], &[], &index, &mut |_| {}).unwrap();
    assert_eq!(built.damage.iter().map(|damage| damage.name.as_str()).collect::<Vec<_>>(), ["magic"]);
    fs::write(
        &index,
        b"no database at all, but as long as the head of one: a hundred bytes and some more of them, and more",
    )
    .unwrap();
    assert!(matches!(refuses(&[&one], &index), IndexError::NotAnIndex(_)));
    assert!(matches!(Index::open(&folder.path().join("none")), Err(IndexError::Missing(_))));
    fs::remove_file(&index).unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["strange"]);
}

#[test]
fn damage_is_told_and_what_is_good_around_it_is_found() {
    let scenes = scenes();
    let member = scenes.iter().find(|scene| scene.name == "3.9.5/alone").unwrap().members().swap_remove(0);
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let mut offsets = Vec::new();
    member.each_record(|path, record| offsets.push((path.to_owned(), record.offset, record.header.zxid)));
    for (_, log) in member.logs() {
        fs::copy(&log, logs.join(log.file_name().unwrap())).unwrap();
    }
    let (log, offset, zxid) = &offsets[20];
    let broken = logs.join(log.file_name().unwrap());
    let mut bytes = fs::read(&broken).unwrap();
    bytes[usize::try_from(*offset).unwrap() + 50] ^= 1;
    fs::write(&broken, bytes).unwrap();
    let file = folder.path().join("index");
    let built = build(&[name(&logs)], &[], &file, &mut |_| {}).unwrap();
    assert_eq!(built.damage.len(), 1);
    assert!(built.damage[0].stops && built.damage[0].words.contains(&format!("zxid 0x{zxid}")), "{:?}", built.damage);
    let index = Index::open(&file).unwrap();
    let everything = index.search(&Query { limit: usize::MAX, oldest_first: true, ..Query::default() }).unwrap();
    let zxids: BTreeSet<Zxid> = everything.iter().map(|entry| entry.header.zxid).collect();
    let good: Vec<_> = offsets.iter().map(|(.., zxid)| *zxid).filter(|other| other != zxid).collect();
    assert_eq!(zxids.into_iter().collect::<Vec<_>>(), good);
}
