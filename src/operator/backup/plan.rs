//! What to do next about a backup: pure, from one observation to one step.
//!
//! - A backup that was completed or has failed stays so. What of it still runs is stopped.
//! - Its Job may be made again: the pin in the archive says which point was meant.
//! - It has an end: what has not begun within a day, and ended by its deadline, has failed. A schedule waits for it.
//! - Nothing here deletes anything from an archive. The pin carries its own end, and `prune` believes that.

use jiff::{SignedDuration, Timestamp};

use super::facts::Seen;
use crate::api::{BackupPhase, BackupStatus, BackupTo, ProofLevel, StoreSpec, Time, Verified, WantedLevel};
use crate::model::backup_end::NOT_PROVED;
use crate::model::membership::CLIENT_PORT;
use crate::model::report::BackupReport;
use crate::model::store::ONE;
use crate::model::{Seat, ServerId};
use crate::operator::kit::job::{JobFacts, Outcome, OwnJob, RETRYING, Standing};
use crate::operator::kit::step::Step;
use crate::operator::subject::{self, NOT_YET, Obstacle};
use crate::plan::{ConditionStatus, UntimedCondition};
use crate::render::Rendered;
use crate::render::backup::{BackupBlueprint, DEADLINE, backup_job, job_name};

/// So long a backup may wait for what it needs, besides the time that its Job may take.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// So often a Job is made again whose report was gone before it was read.
const MOST_LOST: i32 = 5;

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The status, but for its condition.
    pub status: BackupStatus,
    /// `None`: as it is.
    pub condition: Option<UntimedCondition>,
}

/// Decides.
pub fn plan(seen: &Seen) -> Decision {
    // One that was restored with its status keeps what its pin says.
    let expires = seen.status.expires.as_ref().map(|expires| expires.0).or_else(|| expires(seen));
    let status =
        BackupStatus { observed_generation: seen.generation, expires: expires.map(Time), ..seen.status.clone() };
    let seen = &Seen { status, ..seen.clone() };
    let over_age = expires.is_some_and(|expires| expires <= seen.now);
    let ended = seen.status.phase.is_some_and(BackupPhase::is_over);
    // One that has not ended fails first: a schedule asks what became of it.
    if over_age && ended {
        return as_it_is(seen, Step::Delete(seen.target.clone()));
    }
    if seen.status.phase.is_some_and(BackupPhase::is_over) {
        let running = match &seen.job {
            Some(JobFacts::Ours(job)) if job.running => Some(job.target.clone()),
            _ => None,
        };
        return as_it_is(seen, running.map_or(Step::Rest, Step::Delete));
    }
    let decision = going(seen);
    let may_take = SignedDuration::from_secs(i64::from(seen.spec.deadline_seconds.unwrap_or(DEADLINE)));
    let over = decision.status.phase.is_some_and(BackupPhase::is_over);
    if !over && (over_age || seen.now.duration_since(seen.created) > PATIENCE + may_take) {
        let last = decision.condition.map(|condition| condition.message).unwrap_or_default();
        return seen.fails(
            "TooLate",
            format!(
                "it has not come to its end since {}: {last}; once that is mended, create another one",
                seen.created
            ),
        );
    }
    decision
}

fn as_it_is(seen: &Seen, step: Step) -> Decision {
    Decision { step, status: seen.status.clone(), condition: None }
}

fn expires(seen: &Seen) -> Option<Timestamp> {
    let days = seen.spec.keep_days?;
    seen.created.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

fn going(seen: &Seen) -> Decision {
    let Some(job) = &seen.job else {
        // Somebody has cleared it away, with or without its report.
        let gone = seen.status.phase == Some(BackupPhase::Running);
        return if gone { again(seen, begin) } else { begin(seen) };
    };
    match (job.report().and_then(|report| report.backup.as_ref()), job) {
        (Some(report), _) => completed(seen, report),
        (None, JobFacts::Ours(job)) if job.outcome == Outcome::Complete => lost(seen, job),
        (None, JobFacts::Ours(job)) if let Some((pod, text)) = job.given_up() => {
            Decision { step: Step::GiveUp(pod), ..seen.says(BackupPhase::Running, RETRYING, text) }
        }
        (None, job) => match job.standing("ZooKeeperBackup") {
            Standing::Barred(reason, text) => seen.waits(BackupPhase::Running, Obstacle(reason, text)),
            Standing::Runs(None) => seen.waits(BackupPhase::Running, Obstacle("Running", seen.work())),
            Standing::Runs(Some(why)) => seen.waits(BackupPhase::Running, Obstacle(RETRYING, retried(seen, &why))),
            Standing::Failed(why) if job.not_proved() => seen.fails(NOT_PROVED, why),
            Standing::Failed(why) => {
                let cure = "; it does not begin again: once that is mended, create another one";
                seen.fails("BackupFailed", format!("{why}{cure}"))
            }
        },
    }
}

/// Why the Job is where it is. Without the ensemble its Secret is gone, with which members' files are read.
fn retried(seen: &Seen, why: &str) -> String {
    let gone = if seen.ensemble.is_none() { ", and its ensemble is gone" } else { "" };
    format!("its Job goes on trying{gone}: {why}")
}

/// Creates the Job, if all that it needs is there.
fn begin(seen: &Seen) -> Decision {
    match job(seen) {
        // First it stands in the status which archive and pin are meant: a Job that was created and is not known of would tell nobody.
        Ok((_, status)) if seen.status.pin.is_none() => {
            let text = format!("a Job is about to be created; {}", seen.work());
            Seen { status, ..seen.clone() }.waits(BackupPhase::Pending, Obstacle("Begins", text))
        }
        Ok((job, status)) => {
            let seen = Seen { status, ..seen.clone() };
            let said = seen.says(BackupPhase::Running, "Running", seen.work());
            Decision { step: Step::Create(Box::new(job)), ..said }
        }
        Err(Obstacle(reason @ ("EnsembleReplaced" | "ArchiveMoved" | NOT_YET), text)) => seen.fails(reason, text),
        Err(obstacle) => seen.waits(BackupPhase::Pending, obstacle),
    }
}

fn job(seen: &Seen) -> Result<(Rendered, BackupStatus), Obstacle> {
    let (name, ensemble) = (&seen.target.key.name, &seen.spec.ensemble);
    subject::has_been(seen.spec.at.as_deref(), seen.now)?;
    let subject::Born { facts, identity } = subject::born(ensemble, seen.ensemble.as_ref())?;
    if seen.status.identity.as_ref().is_some_and(|before| *before != identity) {
        let text = "the ensemble is another one than the backup was begun for: create another ZooKeeperBackup";
        return Err(Obstacle("EnsembleReplaced", text.to_owned()));
    }
    // The uid is another one if the backup is created again under its name.
    let pin = format!("{name}.{}", seen.target.uid);
    // A folder of its own: nothing in it is another backup's, and whoever deletes it deletes this one.
    let own = match &seen.spec.to {
        None => None,
        Some(to) => {
            let none = || Obstacle("NoArchive", format!("spec.to has to {ONE}: create another ZooKeeperBackup"));
            let store = to.store().ok_or_else(none)?;
            Some((store.place().below(&pin), store.mounts()))
        }
    };
    let (place, mounts) = match &own {
        Some(own) => own,
        None => subject::archive(ensemble, facts)?,
    };
    if seen.status.archive.as_ref().is_some_and(|before| *before != place.described()) {
        let text = "the ensemble's archive is another one than the backup was begun in: create another ZooKeeperBackup";
        return Err(Obstacle("ArchiveMoved", text.to_owned()));
    }
    // Which transaction now is, only servers know.
    if seen.spec.at.is_none() {
        subject::quorum(ensemble, facts)?;
    }
    if let Some(words) = &seen.refused {
        return Err(Obstacle("JobRefused", format!("the API server does not take the Job: {words}")));
    }
    let host = |ordinal| seen.names.dns(&seen.names.pod(ServerId::from(Seat::voter(ordinal)).seat()));
    let servers: Vec<String> = (0..facts.members).map(|ordinal| format!("{}:{CLIENT_PORT}", host(ordinal))).collect();
    let status = BackupStatus {
        identity: Some(identity.clone()),
        archive: Some(place.described()),
        pin: Some(pin.clone()),
        ..seen.status.clone()
    };
    let blueprint = BackupBlueprint {
        name,
        namespace: &seen.names.namespace,
        uid: &seen.target.uid,
        spec: &seen.spec,
        place,
        mounts,
        identity: &identity,
        pin: &pin,
        until: seen.status.expires.as_ref().map(|expires| expires.0.to_string()),
        copied: own.is_some().then_some(&seen.names),
        servers: &servers,
        trial: facts.server.as_ref().filter(|_| seen.spec.level == Some(WantedLevel::Server)),
        template: &facts.template,
        account: &facts.account,
        pull_secrets: &facts.pull_secrets,
        operator: &seen.operator,
    };
    Ok((backup_job(&blueprint), status))
}

/// The Job's pod went before its report was read. The pin is there: the next one proves the same point.
fn lost(seen: &Seen, job: &OwnJob) -> Decision {
    let text = "it is proved again: the Job's pod is gone, and its report with it".to_owned();
    // Once it is gone, that counts.
    Decision { step: Step::Delete(job.target.clone()), ..seen.says(BackupPhase::Running, "Running", text) }
}

/// Counts what was lost.
fn again(seen: &Seen, next: fn(&Seen) -> Decision) -> Decision {
    let times = seen.status.reports_lost.unwrap_or_default().saturating_add(1);
    if times > MOST_LOST {
        let text = format!(
            "its Job was gone {MOST_LOST} times, or its pod, before its report was read: find out what deletes finished Jobs and pods in this namespace, and create another ZooKeeperBackup"
        );
        return seen.fails("ReportLost", text);
    }
    let decision = next(seen);
    // One that cannot be created again yet was not lost again.
    let times = if matches!(decision.step, Step::Create(_)) { Some(times) } else { seen.status.reports_lost };
    let status = BackupStatus { reports_lost: times, ..decision.status };
    Decision { status, ..decision }
}

fn completed(seen: &Seen, report: &BackupReport) -> Decision {
    let BackupReport { zxid, time, znodes, digests, tree_hash, second, no_second, server } = report;
    let when = time.as_ref().map(|time| format!(" ({time})")).unwrap_or_default();
    let level = match (digests, second, server) {
        (0, ..) => ProofLevel::Log,
        (_, _, Some(_)) => ProofLevel::Server,
        (_, Some(_), None) => ProofLevel::TwoWays,
        (_, None, None) => ProofLevel::Replay,
    };
    let server = server.as_ref().map(|version| format!("; a server {version} started from it and serves the same"));
    let server = server.unwrap_or_default();
    let second = match (second, no_second) {
        (Some(way), _) => format!("; built a second time {way}, with the same hash"),
        (None, Some(why)) => format!("; not built a second time: {why}"),
        (None, None) => String::new(),
    };
    let proof = match digests {
        0 => "; the servers write no digests, so that its log is proved whole, and its tree is not".to_owned(),
        some => format!(", proved by {some} digests"),
    };
    let kept = match &seen.status.expires {
        _ if seen.spec.to.is_some() => own_store(seen),
        Some(Time(expires)) => format!("kept until {expires}"),
        None => format!("kept until somebody takes pin {} back", seen.status.pin.as_deref().unwrap_or_default()),
    };
    let status = BackupStatus {
        zxid: Some(zxid.clone()),
        time: time.clone(),
        znodes: Some(*znodes),
        tree_hash: tree_hash.clone(),
        verified: Some(Verified { level, at: Time(seen.now) }),
        ended: Some(Time(seen.now)),
        ..seen.status.clone()
    };
    let text = format!("as of {zxid}{when}: {znodes} znodes{proof}{second}{server}; {kept}");
    let said = Seen { status, ..seen.clone() }.says(BackupPhase::Completed, "Completed", text);
    Decision { step: Step::Rest, ..said }
}

/// Where it is, and that it stays there.
fn own_store(seen: &Seen) -> String {
    let store = seen.spec.to.as_ref().and_then(BackupTo::store).map(StoreSpec::place);
    let read = store.as_ref().is_some_and(|place| {
        place.encryption_keys.is_none() && place.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"))
    });
    let read = if read { "; it was sent over http://: whoever listens on the network has read all of it" } else { "" };
    let place = seen.status.archive.as_deref().unwrap_or_default();
    format!("in {place} until somebody deletes that folder{read}")
}

impl Seen {
    /// What its Job does.
    fn work(&self) -> String {
        let log = format!("its log: kubectl -n {} logs job/{}", self.names.namespace, job_name(&self.target.key.name));
        match (&self.spec.to, &self.status.archive) {
            (Some(_), Some(place)) => {
                format!("a Job copies the files of a member to {place}, and proves what it stored ({log})")
            }
            _ => format!("a Job waits until the archive has the point, keeps it there, and proves it ({log})"),
        }
    }

    fn says(&self, phase: BackupPhase, reason: &'static str, message: String) -> Decision {
        let completed = if phase == BackupPhase::Completed { ConditionStatus::True } else { ConditionStatus::False };
        let status = BackupStatus { phase: Some(phase), conditions: Vec::new(), ..self.status.clone() };
        let condition = UntimedCondition { name: "Completed", status: completed, reason, message };
        Decision { step: Step::Rest, status, condition: Some(condition) }
    }

    fn waits(&self, phase: BackupPhase, Obstacle(reason, text): Obstacle) -> Decision {
        Decision { step: Step::Wait(reason), ..self.says(phase, reason, text) }
    }

    fn fails(&self, reason: &'static str, text: String) -> Decision {
        let status = BackupStatus { ended: Some(Time(self.now)), ..self.status.clone() };
        Self { status, ..self.clone() }.says(BackupPhase::Failed, reason, text)
    }
}

#[cfg(test)]
mod tests;
