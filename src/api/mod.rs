//! The wire types: what users write and read. Nothing here decides anything.

mod ensemble;
mod pod_template;
mod schema;
mod status;

pub use ensemble::{
    AclEntry, AgentSpec, ImageSpec, JvmSpec, PullPolicy, Reclaim, ReclaimPolicy, StorageSpec, UpdateMode, UpdatePolicy,
    UpdateWindow, ZooKeeperEnsemble, ZooKeeperEnsembleSpec,
};
pub use pod_template::{PodTemplate, PodTemplateMetadata, PodTemplateSpec};
pub use schema::{crds, crds_yaml};
pub use status::{Endpoints, EnsembleStatus, Guarded, MemberRole, MemberState, MemberStatus, MembershipStatus};

/// The API group of every custom resource.
pub const GROUP: &str = "menagerie.dev";
