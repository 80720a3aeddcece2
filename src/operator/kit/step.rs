//! The steps of kinds that work through Jobs, and of those that make other objects.

use std::time::Instant;

use super::Kit;
use super::memory::{Memories, Memory};
use super::pace::After;
use super::read::to_json;
use super::timeout::ApiError;
use super::write;
use crate::plan::Target;
use crate::render::Rendered;

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// There is nothing to do.
    Rest,
    /// Others have to do something first.
    Wait(&'static str),
    /// Creates an object.
    Create(Box<Rendered>),
    /// Deletes one.
    Delete(Target),
    /// Says in place of its kubelet, which does not, that a Job's pod has failed.
    GiveUp(Target),
}

impl Step {
    /// In one word, for logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Wait(_) => "wait",
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::GiveUp(_) => "give-up",
        }
    }

    /// When to look again after it.
    pub fn after(&self) -> After {
        match self {
            Self::Rest => After::Rest,
            Self::Wait(code) => After::Wait(code),
            Self::Create(_) | Self::Delete(_) | Self::GiveUp(_) => After::Step,
        }
    }
}

/// Carries it out for an object, and notes a refusal.
pub async fn carry_out(
    kit: &Kit,
    memories: &Memories<Memory>,
    (namespace, name): (&str, &str),
    step: &Step,
) -> Result<(), ApiError> {
    match step {
        Step::Rest | Step::Wait(_) => Ok(()),
        Step::Create(object) => {
            let answer = write::create(&kit.client, namespace, &object.key, to_json(&object.json)).await;
            if let Err(error) = &answer {
                memories.with(namespace, name, |memory| {
                    memory.notes.answered(object, Vec::new(), Err(error), Instant::now());
                });
            }
            answer
        }
        Step::Delete(target) => write::delete(&kit.client, namespace, target).await,
        Step::GiveUp(pod) => write::failed(&kit.client, namespace, pod).await,
    }
}
