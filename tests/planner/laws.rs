//! Laws that hold whatever happens, in whatever order.

use menagerie::model::ServerId;
use menagerie::plan::{Operation, Step};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::world::{World, zk};

/// Something that happens between two passes.
#[derive(Clone, Debug)]
enum Happening {
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

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        12 => Just(Happening::Pass),
        2 => (1i32..=7).prop_map(Happening::Scale),
        1 => (1u32..=7).prop_map(Happening::Silence),
        1 => (1u32..=7).prop_map(Happening::Stop),
        1 => (1u32..=7).prop_map(Happening::Unplace),
        1 => (1u32..=7).prop_map(Happening::Lose),
        2 => Just(Happening::Recover),
    ];
    prop::collection::vec(one, 0..120)
}

fn happen(world: &mut World, happening: &Happening) -> Option<Step> {
    match happening {
        Happening::Pass => {
            let step = world.pass().step;
            // A new volume is where there is a node.
            if let Step::ReplaceVolume(replacement) = &step {
                world.unplaced.remove(&replacement.id);
            }
            return Some(step);
        }
        Happening::Scale(replicas) => world.spec.replicas = *replicas,
        Happening::Silence(id) => drop(world.silent.insert(ServerId(*id))),
        Happening::Stop(id) => drop(world.down.insert(ServerId(*id))),
        Happening::Unplace(id) => drop(world.unplaced.insert(ServerId(*id))),
        Happening::Lose(id) => {
            if let Some(claim) = world.claims.get_mut(&ServerId(*id).seat()).filter(|claim| claim.volume.is_some()) {
                claim.lost = Some("its node is gone".into());
                world.unplaced.insert(ServerId(*id));
            }
        }
        Happening::Recover => {
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
    fn a_step_is_taken_only_while_every_voter_answers_and_one_at_a_time(first in 1i32..=5, happenings in happenings()) {
        let mut world = zk(first);
        let mut start = 0;
        for happening in &happenings {
            let before = world.voters();
            if matches!(happening, Happening::Scale(_)) {
                start = before.len();
            }
            let stopped = |world: &World, id: u32| world.down.contains(&ServerId(id)) || world.unplaced.contains(&ServerId(id));
            let away = |world: &World, id: u32| world.silent.contains(&ServerId(id)) || stopped(world, id);
            let absent: Vec<u32> = before.iter().copied().filter(|id| away(&world, *id)).collect();
            let majority = before.len() - absent.len() > before.len() / 2;
            let pod = world.pods();
            let step = happen(&mut world, happening);
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
    fn once_nothing_happens_any_more_it_comes_to_what_was_last_wanted_and_rests(first in 1i32..=5, happenings in happenings()) {
        let mut world = zk(first);
        for happening in &happenings {
            happen(&mut world, happening);
        }
        happen(&mut world, &Happening::Recover);
        let plan = world.settle();
        prop_assert_eq!(&plan.step, &Step::Rest, "{:?}", world.trace);
        prop_assert_eq!(world.voters(), (1..=u32::try_from(world.spec.replicas).unwrap()).collect::<Vec<_>>());
        prop_assert_eq!(world.pods(), u32::try_from(world.spec.replicas).unwrap());
        let again = world.pass();
        prop_assert_eq!(again, plan, "resting changes nothing");
    }
}
