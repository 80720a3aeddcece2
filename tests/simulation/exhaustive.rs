//! Every order of events, in small ensembles and short plans: what differs only in how it came about is looked at once.

use std::collections::HashSet;

use super::act::Wire;
use super::event::Event;
use super::explore::{Failure, failure};
use super::faults::Fault;
use super::kube::hash;
use super::mind::Mind;
use super::operator::Doing;
use super::spec::Spec;
use super::world::World;

/// What is explored: from an ensemble at rest and one change of its spec, up to a depth, with so many faults.
#[derive(Clone, Debug)]
pub struct SearchScope {
    pub from: Spec,
    pub to: Spec,
    pub depth: usize,
    pub faults: u32,
    /// Of so many states, one is run to its end.
    pub ends: u64,
}

/// What came of it.
#[derive(Default)]
pub struct Explored {
    pub states: usize,
    /// Each is a sequence of events that no other one repeats.
    pub interleavings: usize,
    pub ends: usize,
    pub failure: Option<Failure>,
}

struct OpenState {
    world: World,
    path: Vec<Event>,
    faults: u32,
}

pub fn exhaust(scope: &SearchScope, mind: &Mind) -> Explored {
    let mut begin = World::new(scope.from);
    begin.settle(mind);
    let mut explored = Explored::default();
    let mut seen = HashSet::new();
    let start = OpenState { world: begin.clone(), path: vec![], faults: scope.faults };
    let mut open = vec![];
    visit(&start, Event::Spec(scope.to), 0, mind, &mut seen, &mut open);
    while let Some(state) = open.pop() {
        explored.states += 1;
        if state.world.wrong.is_none() && (state.path.len() >= scope.depth || hash(&state.world) % scope.ends == 0) {
            explored.ends += 1;
            let mut end = state.world.clone();
            end.settle(mind);
            if end.wrong.is_some() {
                explored.failure = Some(failure(&begin, &state.path, &end, mind, "exhaustive"));
                return explored;
            }
        }
        if state.world.wrong.is_some() {
            explored.failure = Some(failure(&begin, &state.path, &state.world, mind, "exhaustive"));
            return explored;
        }
        if state.path.len() >= scope.depth {
            continue;
        }
        for (event, cost) in choices(&state) {
            explored.interleavings += usize::from(visit(&state, event, cost, mind, &mut seen, &mut open));
        }
    }
    explored
}

/// Takes one event; whether anything happened.
fn visit(
    state: &OpenState,
    event: Event,
    cost: u32,
    mind: &Mind,
    seen: &mut HashSet<u64>,
    open: &mut Vec<OpenState>,
) -> bool {
    let mut world = state.world.clone();
    if !world.happen(event, mind) {
        return false;
    }
    let faults = state.faults - cost;
    let depth = state.path.len();
    if seen.insert(hash(&(&world, faults, depth / 8, world.wrong.is_some()))) {
        let mut path = state.path.clone();
        path.push(event);
        open.push(OpenState { world, path, faults });
    }
    true
}

/// What can happen next, and how many faults it costs.
fn choices(state: &OpenState) -> Vec<(Event, u32)> {
    let world = &state.world;
    let mut events = vec![(Event::Operator(0, Wire::Fine), 0)];
    let ordinary = world.ordinary();
    events.extend(
        ordinary.iter().filter(|event| matches!(event, Event::Pod(..) | Event::Collect)).map(|event| (*event, 0)),
    );
    if ordinary.iter().any(|event| !matches!(event, Event::Pod(..) | Event::Collect | Event::Operator(..))) {
        events.push((Event::Calm, 0));
    }
    if state.faults > 0 {
        match world.operators[0].doing {
            Doing::Acting(_) => {
                let wires = [Wire::AnswerLost, Wire::Unsent, Wire::Halfway];
                events.extend(wires.map(|wire| (Event::Operator(0, wire), 1)));
                events.push((Event::Crash(0), 1));
            }
            Doing::Idle => {}
            Doing::Begun(_) | Doing::Looked(_) => events.push((Event::Crash(0), 1)),
        }
        for ordinal in world.kube.pods.keys() {
            events.extend([Fault::Kill(ordinal + 1), Fault::Evict(ordinal + 1)].map(|fault| (Event::Fault(fault), 1)));
        }
    }
    events
}
