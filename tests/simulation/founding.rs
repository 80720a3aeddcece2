//! The right to found an ensemble ends with its first quorum, whoever is out of reach.

use menagerie::agent::prepare::INITIALIZE;

use super::faults::Fault;
use super::invariants::Wrong;
use super::kubelet::Mount;
use super::mind::{Mind, Mutant, SOUND};
use super::spec::Spec;
use super::world::World;

#[test]
fn a_disk_that_is_lost_founds_nothing_again_although_no_quorum_read_ever_came_through() {
    let mind = Mind::new(SOUND);
    let mut world = World { deaf: true, ..World::new(Spec::of(3)) };
    for _ in 0..30 {
        world.round(&mind);
        world.pass(0, &mind);
        world.check();
    }
    assert!(world.born(), "there was no quorum");
    // The other founders, whom its agent asks, say nothing for a moment.
    world.strike(Fault::Cut(1));
    world.strike(Fault::Cut(2));
    assert!(world.strike(Fault::Wipe(3)));
    for _ in 0..10 {
        world.progress(2, Mount::Current, &mind);
    }
    assert!(world.kube.server(3).is_some(), "it was not started again");
    assert!(world.wrong.is_none(), "{:?}", world.wrong);
    assert!(!world.kube.disk(3).unwrap().files.contains_key(INITIALIZE));
}

/// A founder whose disk is lost, and whose kubelet still has the charter of the birth, while DNS is away. It waits for its name.
fn waiting(mind: &Mind) -> World {
    let mut world = World::new(Spec::of(3));
    let birth = |world: &World, mount| world.seed(mount).is_none_or(|seed| seed.beginning.is_birth());
    for _ in 0..30 {
        if world.born() && !birth(&world, Mount::Current) {
            break;
        }
        world.round(mind);
        world.pass(0, mind);
        world.check();
    }
    assert!(birth(&world, Mount::Before) && !birth(&world, Mount::Current), "its kubelet is late");
    assert!(world.strike(Fault::Wipe(3)) && world.strike(Fault::Nameless(true)));
    for _ in 0..10 {
        world.progress(2, Mount::Before, mind);
    }
    assert!(world.kube.server(3).is_none(), "its own name did not resolve");
    world
}

/// DNS is back, and its kubelet has this charter by then.
fn named(mut world: World, mount: Mount, mind: &Mind) -> World {
    assert!(world.strike(Fault::Nameless(false)));
    for _ in 0..10 {
        world.progress(2, mount, mind);
    }
    assert!(world.kube.server(3).is_some(), "it was not started again");
    world
}

fn nameless(mutant: Mutant) -> World {
    let mind = Mind::new(mutant);
    named(waiting(&mind), Mount::Before, &mind)
}

/// Its kubelet hears that the ensemble was born, and no other founder says so in that moment.
fn told_late(mutant: Mutant) -> World {
    let mind = Mind::new(mutant);
    let mut world = waiting(&mind);
    assert!(world.strike(Fault::Cut(1)) && world.strike(Fault::Cut(2)));
    named(world, Mount::Current, &mind)
}

#[test]
fn who_heard_nobody_while_dns_was_away_asks_once_it_is_back() {
    let world = nameless(SOUND);
    assert!(world.wrong.is_none(), "{:?}", world.wrong);
}

#[test]
fn founders_that_are_asked_before_names_resolve_are_found() {
    let world = nameless(Mutant { name: "asks before names resolve", early: true, ..SOUND });
    assert!(matches!(world.wrong, Some(Wrong::Initialize(_))), "{:?}", world.wrong);
}

#[test]
fn who_was_told_of_the_birth_before_it_waited_for_names_goes_by_what_it_is_told_once_they_resolve() {
    let world = told_late(SOUND);
    assert!(world.wrong.is_none(), "{:?}", world.wrong);
    assert!(!world.kube.disk(3).unwrap().files.contains_key(INITIALIZE));
}

#[test]
fn an_agent_that_goes_by_what_it_read_before_it_waited_is_found() {
    let world = told_late(Mutant { name: "ends with what it was told first", stale: true, ..SOUND });
    assert!(matches!(world.wrong, Some(Wrong::Initialize(_))), "{:?}", world.wrong);
}
