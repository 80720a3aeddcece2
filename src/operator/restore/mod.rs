//! One pass over one restore.

mod facts;
mod observe;
mod plan;
mod report;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use tracing::{debug, error, info, info_span, warn};

use super::kit::Kit;
use super::kit::holds::Holds;
use super::kit::memory::Memories;
use super::kit::notes::Notes;
use super::kit::pace::{After, Pace, spread};
use super::kit::pass::{PassError, chain, framed};
use super::kit::read::{Fresh, fresh, to_json};
use super::kit::status::say_undecodable;
use super::kit::timeout::ApiError;
use super::kit::watched::Watched;
use super::kit::write;
use crate::api::ZooKeeperRestore;
use crate::model::observed::OperatorFacts;
use crate::plan::ConditionStatus;
use facts::Seen;
use observe::{left, observe};
use plan::{Decision, Step, plan};
use report::{announce, record};

pub use watch::look_after;

/// What every pass over a restore shares.
pub struct Context {
    /// What it shares with other kinds.
    pub kit: Arc<Kit>,
    /// What the operator knows about itself and its cluster.
    pub operator: OperatorFacts,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// What is remembered of each.
    pub memories: Memories<Memory>,
    /// The ensembles whose members stay as they are meanwhile.
    pub holds: Arc<Holds>,
}

impl Context {
    /// The restore is gone, or no longer selected.
    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
        self.holds.let_go(namespace, name);
    }
}

/// What the operator remembers of one restore.
#[derive(Default)]
pub struct Memory {
    pace: Pace,
    notes: Notes,
}

type WatchedRestore = Watched<ZooKeeperRestore>;

/// What is said of an object that cannot be decoded. Whether there is a plan is not touched.
const OF_UNDECODABLE: [(&str, ConditionStatus); 1] = [("Completed", ConditionStatus::False)];
const UNDECODABLE: Duration = Duration::from_mins(1);
/// Longer than a pod of a Job takes to end.
const STOPPED: Duration = Duration::from_secs(6);

async fn reconcile(restore: Arc<WatchedRestore>, context: Arc<Context>) -> Result<Action, PassError<ApiError>> {
    let meta = restore.meta();
    let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
    let span = info_span!("pass", %namespace, restore = name, generation = meta.generation);
    framed(&context.kit.metrics, span, pass(&namespace, &name, &context)).await
}

/// One pass: observe, plan, act, report.
async fn pass(namespace: &str, name: &str, context: &Context) -> Result<Action, PassError<ApiError>> {
    let client = &context.kit.client;
    let restore = match fresh::<ZooKeeperRestore>(client, ("restore", namespace, name), &[]).await? {
        Fresh::Whole(restore) => restore,
        Fresh::Undecodable(object, error) => {
            warn!(error, "the object cannot be decoded: it is left alone until it is corrected");
            context.holds.let_go(namespace, name);
            say_undecodable::<ZooKeeperRestore>(client, &object, &error, &OF_UNDECODABLE).await?;
            return Ok(Action::requeue(UNDECODABLE));
        }
        Fresh::Gone => return leaving(context, namespace, name).await,
    };
    let seen = observe(context, &restore).await?;
    let plan = held(context, &seen, plan(&seen));
    debug!(namespace, restore = name, step = plan.step.word(), "decided");
    // What was not done is not said either: a Job that could not be created was taken for one that was deleted, and one that could not be
    // deleted for stopped.
    act(context, &restore, &plan.step).await.map_err(PassError::Act)?;
    announce(context, &restore, &plan).await;
    record(context, &restore, &plan).await?;
    let after = match &plan.step {
        Step::Rest => After::Rest,
        Step::Wait(code) => After::Wait(code),
        Step::Create(_) | Step::Delete(_) => After::Step,
    };
    let restores = context.memories.count();
    let pause = context.memories.with(namespace, name, |memory| memory.pace.after(after, restores));
    Ok(Action::requeue(spread(pause)))
}

/// It is gone, or being deleted and kept by a finalizer: what of it runs is stopped, and holds its ensemble until then.
async fn leaving(context: &Context, namespace: &str, name: &str) -> Result<Action, PassError<ApiError>> {
    let client = &context.kit.client;
    let Some((job, ensemble)) = left(client, namespace, name).await? else {
        context.forget(namespace, name);
        return Ok(Action::await_change());
    };
    if let Some(ensemble) = ensemble {
        context.holds.take(namespace, &ensemble, name);
    }
    info!(namespace, restore = name, job = job.key.name, "the restore is deleted: its Job is stopped");
    write::delete(client, namespace, &job).await.map_err(PassError::Act)?;
    Ok(Action::requeue(STOPPED))
}

/// Takes hold of the ensemble, or lets it go. Passes over two restores run side by side: if another one was first, this one waits for it.
fn held(context: &Context, seen: &Seen, decision: Decision) -> Decision {
    let (namespace, ensemble, name) = (&seen.names.namespace, &seen.names.ensemble, &seen.name);
    if !decision.holds {
        context.holds.let_go(namespace, name);
        return decision;
    }
    match context.holds.take(namespace, ensemble, name) {
        Some(other) if matches!(decision.step, Step::Create(_)) => {
            context.holds.let_go(namespace, name);
            plan(&Seen { other: Some(format!("ZooKeeperRestore {other}")), ..seen.clone() })
        }
        _ => decision,
    }
}

/// Carries out one step.
async fn act(context: &Context, restore: &ZooKeeperRestore, step: &Step) -> Result<(), ApiError> {
    let (client, namespace, name) = (&context.kit.client, restore.namespace().unwrap_or_default(), restore.name_any());
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

/// What to do after a pass that failed.
#[expect(clippy::needless_pass_by_value, reason = "the controller's signature")]
fn error_policy(restore: Arc<WatchedRestore>, error: &PassError<ApiError>, context: Arc<Context>) -> Action {
    let meta = restore.meta();
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let failed = |memory: &mut Memory| memory.pace.after_failure();
    let delay = spread(context.memories.with(namespace.unwrap_or_default(), name.unwrap_or_default(), failed));
    let (retry_ms, chain) = (delay.as_millis(), chain(error));
    match error {
        PassError::Api(api) | PassError::Act(api) if api.is_outdated() => {
            warn!(namespace, restore = name, retry_ms, error = chain, "outdated, looking again");
        }
        _ => error!(namespace, restore = name, retry_ms, error = chain, "the pass failed"),
    }
    Action::requeue(delay)
}
