//! The objects of an ensemble, read by their names.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::pods::{other_pod, pod_facts};
use super::{Context, KIND};
use crate::model::generated::GENERATED;
use crate::model::names::{BORN_LABEL, ENSEMBLE_LABEL, IDENTITY_LABEL, INSTANCE_LABEL, VERSION_ANNOTATION};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::words::{NAMED, QUOTE, cut};
use crate::model::{ClaimFacts, Hindrance, Hindrances, Live, Names, OtherPod, PodFacts, Seat, SetFacts};
use crate::operator::kit::read::{self, Owner, pages, to_json, whole};
use crate::operator::kit::timeout::ApiError;

/// Reads the objects with the names of one ensemble.
pub struct Reader<'a> {
    /// Whom to ask, and what may exist.
    pub context: &'a Context,
    /// The names.
    pub names: &'a Names,
    /// Uid of the custom resource that has to own the objects.
    pub uid: &'a str,
    /// What others prevent: for these objects it matters who changed them.
    pub hindrances: &'a Hindrances,
}

impl Reader<'_> {
    /// The objects that exist once, whatever the number of members. One that prunes is asked for where it is wanted, or may be left: its
    /// name may be somebody else's as long as nobody needs it.
    pub async fn single(&self, pruned: bool) -> Result<BTreeMap<ObjectKey, Live>, ApiError> {
        let names = self.names;
        let keys = [
            (Kind::ServiceAccount, names.ensemble.clone()),
            (Kind::ConfigMap, names.config()),
            (Kind::Service, names.client()),
            (Kind::Service, names.headless()),
            (Kind::PodDisruptionBudget, names.ensemble.clone()),
            (Kind::StatefulSet, names.ensemble.clone()),
        ];
        let secrets = GENERATED.iter().map(|secret| (Kind::Secret, (secret.name)(names)));
        let asked = pruned || self.context.memory(names, |memory| memory.hints.has_cron_job());
        let cron_job = asked.then(|| (Kind::CronJob, names.prune()));
        let keys = keys.into_iter().chain(secrets).chain(cron_job);
        let found = try_join_all(keys.map(|(kind, name)| self.live(ObjectKey { kind, name }))).await?;
        let needed = |key: &ObjectKey, live: &Live| pruned || key.kind != Kind::CronJob || live.held().is_some();
        Ok(found.into_iter().flatten().filter(|(key, live)| needed(key, live)).collect())
    }

    /// The Services of the first `span` members, and others of this ensemble.
    pub async fn member_services(&self, span: u32) -> Result<BTreeMap<ObjectKey, Live>, ApiError> {
        let read = |seat| self.live(ObjectKey { kind: Kind::Service, name: self.names.pod(seat) });
        let mut found = self.each(Kind::Service, (0..span).map(Seat::voter), read).await?;
        // A stranger's object may have our label. It is in the way only if it has a name that is needed.
        found.retain(|seat, (_, live)| seat.ordinal < span || live.held().is_some());
        Ok(found.into_values().collect())
    }

    /// The pods of that StatefulSet: those that it wants, and those that it no longer wants. And the pods of others that
    /// have the name of one that it wants, or is to have: so many are asked for.
    pub async fn pods(
        &self,
        set: &SetFacts,
        span: u32,
    ) -> Result<(BTreeMap<Seat, PodFacts>, BTreeMap<Seat, OtherPod>), ApiError> {
        let api: Api<Pod> = Api::namespaced(self.context.kit.client.clone(), &self.names.namespace);
        let read = |seat| {
            let (api, name) = (api.clone(), self.names.pod(seat));
            whole(format!("read pod {name}"), async move { api.get_opt(&name).await }, |pod: Pod| {
                other_pod(&pod, set, self.names).map_or_else(|| Ok(pod_facts(&pod)), Err)
            })
        };
        let found = self.each(Kind::Pod, (0..set.replicas.max(span)).map(Seat::voter), read).await?;
        let (mut ours, mut others) = (BTreeMap::new(), BTreeMap::new());
        for (seat, pod) in found {
            match pod {
                Ok(facts) => _ = ours.insert(seat, facts),
                Err(other) if seat.ordinal < set.replicas.max(span) => _ = others.insert(seat, other),
                Err(_) => {}
            }
        }
        Ok((ours, others))
    }

    /// The claims of these members, and those that other members of this ensemble left.
    pub async fn claims(&self, members: impl Iterator<Item = Seat>) -> Result<BTreeMap<Seat, ClaimFacts>, ApiError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.context.kit.client.clone(), &self.names.namespace);
        let read = |seat| {
            let (api, name) = (api.clone(), self.names.claim(seat));
            whole(format!("read claim {name}"), async move { api.get_opt(&name).await }, |claim| {
                self.claim_facts(&claim)
            })
        };
        self.each(Kind::PersistentVolumeClaim, members, read).await
    }

    /// All claims with the ensemble's label. Whether it was born before must not depend on what a watch has reported so
    /// far.
    pub async fn labelled_claims(&self) -> Result<BTreeMap<Seat, ClaimFacts>, ApiError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.context.kit.client.clone(), &self.names.namespace);
        let labelled = ListParams::default().labels(&format!("{ENSEMBLE_LABEL}={}", self.names.ensemble));
        let named = |claim: &PersistentVolumeClaim| {
            Some((self.names.seat_of_claim(&claim.name_any())?, self.claim_facts(claim)))
        };
        let found: BTreeMap<Seat, ClaimFacts> =
            pages("list claims", &api, labelled, named).await?.into_iter().collect();
        self.context.memory(self.names, |memory| {
            for seat in found.keys() {
                memory.hints.met(Kind::PersistentVolumeClaim, *seat);
            }
        });
        Ok(found)
    }

    /// Asks for the objects of a kind of these members and of those that the hints name, and corrects the hints.
    async fn each<T, F>(
        &self,
        kind: Kind,
        expected: impl Iterator<Item = Seat>,
        read: impl Fn(Seat) -> F,
    ) -> Result<BTreeMap<Seat, T>, ApiError>
    where
        F: Future<Output = Result<Option<T>, ApiError>>,
    {
        let hinted = self.context.memory(self.names, |memory| memory.hints.of(kind));
        let seats: BTreeSet<Seat> = expected.chain(hinted.keys().copied()).collect();
        let asked = seats.into_iter().map(|seat| (seat, read(seat)));
        let found = asked.map(|(seat, read)| async move { Ok::<_, ApiError>((seat, read.await?)) });
        let found = try_join_all(found).await?;
        self.context.memory(self.names, |memory| {
            for (seat, object) in &found {
                match (object, hinted.get(seat)) {
                    (Some(_), None) => memory.hints.met(kind, *seat),
                    (None, Some(stamp)) => memory.hints.gone(kind, *seat, *stamp),
                    (Some(_), Some(_)) | (None, None) => {}
                }
            }
        });
        Ok(found.into_iter().filter_map(|(seat, object)| Some((seat, object?))).collect())
    }

    /// An object and its owner, if it exists.
    async fn live(&self, key: ObjectKey) -> Result<Option<(ObjectKey, Live)>, ApiError> {
        let owner = Owner { kind: KIND, label: ENSEMBLE_LABEL, name: &self.names.ensemble, uid: self.uid };
        // For an object that is to be deleted, the hindrance says everything.
        let disputed = matches!(self.hindrances.objects.get(&key), Some(Hindrance::Overruled(_)));
        let found = read::live(&self.context.kit.client, &self.names.namespace, &key, owner, disputed).await?;
        Ok(found.map(|live| (key, live)))
    }

    fn claim_facts(&self, claim: &PersistentVolumeClaim) -> ClaimFacts {
        let owners = claim.owner_references();
        let of_an_earlier_ensemble = owners.iter().any(|owner| owner.kind == KIND && owner.uid != self.uid);
        ClaimFacts {
            name: claim.name_any(),
            uid: claim.uid().unwrap_or_default(),
            resource_version: claim.resource_version().unwrap_or_default(),
            identity: claim.labels().get(IDENTITY_LABEL).cloned(),
            born: claim.labels().contains_key(BORN_LABEL),
            going: claim.metadata.deletion_timestamp.is_some() || of_an_earlier_ensemble,
            finalizers: claim.metadata.deletion_timestamp.as_ref().map_or_else(Vec::new, |_| holders(claim)),
            owned: owners.iter().any(|owner| owner.uid == self.uid),
            instance: claim.labels().get(INSTANCE_LABEL).cloned(),
            ran: claim.annotations().get(VERSION_ANNOTATION).map(|ran| cut(ran, QUOTE)),
            volume: claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()),
            // The API server itself says that the volume no longer exists.
            lost: (claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"))
                .then(|| "its volume does not exist any more".to_owned()),
            managed: to_json(&claim.metadata.managed_fields),
        }
    }
}

/// Who may keep a claim from going. Kubernetes' own keeps it only as long as a pod uses it.
fn holders(claim: &PersistentVolumeClaim) -> Vec<String> {
    let others = claim.finalizers().iter().filter(|name| *name != "kubernetes.io/pvc-protection");
    others.take(NAMED).map(|name| cut(name, QUOTE)).collect()
}
