//! The kinds of objects that the operator reads, writes and watches, in one table. What is watched, requested and kept
//! of them follows from it.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::api::GROUP;
use crate::model::archive::{ARCHIVE_KEY, ENCRYPTED_ARCHIVE_KEY};
use crate::model::charter::{ADDRESSES_KEY, CHARTER_KEY, STATIC_KEY};

/// Kind and name of an object in the ensemble's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// The kinds that the operator writes or watches. Those of an ensemble are in the order in which they are applied: what a pod needs
/// comes before pods.
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
    /// A member's claim, created by the `StatefulSet` controller.
    PersistentVolumeClaim,
    /// A member's pod, created by the `StatefulSet` controller; the operator only deletes it.
    Pod,
    /// The members. Pods are created only after everything that they need.
    StatefulSet,
    /// What deletes from its archive. No pod needs it.
    CronJob,
    /// Heavy work that belongs into no member's pod.
    Job,
    /// A backup: a schedule creates it, and it goes when it expires.
    Backup,
}

/// What Kubernetes calls a kind, and what is kept of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceInfo {
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
    /// The fields that are rendered or that decisions need, besides the metadata.
    pub fields: &'static [Field],
}

/// A field of an object, and which part of it: all, or only these keys.
pub type Field = (&'static str, Option<&'static [&'static str]>);

impl Kind {
    /// What an ensemble owns.
    pub const OF_ENSEMBLE: [Self; 9] = [
        Self::ServiceAccount,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::PersistentVolumeClaim,
        Self::Pod,
        Self::StatefulSet,
        Self::CronJob,
    ];
    /// What a restore owns.
    pub const OF_RESTORE: [Self; 1] = [Self::Job];
    /// What a backup owns.
    pub const OF_BACKUP: [Self; 1] = [Self::Job];
    /// What a schedule makes.
    pub const OF_SCHEDULE: [Self; 1] = [Self::Backup];

    /// The table.
    pub const fn resource(self) -> ResourceInfo {
        match self {
            Self::ServiceAccount => resource::<ServiceAccount>(&[("automountServiceAccountToken", None)]),
            // Of a Secret there is the metadata alone.
            Self::Secret => resource::<Secret>(&[]),
            Self::ConfigMap => resource::<ConfigMap>(&[(
                "data",
                Some(&[ADDRESSES_KEY, ARCHIVE_KEY, ENCRYPTED_ARCHIVE_KEY, CHARTER_KEY, STATIC_KEY]),
            )]),
            Self::Service => resource::<Service>(&[("spec", None)]),
            Self::PodDisruptionBudget => resource::<PodDisruptionBudget>(&[("spec", None)]),
            // Claims and pods are read into facts.
            Self::PersistentVolumeClaim => resource::<PersistentVolumeClaim>(&[]),
            Self::Pod => resource::<Pod>(&[]),
            Self::StatefulSet => {
                resource::<StatefulSet>(&[("spec", None), ("status", Some(&["observedGeneration", "updateRevision"]))])
            }
            // It is read as what it is.
            Self::Backup => ResourceInfo {
                group: GROUP,
                version: "v1alpha1",
                api_version: "menagerie.dev/v1alpha1",
                kind: "ZooKeeperBackup",
                plural: "zookeeperbackups",
                fields: &[],
            },
            Self::CronJob => {
                resource::<CronJob>(&[("spec", None), ("status", Some(&["lastScheduleTime", "lastSuccessfulTime"]))])
            }
            // It is created once, and never compared.
            Self::Job => {
                resource::<Job>(&[("spec", Some(&["suspend"])), ("status", Some(&["conditions", "startTime"]))])
            }
        }
    }

    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        self.resource().kind
    }
}

const fn resource<K: Resource>(fields: &'static [Field]) -> ResourceInfo {
    ResourceInfo {
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
        for (place, kind) in Kind::OF_ENSEMBLE.into_iter().chain(Kind::OF_RESTORE).chain(Kind::OF_SCHEDULE).enumerate()
        {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
    }
}
