//! `AdminServer`: the answers of a server's HTTP interface that an agent reads.
//!
//! None of them needs a client connection: they work when `maxCnxns` is used up, and on a leader with
//! `leaderServes=no`.
//!
//! Not `zabstate`, although it is made for this: it pings its own addresses to print them, and behind a `ClusterIP`
//! Service nothing answers a ping. Measured on 3.8.5 and 3.9.5 with pings dropped: 1.2 s to 1.6 s, then HTTP 200 with
//! JSON that breaks off. Its `zab_epoch` is that of the last transaction, too: a follower of epoch 2 that has seen no
//! write since says 1 or 0. `monitor` says the same in `peer_state`, in 20 ms.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::http::{HttpError, get_json, get_json_of, scan_json};
use crate::model::bounded;

/// 255 voters with two addresses of 200 characters each, in lines that are indented.
const VIEW: usize = 256 << 10;

/// Answer to `server_stats`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServerStats {
    /// Set if it does not serve; the other fields are missing then. The HTTP status is 200 anyway.
    pub error: Option<String>,
    /// The version, with its build.
    pub version: Option<String>,
    /// The rest.
    pub server_stats: Option<Stats>,
    /// Of a leader.
    #[serde(default)]
    pub proposal_stats: Option<Proposals>,
}

/// The numbers in [`ServerStats`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stats {
    /// leader, follower, observer, standalone, read-only.
    #[serde(deserialize_with = "bounded::text")]
    pub server_state: String,
    /// The last transaction that it applied.
    pub last_processed_zxid: i64,
}

/// What a leader says of its proposals. Others say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Proposals {
    /// The size of the last one; negative while it has proposed nothing since it leads.
    pub last_buffer_size: i64,
}

/// Answer to `monitor`: of its more than 500 fields only those that are read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Monitor {
    /// leader, follower, observer, standalone, read-only.
    #[serde(deserialize_with = "bounded::text")]
    pub server_state: String,
    /// Role, phase and way of synchronizing: `following - synchronization - snap`. A standalone server has none.
    #[serde(default, deserialize_with = "bounded::optional")]
    pub peer_state: Option<String>,
    /// On the leader: followers that it sends proposals to, without itself. One that still receives its first snapshot
    /// is counted (`Leader.startForwarding` comes before the transfer; seen 0.4 s early with 36 MB). With the
    /// Prometheus provider the number is a float.
    #[serde(default, deserialize_with = "bounded::count")]
    pub synced_followers: Option<u32>,
    /// On the leader: those of them that are not voters of the membership.
    #[serde(default, deserialize_with = "bounded::count")]
    pub synced_non_voting_followers: Option<u32>,
}

/// Answer to `voting_view`: who votes, in the membership that the server uses at that moment. It has neither the
/// observers nor the version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct VotingView {
    /// Set when it does not serve.
    #[serde(default, deserialize_with = "bounded::optional")]
    pub error: Option<String>,
    /// The voters by their ids, as they are written: Java counts further than a [`crate::model::ServerId`].
    #[serde(default)]
    pub current_config: BTreeMap<String, Voter>,
}

/// One voter in a [`VotingView`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Voter {
    /// `host:port` of the quorum port, one for each of its addresses.
    pub server_addresses: Vec<String>,
}

#[derive(Deserialize)]
struct EnvironmentAnswer {
    #[serde(rename = "zookeeper.version")]
    version: Option<String>,
}

/// Asks `server_stats` of the `AdminServer` at `base`, `http://host:port`.
pub async fn server_stats(base: &str, limit: Duration) -> Result<ServerStats, HttpError> {
    get_json(&command(base, "server_stats"), limit).await
}

/// Asks `monitor`. A server that is not serving answers with HTTP 500 and logs a stack trace, so ask [`server_stats`] first.
///
/// The answer has a kilobyte for each child of `/` (`read_per_namespace` and `write_per_namespace`): 60 MB with 60,000
/// of them.
pub async fn monitor(base: &str, limit: Duration) -> Result<Monitor, HttpError> {
    scan_json(&command(base, "monitor"), limit).await
}

/// Asks `voting_view`.
pub async fn voting_view(base: &str, limit: Duration) -> Result<VotingView, HttpError> {
    get_json_of(&command(base, "voting_view"), limit, VIEW).await
}

/// The version, with its build: the only answer that has it while the server does not serve.
pub async fn version(base: &str, limit: Duration) -> Result<Option<String>, HttpError> {
    Ok(get_json::<EnvironmentAnswer>(&command(base, "environment"), limit).await?.version)
}

/// `3.9.5` of `3.9.5-293c895a…, built on 2026-02-11 20:18 UTC`.
pub fn release(version: &str) -> &str {
    version.split(['-', ',']).next().unwrap_or(version).trim()
}

impl Monitor {
    /// `ZooKeeper`'s word for where it is: election, discovery, synchronization, broadcast.
    pub fn phase(&self) -> &str {
        self.peer_state.as_deref().and_then(|state| state.split(" - ").nth(1)).unwrap_or("election")
    }

    /// Voters that the leader sends proposals to, without itself.
    pub fn synced_voters(&self) -> Option<u32> {
        self.synced_followers?.checked_sub(self.synced_non_voting_followers?)
    }
}

fn command(base: &str, name: &str) -> String {
    format!("{}/commands/{name}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! answer {
        ($path:literal) => {
            serde_json::from_str(include_str!(concat!("../../tests/fixtures/admin/", $path))).unwrap()
        };
    }

    #[test]
    fn reads_what_both_releases_say_when_they_serve() {
        let stats: [ServerStats; 6] = [
            answer!("3.9.5/leader-server_stats.json"),
            answer!("3.9.5/follower-server_stats.json"),
            answer!("3.9.5/joiner-server_stats.json"),
            answer!("3.8.5/leader-server_stats.json"),
            answer!("3.8.5/follower-server_stats.json"),
            answer!("3.8.5/joiner-server_stats.json"),
        ];
        for (stats, state) in stats.iter().zip(["leader", "follower", "follower"].iter().cycle()) {
            assert_eq!(stats.error, None);
            assert_eq!(stats.server_stats.as_ref().unwrap().server_state, *state);
        }
        assert_eq!(release(stats[0].version.as_deref().unwrap()), "3.9.5");
        assert_eq!(release(stats[3].version.as_deref().unwrap()), "3.8.5");
        assert_eq!(stats[0].server_stats.as_ref().unwrap().last_processed_zxid, 0x1_0000_0000);
    }

    #[test]
    fn a_server_without_quorum_says_so_in_error() {
        let stats: [ServerStats; 2] =
            [answer!("3.9.5/noquorum-server_stats.json"), answer!("3.8.5/noquorum-server_stats.json")];
        for stats in stats {
            let error = "This ZooKeeper instance is not currently serving requests";
            assert_eq!(stats.error.as_deref(), Some(error));
            assert_eq!(stats.server_stats, None);
        }
    }

    #[test]
    fn a_leader_counts_its_voters_and_a_follower_nobody() {
        // Two voters and two joiners are connected in the first, two voters and one joiner in the second.
        let leaders: [Monitor; 2] = [answer!("3.9.5/leader-monitor.json"), answer!("3.8.5/leader-monitor.json")];
        for leader in leaders {
            assert_eq!((leader.phase(), leader.synced_voters()), ("broadcast", Some(2)));
        }
        let others: [Monitor; 3] = [
            answer!("3.9.5/follower-monitor.json"),
            answer!("3.9.5/joiner-monitor.json"),
            answer!("3.8.5/follower-monitor.json"),
        ];
        for other in others {
            assert_eq!((other.phase(), other.synced_voters()), ("broadcast", None));
        }
    }

    #[test]
    fn case_01_with_the_prometheus_provider_a_leader_counts_its_voters_all_the_same() {
        let leaders: [Monitor; 2] =
            [answer!("3.9.5/leader-monitor-prometheus.json"), answer!("3.8.5/leader-monitor-prometheus.json")];
        for leader in leaders {
            assert_eq!((leader.server_state.as_str(), leader.phase()), ("leader", "broadcast"));
            assert_eq!(leader.synced_voters(), Some(2));
        }
        let followers: [Monitor; 2] =
            [answer!("3.9.5/follower-monitor-prometheus.json"), answer!("3.8.5/follower-monitor-prometheus.json")];
        for follower in followers {
            assert_eq!((follower.phase(), follower.synced_voters()), ("broadcast", None));
        }
    }

    #[test]
    fn both_releases_say_who_votes() {
        let views: [VotingView; 2] = [answer!("3.9.5/voting_view.json"), answer!("3.8.5/voting_view.json")];
        for (view, net) in views.iter().zip([3, 4]) {
            assert_eq!(view.error, None);
            let voters: Vec<_> =
                view.current_config.iter().map(|(id, voter)| (&**id, &voter.server_addresses)).collect();
            let address = |id: u32| vec![format!("127.77.{net}.{id}:2888")];
            assert_eq!(voters, [("1", &address(1)), ("2", &address(2)), ("3", &address(3))]);
        }
    }

    #[test]
    fn an_id_that_only_java_can_count_leaves_the_answer_readable() {
        let view =
            r#"{"current_config": {"1": {"server_addresses": []}, "5000000000": {"server_addresses": ["b:2888"]}}}"#;
        assert_eq!(serde_json::from_str::<VotingView>(view).unwrap().current_config.len(), 2);
    }

    #[test]
    fn the_phase_is_the_second_word_of_the_peer_state() {
        for (state, phase) in [
            (Some("following - synchronization - snap"), "synchronization"),
            (Some("leading - broadcast"), "broadcast"),
            (Some("looking"), "election"),
            (None, "election"),
        ] {
            let peer_state = state.map(str::to_owned);
            let monitor = Monitor {
                server_state: String::new(),
                peer_state,
                synced_followers: None,
                synced_non_voting_followers: None,
            };
            assert_eq!(monitor.phase(), phase);
        }
    }

    #[test]
    fn a_release_is_what_stands_before_the_build() {
        for (version, want) in
            [("3.9.5-293c, built on 2026", "3.9.5"), ("3.10.0-SNAPSHOT-1f", "3.10.0"), ("3.4", "3.4"), ("", "")]
        {
            assert_eq!(release(version), want);
        }
    }
}
