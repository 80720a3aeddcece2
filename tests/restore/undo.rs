//! One transaction undone: of each type, of what others have changed since, and what holds for all of them.

use std::collections::BTreeSet;

use menagerie::restore::acl::{Acl, Entry};
use menagerie::restore::moved::moved;
use menagerie::restore::operation::Operation;
use menagerie::restore::options::{Access, Existing, Lineage, Options, OptionsError};
use menagerie::restore::plan::{Plan, plan};
use menagerie::restore::plan_file::{PlanFile, PlanFileError};
use menagerie::restore::reason::{Note, Reason};
use menagerie::restore::undo::{Left, UndoError, undone};
use menagerie::restore::wanted::{Limits, Wanted};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{
    self, Acls, Create, Header, Lifetime, LogItem, LogReader, LogWriter, Ops, Paths, SessionId, Txn, encode_acls,
    encode_ops, encode_paths,
};
use zookeeper_files::path::key;
use zookeeper_files::replay::{Journal, Tree};
use zookeeper_files::snapshot::{OPEN_ACL, Owner};

use crate::applying::{carry_out_with, now};
use crate::model::{Fate, Model, Znode, acl};

/// What a client asks for.
#[derive(Clone, Debug)]
enum Do {
    Create(&'static str, &'static str, Lifetime),
    Delete(&'static str),
    Set(&'static str, &'static str),
    Acl(&'static str, Acl),
    Check(&'static str),
}

fn file(path: &'static str, data: &'static str) -> Do {
    Do::Create(path, data, Lifetime::Persistent)
}

/// A server: it carries requests out and logs them.
#[derive(Clone)]
struct Server {
    tree: Tree,
    zxid: u64,
}

/// A transaction of its log.
#[derive(Clone, Debug)]
struct Logged {
    zxid: Zxid,
    body: Vec<u8>,
    before: Journal,
    was: Model,
    after: Tree,
}

fn header(zxid: u64) -> Header {
    // The model takes the transaction that created a znode for the time as well.
    Header { session: SessionId(0x7001), cxid: 1, zxid: Zxid(zxid), time: i64::try_from(zxid).unwrap() }
}

fn encoded(acl: &Acl) -> Vec<u8> {
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
    fn new(requests: &[Do]) -> Self {
        let mut server = Self { tree: Tree::initial(), zxid: 100 };
        for request in requests {
            server.log(std::slice::from_ref(request));
        }
        server
    }

    /// One request alone, or several as a multi; `None` if it is refused, and then nothing happens.
    fn log_multi(&mut self, requests: &[Do]) -> Option<Logged> {
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

    fn log(&mut self, requests: &[Do]) -> Logged {
        self.log_multi(requests).unwrap_or_else(|| panic!("refused: {requests:?}"))
    }

    fn logged(&mut self, txn: &Txn<'_>) -> Logged {
        self.zxid += 1;
        let header = header(self.zxid);
        let (was, old, body) = (self.model(), self.tree.clone(), body(header, txn));
        let _refused_or_not = self.tree.apply(&header, txn);
        let record = log::Record::decode(0, 0, &body).unwrap();
        let entry = |path: &[u8]| (key(path).into(), old.get(path).cloned());
        let before = record.changes().map(|change| entry(change.path.0)).collect();
        Logged { zxid: header.zxid, before, was, after: self.tree.clone(), body }
    }

    fn model(&self) -> Model {
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
    fn undone(&self) -> Result<Wanted, UndoError> {
        undone(self.zxid, Some(&self.body), &self.before, &self.after, Limits::default())
    }

    fn options(&self) -> Options {
        Options {
            existing: Existing::Undo { of: self.zxid },
            lineage: Lineage::Same,
            access: Access::Super,
            ..Options::default()
        }
    }

    fn plan(&self, is: &Model) -> (Wanted, Plan) {
        let wanted = self.undone().unwrap();
        let planned = plan(&wanted, &is.live(&wanted.scope), &self.options()).unwrap();
        (wanted, planned)
    }
}

/// Plans, carries it out, plans again, which has to plan nothing, and says what was planned and skipped.
fn undo(of: &Logged, is: &Model) -> (Model, Vec<String>, Vec<(String, Reason)>) {
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

fn whole(of: &Logged, is: &Server) -> Vec<String> {
    let (then, told, skipped) = undo(of, &is.model());
    assert_eq!(skipped, []);
    assert_eq!(then.content(), of.was.content());
    told
}

/// `/app` with two below it.
fn server() -> Server {
    Server::new(&[file("/app", "top"), file("/app/a", "a"), file("/app/b", "b")])
}

fn closed() -> Acl {
    acl("digest", "app:hash", 31)
}

#[test]
fn what_a_transaction_created_is_deleted_whatever_kind_it_has() {
    for lifetime in [Lifetime::Persistent, Lifetime::Container, Lifetime::Ttl(60_000)] {
        let mut server = server();
        let mistake = server.log(&[Do::Create("/app/c", "c", lifetime)]);
        assert_eq!(whole(&mistake, &server), ["delete /app/c (version 0)"]);
    }
    // create2 has the same effect as create.
    let mut server = server();
    let list = encoded(&Acl::open());
    let acl = Acls::decode(&mut Decoder::new(&list)).unwrap();
    let (path, parent_cversion) = (Text(b"/app/c"), Some(3));
    let create2 = Create { path, data: None, acl, lifetime: Lifetime::Persistent, parent_cversion, with_stat: true };
    let mistake = server.logged(&Txn::Create(create2));
    assert_eq!(whole(&mistake, &server), ["delete /app/c (version 0)"]);
}

#[test]
fn what_a_transaction_deleted_comes_back_as_it_was() {
    let mut server = server();
    server.log(&[Do::Acl("/app/a", closed())]);
    let mistake = server.log(&[Do::Delete("/app/a")]);
    assert_eq!(whole(&mistake, &server), ["create /app/a"]);
    // A container or a TTL that the leader deleted, too.
    for (lifetime, told) in [
        (Lifetime::Container, "create container /app/c"),
        (Lifetime::Ttl(60_000), "create /app/c with a TTL of 60000 ms"),
    ] {
        server.log(&[Do::Create("/app/c", "c", lifetime)]);
        let expired = server.logged(&Txn::Delete { path: Text(b"/app/c"), container: true });
        assert_eq!(undo(&expired, &server.model()).1, [told]);
    }
}

#[test]
fn data_and_acls_become_what_they_were() {
    let mut server = server();
    let set = server.log(&[Do::Set("/app/a", "wrong")]);
    assert_eq!(whole(&set, &server), ["set /app/a (version 1)"]);
    let acl = server.log(&[Do::Acl("/app/b", closed())]);
    let told = undo(&acl, &server.model());
    assert_eq!((told.1, told.2), (vec!["acl /app/b to world:anyone:cdrwa (aversion 1)".to_owned()], vec![]));
    let root = server.log(&[Do::Set("/", "wrong")]);
    assert_eq!(undo(&root, &server.model()).1, ["set / (version 1)"]);
}

#[test]
fn a_multi_is_undone_whole_and_in_an_order_that_works() {
    let mut server = server();
    let mistake = server.log(&[
        Do::Check("/app"),
        Do::Set("/app", "wrong"),
        Do::Delete("/app/a"),
        Do::Delete("/app/b"),
        file("/app/c", "c"),
        file("/app/c/d", "d"),
        file("/app/gone", ""),
        Do::Delete("/app/gone"),
    ]);
    let told = [
        "delete /app/c/d (version 0)",
        "delete /app/c (version 0)",
        "create /app/a",
        "create /app/b",
        "set /app (version 1)",
    ];
    assert_eq!(whole(&mistake, &server), told);
    let mistake = server.log(&[Do::Delete("/app/c/d"), Do::Delete("/app/c")]);
    assert_eq!(whole(&mistake, &server), ["create /app/c", "create /app/c/d"]);
}

#[test]
fn what_a_multi_made_anew_becomes_as_it_was_unless_it_is_of_another_kind() {
    let mut server = Server::new(&[file("/app", ""), Do::Acl("/app", closed())]);
    let mistake = server.log(&[Do::Delete("/app"), file("/app", "wrong")]);
    // Data that only some may see is set under the narrower ACL.
    assert_eq!(whole(&mistake, &server), ["acl /app to digest:app:hash:cdrwa (aversion 0)", "set /app (version 0)"]);
    // Whoever is killed between the two goes on.
    let (wanted, approved) = mistake.plan(&server.model());
    let mut half = server.model();
    half.carry_out(&approved.operations[..1], &wanted);
    assert_eq!(mistake.plan(&half).1.operations, approved.operations[1..]);
    let mistake = server.log(&[Do::Delete("/app"), Do::Create("/app", "wrong", Lifetime::Container)]);
    let (then, told, skipped) = undo(&mistake, &server.model());
    assert_eq!((told, skipped), (vec![], vec![("/app".to_owned(), Reason::OtherKind)]));
    assert_eq!(then, server.model());
}

#[test]
fn what_cannot_be_undone_is_refused_by_name() {
    let mut server = server();
    let refused = |of: &Logged, words: &str| {
        let error = of.undone().unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with(&format!("{:#} ", of.zxid)), "{error}");
        assert!(!error.contains('\n') && error.len() < 200, "one sentence: {error}");
    };
    refused(&server.logged(&Txn::CreateSession { timeout: 1 }), "createSession");
    server.log(&[Do::Create("/app/lock", "", Lifetime::Ephemeral)]);
    let paths = encode_paths([&b"/app/lock"[..]].into_iter());
    let close = Txn::CloseSession { paths: Some(Paths::decode(&mut Decoder::new(&paths)).unwrap()) };
    refused(&server.logged(&close), "closeSession");
    refused(&server.logged(&Txn::CloseSession { paths: None }), "closeSession");
    let data = Some(&b"server.1=a:1:1;1"[..]);
    let config = Text(b"/zookeeper/config");
    refused(&server.logged(&Txn::SetData { path: config, data, version: 1, reconfig: true }), "reconfig");
    refused(&server.logged(&Txn::Error { code: -101 }), "error -101");
    let parts = encode_ops(&[Txn::Delete { path: Text(b"/app/a"), container: false }, Txn::Error { code: -2 }]);
    let failed = Txn::Multi(Ops::decode(&mut Decoder::new(&parts)).unwrap());
    refused(&server.logged(&failed), "multi of which a part failed");
    refused(&server.log(&[Do::Check("/app"), Do::Check("/app/a")]), "changed no znode");
    refused(&server.log(&[file("/app/x", ""), Do::Delete("/app/x")]), "changed no znode");
    let quota =
        server.log(&[file("/zookeeper/quota/app", ""), file("/zookeeper/quota/app/zookeeper_limits", "count=1")]);
    refused(&quota, "never restored");
    let set = server.log(&[Do::Set("/app", "x")]);
    let of = |body: Option<&[u8]>| undone(set.zxid, body, &set.before, &set.after, Limits::default()).unwrap_err();
    assert_eq!(of(None), UndoError::NoRecord(set.zxid));
    assert!(matches!(of(Some(b"no record")), UndoError::Unreadable { .. }));
}

#[test]
fn a_multi_that_sets_a_quota_as_well_is_undone_but_for_that() {
    let mut server = server();
    let mistake = server.log(&[file("/zookeeper/quota/app", ""), Do::Set("/app", "wrong")]);
    let wanted = mistake.undone().unwrap();
    assert_eq!((wanted.own, wanted.left.len()), (1, 1));
    assert_eq!(undo(&mistake, &server.model()).1, ["set /app (version 1)"]);
}

#[test]
fn what_others_have_changed_since_is_left_as_it_is_and_said() {
    let since = |mistake: &[Do], later: &[Do]| {
        let mut server = server();
        let mistake = server.log(mistake);
        for request in later {
            server.log(std::slice::from_ref(request));
        }
        let (then, told, skipped) = undo(&mistake, &server.model());
        assert_eq!(then.content(), server.model().content(), "{told:?}");
        let [(_, reason)] = &skipped[..] else { panic!("{skipped:?}") };
        *reason
    };
    let set = [Do::Set("/app/a", "wrong")];
    assert_eq!(since(&set, &[Do::Set("/app/a", "theirs")]), Reason::ChangedSince);
    assert_eq!(since(&set, &[Do::Set("/app/a", "theirs"), Do::Set("/app/a", "wrong")]), Reason::ChangedSince);
    assert_eq!(since(&set, &[Do::Acl("/app/a", closed())]), Reason::ChangedSince);
    assert_eq!(since(&set, &[Do::Delete("/app/a")]), Reason::ChangedSince);
    assert_eq!(
        since(&set, &[Do::Delete("/app/a"), file("/app/a", "wrong"), Do::Set("/app/a", "wrong")]),
        Reason::ChangedSince
    );
    let acl = [Do::Acl("/app/a", closed())];
    // The old ACL would show what was written for the new one.
    assert_eq!(since(&acl, &[Do::Set("/app/a", "secret")]), Reason::ChangedSince);
    assert_eq!(since(&acl, &[Do::Set("/app/a", "a")]), Reason::ChangedSince);
    assert_eq!(since(&acl, &[Do::Acl("/app/a", acl_of(1)), Do::Acl("/app/a", closed())]), Reason::ChangedSince);
    let delete = [Do::Delete("/app/a")];
    assert_eq!(since(&delete, &[file("/app/a", "theirs")]), Reason::ChangedSince);
    assert_eq!(since(&delete, &[Do::Create("/app/a", "a", Lifetime::Ephemeral)]), Reason::EphemeralInPlace);
    assert_eq!(since(&delete, &[Do::Delete("/app/b"), Do::Delete("/app")]), Reason::NoParent);
    let create = [file("/app/c", "c")];
    assert_eq!(since(&create, &[Do::Set("/app/c", "c")]), Reason::ChangedSince);
    assert_eq!(since(&create, &[Do::Acl("/app/c", closed())]), Reason::ChangedSince);
    assert_eq!(since(&create, &[file("/app/c/d", "")]), Reason::ExtraWithChildren);
    assert_eq!(since(&create, &[file("/app/c/d", ""), Do::Delete("/app/c/d")]), Reason::ChangedSince);
    assert_eq!(since(&create, &[Do::Delete("/app/c"), file("/app/c", "c")]), Reason::ChangedSince);
    assert_eq!(since(&[Do::Create("/app/c", "", Lifetime::Ephemeral)], &[]), Reason::ExtraEphemeral);
    for words in [Reason::ChangedSince.to_string(), Reason::OtherKind.to_string()] {
        assert!(words.contains("that transaction"), "{words}");
    }
}

fn acl_of(rights: i32) -> Acl {
    vec![Entry { scheme: "world".to_owned(), id: "anyone".to_owned(), rights }].into()
}

#[test]
fn what_others_have_put_right_already_is_equal() {
    for (mistake, later) in [
        (Do::Set("/app/a", "wrong"), Do::Set("/app/a", "a")),
        (Do::Delete("/app/a"), file("/app/a", "a")),
        (file("/app/c", "c"), Do::Delete("/app/c")),
    ] {
        let mut server = server();
        let mistake = server.log(&[mistake]);
        server.log(&[later]);
        let (_, planned) = mistake.plan(&server.model());
        assert_eq!((planned.operations.len(), planned.counts.equal, planned.skipped.len()), (0, 1, 0));
    }
}

#[test]
fn of_a_multi_half_of_which_was_changed_since_the_other_half_is_undone_and_that_is_said() {
    let mut server = server();
    let mistake = server.log(&[Do::Set("/app/a", "wrong"), Do::Set("/app/b", "wrong"), Do::Set("/app", "wrong")]);
    server.log(&[Do::Set("/app/b", "theirs")]);
    let (then, told, skipped) = undo(&mistake, &server.model());
    assert_eq!(told, ["set /app (version 1)", "set /app/a (version 1)"]);
    assert_eq!(skipped, [("/app/b".to_owned(), Reason::ChangedSince)]);
    assert_eq!(then.znodes["/app/b"].data, b"theirs");
    let (_, planned) = mistake.plan(&server.model());
    let words = planned.notes[0].to_string();
    assert_eq!(
        words,
        "only a part of the transaction is undone: of the 3 znodes that it changed, 1 are left as they are"
    );
}

#[test]
fn an_undo_is_only_for_one_history() {
    let mut server = server();
    let mistake = server.log(&[Do::Set("/app/a", "wrong")]);
    let with = |lineage| Options { lineage, ..mistake.options() };
    let wanted = mistake.undone().unwrap();
    let live = server.model().live(&wanted.scope);
    assert_eq!(plan(&wanted, &live, &with(Lineage::Other)), Err(OptionsError::UndoesOther));
    assert_eq!(plan(&wanted, &live, &with(Lineage::Unknown)), Err(OptionsError::UndoesUnknown));
    let extra = Options { delete_extra: true, ..mistake.options() };
    assert_eq!(plan(&wanted, &live, &extra), Err(OptionsError::DeletesWhatIsKept));
    let mut other = live;
    other.znodes.get_mut("/app/a").unwrap().ctime += 1;
    let refused = plan(&wanted, &other, &mistake.options()).unwrap_err();
    assert_eq!(refused, OptionsError::UndoesShownOther { path: "/app/a".to_owned() });
    // One that it created tells as well.
    let mistake = server.log(&[file("/app/c", "")]);
    let wanted = mistake.undone().unwrap();
    let mut other = server.model().live(&wanted.scope);
    other.znodes.get_mut("/app/c").unwrap().ctime += 1;
    let refused = plan(&wanted, &other, &mistake.options()).unwrap_err();
    assert_eq!(refused, OptionsError::UndoesShownOther { path: "/app/c".to_owned() });
}

#[test]
fn a_plan_of_an_undo_that_somebody_changed_is_not_carried_out() {
    let mut server = server();
    let mistake = server.log(&[file("/app/c", ""), Do::Delete("/app/a"), Do::Set("/app/b", "wrong")]);
    let (wanted, planned) = mistake.plan(&server.model());
    let whole = PlanFile::of(wanted, mistake.options(), planned);
    let read = |file: &PlanFile| PlanFile::read(&serde_json::to_vec(file).unwrap(), Limits::default());
    assert_eq!(read(&whole).unwrap(), whole);
    let changed = |change: fn(&mut PlanFile)| {
        let mut file = whole.clone();
        change(&mut file);
        // Whoever changes a plan can hash it anew.
        file.plan.hash = menagerie::restore::plan::hash(&file.wanted, &file.options, &file.plan.operations);
        assert!(matches!(read(&file), Err(PlanFileError::Changed(_))), "{:?}", file.plan.operations);
    };
    changed(|file| file.wanted.left.clear());
    changed(|file| file.options.existing = Existing::Overwrite);
    changed(|file| _ = file.wanted.left.insert("/other".to_owned(), Left::Gone));
    changed(|file| file.plan.operations[0] = delete("/app/a"));
    changed(|file| file.plan.operations[0] = delete("/app/c"));
    let mut other = whole.clone();
    let Some(Left::There(left)) = other.wanted.left.get_mut("/app/b") else { panic!() };
    left.aversion += 1;
    assert!(matches!(read(&other), Err(PlanFileError::Changed(_))), "it is in the hash");
}

fn delete(path: &str) -> Operation {
    Operation::Delete { path: path.to_owned(), version: 0, czxid: Zxid(1), mzxid: Zxid(1) }
}

const PATHS: [&str; 7] = ["/a", "/a/a", "/a/b", "/a/a/a", "/b", "/b/a", "/"];

fn requests() -> impl Strategy<Value = Do> {
    let path = || proptest::sample::select(&PATHS[..]);
    let data = || proptest::sample::select(&["", "x", "y"][..]);
    let lifetime = prop_oneof![
        4 => Just(Lifetime::Persistent),
        1 => Just(Lifetime::Ephemeral),
        1 => Just(Lifetime::Container)
    ];
    let acls = prop_oneof![Just(Acl::open()), Just(closed()), Just(acl_of(1)), Just(acl("sasl", "app", 3))];
    prop_oneof![
        4 => (path(), data(), lifetime).prop_map(|(path, data, lifetime)| Do::Create(path, data, lifetime)),
        3 => path().prop_map(Do::Delete),
        3 => (path(), data()).prop_map(|(path, data)| Do::Set(path, data)),
        1 => (path(), acls).prop_map(|(path, acl)| Do::Acl(path, acl)),
        1 => path().prop_map(Do::Check),
    ]
}

/// A history, one transaction of it that changed something, and what the ensemble is after that and after all.
fn histories(later: usize) -> impl Strategy<Value = (Logged, Model, Model)> {
    let multi = vec(requests(), 1..5);
    (vec(requests(), 5..30), vec(multi, 1..4), vec(requests(), 0..=later)).prop_filter_map(
        "nothing happened",
        |(before, mistakes, later)| {
            let mut server = Server::new(&[]);
            for request in before {
                server.log_multi(&[request]);
            }
            let in_multi = |request: &Do| !matches!(request, Do::Acl(..) | Do::Delete("/") | Do::Create("/", ..));
            let asked = |mistake: &Vec<Do>| {
                let single = mistake.len() == 1 && !matches!(mistake[0], Do::Delete("/") | Do::Create("/", ..));
                single || mistake.iter().all(in_multi)
            };
            let mistake = mistakes.into_iter().filter(asked).find_map(|mistake| server.log_multi(&mistake))?;
            mistake.undone().ok()?;
            let after = server.model();
            for request in later {
                server.log_multi(&[request]);
            }
            Some((mistake, after, server.model()))
        },
    )
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 500, ..Default::default() })]

    #[test]
    fn an_undo_at_once_makes_what_the_transaction_changed_what_it_was_and_touches_nothing_else((of, is, _) in histories(0)) {
        let (then, _, skipped) = undo(&of, &is);
        let left: BTreeSet<&str> = skipped.iter().map(|(path, _)| &**path).collect();
        let wanted = of.undone().unwrap();
        for path in PATHS.iter().filter(|path| wanted.scope.has(path) && !left.contains(**path)) {
            let (now, before) = (then.content(), of.was.content());
            prop_assert_eq!(now.get(path), before.get(path), "{}", path);
        }
        for (_, reason) in &skipped {
            prop_assert!(!matches!(reason, Reason::ChangedSince), "nobody was there");
        }
        let outside = |model: &Model| {
            let all = model.znodes.iter().filter(|(path, _)| !wanted.scope.has(path));
            all.map(|(path, znode)| (path.clone(), Znode { created: 0, ..znode.clone() })).collect::<Vec<_>>()
        };
        prop_assert_eq!(outside(&is), outside(&then));
    }

    #[test]
    fn what_others_have_written_since_is_never_touched((of, after, is) in histories(12)) {
        let (wanted, planned) = of.plan(&is);
        for operation in &planned.operations {
            let path = operation.path();
            prop_assert!(wanted.left.contains_key(path), "{operation}");
            let state = |model: &Model| {
                let znode = model.znodes.get(path);
                znode.map(|znode| (znode.czxid, znode.mzxid, znode.version, znode.aversion, znode.data.clone()))
            };
            // What it made anew may have its data or its ACL back already: nothing tells whether we have set it.
            let half = || {
                let (after, is, was) = (after.znodes.get(path)?, is.znodes.get(path)?, of.was.znodes.get(path)?);
                let (data, acl) = (is.version == after.version, is.aversion == after.aversion);
                let anew = after.czxid == of.zxid.0 && is.czxid == after.czxid;
                Some(anew && (data || is.data == was.data) && (acl || is.acl == was.acl))
            };
            prop_assert!(state(&after) == state(&is) || half() == Some(true), "{operation}");
            prop_assert!(!is.znodes.get(path).is_some_and(|znode| znode.ephemeral), "{operation}");
        }
        let (then, _, _) = undo(&of, &is);
        let touched: BTreeSet<&str> = planned.operations.iter().map(Operation::path).collect();
        for (path, znode) in is.znodes.iter().filter(|(path, _)| !touched.contains(&***path)) {
            prop_assert_eq!((&then.znodes[path].data, &then.znodes[path].acl), (&znode.data, &znode.acl));
        }
    }

    #[test]
    fn an_undo_that_was_killed_anywhere_goes_on_to_the_same_end_and_nobody_is_blamed(
        (of, _, is) in histories(4), part in any::<proptest::sample::Index>()
    ) {
        let (wanted, approved) = of.plan(&is);
        let part = part.index(approved.operations.len() + 1);
        let (mut at_once, mut in_parts) = (is.clone(), is.clone());
        at_once.carry_out(&approved.operations, &wanted);
        in_parts.carry_out(&approved.operations[..part], &wanted);
        let (_, rest) = of.plan(&in_parts);
        prop_assert_eq!(moved(&approved, &rest, &in_parts.live(&wanted.scope), Access::Super), Vec::new());
        in_parts.carry_out(&rest.operations, &wanted);
        prop_assert_eq!(at_once.content(), in_parts.content());
        let file = PlanFile::of(wanted, of.options(), approved);
        let fates = [Fate::AnswerLost, Fate::Lost, Fate::Fine, Fate::AnswerLost];
        let (then, applied) = now(carry_out_with(is, &file, &fates));
        prop_assert!(applied.is_ok(), "{:?}", applied);
        prop_assert_eq!(at_once.content(), then.content());
    }
}
