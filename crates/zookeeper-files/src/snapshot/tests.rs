//! Snapshots written here, broken on purpose, and read again.

use std::io::Write;

use super::*;
use crate::ids::Zxid;
use crate::jute::{Decoder, Text};
use crate::log::{Acl, Acls, SessionId, encode_acls};

fn sample(trailer: &Trailer) -> Vec<u8> {
    let acl = encode_acls(&[Acl::new(1, "digest", "a:b")]);
    let acls = Acls::decode(&mut Decoder::new(&acl)).unwrap();
    let sessions = [Session { id: SessionId(0x1001), timeout: 30_000 }];
    let mut snapshot = SnapshotWriter::new(Vec::new(), &sessions, &[AclTableEntry { key: 1, acls }]).unwrap();
    for path in ["", "/a", "/a/b", "/a/b/c", "/a/d", "/e"] {
        let stat = Stat { mzxid: Zxid(5), ..Stat::default() };
        snapshot.znode(&SnapshotZnode { path: Text(path.as_bytes()), data: Some(b"data"), acl: 1, stat }).unwrap();
    }
    snapshot.finish(trailer).unwrap()
}

fn full() -> Trailer {
    Trailer { digest: Some(ZxidDigest { zxid: Zxid(6), version: 2, tree: -3 }), last: Some(Zxid(7)) }
}

fn walk(mut reader: SnapshotReader<impl std::io::Read>) -> (usize, Result<Trailer, SnapshotError>) {
    let mut items = 0;
    loop {
        match reader.next() {
            Ok(Some(_)) => items += 1,
            Ok(None) => return (items, Ok(reader.trailer())),
            Err(unsound) => return (items, Err(unsound)),
        }
    }
}

fn read(bytes: &[u8]) -> (usize, Result<Trailer, SnapshotError>) {
    match SnapshotReader::new(bytes) {
        Ok(reader) => walk(reader),
        Err(unsound) => (0, Err(unsound)),
    }
}

fn fault(result: Result<Trailer, SnapshotError>) -> SnapshotFault {
    match result {
        Err(SnapshotError::Damaged { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_trailer_that_any_release_writes_is_read() {
    let old = ZxidDigest { version: 1, ..full().digest.unwrap() };
    for trailer in [
        Trailer::default(),
        Trailer { last: None, ..full() },
        Trailer { digest: None, ..full() },
        Trailer { digest: Some(ZxidDigest { tree: 0xabc, ..old }), last: None },
        full(),
    ] {
        let (items, result) = read(&sample(&trailer));
        assert_eq!((items, result.unwrap()), (8, trailer));
    }
    assert_eq!((full().end(Zxid(3)), full().end(Zxid(9))), (Some(Zxid(7)), Some(Zxid(9))));
    assert_eq!(Trailer::default().end(Zxid(3)), None);
}

#[test]
fn a_snapshot_cut_anywhere_is_cut_and_what_stands_before_is_read() {
    let whole = sample(&full());
    let ends = [sample(&Trailer::default()).len(), sample(&Trailer { last: None, ..full() }).len()];
    for cut in 1..whole.len() {
        let (_, result) = read(&whole[..cut]);
        if ends.contains(&cut) {
            result.unwrap();
        } else {
            assert!(matches!(fault(result), SnapshotFault::Cut | SnapshotFault::Checksum { .. }), "cut at {cut}");
        }
    }
    assert_eq!(read(&whole[..whole.len() - 60]).0, 8);
    assert_eq!(fault(read(&[]).1), SnapshotFault::Empty);
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let whole = sample(&full());
    for bit in 0..whole.len() * 8 {
        let mut broken = whole.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&broken).1.is_err(), "bit {bit}");
    }
}

#[test]
fn an_absurd_length_is_refused_without_memory_for_it() {
    let whole = sample(&full());
    let path = whole.windows(2).position(|pair| pair == b"/a").unwrap();
    let mut broken = whole.clone();
    broken[path - 4..path].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(fault(read(&broken).1), SnapshotFault::Length(i32::MAX));
    broken[path - 4..path].copy_from_slice(&(15_i32 << 20).to_be_bytes());
    assert_eq!(fault(read(&broken).1), SnapshotFault::Cut);
}

#[test]
fn a_znode_without_its_parent_is_an_orphan_and_a_sibling_with_a_longer_name_is_none() {
    let mut snapshot = SnapshotWriter::new(Vec::new(), &[], &[]).unwrap();
    for path in ["", "/a", "/ab", "/a/b"] {
        let node = SnapshotZnode { path: Text(path.as_bytes()), data: None, acl: OPEN_ACL, stat: Stat::default() };
        snapshot.znode(&node).unwrap();
    }
    let bytes = snapshot.finish(&Trailer::default()).unwrap();
    assert_eq!(fault(read(&bytes).1), SnapshotFault::Orphan("/a/b".to_owned()));
}

#[test]
fn bytes_behind_the_end_are_surplus_and_another_file_is_no_snapshot() {
    let mut bytes = sample(&full());
    bytes.push(0);
    assert_eq!(fault(read(&bytes).1), SnapshotFault::Surplus);
    assert!(matches!(read(b"ZKLG").1, Err(SnapshotError::Magic(_))));
}

#[test]
fn gzip_and_snappy_are_unpacked_and_their_damage_is_damage() {
    let plain = sample(&full());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut snappy = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in plain.chunks(100) {
        let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
        snappy.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_be_bytes());
        snappy.extend_from_slice(&packed);
    }
    for (compression, packed) in [(Compression::Gzip, gzip), (Compression::Snappy, snappy), (Compression::Plain, plain)]
    {
        assert_eq!(Compression::sniff(&packed), compression);
        let open = |packed: &[u8]| match SnapshotReader::new(compression.unpack(packed)) {
            Ok(reader) => walk(reader),
            Err(unsound) => (0, Err(unsound)),
        };
        assert_eq!(open(&packed).1.unwrap(), full());
        for cut in [packed.len() / 2, packed.len() - 1] {
            assert!(open(&packed[..cut]).1.is_err(), "{compression:?} cut at {cut}");
        }
    }
}

#[test]
fn an_owner_is_told_by_its_number() {
    for owner in [Owner::Persistent, Owner::Container, Owner::Ttl(60_000), Owner::Session(SessionId(0x1001))] {
        let stat = Stat { ephemeral_owner: owner.encoded(), ..Stat::default() };
        assert_eq!(stat.owner(), owner);
    }
}
