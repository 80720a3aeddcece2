//! Reads everything that a decision needs, and decides nothing. Every read goes to the API server, never to a cache:
//! the operators that acted on stale lists deleted the volumes of live members (pravega/zookeeper-operator 312, 314).

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use futures::try_join;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, ContainerStatus, PersistentVolumeClaim, Pod, PodStatus, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DeserializeGuard, DynamicObject};
use serde_json::Value;
use tracing::warn;

use super::timeout::{ApiError, within};
use super::{Context, surroundings};
use crate::api::ZooKeeperEnsemble;
use crate::http;
use crate::model::charter::CHARTER_KEY;
use crate::model::layout::AGENT_PORT;
use crate::model::names::{
    APPROVE_ANNOTATION, BORN_LABEL, ENSEMBLE_LABEL, IDENTITY_LABEL, REPLACE_ANNOTATION, RESTART_ANNOTATION,
    VERSION_ANNOTATION,
};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::{
    Asked, ClaimFacts, Desired, Fact, Live, MemberTruth, Names, Observation, Ordinal, PodFacts, Requests, ServerId,
    SetFacts,
};
use crate::render::api_version;

/// An agent answers in milliseconds; a node that was cut off never does.
const AGENT: Duration = Duration::from_secs(3);

/// The kinds that are looked for, by label and by name.
const KINDS: [Kind; 6] =
    [Kind::ServiceAccount, Kind::Secret, Kind::ConfigMap, Kind::Service, Kind::PodDisruptionBudget, Kind::StatefulSet];

/// The custom resource as it is now; `None` when it is gone, being deleted, or cannot be read.
pub async fn fresh(context: &Context, namespace: &str, name: &str) -> Result<Option<ZooKeeperEnsemble>, ApiError> {
    let api: Api<DeserializeGuard<ZooKeeperEnsemble>> = Api::namespaced(context.client.clone(), namespace);
    let guarded = within(format!("read ensemble {name}"), api.get_opt(name)).await?;
    match guarded {
        Some(DeserializeGuard(Ok(ensemble))) if ensemble.metadata.deletion_timestamp.is_none() => Ok(Some(ensemble)),
        Some(DeserializeGuard(Err(invalid))) => {
            warn!(error = invalid.error, "the object cannot be decoded: it is left alone until it is corrected");
            Ok(None)
        }
        Some(DeserializeGuard(Ok(_))) | None => Ok(None),
    }
}

/// Everything about one ensemble.
pub async fn observe(context: &Context, ensemble: &ZooKeeperEnsemble) -> Result<Observation, ApiError> {
    let names = Names {
        ensemble: ensemble.name_any(),
        namespace: ensemble.namespace().unwrap_or_default(),
        domain: context.cluster_domain.clone(),
    };
    let reader = Reader { context, names: &names, uid: ensemble.uid().unwrap_or_default() };
    let (objects, pods, claims) = try_join!(reader.labelled_objects(), reader.pods(), reader.labelled_claims())?;
    let mut seen = Observation {
        now: u64::try_from(Timestamp::now().as_second()).unwrap_or_default(),
        requests: requests(ensemble),
        nodes: BTreeMap::new(),
        uid: reader.uid.clone(),
        generation: ensemble.metadata.generation.unwrap_or_default(),
        desired: Desired::from_spec(&ensemble.spec),
        status: ensemble.status.clone().unwrap_or_default(),
        environment: context.environment.clone(),
        set: set_facts(&objects, &names),
        pods: BTreeMap::new(),
        claims,
        members: BTreeMap::new(),
        charter: charter(&objects, &names),
        objects,
        names: names.clone(),
    };
    reader.find_by_name(&mut seen).await?;
    let set = seen.set.as_ref().map(|set| set.uid.clone());
    let ours = pods.into_iter().filter(|pod| {
        let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
        set.is_some() && owner.map(|owner| &owner.uid) == set.as_ref()
    });
    seen.pods = ours.filter_map(|pod| Some((names.ordinal_of_pod(&pod.name_any())?, pod_facts(&pod)))).collect();
    surroundings::look(context, &mut seen).await;
    seen.members =
        join_all(seen.pods.iter().map(|(ordinal, pod)| ask(ServerId::from(*ordinal), pod))).await.into_iter().collect();
    Ok(seen)
}

fn requests(ensemble: &ZooKeeperEnsemble) -> Requests {
    let annotation = |key: &str| ensemble.annotations().get(key).cloned();
    Requests { restart: annotation(RESTART_ANNOTATION), approved: annotation(APPROVE_ANNOTATION) }
}

struct Reader<'a> {
    context: &'a Context,
    names: &'a Names,
    uid: String,
}

impl Reader<'_> {
    fn by_label(&self) -> ListParams {
        ListParams::default().labels(&format!("{ENSEMBLE_LABEL}={}", self.names.ensemble))
    }

    async fn labelled_objects(&self) -> Result<BTreeMap<ObjectKey, Live>, ApiError> {
        let lists = try_join_all(KINDS.map(|kind| async move {
            let api = objects(self.context, kind, &self.names.namespace);
            let what = format!("list {}s", kind.as_str());
            // A password has no business in this process before it is used.
            let found: Vec<(String, Value)> = if kind == Kind::Secret {
                let list = within(what, api.list_metadata(&self.by_label())).await?;
                list.items.iter().map(|object| (object.name_any(), to_json(object))).collect()
            } else {
                let list = within(what, api.list(&self.by_label())).await?;
                list.items.iter().map(|object| (object.name_any(), to_json(object))).collect()
            };
            Ok::<_, ApiError>(found.into_iter().map(move |(name, json)| (ObjectKey { kind, name }, json)))
        }))
        .await?;
        // The API server leaves kind and version out of what it lists.
        let named = lists.into_iter().flatten().map(|(key, mut json)| {
            json["kind"] = key.kind.as_str().into();
            json["apiVersion"] = api_version(key.kind).into();
            (key, json)
        });
        Ok(named.map(|(key, json)| (key, self.classify(json))).collect())
    }

    /// Objects whose names are needed and that do not bear the label: absent, or somebody else's.
    async fn find_by_name(&self, seen: &mut Observation) -> Result<(), ApiError> {
        let expected = expected(self.names, seen.span());
        // A stranger may bear our label. It is in the way only under a name that is needed.
        seen.objects.retain(|key, live| matches!(live, Live::Ours(_)) || expected.contains(key));
        let missing = expected.into_iter().filter(|key| !seen.objects.contains_key(key));
        let found = try_join_all(missing.map(|key| async move {
            let api = objects(self.context, key.kind, &self.names.namespace);
            let object =
                within(format!("read {} {}", key.kind.as_str(), key.name), api.get_metadata_opt(&key.name)).await?;
            Ok::<_, ApiError>(object.map(|object| (key, to_json(&object))))
        }))
        .await?;
        for (key, json) in found.into_iter().flatten() {
            // Ours without its label is applied again; metadata is enough to know whose it is.
            let live = self.classify(json);
            seen.objects.insert(key, live);
        }
        let unclaimed = (0..seen.span()).map(Ordinal).filter(|ordinal| !seen.claims.contains_key(ordinal));
        let set = seen.set.as_ref().map_or(0, |set| set.replicas);
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.context.client.clone(), &self.names.namespace);
        let claims = try_join_all(unclaimed.filter(|ordinal| ordinal.0 >= set).map(|ordinal| {
            let (api, name) = (api.clone(), self.names.claim(ordinal));
            async move { within(format!("read claim {name}"), api.get_opt(&name)).await }
        }))
        .await?;
        for claim in claims.into_iter().flatten() {
            seen.claims.extend(self.claim_facts(&claim));
        }
        Ok(())
    }

    async fn pods(&self) -> Result<Vec<Pod>, ApiError> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &self.names.namespace);
        Ok(within("list pods", api.list(&self.by_label())).await?.items)
    }

    async fn labelled_claims(&self) -> Result<BTreeMap<Ordinal, ClaimFacts>, ApiError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.context.client.clone(), &self.names.namespace);
        let list = within("list claims", api.list(&self.by_label())).await?;
        Ok(list.items.iter().filter_map(|claim| self.claim_facts(claim)).collect())
    }

    fn claim_facts(&self, claim: &PersistentVolumeClaim) -> Option<(Ordinal, ClaimFacts)> {
        let name = claim.name_any();
        let ordinal = self.names.ordinal_of_claim(&name)?;
        let owners = claim.owner_references();
        let of_an_earlier_ensemble =
            owners.iter().any(|owner| owner.kind == "ZooKeeperEnsemble" && owner.uid != self.uid);
        let facts = ClaimFacts {
            name,
            uid: claim.uid().unwrap_or_default(),
            resource_version: claim.resource_version().unwrap_or_default(),
            identity: claim.labels().get(IDENTITY_LABEL).cloned(),
            born: claim.labels().contains_key(BORN_LABEL),
            going: claim.metadata.deletion_timestamp.is_some() || of_an_earlier_ensemble,
            owned: owners.iter().any(|owner| owner.uid == self.uid),
            volume: claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()),
            // The API server's own word: the volume that it was bound to does not exist any more.
            lost: (claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"))
                .then(|| "its volume does not exist any more".to_owned()),
        };
        Some((ordinal, facts))
    }

    fn classify(&self, json: Value) -> Live {
        let owners = json["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let deleted = !json["metadata"]["deletionTimestamp"].is_null();
        let owned = |by: &dyn Fn(&Value) -> bool| owners.iter().any(by);
        if owned(&|owner| owner["uid"] == self.uid.as_str()) {
            return if deleted { Live::Leftover } else { Live::Ours(json) };
        }
        if owned(&|owner| owner["kind"] == "ZooKeeperEnsemble" && owner["name"] == self.names.ensemble.as_str()) {
            return Live::Leftover;
        }
        let named = |owner: &Value| Some(format!("{} {}", owner["kind"].as_str()?, owner["name"].as_str()?));
        let somebody = owners.iter().find_map(named);
        Live::Foreign { owner: somebody.unwrap_or_else(|| "nobody of this operator".to_owned()) }
    }
}

/// The API of a kind, untyped: what is compared is JSON.
pub fn objects(context: &Context, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let resource = match kind {
        Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
        Kind::Secret => ApiResource::erase::<Secret>(&()),
        Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
        Kind::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
    };
    Api::namespaced_with(context.client.clone(), namespace, &resource)
}

/// The names that an ensemble needs.
fn expected(names: &Names, span: u32) -> Vec<ObjectKey> {
    let key = |kind, name: String| ObjectKey { kind, name };
    let mut keys = vec![
        key(Kind::ServiceAccount, names.ensemble.clone()),
        key(Kind::Secret, names.super_secret()),
        key(Kind::ConfigMap, names.config()),
        key(Kind::Service, names.client()),
        key(Kind::Service, names.headless()),
        key(Kind::PodDisruptionBudget, names.ensemble.clone()),
        key(Kind::StatefulSet, names.ensemble.clone()),
    ];
    keys.extend((0..span).map(|ordinal| key(Kind::Service, names.pod(Ordinal(ordinal)))));
    keys
}

fn ours(objects: &BTreeMap<ObjectKey, Live>, kind: Kind, name: String) -> Option<&Value> {
    match objects.get(&ObjectKey { kind, name })? {
        Live::Ours(json) => Some(json),
        Live::Leftover | Live::Foreign { .. } => None,
    }
}

fn set_facts(objects: &BTreeMap<ObjectKey, Live>, names: &Names) -> Option<SetFacts> {
    let json = ours(objects, Kind::StatefulSet, names.ensemble.clone())?;
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let label = IDENTITY_LABEL.replace('/', "~1");
    let taken_in = json["status"]["observedGeneration"] == json["metadata"]["generation"];
    Some(SetFacts {
        uid: text("/metadata/uid")?,
        resource_version: text("/metadata/resourceVersion")?,
        replicas: json
            .pointer("/spec/replicas")
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1),
        identity: text(&format!("/spec/volumeClaimTemplates/0/metadata/labels/{label}")),
        update_revision: text("/status/updateRevision").filter(|_| taken_in),
        version: text(&format!("/spec/template/metadata/annotations/{}", VERSION_ANNOTATION.replace('/', "~1"))),
    })
}

fn charter(objects: &BTreeMap<ObjectKey, Live>, names: &Names) -> Option<crate::model::Charter> {
    let json = ours(objects, Kind::ConfigMap, names.config())?;
    serde_json::from_str(json["data"][CHARTER_KEY].as_str()?).ok()
}

fn pod_facts(pod: &Pod) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    let server = status.container_statuses.iter().flatten().find(|container| container.name == "zookeeper");
    let seconds = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| u64::try_from(time.0.as_second()).ok();
    PodFacts {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        resource_version: pod.resource_version().unwrap_or_default(),
        ip: status.pod_ip.clone(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        since: pod.metadata.creation_timestamp.as_ref().and_then(seconds).unwrap_or_default(),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        revision: pod.labels().get("controller-revision-hash").cloned(),
        running: running(&status, server),
        ready: server.is_some_and(|server| server.ready),
        restarts: server.and_then(|server| u32::try_from(server.restart_count).ok()).unwrap_or_default(),
        trouble: trouble(&status),
        unreadable: server.is_some_and(unreadable),
        asked: asked(pod),
    }
}

/// A pod that was never put on a node runs nothing; of one that was, the kubelet says it.
fn running(status: &PodStatus, server: Option<&ContainerStatus>) -> Option<bool> {
    let unscheduled = status.conditions.iter().flatten().any(|c| c.type_ == "PodScheduled" && c.status == "False");
    match server.and_then(|server| server.state.as_ref()) {
        Some(state) => Some(state.running.is_some()),
        None => unscheduled.then_some(false),
    }
}

/// What somebody wrote on this one pod. What it got from the template has another name.
fn asked(pod: &Pod) -> Option<Asked> {
    match pod.annotations().get(REPLACE_ANNOTATION).map(String::as_str) {
        Some("volume") => Some(Asked::Replace),
        _ => pod.annotations().contains_key(RESTART_ANNOTATION).then_some(Asked::Restart),
    }
}

/// What ZooKeeper logs last when it ends because of its own files (`QuorumPeer.loadDataBase`).
const UNREADABLE: [&str; 2] = ["Unable to load database on disk", "Unable to run quorum server"];

/// A full disk is no damage: a second database would not fit either.
const DISK_FULL: &str = "No space left on device";

fn unreadable(server: &ContainerStatus) -> bool {
    let ends = [server.state.as_ref(), server.last_state.as_ref()];
    let last = ends.into_iter().flatten().find_map(|state| state.terminated.as_ref()?.message.as_deref());
    !server.ready
        && last
            .is_some_and(|message| !message.contains(DISK_FULL) && UNREADABLE.iter().any(|sign| message.contains(sign)))
}

/// What Kubernetes itself says is wrong with a pod.
fn trouble(status: &PodStatus) -> Option<String> {
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("it cannot be scheduled: {}", condition.message.clone().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.filter(|container| !container.ready).find_map(|container| {
        let state = container.state.as_ref()?;
        if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
            let message = gist(ended.message.as_deref().unwrap_or_default());
            return Some(format!("container {} ended with {}: {message}", container.name, ended.exit_code));
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if matches!(reason, "PodInitializing" | "ContainerCreating") {
            return None;
        }
        // What it said when it last stopped is nearer to the cause than "back-off restarting".
        let last =
            container.last_state.as_ref().and_then(|state| state.terminated.as_ref()).and_then(|t| t.message.clone());
        let message = last.or_else(|| waiting.message.clone()).unwrap_or_default();
        Some(format!("container {}: {reason}: {}", container.name, gist(&message)))
    })
}

/// Lines of a log that a condition has room for.
const LINES: usize = 4;

/// The end of a log in one line: without the places in a stack trace, which only those who have the source can read.
fn gist(log: &str) -> String {
    let lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("at ") && !line.starts_with("...")).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" | ")
}

async fn ask(id: ServerId, pod: &PodFacts) -> (ServerId, Fact<MemberTruth>) {
    let fact = match &pod.ip {
        None => Fact::Unknown("its pod has no address yet".to_owned()),
        Some(ip) => {
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
            match http::get_json::<MemberTruth>(&format!("http://{host}:{AGENT_PORT}/v1/member"), AGENT).await {
                Ok(truth) if truth.id == id => Fact::Known(truth),
                Ok(truth) => Fact::Unknown(format!("the agent at its address speaks for member {}", truth.id)),
                Err(error) => Fact::Unknown(format!("its agent does not answer: {error}")),
            }
        }
    };
    (id, fact)
}

fn to_json<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stack_trace_its_causes_are_told_and_not_its_places() {
        let log = "INFO start\nERROR Invalid config, exiting abnormally\nConfigException: Error processing /data/conf/zoo.cfg\n\tat a.B.c(B.java:1)\nCaused by: java.lang.NumberFormatException: For input string: \"soon\"\n\tat d.E.f(E.java:2)\n\t... 2 more\nInvalid config, exiting abnormally\n";
        assert_eq!(
            gist(log),
            "ERROR Invalid config, exiting abnormally | ConfigException: Error processing /data/conf/zoo.cfg | Caused by: java.lang.NumberFormatException: For input string: \"soon\" | Invalid config, exiting abnormally"
        );
    }
}
