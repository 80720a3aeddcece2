//! The one store that a spec names.

use super::archive::{
    ACCESS_KEY_ID, ACCOUNT_KEY, ArchiveMounts, ArchivePlace, CaSource, SECRET_ACCESS_KEY, SERVICE_ACCOUNT_KEY,
};
use crate::api::{AzureSpec, GcsSpec, S3Spec, StoreSpec};

/// What is wrong with a spec that names none, or several: the API server refuses it as well.
pub const ONE: &str = "name one of s3, gcs and azure";

impl StoreSpec<'_> {
    /// Where it is, and how it is reached.
    pub fn place(self) -> ArchivePlace {
        match self {
            Self::S3(spec) => s3(spec),
            Self::Gcs(spec) => gcs(spec),
            Self::Azure(spec) => azure(spec),
        }
    }

    /// What pods mount to reach it.
    pub fn mounts(self) -> ArchiveMounts {
        let (secret, ca, keys) = match self {
            Self::S3(S3Spec { credentials_secret, ca, encryption_keys, .. })
            | Self::Gcs(GcsSpec { credentials_secret, ca, encryption_keys, .. })
            | Self::Azure(AzureSpec { credentials_secret, ca, encryption_keys, .. }) => {
                (credentials_secret, ca, encryption_keys)
            }
        };
        let keys = keys.as_ref().map(|keys| keys.secret.clone());
        ArchiveMounts { secret: secret.clone(), ca: ca.as_ref().and_then(CaSource::of), keys }
    }
}

fn s3(spec: &S3Spec) -> ArchivePlace {
    let S3Spec { bucket, prefix, region, endpoint, credentials_secret, ca, proxy, encryption, encryption_keys } = spec;
    ArchivePlace {
        target: target("s3", bucket, prefix.as_deref()),
        region: region.clone(),
        endpoint: endpoint.clone(),
        credentials: credentials_secret.is_some(),
        ca: ca.is_some(),
        proxy: proxy.clone(),
        encryption: encryption.clone(),
        encryption_keys: encryption_keys.clone(),
    }
}

fn gcs(spec: &GcsSpec) -> ArchivePlace {
    let GcsSpec { bucket, prefix, endpoint, credentials_secret, ca, proxy, encryption_keys } = spec;
    ArchivePlace {
        target: target("gs", bucket, prefix.as_deref()),
        region: None,
        endpoint: endpoint.clone(),
        credentials: credentials_secret.is_some(),
        ca: ca.is_some(),
        proxy: proxy.clone(),
        encryption: None,
        encryption_keys: encryption_keys.clone(),
    }
}

fn azure(spec: &AzureSpec) -> ArchivePlace {
    let AzureSpec { account, container, prefix, endpoint, credentials_secret, ca, proxy, encryption_keys } = spec;
    ArchivePlace {
        target: target("az", &format!("{account}/{container}"), prefix.as_deref()),
        region: None,
        endpoint: endpoint.clone(),
        credentials: credentials_secret.is_some(),
        ca: ca.is_some(),
        proxy: proxy.clone(),
        encryption: None,
        encryption_keys: encryption_keys.clone(),
    }
}

fn target(scheme: &str, root: &str, prefix: Option<&str>) -> String {
    match prefix.filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => format!("{scheme}://{root}/{prefix}"),
        None => format!("{scheme}://{root}"),
    }
}

/// The field of a spec that names a store like this.
pub fn field(place: &ArchivePlace) -> &'static str {
    match scheme(place) {
        "gs" => "gcs",
        "az" => "azure",
        _ => "s3",
    }
}

/// The keys that its Secret must have.
pub fn keys(place: &ArchivePlace) -> &'static [&'static str] {
    match scheme(place) {
        "gs" => &[SERVICE_ACCOUNT_KEY],
        "az" => &[ACCOUNT_KEY],
        _ => &[ACCESS_KEY_ID, SECRET_ACCESS_KEY],
    }
}

fn scheme(place: &ArchivePlace) -> &str {
    place.target.split_once("://").map_or("", |(scheme, _)| scheme)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::ArchiveSpec;

    fn spec(stores: &serde_json::Value) -> ArchiveSpec {
        serde_json::from_value(stores.clone()).unwrap()
    }

    #[test]
    fn a_spec_names_one_store() {
        let s3 = spec(&json!({"s3": {"bucket": "b-1", "prefix": "zk"}}));
        assert_eq!(s3.store().unwrap().place().described(), "s3://b-1/zk");
        let gcs = spec(&json!({"gcs": {"bucket": "b-1", "endpoint": "https://g", "credentialsSecret": "s"}}));
        let place = gcs.store().unwrap().place();
        assert_eq!((place.described().as_str(), place.credentials), ("gs://b-1 at https://g", true));
        assert_eq!((field(&place), keys(&place)), ("gcs", &["serviceAccountKey"][..]));
        assert_eq!(gcs.store().unwrap().mounts().secret.as_deref(), Some("s"));
        let azure =
            spec(&json!({"azure": {"account": "a1", "container": "c-1", "prefix": "zk", "ca": {"secret": "ca"}}}));
        let place = azure.store().unwrap().place();
        assert_eq!((place.described().as_str(), place.ca), ("az://a1/c-1/zk", true));
        assert_eq!((field(&place), keys(&place)), ("azure", &["accountKey"][..]));
        for neither in [json!({}), json!({"s3": {"bucket": "a"}, "gcs": {"bucket": "b"}})] {
            assert!(spec(&neither).store().is_none(), "{neither}");
        }
    }
}
