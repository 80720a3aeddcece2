//! What triggers a pass: a change of a restore, or of one of its Jobs.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::Controller;
use kube::runtime::reflector::ObjectRef;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Context, WatchedRestore, error_policy, reconcile};
use crate::api::ZooKeeperRestore;
use crate::model::names::RESTORE_LABEL;
use crate::model::observed::Kind;
use crate::operator::kit::controller::{self, watching};
use crate::operator::kit::namespaces::{all_of, listed};
use crate::operator::kit::watched::{Watched, of_labels};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Manages the restores of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    tokio::select! {
        () = allowed(namespace, selector, &context) => {}
        () = controller::stop_signal() => return,
    }
    let client = &context.kit.client;
    let controller = Controller::new(all_of(client, namespace), of_labels(selector));
    let controller = watching(controller, client, namespace, &Kind::OF_RESTORE, |_| whose);
    controller::run(controller, reconcile, error_policy, Context::forget, context).await;
}

/// Returns once restores can be listed. After an upgrade without the new definitions and rights, ensembles work all the same.
async fn allowed(namespace: Option<&String>, selector: &str, context: &Context) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = listed::<ZooKeeperRestore>(&context.kit.client, "restores", namespace, selector).await {
        let (error, again_s) = (error.with_cause(), pause.as_secs());
        warn!(
            namespace,
            error, again_s, "restores cannot be managed: are their definition and rights installed? Asking again"
        );
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    info!(namespace, "managing restores");
}

#[expect(clippy::needless_pass_by_value, reason = "the watch's signature")]
fn whose(object: Watched<DynamicObject>) -> Option<ObjectRef<WatchedRestore>> {
    let restore = object.labels().get(RESTORE_LABEL)?;
    Some(ObjectRef::new(restore).within(&object.namespace()?))
}
