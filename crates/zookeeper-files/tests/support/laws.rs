//! What must hold for any bytes: shared by the fuzz targets and by the bounded run in the tests.

use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::Decoder;
use zookeeper_files::log::{Damage, End, LogItem, LogReader, LogWriter, Record};
use zookeeper_files::replay::{Replay, Tree};
use zookeeper_files::snapshot::{
    AclTableEntry, Compression, Session, SnapshotError, SnapshotItem, SnapshotReader, SnapshotWriter,
};

/// All that a log has, and where each record lies.
pub struct ReadLog {
    pub records: Vec<(Zxid, u64, u64)>,
    pub damage: Vec<Damage>,
    pub end: End,
}

pub fn read_log(bytes: &[u8]) -> Option<ReadLog> {
    let mut reader = LogReader::new(bytes).ok()?;
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next().expect("memory cannot fail") {
        match item {
            LogItem::Record(record) => {
                records.push((record.header.zxid, record.offset, record.end()));
                assert!(record.changes().count() < bytes.len());
                let at = usize::try_from(record.offset).expect("memory is not so large") + 12;
                assert_eq!(&bytes[at..at + record.body.len()], record.body, "a record is where it says");
            }
            LogItem::Damage(found) => damage.push(found),
        }
    }
    Some(ReadLog { records, damage, end: reader.end().expect("an end") })
}

/// No byte is lost in silence: from the header to the end, each is in a record, in damage, or behind the end and zero.
pub fn any_log(bytes: &[u8]) {
    let Some(ReadLog { records, damage, end }) = read_log(bytes) else { return };
    let lost =
        damage.iter().filter(|damage| damage.length > 0).map(|found| (found.offset, found.offset + found.length));
    let mut spans: Vec<(u64, u64)> = records.iter().map(|&(_, from, to)| (from, to)).chain(lost).collect();
    spans.sort_unstable();
    let mut at = 16.min(bytes.len() as u64);
    for (from, to) in spans {
        assert!(from <= at, "the bytes from {at} to {from} are not accounted for");
        at = at.max(to);
    }
    let zeros = &bytes[usize::try_from(at).expect("memory is not so large").min(bytes.len())..];
    assert!(zeros.iter().all(|&byte| byte == 0), "bytes behind {at} are not accounted for");
    assert!(end.offset <= bytes.len() as u64);
}

/// What is decoded, and written again, is the same.
pub fn any_record(body: &[u8]) {
    // Behind a session's end that names two empty paths, what nobody knows cannot be told from a digest.
    let Some(record) = Record::decode(0, 0, body).ok().filter(|record| record.surplus == 0) else { return };
    let mut log = LogWriter::new(Vec::new(), 0).expect("memory cannot fail");
    log.append(record.header, &record.txn, record.digest).expect("memory cannot fail");
    let bytes = log.into_inner();
    let mut reader = LogReader::new(&bytes[..]).expect("a log");
    match reader.next().expect("memory cannot fail") {
        Some(LogItem::Record(again)) => {
            // A flag is true for any byte but 0, and is written as 1.
            assert_eq!((again.header, again.digest), (record.header, record.digest));
            assert_eq!((again.txn, again.body.len()), (record.txn, body.len()));
        }
        other => panic!("{other:?}"),
    }
}

/// A snapshot is delivered up to its damage, and one that is sound is written again byte for byte.
pub fn any_snapshot(bytes: &[u8]) {
    let compression = Compression::sniff(bytes);
    let Ok(mut reader) = SnapshotReader::new(compression.unpack(bytes)) else { return };
    let (mut sessions, mut acls, mut nodes) = (Vec::<Session>::new(), Vec::<Vec<u8>>::new(), Vec::<Vec<u8>>::new());
    let mut keys = Vec::new();
    let mut seen = Vec::new();
    let result = loop {
        match reader.next() {
            Ok(Some(SnapshotItem::Session(session))) => sessions.push(session),
            Ok(Some(SnapshotItem::Acl(entry))) => {
                keys.push(entry.key);
                acls.push(entry.acls.encoded().to_vec());
            }
            Ok(Some(SnapshotItem::Znode(node))) => {
                nodes.push(node.path.0.to_vec());
                seen.push((node.data.map(<[u8]>::to_vec), node.acl, node.stat));
            }
            Ok(None) => break Ok(reader.trailer()),
            Err(unsound) => break Err(unsound),
        }
    };
    let trailer = match result {
        Ok(trailer) => trailer,
        Err(SnapshotError::Io(error)) => panic!("memory cannot fail: {error}"),
        Err(_) => return,
    };
    let lists: Vec<_> = acls
        .iter()
        .map(|bytes| zookeeper_files::log::Acls::decode(&mut Decoder::new(bytes)).expect("it was decoded before"))
        .collect();
    let entries: Vec<_> = keys.iter().zip(&lists).map(|(&key, &acls)| AclTableEntry { key, acls }).collect();
    let mut writer = SnapshotWriter::new(Vec::new(), &sessions, &entries).expect("memory cannot fail");
    for (path, (data, acl, stat)) in nodes.iter().zip(&seen) {
        let node = zookeeper_files::snapshot::SnapshotZnode {
            path: zookeeper_files::jute::Text(path),
            data: data.as_deref(),
            acl: *acl,
            stat: *stat,
        };
        writer.znode(&node).expect("memory cannot fail");
    }
    let again = writer.finish(&trailer).expect("memory cannot fail");
    let header = 4..16;
    if compression == Compression::Plain
        && trailer.digest.is_none_or(|digest| digest.version >= 2)
        && bytes[header] == again[4..16]
    {
        assert_eq!(bytes, again);
    }
}

/// Any log can be replayed onto any tree. The digest, kept change by change, stays that of the tree.
pub fn any_replay(bytes: &[u8]) {
    let Ok(mut reader) = LogReader::new(bytes) else { return };
    let mut replay = Replay::new(Tree::initial());
    while let Some(item) = reader.next().expect("memory cannot fail") {
        if let LogItem::Record(record) = item {
            replay.apply(&record);
        }
    }
    let tree = replay.into_tree();
    let walk = tree.walk(b"/");
    let sum: i64 = walk.iter().map(|(path, node)| i64::from(node.stat().digest(path, node.data()))).sum();
    assert_eq!((sum, walk.len()), (tree.digest(), tree.len()));
    let written = tree.write(Vec::new()).expect("memory cannot fail");
    let mut snapshot = SnapshotReader::new(&written[..]).expect("a snapshot");
    let read = Tree::of_snapshot(&mut snapshot).expect("what is written can be read");
    assert!(read.len() <= tree.len());
}
