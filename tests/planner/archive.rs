//! What is said of an archive.

use menagerie::model::truth::{ArchiveLag, ArchiveReason, ArchiveState, Point, ServerState};
use menagerie::model::{Fact, Observation, ServerId, Zxid};
use menagerie::plan::{ConditionStatus, UntimedCondition, plan};

use super::world::{World, zk};

fn archived() -> World {
    let mut world = zk(3);
    let s3 = menagerie::api::S3Spec { bucket: "backups".to_owned(), ..Default::default() };
    world.spec.archive = Some(menagerie::api::ArchiveSpec { s3, ..Default::default() });
    world.settle();
    world
}

fn says(seen: &mut Observation, id: u32, reason: ArchiveReason, words: Option<&str>) {
    let state = ArchiveState {
        last: Some(Zxid(7)),
        base: None,
        reason,
        words: words.map(str::to_owned),
        lag: None,
        first: None,
        reaches: None,
    };
    match seen.members.get_mut(&ServerId(id)) {
        Some(Fact::Known(truth)) => truth.archive = Some(state),
        other => panic!("{other:?}"),
    }
}

fn condition(seen: &Observation) -> Option<UntimedCondition> {
    plan(seen).conditions.into_iter().find(|condition| condition.name == "ContinuousArchiving")
}

#[test]
fn whether_an_ensemble_archives_is_said_by_those_who_do_it_and_why_not_in_their_words() {
    let world = archived();
    let mut seen = world.seen();
    let unknown = condition(&seen).unwrap();
    assert_eq!((unknown.status, unknown.reason), (ConditionStatus::Unknown, "NobodyToAsk"));

    says(&mut seen, 1, ArchiveReason::Shipping, None);
    says(&mut seen, 2, ArchiveReason::Conflict, Some("somebody copied it"));
    let one = condition(&seen).unwrap();
    assert_eq!((one.status, one.reason), (ConditionStatus::True, "Shipping"));
    assert_eq!(one.message, "1 of 2 members archive to s3://backups; member 2: somebody copied it");

    // Whoever knows of the newest base.
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(1)) else { panic!() };
    truth.archive.as_mut().unwrap().base = Some(Zxid(5));
    let message = condition(&seen).unwrap().message;
    assert_eq!(
        message,
        "1 of 2 members archive to s3://backups; its newest base is of 0x5; member 2: somebody copied it"
    );

    for id in [1, 2] {
        let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
        truth.server = ServerState::Waiting { phase: "election".to_owned(), version: None };
        says(&mut seen, id, ArchiveReason::Shipping, None);
    }
    let nobody = condition(&seen).unwrap();
    assert_eq!((nobody.status, nobody.reason), (ConditionStatus::False, "NotServing"));

    for (reason, word) in [
        (ArchiveReason::TargetUnreachable, "TargetUnreachable"),
        (ArchiveReason::AccessDenied, "AccessDenied"),
        (ArchiveReason::NoCredentials, "NoCredentials"),
        (ArchiveReason::Conflict, "Conflict"),
        (ArchiveReason::ArchiveDamaged, "ArchiveDamaged"),
        (ArchiveReason::DiskUnreadable, "DiskUnreadable"),
        (ArchiveReason::Unknown, "Unknown"),
    ] {
        says(&mut seen, 1, reason, Some("why"));
        says(&mut seen, 2, reason, Some("why"));
        let none = condition(&seen).unwrap();
        assert_eq!((none.status, none.reason), (ConditionStatus::False, word));
        assert_eq!(none.message, "nobody archives to s3://backups; member 1: why; member 2: why");
    }
}

fn lags(seen: &mut Observation, id: u32, seconds: u64, bytes: u64) {
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
    let cause = Some("cannot store s3://backups/a: no answer".to_owned());
    truth.archive.as_mut().unwrap().lag = Some(ArchiveLag { seconds, bytes, cause });
}

#[test]
fn an_archive_that_is_behind_by_more_than_a_minute_is_no_continuous_archive_and_the_cause_is_said() {
    let mut seen = archived().seen();
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    says(&mut seen, 2, ArchiveReason::Shipping, None);
    lags(&mut seen, 1, 60, 1 << 20);
    lags(&mut seen, 2, 4000, 100 << 20);
    let one = condition(&seen).unwrap();
    assert_eq!((one.status, one.reason), (ConditionStatus::True, "Shipping"), "the newest copy counts");
    let cause = "(last error: cannot store s3://backups/a: no answer)";
    let late = format!("member 2: behind by more than 1 h and 64 MiB of log {cause}");
    assert_eq!(one.message, format!("1 of 2 members archive to s3://backups; {late}"));

    lags(&mut seen, 1, 61, 900);
    let behind = condition(&seen).unwrap();
    assert_eq!((behind.status, behind.reason), (ConditionStatus::False, "Behind"));
    let words = format!(
        "what was committed is archived late to s3://backups; member 1: behind by more than 1 min and 1 KiB of log {cause}; {late}"
    );
    assert_eq!(behind.message, words);

    // Whoever does not ship says why already.
    says(&mut seen, 1, ArchiveReason::TargetUnreachable, Some("no answer"));
    says(&mut seen, 2, ArchiveReason::TargetUnreachable, Some("no answer"));
    lags(&mut seen, 1, 200_000, 5 << 30);
    let away = condition(&seen).unwrap();
    assert_eq!((away.status, away.reason), (ConditionStatus::False, "TargetUnreachable"));
    let words = "nobody archives to s3://backups; member 1: behind by more than 2 d and 4 GiB of log; no answer; member 2: no answer";
    assert_eq!(away.message, words);
}

#[test]
fn a_growing_lag_changes_the_condition_some_thirty_times_a_week() {
    let mut seen = archived().seen();
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    let mut messages = std::collections::BTreeSet::new();
    for seconds in (0..7 * 24 * 3600).step_by(900) {
        lags(&mut seen, 1, seconds, seconds * 50_000);
        messages.insert(condition(&seen).unwrap().message);
    }
    assert!((10..=34).contains(&messages.len()), "{}", messages.len());
}

#[test]
fn nothing_is_said_where_there_is_no_archive_and_what_was_shipped_last_changes_no_word() {
    let mut world = zk(3);
    world.settle();
    assert_eq!(condition(&world.seen()), None);
    let world = archived();
    let mut seen = world.seen();
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    let before = condition(&seen);
    if let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(1)) {
        truth.archive.as_mut().unwrap().last = Some(Zxid(8));
    }
    assert_eq!(condition(&seen), before);
}

#[test]
fn an_archive_that_crosses_the_network_readable_is_warned_about() {
    let warning = |endpoint: &str| {
        let mut world = zk(3);
        let s3 = menagerie::api::S3Spec {
            bucket: "backups".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            ..Default::default()
        };
        world.spec.archive = Some(menagerie::api::ArchiveSpec { s3, ..Default::default() });
        world.settle();
        plan(&world.seen()).conditions.into_iter().find(|condition| condition.name == "Warning")
    };
    let said = warning("http://minio:9000").unwrap();
    assert_eq!(said.reason, "UnwiseSetting");
    assert!(said.message.contains("archive.s3.endpoint is http://minio:9000") && said.message.contains("use https://"));
    assert_eq!(warning("https://minio:9000"), None);
}

/// It said only that "the Secret" lacks a key.
#[test]
fn missing_credentials_are_said_with_the_name_of_their_secret() {
    let mut world = archived();
    world.spec.archive.as_mut().unwrap().s3.credentials_secret = Some("zookeeper-archive".to_owned());
    world.settle();
    let mut seen = world.seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::NoCredentials, Some("has no accessKeyId"));
    }
    let none = condition(&seen).unwrap();
    let names = format!("Secret zookeeper-archive in {}", seen.names.namespace);
    assert!(
        none.message.contains(&names) && none.message.contains("accessKeyId and secretAccessKey"),
        "{}",
        none.message
    );
}

fn reaches(seen: &mut Observation, id: u32, first: Option<Point>, last: Option<Point>) {
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
    let state = truth.archive.as_mut().unwrap();
    (state.first, state.reaches) = (first, last);
}

/// The last point, after the plan was carried out.
fn last(seen: &mut Observation) -> Option<String> {
    let mut plan = plan(seen);
    let condition = plan.conditions.iter().find(|condition| condition.name == "ContinuousArchiving").unwrap();
    plan.status.conditions = vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
        type_: condition.name.to_owned(),
        status: condition.status.as_str().to_owned(),
        reason: condition.reason.to_owned(),
        message: condition.message.clone(),
        last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH),
        observed_generation: None,
    }];
    seen.status = plan.status;
    seen.status.archive.as_ref()?.last_recoverability_point.as_ref().map(|point| point.zxid.clone())
}

#[test]
fn what_can_be_built_is_in_the_status_and_moves_once_an_hour_or_when_archiving_turns() {
    let mut seen = archived().seen();
    let at = |zxid, seconds: i64| Some(Point { zxid: Zxid(zxid), time: seconds * 1000 + 7 });
    assert_eq!(last(&mut seen), None, "nobody says anything");
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    says(&mut seen, 2, ArchiveReason::Shipping, None);
    assert_eq!(last(&mut seen), None, "unknown is absent");
    assert_eq!(seen.status.archive.as_ref().unwrap().first_recoverability_point, None);
    reaches(&mut seen, 1, at(5, 50), at(0x10, 1000));
    reaches(&mut seen, 2, at(7, 70), at(0x12, 1001));
    assert_eq!(last(&mut seen).as_deref(), Some("0x12"));
    let first = seen.status.archive.clone().unwrap().first_recoverability_point.unwrap();
    assert_eq!((first.zxid.as_str(), first.time.0.to_string().as_str()), ("0x5", "1970-01-01T00:00:50Z"));
    reaches(&mut seen, 2, None, at(0x20, 4600));
    assert_eq!(last(&mut seen).as_deref(), Some("0x12"), "within the hour");
    reaches(&mut seen, 2, None, at(0x21, 4601));
    assert_eq!(last(&mut seen).as_deref(), Some("0x21"));
    reaches(&mut seen, 2, None, at(0x22, 4602));
    for id in [1, 2] {
        let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
        truth.archive.as_mut().unwrap().reason = ArchiveReason::TargetUnreachable;
    }
    assert_eq!(last(&mut seen).as_deref(), Some("0x22"), "it turned");
    reaches(&mut seen, 1, None, None);
    reaches(&mut seen, 2, None, None);
    assert_eq!(last(&mut seen).as_deref(), Some("0x22"), "what was known stays");
    assert!(seen.status.archive.as_ref().unwrap().first_recoverability_point.is_some());
    // Of another archive nothing is known, nor of a bucket of that name in another store.
    let before = seen.status.clone();
    seen.status.archive.as_mut().unwrap().endpoint = Some("https://s3.example.org".to_owned());
    assert_eq!(last(&mut seen), None);
    seen.status = before;
    seen.status.archive.as_mut().unwrap().target = "s3://elsewhere".to_owned();
    assert_eq!(last(&mut seen), None);
}
