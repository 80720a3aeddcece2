//! Laws of the rule, over volumes nobody would think of.

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

fn lists() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => founders(),
        1 => prop_oneof![Just(String::new()), Just("server.1=a".to_owned()), "[ -~\n]{0,40}"],
    ]
}

/// In one domain or another: the operator may have a wrong one.
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
        // One that cannot be read and is newer than any other is refused, whatever else there is.
        let newer = Records::read(&look(&files).dynamics);
        files.retain(|path, _| newer.unread.is_none() || *path <= dynamic(&newer.version().to_string()));
        files.insert(MARK.into(), mark("one", OWN.0));
        files.extend(next.map(|(text, version)| (dynamic(NEXT), format!("{text}version={version}"))));
        files.extend(database.then(|| ("version-2/snapshot.0".into(), String::new())));
        files.extend(initialize.then(|| (INITIALIZE.into(), String::new())));
        files
    })
}

fn seeds() -> impl Strategy<Value = Seed> {
    let may_vote = prop::option::weighted(0.3, 0u64..9);
    (founders(), 0u64..8, any::<bool>(), may_vote).prop_map(|(founders, version, birth, may_vote)| {
        let mut seed = told(&founders, version, birth);
        seed.may_vote.extend(may_vote.map(|last| (OWN, last)));
        seed
    })
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
    fn an_empty_disk_never_votes_but_at_birth_or_where_a_loss_is_accepted_and_that_is_the_last_thing_to_be_written(files in volumes(), seed in seeds()) {
        let (plan, after) = prepared(&files, &seed);
        let mut before = files.clone();
        before.remove(INITIALIZE);
        apply(&mut before, plan.before_birth());
        prop_assert!(!before.contains_key(INITIALIZE));
        let birth = seed.beginning.is_birth();
        let founds = birth && plan.using.version == ConfigVersion(0) && seed.membership.contains(OWN);
        let may = !look(&files).database && (founds || (!birth && seed.may_vote.contains_key(&OWN)));
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
