//! Where an archive is, as people write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How archives are written.
const FORMS: &str = "file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX";

/// Where an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder.
    File {
        /// Its absolute path.
        folder: PathBuf,
    },
    /// A bucket of S3, or of a store that speaks its protocol.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all names in it begin with; may be empty.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
        /// What all names in it begin with; may be empty.
        prefix: String,
    },
    /// A container of Azure Blob Storage.
    Azure {
        /// The storage account.
        account: String,
        /// The container.
        container: String,
        /// What all names in it begin with; may be empty.
        prefix: String,
    },
}

impl Target {
    /// What all names of an archive there begin with; may be empty.
    pub fn prefix(&self) -> &str {
        match self {
            Self::File { .. } => "",
            Self::S3 { prefix, .. } | Self::Gcs { prefix, .. } | Self::Azure { prefix, .. } => prefix,
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| Err(format!("{text:?} is no archive: {why}; write {FORMS}"));
        match text.split_once("://") {
            Some(("file", folder)) if folder.starts_with('/') => Ok(Self::File { folder: PathBuf::from(folder) }),
            Some(("file", _)) => wrong("the folder's path must be absolute, and so begin with a third slash"),
            Some((scheme @ ("s3" | "gs"), rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return wrong("it names no bucket");
                }
                if bucket.contains(['@', '?', '#', ':']) || prefix.contains(['?', '#']) {
                    let names = if scheme == "s3" { "AWS_…" } else { "GOOGLE_…" };
                    return wrong(&format!(
                        "credentials, region and endpoint come from the environment ({names}), not from the address"
                    ));
                }
                let (bucket, prefix) = (bucket.to_owned(), prefix.trim_matches('/').to_owned());
                Ok(if scheme == "s3" { Self::S3 { bucket, prefix } } else { Self::Gcs { bucket, prefix } })
            }
            Some(("az", rest)) => {
                let mut parts = rest.splitn(3, '/');
                let mut part = || parts.next().unwrap_or_default().to_owned();
                let (account, container, prefix) = (part(), part(), part().trim_matches('/').to_owned());
                if account.is_empty() || container.is_empty() {
                    return wrong("it names no storage account and container");
                }
                if [&account, &container].iter().any(|name| name.contains(['@', '?', '#', ':', '.']))
                    || prefix.contains(['?', '#'])
                {
                    return wrong("credentials and endpoint come from the environment (AZURE_…), not from the address");
                }
                Ok(Self::Azure { account, container, prefix })
            }
            Some((scheme, _)) => wrong(&format!("{scheme} is not supported")),
            None => wrong("it has no scheme"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { folder } => write!(f, "file://{}", folder.display()),
            Self::S3 { bucket, prefix } => named(f, "s3", bucket, prefix),
            Self::Gcs { bucket, prefix } => named(f, "gs", bucket, prefix),
            Self::Azure { account, container, prefix } => named(f, "az", &format!("{account}/{container}"), prefix),
        }
    }
}

fn named(f: &mut fmt::Formatter<'_>, scheme: &str, root: &str, prefix: &str) -> fmt::Result {
    write!(f, "{scheme}://{root}")?;
    if prefix.is_empty() { Ok(()) } else { write!(f, "/{prefix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for text in [
            "file:///archive/zk",
            "s3://backups",
            "s3://backups/zk/prod",
            "gs://backups",
            "gs://backups/zk",
            "az://account/backups",
            "az://account/backups/zk/prod",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("s3://b/p/".parse::<Target>().unwrap().to_string(), "s3://b/p");
    }

    #[test]
    fn a_target_that_cannot_be_right_is_refused_with_what_to_write() {
        for (text, reason) in [
            ("archive", "no scheme"),
            ("file://archive", "must be absolute"),
            ("s3://", "names no bucket"),
            ("s3:///prefix", "names no bucket"),
            ("s3://key:secret@bucket", "from the environment"),
            ("gs:///prefix", "names no bucket"),
            ("ftp://bucket", "ftp is not supported"),
            ("az://account", "names no storage account and container"),
            ("az://key@account/backups", "from the environment"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(reason) && error.ends_with(&format!("write {FORMS}")), "{error}");
        }
    }
}
