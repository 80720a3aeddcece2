//! What is said of an archive.

use menagerie::api::{ArchiveSpec, GcsSpec};
use menagerie::model::truth::{ArchiveLag, ArchiveReason, ArchiveState, GivenUp, Point, ServerState};
use menagerie::model::{Fact, Observation, PodRefusal, ServerId, Zxid};
use menagerie::plan::{ConditionStatus, UntimedCondition, plan};

use super::world::{World, zk};

pub fn archived() -> World {
    let mut world = zk(3);
    let s3 = menagerie::api::S3Spec { bucket: "backups".to_owned(), ..Default::default() };
    world.spec.archive = Some(menagerie::api::ArchiveSpec { s3: Some(s3), ..Default::default() });
    world.settle();
    world
}

fn says(seen: &mut Observation, id: u32, reason: ArchiveReason, words: Option<&str>) {
    let words = words.map(str::to_owned);
    let lag = Some(ArchiveLag { seconds: 0, bytes: 0, cause: None });
    let state = ArchiveState { last: Some(Zxid(7)), words, lag, ..ArchiveState::of(reason) };
    match seen.members.get_mut(&ServerId(id)) {
        Some(Fact::Known(truth)) => truth.archive = Some(state),
        other => panic!("{other:?}"),
    }
}

fn condition(seen: &Observation) -> Option<UntimedCondition> {
    plan(seen).conditions.into_iter().find(|condition| condition.name == "ContinuousArchiving")
}

#[test]
fn an_archive_that_is_to_be_looked_after_seldom_is_behind_only_after_that() {
    let mut world = archived();
    world.spec.archive.as_mut().unwrap().interval_seconds = Some(900);
    world.settle();
    let mut seen = world.seen();
    for (seconds, reason) in [(930, "Shipping"), (931, "Behind")] {
        for id in [1, 2] {
            says(&mut seen, id, ArchiveReason::Shipping, None);
            lags(&mut seen, id, seconds, 900);
        }
        assert_eq!(condition(&seen).unwrap().reason, reason);
    }
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
    assert_eq!(
        one.message,
        "1 of 3 members archive to s3://backups; member 3 archives as well, since another one was away or cannot go on; member 2: somebody copied it"
    );

    // Whoever knows of the newest base.
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(1)) else { panic!() };
    truth.archive.as_mut().unwrap().base = Some(Zxid(5));
    let message = condition(&seen).unwrap().message;
    assert_eq!(
        message,
        "1 of 3 members archive to s3://backups; its newest base is of 0x5; member 3 archives as well, since another one was away or cannot go on; member 2: somebody copied it"
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
        (ArchiveReason::NoCa, "NoCa"),
        (ArchiveReason::NoKey, "NoKey"),
        (ArchiveReason::NotEncrypted, "NotEncrypted"),
        (ArchiveReason::NoSuchBucket, "NoSuchBucket"),
        (ArchiveReason::Conflict, "Conflict"),
        (ArchiveReason::ArchiveDamaged, "ArchiveDamaged"),
        (ArchiveReason::DiskUnreadable, "DiskUnreadable"),
        (ArchiveReason::Unknown, "Unknown"),
    ] {
        says(&mut seen, 1, reason, Some("why"));
        says(&mut seen, 2, reason, Some("why"));
        let none = condition(&seen).unwrap();
        assert_eq!((none.status, none.reason), (ConditionStatus::False, word));
        let stopped = matches!(reason, ArchiveReason::Conflict | ArchiveReason::ArchiveDamaged);
        let more = if stopped { "; member 3 archives as well, since another one was away or cannot go on" } else { "" };
        assert_eq!(none.message, format!("nobody archives to s3://backups{more}; member 1: why; member 2: why"));
    }
}

fn gives_up(seen: &mut Observation, id: u32, last: u64, first: u64, end: u64) {
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
    let state = truth.archive.as_mut().unwrap();
    state.last = Some(Zxid(last));
    state.given_up = Some(GivenUp { first: Zxid(first), last: Zxid(end) });
}

#[test]
fn what_is_deleted_though_it_is_in_no_archive_is_named_until_somebody_archives_again() {
    let mut seen = archived().seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::TargetUnreachable, Some("no answer"));
    }
    gives_up(&mut seen, 1, 7, 8, 20);
    let now = condition(&seen).unwrap();
    assert_eq!((now.status, now.reason), (ConditionStatus::False, "GivingUp"));
    let lost = "nothing is archived to s3://backups, and a volume is nearly full: what is in no archive is deleted, 0x8 to 0x14";
    let own = "member 1: deleted 0x8 to 0x14 of its log before that was archived, since its volume was nearly full; no answer";
    assert_eq!(now.message, format!("{lost}; {own}; member 2: no answer"));

    // Another copy has a part of it, or all.
    gives_up(&mut seen, 2, 16, 17, 19);
    assert!(condition(&seen).unwrap().message.contains("is deleted, 0x11 to 0x13, 0x11 to 0x14;"));
    gives_up(&mut seen, 2, 20, 21, 30);
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(2)) else { panic!() };
    truth.archive.as_mut().unwrap().given_up = None;
    assert_eq!(condition(&seen).unwrap().reason, "TargetUnreachable");

    // Who cannot say whether it is behind does not hide it.
    gives_up(&mut seen, 2, 7, 8, 20);
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    gives_up(&mut seen, 1, 7, 8, 20);
    lags(&mut seen, 1, 4000, 100 << 20);
    assert_eq!(condition(&seen).unwrap().reason, "GivingUp");

    // It archives again, with a gap.
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    gives_up(&mut seen, 1, 40, 8, 20);
    let again = condition(&seen).unwrap();
    assert_eq!((again.status, again.reason), (ConditionStatus::True, "Shipping"));
    assert!(again.message.contains("member 1: deleted 0x8 to 0x14 of its log"), "{}", again.message);
}

#[test]
fn what_a_member_keeps_until_it_is_archived_is_said_in_steps_while_it_is_late() {
    let mut seen = archived().seen();
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    let mut message = |reason, bytes: u64| {
        says(&mut seen, 2, reason, None);
        let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(2)) else { panic!() };
        truth.archive.as_mut().unwrap().unarchived = Some(bytes);
        condition(&seen).unwrap().message
    };
    let quiet = message(ArchiveReason::Shipping, 5 << 30);
    assert_eq!(quiet, "2 of 2 members archive to s3://backups");
    let late = message(ArchiveReason::TargetUnreachable, 300 << 20);
    assert!(late.ends_with("member 2: keeps more than 256 MiB only because they are not archived"), "{late}");
    assert_eq!(message(ArchiveReason::TargetUnreachable, 900 << 20), late);
    assert!(!message(ArchiveReason::TargetUnreachable, 1 << 20).contains("keeps"));
}

/// Right after a restart everything that the log has may be missing.
#[test]
fn who_has_not_looked_at_its_log_yet_is_not_said_to_archive_it() {
    let mut seen = archived().seen();
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(1)) else { panic!() };
    truth.archive.as_mut().unwrap().lag = None;
    for other in [None, Some(ArchiveReason::AccessDenied)] {
        if let Some(reason) = other {
            says(&mut seen, 2, reason, Some("why"));
        }
        let now = condition(&seen).unwrap();
        assert_eq!((now.status, now.reason), (ConditionStatus::Unknown, "NobodyToAsk"));
    }
    says(&mut seen, 2, ArchiveReason::Shipping, None);
    let one = condition(&seen).unwrap();
    assert_eq!((one.status, one.message.as_str()), (ConditionStatus::True, "1 of 2 members archive to s3://backups"));
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
    let warning = |endpoint: &str, keys: Option<&str>| {
        let mut world = zk(3);
        let s3 = menagerie::api::S3Spec {
            bucket: "backups".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            encryption_keys: keys.map(|keys| menagerie::api::KeysSpec { secret: keys.to_owned(), write_with: None }),
            ..Default::default()
        };
        world.spec.archive = Some(menagerie::api::ArchiveSpec { s3: Some(s3), ..Default::default() });
        world.settle();
        plan(&world.seen()).conditions.into_iter().find(|condition| condition.name == "Warning")
    };
    let said = warning("http://minio:9000", None).unwrap();
    assert_eq!(said.reason, "UnwiseSetting");
    assert!(said.message.contains("archive.s3.endpoint is http://minio:9000") && said.message.contains("use https://"));
    assert_eq!(warning("https://minio:9000", None), None);
    assert_eq!(warning("http://minio:9000", Some("zk-keys")), None, "nobody on the way can read it");
}

/// It said only that "the Secret" lacks a key.
#[test]
fn missing_credentials_are_said_with_the_name_of_their_secret() {
    let mut world = archived();
    world.spec.archive.as_mut().unwrap().s3.as_mut().unwrap().credentials_secret = Some("zookeeper-archive".to_owned());
    world.settle();
    let mut seen = world.seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::NoCredentials, Some("has no accessKeyId"));
    }
    let none = condition(&seen).unwrap();
    let names = format!("Secret zookeeper-archive in {}", seen.names.namespace);
    let words =
        format!("{names} is missing or has no key accessKeyId or secretAccessKey; the kubelet needs up to two minutes");
    assert!(none.message.contains(&words), "{}", none.message);
}

#[test]
fn of_another_store_the_keys_are_called_as_it_calls_them() {
    let mut world = archived();
    let gcs = GcsSpec {
        bucket: "backups".to_owned(),
        credentials_secret: Some("google".to_owned()),
        endpoint: Some("http://gcs:4443".to_owned()),
        ..GcsSpec::default()
    };
    world.spec.archive = Some(ArchiveSpec { gcs: Some(gcs), ..ArchiveSpec::default() });
    world.settle();
    let mut seen = world.seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::NoCredentials, Some("why"));
    }
    let none = condition(&seen).unwrap().message;
    assert!(none.starts_with("nobody archives to gs://backups: Secret google in "), "{none}");
    assert!(none.contains("is missing or has no key serviceAccountKey; the kubelet"), "{none}");
    let plan = plan(&seen);
    let warning = plan.conditions.iter().find(|condition| condition.name == "Warning").unwrap();
    assert!(warning.message.contains("archive.gcs.endpoint is http://gcs:4443"), "{}", warning.message);
}

#[test]
fn a_missing_ca_is_said_with_the_name_of_its_object_and_its_key() {
    let mut world = archived();
    let ca = menagerie::api::CaSpec { config_map: Some("corporate".to_owned()), ..Default::default() };
    world.spec.archive.as_mut().unwrap().s3.as_mut().unwrap().ca = Some(ca);
    world.settle();
    let mut seen = world.seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::NoCa, Some("the key of ca has no certificate as PEM"));
    }
    let none = condition(&seen).unwrap();
    let object = format!("key ca.crt of ConfigMap corporate in {}", seen.names.namespace);
    let words = format!("{object} has no certificate of a CA as PEM; the kubelet needs up to two minutes");
    assert!(none.reason == "NoCa" && none.message.contains(&words), "{}", none.message);
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
    assert_eq!((first.zxid.as_str(), first.time.0.to_string().as_str()), ("0x5", "1970-01-01T00:00:50.007Z"));
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

fn with(seen: &mut Observation, id: u32, change: impl FnOnce(&mut ArchiveState)) {
    let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
    change(truth.archive.as_mut().unwrap());
}

fn warning(seen: &Observation) -> Option<UntimedCondition> {
    plan(seen).conditions.into_iter().find(|condition| condition.name == "Warning")
}

/// Archiving was True without a word, and nothing could be built for 100,000 transactions.
#[test]
fn an_archive_from_which_nothing_can_be_built_yet_says_so_and_what_brings_a_base() {
    let mut seen = archived().seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::Shipping, None);
    }
    assert!(!condition(&seen).unwrap().message.contains("can be built"), "nobody has asked the archive yet");
    for (id, starts) in [(1, 0x1_0000_0003), (2, 0x1_0000_0001 + 1)] {
        with(&mut seen, id, |state| state.starts = Some(Zxid(starts)));
    }
    let none = condition(&seen).unwrap();
    assert_eq!((none.status, none.reason), (ConditionStatus::True, "Shipping"), "members ship");
    let words = "nothing can be built from this archive yet: it has no base";
    assert!(none.message.contains(words) && none.message.contains("snapshot"), "{}", none.message);
    let warned = warning(&seen).unwrap();
    assert_eq!(warned.reason, "NoBase");
    assert!(warned.message.contains(words), "{}", warned.message);
    // One member that knows more, or less, is enough.
    with(&mut seen, 2, |state| state.starts = None);
    assert_eq!(warning(&seen), None);
    with(&mut seen, 2, |state| state.starts = Some(Zxid(0x1_0000_0002)));
    with(&mut seen, 1, |state| state.base = Some(Zxid(0x1_0000_0001)));
    assert_eq!(warning(&seen), None, "that base leads to the log of member 2");
}

/// After an accepted loss new chains begin in a new epoch, and the old base leads to none of them.
#[test]
fn a_gap_behind_the_newest_base_is_said_until_a_base_is_there_that_leads_over_it() {
    let mut seen = archived().seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::Shipping, None);
        with(&mut seen, id, |state| {
            (state.base, state.starts) = (Some(Zxid(0x1_0000_0005)), Some(Zxid(0x2_0000_0001)));
        });
    }
    let gap = condition(&seen).unwrap().message;
    let words = "nothing from 0x200000001 on can be built from this archive yet: no base leads there";
    assert!(gap.contains(words) && gap.contains("its newest base is of 0x100000005"), "{gap}");
    assert_eq!(warning(&seen).unwrap().reason, "NoBase");
    with(&mut seen, 2, |state| state.base = Some(Zxid(0x2_0000_0009)));
    assert!(!condition(&seen).unwrap().message.contains("can be built"));
    assert_eq!(warning(&seen), None);
}

fn published(seen: &Observation) -> (Option<String>, Option<String>) {
    let archive = seen.status.archive.clone().unwrap();
    let zxid = |point: Option<menagerie::api::RecoverabilityPoint>| point.map(|point| point.zxid);
    (zxid(archive.first_recoverability_point), zxid(archive.last_recoverability_point))
}

#[test]
fn no_first_point_is_published_that_is_later_than_the_last() {
    let mut seen = archived().seen();
    let at = |zxid, seconds: i64| Some(Point { zxid: Zxid(zxid), time: seconds * 1000 });
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    reaches(&mut seen, 1, at(5, 50), at(0x10, 1000));
    assert_eq!(last(&mut seen).as_deref(), Some("0x10"));
    // The only base is a new one now, within the hour.
    reaches(&mut seen, 1, at(0x20, 1100), at(0x22, 1110));
    assert_eq!(last(&mut seen).as_deref(), Some("0x22"));
    assert_eq!(published(&seen), (Some("0x20".to_owned()), Some("0x22".to_owned())));
    reaches(&mut seen, 1, at(0x30, 1200), None);
    assert_eq!(last(&mut seen), None);
    assert_eq!(published(&seen), (Some("0x30".to_owned()), None));
}

#[test]
fn the_last_point_goes_while_members_ship_what_cannot_be_built() {
    let mut seen = archived().seen();
    let at = |zxid, seconds: i64| Some(Point { zxid: Zxid(zxid), time: seconds * 1000 });
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    reaches(&mut seen, 1, at(5, 50), at(0x10, 1000));
    assert_eq!(last(&mut seen).as_deref(), Some("0x10"));
    reaches(&mut seen, 1, None, None);
    assert_eq!(last(&mut seen).as_deref(), Some("0x10"), "an agent that began anew knows nothing yet");
    with(&mut seen, 1, |state| state.starts = Some(Zxid(0x2_0000_0001)));
    // The other one that archives may have the chain that leads there: a restart of its pod took the points back.
    assert_eq!(last(&mut seen).as_deref(), Some("0x10"), "it has not said anything");
    says(&mut seen, 2, ArchiveReason::TargetUnreachable, Some("no answer"));
    with(&mut seen, 2, |state| state.starts = Some(Zxid(0x2_0000_0001)));
    assert_eq!(last(&mut seen).as_deref(), Some("0x10"), "it has trouble of its own");
    says(&mut seen, 2, ArchiveReason::Shipping, None);
    with(&mut seen, 2, |state| state.starts = Some(Zxid(0x2_0000_0001)));
    assert_eq!(last(&mut seen), None);
    assert_eq!(published(&seen), (None, None));
}

/// Used as a point for a restore it gave an older tree, without a word.
#[test]
fn a_point_is_published_with_the_milliseconds_of_its_transaction() {
    let mut seen = archived().seen();
    says(&mut seen, 1, ArchiveReason::Shipping, None);
    let point = Some(Point { zxid: Zxid(5), time: 50_007 });
    reaches(&mut seen, 1, point, point);
    last(&mut seen);
    let text = serde_json::to_value(seen.status.archive.as_ref().unwrap()).unwrap();
    let time = text["lastRecoverabilityPoint"]["time"].as_str().unwrap();
    assert!(time.starts_with("1970-01-01T00:00:50.007"), "{time}");
    let back: menagerie::api::ArchiveStatus = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(Some(&back), seen.status.archive.as_ref());
    // What an older version wrote is read.
    let mut old = text;
    old["lastRecoverabilityPoint"]["time"] = "1970-01-01T00:00:50Z".into();
    let old: menagerie::api::ArchiveStatus = serde_json::from_value(old).unwrap();
    assert_eq!(old.last_recoverability_point.unwrap().seconds(), 50);
}

/// The target was corrected, and the error of the wrong one stayed until each agent had looked again.
#[test]
fn what_a_member_says_of_another_archive_than_the_specs_is_not_said() {
    let mut seen = archived().seen();
    for id in [1, 2] {
        says(&mut seen, id, ArchiveReason::AccessDenied, Some("the wrong one"));
        with(&mut seen, id, |state| state.place = Some("s3://backup".to_owned()));
    }
    let point = Some(Point { zxid: Zxid(5), time: 50_007 });
    reaches(&mut seen, 1, point, point);
    let none = condition(&seen).unwrap();
    assert_eq!((none.status, none.reason), (ConditionStatus::Unknown, "NobodyToAsk"));
    assert!(!none.message.contains("the wrong one") && none.message.contains("s3://backups"), "{}", none.message);
    assert_eq!(last(&mut seen), None);
    with(&mut seen, 1, |state| state.place = Some("s3://backups".to_owned()));
    assert!(condition(&seen).unwrap().message.contains("member 1: the wrong one"));
    with(&mut seen, 1, |state| state.place = Some("s3://backups in eu-central-1".to_owned()));
    assert_eq!(condition(&seen).unwrap().reason, "NobodyToAsk");
}

fn told(world: &World) -> Vec<u32> {
    let config = world.objects.iter().find(|(key, _)| key.kind == menagerie::model::observed::Kind::ConfigMap);
    let text = config.unwrap().1.held().unwrap()["data"]["archive.json"].as_str().unwrap();
    let config: menagerie::model::archive::ArchiveConfig = serde_json::from_str(text).unwrap();
    config.members.into_iter().map(|id| id.0).collect()
}

fn archived_by_five() -> World {
    let mut world = archived();
    world.scale(5).settle();
    assert_eq!(told(&world), [1, 2]);
    world
}

/// Says that the archive has all that these members have.
fn current(seen: &mut Observation, ids: &[u32]) {
    let place = seen.desired.as_ref().unwrap().archive.as_ref().unwrap().config.place.described();
    for id in ids {
        says(seen, *id, ArchiveReason::Shipping, None);
        let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(*id)) else { panic!() };
        truth.archive.as_mut().unwrap().place = Some(place.clone());
    }
}

/// Who is told to archive by the step that follows from this.
fn next(seen: &Observation) -> Option<Vec<u32>> {
    let menagerie::plan::Step::Apply(writes) = plan(seen).step else { return None };
    let config = writes
        .iter()
        .map(menagerie::plan::Write::object)
        .find(|object| object.json["data"]["archive.json"].is_string())?;
    let config: menagerie::model::archive::ArchiveConfig =
        serde_json::from_str(config.json["data"]["archive.json"].as_str()?).unwrap();
    Some(config.members.into_iter().map(|id| id.0).collect())
}

#[test]
fn beside_a_member_that_is_away_for_long_another_one_archives_and_it_keeps_its_part() {
    let mut world = archived_by_five();
    world.down.extend([ServerId(1), ServerId(2)]);
    let leader = world.leader().unwrap().0;
    world.settle();
    let now = told(&world);
    let more: Vec<u32> = now.iter().copied().filter(|id| *id > 2).collect();
    assert!(now.len() == 4 && now[..2] == [1, 2] && !more.contains(&leader), "{now:?}");
    let mut seen = world.seen();
    current(&mut seen, &more);
    let message = condition(&seen).unwrap().message;
    let as_well = format!(
        "member {} archives as well, member {} archives as well, since another one was away or cannot go on",
        more[0], more[1]
    );
    assert!(message.contains(&as_well), "{message}");
    assert_eq!(next(&seen), None, "two are away, and have what nobody else may have");
}

/// It purged, and what had waited for the store was in no archive.
#[test]
fn who_is_back_is_no_reason_to_relieve_anybody_before_the_archive_has_what_both_have() {
    let mut world = archived_by_five();
    world.down.extend([ServerId(1), ServerId(2)]);
    world.settle();
    let more: Vec<u32> = told(&world).into_iter().filter(|id| *id > 2).collect();
    world.down.clear();
    let mut seen = world.seen();
    assert_eq!(next(&seen), None, "nobody says anything");
    current(&mut seen, &[1, 2, more[0], more[1]]);
    lags(&mut seen, more[1], 61, 9);
    says(&mut seen, more[0], ArchiveReason::TargetUnreachable, None);
    assert_eq!(next(&seen), None, "two of the four are not up to date");
    current(&mut seen, &more);
    assert_eq!(next(&seen), Some(vec![1, 2]), "the last go");
    // Enough have to be up to date without them.
    says(&mut seen, 1, ArchiveReason::Conflict, None);
    assert_eq!(next(&seen), Some(vec![1, 2, more[0]]));
}

#[test]
fn beside_one_whose_chain_has_come_to_an_end_another_one_archives_though_it_serves() {
    let mut seen = archived_by_five().seen();
    for (reason, goes_on) in [
        (ArchiveReason::TargetUnreachable, true),
        (ArchiveReason::AccessDenied, true),
        (ArchiveReason::Conflict, false),
        (ArchiveReason::ArchiveDamaged, false),
    ] {
        says(&mut seen, 1, reason, None);
        assert_eq!(next(&seen).is_none(), goes_on, "{reason:?}: {:?}", next(&seen));
    }
    assert_eq!(next(&seen).unwrap()[..2], [1, 2]);
}

#[test]
fn nobody_is_replaced_who_may_be_back_in_a_moment_or_of_whom_nothing_is_known_or_by_one_that_does_not_serve() {
    // A minute ago it served.
    let mut seen = archived_by_five().seen();
    let away = |seen: &mut Observation, id: u32, since: Option<u64>| {
        seen.members.insert(ServerId(id), Fact::Unknown("connect timed out".to_owned()));
        let pod = seen.pods.get_mut(&ServerId(id).seat()).unwrap();
        (pod.ready, pod.unready) = (false, since);
    };
    let writes = |seen: &Observation| matches!(plan(seen).step, menagerie::plan::Step::Apply(_));
    let now = seen.now;
    away(&mut seen, 1, Some(now - 119));
    assert!(!writes(&seen));
    away(&mut seen, 1, Some(now - 120));
    assert!(writes(&seen), "the same, a second later");
    away(&mut seen, 1, None);
    assert!(!writes(&seen), "its kubelet says that it is ready");
    seen.pods.remove(&ServerId(1).seat());
    assert!(!writes(&seen), "nobody knows since when it has no pod");
    let mut refused = |since| {
        seen.hindrances.pods.insert(ServerId(1).seat(), PodRefusal { since, words: "quota".to_owned() });
        writes(&seen)
    };
    assert!(!refused(None) && !refused(Some(now - 119)) && refused(Some(now - 120)), "it gets none");

    let mut world = archived_by_five();
    world.down.extend((1..=5).map(ServerId));
    world.settle();
    assert_eq!(told(&world), [1, 2]);
}

#[test]
fn more_copies_are_made_by_the_first_and_of_fewer_the_last_go_once_all_are_up_to_date() {
    let mut world = archived_by_five();
    world.spec.archive.as_mut().unwrap().copies = Some(3);
    world.settle();
    assert_eq!(told(&world), [1, 2, 3]);
    world.spec.archive.as_mut().unwrap().copies = Some(1);
    let mut seen = world.seen();
    assert_eq!(next(&seen), None);
    current(&mut seen, &[1, 2, 3]);
    assert_eq!(next(&seen), Some(vec![1]));
    // What the last volumes of a larger ensemble had is no question any more.
    world.settle();
    world.scale(1).settle();
    assert_eq!(told(&world), [1]);
}

/// Of a member that does not archive nobody heard it: the status said that nothing is wrong.
#[test]
fn whoever_cannot_purge_is_named_whether_or_not_it_archives() {
    let mut seen = archived().seen();
    let warning = |seen: &Observation| plan(seen).conditions.into_iter().find(|condition| condition.name == "Warning");
    assert_eq!(warning(&seen), None);
    for id in [1, 3] {
        let Some(Fact::Known(truth)) = seen.members.get_mut(&ServerId(id)) else { panic!() };
        truth.unpurged = Some(format!("cannot delete snapshot.{id}: Permission denied"));
    }
    let said = warning(&seen).unwrap();
    assert_eq!(said.reason, "NotPurged");
    let of = |id: u32| {
        format!(
            "member {id} deletes none of its old logs and snapshots, and its volume fills up: cannot delete snapshot.{id}: Permission denied"
        )
    };
    assert_eq!(said.message, format!("{}; {}", of(1), of(3)));
}
