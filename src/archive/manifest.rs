//! What an archive says of a base: a snapshot in parts, and the manifest that makes them one.
//!
//! A part is a frame of zstd; all of them, one after the other, are the snapshot as it was on the member's disk:
//! `cat 0000 0001 … | zstd -d > snapshot.ZXID`. The manifest is stored last. Parts without one are no base.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zookeeper_files::ids::Zxid;
use zookeeper_files::snapshot::Compression;

use super::key::{BaseKey, Chain, is_identity};
use super::segment::{Hash, hex};

/// The most bytes of a snapshot in a part: so few that a part fits into 2 MiB though it cannot be packed. With twice as many, an agent
/// that compared parts with what was there already took 20 MiB more (60 MB of random bytes); it is to take 16 at most.
pub const PART: u64 = (2 << 20) - (64 << 10);
/// The most bytes of a part: what cannot be packed becomes a little larger.
pub const PACKED_LIMIT: u64 = 2 << 20;
/// A snapshot of 100 GiB has a manifest of 6 MiB.
pub const MANIFEST_LIMIT: usize = 16 << 20;
/// The format that this version writes.
const FORMAT: u32 = 1;
/// A SHA-256 in hexadecimal and the end of its line.
const SEAL: usize = 65;

/// What is known of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The identity of the ensemble.
    pub identity: String,
    /// Whose snapshot it is.
    #[serde(flatten)]
    pub chain: Chain,
    /// The zxid in its name: it holds everything up to there.
    pub zxid: Zxid,
    /// It may hold some transactions up to here, but not all.
    pub end: Zxid,
    /// The transaction whose digest proves it.
    pub proved_by: Zxid,
    /// When it was made, in milliseconds since 1970, by the clock of the agent.
    pub made: i64,
    /// How the server had compressed it.
    pub compression: Packing,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub hash: Hash,
    /// Its parts.
    pub parts: Vec<PartFacts>,
}

/// A part of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartFacts {
    /// The bytes of the snapshot in it.
    pub unpacked: u64,
    /// Its own size.
    pub bytes: u64,
    /// Its SHA-256.
    pub hash: Hash,
}

/// How a server compresses its snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// gzip.
    Gzip,
    /// The format of snappy-java.
    Snappy,
}

/// Why an object is no manifest, or parts are not what it says.
#[derive(Debug, thiserror::Error)]
pub enum NotABase {
    /// Its bytes are not those that were written.
    #[error("its manifest is damaged: {0}")]
    Manifest(String),
    /// A later version wrote it.
    #[error("its manifest has format {0}, and this version reads up to {FORMAT}: use a newer menagerie")]
    Format(u32),
    /// A part is missing or has other bytes.
    #[error("part {part} {what}")]
    Part {
        /// Its number.
        part: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The parts are right, and what they make up is no whole snapshot.
    #[error("{0}")]
    Snapshot(String),
}

impl From<Compression> for Packing {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Plain => Self::Plain,
            Compression::Gzip => Self::Gzip,
            Compression::Snappy => Self::Snappy,
        }
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    /// The version of the format that this version writes.
    pub const FORMAT: u32 = FORMAT;

    /// Its name.
    pub fn key(&self) -> BaseKey {
        BaseKey { zxid: self.zxid, chain: self.chain.clone() }
    }

    /// The name of the file, as servers call it.
    pub fn file_name(&self) -> String {
        let suffix = match self.compression {
            Packing::Plain => "",
            Packing::Gzip => ".gz",
            Packing::Snappy => ".snappy",
        };
        format!("snapshot.{}{suffix}", self.zxid)
    }

    /// Whether two are of the same bytes of the same disk.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        let named = self.identity == other.identity && self.key() == other.key();
        named && self.bytes == other.bytes && self.hash == other.hash && self.parts == other.parts
    }

    /// The object: a line of JSON, and a line with its SHA-256.
    pub fn pack(&self) -> serde_json::Result<Vec<u8>> {
        let mut object = serde_json::to_vec(self)?;
        object.push(b'\n');
        let seal = hex(&Sha256::digest(&object));
        object.extend_from_slice(seal.as_bytes());
        object.push(b'\n');
        Ok(object)
    }

    /// Reads an object.
    pub fn read(object: &[u8]) -> Result<Self, NotABase> {
        let wrong = |what: &str| NotABase::Manifest(what.to_owned());
        let at = object.len().checked_sub(SEAL).ok_or_else(|| wrong("it is too short"))?;
        let (json, seal) = object.split_at(at);
        if seal.strip_suffix(b"\n") != Some(hex(&Sha256::digest(json)).as_bytes()) {
            return Err(wrong("its check sum is wrong"));
        }
        let format: Format = serde_json::from_slice(json).map_err(|e| NotABase::Manifest(e.to_string()))?;
        if format.format > FORMAT {
            return Err(NotABase::Format(format.format));
        }
        let manifest: Self = serde_json::from_slice(json).map_err(|e| NotABase::Manifest(e.to_string()))?;
        let sizes = manifest.parts.iter().map(|part| part.unpacked);
        let fits = |part: &PartFacts| (1..=PART).contains(&part.unpacked) && part.bytes <= PACKED_LIMIT;
        let whole = sizes.fold(0, u64::saturating_add) == manifest.bytes && manifest.parts.iter().all(fits);
        if !whole || !is_identity(&manifest.identity) || manifest.end < manifest.zxid {
            return Err(wrong("it contradicts itself"));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::DiskId;
    use super::*;
    use crate::model::ServerId;

    fn manifest() -> Manifest {
        let hash = Hash::of(b"abc");
        Manifest {
            format: FORMAT,
            identity: "a-1".to_owned(),
            chain: Chain::of(ServerId(2), DiskId::from_bits(7)),
            zxid: Zxid(0x3_0000_0005),
            end: Zxid(0x3_0000_0008),
            proved_by: Zxid(0x3_0000_0007),
            made: 1_700_000_000_000,
            compression: Packing::Plain,
            bytes: 5,
            hash: hash.clone(),
            parts: vec![
                PartFacts { unpacked: 3, bytes: 12, hash: hash.clone() },
                PartFacts { unpacked: 2, bytes: 11, hash },
            ],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_any_other_byte_is_seen() {
        let object = manifest().pack().unwrap();
        assert_eq!(Manifest::read(&object).unwrap(), manifest());
        assert_eq!(manifest().file_name(), "snapshot.300000005");
        for at in 0..object.len() {
            let mut damaged = object.clone();
            damaged[at] ^= 0x10;
            assert!(Manifest::read(&damaged).is_err(), "byte {at}");
            assert!(Manifest::read(&object[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn a_manifest_whose_parts_are_not_its_snapshot_contradicts_itself() {
        let wrongs: [fn(&mut Manifest); 5] = [
            |manifest| manifest.bytes = 6,
            |manifest| manifest.parts[0].unpacked = u64::MAX,
            |manifest| manifest.parts[0].bytes = PACKED_LIMIT + 1,
            |manifest| manifest.end = Zxid(1),
            |manifest| manifest.identity = "../x".to_owned(),
        ];
        for wrong in wrongs {
            let mut manifest = manifest();
            wrong(&mut manifest);
            assert!(matches!(Manifest::read(&manifest.pack().unwrap()), Err(NotABase::Manifest(_))), "{manifest:?}");
        }
        let later = Manifest { format: 2, ..manifest() };
        assert!(matches!(Manifest::read(&later.pack().unwrap()), Err(NotABase::Format(2))));
    }
}
