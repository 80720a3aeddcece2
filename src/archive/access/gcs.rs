//! Google Cloud Storage.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use serde::Deserialize;

use super::lists::Lists;
use super::mounted::{Mounted, MountedError};
use super::network::{self, Network};
use super::{Environment, Opened, endpoint, failed, refused};
use crate::archive::store_error::{StoreError, StoreErrorKind};
use crate::archive::target::Target;
use crate::model::archive::{ArchivePlace, SERVICE_ACCOUNT_KEY};

/// The variable that names an address.
const ENDPOINT: &str = "GOOGLE_BASE_URL";
/// Google's own.
const PUBLIC: &str = "https://storage.googleapis.com";

/// The variables with credentials.
const KEYS: [&str; 5] = [
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "SERVICE_ACCOUNT",
];

/// What the environment has to say.
pub(super) fn environment() -> Environment {
    Environment {
        keyed: super::set(&KEYS),
        unset: ". There is no GOOGLE_SERVICE_ACCOUNT in the environment: set it to a file with the JSON key of a service account, or \
                GOOGLE_APPLICATION_CREDENTIALS",
        denied: ". Is the key of NAME right, and may its account read it?",
        missing: ". Is the bucket's name right?",
    }
}

/// The right to use a bucket, and where it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GcsAccess {
    /// Its address, where it is not Google's public one.
    pub endpoint: Option<String>,
    /// The JSON key of a service account; without one, the pod's own identity.
    pub key: Option<String>,
    /// How it is reached.
    pub network: Network,
}

impl fmt::Debug for GcsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        let Self { endpoint, key: _, network } = self;
        f.debug_struct("GcsAccess").field("endpoint", endpoint).field("network", network).finish_non_exhaustive()
    }
}

/// What has to be in a key. Its values are a secret: no error repeats them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "whether they are there is all that is asked here")]
struct ServiceAccount {
    private_key: String,
    private_key_id: String,
    client_email: String,
}

impl GcsAccess {
    /// With what a pod mounts.
    pub(super) fn of(place: &ArchivePlace, mounted: &Mounted) -> Result<Self, MountedError> {
        let key = place.credentials.then(|| mounted.key(SERVICE_ACCOUNT_KEY)).transpose()?;
        if key.as_ref().is_some_and(|key| serde_json::from_str::<ServiceAccount>(key).is_err()) {
            let words = format!(
                "{SERVICE_ACCOUNT_KEY} of the Secret of credentialsSecret is no JSON key of a service account (with private_key, private_key_id and client_email)"
            );
            return Err(MountedError::Credentials(words));
        }
        Ok(Self { endpoint: place.endpoint.clone(), key, network: mounted.network(place)? })
    }

    pub(super) fn open(&self, target: &Target, bucket: &str) -> Result<Opened, StoreError> {
        let Self { endpoint, key, network } = self;
        let builder = match key {
            Some(key) => GoogleCloudStorageBuilder::new().with_service_account_key(key),
            None => builder(),
        };
        let builder = builder.with_base_url(endpoint.as_deref().unwrap_or(PUBLIC));
        let http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        build(target, builder.with_bucket_name(bucket), network, http)
    }
}

/// With what the environment says.
pub(super) fn of_environment(target: &Target, bucket: &str) -> Result<Opened, StoreError> {
    let http = std::env::var("GOOGLE_ALLOW_HTTP").is_ok_and(|value| endpoint::is_yes(&value));
    build(target, builder().with_bucket_name(bucket), &Network::default(), http)
}

/// With each variable that says something.
fn builder() -> GoogleCloudStorageBuilder {
    let known = super::variables("GOOGLE_").filter_map(|(name, value)| Some((name.parse().ok()?, value)));
    let builder = match std::env::var("SERVICE_ACCOUNT").ok().filter(|path| !path.is_empty()) {
        Some(path) => GoogleCloudStorageBuilder::new().with_service_account_path(path),
        None => GoogleCloudStorageBuilder::new(),
    };
    known.fold(builder, |builder, (key, value)| builder.with_config(key, value))
}

fn build(
    target: &Target,
    builder: GoogleCloudStorageBuilder,
    network: &Network,
    http: bool,
) -> Result<Opened, StoreError> {
    let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl).filter(|endpoint| endpoint != PUBLIC);
    // A key may name an address as well: whoever is asked for an archive is asked at the one that was checked.
    let builder = builder.with_base_url(endpoint.as_deref().unwrap_or(PUBLIC));
    if let Some(endpoint) = &endpoint {
        let name = if std::env::var(ENDPOINT).is_ok_and(|value| value == *endpoint) { ENDPOINT } else { "endpoint" };
        endpoint::check(name, "GOOGLE_ALLOW_HTTP", endpoint, http).map_err(|why| refused(target, why))?;
    }
    network.check().map_err(|why| refused(target, why))?;
    let client = network.client(http).map_err(failed(target))?;
    let keyed = builder.get_config_value(&GoogleConfigKey::ServiceAccountKey).is_some();
    let builder = builder.with_retry(network::retry()).with_client_options(client).with_http_connector(Lists);
    let built = builder.build();
    // What the library says of a key that it cannot read may be a part of it.
    let unusable = |_| StoreError {
        kind: StoreErrorKind::NoCredentials,
        ..refused(target, format!("private_key in {SERVICE_ACCOUNT_KEY} is no RSA key as PEM"))
    };
    // What is wrong with a file that a variable names is said as the library says it.
    let unreadable = |error| StoreError { kind: StoreErrorKind::NoCredentials, ..failed(target)(error) };
    let objects: Arc<dyn ObjectStore> =
        if keyed { Arc::new(built.map_err(unusable)?) } else { Arc::new(built.map_err(unreadable)?) };
    let looked = network.looked(Some(endpoint.as_deref().unwrap_or(PUBLIC)));
    Ok(Opened { objects, looked, encrypts: false, checked: None })
}
