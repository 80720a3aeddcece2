//! The planner and the agent's `prepare`, unchanged, in a model of Kubernetes and of ZooKeeper: what may happen, in every
//! order. `docs/simulation.md` says what is modelled and how a counterexample is replayed.

mod act;
mod disk;
mod event;
mod exhaustive;
mod explore;
mod faults;
mod invariants;
mod kube;
mod kubelet;
mod membership;
mod mind;
mod mutants;
mod operator;
mod server;
mod settle;
mod sight;
mod spec;
mod story;
mod world;
mod zab;

use exhaustive::{Scope, exhaust};
use explore::{Course, explore};
use mind::{Mind, SOUND};
use spec::Spec;

fn sound(course: &Course, courses: u64) {
    let found = explore(&Mind::new(SOUND), course, 0..courses);
    println!("{} interleavings", found.distinct);
    if let Some(failure) = found.failure {
        panic!("{}", failure.text);
    }
}

#[test]
fn nothing_breaks_whatever_happens() {
    sound(&Course::everything(), 2000);
}

#[test]
fn nothing_breaks_at_a_birth() {
    sound(&Course::birth(), 1000);
}

#[test]
fn nothing_breaks_while_members_come_and_go() {
    sound(&Course::violent(), 1000);
}

#[test]
fn nothing_breaks_in_a_roll() {
    sound(&Course::rolling(), 1000);
}

#[test]
fn nothing_breaks_when_a_second_operator_goes_on_with_what_it_decided_before() {
    sound(&Course { second: true, ..Course::everything() }, 2000);
}

#[test]
fn nothing_breaks_in_any_order_of_a_short_plan() {
    let roll = |replicas| Spec { tick: 1, ..Spec::of(replicas) };
    let plans = [
        (Spec::of(1), Spec::of(2)),
        (Spec::of(2), Spec::of(1)),
        (Spec::of(1), roll(1)),
        (Spec::of(2), roll(2)),
        (Spec::of(3), roll(3)),
    ];
    for (from, to) in plans {
        let started = std::time::Instant::now();
        let scope = Scope { from, to, depth: 24, faults: 1, ends: 50 };
        let explored = exhaust(&scope, &Mind::new(SOUND));
        println!(
            "{from} -> {to}: {} states, {} interleavings, {} to their end, {:?}",
            explored.states,
            explored.interleavings,
            explored.ends,
            started.elapsed()
        );
        if let Some(failure) = explored.failure {
            panic!("{}", failure.text);
        }
    }
}
