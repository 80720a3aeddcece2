//! How well an archive is proved by its backups, and what became of them: parts of several statuses.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well a backup is proved. Each level includes those before it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofLevel {
    /// Every hash, and every place in the chains. The servers write no digests, so that the tree is built and compared with nothing.
    Log,
    /// The tree is built, and every digest that the servers wrote on the way is that of the tree.
    Replay,
    /// It is built a second time, by the log of one disk alone and from another base where there is one, and has the same hash.
    TwoWays,
    /// A real server of the ensemble's release starts from it, and serves the same znodes. The second way as well, where there is one.
    Server,
}

impl ProofLevel {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::Log, Self::Replay, Self::TwoWays, Self::Server];

    /// As it stands in a status, and in the label of a metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "Log",
            Self::Replay => "Replay",
            Self::TwoWays => "TwoWays",
            Self::Server => "Server",
        }
    }
}

/// How well a backup is to be proved.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedLevel {
    /// The tree is built, and every digest of the servers compared with it.
    #[default]
    Replay,
    /// It is built a second time by another way, if the archive has one.
    TwoWays,
    /// That too, and a real server starts from it.
    Server,
}

impl WantedLevel {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Replay, Self::TwoWays, Self::Server];

    /// As it stands in a spec, and in an argument.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "Replay",
            Self::TwoWays => "TwoWays",
            Self::Server => "Server",
        }
    }
}

/// How well a backup was proved, and when.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Log, Replay, `TwoWays`, or Server.
    pub level: ProofLevel,
    /// When that was seen.
    pub at: Time,
}

/// What is known of the backups of an ensemble that have ended. It stays when they are deleted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupsStatus {
    /// The one that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedBackup>,
    /// The archive that the proofs are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Of each level the last one that proved the archive, and the last one that found it not to be whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<EndedBackup>,
}

/// A backup that has ended.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EndedBackup {
    /// Its name.
    pub name: String,
    /// When it was seen to have ended.
    pub ended: Time,
    /// The last transaction that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zxid: Option<String>,
    /// How well it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<ProofLevel>,
    /// Why it failed; absent where it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its condition says.
    pub message: String,
}
