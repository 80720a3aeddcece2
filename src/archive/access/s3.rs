//! S3, and what speaks its protocol.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};

use super::ca::Ca;
use super::lists::Lists;
use super::mounted::{Mounted, MountedError};
use super::network::{self, Network};
use super::{Checked, Environment, Opened, endpoint, failed, refused};
use crate::api::{EncryptionSpec, EncryptionType};
use crate::archive::store_error::{StoreError, StoreErrorKind};
use crate::archive::target::Target;
use crate::model::archive::{ACCESS_KEY_ID, ArchivePlace, SECRET_ACCESS_KEY};

/// The variable by which Amazon's own tools are told of a CA.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
/// The variables that name an address, in the order in which they count.
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// The variables with credentials.
const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];

/// What the environment has to say.
pub(super) fn environment() -> Environment {
    let amazon = super::set(&ENDPOINTS).is_empty();
    Environment {
        keyed: super::set(&KEYS),
        unset: ". There is no AWS_ACCESS_KEY_ID in the environment: set it, AWS_SECRET_ACCESS_KEY and AWS_REGION, and where the store is \
                not Amazon's AWS_ENDPOINT_URL, with AWS_ALLOW_HTTP=true for http",
        denied: if amazon {
            ". AWS_ENDPOINT_URL is not set, so that Amazon's own store was asked: is that meant? Are AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY right, and may they read it?"
        } else {
            ". Are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY right, and may they read it?"
        },
        missing: if amazon {
            ". AWS_ENDPOINT_URL is not set, so that Amazon's own store was asked: is that meant? Is the bucket's name right, and AWS_REGION?"
        } else {
            ". Is the bucket's name right, and AWS_REGION, AWS_ENDPOINT_URL?"
        },
    }
}

/// The right to use an S3 store, and where it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3Access {
    /// Its region; without one, `us-east-1`.
    pub region: Option<String>,
    /// Its address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The id of an access key and its secret; without them, the pod's own identity.
    pub keys: Option<(String, String)>,
    /// How it is reached.
    pub network: Network,
    /// How it encrypts what is stored; as it does by itself without a word of it.
    pub encryption: Option<EncryptionSpec>,
}

impl fmt::Debug for S3Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are a secret.
        let Self { region, endpoint, keys: _, network, encryption } = self;
        let mut all = f.debug_struct("S3Access");
        all.field("region", region).field("endpoint", endpoint).field("network", network);
        all.field("encryption", encryption).finish_non_exhaustive()
    }
}

impl S3Access {
    /// The store at an address, with the pod's own identity.
    pub fn at(endpoint: &str, network: Network) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), network, ..Self::default() }
    }

    /// With what a pod mounts.
    pub(super) fn of(place: &ArchivePlace, mounted: &Mounted) -> Result<Self, MountedError> {
        let ArchivePlace { target: _, region, endpoint, credentials, ca: _, proxy: _, encryption, encryption_keys: _ } =
            place;
        let read = |key| mounted.key(key);
        let keys = if *credentials { Some((read(ACCESS_KEY_ID)?, read(SECRET_ACCESS_KEY)?)) } else { None };
        let network = mounted.network(place)?;
        let (region, endpoint) = (region.clone(), endpoint.clone());
        Ok(Self { region, endpoint, keys, network, encryption: encryption.clone() })
    }

    pub(super) fn open(&self, target: &Target, bucket: &str) -> Result<Opened, StoreError> {
        let Self { region, endpoint, keys, network, encryption } = self;
        let mut builder = match keys {
            Some((id, secret)) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret),
            None => builder(),
        };
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(encryption) = encryption {
            builder = encrypting(builder, encryption).map_err(failed(target))?;
        }
        build(target, builder.with_bucket_name(bucket), bucket, network)
    }
}

/// The library has its option by this name alone.
const ENCRYPTION: &str = "aws_server_side_encryption";

fn encrypting(
    builder: AmazonS3Builder,
    EncryptionSpec { type_, kms_key }: &EncryptionSpec,
) -> object_store::Result<AmazonS3Builder> {
    let builder = builder.with_config(ENCRYPTION.parse()?, type_.as_str());
    Ok(match (type_, kms_key) {
        (EncryptionType::Aes256, _) => builder,
        // Otherwise each put is a request to the key management as well: at one a second these cost more than half of what the puts do.
        (EncryptionType::Kms, None) => builder.with_bucket_key(true),
        (EncryptionType::Kms, Some(key)) => builder.with_sse_kms_encryption(key).with_bucket_key(true),
    })
}

/// With what the environment says.
pub(super) fn of_environment(target: &Target, bucket: &str) -> Result<Opened, StoreError> {
    let bundle = std::env::var_os(CA_BUNDLE).filter(|path| !path.is_empty());
    let ca = bundle.map(|path| Ca::read(Path::new(&path))).transpose().map_err(|why| StoreError {
        kind: StoreErrorKind::NoCa,
        ..refused(target, format!("the file that {CA_BUNDLE} names {why}"))
    })?;
    build(target, builder().with_bucket_name(bucket), bucket, &Network { ca, proxy: None })
}

/// With each variable that says something.
fn builder() -> AmazonS3Builder {
    let known = super::variables("AWS_").filter_map(|(name, value)| Some((name.parse().ok()?, value)));
    known.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value))
}

fn build(target: &Target, builder: AmazonS3Builder, bucket: &str, network: &Network) -> Result<Opened, StoreError> {
    let http = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let http = http.is_some_and(|value| endpoint::is_yes(&value));
    let of = |key| builder.get_config_value(&key).filter(|endpoint| !endpoint.is_empty());
    let endpoint = of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint));
    if let Some(endpoint) = &endpoint {
        endpoint::check(name(endpoint), "AWS_ALLOW_HTTP", endpoint, http).map_err(|why| refused(target, why))?;
        endpoint::check_bucket(name(endpoint), endpoint, bucket).map_err(|why| refused(target, why))?;
    }
    network.check().map_err(|why| refused(target, why))?;
    let client = network.client(http).map_err(failed(target))?;
    let builder = builder.with_retry(network::retry()).with_client_options(client);
    // Many a store has no bulk delete, and the library panics if an answer to one names a strange object.
    let builder = builder.with_disable_bulk_delete(true);
    let encrypts = ENCRYPTION.parse().ok().and_then(|key| builder.get_config_value(&key)).is_some();
    let builder = builder.with_http_connector(Lists);
    // Amazon's takes one always and wants it in a bucket with Object Lock. Of the others, B2 and OVH refuse what they do not know:
    // they are sent one once they ask for it.
    let with_checksum = builder.clone().with_checksum_algorithm(Checksum::SHA256);
    let (builder, checked): (_, Option<Checked>) = match &endpoint {
        None => (with_checksum, None),
        Some(_) => (builder, Some(Arc::new(move || Ok(Arc::new(with_checksum.clone().build()?))))),
    };
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let objects = Arc::new(builder.build().map_err(failed(target))?);
    let own = format!("https://s3.{region}.amazonaws.com");
    let looked = network.looked(Some(endpoint.as_deref().unwrap_or(&own)));
    Ok(Opened { objects, looked, encrypts, checked })
}

/// What an address is called: the variable of the environment that has it, or what objects call it.
fn name(endpoint: &str) -> &'static str {
    let has = |name: &&&str| std::env::var(name).is_ok_and(|value| value == endpoint);
    ENDPOINTS.iter().find(has).copied().unwrap_or("endpoint")
}
