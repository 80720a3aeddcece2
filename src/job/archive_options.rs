//! How a Job's pod reaches an archive.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Ended;
use crate::archive::command::identity;
use crate::archive::credentials::access;
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::archive::tree;
use crate::model::archive::ArchivePlace;

/// Where an archive is, and whose.
#[derive(Args, Debug)]
pub(super) struct ArchiveOptions {
    /// The archive: `s3://BUCKET/PREFIX` or `file:///FOLDER`
    #[arg(long, value_name = "ARCHIVE")]
    archive: Target,
    /// The identity of the ensemble that was archived
    #[arg(long, value_name = "IDENTITY", value_parser = identity)]
    pub(super) identity: String,
    /// Region of the bucket
    #[arg(long)]
    region: Option<String>,
    /// Address of the store, where it is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The folder with the files accessKeyId and secretAccessKey; without it, the pod's own identity counts
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,
}

impl ArchiveOptions {
    /// Opens it. Nothing is asked yet.
    pub(super) fn open(&self) -> Result<Store, Ended> {
        let Self { archive, region, endpoint, credentials, .. } = self;
        let place = ArchivePlace {
            target: archive.to_string(),
            region: region.clone(),
            endpoint: endpoint.clone(),
            credentials: credentials.is_some(),
        };
        let access = access(&place, credentials.as_deref().unwrap_or(Path::new("/"))).map_err(Ended::ForNow)?;
        Store::open_with(archive, &access).map_err(|error| Ended::ForNow(error.to_string()))
    }
}

/// Whether an archive may give later what it does not give now.
pub(super) fn read_error(error: &anyhow::Error) -> Ended {
    let text = format!("{error:#}");
    if tree::may_pass(error) { Ended::ForNow(text) } else { Ended::ForGood(text) }
}
