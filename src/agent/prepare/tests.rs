//! The rule over every kind of volume, as a table. `laws`: over volumes nobody would think of. `data`: what cannot be read, and what
//! is lost.

use super::*;
use crate::agent;
use crate::model::{Beginning, Charter, Server, fixtures};

mod data;
mod laws;
mod parent;

const ROOT: &str = "/data";
const OWN: ServerId = ServerId(2);
/// Stands for a whole database in the workshop: what it was built from.
const BUILT: &str = "from";
/// The same of its own database; its server has followed somebody once there is an epoch.
const PARENT: &str = "parent";

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

fn look(files: &Files) -> VolumeContents {
    let dynamics = files.iter().filter_map(|(path, text)| {
        Some((path.strip_prefix(CONF)?.strip_prefix('/')?.strip_prefix(STEM)?.to_owned(), text.clone()))
    });
    VolumeContents {
        mark: files.get(MARK).cloned(),
        database: files
            .keys()
            .any(|path| path.starts_with("version-2/") && ![ACCEPTED_EPOCH, CURRENT_EPOCH].contains(&path.as_str())),
        initialize: files.contains_key(INITIALIZE),
        promised: files.get(ACCEPTED_EPOCH).and_then(|text| text.parse().ok()),
        built: files.get(BUILT).cloned(),
        parent: files.get(PARENT).cloned(),
        untouched: files.contains_key(PARENT) && !files.contains_key(CURRENT_EPOCH),
        dynamics: dynamics.collect(),
    }
}

fn apply(files: &mut Files, changes: &[VolumeChange]) {
    for change in changes {
        match change {
            VolumeChange::Write { path, text, .. } => files.insert(path.clone(), text.clone()),
            VolumeChange::Remove { path } => files.remove(path),
            VolumeChange::Adopt => {
                let from = files.remove(BUILT).unwrap_or_default();
                files.insert(PARENT.into(), from);
                files.insert("version-2/snapshot.100000005".into(), String::new())
            }
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
        VolumeChange::Remove { .. } | VolumeChange::SetAside | VolumeChange::Adopt => panic!("{change:?}"),
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
fn whoever_writes_his_client_port_into_the_file_of_one_member_is_told_that_a_reconfig_has_to_follow() {
    let files = volume(&[("9", &list(&[1, 2, 3]).replace(";0.0.0.0:2181", ""))]);
    let refusal = prepare(&look(&files), &seed(&[1, 2, 3], 9, false), OWN, ROOT).unwrap_err().to_string();
    let command = format!("as super user, reconfig -add 'server.{OWN}=");
    let first = refusal.find(&command).unwrap_or_else(|| panic!("{refusal}"));
    let edited =
        refusal.find("in conf/zoo.cfg.dynamic.9 first, and then do the same").unwrap_or_else(|| panic!("{refusal}"));
    assert!(first < edited && !refusal.contains('\n'), "{refusal}");
}

#[test]
fn a_record_with_an_id_that_only_java_can_count_names_the_command_that_ends_it_and_what_follows_is_started_from() {
    let text = format!("{}server.5000000000=b:2888:3888:observer;2181\n", list(&[1, 2]));
    let files = volume(&[("5", &list(&[1, 2])), ("9", &text)]);
    let refusal = prepare(&look(&files), &seed(&[1, 2], 8, false), OWN, ROOT).unwrap_err().to_string();
    assert!(refusal.contains("as super user, reconfig -remove 5000000000;"), "{refusal}");
    assert!(!refusal.contains("another volume") && !refusal.contains('\n'), "{refusal}");
    let (plan, _) = prepared(&files, &seed(&[1, 2], 10, false));
    assert_eq!((plan.using.version, plan.from), (ConfigVersion(10), Source::Charter));
}

#[test]
fn a_record_that_cannot_be_read_is_no_reason_to_start_from_an_older_one() {
    let files = volume(&[("5", &list(&[1, 2])), ("9", "server.1=a-0.ns:28")]);
    for version in [4, 8] {
        let refusal = prepare(&look(&files), &seed(&[1, 2], version, false), OWN, ROOT).unwrap_err().to_string();
        assert!(refusal.contains("conf/zoo.cfg.dynamic.9 cannot be read (server.1 is not whole"), "{refusal}");
        assert!(refusal.contains("was not touched") && refusal.contains("menagerie.dev/replace=volume"), "{refusal}");
        assert!(!refusal.contains('\n'), "{refusal}");
    }
    // What the operator has confirmed since is as new, and whole.
    let (plan, after) = prepared(&files, &seed(&[1, 2, 3], 9, false));
    assert_eq!((plan.using.version, plan.from), (ConfigVersion(9), Source::Charter));
    assert_eq!(after[&dynamic("9")], list(&[1, 2, 3]));
    // One that is older than the record, or that nobody agreed on, is none that counts.
    let older = volume(&[("0", "torn"), ("3", "torn"), ("5", &list(&[1, 2]))]);
    let (plan, after) = prepared(&older, &seed(&[1, 2], 4, false));
    assert_eq!((plan.using.version, plan.ignored.len()), (ConfigVersion(5), 2));
    assert!(after.contains_key(&dynamic("3")));
    assert_eq!(prepared(&volume(&[("0", "torn")]), &seed(&[1, 2], 0, true)).0.from, Source::Charter);
}

#[test]
fn a_server_that_somebody_added_without_a_client_port_stays_on_record_and_a_member_needs_its_own() {
    let stranger = "server.9=b:2888:3888:participant\n";
    let text = format!("{}{stranger}", list(&[1, 2]));
    let (plan, after) = prepared(&volume(&[("5", &list(&[1, 2])), ("9", &text)]), &seed(&[1, 2], 5, false));
    assert_eq!((plan.using.version, plan.from), (ConfigVersion(9), Source::Record));
    assert_eq!(after[&dynamic("9")], text);
    let deaf = format!("{}server.2=a-1.ns:2888:3888:participant\n{stranger}", list(&[1]));
    for (files, seed) in [
        (volume(&[("5", &list(&[1, 2])), ("9", &deaf)]), seed(&[1, 2], 5, false)),
        (volume(&[("5", &list(&[1, 2]))]), told(&deaf, 9, false)),
    ] {
        let refusal = prepare(&look(&files), &seed, OWN, ROOT).unwrap_err().to_string();
        assert!(refusal.contains("server.2=a-1.ns:2888:3888:participant;0.0.0.0:2181"), "{refusal}");
        assert!(refusal.contains("conf/zoo.cfg.dynamic.9") && refusal.contains("was not touched"), "{refusal}");
    }
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
    let old = [("1", &*member), ("2", &*member), ("3", &*member), ("8", &*member)];
    let torn = [("4", "x"), ("5", "x"), ("6", "x"), ("7", "x")];
    let kept = |files: &[(&str, &str)], seed: &Seed| {
        let (_, after) = prepared(&volume(files), seed);
        look(&after).dynamics.into_keys().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kept(&[&old[..], &torn].concat(), &seed(&[1, 2], 0, false)), "4 5 6 7 8");
    let joiner = [("1", &*other), ("2", &*other), ("3", &*other), ("8", &*other)];
    assert_eq!(kept(&[&joiner[..], &torn].concat(), &seed(&[1], 0, false)), "0 4 5 6 7 8 next");
}
