//! A member as the agent beside it knows it: what its server says, what its disk says, and whether it moves.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::model::truth::{Disk, ServerState};
use crate::model::{MemberTruth, ServerId};

use super::motion::Motion;
use super::prepare;
use super::process;
use super::queue::Queue;
use super::round::Round;
use super::seed::{Mounts, Seed};
use super::truth::{self, Ports, Written};
use super::volume::Volume;

/// An answer this old is as good as a new one.
pub const MOMENT: Duration = Duration::from_millis(200);

/// One member, its server and its disk.
pub struct Member {
    /// Its id.
    pub id: ServerId,
    /// Where its server listens.
    pub ports: Ports,
    /// Whether it moves, while it does not serve.
    pub motion: Motion,
    config: String,
    mounts: Option<Mounts>,
    queue: Queue,
    answered: AtomicBool,
    /// A leader that is to stop, held up until another leads or nobody will.
    pub held_up: Round<&'static str>,
    served: Mutex<Instant>,
    server: Round<ServerState>,
    look: Round<Result<(Disk, Option<String>), String>>,
}

impl Member {
    /// Of that id, as its agent knows it.
    pub fn new(id: ServerId, ports: Ports, volume: Volume, mounts: Option<Mounts>) -> Self {
        Self {
            id,
            ports,
            motion: Motion::default(),
            config: volume.config(),
            mounts,
            queue: Queue::to(volume),
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
    pub fn config(&self) -> &str {
        &self.config
    }

    /// For how many seconds the server has not served, as far as this agent saw.
    fn stalled(&self, server: &ServerState) -> Option<u64> {
        let mut last = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(server, ServerState::Serving(_)) {
            *last = Instant::now();
            return None;
        }
        Some(last.elapsed().as_secs())
    }

    /// All of it, for whoever decides: or why half of it is not known.
    pub async fn truth(self: &Arc<Self>) -> Result<MemberTruth, String> {
        let (server, disk) = tokio::join!(self.server(MOMENT), self.looked());
        let (mut disk, late) = disk?;
        let stalled = self.stalled(&server);
        let still = self.motion.still().filter(|_| stalled.is_some());
        // Whoever serves can read its data, whatever was thought of it before.
        if !matches!(server, ServerState::Serving(_)) {
            disk.outdated = disk.outdated.or(late);
        }
        Ok(MemberTruth { id: self.id, disk, server, stalled, still })
    }

    /// What the server says, if that is no older than `moment`.
    pub async fn server(self: &Arc<Self>, moment: Duration) -> ServerState {
        self.server_if(|_, age| age <= moment).await
    }

    /// What the server says, if that still counts at its age.
    pub async fn server_if(self: &Arc<Self>, counts: impl Fn(&ServerState, Duration) -> bool) -> ServerState {
        let member = Arc::clone(self);
        let server = self.server.join(counts, || async move { member.ask().await }).await;
        let server = server.unwrap_or_else(|| truth::silent(&"the asking broke off"));
        self.stalled(&server);
        server
    }

    async fn ask(&self) -> ServerState {
        match timeout(truth::PATIENCE, self.questions()).await {
            Ok(Ok(server)) => server,
            Ok(Err(reason)) => truth::silent(&reason),
            Err(_) => truth::silent(&format!("no answer within {} ms", truth::PATIENCE.as_millis())),
        }
    }

    async fn questions(&self) -> Result<ServerState, String> {
        self.answered.store(false, Ordering::Relaxed);
        let before = self.queue.run(Volume::epoch).await?;
        let server = match truth::ask(&self.ports, &self.answered).await {
            Ok(answers) => {
                let (after, membership) = self.queue.run(|volume| Ok((volume.epoch()?, volume.active()?))).await?;
                truth::judge(answers, &Written { before, after, membership })
            }
            Err(otherwise) => otherwise,
        };
        if matches!(server, ServerState::Serving(_)) {
            return Ok(server);
        }
        if let Some(stranger) = self.stranger().await {
            self.answered.store(false, Ordering::Relaxed);
            return Ok(stranger);
        }
        match server {
            // `AdminServer` knows the server only when it is up to date; that it has found its leader shows in its connection.
            ServerState::Waiting { version, .. } if self.motion.linked() => {
                Ok(ServerState::Waiting { phase: "synchronization".to_owned(), version })
            }
            otherwise => Ok(otherwise),
        }
    }

    /// That another process of the pod listens in the place of the server's `AdminServer`, where that can be seen: a sidecar
    /// that starts first. `ZooKeeper` logs it, and goes on without.
    async fn stranger(&self) -> Option<ServerState> {
        let (zoo_cfg, port) = (self.config.clone(), self.ports.admin_port()?);
        let seen = spawn_blocking(move || {
            let proc = Path::new("/proc");
            process::listens(proc, process::server(proc, &zoo_cfg)?.pid, port)
        });
        let ours = seen.await.ok().flatten()?;
        (!ours).then(|| truth::silent(&format!("port {port} of its pod is held by another process, and belongs to its server: give that one another port")))
    }

    async fn looked(self: &Arc<Self>) -> Result<(Disk, Option<String>), String> {
        let member = Arc::clone(self);
        let look = self.look.join(|_, age| age <= MOMENT, || async move { member.look().await }).await;
        look.unwrap_or_else(|| Err("the reading broke off".to_owned()))
    }

    /// What the disk says, and what a server that does not serve has to be started anew for.
    async fn look(&self) -> Result<(Disk, Option<String>), String> {
        let (id, mounts) = (self.id, self.mounts.clone());
        self.queue
            .run(move |volume| {
                // What is mounted is replaced now and then: a moment without it says nothing.
                let seed = mounts.and_then(|mounts| Seed::read(&mounts).ok());
                let (started_with, found) = (volume.zoo_cfg()?, volume.look()?);
                let outdated = seed.as_ref().and_then(|seed| prepare::unknown(started_with.as_ref()?, seed));
                let late = seed.and_then(|seed| prepare::outdated(&found, &seed, id));
                Ok((Disk { outdated, ..volume.disk(found)? }, late))
            })
            .await
    }
}
