//! The law of the index: what a search finds is what a scan finds, whatever the history and however often it grew.

use std::fs;

use proptest::{prop_assert, prop_assert_eq, proptest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zookeeper_files::ids::{Zxid, ZxidRange};
use zookeeper_files::index::{EntryKind, Index, Query, build};
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Acls, Create, Header, Lifetime, LogWriter, Ops, SessionId, Txn, encode_acls, encode_ops};

/// What a scan remembers of an entry.
#[derive(Clone, Debug, PartialEq)]
struct Scanned {
    zxid: u64,
    time: i64,
    session: i64,
    kind: EntryKind,
    path: Option<String>,
    multi: bool,
}

fn path(random: &mut StdRng) -> String {
    let names = ["a", "b", "ab", "ä"];
    let depth = random.random_range(1..4);
    (0..depth).flat_map(|_| ["/", names[random.random_range(0..names.len())]]).collect()
}

fn operation(random: &mut StdRng, path: &str, acl: Acls<'_>, take: &mut dyn FnMut(Txn<'_>, EntryKind)) {
    let (path, data) = (Text(path.as_bytes()), Some(&b"data"[..]));
    let lifetime = if random.random() { Lifetime::Persistent } else { Lifetime::Container };
    match random.random_range(0..4) {
        0 => {
            let create = Create { path, data, acl, lifetime, parent_cversion: Some(1), with_stat: false };
            take(Txn::Create(create), EntryKind::Created);
        }
        1 => take(Txn::Delete { path, container: false }, EntryKind::Deleted),
        2 => take(Txn::Delete { path, container: true }, EntryKind::Expired),
        _ => take(Txn::SetData { path, data, version: 1, reconfig: false }, EntryKind::Set),
    }
}

/// A log of some hundred transactions, where its records end, and what a scan of it finds.
fn history(random: &mut StdRng) -> (Vec<u8>, Vec<usize>, Vec<Scanned>) {
    let acl = encode_acls(&[]);
    let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    let (mut entries, mut time) = (Vec::new(), 1_700_000_000_000);
    for zxid in 0x1_0000_0001..0x1_0000_0001 + random.random_range(1..400) {
        // Clocks go back at times.
        time += random.random_range(-5..20_i64);
        let session = random.random_range(1..6);
        let header = Header { session: SessionId(session), cxid: 0, zxid: Zxid(zxid), time };
        let mut add = |kind, path: Option<&str>, multi| {
            entries.push(Scanned { zxid, time, session, kind, path: path.map(str::to_owned), multi });
        };
        match random.random_range(0..10) {
            0 => {
                log.append(header, &Txn::CreateSession { timeout: 1 }, None).unwrap();
                add(EntryKind::Opened, None, false);
            }
            1 => {
                log.append(header, &Txn::Error { code: -101 }, None).unwrap();
                add(EntryKind::Failed, None, false);
            }
            2 => {
                let mut bytes = random.random_range(0..4_u32).to_be_bytes().to_vec();
                for _ in 0..bytes[3] {
                    let path = path(random);
                    operation(random, &path, acl, &mut |txn, kind| {
                        bytes.extend_from_slice(&encode_ops(&[txn])[4..]);
                        add(kind, Some(&path), true);
                    });
                }
                let multi = Txn::Multi(Ops::decode(&mut Decoder::new(&bytes)).unwrap());
                log.append(header, &multi, None).unwrap();
            }
            _ => {
                let path = path(random);
                operation(random, &path, acl, &mut |txn, kind| {
                    log.append(header, &txn, None).unwrap();
                    add(kind, Some(&path), false);
                });
            }
        }
    }
    let bytes = log.into_inner();
    let mut ends = vec![16];
    while let Some(head) = bytes.get(ends[ends.len() - 1]..).filter(|rest| rest.len() > 12) {
        let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        ends.push(ends[ends.len() - 1] + 13 + usize::try_from(length).unwrap());
    }
    (bytes, ends, entries)
}

fn query(random: &mut StdRng) -> Query {
    let mut query = Query { oldest_first: random.random(), limit: usize::MAX, ..Query::default() };
    let mut sometimes = || random.random_range(0..3) == 0;
    let chosen = [sometimes(), sometimes(), sometimes(), sometimes(), sometimes(), sometimes(), sometimes()];
    if chosen[0] {
        query.path = Some(path(random));
    }
    if chosen[1] {
        query.under = Some(if random.random_range(0..5) == 0 { "/".to_owned() } else { path(random) });
    }
    if chosen[2] {
        query.session = Some(SessionId(random.random_range(1..7)));
    }
    if chosen[3] {
        query.kinds = vec![EntryKind::ALL[random.random_range(0..11)], EntryKind::Set];
    }
    query.multi = chosen[4];
    if chosen[5] {
        let first = 0x1_0000_0001 + random.random_range(0..400);
        query.zxids = ZxidRange { first: Zxid(first), last: Zxid(first + random.random_range(0..200)) };
    }
    if chosen[6] {
        let first = 1_700_000_000_000 + random.random_range(0..3000);
        query.times = first..=first + random.random_range(0..2000);
    }
    if random.random_range(0..4) == 0 {
        query.limit = random.random_range(1..20);
    }
    query
}

fn scan(entries: &[Scanned], query: &Query) -> Vec<Scanned> {
    let below = |path: &Option<String>, root: &str| {
        path.as_ref().is_some_and(|path| root == "/" || path == root || path.starts_with(&format!("{root}/")))
    };
    let mut found: Vec<Scanned> = entries
        .iter()
        .filter(|entry| query.path.is_none() || entry.path == query.path)
        .filter(|entry| query.under.as_deref().is_none_or(|root| below(&entry.path, root)))
        .filter(|entry| query.session.is_none_or(|session| session.0 == entry.session))
        .filter(|entry| query.kinds.is_empty() || query.kinds.contains(&entry.kind))
        .filter(|entry| !query.multi || entry.multi)
        .filter(|entry| query.zxids.contains(Zxid(entry.zxid)) && query.times.contains(&entry.time))
        .cloned()
        .collect();
    if !query.oldest_first {
        found.reverse();
    }
    found.truncate(query.limit);
    found
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    #[test]
    fn index_then_search_finds_exactly_what_a_scan_finds(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let (bytes, ends, entries) = history(&mut random);
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let (log, index) = (logs.join("log.100000001"), folder.path().join("index"));
        // It grows a few times, sometimes caught in the middle of a record.
        for _ in 0..random.random_range(0..4) {
            let end = ends[random.random_range(0..ends.len())] + random.random_range(0..2) * 5;
            let seen = fs::metadata(&log).map_or(0, |log| log.len());
            if seen < end as u64 && end <= bytes.len() {
                fs::write(&log, &bytes[..end]).unwrap();
                build(&[logs.to_str().unwrap().to_owned()], &[], &index, &mut |_| {}).unwrap();
            }
        }
        fs::write(&log, &bytes).unwrap();
        let built = build(&[logs.to_str().unwrap().to_owned()], &[], &index, &mut |_| {}).unwrap();
        prop_assert!(built.damage.is_empty() && built.anew.is_none(), "{built:?}");
        let index = Index::open(&index).unwrap();
        prop_assert_eq!(index.entries(), entries.len() as u64);
        for _ in 0..60 {
            let query = query(&mut random);
            let indexed = index.search(&query).unwrap();
            let plain = |entry: zookeeper_files::index::Entry| Scanned {
                zxid: entry.header.zxid.0,
                time: entry.header.time,
                session: entry.header.session.0,
                kind: entry.kind,
                path: entry.path,
                multi: entry.multi.is_some(),
            };
            let found: Vec<Scanned> = indexed.into_iter().map(plain).collect();
            prop_assert_eq!(found, scan(&entries, &query), "{:?}", query);
        }
    }
}
