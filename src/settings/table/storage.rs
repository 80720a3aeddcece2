//! Data on disk.

use super::{
    Below, Bool, But, Float, Int, Long, NotZero, OneOf, Setting, Text, YesNo, both, key, owned, unwise, vital,
};
use crate::model::layout::DATA_DIR;
use crate::settings::SettingRule::{Followed, Refused};

const PLACES: &str = "the operator places the files: storage says how large the volume is, and of which class";

pub const SETTINGS: &[Setting] = &[
    key("dataDir", Text, owned(DATA_DIR, PLACES)),
    // zkServer.sh greps zoo.cfg for lines that begin with these names.
    key("dataDir*", Text, Refused(PLACES)),
    key("dataLogDir*", Text, Refused(PLACES)),
    both(
        "db.autocreate",
        Bool,
        vital(
            "false",
            "an empty disk rejoins and does not vote before it has synced; with ZooKeeper's default it can help to elect a \
             stale leader, and committed writes are gone",
        ),
    ),
    both(
        "datadir.autocreate",
        Bool,
        owned("true", "a member with a new volume makes its folders itself; whether it may vote is another matter"),
    ),
    both(
        "snapshot.trust.empty",
        Bool,
        vital("false", "a member that has lost its snapshots would serve what its newest log holds, as if it were all"),
    ),
    both(
        "forceSync",
        YesNo,
        vital("yes", "with no, a write is acknowledged before it is on disk, and lost when power fails"),
    ),
    both("fsync.warningthresholdms", Long, Followed),
    both("preAllocSize", Long, Followed),
    both("snapCount", Int, Followed),
    both("snapSizeLimitInKb", NotZero, Followed),
    both("txnLogSizeLimitInKb", Long, Followed),
    both("commitLogCount", Int, Followed),
    both("snapshotSizeFactor", Float, Followed),
    both(
        "forceSnapshotSync",
        Bool,
        unwise(But("false"), "every member that comes back fetches the whole tree; it is for tests"),
    ),
    // `SnapStream.StreamMode.fromString` takes any other word for no compression.
    both("snapshot.compression.method", OneOf(&["gz", "snappy"]), Followed),
    both(
        "serializeLastProcessedZxid.enabled",
        Bool,
        owned(
            "false",
            "it is for snapshots through the AdminServer; behind a digest, no snapshot can be read once digest.enabled is changed",
        ),
    )
    .since(&[(9, 0)]),
    both(
        "digest.enabled",
        Bool,
        unwise(
            But("true"),
            "without digests neither ZooKeeper nor `log verify` can tell whether two members hold the same tree",
        ),
    ),
    both(
        "closeSessionTxn.enabled",
        Bool,
        unwise(
            But("true"),
            "without it the log does not say which ephemeral znodes a closed session took along; taken back, a log that was \
             written beside fewer than a dozen znodes, or more than four million, may not be read: then set it again",
        ),
    ),
    key("autopurge.snapRetainCount", Int, Followed)
        .noted("With `spec.archive` the agent keeps so many instead of the server"),
    key(
        "autopurge.purgeInterval",
        Int,
        unwise(
            Below(1),
            "nothing is ever purged: the volume fills with logs and snapshots, and then the members stop",
        ),
    )
    .noted(
        "With `spec.archive` the server gets 0, and the agent purges in its place, so many hours apart",
    ),
    both(
        "extendedTypesEnabled",
        Bool,
        vital(
            "true",
            "a server without it takes the owner of a TTL znode for a session that is gone: a leader then deletes every TTL \
             znode, on its own disk alone",
        ),
    ),
    both(
        "emulate353TTLNodes",
        Bool,
        unwise(
            But("false"),
            "it is for data that 3.5.3 wrote, and makes TTL znodes of every later release wrong; taken back, each leader \
             deletes those of 3.5.3 on its own disk alone",
        ),
    ),
    both(
        "test.allowDiscontinuousProposals",
        Bool,
        Refused("it is for ZooKeeper's own tests: with it a follower passes over transactions that it misses"),
    )
    .since(&[(9, 4)]),
    both(
        "testingonly.initialZxid",
        Text,
        Refused("it is for ZooKeeper's own tests: a leader that begins at another zxid contradicts what is on disk"),
    ),
];
