//! Logs written here, broken on purpose, and read again.

use super::*;
use crate::ids::Zxid;
use crate::jute::{Decoder, Text};

const FIRST: u64 = 0x1_0000_0001;

fn header(zxid: u64) -> Header {
    Header { session: SessionId(0x1000_0001), cxid: 7, zxid: Zxid(zxid), time: 1_700_000_000_000 }
}

/// A log of one record for each zxid.
fn log_of(zxids: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let acl = encode_acls(&[Acl::new(31, "world", "anyone")]);
    let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    for zxid in zxids {
        let path = format!("/path-{zxid:x}");
        let txn = Txn::Create(Create {
            path: Text(path.as_bytes()),
            data: Some(b"some data of a znode"),
            acl,
            lifetime: Lifetime::Persistent,
            parent_cversion: Some(1),
            with_stat: false,
        });
        log.append(header(zxid), &txn, Some(Digest { version: 2, tree: 99 })).unwrap();
    }
    log.into_inner()
}

fn five() -> (Vec<u8>, usize) {
    let log = log_of(FIRST..FIRST + 5);
    let record = (log.len() - HEADER_LENGTH) / 5;
    (log, record)
}

fn walk(log: &[u8]) -> (Vec<u64>, Vec<Damage>, End) {
    let (mut zxids, mut damages) = (Vec::new(), Vec::new());
    let mut reader = LogReader::new(log).unwrap();
    while let Some(item) = reader.next().unwrap() {
        match item {
            LogItem::Record(record) => {
                assert_eq!(&log[usize::try_from(record.offset).unwrap() + 12..][..record.body.len()], record.body);
                zxids.push(record.header.zxid.0 - FIRST);
            }
            LogItem::Damage(damage) => damages.push(damage),
        }
    }
    (zxids, damages, reader.end().unwrap())
}

fn only(damages: &[Damage]) -> &Damage {
    assert_eq!(damages.len(), 1, "{damages:?}");
    &damages[0]
}

#[test]
fn a_sound_log_is_read_to_its_end_and_its_zeros_are_counted() {
    let (mut log, _) = five();
    let length = log.len() as u64;
    assert_eq!(walk(&log), (vec![0, 1, 2, 3, 4], vec![], End { offset: length, zeros: 0 }));
    // Down to one byte: what servers allocate ahead does not end where a record could.
    for zeros in (1..=12).chain([1000]) {
        log.resize(usize::try_from(length).unwrap() + zeros, 0);
        assert_eq!(walk(&log), (vec![0, 1, 2, 3, 4], vec![], End { offset: length, zeros: zeros as u64 }));
    }
}

#[test]
fn a_slice_that_a_record_lent_is_found_in_the_file() {
    let (log, _) = five();
    let mut reader = LogReader::new(&log[..]).unwrap();
    let Some(LogItem::Record(record)) = reader.next().unwrap() else { panic!("no record") };
    let data = record.txn.data().unwrap();
    let at = usize::try_from(record.offset_of(data).unwrap()).unwrap();
    assert_eq!(&log[at..at + data.len()], b"some data of a znode");
    assert_eq!(record.offset_of(b"elsewhere"), None);
}

#[test]
fn every_truncation_of_the_last_record_is_a_torn_tail_padded_or_not() {
    let (log, record) = five();
    let last = log.len() - record;
    for cut in last + 1..log.len() {
        let (zxids, damages, end) = walk(&log[..cut]);
        assert_eq!(zxids, [0, 1, 2, 3], "cut at {cut}");
        // Up to the checksum's first byte that is not zero, nothing was written.
        let blank = log[last..cut].iter().all(|&byte| byte == 0);
        assert_eq!((damages.len(), end.offset), (usize::from(!blank), last as u64), "cut at {cut}");
        for damage in damages {
            assert_eq!((damage.fault, damage.offset), (LogFault::TornTail, last as u64), "cut at {cut}");
            assert_eq!(damage.after, Some(Zxid(FIRST + 3)));
        }

        let mut padded = log[..cut].to_vec();
        padded.resize(log.len() + 4096, 0);
        let (zxids, damages, _) = walk(&padded);
        assert_eq!(zxids, [0, 1, 2, 3], "cut at {cut} and padded");
        assert_eq!(damages.len(), usize::from(!blank), "cut at {cut}: {damages:?}");
        assert!(damages.iter().all(|damage| damage.fault == LogFault::TornTail), "cut at {cut}: {damages:?}");
    }
    assert_eq!(walk(&log[..last]).1, []);
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_costs_that_record_alone() {
    let (log, record) = five();
    let second = HEADER_LENGTH + record;
    for bit in 0..record * 8 {
        let mut log = log.clone();
        log[second + bit / 8] ^= 1 << (bit % 8);
        let (zxids, damages, _) = walk(&log);
        assert_eq!(zxids, [0, 2, 3, 4], "bit {bit}: {damages:?}");
        let damage = only(&damages);
        assert_eq!((damage.offset, damage.length), (second as u64, record as u64), "bit {bit}");
        assert_eq!((damage.after, damage.resumes), (Some(Zxid(FIRST)), Some(Zxid(FIRST + 2))), "bit {bit}");
        let expected = match bit / 8 {
            8..=11 => {
                matches!(damage.fault, LogFault::Length(_) | LogFault::EndMark(_) | LogFault::Checksum { .. })
            }
            byte if byte == record - 1 => matches!(damage.fault, LogFault::EndMark(_)),
            _ => matches!(damage.fault, LogFault::Checksum { .. }),
        };
        assert!(expected, "bit {bit}: {damage:?}");
    }
}

#[test]
fn a_length_that_reaches_to_the_end_of_another_record_costs_its_own_record_alone() {
    let (log, record) = five();
    let second = HEADER_LENGTH + record;
    let length = u32::from_be_bytes(*log[second + 8..].first_chunk().unwrap());
    for swallowed in 1..=3_u32 {
        let mut log = log.clone();
        let wrong = length + swallowed * u32::try_from(record).unwrap();
        log[second + 8..second + 12].copy_from_slice(&wrong.to_be_bytes());
        let (zxids, damages, _) = walk(&log);
        assert_eq!(zxids, [0, 2, 3, 4], "{swallowed} more: {damages:?}");
        let damage = only(&damages);
        assert_eq!((damage.offset, damage.length), (second as u64, record as u64));
        assert!(matches!(damage.fault, LogFault::Length(_)), "{damage:?}");
    }
}

#[test]
fn zeros_between_records_are_a_hole_and_not_an_end() {
    let (mut log, record) = five();
    let second = HEADER_LENGTH + record;
    log[second..second + 2 * record].fill(0);
    let (zxids, damages, _) = walk(&log);
    assert_eq!(zxids, [0, 3, 4]);
    let damage = only(&damages);
    assert_eq!((&damage.fault, damage.offset, damage.length), (&LogFault::Hole, second as u64, 2 * record as u64));
    assert_eq!(damage.resumes, Some(Zxid(FIRST + 3)));
}

#[test]
fn what_follows_the_zeros_and_is_no_record_is_garbage() {
    let (mut log, _) = five();
    let end = log.len() as u64;
    log.extend_from_slice(&[0; 500]);
    log.extend_from_slice(&[0xff; 100]);
    let (zxids, damages, at) = walk(&log);
    assert_eq!((zxids, at.offset), (vec![0, 1, 2, 3, 4], end));
    assert_eq!((&only(&damages).fault, damages[0].length), (&LogFault::Garbage, 600));
}

#[test]
fn a_gap_and_a_step_back_are_told_and_their_records_delivered() {
    let (zxids, damages, _) = walk(&log_of([FIRST, FIRST + 1, FIRST + 4, FIRST + 2]));
    assert_eq!(zxids, [0, 1, 4, 2]);
    let faults: Vec<_> = damages.iter().map(|damage| damage.fault.clone()).collect();
    assert_eq!(faults, [LogFault::Gap { before: Zxid(FIRST + 1) }, LogFault::Backwards { before: Zxid(FIRST + 4) }]);
}

#[test]
fn a_new_epoch_begins_with_one() {
    assert_eq!(walk(&log_of([FIRST, 0x2_0000_0001, 0x5_0000_0001])).1, []);
    assert_eq!(walk(&log_of([FIRST, 0x2_0000_0002])).1.len(), 1);
}

#[test]
fn an_empty_file_and_a_cut_header_are_damage_and_another_file_is_no_log() {
    assert_eq!(walk(&[]).1[0].fault, LogFault::Empty);
    let (log, _) = five();
    for cut in 1..HEADER_LENGTH {
        assert_eq!(only(&walk(&log[..cut]).1).fault, LogFault::HeaderCut, "{cut}");
    }
    assert!(matches!(LogReader::new(&b"ZKSN and more bytes"[..]), Err(NotALog::Magic(_))));
    assert!(matches!(LogReader::new(&b"x"[..]), Err(NotALog::Magic(_))));
}

#[test]
fn a_right_checksum_over_nonsense_is_malformed_and_the_rest_is_read() {
    let (log, record) = five();
    let body = [header(FIRST + 1).session.0.to_be_bytes(), [0; 8], [0; 8], [0; 8]].concat();
    let mut frame = u64::from(simd_adler32::adler32(&&body[..])).to_be_bytes().to_vec();
    frame.extend_from_slice(&32_u32.to_be_bytes());
    frame.extend_from_slice(&body);
    frame.push(b'B');
    let mut broken = log[..HEADER_LENGTH + record].to_vec();
    broken.extend_from_slice(&frame);
    broken.extend_from_slice(&log[HEADER_LENGTH + 2 * record..]);
    let (zxids, damages, _) = walk(&broken);
    assert_eq!(zxids, [0, 2, 3, 4]);
    assert!(damages.iter().any(|damage| matches!(damage.fault, LogFault::Malformed(_))), "{damages:?}");
}

#[test]
fn the_search_behind_damage_is_bounded_where_every_byte_looks_like_a_start() {
    let (mut log, _) = five();
    let frame = log[HEADER_LENGTH..HEADER_LENGTH + 44].to_vec();
    log.truncate(HEADER_LENGTH);
    for _ in 0..20_000 {
        let mut false_start = frame.clone();
        false_start[8..12].copy_from_slice(&800_000_i32.to_be_bytes());
        log.extend_from_slice(&false_start);
    }
    let (zxids, damages, _) = walk(&log);
    assert_eq!((zxids.len(), damages.len()), (0, 1));
}
