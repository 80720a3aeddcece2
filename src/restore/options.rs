//! What a user decides about a restore.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zookeeper_files::ids::Zxid;

/// What happens to a znode that exists and differs from the wanted one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Existing {
    /// It stays as it is.
    #[default]
    Keep,
    /// It stays as it is if its data was set after this transaction, else it becomes as it was.
    KeepNewer {
        /// That transaction.
        than: Zxid,
    },
    /// It becomes as it was.
    Overwrite,
    /// It becomes as it was before this transaction, if it is still as that left it.
    Undo {
        /// That transaction.
        of: Zxid,
    },
}

/// Whether the wanted tree and the ensemble have the same history.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lineage {
    /// They have: the identities are the same, or the user says so.
    Same,
    /// They have not: a zxid of one means nothing in the other.
    Other,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// As whom the ensemble is changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// The super user, whom no ACL stops.
    Super,
    /// As anybody, with the rights that everybody has.
    #[default]
    Anyone,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// What happens to znodes that exist and differ.
    pub existing: Existing,
    /// Whether znodes of the scope that were not there at the point are deleted.
    pub delete_extra: bool,
    /// Whether zxids can be compared.
    pub lineage: Lineage,
    /// As whom.
    pub access: Access,
    /// Whether sequence counters that would be lower than they were are raised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raise_counters: bool,
    /// Whether the limits of quotas come back as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quotas: bool,
}

/// What cannot be asked for.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum OptionsError {
    /// `KeepNewer` between two histories.
    #[error(
        "keep-newer compares zxids, which mean something only within one ensemble's history, and these are of another one: use keep or overwrite"
    )]
    OtherLineage,
    /// `KeepNewer`, and nobody has said that the histories are the same.
    #[error(
        "keep-newer compares zxids: say with --same-ensemble that these files are of the ensemble that is restored to, or use keep or overwrite"
    )]
    UnknownLineage,
    /// `KeepNewer` after it was claimed that the histories are the same, and a znode shows that they are not.
    #[error(
        "keep-newer compares zxids, and these files are of another ensemble: {path} was created by the same transaction at another time; use keep or overwrite"
    )]
    ShownOther {
        /// The znode.
        path: String,
    },
    /// An undo of what was done to another ensemble.
    #[error("a transaction of another ensemble cannot be undone in this one: its zxid means nothing here")]
    UndoesOther,
    /// An undo, and nobody has said that the histories are the same.
    #[error(
        "an undo compares zxids: say with --same-ensemble that these files are of the ensemble in which the transaction is undone"
    )]
    UndoesUnknown,
    /// An undo after it was claimed that the histories are the same, and a znode shows that they are not.
    #[error(
        "these files are of another ensemble, where the transaction means nothing: {path} was created by the same transaction at another time"
    )]
    UndoesShownOther {
        /// The znode.
        path: String,
    },
    /// Extra znodes are newer than the point, and existing.
    #[error(
        "what was not there at the point is deleted only with overwrite: it came later, so keep and keep-newer keep it"
    )]
    DeletesWhatIsKept,
    /// Quotas without the super user.
    #[error("only the super user sets quotas, as they are made here: give its password, or leave the quotas out")]
    QuotasNeedSuper,
    /// An undo with quotas.
    #[error("an undo brings back what one transaction changed, and no quotas: restore those at a point")]
    UndoesNoQuotas,
}

impl Options {
    /// Whether they go together.
    pub fn check(&self) -> Result<(), OptionsError> {
        match (self.existing, self.lineage) {
            (Existing::KeepNewer { .. }, Lineage::Other) => Err(OptionsError::OtherLineage),
            (Existing::KeepNewer { .. }, Lineage::Unknown) => Err(OptionsError::UnknownLineage),
            (Existing::Undo { .. }, Lineage::Other) => Err(OptionsError::UndoesOther),
            (Existing::Undo { .. }, Lineage::Unknown) => Err(OptionsError::UndoesUnknown),
            // An undo deletes what its transaction has created, and nothing else.
            (Existing::Keep | Existing::KeepNewer { .. } | Existing::Undo { .. }, _) if self.delete_extra => {
                Err(OptionsError::DeletesWhatIsKept)
            }
            (Existing::Undo { .. }, _) if self.quotas => Err(OptionsError::UndoesNoQuotas),
            _ if self.quotas && self.access != Access::Super => Err(OptionsError::QuotasNeedSuper),
            _ => Ok(()),
        }
    }
}
