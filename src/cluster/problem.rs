//! What the API server refuses, with what can be done about it.

use std::error::Error as _;

use kube::Resource as _;
use kube::core::Status;

use super::connection::Cluster;
use super::objects::Kind;
use crate::api::ZooKeeperRestore;
use crate::cli::CommandError;
use crate::operator::kit::timeout::ApiError;

/// What went wrong, and what to do about it.
pub(super) fn told<K: Kind>(cluster: &Cluster, error: &ApiError) -> CommandError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        // Some say what is inside of them, and some do not.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    let hint = match error {
        ApiError::Refused { status, .. } => of_answer::<K>(status),
        ApiError::Timeout { .. } => {
            ". A write may have been carried out all the same: look before you try again".to_owned()
        }
        ApiError::Kube { .. } => {
            format!(
                ". Is the API server up at {}, and is that the one that you mean (KUBECONFIG, --context)?",
                cluster.address
            )
        }
    };
    let words = if hint.is_empty() { text.as_str() } else { text.trim_end_matches('.') };
    CommandError::Usage(format!("{words}{hint}"))
}

/// Whether there is no object of that name, in a cluster that has its kind.
pub(super) fn is_missing(error: &ApiError) -> bool {
    let ApiError::Refused { status, .. } = error else { return false };
    status.code == 404 && status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

fn of_answer<K: Kind>(status: &Status) -> String {
    let details = status.details.as_ref();
    let kind = K::kind(&());
    match status.code {
        401 => ". It does not take your credentials: log in again, or name another --context".to_owned(),
        403 if status.message.contains(" cannot get ") || status.message.contains(" cannot list ") => {
            ". Who may view the namespace may read it: kubectl auth can-i --list shows what you may do".to_owned()
        }
        403 if status.message.contains(" cannot ") && K::kind(&()) == ZooKeeperRestore::kind(&()) => {
            ". A restore changes every znode that it names: that is for who is admin of the namespace, or is bound to the ClusterRole menagerie-restore".to_owned()
        }
        403 if status.message.contains(" cannot ") => ". Who may edit the namespace may do that".to_owned(),
        404 if details.is_some_and(|details| details.kind == "namespaces") => {
            ". Name one that is there with --namespace".to_owned()
        }
        404 if details.is_none_or(|details| details.name.is_empty()) => format!(
            ". The cluster does not know {kind}: is it the one that you mean (--context), and is the operator installed there (menagerie crd | kubectl apply --server-side -f -)?"
        ),
        409 if status.reason == "AlreadyExists" => ". Take another --name, or leave it away".to_owned(),
        _ => String::new(),
    }
}
