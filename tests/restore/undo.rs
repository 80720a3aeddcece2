//! One transaction undone: of each type, and of what others have changed since.

use menagerie::restore::acl::Acl;
use menagerie::restore::operation::Operation;
use menagerie::restore::options::{Existing, Lineage, Options, OptionsError};
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::{PlanFile, PlanFileError};
use menagerie::restore::reason::Reason;
use menagerie::restore::undo::{Left, UndoError, undone};
use menagerie::restore::wanted::Limits;
use zookeeper_files::ids::Zxid;
use zookeeper_files::jute::{Decoder, Text};
use zookeeper_files::log::{Acls, Create, Lifetime, Ops, Paths, Txn, encode_ops, encode_paths};

use crate::server::{Do, Logged, Server, acl_of, closed, encoded, file, undo, whole};

/// `/app` with two below it.
fn server() -> Server {
    Server::new(&[file("/app", "top"), file("/app/a", "a"), file("/app/b", "b")])
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

/// The counter of a queue that somebody has made anew was raised, though the undo leaves it.
#[test]
fn no_counter_of_what_is_left_to_others_is_raised() {
    let mut server = Server::new(&[file("/q", ""), file("/q/a", ""), Do::Delete("/q/a")]);
    let mistake = server.log(&[Do::Delete("/q")]);
    let wanted = mistake.undone().unwrap();
    let options = Options { raise_counters: true, ..mistake.options() };
    let raised = |server: &Server| {
        let planned = plan(&wanted, &server.model().live(&wanted.scope), &options).unwrap();
        planned.operations.iter().filter(|operation| matches!(operation, Operation::Raise { .. })).count()
    };
    assert_eq!(raised(&server), 1);
    server.log(&[file("/q", "theirs")]);
    assert_eq!(raised(&server), 0);
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
        file.plan.hash = menagerie::restore::plan_hash::hash(&file.wanted, &file.options, &file.plan.operations);
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
