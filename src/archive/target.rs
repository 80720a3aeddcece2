//! Where an archive is, as people write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

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
}

impl Target {
    /// What all names of an archive there begin with; may be empty.
    pub fn prefix(&self) -> &str {
        match self {
            Self::File { .. } => "",
            Self::S3 { prefix, .. } => prefix,
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |why: &str| Err(format!("{text:?} is no archive: {why}; write file:///FOLDER or s3://BUCKET/PREFIX"));
        match text.split_once("://") {
            Some(("file", folder)) if folder.starts_with('/') => Ok(Self::File { folder: PathBuf::from(folder) }),
            Some(("file", _)) => wrong("the folder's path must be absolute, and so begin with a third slash"),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return wrong("it names no bucket");
                }
                if bucket.contains(['@', '?', '#', ':']) || prefix.contains(['?', '#']) {
                    return wrong(
                        "credentials, region and endpoint come from the environment (AWS_…), not from the address",
                    );
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
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
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for text in ["file:///archive/zk", "s3://backups", "s3://backups/zk/prod"] {
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
            ("gs://bucket", "gs is not supported"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(reason) && error.ends_with("write file:///FOLDER or s3://BUCKET/PREFIX"), "{error}");
        }
    }
}
