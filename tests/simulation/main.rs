//! The planner and the agent's `prepare`, unchanged, in a model of Kubernetes and of ZooKeeper: what may happen, in every
//! order. `docs/simulation.md` says what is modelled and how a counterexample is replayed.

#![expect(clippy::struct_excessive_bools, reason = "what is modelled has many switches")]

mod able;
mod act;
mod disk;
mod event;
mod exhaustive;
mod explore;
mod faults;
mod founding;
mod invariants;
mod kube;
mod kubelet;
mod meddling;
mod membership;
mod mind;
mod mutants;
#[path = "../support/names.rs"]
mod names;
mod operator;
mod policy;
mod server;
mod settle;
mod sight;
mod spec;
mod story;
mod world;
mod zab;

use exhaustive::{SearchScope, exhaust};
use explore::{Course, explore};
use mind::{Mind, SOUND};
use spec::Spec;

/// Of many kinds of courses, as many as a run of all tests has time for. Each is replayed from its seed.
fn sound(course: &Course, courses: u64) {
    let found = explore(&Mind::new(SOUND), course, courses, |_| true);
    println!("{} different courses", found.distinct);
    if let Some(failure) = found.failure {
        panic!("{}", failure.text);
    }
}

#[test]
fn nothing_breaks_whatever_happens() {
    sound(&Course::everything(), 300);
}

#[test]
fn nothing_breaks_at_a_birth() {
    sound(&Course::birth(), 200);
}

#[test]
fn nothing_breaks_while_the_operator_is_told_another_domain_than_the_clusters() {
    sound(&Course::astray(), 200);
}

#[test]
fn nothing_breaks_while_members_come_and_go() {
    sound(&Course::violent(), 200);
}

#[test]
fn nothing_breaks_while_servers_elect_and_write() {
    sound(&Course::servers(), 200);
}

#[test]
fn nothing_breaks_where_nodes_are_scarce_and_come_free_late() {
    sound(&Course::crowded(), 150);
}

#[test]
fn nothing_breaks_at_a_birth_with_more_founders_than_nodes() {
    sound(&Course { born: false, recreate: false, ..Course::crowded() }, 150);
}

#[test]
fn nothing_breaks_in_a_roll() {
    sound(&Course::rolling(), 200);
}

#[test]
fn nothing_breaks_in_a_roll_that_waits_for_people_and_windows() {
    sound(&Course::held(), 200);
}

#[test]
fn nothing_breaks_and_what_can_go_on_does_whatever_somebody_makes_of_writes_or_refuses() {
    sound(&Course::meddled(), 150);
}

#[test]
fn nothing_breaks_when_claims_are_deleted_while_their_pods_run() {
    sound(&Course::marked(), 200);
}

#[test]
fn nothing_breaks_when_a_second_operator_goes_on_with_what_it_decided_before() {
    sound(&Course::late(), 200);
}

#[test]
fn nothing_breaks_in_any_order_of_a_short_plan() {
    let roll = |replicas| Spec { tick: 1, ..Spec::of(replicas) };
    let plans = [
        (Spec::of(1), Spec::of(2), 20),
        (Spec::of(2), Spec::of(1), 18),
        (Spec::of(1), roll(1), 20),
        (Spec::of(2), roll(2), 15),
        (Spec::of(3), roll(3), 13),
    ];
    let mut all = 0;
    for (from, to, depth) in plans {
        let explored = exhaust(&SearchScope { from, to, depth, faults: 1, ends: 500 }, &Mind::new(SOUND));
        let (states, interleavings, ends) = (explored.states, explored.interleavings, explored.ends);
        println!("from {from} to {to}: {interleavings} interleavings, {states} states, {ends} run to their end");
        if let Some(failure) = explored.failure {
            panic!("{}", failure.text);
        }
        all += interleavings;
    }
    println!("{all} different interleavings");
    assert!(all >= 10_000, "only {all} interleavings");
}
