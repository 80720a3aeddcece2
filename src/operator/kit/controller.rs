//! The controller for a kind of object, and what it watches.

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

/// The objects that are handled at the same time. A pass mostly waits, for three seconds if an agent is silent: a node
/// that takes hundreds of members with it must not hold up the other ensembles.
const CONCURRENCY: u16 = 64;

/// Watches the objects that belong to a kind's objects, by their metadata only: their content is read when it is
/// needed. `whose` says which object one belongs to. Those of an unselected object trigger nothing: it is not in the
/// controller's store.
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

/// Runs a controller until the operator is stopped. `forget` drops what is remembered of an object that is gone or no
/// longer selected.
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
                // The error policy logs a failed reconcile.
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

/// Resolves when the operator is asked to stop.
pub async fn stop_signal() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}
