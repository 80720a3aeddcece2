//! Whether anything moves in a server that does not serve: this distinguishes a slow server from one that hangs.
//!
//! A member that receives a snapshot, or loads its database, says only that it does not serve: `AdminServer` knows the
//! server only from `UPTODATE` on (`Learner.syncWithLeader`), and does not exist before the database is loaded
//! (`QuorumPeer.start`). Judged by time alone, a large ensemble was restarted in the middle of its sync, for ever.
//!
//! Every few seconds the agent looks at the files of the database (a snapshot that the server writes, a log), at what
//! its process reads and how much it works, and at whether it is connected to a leader. What counts depends on the
//! state:
//!
//! | it | counts | does not |
//! |---|---|---|
//! | is connected to a leader, and its `AdminServer` answers | files, reading, receiving, working: it syncs | |
//! | is connected, and its `AdminServer` does not answer | the connection: a frozen one loses it after `syncLimit` | |
//! | is not connected, and its `AdminServer` does not answer | files, reading: it loads | working: so does a JVM that collects garbage for ever |
//! | is not connected, and its `AdminServer` answers: it elects | files, much reading: after a sync that broke off it loads its database again | clients and notifications that come in |
//!
//! Invariant: what cannot be seen does not count as stillness.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::model::truth::ServerState;

use super::member::Member;
use super::process::{self, Process};
use super::queue::Queue;
use super::volume::Volume;

/// The time between two looks.
pub const PERIOD: Duration = Duration::from_secs(5);

/// Bytes a second that a server reads while it syncs or loads: a link of 16 kbit/s. The agent's questions are a tenth
/// of that.
const READS: u64 = 2 << 10;
/// The same for a pod that receives: this includes probes and empty packets.
const RECEIVES: u64 = 8 << 10;
/// Bytes a second that a server reads while it only elects: notifications of seven members, and clients that try to
/// connect.
const READS_MUCH: u64 = 64 << 10;
/// In hundredths of a core. An idle JVM takes one or two.
const WORKS: u64 = 10;

/// What was seen of a server at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signs {
    /// Its process.
    pub process: Process,
    /// Names, sizes and times of the files of its database, as one number.
    pub files: u64,
    /// What its pod has received.
    pub received: u64,
    /// Whether it is connected to a leader, or its followers to it.
    pub linked: bool,
    /// Whether its `AdminServer` answers.
    pub answers: bool,
}

/// Whether it has moved from one look to the next.
pub fn moved(before: &Signs, now: &Signs, between: Duration) -> bool {
    if (before.process.pid, before.process.began) != (now.process.pid, now.process.began) || before.files != now.files {
        return true;
    }
    let millis = u64::try_from(between.as_millis()).unwrap_or(u64::MAX).max(1);
    let a_second = |before: u64, now: u64| now.saturating_sub(before).saturating_mul(1000) / millis;
    let reads = a_second(before.process.read, now.process.read);
    match (now.linked, now.answers) {
        (true, true) => {
            reads >= READS
                || a_second(before.received, now.received) >= RECEIVES
                || a_second(before.process.worked, now.process.worked) >= WORKS
        }
        (true, false) => true,
        (false, false) => reads >= READS,
        (false, true) => reads >= READS_MUCH,
    }
}

/// What was last seen, and since when nothing has moved.
#[derive(Debug, Default)]
pub struct Motion {
    last: Mutex<Option<Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    signs: Signs,
    at: Instant,
    still_since: Instant,
}

impl Motion {
    /// For how many seconds nothing has moved, if that can be seen.
    pub fn still(&self) -> Option<u64> {
        self.last().map(|last| last.at.duration_since(last.still_since).as_secs())
    }

    /// Whether it was connected to a leader at the last look.
    pub fn linked(&self) -> bool {
        self.last().is_some_and(|last| last.signs.linked)
    }

    /// Records what is seen now: nothing while it serves, or if something cannot be seen.
    pub fn see(&self, signs: Option<Signs>, at: Instant) {
        let mut last = self.last();
        *last = signs.map(|signs| {
            let still_since = match &*last {
                Some(before) if !moved(&before.signs, &signs, at.duration_since(before.at)) => before.still_since,
                _ => at,
            };
            Last { signs, at, still_since }
        });
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for as long as the agent runs.
pub async fn watch(member: Arc<Member>, queue: Queue, period: Duration) {
    loop {
        let server = member.server(period).await;
        let signs = match &server {
            ServerState::Serving(_) | ServerState::Unknown => None,
            // It may serve and only lack one answer: in a lone voter that serves, nothing moves.
            ServerState::Silent { .. } if member.answered() => None,
            ServerState::Waiting { .. } => look(&member, &queue, true).await,
            ServerState::Silent { .. } => look(&member, &queue, false).await,
        };
        member.motion.see(signs, Instant::now());
        sleep(period).await;
    }
}

async fn look(member: &Member, queue: &Queue, answers: bool) -> Option<Signs> {
    let files = queue.run(Volume::fingerprint).await.ok()?;
    let (zoo_cfg, quorum) = (member.config().to_owned(), member.ports.quorum);
    let seen = spawn_blocking(move || {
        let proc = Path::new("/proc");
        Some((process::server(proc, &zoo_cfg)?, process::received(proc)?, process::linked(proc, quorum)?))
    });
    let (process, received, linked) = seen.await.ok().flatten()?;
    Some(Signs { process, files, received, linked, answers })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNS: Signs = Signs {
        process: Process { pid: 7, began: 1, worked: 100, read: 1_000 },
        files: 1,
        received: 0,
        linked: false,
        answers: true,
    };
    const SECOND: Duration = Duration::from_secs(1);

    fn after(change: impl Fn(&mut Signs)) -> (bool, bool, bool, bool) {
        let moves = |linked, answers| {
            let before = Signs { linked, answers, ..SIGNS };
            let mut now = before;
            change(&mut now);
            moved(&before, &now, SECOND)
        };
        (moves(true, true), moves(true, false), moves(false, false), moves(false, true))
    }

    #[test]
    fn case_r03_what_counts_as_motion_depends_on_where_a_server_is() {
        // Syncs; connected and silent; loads; elects.
        assert_eq!(after(|_| {}), (false, true, false, false));
        assert_eq!(after(|now| now.files = 2), (true, true, true, true));
        assert_eq!(after(|now| now.process.began = 2), (true, true, true, true), "another process has just begun");
        assert_eq!(after(|now| now.process.read += READS), (true, true, true, false));
        assert_eq!(after(|now| now.process.read += READS - 1), (false, true, false, false));
        assert_eq!(after(|now| now.process.read += READS_MUCH), (true, true, true, true));
        assert_eq!(after(|now| now.received += RECEIVES), (true, true, false, false));
        assert_eq!(after(|now| now.process.worked += 100), (true, true, false, false));
    }

    #[test]
    fn stillness_is_counted_from_the_last_motion_and_what_cannot_be_seen_is_none() {
        let (motion, start) = (Motion::default(), Instant::now());
        let at = |seconds| start + SECOND * seconds;
        assert_eq!(motion.still(), None);
        motion.see(Some(SIGNS), at(0));
        motion.see(Some(SIGNS), at(100));
        assert_eq!(motion.still(), Some(100));
        motion.see(Some(Signs { files: 2, ..SIGNS }), at(110));
        assert_eq!(motion.still(), Some(0));
        motion.see(Some(Signs { files: 2, ..SIGNS }), at(500));
        assert_eq!(motion.still(), Some(390));
        motion.see(None, at(510));
        assert_eq!(motion.still(), None);
        motion.see(Some(Signs { files: 2, ..SIGNS }), at(520));
        assert_eq!(motion.still(), Some(0), "nobody knows what it did meanwhile");
    }
}
