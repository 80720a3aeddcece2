//! Data that cannot be read, and data that is lost.

use super::*;

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

#[test]
fn an_empty_volume_votes_after_the_birth_only_where_a_person_has_accepted_the_loss() {
    let mut seed = seed(&[1, 2, 3], 7, false);
    let mut files = Files::new();
    let plan = prepare(&look(&files), &seed, ServerId(2), "/data").unwrap();
    apply(&mut files, &plan.changes);
    assert!(!files.contains_key(INITIALIZE));
    // As a server leaves them that may not vote.
    for path in [ACCEPTED_EPOCH, CURRENT_EPOCH] {
        files.insert(path.to_owned(), "-1".to_owned());
    }
    assert_eq!(outdated(&look(&files), &seed, ServerId(2)), None);
    seed.may_vote.insert(ServerId(2), 3);
    assert!(outdated(&look(&files), &seed, ServerId(2)).is_some(), "it learns of it at its next start");
    let plan = prepare(&look(&files), &seed, ServerId(2), "/data").unwrap();
    assert!(plan.before_birth().len() < plan.changes.len(), "the right to vote is given last");
    apply(&mut files, &plan.changes);
    assert!(
        files.contains_key(INITIALIZE) && !files.contains_key(CURRENT_EPOCH) && !files.contains_key(ACCEPTED_EPOCH)
    );
    assert_eq!(outdated(&look(&files), &seed, ServerId(2)), None);
    // It promised a later epoch to a leader, and has joined one with data that is gone: it must not win by that.
    files.insert(ACCEPTED_EPOCH.to_owned(), "9000".to_owned());
    files.insert(CURRENT_EPOCH.to_owned(), "4".to_owned());
    let plan = prepare(&look(&files), &seed, ServerId(2), "/data").unwrap();
    apply(&mut files, &plan.changes);
    assert!(files[ACCEPTED_EPOCH] == "9000" && !files.contains_key(CURRENT_EPOCH));
    // With data, or for another member, nothing is given.
    files.remove(INITIALIZE);
    files.insert("version-2/snapshot.0".to_owned(), String::new());
    let plan = prepare(&look(&files), &seed, ServerId(2), "/data").unwrap();
    apply(&mut files, &plan.changes);
    assert!(!files.contains_key(INITIALIZE));
    let plan = prepare(&look(&Files::new()), &seed, ServerId(3), "/data").unwrap();
    assert!(
        !plan.changes.iter().any(|change| matches!(change, VolumeChange::Write { path, .. } if path == INITIALIZE))
    );
}
