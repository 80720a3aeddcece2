//! The agent's HTTP interface: probes for the kubelet, the member's truth for the operator.
//!
//! Invariants: every answer comes within a probe's three seconds, also when the disk hangs: it is read on a thread of its
//! own, by one reader at a time, so that a hung disk costs one thread and not one a probe. Liveness reads no disk at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::model::truth::{Disk, Mode, Server};
use crate::model::{MemberTruth, ServerId};
use crate::zk::fourletter;

use super::prepare;
use super::seed::{Mounts, Seed};
use super::truth::{self, Place};
use super::volume::{Volume, VolumeError};

/// A server that does not answer `ruok` for this long is taken for hung.
const RUOK: Duration = Duration::from_secs(2);

/// A directory listing and a few small files, most of the time cached.
const DISK: Duration = Duration::from_secs(2);

/// How long a leader whose pod is being deleted is held up for another to lead: one round of the operator takes a second.
const HAND_OVER: Duration = Duration::from_secs(5);
/// After that, for its successor to be established: an election takes a quarter of a second. When everybody is being deleted
/// there is none.
const SUCCESSION: Duration = Duration::from_millis(1500);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One member, its server and its disk.
#[derive(Debug)]
pub struct Agent {
    /// Its id.
    pub id: ServerId,
    /// Where its server listens.
    pub place: Place,
    volume: Volume,
    mounts: Option<Mounts>,
    reader: Arc<Semaphore>,
    served: Mutex<Instant>,
}

impl Agent {
    /// The agent of that member.
    pub fn new(id: ServerId, place: Place, volume: Volume, mounts: Option<Mounts>) -> Self {
        let served = Mutex::new(Instant::now());
        Self { id, place, volume, mounts, reader: Arc::new(Semaphore::new(1)), served }
    }

    /// For how many seconds the server has not served, as far as this agent saw.
    fn stalled(&self, server: &Server) -> Option<u64> {
        let mut last = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(server, Server::Serving(_)) {
            *last = Instant::now();
            return None;
        }
        Some(last.elapsed().as_secs())
    }

    /// What the disk says, and what a server that does not serve has to be started anew for.
    async fn look(&self) -> Result<(Disk, Option<String>), String> {
        let (id, mounts) = (self.id, self.mounts.clone());
        self.disk(move |volume| {
            // What is mounted is replaced now and then: a moment without it says nothing.
            let seed = mounts.and_then(|mounts| Seed::read(&mounts).ok());
            let (started_with, found) = (volume.zoo_cfg()?, volume.look()?);
            let outdated = seed.as_ref().and_then(|seed| prepare::unknown(started_with.as_ref()?, seed));
            let late = seed.and_then(|seed| prepare::outdated(&found, &seed, id));
            Ok((Disk { outdated, ..volume.disk(found)? }, late))
        })
        .await
    }

    /// Does something with the disk, within [`DISK`] or not at all.
    pub async fn disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volume) -> Result<T, VolumeError> + Send + 'static,
    ) -> Result<T, String> {
        let volume = self.volume.clone();
        let reader = Arc::clone(&self.reader);
        let turn = async move {
            let turn = reader.acquire_owned().await.map_err(|e| e.to_string())?;
            let read = spawn_blocking(move || {
                let outcome = work(&volume).map_err(|e| e.to_string());
                drop(turn);
                outcome
            });
            read.await.map_err(|e| e.to_string())?
        };
        match timeout(DISK, turn).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("the data volume does not answer within {} s", DISK.as_secs())),
        }
    }

    async fn server(&self) -> Server {
        match timeout(truth::PATIENCE, self.ask()).await {
            Ok(Ok(server)) => server,
            Ok(Err(reason)) => truth::silent(&reason),
            Err(_) => truth::silent(&format!("no answer within {} ms", truth::PATIENCE.as_millis())),
        }
    }

    async fn ask(&self) -> Result<Server, String> {
        let before = self.disk(Volume::epoch).await?;
        match truth::ask(&self.place).await {
            Ok(answers) => Ok(truth::judge(answers, (before, self.disk(Volume::epoch).await?))),
            Err(otherwise) => Ok(otherwise),
        }
    }
}

/// The routes.
pub fn router(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/startup", get(live))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/hand-over", get(hand_over))
        .route("/v1/member", get(member))
        .with_state(agent)
}

async fn live(State(agent): State<Arc<Agent>>) -> (StatusCode, String) {
    match fourletter::ruok(&agent.place.client, RUOK).await {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(e) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")),
    }
}

async fn ready(State(agent): State<Arc<Agent>>) -> (StatusCode, String) {
    let server = agent.server().await;
    agent.stalled(&server);
    let status = match server {
        Server::Serving(_) => StatusCode::OK,
        Server::Waiting { .. } | Server::Silent { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", truth::line(&server)))
}

/// The kubelet asks this before it stops the server, and waits: not for a follower, and not for a leader whom nobody follows.
/// One that led waits until it follows: its successor has taken over what it decided last.
async fn hand_over(State(agent): State<Arc<Agent>>) -> &'static str {
    let mut led = false;
    let relieved = async {
        while leads_others(&agent.server().await) {
            led = true;
            sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(HAND_OVER, relieved).await.is_err() {
        return "nobody took over\n";
    }
    let succeeded = async {
        while led && !follows(&agent.server().await) {
            sleep(LOOK_AGAIN).await;
        }
    };
    match timeout(SUCCESSION, succeeded).await {
        Ok(()) => "it does not lead\n",
        Err(_) => "it does not lead any more, and follows nobody\n",
    }
}

fn leads_others(server: &Server) -> bool {
    matches!(server, Server::Serving(serving) if serving.mode == Mode::Leader && serving.synced_voters.is_some_and(|others| others > 0))
}

fn follows(server: &Server) -> bool {
    matches!(server, Server::Serving(serving) if serving.mode != Mode::Leader)
}

async fn member(State(agent): State<Arc<Agent>>) -> Response {
    let (server, disk) = tokio::join!(agent.server(), agent.look());
    let stalled = agent.stalled(&server);
    match disk {
        Ok((mut disk, late)) => {
            // Whoever serves can read its data, whatever was thought of it before.
            if !matches!(server, Server::Serving(_)) {
                disk.outdated = disk.outdated.or(late);
            }
            Json(MemberTruth { id: agent.id, disk, server, stalled }).into_response()
        }
        // Whether there is a database has no third value: half a truth would be taken for a whole one.
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
