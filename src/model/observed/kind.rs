//! The kinds of objects that the operator reads, writes and watches: one table. What is watched, where it is asked for and what
//! is kept of it are derived from here.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::model::charter::{CHARTER_KEY, STATIC_KEY};

/// Kind and name of an object in the ensemble's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// The kinds that an ensemble owns, in the order in which they are applied: what a pod needs comes before pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The members' account, without a token.
    ServiceAccount,
    /// The super user's password.
    Secret,
    /// Static configuration and charter.
    ConfigMap,
    /// For clients, for the set, and one a member.
    Service,
    /// Limits voluntary disruptions.
    PodDisruptionBudget,
    /// A member's claim, made by the `StatefulSet` controller.
    PersistentVolumeClaim,
    /// A member's pod, made by the `StatefulSet` controller; only ever deleted.
    Pod,
    /// The members. Always the last: pods are made only behind everything that they need.
    StatefulSet,
}

/// What Kubernetes calls a kind, and what is kept of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// `apps`; empty for the core.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// Both, as they stand in an object: `apps/v1`.
    pub api_version: &'static str,
    /// `StatefulSet`.
    pub kind: &'static str,
    /// `statefulsets`, as in addresses and in rights.
    pub plural: &'static str,
    /// What is rendered of such an object, and what decisions look at, beside its metadata.
    pub fields: &'static [Field],
}

/// A field of an object, and what of it: all, or these keys alone.
pub type Field = (&'static str, Option<&'static [&'static str]>);

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; Self::StatefulSet as usize + 1] = [
        Self::ServiceAccount,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::PersistentVolumeClaim,
        Self::Pod,
        Self::StatefulSet,
    ];

    /// The table.
    pub const fn row(self) -> Row {
        match self {
            Self::ServiceAccount => row::<ServiceAccount>(&[("automountServiceAccountToken", None)]),
            // Of a Secret there is the metadata alone.
            Self::Secret => row::<Secret>(&[]),
            Self::ConfigMap => row::<ConfigMap>(&[("data", Some(&[CHARTER_KEY, STATIC_KEY]))]),
            Self::Service => row::<Service>(&[("spec", None)]),
            Self::PodDisruptionBudget => row::<PodDisruptionBudget>(&[("spec", None)]),
            // Claims and pods are read into facts.
            Self::PersistentVolumeClaim => row::<PersistentVolumeClaim>(&[]),
            Self::Pod => row::<Pod>(&[]),
            Self::StatefulSet => {
                row::<StatefulSet>(&[("spec", None), ("status", Some(&["observedGeneration", "updateRevision"]))])
            }
        }
    }

    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        self.row().kind
    }
}

const fn row<K: Resource>(fields: &'static [Field]) -> Row {
    Row {
        group: K::GROUP,
        version: K::VERSION,
        api_version: K::API_VERSION,
        kind: K::KIND,
        plural: K::URL_PATH_SEGMENT,
        fields,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_at_its_own_place_of_the_order() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
    }
}
