//! The agent beside real servers on loopback, without Kubernetes: `dev/test servers [SECONDS]`.
//!
//! The agent's own code runs in this process and looks at the servers' processes; between a member and its leader there can be
//! a link that is as slow as one likes. `MENAGERIE_SERVERS` names a folder with the jars of each release.

mod backup;
mod clients;
mod dirty;
mod ensemble;
mod link;
mod moved;
mod purging;
mod quotas;
mod restore;
mod slots;
mod slow;
mod taken_back;
mod trial;
mod undo;
