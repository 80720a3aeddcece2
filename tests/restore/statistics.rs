//! What servers count by: whether a restore may write below it, and what it sees of it.

use menagerie::restore::apply::{ApplyError, ChangedSincePlan};
use menagerie::restore::live::Live;
use menagerie::restore::operation::Operation;
use menagerie::restore::options::{Access, Existing, Options};
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::PlanFile;
use menagerie::restore::quota::MOST_QUOTAS;
use menagerie::restore::reader::read;
use menagerie::restore::reason::{Note, Reason};
use menagerie::restore::wanted::{Limits, Wanted};
use zookeeper_files::log::Lifetime;

use crate::applying::{now, run};
use crate::model::{Connection, Model, Znode, znode};
use crate::quotas::{FIVE, TEN, approved, both, in_scope, limited, skipped, to, told, with};
use crate::server::{Do, Server, file};

/// As a restore reads it.
fn seen(is: &Model, path: &str) -> Live {
    now(read(&Connection::to(is.clone()), &to(path, None), Limits::default(), &mut |_| ())).unwrap()
}

/// What a restore that reads this does about a znode that is gone, and why not.
fn back(is: &Model, gone: &'static str) -> Vec<(String, Reason)> {
    let mut was = is.clone();
    was.znodes.insert(gone.to_owned(), znode("1"));
    let scope = to("/app", None);
    let options = Options { quotas: false, ..with(Existing::Keep) };
    let planned = plan(&was.wanted(&scope), &seen(is, "/app"), &options).unwrap();
    both(&planned).1
}

#[test]
fn statistics_that_a_client_has_set_are_not_trusted_whatever_one_server_has_made_of_them() {
    let mut is = limited("/app", TEN);
    assert_eq!(back(&is, "/app/gone"), vec![]);
    let left = vec![("/app/gone".to_owned(), Reason::UnreadableStatistics)];
    // Set since they were created, or in the transaction that created them.
    for (version, mzxid) in [(3, 9), (1, 1), (0, 9)] {
        let stats = Znode { version, mzxid, ..znode("count=1,bytes=0") };
        is.znodes.insert("/zookeeper/quota/app/zookeeper_stats".to_owned(), stats);
        assert_eq!(back(&is, "/app/gone"), left, "{version} {mzxid}");
    }
}

#[test]
fn quotas_are_found_below_the_limits_and_the_statistics_of_others() {
    for above in ["/app/zookeeper_limits", "/app/zookeeper_stats", "/app/zookeeper_stats/deep"] {
        let mut is = Model::of([("/app", znode(""))]);
        is.limit("/app", FIVE);
        is.limit(above, TEN);
        let live = seen(&is, "/app");
        assert!(live.quotas.unwrap().contains_key(above) && live.below_quota.contains(above), "{above}");
        is.count(above, "x");
        let below: &'static str = format!("{above}/gone").leak();
        for path in ["/app/zookeeper_limits", "/app/zookeeper_stats", "/app/zookeeper_stats/deep"] {
            is.znodes.insert(path.to_owned(), znode(""));
        }
        assert_eq!(back(&is, below), vec![(below.to_owned(), Reason::UnreadableStatistics)], "{above}");
    }
}

#[test]
fn what_some_servers_count_for_another_path_holds_that_one_too() {
    let left = vec![("/app/gone".to_owned(), Reason::UnreadableStatistics)];
    // A name of spaces; and, once a server has started, the first name that begins as that of limits does.
    for of in ["/app/ ", "/app/zookeeper_limits/x", "/app/zookeeper_limits-x"] {
        let mut is = Model::of([("/app", znode(""))]);
        is.limit(of, TEN);
        assert_eq!(back(&is, "/app/gone"), vec![], "{of:?}");
        is.count("/app", "x");
        assert_eq!(back(&is, "/app/gone"), left, "{of:?}");
    }
    // Limits with children are forgotten by a server that starts: then the next one above counts.
    let mut is = Model::of([("/app", znode("")), ("/app/a", znode(""))]);
    is.limit("/app", TEN);
    is.count("/app", "x");
    is.limit("/app/a", TEN);
    assert_eq!(back(&is, "/app/a/gone"), vec![]);
    is.znodes.insert("/zookeeper/quota/app/a/zookeeper_limits/child".to_owned(), znode(""));
    assert_eq!(back(&is, "/app/a/gone"), vec![("/app/a/gone".to_owned(), Reason::UnreadableStatistics)]);
}

#[test]
fn deletes_are_told_as_well_where_the_quotas_cannot_be_read() {
    let (was, is) = (Model::of([("/app", znode(""))]), Model::of([("/app", znode("")), ("/app/a", znode(""))]));
    let scope = to("/app", None);
    let options = Options { quotas: false, delete_extra: true, ..with(Existing::Overwrite) };
    let live = Live { quotas: None, ..is.live(&scope) };
    let planned = plan(&was.wanted(&scope), &live, &options).unwrap();
    assert_eq!((planned.counts.delete, planned.notes), (1, vec![Note::QuotasUnknown]));
}

/// More quotas than a restore reads.
fn crowd(model: &mut Model) {
    for n in 0..=MOST_QUOTAS {
        model.znodes.insert(format!("/zookeeper/quota/{n}"), znode(""));
    }
}

#[test]
fn a_plan_that_was_made_with_the_quotas_in_view_is_not_carried_out_blind() {
    let (was, is) = (Model::of([("/app", znode("")), ("/app/a", znode(""))]), Model::of([("/app", znode(""))]));
    let scope = to("/app", None);
    let options = Options { quotas: false, ..with(Existing::Keep) };
    let file = PlanFile::of(was.wanted(&scope), options, in_scope(&scope, &was, &is, &options));
    let mut crowded = is.clone();
    crowd(&mut crowded);
    for changed in [ChangedSincePlan::Fail, ChangedSincePlan::Replan] {
        let connection = Connection::to(crowded.clone());
        let stopped = run(&connection, &file, changed).unwrap_err();
        assert!(matches!(stopped, ApplyError::QuotasUnknown), "{stopped}");
        assert_eq!((connection.requests.get(), stopped.to_string().contains("plan again")), (0, true));
    }
    // Whoever has approved it with that note knows.
    let blind = plan(&was.wanted(&scope), &seen(&crowded, "/app"), &options).unwrap();
    let file = PlanFile::of(was.wanted(&scope), options, blind);
    assert_eq!(run(&Connection::to(crowded), &file, ChangedSincePlan::Fail).unwrap().done, 1);
}

#[test]
fn limits_that_somebody_makes_anew_since_the_plan_are_neither_set_nor_counted() {
    let limits = "/zookeeper/quota/app/zookeeper_limits";
    let was = limited("/app", TEN);
    for (there, operation) in [(TEN, "let servers count"), (FIVE, "set the quota")] {
        let mut is = limited("/app", there);
        is.delete_subtree("/zookeeper/quota/app/zookeeper_stats");
        let file = approved(&was, &is);
        assert!(matches!(
            &file.plan.operations[..],
            [Operation::CountQuota { .. } | Operation::SetQuota { counts: true, .. }]
        ));
        // With the same version.
        let anew = Znode { czxid: 700, mzxid: 700, ..znode(there) };
        let mut then = is.clone();
        then.znodes.insert(limits.to_owned(), anew.clone());
        let stopped = run(&Connection::to(then), &file, ChangedSincePlan::Fail).unwrap_err();
        assert!(stopped.to_string().contains(&format!("would now {operation}")), "{stopped}");
        // Between our read and our change.
        let connection = Connection::to(is);
        *connection.meddler.borrow_mut() =
            Some(Box::new(move |_, model| _ = model.znodes.insert(limits.to_owned(), anew.clone())));
        let stopped = run(&connection, &file, ChangedSincePlan::Fail).unwrap_err();
        assert!(matches!(stopped, ApplyError::Moved { .. }), "{stopped}");
        let now = connection.model.borrow();
        assert_eq!(now.limits("/app"), Some(there.as_bytes()));
        assert!(!now.znodes.contains_key("/zookeeper/quota/app/zookeeper_stats"));
    }
}

#[test]
fn a_quota_that_was_not_in_force_does_not_come_back_as_one_that_is() {
    let mut server = Server::new(&[
        file("/app", ""),
        file("/zookeeper/quota/app", ""),
        file("/zookeeper/quota/app/zookeeper_limits", TEN),
        file("/app/odd", ""),
        file("/zookeeper/quota/app/odd", ""),
        file("/zookeeper/quota/app/odd/zookeeper_limits", TEN),
        file("/zookeeper/quota/app/odd/zookeeper_limits/child", ""),
        file("/zookeeper/quota/app/odd/zookeeper_stats", ""),
        file("/app/good", ""),
        file("/zookeeper/quota/app/good", ""),
        file("/zookeeper/quota/app/good/zookeeper_limits", TEN),
        file("/zookeeper/quota/app/good/zookeeper_stats", ""),
    ]);
    let tree = server.log(&[Do::Create("/last", "", Lifetime::Persistent)]).after;
    let wanted = Wanted::of(&tree, &to("/app", None), Limits::default()).unwrap();
    assert_eq!(wanted.quotas.keys().collect::<Vec<_>>(), ["/app/good"]);
    assert_eq!(wanted.idle_quotas, ["/app", "/app/odd"].map(str::to_owned).into());
    let mut was = limited("/app", TEN);
    was.delete_subtree("/zookeeper/quota/app/zookeeper_stats");
    let none = Model::of([("/app", znode("")), ("/app/a", znode("a"))]);
    assert_eq!(told(&was, &none, Existing::Overwrite), skipped("/app", Reason::QuotaNotInForce));
    // Unasked for, it is nobody's loss.
    let options = Options { quotas: false, access: Access::Super, ..with(Existing::Overwrite) };
    let planned = in_scope(&to("/app", None), &was, &none, &options);
    assert_eq!((planned.skipped, planned.notes), (vec![], vec![]));
}
