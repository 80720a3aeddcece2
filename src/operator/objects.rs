//! The objects of an ensemble, read by their names. Every read goes to etcd, never to a cache: the operators that acted on
//! stale lists deleted the volumes of live members (pravega/zookeeper-operator 312, 314).

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, ObjectList};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::Context;
use super::kept::kept;
use super::pods::pod_facts;
use super::timeout::{ApiError, within};
use crate::model::names::{
    BORN_LABEL, ENSEMBLE_LABEL, IDENTITY_LABEL, INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, VERSION_ANNOTATION,
};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::words::{QUOTE, cut};
use crate::model::{ClaimFacts, Hindrance, Hindrances, Live, Names, PodFacts, Seat, SetFacts};

/// Objects that are held whole at the same time. Each may be as long as the API server lets it be, and takes several times
/// that while it is decoded.
static WHOLE: Semaphore = Semaphore::const_new(8);
/// Objects in one answer of a list.
pub const PAGE: u32 = 10;

/// Reads what is there under the names of one ensemble.
pub struct Reader<'a> {
    /// Whom to ask, and what may be there.
    pub context: &'a Context,
    /// The names.
    pub names: &'a Names,
    /// Uid of the custom resource: whose the objects have to be.
    pub uid: &'a str,
    /// What others keep from happening: of these objects it matters who changed them.
    pub hindrances: &'a Hindrances,
}

impl Reader<'_> {
    /// The objects that there is one of, whatever the number of members.
    pub async fn single(&self) -> Result<BTreeMap<ObjectKey, Live>, ApiError> {
        let names = self.names;
        let keys = [
            (Kind::ServiceAccount, names.ensemble.clone()),
            (Kind::Secret, names.super_secret()),
            (Kind::ConfigMap, names.config()),
            (Kind::Service, names.client()),
            (Kind::Service, names.headless()),
            (Kind::PodDisruptionBudget, names.ensemble.clone()),
            (Kind::StatefulSet, names.ensemble.clone()),
        ];
        let found = try_join_all(keys.map(|(kind, name)| self.live(ObjectKey { kind, name }))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The Services of the first `span` members, and those of others of this ensemble.
    pub async fn member_services(&self, span: u32) -> Result<BTreeMap<ObjectKey, Live>, ApiError> {
        let read = |seat| self.live(ObjectKey { kind: Kind::Service, name: self.names.pod(seat) });
        let mut found = self.each(Kind::Service, (0..span).map(Seat::voter), read).await?;
        // A stranger may bear our label. It is in the way only under a name that is needed.
        found.retain(|seat, (_, live)| seat.ordinal < span || live.held().is_some());
        Ok(found.into_values().collect())
    }

    /// The pods of that set: those that it wants, and those that it does not want any more.
    pub async fn pods(&self, set: &SetFacts) -> Result<BTreeMap<Seat, PodFacts>, ApiError> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &self.names.namespace);
        let read = |seat| {
            let (api, name) = (api.clone(), self.names.pod(seat));
            whole(format!("read pod {name}"), async move { api.get_opt(&name).await }, |pod: Pod| {
                let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
                (owner.is_some_and(|owner| owner.uid == set.uid), pod_facts(&pod))
            })
        };
        let found = self.each(Kind::Pod, (0..set.replicas).map(Seat::voter), read).await?;
        Ok(found.into_iter().filter_map(|(seat, (ours, facts))| ours.then_some((seat, facts))).collect())
    }

    /// The claims of these members, and those that others of this ensemble left.
    pub async fn claims(&self, members: impl Iterator<Item = Seat>) -> Result<BTreeMap<Seat, ClaimFacts>, ApiError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.context.client.clone(), &self.names.namespace);
        let read = |seat| {
            let (api, name) = (api.clone(), self.names.claim(seat));
            whole(format!("read claim {name}"), async move { api.get_opt(&name).await }, |claim| {
                self.claim_facts(&claim)
            })
        };
        self.each(Kind::PersistentVolumeClaim, members, read).await
    }

    /// All claims that bear the ensemble's label. Whether it was born before must not hang on what a watch has told so far.
    pub async fn labelled_claims(&self) -> Result<BTreeMap<Seat, ClaimFacts>, ApiError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.context.client.clone(), &self.names.namespace);
        let mut labelled =
            ListParams::default().labels(&format!("{ENSEMBLE_LABEL}={}", self.names.ensemble)).limit(PAGE);
        let mut found = BTreeMap::new();
        loop {
            let page = async { api.list(&labelled).await.map(Some) };
            let facts = |list: ObjectList<PersistentVolumeClaim>| {
                let named = list
                    .items
                    .iter()
                    .filter_map(|claim| Some((self.names.seat_of_claim(&claim.name_any())?, self.claim_facts(claim))));
                (named.collect::<Vec<_>>(), list.metadata.continue_)
            };
            let Some((named, more)) = whole("list claims".to_owned(), page, facts).await? else { break };
            found.extend(named);
            let Some(more) = more.filter(|more| !more.is_empty()) else { break };
            labelled = labelled.continue_token(&more);
        }
        for seat in found.keys() {
            self.context.hints.met(self.names, Kind::PersistentVolumeClaim, *seat);
        }
        Ok(found)
    }

    /// Asks for these members' object of a kind and for those that hints tell of, and keeps the hints true.
    async fn each<T, F>(
        &self,
        kind: Kind,
        expected: impl Iterator<Item = Seat>,
        read: impl Fn(Seat) -> F,
    ) -> Result<BTreeMap<Seat, T>, ApiError>
    where
        F: Future<Output = Result<Option<T>, ApiError>>,
    {
        let hints = &self.context.hints;
        let hinted: BTreeMap<_, _> = hints.of(self.names, kind).into_iter().collect();
        let seats: BTreeSet<Seat> = expected.chain(hinted.keys().copied()).collect();
        let asked = seats.into_iter().map(|seat| (seat, read(seat)));
        let found = try_join_all(asked.map(|(seat, read)| async move { Ok((seat, read.await?)) })).await?;
        let mut there = BTreeMap::new();
        for (seat, object) in found {
            match (object, hinted.get(&seat)) {
                (Some(object), hint) => {
                    if hint.is_none() {
                        hints.met(self.names, kind, seat);
                    }
                    there.insert(seat, object);
                }
                (None, Some(stamp)) => hints.gone(self.names, kind, seat, *stamp),
                (None, None) => {}
            }
        }
        Ok(there)
    }

    /// An object and whose it is, if it is there.
    async fn live(&self, key: ObjectKey) -> Result<Option<(ObjectKey, Live)>, ApiError> {
        let api = objects(self.context, key.kind, &self.names.namespace);
        let what = format!("read {} {}", key.kind.as_str(), key.name);
        // Of an object that is to be deleted the hindrance tells all.
        let disputed = matches!(self.hindrances.objects.get(&key), Some(Hindrance::Overruled(_)));
        let read = async {
            // A password has no business in this process before it is used: `passwords` looks at it once when it changes.
            if key.kind == Kind::Secret {
                Ok(api.get_metadata_opt(&key.name).await?.map(|object| to_json(&object)))
            } else {
                Ok(api.get_opt(&key.name).await?.map(|object| to_json(&object)))
            }
        };
        let live = whole(what, read, |json| match classify(json, self.names, self.uid) {
            Live::Ours(json) => Live::Ours(kept(key.kind, json, self.uid, disputed)),
            Live::Orphan(json) => Live::Orphan(kept(key.kind, json, self.uid, disputed)),
            other => other,
        });
        Ok(live.await?.map(|live| (key, live)))
    }

    fn claim_facts(&self, claim: &PersistentVolumeClaim) -> ClaimFacts {
        let owners = claim.owner_references();
        let of_an_earlier_ensemble =
            owners.iter().any(|owner| owner.kind == "ZooKeeperEnsemble" && owner.uid != self.uid);
        ClaimFacts {
            name: claim.name_any(),
            uid: claim.uid().unwrap_or_default(),
            resource_version: claim.resource_version().unwrap_or_default(),
            identity: claim.labels().get(IDENTITY_LABEL).cloned(),
            born: claim.labels().contains_key(BORN_LABEL),
            going: claim.metadata.deletion_timestamp.is_some() || of_an_earlier_ensemble,
            owned: owners.iter().any(|owner| owner.uid == self.uid),
            instance: claim.labels().get(INSTANCE_LABEL).cloned(),
            ran: claim.annotations().get(VERSION_ANNOTATION).map(|ran| cut(ran, QUOTE)),
            volume: claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()),
            // The API server's own word: the volume that it was bound to does not exist any more.
            lost: (claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"))
                .then(|| "its volume does not exist any more".to_owned()),
            managed: to_json(&claim.metadata.managed_fields),
        }
    }
}

/// Reads something, and gives what is kept of it before others are read.
pub async fn whole<T, K>(
    what: String,
    read: impl Future<Output = kube::Result<Option<T>>>,
    keep: impl FnOnce(T) -> K,
) -> Result<Option<K>, ApiError> {
    // An error would mean that somebody had closed it, and nobody does.
    let _turn = WHOLE.acquire().await;
    Ok(within(what, read).await?.map(keep))
}

/// Whose an object is, by its owners and labels.
fn classify(json: Value, names: &Names, uid: &str) -> Live {
    let owners = json["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let deleted = !json["metadata"]["deletionTimestamp"].is_null();
    let owned = |by: &dyn Fn(&Value) -> bool| owners.iter().any(by);
    if owned(&|owner| owner["uid"] == uid) {
        return if deleted { Live::Leftover } else { Live::Ours(json) };
    }
    if owned(&|owner| owner["kind"] == "ZooKeeperEnsemble" && owner["name"] == names.ensemble.as_str()) {
        return Live::Leftover;
    }
    let labels = &json["metadata"]["labels"];
    let made_here = labels[MANAGED_BY_LABEL] == MANAGED_BY && labels[ENSEMBLE_LABEL] == names.ensemble.as_str();
    if made_here && owners.is_empty() {
        return if deleted { Live::Leftover } else { Live::Orphan(json) };
    }
    let called = |owner: &Value| Some(format!("{} {}", owner["kind"].as_str()?, owner["name"].as_str()?));
    let somebody = owners.iter().find_map(called);
    Live::Foreign {
        owner: somebody.map_or_else(|| "nobody of this operator".to_owned(), |somebody| cut(&somebody, QUOTE)),
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

fn to_json<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whose(metadata: &Value) -> Live {
        let names = Names { ensemble: "zk".into(), namespace: "ns".into(), domain: "cluster.local".into() };
        classify(json!({"metadata": metadata}), &names, "mine")
    }

    #[test]
    fn case_05_what_bears_the_labels_and_has_no_owner_may_be_taken_up_and_nothing_else() {
        let labels = json!({MANAGED_BY_LABEL: MANAGED_BY, ENSEMBLE_LABEL: "zk"});
        let owner = |kind: &str, uid: &str| json!([{"kind": kind, "name": "zk", "uid": uid}]);
        let live = whose(&json!({"labels": labels}));
        assert!(matches!(live, Live::Orphan(_)), "{live:?}");
        let live = whose(&json!({"labels": labels, "deletionTimestamp": "2026-11-26T00:00:00Z"}));
        assert!(matches!(live, Live::Leftover), "{live:?}");
        // The garbage collector takes it, whatever it bears.
        let live = whose(&json!({"labels": labels, "ownerReferences": owner("ZooKeeperEnsemble", "another")}));
        assert!(matches!(live, Live::Leftover), "{live:?}");
        let live = whose(&json!({"labels": labels, "ownerReferences": owner("ZooKeeperEnsemble", "mine")}));
        assert!(matches!(live, Live::Ours(_)), "{live:?}");
        let mut others = vec![json!({"labels": labels, "ownerReferences": owner("Deployment", "d")}), json!({})];
        others.push(json!({"labels": {MANAGED_BY_LABEL: MANAGED_BY, ENSEMBLE_LABEL: "another"}}));
        others.push(json!({"labels": {MANAGED_BY_LABEL: "Helm", ENSEMBLE_LABEL: "zk"}}));
        for metadata in others {
            assert!(matches!(whose(&metadata), Live::Foreign { .. }), "{metadata}");
        }
    }
}
