//! A restore, step by step.

use serde_json::{Value, json};

use super::*;
use crate::api::StoreSpec;
use crate::model::archive::ArchiveMounts;
use crate::model::fixtures::names;
use crate::model::observed::{Kind, ObjectKey, OperatorFacts};
use crate::model::report::Report;
use crate::operator::kit::job::PodFacts;
use crate::plan::Target;

const HASH: &str = "abababababababababababababababababababababababababababababababab";

#[expect(clippy::needless_pass_by_value, reason = "a literal at each call")]
fn seen(spec: serde_json::Value) -> Seen {
    let mut all = json!({"ensemble": "zk", "at": "0x100000007", "paths": ["/app"]});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let s3 = serde_json::from_value(json!({"bucket": "backups", "credentialsSecret": "keys"})).unwrap();
    Seen {
        names: names(),
        name: "undo".to_owned(),
        uid: "u".to_owned(),
        generation: Some(1),
        spec: serde_json::from_value(all).unwrap(),
        status: RestoreStatus::default(),
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
            pull_secrets: vec!["pull".to_owned()],
            members: 3,
            server: None,
        }),
        backup: None,
        other: None,
        planning: None,
        applying: None,
        refused: None,
        now: "2026-11-28T02:00:00Z".parse().unwrap(),
    }
}

fn job(outcome: Outcome, report: Option<Report>) -> JobFacts {
    let key = ObjectKey { kind: Kind::Job, name: "undo-plan".to_owned() };
    let target = Target { key, uid: "j".to_owned(), resource_version: "7".to_owned() };
    JobFacts::Ours(Box::new(OwnJob {
        target,
        running: outcome == Outcome::Running,
        outcome,
        pod: report.map(|report| PodFacts { report: Some(report), done: true, ..PodFacts::default() }),
        active: true,
        refused: None,
        begun: true,
    }))
}

fn plan_report() -> Report {
    let plan = RestorePlan {
        hash: HASH.to_owned(),
        zxid: "0x100000007".to_owned(),
        create: 2,
        changes: 2,
        ..RestorePlan::default()
    };
    Report { plan: Some(plan), ..Report::default() }
}

fn with_plan(mut seen: Seen) -> Seen {
    seen.status.plan = plan_report().plan;
    seen.status.identity = Some("one".to_owned());
    seen.status.phase = Some(RestorePhase::Planned);
    seen
}

fn said(decision: &Decision) -> (RestorePhase, &'static str, &'static str, String) {
    let [planned, completed, ended] = decision.conditions.clone().unwrap();
    let over = matches!(decision.status.phase, Some(RestorePhase::Completed | RestorePhase::Failed));
    assert_eq!((ended.status == ConditionStatus::True, ended.reason), (over, completed.reason));
    (decision.status.phase.unwrap(), planned.reason, completed.reason, completed.message)
}

fn created(decision: &Decision) -> &Rendered {
    match &decision.step {
        Step::Create(job) => job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_restore_plans_first_and_changes_nothing_before_it_may() {
    let mut seen = seen(json!({}));
    let decision = plan(&seen);
    assert_eq!(created(&decision).key.name, "undo-plan");
    assert_eq!(decision.status.phase, Some(RestorePhase::Planning));
    seen.planning = Some(job(Outcome::Running, None));
    assert_eq!(plan(&seen).step, Step::Wait("Planning"));
    seen.planning = Some(job(Outcome::Complete, Some(plan_report())));
    let decision = plan(&seen);
    let (phase, planned, completed, message) = said(&decision);
    assert_eq!((phase, planned, completed), (RestorePhase::Planned, "Planned", "DryRun"));
    assert!(message.contains("kubectl -n ns patch zkr undo") && message.contains(HASH), "{message}");

    let mut seen = with_plan(seen);
    seen.planning = None;
    assert_eq!(plan(&seen).step, Step::Rest, "its Job is not needed any more");
    seen.spec.dry_run = Some(false);
    seen.spec.approved_plan = Some("0".repeat(64));
    let decision = plan(&seen);
    assert_eq!((decision.step.clone(), said(&decision).2), (Step::Rest, "NotApproved"));
    seen.spec.approved_plan = Some(HASH.to_owned());
    let decision = plan(&seen);
    assert_eq!(created(&decision).key.name, "undo-apply");
    assert_eq!(decision.status.phase, Some(RestorePhase::Applying));
}

#[test]
fn what_may_overwrite_or_refuse_something_is_carried_out_by_no_plan_that_nobody_has_looked_at() {
    let step = |more: Value, approved: bool| {
        let mut seen = with_plan(seen(json!({"dryRun": false})));
        let mut spec = json!({"ensemble": "zk", "dryRun": false});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        seen.spec = serde_json::from_value(spec).unwrap();
        seen.spec.approved_plan = approved.then(|| HASH.to_owned());
        plan(&seen)
    };
    for more in [
        json!({"at": "0x100000007", "paths": ["/"], "existing": "Overwrite"}),
        json!({"at": "0x100000007", "paths": ["/"], "existing": "KeepNewer"}),
        json!({"at": "0x100000007", "paths": ["/"], "existing": "Keep", "quotas": true}),
        json!({"at": "0x100000007", "paths": ["/"], "quotas": true}),
        json!({"undo": "0x100000007"}),
    ] {
        let decision = step(more.clone(), false);
        let (_, _, completed, message) = said(&decision);
        assert_eq!((decision.step, completed), (Step::Rest, "NotApproved"), "{more}");
        assert!(message.contains(HASH), "{message}");
        assert_eq!(created(&step(more, true)).key.name, "undo-apply");
    }
    let keep = json!({"at": "0x100000007", "paths": ["/"], "existing": "Keep", "quotas": false});
    assert_eq!(created(&step(keep, false)).key.name, "undo-apply");
}

#[test]
fn what_was_completed_or_has_failed_is_never_carried_out_again() {
    let mut seen = with_plan(seen(json!({"dryRun": false})));
    seen.applying = Some(job(
        Outcome::Complete,
        Some(Report { applied: Some(RestoreApplied { changes: 2, changed_by_others: 0 }), ..Report::default() }),
    ));
    let decision = plan(&seen);
    assert_eq!(said(&decision).0, RestorePhase::Completed);
    let failed = Outcome::Failed { reason: "PodFailurePolicy".to_owned(), message: "exit code 1".to_owned() };
    seen.applying = Some(job(failed, Some(Report::of_error("others changed /app"))));
    let decision = plan(&seen);
    let (phase, _, reason, message) = said(&decision);
    assert_eq!((phase, reason, message.as_str()), (RestorePhase::Failed, "ApplyFailed", "others changed /app"));
    for phase in [RestorePhase::Completed, RestorePhase::Failed] {
        seen.status.phase = Some(phase);
        seen.applying = None;
        seen.generation = Some(9);
        let decision = plan(&seen);
        assert_eq!((decision.step, decision.status.observed_generation), (Step::Rest, Some(9)));
        assert_eq!((decision.status.phase, decision.conditions), (Some(phase), None));
    }
}

/// velero 8661: today's spec answered for what was stored yesterday.
#[test]
fn a_plan_in_an_archive_that_was_moved_since_waits_and_is_not_lost() {
    let mut seen = with_plan(seen(json!({"dryRun": false})));
    seen.status.archive = Some("s3://before".to_owned());
    let decision = plan(&seen);
    let (phase, _, reason, message) = said(&decision);
    assert_eq!((phase, reason), (RestorePhase::Planned, "ArchiveMoved"));
    assert!(message.contains("s3://before") && message.contains("s3://backups"), "{message}");
    seen.status.archive = Some("s3://backups".to_owned());
    assert_eq!(created(&plan(&seen)).key.name, "undo-apply");
}

/// velero 8103: completed, and nothing was restored.
#[test]
fn a_restore_that_left_znodes_as_they_are_says_so_when_it_is_completed() {
    let mut seen = with_plan(seen(json!({"dryRun": false})));
    seen.status.plan.as_mut().unwrap().skipped = 21;
    let applied = Some(RestoreApplied { changes: 0, changed_by_others: 0 });
    seen.applying = Some(job(Outcome::Complete, Some(Report { applied, ..Report::default() })));
    let message = said(&plan(&seen)).3;
    assert!(message.contains("21 znodes are not as they were"), "{message}");
}

#[test]
fn what_runs_on_beside_our_container_is_stopped_when_the_work_is_done() {
    let mut seen = with_plan(seen(json!({"dryRun": false})));
    seen.status.phase = Some(RestorePhase::Completed);
    let JobFacts::Ours(mut applying) = job(Outcome::Complete, None) else { panic!() };
    assert_eq!(plan(&Seen { applying: Some(JobFacts::Ours(applying.clone())), ..seen.clone() }).step, Step::Rest);
    applying.running = true;
    seen.applying = Some(JobFacts::Ours(applying));
    assert!(matches!(plan(&seen).step, Step::Delete(_)));
}

#[test]
fn once_its_job_plans_a_backup_that_expires_meanwhile_is_not_missed() {
    let mut seen = seen(json!({"at": null, "backup": "nightly"}));
    seen.status.identity = Some("one".to_owned());
    seen.planning = Some(job(Outcome::Complete, Some(plan_report())));
    assert_eq!(plan(&seen).status.phase, Some(RestorePhase::Planned));
}

#[test]
fn a_backup_is_waited_for_and_gives_the_point_if_it_is_of_this_archive() {
    let mut seen = seen(json!({"at": null, "backup": "nightly"}));
    let reason = |seen: &Seen| (plan(seen).status.phase.unwrap(), said(&plan(seen)).1);
    assert_eq!(reason(&seen), (RestorePhase::Pending, "BackupNotFound"));
    let mut backup = BackupPoint {
        phase: BackupPhase::Running,
        message: "it runs".to_owned(),
        identity: Some("one".to_owned()),
        archive: Some("s3://backups".to_owned()),
        zxid: None,
        to: None,
        tree_hash: None,
        younger: false,
    };
    seen.backup = Some(backup.clone());
    assert_eq!(reason(&seen), (RestorePhase::Pending, "BackupUnfinished"));
    seen.backup = Some(BackupPoint { younger: true, ..backup.clone() });
    assert_eq!(reason(&seen), (RestorePhase::Pending, "BackupYounger"), "a deleted one was made again, and is of now");
    backup = BackupPoint { phase: BackupPhase::Completed, zxid: Some("0x10000002a".to_owned()), ..backup };
    seen.backup = Some(backup.clone());
    let args = created(&plan(&seen)).json["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains("--at=0x10000002a") && !args.contains("--tree-hash"), "{args}");
    for (hash, given) in [("0a".repeat(32), true), ("$(MENAGERIE_SUPER_PASSWORD)".to_owned(), false)] {
        seen.backup = Some(BackupPoint { tree_hash: Some(hash.clone()), ..backup.clone() });
        let args = created(&plan(&seen)).json["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        assert_eq!(args.contains(&format!("--tree-hash={hash}")), given, "{args}");
    }
    for wrong in [
        BackupPoint { identity: Some("two".to_owned()), ..backup.clone() },
        BackupPoint { archive: Some("s3://others".to_owned()), ..backup.clone() },
    ] {
        seen.backup = Some(wrong);
        assert_eq!(reason(&seen), (RestorePhase::Failed, "BackupElsewhere"));
    }
    seen.backup = Some(BackupPoint { phase: BackupPhase::Failed, ..backup });
    assert_eq!(reason(&seen), (RestorePhase::Failed, "BackupFailed"));
}

/// The store is the backup's: its ensemble may have no archive, or another one.
#[test]
fn a_backup_with_a_store_of_its_own_is_read_and_the_plan_kept_there_until_it_is_carried_out() {
    let mut seen = seen(json!({"at": null, "backup": "nightly"}));
    let s3 = serde_json::from_value(json!({"bucket": "vault", "credentialsSecret": "vault-keys"})).unwrap();
    let store = StoreSpec::S3(&s3);
    seen.backup = Some(BackupPoint {
        phase: BackupPhase::Completed,
        identity: Some("one".to_owned()),
        archive: Some("s3://vault".to_owned()),
        zxid: Some("0x10000002a".to_owned()),
        to: Some((store.place(), store.mounts())),
        ..BackupPoint::default()
    });
    seen.ensemble.as_mut().unwrap().archive = None;
    let args = |seen: &Seen| {
        let decision = plan(seen);
        let pod = created(&decision).json["spec"]["template"]["spec"].to_string();
        assert!(pod.contains("vault-keys"), "{pod}");
        (pod, decision.status)
    };
    let (pod, status) = args(&seen);
    assert!(pod.contains("--archive=s3://vault") && pod.contains("--at=0x10000002a"), "{pod}");
    assert_eq!(status.archive.as_deref(), Some("s3://vault"));
    // Until it is known where, its phase decides.
    let mut before = seen.clone();
    for (phase, reason) in [(BackupPhase::Pending, "BackupUnfinished"), (BackupPhase::Failed, "BackupFailed")] {
        let backup = before.backup.as_mut().unwrap();
        (backup.phase, backup.zxid) = (phase, None);
        assert_eq!(said(&plan(&before)).1, reason);
    }
    let mut planned = with_plan(Seen { status, ..seen });
    planned.spec.dry_run = Some(false);
    planned.status.archive = Some("s3://vault".to_owned());
    let (pod, _) = args(&planned);
    assert!(pod.contains("restore-apply") && pod.contains("--archive=s3://vault"), "{pod}");
    // Deleted since: nothing says any more how that store is reached.
    planned.backup = None;
    let decision = plan(&planned);
    assert_eq!(said(&decision).2, "BackupNotFound");
    assert!(said(&decision).3.contains("it said how s3://vault is reached"), "{decision:?}");
}

#[test]
fn a_time_that_is_still_to_come_fails_at_once_but_for_clocks_that_are_a_little_apart() {
    let of = |at: &str| said(&plan(&seen(json!({"at": at}))));
    let (phase, _, reason, words) = of("2062-11-28T02:00:00Z");
    assert_eq!((phase, reason), (RestorePhase::Failed, "NotYet"));
    assert!(
        words.contains("2062-11-28T02:00:00Z is still to come") && words.contains("2026-11-28T02:00:00Z"),
        "{words}"
    );
    for at in ["2026-11-28T02:04:59Z", "2026-11-28T01:00:00Z", "0x7fffffffffffffff"] {
        assert_eq!(of(at).0, RestorePhase::Planning, "{at}");
    }
}

#[test]
fn what_is_missing_is_waited_for_and_said() {
    let reason = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen(json!({}));
        change(&mut seen);
        let decision = plan(&seen);
        let said = said(&decision);
        assert!(matches!(decision.step, Step::Wait(code) if code == said.1), "{decision:?}");
        said.1
    };
    assert_eq!(reason(&|seen| seen.ensemble = None), "EnsembleNotFound");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().identity = None), "NotBorn");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().archive = None), "NoArchive");
    assert_eq!(reason(&|seen| seen.ensemble.as_mut().unwrap().quorum = false), "NoQuorum");
    assert_eq!(reason(&|seen| seen.refused = Some("quota".to_owned())), "JobRefused");
    assert_eq!(reason(&|seen| seen.planning = Some(JobFacts::Foreign("CronJob x".to_owned()))), "NameTaken");
    assert_eq!(reason(&|seen| seen.planning = Some(JobFacts::Leaving(String::new()))), "JobLeaving");
}

#[test]
fn a_plan_for_one_ensemble_is_not_carried_out_on_the_next_of_its_name() {
    let mut seen = with_plan(seen(json!({"dryRun": false})));
    seen.ensemble.as_mut().unwrap().identity = Some("another".to_owned());
    assert_eq!(said(&plan(&seen)).2, "EnsembleReplaced");
}

#[test]
fn a_planning_job_whose_pod_went_before_its_report_was_read_is_made_again_and_one_that_changed_znodes_is_not() {
    let mut seen = seen(json!({}));
    seen.planning = Some(job(Outcome::Complete, None));
    assert!(matches!(plan(&seen).step, Step::Delete(target) if target.uid == "j" && target.resource_version == "7"));
    let mut seen = with_plan(self::seen(json!({"dryRun": false})));
    seen.applying = Some(job(Outcome::Complete, None));
    let (phase, _, _, message) = said(&plan(&seen));
    assert_eq!(phase, RestorePhase::Completed);
    assert!(message.contains("how much that was is not known"), "{message}");
    // Somebody deleted it to stop it, or a rule that collects Jobs did.
    seen.applying = None;
    seen.status.phase = Some(RestorePhase::Applying);
    let decision = plan(&seen);
    assert_eq!((decision.step.clone(), said(&decision).2), (Step::Rest, "JobGone"));
}

#[test]
fn while_its_job_runs_the_job_counts_whatever_else_is_missing() {
    let mut seen = with_plan(seen(json!({"dryRun": false, "approvedPlan": HASH})));
    seen.status.phase = Some(RestorePhase::Applying);
    seen.applying = Some(job(Outcome::Running, Some(Report::default())));
    seen.ensemble.as_mut().unwrap().quorum = false;
    seen.ensemble.as_mut().unwrap().archive = None;
    let decision = plan(&seen);
    assert_eq!((decision.step.clone(), said(&decision).2, decision.holds), (Step::Wait("Applying"), "Applying", true));
    let stopped = |seen: &Seen, reason: &str| {
        let decision = plan(seen);
        assert!(matches!(&decision.step, Step::Delete(target) if target.uid == "j"), "{decision:?}");
        assert_eq!((said(&decision).0, said(&decision).2, decision.holds), (RestorePhase::Failed, reason, false));
    };
    let mut replaced = seen.clone();
    replaced.ensemble.as_mut().unwrap().identity = Some("another".to_owned());
    stopped(&replaced, "EnsembleReplaced");
    replaced.ensemble.as_mut().unwrap().identity = None;
    stopped(&replaced, "EnsembleReplaced");
    let mut unreadable = replaced.clone();
    unreadable.ensemble = Some(EnsembleFacts::default());
    assert_eq!(plan(&unreadable).step, Step::Wait("Applying"), "nobody knows which it is");
    replaced.ensemble = None;
    stopped(&replaced, "EnsembleReplaced");
    // Until it is gone.
    replaced.status.phase = Some(RestorePhase::Failed);
    assert!(matches!(plan(&replaced).step, Step::Delete(_)));
}

/// Argo CD and Flux apply the manifest again, with the `dryRun` that is in it.
#[test]
fn a_tool_that_takes_the_approval_back_stops_nothing_that_has_begun_and_starts_nothing_that_has_not() {
    let mut seen = with_plan(seen(json!({"dryRun": false, "approvedPlan": HASH})));
    let takes_back: [&dyn Fn(&mut Seen); 3] = [
        &|seen| seen.spec.dry_run = Some(true),
        &|seen| (seen.spec.dry_run, seen.spec.approved_plan) = (None, None),
        &|seen| seen.spec.approved_plan = Some("0".repeat(64)),
    ];
    for take_back in takes_back {
        let mut seen = seen.clone();
        take_back(&mut seen);
        assert_eq!(plan(&seen).step, Step::Rest, "no Job is there yet");
    }
    seen.status.phase = Some(RestorePhase::Applying);
    for take_back in takes_back {
        let mut seen = seen.clone();
        seen.applying = Some(job(Outcome::Running, Some(Report::default())));
        take_back(&mut seen);
        let decision = plan(&seen);
        let (phase, _, reason, message) = said(&decision);
        assert_eq!((decision.step, phase, reason), (Step::Wait("Applying"), RestorePhase::Applying, "Applying"));
        let how = "kubectl -n ns delete job undo-apply, or menagerie restore delete undo";
        assert!(decision.holds && message.ends_with(how), "{message}");
        // Its end is the Job's, whatever the spec says by then.
        let applied = Some(RestoreApplied { changes: 2, changed_by_others: 0 });
        seen.applying = Some(job(Outcome::Complete, Some(Report { applied, ..Report::default() })));
        assert_eq!(said(&plan(&seen)).0, RestorePhase::Completed);
        // It waits for a place, or for Kueue, and has done nothing.
        let JobFacts::Ours(mut own) = job(Outcome::Running, None) else { panic!() };
        own.begun = false;
        seen.applying = Some(JobFacts::Ours(own));
        let decision = plan(&seen);
        assert!(matches!(&decision.step, Step::Delete(target) if target.uid == "j"), "{decision:?}");
        assert_eq!((said(&decision).0, said(&decision).2), (RestorePhase::Planned, "NotApproved"));
        seen.status.phase = Some(RestorePhase::Planned);
        seen.applying = Some(JobFacts::Leaving(String::new()));
        assert_eq!(said(&plan(&seen)).0, RestorePhase::Planned);
        seen.applying = None;
        assert_eq!((plan(&seen).step, said(&plan(&seen)).0), (Step::Rest, RestorePhase::Planned));
    }
}

#[test]
fn members_are_held_by_a_job_of_this_restore_that_runs_and_by_nothing_else() {
    let mut seen = with_plan(seen(json!({"dryRun": false})));
    assert!(plan(&seen).holds, "its Job is created now");
    seen.other = Some("first".to_owned());
    let decision = plan(&seen);
    assert_eq!((said(&decision).2, decision.holds), ("AnotherRestore", false));
    seen.status.phase = Some(RestorePhase::Applying);
    for foreign in [JobFacts::Foreign("CronJob x".to_owned()), JobFacts::Leaving(String::new())] {
        seen.applying = Some(foreign);
        assert!(!plan(&seen).holds);
    }
    let quota = |active| {
        let JobFacts::Ours(mut own) = job(Outcome::Running, None) else { panic!() };
        (own.active, own.refused) = (active, Some("exceeded quota".to_owned()));
        JobFacts::Ours(own)
    };
    seen.applying = Some(quota(true));
    assert!(plan(&seen).holds);
    seen.applying = Some(quota(false));
    let decision = plan(&seen);
    assert!(!decision.holds && said(&decision).3.contains("no pod of its Job is created: exceeded quota"));
}

/// The spec is `seen`'s, with the transaction in the place of its point and paths.
fn undo() -> Seen {
    let mut seen = seen(json!({}));
    (seen.spec.at, seen.spec.paths) = (None, None);
    seen.spec.undo = Some("0x10000002a".to_owned());
    seen
}

#[test]
fn an_undo_asks_its_job_for_the_transaction_and_for_nothing_else() {
    let decision = plan(&undo());
    let args = &created(&decision).json["spec"]["template"]["spec"]["containers"][0]["args"];
    let args: Vec<&str> = args.as_array().unwrap().iter().filter_map(|arg| arg.as_str()).collect();
    assert!(args.contains(&"--undo=0x10000002a") && args.contains(&"--same-ensemble"), "{args:?}");
    for other in ["--at", "--path", "--existing"] {
        assert!(!args.iter().any(|arg| arg.starts_with(other)), "{args:?}");
    }
}

#[test]
fn an_undo_says_which_transaction_it_is_of_and_whether_it_is_a_part() {
    let mut seen = with_plan(undo());
    let message = |seen: &Seen| plan(seen).conditions.unwrap()[0].message.clone();
    assert!(message(&seen).starts_with("undo of 0x10000002a: 2 to create, "), "{}", message(&seen));
    assert!(!message(&seen).contains("counters"), "{}", message(&seen));
    seen.status.plan.as_mut().unwrap().counters = 3;
    assert!(message(&seen).contains("skipped, 3 sequence counters are lower than they were; plan"));
    seen.status.plan.as_mut().unwrap().skipped = 1;
    assert!(message(&seen).starts_with("a part of the undo of 0x10000002a: "), "{}", message(&seen));
    let applied = RestoreApplied { changes: 2, changed_by_others: 0 };
    seen.applying = Some(job(Outcome::Complete, Some(Report { applied: Some(applied), ..Report::default() })));
    let (phase, .., message) = said(&plan(&seen));
    assert_eq!(phase, RestorePhase::Completed);
    assert!(message.contains("it is a part of the undo: 1 znodes are not as they were"), "{message}");
    assert!(!message.contains("existing"), "{message}");
}

#[test]
fn a_jobs_arguments_have_no_secret_and_name_what_is_wanted() {
    let seen = seen(json!({"existing": "Overwrite", "deleteExtra": true, "to": "/app before", "exclusive": true}));
    let decision = plan(&seen);
    let job = created(&decision);
    let container = &job.json["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(|arg| arg.as_str()).collect();
    for arg in [
        "--at=0x100000007",
        "--path=/app",
        "--to=/app before",
        "--exclusive",
        "--delete-extra",
        "--existing=overwrite",
        "--same-ensemble",
        "--identity=one",
        "--archive=s3://backups",
        "--credentials=/archive",
        "--credentials-secret=keys",
    ] {
        assert!(args.contains(&arg), "{arg} is not in {args:?}");
    }
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"], json!({"name": "zk-super", "key": "password"}));
    let pod = &job.json["spec"]["template"]["spec"];
    assert_eq!((&pod["serviceAccountName"], &pod["imagePullSecrets"]), (&json!("zk"), &json!([{"name": "pull"}])));
    let mut other = seen.clone();
    other.spec.from = Some(serde_json::from_value(json!({"s3": {"bucket": "others"}, "identity": "two"})).unwrap());
    // A kubelet takes $(NAME) for the value of a variable, and the password is one; $$ is a $.
    let mut odd = seen.clone();
    odd.spec.paths = Some(vec!["/$(MENAGERIE_SUPER_PASSWORD)".to_owned(), "/a$$b".to_owned()]);
    let decision = plan(&odd);
    let args = &created(&decision).json["spec"]["template"]["spec"]["containers"][0]["args"];
    for arg in ["--path=/$$(MENAGERIE_SUPER_PASSWORD)", "--path=/a$$$$b"] {
        assert!(args.as_array().unwrap().contains(&json!(arg)), "{args}");
    }
    let decision = plan(&other);
    let text = created(&decision).json.to_string();
    assert!(text.contains("--identity=two") && text.contains("s3://others"), "{text}");
    assert!(!text.contains("--same-ensemble") && !text.contains("--credentials"), "{text}");
}

/// Whatever it brought back, the next pod finds done; nobody else's Job would be made again.
#[test]
fn a_pod_whose_node_is_lost_is_given_up_and_the_members_stay_held() {
    let JobFacts::Ours(mut own) = job(Outcome::Running, None) else { panic!() };
    let key = ObjectKey { kind: Kind::Pod, name: "undo-apply-x".to_owned() };
    let pod = Target { key, uid: "p".to_owned(), resource_version: "9".to_owned() };
    own.pod = Some(PodFacts { name: "undo-apply-x".to_owned(), overdue: Some(pod.clone()), ..PodFacts::default() });
    let own = Some(JobFacts::Ours(own));
    let mut planned = with_plan(seen(json!({"dryRun": false})));
    planned.status.phase = Some(RestorePhase::Applying);
    for seen in [
        Seen { planning: own.clone(), ..seen(json!({})) },
        Seen { applying: own.clone(), ..planned.clone() },
        Seen { applying: own.clone(), ..with_plan(seen(json!({"dryRun": false}))) },
    ] {
        let decision = plan(&seen);
        assert_eq!(decision.step, Step::GiveUp(pod.clone()));
        assert_eq!(decision.holds, seen.applying.is_some());
        assert!(said(&decision).3.contains("undo-apply-x was told to end and has not"), "{decision:?}");
    }
    // One that is to stop does so.
    let mut seen = Seen { applying: own, ..with_plan(seen(json!({"dryRun": false}))) };
    seen.ensemble = None;
    assert!(matches!(plan(&seen).step, Step::Delete(_)));
}
