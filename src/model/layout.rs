//! Where things are inside a member's pod: what the rendering and the agent must agree on.

/// The member's volume, ZooKeeper's `dataDir`.
pub const DATA_DIR: &str = "/data";
/// The static configuration. On the volume, because ZooKeeper writes the membership beside it, at each change.
pub const CONFIG_FILE: &str = "/data/conf/zoo.cfg";
/// Where the `ConfigMap` with the charter is mounted.
pub const SEED_DIR: &str = "/seed";
/// Where the Secret with the super user's password is mounted.
pub const SUPER_DIR: &str = "/super";
/// Port of ZooKeeper's AdminServer, on loopback.
pub const ADMIN_PORT: u16 = 8080;
/// Port of the agent.
pub const AGENT_PORT: u16 = 8079;
