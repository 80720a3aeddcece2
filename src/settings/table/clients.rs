//! Clients and sessions.

use super::{Bool, Count, Every, Float, From, Int, Long, Setting, Text, both, key, unwise};
use crate::settings::SettingRule::{Followed, Refused};

const PORTS: &str = "Services and the membership depend on the ports and listen addresses of clients";
const LOCAL_SESSIONS: &str = "a local session is known to one member alone: each restart and hand-over would end it, where a session moves on now";
const IN_CLIENTS: &str = "clients read it, servers do not: set it where the clients run";

pub const SETTINGS: &[Setting] = &[
    key("clientPort*", Text, Refused(PORTS)),
    key("secureClientPort*", Text, Refused(PORTS)),
    key(
        "clientPortListenBacklog",
        Int,
        unwise(
            Every,
            "ZooKeeper drops it from zoo.cfg at each change of the membership, and a container that then restarts in place \
             runs without it until its pod is made anew",
        ),
    ),
    key("localSessionsEnabled", Bool, Refused(LOCAL_SESSIONS)),
    key("localSessionsUpgradingEnabled", Bool, Refused(LOCAL_SESSIONS)),
    key("maxClientCnxns", Int, Followed),
    both("maxCnxns", Int, Followed),
    key("minSessionTimeout", Int, Followed),
    key("maxSessionTimeout", Int, Followed),
    both("clientTcpKeepAlive", Bool, Followed),
    both("serverCnxnFactory", Text, Followed),
    both("nio.numSelectorThreads", Count, Followed),
    both("nio.numWorkerThreads", Int, Followed),
    both("nio.directBufferBytes", Int, Followed),
    both("nio.sessionlessCnxnTimeout", Count, Followed),
    both("nio.shutdownTimeout", Long, Followed),
    both("netty.advancedFlowControl.enabled", Bool, Followed),
    both("netty.server.outstandingHandshake.limit", Int, Followed),
    both("netty.server.earlyDropSecureConnectionHandshakes", Bool, Followed),
    both("connection_throttle_tokens", From(0), Followed),
    both("connection_throttle_fill_time", Count, Followed),
    both("connection_throttle_fill_count", Count, Followed),
    both("connection_throttle_freeze_time", Int, Followed),
    both("connection_throttle_drop_increase", Float, Followed),
    both("connection_throttle_drop_decrease", Float, Followed),
    both("connection_throttle_decrease_ratio", Float, Followed),
    both("connection_throttle_weight_enabled", Bool, Followed),
    both("connection_throttle_global_session_weight", Int, Followed),
    both("connection_throttle_local_session_weight", Int, Followed),
    both("connection_throttle_renew_session_weight", Int, Followed),
    both("client.secure", Bool, Refused(IN_CLIENTS)),
    both("clientCnxnSocket", Text, Refused(IN_CLIENTS)),
    both("disableAutoWatchReset", Bool, Refused(IN_CLIENTS)),
    both("request.timeout", Int, Refused(IN_CLIENTS)),
    both("sasl.client", Bool, Refused(IN_CLIENTS)),
    both("sasl.client.canonicalize.hostname", Bool, Refused(IN_CLIENTS)),
    both("sasl.client.username", Text, Refused(IN_CLIENTS)),
    both("sasl.clientconfig", Text, Refused(IN_CLIENTS)),
    both("server.principal", Text, Refused(IN_CLIENTS)),
    // ZooKeeper's documentation has these names, but its code does not read them.
    both("connectionMaxTokens", Int, Refused("write connection_throttle_tokens, the name that ZooKeeper reads")),
    both("connectionTokenFillTime", Int, Refused("write connection_throttle_fill_time, the name that ZooKeeper reads")),
    both(
        "connectionTokenFillCount",
        Int,
        Refused("write connection_throttle_fill_count, the name that ZooKeeper reads"),
    ),
    both("connectionFreezeTime", Int, Refused("write connection_throttle_freeze_time, the name that ZooKeeper reads")),
    both(
        "connectionDropIncrease",
        Float,
        Refused("write connection_throttle_drop_increase, the name that ZooKeeper reads"),
    ),
    both(
        "connectionDropDecrease",
        Float,
        Refused("write connection_throttle_drop_decrease, the name that ZooKeeper reads"),
    ),
    both(
        "connectionDecreaseRatio",
        Float,
        Refused("write connection_throttle_decrease_ratio, the name that ZooKeeper reads"),
    ),
    both(
        "advancedFlowControlEnabled",
        Bool,
        Refused("write netty.advancedFlowControl.enabled, the name that ZooKeeper reads"),
    ),
    both(
        "outstandingHandshake.limit",
        Int,
        Refused("write netty.server.outstandingHandshake.limit, the name that ZooKeeper reads"),
    ),
];
