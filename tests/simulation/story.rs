//! A counterexample: made as short as it gets, and told.

use super::event::Event;
use super::invariants::Wrong;
use super::mind::Mind;
use super::world::World;

/// How many replays may go into making one counterexample shorter.
const REPLAYS: usize = 3_000;

/// The world after these events, and after everything has come to rest if nothing broke before.
pub fn replay(begin: &World, events: &[Event], mind: &Mind) -> World {
    let mut world = begin.clone();
    for event in events {
        world.happen(*event, mind);
        if world.wrong.is_some() {
            return world;
        }
    }
    world.settle(mind);
    world
}

/// Drops events, many and then single ones, for as long as the same kind of promise is broken.
pub fn shrink(begin: &World, events: &[Event], wrong: &Wrong, mind: &Mind) -> Vec<Event> {
    let mut events = events.to_vec();
    let mut left = REPLAYS;
    let mut size = events.len().div_ceil(2);
    while size > 0 && left > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < events.len() && left > 0 {
            let mut fewer = events.clone();
            fewer.drain(at..(at + size).min(events.len()));
            left -= 1;
            if replay(begin, &fewer, mind).wrong.is_some_and(|found| found.kind() == wrong.kind()) {
                events = fewer;
                shorter = true;
            } else {
                at += size;
            }
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    events
}

/// The story of a counterexample: numbered lines, the last of which says what is wrong.
pub fn story(begin: &World, events: &[Event], mind: &Mind) -> String {
    let mut world = begin.clone();
    world.tale = Some(vec![format!(
        "{} are wanted, and it is {}",
        begin.spec,
        if begin.born() { "at rest" } else { "to be born" }
    )]);
    let world = replay(&world, events, mind);
    let lines = world.tale.unwrap_or_default();
    let numbered = lines.iter().enumerate().map(|(number, line)| format!("{:4}. {line}\n", number + 1));
    numbered.collect()
}
