//! One pass over one ensemble.

mod act;
pub mod hindered;
mod hints;
mod memory;
pub mod metrics;
mod objects;
mod observe;
mod passwords;
mod pods;
mod refusals;
mod report;
mod surroundings;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use kube::Resource as _;
use kube::runtime::controller::Action;
use tracing::{debug, error, info_span, warn};

use super::kit::Kit;
use super::kit::holds::Holds;
use super::kit::memory::Memories;
use super::kit::pace::{After, spread};
use super::kit::pass::{PassError, chain, framed};
use super::kit::read::{self, Fresh};
use super::kit::status::say_undecodable;
use super::kit::timeout::ApiError;
use super::kit::watched::Watched;
use crate::api::ZooKeeperEnsemble;
use crate::model::names::REQUEST_ANNOTATIONS;
use crate::model::observed::OperatorFacts;
use crate::model::truth::ServerState;
use crate::model::{Fact, Names};
use crate::plan::{ConditionStatus, Step, plan, refused};
use act::{ActError, Acted, act, came_to_nothing, in_vain};
use memory::Memory;
use metrics::{Archives, Voters};
use observe::observe;
use report::{announce, record};

pub use watch::look_after;

/// The custom resource's kind.
const KIND: &str = "ZooKeeperEnsemble";

/// What every pass over an ensemble shares.
pub struct Context {
    /// What it shares with other kinds.
    pub kit: Arc<Kit>,
    /// What the operator knows about itself and its cluster.
    pub operator: OperatorFacts,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// What Prometheus reads of each.
    pub voters: Voters,
    /// The archives, as metrics.
    pub archives: Archives,
    /// What is remembered of each.
    pub memories: Memories<Memory>,
    /// Which of them are being restored.
    pub holds: Arc<Holds>,
}

impl Context {
    /// What is remembered of this ensemble.
    fn memory<T>(&self, names: &Names, look: impl FnOnce(&mut Memory) -> T) -> T {
        self.memories.with(&names.namespace, &names.ensemble, look)
    }

    /// The ensemble is gone, or no longer selected.
    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
        self.voters.forget(namespace, name);
        self.archives.said(namespace, name, std::iter::empty());
    }
}

/// An ensemble in the store.
type WatchedEnsemble = Watched<ZooKeeperEnsemble>;

/// What is said of an object that cannot be decoded.
const OF_UNDECODABLE: [(&str, ConditionStatus); 3] =
    [("Degraded", ConditionStatus::True), ("Progressing", ConditionStatus::False), ("Ready", ConditionStatus::False)];
/// The pause after an object that cannot be decoded. The controller does not notice when such an object is deleted: a
/// request for it does.
const UNDECODABLE: Duration = Duration::from_mins(1);

async fn reconcile(ensemble: Arc<WatchedEnsemble>, context: Arc<Context>) -> Result<Action, PassError<ActError>> {
    let meta = ensemble.meta();
    let name = meta.name.clone().unwrap_or_default();
    let namespace = meta.namespace.clone().unwrap_or_default();
    let span = info_span!("pass", %namespace, ensemble = name, generation = meta.generation);
    framed(&context.kit.metrics, span, pass(&namespace, &name, &context)).await
}

/// One pass: observe, plan, act, report.
async fn pass(namespace: &str, name: &str, context: &Context) -> Result<Action, PassError<ActError>> {
    let ensemble = match fresh(context, namespace, name).await? {
        Fresh::Whole(ensemble) => ensemble,
        Fresh::Undecodable(object, error) => {
            warn!(error, "the object cannot be decoded: it is left alone until it is corrected");
            if let Some(wanted) = object.data["spec"]["replicas"].as_i64() {
                context.voters.wanted(namespace, name, wanted);
            }
            say_undecodable::<ZooKeeperEnsemble>(&context.kit.client, &object, &error, &OF_UNDECODABLE).await?;
            return Ok(Action::requeue(UNDECODABLE));
        }
        Fresh::Gone => {
            context.forget(namespace, name);
            return Ok(Action::await_change());
        }
    };
    let seen = observe(context, &ensemble).await?;
    let mut plan = plan(&seen);
    let passed_over: Vec<&str> = plan.considered.iter().map(|rule| rule.otherwise).collect();
    debug!(namespace, ensemble = name, step = plan.step.word(), ?passed_over, "decided");
    context.kit.metrics.step(plan.step.word());
    context.voters.wanted(namespace, name, ensemble.spec.replicas.into());
    context.voters.synced(namespace, name, plan.status.ready_replicas.into());
    let says = seen.members.values().filter_map(|member| match member {
        Fact::Known(truth) => Some((matches!(truth.server, ServerState::Serving(_)), truth.archive.as_ref()?)),
        Fact::Unknown(_) => None,
    });
    context.archives.said(namespace, name, says);
    let outcome = act(context, &seen, &plan.step).await;
    if matches!(outcome, Ok(Acted::Whole)) {
        plan.carried_out();
    }
    let failure = came_to_nothing(&outcome, namespace, plan.status.leader.as_deref());
    let lasts = context.memory(&seen.names, |memory| memory.notes.in_vain(failure.is_some()));
    let lasting = || failure.filter(|_| lasts).map(|words| in_vain(&plan.step, &words));
    let refusal = outcome.as_ref().err().and_then(|error| error.refusal(&seen)).or_else(lasting);
    if let Some((reason, message)) = &refusal {
        refused(&mut plan.conditions, reason, message);
    }
    announce(context, &ensemble, &plan, &outcome, refusal.is_some()).await;
    record(context, &ensemble, &plan).await?;
    outcome.map_err(PassError::Act)?;
    let (after, ensembles) = (after(&plan.step), context.memories.count());
    Ok(Action::requeue(spread(context.memory(&seen.names, |memory| memory.pace.after(after, ensembles)))))
}

/// The custom resource as it is now.
async fn fresh(context: &Context, namespace: &str, name: &str) -> Result<Fresh<ZooKeeperEnsemble>, ApiError> {
    read::fresh(&context.kit.client, ("ensemble", namespace, name), &REQUEST_ANNOTATIONS).await
}

/// When to look again after a step.
fn after(step: &Step) -> After {
    match step {
        Step::Rest | Step::Refuse(_) => After::Rest,
        Step::Wait(reason) => After::Wait(reason.code),
        Step::Apply(_) => After::Apply,
        Step::Tell(_)
        | Step::Delete(_)
        | Step::AddPod(_)
        | Step::RemovePod(_)
        | Step::Join { .. }
        | Step::Leave { .. }
        | Step::Restart(_)
        | Step::ReplaceVolume(_)
        | Step::Guard(_)
        | Step::Prove(_) => After::Step,
    }
}

/// What to do after a pass that failed.
#[expect(clippy::needless_pass_by_value, reason = "the controller's signature")]
fn error_policy(ensemble: Arc<WatchedEnsemble>, error: &PassError<ActError>, context: Arc<Context>) -> Action {
    let meta = ensemble.meta();
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let failed = |memory: &mut Memory| memory.pace.after_failure();
    let delay = spread(context.memories.with(namespace.unwrap_or_default(), name.unwrap_or_default(), failed));
    let retry_ms = delay.as_millis();
    let chain = chain(error);
    match error {
        PassError::Api(api) if api.is_outdated() => {
            warn!(namespace, ensemble = name, retry_ms, error = chain, "outdated, looking again");
        }
        PassError::Act(act) if act.is_outdated() => {
            warn!(namespace, ensemble = name, retry_ms, error = chain, "outdated, looking again");
        }
        _ => error!(namespace, ensemble = name, retry_ms, error = chain, "the pass failed"),
    }
    Action::requeue(delay)
}
