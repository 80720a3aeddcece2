//! The rule over every kind of volume, as a table, and its laws over volumes nobody would think of.

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::agent;
use crate::model::{Beginning, Charter, Server, fixtures};

const ROOT: &str = "/data";
const OWN: ServerId = ServerId(2);

/// A volume as files by path, which is what changes act on.
type Files = BTreeMap<String, String>;

fn list(ids: &[u32]) -> String {
    named(ids, "ns")
}

fn named(ids: &[u32], domain: &str) -> String {
    let member = |id: &u32| (ServerId(*id), Server::voter(&format!("a-{}.{domain}", id - 1)));
    Membership { servers: ids.iter().map(member).collect(), ..Membership::default() }.text()
}

fn seed(ids: &[u32], version: u64, birth: bool) -> Seed {
    told(&list(ids), version, birth)
}

fn told(membership: &str, version: u64, birth: bool) -> Seed {
    let charter = fixtures::charter(birth.into(), membership, version);
    agent::fixtures::seed(&Charter { joiner: Server::voter("a-{ordinal}.ns").spec().to_owned(), ..charter })
}

fn mark(identity: &str, id: u32) -> String {
    serde_json::to_string(&Mark {
        identity: identity.into(),
        ensemble: identity.into(),
        id: ServerId(id),
        resynced: None,
    })
    .unwrap()
}

fn look(files: &Files) -> Found {
    let dynamics = files.iter().filter_map(|(path, text)| {
        Some((path.strip_prefix(CONF)?.strip_prefix('/')?.strip_prefix(STEM)?.to_owned(), text.clone()))
    });
    Found {
        mark: files.get(MARK).cloned(),
        database: files.keys().any(|path| path.starts_with("version-2/")),
        initialize: files.contains_key(INITIALIZE),
        dynamics: dynamics.collect(),
    }
}

fn apply(files: &mut Files, changes: &[VolumeChange]) {
    for change in changes {
        match change {
            VolumeChange::Write { path, text, .. } => files.insert(path.clone(), text.clone()),
            VolumeChange::Remove { path } => files.remove(path),
            VolumeChange::SetAside => {
                files.retain(|path, _| !path.starts_with("version-2/"));
                None
            }
        };
    }
}

fn dynamic(version: &str) -> String {
    format!("{CONF}/{STEM}{version}")
}

/// A volume of this member with these memberships on record.
fn volume(records: &[(&str, &str)]) -> Files {
    let records = records.iter().map(|(version, text)| (dynamic(version), (*text).to_owned()));
    records.chain([(MARK.to_owned(), mark("one", 2))]).collect()
}

fn prepared(files: &Files, seed: &Seed) -> (Preparation, Files) {
    let plan = prepare(&look(files), seed, OWN, ROOT).unwrap();
    let mut after = files.clone();
    apply(&mut after, &plan.changes);
    (plan, after)
}

#[test]
fn case_25_case_r15_founders_that_are_called_otherwise_or_are_fewer_count_until_a_list_was_agreed_on() {
    let mut renamed = seed(&[1, 2, 3], 0, true);
    renamed.membership.servers.insert(ServerId(3), Server::voter("a-2.elsewhere"));
    let fewer = seed(&[1, 2], 0, true);
    for told in [renamed, fewer] {
        let files = volume(&[("0", &list(&[1, 2, 3]))]);
        assert!(outdated(&look(&files), &told, OWN).is_some(), "its server has to be started anew");
        let (plan, after) = prepared(&files, &told);
        assert_eq!((plan.using.servers, plan.from), (told.membership.servers.clone(), Source::Charter));
        assert_eq!(outdated(&look(&after), &told, OWN), None);
        let agreed = volume(&[("100000000", &list(&[1, 2, 3]))]);
        assert_eq!(prepared(&agreed, &told).0.from, Source::Record, "an agreed list");
        let names_alone = told.membership.servers.len() == 3;
        let mut born = told;
        born.beginning = Beginning::TakenUp;
        let from = if names_alone { Source::Charter } else { Source::Record };
        assert_eq!(prepared(&files, &born).0.from, from, "a birth that is over: nobody lets founders go any more");
    }
}

#[test]
fn the_membership_in_use_follows_from_record_and_charter() {
    const NONE: &[(&str, &[u32])] = &[];
    // Record, charter, its version; the list in use, its version, where it comes from.
    #[expect(clippy::type_complexity)]
    let table: &[(&[(&str, &[u32])], &[u32], u64, &[u32], u64, Source, &str)] = &[
        (NONE, &[1, 2, 3], 0, &[1, 2, 3], 0, Source::Charter, "at birth"),
        (NONE, &[1, 2, 3], 9, &[1, 2, 3], 9, Source::Charter, "an empty disk of a member"),
        (NONE, &[1, 3], 9, &[1, 2, 3], 0, Source::Joiner, "an empty disk of a joiner"),
        (&[("0", &[1, 2, 3])], &[1, 2, 3], 0, &[1, 2, 3], 0, Source::Record, "a second start at birth"),
        (&[("0", &[1, 2, 3])], &[1, 2, 3, 4], 0, &[1, 2, 3], 0, Source::Record, "another seed is not a newer one"),
        (&[("5", &[1, 2, 3])], &[1, 2, 3], 5, &[1, 2, 3], 5, Source::Record, "nothing happened"),
        (&[("5", &[1, 2, 3])], &[1, 2, 3], 3, &[1, 2, 3], 5, Source::Record, "an old charter"),
        (&[("5", &[1, 2, 3])], &[1, 3], 3, &[1, 2, 3], 5, Source::Record, "added since"),
        (&[("5", &[1, 2, 3])], &[1, 2, 3, 4], 9, &[1, 2, 3, 4], 9, Source::Charter, "others joined while it was down"),
        (&[("5", &[1, 2, 3])], &[1, 3], 9, &[1, 2, 3], 0, Source::Joiner, "removed while it was down"),
        (&[("5", &[1, 3])], &[1, 3, 4], 4, &[1, 2, 3], 0, Source::Joiner, "a joiner, its record the newer one"),
        (&[("5", &[1, 3])], &[1, 3, 4], 9, &[1, 2, 3, 4], 0, Source::Joiner, "a joiner, the charter the newer one"),
        (&[("5", &[1, 3])], &[1, 2, 3], 9, &[1, 2, 3], 9, Source::Charter, "added while it was down"),
        (&[("5", &[1, 3])], &[1, 2, 3], 4, &[1, 2, 3], 0, Source::Joiner, "removed, and the charter old"),
        (&[("0", &[1, 2]), ("5", &[1])], &[1], 5, &[1, 2], 0, Source::Joiner, "a joiner that has met the leader"),
        (&[("0", &[1, 2]), ("5", &[1, 2])], &[1], 4, &[1, 2], 5, Source::Record, "a joiner that was added"),
        (&[("0", &[1, 2])], &[1], 5, &[1, 2], 0, Source::Joiner, "a joiner that never met the leader"),
    ];
    for (records, members, version, ids, used, from, case) in table {
        let texts: Vec<_> = records.iter().map(|(version, ids)| (*version, list(ids))).collect();
        let files = volume(&texts.iter().map(|(version, text)| (*version, text.as_str())).collect::<Vec<_>>());
        let (plan, after) = prepared(&files, &seed(members, *version, false));
        assert_eq!(plan.using.servers.keys().map(|id| id.0).collect::<Vec<_>>(), *ids, "{case}");
        assert_eq!((plan.using.version, plan.from), (ConfigVersion(*used), *from), "{case}");
        let name = dynamic(&ConfigVersion(*used).to_string());
        assert_eq!(after[&name], list(ids), "{case}");
        assert!(after["conf/zoo.cfg"].ends_with(&format!("\ndynamicConfigFile=/data/{name}\n")), "{case}");
    }
}

#[test]
fn only_a_member_of_the_seed_with_an_empty_disk_may_vote_at_birth() {
    // Birth, in the charter, record, database; whether the marker is there afterwards.
    for (birth, members, record, database, marked) in [
        (true, &[1, 2][..], None, false, true),
        (true, &[1, 2], Some("0"), false, true),
        (true, &[1, 2], None, true, false),
        (true, &[1, 2], Some("5"), false, false),
        (true, &[1, 3], None, false, false),
        (false, &[1, 2], None, false, false),
        (false, &[1, 2], Some("0"), false, false),
    ] {
        for left_over in [false, true] {
            let text = list(&[1, 2]);
            let mut files = volume(&record.map(|version| (version, text.as_str())).into_iter().collect::<Vec<_>>());
            files.extend(database.then(|| ("version-2/snapshot.0".into(), String::new())));
            files.extend(left_over.then(|| (INITIALIZE.into(), String::new())));
            let (_, after) = prepared(&files, &seed(members, 0, birth));
            assert_eq!(after.contains_key(INITIALIZE), marked, "{birth} {members:?} {record:?} {database} {left_over}");
        }
    }
}

#[test]
fn an_empty_volume_is_marked_before_anything_else() {
    let (plan, after) = prepared(&Files::new(), &seed(&[1, 2, 3], 0, true));
    let written = plan.changes.iter().map(|change| match change {
        VolumeChange::Write { path, secret, .. } => (path.as_str(), *secret),
        VolumeChange::Remove { .. } | VolumeChange::SetAside => panic!("{change:?}"),
    });
    let expected =
        [(MARK, false), (MYID, false), ("conf/zoo.cfg.dynamic.0", false), ("conf/zoo.cfg", true), (INITIALIZE, false)];
    assert_eq!(written.collect::<Vec<_>>(), expected);
    assert_eq!(after[MARK], "{\"identity\":\"one\",\"ensemble\":\"a\",\"id\":2}\n");
    assert_eq!(after[MYID], "2\n");
    assert_eq!(
        after["conf/zoo.cfg"],
        "tickTime=2000\nmenagerie.config=a1b2dd0b3ac332f7d98094598b5cfe7c502f4e05\n\
         DigestAuthenticationProvider.superDigest=super:0bX78nEegDzJM3ju0iLBEJdWzjg=\n\
         dynamicConfigFile=/data/conf/zoo.cfg.dynamic.0\n"
    );
}

#[test]
fn a_volume_of_another_is_refused_and_says_whose_it_is() {
    let refusal = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        prepare(&look(&files), &seed(&[1, 2, 3], 0, true), OWN, ROOT).unwrap_err().to_string()
    };
    let record = (&*dynamic("0"), &*list(&[1, 2]));
    for (files, words) in [
        (
            &[(MARK, &*mark("other", 2))][..],
            "belongs to member 2 of ensemble \"other\" (identity other), this pod to ensemble \"a\"",
        ),
        (&[(MARK, &mark("one", 3))], "belongs to member 3 of ensemble \"one\", this pod is member 2"),
        (&[(MARK, "")], "the mark on the volume (menagerie.json) cannot be read: EOF"),
        (&[(MARK, "{}")], "cannot be read: missing field"),
        (&[("version-2/log.1", "")], "holds a ZooKeeper database that no ensemble of this operator has marked"),
        (&[record], "holds a ZooKeeper membership that no ensemble of this operator has marked"),
    ] {
        let refusal = refusal(files);
        assert!(refusal.contains(words), "{refusal}");
        assert!(refusal.contains("was not touched") && refusal.contains("the claim"), "{refusal}");
        assert!(!refusal.contains('\n'), "{refusal}");
    }
}

#[test]
fn a_torn_record_gives_way_to_the_one_before_it() {
    let files = volume(&[("5", &list(&[1, 2])), ("9", "server.1=a-0.ns:28")]);
    let (plan, after) = prepared(&files, &seed(&[1], 4, false));
    assert_eq!(plan.using.version, ConfigVersion(5));
    assert_eq!(plan.ignored.len(), 1);
    assert!(after.contains_key(&dynamic("9")));
}

#[test]
fn a_proposed_membership_is_left_to_the_server_until_it_is_decided() {
    for (next, charter, kept) in [("4", 3, false), ("5", 3, false), ("6", 3, true), ("6", 6, false), ("7", 6, true)] {
        let proposed = format!("{}version={next}", list(&[1, 2, 3]));
        for ids in [&[1, 2][..], &[1]] {
            let files = volume(&[("5", &list(ids)), ("next", &proposed)]);
            let (plan, after) = prepared(&files, &seed(&[1, 2], charter, false));
            // Beside a list of its own making stands the last one that it knows.
            let own = (plan.from == Source::Joiner && !kept).then(|| format!("{}version=5\n", list(ids)));
            let expected = if kept { Some(&proposed) } else { own.as_ref() };
            assert_eq!(after.get(&dynamic("next")), expected, "{next} {charter} {ids:?}");
        }
    }
    let (plan, after) = prepared(&volume(&[("5", &list(&[1, 2])), ("next", "torn")]), &seed(&[1, 2], 5, false));
    assert!(after.contains_key(&dynamic("next")) && plan.ignored.len() == 1);
}

#[test]
fn a_leader_that_committed_its_own_removal_needs_a_quorum_of_those_that_stay_to_lead_again() {
    // Restarted before the others heard of the commit: by the list from before, they would elect it.
    let stay = list(&[1, 3]);
    let (plan, after) = prepared(&volume(&[("5", &list(&[1, 2, 3])), ("6", &stay)]), &seed(&[1, 2, 3], 5, false));
    assert_eq!((plan.from, plan.using.version), (Source::Joiner, ConfigVersion(0)));
    assert_eq!(after[&dynamic("next")], format!("{stay}version=6\n"));
}

#[test]
fn old_memberships_go_but_never_the_record_or_the_one_in_use() {
    let (member, other) = (list(&[1, 2]), list(&[1]));
    let old = [("1", &*member), ("2", &*member), ("3", &*member)];
    let torn = [("4", "x"), ("5", "x"), ("6", "x"), ("7", "x"), ("8", "x")];
    let kept = |files: &[(&str, &str)], seed: &Seed| {
        let (_, after) = prepared(&volume(files), seed);
        look(&after).dynamics.into_keys().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kept(&[&old[..], &torn].concat(), &seed(&[1, 2], 0, false)), "3 4 5 6 7 8");
    let joiner = [("3", &*other)];
    assert_eq!(kept(&[&joiner[..], &torn].concat(), &seed(&[1], 0, false)), "0 3 4 5 6 7 8 next");
}

fn lists() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => founders(),
        1 => prop_oneof![Just(String::new()), Just("server.1=a".to_owned()), "[ -~\n]{0,40}"],
    ]
}

/// Of one domain or another: the operator may have been told a wrong one.
fn founders() -> impl Strategy<Value = String> {
    let ids = prop::collection::btree_set(1u32..6, 1..5);
    (ids, prop::sample::select(&["ns", "elsewhere"]))
        .prop_map(|(ids, domain)| named(&ids.into_iter().collect::<Vec<_>>(), domain))
}

fn volumes() -> impl Strategy<Value = Files> {
    let records = prop::collection::btree_map((0u64..8).prop_map(|v| ConfigVersion(v).to_string()), lists(), 0..8);
    let next = prop::option::of((lists(), 0u64..8));
    (records, next, any::<bool>(), any::<bool>()).prop_map(|(records, next, database, initialize)| {
        let mut files: Files = records.into_iter().map(|(version, text)| (dynamic(&version), text)).collect();
        files.insert(MARK.into(), mark("one", OWN.0));
        files.extend(next.map(|(text, version)| (dynamic(NEXT), format!("{text}version={version}"))));
        files.extend(database.then(|| ("version-2/snapshot.0".into(), String::new())));
        files.extend(initialize.then(|| (INITIALIZE.into(), String::new())));
        files
    })
}

fn seeds() -> impl Strategy<Value = Seed> {
    (founders(), 0u64..8, any::<bool>()).prop_map(|(founders, version, birth)| told(&founders, version, birth))
}

proptest! {
    #[test]
    fn the_list_in_use_contains_the_member_and_can_be_started_from(files in volumes(), seed in seeds()) {
        let (plan, after) = prepared(&files, &seed);
        prop_assert!(plan.using.contains(OWN));
        let version = plan.using.version.to_string();
        let alone = BTreeMap::from([(version.clone(), after[&dynamic(&version)].clone())]);
        prop_assert_eq!(Records::read(&alone).newest, Some(plan.using));
    }

    #[test]
    fn a_members_own_record_yields_only_to_a_strictly_higher_version(files in volumes(), seed in seeds()) {
        let (plan, after) = prepared(&files, &seed);
        let record = Records::read(&look(&files).dynamics).newest;
        let own = record.filter(|record| record.contains(OWN) && record.version >= seed.membership.version);
        let agreed = |record: &Membership| record.version > ConfigVersion(0);
        if let Some(record) = own.as_ref().filter(|record| !agreed(record)) {
            let more = plan.using.servers.keys().find(|id| !record.contains(**id));
            prop_assert_eq!(more, None, "more founders: those that heard of them and those that did not are two quorums");
            let same = plan.using.servers.keys().eq(record.servers.keys());
            prop_assert!(same || seed.beginning.is_birth(), "after the birth nothing but names gives way");
        }
        if let Some(record) = own.filter(agreed) {
            let path = dynamic(&record.version.to_string());
            prop_assert_eq!(&after[&path], &files[&path]);
            prop_assert_eq!(&plan.using, &record);
        }
        prop_assert!(plan.using.version <= Records::read(&look(&after).dynamics).version());
    }

    #[test]
    fn an_empty_disk_never_votes_but_at_birth(files in volumes(), seed in seeds()) {
        let (plan, after) = prepared(&files, &seed);
        let may = seed.beginning.is_birth() && !look(&files).database && plan.using.version == ConfigVersion(0) && seed.membership.contains(OWN);
        prop_assert_eq!(after.contains_key(INITIALIZE), may);
    }

    #[test]
    fn once_is_as_good_as_twice(files in volumes(), seed in seeds()) {
        let (first, once) = prepared(&files, &seed);
        let (second, twice) = prepared(&once, &seed);
        prop_assert_eq!(once, twice);
        prop_assert_eq!(first.using, second.using);
    }

    #[test]
    fn a_stop_between_any_two_changes_is_made_good_by_the_next_start(files in volumes(), seed in seeds()) {
        let (plan, whole) = prepared(&files, &seed);
        for done in 0..plan.changes.len() {
            let mut torn = files.clone();
            apply(&mut torn, &plan.changes[..done]);
            prop_assert_eq!(&prepared(&torn, &seed).1, &whole);
        }
    }

    #[test]
    fn a_volume_of_another_is_refused_whatever_it_holds(mut files in volumes(), seed in seeds(), id in 0u32..4) {
        let (identity, id) = if id == OWN.0 { ("other", id) } else { ("one", id) };
        files.insert(MARK.into(), mark(identity, id));
        prop_assert!(prepare(&look(&files), &seed, OWN, ROOT).is_err());
    }
}

/// A volume with a database, and a seed with the wish that it be set aside.
fn unreadable(wish: &str, birth: bool) -> (Files, Seed) {
    let mut files = volume(&[("4", &list(&[1, 2, 3]))]);
    files.insert("version-2/snapshot.0".into(), String::new());
    let mut seed = seed(&[1, 2, 3], 4, birth);
    seed.resync.insert(ServerId(2), wish.into());
    (files, seed)
}

#[test]
fn data_that_cannot_be_read_is_set_aside_once_for_each_wish_and_an_empty_disk_does_not_vote() {
    let (files, seed) = unreadable("first", false);
    let (plan, after) = prepared(&files, &seed);
    assert_eq!(plan.changes[0], VolumeChange::SetAside);
    assert!(!after.contains_key(INITIALIZE));
    let mut synced = after.clone();
    synced.insert("version-2/snapshot.5".into(), String::new());
    let (again, _) = prepared(&synced, &seed);
    assert!(!again.changes.contains(&VolumeChange::SetAside), "what it synced meanwhile would be lost");
    let (_, second) = unreadable("second", false);
    assert!(prepared(&synced, &second).0.changes.contains(&VolumeChange::SetAside));
}

#[test]
fn what_a_server_was_started_with_before_its_kubelet_heard_of_a_change_is_told_apart() {
    let (_, after) = prepared(&Files::new(), &seed(&[1, 2, 3], 0, true));
    // As the server rewrites it: in an order of its own, without comments.
    let lines: Vec<&str> = after["conf/zoo.cfg"].lines().rev().collect();
    let started_with = lines.join("\n");
    let mut now = seed(&[1, 2], 7, false);
    assert_eq!(unknown(&started_with, &now), None, "the membership is the server's own business");
    now.statics = "tickTime=3000\n".into();
    assert_eq!(unknown(&started_with, &now).unwrap(), "it was started with another zoo.cfg than it has now");
    let older: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with(CONFIG_PROPERTY)).collect();
    assert_eq!(unknown(&older.join("\n"), &now), None, "an older agent wrote it, and says nothing of it");
    assert_eq!(unknown("tickTime=3000\n", &now).unwrap(), "the super user's password was changed");
}

#[test]
fn a_wish_to_sync_anew_that_came_after_the_volume_was_made_ready_asks_for_another_start() {
    let (files, mut seed) = unreadable("first", false);
    assert!(outdated(&look(&files), &seed, ServerId(2)).is_some());
    let (_, after) = prepared(&files, &seed);
    assert_eq!(outdated(&look(&after), &seed, ServerId(2)), None, "it was granted");
    seed.resync.insert(ServerId(2), "second".into());
    assert!(outdated(&look(&after), &seed, ServerId(2)).is_some());
    assert_eq!(outdated(&look(&after), &seed, ServerId(3)), None, "the volume is not its");
    let (files, seed) = unreadable("first", true);
    assert_eq!(outdated(&look(&files), &seed, ServerId(2)), None, "there was no ensemble yet");
}

#[test]
fn data_is_not_set_aside_for_another_member_or_before_there_was_an_ensemble() {
    let (files, seed) = unreadable("first", true);
    assert!(!prepared(&files, &seed).0.changes.contains(&VolumeChange::SetAside));
    let (files, mut seed) = unreadable("first", false);
    let wish = seed.resync.remove(&ServerId(2)).unwrap();
    seed.resync.insert(ServerId(3), wish);
    assert!(!prepared(&files, &seed).0.changes.contains(&VolumeChange::SetAside));
}
