//! Laws that hold whatever happens, in whatever order.

use menagerie::model::ServerId;
use menagerie::plan::{Operation, Step};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::world::{World, zk};

/// Something that happens between two passes.
#[derive(Clone, Debug)]
enum ClusterEvent {
    Pass,
    Scale(i32),
    Silence(u32),
    Stop(u32),
    /// Its node is drained, and its pod finds no other.
    Unplace(u32),
    /// Its node is deleted, with its volume.
    Lose(u32),
    Recover,
}

fn events() -> impl Strategy<Value = Vec<ClusterEvent>> {
    let one = prop_oneof![
        12 => Just(ClusterEvent::Pass),
        2 => (1i32..=7).prop_map(ClusterEvent::Scale),
        1 => (1u32..=7).prop_map(ClusterEvent::Silence),
        1 => (1u32..=7).prop_map(ClusterEvent::Stop),
        1 => (1u32..=7).prop_map(ClusterEvent::Unplace),
        1 => (1u32..=7).prop_map(ClusterEvent::Lose),
        2 => Just(ClusterEvent::Recover),
    ];
    prop::collection::vec(one, 0..120)
}

fn happen(world: &mut World, event: &ClusterEvent) -> Option<Step> {
    match event {
        ClusterEvent::Pass => {
            let step = world.pass().step;
            // A new volume is where there is a node.
            if let Step::ReplaceVolume(replacement) = &step {
                world.unplaced.remove(&replacement.id);
            }
            return Some(step);
        }
        ClusterEvent::Scale(replicas) => world.spec.replicas = *replicas,
        ClusterEvent::Silence(id) => drop(world.silent.insert(ServerId(*id))),
        ClusterEvent::Stop(id) => drop(world.down.insert(ServerId(*id))),
        ClusterEvent::Unplace(id) => drop(world.unplaced.insert(ServerId(*id))),
        ClusterEvent::Lose(id) => {
            if let Some(claim) = world.claims.get_mut(&ServerId(*id).seat()).filter(|claim| claim.volume.is_some()) {
                claim.lost = Some("its node is gone".into());
                world.unplaced.insert(ServerId(*id));
            }
        }
        ClusterEvent::Recover => {
            world.silent.clear();
            world.down.clear();
            world.unplaced.clear();
            world.claims.values_mut().for_each(|claim| claim.lost = None);
            world.epoch += 1;
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The world itself asserts that a change has quorum and the right version, and that no member's pod is stopped. One that
    /// does not serve takes nothing along when it leaves, while those that do are a majority with it and without it.
    #[test]
    fn a_step_is_taken_only_while_every_voter_answers_and_one_at_a_time(first in 1i32..=5, events in events()) {
        let mut world = zk(first);
        let mut start = 0;
        for event in &events {
            let before = world.voters();
            if matches!(event, ClusterEvent::Scale(_)) {
                start = before.len();
            }
            let stopped = |world: &World, id: u32| world.down.contains(&ServerId(id)) || world.unplaced.contains(&ServerId(id));
            let away = |world: &World, id: u32| world.silent.contains(&ServerId(id)) || stopped(world, id);
            let absent: Vec<u32> = before.iter().copied().filter(|id| away(&world, *id)).collect();
            let majority = before.len() - absent.len() > before.len() / 2;
            let pod = world.pods();
            let step = happen(&mut world, event);
            let after = world.voters();
            let changed = before.iter().filter(|id| !after.contains(id)).count() + after.iter().filter(|id| !before.contains(id)).count();
            if !before.is_empty() {
                prop_assert!(changed <= 1, "{before:?} -> {after:?}");
            }
            match &step {
                Some(Step::Leave { id, .. }) => {
                    prop_assert!(absent.is_empty() || absent == [id.0] || (absent.contains(&id.0) && majority), "{step:?} without {absent:?}");
                    // A copy is taken away only where all but one stay of those that are wanted, or were there.
                    let floor = start.min(usize::try_from(world.spec.replicas).unwrap()).saturating_sub(1).max(1);
                    prop_assert!(absent.contains(&id.0) || after.len() >= floor, "{before:?} -> {after:?}, of {start}");
                }
                Some(Step::RemovePod(_)) => prop_assert!(absent.is_empty() || stopped(&world, pod), "{step:?} without {absent:?}"),
                Some(Step::Join { .. }) => prop_assert!(absent.is_empty(), "{step:?} without {absent:?}"),
                _ => {}
            }
            // One that nobody could confirm fails at every pass, for ever.
            for operation in step.iter().flat_map(Step::operations) {
                if let Operation::Confirm { via, .. } | Operation::Reconfig { via, .. } = operation {
                    prop_assert!(!via.is_empty(), "{step:?} asks nobody");
                }
            }
        }
    }

    #[test]
    fn once_nothing_happens_any_more_it_comes_to_what_was_last_wanted_and_rests(first in 1i32..=5, events in events()) {
        let mut world = zk(first);
        for event in &events {
            happen(&mut world, event);
        }
        happen(&mut world, &ClusterEvent::Recover);
        let plan = world.settle();
        prop_assert_eq!(&plan.step, &Step::Rest, "{:?}", world.trace);
        prop_assert_eq!(world.voters(), (1..=u32::try_from(world.spec.replicas).unwrap()).collect::<Vec<_>>());
        prop_assert_eq!(world.pods(), u32::try_from(world.spec.replicas).unwrap());
        let again = world.pass();
        prop_assert_eq!(again, plan, "resting changes nothing");
    }
}
