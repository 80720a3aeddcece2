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
    /// Whether it takes the place of what is there when it is done.
    replaces: bool,
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

    /// Like [`begin`](Self::begin), for its owner only, and never over or through what somebody put at `.NAME.part`: neither a
    /// file that others have open nor a link. Nor does it replace what has its name by the time it is [kept](Self::keep).
    pub fn begin_secret(path: &Path) -> io::Result<Self> {
        let Some(name) = path.file_name() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let beside = folder_of(path).join(format!(".{}.part", name.to_string_lossy()));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", beside.display())))?;
        let mut part = Self::of(file, beside, path);
        part.replaces = false;
        Ok(part)
    }

    /// Takes an open file in the same folder that has another name.
    pub(crate) fn of(file: File, beside: PathBuf, path: &Path) -> Self {
        Self { file, beside, path: path.to_owned(), replaces: true, kept: false }
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
        if self.replaces { fs::rename(&self.beside, &self.path) } else { name_new(&self.beside, &self.path) }?;
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

/// Gives a file another name that nothing has yet.
fn name_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        // Some filesystems know no second names. There this looks first, which leaves a moment between the two.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
            match to.symlink_metadata() {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(from, to),
            }
        }
        Err(error) => Err(error),
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
    fn a_secret_of_its_own_is_written_neither_over_a_file_nor_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("plan"), folder.path().join(".plan.part"));
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &beside).unwrap();
        let refused = Part::begin_secret(&path).unwrap_err();
        assert!(refused.to_string().contains(".plan.part: "), "{refused}");
        assert!(!elsewhere.exists());
        fs::remove_file(&beside).unwrap();
        fs::write(&beside, "theirs").unwrap();
        assert_eq!(Part::begin_secret(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&beside).unwrap(), b"theirs");
        fs::remove_file(&beside).unwrap();
        let mut part = Part::begin_secret(&path).unwrap();
        part.write_all(b"word").unwrap();
        part.keep().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_secret_of_its_own_never_replaces_what_has_its_name_by_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan");
        let mut part = Part::begin_secret(&path).unwrap();
        part.write_all(b"ours").unwrap();
        fs::write(&path, "theirs").unwrap();
        assert_eq!(part.keep().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"theirs".to_vec(), vec!["plan".to_owned()]));
        fs::remove_file(&path).unwrap();
        let mut part = Part::begin_secret(&path).unwrap();
        part.write_all(b"ours").unwrap();
        part.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"ours".to_vec(), vec!["plan".to_owned()]));
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
