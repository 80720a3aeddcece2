//! One controller over the objects of a kind, and what it watches.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::ready;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::runtime::controller::{Action, Config, Controller, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource};
use tokio::signal::unix::{SignalKind, signal};
use tracing::error;

use super::read::resource;
use super::watched::{Watched, of_labels};
use crate::model::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::model::observed::Kind;

/// Objects that are worked on at the same time. Most of a pass is waiting, for three seconds where an agent is silent: a
/// node that takes hundreds of members with it must not hold up the other ensembles.
const CONCURRENCY: u16 = 64;

/// Watches what is made for a kind's objects, by the metadata alone: what they hold is read when it is needed. `whose` says
/// which object one is for. Those of an object that is not selected bring about nothing: it is not in the controller's store.
pub fn watching<K, W>(
    controller: Controller<Watched<K>>,
    client: &Client,
    namespace: Option<&String>,
    kinds: &[Kind],
    whose: impl Fn(Kind) -> W,
) -> Controller<Watched<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
    W: Fn(Watched<DynamicObject>) -> Option<ObjectRef<Watched<K>>> + Send + Sync + 'static,
{
    let labelled = of_labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
    kinds.iter().fold(controller, |controller, kind| {
        let resource = resource(*kind);
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        controller.watches_with(api, resource, labelled.clone(), whose(*kind))
    })
}

/// Runs a controller until the operator is told to stop. What is left of an object that is gone, or of one that is not looked
/// after, goes with `forget`.
pub async fn run<K, C, F, E>(
    controller: Controller<Watched<K>>,
    reconcile: impl FnMut(Arc<Watched<K>>, Arc<C>) -> F,
    error_policy: impl Fn(Arc<Watched<K>>, &E, Arc<C>) -> Action,
    forget: impl Fn(&C, &str, &str),
    context: Arc<C>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
    F: Future<Output = Result<Action, E>> + Send + 'static,
    E: Error + Send + 'static,
{
    controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop_signal())
        .run(reconcile, error_policy, Arc::clone(&context))
        .for_each(|result| {
            match result {
                // A reconcile that fails is logged by the error policy.
                Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
                Err(ControllerError::ObjectNotFound(gone)) => {
                    forget(&context, gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                Err(error) => error!(%error, "a watch failed and will be tried again"),
            }
            ready(())
        })
        .await;
}

/// When the operator is told to stop.
pub async fn stop_signal() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}
