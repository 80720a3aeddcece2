//! The first look at a store: does it let us put, read and list, and does it keep what is there?
//!
//! Invariant: nothing is believed of a store that it has not shown. Each start asks it anew, at a name of the chain's own; the
//! object stays, since agents have no right to delete.

use bytes::Bytes;

use super::key::Chain;
use super::store::{Put, Store, StoreError, StoreErrorKind};

/// What a probe holds.
const TEXT: &[u8] = b"Menagerie asks here whether this store keeps what is stored already. It may be deleted.\n";

/// What a store makes of `If-None-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOnly {
    /// It refuses a second object of one name.
    Obeyed,
    /// It would store a second one over the first.
    Ignored,
    /// It says that it knows no such header (HTTP 501).
    NotImplemented,
}

impl CreateOnly {
    /// What people should know of it.
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::Obeyed => None,
            Self::Ignored => Some(
                "this store ignores the condition of a put (If-None-Match, x-goog-if-generation-match), so that it would overwrite: each put looks first, which does not tell apart two that write one name at once",
            ),
            Self::NotImplemented => Some(
                "this store does not know If-None-Match (HTTP 501): each put looks first, which does not tell apart two that write one name at once",
            ),
        }
    }
}

/// Asks the store, and returns it in the way in which nothing is overwritten there, with whether the store itself sees to that.
pub async fn probed(store: Store, identity: &str, chain: &Chain) -> Result<(Store, CreateOnly), StoreError> {
    let folder = format!("{identity}/probe");
    let name = format!("{folder}/{chain}");
    let create_only = match keeps(&store, &name).await? {
        // An earlier start has asked the rest. That object may be with a slower class of storage by now, or expired for reading.
        Kept::Before if store.look(&name).await?.is_some() => return Ok((store, CreateOnly::Obeyed)),
        // S3 refuses as well where two writes met: an answer like that for what is not there is none to go by.
        Kept::Before => return Err(store.failed("store", &name, "it refuses it as if it had it, and has it not")),
        Kept::Now => CreateOnly::Obeyed,
        Kept::Not(why) => why,
    };
    let keeps = create_only == CreateOnly::Obeyed;
    let store = if keeps { store } else { store.looking_first() };
    if !keeps {
        store.put(&name, Bytes::from_static(TEXT)).await?;
    }
    let back = store.get(&name, None).await?;
    if back.as_deref() != Some(TEXT) {
        let why = match back {
            None => "what was stored there a moment ago is missing: rules of the bucket may move or expire it",
            Some(_) => {
                "it reads back other bytes than were stored: something between changes them, or somebody else writes there"
            }
        };
        return Err(store.failed("read", &name, why));
    }
    if !store.names(&folder).await?.contains(&name) {
        let why = format!("the list lacks {name}, which was stored a moment ago: lists have to be up to date");
        return Err(store.failed("list", &folder, &why));
    }
    Ok((store, create_only))
}

/// Whether a store refuses a second object of one name.
enum Kept {
    /// It refuses what an earlier start has stored.
    Before,
    /// It refuses what was stored just now.
    Now,
    /// It does not.
    Not(CreateOnly),
}

async fn keeps(store: &Store, name: &str) -> Result<Kept, StoreError> {
    for kept in [Kept::Before, Kept::Now] {
        match store.put(name, Bytes::from_static(TEXT)).await {
            Ok(Put::Taken) => return Ok(kept),
            Ok(Put::Stored) => {}
            Err(error) if error.kind == StoreErrorKind::NotImplemented => {
                return Ok(Kept::Not(CreateOnly::NotImplemented));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Kept::Not(CreateOnly::Ignored))
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::archive::key::DiskId;
    use crate::archive::target::Target;
    use crate::model::ServerId;

    #[tokio::test]
    async fn a_folder_keeps_what_is_there_and_is_asked_as_often_as_it_is_opened() {
        let folder = tempdir().unwrap();
        let target = Target::File { folder: folder.path().to_owned() };
        let chain = Chain::of(ServerId(1), DiskId::from_bits(7));
        for _ in 0..3 {
            let (_, create_only) = probed(Store::open(&target).unwrap(), "a", &chain).await.unwrap();
            assert_eq!(create_only, CreateOnly::Obeyed);
        }
    }

    /// A rule of the bucket moved it to a slower class, or another version of the agent wrote other words.
    #[tokio::test]
    async fn what_an_earlier_start_has_stored_need_not_be_read_again() {
        let folder = tempdir().unwrap();
        let store = Store::open(&Target::File { folder: folder.path().to_owned() }).unwrap();
        let chain = Chain::of(ServerId(1), DiskId::from_bits(7));
        store.put(&format!("a/probe/{chain}"), Bytes::from_static(b"other")).await.unwrap();
        assert_eq!(probed(store, "a", &chain).await.unwrap().1, CreateOnly::Obeyed);
    }
}
