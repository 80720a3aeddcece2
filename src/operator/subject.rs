//! The ensemble that a restore or a backup is about.

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::Value;

use super::kit::read::{self, Fresh};
use super::kit::timeout::ApiError;
use crate::api::{ArchiveSpec, ZooKeeperEnsemble};
use crate::model::Desired;
use crate::model::archive::{ArchiveMounts, ArchivePlace};
use crate::model::parent::At;
use crate::render::trial::TrialServer;

/// What is needed of the ensemble. By default it is there and cannot be read.
#[derive(Clone, Debug, Default)]
pub struct EnsembleFacts {
    /// Whether it can be read.
    pub readable: bool,
    /// Whether its spec is one that the operator follows.
    pub valid: bool,
    /// Its identity, once it was born, and if it can be read.
    pub identity: Option<String>,
    /// Whether a quorum serves.
    pub quorum: bool,
    /// Where its archive is, and what pods mount to reach it.
    pub archive: Option<(ArchivePlace, ArchiveMounts)>,
    /// The template of its pods.
    pub template: Value,
    /// The account of its pods.
    pub account: String,
    /// The Secrets with which its images are pulled.
    pub pull_secrets: Vec<String>,
    /// How many members are wanted.
    pub members: u32,
    /// Their server.
    pub server: Option<TrialServer>,
}

/// Why nothing can be done yet: a reason, and a sentence.
pub struct Obstacle(pub &'static str, pub String);

/// An ensemble that was born.
pub struct Born<'a> {
    /// What is known of it.
    pub facts: &'a EnsembleFacts,
    /// Its identity.
    pub identity: String,
}

/// The ensemble of that name, if it was born.
pub fn born<'a>(name: &str, found: Option<&'a EnsembleFacts>) -> Result<Born<'a>, Obstacle> {
    let Some(facts) = found else {
        let text = format!(
            "there is no ZooKeeperEnsemble {name} in this namespace: is that its name? If it is, create it; if not, delete this and create another one"
        );
        return Err(Obstacle("EnsembleNotFound", text));
    };
    let identity = facts.identity.clone().ok_or_else(|| {
        Obstacle("NotBorn", format!("ensemble {name} was not born yet, or cannot be read: its conditions say why"))
    })?;
    // Where its pods run, as whom, and how many they are, only a valid spec tells.
    if !facts.valid {
        let text = format!("the spec of ensemble {name} is refused: its conditions say why");
        return Err(Obstacle("EnsembleInvalid", text));
    }
    Ok(Born { facts, identity })
}

/// Why a point fails whose time is still to come.
pub const NOT_YET: &str = "NotYet";
/// So far apart may clocks be.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Whether a point can have been: an archive would be waited for until it has it.
pub fn has_been(at: Option<&str>, now: Timestamp) -> Result<(), Obstacle> {
    match at.and_then(|at| at.parse().ok()) {
        Some(At::Time(time)) if time > now.saturating_add(SKEW).unwrap_or(Timestamp::MAX) => {
            let text = format!(
                "at: {time} is still to come, by the operator's clock, which says {now:.0}: create another one, for a time that has been"
            );
            Err(Obstacle(NOT_YET, text))
        }
        Some(At::Time(_) | At::Zxid(_)) | None => Ok(()),
    }
}

/// Where an ensemble archives to.
pub fn archive<'a>(name: &str, facts: &'a EnsembleFacts) -> Result<&'a (ArchivePlace, ArchiveMounts), Obstacle> {
    let text = || {
        format!(
            "ensemble {name} has no spec.archive: give it one, or create a ZooKeeperBackup with a store of its own (spec.to)"
        )
    };
    facts.archive.as_ref().ok_or_else(|| Obstacle("NoArchive", text()))
}

/// What is said where an ensemble needs a quorum, and has none.
pub fn quorum(name: &str, facts: &EnsembleFacts) -> Result<(), Obstacle> {
    let text = || format!("no quorum of ensemble {name} serves: its conditions say why");
    facts.quorum.then_some(()).ok_or_else(|| Obstacle("NoQuorum", text()))
}

/// Reads it; `None` if there is none of that name.
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<EnsembleFacts>, ApiError> {
    let found = read::fresh::<ZooKeeperEnsemble>(client, ("ensemble", namespace, name), &[]).await?;
    let ensemble = match found {
        Fresh::Whole(ensemble) => ensemble,
        Fresh::Gone => return Ok(None),
        Fresh::Undecodable(..) => return Ok(Some(EnsembleFacts::default())),
    };
    let status = ensemble.status.clone().unwrap_or_default();
    let quorum = status.conditions.iter().find(|condition| condition.type_ == "QuorumAvailable");
    let archive = ensemble.spec.archive.as_ref().and_then(ArchiveSpec::store);
    let desired = Desired::from_spec(&ensemble.spec).ok();
    let template = |desired: &Desired| desired.pod_template["spec"]["serviceAccountName"].as_str().map(str::to_owned);
    Ok(Some(EnsembleFacts {
        readable: true,
        valid: desired.is_some(),
        identity: status.identity,
        quorum: quorum.is_some_and(|condition| condition.status == "True"),
        archive: archive.map(|store| (store.place(), store.mounts())),
        account: desired.as_ref().and_then(template).unwrap_or_else(|| name.to_owned()),
        template: desired.as_ref().map(|desired| desired.pod_template.clone()).unwrap_or_default(),
        server: desired.as_ref().map(|desired| TrialServer {
            image: desired.image.clone(),
            pull_policy: desired.pull_policy,
            resources: desired.resources.clone(),
            heap_mib: desired.heap.largest_mib,
        }),
        members: desired.as_ref().map_or(0, |desired| desired.replicas),
        pull_secrets: desired.map(|desired| desired.pull_secrets).unwrap_or_default(),
    }))
}
