//! One pass over one ensemble.

mod act;
pub mod hindered;
pub mod hints;
pub mod metrics;
pub mod objects;
mod observe;
pub mod passwords;
mod pods;
mod refusals;
mod report;
pub mod surroundings;
pub mod walks;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use kube::runtime::controller::Action;
use kube::{Client, Resource as _};
use thiserror::Error;
use tracing::{Instrument as _, debug, error, info_span, warn};

use super::kit::events::Events;
use super::kit::pace::Backoff;
use super::kit::timeout::ApiError;
use super::kit::watched::Watched;
use crate::api::ZooKeeperEnsemble;
use crate::model::observed::Environment;
use crate::plan::{plan, refused};
use act::{ActError, Acted, act};
use observe::{Fresh, fresh, observe};
use report::{announce, record, say_undecodable};

/// What every reconcile shares.
pub struct Context {
    pub client: Client,
    pub events: Events,
    pub environment: Environment,
    pub cluster_domain: String,
    pub metrics: metrics::Metrics,
    pub backoff: Backoff,
    pub hints: hints::Hints,
    pub hindered: hindered::Hindered,
    pub walks: walks::Walks,
    pub passwords: passwords::Passwords,
}

impl Context {
    /// The ensemble is gone, or is looked after no more.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.hints.forget(namespace, name);
        self.metrics.forget(namespace, name);
        self.backoff.forget(namespace, name);
        self.hindered.forget(namespace, name);
        self.walks.forget(namespace, name);
        self.passwords.forget(namespace, name);
    }
}

/// Why a pass did not go through.
#[derive(Debug, Error)]
pub enum PassError {
    /// The API server did not do what was asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The step was not carried out.
    #[error(transparent)]
    Act(#[from] ActError),
    /// A defect of this operator.
    #[error("panicked: {0}")]
    Panic(String),
}

/// An ensemble in the store.
pub type Guarded = Watched<ZooKeeperEnsemble>;

/// Of an object that cannot be decoded. The controller does not tell that one is deleted: a request for it finds out.
const UNDECODABLE: Duration = Duration::from_mins(1);

/// Runs a pass, and keeps a panic in it from every other ensemble: kube raises it again in the controller's own task.
pub async fn reconcile(ensemble: Arc<Guarded>, context: Arc<Context>) -> Result<Action, PassError> {
    let meta = ensemble.meta();
    let name = meta.name.clone().unwrap_or_default();
    let namespace = meta.namespace.clone().unwrap_or_default();
    let span = info_span!("pass", %namespace, ensemble = name, generation = meta.generation);
    let started = Instant::now();
    let result = contained(Box::pin(pass(&namespace, &name, &context))).instrument(span).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(PassError::Panic(_)) => "panic",
        Err(PassError::Api(_) | PassError::Act(_)) => "error",
    };
    context.metrics.pass(outcome, started.elapsed().as_secs_f64());
    result
}

async fn contained<T>(pass: impl Future<Output = Result<T, PassError>>) -> Result<T, PassError> {
    AssertUnwindSafe(pass).catch_unwind().await.unwrap_or_else(|panic| Err(PassError::Panic(text_of(&*panic))))
}

async fn pass(namespace: &str, name: &str, context: &Context) -> Result<Action, PassError> {
    let ensemble = match fresh(context, namespace, name).await? {
        Fresh::Whole(ensemble) => ensemble,
        Fresh::Undecodable(object, error) => {
            warn!(error, "the object cannot be decoded: it is left alone until it is corrected");
            context.metrics.wanted(namespace, name, object.data["spec"]["replicas"].as_i64());
            say_undecodable(context, &object, &error).await?;
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
    context.metrics.plan(namespace, name, &plan, ensemble.spec.replicas.into());
    let outcome = act(context, &seen, &plan.step).await;
    if matches!(outcome, Ok(Acted::Whole)) {
        plan.carried_out();
    }
    let refusal = outcome.as_ref().err().and_then(|error| error.refusal(&seen));
    if let Some((reason, message)) = &refusal {
        refused(&mut plan.conditions, reason, message);
    }
    announce(context, &ensemble, &plan, &outcome, refusal.is_some()).await;
    record(context, &ensemble, &plan).await?;
    outcome?;
    Ok(Action::requeue(context.backoff.after(&seen.names, &plan.step)))
}

/// What to do after a pass that did not go through.
#[expect(clippy::needless_pass_by_value, reason = "the controller's signature")]
pub fn error_policy(ensemble: Arc<Guarded>, error: &PassError, context: Arc<Context>) -> Action {
    let meta = ensemble.meta();
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let delay = context.backoff.after_failure(namespace.unwrap_or_default(), name.unwrap_or_default());
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

/// An error with its cause, on one line. One is enough: kube's errors repeat theirs.
pub fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_one_pass_is_an_error_of_that_pass() {
        let panicked = contained::<()>(async { panic!("a defect") }).await;
        assert!(matches!(panicked, Err(PassError::Panic(text)) if text == "a defect"));
        assert!(contained(async { Ok(1) }).await.is_ok());
    }
}
