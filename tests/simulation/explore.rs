//! Random courses of events from a seed.

use std::collections::HashSet;
use std::ops::Range;

use super::act::Wire;
use super::event::Event;
use super::faults::Fault;
use super::invariants::Wrong;
use super::kube::{Ask, hash};
use super::kubelet::Mount;
use super::meddling::KINDS;
use super::membership::Ids;
use super::mind::Mind;
use super::operator::Doing;
use super::policy::{POLICIES, Policy};
use super::spec::Spec;
use super::story::{shrink, story};
use super::world::World;

/// Numbers that look random and never change: `SplitMix64`.
pub struct Dice(u64);

impl Dice {
    /// Seeds one apart would otherwise give the same numbers, one step later.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed ^ 0x5DEE_CE66_D1CE_4E5B);
        Self(dice.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        u32::try_from(self.next() % u64::from(n.max(1))).unwrap_or(0)
    }

    /// Once in `n` times.
    pub fn once_in(&mut self, n: u32) -> bool {
        n > 0 && self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(usize::try_from(self.below(u32::try_from(of.len()).ok()?)).ok()?).copied()
    }
}

/// How a random course is drawn: where it begins, how long it is, and what is likely.
#[derive(Clone, Debug)]
pub struct Course {
    /// The spec that it begins with.
    pub from: Vec<u32>,
    /// Whether the ensemble is born and at rest when it begins.
    pub born: bool,
    pub events: u32,
    /// One event in so many is a fault; 0 is none.
    pub faults: u32,
    /// One event in so many is a change of the spec.
    pub changes: u32,
    /// Numbers of members that are wanted.
    pub sizes: Vec<u32>,
    /// Whether a second operator, stopped in the middle of a pass, goes on later.
    pub second: bool,
    /// What the policy for claims is; drawn where it is `None`.
    pub reclaim: Option<bool>,
    /// One fault in so many is an agent that does not reach the operator; 0 leaves it to chance.
    pub silence: u32,
    /// Whether the custom resource is deleted and made again.
    pub recreate: bool,
    /// Whether members lose their pods more often than anything else.
    pub violent: bool,
    /// Whether nothing happens but to the servers.
    pub servers: bool,
    /// One change of the spec in so many needs a restart.
    pub rolls: u32,
    /// One event in so many is about when rolls may go on; 0 is none, and they always may.
    pub policies: u32,
    /// Of so many changes that need a restart, one names an image that there is not; 0 is none.
    pub broken: u32,
    /// One event in so many changes the number of nodes; 0 is none, and there are enough.
    pub nodes: u32,
    /// Of so many pods, one is started by a kubelet that has not heard of the last change of the `ConfigMap`.
    pub late: u32,
    /// One event in so many is about what somebody makes of writes and deletes; 0 is none.
    pub meddling: u32,
    /// One fault in so many is a claim that somebody deletes under its pod; 0 is none.
    pub marks: u32,
    /// Of so many changes, one tells the operator another DNS domain than the cluster's, or the right one again; 0 is none.
    pub astray: u32,
}

impl Course {
    pub fn everything() -> Self {
        Self {
            from: vec![1, 2, 3, 5],
            born: true,
            events: 60,
            faults: 8,
            changes: 15,
            sizes: vec![1, 2, 3, 4, 5],
            second: false,
            reclaim: None,
            silence: 0,
            recreate: true,
            violent: false,
            servers: false,
            rolls: 3,
            policies: 0,
            broken: 4,
            nodes: 0,
            late: 30,
            meddling: 0,
            marks: 0,
            astray: 0,
        }
    }

    /// Claims are deleted while their pods run. Nobody deletes the ensemble: all that is left would go with its pods.
    pub fn marked() -> Self {
        Self { marks: 2, faults: 5, recreate: false, rolls: 1, broken: 0, ..Self::everything() }
    }

    /// A second operator goes on with what it decided long ago, while people change their minds.
    pub fn late() -> Self {
        Self { second: true, events: 200, sizes: vec![2, 3], from: vec![3], ..Self::everything() }
    }

    /// From nothing: everything happens while the ensemble is being born.
    pub fn birth() -> Self {
        Self { born: false, from: vec![1, 2, 3], events: 80, recreate: false, ..Self::everything() }
    }

    /// From nothing, or from an ensemble that grows, with an operator that was told another domain than the cluster's.
    pub fn astray() -> Self {
        Self { astray: 3, rolls: 0, faults: 15, from: vec![1, 2, 3], ..Self::birth() }
    }

    /// Members come and go all the time.
    pub fn violent() -> Self {
        Self { violent: true, faults: 3, ..Self::everything() }
    }

    /// Members that elect and write while their pods come and go.
    pub fn servers() -> Self {
        Self { servers: true, events: 150, from: vec![3, 5], ..Self::everything() }
    }

    /// More members than nodes, while another number of them is wanted.
    pub fn crowded() -> Self {
        Self {
            nodes: 8,
            from: vec![5],
            sizes: vec![1, 2, 3, 4, 5],
            faults: 15,
            rolls: 0,
            events: 120,
            ..Self::everything()
        }
    }

    /// Changes that need restarts.
    pub fn rolling() -> Self {
        Self { rolls: 1, sizes: Vec::new(), from: vec![2, 3, 5], changes: 12, ..Self::everything() }
    }

    /// Changes that need restarts, which wait for an approval or a window.
    pub fn held() -> Self {
        Self { rolls: 2, sizes: vec![2, 3, 4], from: vec![2, 3, 5], events: 100, policies: 5, ..Self::everything() }
    }

    /// Somebody labels claims, refuses kinds of objects and protects pods.
    pub fn meddled() -> Self {
        Self { meddling: 10, recreate: false, sizes: vec![2, 3, 4], from: vec![2, 3], events: 80, ..Self::everything() }
    }

    fn begin(&self, dice: &mut Dice, mind: &Mind) -> World {
        let spec = Spec {
            replicas: dice.pick(&self.from).unwrap_or(3),
            reclaim: self.reclaim.unwrap_or(dice.once_in(2)),
            tick: 0,
            wish: 0,
            policy: if self.policies > 0 { dice.pick(&POLICIES).unwrap_or_default() } else { Policy::Automatic },
            broken: false,
            astray: dice.once_in(self.astray),
        };
        let mut world = World::new(spec);
        if self.meddling > 0 {
            (world.kube.labelled, world.meddling.budgets) = (!dice.once_in(3), !dice.once_in(3));
        }
        if self.born {
            world.settle(mind);
        }
        if self.nodes > 0 {
            world.kube.nodes = Some(Self::few(dice));
        }
        world
    }

    fn few(dice: &mut Dice) -> u32 {
        2 + dice.below(4)
    }

    fn event(&self, world: &World, dice: &mut Dice) -> Option<Event> {
        if dice.once_in(self.nodes) {
            return Some(Event::Fault(Fault::Nodes(Self::few(dice))));
        }
        if self.second {
            return self.late_event(world, dice);
        }
        if self.servers {
            return Self::server_event(world, dice);
        }
        if dice.once_in(self.policies) {
            return Self::policy_event(world, dice);
        }
        if dice.once_in(self.meddling) {
            return Some(Self::meddling_event(world, dice));
        }
        if dice.once_in(self.changes) {
            let turned = if dice.once_in(4) { !world.spec.reclaim } else { world.spec.reclaim };
            let reclaim = self.reclaim.unwrap_or(turned);
            let Spec { mut tick, mut wish, mut broken, .. } = world.spec;
            let astray = dice.once_in(self.astray) != world.spec.astray;
            if dice.once_in(self.rolls) {
                broken = dice.once_in(self.broken);
                let why = if dice.once_in(2) { &mut wish } else { &mut tick };
                *why += 1;
            }
            let replicas = dice.pick(&self.sizes).unwrap_or(world.spec.replicas);
            return Some(Event::Spec(Spec { replicas, reclaim, tick, wish, broken, astray, ..world.spec }));
        }
        if dice.once_in(self.faults) {
            return self.fault(world, dice);
        }
        if dice.once_in(6) {
            return Some(Event::Pass(0));
        }
        if dice.once_in(6) {
            return Some(Event::Calm);
        }
        if world.writes < 8 && dice.once_in(12) {
            let leaders: Vec<u32> =
                world.kube.running().filter(|(_, server)| server.leads().is_some()).map(|(id, _)| id).collect();
            return dice.pick(&leaders).map(Event::Write);
        }
        let ordinary = world.ordinary();
        let event = dice.pick(&ordinary)?;
        Some(match event {
            Event::Elect(leader, ids) => {
                let some: Ids = ids.iter().filter(|_| !dice.once_in(4)).collect();
                Event::Elect(leader, some)
            }
            Event::Pod(ordinal, _) if dice.once_in(self.late) => Event::Pod(ordinal, Mount::Before),
            Event::Operator(1, _) => Event::Operator(0, Wire::Fine),
            Event::Operator(who, _) => {
                let acting = matches!(world.operators[who].doing, Doing::Acting(_));
                let wires = [Wire::AnswerLost, Wire::Unsent, Wire::Halfway];
                let wire = if acting && dice.once_in(6) { dice.pick(&wires)? } else { Wire::Fine };
                Event::Operator(who, wire)
            }
            event => event,
        })
    }

    fn fault(&self, world: &World, dice: &mut Dice) -> Option<Event> {
        let pods: Vec<u32> = world.kube.pods.keys().copied().collect();
        let ordinal = dice.pick(&pods)?;
        let id = ordinal + 1;
        let pod = world.kube.pods.get(&ordinal)?;
        let paused = pod.server.as_ref().is_some_and(|server| server.paused);
        if self.violent && !dice.once_in(4) {
            return Some(Event::Fault(dice.pick(&[
                Fault::Evict(id),
                Fault::Kill(id),
                Fault::Cut(id),
                Fault::Wipe(id),
                Fault::Mend(id),
            ])?));
        }
        if dice.once_in(self.marks) {
            return Some(Event::Fault(Fault::Unclaim(id)));
        }
        if dice.once_in(self.silence) {
            return Some(Event::Fault(Fault::Silence(id)));
        }
        Some(match dice.below(20) {
            0 | 1 => Event::Fault(Fault::Kill(id)),
            2 => Event::Fault(Fault::Evict(id)),
            3 => Event::Fault(if paused { Fault::Resume(id) } else { Fault::Pause(id) }),
            4 => Event::Fault(if pod.cut { Fault::Mend(id) } else { Fault::Cut(id) }),
            5 => Event::Fault(if pod.silent { Fault::Hear(id) } else { Fault::Silence(id) }),
            6 => Event::Fault(Fault::Wipe(id)),
            7 => Event::Fault(Fault::Late(ordinal)),
            8 => Event::Torn(ordinal, usize::try_from(dice.below(5)).ok()?),
            9 if self.recreate => Event::Fault(Fault::Recreate),
            15 if world.operators.iter().all(|operator| matches!(operator.doing, Doing::Idle)) => {
                Event::Fault(Fault::Intrude(dice.below(6)))
            }
            10 => Event::Fault(Fault::Rot(id)),
            11 => Event::Fault(Fault::Lose(id)),
            12 => Event::Fault(Fault::Ask(id, dice.pick(&[Ask::Restart, Ask::Replace])?)),
            13 => Event::Fault(Fault::Cordon(id)),
            14 => Event::Fault(Fault::Later),
            18 => Event::Fault(Fault::Slow(id)),
            19 => Event::Fault(Fault::Reuse(id)),
            _ => Event::Crash(0),
        })
    }

    /// A policy begins or ends.
    fn meddling_event(world: &World, dice: &mut Dice) -> Event {
        let pods: Vec<u32> = world.kube.pods.keys().copied().collect();
        Event::Fault(match dice.below(4) {
            0 | 1 => Fault::Refuse(dice.pick(&KINDS).map(|kind| kind as u8)),
            2 => Fault::Protect(dice.pick(&pods)),
            _ if dice.once_in(2) => Fault::Refuse(None),
            _ => Fault::Protect(None),
        })
    }

    /// People look, approve of what they saw then, and change their minds; hours go by.
    fn policy_event(world: &World, dice: &mut Dice) -> Option<Event> {
        Some(match dice.below(8) {
            0 | 1 => Event::Notice,
            2 | 3 => Event::Approve,
            4..=6 => Event::Fault(Fault::Later),
            _ => Event::Spec(Spec { policy: dice.pick(&POLICIES)?, ..world.spec }),
        })
    }

    /// Members are evicted, come back and agree, while clients write.
    fn server_event(world: &World, dice: &mut Dice) -> Option<Event> {
        let of_pods = |event: &Event| matches!(event, Event::Pod(..) | Event::Collect);
        let ordinary: Vec<Event> =
            world.ordinary().into_iter().filter(|event| !matches!(event, Event::Operator(..))).collect();
        let (pods, servers): (Vec<Event>, Vec<Event>) = ordinary.into_iter().partition(of_pods);
        let leaders: Vec<u32> =
            world.kube.running().filter(|(_, server)| server.leads().is_some()).map(|(id, _)| id).collect();
        let members: Vec<u32> = world.kube.pods.keys().map(|ordinal| ordinal + 1).collect();
        match dice.below(16) {
            0 => Some(Event::Fault(Fault::Evict(dice.pick(&members)?))),
            1 => Some(Event::Fault(Fault::Kill(dice.pick(&members)?))),
            2..=7 => dice.pick(&pods),
            8 | 9 => Some(Event::Write(dice.pick(&leaders)?)),
            _ => dice.pick(&servers),
        }
    }

    /// The first operator works in whole passes; the second looks, and acts long after.
    fn late_event(&self, world: &World, dice: &mut Dice) -> Option<Event> {
        let acting = matches!(world.operators[1].doing, Doing::Acting(_));
        match dice.below(16) {
            0..=4 => Some(Event::Pass(0)),
            5 | 6 => Some(Event::Calm),
            7..=9 => {
                let ordinary = world.ordinary();
                let moves: Vec<Event> =
                    ordinary.into_iter().filter(|event| matches!(event, Event::Pod(..) | Event::Collect)).collect();
                dice.pick(&moves)
            }
            10 => {
                let replicas = dice.pick(&self.sizes).unwrap_or(world.spec.replicas);
                Some(Event::Spec(Spec { replicas, ..world.spec }))
            }
            11 if self.rolls > 0 => Some(Event::Spec(Spec { tick: world.spec.tick + 1, ..world.spec })),
            12 if self.rolls > 0 => {
                let members: Vec<u32> = world.kube.pods.keys().map(|ordinal| ordinal + 1).collect();
                Some(Event::Fault(Fault::Ask(dice.pick(&members)?, dice.pick(&[Ask::Restart, Ask::Replace])?)))
            }
            _ if acting && !dice.once_in(5) => None,
            _ => Some(Event::Operator(1, Wire::Fine)),
        }
    }

    /// A whole course from its seed.
    pub fn run(&self, seed: u64, mind: &Mind) -> (World, Vec<Event>, World) {
        let mut dice = Dice::new(seed);
        let begin = self.begin(&mut dice, mind);
        let mut world = begin.clone();
        let mut events = Vec::new();
        for _ in 0..self.events {
            if world.wrong.is_some() {
                break;
            }
            if let Some(event) = self.event(&world, &mut dice)
                && world.happen(event, mind)
            {
                events.push(event);
            }
        }
        if world.wrong.is_none() {
            world.settle(mind);
        }
        (begin, events, world)
    }
}

/// What an exploration came to.
pub struct Exploration {
    /// Different sequences of events that were run to their end.
    pub distinct: usize,
    pub failure: Option<Failure>,
}

/// The story of what broke.
pub struct Failure {
    pub text: String,
}

/// The one seed to replay, or how many to run instead of the usual number.
fn wished(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

/// Runs the courses of the first seeds, up to the first that breaks something that counts. `MENAGERIE_SEED=n` runs that one alone,
/// `MENAGERIE_COURSES=n` so many.
pub fn explore(mind: &Mind, course: &Course, courses: u64, counts: impl Fn(&Wrong) -> bool) -> Exploration {
    let usual = 0..wished("MENAGERIE_COURSES").unwrap_or(courses);
    let seeds: Range<u64> = wished("MENAGERIE_SEED").map_or(usual, |seed| seed..seed + 1);
    let mut distinct = HashSet::new();
    for seed in seeds {
        let (begin, events, end) = course.run(seed, mind);
        distinct.insert(hash(&(begin.spec, &events)));
        if end.wrong.as_ref().is_some_and(&counts) {
            let failure = failure(&begin, &events, &end, mind, &format!("seed {seed}"));
            return Exploration { distinct: distinct.len(), failure: Some(failure) };
        }
    }
    Exploration { distinct: distinct.len(), failure: None }
}

/// The shortest story of what broke in this end.
pub fn failure(begin: &World, events: &[Event], end: &World, mind: &Mind, origin: &str) -> Failure {
    let wrong = end.wrong.clone().unwrap_or_else(|| Wrong::Unsettled("nothing broke".to_owned()));
    let shorter = shrink(begin, events, &wrong, mind);
    let (few, all) = (shorter.len(), events.len());
    let story = story(begin, &shorter, mind);
    let text = format!("{} ({origin}): {wrong}\n{few} of {all} events are enough:\n{story}", mind.mutant.name);
    Failure { text }
}
