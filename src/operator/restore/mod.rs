//! One pass over one restore.

mod facts;
mod observe;
mod plan;
mod report;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::controller::Action;
use tracing::{Span, debug, info, info_span};

use super::kit::Kit;
use super::kit::holds::Holds;
use super::kit::managed::{self, Managed};
use super::kit::memory::{Memories, Memory};
use super::kit::pace::{Pace, spread};
use super::kit::pass::PassError;
use super::kit::step::{Step, carry_out};
use super::kit::timeout::ApiError;
use super::kit::write;
use crate::api::ZooKeeperRestore;
use crate::model::names::RESTORE_LABEL;
use crate::model::observed::{Kind, OperatorFacts};
use crate::plan::ConditionStatus;
use facts::Seen;
use observe::{left, observe};
use plan::{Decision, plan};
use report::{announce, record};

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

/// Longer than a pod of a Job takes to end.
const STOPPED: Duration = Duration::from_secs(6);

/// Manages the restores of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    managed::look_after(namespace, selector, (&Kind::OF_RESTORE, RESTORE_LABEL), context).await;
}

impl Managed for Context {
    type Object = ZooKeeperRestore;
    type Error = ApiError;
    const WORD: &'static str = "restore";
    /// Whether there is a plan is not touched.
    const OF_UNDECODABLE: &'static [(&'static str, ConditionStatus)] = &[("Completed", ConditionStatus::False)];

    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn span(namespace: &str, name: &str, generation: Option<i64>) -> Span {
        info_span!("pass", %namespace, restore = name, generation)
    }

    fn pace(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Pace) -> Duration) -> Duration {
        self.memories.with(namespace, name, |memory| look(&mut memory.pace))
    }

    async fn pass(&self, restore: &ZooKeeperRestore) -> Result<Action, PassError<ApiError>> {
        pass(self, restore).await
    }

    fn is_outdated(error: &ApiError) -> bool {
        error.is_outdated()
    }

    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
        self.holds.let_go(namespace, name);
    }

    fn undecodable(&self, namespace: &str, name: &str, _: &DynamicObject) {
        self.holds.let_go(namespace, name);
    }

    async fn gone(&self, namespace: &str, name: &str) -> Result<Action, PassError<ApiError>> {
        leaving(self, namespace, name).await
    }
}

/// One pass: observe, plan, act, report.
async fn pass(context: &Context, restore: &ZooKeeperRestore) -> Result<Action, PassError<ApiError>> {
    let (namespace, name) = (&restore.namespace().unwrap_or_default(), &restore.name_any());
    let seen = observe(context, restore).await?;
    let plan = held(context, &seen, plan(&seen));
    debug!(step = plan.step.word(), "decided");
    // What was not done is not said either: a Job that could not be created was taken for one that was deleted, and one that could not be
    // deleted for stopped.
    carry_out(&context.kit, &context.memories, (namespace, name), &plan.step).await.map_err(PassError::Act)?;
    announce(context, restore, &plan).await;
    record(context, restore, &plan).await?;
    let restores = context.memories.count();
    Ok(Action::requeue(spread(context.pace(namespace, name, |pace| pace.after(plan.step.after(), restores)))))
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
