//! Reads everything that a decision needs, and decides nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::join_all;
use futures::try_join;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

use super::objects::Reader;
use super::{Context, passwords, refusals, surroundings};
use crate::agent::client;
use crate::api::ZooKeeperEnsemble;
use crate::model::charter::CHARTER_KEY;
use crate::model::names::{IDENTITY_LABEL, REQUEST_ANNOTATIONS, VERSION_ANNOTATION};
use crate::model::observed::{Kind, ObjectKey, PasswordFacts};
use crate::model::{
    Desired, Live, MemberTruth, Names, Observation, PodFacts, Pool, Requests, Seat, ServerId, SetFacts,
};
use crate::operator::kit::timeout::ApiError;

/// Everything about one ensemble.
pub async fn observe(context: &Context, ensemble: &ZooKeeperEnsemble) -> Result<Observation, ApiError> {
    let names = Names {
        ensemble: ensemble.name_any(),
        namespace: ensemble.namespace().unwrap_or_default(),
        domain: context.cluster_domain.clone(),
    };
    let uid = ensemble.uid().unwrap_or_default();
    let hindrances = context.memory(&names, |memory| memory.notes.hindrances(Instant::now()));
    let reader = Reader { context, names: &names, uid: &uid, hindrances: &hindrances };
    let pruned = ensemble.spec.archive.as_ref().is_some_and(|archive| archive.retention.is_some());
    let objects = reader.single(pruned).await?;
    let mut seen = Observation {
        now: u64::try_from(Timestamp::now().as_second()).unwrap_or_default(),
        requests: requests(ensemble),
        nodes: BTreeMap::new(),
        uid: uid.clone(),
        generation: ensemble.metadata.generation.unwrap_or_default(),
        asked: u32::try_from(ensemble.spec.replicas).unwrap_or_default(),
        desired: Desired::from_spec(&ensemble.spec),
        status: ensemble.status.clone().unwrap_or_default(),
        operator: context.operator.clone(),
        sets: set_facts(&objects, &names).map(|set| (Pool::Voters, set)).into_iter().collect(),
        pods: BTreeMap::new(),
        claims: BTreeMap::new(),
        members: BTreeMap::new(),
        charter: charter(&objects, &names),
        objects,
        password: PasswordFacts::default(),
        hindrances: hindrances.clone(),
        restoring: context.holds.of(&names.namespace, &names.ensemble),
        backups: context.ended.of(
            &names.namespace,
            &names.ensemble,
            ensemble.metadata.creation_timestamp.as_ref().map(|created| created.0),
        ),
        names: names.clone(),
    };
    if let Some(set) = seen.set(Pool::Voters) {
        // An ephemeral member has no claim, unless one was left from before.
        let first = if set.identity.is_some() { 0 } else { set.replicas };
        let members = (first..seen.span()).map(Seat::voter);
        let (services, pods, claims) =
            try_join!(reader.member_services(seen.span()), reader.pods(set, seen.span()), reader.claims(members))?;
        (seen.pods, seen.hindrances.in_the_way) = pods;
        (seen.claims, seen.objects) = (claims, seen.objects.into_iter().chain(services).collect());
    } else {
        seen.claims = reader.labelled_claims().await?;
        let (services, claims) =
            try_join!(reader.member_services(seen.span()), reader.claims((0..seen.span()).map(Seat::voter)))?;
        seen.claims.extend(claims);
        seen.objects.extend(services);
    }
    passwords::look(context, &mut seen).await;
    surroundings::look(context, &mut seen).await;
    refusals::look(context, &mut seen).await;
    let asked = seen.pods.iter().map(|(seat, pod)| async { (ServerId::from(*seat), ask(pod).await) });
    let answers = join_all(asked).await.into_iter();
    seen.members = answers.map(|(id, answer)| (id, seen.believed(id, answer))).collect();
    Ok(seen)
}

/// One list says what is read here and what the store keeps: an annotation that it did not keep was never heard.
fn requests(ensemble: &ZooKeeperEnsemble) -> Requests {
    let [restart, approved, accept_loss] = REQUEST_ANNOTATIONS.map(|key| ensemble.annotations().get(key).cloned());
    Requests { restart, approved, accept_loss }
}

fn ours(objects: &BTreeMap<ObjectKey, Live>, kind: Kind, name: String) -> Option<&Value> {
    objects.get(&ObjectKey { kind, name })?.held()
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

async fn ask(pod: &PodFacts) -> Result<MemberTruth, String> {
    let ip = pod.ip.as_ref().ok_or("its pod has no address yet")?;
    let answer = client::member(ip, client::PATIENCE).await;
    answer.map_err(|error| format!("its agent does not answer: {error}"))
}
