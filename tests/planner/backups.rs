//! What is said of an ensemble's backups, and of what they prove.

use menagerie::api::{EndedBackup, ProofLevel, Time};
use menagerie::model::Observation;
use menagerie::model::backup_end::{BackupEnd, NOT_PROVED};
use menagerie::plan::{ConditionStatus, UntimedCondition, plan};

use super::archive::archived;
use super::world::zk;

const HERE: &str = "s3://backups";

fn condition(seen: &Observation, name: &str) -> Option<UntimedCondition> {
    plan(seen).conditions.into_iter().find(|condition| condition.name == name)
}

/// Status, reason and message.
fn said(seen: &Observation, name: &str) -> (ConditionStatus, &'static str, String) {
    let condition = condition(seen, name).unwrap();
    (condition.status, condition.reason, condition.message)
}

/// One that ended so many seconds before now.
fn ended(seen: &Observation, name: &str, before: i64, level: Option<ProofLevel>) -> BackupEnd {
    let at = i64::try_from(seen.now).unwrap() - before;
    BackupEnd {
        identity: seen.status.identity.clone(),
        archive: Some(HERE.to_owned()),
        said: EndedBackup {
            name: name.to_owned(),
            ended: Time(jiff::Timestamp::from_second(at).unwrap()),
            zxid: Some("0x10000002a".to_owned()),
            level,
            reason: None,
            message: format!("the words of {name}"),
        },
    }
}

fn failed(seen: &Observation, name: &str, before: i64, reason: &str) -> BackupEnd {
    let mut end = ended(seen, name, before, None);
    end.said.reason = Some(reason.to_owned());
    end
}

/// What the next pass sees: the status that this one wrote, and nothing in memory.
fn restarted(seen: &Observation) -> Observation {
    Observation { status: plan(seen).status, backups: Vec::new(), ..seen.clone() }
}

#[test]
fn before_the_first_backup_nothing_is_known_and_without_an_archive_nothing_is_said_of_one() {
    let seen = archived().seen();
    assert_eq!(said(&seen, "LastBackupSucceeded").1, "NoneYet");
    let (status, reason, _) = said(&seen, "ArchiveVerified");
    assert_eq!((status, reason), (ConditionStatus::Unknown, "NotYetVerified"));
    let mut world = zk(3);
    world.settle();
    let mut seen = world.seen();
    assert_eq!(condition(&seen, "LastBackupSucceeded"), None);
    assert_eq!((condition(&seen, "ArchiveVerified"), plan(&seen).status.backups), (None, None));
    // One that is made from the members' files proves nothing of an archive, and its end is said, also after a restart.
    seen.backups = vec![ended(&seen, "own", 60, Some(ProofLevel::Replay))];
    for seen in [seen.clone(), restarted(&seen)] {
        assert_eq!(said(&seen, "LastBackupSucceeded").1, "Completed");
        assert_eq!(condition(&seen, "ArchiveVerified"), None);
        assert!(plan(&seen).status.backups.unwrap().proofs.is_empty());
    }
    seen.backups.push(failed(&seen, "later", 30, "BackupFailed"));
    assert_eq!(said(&seen, "LastBackupSucceeded").1, "BackupFailed");
}

#[test]
fn the_one_that_ended_last_counts_and_in_whichever_order_they_are_seen() {
    let mut seen = archived().seen();
    let (good, bad) = (ended(&seen, "good", 60, Some(ProofLevel::Replay)), failed(&seen, "bad", 30, "TooLate"));
    for backups in [vec![good.clone(), bad.clone()], vec![bad, good.clone()]] {
        seen.backups = backups;
        let (status, reason, message) = said(&seen, "LastBackupSucceeded");
        assert_eq!((status, reason), (ConditionStatus::False, "TooLate"));
        assert!(message.starts_with("bad, which ended at 2") && message.ends_with(": the words of bad"), "{message}");
        let (status, reason, message) = said(&seen, "ArchiveVerified");
        assert_eq!((status, reason), (ConditionStatus::True, "Verified"), "it could not be made: that is no proof");
        assert!(message.starts_with("proved at level Replay by good, which ended at 2"), "{message}");
    }
    seen.backups = vec![good];
    assert_eq!(said(&seen, "LastBackupSucceeded").1, "Completed");
}

/// etcd-druid 618: `BackupReady` was Unknown, without a reason. Who writes an object's status may write any word there.
#[test]
fn each_reason_of_a_backup_is_said_and_one_that_nobody_knows_is_a_failure() {
    let mut seen = archived().seen();
    for (reason, told) in [
        ("BackupFailed", "BackupFailed"),
        ("TooLate", "TooLate"),
        ("ReportLost", "ReportLost"),
        ("ArchiveMoved", "ArchiveMoved"),
        ("EnsembleReplaced", "EnsembleReplaced"),
        ("NotYet", "NotYet"),
        (NOT_PROVED, "NotProved"),
        ("no word", "BackupFailed"),
    ] {
        seen.backups = vec![failed(&seen, "bad", 30, reason)];
        assert_eq!(said(&seen, "LastBackupSucceeded").1, told);
    }
}

#[test]
fn what_an_archive_holds_is_not_proved_by_the_newest_that_has_read_it_until_another_one_proves_it() {
    let mut seen = archived().seen();
    let good = ended(&seen, "good", 90, Some(ProofLevel::Replay));
    seen.backups = vec![good, failed(&seen, "wrong", 60, NOT_PROVED), failed(&seen, "away", 30, "BackupFailed")];
    let (status, reason, message) = said(&seen, "ArchiveVerified");
    assert_eq!((status, reason), (ConditionStatus::False, "NotProved"));
    assert!(message.starts_with("not proved by wrong, which") && message.contains("level Replay by good"), "{message}");
    // cloudnative-pg 3674: an old failure could not be cleared.
    seen.backups.push(ended(&seen, "again", 10, Some(ProofLevel::Log)));
    let (status, reason, message) = said(&seen, "ArchiveVerified");
    assert_eq!((status, reason), (ConditionStatus::True, "Verified"));
    assert!(
        message.starts_with("proved at level Log by again") && message.contains("level Replay by good"),
        "{message}"
    );
}

#[test]
fn a_backup_that_is_deleted_takes_nothing_back_nor_does_a_restart_of_the_operator() {
    let mut seen = archived().seen();
    seen.backups = vec![
        ended(&seen, "weak", 60, Some(ProofLevel::Log)),
        ended(&seen, "strong", 90, Some(ProofLevel::Replay)),
        failed(&seen, "wrong", 95, NOT_PROVED),
        failed(&seen, "late", 30, "TooLate"),
    ];
    let before = plan(&seen);
    let after = restarted(&seen);
    for name in ["LastBackupSucceeded", "ArchiveVerified"] {
        assert_eq!(condition(&after, name), condition(&seen, name));
    }
    assert_eq!(plan(&after).status, before.status, "it is written once");
    // An old one that is seen again late changes nothing.
    let mut late = after;
    late.backups = vec![ended(&late, "older", 120, Some(ProofLevel::Replay))];
    assert_eq!(plan(&late).status.backups, before.status.backups);
}

/// kubeblocks 3811: a backup of a deleted cluster was taken for one of its successor.
#[test]
fn backups_of_another_ensemble_or_in_another_archive_prove_nothing_of_this_one() {
    let mut seen = archived().seen();
    let mut theirs = ended(&seen, "theirs", 60, Some(ProofLevel::Replay));
    theirs.identity = Some("another".to_owned());
    let mut elsewhere = ended(&seen, "elsewhere", 60, Some(ProofLevel::Replay));
    elsewhere.archive = Some("s3://before".to_owned());
    seen.backups = vec![theirs];
    assert_eq!(said(&seen, "LastBackupSucceeded").1, "NoneYet");
    seen.backups = vec![elsewhere];
    assert_eq!(said(&seen, "LastBackupSucceeded").1, "Completed", "that one is kept, where it is");
    assert_eq!(said(&seen, "ArchiveVerified").1, "NotYetVerified");

    let mut seen = archived().seen();
    seen.backups = vec![ended(&seen, "here", 60, Some(ProofLevel::Replay))];
    let mut moved = restarted(&seen);
    moved.status.backups.as_mut().unwrap().archive = Some("s3://before".to_owned());
    assert_eq!(said(&moved, "ArchiveVerified").1, "NotYetVerified", "spec.archive is another one since");
    let mut restored = restarted(&seen);
    restored.status.identity = Some("another".to_owned());
    assert_eq!(said(&restored, "LastBackupSucceeded").1, "NoneYet", "its status was restored from another ensemble");
}

#[test]
fn one_that_was_dated_by_a_clock_that_was_wrong_does_not_stand_for_years() {
    let mut seen = archived().seen();
    let (now, future) =
        (ended(&seen, "now", 0, Some(ProofLevel::Replay)), failed(&seen, "future", -86_400, NOT_PROVED));
    seen.backups = vec![now, future];
    assert_eq!(said(&seen, "LastBackupSucceeded").1, "Completed");
    assert_eq!(said(&seen, "ArchiveVerified").1, "Verified");
}

#[test]
fn of_a_spec_that_is_refused_nothing_is_told_and_nothing_is_forgotten() {
    let mut seen = archived().seen();
    seen.backups = vec![ended(&seen, "good", 60, Some(ProofLevel::Replay))];
    let mut refused = restarted(&seen);
    let mut spec = archived().spec;
    spec.replicas = 0;
    refused.desired = menagerie::model::Desired::from_spec(&spec);
    assert!(refused.desired.is_err());
    assert_eq!(plan(&refused).status.backups, plan(&seen).status.backups);
    assert_eq!(condition(&refused, "ArchiveVerified"), None);
}
