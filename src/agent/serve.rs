//! The agent's HTTP interface: probes for the kubelet, the member's truth for the operator.
//!
//! Invariants: every answer comes within a probe's three seconds, also when the disk hangs: it is read on a thread of its
//! own, by one reader at a time, so that a hung disk costs one thread and not one a probe. However many ask, the server and
//! the disk are asked once at a time.
//!
//! The server has no liveness probe, and no startup probe. The kubelet kills a container for each answer that it does not
//! get, whoever owes it: an agent that crash-loops, or is out of memory, would cost its healthy server its life, and so a
//! clock would a large database its loading. What the kubelet could ask instead, all tried on 3.9.5: `ruok` needs a place among
//! the clients, and has no answer once `maxCnxns` is used up; a TCP connection to the client port is taken in by the kernel for
//! a process that is stopped as well (51 times, until the backlog is full); each one to the election port is a stack trace in
//! the server's log, and holds up its listener. `AdminServer` needs no place and is on loopback, where only this agent hears it.
//! So a server that does nothing any more is told by its agent, from several signs (`motion`), and it is the operator
//! that restarts it, which knows who else serves (`plan/replace.rs`). A process that ends is started anew by the kubelet.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::model::{MemberTruth, Membership, ServerId};

use super::motion::Motion;
use super::prepare;
use super::process;
use super::round::Round;
use super::seed::{Mounts, Seed};
use super::truth::{self, Place, Written};
use super::volume::{Volume, VolumeError};

/// A directory listing and a few small files, most of the time cached.
const DISK: Duration = Duration::from_secs(2);

/// An answer this old is as good as a new one.
const MOMENT: Duration = Duration::from_millis(200);
/// That a server serves, the kubelet may hear a second late: it asks every second so that a member that has just joined is
/// ready at once, and a round of questions costs the server 5–8 ms.
const SETTLED: Duration = Duration::from_millis(1500);

/// How long a leader whose pod is being deleted is held up for another to lead: one round of the operator takes a second.
const HAND_OVER: Duration = Duration::from_secs(5);
/// After that, for its successor to be established: an election takes a quarter of a second. When everybody is being deleted
/// there is none.
const SUCCESSION: Duration = Duration::from_millis(1500);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One member, its server and its disk.
pub struct Agent {
    /// Its id.
    pub id: ServerId,
    /// Where its server listens.
    pub place: Place,
    /// Whether it moves, while it does not serve.
    pub motion: Motion,
    volume: Volume,
    mounts: Option<Mounts>,
    reader: Arc<Semaphore>,
    answered: AtomicBool,
    held_up: Round<&'static str>,
    served: Mutex<Instant>,
    server: Round<Server>,
    look: Round<Result<(Disk, Option<String>), String>>,
}

impl Agent {
    /// The agent of that member.
    pub fn new(id: ServerId, place: Place, volume: Volume, mounts: Option<Mounts>) -> Self {
        Self {
            id,
            place,
            motion: Motion::default(),
            volume,
            mounts,
            reader: Arc::new(Semaphore::new(1)),
            answered: AtomicBool::new(false),
            held_up: Round::default(),
            served: Mutex::new(Instant::now()),
            server: Round::default(),
            look: Round::default(),
        }
    }

    /// Whether the server's `AdminServer` answered anything when it was asked last.
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Where its server finds its configuration.
    pub fn config(&self) -> String {
        self.volume.config()
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

    /// What the server says, if that is no older than `moment`.
    pub async fn server(self: &Arc<Self>, moment: Duration) -> Server {
        self.server_if(|_, age| age <= moment).await
    }

    async fn server_if(self: &Arc<Self>, counts: impl Fn(&Server, Duration) -> bool) -> Server {
        let agent = Arc::clone(self);
        let server = self.server.join(counts, || async move { agent.ask().await }).await;
        let server = server.unwrap_or_else(|| truth::silent(&"the asking broke off"));
        self.stalled(&server);
        server
    }

    async fn ask(&self) -> Server {
        match timeout(truth::PATIENCE, self.questions()).await {
            Ok(Ok(server)) => server,
            Ok(Err(reason)) => truth::silent(&reason),
            Err(_) => truth::silent(&format!("no answer within {} ms", truth::PATIENCE.as_millis())),
        }
    }

    async fn questions(&self) -> Result<Server, String> {
        self.answered.store(false, Ordering::Relaxed);
        let before = self.disk(Volume::epoch).await?;
        let server = match truth::ask(&self.place, &self.answered).await {
            Ok(answers) => {
                let (after, membership) = self.disk(|volume| Ok((volume.epoch()?, volume.active()?))).await?;
                truth::judge(answers, &Written { before, after, membership })
            }
            Err(otherwise) => otherwise,
        };
        if matches!(server, Server::Serving(_)) {
            return Ok(server);
        }
        if let Some(stranger) = self.stranger().await {
            self.answered.store(false, Ordering::Relaxed);
            return Ok(stranger);
        }
        match server {
            // `AdminServer` knows the server only when it is up to date; that it has found its leader shows in its connection.
            Server::Waiting { version, .. } if self.motion.linked() => {
                Ok(Server::Waiting { phase: "synchronization".to_owned(), version })
            }
            otherwise => Ok(otherwise),
        }
    }

    /// That another process of the pod listens in the place of the server's `AdminServer`, where that can be seen: a sidecar
    /// that starts first. `ZooKeeper` logs it, and goes on without.
    async fn stranger(&self) -> Option<Server> {
        let (zoo_cfg, port) = (self.config(), self.place.admin_port()?);
        let seen = spawn_blocking(move || {
            let proc = Path::new("/proc");
            process::listens(proc, process::server(proc, &zoo_cfg)?.pid, port)
        });
        let ours = seen.await.ok().flatten()?;
        (!ours).then(|| truth::silent(&format!("port {port} of its pod is held by another process, and belongs to its server: give that one another port")))
    }

    async fn looked(self: &Arc<Self>) -> Result<(Disk, Option<String>), String> {
        let agent = Arc::clone(self);
        let look = self.look.join(|_, age| age <= MOMENT, || async move { agent.look().await }).await;
        look.unwrap_or_else(|| Err("the reading broke off".to_owned()))
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
}

/// The routes.
pub fn router(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/hand-over", get(hand_over))
        .route("/v1/member", get(member))
        .with_state(agent)
}

async fn ready(State(agent): State<Arc<Agent>>) -> (StatusCode, String) {
    let moment = |server: &Server| if matches!(server, Server::Serving(_)) { SETTLED } else { MOMENT };
    let server = agent.server_if(|server, age| age <= moment(server)).await;
    let status = match server {
        Server::Serving(_) => StatusCode::OK,
        Server::Waiting { .. } | Server::Silent { .. } | Server::Unknown => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", truth::line(&server)))
}

/// The kubelet asks this before it stops the server, and waits: not for a follower, and not for a leader whom nobody follows.
/// One that led waits until it follows: its successor has taken over what it decided last. All who ask meanwhile wait for the
/// same: any pod may ask, and none takes the kubelet's place.
async fn hand_over(State(agent): State<Arc<Agent>>) -> (StatusCode, &'static str) {
    let asked = Arc::clone(&agent);
    match agent.held_up.join(|_, _| false, || async move { relieve(&asked).await }).await {
        Some(outcome) => (StatusCode::OK, outcome),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the asking broke off\n"),
    }
}

async fn relieve(agent: &Arc<Agent>) -> &'static str {
    let mut led = false;
    let relieved = async {
        while leads_others(&agent.server(LOOK_AGAIN).await) {
            led = true;
            sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(HAND_OVER, relieved).await.is_err() {
        return "nobody took over\n";
    }
    let succeeded = async {
        while led && !follows(&agent.server(LOOK_AGAIN).await) {
            sleep(LOOK_AGAIN).await;
        }
    };
    match timeout(SUCCESSION, succeeded).await {
        Ok(()) => "it does not lead\n",
        Err(_) => "it does not lead any more, and follows nobody\n",
    }
}

/// A leader that could not be asked how many follow it may well have all of them.
fn leads_others(server: &Server) -> bool {
    let Server::Serving(serving) = server else { return false };
    let may_have = || Membership::parse(&serving.membership).is_ok_and(|membership| membership.voters().count() > 1);
    serving.mode == Mode::Leader && serving.synced_voters.map_or_else(may_have, |others| others > 0)
}

fn follows(server: &Server) -> bool {
    matches!(server, Server::Serving(serving) if serving.mode != Mode::Leader)
}

async fn member(State(agent): State<Arc<Agent>>) -> Response {
    let (server, disk) = tokio::join!(agent.server(MOMENT), agent.looked());
    let stalled = agent.stalled(&server);
    let still = agent.motion.still().filter(|_| stalled.is_some());
    match disk {
        Ok((mut disk, late)) => {
            // Whoever serves can read its data, whatever was thought of it before.
            if !matches!(server, Server::Serving(_)) {
                disk.outdated = disk.outdated.or(late);
            }
            Json(MemberTruth { id: agent.id, disk, server, stalled, still }).into_response()
        }
        // Whether there is a database has no third value: half a truth would be taken for a whole one.
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
