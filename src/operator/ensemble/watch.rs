//! What brings about a pass: a change of an ensemble, of what is made for it, and of the nodes that its members are on.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::Controller;
use kube::runtime::reflector::ObjectRef;

use super::{Context, Guarded, error_policy, reconcile, surroundings};
use crate::model::Names;
use crate::model::names::ENSEMBLE_LABEL;
use crate::model::observed::Kind;
use crate::operator::kit::controller::{self, watching};
use crate::operator::kit::namespaces::all_of;
use crate::operator::kit::watched::{Watched, of_labels};

/// Looks after the ensembles of a namespace, or of all, until the operator is told to stop.
pub async fn look_after(namespace: Option<&String>, selector: &str, context: Arc<Context>) {
    let client = &context.kit.client;
    let nodes = surroundings::changes(client).await;
    let controller = Controller::new(all_of(client, namespace), of_labels(selector));
    let controller = watching(controller, client, namespace, &Kind::ALL, |kind| noting(kind, &context));
    controller::run(controller.reconcile_all_on(nodes), reconcile, error_policy, Context::forget, context).await;
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
        context.memory(&names, |memory| memory.hints.heard(&names, kind, &object.name_any()));
        Some(ObjectRef::new(&names.ensemble).within(&names.namespace))
    }
}
