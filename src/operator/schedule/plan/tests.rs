//! A schedule, step by step.

use serde_json::{Value, json};

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Daily at three, created on the 20th, and it is noon of the 21st.
#[expect(clippy::needless_pass_by_value, reason = "a literal at each call")]
fn seen(spec: Value) -> Seen {
    let mut all = json!({"schedule": "0 3 * * *", "backup": {"ensemble": "zk", "keepDays": 14}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    Seen {
        name: "nightly".to_owned(),
        namespace: "ns".to_owned(),
        uid: "u".to_owned(),
        generation: Some(1),
        selected: std::collections::BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        created: time("2026-11-20T12:00:00Z"),
        now: time("2026-11-21T12:00:00Z"),
        spec: serde_json::from_value(all).unwrap(),
        status: ScheduleStatus::default(),
        last: None,
        taken: None,
        obstacle: None,
        refused: None,
    }
}

fn backup_of(name: &str, phase: BackupPhase) -> BackupFacts {
    let created = time("2026-11-21T03:00:01Z");
    let (reason, message) = ("NotProved".to_owned(), "because".to_owned());
    BackupFacts { name: name.to_owned(), ours: true, created, phase, reason, message, ended: None }
}

/// What the next pass sees, if nothing else happens until then.
fn later(seen: &Seen, now: &str) -> Seen {
    let Decision { status, conditions, .. } = plan(seen);
    let conditions = crate::operator::kit::status::conditions(&seen.status.conditions, &conditions, None);
    Seen { status: ScheduleStatus { conditions, ..status }, now: time(now), taken: None, ..seen.clone() }
}

fn created(decision: &Decision) -> &str {
    match &decision.step {
        Step::Create(backup) => &backup.key.name,
        other => panic!("{other:?}"),
    }
}

fn said(decision: &Decision) -> [(&'static str, &'static str); 2] {
    [0, 1].map(|at| (decision.conditions[at].status.as_str(), decision.conditions[at].reason))
}

#[test]
fn what_the_next_backup_would_wait_for_is_said_before_it_is_due_and_it_is_made_all_the_same() {
    let mut seen = seen(json!({}));
    seen.obstacle = Some(("NoArchive", "ensemble zk has no spec.archive: give it one".to_owned()));
    let decision = plan(&seen);
    assert_eq!((created(&decision), said(&decision)[0]), ("nightly-202611210300", ("False", "NoArchive")));
    let message = &decision.conditions[0].message;
    assert_eq!(
        message,
        "the next is due at 2026-11-22T03:00:00Z, and would wait: ensemble zk has no spec.archive: give it one"
    );
    seen.spec.suspend = Some(true);
    assert_eq!(said(&plan(&seen))[0], ("False", "Suspended"));
}

#[test]
fn a_backup_is_made_for_each_time_and_named_after_it() {
    let seen = seen(json!({}));
    let decision = plan(&seen);
    assert_eq!(created(&decision), "nightly-202611210300");
    let Step::Create(backup) = &decision.step else { panic!() };
    let spec: ZooKeeperBackupSpec = serde_json::from_value(backup.json["spec"].clone()).unwrap();
    assert_eq!((spec.ensemble.as_str(), spec.at, spec.keep_days), ("zk", None, Some(14)));
    let metadata = &backup.json["metadata"];
    assert_eq!(metadata["labels"]["team"], "a", "an operator with a selector would not see it");
    assert_eq!(metadata["ownerReferences"], Value::Null, "it outlives its schedule");
    assert_eq!(decision.status.next_schedule_time, Some(Time(time("2026-11-22T03:00:00Z"))));
    assert_eq!(said(&decision), [("True", "Scheduled"), ("Unknown", "NoneYet")]);

    let seen = later(&seen, "2026-11-22T02:59:59Z");
    assert_eq!(plan(&seen).step, Step::Rest);
    let mut seen = Seen { now: time("2026-11-22T03:00:00Z"), ..seen };
    assert_eq!(created(&plan(&seen)), "nightly-202611220300", "on the second");
    seen.last = Some(backup_of("nightly-202611210300", BackupPhase::Completed));
    assert_eq!(said(&plan(&seen))[1], ("True", "Completed"));
}

#[test]
fn what_came_due_meanwhile_is_made_up_for_by_one_and_what_became_of_the_last_one_is_no_reason_to_stop() {
    let mut seen = later(
        &seen(json!({"schedule": "*/15 * * * *", "backup": {"ensemble": "zk", "keepDays": 1}})),
        "2026-12-05T09:50:00Z",
    );
    seen.last = Some(backup_of("nightly-202611211200", BackupPhase::Failed));
    let decision = plan(&seen);
    assert_eq!(created(&decision), "nightly-202612050945");
    assert_eq!(said(&decision)[1], ("False", "NotProved"));
    let next = later(&seen, "2026-12-05T09:59:00Z");
    assert_eq!(plan(&next).step, Step::Rest);
    // One that goes on is waited for, and then there is one.
    seen.last = Some(backup_of("nightly-202611211200", BackupPhase::Running));
    seen.last.as_mut().unwrap().created = time("2026-12-05T09:00:00Z");
    let decision = plan(&seen);
    assert_eq!((decision.step.clone(), said(&decision)[0]), (Step::Wait("Unfinished"), ("True", "Unfinished")));
    assert!(decision.conditions[0].message.contains("because"));
    assert_eq!(decision.status.last_schedule_time, seen.status.last_schedule_time);
    // One that nobody looks after, of a selector that was changed for instance, holds nothing up.
    seen.last.as_mut().unwrap().created = time("2026-12-04T06:00:00Z");
    assert!(matches!(plan(&seen).step, Step::Create(_)));
}

/// An earlier operator called each failure `Failed`.
#[test]
fn a_backup_that_failed_and_is_gone_is_told_by_its_own_reason_still_as_its_ensemble_tells_it() {
    let mut seen = seen(json!({}));
    for (before, told) in [("TooLate", "TooLate"), ("NotYet", "NotYet"), ("Failed", "BackupFailed")] {
        let condition = json!({
            "type": "LastBackupSucceeded", "status": "False", "reason": before, "message": "nightly-1: because",
            "lastTransitionTime": "2026-11-21T11:00:00Z",
        });
        seen.status.conditions = vec![serde_json::from_value(condition).unwrap()];
        assert_eq!(said(&plan(&seen))[1], ("False", told));
    }
}

/// velero 6517, 8787: an edit, a new schedule or the end of a suspension made one at once, of a time before it.
#[test]
fn neither_an_edit_nor_the_end_of_a_suspension_makes_one_due() {
    let young = Seen { created: time("2026-11-21T11:00:00Z"), ..seen(json!({})) };
    assert_eq!(plan(&young).step, Step::Rest);
    let mut seen = later(&seen(json!({})), "2026-11-21T18:00:00Z");
    seen.spec.schedule = "0 17 * * *".to_owned();
    assert_eq!(plan(&seen).step, Step::Rest, "at 17:00 it was another schedule");
    let mut seen = later(&seen, "2026-11-21T18:01:00Z");
    seen.spec.time_zone = Some("Europe/Berlin".to_owned());
    assert_eq!(plan(&seen).step, Step::Rest);
    seen.spec.suspend = Some(true);
    let decision = plan(&seen);
    assert_eq!((decision.step.clone(), said(&decision)[0]), (Step::Rest, ("False", "Suspended")));
    assert_eq!(decision.status.next_schedule_time, None);
    let mut seen = later(&seen, "2026-11-25T12:00:00Z");
    seen.spec.suspend = None;
    assert_eq!(plan(&seen).step, Step::Rest);
    let seen = later(&seen, "2026-11-25T16:00:00Z");
    assert_eq!(created(&plan(&seen)), "nightly-202611251600", "17:00 in Berlin");
}

#[test]
fn an_immediate_one_is_made_once() {
    let seen = Seen { now: time("2026-11-20T12:00:05Z"), ..seen(json!({"immediate": true})) };
    assert_eq!(created(&plan(&seen)), "nightly-202611201200");
    let seen = later(&seen, "2026-11-20T12:01:00Z");
    assert_eq!(plan(&seen).step, Step::Rest);
}

/// cloudnative-pg 10562: created, and the answer lost; then "already exists" for ever.
#[test]
fn one_that_is_there_already_is_taken_for_made_and_somebody_elses_is_passed_over_with_a_word() {
    let mut seen = seen(json!({}));
    seen.taken = Some(backup_of("nightly-202611210300", BackupPhase::Running));
    let decision = plan(&seen);
    assert_eq!(decision.step, Step::Wait("Made"));
    assert_eq!(decision.status.last_backup.as_deref(), Some("nightly-202611210300"));
    for change in [
        |taken: &mut BackupFacts| taken.ours = false,
        // A clock was wrong: it was made for a time of that name that had not come.
        |taken: &mut BackupFacts| taken.created = time("2026-11-20T03:00:00Z"),
    ] {
        let mut seen = seen.clone();
        change(seen.taken.as_mut().unwrap());
        let decision = plan(&seen);
        assert_eq!((decision.step.clone(), said(&decision)[0]), (Step::Wait("NameTaken"), ("True", "NameTaken")));
        assert_eq!(decision.status.last_backup, None);
        assert_eq!(plan(&later(&seen, "2026-11-21T13:00:00Z")).step, Step::Rest, "the clock moves on");
    }
}

#[test]
fn a_last_time_of_the_future_is_of_a_wrong_clock_and_holds_nothing_up() {
    let mut seen = seen(json!({}));
    seen.status.last_schedule_time = Some(Time(time("2027-11-21T03:00:00Z")));
    assert_eq!(created(&plan(&seen)), "nightly-202611210300");
    // Likewise since when the schedule is what it is: a moment after the clock is right again it counts from then on.
    seen.status = ScheduleStatus {
        observed_schedule: Some("0 3 * * * UTC".to_owned()),
        since: Some(Time(time("2027-11-21T03:00:00Z"))),
        ..ScheduleStatus::default()
    };
    let seen = later(&seen, "2026-11-22T12:00:00Z");
    assert_eq!(created(&plan(&seen)), "nightly-202611220300");
}

#[test]
fn a_schedule_that_is_wrong_or_makes_too_many_is_said_and_makes_none() {
    let message = |spec: Value| {
        let decision = plan(&seen(spec));
        assert_eq!(said(&decision)[0], ("False", "InvalidSchedule"));
        assert_eq!(decision.step, Step::Rest, "nothing changes before somebody edits it");
        decision.conditions[0].message.clone()
    };
    assert!(message(json!({"schedule": "0 25 * * *"})).contains("hour"));
    assert!(message(json!({"schedule": "0 0 3 * * *"})).contains("five fields"));
    assert!(message(json!({"schedule": "0 0 30 2 *"})).contains("never comes"));
    assert!(message(json!({"timeZone": "Europe/berlin"})).contains("not a time zone"));
    assert!(message(json!({"schedule": "*/5 * * * *"})).contains("more than 1000 backups"));
    let seen = Seen { refused: Some("quota".to_owned()), ..seen(json!({})) };
    assert_eq!(said(&plan(&seen))[0], ("False", "BackupRefused"));
}

#[test]
fn a_day_that_a_zone_leaves_out_ends_no_schedule() {
    // Samoa had no 30th of December 2011.
    let cron = Cron::parse("30 12 30 * *", Some("Pacific/Apia")).unwrap();
    let before = time("2011-12-29T12:00:00Z").as_second();
    assert!(cron.after(before).is_some());
    assert!(cron.last(time("2011-12-31T12:00:00Z").as_second()).is_some());
}
