//! Requests, memory, watches.

use super::{Bool, Buffer, Count, From, Int, Long, Setting, Text, both};
use crate::settings::SettingRule::{Followed, Refused};

pub const SETTINGS: &[Setting] = &[
    both("globalOutstandingLimit", Int, Followed),
    both("enforceQuota", Bool, Followed),
    both("maxResponseCacheSize", From(0), Followed),
    both("maxGetChildrenResponseCacheSize", From(0), Followed),
    both("largeRequestMaxBytes", Int, Followed),
    both("largeRequestThreshold", Int, Followed),
    both("jute.maxbuffer.extrasize", Buffer, Followed),
    both("intBufferStartingSizeBytes", From(32), Followed),
    both("flushDelay", Long, Followed),
    both("maxWriteQueuePollTime", Long, Followed),
    both("maxBatchSize", Int, Followed),
    both("request_throttle_max_requests", Int, Followed),
    both("request_throttle_stall_time", Count, Followed),
    both("request_throttle_drop_stale", Bool, Followed),
    both("request_stale_latency_check", Bool, Followed),
    both("request_stale_connection_check", Bool, Followed),
    both("request_throttler.shutdownTimeout", Count, Followed),
    both("throttled_op_wait_time", Int, Followed),
    both("commitProcessor.numWorkerThreads", Int, Followed),
    both("commitProcessor.maxReadBatchSize", Int, Followed),
    both("commitProcessor.maxCommitBatchSize", Count, Followed),
    both("commitProcessor.shutdownTimeout", Long, Followed),
    both("watchManagerName", Text, Followed),
    both("watcherCleanThreadsNum", Int, Followed),
    both("watcherCleanThreshold", Count, Followed),
    both("watcherCleanIntervalInSeconds", Count, Followed),
    both("maxInProcessingDeadWatchers", Int, Followed),
    both("bitHashCacheSize", Int, Followed),
    // ZooKeeper's documentation has these names, but its code does not read them.
    both("requestThrottleLimit", Int, Refused("write request_throttle_max_requests, the name that ZooKeeper reads")),
    both("requestThrottleStallTime", Int, Refused("write request_throttle_stall_time, the name that ZooKeeper reads")),
    both("requestThrottleDropStale", Bool, Refused("write request_throttle_drop_stale, the name that ZooKeeper reads")),
    both("requestStaleLatencyCheck", Bool, Refused("write request_stale_latency_check, the name that ZooKeeper reads")),
    both(
        "requestStaleConnectionCheck",
        Bool,
        Refused("write request_stale_connection_check, the name that ZooKeeper reads"),
    ),
    both("throttledOpWaitTime", Int, Refused("write throttled_op_wait_time, the name that ZooKeeper reads")),
    both("maxConcurrentSnapSyncs", Int, Refused("write leader.maxConcurrentSnapSyncs, the name that ZooKeeper reads")),
    both("maxConcurrentDiffSyncs", Int, Refused("write leader.maxConcurrentDiffSyncs, the name that ZooKeeper reads")),
    both("maxTimeToWaitForEpoch", Int, Refused("write leader.maxTimeToWaitForEpoch, the name that ZooKeeper reads")),
];
