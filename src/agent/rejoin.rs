//! Keeps a joiner startable: the server rewrites its list without itself as soon as it meets the leader, and exits on a
//! restart in place ("My id 4 not in the peer list"), where `prepare` does not run again.
//!
//! Invariants: nothing is written while the server answers on either port, or while the record names this member.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::model::ServerId;

use super::prepare::{Plan, configure};
use super::record::Records;
use super::seed::Seed;
use super::serve::Agent;
use super::volume::{Volume, VolumeError};

/// The kubelet restarts a container the first time at once, and its server reads `zoo.cfg` within a second.
const PERIOD: Duration = Duration::from_millis(500);
/// From one writing to the next.
const PAUSE: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);

/// Where the seed and the super user's password are mounted.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// The `ConfigMap`.
    pub seed: PathBuf,
    /// The Secret.
    pub secret: PathBuf,
}

/// Watches over the member for as long as the agent runs.
pub async fn watch(agent: Arc<Agent>, mounts: Mounts) {
    let mut last = None;
    loop {
        sleep(PERIOD).await;
        let outcome = attempt(&agent, &mounts).await;
        if let Err(reason) = &outcome
            && last.as_ref() != Some(reason)
        {
            warn!(%reason, "cannot keep this joiner startable");
        }
        let wrote = matches!(outcome, Ok(true));
        last = outcome.err();
        if wrote {
            sleep(PAUSE).await;
        }
    }
}

/// Whether anything was written.
async fn attempt(agent: &Agent, mounts: &Mounts) -> Result<bool, String> {
    let id = agent.id;
    if !agent.disk(move |volume| lost(volume, id)).await? || answers(agent).await {
        return Ok(false);
    }
    let mounts = mounts.clone();
    let written = agent.disk(move |volume| Ok(rewrite(volume, &mounts, id))).await??;
    if let Some(plan) = &written {
        info!(version = %plan.using.version, from = ?plan.from, "the server stopped as a joiner: its list names it again");
    }
    Ok(written.is_some())
}

/// Whether the record, if there is one, lacks this member.
fn lost(volume: &Volume, id: ServerId) -> Result<bool, VolumeError> {
    let records = Records::read(&volume.look()?.dynamics);
    Ok(records.newest.is_some_and(|newest| !newest.contains(id)))
}

fn rewrite(volume: &Volume, mounts: &Mounts, id: ServerId) -> Result<Option<Plan>, String> {
    let seed = Seed::read(&mounts.seed, &mounts.secret).map_err(|e| e.to_string())?;
    let found = volume.look().map_err(|e| e.to_string())?;
    let plan = configure(&found, &seed, id, &volume.root()).map_err(|e| e.to_string())?;
    if volume.holds(&plan.changes) {
        return Ok(None);
    }
    volume.apply(&plan.changes).map_err(|e| e.to_string())?;
    Ok(Some(plan))
}

/// Whether anything listens: only a refused connection proves that there is no server that could be writing as well.
async fn answers(agent: &Agent) -> bool {
    let admin = agent.place.admin.trim_start_matches("http://").trim_end_matches('/');
    for address in [admin, &agent.place.client] {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {}
            _ => return true,
        }
    }
    false
}
