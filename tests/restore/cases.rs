//! Single cases of the planner, with what it says of them.

use menagerie::restore::acl::{Acl, Entry};
use menagerie::restore::operation::{Kind, Operation, Turn};
use menagerie::restore::options::{Access, Existing, Lineage, Options, OptionsError};
use menagerie::restore::plan::{Plan, plan};
use menagerie::restore::plan_file::{PlanFile, PlanFileError};
use menagerie::restore::reason::{Note, Reason};
use menagerie::restore::scope::{Scope, ScopeError, Top};
use menagerie::restore::wanted::{Limits, Wanted, WantedError};
use zookeeper_files::ids::Zxid;
use zookeeper_files::replay::Tree;

use crate::model::{Model, Znode, acl, znode};

fn subtree(path: &str) -> Scope {
    Scope::new(vec![Top { path: path.to_owned(), subtree: true }], None).unwrap()
}

fn overwrite(access: Access) -> Options {
    Options { existing: Existing::Overwrite, access, ..Options::default() }
}

fn planned(was: &Model, is: &Model, options: &Options) -> Plan {
    let scope = subtree("/app");
    plan(&was.wanted(&scope), &is.live(&scope), options).unwrap()
}

fn told(plan: &Plan) -> Vec<String> {
    plan.operations.iter().map(ToString::to_string).collect()
}

fn reasons(plan: &Plan) -> Vec<(&str, Reason)> {
    plan.skipped.iter().map(|skipped| (&*skipped.path, skipped.reason)).collect()
}

fn ephemeral() -> Znode {
    Znode { ephemeral: true, ..znode("mine") }
}

#[test]
fn ephemerals_are_never_made_and_said() {
    let was = Model::of([("/app", znode("")), ("/app/lock", ephemeral()), ("/app/x", znode("x"))]);
    let plan = planned(&was, &Model::of([]), &overwrite(Access::Super));
    assert_eq!(told(&plan), ["create /app", "create /app/x"]);
    assert_eq!(reasons(&plan), [("/app/lock", Reason::Ephemeral)]);
}

#[test]
fn an_ephemeral_in_a_parents_place_stays_and_nothing_is_made_below_it() {
    let was =
        Model::of([("/app", znode("")), ("/app/p", znode("")), ("/app/p/c", znode("")), ("/app/p/c/d", znode(""))]);
    let is = Model::of([("/app", znode("")), ("/app/p", ephemeral())]);
    let plan = planned(&was, &is, &Options { delete_extra: true, ..overwrite(Access::Super) });
    assert_eq!(plan.operations, []);
    let expected =
        [("/app/p", Reason::EphemeralInPlace), ("/app/p/c", Reason::UnderEphemeral), ("/app/p/c/d", Reason::NoParent)];
    assert_eq!(reasons(&plan), expected);
    // Also where the parent is outside of the scope.
    let scope = subtree("/app/p/c");
    let above =
        menagerie::restore::plan::plan(&was.wanted(&scope), &is.live(&scope), &overwrite(Access::Super)).unwrap();
    assert_eq!(reasons(&above)[0], ("/app/p/c", Reason::UnderEphemeral));
}

#[test]
fn a_parent_that_is_not_restored_is_not_made() {
    let was = Model::of([("/app", znode("")), ("/app/p", znode("")), ("/app/p/c", znode(""))]);
    let is = Model::of([("/app", znode(""))]);
    let alone = |path: &str| Top { path: path.to_owned(), subtree: false };
    let scope = Scope::new(vec![Top { subtree: true, ..alone("/app/p/c") }], None).unwrap();
    let first = plan(&was.wanted(&scope), &is.live(&scope), &Options::default()).unwrap();
    assert_eq!((told(&first), reasons(&first)), (vec![], vec![("/app/p/c", Reason::NoParent)]));
    let scope = Scope::new(vec![Top { subtree: true, ..alone("/app/p/c") }, alone("/app/p")], None).unwrap();
    let both = plan(&was.wanted(&scope), &is.live(&scope), &Options::default()).unwrap();
    assert_eq!(told(&both), ["create /app/p", "create /app/p/c"]);
}

#[test]
fn a_changed_acl_alone_is_one_operation_with_the_aversion_that_was_seen() {
    let closed = acl("digest", "app:hash", 31);
    let was = Model::of([("/app", Znode { acl: closed.clone(), ..znode("x") })]);
    let is = Model::of([("/app", Znode { aversion: 7, version: 3, ..znode("x") })]);
    let plan = planned(&was, &is, &overwrite(Access::Super));
    assert_eq!(
        plan.operations,
        [Operation::SetAcl { path: "/app".to_owned(), aversion: 7, czxid: Zxid(1), acl: closed, turn: Turn::Before }]
    );
    assert_eq!(reasons(&planned(&was, &is, &Options::default())), [("/app", Reason::Kept)]);
}

#[test]
fn an_acl_that_shuts_us_out_comes_last_and_never_before_its_data_for_the_super_user() {
    let read = acl("world", "anyone", 1);
    let was = Model::of([
        ("/app", Znode { acl: read.clone(), ..znode("new") }),
        ("/app/c", Znode { acl: read, ..znode("new") }),
    ]);
    let is = Model::of([("/app", znode("old")), ("/app/c", znode("old"))]);
    let order = |access| {
        let mut is = Model { access, ..is.clone() };
        let plan = planned(&was, &is, &overwrite(access));
        is.carry_out(&plan.operations, &was.wanted(&subtree("/app")));
        told(&plan).into_iter().map(|text| text.split(" to ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let sets = ["set /app (version 0)", "set /app/c (version 0)"];
    assert_eq!(order(Access::Anyone), [sets[0], sets[1], "acl /app/c", "acl /app"]);
    // Nothing is secret in a znode that everybody may still read.
    assert_eq!(order(Access::Super), ["acl /app", "acl /app/c", sets[0], sets[1]]);
}

#[test]
fn an_acl_that_opens_comes_after_the_data_that_it_would_show_and_one_that_closes_before_it() {
    let order = |is: &Acl, was: &Acl, old: &str| {
        let model = |acl: &Acl, data| Model::of([("/app", Znode { acl: acl.clone(), aversion: 4, ..znode(data) })]);
        let plan = planned(&model(was, "new"), &model(is, old), &overwrite(Access::Super));
        told(&plan)
    };
    let one = acl("digest", "a:h", 31);
    let open = "acl /app to world:anyone:cdrwa (aversion 4)";
    assert_eq!(order(&one, &Acl::open(), "old"), ["set /app (version 0)", open]);
    assert_eq!(order(&one, &Acl::open(), "new"), [open]);
    assert_eq!(order(&Acl::open(), &one, "old"), ["acl /app to digest:a:h:cdrwa (aversion 4)", "set /app (version 0)"]);
}

#[test]
fn a_znode_with_other_data_whose_acl_both_opens_and_closes_is_left_whole_with_the_cause_and_the_cures() {
    let list = |entries: &[(&str, &str, i32)]| -> Acl {
        let entry = |&(scheme, id, rights): &(&str, &str, i32)| acl(scheme, id, rights).entries()[0].clone();
        entries.iter().map(entry).collect::<Vec<_>>().into()
    };
    let one = acl("digest", "a:h", 31);
    for other in [
        acl("digest", "b:h", 31),
        list(&[("digest", "a:h", 1), ("digest", "b:h", 31)]),
        list(&[("digest", "a:h", 30)]),
        acl("world", "anyone", 1),
        acl("nobodys", "scheme", 31),
    ] {
        let within = other.is_within(&one);
        let is = Model::of([("/app", Znode { acl: one.clone(), ..znode("old") }), ("/app/c", znode("old"))]);
        let was = |data| Model::of([("/app", Znode { acl: other.clone(), ..znode(data) }), ("/app/c", znode("new"))]);
        let plan = planned(&was("new"), &is, &overwrite(Access::Super));
        if within {
            assert_eq!((plan.operations.len(), reasons(&plan)), (3, vec![]), "{other}");
            continue;
        }
        let below = "set /app/c (version 0)".to_owned();
        assert_eq!(
            (told(&plan), reasons(&plan)),
            (vec![below.clone()], vec![("/app", Reason::OpensAndCloses)]),
            "{other}"
        );
        // Where the data is as it was, nothing is shown too early.
        let alone = planned(&was("old"), &is, &overwrite(Access::Super));
        assert_eq!((told(&alone), reasons(&alone)), (vec![format!("acl /app to {other} (aversion 0)"), below], vec![]));
        // What is said to do: its ACL by hand, or away with it.
        for by_hand in ["acl", "delete"] {
            let mut is = is.clone();
            match by_hand {
                "acl" => is.znodes.get_mut("/app").unwrap().acl = other.clone(),
                _ => is.delete_subtree("/app"),
            }
            let plan = planned(&was("new"), &is, &overwrite(Access::Super));
            is.carry_out(&plan.operations, &was("new").wanted(&subtree("/app")));
            assert_eq!((reasons(&plan), is.content()), (vec![], was("new").content()), "{by_hand}");
        }
    }
    let reason = Reason::OpensAndCloses.to_string();
    assert!(
        ["old data", "new data", "by hand", "delete it", "--to"].iter().all(|word| reason.contains(word)),
        "{reason}"
    );
}

#[test]
fn what_an_acl_lets_only_the_super_user_create_is_not_promised_without_it() {
    let was = Model::of([("/app", Znode { acl: acl("digest", "app:hash", 31), ..znode("") }), ("/app/c", znode(""))]);
    let plan = planned(&was, &Model::of([]), &overwrite(Access::Anyone));
    assert_eq!((told(&plan), reasons(&plan)), (vec!["create /app".to_owned()], vec![("/app/c", Reason::NeedsSuper)]));
    assert_eq!(planned(&was, &Model::of([]), &overwrite(Access::Super)).counts.create, 2);
}

#[test]
fn without_the_super_user_nothing_is_planned_that_would_be_refused_or_would_show_what_was_closed() {
    let was = |acl: Acl| Model::of([("/app", Znode { acl, ..znode("new") })]);
    let reason = |was: &Model, acl: Acl, data| {
        let is = Model::of([("/app", Znode { acl, ..znode(data) })]);
        let plan = planned(was, &Model { access: Access::Anyone, ..is.clone() }, &overwrite(Access::Anyone));
        let by_super = planned(was, &is, &overwrite(Access::Super));
        let skipped = reasons(&by_super);
        assert!(!by_super.operations.is_empty() || skipped == [("/app", Reason::OpensAndCloses)], "the super user can");
        (told(&plan), plan.skipped.first().map(|skipped| skipped.reason))
    };
    let skipped = |reason| (vec![], Some(reason));
    let (closed, everybody) = (acl("digest", "app:hash", 31), |rights| acl("world", "anyone", rights));
    // Its data would be readable until the ACL is set, also where the server hides which ACL is there.
    assert_eq!(reason(&was(closed.clone()), Acl::open(), "old"), skipped(Reason::NeedsSuperToHide));
    assert_eq!(reason(&was(closed.clone()), everybody(15), "old"), skipped(Reason::NeedsSuperToChange));
    let mut hidden = everybody(15).entries().to_vec();
    hidden.extend(closed.entries().iter().cloned());
    assert_eq!(reason(&was(closed.clone()), hidden.into(), "old"), skipped(Reason::NeedsSuperToHide));
    let acl_alone = (vec!["acl /app to digest:app:hash:cdrwa (aversion 0)".to_owned()], None);
    assert_eq!(reason(&was(closed), Acl::open(), "new"), acl_alone);
    // ADMIN for the ACL, WRITE for the data.
    assert_eq!(reason(&was(everybody(1)), everybody(15), "new"), skipped(Reason::NeedsSuperToChange));
    assert_eq!(reason(&was(everybody(1)), everybody(29), "old"), skipped(Reason::NeedsSuperToChange));
    // Whether an address is ours, only the servers know.
    assert_eq!(reason(&was(everybody(1)), acl("ip", "10.0.0.0/8", 31), "old"), skipped(Reason::ByAddress));
    for reason in [
        Reason::NeedsSuper,
        Reason::NeedsSuperToChange,
        Reason::NeedsSuperToHide,
        Reason::NeedsSuperToDelete,
        Reason::ByAddress,
    ] {
        assert!(
            reason.to_string().contains("ACL") && reason.to_string().ends_with(": give the super user's password"),
            "{reason}"
        );
    }
}

#[test]
fn without_the_super_user_nothing_is_created_or_deleted_below_what_may_forbid_it() {
    let (was, mut is) = (
        Model::of([("/app", znode("")), ("/app/c", znode(""))]),
        Model::of([("/app", znode("")), ("/app/x", znode(""))]),
    );
    let options = Options { delete_extra: true, ..overwrite(Access::Anyone) };
    is.access = Access::Anyone;
    for (acl, create, delete) in [
        (acl("world", "anyone", 1), Reason::NeedsSuper, Reason::NeedsSuperToDelete),
        (acl("ip", "10.0.0.1", 31), Reason::ByAddress, Reason::ByAddress),
    ] {
        is.znodes.get_mut("/app").unwrap().acl = acl.clone();
        let mut was = was.clone();
        was.znodes.get_mut("/app").unwrap().acl = acl;
        let plan = planned(&was, &is, &options);
        assert_eq!((told(&plan), reasons(&plan)), (vec![], vec![("/app/c", create), ("/app/x", delete)]));
    }
}

#[test]
fn an_acl_that_the_server_hides_is_not_taken_for_another_one() {
    let was = Model::of([("/app", Znode { acl: acl("digest", "app:hash", 31), ..znode("x") })]);
    let is = Model::of([("/app", Znode { acl: acl("digest", "app:x", 31), ..znode("x") })]);
    let plan = planned(&was, &is, &overwrite(Access::Anyone));
    assert_eq!((told(&plan), reasons(&plan)), (vec![], vec![("/app", Reason::HiddenAcl)]));
}

#[test]
fn data_that_is_set_under_an_acl_that_nobody_compared_is_noted() {
    let (was, scope) = (Model::of([("/app", znode("new"))]), subtree("/app"));
    let mut acl = acl("world", "anyone", 3).entries().to_vec();
    acl.push(Entry { scheme: "digest".to_owned(), id: "app:hash".to_owned(), rights: 31 });
    let mut is = Model::of([("/app", Znode { acl: acl.into(), ..znode("old") })]);
    let path = || "/app".to_owned();
    let mut unknown = was.wanted(&scope);
    unknown.znodes.get_mut("/app").unwrap().acl = None;
    let noted = plan(&unknown, &is.live(&scope), &overwrite(Access::Super)).unwrap();
    assert_eq!(
        (told(&noted), noted.notes),
        (vec!["set /app (version 0)".to_owned()], vec![Note::UnknownAcl { path: path() }])
    );
    is.access = Access::Anyone;
    let noted = planned(&was, &is, &overwrite(Access::Anyone));
    assert_eq!(
        (told(&noted), noted.notes),
        (vec!["set /app (version 0)".to_owned()], vec![Note::HiddenAcl { path: path() }])
    );
}

#[test]
fn to_the_super_user_an_id_that_looks_hidden_is_what_somebody_has_set() {
    let was = Model::of([("/app", Znode { acl: acl("digest", "app:hash", 31), ..znode("x") })]);
    let is = Model::of([("/app", Znode { acl: acl("digest", "app:x", 31), ..znode("x") })]);
    let plan = planned(&was, &is, &overwrite(Access::Super));
    assert_eq!(told(&plan), ["acl /app to digest:app:hash:cdrwa (aversion 0)"]);
    // Also to everybody, if all of it is shown to everybody.
    let mut shown = acl("digest", "app:x", 31).entries().to_vec();
    shown.extend(acl("world", "anyone", 16).entries().iter().cloned());
    let is = Model::of([("/app", Znode { acl: shown.into(), ..znode("x") })]);
    assert_eq!(planned(&was, &is, &overwrite(Access::Anyone)).operations.len(), 1);
}

#[test]
fn znodes_with_a_ttl_and_containers_come_back_as_such_and_what_that_means_is_said() {
    let scope = subtree("/app");
    let paths = ["/app", "/app/empty", "/app/full", "/app/full/c", "/app/ttl"];
    let mut wanted = Model::of(paths.map(|path| (path, znode("")))).wanted(&scope);
    wanted.znodes.get_mut("/app/empty").unwrap().kind = Kind::Container;
    wanted.znodes.get_mut("/app/full").unwrap().kind = Kind::Container;
    wanted.znodes.get_mut("/app/ttl").unwrap().kind = Kind::Ttl(60_000);
    let plan = plan(&wanted, &Model::of([]).live(&scope), &Options::default()).unwrap();
    let expected = [
        "create /app",
        "create container /app/empty",
        "create container /app/full",
        "create /app/ttl with a TTL of 60000 ms",
        "create /app/full/c",
    ];
    assert_eq!(told(&plan), expected);
    let notes = [Note::EmptyContainer { path: "/app/empty".to_owned() }, Note::Ttl { path: "/app/ttl".to_owned() }];
    assert_eq!(plan.notes, notes);
}

#[test]
fn a_sequence_counter_that_goes_back_is_told_and_changes_no_hash() {
    let was = Model::of([("/app", Znode { created: 41, ..znode("") }), ("/app/n-0000000040", znode(""))]);
    let gone = planned(&was, &Model::of([]), &Options::default());
    assert_eq!(gone.notes, [Note::Counter { path: "/app".to_owned(), was: 41, will_be: 1 }]);
    assert!(gone.notes[0].to_string().contains("0000000001, and had come to 0000000041"));
    let mut is = was.clone();
    is.znodes.get_mut("/app").unwrap().created = 60;
    assert_eq!(planned(&was, &is, &Options::default()).notes, []);
    is.znodes.get_mut("/app").unwrap().created = 3;
    let behind = planned(&was, &is, &Options::default());
    assert_eq!((behind.notes.len(), behind.counts.counters), (1, 1));
    assert_eq!(behind.hash, planned(&was, &was, &Options::default()).hash);
}

#[test]
fn a_quota_that_allows_less_is_told_in_one_sentence_with_both_numbers() {
    let was = Model::of([("/app", znode("")), ("/app/a", znode("12345")), ("/app/b", znode(""))]);
    let mut is = Model::of([("/app", znode(""))]);
    let told = |is: &Model| {
        let plan = planned(&was, is, &Options::default());
        (plan.counts.quotas, plan.notes.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    is.limit_hard("/app", 3, 5);
    assert_eq!(told(&is), (0, vec![]));
    is.limit_hard("/app", 2, 4);
    let sentence = |needs, what, allows| {
        format!(
            "/app: there would be {needs} {what}, and its quota allows {allows}: servers with enforceQuota=true refuse that, so raise the quota first, and plan again"
        )
    };
    assert_eq!(told(&is), (2, vec![sentence(3, "znodes", 2), sentence(5, "bytes", 4)]));
    // Servers look at the nearest one alone, and at none of the root.
    is.limit_hard("/app/a", 1, 5);
    assert_eq!(told(&is), (0, vec![]));
    is.delete_subtree("/zookeeper/quota/app");
    is.limit_hard("/", 0, 0);
    assert_eq!(told(&is), (0, vec![]));
    // Data that becomes shorter is refused too, while there is more than is allowed.
    let long = Model::of([("/app", znode("")), ("/app/a", znode("123456789"))]);
    for (bytes, over) in [(4, 1), (5, 0)] {
        let mut long = long.clone();
        long.limit_hard("/app", 9, bytes);
        let mut shorter = was.clone();
        shorter.znodes.remove("/app/b");
        assert_eq!(planned(&shorter, &long, &overwrite(Access::Super)).counts.quotas, over);
    }
    // What could not be read is no quota that allows it.
    let (wanted, mut live) = (was.wanted(&subtree("/app")), is.live(&subtree("/app")));
    live.quotas = None;
    let unknown = plan(&wanted, &live, &Options::default()).unwrap();
    assert_eq!((unknown.notes, unknown.counts.quotas), (vec![Note::QuotasUnknown], 0));
}

#[test]
fn a_sequence_counter_is_raised_when_asked_for_and_not_too_far_nor_below_an_empty_container() {
    let was = Model::of([("/app", Znode { created: 41, ..znode("") }), ("/app/n-0000000040", znode(""))]);
    let raise = Options { raise_counters: true, ..Options::default() };
    let plan_of = |was: &Wanted, is: &Model| {
        let plan = plan(was, &is.live(&subtree("/app")), &raise).unwrap();
        (told(&plan), plan.counts.raise, plan.counts.counters)
    };
    let mut wanted = was.wanted(&subtree("/app"));
    let words = "raise the sequence counter of /app to 0000000041";
    let made = vec!["create /app".to_owned(), "create /app/n-0000000040".to_owned(), words.to_owned()];
    assert_eq!(plan_of(&wanted, &Model::of([])), (made, 1, 0));
    let mut is = was.clone();
    is.znodes.get_mut("/app").unwrap().created = 3;
    assert_eq!(plan_of(&wanted, &is), (vec![words.to_owned()], 1, 0));
    is.znodes.get_mut("/app").unwrap().created = 41;
    assert_eq!(plan_of(&wanted, &is), (vec![], 0, 0));
    // What has not enough rights leaves it, and says so.
    is.znodes.get_mut("/app").unwrap().created = 3;
    is.access = Access::Anyone;
    is.znodes.get_mut("/app").unwrap().acl = acl("world", "anyone", 1 | 4);
    assert_eq!(plan_of(&wanted, &is).2, 1);
    // A leader deletes an empty container once it has had a child.
    wanted.znodes.get_mut("/app").unwrap().kind = Kind::Container;
    wanted.znodes.remove("/app/n-0000000040");
    assert_eq!(plan_of(&wanted, &Model::of([])), (vec!["create container /app".to_owned()], 0, 1));
    let far = wanted.znodes.get_mut("/app").unwrap();
    (far.kind, far.counter) = (Kind::Persistent, 100_001);
    assert_eq!(plan_of(&wanted, &Model::of([])), (vec!["create /app".to_owned()], 0, 1));
    wanted.znodes.get_mut("/app").unwrap().counter = 100_000;
    assert_eq!(plan_of(&wanted, &Model::of([])).1, 1);
}

#[test]
fn a_plan_raises_no_counter_that_nobody_asked_for_and_none_further_than_it_was() {
    let was = Model::of([("/app", Znode { created: 41, ..znode("") })]);
    let (wanted, live) = (was.wanted(&subtree("/app")), Model::of([("/app", znode(""))]).live(&subtree("/app")));
    for (raise_counters, to, fits) in [(true, 41, true), (false, 41, false), (true, 42, false)] {
        let options = Options { raise_counters, ..Options::default() };
        let mut plan = plan(&wanted, &live, &options).unwrap();
        plan.operations = vec![Operation::Raise { path: "/app".to_owned(), to }];
        plan.hash = menagerie::restore::plan_hash::hash(&wanted, &options, &plan.operations);
        let file = PlanFile::of(wanted.clone(), options, plan);
        let read = PlanFile::read(&serde_json::to_vec(&file).unwrap(), Limits::default());
        assert_eq!(read.is_ok(), fits, "{read:?}");
    }
}

#[test]
fn of_more_counters_than_anybody_reads_the_number_is_told() {
    let mut was = Model::of([("/app", znode(""))]);
    for n in 0..1500 {
        was.znodes.insert(format!("/app/{n}"), Znode { created: 5, ..znode("") });
    }
    let plan = planned(&was, &Model::of([]), &Options::default());
    let told = plan.notes.iter().filter(|note| matches!(note, Note::Counter { was: 5, will_be: 0, .. })).count();
    assert_eq!((plan.counts.counters, told), (1500, 1000));
}

#[test]
fn what_was_not_there_is_deleted_only_when_asked_and_not_above_what_stays() {
    let was = Model::of([("/app", znode(""))]);
    let is = Model::of([
        ("/app", znode("")),
        ("/app/a", znode("")),
        ("/app/a/b", Znode { version: 4, ..znode("") }),
        ("/app/c", znode("")),
        ("/app/c/lock", ephemeral()),
    ]);
    let kept = planned(&was, &is, &overwrite(Access::Super));
    assert_eq!((told(&kept), kept.counts.extra), (vec![], 4));
    let deletes = planned(&was, &is, &Options { delete_extra: true, ..overwrite(Access::Super) });
    assert_eq!(told(&deletes), ["delete /app/a/b (version 4)", "delete /app/a (version 0)"]);
    assert_eq!(reasons(&deletes), [("/app/c/lock", Reason::ExtraEphemeral), ("/app/c", Reason::ExtraWithChildren)]);
    let refused = Options { delete_extra: true, ..Options::default() }.check();
    assert_eq!(refused, Err(OptionsError::DeletesWhatIsKept));
}

#[test]
fn keep_newer_is_only_for_one_history() {
    let existing = Existing::KeepNewer { than: Zxid(10) };
    let with = |lineage| Options { existing, lineage, ..Options::default() };
    let was = Model::of([("/app", znode("was"))]);
    let mut is = Model::of([("/app", Znode { mzxid: 11, ..znode("is") })]);
    assert_eq!(with(Lineage::Other).check(), Err(OptionsError::OtherLineage));
    assert!(with(Lineage::Unknown).check().unwrap_err().to_string().contains("--same-ensemble"));
    assert_eq!(reasons(&planned(&was, &is, &with(Lineage::Same))), [("/app", Reason::Newer)]);
    is.znodes.get_mut("/app").unwrap().mzxid = 10;
    assert_eq!(told(&planned(&was, &is, &with(Lineage::Same))), ["set /app (version 0)"]);
    // Created by the same transaction, and at another time.
    let scope = subtree("/app");
    let mut wanted = was.wanted(&scope);
    wanted.znodes.get_mut("/app").unwrap().ctime = 77;
    let refused = plan(&wanted, &is.live(&scope), &with(Lineage::Same)).unwrap_err();
    assert_eq!(refused, OptionsError::ShownOther { path: "/app".to_owned() });
}

#[test]
fn a_subtree_can_come_back_under_another_path() {
    let was = Model::of([("/app", znode("")), ("/app/c", znode("x")), ("/app/zookeeper", znode(""))]);
    let scope =
        |to: &str| Scope::new(vec![Top { path: "/app".to_owned(), subtree: true }], Some(to.to_owned())).unwrap();
    let is = Model::of([("/old", znode(""))]);
    let told_to = |to: &str| told(&plan(&was.wanted(&scope(to)), &is.live(&scope(to)), &Options::default()).unwrap());
    assert_eq!(told_to("/old/app"), ["create /old/app", "create /old/app/c", "create /old/app/zookeeper"]);
    assert_eq!(told_to("/"), ["create /c"], "and never over ZooKeeper's own");
}

#[test]
fn a_scope_is_of_paths_and_never_zookeepers_own() {
    let of = |path: &str, to: Option<&str>| {
        Scope::new(vec![Top { path: path.to_owned(), subtree: true }], to.map(str::to_owned)).map(|_| ())
    };
    for path in ["", "app", "/app/", "//", "/a//b", "/a/../b", "/.", "/a\0"] {
        assert_eq!(of(path, None), Err(ScopeError::Path(path.to_owned())), "{path:?}");
    }
    assert_eq!(of("/zookeeper/quota", None), Err(ScopeError::Own("/zookeeper/quota".to_owned())));
    assert_eq!(of("/a", Some("/zookeeper")), Err(ScopeError::Own("/zookeeper".to_owned())));
    assert_eq!(of("/zookeepers", None), Ok(()));
    let top = |path: &str, subtree| Top { path: path.to_owned(), subtree };
    assert_eq!(Scope::new(vec![], None), Err(ScopeError::Empty));
    assert_eq!(
        Scope::new(vec![top("/a", true), top("/b", true)], Some("/c".to_owned())),
        Err(ScopeError::OneTarget(2))
    );
    // One that is in another is in it once.
    let scope = Scope::new(
        vec![top("/a", true), top("/a", false), top("/a/b", true), top("/c", false), top("/c", false)],
        None,
    );
    assert_eq!(scope.unwrap().sources(), [top("/a", true), top("/c", false)]);
}

#[test]
fn a_path_that_was_not_there_wants_nothing() {
    let error = Wanted::of(&Tree::initial(), &subtree("/ap"), Limits::default()).unwrap_err();
    assert_eq!(error, WantedError::NoZnode { path: "/ap".to_owned(), zxid: Zxid(0) });
    let all = Wanted::of(&Tree::initial(), &subtree("/"), Limits::default()).unwrap();
    assert_eq!((all.znodes.keys().collect::<Vec<_>>(), all.own), (vec![&"/".to_owned()], 2));
    assert_eq!(all.znodes["/"].acl, Some(Acl::open()));
}

#[test]
fn a_plan_that_somebody_changed_is_not_carried_out() {
    let was = Model::of([("/app", znode("right"))]);
    let scope = subtree("/app");
    let (wanted, live) = (was.wanted(&scope), Model::of([]).live(&scope));
    let file = PlanFile::of(wanted.clone(), Options::default(), plan(&wanted, &live, &Options::default()).unwrap());
    let read = |file: &PlanFile| PlanFile::read(&serde_json::to_vec(file).unwrap(), Limits::default());
    assert!(read(&file).is_ok());
    let mut other = file.clone();
    other.wanted.znodes.get_mut("/app").unwrap().data = b"wrong".to_vec();
    assert!(matches!(read(&other), Err(PlanFileError::Changed(_))));
    // Also what no operation has: a later plan would.
    let mut other = file.clone();
    other.wanted.znodes.get_mut("/app").unwrap().counter += 1;
    assert!(matches!(read(&other), Err(PlanFileError::Changed(_))));
    let mut other = file.clone();
    other.plan.operations.push(Operation::Delete { path: "/".to_owned(), version: 0, czxid: Zxid(0), mzxid: Zxid(0) });
    assert!(matches!(read(&other), Err(PlanFileError::Changed(_))));
    let mut other = file.clone();
    other.version = 2;
    assert!(matches!(read(&other), Err(PlanFileError::Version(2))));
    let few = Limits { znodes: 0, bytes: 0 };
    assert!(matches!(PlanFile::read(&serde_json::to_vec(&file).unwrap(), few), Err(PlanFileError::Changed(_))));
}

#[test]
fn a_plan_sets_no_acl_but_the_wanted_one() {
    let with = |acl: Acl, data| Model::of([("/app", Znode { acl, ..znode(data) })]);
    let closed = acl("digest", "a:h", 31);
    let options = overwrite(Access::Super);
    // Before the data, and after it.
    for (is, was) in [(Acl::open(), closed.clone()), (closed, Acl::open())] {
        let (wanted, live) = (with(was, "new").wanted(&subtree("/app")), with(is, "old").live(&subtree("/app")));
        let mut plan = plan(&wanted, &live, &options).unwrap();
        for changed in [false, true] {
            // Whoever changes a plan can hash it anew: what it does must still be what is wanted.
            for operation in plan.operations.iter_mut().filter(|_| changed) {
                if let Operation::SetAcl { acl: list, .. } = operation {
                    *list = acl("world", "anyone", 3);
                }
            }
            plan.hash = menagerie::restore::plan_hash::hash(&wanted, &options, &plan.operations);
            let file = PlanFile::of(wanted.clone(), options, plan.clone());
            let read = PlanFile::read(&serde_json::to_vec(&file).unwrap(), Limits::default());
            assert_eq!(matches!(read, Err(PlanFileError::Changed(_))), changed, "{read:?}");
        }
    }
}

#[test]
fn a_hash_that_was_approved_with_one_release_is_the_same_in_the_next() {
    let was =
        Model::of([("/app", Znode { acl: acl("digest", "app:hash", 31), ..znode("x") }), ("/app/set", znode("new"))]);
    let is = Model::of([
        ("/app", Znode { aversion: 2, ..znode("x") }),
        ("/app/set", Znode { version: 5, ..znode("old") }),
        ("/app/x", znode("")),
    ]);
    let plan = planned(&was, &is, &Options { delete_extra: true, ..overwrite(Access::Super) });
    assert_eq!(plan.operations.len(), 3);
    assert_eq!(plan.hash.to_string(), "6a76224d5f272709564ce96695ecac89f2a2756b955f04ad901213e7e58a0910");
}
