//! A backup, step by step.

use serde_json::{Value, json};

use super::*;
use crate::api::StoreSpec;
use crate::model::archive::ArchiveMounts;
use crate::model::fixtures::names;
use crate::model::observed::{Kind, ObjectKey, OperatorFacts};
use crate::model::report::Report;
use crate::operator::kit::job::PodFacts;
use crate::operator::subject::EnsembleFacts;
use crate::plan::Target;
use crate::render::trial::TrialServer;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "a literal at each call")]
fn seen(spec: Value) -> Seen {
    let mut all = json!({"ensemble": "zk"});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let s3 = serde_json::from_value(json!({"bucket": "backups", "credentialsSecret": "keys"})).unwrap();
    let key = ObjectKey { kind: Kind::Backup, name: "nightly".to_owned() };
    Seen {
        names: names(),
        target: Target { key, uid: "u".to_owned(), resource_version: "5".to_owned() },
        generation: Some(1),
        created: time("2026-11-21T03:00:00Z"),
        now: time("2026-11-21T03:00:05Z"),
        spec: serde_json::from_value(all).unwrap(),
        status: BackupStatus::default(),
        operator: OperatorFacts {
            agent_image: "operator".to_owned(),
            agent_pull_policy: None,
            assigned_ids: false,
            searched: None,
        },
        ensemble: Some(EnsembleFacts {
            readable: true,
            valid: true,
            identity: Some("one".to_owned()),
            quorum: true,
            archive: Some((
                StoreSpec::S3(&s3).place(),
                ArchiveMounts { secret: Some("keys".to_owned()), ..ArchiveMounts::default() },
            )),
            template: Value::Null,
            account: "zk".to_owned(),
            pull_secrets: Vec::new(),
            members: 3,
            server: None,
        }),
        job: None,
        refused: None,
    }
}

fn job(outcome: Outcome, report: Option<Report>) -> JobFacts {
    let key = ObjectKey { kind: Kind::Job, name: "nightly-backup".to_owned() };
    JobFacts::Ours(Box::new(OwnJob {
        target: Target { key, uid: "j".to_owned(), resource_version: "7".to_owned() },
        running: outcome == Outcome::Running,
        outcome,
        pod: report.map(|report| PodFacts { report: Some(report), done: true, ..PodFacts::default() }),
        active: true,
        refused: None,
        begun: true,
    }))
}

fn proved() -> Report {
    let time = Some("2026-11-21T02:59:58Z".to_owned());
    let backup =
        BackupReport { zxid: "0x10000002a".to_owned(), time, znodes: 40, digests: 7, ..BackupReport::default() };
    Report { backup: Some(backup), ..Report::default() }
}

/// What the next pass sees.
fn later(seen: &Seen, now: &str, job: Option<JobFacts>) -> Seen {
    Seen { status: plan(seen).status, now: time(now), job, ..seen.clone() }
}

fn said(decision: &Decision) -> (BackupPhase, &'static str, &str) {
    let condition = decision.condition.as_ref().unwrap();
    (decision.status.phase.unwrap(), condition.reason, &condition.message)
}

#[test]
fn a_backup_of_now_asks_the_members_pins_by_its_uid_and_is_completed_when_it_is_proved() {
    let seen = seen(json!({"keepDays": 14}));
    let decision = plan(&seen);
    assert_eq!((&decision.step, decision.status.pin.as_deref()), (&Step::Wait("Begins"), Some("nightly.u")));
    let seen = later(&seen, "2026-11-21T03:00:06Z", None);
    let decision = plan(&seen);
    let Step::Create(rendered) = &decision.step else { panic!("{decision:?}") };
    let args: Vec<&str> = rendered.json["spec"]["template"]["spec"]["containers"][0]["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for arg in ["--pin=nightly.u", "--identity=one", "--until=2026-12-05T03:00:00Z", "--archive=s3://backups"] {
        assert!(args.contains(&arg), "{arg} in {args:?}");
    }
    assert_eq!(args.iter().filter(|arg| arg.starts_with("--server=")).count(), 3, "{args:?}");
    assert_eq!(said(&decision).0, BackupPhase::Running);

    let seen = later(&seen, "2026-11-21T03:00:10Z", Some(job(Outcome::Running, None)));
    assert_eq!(plan(&seen).step, Step::Wait("Running"));
    let seen = later(&seen, "2026-11-21T03:01:00Z", Some(job(Outcome::Complete, Some(proved()))));
    let decision = plan(&seen);
    let (phase, reason, message) = said(&decision);
    assert_eq!((phase, reason), (BackupPhase::Completed, "Completed"));
    assert!(message.contains("40 znodes, proved by 7 digests; kept until 2026-12-05T03:00:00Z"), "{message}");
    assert_eq!(decision.status.zxid.as_deref(), Some("0x10000002a"));

    let mut seen = later(&seen, "2026-12-05T02:59:59Z", None);
    seen.ensemble = None;
    assert_eq!(plan(&seen).step, Step::Rest, "it outlives its ensemble");
    seen.now = time("2026-12-05T03:00:00Z");
    assert_eq!(plan(&seen).step, Step::Delete(seen.target.clone()));
}

#[test]
fn without_digests_it_says_what_is_not_proved() {
    let mut report = proved();
    report.backup.as_mut().unwrap().digests = 0;
    let seen = Seen { job: Some(job(Outcome::Complete, Some(report))), ..seen(json!({})) };
    let decision = plan(&seen);
    let message = said(&decision).2;
    assert!(message.contains("its tree is not; kept until somebody takes pin"), "{message}");
}

#[test]
fn what_is_missing_is_waited_for_and_said_and_not_for_ever() {
    let reason = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen(json!({}));
        change(&mut seen);
        let decision = plan(&seen);
        assert_eq!((&decision.step, said(&decision).0), (&Step::Wait(said(&decision).1), BackupPhase::Pending));
        let late = Seen { now: time("2026-11-22T04:00:01Z"), ..seen };
        let failed = plan(&late);
        assert_eq!((said(&failed).0, said(&failed).1), (BackupPhase::Failed, "TooLate"));
        assert!(said(&failed).2.contains(said(&decision).2), "{failed:?}");
        said(&decision).1
    };
    assert_eq!(reason(&|seen| seen.ensemble = None), "EnsembleNotFound");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().identity = None), "NotBorn");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().archive = None), "NoArchive");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().valid = false), "EnsembleInvalid");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().quorum = false), "NoQuorum");
    assert_eq!(reason(&|seen| seen.refused = Some("quota".to_owned())), "JobRefused");
}

#[test]
fn a_point_of_the_past_needs_no_quorum() {
    let mut seen = seen(json!({"at": "0x10000002a"}));
    seen.ensemble.as_mut().unwrap().quorum = false;
    let decision = plan(&later(&seen, "2026-11-21T03:00:06Z", None));
    let Step::Create(job) = &decision.step else { panic!("{decision:?}") };
    let args = job.json["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains("--at=0x10000002a") && !args.contains("--server"), "{args}");
}

/// Most ensembles have no archive: one file a night is all that is asked for.
#[test]
fn without_an_archive_a_backup_is_made_from_the_members_files_in_a_store_of_its_own() {
    let store = json!({"s3": {"bucket": "vault", "credentialsSecret": "vault-keys"}});
    let mut own = seen(json!({"to": store}));
    own.ensemble.as_mut().unwrap().archive = None;
    let begun = later(&own, "2026-11-21T03:00:06Z", None);
    assert_eq!(begun.status.archive.as_deref(), Some("s3://vault/nightly.u"), "in a folder of its own");
    let decision = plan(&begun);
    let Step::Create(job) = &decision.step else { panic!("{decision:?}") };
    let pod = job.json["spec"]["template"]["spec"].to_string();
    for part in
        ["--archive=s3://vault/nightly.u", "--copy=ns/zk", "--server=", "vault-keys", "MENAGERIE_SUPER_PASSWORD"]
    {
        assert!(pod.contains(part), "{part} in {pod}");
    }
    // Also where there is one.
    own.ensemble = seen(json!({})).ensemble;
    assert_eq!(plan(&own).status.archive.as_deref(), Some("s3://vault/nightly.u"));
    let mut neither = seen(json!({}));
    neither.ensemble.as_mut().unwrap().archive = None;
    let decision = plan(&neither);
    let (_, reason, text) = said(&decision);
    assert!(reason == "NoArchive" && text.contains("spec.to"), "{text}");
}

/// kubeblocks 3811: a backup of a deleted cluster was completed with the log of its successor.
#[test]
fn a_backup_of_an_ensemble_that_was_replaced_fails() {
    let mut seen = later(&seen(json!({})), "2026-11-21T03:00:10Z", None);
    seen.ensemble.as_mut().unwrap().identity = Some("two".to_owned());
    assert_eq!(said(&plan(&seen)).1, "EnsembleReplaced");
    seen.ensemble.as_mut().unwrap().identity = Some("one".to_owned());
    seen.status.archive = Some("s3://before".to_owned());
    assert_eq!(said(&plan(&seen)).1, "ArchiveMoved", "its pin is there");
}

/// A schedule would take it for one that somebody has deleted, and what it said before for true.
#[test]
fn one_that_has_not_ended_when_it_expires_fails_before_it_is_deleted() {
    let mut seen = seen(json!({"keepDays": 1, "deadlineSeconds": 604_800}));
    seen.ensemble = None;
    let seen = later(&seen, "2026-11-22T03:00:00Z", None);
    let decision = plan(&seen);
    assert_eq!((said(&decision).0, said(&decision).1), (BackupPhase::Failed, "TooLate"));
    assert_eq!(plan(&later(&seen, "2026-11-22T03:00:01Z", None)).step, Step::Delete(seen.target.clone()));
}

#[test]
fn one_that_was_restored_with_its_status_expires_when_its_pin_does() {
    let mut seen = seen(json!({"keepDays": 14}));
    seen.status.expires = Some(Time(time("2026-11-20T03:00:00Z")));
    seen.status.phase = Some(BackupPhase::Completed);
    assert_eq!(plan(&seen).step, Step::Delete(seen.target.clone()));
}

#[test]
fn a_job_that_is_gone_or_whose_report_is_gone_is_made_again_a_few_times() {
    let mut seen = later(&seen(json!({})), "2026-11-21T03:00:10Z", None);
    seen = later(&seen, "2026-11-21T03:00:11Z", None);
    for _ in 0..MOST_LOST {
        seen.job = Some(job(Outcome::Complete, None));
        let decision = plan(&seen);
        assert!(matches!(&decision.step, Step::Delete(target) if target.key.kind == Kind::Job), "{decision:?}");
        seen = later(&seen, "2026-11-21T03:00:10Z", None);
        assert!(matches!(plan(&seen).step, Step::Create(_)), "nobody has seen it end");
        seen = later(&seen, "2026-11-21T03:00:10Z", None);
    }
    assert_eq!(said(&plan(&seen)).1, "ReportLost");
}

#[test]
fn a_job_that_read_the_archive_and_found_it_not_whole_is_told_from_one_that_could_not_read_it() {
    let report = |not_proved| Report { not_proved, ..Report::of_error("a digest differs") };
    let ended = |reason: &str, report| {
        let failed = Outcome::Failed { reason: reason.to_owned(), message: "exit code".to_owned() };
        let seen = Seen { job: Some(job(failed, Some(report))), ..seen(json!({})) };
        said(&plan(&seen)).1
    };
    assert_eq!(ended("BackoffLimitExceeded", report(true)), "NotProved");
    assert_eq!(ended("BackoffLimitExceeded", report(false)), "BackupFailed");
    assert_eq!(ended("DeadlineExceeded", report(true)), "BackupFailed", "another try may have come further");
}

#[test]
fn the_level_that_was_reached_is_said() {
    let mut report = proved();
    let level =
        |report| plan(&Seen { job: Some(job(Outcome::Complete, Some(report))), ..seen(json!({})) }).status.verified;
    assert_eq!(level(report.clone()).unwrap().level, ProofLevel::Replay);
    let backup = report.backup.as_mut().unwrap();
    backup.second = Some("from base 0x5 by the log of 1.a alone".to_owned());
    assert_eq!(level(report.clone()).unwrap().level, ProofLevel::TwoWays);
    report.backup.as_mut().unwrap().server = Some("3.9.5".to_owned());
    assert_eq!(level(report.clone()).unwrap().level, ProofLevel::Server);
    report.backup.as_mut().unwrap().digests = 0;
    assert_eq!(level(report).unwrap().level, ProofLevel::Log, "no tree was compared with what servers had");
}

#[test]
fn how_well_it_is_to_be_proved_is_passed_on_and_what_came_of_it_is_said() {
    let mut seen = later(&seen(json!({"level": "TwoWays"})), "2026-11-21T03:00:06Z", None);
    let Step::Create(rendered) = plan(&seen).step else { panic!() };
    let args = rendered.json["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains(r#""--level=TwoWays""#), "{args}");
    let mut report = proved();
    let backup = report.backup.as_mut().unwrap();
    (backup.tree_hash, backup.no_second) = (Some("0a".repeat(32)), Some("there is no other base".to_owned()));
    seen.job = Some(job(Outcome::Complete, Some(report)));
    let decision = plan(&seen);
    let message = said(&decision).2;
    assert!(message.contains("7 digests; not built a second time: there is no other base; kept until"), "{message}");
    assert_eq!(decision.status.tree_hash, Some("0a".repeat(32)));
}

#[test]
fn a_server_starts_beside_the_job_where_that_is_wanted_and_nowhere_else() {
    for (level, beside) in [(json!(null), false), (json!("TwoWays"), false), (json!("Server"), true)] {
        let mut seen = later(&seen(json!({"level": level})), "2026-11-21T03:00:06Z", None);
        seen.ensemble.as_mut().unwrap().server =
            Some(TrialServer { image: "zookeeper:3.9.5".to_owned(), ..TrialServer::default() });
        let Step::Create(rendered) = plan(&seen).step else { panic!() };
        let pod = &rendered.json["spec"]["template"]["spec"];
        assert_eq!(pod["initContainers"][0]["image"] == "zookeeper:3.9.5", beside, "{pod}");
        assert_eq!(pod["containers"][0]["args"].to_string().contains("--trial=/trial"), beside, "{pod}");
    }
}

#[test]
fn a_time_that_is_still_to_come_is_not_waited_for() {
    let decision = plan(&seen(json!({"at": "2062-11-28T02:00:00Z"})));
    assert_eq!((said(&decision).0, said(&decision).1), (BackupPhase::Failed, "NotYet"));
    assert!(matches!(plan(&seen(json!({"at": "2026-11-21T03:04:00Z"}))).step, Step::Wait("Begins")));
}

#[test]
fn what_has_failed_stays_so_and_what_of_it_still_runs_is_stopped() {
    let failed = Outcome::Failed { reason: "PodFailurePolicy".to_owned(), message: "exit code 1".to_owned() };
    let mut seen = seen(json!({}));
    seen.job = Some(job(failed, Some(Report::of_error("a digest differs"))));
    let decision = plan(&seen);
    assert_eq!(
        said(&decision),
        (
            BackupPhase::Failed,
            "BackupFailed",
            "a digest differs; it does not begin again: once that is mended, create another one"
        )
    );
    let seen = later(&seen, "2026-11-21T03:00:10Z", Some(job(Outcome::Running, None)));
    let decision = plan(&seen);
    assert!(matches!(&decision.step, Step::Delete(target) if target.key.kind == Kind::Job));
    assert_eq!((decision.status.phase, decision.condition), (Some(BackupPhase::Failed), None));
}

/// Kubernetes waits for the last word of a kubelet that is not there.
#[test]
fn a_pod_whose_node_is_lost_is_given_up_so_that_another_one_begins() {
    let JobFacts::Ours(mut own) = job(Outcome::Running, None) else { panic!() };
    let key = ObjectKey { kind: Kind::Pod, name: "nightly-backup-x".to_owned() };
    let pod = Target { key, uid: "p".to_owned(), resource_version: "9".to_owned() };
    own.pod = Some(PodFacts { name: "nightly-backup-x".to_owned(), overdue: Some(pod.clone()), ..PodFacts::default() });
    let seen = seen(json!({}));
    let begun = plan(&seen);
    let of = |job: &OwnJob| {
        let seen =
            Seen { status: begun.status.clone(), job: Some(JobFacts::Ours(Box::new(job.clone()))), ..seen.clone() };
        plan(&seen)
    };
    let decision = of(&own);
    let (phase, reason, text) = said(&decision);
    assert_eq!((phase, reason), (BackupPhase::Running, "Retrying"));
    assert!(text.contains("nightly-backup-x was told to end and has not"), "{text}");
    assert_eq!(decision.step, Step::GiveUp(pod));
    // A Job whose time is over waits for it as well.
    own.active = false;
    assert!(matches!(of(&own).step, Step::GiveUp(_)));
    // What it reported counts, and a Job that has ended needs no other pod.
    own.pod.as_mut().unwrap().report = Some(proved());
    own.outcome = Outcome::Complete;
    assert_eq!(of(&own).status.phase, Some(BackupPhase::Completed));
    own.outcome = Outcome::Failed { reason: "DeadlineExceeded".to_owned(), message: String::new() };
    own.pod.as_mut().unwrap().report = None;
    assert_eq!(said(&of(&own)).1, "BackupFailed");
}
