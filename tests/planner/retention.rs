//! What deletes from an archive: when it comes and goes, and what is said when it does not succeed.

use menagerie::api::ArchiveSpec;
use menagerie::model::observed::{Kind, ObjectKey};
use menagerie::model::{Hindrance, Live, ServerId};
use menagerie::plan::{Plan, Step, UntimedCondition, plan};
use serde_json::{Value, json};

use super::world::{World, zk};

const HOUR: u64 = 3600;

fn key() -> ObjectKey {
    ObjectKey { kind: Kind::CronJob, name: "zk-prune".into() }
}

fn archive(retention: &Value) -> ArchiveSpec {
    serde_json::from_value(json!({"s3": {"bucket": "backups"}, "retention": retention})).unwrap()
}

/// Born, and pruned each day at half past three.
fn pruned() -> World {
    let mut world = zk(3);
    world.spec.archive = Some(archive(&json!({"keepDays": 30, "schedule": "30 3 * * *"})));
    assert_eq!(world.settle().step, Step::Rest);
    world
}

fn live(world: &mut World) -> &mut Value {
    match world.objects.get_mut(&key()) {
        Some(Live::Ours(live)) => live,
        other => panic!("{other:?}"),
    }
}

fn warning(plan: &Plan) -> Option<UntimedCondition> {
    plan.conditions.iter().find(|condition| condition.name == "Warning").cloned()
}

#[test]
fn a_cron_job_prunes_once_the_ensemble_is_born_and_follows_the_spec() {
    let mut world = zk(3);
    world.spec.archive = Some(archive(&json!({"keepDays": 30})));
    let born = |world: &World| world.membership.is_some();
    while !born(&world) {
        assert!(!world.objects.contains_key(&key()));
        world.pass();
    }
    world.settle();
    let schedule = live(&mut world)["spec"]["schedule"].clone();
    assert!(schedule.as_str().unwrap().ends_with(" * * *"), "{schedule}");
    world.spec.archive = Some(archive(&json!({"keepDays": 7, "suspend": true})));
    assert_eq!(world.settle().step, Step::Rest);
    let spec = live(&mut world)["spec"].clone();
    assert_eq!((&spec["suspend"], &spec["schedule"]), (&json!(true), &schedule));
    let container = &spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    assert!(container["args"].as_array().unwrap().contains(&json!("--keep-days=7")), "{container}");
}

/// Whoever lost the quorum may need all that is archived.
#[test]
fn what_is_no_longer_to_be_pruned_is_pruned_no_more_also_without_a_quorum() {
    for taken_out in [Some(archive(&Value::Null)), None] {
        let mut world = pruned();
        world.down = [1, 2].map(ServerId).into();
        world.spec.archive = taken_out;
        let before = world.objects.len();
        world.settle();
        assert!(!world.objects.contains_key(&key()) && world.objects.len() == before - 1, "{:?}", world.trace);
        world.down.clear();
        assert_eq!(world.settle().step, Step::Rest);
    }
}

#[test]
fn nothing_is_known_of_what_a_wrong_spec_wants_and_a_cron_job_that_is_not_ours_is_left_alone() {
    let mut world = pruned();
    world.spec.archive = Some(archive(&json!({"keepDays": 30, "schedule": "0 0 3 * * *"})));
    let Step::Refuse(told) = world.settle().step else { panic!("{:?}", world.trace) };
    assert!(told.message.contains("archive.retention.schedule") && told.message.contains("five fields"), "{told:?}");
    assert!(world.objects.contains_key(&key()));

    world.spec.archive = None;
    let ours = live(&mut world).clone();
    world.objects.insert(key(), Live::Orphan(ours));
    assert_eq!(world.settle().step, Step::Rest);
    assert!(world.objects.contains_key(&key()));
}

#[test]
fn a_cron_job_that_may_not_be_deleted_is_said_and_holds_up_nothing() {
    let mut world = pruned();
    world.spec.archive = None;
    let seal = live(&mut world)["metadata"]["uid"].as_str().unwrap().to_owned();
    let refused = Hindrance::Refused { seal, words: "a policy says no".to_owned() };
    world.hindrances.objects.insert(key(), refused);
    let plan = world.settle();
    let hindered = plan.conditions.iter().find(|condition| condition.name == "Hindered").unwrap();
    assert!(hindered.message.contains("delete CronJob zk-prune") && hindered.message.contains("a policy says no"));
    world.scale(5).settle();
    assert_eq!(world.voters(), [1, 2, 3, 4, 5]);
}

#[test]
fn runs_that_do_not_succeed_are_said_with_since_when_and_where_to_look() {
    let mut world = pruned();
    // Now is a Monday, at noon.
    live(&mut world)["metadata"]["creationTimestamp"] = json!("2026-11-23T12:00:00Z");
    let born = world.now;
    let at = |world: &World, half_hours: u64| {
        let mut world = world.clone();
        world.now = born + half_hours * HOUR / 2 + 1;
        warning(&plan(&world.seen()))
    };
    assert_eq!(at(&world, 102), None);
    let told = at(&world, 103).unwrap();
    assert_eq!(told.reason, "NotPruned");
    for part in [
        "since 2026-11-23T12:00:00Z",
        "no run of CronJob zk-prune (30 3 * * *, UTC) has begun by its schedule",
        "kubectl -n ns get jobs,pods -l menagerie.dev/prune=zk",
        "kubectl -n ns logs -l menagerie.dev/prune=zk",
    ] {
        assert!(told.message.contains(part), "{part}: {}", told.message);
    }
    // The words stay while nothing happens: each change of them would be a write of the status.
    assert_eq!(at(&world, 1000).unwrap(), told);

    live(&mut world)["status"]["lastScheduleTime"] = json!("2026-11-25T03:30:00Z");
    assert!(at(&world, 103).unwrap().message.contains("has succeeded since then"));
    live(&mut world)["status"]["lastSuccessfulTime"] = json!("2026-11-25T03:31:10Z");
    assert_eq!(at(&world, 103), None);
    assert!(at(&world, 400).unwrap().message.contains("since 2026-11-25T03:31:10Z"));
    // What is not known is no reason.
    live(&mut world)["metadata"]["creationTimestamp"] = Value::Null;
    assert_eq!(at(&world, 400), None);
}

#[test]
fn a_suspended_retention_and_one_whose_cron_job_is_missing_are_no_failed_runs() {
    let mut world = pruned();
    world.spec.archive = Some(archive(&json!({"keepDays": 30, "suspend": true})));
    world.settle();
    live(&mut world)["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
    assert_eq!(warning(&plan(&world.seen())), None);
    world.spec.archive = Some(archive(&json!({"keepDays": 30})));
    world.objects.remove(&key());
    assert_eq!(warning(&plan(&world.seen())), None);
}

#[test]
fn a_run_that_succeeds_changes_no_word_of_the_status() {
    let mut world = pruned();
    live(&mut world)["metadata"]["creationTimestamp"] = json!("2026-11-23T12:00:00Z");
    let before = plan(&world.seen());
    live(&mut world)["status"] =
        json!({"lastScheduleTime": "2026-11-23T12:00:00Z", "lastSuccessfulTime": "2026-11-23T12:01:00Z"});
    live(&mut world)["metadata"]["resourceVersion"] = json!("99999");
    let after = plan(&world.seen());
    assert_eq!((after.step, &after.status, &after.conditions), (Step::Rest, &before.status, &before.conditions));
}
