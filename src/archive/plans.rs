//! Plans of restores, kept beside the history that they were made from, until they are carried out.
//!
//! A plan is packed with zstd, in parts that are named by their content, with a manifest that is stored last. Nothing is overwritten. The
//! hash of a plan is over what it does, and two plans of one hash may say different things beside it (what they skip): the first that is
//! stored whole is the plan. It has the data of all znodes that are wanted, as the archive has. Nothing deletes them but `menagerie archive
//! plans delete`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::segment::Hash;
use super::store::{Listed, Put, Store, StoreError};
use super::turns::is_turn;
use crate::model::names::is_name;

/// The most bytes of a part.
const PART: usize = 8 << 20;
/// More parts than the longest plan packs into.
const MOST_PARTS: usize = 1024;
const MANIFEST: usize = 128 << 10;
const FORMAT: u32 = 1;
/// More objects than all plans of an ensemble have.
const MOST_LISTED: usize = 1_000_000;

/// The name of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanKey {
    /// The identity of the ensemble whose archive it is in.
    pub identity: String,
    /// The uid of the restore that it was made for.
    pub restore: String,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

impl PlanKey {
    /// The folder of its parts.
    pub fn folder(&self) -> String {
        format!("{}/plan/{}/{}", self.identity, self.restore, self.hash)
    }

    fn part(&self, hash: &Hash) -> String {
        format!("{}/{}", self.folder(), hash.text())
    }

    fn manifest(&self) -> String {
        format!("{}/manifest", self.folder())
    }
}

/// Why a plan was not stored, or not read.
#[derive(Debug, thiserror::Error)]
pub enum PlanStoreError {
    /// The store did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not there.
    #[error("the archive has no plan {0}: it was deleted, or was never stored whole; make another ZooKeeperRestore")]
    Missing(String),
    /// Something else is there.
    #[error("{0} has other bytes than were stored: make another ZooKeeperRestore")]
    Damaged(String),
    /// The scratch folder failed.
    #[error("the plan cannot be kept in the scratch folder: {0}")]
    Io(#[from] io::Error),
}

impl PlanStoreError {
    /// Whether the same may end well later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Io(_))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    format: u32,
    parts: Vec<Hash>,
}

/// Stores a packed plan.
pub async fn store(store: &Store, key: &PlanKey, packed: &mut File) -> Result<(), PlanStoreError> {
    let mut parts = Vec::new();
    loop {
        let mut part = Vec::new();
        packed.take(PART as u64).read_to_end(&mut part)?;
        if part.is_empty() {
            break;
        }
        let hash = Hash::of(&part);
        once(store, &key.part(&hash), part).await?;
        parts.push(hash);
    }
    let manifest = serde_json::to_vec(&Manifest { format: FORMAT, parts }).map_err(io::Error::from)?;
    // One that is there already was stored after all of its own parts.
    store.put_own(&key.manifest(), Bytes::from(manifest)).await?;
    Ok(())
}

/// Stores an object, or finds it there: an answer was lost, or an earlier attempt was killed.
async fn once(store: &Store, name: &str, object: Vec<u8>) -> Result<(), PlanStoreError> {
    let object = Bytes::from(object);
    if store.put_own(name, object.clone()).await? == Put::Stored {
        return Ok(());
    }
    match store.get(name, Some(object.len() + 1)).await? {
        Some(there) if there == object => Ok(()),
        _ => Err(PlanStoreError::Damaged(name.to_owned())),
    }
}

/// Reads a packed plan.
pub async fn fetch(store: &Store, key: &PlanKey, to: &mut File) -> Result<(), PlanStoreError> {
    let (missing, damaged) = (|| PlanStoreError::Missing(key.hash.clone()), || PlanStoreError::Damaged(key.folder()));
    let manifest = store.get(&key.manifest(), Some(MANIFEST)).await?.ok_or_else(missing)?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|_| damaged())?;
    let hex = |hash: &Hash| hash.text().bytes().all(|b| b.is_ascii_hexdigit());
    if manifest.format != FORMAT || manifest.parts.len() > MOST_PARTS || !manifest.parts.iter().all(hex) {
        return Err(damaged());
    }
    for hash in &manifest.parts {
        let object = store.get(&key.part(hash), Some(PART + 1)).await?.ok_or_else(missing)?;
        if Hash::of(&object) != *hash {
            return Err(damaged());
        }
        to.write_all(&object)?;
    }
    Ok(())
}

/// A plan as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlan {
    /// Its name.
    pub key: PlanKey,
    /// Whether it can be carried out: without its manifest it was not stored to its end, or is half deleted.
    pub whole: bool,
    /// The size of all of it.
    pub bytes: u64,
    /// When the last of it was stored, in milliseconds since 1970 by the store's clock.
    pub stored: i64,
    parts: Vec<String>,
}

/// What lies where an ensemble's plans do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plans {
    /// The plans, the oldest first.
    pub all: Vec<StoredPlan>,
    /// How many objects have names that none of ours has.
    pub strange: usize,
}

/// All plans of an ensemble's archive.
pub async fn listed(store: &Store, identity: &str) -> Result<Plans, StoreError> {
    let folder = format!("{identity}/plan");
    let (mut found, mut strange) = (BTreeMap::<PlanKey, StoredPlan>::new(), 0);
    // Whoever may put into a bucket chooses names in it, which are printed, and deleted by.
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let ours = |restore: &str, hash: &str, object: &str| {
        is_name(restore) && hex(hash) && (object == "manifest" || hex(object) || is_turn(object))
    };
    let mut take = |Listed { name, bytes, stored }: Listed| {
        let rest = name.strip_prefix(&folder).and_then(|rest| rest.strip_prefix('/'));
        let mut words = rest.unwrap_or_default().split('/');
        let (Some(restore), Some(hash), Some(object), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            strange += 1;
            return;
        };
        if !ours(restore, hash, object) {
            strange += 1;
            return;
        }
        let key = PlanKey { identity: identity.to_owned(), restore: restore.to_owned(), hash: hash.to_owned() };
        let empty = || StoredPlan { key: key.clone(), whole: false, bytes: 0, stored, parts: Vec::new() };
        let plan = found.entry(key.clone()).or_insert_with(empty);
        (plan.bytes, plan.stored) = (plan.bytes.saturating_add(bytes), plan.stored.max(stored));
        if object == "manifest" {
            plan.whole = true;
        } else {
            plan.parts.push(name);
        }
    };
    store.entries(&folder, MOST_LISTED, &mut take).await?;
    let mut all: Vec<StoredPlan> = found.into_values().collect();
    all.sort_by_key(|plan| plan.stored);
    Ok(Plans { all, strange })
}

/// Whether anything lies where an ensemble's plans do.
pub async fn has_any(store: &Store, identity: &str) -> Result<bool, StoreError> {
    Ok(!store.folders(&format!("{identity}/plan")).await?.is_empty())
}

/// Deletes a plan. Its manifest goes first: what is left of it where that is all that goes is no plan any more.
pub async fn delete(store: &Store, plan: &StoredPlan) -> Result<(), StoreError> {
    if plan.whole {
        store.delete(&plan.key.manifest()).await?;
    }
    for part in &plan.parts {
        store.delete(part).await?;
    }
    let folder = plan.key.folder();
    store.forget_folder(&folder);
    store.forget_folder(folder.rsplit_once('/').map_or("", |(restore, _)| restore));
    Ok(())
}
