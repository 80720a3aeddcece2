//! Starts the operator: what it watches, where it reports, how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use futures::StreamExt as _;
use futures::future::{join_all, ready};
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::controller::{self, Controller, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use super::ensemble::objects::resource;
use super::ensemble::{Context, Guarded, surroundings};
use super::ensemble::{error_policy, reconcile};
use super::kit::MANAGER;
use super::kit::namespaces::{allowed, ensembles, listed};
use super::kit::watched::{Watched, of_labels};
use crate::listen::listen;
use crate::model::Names;
use crate::model::names::{ENSEMBLE_LABEL, MANAGED_BY, MANAGED_BY_LABEL};
use crate::model::observed::{Environment, Kind};
use crate::serve;

/// Ensembles that are worked on at the same time. Most of a pass is waiting, for three seconds where an agent is silent: a
/// node that takes hundreds of members with it must not hold up the other ensembles.
const CONCURRENCY: u16 = 64;

/// Options of `menagerie operator`.
#[derive(clap::Args)]
pub struct Options {
    /// Namespaces to watch, separated by commas; all of them without this.
    #[arg(long, env = "MENAGERIE_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Ensembles to look after, by their labels (`team=a,tier!=test`); all of them without this.
    #[arg(long, env = "MENAGERIE_SELECTOR", default_value = "")]
    selector: String,
    /// The operator's own image, which runs as the agent in every pod.
    #[arg(long, env = "MENAGERIE_IMAGE")]
    image: String,
    /// Pull policy of that image: `Always`, `IfNotPresent` or `Never`.
    #[arg(long, env = "MENAGERIE_IMAGE_PULL_POLICY")]
    image_pull_policy: Option<String>,
    /// Leave uid, gid and fsGroup of the members' pods to the cluster, as `OpenShift` wants it.
    #[arg(long, env = "MENAGERIE_ASSIGNED_IDS")]
    assigned_ids: bool,
    /// The cluster's DNS domain.
    #[arg(long, env = "MENAGERIE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
    /// Where /metrics, /healthz and /readyz are served; `[::]` is every address, IPv4 as well.
    #[arg(long, env = "MENAGERIE_LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,
}

/// Runs the operator until it is told to stop.
pub fn main(options: Options) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,kube_runtime=warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        bail!("a second TLS provider was installed");
    }
    // Passes wait for answers most of the time: two threads serve a thousand ensembles.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(options))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let client =
        Client::try_default().await.context("no cluster: neither a kubeconfig nor a service account was found")?;
    let context = Arc::new(Context {
        client: client.clone(),
        events: super::kit::events::Events::new(client.clone(), MANAGER, std::env::var("POD_NAME").ok()),
        environment: Environment {
            agent_image: options.image,
            agent_pull_policy: options.image_pull_policy,
            assigned_ids: options.assigned_ids,
        },
        cluster_domain: options.cluster_domain,
        metrics: super::ensemble::metrics::Metrics::default(),
        backoff: super::kit::pace::Backoff::default(),
        hints: super::ensemble::hints::Hints::default(),
        hindered: super::ensemble::hindered::Hindered::default(),
        walks: super::ensemble::walks::Walks::default(),
        passwords: super::ensemble::passwords::Passwords::default(),
    });
    let ready = Arc::new(AtomicBool::new(false));
    let listener = listen(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let server = tokio::spawn(serve::serve(listener, routes(context.clone(), ready.clone())));
    let selected = of_labels(&options.selector);
    let places: Vec<Option<String>> =
        if options.namespaces.is_empty() { vec![None] } else { options.namespaces.iter().cloned().map(Some).collect() };
    let tried = join_all(places.iter().map(|place| listed(&client, place.as_ref(), &options.selector))).await;
    // Of several namespaces one may be refused, or gone, without the others being left alone for it.
    if tried.iter().all(Result::is_err)
        && let Some(Err(error)) = tried.into_iter().next()
    {
        return Err(error).context(
            "the ensembles cannot be listed: is the custom resource definition installed (menagerie crd | kubectl apply --server-side -f -), may this service account list it, and is --selector a label selector?",
        );
    }
    ready.store(true, Ordering::Relaxed);
    info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?options.namespaces, selector = options.selector, "watching");
    let controllers = places.iter().map(|place| {
        let (client, selector, selected, context) = (&client, &options.selector, selected.clone(), context.clone());
        async move {
            if let Some(namespace) = place {
                tokio::select! {
                    () = allowed(client, namespace, selector, &context) => {}
                    () = stop_signal() => return,
                }
            }
            control(ensembles(client, place.as_ref()), selected, client, place.as_ref(), context).await;
        }
    });
    tokio::select! {
        _ = join_all(controllers) => info!("stopped"),
        result = server => bail!("the metrics server ended: {result:?}"),
    }
    Ok(())
}

/// One controller. Owned objects are watched by their metadata alone: what they hold is read when it is needed. Those of
/// an ensemble that is not selected bring about nothing: it is not in the controller's store.
async fn control(
    ensembles: Api<Guarded>,
    selected: watcher::Config,
    client: &Client,
    namespace: Option<&String>,
    context: Arc<Context>,
) {
    let labelled = of_labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
    let stop = stop_signal();
    let nodes = surroundings::changes(client).await;
    let controller = Controller::new(ensembles, selected);
    let controller = Kind::ALL.into_iter().fold(controller, |controller, kind| {
        let (resource, noting) = (resource(kind), noting(kind, &context));
        controller.watches_with(metadata(client, &resource, namespace), resource, labelled.clone(), noting)
    });
    controller
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_all_on(nodes)
        .graceful_shutdown_on(stop)
        .run(reconcile, error_policy, context.clone())
        .for_each(|result| {
            match result {
                // A reconcile that fails is logged by the error policy.
                Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
                // What is left of an ensemble that is gone, or of one that is not looked after.
                Err(ControllerError::ObjectNotFound(gone)) => {
                    context.forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                Err(error) => error!(%error, "a watch failed and will be tried again"),
            }
            ready(())
        })
        .await;
}

fn metadata(client: &Client, resource: &ApiResource, namespace: Option<&String>) -> Api<Watched<DynamicObject>> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Whose an object is. A member's object that was met is asked for by name from then on.
fn noting(
    kind: Kind,
    context: &Arc<Context>,
) -> impl Fn(Watched<DynamicObject>) -> Option<ObjectRef<Guarded>> + Send + Sync + 'static {
    let context = Arc::clone(context);
    move |object| {
        let names = Names {
            ensemble: object.labels().get(ENSEMBLE_LABEL)?.clone(),
            namespace: object.namespace()?,
            domain: context.cluster_domain.clone(),
        };
        context.hints.heard(&names, kind, &object.name_any());
        Some(ObjectRef::new(&names.ensemble).within(&names.namespace))
    }
}

async fn stop_signal() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}

fn routes(context: Arc<Context>, ready: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/metrics", get(|State(context): State<Arc<Context>>| async move { context.metrics.text() }))
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(move || async move {
                if ready.load(Ordering::Relaxed) {
                    (StatusCode::OK, "ok")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "starting")
                }
            }),
        )
        .with_state(context)
}
