//! Files that appear whole or not at all.
//!
//! A file is written under a temporary name, synced and renamed; then its folder is synced. If power fails at any point, the
//! old file stays until the new one is whole.
//!
//! ```
//! use std::io::Write;
//! use zookeeper_files::atomic::Part;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("myid");
//! let mut part = Part::begin(&path, Some(0o600))?;
//! part.write_all(b"1\n")?;
//! assert!(!path.exists());
//! part.keep()?;
//! assert_eq!(std::fs::read(&path)?, b"1\n");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// An unfinished file. Dropping it removes it, unless it was [kept](Self::keep).
#[derive(Debug)]
pub struct Part {
    file: File,
    /// Where it is written.
    beside: PathBuf,
    /// Where it belongs.
    path: PathBuf,
    kept: bool,
}

impl Part {
    /// Creates the file as `.NAME.part` in the same folder. Overwrites what a process that died left there.
    ///
    /// With `mode` it gets these permissions, whatever the umask is; until then only its owner can read it.
    pub fn begin(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        let Some(name) = path.file_name() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let beside = folder_of(path).join(format!(".{}.part", name.to_string_lossy()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        if mode.is_some() {
            options.mode(0o600);
        }
        let part = Self::of(options.open(&beside)?, beside, path);
        if let Some(mode) = mode {
            part.file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(part)
    }

    /// Takes an open file in the same folder that has another name.
    pub(crate) fn of(file: File, beside: PathBuf, path: &Path) -> Self {
        Self { file, beside, path: path.to_owned(), kept: false }
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is written.
    pub(crate) fn beside(&self) -> &Path {
        &self.beside
    }

    /// Syncs it and gives it its name.
    pub fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        self.kept = true;
        sync_folder(folder_of(&self.path))
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // The caller reports the error that led here.
            let _gone_or_not = fs::remove_file(&self.beside);
        }
    }
}

/// Syncs a folder: renames and removals in it then survive a power failure.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_is_what_it_was_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut part = Part::begin(&path, None).unwrap();
        part.write_all(b"ne").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        part.write_all(b"w").unwrap();
        part.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn what_is_not_kept_or_cannot_be_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        drop(Part::begin(&path, None).unwrap());
        assert!(names(folder.path()).is_empty());
        fs::create_dir(&path).unwrap();
        assert!(Part::begin(&path, None).unwrap().keep().is_err());
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_secret_is_never_readable_by_others_even_over_what_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::write(folder.path().join(".secret.part"), "half of a longer one").unwrap();
        let mut part = Part::begin(&path, Some(0o600)).unwrap();
        assert_eq!(mode(part.beside()), 0o600);
        part.write_all(b"word").unwrap();
        part.keep().unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"word".to_vec()));
    }
}
