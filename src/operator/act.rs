//! Carries out one step. There is nothing left to decide: every write bears what it was decided on, and an outcome that
//! is not known is left to the next pass, which reads again.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::{info, warn};

use super::objects::objects;
use super::observe::{fresh, observe};
use super::timeout::{ApiError, within};
use super::{Context, MANAGER};
use crate::model::{Change, ConfigVersion, Names};
use crate::plan::{DENIED, Deed, Resize, Step, Target, Write, plan};
use crate::render::Rendered;
use crate::zk::ensemble::{Ensemble, EnsembleError, Outcome, Password};

/// Key of the super user's password in its Secret.
const PASSWORD_KEY: &str = "password";
const PASSWORD_LENGTH: usize = 40;

/// Why a step was not carried out.
#[derive(Debug, Error)]
pub enum ActError {
    /// The API server did not do it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// ZooKeeper did not do it.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// It was not done because it would have been wrong by now.
    #[error("{0}")]
    Outdated(String),
    /// The Secret has no password.
    #[error(
        "the Secret {0} has no key 'password', or nothing in it: delete it; another is made, and the members are restarted in turn"
    )]
    NoPassword(String),
}

impl ActError {
    /// A word and a sentence, when only a change from outside can mend it.
    pub fn refusal(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Api(api) => api.refusal().map(|said| ("ApplyRefused", format!("{api}: the API server says: {said}"))),
            Self::Ensemble(EnsembleError::Denied) => Some((
                DENIED,
                "the members do not take the operator for the super user: they were started with another password than the Secret holds now, or their configuration keeps digest authentication from it (SASL made mandatory, another digest algorithm, the digest provider switched off; take that back). Members that have to be restarted are restarted first, one at a time, and then it is tried again. Of two voters neither can be spared without leaving the membership: restart one by hand, which costs the quorum until it is back: kubectl annotate pod NAME-0 menagerie.dev/restart=now".to_owned(),
            )),
            Self::Ensemble(EnsembleError::ReconfigDisabled) | Self::NoPassword(_) => Some(("StepNotTaken", self.to_string())),
            Self::Ensemble(_) | Self::Outdated(_) => None,
        }
    }

    /// Whether something changed meanwhile. The next pass decides afresh, and nobody needs to hear of it.
    pub fn is_outdated(&self) -> bool {
        matches!(self, Self::Outdated(_)) || matches!(self, Self::Api(api) if api.is_outdated())
    }
}

/// Carries out the step, one deed after the other. Whether it worked shows in the next observation.
pub async fn act(context: &Context, names: &Names, step: &Step) -> Result<(), ActError> {
    let mut session = None;
    for deed in step.deeds() {
        match &deed {
            Deed::LookAgain => Box::pin(look_again(context, names, step)).await?,
            Deed::Write(write) => apply(context, names, write).await?,
            Deed::Delete(target) => delete(context, names, target).await?,
            Deed::Resize(resize) => resize_to(context, names, resize).await?,
            Deed::Confirm { expected, via } => {
                let ensemble = connected(&mut session, context, names, via).await?;
                expected.met(&ensemble.committed_membership().await?).map_err(ActError::Outdated)?;
            }
            Deed::Reconfig { change, from, via } => {
                reconfigure(connected(&mut session, context, names, via).await?, change, *from).await?;
            }
        }
    }
    Ok(())
}

/// Comparing is no choice: what differs is left to the next pass.
async fn look_again(context: &Context, names: &Names, step: &Step) -> Result<(), ActError> {
    let ensemble = fresh(context, &names.namespace, &names.ensemble).await?;
    let ensemble = ensemble.ok_or_else(|| ActError::Outdated("the ensemble is gone".to_owned()))?;
    let again = plan(&observe(context, &ensemble).await?).step;
    if again == *step {
        return Ok(());
    }
    let (before, now) = (step.word(), again.word());
    Err(ActError::Outdated(format!("a second look comes to another step ({now}) than the first ({before})")))
}

async fn apply(context: &Context, names: &Names, write: &Write) -> Result<(), ActError> {
    match write {
        Write::Apply { object, uid } => {
            let Some(uid) = uid else { return put(context, names, object).await };
            let mut json = object.json.clone();
            // The API server refuses to touch another object that took the name meanwhile.
            json["metadata"]["uid"] = json!(uid);
            patch(context, names, object, &json).await
        }
        Write::CreateSuperSecret(object) => create_super_secret(context, names, object).await,
    }
}

/// What was not there is applied without force: an object of somebody else that took the name since the look holds its
/// fields, and the API server answers with a conflict.
async fn put(context: &Context, names: &Names, object: &Rendered) -> Result<(), ActError> {
    send(context, names, object, &object.json, PatchParams::apply(MANAGER)).await
}

async fn resize_to(context: &Context, names: &Names, resize: &Resize) -> Result<(), ActError> {
    let mut json = resize.object.json.clone();
    json["metadata"]["uid"] = json!(resize.uid);
    json["metadata"]["resourceVersion"] = json!(resize.resource_version);
    patch(context, names, &resize.object, &json).await
}

async fn patch(context: &Context, names: &Names, object: &Rendered, json: &Value) -> Result<(), ActError> {
    send(context, names, object, json, PatchParams::apply(MANAGER).force()).await
}

async fn send(
    context: &Context,
    names: &Names,
    object: &Rendered,
    json: &Value,
    params: PatchParams,
) -> Result<(), ActError> {
    let api = objects(context, object.key.kind, &names.namespace);
    let what = format!("apply {} {}", object.key.kind.as_str(), object.key.name);
    within(what, api.patch(&object.key.name, &params, &Patch::Apply(json))).await?;
    info!(kind = object.key.kind.as_str(), object = object.key.name, "applied");
    Ok(())
}

/// Created, never applied: if another one is there already, this fails and the next pass sees it.
async fn create_super_secret(context: &Context, names: &Names, object: &Rendered) -> Result<(), ActError> {
    let mut json = object.json.clone();
    let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH);
    json["stringData"] = json!({PASSWORD_KEY: password});
    let secret: Secret = serde_json::from_value(json).map_err(|error| ActError::Outdated(error.to_string()))?;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &names.namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    within(format!("create Secret {}", object.key.name), api.create(&params, &secret)).await?;
    info!(kind = "Secret", object = object.key.name, "created");
    Ok(())
}

async fn delete(context: &Context, names: &Names, target: &Target) -> Result<(), ActError> {
    let api = objects(context, target.key.kind, &names.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(target.uid.clone()),
            resource_version: Some(target.resource_version.clone()),
        }),
        ..DeleteParams::default()
    };
    let what = format!("delete {} {}", target.key.kind.as_str(), target.key.name);
    within(what, api.delete(&target.key.name, &params)).await?;
    info!(kind = target.key.kind.as_str(), object = target.key.name, "deleted");
    Ok(())
}

async fn reconfigure(ensemble: &Ensemble, change: &Change, from: ConfigVersion) -> Result<(), ActError> {
    match ensemble.reconfigure(change, from).await? {
        Outcome::Done(membership) => info!(version = %membership.version, ?change, "the membership was changed"),
        Outcome::Unknown(reason) => {
            warn!(%from, ?change, reason, "the answer to reconfig was lost: reading again");
            return Ok(());
        }
        Outcome::Stale => return Err(ActError::Outdated(format!("the membership is not at {from} any more"))),
        Outcome::Busy => return Err(ActError::Outdated("another change of the membership is under way".to_owned())),
        Outcome::NoQuorum => {
            return Err(ActError::Outdated("a majority of the new membership is not synced".to_owned()));
        }
    }
    let (id, wanted) = match change {
        Change::Join(id, _) => (*id, true),
        Change::Leave(id) => (*id, false),
    };
    match ensemble.committed_membership().await {
        Ok(confirmed) if confirmed.contains(id) == wanted => Ok(()),
        Ok(_) => Err(ActError::Outdated(format!("the change of member {id} did not last"))),
        // A role change closes client connections, this one among them. It was answered: the next pass reads it again.
        Err(error) => {
            info!(%id, %error, "the change was answered; that it lasts is read with the next look");
            Ok(())
        }
    }
}

/// The session of this step: what is read and what is changed behind it go through the same.
async fn connected<'a>(
    session: &'a mut Option<Ensemble>,
    context: &Context,
    names: &Names,
    via: &[String],
) -> Result<&'a Ensemble, ActError> {
    match session {
        Some(ensemble) => Ok(ensemble),
        None => Ok(session.insert(connect(context, names, via).await?)),
    }
}

async fn connect(context: &Context, names: &Names, via: &[String]) -> Result<Ensemble, ActError> {
    let name = names.super_secret();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &names.namespace);
    let secret = within(format!("read Secret {name}"), api.get(&name)).await?;
    let password = secret.data.and_then(|data| String::from_utf8(data.get(PASSWORD_KEY)?.0.clone()).ok());
    let password = password.as_deref().and_then(Password::of).ok_or(ActError::NoPassword(name))?;
    Ok(Ensemble::connect(via, &password).await?)
}
