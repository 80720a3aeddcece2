//! Reads everything that a decision about a restore needs, and decides nothing.

use std::time::Instant;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, ObjectList};
use serde_json::Value;

use super::Context;
use super::facts::{EnsembleFacts, JobFacts, Outcome, OwnJob, PodFacts, Seen};
use crate::api::{RestorePhase, ZooKeeperEnsemble, ZooKeeperRestore};
use crate::model::archive::ArchivePlace;
use crate::model::names::RESTORE_LABEL;
use crate::model::observed::{Kind, ObjectKey};
use crate::model::report::Report;
use crate::model::words::{QUOTE, cut, held};
use crate::model::{Desired, Hindrance, Live, Names};
use crate::operator::kit::read::{self, Fresh, Owner, PAGE, pages, whole};
use crate::operator::kit::timeout::ApiError;
use crate::plan::Target;
use crate::render::restore::{CONTAINER, apply_name, plan_name};

/// The most of a pod's last words.
const WORDS: usize = 512;
/// In seconds: after that a pod of a Job would be there.
const YOUNG: i64 = 60;

/// Everything about one restore.
pub async fn observe(context: &Context, restore: &ZooKeeperRestore) -> Result<Seen, ApiError> {
    let (namespace, name) = (restore.namespace().unwrap_or_default(), restore.name_any());
    let uid = restore.uid().unwrap_or_default();
    let reader = Reader { context, namespace: &namespace, name: &name, uid: &uid };
    let hindrances = context.memories.with(&namespace, &name, |memory| memory.notes.hindrances(Instant::now()));
    let refused = hindrances.into_values().find_map(|hindrance| match hindrance {
        Hindrance::Refused { words, .. } => Some(words),
        Hindrance::Overruled(_) => None,
    });
    let ensemble = reader.ensemble(&restore.spec.ensemble).await?;
    let planning = reader.job(plan_name(&name)).await?;
    let applying = reader.job(apply_name(&name)).await?;
    Ok(Seen {
        names: Names {
            ensemble: restore.spec.ensemble.clone(),
            namespace: namespace.clone(),
            domain: context.cluster_domain.clone(),
        },
        name: name.clone(),
        uid: uid.clone(),
        generation: restore.metadata.generation,
        spec: restore.spec.clone(),
        status: restore.status.clone().unwrap_or_default(),
        operator: context.operator.clone(),
        ensemble,
        other: if about_to(restore) { reader.other(&restore.spec.ensemble).await? } else { None },
        planning,
        applying,
        refused,
    })
}

struct Reader<'a> {
    context: &'a Context,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

impl Reader<'_> {
    async fn ensemble(&self, name: &str) -> Result<Option<EnsembleFacts>, ApiError> {
        let client = &self.context.kit.client;
        let found = read::fresh::<ZooKeeperEnsemble>(client, ("ensemble", self.namespace, name), &[]).await?;
        let ensemble = match found {
            Fresh::Whole(ensemble) => ensemble,
            Fresh::Gone => return Ok(None),
            Fresh::Undecodable(..) => return Ok(Some(EnsembleFacts::default())),
        };
        let status = ensemble.status.clone().unwrap_or_default();
        let quorum = status.conditions.iter().find(|condition| condition.type_ == "QuorumAvailable");
        let archive = ensemble.spec.archive.as_ref().map(|archive| &archive.s3);
        let desired = Desired::from_spec(&ensemble.spec).ok();
        let template =
            |desired: &Desired| desired.pod_template["spec"]["serviceAccountName"].as_str().map(str::to_owned);
        Ok(Some(EnsembleFacts {
            readable: true,
            identity: status.identity,
            quorum: quorum.is_some_and(|condition| condition.status == "True"),
            archive: archive.map(|s3| (ArchivePlace::of(s3), s3.credentials_secret.clone())),
            account: desired.as_ref().and_then(template).unwrap_or_else(|| name.to_owned()),
            pull_secrets: desired.map(|desired| desired.pull_secrets).unwrap_or_default(),
        }))
    }

    async fn job(&self, name: String) -> Result<Option<JobFacts>, ApiError> {
        let key = ObjectKey { kind: Kind::Job, name };
        let owner = Owner { kind: "ZooKeeperRestore", label: RESTORE_LABEL, name: self.name, uid: self.uid };
        let live = read::live(&self.context.kit.client, self.namespace, &key, owner, false).await?;
        let json = match live {
            None => return Ok(None),
            Some(Live::Ours(json)) => json,
            Some(Live::Leftover { finalizers }) => {
                return Ok(Some(JobFacts::Leaving(held(&finalizers, self.namespace, "job", &key.name))));
            }
            Some(Live::Orphan(_)) => return Ok(Some(JobFacts::Foreign("nobody".to_owned()))),
            Some(Live::Foreign { owner }) => return Ok(Some(JobFacts::Foreign(owner))),
        };
        let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        // Whoever may create Jobs can name an owner in them; its controller is one alone.
        if !controlled(&json, self.uid) {
            return Ok(Some(JobFacts::Foreign("nobody who controls it".to_owned())));
        }
        let uid = text("/metadata/uid");
        let pod = self.newest_pod(&key.name, &uid).await?;
        let since =
            json.pointer("/status/startTime").and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
        let young = since.is_none_or(|since| Timestamp::now().as_second() - since.as_second() < YOUNG);
        // By Kueue, or by somebody: it has no time limit then either.
        let suspended = json["spec"]["suspend"] == true;
        let active = !suspended && !is_ending(&json) && (pod.is_some() || young);
        let refused = match &pod {
            None if suspended => Some("the Job is suspended (spec.suspend)".to_owned()),
            None if !young => self.refusal(&uid).await,
            _ => None,
        };
        let target = Target { key, uid, resource_version: text("/metadata/resourceVersion") };
        Ok(Some(JobFacts::Ours(Box::new(OwnJob { target, outcome: outcome(&json), pod, active, refused }))))
    }

    /// Another restore that changes znodes of this ensemble, as it says itself: what the operator remembers is gone with a restart.
    async fn other(&self, ensemble: &str) -> Result<Option<String>, ApiError> {
        // Untyped: one that cannot be decoded is in nobody's way.
        let resource = ApiResource::erase::<ZooKeeperRestore>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.context.kit.client.clone(), self.namespace, &resource);
        let applying = |restore: &DynamicObject| {
            let other = restore.metadata.uid.as_deref() != Some(self.uid);
            let same = restore.data["spec"]["ensemble"] == ensemble;
            (other && same && restore.data["status"]["phase"] == "Applying").then(|| restore.metadata.name.clone())?
        };
        Ok(pages("list restores", &api, ListParams::default(), applying).await?.into_iter().next())
    }

    /// Why no pod of a Job is created: it stands in an Event alone. Without an answer nothing is said of it.
    async fn refusal(&self, uid: &str) -> Option<String> {
        let api: Api<Event> = Api::namespaced(self.context.kit.client.clone(), self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid},reason=FailedCreate")).limit(PAGE);
        let list = async { api.list(&about).await.map(Some) };
        let newest = |list: ObjectList<Event>| {
            let latest = list.items.into_iter().max_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
            latest.and_then(|event| event.message).map(|message| cut(&message, QUOTE))
        };
        whole("list Events of a Job".to_owned(), list, newest).await.ok()??
    }

    /// The Job's pod that was made last.
    async fn newest_pod(&self, job: &str, uid: &str) -> Result<Option<PodFacts>, ApiError> {
        let api: Api<Pod> = Api::namespaced(self.context.kit.client.clone(), self.namespace);
        let named = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        let ours = |pod: &Pod| {
            let by = |owner: &OwnerReference| owner.uid == uid && owner.controller == Some(true);
            pod.owner_references().iter().any(by).then(|| (since(pod), pod_facts(pod)))
        };
        let pods = pages(&format!("list pods of Job {job}"), &api, named, ours).await?;
        let newest = pods.into_iter().max_by_key(|(since, _)| *since);
        Ok(newest.map(|(_, facts)| facts))
    }
}

/// Whether it is to be carried out, and no Job does it yet.
fn about_to(restore: &ZooKeeperRestore) -> bool {
    let phase = restore.status.as_ref().and_then(|status| status.phase);
    phase == Some(RestorePhase::Planned) && restore.spec.dry_run == Some(false)
}

/// Whether the outcome of a Job is decided, though a pod of it may still be there, on a node that is lost for instance.
fn is_ending(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let decided = |condition: &Value| {
        matches!(condition["type"].as_str(), Some("FailureTarget" | "SuccessCriteriaMet"))
            && condition["status"] == "True"
    };
    conditions.into_iter().any(decided)
}

fn controlled(job: &Value, uid: &str) -> bool {
    let owners = job["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.into_iter().any(|owner| owner["uid"] == uid && owner["controller"] == true)
}

fn since(pod: &Pod) -> i64 {
    pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_millisecond())
}

fn outcome(job: &Value) -> Outcome {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let text = |condition: &Value, key: &str| cut(condition[key].as_str().unwrap_or_default(), QUOTE);
    let mut said = conditions.filter(|condition| condition["status"] == "True");
    said.find_map(|condition| match condition["type"].as_str()? {
        "Complete" => Some(Outcome::Complete),
        "Failed" => Some(Outcome::Failed { reason: text(condition, "reason"), message: text(condition, "message") }),
        _ => None,
    })
    .unwrap_or(Outcome::Running)
}

/// What is known of a pod.
fn pod_facts(pod: &Pod) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    // A policy may have put another one beside it.
    let container = status.container_statuses.iter().flatten().find(|container| container.name == CONTAINER);
    let state = container.and_then(|container| container.state.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let waiting =
        waiting.filter(|waiting| !matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing")));
    let quoted = |text: Option<&String>| cut(text.map(String::as_str).unwrap_or_default(), QUOTE);
    let trouble = if status.reason.as_deref() == Some("Evicted") {
        Some(format!("its pod was evicted: {}", quoted(status.message.as_ref())))
    } else if let Some(condition) = unscheduled {
        Some(format!("its pod cannot be scheduled: {}", quoted(condition.message.as_ref())))
    } else if let Some(waiting) = waiting {
        Some(format!("its pod: {}: {}", quoted(waiting.reason.as_ref()), quoted(waiting.message.as_ref())))
    } else {
        ended.filter(|ended| ended.exit_code != 0 && report(ended).is_none()).map(killed)
    };
    PodFacts { report: ended.and_then(report), trouble }
}

fn report(ended: &ContainerStateTerminated) -> Option<Report> {
    Report::read(ended.message.as_deref()?)
}

/// A container that ended without a report.
fn killed(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let cure = if reason == "OOMKilled" {
        ": raise resources.limits.memory, or restore one subtree after the other"
    } else {
        ""
    };
    let words = ended.message.as_deref().map(|words| format!(": {}", cut(words.trim(), WORDS))).unwrap_or_default();
    format!("its pod ended with {} ({}){cure}{words}", ended.exit_code, cut(reason, 64))
}
