//! A queue to a member's volume.
//!
//! Invariant: a disk that hangs costs one thread, and not one for each question. Everything is done to the disk on one
//! thread, one thing at a time, and whoever waits for longer than [`PATIENCE`] gives up. Each task has a queue of its
//! own, so that a long write delays no probe.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::volume::{Volume, VolumeError};

/// A directory listing and a few small files, mostly cached.
const PATIENCE: Duration = Duration::from_secs(2);

/// One who reads a volume, or writes to it.
pub struct Queue {
    volume: Volume,
    turn: Arc<Semaphore>,
}

impl Queue {
    /// A new one to that volume.
    pub fn to(volume: Volume) -> Self {
        Self { volume, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Does something with the volume, within [`PATIENCE`] or not at all.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volume) -> Result<T, VolumeError> + Send + 'static,
    ) -> Result<T, String> {
        let volume = self.volume.clone();
        let queue = Arc::clone(&self.turn);
        let turn = async move {
            let turn = queue.acquire_owned().await.map_err(|e| e.to_string())?;
            let done = spawn_blocking(move || {
                let outcome = work(&volume).map_err(|e| e.to_string());
                drop(turn);
                outcome
            });
            done.await.map_err(|e| e.to_string())?
        };
        match timeout(PATIENCE, turn).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("the data volume does not answer within {} s", PATIENCE.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_hangs_costs_one_thread_a_queue_and_holds_up_no_other() {
        let volume = Volume::at(std::path::Path::new("/nonexistent"));
        let (queue, other) = (Arc::new(Queue::to(volume.clone())), Queue::to(volume));
        let (hang, release) = mpsc::channel::<()>();
        let (signal, busy) = oneshot::channel();
        let stuck = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.run(move |_| Ok((signal.send(()), release.recv().is_ok()).1)).await }
        });
        busy.await.unwrap();
        assert_eq!(other.run(|_| Ok(7)).await, Ok(7));
        let error = queue.run(|_| Ok(7)).await.unwrap_err();
        assert_eq!(error, "the data volume does not answer within 2 s");
        assert_eq!(stuck.await.unwrap().unwrap_err(), error);
        drop(hang);
        assert_eq!(queue.run(|_| Ok(7)).await, Ok(7));
    }
}
