//! What people want of the ensemble, and may change at any moment.

use menagerie::api::{ImageSpec, Reclaim, ReclaimPolicy, StorageSpec, ZooKeeperEnsembleSpec};

use menagerie::model::Names;
use serde_json::Value;

use super::kube::names_astray;
use super::names::names;
use super::policy::Policy;

/// A tag under which there is no image.
const BROKEN: &str = "no-such-image";

/// Whether pods of this template cannot be started.
pub fn cannot_start(template: &Value) -> bool {
    let containers = template["spec"]["containers"].as_array().into_iter().flatten();
    containers.filter_map(|container| container["image"].as_str()).any(|image| image.ends_with(BROKEN))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    pub replicas: u32,
    /// Claims are deleted after scaling down.
    pub reclaim: bool,
    /// A configuration that needs a restart.
    pub tick: u32,
    /// How often the restart of every member was asked for.
    pub wish: u32,
    /// When members that serve may be restarted.
    pub policy: Policy,
    /// The image cannot be pulled.
    pub broken: bool,
    /// The operator was told another DNS domain than the cluster's.
    pub astray: bool,
}

impl Spec {
    pub fn of(replicas: u32) -> Self {
        Self { replicas, reclaim: false, tick: 0, wish: 0, policy: Policy::Automatic, broken: false, astray: false }
    }

    /// The names that the operator gives.
    pub fn names(self) -> Names {
        if self.astray { names_astray() } else { names() }
    }

    pub fn to_api(self) -> ZooKeeperEnsembleSpec {
        let policy = if self.reclaim { ReclaimPolicy::Delete } else { ReclaimPolicy::Retain };
        let reclaim = Reclaim { on_scale_down: Some(policy), on_loss: None, on_delete: None };
        let tick = [("tickTime".to_owned(), (2000 + self.tick).to_string())];
        ZooKeeperEnsembleSpec {
            replicas: i32::try_from(self.replicas).unwrap_or(i32::MAX),
            version: "3.9.5".into(),
            storage: Some(StorageSpec { reclaim: Some(reclaim), ..StorageSpec::default() }),
            image: self.broken.then(|| ImageSpec { tag: Some(BROKEN.into()), ..ImageSpec::default() }),
            update_policy: Some(self.policy.to_api()),
            config: (self.tick > 0).then(|| tick.into()),
            ..ZooKeeperEnsembleSpec::default()
        }
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let policy = if self.reclaim { "deleted" } else { "kept" };
        let Self { replicas, tick, wish, broken, .. } = self;
        write!(f, "{replicas} members, claims {policy} after scaling down, configuration {tick}")?;
        if *broken {
            write!(f, ", an image that there is not")?;
        }
        if self.astray {
            write!(f, ", names that resolve nowhere")?;
        }
        if *wish > 0 {
            write!(f, ", restart {wish} of all")?;
        }
        if self.policy == Policy::Automatic { Ok(()) } else { write!(f, ", updates {:?}", self.policy) }
    }
}
