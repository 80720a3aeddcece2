//! Shows the plan of a `ZooKeeperRestore`: from the archive, which has it whole, or from the log of the pod that made it.

use std::io::Write as _;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, LogParams};
use kube::core::DynamicObject;
use serde::Serialize;

use super::connection::Cluster;
use super::followed::{Followed as _, unwritten};
use super::objects::name_of;
use super::paste::word;
use super::problem::cause;
use super::restore::text;
use super::restores::RestoreLine;
use super::teller::{Now, safe};
use crate::api::ZooKeeperRestore;
use crate::archive::key::is_identity;
use crate::archive::plans::{PlanKey, fetch};
use crate::archive::store::Store;
use crate::archive::target::Target;
use crate::cli::{CommandError, Exit, Output, print_message};
use crate::job::restore::unpack;
use crate::model::names::is_name;
use crate::operator::kit::timeout::{ApiError, within};
use crate::render::restore::CONTAINER;
use crate::restore::command::print_plan;
use crate::restore::hash::Digest;
use crate::restore::plan_file::PlanFile;

/// A thousand lines of changes, each with a path, and as many of other kinds.
const LONGEST_LOG: i64 = 16 << 20;

/// Prints what is known of it, and its plan.
pub(super) async fn show(cluster: &Cluster, restore: &DynamicObject, output: Output) -> Result<Exit, CommandError> {
    let name = name_of(restore);
    let mut out = std::io::stdout();
    let head = match output {
        Output::Human => safe(&head(restore)),
        Output::Json => json(&RestoreLine::of(restore))?,
    };
    writeln!(out, "{head}").map_err(|error| unwritten(&error))?;
    let planned = text(&restore.data["status"]["plan"], "hash");
    if planned.is_empty() {
        return Ok(Exit::Sound);
    }
    let wanted: Digest = planned.parse().map_err(|error| CommandError::Usage(format!("status.plan.hash: {error}")))?;
    let stored = Stored::of(restore);
    if stored.target().is_some_and(|target| Store::is_keyed(&target)) {
        match stored.read(wanted).await {
            Ok(file) => {
                print_plan(&file, None, output, usize::MAX)?;
                return Ok(Exit::Sound);
            }
            Err(why) => print_message("note", &format!("the plan is read from its pod's log: {why}")),
        }
    }
    match logged(cluster, restore, planned).await {
        Ok(lines) if output == Output::Json => {
            let lines = json(&LoggedLine { hash: planned, lines: &lines })?;
            writeln!(out, "{lines}").map_err(|error| unwritten(&error))?;
            Ok(Exit::Sound)
        }
        Ok(lines) => {
            for line in lines {
                writeln!(out, "{}", safe(&line)).map_err(|error| unwritten(&error))?;
            }
            Ok(Exit::Sound)
        }
        Err(why) => Err(CommandError::Usage(format!(
            "its changes cannot be shown: {why}. The whole plan is {}: {}, and run menagerie restore show {name} {}",
            stored.folder(planned),
            stored.environment(),
            cluster.arguments()
        ))),
    }
}

/// A plan as its pod has printed it.
#[derive(Serialize)]
struct LoggedLine<'a> {
    hash: &'a str,
    lines: &'a [String],
}

/// What is known of it, in a line.
fn head(restore: &DynamicObject) -> String {
    let Now { phase, reason, message, stands: _ } = ZooKeeperRestore::now(restore);
    let (name, ensemble) = (name_of(restore), text(&restore.data["spec"], "ensemble"));
    let why = if reason == phase { String::new() } else { format!(" ({reason})") };
    format!("restore {name} of ensemble {ensemble}: {phase}{why}: {message}")
}

fn json(line: &impl Serialize) -> Result<String, CommandError> {
    serde_json::to_string(line).map_err(|error| CommandError::Usage(error.to_string()))
}

/// Where its plan is stored.
pub(super) struct Stored {
    /// The archive, with how its store is reached behind its address.
    place: String,
    identity: String,
    uid: String,
}

impl Stored {
    pub(super) fn of(restore: &DynamicObject) -> Self {
        let status = &restore.data["status"];
        // It lies in the archive that it was made from.
        let from = text(&restore.data["spec"]["from"], "identity");
        Self {
            place: text(status, "archive").to_owned(),
            identity: if from.is_empty() { text(status, "identity") } else { from }.to_owned(),
            uid: restore.metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// The command that deletes its plans there.
    pub(super) fn deletion(&self) -> Option<String> {
        let Self { place: _, identity, uid } = self;
        // It is a command to paste: whoever may write a status has no words in it.
        let target = self.target().filter(|_| is_identity(identity) && is_name(uid))?;
        let target = word(&target.to_string());
        Some(format!("menagerie archive plans delete {target} --identity {identity} --restore {uid}"))
    }

    fn target(&self) -> Option<Target> {
        self.place.split(' ').next()?.parse().ok()
    }

    fn key(&self, hash: &str) -> PlanKey {
        PlanKey { identity: self.identity.clone(), restore: self.uid.clone(), hash: hash.to_owned() }
    }

    fn folder(&self, hash: &str) -> String {
        format!("in {}, under {}", self.place, self.key(hash).folder())
    }

    /// What the environment has to say, so that it can be read.
    fn environment(&self) -> String {
        let behind = |word: &str| {
            let (_, rest) = self.place.split_once(&format!(" {word} "))?;
            rest.split(' ').next()
        };
        let set = |name: &str, value: Option<&str>| {
            value.map(|value| format!(", {name}={}", word(value))).unwrap_or_default()
        };
        match self.place.split("://").next() {
            Some("s3") => format!(
                "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY{}{}{}",
                set("AWS_REGION", behind("in")),
                set("AWS_ENDPOINT_URL", behind("at")),
                set("AWS_ALLOW_HTTP", behind("at").filter(|at| at.starts_with("http://")).map(|_| "true"))
            ),
            Some("gs") => "set GOOGLE_SERVICE_ACCOUNT".to_owned(),
            Some("az") => "set AZURE_STORAGE_ACCOUNT_KEY".to_owned(),
            _ => "go where that is".to_owned(),
        }
    }

    async fn read(&self, hash: Digest) -> Result<PlanFile, String> {
        let target = self.target().ok_or_else(|| format!("{} is no archive", self.place))?;
        if !is_identity(&self.identity) || !is_name(&self.uid) {
            return Err("its status does not say whose archive it is".to_owned());
        }
        let store = Store::open(&target).map_err(|error| error.to_string())?;
        // It has the data of znodes: no other process finds it by a name.
        let mut packed = tempfile::tempfile().map_err(|error| error.to_string())?;
        fetch(&store, &self.key(&hash.to_string()), &mut packed).await.map_err(|error| error.to_string())?;
        unpack(&mut packed, hash)
    }
}

/// What the pod that made the plan has printed.
async fn logged(cluster: &Cluster, restore: &DynamicObject, planned: &str) -> Result<Vec<String>, String> {
    let pod = text(&restore.data["status"]["plan"], "pod");
    // It becomes a part of the address that is asked.
    if !is_name(pod) {
        return Err("its status does not say which pod made the plan".to_owned());
    }
    let client = cluster.client().await.map_err(|error| cause(&error))?;
    let api: Api<Pod> = Api::namespaced(client, &cluster.namespace);
    let container = Some(CONTAINER.to_owned());
    let params = LogParams { container, limit_bytes: Some(LONGEST_LOG), ..LogParams::default() };
    let read = within(format!("read pod {pod}"), api.get(pod)).await.map_err(|error| error.with_cause())?;
    let owner = job_of(cluster, restore, &read).await?;
    let log = within(format!("read the log of pod {pod}"), api.logs(pod, &params)).await;
    let log = log.map_err(|error| error.with_cause())?;
    let lines: Vec<String> = log.lines().filter(|line| !is_a_note(line)).map(str::to_owned).collect();
    // A plan's last line; one before it may be another's.
    if lines.last().is_none_or(|line| *line != format!("plan {planned}")) {
        return Err(format!("the log of pod {pod} does not end with this plan"));
    }
    let unseen = if owner == JobSeen::Unread { ", and its Job cannot be read" } else { "" };
    print_message(
        "note",
        &format!(
            "this is what the log of pod {pod} says{unseen}. Unlike a plan from the archive, it is not proved to be what the hash is of"
        ),
    );
    Ok(lines)
}

/// Whether the Job of a pod was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobSeen {
    /// It is the restore's.
    Ours,
    /// It is deleted, or whoever asks may not read it.
    Unread,
}

/// Whether a pod is of a Job of the restore.
async fn job_of(cluster: &Cluster, restore: &DynamicObject, pod: &Pod) -> Result<JobSeen, String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let not_ours = || format!("pod {name} is of no Job of this restore");
    let owner = controller(pod.metadata.owner_references.as_ref(), "Job").filter(|owner| is_name(&owner.name));
    let owner = owner.ok_or_else(not_ours)?;
    let client = cluster.client().await.map_err(|error| cause(&error))?;
    let api: Api<Job> = Api::namespaced(client, &cluster.namespace);
    let job = match within(format!("read Job {}", owner.name), api.get(&owner.name)).await {
        Err(ApiError::Refused { status, .. }) if matches!(status.code, 403 | 404) => return Ok(JobSeen::Unread),
        answer => answer.map_err(|error| error.with_cause())?,
    };
    let whose = controller(job.metadata.owner_references.as_ref(), "ZooKeeperRestore");
    let same = job.metadata.uid.as_ref() == Some(&owner.uid);
    let ours = whose.is_some_and(|whose| restore.metadata.uid.as_ref() == Some(&whose.uid));
    (same && ours).then_some(JobSeen::Ours).ok_or_else(not_ours)
}

fn controller<'a>(owners: Option<&'a Vec<OwnerReference>>, kind: &str) -> Option<&'a OwnerReference> {
    owners?.iter().find(|owner| owner.controller == Some(true) && owner.kind == kind)
}

/// Beside what it prints, a Job notes how far it is, each time with the time before it.
fn is_a_note(line: &str) -> bool {
    line.split(' ').next().is_some_and(|first| first.parse::<jiff::Timestamp>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_plan_is_shown_and_not_how_far_the_job_was() {
        assert!(is_a_note("2026-11-28T02:10:39.123456Z  INFO menagerie::job::restore: the plan is stored hash=3c"));
        for line in ["create /2026-11-28T02:10:39Z  4 bytes", "skip /a  it is a session's", "plan 3c1f", ""] {
            assert!(!is_a_note(line), "{line}");
        }
    }

    #[test]
    fn who_cannot_reach_a_plan_is_told_where_it_is_and_what_to_set() {
        let stored = |place: &str| Stored { place: place.to_owned(), identity: "i".to_owned(), uid: "u".to_owned() };
        let s3 = stored("s3://b/zk in eu at https://s3");
        assert_eq!(s3.target().unwrap().to_string(), "s3://b/zk");
        assert_eq!(s3.folder("h"), "in s3://b/zk in eu at https://s3, under i/plan/u/h");
        let expected = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION=eu, AWS_ENDPOINT_URL=https://s3";
        assert_eq!(s3.environment(), expected);
        assert!(
            stored("s3://b at http://s3").environment().ends_with("AWS_ENDPOINT_URL=http://s3, AWS_ALLOW_HTTP=true")
        );
        assert_eq!(stored("gs://b").environment(), "set GOOGLE_SERVICE_ACCOUNT");
    }
}
