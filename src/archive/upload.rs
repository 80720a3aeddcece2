//! Ships a base: its parts one after the other, and its manifest last.
//!
//! Invariants: never more than one part in memory, and what is compared with it; one put at a time; nothing is overwritten: what is
//! there already and has the same content counts as stored, anything else ends this base; the manifest is only stored if all bytes that were
//! shipped are those that were proved.

use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zookeeper_files::ids::Zxid;

use super::bases::unpack;
use super::key::{BaseKey, Chain};
use super::manifest::{MANIFEST_LIMIT, Manifest, PACKED_LIMIT, PART, PartFacts};
use super::segment::Hash;
use super::snapshots::{Examined, fill};
use super::store::{Put, Store, StoreError};

/// zstd's own default, as for segments.
const LEVEL: i32 = 3;
const CHUNK: usize = 64 << 10;

/// A base on its way.
pub struct Upload {
    store: Store,
    identity: String,
    chain: Chain,
    examined: Examined,
    /// When it is made, in milliseconds since 1970.
    made: i64,
    hasher: Sha256,
    parts: Vec<PartFacts>,
    /// The next part, until the store has it.
    waiting: Option<Packed>,
    /// Whether the store may have what comes next already: then it is asked before anything is sent.
    asks: bool,
}

/// A part that is packed.
#[derive(Clone)]
struct Packed {
    facts: PartFacts,
    /// The SHA-256 of the bytes of the snapshot in it.
    content: Hash,
    part: Bytes,
}

impl Packed {
    /// What is known of a part that the store has, if it is this one: the same bytes of the snapshot, however another release of zstd
    /// packed them.
    fn found(&self, there: &Bytes) -> io::Result<Option<PartFacts>> {
        if *there == self.part {
            return Ok(Some(self.facts.clone()));
        }
        let unpacked = self.facts.unpacked;
        let mut hasher = Sha256::new();
        let whole = there.len() as u64 <= PACKED_LIMIT
            && unpack(there, unpacked, &mut |bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
        let same = whole && Hash::from_digest(&hasher.finalize()) == self.content;
        Ok(same.then(|| PartFacts { unpacked, bytes: there.len() as u64, hash: Hash::of(there) }))
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The store has one more part.
    Part,
    /// The store has the manifest, and so the base.
    Done(Box<Manifest>),
}

/// Why a step did not end well.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The store did not do it. The step can be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two writes met, and neither was stored. The step can be tried again.
    #[error("{0} was being stored by somebody else as well")]
    Race(String),
    /// The archive has something else under its name. Nothing is overwritten, and this base is given up.
    #[error("the archive has other bytes under the name {0}: nothing is overwritten, and this base is given up")]
    Other(String),
    /// The file is not what was examined any more: the server wrote it again.
    #[error("the snapshot changed while it was shipped")]
    Changed,
    /// The disk failed.
    #[error("the snapshot cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl UploadError {
    /// Whether the same step may end well later.
    pub fn can_be_tried_again(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Race(_))
    }
}

impl Upload {
    /// Begins to ship an examined snapshot, or goes on where an earlier life ended.
    pub fn new(store: Store, identity: &str, chain: Chain, examined: Examined, made: i64) -> Self {
        let identity = identity.to_owned();
        let (hasher, parts) = (Sha256::new(), Vec::new());
        Self { store, identity, chain, examined, made, hasher, parts, waiting: None, asks: true }
    }

    /// Ships the rest to this store: the same one, maybe with other keys.
    pub fn ship_to(&mut self, store: Store) {
        self.store = store;
    }

    /// The name of the base.
    pub fn key(&self) -> BaseKey {
        BaseKey { zxid: self.examined.proved.name, chain: self.chain.clone() }
    }

    /// The zxid in the snapshot's own name.
    pub fn snapshot(&self) -> Zxid {
        self.examined.zxid
    }

    /// Ships the next part, or the manifest after the last one. It may be broken off anywhere, and tried again.
    pub async fn step(&mut self) -> Result<Step, UploadError> {
        if self.waiting.is_none() {
            self.waiting = self.next_part()?;
        }
        let Some(packed) = self.waiting.clone() else { return self.manifest().await };
        let name = self.key().part(&self.identity, self.parts.len());
        // One byte more shows that it is longer than any part.
        let most = usize::try_from(PACKED_LIMIT + 1).ok();
        let mut there = if self.asks { self.there(&name, most).await? } else { None };
        if there.is_none() {
            // Until the answer is here, it may be stored.
            self.asks = true;
            match self.store.put(&name, packed.part.clone()).await? {
                Put::Stored => self.asks = false,
                Put::Taken => {
                    there = self.there(&name, most).await?;
                    if there.is_none() {
                        return Err(UploadError::Race(name));
                    }
                }
            }
        }
        let facts = match there {
            None => packed.facts,
            Some(there) => packed.found(&there)?.ok_or(UploadError::Other(name))?,
        };
        self.parts.push(facts);
        self.waiting = None;
        Ok(Step::Part)
    }

    /// What the archive has under this name. What cannot be opened is something else.
    async fn there(&self, name: &str, most: Option<usize>) -> Result<Option<Bytes>, UploadError> {
        match self.store.get(name, most).await {
            Err(error) if error.is_unopened() => Err(UploadError::Other(name.to_owned())),
            there => Ok(there?),
        }
    }

    /// Packs the next part; `None` after the last one.
    fn next_part(&mut self) -> Result<Option<Packed>, UploadError> {
        let done: u64 = self.parts.iter().map(|part| part.unpacked).sum();
        let unpacked = PART.min(self.examined.bytes - done);
        if unpacked == 0 {
            return Ok(None);
        }
        let mut packer = zstd::Encoder::new(Vec::new(), LEVEL)?;
        packer.include_checksum(true)?;
        packer.set_pledged_src_size(Some(unpacked))?;
        let mut source = (&self.examined.file).take(unpacked);
        let (mut chunk, mut read, mut content) = (vec![0; CHUNK], 0, Sha256::new());
        loop {
            let length = fill(&mut source, &mut chunk)?;
            self.hasher.update(&chunk[..length]);
            content.update(&chunk[..length]);
            packer.write_all(&chunk[..length])?;
            read += length as u64;
            if length < chunk.len() {
                break;
            }
        }
        if read != unpacked {
            return Err(UploadError::Changed);
        }
        let part = Bytes::from(packer.finish()?);
        let facts = PartFacts { unpacked, bytes: part.len() as u64, hash: Hash::of(&part) };
        Ok(Some(Packed { facts, content: Hash::from_digest(&content.finalize()), part }))
    }

    async fn manifest(&mut self) -> Result<Step, UploadError> {
        let longer = fill(&mut &self.examined.file, &mut [0])? > 0;
        if longer || Hash::from_digest(&self.hasher.clone().finalize()) != self.examined.hash {
            return Err(UploadError::Changed);
        }
        let Examined { proved, compression, bytes, ref hash, .. } = self.examined;
        let manifest = Manifest {
            format: Manifest::FORMAT,
            identity: self.identity.clone(),
            chain: self.chain.clone(),
            zxid: proved.name,
            end: proved.until,
            proved_by: proved.by,
            made: self.made,
            compression,
            bytes,
            hash: hash.clone(),
            parts: self.parts.clone(),
        };
        let name = self.key().manifest(&self.identity);
        let object = manifest.pack().map_err(io::Error::other)?;
        let mut there = if self.asks { self.there(&name, Some(MANIFEST_LIMIT)).await? } else { None };
        if there.is_none() {
            self.asks = true;
            if self.store.put(&name, Bytes::from(object)).await? == Put::Stored {
                return Ok(Step::Done(Box::new(manifest)));
            }
            there = self.there(&name, Some(MANIFEST_LIMIT)).await?;
        }
        let Some(there) = there else { return Err(UploadError::Race(name)) };
        // An answer was lost, or the agent died before it noted it. Its log may have been shorter then.
        match Manifest::read(&there) {
            Ok(theirs) if theirs.is_of_the_same(&manifest) => Ok(Step::Done(Box::new(theirs))),
            _ => Err(UploadError::Other(name)),
        }
    }
}
