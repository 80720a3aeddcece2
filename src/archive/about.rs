//! Whose history an archive has: its names mean nothing to people, and once the cluster is gone nobody can be asked.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::seal::KeyId;
use super::store::{IN_CLEAR, Store, StoreError, StoreErrorKind};
use crate::model::names::is_name;

const FORMAT: u32 = 1;
const LONGEST: usize = 4 << 10;

/// Whose history it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    format: u32,
    /// The namespace of the `ZooKeeperEnsemble`.
    pub namespace: String,
    /// Its name.
    pub ensemble: String,
    /// The key with which its archive was encrypted from its beginning, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_with: Option<String>,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.ensemble)
    }
}

impl About {
    /// An ensemble in its namespace, whose archive is encrypted with that key.
    pub fn new(namespace: &str, ensemble: &str, key: Option<KeyId>) -> Self {
        let encrypted_with = key.map(|key| key.to_string());
        Self { format: FORMAT, namespace: namespace.to_owned(), ensemble: ensemble.to_owned(), encrypted_with }
    }

    /// Whether the archive was begun as it is to go on: encrypted, or not. The key may be another one by now. What nobody has said
    /// yet is to be so.
    pub async fn agrees(&self, store: &Store, identity: &str) -> Result<(), StoreError> {
        let Some(begun) = Self::read(store, identity).await? else { return Ok(()) };
        let (kind, why) = match (&begun.encrypted_with, &self.encrypted_with) {
            (Some(key), None) => (
                StoreErrorKind::NoKey,
                format!("this archive is encrypted (its first key is {key}): name the Secret with its keys (encryptionKeys)"),
            ),
            (None, Some(_)) => (
                StoreErrorKind::NotSealed,
                "this archive was begun without encryptionKeys, and stays so: name another prefix for one that is encrypted, or take encryptionKeys out".to_owned(),
            ),
            (Some(_), Some(_)) | (None, None) => return Ok(()),
        };
        Err(store.wrong(kind, "archive to", identity, &why))
    }

    /// Says it once for all. Whoever said it first has said it; what no ensemble can be called is not said.
    pub async fn tell(&self, store: &Store, identity: &str) -> Result<(), StoreError> {
        if !self.can_be() {
            return Ok(());
        }
        let text = serde_json::to_vec(self).map_err(|error| store.failed("store", identity, &error.to_string()))?;
        store.put_own(&path(identity), Bytes::from(text)).await.map(|_| ())
    }

    /// What was said; `None` if nothing was, or nothing that an ensemble can be called.
    pub async fn read(store: &Store, identity: &str) -> Result<Option<Self>, StoreError> {
        let object = store.get(&path(identity), Some(LONGEST)).await?;
        let about = object.and_then(|object| serde_json::from_slice::<Self>(&object).ok());
        Ok(about.filter(Self::can_be))
    }

    fn can_be(&self) -> bool {
        self.format == FORMAT && is_name(&self.namespace) && is_name(&self.ensemble)
    }
}

fn path(identity: &str) -> String {
    format!("{identity}/{IN_CLEAR}")
}

/// Identities as people are told of them.
pub async fn called(store: &Store, identity: &str) -> Result<String, StoreError> {
    let about = About::read(store, identity).await?;
    Ok(about.map_or_else(|| identity.to_owned(), |about| format!("{identity} ({about})")))
}
