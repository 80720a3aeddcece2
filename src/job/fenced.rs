//! The ensemble, as a pod of a restore's Job may change it: as long as no other pod has taken a later turn.

use std::time::Duration;

use crate::archive::turns::Turn;
use crate::restore::live::LiveZnode;
use crate::restore::operation::Operation;
use crate::restore::znodes::{Failure, Znodes};

/// Znodes that are read anew, and so planned anew, only while it is this pod's turn.
pub(super) struct Fenced<Z> {
    /// The ensemble.
    pub znodes: Z,
    /// The pod's turn.
    pub turn: Turn,
}

impl<Z: Znodes> Znodes for Fenced<Z> {
    async fn refresh(&self) -> Result<(), Failure> {
        match self.turn.is_last().await {
            Ok(true) => self.znodes.refresh().await,
            // Not for good: an exit code that says so would end the Job, and with it the other pod.
            Ok(false) => Err(Failure::Unknown("another pod of this restore has begun, and goes on alone".to_owned())),
            Err(error) => Err(Failure::Unknown(error.to_string())),
        }
    }

    async fn get(&self, path: &str) -> Result<Option<LiveZnode>, Failure> {
        self.znodes.get(path).await
    }

    async fn is_ephemeral(&self, path: &str) -> Result<Option<bool>, Failure> {
        self.znodes.is_ephemeral(path).await
    }

    async fn data(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.znodes.data(path).await
    }

    async fn children(&self, path: &str) -> Result<Option<Vec<String>>, Failure> {
        self.znodes.children(path).await
    }

    async fn pause(&self, time: Duration) {
        self.znodes.pause(time).await;
    }

    async fn perform(&self, operation: &Operation, data: &[u8]) -> Result<(), Failure> {
        self.znodes.perform(operation, data).await
    }
}
