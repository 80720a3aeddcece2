//! Everything that can happen. An interleaving is a sequence of these; one that is not possible at its moment does nothing,
//! so that a sequence from which some are dropped still is one.

use super::act::Wire;
use super::faults;
use super::kubelet::Mount;
use super::membership::Ids;
use super::mind::Mind;
use super::operator::Doing;
use super::spec::Spec;
use super::world::{OPERATORS, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The next stage of an operator's pass.
    Operator(usize, Wire),
    /// A whole pass without anything between.
    Pass(usize),
    /// An operator dies and forgets.
    Crash(usize),
    /// Whatever the controllers and the kubelet do next about a pod.
    Pod(u32, Mount),
    /// The init container is stopped after so many changes.
    Torn(u32, usize),
    Collect,
    Elect(u32, Ids),
    Follow(u32, u32),
    Hear(u32, u32),
    Sync(u32),
    Inform(u32),
    Forsake(u32),
    Write(u32),
    /// All that the servers can do without a fault.
    Calm,
    Spec(Spec),
    /// People look which revision is the newest.
    Notice,
    /// People approve of the revision that they saw last.
    Approve,
    Fault(faults::Fault),
}

impl World {
    /// Lets it happen; whether anything did.
    pub fn happen(&mut self, event: Event, mind: &Mind) -> bool {
        let done = match event {
            // A second operator was stopped between its decision and its act, not between a fresh read and its write.
            Event::Operator(who, wire) if who > 0 && matches!(self.operators[who].doing, Doing::Acting(_)) => {
                let _ = wire;
                self.pass(who, mind).is_some()
            }
            Event::Operator(who, wire) => self.proceed(who, mind, wire),
            Event::Pass(who) => self.pass(who, mind).is_some(),
            Event::Crash(who) => {
                let busy = !matches!(self.operators[who].doing, Doing::Idle);
                self.operators[who] = super::operator::Operator::default();
                if busy {
                    self.tell(|| "the operator dies".to_owned());
                }
                busy
            }
            Event::Pod(ordinal, mount) => self.progress(ordinal, mount, mind),
            Event::Torn(ordinal, changes) => self.prepare(ordinal, Mount::Current, Some(changes), mind),
            Event::Collect => self.collect(),
            Event::Elect(leader, ids) => self.elect(leader, ids),
            Event::Follow(id, leader) => self.follow(id, leader),
            Event::Hear(id, from) => self.hear(id, from),
            Event::Sync(id) => self.sync(id),
            Event::Inform(id) => self.inform(id),
            Event::Forsake(id) => self.forsake(id),
            Event::Write(id) => self.write(id),
            Event::Calm => self.calm(),
            Event::Spec(spec) => self.want(spec),
            Event::Notice => self.notice(),
            Event::Approve => self.approve(),
            Event::Fault(fault) => self.strike(fault),
        };
        self.check();
        done
    }

    fn collect(&mut self) -> bool {
        let word = self.kube.collect(Some(self.uid));
        let done = word.is_some();
        self.tell(|| word.unwrap_or_default());
        done
    }

    pub fn want(&mut self, spec: Spec) -> bool {
        if spec == self.spec {
            return false;
        }
        if spec.replicas != self.spec.replicas {
            self.voted = 0;
        }
        self.spec = spec;
        self.generation += 1;
        self.tell(|| format!("somebody wants {spec}"));
        true
    }

    /// The servers come to rest: who can be elected is, who can follow does, everything is carried.
    pub fn calm(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..50 {
            let again = self.calm_once();
            moved |= again;
            if !again || self.wrong.is_some() {
                break;
            }
        }
        moved
    }

    fn calm_once(&mut self) -> bool {
        let ids: Vec<u32> = self.kube.running().map(|(id, _)| id).collect();
        let mut moved = false;
        for id in &ids {
            moved |= self.forsaken(*id) && self.forsake(*id);
        }
        for id in &ids {
            moved |= ids.iter().any(|from| self.hearable(*id, *from) && self.hear(*id, *from));
        }
        for id in &ids {
            moved |= ids.iter().any(|leader| self.followable(*id, *leader).is_some() && self.follow(*id, *leader));
        }
        let led = ids
            .iter()
            .any(|id| self.kube.server(*id).is_some_and(|server| server.leads().is_some()) && self.kube.awake(*id));
        if !led && let Some(leader) = self.candidates().last() {
            moved |= self.elect(*leader, ids.iter().copied().collect());
        }
        for id in &ids {
            moved |= self.sync(*id);
        }
        for id in &ids {
            moved |= self.inform(*id);
        }
        moved
    }

    /// Who could be elected, the best last.
    pub fn candidates(&self) -> Vec<u32> {
        let ids: Vec<u32> = self.kube.running().map(|(id, _)| id).collect();
        let all: Ids = ids.iter().copied().collect();
        let mut able: Vec<u32> = ids.into_iter().filter(|id| self.supporters(*id, all).is_some()).collect();
        able.sort_by_key(|id| self.kube.disk(*id).map(|disk| (disk.current, disk.zxid(), *id)));
        able
    }

    /// What can happen in the ordinary course of things, without faults and without people.
    pub fn ordinary(&self) -> Vec<Event> {
        let mut events: Vec<Event> = (0..OPERATORS).map(|who| Event::Operator(who, Wire::Fine)).collect();
        let most = self.kube.replicas().max(self.kube.pods.keys().last().map_or(0, |ordinal| ordinal + 1));
        events.extend(
            (0..most).filter(|ordinal| self.pending(*ordinal)).map(|ordinal| Event::Pod(ordinal, Mount::Current)),
        );
        let ids: Vec<u32> = self.kube.running().map(|(id, _)| id).collect();
        let all: Ids = ids.iter().copied().collect();
        events.extend(self.candidates().into_iter().map(|id| Event::Elect(id, all)));
        for id in ids.iter().copied() {
            events.extend(
                ids.iter()
                    .filter(|other| self.followable(id, **other).is_some())
                    .map(|other| Event::Follow(id, *other)),
            );
            events.extend(ids.iter().filter(|other| self.hearable(id, **other)).map(|other| Event::Hear(id, *other)));
            if self.led_by(id).is_some() {
                events.extend([Event::Sync(id), Event::Inform(id)]);
            }
            if self.forsaken(id) {
                events.push(Event::Forsake(id));
            }
        }
        if self.garbage() {
            events.push(Event::Collect);
        }
        events
    }

    fn garbage(&self) -> bool {
        let orphan = self.kube.objects.values().any(|object| object.owner.is_some_and(|owner| owner != self.uid));
        orphan
            || self.kube.claims.iter().any(|(ordinal, claim)| {
                let going = claim.terminating || claim.owner.is_some_and(|owner| owner != self.uid);
                going && !self.kube.pods.contains_key(ordinal)
            })
    }

    fn pending(&self, ordinal: u32) -> bool {
        if self.kube.behind {
            return true;
        }
        let wanted = ordinal < self.kube.replicas();
        match self.kube.pods.get(&ordinal) {
            None => wanted,
            Some(pod) => {
                pod.terminating
                    || !wanted
                    || !pod.prepared
                    || pod.server.is_none()
                    || self.kube.set().is_none_or(|set| set.uid != pod.set)
            }
        }
    }
}
