//! The types of the custom resources: the spec that users write, and the status that they read. No code here decides
//! anything.

/// A moment, as it stands in a status.
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

mod archive;
mod backup;
mod ensemble;
mod pod_template;
mod proof;
mod restore;
mod schedule;
mod schema;
mod status;
mod store;

pub use archive::{ArchiveSpec, FromSpec, RetentionSpec};
pub use backup::{BackupPhase, BackupStatus, BackupTo, ZooKeeperBackup, ZooKeeperBackupSpec};
pub use ensemble::{
    AclEntry, AgentSpec, ImageSpec, JvmSpec, PullPolicy, Reclaim, ReclaimPolicy, StorageSpec, UpdateMode, UpdatePolicy,
    UpdateWindow, ZooKeeperEnsemble, ZooKeeperEnsembleSpec,
};
pub use pod_template::{PodTemplate, PodTemplateMetadata, PodTemplateSpec};
pub use proof::{BackupsStatus, EndedBackup, ProofLevel, Verified, WantedLevel};
pub use restore::{
    ChangedPolicy, ExistingPolicy, RestoreApplied, RestoreFrom, RestorePhase, RestorePlan, RestoreStatus,
    ZooKeeperRestore, ZooKeeperRestoreSpec,
};
pub use schedule::{BackupTemplate, ScheduleStatus, ZooKeeperBackupSchedule, ZooKeeperBackupScheduleSpec};
pub use schema::{crds, crds_yaml};
pub use status::{
    ArchiveStatus, Endpoints, EnsembleStatus, Guarded, MemberRole, MemberState, MemberStatus, MembershipStatus,
    RecoverabilityPoint,
};
pub use store::{AzureSpec, CaSpec, EncryptionSpec, EncryptionType, GcsSpec, KeysSpec, S3Spec, StoreSpec};

/// The API group of every custom resource.
pub const GROUP: &str = "menagerie.dev";
