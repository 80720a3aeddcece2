//! Reads an archive's bases.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};
use tracing::warn;
use zookeeper_files::ids::Zxid;
use zookeeper_files::snapshot::{Compression, SnapshotReader};

use super::chains;
use super::key::{BaseKey, Chain};
use super::manifest::{MANIFEST_LIMIT, Manifest, NotABase, Packing};
use super::segment::{Facts, Hash};
use super::shipper::ShipError;
use super::store::{Store, StoreError};

const CHUNK: usize = 64 << 10;
/// Two to this power is more than a part: what needs more memory to be unpacked is no part of ours.
const WINDOW_BITS: u32 = 22;
/// The first transaction of an ensemble that begins empty.
pub const BEGINNING: Zxid = Zxid(1 << 32 | 1);

/// Why a base cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is damaged.
    #[error("{name} is damaged: {why}")]
    Damaged {
        /// The name of its folder.
        name: String,
        /// What is wrong with it.
        why: NotABase,
    },
    /// It could not be written where it is wanted.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl BaseError {
    /// Whether this one counts for nothing, and others may: whoever may put an object could name one that stops all.
    fn is_none(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unopened(),
            Self::Damaged { .. } => true,
            Self::Io(_) => false,
        }
    }

    /// Whether others may be read: the store gives an object of this one not, or a later version wrote it.
    pub fn is_of_one_base(&self) -> bool {
        match self {
            Self::Store(error) => error.is_of_one_object(),
            Self::Damaged { why, .. } => matches!(why, NotABase::Format(_)),
            Self::Io(_) => false,
        }
    }
}

/// The names of all bases of an ensemble and of those that were begun, oldest first.
pub async fn keys(store: &Store, identity: &str) -> Result<Vec<BaseKey>, StoreError> {
    let folders = store.folders(&BaseKey::bases(identity)).await?;
    let mut keys: Vec<BaseKey> = folders.iter().filter_map(|folder| BaseKey::parse(folder)).collect();
    keys.sort_unstable();
    Ok(keys)
}

/// The manifest of a base; `None` if it was begun only.
pub async fn manifest(store: &Store, identity: &str, key: &BaseKey) -> Result<Option<Manifest>, BaseError> {
    let Some(object) = store.get(&key.manifest(identity), Some(MANIFEST_LIMIT)).await? else { return Ok(None) };
    let damaged = |why| BaseError::Damaged { name: key.folder(identity), why };
    let manifest = Manifest::read(&object).map_err(damaged)?;
    if manifest.identity != identity || manifest.key() != *key {
        let whose = manifest.key().folder(&manifest.identity);
        return Err(damaged(NotABase::Manifest(format!("it is the one of {whose}"))));
    }
    Ok(Some(manifest))
}

/// The newest base of an ensemble that has a manifest which can be read.
pub async fn newest(store: &Store, identity: &str) -> Result<Option<Manifest>, BaseError> {
    for key in keys(store, identity).await?.into_iter().rev() {
        match manifest(store, identity, &key).await {
            Ok(None) => {}
            Err(error) if error.is_none() => warn!(%error, "this base does not count"),
            found => return found,
        }
    }
    Ok(None)
}

/// The newest base of an ensemble that counts for a member whose archive ends with `shipped`. One of a later time is only believed if its
/// own chain has the transaction that proves it: whoever may put an object could name one that no other is newer than.
pub async fn believed(store: &Store, identity: &str, shipped: Option<Zxid>) -> Result<Option<Manifest>, BaseError> {
    for key in keys(store, identity).await?.into_iter().rev() {
        let manifest = match manifest(store, identity, &key).await {
            Ok(None) => continue,
            Err(error) if error.is_none() => {
                warn!(%error, "this base does not count");
                continue;
            }
            Ok(Some(manifest)) => manifest,
            Err(error) => return Err(error),
        };
        if Some(manifest.zxid) <= shipped {
            return Ok(Some(manifest));
        }
        match chains::holds(store, identity, &manifest.chain, manifest.proved_by).await {
            Ok(true) => return Ok(Some(manifest)),
            Err(ShipError::Store(error)) if !error.is_unopened() => return Err(error.into()),
            Ok(false) | Err(_) => {
                warn!(base = %key.folder(identity), "this base does not count: its chain lacks the transaction that proves it");
            }
        }
    }
    Ok(None)
}

/// Where an archive begins, as one of its members asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// The first transaction of that member's own chain.
    pub own: Option<Zxid>,
    /// The earliest point to which the archive leads, with its time in milliseconds since 1970: the oldest base, from its end on; or the first
    /// transaction of the ensemble, if any chain begins with it. A base has no time of its last transaction: it was made after that.
    pub earliest: Option<(Zxid, i64)>,
}

/// Where an archive begins, asked by the member with this chain.
pub async fn beginning(store: &Store, identity: &str, own: &Chain) -> Result<Beginning, BaseError> {
    let first = async |chain: &Chain| match chains::first(store, identity, chain).await {
        Err(ShipError::Store(error)) if !error.is_unopened() => Err(BaseError::from(error)),
        first => Ok(first.ok().flatten()),
    };
    let mine = [first(own).await?, first(&own.rolled()).await?].into_iter().flatten().min_by_key(|facts| facts.first);
    let founding = |facts: &Facts| facts.first == BEGINNING;
    let mut found = mine.as_ref().filter(|facts| founding(facts)).map(|facts| (facts.first, facts.earliest));
    // With most archives it ends here, after a few requests.
    let others = if found.is_none() { chains::chains(store, identity).await? } else { Vec::new() };
    for chain in others.iter().filter(|chain| !chain.is_of_the_disk_of(own)) {
        if let Some(facts) = first(chain).await?.filter(founding) {
            found = Some((facts.first, facts.earliest));
            break;
        }
    }
    let own = mine.map(|facts| facts.first);
    let earliest = match found {
        Some(found) => Some(found),
        None => oldest(store, identity).await?.map(|manifest| (manifest.end, manifest.made)),
    };
    Ok(Beginning { own, earliest })
}

async fn oldest(store: &Store, identity: &str) -> Result<Option<Manifest>, BaseError> {
    for key in keys(store, identity).await? {
        match manifest(store, identity, &key).await {
            Ok(None) => {}
            Err(error) if error.is_none() => warn!(%error, "this base does not count"),
            found => return found,
        }
    }
    Ok(None)
}

/// Reads a base, part by part, and passes on its bytes. It is only what it should be if this ends well: so keep nothing before.
pub async fn read(
    store: &Store,
    manifest: &Manifest,
    take: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<(), BaseError> {
    let key = manifest.key();
    let damaged = |why| BaseError::Damaged { name: key.folder(&manifest.identity), why };
    let check = SnapshotCheck::begin(manifest.compression)?;
    let mut hasher = Sha256::new();
    for (part, facts) in manifest.parts.iter().enumerate() {
        let wrong = |what: &str| damaged(NotABase::Part { part, what: what.to_owned() });
        // Nobody's object is read further than it should be long.
        let most = usize::try_from(facts.bytes + 1).ok();
        let object = store.get(&key.part(&manifest.identity, part), most).await?;
        let object = object.ok_or_else(|| wrong("is missing"))?;
        if object.len() as u64 != facts.bytes || Hash::of(&object) != facts.hash {
            return Err(wrong("has other bytes than its manifest says"));
        }
        let mut each = |bytes: &[u8]| {
            hasher.update(bytes);
            check.feed(bytes);
            take(bytes)
        };
        if !unpack(&object, facts.unpacked, &mut each)? {
            return Err(wrong("does not unpack to what its manifest says"));
        }
    }
    if Hash::from_digest(&hasher.finalize()) != manifest.hash {
        return Err(damaged(NotABase::Snapshot("its parts are not the snapshot of its manifest".to_owned())));
    }
    check
        .finish()
        .map_err(|what| damaged(NotABase::Snapshot(format!("its snapshot cannot be read to its end: {what}"))))
}

/// Unpacks a part; false if it is not as long as it should be, or cannot be unpacked.
pub(super) fn unpack(object: &[u8], wanted: u64, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
    let Ok(mut unpacker) = zstd::Decoder::with_buffer(object) else { return Ok(false) };
    if unpacker.window_log_max(WINDOW_BITS).is_err() {
        return Ok(false);
    }
    let mut unpacker = unpacker.take(wanted + 1);
    let (mut chunk, mut length) = (vec![0; CHUNK], 0);
    loop {
        let Ok(read) = unpacker.read(&mut chunk) else { return Ok(false) };
        if read == 0 {
            return Ok(length == wanted);
        }
        length += read as u64;
        each(&chunk[..read])?;
    }
}

/// Reads a snapshot to its end while its bytes come in, on a thread of its own.
struct SnapshotCheck {
    to: SyncSender<Vec<u8>>,
    thread: JoinHandle<Result<(), String>>,
}

impl SnapshotCheck {
    fn begin(packing: Packing) -> io::Result<Self> {
        let (to, from) = sync_channel(4);
        let compression = match packing {
            Packing::Plain => Compression::Plain,
            Packing::Gzip => Compression::Gzip,
            Packing::Snappy => Compression::Snappy,
        };
        let source = Incoming { from, chunk: Vec::new(), at: 0 };
        let check = move || {
            let mut reader = SnapshotReader::new(compression.unpack(source)).map_err(|error| error.to_string())?;
            while reader.next().map_err(|error| error.to_string())?.is_some() {}
            Ok(())
        };
        Ok(Self { to, thread: thread::Builder::new().name("snapshot".to_owned()).spawn(check)? })
    }

    fn feed(&self, bytes: &[u8]) {
        // It has ended early: `finish` says why.
        let _ = self.to.send(bytes.to_vec());
    }

    fn finish(self) -> Result<(), String> {
        drop(self.to);
        self.thread.join().unwrap_or_else(|_| Err("the reading broke off: this is a bug".to_owned()))
    }
}

/// The bytes that come in, as a file.
struct Incoming {
    from: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Incoming {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            let Ok(chunk) = self.from.recv() else { return Ok(0) };
            (self.chunk, self.at) = (chunk, 0);
        }
        let length = to.len().min(self.chunk.len() - self.at);
        to[..length].copy_from_slice(&self.chunk[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
