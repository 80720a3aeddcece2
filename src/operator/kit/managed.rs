//! A kind of custom resource, as the operator manages it: what is the same in the passes of all kinds, and what each has of its own.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::DynamicObject;
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use serde::de::DeserializeOwned;
use tracing::{Span, error, warn};

use super::Kit;
use super::controller::{self, watching};
use super::namespaces::{all_of, installed};
use super::pace::{Pace, spread};
use super::pass::{PassError, chain, framed};
use super::read::{Fresh, fresh};
use super::status::say_undecodable;
use super::watched::{Watched, labelled, of_labels};
use crate::model::observed::Kind;
use crate::plan::ConditionStatus;

/// The pause after an object that cannot be decoded. The controller does not notice when such an object is deleted: a request for it does.
const UNDECODABLE: Duration = Duration::from_mins(1);

/// What a kind has of its own. It is implemented by what all passes over its objects share.
pub trait Managed: Send + Sync + Sized + 'static {
    /// The custom resource.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static;
    /// Why a step was not carried out.
    type Error: Error + Send + Sync + 'static;
    /// What it is called in logs and requests.
    const WORD: &'static str;
    /// The annotations by which people ask for something.
    const ASKED_BY: &'static [&'static str] = &[];
    /// What is said of an object that cannot be decoded; its other conditions are not touched.
    const OF_UNDECODABLE: &'static [(&'static str, ConditionStatus)];

    /// What it shares with other kinds.
    fn kit(&self) -> &Kit;

    /// In what its log lines stand. A field's name is fixed where it is written, so each kind writes its own.
    fn span(namespace: &str, name: &str, generation: Option<i64>) -> Span;

    /// How soon an object is looked at again.
    fn pace(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Pace) -> Duration) -> Duration;

    /// One pass over an object, as it is now: observe, plan, act, report.
    fn pass(&self, object: &Self::Object) -> impl Future<Output = Result<Action, PassError<Self::Error>>> + Send;

    /// Whether a step was not carried out because something had changed since it was decided.
    fn is_outdated(error: &Self::Error) -> bool;

    /// What is remembered of an object that is gone, or no longer selected, goes.
    fn forget(&self, namespace: &str, name: &str);

    /// An object cannot be decoded.
    fn undecodable(&self, _namespace: &str, _name: &str, _object: &DynamicObject) {}

    /// A pass over an object that is gone, or being deleted.
    fn gone(&self, namespace: &str, name: &str) -> impl Future<Output = Result<Action, PassError<Self::Error>>> + Send {
        self.forget(namespace, name);
        async { Ok(Action::await_change()) }
    }
}

/// Manages the objects of a kind in a namespace, or in all, until the operator is stopped. What belongs to one is of these `kinds` and
/// has its name in that label. Where the kind is not installed, it waits until it is.
pub async fn look_after<C: Managed>(
    namespace: Option<&String>,
    selector: &str,
    (kinds, label): (&[Kind], &'static str),
    context: Arc<C>,
) {
    let client = &context.kit().client;
    let many = format!("{}s", C::WORD);
    tokio::select! {
        () = installed::<C::Object>(client, &many, namespace, selector) => {}
        () = controller::stop_signal() => return,
    }
    let controller = Controller::new(all_of(client, namespace), of_labels(selector));
    let controller = watching(controller, client, namespace, kinds, |_| labelled(label));
    run(controller, context).await;
}

/// Runs the controller of a kind until the operator is stopped.
pub async fn run<C: Managed>(controller: Controller<Watched<C::Object>>, context: Arc<C>) {
    let forget = |context: &C, namespace: &str, name: &str| context.forget(namespace, name);
    controller::run(controller, reconcile::<C>, error_policy::<C>, forget, context).await;
}

fn key<C: Managed>(object: &Watched<C::Object>) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

async fn reconcile<C: Managed>(
    object: Arc<Watched<C::Object>>,
    context: Arc<C>,
) -> Result<Action, PassError<C::Error>> {
    let (namespace, name) = key::<C>(&object);
    once(&*context, &namespace, &name, object.meta().generation).await
}

/// One pass over the object of that name, whatever there is of it.
pub(super) async fn once<C: Managed>(
    context: &C,
    namespace: &str,
    name: &str,
    generation: Option<i64>,
) -> Result<Action, PassError<C::Error>> {
    let span = C::span(namespace, name, generation);
    framed(&context.kit().metrics, span, pass(context, namespace, name)).await
}

async fn pass<C: Managed>(context: &C, namespace: &str, name: &str) -> Result<Action, PassError<C::Error>> {
    let client = &context.kit().client;
    match fresh::<C::Object>(client, (C::WORD, namespace, name), C::ASKED_BY).await? {
        Fresh::Whole(object) => context.pass(&object).await,
        Fresh::Undecodable(object, error) => {
            warn!(error, "the object cannot be decoded: it is left alone until it is corrected");
            context.undecodable(namespace, name, &object);
            say_undecodable::<C::Object>(client, &object, &error, C::OF_UNDECODABLE).await?;
            Ok(Action::requeue(UNDECODABLE))
        }
        Fresh::Gone => context.gone(namespace, name).await,
    }
}

/// What to do after a pass that failed.
#[expect(clippy::needless_pass_by_value, reason = "the controller's signature")]
fn error_policy<C: Managed>(object: Arc<Watched<C::Object>>, failed: &PassError<C::Error>, context: Arc<C>) -> Action {
    let (namespace, name) = key::<C>(&object);
    let delay = spread(context.pace(&namespace, &name, Pace::after_failure));
    let (retry_ms, error) = (delay.as_millis(), chain(failed));
    let outdated = match failed {
        PassError::Api(api) => api.is_outdated(),
        PassError::Act(act) => C::is_outdated(act),
        PassError::Panic(_) => false,
    };
    C::span(&namespace, &name, object.meta().generation).in_scope(|| {
        if outdated {
            warn!(retry_ms, error, "outdated, looking again");
        } else {
            error!(retry_ms, error, "the pass failed");
        }
    });
    Action::requeue(delay)
}
