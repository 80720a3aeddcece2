//! What a user asks for in a tour, and how it shows that it was done.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::cluster::{Ensemble, FLAGS, Space};

/// A part of a tour. Each begins where the one before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Nothing → 3 members.
    Bootstrap,
    /// 3.9.4 → 3.9.5.
    Upgrade,
    /// Every member starts again.
    Roll,
    /// One member gets a new volume.
    Replace,
    /// 3 → 1.
    Shrink,
    /// 1 → 3, onto the claims that were kept.
    Grow,
}

/// The member that gets a new volume.
const REPLACED: &str = "tour-1";

/// Uids by name, of pods and of claims.
#[derive(Debug, Clone, Default)]
pub struct Uids {
    pub pods: BTreeMap<String, String>,
    pub claims: BTreeMap<String, String>,
}

impl Scenario {
    pub const ALL: [Self; 6] = [Self::Bootstrap, Self::Upgrade, Self::Roll, Self::Replace, Self::Shrink, Self::Grow];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Upgrade => "upgrade",
            Self::Roll => "roll",
            Self::Replace => "replace",
            Self::Shrink => "shrink",
            Self::Grow => "grow",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// Members in the end.
    pub fn voters(self) -> u32 {
        if self == Self::Shrink { 1 } else { 3 }
    }

    /// Does what the user does.
    pub async fn ask(self, zk: &Ensemble) {
        let version = if self == Self::Bootstrap { "3.9.4" } else { "3.9.5" };
        let manifest = json!({
            "apiVersion": "menagerie.dev/v1alpha1",
            "kind": "ZooKeeperEnsemble",
            "metadata": {"name": zk.name, "labels": {"menagerie.dev/by": "crash"}},
            "spec": {
                "replicas": self.voters(),
                "version": version,
                "storage": {"size": "1Gi"},
                "jvm": {"heap": "160Mi", "flags": FLAGS},
            },
        });
        match self {
            Self::Bootstrap | Self::Upgrade | Self::Shrink | Self::Grow => {
                let params = PatchParams::apply("crash").force();
                zk.space.ensembles().patch(&zk.name, &params, &Patch::Apply(&manifest)).await.unwrap();
            }
            Self::Roll => {
                zk.space.kubectl(&["annotate", "zke", &zk.name, "menagerie.dev/restart=once"]);
            }
            Self::Replace => {
                zk.space.kubectl(&["annotate", "pod", REPLACED, "menagerie.dev/replace=volume"]);
            }
        }
    }

    /// Whether what was asked for has come about, besides being ready.
    pub fn done(self, before: &Uids, now: &Uids) -> bool {
        let count = self.voters() as usize;
        let all_new = now.pods.iter().all(|(name, uid)| before.pods.get(name) != Some(uid));
        let claim = format!("data-{REPLACED}");
        match self {
            Self::Upgrade | Self::Roll => now.pods.len() == count && all_new,
            Self::Replace => now.claims.contains_key(&claim) && now.claims.get(&claim) != before.claims.get(&claim),
            Self::Bootstrap | Self::Shrink | Self::Grow => now.pods.len() == count,
        }
    }

    /// Claims that are gone although no policy allows it: by uid, one that has the same name now is another one.
    pub fn lost_claims(self, before: &Uids, now: &Uids) -> Vec<String> {
        let allowed = |name: &str| self == Self::Replace && name == format!("data-{REPLACED}");
        let gone = before.claims.iter().filter(|(name, uid)| now.claims.get(*name) != Some(uid) && !allowed(name));
        gone.map(|(name, uid)| format!("{name} ({uid})")).collect()
    }
}

/// What is there now.
pub async fn uids(space: &Space) -> Uids {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
    let pods = space.pods().list(&ListParams::default()).await.unwrap();
    let claims = claims.list(&ListParams::default()).await.unwrap();
    Uids {
        pods: pods.items.iter().map(|pod| (pod.name_any(), pod.uid().unwrap())).collect(),
        claims: claims.items.iter().map(|claim| (claim.name_any(), claim.uid().unwrap())).collect(),
    }
}
