//! What happens to data that was written with a setting, once the setting is taken back or changed. That ZooKeeper
//! reads a setting, and reads the same value after it has rewritten zoo.cfg, proves nothing about this. The answers here
//! come from the source of 3.8 and 3.9; `tests/servers/taken_back.rs` shows on real servers what ends badly.

use super::*;
use crate::settings::table::by_key;

/// Settings of data on disk that users may change, and why a server with one value can read what it wrote with another.
const HARMLESS: [(&str, &str); 21] = [
    ("fsync.warningthresholdms", "a line in the server's log"),
    ("preAllocSize", "zeros behind the last transaction, which end a log whatever their number"),
    ("snapCount", "when a log ends; each begins with its own header"),
    ("snapSizeLimitInKb", "when a log ends"),
    ("txnLogSizeLimitInKb", "when a log ends"),
    ("commitLogCount", "what is kept in memory"),
    ("snapshotSizeFactor", "how a follower is synced; what it has afterwards is the same"),
    ("forceSnapshotSync", "how a follower is synced"),
    ("snapshot.compression.method", "a snapshot is read by the end of its name (SnapStream.getStreamMode)"),
    (
        "digest.enabled",
        "a digest that is missing is none, and one too many is not read: as long as no zxid is behind it in a snapshot",
    ),
    (
        "closeSessionTxn.enabled",
        "the digest that stands where the znodes are expected ends too early for a list of them, and is none (SerializeUtils); \
         not harmless where its upper half is no length of a path: it is a sum of one CRC32 a znode, so zero beside a handful \
         of them and over every limit beside four million. That is said, and the old value reads the log",
    ),
    ("autopurge.snapRetainCount", "never fewer than three"),
    ("autopurge.purgeInterval", "when old files go"),
    (
        "emulate353TTLNodes",
        "not harmless either way, and said with each value but ZooKeeper's: which one is right, only the data tells",
    ),
    ("maxClientCnxns", "connections are no data"),
    ("minSessionTimeout", "a session keeps the timeout that it was given"),
    ("maxSessionTimeout", "a session keeps the timeout that it was given"),
    ("enforceQuota", "quotas are znodes, whether they are enforced or not"),
    (
        "authProvider.*",
        "an ACL of a scheme that nobody knows lets nobody in, until the provider is back; the data stays",
    ),
    ("superUser", "who may do everything is no data"),
    (
        "jute.maxbuffer",
        "a smaller one cannot read what a larger one wrote: the first restarted member says so and halts the rest, and none is taken for damaged",
    ),
];

#[test]
fn every_setting_of_data_on_disk_that_users_may_change_is_known_to_be_harmless_when_it_is_taken_back() {
    let (_, on_disk) = GROUPS.iter().find(|(heading, _)| *heading == "Data on disk").unwrap();
    for setting in
        on_disk.iter().filter(|setting| matches!(setting.rule, SettingRule::Followed | SettingRule::Unwise { .. }))
    {
        let known = HARMLESS.iter().find(|(name, why)| *name == setting.name && why.len() > 10);
        assert!(known.is_some(), "{}: what if it is taken back on data that used it?", setting.name);
    }
    for (name, _) in HARMLESS {
        let row = by_key(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        assert!(
            matches!(row.rule, SettingRule::Followed | SettingRule::Unwise { .. }),
            "{name} cannot be changed anyway"
        );
    }
}

/// Settings that cost data, or made it unreadable, when they were changed on data that was written with them.
const HARMFUL: [(&str, &str, &str); 2] = [
    ("extendedTypesEnabled", "true", "deletes every TTL znode"),
    ("serializeLastProcessedZxid.enabled", "false", "no snapshot can be read"),
];

#[test]
fn what_costs_data_when_it_is_taken_back_is_owned_and_says_why() {
    for (name, value, harm) in HARMFUL {
        assert!(owned().any(|line| line == (name, value)), "{name} is not owned");
        let other = if value == "true" { "false" } else { "true" };
        refused(config(name, other), "config", harm);
        refused(flag(&format!("-Dzookeeper.{name}={other}")), "jvm.flags", harm);
    }
    assert!(super::super::last_flags().any(|flag| flag == "-Dzookeeper.extendedTypesEnabled=true"));
}

#[test]
fn who_asks_for_what_the_operator_does_anyway_is_not_refused() {
    for setting in all() {
        let SettingRule::Owned { value: Some(ours), .. } = setting.rule else { continue };
        assert!(config(setting.name, ours).is_ok(), "{} = {ours}", setting.name);
        if let Some(property) = setting.property() {
            assert!(flag(&format!("-D{property}={ours}")).is_ok(), "{property} = {ours}");
        }
    }
    // Users who already set this may keep it.
    followed(config("extendedTypesEnabled", "true"));
}
