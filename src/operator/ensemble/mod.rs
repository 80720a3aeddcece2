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

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::controller::Action;
use tracing::{Span, debug, info_span};

use super::backup::ended::Ended;
use super::kit::Kit;
use super::kit::holds::Holds;
use super::kit::managed::Managed;
use super::kit::memory::Memories;
use super::kit::pace::{After, Pace, spread};
use super::kit::pass::PassError;
use super::kit::read::{self, Fresh};
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
use metrics::{Archives, Proofs, Voters};
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
    /// How well they are proved, as metrics.
    pub proofs: Proofs,
    /// What is remembered of each.
    pub memories: Memories<Memory>,
    /// Which of them are being restored.
    pub holds: Arc<Holds>,
    /// Which of their backups have ended.
    pub ended: Arc<Ended>,
}

impl Context {
    /// What is remembered of this ensemble.
    fn memory<T>(&self, names: &Names, look: impl FnOnce(&mut Memory) -> T) -> T {
        self.memories.with(&names.namespace, &names.ensemble, look)
    }
}

/// An ensemble in the store.
type WatchedEnsemble = Watched<ZooKeeperEnsemble>;

impl Managed for Context {
    type Object = ZooKeeperEnsemble;
    type Error = ActError;
    const WORD: &'static str = "ensemble";
    const ASKED_BY: &'static [&'static str] = &REQUEST_ANNOTATIONS;
    const OF_UNDECODABLE: &'static [(&'static str, ConditionStatus)] = &[
        ("Degraded", ConditionStatus::True),
        ("Progressing", ConditionStatus::False),
        ("Ready", ConditionStatus::False),
    ];

    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn span(namespace: &str, name: &str, generation: Option<i64>) -> Span {
        info_span!("pass", %namespace, ensemble = name, generation)
    }

    fn pace(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Pace) -> Duration) -> Duration {
        self.memories.with(namespace, name, |memory| look(&mut memory.pace))
    }

    async fn pass(&self, ensemble: &ZooKeeperEnsemble) -> Result<Action, PassError<ActError>> {
        pass(self, ensemble).await
    }

    fn is_outdated(error: &ActError) -> bool {
        error.is_outdated()
    }

    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
        self.voters.forget(namespace, name);
        self.archives.said(namespace, name, std::iter::empty());
        self.proofs.said(namespace, name, &[]);
    }

    fn undecodable(&self, namespace: &str, name: &str, object: &DynamicObject) {
        if let Some(wanted) = object.data["spec"]["replicas"].as_i64() {
            self.voters.wanted(namespace, name, wanted);
        }
    }
}

/// One pass: observe, plan, act, report.
async fn pass(context: &Context, ensemble: &ZooKeeperEnsemble) -> Result<Action, PassError<ActError>> {
    let (namespace, name) = (&ensemble.namespace().unwrap_or_default(), &ensemble.name_any());
    let seen = observe(context, ensemble).await?;
    let mut plan = plan(&seen);
    let passed_over: Vec<&str> = plan.considered.iter().map(|rule| rule.otherwise).collect();
    debug!(step = plan.step.word(), ?passed_over, "decided");
    context.kit.metrics.step(plan.step.word());
    context.voters.wanted(namespace, name, ensemble.spec.replicas.into());
    context.voters.synced(namespace, name, plan.status.ready_replicas.into());
    let says = seen.members.values().filter_map(|member| match member {
        Fact::Known(truth) => Some((matches!(truth.server, ServerState::Serving(_)), truth.archive.as_ref()?)),
        Fact::Unknown(_) => None,
    });
    context.archives.said(namespace, name, says);
    context.proofs.said(namespace, name, plan.status.backups.as_ref().map_or(&[][..], |known| &known.proofs));
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
    announce(context, ensemble, &plan, &outcome, refusal.is_some()).await;
    record(context, ensemble, &plan).await?;
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
