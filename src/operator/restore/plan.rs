//! What to do next about a restore: pure, from one observation to one step.
//!
//! - A restore that was completed or has failed stays so: nothing that happens later carries it out again. What of it still runs is
//!   stopped.
//! - Once its Job was created, what the Job says counts, whatever else is missing meanwhile, and once a pod of it has begun, whatever becomes
//!   of the approval: tools that apply a manifest again put `dryRun` back as it is there, and half a restore is worse than all of it or
//!   none. A Job that is gone is not made again: what it brought back, clients may have deleted since.

use super::facts::{BackupPoint, Seen};
use crate::api::{
    BackupPhase, ChangedPolicy, ExistingPolicy, RestoreApplied, RestorePhase, RestorePlan, RestoreStatus,
    ZooKeeperRestoreSpec,
};
use crate::model::archive::{ArchiveMounts, ArchivePlace};
use crate::model::parent::is_hash;
use crate::model::store::ONE;
use crate::operator::kit::job::{JobFacts, Outcome, OwnJob, RETRYING, Standing};
use crate::operator::kit::step::Step;
use crate::operator::subject::{self, EnsembleFacts, NOT_YET, Obstacle};
use crate::plan::{ConditionStatus, UntimedCondition};
use crate::render::Rendered;
use crate::render::restore::{RestoreBlueprint, apply_job, apply_name, plan_job};

/// So often a plan is made again whose report was gone before it was read.
const MOST_LOST: i32 = 5;

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The status, but for its conditions.
    pub status: RestoreStatus,
    /// `None`: as they are.
    pub conditions: Option<[UntimedCondition; 3]>,
    /// Whether the ensemble's members stay as they are meanwhile.
    pub holds: bool,
}

/// Decides.
pub fn plan(seen: &Seen) -> Decision {
    let decision = decide(seen);
    let runs = |job: &OwnJob| job.outcome == Outcome::Running && job.active;
    let holds = match (&decision.step, &seen.applying) {
        (Step::Create(_), _) => decision.status.phase == Some(RestorePhase::Applying),
        (Step::Rest | Step::Wait(_) | Step::GiveUp(_), Some(JobFacts::Ours(job))) => runs(job),
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
        Some(JobFacts::Ours(job)) if job.running => Some(job.target.clone()),
        _ => None,
    });
    let status = RestoreStatus { observed_generation: seen.generation, ..seen.status.clone() };
    Decision { step: running.map_or(Step::Rest, Step::Delete), status, conditions: None, holds: false }
}

fn planning(seen: &Seen) -> Decision {
    match &seen.planning {
        // Nothing else that is missing meanwhile counts.
        Some(job) => being_planned(seen, job),
        None => to_plan(seen),
    }
}

fn to_plan(seen: &Seen) -> Decision {
    let (archive, identity) = match prepared(seen) {
        Ok(found) => found,
        Err(obstacle) => return seen.waits(RestorePhase::Pending, obstacle),
    };
    let at = match at(seen, &archive) {
        Ok(at) => at,
        Err(Obstacle(reason @ ("BackupFailed" | "BackupElsewhere" | NOT_YET), text)) => {
            return seen.fails(reason, text);
        }
        Err(obstacle) => return seen.waits(RestorePhase::Pending, obstacle),
    };
    if seen.status.identity.as_ref().is_some_and(|planned| *planned != identity) {
        return seen.fails("EnsembleReplaced", REPLACED.to_owned());
    }
    let place = Some(archive.place.described());
    let status = RestoreStatus { identity: Some(identity), archive: place, ..seen.status.clone() };
    let seen = &Seen { status, ..seen.clone() };
    let text = "a Job makes the plan".to_owned();
    seen.creates(plan_job(&archive.blueprint(seen, &at)), RestorePhase::Planning, "Planning", text)
}

fn being_planned(seen: &Seen, job: &JobFacts) -> Decision {
    let now = seen.ensemble.as_ref().and_then(|ensemble| ensemble.identity.as_ref());
    if let (Some(before), Some(now)) = (&seen.status.identity, now)
        && before != now
    {
        return seen.fails("EnsembleReplaced", REPLACED.to_owned());
    }
    let mut status = seen.status.clone();
    // The Job was created, and what was to be said with it was not written.
    if status.identity.is_none() {
        match prepared(seen) {
            Ok((archive, identity)) => {
                (status.identity, status.archive) = (Some(identity), Some(archive.place.described()));
            }
            Err(obstacle) => return seen.waits(RestorePhase::Planning, obstacle),
        }
    }
    let seen = &Seen { status, ..seen.clone() };
    match (job.report().and_then(|report| report.plan.clone()), job) {
        (Some(plan), _) => {
            let pod = match job {
                JobFacts::Ours(job) => job.pod.as_ref().map(|pod| pod.name.clone()),
                JobFacts::Foreign(_) | JobFacts::Leaving(_) => None,
            };
            let plan = RestorePlan { pod, ..plan };
            let status = RestoreStatus { plan: Some(plan.clone()), ..seen.status.clone() };
            let seen = Seen { status, ..seen.clone() };
            let said = seen.says(RestorePhase::Planned, "Planned", counts(&seen, &plan), "DryRun", dry(&seen));
            // What follows is the next pass's, which reads what is said now.
            Decision { step: Step::Wait("Planned"), ..said }
        }
        // Its pod went before its report was read. A plan changes nothing.
        (None, JobFacts::Ours(job)) if job.outcome == Outcome::Complete => {
            let times = seen.status.reports_lost.unwrap_or_default().saturating_add(1);
            if times > MOST_LOST {
                let text = format!(
                    "the Job's pod was gone {MOST_LOST} times before its report was read: find out what deletes finished pods in this namespace, and create another ZooKeeperRestore"
                );
                return seen.fails("ReportLost", text);
            }
            let status = RestoreStatus { reports_lost: Some(times), ..seen.status.clone() };
            let text = "the plan is made again: the Job's pod is gone, and its report with it".to_owned();
            let said = Seen { status, ..seen.clone() }.next(RestorePhase::Planning, "Planning", text);
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
        return seen.says(RestorePhase::Planned, "Planned", counts(seen, plan), "DryRun", dry(seen));
    }
    if unlooked(&seen.spec) {
        let text = format!(
            "undo, existing: Overwrite and KeepNewer, and quotas need an approvedPlan, and that is {} once somebody has looked at the plan: nothing is changed",
            plan.hash
        );
        return seen.says(RestorePhase::Planned, "Planned", counts(seen, plan), "NotApproved", text);
    }
    if unapproved(seen, plan) {
        let text = format!("approvedPlan is not the hash of the plan, which is {}: nothing is changed", plan.hash);
        return seen.says(RestorePhase::Planned, "Planned", counts(seen, plan), "NotApproved", text);
    }
    let (archive, identity) = match prepared(seen) {
        Ok(found) => found,
        Err(obstacle) => return seen.waits(RestorePhase::Planned, obstacle),
    };
    if seen.status.identity.as_ref() != Some(&identity) {
        return seen.fails("EnsembleReplaced", REPLACED.to_owned());
    }
    let now = archive.place.described();
    if seen.spec.backup.is_some() && seen.backup.is_none() && seen.status.archive.as_ref() != Some(&now) {
        return seen.waits(RestorePhase::Planned, gone(seen));
    }
    if let Some(before) = seen.status.archive.as_ref().filter(|before| **before != now) {
        let text = format!(
            "the plan lies in {before}, and the archive is {now} now: name that one again, or create another ZooKeeperRestore"
        );
        return seen.waits(RestorePhase::Planned, Obstacle("ArchiveMoved", text));
    }
    if let Some(other) = &seen.other {
        let text = format!("{other} changes znodes of the same ensemble: this one follows");
        return seen.waits(RestorePhase::Planned, Obstacle("AnotherRestore", text));
    }
    let replan = seen.spec.changed_since_plan.unwrap_or_default() == ChangedPolicy::Replan;
    let job = apply_job(&archive.blueprint(seen, &plan.zxid), &plan.hash, replan);
    seen.creates(job, RestorePhase::Applying, "Applying", "a Job carries the plan out".to_owned())
}

/// Whether it needs an approval and has none. The API server refuses that, unless its definition is of an older release.
fn unlooked(spec: &ZooKeeperRestoreSpec) -> bool {
    let overwrites = matches!(spec.existing, Some(ExistingPolicy::Overwrite | ExistingPolicy::KeepNewer));
    spec.approved_plan.is_none() && (spec.undo.is_some() || overwrites || spec.quotas == Some(true))
}

fn unapproved(seen: &Seen, plan: &RestorePlan) -> bool {
    seen.spec.approved_plan.as_ref().is_some_and(|approved| *approved != plan.hash)
}

/// Whether it is certain that the ensemble is not the one that the plan was made for. One that was not born yet is another.
fn replaced(seen: &Seen) -> bool {
    let Some(ensemble) = &seen.ensemble else { return true };
    ensemble.readable && ensemble.identity != seen.status.identity
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
                |applied| carried_out(applied, plan.skipped, seen.spec.undo.is_some()),
            );
            let status = RestoreStatus { applied, ..seen.status.clone() };
            let seen = Seen { status, ..seen.clone() };
            seen.says(RestorePhase::Completed, "Planned", counts(&seen, plan), "Completed", text)
        }
        Outcome::Running if replaced(seen) => stop("EnsembleReplaced", REPLACED.to_owned()),
        // Nothing is half done yet.
        Outcome::Running if taken_back(seen, plan) && !job.begun => {
            let text = "the approval was taken back before anything was changed: its Job is deleted".to_owned();
            let said = seen.says(RestorePhase::Planned, "Planned", counts(seen, plan), "NotApproved", text);
            Decision { step: Step::Delete(job.target.clone()), ..said }
        }
        Outcome::Running | Outcome::Failed { .. } => {
            let job = JobFacts::Ours(Box::new(job.clone()));
            let decision = seen.follows(&job, RestorePhase::Applying, "Applying", "the plan is being carried out");
            let goes_on = decision.status.phase == Some(RestorePhase::Applying);
            if goes_on && taken_back(seen, plan) { unapproved_since(seen, decision) } else { decision }
        }
    }
}

fn taken_back(seen: &Seen, plan: &RestorePlan) -> bool {
    seen.spec.dry_run.unwrap_or(true) || unlooked(&seen.spec) || unapproved(seen, plan)
}

/// Says that what has begun goes on without its approval, and how it is stopped.
fn unapproved_since(seen: &Seen, mut decision: Decision) -> Decision {
    let stop = format!("kubectl -n {} delete job {}", seen.names.namespace, apply_name(&seen.name));
    let text = format!(
        "; the spec does not approve it any more (dryRun, approvedPlan), and what has begun goes on all the same: to stop it half done: {stop}, or menagerie restore delete {}",
        seen.name
    );
    for condition in decision.conditions.iter_mut().flatten().filter(|condition| condition.name != "Planned") {
        condition.message.push_str(&text);
    }
    decision
}

fn carried_out(applied: &RestoreApplied, skipped: i64, undo: bool) -> String {
    let others = match applied.changed_by_others {
        0 => String::new(),
        some => format!("; others had changed {some} znodes since the plan was made"),
    };
    // Whoever reads no more than this sentence takes all for restored.
    let left = match skipped {
        0 => String::new(),
        some if undo => format!(
            "; it is a part of the undo: {some} znodes are not as they were, and were left so: the plan says why"
        ),
        some => format!(
            "; {some} znodes are not as they were, and were left so: the plan says why (existing: Keep leaves what differs)"
        ),
    };
    format!("the plan is carried out ({} changes by the Job's last pod){left}{others}", applied.changes)
}

/// An archive to restore from.
struct Archive<'a> {
    place: ArchivePlace,
    mounts: ArchiveMounts,
    identity: String,
    same: bool,
    ensemble: &'a EnsembleFacts,
}

impl Archive<'_> {
    fn blueprint<'a>(&'a self, seen: &'a Seen, at: &'a str) -> RestoreBlueprint<'a> {
        RestoreBlueprint {
            name: &seen.name,
            uid: &seen.uid,
            spec: &seen.spec,
            names: &seen.names,
            at,
            // Others may write a status.
            tree_hash: seen.backup.as_ref().and_then(|backup| backup.tree_hash.as_deref()).filter(|hash| is_hash(hash)),
            place: &self.place,
            mounts: &self.mounts,
            identity: &self.identity,
            same: self.same,
            template: &self.ensemble.template,
            account: &self.ensemble.account,
            pull_secrets: &self.ensemble.pull_secrets,
            operator: &seen.operator,
        }
    }
}

/// The point, as it is asked for or as its backup has it, or the transaction that is undone.
fn at(seen: &Seen, archive: &Archive<'_>) -> Result<String, Obstacle> {
    subject::has_been(seen.spec.at.as_deref(), seen.now)?;
    let Some(name) = &seen.spec.backup else {
        let none = || Obstacle("BackupNotFound", "none of at, backup and undo is named: create another one".to_owned());
        return seen.spec.undo.clone().or_else(|| seen.spec.at.clone()).ok_or_else(none);
    };
    let Some(backup) = &seen.backup else { return Err(gone(seen)) };
    if backup.younger {
        let text = format!(
            "ZooKeeperBackup {name} was created after this restore, and keeps what is there now: create another ZooKeeperRestore if that is meant, or one with at for an earlier point"
        );
        return Err(Obstacle("BackupYounger", text));
    }
    let BackupPoint { phase, message, identity, archive: place, zxid, to: _, tree_hash: _, younger: _ } = backup;
    match (phase, zxid) {
        (BackupPhase::Failed, _) => {
            Err(Obstacle("BackupFailed", format!("ZooKeeperBackup {name} has failed: {message}")))
        }
        (BackupPhase::Completed, Some(zxid))
            if identity.as_ref() == Some(&archive.identity) && place.as_ref() == Some(&archive.place.described()) =>
        {
            Ok(zxid.clone())
        }
        (BackupPhase::Completed, _) => {
            if identity.as_ref() != Some(&archive.identity) && backup.to.is_some() {
                let text = format!(
                    "ZooKeeperBackup {name} is of an earlier ensemble of that name ({}; this one is {}): create a ZooKeeperRestore with from (the store of its spec.to, below its prefix the folder {}, and that identity) and at: \"{}\"",
                    identity.as_deref().unwrap_or("unknown"),
                    archive.identity,
                    place
                        .as_deref()
                        .and_then(|place| place.split(' ').next()?.rsplit('/').next())
                        .unwrap_or("of its name and uid"),
                    zxid.as_deref().unwrap_or("unknown")
                );
                return Err(Obstacle("BackupElsewhere", text));
            }
            let whose = identity.as_deref().unwrap_or("an unknown ensemble");
            let (zxid, place) =
                (zxid.as_deref().unwrap_or("unknown"), place.as_deref().unwrap_or("an unknown archive"));
            let text = format!(
                "ZooKeeperBackup {name} is of {whose} in {place}, which is not this ensemble's archive now: create a ZooKeeperRestore with from, and at {zxid}"
            );
            Err(Obstacle("BackupElsewhere", text))
        }
        _ => Err(Obstacle("BackupUnfinished", format!("ZooKeeperBackup {name} is not completed yet: {message}"))),
    }
}

/// The backup that is named is not there.
fn gone(seen: &Seen) -> Obstacle {
    let name = seen.spec.backup.as_deref().unwrap_or_default();
    let text = match (&seen.status.plan, &seen.status.archive) {
        // Its point was read, and nothing else says how its store is reached.
        (Some(plan), Some(place)) => format!(
            "ZooKeeperBackup {name} is gone, and it said how {place} is reached: create another ZooKeeperRestore with from (that store) and at: \"{}\"",
            plan.zxid
        ),
        _ => format!(
            "there is no ZooKeeperBackup {name} in this namespace: is that its name? If it was deleted, its point may still be in the archive, or in the store of its own: create another ZooKeeperRestore with at, and with from for the latter (menagerie archive stat shows the points that are pinned)"
        ),
    };
    Obstacle("BackupNotFound", text)
}

/// What a Job needs before it is created: the archive, and the ensemble's identity.
fn prepared(seen: &Seen) -> Result<(Archive<'_>, String), Obstacle> {
    let name = &seen.spec.ensemble;
    let subject::Born { facts: ensemble, identity } = subject::born(name, seen.ensemble.as_ref())?;
    let own = seen.backup.as_ref().and_then(|backup| backup.to.as_ref());
    let archive = match (&seen.spec.from, own.or(ensemble.archive.as_ref())) {
        (Some(from), _) => {
            let none = || Obstacle("NoArchive", format!("spec.from has to {ONE}: create another ZooKeeperRestore"));
            let store = from.store().ok_or_else(none)?;
            let (place, mounts, same) = (store.place(), store.mounts(), from.identity == identity);
            Archive { place, mounts, identity: from.identity.clone(), same, ensemble }
        }
        (None, Some((place, mounts))) => {
            Archive { place: place.clone(), mounts: mounts.clone(), identity: identity.clone(), same: true, ensemble }
        }
        (None, None) if seen.spec.backup.is_some() && seen.backup.is_none() => return Err(gone(seen)),
        (None, None) if seen.spec.undo.is_some() => {
            let text = format!(
                "ensemble {name} has no spec.archive, and undo needs the history that is in one: a backup with a store of its own brings znodes back as they were in it (backup and paths)"
            );
            return Err(Obstacle("NoArchive", text));
        }
        (None, None) => {
            let text = format!(
                "ensemble {name} has no spec.archive: give it one, or create another ZooKeeperRestore with spec.from, or of a ZooKeeperBackup that has a store of its own"
            );
            return Err(Obstacle("NoArchive", text));
        }
    };
    subject::quorum(name, ensemble)?;
    if let Some(words) = &seen.refused {
        return Err(Obstacle("JobRefused", format!("the API server does not take the Job: {words}")));
    }
    Ok((archive, identity))
}

fn counts(seen: &Seen, plan: &RestorePlan) -> String {
    let RestorePlan {
        hash,
        zxid,
        create,
        set,
        set_acl,
        delete,
        equal,
        skipped,
        extra,
        counters,
        raise,
        quotas,
        set_quota,
        ..
    } = plan;
    let also = |count: i64, what: &str| if count == 0 { String::new() } else { format!(", {count} {what}") };
    let [raised, limited, lower, over] = [
        also(*raise, "sequence counters to raise"),
        also(*set_quota, "quotas to set"),
        also(*counters, "sequence counters are lower than they were"),
        also(*quotas, "quotas' limits are too low"),
    ];
    let (what, rest) = match &seen.spec.undo {
        Some(undo) if *skipped > 0 => (format!("a part of the undo of {undo}"), String::new()),
        Some(undo) => (format!("undo of {undo}"), String::new()),
        None => (format!("as of {zxid}"), format!(", {extra} were not there")),
    };
    format!(
        "{what}: {create} to create, {set} to set, {set_acl} ACLs to set, {delete} to delete; {equal} equal, {skipped} skipped{rest}{raised}{limited}{lower}{over}; plan {hash}"
    )
}

fn dry(seen: &Seen) -> String {
    let (namespace, name) = (&seen.names.namespace, &seen.name);
    // Of a Job that was tried again, kubectl would choose any of its pods.
    let pod = seen.status.plan.as_ref().and_then(|plan| plan.pod.as_ref());
    let log = pod.map_or_else(|| format!("job/{name}-plan"), |pod| format!("pod/{pod}"));
    format!(
        "nothing is changed before dryRun is false; what would be done: kubectl -n {namespace} logs {log}; to do it: kubectl -n {namespace} patch zkr {name} --type merge -p '{{\"spec\":{{\"dryRun\":false,\"approvedPlan\":\"{}\"}}}}'",
        seen.status.plan.as_ref().map_or("", |plan| &plan.hash)
    )
}

impl Seen {
    /// The status with this phase, and its conditions. `planned` and `completed` are reasons.
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
                message: text.clone(),
            },
            // For those who wait for it, whatever comes of it.
            UntimedCondition {
                name: "Ended",
                status: is(matches!(phase, RestorePhase::Completed | RestorePhase::Failed)),
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
            Some(plan) => self.says(phase, "Planned", counts(self, plan), reason, text),
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
        if let JobFacts::Ours(own) = job
            && let Some((pod, text)) = own.given_up()
        {
            return Decision { step: Step::GiveUp(pod), ..self.next(phase, RETRYING, format!("{doing}, and {text}")) };
        }
        match job.standing("ZooKeeperRestore") {
            Standing::Barred(reason, text) => self.waits(phase, Obstacle(reason, text)),
            Standing::Runs(None) => self.waits(phase, Obstacle(reason, doing.to_owned())),
            Standing::Runs(Some(why)) => {
                self.waits(phase, Obstacle(RETRYING, format!("{doing}, and its Job goes on trying: {why}")))
            }
            Standing::Failed(why) => {
                let failed = if phase == RestorePhase::Planning { "PlanFailed" } else { "ApplyFailed" };
                self.fails(failed, why)
            }
        }
    }
}

#[cfg(test)]
mod tests;
