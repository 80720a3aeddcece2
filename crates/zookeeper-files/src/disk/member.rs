//! The files of one member.

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic::folder_of;
use crate::disk::error::CannotLook;
use crate::ids::Zxid;

/// A log or a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// The zxid in its name; `None` for a single file of another name.
    pub zxid: Option<Zxid>,
}

/// The files of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// As it was named.
    pub name: String,
    /// Its logs, oldest first.
    pub logs: Vec<File>,
    /// Its snapshots, oldest first.
    pub snapshots: Vec<File>,
    /// Files that a server takes for one of its own by their names, like `log.1.bak` or `snapshot.1.tmp`.
    pub strays: Vec<Stray>,
    /// A single file was named, not a folder.
    pub single: bool,
    /// The snapshots beside a single log.
    pub beside: Vec<File>,
    /// The folder with its snapshots, where servers keep their epochs, too.
    pub data: Option<PathBuf>,
    /// The longest record that the servers of these files read, in bytes, where `jute.maxbuffer` or its extrasize
    /// was raised.
    pub max_record: Option<usize>,
}

/// A file that a server takes for one of its own by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Where it is, and what its name says.
    pub file: File,
    /// It is taken for a log, or else for a snapshot.
    pub log: bool,
}

impl Member {
    /// Finds the files of a member: `DATA`, `DATA,LOG` or a single file.
    pub fn look(name: &str) -> Result<Self, CannotLook> {
        let mut member = Self { name: name.to_owned(), ..Self::default() };
        let named = if Path::new(name).exists() { vec![name] } else { name.split(',').collect() };
        for part in named {
            let path = Path::new(part);
            let metadata = fs::metadata(path).map_err(|error| CannotLook::io(path, error))?;
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

    fn single(&mut self, path: &Path) -> Result<(), CannotLook> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = |zxid| File { path: path.to_owned(), zxid };
        self.single = true;
        match kind(&name) {
            Named::Log(zxid) => {
                self.logs.push(file(Some(zxid)));
                self.beside = snapshots_beside(path);
            }
            Named::Snapshot(zxid) => self.snapshots.push(file(Some(zxid))),
            Named::Stray { .. } | Named::Other => match crate::disk::open::magic(path)? {
                Some(magic) if magic == crate::log::MAGIC => self.logs.push(file(None)),
                Some(magic) if magic == crate::snapshot::MAGIC => self.snapshots.push(file(None)),
                _ => {
                    let what = "neither a transaction log (ZKLG) nor a snapshot (ZKSN) of ZooKeeper 3.0 or later";
                    return Err(CannotLook::OtherFile { path: path.to_owned(), what: what.to_owned() });
                }
            },
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> Result<(), CannotLook> {
        let mut folder = path.to_owned();
        // A dataDir that is called version-2 itself has another one in it.
        while folder.join("version-2").is_dir() {
            folder.push("version-2");
        }
        let entries = fs::read_dir(&folder).map_err(|error| CannotLook::io(&folder, error))?;
        let (mut found, mut hint) = (false, "");
        let snapshots = self.snapshots.len();
        for entry in entries {
            let entry = entry.map_err(|error| CannotLook::io(&folder, error))?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            hint = hint_of(&name).unwrap_or(hint);
            if path.is_dir() {
                continue;
            }
            match kind(&name) {
                Named::Log(zxid) => self.logs.push(File { path, zxid: Some(zxid) }),
                Named::Snapshot(zxid) => self.snapshots.push(File { path, zxid: Some(zxid) }),
                Named::Stray { zxid, log } => self.strays.push(Stray { file: File { path, zxid: Some(zxid) }, log }),
                Named::Other => continue,
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
            return Err(CannotLook::Unused(folder));
        }
        let hint = if hint.is_empty() { elsewhere(&folder) } else { hint.to_owned() };
        Err(CannotLook::NotZooKeeper { path: path.to_owned(), hint })
    }

    /// Looks again, if some of its files were purged since.
    pub fn refreshed(&self) -> Result<Option<Self>, CannotLook> {
        if self.logs.iter().chain(&self.snapshots).all(|file| file.path.exists()) {
            return Ok(None);
        }
        Ok(Some(Self { max_record: self.max_record, ..Self::look(&self.name)? }))
    }

    /// The logs that hold what comes after `zxid`: the last one that begins at or before it, and all later ones.
    pub(crate) fn logs_after(&self, zxid: Zxid) -> &[File] {
        let later = self.logs.partition_point(|file| file.zxid <= Some(zxid));
        &self.logs[later.saturating_sub(1)..]
    }
}

/// Where below a folder ZooKeeper's files are instead, one or two levels down.
fn elsewhere(folder: &Path) -> String {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(1000);
        let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let first = below(folder);
    let second: Vec<_> = first.iter().take(100).flat_map(|folder| below(folder)).collect();
    let found = first.into_iter().chain(second).filter(|folder| folder.join("version-2").is_dir());
    let names: Vec<_> = found.take(3).map(|folder| folder.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

fn snapshots_beside(log: &Path) -> Vec<File> {
    let entries = fs::read_dir(folder_of(log)).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| match kind(&entry.file_name().to_string_lossy()) {
        Named::Snapshot(zxid) => Some(File { path: entry.path(), zxid: Some(zxid) }),
        _ => None,
    });
    named.collect()
}

enum Named {
    Log(Zxid),
    Snapshot(Zxid),
    Stray { zxid: Zxid, log: bool },
    Other,
}

/// Servers look at the part behind the first dot and at no more, so that `log.1.bak` is a log to them.
fn kind(name: &str) -> Named {
    let mut parts = name.split('.');
    let (prefix, zxid, rest) = (parts.next(), parts.next(), parts.collect::<Vec<_>>());
    let zxid = zxid.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some(zxid) = zxid.and_then(|text| u64::from_str_radix(text, 16).ok()).map(Zxid) else { return Named::Other };
    match (prefix, &rest[..]) {
        (Some("log"), [] | ["gz"]) => Named::Log(zxid),
        (Some("snapshot"), [] | ["gz" | "snappy"]) => Named::Snapshot(zxid),
        (Some(prefix @ ("log" | "snapshot")), _) => Named::Stray { zxid, log: prefix == "log" },
        _ => Named::Other,
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
            let member = Member::look(folder.path().to_str().unwrap()).unwrap();
            (member.logs.len(), member.snapshots.len(), member.strays.len())
        };
        assert_eq!(count(&["log.1", "log.a0", "snapshot.0", "snapshot.1.gz", "snapshot.2.snappy"]), (2, 3, 0));
        assert_eq!(count(&["log.1", "log.1.bak", "snapshot.1.old", "currentEpoch", "log.txt", "logs.1"]), (1, 0, 2));
    }

    #[test]
    fn the_folder_of_another_product_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("meta.properties"), b"").unwrap();
        let error = Member::look(folder.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("(this looks like Kafka)"), "{error}");
        assert!(matches!(Member::look("/nowhere/at/all"), Err(CannotLook::Missing(_))));
    }

    #[test]
    fn a_folder_one_level_too_high_or_too_low_leads_to_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("zookeeper/data/version-2");
        fs::create_dir_all(&data).unwrap();
        let look = |path: &Path| Member::look(path.to_str().unwrap());
        assert!(matches!(look(&data), Err(CannotLook::Unused(_))));
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
        let file = |zxid| File { path: PathBuf::new(), zxid: Some(Zxid(zxid)) };
        let member = Member { logs: vec![file(5), file(9), file(12)], ..Member::default() };
        let first = |zxid| member.logs_after(Zxid(zxid))[0].zxid.unwrap().0;
        assert_eq!([1, 5, 8, 9, 11, 12, 99].map(first), [5, 5, 5, 9, 9, 12, 12]);
    }
}
