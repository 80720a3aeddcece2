//! What to do next about a restore: pure, from one observation to one step.
//!
//! - A restore that was completed or has failed stays so: nothing that happens later carries it out again. What of it still runs is
//!   stopped.
//! - Once its Job was created, what the Job says counts, whatever else is missing meanwhile. A Job that is gone is not made again: what
//!   it brought back, clients may have deleted since.

use crate::api::{ChangedPolicy, RestoreApplied, RestorePhase, RestorePlan, RestoreStatus, ZooKeeperRestoreSpec};
use crate::model::Names;
use crate::model::archive::ArchivePlace;
use crate::model::observed::OperatorFacts;
use crate::model::report::Report;
use crate::plan::{ConditionStatus, Target, UntimedCondition};
use crate::render::Rendered;
use crate::render::restore::{RestoreBlueprint, apply_job, plan_job};

/// Everything that was seen of one restore in one pass.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Names of the ensemble's objects.
    pub names: Names,
    /// The restore's name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// What is wanted.
    pub spec: ZooKeeperRestoreSpec,
    /// What was said of it.
    pub status: RestoreStatus,
    /// What the operator knows about itself.
    pub operator: OperatorFacts,
    /// The ensemble, if there is one.
    pub ensemble: Option<EnsembleFacts>,
    /// Another restore that changes its znodes now.
    pub other: Option<String>,
    /// The Job that plans.
    pub planning: Option<JobFacts>,
    /// The Job that carries the plan out.
    pub applying: Option<JobFacts>,
    /// The words with which the API server refused the last write.
    pub refused: Option<String>,
}

/// What a restore needs to know of its ensemble. By default it is there and cannot be read.
#[derive(Clone, Debug, Default)]
pub struct EnsembleFacts {
    /// Its identity, once it was born, and if it can be read.
    pub identity: Option<String>,
    /// Whether a quorum serves.
    pub quorum: bool,
    /// Where its archive is, and the Secret with the credentials.
    pub archive: Option<(ArchivePlace, Option<String>)>,
    /// The account of its pods.
    pub account: String,
    /// The Secrets with which its images are pulled.
    pub pull_secrets: Vec<String>,
}

/// A Job, as it was seen.
#[derive(Clone, Debug)]
pub enum JobFacts {
    /// Somebody else's.
    Foreign(String),
    /// It is being deleted, or of an earlier restore of that name; and who keeps it, with the command.
    Leaving(String),
    /// This restore's.
    Ours(Box<OwnJob>),
}

/// A Job of this restore.
#[derive(Clone, Debug)]
pub struct OwnJob {
    /// The Job, as it was seen.
    pub target: Target,
    /// How it ended, if it has.
    pub outcome: Outcome,
    /// Its newest pod.
    pub pod: Option<PodFacts>,
    /// Whether it was created within the last minute: its pod may still come.
    pub young: bool,
    /// Why no pod of it is created, in the words of an Event.
    pub refused: Option<String>,
}

impl JobFacts {
    /// What its pod reported, if it ended well.
    fn report(&self) -> Option<&Report> {
        match self {
            Self::Ours(job) if job.outcome == Outcome::Complete => job.pod.as_ref()?.report.as_ref(),
            _ => None,
        }
    }
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// Well.
    Complete,
    /// Otherwise.
    Failed {
        /// Kubernetes' word for it.
        reason: String,
        /// And its sentence.
        message: String,
    },
}

/// A Job's pod.
#[derive(Clone, Debug, Default)]
pub struct PodFacts {
    /// What it reported at its end.
    pub report: Option<Report>,
    /// What keeps it from running, or ended it.
    pub trouble: Option<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// There is nothing to do.
    Rest,
    /// Others have to do something first.
    Wait(&'static str),
    /// Creates a Job.
    Create(Box<Rendered>),
    /// Deletes a Job whose pod is gone before its report was read: it is created again.
    Delete(Target),
}

impl Step {
    /// In one word, for logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Wait(_) => "wait",
            Self::Create(_) => "create-job",
            Self::Delete(_) => "delete-job",
        }
    }
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The status, but for its conditions.
    pub status: RestoreStatus,
    /// `None`: as they are.
    pub conditions: Option<[UntimedCondition; 2]>,
    /// Whether the ensemble's members stay as they are meanwhile.
    pub holds: bool,
}

/// Why nothing can be done yet: a reason, and a sentence.
struct Obstacle(&'static str, String);

/// Decides.
pub fn plan(seen: &Seen) -> Decision {
    let decision = decide(seen);
    let runs = |job: &OwnJob| job.outcome == Outcome::Running && (job.pod.is_some() || job.young);
    let holds = match (&decision.step, &seen.applying) {
        (Step::Create(_), _) => decision.status.phase == Some(RestorePhase::Applying),
        (Step::Rest | Step::Wait(_), Some(JobFacts::Ours(job))) => runs(job),
        _ => false,
    };
    Decision { holds, ..decision }
}

fn decide(seen: &Seen) -> Decision {
    match (seen.status.phase, &seen.status.plan, &seen.applying) {
        (Some(RestorePhase::Completed | RestorePhase::Failed), ..) => over(seen),
        (_, None, _) => planning(seen),
        (_, Some(plan), Some(JobFacts::Ours(job))) => applying(seen, plan, job),
        (_, Some(plan), _) => planned(seen, plan),
    }
}

/// Nothing more is done.
fn over(seen: &Seen) -> Decision {
    let running = [&seen.applying, &seen.planning].into_iter().find_map(|job| match job {
        Some(JobFacts::Ours(job)) if job.outcome == Outcome::Running => Some(job.target.clone()),
        _ => None,
    });
    let status = RestoreStatus { observed_generation: seen.generation, ..seen.status.clone() };
    Decision { step: running.map_or(Step::Rest, Step::Delete), status, conditions: None, holds: false }
}

fn planning(seen: &Seen) -> Decision {
    let (archive, identity) = match prepared(seen) {
        Ok(found) => found,
        Err(obstacle) => return seen.waits(RestorePhase::Pending, obstacle),
    };
    if seen.status.identity.as_ref().is_some_and(|planned| *planned != identity) {
        return seen.fails("EnsembleReplaced", REPLACED.to_owned());
    }
    let status = RestoreStatus { identity: Some(identity), ..seen.status.clone() };
    let seen = &Seen { status, ..seen.clone() };
    let Some(job) = &seen.planning else {
        let text = "a Job makes the plan".to_owned();
        return seen.creates(plan_job(&archive.blueprint(seen)), RestorePhase::Planning, "Planning", text);
    };
    match (job.report().and_then(|report| report.plan.clone()), job) {
        (Some(plan), _) => {
            let status = RestoreStatus { plan: Some(plan.clone()), ..seen.status.clone() };
            let seen = Seen { status, ..seen.clone() };
            let said = seen.says(RestorePhase::Planned, "Planned", counts(&plan), "DryRun", dry(&seen));
            // What follows is the next pass's, which reads what is said now.
            Decision { step: Step::Wait("Planned"), ..said }
        }
        // Its pod went before its report was read. A plan changes nothing.
        (None, JobFacts::Ours(job)) if job.outcome == Outcome::Complete => {
            let text = "the plan is made again: the Job's pod is gone, and its report with it".to_owned();
            let said = seen.next(RestorePhase::Planning, "Planning", text);
            Decision { step: Step::Delete(job.target.clone()), ..said }
        }
        (None, job) => seen.follows(job, RestorePhase::Planning, "Planning", "the plan is being made"),
    }
}

const REPLACED: &str = "the ensemble is another one than the plan was made for: create another ZooKeeperRestore";

/// The plan is there, and no Job of this restore carries it out.
fn planned(seen: &Seen, plan: &RestorePlan) -> Decision {
    let before = seen.status.phase.unwrap_or(RestorePhase::Planned);
    match &seen.applying {
        Some(job) => return seen.follows(job, before, "Applying", "the plan is to be carried out"),
        None if before == RestorePhase::Applying => {
            let text = "its Job was deleted before it was seen to end: what it changed stays changed; create another ZooKeeperRestore to go on";
            return seen.fails("JobGone", text.to_owned());
        }
        None => {}
    }
    if seen.spec.dry_run.unwrap_or(true) {
        return seen.says(RestorePhase::Planned, "Planned", counts(plan), "DryRun", dry(seen));
    }
    if unapproved(seen, plan) {
        let text = format!("approvedPlan is not the hash of the plan, which is {}: nothing is changed", plan.hash);
        return seen.says(RestorePhase::Planned, "Planned", counts(plan), "NotApproved", text);
    }
    let (archive, identity) = match prepared(seen) {
        Ok(found) => found,
        Err(obstacle) => return seen.waits(RestorePhase::Planned, obstacle),
    };
    if seen.status.identity.as_ref() != Some(&identity) {
        return seen.fails("EnsembleReplaced", REPLACED.to_owned());
    }
    if let Some(other) = &seen.other {
        let text = format!("ZooKeeperRestore {other} changes znodes of the same ensemble: this one follows");
        return seen.waits(RestorePhase::Planned, Obstacle("AnotherRestore", text));
    }
    let replan = seen.spec.changed_since_plan.unwrap_or_default() == ChangedPolicy::Replan;
    let job = apply_job(&archive.blueprint(seen), &plan.hash, replan);
    seen.creates(job, RestorePhase::Applying, "Applying", "a Job carries the plan out".to_owned())
}

fn unapproved(seen: &Seen, plan: &RestorePlan) -> bool {
    seen.spec.approved_plan.as_ref().is_some_and(|approved| *approved != plan.hash)
}

/// Whether it is certain that the ensemble is not the one that the plan was made for.
fn replaced(seen: &Seen) -> bool {
    let Some(ensemble) = &seen.ensemble else { return true };
    ensemble.identity.is_some() && ensemble.identity != seen.status.identity
}

/// A Job carries the plan out, or has.
fn applying(seen: &Seen, plan: &RestorePlan, job: &OwnJob) -> Decision {
    let stop = |reason, text: String| Decision { step: Step::Delete(job.target.clone()), ..seen.fails(reason, text) };
    match &job.outcome {
        // Its pod ended with 0. That it did is known also where its report is gone.
        Outcome::Complete => {
            let report = job.pod.as_ref().and_then(|pod| pod.report.as_ref());
            let applied = report.and_then(|report| report.applied.clone());
            let text = applied.as_ref().map_or_else(
                || "the plan is carried out; how much that was is not known: the Job's pod is gone".to_owned(),
                carried_out,
            );
            let status = RestoreStatus { applied, ..seen.status.clone() };
            let seen = Seen { status, ..seen.clone() };
            seen.says(RestorePhase::Completed, "Planned", counts(plan), "Completed", text)
        }
        Outcome::Running if seen.spec.dry_run.unwrap_or(true) || unapproved(seen, plan) => {
            let text = "it was stopped, since it is no longer approved: what was changed until then stays changed; create another ZooKeeperRestore";
            stop("Stopped", text.to_owned())
        }
        Outcome::Running if replaced(seen) => stop("EnsembleReplaced", REPLACED.to_owned()),
        Outcome::Running | Outcome::Failed { .. } => {
            let job = JobFacts::Ours(Box::new(job.clone()));
            seen.follows(&job, RestorePhase::Applying, "Applying", "the plan is being carried out")
        }
    }
}

fn carried_out(applied: &RestoreApplied) -> String {
    let others = match applied.changed_by_others {
        0 => String::new(),
        some => format!("; others had changed {some} znodes since the plan was made"),
    };
    format!("the plan is carried out, the last {} changes by the Job's last pod{others}", applied.changes)
}

/// An archive to restore from.
struct Archive<'a> {
    place: ArchivePlace,
    secret: Option<String>,
    identity: String,
    same: bool,
    ensemble: &'a EnsembleFacts,
}

impl Archive<'_> {
    fn blueprint<'a>(&'a self, seen: &'a Seen) -> RestoreBlueprint<'a> {
        RestoreBlueprint {
            name: &seen.name,
            uid: &seen.uid,
            spec: &seen.spec,
            names: &seen.names,
            place: &self.place,
            secret: self.secret.as_deref(),
            identity: &self.identity,
            same: self.same,
            account: &self.ensemble.account,
            pull_secrets: &self.ensemble.pull_secrets,
            operator: &seen.operator,
        }
    }
}

/// What a Job needs before it is created: the archive, and the ensemble's identity.
fn prepared(seen: &Seen) -> Result<(Archive<'_>, String), Obstacle> {
    let name = &seen.spec.ensemble;
    let Some(ensemble) = &seen.ensemble else {
        let text = format!("there is no ZooKeeperEnsemble {name} in this namespace: create it");
        return Err(Obstacle("EnsembleNotFound", text));
    };
    let Some(identity) = ensemble.identity.clone() else {
        return Err(Obstacle(
            "NotBorn",
            format!("ensemble {name} was not born yet, or cannot be read: its conditions say why"),
        ));
    };
    let archive = match (&seen.spec.from, &ensemble.archive) {
        (Some(from), _) => Archive {
            place: ArchivePlace::of(&from.s3),
            secret: from.s3.credentials_secret.clone(),
            identity: from.identity.clone(),
            same: from.identity == identity,
            ensemble,
        },
        (None, Some((place, secret))) => {
            Archive { place: place.clone(), secret: secret.clone(), identity: identity.clone(), same: true, ensemble }
        }
        (None, None) => {
            let text = format!(
                "ensemble {name} has no spec.archive: give it one, or create another ZooKeeperRestore with spec.from"
            );
            return Err(Obstacle("NoArchive", text));
        }
    };
    if !ensemble.quorum {
        let text = format!("no quorum of ensemble {name} serves: its conditions say why");
        return Err(Obstacle("NoQuorum", text));
    }
    if let Some(words) = &seen.refused {
        return Err(Obstacle("JobRefused", format!("the API server does not take the Job: {words}")));
    }
    Ok((archive, identity))
}

fn counts(plan: &RestorePlan) -> String {
    let RestorePlan { hash, zxid, create, set, set_acl, delete, equal, skipped, extra, .. } = plan;
    format!(
        "as of {zxid}: {create} to create, {set} to set, {set_acl} ACLs to set, {delete} to delete; {equal} equal, {skipped} skipped, {extra} were not there; plan {hash}"
    )
}

fn dry(seen: &Seen) -> String {
    let (namespace, name) = (&seen.names.namespace, &seen.name);
    format!(
        "nothing is changed before dryRun is false; what would be done: kubectl -n {namespace} logs job/{name}-plan; to do it: kubectl -n {namespace} patch zkr {name} --type merge -p '{{\"spec\":{{\"dryRun\":false,\"approvedPlan\":\"{}\"}}}}'",
        seen.status.plan.as_ref().map_or("", |plan| &plan.hash)
    )
}

impl Seen {
    /// The status with this phase, and both conditions. `planned` and `completed` are reasons.
    fn says(
        &self,
        phase: RestorePhase,
        planned: &'static str,
        plan: String,
        completed: &'static str,
        text: String,
    ) -> Decision {
        let is = |condition| if condition { ConditionStatus::True } else { ConditionStatus::False };
        let conditions = [
            UntimedCondition {
                name: "Planned",
                status: is(self.status.plan.is_some()),
                reason: planned,
                message: plan,
            },
            UntimedCondition {
                name: "Completed",
                status: is(phase == RestorePhase::Completed),
                reason: completed,
                message: text,
            },
        ];
        let status = RestoreStatus {
            observed_generation: self.generation,
            phase: Some(phase),
            conditions: Vec::new(),
            ..self.status.clone()
        };
        Decision { step: Step::Rest, status, conditions: Some(conditions), holds: false }
    }

    /// Says a reason of the condition that is next to become true; the other one keeps what is known.
    fn next(&self, phase: RestorePhase, reason: &'static str, text: String) -> Decision {
        match &self.status.plan {
            None => self.says(phase, reason, text.clone(), reason, text),
            Some(plan) => self.says(phase, "Planned", counts(plan), reason, text),
        }
    }

    fn waits(&self, phase: RestorePhase, Obstacle(reason, text): Obstacle) -> Decision {
        Decision { step: Step::Wait(reason), ..self.next(phase, reason, text) }
    }

    fn creates(&self, job: Rendered, phase: RestorePhase, reason: &'static str, text: String) -> Decision {
        Decision { step: Step::Create(Box::new(job)), ..self.next(phase, reason, text) }
    }

    fn fails(&self, reason: &'static str, text: String) -> Decision {
        self.next(RestorePhase::Failed, reason, text)
    }

    /// A Job that is there, and has not brought what it is for.
    fn follows(&self, job: &JobFacts, phase: RestorePhase, reason: &'static str, doing: &str) -> Decision {
        let OwnJob { outcome, pod, refused, .. } = match job {
            JobFacts::Foreign(owner) => {
                let text = format!(
                    "a Job has the name that is needed, and belongs to {owner}: delete it, or create a ZooKeeperRestore of another name"
                );
                return self.waits(phase, Obstacle("NameTaken", text));
            }
            JobFacts::Leaving(held) => {
                let text = format!("a Job of that name is being deleted{held}");
                return self.waits(phase, Obstacle("JobLeaving", text));
            }
            JobFacts::Ours(job) => &**job,
        };
        let error = pod.as_ref().and_then(|pod| pod.report.as_ref()?.error.clone());
        let trouble = pod.as_ref().and_then(|pod| pod.trouble.clone());
        let refused = refused.as_ref().map(|words| format!("no pod of its Job is created: {words}"));
        let why = error.or(trouble).or(refused);
        match outcome {
            Outcome::Running | Outcome::Complete => {
                let text = match why {
                    Some(why) => format!("{doing}, and its Job is tried again: {why}"),
                    None => doing.to_owned(),
                };
                self.waits(phase, Obstacle(reason, text))
            }
            Outcome::Failed { reason: word, message } => {
                let why = why.unwrap_or_else(|| format!("{word}: {message}"));
                let late = if word == "DeadlineExceeded" { "; it had no more time: deadlineSeconds" } else { "" };
                let failed = if phase == RestorePhase::Planning { "PlanFailed" } else { "ApplyFailed" };
                self.fails(failed, format!("{why}{late}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fixtures::names;
    use crate::model::observed::{Kind, ObjectKey};

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
                identity: Some("one".to_owned()),
                quorum: true,
                archive: Some((ArchivePlace::of(&s3), Some("keys".to_owned()))),
                account: "zk".to_owned(),
                pull_secrets: vec!["pull".to_owned()],
            }),
            other: None,
            planning: None,
            applying: None,
            refused: None,
        }
    }

    fn job(outcome: Outcome, report: Option<Report>) -> JobFacts {
        let key = ObjectKey { kind: Kind::Job, name: "undo-plan".to_owned() };
        let target = Target { key, uid: "j".to_owned(), resource_version: "7".to_owned() };
        JobFacts::Ours(Box::new(OwnJob {
            target,
            outcome,
            pod: report.map(|report| PodFacts { report: Some(report), trouble: None }),
            young: false,
            refused: None,
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
        let [planned, completed] = decision.conditions.clone().unwrap();
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
        assert!(
            matches!(plan(&seen).step, Step::Delete(target) if target.uid == "j" && target.resource_version == "7")
        );
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
    fn while_its_job_runs_the_job_counts_and_who_takes_the_approval_back_stops_it() {
        let mut seen = with_plan(seen(json!({"dryRun": false, "approvedPlan": HASH})));
        seen.status.phase = Some(RestorePhase::Applying);
        seen.applying = Some(job(Outcome::Running, Some(Report::default())));
        seen.ensemble.as_mut().unwrap().quorum = false;
        seen.ensemble.as_mut().unwrap().archive = None;
        let decision = plan(&seen);
        assert_eq!(
            (decision.step.clone(), said(&decision).2, decision.holds),
            (Step::Wait("Applying"), "Applying", true)
        );
        let stopped = |seen: &Seen, reason: &str| {
            let decision = plan(seen);
            assert!(matches!(&decision.step, Step::Delete(target) if target.uid == "j"), "{decision:?}");
            assert_eq!((said(&decision).0, said(&decision).2, decision.holds), (RestorePhase::Failed, reason, false));
        };
        let mut dry = seen.clone();
        dry.spec.dry_run = Some(true);
        stopped(&dry, "Stopped");
        let mut other = seen.clone();
        other.spec.approved_plan = Some("0".repeat(64));
        stopped(&other, "Stopped");
        let mut replaced = seen.clone();
        replaced.ensemble.as_mut().unwrap().identity = Some("another".to_owned());
        stopped(&replaced, "EnsembleReplaced");
        replaced.ensemble = None;
        stopped(&replaced, "EnsembleReplaced");
        // Until it is gone.
        dry.status.phase = Some(RestorePhase::Failed);
        assert!(matches!(plan(&dry).step, Step::Delete(_)));
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
        let quota = |young| {
            let JobFacts::Ours(mut own) = job(Outcome::Running, None) else { panic!() };
            (own.young, own.refused) = (young, Some("exceeded quota".to_owned()));
            JobFacts::Ours(own)
        };
        seen.applying = Some(quota(true));
        assert!(plan(&seen).holds);
        seen.applying = Some(quota(false));
        let decision = plan(&seen);
        assert!(!decision.holds && said(&decision).3.contains("no pod of its Job is created: exceeded quota"));
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
}
