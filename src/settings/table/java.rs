//! Java properties that are no keys of zoo.cfg. In `config` they become a flag.

use super::{Bool, Buffer, Count, Int, Long, Port, Setting, Text, property};
use crate::settings::SettingRule::{Followed, Refused};

pub const SETTINGS: &[Setting] = &[
    property("jute.maxbuffer", Buffer, Followed),
    property(
        "readonlymode.enabled",
        Bool,
        Refused("a member without a quorum would answer with what it last knew, and pass for one that serves"),
    ),
    property("znode.container.checkIntervalMs", Count, Followed),
    property("znode.container.maxPerMinute", Count, Followed),
    property("znode.container.maxNeverUsedIntervalMs", Long, Followed),
    property("leader.nodelay", Bool, Followed),
    property("follower.nodelay", Bool, Followed),
    property("jdk.tls.rejectClientInitiatedRenegotiation", Bool, Followed),
    property("java.security.auth.login.config", Text, Followed),
    property("java.security.krb5.conf", Text, Followed),
    property("java.security.krb5.realm", Text, Followed),
    property("java.security.krb5.kdc", Text, Followed),
    property("java.security.properties", Text, Followed),
    property("javax.security.auth.useSubjectCredsOnly", Bool, Followed),
    property("sun.security.krb5.debug", Bool, Followed),
    property("sun.security.jgss.native", Bool, Followed),
    property("com.sun.management.jmxremote.port", Port, Followed),
    property("com.sun.management.jmxremote.rmi.port", Port, Followed),
    property("sun.net.inetaddr.ttl", Int, Followed),
    property("sun.net.inetaddr.negative.ttl", Int, Followed),
    property("logback.configurationFile", Text, Followed),
];
