//! The namespaces of the operator's list. One that it may not look into, or that is gone, is no reason to leave the others.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, ListParams};
use tracing::{info, warn};

use super::timeout::{ApiError, within};
use crate::operator::ensemble::{Context, Guarded};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The ensembles of a namespace, or of all.
pub fn ensembles(client: &Client, namespace: Option<&String>) -> Api<Guarded> {
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Whether they can be listed.
pub async fn listed(client: &Client, namespace: Option<&String>, selector: &str) -> Result<(), ApiError> {
    let one = ListParams::default().limit(1).labels(selector);
    within("list ensembles", ensembles(client, namespace).list(&one)).await.map(|_| ())
}

/// Returns when they can. Until then the operator says so, and asks again.
pub async fn allowed(client: &Client, namespace: &String, selector: &str, context: &Context) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = listed(client, Some(namespace), selector).await {
        context.metrics.watched(namespace, false);
        let (error, again_s) = (error.told(), pause.as_secs());
        warn!(namespace, error, again_s, "the ensembles of this namespace cannot be looked after: asking again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    context.metrics.watched(namespace, true);
    info!(namespace, "looking after the ensembles of this namespace");
}
