//! Carries out one step. There is nothing left to decide: every write bears what it was decided on, and an outcome that
//! is not known is left to the next pass, which reads again.

use std::time::Instant;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::{info, warn};

use super::observe::observe;
use super::passwords::password_in;
use super::{Context, fresh};
use crate::model::observed::Kind;
use crate::model::{Change, ConfigVersion, Names, Observation, Place, ServerId};
use crate::operator::kit::read::Fresh;
use crate::operator::kit::timeout::{ApiError, within};
use crate::operator::kit::write::{self, Fence};
use crate::plan::{Guard, Operation, Resize, Step, Target, Write, denied, no_password, places, plan, refusal};
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

/// Carries out the step, one operation after the other. Whether it worked shows in the next observation; what came to nothing
/// is noted for it.
pub async fn act(context: &Context, seen: &Observation, step: &Step) -> Result<Acted, ActError> {
    let result = carry_out(context, seen, step).await;
    let denied = matches!(result, Err(ActError::Ensemble(EnsembleError::Denied)));
    if denied || (result.is_ok() && matches!(step, Step::Join { .. } | Step::Leave { .. })) {
        context.memory(&seen.names, |memory| memory.notes.super_user(denied, Instant::now()));
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
    context.memory(&seen.names, |memory| match &words {
        Some(words) => memory.notes.unguarded(&guard.mark, words, Instant::now()),
        None => memory.notes.guarded(),
    });
    if let Some(words) = words {
        warn!(words, "what anybody could write below /zookeeper is not the super user's yet");
        return Ok(Acted::Partly);
    }
    result
}

async fn carry_out(context: &Context, seen: &Observation, step: &Step) -> Result<Acted, ActError> {
    let names = &seen.names;
    let (mut session, mut failed) = (None, Vec::new());
    // Steps name members. Where these are, the last look says: a pod's address may be another ensemble's by the second one.
    let mut again = None;
    for operation in step.operations() {
        let seen = again.as_ref().unwrap_or(seen);
        match &operation {
            Operation::LookAgain => again = Some(Box::pin(look_again(context, names, step)).await?),
            // Pods are made only behind everything that they need.
            Operation::Write(operation) if !failed.is_empty() && operation.object().key.kind == Kind::StatefulSet => {}
            Operation::Write(operation) => match write(context, seen, operation).await {
                // One that the API server does not make is no reason to leave the others.
                Err(ActError::Api(error)) if error.is_answer() => failed.push(error),
                result => result?,
            },
            Operation::Delete(target) => delete(context, names, target).await?,
            Operation::Resize(resize) => resize_to(context, names, resize).await?,
            Operation::Confirm { expected, via } => {
                // Nothing else stands before it in a step: the session is as young as the question.
                let ensemble = connected(&mut session, context, seen, via).await?;
                expected.met(&ensemble.confirmed_membership().await?, names).map_err(ActError::Outdated)?;
            }
            Operation::Reconfig { change, from, via } => {
                reconfigure(connected(&mut session, context, seen, via).await?, change, *from).await?;
            }
            Operation::Guard(guard) => {
                let ensemble = connected(&mut session, context, seen, &guard.via).await?;
                let mut walk = context.memory(names, |memory| memory.walk_on(&guard.mark));
                let Some(walked) = ensemble.guard(&guard.root, &mut walk).await? else {
                    context.memory(names, |memory| memory.walk = Some((guard.mark.clone(), walk)));
                    return Ok(Acted::Partly);
                };
                let (znodes, changed, mended) = (walked.looked, walked.changed, walked.mended);
                info!(znodes, changed, mended, "what anybody could write below /zookeeper is the super user's");
            }
        }
    }
    if failed.is_empty() { Ok(Acted::Whole) } else { Err(ActError::Writes(failed)) }
}

/// What was seen, where it comes to the same step. Comparing is no choice: what differs is left to the next pass.
async fn look_again(context: &Context, names: &Names, step: &Step) -> Result<Observation, ActError> {
    let Fresh::Whole(ensemble) = fresh(context, &names.namespace, &names.ensemble).await? else {
        return Err(ActError::Outdated("the ensemble is gone, or cannot be read any more".to_owned()));
    };
    let seen = observe(context, &ensemble).await?;
    let again = plan(&seen).step;
    if again == *step {
        return Ok(seen);
    }
    let (before, now) = (step.word(), again.word());
    Err(ActError::Outdated(format!("a second look comes to another step ({now}) than the first ({before})")))
}

async fn write(context: &Context, seen: &Observation, write: &Write) -> Result<(), ActError> {
    let (client, namespace) = (&context.kit.client, &seen.names.namespace);
    let answer = match write {
        Write::Apply { object, uid } => {
            let fence = uid.as_deref().map_or(Fence::Absent, Fence::Uid);
            write::apply(client, namespace, object, fence).await
        }
        // What comes of a Secret is not looked at: it has what was made up in it.
        Write::CreateSecret { object, key } => {
            let created = write::create(client, namespace, &object.key, made_up(object, key)).await;
            created.map(|()| object.json.clone())
        }
    };
    note(context, &seen.names, write.object(), places(seen, write), &answer);
    answer?;
    Ok(())
}

async fn resize_to(context: &Context, names: &Names, resize: &Resize) -> Result<(), ActError> {
    let fence = Fence::Version(&resize.uid, &resize.resource_version);
    let answer = write::apply(&context.kit.client, &names.namespace, &resize.object, fence).await;
    note(context, names, &resize.object, Vec::new(), &answer);
    answer?;
    Ok(())
}

/// Remembers what came of a write, so that one that is refused does not stand in the way of everything else.
fn note(context: &Context, names: &Names, object: &Rendered, meant: Vec<Place>, answer: &Result<Value, ApiError>) {
    let now = Instant::now();
    context.memory(names, |memory| memory.notes.objects.answered(object, meant, answer.as_ref(), now));
}

/// The Secret as it is created, and never rendered.
fn made_up(object: &Rendered, key: &str) -> Value {
    let mut json = object.json.clone();
    json["stringData"] = json!({key: Alphanumeric.sample_string(&mut rand::rng(), GENERATED_LENGTH)});
    json
}

async fn delete(context: &Context, names: &Names, target: &Target) -> Result<(), ActError> {
    let deleted = write::delete(&context.kit.client, &names.namespace, target).await;
    if let Some(words) = deleted.as_ref().err().and_then(ApiError::refusal) {
        let now = Instant::now();
        context.memory(names, |memory| memory.notes.objects.refused(&target.key, &target.uid, words, now));
    }
    Ok(deleted?)
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
    let id = change.id;
    match ensemble.committed_membership().await {
        Ok(confirmed) if confirmed.contains(id) == change.joins() => Ok(()),
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
    let api: Api<Secret> = Api::namespaced(context.kit.client.clone(), &seen.names.namespace);
    let secret = within(format!("read Secret {name}"), api.get(&name)).await?;
    let password = password_in(secret).ok_or(ActError::NoPassword(name))?;
    let addresses: Vec<String> = via.iter().filter_map(|id| seen.address(*id)).map(str::to_owned).collect();
    Ok(Ensemble::connect(&addresses, &password).await?)
}
