//! What holds for every tree, every ensemble and every option.

use std::collections::BTreeMap;

use menagerie::restore::acl::{Acl, Entry};
use menagerie::restore::moved::moved;
use menagerie::restore::operation::Operation;
use menagerie::restore::options::{Access, Existing, Lineage, Options};
use menagerie::restore::plan::plan;
use menagerie::restore::plan_file::PlanFile;
use menagerie::restore::reason::Note;
use menagerie::restore::scope::{Scope, Top, parent, under};
use menagerie::restore::wanted::Limits;
use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use zookeeper_files::ids::Zxid;

use crate::applying::{carry_out_with, now};
use crate::model::{BEGIN, Fate, Model, Znode, acl, znode};

/// Up to which znodes are overwritten with `KeepNewer`.
const THAN: u64 = 100;

fn acls(open: bool) -> impl Strategy<Value = Acl> {
    let closed = if open { Acl::open() } else { acl("digest", "app:hash", 31) };
    let lists = if open { Just(Acl::open()).boxed() } else { lists().boxed() };
    prop_oneof![3 => Just(Acl::open()), 1 => Just(if open { Acl::open() } else { acl("world", "anyone", 1) }), 1 => Just(closed), 3 => lists]
}

/// Who has an entry in a list.
const IDS: [(&str, &str); 5] =
    [("world", "anyone"), ("digest", "app:hash"), ("digest", "other:hash"), ("sasl", "app"), ("ip", "10.0.0.1")];

fn lists() -> impl Strategy<Value = Acl> {
    vec((proptest::sample::select(&IDS[..]), 0..32_i32), 1..4).prop_map(|entries| {
        let entry = |((scheme, id), rights): ((&str, &str), i32)| Entry {
            scheme: scheme.to_owned(),
            id: id.to_owned(),
            rights,
        };
        entries.into_iter().map(entry).collect::<Vec<_>>().into()
    })
}

/// An ACL that anyone can read and that is in no tree here.
fn by_another_hand() -> Acl {
    let entry = |scheme: &str, id: &str| Entry { scheme: scheme.to_owned(), id: id.to_owned(), rights: 3 };
    vec![entry("world", "anyone"), entry("sasl", "another")].into()
}

/// Whether a client with some of these ids can read what has this ACL, or can give itself the right to.
fn reads(client: usize, acl: &Acl) -> bool {
    let has = |entry: &Entry| {
        let at = IDS.iter().position(|(scheme, id)| (*scheme, *id) == (&*entry.scheme, &*entry.id)).unwrap();
        (client | 1) & (1 << at) != 0
    };
    acl.entries().iter().filter(|entry| has(entry)).any(|entry| entry.rights & (1 | 16) != 0)
}

/// A tree in which everything has its parent, and no ephemeral has a child.
fn tree(open: bool) -> impl Strategy<Value = Model> {
    let path =
        vec(prop_oneof![Just("a"), Just("b"), Just("a-b")], 1..4).prop_map(|names| format!("/{}", names.join("/")));
    let top = prop_oneof![Just(""), Just("/s"), Just("/o")];
    let one = ("[xyz]?", acls(open), any::<[u8; 3]>(), 1..200_u64, proptest::bool::weighted(0.15));
    let quotas = proptest::option::weighted(
        0.3,
        btree_map(proptest::sample::select(&LIMITED[..]), (limits(), 0..3, 1..200_u64, counted()), 1..4),
    );
    (btree_map((top, path), one, 0..14), quotas).prop_map(|(znodes, quotas)| {
        let mut model = Model::of([]);
        for (of, (limits, version, mzxid, counted)) in quotas.unwrap_or_default() {
            model.limit(of, limits);
            let of = if of == "/" { "" } else { of };
            match counted {
                // As servers count.
                Some(COUNTED) => {}
                Some(stats) => model.count(of, stats),
                None => model.delete_subtree(&format!("/zookeeper/quota{of}/zookeeper_stats")),
            }
            let there = model.znodes.get_mut(&format!("/zookeeper/quota{of}/zookeeper_limits")).unwrap();
            (there.version, there.mzxid) = (version, mzxid);
        }
        for ((top, path), (data, acl, [version, aversion, created], mzxid, ephemeral)) in znodes {
            let path = format!("{top}{path}");
            for above in std::iter::successors(parent(&path), |path| parent(path)) {
                let there = model.znodes.entry(above.to_owned()).or_insert_with(|| znode("above"));
                there.ephemeral = false;
            }
            let has_children = model.znodes.keys().any(|child| parent(child) == Some(path.as_str()));
            let [version, aversion] = [version, aversion].map(i32::from);
            let ephemeral = ephemeral && !has_children;
            let new = Znode {
                data: data.into(),
                acl,
                ephemeral,
                version,
                aversion,
                mzxid,
                czxid: 1,
                created: created.into(),
            };
            model.znodes.insert(path, new);
        }
        model
    })
}

/// What quotas are for.
const LIMITED: [&str; 8] = ["/", "/s", "/s/a", "/s/a/b", "/o", "/o/a", "/gone", "/zookeeper"];

/// What stands in statistics: two that end servers, and none at all.
/// Statistics that no client has set.
const COUNTED: &str = "count=0,bytes=0";

fn counted() -> impl Strategy<Value = Option<&'static str>> {
    let set = [Some("x"), Some(""), Some("count=1,bytes=1")];
    proptest::sample::select([vec![Some(COUNTED); 3], set.into(), vec![None]].concat())
}

/// The last is none that a server can read.
fn limits() -> impl Strategy<Value = &'static str> {
    let texts = ["count=5,bytes=-1", "count=-1,bytes=-1", "count=-1,bytes=-1=;byteHardLimit=9;countHardLimit=4", "x"];
    proptest::sample::select(texts.to_vec())
}

fn scopes() -> impl Strategy<Value = Scope> {
    let top = (prop_oneof![Just("/"), Just("/s"), Just("/s/a"), Just("/s/a/b"), Just("/s/a-b")], any::<bool>());
    let tops = vec(top, 1..3);
    let to = prop_oneof![4 => Just(None), 1 => Just(Some("/o".to_owned())), 1 => Just(Some("/o/a".to_owned()))];
    (tops, to).prop_filter_map("several to one", |(tops, to)| {
        let tops = tops.into_iter().map(|(path, subtree)| Top { path: path.to_owned(), subtree }).collect();
        Scope::new(tops, to).ok()
    })
}

fn options(access: Access) -> impl Strategy<Value = Options> {
    let existing = prop_oneof![
        Just(Existing::Keep),
        Just(Existing::KeepNewer { than: Zxid(THAN) }),
        Just(Existing::Overwrite),
        Just(Existing::Overwrite)
    ];
    (existing, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        move |(existing, delete, raise_counters, quotas)| Options {
            existing,
            delete_extra: delete && existing == Existing::Overwrite,
            lineage: Lineage::Same,
            access,
            raise_counters,
            quotas: quotas && access == Access::Super,
        },
    )
}

/// The same without the super user, where ACLs of any kind are. Those outside of the scope are not read, so all is in it.
fn world_of_anyone() -> impl Strategy<Value = (Model, Model, Scope, Options)> {
    let all = Scope::new(vec![Top { path: "/".to_owned(), subtree: true }], None).unwrap();
    let now = tree(false).prop_map(|model| Model { access: Access::Anyone, ..model });
    (tree(false), now, Just(all), options(Access::Anyone))
}

/// What was, what is, what of it and how. Without the super user everything that is there is open, or all of it is in the scope.
fn world() -> impl Strategy<Value = (Model, Model, Scope, Options)> {
    let open_to_us = prop_oneof![Just(Access::Super), Just(Access::Anyone)].prop_flat_map(|access| {
        let now = tree(access == Access::Anyone).prop_map(move |model| Model { access, ..model });
        (tree(false), now, scopes(), options(access))
    });
    prop_oneof![2 => open_to_us, 1 => world_of_anyone()]
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 500, ..Default::default() })]

    #[test]
    fn a_plan_that_is_carried_out_makes_the_scope_what_it_was_and_touches_nothing_else((was, is, scope, options) in world()) {
        let wanted = was.wanted(&scope);
        let planned = plan(&wanted, &is.live(&scope), &options).unwrap();
        let mut then = is.clone();
        // Every operation works where it stands in the order.
        then.carry_out(&planned.operations, &wanted);
        let skipped = |path: &str| planned.skipped.iter().any(|skipped| skipped.path == path);
        for (path, znode) in wanted.znodes.iter().filter(|(path, _)| !skipped(path)) {
            let there = &then.znodes[path];
            prop_assert_eq!(&there.data, &znode.data, "{}", path);
            // An ACL that the server hides stays, and that is said if the data was set.
            let hidden = is.one(path).is_some_and(|now| now.acl.is_hidden(options.access));
            let set = planned.operations.iter().any(|operation| matches!(operation, Operation::Set { path: set, .. } if set == path));
            prop_assert_eq!(hidden && set, planned.notes.contains(&Note::HiddenAcl { path: path.clone() }));
            prop_assert!(hidden || Some(&there.acl) == znode.acl.as_ref(), "{path}: {}", there.acl);
            // No sequence counter is lower than it was unless that is said.
            let lower = there.created < znode.counter;
            prop_assert_eq!(lower, planned.notes.iter().any(|note| matches!(note, Note::Counter { path: told, .. } if told == path)), "{}", path);
            prop_assert!(!lower || !options.raise_counters || options.access == Access::Anyone, "{path} could be raised");
        }
        for path in then.znodes.keys().filter(|path| scope.has(path) && !skipped(path) && options.delete_extra && *path != "/") {
            prop_assert!(wanted.znodes.contains_key(path), "{} was not there", path);
        }
        let outside = |model: &Model| model.znodes.iter().filter(|(path, _)| !scope.has(path) && !under(path, "/zookeeper/quota")).map(|(path, znode)| (path.clone(), Znode { created: 0, ..znode.clone() })).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(outside(&is), outside(&then));
        prop_assert!(!is.znodes.iter().any(|(path, znode)| znode.ephemeral && then.znodes.get(path) != Some(znode)), "a session's znode was changed");
        let quotas = |model: &Model| model.znodes.iter().filter(|(path, _)| under(path, "/zookeeper/quota")).map(|(path, znode)| (path.clone(), znode.clone())).collect::<BTreeMap<_, _>>();
        let (before, after) = (quotas(&is), quotas(&then));
        prop_assert!(options.quotas || before == after);
        prop_assert!(before.keys().all(|path| after.contains_key(path)), "a quota went");
        for (of, limits) in wanted.quotas.iter().filter(|(of, _)| options.quotas && !skipped(&format!("/zookeeper/quota{of}")) && **of != "/") {
            let there = then.limits(of).unwrap();
            prop_assert_eq!(Some(there.to_vec()), limits.map(|limits| limits.text().into_bytes()), "{}", of);
            prop_assert!(then.znodes.contains_key(of) || is.limits(of) == Some(there), "a quota of nothing: {of}");
            let stats = format!("/zookeeper/quota{of}/zookeeper_stats");
            prop_assert!(then.znodes.contains_key(&stats) || !then.znodes.contains_key(of), "nobody counts: {of}");
        }
        let again = plan(&wanted, &then.live(&scope), &options).unwrap();
        prop_assert_eq!(again.operations, Vec::new());
    }

    #[test]
    fn what_exists_is_kept_whole_unless_it_may_be_overwritten((was, is, scope, options) in world()) {
        let wanted = was.wanted(&scope);
        let planned = plan(&wanted, &is.live(&scope), &options).unwrap();
        for operation in &planned.operations {
            let there = is.znodes.get(operation.path());
            match (operation, options.existing) {
                (Operation::Create { .. }, _) => prop_assert!(there.is_none()),
                (Operation::Raise { .. }, _) => prop_assert!(options.raise_counters),
                (Operation::CreateQuota { .. }, _) => prop_assert!(options.quotas && is.limits(operation.quota_of().unwrap()).is_none()),
                (Operation::CountQuota { .. }, _) => prop_assert!(options.quotas && is.limits(operation.quota_of().unwrap()).is_some()),
                (Operation::SetQuota { seen, .. }, Existing::KeepNewer { .. }) => prop_assert!(seen.mzxid.0 <= THAN),
                (Operation::Delete { .. }, _) => prop_assert!(options.delete_extra && !wanted.znodes.contains_key(operation.path())),
                (_, Existing::Overwrite) => {}
                (_, Existing::Undo { .. }) => prop_assert!(false, "undo has laws of its own"),
                (_, Existing::Keep) => prop_assert!(false, "{}", operation),
                (Operation::Set { .. }, Existing::KeepNewer { .. }) => prop_assert!(there.unwrap().mzxid <= THAN),
                (Operation::SetAcl { .. }, Existing::KeepNewer { .. }) => {
                    let there = there.unwrap();
                    prop_assert!(there.mzxid <= THAN || there.data == wanted.znodes[operation.path()].data);
                }
            }
        }
    }

    #[test]
    fn after_any_part_of_a_plan_a_new_one_leads_to_the_same_end_and_nobody_is_blamed(
        (was, is, scope, options) in world(), part in any::<proptest::sample::Index>()
    ) {
        let wanted = was.wanted(&scope);
        let approved = plan(&wanted, &is.live(&scope), &options).unwrap();
        let part = part.index(approved.operations.len() + 1);
        let (mut at_once, mut in_parts) = (is.clone(), is.clone());
        at_once.carry_out(&approved.operations, &wanted);
        in_parts.carry_out(&approved.operations[..part], &wanted);
        let live = in_parts.live(&scope);
        let rest = plan(&wanted, &live, &options).unwrap();
        prop_assert_eq!(moved(&approved, &rest, &live, options.access), Vec::new());
        in_parts.carry_out(&rest.operations, &wanted);
        prop_assert_eq!(at_once.content(), in_parts.content());
    }

    #[test]
    fn what_a_quota_refuses_was_told_before_anything_was_done(
        (was, is, scope, options) in world(), top in prop_oneof![Just("/s"), Just("/s/a"), Just("/o")], znodes in 0..12_i64, bytes in 0..40_i64
    ) {
        let wanted = was.wanted(&scope);
        let mut then = is.clone();
        let options = Options { quotas: false, ..options };
        // Alone: of nested ones servers count for the nearest, and this model for each.
        then.znodes.retain(|path, _| !path.starts_with("/zookeeper/quota/"));
        then.limit_hard(top, znodes, bytes);
        then.enforces = true;
        let planned = plan(&wanted, &then.live(&scope), &options).unwrap();
        let refused = planned.operations.iter().any(|operation| {
            let data = wanted.znodes.get(operation.path()).map(|znode| znode.data.clone()).unwrap_or_default();
            then.perform(operation, &data).is_err()
        });
        let told = planned.notes.iter().any(|note| matches!(note, Note::Quota { .. }));
        prop_assert_eq!(told, planned.counts.quotas > 0);
        prop_assert!(told || !refused);
        // It is no reason to plan anything else, and nor are other limits. Statistics that end servers are.
        let mut counted = is.clone();
        for (_, stats) in counted.znodes.iter_mut().filter(|(path, _)| path.ends_with("/zookeeper_stats")) {
            *stats = znode("count=0,bytes=0");
        }
        let without = plan(&wanted, &counted.live(&scope), &options).unwrap();
        prop_assert_eq!((without.operations, without.hash), (planned.operations, planned.hash));
    }

    #[test]
    fn nobody_ever_reads_data_that_neither_its_old_nor_its_new_acl_let_them_read((was, is, scope, options) in world()) {
        let wanted = was.wanted(&scope);
        let planned = plan(&wanted, &is.live(&scope), &options).unwrap();
        let mut then = is.clone();
        for operation in &planned.operations {
            then.carry_out(std::slice::from_ref(operation), &wanted);
            let path = operation.path();
            let (Some(now), Some(new)) = (then.znodes.get(path), wanted.znodes.get(path)) else { continue };
            let new_acl = new.acl.as_ref().unwrap();
            for client in (0..1 << IDS.len()).filter(|client| reads(*client, &now.acl)) {
                let by_old = is.znodes.get(path).is_some_and(|old| old.data == now.data && reads(client, &old.acl));
                let by_new = new.data == now.data && reads(client, new_acl);
                prop_assert!(by_old || by_new, "after {operation}, {client:b} reads {path}");
            }
        }
    }

    #[test]
    fn whatever_is_lost_on_the_way_the_end_is_the_same(
        (was, is, scope, options) in world(), fates in vec(prop_oneof![2 => Just(Fate::Fine), 1 => Just(Fate::Lost), 1 => Just(Fate::AnswerLost)], 0..12)
    ) {
        let wanted = was.wanted(&scope);
        let approved = plan(&wanted, &is.live(&scope), &options).unwrap();
        let mut at_once = is.clone();
        at_once.carry_out(&approved.operations, &wanted);
        let file = PlanFile::of(wanted, options, approved);
        let (then, applied) = now(carry_out_with(is, &file, &fates));
        prop_assert!(applied.is_ok(), "{:?}", applied);
        prop_assert_eq!(at_once.content(), then.content());
    }

    #[test]
    fn another_hand_on_a_znode_of_the_plan_is_seen((was, is, scope, options) in world(), which in any::<proptest::sample::Index>()) {
        let wanted = was.wanted(&scope);
        let approved = plan(&wanted, &is.live(&scope), &options).unwrap();
        let mut then = is;
        let existing = approved.operations.iter().filter(|operation| operation.czxid().is_some());
        let existing: Vec<&Operation> = existing.collect();
        if existing.is_empty() {
            return Ok(());
        }
        let operation = existing[which.index(existing.len())];
        let (path, data) = match operation.quota_of() {
            Some(of) => (format!("/zookeeper/quota{of}/zookeeper_limits"), "count=77,bytes=-1"),
            None => (operation.path().to_owned(), "other"),
        };
        let there = then.znodes.get_mut(&path).unwrap();
        // No tree has this data or this ACL: another hand that writes just what is planned has done it for us.
        (there.data, there.acl) = (data.into(), by_another_hand());
        (there.version, there.aversion, there.mzxid) = (there.version + 1, there.aversion + 1, BEGIN);
        let live = then.live(&scope);
        let rest = plan(&wanted, &live, &options).unwrap();
        prop_assert!(!moved(&approved, &rest, &live, options.access).is_empty());
    }

    #[test]
    fn a_plan_is_the_same_after_it_was_saved((was, is, scope, options) in world()) {
        let wanted = was.wanted(&scope);
        let planned = plan(&wanted, &is.live(&scope), &options).unwrap();
        let file = PlanFile::of(wanted, options, planned);
        let text = serde_json::to_vec(&file).unwrap();
        prop_assert_eq!(PlanFile::read(&text, Limits::default()).unwrap(), file);
    }

    #[test]
    fn no_text_is_too_odd_to_be_a_plan(text in any::<Vec<u8>>()) {
        prop_assert!(PlanFile::read(&text, Limits::default()).is_err());
    }
}
