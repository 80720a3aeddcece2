//! Why a member's archive does not go on, and the word of the condition for it.

use crate::archive::access::MountedError;
use crate::archive::shipper::ShipError;
use crate::archive::store::{StoreError, StoreErrorKind};
use crate::model::truth::ArchiveReason;

/// Why nothing is shipped just now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotShipping {
    #[error(transparent)]
    Ship(#[from] ShipError),
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Ca(String),
    #[error("{0}")]
    Keys(String),
    #[error("{0}")]
    NotEncrypted(StoreError),
    #[error("{0}")]
    Disk(String),
}

impl NotShipping {
    /// Whether the same put may end well later. Where the bucket is gone, the chain has to be looked for anew.
    pub fn may_pass(&self) -> bool {
        let gone = |kind| matches!(kind, StoreErrorKind::Missing | StoreErrorKind::NoBucket);
        matches!(self, Self::Ship(ShipError::Store(error)) if !gone(error.kind))
    }

    /// What is said of how an archive was begun.
    pub fn of_beginning(error: StoreError) -> Self {
        if error.kind == StoreErrorKind::NotSealed { Self::NotEncrypted(error) } else { ShipError::Store(error).into() }
    }

    pub fn reason(&self) -> ArchiveReason {
        match self {
            Self::Ship(ShipError::Conflict { .. } | ShipError::Ahead { .. }) => ArchiveReason::Conflict,
            Self::Ship(ShipError::Store(error)) => store(error.kind),
            Self::Ship(ShipError::Damaged { .. }) => ArchiveReason::ArchiveDamaged,
            Self::Ship(ShipError::Read(_)) | Self::Disk(_) => ArchiveReason::DiskUnreadable,
            Self::Config(_) => ArchiveReason::NoCredentials,
            Self::Ca(_) => ArchiveReason::NoCa,
            Self::Keys(_) => ArchiveReason::NoKey,
            Self::NotEncrypted(_) => ArchiveReason::NotEncrypted,
        }
    }
}

impl From<MountedError> for NotShipping {
    fn from(error: MountedError) -> Self {
        match error {
            MountedError::Credentials(words) => Self::Config(words),
            MountedError::Ca(words) => Self::Ca(words),
            MountedError::Keys(error) => Self::Keys(error.to_string()),
        }
    }
}

fn store(kind: StoreErrorKind) -> ArchiveReason {
    match kind {
        StoreErrorKind::Denied => ArchiveReason::AccessDenied,
        StoreErrorKind::NoCredentials => ArchiveReason::NoCredentials,
        StoreErrorKind::NoCa => ArchiveReason::NoCa,
        StoreErrorKind::NoBucket => ArchiveReason::NoSuchBucket,
        StoreErrorKind::NoKey => ArchiveReason::NoKey,
        StoreErrorKind::NotSealed | StoreErrorKind::Changed => ArchiveReason::ArchiveDamaged,
        StoreErrorKind::Missing
        | StoreErrorKind::NotImplemented
        | StoreErrorKind::TooLarge
        | StoreErrorKind::NoAddress
        | StoreErrorKind::Unavailable => ArchiveReason::TargetUnreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both were `TargetUnreachable`, and people looked at their network.
    #[test]
    fn a_missing_bucket_and_missing_credentials_are_no_network() {
        assert_eq!(store(StoreErrorKind::NoBucket), ArchiveReason::NoSuchBucket);
        assert_eq!(store(StoreErrorKind::NoCredentials), ArchiveReason::NoCredentials);
        assert_eq!(store(StoreErrorKind::Unavailable), ArchiveReason::TargetUnreachable);
    }
}
