//! The law of the committed history: whatever an ensemble went through, `decide` never contradicts it.
//!
//! The ensemble is a small model of what ZooKeeper's servers do to their logs, snapshots and epochs: `Leader`, `Learner` and
//! `LearnerHandler.syncFollower` of 3.9. One thing is left out: a server that starts from a snapshot of what was never committed,
//! and believes it. Then ZooKeeper breaks its own promise, and there is no history to decide on.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prop_assert, proptest};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use zookeeper_files::ids::Zxid;
use zookeeper_files::replay::{CommitStatus, MemberHistory, decide};

#[derive(Clone, Debug, Default)]
struct Server {
    /// What is in its files, and what of that it would start with.
    log: Vec<u64>,
    history: Vec<u64>,
    snapshots: BTreeSet<u64>,
    /// The zxid with which it goes into an election.
    last: u64,
    current: u64,
    accepted: u64,
}

impl Server {
    fn write(&mut self, zxid: u64) {
        self.log.push(zxid);
        self.history.push(zxid);
        self.last = zxid;
    }

    /// A server does not start with a transaction of a later epoch than its own.
    fn starts(&self) -> bool {
        self.last >> 32 <= self.current
    }

    fn seen(&self, epochs: bool) -> MemberHistory {
        let epoch = Some(self.current).filter(|_| epochs && self.current == self.accepted);
        let mut seen = MemberHistory::of(self.snapshots.iter().map(|&zxid| Zxid(zxid)), epoch);
        self.log.iter().for_each(|&zxid| seen.add(Zxid(zxid)));
        seen
    }
}

/// A leader that a quorum follows.
struct Leader {
    id: usize,
    epoch: u64,
    followers: BTreeSet<usize>,
    /// The last that it knows to be committed; its epoch's 0 at first.
    committed: u64,
    proposed: u64,
}

struct World {
    random: StdRng,
    servers: Vec<Server>,
    leader: Option<Leader>,
    /// For each epoch and transaction: who has accepted it from the leader of that epoch.
    accepted: BTreeMap<(u64, u64), BTreeSet<usize>>,
    never: BTreeSet<u64>,
    decided: usize,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = *[3, 3, 5].choose(&mut random).unwrap();
        let server = Server { snapshots: [0].into(), ..Server::default() };
        let (accepted, never, trace) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Self { random, servers: vec![server; count], leader: None, accepted, never, decided: 0, trace }
    }

    fn quorum(&self) -> usize {
        self.servers.len() / 2 + 1
    }

    fn often(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn some(&mut self, of: &[usize], percent: u32) -> Vec<usize> {
        of.iter().copied().filter(|_| self.often(percent)).collect()
    }

    fn accept(&mut self, id: usize, epoch: u64) {
        for zxid in self.servers[id].history.clone() {
            self.accepted.entry((epoch, zxid)).or_default().insert(id);
        }
    }

    fn is_committed(&self, zxid: u64) -> bool {
        let mut epochs = self.accepted.iter().filter(|((_, of), _)| *of == zxid);
        epochs.any(|(_, servers)| servers.len() >= self.quorum())
    }

    fn step(&mut self) {
        match self.random.random_range(0..10) {
            0 => self.leader_ends(),
            1 => self.snapshot(),
            2 => self.purge(),
            3 => self.join(),
            _ if self.leader.is_some() => self.propose(),
            _ => self.elect(),
        }
    }

    fn leader_ends(&mut self) {
        let Some(Leader { id, .. }) = self.leader.take() else { return };
        self.trace.push(format!("{id} leads no longer"));
        // The 0 of its epoch is in its memory alone.
        let server = &self.servers[id];
        let on_disk =
            server.history.last().copied().unwrap_or(0).max(server.snapshots.get(&server.last).copied().unwrap_or(0));
        if self.often(70) {
            self.servers[id].last = on_disk;
        }
    }

    fn elect(&mut self) {
        let able: Vec<usize> = (0..self.servers.len()).filter(|&id| self.servers[id].starts()).collect();
        let (mut voters, quorum) = (able, self.quorum());
        voters.shuffle(&mut self.random);
        voters.truncate(self.random.random_range(quorum..=self.servers.len()));
        if voters.len() < self.quorum() {
            return;
        }
        let rank = |&id: &usize| (self.servers[id].current, self.servers[id].last, id);
        let winner = voters.iter().copied().max_by_key(rank).unwrap();
        // It snapshots all it has, before any of the others has heard of its epoch.
        let last = self.servers[winner].last;
        self.servers[winner].snapshots.insert(last);
        self.trace.push(format!("{winner} wins among {voters:?} and snapshots {last:x}"));
        if self.often(30) {
            return;
        }
        let epoch = voters.iter().map(|&id| self.servers[id].accepted).max().unwrap() + 1;
        let others: Vec<usize> = voters.into_iter().filter(|&id| id != winner).collect();
        let agreed = self.some(&others, 85);
        agreed.iter().chain([&winner]).for_each(|&id| self.servers[id].accepted = epoch);
        if agreed.len() + 1 < self.quorum() {
            return;
        }
        self.servers[winner].current = epoch;
        self.accept(winner, epoch);
        let mut followers = BTreeSet::new();
        for id in self.some(&agreed, 85) {
            if self.sync(id, winner, (epoch, last)) {
                followers.insert(id);
            }
        }
        if followers.len() + 1 < self.quorum() || self.often(10) {
            return;
        }
        let zero = epoch << 32;
        self.trace.push(format!("{winner} leads {followers:?} in {epoch}"));
        self.servers[winner].last = zero;
        self.leader = Some(Leader { id: winner, epoch, followers, committed: zero, proposed: zero });
    }

    /// One more follower for a leader that serves already.
    fn join(&mut self) {
        let Some(Leader { id: leader, epoch, committed, ref followers, .. }) = self.leader else { return };
        let free = |id: &usize| *id != leader && !followers.contains(id);
        let free: Vec<usize> = (0..self.servers.len()).filter(free).collect();
        let Some(&id) = free.choose(&mut self.random) else { return };
        if !self.servers[id].starts() || self.servers[id].accepted > epoch {
            return;
        }
        self.servers[id].accepted = epoch;
        if !self.sync(id, leader, (epoch, committed)) {
            return;
        }
        // What is proposed and not committed is handed on.
        for zxid in self.servers[leader].history.clone().into_iter().filter(|zxid| *zxid > committed) {
            self.servers[id].write(zxid);
        }
        self.accept(id, epoch);
        // With its acknowledgement, what was proposed before it came may be committed, and the leader goes on from there.
        let known = self.servers[leader].history.iter().copied().filter(|zxid| self.is_committed(*zxid)).max();
        let leader = self.leader.as_mut().unwrap();
        leader.followers.insert(id);
        leader.committed = leader.committed.max(known.unwrap_or_default());
    }

    /// Whether a follower has come into line with what a leader has up to `processed`, the zxid of its tree.
    fn sync(&mut self, id: usize, leader: usize, (epoch, processed): (u64, u64)) -> bool {
        let theirs: Vec<u64> = self.servers[leader].history.iter().copied().filter(|zxid| *zxid <= processed).collect();
        let max = theirs.last().copied().unwrap_or(processed);
        let peer = self.servers[id].last;
        let (at_hand, dies) = (self.often(60), self.often(15));
        let zero = Zxid(peer).counter() == 0;
        let how = if peer == processed {
            "has all"
        } else if peer > max && !zero {
            let server = &mut self.servers[id];
            // The log is cut behind the first that is not below.
            let kept = server.log.iter().position(|zxid| *zxid >= max).map_or(server.log.len(), |at| at + 1);
            server.log.truncate(kept);
            (server.history, server.last) = (theirs, max);
            if !dies || self.often(50) {
                self.servers[id].snapshots.insert(max);
            }
            "TRUNC"
        } else if at_hand && peer <= max && (theirs.contains(&peer) || zero) {
            let missing: Vec<u64> = theirs.into_iter().filter(|zxid| *zxid > peer).collect();
            let count = if dies { self.random.random_range(0..=missing.len()) } else { missing.len() };
            missing[..count].iter().for_each(|&zxid| self.servers[id].write(zxid));
            "DIFF"
        } else {
            let server = &mut self.servers[id];
            (server.history, server.last) = (theirs, processed);
            server.snapshots.insert(processed);
            "SNAP"
        };
        self.trace.push(format!("{id} with {peer:x} is synced by {leader} up to {processed:x}: {how}, dies: {dies}"));
        if !dies {
            self.servers[id].current = epoch;
            self.accept(id, epoch);
        }
        !dies
    }

    fn propose(&mut self) {
        let Some(Leader { id, epoch, ref followers, proposed, .. }) = self.leader else { return };
        let followers: Vec<usize> = followers.iter().copied().collect();
        let zxid = proposed + 1;
        let logs = self.some(&followers, 80);
        let own = self.often(90);
        for &id in logs.iter().chain([&id].into_iter().filter(|_| own)) {
            self.servers[id].write(zxid);
            self.accepted.entry((epoch, zxid)).or_default().insert(id);
        }
        self.trace.push(format!("{zxid:x} is logged by {logs:?}, by its leader: {own}"));
        let committed = self.is_committed(zxid);
        let leader = self.leader.as_mut().unwrap();
        // Who missed one gets none of the next ones.
        leader.followers = logs.into_iter().collect();
        leader.proposed = zxid;
        if committed {
            leader.committed = zxid;
        }
        if !own || !committed && self.often(50) {
            self.leader_ends();
        }
    }

    /// A server that serves snapshots what it has applied.
    fn snapshot(&mut self) {
        let Some(Leader { id, committed, ref followers, .. }) = self.leader else { return };
        let serving: Vec<usize> = followers.iter().copied().chain([id]).collect();
        let id = *serving.choose(&mut self.random).unwrap();
        self.servers[id].snapshots.insert(committed);
        self.trace.push(format!("{id} snapshots {committed:x}"));
    }

    /// The newest three snapshots are kept, and the logs from the oldest of them; of the log before it, as much as is in its file.
    fn purge(&mut self) {
        let id = self.random.random_range(0..self.servers.len());
        let kept: BTreeSet<u64> = self.servers[id].snapshots.iter().rev().take(3).copied().collect();
        let oldest = *kept.first().unwrap();
        let before = self.servers[id].log.iter().take_while(|zxid| **zxid < oldest).count();
        let gone = self.random.random_range(0..=before);
        self.servers[id].log.drain(..gone);
        self.servers[id].snapshots = kept;
        self.trace.push(format!("{id} keeps what is from {oldest:x} on, and loses {gone} of its log"));
    }

    /// What is decided on the files of some members, beside what is so.
    fn look(&mut self) -> Result<(), String> {
        let all: Vec<usize> = (0..self.servers.len()).collect();
        let (mut named, epochs) = (self.some(&all, 80), self.often(90));
        if self.often(50) {
            named = all;
        }
        let seen: Vec<MemberHistory> = named.iter().map(|&id| self.servers[id].seen(epochs)).collect();
        let history = decide(&seen, Some(self.servers.len()));
        // Those that are in any of these files; of others nobody asks.
        let in_files = |server: &Server| server.log.iter().chain(&server.snapshots).copied().collect::<Vec<_>>();
        let zxids: BTreeSet<u64> = named.iter().flat_map(|&id| in_files(&self.servers[id])).collect();
        let zxids = zxids.into_iter().filter(|zxid| Zxid(*zxid).counter() != 0);
        for zxid in zxids {
            let committed = self.is_committed(zxid);
            let status = history.commit_status(Zxid(zxid));
            self.decided += usize::from(status != CommitStatus::Unknown);
            match status {
                CommitStatus::Committed if !committed => return Err(format!("{zxid:x} is not committed")),
                CommitStatus::NeverCommitted => {
                    self.never.insert(zxid);
                }
                _ => {}
            }
            if committed && self.never.contains(&zxid) {
                return Err(format!("{zxid:x} is committed, and was said never to be"));
            }
        }
        Ok(())
    }

    fn run(&mut self, steps: usize) -> Result<(), String> {
        let mut looked = Ok(());
        for step in 1..=steps {
            self.step();
            if step == steps || self.often(30) {
                looked = self.look();
            }
            if looked.is_err() {
                break;
            }
        }
        looked.map_err(|what| format!("{}\n{what}: {:#x?}", self.trace.join("\n"), self.servers))
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_decided_of_an_ensembles_files_is_what_happened(seed: u64, steps in 1..60_usize) {
        let mut world = World::new(seed);
        let outcome = world.run(steps);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

#[test]
fn much_is_decided_and_what_was_never_committed_is_among_it() {
    let (mut decided, mut never) = (0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.run(60).unwrap();
        (decided, never) = (decided + world.decided, never + world.never.len());
    }
    assert!(decided > 20_000 && never > 30, "{decided} decided, {never} of them never committed");
}
