//! ZooKeeper's own folders: nothing else may be written there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic::folder_of;

/// Whether this file would be in a member's data folder, or in its folder of logs and snapshots.
pub fn is_at_home(file: &Path) -> io::Result<bool> {
    let folder = fs::canonicalize(folder_of(file))?;
    let holds = |name: &str| folder.join(name).exists();
    Ok(folder.ends_with("version-2") || holds("version-2") || holds("myid"))
}

/// A log or snapshot in this folder, or a file that a server would read as one. `None` if the folder does not exist.
pub fn log_or_snapshot(folder: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut found = None;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("log.") || name.starts_with("snapshot.") {
            // The newest, more or less: the same one each time.
            found = found.max(Some(entry.path()));
        }
    }
    Ok(found)
}
