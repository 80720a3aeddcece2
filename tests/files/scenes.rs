//! What real servers left behind, see `dev/files`.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use menagerie::model::ids::Zxid;
use zookeeper_files::log::{LogItem, LogReader, Record};
use zookeeper_files::replay::{Replay, Tree};
use zookeeper_files::snapshot::{Compression, SnapshotReader};

/// What one run of servers left: `3.9.5/ensemble`.
pub struct Scene {
    pub name: String,
    pub folder: PathBuf,
}

/// The files of one server of a scene.
pub struct Member {
    pub name: String,
    pub folder: PathBuf,
}

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("MENAGERIE_FILES") {
    Some(folder) => folder.into(),
    None => unpacked(),
});

/// The fixtures, unpacked once a run; the next run takes the folder away.
fn unpacked() -> PathBuf {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files");
    let _ = fs::remove_dir_all(&folder);
    unpack(&packed, &folder);
    folder
}

/// Unpacks a folder of gzipped files, as old as what nobody writes to.
pub fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in entries(from) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            unpack(&path, &to.join(name));
        } else {
            let mut file = File::create(to.join(name.strip_suffix(".gz").unwrap())).unwrap();
            io::copy(&mut GzDecoder::new(BufReader::new(File::open(&path).unwrap())), &mut file).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// All scenes there are.
pub fn scenes() -> Vec<Scene> {
    let versions = entries(&ROOT);
    let folders: Vec<_> = versions.iter().flat_map(|version| entries(version)).collect();
    assert!(folders.len() >= 11, "only {} scenes in {}", folders.len(), ROOT.display());
    let name = |folder: &Path| format!("{}/{}", name(folder.parent().unwrap()), name(folder));
    folders.into_iter().map(|folder| Scene { name: name(&folder), folder }).collect()
}

impl Scene {
    pub fn members(&self) -> Vec<Member> {
        let folders = entries(&self.folder).into_iter().filter(|folder| folder.join("version-2").is_dir());
        let members = folders.map(|folder| Member { name: format!("{} {}", self.name, name(&folder)), folder });
        let members: Vec<_> = members.collect();
        assert!(!members.is_empty(), "{}: no member", self.name);
        members
    }

    /// What ZooKeeper's own tool printed of a file.
    pub fn printed(&self, file: &Path) -> String {
        let within = file.strip_prefix(&self.folder).unwrap();
        let printed = self.folder.join("tool").join(format!("{}.txt", within.display()));
        fs::read_to_string(&printed).unwrap_or_else(|error| panic!("{}: {error}", printed.display()))
    }
}

impl Member {
    fn files(&self, prefix: &str) -> Vec<(Zxid, PathBuf)> {
        let zxid = |path: &Path| {
            let digits = name(path).strip_prefix(prefix)?.split('.').next()?.to_owned();
            Some((digits.parse().unwrap(), path.to_owned()))
        };
        let mut files: Vec<_> = entries(&self.folder.join("version-2")).iter().filter_map(|path| zxid(path)).collect();
        files.sort();
        files
    }

    pub fn logs(&self) -> Vec<(Zxid, PathBuf)> {
        let logs = self.files("log.");
        assert!(!logs.is_empty(), "{}: no log", self.name);
        logs
    }

    pub fn snapshots(&self) -> Vec<(Zxid, PathBuf)> {
        self.files("snapshot.")
    }

    /// Calls `each` with every record of its logs.
    pub fn each_record(&self, mut each: impl FnMut(&Path, &Record<'_>)) {
        for (_, path) in self.logs() {
            let mut reader = LogReader::new(File::open(&path).unwrap()).unwrap();
            while let Some(item) = reader.next().unwrap() {
                match item {
                    LogItem::Record(record) => each(&path, &record),
                    LogItem::Damage(damage) => panic!("{}: {damage}", path.display()),
                }
            }
        }
    }

    /// A snapshot and all transactions after it; without a snapshot, from the beginning.
    pub fn replayed(&self, snapshot: Option<&(Zxid, PathBuf)>) -> Replay {
        let mut replay = snapshot.map_or_else(
            || Replay::new(Tree::initial()),
            |(zxid, path)| Replay::of_snapshot(&mut open_snapshot(path), *zxid).unwrap(),
        );
        self.each_record(|_, record| {
            replay.apply(record);
        });
        replay
    }
}

/// A snapshot to be read, unpacked on the way.
pub fn open_snapshot(path: &Path) -> SnapshotReader<impl io::Read + use<>> {
    let packed = Compression::by_name(&name(path));
    SnapshotReader::new(packed.unpack(File::open(path).unwrap())).unwrap()
}
