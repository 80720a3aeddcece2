//! A member as the agent beside it knows it: what its server says, what its disk says, and whether it moves.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::model::truth::{DiskState, ServerState, Serving};
use crate::model::{MemberTruth, ServerId};

use super::archiving::Archiving;
use super::files::Files;
use super::motion::Motion;
use super::prepare;
use super::process;
use super::queue::Queue;
use super::round::Round;
use super::seed::{Mounts, Seed};
use super::truth::{self, DiskReadings, Ports};
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
    /// What it ships to the ensemble's archive.
    pub archiving: Archiving,
    /// Its logs and snapshots, for backups.
    pub files: Files,
    config: String,
    mounts: Option<Mounts>,
    queue: Queue,
    answered: AtomicBool,
    /// Holds up a leader that is to stop, until another leads or nobody will.
    pub held_up: Round<&'static str>,
    served: Mutex<Instant>,
    stuck: Stuck,
    server: Round<ServerState>,
    look: Round<Result<(DiskState, Option<String>), String>>,
    free: Mutex<Option<u8>>,
}

impl Member {
    /// The member with this id.
    pub fn new(id: ServerId, ports: Ports, volume: Volume, mounts: Option<Mounts>) -> Self {
        Self {
            id,
            ports,
            motion: Motion::default(),
            archiving: Archiving::default(),
            files: Files::of(volume.clone(), mounts.clone()),
            config: volume.config(),
            mounts,
            queue: Queue::to(volume),
            answered: AtomicBool::new(false),
            held_up: Round::default(),
            served: Mutex::new(Instant::now()),
            stuck: Mutex::new(None),
            server: Round::default(),
            look: Round::default(),
            free: Mutex::new(None),
        }
    }

    /// Whether the server's `AdminServer` gave any answer when it was last asked.
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

    /// Everything that decisions need, or why half of it is unknown.
    pub async fn truth(self: &Arc<Self>) -> Result<MemberTruth, String> {
        let (server, disk) = tokio::join!(self.server(MOMENT), self.looked());
        let (mut disk, late) = disk?;
        let stalled = self.stalled(&server);
        let still = self.motion.still().filter(|_| stalled.is_some());
        // A server that serves can read its data, whatever was assumed before.
        if !matches!(server, ServerState::Serving(_)) {
            disk.outdated = disk.outdated.or(late);
        }
        let (archive, unpurged) = (self.archiving.state(), self.archiving.unpurged());
        Ok(MemberTruth { id: self.id, disk, server, stalled, still, archive, unpurged })
    }

    /// What the server says, if that is no older than `moment`.
    pub async fn server(self: &Arc<Self>, moment: Duration) -> ServerState {
        self.server_if(|_, age| age <= moment).await
    }

    /// What the server says, if that answer still counts at its age.
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
                truth::judge(answers, &DiskReadings { before, after, membership })
            }
            Err(otherwise) => otherwise,
        };
        if let ServerState::Serving(serving) = server {
            return Ok(ServerState::Serving(timed(&self.stuck, serving, Instant::now())));
        }
        // Of a leader that was not heard for once, the same epoch and still no transaction say what it did meanwhile.
        if !matches!(server, ServerState::Silent { .. }) {
            *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        if let Some(stranger) = self.stranger().await {
            self.answered.store(false, Ordering::Relaxed);
            return Ok(stranger);
        }
        match server {
            // `AdminServer` knows the server only once it is up to date. Its connection shows that it has found its
            // leader.
            ServerState::Waiting { version, .. } if self.motion.linked() => {
                Ok(ServerState::Waiting { phase: "synchronization".to_owned(), version })
            }
            otherwise => Ok(otherwise),
        }
    }

    /// Whether another process in the pod listens on the port of the server's `AdminServer`, as far as that can be
    /// seen: a sidecar that starts first. `ZooKeeper` logs it and continues without.
    async fn stranger(&self) -> Option<ServerState> {
        let (zoo_cfg, port) = (self.config.clone(), self.ports.admin_port()?);
        let seen = spawn_blocking(move || {
            let proc = Path::new("/proc");
            process::listens(proc, process::server(proc, &zoo_cfg)?.pid, port)
        });
        let ours = seen.await.ok().flatten()?;
        (!ours).then(|| truth::silent(&format!("port {port} of its pod is held by another process, and belongs to its server: give that one another port")))
    }

    async fn looked(self: &Arc<Self>) -> Result<(DiskState, Option<String>), String> {
        let member = Arc::clone(self);
        let look = self.look.join(|_, age| age <= MOMENT, || async move { member.look().await }).await;
        look.unwrap_or_else(|| Err("the reading broke off".to_owned()))
    }

    /// What the disk says, and why a server that does not serve has to be restarted.
    async fn look(&self) -> Result<(DiskState, Option<String>), String> {
        let (id, mounts) = (self.id, self.mounts.clone());
        let (mut disk, late) = self
            .queue
            .run(move |volume| {
                // Mounted files are replaced now and then: a moment without them means nothing.
                let seed = mounts.and_then(|mounts| Seed::read(&mounts).ok());
                let (started_with, contents) = (volume.zoo_cfg()?, volume.look()?);
                let outdated = seed.as_ref().and_then(|seed| prepare::unknown(started_with.as_ref()?, seed));
                let late = seed.and_then(|seed| prepare::outdated(&contents, &seed, id));
                Ok((DiskState { outdated, ..volume.disk(contents)? }, late))
            })
            .await?;
        let mut told = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *told = told_anew(*told, disk.free);
        disk.free = *told;
        Ok((disk, late))
    }
}

/// The epoch in which a server leads and commits nothing, and since when it was seen to.
type Stuck = Mutex<Option<(u64, Instant)>>;

/// With how long it has committed nothing, if this look and those before it say so.
fn timed(stuck: &Stuck, serving: Serving, now: Instant) -> Serving {
    let mut stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
    let before = stuck.filter(|(epoch, _)| *epoch == serving.epoch);
    *stuck = serving.commits_nothing.and(before.or(Some((serving.epoch, now))));
    let commits_nothing = stuck.map(|(_, since)| now.duration_since(since).as_secs());
    Serving { commits_nothing, ..serving }
}

/// What a volume has free moves with each snapshot and each purge. What is told of it must not, or a warning would come and go. But a
/// volume that fills is told at once.
const MOVED: u8 = 3;

/// How much is told to be free, after what was told before.
fn told_anew(before: Option<u8>, now: Option<u8>) -> Option<u8> {
    match (before, now) {
        (Some(before), Some(now)) if now >= before && now - before < MOVED => Some(before),
        (_, now) => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Zxid;
    use crate::model::truth::Mode;

    #[test]
    fn for_how_long_a_leader_commits_nothing_is_counted_in_one_epoch_and_from_look_to_look() {
        let stuck = Mutex::new(None);
        let serving = |epoch, commits_nothing| Serving {
            mode: Mode::Leader,
            epoch,
            zxid: Zxid(epoch << 32),
            version: String::new(),
            membership: String::new(),
            synced_voters: Some(1),
            commits_nothing,
        };
        let begin = Instant::now();
        let seen = [(1, None), (1, Some(0)), (1, Some(0)), (1, None), (1, Some(0)), (2, Some(0)), (2, Some(0))];
        let told = seen.into_iter().zip(0u32..).map(|((epoch, seen), look)| {
            let now = begin + Duration::from_secs(20) * look;
            timed(&stuck, serving(epoch, seen), now).commits_nothing
        });
        let told: Vec<_> = told.collect();
        assert_eq!(told, [None, Some(0), Some(20), None, Some(0), Some(0), Some(20)]);
    }

    #[test]
    fn what_is_free_is_told_at_once_when_it_falls_and_only_when_it_has_moved_if_it_rises() {
        let told = [Some(12), Some(11), Some(9), Some(8), Some(11), Some(12), None, Some(11)];
        let mut before = None;
        let told = told.map(|now| {
            before = told_anew(before, now);
            before
        });
        assert_eq!(told, [Some(12), Some(11), Some(9), Some(8), Some(11), Some(11), None, Some(11)]);
    }
}
