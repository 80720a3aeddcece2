//! One pass over one backup.

mod facts;
mod observe;
mod plan;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tracing::{debug, error, info, info_span, warn};

use super::kit::Kit;
use super::kit::controller::{self, watching};
use super::kit::memory::Memories;
use super::kit::namespaces::{all_of, installed};
use super::kit::notes::Notes;
use super::kit::pace::{After, Pace, spread};
use super::kit::pass::{PassError, chain, framed};
use super::kit::read::{Fresh, fresh, to_json};
use super::kit::status::{self, say_undecodable};
use super::kit::timeout::ApiError;
use super::kit::watched::{Watched, labelled, of_labels};
use super::kit::write;
use crate::api::{BackupPhase, BackupStatus, ZooKeeperBackup};
use crate::model::names::BACKUP_LABEL;
use crate::model::observed::{Kind, OperatorFacts};
use crate::plan::{ConditionStatus, UntimedCondition};
use observe::observe;
use plan::{Decision, Step, plan};

/// What every pass over a backup shares.
pub struct Context {
    /// What it shares with other kinds.
    pub kit: Arc<Kit>,
    /// What the operator knows about itself and its cluster.
    pub operator: OperatorFacts,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// What is remembered of each.
    pub memories: Memories<Memory>,
}

/// What the operator remembers of one backup.
#[derive(Default)]
pub struct Memory {
    pace: Pace,
    notes: Notes,
}

type WatchedBackup = Watched<ZooKeeperBackup>;

const OF_UNDECODABLE: [(&str, ConditionStatus); 1] = [("Completed", ConditionStatus::False)];
const UNDECODABLE: Duration = Duration::from_mins(1);
/// One that is over is looked at so rarely, and when it expires: there may be thousands.
const OVER: Duration = Duration::from_hours(1);

/// Manages the backups of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    let client = &context.kit.client;
    tokio::select! {
        () = installed::<ZooKeeperBackup>(client, "backups", namespace, selector) => {}
        () = controller::stop_signal() => return,
    }
    let controller = Controller::new(all_of(client, namespace), of_labels(selector));
    let controller = watching(controller, client, namespace, &Kind::OF_BACKUP, |_| labelled(BACKUP_LABEL));
    let forget = |context: &Context, namespace: &str, name: &str| context.memories.forget(namespace, name);
    controller::run(controller, reconcile, error_policy, forget, Arc::clone(&context)).await;
}

async fn reconcile(backup: Arc<WatchedBackup>, context: Arc<Context>) -> Result<Action, PassError<ApiError>> {
    let meta = backup.meta();
    let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
    let span = info_span!("pass", %namespace, backup = name, generation = meta.generation);
    framed(&context.kit.metrics, span, pass(&namespace, &name, &context)).await
}

/// One pass: observe, plan, act, report.
async fn pass(namespace: &str, name: &str, context: &Context) -> Result<Action, PassError<ApiError>> {
    let client = &context.kit.client;
    let backup = match fresh::<ZooKeeperBackup>(client, ("backup", namespace, name), &[]).await? {
        Fresh::Whole(backup) => backup,
        Fresh::Undecodable(object, error) => {
            warn!(error, "the object cannot be decoded: it is left alone until it is corrected");
            say_undecodable::<ZooKeeperBackup>(client, &object, &error, &OF_UNDECODABLE).await?;
            return Ok(Action::requeue(UNDECODABLE));
        }
        Fresh::Gone => {
            context.memories.forget(namespace, name);
            return Ok(Action::await_change());
        }
    };
    let seen = observe(context, &backup).await?;
    let plan = plan(&seen);
    debug!(step = plan.step.word(), "decided");
    // What was not done is not said either.
    act(context, &backup, &plan.step).await.map_err(PassError::Act)?;
    report(context, &backup, &plan).await?;
    Ok(Action::requeue(spread(pause(context, namespace, name, &plan))))
}

/// How soon to look again.
fn pause(context: &Context, namespace: &str, name: &str, plan: &Decision) -> Duration {
    let over = plan.status.phase.is_some_and(BackupPhase::is_over);
    let after = match &plan.step {
        Step::Rest if over => {
            let left = plan.status.expires.as_ref().map(|expires| expires.0.duration_since(Timestamp::now()));
            let left = left.and_then(|left| Duration::try_from(left).ok());
            return left.map_or(OVER, |left| left.clamp(Duration::from_secs(1), OVER));
        }
        Step::Rest => After::Rest,
        Step::Wait(code) => After::Wait(code),
        Step::Create(_) | Step::Delete(_) => After::Step,
    };
    let backups = context.memories.count();
    context.memories.with(namespace, name, |memory| memory.pace.after(after, backups))
}

/// Carries out one step.
async fn act(context: &Context, backup: &ZooKeeperBackup, step: &Step) -> Result<(), ApiError> {
    let (client, namespace, name) = (&context.kit.client, backup.namespace().unwrap_or_default(), backup.name_any());
    match step {
        Step::Rest | Step::Wait(_) => Ok(()),
        Step::Create(job) => {
            let answer = write::create(client, &namespace, &job.key, to_json(&job.json)).await;
            if let Err(error) = &answer {
                let noted = |memory: &mut Memory| {
                    memory.notes.answered(job, Vec::new(), Err(error), Instant::now());
                };
                context.memories.with(&namespace, &name, noted);
            }
            answer
        }
        Step::Delete(target) => write::delete(client, &namespace, target).await,
    }
}

/// The status when it changes, and an Event when the condition has another reason.
async fn report(context: &Context, backup: &ZooKeeperBackup, decision: &Decision) -> Result<(), ApiError> {
    // It is gone.
    if matches!(&decision.step, Step::Delete(target) if target.key.kind == Kind::Backup) {
        return Ok(());
    }
    let before = backup.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let conditions = match &decision.condition {
        Some(condition) => {
            let failed = decision.status.phase == Some(BackupPhase::Failed);
            if !status::said_before(before, condition, failed) {
                info!(reason = condition.reason, note = condition.message, "backup");
                context.kit.events.tell(condition, failed, "Backup", &backup.object_ref(&())).await;
            }
            // For those who wait for it, whatever comes of it.
            let over = decision.status.phase.is_some_and(BackupPhase::is_over);
            let status = if over { ConditionStatus::True } else { ConditionStatus::False };
            let ended = UntimedCondition { name: "Ended", status, ..condition.clone() };
            status::conditions(before, &[condition.clone(), ended], backup.metadata.generation)
        }
        None => before.to_vec(),
    };
    let status = BackupStatus { conditions, ..decision.status.clone() };
    if backup.status.as_ref() == Some(&status) {
        return Ok(());
    }
    status::write::<ZooKeeperBackup>(&context.kit.client, &backup.metadata, &status).await
}

/// What to do after a pass that failed.
#[expect(clippy::needless_pass_by_value, reason = "the controller's signature")]
fn error_policy(backup: Arc<WatchedBackup>, error: &PassError<ApiError>, context: Arc<Context>) -> Action {
    let meta = backup.meta();
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let failed = |memory: &mut Memory| memory.pace.after_failure();
    let delay = spread(context.memories.with(namespace.unwrap_or_default(), name.unwrap_or_default(), failed));
    let (retry_ms, chain) = (delay.as_millis(), chain(error));
    match error {
        PassError::Api(api) | PassError::Act(api) if api.is_outdated() => {
            warn!(namespace, backup = name, retry_ms, error = chain, "outdated, looking again");
        }
        _ => error!(namespace, backup = name, retry_ms, error = chain, "the pass failed"),
    }
    Action::requeue(delay)
}
