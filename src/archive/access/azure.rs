//! Azure Blob Storage.

use std::fmt;
use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::lists::Lists;
use super::mounted::{Mounted, MountedError};
use super::network::{self, Network};
use super::{Environment, Opened, endpoint, failed, refused};
use crate::archive::store_error::{StoreError, StoreErrorKind};
use crate::archive::target::Target;
use crate::model::archive::{ACCOUNT_KEY, ArchivePlace};

/// The variable that names an address.
const ENDPOINT: &str = "AZURE_STORAGE_ENDPOINT";

/// The variables with credentials.
const KEYS: [&str; 7] = [
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
];

/// What the environment has to say.
pub(super) fn environment() -> Environment {
    Environment {
        keyed: super::set(&KEYS),
        unset: ". There is no AZURE_STORAGE_ACCOUNT_KEY in the environment: set it, or AZURE_STORAGE_SAS_TOKEN, or what names an identity \
                (AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET)",
        denied: ". Is NAME right? It has to allow to read and list",
        missing: ". Are the names of the storage account and the container right?",
    }
}

/// The right to use a container, and where it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AzureAccess {
    /// Its address, where it is not that of the storage account.
    pub endpoint: Option<String>,
    /// An access key of the storage account; without one, the pod's own identity.
    pub key: Option<String>,
    /// How it is reached.
    pub network: Network,
}

impl fmt::Debug for AzureAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        let Self { endpoint, key: _, network } = self;
        f.debug_struct("AzureAccess").field("endpoint", endpoint).field("network", network).finish_non_exhaustive()
    }
}

impl AzureAccess {
    /// With what a pod mounts.
    pub(super) fn of(place: &ArchivePlace, mounted: &Mounted) -> Result<Self, MountedError> {
        let key = place.credentials.then(|| mounted.key(ACCOUNT_KEY)).transpose()?;
        Ok(Self { endpoint: place.endpoint.clone(), key, network: mounted.network(place)? })
    }

    pub(super) fn open(&self, target: &Target, account: &str, container: &str) -> Result<Opened, StoreError> {
        let Self { endpoint, key, network } = self;
        let mut builder = match key {
            Some(key) => MicrosoftAzureBuilder::new().with_access_key(key),
            None => builder(),
        };
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        let http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        build(target, builder.with_account(account).with_container_name(container), network, http)
    }
}

/// With what the environment says.
pub(super) fn of_environment(target: &Target, account: &str, container: &str) -> Result<Opened, StoreError> {
    let builder = builder().with_account(account).with_container_name(container);
    let http = std::env::var("AZURE_ALLOW_HTTP").is_ok_and(|value| endpoint::is_yes(&value));
    build(target, builder, &Network::default(), http)
}

/// With each variable that says something.
fn builder() -> MicrosoftAzureBuilder {
    let known = super::variables("AZURE_").filter_map(|(name, value)| Some((name.parse().ok()?, value)));
    let builder = known.fold(MicrosoftAzureBuilder::new(), |builder, (key, value)| builder.with_config(key, value));
    match std::env::var("IDENTITY_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty()) {
        Some(endpoint) => builder.with_msi_endpoint(endpoint),
        None => builder,
    }
}

fn build(target: &Target, builder: MicrosoftAzureBuilder, network: &Network, http: bool) -> Result<Opened, StoreError> {
    let of = |key| builder.get_config_value(&key);
    let (named, account) = (of(AzureConfigKey::Endpoint), of(AzureConfigKey::AccountName).unwrap_or_default());
    if let Some(endpoint) = &named {
        let name = if std::env::var(ENDPOINT).is_ok_and(|value| value == *endpoint) { ENDPOINT } else { "endpoint" };
        endpoint::check(name, "AZURE_ALLOW_HTTP", endpoint, http).map_err(|why| refused(target, why))?;
    }
    network.check().map_err(|why| refused(target, why))?;
    let client = network.client(http).map_err(failed(target))?;
    let keyed = of(AzureConfigKey::AccessKey).is_some();
    let signed = of(AzureConfigKey::SasKey).is_some();
    // An emulator is named by its address, and by nothing that the environment happens to have.
    let builder = builder.with_use_emulator(false).with_retry(network::retry()).with_client_options(client);
    let builder = builder.with_http_connector(Lists);
    // What the library says of a key that it cannot read may be a part of it.
    let unusable = |error| {
        let why = || refused(target, format!("{ACCOUNT_KEY} is no access key of a storage account (base64)"));
        let no_signature = || refused(target, "the SAS token is none: it has to be like sv=…&sig=…".to_owned());
        match (keyed, signed) {
            (true, _) => StoreError { kind: StoreErrorKind::NoCredentials, ..why() },
            (false, true) => StoreError { kind: StoreErrorKind::NoCredentials, ..no_signature() },
            (false, false) => failed(target)(error),
        }
    };
    let objects = Arc::new(builder.build().map_err(unusable)?);
    // A storage account that is not there is a name that nobody knows.
    let own = format!("https://{account}.blob.core.windows.net");
    let looked = network.looked(Some(named.as_deref().unwrap_or(&own)));
    Ok(Opened { objects, looked, encrypts: false, checked: None })
}
