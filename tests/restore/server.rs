//! A server that carries requests out and logs them: where transactions come from that are undone.

use menagerie::restore::acl::{Acl, Entry};
use menagerie::restore::options::{Access, Existing, Lineage, Options};
use menagerie::restore::plan::{Plan, plan};
use menagerie::restore::reason::{Note, Reason};
use menagerie::restore::undo::{UndoError, undone};
use menagerie::restore::wanted::{Limits, Wanted};
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{
    self, Acls, Create, Header, Lifetime, LogItem, LogReader, LogWriter, Ops, SessionId, Txn, encode_acls, encode_ops,
};
use zookeeper_files::path::key;
use zookeeper_files::replay::{Journal, Tree};
use zookeeper_files::snapshot::{OPEN_ACL, Owner};

use crate::model::{Model, Znode, acl};

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Do {
    Create(&'static str, &'static str, Lifetime),
    Delete(&'static str),
    Set(&'static str, &'static str),
    Acl(&'static str, Acl),
    Check(&'static str),
}

pub fn file(path: &'static str, data: &'static str) -> Do {
    Do::Create(path, data, Lifetime::Persistent)
}

/// A server: it carries requests out and logs them.
#[derive(Clone)]
pub struct Server {
    tree: Tree,
    zxid: u64,
}

/// A transaction of its log.
#[derive(Clone, Debug)]
pub struct Logged {
    pub zxid: Zxid,
    body: Vec<u8>,
    pub before: Journal,
    pub was: Model,
    pub after: Tree,
}

fn header(zxid: u64) -> Header {
    // The model takes the transaction that created a znode for the time as well.
    Header { session: SessionId(0x7001), cxid: 1, zxid: Zxid(zxid), time: i64::try_from(zxid).unwrap() }
}

pub fn encoded(acl: &Acl) -> Vec<u8> {
    let entries: Vec<_> =
        acl.entries().iter().map(|entry| log::Acl::new(entry.rights, &entry.scheme, &entry.id)).collect();
    encode_acls(&entries)
}

/// The bytes of a record, as a log has them.
fn body(header: Header, txn: &Txn<'_>) -> Vec<u8> {
    let mut log = LogWriter::new(Vec::new(), 0).unwrap();
    log.append(header, txn, None).unwrap();
    let bytes = log.into_inner();
    let mut reader = LogReader::new(&bytes[..]).unwrap();
    let Some(LogItem::Record(record)) = reader.next().unwrap() else { panic!("no record") };
    record.body.to_vec()
}

impl Server {
    pub fn new(requests: &[Do]) -> Self {
        let mut server = Self { tree: Tree::initial(), zxid: 100 };
        for request in requests {
            server.log(std::slice::from_ref(request));
        }
        server
    }

    /// One request alone, or several as a multi; `None` if it is refused, and then nothing happens.
    pub fn log_multi(&mut self, requests: &[Do]) -> Option<Logged> {
        let mut scratch = self.tree.clone();
        let zxid = self.zxid + 1;
        let list = |request: &Do| encoded(&if let Do::Acl(_, acl) = request { acl.clone() } else { Acl::open() });
        let lists: Vec<Vec<u8>> = requests.iter().map(list).collect();
        let mut parts = Vec::new();
        for (request, list) in requests.iter().zip(&lists) {
            let acl = Acls::decode(&mut Decoder::new(list)).unwrap();
            let stat = |path: &str| scratch.get(path.as_bytes()).map(|node| *node.stat());
            let empty = |path: &str| !scratch.walk(path.as_bytes()).iter().any(|(below, _)| below.len() > path.len());
            let txn = match request {
                Do::Create(path, data, lifetime) => {
                    let above = stat(path.rsplit_once('/').map(|(above, _)| above).unwrap())?;
                    if stat(path).is_some() || matches!(above.owner(), Owner::Session(_)) {
                        return None;
                    }
                    let (path, data) = (Text(path.as_bytes()), Some(data.as_bytes()));
                    let parent_cversion = Some(above.cversion + 1);
                    Txn::Create(Create { path, data, acl, lifetime: *lifetime, parent_cversion, with_stat: false })
                }
                Do::Delete(path) => {
                    stat(path).filter(|_| empty(path))?;
                    Txn::Delete { path: Text(path.as_bytes()), container: false }
                }
                Do::Set(path, data) => {
                    let (path, data, version) = (Text(path.as_bytes()), Some(data.as_bytes()), stat(path)?.version + 1);
                    Txn::SetData { path, data, version, reconfig: false }
                }
                Do::Acl(path, _) => Txn::SetAcl { path: Text(path.as_bytes()), acl, version: stat(path)?.aversion + 1 },
                Do::Check(path) => Txn::Check { path: Text(path.as_bytes()), version: stat(path)?.version + 1 },
            };
            scratch.apply(&header(zxid), &txn).unwrap();
            parts.push(txn);
        }
        let ops = encode_ops(&parts);
        let multi = || Txn::Multi(Ops::decode(&mut Decoder::new(&ops)).unwrap());
        // A check alone is never logged.
        let txn = match &parts[..] {
            [one] if !matches!(one, Txn::Check { .. }) => *one,
            _ => multi(),
        };
        Some(self.logged(&txn))
    }

    pub fn log(&mut self, requests: &[Do]) -> Logged {
        self.log_multi(requests).unwrap_or_else(|| panic!("refused: {requests:?}"))
    }

    pub fn logged(&mut self, txn: &Txn<'_>) -> Logged {
        self.zxid += 1;
        let header = header(self.zxid);
        let (was, old, body) = (self.model(), self.tree.clone(), body(header, txn));
        let _refused_or_not = self.tree.apply(&header, txn);
        let record = log::Record::decode(0, 0, &body).unwrap();
        let entry = |path: &[u8]| (key(path).into(), old.get(path).cloned());
        let before = record.changes().map(|change| entry(change.path.0)).collect();
        Logged { zxid: header.zxid, before, was, after: self.tree.clone(), body }
    }

    pub fn model(&self) -> Model {
        let list = |number: i64| match number {
            OPEN_ACL => Acl::open(),
            number => Acl::of(self.tree.acls().get(number).unwrap()).unwrap(),
        };
        let znodes = self.tree.walk(b"").into_iter().map(|(path, node)| {
            let stat = node.stat();
            let path = if path.is_empty() { "/" } else { std::str::from_utf8(path).unwrap() };
            let znode = Znode {
                data: node.data().unwrap_or_default().to_vec(),
                acl: list(node.acl()),
                ephemeral: matches!(stat.owner(), Owner::Session(_)),
                version: stat.version,
                aversion: stat.aversion,
                czxid: stat.czxid.0,
                mzxid: stat.mzxid.0,
                created: stat.cversion.into(),
            };
            (path.to_owned(), znode)
        });
        Model { znodes: znodes.collect(), zxid: self.zxid, ..Model::of([]) }
    }
}

impl Logged {
    pub fn undone(&self) -> Result<Wanted, UndoError> {
        undone(self.zxid, Some(&self.body), &self.before, &self.after, Limits::default())
    }

    pub fn options(&self) -> Options {
        Options {
            existing: Existing::Undo { of: self.zxid },
            lineage: Lineage::Same,
            access: Access::Super,
            ..Options::default()
        }
    }

    pub fn plan(&self, is: &Model) -> (Wanted, Plan) {
        let wanted = self.undone().unwrap();
        let planned = plan(&wanted, &is.live(&wanted.scope), &self.options()).unwrap();
        (wanted, planned)
    }
}

/// Plans, carries it out, plans again, which has to plan nothing, and says what was planned and skipped.
pub fn undo(of: &Logged, is: &Model) -> (Model, Vec<String>, Vec<(String, Reason)>) {
    let (wanted, planned) = of.plan(is);
    let mut then = is.clone();
    then.carry_out(&planned.operations, &wanted);
    let (_, again) = of.plan(&then);
    assert_eq!(again.operations, Vec::new(), "undone twice");
    let left = planned.skipped.len();
    let part = planned.notes.contains(&Note::Part { left, of: wanted.left.len() });
    assert_eq!(part, left > 0);
    let skipped = planned.skipped.iter().map(|skipped| (skipped.path.clone(), skipped.reason)).collect();
    (then, planned.operations.iter().map(ToString::to_string).collect(), skipped)
}

pub fn whole(of: &Logged, is: &Server) -> Vec<String> {
    let (then, told, skipped) = undo(of, &is.model());
    assert_eq!(skipped, []);
    assert_eq!(then.content(), of.was.content());
    told
}

pub fn closed() -> Acl {
    acl("digest", "app:hash", 31)
}

pub fn acl_of(rights: i32) -> Acl {
    vec![Entry { scheme: "world".to_owned(), id: "anyone".to_owned(), rights }].into()
}
