//! What triggers a pass: a change of an ensemble, of its objects, or of the nodes of its members.

use std::sync::Arc;

use kube::core::DynamicObject;
use kube::runtime::Controller;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource as _, ResourceExt as _};

use super::{Context, WatchedEnsemble, surroundings};
use crate::model::Names;
use crate::model::names::ENSEMBLE_LABEL;
use crate::model::observed::Kind;
use crate::operator::kit::controller::watching;
use crate::operator::kit::managed;
use crate::operator::kit::namespaces::all_of;
use crate::operator::kit::watched::{Watched, of_labels};

/// Manages the ensembles of a namespace, or of all, until the operator is stopped.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    let client = &context.kit.client;
    let nodes = surroundings::changes(client).await;
    let controller = Controller::new(all_of(client, namespace), of_labels(selector));
    let controller = watching(controller, client, namespace, &Kind::OF_ENSEMBLE, |kind| noting(kind, &context));
    managed::run(controller.reconcile_all_on(nodes), context).await;
}

/// Which ensemble an object belongs to. Once a member's object was found, it is looked for by name.
fn noting(
    kind: Kind,
    context: &Arc<Context>,
) -> impl Fn(Watched<DynamicObject>) -> Option<ObjectRef<WatchedEnsemble>> + Send + Sync + 'static {
    let context = Arc::clone(context);
    move |object| {
        let names = Names {
            ensemble: object.labels().get(ENSEMBLE_LABEL)?.clone(),
            namespace: object.namespace()?,
            domain: context.cluster_domain.clone(),
        };
        let news = context.memory(&names, |memory| {
            memory.hints.heard(&names, kind, &object.name_any());
            // One of another name is somebody else's, whatever its labels say.
            let ours = || object.name_any() == names.prune();
            kind != Kind::CronJob || (ours() && memory.hints.heard_of_cron_job(object.uid(), object.meta().generation))
        });
        news.then(|| ObjectRef::new(&names.ensemble).within(&names.namespace))
    }
}
