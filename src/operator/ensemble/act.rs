//! Carries out one step. There is nothing left to decide: every write bears what it was decided on, and an outcome that
//! is not known is left to the next pass, which reads again.

use std::time::Instant;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::{info, warn};

use super::Context;
use super::objects::objects;
use super::observe::{Fresh, fresh, observe};
use super::passwords::password_in;
use crate::model::observed::Kind;
use crate::model::{Change, ConfigVersion, Names, Observation, Place, ServerId};
use crate::operator::kit::MANAGER;
use crate::operator::kit::kept::shortened;
use crate::operator::kit::timeout::{ApiError, within};
use crate::plan::{
    Deed, Guard, Resize, Step, Target, Write, came_out_otherwise, denied, no_password, places, plan, refusal,
};
use crate::render::Rendered;
use crate::zk::ensemble::{Ensemble, EnsembleError, Outcome};

/// Of what is made up in a Secret.
const GENERATED_LENGTH: usize = 40;

/// Why a step was not carried out.
#[derive(Debug, Error)]
pub enum ActError {
    /// The API server did not do it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The API server did not make all the writes of a step; those that it would make are made.
    #[error("{}", .0.iter().map(ApiError::told).collect::<Vec<_>>().join("; "))]
    Writes(Vec<ApiError>),
    /// ZooKeeper did not do it.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// It was not done because it would have been wrong by now.
    #[error("{0}")]
    Outdated(String),
    /// The Secret has no password.
    #[error("{}", no_password(.0))]
    NoPassword(String),
}

impl ActError {
    /// A word and a sentence, when only a change from outside can mend it.
    pub fn refusal(&self, seen: &Observation) -> Option<(&'static str, String)> {
        let refused = |errors: &[ApiError]| {
            let told: Vec<String> =
                errors.iter().filter_map(|error| Some(refusal(error.what(), error.refusal()?))).collect();
            (!told.is_empty()).then(|| ("ApplyRefused", told.join("; ")))
        };
        match self {
            Self::Api(error) => refused(std::slice::from_ref(error)),
            Self::Writes(errors) => refused(errors),
            Self::Ensemble(EnsembleError::Denied) => Some(("SuperUserDenied", denied(seen))),
            Self::Ensemble(EnsembleError::ReconfigDisabled) | Self::NoPassword(_) => {
                Some(("StepNotTaken", self.to_string()))
            }
            Self::Ensemble(_) | Self::Outdated(_) => None,
        }
    }

    /// Whether something changed meanwhile. The next pass decides afresh, and nobody needs to hear of it.
    pub fn is_outdated(&self) -> bool {
        match self {
            Self::Outdated(_) => true,
            Self::Api(error) => error.is_outdated(),
            Self::Writes(errors) => errors.iter().all(ApiError::is_outdated),
            Self::Ensemble(_) | Self::NoPassword(_) => false,
        }
    }
}

/// How far a step was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    /// All of it was done.
    Whole,
    /// The rest is left to a later pass.
    Partly,
}

/// Carries out the step, one deed after the other. Whether it worked shows in the next observation; what came to nothing
/// is noted for it.
pub async fn act(context: &Context, seen: &Observation, step: &Step) -> Result<Acted, ActError> {
    let result = carry_out(context, seen, step).await;
    let denied = matches!(result, Err(ActError::Ensemble(EnsembleError::Denied)));
    if denied || (result.is_ok() && matches!(step, Step::Join { .. } | Step::Leave { .. })) {
        context.hindered.super_user(&seen.names, denied, Instant::now());
    }
    match step {
        Step::Guard(guard) => guarded(context, seen, guard, result),
        _ => result,
    }
}

/// Rights that cannot be taken away keep nobody from anything else, so that this is no failure of the pass: it is noted, and
/// tried again after pauses of its own.
fn guarded(
    context: &Context,
    seen: &Observation,
    guard: &Guard,
    result: Result<Acted, ActError>,
) -> Result<Acted, ActError> {
    let words = match &result {
        Ok(_) => None,
        Err(ActError::Ensemble(EnsembleError::Denied)) => Some(denied(seen)),
        Err(error @ (ActError::Ensemble(_) | ActError::NoPassword(_))) => Some(error.to_string()),
        Err(_) => return result,
    };
    context.hindered.guard(&seen.names, &guard.mark, words.as_deref(), Instant::now());
    if let Some(words) = words {
        warn!(words, "what anybody could write below /zookeeper is not the super user's yet");
        return Ok(Acted::Partly);
    }
    result
}

async fn carry_out(context: &Context, seen: &Observation, step: &Step) -> Result<Acted, ActError> {
    let names = &seen.names;
    let (mut session, mut failed) = (None, Vec::new());
    for deed in step.deeds() {
        match &deed {
            Deed::LookAgain => Box::pin(look_again(context, names, step)).await?,
            // Pods are made only behind everything that they need.
            Deed::Write(write) if !failed.is_empty() && write.object().key.kind == Kind::StatefulSet => {}
            Deed::Write(write) => match apply(context, seen, write).await {
                // One that the API server does not make is no reason to leave the others.
                Err(ActError::Api(error)) if error.is_answer() => failed.push(error),
                result => result?,
            },
            Deed::Delete(target) => delete(context, names, target).await?,
            Deed::Resize(resize) => resize_to(context, names, resize).await?,
            Deed::Confirm { expected, via } => {
                // Nothing else stands before it in a step: the session is as young as the question.
                let ensemble = connected(&mut session, context, seen, via).await?;
                expected.met(&ensemble.confirmed_membership().await?, names).map_err(ActError::Outdated)?;
            }
            Deed::Reconfig { change, from, via } => {
                reconfigure(connected(&mut session, context, seen, via).await?, change, *from).await?;
            }
            Deed::Guard(guard) => {
                let ensemble = connected(&mut session, context, seen, &guard.via).await?;
                let mut walk = context.walks.take(names, &guard.mark);
                let Some(walked) = ensemble.guard(&guard.root, &mut walk).await? else {
                    context.walks.keep(names, &guard.mark, walk);
                    return Ok(Acted::Partly);
                };
                let (znodes, changed, mended) = (walked.looked, walked.changed, walked.mended);
                info!(znodes, changed, mended, "what anybody could write below /zookeeper is the super user's");
            }
        }
    }
    if failed.is_empty() { Ok(Acted::Whole) } else { Err(ActError::Writes(failed)) }
}

/// Comparing is no choice: what differs is left to the next pass.
async fn look_again(context: &Context, names: &Names, step: &Step) -> Result<(), ActError> {
    let Fresh::Whole(ensemble) = fresh(context, &names.namespace, &names.ensemble).await? else {
        return Err(ActError::Outdated("the ensemble is gone, or cannot be read any more".to_owned()));
    };
    let again = plan(&observe(context, &ensemble).await?).step;
    if again == *step {
        return Ok(());
    }
    let (before, now) = (step.word(), again.word());
    Err(ActError::Outdated(format!("a second look comes to another step ({now}) than the first ({before})")))
}

async fn apply(context: &Context, seen: &Observation, write: &Write) -> Result<(), ActError> {
    let names = &seen.names;
    match write {
        Write::Apply { object, uid } => {
            let meant = places(seen, write);
            match uid {
                None => put(context, names, object, meant).await,
                Some(uid) => {
                    let mut json = object.json.clone();
                    // The API server refuses to touch another object that took the name meanwhile.
                    json["metadata"]["uid"] = json!(uid);
                    patch(context, names, (object, meant), &json).await
                }
            }
        }
        Write::CreateSecret { object, key } => {
            create_secret(context, names, object, key).await?;
            context.hindered.written(names, &object.key, places(seen, write), Vec::new(), Instant::now());
            Ok(())
        }
    }
}

/// What was not there is applied without force: an object of somebody else that took the name since the look holds its
/// fields, and the API server answers with a conflict.
async fn put(context: &Context, names: &Names, object: &Rendered, meant: Vec<Place>) -> Result<(), ActError> {
    send(context, names, (object, meant), &object.json, PatchParams::apply(MANAGER)).await
}

async fn resize_to(context: &Context, names: &Names, resize: &Resize) -> Result<(), ActError> {
    let mut json = resize.object.json.clone();
    json["metadata"]["uid"] = json!(resize.uid);
    json["metadata"]["resourceVersion"] = json!(resize.resource_version);
    patch(context, names, (&resize.object, Vec::new()), &json).await
}

async fn patch(
    context: &Context,
    names: &Names,
    object: (&Rendered, Vec<Place>),
    json: &Value,
) -> Result<(), ActError> {
    send(context, names, object, json, PatchParams::apply(MANAGER).force()).await
}

async fn send(
    context: &Context,
    names: &Names,
    (object, meant): (&Rendered, Vec<Place>),
    json: &Value,
    params: PatchParams,
) -> Result<(), ActError> {
    let api = objects(context, object.key.kind, &names.namespace);
    let what = format!("apply {} {}", object.key.kind.as_str(), object.key.name);
    let answer = within(what, api.patch(&object.key.name, &params, &Patch::Apply(json))).await;
    let answer = answer.inspect_err(|error| note(context, names, object, error))?;
    let otherwise = came_out_otherwise(&serde_json::to_value(&answer).unwrap_or_default(), object);
    let short = |places: Vec<Place>| places.into_iter().map(shortened).collect();
    context.hindered.written(names, &object.key, short(meant), short(otherwise), Instant::now());
    info!(kind = object.key.kind.as_str(), object = object.key.name, "applied");
    Ok(())
}

/// Remembers what was refused, so that it does not stand in the way of everything else.
fn note(context: &Context, names: &Names, object: &Rendered, error: &ApiError) {
    let (key, seal, now) = (&object.key, object.seal(), Instant::now());
    match (error.refusal(), error.failure()) {
        (Some(words), _) => context.hindered.refused(names, key, &seal, words, now),
        (None, Some(words)) => context.hindered.failed(names, key, &seal, words, now),
        (None, None) => {}
    }
}

/// Created, never applied: if another one is there already, this fails and the next pass sees it.
async fn create_secret(context: &Context, names: &Names, object: &Rendered, key: &str) -> Result<(), ActError> {
    let mut json = object.json.clone();
    json["stringData"] = json!({key: Alphanumeric.sample_string(&mut rand::rng(), GENERATED_LENGTH)});
    let secret: Secret = serde_json::from_value(json).map_err(|error| ActError::Outdated(error.to_string()))?;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &names.namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let created = within(format!("apply Secret {}", object.key.name), api.create(&params, &secret)).await;
    created.inspect_err(|error| note(context, names, object, error))?;
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
    let deleted = within(what, api.delete(&target.key.name, &params)).await;
    deleted.inspect_err(|error| {
        if let Some(words) = error.refusal() {
            context.hindered.refused(names, &target.key, &target.uid, words, Instant::now());
        }
    })?;
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
    seen: &Observation,
    via: &[ServerId],
) -> Result<&'a Ensemble, ActError> {
    match session {
        Some(ensemble) => Ok(ensemble),
        None => Ok(session.insert(connect(context, seen, via).await?)),
    }
}

async fn connect(context: &Context, seen: &Observation, via: &[ServerId]) -> Result<Ensemble, ActError> {
    let name = seen.names.super_secret();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &seen.names.namespace);
    let secret = within(format!("read Secret {name}"), api.get(&name)).await?;
    let password = password_in(secret).ok_or(ActError::NoPassword(name))?;
    let addresses: Vec<String> = via.iter().filter_map(|id| seen.address(*id)).map(str::to_owned).collect();
    Ok(Ensemble::connect(&addresses, &password).await?)
}
