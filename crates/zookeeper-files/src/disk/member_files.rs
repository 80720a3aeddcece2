//! The files of one member.

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic::folder_of;
use crate::disk::error::DiskError;
use crate::ids::Zxid;

/// A log or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// The zxid in its name; `None` for a single file with another name.
    pub zxid: Option<Zxid>,
}

/// The files of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFiles {
    /// The name, as given.
    pub name: String,
    /// Its logs, oldest first.
    pub logs: Vec<DataFile>,
    /// Its snapshots, oldest first.
    pub snapshots: Vec<DataFile>,
    /// Files that a server takes for its own by their names, like `log.1.bak` or `snapshot.1.tmp`.
    pub strays: Vec<Stray>,
    /// Whether a single file was named, not a folder.
    pub single: bool,
    /// The snapshots in the folder of a single log.
    pub beside: Vec<DataFile>,
    /// The folder of its snapshots, which also has the epoch files.
    pub data: Option<PathBuf>,
    /// The longest record that the servers of these files read, in bytes, where `jute.maxbuffer` or its extrasize
    /// was raised.
    pub max_record: Option<usize>,
    /// Whether all that is in these files was committed: those of an archive hold nothing else.
    pub committed: bool,
}

/// A file that a server takes for one of its own by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The file, and the zxid in its name.
    pub file: DataFile,
    /// Whether a server takes it for a log; otherwise for a snapshot.
    pub log: bool,
}

impl MemberFiles {
    /// Finds the files of a member: `DATA`, `DATA,LOG` or a single file.
    pub fn find(name: &str) -> Result<Self, DiskError> {
        let mut member = Self { name: name.to_owned(), ..Self::default() };
        let named = if Path::new(name).exists() { vec![name] } else { name.split(',').collect() };
        for part in named {
            let path = Path::new(part);
            let metadata = fs::metadata(path).map_err(|error| DiskError::io(path, error))?;
            if metadata.is_dir() {
                member.folder(path)?;
            } else {
                member.single(path)?;
            }
        }
        member.logs.sort_by_key(|file| file.zxid);
        member.snapshots.sort_by_key(|file| file.zxid);
        Ok(member)
    }

    fn single(&mut self, path: &Path) -> Result<(), DiskError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = |zxid| DataFile { path: path.to_owned(), zxid };
        self.single = true;
        match file_type(&name) {
            FileType::Log(zxid) => {
                self.logs.push(file(Some(zxid)));
                self.beside = snapshots_beside(path);
            }
            FileType::Snapshot(zxid) => self.snapshots.push(file(Some(zxid))),
            FileType::Stray { .. } | FileType::Other => match crate::disk::open::magic(path)? {
                Some(magic) if magic == crate::log::MAGIC => self.logs.push(file(None)),
                Some(magic) if magic == crate::snapshot::MAGIC => self.snapshots.push(file(None)),
                _ => {
                    let what = "neither a transaction log (ZKLG) nor a snapshot (ZKSN) of ZooKeeper 3.0 or later";
                    return Err(DiskError::OtherFile { path: path.to_owned(), what: what.to_owned() });
                }
            },
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<(), DiskError> {
        let mut folder = path.to_owned();
        // A dataDir that is itself called version-2 contains another one.
        while folder.join("version-2").is_dir() {
            folder.push("version-2");
        }
        let entries = fs::read_dir(&folder).map_err(|error| DiskError::io(&folder, error))?;
        let (mut found, mut hint) = (false, "");
        let snapshots = self.snapshots.len();
        for entry in entries {
            let entry = entry.map_err(|error| DiskError::io(&folder, error))?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            hint = hint_of(&name).unwrap_or(hint);
            if path.is_dir() {
                continue;
            }
            match file_type(&name) {
                FileType::Log(zxid) => self.logs.push(DataFile { path, zxid: Some(zxid) }),
                FileType::Snapshot(zxid) => self.snapshots.push(DataFile { path, zxid: Some(zxid) }),
                FileType::Stray { zxid, log } => {
                    self.strays.push(Stray { file: DataFile { path, zxid: Some(zxid) }, log });
                }
                FileType::Other => continue,
            }
            found = true;
        }
        if self.data.is_none() || (snapshots == 0 && !self.snapshots.is_empty()) {
            self.data = Some(folder.clone());
        }
        if found {
            return Ok(());
        }
        if folder.ends_with("version-2") {
            return Err(DiskError::Unused(folder));
        }
        let hint = if hint.is_empty() { elsewhere(&folder) } else { hint.to_owned() };
        Err(DiskError::NotZooKeeper { path: path.to_owned(), hint })
    }

    /// Lists the files again, if some of them were purged.
    pub fn refreshed(&self) -> Result<Option<Self>, DiskError> {
        if self.logs.iter().chain(&self.snapshots).all(|file| file.path.exists()) {
            return Ok(None);
        }
        let Self { max_record, committed, .. } = *self;
        Ok(Some(Self { max_record, committed, ..Self::find(&self.name)? }))
    }

    /// The logs with everything after `zxid`: the last one that begins at or before it, and all later ones.
    pub(crate) fn logs_after(&self, zxid: Zxid) -> &[DataFile] {
        let later = self.logs.partition_point(|file| file.zxid <= Some(zxid));
        &self.logs[later.saturating_sub(1)..]
    }
}

/// Where ZooKeeper's files are instead, one or two levels below a folder.
fn elsewhere(folder: &Path) -> String {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(1000);
        let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let first = below(folder);
    let second: Vec<_> = first.iter().take(100).flat_map(|folder| below(folder)).collect();
    let found = first.into_iter().chain(second).filter(|folder| folder.join("version-2").is_dir() || has_files(folder));
    let names: Vec<_> = found.take(3).map(|folder| folder.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// Whether a folder has logs or snapshots itself, like those that `menagerie archive fetch` writes.
fn has_files(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten().take(1000);
    entries.any(|entry| {
        matches!(file_type(&entry.file_name().to_string_lossy()), FileType::Log(_) | FileType::Snapshot(_))
    })
}

fn snapshots_beside(log: &Path) -> Vec<DataFile> {
    let entries = fs::read_dir(folder_of(log)).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| match file_type(&entry.file_name().to_string_lossy()) {
        FileType::Snapshot(zxid) => Some(DataFile { path: entry.path(), zxid: Some(zxid) }),
        _ => None,
    });
    named.collect()
}

enum FileType {
    Log(Zxid),
    Snapshot(Zxid),
    Stray { zxid: Zxid, log: bool },
    Other,
}

/// Servers look only at the part after the first dot, so `log.1.bak` is a log to them.
fn file_type(name: &str) -> FileType {
    let mut parts = name.split('.');
    let (prefix, zxid, rest) = (parts.next(), parts.next(), parts.collect::<Vec<_>>());
    let zxid = zxid.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some(zxid) = zxid.and_then(|text| u64::from_str_radix(text, 16).ok()).map(Zxid) else { return FileType::Other };
    match (prefix, &rest[..]) {
        (Some("log"), [] | ["gz"]) => FileType::Log(zxid),
        (Some("snapshot"), [] | ["gz" | "snappy"]) => FileType::Snapshot(zxid),
        (Some(prefix @ ("log" | "snapshot")), _) => FileType::Stray { zxid, log: prefix == "log" },
        _ => FileType::Other,
    }
}

fn hint_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "meta.properties" | "replication-offset-checkpoint" => " (this looks like Kafka)",
        "member" => " (this looks like etcd)",
        "PG_VERSION" => " (this looks like PostgreSQL)",
        "raft" | "serf" => " (this looks like Consul)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_servers_take_it() {
        let count = |names: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            for name in names {
                fs::write(folder.path().join(name), b"").unwrap();
            }
            let member = MemberFiles::find(folder.path().to_str().unwrap()).unwrap();
            (member.logs.len(), member.snapshots.len(), member.strays.len())
        };
        assert_eq!(count(&["log.1", "log.a0", "snapshot.0", "snapshot.1.gz", "snapshot.2.snappy"]), (2, 3, 0));
        assert_eq!(count(&["log.1", "log.1.bak", "snapshot.1.old", "currentEpoch", "log.txt", "logs.1"]), (1, 0, 2));
    }

    #[test]
    fn the_folder_of_another_product_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("meta.properties"), b"").unwrap();
        let error = MemberFiles::find(folder.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("(this looks like Kafka)"), "{error}");
        assert!(matches!(MemberFiles::find("/nowhere/at/all"), Err(DiskError::Missing(_))));
    }

    #[test]
    fn a_folder_one_level_too_high_or_too_low_leads_to_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("zookeeper/data/version-2");
        fs::create_dir_all(&data).unwrap();
        let look = |path: &Path| MemberFiles::find(path.to_str().unwrap());
        assert!(matches!(look(&data), Err(DiskError::Unused(_))));
        for high in [folder.path().to_owned(), folder.path().join("zookeeper")] {
            let error = look(&high).unwrap_err().to_string();
            assert!(error.ends_with("zookeeper/data?"), "{error}");
        }
        // dataDir=…/version-2
        fs::create_dir(data.join("version-2")).unwrap();
        fs::write(data.join("version-2/log.1"), b"").unwrap();
        assert_eq!(look(&folder.path().join("zookeeper/data")).unwrap().logs.len(), 1);
    }

    #[test]
    fn the_logs_after_a_zxid_begin_with_the_one_that_may_hold_it() {
        let file = |zxid| DataFile { path: PathBuf::new(), zxid: Some(Zxid(zxid)) };
        let member = MemberFiles { logs: vec![file(5), file(9), file(12)], ..MemberFiles::default() };
        let first = |zxid| member.logs_after(Zxid(zxid))[0].zxid.unwrap().0;
        assert_eq!([1, 5, 8, 9, 11, 12, 99].map(first), [5, 5, 5, 9, 9, 12, 12]);
    }
}
