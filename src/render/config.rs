//! zoo.cfg without what differs between members: the agent adds `dynamicConfigFile` and the super user's digest.

use std::collections::BTreeMap;

use crate::model::archive::{PURGE_INTERVAL, SNAP_RETAIN_COUNT};
use crate::settings;

/// The defaults, unless the user sets something else.
const DEFAULTS: &[(&str, &str)] = &[
    // Off in ZooKeeper: the disk fills up.
    PURGE_INTERVAL,
    SNAP_RETAIN_COUNT,
    // Off in ZooKeeper: an election connection is idle for months, a NAT or a firewall drops it, and the next election
    // gets no answer.
    ("tcpKeepAlive", "true"),
    // A member that looks for a leader asks again after 200 ms, then after twice as long each time, by default up to a
    // minute: a lone empty member served 16.7 s after the others had started, and with this setting 8.2 s.
    ("fastleader.maxNotificationInterval", "1000"),
    // 1 MiB in ZooKeeper, on top of `jute.maxbuffer`. The record that ends a session names all its ephemeral znodes:
    // 20,000 with names of 150 letters are 3 MB, and no server starts on a log with a record that it cannot read back.
    // Clients may send no more than before.
    ("jute.maxbuffer.extrasize", "67108864"),
];

/// After so many KiB of log a server writes a snapshot and begins another log. The log behind the newest three snapshots stays, whoever
/// purges.
const LOG_LIMIT: &str = "snapSizeLimitInKb";
/// So many of them have room on a volume: three and the one that is written, beside the snapshots.
const LOGS: u64 = 16;
/// In KiB. A server counts what it has allocated ahead, 64 MiB from the beginning, and takes a random limit from the half on: with a limit of
/// 64 MiB it wrote a snapshot and began another log with each transaction.
const LEAST_LOG: u64 = 256 << 10;
/// How much it allocates ahead: whoever sets that says how large a log is.
const AHEAD: &str = "preAllocSize";
/// In KiB: ZooKeeper's own limit. It fills a volume of 10 GiB before there are three snapshots.
const OWN_LIMIT: u64 = 4 << 20;

/// The limit of a log on a volume of so many bytes, in KiB, where it is not ZooKeeper's own.
fn log_limit(volume: u64) -> Option<u64> {
    let limit = (volume / 1024 / LOGS).max(LEAST_LOG);
    (limit < OWN_LIMIT).then_some(limit)
}

/// The text of zoo.cfg, sorted by key. A default that a flag overrides is left out: ZooKeeper would prefer the line to
/// the flag. Where there is an archive, the agent purges and the server does not: it would delete logs that are not archived.
pub fn static_config(user: &BTreeMap<String, String>, flags: &[String], archived: bool, volume: Option<u64>) -> String {
    let mut keys = BTreeMap::new();
    let flagged = |key: &str| flags.iter().any(|flag| settings::sets(flag, key));
    let limit = volume.and_then(log_limit).map(|limit| limit.to_string());
    let defaults = DEFAULTS.iter().filter(|(key, _)| !flagged(key));
    for (key, value) in defaults.chain(settings::ticks(user)).copied().chain(settings::least()) {
        keys.insert(key, value);
    }
    if let Some(limit) = limit.as_ref().filter(|_| !flagged(LOG_LIMIT) && !flagged(AHEAD) && !user.contains_key(AHEAD))
    {
        keys.insert(LOG_LIMIT, limit);
    }
    keys.extend(user.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    // They were refused before; here they win anyway.
    for (key, value) in settings::owned() {
        keys.insert(key, value);
    }
    if archived {
        keys.insert(PURGE_INTERVAL.0, "0");
    }
    let lines: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::*;
    use crate::settings::properties::{load, written_anew};
    use crate::settings::{CheckedSettings, UserSettings, check};

    fn key() -> impl Strategy<Value = String> {
        let known: Vec<&'static str> = settings::all().map(|setting| setting.name).collect();
        let near =
            (prop::sample::select(known), "[\\\\ =:#!*a\n\u{e9}]{0,2}").prop_map(|(key, end)| format!("{key}{end}"));
        prop_oneof![near, "[a-z.]{1,8}", any::<String>()]
    }

    fn value() -> impl Strategy<Value = String> {
        let numbers = prop_oneof![Just("1".to_owned()), Just("yes".to_owned()), Just("true".to_owned())];
        prop_oneof![numbers, "[ -~]{0,12}", "[a-z]{0,3}\\\\{0,3}", "[\\\\ \t\n\r\x0c#!=:a\u{e9}]{0,6}", any::<String>()]
    }

    /// The result for one key and its value; nothing if it is refused.
    fn settled(key: &str, value: &str) -> CheckedSettings {
        let config = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        check(UserSettings { config: &config, flags: &[], version: "3.9.5", replicas: 3 }).unwrap_or_default()
    }

    /// ZooKeeper drops a few keys from the file, and a user who sets one is warned.
    fn told_that_it_is_dropped(settled: &CheckedSettings) -> bool {
        settled.advice.iter().any(|advice| advice.contains("drops it from zoo.cfg"))
    }

    fn assert_survives(user: &BTreeMap<String, String>, backwards: bool) {
        let mut file = static_config(user, &[], false, None).into_bytes();
        for _ in 0..3 {
            let read = load(&file);
            for (key, value) in user {
                assert_eq!(read.get(key), Some(value), "{key} in {:?}", String::from_utf8_lossy(&file));
            }
            for (key, value) in settings::owned() {
                assert_eq!(read.get(key).map(String::as_str), Some(value), "{key}");
            }
            file = written_anew(&read, backwards);
        }
    }

    proptest! {
        /// Every setting is refused, or reads the same however often ZooKeeper rewrites the file, and so do the
        /// operator's own settings beside it.
        #[test]
        fn case_43_what_is_not_refused_survives_zookeepers_own_writing_of_the_file(
            asked in prop::collection::btree_map(key(), value(), 0..5),
            backwards in any::<bool>(),
        ) {
            // One by one, so that one that is refused does not hide the others.
            let settled = asked.iter().map(|(key, value)| settled(key, value));
            let kept = settled.filter(|settled| !told_that_it_is_dropped(settled));
            assert_survives(&kept.flat_map(|settled| settled.config).collect(), backwards);
        }
    }

    #[test]
    fn each_key_that_is_accepted_survives_or_comes_with_a_warning_that_it_does_not() {
        let mut dropped = Vec::new();
        for setting in settings::all() {
            let name = setting.name.replace('*', "x");
            for value in ["1", "7000", "yes", "true", "text"] {
                let settled = settled(&name, value);
                if told_that_it_is_dropped(&settled) {
                    let read = load(static_config(&settled.config, &[], false, None).as_bytes());
                    let anew = load(&written_anew(&read, false));
                    assert!(read.contains_key(&name) && !anew.contains_key(&name), "{name} is not dropped");
                    dropped.push(name.clone());
                } else {
                    assert_survives(&settled.config, false);
                }
            }
        }
        dropped.dedup();
        assert_eq!(dropped, ["clientPortListenBacklog"]);
    }

    #[test]
    fn escaping_holds_for_one_reading_only_and_so_nothing_is_escaped() {
        let escaped = "a=x\\\\\ndb.autocreate=false\n";
        assert_eq!(load(escaped.as_bytes())["a"], "x\\");
        let anew = load(&written_anew(&load(escaped.as_bytes()), false));
        assert_eq!(anew.get("db.autocreate"), None, "ZooKeeper escapes: then so can we");
    }

    #[test]
    fn the_users_keys_replace_defaults_and_never_what_the_operator_owns() {
        let user = [("tickTime", "1000"), ("dataDir", "/etc"), ("snapCount", "5")];
        let text = static_config(&user.map(|(k, v)| (k.to_owned(), v.to_owned())).into(), &[], false, None);
        assert!(text.contains("tickTime=1000\n") && text.contains("snapCount=5\n") && text.contains("dataDir=/data\n"));
        assert_eq!(text.matches("dataDir=").count(), 1);
    }

    /// A tree of 9 MB and large writes: one log of 1,088 MB filled a volume of a gigabyte, and no server started any more.
    #[test]
    fn several_logs_have_room_on_a_volume_unless_the_user_says_how_large_one_may_be() {
        let gib = 1_u64 << 30;
        let line = |user: &[(&str, &str)], flags: &[&str], volume| {
            let user = user.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let text = static_config(&user, &flags, false, volume);
            text.lines().find_map(|line| line.strip_prefix("snapSizeLimitInKb=").map(str::to_owned))
        };
        for (volume, limit) in
            [(1, Some("262144")), (10, Some("655360")), (63, Some("4128768")), (64, None), (1000, None)]
        {
            assert_eq!(line(&[], &[], Some(volume * gib)).as_deref(), limit, "{volume} GiB");
        }
        assert_eq!(line(&[], &[], None), None);
        assert_eq!(line(&[("snapSizeLimitInKb", "-1")], &[], Some(gib)).as_deref(), Some("-1"));
        assert_eq!(line(&[], &["-Dzookeeper.snapSizeLimitInKb=7"], Some(gib)), None);
        // What is allocated ahead counts: half of the limit has to be more.
        assert_eq!(line(&[("preAllocSize", "1048576")], &[], Some(gib)), None);
        assert_eq!(line(&[], &["-Dzookeeper.preAllocSize=1048576"], Some(gib)), None);
        const { assert!(LEAST_LOG / 2 > 64 << 10) };
    }

    /// After an outage of the store the archive had a gap, although the disk had room.
    #[test]
    fn where_there_is_an_archive_no_server_purges_whatever_the_user_says() {
        for user in [&[][..], &[("autopurge.purgeInterval", "24"), ("autopurge.snapRetainCount", "5")]] {
            let user = user.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let lines = |archived| static_config(&user, &[], archived, None);
            let (with, without) = (lines(true), lines(false));
            assert!(with.contains("autopurge.purgeInterval=0\n"), "{with}");
            let other = |text: &str| {
                text.lines().filter(|line| !line.starts_with("autopurge.purgeInterval=")).collect::<Vec<_>>().join("\n")
            };
            assert_eq!(other(&with), other(&without));
            assert!(!without.contains("autopurge.purgeInterval=0\n"), "{without}");
        }
    }

    #[test]
    fn who_counts_in_ticks_gets_those_of_the_sample_and_who_does_not_the_same_times_in_shorter_ones() {
        let times = |keys: &[(&str, &str)]| {
            let text = static_config(
                &keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                &[],
                false,
                None,
            );
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

    #[test]
    fn no_line_of_zoo_cfg_contradicts_a_flag_that_is_accepted() {
        let values = ["1", "7000", "2000000", "yes", "no", "true", "false", "text"];
        for setting in settings::all().filter(|setting| setting.reach == settings::Reach::Both) {
            for value in values {
                let name = setting.name.replace('*', "x");
                let flags = [format!("-Dzookeeper.{name}={value}")];
                let asked = UserSettings { config: &BTreeMap::new(), flags: &flags, version: "3.9.5", replicas: 3 };
                let Ok(settled) = check(asked) else { continue };
                let text = static_config(&settled.config, &settled.flags, false, None);
                let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
                assert!(line.is_none_or(|line| line == value), "{name}: the flag says {value}, and zoo.cfg {line:?}");
            }
        }
    }
}
