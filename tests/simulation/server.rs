//! A ZooKeeper server as a process: what it believes and the part that it plays.

use std::collections::BTreeMap;

use super::disk::Disk;
use super::membership::{Config, Ids};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// The membership that it has taken over.
    pub config: Config,
    /// A newer one that it has only seen proposed.
    pub next: Option<Config>,
    pub role: Role,
    /// How much of its log it knows to be committed.
    pub commit: usize,
    /// Stopped with SIGSTOP, wedged: it lives and does nothing.
    pub paused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Looking,
    Following {
        leader: u32,
        epoch: u64,
        /// It has the leader's history and has said so.
        synced: bool,
        /// It answers clients.
        serving: bool,
    },
    Leading {
        epoch: u64,
        /// How much of its log each learner has acknowledged.
        acked: BTreeMap<u32, usize>,
        /// A quorum has acknowledged its history.
        established: bool,
        /// It was taken out by a reconfig: it commits nothing any more.
        leaving: bool,
    },
}

impl Server {
    /// Starts from the disk, or says why it exits.
    pub fn start(id: u32, disk: &mut Disk) -> Result<Self, String> {
        if disk.rotten {
            return Err("it cannot read its own files".to_owned());
        }
        let (config, next) = disk.configs().ok_or("there is no membership to start from")?;
        if !config.voters.contains(id) {
            return Err(format!("My id {id} not in the peer list"));
        }
        if !disk.database && disk.take_initialize() {
            disk.database = true;
        }
        Ok(Self { config, next, role: Role::Looking, commit: 0, paused: false })
    }

    pub fn looking(&self) -> bool {
        self.role == Role::Looking
    }

    pub fn serving(&self) -> bool {
        matches!(self.role, Role::Following { serving: true, .. } | Role::Leading { established: true, .. })
    }

    pub fn leads(&self) -> Option<u64> {
        match self.role {
            Role::Leading { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// The leader that it follows, and in which epoch.
    pub fn follows(&self) -> Option<(u32, u64)> {
        match self.role {
            Role::Following { leader, epoch, .. } => Some((leader, epoch)),
            _ => None,
        }
    }

    /// Everybody that it takes votes from.
    pub fn known(&self) -> Ids {
        self.next.map_or(self.config.voters, |next| next.voters.or(self.config.voters))
    }

    /// Whether it can open a connection to this member, by a name that it knows of it.
    pub fn dials(&self, id: u32) -> bool {
        let names = |config: &Config| config.voters.contains(id) && !config.astray.contains(id);
        names(&self.config) || self.next.as_ref().is_some_and(names)
    }

    /// Whether these are a quorum, of the proposed membership as well.
    pub fn quorum(&self, ids: Ids) -> bool {
        self.config.quorum(ids) && self.next.is_none_or(|next| next.quorum(ids))
    }

    /// Takes over a committed membership, in memory and on disk.
    pub fn activate(&mut self, config: Config, disk: &mut Disk) {
        if config.version > self.config.version {
            self.config = config;
            disk.activate(config);
        }
        self.next = self.next.filter(|next| next.version > self.config.version);
        // A newer one that was proposed stays beside it.
        if let Some(next) = self.next {
            disk.propose(next);
        }
    }

    /// Remembers a proposed membership, in memory and on disk.
    pub fn propose(&mut self, config: Config, disk: &mut Disk) {
        let newest = self.next.map_or(self.config.version, |next| next.version);
        if config.version > newest {
            self.next = Some(config);
            disk.propose(config);
        }
    }
}
