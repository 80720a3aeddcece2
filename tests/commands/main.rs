//! `menagerie log`, `snapshot`, `index` and `restore` as users run them, on folders made here and broken on purpose.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use menagerie::model::ids::Zxid;
use serde_json::Value;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Acl, Acls, Create, Digest, Header, Lifetime, LogWriter, SessionId, Txn, encode_acls};
use zookeeper_files::replay::Tree;

mod api_server;
mod cases;
mod cluster;
mod connection;
mod damage;
mod deleted;
mod dirty;
mod epochs;
mod history;
mod index;
mod input;
mod live;
mod options;
mod output;
mod proxy_server;
mod restore;
mod targets;
mod tls_server;

const E1: u64 = 1 << 32;
const E2: u64 = 2 << 32;

/// A member's folder in the making: a tree that goes along with what is logged, as a server's does.
struct World {
    folder: tempfile::TempDir,
    tree: Tree,
    log: Option<(PathBuf, LogWriter<Vec<u8>>)>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("version-2")).unwrap();
        let world = Self { folder, tree: Tree::initial(), log: None };
        world.snapshot();
        world
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("version-2").join(name)
    }

    fn snapshot(&self) {
        let name = format!("snapshot.{}", self.tree.last());
        fs::write(self.file(&name), self.tree.write(Vec::new()).unwrap()).unwrap();
    }

    /// Logs these transactions, the first of them in a file of its own; each creates a znode named after its zxid.
    fn log(&mut self, zxids: impl IntoIterator<Item = u64>) -> &mut Self {
        for zxid in zxids {
            self.append(zxid);
        }
        self.close();
        self
    }

    /// Logs that a znode's data was set, in a file of its own.
    fn set(&mut self, zxid: u64, path: &str, data: &[u8]) -> &mut Self {
        let version = self.tree.get(path.as_bytes()).unwrap().stat().version + 1;
        let path = Text(path.as_bytes());
        self.write(zxid, &Txn::SetData { path, data: Some(data), version, reconfig: false });
        self.close();
        self
    }

    fn append(&mut self, zxid: u64) {
        let (path, acl) = (format!("/n{zxid:x}"), encode_acls(&[Acl::new(31, "world", "anyone")]));
        let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
        let parent_cversion = self.tree.get(b"/").unwrap().stat().cversion + 1;
        let txn = Txn::Create(Create {
            path: Text(path.as_bytes()),
            data: Some(b"some data"),
            acl,
            lifetime: Lifetime::Persistent,
            parent_cversion: Some(parent_cversion),
            with_stat: false,
        });
        self.write(zxid, &txn);
    }

    fn write(&mut self, zxid: u64, txn: &Txn<'_>) {
        let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(zxid), time: time_of(zxid) };
        self.tree.apply(&header, txn).unwrap();
        let name = self.file(&format!("log.{zxid:x}"));
        let (_, log) = self.log.get_or_insert_with(|| (name, LogWriter::new(Vec::new(), 0).unwrap()));
        log.append(header, txn, Some(Digest { version: 2, tree: self.tree.digest() })).unwrap();
    }

    /// Ends the file at hand, as servers leave it: with zeros allocated ahead.
    fn close(&mut self) {
        if let Some((path, log)) = self.log.take() {
            let mut bytes = log.into_inner();
            bytes.resize(bytes.len() + 4096, 0);
            fs::write(&path, bytes).unwrap();
            settle(&path);
        }
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.file(name)).unwrap();
        edit(&mut bytes);
        fs::write(self.file(name), bytes).unwrap();
        settle(&self.file(name));
    }
}

/// As if it had been left alone for an hour: what is written to at this moment is looked at again and again.
fn settle(path: &Path) {
    let hour = std::time::Duration::from_hours(1);
    fs::File::options().append(true).open(path).unwrap().set_modified(std::time::SystemTime::now() - hour).unwrap();
}

/// A second for each transaction, from an hour that is easy to read.
fn time_of(zxid: u64) -> i64 {
    1_700_000_000_000 + i64::try_from(zxid & 0xffff_ffff).unwrap() * 1000
}

/// Where the zeros begin that a server allocates ahead.
fn written(bytes: &[u8]) -> usize {
    bytes.len() - 4096
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menagerie")).args(arguments).output().unwrap()
}

/// Runs it where no file may grow beyond so many KiB, as on a disk that is full then.
fn cramped(kib: u32, arguments: &[&str]) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    Command::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_menagerie")]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The exit code and the lines of JSON.
fn json(arguments: &[&str]) -> (i32, Vec<Value>) {
    let output = run(&[arguments, &["--output", "json"]].concat());
    let lines = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), lines)
}

/// The names of what `log verify` found, and its exit code.
fn findings(paths: &[&str]) -> (i32, Vec<String>) {
    let (code, lines) = json(&[&["log", "verify"], paths].concat());
    (code, lines.iter().filter_map(|line| line["finding"].as_str().map(str::to_owned)).collect())
}

fn readable(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
