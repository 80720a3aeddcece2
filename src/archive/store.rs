//! An archive's store: objects that are made once and read by name.
//!
//! Invariants: every request ends within its timeout; of a store and its clones one object is on its way at a time, and who asked first
//! is first, so that a segment waits for one part of a base at most; lists are small and wait for nothing; nothing is overwritten; what is there already is a question, and the answer
//! is read back ([`Put::Taken`]); no object is read that is larger than any of ours.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Certificate, ClientConfigKey, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, RetryConfig,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::endpoint;
use super::target::Target;

pub use super::store_error::{StoreError, StoreErrorKind};

/// How long one request may take with all its retries. A segment of 8 MiB needs 90 KB/s.
const PATIENCE: Duration = Duration::from_secs(90);
/// The library neither signs a retry anew nor renews a token for it, so that its own retries end soon; ours go on.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// No object of ours is larger: 64 MiB of log, packed.
const LARGEST: u64 = 72 << 20;
/// How many names one list may bring.
const MOST_NAMES: usize = 1_000_000;

/// Where an archive is, with the right to use it.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    target: Target,
    /// Host and port, where it is not Amazon's.
    address: Option<String>,
    /// Whether the store itself refuses a second object of one name.
    create_only: bool,
    /// Whose object is on its way. Who waits for it gets it in the order of asking.
    turn: Arc<Mutex<()>>,
}

/// The right to use an S3 store, and where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Its region; without one, `us-east-1`.
    pub region: Option<String>,
    /// Its address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The id of an access key and its secret; without them, the pod's own identity.
    pub keys: Option<(String, String)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are a secret.
        f.debug_struct("Access").field("region", &self.region).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An object, as the store lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was stored, in milliseconds since 1970 by the store's clock.
    pub stored: i64,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored,
    /// An object of that name is there already, or a race is on: read it.
    Taken,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.target)
    }
}

impl Store {
    /// Opens a store with what the environment says of S3, for people. Asks it nothing yet.
    pub fn open(target: &Target) -> Result<Self, StoreError> {
        Self::new(target, AmazonS3Builder::from_env())
    }

    /// Opens a store with this access and nothing from the environment but the pod's own identity. Asks it nothing yet.
    pub fn open_with(target: &Target, access: &Access) -> Result<Self, StoreError> {
        let Access { region, endpoint, keys } = access;
        let mut builder = match keys {
            Some((id, secret)) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret),
            None => AmazonS3Builder::from_env(),
        };
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        Self::new(target, builder)
    }

    fn new(target: &Target, builder: AmazonS3Builder) -> Result<Self, StoreError> {
        let failed = |error: object_store::Error| StoreError::of("open", &target.to_string(), &error);
        let mut address = None;
        let (objects, prefix): (Arc<dyn ObjectStore>, _) = match target {
            Target::File { folder } => {
                let store = LocalFileSystem::new_with_prefix(folder).map_err(failed)?.with_fsync(true);
                (Arc::new(store.with_automatic_cleanup(false)), "")
            }
            Target::S3 { bucket, prefix } => {
                let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
                let client = ClientOptions::new().with_timeout(PATIENCE).with_connect_timeout(CONNECT);
                let http = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
                let http = http.is_some_and(|value| value == "true");
                let of = |key| builder.get_config_value(&key).filter(|endpoint| !endpoint.is_empty());
                if let Some(endpoint) = of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint)) {
                    endpoint::check(endpoint::name(&endpoint), &endpoint, http).map_err(|why| StoreError {
                        kind: StoreErrorKind::NoAddress,
                        doing: "cannot open".to_owned(),
                        target: target.to_string(),
                        why,
                    })?;
                    address = endpoint::authority(&endpoint);
                }
                let client = trusting(client).map_err(failed)?.with_allow_http(http);
                let builder = builder.with_bucket_name(bucket).with_retry(retry).with_client_options(client);
                // Many a store has no bulk delete, and the library panics if an answer to one names a strange object.
                let builder = builder.with_disable_bulk_delete(true);
                (Arc::new(builder.build().map_err(failed)?), prefix.as_str())
            }
        };
        let (prefix, turn) = (Path::from(prefix), Arc::default());
        Ok(Self { objects, prefix, target: target.clone(), address, create_only: true, turn })
    }

    /// The same, for a store that would overwrite: each put looks first. Two that put one name within a moment are not told apart.
    #[must_use]
    pub fn looking_first(self) -> Self {
        Self { create_only: false, ..self }
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Stores an object under a name that has none.
    pub async fn put(&self, name: &str, object: Bytes) -> Result<Put, StoreError> {
        let mode = if self.create_only { PutMode::Create } else { PutMode::Overwrite };
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(name);
        let put = async {
            if !self.create_only {
                match self.objects.head(&path).await {
                    Ok(_) => return Ok(Put::Taken),
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            match self.objects.put_opts(&path, PutPayload::from_bytes(object), options).await {
                Ok(_) => Ok(Put::Stored),
                // Azure before object_store 0.14.2 said the second for the first; S3 says 409 where two write at once.
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(Put::Taken)
                }
                Err(error) => Err(error),
            }
        };
        let _turn = self.turn.lock().await;
        self.bounded("store", name, put).await
    }

    /// Stores an object that nobody else writes, also where the store knows no conditions.
    pub async fn put_own(&self, name: &str, object: Bytes) -> Result<Put, StoreError> {
        match self.put(name, object.clone()).await {
            Err(error) if error.kind == StoreErrorKind::NotImplemented => {
                self.clone().looking_first().put(name, object).await
            }
            other => other,
        }
    }

    /// Reads an object, or its first bytes; `None` if there is none.
    pub async fn get(&self, name: &str, first: Option<usize>) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(name);
        let range = first.map(|first| GetRange::Bounded(0..first as u64));
        let get = async {
            let options = GetOptions { range, ..GetOptions::default() };
            let result = match self.objects.get_opts(&path, options).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                other => other?,
            };
            if result.range.end - result.range.start > LARGEST {
                return Ok(Some(Err(result.meta.size)));
            }
            result.bytes().await.map(|bytes| Some(Ok(bytes)))
        };
        let _turn = self.turn.lock().await;
        let too_large = |size| {
            let why = format!("it has {size} bytes, and no object of an archive has more than {LARGEST}");
            StoreError { kind: StoreErrorKind::TooLarge, ..self.failed("read", name, &why) }
        };
        self.bounded("read", name, get).await?.transpose().map_err(too_large)
    }

    /// The same store, with objects of its own on their way.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { turn: Arc::default(), ..self.clone() }
    }

    /// The names of the folders in a folder.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path(folder);
        let listed = self.bounded("list", folder, self.objects.list_with_delimiter(Some(&path))).await?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// The names of all objects below a folder, in the order of names.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        self.each(folder, |name| names.push(name)).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The greatest name below a folder of those that count, in constant memory.
    pub async fn greatest(&self, folder: &str, counts: impl Fn(&str) -> bool) -> Result<Option<String>, StoreError> {
        let mut greatest: Option<String> = None;
        self.each(folder, |name| {
            if counts(&name) && greatest.as_ref().is_none_or(|greatest| name > *greatest) {
                greatest = Some(name);
            }
        })
        .await?;
        Ok(greatest)
    }

    async fn each(&self, folder: &str, mut take: impl FnMut(String)) -> Result<(), StoreError> {
        self.entries(folder, MOST_NAMES, |object| take(object.name)).await
    }

    /// Each object below a folder, in whatever order the store has them. Every page of the list has a time limit of its own, and one of
    /// more than `most` objects is an error.
    pub async fn entries(&self, folder: &str, most: usize, mut take: impl FnMut(Listed)) -> Result<(), StoreError> {
        let path = self.path(folder);
        let mut listing = self.objects.list(Some(&path));
        let mut number = 0;
        while let Some(object) = self.bounded("list", folder, listing.try_next()).await? {
            number += 1;
            if number > most {
                return Err(self.failed("list", folder, &format!("it has more than {most} objects")));
            }
            if let Some(name) = self.name(&object.location) {
                take(Listed { name, bytes: object.size, stored: object.last_modified.timestamp_millis() });
            }
        }
        Ok(())
    }

    /// What the store says of an object; `None` if there is none. Unlike a list, it is never old.
    pub async fn look(&self, name: &str) -> Result<Option<Listed>, StoreError> {
        let path = self.path(name);
        let head = async {
            match self.objects.head(&path).await {
                Ok(object) => Ok(Some(object)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let object = self.bounded("read", name, head).await?;
        Ok(object.map(|object| {
            let (bytes, stored) = (object.size, object.last_modified.timestamp_millis());
            Listed { name: name.to_owned(), bytes, stored }
        }))
    }

    /// Deletes an object. One that is not there is deleted.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let delete = async {
            match self.objects.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.bounded("delete", name, delete).await
    }

    /// Forgets a folder in which nothing is left. Only a file system knows of such a one.
    pub(super) fn forget_folder(&self, folder: &str) {
        if let Target::File { folder: root } = &self.target {
            // It stays if there is anything in it.
            let _ = std::fs::remove_dir(root.join(folder));
        }
    }

    /// An answer that is none, or none that can be.
    pub(super) fn failed(&self, doing: &str, name: &str, why: &str) -> StoreError {
        let target = format!("{}/{name}", self.target);
        let kind = StoreErrorKind::Unavailable;
        StoreError { kind, doing: format!("cannot {doing}"), target, why: why.to_owned() }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    fn name(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    async fn bounded<T>(
        &self,
        doing: &str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let what = format!("{}/{name}", self.target);
        let Ok(done) = timeout(PATIENCE, work).await else {
            return Err(self.failed(doing, name, &format!("no answer within {} s", PATIENCE.as_secs())));
        };
        done.map_err(|error| StoreError::of(doing, &what, &error).at(self.address.as_deref()))
    }
}

/// Trusts whom the system trusts. The operator's image has no system: there, whom Mozilla trusts.
fn trusting(client: ClientOptions) -> object_store::Result<ClientOptions> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let there =
        ["/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/pki"].iter().any(|path| std::path::Path::new(path).exists());
    if named || there {
        return Ok(client);
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots
        .map(|root| Certificate::from_der(root))
        .try_fold(client.with_no_system_certificates(true), |client, root| Ok(client.with_root_certificate(root?)))
}
