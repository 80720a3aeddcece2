//! The namespaces in the operator's list. One that is refused or gone is no reason to leave the others.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use tracing::{info, warn};

use super::Kit;
use super::timeout::{ApiError, within};
use super::watched::Watched;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The objects of a kind in a namespace, or in all.
pub fn all_of<K>(client: &Client, namespace: Option<&String>) -> Api<Watched<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Whether they can be listed. `many` is the plural of the kind, for messages.
pub async fn listed<K>(client: &Client, many: &str, namespace: Option<&String>, selector: &str) -> Result<(), ApiError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let one = ListParams::default().limit(1).labels(selector);
    within(format!("list {many}"), all_of::<K>(client, namespace).list(&one)).await.map(|_| ())
}

/// Returns once they can be listed at all. After an upgrade without the new definitions and rights, the other kinds work all the same.
pub async fn installed<K>(client: &Client, many: &str, namespace: Option<&String>, selector: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let mut pause = FIRST_PAUSE;
    while let Err(error) = listed::<K>(client, many, namespace, selector).await {
        let (error, again_s) = (error.with_cause(), pause.as_secs());
        warn!(
            namespace,
            error, again_s, "{many} cannot be managed: are their definition and rights installed? Asking again"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    info!(namespace, "managing {many}");
}

/// Returns once they can be listed. Until then the operator says so, and asks again.
pub async fn allowed<K>(kit: &Kit, many: &str, namespace: &String, selector: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let mut pause = FIRST_PAUSE;
    while let Err(error) = listed::<K>(&kit.client, many, Some(namespace), selector).await {
        kit.metrics.watched(namespace, false);
        let (error, again_s) = (error.with_cause(), pause.as_secs());
        warn!(namespace, error, again_s, "the {many} of this namespace cannot be managed: asking again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    kit.metrics.watched(namespace, true);
    info!(namespace, "managing the {many} of this namespace");
}
