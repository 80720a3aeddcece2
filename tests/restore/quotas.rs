//! Quotas that come back, and those that do not, with the reason.

use menagerie::restore::acl::Acl;
use menagerie::restore::apply::{ApplyError, ChangedSincePlan};
use menagerie::restore::hash::Digest;
use menagerie::restore::limits::QuotaLimits;
use menagerie::restore::live::Live;
use menagerie::restore::operation::{Kind, Operation};
use menagerie::restore::options::{Access, Existing, Lineage, Options, OptionsError};
use menagerie::restore::plan::{Plan, plan};
use menagerie::restore::plan_file::{PlanFile, PlanFileError};
use menagerie::restore::plan_hash::hash;
use menagerie::restore::reason::{Note, Reason};
use menagerie::restore::scope::{Scope, Top};
use menagerie::restore::wanted::{Limits, Wanted};
use zookeeper_files::ids::Zxid;
use zookeeper_files::log::Lifetime;

use crate::applying::run;
use crate::model::{Connection, Model, NO_SCHEME, Znode, acl, znode};
use crate::server::{Do, Server, file};

pub const TEN: &str = "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=10";
pub const FIVE: &str = "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=5";

pub fn to(path: &str, to: Option<&str>) -> Scope {
    Scope::new(vec![Top { path: path.to_owned(), subtree: true }], to.map(str::to_owned)).unwrap()
}

pub fn with(existing: Existing) -> Options {
    Options { existing, quotas: true, lineage: Lineage::Same, access: Access::Super, ..Options::default() }
}

pub fn in_scope(scope: &Scope, was: &Model, is: &Model, options: &Options) -> Plan {
    plan(&was.wanted(scope), &is.live(scope), options).unwrap()
}

/// What is done about `/app`, and what is skipped.
pub fn told(was: &Model, is: &Model, existing: Existing) -> (Vec<String>, Vec<(String, Reason)>) {
    both(&in_scope(&to("/app", None), was, is, &with(existing)))
}

pub fn both(plan: &Plan) -> (Vec<String>, Vec<(String, Reason)>) {
    let skipped = plan.skipped.iter().map(|skipped| (skipped.path.clone(), skipped.reason));
    (plan.operations.iter().map(ToString::to_string).collect(), skipped.collect())
}

pub fn limited(of: &str, limits: &str) -> Model {
    let mut model = Model::of([("/app", znode("")), ("/app/a", znode("a"))]);
    model.limit(of, limits);
    model
}

pub fn skipped(of: &str, reason: Reason) -> (Vec<String>, Vec<(String, Reason)>) {
    (vec![], vec![(format!("/zookeeper/quota{of}"), reason)])
}

#[test]
fn a_quota_that_is_gone_comes_back_after_all_else_and_once() {
    let mut was = limited("/app", TEN);
    was.znodes.get_mut("/app/a").unwrap().acl = acl("world", "anyone", 1);
    let (scope, mut is) = (to("/app", None), Model::of([]));
    let planned = in_scope(&scope, &was, &is, &with(Existing::Keep));
    let expected = ["create /app", "create /app/a", "create the quota of /app: 10 znodes"];
    assert_eq!((both(&planned), planned.counts.set_quota), ((expected.map(str::to_owned).into(), vec![]), 1));
    is.carry_out(&planned.operations, &was.wanted(&scope));
    assert_eq!(is.limits("/app"), Some(TEN.as_bytes()));
    assert_eq!(told(&was, &is, Existing::Overwrite), (vec![], vec![]));
    // After the last ACLs, too.
    let is = Model::of([("/app", znode("")), ("/app/a", Znode { acl: acl("digest", "a:h", 31), ..znode("") })]);
    let (operations, _) = told(&was, &is, Existing::Overwrite);
    assert_eq!(operations.last().unwrap(), "create the quota of /app: 10 znodes");
}

#[test]
fn without_being_asked_for_what_differs_is_told_and_changes_neither_the_plan_nor_its_hash() {
    let (was, scope) = (limited("/app", TEN), to("/app", None));
    let options = Options { quotas: false, ..with(Existing::Overwrite) };
    let plain = in_scope(&scope, &was, &was, &options);
    assert_eq!((plain.operations, plain.notes), (vec![], vec![]));
    for (is, now) in [
        (Model::of([("/app", znode("")), ("/app/a", znode("a"))]), "there is none now"),
        (limited("/app", FIVE), "is 5 znodes now"),
    ] {
        let planned = in_scope(&scope, &was, &is, &options);
        assert_eq!((planned.operations.len(), planned.hash), (0, plain.hash));
        let note = planned.notes[0].to_string();
        assert_eq!(planned.notes.len(), 1);
        assert!(note.starts_with("/app: its quota was 10 znodes") && note.contains(now), "{note}");
    }
    // Nor of the root, which never has one, of a znode that is not there, or of limits that nobody could have read.
    let mut gone = Model::of([("/app", znode(""))]);
    gone.limit("/app/gone", TEN);
    gone.limit("/app", "x");
    let notes = in_scope(&scope, &gone, &Model::of([("/app", znode(""))]), &options).notes;
    assert_eq!(notes, Vec::<Note>::new());
    gone.limit("/", TEN);
    assert_eq!(in_scope(&to("/", None), &gone, &Model::of([("/app", znode(""))]), &options).notes, Vec::<Note>::new());
}

#[test]
fn a_quota_that_is_there_and_differs_is_kept_or_set_as_znodes_are() {
    let (was, mut is) = (limited("/app", TEN), limited("/app", FIVE));
    let limits = is.znodes.get_mut("/zookeeper/quota/app/zookeeper_limits").unwrap();
    (limits.version, limits.mzxid) = (3, 40);
    let set = || (vec!["set the quota of /app from 5 znodes to 10 znodes (version 3)".to_owned()], vec![]);
    let newer = |than| Existing::KeepNewer { than: Zxid(than) };
    assert_eq!(told(&was, &is, Existing::Keep), skipped("/app", Reason::Kept));
    assert_eq!(told(&was, &is, newer(39)), skipped("/app", Reason::Newer));
    assert_eq!(told(&was, &is, newer(40)), set());
    assert_eq!(told(&was, &is, Existing::Overwrite), set());
    // Limits that are written in another way are the same.
    is.limit("/app", "countHardLimit=10,,count=-7");
    assert_eq!(told(&was, &is, Existing::Overwrite), (vec![], vec![]));
    // What no server can read is another one, and to keep it is no small thing.
    is.limit("/app", "x");
    assert_eq!(told(&was, &is, Existing::Keep), skipped("/app", Reason::KeptUnreadable));
    let (operations, _) = told(&was, &is, Existing::Overwrite);
    assert_eq!(operations, ["set the quota of /app from what no server can read to 10 znodes (version 0)"]);
    // One that came later stays, also where znodes that did are deleted.
    let options = Options { delete_extra: true, ..with(Existing::Overwrite) };
    let before = Model::of([("/app", znode("")), ("/app/a", znode("a"))]);
    assert_eq!(in_scope(&to("/app", None), &before, &was, &options).operations, []);
}

#[test]
fn what_no_server_can_read_is_never_written() {
    for broken in ["x", "count=1,x", "count=", "countHardLimit=ten"] {
        let is = limited("/other", FIVE);
        assert_eq!(told(&limited("/app", broken), &is, Existing::Overwrite), skipped("/app", Reason::UnreadableQuota));
    }
    // Nor what they do not know: the text is ours.
    let was = limited("/app", "count=-1,bytes=-1=;countHardLimit=10;tenant=7,,");
    let mut is = limited("/other", FIVE);
    let planned = in_scope(&to("/app", None), &was, &is, &with(Existing::Keep));
    is.carry_out(&planned.operations, &was.wanted(&to("/app", None)));
    assert_eq!(is.limits("/app"), Some(TEN.as_bytes()));
}

#[test]
fn no_quota_is_made_above_or_below_another_one() {
    let nested = |of| skipped(of, Reason::NestedQuota);
    assert_eq!(told(&limited("/app", TEN), &limited("/app/a", FIVE), Existing::Overwrite), nested("/app"));
    assert_eq!(told(&limited("/app/a", TEN), &limited("/app", FIVE), Existing::Overwrite), nested("/app/a"));
    // Of two that were, the upper one comes back.
    let mut was = limited("/app", TEN);
    was.limit("/app/a", FIVE);
    let (operations, left) = told(&was, &limited("/ap", FIVE), Existing::Overwrite);
    assert_eq!((operations, left), (vec!["create the quota of /app: 10 znodes".to_owned()], nested("/app/a").1));
    // Those that are there are set, though they are nested. One of the root counts nothing.
    let mut is = limited("/app", FIVE);
    is.limit("/app/a", TEN);
    assert_eq!(told(&was, &is, Existing::Overwrite).0.len(), 2);
    assert_eq!(told(&limited("/app", TEN), &limited("/", FIVE), Existing::Overwrite).0.len(), 1);
}

#[test]
fn no_quota_is_made_of_nothing_nor_where_servers_would_not_start_with_it() {
    let mut was = Model::of([("/app", znode(""))]);
    was.limit("/app/gone", TEN);
    let is = Model::of([("/app", znode(""))]);
    assert_eq!(told(&was, &is, Existing::Overwrite), skipped("/app/gone", Reason::QuotaOfNothing));
    // Nor of what this very plan deletes.
    let there = Model::of([("/app", znode("")), ("/app/gone", znode(""))]);
    let options = Options { delete_extra: true, ..with(Existing::Overwrite) };
    let planned = in_scope(&to("/app", None), &was, &there, &options);
    assert_eq!(
        both(&planned),
        (vec!["delete /app/gone (version 0)".to_owned()], skipped("/app/gone", Reason::QuotaOfNothing).1)
    );
    // The root, as it was and as another path.
    let (root, all) = (limited("/", TEN), to("/", None));
    let planned = in_scope(&all, &root, &limited("/other", FIVE), &with(Existing::Overwrite));
    assert_eq!(both(&planned), skipped("", Reason::NoQuotaThere));
    let planned = in_scope(&to("/app", Some("/")), &limited("/app", TEN), &is, &with(Existing::Keep));
    assert_eq!(planned.skipped.last().map(|skipped| skipped.reason), Some(Reason::NoQuotaThere));
    for name in ["/zookeeper_limits", "/zookeeper_limits-x", "/b/zookeeper_stats", "/ ", "/b/  "] {
        let is = Model::of([("/b", znode(""))]);
        let planned = in_scope(&to("/app", Some(name)), &limited("/app", TEN), &is, &with(Existing::Keep));
        let reason = planned.skipped.iter().map(|skipped| skipped.reason).collect::<Vec<_>>();
        assert_eq!((reason, planned.counts.set_quota), (vec![Reason::NoQuotaThere], 0), "{name}");
    }
}

#[test]
fn a_quota_goes_with_its_znodes_to_another_path() {
    let mut was = limited("/app/a", TEN);
    was.limit("/beside", FIVE);
    let planned = in_scope(&to("/app", Some("/old")), &was, &was, &with(Existing::Keep));
    let expected = ["create /old", "create /old/a", "create the quota of /old/a: 10 znodes"];
    assert_eq!(both(&planned), (expected.map(str::to_owned).into(), vec![]));
    // A single znode has its own, and none of those below.
    let alone = Scope::new(vec![Top { path: "/app".to_owned(), subtree: false }], None).unwrap();
    let is = Model::of([("/app", znode("")), ("/app/a", znode("a"))]);
    assert_eq!(both(&in_scope(&alone, &was, &is, &with(Existing::Keep))), (vec![], vec![]));
    assert_eq!(in_scope(&alone, &limited("/app", TEN), &is, &with(Existing::Keep)).counts.set_quota, 1);
}

#[test]
fn the_hash_is_over_the_quotas_and_a_plan_that_sets_another_one_is_not_carried_out() {
    let (scope, is) = (to("/app", None), Model::of([("/app", znode("")), ("/app/a", znode("a"))]));
    let hash_of = |limits, options: &Options| in_scope(&scope, &limited("/app", limits), &is, options).hash;
    let options = with(Existing::Overwrite);
    assert_ne!(hash_of(TEN, &options), hash_of(FIVE, &options));
    assert_ne!(hash_of("x", &options), hash_of("y=0", &options));
    // Also where nothing is done about it.
    let kept = |limits| in_scope(&scope, &limited("/app", limits), &limited("/app", "count=7"), &with(Existing::Keep));
    assert_eq!((kept(TEN).operations, kept(FIVE).operations), (vec![], vec![]));
    assert_ne!(kept(TEN).hash, kept(FIVE).hash);
    assert_ne!(hash_of(TEN, &options), hash_of(TEN, &Options { quotas: false, ..options }));
    let was = limited("/app", TEN);
    let file = PlanFile::of(was.wanted(&scope), options, in_scope(&scope, &was, &is, &options));
    let read = |mut file: PlanFile| {
        // Whoever changes a plan can hash it anew.
        file.plan.hash = hash(&file.wanted, &file.options, &file.plan.operations);
        PlanFile::read(&serde_json::to_vec(&file).unwrap(), Limits::default())
    };
    assert_eq!(read(file.clone()).unwrap(), file);
    let limits = QuotaLimits { hard_znodes: Some(10), ..QuotaLimits::default() };
    let one = |path: &str, limits| Operation::CreateQuota { path: path.to_owned(), limits };
    for (operation, quotas, of) in [
        (one("/zookeeper/quota/app", QuotaLimits::default()), true, "/app"),
        (one("/zookeeper/quota/app", limits), false, "/app"),
        (one("/zookeeper/quota/b", limits), true, "/b"),
        (one("/zookeeper/quota", limits), true, "/"),
        (one("/app", limits), true, "/app"),
        (one("/zookeeper/quota/app/zookeeper_limits", limits), true, "/app/zookeeper_limits"),
    ] {
        let mut other = file.clone();
        other.options.quotas = quotas;
        other.wanted.quotas.insert(of.to_owned(), Some(limits));
        other.plan.operations = vec![operation.clone()];
        assert!(matches!(read(other), Err(PlanFileError::Changed(_))), "{operation:?}");
    }
}

#[test]
fn quotas_are_the_super_users_to_set_and_no_part_of_an_undo() {
    let nobody = Options { access: Access::Anyone, ..with(Existing::Keep) };
    assert_eq!(nobody.check(), Err(OptionsError::QuotasNeedSuper));
    assert_eq!(with(Existing::Undo { of: Zxid(7) }).check(), Err(OptionsError::UndoesNoQuotas));
    // Where those that are there could not be read, none is set.
    let (was, is, scope) = (limited("/app", TEN), limited("/app", FIVE), to("/app", None));
    let mut live = is.live(&scope);
    live.quotas = None;
    let planned = plan(&was.wanted(&scope), &live, &with(Existing::Overwrite)).unwrap();
    assert_eq!(both(&planned), skipped("/app", Reason::QuotasUnread));
}

#[test]
fn of_the_tree_at_a_point_limits_are_taken_and_what_was_counted_is_not() {
    let mut server = Server::new(&[
        file("/app", ""),
        file("/zookeeper/quota/app", ""),
        file("/zookeeper/quota/app/zookeeper_limits", TEN),
        file("/zookeeper/quota/app/zookeeper_stats", "count=1,bytes=0"),
        file("/zookeeper/quota/app/deep", ""),
        file("/zookeeper/quota/app/deep/zookeeper_limits", "x"),
        file("/zookeeper/quota/app/deep/zookeeper_stats", ""),
        file("/zookeeper/quota/apple", ""),
        file("/zookeeper/quota/apple/zookeeper_limits", TEN),
        file("/zookeeper/quota/apple/zookeeper_stats", ""),
        file("/zookeeper/quota/zookeeper_limit", TEN),
    ]);
    let tree = server.log(&[Do::Create("/last", "", Lifetime::Persistent)]).after;
    let of = |scope: &Scope| Wanted::of(&tree, scope, Limits::default()).unwrap().quotas;
    let ten = Some(QuotaLimits { hard_znodes: Some(10), ..QuotaLimits::default() });
    assert_eq!(of(&to("/app", None)), [("/app".to_owned(), ten), ("/app/deep".to_owned(), None)].into());
    assert_eq!(of(&to("/", None)).len(), 3);
    assert_eq!(of(&to("/app", Some("/old"))), [("/old".to_owned(), ten), ("/old/deep".to_owned(), None)].into());
}

#[test]
fn a_quota_that_comes_back_lower_than_what_there_will_be_is_told() {
    let (scope, options) = (to("/app", None), with(Existing::Overwrite));
    let mut was = Model::of([("/app", znode("1234")), ("/app/a", znode("12"))]);
    let is =
        Model::of([("/app", znode("123456")), ("/app/b", znode("1")), ("/app/c", znode("1")), ("/apple", znode("1"))]);
    // The four of them and 8 bytes.
    for (znodes, bytes, low) in [(5, 9, 0), (4, 9, 1), (3, 9, 1), (4, 8, 2), (3, 7, 2)] {
        was.limit_hard("/app", znodes, bytes);
        for now in [is.clone(), {
            let mut is = is.clone();
            is.limit("/app", TEN);
            is
        }] {
            let planned = in_scope(&scope, &was, &now, &options);
            let told = planned.notes.iter().filter(|note| matches!(note, Note::LowQuota { .. })).count();
            assert_eq!((told, planned.counts.quotas, planned.counts.set_quota), (low, low, 1));
        }
    }
    let note = in_scope(&scope, &was, &is, &options).notes[0].to_string();
    assert!(note.starts_with("/app: there will be 4 znodes, and the quota that comes back allows 3"), "{note}");
    let deleted = in_scope(&scope, &was, &is, &Options { delete_extra: true, ..options });
    assert_eq!(deleted.counts.quotas, 0);
}

fn is_gone(was: &Model) -> Model {
    let mut is = was.clone();
    is.delete_subtree("/zookeeper/quota/app");
    is
}

pub fn approved(was: &Model, is: &Model) -> PlanFile {
    let (scope, options) = (to("/app", None), with(Existing::Overwrite));
    PlanFile::of(was.wanted(&scope), options, in_scope(&scope, was, is, &options))
}

#[test]
fn a_quota_that_others_have_set_since_the_plan_stops_it_and_one_that_is_set_is_done() {
    let (was, is) = (limited("/app", TEN), limited("/app", FIVE));
    let file = approved(&was, &is);
    let connection = Connection::to(is);
    assert_eq!(run(&connection, &file, ChangedSincePlan::Fail).unwrap().done, 1);
    assert_eq!(connection.model.borrow().limits("/app"), Some(TEN.as_bytes()));
    assert_eq!(run(&connection, &file, ChangedSincePlan::Fail).unwrap().done, 0);
    let limits = "/zookeeper/quota/app/zookeeper_limits";
    let theirs = Znode { version: 2, ..znode("count=7,bytes=-1") };
    connection.model.borrow_mut().znodes.insert(limits.to_owned(), theirs);
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(stopped.to_string().contains("would now set the quota of /app from 7 znodes (soft) to 10"), "{stopped}");
    assert_eq!(run(&connection, &file, ChangedSincePlan::Replan).unwrap().done, 1);
    // Where it was to be made, and others have made another one.
    let mut gone = is_gone(&was);
    let file = approved(&was, &gone);
    gone.limit("/app", FIVE);
    for existing in [Existing::Keep, Existing::Overwrite] {
        let mut file = file.clone();
        file.options.existing = existing;
        let stopped = run(&Connection::to(gone.clone()), &file, ChangedSincePlan::Fail).unwrap_err();
        assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped}");
    }
    gone.limit("/app", TEN);
    assert_eq!(run(&Connection::to(gone), &file, ChangedSincePlan::Fail).unwrap().done, 0);
    // Between our read and our change.
    connection.model.borrow_mut().znodes.get_mut(limits).unwrap().data = FIVE.into();
    let file = approved(&was, &connection.model.borrow());
    *connection.meddler.borrow_mut() =
        Some(Box::new(move |_, model| model.znodes.get_mut(limits).unwrap().version += 1));
    let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped}");
    assert_eq!(connection.model.borrow().limits("/app"), Some(FIVE.as_bytes()));
}

#[test]
fn no_quota_is_made_before_all_else_is_done_nor_of_what_a_client_takes_meanwhile() {
    let mut was = limited("/app", TEN);
    let strange = Znode { acl: acl(NO_SCHEME, "a", 31), ..znode("a") };
    was.znodes.insert("/app/a".to_owned(), strange);
    let closed = Znode { acl: acl(NO_SCHEME, "a", 1), ..znode("b") };
    let is = Model::of([("/app", znode("")), ("/app/a", closed)]);
    let connection = Connection::to(is.clone());
    let stopped = run(&connection, &approved(&was, &is), ChangedSincePlan::Fail).unwrap_err();
    assert!(stopped.to_string().contains("no such scheme"), "{stopped}");
    assert_eq!(connection.model.borrow().limits("/app"), None);
    // A client takes what was created before its quota is.
    let was = limited("/app/a", TEN);
    let is = Model::of([("/app", znode(""))]);
    let connection = Connection::to(is.clone());
    *connection.meddler.borrow_mut() = Some(Box::new(|request, model| {
        if request == 2 {
            model.delete_subtree("/app/a");
            // And the quota is refused once, so that there is a second look.
            model.limit("/app/a", FIVE);
        } else if request == 3 {
            model.delete_subtree("/zookeeper/quota/app");
        }
    }));
    let applied = run(&connection, &approved(&was, &is), ChangedSincePlan::Replan).unwrap();
    assert_eq!((applied.gone, applied.done), (vec!["/app/a".to_owned()], 1));
}

#[test]
fn a_plan_without_quotas_is_read_by_a_release_that_knows_none() {
    let (scope, is) = (to("/app", None), Model::of([("/app", znode(""))]));
    let text = |limits: &[&str], quotas| {
        let mut was = Model::of([("/app", znode("")), ("/app/a", znode("1"))]);
        for limits in limits {
            was.limit("/app", limits);
        }
        let options = Options { quotas, ..with(Existing::Keep) };
        let file = PlanFile::of(was.wanted(&scope), options, in_scope(&scope, &was, &is, &options));
        serde_json::to_string(&file).unwrap().to_lowercase()
    };
    // The count of limits that are too low is older.
    assert!(!text(&[], false).replace("\"quotas\":0", "").contains("quota"), "{}", text(&[], false));
    assert!(text(&[TEN], true).contains("\"setquota\":1"));
}

/// What is done about all of `/app`, and what is not, with the quota of `/app` spoiled.
fn spoiled(stats: &str, options: &Options) -> Plan {
    let counter = |created, path| (path, Znode { created, ..znode("") });
    let was =
        Model::of([("/app", znode("")), ("/app/a", znode("1")), ("/app/set", znode("1")), counter(7, "/app/queue")]);
    let mut is =
        Model::of([("/app", znode("")), ("/app/extra", znode("")), ("/app/set", znode("2")), counter(0, "/app/queue")]);
    is.limit("/app", TEN);
    if stats != COUNTED {
        is.count("/app", stats);
    }
    in_scope(&to("/app", None), &was, &is, options)
}

/// Statistics that no client has set.
const COUNTED: &str = "as servers count";

#[test]
fn nothing_is_changed_below_a_quota_whose_statistics_no_server_can_read() {
    let options = Options { delete_extra: true, raise_counters: true, ..with(Existing::Overwrite) };
    assert_eq!(spoiled(COUNTED, &options).operations.len(), 4);
    // Null, which ends servers, is an empty text for clients.
    // What a client has set and this server can read, another one may have as it was set before.
    for stats in ["x", "", "count=3,bytes=1"] {
        let planned = spoiled(stats, &options);
        let left = ["/app/a", "/app/set", "/app/extra"].map(|path| (path.to_owned(), Reason::UnreadableStatistics));
        assert_eq!(both(&planned), (vec![], left.into()), "{stats:?}");
        let why = planned.skipped[0].why();
        let anew = ["delete /zookeeper/quota/app/zookeeper_stats", "create /zookeeper/quota/app/zookeeper_stats"];
        for words in [anew[0], anew[1], "would end"] {
            assert!(why.contains(words), "{why}");
        }
        let notes: Vec<_> = planned.notes.iter().filter(|note| matches!(note, Note::NotRaised { .. })).collect();
        assert_eq!((notes.len(), planned.counts.counters), (1, 1));
        assert!(notes[0].to_string().starts_with("/app/queue: its sequence counter is not raised"), "{}", notes[0]);
    }
}

#[test]
fn an_acl_counts_for_no_quota_and_a_nearer_one_counts_instead() {
    let (scope, options) = (to("/app", None), with(Existing::Overwrite));
    let closed = |data| Znode { acl: acl("world", "anyone", 1), ..znode(data) };
    let was = Model::of([("/app", znode("")), ("/app/a", closed("1")), ("/app/a/b", closed("1"))]);
    let mut is = Model::of([("/app", znode("")), ("/app/a", znode("2")), ("/app/a/b", znode("1"))]);
    is.limit("/app", TEN);
    is.count("/app", "x");
    let (operations, left) = both(&in_scope(&scope, &was, &is, &options));
    // With its data the ACL stays, too: the two go together.
    assert_eq!(operations, ["acl /app/a/b to world:anyone:r (aversion 0)"]);
    assert_eq!(left, [("/app/a".to_owned(), Reason::UnreadableStatistics)]);
    is.limit("/app/a", TEN);
    assert_eq!(in_scope(&scope, &was, &is, &options).counts.set, 1);
    // One of all quotas: setting another one would count.
    let mut is = limited("/app", FIVE);
    is.limit("/zookeeper", TEN);
    is.count("/zookeeper", "x");
    assert_eq!(told(&limited("/app", TEN), &is, Existing::Overwrite), skipped("/app", Reason::UnreadableStatistics));
    is.delete_subtree("/zookeeper/quota/app");
    assert_eq!(told(&limited("/app", TEN), &is, Existing::Overwrite), skipped("/app", Reason::UnreadableStatistics));
}

#[test]
fn statistics_that_are_spoiled_after_the_plan_stop_it_before_it_ends_a_server() {
    let (was, is) = (limited("/app", TEN), Model::of([("/app", znode("")), ("/app/a", znode("b"))]));
    let file = approved(&was, &is);
    let mut then = is.clone();
    then.limit("/app", FIVE);
    then.count("/app", "x");
    let stopped = run(&Connection::to(then.clone()), &file, ChangedSincePlan::Fail).unwrap_err();
    assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped}");
    let applied = run(&Connection::to(then), &file, ChangedSincePlan::Replan).unwrap();
    // The limits count for no quota.
    assert_eq!((applied.done, applied.last.skipped[0].reason), (1, Reason::UnreadableStatistics));
}

#[test]
fn limits_that_no_server_can_read_are_told_where_they_would_be_looked_at() {
    let scope = to("/app", None);
    let was = Model::of([("/app", znode("")), ("/app/a", znode("1"))]);
    let notes = |limits: &str, is: &[(&'static str, &str)], delete_extra, quotas| {
        let mut is = Model::of(is.iter().map(|(path, data)| (*path, znode(data))));
        is.limit("/app", limits);
        let options = Options { delete_extra, quotas, ..with(Existing::Overwrite) };
        let planned = in_scope(&scope, &was, &is, &options);
        let told = planned.notes.into_iter().filter(|note| matches!(note, Note::UnreadableLimits { .. }));
        let told: Vec<_> = told.map(|note| note.to_string()).collect();
        assert_eq!(told.len(), planned.counts.quotas);
        told
    };
    for (limits, quotas) in [("x", true), ("x", false), ("", false)] {
        for data in [&[("/app", "")][..], &[("/app", ""), ("/app/a", "2")]] {
            let told = notes(limits, data, false, quotas);
            assert_eq!(told.len(), 1, "{limits:?}");
            let words =
                "/app: no server can read the limits of its quota: servers with enforceQuota=true refuse each create";
            assert!(told[0].starts_with(words) && told[0].contains("set /zookeeper/quota/app/zookeeper_limits first"));
        }
        // Not for what goes, and not for one that they can read.
        assert_eq!(notes(limits, &[("/app", ""), ("/app/a", "1"), ("/app/b", "")], true, quotas), Vec::<String>::new());
    }
    assert_eq!(notes("count=-1", &[("/app", "")], false, true), Vec::<String>::new());
}

const TRAP: &str = "/zookeeper-a/zookeeper_limits";

#[test]
fn what_servers_take_for_limits_is_neither_deleted_nor_made() {
    let (scope, options) = (to("/", None), Options { delete_extra: true, ..with(Existing::Overwrite) });
    let (was, above) = (Model::of([]), ("/zookeeper-a", znode("")));
    let is = Model::of([above.clone(), (TRAP, znode("")), ("/zookeeper-a/b", znode(""))]);
    let planned = in_scope(&scope, &was, &is, &options);
    let left = [(TRAP.to_owned(), Reason::TakenForLimits), (above.0.to_owned(), Reason::ExtraWithChildren)];
    assert_eq!(both(&planned), (vec!["delete /zookeeper-a/b (version 0)".to_owned()], left.into()));
    // Nor does a plan that says so come through.
    let read = |wanted: &Wanted, operation: &Operation| {
        let mut file = PlanFile::of(wanted.clone(), options, planned.clone());
        file.plan.operations = vec![operation.clone()];
        file.plan.hash = hash(&file.wanted, &file.options, &file.plan.operations);
        PlanFile::read(&serde_json::to_vec(&file).unwrap(), Limits::default())
    };
    let none = was.wanted(&scope);
    let delete = |path: &str| Operation::Delete { path: path.to_owned(), version: 0, czxid: Zxid(1), mzxid: Zxid(1) };
    assert!(matches!(read(&none, &delete(TRAP)), Err(PlanFileError::Changed(_))));
    read(&none, &delete("/zookeeper-a/b")).unwrap();
    // A server deletes containers and those with a TTL itself, and others are a trap for whoever does.
    for kind in [Kind::Persistent, Kind::Container, Kind::Ttl(1000)] {
        let mut wanted = Model::of([above.clone(), (TRAP, znode(""))]).wanted(&scope);
        wanted.znodes.get_mut(TRAP).unwrap().kind = kind;
        let planned = plan(&wanted, &Model::of([above.clone()]).live(&scope), &options).unwrap();
        let left = planned.skipped.iter().map(|skipped| skipped.reason).collect::<Vec<_>>();
        assert_eq!((planned.counts.create, left), (0, vec![Reason::TakenForLimits]), "{kind:?}");
        let (data, acl) = (Digest::of(b""), Acl::open());
        let create = Operation::Create { path: TRAP.to_owned(), kind, data, acl };
        assert!(matches!(read(&wanted, &create), Err(PlanFileError::Changed(_))), "{kind:?}");
    }
    // Nor where it was none, and would become one under another path: there it is told.
    let (was, beside) = (Model::of([("/app", znode("")), ("/app/zookeeper_limits", znode("1"))]), "/zookeeper-x");
    let planned = in_scope(&to("/app", Some(beside)), &was, &was, &options);
    let left = vec![(format!("{beside}/zookeeper_limits"), Reason::TakenForLimits)];
    assert_eq!(both(&planned), (vec![format!("create {beside}")], left));
    assert_eq!(in_scope(&to("/app", Some("/zoo-x")), &was, &was, &options).counts.create, 2);
}

#[test]
fn limits_of_which_none_becomes_lower_are_set_before_what_may_need_them_and_others_last() {
    let scope = to("/app", None);
    let mut was = Model::of([("/app", znode("")), ("/app/a", znode("1")), ("/app/b", znode("1"))]);
    for (then, now, first) in [
        ((10, 10), (1, 1), true),
        ((-1, -1), (1, 1), true),
        ((10, 1), (1, 1), true),
        ((10, 0), (1, 1), false),
        ((3, 10), (-1, 1), false),
    ] {
        was.limit_hard("/app", then.0, then.1);
        let mut is = Model::of([("/app", znode(""))]);
        is.limit_hard("/app", now.0, now.1);
        is.enforces = true;
        let planned = in_scope(&scope, &was, &is, &with(Existing::Overwrite));
        let at = planned.operations.iter().position(|operation| operation.quota_of().is_some());
        assert_eq!(at, Some(if first { 0 } else { 2 }), "{now:?} to {then:?}");
        let told = planned.notes.iter().filter(|note| matches!(note, Note::Quota { .. })).count();
        let fits = first && then != (10, 1);
        assert_eq!(told == 0, fits, "{:?}", planned.notes);
        let applied = run(
            &Connection::to(is),
            &PlanFile::of(was.wanted(&scope), with(Existing::Overwrite), planned),
            ChangedSincePlan::Fail,
        );
        assert_eq!(applied.is_ok(), fits, "{now:?} to {then:?}");
    }
}

#[test]
fn a_limit_that_is_raised_by_hand_as_a_note_says_is_no_change_of_a_plan_that_does_not_set_it() {
    let was = Model::of([("/app", znode("")), ("/app/a", znode("1"))]);
    let mut is = Model::of([("/app", znode(""))]);
    is.limit_hard("/app", 1, 100);
    is.enforces = true;
    let file = approved(&was, &is);
    let note = file.plan.notes.iter().find(|note| matches!(note, Note::Quota { .. })).unwrap().to_string();
    assert!(note.contains("raise the quota first, and plan again"), "{note}");
    assert!(run(&Connection::to(is.clone()), &file, ChangedSincePlan::Fail).is_err());
    is.limit_hard("/app", 2, 100);
    assert_eq!(run(&Connection::to(is), &file, ChangedSincePlan::Fail).unwrap().done, 1);
}

#[test]
fn how_much_is_below_a_single_znode_is_what_servers_have_counted_or_not_known() {
    let alone = Scope::new(vec![Top { path: "/app".to_owned(), subtree: false }], None).unwrap();
    let low = |is: &Model, znodes, bytes| -> Vec<String> {
        let mut was = Model::of([("/app", znode("123"))]);
        was.limit_hard("/app", znodes, bytes);
        let notes = in_scope(&alone, &was, is, &with(Existing::Overwrite)).notes;
        notes.iter().map(ToString::to_string).filter(|note| note.contains("quota that comes back")).collect()
    };
    let mut is = Model::of([("/app", znode("1")), ("/app/a", znode("12")), ("/app/a/b", znode("1"))]);
    // No quota is there: nobody has counted what is below.
    assert_eq!(low(&is, -1, -1), Vec::<String>::new());
    let told = low(&is, 100, 100);
    assert!(told.len() == 1 && told[0].ends_with("was not read"), "{told:?}");
    is.limit("/app", "count=-1");
    // Three znodes, and six bytes once /app has three.
    for (znodes, bytes, count) in [(4, 7, 0), (3, 7, 1), (4, 6, 1), (2, 2, 2)] {
        assert_eq!(low(&is, znodes, bytes).len(), count, "{znodes} {bytes}");
    }
    assert!(low(&is, 3, 7)[0].starts_with("/app: there will be 3 znodes"), "{:?}", low(&is, 3, 7));
    // Without children all of it is known.
    let is = Model::of([("/app", znode("1"))]);
    assert_eq!((low(&is, 2, 4).len(), low(&is, 1, 3).len()), (0, 2));
}

#[test]
fn what_others_have_written_since_the_plan_is_told_where_a_limit_then_leaves_no_room() {
    let mut was = Model::of([("/app", znode(""))]);
    was.limit_hard("/app", 3, 100);
    let mut is = Model::of([("/app", znode(""))]);
    let file = approved(&was, &is);
    assert_eq!((file.plan.notes.len(), file.plan.counts.set_quota), (0, 1));
    let low = |is: &Model| run(&Connection::to(is.clone()), &file, ChangedSincePlan::Fail).unwrap().low;
    assert_eq!(low(&is), vec![]);
    for path in ["/app/x", "/app/y"] {
        is.znodes.insert(path.to_owned(), znode(""));
    }
    let told = low(&is);
    assert!(told.len() == 1 && told[0].to_string().starts_with("/app: there will be 3 znodes"), "{told:?}");
}

#[test]
fn limits_without_statistics_are_none_until_servers_count_again() {
    let count = "let servers count for the quota of /app (version 0)".to_owned();
    let (was, mut is) = (limited("/app", TEN), limited("/app", TEN));
    is.delete_subtree("/zookeeper/quota/app/zookeeper_stats");
    assert_eq!(told(&was, &is, Existing::Keep), (vec![count.clone()], vec![]));
    let file = approved(&was, &is);
    let connection = Connection::to(is.clone());
    assert_eq!(run(&connection, &file, ChangedSincePlan::Fail).unwrap().done, 1);
    assert!(connection.model.borrow().znodes.contains_key("/zookeeper/quota/app/zookeeper_stats"));
    assert_eq!(run(&connection, &file, ChangedSincePlan::Fail).unwrap().done, 0);
    // With its limits; what is kept is not enforced either.
    is.limit("/app", FIVE);
    is.delete_subtree("/zookeeper/quota/app/zookeeper_stats");
    let (operations, _) = told(&was, &is, Existing::Overwrite);
    assert_eq!(operations, ["set the quota of /app from 5 znodes to 10 znodes, and let servers count (version 0)"]);
    assert_eq!(told(&was, &is, Existing::Keep), skipped("/app", Reason::Kept));
}

#[test]
fn no_more_quotas_are_made_than_a_restore_reads_again() {
    let scope = to("/app", None);
    let (mut wanted, mut live) =
        (limited("/app/00000", TEN).wanted(&scope), Model::of([("/app", znode(""))]).live(&scope));
    let (one, ten) = (wanted.znodes["/app"].clone(), wanted.quotas["/app/00000"]);
    for n in 0..10_010 {
        wanted.znodes.insert(format!("/app/{n:05}"), one.clone());
        wanted.quotas.insert(format!("/app/{n:05}"), ten);
    }
    let planned = |live: &Live| {
        let planned = plan(&wanted, live, &with(Existing::Keep)).unwrap();
        let left = planned.skipped.iter().filter(|skipped| skipped.reason == Reason::TooManyQuotas).count();
        (planned.counts.set_quota, left)
    };
    // `/app` is one as well, and may be there already; so may others.
    assert_eq!(planned(&live), (9_999, 11));
    live.below_quota = ["/app", "/app/00003", "/other", "/other/a"].map(str::to_owned).into();
    assert_eq!(planned(&live), (9_997, 13));
}
