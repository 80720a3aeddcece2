//! How an archive's store is reached: one file for each kind of store, and what all of them share.
//!
//! `s3`, `gcs` and `azure` are kinds: with which rights, from what mounted files and from which environment it is opened. `network` is the client of all of
//! them: whose certificates it trusts (`ca`) and by which proxy it goes. `endpoint` checks addresses, `lists` what is answered to a list, `mounted` reads what a pod
//! mounts.

pub mod azure;
mod ca;
mod endpoint;
pub mod gcs;
mod lists;
mod mounted;
mod network;
pub mod s3;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

pub use ca::Ca;
pub use mounted::{Mounted, MountedError};
pub use network::Network;

use super::store_error::{StoreError, StoreErrorKind};
use super::target::Target;
use crate::model::archive::ArchivePlace;

/// The right to use a store, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A folder: whoever may write there.
    File,
    /// S3, or what speaks its protocol.
    S3(s3::S3Access),
    /// Google Cloud Storage.
    Gcs(gcs::GcsAccess),
    /// Azure Blob Storage.
    Azure(azure::AzureAccess),
}

/// A store that nothing was asked of yet.
pub(super) struct Opened {
    pub objects: Arc<dyn ObjectStore>,
    /// Where it is looked for: what is said of one that does not answer.
    pub looked: Option<String>,
    /// Whether it is told how to encrypt.
    pub encrypts: bool,
    /// The same with a checksum in each put, for one that asks for it.
    pub checked: Option<Checked>,
}

/// Opens a store once more.
pub(super) type Checked = Arc<dyn Fn() -> object_store::Result<Arc<dyn ObjectStore>> + Send + Sync>;

impl Access {
    /// How a place is reached with what a pod mounts, or as the pod itself where the place has no credentials.
    pub fn of(target: &Target, place: &ArchivePlace, mounted: &Mounted) -> Result<Self, MountedError> {
        match target {
            Target::File { .. } => Ok(Self::File),
            Target::S3 { .. } => s3::S3Access::of(place, mounted).map(Self::S3),
            Target::Gcs { .. } => gcs::GcsAccess::of(place, mounted).map(Self::Gcs),
            Target::Azure { .. } => azure::AzureAccess::of(place, mounted).map(Self::Azure),
        }
    }

    /// Opens a store with this access and nothing from the environment but the pod's own identity.
    pub(super) fn open(&self, target: &Target) -> Result<Opened, StoreError> {
        match (target, self) {
            (Target::File { folder }, Self::File) => file(target, folder),
            (Target::S3 { bucket, .. }, Self::S3(access)) => access.open(target, bucket),
            (Target::Gcs { bucket, .. }, Self::Gcs(access)) => access.open(target, bucket),
            (Target::Azure { account, container, .. }, Self::Azure(access)) => access.open(target, account, container),
            (Target::File { .. } | Target::S3 { .. } | Target::Gcs { .. } | Target::Azure { .. }, _) => {
                Err(refused(target, "the credentials are those of another kind of store".to_owned()))
            }
        }
    }
}

/// Opens a store with what the environment says of it, for people.
pub(super) fn of_environment(target: &Target) -> Result<Opened, StoreError> {
    match target {
        Target::File { folder } => file(target, folder),
        Target::S3 { bucket, .. } => s3::of_environment(target, bucket),
        Target::Gcs { bucket, .. } => gcs::of_environment(target, bucket),
        Target::Azure { account, container, .. } => azure::of_environment(target, account, container),
    }
}

fn file(target: &Target, folder: &std::path::Path) -> Result<Opened, StoreError> {
    let store = LocalFileSystem::new_with_prefix(folder).map_err(failed(target))?.with_fsync(true);
    Ok(Opened { objects: Arc::new(store.with_automatic_cleanup(false)), looked: None, encrypts: false, checked: None })
}

/// That a store cannot be opened.
fn failed(target: &Target) -> impl Fn(object_store::Error) -> StoreError {
    move |error| StoreError::of("open", &target.to_string(), &error)
}

/// That it cannot be opened as it is asked for.
fn refused(target: &Target, why: String) -> StoreError {
    StoreError { kind: StoreErrorKind::NoAddress, doing: "cannot open".to_owned(), target: target.to_string(), why }
}

/// What the environment has to say of a kind of store, for people.
pub(super) struct Environment {
    /// The variable with credentials that is set; empty where none is.
    pub keyed: &'static str,
    /// What is said where it has none.
    pub unset: &'static str,
    /// What is asked where the store refuses: `NAME` is that variable.
    pub denied: &'static str,
    /// What is asked where there is no such bucket.
    pub missing: &'static str,
}

/// Of the store of which an error's words are.
pub(super) fn environment(words: &str) -> Environment {
    let kinds =
        [("s3://", s3::environment as fn() -> Environment), ("gs://", gcs::environment), ("az://", azure::environment)];
    let of = kinds.into_iter().find(|(scheme, _)| words.contains(scheme));
    of.map_or(FOLDER, |(_, environment)| environment())
}

/// The first of these variables that says something. An empty one says nothing.
fn set(names: &[&'static str]) -> &'static str {
    let says = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    names.iter().find(says).copied().unwrap_or_default()
}

/// The variables that begin so and say something. The library would take an empty key for a key.
fn variables(prefix: &str) -> impl Iterator<Item = (String, String)> {
    let said = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.into_string().ok()?)).filter(|(_, value)| !value.is_empty())
    });
    said.filter(move |(name, _)| name.starts_with(prefix)).map(|(name, value)| (name.to_ascii_lowercase(), value))
}

const FOLDER: Environment = Environment {
    keyed: "nothing",
    unset: "",
    denied: ". May you read it?",
    missing: ". Does it exist, and is its name right?",
};
