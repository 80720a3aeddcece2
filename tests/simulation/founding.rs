//! The right to found an ensemble ends with its first quorum, whoever is out of reach.

use menagerie::agent::prepare::INITIALIZE;

use super::faults::Fault;
use super::kubelet::Mount;
use super::mind::{Mind, SOUND};
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
