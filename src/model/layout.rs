//! Paths and ports inside a member's pod, on which the rendering and the agent have to agree.

/// The member's volume, ZooKeeper's `dataDir`.
pub const DATA_DIR: &str = "/data";
/// The static configuration. It is on the volume, because ZooKeeper writes the membership beside it at each change.
pub const CONFIG_FILE: &str = "/data/conf/zoo.cfg";
/// Where the `ConfigMap` with the charter is mounted.
pub const SEED_DIR: &str = "/seed";
/// Where the Secret with the super user's password is mounted.
pub const SUPER_DIR: &str = "/super";
/// Where the Secret with the archive's credentials is mounted, in the agent alone.
pub const ARCHIVE_DIR: &str = "/archive";
/// Where the Secret with the credentials of the archive is mounted that an ensemble is made from, in what prepares the volume alone.
pub const PARENT_DIR: &str = "/parent";
/// Where the certificates of the CAs of an archive's store are mounted, in the agent and in Jobs.
pub const ARCHIVE_CA_DIR: &str = "/archive-ca";
/// Where those of the archive are mounted that an ensemble is made from, in what prepares the volume alone.
pub const PARENT_CA_DIR: &str = "/parent-ca";
/// Where the Secret with the keys is mounted with which we encrypt, in the agent and in Jobs.
pub const ARCHIVE_KEYS_DIR: &str = "/archive-keys";
/// Where that of the archive is mounted that an ensemble is made from, in what prepares the volume alone.
pub const PARENT_KEYS_DIR: &str = "/parent-keys";
/// What a Job's pod has a server start from, to see whether one does.
pub const TRIAL_DIR: &str = "/trial";
/// The server's configuration there. It is written last: the server waits for it.
pub const TRIAL_CONFIG: &str = "zoo.cfg";
/// What the server says.
pub const TRIAL_OUTPUT: &str = "out";
/// Flags of its JVM: all of it can be read, and nothing of it goes by itself while it is looked at.
pub const TRIAL_FLAGS: [&str; 4] = [
    "-Dzookeeper.skipACL=yes",
    "-Dzookeeper.extendedTypesEnabled=true",
    "-Dznode.container.checkIntervalMs=86400000",
    // Twice the largest record that is archived.
    "-Djute.maxbuffer=33554432",
];
/// Port of ZooKeeper's AdminServer, on loopback.
pub const ADMIN_PORT: u16 = 8080;
/// Port of the agent.
pub const AGENT_PORT: u16 = 8079;
/// What the kubelet asks the agent: whether it lives.
pub const HEALTH_PATH: &str = "/healthz";
/// Whether the server serves.
pub const READY_PATH: &str = "/ready";
/// To hold up a leader that is to stop, until another leads.
pub const HAND_OVER_PATH: &str = "/hand-over";
/// Everything that the agent knows about its member: for the operator, and for the other founders at a birth.
pub const MEMBER_PATH: &str = "/v1/member";
/// Its logs and snapshots: for a backup that is made from them.
pub const FILES_PATH: &str = "/v1/files";
