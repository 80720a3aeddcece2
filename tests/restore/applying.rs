//! Carrying out: killed, cut off, and with others who write at the same time.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use menagerie::restore::acl::Acl;
use menagerie::restore::apply::{Applied, ApplyError, ChangedSincePlan, Progress, apply};
use menagerie::restore::limits::QuotaLimits;
use menagerie::restore::moved::Moved;
use menagerie::restore::options::{Access, Existing, Lineage, Options};
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::PlanFile;
use menagerie::restore::quota::{Quota, Seen, Statistics};
use menagerie::restore::reader::{ReadError, read};
use menagerie::restore::scope::{Scope, Top};
use menagerie::restore::wanted::Limits;
use zookeeper_files::ids::Zxid;

use crate::model::{Connection, Fate, Model, NO_SCHEME, Znode, acl, znode};

/// Runs a future.
pub fn now<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work)
}

pub async fn carry_out_with(model: Model, file: &PlanFile, fates: &[Fate]) -> (Model, Result<Applied, ApplyError>) {
    let connection = Connection::to(model);
    connection.fates.borrow_mut().extend(fates);
    let applied = apply(&connection, file, ChangedSincePlan::Fail, Limits::default(), &mut |_| ()).await;
    (connection.model.into_inner(), applied)
}

fn subtree(path: &str) -> Scope {
    Scope::new(vec![Top { path: path.to_owned(), subtree: true }], None).unwrap()
}

fn many() -> Model {
    let mut model = Model::of([("/app", znode("")), ("/other", znode(""))]);
    for n in 0..500 {
        let mut znode = znode(&format!("data {n}"));
        znode.acl = acl("digest", "app:hash", 31);
        model.znodes.insert(format!("/app/{n:03}"), znode);
    }
    model
}

fn planned(was: &Model, is: &Model, existing: Existing) -> PlanFile {
    let scope = subtree("/app");
    let options = Options { existing, lineage: Lineage::Same, ..Options::default() };
    let options = Options { access: is.access, ..options };
    let wanted = was.wanted(&scope);
    let plan = plan(&wanted, &is.live(&scope), &options).unwrap();
    PlanFile::of(wanted, options, plan)
}

pub fn run(connection: &Connection, file: &PlanFile, changed: ChangedSincePlan) -> Result<Applied, ApplyError> {
    now(apply(connection, file, changed, Limits::default(), &mut |_| ()))
}

#[test]
fn one_that_is_killed_anywhere_goes_on_and_a_second_run_changes_nothing() {
    let was = many();
    let mut is = was.clone();
    is.delete_subtree("/app");
    let file = planned(&was, &is, Existing::Keep);
    for kill_at in [1, 2, 63, 64, 65, 300, 501] {
        let connection = Connection::to(is.clone());
        let done = Cell::new(0);
        let mut count = |progress| {
            if let Progress::Done(answered, _) = progress {
                done.set(answered);
            }
        };
        now(async {
            let mut running = pin!(apply(&connection, &file, ChangedSincePlan::Fail, Limits::default(), &mut count));
            std::future::poll_fn(|context| {
                if done.get() >= kill_at || running.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        });
        let there = connection.model.borrow().znodes.len();
        assert!(there > 4 && (kill_at > 300 || there < was.znodes.len()), "killed in the middle: {kill_at} {there}");
        run(&connection, &file, ChangedSincePlan::Fail).unwrap();
        assert_eq!(connection.model.borrow().content(), was.content(), "{kill_at}");
        let before = connection.model.borrow().clone();
        let again = run(&connection, &file, ChangedSincePlan::Fail).unwrap();
        assert_eq!((again.done, again.moved), (0, Vec::new()));
        assert_eq!(*connection.model.borrow(), before);
    }
}

/// Data that differs, under an ACL that becomes wider after it.
fn to_be_opened(names: &[&'static str]) -> (Model, Model) {
    let with = |acl: &Acl, data| Model::of(names.iter().map(|name| (*name, Znode { acl: acl.clone(), ..znode(data) })));
    (with(&Acl::open(), "new"), with(&acl("digest", "a:hash", 31), "old"))
}

#[test]
fn one_that_is_killed_between_data_and_acl_leaves_the_narrower_acl_and_goes_on() {
    let (was, is) = to_be_opened(&["/app"]);
    let file = planned(&was, &is, Existing::Overwrite);
    assert_eq!(file.plan.operations.len(), 2);
    for done in 0..=2 {
        for fate in [Fate::Fine, Fate::Lost, Fate::AnswerLost] {
            let mut model = is.clone();
            model.carry_out(&file.plan.operations[..done], &file.wanted);
            assert!(done == 2 || model.znodes["/app"].acl == is.znodes["/app"].acl);
            let (then, applied) = now(carry_out_with(model, &file, &[fate]));
            let applied = applied.unwrap();
            assert_eq!((applied.moved, then.content()), (Vec::new(), was.content()), "{done} {fate:?}");
        }
    }
    // Another's data between them is another's, and is not opened.
    let mut model = is;
    model.carry_out(&file.plan.operations[..1], &file.wanted);
    let znode = model.znodes.get_mut("/app").unwrap();
    (znode.data, znode.version) = ("theirs".into(), znode.version + 1);
    let (then, stopped) = now(carry_out_with(model.clone(), &file, &[]));
    assert!(matches!(stopped, Err(ApplyError::Moved { .. })), "{stopped:?}");
    assert_eq!(then, model);
}

#[test]
fn what_stops_for_anothers_change_first_gives_znodes_with_their_data_their_acl() {
    let (was, is) = to_be_opened(&["/app", "/app/a", "/app/b", "/app/c"]);
    let file = planned(&was, &is, Existing::Overwrite);
    let theirs = |model: &mut Model| {
        let znode = model.znodes.get_mut("/app/b").unwrap();
        (znode.data, znode.version) = ("theirs".into(), znode.version + 1);
    };
    // Before anything was done nothing is.
    let mut model = is.clone();
    theirs(&mut model);
    model.znodes.get_mut("/app/c").unwrap().data = "new".into();
    let connection = Connection::to(model.clone());
    let approved = planned(&was, &model, Existing::Overwrite);
    theirs(&mut connection.model.borrow_mut());
    let stopped = run(&connection, &approved, ChangedSincePlan::Fail).unwrap_err();
    assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped:?}");
    assert_eq!(connection.requests.get(), 0);
    // /app and one below have their data, /app/b is another's, and one still has the old data.
    let connection = Connection::to(is);
    *connection.meddler.borrow_mut() = Some(Box::new(move |request, model| {
        if request == 3 {
            theirs(model);
        }
    }));
    connection.fates.borrow_mut().extend([Fate::Fine, Fate::Fine, Fate::Fine, Fate::Lost]);
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped:?}");
    let model = connection.model.borrow();
    let data = |wanted: &str| {
        ["/app", "/app/a", "/app/c"]
            .into_iter()
            .filter(|path| model.znodes[*path].data == wanted.as_bytes())
            .collect::<Vec<_>>()
    };
    let open = model.znodes.iter().filter(|(path, znode)| path.starts_with("/app") && znode.acl == Acl::open());
    assert_eq!((data("new").len(), data("old").len()), (2, 1));
    assert_eq!(open.map(|(path, _)| &**path).collect::<Vec<_>>(), data("new"));
    assert_eq!(model.znodes["/app/b"].data, b"theirs");
}

#[test]
fn an_acl_that_the_servers_refuse_keeps_no_other_znode_from_its_own_and_its_own_is_the_narrower_one_that_it_had() {
    let (mut was, is) = to_be_opened(&["/app", "/app/a", "/app/b"]);
    let mut wider = is.znodes["/app/b"].acl.entries().to_vec();
    wider.extend(acl(NO_SCHEME, "somebody", 31).entries().iter().cloned());
    was.znodes.get_mut("/app/b").unwrap().acl = wider.into();
    let file = planned(&was, &is, Existing::Overwrite);
    let connection = Connection::to(is.clone());
    for _ in 0..2 {
        let refused = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
        assert!(refused.to_string().starts_with("failed to acl /app/b to "), "{refused}");
        let model = connection.model.borrow();
        assert_eq!(
            ["/app", "/app/a"].map(|path| model.content()[path]),
            ["/app", "/app/a"].map(|path| was.content()[path])
        );
        assert_eq!(
            (&*model.znodes["/app/b"].data, &model.znodes["/app/b"].acl),
            (&b"new"[..], &is.znodes["/app/b"].acl)
        );
    }
}

#[test]
fn a_parent_that_is_deleted_meanwhile_stops_it_or_is_made_again() {
    for changed in [ChangedSincePlan::Fail, ChangedSincePlan::Replan] {
        let was = many();
        let mut is = was.clone();
        is.znodes.retain(|path, _| !path.starts_with("/app/"));
        let file = planned(&was, &is, Existing::Keep);
        let connection = Connection::to(is);
        *connection.meddler.borrow_mut() = Some(Box::new(|request, model| {
            if request == 100 {
                model.delete_subtree("/app");
            }
        }));
        match (changed, run(&connection, &file, changed)) {
            (ChangedSincePlan::Fail, Err(error @ ApplyError::Moved { .. })) => {
                assert!(error.to_string().contains("would now create /app"), "{error}");
                assert!(!connection.model.borrow().znodes.contains_key("/app"));
            }
            (ChangedSincePlan::Replan, Ok(applied)) => {
                assert!(applied.moved.iter().any(|moved| matches!(moved, Moved::New(op) if op.path() == "/app")));
                // What this run had made before went with it, and stays away.
                assert_eq!(applied.gone.len(), 99);
                let mut left = was.clone();
                left.znodes.retain(|path, _| !applied.gone.contains(path));
                assert_eq!(connection.model.borrow().content(), left.content());
            }
            (_, other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_client_takes_from_a_queue_is_not_created_twice_by_one_run() {
    let was = many();
    let mut is = was.clone();
    is.znodes.retain(|path, _| !path.starts_with("/app/"));
    let mut was = was;
    was.znodes.insert("/app/000/below".to_owned(), znode(""));
    let file = planned(&was, &is, Existing::Keep);
    let connection = Connection::to(is.clone());
    // A consumer is quick, an answer is lost, and so there is another round.
    let taken = Rc::new(RefCell::new(Vec::new()));
    let take = Rc::clone(&taken);
    *connection.meddler.borrow_mut() = Some(Box::new(move |request, model| {
        if request == 100 {
            take.borrow_mut().extend(model.znodes.keys().filter(|path| path.starts_with("/app/0")).cloned());
            model.znodes.retain(|path, _| !take.borrow().contains(path));
        }
    }));
    connection.fates.borrow_mut().extend([Fate::Fine; 200]);
    connection.fates.borrow_mut().push_back(Fate::Lost);
    let applied = run(&connection, &file, ChangedSincePlan::Fail).unwrap();
    assert_eq!((&applied.gone, applied.moved), (&*taken.borrow(), Vec::new()));
    assert!(applied.gone.contains(&"/app/000".to_owned()) && applied.gone.len() > 50);
    // Nor is what would be below one of them.
    let mut left = was.clone();
    left.znodes.retain(|path, _| !applied.gone.contains(path) && path != "/app/000/below");
    assert_eq!(connection.model.borrow().content(), left.content());
}

#[test]
fn what_others_write_beside_it_is_no_reason_to_stop_and_stays() {
    let was = many();
    let mut is = was.clone();
    is.delete_subtree("/app/1");
    is.znodes.retain(|path, _| !path.starts_with("/app/1"));
    let file = planned(&was, &is, Existing::Overwrite);
    let connection = Connection::to(is);
    *connection.meddler.borrow_mut() = Some(Box::new(|request, model| {
        model.znodes.insert(format!("/app/new-{request}"), znode("theirs"));
        model.znodes.insert(format!("/other/{request}"), znode("theirs"));
    }));
    let applied = run(&connection, &file, ChangedSincePlan::Fail).unwrap();
    assert_eq!((applied.done, connection.requests.get()), (100, 100));
    let model = connection.model.borrow();
    assert!(was.content().iter().all(|(path, znode)| model.content().get(path) == Some(znode)));
    assert_eq!(model.znodes.values().filter(|znode| znode.data == b"theirs").count(), 200);
}

#[test]
fn a_znode_that_others_set_first_is_never_overwritten_unread() {
    let was = many();
    let mut is = was.clone();
    is.znodes.get_mut("/app/007").unwrap().data = "broken".into();
    let file = planned(&was, &is, Existing::Overwrite);
    let meddle = |model: &mut Model| {
        let znode = model.znodes.get_mut("/app/007").unwrap();
        (znode.data, znode.version) = ("mended".into(), znode.version + 1);
    };
    let connection = Connection::to(is.clone());
    *connection.meddler.borrow_mut() = Some(Box::new(move |_, model| meddle(model)));
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped}");
    assert_eq!(connection.model.borrow().znodes["/app/007"].data, b"mended");
    // One that does not rest is said, and not fought for ever.
    let connection = Connection::to(is);
    *connection.meddler.borrow_mut() = Some(Box::new(move |_, model| meddle(model)));
    let stopped = run(&connection, &file, ChangedSincePlan::Replan).unwrap_err();
    assert!(matches!(stopped, ApplyError::Unsettled { left: 1, .. }), "{stopped}");
    assert!(connection.requests.get() < 20);
}

#[test]
fn an_ensemble_that_does_not_answer_is_given_up_with_the_number_of_changes_left() {
    let was = many();
    let mut is = was.clone();
    is.delete_subtree("/app/007");
    let file = planned(&was, &is, Existing::Keep);
    let (_, applied) = now(carry_out_with(is, &file, &[Fate::Lost; 100]));
    assert!(applied.unwrap_err().to_string().contains("1 changes left: /app/007: connection lost"));
}

#[test]
fn counters_that_were_too_much_for_one_plan_are_not_raised_by_it_later_and_nobody_is_blamed() {
    let far = |created| Znode { created, ..znode("") };
    let was = Model::of([("/app", far(2)), ("/app/a", far(60_000)), ("/app/b", far(60_000))]);
    let mut is = was.clone();
    for path in ["/app/a", "/app/b"] {
        is.znodes.get_mut(path).unwrap().created = 0;
    }
    let (scope, wanted) = (subtree("/app"), was.wanted(&subtree("/app")));
    let options = Options { raise_counters: true, ..Options::default() };
    let approved = plan(&wanted, &is.live(&scope), &options).unwrap();
    assert_eq!((approved.counts.raise, approved.counts.counters), (1, 1));
    let file = PlanFile::of(wanted, options, approved);
    for fates in [&[Fate::Fine][..], &[Fate::Lost], &[Fate::AnswerLost]] {
        let (then, applied) = now(carry_out_with(is.clone(), &file, fates));
        assert_eq!(applied.unwrap().moved, Vec::new());
        assert_eq!(["/app/a", "/app/b"].map(|path| then.znodes[path].created), [60_000, 0]);
        // A plan that is made after it goes on.
        assert_eq!(plan(&file.wanted, &then.live(&scope), &options).unwrap().counts.raise, 1);
    }
}

#[test]
fn quotas_are_read_wherever_they_are() {
    let limits = |bytes: &str| znode(&format!("count=-1,bytes=-1=;byteHardLimit={bytes};countHardLimit=9"));
    let model = Model::of([
        ("/app", znode("")),
        ("/zookeeper/quota/app", znode("")),
        ("/zookeeper/quota/app/zookeeper_limits", limits("7")),
        ("/zookeeper/quota/app/zookeeper_stats", znode("count=2,bytes=5")),
        ("/zookeeper/quota/app/deep", znode("")),
        ("/zookeeper/quota/app/deep/zookeeper_limits", limits("-1")),
    ]);
    let read = now(read(&Connection::to(model), &subtree("/app"), Limits::default(), &mut |_| ())).unwrap();
    let seen = Seen { version: 0, czxid: Zxid(1), mzxid: Zxid(1) };
    let limits = |hard_bytes| Some(QuotaLimits { hard_znodes: Some(9), hard_bytes, ..QuotaLimits::default() });
    let counted = Statistics::Counted;
    let app = Quota {
        most_znodes: Some(9),
        most_bytes: Some(7),
        znodes: 2,
        bytes: 5,
        statistics: counted,
        odd: false,
        limits: limits(Some(7)),
        seen,
    };
    let missing = Statistics::Missing;
    let deep = Quota { most_znodes: Some(9), limits: limits(None), statistics: missing, seen, ..Quota::default() };
    assert_eq!(read.quotas, Some([("/app".to_owned(), app), ("/app/deep".to_owned(), deep)].into()));
}

#[test]
fn more_than_is_bearable_is_refused_in_words() {
    let scope = subtree("/app");
    let connection = Connection::to(many());
    let few = Limits { znodes: 100, bytes: 1 << 20 };
    let refused = now(read(&connection, &scope, few, &mut |_| ())).unwrap_err();
    assert_eq!(refused, ReadError::TooMany(100));
    // An ACL counts, and once however many have it.
    let long: Acl = (0..200)
        .flat_map(|n| acl("digest", &format!("user-{n}:hash"), 31).entries().to_vec())
        .collect::<Vec<_>>()
        .into();
    let mut model =
        Model::of([("/app", Znode { acl: long.clone(), ..znode("") }), ("/app/1", Znode { acl: long, ..znode("") })]);
    let within = Limits { znodes: 10, bytes: 20_000 };
    assert!(now(read(&Connection::to(model.clone()), &scope, within, &mut |_| ())).is_ok());
    model.znodes.get_mut("/app").unwrap().acl = (0..200)
        .flat_map(|n| acl("digest", &format!("other-{n}:hash"), 31).entries().to_vec())
        .collect::<Vec<_>>()
        .into();
    let refused = now(read(&Connection::to(model), &scope, within, &mut |_| ())).unwrap_err();
    assert_eq!(refused, ReadError::TooLarge(20_000));
    // A plan that nobody could read is not written.
    let file = planned(&many(), &Model::of([]), Existing::Keep);
    let mut written = Vec::new();
    file.write(&mut written, 10_000_000).unwrap();
    assert_eq!(PlanFile::read(&written, Limits::default()).unwrap(), file);
    let refused = file.write(&mut Vec::new(), written.len() as u64 - 1).unwrap_err();
    assert!(refused.to_string().contains("longer than any that is read"), "{refused}");
    let small = Limits { znodes: 1000, bytes: 1000 };
    let refused = now(read(&connection, &scope, small, &mut |_| ())).unwrap_err();
    assert_eq!(refused, ReadError::TooLarge(1000));
}

#[test]
fn an_acl_that_shuts_us_out_waits_until_all_before_it_is_done() {
    let mut was = Model::of([("/app", znode("new"))]);
    was.znodes.get_mut("/app").unwrap().acl = acl("world", "anyone", 1);
    let is = Model { access: Access::Anyone, ..Model::of([("/app", znode("old"))]) };
    let file = planned(&was, &is, Existing::Overwrite);
    let connection = Connection::to(is);
    // Somebody sets it just before us, once.
    *connection.meddler.borrow_mut() = Some(Box::new(|request, model| {
        if request == 1 {
            model.znodes.get_mut("/app").unwrap().version += 1;
        }
    }));
    run(&connection, &file, ChangedSincePlan::Replan).unwrap();
    assert_eq!(connection.model.borrow().content()["/app"], was.content()["/app"]);
}

#[test]
fn what_somebody_else_has_created_in_its_place_is_no_work_of_ours() {
    let was = many();
    let mut is = was.clone();
    is.znodes.remove("/app/007");
    let file = planned(&was, &is, Existing::Keep);
    is.znodes.insert("/app/007".to_owned(), znode("theirs"));
    let connection = Connection::to(is);
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(stopped.to_string().contains("would no longer create /app/007"), "{stopped}");
    assert_eq!(connection.requests.get(), 0);
}

/// Deletes a znode and creates it again, with other data: its versions are what they were.
fn make_again(model: &mut Model, path: &str, data: &str) {
    model.zxid += 1;
    let (czxid, mzxid) = (model.zxid, model.zxid);
    model.znodes.insert(path.to_owned(), Znode { czxid, mzxid, ..znode(data) });
}

fn approved_to_delete_extra(was: &Model, is: &Model) -> PlanFile {
    let PlanFile { wanted, options, .. } = planned(was, is, Existing::Overwrite);
    let options = Options { delete_extra: true, ..options };
    let plan = plan(&wanted, &is.live(&wanted.scope), &options).unwrap();
    PlanFile::of(wanted, options, plan)
}

#[test]
fn a_znode_that_was_deleted_and_created_again_since_the_plan_is_not_the_one_that_was_approved() {
    let closed = Znode { acl: acl("digest", "app:hash", 31), ..znode("same") };
    let was = Model::of([("/app", znode("")), ("/app/acl", closed), ("/app/set", znode("right"))]);
    let is = Model::of([
        ("/app", znode("")),
        ("/app/acl", znode("same")),
        ("/app/set", znode("wrong")),
        ("/app/extra", znode("extra")),
    ]);
    let file = approved_to_delete_extra(&was, &is);
    assert_eq!(file.plan.operations.len(), 3);
    for (path, data) in [("/app/acl", "same"), ("/app/set", "wrong"), ("/app/extra", "extra")] {
        let mut then = is.clone();
        make_again(&mut then, path, data);
        let connection = Connection::to(then.clone());
        let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
        assert!(matches!(stopped, ApplyError::Moved { .. }), "{path}: {stopped}");
        assert!(stopped.to_string().contains("created by 0x3e9"), "{stopped}");
        assert_eq!(*connection.model.borrow(), then, "{path}: nothing is done about it");
    }
}

#[test]
fn a_znode_that_is_created_again_after_one_run_deleted_it_is_not_deleted_by_the_next() {
    let was = Model::of([("/app", znode(""))]);
    let is = Model::of([("/app", znode("")), ("/app/extra", znode("extra"))]);
    let file = approved_to_delete_extra(&was, &is);
    let connection = Connection::to(is);
    assert_eq!(run(&connection, &file, ChangedSincePlan::Fail).unwrap().done, 1);
    make_again(&mut connection.model.borrow_mut(), "/app/extra", "extra");
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(stopped.to_string().contains("would now delete /app/extra (version 0), created by"), "{stopped}");
    assert!(connection.model.borrow().znodes.contains_key("/app/extra"));
}

#[test]
fn a_znode_that_is_created_again_after_one_run_set_it_is_not_overwritten_by_the_next() {
    let was = Model::of([("/app", znode("right"))]);
    let is = Model::of([("/app", znode("wrong"))]);
    let file = planned(&was, &is, Existing::Overwrite);
    let connection = Connection::to(is);
    assert_eq!(run(&connection, &file, ChangedSincePlan::Fail).unwrap().done, 1);
    make_again(&mut connection.model.borrow_mut(), "/app", "theirs");
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped}");
    assert_eq!(connection.model.borrow().znodes["/app"].data, b"theirs");
}
