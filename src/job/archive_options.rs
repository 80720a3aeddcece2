//! How a Job's pod reaches an archive.

use std::path::PathBuf;

use clap::Args;

use super::Ended;
use crate::api::{EncryptionSpec, EncryptionType, KeysSpec};
use crate::archive::access::{Access, Mounted};
use crate::archive::command::identity;
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::archive::tree;
use crate::model::archive::ArchivePlace;

/// Where an archive is, and whose.
#[derive(Args, Debug)]
pub(super) struct ArchiveOptions {
    /// The archive: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://ACCOUNT/CONTAINER/PREFIX` or `file:///FOLDER`
    #[arg(long, value_name = "ARCHIVE")]
    archive: Target,
    /// The identity of the ensemble that was archived
    #[arg(long, value_name = "IDENTITY", value_parser = identity)]
    pub(super) identity: String,
    /// Region of the bucket
    #[arg(long)]
    region: Option<String>,
    /// Address of the store, where it is not the kind's own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The folder with the files of credentialsSecret; without it, the pod's own identity counts
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,
    /// What the Secret is called, for words about it
    #[arg(long, value_name = "NAME", requires = "credentials")]
    credentials_secret: Option<String>,
    /// The folder with the file ca.crt: CAs that are trusted beside the public ones
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
    /// The proxy by which the store is reached: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// How the store encrypts what is stored: AES256 or aws:kms
    #[arg(long, value_name = "TYPE", value_parser = encryption)]
    encryption: Option<EncryptionType>,
    /// The key for aws:kms
    #[arg(long, value_name = "KEY", requires = "encryption")]
    kms_key: Option<String>,
    /// The folder with the keys with which menagerie encrypts
    #[arg(long, value_name = "DIR", requires = "encryption_keys_secret")]
    encryption_keys: Option<PathBuf>,
    /// What their Secret is called
    #[arg(long, value_name = "NAME", requires = "encryption_keys")]
    encryption_keys_secret: Option<String>,
    /// Which of them encrypts
    #[arg(long, value_name = "KEY", requires = "encryption_keys")]
    write_with: Option<String>,
}

fn encryption(text: &str) -> Result<EncryptionType, String> {
    let known = [EncryptionType::Aes256, EncryptionType::Kms].into_iter().find(|known| known.as_str() == text);
    known.ok_or_else(|| "AES256 or aws:kms".to_owned())
}

impl ArchiveOptions {
    /// Opens it. Nothing is asked yet.
    pub(super) fn open(&self) -> Result<Store, Ended> {
        let Self { archive, region, endpoint, credentials, credentials_secret, ca, proxy, encryption, kms_key, .. } =
            self;
        let Self { encryption_keys, encryption_keys_secret, write_with, identity: _, .. } = self;
        let keys = |secret: &String| KeysSpec { secret: secret.clone(), write_with: write_with.clone() };
        let place = ArchivePlace {
            target: archive.to_string(),
            region: region.clone(),
            endpoint: endpoint.clone(),
            credentials: credentials.is_some(),
            ca: ca.is_some(),
            proxy: proxy.clone(),
            encryption: encryption.map(|type_| EncryptionSpec { type_, kms_key: kms_key.clone() }),
            encryption_keys: encryption_keys_secret.as_ref().map(keys),
        };
        let folder = |named: &Option<PathBuf>| named.clone().unwrap_or_else(|| PathBuf::from("/"));
        let mounted = Mounted {
            credentials: folder(credentials),
            ca: folder(ca),
            keys: folder(encryption_keys),
            secret: credentials_secret.clone(),
        };
        let opened = Access::of(archive, &place, &mounted).map_err(|error| Ended::ForNow(error.to_string()))?;
        let keys = mounted.keys(&place).map_err(|error| Ended::ForNow(error.to_string()))?;
        let store = Store::open_with(archive, &opened).map_err(|error| Ended::ForNow(error.to_string()))?;
        Ok(store.sealing(keys))
    }
}

/// Whether an archive may give later what it does not give now.
pub(super) fn read_error(error: &anyhow::Error) -> Ended {
    let text = format!("{error:#}");
    if tree::may_pass(error) { Ended::ForNow(text) } else { Ended::ForGood(text) }
}
