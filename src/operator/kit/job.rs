//! The Jobs of an object: what they are, and how far.

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::core::ObjectList;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

pub use super::job_pod::PodFacts;
use super::job_pod::{facts, newest, since};
use super::read::{self, Owner, PAGE, pages, whole};
use super::timeout::ApiError;
use crate::model::Live;
use crate::model::observed::{Kind, ObjectKey};
use crate::model::report::Report;
use crate::model::words::{QUOTE, cut, held};
use crate::plan::Target;

/// The reason while something is in a Job's way, or it is tried again.
pub const RETRYING: &str = "Retrying";
/// In seconds: after that a pod of a Job would be there.
const YOUNG: i64 = 60;

/// A Job, as it was seen.
#[derive(Clone, Debug)]
pub enum JobFacts {
    /// Somebody else's.
    Foreign(String),
    /// It is being deleted, or of an earlier restore of that name; and who keeps it, with the command.
    Leaving(String),
    /// This object's.
    Ours(Box<OwnJob>),
}

/// A Job of this object.
#[derive(Clone, Debug)]
pub struct OwnJob {
    /// The Job, as it was seen.
    pub target: Target,
    /// How its work ended, if it has: a container that somebody has put beside ours may keep the Job itself going.
    pub outcome: Outcome,
    /// Whether the Job itself goes on.
    pub running: bool,
    /// Its newest pod.
    pub pod: Option<PodFacts>,
    /// Whether a pod of it runs or may come, so that it does something or soon will.
    pub active: bool,
    /// Why no pod of it is created, in the words of an Event.
    pub refused: Option<String>,
    /// Whether it may have done anything: a container of it has begun, or a pod of it has ended and is gone.
    pub begun: bool,
}

impl JobFacts {
    /// What its pod reported, if it ended well.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Ours(job) if job.outcome == Outcome::Complete => job.pod.as_ref()?.report.as_ref(),
            _ => None,
        }
    }
}

impl JobFacts {
    /// Whether its last pod read what an archive holds, and found it not to be whole.
    pub fn not_proved(&self) -> bool {
        let Self::Ours(job) = self else { return false };
        // One that was stopped for its time may have had a pod that came further.
        let ended = matches!(&job.outcome, Outcome::Failed { reason, .. } if reason != "DeadlineExceeded");
        ended && job.pod.as_ref().and_then(|pod| pod.report.as_ref()).is_some_and(|report| report.not_proved)
    }
}

impl OwnJob {
    /// Its pod, where nothing more is to be expected of that; and that another one begins.
    pub fn given_up(&self) -> Option<(Target, String)> {
        let pod = self.pod.as_ref().filter(|_| self.outcome == Outcome::Running)?;
        let text = format!(
            "{} was told to end and has not, because its node is lost, or its kubelet does not come to it: it is given up, and another one begins if there is time left",
            pod.name
        );
        Some((pod.overdue.clone()?, text))
    }
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// Well.
    Complete,
    /// Otherwise.
    Failed {
        /// Kubernetes' word for it.
        reason: String,
        /// And its sentence.
        message: String,
    },
}

/// Where a Job is that has not brought yet what it is for.
pub enum Standing {
    /// Its name is not ours, for this reason and with this cure.
    Barred(&'static str, String),
    /// It goes on; and what is in its way, if anything is.
    Runs(Option<String>),
    /// It ended badly, for this reason.
    Failed(String),
}

impl JobFacts {
    /// Where it is. `another` is what somebody may create under another name.
    pub fn standing(&self, another: &str) -> Standing {
        let OwnJob { outcome, pod, refused, .. } = match self {
            Self::Foreign(owner) => {
                let text = format!(
                    "a Job has the name that is needed, and belongs to {owner}: delete it, or create a {another} of another name"
                );
                return Standing::Barred("NameTaken", text);
            }
            Self::Leaving(held) => {
                return Standing::Barred("JobLeaving", format!("a Job of that name is being deleted{held}"));
            }
            Self::Ours(job) => &**job,
        };
        let error = pod.as_ref().and_then(|pod| pod.report.as_ref()?.error.clone());
        let trouble = pod.as_ref().and_then(|pod| pod.trouble.clone());
        let refused = refused.as_ref().map(|words| format!("no pod of its Job is created: {words}"));
        let earlier = pod.as_ref().and_then(|pod| pod.earlier.clone());
        let why = error.or(trouble).or(refused).or(earlier);
        match outcome {
            Outcome::Running | Outcome::Complete => Standing::Runs(why),
            Outcome::Failed { reason, message } => {
                let why = why.unwrap_or_else(|| format!("{reason}: {message}"));
                let late = if reason == "DeadlineExceeded" { "; it had no more time: deadlineSeconds" } else { "" };
                Standing::Failed(format!("{why}{late}"))
            }
        }
    }
}

/// Reads the Jobs of one object.
pub struct Jobs<'a> {
    /// The API server.
    pub client: &'a Client,
    /// Where they are.
    pub namespace: &'a str,
    /// Whose they are.
    pub owner: Owner<'a>,
    /// The container that reports.
    pub container: &'a str,
    /// What helps where a pod had too little memory, besides more of it.
    pub less: &'a str,
}

impl Jobs<'_> {
    /// A Job, if there is one of that name.
    pub async fn read(&self, name: String) -> Result<Option<JobFacts>, ApiError> {
        let key = ObjectKey { kind: Kind::Job, name };
        let live = read::live(self.client, self.namespace, &key, self.owner, false).await?;
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
        if !controlled(&json, self.owner.uid) {
            return Ok(Some(JobFacts::Foreign("nobody who controls it".to_owned())));
        }
        let uid = text("/metadata/uid");
        let mut pod = self.newest_pod(&key.name, &uid).await?;
        let since =
            json.pointer("/status/startTime").and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
        let young = since.is_none_or(|since| Timestamp::now().as_second() - since.as_second() < YOUNG);
        // By Kueue, or by somebody: it has no time limit then either.
        let suspended = json["spec"]["suspend"] == true;
        let active = !suspended && !is_ending(&json) && (pod.is_some() || young);
        let refused = match &pod {
            None if suspended => Some("the Job is suspended (spec.suspend)".to_owned()),
            None if !young => self.event(&uid, "reason=FailedCreate").await,
            _ => None,
        };
        if let Some((uid, pod)) = pod.as_mut().filter(|(_, pod)| !young && pod.starting) {
            // Why a volume or a network is not there stands in an Event of the pod alone.
            let words = self.event(uid, "type=Warning").await;
            pod.trouble = words.map(|words| format!("its pod does not start: {words}"));
        }
        let pod = pod.map(|(_, pod)| pod);
        let ended = |count: &str| json["status"][count].as_i64().unwrap_or_default() > 0;
        let begun = pod.as_ref().is_some_and(|pod| pod.begun) || ended("failed") || ended("succeeded");
        let whole = outcome(&json);
        let running = whole == Outcome::Running;
        let done = pod.as_ref().is_some_and(|pod| pod.done && pod.report.is_some());
        let outcome = if running && done { Outcome::Complete } else { whole };
        let target = Target { key, uid, resource_version: text("/metadata/resourceVersion") };
        Ok(Some(JobFacts::Ours(Box::new(OwnJob { target, outcome, running, pod, active, refused, begun }))))
    }

    /// The newest Event of that kind about an object. Without an answer nothing is said of it.
    async fn event(&self, uid: &str, kind: &str) -> Option<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid},{kind}")).limit(PAGE);
        let list = async { api.list(&about).await.map(Some) };
        let newest = |list: ObjectList<Event>| {
            let latest = list.items.into_iter().max_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
            latest.and_then(|event| event.message).map(|message| cut(&message, QUOTE))
        };
        whole("list Events of a Job or its pod".to_owned(), list, newest).await.ok()??
    }

    /// The Job's pod that was made last.
    async fn newest_pod(&self, job: &str, uid: &str) -> Result<Option<(String, PodFacts)>, ApiError> {
        let (api, now): (Api<Pod>, _) = (Api::namespaced(self.client.clone(), self.namespace), Timestamp::now());
        let named = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        let ours = |pod: &Pod| {
            let by = |owner: &OwnerReference| owner.uid == uid && owner.controller == Some(true);
            let uid = pod.uid().unwrap_or_default();
            pod.owner_references()
                .iter()
                .any(by)
                .then(|| (since(pod), (uid, facts(pod, self.container, self.less, now))))
        };
        let pods = pages(&format!("list pods of Job {job}"), &api, named, ours).await?;
        Ok(newest(pods.into_iter().map(|(since, (uid, facts))| (since, uid, facts)).collect()))
    }
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

/// Whether a Job has ended.
pub fn is_over(job: &Value) -> bool {
    outcome(job) != Outcome::Running
}

/// Whether a Job goes on. A suspended one has no pod, and no time limit.
pub fn runs(job: &Value) -> bool {
    let stays = job["metadata"]["deletionTimestamp"].is_null();
    stays && job["spec"]["suspend"] != true && !is_over(job) && !is_ending(job)
}

fn controlled(job: &Value, uid: &str) -> bool {
    let owners = job["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.into_iter().any(|owner| owner["uid"] == uid && owner["controller"] == true)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn while_the_next_pod_runs_it_is_still_said_why_the_one_before_ended() {
        let ended = |error: &str| {
            let report = Some(Report { error: Some(error.to_owned()), ..Report::default() });
            PodFacts { report, ..PodFacts::default() }
        };
        let pods = vec![(2, ended("the archive ends at 0x1")), (3, PodFacts::default()), (1, ended("no answer"))];
        let pods = pods.into_iter().map(|(since, facts)| (since, since.to_string(), facts)).collect();
        let (uid, pod) = newest(pods).unwrap();
        assert_eq!((uid.as_str(), pod.earlier.as_deref()), ("3", Some("the archive ends at 0x1")));
        let key = ObjectKey { kind: Kind::Job, name: "j".to_owned() };
        let target = Target { key, uid: "u".to_owned(), resource_version: "1".to_owned() };
        let reason = "DeadlineExceeded".to_owned();
        for (outcome, expected) in [
            (Outcome::Running, "the archive ends at 0x1"),
            (
                Outcome::Failed { reason, message: String::new() },
                "the archive ends at 0x1; it had no more time: deadlineSeconds",
            ),
        ] {
            let (target, pod) = (target.clone(), Some(pod.clone()));
            let job = OwnJob { target, outcome, running: true, pod, active: true, refused: None, begun: true };
            let said = match JobFacts::Ours(Box::new(job)).standing("ZooKeeperBackup") {
                Standing::Runs(why) => why.unwrap(),
                Standing::Failed(why) => why,
                Standing::Barred(..) => panic!("it is ours"),
            };
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_job_that_is_suspended_or_whose_end_is_decided_does_not_go_on() {
        assert!(runs(&json!({"spec": {}, "status": {}})));
        assert!(!runs(&json!({"spec": {"suspend": true}, "status": {}})));
        for condition in ["Complete", "Failed", "FailureTarget"] {
            let status = json!({"conditions": [{"type": condition, "status": "True"}]});
            assert!(!runs(&json!({"spec": {}, "status": status})), "{condition}");
        }
    }
}
