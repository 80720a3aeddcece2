//! Membership, election, synchronisation.

use super::{
    Bool, But, Count, Every, From, Int, Long, NotZero, Port, Setting, Text, YesNo, both, by_agent, key, owned, unwise,
};
use crate::settings::SettingRule::{Followed, Refused};

const MEMBERSHIP: &str = "set replicas: the operator changes the membership one step at a time";
const ADDRESSES: &str = "each member has one address, that of its Service: several would be without use";
const OBSERVERS: &str = "there are no observers yet";
const QUORUM_TLS: &str = "members with TLS and members without it cannot talk to each other: an ensemble that runs halts at the first restart";
const QUORUM_SASL: &str = "members that ask for it and members that do not cannot talk to each other: an ensemble that runs halts at the first restart";

pub const SETTINGS: &[Setting] = &[
    key("server.*", Text, Refused(MEMBERSHIP)),
    key("group*", Text, Refused(MEMBERSHIP)),
    key("weight*", Text, Refused(MEMBERSHIP)),
    key("dynamicConfigFile", Text, by_agent("it names the membership on record; the agent keeps it")),
    key("dynamicConfigFile*", Text, Refused(MEMBERSHIP)),
    key("peerType*", Text, Refused("the membership says who votes")),
    key(
        "oraclePath",
        Text,
        Refused("with an oracle one of two members goes on alone, and what it acknowledges can be lost: use three"),
    ),
    key(
        "standaloneEnabled",
        Bool,
        owned("false", "from 1 to n and back is then a step like any other; a standalone server knows no reconfig"),
    ),
    key("reconfigEnabled", Bool, owned("true", "scaling, replacing and handing over are changes of the membership")),
    key(
        "quorumListenOnAllIPs",
        Bool,
        owned("true", "the address of a member is its Service's, which no pod can bind (ZOOKEEPER-4708)"),
    ),
    both(
        "electionPortBindRetry",
        Int,
        owned("0", "for ever: with a number, a member whose port is taken for a while stays up without ever electing"),
    ),
    key("electionAlg", Int, Refused("ZooKeeper has one algorithm left, and takes it by itself: leave the key out")),
    both("multiAddress.enabled", Bool, Refused(ADDRESSES)),
    both("multiAddress.reachabilityCheckEnabled", Bool, Refused(ADDRESSES)),
    both("multiAddress.reachabilityCheckTimeoutMs", Int, Refused(ADDRESSES)),
    key("tickTime", Count, Followed),
    key("initLimit", Count, Followed),
    key("syncLimit", Count, Followed),
    key("connectToLearnerMasterLimit", Int, Followed),
    both("leaderServes", YesNo, Followed),
    both("cnxTimeout", Count, Followed),
    both("quorumCnxnTimeoutMs", Int, Followed),
    both("tcpKeepAlive", Bool, Followed),
    key("quorum.cnxn.threads.size", Int, Followed),
    both("fastleader.minNotificationInterval", Count, Followed),
    both("fastleader.maxNotificationInterval", Count, Followed),
    both("leader.maxTimeToWaitForEpoch", NotZero, Followed),
    both("leader.maxConcurrentSnapSyncs", Count, Followed),
    both("leader.maxConcurrentDiffSyncs", Count, Followed),
    both("leader.ackLoggingFrequency", Int, Followed),
    both("leader.closeSocketAsync", Bool, Followed),
    both("learner.closeSocketAsync", Bool, Followed),
    both("learner.asyncSending", Bool, Followed),
    both("leaderConnectDelayDuringRetryMs", From(0), Followed),
    both("follower.skipLearnerRequestToNextProcessor", Bool, Followed),
    both("forward_learner_requests_to_commit_processor_disabled", Bool, Followed),
    key("syncEnabled", Bool, Followed),
    both("observer.syncEnabled", Bool, Followed),
    both("observer.reconnectDelayMs", Long, Followed),
    both("observer.election.DelayMs", Long, Followed),
    key("observerMasterPort", Port, unwise(Every, OBSERVERS)),
    both("observerMaster.sizeLimit", Int, unwise(Every, OBSERVERS)),
    key("sslQuorum", Bool, unwise(But("false"), QUORUM_TLS)),
    key("portUnification", Bool, Followed),
    key("sslQuorumReloadCertFiles", Bool, Followed),
    key("quorum.auth.enableSasl", Bool, unwise(But("false"), QUORUM_SASL)),
    key("quorum.auth.serverRequireSasl", Bool, unwise(But("false"), QUORUM_SASL)),
    key("quorum.auth.learnerRequireSasl", Bool, unwise(But("false"), QUORUM_SASL)),
    key("quorum.auth.kerberos.servicePrincipal", Text, Followed),
    key("quorum.auth.learner.saslLoginContext", Text, Followed),
    key("quorum.auth.server.saslLoginContext", Text, Followed),
];
