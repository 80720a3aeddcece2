//! What the server beside this agent says about itself, asked on loopback and put together.
//!
//! Invariants: it serves only when it says so everywhere it was asked, and says the same; every question has a time limit;
//! all of them together fit into a probe's three seconds.
//!
//! What "broadcast" proves, seen on 3.8.5 and 3.9.5: a follower whose leader died leaves it within 70 ms. One whose leader
//! is frozen or cut off stays in it until `syncLimit` ticks have passed (9 s of the default 10 s).

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::HttpError;
use crate::model::Zxid;
use crate::model::truth::{Mode, Server, Serving};
use crate::zk::admin::{self, Monitor, ServerStats};
use crate::zk::fourletter::{self, FourLetterError};

/// For everything about one server: a probe ends after 3 s.
pub const PATIENCE: Duration = Duration::from_millis(2500);

/// `environment` looks up the host's own name.
const VERSION_PATIENCE: Duration = Duration::from_millis(500);

/// Where the server listens.
#[derive(Clone, Debug)]
pub struct Place {
    /// Base URL of its `AdminServer`.
    pub admin: String,
    /// `host:port` of its client port.
    pub client: String,
}

/// All that a serving server was asked.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Answer to `server_stats`.
    pub stats: ServerStats,
    /// Answer to `monitor`, asked after it.
    pub monitor: Monitor,
    /// End of the answer to `conf`.
    pub membership: String,
}

/// Asks the server; when an answer already says that it does not serve, that.
pub async fn ask(place: &Place) -> Result<Answers, Server> {
    let end = Instant::now() + PATIENCE;
    let left = || end.saturating_duration_since(Instant::now());
    let stats = admin::server_stats(&place.admin, left()).await.map_err(|e| silent(&e))?;
    if stats.error.is_some() {
        let version = admin::version(&place.admin, left().min(VERSION_PATIENCE)).await.ok().flatten();
        return Err(waiting("election", version.as_deref()));
    }
    let version = stats.version.as_deref();
    let monitor = match admin::monitor(&place.admin, left()).await {
        Ok(monitor) => monitor,
        // It stopped serving in between.
        Err(HttpError::Status { status: 500, .. }) => return Err(waiting("election", version)),
        Err(e) => return Err(silent(&e)),
    };
    let membership = match fourletter::membership(&place.client, left()).await {
        Ok(membership) => membership,
        Err(FourLetterError::NotServing { .. }) => return Err(waiting("election", version)),
        Err(e) => return Err(silent(&e)),
    };
    Ok(Answers { stats, monitor, membership })
}

/// What the answers come to. `epochs` is the epoch that the server has joined, read from its disk before and after.
pub fn judge(Answers { stats, monitor, membership }: Answers, epochs: (Option<u64>, Option<u64>)) -> Server {
    let version = stats.version.as_deref();
    let Some(numbers) = stats.server_stats.as_ref().filter(|_| stats.error.is_none()) else {
        return waiting("election", version);
    };
    let mode = match monitor.server_state.as_str() {
        "leader" => Mode::Leader,
        "follower" => Mode::Follower,
        "observer" => Mode::Observer,
        // It answers clients, and belongs to no quorum: standalone, read-only.
        other => return waiting(other, version),
    };
    // Between two answers it went through an election.
    if numbers.server_state != monitor.server_state || epochs.0 != epochs.1 {
        return waiting("election", version);
    }
    if monitor.phase() != "broadcast" {
        return waiting(monitor.phase(), version);
    }
    let (Some(version), Some(epoch)) = (version, epochs.1) else {
        return silent(&if version.is_none() { "server_stats: no version" } else { "currentEpoch: no number" });
    };
    let Ok(zxid) = u64::try_from(numbers.last_processed_zxid) else {
        return silent(&format!("server_stats: last_processed_zxid {}", numbers.last_processed_zxid));
    };
    Server::Serving(Serving {
        mode,
        epoch,
        zxid: Zxid(zxid),
        version: admin::release(version).to_owned(),
        membership,
        synced_voters: if mode == Mode::Leader { monitor.synced_voters() } else { None },
    })
}

/// One line about it, for probes.
pub fn line(server: &Server) -> String {
    match server {
        Server::Silent { reason } => reason.clone(),
        Server::Waiting { phase, .. } => format!("not serving: {phase}"),
        Server::Serving(Serving { mode, epoch, .. }) => format!("serving as {mode:?} in epoch {epoch}").to_lowercase(),
    }
}

/// A server of which that is all there is to say.
pub fn silent(reason: &dyn Display) -> Server {
    Server::Silent { reason: reason.to_string() }
}

fn waiting(phase: &str, version: Option<&str>) -> Server {
    Server::Waiting { phase: phase.to_owned(), version: version.map(|version| admin::release(version).to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($path:literal) => {
            include_str!(concat!("../../tests/fixtures/admin/", $path))
        };
    }

    const LEADER: (&str, &str) = (fixture!("3.9.5/leader-server_stats.json"), fixture!("3.9.5/leader-monitor.json"));
    const FOLLOWER: (&str, &str) =
        (fixture!("3.8.5/follower-server_stats.json"), fixture!("3.8.5/follower-monitor.json"));
    const JOINER: (&str, &str) = (fixture!("3.9.5/joiner-server_stats.json"), fixture!("3.9.5/joiner-monitor.json"));

    fn answers((stats, monitor): (&str, &str)) -> Answers {
        Answers {
            stats: serde_json::from_str(stats).unwrap(),
            monitor: serde_json::from_str(monitor).unwrap(),
            membership: "server.1=a:1:2;3\nversion=100000000".into(),
        }
    }

    const EPOCH: (Option<u64>, Option<u64>) = (Some(1), Some(1));

    fn phase_of(answers: Answers) -> String {
        match judge(answers, EPOCH) {
            Server::Waiting { phase, .. } => phase,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_leader_serves_and_counts_its_voters() {
        let Server::Serving(serving) = judge(answers(LEADER), EPOCH) else { panic!() };
        assert_eq!(serving.mode, Mode::Leader);
        assert_eq!((serving.epoch, serving.zxid), (1, Zxid(0x1_0000_0000)));
        assert_eq!((serving.version.as_str(), serving.synced_voters), ("3.9.5", Some(2)));
    }

    #[test]
    fn a_follower_serves_in_the_epoch_it_joined_though_it_saw_no_write_in_it() {
        let Server::Serving(serving) = judge(answers(FOLLOWER), (Some(7), Some(7))) else { panic!() };
        assert_eq!((serving.mode, serving.epoch, serving.synced_voters), (Mode::Follower, 7, None));
        assert!(serving.zxid.epoch() < 7);
        assert_eq!(serving.version, "3.8.5");
    }

    #[test]
    fn a_joiner_that_is_synced_serves_as_a_follower() {
        let Server::Serving(serving) = judge(answers(JOINER), EPOCH) else { panic!() };
        assert_eq!((serving.mode, serving.synced_voters), (Mode::Follower, None));
    }

    #[test]
    fn who_is_not_in_broadcast_waits_in_its_phase() {
        let mut seen = answers(FOLLOWER);
        seen.monitor.peer_state = Some("following - synchronization - snap".into());
        assert_eq!(phase_of(seen), "synchronization");
    }

    #[test]
    fn answers_that_disagree_come_from_before_and_after_an_election() {
        let mut seen = answers(FOLLOWER);
        seen.monitor = answers(LEADER).monitor;
        assert_eq!(phase_of(seen), "election");
        let across = judge(answers(FOLLOWER), (Some(1), Some(2)));
        assert_eq!(line(&across), "not serving: election");
        let mut seen = answers(FOLLOWER);
        seen.stats = serde_json::from_str(fixture!("3.9.5/noquorum-server_stats.json")).unwrap();
        assert_eq!(phase_of(seen), "election");
    }

    #[test]
    fn who_serves_without_an_ensemble_waits() {
        for state in ["standalone", "read-only"] {
            let mut seen = answers(FOLLOWER);
            seen.monitor.server_state = state.into();
            assert_eq!(phase_of(seen), state);
        }
    }

    #[test]
    fn what_cannot_be_known_is_not_made_up() {
        assert!(matches!(judge(answers(FOLLOWER), (None, None)), Server::Silent { .. }));
        let mut seen = answers(FOLLOWER);
        seen.stats.version = None;
        assert!(matches!(judge(seen, EPOCH), Server::Silent { .. }));
    }
}
