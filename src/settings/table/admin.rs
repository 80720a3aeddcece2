//! Administration and metrics.

use super::{Bool, Count, Float, From, Int, Long, Port, Setting, Text, both, key, owned};
use crate::settings::Rule::{AtLeast, Followed, Refused};

const AGENT: &str =
    "the agent beside each member asks the AdminServer, over plain HTTP on loopback, where nobody else reaches it";
const LOGGING: &str = "logging is set in /conf/logback.xml: mount one of yours there";

pub const SETTINGS: &[Setting] = &[
    both("admin.enableServer", Bool, owned("true", AGENT)),
    both("admin.serverAddress", Text, owned("127.0.0.1", AGENT)),
    both("admin.serverPort", Int, owned("8080", AGENT)),
    both("admin.commandURL", Text, owned("/commands", AGENT)),
    both("admin.portUnification", Bool, owned("false", AGENT)),
    both("admin.forceHttps", Bool, owned("false", AGENT)),
    both("admin.needClientAuth", Bool, owned("false", AGENT)).since(&[(9, 0)]),
    both("admin.httpVersion", Int, Refused(AGENT)),
    both("admin.idleTimeout", Int, Refused(AGENT)),
    both("admin.rateLimiterIntervalInMS", Int, Refused(AGENT)).since(&[(9, 0)]),
    both("admin.snapshot.enabled", Bool, Refused(AGENT)).since(&[(9, 0)]),
    both("admin.restore.enabled", Bool, Refused(AGENT)).since(&[(9, 0)]),
    both("admin.*", Text, Refused(AGENT)),
    both("4lw.commands.whitelist", Text, AtLeast("conf, isro, mntr, ruok, srvr")),
    key("metricsProvider.className", Text, Followed),
    key("metricsProvider.httpHost", Text, Followed),
    key("metricsProvider.httpPort", Port, Followed),
    key("metricsProvider.exportJvmInfo", Bool, Followed),
    key("metricsProvider.numWorkerThreads", Int, Followed),
    key("metricsProvider.maxQueueSize", Count, Followed),
    key("metricsProvider.workerShutdownTimeoutMs", Int, Followed),
    // A provider of the user's own has keys of its own.
    key("metricsProvider.*", Text, Followed),
    both("audit.enable", Bool, Followed),
    both("audit.impl.class", Text, Followed),
    both("jmx.log4j.disable", Bool, Followed),
    both("jmx.log4j.mbean", Text, Followed),
    both("messageTracker.Enabled", Bool, Followed),
    both("messageTracker.BufferSize", Count, Followed),
    both("pathStats.enabled", Bool, Followed),
    both("pathStats.delay", Count, Followed),
    both("pathStats.initialDelay", Int, Followed),
    both("pathStats.maxDepth", Int, Followed),
    both("pathStats.sampleRate", Float, Followed),
    both("pathStats.slotCapacity", Count, Followed),
    both("pathStats.slotDuration", Count, Followed),
    both("pathStats.topPathMax", From(0), Followed),
    key("jvm.pause.monitor", Bool, Followed),
    key("jvm.pause.info-threshold.ms", Long, Followed),
    key("jvm.pause.warn-threshold.ms", Long, Followed),
    key("jvm.pause.sleep.time.ms", Count, Followed),
    both("root.logger", Text, Refused(LOGGING)),
    both("console.threshold", Text, Refused(LOGGING)),
    both("log.dir", Text, Refused(LOGGING)),
    both("log.file", Text, Refused(LOGGING)),
    both("log.threshold", Text, Refused(LOGGING)),
    both("log.maxfilesize", Text, Refused(LOGGING)),
    both("log.maxbackupindex", Text, Refused(LOGGING)),
    both("auditlog.file", Text, Refused(LOGGING)),
    both("auditlog.threshold", Text, Refused(LOGGING)),
    both("audit.logger", Text, Refused(LOGGING)),
    both("configuration", Text, Refused("it is for servers that run inside another program")),
    both("controllerPort", Int, Refused("it is for ZooKeeper's own tests")),
    // The agent's own line.
    both("menagerie.*", Text, Refused("the agent writes lines of that name")),
];
