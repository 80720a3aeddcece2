//! Ensembles that are made from another one's archive.

use super::*;

fn made(seed: Seed) -> Seed {
    let mut made = seed;
    made.parent = Some(fixtures::parent());
    made
}

fn founders() -> Seed {
    made(seed(&[1, 2, 3], 0, true))
}

fn built() -> Files {
    let mut files = volume(&[]);
    files.insert(BUILT.into(), fixtures::parent().to_string());
    files
}

#[test]
fn a_founder_builds_its_database_takes_it_over_and_never_votes_empty() {
    let (plan, after) = prepared(&volume(&[]), &founders());
    assert_eq!(plan.builds, Some(fixtures::parent()));
    assert!(!after.contains_key(INITIALIZE) && !look(&after).database);
    let (plan, after) = prepared(&built(), &founders());
    assert_eq!((plan.builds, plan.changes.last()), (None, Some(&VolumeChange::Adopt)));
    assert!(!after.contains_key(INITIALIZE) && look(&after).database);
    let (plan, again) = prepared(&after, &founders());
    assert_eq!((plan.builds, again), (None, after));
}

#[test]
fn the_database_is_taken_over_last_as_the_right_to_vote_is_given_last() {
    let (plan, _) = prepared(&built(), &founders());
    assert_eq!(plan.before_birth().len() + 1, plan.changes.len());
    assert!(!plan.before_birth().contains(&VolumeChange::Adopt));
}

#[test]
fn what_was_built_from_another_point_is_built_anew() {
    let mut files = built();
    files.insert(BUILT.into(), "another".into());
    assert_eq!(prepared(&files, &founders()).0.builds, Some(fixtures::parent()));
}

#[test]
fn a_right_to_vote_empty_that_a_volume_still_has_is_taken_away() {
    for mut files in [volume(&[]), built()] {
        files.insert(INITIALIZE.into(), String::new());
        let (plan, after) = prepared(&files, &founders());
        assert!(!after.contains_key(INITIALIZE));
        assert!(
            plan.before_birth()
                .iter()
                .any(|change| matches!(change, VolumeChange::Remove { path } if path == INITIALIZE))
        );
    }
}

#[test]
fn once_it_was_born_and_for_whoever_is_no_founder_an_archive_is_nothing() {
    let born = made(seed(&[1, 2, 3], 7, false));
    let joining = made(seed(&[1, 3], 0, true));
    for told in [born, joining] {
        for files in [volume(&[]), built()] {
            let (plan, after) = prepared(&files, &told);
            assert_eq!((plan.builds, look(&after).database), (None, false));
            assert!(!after.contains_key(INITIALIZE));
        }
    }
}

fn adopted() -> Files {
    prepared(&built(), &founders()).1
}

#[test]
fn a_volume_that_began_with_something_else_founds_nothing() {
    let refused = |files: &Files, told: &Seed| prepare(&look(files), told, OWN, ROOT).unwrap_err().to_string();
    let mut other = founders();
    other.parent.as_mut().unwrap().at = "0x400000001".parse().unwrap();
    let error = refused(&adopted(), &other);
    assert!(error.contains("began with 0x500000001 of") && error.contains("begins with 0x400000001 of"), "{error}");
    // As with claims that were kept, where the new spec has no parent, or a new one.
    assert!(refused(&adopted(), &seed(&[1, 2, 3], 0, true)).contains("begins with nothing"));
    let mut plain = volume(&[]);
    plain.insert("version-2/snapshot.0".into(), String::new());
    assert!(refused(&plain, &founders()).contains("began with nothing"));
}

#[test]
fn what_nobody_was_followed_with_is_set_aside_once_it_was_born() {
    let born = made(seed(&[1, 2, 3], 7, false));
    let (plan, after) = prepared(&adopted(), &born);
    assert_eq!(plan.changes.first(), Some(&VolumeChange::SetAside));
    assert!(!look(&after).database && !after.contains_key(INITIALIZE));
    let mut lived = adopted();
    lived.insert(CURRENT_EPOCH.into(), "65537".into());
    assert!(look(&prepared(&lived, &born).1).database);
}
