//! Starts the operator: what it watches, where it reports, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use clap::builder::{StringValueParser, TypedValueParser as _};
use futures::future::join_all;
use kube::Client;
use prometheus_client::registry::Registry;
use tracing::info;

use super::backup;
use super::backup::ended::Ended;
use super::ensemble;
use super::ensemble::metrics::{Archives, Proofs, Voters};
use super::kit::controller::stop_signal;
use super::kit::events::Events;
use super::kit::holds::Holds;
use super::kit::memory::Memories;
use super::kit::metrics::{Metrics, text};
use super::kit::namespaces::{allowed, listed};
use super::kit::{Kit, MANAGER};
use super::restore;
use super::schedule;
use super::schedule::metrics::Times;
use crate::api::ZooKeeperEnsemble;
use crate::kubeconfig;
use crate::listen::listen;
use crate::model::observed::OperatorFacts;
use crate::model::selector::labels_of;
use crate::serve;

/// How messages call the ensembles.
const MANY: &str = "ensembles";

/// Options of `menagerie operator`.
#[derive(clap::Args)]
pub struct Options {
    /// Namespaces to watch, separated by commas; by default all of them.
    #[arg(long, env = "MENAGERIE_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Ensembles to manage, by their labels (`team=a,tier!=test`); by default all of them.
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
    /// The cluster's DNS domain. Members' names end in it; with a wrong one no new member starts.
    #[arg(long, env = "MENAGERIE_CLUSTER_DOMAIN", default_value = "cluster.local", value_parser = StringValueParser::new().map(undotted))]
    cluster_domain: String,
    /// Where /metrics, /healthz and /readyz are served; `[::]` is every address, IPv4 as well.
    #[arg(long, env = "MENAGERIE_LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,
}

/// A domain without the dot that may be at its end: names are compared as text.
fn undotted(domain: String) -> String {
    domain.strip_suffix('.').map(str::to_owned).unwrap_or(domain)
}

/// Runs the operator until it is stopped.
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
    // Passes mostly wait for answers: two threads are enough for a thousand ensembles.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(options))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let api_server = kubeconfig::config(None).map_err(anyhow::Error::msg);
    let client =
        Client::try_from(api_server.context("no cluster: neither a kubeconfig nor a service account was found")?)?;
    let mut registry = Registry::with_prefix("menagerie");
    let kit = Arc::new(Kit {
        client: client.clone(),
        events: Events::new(client.clone(), MANAGER, std::env::var("POD_NAME").ok()),
        metrics: Metrics::registered(&mut registry),
    });
    let operator = OperatorFacts {
        agent_image: options.image,
        agent_pull_policy: options.image_pull_policy,
        assigned_ids: options.assigned_ids,
        searched: super::dns::searched(),
    };
    let (holds, ended) = (Arc::new(Holds::default()), Arc::new(Ended::default()));
    let restores = Arc::new(restore::Context {
        kit: Arc::clone(&kit),
        operator: operator.clone(),
        cluster_domain: options.cluster_domain.clone(),
        memories: Memories::default(),
        holds: Arc::clone(&holds),
    });
    let backups = Arc::new(backup::Context {
        kit: Arc::clone(&kit),
        operator: operator.clone(),
        cluster_domain: options.cluster_domain.clone(),
        memories: Memories::default(),
        ended: Arc::clone(&ended),
    });
    let schedules = Arc::new(schedule::Context {
        kit: Arc::clone(&kit),
        selected: labels_of(&options.selector),
        memories: Memories::default(),
        times: Times::registered(&mut registry),
    });
    let context = Arc::new(ensemble::Context {
        kit: Arc::clone(&kit),
        operator,
        cluster_domain: options.cluster_domain,
        voters: Voters::registered(&mut registry),
        archives: Archives::registered(&mut registry),
        proofs: Proofs::registered(&mut registry),
        memories: Memories::default(),
        holds,
        ended,
    });
    let ready = Arc::new(AtomicBool::new(false));
    let listener = listen(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let server = tokio::spawn(serve::serve(listener, routes(registry, ready.clone())));
    let selector = &options.selector;
    let places: Vec<Option<String>> =
        if options.namespaces.is_empty() { vec![None] } else { options.namespaces.iter().cloned().map(Some).collect() };
    let tried = places.iter().map(|place| listed::<ZooKeeperEnsemble>(&client, MANY, place.as_ref(), selector));
    let tried = join_all(tried).await;
    // One of several namespaces may be refused or gone. The others still work.
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
        let (kit, context, restores) = (&kit, Arc::clone(&context), Arc::clone(&restores));
        let (backups, schedules) = (Arc::clone(&backups), Arc::clone(&schedules));
        let ensembles = async move {
            if let Some(namespace) = place {
                tokio::select! {
                    () = allowed::<ZooKeeperEnsemble>(kit, MANY, namespace, selector) => {}
                    () = stop_signal() => return,
                }
            }
            ensemble::look_after(place.as_ref(), selector, context).await;
        };
        async move {
            let place = place.as_ref();
            tokio::join!(
                ensembles,
                restore::look_after(place, selector, restores),
                backup::look_after(place, selector, backups),
                schedule::look_after(place, selector, schedules),
            );
        }
    });
    tokio::select! {
        _ = join_all(controllers) => info!("stopped"),
        result = server => bail!("the metrics server ended: {result:?}"),
    }
    Ok(())
}

fn routes(registry: Registry, ready: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/metrics", get(|State(registry): State<Arc<Registry>>| async move { text(&registry) }))
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
        .with_state(Arc::new(registry))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_cluster_domain_may_be_written_with_the_dot_at_its_end() {
        for (given, domain) in [("cluster.local", "cluster.local"), ("cluster.local.", "cluster.local"), ("a..", "a.")]
        {
            let words = ["operator", "--image=agent", "--cluster-domain", given];
            assert_eq!(Given::parse_from(words).options.cluster_domain, domain);
        }
    }
}
