//! What the server beside this agent says about itself, asked on loopback and put together.
//!
//! Invariants: a server serves only if all its answers say so, and agree; no question uses up one of its client
//! connections; every question has a time limit; all of them together fit into a probe's three seconds.
//!
//! What "broadcast" proves, seen on 3.8.5 and 3.9.5: a follower whose leader died leaves it within 70 ms. A follower
//! whose leader is frozen or cut off stays in it until `syncLimit` ticks have passed (9 s of the default 10 s).
//!
//! No answer of `AdminServer` contains the membership with its version. So the agent reads the text from the disk,
//! where the server writes it before it reports it (`Volume::active`). The text has to name the same voters as the
//! server.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::http::HttpError;
use crate::model::bounded::words;
use crate::model::truth::{Mode, ServerState, Serving};
use crate::model::{Server, Zxid, address};
use crate::zk::admin::{self, Monitor, Proposals, ServerStats, VotingView};

use super::record::Active;

/// For all questions to one server: a probe ends after 3 s.
pub const PATIENCE: Duration = Duration::from_millis(2500);

/// `environment` looks up the host's own name.
const VERSION_PATIENCE: Duration = Duration::from_millis(500);

/// Where the server listens.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Base URL of its `AdminServer`.
    pub admin: String,
    /// `host:port` of its client port.
    pub client: String,
    /// The port on which followers are connected to their leader.
    pub quorum: u16,
}

/// A listener on loopback accepts at once, and the kernel refuses at once.
const CONNECT: Duration = Duration::from_secs(1);

impl Ports {
    /// Of its `AdminServer`.
    pub fn admin_port(&self) -> Option<u16> {
        self.admin.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
    }

    /// Whether anything listens on either port: only a refused connection proves that nothing does. A client port that
    /// accepts no more clients, or never serves any (`leaderServes=no`), still accepts the connection before it closes
    /// it.
    pub async fn listens(&self) -> bool {
        let admin = self.admin.trim_start_matches("http://").trim_end_matches('/');
        for address in [admin, &self.client] {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Err(e)) if e.kind() == ErrorKind::ConnectionRefused => {}
                _ => return true,
            }
        }
        false
    }
}

/// All answers of a serving server.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Answer to `server_stats`.
    pub stats: ServerStats,
    /// Answer to `monitor`, asked after it. `None` if that command is broken: one quota with unreadable statistics
    /// makes it fail for good on 3.9.5 (HTTP 500), while the server serves.
    pub monitor: Option<Monitor>,
    /// Answer to `voting_view`, asked last.
    pub view: VotingView,
}

/// What the agent read from its disk meanwhile.
#[derive(Clone, Debug)]
pub struct DiskReadings {
    /// The epoch that it has joined, read before the questions.
    pub before: Option<u64>,
    /// The same, read after.
    pub after: Option<u64>,
    /// The membership that it uses, read after.
    pub membership: Option<Active>,
}

/// Asks the server. If an answer already says that it does not serve, returns that. `answered` records separately
/// whether it answered at all.
pub async fn ask(ports: &Ports, answered: &AtomicBool) -> Result<Answers, ServerState> {
    let end = Instant::now() + PATIENCE;
    let left = || end.saturating_duration_since(Instant::now());
    let stats = admin::server_stats(&ports.admin, left()).await.map_err(|e| silent(&e))?;
    answered.store(true, Ordering::Relaxed);
    if stats.error.is_some() {
        let version = admin::version(&ports.admin, left().min(VERSION_PATIENCE)).await.ok().flatten();
        return Err(waiting("election", version.as_deref()));
    }
    let version = stats.version.as_deref();
    let monitor = match admin::monitor(&ports.admin, left()).await {
        Ok(monitor) => Some(monitor),
        // It stopped serving in between, or it cannot answer this. `voting_view` shows which: it also fails in an
        // election.
        Err(HttpError::Status { status: 500, .. }) => None,
        Err(e) => return Err(silent(&e)),
    };
    let view = admin::voting_view(&ports.admin, left()).await.map_err(|e| silent(&e))?;
    if view.error.is_some() {
        return Err(waiting("election", version));
    }
    Ok(Answers { stats, monitor, view })
}

/// The state that follows from the answers.
pub fn judge(Answers { stats, monitor, view }: Answers, readings: &DiskReadings) -> ServerState {
    let version = stats.version.as_deref();
    let Some(numbers) = stats.server_stats.as_ref().filter(|_| stats.error.is_none()) else {
        return waiting("election", version);
    };
    let monitor = monitor.unwrap_or_else(|| unbroken(&numbers.server_state));
    let mode = match monitor.server_state.as_str() {
        "leader" => Mode::Leader,
        "follower" => Mode::Follower,
        "observer" => Mode::Observer,
        // It answers clients, but belongs to no quorum: standalone, read-only.
        other => return waiting(other, version),
    };
    // It went through an election between two answers.
    if numbers.server_state != monitor.server_state || readings.before != readings.after {
        return waiting("election", version);
    }
    if monitor.phase() != "broadcast" {
        return waiting(monitor.phase(), version);
    }
    let (Some(version), Some(epoch)) = (version, readings.after) else {
        return silent(&if version.is_none() { "server_stats: no version" } else { "currentEpoch: no number" });
    };
    let Ok(zxid) = u64::try_from(numbers.last_processed_zxid) else {
        return silent(&format!("server_stats: last_processed_zxid {}", numbers.last_processed_zxid));
    };
    let Some(membership) = &readings.membership else {
        return silent(&"zoo.cfg points to no membership that can be read");
    };
    if !agree(&view, membership) {
        return silent(&format!(
            "the membership on its disk, version {}, names other voters than it does",
            membership.version
        ));
    }
    ServerState::Serving(Serving {
        mode,
        epoch,
        zxid: Zxid(zxid),
        version: admin::release(version).to_owned(),
        membership: format!("{}version={}", membership.text, membership.version),
        synced_voters: if mode == Mode::Leader { monitor.synced_voters() } else { None },
        commits_nothing: commits_nothing(mode, zxid, stats.proposal_stats.as_ref()),
    })
}

/// For no time yet, as one look cannot tell: whether it proposes, and the first transaction of its epoch is not applied. A leader that was
/// founded with another address of its own than it has takes part in everything and commits nothing (`Leader.getDesignatedLeader`
/// compares addresses as they were looked up, up to 3.9.5). Not by its requests: those of its followers' clients are not among them,
/// and reads are.
fn commits_nothing(mode: Mode, zxid: u64, proposals: Option<&Proposals>) -> Option<u64> {
    let proposes = proposals.is_some_and(|proposals| proposals.last_buffer_size >= 0);
    (mode == Mode::Leader && proposes && Zxid(zxid).counter() == 0).then_some(0)
}

/// What is known without a working `monitor`. A server answers `server_stats` only once its leader has called it up to
/// date (`startServing`), and that is what "broadcast" means. Nobody knows how many its leader counts.
fn unbroken(state: &str) -> Monitor {
    Monitor {
        server_state: state.to_owned(),
        peer_state: Some("serving - broadcast".to_owned()),
        synced_followers: None,
        synced_non_voting_followers: None,
    }
}

/// Whether both name the same voters at the same addresses. If not, the membership changed between two looks, or the
/// server could not write it down.
fn agree(view: &VotingView, membership: &Active) -> bool {
    let voter = |line: &str| {
        let (id, spec) = line.trim().strip_prefix("server.")?.split_once('=')?;
        Server::parse(spec).votes().then(|| (id.to_owned(), quorum_addresses(spec)))
    };
    let written: BTreeSet<_> = membership.text.lines().filter_map(voter).collect();
    let said = view.current_config.iter().map(|(id, voter)| {
        let addresses = voter.server_addresses.iter().filter_map(|address| address.rsplit_once(':'));
        (id.clone(), addresses.map(canonical).collect())
    });
    said.collect::<BTreeSet<_>>() == written
}

/// Host and quorum port of each address in `host:2888:3888[:role][|…];…`.
fn quorum_addresses(spec: &str) -> BTreeSet<(String, String)> {
    let quorum = spec.split(';').next().unwrap_or(spec);
    let address = |text: &str| {
        let (host, ports) = address::split(text)?;
        Some(canonical((host, ports.split(':').next()?)))
    };
    quorum.split('|').filter_map(address).collect()
}

/// Java prints an IPv6 address with all its groups.
fn canonical((host, port): (&str, &str)) -> (String, String) {
    let bare = address::bare(host);
    let host = bare.parse::<IpAddr>().map_or_else(|_| bare.to_ascii_lowercase(), |address| address.to_string());
    (host, port.to_owned())
}

/// One line about it, for probes.
pub fn line(server: &ServerState) -> String {
    match server {
        ServerState::Silent { reason } => reason.clone(),
        ServerState::Waiting { phase, .. } => format!("not serving: {phase}"),
        ServerState::Unknown => "not known".to_owned(),
        ServerState::Serving(Serving { mode, epoch, .. }) => {
            format!("serving as {mode:?} in epoch {epoch}").to_lowercase()
        }
    }
}

/// A server about which nothing else is known.
pub fn silent(reason: &dyn Display) -> ServerState {
    ServerState::Silent { reason: words(&reason.to_string()) }
}

fn waiting(phase: &str, version: Option<&str>) -> ServerState {
    ServerState::Waiting { phase: words(phase), version: version.map(|version| admin::release(version).to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Membership, ServerId};

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
            monitor: Some(serde_json::from_str(monitor).unwrap()),
            view: serde_json::from_str(fixture!("3.9.5/voting_view.json")).unwrap(),
        }
    }

    /// The membership of the servers of the fixtures, as they write it.
    fn membership() -> Membership {
        let (_, text) = fixture!("3.9.5/leader-conf.txt").split_once("membership: \n").unwrap();
        Membership::parse(text).unwrap()
    }

    fn epochs(before: Option<u64>, after: Option<u64>) -> DiskReadings {
        DiskReadings { before, after, membership: Some(Active::from(&membership())) }
    }

    fn judged(answers: Answers) -> ServerState {
        judge(answers, &epochs(Some(1), Some(1)))
    }

    fn phase_of(answers: Answers) -> String {
        match judged(answers) {
            ServerState::Waiting { phase, .. } => phase,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_leader_serves_and_counts_its_voters() {
        let ServerState::Serving(serving) = judged(answers(LEADER)) else { panic!() };
        assert_eq!(serving.mode, Mode::Leader);
        assert_eq!((serving.epoch, serving.zxid), (1, Zxid(0x1_0000_0000)));
        assert_eq!((serving.version.as_str(), serving.synced_voters), ("3.9.5", Some(2)));
        assert_eq!(Membership::parse(&serving.membership).unwrap(), membership());
    }

    #[test]
    fn a_leader_that_proposes_and_has_no_transaction_of_its_epoch_may_commit_nothing() {
        let said = |pair, last_buffer_size, zxid| {
            let mut seen = answers(pair);
            seen.stats.proposal_stats.get_or_insert(Proposals { last_buffer_size }).last_buffer_size = last_buffer_size;
            seen.stats.server_stats.as_mut().unwrap().last_processed_zxid = zxid;
            let ServerState::Serving(serving) = judged(seen) else { panic!() };
            serving.commits_nothing
        };
        let first = 0x1_0000_0000;
        let ServerState::Serving(rests) = judged(answers(LEADER)) else { panic!() };
        assert_eq!(rests.commits_nothing, None, "nobody asks anything of it");
        assert_eq!(said(LEADER, 48, first), Some(0));
        assert_eq!(said(LEADER, 48, first + 1), None);
        assert_eq!(said(FOLLOWER, 48, first), None);
    }

    #[test]
    fn a_membership_counts_only_when_the_server_names_the_same_voters() {
        let read = |change: &dyn Fn(&mut Membership)| {
            let mut written = membership();
            change(&mut written);
            judge(
                answers(LEADER),
                &DiskReadings { membership: Some(Active::from(&written)), ..epochs(Some(1), Some(1)) },
            )
        };
        assert!(matches!(read(&|_| {}), ServerState::Serving(_)));
        // An observer does not vote, and so is not in the view.
        let observer = Server::parse("o:2888:3888:observer;2181");
        assert!(matches!(
            read(&|membership| drop(membership.servers.insert(ServerId(9), observer.clone()))),
            ServerState::Serving(_)
        ));
        assert!(matches!(
            read(&|membership| drop(membership.servers.remove(&ServerId(1)))),
            ServerState::Silent { .. }
        ));
        let moved = Server::voter("127.77.9.9");
        assert!(matches!(
            read(&|membership| drop(membership.servers.insert(ServerId(1), moved.clone()))),
            ServerState::Silent { .. }
        ));
        let none = DiskReadings { membership: None, ..epochs(Some(1), Some(1)) };
        assert!(matches!(judge(answers(LEADER), &none), ServerState::Silent { .. }));
    }

    #[test]
    fn whoever_was_added_to_the_membership_and_however_keeps_nobody_from_serving() {
        // Without a client port, and with an id that only Java can count.
        for id in ["9", "5000000000"] {
            let mut seen = answers(LEADER);
            let stranger = r#"{"server_addresses": ["b.example:2888"]}"#;
            seen.view.current_config.insert(id.to_owned(), serde_json::from_str(stranger).unwrap());
            let line = format!("server.{id}=b.example:2888:3888:participant\n");
            let text = format!("{}{line}", membership().text());
            let written = |text: &str| DiskReadings { membership: Active::read("9", text), ..epochs(Some(1), Some(1)) };
            let ServerState::Serving(serving) = judge(seen.clone(), &written(&text)) else { panic!() };
            assert_eq!(serving.membership, format!("{text}version=9"));
            let elsewhere = text.replace("b.example", "c.example");
            for other in [elsewhere.as_str(), &membership().text(), "garbage", ""] {
                let judged = judge(seen.clone(), &written(other));
                assert!(matches!(judged, ServerState::Silent { .. }), "{other}: {judged:?}");
            }
        }
    }

    #[test]
    fn addresses_are_compared_and_not_their_spelling() {
        let one = |host: &str, port: &str| BTreeSet::from([(host.to_owned(), port.to_owned())]);
        assert_eq!(quorum_addresses("[fd00::1]:2888:3888:participant;[::]:2181"), one("fd00::1", "2888"));
        assert_eq!(canonical(("[fd00:0:0:0:0:0:0:1]", "2888")), canonical(("fd00::1", "2888")));
        assert_eq!(quorum_addresses("A-0.ns:2888:3888;2181"), one("a-0.ns", "2888"));
        assert_eq!(quorum_addresses("a:1:2|b:3:4:participant;5").len(), 2);
    }

    #[test]
    fn case_01_a_leader_with_the_prometheus_provider_serves() {
        let mut seen = answers(LEADER);
        seen.monitor = Some(serde_json::from_str(fixture!("3.9.5/leader-monitor-prometheus.json")).unwrap());
        let ServerState::Serving(serving) = judged(seen) else { panic!() };
        assert_eq!((serving.mode, serving.synced_voters), (Mode::Leader, Some(2)));
    }

    #[test]
    fn a_follower_serves_in_the_epoch_it_joined_though_it_saw_no_write_in_it() {
        let ServerState::Serving(serving) = judge(answers(FOLLOWER), &epochs(Some(7), Some(7))) else { panic!() };
        assert_eq!((serving.mode, serving.epoch, serving.synced_voters), (Mode::Follower, 7, None));
        assert!(serving.zxid.epoch() < 7);
        assert_eq!(serving.version, "3.8.5");
    }

    #[test]
    fn a_joiner_that_is_synced_serves_as_a_follower() {
        let ServerState::Serving(serving) = judged(answers(JOINER)) else { panic!() };
        assert_eq!((serving.mode, serving.synced_voters), (Mode::Follower, None));
    }

    #[test]
    fn who_is_not_in_broadcast_waits_in_its_phase() {
        let mut seen = answers(FOLLOWER);
        seen.monitor.as_mut().unwrap().peer_state = Some("following - synchronization - snap".into());
        assert_eq!(phase_of(seen), "synchronization");
    }

    #[test]
    fn answers_that_disagree_come_from_before_and_after_an_election() {
        let mut seen = answers(FOLLOWER);
        seen.monitor = answers(LEADER).monitor;
        assert_eq!(phase_of(seen), "election");
        let across = judge(answers(FOLLOWER), &epochs(Some(1), Some(2)));
        assert_eq!(line(&across), "not serving: election");
        let mut seen = answers(FOLLOWER);
        seen.stats = serde_json::from_str(fixture!("3.9.5/noquorum-server_stats.json")).unwrap();
        assert_eq!(phase_of(seen), "election");
    }

    #[test]
    fn a_leader_whose_monitor_is_broken_serves_and_does_not_say_how_many_it_counts() {
        let mut seen = answers(LEADER);
        seen.monitor = None;
        let ServerState::Serving(serving) = judged(seen) else { panic!() };
        assert_eq!((serving.mode, serving.synced_voters), (Mode::Leader, None));
        // The same silence while it elects is no sign of serving: `server_stats` says so.
        let mut seen = answers(LEADER);
        seen.monitor = None;
        seen.stats = serde_json::from_str(fixture!("3.9.5/noquorum-server_stats.json")).unwrap();
        assert_eq!(phase_of(seen), "election");
    }

    #[test]
    fn who_serves_without_an_ensemble_waits() {
        for state in ["standalone", "read-only"] {
            let mut seen = answers(FOLLOWER);
            seen.monitor.as_mut().unwrap().server_state = state.into();
            assert_eq!(phase_of(seen), state);
        }
    }

    #[test]
    fn what_cannot_be_known_is_not_made_up() {
        assert!(matches!(judge(answers(FOLLOWER), &epochs(None, None)), ServerState::Silent { .. }));
        let mut seen = answers(FOLLOWER);
        seen.stats.version = None;
        assert!(matches!(judged(seen), ServerState::Silent { .. }));
    }
}
