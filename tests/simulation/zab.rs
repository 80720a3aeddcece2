//! How servers agree: elections by (epoch, zxid, id) among the voters of each one's own membership, the leader's
//! discovery and synchronization, proposals, acknowledgements by a quorum of the membership (during a reconfig of both),
//! learners without a vote. Steps are as large as a crash between them would not show.

use super::disk::{Entry, What};
use super::invariants::Wrong;
use super::membership::{Config, Ids};
use super::server::{Role, Server};
use super::world::World;

/// How a `reconfig` ended, as the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconfigOutcome {
    Done,
    Stale,
    Busy,
    NoQuorum,
    /// It was proposed, and nobody knows what became of it.
    Unknown,
}

impl World {
    fn vote(&self, id: u32) -> Option<(u64, u64, u32)> {
        let disk = self.kube.disk(id).filter(|disk| disk.database)?;
        Some((disk.current, disk.zxid(), id))
    }

    /// Those among `ids` that would elect this one together, by the membership of each.
    pub fn supporters(&self, leader: u32, ids: Ids) -> Option<Ids> {
        let candidate =
            self.kube.server(leader).filter(|server| server.looking() && server.config.voters.contains(leader))?;
        let vote = self.vote(leader).filter(|_| self.kube.awake(leader))?;
        let votes = |id: u32| {
            let server = self.kube.server(id).filter(|server| server.looking() && self.kube.awake(id));
            // Votes come through where either can open a connection; a follower opens its own to its leader.
            server.is_some_and(|server| server.dials(leader))
                && candidate.known().contains(id)
                && self.vote(id).is_some_and(|theirs| theirs <= vote)
        };
        let mut group: Ids = ids.iter().filter(|id| *id == leader || votes(*id)).collect::<Ids>().with(leader);
        loop {
            let content = |id: &u32| self.kube.server(*id).is_some_and(|server| server.quorum(group));
            let fewer: Ids = group.iter().filter(content).collect();
            if fewer == group {
                break;
            }
            group = fewer;
        }
        group.contains(leader).then_some(group)
    }

    /// An election and the discovery after it: the epoch is agreed on, nothing is synced yet.
    pub fn elect(&mut self, leader: u32, ids: Ids) -> bool {
        let Some(group) = self.supporters(leader, ids) else { return false };
        let accepted = group.iter().filter_map(|id| self.kube.disk(id)).map(|disk| disk.accepted).max();
        let epoch = accepted.unwrap_or(0) + 1;
        self.tell(|| format!("members {group} elect member {leader} for epoch {epoch}"));
        for id in group.iter() {
            let Some((server, disk)) = self.kube.member_mut(id) else { continue };
            disk.accepted = epoch;
            server.role = Role::Following { leader, epoch, synced: false, serving: false };
        }
        if let Some((server, disk)) = self.kube.member_mut(leader) {
            disk.current = epoch;
            server.role = Role::Leading { epoch, acked: [].into(), established: false, leaving: false };
            if server.config.version == 0 && server.next.is_none() {
                server.propose(Config { version: epoch << 32, ..server.config }, disk);
            }
        }
        self.establish(leader);
        true
    }

    /// One that looks for a leader hears of one that the others follow; its vote is not needed, so that it may be empty.
    pub fn follow(&mut self, id: u32, leader: u32) -> bool {
        let Some(epoch) = self.followable(id, leader) else { return false };
        let Some((server, disk)) = self.kube.member_mut(id) else { return false };
        disk.accepted = epoch;
        server.role = Role::Following { leader, epoch, synced: false, serving: false };
        self.tell(|| format!("member {id} finds leader {leader} of epoch {epoch}"));
        true
    }

    pub fn followable(&self, id: u32, leader: u32) -> Option<u64> {
        let server = self.kube.server(id).filter(|server| server.looking() && self.kube.awake(id))?;
        let led = self.kube.server(leader).filter(|_| self.kube.awake(leader))?;
        let Role::Leading { epoch, established: true, leaving: false, .. } = led.role else { return None };
        let crowd = self.crowd(leader, epoch).with(leader).with(id);
        let sane = self.kube.disk(id)?.accepted <= epoch;
        (sane && server.dials(leader) && server.config.quorum(crowd)).then_some(epoch)
    }

    /// Those that follow this leader in this epoch, as far as it can tell.
    fn crowd(&self, leader: u32, epoch: u64) -> Ids {
        self.kube.running().filter(|(_, server)| server.follows() == Some((leader, epoch))).map(|(id, _)| id).collect()
    }

    /// The voters that a leader counts as its own: connections to those that are merely stopped last a while.
    pub fn counted(&self, leader: u32) -> u32 {
        let Some((server, epoch)) = self.kube.server(leader).and_then(|server| Some((server, server.leads()?))) else {
            return 0;
        };
        self.crowd(leader, epoch).and(server.config.voters).without(leader).len()
    }

    /// One that looks for a leader takes over a newer membership from what another one says.
    pub fn hear(&mut self, id: u32, from: u32) -> bool {
        if !self.hearable(id, from) {
            return false;
        }
        let Some(config) = self.kube.server(from).map(|server| server.config) else { return false };
        let Some((server, disk)) = self.kube.member_mut(id) else { return false };
        server.activate(config, disk);
        self.tell(|| format!("member {id}, without a leader, hears of membership {config} from member {from}"));
        true
    }

    pub fn hearable(&self, id: u32, from: u32) -> bool {
        let (Some(server), Some(other)) = (self.kube.server(id), self.kube.server(from)) else { return false };
        let meet = id != from && self.kube.awake(id) && self.kube.awake(from);
        let meet = meet && (server.dials(from) || other.dials(id));
        meet && server.looking() && other.config.version > server.config.version
    }

    /// The leader that this one follows, if both still agree on that and reach each other.
    pub fn led_by(&self, id: u32) -> Option<u32> {
        let (leader, epoch) = self.kube.server(id)?.follows()?;
        let agreed = self.kube.server(leader).and_then(Server::leads) == Some(epoch);
        (agreed && self.kube.awake(id) && self.kube.awake(leader)).then_some(leader)
    }

    /// The leader's history and its proposals reach a follower, and its acknowledgement the leader.
    pub fn sync(&mut self, id: u32) -> bool {
        let Some(leader) = self.led_by(id).filter(|_| !self.kube.slow(id)) else { return false };
        let (Some(led), Some(source)) = (self.kube.server(leader), self.kube.disk(leader)) else { return false };
        let Some(epoch) = led.leads() else { return false };
        let (log, config, next) = (source.log.clone(), led.config, led.next);
        let length = log.len();
        let Some((server, disk)) = self.kube.member_mut(id) else { return false };
        let Role::Following { synced, .. } = &mut server.role else { return false };
        let news = !*synced || disk.log != log;
        *synced = true;
        disk.log = log;
        disk.database = true;
        disk.current = epoch;
        server.commit = server.commit.min(length);
        // With its history the leader sends the last membership that it has seen.
        server.propose(next.unwrap_or(config), disk);
        if let Some((led, _)) = self.kube.member_mut(leader)
            && let Role::Leading { acked, .. } = &mut led.role
        {
            acked.insert(id, length);
        }
        if news {
            self.tell(|| format!("member {id} has all {length} transactions of leader {leader}"));
        }
        self.establish(leader);
        self.commit(leader);
        news
    }

    /// A follower hears what is committed, takes over a membership with it, and serves.
    pub fn inform(&mut self, id: u32) -> bool {
        let Some(leader) = self.led_by(id) else { return false };
        let Some(led) = self.kube.server(leader) else { return false };
        let Role::Leading { established: true, leaving, .. } = led.role else { return false };
        let (commit, config) = (led.commit, led.config);
        let Some((server, disk)) = self.kube.member_mut(id) else { return false };
        let Role::Following { synced: true, serving, .. } = &mut server.role else { return false };
        let news = !*serving || server.commit < commit || leaving;
        if disk.log.len() < commit {
            return false;
        }
        *serving = true;
        server.commit = commit;
        server.activate(config, disk);
        if leaving {
            server.role = Role::Looking;
        }
        if news {
            let word = if leaving { "looks for another leader" } else { "serves" };
            self.tell(|| format!("member {id} knows {commit} transactions as committed and {word}"));
        }
        news
    }

    /// A follower whose leader is gone, or a leader whose followers are, looks again.
    pub fn forsake(&mut self, id: u32) -> bool {
        if !self.forsaken(id) {
            return false;
        }
        if let Some((server, _)) = self.kube.member_mut(id) {
            server.role = Role::Looking;
            server.commit = 0;
        }
        self.tell(|| format!("member {id} has lost its quorum and looks for a leader"));
        true
    }

    pub fn forsaken(&self, id: u32) -> bool {
        let Some(server) = self.kube.server(id).filter(|server| !server.paused) else { return false };
        match &server.role {
            Role::Looking => false,
            Role::Following { .. } => self.led_by(id).is_none(),
            Role::Leading { epoch, leaving, .. } => {
                let heard = self.crowd(id, *epoch).iter().filter(|other| self.led_by(*other) == Some(id));
                *leaving || !server.quorum(heard.collect::<Ids>().with(id))
            }
        }
    }

    /// A client's write reaches a leader, whoever else still believes in that one.
    pub fn write(&mut self, leader: u32) -> bool {
        let number = self.writes + 1;
        let done = self.append(leader, |_| What::Write(number)).is_some();
        if done {
            self.writes = number;
            self.tell(|| format!("leader {leader} proposes client write {number}"));
            self.commit(leader);
        }
        done
    }

    fn append(&mut self, leader: u32, what: impl FnOnce(u64) -> What) -> Option<u64> {
        let (server, disk) = self.kube.member_mut(leader)?;
        let Role::Leading { epoch, established: true, leaving: false, .. } = server.role else { return None };
        if server.paused {
            return None;
        }
        let last = disk.zxid().max(epoch << 32);
        let entry = Entry { zxid: last + 1, what: what(last + 1) };
        disk.log.push(entry);
        if let What::Reconfig(config) = entry.what {
            server.propose(config, disk);
        }
        Some(entry.zxid)
    }

    /// The leader serves once a quorum has its history: of its own membership and of a proposed one that it knows.
    fn establish(&mut self, leader: u32) {
        let Some((server, disk)) = self.kube.member_mut(leader) else { return };
        let Role::Leading { acked, established, .. } = &server.role else { return };
        let acked: Ids = acked.keys().copied().collect::<Ids>().with(leader);
        if *established || !server.quorum(acked) {
            return;
        }
        let next = server.next.unwrap_or(server.config);
        let length = disk.log.len();
        if let Role::Leading { established, .. } = &mut server.role {
            *established = true;
        }
        server.activate(next, disk);
        server.commit = length;
        let log = disk.log.clone();
        self.tell(|| format!("leader {leader} is established with {length} transactions and membership {next}"));
        self.record(leader, &log, next);
        self.removed(leader, next);
    }

    /// What a quorum has acknowledged is committed, in order.
    fn commit(&mut self, leader: u32) {
        loop {
            let Some((server, disk)) = self.kube.member_mut(leader) else { return };
            let Role::Leading { acked, established: true, leaving: false, .. } = &server.role else { return };
            let at = server.commit;
            let Some(entry) = disk.log.get(at).copied() else { return };
            let has: Ids = acked.iter().filter(|(_, length)| **length > at).map(|(id, _)| *id).collect();
            let config = server.next.filter(|next| next.version <= entry.zxid);
            let agreed =
                server.config.quorum(has.with(leader)) && config.is_none_or(|config| config.quorum(has.with(leader)));
            if !agreed {
                return;
            }
            server.commit = at + 1;
            if let What::Reconfig(config) = entry.what {
                server.activate(config, disk);
                self.tell(|| format!("leader {leader} commits membership {config}"));
            } else {
                self.tell(|| format!("leader {leader} commits transaction {}", at + 1));
            }
            let Some((server, disk)) = self.kube.member_mut(leader) else { return };
            let (log, config) = (disk.log[..=at].to_vec(), server.config);
            self.record(leader, &log, config);
            self.removed(leader, config);
        }
    }

    /// A leader that is no voter any more hands over.
    fn removed(&mut self, leader: u32, config: Config) {
        if let Some((server, _)) = self.kube.member_mut(leader)
            && !config.voters.contains(leader)
            && let Role::Leading { leaving, .. } = &mut server.role
        {
            *leaving = true;
        }
    }

    /// Adds to the history that was committed, which can only ever grow.
    fn record(&mut self, leader: u32, log: &[Entry], config: Config) {
        let common = self.history.iter().zip(log).take_while(|(a, b)| a == b).count();
        if common < self.history.len() {
            let lost = self.history[common];
            let instead =
                log.get(common).map_or("nothing".to_owned(), |entry| format!("{:?} ({:x})", entry.what, entry.zxid));
            self.wrong(Wrong::History(format!(
                "member {leader} leads a history in which transaction {} is {instead}, but {:?} ({:x}) was committed and acknowledged",
                common + 1,
                lost.what,
                lost.zxid
            )));
            return;
        }
        self.history.extend_from_slice(&log[common..]);
        self.committed = config;
    }

    /// A session at this member: its leader, if a write could go there.
    fn session(&self, id: u32) -> Option<u32> {
        let server = self.kube.server(id).filter(|server| server.serving() && !server.paused)?;
        if server.leads().is_some() { Some(id) } else { self.led_by(id) }
    }

    /// A write committed through this member, then its membership read on the same session.
    pub fn fresh_read(&mut self, via: u32) -> Option<Config> {
        let leader = self.session(via)?;
        let zxid = self.append(leader, |_| What::Fresh)?;
        self.carry(leader);
        let kept = self
            .kube
            .server(leader)
            .zip(self.kube.disk(leader))
            .is_some_and(|(server, disk)| disk.log[..server.commit].iter().any(|entry| entry.zxid == zxid));
        if !kept || (via != leader && self.led_by(via) != Some(leader)) {
            return None;
        }
        self.inform(via);
        self.kube.server(via).filter(|server| server.serving()).map(|server| server.config)
    }

    /// Everything that can be carried is, and acknowledged.
    fn carry(&mut self, leader: u32) {
        self.commit(leader);
        let others: Vec<u32> =
            self.kube.running().map(|(id, _)| id).filter(|id| self.led_by(*id) == Some(leader)).collect();
        for id in others {
            self.sync(id);
        }
    }

    /// A `reconfig` through this member. `carried`: whether the proposal gets anywhere before something else happens.
    pub fn reconfigure(&mut self, via: u32, to: Config, from: Option<u64>, carried: bool) -> ReconfigOutcome {
        let Some(leader) = self.session(via) else { return ReconfigOutcome::Unknown };
        let Some(server) = self.kube.server(leader) else { return ReconfigOutcome::Unknown };
        if from.is_some_and(|from| from != server.config.version) {
            return ReconfigOutcome::Stale;
        }
        if server.next.is_some() {
            return ReconfigOutcome::Busy;
        }
        let synced = self.kube.running().filter(|(id, other)| {
            matches!(other.role, Role::Following { synced: true, .. })
                && other.follows().map(|(l, _)| l) == Some(leader)
                && *id != leader
        });
        let synced: Ids = synced.map(|(id, _)| id).collect::<Ids>().with(leader);
        if !to.quorum(synced) {
            return ReconfigOutcome::NoQuorum;
        }
        let zxid = self.append(leader, |zxid| What::Reconfig(Config { version: zxid, ..to }));
        let Some(zxid) = zxid else { return ReconfigOutcome::Unknown };
        self.tell(|| format!("leader {leader} proposes membership {} as {zxid:x}", to.voters));
        if !carried {
            return ReconfigOutcome::Unknown;
        }
        self.carry(leader);
        let committed = self.history.iter().any(|entry| entry.zxid == zxid);
        // A server whose part changes closes the connections of its clients.
        let closed = !to.voters.contains(via) || !to.voters.contains(leader);
        if committed && !closed && (via == leader || self.inform(via)) {
            ReconfigOutcome::Done
        } else {
            ReconfigOutcome::Unknown
        }
    }
}
