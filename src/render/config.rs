//! zoo.cfg without what differs between members: `dynamicConfigFile` and the super user's digest are the agent's.

use std::collections::BTreeMap;

use crate::model::layout::{ADMIN_PORT, DATA_DIR};

/// What the operator sets whatever the user says. The schema refuses these keys; here they win all the same.
const OWNED: &[(&str, &str)] = &[
    ("dataDir", DATA_DIR),
    // 1 ↔ n is then the same mechanism as any other step: a standalone server answers `reconfig` with Unimplemented.
    ("standaloneEnabled", "false"),
    ("reconfigEnabled", "true"),
    // An empty disk rejoins and does not vote before it has synced. With ZooKeeper's default it can help to elect a
    // stale leader, and committed writes are gone.
    ("db.autocreate", "false"),
    // ZOOKEEPER-4708: a leader that cannot resolve itself yet hangs the ensemble; and in a pod its own Service's
    // address is not one that it could bind.
    ("quorumListenOnAllIPs", "true"),
    // 0 is for ever: with 3, a member whose port is briefly taken gives up and stays up without electing.
    ("electionPortBindRetry", "0"),
    ("admin.enableServer", "true"),
    ("admin.serverAddress", "127.0.0.1"),
    ("4lw.commands.whitelist", "conf, isro, mntr, ruok, srvr"),
];

/// What holds unless the user says otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    // Off in ZooKeeper: the disk fills.
    ("autopurge.purgeInterval", "1"),
    ("autopurge.snapRetainCount", "3"),
    // Off in ZooKeeper: an election's connection is idle for months, a NAT or a firewall drops it, and the next election runs
    // into the void.
    ("tcpKeepAlive", "true"),
    // A member that looks for a leader asks again after 200 ms, then twice as long each time, up to a minute by default:
    // a lone empty one served 16.7 s after the others had started, and with this 8.2 s.
    ("fastleader.maxNotificationInterval", "1000"),
];

/// ZooKeeper's sample ticks every 2 s and counts the limits in ticks: 20 s for a first sync, 10 s for a later one, sessions
/// of 4 to 40 s. These are the same times in shorter ticks: a leader that was taken out of the membership looks around
/// twice a tick (`Leader.lead`), and its clients wait until then: up to 1 s, and here an eighth of one.
const SHORT_TICKS: &[(&str, &str)] = &[
    ("tickTime", "250"),
    ("initLimit", "80"),
    ("syncLimit", "40"),
    ("minSessionTimeout", "4000"),
    ("maxSessionTimeout", "40000"),
];

/// The sample's, when the user sets one of them: who counts in ticks means those of 2 s.
const SAMPLE_TICKS: &[(&str, &str)] = &[("tickTime", "2000"), ("initLimit", "10"), ("syncLimit", "5")];

/// The text of zoo.cfg, sorted by key.
pub fn static_config(user: &BTreeMap<String, String>) -> String {
    let counted = SAMPLE_TICKS.iter().any(|(key, _)| user.contains_key(*key));
    let ticks = if counted { SAMPLE_TICKS } else { SHORT_TICKS };
    let defaults = DEFAULTS.iter().chain(ticks);
    let mut keys: BTreeMap<&str, String> = defaults.map(|(key, value)| (*key, (*value).to_owned())).collect();
    keys.extend(user.iter().map(|(key, value)| (key.as_str(), value.clone())));
    keys.extend(OWNED.iter().map(|(key, value)| (*key, (*value).to_owned())));
    keys.insert("admin.serverPort", ADMIN_PORT.to_string());
    let lines: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_keys_replace_defaults_and_never_what_the_operator_owns() {
        let user = [("tickTime", "1000"), ("dataDir", "/etc"), ("snapCount", "5")];
        let text = static_config(&user.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert!(text.contains("tickTime=1000\n") && text.contains("snapCount=5\n") && text.contains("dataDir=/data\n"));
        assert_eq!(text.matches("dataDir=").count(), 1);
    }

    #[test]
    fn who_counts_in_ticks_gets_those_of_the_sample_and_who_does_not_the_same_times_in_shorter_ones() {
        let times = |keys: &[(&str, &str)]| {
            let text = static_config(&keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
            let number = |key: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
                line.map(|value| value.parse::<u32>().unwrap())
            };
            let tick = number("tickTime").unwrap();
            let sessions =
                [number("minSessionTimeout").unwrap_or(2 * tick), number("maxSessionTimeout").unwrap_or(20 * tick)];
            (tick * number("initLimit").unwrap(), tick * number("syncLimit").unwrap(), sessions)
        };
        assert_eq!(times(&[]), (20_000, 10_000, [4_000, 40_000]));
        assert_eq!(times(&[("tickTime", "2000")]), times(&[]));
        assert_eq!(times(&[("initLimit", "30")]).0, 60_000);
        assert_eq!(times(&[("maxSessionTimeout", "90000")]), (20_000, 10_000, [4_000, 90_000]));
    }
}
