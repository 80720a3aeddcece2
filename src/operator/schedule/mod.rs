//! One pass over one schedule.

mod facts;
pub mod metrics;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::core::ObjectMeta;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tracing::{Span, debug, info, info_span};

use super::kit::Kit;
use super::kit::managed::{self, Managed};
use super::kit::memory::Memories;
use super::kit::pace::{Pace, spread};
use super::kit::pass::PassError;
use super::kit::read::{Fresh, fresh, to_json};
use super::kit::status;
use super::kit::step::Step;
use super::kit::timeout::ApiError;
use super::kit::write;
use super::subject::{self, Obstacle};
use crate::api::{BackupPhase, ScheduleStatus, ZooKeeperBackup, ZooKeeperBackupSchedule, ZooKeeperBackupSpec};
use crate::model::names::{SCHEDULE_LABEL, SCHEDULED_BY_ANNOTATION};
use crate::model::observed::Kind;
use crate::plan::ConditionStatus;
use facts::{BackupFacts, Seen};
use metrics::Times;
use plan::{Decision, due, plan};

/// What every pass over a schedule shares.
pub struct Context {
    /// What it shares with other kinds.
    pub kit: Arc<Kit>,
    /// The labels without which this operator manages nothing.
    pub selected: BTreeMap<String, String>,
    /// What is remembered of each.
    pub memories: Memories<Memory>,
    /// What Prometheus reads of each.
    pub times: Times,
}

/// What the operator remembers of one schedule.
#[derive(Default)]
pub struct Memory {
    pace: Pace,
    /// The words with which the API server refused the last backup, and when.
    refused: Option<(String, Instant)>,
}

/// After so long a backup that was refused is tried again.
const REFUSED: Duration = Duration::from_mins(1);
/// The clock may be set meanwhile.
const LONGEST_REST: Duration = Duration::from_mins(5);
const EARLY: Duration = Duration::from_millis(500);

/// Manages the schedules of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    managed::look_after(namespace, selector, (&Kind::OF_SCHEDULE, SCHEDULE_LABEL), context).await;
}

impl Managed for Context {
    type Object = ZooKeeperBackupSchedule;
    type Error = ApiError;
    const WORD: &'static str = "backup schedule";
    const OF_UNDECODABLE: &'static [(&'static str, ConditionStatus)] = &[("Scheduled", ConditionStatus::False)];

    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn span(namespace: &str, name: &str, generation: Option<i64>) -> Span {
        info_span!("pass", %namespace, schedule = name, generation)
    }

    fn pace(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Pace) -> Duration) -> Duration {
        self.memories.with(namespace, name, |memory| look(&mut memory.pace))
    }

    async fn pass(&self, schedule: &ZooKeeperBackupSchedule) -> Result<Action, PassError<ApiError>> {
        pass(self, schedule).await
    }

    fn is_outdated(error: &ApiError) -> bool {
        error.is_outdated()
    }

    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
        self.times.forget(namespace, name);
    }
}

/// One pass: observe, plan, act, report.
async fn pass(context: &Context, schedule: &ZooKeeperBackupSchedule) -> Result<Action, PassError<ApiError>> {
    let (namespace, name) = (&schedule.namespace().unwrap_or_default(), &schedule.name_any());
    let seen = observe(context, schedule).await?;
    let plan = plan(&seen);
    debug!(step = plan.step.word(), "decided");
    context.times.said(namespace, name, &plan.status);
    // What was not done is not said either.
    act(context, namespace, name, &plan.step).await.map_err(PassError::Act)?;
    report(context, schedule, &plan).await?;
    Ok(Action::requeue(pause(context, namespace, name, &plan)))
}

/// Reads everything that a decision about a schedule needs, and decides nothing.
async fn observe(context: &Context, schedule: &ZooKeeperBackupSchedule) -> Result<Seen, ApiError> {
    let (namespace, name) = (schedule.namespace().unwrap_or_default(), schedule.name_any());
    let refused = context.memories.with(&namespace, &name, |memory| {
        memory.refused.as_ref().filter(|(_, at)| at.elapsed() < REFUSED).map(|(words, _)| words.clone())
    });
    let now = Timestamp::now();
    let mut seen = Seen {
        name,
        namespace,
        uid: schedule.uid().unwrap_or_default(),
        generation: schedule.metadata.generation,
        selected: context.selected.clone(),
        created: schedule.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
        now,
        spec: schedule.spec.clone(),
        status: schedule.status.clone().unwrap_or_default(),
        last: None,
        taken: None,
        obstacle: None,
        refused,
    };
    let ensemble = &schedule.spec.backup.ensemble;
    let found = subject::read(&context.kit.client, &seen.namespace, ensemble).await?;
    let obstacle = subject::born(ensemble, found.as_ref()).and_then(|born| {
        // One that has a store of its own is made from the members' files.
        let own = schedule.spec.backup.to.is_some();
        if own { Ok(()) } else { subject::archive(ensemble, born.facts).map(|_| ()) }
    });
    seen.obstacle = obstacle.err().map(|Obstacle(reason, words)| (reason, words));
    if let Some(last) = seen.status.last_backup.clone() {
        seen.last = backup(context, &seen, &last).await?.filter(|last| last.ours);
    }
    if let Some(due) = due(&seen) {
        seen.taken = backup(context, &seen, &due.name).await?;
    }
    Ok(seen)
}

/// The backup of that name. One that cannot be decoded is somebody else's.
async fn backup(context: &Context, seen: &Seen, name: &str) -> Result<Option<BackupFacts>, ApiError> {
    let (client, ask) = (&context.kit.client, [SCHEDULED_BY_ANNOTATION]);
    let found = match fresh::<ZooKeeperBackup>(client, ("backup", &seen.namespace, name), &ask).await? {
        Fresh::Whole(backup) => *backup,
        Fresh::Undecodable(object, _) => {
            let mut backup = ZooKeeperBackup::new(name, ZooKeeperBackupSpec::default());
            backup.metadata = ObjectMeta { annotations: None, ..object.metadata };
            backup
        }
        Fresh::Gone => return Ok(None),
    };
    let status = found.status.clone().unwrap_or_default();
    let condition = status.conditions.into_iter().find(|condition| condition.type_ == "Completed");
    Ok(Some(BackupFacts {
        name: name.to_owned(),
        ours: found.annotations().get(SCHEDULED_BY_ANNOTATION).is_some_and(|by| *by == seen.uid),
        created: found.metadata.creation_timestamp.as_ref().map_or(seen.now, |time| time.0),
        phase: status.phase.unwrap_or(BackupPhase::Pending),
        reason: condition.as_ref().map(|condition| condition.reason.clone()).unwrap_or_default(),
        message: condition.map_or_else(|| "it was not begun yet".to_owned(), |condition| condition.message),
        ended: status.ended.map(|ended| ended.0),
    }))
}

/// How soon to look again.
fn pause(context: &Context, namespace: &str, name: &str, plan: &Decision) -> Duration {
    if plan.step == Step::Rest {
        let left = plan.status.next_schedule_time.as_ref().map(|next| next.0.duration_since(Timestamp::now()));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        // Not before it is due: a pass that comes a moment early finds nothing.
        return left.map_or(LONGEST_REST, |left| (left + EARLY).min(LONGEST_REST));
    }
    let schedules = context.memories.count();
    spread(context.pace(namespace, name, |pace| pace.after(plan.step.after(), schedules)))
}

/// Carries out one step.
async fn act(context: &Context, namespace: &str, name: &str, step: &Step) -> Result<(), ApiError> {
    let Step::Create(backup) = step else { return Ok(()) };
    let answer = write::create(&context.kit.client, namespace, &backup.key, to_json(&backup.json)).await;
    // One place for it: each backup has another name.
    let words = answer.as_ref().err().and_then(ApiError::refusal).map(str::to_owned);
    context.memories.with(namespace, name, |memory| memory.refused = words.map(|words| (words, Instant::now())));
    answer
}

/// Whether a person has to do something. An ensemble that is just being made has not been born yet.
fn wrong(reason: &str) -> bool {
    let hindered = ["EnsembleNotFound", "EnsembleInvalid", "NoArchive"];
    matches!(reason, "InvalidSchedule" | "BackupRefused" | "NameTaken" | "Failed") || hindered.contains(&reason)
}

/// The status when it changes, and an Event when a condition has another reason.
async fn report(context: &Context, schedule: &ZooKeeperBackupSchedule, decision: &Decision) -> Result<(), ApiError> {
    let before = schedule.status.as_ref().map_or(&[][..], |status| &status.conditions);
    for condition in &decision.conditions {
        let wrong = wrong(condition.reason);
        if !status::said_before(before, condition, wrong) {
            info!(reason = condition.reason, note = condition.message, "schedule");
            context.kit.events.tell(condition, wrong, "Schedule", &schedule.object_ref(&())).await;
        }
    }
    let conditions = status::conditions(before, &decision.conditions, schedule.metadata.generation);
    let status = ScheduleStatus { conditions, ..decision.status.clone() };
    if schedule.status.as_ref() == Some(&status) {
        return Ok(());
    }
    status::write::<ZooKeeperBackupSchedule>(&context.kit.client, &schedule.metadata, &status).await
}
