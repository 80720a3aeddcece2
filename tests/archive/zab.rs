//! Three members that elect, propose, log, commit, sync and snapshot, as far as their logs show it.
//!
//! What it has beyond a textbook: a candidate that snapshots its whole log before a quorum agrees, followers that were synced with
//! a candidate that then dies, an uncommitted tail that a sync by snapshot leaves behind, transactions that a sync applies without
//! logging them, a cut that leaves one transaction too many, a follower that serves before it has applied all that it was synced
//! with, and snapshots that are purged.
//!
//! A tree is the set of the transactions that made it, and a digest is that of this set. What a cut log loads again from a dirty
//! snapshot stays in the tree, and comes into all later snapshots. A snapshot is written while transactions are applied.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};

use rand::Rng as _;
use rand::rngs::StdRng;
use zookeeper_files::ids::Zxid;

pub const MEMBERS: usize = 3;
const QUORUM: usize = 2;
/// So many snapshots stay when older ones are purged: servers keep three, and with one it matters sooner.
const KEPT: usize = 1;

/// A transaction: its id, and what tells it from another of the same id.
pub type Entry = (Zxid, u64);

/// A tree: the transactions that made it.
pub type Tree = BTreeSet<Entry>;

/// The digest of a tree.
pub fn digest(tree: &Tree) -> i64 {
    let mut hasher = DefaultHasher::new();
    tree.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// What a snapshot that was written to its end holds.
#[derive(Clone, Debug)]
pub struct Content {
    pub tree: Tree,
    /// The digest that its server had at the end, and after which transaction.
    pub server: Option<(Zxid, i64)>,
}

#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Its log.
    pub log: Vec<Entry>,
    /// The names of its snapshots.
    pub snapshots: BTreeSet<Zxid>,
    /// Those that were written to their ends.
    pub contents: BTreeMap<Zxid, Content>,
    /// What it has in memory.
    tree: Tree,
    /// A snapshot that is being written: its name, and the tree when it was begun.
    writing: Option<(Zxid, Tree)>,
    /// The history of its tree, as far as its disk has it.
    data: Vec<Entry>,
    /// Received, and not on its disk yet.
    flushing: Vec<Entry>,
    accepted: u64,
    current: u64,
    /// The epoch in which it serves.
    serves: Option<u64>,
    /// How much of what is committed it has applied.
    applied: usize,
    /// How much it had when it was synced, from its disk or by a snapshot.
    loaded: usize,
}

impl Member {
    /// The transactions behind `last` in its log, and what stands directly before them.
    pub fn behind(&self, last: Option<Zxid>) -> (Option<Zxid>, Vec<Entry>) {
        let begin = match self.log.iter().rposition(|entry| Some(entry.0) == last) {
            Some(at) => at + 1,
            None => self.log.iter().position(|entry| Some(entry.0) > last).unwrap_or(self.log.len()),
        };
        let before = begin.checked_sub(1).map(|at| self.log[at].0).filter(|before| Some(*before) == last);
        (before, self.log[begin..].to_vec())
    }

    /// It does not serve any more, and applies all that it has logged.
    fn stop(&mut self) {
        self.serves = None;
        self.flushing.clear();
        self.writing = None;
        self.apply_log();
    }

    fn apply_log(&mut self) {
        let last = self.tree.last().copied();
        self.tree.extend(self.log.iter().copied().filter(|entry| Some(*entry) > last));
    }

    /// What its disk makes of it: the newest whole snapshot, whatever it holds, and what the log has after it.
    fn load(&mut self) {
        let newest = self.contents.last_key_value().map(|(name, content)| (*name, content.tree.clone()));
        let (name, tree) = newest.unwrap_or_default();
        self.tree = tree;
        self.tree.extend(self.log.iter().copied().filter(|entry| entry.0 > name));
    }

    fn write(&mut self, name: Zxid, server: Option<Zxid>) {
        self.snapshots.insert(name);
        let server = server.map(|zxid| (zxid, digest(&self.tree)));
        self.contents.insert(name, Content { tree: self.tree.clone(), server });
    }
}

#[derive(Clone, Debug)]
pub struct Zab {
    pub members: Vec<Member>,
    /// All that is committed.
    pub committed: Vec<Entry>,
    /// By transaction: the tree that its leader had after it.
    pub trees: BTreeMap<Entry, Tree>,
    /// Whether a leader has served with what was never committed in its tree.
    pub spoilt: bool,
    leader: Option<Leader>,
    values: u64,
    /// What has happened.
    pub story: Vec<String>,
}

#[derive(Clone, Debug)]
struct Leader {
    member: usize,
    epoch: u64,
    history: Vec<Entry>,
    /// By follower: how much of the history it was sent.
    sent: [usize; MEMBERS],
    followers: BTreeSet<usize>,
    established: bool,
}

impl Zab {
    pub fn new() -> Self {
        let mut born = Member::default();
        born.write(Zxid(0), None);
        Self {
            members: vec![born; MEMBERS],
            committed: Vec::new(),
            trees: BTreeMap::new(),
            spoilt: false,
            leader: None,
            values: 0,
            story: Vec::new(),
        }
    }

    /// Lets something happen.
    pub fn happen(&mut self, rng: &mut StdRng) {
        let member = rng.random_range(0..MEMBERS);
        match rng.random_range(0..100) {
            0..30 => self.propose(),
            30..55 => self.deliver(member, rng),
            55..72 => self.commit(rng),
            72..76 => self.snapshot(member, rng),
            76..82 => self.join(member, rng),
            82..90 => self.elect(rng),
            90..92 => self.stop(member),
            92..94 => self.depose(),
            _ => self.purge(member),
        }
    }

    /// What a member's server says that it has applied, if it serves.
    pub fn sample(&self, member: usize) -> Option<Zxid> {
        let epoch = self.members[member].serves?;
        let applied = self.members[member].applied.checked_sub(1).map_or(Zxid(0), |at| self.committed[at].0);
        let leads = self.leader.as_ref().is_some_and(|leader| leader.member == member);
        Some(if leads && applied.epoch() < epoch { Zxid(epoch << 32) } else { applied })
    }

    fn propose(&mut self) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.established) else { return };
        let last = last_of(&leader.history);
        let entry = (Zxid(last.0.max(leader.epoch << 32) + 1), self.values);
        self.values += 1;
        leader.history.push(entry);
        leader.sent[leader.member] = leader.history.len();
        let member = &mut self.members[leader.member];
        member.log.push(entry);
        member.data.push(entry);
        self.trees.insert(entry, member.tree.iter().chain(&leader.history).copied().collect());
        self.story.push(format!("{} proposes {:#}", leader.member, entry.0));
    }

    /// A follower is sent a proposal; mostly its disk has it soon.
    fn deliver(&mut self, member: usize, rng: &mut StdRng) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.followers.contains(&member)) else { return };
        let follower = &mut self.members[member];
        if leader.established
            && let Some(&entry) = leader.history.get(leader.sent[member])
        {
            leader.sent[member] += 1;
            follower.flushing.push(entry);
        }
        if rng.random_bool(0.7) {
            follower.log.extend(&follower.flushing);
            follower.data.append(&mut follower.flushing);
        }
    }

    /// What the disks of a quorum have is committed. Whoever was sent it applies some of it, though its own disk may lack it.
    fn commit(&mut self, rng: &mut StdRng) {
        let Some(leader) = self.leader.as_ref().filter(|leader| leader.established) else { return };
        let all = leader.followers.iter().copied().chain([leader.member]);
        let mut held: Vec<usize> = all.map(|at| leader.sent[at] - self.members[at].flushing.len()).collect();
        held.sort_unstable();
        let count = held[held.len() - QUORUM].max(self.committed.len());
        self.committed = leader.history[..count].to_vec();
        for (number, member) in self.members.iter_mut().enumerate().filter(|(_, member)| member.serves.is_some()) {
            let most = self.committed.len().min(leader.sent[number]).max(member.applied);
            let applied = rng.random_range(member.applied..=most);
            member.tree.extend(&self.committed[member.applied..applied]);
            member.applied = applied;
        }
    }

    /// Begins to write a snapshot, or ends it. Of what was applied meanwhile, any of it may be in it, and the next transaction too.
    fn snapshot(&mut self, number: usize, rng: &mut StdRng) {
        let Some(applied) = self.sample(number) else { return };
        let next = self.committed.get(self.members[number].applied).copied();
        let sent = self.leader.as_ref().is_some_and(|leader| leader.sent[number] > self.members[number].applied);
        let member = &mut self.members[number];
        let Some((name, begun)) = member.writing.take() else {
            member.snapshots.insert(applied);
            member.contents.remove(&applied);
            member.writing = Some((applied, member.tree.clone()));
            self.story.push(format!("{number} begins snapshot {applied:#}"));
            return;
        };
        let mut tree = begun.clone();
        tree.extend(member.tree.iter().filter(|entry| !begun.contains(entry) && rng.random_bool(0.5)));
        let last = member.applied.checked_sub(1).map(|at| self.committed[at].0);
        let server = last.map(|last| (last, digest(&member.tree)));
        if let Some(next) = next.filter(|_| sent && rng.random_bool(0.5)) {
            member.applied += 1;
            member.tree.insert(next);
            tree.extend(Some(next).filter(|_| rng.random_bool(0.5)));
        }
        member.snapshots.insert(name);
        member.contents.insert(name, Content { tree, server });
        self.story.push(format!("{number} ends snapshot {name:#}"));
    }

    fn purge(&mut self, member: usize) {
        let snapshots = &mut self.members[member].snapshots;
        while snapshots.len() > KEPT {
            snapshots.pop_first();
        }
        let kept = snapshots.clone();
        self.members[member].contents.retain(|name, _| kept.contains(name));
    }

    fn stop(&mut self, member: usize) {
        self.members[member].stop();
        self.members[member].load();
        self.story.push(format!("{member} stops"));
        let Some(leader) = &mut self.leader else { return };
        leader.followers.remove(&member);
        if leader.member == member || leader.followers.len() + 1 < QUORUM {
            self.depose();
        }
    }

    fn depose(&mut self) {
        if self.leader.take().is_some() {
            self.members.iter_mut().for_each(Member::stop);
            self.story.push("nobody leads".to_owned());
        }
    }

    /// Of a quorum, whoever has the most becomes a candidate. It snapshots all that it has, syncs some of the others, and may die
    /// before a quorum has agreed.
    fn elect(&mut self, rng: &mut StdRng) {
        self.depose();
        let absent = rng.random_range(0..=MEMBERS);
        let quorum: Vec<usize> = (0..MEMBERS).filter(|&member| member != absent).collect();
        let vote = |&&member: &&usize| (self.members[member].current, last_of(&self.members[member].data), member);
        let Some(&candidate) = quorum.iter().max_by_key(vote) else { return };
        let epoch = quorum.iter().map(|&member| self.members[member].accepted).max().unwrap_or_default() + 1;
        let history = self.members[candidate].data.clone();
        let last = last_of(&history);
        let member = &mut self.members[candidate];
        member.write(last, Some(last).filter(|_| rng.random_bool(0.7)));
        member.current = epoch;
        // Nobody is a candidate whose epoch a quorum has not accepted: no two have the same.
        for &member in &quorum {
            self.members[member].accepted = epoch;
        }
        self.story.push(format!("{candidate} is a candidate for epoch {epoch} with {last:#}"));
        let mut sent = [0; MEMBERS];
        sent[candidate] = history.len();
        let followers = BTreeSet::new();
        self.leader = Some(Leader { member: candidate, epoch, history, sent, followers, established: false });
        for &member in quorum.iter().filter(|&&member| member != candidate) {
            if rng.random_bool(0.8) {
                self.sync(member, rng);
            }
        }
        let Some(leader) = &mut self.leader else { return };
        if leader.followers.len() + 1 < QUORUM || rng.random_bool(0.2) {
            self.depose();
            return;
        }
        leader.established = true;
        assert!(leader.history.starts_with(&self.committed), "the model loses what is committed");
        self.committed.clone_from(&leader.history);
        self.spoilt |= !self.members[candidate].tree.iter().eq(&self.committed);
        let followers: Vec<usize> = leader.followers.iter().copied().collect();
        self.members[candidate].applied = self.committed.len();
        self.members[candidate].serves = Some(epoch);
        for member in followers {
            self.serve(member, epoch, rng);
        }
        self.story.push(format!("{candidate} leads epoch {epoch}"));
    }

    /// A follower serves, and may not have applied the last of what it was synced with.
    fn serve(&mut self, member: usize, epoch: u64, rng: &mut StdRng) {
        let synced = self.committed.len().min(self.members[member].data.len());
        let least = self.members[member].loaded.max(synced.saturating_sub(2)).min(synced);
        self.members[member].applied = rng.random_range(least..=synced);
        let applied = self.members[member].applied;
        self.members[member].tree.extend(&self.committed[..applied]);
        self.members[member].serves = Some(epoch);
    }

    fn join(&mut self, member: usize, rng: &mut StdRng) {
        let Some(leader) = self.leader.as_ref().filter(|leader| leader.established) else { return };
        if leader.member == member || leader.followers.contains(&member) {
            return;
        }
        let epoch = leader.epoch;
        self.members[member].stop();
        self.sync(member, rng);
        self.serve(member, epoch, rng);
    }

    /// By transactions, after what the leader lacks was cut off; or by a snapshot, which leaves the log as it is.
    fn sync(&mut self, member: usize, rng: &mut StdRng) {
        let Some(leader) = &mut self.leader else { return };
        let leaders: Tree = self.members[leader.member].tree.iter().chain(&leader.history).copied().collect();
        let follower = &mut self.members[member];
        (follower.accepted, follower.current) = (follower.accepted.max(leader.epoch), leader.epoch);
        follower.flushing.clear();
        let end = last_of(&leader.history);
        let common = follower.data.iter().zip(&leader.history).take_while(|(one, other)| one == other).count();
        let ahead = last_of(&follower.data) > end;
        leader.sent[member] = leader.history.len();
        leader.followers.insert(member);
        if !ahead && rng.random_bool(0.4) {
            // What a leader that has not proposed yet has is named by its epoch's 0.
            let begun = end.epoch() == leader.epoch || !leader.established;
            let name = if begun { end } else { Zxid(leader.epoch << 32) };
            follower.data.clone_from(&leader.history);
            follower.loaded = follower.data.len();
            follower.tree = leaders;
            follower.write(name, None);
            self.story.push(format!("{member} is synced by snapshot {name:#}"));
            return;
        }
        if follower.data.len() > common {
            let cut = last_of(&leader.history[..common]);
            let exact = follower.log.iter().any(|entry| entry.0 == cut);
            let left_over = follower.log.iter().find(|entry| entry.0 > cut).copied();
            follower.log.retain(|entry| entry.0 <= cut);
            // `FileTxnLog.truncate` cuts behind the first transaction that it finds.
            follower.log.extend(left_over.filter(|_| !exact));
            follower.load();
            if rng.random_bool(0.5) {
                follower.write(cut, Some(cut).filter(|_| rng.random_bool(0.5)));
                self.story.push(format!("{member} snapshots what it has after a cut at {cut:#}"));
            }
        }
        follower.data.clone_from(&leader.history);
        follower.loaded = common;
        let rest = &leader.history[common..];
        if !rest.is_empty() && rng.random_bool(0.15) {
            // Applied without being logged: only a snapshot has them.
            follower.tree.extend(rest);
            follower.write(end, Some(end));
            self.story.push(format!("{member} is synced by transactions up to {end:#}, which only its snapshot has"));
        } else {
            follower.log.extend(rest);
            follower.apply_log();
            self.story.push(format!("{member} is synced by transactions up to {end:#}"));
        }
    }
}

fn last_of(entries: &[Entry]) -> Zxid {
    entries.last().map_or(Zxid(0), |entry| entry.0)
}
