//! What triggers a pass: a change of a restore, or of one of its Jobs.

use std::sync::Arc;

use kube::runtime::Controller;

use super::{Context, error_policy, reconcile};
use crate::api::ZooKeeperRestore;
use crate::model::names::RESTORE_LABEL;
use crate::model::observed::Kind;
use crate::operator::kit::controller::{self, watching};
use crate::operator::kit::namespaces::{all_of, installed};
use crate::operator::kit::watched::{labelled, of_labels};

/// Manages the restores of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    let client = &context.kit.client;
    tokio::select! {
        () = installed::<ZooKeeperRestore>(client, "restores", namespace, selector) => {}
        () = controller::stop_signal() => return,
    }
    let controller = Controller::new(all_of(client, namespace), of_labels(selector));
    let controller = watching(controller, client, namespace, &Kind::OF_RESTORE, |_| labelled(RESTORE_LABEL));
    controller::run(controller, reconcile, error_policy, Context::forget, Arc::clone(&context)).await;
}
