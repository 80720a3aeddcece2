//! What holds for the undo of every transaction, whatever came after it.

use std::collections::BTreeSet;

use menagerie::restore::acl::Acl;
use menagerie::restore::moved::moved;
use menagerie::restore::operation::Operation;
use menagerie::restore::options::Access;
use menagerie::restore::plan_file::PlanFile;
use menagerie::restore::reason::Reason;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use zookeeper_files::log::Lifetime;

use crate::applying::{carry_out_with, now};
use crate::model::{Fate, Model, Znode, acl};
use crate::server::{Do, Logged, Server, acl_of, closed, undo};

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
