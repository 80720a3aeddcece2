//! Laws of the formats: for what we write, and for any bytes.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{collection, option, prop_assert, prop_assert_eq, proptest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{
    Acl, Acls, Create, Digest, Header, LogItem, LogReader, LogWriter, Ops, Paths, SessionId, Txn, encode_acls,
    encode_ops, encode_paths,
};
use zookeeper_files::log::{HEADER_LENGTH, Lifetime};

#[path = "support/laws.rs"]
mod laws;

/// A transaction with its own bytes, since [`Txn`] borrows them.
#[derive(Clone, Debug)]
enum OwnedTxn {
    CreateSession(i32),
    CloseSession(Option<Vec<String>>),
    Create {
        path: String,
        data: Option<Vec<u8>>,
        acl: Vec<(i32, String)>,
        lifetime: Lifetime,
        parent: Option<i32>,
        stat: bool,
    },
    Delete(String, bool),
    SetData(String, Option<Vec<u8>>, i32, bool),
    SetAcl(String, Vec<(i32, String)>, i32),
    Multi(Vec<OwnedTxn>),
    Error(i32),
}

fn acls(list: &[(i32, String)]) -> Vec<u8> {
    encode_acls(&list.iter().map(|(perms, id)| Acl::new(*perms, "digest", id)).collect::<Vec<_>>())
}

impl OwnedTxn {
    fn with<T>(&self, take: &mut dyn FnMut(&Txn<'_>) -> T) -> T {
        let list =
            |bytes: &[u8], take: &mut dyn FnMut(Acls<'_>) -> T| take(Acls::decode(&mut Decoder::new(bytes)).unwrap());
        match self {
            Self::CreateSession(timeout) => take(&Txn::CreateSession { timeout: *timeout }),
            Self::CloseSession(None) => take(&Txn::CloseSession { paths: None }),
            Self::CloseSession(Some(paths)) => {
                let bytes = encode_paths(paths.iter().map(String::as_bytes));
                take(&Txn::CloseSession { paths: Paths::decode(&mut Decoder::new(&bytes)).ok() })
            }
            Self::Create { path, data, acl, lifetime, parent, stat } => list(&acls(acl), &mut |acl| {
                let (path, data) = (Text(path.as_bytes()), data.as_deref());
                let plain = matches!(lifetime, Lifetime::Persistent | Lifetime::Ephemeral);
                let with_stat = *stat && plain;
                // Only the oldest create goes without the parent's version.
                let parent_cversion = if with_stat || !plain { Some(parent.unwrap_or(0)) } else { *parent };
                take(&Txn::Create(Create { path, data, acl, lifetime: *lifetime, parent_cversion, with_stat }))
            }),
            Self::Delete(path, container) => take(&Txn::Delete { path: Text(path.as_bytes()), container: *container }),
            Self::SetData(path, data, version, reconfig) => {
                let (path, data) = (Text(path.as_bytes()), data.as_deref());
                take(&Txn::SetData { path, data, version: *version, reconfig: *reconfig })
            }
            Self::SetAcl(path, acl, version) => {
                list(&acls(acl), &mut |acl| take(&Txn::SetAcl { path: Text(path.as_bytes()), acl, version: *version }))
            }
            Self::Multi(parts) => {
                let mut bytes = u32::try_from(parts.len()).unwrap().to_be_bytes().to_vec();
                for part in parts {
                    part.with(&mut |txn| bytes.extend_from_slice(&encode_ops(&[*txn])[4..]));
                }
                take(&Txn::Multi(Ops::decode(&mut Decoder::new(&bytes)).unwrap()))
            }
            Self::Error(code) => take(&Txn::Error { code: *code }),
        }
    }

    /// Neither digests nor anything else follow the creates of releases before 3.4.
    fn is_oldest(&self) -> bool {
        matches!(
            self,
            Self::Create { parent: None, lifetime: Lifetime::Persistent | Lifetime::Ephemeral, stat: false, .. }
        )
    }
}

fn path() -> impl Strategy<Value = String> {
    "(/[a-zß€]{1,6}){1,4}"
}

fn list() -> impl Strategy<Value = Vec<(i32, String)>> {
    collection::vec((0..32_i32, "[a-z:]{0,8}"), 0..3)
}

fn data() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(collection::vec(any::<u8>(), 0..200))
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![
        Just(Lifetime::Persistent),
        Just(Lifetime::Ephemeral),
        Just(Lifetime::Container),
        any::<i64>().prop_map(Lifetime::Ttl)
    ]
}

fn part() -> impl Strategy<Value = OwnedTxn> {
    prop_oneof![
        (path(), data(), list(), lifetime(), option::of(any::<i32>()), any::<bool>()).prop_map(
            |(path, data, acl, lifetime, parent, stat)| OwnedTxn::Create { path, data, acl, lifetime, parent, stat }
        ),
        (path(), any::<bool>()).prop_map(|(path, container)| OwnedTxn::Delete(path, container)),
        (path(), data(), any::<i32>()).prop_map(|(path, data, version)| OwnedTxn::SetData(path, data, version, false)),
        any::<i32>().prop_map(OwnedTxn::Error),
    ]
}

fn owned_txn() -> impl Strategy<Value = OwnedTxn> {
    prop_oneof![
        6 => part(),
        1 => any::<i32>().prop_map(OwnedTxn::CreateSession),
        1 => option::of(collection::vec(path(), 0..4)).prop_map(OwnedTxn::CloseSession),
        1 => (path(), data(), any::<i32>()).prop_map(|(path, data, version)| OwnedTxn::SetData(path, data, version, true)),
        1 => (path(), list(), any::<i32>()).prop_map(|(path, acl, version)| OwnedTxn::SetAcl(path, acl, version)),
        2 => collection::vec(part(), 0..5).prop_map(OwnedTxn::Multi),
    ]
}

fn txns() -> impl Strategy<Value = Vec<(OwnedTxn, Header, Option<Digest>)>> {
    let header = (any::<i64>(), any::<i32>(), any::<i64>());
    let digest = option::of(any::<i64>().prop_map(|tree| Digest { version: 2, tree }));
    collection::vec((owned_txn(), header, digest), 1..12).prop_map(|txns| {
        let numbered = (0x3_0000_0001..).zip(txns);
        numbered
            .map(|(zxid, (owned_txn, (session, cxid, time), digest))| {
                let header = Header { session: SessionId(session), cxid, zxid: Zxid(zxid), time };
                let digest = digest.filter(|_| !owned_txn.is_oldest());
                (owned_txn, header, digest)
            })
            .collect()
    })
}

/// The log of these, and where each record ends.
fn written(txns: &[(OwnedTxn, Header, Option<Digest>)]) -> (Vec<u8>, Vec<usize>) {
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    let mut ends = Vec::new();
    for (owned_txn, header, digest) in txns {
        owned_txn.with(&mut |txn| log.append(*header, txn, *digest).unwrap());
        let so_far = log.into_inner();
        ends.push(so_far.len());
        log = LogWriter::go_on(so_far);
    }
    (log.into_inner(), ends)
}

/// The checksum and the length in front of a record.
const FRAME_HEAD: usize = 12;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(txns in txns()) {
        let (log, _) = written(&txns);
        let mut reader = LogReader::new(&log[..]).unwrap();
        for (owned_txn, header, digest) in &txns {
            let Some(LogItem::Record(record)) = reader.next().unwrap() else { panic!("no record for {owned_txn:?}") };
            prop_assert_eq!((record.header, record.digest, record.surplus), (*header, *digest, 0));
            owned_txn.with(&mut |txn| assert_eq!(record.txn, *txn));
        }
        prop_assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn any_prefix_of_a_log_is_a_log(txns in txns(), cut in 0.0..1.0) {
        let (log, ends) = written(&txns);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let cut = HEADER_LENGTH + ((log.len() - HEADER_LENGTH) as f64 * cut) as usize;
        let walk = laws::read_log(&log[..cut]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        prop_assert_eq!(walk.records.len(), whole);
        // Zeros too few for a record are padding, as a server takes them.
        let end = ends.iter().copied().rfind(|&end| end <= cut).unwrap_or(HEADER_LENGTH);
        let padding = cut - end < FRAME_HEAD && log[end..cut].iter().all(|&byte| byte == 0);
        prop_assert_eq!(walk.damage.len(), usize::from(!padding));
    }

    #[test]
    fn a_damaged_byte_costs_one_record_and_never_its_neighbours(txns in txns(), at in any::<usize>(), bit in 0..8) {
        let (mut log, ends) = written(&txns);
        let at = HEADER_LENGTH + at % (log.len() - HEADER_LENGTH);
        log[at] ^= 1_u8 << bit;
        let walk = laws::read_log(&log).unwrap();
        let hit = ends.iter().filter(|&&end| end <= at).count();
        let expected: Vec<u64> = (0..ends.len()).filter(|&number| number != hit).map(|number| txns[number].1.zxid.0).collect();
        let read: Vec<u64> = walk.records.iter().map(|(zxid, _, _)| zxid.0).collect();
        prop_assert_eq!(read, expected, "damage {:?}", walk.damage);
        prop_assert!(!walk.damage.is_empty());
    }
}

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 10, "the corpus {} is gone: this test looks at nothing", folder.display());
    files
}

/// The corpus as it is, and some thousand mutants of it: what `dev/fuzz` does at length and led by coverage.
fn hold(target: &str, mutants: u32, law: fn(&[u8])) {
    let seeds: Vec<Vec<u8>> = corpus(target).iter().map(|file| fs::read(file).unwrap()).collect();
    for seed in &seeds {
        law(seed);
    }
    let mut random = StdRng::seed_from_u64(0x5a4b_4c47);
    for _ in 0..mutants {
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..4) {
            mutate(&mut bytes, &mut random);
        }
        law(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..6) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = random.random(),
        2 => bytes.truncate(at),
        3 => {
            let length = random.random_range(0..64).min(bytes.len() - at);
            bytes[at..at + length].fill(0);
        }
        4 => {
            let absurd = [i32::MIN, -2, -1, 0, 1, 0xffff, i32::MAX][random.random_range(0..7)].to_be_bytes();
            let length = absurd.len().min(bytes.len() - at);
            bytes[at..at + length].copy_from_slice(&absurd[..length]);
        }
        _ => {
            let length = random.random_range(0..256).min(bytes.len() - at);
            let copy = bytes[at..at + length].to_vec();
            let to = random.random_range(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
    }
}

#[test]
fn no_byte_of_any_log_is_lost_in_silence() {
    hold("log", 3000, laws::any_log);
}

#[test]
fn any_record_that_is_decoded_is_written_again() {
    hold("record", 20_000, laws::any_record);
}

#[test]
fn any_sound_snapshot_is_written_again_byte_for_byte() {
    hold("snapshot", 2000, laws::any_snapshot);
}

#[test]
fn any_log_is_replayed_and_the_digest_stays_true() {
    hold("replay", 1000, laws::any_replay);
}
