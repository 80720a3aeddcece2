//! Carries out one step. It decides nothing: every write carries a precondition, and an unknown outcome is left to the
//! next pass, which reads again.

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
use crate::model::{Change, FieldDifference, Names, Observation, ServerId};
use crate::operator::kit::pass::chain;
use crate::operator::kit::read::Fresh;
use crate::operator::kit::timeout::{ApiError, within};
use crate::operator::kit::write::{self, Fence};
use crate::plan::{
    Guard, Operation, Prove, Resize, Step, Target, Write, denied, differences, no_password, plan, refusal,
};
use crate::render::Rendered;
use crate::zk::ensemble::{Ensemble, EnsembleError, ReconfigOutcome};

/// The length of a generated password.
const GENERATED_LENGTH: usize = 40;

/// Why a step was not carried out.
#[derive(Debug, Error)]
pub enum ActError {
    /// The API server did not do it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The API server did not accept all the writes of a step. Those that it accepted are done.
    #[error("{}", .0.iter().map(ApiError::with_cause).collect::<Vec<_>>().join("; "))]
    Writes(Vec<ApiError>),
    /// ZooKeeper did not do it.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// It was not done because it would be wrong by now.
    #[error("{0}")]
    Outdated(String),
    /// The Secret has no password.
    #[error("{}", no_password(.0))]
    NoPassword(String),
}

impl ActError {
    /// A reason and a sentence, if only a change by others can help.
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

    /// Whether something has changed. The next pass decides again, and nobody needs to hear of it unless that goes on.
    pub fn is_outdated(&self) -> bool {
        match self {
            Self::Outdated(_) => true,
            Self::Api(error) => error.is_outdated(),
            Self::Writes(errors) => errors.iter().all(ApiError::is_outdated),
            Self::Ensemble(_) | Self::NoPassword(_) => false,
        }
    }
}

/// A reason and a sentence for a step that came to nothing each time it was tried.
pub fn in_vain(step: &Step, words: &str) -> (&'static str, String) {
    ("StepNotTaken", format!("a step ({}) comes to nothing each time it is tried: {words}", step.word()))
}

/// Why a step came to nothing this time, whatever the kind of its failure. A lost answer is one as well: a change that was made shows
/// in the next look, and another step follows. Of a change that is called bad, the leader's pod and the command are told.
pub fn came_to_nothing(outcome: &Result<Acted, ActError>, namespace: &str, leader: Option<&str>) -> Option<String> {
    match outcome {
        Ok(Acted::Whole | Acted::Partly) => None,
        Ok(Acted::Unanswered(reason)) => Some(format!("the answer to reconfig was lost ({reason})")),
        Err(error @ ActError::Ensemble(EnsembleError::BadArguments(_))) => {
            let command = |pod| format!(": kubectl -n {namespace} annotate pod {pod} menagerie.dev/restart=now");
            Some(chain(error) + &leader.map(command).unwrap_or_default())
        }
        Err(error) => Some(chain(error)),
    }
}

/// How far a step was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acted {
    /// All of it was done.
    Whole,
    /// The rest is left to a later pass.
    Partly,
    /// It may have been done: the answer was lost, and why.
    Unanswered(String),
}

/// Carries out the step, one operation after the other. The next observation shows whether it worked. What failed is
/// noted for it.
pub async fn act(context: &Context, seen: &Observation, step: &Step) -> Result<Acted, ActError> {
    let result = carry_out(context, seen, step).await;
    if let Step::Prove(prove) = step {
        return Ok(proved(context, seen, prove, result));
    }
    let denied = matches!(result, Err(ActError::Ensemble(EnsembleError::Denied)));
    if denied || (result.is_ok() && matches!(step, Step::Join { .. } | Step::Leave { .. })) {
        context.memory(&seen.names, |memory| memory.notes.super_user(denied, Instant::now()));
    }
    match step {
        Step::Guard(guard) => guarded(context, seen, guard, result),
        _ => result,
    }
}

/// Rights that cannot be taken away prevent nothing else, so this does not fail the pass: it is noted, and retried with
/// pauses of its own.
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
        warn!(words, "anybody can still write below /zookeeper");
        return Ok(Acted::Partly);
    }
    result
}

/// A write for the archive's sake is needed by nothing else, so that its failure fails no pass: the note says when it may be tried again,
/// and the condition what is not archived.
fn proved(context: &Context, seen: &Observation, prove: &Prove, result: Result<Acted, ActError>) -> Acted {
    context.memory(&seen.names, |memory| memory.notes.proved(&prove.held, Instant::now()));
    result.unwrap_or_else(|error| {
        warn!(error = chain(&error), "no write could show the members which transactions are committed");
        Acted::Partly
    })
}

async fn carry_out(context: &Context, seen: &Observation, step: &Step) -> Result<Acted, ActError> {
    let names = &seen.names;
    let (mut session, mut failed) = (None, Vec::new());
    // Steps name members. The second observation says where they are: by then another ensemble's pod may have the
    // address.
    let mut again = None;
    for operation in step.operations() {
        let seen = again.as_ref().unwrap_or(seen);
        match &operation {
            Operation::LookAgain => again = Some(Box::pin(look_again(context, names, step)).await?),
            // Pods are created only after everything that they need.
            Operation::Write(operation) if !failed.is_empty() && operation.object().key.kind == Kind::StatefulSet => {}
            Operation::Write(operation) => match write(context, seen, operation).await {
                // A write that the API server does not accept is no reason to skip the others.
                Err(ActError::Api(error)) if error.is_answer() => failed.push(error),
                result => result?,
            },
            Operation::Delete(target) => delete(context, names, target).await?,
            Operation::Resize(resize) => resize_to(context, names, resize).await?,
            Operation::Confirm { expected, via } => {
                // Nothing comes before it in a step, so the session is as new as the question.
                let ensemble = connected(&mut session, context, seen, via).await?;
                expected.met(&ensemble.confirmed_membership().await?, names).map_err(ActError::Outdated)?;
            }
            Operation::Reconfig { change, via } => {
                let ensemble = connected(&mut session, context, seen, via).await?;
                if let Acted::Unanswered(reason) = reconfigure(ensemble, change).await? {
                    return Ok(Acted::Unanswered(reason));
                }
            }
            Operation::Guard(guard) => {
                let ensemble = connected(&mut session, context, seen, &guard.via).await?;
                let mut walk = context.memory(names, |memory| memory.walk_on(&guard.mark));
                let Some(walked) = ensemble.guard(&guard.root, &mut walk).await? else {
                    context.memory(names, |memory| memory.walk = Some((guard.mark.clone(), walk)));
                    return Ok(Acted::Partly);
                };
                let (znodes, changed, mended) = (walked.looked, walked.changed, walked.mended);
                info!(znodes, changed, mended, "only the super user can write below /zookeeper now");
            }
        }
    }
    if failed.is_empty() { Ok(Acted::Whole) } else { Err(ActError::Writes(failed)) }
}

/// The second observation, if it leads to the same step. This comparison decides nothing: a different step is left to
/// the next pass.
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
    Err(ActError::Outdated(format!("a second look led to another step ({now}) than the first ({before})")))
}

async fn write(context: &Context, seen: &Observation, write: &Write) -> Result<(), ActError> {
    let (client, namespace) = (&context.kit.client, &seen.names.namespace);
    let answer = match write {
        Write::Apply { object, uid } => {
            let fence = uid.as_deref().map_or(Fence::Absent, Fence::Uid);
            write::apply(client, namespace, object, fence).await
        }
        // The answer for a Secret is not looked at: it contains the generated value.
        Write::CreateSecret { object, key } => {
            let created = write::create(client, namespace, &object.key, made_up(object, key)).await;
            created.map(|()| object.json.clone())
        }
    };
    note(context, &seen.names, write.object(), differences(seen, write), &answer);
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

/// Remembers the outcome of a write, so that a refused one does not block everything else.
fn note(
    context: &Context,
    names: &Names,
    object: &Rendered,
    meant: Vec<FieldDifference>,
    answer: &Result<Value, ApiError>,
) {
    let now = Instant::now();
    context.memory(names, |memory| memory.notes.objects.answered(object, meant, answer.as_ref(), now));
}

/// The Secret as it is created. It is never rendered with its value.
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

async fn reconfigure(ensemble: &Ensemble, change: &Change) -> Result<Acted, ActError> {
    let (from, to) = (change.from.version, &change.to);
    match ensemble.reconfigure(change).await? {
        ReconfigOutcome::Done(membership) => {
            info!(version = %membership.version, id = %change.id, ?to, "the membership was changed");
        }
        ReconfigOutcome::Unknown(reason) => {
            warn!(%from, id = %change.id, ?to, reason, "the answer to reconfig was lost: reading again");
            return Ok(Acted::Unanswered(reason));
        }
        ReconfigOutcome::Stale => return Err(ActError::Outdated(format!("the membership is not at {from} any more"))),
        ReconfigOutcome::Busy => {
            return Err(ActError::Outdated("another change of the membership is under way".to_owned()));
        }
        ReconfigOutcome::NoQuorum => {
            return Err(ActError::Outdated("a majority of the new membership is not synced".to_owned()));
        }
    }
    let id = change.id;
    match ensemble.committed_membership().await {
        Ok(confirmed) if confirmed.contains(id) == change.joins() => Ok(Acted::Whole),
        Ok(_) => Err(ActError::Outdated(format!("the change of member {id} did not last"))),
        // A role change closes client connections, perhaps this one too. The change was answered: the next pass reads
        // it again.
        Err(error) => {
            info!(%id, %error, "the change was answered; the next look shows whether it lasts");
            Ok(Acted::Whole)
        }
    }
}

/// The session of this step: reads and the changes that depend on them go through the same one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::ensemble::hindered::EnsembleNotes;

    #[test]
    fn a_step_that_fails_each_time_is_told_whatever_the_kind_of_its_failure_and_with_its_words() {
        let fails = |error: EnsembleError| Err(ActError::Ensemble(error));
        let call = || EnsembleError::Call { what: "read /zookeeper/config", reason: "server error".to_owned() };
        let connect = || EnsembleError::Connect { hosts: "zk-0".to_owned(), reason: "refused".to_owned() };
        let joining = || EnsembleError::BadArguments("joining server.4=zk-3".to_owned());
        let outcomes: [(Result<Acted, ActError>, &str); 5] = [
            (fails(joining()), "joining server.4=zk-3"),
            (fails(connect()), "failed to connect to zk-0: refused"),
            (fails(call()), "server error"),
            (Err(ActError::Outdated("the membership is at 8 by now".to_owned())), "at 8 by now"),
            (Ok(Acted::Unanswered("no answer within 20 s".to_owned())), "lost (no answer within 20 s)"),
        ];
        for (outcome, words) in &outcomes {
            let mut notes = EnsembleNotes::default();
            let told: Vec<bool> =
                (0..6).map(|_| notes.in_vain(came_to_nothing(outcome, "ns", None).is_some())).collect();
            assert_eq!(told, [false, false, false, false, false, true], "{words}");
            let (reason, message) = in_vain(&Step::Rest, &came_to_nothing(outcome, "ns", Some("zk-2")).unwrap());
            assert!(reason == "StepNotTaken" && message.contains(words), "{words}: {message}");
        }
        for done in [Acted::Whole, Acted::Partly] {
            assert_eq!(came_to_nothing(&Ok(done), "ns", None), None);
        }
    }

    #[test]
    fn of_a_change_that_servers_call_bad_the_restart_that_may_end_it_is_told_with_the_leaders_pod() {
        let bad = || Err(ActError::Ensemble(EnsembleError::BadArguments("leaving 3".to_owned())));
        let told = came_to_nothing(&bad(), "ns", Some("zk-2")).unwrap();
        let command = "a restart of its pod ends it: kubectl -n ns annotate pod zk-2 menagerie.dev/restart=now";
        assert!(told.contains("leaving 3") && told.ends_with(command), "{told}");
        let nobody = came_to_nothing(&bad(), "ns", None).unwrap();
        assert!(nobody.ends_with("a restart of its pod ends it"), "{nobody}");
    }
}
