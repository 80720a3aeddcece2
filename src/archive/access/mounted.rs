//! What a pod mounts to reach an archive: a Secret with credentials, and certificates of CAs.

use std::fs;
use std::path::PathBuf;

use super::ca::Ca;
use super::network::Network;
use crate::api::KeysSpec;
use crate::archive::seal::{Keys, KeysError};
use crate::model::archive::{ArchivePlace, CA_FILE};

/// The folders in which a pod has it.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// The Secret with credentials.
    pub credentials: PathBuf,
    /// The certificates of CAs.
    pub ca: PathBuf,
    /// The Secret with the keys with which we encrypt, in a folder of its name.
    pub keys: PathBuf,
    /// What the one with credentials is called, where somebody knows.
    pub secret: Option<String>,
}

/// What of it is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum MountedError {
    /// The Secret with credentials.
    #[error("{0}")]
    Credentials(String),
    /// The certificates of CAs.
    #[error("{0}")]
    Ca(String),
    /// The keys with which we encrypt.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Mounted {
    /// One key of the Secret.
    pub(super) fn key(&self, key: &str) -> Result<String, MountedError> {
        let text = fs::read_to_string(self.credentials.join(key));
        let text = text.map(|text| text.trim().to_owned()).ok().filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            let secret = self.secret.as_ref().map_or_else(|| "the Secret".to_owned(), |name| format!("Secret {name}"));
            MountedError::Credentials(format!("{secret} of credentialsSecret is missing or has no key {key}"))
        })
    }

    /// The keys with which what is stored at a place is encrypted; `None` where nobody but the store encrypts it.
    pub fn keys(&self, place: &ArchivePlace) -> Result<Option<Keys>, MountedError> {
        let Some(KeysSpec { secret, write_with }) = &place.encryption_keys else { return Ok(None) };
        let whose = format!("Secret {secret} of encryptionKeys");
        Ok(Some(Keys::of_folder(&self.keys.join(secret), whose, write_with.as_deref())?))
    }

    /// How a place is reached.
    pub(super) fn network(&self, place: &ArchivePlace) -> Result<Network, MountedError> {
        let ca = place.ca.then(|| self.ca().map_err(MountedError::Ca)).transpose()?;
        Ok(Network { ca, proxy: place.proxy.clone() })
    }

    fn ca(&self) -> Result<Ca, String> {
        let path = self.ca.join(CA_FILE);
        if !path.exists() {
            return Err("the ConfigMap or Secret of ca is missing or has no such key".to_owned());
        }
        Ca::read(&path).map_err(|why| format!("the key of ca {why}"))
    }
}
