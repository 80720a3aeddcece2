//! Values that no server can use, or that make it stop.

use super::*;

#[test]
fn numbers_with_which_no_server_works_are_refused() {
    // The server divides by them, creates threads, buffers and queues of that size, or sleeps for that long.
    for key in [
        "nio.sessionlessCnxnTimeout",
        "nio.numSelectorThreads",
        "cnxTimeout",
        "fastleader.minNotificationInterval",
        "fastleader.maxNotificationInterval",
        "leader.maxConcurrentSnapSyncs",
        "leader.maxConcurrentDiffSyncs",
        "commitProcessor.maxCommitBatchSize",
        "messageTracker.BufferSize",
        "connection_throttle_fill_time",
        "connection_throttle_fill_count",
        "request_throttle_stall_time",
        "request_throttler.shutdownTimeout",
        "watcherCleanThreshold",
        "watcherCleanIntervalInSeconds",
        "znode.container.checkIntervalMs",
        "znode.container.maxPerMinute",
        "pathStats.slotDuration",
        "pathStats.slotCapacity",
        "pathStats.delay",
        "jvm.pause.sleep.time.ms",
        "metricsProvider.maxQueueSize",
    ] {
        for wrong in ["0", "-1", "2147483648", "0x10"] {
            refused(config(key, wrong), "config", "a whole number of at least 1");
        }
        followed(config(key, "1000"));
    }
    for key in [
        "leaderConnectDelayDuringRetryMs",
        "connection_throttle_tokens",
        "maxResponseCacheSize",
        "maxGetChildrenResponseCacheSize",
        "pathStats.topPathMax",
    ] {
        refused(config(key, "-1"), "config", "a whole number of at least 0");
        followed(config(key, "0"));
    }
    refused(config("intBufferStartingSizeBytes", "31"), "config", "a whole number of at least 32");
    followed(config("intBufferStartingSizeBytes", "32"));
    // The server divides by half of snapSizeLimitInKb. A value below 0 switches either limit off.
    for key in ["snapSizeLimitInKb", "leader.maxTimeToWaitForEpoch"] {
        refused(config(key, "0"), "config", "-1 switches it off");
        followed(config(key, "-1"));
        followed(config(key, "4194304"));
    }
}

#[test]
fn a_number_that_java_would_read_as_octal_is_refused() {
    for wrong in ["010", "-010", "00"] {
        refused(config("globalOutstandingLimit", wrong), "config", "octal");
        refused(config("fsync.warningthresholdms", wrong), "config", "octal");
    }
    for right in ["0", "-1", "100", "+5"] {
        followed(config("globalOutstandingLimit", right));
    }
}

#[test]
fn a_decimal_is_one_that_rust_and_java_both_read() {
    for wrong in ["inf", "nan", "NaN", "infinity", "-Infinity", "1f", "1d", "0x1p3", "1e999", ".", "e1", "1,5"] {
        refused(config("snapshotSizeFactor", wrong), "config", "must be a number");
        refused(flag(&format!("-Dzookeeper.pathStats.sampleRate={wrong}")), "jvm.flags", "must be a number");
    }
    for right in ["0.33", "-1", "1.", ".5", "+2", "1e-3", "1E3"] {
        followed(config("snapshotSizeFactor", right));
    }
}

#[test]
fn no_size_limit_is_below_what_others_wrote_before() {
    for limit in ["jute.maxbuffer", "jute.maxbuffer.extrasize"] {
        for wrong in ["0", "1024", "1048574", "-1", "1M", "0x0fffe"] {
            refused(config(limit, wrong), "config", "a whole number of 1048575");
        }
        for right in ["1048575", "0xfffff", "67108864"] {
            followed(config(limit, right));
        }
    }
    refused(flag("-Dzookeeper.jute.maxbuffer.extrasize=1024"), "jvm.flags", "1048575");
}

#[test]
fn a_word_that_zookeeper_does_not_know_is_refused_with_those_that_it_knows() {
    for (key, listed, words) in [
        ("snapshot.compression.method", "must be gz or snappy", &["gz", "snappy"][..]),
        ("ssl.clientAuth", "must be none, want or need", &["none", "want", "need"]),
        ("ssl.quorum.clientAuth", "must be none, want or need", &["none", "want", "need"]),
        ("ssl.keyStore.type", "must be JKS, PEM, PKCS12 or BCFKS", &["JKS", "PEM", "PKCS12", "BCFKS"]),
        ("ssl.quorum.trustStore.type", "must be JKS, PEM, PKCS12 or BCFKS", &["JKS", "PEM", "PKCS12", "BCFKS"]),
    ] {
        for wrong in ["gzip", "optional", "p12", "checked", "true"] {
            refused(config(key, wrong), "config", &format!("{key} {listed}, and is {wrong:?}"));
            refused(flag(&format!("-Dzookeeper.{key}={wrong}")), "jvm.flags", listed);
        }
        // ZooKeeper reads them in upper and lower case.
        for word in words {
            followed(config(key, word));
            followed(config(key, &word.to_uppercase()));
            followed(flag(&format!("-Dzookeeper.{key}={}", word.to_lowercase())));
        }
        followed(flag(&format!("-Dzookeeper.{key}=")));
    }
}

#[test]
fn a_word_of_which_the_image_decides_what_it_means_is_passed_on() {
    for (key, own) in [
        ("watchManagerName", "com.example.Watches"),
        ("metricsProvider.className", "com.example.Metrics"),
        ("ssl.protocol", "TLSv1.3"),
        ("ssl.sslProvider", "OPENSSL_MIXED"),
    ] {
        followed(config(key, own));
    }
}
