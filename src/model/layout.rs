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
/// What the kubelet asks the agent: whether it lives.
pub const HEALTH_PATH: &str = "/healthz";
/// Whether the server serves.
pub const READY_PATH: &str = "/ready";
/// To hold up a leader that is to stop, until another leads.
pub const HAND_OVER_PATH: &str = "/hand-over";
/// What the operator asks it, and the other founders at a birth: all that it knows of its member.
pub const MEMBER_PATH: &str = "/v1/member";
