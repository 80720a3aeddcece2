//! The credentials of an archive, as a pod finds them: a mounted Secret, or the pod's own identity.

use std::fs;
use std::path::Path;

use super::store::Access;
use crate::model::archive::{ACCESS_KEY_ID, ArchivePlace, SECRET_ACCESS_KEY};

/// How a place is reached with the keys in a folder, or as the pod itself where the place has none.
pub fn access(place: &ArchivePlace, folder: &Path) -> Result<Access, String> {
    let ArchivePlace { region, endpoint, credentials, .. } = place;
    let read = |key: &str| {
        let text = fs::read_to_string(folder.join(key));
        let text = text.map(|text| text.trim().to_owned()).ok().filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("the Secret of credentialsSecret is missing or has no key {key}"))
    };
    let keys = if *credentials { Some((read(ACCESS_KEY_ID)?, read(SECRET_ACCESS_KEY)?)) } else { None };
    Ok(Access { region: region.clone(), endpoint: endpoint.clone(), keys })
}
