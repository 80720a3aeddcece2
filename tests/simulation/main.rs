//! The planner and the agent's `prepare`, unchanged, in a model of Kubernetes and of ZooKeeper: what may happen, in every
//! order. `docs/simulation.md` says what is modelled and how a counterexample is replayed.

mod act;
mod disk;
mod event;
mod explore;
mod faults;
mod invariants;
mod kube;
mod kubelet;
mod membership;
mod mind;
mod operator;
mod server;
mod settle;
mod sight;
mod spec;
mod story;
mod world;
mod zab;

use explore::{Course, explore};
use mind::{Mind, SOUND};

#[test]
fn nothing_breaks_whatever_happens() {
    let mind = Mind::new(SOUND);
    let found = explore(&mind, &Course::everything(), 0..2000);
    println!("{} interleavings", found.distinct);
    if let Some(failure) = found.failure {
        panic!("{failure}");
    }
}

#[test]
fn debug() {
    let mind = Mind::new(SOUND);
    let mut w = world::World::new(spec::Spec::of(3));
    w.tale = Some(vec![]);
    w.settle(&mind);
    println!("{}", w.tale.unwrap().join("\n"));
    println!("{:#?}", w.kube.claims[&0]);
}
